"""
The rate limits, on both kinds of stores.

The database is the one that DATABASE names. The cache is LocMemCache, whose ``add`` is atomic within one
process, or the one that CACHE names: tests/services runs this file again on real servers.
"""

from __future__ import annotations

import math
import os
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import InternalError, OperationalError, ProgrammingError, connection, transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cognito_reset.cognito.errors import CodeInvalid, Throttled, Unavailable
from cognito_reset.conf import CognitoResetMisconfigured
from cognito_reset.models import LedgerSlot
from cognito_reset.resets import stores
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.resets.ratelimits import (
    CROWDED,
    SAMPLE,
    reserve,
)
from cognito_reset.resets.reservations import Reservation
from cognito_reset.resets.stores import Bucket, Holding, Slot, Store, purge_expired, use_store
from cognito_reset.staff.limits import clear, reserve_for_staff, seconds_to_wait
from tests.services.stores import CACHES

CACHE = os.environ.get("CACHE", "")
LOCAL = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "OPTIONS": {"MAX_ENTRIES": 1e6},
}
PLENTY = {"identifier": "50/h", "network": "50/h", "site": "60/h"}
STEPS = ("request", "confirm")
only_database = pytest.mark.skipif(bool(CACHE), reason="this run is about a cache")


class BrokenCache(LocMemCache):
    def get_many(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("redis://:hunter2@cache.internal")

    delete_many = get_many


class MuteCache(LocMemCache):
    """A cache that hides its errors, as some clients do with certain options."""

    def get_many(self, *_: Any, **__: Any) -> Any:
        return {}

    def add(self, *_: Any, **__: Any) -> bool:
        return False


class ReplicaRouter:
    def db_for_read(self, *_: Any, **__: Any) -> str:
        return "replica"

    def db_for_write(self, *_: Any, **__: Any) -> str:
        return "default"


@pytest.fixture(autouse=True)
def _defaults(settings, monkeypatch):
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    # Failures of a store are logged once a minute; another test may just have had one.
    monkeypatch.setattr(stores, "_logged_at", -math.inf)


@pytest.fixture
def configure(settings):
    """Sets keys of COGNITO_RESET."""

    def configure(**keys):
        settings.COGNITO_RESET = {**settings.COGNITO_RESET, **keys}

    return configure


@pytest.fixture
def use_cache(settings, configure):
    def use_cache(backend):
        # Each test has a prefix of its own, so that nothing is left of another one.
        place = {"LOCATION": str(uuid4()), **backend, "KEY_PREFIX": str(uuid4())}
        settings.CACHES = {**settings.CACHES, "limits": place}
        configure(LIMITS_CACHE="limits")

    return use_cache


@pytest.fixture(params=["database", "cache"])
def store(request, db, use_cache):
    """Runs a test once on each kind of store."""
    if request.param == "cache":
        use_cache(CACHES[CACHE] if CACHE else LOCAL)
    elif CACHE:
        pytest.skip("this run is about a cache")
    return str(request.param)


class Clock:
    """A clock that is moved only by tests, in steps of 1/8 s, which floats represent exactly."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    if CACHE:
        pytest.skip("no test can move the clock of a real cache")
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


class Visitors:
    """Makes attempts at a pool that no other test uses."""

    def __init__(self) -> None:
        self.pool = uuid4().hex

    def reserve(
        self,
        username: str = "alice@example.com",
        *networks: str,
        step: str = "request",
        parts: Sequence[str] = (),
    ) -> Reservation:
        networks = networks or ("192.0.2.1/32",)
        return reserve(
            step, pool=self.pool, username=username, networks=networks, request_parts=parts
        )

    def wait(self, *who: str, **more: Any) -> int:
        """Return the seconds to wait: 0 if the attempt was counted."""
        refusal = self.reserve(*who, **more).refusal
        return refusal.retry_after or 0 if refusal else 0

    def passed(self, times: int, *who: str, **more: Any) -> int:
        """Return how many of so many attempts are let through. "{}" stands for the number of each."""
        names = ([text.format(number) for text in who] for number in range(times))
        return sum(self.wait(*name, **more) == 0 for name in names)


@pytest.fixture
def visitors():
    return Visitors()


def snapshot(store: str) -> set[Any]:
    """Return all that the store holds."""
    if store == "database":
        rows = LedgerSlot.objects.filter(expires__gt=time.time() * 1000)
        return set(rows.values_list("key", "number", "expires"))
    cache: Any = caches["limits"]
    return {(key, cache._expire_info[key]) for key in cache._cache}


# Keys


@pytest.mark.requirement("B9")
@pytest.mark.parametrize(
    "text",
    [
        *(" victim@example.com", "victim@example.com\t", "Victim@Example.COM"),
        "\N{FULLWIDTH LATIN SMALL LETTER V}ictim@example.com",
        "\N{IDEOGRAPHIC SPACE}victim@example.com\N{NO-BREAK SPACE}",
        "v\N{MATHEMATICAL BOLD SMALL I}ctim@example.com",
    ],
)
def test_spellings_of_an_identifier_share_its_key(text):
    """Spaces around it, case and compatibility forms make no other identifier."""
    assert identifier_key("default", text) == identifier_key("default", "victim@example.com")


@pytest.mark.requirement("B9")
def test_pools_and_sites_do_not_share_identifiers(settings):
    """The hash is keyed by pool and by SECRET_KEY, and no pool can pose as another."""
    keys = {identifier_key("default", "alice"), identifier_key("brand", "alice")}
    keys |= {identifier_key("a", "bc"), identifier_key("ab", "c"), identifier_key("a:b", "c")}
    settings.SECRET_KEY = "another"
    keys.add(identifier_key("default", "alice"))
    assert len(keys) == 6


@pytest.mark.requirement("B9")
@given(st.text(st.characters()))
@example("Straße")  # whose case folds to another length
def test_every_text_has_a_key(text):
    """
    This holds for surrogates, control characters and NUL. Equivalent spellings have the same key.
    """
    key = identifier_key("default", text)
    assert re.fullmatch(r"[0-9a-f]{64}", key)
    assert identifier_key("default", f" {text} ") == key
    assert identifier_key("default", text.casefold()) == key


@pytest.mark.requirement("B9", "H8")
@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_stored_in_clear(store, clock, configure, step):
    """Keys are safe for Memcached, have one hash tag, and hold no identifier, network, pool or secret."""
    configure(LIMITS={step: {"identifier": "1/h"}})
    networks = ("xyz::/64", "xyz::/56", "xyz::/48")
    for part in ("secret1", "secret2"):  # the second one is refused
        values = {"username": "Alice O'Hara\n", "networks": networks}
        reserve(step, pool="a pool", request_parts=[part], **values)
    held = snapshot(store)
    keys = [f"{key}:{n[0]}" if store == "database" else key.split(":", 2)[2] for key, *n in held]
    assert len(keys) >= 7
    for key in keys:
        assert re.fullmatch(r"\{cognito_reset\}:[\w:]{1,200}", key)
        assert not re.search(r"(?i)alice|hara|xyz|pool|secret", key)


# What is let through


@pytest.mark.requirement("B1", "B2")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("level", "who"),
    [
        ("identifier", ("alice", "192.0.2.{}/32")),
        ("network", ("user-{}", "192.0.2.1/32")),
        ("site", ("user-{}", "192.0.2.{}/32")),
    ],
)
def test_every_level_lets_exactly_its_limit_through(store, visitors, configure, step, level, who):
    """This holds at both steps, by identifier, by network and for the whole site."""
    configure(LIMITS={step: {**PLENTY, level: "3/h"}})
    assert visitors.passed(3, *who, step=step) == 3
    waits = [visitors.wait(*(text.format(n) for text in who), step=step) for n in range(3, 9)]
    assert all(3590 < wait <= 3600 for wait in waits)


@pytest.mark.requirement("B1", "B2")
@pytest.mark.parametrize(
    ("level", "passed"), [("identifier", (4, 0, 1)), ("network", (3, 2, 0)), ("site", (3, 1, 9))]
)
def test_a_level_can_be_switched_off(store, visitors, configure, level, passed):
    """None switches one level off; the others still count."""
    rates = {"identifier": "3/h", "network": "4/h", "site": "5/h", level: None}
    configure(LIMITS={"request": rates})
    assert visitors.passed(9) == passed[0]
    assert visitors.passed(9, "user-{}") == passed[1]
    assert visitors.passed(9, "new-{}", "198.51.100.{}/32") == passed[2]
    clear([identifier_key(visitors.pool, "alice@example.com")])


def test_limits_false_counts_nothing(db, visitors, configure, django_assert_num_queries):
    """LIMITS = False switches all of them off, and there is nothing to clear."""
    configure(LIMITS=False)
    with django_assert_num_queries(0):
        assert visitors.passed(30) == 30
        clear([identifier_key(visitors.pool, "alice@example.com")])
    assert visitors.reserve().resend_after == 0


@pytest.mark.requirement("B12")
def test_the_defaults_stay_below_cognitos_allowance(store, visitors, clock):
    """In an hour one identifier has 3 codes, 7 guesses, and 2 more from each network that asked."""
    counts = {"request": 0, "confirm": 0, "own": 0}
    for number in range(180):
        network = f"192.0.2.{number % 20}/32"
        counts["request"] += visitors.wait("alice", network) == 0
        counts["confirm"] += visitors.wait("alice", "198.51.100.1/32", step="confirm") == 0
        counts["own"] += visitors.wait("alice", network, step="confirm") == 0
        clock.advance(20)
    assert counts["request"] == 3
    assert 7 < counts["confirm"] + counts["own"] <= 7 + 3 * 2


@pytest.mark.requirement("B2")
def test_clearing_an_identifier_frees_no_network(store, visitors, configure):
    """The attempts of a network stay counted for all identifiers."""
    configure(LIMITS={"confirm": {**PLENTY, "network": "4/h"}})
    assert visitors.passed(4, "user-{}", step="confirm") == 4
    clear([identifier_key(visitors.pool, "user-0")])
    assert visitors.wait("user-0", step="confirm") > 0


@pytest.mark.requirement("B11")
def test_a_used_up_request_limit_leaves_the_confirm_step_alone(store, visitors, configure):
    """Somebody who asks for codes in a victim's name can't stop the victim from using one."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/h", "site": "2/h"}})
    assert visitors.passed(9, "victim", "198.51.100.{}/32") == 1
    assert visitors.wait("victim", step="confirm") == 0


