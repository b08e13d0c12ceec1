"""
How long requests for a code take, compared with a plain view. A small server on this machine stands in for
Cognito and answers at once, so only the app's own work is compared. The ways take turns in one process, so
that whatever else the machine does slows all of them.
"""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

from benchmarks.router import KINDS, Router
from benchmarks.settings import COGNITO_RESET, POOL

WARM_UP = 30
TOKEN = "t" * 32
PLAIN = "plain"
NO_STORE = {"LIMITS": False, "AUDIT": False}
IN_DATABASE = {"LIMITS_CACHE": None}

# The environ of a request for a person and from a network that have made none before, by their number.
Make = Callable[[int], dict[str, Any]]


def _environ(
    number: int, method: str, path: str, kind: str, body: bytes, **more: str
) -> dict[str, Any]:
    network = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": network,
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        **more,
    }


def _person(number: int) -> str:
    return f"user-{number}@example.com"


def json_post(path: str) -> Make:
    def make(number: int) -> dict[str, Any]:
        body = json.dumps({"username": _person(number)}).encode()
        return _environ(number, "POST", path, "application/json", body)

    return make


def page(number: int) -> dict[str, Any]:
    return _environ(number, "GET", "/pages/", "", b"")


def form_post(number: int) -> dict[str, Any]:
    body = urlencode({"username": _person(number), "csrfmiddlewaretoken": TOKEN}).encode()
    kind = "application/x-www-form-urlencoded"
    cookie = f"csrftoken={TOKEN}"
    return _environ(number, "POST", "/pages/", kind, body, HTTP_COOKIE=cookie)


def aws_call(number: int) -> dict[str, Any]:
    body = {"ClientId": POOL["CLIENT_ID"], "Username": _person(number)}
    target = "AWSCognitoIdentityProviderService.ForgotPassword"
    kind = "application/x-amz-json-1.1"
    return _environ(
        number, "POST", "/aws", kind, json.dumps(body).encode(), HTTP_X_AMZ_TARGET=target
    )


@dataclass
class Way:
    """One kind of request, on one store. ``every``: it is made in one turn out of so many."""

    make: Make
    status: int
    changes: dict[str, Any] = field(default_factory=dict)
    alias: str = "default"
    every: int = 1
    times: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def run(self, application: Any, number: int) -> None:
        """Have the site answer, as a WSGI server does."""
        Router.alias = self.alias
        settings.COGNITO_RESET = {**COGNITO_RESET, **self.changes}
        environ = self.make(number)
        statuses: list[str] = []
        start, used = time.perf_counter(), time.process_time()
        response = application(environ, lambda status, headers: statuses.append(status))
        body = b"".join(response)
        response.close()
        self.times.append(time.perf_counter() - start)
        self.processor.append(time.process_time() - used)
        assert statuses[0].startswith(str(self.status)), (statuses, body)


INTERFACES: dict[str, tuple[Make, int]] = {
    "rest": (json_post("/rest/"), 202),
    "page": (form_post, 302),
    "aws": (aws_call, 200),
}


def ways(databases: list[str]) -> dict[str, Way]:
    """Return what is measured, by its name: the interface and the store, such as "rest redis"."""
    found = {
        PLAIN: Way(json_post("/plain/"), 202),
        "hand-written": Way(json_post("/hand-written/"), 202, every=10),
        "form": Way(page, 200),
    }
    for name, (make, status) in INTERFACES.items():
        found[f"{name} none"] = Way(make, status, NO_STORE)
        found[f"{name} redis"] = Way(make, status)
        for alias in databases:
            store = KINDS[alias]
            found[f"{name} {store}"] = Way(make, status, IN_DATABASE, alias)
    return found


def measure(databases: list[str], requests: int = 400, profiled: str = "") -> dict[str, Way]:
    """Make so many requests of each way. Print a profile of ``profiled``, if it is the name of one."""
    found = ways(databases)
    application, numbers = WSGIHandler(), count()
    profile = cProfile.Profile()
    for turn in range(-WARM_UP, requests):
        for name, way in found.items():
            if turn % way.every:
                continue
            if turn >= 0 and name == profiled:
                profile.runcall(way.run, application, next(numbers))
            else:
                way.run(application, next(numbers))
        if turn == -1:
            for way in found.values():
                way.times.clear()
                way.processor.clear()
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats("/cognito_reset/", 40)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(80)
    return found


def figures(databases: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """
    Return the ratios of the processor's time to the plain view's, and the milliseconds that each way takes in all.
    """
    found = measure(databases)
    processor = {name: statistics.median(way.processor) for name, way in found.items()}
    whole = {name: statistics.median(way.times) * 1000 for name, way in found.items()}
    plain = processor.pop(PLAIN)
    return {name: value / plain for name, value in processor.items()}, whole
