"""
LIMITS_CACHE in the forms that sites use: how Redis is run and reached, and the client and its options.

Each form gets one round of what the limits need of a cache. The races are in test_races.py. Valkey's clients
speak to Redis here, whose protocol they share.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import caches
from redis.backoff import NoBackoff
from redis.retry import Retry

from cognito_reset.checks.settings import check_settings
from cognito_reset.cognito.errors import Unavailable
from cognito_reset.resets import ratelimits, stores
from cognito_reset.resets.ratelimits import reserve
from cognito_reset.resets.reservations import Reservation
from tests.services import cluster
from tests.services.sentinel import SERVICE, Watched, leader_of, watched_redis
from tests.services.stores import MEMCACHED, REDIS, leave_out, need, need_package

pytestmark = [
    pytest.mark.services,
    # django-redis warns of its own code.
    pytest.mark.filterwarnings("ignore:.* on sharded client should not specify client:UserWarning"),
    # pymemcache has a connection per thread, which nothing closes when the thread ends.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DEAD = "127.0.0.1:1"


@dataclass
class Places:
    """Where the servers are."""

    redis: str = DEAD
    memcached: str = DEAD
    socket: str = "/no/such/socket"
    tls: str = DEAD
    certificate: str = ""
    cluster: str = DEAD
    leader: str = DEAD
    replica: str = DEAD
    sentinel: str = DEAD


def hashed(key: str, prefix: str, version: int) -> str:
    """A KEY_FUNCTION that hashes the whole key, with its braces."""
    return hashlib.sha256(f"{prefix}:{version}:{key}".encode()).hexdigest()


def django(location: Any, **options: Any) -> dict[str, Any]:
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": location,
        "OPTIONS": options,
    }


def django_redis(location: Any, **options: Any) -> dict[str, Any]:
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": location,
        "OPTIONS": options,
    }


def valkey(location: Any, **options: Any) -> dict[str, Any]:
    cache = {"BACKEND": "django_valkey.cache.ValkeyCache", "LOCATION": location}
    return {**cache, "OPTIONS": options}


def memcached(client: str, *servers: str, **options: Any) -> dict[str, Any]:
    backend = f"django.core.cache.backends.memcached.{client}"
    return {"BACKEND": backend, "LOCATION": servers, "OPTIONS": options}


def sentinel_of(place: str, retry: Any = None) -> dict[str, Any]:
    host, port = place.split(":")
    options = {"retry": retry} if retry else {}
    return {
        "SENTINELS": [(host, int(port))],
        "SENTINEL_KWARGS": options,
        "CONNECTION_POOL_KWARGS": options,
    }


def database(at: Places) -> int:
    """Return another number for servers that aren't there: django-redis keeps its pools by their URLs."""
    return int(at.sentinel == DEAD)


