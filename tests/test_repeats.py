"""A repeated request gets the answer that it has had: no call, no limit spent, nothing in clear."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest
from botocore.endpoint import DEFAULT_TIMEOUT
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.views.debug import ExceptionReporter

from cognito_reset.cognito.errors import (
    CodeInvalid,
    MaybeSent,
    OutcomeUnknown,
    PasswordInvalid,
    Throttled,
)
from cognito_reset.cognito.service import CognitoService
from cognito_reset.models import LedgerSlot, ResetEvent
from cognito_reset.resets import flow as steps
from cognito_reset.resets import replays
from cognito_reset.resets import stores as slots
from cognito_reset.resets.replays import ANSWERS, LOOKS, SECONDS_KEPT, Answer, Replay
from cognito_reset.signals import password_reset_confirmed
from cognito_reset.testing import ConnectRefused, Error, Junk, Timeout
from tests.interfaces import AWS, INTERFACES, REST, Pages
from tests.people import NEW_PASSWORD
from tests.test_pages import with_settings

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.fixture(params=["database", "cache"])
def limited(request, people, settings):
    """The defaults' limits, in each kind of store."""
    settings.CACHES = {
        **settings.CACHES,
        "limits": {"BACKEND": LOCMEM, "LOCATION": str(uuid4())},
    }
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits" if request.param == "cache" else None)
    return people


@pytest.fixture
def in_cache(people, settings):
    """
    A store that threads of one test share, and sessions, too: two that write to SQLite's memory at
    once find it locked.
    """
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.CACHES = {**settings.CACHES, "limits": {"BACKEND": LOCMEM, "LOCATION": str(uuid4())}}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits")
    return people


@pytest.fixture
def clock(monkeypatch):
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


class NoSecretKey:
    """Far from the test that has secrets in its source, which a report quotes."""

    @property
    def SECRET_KEY(self):
        raise ImproperlyConfigured("The SECRET_KEY setting must not be empty.")


def invoke(name="alice", id="1", **more):
    """Send ForgotPassword as an SDK does that repeats by itself."""
    headers = {"amz-sdk-invocation-id": id} if id else {}
    return AWS().send("", {"username": name, **more}, **headers)


def plain(response):
    headers = dict(response.headers.items())
    headers.pop("x-amzn-RequestId", None)
    headers.pop("Expires")
    return response.status_code, response.content, headers


# The request step


def test_a_repeat_with_the_same_id_gets_the_first_answer(limited):
    """Without a call, and although the cool-down would refuse it."""
    first, *repeats = [invoke() for _ in range(3)]
    assert first.status_code == 200
    assert [plain(repeat) for repeat in repeats] == [plain(first)] * 2
    assert len(limited.emulator.calls) == 1
    assert ResetEvent.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [{"id": "2"}, {"id": ""}, {"client_metadata": {"a": "b"}}],
    ids=["id", "none", "body"],
)
def test_another_request_is_no_repeat(limited, other):
    """Another id, none, or another body: it counts, and inside the cool-down it is refused."""
    assert invoke().status_code == 200
    response = invoke(**other)
    assert response.headers["x-amzn-ErrorType"] == "LimitExceededException"


def test_without_an_id_the_request_step_never_repeats(limited):
    """Nothing tells a repeat from the wish for another code: 429, and on the pages the next page."""
    assert invoke(id="").status_code == 200
    assert AWS().is_throttled(invoke(id=""))
    assert REST().request("alice").status_code == 429
    page = Pages().request("alice")
    assert (page.status_code, page.url) == (302, "/password-reset/confirm/")
    assert len(limited.emulator.calls) == 1


def test_an_id_names_a_request_only_with_its_body(limited):
    """Whoever knows or guesses an id learns nothing of what another sent with it."""
    assert invoke("alice", id="same").status_code == 200
    assert invoke("bob", id="same").status_code == 200
    assert [body["Username"] for _, body in limited.emulator.calls] == ["alice", "bob"]


