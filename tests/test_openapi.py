"""What drf-spectacular says of the REST endpoints is what they do."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import include, path, re_path
from rest_framework.throttling import BaseThrottle

from cognito_reset.aws import urls as aws_json_urls
from cognito_reset.resets import passwords as policy
from cognito_reset.resets.passwords import PasswordPolicy
from cognito_reset.resets.serializers import ConfirmResetSerializer
from cognito_reset.rest.views import PublicAPIView, RequestAPIView
from cognito_reset.testing import ConnectRefused, Timeout
from tests.interfaces import REST
from tests.people import NEW_PASSWORD
from tests.test_pages import with_settings
from tests.test_readme import rows, section

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
# Codes that the README doesn't list one by one.
UNLISTED = {"parse_error", "too_large", "unsupported_media_type", "password_entirely_numeric"}


@pytest.fixture(autouse=True)
def site(settings):
    """A site that has drf-spectacular, as its documentation says."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "drf_spectacular"]
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}


def described(*patterns: Any, version: str = "3.1.0", **more: Any) -> Any:
    """The site's schema, valid and without a warning."""
    with patched_settings({"OAS_VERSION": version, **more}):
        schema = SchemaGenerator(patterns=list(patterns or [API])).get_schema(public=True)
        validate_schema(schema)
    assert not GENERATOR_STATS
    return schema


@cache
def default() -> Any:
    """That of a site with one include and no codes of its own."""
    return described()


def operations(schema: Any) -> dict[str, Any]:
    return {
        address: operation
        for address, methods in schema["paths"].items()
        for operation in methods.values()
    }


def closed(schema: Any) -> Any:
    """The same, where an object may have no member that isn't described."""
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
    """Without configuration, without a warning, without a login, and AWS's own interface isn't in it."""
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


def test_null_is_said_as_each_version_says_it():
    """3.1: a list of types. 3.0: nullable."""
    name, member = "CognitoResetAnalyticsMetadata", "analytics_endpoint_id"
    new, old = (
        described(version=version)["components"]["schemas"][name]["properties"][member]
        for version in ("3.1.0", "3.0.3")
    )
    assert new == {"type": ["string", "null"], "maxLength": 8192}
    assert old == {"type": "string", "nullable": True, "maxLength": 8192}


def test_several_includes_have_names_of_their_own():
    """Also where the pool is in the path, and at the root."""
    schema = described(
        API,
        path("brand/reset/", include("cognito_reset.rest.urls", "brand_api"), {"pool": "brand"}),
        path("<str:pool>/reset/", include("cognito_reset.rest.urls", "any_api")),
        re_path(r"^re/(?P<pool>\w+)/", include("cognito_reset.rest.urls", "re_api")),
        path("", include("cognito_reset.rest.urls", "root_api")),
    )
    found = {address: entry["operationId"] for address, entry in operations(schema).items()}
    assert found["/api/password-reset/"] == "api_password_reset_request"
    assert found["/api/password-reset/confirm/"] == "api_password_reset_confirm"
    assert found["/brand/reset/policy/"] == "brand_reset_policy"
    assert found["/{pool}/reset/"] == "pool_reset_request"
    assert found["/"] == "request"
    assert len(found) == len(set(found.values())) == 15
    (pool,) = schema["paths"]["/{pool}/reset/"]["post"]["parameters"]
    assert (pool["name"], pool["in"], pool["schema"]) == ("pool", "path", {"type": "string"})


def codes(schema: Any, response: Any) -> set[str]:
    """The codes that a response can have."""
    reference = response["content"]["application/json"]["schema"]["$ref"]
    body = schema["components"]["schemas"][reference.rpartition("/")[2]]
    code = body["properties"]["errors"]["items"]["properties"]["code"]
    return set(code["anyOf"][0]["enum"] if "anyOf" in code else code["enum"])


def test_the_codes_are_those_of_the_readme():
    """With the same statuses: no more, no less."""
    schema = default()
    found = {
        (code, status)
        for operation in operations(schema).values()
        for status, response in operation["responses"].items()
        if status >= "400"
        for code in codes(schema, response)
    }
    table = section("For a single-page app")
    listed = {
        (code, row[0])
        for names, row in rows(table).items()
        for code in re.findall(r"\w+", names.replace("…", ""))
    }
    assert {pair for pair in found if pair[0] not in UNLISTED} == listed
    assert {code for code, _status in found} > UNLISTED


def is_open(schema: Any, name: str) -> bool:
    body = schema["components"]["schemas"][f"CognitoReset{name}Refused"]
    return "anyOf" in body["properties"]["errors"]["items"]["properties"]["code"]


class Own:
    def validate(self, password, user=None):
        raise ValidationError("No.", "own")

    def get_help_text(self):
        return ""


def refuse(request, **_: Any):
    raise ValidationError("No.", "own")


def test_codes_of_the_site_are_allowed_for(settings):
    """Its hook's and its validators'. Django's own validators' are known."""
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
    """What Django's validators and ours find is in the list of them."""
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
    found = PasswordPolicy(required=frozenset()).problems("12345678", username="12345678", code="")
    assert {code for code, _text in found} == set(policy.VALIDATOR_CODES)


