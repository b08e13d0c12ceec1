"""Whatever comes in, on every interface: an answer of ours, and at most one call."""

from __future__ import annotations

import json
from urllib.parse import quote_plus, urlencode

import pytest
from django.test import Client
from django.test.client import encode_multipart
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cognito_reset.aws.views import MEDIA_TYPE, MEMBERS, SERVICE
from cognito_reset.aws.views import NAMES as NAMES_OF_AWS
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


@pytest.mark.requirement("G1", "G5", "G10")
@MANY
@given(data=st.dictionaries(st.sampled_from(NAMES), JSON), path=st.sampled_from(["", "confirm/"]))
def test_g5_any_json_is_answered(emulator, data, path):
    """Any type in any field of the REST interface."""
    body = json.dumps(data)
    response = Client().post(f"/api/password-reset/{path}", body, content_type="application/json")
    check(emulator, response)


@pytest.mark.requirement("G5")
@MANY
@given(username=TEXT, code=TEXT, password=TEXT)
def test_g5_any_text_is_answered_over_json(emulator, username, code, password):
    """Lone surrogates, NUL, bidi and zero-width characters never reach an encoder."""
    check(emulator, REST().confirm(username, code, password))
    check(emulator, REST().request(username))


@pytest.mark.requirement("G5")
@MANY
@given(username=TEXT, code=TEXT, password=TEXT)
def test_g5_any_text_is_answered_on_the_pages(emulator, username, code, password):
    """Forms accept what a browser would never send."""
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


@pytest.mark.requirement("G3")
@MANY
@given(body=st.binary(max_size=300), content_type=st.sampled_from(["application/json", "x"]) | TEXT)
def test_g3_any_bytes_are_answered(emulator, body, content_type):
    """The content type may be anything."""
    content_type = content_type.encode("ascii", "ignore").decode()
    response = Client().generic("POST", "/api/password-reset/", body, content_type)
    check(emulator, response)


@pytest.mark.requirement("G3", "G5")
@MANY
@given(
    body=st.binary(max_size=300) | st.dictionaries(st.sampled_from(list(MEMBERS)) | TEXT, JSON),
    operation=st.sampled_from(["ForgotPassword", "ConfirmForgotPassword"]),
    client_id=st.sampled_from([None, "right"]),
)
def test_g3_g5_anything_is_answered_to_an_sdk(emulator, body, operation, client_id):
    """Any input gets JSON with an error's name."""
    if isinstance(body, dict):
        known = {"ClientId": conf.pool("default").client_id} if client_id else {}
        body = json.dumps({**body, **known})
    headers = {"X-Amz-Target": f"{SERVICE}.{operation}"}
    response = Client().generic("POST", "/cognito", body, MEDIA_TYPE, headers=headers)
    check(emulator, response)
    answer = json.loads(response.content)
    assert response.status_code == 200 or answer["__type"] == response.headers["x-amzn-ErrorType"]


@pytest.mark.requirement("G5")
@MANY
@given(username=TEXT, code=TEXT, password=TEXT)
def test_g5_any_text_is_answered_to_an_sdk(emulator, username, code, password):
    """The same holds for Cognito's protocol."""
    check(emulator, AWS().confirm(username, code, password))
    check(emulator, AWS().request(username))


@pytest.mark.requirement("G1")
@MANY
@given(pairs=st.lists(st.tuples(st.sampled_from([*NAMES, "client_metadata.a", "x"]), TEXT)))
def test_any_form_is_answered(emulator, pairs):
    """Repeated, nested and unknown names."""
    body = "&".join(
        f"{name}={quote_plus(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs
    )
    response = Client().post(
        "/password-reset/confirm/", body, content_type="application/x-www-form-urlencoded"
    )
    check(emulator, response)


@pytest.mark.requirement("H3")
@MANY
@given(username=TEXT)
def test_h3_no_text_is_markup_or_a_header(emulator, username):
    """The page shows what was typed as text, whatever it is."""
    encoded = {"username": username.encode("utf-8", "surrogatepass")}
    interface = Pages()
    response = interface.send("", encoded)
    check(emulator, response)
    page = interface.client.get("/password-reset/confirm/").content.decode()
    assert "<script>alert" not in page + response.content.decode()
    assert "Set-Cookie" not in response.headers.get("Location", "")


# Python's codecs include some that raise, some that aren't text encodings, and some that turn ASCII
# into other text.
CHARSETS = [
    "idna",
    "rot13",
    "zlib_codec",
    "undefined",
    "punycode",
    "utf-16",
    "latin-1",
    "utf-7",
    "x",
]
PASSWORD = "Canary-passw0rd-kWq"
DATA = {"username": "alice", "confirmation_code": "123456", "password": PASSWORD}
MULTIPART = encode_multipart("boundary", DATA).decode()
AWS_BODY = json.dumps({"ClientId": "CLIENT", **{NAMES_OF_AWS[name]: DATA[name] for name in DATA}})
FORM = "application/x-www-form-urlencoded"
BODIES = [
    ("/password-reset/confirm/", FORM, urlencode(DATA)),
    ("/password-reset/confirm/", "multipart/form-data; boundary=boundary", MULTIPART),
    ("/api/password-reset/confirm/", "application/json", json.dumps(DATA)),
    ("/cognito", MEDIA_TYPE, AWS_BODY),
    ("/api/password-reset/confirm/", FORM, urlencode(DATA)),
    ("/api/password-reset/confirm/", "multipart/form-data; boundary=boundary", MULTIPART),
]


def post_as(charset, url, content_type, body, client, *, with_token):
    headers = {"X-Amz-Target": f"{SERVICE}.ConfirmForgotPassword"}
    if with_token:
        client.get("/password-reset/")
        headers["X-CSRFToken"] = client.cookies["csrftoken"].value
    body = body.replace("CLIENT", conf.pool("default").published_client_id)
    return client.generic("POST", url, body, f"{content_type}; charset={charset}", headers=headers)


@pytest.mark.requirement("G3", "H8")
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("with_token", [False, True], ids=["no token", "token"])
@pytest.mark.parametrize(("url", "content_type", "body"), BODIES)
def test_g3_h8_only_utf8_is_read(
    people, settings, caplog, url, content_type, body, with_token, debug
):
    """Any other charset is refused like any wrong request, and no report shows the password."""
    settings.DEBUG = debug
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    for charset in CHARSETS:
        response = post_as(charset, url, content_type, body, client, with_token=with_token)
        assert response.status_code in (400, 415), charset
        assert "no-store" in response.headers["Cache-Control"]
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "Canary" not in response.content.decode()
    assert people.emulator.calls == []
    assert "Canary" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.requirement("G3")
@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8", "UTF8", '"utf-8"'])
@pytest.mark.parametrize(("url", "content_type", "body"), BODIES[:4])
def test_g3_utf8_is_read_however_it_is_written(people, url, content_type, body, charset):
    client = Client(enforce_csrf_checks=True)
    response = post_as(charset, url, content_type, body, client, with_token=True)
    assert [operation for operation, _body in people.emulator.calls] == ["ConfirmForgotPassword"]
    assert response.status_code == 400
