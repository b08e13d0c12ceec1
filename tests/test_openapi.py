"""The OpenAPI schema of the REST endpoints describes what they do."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import include, path, re_path
from rest_framework import exceptions
from rest_framework.throttling import BaseThrottle

from cognito_reset.aws import urls as aws_json_urls
from cognito_reset.resets import passwords as policy
from cognito_reset.resets.passwords import PasswordPolicy
from cognito_reset.resets.serializers import ConfirmResetSerializer
from cognito_reset.rest.views import PublicAPIView, RequestAPIView
from cognito_reset.secret import Secret
from cognito_reset.testing import ConnectRefused, Timeout
from tests.documentation import rows, section
from tests.interfaces import REST, with_settings
from tests.people import NEW_PASSWORD

pytest.importorskip("drf_spectacular", reason="drf-spectacular isn't installed")

from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.validation import validate_schema

jsonschema = pytest.importorskip("jsonschema", reason="drf-spectacular brings it")

API = path("api/password-reset/", include("cognito_reset.rest.urls"))
PATHS = {
    "request": "/api/password-reset/",
    "confirm": "/api/password-reset/confirm/",
    "policy": "/api/password-reset/policy/",
}
# Codes that docs/rest.md doesn't list one by one.
UNLISTED = {
    "length_required",
    "parse_error",
    "too_large",
    "unsupported_media_type",
    "password_entirely_numeric",
}


@pytest.fixture(autouse=True)
def site(settings):
    """Set up drf-spectacular as its documentation describes."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "drf_spectacular"]
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}


def described(*patterns: Any, version: str = "3.1.0", **more: Any) -> Any:
    """Return the site's schema. Check that it is valid and caused no warning."""
    with patched_settings({"OAS_VERSION": version, **more}):
        schema = SchemaGenerator(patterns=list(patterns or [API])).get_schema(public=True)
        validate_schema(schema)
    assert not GENERATOR_STATS
    return schema


@cache
def default() -> Any:
    """Return the schema of a site with one include and no error codes of its own."""
    return described()


def operations(schema: Any) -> dict[str, Any]:
    return {
        address: operation
        for address, methods in schema["paths"].items()
        for operation in methods.values()
    }


def closed(schema: Any) -> Any:
    """Return the schema with a change: objects may have no members that aren't described."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(part) for key, part in schema.items()}
    return {"additionalProperties": False, **parts} if schema.get("type") == "object" else parts


def problems(value: Any, schema: Any, root: Any) -> list[str]:
    whole = {**closed(schema), "components": closed(root["components"])}
    validator = jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@pytest.mark.parametrize("version", ["3.1.0", "3.0.3"])
@pytest.mark.parametrize("schema_class", ["drf_spectacular", "rest_framework.schemas"])
def test_the_sites_schema_has_the_endpoints(settings, schema_class, version):
    """It needs no configuration and no login, and doesn't have the interface for AWS SDKs."""
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": f"{schema_class}.openapi.AutoSchema"}
    schema = described(API, path("cognito", include(aws_json_urls)), version=version)
    assert schema["openapi"] == version
    assert {address: set(methods) for address, methods in schema["paths"].items()} == {
        PATHS["request"]: {"post"},
        PATHS["confirm"]: {"post"},
        PATHS["policy"]: {"get"},
    }
    assert "securitySchemes" not in schema["components"]
    for operation in operations(schema).values():
        assert operation["security"] == [{}]
        assert operation["tags"] == ["password reset"]
        assert operation["summary"]
        assert operation["description"]
    names = set(schema["components"]["schemas"])
    assert all(name.startswith("CognitoReset") for name in names)


def test_null_is_written_as_each_version_of_openapi_writes_it():
    """OpenAPI 3.1 has a list of types, and 3.0 has ``nullable``."""
    name, member = "CognitoResetAnalyticsMetadata", "analytics_endpoint_id"
    new, old = (
        described(version=version)["components"]["schemas"][name]["properties"][member]
        for version in ("3.1.0", "3.0.3")
    )
    assert new == {"type": ["string", "null"], "maxLength": 8192}
    assert old == {"type": "string", "nullable": True, "maxLength": 8192}


