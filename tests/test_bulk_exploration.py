"""
Every order of what two workers and a staff member do to a reset of many people.

Each transaction on the journal is one step, and so is each call. The scheduler of test_exploration.py runs
one at a time. A worker is taken for dead whenever another one looks: that is the worst that can happen.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from cognito_reset.cognito import errors
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.staff import bulk, claims, journal, pace
from cognito_reset.staff.claims import Outcome
from tests.bulk_world import fast, start_list
from tests.test_exploration import Scheduler, orders

__all__ = ["fast"]  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fast")]

ORDERS, RANDOM_ORDERS = 60, 20
MANY_ORDERS = int(os.environ.get("COGNITO_RESET_BULK_ORDERS", "1000"))
MANY_RANDOM_ORDERS = MANY_ORDERS // 5


@dataclass
class World:
    """A run of two people, and what Cognito got."""

    scheduler: Scheduler
    run: BulkRun
    calls: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Worker:
    """
    Claims and sends one item after the other. ``dies_after`` is how many calls it makes before it dies.
    ``outcomes`` are those of its first calls; the others succeed.
    """

    dies_after: int = 9
    outcomes: tuple[errors.ResetError, ...] = ()

    def act(self, world: World) -> None:
        outcomes = iter(self.outcomes)
        for number in range(9):
            claim = claims.claim(world.run.pk, 1)
            if not claim.goes_on:
                return
            for item in claim.items:
                world.scheduler.step()
                error = next(outcomes, None)
                world.calls[item.pk] += error is None or error.sent
                if number >= self.dies_after:
                    return
                world.scheduler.step()
                claims.settle(world.run.pk, [Outcome(item, error)])


@dataclass(frozen=True)
class Staff:
    """Does things to the run, one after the other."""

    actions: tuple[Callable[[int], Any], ...]

    def act(self, world: World) -> None:
        for action in self.actions:
            try:
                action(world.run.pk)
            except bulk.BulkRefused:
                pass


NOT_SENT = errors.Unavailable(answered=False)
UNKNOWN = errors.OutcomeUnknown(sent=True, answered=False)
SITUATIONS = {
    "two workers": [Worker(), Worker()],
    "one dies at its first call": [Worker(dies_after=0), Worker()],
    "one dies at its second call": [Worker(dies_after=1), Worker()],
    "a call isn't sent": [Worker(outcomes=(NOT_SENT,)), Worker()],
    "a call has no answer": [Worker(outcomes=(UNKNOWN,)), Worker()],
    "pause and resume": [Worker(), Staff((bulk.pause, bulk.resume))],
    "resume while it runs": [Worker(dies_after=1), Worker(), Staff((bulk.resume,))],
    "stop": [Worker(), Worker(), Staff((bulk.stop,))],
    "stop and retry": [Worker(outcomes=(NOT_SENT,)), Worker(), Staff((bulk.stop, bulk.retry))],
}


def explore(
    actors: list[Worker | Staff],
    orders: Iterator[Callable[..., int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change = journal.change
    monkeypatch.setattr(pace, "FAILURE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "lease", lambda: timedelta(days=-1))
    for choose in orders:
        BulkRun.objects.all().delete()
        scheduler = Scheduler(choose)

        def stepped(*arguments: Any, scheduler: Scheduler = scheduler) -> Any:
            scheduler.step()
            return change(*arguments)

        world = World(scheduler, start_list("alice", "bob"))
        BulkRun.objects.update(source="all")  # nobody has to be looked up
        monkeypatch.setattr(journal, "change", stepped)
        results = scheduler.run([partial(actor.act, world) for actor in actors])
        monkeypatch.setattr(journal, "change", change)
        assert results == [None] * len(actors)
        for item in BulkItem.objects.all():
            calls = world.calls[item.pk]
            assert calls <= 1, "somebody was sent a second code"
            assert item.state != "sent" or calls == 1
            assert item.state not in ("pending", "refused", "failed") or calls == 0
        assert BulkItem.objects.count() == 2


@pytest.mark.requirement("F8")
@pytest.mark.parametrize("name", SITUATIONS)
def test_f8_nobody_is_sent_two_codes_in_any_order(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each person's state is true, too."""
    explore(SITUATIONS[name], orders(ORDERS, RANDOM_ORDERS), monkeypatch)


@pytest.mark.slow
@pytest.mark.requirement("F8")
@pytest.mark.parametrize("name", SITUATIONS)
def test_f8_nobody_is_sent_two_codes_in_every_order(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    explore(SITUATIONS[name], orders(MANY_ORDERS, MANY_RANDOM_ORDERS), monkeypatch)


def test_a_claim_without_a_lock_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exploration itself works: it finds the order in which two workers claim one person."""
    claim = claims.claim

    def unlocked(run_id: int, most: int) -> Any:
        before = list(BulkItem.objects.filter(state="pending").order_by("pk")[:1])
        claimed = claim(run_id, most)
        if claimed.items and before:
            claimed.items[:] = before
        return claimed

    monkeypatch.setattr(claims, "claim", unlocked)
    with pytest.raises(AssertionError):
        explore([Worker(), Worker()], orders(ORDERS, RANDOM_ORDERS), monkeypatch)
