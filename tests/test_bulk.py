"""Resets of many people: how they are started, controlled and watched. tests/test_bulk_work.py has the work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import get_service
from cognito_reset.conf import CognitoResetMisconfigured
from cognito_reset.models import BulkItem, BulkRun, ResetEvent
from cognito_reset.staff import bulk, journal
from cognito_reset.staff.bulk import BulkRefused
from cognito_reset.staff.sources import entries_of
from cognito_reset.testing import Error, Timeout
from tests.bulk_world import (
    RESETTABLE,
    add_people,
    fast,
    finished,
    names_of,
    resets,
    start,
    start_list,
    states,
)
from tests.doctor.world import BY_EITHER, BY_EMAIL, BY_PHONE, CUSTOM_SENDER, SMS
from tests.people import People

__all__ = ["fast"]  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fast")]

EVERYBODY = {
    "alice": "sent",
    "erin": "refused user_disabled",
    "heidi": "sent",
    "limited": "sent",
    "bob": "sent",
    "carol": "refused not_activated",
    "grace": "refused no_verified_contact",
    "ivan": "refused no_verified_contact",
    "frank": "refused federated_user",
    "dave": "refused not_confirmed",
}


def test_everybody_is_reset_or_refused_with_the_reason(people: People) -> None:
    actor = User.objects.create_superuser("root")
    run = finished(start(actor=actor, interface="admin"))
    assert run.state == "done"
    assert run.ended_at is not None
    assert states(run) == EVERYBODY
    assert sorted(resets(people)) == sorted([*RESETTABLE, "ivan"])  # ivan was refused by Cognito
    events = ResetEvent.objects.filter(actor=actor, step="staff", interface="admin", pool="default")
    assert events.filter(outcome="triggered").exclude(aws_request_id="").count() == len(RESETTABLE)
    assert events.filter(outcome="refused").count() == len(EVERYBODY) - len(RESETTABLE)


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("status", "RESET_REQUIRED", {"heidi": "sent"}),
        ("filter", 'username ^= "al"', {"alice": "sent"}),
        ("group", "team", {"alice": "sent", "erin": "refused user_disabled"}),
        ("filter", 'username = "nobody"', {}),
    ],
)
def test_cognito_lists_the_people(
    source: str, value: str, expected: dict[str, str], people: People
) -> None:
    people.call("CreateGroup", GroupName="team")
    for name in ("alice", "erin"):
        people.call("AdminAddUserToGroup", GroupName="team", Username=name)
    run = finished(start(source, value))
    assert (run.state, states(run)) == ("done", expected)


def test_an_item_shows_no_username(people: People) -> None:
    """An error tracker shows a row as its text."""
    item = finished(start_list("alice")).items.get()
    assert str(item) == f"{item.run_id}:{item.pk} (sent)"


def test_a_list_is_read_page_by_page(people: People) -> None:
    """A page without people isn't the end of the list."""
    people.emulator.options.list_starts_with_empty_page = True
    names = add_people(people, 70)
    run = start("filter", 'username ^= "person-"', force=True)
    assert [bulk.fill_some(run.pk) for _ in range(3)] == [False, False, True]
    assert bulk.counts(run.pk) | {"pending": 0} == dict.fromkeys(BulkItem.State.values, 0)
    assert bulk.fill_some(run.pk)  # there is nothing more to be done
    assert finished(run).state == "done"
    assert resets(people) == dict.fromkeys(names, 1)


def test_a_person_on_two_pages_is_written_once(people: People) -> None:
    """Cognito's list may change while it is read."""
    add_people(people, 59)
    run = start("status", "CONFIRMED", force=True)
    assert not bulk.fill_some(run.pk)
    page = set(BulkItem.objects.values_list("username", flat=True))
    assert len(page) == 60
    BulkRun.objects.filter(pk=run.pk).update(page_token="after-30")
    assert bulk.fill_some(run.pk)
    found = list(BulkItem.objects.values_list("username", flat=True))
    assert set(found) > page
    assert len(found) == len(set(found))


