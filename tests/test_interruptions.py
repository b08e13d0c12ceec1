"""Ctrl-C while Cognito accepts the connection and never answers, in real processes."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from cognito_reset.testing import Timeout
from tests.test_bulk_processes import Site, database, finish, site

__all__ = ["database", "site"]  # fixtures

TIMEOUT = 50.0
AT_ONCE = 20.0


def stuck(site: Site, operation: str, *arguments: str) -> Any:
    """Begin a command, and wait until it waits for the answer of this operation."""
    site.write_settings(TOTAL_TIMEOUT_SECONDS=TIMEOUT)
    site.emulator.fail_next(operation, Timeout(), times=9)
    before = len(site.emulator.calls)
    process = site.begin("cognito_reset", *arguments)
    end = time.monotonic() + TIMEOUT
    while not any(name == operation for name, _ in site.emulator.calls[before:]):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)  # the main thread begins to wait for the answer
    return process


def interrupt(process: Any) -> None:
    process.send_signal(signal.SIGINT)


def interrupt_twice(process: Any) -> None:
    """The first signal is told about before the second is sent."""
    interrupt(process)
    while "Waiting for Cognito's answer about person-1. " not in process.stderr.readline():
        assert process.poll() is None
    interrupt(process)


def outcomes(site: Site) -> list[tuple[str]]:
    with closing(sqlite3.connect(site.folder / "site.sqlite3")) as connection:
        return connection.execute("SELECT outcome FROM cognito_reset_resetevent").fetchall()


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("DescribeUserPool", ["doctor"]),
        ("ListUsers", ["bulk", "start", "--all", "--dry-run"]),
    ],
)
def test_what_only_reads_ends_at_once(site, operation, arguments):
    """Nothing is lost by that."""
    process = stuck(site, operation, *arguments)
    begin = time.monotonic()
    interrupt(process)
    assert "Interrupted." in finish(process, 4)
    assert time.monotonic() - begin < AT_ONCE


def test_a_second_signal_ends_send_and_tells_whose_outcome_is_unknown(site):
    """The audit has it, too."""
    process = stuck(site, "AdminResetUserPassword", "send", "person-1", "person-2")
    begin = time.monotonic()
    interrupt_twice(process)
    output = finish(process, 4)
    assert time.monotonic() - begin < AT_ONCE
    assert "unknown: person-1: " in output
    assert "1 of 2 people were left out." in output
    assert outcomes(site) == [("unknown",)]


def test_a_second_signal_leaves_the_json_whole(site):
    """Standard output has nothing else."""
    process = stuck(site, "AdminResetUserPassword", "send", "person-1", "--json")
    interrupt_twice(process)
    out, _errors = process.communicate(timeout=AT_ONCE)
    assert process.returncode == 4
    assert [person["outcome"] for person in json.loads(out)] == ["unknown"]


def test_a_second_signal_ends_a_dry_run(site):
    """Nobody's outcome is unknown, because nothing was sent."""
    process = stuck(site, "ListUsers", "send", "--dry-run", "person-1")
    begin = time.monotonic()
    interrupt_twice(process)
    assert "unknown" not in finish(process, 4)
    assert time.monotonic() - begin < AT_ONCE
    assert outcomes(site) == []
