"""What becomes of the slots that an attempt has taken: which are kept or released, and which answer a repeat gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from cognito_reset.cognito.errors import (
    CodeInvalid,
    MaybeSent,
    Misconfigured,
    OutcomeUnknown,
    PasswordCompromised,
    PasswordInvalid,
    PasswordReused,
    ResetError,
    Throttled,
)
from cognito_reset.resets.stores import Slot, Store, StoreUnavailable, use_store

REQUEST: Final = "request"
CONFIRM: Final = "confirm"
STAFF: Final = "staff"

# Kinds of answers by number, None for success. Two versions of the app may share a store, so new
# kinds belong at the end. RUNNING stands for an attempt that has no answer yet, FOLLOWING_UP for a
# success whose receivers may still end the person's other sessions, SIGNED_OUT for one whose
# receivers ended them.
RUNNING: Final = 0
SUCCESS: Final = 1
FOLLOWING_UP: Final = 8
SIGNED_OUT: Final = 9
ANSWERS: Final[dict[int, type[ResetError] | None]] = {
    SUCCESS: None,
    2: CodeInvalid,
    3: PasswordInvalid,
    4: PasswordReused,
    5: PasswordCompromised,
    6: OutcomeUnknown,
    7: MaybeSent,
    FOLLOWING_UP: None,
    SIGNED_OUT: None,
}
UNKNOWN: Final[dict[str, type[ResetError]]] = {REQUEST: MaybeSent, CONFIRM: OutcomeUnknown}


@dataclass
class Reservation:
    """
    The ledger's decision on one attempt: it is refused (``refusal``), or a repeat (``is_repeat``), or it
    may go on, with the slots that it holds. ``signed_out`` tells, for a repeat, whether the first request
    ended the person's other sessions. ``resend_after`` is the number of seconds until the same
    identifier may ask for another code.

    As a context manager it settles an attempt that ends early. Before ``commit()`` only the site's callables
    have run: all slots are released but the network's, so that nobody can run those callables without limit.
    After it the call may have been made, and its outcome is unknown.
    """

    step: str
    refusal: Throttled | None = None
    is_first_refusal: bool = False
    is_repeat: bool = False
    answer: type[ResetError] | None = None
    signed_out: bool = False
    resend_after: int = 0
    slots: Sequence[Slot] = ()
    state: str = "reserved"

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.state == "reserved":
            self._release_for_site_code()
        elif self.state == "committed":
            self.settle(UNKNOWN[self.step](sent=True))

    def raise_answer(self) -> None:
        """Raise the error that the first of the same requests had, or return if it succeeded."""
        if self.answer is not None:
            raise self.answer(sent=True, is_announced=True)

    def commit(self) -> None:
        """Note that Cognito may get the call from now on."""
        self.state = "committed"

    def settle(self, error: ResetError | None, *, following_up: bool = False) -> None:
        """
        Keep the answer for repeats of the request. Release all slots if Cognito never got the call, and
        the request's own slot if the same request may succeed later. This may be called again with a
        later answer. With ``following_up``, repeats of a success wait for ``conclude()``.
        """
        self.state = "settled"
        kind = None if error is None else type(error)
        number = next((number for number, known in ANSWERS.items() if known is kind), None)
        if isinstance(error, Misconfigured) and not error.sent:
            self._release_for_site_code()
        elif error is not None and not error.sent:
            self._release(self.slots)
        elif number is None:
            self._release(self._own())
        elif following_up and error is None:
            self.state = "following_up"
            self._keep(FOLLOWING_UP)
        else:
            self._keep(number)

    def conclude(self, *, signed_out: bool) -> None:
        """Store whether the person's other sessions were ended, for repeats of a success."""
        if signed_out or self.state == "following_up":
            self._keep(SIGNED_OUT if signed_out else SUCCESS)

    def _own(self) -> list[Slot]:
        """Return the request's own slot, if it has one."""
        return [slot for slot in self.slots if slot.bucket.level == "repeat"]

    def _keep(self, answer: int) -> None:
        if own := self._own():
            kept = Slot.taken(own[0].bucket, own[0].number, now_ms())
            _try(lambda store: store.keep(kept, answer))

    def _release_for_site_code(self) -> None:
        self._release([slot for slot in self.slots if slot.bucket.level != "network"])

    def _release(self, slots: Sequence[Slot]) -> None:
        if slots:
            _try(lambda store: store.release(slots))


def now_ms() -> int:
    return int(time.time() * 1000)


def _try(work: Callable[[Store], None]) -> None:
    """Do ``work`` with the store. If it fails, the slots expire by themselves; the failure is logged."""
    try:
        use_store(work)
    except StoreUnavailable:
        pass
