"""
What staff can do for one person: each action's permission, the people for whom it can work, what it does, and the
texts for staff. ``perform.py`` does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.http import Http404
from django.utils.translation import get_language_bidi, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import CognitoService, get_service
from cognito_reset.cognito.users import PoolRules, PoolUser
from cognito_reset.models import ResetEvent
from cognito_reset.resets.neutral import typed_delivery
from cognito_reset.staff import limits
from cognito_reset.staff.accounts import (
    PoolAccount,
    Staff,
    StaffTarget,
    is_protected,
    settings_as_errors,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

__all__ = ["ACTIONS", "Action"]

Name = ResetEvent.Action
Refusal = type[errors.ResetError]


class NotInvited(errors.AccountRefused):
    code = "not_invited"
    message = gettext_lazy("This user has used the invitation already, or never got one.")


class NoContact(errors.AccountRefused):
    code = "no_contact"
    message = gettext_lazy("This user has neither an email address nor a phone number.")


class AlreadyEnabled(errors.AccountRefused):
    code = "already_enabled"
    message = gettext_lazy("This user is enabled already.")


class NothingToConfirm(errors.AccountRefused):
    code = "nothing_to_confirm"
    message = gettext_lazy("This user has no sign-up that waits to be confirmed.")


# Refused with one of these, the action isn't needed.
NOTHING_TO_DO: Final = (NotInvited, AlreadyEnabled, NothingToConfirm)


@dataclass(frozen=True)
class Action:
    """
    Something that staff can do for a person.

    - ``name``: a value of ``ResetEvent.Action``; it is in URLs.
    - ``permission``: what the staff member needs besides the right to view the user.
    - ``consequences``: what it does to the person, as sentences for the page that asks whether to do it.
    - ``done``: the sentence for the staff member afterwards, if nothing was sent.
    - ``fits``: returns why it can't be done for a person in this state, as an error class, or None.
    - ``call``: does it, and returns the request id.
    - ``sends_message``: Cognito sends the person a message.
    """

    name: Name
    permission: str
    consequences: tuple[_StrPromise, ...]
    fits: Callable[[PoolUser, PoolRules | None], Refusal | None]
    call: Callable[[PoolAccount, dict[str, str]], str]
    done: _StrPromise | str = ""
    sends_message: bool = False

    @property
    def title(self) -> str:
        return str(self.name.label)


def _reset_fits(person: PoolUser, rules: PoolRules | None) -> Refusal | None:
    return person.refusal(rules)


def _invite_fits(person: PoolUser, rules: PoolRules | None) -> Refusal | None:
    if person.status != "FORCE_CHANGE_PASSWORD":
        return NotInvited
    if not person.enabled:
        return errors.UserDisabled
    return None if person.email or person.phone_number else NoContact


def _enable_fits(person: PoolUser, rules: PoolRules | None) -> Refusal | None:
    return AlreadyEnabled if person.enabled else None


def _confirm_fits(person: PoolUser, rules: PoolRules | None) -> Refusal | None:
    return None if person.status == "UNCONFIRMED" else NothingToConfirm


def _always_fits(person: PoolUser, rules: PoolRules | None) -> Refusal | None:
    return None


def _service(account: PoolAccount) -> CognitoService:
    return get_service(account.pool)


def _reset(account: PoolAccount, metadata: dict[str, str]) -> str:
    username = account.person.username
    return _service(account).admin_reset(username=username, client_metadata=metadata)


def _invite(account: PoolAccount, metadata: dict[str, str]) -> str:
    medium, _destination = delivery(Name.INVITE, account.person, None)
    username = account.person.username
    return _service(account).resend_invitation(
        username=username, medium=medium, client_metadata=metadata
    )


def _enable(account: PoolAccount, metadata: dict[str, str]) -> str:
    return _service(account).enable_user(username=account.person.username)


def _confirm(account: PoolAccount, metadata: dict[str, str]) -> str:
    username = account.person.username
    return _service(account).confirm_sign_up(username=username, client_metadata=metadata)


def _sign_out(account: PoolAccount, metadata: dict[str, str]) -> str:
    return _service(account).sign_out_everywhere(username=account.person.username) or ""


def _clear_limits(account: PoolAccount, metadata: dict[str, str]) -> str:
    limits.clear(account.keys)
    return ""


def _action(name: Name, permission: str, *consequences: _StrPromise, **more: Any) -> Action:
    return Action(name, f"cognito_reset.{permission}", consequences, **more)


_ALL: Final = (
    _action(
        Name.RESET,
        "trigger_reset",
        gettext_lazy("The current password stops working at once."),
        gettext_lazy(
            "Amazon Cognito sends a code to the person’s verified email address or phone number. "
            "You neither see nor choose the code or the new password."
        ),
        gettext_lazy(
            "The person cannot sign in until they have entered the code and chosen a new password. "
            "The account’s state in Cognito is RESET_REQUIRED until then. If the code expires, they "
            "can ask for a new one on the password reset page."
        ),
        gettext_lazy(
            "Where the person is signed in already, they stay signed in: sending a reset ends no "
            "session."
        ),
        fits=_reset_fits,
        call=_reset,
        sends_message=True,
    ),
    _action(
        Name.INVITE,
        "resend_invitation",
        gettext_lazy(
            "Amazon Cognito sends the invitation again, with a new temporary password. "
            "You neither see nor choose the password."
        ),
        gettext_lazy("The old temporary password stops working at once."),
        fits=_invite_fits,
        call=_invite,
        sends_message=True,
    ),
    _action(
        Name.ENABLE,
        "enable_account",
        gettext_lazy(
            "The account is no longer disabled. Its state stays as it is, and so does the password, if there "
            "is one."
        ),
        fits=_enable_fits,
        call=_enable,
        done=gettext_lazy("The account of %(name)s is enabled."),
    ),
    _action(
        Name.CONFIRM,
        "confirm_sign_up",
        gettext_lazy(
            "The person no longer has to confirm the sign-up. A disabled account stays disabled. This "
            "verifies neither the email address nor the phone number, so it may still be impossible to "
            "reset the password."
        ),
        fits=_confirm_fits,
        call=_confirm,
        done=gettext_lazy("The sign-up of %(name)s is confirmed."),
    ),
    _action(
        Name.SIGN_OUT,
        "sign_out",
        gettext_lazy(
            "The person has to sign in again on every device. An app that does not ask Amazon Cognito "
            "may let them in until their access token expires. The password stays as it is."
        ),
        fits=_always_fits,
        call=_sign_out,
        done=gettext_lazy("%(name)s was signed out everywhere."),
    ),
    _action(
        Name.CLEAR_LIMITS,
        "clear_limits",
        gettext_lazy(
            "This site’s limits no longer hold the person back. Amazon Cognito’s own limit, 5 to 20 "
            "attempts an hour, cannot be cleared, and those for a network and for the whole site stay."
        ),
        fits=_always_fits,
        call=_clear_limits,
        done=gettext_lazy("%(name)s can try again."),
    ),
)
ACTIONS: Final[Mapping[str, Action]] = {action.name.value: action for action in _ALL}


def action_or_404(name: str) -> Action:
    """Return the action with this name in a URL. Raise Http404 if there is none."""
    if name not in ACTIONS:
        raise Http404
    return ACTIONS[name]


# The messages of these errors are for the public, and don't tell staff what to do.
REASONS: Final[dict[Refusal, Any]] = {
    errors.SiteCodeFailed: gettext_lazy(
        "This site's own code failed. The site's log names the line."
    ),
    errors.Misconfigured: gettext_lazy(
        "Cognito did not accept this site's set-up. Have its AWS credentials, their permissions "
        "and the COGNITO_RESET setting checked."
    ),
    errors.Unavailable: gettext_lazy("Cognito could not be reached. Try again in a few minutes."),
}
# Cognito may have done what comes before the message: ended the password.
NOT_SENT: Final = (errors.DeliveryFailed, errors.MessageRejected, errors.TriggerFailed)
MAY_HAVE_ENDED: Final = gettext_lazy("The current password may have stopped working all the same.")
CHECK_FIRST: Final = gettext_lazy("Have this checked first: %(hint)s.")


def reason_of(error: errors.ResetError, action: Action | None = ACTIONS[Name.RESET]) -> str:
    """
    Return in words why ``action`` failed or has an unknown outcome, and what to do about it. None stands for what the
    person did without staff.
    """
    text = str(_text_of(error, action))
    if error.hint:
        text = f"{text} {CHECK_FIRST % {'hint': error.hint.replace(',', ', ')}}"
    return f"{text} ({error.aws_code})" if error.aws_code else text


def stored_reason(kind: Refusal, action: Action | None) -> str:
    """Return in words why ``action`` failed, if only the code of the error's class was stored."""
    if kind is errors.Unavailable and action != ACTIONS[Name.CLEAR_LIMITS]:
        # Wrong settings and failing code of the site have the same code as an outage of Cognito.
        return str(kind.message)
    return reason_of(kind(), action)


