"""
What follows a reset. It hangs on the app's own signals, so that the flow knows nothing of it, and
none of it can turn a reset that was done into a failure: what goes wrong is logged and signalled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import reduce, wraps
from operator import or_
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Q
from django.dispatch import Signal
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.views.decorators.debug import sensitive_variables

from cognito_reset.cognito.service import get_service, is_same
from cognito_reset.conf import conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets.network import client_network
from cognito_reset.resets.ratelimits import identifier_key
from cognito_reset.signals import (
    password_reset_confirmed,
    password_reset_failed,
    password_reset_follow_up_failed,
    password_reset_requested,
    password_reset_triggered,
)

logger = logging.getLogger(__name__)

Receiver = Callable[..., None]


def connect() -> None:
    every: list[Signal] = [
        password_reset_requested,
        password_reset_confirmed,
        password_reset_failed,
        password_reset_triggered,
    ]
    for signal in every:
        signal.connect(log_event, dispatch_uid="cognito_reset.log")
        signal.connect(record, dispatch_uid="cognito_reset.audit")
    for receiver in (sign_out_everywhere, end_sessions, send_notice):
        password_reset_confirmed.connect(
            receiver, dispatch_uid=f"cognito_reset.{receiver.__name__}"
        )


def follow_up(task: str) -> Callable[[Receiver], Receiver]:
    """Name what a receiver does, for the log and the signal that say that it failed."""

    def decorate(receiver: Receiver) -> Receiver:
        @wraps(receiver)
        @sensitive_variables("kwargs")  # the identifier is in it
        def run(*, signal: Signal, sender: Any, **kwargs: Any) -> None:
            try:
                receiver(**kwargs)
            except Exception as error:  # the database's, the mail server's, Cognito's, the site's
                name = type(error).__name__
                code = getattr(error, "aws_code", "")
                logger.error("cognito_reset.%s_failed error=%s aws_code=%s", task, name, code)
            else:
                return
            password_reset_follow_up_failed.send_robust(sender, task=task, **kwargs)

        return run

    return decorate


@follow_up("sign_out")
def sign_out_everywhere(*, request: Any, pool: str, username: str, **_: Any) -> None:
    """End the user's sessions at Cognito, which by itself ends none. The done page says so."""
    if conf.sign_out_everywhere:
        get_service(pool).sign_out_everywhere(username=username)
        request.cognito_reset_signed_out = True


@follow_up("sessions")
def end_sessions(*, username: str, **_: Any) -> None:
    """
    End the user's sessions on this site, on every device. Django does so when a user's own password
    changes; a user of Cognito's has an unusable one, and a new unusable one does the same.
    """
    user = local_user(username)
    if user is not None and not user.has_usable_password():
        user.set_unusable_password()
        user.save(update_fields=["password"])


@follow_up("notice")
def send_notice(*, username: str, **_: Any) -> None:
    """Tell the owner, at the address on record: never at the one that was typed."""
    user = local_user(username) if conf.notify_after_reset else None
    address = getattr(user, user.get_email_field_name(), "") if user else ""
    if address:
        contact = conf.contact_url or ""
        absolute = contact if contact.startswith(("https://", "mailto:")) else ""
        context = {"user": user, "time": timezone.now(), "contact_url": absolute}
        # Not the request's language: that may be an attacker's.
        with translation.override(getattr(user, "language", "") or settings.LANGUAGE_CODE):
            subject = render_to_string("cognito_reset/notice_subject.txt", context)
            body = render_to_string("cognito_reset/notice_body.txt", context)
        send_mail(" ".join(subject.split()), body, None, [address])


def log_event(
    *,
    signal: Signal,
    interface: str,
    pool: str,
    outcome: str,
    error_code: str,
    aws_request_id: str,
    is_first: bool = True,
    **_: Any,
) -> None:
    """Log each outcome under a name of its own, with OWASP's word for it where it has one."""
    owasp = "authn_password_change_fail" if signal is password_reset_failed else "-"
    owasp = {"confirmed": "authn_password_change", "throttled": "excess_rate_limit_exceeded"}.get(
        outcome, owasp
    )
    if is_first:
        logger.info(
            "cognito_reset.%s interface=%s pool=%s code=%s aws_request_id=%s owasp=%s",
            *(str(outcome), interface, pool, error_code, aws_request_id, owasp),
        )


@follow_up("audit")
def record(
    *,
    request: Any,
    interface: str,
    pool: str,
    username: str,
    outcome: str,
    error_code: str,
    aws_request_id: str,
    user: Any = None,
    actor: Any = None,
    is_first: bool = True,
    **_: Any,
) -> None:
    """Write down what happened. Of refusals by one limit only a window's first."""
    if not is_first:
        return
    with transaction.atomic():  # a failed insert must not break a transaction of the site's
        ResetEvent.objects.create(
            interface=interface,
            pool=pool,
            outcome=outcome,
            error_code=error_code,
            aws_request_id=aws_request_id,
            identifier_hash=identifier_key(pool, username),
            network=client_network(request, ipv4_prefix=24) if request else "",
            actor=actor,
            target=user,
        )


def local_user(username: str) -> AbstractBaseUser | None:
    """
    Give the site's user whom ``username`` means: by the site's USER_RESOLVER, else by username (or
    COGNITO_USERNAME's attribute) or email address, and only if it is one user. The case of ASCII
    letters counts only where it is needed to tell users apart: in most pools it doesn't.
    """
    if conf.user_resolver:
        return conf.user_resolver(username)
    model = get_user_model()
    names = {conf.username_attribute or model.USERNAME_FIELD, model.get_email_field_name()}
    names &= {field.name for field in model._meta.get_fields()}
    found = model._default_manager.filter(
        reduce(or_, (Q(**{f"{name}__iexact": username}) for name in sorted(names)))
    )
    # A database may compare more loosely, and a lookalike's owner is somebody else.
    known = {user: [str(getattr(user, name)) for name in names] for user in found[:10]}
    exact = [user for user, values in known.items() if username in values]
    users = exact or [
        user for user, values in known.items() if any(is_same(username, v) for v in values)
    ]
    return users[0] if len(users) == 1 else None
