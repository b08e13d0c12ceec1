"""Resets of many people: the work, its pace, and what interrupts it."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, InternalError, OperationalError
from django.db.models import F
from django.db.transaction import atomic
from rest_framework.exceptions import ValidationError

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import CognitoService, get_service
from cognito_reset.models import BulkItem, BulkRun, ResetEvent
from cognito_reset.signals import password_reset_failed, password_reset_triggered
from cognito_reset.staff import bulk, claims, journal, pace, worker
from cognito_reset.staff.claims import Outcome
from cognito_reset.testing import Error, Reset, Status, Timeout, WafBlock
from tests.bulk_world import add_people, die, fast, finished, resets, start, start_list, states
from tests.interfaces import with_settings
from tests.people import People

__all__ = ["fast"]  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fast")]

RESET = "AdminResetUserPassword"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "FAILURE_SECONDS", 0.0)
    monkeypatch.setattr(pace, "THROTTLED_SECONDS", 0.05)


def claim_two(run: BulkRun) -> claims.Claim:
    BulkRun.objects.filter(pk=run.pk).update(next_at=1)  # so that more than one is due
    claim = claims.claim(run.pk, 2)
    assert len(claim.items) == 2
    return claim


class Events:
    """The signals of a test."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        for signal in (password_reset_triggered, password_reset_failed):
            signal.connect(self.note, weak=False, dispatch_uid="tests")

    def note(self, *, signal: Any, sender: Any, **event: Any) -> None:
        self.seen.append(event)

    def close(self) -> None:
        for signal in (password_reset_triggered, password_reset_failed):
            signal.disconnect(dispatch_uid="tests")


@pytest.fixture
def events() -> Any:
    recorded = Events()
    yield recorded.seen
    recorded.close()


# The pace


def keeps_rate(times: list[float], rate: int, permits: int) -> None:
    """Compare the times of calls with the rate. A slow machine may make a call some time after its claim."""
    claims = sorted(at.timestamp() for at in BulkItem.objects.values_list("claimed_at", flat=True))
    # The time of a claim is written a moment before the clock is read for the pace.
    assert max(sum(at <= other < at + 0.98 for other in claims) for at in claims) <= rate
    # Before a second begins, as many calls as there are permits may have been claimed.
    assert max(sum(at <= other < at + 1 for other in times) for at in times) <= rate + permits
    # Counted from the first claim, calls that come late are no excess. A worker makes up for a tenth of a second.
    excess = max(n - rate * (at - claims[0]) for n, at in enumerate(sorted(times), 1))
    assert excess <= 1 + rate * 0.15


@pytest.mark.requirement("F7")
def test_f7_no_second_has_more_calls_than_the_rate(people: People) -> None:
    """Measured where Cognito stands. A call comes a few milliseconds after its claim."""
    add_people(people, 45)
    times: list[float] = []

    def note(event: Any) -> Any:
        times.append(time.time())
        return event

    people.emulator.set_hook(people.pool["USER_POOL_ID"], "CustomMessage", note)
    run = finished(start("filter", 'username ^= "person-"', rate=20.0))
    assert run.state == "done"
    assert len(times) == 45
    keeps_rate(times, rate=20, permits=4)


