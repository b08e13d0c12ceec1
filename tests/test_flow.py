"""What happens at the two steps, whatever the interface: parameters, signals, time."""

from __future__ import annotations

import time

import pytest
from django.test import RequestFactory

from cognito_reset import signals
from cognito_reset.cognito.errors import Busy, CodeInvalid, Throttled
from cognito_reset.cognito.service import Delivery, get_service
from cognito_reset.resets.flow import ConfirmReset, RequestCode, problems
from cognito_reset.testing import ConnectRefused, Error, Timeout, Trickle
from tests.interfaces import INTERFACES, REST
from tests.people import NEW_PASSWORD
from tests.test_pages import with_settings

SIGNALS = {
    name: value for name, value in vars(signals).items() if name.startswith("password_reset_")
}


@pytest.fixture
def heard():
    """Every signal of the app's that was sent, as (name, arguments)."""
    found = []
    receivers = []
    for name, signal in SIGNALS.items():

        def receiver(name=name, **kwargs):
            found.append((name, kwargs))

        receivers.append((signal, receiver))
        signal.connect(receiver, weak=False)
    yield found
    for signal, receiver in receivers:
        signal.disconnect(receiver)


def summary(heard):
    return [(name, kw["interface"], kw["outcome"], kw["error_code"]) for name, kw in heard]


def test_e3_a_whole_reset_is_signalled(people, heard):
    """E3: requested and confirmed, with what Cognito called the requests."""
    interface = REST()
    interface.request("alice")
    interface.confirm("alice", people.emulator.outbox[0].code, NEW_PASSWORD)
    assert summary(heard) == [
        ("password_reset_requested", "rest", "requested", ""),
        ("password_reset_confirmed", "rest", "confirmed", ""),
    ]
    for _name, arguments in heard:
        assert arguments["username"] == "alice"
        assert arguments["pool"] == "default"
        assert arguments["request"].path.startswith("/api/password-reset/")
        assert arguments["aws_request_id"]
        assert NEW_PASSWORD not in str(arguments)
        assert people.emulator.outbox[0].code not in str(arguments)


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        (Error("UserNotFoundException"), "refused", "user_not_found"),
        (Error("CodeDeliveryFailureException"), "failed", "delivery_failed"),
        (ConnectRefused(), "failed", "unavailable"),
        (Timeout(), "unknown", "unavailable"),
    ],
)
@pytest.mark.parametrize("make_face", INTERFACES)
def test_e3_what_became_of_a_request_is_signalled(people, heard, make_face, fault, outcome, code):
    """E3: the site knows what the visitor must not."""
    people.emulator.fail_next("ForgotPassword", fault, times=2)
    interface = make_face()
    interface.request("alice")
    assert summary(heard) == [("password_reset_requested", interface.name, outcome, code)]


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        (Error("CodeMismatchException"), "refused", "code_invalid"),
        (Error("InvalidPasswordException"), "refused", "password_invalid"),
        (Error("ResourceNotFoundException"), "failed", "unavailable"),
        (Timeout(), "unknown", "outcome_unknown"),
    ],
)
def test_e3_a_failed_confirm_is_signalled(people, heard, fault, outcome, code):
    """E3: refused, failed and unknown are told apart."""
    people.emulator.fail_next("ConfirmForgotPassword", fault)
    REST().confirm("alice")
    assert summary(heard) == [("password_reset_failed", "rest", outcome, code)]


def test_e3_throttled_attempts_are_signalled(people, heard, settings):
    """E3: at both steps, as what they are."""
    with_settings(
        settings, LIMITS={"request": {"identifier": "1/h"}, "confirm": {"identifier": "1/h"}}
    )
    for _ in range(2):
        REST().request("alice")
        REST().confirm("alice")
    throttled = [(name, kw["error_code"]) for name, kw in heard if kw["outcome"] == "throttled"]
    assert throttled == [
        ("password_reset_requested", "throttled"),
        ("password_reset_failed", "throttled"),
    ]


def test_e3_a_failing_receiver_changes_nothing(people):
    """E3: a reset that was done is done, whatever a receiver thinks of it."""

    def receiver(**kwargs):
        raise RuntimeError("a receiver of the site's")

    for signal in SIGNALS.values():
        signal.connect(receiver)
    try:
        interface = REST()
        assert interface.request("alice").status_code == 202
        code = people.emulator.outbox[0].code
        assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 200
    finally:
        for signal in SIGNALS.values():
            signal.disconnect(receiver)