@pytest.mark.parametrize("size", [6, 100], ids=["small", "of which a sample is read"])
@pytest.mark.parametrize(
    ("level", "who"),
    [
        ("identifier", ("alice", "192.0.2.{}/32")),
        ("network", ("user-{}", "192.0.2.1/32")),
        ("site", ("user-{}", "198.51.100.{}/32")),
    ],
)
def test_a_limit_goes_on_while_the_secret_key_is_changed(
    store, visitors, configure, settings, level, who, size
):
    """Some processes already use the new key, and others still the old one. All of them know both."""
    configure(LIMITS={"request": {**dict.fromkeys(PLENTY, "150/h"), level: f"{size}/h"}})
    oldest, old, new = (f"{uuid4()}" for _ in range(3))
    numbers = count()

    def passed(times: int, key: str, *fallbacks: str) -> int:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = key, fallbacks
        names = ([text.format(next(numbers)) for text in who] for _ in range(times))
        return sum(visitors.wait(*name) == 0 for name in names)

    total = passed(1, oldest)
    for _ in range(size // 3):
        total += passed(2, old, new, oldest)
        total += passed(2, new, old, oldest)
    assert total == size


def test_staff_see_a_full_limit_while_the_secret_key_is_changed(
    store, visitors, configure, settings
):
    """Its slots are held under two keys."""
    configure(LIMITS={"request": {**dict.fromkeys(PLENTY, "150/h"), "identifier": "2/h"}})
    assert visitors.wait("alice") == 0
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = f"{uuid4()}", [settings.SECRET_KEY]
    assert seconds_to_wait(visitors.pool, ["bob", "alice"]) == 0
    assert visitors.wait("alice") == 0
    assert 3590 < seconds_to_wait(visitors.pool, ["bob", "alice"]) <= 3600


def test_a_repeat_is_found_while_the_secret_key_is_changed(store, visitors, settings):
    """Whichever of two processes got the request first."""
    old, new = settings.SECRET_KEY, f"{uuid4()}"
    for first, second in ((old, new), (new, old)):
        parts = f"{uuid4()}", "123456"
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = first, []
        visitors.reserve(step="confirm", parts=parts).settle(CodeInvalid(sent=True))
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = second, [first]
        repeat = visitors.reserve(step="confirm", parts=parts)
        assert (repeat.is_repeat, repeat.answer) == (True, CodeInvalid)
        settings.SECRET_KEY_FALLBACKS = []
        assert not visitors.reserve(step="confirm", parts=parts).is_repeat


def test_a_repeat_waits_for_an_answer_under_the_other_key(store, visitors, settings, monkeypatch):
    """The first request is still running, in a process with the old key."""
    parts, old = ("alice", "123456"), settings.SECRET_KEY
    first = visitors.reserve(step="confirm", parts=parts)
    monkeypatch.setattr(time, "sleep", lambda _: first.settle(None))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = f"{uuid4()}", [old]
    repeat = visitors.reserve(step="confirm", parts=parts)
    assert (repeat.is_repeat, repeat.answer) == (True, None)


def test_pools_count_apart(store, visitors, configure):
    """A flood of one brand's requests doesn't use up another brand's limits."""
    configure(LIMITS={"request": dict.fromkeys(PLENTY, "1/h")})
    assert visitors.passed(2) == 1
    assert Visitors().passed(2) == 1


@pytest.mark.requirement("B8")
def test_ipv6_is_counted_by_three_prefixes(store, visitors, configure):
    """A /56 has four times the limit of a /64, and a /48 sixteen times."""
    configure(LIMITS={"request": {"network": "2/h"}})

    def passed(start: int, step: int) -> int:
        numbers = range(start, start + 40 * step, step)
        networks = [(f"/64 {n}", f"/56 {n // 256}", f"/48 {n // 65536}") for n in numbers]
        return sum(visitors.wait(f"user-{n}", *n) == 0 for n in networks)

    assert visitors.passed(9, "one-{}", "/64 0", "/56 0", "/48 0") == 2
    assert passed(1, 1) == 8 - 2
    assert passed(256, 256) == 32 - 8


@pytest.mark.requirement("B16")
def test_the_sites_limit_is_the_budget(store, visitors, configure):
    """Three hundred phone numbers from as many networks cost no more than the budget."""
    configure(LIMITS={"request": {"site": "100/h"}})
    assert visitors.passed(300, "+1555{:07}", "network {}") == 100


@pytest.mark.requirement("B16")
@pytest.mark.parametrize("size", [10, 100])
def test_the_site_keeps_a_share_for_new_networks(store, visitors, configure, monkeypatch, size):
    """Networks with a slot leave a fifth of the site's slots to all others, however many they use."""
    configure(LIMITS={"request": {"network": "50/h", "site": f"{size}/h"}})
    monkeypatch.setattr(random, "choice", min)
    count = visitors.passed(2, "user-{}", "192.0.2.{}/32")
    count += visitors.passed(size, "one-{}", "192.0.2.0/32")
    count += visitors.passed(size, "two-{}", "192.0.2.1/32")
    assert count == size * 4 / 5
    assert visitors.passed(size, "new-{}", "198.51.100.{}/32") == size / 5


@pytest.mark.requirement("B16")
def test_the_networks_of_one_home_do_not_use_up_the_site(store, visitors):
    """By default, all networks of a /56 get 80 of the site's thousand slots."""
    networks = [(f"/64 {number}", "/56", "/48") for number in range(100)]
    passed = sum(visitors.wait(f"user-{network}", *network) == 0 for network in networks)
    assert passed == 80
    assert visitors.wait("somebody", "192.0.2.1/32") == 0


# Windows and waits


@pytest.mark.requirement("B13")
@examples(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    rates=st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 8)),
        min_size=1,
        max_size=3,
        unique_by=lambda rate: rate[1],
    ),
    pauses=st.lists(st.integers(0, 24).map(lambda eighths: eighths / 8), max_size=25),
)
def test_a_limit_is_an_exact_sliding_window(store, clock, configure, rates, pauses):
    """
    An attempt is let through exactly if fewer than the limit were in the window before it. The time to
    wait, and the time until another code, are those until the next one is let through.
    """
    configure(LIMITS={"request": {**PLENTY, "identifier": ",".join(f"{n}/{w}s" for n, w in rates)}})
    visitors = Visitors()
    counted: list[float] = []

    def expected() -> int:
        waits = [0]
        for limit, window in rates:
            held = [time for time in counted if time + window > clock()]
            if len(held) == limit:
                waits.append(math.ceil(min(held) + window - clock()))
        return max(waits)

    for number, pause in enumerate(pauses):
        clock.advance(pause)
        wait = expected()
        reservation = visitors.reserve("alice", f"192.0.2.{number}")
        if wait:
            assert reservation.refusal
            assert reservation.refusal.retry_after == wait
        else:
            counted.append(clock())
            assert reservation.refusal is None
            assert reservation.resend_after == expected()