def test_the_people_of_a_list(people: People) -> None:
    """
    Each name is looked up before the call. Blanks and empty lines are left out, somebody named twice is reset
    once, and what can't be a username is refused without a call.
    """
    names = [" alice ", "", None, "alice@example.com", "bob", "bob", "nobody", "no body", "x\0y"]
    names += ["grace", "u" * 129, "\udc80"]
    run = start_list(*names)
    assert run.state == "ready"
    assert [call for call, _ in people.emulator.calls if call != "DescribeUserPool"] == []
    assert finished(run).state == "done"
    assert states(run) == {
        "alice": "sent",
        "alice@example.com": "refused same_person",
        "bob": "sent",
        "nobody": "refused user_not_found",
        "no body": "refused user_not_found",
        "x\ufffdy": "refused user_not_found",
        "grace": "refused no_verified_contact",
        "u" * 128: "refused user_not_found",
        "?": "refused user_not_found",
    }
    assert resets(people) == {"alice": 1, "bob": 1}


def test_the_usernames_of_a_queryset(people: People) -> None:
    for name in ("alice", "bob"):
        User.objects.create(username=name)
    names = User.objects.order_by("pk").values_list("username", flat=True)
    run = finished(start("queryset", usernames=names.iterator()))
    assert states(run) == {"alice": "sent", "bob": "sent"}


def test_a_filter_that_cognito_refuses_starts_nothing(people: People) -> None:
    """Cognito's texts aren't documented, so an unknown one is about the filter as well."""
    refusal = Error("InvalidParameterException", "Some text that nobody knows.")
    people.emulator.fail_next("ListUsers", refusal)
    with pytest.raises(errors.SelectionInvalid) as caught:
        start("filter", 'email ^= "a"')
    assert caught.value.aws_code == "InvalidParameterException"
    assert not BulkRun.objects.exists()


def test_a_list_isnt_held_in_memory(people: People) -> None:
    """It is written in batches while it is read."""
    written = []

    def names() -> Iterator[str]:
        for number in range(2500):
            if number % 500 == 0:
                written.append(BulkItem.objects.count())
            yield f"person-{number}"

    run = start("list", usernames=names(), force=True)
    assert written == [0, 500, 1000, 1500, 2000]
    assert BulkItem.objects.filter(run=run).count() == run.size == 2500


@pytest.mark.parametrize(
    ("source", "names"), [("all", None), ("list", ["alice", "alice", "erin", "bob", "heidi"])]
)
def test_a_limit_counts_people(source: str, names: list[str] | None) -> None:
    run = finished(start(source, usernames=names, limit=3))
    assert (run.state, run.size) == ("done", 3)
    assert len(states(run)) == 3


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("unknown_source", {"source": "everybody"}),
        ("unknown_source", {"source": "status", "value": "HAPPY"}),
        ("unknown_source", {"source": "group"}),
        ("unknown_source", {"source": "filter", "value": "x" * 513}),
        ("too_fast", {"rate": 0}),
        ("too_fast", {"rate": float("nan")}),
        ("too_fast", {"rate": float("inf")}),
    ],
)
def test_what_is_not_started(code: str, more: dict[str, Any]) -> None:
    with pytest.raises(BulkRefused) as refused:
        start(**more)
    assert refused.value.code == code
    assert refused.value.message
    assert not BulkRun.objects.exists()


@pytest.mark.requirement("F7")
def test_f7_the_rate_is_at_most_what_aws_allows(people: People, settings: Any) -> None:
    """AWS's quota is 30 resets a second. Without a rate, it is 5."""
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "ENDPOINT_URL": None}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": {"default": pool}}
    with pytest.raises(BulkRefused, match="too_fast") as refused:
        start(rate=30.5)
    assert "at most 30 a second" in refused.value.message
    assert bulk.start(pool="default", source="all", interface="rest").rate == 5


