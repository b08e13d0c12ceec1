"""The two steps of a reset, over all interfaces: parameters, signals, site code, time, concurrency."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connections
from django.http import Http404
from django.test import RequestFactory
from rest_framework.exceptions import ValidationError as DRFValidationError

from cognito_reset import signals
from cognito_reset.cognito.errors import CodeInvalid, OutcomeUnknown, Throttled
from cognito_reset.cognito.service import CognitoService, Delivery, get_service, wait_until_idle
from cognito_reset.models import ResetEvent
from cognito_reset.resets.flow import Attempt, Confirmed, confirm_reset, request_code
from cognito_reset.resets.problems import problems
from cognito_reset.secret import Secret
from cognito_reset.testing import ConnectRefused, Error, Timeout, Trickle, WafBlock
from tests.interfaces import AWS, INTERFACES, REST, Pages, with_settings
from tests.people import NEW_PASSWORD

OPERATIONS = {"request": "ForgotPassword", "confirm": "ConfirmForgotPassword"}
both_steps = pytest.mark.parametrize("step", OPERATIONS)
every_interface = pytest.mark.parametrize("make_interface", INTERFACES, ids=lambda i: i.name)

SIGNALS = {
    name: value for name, value in vars(signals).items() if name.startswith("password_reset_")
}


@pytest.fixture
def heard():
    """Return the app's signals that were sent, as (name, arguments)."""
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


@pytest.mark.requirement("E3")
def test_e3_a_whole_reset_is_signalled(people, heard):
    """Both steps send their signal, with Cognito's request ids."""
    interface = REST()
    interface.request("alice")
    interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
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
        assert people.emulator.outbox[-1].code not in str(arguments)


@pytest.mark.requirement("E3")
@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        (Error("UserNotFoundException"), "refused", "user_not_found"),
        (Error("CodeDeliveryFailureException"), "failed", "delivery_failed"),
        (Error("InvalidParameterException", "The message is empty."), "failed", "message_rejected"),
        (ConnectRefused(), "failed", "unavailable"),
        (Timeout(), "unknown", "maybe_sent"),
    ],
)
@every_interface
def test_e3_what_became_of_a_request_is_signalled(
    people, heard, make_interface, fault, outcome, code
):
    """The signal tells the site the outcome, which visitors must not learn."""
    people.emulator.fail_next("ForgotPassword", fault, times=2)
    interface = make_interface()
    interface.request("alice")
    assert summary(heard) == [("password_reset_failed", interface.name, outcome, code)]
    assert (heard[0][1]["step"], heard[0][1]["is_first"]) == ("request", True)


@pytest.mark.requirement("E3")
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
    """The signal tells refused, failed and unknown outcomes apart."""
    people.emulator.fail_next("ConfirmForgotPassword", fault)
    REST().confirm("alice")
    assert summary(heard) == [("password_reset_failed", "rest", outcome, code)]


@pytest.mark.requirement("E3")
@both_steps
def test_e3_throttled_attempts_are_signalled(people, heard, settings, step):
    """The signal tells the first refusal from those that follow it."""
    with_settings(settings, LIMITS={step: {"identifier": "1/h"}})
    for _ in range(3):
        getattr(REST(), step)("alice")
    assert [(name, kw["step"], kw["error_code"], kw["is_first"]) for name, kw in heard[1:]] == [
        ("password_reset_failed", step, "throttled", True),
        ("password_reset_failed", step, "throttled", False),
    ]


@pytest.mark.requirement("E3")
def test_e3_a_failing_receiver_changes_nothing(people):
    """A reset stays done if a receiver raises."""

    def receiver(**kwargs):
        raise RuntimeError("a receiver of the site's")

    for signal in SIGNALS.values():
        signal.connect(receiver)
    try:
        interface = REST()
        assert interface.request("alice").status_code == 202
        code = people.emulator.outbox[-1].code
        assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 200
    finally:
        for signal in SIGNALS.values():
            signal.disconnect(receiver)


def test_the_sites_client_metadata_wins_over_a_callers(people, settings):
    """A caller's keys are forwarded if the settings list them, and never replace the site's."""
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


@pytest.mark.requirement("B17")
def test_b17_the_servers_view_of_the_address_goes_along_where_it_is_on(people, settings):
    """IpAddress is the valid address that the server saw. It is left out if that is unknown."""
    with_settings(settings, FORWARD_IP_ADDRESS=True)
    interface = REST()
    interface.client.defaults["REMOTE_ADDR"] = "::ffff:192.0.2.7"
    interface.request("alice")
    interface.client.defaults["REMOTE_ADDR"] = ""
    interface.confirm("alice")
    first, second = (body for _operation, body in people.emulator.calls)
    assert first["UserContextData"] == {"IpAddress": "192.0.2.7"}
    assert "UserContextData" not in second