def test_the_sites_client_metadata_wins_over_a_callers(people, settings):
    """A caller's keys go along where they are named, and never over the site's."""
    with_settings(
        settings,
        CLIENT_METADATA=lambda request: {"language": request.headers["Accept-Language"]},
        FORWARD_CLIENT_METADATA=["campaign", "language"],
    )
    sent = {"campaign": "spring", "language": "evil", "other": "evil"}
    interface = REST()
    interface.client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ar"
    interface.request("alice", client_metadata=sent)
    interface.confirm("alice", client_metadata=sent)
    for _operation, body in people.emulator.calls:
        assert body["ClientMetadata"] == {"campaign": "spring", "language": "ar"}


def test_b17_the_servers_view_of_the_address_goes_along_where_it_is_on(people, settings):
    """B17: IpAddress is what the server saw, valid, and nothing where that can't be known."""
    with_settings(settings, FORWARD_IP_ADDRESS=True)
    interface = REST()
    interface.client.defaults["REMOTE_ADDR"] = "::ffff:192.0.2.7"
    interface.request("alice")
    interface.client.defaults["REMOTE_ADDR"] = ""
    interface.confirm("alice")
    first, second = (body for _operation, body in people.emulator.calls)
    assert first["UserContextData"] == {"IpAddress": "192.0.2.7"}
    assert "UserContextData" not in second


def test_e5_a_reset_leaves_mfa_as_it_is(people):
    """E5: who had a second factor still needs it, on the emulator as on AWS."""
    chosen = {"Enabled": True, "PreferredMfa": True}
    people.call("AdminSetUserMFAPreference", Username="alice", SoftwareTokenMfaSettings=chosen)
    people.forgot("alice")
    assert REST().confirm("alice", people.emulator.outbox[0].code).status_code == 200
    user = people.call("AdminGetUser", Username="alice")
    assert user["UserMFASettingList"] == ["SOFTWARE_TOKEN_MFA"]
    assert user["PreferredMfaSetting"] == "SOFTWARE_TOKEN_MFA"


def test_e5_the_channel_of_mfa_recovers_nothing(people):
    """E5: whose second factor is SMS gets no code by SMS, and the same answer."""
    messages = len(people.emulator.outbox)
    assert REST().request("bob").status_code == 202
    people.call("AdminSetUserMFAPreference", Username="bob", SMSMfaSettings={"Enabled": True})
    assert REST().request("bob").status_code == 202
    assert len(people.emulator.outbox) == messages + 1


def test_optional_members_may_be_null(people, settings):
    """A null member is the same as an absent one, as on AWS."""
    with_settings(settings, FORWARD_CLIENT_METADATA=["a"], FORWARD_ENCODED_DATA=True)
    nothing = {"client_metadata": None, "analytics_metadata": None, "user_context_data": None}
    assert REST().request("alice", **nothing).status_code == 202
    assert REST().request("alice", user_context_data={"encoded_data": None}).status_code == 202
    for _operation, body in people.emulator.calls:
        assert set(body) == {"ClientId", "SecretHash", "Username"}


