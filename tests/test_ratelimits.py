"""
What the limits let through, in both stores.

The database is the one that DATABASE names. The cache is LocMemCache, which one process may rely on,
or the one that CACHE names: tests/services runs this file again on real ones.
"""

from __future__ import annotations

import math
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import OperationalError, connection, transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cognito_reset.cognito.errors import CognitoResetMisconfigured, Throttled, Unavailable
from cognito_reset.conf import DEFAULT_LIMITS
from cognito_reset.models import LedgerSlot
from cognito_reset.resets import ratelimits as throttling
from cognito_reset.resets import stores as slots
from cognito_reset.resets.ratelimits import (
    Rate,
    check_in,
    check_in_staff,
    clear,
    identifier_key,
    parse_rates,
)
from tests.services.stores import CACHES

CACHE = os.environ.get("CACHE", "")
LOCAL = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "OPTIONS": {"MAX_ENTRIES": 1e6},
}
PLENTY = {"identifier": "50/h", "network": "50/h", "site": "60/h"}


class BrokenCache(LocMemCache):
    def get_many(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("redis://:hunter2@cache.internal")

    delete_many = get_many


class MuteCache(LocMemCache):
    """Hides its errors, as some clients' options have it."""

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
def _defaults(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    monkeypatch.setattr(slots, "_logged_at", -math.inf)


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    """Sets keys of COGNITO_RESET."""

    def configure(**keys: Any) -> None:
        settings.COGNITO_RESET = {**settings.COGNITO_RESET, **keys}

    return configure


@pytest.fixture
def use_database(db: None, configure: Callable[..., None]) -> None:
    configure(LIMITS_CACHE=None)


@pytest.fixture
def use_cache(settings: Any, configure: Callable[..., None]) -> Callable[[Any], None]:
    def use_cache(backend: Any) -> None:
        # A prefix of each test's own: nothing is left of another one, and nothing is emptied.
        settings.CACHES = {
            **settings.CACHES,
            "limits": {
                **backend,
                "LOCATION": backend.get("LOCATION", uuid4()),
                "KEY_PREFIX": uuid4(),
            },
        }
        configure(LIMITS_CACHE="limits")

    return use_cache


@pytest.fixture(params=["database", "cache"])
def store(
    request: pytest.FixtureRequest, use_database: None, use_cache: Callable[[Any], None]
) -> str:
    """Runs a test once on each kind of store."""
    if request.param == "cache":
        use_cache(CACHES[CACHE] if CACHE else LOCAL)
    elif CACHE:
        pytest.skip("this run is about a cache")
    return str(request.param)


class Clock:
    """Stands still until it is moved. In steps of 1/8 s: binary fractions are exact."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    if CACHE:
        pytest.skip("no test can move the clock of a real cache")
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


def attempt(
    identifier: str = "alice@example.com",
    network: str | None = "192.0.2.1/32",
    step: str = "request",
    pool: str = "default",
) -> int:
    """Try once, and give the seconds to wait: 0 when the attempt was counted."""
    try:
        check_in(step, pool=pool, identifier=identifier, network=network)
    except Throttled as error:
        return error.retry_after or 0
    return 0


def passed(attempts: Iterator[int]) -> int:
    return sum(1 for wait in attempts if wait == 0)


def snapshot(store: str) -> set[Any]:
    """Give all that the store holds."""
    if store == "database":
        now = time.time() * 1000
        rows = LedgerSlot.objects.filter(expires__gt=now)
        return set(rows.values_list("key", "number", "expires"))
    cache: Any = caches["limits"]
    return {(key, cache._expire_info[key]) for key in cache._cache}


# Rates


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("5/15m", (Rate(5, 900),)),
        ("1/m,3/h", (Rate(1, 60), Rate(3, 3600))),
        (" 20/h , 100/d ", (Rate(20, 3600), Rate(100, 86400))),
        ("10/30s", (Rate(10, 30),)),
        ("1/7d", (Rate(1, 604_800),)),
    ],
)
def test_rates_are_read(text: str, rates: tuple[Rate, ...]) -> None:
    """A number, a slash, and a time of so many seconds, minutes, hours or days."""
    assert parse_rates(text) == rates


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ",",
            "5",
            "/m",
            "5/",
            "5/0m",
            "0/m",
            "-1/m",
            "1.5/m",
            "5/w",
            "5/M",
            "5 / m",
            "5/m/ip",
        ),
        *("5/m,", "5/m;3/h", "١/m", "5/m\n6/h", "99999999/m", "1/9999999d", None, 60, ["5/m"]),
        *("5/m,6/60s", "1/h,1/h"),  # one window, two limits: which one?
    ],
)
def test_a_rate_that_cannot_be_used_is_said_to_be_so(text: Any) -> None:
    """No limit is guessed: a typing error must not switch one off."""
    with pytest.raises(CognitoResetMisconfigured, match="LIMITS"):
        parse_rates(text)


def test_b12_the_defaults_stay_below_cognitos_allowance(
    store: str, clock: Clock, configure: Callable[..., None]
) -> None:
    """B12: by default one identifier gets 3 codes and 7 guesses in any hour, 10 in all."""
    counts = {"request": 0, "confirm": 0}
    for _ in range(3 * 60):
        for step in counts:
            counts[step] += attempt(step=step) == 0
        clock.advance(20)
    assert counts == {"request": 3, "confirm": 7}


# Keys


@pytest.mark.parametrize(
    "text",
    [
        *(" victim@example.com", "victim@example.com\t", "Victim@Example.COM"),
        "\N{FULLWIDTH LATIN SMALL LETTER V}ictim@example.com",
        "\N{IDEOGRAPHIC SPACE}victim@example.com\N{NO-BREAK SPACE}",
        "v\N{MATHEMATICAL BOLD SMALL I}ctim@example.com",
    ],
)
def test_b9_all_ways_to_write_an_identifier_are_one(text: str) -> None:
    """B9: spaces around it, case and compatibility forms make no other identifier."""
    assert identifier_key("default", text) == identifier_key("default", "victim@example.com")


def test_b9_pools_and_sites_do_not_share_identifiers(settings: Any) -> None:
    """B9: the hash is keyed by pool and by SECRET_KEY, and no pool can pose as another."""
    keys = {identifier_key("default", "alice"), identifier_key("brand", "alice")}
    keys |= {identifier_key("a", "bc"), identifier_key("ab", "c"), identifier_key("a:b", "c")}
    settings.SECRET_KEY = "another"
    keys.add(identifier_key("default", "alice"))
    assert len(keys) == 6


@given(st.text(st.characters()))
@example("Straße")  # whose case folds to another length
def test_b9_every_text_has_a_key(text: str) -> None:
    """B9: surrogates, controls and NUL too; and a key's own forms are the same key."""
    key = identifier_key("default", text)
    assert re.fullmatch(r"[0-9a-f]{64}", key)
    assert identifier_key("default", f" {text} ") == key
    assert identifier_key("default", text.casefold()) == key


@pytest.mark.parametrize("step", ["request", "confirm"])
def test_b9_nothing_is_stored_in_clear(store: str, clock: Clock, step: str) -> None:
    """B9: keys are safe for Memcached, and hold no identifier, network or pool."""
    attempt("Alice O'Hara\n@example.com", "192.0.2.1/32", step, pool="a pool")
    if store == "database":
        keys = [f"{key}:{number}" for key, number, _ in snapshot(store)]
    else:
        keys = [key.split(":", 2)[2] for key, *_ in snapshot(store)]
    assert len(keys) >= 4
    for key in keys:
        assert re.fullmatch(r"[\w:.-]{1,200}", key)
        assert not re.search(r"(?i)alice|192|0\.2|pool", key)


# What gets through


@pytest.mark.parametrize("step", ["request", "confirm"])
@pytest.mark.parametrize("level", ["identifier", "network", "site"])
def test_b1_b2_every_level_lets_exactly_its_limit_through(
    store: str, configure: Callable[..., None], step: str, level: str
) -> None:
    """B1, B2: at both steps, by identifier, by network and in all."""
    configure(LIMITS={step: {**PLENTY, level: "3/h"}})
    identifiers = ["alice"] * 9 if level == "identifier" else [f"user-{n}" for n in range(9)]
    networks = ["192.0.2.1/32"] * 9 if level == "network" else [f"192.0.2.{n}/32" for n in range(9)]
    waits = [attempt(*who, step=step) for who in zip(identifiers, networks, strict=True)]
    assert waits[:3] == [0, 0, 0]
    assert all(3590 < wait <= 3600 for wait in waits[3:])


def test_b2_a_success_refills_nothing(store: str, configure: Callable[..., None]) -> None:
    """B2: what was counted for a network stays, whoever's attempts they were."""
    configure(LIMITS={"confirm": {**PLENTY, "network": "4/h"}})
    for user in ("alice", "bob", "carol", "dave"):
        assert attempt(user, step="confirm") == 0
    clear(identifier_key("default", "alice"))
    assert attempt("alice", step="confirm") > 0


def test_b11_a_spent_request_limit_leaves_the_confirm_step_alone(
    store: str, configure: Callable[..., None]
) -> None:
    """B11: who asks for codes in a victim's name can't stop the victim from using one."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/h", "site": "2/h"}})
    attempt("victim", "198.51.100.1/32")
    assert attempt("victim", "198.51.100.2/32") > 0
    assert attempt("victim", step="confirm") == 0


def test_pools_count_apart(store: str, configure: Callable[..., None]) -> None:
    """One brand's flood is not another's."""
    configure(LIMITS={"request": dict.fromkeys(PLENTY, "1/h")})
    assert attempt(pool="default") == 0
    assert attempt(pool="default") > 0
    assert attempt(pool="brand") == 0


def test_b7_unknown_addresses_share_one_network(store: str, configure: Callable[..., None]) -> None:
    """B7: who can't be told apart is counted together."""
    configure(LIMITS={"request": {**PLENTY, "network": "2/h"}})
    assert passed(attempt(f"user-{n}", "unknown") for n in range(5)) == 2


def test_without_a_network_the_other_levels_count(
    store: str, configure: Callable[..., None]
) -> None:
    """Staff's own attempts come from no visitor's network."""
    configure(LIMITS={"request": {"identifier": "2/h", "network": "1/h", "site": "60/h"}})
    assert passed(attempt("alice", None) for _ in range(5)) == 2


def test_limits_false_counts_nothing(
    use_database: None, configure: Callable[..., None], django_assert_num_queries: Any
) -> None:
    """LIMITS = False turns all of them off, and clearing too."""
    configure(LIMITS=False)
    with django_assert_num_queries(0):
        assert passed(attempt() for _ in range(30)) == 30
        clear(identifier_key("default", "alice@example.com"))


def test_b16_the_sites_limit_is_the_budget(store: str, configure: Callable[..., None]) -> None:
    """B16: a thousand phone numbers from as many networks cost no more than the budget."""
    configure(LIMITS={"request": {"site": "100/h"}})
    pool = uuid4().hex
    sent = passed(
        attempt(f"+1555{n:07}", f"10.0.{n // 256}.{n % 256}/32", pool=pool) for n in range(1000)
    )
    assert sent == 100


# Windows and waits


@pytest.mark.parametrize("store", ["database", "cache"], indirect=True)
@examples(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    rates=st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 8)),
        min_size=1,
        max_size=3,
        unique_by=lambda r: r[1],
    ),
    pauses=st.lists(st.integers(0, 24).map(lambda eighths: eighths / 8), max_size=25),
)
def test_b13_a_limit_is_an_exact_sliding_window(
    store: str,
    clock: Clock,
    configure: Callable[..., None],
    rates: list[tuple[int, int]],
    pauses: list[float],
) -> None:
    """
    B13: an attempt gets through exactly when fewer than the limit did in the window before it, at
    any edge; and is told exactly when the next one will.
    """
    configure(LIMITS={"request": {**PLENTY, "identifier": ",".join(f"{n}/{w}s" for n, w in rates)}})
    pool = uuid4().hex
    counted: list[float] = []
    for pause in pauses:
        clock.advance(pause)
        now = clock()
        expected = 0
        for limit, window in rates:
            held = [time for time in counted if time + window > now]
            if len(held) == limit:
                expected = max(expected, math.ceil(min(held) + window - now))
        assert attempt(pool=pool, network=None) == expected
        if expected == 0:
            counted.append(now)


