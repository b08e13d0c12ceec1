"""
Limits on both steps of a reset: per identifier, per client network and for the whole site.

A limit of N in W seconds is **N slots**. An attempt takes one slot of every limit that it comes
under, each for W seconds; where one has none left it gives back what it took, and is refused. So a
limit is an exact sliding window whatever runs at the same time, a refused attempt leaves no trace,
and the time to wait is that until the first slot's end. Who gets a slot the store decides: by
``add`` in a cache; in the database by an UPDATE of a row whose time is over, or an INSERT that the
unique constraint lets through once.

Counted before the call, by identifier, never by session, alike for users that don't exist, and apart
for the two steps: nobody can use up the tries for a code by asking for more codes. Identifiers and
networks are stored as keyed hashes only. Another SECRET_KEY, an emptied cache or a clock set ahead
start all limits anew; behind them is Cognito's own allowance.

Call it outside of transactions: in one, others wait for its end, and a rollback refunds the attempt.
"""

from __future__ import annotations

import logging
import random
import re
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Final, TypeVar

from django.core.cache import caches
from django.db import Error as DatabaseError
from django.db import IntegrityError, InterfaceError, OperationalError, connections, router
from django.db.models import Q
from django.db.transaction import atomic
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from cognito_reset.conf import conf
from cognito_reset.exceptions import CognitoResetMisconfigured, Throttled, Unavailable
from cognito_reset.models import ThrottleSlot

logger = logging.getLogger(__name__)

T = TypeVar("T")

STAFF: Final = "staff"
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
READ_WHOLE: Final = 64  # of a limit with more slots, a sample is looked at first
SAMPLE: Final = 16
CROWDED: Final = 10  # of the sample: time to count the site's slots, for the alarm at half
ROUNDS: Final = 10  # of looking and taking
TRIES: Final = 5  # of a statement that lost a deadlock or SQLite's lock
# How far another machine's clock may be ahead. A slot that ends later was taken before ours was set
# back, and counts as free.
CLOCK_SKEW_MS: Final = 60_000
LOG_INTERVAL_SECONDS: Final = 60
PURGE_SHARE = 1 / 16  # of the new rows delete up to PURGE_BATCH old ones
PURGE_BATCH: Final = 500
PURGE_AFTER_MS: Final = 3_600_000  # a row in steady use stays


@dataclass(frozen=True)
class Rate:
    limit: int
    seconds: int


@dataclass(frozen=True)
class Bucket:
    """The slots of one rate, for one identifier, network or site."""

    step: str
    pool: str
    level: str
    rate: Rate
    digest: str

    @property
    def key(self) -> str:
        return f"cognito_reset:{self.step}:{self.level}:{self.rate.seconds}:{self.digest}"

    def end(self, now: int) -> int:
        return now + self.rate.seconds * 1000


Held = dict[Bucket, dict[int, int]]  # the taken slots' ends by number, in milliseconds


