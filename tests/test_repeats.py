"""A repeated request gets the answer that the first one had: no second call, and no use of a limit."""

from __future__ import annotations

import threading
import time
from functools import partial
from uuid import uuid4

import pytest
from botocore.endpoint import DEFAULT_TIMEOUT
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

from cognito_reset.cognito.errors import (
    CodeInvalid,
    MaybeSent,
    OutcomeUnknown,
    PasswordCompromised,
    PasswordInvalid,
    PasswordReused,
    Unavailable,
)
from cognito_reset.cognito.service import CognitoService, wait_until_idle
from cognito_reset.models import LedgerSlot, ResetEvent
from cognito_reset.resets.ratelimits import REPEAT_SECONDS, reserve
from cognito_reset.resets.reservations import ANSWERS, Reservation
from cognito_reset.resets.stores import CacheStore, DatabaseStore, Slot, use_store
from cognito_reset.secret import Secret
from cognito_reset.signals import SIGNED_OUT, password_reset_confirmed
from cognito_reset.testing import ConnectRefused, Error, Junk, Timeout, Trickle
from tests.interfaces import AWS, INTERFACES, REST, Pages
from tests.people import NEW_PASSWORD
from tests.test_ratelimits import Rival, keep

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.fixture
def configure(settings):
    """Sets keys of COGNITO_RESET. The limits are the defaults, in a cache of this test's own."""

    def configure(**keys):
        settings.COGNITO_RESET = {**settings.COGNITO_RESET, **keys}

    place = {"BACKEND": LOCMEM, "LOCATION": str(uuid4())}
    settings.CACHES = {**settings.CACHES, "limits": place}
    configure(LIMITS={}, LIMITS_CACHE="limits")
    return configure


@pytest.fixture(params=["database", "cache"])
def limited(request, people, configure):
    """Runs a test once on each kind of store."""
    configure(LIMITS_CACHE="limits" if request.param == "cache" else None)
    return people


@pytest.fixture
def in_cache(people, configure, settings):
    """
    Store sessions in a cache, because threads that write to SQLite in memory at once find it
    locked.
    """
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    return people


class NoSecretKey:
    """A class outside of the test, whose source contains secrets that a report would quote."""

    @property
    def SECRET_KEY(self):
        raise ImproperlyConfigured("The SECRET_KEY setting must not be empty.")


class Clock:
    """A clock that runs on as usual and can be moved forward. sleep() only moves it."""

    def __init__(self, monkeypatch):
        self.shift, self.slept = 0.0, []
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.shift)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.shift += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def invoke(name="alice", id="1", header="amz-sdk-invocation-id", **more):
    """Send ForgotPassword as an SDK does that repeats its requests by itself."""
    headers = {header: id} if id else {}
    return AWS().send("", {"username": name, **more}, **headers)


def plain(response):
    headers = dict(response.headers.items())
    headers.pop("x-amzn-RequestId", None)
    headers.pop("Expires")
    return response.status_code, response.content, headers


# The request step