@pytest.mark.requirement("F7")
def test_f7_slow_look_ups_of_a_list_dont_raise_the_rate(
    people: People, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ListUsers hangs at first and hesitates later, so people are found in bursts. They aren't reset in bursts."""
    with_settings(settings, MAX_CONCURRENT_CALLS=16)
    names = add_people(people, 45)
    find_user, admin_reset = CognitoService.find_user, CognitoService.admin_reset
    times: list[float] = []
    begin = time.monotonic()

    def slow(service: CognitoService, *, username: str) -> Any:
        hesitation = int(username[-1]) / 50
        time.sleep(max(begin + 1.0 - time.monotonic(), hesitation))
        return find_user(service, username=username)

    def noted(service: CognitoService, **arguments: Any) -> Any:
        times.append(time.time())
        return admin_reset(service, **arguments)

    monkeypatch.setattr(CognitoService, "find_user", slow)
    monkeypatch.setattr(CognitoService, "admin_reset", noted)
    run = finished(start_list(*names, rate=20.0))
    assert states(run) == dict.fromkeys(names, "sent")
    assert len(times) == 45
    keeps_rate(times, rate=20, permits=16)


def test_look_ups_that_find_nobody_keep_a_pace(
    people: People, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS allows 30 a second, also for the look-ups of staff."""
    with_settings(settings, MAX_CONCURRENT_CALLS=16)
    find_user = CognitoService.find_user
    times: list[float] = []

    def noted(service: CognitoService, *, username: str) -> Any:
        times.append(time.monotonic())
        return find_user(service, username=username)

    monkeypatch.setattr(CognitoService, "find_user", noted)
    run = finished(start_list(*(f"nobody-{number}" for number in range(30)), rate=20.0))
    assert bulk.counts(run.pk)["refused"] == 30
    assert times[-1] - times[0] > 1.2


def looked_up(run: BulkRun, count: int) -> list[tuple[BulkItem, Any]]:
    """Claim people of a list, and look them up."""
    found = []
    for _ in range(count):
        [item] = claims.claim(run.pk, 1, looks_up=True).items
        found.append((item, get_service().find_user(username=item.username)))
        BulkRun.objects.update(look_up_at=0, recent_look_ups="")
    return found


@pytest.mark.requirement("F7")
def test_f7_all_workers_share_the_pace_of_a_list(people: People) -> None:
    run = start_list(*add_people(people, 4), rate=0.5)
    first, second, third, fourth = looked_up(run, 4)
    assert pace.RESETS.due(journal.get(run.pk), time.time()) == 1  # the look-ups haven't used it up
    here = claims.claim_found(run.pk, [first, second])
    there = claims.claim_found(run.pk, [third, fourth])
    assert [item.pk for item in here.wanted] == [first[0].pk]
    assert (here.waiting, there.wanted, there.waiting) == ([second], [], [third, fourth])
    assert 0 < there.wait <= 2
    # They are waited for while the run isn't over.
    assert set(states(run).values()) == {"sending"}
    time.sleep(there.wait)
    assert [item.pk for item in claims.claim_found(run.pk, there.waiting).wanted] == [third[0].pk]


@pytest.mark.requirement("F8")
def test_f8_people_who_were_found_too_early_wait_in_the_journal(people: People) -> None:
    """Nothing was sent to them. If their worker kept them for too long, they would count as unknown."""
    names = add_people(people, 3)
    run = start_list(*names, rate=0.1)
    found = looked_up(run, 3)
    claims.claim_found(run.pk, found[:1])
    early, late = found[1:]
    before = F("claimed_at") - journal.lease() * 0.6
    BulkItem.objects.filter(pk=late[0].pk).update(claimed_at=before)
    late[0].refresh_from_db()
    claimed = claims.claim_found(run.pk, [early, late])
    assert (claimed.wanted, claimed.waiting, claimed.others) == ([], [early], [])
    assert states(run) == dict(zip(names, ["sending", "sending", "pending"], strict=True))
    claimed = claims.claim_found(run.pk, [early], ends=True)
    assert (claimed.wanted, claimed.waiting, claimed.others) == ([], [], [])
    assert states(run) == dict(zip(names, ["sending", "pending", "pending"], strict=True))


@pytest.mark.requirement("F8")
def test_f8_a_transaction_that_runs_twice_claims_the_same_people(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may be lost when the database has committed, but hasn't said so."""
    run = start_list(*add_people(people, 2), rate=5.0)
    found = looked_up(run, 2)
    change = journal.change

    def twice(*arguments: Any) -> Any:
        change(*arguments)
        return change(*arguments)

    monkeypatch.setattr(journal, "change", twice)
    claimed = claims.claim_found(run.pk, found)
    assert [item.pk for item in claimed.wanted] == [found[0][0].pk]
    assert claimed.waiting == [found[1]]
    assert len(json.loads(journal.get(run.pk).recent_claims)) == 1


@pytest.mark.requirement("F8")
def test_f8_a_claim_whose_answer_was_lost_is_given_back_if_the_run_was_paused_meanwhile(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent to the person."""
    run = start_list("alice", rate=5.0)
    found = looked_up(run, 1)
    change = journal.change

    def lost(*arguments: Any) -> Any:
        change(*arguments)
        change(run.pk, journal.pause)
        return change(*arguments)

    monkeypatch.setattr(journal, "change", lost)
    claimed = claims.claim_found(run.pk, found)
    assert (claimed.wanted, claimed.waiting, claimed.others) == ([], [], [])
    assert states(run) == {"alice": "pending"}


@pytest.mark.parametrize("slow", ["find_user", "admin_reset"])
def test_a_worker_that_waits_for_its_last_calls_asks_the_database_seldom(
    people: People, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """And the run ends as soon as they have."""
    call, claim = getattr(CognitoService, slow), claims.claim
    claimed_at: list[float] = []

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(1)
        return call(*arguments, **options)

    def noted(*arguments: Any, **options: Any) -> Any:
        claimed_at.append(time.monotonic())
        return claim(*arguments, **options)

    monkeypatch.setattr(CognitoService, slow, slowly)
    monkeypatch.setattr(claims, "claim", noted)
    monkeypatch.setattr(claims, "IDLE_SECONDS", 8.0)
    monkeypatch.setattr("cognito_reset.staff.worker.LONGEST_PAUSE", 8.0)
    finished(start_list("alice"))
    assert len(claimed_at) < 20
    assert claimed_at[-1] - claimed_at[0] < 6


class Clock:
    """Claims at times of its own."""

    def __init__(self, rate: float, kind: pace.Pace = pace.RESETS) -> None:
        self.run, self.kind = BulkRun(rate=rate, current_rate=rate), kind
        self.claims: list[float] = []
        self.now = 1_800_000_000.0

    def claim(self, most: int = 1000) -> int:
        count = min(most, self.kind.due(self.run, self.now))
        if count:
            self.kind.spend(self.run, count, self.now)
        self.claims += [self.now] * count
        return count

    def most_in_a_second(self) -> int:
        return max(bisect_left(self.claims, at + 1) - i for i, at in enumerate(self.claims))


@pytest.mark.requirement("F7")
@pytest.mark.parametrize("rate", [0.5, 1, 2.5, 5, 30, 200])
@pytest.mark.parametrize("step", [0.001, 0.0037, 0.01, 0.3])
@pytest.mark.parametrize("kind", pace.PACES)
def test_f7_the_pace_is_kept_and_never_exceeded(rate: float, step: float, kind: pace.Pace) -> None:
    """A worker that comes late makes up for a tenth of a second at most, and never exceeds the rate."""
    clock = Clock(rate, kind)
    begin = clock.now
    while clock.now < begin + 10:
        clock.claim()
        clock.now += step
    assert clock.most_in_a_second() <= max(rate, 1) + (rate % 1 > 0)
    if step < 0.1:
        assert len(clock.claims) >= 0.97 * 10 * rate


@pytest.mark.requirement("F7")
def test_f7_time_in_which_nobody_worked_isnt_made_up_for() -> None:
    clock = Clock(25)
    assert clock.claim() == 1
    clock.now += 3600
    assert clock.claim() == 3  # the one that is due, and those of a tenth of a second
    assert clock.claim() == 0


def test_the_wait_is_until_the_next_call_is_due() -> None:
    clock = Clock(5)
    assert pace.RESETS.wait(clock.run, clock.now) == 0
    assert clock.claim() == 1
    for _ in range(20):
        wait = pace.RESETS.wait(clock.run, clock.now)
        assert 0 < wait < 0.5
        clock.now += wait * 0.99
        assert clock.claim() == 0
        clock.now += wait * 0.01 + 1e-6
        assert clock.claim() == 1


def test_a_clock_that_was_set_back_stops_nobody() -> None:
    clock = Clock(5)
    clock.claim()
    clock.now -= 3600
    assert pace.RESETS.wait(clock.run, clock.now) == 0
    assert clock.claim() == 1


def test_look_ups_have_a_pace_of_their_own() -> None:
    clock = Clock(25)
    assert pace.LOOK_UPS.due(clock.run, clock.now) == 1
    pace.LOOK_UPS.spend(clock.run, 1, clock.now)
    assert pace.LOOK_UPS.due(clock.run, clock.now) == 0
    assert pace.LOOK_UPS.wait(clock.run, clock.now) == pytest.approx(0.04, abs=1e-3)
    assert clock.claim() == 1
    clock.now += 10
    assert pace.LOOK_UPS.due(clock.run, clock.now) == 3  # it makes up for a tenth of a second
    pace.hold(clock.run, 5, clock.now)
    assert pace.LOOK_UPS.due(clock.run, clock.now) == clock.claim() == 0
    assert pace.LOOK_UPS.wait(clock.run, clock.now) == pytest.approx(5, abs=1e-3)
    clock.now -= 3600
    assert pace.LOOK_UPS.wait(clock.run, clock.now) == 0
    assert pace.LOOK_UPS.due(clock.run, clock.now) == 1


def test_a_clock_that_was_set_back_stops_no_reading(people: People) -> None:
    run = start("status", "CONFIRMED")
    BulkRun.objects.update(next_at=time.time() + 3600)
    bulk.work(run.pk, seconds=10)
    assert journal.get(run.pk).state == "done"


def test_throttling_halves_the_rate_once_and_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "THROTTLED_SECONDS", 5.0)
    clock = Clock(8)
    clock.claim()
    for _ in range(4):  # the calls that were under way together
        pace.slow_down(clock.run, clock.now)
    assert clock.run.current_rate == 4
    wait = pace.RESETS.wait(clock.run, clock.now)
    assert 5 <= wait <= 6
    clock.now += wait
    pace.slow_down(clock.run, clock.now)
    assert clock.run.current_rate == 2
    for _ in range(10):
        clock.now += 60
        pace.slow_down(clock.run, clock.now)
    assert clock.run.current_rate == pace.LEAST_RATE
    # Sites that were refused together don't come back together.
    assert len({waits_when_throttled() for _ in range(10)}) > 1
    begin = clock.now
    while clock.run.current_rate < 8:
        clock.now += 1 / clock.run.current_rate
        pace.speed_up(clock.run)
    assert 60 < clock.now - begin < 180


def waits_when_throttled() -> float:
    clock = Clock(8)
    pace.slow_down(clock.run, clock.now)
    return pace.RESETS.wait(clock.run, clock.now)


def test_what_was_throttled_is_sent_later(people: People) -> None:
    people.emulator.fail_next(RESET, "TooManyRequestsException", times=2)
    run = finished(start_list("alice", "bob", rate=30.0))
    assert states(run) == {"alice": "sent", "bob": "sent"}
    assert run.current_rate < 30
    assert run.failures == 0
    assert not ResetEvent.objects.exclude(outcome="triggered").exists()


# What comes of a call


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("UserNotFoundException", "refused user_not_found"),
        ("LimitExceededException", "refused attempt_limit"),
        ("CodeDeliveryFailureException", "failed delivery_failed"),
        ("UserLambdaValidationException", "failed trigger_failed"),
        ("InternalErrorException", "unknown outcome_unknown"),
        (Timeout(), "unknown outcome_unknown"),
        (Timeout(processed=True), "unknown outcome_unknown"),
        (Reset(), "unknown outcome_unknown"),
        (Error("AccessDeniedException"), "sent"),
        (WafBlock(), "sent"),
        ("TooManyRequestsException", "sent"),
    ],
)
@pytest.mark.requirement("F8")
def test_f8_each_outcome_is_a_state(
    fault: Any, state: str, people: People, events: list[dict[str, Any]]
) -> None:
    """Only if Cognito did nothing, the person is tried again."""
    people.emulator.fail_next(RESET, fault)
    run = finished(start_list("alice"))
    assert (run.state, states(run)) == ("done", {"alice": state})
    [event] = events
    word, _, code = state.partition(" ")
    assert event["outcome"] == {"sent": "triggered"}.get(word, word)
    assert event["error_code"] == code
    assert (event["username"], event["request"], event["interface"]) == ("alice", None, "python")
    assert resets(people) == {"alice": 1 if word != "sent" else 2}


def test_a_look_up_that_failed_is_made_again(people: People) -> None:
    people.emulator.fail_next("ListUsers", Timeout(), times=2)
    run = finished(start_list("alice"))
    assert states(run) == {"alice": "sent"}


@pytest.mark.requirement("F8")
def test_f8_a_cognito_that_hangs_pauses_the_run(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a hundred people only those are in doubt whose calls were under way."""
    names = add_people(people, 100)
    people.emulator.fail_next(RESET, Timeout(), times=100)
    run = finished(start_list(*names, force=True))
    assert (run.state, run.reason) == ("paused", "outcome_unknown") or run.reason == "unavailable"
    counts = bulk.counts(run.pk)
    assert 3 <= counts["unknown"] <= 7
    assert counts["pending"] == 100 - counts["unknown"]
    assert f"cognito_reset.bulk_paused run={run.pk} reason=" in caplog.text
    assert not any(name in caplog.text for name in names)


def test_five_failures_in_a_row_pause_the_run(people: People, settings: Any) -> None:
    """The reason and what to look at are kept. A success, or somebody who is refused, begins the count anew."""
    with_settings(
        settings, MAX_CONCURRENT_CALLS=1
    )  # or another call may succeed between the failures
    names = add_people(people, 12)
    denied = Error("AccessDeniedException")
    for fault in (*[denied] * 4, Error("UserNotFoundException"), *[denied] * 5):
        people.emulator.fail_next(RESET, fault)
    run = finished(start_list(*names, rate=30.0))
    assert (run.state, run.reason, run.failures) == ("paused", "misconfigured", 5)
    assert run.hint == "AWS_PERMISSIONS"
    assert bulk.counts(run.pk)["unknown"] == 0
    run = finished(bulk.resume(run.pk))
    assert (run.state, run.reason, run.hint) == ("done", "", "")
    assert bulk.counts(run.pk)["sent"] == 11


def test_messages_that_cant_be_delivered_pause_the_run(people: People) -> None:
    """Their reason is the pool, and the passwords may have ended."""
    names = add_people(people, 12)
    people.emulator.fail_next(RESET, "CodeDeliveryFailureException", times=12)
    run = finished(start_list(*names, rate=30.0))
    assert (run.state, run.reason) == ("paused", "delivery_failed")
    assert bulk.counts(run.pk)["failed"] < 10


def test_the_sites_own_service_may_fail(
    people: People, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "SERVICE_CLASS": BrokenService}
    run = finished(start_list("alice"))
    assert states(run) == {"alice": "unknown outcome_unknown"}
    assert "cognito_reset.bulk_call_failed error=ZeroDivisionError at=" in caplog.text


class BrokenService(CognitoService):
    def admin_reset(self, **_: Any) -> str:
        raise ZeroDivisionError("alice")


@pytest.mark.parametrize("error", [OSError(), ValidationError("For visitors.")], ids=repr)
@pytest.mark.parametrize("source", ["all", "list"])
def test_a_user_resolver_that_fails_pauses_the_run(
    source: str, error: Exception, people: People, settings: Any
) -> None:
    """Nobody is reset whom the site couldn't recognise as a staff member."""

    def fail(username: str) -> None:
        raise error

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "USER_RESOLVER": fail}
    helper = User.objects.create(username="helper", is_staff=True)
    run = start(source, usernames=["alice", "bob"] * (source == "list"), actor=helper)
    run = finished(run)
    assert (run.state, run.reason, run.hint) == ("paused", "site_code_failed", "USER_RESOLVER")
    assert not resets(people)


def test_client_metadata_is_passed_on(people: People, settings: Any) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "CLIENT_METADATA": {"language": "de"}}
    finished(start_list("alice"))
    [body] = [body for name, body in people.emulator.calls if name == RESET]
    assert body["ClientMetadata"] == {"language": "de"}


@pytest.mark.parametrize(
    ("returned", "reason", "hint"),
    [
        (ZeroDivisionError(), "site_code_failed", "CLIENT_METADATA"),
        (ValidationError("For visitors."), "site_code_failed", "CLIENT_METADATA"),
        ([1], "misconfigured", ""),
    ],
    ids=str,
)
def test_client_metadata_that_cant_be_used(
    people: People, settings: Any, returned: Any, reason: str, hint: str
) -> None:
    """The reason leads to the site's own code or settings, and not to Cognito."""

    def client_metadata(request: Any) -> Any:
        assert request is None
        if isinstance(returned, Exception):
            raise returned
        return returned

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "CLIENT_METADATA": client_metadata}
    run = finished(start_list("alice"))
    assert (run.state, run.reason, run.hint) == ("paused", reason, hint)
    assert bulk.words(run.reason) not in (bulk.words("unavailable"), run.reason)
    assert states(run) == {"alice": "pending"}


