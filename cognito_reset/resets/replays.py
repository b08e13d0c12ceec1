"""
The answers of the last minutes: whoever repeats a request gets the one that it has had, without a call
and without spending a limit. SDKs, browsers and people send again what was done, when its answer got
lost; and a code that was used is wrong the second time.

Kept is which answer it was, by a keyed hash of the request, in slots of the limits' store. Only
answers that followed a call are: what was refused or failed before one may be tried again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.views.decorators.debug import sensitive_variables

from cognito_reset.cognito.errors import (
    CodeInvalid,
    MaybeSent,
    OutcomeUnknown,
    PasswordCompromised,
    PasswordInvalid,
    PasswordReused,
    ResetError,
    Throttled,
    Unavailable,
)
from cognito_reset.conf import conf
from cognito_reset.resets.stores import REPLAY, Bucket, Rate, Store, digest, with_store

logger = logging.getLogger(__name__)

# boto3, the AWS CLI and others wait a minute for an answer before they send again, up to four times.
SECONDS_KEPT: Final = 300
POLL_SECONDS: Final = 0.1
LOOKS: Final = 10
LOST: Final = 3
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
    of one that never ended. With an ``identifier_key()`` those that the limits refuse may look a few
    times only: who knows a used code could try passwords until one is a repeat. For who had no attempt
    there is nothing to be found, and nothing is written.
    """

    @sensitive_variables()
    def __init__(
        self,
        step: str,
        pool: str,
        *parts: str,
        unknown: type[ResetError],
        identifier_key: str = "",
    ) -> None:
        self._unknown = unknown
        self._wait = conf.total_timeout_seconds
        key = digest(REPLAY, pool, *parts)
        self._answers = Bucket(REPLAY, pool, step, Rate(len(ANSWERS), SECONDS_KEPT), key)
        # Longer than any request is under way, for who takes its place would call a second time.
        self._running = Bucket(REPLAY, pool, f"{step}_running", Rate(1, SECONDS_KEPT), key)
        self._looks = Bucket(
            REPLAY, pool, f"{step}_looks", Rate(LOOKS, SECONDS_KEPT), identifier_key
        )
        # From before the call until no answer is kept any more.
        had_one = Rate(1, 2 * SECONDS_KEPT)
        self._had_one = Bucket(REPLAY, pool, f"{step}_had_one", had_one, identifier_key)
        self._counts_looks = identifier_key != ""
        self._begun = 0

    def begin(
        self,
        check: Callable[[], None] = lambda: None,
        take_place: Callable[[], None] = lambda: None,
    ) -> Answer | None:
        """
        Give the answer that the request has had, waiting for it where it is under way. ``None``: it
        is to be carried out, and ``end()`` tells the repeats. ``check`` raises ``Throttled`` for one
        that the limits would refuse, ``take_place`` raises ``Busy`` where no more may wait.
        """
        # First of all: one that is under way took its place before it took the limits' slots.
        refused = _refusal(check)
        if refused and not self._may_look():
            raise refused
        end, is_waiting, lost = time.monotonic() + self._wait, False, 0
        while True:
            found = with_store(self._look)
            if _is_free(found):
                if refused:
                    check()  # once more: who was waited for may have given its slots back
                found = with_store(self._claim)
                if _is_free(found):
                    return None
                lost += found is False
            if isinstance(found, Answer):
                return found
            if lost == LOST:  # to nobody: a cache that hides its errors
                logger.error("cognito_reset.limits_unavailable store=%s", conf.limits_cache)
                raise Unavailable
            if not is_waiting:
                take_place()
                is_waiting = True
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
            elif self._counts_looks:
                store.give_back(self._had_one, 0, self._begun)
            store.give_back(self._running, 0, self._begun)

        with_store(work)

    def _look(self, store: Store, *, is_mine: bool = False) -> Answer | bool:
        """Give the answer, or whether nobody else is at it."""
        asked = {self._answers: range(len(ANSWERS)), self._running: range(1)}
        held = store.read(asked, _now())
        if held[self._answers]:
            return Answer(ANSWERS[min(held[self._answers])])
        return is_mine or not held[self._running]

    def _claim(self, store: Store) -> Answer | bool:
        """Give the answer, or whether the request is now the caller's to carry out."""
        self._begun = _now()
        found = self._look(store)
        if found is not True:
            return found
        if not store.take(self._running, 0, self._begun):
            return False
        found = self._look(store, is_mine=True)
        if found is not True:  # it has ended since
            store.give_back(self._running, 0, self._begun)
        elif self._counts_looks:
            store.hold(self._had_one, self._begun)
        return found

    def _may_look(self) -> bool:
        """Whether one that the limits refuse may still be a repeat."""
        return not self._counts_looks or with_store(self._take_look) is True

    def _take_look(self, store: Store) -> bool:
        now, numbers = _now(), range(LOOKS)
        held = store.read({self._had_one: range(1), self._looks: numbers}, now)
        free = [number for number in numbers if number not in held[self._looks]]
        return bool(held[self._had_one]) and any(store.take(self._looks, n, now) for n in free)


def _refusal(check: Callable[[], None]) -> Throttled | None:
    try:
        check()
    except Throttled as error:
        return error
    return None


def _is_free(found: Answer | bool | Exception) -> bool:
    """Where the store fails, too: what happens then the limits say."""
    return found is True or isinstance(found, Exception)


def _now() -> int:
    return int(time.time() * 1000)