def test_several_includes_have_names_of_their_own():
    """Operations have unique names, even if the path has an argument or is the root."""
    schema = described(
        API,
        path("brand/reset/", include("cognito_reset.rest.urls", "brand_api"), {"pool": "brand"}),
        path("<str:pool>/reset/", include("cognito_reset.rest.urls", "any_api")),
        re_path(r"^re/(?P<pool>\w+)/", include("cognito_reset.rest.urls", "re_api")),
        path("reset/", include("cognito_reset.rest.urls", "default_api")),
        path("", include("cognito_reset.rest.urls", "root_api")),
    )
    found = {address: entry["operationId"] for address, entry in operations(schema).items()}
    assert found["/api/password-reset/"] == "api_password_reset"
    assert found["/{pool}/reset/confirm/"] == "pool_reset_confirm"
    assert found["/"] == "root"
    assert len(found) == len(set(found.values())) == 18
    (pool,) = schema["paths"]["/{pool}/reset/"]["post"]["parameters"]
    assert (pool["name"], pool["in"], pool["schema"]) == ("pool", "path", {"type": "string"})


def codes(schema: Any, response: Any) -> set[str]:
    """Return the codes that a response can have."""
    reference = response["content"]["application/json"]["schema"]["$ref"]
    body = schema["components"]["schemas"][reference.rpartition("/")[2]]
    code = body["properties"]["errors"]["items"]["properties"]["code"]
    return set(code["anyOf"][0]["enum"] if "anyOf" in code else code["enum"])


def test_the_codes_are_those_of_the_docs():
    """docs/rest.md and the schema list the same codes with the same statuses."""
    schema = default()
    found = {
        (code, status)
        for operation in operations(schema).values()
        for status, response in operation["responses"].items()
        if status >= "400"
        for code in codes(schema, response)
    }
    table = section("rest.md", "Errors")
    listed = {
        (code, row[0])
        for names, row in rows(table).items()
        for code in re.findall(r"\w+", names.replace("…", ""))
    }
    assert {pair for pair in found if pair[0] not in UNLISTED} == listed
    assert {code for code, _status in found} > UNLISTED


def is_open(schema: Any, name: str) -> bool:
    body = schema["components"]["schemas"][f"CognitoReset{name}400"]
    return "anyOf" in body["properties"]["errors"]["items"]["properties"]["code"]


class Own:
    def validate(self, password, user=None):
        raise ValidationError("No.", "own")

    def get_help_text(self):
        return ""


def refuse(request, **_: Any):
    raise ValidationError("No.", "own")


def test_codes_of_the_site_are_allowed_for(settings):
    """A hook, or a validator that isn't Django's, can have any code."""
    django = "django.contrib.auth.password_validation"
    names = ("NumericPasswordValidator", "CommonPasswordValidator")
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{django}.{name}"} for name in names]
    assert [is_open(described(), name) for name in ("Request", "Confirm")] == [False, False]
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{__name__}.Own"}]
    assert [is_open(described(), name) for name in ("Request", "Confirm")] == [False, True]
    settings.AUTH_PASSWORD_VALIDATORS = []
    with_settings(settings, PRE_SEND_HOOK=refuse)
    assert [is_open(described(), name) for name in ("Request", "Confirm")] == [True, False]


def test_the_validators_codes_are_theirs(settings):
    """The list has the codes of Django's validators and of our own check."""
    django = "django.contrib.auth.password_validation"
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": f"{django}.{name}"}
        for name in (
            "UserAttributeSimilarityValidator",
            "MinimumLengthValidator",
            "CommonPasswordValidator",
            "NumericPasswordValidator",
        )
    ]
    with pytest.raises(exceptions.ValidationError) as refused:
        policy.check_site_validators(Secret("12345678"), "12345678")
    # The minimum length is one of the rules as well.
    found: Any = refused.value.get_codes()
    codes = set(found["password"]) - {"password_too_short"}
    assert codes == set(policy.VALIDATOR_CODES)


@pytest.mark.parametrize("name", PATHS)
def test_every_example_is_as_described(name):
    """Each request and each status has examples, and they match the schema."""
    schema = default()
    operation = operations(schema)[PATHS[name]]
    contents = [operation.get("requestBody"), *operation["responses"].values()]
    for content in filter(None, contents):
        body = content["content"]["application/json"]
        assert body["examples"]
        for example in body["examples"].values():
            assert problems(example["value"], body["schema"], schema) == []


EXAMPLES = {
    ("request", "202"): ["Sent", "DestinationShown"],
    ("request", "400"): ["Required", "Invalid", "ParseError"],
    ("request", "503"): ["Unavailable", "MaybeSent"],
    ("confirm", "200"): ["Changed"],
    ("confirm", "502"): ["OutcomeUnknown"],
    ("confirm", "503"): ["Unavailable"],
    ("policy", "503"): ["Unavailable"],
}


