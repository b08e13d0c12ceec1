"""
The app's own signals.

All are sent with ``send_robust``: a receiver that raises never changes the answer. They are sent in the
request's thread, except that ``password_reset_confirmed`` comes from another thread when Cognito's answer
arrives after the request's deadline.

No signal is sent for a request that is refused before it is counted: because its fields or the site's own
validators and hook refuse it, because too many requests are under way or the circuit breaker is open, or because
a setting or the store of the limits can't be used. The log has these.

Arguments of all signals: ``request`` (``None`` outside of one), ``pool`` (its alias), ``interface``
("pages", "rest", "aws", "admin", "command" or "python"), ``username`` (as it was sent to Cognito; it may be
an email address or a phone number, so keep it out of logs), ``outcome`` (a value of
``ResetEvent.Outcome``), ``error_code`` (a code of ``cognito_reset.cognito.errors``, or "") and
``aws_request_id``. No argument carries a secret.
"""

from __future__ import annotations

from typing import Final

from django.dispatch import Signal

# Returned by a receiver of password_reset_confirmed that ended the person's sessions on other devices.
# The done page then says so.
SIGNED_OUT: Final = "signed out"

password_reset_requested = Signal()
"""A request for a code was accepted. Outcomes: requested, or pending if Cognito hasn't answered yet."""

password_reset_confirmed = Signal()
"""Cognito has accepted the new password. Outcome: confirmed."""

password_reset_triggered = Signal()
"""
Staff had Cognito reset a user's password. Outcome: triggered. Further arguments: ``user`` (the site's user,
or ``None``) and ``actor`` (the staff member, or ``None``).
"""

password_reset_failed = Signal()
"""
A step wasn't accepted, or it is unknown whether it was. Outcomes: refused, failed, unknown or throttled.
Further arguments: ``step`` ("request", "confirm" or "staff"); ``is_first`` (whether this is the first
refusal by the same limit for some minutes; ``True`` for outcomes other than throttled); with the step
"staff" also ``user`` and ``actor``.
"""

password_reset_follow_up_failed = Signal()
"""
Something that follows a reset failed; the reset itself stands. Further argument: ``task`` ("sign_out",
"sessions", "notice" or "audit").
"""
