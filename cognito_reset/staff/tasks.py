"""
Resets of many people on the site's own task queue.

The site has a task that calls ``run_bulk_slice()``, and names a callable in BULK_ENQUEUE that puts this task
into its queue. Each task works for some seconds, and enqueues the next one. At most one task of a run
is valid at a time: a slice's number is used up, in the database, before the slice begins. So a task that
comes twice or too late does nothing, and a run whose task was lost stands still until it is resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from cognito_reset.cognito import errors
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.models import BulkRun
from cognito_reset.staff.accounts import site_value
from cognito_reset.staff.reasons import BulkRefused
from cognito_reset.staff.worker import run_slice

__all__ = ["enqueue", "run_bulk_slice"]

logger = logging.getLogger(__name__)


@dataclass
class _Enqueuing:
    """A call of BULK_ENQUEUE that has not returned yet."""

    ran_task: bool = False


_enqueuing: ContextVar[_Enqueuing | None] = ContextVar("cognito_reset_enqueuing", default=None)


def enqueue(run: BulkRun) -> None:
    """
    Hand the next slice of a run that was started or resumed to BULK_ENQUEUE, if it is set. Raise ``BulkRefused``
    if the task queue runs tasks at once, ``ResetError`` if BULK_ENQUEUE fails, and ``CognitoResetMisconfigured`` if it
    can't be used.
    """
    if conf.bulk_enqueue is not None:
        _enqueue(run.pk, run.slice_number)


def run_bulk_slice(run_id: int, number: int) -> None:
    """Work on a run for some seconds, and enqueue the next slice. The site's task calls this."""
    if enqueuing := _enqueuing.get():
        # The request or the command that started the run would have to wait until everybody is reset.
        enqueuing.ran_task = True
        return
    if next_number := run_slice(run_id, number):
        try:
            _enqueue(run_id, next_number)
        except (BulkRefused, errors.ResetError, CognitoResetMisconfigured) as error:
            # The task must not fail here: the queue might try it again, which would do nothing, as its slice is used up.
            code = getattr(error, "code", errors.Misconfigured.code)
            logger.error("cognito_reset.bulk_stands_still run=%s reason=%s", run_id, code)


def _enqueue(run_id: int, number: int) -> None:
    if (call := conf.bulk_enqueue) is None:
        raise CognitoResetMisconfigured('COGNITO_RESET["BULK_ENQUEUE"] is not set.')
    with _noticing_tasks() as enqueuing:
        site_value("BULK_ENQUEUE", partial(call, run_id, number))
    if enqueuing.ran_task:
        raise BulkRefused("immediate")


@contextmanager
def _noticing_tasks() -> Iterator[_Enqueuing]:
    enqueuing = _Enqueuing()
    token = _enqueuing.set(enqueuing)
    try:
        yield enqueuing
    finally:
        _enqueuing.reset(token)
