"""
The endpoint that speaks Cognito's own protocol (AWS JSON 1.1): AWS SDKs and Amplify work with it if they
are given its address as their endpoint. The app client's secret stays on the server.

It serves two operations. Signatures and secret hashes of callers are accepted and not checked. Answers and
errors have Cognito's names. The answer to ForgotPassword doesn't tell whether the user exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.log import log_response
from rest_framework import exceptions
from rest_framework.request import Request

from cognito_reset.cognito.errors import ResetError, Unavailable
from cognito_reset.cognito.service import Delivery
from cognito_reset.conf import conf
from cognito_reset.resets.flow import (
    Attempt,
    CodeRequested,
    Confirmed,
    confirm_reset,
    request_code,
)
from cognito_reset.resets.neutral import typed_delivery
from cognito_reset.resets.pools import resolve_pool
from cognito_reset.resets.problems import problems
from cognito_reset.resets.serializers import AWSCallerSerializer
from cognito_reset.rest.errors import translated
from cognito_reset.rest.views import REDIRECTED, PublicAPIView, StrictJSONParser

__all__ = ["AWSJSONView"]

SERVICE: Final = "AWSCognitoIdentityProviderService"
MEDIA_TYPE: Final = "application/x-amz-json-1.1"
# Our fields by AWS's member names, also those of nested structures. Other members are ignored, as by AWS.
MEMBERS: Final = {
    "ClientId": "client_id",
    "SecretHash": "secret_hash",
    "Username": "username",
    "ConfirmationCode": "confirmation_code",
    "Password": "password",
    "ClientMetadata": "client_metadata",
    "AnalyticsMetadata": "analytics_metadata",
    "AnalyticsEndpointId": "analytics_endpoint_id",
    "UserContextData": "user_context_data",
    "EncodedData": "encoded_data",
    "IpAddress": "ip_address",
}
STRUCTURES: Final = ("AnalyticsMetadata", "UserContextData")
NAMES: Final = {field: name for name, field in MEMBERS.items()}
OPERATIONS: Final[dict[str, Callable[[Attempt, object], CodeRequested | Confirmed]]] = {
    "ForgotPassword": request_code,
    "ConfirmForgotPassword": confirm_reset,
}
# Cognito's error names by the HTTP status that DRF, or the site's code, would answer with.
STATUS_NAMES: Final = {
    401: "ForbiddenException",
    403: "ForbiddenException",
    404: "ResourceNotFoundException",
    405: "UnknownOperationException",
    429: "LimitExceededException",
}


class Refusal(Exception):
    """An error of this interface alone. Its message is for developers, and isn't translated."""

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(name, message, status)


class AWSJSONParser(StrictJSONParser):
    media_type = MEDIA_TYPE


class AWSJSONView(PublicAPIView):
    """ForgotPassword and ConfirmForgotPassword."""

    http_method_names = ["post"]
    parser_classes = (AWSJSONParser,)
    schema = None  # not in the site's OpenAPI schema: Cognito's own description applies

    def post(self, request: Request, pool: str | None = None, **kwargs: Any) -> HttpResponseBase:
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            # SDKs don't follow redirects, so the site exempts this address from SECURE_SSL_REDIRECT.
            raise Refusal("ForbiddenException", "Use https.", 403)
        service, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
        if service != SERVICE or operation not in OPERATIONS:
            text = "This endpoint has ForgotPassword and ConfirmForgotPassword."
            raise Refusal("UnknownOperationException", text)
        alias = resolve_pool(request._request, pool)
        values = _values(request.data)
        caller = AWSCallerSerializer(data=values)
        caller.is_valid(raise_exception=True)
        if caller.validated_data["client_id"] != conf.pool(alias).published_client_id:
            text = "This site publishes another ClientId."
            raise Refusal("ResourceNotFoundException", text)
        # PHP's SDK and the old one for Android call the header "aws-sdk-…".
        names = ("amz-sdk-invocation-id", "aws-sdk-invocation-id")
        invocation_id = next(filter(None, map(request.headers.get, names)), "")
        attempt = Attempt(alias, "aws", request._request, invocation_id)
        return _json(_body(OPERATIONS[operation](attempt, values)))

    def handle_exception(  # type: ignore[override]  # the stubs know DRF's own response only
        self, exc: Exception
    ) -> HttpResponseBase:
        exc = translated(exc)
        if isinstance(exc, Refusal):
            return _error(*exc.args)
        if isinstance(exc, ResetError):
            # SDKs send a request again after status 500.
            is_safe = exc.status >= 500 and not exc.sent
            name = "InternalErrorException" if is_safe else exc.name
            return _error(name, str(exc.message), 500 if is_safe else 400)
        if isinstance(exc, exceptions.APIException) and exc.status_code < 500:
            return _error(*_refused(exc))
        return _report(self.request._request, exc)


