"""
The journal of a reset of many people: the transactions on ``BulkRun`` and ``BulkItem``.

Each begins with an UPDATE of the run's row. That is a lock on every database, so one worker at a time
changes a run. No transaction calls Cognito.

A call is made between two transactions. ``claim()`` writes that an item is being sent, and ``settle()``
writes what came of it. An item whose worker has died in between becomes "unknown" after a while, because
nobody knows whether Cognito got the call. It is sent again only if somebody asks for that.

An item of a list is claimed twice: by ``claim()`` for its look-up, and by ``claim_found()`` for its reset, when that
is due.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from django.db import (
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    connections,
    router,
)
from django.db.models import F
from django.db.transaction import atomic
from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.cognito.users import PoolUser
from cognito_reset.conf import conf
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.resets.stores import run_again
from cognito_reset.staff import pace
from cognito_reset.staff.accounts import SamePerson
from cognito_reset.staff.reasons import run_reason

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger(__name__)

T = TypeVar("T")

State = BulkRun.State
ItemState = BulkItem.State
ACTIVE: Final = (State.FILLING, State.READY, State.RUNNING)
OVER: Final = (State.STOPPED, State.DONE)
FAILURES_TO_PAUSE: Final = 5
# PostgreSQL's drivers raise InternalError if idle_in_transaction_session_timeout has ended the session.
LOST: Final = (OperationalError, InterfaceError, InternalError)
# How long a worker waits for a database that can't be reached.
PATIENCE_SECONDS: Final = 30.0
# Cognito's usernames match this (botocore's model). They contain no space.
_USERNAME: Final = re.compile(r"[^\s\x00-\x1f\x7f]{1,128}")
# How long a worker waits before its next claim, if nobody is left to be claimed. It waits less if one of its calls
# ends.
IDLE_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Entry:
    """
    A person to write into the journal. ``error`` is why the person can't be reset. ``may_get_mail`` is False if the
    code certainly doesn't go by mail.
    """

    username: str
    error: type[errors.ResetError] | None = None
    may_get_mail: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a claimed item."""

    item: BulkItem
    error: errors.ResetError | None = None
    request_id: str = ""

    @property
    def state(self) -> ItemState:
        match self.error:
            case None:
                return ItemState.SENT
            case errors.UpstreamThrottled():
                return ItemState.PENDING
            case errors.AccountRefused(outcome="refused"):
                return ItemState.REFUSED
            case errors.AccountRefused():
                return ItemState.FAILED
            case errors.Unavailable(outcome="failed"):  # Cognito did nothing
                return ItemState.PENDING
        return ItemState.UNKNOWN

    @property
    def is_failure(self) -> bool:
        """Return whether the reason isn't the person, so that the next call would probably fail as well."""
        is_person = self.state in (ItemState.SENT, ItemState.REFUSED)
        return not is_person and not isinstance(self.error, errors.UpstreamThrottled)


@dataclass(frozen=True)
class Claim:
    """
    ``items`` are to be sent by the caller now. ``wait`` is the number of seconds until others may be due. ``final``
    are the outcomes that were written and are final. ``expired`` are items whose worker has died. ``is_idle`` means
    that nobody waits to be claimed: the run only waits for calls that are under way.
    """

    run: BulkRun
    items: list[BulkItem]
    wait: float
    final: list[Outcome]
    expired: list[BulkItem]
    is_idle: bool = False

    @property
    def goes_on(self) -> bool:
        return may_send(self.run)


class ClaimedFound(NamedTuple):
    """
    ``wanted`` are to be sent by the caller now, and ``waiting`` go into the next call, after ``wait`` seconds.
    ``others`` are the outcomes of items that won't be sent: the run is over, or another item is about the same person.
    """

    wanted: list[BulkItem]
    waiting: list[tuple[BulkItem, PoolUser]]
    others: list[Outcome]
    wait: float


def may_send(run: BulkRun) -> bool:
    return run.is_confirmed and run.state in (State.READY, State.RUNNING)


