"""The databases of the benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connections

from benchmarks.router import KINDS, Router
from tests.services.stores import is_there


def available() -> list[str]:
    """Return the aliases of the databases that are there. PostgreSQL has to be."""
    return [alias for alias, kind in KINDS.items() if is_there(kind)]


@contextmanager
def databases(*aliases: str) -> Iterator[None]:
    """Have empty databases of our own, which the processes that are started meanwhile use too."""
    with ExitStack() as stack:
        for alias in aliases:
            stack.enter_context(_database(alias))
        yield


@contextmanager
def _database(alias: str) -> Iterator[None]:
    connection = connections[alias]
    before = connection.settings_dict["NAME"]
    Router.alias = alias
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    Router.alias = "default"
    variable = f"BENCHMARK_{KINDS[alias]}"
    os.environ[variable] = str(name)
    try:
        yield
    finally:
        del os.environ[variable]
        connection.creation.destroy_test_db(before, verbosity=0)