def test_settings_that_cant_be_used(people: People, settings: Any) -> None:
    run = start_list("alice")
    settings.COGNITO_RESET = {
        **settings.COGNITO_RESET,
        "POOLS": {"default": {"REGION": "eu-west-1"}},
    }
    run = finished(run)
    assert (run.state, run.reason) == ("paused", "misconfigured")
    assert states(run) == {"alice": "pending"}


# Reading the list


def test_a_list_that_cant_be_read_pauses_the_run(people: People) -> None:
    people.emulator.fail_next("ListUsers", Error("AccessDeniedException"), times=5)
    run = finished(start())
    assert (run.state, run.reason, run.hint) == ("paused", "misconfigured", "AWS_PERMISSIONS")
    assert finished(bulk.resume(run.pk)).state == "done"


def test_a_group_that_is_deleted_after_the_start_pauses_the_run(people: People) -> None:
    refusal = Error("ResourceNotFoundException", "Group not found.")
    people.emulator.fail_next("ListUsersInGroup", Status(500))  # the check at the start
    run = start("group", "team")
    people.emulator.fail_next("ListUsersInGroup", refusal, times=5)
    assert finished(run).reason == "selection_invalid"


def test_a_list_is_read_on_after_a_few_failures(people: People) -> None:
    people.emulator.fail_next("ListUsers", "TooManyRequestsException", times=2)
    people.emulator.fail_next("ListUsers", Timeout(), times=2)
    run = finished(start(rate=30.0))
    assert run.state == "done"