def test_a_refused_attempt_leaves_no_trace(
    store: str, clock: Clock, configure: Callable[..., None]
) -> None:
    """Clients retry by themselves: a refusal takes nothing at any level and lengthens no wait."""
    configure(LIMITS={"request": {"identifier": "1/m,3/h", "network": "2/h", "site": "60/h"}})
    attempt("alice")
    before = snapshot(store)
    clock.advance(10)
    assert [attempt("alice") for _ in range(20)] == [50] * 20
    assert snapshot(store) == before
    attempt("bob")
    before = snapshot(store)
    assert attempt("carol") == 3590  # by the network: nothing of carol's is taken
    assert snapshot(store) == before


def test_the_wait_is_the_longest_of_the_levels_that_refuse(
    store: str, clock: Clock, configure: Callable[..., None]
) -> None:
    """After that wait the attempt gets through, and a second before it doesn't."""
    configure(LIMITS={"request": {"identifier": "1/m", "network": "1/10m", "site": "3/d"}})
    attempt()
    clock.advance(30.5)
    assert attempt() == 570
    clock.advance(569)
    assert attempt() == 1
    clock.advance(0.5)
    assert attempt() == 0


@pytest.mark.parametrize(
    ("step", "rates", "attempts", "cool_down"),
    [
        ("request", "1/m,3/h", 1, True),
        ("request", "1/m", 1, True),
        ("request", "3/h", 3, False),
        ("request", "1/m,1/h", 1, True),
        ("confirm", "1/m,3/h", 1, False),
    ],
)
def test_a_cool_down_is_told_from_a_spent_limit(
    store: str,
    configure: Callable[..., None],
    step: str,
    rates: str,
    attempts: int,
    cool_down: bool,
) -> None:
    """Only the wait between two codes for one identifier is a cool-down."""
    configure(LIMITS={step: {**PLENTY, "identifier": rates}})
    assert passed(attempt(step=step) for _ in range(attempts)) == attempts
    with pytest.raises(Throttled) as caught:
        check_in(step, pool="default", identifier="alice@example.com", network="192.0.2.1/32")
    assert caught.value.cool_down is cool_down


