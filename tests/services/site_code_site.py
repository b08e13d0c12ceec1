"""
A site whose own code reads the database in every place that the app has for such code, for
test_site_code.py. It runs under gunicorn and uvicorn, and as a script without a request.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

# Everything of the test: the database, its options, and the pool with the emulator's address.
GIVEN: dict[str, Any] = json.loads(os.environ["SITE_CODE"])
# The names of the places whose code has run.
ran: set[str] = set()
slow = threading.Event()


def read_database(place: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    ran.add(place)


def client_secret() -> str:
    read_database("CLIENT_SECRET")
    if slow.is_set():
        time.sleep(3.5)
    return str(GIVEN["secret"])


def pool_resolver(request: HttpRequest) -> str:
    read_database("POOL_RESOLVER")
    return "default"


def pre_send_hook(request: HttpRequest | None, **_: Any) -> None:
    read_database("PRE_SEND_HOOK")


def client_metadata(request: HttpRequest | None) -> dict[str, str]:
    read_database("CLIENT_METADATA")
    return {}


def user_resolver(typed: str) -> None:
    read_database(f"USER_RESOLVER in {_thread()}")


class Validator:
    def validate(self, password: str, user: Any = None) -> None:
        read_database("validator")

    def get_help_text(self) -> str:
        return ""


def receive(**event: Any) -> None:
    read_database(f"receiver of {event['outcome']} in {_thread()}")


def _thread() -> str:
    return "a call" if threading.current_thread().name.startswith("cognito_reset") else "a request"


def show(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ran": sorted(ran)})


def be_slow(request: HttpRequest) -> JsonResponse:
    slow.set()
    return JsonResponse({})


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
    DATABASES={"default": GIVEN["database"]},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    AUTH_PASSWORD_VALIDATORS=[{"NAME": f"{__name__}.Validator"}],
    LOGGING_CONFIG=None,
    COGNITO_RESET={
        "POOLS": {"default": {**GIVEN["pool"], "CLIENT_SECRET": client_secret}},
        "POOL_RESOLVER": pool_resolver,
        "PRE_SEND_HOOK": pre_send_hook,
        "CLIENT_METADATA": client_metadata,
        "USER_RESOLVER": user_resolver,
        "SERVICE_CLASS": f"{__name__}.Service",
        "UNIFORM_RESPONSE_SECONDS": 0,
        "TOTAL_TIMEOUT_SECONDS": GIVEN["timeout"],
        # No limits, because all visitors of the test have one address.
        "LIMITS": False,
    },
)
django.setup()

from cognito_reset import signals  # noqa: E402
from cognito_reset.cognito.service import CognitoService  # noqa: E402
from cognito_reset.resets.flow import Attempt, request_code  # noqa: E402


class Service(CognitoService):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        read_database("SERVICE_CLASS")
        super().__init__(*args, **kwargs)


for signal in (signals.password_reset_requested, signals.password_reset_confirmed):
    signal.connect(receive)
signals.password_reset_failed.connect(receive)

urlpatterns = [
    path("ran/", show),
    path("slow/", be_slow),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
]


def run_as_a_script() -> None:
    """Ask for a code for each line of the input, as a task of the site would, and print what came of it."""
    for _ in sys.stdin:
        close_old_connections()  # as Celery's and Django's own workers do before each task
        try:
            request_code(Attempt("default"), {"username": "alice"})
            print("done", flush=True)  # noqa: T201
        except Exception as error:  # the test compares its name
            print(type(error).__name__, flush=True)  # noqa: T201


if __name__ == "__main__":
    run_as_a_script()
else:
    application = get_wsgi_application()
    asgi_application = get_asgi_application()
