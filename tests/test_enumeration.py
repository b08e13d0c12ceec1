"""REQUIREMENTS 1.A: what the public interfaces answer says nothing about any account."""

from __future__ import annotations

import json
import re

import botocore.session
import pytest

from cognito_reset.testing import Error, Status, Timeout, WafBlock
from tests.interfaces import AWS, INTERFACES, REST, Pages, with_settings
from tests.people import EVERYBODY, REFUSED

MODEL = botocore.session.get_session().get_service_model("cognito-idp")


def modelled(operation):
    return [shape.name for shape in MODEL.operation_model(operation).error_shapes]


#: What is true for everybody, and so may be shown.
SITE = {
    "ResourceNotFoundException",
    "OperationNotEnabledException",
    "InternalErrorException",
    "ForbiddenException",
}
PASSWORD = {"InvalidPasswordException", "PasswordHistoryPolicyViolationException"}
UNKNOWN = {
    "UnexpectedLambdaException",
    "UserLambdaValidationException",
    "InvalidLambdaResponseException",
    "InternalErrorException",
}

every_interface = pytest.mark.parametrize(
    "make_interface", INTERFACES, ids=lambda interface: interface.name
)
both_modes = pytest.mark.parametrize("mode", ["LEGACY", "ENABLED"])


@pytest.mark.requirement("A1")
@every_interface
@both_modes
def test_a1_the_request_step_answers_the_same_for_every_state_of_user(people, make_interface, mode):
    """Status, body, headers, cookies, session keys and length don't reveal who has an account."""
    people.prevent_existence_errors(mode)
    seen = {}
    for name in EVERYBODY:
        interface = make_interface()
        seen[name] = interface.seen(interface.request(name), typed=name)
    assert len(people.emulator.calls) == len(EVERYBODY)
    assert {name: answer for name, answer in seen.items() if answer != seen["alice"]} == {}
    assert seen["alice"].status == make_interface.SENT


@pytest.mark.requirement("A1", "A7")
@pytest.mark.parametrize("limits", [False, {}], ids=["no limits", "limits"])
def test_a1_a_repeat_is_answered_the_same_for_every_state_of_user(people, settings, limits):
    """SDKs repeat requests by themselves, and attackers may, too."""
    with_settings(settings, LIMITS=limits)
    seen = {}
    for name in EVERYBODY:
        interface = AWS(invocation_id=name)
        before = len(people.emulator.calls)
        answers = [interface.seen(interface.request(name), typed=name) for _ in range(3)]
        seen[name] = (answers, len(people.emulator.calls) - before)
    assert {name: answer for name, answer in seen.items() if answer != seen["alice"]} == {}
    assert seen["alice"][1] == 1


@pytest.mark.requirement("A13")
@every_interface
@both_modes
def test_a13_length_and_coding_do_not_tell_an_account(people, settings, make_interface, mode):
    """This holds with middleware that compresses, or that answers "not modified"."""
    people.prevent_existence_errors(mode)
    settings.MIDDLEWARE = [
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        *settings.MIDDLEWARE,
    ]
    seen = {}
    # On the AWS interface the answer's length depends on the masked form of what was typed.
    for name in [name for name in EVERYBODY if make_interface is not AWS or "@" not in name]:
        interface = make_interface()
        interface.client.defaults["HTTP_ACCEPT_ENCODING"] = "gzip"
        headers = dict(interface.request(name).headers)
        headers.pop("x-amzn-RequestId", None)
        del headers["Expires"]
        assert "ETag" not in headers
        seen[name] = headers
    assert {name: headers for name, headers in seen.items() if headers != seen["alice"]} == {}
    assert "Content-Length" in seen["alice"]


@pytest.mark.requirement("A1", "A2", "A6")
@every_interface
@pytest.mark.parametrize(
    "code",
    [*(code for code in modelled("ForgotPassword") if code not in SITE), "BrandNewException"],
)
def test_a1_a2_a6_no_error_of_an_account_is_shown_at_the_request_step(people, make_interface, code):
    """
    Every error that depends on the user, and every unknown error, is answered as if a code was
    sent.
    """
    usual = make_interface()
    expected = usual.seen(usual.request("alice"))
    people.emulator.fail_next("ForgotPassword", Error(code))
    interface = make_interface()
    assert interface.seen(interface.request("alice")) == expected


@every_interface
@pytest.mark.parametrize("code", sorted(SITE))
def test_what_is_true_for_everybody_is_said(people, make_interface, code):
    """A wrong client id or a WAF block is the site's problem: 503 with a time to wait."""
    people.emulator.fail_next("ForgotPassword", Error(code))
    interface = make_interface()
    assert interface.is_unavailable(interface.request("nobody"))


@pytest.mark.requirement("A3")
@every_interface
@both_modes
def test_a3_the_confirm_step_has_one_error_for_every_account(people, make_interface, mode):
    """Unknown user, wrong code, no code, disabled and federated users get the same bytes."""
    people.prevent_existence_errors(mode)
    people.forgot("alice")
    seen = {}
    for name in EVERYBODY:
        interface = make_interface()
        seen[name] = interface.seen(interface.confirm(name), typed=name)
    assert {name: answer for name, answer in seen.items() if answer != seen["alice"]} == {}
    assert seen["alice"].status == 400
    for state in ("disabled", "federated", "confirmed", "unknown user"):
        assert state not in seen["alice"].body.lower()


