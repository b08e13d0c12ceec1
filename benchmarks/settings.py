"""A site as ``startproject`` makes it, with PostgreSQL, Redis and the app."""

from __future__ import annotations

import os

SECRET_KEY = "not-a-secret-only-for-benchmarks"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "benchmarks.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "cognito_reset",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "cognito_reset_benchmark",
        "HOST": os.environ.get("POSTGRES_HOST", "127.0.0.1"),
        "PORT": os.environ.get("POSTGRES_PORT", "5432"),
        "USER": os.environ.get("POSTGRES_USER", "postgres"),
        "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
        # Connecting takes longer than everything else, so no busy site does it for each request.
        "CONN_MAX_AGE": None,
    }
}
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
COGNITO_RESET = {"POOLS": {"default": POOL}, "UNIFORM_RESPONSE_SECONDS": 0}
