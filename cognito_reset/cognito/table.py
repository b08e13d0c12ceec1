"""
The one table from Cognito's errors to ``ResetError`` and its subclasses.

A row's key is (operation, Cognito's error code, pattern), because Cognito uses one code for several
things. The pattern is a regular expression for the start of Cognito's message. The table has a row for
every error that botocore's model lists for the operations that this app calls (a test compares it with
the model), and a default for each other error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cognito_reset.cognito import errors
from cognito_reset.cognito.errors import CodeInvalid, DeliveryFailed, ResetError

# Keys of rows that stand for errors without a row of their own.
SERVER_ERROR: Final = "InternalErrorException"  # this one, and others with a status of 500 or more
OTHER: Final = "*"  # any other error with a status below 500
UNPROVEN: Final = "-"  # the call was sent, and no answer shows its outcome

# Patterns for Cognito's messages (developer guide; botocore's model has no codes for these cases).
_HASH_WRONG = "Unable to verify secret hash"
_HASH_MISSING = "Client .*secret"  # the client's id is in between
_COMPROMISED = "Provided password cannot be used"
_VALUE_REFUSED = "1 validation error detected: Value at 'password'"
# The pool's own message, written by a template or by a Lambda function, is shown in front of its name
# (github.com/amazon-archives/amazon-cognito-identity-js/issues/99, github.com/aws/aws-lambda-go/issues/330).
# The custom message trigger's response has smsMessage, emailMessage and emailSubject (developer guide).
_INVALID_MESSAGE = r".*\bat '(email|sms)\w*' failed to satisfy constraint"
# What the Lambda function wrote has no code in it (…/amazon-cognito-identity-js/issues/521).
_EMPTY_MESSAGE = "The message is empty"
# SES doesn't know the pool's sender, or is in its sandbox (github.com/aws/aws-cdk/issues/18964). A message
# that names another service of AWS is about the whole pool, and not about one user.
_OTHER_SERVICE = r".*(Email address is not verified|\b(SES|SNS|KMS|Pinpoint)\b)"
# Cognito's own sender sends 50 mails a day for the whole account (developer guide; the text is in
# github.com/rahulpsd18/cognito-backup-restore/issues/46).
_DAILY_LIMIT = "Exceeded daily email limit"
_NO_GROUP = "Group not found"  # github.com/aws-amplify/amplify-cli/issues/2214
RATE_CODES = (
    "TooManyRequestsException", "ThrottlingException", "ThrottledException", "Throttling",
    "RequestThrottledException", "RequestThrottled", "RequestLimitExceeded", "SlowDown",
)  # fmt: skip
# Errors of any operation that the site's settings, credentials, permissions or clock cause. The values are
# the hints for the log: what to look at first.
_SITE_FAULTS: Final = {
    ("NotAuthorizedException", _HASH_WRONG): "CLIENT_SECRET",
    ("NotAuthorizedException", _HASH_MISSING): "CLIENT_SECRET",
    ("NotAuthorizedException", "Client "): "CLIENT_ID",
    ("ResourceNotFoundException", ""): "CLIENT_ID,USER_POOL_ID,REGION",
    ("ResourceNotFoundException", "User pool "): "USER_POOL_ID,REGION",
    ("ResourceNotFoundException", "User pool client "): "CLIENT_ID,REGION",
    ("OperationNotEnabledException", ""): "REGION",  # a replica Region answers so to resets
    ("UnknownOperationException", ""): "ENDPOINT_URL",
    **{(code, ""): "AWS_PERMISSIONS" for code in ("AccessDeniedException", "AccessDenied")},
    **{(code, ""): "AWS_CREDENTIALS" for code in (
        "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
        "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationTokenException",
        "MissingAuthenticationToken", "ExpiredTokenException", "ExpiredToken",
    )},
    # Texts of AWS's signatures (IAM user guide, "Troubleshoot Signature Version 4 signing").
    ("InvalidSignatureException", "Signature (expired|not yet current)"): "CLOCK",
    ("InvalidSignatureException", "Credential should be scoped to a valid [Rr]egion"): "REGION",
}  # fmt: skip
# All hints: those above, one for a password that only Cognito refuses, and those for botocore's own
# errors, which are listed by their class names. "" is for what isn't the site's fault.
_HINTS: Final = {
    **_SITE_FAULTS,
    ("InvalidPasswordException", ""): "PASSWORD_POLICY",
    ("InvalidPasswordException", _COMPROMISED): "",
    ("ResourceNotFoundException", _NO_GROUP): "",
    **{(name, ""): "AWS_CREDENTIALS" for name in (
        "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
        "ProfileNotFound", "TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError",
    )},
    **{(name, ""): "REGION" for name in ("NoRegionError", "InvalidRegionError")},
    **{(name, ""): "PROXIES" for name in ("ProxyConnectionError", "InvalidProxiesConfigError")},
    ("SSLError", ""): "CA_BUNDLE",
}  # fmt: skip

Rows = dict[tuple[str, str], type[ResetError]]

_EVERY: Rows = {
    **dict.fromkeys(_SITE_FAULTS, errors.Misconfigured),
    ("ForbiddenException", ""): errors.Unavailable,  # from AWS WAF, the same for every account
    (SERVER_ERROR, ""): errors.Unavailable,
}
_ACCOUNT: Rows = {
    ("UserNotFoundException", ""): errors.UserNotFound,
    ("NotAuthorizedException", ""): errors.AccountRefused,
    ("NotAuthorizedException", "User is disabled"): errors.UserDisabled,
    ("NotAuthorizedException", "User password cannot be reset"): errors.WrongState,
    ("NotAuthorizedException", "Contact administrator"): errors.RecoveryByAdminOnly,
    ("InvalidParameterException", ""): errors.AccountRefused,
    ("InvalidParameterException", "Cannot reset password for the user"): errors.NoVerifiedContact,
    ("InvalidParameterException", _INVALID_MESSAGE): errors.MessageRejected,
    ("InvalidParameterException", _EMPTY_MESSAGE): errors.MessageRejected,
    ("InvalidParameterException", _OTHER_SERVICE): DeliveryFailed,
    ("LimitExceededException", ""): errors.AttemptLimit,
    ("LimitExceededException", _DAILY_LIMIT): DeliveryFailed,
    ("CodeDeliveryFailureException", ""): DeliveryFailed,
    ("InvalidSmsRoleAccessPolicyException", ""): DeliveryFailed,
    ("InvalidSmsRoleTrustRelationshipException", ""): DeliveryFailed,
    ("InvalidEmailRoleAccessPolicyException", ""): DeliveryFailed,
    ("UserLambdaValidationException", ""): errors.TriggerFailed,
    ("UnexpectedLambdaException", ""): errors.TriggerFailed,
    ("InvalidLambdaResponseException", ""): errors.TriggerFailed,
    **{(code, ""): errors.UpstreamThrottled for code in RATE_CODES},
    (OTHER, ""): errors.AccountRefused,
}
_STAFF: Rows = {
    **_EVERY,
    **_ACCOUNT,
    (SERVER_ERROR, ""): errors.OutcomeUnknown,
    (UNPROVEN, ""): errors.OutcomeUnknown,
}
_READ: Rows = {
    **_EVERY,
    ("InvalidParameterException", ""): errors.AccountRefused,
    ("NotAuthorizedException", ""): errors.Misconfigured,
    **{(code, ""): errors.UpstreamThrottled for code in RATE_CODES},
    (UNPROVEN, ""): errors.Unavailable,
    (OTHER, ""): errors.Unavailable,
}
_OPERATIONS: dict[str, Rows] = {
    "ForgotPassword": {
        **_EVERY,
        **_ACCOUNT,
        (UNPROVEN, ""): errors.MaybeSent,
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
        # Cognito validates the request before it looks at the user, so this reveals nothing about the user.
        ("InvalidParameterException", _VALUE_REFUSED): errors.PasswordInvalid,
        ("InvalidPasswordException", ""): errors.PasswordInvalid,
        ("InvalidPasswordException", _COMPROMISED): errors.PasswordCompromised,
        ("PasswordHistoryPolicyViolationException", ""): errors.PasswordReused,
        # AWS doesn't document whether the password is changed if the post confirmation trigger fails.
        ("UserLambdaValidationException", ""): errors.OutcomeUnknown,
        ("UnexpectedLambdaException", ""): errors.OutcomeUnknown,
        ("InvalidLambdaResponseException", ""): errors.OutcomeUnknown,
        **{(code, ""): errors.Busy for code in RATE_CODES},
        (SERVER_ERROR, ""): errors.OutcomeUnknown,
        (UNPROVEN, ""): errors.OutcomeUnknown,
        (OTHER, ""): CodeInvalid,
    },
    "AdminResetUserPassword": _STAFF,
    "AdminUserGlobalSignOut": _STAFF,
    "AdminCreateUser": {
        **_STAFF,
        ("UnsupportedUserStateException", ""): errors.WrongState,
        ("UsernameExistsException", ""): errors.WrongState,
        ("PreconditionNotMetException", ""): errors.AccountRefused,
        # In a pool where people sign in with one-time passwords, Cognito makes no temporary password.
        ("InvalidPasswordException", ""): errors.AccountRefused,
    },
    "AdminEnableUser": _STAFF,
    "AdminConfirmSignUp": {
        **_STAFF,
        ("TooManyFailedAttemptsException", ""): errors.AttemptLimit,
        # Two texts are in use (github.com/furaiev/amazon-cognito-identity-dart-2/issues/80,
        # github.com/keboola/developer-portal/issues/186).
        ("NotAuthorizedException", "User cannot (be )?confirm"): errors.WrongState,
    },
    "ListUsers": {
        **_READ,
        # github.com/aws/aws-sdk-php/issues/1088
        ("InvalidParameterException", "Error while parsing filter"): errors.SelectionInvalid,
        ("InvalidParameterException", "Invalid search attribute"): errors.SelectionInvalid,
    },
    "ListUsersInGroup": {
        **_READ,
        ("ResourceNotFoundException", _NO_GROUP): errors.SelectionInvalid,
    },
    "DescribeUserPool": {**_READ, ("UserPoolTaggingException", ""): errors.Unavailable},
    "DescribeUserPoolClient": _READ,
    "GetUserPoolMfaConfig": _READ,
}
TABLE: Final[dict[tuple[str, str, str], type[ResetError]]] = {
    (operation, code, pattern): error
    for operation, rows in _OPERATIONS.items()
    for (code, pattern), error in rows.items()
}


def error_class(operation: str, code: str, text: str, status: int) -> type[ResetError]:
    """
    Return the table's class for an answer of Cognito: ``code`` and ``text`` are its error's name and
    message, ``status`` its HTTP status. Of the rows whose patterns match, the longest pattern wins.
    """
    pattern = _pattern(operation, code, text)
    if pattern is not None:
        return TABLE[operation, code, pattern]
    if status >= 500:
        return TABLE[operation, SERVER_ERROR, ""]
    if code.isdigit():  # botocore's name for an answer that isn't Cognito's, of a WAF or a proxy
        return errors.Unavailable
    return TABLE[operation, OTHER, ""]


def is_reason_unknown(operation: str, code: str, text: str) -> bool:
    """
    Check whether the table doesn't show why Cognito refused: its code is new, or stands for several reasons
    and the text is new.
    """
    pattern = _pattern(operation, code, text)
    if pattern is None:
        return not code.isdigit()
    return not pattern and code in ("InvalidParameterException", "NotAuthorizedException")


def hint_for(code: str, text: str = "") -> str:
    """Return which setting to look at after an error of Cognito or botocore, or ""."""
    pattern = _longest_match((key[1] for key in _HINTS if key[0] == code), text)
    return "" if pattern is None else _HINTS[code, pattern]


def _pattern(operation: str, code: str, text: str) -> str | None:
    return _longest_match((key[2] for key in TABLE if key[:2] == (operation, code)), text)


def _longest_match(patterns: Iterable[str], text: str) -> str | None:
    # Cognito's text repeats the value that it refuses. A visitor typed that value, so it must match no pattern.
    text = re.sub(r"Value '.*' at '", "Value at '", text, flags=re.DOTALL)
    found = [pattern for pattern in patterns if re.match(pattern, text, re.DOTALL)]
    return max(found, key=len, default=None)


def unproven(
    operation: str, *, aws_code: str = "", request_id: str = "", at: str = ""
) -> ResetError:
    """Return the error for a call that was sent and whose outcome no answer shows."""
    return TABLE[operation, UNPROVEN, ""](
        aws_code=aws_code, request_id=request_id, sent=True, answered=False, at=at
    )
