"""A site that has rows of the first version keeps them when it migrates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps

from cognito_reset.models import BulkItem, BulkRun, LedgerSlot, ResetEvent

pytestmark = pytest.mark.django_db(transaction=True)
APP = "cognito_reset"


def test_the_migrations_are_those_of_the_models():
    call_command("makemigrations", APP, check=True, dry_run=True, verbosity=0)


@pytest.fixture
def migrate() -> Iterator[Callable[[str], StateApps]]:
    """Migrate the app forwards or backwards, and return the models of then. In the end, all is migrated."""

    def to(name: str) -> StateApps:
        executor = MigrationExecutor(connection)
        state = executor.migrate([(APP, name)])
        return state.apps

    yield to
    call_command("migrate", verbosity=0)


def make_rows(apps: StateApps) -> dict[str, Any]:
    """Fill the tables of the first version, and return what is in a row of the audit."""
    staff = get_user_model().objects.create_user("staff")
    target = get_user_model().objects.create_user("alice")
    event = {
        "interface": "admin",
        "pool": "default",
        "outcome": "triggered",
        "error_code": "",
        "aws_request_id": "11111111-2222-3333-4444-555555555555",
        "identifier_hash": "a" * 64,
        "network": "2001:db8::/48",
        "actor_id": staff.pk,
        "target_id": target.pk,
    }
    Event, Slot = apps.get_model(APP, "ResetEvent"), apps.get_model(APP, "LedgerSlot")
    Event.objects.create(**event)
    Event.objects.bulk_create(
        Event(interface="pages", pool="default", outcome="requested", identifier_hash="b" * 64)
        for _ in range(1000)
    )
    Slot.objects.create(key="request:identifier:" + "c" * 64, number=7, expires=2**52, answer=9)
    return event


def test_rows_of_the_first_version_are_kept(migrate):
    event = make_rows(migrate("0001_initial"))
    migrate("0002_staff")
    call_command("migrate", verbosity=0)
    kept = ResetEvent.objects.get(outcome="triggered")
    assert {name: getattr(kept, name) for name in event} == event
    assert (kept.action, kept.step) == ("", "")
    assert ResetEvent.objects.filter(action="", outcome="requested").count() == 1000
    slot = LedgerSlot.objects.get()
    assert (slot.number, slot.expires, slot.answer) == (7, 2**52, 9)
    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerSlot.objects.create(key=slot.key, number=7, expires=0)


def test_the_new_tables_can_be_used_and_the_new_permissions_are_there(migrate):
    make_rows(migrate("0001_initial"))
    call_command("migrate", verbosity=0)
    run = BulkRun.objects.create(pool="default", source="list", rate=5, current_rate=5)
    BulkItem.objects.create(run=run, username="alice", username_hash="d" * 64)
    ResetEvent.objects.create(interface="admin", outcome="triggered", action="invite")
    names = set(Permission.objects.filter(content_type__app_label=APP).values_list("codename", flat=True))  # fmt: skip
    assert {codename for codename, _ in ResetEvent._meta.permissions} | {"view_bulkrun"} <= names


def test_the_version_before_can_write_rows_after_the_migration(migrate):
    """While a site replaces its processes, the old ones still write to the new table."""
    old = migrate("0001_initial")
    migrate("0002_staff")
    make_rows(old)
    assert ResetEvent.objects.filter(action="").count() == 1001


def test_a_migration_can_be_taken_back(migrate):
    """What the first version has no column for is lost, and the rest is kept."""
    migrate("0002_staff")
    ResetEvent.objects.create(interface="admin", outcome="triggered", action="invite", pool="brand")
    old = migrate("0001_initial").get_model(APP, "ResetEvent").objects.get()
    assert (old.outcome, old.pool) == ("triggered", "brand")
