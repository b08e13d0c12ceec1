"""
What happens when the site's database fails. Run by test_matrix_stores.py, on the database that DATABASE names. A proxy
stands in front of a server, so that it can be cut off and held up.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections

from cognito_reset.cognito.service import CognitoService
from cognito_reset.models import ResetEvent
from cognito_reset.resets import stores
from tests.fault_server import Wire, configure, real_clients
from tests.interfaces import AWS, INTERFACES, REST, Interface, Pages
from tests.resiliency import (
    ANSWERS,
    AUDIT,
    AUDIT_REFUSED,
    CLOCK,
    DATABASE,
    DATABASE_HANGS,
    DATABASE_HANGS_MEANWHILE,
    DATABASE_MEANWHILE,
    SESSIONS,
    Own,
    check_without_session,
)
from tests.services.faults import Proxy

pytestmark = pytest.mark.django_db(transaction=True)

CODE = "482913"
GOOD = {"request": "neutral", "confirm": "done"}
VENDOR = connection.vendor
ROLE = f"cognito_reset_{os.getpid()}"
on_server = pytest.mark.skipif(VENDOR == "sqlite", reason="SQLite has no server")
every_step = pytest.mark.parametrize("step", GOOD)
every_interface = pytest.mark.parametrize("make_interface", INTERFACES, ids=lambda i: i.name)


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def proxy() -> Iterator[Proxy | None]:
    """The site's connections go through it."""
    if VENDOR == "sqlite":
        yield None
        return
    changed = connection.settings_dict
    place = {name: changed[name] for name in ("HOST", "PORT")}
    proxy = Proxy((changed["HOST"], int(changed["PORT"])))
    connection.close()
    changed |= {"HOST": "127.0.0.1", "PORT": str(proxy.port)}
    yield proxy
    connection.close()
    changed |= place
    proxy.release()
    proxy.cut()


class Site:
    """A site with limits and audit in the database, and a Cognito that is well."""

    def __init__(self, settings: Any, wire: Wire, proxy: Proxy | None) -> None:
        self.settings, self.wire, self.proxy = settings, wire, proxy
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        settings.CACHES = {
            **settings.CACHES,
            "limits": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "LOCATION": str(time.monotonic()),
            },
        }
        self.configure()

    def configure(self, **options: Any) -> None:
        more = {"LIMITS": {}, "UNIFORM_RESPONSE_SECONDS": 0}
        configure(self.settings, self.wire, **{**more, **options})

    @contextmanager
    def down(self) -> Iterator[None]:
        assert self.proxy
        self.proxy.cut()
        try:
            yield
        finally:
            self.proxy.open(self.proxy.port)
            connection.close()  # it may be broken, and Django replaces it only before the next request

    @contextmanager
    def connecting(self, **changed: Any) -> Iterator[None]:
        """Connect anew, with other settings."""
        before = {name: connection.settings_dict[name] for name in changed}
        connection.close()
        connection.settings_dict |= changed
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict |= before

    def read_only(self) -> AbstractContextManager[None]:
        if VENDOR == "postgresql":
            options = {"options": "-c default_transaction_read_only=on"}
        elif VENDOR == "mysql":
            options = {"init_command": "SET SESSION TRANSACTION READ ONLY"}
        else:
            options = {"init_command": "PRAGMA query_only = on"}
        return self.connecting(OPTIONS={**connection.settings_dict["OPTIONS"], **options})

    @contextmanager
    def no_connections(self) -> Iterator[None]:
        """Connect as somebody who has no connection left."""
        run(NOBODY[VENDOR])
        try:
            with self.connecting(USER=ROLE, PASSWORD="x"), ExitStack() as stack:
                if VENDOR == "mysql":
                    stack.enter_context(self._one_connection())
                yield
        finally:
            run([f"DROP USER '{ROLE}'@'%'" if VENDOR == "mysql" else f"DROP ROLE {ROLE}"])

    @contextmanager
    def _one_connection(self) -> Iterator[None]:
        """Hold the only connection that MariaDB allows; 0 would mean that there is no limit."""
        other = connection.copy()
        other.ensure_connection()
        try:
            yield
        finally:
            other.close()

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        """Fill the disk that the file of the database is on, which is a small one."""
        connection.close()
        junk = Path("junk")
        with junk.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(1024)):
                    pass
            except OSError:
                pass
        try:
            yield
        finally:
            connection.close()
            junk.unlink()


