"""
The OpenAPI description of the REST endpoints, for drf-spectacular. Loaded only if that is installed.

Error codes and examples come from the serializers, the table of errors and the views. The bodies of errors
are those of the app's own exception handler. If a site sets EXCEPTION_HANDLER, only the codes are true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from drf_spectacular import extensions, plumbing, utils
from drf_spectacular.openapi import AutoSchema
from rest_framework import exceptions

from cognito_reset.cognito.errors import AccountRefused, Misconfigured, Throttled
from cognito_reset.cognito.service import Delivery
from cognito_reset.cognito.table import TABLE
from cognito_reset.conf import conf
from cognito_reset.resets import serializers
from cognito_reset.resets.bodies import BODY_LIMIT
from cognito_reset.resets.flow import CodeRequested, Confirmed
from cognito_reset.resets.passwords import VALIDATOR_CODES, PasswordPolicy, has_codes_of_its_own
from cognito_reset.rest.errors import LengthRequired, NotJSON, TooLarge, api_exception, error_body
from cognito_reset.rest.views import ConfirmAPIView, PolicyAPIView, RequestAPIView

Schema = dict[str, Any]

PREFIX: Final = "CognitoReset"  # of our components, because a site has names of its own
STATUSES: Final = {
    400: "The request was refused. `attr` names the field, or is null if no field is at fault.",
    411: "The length of the body isn't known, and this server can't find it out.",
    413: f"The body is larger than {BODY_LIMIT} bytes.",
    415: "The body was not sent as application/json.",
    429: "Too many attempts. Retry-After is the number of seconds to wait.",
    502: (
        "It is unknown whether the password was changed. Let the person try to sign in with the "
        "new one, and don't repeat the request."
    ),
    503: (
        "Cognito can't be reached or refuses this site, or too many requests are running. With "
        "the code `maybe_sent`, a code may have been sent all the same."
    ),
}
RETRY_AFTER: Final = utils.OpenApiParameter(
    "Retry-After",
    {"type": "integer", "minimum": 1},
    utils.OpenApiParameter.HEADER,
    description="The number of seconds to wait.",
    required=True,
    response=[429, 503],
)
REQUEST: Final = {"username": "alice@example.com"}  # the example
FORWARDED: Final = (
    "`client_metadata`, `analytics_metadata` and `user_context_data` are passed on to Cognito only "
    "if a setting of this site allows it."
)


def _text(**more: Any) -> Schema:
    return {"type": "string", **more}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _object(*optional: str, **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    schema: Schema = plumbing.build_object_type(properties=properties, required=required)
    return schema


@dataclass(eq=False)
class Body:
    """The schema of a response's body, and its name among the components."""

    name: str
    schema: Schema


class Bodies(extensions.OpenApiSerializerExtension):
    target_class = Body

    def get_name(self, auto_schema: AutoSchema, direction: Any) -> Any:
        return PREFIX + self.target.name

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Any:
        return self.target.schema


def _response(
    name: str, schema: Schema, description: str, examples: dict[str, Any]
) -> utils.OpenApiResponse:
    named = [utils.OpenApiExample(*example) for example in examples.items()]
    return utils.OpenApiResponse(Body(name, schema), description, named)


def _refusals(
    name: str,
    failures: Iterable[exceptions.APIException] = (),
    more_codes: Iterable[str] = (),
    any_code: bool = False,
) -> dict[int, utils.OpenApiResponse]:
    """
    Return the responses by status, for ``failures`` and for what every endpoint can raise. A 400 can also
    have ``more_codes``, and any code at all if ``any_code`` is true.
    """
    always = [api_exception(Throttled()), api_exception(Misconfigured())]
    by_status: dict[int, list[Schema]] = {}
    for failure in (*always, *failures):
        by_status.setdefault(failure.status_code, []).append(error_body(failure))
    responses = {}
    for status, bodies in sorted(by_status.items()):
        codes = dict.fromkeys(error["code"] for body in bodies for error in body["errors"])
        code = _text(enum=list(codes))
        if status == 400:
            code["enum"] += more_codes
            code = {"anyOf": [code, _text()]} if any_code else code
        attr = plumbing.append_meta(_text(), {"nullable": True})
        errors = _list(_object(code=code, detail=_text(), attr=attr), minItems=1)
        # Without allOf, drf-spectacular would make the enum a component, with a name that a site may use
        # for something else.
        kind = {"allOf": [_text(enum=["validation_error", "client_error", "server_error"])]}
        schema = _object(type=kind, errors=errors)
        examples = {body["errors"][0]["code"]: body for body in bodies}
        responses[status] = _response(f"{name}{status}", schema, STATUSES[status], examples)
    return responses


def _failures(
    operation: str, serializer_class: type[serializers.RequestCodeSerializer], request: Schema
) -> Iterator[exceptions.APIException]:
    """Yield what a step can raise for bad input, and for the errors of Cognito's ``operation``."""
    for data in ({}, dict.fromkeys(request, 5)):  # each field is missing or isn't a string
        serializer = serializer_class(data=data, context={"policy": PasswordPolicy()})
        serializer.is_valid()
        yield exceptions.ValidationError(serializer.errors)
    yield NotJSON()
    yield LengthRequired()
    yield TooLarge()
    yield exceptions.UnsupportedMediaType("text/plain")
    for (name, *_), error in TABLE.items():
        if name == operation and not issubclass(error, AccountRefused):
            yield api_exception(error())