REDIS_PARTS = "django_redis.{}".format
Form = Callable[[Places], dict[str, Any]]
# What each needs beside the test's own requirements: a fixture or a library.
FORMS: dict[str, tuple[str, Form]] = {
    "Django's": ("redis", lambda at: django(f"redis://{at.redis}")),
    "Django's, a database": ("redis", lambda at: django(f"redis://{at.redis}", db=2)),
    "Django's, a prefix and a version": (
        "redis",
        lambda at: {**django(f"redis://{at.redis}"), "KEY_PREFIX": "{a-site}", "VERSION": 7},
    ),
    "Django's, hashed keys": (
        "redis",
        lambda at: {**django(f"redis://{at.redis}"), "KEY_FUNCTION": hashed},
    ),
    "Django's, JSON": (
        "redis",
        lambda at: django(f"redis://{at.redis}", serializer="tests.services.test_caches.Json"),
    ),
    "Django's, a Unix socket": ("own", lambda at: django(f"unix://{at.socket}")),
    "Django's, TLS": (
        "own",
        lambda at: django(f"rediss://{at.tls}", ssl_ca_certs=at.certificate),
    ),
    "Django's, a replica": (
        "watched",
        lambda at: django([f"redis://{at.leader}", f"redis://{at.replica}"]),
    ),
    "Django's, Sentinel": (
        "watched",
        lambda at: django(
            f"redis://{at.sentinel}", pool_class="tests.services.sentinel.SentinelPool"
        ),
    ),
    "django-redis": ("django_redis redis", lambda at: django_redis(f"redis://{at.redis}/1")),
    "django-redis, hashed keys": (
        "django_redis redis",
        lambda at: {**django_redis(f"redis://{at.redis}"), "KEY_FUNCTION": hashed},
    ),
    "django-redis, JSON": (
        "django_redis redis",
        lambda at: django_redis(
            f"redis://{at.redis}", SERIALIZER=REDIS_PARTS("serializers.json.JSONSerializer")
        ),
    ),
    "django-redis, msgpack": (
        "django_redis redis",
        lambda at: django_redis(
            f"redis://{at.redis}", SERIALIZER=REDIS_PARTS("serializers.msgpack.MSGPackSerializer")
        ),
    ),
    "django-redis, compressed": (
        "django_redis redis",
        lambda at: django_redis(
            f"redis://{at.redis}", COMPRESSOR=REDIS_PARTS("compressors.zlib.ZlibCompressor")
        ),
    ),
    "django-redis, two shards": (
        "django_redis redis",
        lambda at: django_redis(
            [f"redis://{at.redis}/1", f"redis://{at.redis}/2"],
            CLIENT_CLASS=REDIS_PARTS("client.ShardClient"),
        ),
    ),
    "django-redis, Sentinel": (
        "django_redis watched",
        lambda at: django_redis(
            f"redis://{SERVICE}/{database(at)}",
            CLIENT_CLASS=REDIS_PARTS("client.SentinelClient"),
            CONNECTION_FACTORY=REDIS_PARTS("pool.SentinelConnectionFactory"),
            # By itself redis-py tries for seconds.
            **sentinel_of(at.sentinel, Retry(NoBackoff(), 0)),
        ),
    ),
    "django-redis, a cluster": (
        "django_redis redis_cluster",
        lambda at: django_redis(
            f"redis://{at.cluster}", CONNECTION_FACTORY="tests.services.test_caches.ClusterFactory"
        ),
    ),
    "django-valkey": ("django_valkey redis", lambda at: valkey(f"valkey://{at.redis}")),
    "django-valkey, Sentinel": (
        "django_valkey watched",
        lambda at: valkey(
            f"valkey://{SERVICE}/{database(at)}",
            CLIENT_CLASS="django_valkey.client.SentinelClient",
            CONNECTION_FACTORY="django_valkey.pool.SentinelConnectionFactory",
            **sentinel_of(at.sentinel),
        ),
    ),
    "django-valkey, a cluster": (
        "django_valkey redis_cluster",
        lambda at: {
            "BACKEND": "django_valkey.cluster_cache.cache.ClusterValkeyCache",
            "LOCATION": f"valkey://{at.cluster}",
        },
    ),
    "pymemcache, two servers": (
        "memcached",
        # By default, pymemcache hides the errors of a server for a second after each failure.
        lambda at: memcached(
            "PyMemcacheCache",
            at.memcached,
            at.memcached.replace("127.0.0.1", "localhost"),
            retry_attempts=0,
        ),
    ),
    "pylibmc": ("memcached pylibmc", lambda at: memcached("PyLibMCCache", at.memcached)),
}