class Contended(Exception):
    """Slots looked free and couldn't be had: a crowd, or a cache that hides its errors."""


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Read rates such as "20/h", "5/15m" or "1/m,3/h"."""
    rates: dict[int, Rate] = {}
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*([1-9][0-9]{0,6})/([1-9][0-9]{0,5})?([smhd])\s*", part)
        seconds = int(match[2] or 1) * UNITS[match[3]] if match else 0
        if match is None or seconds in rates:
            raise CognitoResetMisconfigured(f'COGNITO_RESET["LIMITS"]: "{text}" can\'t be used.')
        rates[seconds] = Rate(int(match[1]), seconds)
    return tuple(rates.values())


def identifier_key(pool: str, identifier: str) -> str:
    """
    Give the keyed hash that stands for ``identifier`` in the limits and in the audit: one for all
    ways to write it that Cognito may take for the same.
    """
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    return _digest("identifier", pool, unicodedata.normalize("NFKC", folded).strip())


@sensitive_variables("identifier")
def check_in(step: str, *, pool: str, identifier: str, network: str | None) -> None:
    """
    Count one attempt at "request" or "confirm", or raise ``Throttled``. Where the store fails nobody
    gets through (``Unavailable``); with LIMITS_FAIL_OPEN everybody does. ``network=None`` counts by
    the other two levels only.
    """
    digests = {"identifier": identifier_key(pool, identifier), "site": _digest("site", pool)}
    if network is not None:
        digests["network"] = _digest("network", pool, network)
    _count(_buckets(step, pool, digests))


@sensitive_variables("identifier")
def check_in_staff(*, pool: str, identifier: str) -> None:
    """
    Count one reset that staff send, or raise as ``check_in()`` does: by the rates for a person's own
    requests, and apart from them. Nobody's flood keeps staff from helping.
    """
    _count(_buckets(STAFF, pool, {"identifier": identifier_key(pool, identifier)}))


def clear(*identifier_keys: str) -> None:
    """
    Let who has these ``identifier_key()``s try again, at both steps. Networks and the site keep their
    counts. Raises ``Unavailable`` where the store fails.
    """
    buckets = [
        bucket
        for step in conf.limits or ()
        for key in identifier_keys
        for bucket in _buckets(step, "", {"identifier": key})
    ]
    if buckets and isinstance(_with_store(lambda store: store.clear(buckets)), Exception):
        raise Unavailable


def is_first_refusal(error: Throttled) -> bool:
    """
    Note a refusal, and say whether it is the first by any of its limits in their windows: that one
    is worth a row in the audit. Where the store fails, none is.
    """
    firsts = _with_store(
        lambda store: [_is_first(store, bucket, "refused") for bucket in error.refused_by]
    )
    return not isinstance(firsts, Exception) and any(firsts)


def purge_expired() -> int:
    """Delete a batch of rows that are long over, and say how many they were."""
    return _DatabaseStore().purge()


def _digest(level: str, *parts: str) -> str:
    message = "\0".join(parts).encode(errors="surrogatepass")
    return salted_hmac(f"cognito_reset.{level}", message, algorithm="sha256").hexdigest()


def _buckets(step: str, pool: str, digests: Mapping[str, str]) -> list[Bucket]:
    limits = conf.limits
    if limits is None:
        return []
    rates = limits["request" if step == STAFF else step]
    return [
        Bucket(step, pool, level, rate, digests[level])
        # The narrowest first: who loses there has taken nothing from anybody else.
        for level in ("identifier", "network", "site")
        if level in digests
        for rate in parse_rates(rates[level])
    ]


def _count(buckets: list[Bucket]) -> None:
    if not buckets:
        return
    refused = _with_store(lambda store: _take(store, buckets))
    if isinstance(refused, Exception):
        # What only looks like a failing store may be somebody's doing: that opens no door.
        if conf.limits_fail_open and not isinstance(refused, Contended):
            return
        raise Unavailable
    if refused:
        cool_down = all(
            (bucket.step, bucket.level, bucket.rate.limit) == ("request", "identifier", 1)
            for bucket in refused
        )
        wait = max(refused.values())
        raise Throttled(retry_after=wait, cool_down=cool_down, refused_by=tuple(refused))


def _take(store: _CacheStore | _DatabaseStore, buckets: list[Bucket]) -> dict[Bucket, int]:
    """Take a slot of each, and give nothing; or take none, and give the seconds to wait by bucket."""
    for _ in range(ROUNDS):
        now = int(time.time() * 1000)
        held, free = _look(store, buckets, now)
        for bucket in buckets:
            if bucket.level == "site":
                _watch(store, bucket, len(held[bucket]), now)
        refused = {b: _wait(b, held[b], now) for b in buckets if not free[b]}
        if refused:
            return refused
        taken: list[tuple[Bucket, int]] = []
        for bucket in buckets:
            number = next((n for n in free[bucket] if store.take(bucket, n, now)), None)
            if number is None:
                break
            taken.append((bucket, number))
        else:
            return {}
        for bucket, number in taken:
            store.give_back(bucket, number, now)
    raise Contended


def _look(
    store: _CacheStore | _DatabaseStore, buckets: list[Bucket], now: int
) -> tuple[Held, dict[Bucket, list[int]]]:
    """Give what is held and what is free of each: of a large limit in a sample, if that will do."""
    asked: dict[Bucket, Sequence[int]] = {}
    for bucket in buckets:
        numbers = range(bucket.rate.limit)
        asked[bucket] = random.sample(numbers, SAMPLE) if len(numbers) > READ_WHOLE else numbers
    held = store.read(asked, now)
    for bucket in buckets:
        found, limit, is_site = len(held[bucket]), bucket.rate.limit, bucket.level == "site"
        warn = is_site and found >= CROWDED and now >= _warned_until.get(bucket.key, 0)
        if len(asked[bucket]) == limit or not (found == SAMPLE or warn):
            continue
        full_until = _full_until.get(bucket.key, 0)
        if now < full_until <= bucket.end(now):
            asked[bucket], held[bucket] = (), {0: full_until}
            continue
        asked[bucket] = range(limit)
        held |= store.read({bucket: asked[bucket]}, now)
        if is_site and len(held[bucket]) == limit:
            _full_until[bucket.key] = min(held[bucket].values())
    free = {b: [n for n in numbers if n not in held[b]] for b, numbers in asked.items()}
    for rest in free.values():
        random.shuffle(rest)  # or all would try the same one first
    return held, free


def _wait(bucket: Bucket, held: Mapping[int, int], now: int) -> int:
    seconds = -((now - min(held.values())) // 1000)
    return min(max(seconds, 1), bucket.rate.seconds)  # whatever the clock did since


def _watch(store: _CacheStore | _DatabaseStore, site: Bucket, held: int, now: int) -> None:
    """Tell the operators, once per window, that the site's limit is half used up, or wholly."""
    if held == site.rate.limit:
        event = "reached"
    elif 2 * (held + 1) >= site.rate.limit:
        event = "half_used"
        _warned_until[site.key] = site.end(now)
    else:
        return
    if _is_first(store, site, event):
        logger.error(
            "cognito_reset.site_limit_%s step=%s pool=%s limit=%s seconds=%s",
            *(event, site.step, site.pool, site.rate.limit, site.rate.seconds),
        )


