"""The limits on real stores: test_ratelimits.py again, time that really passes, and stores that fail."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cognito_reset.cognito.errors import Throttled, Unavailable
from cognito_reset.resets.ratelimits import reserve
from tests.services.cluster import ask
from tests.services.faults import Proxy
from tests.services.stores import CACHES, DATABASES, REDIS, need, slow_but

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]


@pytest.mark.requirement("B4")
@pytest.mark.parametrize(
    "store", slow_but(["postgresql", "redis"], [*DATABASES, *CACHES]), indirect=True
)
def test_b4_the_limits_are_the_same_in_every_store(store: str, tmp_path: Path) -> None:
    """The tests of the limits, on a real server."""
    choice = {"DATABASE": store} if store in DATABASES else {"CACHE": store}
    files = ["tests/test_ratelimits.py"]
    if store in DATABASES:
        files += ["tests/services/on_database.py", "tests/test_migrations.py"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-c", ROOT / "setup.cfg", "--rootdir", ROOT),
            *(ROOT / file for file in files),
        ],
        cwd=tmp_path,
        env={**os.environ, **choice, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture
def use_cache(settings: Any) -> Callable[..., None]:
    def use_cache(cache: dict[str, Any], limit: str) -> None:
        prefix = str(uuid4())
        settings.CACHES = {**settings.CACHES, "limits": {"KEY_PREFIX": prefix, **cache}}
        settings.COGNITO_RESET = {
            **settings.COGNITO_RESET,
            "LIMITS_CACHE": "limits",
            "LIMITS": {"request": {"identifier": limit}},
        }

    return use_cache


def attempt() -> None:
    reservation = reserve("request", pool="default", username="alice")
    if reservation.refusal:
        raise reservation.refusal


@pytest.mark.requirement("B13")
@pytest.mark.parametrize("store", CACHES, indirect=True)
def test_b13_a_caches_own_clock_frees_a_slot(store: str, use_cache: Callable[..., None]) -> None:
    """
    When the wait that it was told is over, an attempt gets through; and not long before.
    Memcached counts whole seconds and may be one early.
    """
    use_cache(CACHES[store], "1/3s")
    begin = time.monotonic()
    attempt()
    taken = time.monotonic()
    with pytest.raises(Throttled) as caught:
        attempt()
    assert caught.value.retry_after in (1, 2, 3)
    while True:
        tried = time.monotonic()
        try:
            attempt()
            break
        except Throttled:
            assert tried - taken < 3.5
            time.sleep(0.02)  # nothing tells when a key ends
    assert time.monotonic() - begin > (1.5 if store == "memcached" else 2.9)


@pytest.mark.requirement("B4")
@pytest.mark.parametrize("more", [{}, {"KEY_PREFIX": "a-site"}, {"VERSION": 7}], ids=str)
def test_b4_a_redis_cluster_has_all_keys_on_one_node(
    more: dict[str, Any], redis_cluster: list[str], use_cache: Callable[..., None]
) -> None:
    """Whatever the cache's own options do to a key. An attempt reads many keys in one command."""
    ports = [int(address.rpartition(":")[2]) for address in redis_cluster]
    for port in ports:
        ask(port, "flushall")
    use_cache({**CACHES["redis-cluster"], "KEY_PREFIX": "", **more}, "20/h")
    for number in range(20):
        name = f"user-{number}"
        networks = ("2001:db8::/64", "2001:db8::/56", "2001:db8::/48")
        parts = (name, "123456")
        reserve("request", pool="default", username=name, networks=networks, request_parts=parts)
    keys = sorted(int(ask(port, "dbsize")) for port in ports)
    assert keys[:2] == [0, 0]
    assert keys[2] > 20


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    need("redis")
    proxy = Proxy(REDIS)
    yield proxy
    proxy.release()
    proxy.cut()


@pytest.mark.requirement("B14")
def test_b14_nobody_gets_through_while_redis_is_down(
    proxy: Proxy,
    use_cache: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Attempts get 503, and the log one line. When Redis is back, its counts are still used."""
    use_cache({**CACHES["redis"], "LOCATION": f"redis://127.0.0.1:{proxy.port}"}, "3/h")
    attempt()
    proxy.cut()
    with monkeypatch.context() as patch:
        # Log, although a test before this one may have logged such a line in the same minute.
        patch.setattr("cognito_reset.resets.stores.LOG_INTERVAL_SECONDS", 0)
        with pytest.raises(Unavailable):
            attempt()
    for _ in range(2):
        with pytest.raises(Unavailable):
            attempt()
    assert len(caplog.records) == 1
    proxy.open(proxy.port)
    attempt()
    attempt()
    with pytest.raises(Throttled):
        attempt()


@pytest.mark.requirement("B14")
def test_b14_a_slow_redis_is_as_slow_as_the_sites_options_allow(
    proxy: Proxy, use_cache: Callable[..., None]
) -> None:
    """How long an attempt waits for the cache is the cache's own setting."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = {"socket_timeout": 0.25, "retry": Retry(NoBackoff(), 0)}
    location = f"redis://127.0.0.1:{proxy.port}"
    use_cache({**CACHES["redis"], "LOCATION": location, "OPTIONS": options}, "3/h")
    attempt()
    proxy.hold()
    start = time.monotonic()
    with pytest.raises(Unavailable):
        attempt()
    # On a busy machine it takes longer than the timeout.
    assert 0.2 < time.monotonic() - start < 5
