"""A site with the app and one page of its own, for test_outage.py. It runs under gunicorn."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
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
settings.configure(
    SECRET_KEY="not-a-secret-only-for-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "cognito_reset",
    ],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_FILE"]}
    },
    LOGGING_CONFIG=None,
    # No limits, because all visitors of the test have one address.
    COGNITO_RESET={"POOLS": {"default": POOL}, "LIMITS": False},
)
django.setup()


def other_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [
    path("other/", other_page),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
]

call_command("migrate", verbosity=0)
application = get_wsgi_application()
