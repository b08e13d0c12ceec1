from __future__ import annotations

from typing import Any

# The databases of benchmarks.settings.
KINDS = {"default": "postgresql", "mariadb": "mariadb", "sqlite": "sqlite-file"}


class Router:
    """Send everything to one database, which a benchmark changes from request to request."""

    alias = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return Router.alias

    db_for_write = db_for_read
