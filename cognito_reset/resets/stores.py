"""
Where slots are stored: in a cache, or in the database.

A slot is held by at most one attempt, until it expires. In a cache it is a key: ``add`` succeeds for one
attempt only. In the database it is a row: a unique constraint allows one. Keys contain keyed hashes and
nothing in clear.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter, or_
from threading import Lock
from typing import Any, Final, TypeVar

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import connections, router
from django.db.models import Q
from django.db.transaction import atomic, non_atomic_requests
from django.db.utils import DatabaseError, IntegrityError, InterfaceError, OperationalError

from cognito_reset.conf import conf
from cognito_reset.models import LedgerSlot

logger = logging.getLogger(__name__)

T = TypeVar("T")

# In a Redis cluster all keys with the same tag in braces are on the same node, so that commands of
# several keys work.
TAG: Final = "{cognito_reset}"
# Texts of SQLite, MariaDB and PostgreSQL about mistakes of a site that they raise as OperationalError: a
# table or column that is missing, a wrong password or a permission that is missing.
MISTAKES: Final = (
    "no such",
    "no column named",
    "Unknown column",
    "denied",
    "authentication failed",
)
# Names of clients' exceptions that mean that the server can't be reached, or takes no writes, for example during a
# failover or because it is full. The lines are for all clients, for redis-py and valkey, for pymemcache, for
# pylibmc, and for a PostgreSQL that is a standby, of which Django makes an InternalError.
OUTAGES: Final = {
    *("ConnectionError", "TimeoutError", "ConnectionInterrupted", "OSError"),
    *("ReadOnlyError", "ClusterDownError", "SlotNotCoveredError", "TryAgainError"),
    "OutOfMemoryError",
    "MemcacheError",
    *("ServerDown", "ServerDead", "HostLookupError", "ReadError", "WriteError"),
    "UnknownReadFailure",
    "ReadOnlySqlTransaction",
}
# The starts of Redis's answers to writes while it can't save to its disk, or has too few replicas. They have no exceptions
# of their own.
TAKES_NO_WRITES: Final = ("MISCONF", "NOREPLICAS")
# Exceptions of redis-py and of pymemcache that mean a mistake of the site, although they inherit from OUTAGES.
NO_OUTAGES: Final = {"AuthenticationError", "AuthorizationError", "MemcacheClientError"}
TRIES: Final = 5  # of a statement that lost a deadlock or waited for SQLite's lock too long
# How far another machine's clock may be ahead. A slot that expires later than that was taken before
# our clock was set back, and counts as expired.
CLOCK_SKEW_MS: Final = 60_000
LOG_INTERVAL_SECONDS: Final = 60
PURGE_SHARE: Final = (
    1 / 16
)  # this share of the attempts also deletes up to PURGE_BATCH expired slots
PURGE_BATCH: Final = 500
PURGE_AFTER_MS: Final = 60_000


@dataclass(frozen=True)
class Bucket:
    """
    The slots of one limit for one subject: an identifier, a network, the whole site, or one request.
    ``size`` is the number of its slots. Each is held for ``seconds``.
    """

    step: str
    level: str
    size: int
    seconds: int
    digest: str

    @property
    def key(self) -> str:
        return f"{TAG}:{self.step}:{self.level}:{self.seconds}:{self.digest}"


@dataclass(frozen=True)
class Slot:
    """One slot of a bucket. ``expires`` is in milliseconds since 1970."""

    bucket: Bucket
    number: int
    expires: int

    @classmethod
    def taken(cls, bucket: Bucket, number: int, now: int) -> Slot:
        return cls(bucket, number, now + bucket.seconds * 1000)


@dataclass(frozen=True)
class Holding:
    """What a store knows of a slot that is held."""

    expires: int
    answer: int


# What a store knows, by bucket and number: only slots that are held.
Held = dict[Bucket, dict[int, Holding]]


class StoreUnavailable(Exception):
    """
    The store couldn't be used. ``is_mistake`` tells the site's own mistakes from an outage: a missing
    table or library mustn't let everybody through.
    """

    def __init__(self, *, is_mistake: bool) -> None:
        super().__init__(is_mistake)
        self.is_mistake = is_mistake


def use_store(work: Callable[[Store], T]) -> T:
    """Return what ``work`` returns. Raise StoreUnavailable if the store fails, and log why."""
    store = _store_factory(conf.limits_cache)
    try:
        return work(store)
    except Exception as error:  # each cache client raises exceptions of its own
        failure = _explained(error)
    # Outside of the except block, or the client's exception would be chained to ours.
    raise failure


def purge_expired() -> int:
    """Delete a batch of expired slots from the database, and return their number."""
    return DatabaseStore().purge()


def run_again(alias: str, work: Callable[[], T], tries: int = TRIES) -> T:
    """
    Run a statement or a transaction on that database, and again if it lost a deadlock or its connection was
    closed.
    """
    connection = connections[alias]
    try:
        return work()
    except (OperationalError, InterfaceError):
        can_connect = connection.connection is not None
        if connection.in_atomic_block or tries == 1 or not can_connect:
            raise
    connection.close_if_unusable_or_obsolete()  # the server may have been restarted
    time.sleep(random.uniform(0.005, 0.05))  # noqa: S311  # only spreads rivals
    return run_again(alias, work, tries - 1)


def outside_transactions(view: Callable[..., Any]) -> Callable[..., Any]:
    """
    Decorate a view so that ATOMIC_REQUESTS doesn't wrap it for any database: a rollback would undo counted
    attempts, and rivals would wait for the end of the transaction.
    """
    for alias in connections:
        view = non_atomic_requests(using=alias)(view)
    return view


def open_store(alias: str | None) -> Store:
    """Return the store for a value of LIMITS_CACHE."""
    return DatabaseStore() if alias is None else CacheStore(caches[alias])


_store_factory: Callable[[str | None], Store] = open_store


@contextmanager
def stores_opened_by(factory: Callable[[str | None], Store]) -> Iterator[None]:
    """
    Let ``factory`` open the stores of this process, in all threads, as the test kit does. It takes the value of
    LIMITS_CACHE. At the start, this process forgets when it last logged a failure.
    """
    global _store_factory, _logged_at
    before, _store_factory, _logged_at = _store_factory, factory, -float("inf")
    try:
        yield
    finally:
        _store_factory = before


class CacheStore:
    """A slot is a key, which exists for as long as the slot is held."""

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache

    def read(self, wanted: Mapping[Bucket, Collection[int]]) -> Held:
        """Return the wanted slots that are held, in one command."""
        slots = {
            _key(b, number): (b, number) for b, numbers in wanted.items() for number in numbers
        }
        held: Held = {bucket: {} for bucket in wanted}
        for key, (expires, answer) in self._cache.get_many(slots).items():
            bucket, number = slots[key]
            held[bucket][number] = Holding(expires, answer)
        return held

    def take(self, slots: Sequence[Slot]) -> bool:
        """Take all of the slots, in their order, or none. Return whether they were taken."""
        taken = 0
        try:
            for slot in slots:
                key, value = _key(slot.bucket, slot.number), (slot.expires, 0)
                if not self._cache.add(key, value, slot.bucket.seconds):
                    break
                taken += 1
        finally:
            if taken < len(slots):
                self.release(slots[:taken])
        return taken == len(slots)

    def keep(self, slot: Slot, answer: int) -> None:
        """Write an attempt's answer to its slot, which is then held for its whole time again."""
        value = (slot.expires, answer)
        self._cache.set(_key(slot.bucket, slot.number), value, slot.bucket.seconds)

    def release(self, slots: Sequence[Slot]) -> None:
        # A slot that has expired may be somebody else's by now.
        now = time.time() * 1000
        keys = [_key(slot.bucket, slot.number) for slot in reversed(slots) if now < slot.expires]
        self._cache.delete_many(keys)

    def clear(self, buckets: Iterable[Bucket]) -> None:
        self._cache.delete_many([_key(b, number) for b in buckets for number in range(b.size)])


