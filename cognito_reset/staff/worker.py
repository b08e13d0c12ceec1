"""
The work on a reset of many people: read the list, claim people, call Cognito, settle the outcomes.

Any number of processes may work on a run at once. Calls are made in threads. All database work is done in
the caller's thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import CognitoService
from cognito_reset.cognito.users import PoolUser
from cognito_reset.conf import conf
from cognito_reset.models import BulkItem, BulkRun, ResetEvent
from cognito_reset.staff import claims, journal, pace
from cognito_reset.staff.accounts import StaffTarget, is_staff_person, site_value, staff_identifiers
from cognito_reset.staff.claims import Outcome
from cognito_reset.staff.journal import Entry, State
from cognito_reset.staff.perform import announce_reset
from cognito_reset.staff.sources import (
    LISTED,
    OWN_SENDER_MAILS,
    entries_of,
    has_own_sender,
    read_page,
    service_for,
)

logger = logging.getLogger(__name__)

SLICE_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.2  # how often to ask whether to go on
SHORTEST_PAUSE: Final = 0.005  # between two claims
LONGEST_PAUSE: Final = 1.0
EXPIRE_EVERY_SECONDS: Final = 10.0
STAFF_SECONDS: Final = 60.0  # how long the site's staff members are stored


def always() -> bool:
    return True


def work(
    run_id: int,
    *,
    seconds: float | None = None,
    wanted: Callable[[], bool] = always,
    when_changed: Callable[[], None] | None = None,
) -> None:
    """
    Work on a run until it is over or paused, ``seconds`` have passed, or ``wanted()`` returns False. Calls that
    are under way are waited for. ``when_changed`` is called after each change of the journal.
    """
    give_up_at = None if seconds is None else time.monotonic() + seconds

    def goes_on() -> bool:
        return wanted() and (give_up_at is None or time.monotonic() < give_up_at)

    changed = when_changed or (lambda: None)
    _read_list(run_id, goes_on, changed)
    _make_client(run_id)
    with ThreadPoolExecutor(conf.max_concurrent_calls, "cognito_reset_bulk") as threads:
        _Worker(run_id, threads, changed).work(goes_on)


def run_slice(run_id: int, number: int) -> int | None:
    """
    Work on a run for some seconds, as one task of a task queue. Return the number of the next slice, or None
    if there is none: the run is over or paused, or this task came twice or too late.
    """

    def begin(run: BulkRun) -> bool:
        if run.slice_number != number or run.state not in journal.ACTIVE:
            return False
        run.slice_number += 1
        return True

    if not journal.change(run_id, begin):
        return None
    work(run_id, seconds=SLICE_SECONDS)
    run = journal.get(run_id)
    return number + 1 if run.slice_number == number + 1 and run.state in journal.ACTIVE else None


def fill_some(run_id: int) -> bool:
    """
    Read the next page of the run's people into the journal. Return whether the list is complete. Raise
    ``ResetError`` if it can't be read.
    """
    run = journal.get(run_id)
    if run.state != State.FILLING or run.source not in LISTED:
        return run.is_complete
    service = service_for(run.pool)
    users, token = read_page(service, run.source, run.source_value, run.page_token)
    entries = entries_of(run.pool, users, service, spares_staff=run.spares_staff)
    most = OWN_SENDER_MAILS if has_own_sender(service) else None
    fill(run, entries, next_token=token, ends=not token, most=most)
    return journal.get(run_id).is_complete


def fill(run: BulkRun, entries: Sequence[Entry], **page: Any) -> list[BulkItem] | None:
    """Write people into the journal as ``journal.fill()`` does, and report those who are refused."""
    new = journal.fill(run.pk, entries, page_token=run.page_token, **page)
    refusals = {journal.digest(entry.username): entry.error for entry in entries}
    for item in new or ():
        if error := refusals[item.username_hash]:
            report(run, [Outcome(item, error())])
    return new


def report(run: BulkRun, outcomes: Iterable[Outcome]) -> None:
    """Send the signal of each outcome, after it was written: receivers may be the site's own."""
    for outcome in outcomes:
        _send_signal(run, outcome)