def _report(request: HttpRequest, bug: Exception) -> HttpResponseBase:
    """
    Report a bug in the site's code as Django does. The status is 500 although the call may have been made,
    because the request that an SDK then sends again is a repeat, whose answer is "unknown".
    """
    response = _error("InternalErrorException", str(Unavailable.message), 500)
    got_request_exception.send(sender=AWSJSONView, request=request)
    log_response(
        *("Internal error: %s", request.path),
        response=response,
        request=request,
        exception=bug,
        level="error",
    )
    return response


def _refused(error: exceptions.APIException) -> tuple[str, str, int]:
    """Return Cognito's name, the text and the status for an error of DRF or of PRE_SEND_HOOK."""
    found = problems(error)
    text = " ".join(problem.detail for problem in found)
    if not isinstance(error, exceptions.ValidationError):
        if isinstance(error, exceptions.MethodNotAllowed):
            text = REDIRECTED
        name = STATUS_NAMES.get(error.status_code, "InvalidParameterException")
        return name, text, 403 if name == "ForbiddenException" else 400
    if not any(problem.attr for problem in found):  # raised by PRE_SEND_HOOK
        return "ForbiddenException", text, 403
    # Report broken rules for passwords only if there are no other errors.
    rules = {p for p in found if p.attr == "password" and p.code not in ("required", "invalid")}
    others = [problem for problem in found if problem not in rules]
    lines = [f"{_member(p.attr)}: {p.detail}" if p.attr else p.detail for p in others]
    if lines:
        return "InvalidParameterException", " ".join(lines), 400
    return "InvalidPasswordException", text, 400


def _member(attr: str) -> str:
    """Return AWS's name for a field. Names of nested fields are joined by dots."""
    return ".".join(NAMES.get(name, name) for name in attr.split("."))


def _values(body: Any) -> dict[str, Any]:
    """Return the members by our fields' names. Null counts as absent: some SDKs send it."""
    return {
        MEMBERS[name]: _values(value) if name in STRUCTURES and isinstance(value, dict) else value
        for name, value in body.items()
        if name in MEMBERS and value is not None
    }


def _body(result: CodeRequested | Confirmed) -> dict[str, Any]:
    if isinstance(result, Confirmed):
        return {}
    delivery = typed_delivery(result.username) or Delivery("***", "EMAIL", "email", "")
    return {
        "CodeDeliveryDetails": {
            "Destination": delivery.destination,
            "DeliveryMedium": delivery.medium,
            "AttributeName": delivery.attribute,
        }
    }


def _error(name: str, message: str, status: int = 400) -> JsonResponse:
    response = _json({"__type": name, "message": message}, status)
    response.headers["x-amzn-ErrorType"] = name
    return response


def _json(body: dict[str, Any], status: int = 200) -> JsonResponse:
    response = JsonResponse(body, status=status, content_type=MEDIA_TYPE)
    response.headers["Content-Length"] = str(len(response.content))
    response.headers["x-amzn-RequestId"] = str(uuid4())
    # No Retry-After: some SDKs wait that long before they retry.
    return response