def test_the_wait_is_the_longest_of_the_full_limits(store, visitors, clock, configure):
    """After that wait the attempt is let through, and a second earlier it isn't."""
    configure(LIMITS={"request": {"identifier": "1/m", "network": "1/10m", "site": "3/d"}})
    assert visitors.wait() == 0
    clock.advance(30.5)
    assert visitors.wait() == 570
    clock.advance(569)
    assert visitors.wait() == 1
    clock.advance(0.5)
    assert visitors.wait() == 0


def test_the_wait_for_the_site_is_for_a_slot_that_one_may_take(
    store, visitors, clock, configure, monkeypatch
):
    """The slot that expires first is for new networks alone."""
    configure(LIMITS={"request": {"site": "5/h"}})
    monkeypatch.setattr(random, "choice", max)
    for number in range(5):
        assert visitors.wait(f"user-{number}", f"network {number}") == 0
        clock.advance(600)
    assert visitors.wait("somebody", "network 4") == 1200
    assert visitors.wait("somebody", "new network") == 600
    clock.advance(1200)
    assert visitors.wait("somebody", "network 4") == 0


@pytest.mark.parametrize(
    ("rates", "asked_at", "resend_after", "cool_downs"),
    [
        ("1/m,3/h", [0], 60, {0: True, 59: True}),
        ("1/m,3/h", [0, 60, 120], 3480, {0: True, 59: True, 60: False, 3479: False}),
        ("1/5m", [0], 300, {0: True, 59: True, 60: False, 299: False}),
        ("1/h", [0], 3600, {0: True, 59: True, 60: False}),
        ("2/m,3/h", [0], 0, {}),
        ("2/m,3/h", [0, 10], 50, {0: True, 49: True}),
        ("2/m,3/h", [0, 10, 60], 3540, {0: True, 59: True, 60: False}),
        ("100/h", [*range(100)], 3501, {0: True, 59: True, 60: False}),
    ],
)
def test_people_hear_when_they_may_ask_again_whatever_the_limits_are(
    store, visitors, clock, configure, rates, asked_at, resend_after, cool_downs
):
    """
    ``resend_after`` is the wait until the identifier's next code. A refusal within a minute of a code is
    a cool-down: a double click, or a person who asks again at once.
    """
    configure(LIMITS={"request": {"identifier": rates, "network": "1000/h"}})
    start = clock()
    for seconds in asked_at:
        clock.now = start + seconds
        reservation = visitors.reserve()
        assert reservation.refusal is None
    assert reservation.resend_after == resend_after
    for seconds, cool_down in cool_downs.items():
        clock.now = start + asked_at[-1] + seconds
        refusal = visitors.reserve().refusal
        assert refusal
        assert (refusal.retry_after, refusal.cool_down) == (resend_after - seconds, cool_down)
    clock.now = start + asked_at[-1] + resend_after
    assert visitors.reserve().refusal is None


