"""
What happens when the site's own servers fail: Redis and the databases, each killed, paused, full, read-only and out
of connections. The answers are those of ``tests.resiliency``, and of docs/resiliency.md.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import caches
from redis.backoff import NoBackoff
from redis.retry import Retry

from cognito_reset.resets import stores
from tests.fault_server import Handler, Wire, configure, error, real_clients, well
from tests.interfaces import INTERFACES, REST, Interface, Pages
from tests.resiliency import (
    ANSWERS,
    CLOCK,
    REDIS,
    REDIS_EMPTY,
    REDIS_MEANWHILE,
    SESSIONS,
    Own,
    check_without_session,
)
from tests.services import cluster
from tests.services.faults import Redis
from tests.services.stores import DATABASES, leave_out, need

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ROOT = Path(__file__).parents[2]
CODE = "482913"
FAULTS: dict[str, Callable[[Redis], AbstractContextManager[None]]] = {
    "down": Redis.down,
    "paused": Redis.paused,
    "full": Redis.full,
    "read-only": Redis.read_only,
    "no connections": Redis.no_connections,
    "can't save": Redis.no_disk,
}
GOOD = {"request": "neutral", "confirm": "done"}

every_fault = pytest.mark.parametrize("name", FAULTS)
every_step = pytest.mark.parametrize("step", GOOD)
every_interface = pytest.mark.parametrize("make_interface", INTERFACES, ids=lambda i: i.name)


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    need("redis")
    if not cluster.is_installed():
        leave_out("redis-server and redis-cli aren't installed")
    redis = Redis(tmp_path_factory.mktemp("redis") / "data")
    yield redis
    redis.close()


class Site:
    """A site whose limits are in a Redis of the test's own, and a Cognito that is well."""

    def __init__(self, settings: Any, redis: Redis, wire: Wire) -> None:
        self.settings, self.redis, self.wire = settings, redis, wire
        # redis-py would try for seconds.
        options = {"socket_timeout": 0.25, "retry": Retry(NoBackoff(), 0)}
        cache = {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{redis.port}",
            "KEY_PREFIX": str(uuid4()),
            "OPTIONS": options,
        }
        settings.CACHES = {**settings.CACHES, "limits": cache}
        self.configure()

    def configure(self, **options: Any) -> None:
        more = {"LIMITS": {}, "LIMITS_CACHE": "limits", "UNIFORM_RESPONSE_SECONDS": 0}
        configure(self.settings, self.wire, **{**more, **options})


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def site(
    own_redis: Redis,
    server: Wire,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Site]:
    # Another test may have logged such a line in the same minute.
    monkeypatch.setattr(stores, "_logged_at", float("-inf"))
    caplog.set_level(logging.INFO, "cognito_reset")
    server.start_anew()
    with real_clients():
        yield Site(settings, own_redis, server)
    caches["limits"].close()


@contextmanager
def failing_at_the_call(site: Site, name: str) -> Iterator[None]:
    """Let Redis fail as soon as Cognito gets the request, until the end of the block."""
    with ExitStack() as stack:

        def answer(handler: Handler) -> None:
            stack.enter_context(FAULTS[name](site.redis))
            well(handler)

        site.wire.answer = answer
        yield


def act(interface: Interface, step: str) -> Any:
    return interface.confirm(code=CODE) if step == "confirm" else interface.request()


def check_log(row: Own, caplog: pytest.LogCaptureFixture) -> None:
    """Check that the log has one line about the store, and no traceback."""
    about = [name for name in map(event, caplog.records) if name.startswith(("limits_", "audit_"))]
    assert about == ([row.log] if row.log else [])
    assert not any(record.exc_info for record in caplog.records)


def event(record: logging.LogRecord) -> str:
    return record.getMessage().split()[0].removeprefix("cognito_reset.").rstrip(":")


@pytest.mark.requirement("B14")
@every_fault
@every_step
@every_interface
def test_b14_nobody_gets_through_without_redis(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    name: str,
    step: str,
    make_interface: type[Interface],
) -> None:
    """Everybody gets the same 503, Cognito isn't called, and one line a minute is logged. Then it works again."""
    interface = make_interface()
    with FAULTS[name](site.redis):
        for _ in range(2):
            ANSWERS[REDIS[name].answer].check(interface, act(interface, step))
    assert site.wire.requests == []
    check_log(REDIS[name], caplog)
    ANSWERS[GOOD[step]].check(interface, act(interface, step))


@pytest.mark.requirement("B14")
@every_fault
@every_step
def test_b14_a_site_may_let_everybody_through_without_redis(
    site: Site, caplog: pytest.LogCaptureFixture, name: str, step: str
) -> None:
    """LIMITS_FAIL_OPEN: the answers are Cognito's, and the line is the same."""
    site.configure(LIMITS_FAIL_OPEN=True)
    with FAULTS[name](site.redis):
        ANSWERS[GOOD[step]].check(REST(), act(REST(), step))
    check_log(REDIS[name], caplog)