@pytest.mark.requirement("A5")
def test_a_repeat_is_recognised_by_the_older_name_of_the_header(limited):
    """aws-sdk-php (Aws\\Middleware::invocationId) and aws-sdk-android (AmazonHttpClient) have that name."""
    answers = [invoke(id="7", header="aws-sdk-invocation-id") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(limited.emulator.calls) == 1


@pytest.mark.requirement("A5")
@pytest.mark.parametrize("fault", [None, Error("TooManyRequestsException")])
@pytest.mark.parametrize("name", ["alice", "nobody", "erin", "limited"])
def test_a_repeat_with_the_same_id_gets_the_first_answer(limited, name, fault):
    """
    The repeat makes no call. This holds within the cool-down, and whatever state the account is in.
    """
    if fault:
        limited.emulator.fail_next("ForgotPassword", fault)
    first, *repeats = [invoke(name) for _ in range(3)]
    assert first.status_code == 200
    assert [plain(repeat) for repeat in repeats] == [plain(first)] * 2
    assert len(limited.emulator.calls) == 1
    assert ResetEvent.objects.count() == 1


@pytest.mark.parametrize("other", [{"id": "2"}, {"id": ""}, {"client_metadata": {"a": "b"}}])
def test_another_request_is_no_repeat(limited, other):
    """
    A request with another id, without an id, or with another body is counted, and the cool-down
    refuses it.
    """
    assert invoke().status_code == 200
    assert AWS().is_throttled(invoke(**other))


def test_without_an_id_the_request_step_never_repeats(limited):
    """
    The app can't tell a repeat from a request for another code. REST returns 429, and the pages
    show the next page.
    """
    assert invoke(id="").status_code == 200
    assert REST().request("alice").status_code == 429
    page = Pages().request("alice")
    assert (page.status_code, page.url) == (302, "/password-reset/confirm/")
    assert len(limited.emulator.calls) == 1


def test_an_id_stands_for_a_request_only_with_its_body(limited):
    """
    Somebody who knows or guesses another client's id learns nothing about that client's request.
    """
    assert invoke("alice", id="same").status_code == 200
    assert invoke("bob", id="same").status_code == 200
    assert [body["Username"] for _, body in limited.emulator.calls] == ["alice", "bob"]


def test_a_repeat_is_not_asked_for_its_captcha_again(limited, configure):
    """
    A CAPTCHA token can be used only once, so the hook runs for a request but not for its repeats.
    """
    tokens = ["token"]
    configure(PRE_SEND_HOOK=lambda request, **values: tokens.pop())
    assert [invoke().status_code, invoke().status_code] == [200, 200]
    assert tokens == []


def test_an_unknown_outcome_is_repeated_too(limited):
    """The code may have been sent, and a second call would send another one."""
    limited.emulator.fail_next("ForgotPassword", Timeout())
    first, second = invoke(), invoke()
    assert plain(first) == plain(second)
    assert first.headers["x-amzn-ErrorType"] == "InternalErrorException"
    assert (first.status_code, len(limited.emulator.calls)) == (400, 1)


# The confirm step


@pytest.mark.parametrize("limits", [{}, False])
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_done_reset_that_is_sent_again_is_done(limited, configure, make_interface, limits):
    """
    Cognito would refuse the used code, so it isn't called. This holds with and without limits.
    """
    configure(LIMITS=limits)
    heard = []
    receiver = lambda **kwargs: heard.append(kwargs)  # noqa: E731
    code = limited.code("alice")
    limited.emulator.calls.clear()
    password_reset_confirmed.connect(receiver)
    try:
        for _ in range(8):  # more than the limit
            interface = make_interface()
            response = interface.confirm("alice", code, NEW_PASSWORD)
            assert response.status_code == interface.DONE
    finally:
        password_reset_confirmed.disconnect(receiver)
    assert len(limited.emulator.calls) == len(heard) == 1
    assert limited.can_sign_in("alice", NEW_PASSWORD)


def test_a_repeat_may_come_over_another_interface(limited):
    """
    If an SDK's answer got lost and the person tries the page, the page shows that the reset is
    done.
    """
    code = limited.code("alice")
    assert AWS().confirm("alice", code, NEW_PASSWORD).status_code == 200
    pages = Pages()
    page = pages.confirm("alice", code, NEW_PASSWORD)
    assert (page.status_code, page.url) == (302, "/password-reset/done/")
    assert pages.client.get(page.url).context["outcome"] == "confirmed"


@pytest.mark.parametrize("make_interface", INTERFACES)
@pytest.mark.parametrize(
    "fault",
    [
        Error("CodeMismatchException"),
        Error("InvalidPasswordException"),
        Error("InvalidPasswordException", "Provided password cannot be used for security reasons."),
        Error("PasswordHistoryPolicyViolationException"),
        Error("InternalErrorException"),
        Junk(""),
    ],
    ids=repr,
)
def test_an_answer_that_followed_a_call_is_repeated(limited, make_interface, fault):
    """The bytes are the same, and no attempt is counted by the app or by Cognito."""
    limited.emulator.fail_next("ConfirmForgotPassword", fault)
    answers = []
    for _ in range(8):
        interface = make_interface()
        answers.append(interface.seen(interface.confirm("alice", "123456")))
    assert len(set(answers)) == 1
    assert len(limited.emulator.calls) == 1


@pytest.mark.parametrize(
    "change", [{"username": "bob"}, {"code": "123457"}, {"password": "Other-pass-3"}]
)
def test_another_name_code_or_password_is_no_repeat(limited, change):
    """A request that differs in one of the three is a new attempt."""
    values = {"username": "alice", "code": "123456", "password": "Battery-staple-2"}
    for sent in (values, {**values, **change}):
        assert REST().confirm(**sent).status_code == 400
    assert len(limited.emulator.calls) == 2


def test_the_same_values_in_two_pools_are_two_attempts(limited, configure):
    configure(POOLS={"default": limited.pool, "brand": limited.pool})
    data = {"username": "alice", "confirmation_code": "123456", "password": NEW_PASSWORD}
    for prefix in ("", "/brand"):
        Pages().client.post(f"{prefix}/password-reset/confirm/", data)
    assert len(limited.emulator.calls) == 2


@pytest.mark.parametrize("make_interface", INTERFACES)
@pytest.mark.parametrize(
    ("fault", "times"),  # a refused connection is tried once more at once
    [
        (ConnectRefused(), 2),
        (Error("TooManyRequestsException"), 1),
        (Error("ForbiddenException"), 1),
    ],
)
def test_what_was_not_done_may_be_tried_again(limited, make_interface, fault, times):
    """503 is never repeated: the next attempt is carried out."""
    code = limited.code("alice")
    limited.emulator.fail_next("ConfirmForgotPassword", fault, times=times)
    interface = make_interface()
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code != interface.DONE
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == interface.DONE


def test_a_refusal_by_the_limits_is_not_kept(limited, configure):
    """The same request is carried out when the limits allow it."""
    configure(LIMITS={"confirm": {"identifier": "1/h"}})
    code = limited.code("alice")
    assert REST().confirm("alice").status_code == 400
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 429
    configure(LIMITS=False)
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200


def fail(request):
    raise RuntimeError("a bug of the site's")


@pytest.mark.parametrize("metadata", ["no.such", fail])
def test_a_mistake_of_the_site_before_the_call_is_not_kept(limited, configure, metadata):
    """When the operators have fixed it, the same request is carried out."""
    code = limited.code("alice")
    configure(CLIENT_METADATA=metadata)
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 503
    configure(CLIENT_METADATA={})
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200


class Broken(CognitoService):
    """A site's own service with a bug after the call."""

    def confirm(self, **kwargs):
        super().confirm(**kwargs)
        raise RuntimeError("a bug of the site's")


def test_after_a_bug_behind_the_call_the_outcome_is_unknown(limited, configure):
    """The call was made: a repeat must not say that the code is wrong."""
    code = limited.code("alice")
    limited.emulator.calls.clear()
    configure(SERVICE_CLASS=Broken)
    interface = REST()
    interface.client.raise_request_exception = False
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 500
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 502
    assert len(limited.emulator.calls) == 1


# For how long, and how often


def test_an_answer_is_kept_longer_than_sdks_wait_for_one():
    """botocore waits a minute for each attempt, makes up to five, and pauses before each."""
    assert 4 * DEFAULT_TIMEOUT + 30 <= REPEAT_SECONDS


def test_an_answer_is_kept_for_its_time(limited, clock):
    """It is kept for five minutes after the answer. Then the same values are a new attempt."""
    for seconds, calls in ((0, 1), (REPEAT_SECONDS - 1, 1), (2, 2)):
        clock.shift += seconds
        assert REST().confirm("alice", "123456").status_code == 400
        assert len(limited.emulator.calls) == calls


@pytest.mark.parametrize("rate", ["7/h", "1000/h", "3/s", None])
def test_whatever_the_limits_are_a_repeat_is_known(limited, configure, clock, rate):
    """This holds if the identifier has many slots, no slots, or slots that have expired."""
    configure(LIMITS={"confirm": {"identifier": rate, "network": "1/h"}})
    code = limited.code("alice")
    for seconds in (0, 0, 61, REPEAT_SECONDS - 62):
        clock.shift += seconds
        assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    assert REST().confirm("alice").status_code == 429


def test_nobody_can_try_passwords_with_a_used_code(limited, configure, clock):
    """Refused attempts are compared ten times in five minutes, and no more."""
    configure(LIMITS={"confirm": {"identifier": "1/h"}})
    code = limited.code("alice")

    def confirm(password=NEW_PASSWORD):
        return REST().confirm("alice", code, password).status_code

    assert [confirm(), confirm()] == [200, 200]  # the second one has lost its answer
    assert [confirm(f"Battery-staple-{number}") for number in range(10, 18)] == [429] * 8
    assert [confirm(), confirm()] == [200, 429]
    clock.shift += 299
    assert confirm() == 429


@pytest.mark.requirement("B2")
def test_attempts_count_while_aws_limits_the_rate(limited):
    """
    SDKs repeat such requests by themselves, and attackers may. Only requests that weren't sent
    don't count.
    """
    error = Error("TooManyRequestsException")
    limited.emulator.fail_next("ConfirmForgotPassword", error, times=80)
    answers = [AWS().confirm("alice", "123456").headers["x-amzn-ErrorType"] for _ in range(80)]
    assert answers == ["TooManyRequestsException"] * 5 + ["LimitExceededException"] * 75
    assert len(limited.emulator.calls) == 5


# Attempts that are under way


def both(first, second, started):
    """
    Run ``second`` while ``first`` is running. Return both answers, and the times at which they
    came.
    """
    ended = []

    def run(name, send):
        answer = send()
        ended.append((name, answer, time.monotonic()))
        for opened in connections.all(initialized_only=True):
            BaseDatabaseWrapper.close(opened)  # SQLite's own leaves one in memory open

    threads = [threading.Thread(target=run, args=("first", first))]
    threads[0].start()
    assert started.wait(5)
    threads.append(threading.Thread(target=run, args=("second", second)))
    threads[1].start()
    for thread in threads:
        thread.join(20)
    return ended


@pytest.fixture
def slow(in_cache, configure):
    """Let the site's part of a request take half a second. The event tells that it has begun."""
    started = threading.Event()

    def metadata(request):
        started.set()
        time.sleep(0.5)
        return {}

    configure(CLIENT_METADATA=metadata)
    return started


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_repeat_waits_for_the_answer_of_one_under_way(in_cache, slow, make_interface):
    """It makes no call of its own."""
    code = in_cache.code("alice")
    in_cache.emulator.calls.clear()

    def confirm():
        return make_interface().confirm("alice", code, NEW_PASSWORD)

    begun = time.monotonic()
    ended = both(confirm, confirm, slow)
    assert [answer.status_code for _, answer, _ in ended] == [make_interface.DONE] * 2
    assert min(end for _, _, end in ended) >= begun + 0.5
    assert len(in_cache.emulator.calls) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_done_reset_is_done_while_the_sites_receivers_run(in_cache, make_interface):
    """A mail server that hangs delays the first answer, and no other."""
    code = in_cache.code("alice")
    started, heard = threading.Event(), threading.Event()

    def follow_up(**_):
        started.set()
        heard.wait(10)

    def confirm():
        return make_interface().confirm("alice", code, NEW_PASSWORD)

    def again():
        response = confirm()
        heard.set()
        return response

    password_reset_confirmed.connect(follow_up)
    try:
        ended = both(confirm, again, started)
    finally:
        password_reset_confirmed.disconnect(follow_up)
    assert [name for name, *_ in ended] == ["second", "first"]
    assert [answer.status_code for _, answer, _ in ended] == [make_interface.DONE] * 2


@pytest.fixture
def signs_out(configure):
    """What Cognito says of the person's other sessions, after half a second. It may be changed."""
    begun, answers = threading.Event(), ["request-id"]

    class Service(CognitoService):
        def sign_out_everywhere(self, **_):
            begun.set()
            time.sleep(0.5)
            return answers[0]

    configure(SIGN_OUT_EVERYWHERE=True, SERVICE_CLASS=Service)
    return begun, answers


def outcome(response, pages):
    """Return what the page after a confirmation shows: the outcome, and the note."""
    assert response.url == "/password-reset/done/"
    page = pages.client.get(response.url)
    outcome, note = page.context["outcome"], page.context["note"]
    assert (b"Your other devices will ask" in page.content) is (note == "signed_out")
    return outcome, note


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("proof", "note"), [("request-id", "signed_out"), (None, "")])
def test_after_a_double_click_the_page_tells_that_other_devices_were_signed_out(
    in_cache, signs_out, monkeypatch, proof, note
):
    """The browser shows the answer to the second request, which waits for the end of the first one."""
    monkeypatch.setattr("cognito_reset.resets.ratelimits.FOLLOW_UP_SECONDS", 20)
    begun, answers = signs_out
    answers[0] = proof
    code = in_cache.code("alice")
    in_cache.emulator.calls.clear()

    def confirm():
        pages = Pages()
        return outcome(pages.confirm("alice", code, NEW_PASSWORD), pages)

    ended = both(confirm, confirm, begun)
    assert [answer for _, answer, _ in ended] == [("confirmed", note)] * 2
    assert ended[1][2] - ended[0][2] < 15  # the second waits for that, and no longer
    assert [name for name, _ in in_cache.emulator.calls] == ["ConfirmForgotPassword"]


