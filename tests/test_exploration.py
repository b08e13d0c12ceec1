"""
Every order of what concurrent attempts do to the ledger.

Each operation of an attempt on the store is one step. A scheduler runs one step at a time, and the tests
try the orders in which the steps of two attempts can come, and random ones for more attempts. Races on
real stores (tests/services) find the same faults only by luck.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pytest
from django.core.cache.backends.base import BaseCache
from django.db import connections

from cognito_reset.cognito.errors import CodeInvalid, ResetError, Unavailable
from cognito_reset.models import LedgerSlot
from cognito_reset.resets import ratelimits, reservations, stores

# Orders that are tried one after the other for each situation, and random ones if there are more.
ORDERS, RANDOM_ORDERS = 80, 40
MANY_ORDERS, MANY_RANDOM_ORDERS = 60_000, 5_000
MOST_STEPS = 300  # of one order: then an attempt waits for ever
NAP_SECONDS = 6.0  # how far the clock goes on when all attempts are asleep


class Scheduler:
    """
    Runs attempts in threads of which only one moves at a time. ``step()`` is where another one may be let
    move. ``choose`` picks one of those that can. It also stands for the module ``time``.
    """

    def __init__(self, choose: Callable[[Sequence[int]], int]) -> None:
        self.steps = 0
        self._now = 1_800_000_000.0
        self._choose = choose
        self._current = -1  # -1 while nothing is scheduled
        self._running: set[int] = set()
        self._asleep: set[int] = set()
        self._end = threading.Semaphore(0)

    def run(self, attempts: Sequence[Callable[[], Any]]) -> list[Any]:
        """Return what the attempts return or raise."""
        results: list[Any] = [None] * len(attempts)
        self._batons = [threading.Semaphore(0) for _ in attempts]
        self._running = set(range(len(attempts)))
        shared = connections["default"]

        def work(number: int) -> None:
            connections["default"] = shared
            self._batons[number].acquire()
            try:
                results[number] = attempts[number]()
            except Exception as error:
                results[number] = error
            self._running.discard(number)
            self._pass_on()

        shared.inc_thread_sharing()
        threads = [threading.Thread(target=work, args=(number,)) for number in self._running]
        for thread in threads:
            thread.start()
        self._pass_on()
        self._end.acquire()
        for thread in threads:
            thread.join()
        shared.dec_thread_sharing()
        self._current = -1
        return results

    def step(self) -> None:
        if self._current >= 0:
            number = self._current
            self.steps += 1
            assert self.steps < MOST_STEPS, "an attempt waits for ever"
            self._pass_on()
            self._batons[number].acquire()

    def time(self) -> float:
        return self._now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        """Let the caller sleep until another attempt has made a step, or all sleep."""
        self._asleep.add(self._current)
        self.step()

    def _pass_on(self) -> None:
        if not self._running:
            self._end.release()
            return
        ready = sorted(self._running - self._asleep)
        if not ready:
            self._now += NAP_SECONDS
            ready = sorted(self._running)
        self._asleep.clear()
        self._current = self._choose(ready) if len(ready) > 1 else ready[0]
        self._batons[self._current].release()


class AllOrders:
    """Makes the choices of one order after the other, depth first, until there is no other."""

    def __init__(self) -> None:
        self._path: list[tuple[int, int]] = []  # the choices of an order, and how many there were
        self._depth = 0

    def __call__(self, ready: Sequence[int]) -> int:
        if self._depth == len(self._path):
            self._path.append((0, len(ready)))
        choice, _ = self._path[self._depth]
        self._depth += 1
        return ready[choice]

    def go_on(self) -> bool:
        """Begin the next order, and return whether there is one."""
        self._depth = 0
        while self._path:
            choice, count = self._path.pop()
            if choice + 1 < count:
                self._path.append((choice + 1, count))
                return True
        return False


class SteppedCache(BaseCache):
    """A cache in a dict, whose operations are the scheduler's steps."""

    scheduler: ClassVar[Scheduler]
    values: ClassVar[dict[str, tuple[Any, float]]] = {}

    def __init__(self, *_: Any) -> None:
        super().__init__({})

    def get_many(self, keys: Iterable[str], version: Any = None) -> dict[str, Any]:
        self.scheduler.step()
        return {key: self.values[key][0] for key in keys if self._is_held(key)}

    def add(self, key: str, value: Any, timeout: Any = None, version: Any = None) -> bool:
        self.scheduler.step()
        is_free = not self._is_held(key)
        if is_free:
            self._set(key, value, timeout)
        return is_free

    def set(self, key: str, value: Any, timeout: Any = None, version: Any = None) -> None:
        self.scheduler.step()
        self._set(key, value, timeout)

    def delete_many(self, keys: Iterable[str], version: Any = None) -> None:
        self.scheduler.step()
        for key in keys:
            self.values.pop(key, None)

    def _set(self, key: str, value: Any, timeout: float) -> None:
        self.values[key] = (value, self.scheduler.time() + timeout)

    def _is_held(self, key: str) -> bool:
        return key in self.values and self.scheduler.time() < self.values[key][1]