def test_a_spent_network_is_no_cool_down(store: str, configure: Callable[..., None]) -> None:
    """Another level that refuses as well makes it more than a wait between two codes."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/m", "network": "1/h"}})
    attempt()
    with pytest.raises(Throttled) as caught:
        check_in("request", pool="default", identifier="alice@example.com", network="192.0.2.1/32")
    assert caught.value.cool_down is False


def test_a_changed_limit_holds_at_once(store: str, configure: Callable[..., None]) -> None:
    """A limit that is raised or lowered starts from the slots that are taken."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "4/h"}})
    assert passed(attempt() for _ in range(3)) == 3
    configure(LIMITS={"request": {**PLENTY, "identifier": "6/h"}})
    assert passed(attempt() for _ in range(9)) == 3
    configure(LIMITS={"request": {**PLENTY, "identifier": "2/h"}})
    assert attempt() > 0


def test_a_clock_that_is_set_back_locks_nobody_out(
    use_database: None, clock: Clock, configure: Callable[..., None]
) -> None:
    """What ends further ahead than any slot can was taken before, and counts as free."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/h"}})
    clock.advance(4 * 3600)
    attempt()
    clock.advance(-4 * 3600)
    assert attempt() == 0
    assert attempt() == 3600


def test_clocks_that_differ_a_little_let_nobody_through(
    store: str, clock: Clock, configure: Callable[..., None]
) -> None:
    """A machine whose clock is behind respects the slots of the others; no wait is over the window."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/m"}})
    attempt()
    clock.advance(-30)
    assert attempt() == 60