def runs() -> QuerySet[BulkRun]:
    return BulkRun.objects.using(_alias())


def items(run_id: int) -> QuerySet[BulkItem]:
    return BulkItem.objects.using(_alias()).filter(run_id=run_id)


def get(run_id: int) -> BulkRun:
    """Return a run, with its actor."""
    return patiently(lambda: runs().select_related("actor").get(pk=run_id))


def change(run_id: int, work: Callable[[BulkRun], T]) -> T:
    """Call ``work`` with the run in a transaction that has locked it, save the run, and return the result."""

    def transaction() -> T:
        # Inside another transaction this raises RuntimeError: a rollback would undo the journal.
        with atomic(_alias(), durable=True):
            runs().filter(pk=run_id).update(slice_number=F("slice_number"))
            run = runs().get(pk=run_id)
            result = work(run)
            run.save(using=_alias())
        return result

    return patiently(transaction)


def patiently(work: Callable[[], T]) -> T:
    """Read from the database, or run a transaction; wait for a database that can't be reached."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return run_again(_alias(), work)
        except LOST as error:
            if connections[_alias()].in_atomic_block or time.monotonic() > give_up_at:
                raise
            logger.warning("cognito_reset.bulk_database error=%s", type(error).__name__)
        time.sleep(1)


def lease() -> timedelta:
    """Return how long an item can be in "sending" at most. After that, its worker must have died."""
    return timedelta(seconds=2 * conf.total_timeout_seconds + 30)


def is_expired(item: BulkItem) -> bool:
    """Check whether others take the worker that claimed the item for dead."""
    claimed_at: Any = item.claimed_at
    return bool(timezone.now() - claimed_at > lease())


def digest(username: str) -> str:
    return hashlib.sha256(username.encode("utf-8", "replace")).hexdigest()


def is_username(text: str) -> bool:
    """Check whether Cognito could accept the text as a username or an alias."""
    return bool(_USERNAME.fullmatch(text))


def add(run: BulkRun) -> bool:
    """Add a run, and return True. Return False if another run in its Region isn't over."""
    try:
        with atomic(_alias()):
            run.save(using=_alias())
    except IntegrityError:
        return False
    return True


def fill(
    run_id: int,
    entries: Sequence[Entry],
    *,
    page_token: str = "",
    next_token: str = "",
    ends: bool = False,
    most: int | None = None,
) -> list[BulkItem] | None:
    """
    Write the people of a page who aren't in the journal yet, and store ``next_token``, with which the list
    continues. ``ends`` means that this was the last page. If the list is complete, pause the run if more than ``most``
    people may get a mail, unless it is forced, or if nobody has confirmed it.

    Return the new items. Return None, and write nothing, if the list is no longer being read, or if another worker
    has read the page of ``page_token``.
    """

    def transaction(run: BulkRun) -> list[BulkItem] | None:
        if run.state != State.FILLING or run.page_token != page_token:
            return None
        run.touched_at = timezone.now()
        by_hash = {digest(entry.username): entry for entry in reversed(entries)}
        present = items(run_id).filter(username_hash__in=by_hash)
        for known in present.values_list("username_hash", flat=True):
            del by_hash[known]
        people = list(reversed(by_hash.items()))
        if run.size_limit is not None:
            people = people[: run.size_limit - run.size]
        new = [_item(run, key, entry) for key, entry in people]
        BulkItem.objects.using(_alias()).bulk_create(new)
        run.size += len(new)
        run.mails += sum(not entry.error and entry.may_get_mail for _, entry in people)
        run.page_token = next_token
        run.failures = 0
        if ends or run.size == run.size_limit:
            run.is_complete, run.state, run.page_token = True, State.READY, ""
            if most is not None and not run.is_forced and run.mails > most:
                pause(run, "own_sender")
            elif not run.is_confirmed:
                run.state, run.reason = State.PAUSED, "unconfirmed"
        return new

    return change(run_id, transaction)