class DatabaseStore:
    """
    A slot is a row, which is held until the time in it. One object serves one attempt: ``take()``
    deletes the expired rows that ``read()`` found in the slots that it takes.
    """

    def __init__(self) -> None:
        self._alias = router.db_for_write(LedgerSlot)
        self._rows = LedgerSlot.objects.using(self._alias)
        self._expired: dict[tuple[str, int], int] = {}

    def read(self, wanted: Mapping[Bucket, Collection[int]]) -> Held:
        """Return the wanted slots that are held, by one statement."""
        whole = [b.key for b, numbers in wanted.items() if len(numbers) == b.size]
        parts = [Q(key=b.key, number__in=list(n)) for b, n in wanted.items() if len(n) < b.size]
        rows = self._rows.filter(reduce(or_, parts, Q(key__in=whole)))
        by_key = {bucket.key: bucket for bucket in wanted}
        held: Held = {bucket: {} for bucket in wanted}
        now = int(time.time() * 1000)
        for row in self._run(lambda: list(rows)):
            bucket = by_key[row.key]
            if now < row.expires <= now + bucket.seconds * 1000 + CLOCK_SKEW_MS:
                held[bucket][row.number] = Holding(row.expires, row.answer)
            else:
                self._expired[row.key, row.number] = row.expires
        return held

    def take(self, slots: Sequence[Slot]) -> bool:
        """Take all of the slots, or none, by one INSERT. Return whether they were taken."""
        expired = [
            Q(key=slot.bucket.key, number=slot.number, expires=expires)
            for slot in slots
            if (expires := self._expired.get((slot.bucket.key, slot.number))) is not None
        ]

        def insert() -> None:
            # Inside another transaction this raises RuntimeError: a rollback would undo the attempt.
            with atomic(self._alias, durable=True):
                if expired:
                    self._rows.filter(reduce(or_, expired)).delete()
                # In the order of the index, so that rivals don't deadlock.
                self._rows.bulk_create(sorted(map(_row, slots), key=attrgetter("key", "number")))

        try:
            self._run(insert)
        except IntegrityError:  # a rival has taken one of them
            return False
        if random.random() < PURGE_SHARE:  # noqa: S311  # only spreads the work
            try:
                self.purge()
            except (DatabaseError, InterfaceError):  # a later attempt purges
                pass
        return True

    def keep(self, slot: Slot, answer: int) -> None:
        """Write an attempt's answer to its slot, which is then held for its whole time again."""
        row = self._rows.filter(key=slot.bucket.key, number=slot.number)
        if not self._run(lambda: row.update(expires=slot.expires, answer=answer)):
            # It has expired and was purged.
            lost = [_row(slot, answer)]
            self._run(lambda: self._rows.bulk_create(lost, ignore_conflicts=True))

    def release(self, slots: Sequence[Slot]) -> None:
        mine = (Q(key=slot.bucket.key, number=slot.number, expires=slot.expires) for slot in slots)
        rows = self._rows.filter(reduce(or_, mine))
        self._run(rows.delete)

    def clear(self, buckets: Iterable[Bucket]) -> None:
        rows = self._rows.filter(key__in=[bucket.key for bucket in buckets])
        self._run(rows.delete)

    def empty(self) -> None:
        self._run(self._rows.delete)

    def purge(self) -> int:
        expired = self._rows.filter(expires__lt=int(time.time() * 1000) - PURGE_AFTER_MS)
        ids = expired.order_by("expires").values_list("pk", flat=True)[:PURGE_BATCH]
        return self._run(lambda: expired.filter(pk__in=sorted(ids)).delete()[0])

    def _run(self, statement: Callable[[], T]) -> T:
        return run_again(self._alias, statement)


