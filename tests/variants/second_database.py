"""Everything is in a second database with ATOMIC_REQUESTS; the default one is empty."""

from __future__ import annotations

from typing import Any

from tests.settings import *  # noqa: F403  # a variant of it
from tests.settings import COGNITO_RESET

_SQLITE: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": {**_SQLITE}, "second": {**_SQLITE, "ATOMIC_REQUESTS": True}}
COGNITO_RESET = {**COGNITO_RESET, "LIMITS": {}}


class Router:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "second"

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "second"


DATABASE_ROUTERS = [Router()]
