"""Amazon's JSON 1.1 over HTTP: requests taken apart, answers put together."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from cognito_reset.testing.errors import CognitoError

CONTENT_TYPE: Final = "application/x-amz-json-1.1"
TARGET: Final = "AWSCognitoIdentityProviderService."
CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": ("x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"),
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer before a transport carries it."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


def operation_of(target: str) -> str:
    """The operation that X-Amz-Target names."""
    if not target.startswith(TARGET):
        raise CognitoError("UnknownOperationException", "")
    return target.removeprefix(TARGET)


def parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise CognitoError("SerializationException", "The request is not JSON.") from None


def answer(status: int, body: dict[str, Any]) -> Answer:
    """A result or an error as Cognito sends it."""
    headers = {"Content-Type": CONTENT_TYPE, "x-amzn-requestid": str(uuid.uuid4()), **CORS}
    if "__type" in body:
        headers["x-amzn-errortype"] = f"{body['__type']}:"
        text = " ".join(str(body["message"]).split())
        headers["x-amzn-errormessage"] = text.encode("ascii", "replace").decode()
    return Answer(status, headers, json.dumps(body).encode())