class Json:
    """A serializer for Django's own cache."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, value: bytes) -> Any:
        return json.loads(value)


class ClusterFactory:
    """What django-redis needs for a cluster, as its option ``CONNECTION_FACTORY``."""

    def __init__(self, options: dict[str, Any]) -> None:
        pass

    def connect(self, url: str) -> Any:
        from redis.cluster import RedisCluster

        return RedisCluster.from_url(url)

    def disconnect(self, connection: Any) -> None:
        connection.close()


# Servers


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Redis that is reached by a Unix socket and by TLS."""
    if not (cluster.is_installed() and shutil.which("openssl")):
        leave_out("redis-server, redis-cli and openssl aren't all installed")
    folder = tmp_path_factory.mktemp("redis")
    certificate, key, socket = (str(folder / name) for name in ("cert", "key", "socket"))
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis"
    command += f" -addext subjectAltName=IP:127.0.0.1 -out {certificate} -keyout {key}"
    subprocess.run(command.split(), capture_output=True, check=True)
    port, tls = cluster.free_ports(2)
    options = {"unixsocket": socket, "tls-port": str(tls), "tls-auth-clients": "no"}
    files = {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": certificate}
    server = cluster.start(port, folder, **options, **files)
    try:
        cluster.wait_until([port], ["ping"], "PONG")
        yield {"socket": socket, "tls": f"127.0.0.1:{tls}", "certificate": certificate}
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def fresh_watched(tmp_path: Path) -> Iterator[Watched]:
    if not cluster.is_installed():
        leave_out("redis-server and redis-cli aren't installed")
    with watched_redis(tmp_path, 1) as servers:
        yield servers


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if not cluster.is_installed():
        leave_out("redis-server and redis-cli aren't installed")
    with watched_redis(tmp_path_factory.mktemp("watched")) as servers:
        yield servers


@pytest.fixture
def places(request: pytest.FixtureRequest) -> Callable[[str], Places]:
    """Return a function that returns where the servers are that a form needs."""

    def places(needs: str) -> Places:
        found = Places()
        for name in needs.split():
            if name == "redis":
                need("redis")
            elif name == "memcached":
                need("memcached")
            elif name == "own":
                for key, place in request.getfixturevalue("own").items():
                    setattr(found, key, place)
            elif name == "redis_cluster":
                found.cluster = request.getfixturevalue("redis_cluster")[0]
            elif name == "watched":
                servers = request.getfixturevalue("watched")
                for field in ("leader", "replica", "sentinel"):
                    setattr(found, field, f"127.0.0.1:{getattr(servers, field)}")
            else:
                need_package(name)
        found.redis, found.memcached = (f"{host}:{port}" for host, port in (REDIS, MEMCACHED))
        return found

    return places


@pytest.fixture
def use(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that uses a cache for the limits."""
    monkeypatch.setattr(stores, "LOG_INTERVAL_SECONDS", 0)

    def use(cache: dict[str, Any]) -> None:
        # Each test has keys of its own.
        prefix = f"{cache.get('KEY_PREFIX', '')}{uuid4()}"
        settings.CACHES = {**settings.CACHES, "limits": {**cache, "KEY_PREFIX": prefix}}
        settings.COGNITO_RESET = {
            **settings.COGNITO_RESET,
            "LIMITS_CACHE": "limits",
            "LIMITS": {"confirm": {"identifier": "5/h", "network": "60/h", "site": "80/h"}},
        }

    return use


def attempt(word: str) -> Reservation:
    return reserve(
        "confirm",
        pool="default",
        username="alice",
        networks=["192.0.2.1/32"],
        request_parts=["alice", word],
    )


def mistakes() -> list[str]:
    return [message.msg for message in check_settings() if message.id == "cognito_reset.E021"]


every_form = pytest.mark.parametrize(("needs", "form"), FORMS.values(), ids=FORMS)


@pytest.mark.requirement("B4")
@every_form
def test_b4_every_form_counts_exactly(
    places: Callable[[str], Places],
    use: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    needs: str,
    form: Form,
) -> None:
    """Of eight threads as many get through as the limit allows. Repeats are known, and refunds are made."""
    use(form(places(needs)))
    if "watched" in needs:
        # On a busy machine a replica is behind for longer than an attempt waits, which ends in a 503.
        monkeypatch.setattr(ratelimits, "ROUNDS", 150)
    assert mistakes() == []

    def outcome(number: int) -> str:
        try:
            reservation = attempt(f"code {number}")
            return "refused" if reservation.refusal else "passed"
        finally:
            caches.close_all()

    first = attempt("first")
    assert not first.refusal
    first.commit()
    first.settle(None)
    again = attempt("first")
    assert (again.is_repeat, again.answer) == (True, None)
    for _ in range(6):  # more than the limit
        released = attempt("released")
        assert not released.refusal
        released.settle(Unavailable())
    with ThreadPoolExecutor(8) as threads:
        outcomes = Counter(threads.map(outcome, range(12)))
    assert outcomes == {"passed": 4, "refused": 8}
    assert attempt("first").is_repeat


@pytest.mark.requirement("B14")
@every_form
def test_b14_an_outage_is_recognised_in_every_form(
    places: Callable[[str], Places],
    use: Callable[..., None],
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    needs: str,
    form: Form,
) -> None:
    """
    Nobody gets through, and it isn't taken for a mistake of the site's, which LIMITS_FAIL_OPEN doesn't forgive:
    not even later, when a client has given its servers up.
    """
    use(form(Places(certificate=places(needs).certificate)))
    start = time.monotonic()
    for _ in range(6):
        with pytest.raises(Unavailable):
            attempt("a")
    assert time.monotonic() - start < 10
    assert {message.split()[0] for message in caplog.messages} == {
        "cognito_reset.limits_unavailable"
    }
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS_FAIL_OPEN": True}
    assert not attempt("a").refusal


@pytest.mark.requirement("B14")
def test_b14_limits_go_on_after_a_failover(
    fresh_watched: Watched, use: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """
    Nobody gets through until the replica leads. Then the counts are those of before: Redis loses only what the
    leader hadn't copied yet.
    """
    need("redis")
    place = Places(sentinel=f"127.0.0.1:{fresh_watched.sentinel}")
    use(FORMS["Django's, Sentinel"][1](place))
    for word in ("1", "2", "3", "4"):
        assert not attempt(word).refusal
    count = cluster.ask(fresh_watched.leader, "dbsize")
    cluster.wait_until([fresh_watched.replica], ["dbsize"], count)
    fresh_watched.process.kill()
    deadline, failures = time.monotonic() + 30, 0
    while True:
        try:
            last = attempt("5")
            break
        except Unavailable:
            assert time.monotonic() < deadline
            failures += 1
            time.sleep(0.1)
    assert failures
    assert not last.refusal
    assert attempt("6").refusal
    assert leader_of(fresh_watched.sentinel) == str(fresh_watched.replica)
    assert {message.split()[0] for message in caplog.messages} == {
        "cognito_reset.limits_unavailable"
    }


@pytest.mark.requirement("B4", "B14")
def test_b4_the_limits_are_exact_while_a_replica_is_behind(
    fresh_watched: Watched, use: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """
    Django's cache reads from a replica. If that one knows nothing of the last minutes, the leader still gives
    each slot to one attempt. Then nobody gets through, and the log says why.
    """
    need("redis")
    leader, replica = (f"127.0.0.1:{p}" for p in (fresh_watched.leader, fresh_watched.replica))
    use(FORMS["Django's, a replica"][1](Places(leader=leader, replica=replica)))
    cluster.ask(fresh_watched.replica, "replicaof", "127.0.0.1", "1")
    for word in "12345":
        assert not attempt(word).refusal
    for word in "16":
        with pytest.raises(Unavailable):
            attempt(word)
    assert "hint=The cache's client hides its errors, or reads from a replica" in caplog.text


# Forms that can't count exactly, or can't tell an outage: a check refuses them.

REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "django-redis that hides its errors": (
        "django_redis",
        django_redis(f"redis://{DEAD}", IGNORE_EXCEPTIONS=True),
        '"IGNORE_EXCEPTIONS"',
    ),
    "django-redis's HerdClient": (
        "django_redis",
        django_redis(f"redis://{DEAD}", CLIENT_CLASS=REDIS_PARTS("client.HerdClient")),
        "HerdClient",
    ),
    "django-valkey that hides its errors": (
        "django_valkey",
        valkey(f"valkey://{DEAD}", IGNORE_EXCEPTIONS=True),
        '"IGNORE_EXCEPTIONS"',
    ),
    "django-valkey's HerdClient": (
        "django_valkey",
        valkey(f"valkey://{DEAD}", CLIENT_CLASS="django_valkey.client.HerdClient"),
        "HerdClient",
    ),
    "an asynchronous cache": (
        "django_valkey",
        {
            "BACKEND": "django_valkey.async_cache.cache.AsyncValkeyCache",
            "LOCATION": f"valkey://{DEAD}",
        },
        "AsyncValkeyCache",
    ),
    "pymemcache that hides its errors": (
        "pymemcache",
        memcached("PyMemcacheCache", DEAD, ignore_exc=True),
        '"ignore_exc"',
    ),
    "pymemcache that doesn't wait for an answer": (
        "pymemcache",
        memcached("PyMemcacheCache", DEAD, default_noreply=True),
        '"default_noreply"',
    ),
    "a long prefix for Memcached": (
        "pymemcache",
        {**memcached("PyMemcacheCache", DEAD), "KEY_PREFIX": "a" * 120},
        "too long",
    ),
    "a cluster with hashed keys": (
        "django_valkey",
        {
            "BACKEND": "django_valkey.cluster_cache.cache.ClusterValkeyCache",
            "LOCATION": f"valkey://{DEAD}",
            "KEY_FUNCTION": hashed,
        },
        "{cognito_reset}",
    ),
}


@pytest.mark.requirement("B4")
@pytest.mark.parametrize(("library", "cache", "word"), REFUSED.values(), ids=REFUSED)
def test_b4_a_check_refuses_unsuitable_caches(
    settings: Any, use: Callable[..., None], library: str, cache: dict[str, Any], word: str
) -> None:
    """The check opens no connection: there is no server."""
    need_package(library)
    settings.CACHES = {**settings.CACHES, "limits": cache}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS_CACHE": "limits"}
    (mistake,) = mistakes()
    assert word in mistake


@pytest.mark.requirement("B4")
@pytest.mark.parametrize(
    "name", ["DJANGO_REDIS_IGNORE_EXCEPTIONS", "DJANGO_VALKEY_IGNORE_EXCEPTIONS"]
)
def test_b4_a_setting_may_hide_errors_too(settings: Any, name: str) -> None:
    """The OPTIONS of the cache that counts the limits can overrule the setting."""
    library = "django_redis" if "REDIS" in name else "django_valkey"
    need_package(library)
    make = django_redis if "REDIS" in name else valkey
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS_CACHE": "limits"}
    setattr(settings, name, True)
    for options, count in (({}, 1), ({"IGNORE_EXCEPTIONS": False}, 0)):
        settings.CACHES = {**settings.CACHES, "limits": make(f"redis://{DEAD}", **options)}
        assert len(mistakes()) == count