@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_later_repeat_still_knows_that_other_devices_were_signed_out(
    limited, signs_out, make_interface
):
    """The first request may have come over any interface."""
    code = limited.code("alice")
    first = make_interface()
    assert first.confirm("alice", code, NEW_PASSWORD).status_code == first.DONE
    pages = Pages()
    assert outcome(pages.confirm("alice", code, NEW_PASSWORD), pages) == ("confirmed", "signed_out")


def test_a_repeat_knows_that_a_receiver_ended_the_sessions(limited):
    """Without SIGN_OUT_EVERYWHERE, a repeat doesn't wait, but one after the receiver shows the sign-out."""
    code = limited.code("alice")

    def receiver(**_):
        return SIGNED_OUT

    password_reset_confirmed.connect(receiver)
    try:
        assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    finally:
        password_reset_confirmed.disconnect(receiver)
    pages = Pages()
    assert outcome(pages.confirm("alice", code, NEW_PASSWORD), pages) == ("confirmed", "signed_out")


def test_a_request_that_died_while_it_signed_out_is_confirmed(
    limited, configure, clock, monkeypatch
):
    """The success is stored before anything else happens. Repeats wait two seconds, and hold a permit no longer."""
    configure(SIGN_OUT_EVERYWHERE=True)
    code = limited.code("alice")
    with monkeypatch.context() as patch:
        patch.setattr(Reservation, "conclude", lambda *_, **__: None)
        assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    clock.slept.clear()
    begin = time.time() - clock.shift
    monkeypatch.setattr(time, "time", lambda: begin + clock.shift)  # so that only sleep() moves it
    for _ in range(2):
        pages = Pages()
        assert outcome(pages.confirm("alice", code, NEW_PASSWORD), pages) == ("confirmed", "")
        assert sum(clock.slept) == pytest.approx(2, abs=0.3)
        clock.slept.clear()


