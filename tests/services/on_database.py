"""What only a real database does. Run by test_stores.py, on the one that DATABASE names."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from cognito_reset.cognito.errors import Unavailable
from cognito_reset.resets import stores
from cognito_reset.resets.ratelimits import reserve

pytestmark = pytest.mark.django_db(transaction=True)

on_server = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no server")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite's lock")


@pytest.fixture(autouse=True)
def _defaults(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    monkeypatch.setattr(stores, "_logged_at", float("-inf"))


def attempt() -> None:
    reserve("request", pool="default", username="alice", networks=["192.0.2.1/32"])


def run_elsewhere(sql: str, *parameters: Any) -> None:
    """Run one statement on a connection of its own."""

    def run() -> None:
        try:
            with connections["default"].cursor() as cursor:
                cursor.execute(sql, parameters)
        finally:
            connections["default"].close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.requirement("B14")
@on_server
def test_b14_a_connection_that_the_server_dropped_is_made_anew() -> None:
    """A database that was restarted since the last attempt refuses nobody."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_backend_pid()")
            end = "SELECT pg_terminate_backend(%s)"
        else:
            cursor.execute("SELECT connection_id()")
            end = "KILL %s"
        number = cursor.fetchone()[0]
    run_elsewhere(end, number)
    attempt()


@pytest.mark.requirement("B14")
@on_server
def test_b14_a_server_that_is_not_there_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One attempt to connect, and then 503."""
    tries = []
    connect = connection.get_new_connection

    def counting(parameters: Any) -> Any:
        tries.append(parameters)
        return connect({**parameters, "port": 1})

    connection.close()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "get_new_connection", counting)
        with pytest.raises(Unavailable):
            attempt()
    assert len(tries) == 1
    assert len(caplog.records) == 1


@pytest.mark.requirement("B14")
@on_sqlite
@pytest.mark.parametrize(("seconds", "refused"), [(0.3, False), (30, True)])
def test_b14_sqlites_lock_is_waited_for(
    seconds: float, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer's lock is tried for again, a bounded number of times."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"timeout": 0.1})
    locked, release = threading.Event(), threading.Event()

    def lock() -> None:
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        locked.set()
        release.wait(seconds)
        other.execute("ROLLBACK")
        other.close()

    thread = threading.Thread(target=lock)
    thread.start()
    locked.wait()
    start = time.monotonic()
    try:
        if refused:
            with pytest.raises(Unavailable):
                attempt()
            assert time.monotonic() - start < 5
        else:
            attempt()
    finally:
        release.set()
        thread.join()
        connection.close()


def test_a_command_without_a_table() -> None:
    """Each database raises an exception of its own; the exit code is the same."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cognito_reset_bulkrun RENAME TO cognito_reset_gone")
        try:
            with pytest.raises(CommandError) as caught:
                call_command("cognito_reset", "bulk", "status")
        finally:
            cursor.execute("ALTER TABLE cognito_reset_gone RENAME TO cognito_reset_bulkrun")
    assert caught.value.returncode == 4