def _request(view: RequestAPIView) -> dict[str, Any]:
    """Return the arguments of ``extend_schema()`` for this view."""
    text = "The number of seconds until another code can be asked for."
    wait = {"type": "integer", "minimum": 0, "description": text}
    medium = _text(enum=["EMAIL", "SMS"])
    delivery = _object(destination=_text(), delivery_medium=medium, attribute_name=_text())
    delivery["description"] = "Where the code was sent, masked. Absent unless the site shows it."
    done = _object("code_delivery_details", resend_after=wait, code_delivery_details=delivery)
    shown = Delivery("a***@e***", "EMAIL", "email", "")
    examples = {
        "sent": view.answer(CodeRequested("", 60, None)).data,
        "destination shown": view.answer(CodeRequested("", 60, shown)).data,
    }
    success = "A code is on its way, if the user exists and can get one."
    failures = _failures("ForgotPassword", serializers.RequestCodeSerializer, REQUEST)
    return {
        "summary": "Ask for a code",
        "description": (
            "Cognito sends a code to the user's verified email address or phone number. The answer "
            "is the same, after the same time, whether or not the user exists. " + FORWARDED
        ),
        "request": serializers.RequestCodeSerializer,
        "examples": [utils.OpenApiExample("request", REQUEST, request_only=True)],
        "responses": {
            202: _response("RequestDone", done, success, examples),
            **_refusals("Request", failures, any_code=conf.pre_send_hook is not None),
        },
    }


def _confirm(view: ConfirmAPIView) -> dict[str, Any]:
    """Return the arguments of ``extend_schema()`` for this view."""
    request = {**REQUEST, "confirmation_code": "123456", "password": "Correct-horse-1"}
    # drf-spectacular leaves out an object that has neither properties nor additionalProperties.
    done = {"type": "object", "additionalProperties": False}
    examples = {"changed": view.answer(Confirmed("")).data}
    success = "Cognito has accepted the new password."
    broken = [exceptions.ErrorDetail(rule.text, rule.code) for rule in PasswordPolicy().rules]
    failures = [
        *_failures("ConfirmForgotPassword", serializers.ConfirmResetSerializer, request),
        exceptions.ValidationError({"password": broken}),
    ]
    return {
        "summary": "Set the new password",
        "description": (
            "Set the new password with the code from the message. A wrong, expired or used code, "
            "too many tries, and an unknown or disabled user all have the same error, "
            "`code_invalid`. " + FORWARDED
        ),
        "request": serializers.ConfirmResetSerializer,
        "examples": [utils.OpenApiExample("confirm", request, request_only=True)],
        "responses": {
            200: _response("ConfirmDone", done, success, examples),
            **_refusals("Confirm", failures, VALIDATOR_CODES, any_code=has_codes_of_its_own()),
        },
    }


def _policy(view: PolicyAPIView) -> dict[str, Any]:
    """Return the arguments of ``extend_schema()`` for this view."""
    policy = PasswordPolicy()
    codes = [rule.code for rule in policy.rules]
    rule = _object(code=_text(enum=codes), text=_text(), pattern=_text(format="regex"))
    done = _object(rules=_list(rule), hints=_list(_text()), passwordrules=_text())
    examples = {"default": view.answer(policy).data}
    return {
        "summary": "Get the rules for a new password",
        "description": (
            "Show the rules before a person types, and check them meanwhile. `pattern` matches in "
            "every password that satisfies the rule. Only the server can check the `hints`. "
            "`passwordrules` is the value of HTML's attribute of that name."
        ),
        "responses": {
            200: _response("PolicyDone", done, "The current rules.", examples),
            **_refusals("Policy"),
        },
    }


DESCRIPTIONS: Final = {RequestAPIView: _request, ConfirmAPIView: _confirm, PolicyAPIView: _policy}


class Operation(AutoSchema):
    """The schema class of our views. It makes names that don't collide with a site's own."""

    def get_operation_id(self) -> str:
        """Return a name made of the whole path, so that no two endpoints have the same."""
        name = "_".join(re.findall(r"\w+", self.path)) or "root"
        is_second = self.method == "POST" and hasattr(self.view, "get")
        return f"{name}_post" if is_second else name

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        is_ours = type(serializer).__module__.startswith("cognito_reset.")
        prefix = PREFIX if is_ours else ""
        return prefix + super().get_serializer_name(serializer, direction)


class Endpoints(extensions.OpenApiViewExtension):
    target_class = "cognito_reset.rest.views.PublicAPIView"
    match_subclasses = True

    def view_replacement(self) -> Any:
        """
        Return the view with our description, which overrides that of the site's own schema class.
        ``@extend_schema`` on a subclass of the view overrides ours.
        """
        view: Any = self.target
        describe: Any = next((DESCRIPTIONS[c] for c in view.__mro__ if c in DESCRIPTIONS), None)
        if describe is None:
            return view
        arguments = {"tags": ["password reset"], "parameters": [RETRY_AFTER], **describe(view())}
        return described(view, arguments)


def described(view: Any, *descriptions: dict[str, Any]) -> Any:
    """Return ``view`` with the arguments of ``extend_schema()``, which those of the site override."""
    classes = type(view.schema).__mro__
    overrides = [c for c in classes if c.__module__ == utils.__name__]  # by @extend_schema
    sites = next(c for c in classes if c not in overrides)
    schema = type("Operation", (Operation, sites), {})
    made: Any = type(view.__name__, (view,), {"schema": schema()})
    for arguments in descriptions:
        utils.extend_schema(**arguments)(made)
    made.schema = type("Operation", (*overrides, type(made.schema)), {})()
    return made


class StrictText(extensions.OpenApiSerializerFieldExtension):
    target_class = "cognito_reset.resets.serializers.StrictCharField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        blank = {} if self.target.allow_blank else {"minLength": 1}
        return _text(maxLength=min(self.target.limit, BODY_LIMIT), **blank)
