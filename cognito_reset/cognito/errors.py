"""
What can go wrong: one family of errors, and one table from AWS's errors to ours.

``translate()`` turns whatever boto3 raised into a ``ResetError`` that keeps nothing of it but AWS's
name for the error and the request id: no parameter, no vendor text, no context. The table's key is
(operation, AWS code, start of the message), for Cognito uses one code for several things. It covers
every error that botocore's model lists for the operations that we call (a test reads the model),
and what no model lists has an answer too.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SHORT_WAIT_SECONDS: Final = 5
LONG_WAIT_SECONDS: Final = 60


class CognitoResetMisconfigured(ImproperlyConfigured):
    """
    A setting that can't be used. Outside of the family below, so that nothing takes it for an
    answer of Cognito's; the system checks find it first, and the interfaces answer 503 without detail.
    """


class ResetError(Exception):
    """
    A reset that wasn't done, or wasn't proved done.

    ``code`` is stable and documented, ``name`` what Cognito calls it, ``field`` the serializer's
    field that it is about, ``message`` the words for a person, ``status`` the HTTP status of the
    pages and of REST, ``outcome`` what signals and the audit say. ``retry_after`` is in seconds.
    ``sent``: Cognito may have got the call.
    """

    code: ClassVar[str]
    name: ClassVar[str] = "InternalErrorException"
    field: ClassVar[str | None] = None
    message: ClassVar[_StrPromise]
    status: ClassVar[int] = 400
    outcome: ClassVar[str] = "refused"
    level: ClassVar[int] = logging.INFO
    wait: ClassVar[int | None] = None

    def __init__(
        self,
        *,
        aws_code: str = "",
        request_id: str = "",
        retry_after: int | None = None,
        sent: bool = False,
    ) -> None:
        super().__init__()
        self.aws_code = aws_code
        self.request_id = request_id
        self.sent = sent
        self.retry_after = self.wait if retry_after is None else retry_after

    def __str__(self) -> str:
        return f"{self.code} {self.aws_code}".strip()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class AccountRefused(ResetError):
    """
    Depends on the account, so no public interface shows it: the request step answers as if a code had
    been sent. Staff read the message, which the subclasses make specific.
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
    """Hidden at the request step, for a retry at once would only make it worse."""

    code = "upstream_throttled"
    outcome = "failed"
    level = logging.WARNING
    message = _("AWS is limiting the rate of requests. Try again in a few minutes.")


class CodeInvalid(ResetError):
    """One error for all that depends on the account at the confirm step."""

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


