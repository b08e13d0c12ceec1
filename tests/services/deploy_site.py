"""
A site with all public interfaces, for test_deploy.py and test_scale.py, of which several servers run at once. They share
a database and a store. SITE has, as JSON, what a server's own settings are: see ``Site`` in sites.py.

A worker can be killed at a labelled point: it dies at the one that is named in the file ``armed``, which is then
removed, so that the next request passes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3  # noqa: F401  # before the workers are forked, so that new ones start fast
import django
from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections
from django.db.backends.signals import connection_created
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone

from cognito_reset.signals import (
    password_reset_confirmed,
    password_reset_failed,
    password_reset_requested,
)
from tests.settings import DATABASE_SETTINGS, INSTALLED_APPS, MIDDLEWARE, TEMPLATES

ANNOUNCED = (password_reset_requested, password_reset_confirmed, password_reset_failed)
OPTIONS: dict[str, Any] = json.loads(os.environ["SITE"])
FOLDER = Path(OPTIONS["folder"])
DATABASE: dict[str, Any] = {
    **DATABASE_SETTINGS[OPTIONS["database"]],
    "NAME": OPTIONS["database_name"],
    "TEST": {"NAME": OPTIONS["database_name"]},
}
if OPTIONS["database"] == "sqlite-file":
    DATABASE["OPTIONS"] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}


def die_at(point: str) -> None:
    """Die if a test wants a worker to die at this point."""
    armed = FOLDER / "armed"
    if armed.exists() and armed.read_text() == point:
        armed.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class LimitsCache(RedisCache):
    def add(self, *arguments: Any, **more: Any) -> bool:
        is_added = super().add(*arguments, **more)
        die_at("taking")
        return is_added


def watch(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
    result = execute(sql, parameters, many, context)
    if sql.startswith("INSERT") and "cognito_reset_ledgerslot" in sql:
        die_at("taking")
    return result


def watch_connection(*, connection: Any, **_: Any) -> None:
    connection.execute_wrappers.append(watch)


def metadata(request: HttpRequest | None) -> dict[str, str]:
    """Tell the pool's Lambda functions which process calls."""
    return {"pid": str(os.getpid())}


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Served-By"] = str(os.getpid())
        if request.method == "POST":
            die_at("answering")
        return response

    return answer


caches = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if OPTIONS["redis"]:
    limits = {"BACKEND": f"{__name__}.LimitsCache", "LOCATION": OPTIONS["redis"]}
    caches["limits"] = limits
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=INSTALLED_APPS,
    MIDDLEWARE=[f"{__name__}.middleware", *MIDDLEWARE],
    TEMPLATES=TEMPLATES,
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": DATABASE},
    CACHES=caches,
    LOGGING_CONFIG=None,
    COGNITO_RESET={
        "POOLS": {"default": OPTIONS["pool"]},
        "LIMITS_CACHE": "limits" if OPTIONS["redis"] else None,
        "SERVICE_CLASS": "tests.services.deploy_service.Service",
        "CLIENT_METADATA": f"{__name__}.metadata",
        **OPTIONS["reset"],
    },
    **OPTIONS["settings"],
)
connection_created.connect(watch_connection)


def after_settling(**_: Any) -> None:
    die_at("settled")


def after_following_up(**_: Any) -> None:
    die_at("followed up")


# Receivers are called in the order in which they were connected. The app's own come between these.
for announced in ANNOUNCED:
    announced.connect(after_settling)
django.setup()
for announced in ANNOUNCED:
    announced.connect(after_following_up)

urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
    path("cognito", include("cognito_reset.aws.urls")),
]

application = get_wsgi_application()


def use_older_models() -> None:
    """Write, read, change and delete a row of each table, as the code of each earlier version does."""
    loader = MigrationLoader(connection)
    names = sorted(name for app, name in loader.graph.nodes if app == "cognito_reset")
    for name in names[:-1]:
        apps = loader.project_state(("cognito_reset", name)).apps
        for model in apps.get_app_config("cognito_reset").get_models():
            row = model._default_manager.create(**required_values(model))
            row.refresh_from_db()
            row.save()
            row.delete()


def required_values(model: Any) -> dict[str, Any]:
    """Return a value for each field that has no default."""
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if field.primary_key or field.null or field.has_default():
            continue
        if field.is_relation:
            related = field.related_model
            values[field.name] = related._default_manager.create(**required_values(related))
        else:
            values[field.name] = VALUES[field.get_internal_type()]
    return values


def expect_events(outcome: str) -> None:
    from cognito_reset.models import ResetEvent

    assert ResetEvent.objects.filter(outcome=outcome).exists()


# One for each kind of field.
VALUES: dict[str, Any] = {
    "BigIntegerField": 1,
    "CharField": "a",
    "DateTimeField": timezone.now(),
    "FloatField": 1.0,
    "PositiveIntegerField": 1,
    "TextField": "a",
}


def main() -> None:
    """Do something with the database: create, remove, migrate or use it."""
    what, *arguments = sys.argv[1:]
    if what in ("use_older_models", "expect_events"):
        globals()[what](*arguments)
    elif what == "create":
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
    elif what == "destroy":
        connection.creation.destroy_test_db(OPTIONS["database_name"], verbosity=0)
    else:
        call_command(what, *arguments, verbosity=0)
    connections.close_all()