def test_a_page_whose_token_is_refused_begins_the_list_anew(people: People) -> None:
    """Cognito doesn't say how long a token is good for. Nobody is sent a second code."""
    names = add_people(people, 65)
    run = start("filter", 'username ^= "person-"', force=True)
    bulk.fill_some(run.pk)
    BulkRun.objects.update(page_token="old")
    run = finished(run)
    assert (run.state, run.reason) == ("paused", "account_refused")
    assert finished(bulk.resume(run.pk)).state == "done"
    assert resets(people) == dict.fromkeys(names, 1)


def test_a_list_of_which_a_rival_reads_a_page(people: People, monkeypatch: Any) -> None:
    """A page that another worker wrote meanwhile is written once, and its refusals are reported once."""
    run = start()
    list_users = CognitoService.list_users

    def slow(service: CognitoService, **arguments: Any) -> Any:
        monkeypatch.undo()
        bulk.fill_some(run.pk)
        return list_users(service, **arguments)

    monkeypatch.setattr(CognitoService, "list_users", slow)
    assert bulk.fill_some(run.pk)
    assert BulkItem.objects.count() == 10
    assert ResetEvent.objects.filter(outcome="refused").count() == 5


# Interruptions


@pytest.mark.requirement("F8")
def test_f8_an_item_whose_worker_died_is_never_sent_again(
    people: People, events: list[dict[str, Any]]
) -> None:
    """It is "unknown", until somebody asks for it to be sent once more."""
    run = start("status", "CONFIRMED", rate=30.0)
    bulk.fill_some(run.pk)
    claim = claim_two(run)
    dead = {item.username for item in claim.items}
    assert len(dead) == 2
    die(run)
    events.clear()
    run = finished(run)
    assert run.state == "done"
    assert {
        name for name, state in states(run).items() if state == "unknown outcome_unknown"
    } == dead
    assert not dead & set(resets(people))
    unknown = [event["username"] for event in events if event["outcome"] == "unknown"]
    assert sorted(unknown) == sorted(dead)
    assert bulk.retry(run.pk).state == "done"
    finished(bulk.retry(run.pk, unknown=True))
    assert {resets(people)[name] for name in dead} == {1}