class InCache:
    """The ledger in a cache."""

    alias = "ledger"

    def begin(self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
        SteppedCache.scheduler = scheduler
        SteppedCache.values.clear()

    def held_keys(self) -> list[str]:
        return [key.rpartition(":")[0] for key in SteppedCache.values]


class InDatabase:
    """The ledger in the database. Each of the store's operations is a step: it is one transaction."""

    alias = None
    operations: ClassVar[dict[str, Any]] = {
        name: getattr(stores.DatabaseStore, name) for name in ("read", "take", "keep", "release")
    }

    def begin(self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
        def stepped(operation: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any) -> Any:
                scheduler.step()
                return operation(*args)

            return run

        for name, operation in self.operations.items():
            monkeypatch.setattr(stores.DatabaseStore, name, stepped(operation))
        LedgerSlot.objects.all().delete()

    def held_keys(self) -> list[str]:
        return list(LedgerSlot.objects.values_list("key", flat=True))


class World:
    """What the attempts of one order meet: a store, and a service that counts its calls."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.calls: list[str] = []  # the codes that came with them
        self.counted = self.most_counted = 0


@dataclass(frozen=True)
class Try:
    """
    One attempt, and the outcome of its call if it makes one. ``code`` tells its request from others.
    An attempt that ``dies`` is ended by the system during its call, or while it ``signs_out``: that is what
    the site does after a success.
    """

    code: str = ""
    username: str = "alice"
    step: str = "confirm"
    error: ResetError | None = None
    dies: bool = False
    signs_out: bool = False

    def run(self, world: World) -> str:
        reservation = ratelimits.reserve(
            self.step,
            pool="default",
            username=self.username,
            networks=["192.0.2.1/32"],
            request_parts=(self.username, self.code) if self.code else (),
        )
        if reservation.refusal:
            return "throttled"
        if reservation.is_repeat:
            return f"repeated {name_of(reservation.answer)}{' signed out' * reservation.signed_out}"
        reservation.commit()
        world.counted += 1
        world.most_counted = max(world.counted, world.most_counted)
        world.calls.append(self.code)
        world.scheduler.step()
        if self.dies and not self.signs_out:
            return "died"
        if self.error and not self.error.sent:
            world.counted -= 1
        reservation.settle(self.error, following_up=self.signs_out)
        if self.signs_out:
            world.scheduler.step()
            if self.dies:
                return "died"
            reservation.conclude(signed_out=True)
        return f"called {name_of(type(self.error) if self.error else None)}"


def name_of(answer: type[ResetError] | None) -> str:
    return answer.__name__ if answer else "success"


def wrong_code() -> CodeInvalid:
    return CodeInvalid(sent=True, answered=True)


def not_kept() -> Unavailable:
    return Unavailable(sent=True)


def not_sent() -> Unavailable:
    return Unavailable(answered=False)


@dataclass(frozen=True)
class Situation:
    """
    Attempts at the same time, after others that have ended ``before``, and the results that they may
    have together, in any order if there are more than two. ``counted`` is the highest number of attempts
    that may be counted at once. ``held`` is the number of slots by level afterwards, if that is always the
    same.
    """

    name: str
    attempts: Sequence[Try]
    results: Sequence[Sequence[str]]
    limits: dict[str, str | None]
    counted: int
    before: Sequence[Try] = ()
    held: dict[str, int] | None = None


def two(name: str, first: Try, second: Try, *results: Sequence[str], **more: Any) -> Situation:
    return Situation(name, [first, second], results, **more)


ONE = {"identifier": "1/h"}
TWO = {"identifier": "2/h"}
THREE = {"identifier": "3/h"}
SITUATIONS = [
    two(
        "two attempts for one slot",
        *(Try("1"), Try("2")),
        *(["called success", "throttled"], ["throttled", "called success"]),
        limits=ONE,
        counted=1,
        held={"identifier": 1, "repeat": 1, "refusals": 1},
    ),
    two(
        "the first of two attempts for one slot is released",
        *(Try("1", error=not_sent()), Try("2")),
        ["called Unavailable", "called success"],
        ["called Unavailable", "throttled"],
        ["throttled", "called success"],
        limits=ONE,
        counted=1,
    ),
    two(
        "the same request twice",
        *(Try("1"), Try("1")),
        *(["called success", "repeated success"], ["repeated success", "called success"]),
        limits=TWO,
        counted=1,
        held={"identifier": 1, "repeat": 1},
    ),
    two(
        "the same request twice for one slot",
        *(Try("1"), Try("1")),
        *(["called success", "repeated success"], ["repeated success", "called success"]),
        limits=ONE,
        counted=1,
    ),
    two(
        "the same request while the first is refused",
        *(Try("1", error=wrong_code()), Try("1", error=wrong_code())),
        ["called CodeInvalid", "repeated CodeInvalid"],
        ["repeated CodeInvalid", "called CodeInvalid"],
        limits=TWO,
        counted=1,
        held={"identifier": 1, "repeat": 1},
    ),
    two(
        "the same request while the first is released",
        *(Try("1", error=not_sent()), Try("1", error=not_sent())),
        ["called Unavailable", "called Unavailable"],
        limits=TWO,
        counted=1,
        held={},
    ),
    two(
        "the same request while the first has an answer that isn't kept",
        *(Try("1", error=not_kept()), Try("1", error=not_kept())),
        ["called Unavailable", "called Unavailable"],
        limits=TWO,
        counted=2,
        held={"identifier": 2},
    ),
    two(
        "the same request while the first dies",
        *(Try("1", dies=True), Try("1", dies=True)),
        *(["died", "repeated OutcomeUnknown"], ["repeated OutcomeUnknown", "died"]),
        limits=TWO,
        counted=1,
        held={"identifier": 1, "repeat": 1},
    ),
    two(
        "the same request while the first signs out",
        *(Try("1", signs_out=True), Try("1", signs_out=True)),
        ["called success", "repeated success signed out"],
        ["repeated success signed out", "called success"],
        limits=TWO,
        counted=1,
        held={"identifier": 1, "repeat": 1},
    ),
    two(
        "the same request while the first dies after its success",
        *(Try("1", signs_out=True, dies=True), Try("1", signs_out=True, dies=True)),
        *(["died", "repeated success"], ["repeated success", "died"]),
        limits=TWO,
        counted=1,
        held={"identifier": 1, "repeat": 1},
    ),
    two(
        "refused attempts are compared with an earlier request",
        *(Try("1"), Try("2")),
        ["repeated success", "throttled"],
        limits=ONE,
        counted=1,
        before=[Try("1")],
        held={"identifier": 1, "repeat": 1, "refusals": 2},
    ),
    two(
        "the last guess of one's own",
        *(Try("3"), Try("4")),
        *(["called success", "throttled"], ["throttled", "called success"]),
        limits=ONE,
        counted=4,
        before=[Try(step="request"), Try("1"), Try("2")],
        held={
            "identifier": 2,
            "asked": 1,
            "own_guesses": 2,
            "all_own_guesses": 2,
            "repeat": 3,
            "refusals": 1,
        },
    ),
    two(
        "all slots or none",
        *(Try("1", "alice"), Try("2", "bob")),
        *(["called success", "throttled"], ["throttled", "called success"]),
        limits={"identifier": "2/h", "network": "1/h"},
        counted=1,
        held={"identifier": 1, "network": 1, "repeat": 1, "refusals": 1},
    ),
    two(
        "two requests for a code at once",
        *(Try(step="request"), Try(step="request")),
        ["called success", "called success"],
        limits=TWO,
        counted=2,
        held={"identifier": 2, "asked": 2},
    ),
]
CROWDS = [
    Situation(
        "four attempts for two slots",
        [Try(str(number)) for number in range(4)],
        [sorted(["called success"] * 2 + ["throttled"] * 2)],
        limits=TWO,
        counted=2,
        held={"identifier": 2, "repeat": 2, "refusals": 2},
    ),
    Situation(
        "the same request four times",
        [Try("1")] * 4,
        [["called success"] + ["repeated success"] * 3],
        limits=ONE,
        counted=1,
    ),
    Situation(
        "two requests twice each, for three slots",
        [Try("1"), Try("2"), Try("1"), Try("2")],
        [["called success"] * 2 + ["repeated success"] * 2],
        limits=THREE,
        counted=2,
        held={"identifier": 2, "repeat": 2},
    ),
    Situation(
        "three attempts for one slot, of which two are released",
        [Try("1", error=not_sent()), Try("1", error=not_sent()), Try("2")],
        [
            ["called Unavailable"] * 2 + ["called success"],
            ["called Unavailable"] * 2 + ["throttled"],
            ["called Unavailable", "called success", "throttled"],
            ["called success", "throttled", "throttled"],
        ],
        limits=ONE,
        counted=1,
    ),
]


@pytest.fixture(params=[InCache, InDatabase], ids=["cache", "database"])
def ledger(request: pytest.FixtureRequest, db: None, settings: Any) -> Any:
    settings.CACHES = {
        **settings.CACHES,
        "ledger": {"BACKEND": f"{__name__}.{SteppedCache.__name__}"},
    }
    return request.param()


@pytest.fixture
def explore(ledger: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., set[str]]:
    def explore(situation: Situation, orders: Iterator[Callable[..., int]]) -> set[str]:
        """Try the orders, and return the results that the attempts had together."""
        limits = {"network": None, "site": None, **situation.limits}
        settings.COGNITO_RESET = {
            **settings.COGNITO_RESET,
            "LIMITS_CACHE": ledger.alias,
            "LIMITS": {"request": limits, "confirm": limits},
        }
        return {str(run_once(situation, Scheduler(choose))) for choose in orders}

    def run_once(situation: Situation, scheduler: Scheduler) -> list[str]:
        random.seed(1)  # the same choices of slots, whenever the same order comes again
        world = World(scheduler)
        for module in (ratelimits, reservations, stores):
            monkeypatch.setattr(module, "time", scheduler)
        ledger.begin(scheduler, monkeypatch)
        for attempt in situation.before:
            assert attempt.run(world).startswith("called")
        results = scheduler.run([partial(attempt.run, world) for attempt in situation.attempts])
        if len(results) > 2:
            results.sort(key=str)
        assert results in situation.results
        assert world.most_counted <= situation.counted
        held = Counter(key.split(":")[2] for key in ledger.held_keys())
        del held["repeats"]  # how many there are depends on the order
        if situation.held is not None:
            assert held == situation.held
        # No slot of a limit is held for an attempt that isn't counted.
        assert all(held[level] <= world.counted for level in situation.limits)
        return results

    return explore


def orders(count: int, random_count: int) -> Iterator[Callable[..., int]]:
    """Yield all orders if there are at most ``count``, else that many and then random ones."""
    every = AllOrders()
    for _ in range(count):
        yield every
        if not every.go_on():
            return
    yield from random_orders(random_count)


def random_orders(count: int) -> Iterator[Callable[..., int]]:
    for seed in range(count):
        yield random.Random(seed).choice


def each(situations: Sequence[Situation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("situation", situations, ids=lambda situation: situation.name)


@pytest.mark.requirement("B4")
@each(SITUATIONS)
def test_b4_two_attempts_in_many_orders(
    situation: Situation, explore: Callable[..., set[str]]
) -> None:
    """Each result that is possible is met, and no other."""
    seen = explore(situation, orders(ORDERS, RANDOM_ORDERS))
    assert seen == {str(results) for results in situation.results}


@pytest.mark.requirement("B4")
@each(CROWDS)
def test_b4_a_crowd_in_random_orders(
    situation: Situation, explore: Callable[..., set[str]]
) -> None:
    explore(situation, random_orders(RANDOM_ORDERS))


@pytest.mark.slow
@pytest.mark.requirement("B4")
@each(SITUATIONS)
def test_b4_two_attempts_in_every_order(
    situation: Situation, explore: Callable[..., set[str]]
) -> None:
    explore(situation, orders(MANY_ORDERS, MANY_RANDOM_ORDERS))


@pytest.mark.slow
@pytest.mark.requirement("B4")
@each(CROWDS)
def test_b4_a_crowd_in_many_random_orders(
    situation: Situation, explore: Callable[..., set[str]]
) -> None:
    explore(situation, random_orders(MANY_RANDOM_ORDERS))


@pytest.mark.parametrize("ledger", [InCache], indirect=True)
@pytest.mark.parametrize("situation", [SITUATIONS[0], SITUATIONS[2]], ids=["limit", "repeat"])
def test_a_cache_whose_add_is_two_steps_is_found_out(
    situation: Situation, explore: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exploration itself works: it finds the order in which both attempts get the slot."""

    def add(cache: SteppedCache, key: str, value: Any, timeout: float) -> bool:
        is_free = not cache.get_many([key])
        if is_free:
            cache.set(key, value, timeout)
        return is_free

    monkeypatch.setattr(SteppedCache, "add", add)
    with pytest.raises(AssertionError):
        explore(situation, orders(ORDERS, RANDOM_ORDERS))