NOBODY = {
    "postgresql": [f"CREATE ROLE {ROLE} LOGIN PASSWORD 'x' CONNECTION LIMIT 0"],
    "mysql": [
        f"CREATE USER '{ROLE}'@'%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 1",
        f"GRANT ALL ON *.* TO '{ROLE}'@'%'",
    ],
}
FAULTS: dict[str, Callable[[Site], AbstractContextManager[None]]] = {
    "read-only": Site.read_only,
}
if VENDOR != "sqlite":
    FAULTS |= {"down": Site.down, "no connections": Site.no_connections}
elif "SMALL_DISK" in os.environ:  # the working directory is on it
    FAULTS = {"disk full": Site.disk_full}
every_fault = pytest.mark.parametrize("name", FAULTS)
ANY_FAULT = next(iter(FAULTS))


@pytest.fixture
def site(
    server: Wire,
    proxy: Proxy | None,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Site]:
    monkeypatch.setattr(stores, "_logged_at", float("-inf"))
    monkeypatch.setattr(stores, "PURGE_SHARE", 0)
    caplog.set_level(logging.INFO, "cognito_reset")
    server.start_anew()
    with real_clients():
        yield Site(settings, server, proxy)


@contextmanager
def beginning_after_the_call(begin: Callable[[], Any]) -> Iterator[None]:
    """Let something begin in the request's own thread, as soon as Cognito has answered."""

    def followed(call: Callable[..., Any]) -> Callable[..., Any]:
        def call_and_begin(*args: Any, **options: Any) -> Any:
            result = call(*args, **options)
            begin()
            return result

        return call_and_begin

    with pytest.MonkeyPatch.context() as patch:
        for name in ("request_code", "confirm"):
            patch.setattr(CognitoService, name, followed(getattr(CognitoService, name)))
        yield


@contextmanager
def failing_after_the_call(site: Site, name: str) -> Iterator[None]:
    """Let the database fail as soon as Cognito has answered, until the end of the block."""
    with (
        ExitStack() as stack,
        beginning_after_the_call(lambda: stack.enter_context(FAULTS[name](site))),
    ):
        yield


def act(interface: Interface, step: str) -> Any:
    return interface.confirm(code=CODE) if step == "confirm" else interface.request()


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the names of what is logged about the database. No line has a traceback."""
    assert not any(record.exc_info for record in caplog.records)
    names = [r.getMessage().split()[0].removeprefix("cognito_reset.") for r in caplog.records]
    about = ("limits_", "sessions_", "audit_", "busy")
    return [name.rstrip(":") for name in names if name.startswith(about)]


def logged(row: Own, step: str) -> list[str]:
    """Return what the log has of a row whose attempt reached Cognito."""
    # A request for a code has no answer to store, unless its client can send it again by itself, and ends no sessions.
    return row.log.split() if step == "confirm" else ["audit_failed"]


@pytest.mark.requirement("B14")
@every_fault
@every_step
@every_interface
def test_b14_nobody_gets_through_without_the_database(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    name: str,
    step: str,
    make_interface: type[Interface],
) -> None:
    """Everybody gets the same 503, Cognito isn't called, and one line a minute is logged. Then it works again."""
    site.configure(AUDIT=False)
    interface = make_interface()
    with FAULTS[name](site):
        for _ in range(2):
            ANSWERS[DATABASE[name].answer].check(interface, act(interface, step))
    assert site.wire.requests == []
    assert events(caplog) == [DATABASE[name].log]
    ANSWERS[GOOD[step]].check(interface, act(interface, step))