@pytest.mark.requirement("F8")
def test_f8_an_item_that_is_being_sent_is_waited_for(people: People) -> None:
    """The run isn't over before that, and its state isn't guessed."""
    run = start_list("alice")
    claim = claims.claim(run.pk, 1)
    bulk.work(run.pk, seconds=0.3)
    run.refresh_from_db()
    assert (run.state, states(run)) == ("running", {"alice": "sending"})
    assert bulk.progress(run).seconds_left is not None
    claims.settle(run.pk, [Outcome(claim.items[0], None, "request-id")])
    assert finished(run).state == "done"
    assert states(run) == {"alice": "sent"}


@pytest.mark.requirement("F8")
def test_f8_a_dead_workers_items_are_shown_as_unknown(people: People) -> None:
    """In a run that was stopped, nobody writes that."""
    run = start_list("alice", "bob")
    claims.claim(run.pk, 1)
    bulk.stop(run.pk)
    assert bulk.counts(run.pk)["sending"] == 1
    die(run)
    counts = bulk.counts(run.pk)
    assert (counts["sending"], counts["unknown"], counts["pending"]) == (0, 1, 1)
    _, alice, bob = bulk.rows(run.pk)
    assert alice[:3] == ["alice", "unknown", "outcome_unknown"]
    assert bob[:3] == ["bob", "pending", ""]