def _text_of(error: errors.ResetError, action: Action | None) -> Any:
    if action is None:
        return next((REASONS[kind] for kind in REASONS if isinstance(error, kind)), error.message)
    if isinstance(error, errors.Throttled):
        minutes = math.ceil((error.retry_after or 0) / 60)
        return ngettext(
            "A message was sent to this person, or tried, a short time ago. Wait for %(minutes)d minute.",
            "A message was sent to this person, or tried, a short time ago. Wait for %(minutes)d minutes.",
            minutes,
        ) % {"minutes": minutes}
    if isinstance(error, errors.OutcomeUnknown):
        if action.sends_message:
            return _(
                "Cognito's answer is missing. Ask whether a message has arrived before you send another."
            )
        return _("Cognito's answer is missing. Look the person up again before you repeat this.")
    if action.name == Name.CLEAR_LIMITS and isinstance(error, errors.Unavailable):
        return _("No limit was cleared: where they are kept cannot be reached or used.")
    if action.name != Name.RESET and type(error) in (errors.AccountRefused, errors.WrongState):
        return _("Cognito did not accept this for this user.")
    if action.sends_message and isinstance(error, NOT_SENT):
        return f"{error.message} {MAY_HAVE_ENDED}"
    return _text_of(error, None)


def isolated(text: str) -> str:
    """
    Return a name or an address for use in a sentence. In a language from right to left, invisible characters
    around it keep its direction. Without them, "+*******0123" would end with the plus.
    """
    return (
        f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"
        if get_language_bidi()
        else text
    )