class _Worker:
    """One process's part of the calls."""

    def __init__(
        self, run_id: int, threads: ThreadPoolExecutor, changed: Callable[[], None]
    ) -> None:
        self._run = journal.get(run_id)
        self._threads = threads
        self._changed = changed
        self._most = conf.max_concurrent_calls
        self._under_way: set[Future[_Result]] = set()
        # People of a list whose reset isn't due yet.
        self._found: list[tuple[BulkItem, PoolUser]] = []
        self._ended: list[Outcome] = []  # what isn't settled yet
        self._claim_at = self._send_at = self._expire_at = self._staff_expire = 0.0
        self._is_idle = False
        self._staff: frozenset[str] | None = None

    def work(self, goes_on: Callable[[], bool]) -> None:
        try:
            while goes_on():
                self._collect()
                if self._found and time.monotonic() >= self._send_at:
                    self._send_found()
                if self._room and time.monotonic() >= self._claim_at:
                    if not self._claim():
                        break
                else:
                    self._settle()
                self._wait()
        finally:
            # Also if the handler of a signal, for example of a task queue, has raised an exception.
            while self._under_way:
                wait(self._under_way, None, FIRST_COMPLETED)
                self._collect()
            if self._found:
                self._send_found(ends=True)
            self._settle()
        self._changed()

    @property
    def _room(self) -> int:
        """Return how many people more may be claimed."""
        return self._most - len(self._under_way) - len(self._found)

    def _claim(self) -> bool:
        """
        Settle the calls that have ended, claim what is due, and begin to send it. Return whether there is more to
        be done.
        """
        now = time.monotonic()
        expire = now >= self._expire_at
        if expire:
            self._expire_at = now + EXPIRE_EVERY_SECONDS
        looks_up = self._run.source not in LISTED
        claim = claims.claim(
            self._run.pk, self._room, outcomes=self._ended, expire=expire, looks_up=looks_up
        )
        self._ended.clear()
        if claim.run.actor_id == self._run.actor_id:
            claim.run.actor = self._run.actor  # saves a query for each claim
        self._run, self._is_idle = claim.run, claim.is_idle
        self._claim_at = now + min(max(claim.wait, SHORTEST_PAUSE), LONGEST_PAUSE)
        for item in claim.items:
            if looks_up:
                self._submit(item, partial(_look_up, item))
            else:
                self._send(item)
        expired = [Outcome(item, errors.OutcomeUnknown()) for item in claim.expired]
        self._report(claim.final + expired)
        return claim.goes_on

    def _settle(self) -> None:
        if self._ended:
            final = claims.settle(self._run.pk, self._ended)
            self._ended.clear()
            self._report(final)

    def _report(self, outcomes: list[Outcome]) -> None:
        report(self._run, outcomes)
        if outcomes:
            self._changed()

    def _send(self, item: BulkItem) -> None:
        if journal.is_expired(item):
            # This process was halted since its claim. The person counts as unknown, or was even sent another one.
            return
        try:
            metadata = site_value("CLIENT_METADATA", partial(conf.client_metadata, None))
        except errors.ResetError as error:
            failure = error
        else:
            self._submit(item, partial(_reset, item, metadata))
            return
        future: Future[_Result] = Future()
        future.set_result(Outcome(item, failure))
        self._under_way.add(future)

    def _submit(self, item: BulkItem, call: Callable[[CognitoService], _Result]) -> None:
        self._under_way.add(self._threads.submit(_result_of, self._run.pool, item, call))

    def _wait(self) -> None:
        """Wait until a call has ended, or it is time to claim, to send, or to ask whether to go on."""
        seconds = POLL_SECONDS
        if self._room:
            seconds = min(max(0.0, self._claim_at - time.monotonic()), seconds)
        if self._found:
            seconds = min(max(0.0, self._send_at - time.monotonic()), seconds)
        if self._under_way:
            wait(self._under_way, seconds, FIRST_COMPLETED)
        else:
            time.sleep(seconds)

    def _collect(self) -> None:
        """Note the calls that have ended, and the people who were found."""
        done = {future for future in self._under_way if future.done()}
        results = [future.result() for future in done]
        ended = [result for result in results if isinstance(result, Outcome)]
        people: list[tuple[BulkItem, PoolUser]] = []
        if found := [result for result in results if isinstance(result, _Found)]:
            people, refused = self._checked(found)
            ended += refused
        if done and self._is_idle:
            self._claim_at = 0.0  # so that the run ends as soon as its last call
        self._under_way -= done
        self._found += people
        self._ended += ended

    def _send_found(self, *, ends: bool = False) -> None:
        """Send the resets that are due of the people who were found. If the work ``ends``, send none."""
        now = time.monotonic()
        claimed = claims.claim_found(self._run.pk, self._found, ends=ends)
        self._found = claimed.waiting
        self._ended += claimed.others
        self._send_at = now + min(max(claimed.wait, SHORTEST_PAUSE), LONGEST_PAUSE)
        for item in claimed.wanted:
            self._send(item)

    def _checked(
        self, found: list[_Found]
    ) -> tuple[list[tuple[BulkItem, PoolUser]], list[Outcome]]:
        """Return the people who may be reset, and why others may not."""
        if self._run.spares_staff and time.monotonic() >= self._staff_expire:
            self._staff = journal.patiently(partial(staff_identifiers, conf.cognito_username))
            self._staff_expire = time.monotonic() + STAFF_SECONDS
        people, refused = [], []
        for item, person, refusal in found:
            is_staff = partial(is_staff_person, self._run.pool, person, self._staff)
            try:
                kind = StaffTarget if journal.patiently(is_staff) else refusal
                error = kind() if kind else None
            except errors.ResetError as failure:  # of the site's own code
                error = failure
            if error:
                refused.append(Outcome(item, error))
            else:
                people.append((item, person))
        return people, refused