@pytest.mark.django_db(transaction=True)
def test_a_late_success_tells_repeats_of_the_sign_out_too(in_cache, signs_out, configure):
    """The first answer was "unknown", but then Cognito answered, and the sessions were ended."""
    configure(TOTAL_TIMEOUT_SECONDS=0.3)
    code = in_cache.code("alice")
    in_cache.emulator.fail_next("ConfirmForgotPassword", Trickle(1))
    pages = Pages()
    assert outcome(pages.confirm("alice", code, NEW_PASSWORD), pages) == ("unknown", "")
    assert wait_until_idle(10)
    assert outcome(pages.confirm("alice", code, NEW_PASSWORD), pages) == ("confirmed", "signed_out")


@pytest.mark.django_db(transaction=True)
def test_a_repeat_of_one_that_was_released_is_carried_out(in_cache, slow):
    """
    The first attempt couldn't reach Cognito and was refunded, so the one that waited for it is
    carried out.
    """
    in_cache.emulator.fail_next("ForgotPassword", ConnectRefused(), times=2)
    ended = {name: answer for name, answer, _ in both(invoke, invoke, slow)}
    assert [ended[name].status_code for name in ("first", "second")] == [500, 200]


@pytest.mark.requirement("A7")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["request", "confirm"])
def test_a_repeat_takes_the_uniform_time(in_cache, configure, step):
    """Otherwise its duration would reveal when Cognito answered."""
    started = threading.Event()

    def metadata(request):
        started.set()
        return {}

    def send():
        return invoke() if step == "request" else AWS().confirm("alice", "123456")

    configure(UNIFORM_RESPONSE_SECONDS=0.6, CLIENT_METADATA=metadata)
    begun = time.monotonic()
    ended = both(send, send, started)
    assert len({answer.content for _, answer, _ in ended}) == 1
    assert min(end for _, _, end in ended) >= begun + 0.6
    assert len(in_cache.emulator.calls) == 1


