"""
Measure what a process of a site costs: ``python -m benchmarks.worker /rest/``. It prints, as JSON, how
long the start and the first request take, and how much memory the process has after 100 requests. With ``--warm``
it first runs the lines for warming up of docs/performance.md.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from itertools import count
from typing import Any

# The lines for wsgi.py in docs/performance.md.
WARM_UP = """\
from django.urls import get_resolver

from cognito_reset.cognito.service import get_service

get_resolver().url_patterns  # loads the URLs, and with them the views
get_service()  # loads boto3, and makes the client of the pool "default"
"""
REQUESTS = 100
ROUNDS = 7
# By name: the variables of the environment, and the arguments.
WITHOUT_APP = {"BENCHMARK_WITHOUT_APP": "1"}
WITH_ADMIN = {"BENCHMARK_ADMIN": "1"}
KINDS: dict[str, tuple[dict[str, str], list[str]]] = {
    "plain": (WITHOUT_APP, ["/plain/"]),
    "app": ({}, ["/rest/"]),
    "warm app": ({}, ["/rest/", "--warm"]),
    "plain with admin": ({**WITHOUT_APP, **WITH_ADMIN}, ["/plain/"]),
    "app with admin": (WITH_ADMIN, ["/rest/"]),
}


def milliseconds() -> float:
    return time.process_time() * 1000


def megabytes() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def work(path: str, *, is_warm: bool) -> dict[str, float]:
    import django

    at = milliseconds()
    django.setup()
    setup = milliseconds() - at
    memory_of_setup = megabytes()

    from django.core.cache import caches
    from django.core.handlers.wsgi import WSGIHandler
    from django.db import connection

    # Every site has used its database and its cache before.
    connection.ensure_connection()
    caches["redis"].get("nothing")
    from benchmarks.requests import Way, json_post

    way, application, numbers = Way(json_post(path), 202), WSGIHandler(), count()
    if is_warm:
        exec(WARM_UP)
    at = milliseconds()
    way.run(application, next(numbers))
    first = milliseconds() - at
    for _ in range(REQUESTS):
        way.run(application, next(numbers))
    return {
        "setup": setup,
        "memory of setup": memory_of_setup,
        "first request": first,
        "memory": megabytes(),
    }


def measure() -> dict[str, dict[str, float]]:
    """Return the least of several processes of each kind, which take turns: other programs only add to it."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind, (environment, arguments) in KINDS.items():
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.worker", *arguments],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                check=True,
            )
            found[kind].append(json.loads(done.stdout))
    return {
        kind: {name: min(each[name] for each in results) for name in results[0]}
        for kind, results in found.items()
    }


def figures() -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """
    Return the ratios of what the app adds to a process to what the process takes without it, and what both take. If
    they were of all that the process takes, nobody would notice that the app's own part has grown.
    """
    found = measure()

    def added(name: str, kind: str, other: str) -> dict[str, float]:
        of, to = found[kind], found[other]
        return {f"{part}{name}": (of[part] - to[part]) / to[part] for part in of}

    return {
        **added("", "app", "plain"),
        **added(", with the admin", "app with admin", "plain with admin"),
        "first request, warmed up": found["warm app"]["first request"]
        / found["plain"]["first request"],
    }, found


if __name__ == "__main__":
    result: dict[str, Any] = work(sys.argv[1], is_warm="--warm" in sys.argv)
    json.dump(result, sys.stdout)