class _Found(NamedTuple):
    """A person whom an item of a list stands for, and why the person can't be reset, if so."""

    item: BulkItem
    person: PoolUser
    refusal: type[errors.ResetError] | None


_Result = Outcome | _Found


def _look_up(item: BulkItem, service: CognitoService) -> _Found:
    person = service.find_user(username=item.username)
    return _Found(item, person, person.refusal(service.pool_rules(required=True)))


def _reset(item: BulkItem, metadata: dict[str, str] | None, service: CognitoService) -> Outcome:
    request_id = service.admin_reset(username=item.username, client_metadata=metadata)
    return Outcome(item, None, request_id)


def _result_of(pool: str, item: BulkItem, call: Callable[[CognitoService], _Result]) -> _Result:
    """Return the call's result, or the outcome of an item whose call failed. It runs in a thread."""
    try:
        return call(service_for(pool))
    except errors.ResetError as error:
        return Outcome(item, error, error.request_id)
    except Exception as error:  # of the site's own SERVICE_CLASS
        name, at = type(error).__name__, errors.failing_line(error)
        logger.critical("cognito_reset.bulk_call_failed error=%s at=%s", name, at)
        return Outcome(item, errors.OutcomeUnknown(aws_code=name))


def _read_list(run_id: int, goes_on: Callable[[], bool], changed: Callable[[], None]) -> None:
    """Read the run's people into the journal, if that is still to be done."""
    while goes_on():
        run = journal.get(run_id)
        if run.state != State.FILLING or run.source not in LISTED:
            return
        if (pause := pace.RESETS.wait(run, time.time())) > 0:
            time.sleep(min(pause, POLL_SECONDS))
            continue
        try:
            fill_some(run_id)
        except errors.ResetError as error:
            failure = error
        else:
            changed()
            continue
        claims.fail(run_id, failure)
        changed()


def _make_client(run_id: int) -> None:
    """Make Cognito's client now: it takes a moment, in which calls that were claimed would be held up."""
    run = journal.get(run_id)
    if run.state in (State.READY, State.RUNNING):
        with suppress(errors.ResetError):  # the calls will meet it as well
            service_for(run.pool).pool_rules()


def _send_signal(run: BulkRun, outcome: Outcome) -> None:
    error = outcome.error
    event: dict[str, Any] = {
        "request": None,
        "interface": run.interface,
        "pool": run.pool,
        "username": outcome.item.username,
        "outcome": error.outcome if error else ResetEvent.Outcome.TRIGGERED,
        "error_code": error.code if error else "",
        "aws_request_id": outcome.request_id,
        "user": None,
        "actor": run.actor,
    }
    announce_reset(BulkRun, error, **event)