@pytest.mark.parametrize(
    ("step", "network", "cool_downs"),
    [
        ("request", "1/h", [False]),
        ("confirm", "50/h", [False]),
        ("request", "50/h", [True] * 10 + [False]),
    ],
)
def test_what_is_no_cool_down(store, visitors, configure, step, network, cool_downs):
    """A network that is full as well, a guess, and the eleventh refusal in five minutes."""
    configure(LIMITS={step: {"identifier": "1/m", "network": network}})
    wait = 0 if step == "confirm" else 3600 if network == "1/h" else 60
    assert visitors.reserve(step=step).resend_after == wait
    refusals = [visitors.reserve(step=step).refusal for _ in cool_downs]
    assert [refusal and refusal.cool_down for refusal in refusals] == cool_downs


def test_a_changed_limit_holds_at_once(store, visitors, configure):
    """A limit that is raised or lowered starts from the slots that are held."""
    for rate, passed in (("3/h", 3), ("6/h", 3), ("2/h", 0)):
        configure(LIMITS={"request": {**PLENTY, "identifier": rate}})
        assert visitors.passed(9) == passed


@pytest.mark.parametrize("level", ["identifier", "site"])
def test_a_clock_that_is_set_back_locks_nobody_out(db, visitors, clock, configure, level):
    """A slot that expires later than any can was taken before the clock was set back."""
    size = {"identifier": 1, "site": 100}[level]  # the process remembers that a large one is full
    configure(LIMITS={"request": {**PLENTY, level: f"{size}/h"}})
    clock.advance(4 * 3600)
    assert visitors.passed(size + 1, "alice", "network {}") == min(size, 50)
    if level == "site":
        assert visitors.passed(99, "user-{}", "net-{}") == 50
    clock.advance(-4 * 3600)
    assert visitors.wait() == 0


def test_clocks_that_differ_a_little_let_nobody_through(store, visitors, clock, configure):
    """A machine whose clock is behind respects the slots of the others; no wait is over the window."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/m"}})
    assert visitors.wait() == 0
    clock.advance(-30)
    assert visitors.wait() == 60
    clock.advance(-31)  # a database's slot of a clock that is far ahead counts as expired
    assert visitors.wait() == (0 if store == "database" else 60)


def test_a_wait_is_never_less_than_a_second(use_cache, visitors, clock, configure):
    """The cache's own clock decides when a slot is free."""
    use_cache(LOCAL)
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/m"}})
    assert visitors.wait() == 0
    cache: Any = caches["limits"]
    cache._expire_info = dict.fromkeys(cache._expire_info, clock() + 100)
    clock.advance(70)
    assert visitors.wait() == 1


# Own guesses


@pytest.mark.requirement("B11")
def test_who_asked_for_a_code_keeps_two_guesses(store, visitors, clock, configure):
    """
    They hold in the network that asked, while a code is valid, if only the identifier's limits are
    full.
    """
    assert visitors.passed(9, "alice", "198.51.100.{}/32", step="confirm") == 5
    assert visitors.passed(9, "alice", step="confirm") == 0
    assert visitors.wait("alice") == 0
    clock.advance(3000)
    assert visitors.wait("alice") == 0
    clock.advance(700)  # the first code is dead, and the second isn't
    assert visitors.passed(9, "alice", "198.51.100.{}/32", step="confirm") == 5
    assert visitors.passed(9, "alice", step="confirm") == 2
    assert visitors.passed(9, "alice", "198.51.100.1/32", step="confirm") == 0
    clock.advance(3600)  # so that no slot of the larger limit is the only one of the smaller
    assert visitors.wait("bob", "198.51.100.1/32") == 0
    configure(LIMITS={"confirm": {"identifier": "1/h", "site": "1/h"}})
    assert visitors.passed(9, "bob", "198.51.100.1/32", step="confirm") == 1


# Refunds


def test_an_attempt_that_never_reached_cognito_is_refunded(store, visitors, clock, configure):
    """All slots are free again, at every level."""
    configure(LIMITS={"confirm": dict.fromkeys(PLENTY, "1/h")})
    with visitors.reserve(step="confirm", parts=["request"]) as reservation:
        assert len(snapshot(store)) == 4
        reservation.commit()
        reservation.settle(Unavailable())
    assert snapshot(store) == set()
    assert visitors.wait(step="confirm", parts=["request"]) == 0


def test_a_network_pays_for_the_sites_own_code(store, visitors, configure):
    """An attempt that ends before the call frees all slots but the network's."""
    configure(LIMITS={"confirm": {"identifier": "1/h", "network": "3/h", "site": "1/h"}})
    for _ in range(3):
        with pytest.raises(ValueError, match="hook"), visitors.reserve(step="confirm"):
            raise ValueError("the site's hook refuses")
    assert visitors.wait("bob", step="confirm") > 0
    assert visitors.wait("alice", "198.51.100.1/32", step="confirm") == 0


def test_a_refund_opens_a_full_site_again(store, visitors, configure):
    """A full limit isn't remembered for longer than it is full."""
    configure(LIMITS={"request": {"site": "1/h"}})
    reservation = visitors.reserve()
    assert visitors.wait("bob", "192.0.2.2/32") > 0
    reservation.commit()
    reservation.settle(Unavailable())
    assert visitors.wait("bob", "192.0.2.2/32") == 0


# Refusals


def test_refusals_are_written_ten_times_in_five_minutes(store, visitors, clock, configure):
    """A flood costs the store nothing but reads, lengthens no wait, and uses up no other limit."""
    configure(LIMITS={"request": {"identifier": "1/m,3/h", "network": "2/h", "site": "60/h"}})
    assert visitors.wait("alice") == 0
    before = snapshot(store)
    clock.advance(10)
    reservations = [visitors.reserve("alice") for _ in range(20)]
    waits = [
        reservation.refusal and reservation.refusal.retry_after for reservation in reservations
    ]
    assert waits == [50] * 20
    assert [reservation.is_first_refusal for reservation in reservations] == [True] + [False] * 19
    after = snapshot(store)
    assert after > before
    assert len(after - before) == 10
    assert visitors.wait("bob") == 0
    # For names without an attempt, their network's refusals count, so no name takes up space.
    names = [visitors.reserve(f"user-{number}") for number in range(20)]
    assert [reservation.is_first_refusal for reservation in names] == [True] + [False] * 19
    assert len(snapshot(store) - after) == 5 + 10
    assert visitors.reserve("bob").is_first_refusal
    clock.advance(301)
    assert visitors.reserve("alice").is_first_refusal
    assert visitors.reserve("carol").is_first_refusal