@pytest.mark.requirement("E5")
def test_e5_a_reset_leaves_mfa_as_it_is(people):
    """A user with a second factor still needs it, on the emulator as on AWS."""
    chosen = {"Enabled": True, "PreferredMfa": True}
    phone = [{"Name": "phone_number", "Value": "+15555550124"}]
    people.call("AdminUpdateUserAttributes", Username="alice", UserAttributes=phone)
    people.call("AdminSetUserMFAPreference", Username="alice", SMSMfaSettings=chosen)
    people.forgot("alice")
    assert REST().confirm("alice", people.emulator.outbox[-1].code).status_code == 200
    user = people.call("AdminGetUser", Username="alice")
    assert user["UserMFASettingList"] == ["SMS_MFA"]
    assert user["PreferredMfaSetting"] == "SMS_MFA"


@pytest.mark.requirement("E5")
def test_e5_the_channel_of_mfa_recovers_nothing(people):
    """A user whose second factor is SMS gets no code by SMS, but the usual answer."""
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


@pytest.mark.requirement("A7")
@every_interface
def test_a7_every_answer_to_a_request_takes_the_uniform_time(people, settings, make_interface):
    """
    Each request takes equally long, whether a code was sent, the user was refused, or the call
    failed.
    """
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.15)
    for name in ("alice", "nobody", "erin"):
        _response, seconds = timed(lambda name=name: make_interface().request(name))
        assert 0.15 <= seconds < 10
    people.emulator.fail_next("ForgotPassword", WafBlock())
    interface = make_interface()
    response, seconds = timed(lambda: interface.request("alice"))
    assert interface.is_unavailable(response)
    assert seconds >= 0.15


@pytest.mark.requirement("A7")
@every_interface
def test_a7_a_slow_call_goes_on_behind_the_neutral_answer(people, settings, heard, make_interface):
    """
    Lambda triggers may take 15 seconds. The answer doesn't wait for them, and the code still
    arrives.
    """
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.1)
    people.emulator.fail_next("ForgotPassword", Trickle(60))
    response, seconds = timed(lambda: make_interface().request("alice"))
    assert response.status_code == make_interface.SENT
    assert seconds < 10
    assert summary(heard)[0][2] == "pending"
    people.emulator.close()  # which sends the rest of the answer
    assert wait_until_idle(10)
    assert people.emulator.outbox


@pytest.mark.requirement("A7")
@every_interface
def test_a7_only_refusals_wait_at_the_confirm_step(people, settings, make_interface):
    """Every refusal takes at least the uniform time. A success is returned at once."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=1)
    code = people.code("alice")
    for name in ("alice", "nobody"):
        response, seconds = timed(lambda name=name: make_interface().confirm(name))
        assert response.status_code == 400
        assert seconds >= 1
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=5)
    _response, seconds = timed(lambda: make_interface().confirm("alice", code, NEW_PASSWORD))
    assert seconds < 5


@every_interface
@both_steps
def test_what_is_not_sent_is_answered_at_once(people, settings, make_interface, step):
    """Bad input, a reached limit and an unreachable Cognito reveal nothing about an account."""
    with_settings(settings, LIMITS={step: {"network": "1/h"}})
    interface = make_interface()
    send = getattr(interface, step)
    send()
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=5)
    response, seconds = timed(send)
    assert interface.is_throttled(response)
    assert seconds < 5
    response, seconds = timed(lambda: send(""))
    assert response.status_code == 400
    assert seconds < 5
    with_settings(settings, LIMITS=False)
    people.emulator.fail_next(OPERATIONS[step], ConnectRefused(), times=2)
    response, seconds = timed(send)
    assert interface.is_unavailable(response)
    assert seconds < 5


SENT = (
    Error("TooManyRequestsException"),
    Error("ForbiddenException"),
    Error("InternalErrorException"),
    Timeout(),
)


@every_interface
@both_steps
def test_only_what_was_not_sent_is_refunded(people, settings, make_interface, step):
    """Otherwise attempts would be unlimited while AWS limits the rate or a firewall refuses."""
    with_settings(settings, LIMITS={step: {"network": f"{len(SENT)}/h"}})
    interface, names = make_interface(), iter(map("user{}".format, range(9)))
    for _ in range(2):
        people.emulator.fail_next(OPERATIONS[step], ConnectRefused(), times=2)
        assert interface.is_unavailable(getattr(interface, step)(next(names)))
    for fault in SENT:
        people.emulator.fail_next(OPERATIONS[step], fault)
        assert not interface.is_throttled(getattr(interface, step)(next(names)))
    assert interface.is_throttled(getattr(interface, step)(next(names)))


@pytest.mark.requirement("A7")
def test_a7_a_deadline_does_not_slow_other_peoples_refusals(people, settings):
    """Only answers that look the same must take equally long."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.3, TOTAL_TIMEOUT_SECONDS=4)
    people.emulator.fail_next("ConfirmForgotPassword", Trickle(60))
    assert REST().confirm("alice").status_code == 502
    _response, seconds = timed(lambda: REST().confirm("bob"))
    assert seconds < 4


