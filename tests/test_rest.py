"""The REST endpoints: JSON in, JSON out, stable codes, and no state."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db import connection, transaction
from django.http import Http404
from django.test import Client
from django.urls import include, path, reverse
from drf_standardized_errors.handler import exception_handler as witness
from rest_framework import exceptions

from cognito_reset.aws.views import MEDIA_TYPE
from cognito_reset.cognito.service import CognitoService
from cognito_reset.rest.names import SNAKE_CASE_NAMES
from cognito_reset.testing import Timeout
from tests.interfaces import REST, with_settings
from tests.people import NEW_PASSWORD, PASSWORD
from tests.test_pages import PAGES

URLS = ("/api/password-reset/", "/api/password-reset/confirm/")


def test_a_single_page_app_resets_a_password(people, settings):
    """The whole way over JSON: 202 and 200, and the new password works."""
    with_settings(settings, LIMITS={})
    interface = REST()
    response = interface.request("alice")
    assert (response.status_code, response.json()) == (202, {"resend_after": 60})
    response = interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    assert (response.status_code, response.json()) == (200, {})
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert not people.can_sign_in("alice", PASSWORD)


@pytest.mark.requirement("D2")
@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "text/json",
        "*/*",
        "application/*",
    ],
)
def test_d2_only_json_is_taken(people, url, content_type):
    """Requests that another site's page can send without a preflight have no effect."""
    body = json.dumps({"username": "alice"})
    response = Client().generic("POST", url, body, content_type=content_type)
    assert response.status_code == 415
    assert response.json()["errors"][0]["code"] == "unsupported_media_type"
    assert people.emulator.calls == []


@pytest.mark.requirement("D4")
@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
def test_d4_only_post_changes_anything(people, url, method):
    """OPTIONS describes the endpoint, other methods get 405, and nothing is sent."""
    response = getattr(Client(), method)(url)
    assert people.emulator.calls == []
    assert response.status_code == (200 if method == "options" else 405)


@pytest.mark.requirement("B10")
def test_b10_a_throttled_call_says_when_to_come_back(people, settings):
    """The answer is 429 with whole seconds, and Cognito isn't called."""
    with_settings(settings, LIMITS={})
    assert REST().request("alice").status_code == 202
    response = REST().request("alice")
    assert response.status_code == 429
    assert 55 <= int(response.headers["Retry-After"]) <= 60
    assert response.json() == {
        "type": "client_error",
        "errors": [
            {
                "code": "throttled",
                "detail": "Too many attempts. Wait, then try again.",
                "attr": None,
            }
        ],
    }
    assert len(people.emulator.calls) == 1


def every_answer(people):
    interface = REST()
    yield interface.request("alice")
    yield interface.request("")
    yield interface.confirm("alice")
    yield interface.client.get(URLS[0])
    yield interface.client.options(URLS[0])
    yield interface.client.post(URLS[0], "x", content_type="text/plain")
    yield interface.client.post(URLS[0], "x", content_type="application/json")
    yield interface.request("x" * 9000)
    people.emulator.fail_next("ForgotPassword", Timeout())
    yield interface.request("alice")
    people.emulator.fail_next("ConfirmForgotPassword", Timeout())
    yield interface.confirm("alice")


