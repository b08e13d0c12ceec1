"""The stores of the limits, at the addresses that the environment names."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from typing import Any

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


def need(store: str) -> None:
    """Skip the test where a store's client isn't installed or the store isn't there."""
    client, place = PLACES.get(store, ("redis" if store == "redis-cluster" else "django", None))
    if find_spec(client) is None:
        pytest.skip(f"{client} isn't installed")
    if place is None:  # it needs no server, or its fixture starts one
        return
    try:
        socket.create_connection(place, timeout=2).close()
    except OSError:
        pytest.skip(f"{store} doesn't listen on {place[0]}:{place[1]}")