def claim(
    run_id: int,
    most: int,
    *,
    outcomes: Iterable[Outcome] = (),
    expire: bool = True,
    looks_up: bool = False,
) -> Claim:
    """
    Settle the outcomes, and claim up to ``most`` items that are due, if the run is to be worked on. End the run
    if nobody is left. If ``expire``, look for items whose worker has died. ``looks_up`` means that the items are looked
    up first, and that the pace of look-ups counts.
    """

    def transaction(run: BulkRun) -> Claim:
        now, clock = timezone.now(), time.time()
        run.touched_at = now
        final = _settle(run, outcomes)
        if not may_send(run):
            return Claim(run, [], 0, final, [])
        run.state = State.RUNNING
        pending = items(run_id).filter(state=ItemState.PENDING).order_by("pk")
        own_pace = pace.LOOK_UPS if looks_up else pace.RESETS
        count = min(most, own_pace.due(run, clock))
        found = list(pending[: max(count, 1)])
        claimed = found[:count]
        if claimed:
            own_pace.spend(run, len(claimed), clock)
            own = items(run_id).filter(pk__in=[item.pk for item in claimed])
            own.update(state=ItemState.SENDING, claimed_at=now)
            for item in claimed:
                item.claimed_at = now
        expired = expire_items(run) if expire or not found else []
        if not found and not items(run_id).filter(state=ItemState.SENDING).exists():
            end(run, State.DONE)
        wait = own_pace.wait(run, clock) if found else IDLE_SECONDS
        return Claim(run, claimed, wait, final, expired, is_idle=not found)

    return change(run_id, transaction)


def claim_found(
    run_id: int, found: Sequence[tuple[BulkItem, PoolUser]], *, ends: bool = False
) -> ClaimedFound:
    """
    Claim the items of the people found whose reset is due, under the usernames that Cognito has for them. The other
    items wait for the next call, or become "pending" again: if the run isn't to be worked on, if their look-up was long
    ago, or if the caller's work ``ends``.
    """
    tries: list[datetime] = []

    def transaction(run: BulkRun) -> ClaimedFound:
        now, clock = timezone.now(), time.time()
        result = ClaimedFound([], [], [], 0)
        # This transaction may run twice. A claim that it has already written stands, and its pace is spent.
        pks = [item.pk for item, _person in found]
        own = items(run_id).filter(pk__in=pks, claimed_at__in=tries, state=ItemState.SENDING)
        claimed = set(own.values_list("pk", flat=True))
        due = 0 if ends else pace.RESETS.due(run, clock)
        spent = 0
        for item, person in found:
            is_due = item.pk in claimed or spent < due
            key = digest(person.username)
            new = {"username": person.username, "username_hash": key, "claimed_at": now}
            same = items(run_id).filter(username_hash=key).exclude(pk=item.pk)
            if run.state == State.DONE:
                # The look-up took longer than the lease. Nobody would send an item that waits.
                result.others.append(Outcome(item, errors.Unavailable()))
            elif not may_send(run) or (not is_due and (ends or _is_old(item, now))):
                _claimed(item, *tries).update(state=ItemState.PENDING, error_code="", done_at=None)
            elif not is_due:
                result.waiting.append((item, person))
            elif same.exists():
                result.others.append(Outcome(item, SamePerson()))
            elif _claimed(item, *tries).update(
                **new, state=ItemState.SENDING, error_code="", done_at=None
            ):
                spent += item.pk not in claimed
                result.wanted.append(BulkItem(pk=item.pk, run_id=run_id, **new))
        tries.append(now)
        if spent:
            pace.RESETS.spend(run, spent, clock)
        return result._replace(wait=pace.RESETS.wait(run, clock))

    return change(run_id, transaction)


