"""``ResetError`` and its subclasses. ``cognito_reset.cognito.table`` has the table from Cognito's errors to them."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path
from traceback import walk_tb
from typing import TYPE_CHECKING, ClassVar, Final

from django.utils.translation import gettext_lazy as _

from cognito_reset.conf import CognitoResetMisconfigured

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

__all__ = [
    "AccountRefused",
    "AmbiguousUser",
    "AttemptLimit",
    "Busy",
    "CircuitOpen",
    "CodeInvalid",
    "DeliveryFailed",
    "FederatedUser",
    "MaybeSent",
    "MessageRejected",
    "Misconfigured",
    "NoVerifiedContact",
    "NotActivated",
    "NotConfirmed",
    "OutcomeUnknown",
    "PasswordCompromised",
    "PasswordInvalid",
    "PasswordReused",
    "RecoveryByAdminOnly",
    "ResetError",
    "SelectionInvalid",
    "Throttled",
    "TriggerFailed",
    "Unavailable",
    "UpstreamThrottled",
    "UserDisabled",
    "UserNotFound",
    "UserNotFoundAsTyped",
    "WrongState",
]

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class ResetError(Exception):
    """
    A reset was not done, or nothing proves that it was.

    Of the class:

    - ``code``: stable and documented; REST, signals and the audit use it.
    - ``name``: Cognito's name for the error, for the AWS interface.
    - ``field``: the serializer's field that the error is about, or None.
    - ``message``: the text for a person.
    - ``status``: the HTTP status of the pages and of REST.
    - ``outcome``: a value of ``ResetEvent.Outcome``.
    - ``level``: the level at which the error is logged.
    - ``wait``: the default of ``retry_after``, in seconds.

    Of the instance:

    - ``aws_code`` and ``request_id``: Cognito's own, for the log and for AWS's support; "" if unknown.
    - ``retry_after``: the seconds after which to try again, or None.
    - ``sent``: Cognito may have received the call.
    - ``answered``: True if Cognito answered with a status below 500, False if it was called and did not,
      None if it was not called at all.
    - ``date``: the Date header of Cognito's answer, or "".
    - ``hint`` and ``at``: the setting to look at and the line of code that failed, for the log and for
      staff; "" if there is none.
    - ``is_announced``: a signal has been sent for this error.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "InternalErrorException"
    field: ClassVar[str | None] = None
    message: ClassVar[_StrPromise]
    status: ClassVar[int] = 400
    outcome: ClassVar[str] = "refused"
    level: ClassVar[int] = logging.INFO
    wait: ClassVar[int | None] = None

    aws_code: str = ""
    request_id: str = ""
    retry_after: int | None = None
    sent: bool = False
    answered: bool | None = None
    date: str = ""
    hint: str = ""
    at: str = ""
    is_announced: bool = False

    def __post_init__(self) -> None:
        if self.retry_after is None:
            self.retry_after = self.wait

    def __str__(self) -> str:
        return f"{self.code} {self.aws_code}".strip()


def kind_with_code(code: str) -> type[ResetError] | None:
    """Return the class of error that has this code, also if another package of the app defines it."""
    kinds: list[type[ResetError]] = [ResetError]
    for kind in kinds:  # grows meanwhile
        if vars(kind).get("code") == code:
            return kind
        kinds += kind.__subclasses__()
    return None


class AccountRefused(ResetError):
    """
    The reason depends on the account, so no public interface shows it: the request step answers as if
    Cognito had sent a code. Staff read the message; each subclass has a specific one.
    """

    code = "account_refused"
    message = _("Cognito did not accept a password reset for this user.")


class UserNotFound(AccountRefused):
    code = "user_not_found"
    message = _("There is no such user in the user pool.")


class UserNotFoundAsTyped(UserNotFound):
    """A name with capital letters was not found, and the pool is case-sensitive, or may not be asked about it."""

    message = _(
        "There is no user with exactly this name in the user pool. Check upper and lower case."
    )


class AmbiguousUser(AccountRefused):
    code = "ambiguous_user"
    message = _("More than one user in the user pool matches. Use the user's Cognito username.")


class SelectionInvalid(AccountRefused):
    """ListUsers or ListUsersInGroup refused what staff typed to select people."""

    code = "selection_invalid"
    message = _("The user pool has no such group, or it does not accept this filter.")


class UserDisabled(AccountRefused):
    code = "user_disabled"
    message = _("This user is disabled in Cognito. Enable the user first.")


class NotActivated(AccountRefused):
    code = "not_activated"
    message = _(
        "This user has not used the invitation yet, so there is no password to reset. "
        "Send the invitation again instead."
    )


class NotConfirmed(AccountRefused):
    code = "not_confirmed"
    message = _(
        "This user has signed up but not confirmed the account yet. Confirm the user first."
    )


class FederatedUser(AccountRefused):
    code = "federated_user"
    message = _("This user signs in through another service and has no password here.")


class WrongState(AccountRefused):
    code = "wrong_state"
    message = _("This user's password cannot be reset in the state that the user is in.")


class NoVerifiedContact(AccountRefused):
    code = "no_verified_contact"
    message = _(
        "This user has no verified email address or phone number that a code could be sent to."
    )


class RecoveryByAdminOnly(AccountRefused):
    code = "recovery_by_admin_only"
    message = _("The user pool does not let users reset their passwords by themselves.")


