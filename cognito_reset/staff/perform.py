"""
Do something for one person, under the same rules in the admin, over REST and in Python.

``perform()``, ``perform_for()`` and ``perform_for_user()`` check whether the action can work for the person and
whether the person is protected, call Cognito once, and record the outcome. The interface checks whether the staff
member has the permission, before anything is looked up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from django.db import connections, router, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import get_service
from cognito_reset.conf import DEFAULT_POOL, CognitoResetMisconfigured, conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets.reservations import Reservation
from cognito_reset.signals import (
    account_action,
    password_reset_failed,
    password_reset_triggered,
)
from cognito_reset.staff import limits
from cognito_reset.staff.accounts import (
    NotPermitted,
    PoolAccount,
    Staff,
    StaffTarget,
    is_staff_member,
    look_up_user,
    settings_as_errors,
    site_value,
    spares_staff,
    username_of,
)
from cognito_reset.staff.actions import (
    ACTIONS,
    Action,
    Name,
    delivery,
    isolated,
    reason_of,
    refusal_of,
)
from cognito_reset.staff.notice import RESOLVERS_ERRORS, send_reset_notice

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["Done", "perform", "perform_for_user", "send_reset"]

logger = logging.getLogger(__name__)

Outcome = ResetEvent.Outcome


@dataclass(frozen=True)
class Done:
    """
    The outcome of an action.

    - ``account``: the person, or None if the look-up failed.
    - ``outcome``: "triggered", "unknown", "refused", "failed" or "throttled".
    - ``medium``: "EMAIL" or "SMS", or "" if nothing was sent or it may have been either.
    - ``destination``: the address or number, masked as Cognito masks it; "" without a medium.
    - ``limits_stand``: after a reset, this site's limits couldn't be cleared.
    - ``notified``: whether the mail that says where to enter the code was sent, or None if nobody asked for it.
    """

    action: Action
    account: PoolAccount | None
    name: str = field(repr=False)
    error: errors.ResetError | None = None
    medium: str = ""
    destination: str = ""
    request_id: str = ""
    limits_stand: bool = False
    notified: bool | None = None

    @property
    def outcome(self) -> str:
        return self.error.outcome if self.error else Outcome.TRIGGERED.value

    @property
    def text(self) -> str:
        """Return the sentences for the staff member."""
        name = isolated(self.name)
        values = {"name": name, "address": isolated(self.destination)}
        if self.error:
            values["reason"] = reason_of(self.error, self.action)
            if self.outcome == Outcome.UNKNOWN:
                return _("It is not known whether this was done for %(name)s. %(reason)s") % values
            return _("This did not work for %(name)s. %(reason)s") % values
        texts = [str(self.action.done or SENT[self.action.name, self.medium]) % values]
        if self.notified is not None:
            texts.append(str(NOTIFIED[self.notified]))
        if self.limits_stand:
            texts.append(NOT_CLEARED % {"names": name})
        return " ".join(texts)


SENT: Final[dict[tuple[str, str], Any]] = {
    (Name.RESET, "EMAIL"): gettext_lazy("A code was sent to %(name)s by email, to %(address)s."),
    (Name.RESET, "SMS"): gettext_lazy("A code was sent to %(name)s by SMS, to %(address)s."),
    (Name.RESET, ""): gettext_lazy("A code was sent to %(name)s by email or SMS."),
    (Name.INVITE, "EMAIL"): gettext_lazy(
        "The invitation was sent to %(name)s again by email, to %(address)s."
    ),
    (Name.INVITE, "SMS"): gettext_lazy(
        "The invitation was sent to %(name)s again by SMS, to %(address)s."
    ),
}
NOTIFIED: Final = {
    True: gettext_lazy("A mail of this site says where to enter the code."),
    False: gettext_lazy("The mail that says where to enter the code could not be sent."),
}
NOT_CLEARED: Final = gettext_lazy(
    "This site's limits could not be cleared for %(names)s, who may have to wait before they can "
    "enter the code."
)


def perform(
    action: Action,
    account: PoolAccount,
    *,
    actor: Any,
    interface: str,
    request: HttpRequest | None = None,
    staff: Staff | None = None,
    notify: bool = False,
) -> Done:
    """
    Do something for a person, and record the outcome. Never raise ``ResetError``. With ``actor=None`` staff
    members aren't protected. ``staff`` is as in ``is_protected()``. With ``notify``, mail the site's user where
    to enter the code of a reset, see ``notice.can_notify()``.

    Raise ``RuntimeError`` inside a transaction: its rollback would take back the record of what was sent.
    """
    _refuse_transactions()
    done = _call(action, account, actor=actor, request=request, staff=staff)
    _record(
        done,
        account.pool,
        account.person.username,
        account.user,
        actor=actor,
        interface=interface,
        request=request,
    )
    if action.name == Name.RESET and not done.error:
        notified = send_reset_notice(account, request) if notify else None
        done = replace(done, limits_stand=not clear_limits(account.keys), notified=notified)
    return done


def perform_for(
    find: Callable[[], PoolAccount],
    action: Action,
    *,
    pool: str,
    name: str,
    username: str,
    user: Any = None,
    actor: Any,
    interface: str,
    request: HttpRequest | None = None,
    staff: Staff | None = None,
    notify: bool = False,
) -> Done:
    """
    Look a person up with ``find``, and ``perform()`` the action. If ``find`` raises ``ResetError``, record that
    for ``username`` and ``user`` in the same way, and let the text for staff call the person ``name``. Raise
    ``RuntimeError`` inside a transaction.
    """
    _refuse_transactions()
    try:
        account = find()
    except errors.ResetError as error:
        done = Done(action, None, name, error, request_id=error.request_id)
    else:
        return perform(
            action,
            account,
            actor=actor,
            interface=interface,
            request=request,
            staff=staff,
            notify=notify,
        )
    _record(done, pool, username, user, actor=actor, interface=interface, request=request)
    return done


def perform_for_user(
    action: Action,
    user: Any,
    *,
    pool: str = DEFAULT_POOL,
    username: str | Callable[[], str] | None = None,
    check: Callable[[PoolAccount], object] | None = None,
    actor: Any,
    **more: Any,
) -> Done:
    """
    Look a user of the site up, as ``look_up_user()`` does, and ``perform()`` an action. A look-up that fails is
    recorded in the same way. ``username`` may be a callable. ``check`` is called with the person that was found, and
    may raise ``ResetError``. ``more`` are arguments of ``perform()``. Raise ``RuntimeError`` inside a transaction.
    """

    name, failure = "", None
    try:
        if username is None:
            name = username_of(user)
        else:
            name = username() if callable(username) else username
    except errors.ResetError as error:
        failure = error

    def find() -> PoolAccount:
        if failure:
            raise failure
        with settings_as_errors():
            if is_staff_member(user) and spares_staff(actor):
                raise StaffTarget
        account = look_up_user(user, pool=pool, username=name)
        if check:
            check(account)
        return account

    return perform_for(
        find,
        action,
        pool=pool,
        name=str(user),
        username=name,
        user=user,
        actor=actor,
        **more,
    )


def record_denied(
    action: Action,
    *,
    pool: Callable[[], str],
    username: Callable[[], str],
    user: Any = None,
    actor: Any,
    interface: str,
    request: HttpRequest,
) -> None:
    """
    Record that ``actor`` tried an action without the permission. Nobody is looked up in the pool. If ``actor`` may not
    know whether there is such a user, ``user`` is None, and ``username`` returns what the URL has.

    Record nothing if the site's code doesn't tell the pool or the name, because the answer mustn't depend on that.
    Record nothing either of people who aren't staff: over REST everybody who is signed in to the site can try, and
    could fill the table.
    """
    if not (getattr(actor, "is_staff", False) or actor.has_module_perms("cognito_reset")):
        return
    with suppress(*RESOLVERS_ERRORS), settings_as_errors():
        done = Done(action, None, "", NotPermitted())
        names = pool(), username()
        _record(done, *names, user, actor=actor, interface=interface, request=request)


def text_of_url(pk: str) -> str:
    """Return what ``record_denied()`` stores instead of a name, if the staff member may not see the user."""
    return f"user {pk}"


def send_reset(
    user: Any, *, actor: Any = None, request: HttpRequest | None = None, pool: str = DEFAULT_POOL
) -> Done:
    """
    Have Cognito end the password of a user of the site and send a code, as the admin does. This is for a site's
    own code. Return the outcome; never raise ``ResetError``.

    ``actor`` is the staff member, if there is one: the audit names them, and they can't reset other staff unless
    the site allows it. No permission is checked. Raise ``RuntimeError`` inside a transaction.
    """
    reset = ACTIONS[Name.RESET]
    return perform_for_user(
        reset, user, pool=pool, actor=actor, interface="python", request=request
    )


def _call(
    action: Action, account: PoolAccount, *, actor: Any, request: Any, staff: Staff | None
) -> Done:
    """Check everything, and call Cognito. Return the outcome."""
    done = Done(action, account, account.name)
    reservation = None
    try:
        with settings_as_errors():
            if action.name == Name.RESET and account.rules is None:
                # A look-up goes without the rules if Cognito doesn't tell them now. A reset without them could end the
                # password of somebody who gets no code.
                rules = get_service(account.pool).pool_rules(required=True)
                account = replace(account, rules=rules)
            if refusal := refusal_of(action, account, actor=actor, staff=staff):
                raise refusal
            metadata = site_value("CLIENT_METADATA", lambda: conf.client_metadata(request))
            if action.sends_message:
                reservation = _reserve(account)
            request_id = action.call(account, metadata)
    except errors.ResetError as error:
        if reservation:
            reservation.settle(error)
        return replace(done, error=error, request_id=error.request_id)
    if action.sends_message:
        medium, destination = delivery(action.name, account.person, account.rules)
        done = replace(done, medium=medium, destination=destination)
    return replace(done, request_id=request_id)


def clear_history(
    hashes: Mapping[str, Sequence[str]],
    *,
    refusal: errors.ResetError | None,
    user: Any,
    actor: Any,
    request: HttpRequest,
) -> errors.ResetError | None:
    """
    Clear the limits of identifiers of which only the keyed hashes are known, unless there is a ``refusal``. Record
    the outcome as ``perform()`` does, once for each pool. Return the error. ``hashes`` has them by pool; the row is
    added to the history of the first.
    """
    _refuse_transactions()
    keys = [key for each in hashes.values() for key in each]
    error = refusal or (None if clear_limits(keys) else errors.Unavailable())
    done = Done(ACTIONS[Name.CLEAR_LIMITS], None, "", error)
    for pool, (first, *_others) in hashes.items():
        _record(
            done,
            pool,
            "",
            user,
            actor=actor,
            interface=ResetEvent.Interface.ADMIN,
            request=request,
            identifier_hash=first,
        )
    return error


def clear_limits(keys: Iterable[str]) -> bool:
    """Clear the limits of identifiers, by their keyed hashes. Return whether that succeeded."""
    try:
        limits.clear(keys)
    except (CognitoResetMisconfigured, errors.Unavailable) as error:
        logger.error("cognito_reset.limits_not_cleared: %s", error)
        return False
    return True


def _reserve(account: PoolAccount) -> Reservation | None:
    """
    Count a message against staff's limit. Raise Throttled if one was sent a short time ago, for example after a double
    click. Return None if the limits can't be reached, so that staff can help nevertheless.
    """
    try:
        return limits.reserve_for_staff(pool=account.pool, username=account.person.username)
    except errors.Unavailable:
        return None


def _record(
    done: Done,
    pool: str,
    username: str,
    user: Any,
    *,
    actor: Any,
    interface: str,
    request: Any,
    **more: str,
) -> None:
    event: dict[str, Any] = {
        **more,
        "request": request,
        "interface": interface,
        "pool": pool,
        "username": username,
        "outcome": done.outcome,
        "error_code": done.error.code if done.error else "",
        "aws_request_id": done.request_id,
        "user": user,
        "actor": actor,
    }
    if done.action.name != Name.RESET:
        account_action.send_robust(perform, action=done.action.name.value, **event)
    else:
        announce_reset(perform, done.error, **event)


def announce_reset(sender: Any, error: errors.ResetError | None, **event: Any) -> None:
    """Send the signal of a reset by staff, with the outcome and the error's code."""
    if error:
        password_reset_failed.send_robust(sender, step="staff", is_first=True, **event)
    else:
        password_reset_triggered.send_robust(sender, **event)


def _refuse_transactions() -> None:
    using = router.db_for_write(ResetEvent)
    if connections[using].in_atomic_block:
        with transaction.atomic(using=using, durable=True):  # raises, but not in tests of a site
            pass
