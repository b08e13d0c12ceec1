"""
The endpoint for AWS SDKs accepts every request that the service model of ForgotPassword and
ConfirmForgotPassword allows, and refuses all others with Cognito's errors. The exceptions are listed in
STRICTER and MORE_LENIENT, and have tests of their own at the end.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cognito_reset.aws.views import MEDIA_TYPE, SERVICE
from cognito_reset.resets.bodies import BODY_LIMIT
from cognito_reset.testing.validation import service_model

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema isn't installed")

OPERATIONS = ("ForgotPassword", "ConfirmForgotPassword")
TYPES = {"structure": "object", "map": "object", "string": "string"}
#: The errors that a valid request for an unknown user may get. The empty string is a success.
ANSWERS = {"", "CodeMismatchException", "InvalidPasswordException"}
VALID = {
    "ForgotPassword": {"Username": "alice"},
    "ConfirmForgotPassword": {
        "Username": "alice",
        "ConfirmationCode": "123456",
        "Password": "Battery-staple-2",
    },
}
some = examples(
    max_examples=100,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)


def client_id() -> str:
    found: str = settings.COGNITO_RESET["POOLS"]["default"]["CLIENT_ID"]
    return found


@cache
def category(name: str) -> str:
    r"""
    Return the characters of a Unicode category, such as L for Java's \p{L}, as ranges for a pattern.
    Python's ``re`` has no categories.
    """
    numbers = [n for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n))[0] == name]
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ends = [[number for _, number in run] for _, run in runs]
    return "".join(f"\\U{run[0]:08x}-\\U{run[-1]:08x}" for run in ends)


def pattern_of(pattern: str) -> str:
    """
    Translate a pattern of the service model, which is Java's, to Python. It matches the whole value. \\w
    and \\S are about ASCII characters only, as in Java.
    """
    pattern = re.sub(r"\\p\{(\w)\}", lambda found: category(found[1]), pattern)
    pattern = pattern.replace(r"[\S]", r"[^ \t\n\x0b\f\r]").replace(r"\w", "a-zA-Z_0-9")
    # Python's $ also stands before a line's end.
    return f"^{pattern}$(?!\\n)"


def schema_of(shape: Any) -> dict[str, Any]:
    """Return the JSON Schema of a shape in botocore's service model."""
    limits = shape.metadata
    schema: dict[str, Any] = {"type": TYPES[shape.type_name]}
    if shape.type_name == "structure":
        schema["properties"] = {name: schema_of(member) for name, member in shape.members.items()}
        schema["required"] = shape.required_members
    elif shape.type_name == "map":
        schema["additionalProperties"] = schema_of(shape.value)
    for ours, theirs in (("minLength", "min"), ("maxLength", "max")):
        if theirs in limits:
            schema[ours] = limits[theirs]
    if "pattern" in limits:
        schema["pattern"] = pattern_of(limits["pattern"])
    return schema


@cache
def request_schema(operation: str) -> dict[str, Any]:
    return schema_of(service_model().operation_model(operation).input_shape)


@cache
def is_valid(operation: str) -> Any:
    return jsonschema.Draft202012Validator(request_schema(operation)).is_valid


@cache
def one_of_each() -> list[str]:
    """Return one character of each Unicode category. Characters at random would be letters, mostly."""
    characters = map(chr, range(sys.maxunicode + 1))
    found = {unicodedata.category(c): c for c in characters if unicodedata.category(c) != "Cs"}
    return [*found.values(), "a", "_", "-", "+", "~"]