@pytest.mark.requirement("A10")
def test_a10_a_destination_in_clear_is_never_shown(people, settings, monkeypatch):
    """Some servers that speak Cognito's protocol don't mask it."""
    with_settings(settings, SHOW_DESTINATION=True)
    delivery = Delivery("alice.secret@example.com", "EMAIL", "email", "id")
    monkeypatch.setattr(type(get_service()), "request_code", lambda self, **kwargs: delivery)
    shown = REST().request("alice").json()["code_delivery_details"]["destination"]
    assert shown.endswith("***")


# The Python API


@pytest.mark.parametrize("mask", [str, Secret], ids=["plain", "masked"])
def test_a_site_may_reset_from_its_own_code(people, settings, heard, mask):
    """The steps work outside of any request, with the site's limits, signals and audit."""
    with_settings(settings, LIMITS={"request": {"identifier": "2/h", "site": "1000/h"}})
    result = request_code(Attempt("default"), {"username": " alice "})
    assert (result.username, result.delivery, result.is_repeat) == ("alice", None, False)
    code = mask(people.emulator.outbox[-1].code)
    data = {"username": "alice", "confirmation_code": code, "password": mask(NEW_PASSWORD)}
    assert confirm_reset(Attempt("default"), data) == Confirmed("alice")
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert confirm_reset(Attempt("default"), data) == Confirmed("alice", is_repeat=True)
    assert {(kw["interface"], kw["request"]) for _name, kw in heard} == {("python", None)}
    rows = ResetEvent.objects.values_list("interface", "outcome", "network")
    assert set(rows) == {("python", "requested", ""), ("python", "confirmed", "")}


@pytest.mark.parametrize("limits", [{"identifier": "1/h"}, {"identifier": None, "site": "1/5h"}])
def test_a_sites_own_code_is_limited(people, settings, limits):
    """The limits of identifiers and of the site hold without a request; there is no network."""
    with_settings(settings, LIMITS={"request": {"network": "1/h", **limits}})
    request_code(Attempt("default"), {"username": "alice"})
    with pytest.raises(Throttled) as caught:
        request_code(Attempt("default"), {"username": "alice"})
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 3500
    assert len(people.emulator.calls) == 1


def test_a_sites_own_code_gets_errors(people):
    """The errors have no traceback of inner frames, which would contain secrets."""
    data = {"username": "alice", "confirmation_code": "000000", "password": NEW_PASSWORD}
    with pytest.raises(CodeInvalid) as caught:
        confirm_reset(Attempt("default"), data)
    assert caught.value.__context__ is None
    with pytest.raises(DRFValidationError) as invalid:
        confirm_reset(Attempt("default"), {**data, "password": "short"})
    assert {problem.attr for problem in problems(invalid.value)} == {"password"}
    with pytest.raises(DRFValidationError):
        request_code(Attempt("default"), "alice")


def test_an_attempt_knows_its_pool(people, settings):
    """The URL, the resolver or the default determines the pool."""
    request = RequestFactory().post("/")
    assert Attempt.of(request, None, "rest") == Attempt("default", "rest", request)
    assert Attempt.of(request, "brand", "aws", "id") == Attempt("brand", "aws", request, "id")
    with pytest.raises(Http404):
        Attempt.of(request, "unknown", "rest")
    with_settings(settings, POOL_RESOLVER=lambda request: "brand")
    assert Attempt.of(request, None, "rest").pool == "brand"


# Code of the site's


class Slow:
    """A validator that counts how often it runs."""

    calls = 0

    def validate(self, password, user=None):
        Slow.calls += 1
        if "refuse" in password:
            raise ValidationError("Not this one.", "own")

    def get_help_text(self):
        return ""


@pytest.fixture
def slow(settings, monkeypatch):
    monkeypatch.setattr(Slow, "calls", 0)
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{__name__}.Slow"}]
    return Slow


