"""What staff see of one person: what Cognito says, why a reset can't work, what helps, and what they can do."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cognito_reset.cognito import errors
from cognito_reset.cognito.users import PoolUser
from cognito_reset.models import ResetEvent
from cognito_reset.resets import ratelimits
from cognito_reset.resets.neutral import typed_delivery
from cognito_reset.staff import limits
from cognito_reset.staff.accounts import NotPermitted, PoolAccount, Staff, settings_as_errors
from cognito_reset.staff.actions import (
    ACTIONS,
    NOTHING_TO_DO,
    Action,
    hindrance,
    reason_of,
    stored_reason,
)

logger = logging.getLogger(__name__)

Outcome, Name = ResetEvent.Outcome, ResetEvent.Action
# A refusal or failure of the last hour may still hold: Cognito counts attempts by the hour.
RECENT: Final = timedelta(hours=1)

# What Cognito's states mean. They are shown beside Cognito's own words, which AWS's console shows.
STATES: Final[dict[str, Any]] = {
    "CONFIRMED": gettext_lazy("in use"),
    "RESET_REQUIRED": gettext_lazy("has to choose a new password"),
    "FORCE_CHANGE_PASSWORD": gettext_lazy("invited"),
    "UNCONFIRMED": gettext_lazy("sign-up not confirmed"),
    "EXTERNAL_PROVIDER": gettext_lazy("signs in through another service"),
}
# What helps, where the error's message doesn't say so.
PASS_ON: Final = gettext_lazy("Pass this on to those who administer the user pool.")
HELP: Final[dict[type[errors.ResetError], Any]] = {
    errors.FederatedUser: gettext_lazy("Only that service can reset the password."),
    errors.NoVerifiedContact: gettext_lazy(
        "Somebody who administers the user pool can mark one as verified, after making sure that it "
        "is this person’s."
    ),
    errors.RecoveryByAdminOnly: gettext_lazy(
        "Somebody who administers the user pool can change its account recovery."
    ),
    errors.DeliveryFailed: gettext_lazy(
        "Ask the person whether the address or number on this page is right. If it is, pass this on to those who "
        "administer the user pool."
    ),
    errors.MessageRejected: PASS_ON,
    errors.TriggerFailed: PASS_ON,
}
# What Cognito may answer although the look-up shows no reason for it. With the contact, it is because ListUsers
# doesn't show the second factor.
UNSEEN: Final = (
    *(errors.AttemptLimit, errors.UpstreamThrottled, errors.DeliveryFailed, errors.MessageRejected),
    *(errors.TriggerFailed, errors.AccountRefused, errors.WrongState, errors.NoVerifiedContact),
    *(errors.CodeInvalid, errors.PasswordInvalid, errors.PasswordReused),
    *(errors.PasswordCompromised, errors.Unavailable),
)


@dataclass(frozen=True)
class Contact:
    """An email address or a phone number, masked. ``attribute`` is "email" or "phone_number"."""

    attribute: str
    masked: str
    verified: bool


@dataclass(frozen=True)
class Offer:
    """
    An action that the staff member is permitted. ``refusal`` is why it can't be done now, or "". ``is_needed`` is
    False if the person's state leaves nothing to do for it.
    """

    action: Action
    refusal: str = ""
    code: str = ""
    is_needed: bool = True


@dataclass(frozen=True)
class Panel:
    """
    What staff see of a person.

    - ``state``: Cognito's status in words, or the status itself if it is a new one.
    - ``last_request``: when somebody last asked for a code for this person, also in vain, or None.
    - ``last_event``: the person's latest event, which tells how that ended, or None.
    - ``diagnosis``: sentences about why the person can't reset the password and what helps.
    """

    account: PoolAccount
    state: str
    contacts: tuple[Contact, ...]
    last_request: ResetEvent | None
    last_event: ResetEvent | None
    diagnosis: tuple[str, ...]
    actions: tuple[Offer, ...]

    @property
    def looked_up_at(self) -> datetime:
        return self.account.person.looked_up_at


def panel(
    account: PoolAccount,
    *,
    actor: Any,
    may: Callable[[Action], bool],
    staff: Staff | None = None,
) -> Panel:
    """
    Return what ``actor`` sees of a person, with the actions that ``may`` permits. It sends nothing. Raise
    ``ResetError``.
    """
    person = account.person
    log = "cognito_reset.account_shown actor=%s pool=%s sub=%s"
    logger.info(log, getattr(actor, "pk", None), account.pool, person.sub)
    last_request, last_event, last_answer = _events(account)
    return Panel(
        account,
        state=str(STATES.get(person.status, person.status)),
        contacts=tuple(_contacts(person)),
        last_request=last_request,
        last_event=last_event,
        diagnosis=tuple(_diagnosis(account, last_answer)),
        actions=tuple(
            _offer(action, account, actor, staff) for action in ACTIONS.values() if may(action)
        ),
    )


def log_not_shown(actor: Any, error: errors.ResetError) -> None:
    """Log that ``actor`` looked somebody up in vain. The log doesn't have what was typed."""
    log = "cognito_reset.account_not_shown actor=%s code=%s"
    logger.info(log, getattr(actor, "pk", None), error.code)


