"""
The state of a reset in the session, one entry for each pool. It never contains a code or a password.

The confirm page also works without it, and then asks for the username. The done page needs it.
"""

from __future__ import annotations

import math
import time
from typing import Any, Final

from django.http import HttpRequest

PREFIX: Final = "cognito_reset:"
STATE_SECONDS: Final = 3600  # as long as a code lives
# Keys that don't count as data of the site: Django's own for set_expiry() and for CSRF_USE_SESSIONS.
_IGNORED_KEYS: Final = frozenset(("_session_expiry", "_csrftoken"))


class ResetState:
    """
    The state of one visitor's reset on one pool. A session that contains nothing else expires after
    ``STATE_SECONDS``, instead of SESSION_COOKIE_AGE; the state remembers that as ``short``.
    """

    def __init__(self, request: HttpRequest, pool: str) -> None:
        self._session = request.session
        self._key = f"{PREFIX}{pool}"
        self._state: dict[str, Any] = self._session.get(self._key) or {}
        if self._state and time.time() >= self._state.get("until", 0):
            self.end()  # remove the username
            self._state = {}

    @property
    def username(self) -> str:
        return str(self._state.get("username", ""))

    @property
    def destination(self) -> str | None:
        destination: str | None = self._state.get("destination")
        return destination

    @property
    def resend_after(self) -> int:
        """The seconds until another code may be requested."""
        resend_at: float = self._state.get("resend_at", 0)
        return max(0, math.ceil(resend_at - time.time()))

    @property
    def note(self) -> str:
        """
        "again": another code was sent. "required": the site's sign-in redirected here. "signed_out": the
        person's other devices were signed out.
        """
        return str(self._state.get("note", ""))

    @property
    def outcome(self) -> str:
        return str(self._state.get("outcome", ""))

    def start(self, username: str, *, resend_after: int, **more: str | None) -> None:
        """Store the username, and change the session's key to prevent session fixation."""
        self._session.cycle_key()
        self._keep({"username": username, "resend_at": time.time() + resend_after, **more})

    def finish(self, outcome: str, **more: str) -> None:
        self._keep({"outcome": outcome, **more})

    def end(self) -> None:
        """Remove the state, and the session if it contains nothing else."""
        self._session.pop(self._key, None)
        if any(key.startswith(PREFIX) for key in self._session.keys()):  # noqa: SIM118
            return  # another pool still has a state
        if not self._has_site_data():
            self._session.flush()
        elif self._state.get("short"):
            self._session.set_expiry(None)

    def _keep(self, state: dict[str, Any]) -> None:
        short = not self._has_site_data()
        if short:
            self._session.set_expiry(STATE_SECONDS)
        elif self._state.get("short"):
            self._session.set_expiry(None)
        known = {name: value for name, value in state.items() if value}
        self._state = {**known, "short": short, "until": time.time() + STATE_SECONDS}
        self._session[self._key] = self._state

    def _has_site_data(self) -> bool:
        keys = [key for key in self._session.keys() if not key.startswith(PREFIX)]  # noqa: SIM118
        return not _IGNORED_KEYS.issuperset(keys)


def forget_states(request: HttpRequest | None, **kwargs: Any) -> None:
    """
    Remove the states and restore the default expiry when somebody signs in. States with an outcome, which
    the done page hasn't shown yet, are kept. A receiver of Django's ``user_logged_in``.
    """
    session: Any = getattr(request, "session", None)
    ours = [key for key in session.keys() if key.startswith(PREFIX)] if session else []  # noqa: SIM118
    if any(session[key].get("short") for key in ours):
        session.set_expiry(None)
    for key in ours:
        if "outcome" in session[key]:
            session[key] = {**session[key], "short": False}
        else:
            del session[key]
