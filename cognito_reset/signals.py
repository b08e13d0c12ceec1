"""
The app's own signals. All are sent with ``send_robust`` in the request's thread: what a receiver
does, or how it fails, never changes the answer.

None carries a secret. Arguments of all: ``request`` (``None`` outside of one), ``pool`` (the alias),
``interface`` ("pages", "rest", "aws", "admin", "command"), ``username`` (as it was sent to Cognito: it may
be an email address or a phone number, so keep it out of logs), ``outcome`` (a value of
``ResetEvent.Outcome``), ``error_code`` (of ``cognito_reset.cognito.errors``, or ""), ``aws_request_id``.
"""

from __future__ import annotations

from django.dispatch import Signal

password_reset_requested = Signal()
"""
A code was asked for. Outcome: requested, refused, failed, unknown, pending or throttled; with the
last ``is_first`` says whether no other attempt was refused by the same limit in its window.
"""

password_reset_confirmed = Signal()
"""Cognito has taken the new password. Outcome: confirmed."""

password_reset_failed = Signal()
"""A code and a new password were not taken. Outcome: refused, failed, unknown or throttled."""

password_reset_follow_up_failed = Signal()
"""
Something that follows a reset failed, and the reset stands. Arguments: those above, and ``task``
("sign_out", "sessions", "notice" or "audit").
"""

password_reset_triggered = Signal()
"""
Staff asked Cognito to reset a user. Outcome: triggered, refused, failed or unknown.
Further arguments: ``user`` (the site's user, or ``None``) and ``actor`` (who asked, or ``None``).
"""