@only_database
def test_a_refusal_in_a_flood_is_one_statement(db, visitors, configure, django_assert_num_queries):
    configure(LIMITS={"confirm": {"identifier": "1/h"}})
    assert visitors.passed(12, step="confirm") == 1
    with django_assert_num_queries(1):
        assert visitors.wait(step="confirm") > 0


# Rivals


class Rival:
    """Acts once, when an attempt has read the slots and not yet taken one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
        self._acts = [act]
        for kind in (stores.CacheStore, stores.DatabaseStore):
            monkeypatch.setattr(kind, "read", self._wrapped(kind.read))

    def _wrapped(self, read: Any) -> Any:
        def wrapped(store: Any, wanted: Any) -> Any:
            held = read(store, wanted)
            while self._acts:
                self._acts.pop()()
            return held

        return wrapped


@pytest.mark.parametrize("rows", ["new", "used"])
def test_an_attempt_that_loses_a_slot_releases_the_others(
    store, visitors, clock, configure, monkeypatch, rows
):
    """
    A rival takes the network's last slot between the read and the take: the loser's wait is true, and its
    identifier's slots are free again. On rows that are new, and on expired ones.
    """
    configure(LIMITS={"request": {**PLENTY, "network": "1/h"}})
    if rows == "used":
        for name in ("alice", "bob"):
            visitors.wait(name)
            clock.advance(3600)
    Rival(monkeypatch, lambda: visitors.wait("bob"))
    assert visitors.wait("alice") == 3600
    assert len(snapshot(store)) == 4 + 1  # bob's, and the network's first refusal
    clock.advance(3600)
    assert visitors.wait("alice") == 0


def test_slots_are_released_in_reverse_order(use_cache, visitors, configure):
    """
    A rival that waits for the first slot then finds all others free. The request's own slot comes
    first.
    """
    use_cache({**LOCAL, "BACKEND": f"{__name__}.RecordingCache"})
    configure(LIMITS={"confirm": {"identifier": "1/m,2/h"}})
    RecordingCache.seen.clear()
    with visitors.reserve(step="confirm", parts=["request"]) as reservation:
        reservation.commit()
        reservation.settle(Unavailable())
    added, deleted = RecordingCache.seen
    assert [key.split(":")[4] for key in added] == [
        "repeat",
        "identifier",
        "identifier",
        "network",
        "site",
    ]
    assert deleted == added[::-1]


class RecordingCache(LocMemCache):
    seen: list[list[str]] = []

    def add(self, key: str, *args: Any, **kwargs: Any) -> bool:
        if not self.seen:
            self.seen.append([])
        self.seen[0].append(self.make_key(key))
        return super().add(key, *args, **kwargs)

    def delete_many(self, keys: Any, *args: Any, **kwargs: Any) -> None:
        self.seen.append([self.make_key(key) for key in keys])
        super().delete_many(keys, *args, **kwargs)


def test_an_attempt_that_loses_a_slot_takes_another(store, visitors, configure, monkeypatch):
    """While there are free slots, no crowd makes an attempt fail."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "20/h"}})
    Rival(monkeypatch, lambda: visitors.passed(19))
    assert visitors.wait() == 0
    assert visitors.wait() > 0


def test_a_row_that_was_purged_meanwhile_is_made_anew(db, visitors, clock, configure, monkeypatch):
    """A slot that was read as an expired row, and deleted before it was taken, is not lost."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/h"}})
    assert visitors.wait() == 0
    clock.advance(3600)
    Rival(monkeypatch, LedgerSlot.objects.all().delete)
    assert visitors.wait() == 0
    assert visitors.wait() == 3600


@pytest.mark.requirement("B4")
@pytest.mark.django_db(transaction=True)
def test_threads_get_exactly_the_limit(use_cache, visitors, configure):
    """Forty threads at once on a cache whose add is atomic. tests/services has the other stores."""
    use_cache(CACHES[CACHE] if CACHE else LOCAL)
    configure(LIMITS={"request": {**PLENTY, "identifier": "5/15m,7/h", "network": "70/h"}})
    start = threading.Barrier(40)
    waits: list[int] = []

    def run() -> None:
        start.wait()
        waits.append(visitors.wait())
        caches.close_all()

    threads = [threading.Thread(target=run) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits.count(0) == 5
    assert len(waits) == 40


# Large limits


@pytest.fixture
def looks(monkeypatch):
    """How many of the site's slots were read, each time."""
    looks: list[int] = []

    def counting(read: Any) -> Any:
        def wrapped(store: Any, wanted: Any) -> Any:
            looks.extend(len(numbers) for b, numbers in wanted.items() if b.level == "site")
            return read(store, wanted)

        return wrapped

    for kind in (stores.CacheStore, stores.DatabaseStore):
        monkeypatch.setattr(kind, "read", counting(kind.read))
    return looks


def test_a_full_site_is_read_once(store, visitors, clock, configure, looks):
    """
    A flood doesn't read a large full limit at every attempt. When a slot expires, attempts get
    through again.
    """
    configure(LIMITS={"request": {"network": None, "identifier": None, "site": "100/h"}})
    assert visitors.wait() == 0
    clock.advance(60)
    assert visitors.passed(99) == 99
    assert visitors.wait() == 3540
    looks.clear()
    clock.advance(60)
    assert [visitors.wait() for _ in range(5)] == [3480] * 5
    assert looks == [16] * 5
    clock.advance(3480)
    assert visitors.wait() == 0
    assert visitors.wait() == 60


def test_a_large_limit_is_not_counted_for_the_alarm(store, visitors, configure, looks, caplog):
    """A site above its half isn't slower: the sample that every attempt reads has to do."""
    configure(LIMITS={"request": {"network": None, "identifier": None, "site": "400/h"}})
    while not alarms(caplog):
        assert visitors.wait() == 0
    assert visitors.passed(20) == 20
    assert set(looks) == {16}


@pytest.mark.parametrize("level", ["identifier", "network"])
def test_other_large_limits_are_exact_too(store, visitors, configure, level):
    configure(LIMITS={"request": {"identifier": None, "network": None, level: "80/h"}})
    assert visitors.passed(90) == 80


# The alarms


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if "site_limit" in record.message and record.levelname == "ERROR"
    ]