def test_a_slot_that_outlives_its_end_is_waited_for(
    use_cache: Callable[[Any], None], clock: Clock, configure: Callable[..., None]
) -> None:
    """The cache's clock decides when a slot is free: a wait is never less than a second."""
    use_cache(LOCAL)
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/m"}})
    attempt()
    cache: Any = caches["limits"]
    cache._expire_info = dict.fromkeys(cache._expire_info, clock() + 100)
    clock.advance(70)
    assert attempt() == 1


# Among others


class Rival:
    """Comes in when an attempt has looked at the slots and not yet taken one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
        self._acts = [act]
        for name in ("CacheStore", "DatabaseStore"):
            kind = getattr(slots, name)
            monkeypatch.setattr(kind, "read", self._wrapped(kind.read))

    def _wrapped(self, read: Any) -> Any:
        def wrapped(store: Any, asked: Any, now: int) -> Any:
            held = read(store, asked, now)
            while self._acts:
                self._acts.pop()()
            return held

        return wrapped


@pytest.mark.parametrize("rows", ["new", "used"])
def test_who_loses_a_slot_gives_back_the_others(
    store: str,
    clock: Clock,
    configure: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    rows: str,
) -> None:
    """
    The network's last slot goes to another between the look and the take: the loser is told the
    true wait, and its identifier's slots are free again. On rows that are new, and on old ones.
    """
    configure(LIMITS={"request": {**PLENTY, "network": "1/h"}})
    if rows == "used":
        for name in ("alice", "bob"):
            attempt(name)
            clock.advance(3600)
    Rival(monkeypatch, lambda: attempt("bob"))
    assert attempt("alice") == 3600
    held = snapshot(store)
    assert len(held) == 3  # bob's
    clock.advance(3600)
    assert attempt("alice") == 0


def test_who_loses_one_slot_takes_another(
    store: str, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there are free ones, nobody is refused for having met somebody."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "20/h"}})

    def rivals() -> None:
        for _ in range(19):
            assert attempt() == 0

    Rival(monkeypatch, rivals)
    assert attempt() == 0
    assert attempt() > 0


def test_a_row_that_was_purged_meanwhile_is_made_anew(
    use_database: None,
    clock: Clock,
    configure: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slot seen as a used row, and deleted before it could be taken, is not lost."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/h"}})
    attempt()
    clock.advance(3600)
    Rival(monkeypatch, lambda: LedgerSlot.objects.all().delete())
    assert attempt() == 0
    assert attempt() == 3600


def test_only_ones_own_slot_is_given_back(
    store: str, clock: Clock, configure: Callable[..., None]
) -> None:
    """Who gives back a slot after its time must not free the next holder's."""
    bucket = slots.Bucket("request", "default", "identifier", Rate(1, 60), "digest")
    kept = slots._store()
    late = int(clock() * 1000)
    clock.advance(61)
    now = int(clock() * 1000)
    assert kept.take(bucket, 0, now)
    kept.give_back(bucket, 0, late)
    assert kept.read({bucket: [0]}, now) == {bucket: {0: now + 60_000}}
    kept.give_back(bucket, 0, now)
    assert kept.read({bucket: [0]}, now) == {bucket: {}}
    # Nor those that others took in the same moment: of another limit, and of this one.
    wide = slots.Bucket("request", "default", "network", Rate(2, 60), "digest")
    for held, number in ((bucket, 0), (wide, 0), (wide, 1)):
        assert kept.take(held, number, now)
    kept.give_back(wide, 0, now)
    end = now + 60_000
    assert kept.read({bucket: [0], wide: [0, 1]}, now) == {bucket: {0: end}, wide: {1: end}}


