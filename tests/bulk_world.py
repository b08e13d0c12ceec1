"""What the tests of resets of many people share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.staff import bulk
from tests.people import People

#: So high that no test waits for the pace. Only an emulator's address may have such a rate.
FAST = 10_000.0
#: The people of ``People`` who can be reset.
RESETTABLE = ("alice", "bob", "heidi", "limited")


@pytest.fixture
def fast(people: People, settings: Any) -> None:
    """Let any rate be used."""
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "ENDPOINT_URL": "http://127.0.0.1:1"}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": {"default": pool}}


def start(source: str = "all", value: str = "", **more: Any) -> BulkRun:
    options = {"pool": "default", "rate": FAST, "interface": "python", **more}
    return bulk.start(source=source, value=value, **options)


def start_list(*names: str | None, **more: Any) -> BulkRun:
    return start("list", usernames=names, **more)


def finished(run: BulkRun) -> BulkRun:
    """Work on a run, and return it as it is then."""
    bulk.work(run.pk)
    run.refresh_from_db()
    return run


def die(run: BulkRun, minutes: int = 10) -> None:
    """Let the workers of all items that are being sent have died some minutes ago."""
    sending = BulkItem.objects.filter(run=run, state="sending")
    sending.update(claimed_at=F("claimed_at") - timedelta(minutes=minutes))


def states(run: BulkRun) -> dict[str, str]:
    """Return the people's states, with the codes of errors."""
    items = BulkItem.objects.filter(run=run).order_by("pk")
    return {item.username: f"{item.state} {item.error_code}".strip() for item in items}


def add_people(people: People, count: int) -> list[str]:
    names = [f"person-{number}" for number in range(count)]
    for name in names:
        people.add(name, email=f"{name}@example.com", email_verified="true")
    people.emulator.calls.clear()
    return names


def resets(people: People) -> Counter[str]:
    """Return how often Cognito was asked to reset whom."""
    calls = people.emulator.calls
    return Counter(body["Username"] for name, body in calls if name == "AdminResetUserPassword")


def names_of(rows: Iterable[list[str]]) -> list[str]:
    return [row[0] for row in rows][1:]