@pytest.fixture
def dead(limited, configure, monkeypatch):
    """An attempt whose process died before it could keep the answer. Repeats give it up after 6 s."""
    configure(TOTAL_TIMEOUT_SECONDS=4)

    def begin():
        with monkeypatch.context() as patch:
            for kind in (CacheStore, DatabaseStore):
                patch.setattr(kind, "keep", lambda *_: None)
            assert REST().confirm("alice", "123456", NEW_PASSWORD).status_code == 400
        limited.emulator.calls.clear()

    return begin


@pytest.mark.parametrize("make_interface", INTERFACES)
def test_the_outcome_of_one_that_never_ended_is_unknown(limited, dead, clock, make_interface):
    """
    The call may have been made, so it isn't repeated. The wait is counted from the start of the
    first attempt.
    """
    dead()
    clock.shift += 3
    interface = make_interface()
    response = interface.confirm("alice", "123456", NEW_PASSWORD)
    assert limited.emulator.calls == []
    assert 1 <= sum(clock.slept) < 4
    if make_interface is Pages:
        assert response.url == "/password-reset/done/"
        assert interface.client.get(response.url).context["outcome"] == "unknown"
    elif make_interface is REST:
        assert response.status_code == 502
    else:
        assert response.headers["x-amzn-ErrorType"] == "InternalErrorException"
        assert response.status_code == 400