@pytest.mark.requirement("F10")
def test_f10_there_is_one_run_at_a_time_in_a_region(settings: Any) -> None:
    """AWS's quota is the account's in a Region, so another pool there has to wait as well."""
    pool = settings.COGNITO_RESET["POOLS"]["default"]
    more = {"brand": {**pool}, "far": {**pool, "REGION": "us-east-1"}}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": {"default": pool, **more}}
    run = start()
    for pool_alias in ("default", "brand"):
        with pytest.raises(BulkRefused, match="region_busy") as refused:
            start(pool=pool_alias)
        assert f"number {run.pk}." in refused.value.message
    assert start(pool="far").state == "filling"
    bulk.pause(run.pk)
    with pytest.raises(BulkRefused, match="region_busy"):
        start(pool="brand")
    bulk.stop(run.pk)
    assert start(pool="brand").state == "filling"
    with pytest.raises(CognitoResetMisconfigured):
        start(pool="nowhere")


@pytest.mark.requirement("F10")
def test_f10_a_run_that_begins_again_needs_the_region(people: People) -> None:
    people.emulator.fail_next("AdminResetUserPassword", "CodeDeliveryFailureException")
    run = finished(start_list("alice"))
    assert states(run) == {"alice": "failed delivery_failed"}
    other = start()
    with pytest.raises(BulkRefused, match="region_busy") as refused:
        bulk.retry(run.pk)
    assert f"number {other.pk}." in refused.value.message
    assert states(run) == {"alice": "failed delivery_failed"}


def test_a_pool_with_cognitos_own_sender(people: People) -> None:
    """It sends 50 mails a day: more people are left alone, unless the operator insists."""
    add_people(people, 48)
    run = finished(start())
    assert (run.state, run.reason) == ("paused", "own_sender")
    assert bulk.words(run.reason)
    assert not resets(people)
    with pytest.raises(BulkRefused, match="own_sender"):
        bulk.resume(run.pk)
    run = finished(bulk.resume(run.pk, force=True))
    assert run.state == "done"
    assert len(resets(people)) == 53


def test_a_list_and_cognitos_own_sender() -> None:
    names = [f"person-{number}" for number in range(51)]
    with pytest.raises(BulkRefused, match="own_sender"):
        start_list(*names)
    assert not BulkRun.objects.exists()
    assert start_list(*names, force=True).state == "ready"


FAULT = "TooManyRequestsException"


@pytest.mark.parametrize("source", ["all", "list"])
def test_a_fault_while_the_sender_is_read_lets_no_run_begin(people: People, source: str) -> None:
    """A run that is read later tries again. A list, which can be read only once, isn't started."""
    names = add_people(people, 51)
    people.emulator.fail_next("DescribeUserPool", FAULT)
    if source == "list":
        with pytest.raises(errors.UpstreamThrottled):
            start_list(*names)
        with pytest.raises(BulkRefused, match="own_sender"):
            start_list(*names)
    else:
        run = finished(start())
        assert (run.state, run.reason) == ("paused", "own_sender")
    assert not resets(people)


def test_a_fault_while_the_channels_are_read_lets_nobody_be_reset_without_a_code(
    people: People,
) -> None:
    """In a list, people are looked up one by one."""
    people.call("UpdateUserPool", AccountRecoverySetting=BY_EMAIL)
    run = start_list("bob", "alice")
    get_service().forget_answers()
    people.emulator.fail_next("DescribeUserPool", FAULT)
    assert finished(run).state == "done"
    assert states(run) == {"bob": "refused no_verified_contact", "alice": "sent"}
    assert list(resets(people)) == ["alice"]


def test_sparing_staff_asks_the_database_for_nobody(
    people: People, django_assert_num_queries: Any
) -> None:
    """Or a run of a million people would take days, on a site with as many users."""
    User.objects.create_user("root", is_staff=True)
    add_people(people, 30)
    users, _token = get_service().list_users()
    with django_assert_num_queries(1):
        entries = entries_of("default", users, get_service(), spares_staff=True)
    assert len(entries) == len(users) > 30


