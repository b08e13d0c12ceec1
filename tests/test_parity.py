"""The same input and the same faults on every public interface: the same fields, codes and statuses."""

from __future__ import annotations

import inspect

import botocore.endpoint
import pytest

from cognito_reset.testing import (
    Error,
    Status,
    Timeout,
)
from tests.interfaces import INTERFACES, REST, Pages

GOOD = {"username": "alice", "confirmation_code": "123456", "password": "Battery-staple-2"}

#: What is wrong with the input, and the (field, code) pairs that every interface finds in it.
INPUTS = [
    ("", {"username": ""}, [("username", "required")]),
    ("", {"username": " \u200f "}, [("username", "required")]),
    ("", {}, [("username", "required")]),
    ("", {"username": "a b"}, [("username", "invalid")]),
    ("", {"username": "a\x00b"}, [("username", "invalid")]),
    ("", {"username": "a" * 129}, [("username", "invalid")]),
    ("confirm/", {**GOOD, "confirmation_code": " - "}, [("confirmation_code", "required")]),
    ("confirm/", {**GOOD, "confirmation_code": "1\x1b2"}, [("confirmation_code", "invalid")]),
    ("confirm/", {**GOOD, "confirmation_code": "1" * 2049}, [("confirmation_code", "invalid")]),
    ("confirm/", {**GOOD, "password": ""}, [("password", "required")]),
    ("confirm/", {**GOOD, "password": " space-first-1A"}, [("password", "invalid")]),
    ("confirm/", {**GOOD, "password": "tab\there-1A"}, [("password", "invalid")]),
    ("confirm/", {**GOOD, "password": "a" * 257}, [("password", "invalid")]),
    (
        "confirm/",
        {},
        [("username", "required"), ("confirmation_code", "required"), ("password", "required")],
    ),
]


def rest_errors(response):
    return [(error["attr"], error["code"]) for error in response.json()["errors"]]


@pytest.mark.parametrize(("path", "data", "expected"), INPUTS)
def test_bad_input_is_the_same_on_every_interface(people, path, data, expected):
    """All interfaces refuse the same fields with the same texts, and Cognito isn't called."""
    rest, pages = REST().send(path, data), Pages().send(path, data)
    assert (rest.status_code, pages.status_code) == (400, 400)
    assert rest_errors(rest) == expected
    shown = [(error.id, error.message) for error in pages.context["errors"]]
    assert shown == [(f"id_{e['attr']}", e["detail"]) for e in rest.json()["errors"]]
    assert people.emulator.calls == []


@pytest.mark.requirement("A2")
@pytest.mark.skipif(
    "before-parse" not in inspect.getsource(botocore.endpoint), reason="an older botocore"
)
@pytest.mark.parametrize("status", [400, 403, 429, 499])
@pytest.mark.parametrize(
    "body", ['["blocked"]', '"blocked"', "null", "5", '{"__type": 5}', '{"__type": null}', "{", ""]
)
def test_a2_a_block_is_a_block_whatever_its_body(people, status, body):
    """A firewall may answer with any JSON. It means that nothing was done."""
    for step in ("request", "confirm"):
        people.emulator.fail_next(operation(step), Status(status, body), times=2)
        for interface in (REST(), Pages()):
            response = getattr(interface, step)()
            assert response.status_code == 503
            assert interface.name == "rest" or response.context["reason"] == "unavailable"


@pytest.mark.requirement("C6")
def test_c6_a_code_that_may_have_been_sent_is_said_so(people):
    """
    If success isn't proved, the request step returns 503, and asks the person to check the inbox.
    """
    for interface in (REST(), Pages()):
        people.emulator.fail_next("ForgotPassword", Timeout())
        response = interface.request()
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "60"
        if interface.name == "rest":
            assert rest_errors(response) == [(None, "maybe_sent")]
            assert "may be on its way" in response.json()["errors"][0]["detail"]
        else:
            assert response.context["reason"] == "maybe_sent"
            assert "/password-reset/confirm/" in response.content.decode()
    assert len(people.emulator.calls) == 2


PASSWORDS = [
    (Error("InvalidPasswordException", "Password not long enough"), "password_invalid"),
    (
        Error("InvalidPasswordException", "Provided password cannot be used for security reasons."),
        "password_compromised",
    ),
    (Error("PasswordHistoryPolicyViolationException"), "password_reused"),
]


@pytest.mark.parametrize(("fault", "code"), PASSWORDS)
def test_a_refused_password_is_an_error_of_its_field(people, fault, code):
    """Only errors of the password are shown, with the app's own texts."""
    people.emulator.fail_next("ConfirmForgotPassword", fault, times=2)
    rest, pages = REST().confirm(), Pages().confirm()
    assert (rest.status_code, pages.status_code) == (400, 400)
    assert rest_errors(rest) == [("password", code)]
    (error,) = pages.context["errors"]
    assert (error.id, error.message) == ("id_password", rest.json()["errors"][0]["detail"])


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {"POOLS": {"default": {"REGION": "eu"}}},
        {"POOLS": 5},
        {"POOL_RESOLVER": "no.such"},
        {"SERVICE_CLASS": "no.such"},
        {"LIMITS": {"request": {"identifier": "often"}, "confirm": {"identifier": "often"}}},
        {"TRUSTED_PROXIES": {"CIDRS": [["x"]]}, "LIMITS": {}},
        {"UNIFORM_RESPONSE_SECONDS": "x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("debug", [False, True])
def test_a_misconfigured_site_is_unavailable_on_every_interface(
    people, settings, caplog, broken, debug
):
    """A setting that can't be used is 503 without detail for people, and CRITICAL in the log."""
    settings.DEBUG = debug
    settings.COGNITO_RESET = None if broken is None else {**settings.COGNITO_RESET, **broken}
    for interface in (REST(), Pages()):
        for step in ("request", "confirm"):
            response = getattr(interface, step)()
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) > 0
            for detail in (b"REGION", b"no.such", b"often", b"Battery", b"000000"):
                assert detail not in response.content
    assert "CRITICAL" in {
        record.levelname for record in caplog.records if "misconfigured" in record.message
    }


def operation(step):
    return {"request": "ForgotPassword", "confirm": "ConfirmForgotPassword"}[step]


HOSTILE_TEXT = "<script>alert(1)</script>" + "x" * 1_000_000


@pytest.mark.requirement("G9")
@pytest.mark.parametrize(
    "code", ["UserLambdaValidationException", "InvalidParameterException", "BrandNewException"]
)
def test_g9_no_text_of_a_lambda_or_of_cognitos_is_shown(people, code):
    """The app shows its own text instead."""
    people.emulator.fail_next(
        "ConfirmForgotPassword", Error(code, HOSTILE_TEXT), times=len(INTERFACES)
    )
    people.emulator.fail_next("ForgotPassword", Error(code, HOSTILE_TEXT), times=len(INTERFACES))
    for interface in (make_interface() for make_interface in INTERFACES):
        for response in (interface.request(), interface.confirm()):
            assert "alert(1)" not in response.content.decode()
            assert len(response.content) < 10_000