@pytest.mark.requirement("F8")
def test_f8_a_late_outcome_corrects_unknown(people: People) -> None:
    run = start_list("alice", "bob")
    claim = claim_two(run)
    die(run)
    BulkRun.objects.update(state="running")
    bulk.stop(run.pk)
    assert states(run) == dict.fromkeys(("alice", "bob"), "unknown outcome_unknown")
    for item in claim.items:
        item.refresh_from_db()
    alice, bob = claim.items
    outcomes = [Outcome(alice, None, "request-id"), Outcome(bob, errors.Busy())]
    assert [outcome.item for outcome in claims.settle(run.pk, outcomes)] == [alice]
    assert states(run) == {"alice": "sent", "bob": "pending"}


@pytest.mark.requirement("F8")
def test_f8_an_outcome_counts_for_its_own_claim_only(people: People) -> None:
    """The answer to a call of which nobody knew doesn't settle the call that was made after it."""
    run = start_list("alice")
    claim = claims.claim(run.pk, 1)
    die(run)
    bulk.resume(run.pk)
    assert states(run) == {"alice": "unknown outcome_unknown"}
    bulk.retry(run.pk, unknown=True)
    time.sleep(0.001)
    again = claims.claim(run.pk, 1)
    claims.settle(run.pk, [Outcome(claim.items[0], errors.Busy())])
    assert states(run) == {"alice": "sending"}
    claims.settle(run.pk, [Outcome(again.items[0])])
    assert states(run) == {"alice": "sent"}