MFA = {"MfaConfiguration": "OPTIONAL", "SmsConfiguration": SMS}


def add_reachable(people: People, count: int) -> None:
    """Add people who have verified both contacts."""
    for number in range(count):
        contacts = {"email": f"p{number}@example.com", "phone_number": f"+1555556{number:04}"}
        verified = {"email_verified": "true", "phone_number_verified": "true"}
        people.add(f"person-{number}", **contacts, **verified)


@pytest.mark.parametrize(
    ("members", "pauses"),
    [
        ({"AccountRecoverySetting": BY_PHONE}, False),
        ({"AccountRecoverySetting": BY_EITHER}, False),
        # The phone number may be the person's second factor, so the code may go by mail.
        ({"AccountRecoverySetting": BY_EITHER, **MFA}, True),
        ({"AccountRecoverySetting": BY_EMAIL}, True),
        ({"AccountRecoverySetting": BY_EMAIL, **CUSTOM_SENDER}, False),
    ],
)
def test_only_mails_of_cognitos_own_sender_are_counted(
    members: dict[str, Any], pauses: bool, people: People
) -> None:
    add_reachable(people, 51)
    people.call("UpdateUserPool", **members)
    selection: Any = {"source": "filter", "value": 'username ^= "person"'}
    warnings = bulk.dry_run(pool="default", **selection).warnings
    assert warnings == [bulk.words("own_sender")] * pauses
    run = start(**selection)
    while not bulk.fill_some(run.pk):
        pass
    run.refresh_from_db()
    assert (run.state, run.reason) == (("paused", "own_sender") if pauses else ("ready", ""))


def test_a_pool_that_sends_by_ses(people: People) -> None:
    """Nothing is asked then."""
    sender = {"EmailSendingAccount": "DEVELOPER", "SourceArn": "arn:aws:ses:eu-west-1:1:identity/x"}
    people.call("UpdateUserPool", EmailConfiguration=sender)
    assert start_list(*map(str, range(51))).state == "ready"


def test_a_list_that_cant_be_read_to_its_end() -> None:
    def names() -> Iterator[str]:
        yield from (f"person-{number}" for number in range(1000))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        start("list", usernames=names(), force=True)
    run = BulkRun.objects.get()
    assert (run.state, run.size) == ("stopped", 1000)
    assert not finished(run).items.exclude(state="pending").exists()


@pytest.mark.requirement("F8")
def test_f8_a_list_that_was_interrupted_isnt_taken_for_the_whole() -> None:
    """Nothing is sent to its first people, because nobody knows who is missing."""

    def names() -> Iterator[str]:
        yield from ["alice"] * 1000
        run = BulkRun.objects.get()
        assert finished(run).state == "filling"  # somebody else reads it
        assert bulk.fill_some(run.pk) is False
        with pytest.raises(BulkRefused, match="list_interrupted"):
            bulk.resume(run.pk)
        bulk.stop(run.pk)
        yield from ["bob"] * 2000
        raise AssertionError("it was read on after it was stopped")

    run = start("list", usernames=names())
    assert (run.state, states(run)) == ("stopped", {"alice": "pending"})


def test_staff_members_are_left_out_for_other_staff(people: People) -> None:
    """The person in the pool counts, and not the name in a list. A superuser may reset everybody."""
    User.objects.create(username="boss", email="ALICE@example.com", is_staff=True)
    User.objects.create(username="bob", is_superuser=True)
    helper = User.objects.create(username="helper", is_staff=True)
    expected = {"alice": "refused staff_target", "bob": "refused staff_target"}
    run = finished(start(actor=helper))
    assert states(run) == {**EVERYBODY, **expected}
    run = finished(start_list("alice", "bob", "heidi", actor=helper))
    assert states(run) == {**expected, "heidi": "sent"}
    root = User.objects.create_superuser("root")
    assert states(finished(start(actor=root))) == EVERYBODY
    assert states(finished(start())) == EVERYBODY