def _is_first(store: _CacheStore | _DatabaseStore, bucket: Bucket, event: str) -> bool:
    """Whether ``event`` happens for the first time in the bucket's window: a limit of one."""
    rate, level = Rate(1, bucket.rate.seconds), f"{bucket.level}_{event}"
    return not _take(store, [Bucket(bucket.step, bucket.pool, level, rate, bucket.digest)])


# What this process knows of the site's large limits, by key: counting one takes long in a cache,
# and while it is full anybody can have it counted.
_full_until: dict[str, int] = {}
_warned_until: dict[str, int] = {}


def _with_store(work: Callable[[_CacheStore | _DatabaseStore], T]) -> T | Exception:
    """Give what ``work`` gives, or the store's error: raised from it, ours would carry it along."""
    try:
        return work(_store())
    except Exception as error:  # every cache's client has errors of its own
        _log_failure(error)
        return error


def _store() -> _CacheStore | _DatabaseStore:
    alias = conf.throttle_cache
    return _DatabaseStore() if alias is None else _CacheStore(alias)


class _CacheStore:
    """A slot is a key, there for as long as the slot is taken."""

    def __init__(self, alias: str) -> None:
        self._cache = caches[alias]

    def read(self, asked: Mapping[Bucket, Sequence[int]], now: int) -> Held:
        slots = {f"{b.key}:{n}": (b, n) for b, numbers in asked.items() for n in numbers}
        held: Held = {bucket: {} for bucket in asked}
        for name, end in self._cache.get_many(slots).items():
            bucket, number = slots[name]
            held[bucket][number] = end
        return held

    def take(self, bucket: Bucket, number: int, now: int) -> bool:
        name = f"{bucket.key}:{number}"
        return bool(self._cache.add(name, bucket.end(now), bucket.rate.seconds))

    def give_back(self, bucket: Bucket, number: int, now: int) -> None:
        if time.time() * 1000 < bucket.end(now):  # after that it may be another's
            self._cache.delete(f"{bucket.key}:{number}")

    def clear(self, buckets: list[Bucket]) -> None:
        self._cache.delete_many([f"{b.key}:{n}" for b in buckets for n in range(b.rate.limit)])


