"""Other pages of a site don't notice that Cognito hangs: a real server with 8 threads and the defaults."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VISITORS = 50
SECONDS = 20.0


class Silent:
    """A server that reads requests and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                self.connections.append(self._listener.accept()[0])
        except OSError:
            return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for opened in [self._listener, *self.connections]:
            opened.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def site(silent: Silent, tmp_path: Path) -> Iterator[int]:
    """Start gunicorn with 8 threads, and return its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}"]
    command += ["--threads", "8", "--log-level", "error", "tests.services.outage_site"]
    environment = {
        **os.environ,
        "COGNITO_URL": silent.url,
        "DATABASE_FILE": str(tmp_path / "site.sqlite3"),
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    port = listener.getsockname()[1]
    with listener, (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=[listener.fileno()], stdout=log, stderr=log
        )
    try:
        assert call(port, "GET", "/other/") == 200
        yield port
    finally:
        process.terminate()
        process.wait(10)


def call(port: int, method: str, path: str, data: object = None, timeout: float = 60) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        body = None if data is None else json.dumps(data)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def percentile_95(port: int, seconds: float) -> float:
    """Get the other page ten times a second, and return how long 95 % of the requests take at most."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        assert call(port, "GET", "/other/") == 200
        times.append(time.monotonic() - start)
        time.sleep(0.1)
    return sorted(times)[int(len(times) * 0.95)]


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.requirement("C10")
def test_other_pages_do_not_notice_that_cognito_hangs(silent, site):
    """Fifty visitors confirm once a second, while each call hangs until its deadline."""
    is_over, statuses = threading.Event(), Counter[int]()

    def visit(number: int) -> None:
        while not is_over.wait(1):
            data = {"username": f"user-{number}", "confirmation_code": "123456"}
            data["password"] = f"Battery-staple-{time.monotonic()}"
            statuses[call(site, "POST", "/api/password-reset/confirm/", data)] += 1

    usual = percentile_95(site, 3)
    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    for visitor in visitors:
        visitor.start()
    during = percentile_95(site, SECONDS)
    is_over.set()
    for visitor in visitors:
        visitor.join(60)
    # With its threads taken, the site would answer after 16 seconds, the deadline of a call.
    assert during < max(2 * usual, 0.5)
    assert set(statuses) <= {502, 503}
    assert statuses[503] > VISITORS * SECONDS / 4  # most are refused at once
    assert 4 <= len(silent.connections) <= 4 + SECONDS / 5 + 1  # the permits, then the probes