def delivery(name: str, person: PoolUser, rules: PoolRules | None) -> tuple[str, str]:
    """
    Return the medium and the masked destination of the message that an action sends, or ("", "") if they
    aren't known. They are computed, because Cognito doesn't return them for these operations.
    """
    if name == Name.INVITE:
        contacts = [person.email or person.phone_number]
    else:
        channels = person.channels(rules)
        # Without the rules, either may be the one that Cognito prefers. With MFA, the preferred one may be the
        # user's MFA, and the code goes to the other one.
        is_known = len(channels) == 1 or (rules is not None and not rules.excludes_mfa)
        contacts = [getattr(person, channel) for channel in channels[:1] if is_known]
    found = typed_delivery(contacts[0]) if contacts else None
    return (found.medium, found.destination) if found else ("", "")


def refusal_of(
    action: Action,
    account: PoolAccount,
    *,
    actor: Any,
    staff: Staff | None = None,
) -> Refusal | None:
    """Return why ``actor`` can't do this for the person, or None if the app knows no reason."""
    if is_protected(account, actor=actor, staff=staff):
        return StaffTarget
    return action.fits(account.person, account.rules)


def hindrance(
    action: Action, account: PoolAccount, *, actor: Any, staff: Staff | None = None
) -> errors.ResetError | None:
    """
    Return the error that ``actor`` would get, or None if the app knows no reason. Besides ``refusal_of()``, a
    message that was sent a short time ago is one. It is only read, not counted.
    """
    if refusal := refusal_of(action, account, actor=actor, staff=staff):
        return refusal()
    if not action.sends_message:
        return None
    try:
        with settings_as_errors():
            name = account.person.username
            seconds = limits.seconds_to_wait_for_staff(pool=account.pool, username=name)
    except errors.Unavailable:  # staff can send nevertheless
        return None
    return errors.Throttled(retry_after=seconds) if seconds else None
