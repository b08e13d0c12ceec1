"""
The REST endpoints for single-page apps: JSON in, JSON out, no cookie, no session.

Every error is a DRF exception with one of our stable codes, so that a site's own EXCEPTION_HANDLER
gets what it knows. DRF's default one drops the codes: in its place ours answers in the shape of
drf-standardized-errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar

from django.db import transaction
from django.http import HttpResponseBase, UnreadablePostError
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.debug import sensitive_variables
from rest_framework import exceptions, status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from cognito_reset.cognito.errors import CognitoResetMisconfigured, ResetError
from cognito_reset.resets.flow import (
    BODY_LIMIT,
    RESEND_AFTER_SECONDS,
    CodeRequested,
    ConfirmReset,
    RequestCode,
    Step,
    misconfigured,
    problems,
    resolve_pool,
)
from cognito_reset.resets.passwords import PasswordPolicy, get_policy


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request is too large.")
    default_code = "too_large"


class NotJSON(exceptions.ParseError):
    default_detail = _("Send a JSON object.")


class StrictJSONParser(BaseParser):
    """
    JSON of a bounded size and depth, in which each name stands once. Not a JSONParser: for those DRF
    reads the whole body first.
    """

    media_type = "application/json"

    @sensitive_variables()
    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            body = stream.read(BODY_LIMIT + 1)
            if len(body) > BODY_LIMIT:
                raise TooLarge
            return json.loads(body, object_pairs_hook=_each_once, parse_constant=_no_constant)
        except (ValueError, RecursionError, UnreadablePostError):
            pass
        raise NotJSON


class JSONNegotiation(DefaultContentNegotiation):
    """JSON whatever is accepted: an error that can't be read helps nobody."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        # DRF takes "*/*" for any type.
        return None if "*" in request.content_type else super().select_parser(request, parsers)

    def select_renderer(
        self, request: Any, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class PublicAPIView(APIView):
    """Open to everybody whatever the site's defaults are; its throttles still apply."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JSONNegotiation
    versioning_class = None  # a site's own knows nothing of these addresses

    @method_decorator([never_cache, xframe_options_deny, transaction.non_atomic_requests])
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        handler = super().get_exception_handler()
        return _standardized if handler is exception_handler else handler


class StepAPIView(PublicAPIView):
    """One step."""

    http_method_names = ["post", "options"]
    step_class: ClassVar[type[Step]]

    @sensitive_variables()
    def post(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        step = self.step_class(request._request, pool=pool, interface="rest")
        try:
            return self.answer(step.run(request.data))
        except ResetError as error:
            failure = api_exception(error)
        raise failure

    def answer(self, result: Any) -> Response:
        raise NotImplementedError


class RequestAPIView(StepAPIView):
    step_class = RequestCode

    def answer(self, result: CodeRequested) -> Response:
        body: dict[str, Any] = {"resend_after": RESEND_AFTER_SECONDS}
        if result.delivery:
            body["code_delivery_details"] = {
                "destination": result.delivery.destination,
                "delivery_medium": result.delivery.medium,
                "attribute_name": result.delivery.attribute,
            }
        return Response(body, status=status.HTTP_202_ACCEPTED)


class ConfirmAPIView(StepAPIView):
    step_class = ConfirmReset

    def answer(self, result: None) -> Response:
        return Response({})


class PolicyAPIView(PublicAPIView):
    """What a new password must be, to be shown before one types and checked while one does."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        try:
            return self.answer(get_policy(resolve_pool(request._request, pool)))
        except CognitoResetMisconfigured as error:
            failure = misconfigured(error)
        raise api_exception(failure)

    def answer(self, policy: PasswordPolicy) -> Response:
        rules = [vars(rule) for rule in policy.rules]
        return Response(
            {"rules": rules, "hints": policy.hints, "passwordrules": policy.passwordrules}
        )


def api_exception(error: ResetError) -> exceptions.APIException:
    """Give the DRF exception that says ``error``, its code and its wait."""
    if error.field:
        detail = exceptions.ErrorDetail(str(error.message), error.code)
        return exceptions.ValidationError({error.field: [detail]})
    answer = exceptions.APIException(error.message, error.code)
    answer.status_code = error.status
    if error.retry_after:
        answer.wait = error.retry_after  # type: ignore[attr-defined]  # DRF's handlers make it Retry-After
    return answer


def _standardized(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's own handler, and the shape of drf-standardized-errors for its answer."""
    response = exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        response.data = error_body(error)
    return response


def error_body(error: exceptions.APIException) -> dict[str, Any]:
    kind = "server_error" if error.status_code >= 500 else "client_error"
    if isinstance(error, exceptions.ValidationError):
        kind = "validation_error"
    return {"type": kind, "errors": [vars(problem) for problem in problems(error)]}


@sensitive_variables()
def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError
    return values


def _no_constant(name: str) -> Any:
    raise ValueError
