"""manage.py cognito_reset."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cognito_reset.models import LedgerSlot, ResetEvent
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
    assert out.getvalue() == "Deleted 1 reset events and 3 expired slots of limits.\n"


def test_a_bare_call_is_a_usage_error(db):
    """Nothing is deleted without a subcommand."""
    with pytest.raises(CommandError):
        call_command("cognito_reset")
