"""
Races for the slots of a limit, over REST, counted at a fake that stands where Cognito's client does.

test_races.py runs it as a process of its own, for it forks, and makes a database that no other test
may see. It prints one JSON object for every race.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from uuid import uuid4

import django

from tests.services.stores import CACHES

PLENTY = "1000/h"
# The number of attempts that get through, the rates, what the attempts have in common, and the number of
# attempts per thread.
RACES: dict[str, tuple[int, dict[str, str], str, int]] = {
    "identifier": (3, {"identifier": "3/h", "network": PLENTY, "site": PLENTY}, "identifier", 1),
    "cool-down": (1, {"identifier": "1/m,3/h", "network": PLENTY, "site": PLENTY}, "identifier", 1),
    "network": (20, {"identifier": "3/h", "network": "20/h", "site": PLENTY}, "network", 1),
    "site": (30, {"identifier": "3/h", "network": "20/h", "site": "30/h"}, "", 1),
    "large": (70, {"identifier": "3/h", "network": "20/h", "site": "70/h"}, "", 2),
    # Each attempt comes from a /64 of its own, all from one /56, whose limit is four times a /64's.
    "ipv6": (20, {"identifier": "3/h", "network": "5/h", "site": PLENTY}, "ipv6", 1),
}
CONFIRM_RACES: dict[str, tuple[int, dict[str, str], str, int]] = {
    # One request, sent again and again: all get the answer of the one that was carried out.
    "repeat": (1, {"identifier": PLENTY, "network": PLENTY, "site": PLENTY}, "request", 2),
    # The identifier's three guesses, and the two of the network that asked for the code.
    "own guesses": (5, {"identifier": "3/h", "network": PLENTY, "site": PLENTY}, "asked", 1),
}
# By step: the races, the address, and what is sent beside the name and the code.
STEPS: dict[str, tuple[dict[str, tuple[int, dict[str, str], str, int]], str, dict[str, str]]] = {
    "request": (RACES, "", {}),
    "confirm": ({**RACES, **CONFIRM_RACES}, "confirm/", {"password": "Battery-staple-2"}),
}
VICTIM = "victim@example.com"
NETWORK = "192.0.2.1"


class CountingService:
    """Stands where ``CognitoService`` does, and counts the calls."""

    calls = 0
    _lock = threading.Lock()

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def permit(self) -> AbstractContextManager[CountingService]:
        return nullcontext(self)  # there is room for everybody

    def request_code(self, **_: Any) -> Any:
        from cognito_reset.cognito.service import Delivery

        self._count()
        return Delivery("a***@e***", "EMAIL", "email", "request-id")

    def confirm(self, **_: Any) -> str:
        self._count()
        return "request-id"

    def _count(self) -> None:
        with self._lock:
            CountingService.calls += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("processes", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("rounds", type=int)
    run(**vars(parser.parse_args()))


def run(store: str, step: str, processes: int, threads: int, rounds: int) -> None:
    is_cache = store in CACHES
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["DATABASE"] = "sqlite" if is_cache else store
    django.setup()
    logging.disable()

    from django.conf import settings
    from django.db import connection

    if is_cache:
        settings.CACHES = {**settings.CACHES, **CACHES}
    else:
        connection.settings_dict["TEST"]["NAME"] = f"test_race_{os.getpid()}"
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        connection.close()
    fork = multiprocessing.get_context("fork")
    line, results = fork.Barrier(processes), fork.SimpleQueue()
    arguments = (store if is_cache else None, step, threads, rounds, uuid4().hex, line, results)
    workers = [fork.Process(target=work, args=(number, *arguments)) for number in range(processes)]
    for worker in workers:
        worker.start()
    try:
        for number in range(rounds):
            for name, (limit, *_) in STEPS[step][0].items():
                calls, statuses = 0, Counter[str]()
                for _ in workers:
                    counted, answered = results.get()
                    calls += counted
                    statuses.update(answered)
                result = {"race": name, "round": number, "limit": limit, "calls": calls}
                print(json.dumps({**result, "statuses": statuses}), flush=True)  # noqa: T201
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.kill()
        if not is_cache:
            connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)


def work(
    process: int,
    cache: str | None,
    step: str,
    threads: int,
    rounds: int,
    key: str,
    line: Any,
    results: Any,
) -> None:
    """Run one process's share of all races."""
    from django.conf import settings
    from django.db import connection

    from cognito_reset.models import LedgerSlot
    from cognito_reset.resets import ratelimits

    for number in range(rounds):
        for name, (_, rates, common, attempts) in STEPS[step][0].items():
            # Another SECRET_KEY means other keys, so that earlier races don't matter. Every second
            # round in a database uses the rows of the round before, which have expired.
            settings.SECRET_KEY = f"{key}-{name}-{number if cache else number // 2}"
            if process == 0 and cache is None:
                # Let the rows expire, but not so long ago that they are purged.
                LedgerSlot.objects.update(expires=int(time.time() * 1000))
                connection.close()
            settings.COGNITO_RESET = {
                **settings.COGNITO_RESET,
                "SERVICE_CLASS": f"{__name__}.CountingService",
                "LIMITS_CACHE": cache,
                "LIMITS": {step: rates},
            }
            if process == 0 and common == "asked":
                post("", VICTIM, NETWORK)
                connection.close()
            CountingService.calls = 0
            ratelimits._site_full_until.clear()  # the rows expired early, which this process can't know
            statuses: list[str] = []
            start = threading.Barrier(threads + 1)
            arguments = (start, step, common, attempts, process, statuses)
            runners = [
                threading.Thread(target=attempt, args=(*arguments, thread))
                for thread in range(threads)
            ]
            for runner in runners:
                runner.start()
            line.wait()
            start.wait()
            for runner in runners:
                runner.join()
            line.wait()
            results.put((CountingService.calls, statuses))


def attempt(
    start: threading.Barrier,
    step: str,
    common: str,
    attempts: int,
    process: int,
    statuses: list[str],
    thread: int,
) -> None:
    from django.core.cache import caches
    from django.db import connections

    _, path, secrets = STEPS[step]
    start.wait()
    for number in range(attempts):
        own = f"{process}-{thread}-{number}"
        username = f"user-{own}@example.com" if common in ("", "network", "ipv6") else VICTIM
        # Each attempt has a code of its own: with the same one it would be a repeat.
        code = "123456" if common == "request" else f"{process:02}{thread:02}{number:02}"
        address = f"10.{process}.{thread}.{number}"
        if common in ("network", "asked"):
            address = NETWORK
        elif common == "ipv6":
            address = f"2001:db8:0:{process * 16 + thread:x}::1"
        status = post(path, username, address, confirmation_code=code, **secrets)
        statuses.append(str(status))
    caches.close_all()
    connections.close_all()


def post(path: str, username: str, address: str, **more: str) -> int:
    from django.test import Client

    response = Client(raise_request_exception=False).post(
        f"/api/password-reset/{path}",
        {"username": username, **more},
        content_type="application/json",
        REMOTE_ADDR=address,
    )
    return response.status_code
