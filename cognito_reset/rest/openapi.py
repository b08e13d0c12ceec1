"""
What drf-spectacular says of the REST endpoints. Loaded only where a site has it installed.

Statuses, codes and examples come from what answers: the serializers, the table of errors and the
exceptions that the views raise. Bodies of errors are those of our own exception handler: a site
that sets EXCEPTION_HANDLER makes others, of which this describes the codes and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from drf_spectacular.extensions import OpenApiSerializerFieldExtension, OpenApiViewExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, append_meta, build_object_type
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import APIView

from cognito_reset.cognito.errors import TABLE, AccountRefused, Misconfigured, Throttled
from cognito_reset.cognito.service import Delivery
from cognito_reset.conf import conf
from cognito_reset.resets.flow import BODY_LIMIT, RESEND_AFTER_SECONDS, CodeRequested
from cognito_reset.resets.passwords import VALIDATOR_CODES, PasswordPolicy, has_codes_of_its_own
from cognito_reset.resets.serializers import (
    AnalyticsMetadataSerializer,
    ConfirmResetSerializer,
    RequestCodeSerializer,
    UserContextDataSerializer,
)
from cognito_reset.rest.views import (
    ConfirmAPIView,
    NotJSON,
    PolicyAPIView,
    RequestAPIView,
    TooLarge,
    api_exception,
    error_body,
)

Schema = dict[str, Any]

# Of components: a site has names of its own.
PREFIX: Final = "CognitoReset"
STATUSES: Final = {
    400: "Refused. `attr` names the field, or is null where it is no field's fault.",
    413: f"The body is larger than {BODY_LIMIT} bytes.",
    415: "The body was not sent as application/json.",
    429: "Too many attempts. Wait as many seconds as Retry-After says.",
    502: (
        "Whether the password was changed can't be known. Let the person try to sign in with the "
        "new one, and don't repeat the request."
    ),
    503: (
        "Cognito can't be reached or refuses this site, or too much is under way. Where a code may "
        "have been sent all the same, `detail` says so."
    ),
}
RETRY_AFTER: Final = {
    "description": "How many seconds to wait.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
FORWARDED: Final = (
    "`client_metadata`, `analytics_metadata` and `user_context_data` are Cognito's. They are "
    "ignored unless a setting of this site forwards them."
)


def _text(**more: Any) -> Schema:
    return {"type": "string", **more}


def _object(*optional: str, **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    schema: Schema = build_object_type(properties=properties, required=required)
    return schema


class Operation(AutoSchema):
    """One endpoint. Subclasses say what is its own."""

    view: Any
    name: ClassVar[str]
    summary: ClassVar[str]
    description: ClassVar[str]
    success: ClassVar[str]  # what an answer without errors means
    sent: ClassVar[Schema | None] = None  # an example of a request
    serializer_class: ClassVar[type[RequestCodeSerializer] | None] = None
    more_codes: ClassVar[tuple[str, ...]] = ()  # of a 400, beyond those of failures()

    def get_operation_id(self) -> str:
        """By the whole path, which no two endpoints of a site share, and variables are part of."""
        words = re.findall(r"\w+", self.path)
        return "_".join(words if words[-1:] == [self.name] else [*words, self.name])

    def get_summary(self) -> str:
        return self.summary

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular's
        return self.description

    def get_tags(self) -> list[str]:
        return ["password reset"]

    def get_request_serializer(self) -> Any:
        return self.serializer_class

    def get_response_serializers(self) -> Any:
        return {}  # get_operation() writes the answers

    def get_examples(self) -> list[OpenApiExample]:
        return [OpenApiExample(self.name, self.sent, request_only=True)] if self.sent else []

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"] = dict(self._responses())
        return operation

    def done(self) -> Schema:
        """Give the schema of an answer without errors."""
        raise NotImplementedError

    def answers(self) -> dict[str, Response]:
        """Give examples of it, by their names."""
        raise NotImplementedError

    def failures(self) -> Iterator[exceptions.APIException]:
        """Give all that the endpoint can raise."""
        yield api_exception(Throttled(retry_after=RESEND_AFTER_SECONDS))
        yield api_exception(Misconfigured())

    def has_codes_of_the_site(self) -> bool:
        """Whether a 400 can have codes that only the site knows."""
        raise NotImplementedError

    def _responses(self) -> Iterator[tuple[str, Schema]]:
        schema = self._component(f"{self.name.title()}Done", self.done())
        answers = self.answers()
        bodies = {name: answer.data for name, answer in answers.items()}
        (status,) = {answer.status_code for answer in answers.values()}
        yield str(status), _response(self.success, schema, bodies)
        by_status: dict[int, list[exceptions.APIException]] = {}
        for failure in self.failures():
            by_status.setdefault(failure.status_code, []).append(failure)
        for status, failures in sorted(by_status.items()):
            bodies = dict(_examples(failures))
            response = _response(STATUSES[status], self._errors(status, bodies.values()), bodies)
            if all(hasattr(failure, "wait") for failure in failures):
                response["headers"] = {"Retry-After": RETRY_AFTER}
            yield str(status), response

    def _errors(self, status: int, bodies: Iterable[Schema]) -> Schema:
        codes = dict.fromkeys(error["code"] for body in bodies for error in body["errors"])
        name, code = "".join(word.title() for word in next(iter(codes)).split("_")), _text()
        if status == 400:
            name = f"{self.name.title()}Refused"
            codes.update(dict.fromkeys(self.more_codes))
        code["enum"] = list(codes)
        if status == 400 and self.has_codes_of_the_site():
            code = {"anyOf": [code, _text()]}
        kinds = _text(enum=["validation_error", "client_error", "server_error"])
        # The kinds are a component, and the codes are deep inside, for drf-spectacular would give
        # enums at the top names that may be a site's.
        error = _object(code=code, detail=_text(), attr=append_meta(_text(), {"nullable": True}))
        return self._component(
            name,
            _object(
                type=self._component("ErrorType", kinds),
                errors={"type": "array", "minItems": 1, "items": error},
            ),
        )

    def _component(self, name: str, schema: Schema) -> Schema:
        component = ResolvedComponent(
            PREFIX + name, ResolvedComponent.SCHEMA, schema, object=PREFIX + name
        )
        self.registry.register_on_missing(component)
        return component.ref


def _examples(failures: Iterable[exceptions.APIException]) -> Iterator[tuple[str, Schema]]:
    """Give each body that differs a name: its code, and a number where two have the same."""
    seen: list[Schema] = []
    for body in map(error_body, failures):
        if body not in seen:
            seen.append(body)
            code = body["errors"][0]["code"]
            same = sum(other["errors"][0]["code"] == code for other in seen)
            yield code if same == 1 else f"{code} {same}", body


def _response(description: str, schema: Schema, examples: dict[str, Any]) -> Schema:
    named = {name: {"value": value} for name, value in examples.items()}
    content = {"application/json": {"schema": schema, "examples": named}}
    return {"description": description, "content": content}


class StepOperation(Operation):
    operation: ClassVar[str]  # of Cognito's
    wrong: ClassVar[Schema]
    serializer_class: ClassVar[type[RequestCodeSerializer]]

    def failures(self) -> Iterator[exceptions.APIException]:
        context = {"policy": PasswordPolicy()}
        for data in ({}, self.wrong):
            serializer = self.serializer_class(data=data, context=context)
            serializer.is_valid()
            yield exceptions.ValidationError(serializer.errors)
        yield NotJSON()
        yield TooLarge()
        yield exceptions.UnsupportedMediaType("text/plain")
        yield from super().failures()
        errors = {error for (name, *_), error in TABLE.items() if name == self.operation}
        for error in sorted(errors, key=lambda error: error.__name__):
            if not issubclass(error, AccountRefused):
                yield api_exception(error())


class RequestOperation(StepOperation):
    name = "request"
    summary = "Ask for a code"
    description = (
        "Cognito sends a code to the user's verified email address or phone number. The answer is "
        f"the same, after the same time, whether or not there is such a user. {FORWARDED}"
    )
    success = "If there is such a user who can get one, a code is on its way."
    sent = {"username": "alice@example.com"}
    wrong = {"username": 5}
    operation = "ForgotPassword"
    serializer_class = RequestCodeSerializer

    def done(self) -> Schema:
        medium = _text(enum=["EMAIL", "SMS"])
        delivery = _object(destination=_text(), delivery_medium=medium, attribute_name=_text())
        delivery["description"] = "Where to, masked. Only where the site shows it."
        wait = {"type": "integer", "description": "Seconds until another code can be asked for."}
        return _object("code_delivery_details", resend_after=wait, code_delivery_details=delivery)

    def answers(self) -> dict[str, Response]:
        shown = Delivery("a***@e***", "EMAIL", "email", "")
        return {
            "sent": self.view.answer(CodeRequested("", None)),
            "destination shown": self.view.answer(CodeRequested("", shown)),
        }

    def has_codes_of_the_site(self) -> bool:
        return conf.pre_send_hook is not None


class ConfirmOperation(StepOperation):
    name = "confirm"
    summary = "Set the new password"
    description = (
        "With the code from the message. A wrong, expired or used code, too many tries and an "
        f"unknown or disabled user are one error, `code_invalid`. {FORWARDED}"
    )
    success = "Cognito has taken the new password."
    sent = {**RequestOperation.sent, "confirmation_code": "123456", "password": "Correct-horse-1"}
    wrong = {**RequestOperation.wrong, "confirmation_code": 5, "password": 5}
    operation = "ConfirmForgotPassword"
    serializer_class = ConfirmResetSerializer
    more_codes = VALIDATOR_CODES

    def done(self) -> Schema:
        return _object()

    def answers(self) -> dict[str, Response]:
        return {"changed": self.view.answer(None)}

    def failures(self) -> Iterator[exceptions.APIException]:
        yield from super().failures()
        rules = PasswordPolicy().rules
        details = [exceptions.ErrorDetail(rule.text, rule.code) for rule in rules]
        yield exceptions.ValidationError({"password": details})

    def has_codes_of_the_site(self) -> bool:
        return has_codes_of_its_own()


class PolicyOperation(Operation):
    name = "policy"
    summary = "What a new password must be"
    description = (
        "To be shown before one types and checked while one does. `pattern` is found in a password "
        "that keeps the rule. `hints` are what only the server can check. `passwordrules` is for "
        "the field's attribute of that name."
    )
    success = "The rules that hold now."

    def done(self) -> Schema:
        codes = [rule.code for rule in PasswordPolicy().rules]
        rule = _object(code=_text(enum=codes), text=_text(), pattern=_text(format="regex"))
        return _object(
            rules={"type": "array", "items": rule},
            hints={"type": "array", "items": _text()},
            passwordrules=_text(),
        )

    def answers(self) -> dict[str, Response]:
        return {"Cognito's default": self.view.answer(PasswordPolicy())}


OPERATIONS: Final = {
    RequestAPIView: RequestOperation,
    ConfirmAPIView: ConfirmOperation,
    PolicyAPIView: PolicyOperation,
}


class Endpoints(OpenApiViewExtension):
    target_class = "cognito_reset.rest.views.PublicAPIView"
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        """
        Give the view with our description, in which the site's own schema class has its say, and
        ``@extend_schema`` on a subclass the last word.
        """
        view: type[APIView] = self.target
        operation = next((OPERATIONS[base] for base in view.__mro__ if base in OPERATIONS), None)
        if operation is None:
            return view
        own: Any = type(view.schema)
        sites = next(base for base in own.__mro__ if base.__module__ != extend_schema.__module__)
        schema = type(operation.__name__, (operation, sites), {})
        if sites is not own:
            schema = type(operation.__name__, (own, schema), {})
        return type(view.__name__, (view,), {"schema": schema()})


class StrictText(OpenApiSerializerFieldExtension):
    target_class = "cognito_reset.resets.serializers.StrictCharField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        blank = {} if self.target.allow_blank else {"minLength": 1}
        return _text(maxLength=min(self.target.limit, BODY_LIMIT), **blank)


def name_components() -> None:
    for serializer, name in {
        RequestCodeSerializer: "Request",
        ConfirmResetSerializer: "Confirm",
        AnalyticsMetadataSerializer: "AnalyticsMetadata",
        UserContextDataSerializer: "UserContextData",
    }.items():
        extend_schema_serializer(component_name=PREFIX + name)(serializer)
