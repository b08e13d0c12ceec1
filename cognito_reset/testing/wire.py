"""Amazon's JSON 1.1 over HTTP: parsing of requests, and building of answers."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

from cognito_reset.testing.errors import CognitoError

CONTENT_TYPE: Final = "application/x-amz-json-1.1"
TARGET: Final = "AWSCognitoIdentityProviderService."
_SCOPE: Final = re.compile(r"Credential=[^/,]+/[0-9]+/([a-z0-9-]{1,40})/cognito-idp/aws4_request")
CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": ("x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"),
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, independent of the transport."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


def operation_of(headers: Mapping[str, str]) -> str:
    """
    Return the operation that X-Amz-Target names, for a request of Cognito's media type.

    A browser sends this media type to another origin only after that origin agreed to it.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    target = headers.get("x-amz-target", "")
    if media_type != CONTENT_TYPE or not target.startswith(TARGET):
        raise CognitoError("UnknownOperationException", "")
    return target.removeprefix(TARGET)


def region_of(headers: Mapping[str, str]) -> str:
    """
    Return the Region in the signature's credential scope, or "" for an unsigned request:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    found = _SCOPE.search(headers.get("authorization", ""))
    return found[1] if found else ""


def parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise CognitoError("SerializationException", "The request is not JSON.") from None


def answer(status: int, body: dict[str, Any], now: datetime) -> Answer:
    """Return a result or an error as Cognito sends it at that time."""
    date = format_datetime(now.astimezone(UTC), usegmt=True)
    headers = {
        "Date": date,
        "Content-Type": CONTENT_TYPE,
        "x-amzn-requestid": str(uuid.uuid4()),
        **CORS,
    }
    if "__type" in body:
        headers["x-amzn-errortype"] = f"{body['__type']}:"
        text = " ".join(str(body["message"]).split())
        headers["x-amzn-errormessage"] = text.encode("ascii", "replace").decode()
    return Answer(status, headers, json.dumps(body).encode())
