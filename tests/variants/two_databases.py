"""The app's tables are on a second database, and every request is a transaction of both."""

from __future__ import annotations

from typing import Any

from tests.settings import *  # noqa: F403  # a variant of it
from tests.settings import DATABASES

DATABASES["default"]["ATOMIC_REQUESTS"] = True
DATABASES["ledger"] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": ":memory:",
    "ATOMIC_REQUESTS": True,
}


class Router:
    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "ledger" if model._meta.app_label == "cognito_reset" else None

    db_for_write = db_for_read

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        # The audit refers to users, and SQLite wants their table to be there.
        return db == "default" or app_label in ("auth", "contenttypes", "cognito_reset")


DATABASE_ROUTERS = ["tests.variants.two_databases.Router"]
