"""
The app's own signals.

All signals but ``measured`` have these arguments, none of which carries a secret:

- ``request``: the request, or ``None`` outside of one
- ``pool``: the pool's alias
- ``interface``: "pages", "rest", "aws", "admin", "command" or "python"
- ``username``: as it was sent to Cognito. It may be an email address or a phone number, so keep it out of logs.
- ``outcome``: a value of ``ResetEvent.Outcome``
- ``error_code``: a code of an error (docs/errors.md), or ""
- ``aws_request_id``: Cognito's id of the request, or ""

All are sent with ``send_robust``, so a receiver that raises never changes the answer. They are sent in the request's
thread, except for two: ``password_reset_confirmed``, if Cognito's answer arrives after the request's deadline, and the
outcome of an invitation (RESEND_INVITATIONS).

A request may be refused before it is counted: because too many requests are under way, because the circuit breaker is
open, or because a setting or the store of the limits can't be used. Then only ``measured`` is sent. If a field is
invalid, or if a validator or the hook of the site refuses the request, no signal is sent.
"""

from __future__ import annotations

from typing import Any, Final

from django.dispatch import Signal

__all__ = [
    "SIGNED_OUT",
    "account_action",
    "measured",
    "password_reset_confirmed",
    "password_reset_failed",
    "password_reset_follow_up_failed",
    "password_reset_requested",
    "password_reset_triggered",
]

# Returned by a receiver of password_reset_confirmed that ended the person's sessions on other devices.
# The done page then says so.
SIGNED_OUT: Final = "signed out"

password_reset_requested = Signal()
"""
A request for a code was accepted. Outcomes: requested, or pending if Cognito hasn't answered yet. With
RESEND_INVITATIONS also invited: the invitation was sent again, after the code was refused. Then there is
a further argument, ``action``, which is "invite".
"""

password_reset_confirmed = Signal()
"""
Cognito has accepted the new password. Outcome: confirmed. It may be sent from another thread, if Cognito's
answer came late. A receiver that ended the person's sessions elsewhere returns ``SIGNED_OUT``.
"""

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
"staff" also ``user`` and ``actor``; if the invitation couldn't be sent again, ``action``, which is "invite".
"""

account_action = Signal()
"""
Staff did something other than a reset for a person, or tried to. Outcomes: triggered, refused, failed, unknown or
throttled. Further arguments: ``action`` ("invite", "enable", "confirm", "sign-out" or "clear-limits"), ``user``
and ``actor``. The audit clears limits without knowing the identifier: then ``username`` is "", and there is a
further argument, ``identifier_hash``.
"""

password_reset_follow_up_failed = Signal()
"""
Something that follows a reset failed; the reset itself stands. The arguments are those of the reset's own
signal, and ``task`` ("sign_out", "sessions", "notice" or "audit").
"""

measured = Signal()
"""
Something that a site may want to count or to time (docs/metrics.md). It is sent for each attempt and for each call
of Cognito. No argument tells whose attempt it is, so each is fit for the label of a metric:

- ``event``: "attempt" or "call"
- ``pool``: the pool's alias
- ``error_code``: as in the other signals; "" after a success
- of an attempt, ``interface``, ``step`` ("request", "confirm" or "staff") and ``outcome``, as in the other signals.
  Repeated refusals by a limit are sent, too, and so is a request that the app refuses before it is counted.
- of a call, ``operation`` (Cognito's name, such as "ForgotPassword") and ``seconds`` (a float): how long Cognito took,
  including the time for the credentials and for a callable CLIENT_SECRET. The signal is sent in the thread of the
  call, also if nobody waits for its answer any more. A call that wasn't sent isn't measured.

An argument that the event doesn't have is "", and ``seconds`` None. The attempt waits for the receivers.
"""


def measure(sender: Any, event: str, **values: Any) -> None:
    """Send ``measured``. Arguments that the event doesn't have are empty."""
    empty = dict.fromkeys(("interface", "step", "outcome", "operation"), "")
    measured.send_robust(sender, event=event, **{**empty, "seconds": None, **values})
