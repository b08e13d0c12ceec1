"""
Resets of many people: how one is started, controlled and watched.

The admin, REST, the command and the task for task queues call these functions. ``worker.py`` does the work,
and ``journal.py`` and ``claims.py`` have the transactions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import Count, Min
from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.staff import journal, pace
from cognito_reset.staff.accounts import spares_staff
from cognito_reset.staff.claims import Outcome
from cognito_reset.staff.journal import ACTIVE, OVER, ItemState, State
from cognito_reset.staff.reasons import BulkRefused, words
from cognito_reset.staff.sources import (
    DEFAULT_RATE,
    HIGHEST_RATE,
    LISTED,
    OWN_SENDER_MAILS,
    SOURCES,
    STATUSES,
    Preview,
    busy,
    check,
    check_selection,
    cleaned,
    dry_run,
    has_own_sender,
    named,
    service_for,
)
from cognito_reset.staff.worker import fill, fill_some, report, run_slice, work

__all__ = [
    "DEFAULT_RATE",
    "HIGHEST_RATE",
    "SOURCES",
    "STATUSES",
    "BulkRefused",
    "Preview",
    "Progress",
    "counts",
    "dry_run",
    "fill_some",
    "is_interrupted",
    "may_go_on",
    "pause",
    "progress",
    "purge",
    "resume",
    "retry",
    "rows",
    "run_slice",
    "start",
    "stop",
    "words",
    "work",
]

logger = logging.getLogger(__name__)

BATCH: Final = 500  # old versions of SQLite take fewer than 1000 parameters
STANDS_STILL_SECONDS: Final = 60
LONGEST_SECONDS: Final = 1e9  # a rate may be so low that the time that is left is no finite number
# Characters with which a formula begins in spreadsheets (in East Asia also their full-width forms), or which some
# spreadsheets skip before one. The apostrophe is one of them, so that cutting off one apostrophe always restores the text.
FORMULAS: Final = (
    *("'", "=", "+", "-", "@", "\t", "\r", "\0", "\ufffd"),
    *("\uff1d", "\uff0b", "\uff0d", "\uff20"),
)
HEADER: Final = ("username", "state", "error", "aws_request_id", "claimed_at", "done_at")
COLUMNS: Final = ("username", "state", "error_code", "aws_request_id", "claimed_at", "done_at")


@dataclass(frozen=True)
class Progress:
    """
    How far a run is. ``rate`` is the number of people per second in the last minute. ``seconds_left`` is None if it
    isn't known.
    """

    counts: Mapping[str, int]
    rate: float
    seconds_left: float | None
    stands_still: bool


def start(
    *,
    pool: str,
    source: str,
    value: str = "",
    rate: float = DEFAULT_RATE,
    limit: int | None = None,
    actor: Any = None,
    interface: str,
    usernames: Iterable[str | None] | None = None,
    force: bool = False,
    confirmed: bool = True,
) -> BulkRun:
    """
    Start a run. A list or a queryset of usernames is read here. ``work()`` or ``run_slice()`` reads the people
    of other sources, and sends. If the run isn't ``confirmed``, it pauses as soon as its people have been read, and
    ``resume(confirmed=True)`` lets it send. Raise BulkRefused or ResetError.
    """
    check(pool, source, value, rate)
    check_selection(pool, source, value)
    region = conf.pool(pool).region
    run = BulkRun(
        pool=pool,
        holds=region,
        source=source,
        source_value=value,
        size_limit=limit,
        rate=rate,
        current_rate=rate,
        actor=actor,
        spares_staff=spares_staff(actor),
        is_forced=force,
        is_confirmed=confirmed,
        interface=interface,
    )
    if not journal.add(run):
        raise busy(region)
    logger.info("cognito_reset.bulk_started run=%s source=%s", run.pk, source)
    if source not in LISTED:
        _read(run, usernames or ())
    return journal.get(run.pk)


def pause(run_id: int, reason: str = "", hint: str = "") -> BulkRun:
    """
    Pause a run: no further calls begin. Raise BulkRefused if it is over. ``reason`` is a code for ``words()`` and
    ``hint`` the setting to look at first, if it isn't a person who pauses it.
    """

    def work(run: BulkRun) -> None:
        if run.state in OVER:
            raise _wrong_state(run)
        if run.state != State.PAUSED:
            journal.pause(run, reason, hint)

    return _changed(run_id, work)


def may_go_on(run: BulkRun, actor: Any) -> bool:
    """
    Check whether ``actor`` may let a run send. Somebody who may not reset staff members could otherwise have a
    run reset them that somebody else has started. The run never changes ``spares_staff``.
    """
    return run.spares_staff or not spares_staff(actor)


def is_interrupted(run: BulkRun) -> bool:
    """
    Check whether reading a list that was passed in was interrupted, if nobody reads it now. It can't be read again.
    """
    return not run.is_complete and run.source not in LISTED


def resume(
    run_id: int, *, force: bool = False, confirmed: bool = False, actor: Any = None
) -> BulkRun:
    """
    Let a paused run, or one that stands still, go on. Tasks of its slices that are still in a queue become
    void. ``actor`` is the staff member who asks for it, or None for the site's own code. A run that nobody has confirmed
    is only read to its end, unless it is ``confirmed`` now. Raise BulkRefused.
    """

    def work(run: BulkRun) -> list[BulkItem]:
        _require(run, actor)
        if run.state in OVER:
            raise _wrong_state(run)
        if is_interrupted(run):
            raise BulkRefused("list_interrupted")
        run.is_forced = run.is_forced or force
        if run.reason == "own_sender" and not run.is_forced:
            raise BulkRefused("own_sender")
        run.is_confirmed = run.is_confirmed or confirmed
        if run.is_complete and not run.is_confirmed:
            raise BulkRefused("unconfirmed")
        if run.reason == errors.AccountRefused.code:
            # Cognito no longer accepts the page's token. Read the list again; nobody is written twice.
            run.page_token = ""
        return _go_on(run)

    return _changed(run_id, work)


def stop(run_id: int) -> BulkRun:
    """Stop a run for good. Raise BulkRefused if it is done."""

    def work(run: BulkRun) -> list[BulkItem]:
        if run.state == State.DONE:
            raise _wrong_state(run)
        if run.state != State.STOPPED:
            journal.end(run, State.STOPPED)
        return journal.expire_items(run)

    return _changed(run_id, work)


def retry(run_id: int, *, unknown: bool = False, actor: Any = None) -> BulkRun:
    """
    Send another reset to each person whose reset failed. If ``unknown`` is true, also send one to each person whose
    outcome is unknown. A run that is over begins again. ``actor`` is the staff member who asks for it, or None for the
    site's own code. Raise BulkRefused.
    """
    region = conf.pool(journal.get(run_id).pool).region

    def work(run: BulkRun) -> list[BulkItem]:
        _require(run, actor)
        items, expired = journal.items(run.pk), journal.expire_items(run)
        if run.state == State.STOPPED:
            # It was stopped so that these aren't sent.
            waiting = items.filter(state=ItemState.PENDING)
            waiting.update(state=ItemState.REFUSED, error_code="stopped", done_at=timezone.now())
        states = [ItemState.FAILED, *[ItemState.UNKNOWN] * unknown]
        again = items.filter(state__in=states)
        count = again.update(
            state=ItemState.PENDING, error_code="", aws_request_id="", done_at=None
        )
        if run.state in OVER and count:
            run.holds, run.ended_at, run.is_complete = region, None, True
            _go_on(run)
        return expired

    try:
        return _changed(run_id, work)
    except IntegrityError:
        pass
    raise busy(region)


def counts(run_id: int) -> dict[str, int]:
    """Count a run's people by state. Those whose worker has died are "unknown", even before that is written."""
    found = dict(journal.items(run_id).values_list("state").annotate(Count("pk")))
    by_state = {str(state): found.get(state, 0) for state in ItemState.values}
    if by_state[ItemState.SENDING]:
        dead = journal.abandoned(run_id).count()
        by_state[ItemState.SENDING] -= dead
        by_state[ItemState.UNKNOWN] += dead
    return by_state


