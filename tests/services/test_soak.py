"""
A soak: a site on gunicorn has visitors at a steady rate, while Cognito, Redis and PostgreSQL fail now and then.
It needs no more of anything in the end than after it has warmed up, every answer is one that docs/resiliency.md
names, and so is every line of the log that docs/log.md names.

COGNITO_RESET_SOAK_SECONDS is how long it takes. COGNITO_RESET_SOAK_SEED repeats the choices of an earlier run.
With ``-s`` pytest shows the figures.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.services import cluster
from tests.services.faults import Redis
from tests.services.soak_measures import (
    Measured,
    connections,
    open_files,
    quarters,
    sample_stores,
    sample_worker,
)
from tests.services.soak_visitors import CODE, NAME, PASSWORD, STAFF_PASSWORD, Answer, Visitors
from tests.services.soak_world import (
    MANY_NAME,
    ROOT,
    SECRET,
    THREADS,
    Cognito,
    World,
    fail_now_and_then,
    gunicorn,
    make_users,
    purge,
    reset_many,
)
from tests.services.stores import leave_out, need
from tests.services.test_site_code import PostgreSQL

pytestmark = pytest.mark.services

SECONDS = float(os.environ.get("COGNITO_RESET_SOAK_SECONDS", "60"))
SEED = int(os.environ.get("COGNITO_RESET_SOAK_SEED", random.randrange(1_000_000)))
#: The sites, and the cache of their limits. Without one, these are in the database.
SITES = {"redis": "limits", "database": ""}
# How old the rows are that ``purge`` deletes.
PURGE_SECONDS = max(15, SECONDS / 60)
# Of the attempts while Cognito is well, at least this share succeeds: on each site, and at each step of each interface.
# 65 to 90 % are usual, and 55 % on a machine with far too much work: one in ten of Cognito's answers is a fault all the
# same, Redis is down for a tenth of the time, and limits refuse one in ten requests for a code. In a short run a group of
# 40 has fewer than half by chance. A circuit breaker that stays open leaves hardly any.
GOOD_SHARE = 0.5 if SECONDS > 600 else 0.35
# In a group of fewer attempts it may be less by chance. Groups are small if many outages of a short run open the
# circuit breaker.
FEW = 40
# PostgreSQL closes its connections a moment after it was told to, and later on a busy machine.
DROP_SECONDS = 4.0
#: What mustn't be in the log.
PRIVATE = (
    *(NAME, "example.com", MANY_NAME, re.escape(PASSWORD), rf"\b{CODE}\d\d\d\b", SECRET),
    *(STAFF_PASSWORD, "198.51.100", "vendor text"),
)
# MAX_CONCURRENT_CALLS: the permits of requests. There are as many for work in the background.
CALLS = 4
#: What a worker has at most some time after the last visitor. Each of its threads keeps its connections, and so do the
#: pools of the two clients: the unsigned one has a connection for each permit of requests, and the signed one a
#: connection for each permit of either kind.
AT_THE_END = {
    "threads": THREADS + 2,  # and the main thread, and one of gunicorn's
    "sockets": 2 * THREADS + 3 * CALLS + 2,  # and those to listen
    "connections to Cognito": 3 * CALLS,
    "connections to Redis": THREADS,
    "connections to PostgreSQL": THREADS,
}
#: What it has at most at any moment. No permit has two calls of the same client at once, so there are never more
#: connections to Cognito than at the end. Each permit may have two threads: those of two calls, or work in the
#: background and its call. They may open connections to the stores, and close them.
AT_ANY_MOMENT = {
    "threads": THREADS + 2 + 4 * CALLS,
    "connections to Cognito": 3 * CALLS,
    "connections to Redis": THREADS + 2 * CALLS,
    "connections to PostgreSQL": THREADS + 2 * CALLS,
}
#: By how much the average of the last quarter may exceed that of the second one: a share, and a number besides.
#: In half an hour there are some 8000 requests to each site between the two, so that a leak of a kilobyte for each
#: request is noticed. A short run ends before the memory of a slow machine's processes is steady.
MARGINS = {"memory": (0, 5 if SECONDS > 600 else 20), "files": (0, 2)}  # MB, and files
#: By how much there may be more rows or keys for each attempt, and how long it takes until as many are deleted
#: as are added: some slots are held for five minutes. In a run whose first quarter is shorter, there are more
#: of them in the end.
SHARES = {
    "cognito_reset_resetevent": (0.25, 4 * PURGE_SECONDS),
    "django_session": (0.5, 4 * PURGE_SECONDS),
    "keys in Redis": (0.25, 330),
    "cognito_reset_ledgerslot": (0.25, 330),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    need("redis")
    need("postgresql")
    if not cluster.is_installed():
        leave_out("redis-server and redis-cli aren't installed")
    if not Path("/proc/self/net/tcp").exists():
        leave_out("what a process needs is read from Linux's /proc")
    sys.stdout.write(f"COGNITO_RESET_SOAK_SEED={SEED}\n")  # pytest shows it if the test fails
    choices = random.Random(SEED)
    with ExitStack() as stack:
        redis = Redis(tmp_path / "redis")
        stack.callback(redis.close)
        database = PostgreSQL()
        stack.callback(database.close)
        cognito = Cognito(random.Random(choices.random()))
        stack.callback(cognito.wire.close)
        made = World(tmp_path, cognito, redis, database, choices)
        made.run("migrate", "--verbosity", "0")
        make_users(made)
        yield made


@pytest.mark.requirement("B14", "C10")
def test_a_site_needs_no_more_after_long_than_after_short(world: World) -> None:
    """Two sites with one database and one Redis: the limits of one are in Redis, and of the other in the database."""
    with ExitStack() as stack:
        ports, workers = {}, {}
        for name, cache in SITES.items():
            ports[name], workers[name] = stack.enter_context(gunicorn(world, cache))
        sources: dict[str, Callable[[], dict[str, float]]] = {
            name: partial(sample_worker, world, process) for name, process in workers.items()
        }
        measured = Measured(SECONDS, {**sources, "stores": partial(sample_stores, world)})
        visitors = Visitors(ports, SEED)
        with ThreadPoolExecutor() as executor:
            others = [
                executor.submit(partial(world.cognito.fail_now_and_then, world.is_over)),
                executor.submit(fail_now_and_then, world),
                executor.submit(reset_many, world),
                executor.submit(purge, world, PURGE_SECONDS),
                executor.submit(measured.go_on, world.is_over),
            ]
            try:
                visitors.come(SECONDS)
            finally:
                world.is_over.set()
        for other in others:
            other.result()
        found = [
            *check_end(world, workers),
            *check_steady(measured, visitors.answers),
            *check_answers(world, visitors.answers),
            *check_log(world, visitors.answers),
            *check_stores(world),
            *check_many(world),
        ]
    report(world, visitors.answers, measured)
    assert not found, "\n".join(found)


def test_a_connection_is_counted_once() -> None:
    """Connections that are opened meanwhile don't change how many there are to a port."""
    if not Path("/proc/self/net/tcp").exists():
        leave_out("connections are read from Linux's /proc")
    is_over = threading.Event()
    with (
        socket.create_server(("", 0), backlog=256) as listener,
        socket.create_server(("127.0.0.1", 0)) as other,
        ExitStack() as stack,
    ):
        port = listener.getsockname()[1]
        for number in range(400):  # to many addresses, so that they are all over the kernel's table
            address = f"127.0.{number // 200}.{number % 200 + 1}"
            stack.enter_context(socket.create_connection((address, port)))
            stack.enter_context(listener.accept()[0])
        sockets = {file for file in open_files(os.getpid()) if file.startswith("socket:")}

        def come_and_go() -> None:
            while not is_over.wait(0.002):
                with socket.create_connection(other.getsockname()), other.accept()[0]:
                    pass

        others = threading.Thread(target=come_and_go)
        others.start()
        try:
            end, counts = time.monotonic() + 3, set()
            while time.monotonic() < end:
                counts.add(connections(os.getpid(), sockets)[port])
        finally:
            is_over.set()
            others.join()
    assert counts == {400}