def _offer(action: Action, account: PoolAccount, actor: Any, staff: Staff | None) -> Offer:
    error = hindrance(action, account, actor=actor, staff=staff)
    # For a staff member the error is another one, whatever state the person is in.
    unfit = action.fits(account.person, account.rules)
    reason, code = (reason_of(error, action), error.code) if error else ("", "")
    return Offer(action, reason, code, is_needed=unfit not in NOTHING_TO_DO)


def _contacts(person: PoolUser) -> Iterator[Contact]:
    verified = {"email": person.email_verified, "phone_number": person.phone_verified}
    for attribute, is_verified in verified.items():
        if value := getattr(person, attribute):
            shown = typed_delivery(value)
            yield Contact(attribute, shown.destination if shown else "***", is_verified)


def _events(account: PoolAccount) -> tuple[ResetEvent | None, ...]:
    """
    Return the last request for a code, the latest event of a reset or an invitation, and the latest one that this
    site's own limits didn't refuse.
    """
    events = ResetEvent.objects.filter(
        pool=account.pool,
        identifier_hash__in=account.keys,
        action__in=("", Name.RESET, Name.INVITE),
    ).order_by("-created_at", "-pk")
    # An attempt without the permission did nothing to the person, and must not hide what happened before it.
    events = events.exclude(error_code=NotPermitted.code)
    # Nobody asked for an invitation that staff sent. Rows of the version before the column have no step.
    older = Q(step="", action="", outcome__in=(Outcome.REQUESTED, Outcome.PENDING))
    by_staff = Q(action=Name.RESET, outcome=Outcome.TRIGGERED)
    asked = events.filter(Q(step="request") | older | by_staff)
    answered = events.exclude(outcome=Outcome.THROTTLED)
    return asked.first(), events.first(), answered.first()


def _diagnosis(account: PoolAccount, last_answer: ResetEvent | None) -> Iterator[str]:
    """Yield why the person can't reset the password and what helps, or else that nothing is in the way."""
    person = account.person
    refusals: list[type[errors.ResetError]] = [errors.UserDisabled] if not person.enabled else []
    if refusal := replace(person, enabled=True).refusal(account.rules):
        refusals.append(refusal)
    for refusal in refusals:
        if refusal is errors.NoVerifiedContact and person.channels(None):
            yield _(
                "This user has a verified contact, but the user pool does not send codes to contacts of "
                "this kind. Somebody who administers the user pool can verify another contact, or change "
                "the pool’s account recovery."
            )
        else:
            yield " ".join(map(str, filter(None, (refusal.message, HELP.get(refusal)))))
    failed = "" if refusals else _last_failure(last_answer)
    limited = _limit(account)
    yield from filter(None, (failed, limited))
    if refusals:
        return
    if person.status == "RESET_REQUIRED":
        yield _(
            "The password was reset. This person has to enter the code that they were sent and choose a "
            "new password before they can sign in. A code lasts for an hour; they can ask for a new one."
        )
    elif not (failed or limited):
        yield _("Nothing is in the way: this person can ask for a code and choose a new password.")


def _last_failure(event: ResetEvent | None) -> str:
    """Return what Cognito has refused or failed at a short time ago and what helps, or ""."""
    if event is None or event.outcome not in (Outcome.REFUSED, Outcome.FAILED):
        return ""
    found = next((kind for kind in UNSEEN if kind.code == event.error_code), None)
    if found is None or event.created_at < timezone.now() - RECENT:
        return ""
    if found is errors.NoVerifiedContact:
        help_ = _(
            "If a contact is shown as verified, it may be this person’s second factor, to which Cognito sends no "
            "codes. Somebody who administers the user pool can verify another contact."
        )
    else:
        help_ = HELP.get(found, "")
    reason = stored_reason(found, ACTIONS.get(event.action))
    return " ".join(map(str, filter(None, (_("The last attempt did not work."), reason, help_))))


def _limit(account: PoolAccount) -> str:
    """Return that the person has reached this site's limits, or may have, or ""."""
    try:
        with settings_as_errors():
            seconds = limits.seconds_to_wait(account.pool, account.identifiers)
    except errors.Unavailable:
        return _(
            "This site’s limits of attempts cannot be read now. This person may have reached one of them."
        )
    if seconds <= ratelimits.COOL_DOWN_SECONDS:
        return ""
    minutes = math.ceil(seconds / 60)
    return ngettext(
        "This person has reached this site’s limit of attempts, and can try again in %(minutes)d "
        "minute, or as soon as you let them.",
        "This person has reached this site’s limit of attempts, and can try again in %(minutes)d "
        "minutes, or as soon as you let them.",
        minutes,
    ) % {"minutes": minutes}
