"""
``ResetError`` and its subclasses, and the one table from Cognito's errors to them.

The table's key is (operation, Cognito's error code, start of Cognito's message), because Cognito uses
one code for several things. It has a row for every error that botocore's model lists for the operations
that this app calls (a test compares it with the model), and a default for each other error. What boto3
raises is looked up in the table by ``cognito_reset.cognito.client``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from django.utils.translation import gettext_lazy as _

from cognito_reset.conf import CognitoResetMisconfigured

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

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

    def __post_init__(self) -> None:
        if self.retry_after is None:
            self.retry_after = self.wait

    def __str__(self) -> str:
        return f"{self.code} {self.aws_code}".strip()


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


class AmbiguousUser(AccountRefused):
    code = "ambiguous_user"
    message = _("More than one user in the user pool matches. Use the user's Cognito username.")


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
    message = _(
        "Cognito could not send the code. The user pool's email or SMS needs attention. "
        "The current password may have stopped working all the same."
    )


class TriggerFailed(AccountRefused):
    code = "trigger_failed"
    outcome = "failed"
    level = logging.ERROR
    message = _(
        "One of the user pool's Lambda functions failed or refused. "
        "The current password may have stopped working all the same."
    )


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
    code = "password_invalid"
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
    One of the app's own rate limits refused the attempt. ``cool_down`` is True if it was only the short
    wait between two codes.
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


def misconfigured(error: CognitoResetMisconfigured) -> Misconfigured:
    """Log which setting can't be used, and return the error that callers may see."""
    logger.critical("cognito_reset.misconfigured: %s", error)
    return Misconfigured()


# Keys of rows that stand for errors without a row of their own.
SERVER_ERROR: Final = "InternalErrorException"  # this one, and others with a status of 500 or more
OTHER: Final = "*"  # any other error with a status below 500
UNPROVEN: Final = "-"  # the call was sent, and no answer proves what became of it

# Starts of Cognito's messages (developer guide; botocore's model has no codes for these cases).
_SECRET_HASH_TEXTS = ("Unable to verify secret hash", "Client ")
_INVALID_VALUE_TEXT = "1 validation error detected: Value at 'password'"
_RATE_CODES = (
    "TooManyRequestsException", "ThrottlingException", "ThrottledException", "Throttling",
    "RequestThrottledException", "RequestThrottled", "RequestLimitExceeded", "SlowDown",
)  # fmt: skip
# Any operation may have these; the site's credentials, policies, clock or Region cause them. A replica
# Region answers OperationNotEnabledException to resets.
_SITE_CODES = (
    "ResourceNotFoundException", "OperationNotEnabledException", "UnknownOperationException",
    "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId",
    "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature",
    "MissingAuthenticationTokenException", "MissingAuthenticationToken",
    "ExpiredTokenException", "ExpiredToken",
)  # fmt: skip

Rows = dict[tuple[str, str], type[ResetError]]