def timed(send):
    start = time.monotonic()
    response = send()
    return response, time.monotonic() - start


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a7_every_answer_to_a_request_takes_the_uniform_time(people, settings, make_face):
    """A7: whoever asks waits as long, whether a code was sent, refused, or anything failed."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.15)
    for name in ("alice", "nobody", "erin"):
        _response, seconds = timed(lambda name=name: make_face().request(name))
        assert 0.15 <= seconds < 1.5
    people.emulator.fail_next("ForgotPassword", ConnectRefused(), times=2)
    interface = make_face()
    response, seconds = timed(lambda: interface.request("alice"))
    assert interface.is_unavailable(response)
    assert seconds >= 0.15


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a7_a_slow_call_goes_on_behind_the_neutral_answer(people, settings, heard, make_face):
    """A7: triggers may take 15 seconds; nobody waits for them, and the code still comes."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.1)
    people.emulator.fail_next("ForgotPassword", Trickle(2))
    response, seconds = timed(lambda: make_face().request("alice"))
    assert response.status_code == make_face.SENT
    assert seconds < 1.5
    assert summary(heard)[0][2] == "pending"
    get_service()._calls._executor.submit(lambda: None).result()


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a7_only_refusals_wait_at_the_confirm_step(people, settings, make_face):
    """A7: a floor under every refusal; whoever has the right code is not kept waiting."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=1)
    code = people.code("alice")
    for name in ("alice", "nobody"):
        response, seconds = timed(lambda name=name: make_face().confirm(name))
        assert response.status_code == 400
        assert seconds >= 1
    _response, seconds = timed(lambda: make_face().confirm("alice", code, NEW_PASSWORD))
    assert seconds < 1


@pytest.mark.parametrize("make_face", INTERFACES)
def test_what_no_call_follows_leaves_at_once(people, settings, monkeypatch, make_face):
    """400, 429 and a full bulkhead say nothing of an account, so they hold no worker."""
    limits = {"confirm": {"network": "1/h"}, "request": {"network": "1/h"}}
    with_settings(settings, LIMITS=limits)
    interface = make_face()
    interface.request()
    interface.confirm()
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=5)
    for step in (interface.request, interface.confirm):
        response, seconds = timed(step)
        assert interface.is_throttled(response)
        assert seconds < 2
        response, seconds = timed(lambda step=step: step(""))
        assert response.status_code == 400
        assert seconds < 2

    def busy(*args, **kwargs):
        raise Busy

    monkeypatch.setattr(get_service()._calls, "submit", busy)
    with_settings(settings, LIMITS=False)
    for step in (interface.request, interface.confirm):
        response, seconds = timed(step)
        assert interface.is_unavailable(response)
        assert seconds < 2
        assert interface.name == "aws" or response.headers["Retry-After"] == "5"


@pytest.mark.parametrize("make_face", INTERFACES)
@pytest.mark.parametrize("step", ["request", "confirm"])
def test_what_came_to_no_call_is_counted_for_none(people, settings, monkeypatch, make_face, step):
    """Who is told to try again in a moment, or does so by itself, must not run into a limit then."""
    limits = {"confirm": {"network": "1/h"}, "request": {"network": "1/h"}}
    with_settings(settings, LIMITS=limits)
    interface = make_face()
    operation = {"request": "ForgotPassword", "confirm": "ConfirmForgotPassword"}[step]
    people.emulator.fail_next(operation, ConnectRefused(), times=2)
    assert interface.is_unavailable(getattr(interface, step)("alice"))
    people.emulator.fail_next(operation, Error("ForbiddenException"))
    assert interface.is_unavailable(getattr(interface, step)("alice"))
    # That one was sent, and so it counts.
    assert interface.is_throttled(getattr(interface, step)("alice"))


def test_a_step_can_be_run_without_a_face(people):
    """A site's own view may run a step: it gets what the interfaces get."""
    request = RequestFactory().post("/")
    requested = RequestCode(request, pool=None, interface="rest").run({"username": " alice "})
    assert (requested.username, requested.delivery) == ("alice", None)
    step = ConfirmReset(request, pool="default", interface="rest")
    data = {"username": "alice", "confirmation_code": "000000", "password": NEW_PASSWORD}
    with pytest.raises(CodeInvalid) as caught:
        step.run(data)
    assert [vars(problem)["code"] for problem in problems(caught.value)] == ["code_invalid"]
    assert caught.value.__context__ is None


def test_a_throttled_error_carries_the_wait():
    """Limits say how long to wait, in whole seconds."""
    error = Throttled(retry_after=7)
    assert (error.retry_after, error.cool_down, error.aws_code) == (7, False, "")


def test_a7_a_deadline_does_not_slow_other_peoples_refusals(people, settings):
    """A7: only what looks alike has to take alike long."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.3, TOTAL_TIMEOUT_SECONDS=1.4)
    people.emulator.fail_next("ConfirmForgotPassword", Trickle(2))
    assert REST().confirm("alice").status_code == 502
    _response, seconds = timed(lambda: REST().confirm("bob"))
    assert seconds < 1.4


def test_a10_a_destination_in_clear_is_never_shown(people, settings, monkeypatch):
    """A10: some servers that speak Cognito's protocol don't mask it."""
    with_settings(settings, SHOW_DESTINATION=True)
    delivery = Delivery("alice.secret@example.com", "EMAIL", "email", "id")
    monkeypatch.setattr(type(get_service()), "request_code", lambda self, **kwargs: delivery)
    shown = REST().request("alice").json()["code_delivery_details"]["destination"]
    assert shown.endswith("***")