def test_nobody_waits_in_a_run_that_is_over(people: People) -> None:
    """A call that did nothing, and says so after the end of the run, has failed: retry finds it."""
    run = start_list("alice")
    claim = claims.claim(run.pk, 1)
    die(run)
    assert finished(run).state == "done"
    claim.items[0].refresh_from_db()
    claims.settle(run.pk, [Outcome(claim.items[0], errors.Busy())])
    assert states(run) == {"alice": "failed unavailable"}


def test_a_person_found_after_a_pause_isnt_reset(people: People, monkeypatch: Any) -> None:
    """The look-up of an entry of a list takes its time, and somebody may pause the run meanwhile."""
    run = start_list("alice")
    find_user = CognitoService.find_user
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.01)

    def slow(service: CognitoService, *, username: str) -> Any:
        time.sleep(0.1)
        return find_user(service, username=username)

    def paused() -> bool:
        if BulkItem.objects.filter(state="sending").exists():
            bulk.pause(run.pk)
        return True

    monkeypatch.setattr(CognitoService, "find_user", slow)
    bulk.work(run.pk, wanted=paused)
    assert states(run) == {"alice": "pending"}
    assert not resets(people)


def test_f8_a_person_found_after_the_end_is_not_forgotten(people: People) -> None:
    """A worker was silent for longer than the lease, and the run has ended. Its look-up has sent nothing."""
    run = start_list("alice")
    [item] = claims.claim(run.pk, 1).items
    found = get_service().find_user(username="alice")
    die(run)
    item.refresh_from_db()
    assert finished(run).state == "done"
    assert states(run) == {"alice": "unknown outcome_unknown"}
    claimed = claims.claim_found(run.pk, [(item, found)])
    assert (claimed.wanted, claimed.waiting) == ([], [])
    claims.settle(run.pk, claimed.others)
    assert states(run) == {"alice": "failed unavailable"}
    bulk.retry(run.pk)
    assert states(finished(run)) == {"alice": "sent"}


def test_f8_a_worker_that_was_halted_sends_nothing_after_the_lease(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example because its machine was. Meanwhile others may have sent to the person, or stopped the run."""
    run = start("filter", 'username = "alice"')
    claim = claims.claim

    def halted(*arguments: Any, **options: Any) -> claims.Claim:
        claimed = claim(*arguments, **options)
        die(run)
        for item in claimed.items:
            item.refresh_from_db()
        return claimed

    monkeypatch.setattr(claims, "claim", halted)
    assert finished(run).state == "done"
    assert states(run) == {"alice": "unknown outcome_unknown"}
    assert not resets(people)


def test_an_item_that_was_taken_away_isnt_sent(people: People) -> None:
    """Its worker was silent for so long that somebody else had it sent."""
    run = start_list("alice")
    claim = claims.claim(run.pk, 1)
    found = get_service().find_user(username="alice")
    BulkItem.objects.update(claimed_at=F("claimed_at") + timedelta(seconds=1))
    claimed = claims.claim_found(run.pk, [(claim.items[0], found)])
    assert (claimed.wanted, claimed.waiting, claimed.others) == ([], [], [])


@pytest.mark.parametrize("calls", [1, 3])
def test_work_stops_when_it_isnt_wanted(people: People, calls: int) -> None:
    """What is under way is settled first."""
    names = add_people(people, 10)
    run = start_list(*names, rate=30.0)

    def wanted() -> bool:
        return sum(resets(people).values()) < calls

    bulk.work(run.pk, wanted=wanted)
    run.refresh_from_db()
    counts = bulk.counts(run.pk)
    assert run.state == "running"
    assert counts["sending"] == 0
    assert calls <= counts["sent"] == sum(resets(people).values()) < 10


def test_a_list_is_not_read_when_it_isnt_wanted(people: People) -> None:
    run = start()
    bulk.work(run.pk, wanted=lambda: False)
    bulk.work(run.pk, seconds=0)
    assert people.emulator.calls == []
    run.refresh_from_db()
    assert run.state == "filling"


def test_changes_are_reported(people: People) -> None:
    changes: list[dict[str, int]] = []
    run = start()
    bulk.work(run.pk, when_changed=lambda: changes.append(bulk.counts(run.pk)))
    assert changes[0]["pending"] == 5
    assert changes[-1]["sent"] == 4


def test_an_exception_in_the_middle_loses_no_outcome(people: People) -> None:
    """Task queues raise one in a handler of a signal when a task takes too long."""
    names = add_people(people, 10)
    run = start_list(*names, rate=30.0)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.work(run.pk, when_changed=interrupt)
    counts = bulk.counts(run.pk)
    assert counts["sent"] == sum(resets(people).values())


def test_slices(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its number. A task that comes twice or late does nothing."""
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.15)
    names = add_people(people, 9)
    run = start_list(*names, rate=10.0)
    assert bulk.run_slice(run.pk, 0) == 1
    sent = bulk.counts(run.pk)["sent"]
    assert sent < 9
    assert bulk.run_slice(run.pk, 0) is None
    assert bulk.counts(run.pk)["sent"] == sent
    run = bulk.resume(run.pk)
    assert run.slice_number == 2
    assert bulk.run_slice(run.pk, 1) is None
    number: int | None = 2
    while number is not None:
        number = bulk.run_slice(run.pk, number)
    run.refresh_from_db()
    assert run.state == "done"
    assert resets(people) == dict.fromkeys(names, 1)
    assert bulk.run_slice(run.pk, run.slice_number) is None


