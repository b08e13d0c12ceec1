"""
A site with the app and one page of its own, for test_outage.py: ``application`` for WSGI servers, ``over_asgi`` for
ASGI servers.
"""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

# Everything that isn't set has its default.
POOL: dict[str, Any] = {
    "REGION": "eu-west-1",
    "USER_POOL_ID": "eu-west-1_Example01",
    "CLIENT_ID": "1example23456789",
    "ENDPOINT_URL": os.environ["COGNITO_URL"],
}
CACHES: dict[str, Any] = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
# Only limits of the whole site, because all visitors of the test have one address.
LIMITS: dict[str, Any] = {"LIMITS": False}
if "REDIS_URL" in os.environ:
    levels = {"identifier": None, "network": None, "site": "100000/h"}
    LIMITS = {"LIMITS": {"request": levels, "confirm": levels}, "LIMITS_CACHE": "limits"}
    # As docs/stores.md recommends.
    CACHES["limits"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REDIS_URL"],
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
settings.configure(
    SECRET_KEY="not-a-secret-only-for-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.staticfiles",
        "rest_framework",
        "cognito_reset",
    ],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_FILE"]}
    },
    CACHES=CACHES,
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    # In the database, visitors would wait for SQLite, which has one writer at a time.
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    STATIC_URL="/static/",
    LOGGING_CONFIG=None,
    PERMITS=json.loads(os.environ["PERMITS"]),
    COGNITO_RESET={
        "POOLS": {"default": POOL},
        **LIMITS,
        **json.loads(os.environ["RESET_SETTINGS"]),
    },
)
django.setup()


def other_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [
    path("other/", other_page),
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
]

call_command("migrate", verbosity=0)
application = get_wsgi_application()
over_asgi = get_asgi_application()