def test_a_repeat_is_not_asked_for_its_captcha_again(limited, settings):
    """A token is good for once: the site's hook sees a request, not its repeats."""
    tokens = ["token"]
    with_settings(settings, PRE_SEND_HOOK=lambda request, **values: tokens.pop())
    assert invoke().status_code == 200
    assert invoke().status_code == 200
    assert tokens == []


def test_an_unknown_outcome_is_repeated_too(limited):
    """The code may be on its way: a second call would send another."""
    limited.emulator.fail_next("ForgotPassword", Timeout())
    first, second = invoke(), invoke()
    assert plain(first) == plain(second)
    assert first.headers["x-amzn-ErrorType"] == "InternalErrorException"
    assert (first.status_code, len(limited.emulator.calls)) == (400, 1)


# The confirm step


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a_done_reset_that_is_sent_again_is_done(limited, make_face):
    """On every interface: a code that was used is wrong the second time, and Cognito isn't asked."""
    heard = []
    password_reset_confirmed.connect(
        lambda **kwargs: heard.append(kwargs), weak=False, dispatch_uid=1
    )
    code = limited.code("alice")
    limited.emulator.calls.clear()
    try:
        for _ in range(8):  # more than the limit
            interface = make_face()
            assert interface.confirm("alice", code, NEW_PASSWORD).status_code == interface.DONE
    finally:
        password_reset_confirmed.disconnect(dispatch_uid=1)
    assert len(limited.emulator.calls) == len(heard) == 1
    assert limited.can_sign_in("alice", NEW_PASSWORD)


def test_a_repeat_may_come_on_another_face(limited):
    """The SDK's answer got lost, and the person tries the page."""
    code = limited.code("alice")
    assert AWS().confirm("alice", code, NEW_PASSWORD).status_code == 200
    page = Pages().confirm("alice", code, NEW_PASSWORD)
    assert (page.status_code, page.url) == (302, "/password-reset/done/")


def test_the_done_page_of_a_repeat_says_that_it_is_done(limited):
    """A reload of the form's answer, after the answer was lost."""
    code = limited.code("alice")
    REST().confirm("alice", code, NEW_PASSWORD)
    interface = Pages()
    interface.confirm("alice", code, NEW_PASSWORD)
    assert interface.client.get("/password-reset/done/").context["outcome"] == "confirmed"


@pytest.mark.parametrize("make_face", INTERFACES)
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
def test_an_answer_that_followed_a_call_is_repeated(limited, make_face, fault):
    """To the byte, and without spending an attempt, here or at Cognito."""
    limited.emulator.fail_next("ConfirmForgotPassword", fault)
    answers = []
    for _ in range(8):
        interface = make_face()
        answers.append(interface.seen(interface.confirm("alice", "123456")))
    assert len(set(answers)) == 1
    assert len(limited.emulator.calls) == 1


@pytest.mark.parametrize(
    "change", [{"name": "bob"}, {"code": "123457"}, {"password": "Other-pass-3"}]
)
def test_another_name_code_or_password_is_no_repeat(limited, change):
    """All three tell one attempt from another."""
    values = {"name": "alice", "code": "123456", "password": "Battery-staple-2"}
    for sent in (values, {**values, **change}):
        assert REST().confirm(sent["name"], sent["code"], sent["password"]).status_code == 400
    assert len(limited.emulator.calls) == 2


def test_another_pool_is_another_place(limited, settings):
    """The same three words in two pools are two attempts."""
    with_settings(settings, POOLS={"default": limited.pool, "brand": limited.pool})
    data = {"username": "alice", "confirmation_code": "123456", "password": NEW_PASSWORD}
    for prefix in ("", "/brand"):
        Pages().client.post(f"{prefix}/password-reset/confirm/", data)
    assert len(limited.emulator.calls) == 2


