"""
A site's own code may read the database wherever the app calls it. It leaves no connection open in a thread
of ours, and after the database was restarted everything works again: with real servers and databases.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from cognito_reset.testing import Emulator, Trickle
from cognito_reset.testing.server import Server, serve
from tests.services.servers import ROOT, serving
from tests.services.stores import need, need_package, slow_but
from tests.settings import DATABASE_SETTINGS

pytestmark = pytest.mark.services

THREADS = 2
PASSWORD = "Battery-staple-2"
#: How long the site keeps a connection, and how many it keeps then.
KEPT: dict[str, tuple[dict[str, Any], int]] = {
    "closed": ({"CONN_MAX_AGE": 0}, 0),
    "kept": ({"CONN_MAX_AGE": None}, THREADS),
    "checked": ({"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}, THREADS),
    "pool": ({"OPTIONS": {"pool": True}}, 4),  # psycopg's default
}
#: The places that the two steps of a reset pass.
PLACES = {
    "CLIENT_METADATA",
    "CLIENT_SECRET",
    "POOL_RESOLVER",
    "PRE_SEND_HOOK",
    "SERVICE_CLASS",
    "USER_RESOLVER in a request",
    "receiver of confirmed in a request",
    "receiver of requested in a request",
    "validator",
}


class PostgreSQL:
    """A database of its own on the server, and the connections to it."""

    store = "postgresql"

    def __init__(self) -> None:
        import psycopg

        self.name = f"site_code_{uuid4().hex}"
        self.settings = {**DATABASE_SETTINGS[self.store], "NAME": self.name}
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
        own = {name: self.settings[key] for name, key in names.items()}
        self._connection = psycopg.connect(dbname="postgres", autocommit=True, **own)
        self._connection.execute(f"CREATE DATABASE {self.name}")

    def count(self) -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        return int(self._connection.execute(query, [self.name]).fetchone()[0])

    def end_all(self) -> None:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        self._connection.execute(query, [self.name])

    def close(self) -> None:
        self._connection.execute(f"DROP DATABASE {self.name} WITH (FORCE)")
        self._connection.close()


class MariaDB:
    """The same for MariaDB."""

    store = "mariadb"

    def __init__(self) -> None:
        database: Any = importlib.import_module("MySQLdb")  # it has no types
        self.name = f"site_code_{uuid4().hex}"
        self.settings = {**DATABASE_SETTINGS[self.store], "NAME": self.name}
        names = {"host": "HOST", "user": "USER", "password": "PASSWORD"}
        own = {name: self.settings[key] for name, key in names.items()}
        self._connection = database.connect(port=int(self.settings["PORT"]), **own)
        self._run(f"CREATE DATABASE {self.name}")

    def _run(self, query: str) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def _numbers(self) -> list[int]:
        query = f"SELECT id FROM information_schema.processlist WHERE db = '{self.name}'"
        return [number for (number,) in self._run(query)]

    def count(self) -> int:
        return len(self._numbers())

    def end_all(self) -> None:
        for number in self._numbers():
            self._run(f"KILL {number}")

    def close(self) -> None:
        self._run(f"DROP DATABASE {self.name}")
        self._connection.close()


DATABASES = {kind.store: kind for kind in (PostgreSQL, MariaDB)}
WAYS = [*(("postgresql", kept) for kept in KEPT), ("mariadb", "kept")]
# Under ASGI each request has a thread of its own, and Django says to keep no connection (its docs on
# databases, "Persistent connections").
SERVED = [
    (server, way)
    for server in ("WSGI", "ASGI")
    for way in WAYS
    if server == "WSGI" or way[1] in ("closed", "pool")
]
FAST = [("WSGI", ("postgresql", "kept")), ("ASGI", ("postgresql", "closed"))]
served = pytest.mark.parametrize(
    ("server", "site"),
    [pytest.param(*pair, marks=[] if pair in FAST else pytest.mark.slow) for pair in SERVED],
    indirect=["site"],
    ids=["-".join([server, *way]) for server, way in SERVED],
)


class Site:
    """The site's database, its pool, and the environment of its processes."""

    def __init__(self, database: Any, kept: str, emulator: Server) -> None:
        options, self.kept = KEPT[kept]
        self.database = database
        self.emulator = emulator.emulator
        pool = self._call("CreateUserPool", PoolName="site", AutoVerifiedAttributes=["email"])
        pool_id = pool["UserPool"]["Id"]
        client = self._call(
            "CreateUserPoolClient", UserPoolId=pool_id, ClientName="site", GenerateSecret=True
        )["UserPoolClient"]
        attributes = [
            {"Name": "email", "Value": "alice@example.com"},
            {"Name": "email_verified", "Value": "true"},
        ]
        self._call(
            "AdminCreateUser", UserPoolId=pool_id, Username="alice", UserAttributes=attributes
        )
        self._call(
            "AdminSetUserPassword",
            UserPoolId=pool_id,
            Username="alice",
            Password="Correct-horse-1",
            Permanent=True,
        )
        self.emulator.options.hourly_allowance = 10_000
        given = {
            "database": {**database.settings, **options},
            "pool": {
                "REGION": "eu-west-1",
                "USER_POOL_ID": pool_id,
                "CLIENT_ID": client["ClientId"],
                "ENDPOINT_URL": emulator.url,
            },
            "secret": client["ClientSecret"],
            "timeout": 6,
        }
        self.environment = {**os.environ, "SITE_CODE": json.dumps(given), "PYTHONPATH": str(ROOT)}
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self._migrate()

    def _call(self, operation: str, **body: Any) -> dict[str, Any]:
        status, answer = self.emulator.handle(operation, body)
        assert status == 200, answer
        return answer

    def _migrate(self) -> None:
        code = (
            "import tests.services.site_code_site; "
            "from django.core.management import call_command; call_command('migrate', verbosity=0)"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=self.environment, check=True)

    def code(self) -> str:
        return str(self.emulator.outbox[-1].code)

    def keeps_at_most(self, most: int) -> bool:
        """Check how many connections are open, after those that are being closed have ended."""
        end = time.monotonic() + 20
        while self.database.count() > most and time.monotonic() < end:
            time.sleep(0.05)
        return bool(self.database.count() <= most)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    store, kept = request.param
    need(store)
    if kept == "pool":
        need_package("psycopg_pool")
    with (
        contextlib.closing(DATABASES[store]()) as database,
        serve(Emulator(region="eu-west-1")) as emulator,
    ):
        yield Site(database, kept, emulator)