class _DatabaseStore:
    """A slot is a row, taken until the time in it is over."""

    def __init__(self) -> None:
        database = router.db_for_write(ThrottleSlot)
        self._connection = connections[database]
        self._rows = ThrottleSlot.objects.using(database)
        self._over: set[tuple[str, int]] = set()

    def read(self, asked: Mapping[Bucket, Sequence[int]], now: int) -> Held:
        wanted = Q()
        for bucket, numbers in asked.items():
            whole = len(numbers) == bucket.rate.limit
            few = Q(number__lt=bucket.rate.limit) if whole else Q(number__in=numbers)
            wanted |= Q(key=bucket.key) & few
        rows = self._rows.filter(wanted).values_list("key", "number", "expires")
        by_key = {bucket.key: bucket for bucket in asked}
        held: Held = {bucket: {} for bucket in asked}
        for key, number, expires in self._run(lambda: list(rows)):
            if now < expires <= by_key[key].end(now) + CLOCK_SKEW_MS:
                held[by_key[key]][number] = expires
            else:
                self._over.add((key, number))
        return held

    def take(self, bucket: Bucket, number: int, now: int) -> bool:
        slot = {"key": bucket.key, "number": number}
        end = bucket.end(now)
        if (bucket.key, number) in self._over:
            self._over.discard((bucket.key, number))
            over = Q(expires__lte=now) | Q(expires__gt=end + CLOCK_SKEW_MS)
            rows = self._rows.filter(over, **slot)
            return self._run(lambda: rows.update(expires=end)) == 1
        try:
            self._run(lambda: self._rows.create(**slot, expires=end))
        except IntegrityError:
            return False
        if random.random() < PURGE_SHARE:  # noqa: S311  # nothing hangs on who does it
            try:
                self.purge()
            except DatabaseError:  # another time
                pass
        return True

    def give_back(self, bucket: Bucket, number: int, now: int) -> None:
        mine = self._rows.filter(key=bucket.key, number=number, expires=bucket.end(now))
        self._run(lambda: mine.update(expires=0))

    def clear(self, buckets: list[Bucket]) -> None:
        rows = self._rows.filter(key__in=[bucket.key for bucket in buckets])
        self._run(lambda: rows.delete())

    def purge(self) -> int:
        over = self._rows.filter(expires__lt=int(time.time() * 1000) - PURGE_AFTER_MS)
        ids = over.order_by("expires").values_list("pk", flat=True)[:PURGE_BATCH]
        return self._run(lambda: over.filter(pk__in=sorted(ids)).delete()[0])

    def _run(self, statement: Callable[[], T], tries: int = TRIES) -> T:
        """Run one statement: it breaks no transaction that it is in, and outlives a deadlock."""
        in_transaction = self._connection.in_atomic_block
        try:
            with atomic(self._connection.alias) if in_transaction else nullcontext():
                return statement()
        except (OperationalError, InterfaceError):
            if in_transaction or tries == 1 or self._connection.connection is None:
                raise
        self._connection.close_if_unusable_or_obsolete()  # the server may have been restarted
        time.sleep(random.uniform(0.005, 0.05))  # noqa: S311  # only spreads them
        return self._run(statement, tries - 1)


_log_lock = Lock()
_logged_at = -float("inf")


def _log_failure(error: Exception) -> None:
    global _logged_at
    with _log_lock:
        if time.monotonic() - _logged_at < LOG_INTERVAL_SECONDS:
            return
        _logged_at = time.monotonic()
    name = f"{type(error).__module__}.{type(error).__name__}"
    logger.error("cognito_reset.limits_unavailable store=%s error=%s", conf.throttle_cache, name)