@pytest.mark.parametrize(("name", "status"), EXAMPLES)
def test_every_way_to_answer_has_an_example(name, status):
    """The examples have different texts."""
    response = operations(default())[PATHS[name]]["responses"][status]
    examples = response["content"]["application/json"]["examples"]
    assert list(examples) == EXAMPLES[name, status]
    texts = [str(example["value"]) for example in examples.values()]
    assert len(set(texts)) == len(texts)
    if (name, status) == ("request", "503"):
        assert "may be on its way" in "".join(texts)
        assert "`maybe_sent`" in response["description"]


GOOD = {"username": "alice", "confirmation_code": "123456", "password": NEW_PASSWORD}
VALUES: dict[str, list[Any]] = {
    "username": ["a" * 128, "a" * 129, "", None, 5, True, ["a"], {}],
    "confirmation_code": ["123456".rjust(2048), "123456".rjust(2049), "", None, 123456],
    "password": ["Aa1-" * 64, "Aa1-" * 64 + "b", "", None, 5],
    "client_metadata": [
        *(None, {}, {"a": "b"}, {"a": ""}, [], ""),
        *({"a": value} for value in (None, 1, ["b"], {"b": "c"})),
    ],
    "analytics_metadata": [
        *(None, {}, [], "a", 5),
        *({"analytics_endpoint_id": value} for value in (None, "", "a", 5, ["a"])),
    ],
    "user_context_data": [
        *(None, {}, [], "a"),
        *({"encoded_data": value} for value in (None, "", "a", 5)),
    ],
}


@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member in VALUES for value in VALUES[member]]
)
def test_a_body_is_valid_for_both_or_for_neither(member, value):
    """The schema and the serializer accept the same values."""
    schema = default()
    body = {**GOOD, member: value}
    reference = {"$ref": "#/components/schemas/CognitoResetConfirmReset"}
    serializer = ConfirmResetSerializer(data=body, context={"policy": PasswordPolicy()})
    assert (problems(body, reference, schema) == []) == serializer.is_valid(), serializer.errors


@pytest.mark.parametrize("member", GOOD)
def test_a_body_lacks_nothing(member):
    """The schema requires what the serializer requires."""
    schema = default()
    reference = {"$ref": "#/components/schemas/CognitoResetConfirmReset"}
    assert problems(GOOD, reference, schema) == []
    body = {name: value for name, value in GOOD.items() if name != member}
    assert problems(body, reference, schema) != []


class Refusing(BaseThrottle):
    def allow_request(self, request, view):
        return False

    def wait(self):
        return 7


def throttled_by_the_site(people, monkeypatch, settings):
    monkeypatch.setattr(PublicAPIView, "throttle_classes", [Refusing])
    return Client().get(PATHS["policy"])


def limited(people, settings, name):
    limits = {"request": {"identifier": "1/h"}, "confirm": {"identifier": "1/h"}}
    with_settings(settings, LIMITS=limits)
    send = getattr(REST(), name)
    assert send().status_code < 429
    return send()


def failed(people, name, fault):
    operation = {"request": "ForgotPassword", "confirm": "ConfirmForgotPassword"}[name]
    people.emulator.fail_next(operation, fault, times=2)  # what wasn't sent is tried once more
    return getattr(REST(), name)()


def shown(people, settings):
    with_settings(settings, SHOW_DESTINATION=True)
    return REST().request()


def unusable_policy(settings):
    pools = settings.COGNITO_RESET["POOLS"]
    default = {**pools["default"], "PASSWORD_POLICY": "nonsense"}
    with_settings(settings, POOLS={**pools, "default": default})
    return Client().get(PATHS["policy"])


def as_text(name):
    return Client().post(PATHS[name], "{}", content_type="text/plain")


def as_json(name, body):
    return Client().post(PATHS[name], body, content_type="application/json")