Store = CacheStore | DatabaseStore


def _key(bucket: Bucket, number: int) -> str:
    return f"{bucket.key}:{number}"


def _row(slot: Slot, answer: int = 0) -> LedgerSlot:
    key, number = slot.bucket.key, slot.number
    return LedgerSlot(key=key, number=number, expires=slot.expires, answer=answer)


_log_lock = Lock()
_logged_at = -float("inf")


def _explained(error: Exception) -> StoreUnavailable:
    """Log what is wrong with the store, at most once a minute, and return the StoreUnavailable to raise."""
    global _logged_at
    hint = _hint(error)
    with _log_lock:
        is_due = time.monotonic() - _logged_at >= LOG_INTERVAL_SECONDS
        if is_due:
            _logged_at = time.monotonic()
    if is_due:
        name, store = f"{type(error).__module__}.{type(error).__name__}", conf.limits_cache
        if hint:
            text = "cognito_reset.limits_misconfigured store=%s error=%s hint=%s"
            logger.critical(text, store, name, hint)
        else:
            logger.error("cognito_reset.limits_unavailable store=%s error=%s", store, name)
    return StoreUnavailable(is_mistake=bool(hint))


def _hint(error: Exception) -> str:
    """Return what to do about a mistake of the site's own, or "" if the store can't be reached."""
    # redis-py's client for clusters raises one exception for everything. Its cause tells what happened.
    causes = type(error).__mro__ + type(error.__cause__).__mro__
    names = {kind.__name__ for kind in causes}
    if isinstance(error, ImportError):
        return f"The cache's library can't be imported ({error}): install it."
    if isinstance(error, (OperationalError, InterfaceError)):
        if not any(text in str(error) for text in MISTAKES):
            return ""
    elif (names & OUTAGES and not names & NO_OUTAGES) or str(error).startswith(TAKES_NO_WRITES):
        return ""
    if isinstance(error, DatabaseError):
        return f"The table {LedgerSlot._meta.db_table} can't be used: run manage.py migrate."
    if isinstance(error, RuntimeError):
        return "Limits must be counted outside of transactions."
    if "MovedError" in names:
        return "This Redis is a cluster: use a cache for clusters."
    if type(error) is LookupError:  # raised by ratelimits.py
        return "The cache's client hides its errors, or reads from a replica that is behind."
    return 'COGNITO_RESET["LIMITS_CACHE"] or the cache that it names can\'t be used.'
