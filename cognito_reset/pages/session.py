"""
The state of a reset in the session, one entry for each pool. It never contains a code or a password.

The confirm page also works without it, and then asks for the username. The done page needs it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest

logger = logging.getLogger(__name__)

PREFIX: Final = "cognito_reset:"
STATE_SECONDS: Final = 3600  # as long as a code lives
# Keys that don't count as data of the site: Django's own for set_expiry() and for CSRF_USE_SESSIONS.
_IGNORED_KEYS: Final = frozenset(("_session_expiry", "_csrftoken"))


class ResetState:
    """
    The state of one visitor's reset on one pool. A session that contains nothing else expires after
    ``STATE_SECONDS``, instead of SESSION_COOKIE_AGE; the state remembers that as ``short``.

    If the session store fails, the failure is logged and nothing is raised, because the reset itself may be
    done. ``is_readable`` tells whether the session could be read. If the visitor has no session yet, none is
    read.
    """

    def __init__(self, request: HttpRequest, pool: str) -> None:
        self._session = request.session
        self._key = f"{PREFIX}{pool}"
        self._state: dict[str, Any] = {}
        self.is_readable = self._use_store(self._read)
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
        resend_at = time.time() + resend_after

        def change() -> None:
            self._session.cycle_key()  # which writes to the store
            self._keep({"username": username, "resend_at": resend_at, **more})

        self._use_store(change)

    def finish(self, outcome: str, **more: str) -> bool:
        """Store the outcome for the done page. Return whether the store accepted it."""

        def change() -> None:
            self._keep({"outcome": outcome, **more})
            # The middleware saves the session again, in order to set the cookie.
            self._session.save()

        return self._use_store(change)

    def end(self) -> None:
        """Remove the state, and the session if it contains nothing else."""

        def change() -> None:
            self._session.pop(self._key, None)
            has_other_state = any(key.startswith(PREFIX) for key in self._session.keys())  # noqa: SIM118
            if not has_other_state and not self._has_site_data():
                self._session.flush()
                return
            if not has_other_state and self._state.get("short"):
                self._session.set_expiry(None)
            self._session.save()

        self._use_store(change)

    def _use_store(self, work: Callable[[], None]) -> bool:
        """Call ``work``, which uses the session store. Return whether it succeeded."""
        try:
            work()
        except Exception as error:  # each session backend raises other exceptions
            logger.error("cognito_reset.session_store_failed error=%s", type(error).__name__)
            # Otherwise the middleware would save the session, and fail, after the view has answered.
            self._session.modified = False
            return False
        return True

    def _read(self) -> None:
        self._state = self._session.get(self._key) or {}

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