def test_the_sites_resolver_decides_who_is_staff(people: People, settings: Any) -> None:
    """No name, address or number of the staff member is the person's, but the site knows who it is."""
    boss = User.objects.create(username="boss", is_staff=True)
    helper = User.objects.create(username="helper", is_staff=True)
    own = {"USER_RESOLVER": lambda username: boss if username == "alice" else None}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, **own}
    expected = {**EVERYBODY, "alice": "refused staff_target"}
    assert bulk.dry_run(pool="default", source="all", actor=helper).refused["staff_target"] == 1
    assert states(finished(start(actor=helper))) == expected
    run = finished(start_list("alice@example.com", "heidi", actor=helper))
    assert list(states(run).values()) == ["refused staff_target", "sent"]
    assert states(finished(start())) == EVERYBODY


def test_staff_members_are_left_out_although_the_actor_is_gone(people: People) -> None:
    User.objects.create(username="alice", is_staff=True)
    helper = User.objects.create(username="helper", is_staff=True)
    run = start_list("alice", "bob", actor=helper)
    helper.delete()
    assert states(finished(run)) == {"alice": "refused staff_target", "bob": "sent"}


def test_pause_and_resume(people: People) -> None:
    run = start_list("alice")
    for _ in range(2):
        assert bulk.pause(run.pk).state == "paused"
    assert states(finished(run)) == {"alice": "pending"}
    before = run.slice_number
    run = bulk.resume(run.pk)
    assert (run.state, run.reason, run.slice_number) == ("ready", "", before + 1)
    assert states(finished(run)) == {"alice": "sent"}


def test_a_list_that_is_read_from_cognito_can_be_paused(people: People) -> None:
    """It goes on at the page where it was."""
    add_people(people, 60)
    run = start("all", force=True)
    assert not bulk.fill_some(run.pk)
    bulk.pause(run.pk)
    assert bulk.fill_some(run.pk) is False
    people.emulator.calls.clear()
    run = bulk.resume(run.pk)
    assert run.state == "filling"
    assert finished(run).state == "done"
    pages = [body for name, body in people.emulator.calls if name == "ListUsers"]
    assert [body["PaginationToken"] for body in pages] == ["after-60"]


def test_a_stopped_run_sends_nothing_more(people: People) -> None:
    run = start_list("alice")
    for _ in range(2):
        assert bulk.stop(run.pk).state == "stopped"
    assert states(finished(run)) == {"alice": "pending"}
    for control in (bulk.pause, bulk.resume):
        with pytest.raises(BulkRefused, match="wrong_state") as refused:
            control(run.pk)
        assert "stopped" in refused.value.message
    assert not resets(people)


def test_what_is_over_isnt_stopped() -> None:
    run = finished(start_list("alice"))
    with pytest.raises(BulkRefused, match="wrong_state") as refused:
        bulk.stop(run.pk)
    assert "done" in refused.value.message


def test_retry_sends_to_those_for_whom_it_failed(people: People) -> None:
    people.emulator.fail_next("AdminResetUserPassword", "CodeDeliveryFailureException")
    run = finished(start_list("alice"))
    finished(run)
    assert states(run) == {"alice": "failed delivery_failed"}
    run = bulk.retry(run.pk)
    assert (run.state, run.ended_at, run.holds) == ("ready", None, "eu-west-1")
    assert states(finished(run)) == {"alice": "sent"}
    assert bulk.retry(run.pk).state == "done"  # there is nobody left


def test_retry_of_a_stopped_run_sends_to_nobody_else(people: People) -> None:
    """It was stopped so that the others aren't reset."""
    run = start_list("alice", "bob")
    BulkItem.objects.filter(username="alice").update(state="failed")
    bulk.stop(run.pk)
    run = finished(bulk.retry(run.pk))
    assert states(run) == {"alice": "sent", "bob": "refused stopped"}
    assert bulk.words("stopped").endswith("this person's turn.")