@pytest.mark.requirement("D6", "D7", "D8", "D17")
def test_d6_d7_d8_d17_every_answer_has_its_headers(people, settings):
    """On every status, the answer isn't cached or framed, and sets no cookie and no session."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "XFrame" not in name]
    statuses = set()
    for response in every_answer(people):
        statuses.add(response.status_code)
        assert response.headers["Cache-Control"] == (
            "max-age=0, no-cache, no-store, must-revalidate, private"
        )
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers["Content-Type"] == "application/json"
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.cookies == {}
    assert statuses == {200, 202, 400, 405, 413, 415, 502, 503}


@pytest.mark.requirement("D18")
@pytest.mark.parametrize("method", ["options", "get", "post"])
@pytest.mark.parametrize("url", [*URLS, *PAGES, "/password-reset/done/"])
def test_d18_the_app_lets_no_other_origin_read(people, url, method):
    """The site decides which origins may read answers, so no answer has a CORS header."""
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    response = getattr(Client(headers=headers), method)(url)
    assert not [name for name in response.headers if name.startswith("Access-Control-")]


BODIES = [
    ("", 411),
    ("[", 400),
    ("[]", 400),
    ('"alice"', 400),
    ("null", 400),
    ("{}", 400),
    ('{"username": ["alice", "bob"]}', 400),
    ('{"username": {"a": "b"}}', 400),
    ('{"username": 12345}', 400),
    ('{"username": true}', 400),
    ('{"username": null}', 400),
    ('{"username": NaN}', 400),
    ('{"username": "alice", "client_metadata": {"a": 1}}', 400),
    ('{"username": "alice", "client_metadata": []}', 400),
    ('{"username": "alice", "username": "bob"}', 400),
    ('{"username": "\\ud800"}', 400),
    ('{"username": "' + "a" * 9000 + '"}', 413),
    ("1" * 5000, 400),
    (b"\xff\xfe\x00", 400),
    *(("[" * depth, 400) for depth in (50, 1000, 4000)),
    *(("[" * depth + "]" * depth, 400) for depth in (50, 1000, 4000)),
    *((f'{{"username": {"[" * depth}{"]" * depth}}}', 400) for depth in (50, 1000, 4000)),
    *(("[" * depth, 413) for depth in (20_000, 200_000, 3_000_000)),
]


@pytest.mark.requirement("G1", "G3", "G4")
@pytest.mark.parametrize(
    ("body", "status"), BODIES, ids=[f"{n} {str(body)[:30]}" for n, (body, _) in enumerate(BODIES)]
)
def test_g1_g3_g4_no_body_is_a_server_error(people, body, status):
    """Wrong types, depth, size, duplicate names: 400, 411 or 413, and no call."""
    response = Client().post(URLS[0], body, content_type="application/json")
    assert response.status_code == status
    assert response.json()["type"] in ("validation_error", "client_error")
    assert people.emulator.calls == []


@pytest.mark.requirement("G10")
def test_g10_what_a_caller_adds_does_not_reach_cognito(people):
    """Unknown names are ignored, and the site's own members can't be set from outside."""
    REST().request(
        "alice",
        ClientId="evil",
        client_id="evil",
        user_pool_id="evil",
        client_metadata={"campaign": "evil"},
        analytics_metadata={"analytics_endpoint_id": "evil"},
        user_context_data={"encoded_data": "evil", "ip_address": "203.0.113.9"},
    )
    ((_operation, body),) = people.emulator.calls
    assert set(body) == {"ClientId", "SecretHash", "Username"}
    assert "evil" not in str(body)


def as_drf_standardized_errors(settings, send):
    """Return the library's own answer to the same request."""
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": f"{witness.__module__}.{witness.__name__}"}
    return send()


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("", {}),
        ("", {"username": 5}),
        ("", {"username": "alice", "client_metadata": {"a": 1}}),
        ("", []),
        ("confirm/", {"username": "alice", "confirmation_code": "1", "password": NEW_PASSWORD}),
    ],
)
def test_errors_have_the_shape_of_drf_standardized_errors(people, settings, path, data):
    """With the library's own handler, the same request gets the same body."""
    ours = REST().send(path, data)
    theirs = as_drf_standardized_errors(settings, lambda: REST().send(path, data))
    assert ours.json() == theirs.json()
    assert ours.status_code == theirs.status_code == 400


def test_an_unavailable_service_has_their_shape_too(people, settings):
    """A 503 is a server_error, for both handlers."""

    def send():
        people.emulator.fail_next("ForgotPassword", Timeout())
        interface = REST()
        interface.client.raise_request_exception = False  # the library signals every 5xx as one
        return interface.request()

    ours = send()
    theirs = as_drf_standardized_errors(settings, send)
    assert ours.json() == theirs.json()
    assert ours.json()["type"] == "server_error"
    assert ours.json()["errors"][0]["code"] == "maybe_sent"
    assert ours.headers["Retry-After"] == "60"


