"""
Claims of a reset of many people: the transactions before and after a call.

``claim()`` writes that an item is being sent, and ``settle()`` writes what came of it. An item of a list is claimed
twice: by ``claim()`` for its look-up, and by ``claim_found()`` for its reset, when that is due. journal.py says what
becomes of an item whose worker has died in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.cognito.users import PoolUser
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.staff import journal, pace
from cognito_reset.staff.accounts import SamePerson
from cognito_reset.staff.journal import ItemState, State
from cognito_reset.staff.reasons import run_reason

if TYPE_CHECKING:
    from django.db.models import QuerySet

FAILURES_TO_PAUSE: Final = 5
# How long a worker waits before its next claim, if nobody is left to be claimed. It waits less if one of its calls
# ends.
IDLE_SECONDS: Final = 0.2


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
        return journal.may_send(self.run)


class ClaimedFound(NamedTuple):
    """
    ``wanted`` are to be sent by the caller now, and ``waiting`` go into the next call, after ``wait`` seconds.
    ``others`` are the outcomes of items that won't be sent: the run is over, or another item is about the same person.
    """

    wanted: list[BulkItem]
    waiting: list[tuple[BulkItem, PoolUser]]
    others: list[Outcome]
    wait: float


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
        if not journal.may_send(run):
            return Claim(run, [], 0, final, [])
        run.state = State.RUNNING
        pending = journal.items(run_id).filter(state=ItemState.PENDING).order_by("pk")
        own_pace = pace.LOOK_UPS if looks_up else pace.RESETS
        count = min(most, own_pace.due(run, clock))
        found = list(pending[: max(count, 1)])
        claimed = found[:count]
        if claimed:
            own_pace.spend(run, len(claimed), clock)
            own = journal.items(run_id).filter(pk__in=[item.pk for item in claimed])
            own.update(state=ItemState.SENDING, claimed_at=now)
            for item in claimed:
                item.claimed_at = now
        expired = journal.expire_items(run) if expire or not found else []
        if not found and not journal.items(run_id).filter(state=ItemState.SENDING).exists():
            journal.end(run, State.DONE)
        wait = own_pace.wait(run, clock) if found else IDLE_SECONDS
        return Claim(run, claimed, wait, final, expired, is_idle=not found)

    return journal.change(run_id, transaction)


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
        own = journal.items(run_id).filter(
            pk__in=pks, claimed_at__in=tries, state=ItemState.SENDING
        )
        claimed = set(own.values_list("pk", flat=True))
        due = 0 if ends else pace.RESETS.due(run, clock)
        spent = 0
        for item, person in found:
            is_due = item.pk in claimed or spent < due
            key = journal.digest(person.username)
            new = {"username": person.username, "username_hash": key, "claimed_at": now}
            same = journal.items(run_id).filter(username_hash=key).exclude(pk=item.pk)
            if run.state == State.DONE:
                # The look-up took longer than the lease. Nobody would send an item that waits.
                result.others.append(Outcome(item, errors.Unavailable()))
            elif not journal.may_send(run) or (not is_due and (ends or _is_old(item, now))):
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

    return journal.change(run_id, transaction)


def settle(run_id: int, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """
    Write outcomes, each only for the claim that it belongs to. A late outcome corrects "unknown". Return
    those that are final.
    """
    return journal.change(run_id, partial(_settle, outcomes=outcomes))


def fail(run_id: int, error: errors.ResetError) -> None:
    """Note that the list couldn't be read."""
    journal.change(run_id, lambda run: _count_failure(run, error, time.time()))


def _claimed(item: BulkItem, *others: datetime) -> QuerySet[BulkItem]:
    """Select the item if the caller's claim of it still stands, or another one of its claims does."""
    own = journal.items(item.run_id).filter(pk=item.pk, claimed_at__in=[item.claimed_at, *others])
    return own.filter(state__in=(ItemState.SENDING, ItemState.UNKNOWN))


def _is_old(item: BulkItem, now: datetime) -> bool:
    """Check whether an item has been claimed for so long that it would soon count as one whose worker has died."""
    claimed_at: Any = item.claimed_at
    return bool(now - claimed_at > journal.lease() / 2)


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
    if run.state not in journal.ACTIVE:
        return
    if isinstance(error, errors.UpstreamThrottled):
        pace.slow_down(run, clock)
        return
    run.failures += 1
    pace.hold(run, run.failures * pace.FAILURE_SECONDS, clock)
    if run.failures >= FAILURES_TO_PAUSE:
        journal.pause(run, run_reason(error), error.hint)
