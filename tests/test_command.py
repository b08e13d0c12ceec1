"""manage.py cognito_reset."""

from __future__ import annotations

import shlex
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import InterfaceError, InternalError, OperationalError, ProgrammingError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from cognito_reset.models import BulkItem, BulkRun, LedgerSlot, ResetEvent
from tests import commands_page
from tests.doctor.world import without_tables
from tests.test_pages import with_settings


def add_event(days):
    event = ResetEvent.objects.create(interface="rest", pool="default", outcome="requested")
    ResetEvent.objects.filter(pk=event.pk).update(
        created_at=timezone.now() - timedelta(days=days, minutes=1)
    )
    return event


@pytest.mark.requirement("H6")
def test_h6_purge_deletes_what_is_older_than_the_site_keeps(db, settings):
    """Events older than AUDIT_RETENTION_DAYS, and expired slots; nothing else."""
    with_settings(settings, AUDIT_RETENTION_DAYS=30)
    kept, _old = add_event(29), add_event(30)
    now = int(timezone.now().timestamp() * 1000)
    LedgerSlot.objects.create(key="held", number=0, expires=now + 60_000)
    for number in range(3):
        LedgerSlot.objects.create(key="over", number=number, expires=now - 90_000_000)
    out = StringIO()
    call_command("cognito_reset", "purge", stdout=out)
    assert list(ResetEvent.objects.all()) == [kept]
    assert [str(slot) for slot in LedgerSlot.objects.all()] == ["held:0"]
    assert out.getvalue() == (
        "Deleted 1 reset events, 3 expired slots of limits and 0 resets of many people.\n"
    )


@pytest.mark.requirement("H6")
def test_h6_purge_deletes_old_resets_of_many_people_with_their_people(db, settings):
    """A run that isn't over stays, however old it is."""
    with_settings(settings, AUDIT_RETENTION_DAYS=30)
    now = timezone.now()
    fields = {
        "pool": "default",
        "source": "list",
        "rate": 5,
        "current_rate": 5,
        "interface": "rest",
    }
    runs = [
        BulkRun.objects.create(
            **fields, state=state, ended_at=now - timedelta(days=days, minutes=1) if days else None
        )
        for state, days in [("done", 29), ("done", 30), ("stopped", 31), ("paused", None)]
    ]
    BulkRun.objects.update(created_at=now - timedelta(days=100))
    for run in runs:
        for number in range(3):
            BulkItem.objects.create(run=run, username=f"a{number}", username_hash=f"{number}")
    out = StringIO()
    call_command("cognito_reset", "purge", stdout=out)
    assert list(BulkRun.objects.order_by("pk")) == [runs[0], runs[3]]
    assert BulkItem.objects.count() == 6
    assert out.getvalue().endswith(" and 2 resets of many people.\n")


@pytest.mark.parametrize(
    "error", [OperationalError, ProgrammingError, InterfaceError, InternalError]
)
@pytest.mark.parametrize("arguments", ["purge", "bulk status", "bulk start --all --yes"])
def test_a_database_that_fails(db, arguments, error):
    """The exit code is 4, and there is no advice about tables that are there."""
    with without_tables(error("gone away\n")), pytest.raises(CommandError) as caught:
        call_command("cognito_reset", *arguments.split())
    assert caught.value.returncode == 4
    assert str(caught.value) == "The database failed: gone away"
    assert caught.value.__context__ is None


def test_tables_that_are_missing(db):
    """The text names the command that creates them."""
    MigrationRecorder(connection).migration_qs.filter(app="cognito_reset").delete()
    error = ProgrammingError('relation "cognito_reset_bulkrun" does not exist')
    with without_tables(error), pytest.raises(CommandError) as caught:
        call_command("cognito_reset", "bulk", "status")
    assert caught.value.returncode == 4
    assert "cognito_reset.0001_initial" in str(caught.value)
    assert "manage.py migrate cognito_reset" in str(caught.value)


def test_a_bare_call_is_a_usage_error(db):
    """Nothing is deleted without a subcommand."""
    with pytest.raises(CommandError):
        call_command("cognito_reset")


def test_the_page_of_the_commands_is_up_to_date():
    """If this fails, run ``python -m tests.commands_page``."""
    assert commands_page.PAGE.read_text() == commands_page.page()


PARSERS = dict(commands_page.parsers())


@pytest.mark.parametrize("name", PARSERS)
def test_the_help_of_each_subcommand_explains_it(name):
    """A description, a help for each argument, an example that can be run, and the exit codes."""
    parser = PARSERS[name]
    assert (parser.description or "").endswith(".")
    for typed, text in commands_page.arguments(parser):
        assert text, typed
    example, command, _, exits, *_ = (parser.epilog or "").splitlines()
    assert example == "Example:"
    assert exits.startswith("Exit codes: 0 ")
    program, script, *words = shlex.split(command)
    assert (program, script) == ("python", "manage.py")
    assert words[:1] == ["cognito_reset"]
    assert words[1 : 1 + len(name.split())] == name.split() or name == "bulk"
    whole = load_command_class("cognito_reset", "cognito_reset").create_parser("manage.py", "x")
    assert whole.parse_args(words[1:]).command == name.split()[0]
    shown = " ".join(parser.format_help().split())
    assert " ".join(command.split()) in shown