def progress(run: BulkRun) -> Progress:
    now = timezone.now()
    by_state = counts(run.pk)
    last = journal.items(run.pk).filter(
        done_at__gt=now - timedelta(seconds=60), claimed_at__isnull=False
    )
    done = last.aggregate(count=Count("pk"), first=Min("claimed_at"))
    seconds = min(60.0, (now - done["first"]).total_seconds()) if done["first"] else 0.0
    rate = done["count"] / max(seconds, 1.0)
    left = by_state[ItemState.PENDING] + by_state[ItemState.SENDING]
    seconds_left = min(left / (rate or run.current_rate), LONGEST_SECONDS)
    is_sending = run.state in (State.READY, State.RUNNING)
    is_quiet = now - run.touched_at > timedelta(seconds=STANDS_STILL_SECONDS)
    return Progress(
        counts=by_state,
        rate=rate,
        seconds_left=seconds_left if is_sending else None,
        stands_still=run.state in ACTIVE and is_quiet,
    )


def rows(run_id: int) -> Iterator[list[str]]:
    """
    Return the rows of a CSV file of a run's people, the names of its columns first. Memory doesn't grow with
    the run. A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    yield [*HEADER]
    items, last = journal.items(run_id).order_by("pk"), 0
    dead = set(journal.abandoned(run_id).values_list("pk", flat=True)[:BATCH])
    # Page by page: some databases' clients read a whole result into memory.
    # Values, because making objects would take a third of the time.
    values = items.values_list("pk", *COLUMNS)
    while page := values.filter(pk__gt=last)[:BATCH]:
        for last, username, state, code, request_id, *times in page:
            if last in dead:
                state, code = ItemState.UNKNOWN, errors.OutcomeUnknown.code
            texts = [time.isoformat() if time else "" for time in times]
            yield [_neutral(cell) for cell in (username, state, code, request_id, *texts)]


def purge(before: datetime) -> int:
    """Delete the runs that ended before then, with their people, and return the number of runs."""
    old = journal.runs().filter(state__in=OVER, ended_at__lt=before)
    ids = list(old.values_list("pk", flat=True))
    return sum(map(_delete, ids))


def _read(run: BulkRun, usernames: Iterable[str | None]) -> None:
    """Read a list into the journal. If that fails, stop the run. Delete it if it is too long, or empty."""
    names = iter(cleaned(usernames))
    try:
        most = OWN_SENDER_MAILS if has_own_sender(service_for(run.pool)) else None
        while batch := [named(name) for name in islice(names, BATCH)]:
            if (
                fill(run, batch, most=most) is None
            ):  # the limit is reached, or somebody has stopped it
                break
        fill(run, [], ends=True, most=most)
    except BaseException:
        stop(run.pk)
        raise
    run.refresh_from_db()
    is_empty = run.is_complete and not run.size
    if is_empty or run.reason == "own_sender":
        stop(run.pk)
        _delete(run.pk)
        raise BulkRefused("nobody" if is_empty else "own_sender")


def _require(run: BulkRun, actor: Any) -> None:
    if not may_go_on(run, actor):
        raise BulkRefused("includes_staff")


def _wrong_state(run: BulkRun) -> BulkRefused:
    return BulkRefused("wrong_state", state=run.get_state_display())


def _go_on(run: BulkRun) -> list[BulkItem]:
    run.state = State.READY if run.is_complete else State.FILLING
    run.reason = run.hint = ""
    run.failures = 0
    for each in pace.PACES:
        each.begin_anew(run)
    run.slice_number += 1
    run.touched_at = timezone.now()
    return journal.expire_items(run)


def _changed(run_id: int, work: Callable[[BulkRun], list[BulkItem] | None]) -> BulkRun:
    """Change a run, and return it. ``work`` returns the items that have become "unknown"."""
    expired = journal.change(run_id, work)
    run = journal.get(run_id)
    report(run, [Outcome(item, errors.OutcomeUnknown()) for item in expired or ()])
    return run


def _delete(run_id: int) -> bool:
    """Delete a run that is over. Return whether that was done: ``retry()`` may let it begin again meanwhile."""

    def work(run: BulkRun) -> bool:
        items = journal.items(run_id)
        ids = list(items.values_list("pk", flat=True)[:BATCH]) if run.state in OVER else []
        items.filter(pk__in=ids).delete()
        return bool(ids)

    try:
        # In batches, because one statement for a million rows would hold its locks for long.
        while journal.change(run_id, work):
            pass
    except BulkRun.DoesNotExist:  # another process has deleted it
        return False
    return bool(journal.runs().filter(pk=run_id, state__in=OVER).delete()[0])


def _neutral(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