def shouting_handler(exc, context):
    from rest_framework.response import Response

    return Response({"codes": exc.get_codes()}, status=418)


def test_a_sites_own_exception_handler_is_respected(people, settings):
    """Every error is a DRF exception with codes, so the site's handler can work with it."""
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": "tests.test_rest.shouting_handler"}
    response = REST().confirm()
    assert response.status_code == 418
    assert response.json() == {"codes": {"confirmation_code": ["code_invalid"]}}


def test_a_limit_is_drfs_own_throttled(people, settings):
    """A site's handler recognises it by its class, and finds the time to wait."""
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": "tests.test_rest.waiting_handler"}
    with_settings(settings, LIMITS={})
    REST().request("alice")
    response = REST().request("alice")
    assert response.status_code == 429
    assert 55 <= response.json()["wait"] <= 60


def waiting_handler(exc, context):
    from rest_framework.response import Response

    if isinstance(exc, exceptions.Throttled):
        return Response({"wait": exc.wait}, status=exc.status_code)
    raise exc


def test_a_bug_of_the_sites_goes_on_to_django(people, settings):
    """It isn't an API exception, so Django handles it as on any other view."""
    with_settings(settings, SERVICE_CLASS=Broken)
    with pytest.raises(ZeroDivisionError):
        REST().request()


class Broken(CognitoService):
    def request_code(self, **kwargs):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404, 404, "not_found"),
        (PermissionDenied, 403, "permission_denied"),
        (exceptions.NotAuthenticated, 403, "not_authenticated"),
    ],
)
def test_what_the_sites_resolver_raises_has_the_same_shape(people, settings, error, status, code):
    def resolve(request):
        raise error

    with_settings(settings, POOL_RESOLVER=resolve)
    for response in (REST().request(), REST().client.get("/api/password-reset/policy/")):
        assert response.status_code == status
        assert response.json()["type"] == "client_error"
        assert [error["code"] for error in response.json()["errors"]] == [code]


def members(schema):
    """The names in a part of an OpenAPI schema that a client sends or reads."""
    if isinstance(schema, list):
        return {name for part in schema for name in members(part)}
    if not isinstance(schema, dict):
        return set()
    names = set(schema.get("properties", ()))
    return names.union(*(members(part) for part in schema.values()))


