"""What an error of Cognito or botocore says about the connection, for the doctor."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from cognito_reset.cognito import errors
from cognito_reset.cognito.table import RATE_CODES


class Trouble(StrEnum):
    """What is wrong with the way to Cognito, or with what the site sends there."""

    NONE = "none"  # Cognito answered, and the answer isn't about the site's settings
    TIMEOUT = "timeout"
    REFUSED = "refused"
    NAME = "name"
    PROXY = "proxy"
    TLS = "tls"
    NO_ANSWER = "no_answer"
    FOREIGN = "foreign"  # something else than Cognito answered
    FIREWALL = "firewall"
    SERVER_ERROR = "server_error"
    RATE = "rate"
    NOT_CALLED = "not_called"  # the circuit breaker or the bulkhead refused the call
    CLIENT_ID = "client_id"
    SECRET = "secret"  # noqa: S105  # it is none
    SECRET_CODE = "secret_code"  # noqa: S105  # the site's callable for the secret failed
    POOL_ID = "pool_id"
    REPLICA = "replica"
    CREDENTIALS = "credentials"
    PERMISSIONS = "permissions"
    CLOCK = "clock"
    SETTINGS = "settings"


_BY_CODE: Final = {
    "ConnectTimeoutError": Trouble.TIMEOUT,
    "EndpointConnectionError": Trouble.REFUSED,
    "ProxyConnectionError": Trouble.PROXY,
    "InvalidProxiesConfigError": Trouble.PROXY,
    "SSLError": Trouble.TLS,
    "ForbiddenException": Trouble.FIREWALL,
    "OperationNotEnabledException": Trouble.REPLICA,
    "UnprovenAnswer": Trouble.FOREIGN,
    "UnknownOperationException": Trouble.FOREIGN,
    **dict.fromkeys(RATE_CODES, Trouble.RATE),
}
_BY_HINT: Final = {
    "CLIENT_ID,REGION": Trouble.CLIENT_ID,
    "CLIENT_ID,USER_POOL_ID,REGION": Trouble.CLIENT_ID,
    "USER_POOL_ID,REGION": Trouble.POOL_ID,
    "CLIENT_ID": Trouble.CLIENT_ID,
    "AWS_CREDENTIALS": Trouble.CREDENTIALS,
    "AWS_PERMISSIONS": Trouble.PERMISSIONS,
    "CLOCK": Trouble.CLOCK,
}

AFTER_THE_CLIENT: Final = {
    "UserNotFoundException",
    "CodeMismatchException",
    "ExpiredCodeException",
    "LimitExceededException",
    "TooManyFailedAttemptsException",
}


def diagnose(error: errors.ResetError | None) -> Trouble:
    """Return what is wrong. ``error`` is the error that a call raised, or None if the call succeeded."""
    if error is None:
        return Trouble.NONE
    if isinstance(error, errors.CircuitOpen) or (isinstance(error, errors.Busy) and not error.sent):
        return Trouble.NOT_CALLED
    if error.hint == "CLIENT_SECRET":
        return Trouble.SECRET if error.sent else Trouble.SECRET_CODE
    if error.hint == "REGION,ENDPOINT_URL":
        return Trouble.NAME
    found = _BY_HINT.get(error.hint) or _BY_CODE.get(error.aws_code)
    if found:
        return found
    if error.aws_code.isdigit():  # botocore's name for an answer without an error of Cognito's
        return Trouble.FOREIGN
    if isinstance(error, errors.Misconfigured) and not error.sent:
        return Trouble.SETTINGS
    if error.answered:
        return Trouble.NONE
    return Trouble.SERVER_ERROR if error.request_id else Trouble.NO_ANSWER


def accepts_client(error: errors.ResetError | None) -> bool:
    """
    Check whether the answer to ``probe_client()`` is one that Cognito only makes after it has checked the client: it
    is about the user, the code or the number of attempts.
    """
    return error is None or error.aws_code in AFTER_THE_CLIENT


def shows_users(error: errors.ResetError | None) -> bool | None:
    """
    Check whether the app client reveals that a user doesn't exist, by its answer to ``probe_client()``: with
    PreventUserExistenceErrors LEGACY it is UserNotFoundException, and with ENABLED CodeMismatchException or
    ExpiredCodeException (developer guide, "Managing user existence error responses"). Return None if the answer
    doesn't tell.
    """
    code = error.aws_code if error else ""
    if code == "UserNotFoundException":
        return True
    return False if code in ("CodeMismatchException", "ExpiredCodeException") else None


def time_of(error: errors.ResetError | None) -> datetime | None:
    """Return the time in the Date header of Cognito's answer, or None if there is none."""
    if error is None or not error.date:
        return None
    try:
        time = parsedate_to_datetime(error.date)
    except (ValueError, OverflowError):
        return None
    # Without a zone, or with -0000, Python returns a naive time. HTTP's dates are in UTC.
    return time if time.tzinfo else time.replace(tzinfo=UTC)