def settle(run_id: int, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """
    Write outcomes, each only for the claim that it belongs to. A late outcome corrects "unknown". Return
    those that are final.
    """
    return change(run_id, partial(_settle, outcomes=outcomes))


def fail(run_id: int, error: errors.ResetError) -> None:
    """Note that the list couldn't be read."""
    change(run_id, lambda run: _count_failure(run, error, time.time()))


def abandoned(run_id: int) -> QuerySet[BulkItem]:
    """Return the items whose worker has died while it sent them."""
    before = timezone.now() - lease()
    return items(run_id).filter(state=ItemState.SENDING, claimed_at__lt=before)


def expire_items(run: BulkRun) -> list[BulkItem]:
    """Let items whose worker has died become "unknown", and return them. This needs the run's lock."""
    expired = list(abandoned(run.pk)[:500])
    if expired:
        stale = items(run.pk).filter(pk__in=[item.pk for item in expired])
        code = errors.OutcomeUnknown.code
        stale.update(state=ItemState.UNKNOWN, error_code=code, done_at=timezone.now())
    return expired


def end(run: BulkRun, state: State) -> None:
    """End the run, so that another one can begin."""
    run.state, run.holds, run.ended_at = state, None, timezone.now()
    run.reason = run.hint = run.page_token = ""
    for each in pace.PACES:
        each.forget(run)
    logger.info("cognito_reset.bulk_ended run=%s state=%s", run.pk, state)


def pause(run: BulkRun, reason: str = "", hint: str = "") -> None:
    run.state, run.reason, run.hint = State.PAUSED, reason, hint[:64]
    if reason:
        text = "cognito_reset.bulk_paused run=%s reason=%s hint=%s"
        logger.error(text, run.pk, reason, hint)


def _alias() -> str:
    return router.db_for_write(BulkRun)


def _claimed(item: BulkItem, *others: datetime) -> QuerySet[BulkItem]:
    """Select the item if the caller's claim of it still stands, or another one of its claims does."""
    own = items(item.run_id).filter(pk=item.pk, claimed_at__in=[item.claimed_at, *others])
    return own.filter(state__in=(ItemState.SENDING, ItemState.UNKNOWN))


def _is_old(item: BulkItem, now: datetime) -> bool:
    """Check whether an item has been claimed for so long that it would soon count as one whose worker has died."""
    claimed_at: Any = item.claimed_at
    return bool(now - claimed_at > lease() / 2)


def _item(run: BulkRun, key: str, entry: Entry) -> BulkItem:
    # PostgreSQL stores no NUL, and no database half of a surrogate pair.
    username = entry.username.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    refused: dict[str, Any] = {}
    if entry.error:
        code = entry.error.code
        refused = {"state": ItemState.REFUSED, "error_code": code, "done_at": timezone.now()}
    return BulkItem(run=run, username=username[:128], username_hash=key, **refused)


def _settle(run: BulkRun, outcomes: Iterable[Outcome]) -> list[Outcome]:
    now = timezone.now()
    run.touched_at = now
    final = []
    for outcome in outcomes:
        state, error = outcome.state, outcome.error
        if state == ItemState.PENDING and run.state == State.DONE:
            state = ItemState.FAILED  # a run that is done sends no pending items
        is_final = state != ItemState.PENDING
        written = _claimed(outcome.item).update(
            state=state,
            error_code=error.code if error and is_final else "",
            aws_request_id=outcome.request_id if is_final else "",
            done_at=now if is_final else None,
        )
        if written:
            _note(run, outcome)
        if is_final:
            final.append(outcome)
    return final


def _note(run: BulkRun, outcome: Outcome) -> None:
    """Adapt the run's pace to an outcome, and pause the run if it must."""
    if isinstance(outcome.error, errors.UpstreamThrottled):
        pace.slow_down(run, time.time())
    elif outcome.error and outcome.is_failure:
        _count_failure(run, outcome.error, time.time())
    else:
        run.failures = 0
        if outcome.error is None:
            pace.speed_up(run)


def _count_failure(run: BulkRun, error: errors.ResetError, clock: float) -> None:
    if run.state not in ACTIVE:
        return
    if isinstance(error, errors.UpstreamThrottled):
        pace.slow_down(run, clock)
        return
    run.failures += 1
    pace.hold(run, run.failures * pace.FAILURE_SECONDS, clock)
    if run.failures >= FAILURES_TO_PAUSE:
        pause(run, run_reason(error), error.hint)
