"""The OpenAPI description of REST for staff, for drf-spectacular. Loaded only if that is installed."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular import extensions, plumbing, utils
from drf_spectacular.types import OpenApiTypes

from cognito_reset.models import ResetEvent
from cognito_reset.rest.openapi import Body, Schema, described
from cognito_reset.staff import bulk_rest, rest
from cognito_reset.staff.actions import ACTIONS

TAGS: Final = ["password reset by staff"]
TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
CSV: Final = "text/csv"
STATUSES: Final = {
    400: "A field is invalid. `attr` names it.",
    403: "The staff member lacks the permission, or the person is a staff member (`staff_target`).",
    404: "There is no such person, user, pool, action or run that the staff member may see.",
    409: "The person's state, or the run's, doesn't allow it. Nothing was done.",
    429: "A message was sent to this person a short time ago. Retry-After says when to try again.",
    502: "Cognito's answer is missing, so it isn't known whether this was done. It isn't sent again.",
    503: "Cognito or this site's set-up has failed.",
}


def _object(**properties: Schema) -> Schema:
    made: Schema = plumbing.build_object_type(properties=properties, required=list(properties))
    return made


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    made: Schema = plumbing.append_meta(schema, {"nullable": True})
    return made


def _enum(*values: str) -> Schema:
    # Without allOf, drf-spectacular would make the enum a component, whose name a site may use.
    return {"allOf": [{**TEXT, "enum": list(values)}]}


def _panel() -> Body:
    event = _object(
        created_at=TIME,
        outcome=_enum(*ResetEvent.Outcome.values),
        interface=_enum(*ResetEvent.Interface.values),
        error_code=TEXT,
    )
    attribute = _enum("email", "phone_number")
    contact = _object(attribute=attribute, masked=TEXT, verified=FLAG)
    refusal = _object(code=TEXT, detail=TEXT)
    offer = _object(
        name=_enum(*ACTIONS), title=TEXT, consequences=_list(TEXT), refusal=_or_null(refusal)
    )
    schema = _object(
        pool=TEXT,
        sub=TEXT,
        user=_or_null(TEXT),
        username=TEXT,
        status=TEXT,
        state=TEXT,
        enabled=FLAG,
        contacts=_list(contact),
        created_at=TIME,
        changed_at=TIME,
        looked_up_at=TIME,
        last_request=_or_null(event),
        last_event=_or_null(event),
        diagnosis=_list(TEXT),
        actions=_list(offer),
    )
    return Body("StaffPanel", schema)


def _done() -> Body:
    schema = _object(
        action=_enum(*ACTIONS),
        outcome=_enum(ResetEvent.Outcome.TRIGGERED),
        text=TEXT,
        medium=_enum("EMAIL", "SMS", ""),
        destination=TEXT,
        notified=_or_null(FLAG),
        aws_request_id=TEXT,
    )
    return Body("StaffDone", schema)


def _run() -> Body:
    """Return the body that starts a run. Its serializer would make an enum whose name a site may use."""
    source: Any = bulk_rest.RunSerializer().fields["source"]
    numbers: dict[str, Schema] = {"rate": {"type": "number"}, "limit": {"type": "integer"}}
    schema = plumbing.build_object_type(
        properties={
            "source": _enum(*source.choices),
            "value": TEXT,
            "usernames": _list(TEXT),
            "pool": TEXT,
            **numbers,
            "force": FLAG,
            "dry_run": FLAG,
        },
        required=["source"],
    )
    return Body("StaffRun", schema)


def _errors() -> Body:
    error = _object(code=TEXT, detail=TEXT, attr=_or_null(TEXT))
    kind = _enum("validation_error", "client_error", "server_error")
    return Body("StaffErrors", _object(type=kind, errors=_list(error)))


def _arguments(summary: str, answer: Any, *statuses: int, **more: Any) -> dict[str, Any]:
    """Return the arguments of ``extend_schema()`` for one operation that can be answered with these statuses."""
    refusals = {each: utils.OpenApiResponse(_errors(), STATUSES[each]) for each in statuses}
    return {"tags": TAGS, "summary": summary, "responses": {200: answer, **refusals}, **more}


LOOK_UP: Final = (403, 404, 502, 503)
ACT: Final = (400, 403, 404, 409, 429, 502, 503)


def _descriptions() -> dict[Any, tuple[dict[str, Any], ...]]:
    """Return the arguments of ``extend_schema()`` by view. The version of OpenAPI is a setting, so they depend on it."""
    panel, done = _panel(), _done()
    return {
        rest.LookUpAPIView: (
            _arguments("Look a person up", panel, 400, *LOOK_UP, request=rest.LookUpSerializer),
        ),
        rest.AccountAPIView: (_arguments("Show a person in a pool", panel, *LOOK_UP),),
        rest.UserAPIView: (_arguments("Show a user of the site", panel, *LOOK_UP),),
        rest.AccountActionAPIView: (
            _arguments("Act for a person in a pool", done, *ACT, request=rest.ActionSerializer),
        ),
        rest.UserActionAPIView: (
            _arguments("Act for a user of the site", done, *ACT, request=rest.ActionSerializer),
        ),
        bulk_rest.RunsAPIView: (
            _arguments("List the resets of many people", OpenApiTypes.OBJECT, 403, methods=["GET"]),
            _arguments(
                "Reset many people, or preview it",
                OpenApiTypes.OBJECT,
                *(400, 403, 404, 409, 503),
                request=_run(),
                methods=["POST"],
            ),
        ),
        bulk_rest.RunAPIView: (
            _arguments("Show a reset of many people", OpenApiTypes.OBJECT, 403, 404),
        ),
        bulk_rest.RunControlAPIView: (
            _arguments(
                "Change a reset of many people",
                OpenApiTypes.OBJECT,
                *(400, 403, 404, 409, 503),
                request=OpenApiTypes.OBJECT,
            ),
        ),
        bulk_rest.RunItemsAPIView: (
            {
                **_arguments("Get the people of a reset of many people", None, 403, 404),
                "responses": {(200, CSV): OpenApiTypes.STR},
            },
        ),
    }


class StaffEndpoints(extensions.OpenApiViewExtension):
    target_class = "cognito_reset.staff.rest.StaffAPIView"
    match_subclasses = True

    def view_replacement(self) -> Any:
        """Return the view with our description, unless it is a view of the site's own kind."""
        view: Any = self.target
        descriptions = _descriptions()
        found = next((descriptions[c] for c in view.__mro__ if c in descriptions), None)
        return described(view, *found) if found else view