@pytest.mark.parametrize("make_face", INTERFACES)
@pytest.mark.parametrize(
    ("fault", "times"),  # a refused connection is tried once more at once
    [
        (ConnectRefused(), 2),
        (Error("TooManyRequestsException"), 1),
        (Error("ForbiddenException"), 1),
    ],
)
def test_what_was_not_done_may_be_tried_again(limited, make_face, fault, times):
    """Limits and 503 are never repeated: the next attempt is one."""
    code = limited.code("alice")
    limited.emulator.fail_next("ConfirmForgotPassword", fault, times=times)
    interface = make_face()
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code != interface.DONE
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == interface.DONE


def test_a_refusal_by_the_limits_is_not_kept(limited, settings):
    """Whoever may try again does so, with the same words."""
    with_settings(settings, LIMITS={"confirm": {"identifier": "1/h"}})
    code = limited.code("alice")
    assert REST().confirm("alice").status_code == 400
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 429
    with_settings(settings, LIMITS=False)
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200


def test_a_sites_mistake_is_not_kept(limited, settings):
    """When the operators have mended it, the same request goes through."""
    code = limited.code("alice")
    with_settings(settings, CLIENT_METADATA="no.such")
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 503
    with_settings(settings, CLIENT_METADATA={})
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200


class Broken(CognitoService):
    """A site's own service, whose bug comes after the call."""

    def confirm(self, **kwargs):
        super().confirm(**kwargs)
        raise RuntimeError("a bug of the site's")


def test_after_a_sites_bug_the_outcome_is_unknown(limited, settings):
    """The call was made: a repeat must not say that the code is wrong."""
    code = limited.code("alice")
    limited.emulator.calls.clear()
    with_settings(settings, SERVICE_CLASS=Broken)
    interface = REST()
    interface.client.raise_request_exception = False
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 500
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 502
    assert len(limited.emulator.calls) == 1


def test_a_sites_bug_before_the_call_is_not_kept(limited, settings):
    """Only what followed a call is: the site mends it, and the same request goes through."""

    def fail(request):
        raise RuntimeError("a bug of the site's")

    code = limited.code("alice")
    with_settings(settings, CLIENT_METADATA=fail)
    interface = REST()
    interface.client.raise_request_exception = False
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 500
    with_settings(settings, CLIENT_METADATA={})
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == 200


def test_an_answer_is_kept_longer_than_sdks_wait_for_one():
    """botocore: a minute for each attempt, five of them in its older mode, and a pause before each."""
    assert 4 * DEFAULT_TIMEOUT + 30 <= SECONDS_KEPT


def test_an_answer_is_kept_for_its_time(limited, clock):
    """After that the same words are a new attempt."""
    for seconds, calls in ((0, 1), (SECONDS_KEPT - 1, 1), (SECONDS_KEPT + 1, 2)):
        now = clock[0]
        clock[0] += seconds
        # A cache's own clock can't be turned.
        if "limits" in caches.settings and seconds > SECONDS_KEPT:
            caches["limits"]._expire_info.update(
                {key: 0 for key in caches["limits"]._expire_info if ":replay:" in key}
            )
        assert REST().confirm("alice", "123456").status_code == 400
        assert len(limited.emulator.calls) == calls
        clock[0] = now


# Those under way


def both(first, second, started):
    """Run ``second`` while ``first`` is under way, and give both answers, and when they came."""
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
def slow(in_cache, settings):
    """Let the site's own part of a request take half a second, and say when it has begun."""
    started = threading.Event()

    def metadata(request):
        started.set()
        time.sleep(0.5)
        return {}

    with_settings(settings, CLIENT_METADATA=metadata)
    return started


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make_face", INTERFACES)
@pytest.mark.parametrize("places", [1, 2, 8])
def test_a_repeat_of_one_under_way_waits_for_its_answer(
    in_cache, settings, slow, make_face, places
):
    """And doesn't leave before it, nor call: the one that it waits for holds no place of its kind."""
    with_settings(settings, MAX_CONCURRENT_CALLS=places)
    code = in_cache.code("alice")
    in_cache.emulator.calls.clear()

    def confirm():
        return make_face().confirm("alice", code, NEW_PASSWORD)

    begun = time.monotonic()
    ended = both(confirm, confirm, slow)
    assert [answer.status_code for _, answer, _ in ended] == [make_face.DONE] * 2
    assert min(end for _, _, end in ended) >= begun + 0.5
    assert len(in_cache.emulator.calls) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("make_face", INTERFACES)