@pytest.mark.requirement("B1")
def test_half_and_all_of_the_sites_limit_are_logged(store, visitors, clock, configure, caplog):
    """Each is logged once per window, without a name or network."""
    configure(LIMITS={"request": {**PLENTY, "site": "6/h"}})
    texts = [
        f"cognito_reset.site_limit_{event} step=request pool={visitors.pool} limit=6 seconds=3600"
        for event in ("half_used", "reached")
    ]
    found = []
    for number in range(10):
        visitors.wait(f"user-{number}", f"192.0.2.{number}/32")
        found.append(alarms(caplog))
    assert found == [*[[]] * 2, *[texts[:1]] * 4, *[texts] * 4]
    clock.advance(3600)
    visitors.passed(10, "user-{}", "192.0.2.{}/32")
    assert alarms(caplog) == texts * 2


@pytest.mark.requirement("B16")
def test_a_large_limit_is_logged_too(store, visitors, configure, caplog):
    """A sample tells that about half is used."""
    configure(LIMITS={"request": {"site": "200/h"}})
    visitors.passed(50, "user-{}", "network {}")
    assert alarms(caplog) == []
    visitors.passed(119, "next-{}", "next network {}")
    assert len(alarms(caplog)) == 1
    visitors.passed(50, "last-{}", "last network {}")
    assert ["reached" in text for text in alarms(caplog)] == [False, True]


@pytest.mark.requirement("B16")
@pytest.mark.parametrize(("used", "least", "most"), [(250, 0, 0.01), (500, 0.99, 1)])
def test_the_alarm_is_about_half_of_a_large_limit(used, least, most):
    """
    Each attempt looks at a sample of its own, so an hour of attempts has many. While a quarter of 1000/h is
    used, hardly any of the 250 samples looks half used; while half is used, surely one of the 500 does.
    """
    size = 1000
    crowds = (
        math.comb(used, held) * math.comb(size - used, SAMPLE - held)
        for held in range(CROWDED, SAMPLE + 1)
    )
    one = sum(crowds) / math.comb(size, SAMPLE)
    assert least <= 1 - (1 - one) ** used <= most


# Attacks


@pytest.mark.requirement("B12")
def test_own_guesses_have_a_limit_for_all_networks_together(store, visitors, clock, configure):
    """Whoever asks at the end of one hour and again at the start of the next has no more than six."""
    configure(LIMITS={"request": {"identifier": "3/h"}, "confirm": {"identifier": "7/h"}})
    networks = [f"192.0.2.{number}/32" for number in range(6)]
    for network in networks[:3]:
        assert visitors.wait("alice", network) == 0
    clock.advance(3590)
    guesses = sum(visitors.wait("alice", networks[n % 3], step="confirm") == 0 for n in range(20))
    clock.advance(20)
    for network in networks[3:]:
        assert visitors.wait("alice", network) == 0
    guesses += sum(visitors.wait("alice", networks[n % 6], step="confirm") == 0 for n in range(40))
    assert guesses == 13


@pytest.mark.requirement("A8")
def test_repeats_of_one_network_are_limited(store, visitors, configure):
    """They use up no other limit, but each holds one of the server's threads."""
    configure(LIMITS={})
    first = visitors.reserve(step="confirm", parts=["same"])
    first.commit()
    first.settle(None)
    repeats = [visitors.reserve(step="confirm", parts=["same"]) for _ in range(30)]
    assert [reservation.is_repeat for reservation in repeats] == [True] * 20 + [False] * 10
    assert 0 < repeats[-1].refusal.retry_after <= 300
    other = visitors.reserve("alice", "198.51.100.1/32", step="confirm", parts=["same"])
    assert other.is_repeat
    configure(LIMITS={"confirm": {"network": None}})
    assert visitors.reserve(step="confirm", parts=["same"]).is_repeat


@pytest.mark.requirement("B11")
def test_an_owner_who_may_not_ask_may_still_guess(store, visitors, configure):
    """A stranger had three codes sent to the owner, and then used up all guesses."""
    configure(LIMITS={})
    for rate in ("asks", "guesses"):
        step = "request" if rate == "asks" else "confirm"
        while visitors.wait("alice", "203.0.113.1/32", step=step) == 0:
            pass
    owner = "192.0.2.1/32"
    assert visitors.wait("alice", owner, step="confirm") > 0
    assert visitors.wait("alice", owner) > 0
    assert visitors.wait("alice", owner, step="confirm") == 0


# Staff


@pytest.mark.requirement("B11")
def test_staff_let_one_person_try_again(store, visitors, configure):
    """The limits of both steps are cleared, for any spelling. Nobody else's limits change."""
    configure(LIMITS={step: {**PLENTY, "identifier": "1/m,1/h"} for step in STEPS})
    for step in STEPS:
        assert visitors.passed(2, "{}", step=step) == 2
    clear(identifier_key(visitors.pool, name) for name in (" 0 ", "carol"))
    for number, step in enumerate(STEPS):
        assert visitors.wait("0", step=step) == 0
        assert visitors.wait("1", f"198.51.100.{number}/32", step=step) > 0


@pytest.mark.requirement("B5")
def test_resets_by_staff_are_counted_apart(store, visitors, configure):
    """By identifier, at the rates of the person's own requests, and apart from those."""
    configure(LIMITS={"request": {"identifier": "2/h", "network": "9/h", "site": "2/h"}})
    assert visitors.passed(3) == 2
    for name in ("alice", "bob"):
        for _ in range(2):
            reserve_for_staff(pool=visitors.pool, username=name)
        with pytest.raises(Throttled) as caught:
            reserve_for_staff(pool=visitors.pool, username=f" {name.upper()}")
        assert caught.value.cool_down is False
    clear([identifier_key(visitors.pool, "alice")])
    with pytest.raises(Throttled):
        reserve_for_staff(pool=visitors.pool, username="alice")


# A store that fails


@pytest.mark.requirement("B14")
def test_a_failing_store_lets_nobody_through(use_cache, visitors, caplog, monkeypatch):
    """
    Everybody gets 503. The failure is logged once a minute, without the text of the client's error.
    """
    use_cache({"BACKEND": f"{__name__}.BrokenCache"})
    for act in (visitors.reserve, visitors.reserve, lambda: clear(["key"])):
        with pytest.raises(Unavailable) as caught:
            act()
        assert caught.value.retry_after == 60
        assert caught.value.__context__ is None
    message = "cognito_reset.limits_unavailable store=limits error=builtins.ConnectionError"
    assert [record.getMessage() for record in caplog.records] == [message]
    assert caplog.records[0].exc_info is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    with pytest.raises(Unavailable):
        visitors.reserve()
    assert caplog.messages == [message] * 2