@pytest.mark.django_db(transaction=True)
def test_b4_threads_get_exactly_the_limit(
    settings: Any, use_cache: Callable[[Any], None], configure: Callable[..., None]
) -> None:
    """B4: forty threads at once on a cache whose add is atomic. tests/services has the other stores."""
    use_cache(CACHES[CACHE] if CACHE else LOCAL)
    configure(LIMITS={"request": {**PLENTY, "identifier": "5/15m,7/h", "network": "70/h"}})
    start = threading.Barrier(40)
    counted: list[int] = []

    def run() -> None:
        start.wait()
        counted.append(attempt())
        caches.close_all()

    threads = [threading.Thread(target=run) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.count(0) == 5
    assert len(counted) == 40


# A large limit


def test_a_large_limit_is_looked_at_in_a_sample(
    use_database: None, configure: Callable[..., None], django_assert_max_num_queries: Any
) -> None:
    """A site's limit of thousands is not read whole: one look, and one take per limit."""
    configure(LIMITS={"request": {**PLENTY, "identifier": "50/h", "site": "5000/h"}})
    LedgerSlot.objects.bulk_create(
        LedgerSlot(key=bucket.key, number=number, expires=bucket.end(int(time.time() * 1000)))
        for bucket in throttling._buckets("request", "default", {"site": _site_digest("default")})
        for number in range(0, 5000, 5)
    )
    with django_assert_max_num_queries(16) as captured:  # savepoints included
        assert attempt() == 0
    assert not any('number" < 5000' in query["sql"] for query in captured.captured_queries)


def _site_digest(pool: str) -> str:
    return slots.digest("site", pool)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many of the site's slots were looked at, each time."""
    looks: list[int] = []

    def counting(read: Any) -> Any:
        def wrapped(store: Any, asked: Any, now: int) -> Any:
            looks.extend(len(numbers) for b, numbers in asked.items() if b.level == "site")
            return read(store, asked, now)

        return wrapped

    for name in ("CacheStore", "DatabaseStore"):
        kind = getattr(slots, name)
        monkeypatch.setattr(kind, "read", counting(kind.read))
    return looks


def test_a_large_limit_that_is_full_is_counted_once(
    store: str, clock: Clock, configure: Callable[..., None], looks: list[int]
) -> None:
    """A flood can't have a full limit counted at every attempt, and a slot's end opens it again."""
    configure(LIMITS={"request": {"identifier": "1000/d", "network": "1000/d", "site": "100/h"}})
    pool = uuid4().hex
    assert attempt(pool=pool) == 0
    clock.advance(60)
    assert passed(attempt(pool=pool) for _ in range(99)) == 99
    assert attempt(pool=pool) == 3540
    looks.clear()
    clock.advance(60)
    assert [attempt(pool=pool) for _ in range(5)] == [3480] * 5
    assert looks == [throttling.SAMPLE] * 5
    clock.advance(3480)
    assert attempt(pool=pool) == 0
    assert attempt(pool=pool) == 60


def test_a_large_limit_is_not_counted_again_after_the_alarm(
    store: str, configure: Callable[..., None], looks: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """Who holds the site above its half, or just below, doesn't make every attempt slow."""
    configure(LIMITS={"request": {"identifier": "1000/d", "network": "1000/d", "site": "400/h"}})
    pool = uuid4().hex
    random.seed(4)
    while not alarms(caplog):
        assert attempt(pool=pool) == 0
    assert set(looks) == {throttling.SAMPLE, 400}
    looks.clear()
    assert passed(attempt(pool=pool) for _ in range(20)) == 20
    assert looks == [throttling.SAMPLE] * 20


def test_a_large_network_limit_is_exact_too(store: str, configure: Callable[..., None]) -> None:
    """Not only the site's limit may be large."""
    configure(LIMITS={"request": {"identifier": "1000/h", "network": "80/h", "site": "1000/h"}})
    pool = uuid4().hex
    assert passed(attempt(pool=pool) for _ in range(90)) == 80


# The operators' alarms


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if "site_limit" in r.message and r.levelname == "ERROR"
    ]


def test_b1_operators_hear_of_half_and_of_all_of_the_sites_limit(
    store: str, clock: Clock, configure: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """B1: once in a window each, and without anybody's name or network."""
    configure(LIMITS={"request": {**PLENTY, "site": "6/h"}})
    half = "cognito_reset.site_limit_half_used step=request pool=default limit=6 seconds=3600"
    full = "cognito_reset.site_limit_reached step=request pool=default limit=6 seconds=3600"
    heard = []
    for number in range(10):
        attempt(f"user-{number}", f"192.0.2.{number}/32")
        heard.append(alarms(caplog))
    assert heard == [*[[]] * 2, *[[half]] * 4, *[[half, full]] * 4]
    clock.advance(3600)
    for number in range(10):
        attempt(f"user-{number}", f"192.0.2.{number}/32")
    assert alarms(caplog) == [half, full] * 2


def test_b16_a_large_limit_sounds_the_alarms_too(
    store: str, configure: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """B16: a sample tells that half is near, and then the slots are counted."""
    configure(LIMITS={"request": {"site": "200/h"}})
    pool = uuid4().hex
    for number in range(100 - 1):
        attempt(f"user-{number}", f"192.0.2.{number}/32", pool=pool)
    assert alarms(caplog) == []
    for number in range(100, 150):
        attempt(f"user-{number}", f"192.0.2.{number}/32", pool=pool)
    assert len(alarms(caplog)) == 1
    for number in range(150, 220):
        attempt(f"user-{number}", f"192.0.2.{number}/32", pool=pool)
    assert [message.split()[0].rsplit("_", 1)[1] for message in alarms(caplog)] == [
        "used",
        "reached",
    ]


# Staff


def test_b11_staff_let_one_person_try_again(store: str, configure: Callable[..., None]) -> None:
    """B11: at both steps, however the name is written; nobody else's counts change."""
    configure(LIMITS={step: {**PLENTY, "identifier": "1/m,1/h"} for step in DEFAULT_LIMITS})
    for step in DEFAULT_LIMITS:
        for name in ("alice", "bob"):
            assert attempt(name, step=step) == 0
    clear(identifier_key("default", " ALICE "), identifier_key("default", "carol"))
    for step in DEFAULT_LIMITS:
        assert attempt("alice", step=step) == 0
        assert attempt("bob", step=step) > 0


def test_b5_resets_by_staff_are_counted_apart(store: str, configure: Callable[..., None]) -> None:
    """B5: by identifier, at the rates of the person's own requests, and never by those."""
    configure(LIMITS={"request": {"identifier": "2/h", "network": "9/h", "site": "2/h"}})
    for _ in range(3):
        attempt("alice")
    for name in ("alice", "bob"):
        for _ in range(2):
            check_in_staff(pool="default", identifier=name)
        with pytest.raises(Throttled) as caught:
            check_in_staff(pool="default", identifier=f" {name.upper()}")
        assert caught.value.cool_down is False
    clear(identifier_key("default", "alice"))
    with pytest.raises(Throttled):
        check_in_staff(pool="default", identifier="alice")


def test_staff_are_told_when_it_could_not_be_done(
    use_cache: Callable[[Any], None], configure: Callable[..., None]
) -> None:
    """With limits that fail open too: nothing was cleared."""
    use_cache({"BACKEND": f"{__name__}.BrokenCache"})
    configure(LIMITS_FAIL_OPEN=True)
    with pytest.raises(Unavailable):
        clear(identifier_key("default", "alice"))


# A store that fails


def test_b14_a_failing_store_lets_nobody_through(
    use_cache: Callable[[Any], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B14: 503 for everybody, said once a minute in the log, without what the client's error holds."""
    use_cache({"BACKEND": f"{__name__}.BrokenCache"})
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert caught.value.retry_after == 60
        assert caught.value.__context__ is None
    message = "cognito_reset.limits_unavailable store=limits error=builtins.ConnectionError"
    assert [record.getMessage() for record in caplog.records] == [message]
    assert caplog.records[0].exc_info is None
    monkeypatch.setattr(slots, "_logged_at", time.monotonic() - 61)
    with pytest.raises(Unavailable):
        attempt()
    assert len(caplog.records) == 2


def test_b14_a_site_may_let_everybody_through(
    use_cache: Callable[[Any], None],
    configure: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B14: LIMITS_FAIL_OPEN, and the log says so all the same."""
    use_cache({"BACKEND": f"{__name__}.BrokenCache"})
    configure(LIMITS_FAIL_OPEN=True)
    assert passed(attempt() for _ in range(30)) == 30
    assert len(caplog.records) == 1


def test_b14_a_cache_that_hides_its_errors_lets_nobody_through(
    use_cache: Callable[[Any], None],
    configure: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B14: it looks as a crowd does, which an attacker could make: that never opens the door."""
    use_cache({"BACKEND": f"{__name__}.MuteCache"})
    configure(LIMITS_FAIL_OPEN=True)
    with pytest.raises(Unavailable):
        attempt()
    assert "Contended" in caplog.text


def test_b14_a_cache_that_is_not_there_lets_nobody_through(configure: Callable[..., None]) -> None:
    """B14: nor does an alias that CACHES doesn't have, which a check finds first."""
    configure(LIMITS_CACHE="nowhere")
    with pytest.raises(Unavailable):
        attempt()


class Faults:
    """Makes the next statements fail, as a server or SQLite's lock would."""

    def __init__(self, times: int, start: str = "") -> None:
        self.left, self.start, self.seen = times, start, 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.left and sql.startswith(self.start) and "SAVEPOINT" not in sql:
            self.left -= 1
            self.seen += 1
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)


@pytest.mark.skipif(bool(CACHE), reason="this run is about a cache")
@pytest.mark.django_db(transaction=True)
def test_a_lost_lock_is_tried_for_again(configure: Callable[..., None]) -> None:
    """SQLite's "database is locked" and a deadlock's victim are no reason to refuse."""
    with connection.execute_wrapper(Faults(slots.TRIES - 1)):
        assert attempt() == 0
    assert attempt() > 0


@pytest.mark.skipif(bool(CACHE), reason="this run is about a cache")
@pytest.mark.django_db(transaction=True)
def test_b14_a_database_that_fails_lets_nobody_through(configure: Callable[..., None]) -> None:
    """B14: after a bounded number of tries."""
    faults = Faults(100)
    with connection.execute_wrapper(faults), pytest.raises(Unavailable):
        attempt()
    assert faults.seen == slots.TRIES


def test_a_failure_breaks_no_transaction_that_it_happens_in(
    use_database: None, configure: Callable[..., None]
) -> None:
    """A site that calls it inside of one, and fails open, can go on."""
    configure(LIMITS_FAIL_OPEN=True)
    faults = Faults(1)
    with transaction.atomic():
        with connection.execute_wrapper(faults):
            assert attempt() == 0
        assert LedgerSlot.objects.count() == 0
    assert faults.seen == 1


def test_the_database_is_the_one_that_is_written_to(
    use_database: None, settings: Any, configure: Callable[..., None]
) -> None:
    """A replica would not know yet what was taken a moment ago."""
    settings.DATABASE_ROUTERS = [f"{__name__}.ReplicaRouter"]
    configure(LIMITS={"request": {**PLENTY, "identifier": "1/h"}})
    assert attempt() == 0
    assert attempt() > 0


# Old rows


def make_rows(*ages: float) -> None:
    now = time.time()
    LedgerSlot.objects.bulk_create(
        LedgerSlot(key="old", number=number, expires=int((now - age) * 1000))
        for number, age in enumerate(ages)
    )


def test_rows_that_are_long_over_are_purged(use_database: None) -> None:
    """What is held, or may be used again soon, stays."""
    make_rows(86_400, 3601, 3599, 0, -60)
    assert slots.purge_expired() == 2
    assert set(LedgerSlot.objects.values_list("number", flat=True)) == {2, 3, 4}
    assert slots.purge_expired() == 0


def test_a_purge_goes_by_batches_oldest_first(
    use_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement locks a whole table of old rows."""
    monkeypatch.setattr(slots, "PURGE_BATCH", 2)
    make_rows(4000, 6000, 5000)
    assert slots.purge_expired() == 2
    assert set(LedgerSlot.objects.values_list("number", flat=True)) == {0}


def test_new_rows_take_old_ones_with_them(
    use_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So identifiers that never come back don't fill the table."""
    monkeypatch.setattr(slots, "PURGE_SHARE", 1.1)
    make_rows(86_400)
    assert attempt() == 0
    assert not LedgerSlot.objects.filter(key="old").exists()


def test_a_purge_that_fails_refuses_nobody(
    use_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for another time, then."""
    monkeypatch.setattr(slots, "PURGE_SHARE", 1.1)
    make_rows(86_400)
    with connection.execute_wrapper(Faults(100, "DELETE")):
        assert attempt() == 0
    assert LedgerSlot.objects.filter(key="old").exists()


def test_a_refusal_is_first_once_by_limit_and_window(
    store: str, clock: Clock, configure: Callable[..., None]
) -> None:
    """The audit's question: once by limit and window, and never where the store doesn't tell."""
    configure(LIMITS={"confirm": {"identifier": "1/h", "network": "2/h"}})

    def first_refusal(identifier: str) -> bool:
        with pytest.raises(Throttled) as caught:
            throttling.check_in("confirm", pool="p", identifier=identifier, network="n")
        return throttling.is_first_refusal(caught.value)

    for identifier in ("alice", "bob"):
        throttling.check_in("confirm", pool="p", identifier=identifier, network="n")
    # For alice it is the first refusal, of her own limit and the network's; for bob his own.
    assert [first_refusal("alice"), first_refusal("alice"), first_refusal("carol")] == [
        True,
        False,
        False,
    ]
    assert [first_refusal("bob"), first_refusal("bob")] == [True, False]
    clock.advance(3601)
    for identifier in ("alice", "bob"):
        throttling.check_in("confirm", pool="p", identifier=identifier, network="n")
    assert first_refusal("alice")
    configure(LIMITS_CACHE="no-such-cache")
    assert not throttling.is_first_refusal(Throttled(retry_after=1, refused_by=("x",)))
