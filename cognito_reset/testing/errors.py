"""The errors of Amazon Cognito and their messages."""

from __future__ import annotations

from typing import Any, Final

WRONG_STATE: Final = "User password cannot be reset in the current state."
DISABLED: Final = "User is disabled"
NO_CONTACT: Final = (
    "Cannot reset password for the user as there is no registered/verified email or phone_number"
)
NOT_IN_CLIENT: Final = "Username/client id combination not found."
NO_USER: Final = "User does not exist."
WRONG_PASSWORD: Final = "Incorrect username or password."
WRONG_CODE: Final = "Invalid verification code provided, please try again."
OLD_CODE: Final = "Invalid code provided, please request a code again."
TOO_OFTEN: Final = "Attempt limit exceeded, please try after some time."
ADMIN_ONLY: Final = "Contact administrator to reset password."
#: Errors that any service of AWS may return, so that botocore's model of Cognito doesn't list them
#: ("Common Error Types" in the API reference), and those of the protocol and of signatures.
COMMON_ERRORS: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InternalFailure",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MalformedHttpRequestException",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "RequestAbortedException",
        "RequestEntityTooLargeException",
        "RequestExpired",
        "RequestTimeoutException",
        "SerializationException",
        "ServiceUnavailable",
        "SignatureDoesNotMatch",
        "ThrottlingException",
        "UnknownOperationException",
        "UnrecognizedClientException",
        "ValidationException",
    }
)


class CognitoError(Exception):
    """One of Cognito's errors: its name without a namespace, its message and its HTTP status."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status

    @property
    def body(self) -> dict[str, Any]:
        return {"__type": self.code, "message": self.message}


def invalid_parameter(message: str) -> CognitoError:
    return CognitoError("InvalidParameterException", message)


def not_found(what: str) -> CognitoError:
    return CognitoError("ResourceNotFoundException", f"{what} does not exist.")


def not_authorized(message: str) -> CognitoError:
    return CognitoError("NotAuthorizedException", message)