def test_a_done_reset_is_done_while_a_site_follows_it_up(in_cache, settings, make_face):
    """A mail server that hangs holds the one answer up, and makes no other of it."""
    code = in_cache.code("alice")
    with_settings(settings, TOTAL_TIMEOUT_SECONDS=1)
    started, heard = threading.Event(), threading.Event()

    def follow_up(**_):
        started.set()
        heard.wait(10)

    def again():
        interface = make_face()
        response = interface.confirm("alice", code, NEW_PASSWORD)
        if make_face is Pages:
            page = interface.client.get(response.url)
            assert page.context["outcome"] == "confirmed"
        heard.set()
        return response

    password_reset_confirmed.connect(follow_up)
    try:
        ended = both(lambda: make_face().confirm("alice", code, NEW_PASSWORD), again, started)
    finally:
        password_reset_confirmed.disconnect(follow_up)
    assert [name for name, *_ in ended] == ["second", "first"]
    assert [answer.status_code for _, answer, _ in ended] == [make_face.DONE] * 2


@pytest.mark.django_db(transaction=True)
def test_a_limit_that_is_not_spent_in_the_end_refuses_nobody(in_cache, settings, slow):
    """The first one found no Cognito and gave its slots back; who waited for it is an attempt."""
    in_cache.emulator.fail_next("ForgotPassword", ConnectRefused(), times=2)
    ended = {name: answer for name, answer, _ in both(invoke, invoke, slow)}
    assert [ended[name].status_code for name in ("first", "second")] == [500, 200]


@pytest.mark.django_db(transaction=True)
def test_a7_a_repeat_at_the_request_step_waits_as_long_as_the_first(in_cache, settings):
    """A7: its time would tell when Cognito answered."""
    started, begun = threading.Event(), time.monotonic()

    def metadata(request):
        started.set()
        return {}

    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.6, CLIENT_METADATA=metadata)
    ended = both(invoke, invoke, started)
    assert [answer.status_code for _, answer, _ in ended] == [200, 200]
    assert min(end for _, _, end in ended) >= begun + 0.6
    assert len(in_cache.emulator.calls) == 1


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a_repeat_of_one_that_never_ended_is_told_that_nobody_knows(limited, settings, make_face):
    """Its process died: the call may have been made, so none is made again."""
    with_settings(settings, TOTAL_TIMEOUT_SECONDS=0.3)
    dead = Replay("confirm", "default", "alice", "123456", NEW_PASSWORD, unknown=OutcomeUnknown)
    assert dead.begin() is None
    interface = make_face()
    response = interface.confirm("alice", "123456", NEW_PASSWORD)
    assert limited.emulator.calls == []
    if make_face is Pages:
        assert response.url == "/password-reset/done/"
        assert interface.client.get(response.url).context["outcome"] == "unknown"
    elif make_face is REST:
        assert response.status_code == 502
    else:
        assert response.headers["x-amzn-ErrorType"] == "InternalErrorException"
        assert response.status_code == 400


def test_who_waits_holds_a_place(limited, settings, monkeypatch):
    """A8: repeats cost no limit, so they are bounded, and apart from those that call."""
    with_settings(settings, TOTAL_TIMEOUT_SECONDS=1, MAX_CONCURRENT_CALLS=1)
    Replay("confirm", "default", "alice", "123456", NEW_PASSWORD, unknown=OutcomeUnknown).begin()
    statuses = []
    sleep = time.sleep

    def meanwhile(seconds):
        monkeypatch.setattr(time, "sleep", sleep)
        statuses.append(REST().confirm("alice", "123456", NEW_PASSWORD).status_code)
        statuses.append(REST().confirm("bob").status_code)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", meanwhile)
    assert REST().confirm("alice", "123456", NEW_PASSWORD).status_code == 502
    assert statuses == [503, 400]
    assert steps._waiting == set()