def check_steady(measured: Measured, answers: list[Answer]) -> list[str]:
    """Return what became more, as texts."""
    attempts = [
        (measured.share(answer.at), 1.0)
        for answer in answers
        if answer.is_attempt and answer.seen[0] < 500
    ]
    before_them, after_them = map(len, quarters(attempts))
    found = []
    for name in measured.samples:
        kind = name.partition(": ")[2]
        before, after = measured.quarters(name)
        share, more = MARGINS.get(kind, (math.inf, 0))
        is_more = after > before * (1 + share) + more
        if kind in SHARES:
            share, steady_after = SHARES[kind]
            is_more = after * before_them > before * after_them * (1 + share)
            is_more = is_more and steady_after < SECONDS / 4
        if is_more:
            found.append(f"{name}: {before:.1f}, and later {after:.1f}")
        most = measured.most(name)
        if most > AT_ANY_MOMENT.get(kind, math.inf):
            found.append(f"{name}: {most:.0f} at once")
    return found


def check_end(world: World, workers: dict[str, int]) -> list[str]:
    """
    Return what a worker still has too much of some time after the last visitor, and what gunicorn says, for example
    because a worker was too slow.
    """
    errors = list(filter(None, (path.read_text() for path in world.folder.glob("errors-*"))))
    deadline = time.monotonic() + 30
    while True:
        found = [
            f"{name}: {kind} at the end: {value}"
            for name, process in workers.items()
            for kind, value in sample_worker(world, process).items()
            if value > AT_THE_END.get(kind, math.inf)
        ]
        if not found or time.monotonic() > deadline:
            return [*errors, *found]
        time.sleep(0.2)


