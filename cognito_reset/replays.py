"""
The answers of the last minute: whoever repeats a request gets the one that it has had, without a call
and without spending a limit. SDKs, browsers and people send again what was done, when its answer got
lost; and a code that was used is wrong the second time.

Kept is which answer it was, by a keyed hash of the request, in slots of the limits' store. Only
answers that followed a call are: what was refused or failed before one may be tried again.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

from django.views.decorators.debug import sensitive_variables

from cognito_reset.conf import conf
from cognito_reset.exceptions import (
    CodeInvalid,
    MaybeSent,
    OutcomeUnknown,
    PasswordCompromised,
    PasswordInvalid,
    PasswordReused,
    ResetError,
)
from cognito_reset.slots import REPLAY, Bucket, Rate, Store, digest, with_store

SECONDS_KEPT: Final = 60
POLL_SECONDS: Final = 0.1
# By the number of the slot that stands for it; None is success. Processes of two versions may share
# a store, so new ones belong at the end.
ANSWERS: Final[tuple[type[ResetError] | None, ...]] = (
    None,
    CodeInvalid,
    PasswordInvalid,
    PasswordReused,
    PasswordCompromised,
    OutcomeUnknown,
    MaybeSent,
)


@dataclass(frozen=True)
class Answer:
    error: type[ResetError] | None


class Replay:
    """
    One request, and its repeats. ``parts`` tell it from others, ``unknown`` is the answer to a repeat
    of one that never ended.
    """

    @sensitive_variables("parts")
    def __init__(self, step: str, pool: str, *parts: str, unknown: type[ResetError]) -> None:
        self._unknown = unknown
        self._wait = conf.total_timeout_seconds
        key = digest(REPLAY, step, pool, *parts)
        self._answers = Bucket(REPLAY, pool, step, Rate(len(ANSWERS), SECONDS_KEPT), key)
        # Longer than any request is under way, for who takes its place would call a second time.
        running = Rate(1, math.ceil(self._wait) + SECONDS_KEPT)
        self._running = Bucket(REPLAY, pool, f"{step}_running", running, key)
        self._begun = 0

    def begin(self) -> Answer | None:
        """
        Give the answer that the request has had, waiting for it where it is under way. ``None``: it
        is to be carried out, and ``end()`` tells the repeats.
        """
        end = time.monotonic() + self._wait
        while True:
            found = with_store(self._claim)
            if isinstance(found, Answer):
                return found
            if found is not False:  # where the store fails, the limits say what happens
                return None
            if time.monotonic() > end:
                return Answer(self._unknown)
            time.sleep(POLL_SECONDS)

    def end(self, error: type[ResetError] | None) -> None:
        """Keep the answer, if it is one to keep, and let those go on who wait for it."""

        def work(store: Store) -> None:
            if error in ANSWERS:
                number, now = ANSWERS.index(error), _now()
                store.read({self._answers: [number]}, now)
                # Twice: an old row may be purged in between.
                _ = store.take(self._answers, number, now) or store.take(self._answers, number, now)
            store.give_back(self._running, 0, self._begun)

        with_store(work)

    def _claim(self, store: Store) -> Answer | bool:
        """Give the answer, or whether the request is the caller's to carry out."""
        self._begun = now = _now()
        asked = {self._answers: range(len(ANSWERS)), self._running: range(1)}
        held = store.read(asked, now)
        if not held[self._answers]:
            if held[self._running] or not store.take(self._running, 0, now):
                return False
            held = store.read(asked, now)  # it may have ended just before
            if not held[self._answers]:
                return True
            store.give_back(self._running, 0, now)
        return Answer(ANSWERS[min(held[self._answers])])


def _now() -> int:
    return int(time.time() * 1000)