_EVERY: Rows = {
    **{(code, ""): Misconfigured for code in _SITE_CODES},
    **{("NotAuthorizedException", text): Misconfigured for text in _SECRET_HASH_TEXTS},
    ("ForbiddenException", ""): Unavailable,  # AWS WAF, which knows no accounts
    (SERVER_ERROR, ""): Unavailable,
}
_ACCOUNT: Rows = {
    ("UserNotFoundException", ""): UserNotFound,
    ("NotAuthorizedException", ""): AccountRefused,
    ("NotAuthorizedException", "User is disabled"): UserDisabled,
    ("NotAuthorizedException", "User password cannot be reset"): WrongState,
    ("NotAuthorizedException", "Contact administrator"): RecoveryByAdminOnly,
    ("InvalidParameterException", ""): AccountRefused,
    ("InvalidParameterException", "Cannot reset password for the user"): NoVerifiedContact,
    ("LimitExceededException", ""): AttemptLimit,
    ("CodeDeliveryFailureException", ""): DeliveryFailed,
    ("InvalidSmsRoleAccessPolicyException", ""): DeliveryFailed,
    ("InvalidSmsRoleTrustRelationshipException", ""): DeliveryFailed,
    ("InvalidEmailRoleAccessPolicyException", ""): DeliveryFailed,
    ("UserLambdaValidationException", ""): TriggerFailed,
    ("UnexpectedLambdaException", ""): TriggerFailed,
    ("InvalidLambdaResponseException", ""): TriggerFailed,
    **{(code, ""): UpstreamThrottled for code in _RATE_CODES},
    (OTHER, ""): AccountRefused,
}
_STAFF: Rows = {
    **_EVERY,
    **_ACCOUNT,
    (SERVER_ERROR, ""): OutcomeUnknown,
    (UNPROVEN, ""): OutcomeUnknown,
}
_READ: Rows = {
    **_EVERY,
    ("InvalidParameterException", ""): AccountRefused,
    ("NotAuthorizedException", ""): Misconfigured,
    **{(code, ""): UpstreamThrottled for code in _RATE_CODES},
    (UNPROVEN, ""): Unavailable,
    (OTHER, ""): Unavailable,
}
_OPERATIONS: dict[str, Rows] = {
    "ForgotPassword": {
        **_EVERY,
        **_ACCOUNT,
        (UNPROVEN, ""): MaybeSent,
    },
    "ConfirmForgotPassword": {
        **_EVERY,
        ("CodeMismatchException", ""): CodeInvalid,
        ("ExpiredCodeException", ""): CodeInvalid,
        ("TooManyFailedAttemptsException", ""): CodeInvalid,
        ("LimitExceededException", ""): CodeInvalid,
        ("UserNotFoundException", ""): CodeInvalid,
        ("UserNotConfirmedException", ""): CodeInvalid,
        ("NotAuthorizedException", ""): CodeInvalid,
        ("InvalidParameterException", ""): CodeInvalid,
        # Cognito validates the request before it looks at the user, so this tells nothing of one.
        ("InvalidParameterException", _INVALID_VALUE_TEXT): PasswordInvalid,
        ("InvalidPasswordException", ""): PasswordInvalid,
        ("InvalidPasswordException", "Provided password cannot be used"): PasswordCompromised,
        ("PasswordHistoryPolicyViolationException", ""): PasswordReused,
        # AWS doesn't document whether the password is changed if the post confirmation trigger fails.
        ("UserLambdaValidationException", ""): OutcomeUnknown,
        ("UnexpectedLambdaException", ""): OutcomeUnknown,
        ("InvalidLambdaResponseException", ""): OutcomeUnknown,
        **{(code, ""): Busy for code in _RATE_CODES},
        (SERVER_ERROR, ""): OutcomeUnknown,
        (UNPROVEN, ""): OutcomeUnknown,
        (OTHER, ""): CodeInvalid,
    },
    "AdminResetUserPassword": _STAFF,
    "AdminUserGlobalSignOut": _STAFF,
    "ListUsers": _READ,
    "DescribeUserPool": {**_READ, ("UserPoolTaggingException", ""): Unavailable},
}
TABLE: Final[dict[tuple[str, str, str], type[ResetError]]] = {
    (operation, code, start): error
    for operation, rows in _OPERATIONS.items()
    for (code, start), error in rows.items()
}


def error_class(operation: str, code: str, text: str, status: int) -> type[ResetError]:
    """
    Return the table's class for an answer of Cognito: ``code`` and ``text`` are its error's name and
    message, ``status`` its HTTP status. The row with the longest start of ``text`` wins.
    """
    starts = [key[2] for key in TABLE if key[:2] == (operation, code) and text.startswith(key[2])]
    if starts:
        return TABLE[operation, code, max(starts, key=len)]
    if status >= 500:
        return TABLE[operation, SERVER_ERROR, ""]
    if code.isdigit():  # botocore's name for an answer that isn't Cognito's, of a WAF or a proxy
        return Unavailable
    return TABLE[operation, OTHER, ""]


def unproven(operation: str, *, aws_code: str = "", request_id: str = "") -> ResetError:
    """Return the error for a call that was sent and that no answer proves done."""
    error = TABLE[operation, UNPROVEN, ""]
    return error(aws_code=aws_code, request_id=request_id, sent=True, answered=False)
