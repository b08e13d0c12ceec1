"""
What follows a reset: the log, the metrics, the audit, the end of the person's sessions, and a notice by mail.

apps.py connects the receivers here to the app's own signals. If one of them fails, the reset stands; the failure is
logged and signalled. ``password_reset_confirmed`` may be sent from another thread (see signals.py), so nothing here
depends on the thread. ``mail_user()`` also sends the mail after a reset by staff.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from email.utils import parseaddr
from functools import partial
from typing import Any, Final, TypeVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import send_mail
from django.db import connections, router, transaction
from django.dispatch import Signal
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.views.decorators.debug import sensitive_variables

from cognito_reset import signals
from cognito_reset.cognito.service import get_service
from cognito_reset.conf import conf
from cognito_reset.models import ResetEvent
from cognito_reset.parsers import address_of
from cognito_reset.resets.accounts import local_user
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.resets.network import audit_network

logger = logging.getLogger(__name__)

T = TypeVar("T")

Outcome = ResetEvent.Outcome
# A web server gives up a request after 30 seconds, of which the confirmation may have taken 16.
SIGN_OUT_WAIT_SECONDS: Final = 5.0
# The arguments of a signal that the log line and the audit row contain unchanged.
RECORDED: Final = ("outcome", "interface", "pool", "error_code", "aws_request_id")
# The steps of the signals that don't have this argument.
STEPS: Final = {
    signals.password_reset_requested: "request",
    signals.password_reset_confirmed: "confirm",
    signals.password_reset_triggered: "staff",
    signals.account_action: "staff",
}
# OWASP's names for events, for log analysis.
OWASP: Final[dict[str, str]] = {
    Outcome.CONFIRMED: "authn_password_change",
    Outcome.THROTTLED: "excess_rate_limit_exceeded",
}


@sensitive_variables()
def follow_up(
    task: str, work: Callable[[], T], *, sender: Any, event: Mapping[str, Any]
) -> T | None:
    """Return what ``work`` returns. If it raises, log and signal that ``task`` failed."""
    try:
        return work()
    except Exception as error:  # of the database, the mail server, Cognito or the site
        name, code = type(error).__name__, getattr(error, "aws_code", "")
    logger.error("cognito_reset.%s_failed error=%s aws_code=%s", task, name, code)
    signals.password_reset_follow_up_failed.send_robust(sender, task=task, **event)
    return None


@sensitive_variables()
def protect_account(*, signal: Signal, sender: Any, **event: Any) -> str | None:
    """
    End the person's sessions and notify the owner, if the password was changed or may have been.

    Return SIGNED_OUT if Cognito has ended its sessions. The end of this site's own sessions isn't enough
    for that, because the person may be signed in to other apps of the pool.
    """
    is_unknown = event["outcome"] == Outcome.UNKNOWN and event.get("step") == "confirm"
    if event["outcome"] != Outcome.CONFIRMED and not is_unknown:
        return None
    person = event["pool"], event["username"]
    user, signed_out = None, None
    run = partial(follow_up, sender=sender, event=event)
    if conf.end_sessions or conf.notify_after_reset:
        user = run("sessions" if conf.end_sessions else "notice", partial(local_user, *person))
    if user and conf.end_sessions:
        run("sessions", partial(end_sessions, user))
    if conf.sign_out_everywhere:
        signed_out = run("sign_out", partial(sign_out_everywhere, *person))
    if user and conf.notify_after_reset:
        run("notice", partial(send_notice, user, is_unknown=is_unknown))
    return signed_out


def end_sessions(user: AbstractBaseUser) -> None:
    """
    End the user's sessions on this site, on every device.

    Django ends them when the hash of the password changes. A user who signs in through Cognito has an
    unusable password, so replace it by another unusable one. Leave a usable one alone: it isn't the
    password that was reset.
    """
    if not user.has_usable_password():
        user.set_unusable_password()
        user.save(update_fields=["password"])


@sensitive_variables()
def sign_out_everywhere(pool: str, username: str) -> str | None:
    """
    End the person's sessions at Cognito, which a reset alone doesn't end. Return SIGNED_OUT if Cognito
    has done so in time; the visitor doesn't wait for longer.
    """
    service = get_service(pool)
    request_id = service.sign_out_everywhere(username=username, wait=SIGN_OUT_WAIT_SECONDS)
    return signals.SIGNED_OUT if request_id else None


def send_notice(user: AbstractBaseUser, *, is_unknown: bool) -> None:
    """Mail the user that the password was changed, or may have been."""
    contact = address_of(conf.contact_url) or ""
    absolute = contact if contact.startswith(("https://", "mailto:")) else ""
    template = "cognito_reset/notice_unknown" if is_unknown else "cognito_reset/notice"
    mail_user(user, template, time=timezone.now(), contact_url=absolute)


def mail_user(user: AbstractBaseUser, template: str, **context: Any) -> None:
    """
    Mail the user, to the address on record only. ``template`` is the start of two templates' names.

    The mail names the site as DEFAULT_FROM_EMAIL does, by its display name or its domain. It never contains the
    username, and the mail about a reset that a person made contains no host of the request: an attacker may have
    chosen them, and mail programs turn such names into links. The links in the mail after a reset by staff have the
    host of the staff member's request.
    """
    address = getattr(user, user.get_email_field_name(), "")
    if not address:
        return
    sender_name, sender = parseaddr(settings.DEFAULT_FROM_EMAIL)
    context |= {
        "user": user,
        "address": address,
        "site_name": sender_name or sender.rpartition("@")[2],
    }
    # Don't use the request's language and time zone: somebody else may have sent the request.
    language = getattr(user, "language", "") or settings.LANGUAGE_CODE
    with translation.override(language), timezone.override(None):
        subject = render_to_string(f"{template}_subject.txt", context)
        body = render_to_string(f"{template}_body.txt", context)
    send_mail(" ".join(subject.split()), body.strip(), None, [address])


def log_event(*, is_first: bool = True, **event: Any) -> None:
    """Log each outcome under its own name. Of the refusals by one limit only the first is logged."""
    if is_first:
        owasp = "authn_password_change_fail" if event.get("step") == "confirm" else "-"
        logger.info(
            "cognito_reset.%s interface=%s pool=%s code=%s aws_request_id=%s owasp=%s",
            *(str(event[name]) for name in RECORDED),
            OWASP.get(event["outcome"], owasp),
        )


def measure(*, signal: Signal, sender: Any, **event: Any) -> None:
    """Send the signal for metrics, which names nobody."""
    values = {name: event[name] for name in ("interface", "pool", "outcome", "error_code")}
    signals.measure(sender, "attempt", step=_step(signal, event), **values)


def _step(signal: Signal, event: Mapping[str, Any]) -> str:
    return str(event.get("step") or STEPS[signal])


def log_action(**event: Any) -> None:
    """Log what staff did for a person. The log names neither of them but by the staff member's primary key."""
    logger.info(
        "cognito_reset.account_action action=%s actor=%s outcome=%s interface=%s pool=%s code=%s "
        "aws_request_id=%s",
        event["action"],
        getattr(event["actor"], "pk", None),
        *(str(event[name]) for name in RECORDED),
    )


@sensitive_variables()
def record(*, signal: Signal, sender: Any, is_first: bool = True, **event: Any) -> None:
    """Write an audit row for each outcome. Of the refusals by one limit only the first gets one."""
    if is_first and conf.audit:
        row = {**event, "step": _step(signal, event)}
        follow_up("audit", partial(_write_row, row), sender=sender, event=event)


@sensitive_variables()
def _write_row(event: Mapping[str, Any]) -> None:
    using = router.db_for_write(ResetEvent)
    # Inside a transaction of the site, use a savepoint, so that a failed INSERT doesn't break it. Elsewhere
    # a transaction would only cost two more round trips.
    in_transaction = connections[using].in_atomic_block
    with transaction.atomic(using=using) if in_transaction else nullcontext():
        ResetEvent.objects.create(
            **{name: event[name] for name in (*RECORDED, "step")},
            identifier_hash=event.get("identifier_hash")
            or identifier_key(event["pool"], event["username"]),
            action=event.get("action", ResetEvent.Action.RESET if "actor" in event else ""),
            network=audit_network(event["request"]) if event["request"] else "",
            actor=event.get("actor"),
            target=event.get("user"),
        )
