"""
The world of test_soak.py: a site on gunicorn with its servers, and what happens to it while visitors come.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password

from tests.fault_server import GOOD, POOL, Handler, Wire, trickle, user, well
from tests.services.faults import Redis
from tests.services.soak_visitors import (
    NAME,
    PEOPLE,
    STAFF,
    STAFF_PASSWORD,
    Visitors,
    address,
    sub,
)
from tests.services.test_site_code import PostgreSQL
from tests.test_matrix import ROWS, Row

ROOT = Path(__file__).parents[2]
SITE = "tests.services.soak_site"
THREADS = 8
SECRET = "soakclientsecret123456789"
# While Cognito is well, this share of its answers is a fault all the same, each for one request only.
FAULTY_SHARE = 0.1
RESET = "AdminResetUserPassword"
STEPS = {"ForgotPassword": "request", "ConfirmForgotPassword": "confirm"}
#: How long after an outage Cognito may still not be called: a call that trickles takes three seconds to end, the
#: circuit breaker stays open for five more, and then a visitor has to come.
RECOVERY_SECONDS = 9
#: A reset of many people: their names and number, and how many a second. When it is over, another one begins.
MANY_NAME, MANY, MANY_A_SECOND = "many-", 60, 2


# Cognito.


class Cognito:
    """
    A server in Cognito's place. Most answers are good, some are errors at random, and now and then all answers are
    the same fault for some seconds. ``resets`` counts, for each person of a reset of many, the requests
    that Cognito may have carried out. ``outages`` has when each outage began, and by when the site calls Cognito again.
    """

    def __init__(self, choices: random.Random) -> None:
        self._random = choices
        self._lock = threading.Lock()
        self._outage: Row | None = None
        self.wire = Wire()
        self.wire.answer = self._answer
        self.resets = Counter[str]()
        self.faults = Counter[str]()
        self.outages: list[tuple[float, float]] = []
        # Connections and names that go wrong need more than an answer.
        self._rows = {name: row for name, row in ROWS.items() if isinstance(row.fault, tuple)}

    def fail_now_and_then(self, is_over: threading.Event) -> None:
        names = [*self._rows, "resets"]
        waiting: list[str] = []
        while not is_over.wait(self._random.uniform(8, 14)):
            waiting = waiting or self._random.sample(names, len(names))
            name = waiting.pop()
            self.faults[name] += 1
            row, begin = self._rows.get(name), time.monotonic()
            self._outage, self.wire.resets_connections = row, name == "resets"
            is_over.wait(self._random.uniform(1, 2))
            self.heal()
            # Connections that are reset have no row here, and open the circuit breaker.
            recovery = RECOVERY_SECONDS if row is None or row.opens else 0
            self.outages.append((begin, time.monotonic() + recovery))

    def heal(self) -> None:
        self._outage, self.wire.resets_connections = None, False

    def _answer(self, handler: Handler) -> None:
        row = self._choose(handler.operation)
        name, is_done = handler.body.get("Username", ""), True
        if row:  # these people are sent a reset later
            is_done = not row.many.startswith(("pending", "sent"))
        if handler.operation == RESET and name.startswith(MANY_NAME) and is_done:
            self.resets[name] += 1
        good = find if handler.operation == "ListUsers" else well
        if row is self._rows["trickle"]:
            # Otherwise the call would hold its permit for a minute.
            trickle(handler, count=60)
        else:
            (row.fault[0] if row else good)(handler)

    def _choose(self, operation: str) -> Row | None:
        """Return the fault that a request meets, if any: one that can happen to this operation."""
        with self._lock:
            row = self._outage
            if row is None and self._random.random() < FAULTY_SHARE:
                row = self._random.choice([*self._rows.values()])
        if row is None or not getattr(row, STEPS.get(operation, "staff")):
            return None
        # Of the other operations, none is about one person's reset.
        is_for_all = row.many.startswith(("pending", "sent", "unknown"))
        return row if is_for_all or operation in {*STEPS, RESET} else None


def find(handler: Handler) -> None:
    """Answer ListUsers with the person who has this username, address or sub."""
    attribute, value = re.findall(r'(\w+) \^?= "(.*)"', handler.body["Filter"])[0]
    number = int(value.rpartition("-")[2]) if attribute == "sub" else None
    name = value.partition("@")[0] if number is None else f"{NAME}{number}"
    person = user(name)
    if name.startswith(NAME):
        person["Attributes"][0]["Value"] = sub(int(name.removeprefix(NAME)))
    body = json.dumps({"Users": [person]}).encode()
    handler.reply(200, body, **GOOD)


# The site and its servers.


@dataclass
class World:
    """What a site consists of, and where its parts are."""

    folder: Path
    cognito: Cognito
    redis: Redis
    database: PostgreSQL
    choices: random.Random
    is_over: threading.Event = field(default_factory=threading.Event)
    #: When the closing of all connections to the database began, and when it ended.
    drops: list[tuple[float, float]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def environment(self, cache: str = "") -> dict[str, str]:
        pool = {**POOL, "ENDPOINT_URL": self.cognito.wire.url, "CLIENT_SECRET": SECRET}
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "SOAK_POOL": json.dumps({**pool, "SIGN_IN_WITH": ["email"]}),
            "SOAK_DATABASE": json.dumps(self.database.settings),
            "SOAK_REDIS": f"redis://127.0.0.1:{self.redis.port}",
            "SOAK_LOG": str(self.log),
            **({"SOAK_LIMITS_CACHE": cache} if cache else {}),
        }
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        return environment

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the site's."""
        return subprocess.Popen(
            [sys.executable, "-m", SITE, *arguments],
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, exits: tuple[int, ...] = (0,)) -> str:
        command = self.start(*arguments)
        output = command.communicate(timeout=120)[0]
        assert command.returncode in exits, output
        return output

    def query_or_none(self, query: str) -> list[tuple[Any, ...]] | None:
        """Return None if the connection was closed meanwhile."""
        from psycopg import OperationalError

        try:
            return self.query(query)
        except OperationalError:
            return None

    def query(self, query: str) -> list[tuple[Any, ...]]:
        import psycopg

        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
        own = {name: self.database.settings[key] for name, key in names.items()}
        with psycopg.connect(dbname=self.database.name, autocommit=True, **own) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def gunicorn(world: World, cache: str) -> Iterator[tuple[int, int]]:
    """Run a site, and yield its port and the process of its worker."""
    command = [sys.executable, "-m", "gunicorn", "--threads", str(THREADS), "--log-level"]
    name = cache or "database"
    with (
        socket.create_server(("127.0.0.1", 0), backlog=512) as listener,
        (world.folder / f"errors-{name}").open("w") as errors,
    ):
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [*command, "warning", "--bind", f"fd://{listener.fileno()}", SITE],
            cwd=ROOT,
            env=world.environment(cache),
            pass_fds=[listener.fileno()],
            stdout=errors,
            stderr=errors,
        )
    try:
        Visitors({name: port}, seed=0).come(1)  # until it answers
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        [worker] = map(int, children.split())
        yield port, worker
    finally:
        process.terminate()
        process.wait(60)