def test_a_clock_that_is_set_back_prolongs_no_wait(limited, dead, clock):
    """
    In a database, an attempt that was stored by a clock that was ahead counts as ended, and the
    next one is carried out.
    """
    clock.shift = 4 * 3600
    dead()
    if "limits" in caches.settings:  # a cache's own clock isn't set back
        caches["limits"]._expire_info = dict.fromkeys(caches["limits"]._expire_info, 2**40)
    clock.shift = 0
    assert REST().confirm("alice", "123456", NEW_PASSWORD).status_code in (400, 502)
    assert sum(clock.slept) < 7


@pytest.mark.requirement("A8")
def test_a_repeat_that_waits_holds_a_permit(limited, configure, dead, monkeypatch):
    """Repeats use up no limit, so the permits for calls bound them."""
    configure(MAX_CONCURRENT_CALLS=1)
    dead()
    statuses, clock = [], Clock(monkeypatch)
    sleep = clock.sleep

    def meanwhile(seconds):
        monkeypatch.setattr(time, "sleep", sleep)
        statuses.append(REST().confirm("bob").status_code)

    monkeypatch.setattr(time, "sleep", meanwhile)
    assert REST().confirm("alice", "123456", NEW_PASSWORD).status_code == 502
    assert statuses == [503]


# In the ledger


def begin(word="a", step="confirm", username="alice"):
    return reserve(
        step, pool="default", username=username, networks=["192.0.2.1/32"], request_parts=[word]
    )


@pytest.mark.parametrize("error", dict.fromkeys(ANSWERS.values()), ids=str)
@pytest.mark.parametrize("limits", [{}, False])
def test_every_kind_of_answer_is_kept(limited, configure, error, limits):
    configure(LIMITS=limits)
    first = begin()
    first.commit()
    first.settle(error(sent=True) if error else None)
    repeat = begin()
    assert repeat.is_repeat
    if error:
        with pytest.raises(error) as caught:
            repeat.raise_answer()
        assert caught.value.sent
    else:
        repeat.raise_answer()
    assert not begin("b").is_repeat


def test_the_numbers_of_answers_never_change(limited):
    """Two versions of the app may share a store. An answer that this one doesn't know is unknown."""
    assert {
        1: None,
        2: CodeInvalid,
        3: PasswordInvalid,
        4: PasswordReused,
        5: PasswordCompromised,
        6: OutcomeUnknown,
        7: MaybeSent,
        8: None,
        9: None,
    } == ANSWERS
    for step, error in (("request", MaybeSent), ("confirm", OutcomeUnknown)):
        slot = begin(step=step).slots[0]
        newer = Slot.taken(slot.bucket, slot.number, int(time.time() * 1000))
        use_store(partial(keep, slot=newer, answer=99))
        assert begin(step=step).answer is error