def check_answers(world: World, answers: list[Answer]) -> list[str]:
    """Return the answers that the matrix doesn't name, and the groups of attempts of which too few are good."""
    wrong = [each for each in answers if not each.is_named and not lost_its_database(world, each)]
    found = [f"{each.site}, {each.interface}, {each.step}: {each.seen}" for each in wrong]
    for name, (good, count) in shares_of_good(world, answers).items():
        if count >= FEW and good < GOOD_SHARE * count:
            found.append(f"{name}: {good} good answers of {count}")
    return found


def shares_of_good(world: World, answers: list[Answer]) -> dict[str, tuple[int, int]]:
    """Return how many attempts were good while Cognito was well, and of how many: by site, and by step."""
    groups: dict[str, list[bool]] = {}
    for answer in answers:
        is_well = not any(
            begin < answer.end and answer.at < end for begin, end in world.cognito.outages
        )
        if answer.is_attempt and is_well:
            for name in (answer.site, f"{answer.interface}, {answer.step}"):
                groups.setdefault(name, []).append(answer.is_good)
    return {name: (sum(group), len(group)) for name, group in sorted(groups.items())}


def lost_its_database(world: World, answer: Answer) -> bool:
    """
    Check whether an answer may be another one, because the connection to the database was closed meanwhile. Pages
    need it for the session: they show the outcome of a reset without a redirect (200), or Django itself answers 500,
    or 400 if it can't save the session. Staff need it for their user.
    """
    is_lost = any(
        begin < answer.end + DROP_SECONDS and answer.at - DROP_SECONDS < end
        for begin, end in world.drops
    )
    statuses = {"pages": (200, 400, 500), "staff": (500,)}.get(answer.interface, ())
    return is_lost and answer.seen[0] in statuses


def check_log(world: World, answers: list[Answer]) -> list[str]:
    """Return the lines that docs/log.md doesn't name, and those that say too much."""
    page = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
    events = set(re.findall(r"\bcognito_reset\.(\w+)", page))
    private = re.compile("|".join(PRIVATE))
    lines = world.log.read_text().splitlines()
    found = [line for line in lines if private.search(line)]
    traces = 0
    for record in map(json.loads, lines):
        event = re.match(r"cognito_reset\.(\w+)", record["text"])
        # Django logs each refusal, by the request's path.
        if not (event and event[1] in events) and record["logger"] != "django.request":
            found.append(json.dumps(record))
        traces += bool(record["trace"])
    failed = sum(lost_its_database(world, answer) for answer in answers)
    return found if traces <= failed else [*found, f"{traces} tracebacks for {failed} answers"]


def check_stores(world: World) -> list[str]:
    """Return the slots that are held for longer than an hour."""
    script = (
        "local found = {} for _, key in ipairs(redis.call('keys', '*')) do local left = "
        "redis.call('ttl', key) if left < 0 or left > 3600 then table.insert(found, key) end end "
        "return found"
    )
    keys = world.redis.ask("eval", script, "0").split()
    late = int((time.time() + 3600) * 1000)
    rows = world.query(f"SELECT key FROM cognito_reset_ledgerslot WHERE expires > {late}")
    private = [key for key in world.redis.ask("keys", "*").split("\n") if NAME in key]
    return [f"a slot without an end: {key}" for key in [*keys, *rows]] + private


def check_many(world: World) -> list[str]:
    """Return the people of resets of many who may have got two codes."""
    resets = world.cognito.resets
    return [f"{name}: {count} resets" for name, count in resets.items() if count > 1]


def report(world: World, answers: list[Answer], measured: Measured) -> None:
    """Write the figures."""
    lines = [
        f"{len(answers)} requests in {SECONDS:.0f} s, seed {SEED}",
        f"outages of Cognito: {dict(world.cognito.faults)}; drops: {len(world.drops)}",
        f"people of resets of many: {len(world.cognito.resets)}",
    ]
    for name in measured.samples:
        tenths = ", ".join(f"{value:.1f}" for value in measured.tenths(name))
        lines.append(f"{name}: {tenths}; at most {measured.most(name):.0f}")
    lines += [
        f"{name}: {good} of {count} attempts were good while Cognito was well ({good / count:.0%})"
        for name, (good, count) in shares_of_good(world, answers).items()
    ]
    all_attempts = [answer.is_good for answer in answers if answer.is_attempt]
    lines.append(f"of all attempts, {statistics.fmean(all_attempts):.0%} were good")
    kinds = Counter((answer.interface, answer.step, answer.seen) for answer in answers)
    lines += [f"{count} × {kind}" for kind, count in sorted(kinds.items())]
    for site in SITES:
        times = [
            (measured.share(answer.at), answer.seconds) for answer in answers if answer.site == site
        ]
        before, after = (statistics.quantiles(part, n=20)[18] for part in quarters(times))
        lines.append(f"{site}: p95 {before:.2f} s, {after:.2f} s")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