@pytest.mark.requirement("B14")
def test_a_site_may_let_everybody_through_in_an_outage(use_cache, visitors, configure, caplog):
    """
    Attempts go on with LIMITS_FAIL_OPEN, or without limits. Clearing the limits fails, and staff
    are told.
    """
    use_cache({"BACKEND": f"{__name__}.BrokenCache"})
    configure(LIMITS_FAIL_OPEN=True)
    assert visitors.passed(30, parts=["request"]) == 30
    assert len(caplog.records) == 1
    with pytest.raises(Unavailable):
        clear([identifier_key(visitors.pool, "alice")])
    configure(LIMITS_FAIL_OPEN=False, LIMITS=False)
    reservation = visitors.reserve(parts=["request"])
    reservation.commit()
    reservation.settle(CodeInvalid(sent=True))
    assert not reservation.is_repeat


def test_a_store_that_fails_behind_the_call_changes_no_answer(
    use_cache, visitors, settings, caplog
):
    """The slots expire by themselves then."""
    use_cache(LOCAL)
    reservation = visitors.reserve(step="confirm", parts=["request"])
    use_cache({"BACKEND": f"{__name__}.BrokenCache"})
    reservation.commit()
    reservation.settle(Unavailable())
    assert "cognito_reset.limits_unavailable" in caplog.text


@pytest.mark.requirement("B14")
@pytest.mark.parametrize(
    ("backend", "hint"),
    [
        ("tests.test_ratelimits.MuteCache", "hides its errors"),
        ("tests.test_ratelimits.LibraryIsMissing", "No module named 'no_such_library'"),
        ("tests.test_ratelimits.PasswordIsWrong", "LIMITS_CACHE"),
        ("tests.test_ratelimits.CommandIsRefused", "LIMITS_CACHE"),
        ("tests.test_ratelimits.KeyIsElsewhere", "is a cluster"),
    ],
)
def test_a_mistake_of_the_site_never_lets_anybody_through(
    use_cache, visitors, configure, caplog, backend, hint
):
    """
    This holds even with LIMITS_FAIL_OPEN, because nobody would notice. The log names the cause.
    """
    use_cache({"BACKEND": backend})
    configure(LIMITS_FAIL_OPEN=True)
    with pytest.raises(Unavailable):
        visitors.reserve()
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert caplog.messages[0].startswith("cognito_reset.limits_misconfigured store=limits error=")
    assert hint in caplog.messages[0]


@pytest.mark.requirement("B14")
@pytest.mark.parametrize("backend", ["no_such_library.Cache", "tests.test_ratelimits.NoSuch", None])
def test_a_cache_that_cannot_be_made_lets_nobody_through(use_cache, visitors, configure, backend):
    """This holds even with LIMITS_FAIL_OPEN. The answer is 503, and the log names the reason."""
    configure(LIMITS_FAIL_OPEN=True, LIMITS_CACHE="no_such_alias")
    if backend:
        use_cache({"BACKEND": backend})
    with pytest.raises(CognitoResetMisconfigured, match=r"LIMITS_CACHE.*(?i:no.?such)"):
        visitors.reserve()


def of_cluster(cause: Exception) -> Exception:
    error = redis.exceptions.RedisClusterException("Redis Cluster cannot be connected.")
    error.__cause__ = cause
    return error


def named(name: str, *parents: type[Exception]) -> type[Exception]:
    return type(name, parents or (Exception,), {})


def of_standby() -> Exception:
    """What Django makes of the error of a PostgreSQL that is read-only."""
    error = InternalError("cannot execute INSERT in a read-only transaction")
    error.__cause__ = named("ReadOnlySqlTransaction")()
    return error


MEMCACHE_ERROR = named("MemcacheError")
# What the clients raise while a server is down, or another one takes over; and what only looks like it.
OUTAGES = [
    redis.ConnectionError(),
    redis.TimeoutError(),
    redis.BusyLoadingError(),
    redis.sentinel.MasterNotFoundError(),
    redis.ReadOnlyError("You can't write against a read only replica."),
    redis.exceptions.ClusterDownError("The cluster is down"),
    redis.exceptions.MasterDownError("Link with MASTER is down"),
    redis.exceptions.SlotNotCoveredError("Slot 1 not covered by the cluster."),
    redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"),
    of_cluster(redis.ConnectionError()),
    MEMCACHE_ERROR("All servers seem to be down right now"),  # pymemcache
    named("MemcacheUnexpectedCloseError", MEMCACHE_ERROR)(),
    named("ServerDown")("error 47 from memcached_get_multi: SERVER HAS FAILED"),  # pylibmc
    ConnectionRefusedError(),
    redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's unable to"),
    redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
    of_standby(),
]
NO_OUTAGES = [
    redis.AuthenticationError(),
    redis.exceptions.NoPermissionError(),
    redis.ResponseError("CROSSSLOT Keys in request don't hash to the same slot"),
    of_cluster(redis.AuthenticationError()),
    redis.exceptions.RedisClusterException("MGET - all keys must map to the same key slot"),
    named("MemcacheIllegalInputError", named("MemcacheClientError", MEMCACHE_ERROR))(
        "Key is too long"
    ),
    KeyError(),
]


@pytest.mark.requirement("B14")
@pytest.mark.parametrize(
    ("error", "passes"),
    [*((error, True) for error in OUTAGES), *((error, False) for error in NO_OUTAGES)],
)
def test_an_outage_is_distinguished_from_a_mistake(
    use_cache, visitors, configure, monkeypatch, caplog, error, passes
):
    """With LIMITS_FAIL_OPEN, an outage lets people through. Any other error lets nobody through."""

    def get_many(*_: Any, **__: Any) -> Any:
        raise error

    use_cache(LOCAL)
    monkeypatch.setattr(LocMemCache, "get_many", get_many)
    configure(LIMITS_FAIL_OPEN=True)
    if passes:
        assert not visitors.reserve().refusal
    else:
        with pytest.raises(Unavailable):
            visitors.reserve()
    assert [record.levelname for record in caplog.records] == ["ERROR" if passes else "CRITICAL"]


class PasswordIsWrong(LocMemCache):
    def get_many(self, *_: Any, **__: Any) -> Any:
        raise redis.AuthenticationError("WRONGPASS")


class KeyIsElsewhere(LocMemCache):
    """A cluster's node, asked by a client that knows nothing of clusters."""

    def get_many(self, *_: Any, **__: Any) -> Any:
        raise redis.exceptions.MovedError("7000 127.0.0.1:7001")


class CommandIsRefused(LocMemCache):
    def get_many(self, *_: Any, **__: Any) -> Any:
        raise redis.ResponseError("CROSSSLOT Keys in request don't hash to the same slot")


@pytest.mark.requirement("B14")
@only_database
@pytest.mark.django_db(transaction=True)
def test_a_database_that_refuses_the_site_lets_nobody_through(visitors, configure, caplog):
    """A wrong password isn't an outage, although the driver raises the same exception."""
    configure(LIMITS_FAIL_OPEN=True)
    error = OperationalError("FATAL: password authentication failed")
    with connection.execute_wrapper(Faults(5, error=error)), pytest.raises(Unavailable):
        visitors.reserve()
    assert caplog.records[-1].levelname == "CRITICAL"


