"""
A7: how long an answer takes doesn't reveal who has an account.

By default the tests take a few samples. The promise is proved with COGNITO_RESET_TIMING_SAMPLES=300.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from cognito_reset.cognito.service import get_service
from cognito_reset.resets.neutral import RefusalTime
from tests.interfaces import INTERFACES, REST, with_settings

SAMPLES = int(os.environ.get("COGNITO_RESET_TIMING_SAMPLES", "10"))
UNIFORM = 0.2
# Few samples vary more by chance. The bound 0.58 is for 300 of each (0.1 % false alarms).
BOUND = 0.58 if SAMPLES >= 300 else 0.5 + 1.4 / SAMPLES**0.5


def auc(first, second):
    """Return the probability that one of ``second`` takes longer than one of ``first``, folded to >= 0.5."""
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
    took: dict[str, list[float]] = {"alice": [], "nobody": []}
    # The first slow refusal is how the app learns that there are slow ones.
    getattr(make_interface(), step)("alice")
    order = ["alice", "nobody"] * SAMPLES
    random.Random(step).shuffle(order)
    for name in order:
        interface = make_interface()
        start = time.perf_counter()
        response = getattr(interface, step)(name)
        took[name].append(time.perf_counter() - start)
        assert response.status_code in (make_interface.SENT, 400)
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
