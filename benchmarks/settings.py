"""
A site as ``startproject`` makes it, with the app. The environment says what differs from one process of the
benchmarks to another.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from tests.settings import DATABASE_SETTINGS, TEMPLATES

__all__ = ["TEMPLATES"]

SECRET_KEY = "not-a-secret-only-for-benchmarks"
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
ROOT_URLCONF = "benchmarks.urls"
USE_TZ = True
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
HAS_APP = "BENCHMARK_WITHOUT_APP" not in os.environ
ADMIN = ["django.contrib.admin", "django.contrib.messages"]
INSTALLED_APPS = [
    *(ADMIN if "BENCHMARK_ADMIN" in os.environ else []),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    *(["cognito_reset"] if HAS_APP else []),
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


def _database(kind: str, **more: Any) -> dict[str, Any]:
    # The first process makes an empty database, and sets this variable for the others.
    name = os.environ.get(f"BENCHMARK_{kind}", f"cognito_reset_benchmark_{os.getpid()}")
    return {**DATABASE_SETTINGS[kind], "NAME": name, "TEST": {"NAME": None}, **more}


_FILE = str(Path(tempfile.gettempdir()) / f"cognito_reset_benchmark_{os.getpid()}.sqlite3")
# Connecting takes longer than everything else, so no busy site does it for each request.
_KEPT_OPEN: dict[str, Any] = {"CONN_MAX_AGE": None}
# Under ASGI each request runs in a new thread, and only a pool keeps connections open.
_POOLED = {"OPTIONS": {"pool": {"min_size": 16, "max_size": 16}}}
DATABASES = {
    "default": _database(
        "postgresql", **(_POOLED if "BENCHMARK_ASGI" in os.environ else _KEPT_OPEN)
    ),
    "mariadb": _database("mariadb", **_KEPT_OPEN),
    "sqlite": _database("sqlite-file", TEST={"NAME": _FILE}),
}
DATABASE_ROUTERS = ["benchmarks.router.Router"]
_REDIS_HOST = os.environ.get("REDIS_HOST", "127.0.0.1")
_REDIS_PORT = os.environ.get("REDIS_PORT", "6379")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"redis://{_REDIS_HOST}:{_REDIS_PORT}",
        "KEY_PREFIX": f"benchmark-{os.getpid()}",
    },
}
LOGGING_CONFIG = None
POOL = {
    "REGION": "eu-west-1",
    "USER_POOL_ID": "eu-west-1_Example01",
    "CLIENT_ID": "1example23456789",
    "CLIENT_SECRET": "exampleclientsecret1234567",
    "ENDPOINT_URL": os.environ.get("BENCHMARK_COGNITO", ""),
}
COGNITO_RESET = {
    "POOLS": {"default": POOL},
    "UNIFORM_RESPONSE_SECONDS": 0,
    # No request may be refused. The cost of a limit doesn't depend on how high it is, but for the site's.
    "LIMITS": {"request": {"site": "1000000/h"}},
    "LIMITS_CACHE": "redis",
    # Each request of the benchmark comes from a different network.
    "TRUSTED_PROXIES": {"COUNT": 1},
    "MAX_CONCURRENT_CALLS": 16,
}