@pytest.mark.requirement("B14")
@every_fault
@every_step
def test_b14_a_site_may_let_everybody_through_without_the_database(
    site: Site, caplog: pytest.LogCaptureFixture, name: str, step: str
) -> None:
    site.configure(LIMITS_FAIL_OPEN=True, AUDIT=False, END_SESSIONS=False)
    with FAULTS[name](site):
        ANSWERS[GOOD[step]].check(REST(), act(REST(), step))
    assert events(caplog) == [DATABASE[name].log]


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
    """The database fails when Cognito has answered. The person hears what Cognito has done."""
    get_user_model().objects.create_user("alice")
    interface = make_interface()
    with failing_after_the_call(site, name):
        ANSWERS[GOOD[step]].check(interface, act(interface, step))
    assert len(site.wire.requests) == 1
    assert events(caplog) == logged(DATABASE_MEANWHILE[name], step)
    assert not ResetEvent.objects.exists()


REPEATS = {
    **{interface.name: (interface, "confirm", "unknown") for interface in INTERFACES},
    # An SDK that marks its tries.
    "aws request": (partial(AWS, "an-invocation-id"), "request", "maybe sent"),
}


@pytest.mark.requirement("B14")
@pytest.mark.parametrize(("make_interface", "step", "answer"), REPEATS.values(), ids=REPEATS)
def test_b14_a_repeat_of_an_attempt_whose_answer_could_not_be_stored(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    make_interface: Callable[[], Interface],
    step: str,
    answer: str,
) -> None:
    """
    Nobody gets through while the database fails. Later, when the first attempt can't be running any more, a repeat
    gets the answer for an outcome that isn't known, at once. Cognito isn't called again.
    """
    interface = make_interface()
    with failing_after_the_call(site, ANY_FAULT):
        ANSWERS[GOOD[step]].check(interface, act(interface, step))
        ANSWERS["unavailable"].check(interface, act(interface, step))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 18)  # docs/resiliency.md has this number
    start = time.monotonic()
    ANSWERS[answer].check(interface, act(interface, step))
    assert time.monotonic() - start < 10
    assert len(site.wire.requests) == 1


@pytest.mark.requirement("B14")
def test_b14_a_repeat_that_comes_earlier_waits(site: Site) -> None:
    """Until TOTAL_TIMEOUT_SECONDS and two seconds have passed since the first attempt."""
    start = time.monotonic()
    with failing_after_the_call(site, ANY_FAULT):
        assert act(REST(), "confirm").status_code == 200
    site.configure(TOTAL_TIMEOUT_SECONDS=1)
    ANSWERS["unknown"].check(REST(), act(REST(), "confirm"))
    assert time.monotonic() - start >= 3
    assert len(site.wire.requests) == 1


@on_server
@every_step
def test_an_answer_waits_for_a_database_that_hangs_after_the_attempt_was_counted(
    site: Site, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    proxy = site.proxy
    assert proxy
    release = threading.Timer(1, proxy.release)

    def hang() -> None:
        proxy.hold()
        release.start()

    with beginning_after_the_call(hang):
        ANSWERS[GOOD[step]].check(REST(), act(REST(), step))
    assert release.finished.is_set()
    assert " ".join(events(caplog)) == DATABASE_HANGS_MEANWHILE.log
    assert ResetEvent.objects.count() == 1


@every_fault
@every_step
@every_interface
def test_the_audit_is_best_effort(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    name: str,
    step: str,
    make_interface: type[Interface],
) -> None:
    """With the limits in a cache, the row of the audit is missing, and the person's own sessions don't end."""
    get_user_model().objects.create_user("alice")
    site.configure(LIMITS_CACHE="limits")
    interface = make_interface()
    with FAULTS[name](site):
        ANSWERS[GOOD[step]].check(interface, act(interface, step))
    assert events(caplog) == logged(AUDIT[name], step)
    assert not ResetEvent.objects.exists()


RAISE = {
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON cognito_reset_resetevent EXECUTE FUNCTION refuse()",
    ],
    "mysql": [
        "CREATE TRIGGER refuse BEFORE INSERT ON cognito_reset_resetevent FOR EACH ROW "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'"
    ],
    "sqlite": [
        "CREATE TRIGGER refuse BEFORE INSERT ON cognito_reset_resetevent "
        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
    ],
}
DROP = {
    "postgresql": ["DROP TRIGGER refuse ON cognito_reset_resetevent", "DROP FUNCTION refuse()"],
    "mysql": ["DROP TRIGGER refuse"],
    "sqlite": ["DROP TRIGGER refuse"],
}


