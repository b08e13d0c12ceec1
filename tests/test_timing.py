"""
A7: how long an answer takes doesn't reveal who has an account.

By default the tests take a few samples, and many only if the few look different. The promise is proved
with COGNITO_RESET_TIMING_SAMPLES=300.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from cognito_reset.cognito.service import get_service, wait_until_idle
from cognito_reset.resets.neutral import RefusalTime
from tests.interfaces import INTERFACES, REST, with_settings

SAMPLES = int(os.environ.get("COGNITO_RESET_TIMING_SAMPLES", "10"))
UNIFORM = 0.2
# The promise: of this many times of each kind, the ranks have an AUC below the bound. By chance, one run of a
# thousand is above it.
MANY = 300
BOUND = 0.58


def auc(first, second):
    """Return the probability that one of ``second`` takes longer than one of ``first``, folded to >= 0.5."""
    wins = sum((b > a) + 0.5 * (b == a) for a in first for b in second)
    share = wins / (len(first) * len(second))
    return max(share, 1 - share)


def assert_times_are_alike(
    make_interface: Callable[[], Any], step: str, status: int, existing: str, missing: str
) -> int:
    """
    Take the step with either name, in a random order, each time with a new interface, and assert that the ranks
    of the times don't tell which name it was. Return how many times it was taken with each.

    If a few samples differ, many decide: a few differ by chance now and then, and more often on a busy machine.
    """
    calls = 0
    for samples in (SAMPLES, MANY) if SAMPLES < MANY else (SAMPLES,):
        took: dict[str, list[float]] = {existing: [], missing: []}
        order = [existing, missing] * samples
        random.Random(samples).shuffle(order)
        for name in order:
            interface = make_interface()
            start = time.perf_counter()
            response = getattr(interface, step)(name)
            took[name].append(time.perf_counter() - start)
            assert response.status_code == status
        calls += samples
        assert min(took[missing]) >= UNIFORM
        bound = BOUND if samples >= MANY else 0.5 + 1 / samples**0.5
        if auc(took[existing], took[missing]) < bound:
            return calls
    pytest.fail(f"{samples} times of each tell who has an account: AUC {auc(*took.values()):.3f}")


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


@pytest.mark.slow
@pytest.mark.requirement("A7")
@pytest.mark.parametrize("make_interface", INTERFACES)
@pytest.mark.parametrize("step", ["request", "confirm"])
@pytest.mark.parametrize("existing", [0.12, 0.3], ids=["quick", "slower-than-uniform"])
def test_a7_time_does_not_tell_who_has_an_account(
    people, settings, delays, monkeypatch, make_interface, step, existing
):
    """A missing user takes Cognito 10 ms, an existing one longer. The ranks of the times don't show it."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=UNIFORM)
    monkeypatch.setattr("cognito_reset.resets.flow.refusal_time", RefusalTime())
    people.emulator.options.hourly_allowance = 10_000
    delays |= {"alice": existing, "nobody": 0.01}
    # The first slow refusal is how the app learns that there are slow ones.
    getattr(make_interface(), step)("alice")
    status = make_interface.SENT if step == "request" else 400
    assert_times_are_alike(make_interface, step, status, "alice", "nobody")


def test_the_measure_sees_a_difference():
    """The test can fail: two classes that differ have an AUC far from a half."""
    assert auc([1, 2, 3], [1.5, 2.5, 3.5]) > 0.6
    assert auc([3, 4], [1, 2]) == 1
    assert auc([1, 2], [1, 2]) == 0.5


@pytest.mark.slow
@pytest.mark.requirement("A7")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a7_time_does_not_tell_who_has_an_invitation(people, settings, delays, make_interface):
    """Two more calls of AWS, and a second row in the audit, take their time beside the visitor's."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=UNIFORM, RESEND_INVITATIONS=True)
    people.emulator.options.hourly_allowance = 10_000
    delays |= {"carol": 0.05, "nobody": 0.05}

    def when_idle():
        assert wait_until_idle(10)
        return make_interface()

    calls = assert_times_are_alike(when_idle, "request", make_interface.SENT, "carol", "nobody")
    assert wait_until_idle(10)
    assert [name for name, _ in people.emulator.calls].count("AdminCreateUser") == calls


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


@pytest.mark.requirement("A7")
@pytest.mark.parametrize("step", ["request", "confirm"])
def test_a7_all_wake_alike(people, settings, delays, monkeypatch, step):
    """Work after a long sleep takes longer, so the last sleep is equally long for everybody."""
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


@pytest.mark.requirement("A8")
def test_a8_refusals_wait_for_slow_ones_within_bounds(monkeypatch):
    """A slow refusal makes others slower for five minutes, and never more than five times."""
    kept = RefusalTime()
    now = time.monotonic()
    assert kept.end(now, 1.0) == pytest.approx(now + 1)
    assert kept.end(now - 1.5, 1.0) == pytest.approx(now + 0.5, abs=0.05)
    assert kept.end(now, 1.0) == pytest.approx(now + 2)
    assert kept.end(now - 60, 1.0) < time.monotonic()
    assert kept.end(now, 1.0) == pytest.approx(now + 5)
    now = time.monotonic() + 301
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert kept.end(now, 1.0) == pytest.approx(now + 1)
    assert kept.end(now, 0) == now
