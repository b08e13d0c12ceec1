"""What this site keeps itself: its tables, and the store of the rate limits."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any, Final

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor

from cognito_reset.conf import conf
from cognito_reset.doctor.findings import Finding, Result
from cognito_reset.models import BulkRun, LedgerSlot, ResetEvent
from cognito_reset.resets.stores import Bucket, Slot, Store, StoreUnavailable, use_store

TRIAL_SECONDS: Final = 60


def examine_tables() -> Iterator[Result]:
    """Yield whether each database with tables of the app has them as this version needs them."""
    aliases = {router.db_for_write(model) for model in (ResetEvent, LedgerSlot, BulkRun)}
    yield from map(_tables, sorted(aliases))


def _tables(alias: str) -> Result:
    detail = f'Database "{alias}".'
    try:
        executor = MigrationExecutor(connections[alias])
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes("cognito_reset"))
    except (DatabaseError, ImproperlyConfigured) as error:  # the latter without DATABASES
        return Result(Finding.DATABASE_DOWN, f"{detail} {type(error).__name__}.")
    if pending:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in pending)
        return Result(Finding.TABLES_MISSING, f"{detail} Not applied: {names}.")
    return Result(Finding.TABLES_THERE, detail)


def examine_limits() -> Iterator[Result]:
    """Yield whether the limits are on, and whether their store counts: it is really tried."""
    if conf.limits is None:
        yield Result(Finding.LIMITS_OFF)
    alias = conf.limits_cache
    database = router.db_for_write(LedgerSlot)
    detail = f'CACHES["{alias}"].' if alias else f'Database "{database}".'
    try:
        is_exact = use_store(_counts)
    except StoreUnavailable as error:
        if not alias and _tables(database).finding is Finding.TABLES_MISSING:
            return  # which is yielded with the other tables, with its fix
        reason = "It is a mistake in the settings." if error.is_mistake else "It can't be reached."
        yield Result(Finding.LIMITS_DOWN, f"{detail} {reason}")
        return
    yield Result(Finding.LIMITS_WORK if is_exact else Finding.LIMITS_INEXACT, detail)
    if alias:
        yield _eviction(alias)


def _counts(store: Store) -> bool:
    """Take a slot of a bucket that nobody else has, let a rival try the same, and release it."""
    bucket = Bucket("doctor", "repeat", 1, TRIAL_SECONDS, secrets.token_hex(32))
    now = int(time.time() * 1000)
    slot, rival = Slot.taken(bucket, 0, now), Slot.taken(bucket, 0, now + 1)
    is_taken = store.take([slot])
    try:
        is_held = 0 in store.read({bucket: [0]})[bucket]
        is_refused = not store.take([rival])
    finally:
        store.release([slot])
    is_free = 0 not in store.read({bucket: [0]})[bucket]
    return is_taken and is_held and is_refused and is_free


def _eviction(alias: str) -> Result:
    """Return whether a Redis or Valkey removes keys when it is full. Of other caches that can't be seen."""
    try:
        nodes = _memory_of_nodes(caches[alias])
        policies = {node["maxmemory_policy"] for node in nodes if int(node["maxmemory"])}
    except Exception as error:  # each cache client raises other exceptions
        detail = f'CACHES["{alias}"]: {type(error).__name__}.'
        return Result(Finding.LIMITS_EVICTION_UNKNOWN, detail)
    removing = sorted(policies - {"noeviction"})
    if removing:
        detail = f'CACHES["{alias}"]: maxmemory-policy {", ".join(removing)}.'
        return Result(Finding.LIMITS_EVICTED, detail)
    return Result(Finding.LIMITS_KEPT, f'CACHES["{alias}"].')


def _memory_of_nodes(cache: Any) -> list[dict[str, Any]]:
    """Return what INFO says of the memory of each node. django-redis has ``client``, Django's own cache ``_cache``."""
    client = cache.client if hasattr(cache, "client") else cache._cache
    memory = client.get_client(write=True).info("memory")
    return [memory] if "maxmemory_policy" in memory else list(memory.values())