def test_a_refused_attempt_leaves_no_trace(people, settings):
    """Nothing is written for it: a flood costs the database nothing but looks."""
    with_settings(settings, LIMITS={"confirm": {"identifier": "1/h"}}, LIMITS_CACHE=None)
    assert REST().confirm("alice").status_code == 400
    assert REST().confirm("alice").status_code == 429  # the first one is worth a row in the audit
    for _ in range(LOOKS):  # a few may look whether they are repeats
        REST().confirm("alice")
    rows = list(LedgerSlot.objects.values())
    with CaptureQueriesContext(connection) as queries:
        assert REST().confirm("alice").status_code == 429
    assert list(LedgerSlot.objects.values()) == rows
    statements = {query["sql"].split()[0] for query in queries}
    assert statements - {"SAVEPOINT", "RELEASE"} == {"SELECT"}


def test_who_was_never_counted_leaves_no_trace_either(people, settings):
    """A network over its limit, with a new name each time: nothing can have been kept for those."""
    with_settings(settings, LIMITS={"confirm": {"network": "3/h"}}, LIMITS_CACHE=None)
    names = ["first", "second", "third"]
    assert [REST().confirm(name, "123456").status_code for name in names] == [400] * 3
    assert REST().confirm("next").status_code == 429  # the first one is worth a row in the audit
    rows = LedgerSlot.objects.count()
    assert {REST().confirm(f"later{number}").status_code for number in range(5)} == {429}
    assert LedgerSlot.objects.count() == rows
    # Who was counted is told what it has been told.
    assert REST().confirm("second", "123456").status_code == 400


@pytest.mark.parametrize("rate", ["7/h", "1000/h", "3/s"])
def test_whatever_the_limits_are_a_repeat_is_known(limited, settings, clock, rate):
    """Of many slots, of which a look sees a few, and of those that ended since."""
    rates = {"confirm": {"identifier": rate, "network": "1/h"}}
    with_settings(settings, LIMITS=rates)
    code = limited.code("alice")
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    for seconds in (0, 61, SECONDS_KEPT - 62):  # from the first of them on
        clock[0] += seconds
        assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    assert REST().confirm("alice").status_code == 429


def test_an_attempt_that_came_to_nothing_leaves_no_trace(people, settings):
    """While Cognito can't be reached no limit bounds the attempts, and no row is left of one."""
    with_settings(settings, LIMITS={}, LIMITS_CACHE=None)
    people.emulator.fail_next("ConfirmForgotPassword", ConnectRefused(), times=6)
    for number in range(3):
        assert REST().confirm(f"person{number}").status_code == 503
    kept = LedgerSlot.objects.filter(key__startswith="cognito_reset:replay:")
    assert list(kept) == []


def test_the_second_attempt_is_known_for_as_long(limited, settings, clock):
    """What was noted of the first one is over before the second one's answer is."""
    with_settings(settings, LIMITS={"confirm": {"identifier": "2/h", "network": "2/h"}})
    assert REST().confirm("alice", "111111").status_code == 400
    clock[0] += 2 * SECONDS_KEPT - 10
    assert REST().confirm("alice", "222222").status_code == 400
    clock[0] += 20
    assert REST().confirm("alice", "222222").status_code == 400
    assert REST().confirm("alice", "111111").status_code == 429


def test_who_lost_the_last_slot_to_its_own_first_attempt_waits_for_it(limited, monkeypatch):
    """It began between the look and the limits' own, and took what there was."""
    first = replay()

    def check():
        if not first._begun:
            assert first.begin() is None
            raise Throttled(retry_after=60)

    monkeypatch.setattr(replays.time, "sleep", lambda seconds: first.end(CodeInvalid))
    assert replay().begin(check) == Answer(CodeInvalid)


def test_who_is_refused_by_anothers_slot_is_refused(limited):
    """And nothing of it is kept."""

    def check():
        raise Throttled(retry_after=60)

    with pytest.raises(Throttled):
        replay().begin(check)
    assert replay().begin() is None


