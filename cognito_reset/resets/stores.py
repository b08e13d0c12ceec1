"""
Slots: what a limit is counted in, in a cache or in the database.

A slot is taken for a time, by one at most: in a cache it is a key, taken by ``add``; in the database
a row, taken by an UPDATE of one whose time is over, or by an INSERT that the unique constraint lets
through once. Keys have keyed hashes in them, and nothing in clear.
"""

from __future__ import annotations

import logging
import random
import time
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
from cognito_reset.models import LedgerSlot

logger = logging.getLogger(__name__)

T = TypeVar("T")

REPLAY: Final = "replay"  # the step of those that are kept as short as they say
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
    """The slots of one rate, for one identifier, network or site, or for one request."""

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


@sensitive_variables()
def digest(level: str, *parts: str) -> str:
    message = "\0".join(parts).encode(errors="surrogatepass")
    return salted_hmac(f"cognito_reset.{level}", message, algorithm="sha256").hexdigest()


def with_store(work: Callable[[Store], T]) -> T | Exception:
    """Give what ``work`` gives, or the store's error: raised from it, ours would carry it along."""
    try:
        return work(_store())
    except Exception as error:  # every cache's client has errors of its own
        _log_failure(error)
        return error


def _store() -> Store:
    alias = conf.limits_cache
    return DatabaseStore() if alias is None else CacheStore(alias)


class CacheStore:
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

    def hold(self, bucket: Bucket, now: int) -> None:
        self._cache.set(f"{bucket.key}:0", bucket.end(now), bucket.rate.seconds)

    def give_back(self, bucket: Bucket, number: int, now: int) -> None:
        if time.time() * 1000 < bucket.end(now):  # after that it may be another's
            self._cache.delete(f"{bucket.key}:{number}")

    def clear(self, buckets: list[Bucket]) -> None:
        self._cache.delete_many([f"{b.key}:{n}" for b in buckets for n in range(b.rate.limit)])


class DatabaseStore:
    """A slot is a row, taken until the time in it is over."""

    def __init__(self) -> None:
        database = router.db_for_write(LedgerSlot)
        self._connection = connections[database]
        self._rows = LedgerSlot.objects.using(database)
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

    def hold(self, bucket: Bucket, now: int) -> None:
        """Take the one slot of ``bucket`` whoever has it, from now on."""
        row = self._rows.filter(key=bucket.key, number=0)
        if not self._run(lambda: row.update(expires=bucket.end(now))):
            self.take(bucket, 0, now)

    def give_back(self, bucket: Bucket, number: int, now: int) -> None:
        mine = self._rows.filter(key=bucket.key, number=number, expires=bucket.end(now))
        # Of a limit the row is wanted again; of a request it never is.
        self._run(mine.delete if bucket.step == REPLAY else lambda: mine.update(expires=0))

    def clear(self, buckets: list[Bucket]) -> None:
        rows = self._rows.filter(key__in=[bucket.key for bucket in buckets])
        self._run(lambda: rows.delete())

    def purge(self) -> int:
        now = int(time.time() * 1000)
        replays = Q(key__startswith=f"cognito_reset:{REPLAY}:", expires__lte=now)
        over = self._rows.filter(Q(expires__lt=now - PURGE_AFTER_MS) | replays)
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


def purge_expired() -> int:
    """Delete a batch of rows that are long over, and say how many they were."""
    return DatabaseStore().purge()


Store = CacheStore | DatabaseStore

_log_lock = Lock()
_logged_at = -float("inf")


def _log_failure(error: Exception) -> None:
    global _logged_at
    with _log_lock:
        if time.monotonic() - _logged_at < LOG_INTERVAL_SECONDS:
            return
        _logged_at = time.monotonic()
    name = f"{type(error).__module__}.{type(error).__name__}"
    logger.error("cognito_reset.limits_unavailable store=%s error=%s", conf.limits_cache, name)