def test_an_attempt_that_ends_early_is_settled(limited):
    """
    An attempt that ends before the call is refunded. After the call, the outcome is unknown until a
    late answer comes.
    """
    with pytest.raises(ZeroDivisionError), begin():
        1 / 0  # noqa: B018
    with begin() as reservation:
        assert not reservation.is_repeat
        reservation.commit()
    assert begin().answer is OutcomeUnknown
    reservation.settle(None)
    assert begin().is_repeat
    assert begin().answer is None
    with begin(step="request") as reservation:
        reservation.commit()
    assert begin(step="request").answer is MaybeSent


@pytest.mark.parametrize("limit", [1, 2])
def test_of_two_that_begin_at_once_one_waits(limited, configure, clock, monkeypatch, limit):
    """
    The second attempt begins after the first has read the slots and before it takes one. This holds
    even if that is the limit's last slot.
    """
    configure(LIMITS={"confirm": {"identifier": f"{limit}/h"}})
    firsts = []
    Rival(monkeypatch, lambda: firsts.append(begin()))

    def answer(seconds):
        firsts[0].commit()
        firsts[0].settle(CodeInvalid(sent=True))

    monkeypatch.setattr(time, "sleep", answer)
    second = begin()
    assert (second.is_repeat, second.answer) == (True, CodeInvalid)
    assert len(firsts) == 1


def test_one_that_was_released_while_another_waits_is_carried_out_once(limited, clock, monkeypatch):
    first = begin()
    first.commit()
    monkeypatch.setattr(time, "sleep", lambda seconds: first.settle(Unavailable()))
    second = begin()
    assert not second.is_repeat
    assert second.slots


@pytest.mark.requirement("H8")
def test_no_secret_is_kept(limited):
    """The key is a hash, and the value is a number and a time."""
    invoke("alice@example.com", id="an-id")
    REST().confirm("alice@example.com", "739184", "Canary-passw0rd-kWq")
    kept = repr(list(LedgerSlot.objects.values()))
    kept += repr(getattr(caches["limits"], "_cache", ""))
    assert "{cognito_reset}:confirm:repeat:300:" in kept
    assert "{cognito_reset}:request:repeat:300:" in kept
    for canary in ("alice", "example.com", "739184", "Canary", "an-id"):
        assert canary not in kept


def test_no_cache_keeps_an_answer_for_longer(in_cache):
    """A cache isn't purged, so its entries expire by themselves."""
    REST().confirm("alice", "123456")
    ends = {key: end for key, end in caches["limits"]._expire_info.items() if ":repeat:" in key}
    assert len(ends) == 1
    assert all(REPEAT_SECONDS - 30 < end - time.time() <= REPEAT_SECONDS for end in ends.values())


def test_another_secret_key_is_another_hash(limited, settings):
    """Without the secret key, a reader of the store can't verify guesses."""
    keys = set()
    for secret in ("a" * 50, "b" * 50):
        settings.SECRET_KEY = secret
        keys |= {begin(step=step).slots[0].bucket.key for step in ("request", "confirm")}
    assert len(keys) == 4


@pytest.mark.requirement("H1")
def test_no_report_shows_the_secrets_of_a_request(limited, monkeypatch):
    """No frame of the ledger has them, whichever operation fails."""
    parts = ("alice", Secret("739184"), Secret("Canary-passw0rd-kWq"))
    with monkeypatch.context() as patch:
        patch.setattr("django.utils.crypto.settings", NoSecretKey())
        with pytest.raises(ImproperlyConfigured) as caught:
            reserve("confirm", pool="default", username="alice", request_parts=parts)
    below = caught.tb.tb_next  # this test's own source has them
    error = caught.value.with_traceback(below)
    reporter = ExceptionReporter(RequestFactory().post("/"), type(error), error, below)
    shown = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "salted_hmac" in shown
    assert "739184" not in shown
    assert "Canary" not in shown