def test_a_repeat_needs_no_place_to_get_its_answer(limited, settings):
    """Where all places are taken, a done reset is done all the same."""
    code = limited.code("alice")
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    others = {object() for _ in range(8)}
    steps._under_way.update(others)
    try:
        assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
        assert REST().confirm("bob").status_code == 503
    finally:
        steps._under_way.difference_update(others)


@pytest.mark.parametrize(("taken", "status"), [(3, 502), (4, 503)])
def test_a8_repeats_wait_in_half_of_the_places(limited, settings, taken, status):
    """A8: half as many as may call, for they spend nothing of anybody's."""
    with_settings(settings, TOTAL_TIMEOUT_SECONDS=0.3)
    Replay("confirm", "default", "alice", "123456", NEW_PASSWORD, unknown=OutcomeUnknown).begin()
    others = {object() for _ in range(taken)}
    steps._waiting.update(others)
    try:
        assert REST().confirm("alice", "123456", NEW_PASSWORD).status_code == status
        assert REST().confirm("bob").status_code == 400
        assert steps._waiting == others
    finally:
        steps._waiting.difference_update(others)


def test_what_cognito_had_no_time_for_costs_no_try(limited):
    """SDKs send it again by themselves: nothing was done, so nothing is counted."""
    code = limited.code("alice")
    limited.emulator.fail_next("ConfirmForgotPassword", "TooManyRequestsException", times=7)
    for _ in range(7):
        response = AWS().confirm("alice", code, NEW_PASSWORD)
        assert response.headers["x-amzn-ErrorType"] == "TooManyRequestsException"
    assert AWS().confirm("alice", code, NEW_PASSWORD).status_code == 200


def test_who_knows_a_used_code_cannot_try_passwords(limited, settings):
    """Whom the limits refuse may look a few times whether it is a repeat, and no more."""
    with_settings(settings, LIMITS={"confirm": {"identifier": "1/h"}})
    code = limited.code("alice")
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200  # its own lost answer
    guesses = [f"Battery-staple-{number}" for number in range(10, 10 + LOOKS)]
    answers = [REST().confirm("alice", code, guess).status_code for guess in guesses]
    assert answers == [429] * LOOKS
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 429


class HidingCache(LocMemCache):
    """A cache whose client hides its errors: nothing is kept, and nobody says so."""

    def add(self, *args, **kwargs):
        return False

    def get_many(self, *args, **kwargs):
        return {}


@pytest.mark.parametrize("make_face", INTERFACES)
def test_b14_a_cache_that_hides_its_errors_is_closed_at_once(people, settings, caplog, make_face):
    """B14: 503 and a line for the operators, not an outcome that nobody knows after a long wait."""
    hiding = {"BACKEND": f"{__name__}.HidingCache"}
    settings.CACHES = {**settings.CACHES, "hiding": hiding}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="hiding", LIMITS_FAIL_OPEN=True)
    begun = time.monotonic()
    interface = make_face()
    assert interface.is_unavailable(interface.confirm("alice", "123456"))
    assert AWS().is_unavailable(invoke())
    assert time.monotonic() - begun < 5
    assert caplog.messages.count("cognito_reset.limits_unavailable store=hiding") == 2
    assert people.emulator.calls == []


def test_h1_an_empty_secret_key_shows_no_secret(people, monkeypatch):
    """H1: Django can't make a keyed hash then; its report of that has the hash's frames in it."""

    parts = ("alice", "739184", "Canary-passw0rd-kWq")
    with monkeypatch.context() as patch:
        patch.setattr("django.utils.crypto.settings", NoSecretKey())
        with pytest.raises(ImproperlyConfigured) as caught:
            Replay("confirm", "default", *parts, unknown=OutcomeUnknown)
    below = caught.tb.tb_next  # this test's own frame has them
    error = caught.value.with_traceback(below)
    reporter = ExceptionReporter(RequestFactory().post("/"), type(error), error, below)
    shown = reporter.get_traceback_html() + reporter.get_traceback_text()
    assert "salted_hmac" in shown
    assert "739184" not in shown
    assert "Canary" not in shown