@pytest.mark.parametrize("name", PATHS)
def test_every_example_is_as_described(name):
    """Of requests and of answers."""
    schema = default()
    operation = operations(schema)[PATHS[name]]
    contents = [operation.get("requestBody"), *operation["responses"].values()]
    for content in filter(None, contents):
        body = content["content"]["application/json"]
        assert body["examples"]
        for example in body["examples"].values():
            assert problems(example["value"], body["schema"], schema) == []


EXAMPLES = {
    ("request", "202"): ["sent", "destination shown"],
    ("request", "503"): ["unavailable", "unavailable 2"],
    ("confirm", "200"): ["changed"],
    ("confirm", "502"): ["outcome_unknown"],
    ("confirm", "503"): ["unavailable"],
    ("policy", "503"): ["unavailable"],
}


@pytest.mark.parametrize(("name", "status"), EXAMPLES)
def test_every_way_to_answer_has_an_example(name, status):
    """Also two of one code, which say different things to a person."""
    response = operations(default())[PATHS[name]]["responses"][status]
    examples = response["content"]["application/json"]["examples"]
    assert list(examples) == EXAMPLES[name, status]
    texts = [str(example["value"]) for example in examples.values()]
    assert len(set(texts)) == len(texts)
    if (name, status) == ("request", "503"):
        assert "may be on its way" in "".join(texts)
        assert "`detail` says so" in response["description"]


GOOD = {"username": "alice", "confirmation_code": "123456", "password": NEW_PASSWORD}
VALUES: dict[str, list[Any]] = {
    "username": ["a" * 128, "a" * 129, "", None, 5, True, ["a"], {}],
    "confirmation_code": ["1" * 2048, "1" * 2049, "", None, 123456],
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
    """The schema and the serializer, for each kind of value."""
    schema = default()
    body = {**GOOD, member: value}
    reference = {"$ref": "#/components/schemas/CognitoResetConfirm"}
    serializer = ConfirmResetSerializer(data=body, context={"policy": PasswordPolicy()})
    assert (problems(body, reference, schema) == []) == serializer.is_valid(), serializer.errors


@pytest.mark.parametrize("member", GOOD)
def test_a_body_lacks_nothing(member):
    """What the serializer asks for is required, and the rest isn't."""
    schema = default()
    reference = {"$ref": "#/components/schemas/CognitoResetConfirm"}
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
    ("request", 413, lambda f: REST().request("x" * 9000)),
    ("request", 415, lambda f: as_text("request")),
    ("request", 429, lambda f: limited(f.people, f.settings, "request")),
    ("request", 503, lambda f: failed(f.people, "request", Timeout())),
    ("request", 503, lambda f: failed(f.people, "request", ConnectRefused())),
    ("confirm", 200, lambda f: REST().confirm("alice", f.people.code("alice"))),
    ("confirm", 400, lambda f: REST().confirm("alice", "")),
    ("confirm", 400, lambda f: REST().confirm("alice", password="weak")),
    ("confirm", 400, lambda f: as_json("confirm", "{}")),
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


@pytest.mark.parametrize(
    ("name", "status", "cause"),
    CAUSES,
    ids=[f"{n} {name} {s}" for n, (name, s, _) in enumerate(CAUSES)],
)
def test_i5_every_answer_is_as_described(people, settings, monkeypatch, name, status, cause):
    """I5: its status, its type, its headers, and no member of its body that isn't described."""
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


def test_i5_every_described_answer_happens():
    """I5: each endpoint and status is in the table above."""
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
    """A subclass of a view is described as the view, with what the site's class adds."""
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": f"{__name__}.Marked"}
    operation = described(path("mine/", Mine.as_view()))["paths"]["/mine/"]["post"]
    assert operation["operationId"] == "mine_request"
    assert operation["x-site"] is True
    assert "202" in operation["responses"]
    assert operation["summary"] == "Ask for a code"
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": f"{__name__}.Hidden"}
    assert described()["paths"] == {}


@pytest.mark.parametrize(
    "schema_class", ["drf_spectacular.openapi.AutoSchema", f"{__name__}.Wordy"]
)
def test_a_sites_extend_schema_on_a_view_is_respected(settings, schema_class):
    """It says what it says, and all else stays as it is."""
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": schema_class}
    ours = described(path("mine/", Mine.as_view()))["paths"]["/mine/"]["post"]
    view = extend_schema(tags=["auth"])(type("Mine", (Mine,), {}))
    view = extend_schema(deprecated=True)(view)
    theirs = described(path("mine/", view.as_view()))["paths"]["/mine/"]["post"]
    assert theirs == {**ours, "tags": ["auth"], "deprecated": True}


def test_a_view_that_is_none_of_ours_says_itself_what_it_is():
    """A site's own, on our base class."""
    operation = described(path("other/", Other.as_view()))["paths"]["/other/"]["get"]
    assert operation["x-site"] is True
    assert list(operation["responses"]) == ["200"]
