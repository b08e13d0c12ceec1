"""The REST endpoints for single-page apps, as ordinary DRF views."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from django.db import connections
from django.http import HttpResponseBase, UnreadablePostError
from django.utils.decorators import method_decorator
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

from cognito_reset.cognito.errors import ResetError
from cognito_reset.resets.bodies import BODY_LIMIT, body_length, is_utf8
from cognito_reset.resets.flow import (
    Attempt,
    CodeRequested,
    Confirmed,
    confirm_reset,
    request_code,
)
from cognito_reset.resets.passwords import PasswordPolicy, get_policy
from cognito_reset.resets.pools import resolve_pool
from cognito_reset.resets.serializers import masked
from cognito_reset.resets.stores import outside_transactions
from cognito_reset.rest.errors import (
    LengthRequired,
    NotJSON,
    TooLarge,
    api_exception,
    standardized,
    translated,
)

__all__ = ["ConfirmAPIView", "PolicyAPIView", "RequestAPIView"]

REDIRECTED: Final = "Use POST. If you did, look for a redirect: some clients follow one with GET."


class StrictJSONParser(BaseParser):
    """
    A parser for a JSON object in UTF-8. It refuses duplicate names, and masks secrets. It doesn't inherit
    from JSONParser, because DRF reads the whole body before it calls one. The view has checked the size.
    """

    media_type = "application/json"
    limit = BODY_LIMIT

    @sensitive_variables()
    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            text = stream.read(self.limit).decode("utf-8-sig")
            data = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_constant)
            if isinstance(data, dict):
                return data
        except (ValueError, RecursionError, UnreadablePostError):
            pass
        raise NotJSON


class JSONNegotiation(DefaultContentNegotiation):
    """Always answer in JSON, whatever the Accept header allows."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        # DRF would accept "*/*" as any type. Only UTF-8 is read.
        if "*" in request.content_type or not is_utf8(request._request):
            return None
        return super().select_parser(request, parsers)

    def select_renderer(
        self, request: Any, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class JSONAPIView(APIView):
    """What the app's endpoints have in common: small bodies in JSON, and errors in one shape."""

    parser_classes = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JSONNegotiation
    versioning_class = None  # these URLs have no version
    body_limit = BODY_LIMIT

    @method_decorator([never_cache, xframe_options_deny, outside_transactions])
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # First, because a site's throttle may read the body.
        length = body_length(request._request, self.body_limit)
        if length is None:
            raise LengthRequired
        if length > self.body_limit:
            raise TooLarge
        super().initial(request, *args, **kwargs)

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        # Django redirects to a path with a slash at its end, and fetch() follows that with GET.
        text = REDIRECTED if request.method == "GET" else None
        raise exceptions.MethodNotAllowed(str(request.method), text)

    def handle_exception(self, exc: Exception) -> Response:
        exc = translated(exc)
        if isinstance(exc, ResetError):
            exc = api_exception(exc)
        # With ATOMIC_REQUESTS, DRF marks each open transaction for a rollback. This view opens no transaction, so an
        # open one belongs to a site's TestCase, whose next query would fail.
        opened = [each for each in connections.all(initialized_only=True) if each.in_atomic_block]
        unmarked = [connection for connection in opened if not connection.get_rollback()]
        response = super().handle_exception(exc)
        for connection in unmarked:
            connection.set_rollback(False)
        return response

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        handler = super().get_exception_handler()
        return standardized if handler is exception_handler else handler


class PublicAPIView(JSONAPIView):
    """A view without authentication, whatever the site's defaults are. The site's throttles apply."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class RequestAPIView(PublicAPIView):
    """Ask for a code."""

    http_method_names = ["post", "options"]

    def post(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        attempt = Attempt.of(request._request, pool, "rest")
        return self.answer(request_code(attempt, request.data))

    def answer(self, result: CodeRequested) -> Response:
        body: dict[str, Any] = {"resend_after": result.resend_after}
        if result.delivery:
            body["code_delivery_details"] = {
                "destination": result.delivery.destination,
                "delivery_medium": result.delivery.medium,
                "attribute_name": result.delivery.attribute,
            }
        return Response(body, status=status.HTTP_202_ACCEPTED)


class ConfirmAPIView(PublicAPIView):
    """Set the new password with the code."""

    http_method_names = ["post", "options"]

    def post(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        attempt = Attempt.of(request._request, pool, "rest")
        return self.answer(confirm_reset(attempt, request.data))

    def answer(self, result: Confirmed) -> Response:
        return Response({})


class PolicyAPIView(PublicAPIView):
    """Return the password policy, so that a client can display and check it."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        return self.answer(get_policy(resolve_pool(request._request, pool)))

    def answer(self, policy: PasswordPolicy) -> Response:
        rules = [vars(rule) for rule in policy.rules]
        return Response(
            {"rules": rules, "hints": policy.hints, "passwordrules": policy.passwordrules}
        )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = {name: masked(name, value) for name, value in pairs}
    if len(values) != len(pairs):
        raise ValueError
    return values


def _no_constant(name: str) -> Any:
    raise ValueError
