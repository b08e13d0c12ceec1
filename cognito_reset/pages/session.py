"""
What the session holds, by pool: who is resetting and since when; never a code or a password. Nothing
depends on it: the confirm page opens without one and asks for the username.
"""

from __future__ import annotations

import math
import time
from typing import Any, Final

from django.http import HttpRequest

FLOW_SECONDS: Final = 3600  # as long as Cognito's code lives


class Flow:
    """What the session keeps of a reset on one pool, by the pool's alias."""

    def __init__(self, request: HttpRequest, pool: str) -> None:
        self._session = request.session
        self._key = f"cognito_reset:{pool}"
        state = self._session.get(self._key, {})
        self._state = state if time.time() < state.get("until", 0) else {}

    @property
    def username(self) -> str:
        return str(self._state.get("username", ""))

    @property
    def destination(self) -> str | None:
        destination: str | None = self._state.get("destination")
        return destination

    @property
    def resend_after(self) -> int:
        """Give the seconds until another code may be asked for."""
        resend_at: float = self._state.get("resend_at", 0)
        return max(0, math.ceil(resend_at - time.time()))

    @property
    def note(self) -> str:
        """Say "again" of another code, "required" of a visitor from the sign-in, "signed_out"."""
        return str(self._state.get("note", ""))

    def start(self, username: str, *, resend_after: int, **more: str | None) -> None:
        self._keep({"username": username, "resend_at": time.time() + resend_after, **more})

    def finish(self, outcome: str, **more: str) -> None:
        self._keep({"outcome": outcome, **more})

    @property
    def outcome(self) -> str:
        return str(self._state.get("outcome", ""))

    def end(self) -> None:
        self._session.pop(self._key, None)

    def _keep(self, state: dict[str, Any]) -> None:
        if self._key not in self._session:
            self._session.cycle_key()  # against fixation; all else in the session stays as it is
        known = {name: value for name, value in state.items() if value}
        self._session[self._key] = {**known, "until": time.time() + FLOW_SECONDS}
