"""The doctor and what the site stores: its tables, and the store of the limits, which is really tried."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import ConnectionHandler

from cognito_reset.doctor.findings import Finding
from cognito_reset.models import LedgerSlot
from tests.doctor.world import of_site, without_tables, wrong
from tests.test_pages import with_settings


class SharedCache(LocMemCache):
    """A cache that passes for a shared one, because only the checks know LocMemCache by its class."""


class ForgetfulCache(LocMemCache):
    """A cache whose add() always succeeds, as that of pymemcache with default_noreply."""

    def add(self, key, value, *args, **kwargs):
        self.set(key, value, *args, **kwargs)
        return True


class LosingCache(LocMemCache):
    """A cache that stores nothing."""

    def get_many(self, keys, *args, **kwargs):
        return {}


class BrokenCache(LocMemCache):
    def add(self, *args, **kwargs):
        raise ConnectionError("redis://:hunter2@cache")


class MistakenCache(LocMemCache):
    def add(self, *args, **kwargs):
        raise TypeError("unexpected keyword")


def use_cache(settings, backend, **more):
    settings.CACHES = {**settings.CACHES, "limits": {"BACKEND": backend, **more}}
    with_settings(settings, LIMITS_CACHE="limits")


def test_a_site_with_everything_in_its_place(db, settings):
    """The limits are counted in the database, and no slot is left."""
    with_settings(settings, LIMITS={})
    assert of_site() == {
        Finding.TABLES_THERE: 'Database "default".',
        Finding.LIMITS_WORK: 'Database "default".',
    }
    assert not LedgerSlot.objects.exists()


def test_tables_that_are_not_migrated(db):
    """The detail names the migrations."""
    applied = MigrationRecorder(connection).migration_qs.filter(app="cognito_reset")
    applied.filter(name__gt="0002").delete()
    found = of_site()
    assert "cognito_reset.0002_staff" in found[Finding.TABLES_MISSING]
    assert Finding.TABLES_THERE not in found


def test_tables_that_are_not_there(db):
    """Each migration is named with its app, and nothing else is blamed for the limits."""
    MigrationRecorder(connection).migration_qs.filter(app__in=("auth", "cognito_reset")).delete()
    with without_tables(OperationalError("no such table: cognito_reset_ledgerslot")):
        found = of_site()
    detail = found[Finding.TABLES_MISSING]
    assert "auth.0001_initial" in detail
    assert "cognito_reset.0001_initial" in detail
    assert wrong(found) == {Finding.TABLES_MISSING, Finding.LIMITS_OFF}


def test_a_database_that_is_not_there(db):
    """Neither the tables nor the limits can be examined, and the server's text isn't shown."""

    def fail(*args):
        raise OperationalError("connection to server at hunter2@10.0.0.1 failed")

    with connection.execute_wrapper(fail):
        found = of_site()
    assert found[Finding.DATABASE_DOWN] == 'Database "default". OperationalError.'
    assert Finding.LIMITS_DOWN in found
    assert "hunter2" not in str(found)


def test_a_site_without_a_database(settings, monkeypatch):
    """Django's placeholder for DATABASES raises an error of its own."""
    none = ConnectionHandler({"default": {"ENGINE": "django.db.backends.dummy"}})
    monkeypatch.setattr("cognito_reset.doctor.state.connections", none)
    use_cache(settings, f"{__name__}.SharedCache")
    found = of_site()
    assert found[Finding.DATABASE_DOWN] == 'Database "default". ImproperlyConfigured.'
    assert Finding.LIMITS_WORK in found


def test_limits_that_are_off(db):
    """The tests' settings have them off. Their store is tried all the same, because it recognises repeats."""
    found = of_site()
    assert wrong(found) == {Finding.LIMITS_OFF}
    assert Finding.LIMITS_WORK in found


def test_a_cache_that_counts(db, settings):
    """Whether it removes keys can only be seen in Redis."""
    use_cache(settings, f"{__name__}.SharedCache")
    found = of_site()
    assert found[Finding.LIMITS_WORK] == 'CACHES["limits"].'
    assert found[Finding.LIMITS_EVICTION_UNKNOWN].startswith('CACHES["limits"]: ')


@pytest.mark.parametrize("cache", [ForgetfulCache, LosingCache])
def test_a_cache_that_does_not_count(db, settings, cache):
    """A rival gets the slot that is held, or the slot isn't there."""
    use_cache(settings, f"{__name__}.{cache.__name__}")
    assert Finding.LIMITS_INEXACT in wrong(of_site())


def test_a_cache_that_is_down(db, settings):
    """The client's text may have a password, so it isn't shown."""
    use_cache(settings, f"{__name__}.BrokenCache")
    found = of_site()
    assert found[Finding.LIMITS_DOWN] == 'CACHES["limits"]. It can\'t be reached.'


def test_a_cache_that_can_not_be_used(db, settings):
    """An error that is no outage is a mistake in the settings."""
    use_cache(settings, f"{__name__}.MistakenCache")
    assert "mistake" in of_site()[Finding.LIMITS_DOWN]


def test_limits_that_can_not_be_read(db, settings):
    """The tables are examined nevertheless."""
    with_settings(settings, LIMITS="text")
    found = of_site()
    assert "LIMITS" in found[Finding.SETTINGS_UNUSABLE]
    assert Finding.TABLES_THERE in found


@contextmanager
def redis(folder, *options):
    """A Redis of the test's own, on a Unix socket."""
    path = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                try:
                    with socket.socket(socket.AF_UNIX) as tried:
                        tried.connect(str(path))
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"unix://{path}"
        finally:
            process.terminate()


@pytest.mark.services
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server isn't there")
@pytest.mark.parametrize(
    "backend",
    ["django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"],
)
@pytest.mark.parametrize(
    ("policy", "memory", "finding"),
    [
        ("allkeys-lru", "10mb", Finding.LIMITS_EVICTED),
        ("volatile-ttl", "10mb", Finding.LIMITS_EVICTED),
        ("noeviction", "10mb", Finding.LIMITS_KEPT),
        ("allkeys-lru", "0", Finding.LIMITS_KEPT),
    ],
)
def test_a_redis_that_removes_keys(db, settings, tmp_path, backend, policy, memory, finding):
    """Without a limit of its memory it never removes any."""
    pytest.importorskip(backend.partition(".")[0])
    with redis(tmp_path, "--maxmemory", memory, "--maxmemory-policy", policy) as url:
        use_cache(settings, backend, LOCATION=url)
        found = of_site()
    assert Finding.LIMITS_WORK in found
    assert finding in found
    assert (policy in found[finding]) is (finding is Finding.LIMITS_EVICTED)