def allowed(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for values that ``schema`` allows."""
    if schema["type"] == "string":
        matches = re.compile(schema.get("pattern", "")).search
        # Each of the model's patterns is one set of characters, repeated.
        letters = st.sampled_from(list(filter(matches, one_of_each())))
        letters |= st.characters(exclude_categories=["Cs"]).filter(matches)
        most = min(schema["maxLength"], 3000)
        least = schema.get("minLength", 1)
        return st.text(letters, min_size=least, max_size=most) | st.just("a" * most)
    if "additionalProperties" in schema:
        texts = allowed(schema["additionalProperties"])
        return st.dictionaries(texts, texts, max_size=2)
    members = {name: allowed(member) for name, member in schema["properties"].items()}
    required = {name: members.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=members)


def answer(operation: str, body: Any) -> str:
    """Send a request. Return the name of the error, or an empty string for a success."""
    response = Client().post(
        "/cognito",
        body if isinstance(body, bytes) else json.dumps(body),
        content_type=MEDIA_TYPE,
        headers={"X-Amz-Target": f"{SERVICE}.{operation}"},
    )
    said = json.loads(response.content)
    assert response.status_code == (400 if "__type" in said else 200), said
    assert response.headers.get("x-amzn-ErrorType") == said.get("__type")
    name: str = said.get("__type", "")
    return name


def request_of(operation: str, **members: Any) -> dict[str, Any]:
    return {"ClientId": client_id(), **VALID[operation], **members}


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, str):
        yield value


def is_blank(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def is_refused_here(body: dict[str, Any]) -> bool:
    """Return whether the endpoint refuses the request for a reason that STRICTER has a case of."""
    return any("\x00" in text for text in texts_of(body))


def is_taken_here(name: str, value: Any) -> bool:
    """Return whether the endpoint accepts the value for a reason that MORE_LENIENT has a case of."""
    if not isinstance(value, str) or not value:
        return False
    if name == "Username":
        return is_blank(value[0]) or is_blank(value[-1])
    blank = {"ConfirmationCode": str.isspace, "Password": " ".__eq__}.get(name)
    return blank is not None and any(map(blank, value))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_schemas_are_those_of_aws(operation):
    """Both inputs have the expected members, and the required ones are required."""
    schema = request_schema(operation)
    jsonschema.Draft202012Validator.check_schema(schema)
    optional = {"SecretHash", "AnalyticsMetadata", "UserContextData", "ClientMetadata"}
    required = {"ClientId", *VALID[operation]}
    assert set(schema["properties"]) == required | optional
    assert set(schema["required"]) == required
    assert is_valid(operation)(request_of(operation))
    assert schema["properties"]["Username"]["maxLength"] == 128


@pytest.mark.parametrize("operation", OPERATIONS)
@some
@given(data=st.data())
def test_what_the_schema_allows_is_taken(people, operation, data):
    """The answer to each request that the schema allows is one of those for valid requests."""
    body = {**data.draw(allowed(request_schema(operation))), "ClientId": client_id()}
    if "ConfirmationCode" in body:  # STRICTER: few texts hold a code
        body["ConfirmationCode"] = data.draw(st.from_regex("[.#]?[0-9]{6}[.!]?", fullmatch=True))
    assert is_valid(operation)(body)
    assume(len(json.dumps(body)) <= BODY_LIMIT)
    assume(not is_refused_here(body))
    assert answer(operation, body) in ANSWERS


@pytest.mark.parametrize("operation", OPERATIONS)
@some
@given(data=st.data())
def test_what_the_schema_forbids_is_refused(people, operation, data):
    """A request with one wrong member is refused, and Cognito isn't called."""
    schema = request_schema(operation)
    body = request_of(operation)
    name = data.draw(st.sampled_from(sorted(schema["properties"])))
    body[name] = data.draw(wrong(schema["properties"][name]))
    if body[name] is None:
        del body[name]
    assume(not is_valid(operation)(body))
    assume(len(json.dumps(body)) <= BODY_LIMIT)
    assume(not is_taken_here(name, body.get(name)))
    assert answer(operation, body) == "InvalidParameterException"
    assert people.emulator.calls == []


def wrong(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for values that ``schema`` forbids. ``None`` stands for a missing member."""
    others: list[st.SearchStrategy[Any]] = [
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(0, 9),
    ]
    others.append(st.lists(st.text(max_size=3), max_size=3))
    if schema["type"] == "object":
        others.append(st.text(max_size=9))
        inner = schema.get("properties") or {"a": schema["additionalProperties"]}
        for name in inner:
            values = st.one_of(st.booleans(), st.integers(), st.lists(st.text(max_size=3)))
            others.append(st.fixed_dictionaries({name: values}))
    else:
        others.append(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2))
        if schema["maxLength"] <= BODY_LIMIT:
            others.append(st.integers(schema["maxLength"] + 1, 3000).map(lambda n: "a" * n))
        if "pattern" in schema:
            others.append(st.text(max_size=20))
    return st.one_of(others)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_longest_and_one_more(people, operation):
    properties = request_schema(operation)["properties"]
    bounded = {name: p["maxLength"] for name, p in properties.items() if p["type"] == "string"}
    assert set(bounded) == {"ClientId", "SecretHash", *VALID[operation]}
    for name, most in bounded.items():
        if name != "ClientId":
            text = "a" * (most - 7) + "+123456"  # a code, wherever it is sent
            assert answer(operation, request_of(operation, **{name: text})) in ANSWERS
        found = answer(operation, request_of(operation, **{name: "a" * (most + 1)}))
        assert found == "InvalidParameterException", name


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "body", [[], "text", 1, True, None, [{}], b"", b"{", b"\xff", b'{"a":NaN}']
)
def test_what_is_no_object_is_refused(people, operation, body):
    """Cognito's own error is SerializationException, which the service model doesn't have."""
    assert answer(operation, body) == "InvalidParameterException"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_null_is_absent(people, operation):
    """Null counts as a missing member, because some SDKs send it for optional members."""
    schema = request_schema(operation)
    absent = dict.fromkeys(set(schema["properties"]) - set(schema["required"]))
    assert answer(operation, request_of(operation, **absent)) in ANSWERS
    for name in schema["required"]:
        found = answer(operation, request_of(operation, **{name: None}))
        assert found == "InvalidParameterException"


#: Values that the schema allows and the endpoint refuses, because no account, code or client has them.
STRICTER = [
    ("ConfirmationCode", "---"),
    ("ConfirmationCode", "\u200b"),
    ("ConfirmationCode", "\ufe0f"),
    ("ConfirmationCode", "123\x07456"),
    ("ConfirmationCode", "wrong"),
    ("ConfirmationCode", "1234567"),
    ("Password", "Battery-\x00staple-2"),
    ("Password", "Battery-\ud800staple-2"),
    ("ClientMetadata", {"a": "\x00"}),
    ("AnalyticsMetadata", {"AnalyticsEndpointId": "\x00"}),
    ("UserContextData", {"EncodedData": "\x00"}),
    ("UserContextData", {"IpAddress": "\x00"}),
]
#: Values that the schema forbids and the endpoint accepts: with characters that people paste by accident,
#: and a password that Cognito itself accepts.
MORE_LENIENT = [
    ("Username", " alice\n"),
    ("Username", "\ufeffalice"),
    ("ConfirmationCode", "123 456"),
    ("ConfirmationCode", "Your code is 123456."),
    ("Password", "Battery staple-2"),
]


@pytest.mark.parametrize(("name", "value"), STRICTER)
def test_what_is_refused_though_the_schema_allows_it(people, name, value):
    body = request_of("ConfirmForgotPassword", **{name: value})
    assert is_valid("ConfirmForgotPassword")(body)
    assert answer("ConfirmForgotPassword", body) == "InvalidParameterException"


@pytest.mark.parametrize(("name", "value"), MORE_LENIENT)
def test_what_is_taken_though_the_schema_forbids_it(people, name, value):
    people.forgot("alice")
    code = people.emulator.outbox[-1].code
    sent = value.replace("123", code[:3]).replace("456", code[3:])
    body = request_of("ConfirmForgotPassword", **{"ConfirmationCode": code, name: sent})
    assert not is_valid("ConfirmForgotPassword")(body)
    assert answer("ConfirmForgotPassword", body) == ""


@pytest.mark.parametrize("name", ["ClientId", "SecretHash"])
def test_letters_are_those_of_ascii(people, name):
    body = request_of("ForgotPassword", **{name: "\xe9"})
    assert answer("ForgotPassword", body) == "InvalidParameterException"
    assert people.emulator.calls == []
