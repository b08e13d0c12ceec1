"""The stores of the limits, at the addresses that the environment names."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, NoReturn

import pytest


def _place(name: str, port: int) -> tuple[str, int]:
    host = os.environ.get(f"{name}_HOST", "127.0.0.1")
    return host, int(os.environ.get(f"{name}_PORT", port))


REDIS = _place("REDIS", 6379)
MEMCACHED = _place("MEMCACHED", 11211)
PLACES = {
    "redis": ("redis", REDIS),
    "memcached": ("pymemcache", MEMCACHED),
    "postgresql": ("psycopg", _place("POSTGRES", 5432)),
    "mariadb": ("MySQLdb", _place("MARIADB", 3306)),
}
STORES = (*PLACES, "redis-cluster", "sqlite-file")
DATABASES = ("postgresql", "mariadb", "sqlite-file")
CACHES: dict[str, dict[str, Any]] = {
    "redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"redis://{REDIS[0]}:{REDIS[1]}",
    },
    "memcached": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": f"{MEMCACHED[0]}:{MEMCACHED[1]}",
    },
    # The fixture redis_cluster starts it.
    "redis-cluster": {
        "BACKEND": "tests.services.cluster.ClusterCache",
        "LOCATION": f"redis://{os.environ.get('REDIS_CLUSTER', '')}",
    },
}


def slow_but(fast: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """
    Return the parameters of a test, all but ``fast`` marked slow, because they repeat a promise that the fast ones
    prove.
    """
    return [pytest.param(v, marks=[] if v in fast else pytest.mark.slow) for v in values]


def is_there(store: str) -> bool:
    """Return whether a store's client is installed and its server listens, if it has one."""
    client, place = PLACES.get(store, ("redis" if store == "redis-cluster" else "django", None))
    if find_spec(client) is None:
        return False
    try:
        if place:  # else it needs no server, or its fixture starts one
            socket.create_connection(place, timeout=2).close()
    except OSError:
        return False
    return True


def need(store: str) -> None:
    """Leave the test out where a store's client isn't installed or the store isn't there."""
    if not is_there(store):
        leave_out(f"{store} or its client isn't there")


def need_package(name: str) -> None:
    """Leave the test out where a package isn't installed."""
    if find_spec(name) is None:
        # pylibmc is built where it is installed, so it is in no group of dependencies.
        (pytest.skip if name == "pylibmc" else leave_out)(f"{name} isn't installed")


def leave_out(reason: str) -> NoReturn:
    """Skip a test that this machine can't run. In CI it fails, or else nobody would notice what isn't tested."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
