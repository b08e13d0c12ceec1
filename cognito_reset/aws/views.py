"""
The endpoint that speaks Cognito's own protocol (AWS JSON 1.1): every AWS SDK, and Amplify, works with
it, with another address for an endpoint. The app client's secret stays here.

Two operations. What a caller signs or hashes is ignored. Answers and errors are in Cognito's words, at
the request step with nothing in them but what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied
from django.core.signals import got_request_exception
from django.http import Http404, HttpResponseBase, JsonResponse
from django.utils.log import log_response
from django.views.decorators.debug import sensitive_variables
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.settings import api_settings

from cognito_reset.cognito.errors import CognitoResetMisconfigured, ResetError, Unavailable
from cognito_reset.cognito.service import Delivery
from cognito_reset.conf import conf
from cognito_reset.resets.deliveries import typed_delivery
from cognito_reset.resets.flow import (
    CodeRequested,
    ConfirmReset,
    RequestCode,
    Step,
    misconfigured,
    problems,
    resolve_pool,
)
from cognito_reset.resets.serializers import AWSCallerSerializer
from cognito_reset.rest.views import NotJSON, PublicAPIView, StrictJSONParser

SERVICE: Final = "AWSCognitoIdentityProviderService"
MEDIA_TYPE: Final = "application/x-amz-json-1.1"
# Members by AWS's names, those of the nested structures too. Others are ignored, as AWS does.
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
# By the status of what DRF, or the site, raises.
STATUS_NAMES: Final = {
    401: "ForbiddenException",
    403: "ForbiddenException",
    404: "ResourceNotFoundException",
    405: "UnknownOperationException",
    429: "LimitExceededException",
}


class Refusal(Exception):
    """An error of this interface's own. Its texts are for developers, and in English."""

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(name, message, status)


class AWSJSONParser(StrictJSONParser):
    media_type = MEDIA_TYPE


class AWSJSONView(PublicAPIView):
    """ForgotPassword and ConfirmForgotPassword."""

    http_method_names = ["post"]
    step: Step | None = None
    parser_classes = (AWSJSONParser,)
    schema = None  # no part of a site's OpenAPI: Cognito's own description holds
    steps: ClassVar[Mapping[str, type[Step]]] = {
        "ForgotPassword": RequestCode,
        "ConfirmForgotPassword": ConfirmReset,
    }

    @sensitive_variables()
    def post(self, request: Request, pool: str | None = None, **kwargs: Any) -> HttpResponseBase:
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            # The site exempts this address from the redirect, which SDKs can't follow.
            raise Refusal("ForbiddenException", "Use https.", 403)
        service, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
        if service != SERVICE or operation not in self.steps:
            text = "This endpoint has ForgotPassword and ConfirmForgotPassword."
            raise Refusal("UnknownOperationException", text)
        alias = resolve_pool(request._request, pool)
        values = _values(request.data)
        caller = AWSCallerSerializer(data=values)
        caller.is_valid(raise_exception=True)
        if caller.validated_data["client_id"] != conf.pool(alias).published_client_id:
            text = "This site publishes another ClientId."
            raise Refusal("ResourceNotFoundException", text)
        self.step = self.steps[operation](
            request._request,
            pool=alias,
            interface="aws",
            invocation_id=request.headers.get("amz-sdk-invocation-id", ""),
        )
        return _json(_body(self.step.run(values)))

    def handle_exception(  # type: ignore[override]  # the stubs know DRF's own response only
        self, exc: Exception
    ) -> HttpResponseBase:
        if isinstance(exc, CognitoResetMisconfigured):
            exc = misconfigured(exc)
        if isinstance(exc, Refusal):
            return _error(*exc.args)
        if isinstance(exc, Http404):  # of the site's resolver of pools, say
            exc = exceptions.NotFound()
        if isinstance(exc, PermissionDenied):
            exc = exceptions.PermissionDenied()
        if isinstance(exc, ResetError):
            if exc.status >= 500 and not exc.sent:
                return _error("InternalErrorException", str(exc.message), 500)  # SDKs send again
            return _error(exc.name, str(exc.message))
        if isinstance(exc, exceptions.APIException) and exc.status_code < 500:
            return _error(*_refused(exc))
        return self._report(exc)

    def _report(self, bug: Exception) -> HttpResponseBase:
        """Tell of a bug of the site's as Django does. The call may have been made before it."""
        if self.step and self.step.called:
            response = _error(self.step.unknown.name, str(self.step.unknown.message))
        else:
            response = _error(Unavailable.name, str(Unavailable.message), 500)
        request = self.request._request
        got_request_exception.send(sender=type(self), request=request)
        log_response(
            *("Internal error: %s", request.path),
            response=response,
            request=request,
            exception=bug,
            level="error",
        )
        return response


def _refused(error: exceptions.APIException) -> tuple[str, str, int]:
    """Give Cognito's name, the text and the status for an error of DRF's or of the site's hook."""
    found = problems(error)
    text = " ".join(problem.detail for problem in found)
    if not isinstance(error, exceptions.ValidationError):
        if isinstance(error, exceptions.MethodNotAllowed):
            text = "Send POST, to an address without redirects: some clients follow one with GET."
        name = STATUS_NAMES.get(error.status_code, "InvalidParameterException")
        return name, text, 403 if name == "ForbiddenException" else 400
    no_fields = {None, NON_FIELD_ERRORS, api_settings.NON_FIELD_ERRORS_KEY}
    if no_fields.issuperset(problem.attr for problem in found):  # the site's hook, like a firewall
        return "ForbiddenException", text, 403
    # Rules that a password breaks; all else is said first.
    rules = {p for p in found if p.attr == "password" and p.code not in ("required", "invalid")}
    lines = [f"{_member(p.attr)}: {p.detail}" for p in found if p not in rules]
    if lines:
        return "InvalidParameterException", " ".join(lines), 400
    return "InvalidPasswordException", text, 400


def _member(attr: str | None) -> str:
    """Give AWS's name for a field, dotted."""
    names = str(attr).removesuffix(f".{api_settings.NON_FIELD_ERRORS_KEY}").split(".")
    return ".".join(NAMES.get(name, name) for name in names)


@sensitive_variables()
def _values(body: Any) -> dict[str, Any]:
    """Give the members by our fields' names. Null is absent: some SDKs send it for what isn't set."""
    if not isinstance(body, dict):
        raise NotJSON
    return {
        MEMBERS[name]: _values(value) if name in STRUCTURES and isinstance(value, dict) else value
        for name, value in body.items()
        if name in MEMBERS and value is not None
    }


def _body(result: CodeRequested | None) -> dict[str, Any]:
    if result is None:
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
    # No Retry-After: some SDKs wait before they send again, with the person before them.
    return response
