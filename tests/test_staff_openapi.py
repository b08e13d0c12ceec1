"""The OpenAPI schema describes REST for staff."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import include, path

from tests.people import People
from tests.test_openapi import described, jsonschema, site
from tests.test_staff_actions import FITTING
from tests.test_staff_rest import Office, doors

__all__ = ["site"]  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.staff_urls")]

STAFF = path("staff/", include("cognito_reset.staff.urls"))


def schema_of(schema: Any, address: str, method: str, status: int) -> Any:
    """Return the JSON schema of an answer, with its components."""
    response = schema["paths"][address][method]["responses"][str(status)]
    found = response["content"]["application/json"]["schema"]
    return {**found, "components": schema["components"]}


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_the_sites_schema_has_the_endpoints(version: str) -> None:
    """Without a warning, and with names that don't collide with the site's own."""
    schema = described(STAFF, version=version)
    addresses = {
        "/staff/look-up/": {"post"},
        "/staff/accounts/{pool}/{sub}/": {"get"},
        "/staff/accounts/{pool}/{sub}/{action}/": {"post"},
        "/staff/users/{id}/": {"get"},
        "/staff/users/{id}/{action}/": {"post"},
        "/staff/runs/": {"get", "post"},
    }
    found = {address: set(methods) for address, methods in schema["paths"].items()}
    assert {key: found.get(key) or found.get(key.replace("{id}", "{pk}")) for key in addresses} == (
        addresses
    )
    names = set(schema["components"]["schemas"])
    assert {name for name in names if not name.startswith("CognitoReset")} == set()


def test_answers_are_as_described(people: People) -> None:
    """The panel of everybody, what was done, and what was refused."""
    schema, office = described(STAFF), Office()
    users = next(each for each in schema["paths"] if each.startswith("/staff/users/{"))
    panel = schema_of(schema, users.replace("{action}/", ""), "get", 200)
    address = f"{users.removesuffix('{action}/')}{{action}}/"
    done = schema_of(schema, address, "post", 200)
    refused = schema_of(schema, address, "post", 409)
    for action, name in FITTING.items():
        path_of = doors(people, name, "")["users"]
        jsonschema.validate(office.get(path_of).json(), panel)
        jsonschema.validate(office.post(f"{path_of}{action}/").json(), done)
        jsonschema.validate(office.get(path_of).json(), panel)
    response = office.post(doors(people, "grace", "reset")["users"])
    assert response.status_code == 409
    jsonschema.validate(response.json(), refused)


def test_a_view_of_the_site_is_not_described_by_us() -> None:
    """It may have another purpose."""
    from drf_spectacular.utils import extend_schema
    from rest_framework.response import Response

    from cognito_reset.staff.rest import StaffAPIView

    class Own(StaffAPIView):
        @extend_schema(summary="The site's own", responses={204: None})
        def get(self, request: Any) -> Response:
            return Response(status=204)

    schema = described(path("own/", Own.as_view()))
    assert schema["paths"]["/own/"]["get"]["summary"] == "The site's own"


def test_the_body_of_a_run_has_the_serializers_fields() -> None:
    from cognito_reset.staff.bulk_rest import RunSerializer

    schema = described(STAFF)
    body = schema["components"]["schemas"]["CognitoResetStaffRun"]
    assert set(body["properties"]) == set(RunSerializer().fields)