def make_users(world: World) -> None:
    """Make a local user for each person, and one for staff."""
    users: list[dict[str, Any]] = [
        {"username": address(number), "email": address(number), "password": "!"}
        for number in range(PEOPLE)
    ]
    hashed = make_password(STAFF_PASSWORD)
    staff = {"is_staff": True, "is_superuser": True, "password": hashed, "username": STAFF}
    path = world.folder / "users.json"
    path.write_text(
        json.dumps([{"model": "auth.user", "fields": fields} for fields in [*users, staff]])
    )
    world.run("loaddata", str(path))


# What happens meanwhile.


def fail_now_and_then(world: World) -> None:
    """Pause Redis, kill it, and close all connections to the database, in turn."""
    waiting: list[Callable[[], None]] = []
    while not world.is_over.wait(world.choices.uniform(5, 9)):
        faults = [partial(pause_redis, world), partial(kill_redis, world), partial(drop, world)]
        waiting = waiting or world.choices.sample(faults, len(faults))
        waiting.pop()()


def pause_redis(world: World) -> None:
    with world.redis.paused():
        world.is_over.wait(world.choices.uniform(0.5, 1.5))


def kill_redis(world: World) -> None:
    """Kill it just after it has saved what it has, and start it again."""
    world.redis.ask("save")
    with world.redis.down():
        world.is_over.wait(world.choices.uniform(0.2, 1))


def drop(world: World) -> None:
    """Close all connections to the database."""
    begin = time.monotonic()
    try:
        world.database.end_all()
    finally:
        world.drops.append((begin, time.monotonic()))


def reset_many(world: World) -> None:
    """
    Reset many people in the background, again and again. A reset that has paused by itself is resumed, and so is one
    whose process lost its database.
    """
    number = 0
    while not world.is_over.is_set():
        last = world.query_or_none("SELECT id, state FROM cognito_reset_bulkrun ORDER BY id DESC")
        if last is None:
            continue
        if last and last[0][1] not in ("done", "stopped"):
            command = world.start("cognito_reset", "bulk", "resume", str(last[0][0]))
        else:
            number += 1
            people = world.folder / "people"
            people.write_text("".join(f"{MANY_NAME}{number}-{n}\n" for n in range(MANY)))
            options = ["--file", str(people), "--rate", str(MANY_A_SECOND), "--yes"]
            command = world.start("cognito_reset", "bulk", "start", *options)
        exits = {0, 1, 3, 4}  # 3 if Cognito's fault is that it refuses the signature
        while command.poll() is None and not world.is_over.wait(0.2):
            pass
        if command.poll() is None:
            command.terminate()
            exits.add(-signal.SIGTERM)  # it may not have begun
        output = command.communicate(timeout=120)[0]
        assert command.returncode in exits, output


def purge(world: World, seconds: float) -> None:
    """Run ``purge`` now and then, as if what is older than so many seconds were older than a day."""
    while not world.is_over.wait(seconds / 2):
        aged = "UPDATE cognito_reset_resetevent SET created_at = created_at - interval '2 days' "
        world.query_or_none(f"{aged} WHERE created_at < now() - interval '{seconds} seconds'")
        # Sessions end after an hour, and Django's own command clears them. Those of slow visits must stay.
        end = f"now() + interval '{3600 - 4 * seconds} seconds'"
        world.query_or_none(f"DELETE FROM django_session WHERE expire_date < {end}")
        output = world.run("cognito_reset", "purge", exits=(0, 4))
        old = "FROM cognito_reset_resetevent WHERE created_at < now() - interval '1 day'"
        if rows := world.query_or_none(f"SELECT count(*) {old}"):
            assert rows[0][0] == 0 or "The database failed" in output
