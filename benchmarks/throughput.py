"""
How many requests for a code a real server answers, compared with a plain view, while Cognito takes 50 milliseconds
for each. There are as many clients as the server has threads, and each makes its next request when it has its answer.
"""

from __future__ import annotations

import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from benchmarks import cognito
from benchmarks.requests import Make, json_post
from tests.services.servers import serving

COGNITO_MILLISECONDS = 50
WARM_UP_SECONDS, SECONDS, ROUNDS = 0.5, 2.0, 3
# A client whose connection the server closes meanwhile would fail.
KEPT_SECONDS = "30"
GUNICORN = [
    *("gunicorn", "--worker-class", "gthread", "--log-level", "error", "--bind", "fd://{fd}"),
    *("--keep-alive", KEPT_SECONDS),
]
UVICORN = [
    *("uvicorn", "--log-level", "error", "--no-access-log", "--fd", "{fd}"),
    *("--timeout-keep-alive", KEPT_SECONDS),
]
# By name: the command, the clients, and the variables of the environment.
SERVERS: dict[str, tuple[list[str], int, dict[str, str]]] = {
    **{
        f"gunicorn {n}": ([*GUNICORN, "--threads", str(n), "benchmarks.site"], n, {})
        for n in (1, 4, 16)
    },
    "uvicorn 16": ([*UVICORN, "benchmarks.site:over_asgi"], 16, {"BENCHMARK_ASGI": "1"}),
}
PLAIN, APP = json_post("/plain/"), json_post("/rest/")


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    """Run a server, and yield its port. Show what it logs when it has ended."""
    with tempfile.TemporaryFile() as log:
        try:
            with serving(command, {**os.environ, **environment}, log) as port:
                yield port
        finally:
            log.seek(0)
            sys.stderr.write(log.read().decode())


class Client:
    """One client with one connection."""

    def __init__(self, port: int, numbers: Iterator[int]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.numbers = numbers

    def call(self, make: Make) -> None:
        environ = make(next(self.numbers))
        headers = {
            "Content-Type": environ["CONTENT_TYPE"],
            "X-Forwarded-For": environ["HTTP_X_FORWARDED_FOR"],
        }
        body = environ["wsgi.input"].read()
        self.connection.request("POST", environ["PATH_INFO"], body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 202, (answer.status, text)


def wait_for_answer(port: int, numbers: Iterator[int]) -> None:
    """
    Wait until the server answers. It inherits a socket that listens already, and only connections that come after
    its start have TCP_NODELAY. Each answer on an earlier one would wait for the client's delayed ACK, some 40 ms.
    """
    client = Client(port, numbers)
    try:
        client.call(PLAIN)
    finally:
        client.connection.close()


def rate(clients: list[Client], make: Make, seconds: float) -> float:
    """Return how many requests per second are answered."""
    answered, failed = count(), []
    start = time.perf_counter()

    def work(client: Client) -> None:
        try:
            while time.perf_counter() < start + seconds:
                client.call(make)
                next(answered)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return next(answered) / (time.perf_counter() - start)


def measure(name: str) -> tuple[float, float]:
    """Return the rates of the plain view and of the app on that server."""
    command, number, environment = SERVERS[name]
    numbers = count()
    rates: dict[Any, list[float]] = {PLAIN: [], APP: []}
    with running(command, environment) as port:
        wait_for_answer(port, numbers)
        clients = [Client(port, numbers) for _ in range(number)]
        try:
            for make in rates:
                rate(clients, make, WARM_UP_SECONDS)
            for _ in range(ROUNDS):
                for make, found in rates.items():
                    found.append(rate(clients, make, SECONDS))
        finally:
            for client in clients:
                client.connection.close()
    return statistics.median(rates[PLAIN]), statistics.median(rates[APP])


def figures() -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return the ratios of the plain view's rate to the app's, and both rates."""
    with cognito.running(COGNITO_MILLISECONDS):
        found = {name: measure(name) for name in SERVERS}
    ratios = {name: plain / app for name, (plain, app) in found.items()}
    return ratios, {name: {"plain": plain, "app": app} for name, (plain, app) in found.items()}