# In the store


def replay(**changes):
    values = {"step": "confirm", "pool": "default", "word": "a", **changes}
    return Replay(values["step"], values["pool"], values["word"], unknown=OutcomeUnknown)


@pytest.mark.parametrize("error", ANSWERS)
def test_every_answer_comes_back_as_it_was(limited, error):
    """By the number of a slot, which stands for one of them."""
    assert replay().begin() is None
    replay_that_ends = replay()
    replay_that_ends._begun = 0
    replay_that_ends.end(error)
    assert replay().begin() == Answer(error)
    assert replay(word="b").begin() is None


def test_the_numbers_of_answers_never_change():
    """Two versions of the app may share a store: what one keeps the other must read."""
    assert ANSWERS[:7] == (
        None,
        CodeInvalid,
        PasswordInvalid,
        replays.PasswordReused,
        replays.PasswordCompromised,
        OutcomeUnknown,
        MaybeSent,
    )


def test_one_that_ended_in_between_is_not_carried_out_again(limited, monkeypatch):
    """A look finds nothing, then the first one ends, then the place is free."""
    first = replay()
    assert first.begin() is None
    kind = type(slots._store())
    take = kind.take

    def late(self, bucket, number, now):
        if bucket.level == "confirm_running":
            monkeypatch.setattr(kind, "take", take)
            first.end(CodeInvalid)
        return take(self, bucket, number, now)

    # Neither the first look nor the second must see the place taken.
    read, looks = kind.read, iter(range(2))

    def blind(self, asked, now):
        if next(looks) == 1:
            monkeypatch.setattr(kind, "read", read)
            monkeypatch.setattr(kind, "take", late)
        return {bucket: {} for bucket in asked}

    monkeypatch.setattr(kind, "read", blind)
    assert replay().begin() == Answer(CodeInvalid)
    # And it has left the place free.
    assert not slots._store().read({first._running: range(1)}, int(time.time() * 1000))[
        first._running
    ]


def test_two_look_and_one_of_them_takes_the_place(limited, monkeypatch):
    """Both find it free; who loses waits, and is not the second to carry it out."""
    first, waited = replay(), []
    monkeypatch.setattr(replays.time, "sleep", lambda seconds: waited.append(first.end(None)))
    kind = type(slots._store())
    take = kind.take

    def rival(self, bucket, number, now):
        if bucket.level == "confirm_running":
            monkeypatch.setattr(kind, "take", take)
            assert first.begin() is None
        return take(self, bucket, number, now)

    monkeypatch.setattr(kind, "take", rival)
    assert replay().begin() == Answer(None)
    assert len(waited) == 1


def test_the_answer_is_there_before_the_place_is_free(limited, monkeypatch):
    """Or the next one would carry it out again."""
    request = replay()
    assert request.begin() is None
    kind = type(slots._store())
    take = kind.take

    def watched(self, bucket, number, now):
        assert replay()._look(self) is False  # somebody is at it
        return take(self, bucket, number, now)

    monkeypatch.setattr(kind, "take", watched)
    request.end(None)
    monkeypatch.undo()
    assert replay().begin() == Answer(None)


def test_two_begin_and_one_is_told_to_wait(limited, monkeypatch):
    """Between another's look and its taking the place is taken: it waits, and is not the second."""
    waited = []
    first = replay()
    monkeypatch.setattr(replays.time, "sleep", lambda seconds: waited.append(first.end(None)))
    kind = type(slots._store())
    read = kind.read

    def rival(self, asked, now):
        monkeypatch.setattr(kind, "read", read)
        held = read(self, asked, now)
        assert first.begin() is None
        return held

    monkeypatch.setattr(kind, "read", rival)
    assert replay().begin() == Answer(None)
    assert len(waited) == 1