class Throttled(ResetError):
    """
    Our own limits. ``cool_down``: only the short wait between two codes refused it. ``refused_by``:
    throttling's own names of the limits that did.
    """

    code = "throttled"
    name = "LimitExceededException"
    status = 429
    outcome = "throttled"
    message = _("Too many attempts. Wait, then try again.")

    def __init__(
        self, *, retry_after: int, cool_down: bool = False, refused_by: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(retry_after=retry_after)
        self.cool_down = cool_down
        self.refused_by = refused_by


class Unavailable(ResetError):
    """Nothing was done, and it is the same for everybody."""

    code = "unavailable"
    status = 503
    outcome = "failed"
    level = logging.ERROR
    wait = LONG_WAIT_SECONDS
    message = _("Sorry, there is a problem with the service. Try again in a few minutes.")


class Busy(Unavailable):
    """Every thread that may call Cognito is taken, or Cognito asks everybody to slow down."""

    name = "TooManyRequestsException"
    level = logging.WARNING
    wait = SHORT_WAIT_SECONDS


class MaybeSent(Unavailable):
    """The request step's unknown outcome: asking again is safe, after a look into the inbox."""

    outcome = "unknown"
    message = _(
        "Sorry, there is a problem with the service. A code may be on its way to you. "
        "If none arrives, try again in a few minutes."
    )


class Misconfigured(Unavailable):
    """The site's own mistake, which only Cognito could tell."""

    level = logging.CRITICAL


class OutcomeUnknown(ResetError):
    """The call was sent, and whether it was done can't be known. Never retried."""

    code = "outcome_unknown"
    status = 502
    outcome = "unknown"
    level = logging.ERROR
    message = _(
        "We could not confirm that your password was changed. Try to sign in with your new "
        "password. If it does not work, ask for a new code."
    )


# Keys of a row beside AWS's own codes.
OTHER: Final = "*"  # any other error below 500
SERVER_ERROR: Final = "5xx"  # any other error from 500 on
UNPROVEN: Final = "-"  # sent, and no answer that proves anything

# The three texts are Cognito's (developer guide; botocore names no codes for them).
_SECRET_HASH_TEXTS = ("Unable to verify secret hash", "Client ")
_RATE_CODES = (
    "TooManyRequestsException",
    "ThrottlingException",
    "ThrottledException",
    "Throttling",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "SlowDown",
)
# What the site's credentials, policies, clock or Region can cause, on any operation.
_SITE_CODES = (
    "ResourceNotFoundException",
    "OperationNotEnabledException",  # a replica Region takes no resets
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "MissingAuthenticationTokenException",
    "MissingAuthenticationToken",
    "ExpiredToken",
    "ExpiredTokenException",
    "UnknownOperationException",
)

Rows = dict[tuple[str, str], type[ResetError]]

_EVERY: Rows = {
    **{(code, ""): Misconfigured for code in _SITE_CODES},
    **{("NotAuthorizedException", text): Misconfigured for text in _SECRET_HASH_TEXTS},
    ("ForbiddenException", ""): Unavailable,  # WAF, which doesn't know accounts
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
    ("InternalErrorException", ""): OutcomeUnknown,
    (SERVER_ERROR, ""): OutcomeUnknown,
    (UNPROVEN, ""): OutcomeUnknown,
}
_READ: Rows = {
    **_EVERY,
    ("InvalidParameterException", ""): AccountRefused,
    ("NotAuthorizedException", ""): Misconfigured,
    **{(code, ""): UpstreamThrottled for code in _RATE_CODES},
    ("InternalErrorException", ""): Unavailable,
    (UNPROVEN, ""): Unavailable,
    (OTHER, ""): Unavailable,
}
_OPERATIONS: dict[str, Rows] = {
    "ForgotPassword": {
        **_EVERY,
        **_ACCOUNT,
        ("InternalErrorException", ""): Unavailable,
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
        # Cognito validates the request before it looks at the user: true for everybody.
        ("InvalidParameterException", "1 validation error detected: Value at 'password'"): (
            PasswordInvalid
        ),
        ("InvalidPasswordException", ""): PasswordInvalid,
        ("InvalidPasswordException", "Provided password cannot be used"): PasswordCompromised,
        ("PasswordHistoryPolicyViolationException", ""): PasswordReused,
        # Whether the password was changed when the post confirmation trigger failed, AWS
        # doesn't say.
        ("UserLambdaValidationException", ""): OutcomeUnknown,
        ("UnexpectedLambdaException", ""): OutcomeUnknown,
        ("InvalidLambdaResponseException", ""): OutcomeUnknown,
        **{(code, ""): Busy for code in _RATE_CODES},
        ("InternalErrorException", ""): OutcomeUnknown,
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


def translate(operation: str, error: Exception) -> ResetError:
    """
    Give our error for what boto3 raised from ``operation``. It is returned, not raised: a raised
    one would carry ``error``, and with it the parameters, in its context.
    """
    from botocore import exceptions as botocore_exceptions

    if isinstance(error, botocore_exceptions.ClientError):
        return _from_answer(operation, error.response)
    name = type(error).__name__
    if isinstance(error, botocore_exceptions.ParamValidationError):
        return TABLE[operation, "InvalidParameterException", ""](aws_code=name)
    if isinstance(error, botocore_exceptions.SSLError):
        # Of TLS only a refused certificate is known to come before the request.
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            return unproven(operation, aws_code=name)
        return Unavailable(aws_code=name)
    if isinstance(error, botocore_exceptions.ConnectionError):  # before anything was sent
        return Unavailable(aws_code=name)
    if isinstance(error, botocore_exceptions.BotoCoreError) and not isinstance(
        error, (botocore_exceptions.HTTPClientError, botocore_exceptions.IncompleteReadError)
    ):
        return Misconfigured(aws_code=name)  # credentials, Region, endpoint: nothing was sent
    return unproven(operation, aws_code=name)


def unproven(operation: str, *, aws_code: str = "", request_id: str = "") -> ResetError:
    """Give the error for a call that was sent and that nothing proves done."""
    return TABLE[operation, UNPROVEN, ""](aws_code=aws_code, request_id=request_id, sent=True)


def request_id_of(metadata: dict[str, Any]) -> str:
    """Give the request id of ``ResponseMetadata``, or "" where none that could be AWS's is there."""
    request_id = metadata.get("RequestId")
    if isinstance(request_id, str) and re.fullmatch(r"[A-Za-z0-9-]{1,64}", request_id):
        return request_id
    return ""


def _from_answer(operation: str, response: Any) -> ResetError:
    answer, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, text = str(answer.get("Code", "")), str(answer.get("Message", ""))
    status = metadata.get("HTTPStatusCode", 0)
    row = _row(operation, code, text, status)
    known = (operation, code, "") in TABLE or re.fullmatch(r"[A-Za-z0-9]{1,64}", code)
    aws_code = code if known else "unknown"
    return row(aws_code=aws_code, request_id=request_id_of(metadata), sent=True)


def _row(operation: str, code: str, text: str, status: int) -> type[ResetError]:
    starts = [key[2] for key in TABLE if key[:2] == (operation, code) and text.startswith(key[2])]
    if starts:
        return TABLE[operation, code, max(starts, key=len)]
    if status >= 500:
        return TABLE[operation, SERVER_ERROR, ""]
    if code.isdigit():  # botocore's name for an answer that isn't Cognito's: a WAF, a proxy
        return Unavailable
    return TABLE[operation, OTHER, ""]
