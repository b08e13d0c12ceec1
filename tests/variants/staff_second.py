"""Staff on a site with all tables in a second database: nothing may run in a transaction of its."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import AnonymousUser, User
from django.db import connections, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import RequestFactory

from cognito_reset.models import ResetEvent
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.signals import (
    password_reset_follow_up_failed,
    password_reset_requested,
    password_reset_triggered,
)
from cognito_reset.staff.audit import ResetEventAdmin
from cognito_reset.staff.entries import action_entry
from cognito_reset.staff.history import add_log_entry
from tests.people import People
from tests.test_staff_admin import Staff, make_staff, make_user, resets

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "second"]),
    pytest.mark.urls("tests.admin_site"),
]


@pytest.fixture
def root(people: People) -> Staff:
    return make_staff("root", is_superuser=True)


@pytest.fixture
def alice(root: Staff) -> User:
    return make_user("alice")


def is_atomic() -> bool:
    return connections["second"].in_atomic_block


def test_a_reset_is_sent_and_recorded_outside_of_transactions(
    people: People, root: Staff, alice: User
) -> None:
    """The limits hold and the record stays, even if the request fails."""
    atomic: list[bool] = []

    def receive(**kwargs: Any) -> None:
        atomic.append(is_atomic())

    password_reset_triggered.connect(receive)
    root.send(alice)
    root.send(alice)
    assert atomic == [False]
    assert resets(people) == ["alice"]
    outcomes = ResetEvent.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["triggered", "throttled"]


@pytest.mark.parametrize("view", ["look-up", "clear-limits"])
def test_the_audits_own_views_are_outside_of_transactions(
    root: Staff, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    """The ledger requires it."""
    key = identifier_key("default", "alice")
    ResetEvent.objects.create(pool="default", identifier_hash=key)
    atomic: set[bool] = set()
    get_queryset = ResetEventAdmin.get_queryset

    def watch(self: ResetEventAdmin, request: HttpRequest) -> QuerySet[ResetEvent]:
        atomic.add(is_atomic())
        return get_queryset(self, request)

    monkeypatch.setattr(ResetEventAdmin, "get_queryset", watch)
    address = f"/admin/cognito_reset/resetevent/{view}/?identifier_hash__in={key}"
    assert root.client.post(address, {"identifier": "alice"}).status_code == 302
    assert atomic == {False}


def test_an_audit_row_that_fails_breaks_no_transaction_of_the_site() -> None:
    """Its INSERT is in a transaction of its own, in the database that it goes to."""
    failed: list[str] = []

    def receive(task: str, **kwargs: Any) -> None:
        failed.append(task)

    password_reset_follow_up_failed.connect(receive)
    event = {"pool": "default", "interface": "rest", "username": "alice", "outcome": "requested"}
    with transaction.atomic(using="second"):
        password_reset_requested.send_robust(
            None, request=None, error_code=None, aws_request_id="", **event
        )
        assert not User.objects.exists()
    assert failed == ["audit"]


def test_a_log_entry_that_fails_breaks_no_transaction_of_the_site(
    alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    """The same holds for the admin's log."""
    request = RequestFactory().post("/")
    request.user = AnonymousUser()
    with transaction.atomic(using="second"):
        add_log_entry(ResetEventAdmin(ResetEvent, site), request, alice, action_entry())
        assert User.objects.filter(pk=alice.pk).exists()
    assert "cognito_reset.log_entry_failed error=IntegrityError" in caplog.text