def test_a_row_whose_time_is_over_is_used_again(people, settings, clock, monkeypatch):
    """In the database the row of an old answer takes the new one."""
    monkeypatch.setattr(slots, "PURGE_SHARE", 0)
    with_settings(settings, LIMITS={}, LIMITS_CACHE=None)
    for error in (CodeInvalid, CodeInvalid, None):
        request = replay()
        assert request.begin() is None
        request.end(error)
        assert replay().begin() == Answer(error)
        clock[0] += SECONDS_KEPT + 1
    assert LedgerSlot.objects.count() == 2  # a row for each kind of answer, none for the place


def test_a_row_that_is_purged_in_between_is_made_anew(people, settings, clock, monkeypatch):
    """Another process deletes old rows between the look and the update."""
    with_settings(settings, LIMITS={}, LIMITS_CACHE=None)
    request = replay()
    request.begin()
    request.end(None)
    clock[0] += SECONDS_KEPT + 1
    again = replay()
    assert again.begin() is None
    monkeypatch.setattr(slots, "PURGE_SHARE", 0)
    read = slots.DatabaseStore.read

    def purged(self, asked, now):
        held = read(self, asked, now)
        LedgerSlot.objects.filter(key=again._answers.key).delete()
        return held

    with monkeypatch.context() as patch:
        patch.setattr(slots.DatabaseStore, "read", purged)
        again.end(None)
    assert replay().begin() == Answer(None)


def test_a_purge_takes_what_is_over_at_once(people, settings, clock):
    """A keyed hash of a password is kept no longer than it must."""
    with_settings(settings, LIMITS={}, LIMITS_CACHE=None)
    REST().confirm("alice")
    of_replays = LedgerSlot.objects.filter(key__startswith="cognito_reset:replay:confirm:")
    assert of_replays.count() == 1
    slots.purge_expired()
    assert of_replays.count() == 1
    clock[0] += SECONDS_KEPT + 1
    slots.purge_expired()
    assert of_replays.count() == 0
    assert LedgerSlot.objects.exists()  # the limits' own, which are in use


def test_nothing_in_clear_is_kept(limited):
    """H8: the key is a hash under a key of the site's, and the value a number or a time."""
    invoke("alice@example.com", id="an-id")
    REST().confirm("alice@example.com", "739184", "Canary-passw0rd-kWq")
    kept = repr(list(LedgerSlot.objects.values()))
    kept += repr(getattr(caches["limits"], "_cache", ""))
    assert "cognito_reset:replay:confirm:300:" in kept
    assert "cognito_reset:replay:request:300:" in kept
    for canary in ("alice", "example.com", "739184", "Canary", "an-id"):
        assert canary not in kept


def test_nothing_is_kept_for_longer_than_it_is_of_use(in_cache, clock):
    """In a cache, too, where nobody purges."""
    REST().confirm("alice", "123456")
    expire = {key: end for key, end in caches["limits"]._expire_info.items() if ":replay:" in key}
    assert sorted(round(end - clock[0]) for end in expire.values()) == [
        SECONDS_KEPT,
        2 * SECONDS_KEPT,
    ]


def test_another_secret_key_is_another_hash(limited, settings):
    """Whoever has the store has nothing to guess against."""
    keys = []
    for secret in ("a" * 50, "b" * 50):
        settings.SECRET_KEY = secret
        keys.append(replay()._answers.key)
    assert keys[0] != keys[1]
    assert replay(step="request")._answers.key != keys[1]


def test_where_the_store_fails_the_limits_decide(people, settings):
    """503; or, where the site wants that, an attempt that nothing repeats."""
    place = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1",
    }
    settings.CACHES = {**settings.CACHES, "down": place}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="down")
    assert REST().confirm("alice", "123456").status_code == 503
    with_settings(settings, LIMITS={}, LIMITS_CACHE="down", LIMITS_FAIL_OPEN=True)
    for _ in range(2):
        assert REST().confirm("alice", "123456").status_code == 400
    assert len(people.emulator.calls) == 2


def test_without_limits_repeats_still_cost_nothing(people, settings):
    """LIMITS = False counts nobody; a lost answer is lost all the same."""
    with_settings(settings, LIMITS=False)
    code = people.code("alice")
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200