@pytest.mark.requirement("B14")
@every_fault
@every_step
@every_interface
def test_b14_an_attempt_that_was_counted_has_its_answer(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    name: str,
    step: str,
    make_interface: type[Interface],
) -> None:
    """Redis fails while Cognito is called. The person hears what Cognito has done."""
    interface = make_interface()
    with failing_at_the_call(site, name):
        ANSWERS[GOOD[step]].check(interface, act(interface, step))
    assert len(site.wire.requests) == 1
    row = REDIS_MEANWHILE[name]
    # A request for a code has no answer to store, unless its client can send it again by itself.
    check_log(row if step == "confirm" else Own(row.text, log=""), caplog)


@pytest.mark.requirement("B14")
@every_fault
def test_b14_a_repeat_of_an_attempt_whose_answer_could_not_be_stored(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It isn't sent to Cognito again, unless Redis was started again and has lost its keys."""
    with failing_at_the_call(site, name):
        ANSWERS["done"].check(REST(), act(REST(), "confirm"))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 18)  # docs/resiliency.md has this number
    site.wire.answer = error("ExpiredCodeException")
    # A Redis that was paused carries out what it was sent meanwhile.
    found = {"down": "wrong code", "can't save": "wrong code", "paused": "done"}.get(
        name, "unknown"
    )
    ANSWERS[found].check(REST(), act(REST(), "confirm"))
    assert len(site.wire.requests) == (2 if found == "wrong code" else 1)


@every_fault
@every_step
def test_sessions_in_a_redis_that_fails(
    site: Site, caplog: pytest.LogCaptureFixture, name: str, step: str
) -> None:
    """With a session or without one, what Cognito has done is shown."""
    site.settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    site.settings.SESSION_CACHE_ALIAS = "limits"
    site.configure(LIMITS=False, LIMITS_CACHE=None)
    old, new = Pages(), Pages()
    assert old.request("bob").status_code == 302
    row = SESSIONS["none"]
    with FAULTS[name](site.redis):
        for pages in (old, new):
            check_without_session(act(pages, step), step)
    assert f"cognito_reset.{row.log}" in caplog.text


@pytest.mark.requirement("B14")
def test_b14_limits_start_again_in_an_empty_redis(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Cognito's own limits remain."""
    site.configure(LIMITS={"confirm": {"identifier": "2/h"}})
    statuses = [REST().confirm().status_code for _ in range(3)]
    site.redis.ask("flushall")
    statuses.append(REST().confirm().status_code)
    assert statuses == [200, 200, 429, 200]
    check_log(REDIS_EMPTY, caplog)


@pytest.mark.requirement("B14")
def test_b14_a_repeat_is_known_although_redis_was_emptied_meanwhile(site: Site) -> None:
    """The answer is stored anew. Otherwise the code would be sent to Cognito again, which refuses it."""

    def answer(handler: Handler) -> None:
        site.redis.ask("flushall")
        well(handler)

    site.wire.answer = answer
    for _ in range(2):
        ANSWERS["done"].check(REST(), act(REST(), "confirm"))
    assert len(site.wire.requests) == 1


@pytest.mark.requirement("B14")
@pytest.mark.parametrize("hours", [-1, 1])
def test_b14_no_clock_locks_anybody_out_of_redis(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hours: int
) -> None:
    """Redis has a clock of its own. The time to wait is never longer than the limit's."""
    site.configure(LIMITS={"request": {"identifier": "1/3s"}})
    assert REST().request().status_code == 202
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    response = REST().request()
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 3
    deadline = time.monotonic() + 20
    while REST().request().status_code != 202:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    check_log(CLOCK, caplog)


def run_on(database: str, folder: Path, **more: str) -> None:
    """Run ``matrix_database.py`` on a database of its own."""
    environment = {
        **os.environ,
        "DATABASE": database,
        "DATABASE_NAME": f"cognito_reset_{os.getpid()}",
        "PYTHONPATH": str(ROOT),
        **more,
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-c", ROOT / "setup.cfg", "--rootdir", ROOT),
            ROOT / "tests/services/matrix_database.py",
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.requirement("B14")
@pytest.mark.parametrize("store", DATABASES, indirect=True)
def test_b14_databases_fail(store: str, tmp_path: Path) -> None:
    """On a real server. A database that is full needs a small disk, see below."""
    run_on(store, tmp_path)


@pytest.mark.requirement("B14")
def test_b14_a_disk_is_full(tmp_path: Path) -> None:
    """The file of a SQLite database is on a disk of two megabytes."""
    # CI may be another user, who may use sudo without a password. It isn't tried on anybody's own machine.
    as_root = ["sudo", "-n"] if os.environ.get("CI") and os.geteuid() else []
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=1777", "tmpfs", str(tmp_path)]
    try:
        subprocess.run([*as_root, *mount], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a small disk")  # nothing that CI could install
    try:
        run_on("sqlite-file", tmp_path, SMALL_DISK="yes")
    finally:
        subprocess.run([*as_root, "umount", str(tmp_path)], check=True)