CAUSES = [
    ("request", 202, lambda f: REST().request()),
    ("request", 202, lambda f: shown(f.people, f.settings)),
    ("request", 400, lambda f: REST().request("")),
    ("request", 400, lambda f: as_json("request", "[]")),
    ("request", 400, lambda f: as_json("request", "null")),
    ("request", 400, lambda f: as_json("request", "{")),
    ("request", 411, lambda f: Client().generic("POST", PATHS["request"])),
    ("request", 413, lambda f: REST().request("x" * 9000)),
    ("request", 415, lambda f: as_text("request")),
    ("request", 429, lambda f: limited(f.people, f.settings, "request")),
    ("request", 503, lambda f: failed(f.people, "request", Timeout())),
    ("request", 503, lambda f: failed(f.people, "request", ConnectRefused())),
    ("confirm", 200, lambda f: REST().confirm("alice", f.people.code("alice"))),
    ("confirm", 400, lambda f: REST().confirm("alice", "")),
    ("confirm", 400, lambda f: REST().confirm("alice", password="weak")),
    ("confirm", 400, lambda f: as_json("confirm", "{}")),
    ("confirm", 411, lambda f: Client().generic("POST", PATHS["confirm"])),
    ("confirm", 413, lambda f: REST().confirm("x" * 9000)),
    ("confirm", 415, lambda f: as_text("confirm")),
    ("confirm", 429, lambda f: limited(f.people, f.settings, "confirm")),
    ("confirm", 502, lambda f: failed(f.people, "confirm", Timeout())),
    ("confirm", 503, lambda f: failed(f.people, "confirm", ConnectRefused())),
    ("policy", 200, lambda f: Client().get(PATHS["policy"])),
    ("policy", 429, lambda f: throttled_by_the_site(f.people, f.monkeypatch, f.settings)),
    ("policy", 503, lambda f: unusable_policy(f.settings)),
]


class Fixtures:
    def __init__(self, people, settings, monkeypatch):
        self.people, self.settings, self.monkeypatch = people, settings, monkeypatch


@pytest.mark.requirement("I5")
@pytest.mark.parametrize(
    ("name", "status", "cause"),
    CAUSES,
    ids=[f"{n} {name} {s}" for n, (name, s, _) in enumerate(CAUSES)],
)
def test_i5_every_answer_is_as_described(people, settings, monkeypatch, name, status, cause):
    """The schema has its status, content type, headers, and all members of its body."""
    schema = default()
    response = cause(Fixtures(people, settings, monkeypatch))
    assert response.status_code == status
    entry = operations(schema)[PATHS[name]]["responses"][str(status)]
    assert list(entry["content"]) == [response.headers["Content-Type"]]
    body = entry["content"]["application/json"]["schema"]
    assert problems(response.json(), body, schema) == []
    assert ("Retry-After" in response.headers) == ("headers" in entry)
    for header, rule in entry.get("headers", {}).items():
        assert rule["required"]
        assert problems(int(response.headers[header]), rule["schema"], schema) == []


@pytest.mark.requirement("I5")
def test_i5_every_described_answer_happens():
    """Each endpoint and status is in the table above."""
    documented = {
        (name, int(status))
        for name, address in PATHS.items()
        for status in operations(default())[address]["responses"]
    }
    assert documented == {(name, status) for name, status, _cause in CAUSES}


class Marked(AutoSchema):
    def get_extensions(self):
        return {"x-site": True}


class Wordy(AutoSchema):
    def get_summary(self):
        return "The site's"

    def get_operation_id(self):
        return "the_sites"


class Hidden(AutoSchema):
    def is_excluded(self):
        return True


class Bare(Marked):
    def get_response_serializers(self):
        return {200: {"type": "object"}}


class Mine(RequestAPIView):
    pass


class Other(PublicAPIView):
    schema = Bare()

    def get(self, request):
        raise NotImplementedError


def test_a_sites_own_view_and_schema_class_are_respected(settings):
    """A subclass of a view is described like the view, with what the site's class adds."""
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": f"{__name__}.Marked"}
    operation = described(path("mine/", Mine.as_view()))["paths"]["/mine/"]["post"]
    assert operation["x-site"] is True
    assert "202" in operation["responses"]
    assert operation["summary"] == "Ask for a code"
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": f"{__name__}.Hidden"}
    assert described()["paths"] == {}


@pytest.mark.parametrize(
    "schema_class", ["drf_spectacular.openapi.AutoSchema", f"{__name__}.Wordy"]
)
def test_a_sites_extend_schema_on_a_view_is_respected(settings, schema_class):
    """It changes only what it names."""
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": schema_class}
    ours = described(path("mine/", Mine.as_view()))["paths"]["/mine/"]["post"]
    view = extend_schema(tags=["auth"])(type("Mine", (Mine,), {}))
    view = extend_schema(deprecated=True)(view)
    theirs = described(path("mine/", view.as_view()))["paths"]["/mine/"]["post"]
    assert theirs == {**ours, "tags": ["auth"], "deprecated": True}
    view = extend_schema(responses={202: {"type": "object"}})(view)
    theirs = described(path("mine/", view.as_view()))["paths"]["/mine/"]["post"]
    assert list(theirs["responses"]) == ["202"]


def test_a_view_of_the_site_is_not_described_by_us():
    """A site's own view on our base class has only the site's description."""
    operation = described(path("other/", Other.as_view()))["paths"]["/other/"]["get"]
    assert operation["x-site"] is True
    assert list(operation["responses"]) == ["200"]