def test_a_slice_that_was_overtaken_isnt_followed(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has resumed the run meanwhile, and other tasks carry it on."""
    monkeypatch.setattr(worker, "SLICE_SECONDS", 2.0)
    run = start_list("alice", "bob", "heidi", rate=0.5)
    numbers: list[int] = []

    def overtake(**_: Any) -> None:
        if not numbers:
            numbers.append(bulk.resume(run.pk).slice_number)

    password_reset_triggered.connect(overtake, weak=False, dispatch_uid="overtake")
    try:
        assert bulk.run_slice(run.pk, 0) is None
    finally:
        password_reset_triggered.disconnect(dispatch_uid="overtake")
    assert numbers == [2]
    run.refresh_from_db()
    assert run.state in ("ready", "running")


def test_a_deleted_actor_is_no_longer_named(people: People) -> None:
    actor = User.objects.create_superuser("root")
    run = start_list("alice", "bob", actor=actor, rate=2.0)

    def delete(**_: Any) -> None:
        User.objects.all().delete()

    password_reset_triggered.connect(delete, weak=False, dispatch_uid="delete")
    try:
        finished(run)
    finally:
        password_reset_triggered.disconnect(dispatch_uid="delete")
    assert states(run) == {"alice": "sent", "bob": "sent"}
    assert set(ResetEvent.objects.values_list("actor", flat=True)) == {None}


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    """What a test's own transaction would hide."""

    def test_nothing_is_done_inside_of_a_transaction(self, people: People) -> None:
        """Its rollback would undo the journal, after the calls were made."""
        run = start_list("alice")
        with atomic(), pytest.raises(RuntimeError):
            bulk.work(run.pk)
        assert states(run) == {"alice": "pending"}
        assert not resets(people)

    @pytest.mark.parametrize(("error", "times"), [(OperationalError, 8), (InternalError, 2)])
    def test_a_lost_connection_is_made_anew(
        self, people: People, error: type[DatabaseError], times: int
    ) -> None:
        """PostgreSQL's drivers raise InternalError after idle_in_transaction_session_timeout."""
        run = start_list("alice")
        tries: list[int] = []

        def work(run: BulkRun) -> str:
            tries.append(run.pk)
            if len(tries) < times:
                raise error
            return "done"

        assert journal.change(run.pk, work) == "done"
        assert len(tries) == times

    def test_a_database_that_stays_away_ends_the_work(
        self, people: People, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(journal, "PATIENCE_SECONDS", 0.0)
        run = start_list("alice")

        def work(run: BulkRun) -> None:
            raise OperationalError

        with pytest.raises(OperationalError):
            journal.change(run.pk, work)
        assert states(run) == {"alice": "pending"}


def test_the_lease_is_longer_than_any_call(settings: Any) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "TOTAL_TIMEOUT_SECONDS": 60.0}
    assert journal.lease() > timedelta(seconds=2 * 60)
