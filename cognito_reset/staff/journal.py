"""
The journal of a reset of many people: the transactions on ``BulkRun`` and ``BulkItem``.

Each begins with an UPDATE of the run's row. That is a lock on every database, so one worker at a time
changes a run. No transaction calls Cognito.

A call is made between two transactions of claims.py. An item whose worker has died in between becomes "unknown" after a
while, because nobody knows whether Cognito got the call. It is sent again only if somebody asks for that.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

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
from cognito_reset.conf import conf
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.resets.stores import run_again
from cognito_reset.staff import pace

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger(__name__)

T = TypeVar("T")

State = BulkRun.State
ItemState = BulkItem.State
ACTIVE: Final = (State.FILLING, State.READY, State.RUNNING)
OVER: Final = (State.STOPPED, State.DONE)
# PostgreSQL's drivers raise InternalError if idle_in_transaction_session_timeout has ended the session.
LOST: Final = (OperationalError, InterfaceError, InternalError)
# How long a worker waits for a database that can't be reached.
PATIENCE_SECONDS: Final = 30.0
# Cognito's usernames match this (botocore's model). They contain no space.
_USERNAME: Final = re.compile(r"[^\s\x00-\x1f\x7f]{1,128}")


@dataclass(frozen=True)
class Entry:
    """
    A person to write into the journal. ``error`` is why the person can't be reset. ``may_get_mail`` is False if the
    code certainly doesn't go by mail.
    """

    username: str
    error: type[errors.ResetError] | None = None
    may_get_mail: bool = True


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


def _item(run: BulkRun, key: str, entry: Entry) -> BulkItem:
    # PostgreSQL stores no NUL, and no database half of a surrogate pair.
    username = entry.username.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    refused: dict[str, Any] = {}
    if entry.error:
        code = entry.error.code
        refused = {"state": ItemState.REFUSED, "error_code": code, "done_at": timezone.now()}
    return BulkItem(run=run, username=username[:128], username_hash=key, **refused)