def test_retry_while_it_runs(people: People) -> None:
    run = start_list("alice", "bob")
    BulkItem.objects.filter(username="alice").update(state="failed")
    assert bulk.retry(run.pk).state == "ready"
    assert states(finished(run)) == {"alice": "sent", "bob": "sent"}


def test_progress(people: People) -> None:
    run = start_list("alice", "bob", "nobody", rate=2.0)
    before = bulk.progress(run)
    assert (before.rate, before.seconds_left, before.stands_still) == (0, 1.5, False)
    assert before.counts == {**dict.fromkeys(BulkItem.State.values, 0), "pending": 3}
    now = timezone.now()
    BulkItem.objects.filter(username="alice").update(
        state="sent", claimed_at=now - timedelta(seconds=10), done_at=now
    )
    run.refresh_from_db()
    during = bulk.progress(run)
    assert during.rate == pytest.approx(0.1, rel=0.1)
    assert during.seconds_left == pytest.approx(20, rel=0.1)
    run = finished(run)
    after = bulk.progress(run)
    assert (after.seconds_left, after.stands_still) == (None, False)
    assert after.counts["sent"] == 2


def test_a_run_that_nobody_works_on_stands_still() -> None:
    run = start()
    long_ago = timezone.now() - timedelta(seconds=61)
    BulkRun.objects.update(touched_at=long_ago)
    run.refresh_from_db()
    assert bulk.progress(run).stands_still
    assert not bulk.progress(bulk.resume(run.pk)).stands_still
    BulkRun.objects.update(touched_at=long_ago, state="paused")
    run.refresh_from_db()
    assert not bulk.progress(run).stands_still


def test_rows(people: People) -> None:
    run = finished(start_list("alice", "nobody"))
    header, sent, refused = bulk.rows(run.pk)
    assert header == ["username", "state", "error", "aws_request_id", "claimed_at", "done_at"]
    item = BulkItem.objects.get(username="alice")
    times = [item.claimed_at.isoformat(), item.done_at.isoformat()]
    assert sent == ["alice", "sent", "", item.aws_request_id, *times]
    assert refused[:4] == ["nobody", "refused", "user_not_found", ""]