def test_the_constant_lists_every_name_in_snake_case(settings):
    """The constant is for settings of libraries that convert names to camel case."""
    pytest.importorskip("drf_spectacular", reason="drf-spectacular isn't installed")
    from drf_spectacular.generators import SchemaGenerator

    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "drf_spectacular"]
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
    patterns = [path("", include("cognito_reset.rest.urls"))]
    schema = SchemaGenerator(patterns=patterns).get_schema(public=True)
    assert {name for name in members(schema) if "_" in name} == set(SNAKE_CASE_NAMES)


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*;q=0", ""])
def test_errors_are_json_whatever_is_accepted(people, accept):
    """The answer is JSON instead of 406, or of 404 for ?format=xml."""
    client = Client(headers={"Accept": accept})
    url = "/api/password-reset/?format=xml"
    response = client.post(url, {"username": ""}, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "required"


def is_refused(response, status, code, attr):
    """Check for one error in the documented shape."""
    errors = response.json()["errors"]
    assert {frozenset(error) for error in errors} == {frozenset(("code", "detail", "attr"))}
    found = [(error["code"], error["attr"]) for error in errors]
    return response.status_code == status and found == [(code, attr)]


# How DRF's own setting may call errors that belong to no field.
every_key = pytest.mark.parametrize("key", ["non_field_errors", "nonFieldErrors", "data", ""])


@every_key
@pytest.mark.parametrize("body", ["[]", '[{"username": "alice"}]', '"alice"', "5", "true", "null"])
@pytest.mark.parametrize("url", URLS)
def test_the_error_for_a_body_that_is_no_object_names_no_field(people, settings, url, body, key):
    """``attr`` is a field's name or null, whatever the site's DRF is set to."""
    settings.REST_FRAMEWORK = {"NON_FIELD_ERRORS_KEY": key}
    response = Client().post(url, body, content_type="application/json")
    assert is_refused(response, 400, "parse_error", None)


@every_key
@pytest.mark.parametrize("name", ["analytics_metadata", "user_context_data"])
@pytest.mark.parametrize("value", [[], "x", 5, True])
def test_an_error_of_a_nested_object_has_the_name_of_its_field(people, settings, name, value, key):
    settings.REST_FRAMEWORK = {"NON_FIELD_ERRORS_KEY": key}
    assert is_refused(REST().request(**{name: value}), 400, "invalid", name)


@every_key
@pytest.mark.parametrize(
    "detail", ["Not now.", ["Not now."], {"KEY": ["Not now."]}, {"": ["Not now."]}]
)
def test_a_refusal_by_the_hook_names_no_field(people, settings, detail, key):
    """The site's code may raise it in several forms."""
    if detail == {"KEY": ["Not now."]}:
        detail = {key: ["Not now."]}

    def refuse(request, *, username, pool):
        raise exceptions.ValidationError(detail)

    settings.REST_FRAMEWORK = {"NON_FIELD_ERRORS_KEY": key}
    with_settings(settings, PRE_SEND_HOOK=refuse)
    assert is_refused(REST().request(), 400, "invalid", None)


def test_a_hook_may_refuse_as_djangos_forms_do(people, settings):
    def refuse(request, *, username, pool):
        raise ValidationError({NON_FIELD_ERRORS: [ValidationError("Not now.", "later")]})

    with_settings(settings, PRE_SEND_HOOK=refuse)
    assert is_refused(REST().request(), 400, "later", None)


def test_a_camel_case_client_reads_which_name_is_missing(people):
    """The names are in snake case, as documented, and those of a camel-case client are unknown."""
    body = {"username": "alice", "confirmationCode": "123456", "newPassword": NEW_PASSWORD}
    response = REST().send("confirm/", body)
    assert response.status_code == 400
    found = [(error["code"], error["attr"]) for error in response.json()["errors"]]
    assert found == [("required", "confirmation_code"), ("required", "password")]


def test_a_json_api_client_reads_that_its_media_type_is_wrong(people):
    """The endpoints don't use the site's renderers and parsers."""
    attributes = {"username": "alice"}
    body = {"data": {"type": "resets", "attributes": attributes}}
    client = Client(headers={"Accept": "application/vnd.api+json"})
    response = client.post(URLS[0], body, content_type="application/vnd.api+json")
    assert response.headers["Content-Type"] == "application/json"
    assert is_refused(response, 415, "unsupported_media_type", None)
    response = client.post(URLS[0], body, content_type="application/json")
    assert is_refused(response, 400, "required", "username")


CAMEL_CASE = {
    "DEFAULT_RENDERER_CLASSES": ["djangorestframework_camel_case.render.CamelCaseJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["djangorestframework_camel_case.parser.CamelCaseJSONParser"],
}
JSON_API = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework_json_api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework_json_api.parsers.JSONParser"],
    "DEFAULT_METADATA_CLASS": "rest_framework_json_api.metadata.JSONAPIMetadata",
    "EXCEPTION_HANDLER": "rest_framework_json_api.exceptions.exception_handler",
}


@pytest.mark.parametrize("defaults", [CAMEL_CASE, JSON_API], ids=["camel case", "JSON:API"])
def test_a_site_with_other_defaults_for_drf(people, settings, defaults):
    """The endpoints answer as documented. If the site sets EXCEPTION_HANDLER, errors have its format."""
    for name in defaults.values():
        name = name if isinstance(name, str) else name[0]
        pytest.importorskip(name.partition(".")[0], reason="it isn't installed")
    settings.REST_FRAMEWORK = defaults
    interface = REST()
    response = interface.request()
    assert (response.status_code, response.json()) == (202, {"resend_after": 0})
    response = interface.confirm(code=people.emulator.outbox[-1].code)
    assert (response.status_code, response.json()) == (200, {})
    response = interface.client.get("/api/password-reset/policy/")
    assert set(response.json()) == {"rules", "hints", "passwordrules"}
    assert interface.client.options(URLS[0]).status_code == 200
    response = interface.confirm()
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/json"
    if "EXCEPTION_HANDLER" in defaults:
        assert list(response.json()) == ["confirmation_code"]
    else:
        assert is_refused(response, 400, "code_invalid", "confirmation_code")
    with_settings(settings, CLIENT_METADATA=[])
    response = interface.request()
    assert (response.status_code, response.headers["Retry-After"]) == (503, "60")


# The slash at the end


def test_two_endpoints_need_no_slash_at_their_end(people):
    """A redirected POST arrives as a GET without a body. Links keep the slash."""
    interface = REST()
    response = interface.send("confirm", {})
    assert response.status_code == 400
    assert interface.client.get("/api/password-reset/policy").status_code == 200
    assert reverse("cognito_reset_rest:confirm") == "/api/password-reset/confirm/"
    assert reverse("cognito_reset_rest:policy") == "/api/password-reset/policy/"


def test_the_error_for_a_redirected_post_names_the_redirect(people):
    """The app has no URL for the include's path without a slash, so Django redirects there."""
    client = Client()
    response = client.post(URLS[0].rstrip("/"), {}, content_type="application/json")
    assert (response.status_code, response.headers["Location"]) == (301, URLS[0])
    response = client.get(response.headers["Location"])
    assert is_refused(response, 405, "method_not_allowed", None)
    assert "look for a redirect" in response.json()["errors"][0]["detail"]
    assert "redirect" not in client.put(URLS[0]).content.decode()


urlpatterns = [
    path("api/<str:pool>/", include("cognito_reset.rest.urls", "any_api")),
    path("pages/<str:pool>/", include("cognito_reset.urls", "any_pages")),
    path("aws/<str:pool>/", include("cognito_reset.aws.urls", "any_aws")),
]


@pytest.mark.urls("tests.test_rest")
@pytest.mark.parametrize(
    ("method", "url", "content_type"),
    [
        ("post", "/api/x/", "application/json"),
        ("post", "/api/x/confirm/", "application/json"),
        ("get", "/api/x/policy/", ""),
        ("get", "/pages/x/", ""),
        ("post", "/pages/x/confirm/", "application/x-www-form-urlencoded"),
        ("post", "/aws/x/", MEDIA_TYPE),
    ],
)
def test_an_unknown_pool_in_the_path_is_not_found(people, caplog, method, url, content_type):
    """A path may contain anything. It can't forge a line of the log, or cause a CRITICAL one."""
    headers = {"X-Amz-Target": "AWSCognitoIdentityProviderService.ForgotPassword"}
    url = url.replace("x/", "x%0AFORGED/")
    response = Client(headers=headers).generic(method, url, "{}", content_type)
    assert response.status_code == 404 or b"ResourceNotFoundException" in response.content
    assert people.emulator.calls == []
    # Django itself logs the path, which its first releases of 5.2 don't escape (CVE-2025-48432).
    assert "FORGED" not in str(
        [r.getMessage() for r in caplog.records if r.name != "django.request"]
    )
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize("is_marked", [False, True])
def test_an_error_does_not_end_the_transaction_of_a_test(db, monkeypatch, is_marked):
    """DRF marks a transaction for a rollback if the site sets ATOMIC_REQUESTS. Our views have none of their own."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with transaction.atomic():
        connection.set_rollback(is_marked)
        response = Client().post(URLS[0], {}, content_type="application/json")
        assert response.status_code == 400
        assert connection.get_rollback() == is_marked
