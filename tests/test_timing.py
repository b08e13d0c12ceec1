"""
A7: how long an answer takes doesn't tell who has an account.

The short form takes a few samples of each; COGNITO_RESET_TIMING_SAMPLES=300 is the promise's own.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from cognito_reset.cognito.service import get_service
from cognito_reset.resets.neutral import RefusalTime
from tests.interfaces import AWS, INTERFACES, REST
from tests.test_pages import with_settings

SAMPLES = int(os.environ.get("COGNITO_RESET_TIMING_SAMPLES", "10"))
UNIFORM = 0.2
# With few samples chance alone strays further: 0.58 is for 300 of each (0.1 % false alarms).
BOUND = 0.58 if SAMPLES >= 300 else 0.5 + 1.4 / SAMPLES**0.5


def auc(first, second):
    """Give the chance that one of ``second`` takes longer than one of ``first``, folded to >= 0.5."""
    wins = sum((b > a) + 0.5 * (b == a) for a in first for b in second)
    share = wins / (len(first) * len(second))
    return max(share, 1 - share)


@pytest.fixture
def delays(people):
    """Seconds that Cognito takes by name, before it answers."""
    seconds: dict[str, float] = {}

    def wait(request, **kwargs):
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        time.sleep(next(value for name, value in seconds.items() if f'"{name}"' in body))

    events = get_service().client.meta.events
    events.register_first("before-send.cognito-identity-provider", wait, unique_id="timing")
    yield seconds
    events.unregister("before-send.cognito-identity-provider", wait, unique_id="timing")


@pytest.mark.parametrize("make_face", INTERFACES)
@pytest.mark.parametrize("step", ["request", "confirm"])
@pytest.mark.parametrize("existing", [0.12, 0.3], ids=["quick", "slower-than-uniform"])
def test_a7_time_does_not_tell_who_has_an_account(
    people, settings, delays, monkeypatch, make_face, step, existing
):
    """A7: a missing user takes Cognito 10 ms, an existing one longer: the ranks say nothing."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=UNIFORM)
    monkeypatch.setattr("cognito_reset.resets.flow.refusal_time", RefusalTime())
    people.emulator.options.hourly_allowance = 10_000
    delays |= {"alice": existing, "nobody": 0.01}
    took: dict[str, list[float]] = {"alice": [], "nobody": []}
    # The first slow refusal is how the app learns that there are slow ones.
    getattr(make_face(), step)("alice")
    order = ["alice", "nobody"] * SAMPLES
    random.Random(step).shuffle(order)
    for name in order:
        interface = make_face()
        start = time.perf_counter()
        response = getattr(interface, step)(name)
        took[name].append(time.perf_counter() - start)
        assert response.status_code in (make_face.SENT, 400)
    assert auc(took["alice"], took["nobody"]) < BOUND
    assert min(took["nobody"]) >= UNIFORM


def test_the_measure_sees_a_difference():
    """The test can fail: two classes that differ have an AUC far from a half."""
    assert auc([1, 2, 3], [1.5, 2.5, 3.5]) > 0.6
    assert auc([3, 4], [1, 2]) == 1
    assert auc([1, 2], [1, 2]) == 0.5


class Clock:
    """Goes on while somebody sleeps, and not while a busy machine works."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("step", ["request", "confirm"])
def test_a7_all_wake_alike(people, settings, delays, monkeypatch, step):
    """A7: work after a long sleep takes longer, so the last one is as long for everybody."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=1)
    monkeypatch.setattr("cognito_reset.resets.flow.refusal_time", RefusalTime())
    clock = Clock()
    for room in ("cognito_reset.resets.flow", "cognito_reset.resets.neutral", __name__):
        monkeypatch.setattr(f"{room}.time", clock)
    for name, seconds in (("alice", 0.6), ("nobody", 0.01)):
        delays[name] = seconds
        getattr(REST(), step)(name)
    own = [seconds for seconds in clock.slept if seconds not in delays.values()]
    assert own == [pytest.approx(s) for s in (0.3, 0.1, 0.89, 0.1)]


def test_a8_refusals_wait_for_slow_ones_within_bounds():
    """A8: a slow refusal makes others slower for five minutes, and never more than five times."""
    kept = RefusalTime()
    now = time.monotonic()
    assert kept.end(now, 1.0) == pytest.approx(now + 1)
    assert kept.end(now - 1.5, 1.0) == pytest.approx(now + 0.5, abs=0.05)
    assert kept.end(now, 1.0) == pytest.approx(now + 2)
    assert kept.end(now - 60, 1.0) < time.monotonic()
    assert kept.end(now, 1.0) == pytest.approx(now + 5)
    kept._until = now - 1
    assert kept.end(now, 1.0) == pytest.approx(now + 1)
    assert kept.end(now, 0) == now


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a8_who_waits_holds_a_bounded_share_of_the_workers(people, settings, caplog, make_face):
    """A8: as many requests as calls are under way at once; the next is told so, not kept waiting."""
    answers: list[Any] = []

    def meanwhile(request):
        answers.extend(send("bob") for send in (make_face().request, make_face().confirm))
        return {}

    def fail(request):
        meanwhile(request)
        raise RuntimeError("a bug of the site's")

    with_settings(settings, MAX_CONCURRENT_CALLS=1, CLIENT_METADATA=fail)
    with pytest.raises(RuntimeError):
        make_face().request("alice")
    with_settings(settings, CLIENT_METADATA=meanwhile)
    assert make_face().request("alice").status_code == make_face.SENT
    assert [make_face().is_unavailable(answer) for answer in answers] == [True] * 4
    if make_face is not AWS:
        assert {int(answer.headers["Retry-After"]) for answer in answers} == {5}
    assert caplog.text.count("cognito_reset.busy") == 4
    assert len(people.emulator.calls) == 1


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a8_a_sites_slow_hook_holds_nobody_elses_place(people, settings, make_face):
    """A8: it runs before anything is counted, so it must not be what stops the others."""
    answers: list[Any] = []

    def hook(request, *, username, pool):
        if username == "alice":
            answers.extend(send("bob") for send in (make_face().request, make_face().confirm))

    with_settings(settings, MAX_CONCURRENT_CALLS=1, PRE_SEND_HOOK=hook)
    assert make_face().request("alice").status_code == make_face.SENT
    assert [answer.status_code for answer in answers] == [make_face.SENT, 400]