def documented() -> dict[str, Any]:
    """Return the functions of docs/bulk.md that read the audit."""
    page = (Path(__file__).parents[1] / "docs" / "bulk.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    functions: dict[str, Any] = {}
    exec("".join(code for code in blocks if "events_of" in code), functions)
    return functions


def test_the_audit_proves_what_the_journal_says(people: People) -> None:
    """docs/bulk.md shows how to find the rows."""
    run = finished(start_list("alice", "bob", "carol"))
    functions = documented()
    for username, outcome in {"alice": "triggered", "carol": "refused"}.items():
        assert [event.outcome for event in functions["events_of"]("default", username)] == [outcome]
    found = functions["events_of_run"](run)
    assert {event.aws_request_id for event in found} == {row[3] for row in bulk.rows(run.pk)} - {
        "",
        "aws_request_id",
    }


def test_the_audit_has_each_attempt(people: People) -> None:
    """The journal has the last one."""
    people.emulator.fail_next("AdminResetUserPassword", Timeout(processed=True))
    run = finished(start_list("alice"))
    bulk.retry(run.pk, unknown=True)
    finished(run)
    ((item, attempts),) = documented()["attempts_of_run"](run)
    assert (item.username, item.state) == ("alice", "sent")
    assert [event.outcome for event in attempts] == ["triggered", "unknown"]


def test_rows_are_no_formulas() -> None:
    names = ["=cmd()", "+1555", "-1", "@SUM(A1)", "a=b", "\0x"]
    run = start_list(*names)
    BulkItem.objects.update(aws_request_id="-x")
    rows = list(bulk.rows(run.pk))
    assert names_of(rows) == ["'=cmd()", "'+1555", "'-1", "'@SUM(A1)", "a=b", "'\ufffdx"]
    assert {row[3] for row in rows[1:]} == {"'-x"}


def test_rows_of_many_are_read_in_batches(django_assert_num_queries: Any) -> None:
    run = start_list(*(f"person-{number}" for number in range(1500)), force=True)
    with django_assert_num_queries(5):
        names = names_of(bulk.rows(run.pk))
    assert names == [f"person-{number}" for number in range(1500)]


def test_purge() -> None:
    """Runs that are over go, with their people. One that isn't stays, however old it is."""
    old = finished(start_list("alice"))
    BulkRun.objects.update(ended_at=timezone.now() - timedelta(days=2))
    recent = finished(start_list("bob"))
    other = start()
    assert bulk.purge(timezone.now() - timedelta(days=1)) == 1
    assert set(BulkRun.objects.all()) == {recent, other}
    assert not BulkItem.objects.filter(run_id=old.pk).exists()


def test_purge_leaves_a_run_alone_that_begins_again_meanwhile(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.emulator.fail_next("AdminResetUserPassword", "CodeDeliveryFailureException")
    run = finished(start_list("alice"))
    change = journal.change

    def later(run_id: int, work: Any) -> Any:
        monkeypatch.undo()
        bulk.retry(run.pk)
        return change(run_id, work)

    monkeypatch.setattr(journal, "change", later)
    assert bulk.purge(timezone.now() + timedelta(days=1)) == 0
    assert states(finished(run)) == {"alice": "sent"}


def test_two_purges_at_once(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(start_list("alice"))
    change = journal.change

    def later(run_id: int, work: Any) -> Any:
        monkeypatch.undo()
        assert bulk.purge(timezone.now() + timedelta(days=1)) == 1
        return change(run_id, work)

    monkeypatch.setattr(journal, "change", later)
    assert bulk.purge(timezone.now() + timedelta(days=1)) == 0


def test_words() -> None:
    assert bulk.words("same_person").startswith("In Cognito this is the same person")
    assert bulk.words("user_not_found") == str(errors.UserNotFound.message)
    assert bulk.words("new_code") == "new_code"
    assert bulk.words("") == ""


def test_a_dry_run_changes_nothing(people: People) -> None:
    preview = bulk.dry_run(pool="default", source="all")
    assert (preview.count, preview.looked_up) == (10, 10)
    assert preview.refused == {
        "user_disabled": 1,
        "not_activated": 1,
        "no_verified_contact": 1,
        "federated_user": 1,
        "not_confirmed": 1,
    }
    # Only Cognito knows of ivan that the phone number is his second factor.
    assert sorted(preview.sample) == sorted([*RESETTABLE, "ivan"])
    assert preview.warnings == []
    assert not BulkRun.objects.exists()
    assert not resets(people)


def test_a_dry_run_of_a_list(people: People) -> None:
    """Its first people are looked up, and the others counted."""
    User.objects.create(username="bob", is_superuser=True)
    helper = User.objects.create(username="helper", is_staff=True)
    names = ["alice", "bob", "nobody", *(f"x{number}" for number in range(200))]
    preview = bulk.dry_run(pool="default", source="list", usernames=names, actor=helper)
    assert (preview.count, preview.looked_up, preview.sample) == (203, 100, ["alice"])
    assert preview.refused == {"staff_target": 1, "user_not_found": 98}


def test_a_dry_run_warns(people: People) -> None:
    names = add_people(people, 70)
    run = start()
    preview = bulk.dry_run(pool="default", source="filter", value='username ^= "person"')
    assert preview.count == 70
    assert preview.sample == names[:10]
    own_sender, busy = preview.warnings
    assert own_sender == bulk.words("own_sender")
    assert f"number {run.pk}" in busy
    limited = bulk.dry_run(pool="default", source="all", limit=65)
    assert limited.count == 65
    with pytest.raises(BulkRefused, match="unknown_source"):
        bulk.dry_run(pool="default", source="everybody")
