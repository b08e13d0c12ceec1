"""
How long a request for a code takes, compared with a plain view: ``python -m benchmarks.requests``.

It needs a PostgreSQL and a Redis, where the environment says as for the tests. A small server on this
machine stands in for Cognito and answers at once, so only the app's own work is compared. The ways take
turns in one process, so whatever else the machine does slows all of them.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
import time
from itertools import count
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

WARM_UP = 50
# No request may be refused. The cost of a limit doesn't depend on how high it is, but for the site's.
SITE = {"site": "1000000/h"}
LIMITS = {"request": SITE}
# By name: what is measured, the address, and the app's settings.
WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "plain": ("a plain view with a cached client", "/plain/", {}),
    "bare": ("the app without limits and audit", "/app/", {"LIMITS": False, "AUDIT": False}),
    "redis": (
        "limits in Redis, audit in PostgreSQL",
        "/app/",
        {"LIMITS": LIMITS, "LIMITS_CACHE": "redis"},
    ),
    "database": ("limits and audit in PostgreSQL", "/app/", {"LIMITS": LIMITS}),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=500, help="of each way")
    parser.add_argument("--profile", choices=WAYS, help="print where the time of this way goes")
    options = parser.parse_args()
    cognito = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.cognito"], stdout=subprocess.PIPE, text=True
    )
    assert cognito.stdout  # for mypy
    try:
        port = int(cognito.stdout.readline())
        os.environ["BENCHMARK_COGNITO"] = f"http://127.0.0.1:{port}"
        measure(options.requests, options.profile)
    finally:
        cognito.kill()


def measure(requests: int, profiled: str | None) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    name = settings.DATABASES["default"]["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    application, numbers, base = WSGIHandler(), count(), settings.COGNITO_RESET
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    processor: dict[str, list[float]] = {way: [] for way in WAYS}
    profile = cProfile.Profile()
    try:
        for turn in range(-WARM_UP, requests):
            for way, (_, path, changes) in WAYS.items():
                settings.COGNITO_RESET = {**base, **changes}
                environ = make_environ(path, next(numbers))
                if turn >= 0 and way == profiled:
                    profile.runcall(respond, application, environ)
                    continue
                start, used = time.perf_counter(), time.process_time()
                respond(application, environ)
                if turn >= 0:
                    times[way].append(time.perf_counter() - start)
                    processor[way].append(time.process_time() - used)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
    if profiled:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(80)
        return
    version = f"Python {platform.python_version()}, Django {django.__version__}"
    show(f"{version}; medians of {requests} requests of each kind, and the processor's part of it")
    for way, (text, *_) in WAYS.items():
        shown = [
            f"{statistics.median(of[way]) * 1000:8.2f} ms"
            f"{statistics.median(of[way]) / statistics.median(of['plain']):5.2f} times"
            for of in (times, processor)
        ]
        show(f"{text:40}" + "".join(shown))


def make_environ(path: str, number: int) -> dict[str, Any]:
    """Return a request for a person and from a network that have made none before."""
    body = json.dumps({"username": f"user-{number}@example.com"}).encode()
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
    }


def respond(application: Any, environ: dict[str, Any]) -> None:
    """Have the site answer, as a WSGI server does."""
    statuses = []
    response = application(environ, lambda status, headers: statuses.append(status))
    b"".join(response)
    response.close()
    assert statuses[0].startswith("202"), statuses


def show(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