@pytest.fixture
def refusing_audit(site: Site) -> Iterator[None]:
    """A table of the audit that takes no rows."""
    run(RAISE[VENDOR])
    yield
    run(DROP[VENDOR])


def run(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.usefixtures("refusing_audit")
@every_step
@every_interface
def test_an_audit_that_fails_changes_no_answer(
    caplog: pytest.LogCaptureFixture, step: str, make_interface: type[Interface]
) -> None:
    """The person hears what Cognito has done, and the log has the failure."""
    interface = make_interface()
    ANSWERS[GOOD[step]].check(interface, act(interface, step))
    assert events(caplog) == [AUDIT_REFUSED.log]


@every_fault
@every_step
def test_sessions_in_a_database_that_fails(
    site: Site, settings: Any, caplog: pytest.LogCaptureFixture, name: str, step: str
) -> None:
    """
    Nothing is sent for a session that can't be read. If it can't be written, visitors get through as without it. REST
    needs none.
    """
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    site.configure(LIMITS_CACHE="limits", LIMITS=False, AUDIT=False, END_SESSIONS=False)
    old, new = Pages(), Pages()
    assert old.request("bob").status_code == 302
    with FAULTS[name](site):
        if name in ("down", "no connections"):
            row = SESSIONS["unreadable"]
            ANSWERS["unavailable"].check(old, act(old, step))
            assert len(site.wire.requests) == 1
        else:
            row = SESSIONS["unwritable"]
            check_without_session(act(old, step), step)
        assert f"cognito_reset.{row.log}" in caplog.text
        caplog.clear()
        row = SESSIONS["none"]
        check_without_session(act(new, step), step)
        assert f"cognito_reset.{row.log}" in caplog.text
        ANSWERS["done"].check(REST(), REST().confirm())


def test_the_last_page_is_shown_although_the_session_cannot_be_removed(
    site: Site, settings: Any
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    site.configure(LIMITS_CACHE="limits")
    pages = Pages()
    url = act(pages, "confirm").url
    with site.read_only():
        assert pages.client.get(url).context["outcome"] == "confirmed"
    assert pages.client.get(url).context["outcome"] == "confirmed"
    assert pages.client.get(url).status_code == 302


@on_server
@pytest.mark.requirement("B14")
def test_b14_a_database_that_hangs_holds_no_more_requests_than_there_are_permits(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The others get 503 at once. When the database answers again, all go on."""
    assert site.proxy
    site.configure(AUDIT=False, MAX_CONCURRENT_CALLS=2)

    def request(number: int) -> Any:
        try:
            return REST().request(f"user-{number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as threads:
        site.proxy.hold()
        try:
            futures = [threads.submit(request, number) for number in range(3)]
            [refused], held = wait(futures, 20, FIRST_COMPLETED)
            ANSWERS[DATABASE_HANGS.answer].check(REST(), refused.result())
        finally:
            site.proxy.release()
        assert [future.result(20).status_code for future in held] == [202, 202]
    assert set(events(caplog)) == {DATABASE_HANGS.log}


@pytest.mark.requirement("B14")
@pytest.mark.parametrize("hours", [-1, 1])
def test_b14_no_clock_locks_anybody_out(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hours: int
) -> None:
    """A slot that expires too late was taken before the clock was set back, and is free."""
    site.configure(LIMITS={"request": {"identifier": "1/3s"}})
    assert REST().request().status_code == 202
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    assert REST().request().status_code == 202
    response = REST().request()
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 3
    assert events(caplog) == ([CLOCK.log] if CLOCK.log else [])
