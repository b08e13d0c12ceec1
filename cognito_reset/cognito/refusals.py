"""
Log a warning if many people in a row get the same refusal, with a text that the table doesn't know: it is
then probably a fault of the pool. The text itself is neither logged nor kept, because it may contain anything.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Final

logger = logging.getLogger(__name__)

PEOPLE: Final = 5
# Maps an operation and an app client or pool to the hash of the last refusal, and to the hashes of the
# people who got it in a row. No lock is needed, because a lost count does little harm.
_runs: dict[tuple[str, str], tuple[str, set[str]]] = {}


def note_success(operation: str, target: str) -> None:
    """End the run of equal refusals. ``target`` is the id of the app client or of the pool."""
    _runs.pop((operation, target), None)


def note_refusal(operation: str, target: str, *, code: str, text: str, username: str) -> None:
    """Count a refusal, and log the run once, when ``PEOPLE`` people got the same refusal."""
    answer = _hash(f"{code} {text}")
    before, people = _runs.get((operation, target), ("", set()))
    if before != answer:
        people = set()
    _runs[operation, target] = answer, people
    if len(people) == PEOPLE:
        return
    people.add(_hash(username))
    if len(people) == PEOPLE:
        logger.warning(
            "cognito_reset.many_refusals operation=%s aws_code=%s people=%d",
            operation,
            code,
            PEOPLE,
        )


def forget() -> None:
    """End all runs."""
    _runs.clear()


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