@every_interface
def test_validators_run_as_often_as_the_limits_allow(people, settings, slow, make_interface):
    """Each run counts against the network, although a refused password isn't sent."""
    with_settings(settings, LIMITS={"confirm": {"identifier": "2/h", "network": "3/h"}})
    for number in range(8):
        make_interface().confirm(f"user{number % 4}", password=f"Battery-refuse-{number}")
    assert slow.calls == 3
    assert people.emulator.calls == []


@every_interface
def test_a_validators_refusal_costs_nobody_but_the_network(people, settings, slow, make_interface):
    """Passwords that the validators refuse don't use up a person's attempts."""
    with_settings(
        settings, LIMITS={"confirm": {"identifier": "1/h", "network": "9/h", "site": "1/h"}}
    )
    for number in range(4):
        response = make_interface().confirm("alice", password=f"Battery-refuse-{number}")
        assert response.status_code == 400
        assert "Not this one." in response.content.decode()
    assert make_interface().confirm("alice", people.code("alice")).status_code < 400


@every_interface
def test_no_validator_runs_if_a_rule_has_failed(people, slow, make_interface):
    """The pool's rules cost nothing, so they come first."""
    for broken in ({"password": "refuse"}, {"password": "Battery-refuse-1 "}, {"code": "-"}):
        assert make_interface().confirm("alice", **broken).status_code == 400
    assert slow.calls == 0


@every_interface
def test_the_hook_runs_as_often_as_the_limits_allow(people, settings, make_interface):
    """Its refusals count only against the client's network."""
    names = []

    def hook(request, *, username, pool):
        names.append(username)
        raise ValidationError("Show that you are a person.")

    limits = {"request": {"identifier": "1/h", "network": "3/h", "site": "1/h"}}
    with_settings(settings, LIMITS=limits, PRE_SEND_HOOK=hook)
    for _ in range(6):
        make_interface().request("alice")
    assert names == ["alice"] * 3
    with_settings(settings, PRE_SEND_HOOK=None)
    interface = make_interface()
    interface.client.defaults["REMOTE_ADDR"] = "192.0.2.9"
    assert interface.request("alice").status_code == interface.SENT


def fail(*args, **kwargs):
    raise RuntimeError


def test_site_code_that_is_misconfigured_is_reported_as_such(people, settings, caplog):
    with_settings(settings, CLIENT_METADATA={"a": 5})
    assert REST().request("alice").status_code == 503
    assert "misconfigured" in caplog.text
    assert "site_code_failed" not in caplog.text


class Broken(CognitoService):
    """A service class of the site that has a bug."""

    request_code = confirm = fail


def test_after_a_bug_the_outcome_is_unknown(people, settings):
    """The call may have been made, so it counts, and a repeat doesn't make it again."""
    with_settings(settings, LIMITS={}, SERVICE_CLASS=Broken)
    data = {"username": "alice", "confirmation_code": "000000", "password": NEW_PASSWORD}
    with pytest.raises(RuntimeError):
        confirm_reset(Attempt("default"), data)
    with pytest.raises(OutcomeUnknown):
        confirm_reset(Attempt("default"), data)


def test_a_pool_that_the_resolver_made_up_is_not_found(people, settings, caplog):
    """
    The alias may come from the visitor, so it can't forge a line of the log, and causes no CRITICAL
    line.
    """
    with_settings(settings, POOL_RESOLVER=lambda request: "a\nFORGED line")
    for make_interface in (REST, Pages):
        assert make_interface().request("alice").status_code == 404
    assert "FORGED" not in caplog.text
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_site_without_the_default_pool_is_misconfigured(people, settings, caplog):
    """Only the site can have chosen that pool."""
    with_settings(settings, POOLS={"brand": people.pool})
    assert REST().request("alice").status_code == 503
    assert "has no pool 'default'" in caplog.text


# Repeats and late answers


def test_a_success_that_is_proved_late_is_followed_up(transactional_db, people, settings, heard):
    """The person was told that the outcome is unknown; a repeat is told that the password was changed."""
    with_settings(settings, LIMITS={}, TOTAL_TIMEOUT_SECONDS=0.3)
    code = people.code("alice")
    people.emulator.fail_next("ConfirmForgotPassword", Trickle(1))
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    with pytest.raises(OutcomeUnknown):
        confirm_reset(Attempt("default"), data)
    assert wait_until_idle(10)
    assert [name for name, _ in heard] == ["password_reset_failed", "password_reset_confirmed"]
    assert heard[1][1]["aws_request_id"]
    assert set(ResetEvent.objects.values_list("outcome", flat=True)) == {"unknown", "confirmed"}
    assert confirm_reset(Attempt("default"), data) == Confirmed("alice", is_repeat=True)
    assert people.can_sign_in("alice", NEW_PASSWORD)


