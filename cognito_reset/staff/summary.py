"""What the command, REST and the admin share: the reasons of a run, its CSV file, and handing it to a task queue."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import Any, Final, Protocol

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Count
from django.http import HttpRequest, StreamingHttpResponse

from cognito_reset.cognito import errors
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.staff import bulk, journal, tasks
from cognito_reset.staff.accounts import settings_as_errors
from cognito_reset.staff.reasons import run_reason

# The columns of a run that REST and the command show.
RUN_FIELDS: Final = (
    *("id", "pool", "state", "reason", "hint", "source", "source_value", "size", "size_limit"),
    *("is_complete", "is_forced", "is_confirmed", "rate", "current_rate", "interface"),
    *("created_at", "touched_at", "ended_at"),
)
CSV_ROWS: Final = 1000  # in a part of a response
STATES: Final = (
    BulkItem.State.REFUSED,
    BulkItem.State.FAILED,
    BulkItem.State.UNKNOWN,
)


class Writable(Protocol):
    """A file, or the output of a command."""

    def write(self, text: str, /) -> object: ...


@dataclass(frozen=True)
class Reason:
    """Why some of a run's people weren't sent a reset, or why nobody knows whether they were."""

    state: str
    code: str
    count: int

    @property
    def text(self) -> str:
        return bulk.words(self.code)


def reasons(run: BulkRun) -> list[Reason]:
    """Return the reasons of those who are "refused", "failed" or "unknown", the most frequent first."""
    # By state, because there is an index: a run can have a million people.
    items = journal.items(run.pk).filter(state__in=STATES)
    found = items.values_list("state", "error_code").annotate(count=Count("pk"))
    return [Reason(*values) for values in found.order_by("-count", "error_code", "state")]


def run_data(run: BulkRun) -> dict[str, Any]:
    """Return the columns of a run, and its reason in words."""
    data = {name: getattr(run, name) for name in RUN_FIELDS}
    data["actor"] = str(run.actor_id) if run.actor_id else None
    data["detail"] = str(bulk.words(run.reason)) if run.reason else ""
    return data


def full_data(run: BulkRun) -> dict[str, Any]:
    """Return what is known of a run, with the counts of its people."""
    progress = bulk.progress(run)
    found = [
        {"state": each.state, "code": each.code, "detail": each.text, "count": each.count}
        for each in reasons(run)
    ]
    return {
        **run_data(run),
        "counts": progress.counts,
        "reasons": found,
        "rate_now": round(progress.rate, 2),
        "seconds_left": progress.seconds_left and round(progress.seconds_left),
        "stands_still": progress.stands_still,
    }


def hand_over(run: BulkRun) -> BulkRun:
    """
    Hand a run that was started or resumed to BULK_ENQUEUE, and return it. If that fails, pause the run, and
    raise ``BulkRefused`` or ``ResetError``.
    """
    try:
        with settings_as_errors():
            tasks.enqueue(run)
    except bulk.BulkRefused as error:
        bulk.pause(run.pk, error.code)
        raise
    except errors.ResetError as error:
        bulk.pause(run.pk, run_reason(error), "BULK_ENQUEUE")
        raise
    return run


def write_csv(file: Writable, rows: Iterable[list[str]], *, ending: str = "\r\n") -> None:
    """
    Write rows as CSV. Every cell is quoted, because spreadsheets in many languages separate at semicolons: a formula
    after a semicolon would be a cell.
    """
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=ending).writerows(rows)


def csv_response(request: HttpRequest, run: BulkRun) -> StreamingHttpResponse:
    """Return a file with a run's people. It is read while it is sent, so memory doesn't grow with the run."""
    parts = _csv_parts(run)
    return StreamingHttpResponse(
        # Over ASGI, Django would read a list of all parts before it sends the first.
        _awaited(parts) if isinstance(request, ASGIRequest) else parts,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="reset-{run.pk}.csv"'},
    )


def _csv_parts(run: BulkRun) -> Iterator[str]:
    rows = bulk.rows(run.pk)
    while some := list(islice(rows, CSV_ROWS)):
        text = StringIO(newline="")
        write_csv(text, some)
        yield text.getvalue()


async def _awaited(parts: Iterator[str]) -> AsyncIterator[str]:
    while part := await sync_to_async(lambda: next(parts, ""))():
        yield part