@pytest.mark.requirement("A2", "A3")
@every_interface
@pytest.mark.parametrize(
    "code",
    [
        *(
            code
            for code in modelled("ConfirmForgotPassword")
            if code not in SITE | PASSWORD | UNKNOWN | {"TooManyRequestsException"}
        ),
        "BrandNewException",
    ],
)
def test_a2_a3_every_error_of_an_account_is_one_at_the_confirm_step(people, make_interface, code):
    """Cognito's attempt limit, too, is the same 400 as a wrong code."""
    usual = make_interface()
    expected = usual.seen(usual.confirm("alice"))
    people.emulator.fail_next("ConfirmForgotPassword", Error(code))
    interface = make_interface()
    assert interface.seen(interface.confirm("alice")) == expected


@pytest.mark.requirement("A9")
@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_a9_the_second_step_opens_for_any_name(people, name):
    """The page after the request is the same for every name, and so are the session's keys."""
    interface, other = Pages(), Pages()
    interface.request(name)
    other.request("heidi")
    shown = interface.client.get("/password-reset/confirm/")
    expected = other.client.get("/password-reset/confirm/")
    assert interface.seen(shown, typed=name) == other.seen(expected, typed="heidi")


@pytest.mark.requirement("A10")
@pytest.mark.parametrize("mode", ["LEGACY", "ENABLED"])
@pytest.mark.parametrize("show", [True, False])
def test_a10_an_sdk_gets_a_destination_made_of_what_was_typed(people, settings, mode, show):
    """Cognito's own destination would reveal who has an account."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "SHOW_DESTINATION": show}
    people.prevent_existence_errors(mode)
    email, phone, neither = ("EMAIL", "email"), ("SMS", "phone_number"), ("EMAIL", "email")
    for typed, destination, (medium, attribute) in [
        ("alice@example.com", "a***@e***", email),
        ("nobody@example.com", "n***@e***", email),
        ("+15555550123", "+*******0123", phone),
        ("+15555559999", "+*******9999", phone),
        ("+12", "+*******12", phone),
        ("bob", "***", neither),
        ("nobody", "***", neither),
    ]:
        assert json.loads(AWS().request(typed).content) == {
            "CodeDeliveryDetails": {
                "Destination": destination,
                "DeliveryMedium": medium,
                "AttributeName": attribute,
            }
        }


@pytest.mark.requirement("A10")
@pytest.mark.parametrize("make_interface", [REST, Pages])
def test_a10_the_destination_is_hidden_by_default(people, make_interface):
    """Neither the answer nor the page behind it shows any part of a contact."""
    interface = make_interface()
    body = interface.request("alice").content.decode()
    body += interface.client.get("/password-reset/confirm/").content.decode()
    assert "***" not in body


@pytest.mark.requirement("A10")
@pytest.mark.parametrize("name", ["alice@example.com", "nobody@example.com"])
def test_a10_a_shown_destination_is_as_plausible_for_nobody(people, settings, name):
    """Where the site shows destinations, a missing user has one, of the same form."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "SHOW_DESTINATION": True}
    body = REST().request(name).json()
    assert body["code_delivery_details"] == {
        "destination": f"{name[0]}***@e***",
        "delivery_medium": "EMAIL",
        "attribute_name": "email",
    }
    interface = Pages()
    interface.request(name)
    assert f"{name[0]}***@e***" in interface.client.get("/password-reset/confirm/").content.decode()


@pytest.mark.requirement("A10")
@pytest.mark.parametrize(
    ("name", "form"),
    [("+15555559999", r"\+\*{7}9999"), ("nobody", r"[a-z]\*\*\*@[a-z]\*\*\*")],
)
def test_a10_a_simulated_destination_has_cognitos_form_and_stays_the_same(
    people, settings, name, form
):
    """It follows the form of what was typed, and a second request returns the same."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "SHOW_DESTINATION": True}
    first, second = (
        REST().request(name).json()["code_delivery_details"]["destination"] for _ in range(2)
    )
    assert first == second
    assert re.fullmatch(form, first)


@pytest.mark.requirement("A1")
@every_interface
@pytest.mark.parametrize("name", REFUSED)
def test_a1_a_refused_user_is_sent_nothing(people, make_interface, name):
    """Although the answer is the same, nothing is sent."""
    before = len(people.emulator.outbox)
    make_interface().request(name)
    assert len(people.emulator.outbox) == before


@every_interface
@pytest.mark.parametrize("fault", [WafBlock(), Status(418, "teapot"), Timeout()], ids=repr)
def test_a_fault_says_the_same_for_everybody(people, make_interface, fault):
    """Errors in front of Cognito are shown in the same way for existing and missing users."""
    seen = []
    for name in ("alice", "nobody"):
        people.emulator.fail_next("ForgotPassword", fault)
        interface = make_interface()
        response = interface.request(name)
        assert interface.is_unavailable(response)
        seen.append(interface.seen(response, typed=name))
    assert seen[0] == seen[1]