# Permits for calls


@contextmanager
def calls_held():
    """Let calls of Cognito wait until the event is set."""
    may_go_on = Event()
    events = get_service().client.meta.events

    def hold(**kwargs):
        may_go_on.wait(10)

    events.register_first("before-send.cognito-identity-provider", hold, unique_id="held")
    try:
        yield may_go_on
    finally:
        may_go_on.set()
        events.unregister("before-send.cognito-identity-provider", hold, unique_id="held")


def request_in_thread(interface, name="alice", **more):
    """Ask for a code, as a thread of the server does."""
    try:
        return interface.request(name, **more).status_code
    finally:
        connections.close_all()


@pytest.mark.requirement("A8")
def test_a8_of_two_rivals_for_one_permit_one_gets_it(transactional_db, people, settings):
    """The other one is refused at once, even if both come at the same moment."""
    with_settings(settings, MAX_CONCURRENT_CALLS=1, LIMITS={})
    with ThreadPoolExecutor(2) as pool, calls_held() as may_go_on:
        rivals = [pool.submit(request_in_thread, REST(), name) for name in ("alice", "bob")]
        done, waiting = wait(rivals, timeout=5, return_when=FIRST_COMPLETED)
        may_go_on.set()
        assert [rival.result() for rival in done] == [503]
        assert [rival.result() for rival in waiting] == [202]
    assert len(people.emulator.calls) == 1


@pytest.mark.requirement("A8")
@every_interface
@both_steps
def test_a8_whoever_finds_no_permit_is_refused_at_once(
    people, settings, make_interface, step, caplog
):
    """Nothing is counted, so that a person who tries again later meets no limit."""
    answers: list[Any] = []

    def meanwhile(request):
        if not answers:
            answers.append(None)
            with_settings(settings, UNIFORM_RESPONSE_SECONDS=5)
            answers[0] = timed(lambda: getattr(make_interface(), step)("bob"))
            with_settings(settings, UNIFORM_RESPONSE_SECONDS=0)
        return {}

    with_settings(
        settings,
        MAX_CONCURRENT_CALLS=1,
        CLIENT_METADATA=meanwhile,
        LIMITS={step: {"identifier": "1/h"}},
    )
    assert make_interface().request("alice").status_code == make_interface.SENT
    response, seconds = answers[0]
    assert make_interface().is_unavailable(response)
    assert seconds < 5
    assert "cognito_reset.busy" in caplog.text
    assert not make_interface().is_throttled(getattr(make_interface(), step)("bob"))


@pytest.mark.requirement("A8")
def test_a8_a_repeat_that_waits_holds_a_permit(transactional_db, people, settings):
    """So a client that sends one request many times can't hold all threads of the server."""
    with_settings(settings, MAX_CONCURRENT_CALLS=2, LIMITS={})
    with ThreadPoolExecutor(2) as pool, calls_held() as may_go_on:
        same = [pool.submit(request_in_thread, AWS(invocation_id="one")) for _ in range(2)]
        time.sleep(3)
        assert REST().request("bob").status_code == 503
        may_go_on.set()
        assert [each.result() for each in same] == [200, 200]
    assert len(people.emulator.calls) == 1


@pytest.mark.requirement("A8")
@every_interface
@both_steps
def test_a8_the_circuit_breaker_answers_for_a_cognito_that_hangs(
    people, settings, make_interface, step
):
    """After three calls without an answer, requests are refused at once."""
    for _ in range(3):
        people.emulator.fail_next(OPERATIONS[step], Timeout())
        getattr(make_interface(), step)("alice")
    assert wait_until_idle(10)
    people.emulator.calls.clear()
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=5)
    for send in (make_interface().request, make_interface().confirm):
        response, seconds = timed(lambda send=send: send("alice"))
        assert make_interface().is_unavailable(response)
        assert seconds < 5
    assert people.emulator.calls == []


@pytest.mark.requirement("A8")
@both_steps
@pytest.mark.parametrize("code", ["TooManyRequestsException", "ResourceNotFoundException"])
def test_a8_no_answer_below_500_opens_the_circuit_breaker(people, step, code):
    """Cognito's errors are answers, so nobody can open the breaker by causing errors."""
    for _ in range(5):
        people.emulator.fail_next(OPERATIONS[step], Error(code))
        getattr(REST(), step)("alice")
    assert REST().request("alice").status_code == 202
