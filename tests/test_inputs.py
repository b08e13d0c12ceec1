"""Whatever comes in, on every interface: an answer of ours, and at most one call."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cognito_reset.aws.views import MEDIA_TYPE, MEMBERS, SERVICE
from cognito_reset.conf import conf
from tests.interfaces import AWS, REST, Pages
from tests.people import People

ANSWERS = {200, 202, 302, 400, 411, 413, 415}
# Surrogates, NUL, controls, bidi and zero-width characters are all in here.
ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=300)
NASTY = st.sampled_from(
    [
        "\ud800",
        "alice\udfff",
        "a\x00b",
        "\u202ealice",
        "\u200balice\u200d",
        "ﬁﬀ",
        "İ",
        "x" * 128,
        "x" * 129,
        "é" * 5000,
        "=cmd()",
        "<script>alert(1)</script>",
        "{{ 7*7 }}",
        "%s%n",
        "\r\nSet-Cookie: a=b",
        "../../etc/passwd",
        "' OR 1=1 --",
    ]
)
TEXT = ANY_TEXT | NASTY
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "username",
    "confirmation_code",
    "password",
    "client_metadata",
    "analytics_metadata",
    "user_context_data",
)
MANY = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def emulator(people: People):
    people.emulator.options.hourly_allowance = 1_000_000
    return people.emulator


def check(emulator, response):
    calls = len(emulator.calls)
    emulator.calls.clear()
    assert calls <= 1
    assert response.status_code in ANSWERS
    assert "Traceback" not in response.content.decode()


@MANY
@given(data=st.dictionaries(st.sampled_from(NAMES), JSON), path=st.sampled_from(["", "confirm/"]))
def test_g5_any_json_is_answered(emulator, data, path):
    """G1, G5, G10: any type in any field of the REST interface."""
    body = json.dumps(data)
    response = Client().post(f"/api/password-reset/{path}", body, content_type="application/json")
    check(emulator, response)


@MANY
@given(username=TEXT, code=TEXT, password=TEXT)
def test_g5_any_text_is_answered_over_json(emulator, username, code, password):
    """G5: lone surrogates, NUL, bidi and zero-width characters never reach an encoder."""
    check(emulator, REST().confirm(username, code, password))
    check(emulator, REST().request(username))


@MANY
@given(username=TEXT, code=TEXT, password=TEXT)
def test_g5_any_text_is_answered_on_the_pages(emulator, username, code, password):
    """G5: forms accept what a browser would never send."""
    encode = {
        key: value.encode("utf-8", "surrogatepass")
        for key, value in (
            ("username", username),
            ("confirmation_code", code),
            ("password", password),
        )
    }
    interface = Pages()
    check(emulator, interface.send("confirm/", encode))
    check(emulator, interface.send("", {"username": encode["username"]}))


@MANY
@given(body=st.binary(max_size=300), content_type=st.sampled_from(["application/json", "x"]) | TEXT)
def test_g3_any_bytes_are_answered(emulator, body, content_type):
    """G3: whatever they say that they are."""
    content_type = content_type.encode("ascii", "ignore").decode()
    response = Client().generic("POST", "/api/password-reset/", body, content_type)
    check(emulator, response)


@MANY
@given(
    body=st.binary(max_size=300) | st.dictionaries(st.sampled_from(list(MEMBERS)) | TEXT, JSON),
    operation=st.sampled_from(["ForgotPassword", "ConfirmForgotPassword"]),
    client_id=st.sampled_from([None, "right"]),
)
def test_g3_g5_anything_is_answered_to_an_sdk(emulator, body, operation, client_id):
    """G3, G5: in JSON with an error's name, whatever comes."""
    if isinstance(body, dict):
        known = {"ClientId": conf.pool("default").client_id} if client_id else {}
        body = json.dumps({**body, **known})
    headers = {"X-Amz-Target": f"{SERVICE}.{operation}"}
    response = Client().generic("POST", "/cognito", body, MEDIA_TYPE, headers=headers)
    check(emulator, response)
    answer = json.loads(response.content)
    assert response.status_code == 200 or answer["__type"] == response.headers["x-amzn-ErrorType"]


@MANY
@given(username=TEXT, code=TEXT, password=TEXT)
def test_g5_any_text_is_answered_to_an_sdk(emulator, username, code, password):
    """G5: as over JSON."""
    check(emulator, AWS().confirm(username, code, password))
    check(emulator, AWS().request(username))


@MANY
@given(pairs=st.lists(st.tuples(st.sampled_from([*NAMES, "client_metadata.a", "x"]), TEXT)))
def test_any_form_is_answered(emulator, pairs):
    """G1: repeated, nested and unknown names."""
    from urllib.parse import quote_plus

    body = "&".join(
        f"{name}={quote_plus(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs
    )
    response = Client().post(
        "/password-reset/confirm/", body, content_type="application/x-www-form-urlencoded"
    )
    check(emulator, response)


@MANY
@given(username=TEXT)
def test_h3_no_text_is_markup_or_a_header(emulator, username):
    """What was typed stands on the page as text, whatever it is."""
    encoded = {"username": username.encode("utf-8", "surrogatepass")}
    interface = Pages()
    response = interface.send("", encoded)
    check(emulator, response)
    page = interface.client.get("/password-reset/confirm/").content.decode()
    assert "<script>alert" not in page + response.content.decode()
    assert "Set-Cookie" not in response.headers.get("Location", "")