class AttemptLimit(AccountRefused):
    code = "attempt_limit"
    message = _("This user has reached Cognito's limit of attempts. Try again in an hour.")


class DeliveryFailed(AccountRefused):
    code = "delivery_failed"
    outcome = "failed"
    level = logging.ERROR
    message = _("Cognito could not send the code. The user pool's email or SMS needs attention.")


class MessageRejected(AccountRefused):
    code = "message_rejected"
    outcome = "failed"
    level = logging.ERROR
    message = _(
        "Cognito did not accept the message that carries the code. The user pool's message template, or "
        "the Lambda function that writes the message, needs attention."
    )


class TriggerFailed(AccountRefused):
    code = "trigger_failed"
    outcome = "failed"
    level = logging.ERROR
    message = _("One of the user pool's Lambda functions failed or refused.")


class UpstreamThrottled(AccountRefused):
    """AWS limits the rate. The request step hides it, because an immediate retry would add to the load."""

    code = "upstream_throttled"
    outcome = "failed"
    level = logging.WARNING
    message = _("AWS is limiting the rate of requests. Try again in a few minutes.")


class CodeInvalid(ResetError):
    """The confirm step's one error for everything that depends on the account."""

    code = "code_invalid"
    name = "CodeMismatchException"
    field = "confirmation_code"
    message = _(
        "The code is not correct or has expired, or there were too many tries. "
        "Check the code, or ask for a new one."
    )


class PasswordInvalid(ResetError):
    """Cognito refused a password that our own rules accept, so PASSWORD_POLICY isn't the pool's policy."""

    code = "password_invalid"
    level = logging.WARNING
    name = "InvalidPasswordException"
    field = "password"
    message = _("Choose a longer or more varied password. This one does not meet the rules.")


class PasswordReused(ResetError):
    code = "password_reused"
    name = "PasswordHistoryPolicyViolationException"
    field = "password"
    message = _("Choose a password you have not used before.")


class PasswordCompromised(ResetError):
    code = "password_compromised"
    name = "InvalidPasswordException"
    field = "password"
    message = _("Choose a password that is harder to guess. This one is known to attackers.")


@dataclass(kw_only=True, eq=False)
class Throttled(ResetError):
    """
    One of the app's own rate limits refused the attempt. ``cool_down`` is True if a code was requested less than a
    minute ago, whichever of the identifier's limits is full.
    """

    code = "throttled"
    name = "LimitExceededException"
    status = 429
    outcome = "throttled"
    message = _("Too many attempts. Wait, then try again.")

    cool_down: bool = False


class Unavailable(ResetError):
    """Nothing was done, for a reason that is the same for everybody."""

    code = "unavailable"
    status = 503
    outcome = "failed"
    level = logging.ERROR
    wait = 60
    message = _("Sorry, there is a problem with the service. Try again in a few minutes.")


class Busy(Unavailable):
    """All permits for calls are taken, or Cognito limits the rate of ConfirmForgotPassword."""

    name = "TooManyRequestsException"
    level = logging.WARNING
    wait = 5


class CircuitOpen(Unavailable):
    """The last calls had no answer, so this one was not made (see ``calls.CircuitBreaker``)."""

    level = logging.WARNING
    wait = 5


class MaybeSent(Unavailable):
    """Whether Cognito sent a code is unknown. It is safe to ask again, after a look into the inbox."""

    code = "maybe_sent"
    outcome = "unknown"
    message = _(
        "Sorry, there is a problem with the service. A code may be on its way to you. "
        "If none arrives, try again in a few minutes."
    )


class Misconfigured(Unavailable):
    """The site's settings, credentials or policies are wrong."""

    level = logging.CRITICAL


class OutcomeUnknown(ResetError):
    """The call was sent, and whether Cognito carried it out is unknown. It is never sent again."""

    code = "outcome_unknown"
    status = 502
    outcome = "unknown"
    level = logging.ERROR
    message = _(
        "We could not confirm that your password was changed. Try to sign in with your new "
        "password. If it does not work, ask for a new code."
    )


class SiteCodeFailed(Misconfigured):
    """A callable of the site's settings failed. ``hint`` is the setting."""


def misconfigured(error: CognitoResetMisconfigured, *, hint: str = "") -> Misconfigured:
    """Log which setting can't be used, and return the error that callers may see."""
    logger.critical("cognito_reset.misconfigured: %s", error)
    return Misconfigured(hint=hint)


def site_code_failed(setting: str, error: Exception) -> SiteCodeFailed:
    """Log the setting whose callable failed, and the line. Return the error that callers may see."""
    place = (setting, type(error).__name__, failing_line(error))
    logger.critical("cognito_reset.site_code_failed setting=%s error=%s at=%s", *place)
    return SiteCodeFailed(aws_code=type(error).__name__, hint=setting)


# Where Python, packages and this app are installed. The names of frozen modules begin with "<".
_FOLDERS: Final = (*map(get_path, ("stdlib", "purelib", "platlib")), Path(__file__).parents[1])
_LIBRARIES: Final = (*(f"{folder}{os.sep}" for folder in _FOLDERS), "<")


def failing_line(error: BaseException) -> str:
    """
    Return the file and line of the site's own code that raised ``error``, or that called what raised it. Return
    the innermost line if none is the site's own. The log has this instead of the exception's text, which may
    contain a secret.
    """
    lines = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [line for line in lines if not line[0].startswith(_LIBRARIES)]
    return "{}:{}".format(*(own or lines)[-1])