class LibraryIsMissing(LocMemCache):
    def get_many(self, *_: Any, **__: Any) -> Any:
        return import_module("no_such_library")


class Faults:
    """Makes the next statements fail, as a server or SQLite's lock would."""

    def __init__(self, times: int, start: str = "", error: Exception | None = None) -> None:
        self.left, self.start, self.seen = times, start, 0
        self.error = error or OperationalError("database is locked")

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.left and sql.startswith(self.start) and "SAVEPOINT" not in sql:
            self.left -= 1
            self.seen += 1
            raise self.error
        return execute(sql, params, many, context)


@pytest.mark.requirement("B14")
@only_database
@pytest.mark.parametrize(
    "error",
    [
        ProgrammingError('relation "cognito_reset_ledgerslot" does not exist'),
        OperationalError("no such table: cognito_reset_ledgerslot"),
        OperationalError("table cognito_reset_ledgerslot has no column named answer"),
    ],
)
def test_a_database_that_was_not_migrated_lets_nobody_through(
    db, visitors, configure, caplog, error
):
    """This holds even with LIMITS_FAIL_OPEN. The log names the table and the command."""
    configure(LIMITS_FAIL_OPEN=True)
    with connection.execute_wrapper(Faults(9, error=error)), pytest.raises(Unavailable):
        visitors.reserve()
    assert "CRITICAL" in caplog.text
    assert "cognito_reset_ledgerslot can't be used: run manage.py migrate" in caplog.text


@only_database
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", ["SELECT", "INSERT"])
def test_a_lost_lock_is_tried_for_again(visitors, start):
    """After "database is locked" or a deadlock, the attempt is repeated instead of refused."""
    with connection.execute_wrapper(Faults(4, start)):
        assert visitors.wait() == 0
    assert visitors.wait() > 0


@pytest.mark.requirement("B14")
@only_database
@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_lets_nobody_through(visitors, configure):
    """
    After a bounded number of tries the attempt is refused. With LIMITS_FAIL_OPEN everybody gets
    through.
    """
    faults = Faults(5)
    with connection.execute_wrapper(faults), pytest.raises(Unavailable):
        visitors.reserve()
    assert faults.seen == 5
    configure(LIMITS_FAIL_OPEN=True)
    with connection.execute_wrapper(Faults(5)):
        assert visitors.wait() == 0


@pytest.mark.requirement("B4")
@only_database
@pytest.mark.django_db(transaction=True)
def test_limits_are_never_counted_inside_a_transaction(visitors, configure, caplog):
    """
    A rollback would undo the attempt, so a transaction is refused and logged, even with
    LIMITS_FAIL_OPEN.
    """
    configure(LIMITS_FAIL_OPEN=True)
    with transaction.atomic(), pytest.raises(Unavailable):
        visitors.reserve()
    assert "CRITICAL" in caplog.text
    assert "Limits must be counted outside of transactions." in caplog.text
    assert not LedgerSlot.objects.exists()
    assert visitors.wait() == 0
    with transaction.atomic():  # what staff clear may be part of one
        clear([identifier_key(visitors.pool, "alice@example.com")])
    assert visitors.wait() == 0


def test_the_database_is_the_one_that_is_written_to(db, settings, visitors, configure):
    """A replica may not have the newest slots yet."""
    settings.DATABASE_ROUTERS = [f"{__name__}.ReplicaRouter"]
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/h"}})
    assert visitors.passed(2) == 1


# The stores' own methods


def keep(store: Store, slot: Slot, answer: int) -> None:
    store.keep(slot, answer)


def now() -> int:
    return int(time.time() * 1000)


def test_only_ones_own_slot_is_released(store, clock):
    """An attempt that releases a slot after it expired must not free the next holder's."""
    bucket, wide = (
        Bucket("request", "identifier", 1, 60, "a"),
        Bucket("request", "site", 2, 60, "a"),
    )
    late = Slot.taken(bucket, 0, now())
    clock.advance(61)
    mine = [Slot.taken(bucket, 0, now()), Slot.taken(wide, 0, now()), Slot.taken(wide, 1, now())]
    held = Holding(now() + 60_000, 0)

    def work(opened: Any) -> list[Any]:
        assert opened.take(mine)
        assert not opened.take(mine[:1])
        found = []
        for slots in ([late], mine[1:2], mine[:1]):
            opened.release(slots)
            found.append(opened.read({bucket: [0], wide: [0, 1]}))
        return found

    assert use_store(work) == [
        {bucket: {0: held}, wide: {0: held, 1: held}},
        {bucket: {0: held}, wide: {1: held}},
        {bucket: {}, wide: {1: held}},
    ]


def test_an_answer_is_kept_for_the_whole_time_again(store, clock):
    """This holds even if the slot has expired and was purged in the meantime."""
    bucket = Bucket("confirm", "repeat", 1, 300, "a")
    for pause in (100, 400):
        use_store(lambda opened: opened.take([Slot.taken(bucket, 0, now())]))
        clock.advance(pause)
        purge_expired()
        kept = Slot.taken(bucket, 0, now())
        use_store(partial(keep, slot=kept, answer=3))
        assert use_store(lambda opened: opened.read({bucket: [0]})) == {
            bucket: {0: Holding(now() + 300_000, 3)}
        }
        clock.advance(300)
        assert use_store(lambda opened: opened.read({bucket: [0]})) == {bucket: {}}


def make_rows(*ages: float) -> None:
    LedgerSlot.objects.bulk_create(
        LedgerSlot(key="old", number=number, expires=int((time.time() - age) * 1000))
        for number, age in enumerate(ages)
    )


def test_expired_rows_are_purged(db, monkeypatch):
    """They are purged a minute later, because clocks differ, in batches, the oldest first."""
    monkeypatch.setattr(stores, "PURGE_BATCH", 2)
    make_rows(70, 90, 80, 50, -60)
    assert [purge_expired(), purge_expired(), purge_expired()] == [2, 1, 0]
    assert set(LedgerSlot.objects.values_list("number", flat=True)) == {3, 4}


@only_database
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("share", "fails"), [(1.1, False), (1.1, True), (0, False)])
def test_some_attempts_purge(visitors, monkeypatch, share, fails):
    """So identifiers that never come back don't fill the table. A purge that fails refuses nobody."""
    monkeypatch.setattr(stores, "PURGE_SHARE", share)
    make_rows(86_400)
    with connection.execute_wrapper(Faults(100 if fails else 0, "DELETE")):
        assert visitors.wait() == 0
    assert LedgerSlot.objects.filter(key="old").exists() is (fails or share == 0)