@contextlib.contextmanager
def running(site: Site, command: list[str]) -> Iterator[Callable[..., Any]]:
    """Start a server, and yield a function that sends a request to it and returns status and data."""

    def call(method: str, path: str, data: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            body = None if data is None else json.dumps(data)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            is_json = "json" in (response.getheader("Content-Type") or "")
            return response.status, json.loads(text) if is_json else text

    with serving(command, site.environment) as port:
        yield call


MODULE = "tests.services.site_code_site"
SERVERS = {
    "WSGI": [
        *("gunicorn", "--bind", "fd://{fd}", "--threads", str(THREADS), "--log-level", "error"),
        f"{MODULE}:application",
    ],
    "ASGI": [
        *("uvicorn", "--fd", "{fd}", "--log-level", "error", "--lifespan", "off"),
        f"{MODULE}:asgi_application",
    ],
}


def reset(site: Site, call: Callable[..., Any]) -> list[int]:
    """Do both steps of a reset, and return the statuses."""
    first, _ = call("POST", "/api/password-reset/", {"username": "alice"})
    code = site.code() if site.emulator.outbox else "123456"
    data = {"username": "alice", "confirmation_code": code, "password": f"{PASSWORD}{uuid4()}"}
    second, _ = call("POST", "/api/password-reset/confirm/", data)
    return [first, second]


@served
def test_the_sites_code_may_read_the_database_everywhere(site: Site, server: str) -> None:
    """
    No connection stays open but those that Django keeps for the server's threads. When all were ended by
    the database, resets work again, at once or after each thread has noticed it.
    """
    with running(site, SERVERS[server]) as call:
        for _ in range(6):
            assert reset(site, call) == [202, 200]
        assert {*call("GET", "/ran/")[1]["ran"]} >= PLACES
        assert site.keeps_at_most(site.kept)
        site.database.end_all()
        for _ in range(8):
            reset(site, call)
        for _ in range(3):
            assert reset(site, call) == [202, 200]
        assert site.keeps_at_most(site.kept)


@served
def test_receivers_of_a_late_success_leave_no_connection_open(site: Site, server: str) -> None:
    """After a late success, receivers and USER_RESOLVER run in the thread of the call."""
    with running(site, SERVERS[server]) as call:
        assert call("POST", "/api/password-reset/", {"username": "alice"})[0] == 202
        call("POST", "/slow/")  # half of the time passes before the request, half before its answer
        site.emulator.fail_next("ConfirmForgotPassword", Trickle(seconds=9, interval=3.5))
        data = {"username": "alice", "confirmation_code": site.code(), "password": PASSWORD}
        assert call("POST", "/api/password-reset/confirm/", data)[0] == 502
        late = {"USER_RESOLVER in a call", "receiver of confirmed in a call"}
        end = time.monotonic() + 30
        while not late <= {*call("GET", "/ran/")[1]["ran"]} and time.monotonic() < end:
            time.sleep(0.2)
        assert late <= {*call("GET", "/ran/")[1]["ran"]}
        assert site.keeps_at_most(site.kept)


@pytest.mark.parametrize(
    "site", slow_but([("postgresql", "kept")], WAYS), indirect=True, ids="-".join
)
def test_a_task_of_the_site_has_one_connection(site: Site) -> None:
    """A task of the site has the connection of its own thread, and no other."""
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE],
        cwd=ROOT,
        env=site.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout

    def ask() -> str:
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        assert [ask() for _ in range(3)] == ["done"] * 3
        assert site.keeps_at_most(site.kept or 1)
        site.database.end_all()
        for _ in range(6):
            ask()
        assert [ask() for _ in range(3)] == ["done"] * 3
        assert site.keeps_at_most(site.kept or 1)
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
