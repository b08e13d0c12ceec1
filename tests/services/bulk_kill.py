"""
Resets of many people by several processes, on one database, some of which are killed.

``run()`` runs it as a process of its own, because it forks, and makes a database that no other test may see. It prints one JSON object for each run. The emulator is in another process, and is reached over
HTTP: it is the witness of what Cognito got.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import django

from cognito_reset.testing import Emulator, serve

ROOT = Path(__file__).parents[2]
FORK = multiprocessing.get_context("fork")
TABLE = "cognito_reset_bulkitem"
PAGE = 60  # of ListUsers


def is_claim(sql: str, parameters: Any) -> bool:
    return _is_update(sql, "claimed_at") and "username_hash" not in _changes(sql)


def is_naming(sql: str, parameters: Any) -> bool:
    return _is_update(sql, "username_hash")


def is_outcome(sql: str, parameters: Any) -> bool:
    return _is_update(sql, "aws_request_id")


def is_page(sql: str, parameters: Any) -> bool:
    return sql.startswith("INSERT") and TABLE in sql


def _is_update(sql: str, column: str) -> bool:
    return sql.startswith("UPDATE") and TABLE in sql[:50] and column in _changes(sql)


def _changes(sql: str) -> str:
    return sql.partition(" SET ")[2].partition(" WHERE ")[0]


# The statements around which a worker is killed, how often each comes in a run, and the run's source.
STATEMENTS: dict[str, tuple[Callable[[str, Any], bool], int, str]] = {
    "page": (is_page, 2, "all"),
    "claim": (is_claim, 3, "all"),
    "naming": (is_naming, 6, "list"),
    "outcome": (is_outcome, 8, "all"),
}
MOMENTS = ("before", "after", "committed")
POINTS = (*(f"{moment} {name}" for name in STATEMENTS for moment in MOMENTS), "during call")


def run(database: str, folder: Path, *arguments: Any, timeout: float) -> list[dict[str, Any]]:
    """Run ``main()`` with these arguments, and return what it prints. A database in a file is in ``folder``."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", f"from {__name__} import main; main()"),
            *(database, *map(str, arguments)),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


class Cognito:
    """An emulator in a process of its own."""

    def __init__(self) -> None:
        self._pipe, end = FORK.Pipe()
        self._process = FORK.Process(target=_emulate, args=(end,), daemon=True)
        self._process.start()

    def ask(self, question: str, *arguments: Any) -> Any:
        self._pipe.send((question, arguments))
        return self._pipe.recv()

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _emulate(pipe: Any) -> None:
    emulator = Emulator(region="eu-west-1")
    seen: list[tuple[str, float]] = []
    victims: list[tuple[int, int]] = []

    def note(event: Any) -> Any:
        """Stand for the pool's Lambda function, which is called while a reset is carried out."""
        seen.append((event["userName"], time.time()))
        if victims and len(seen) == victims[0][1]:
            os.kill(victims[0][0], signal.SIGKILL)
        return event

    def do(operation: str, **body: Any) -> Any:
        status, answer = emulator.handle(operation, body)
        assert status == 200, answer
        return answer

    def new_pool(people: int) -> dict[str, str]:
        seen.clear()
        victims.clear()
        emulator.calls.clear()
        email = {
            "EmailSendingAccount": "DEVELOPER",
            "SourceArn": "arn:aws:ses:eu-west-1:1:identity/x",
        }
        pool_id = do("CreateUserPool", PoolName="bulk", EmailConfiguration=email)["UserPool"]["Id"]
        client = do("CreateUserPoolClient", UserPoolId=pool_id, ClientName="bulk")
        for number in range(people):
            name = f"person-{number}"
            email = {"email": f"{name}@example.com", "email_verified": "true"}
            pairs = [{"Name": key, "Value": value} for key, value in email.items()]
            own = {"UserPoolId": pool_id, "Username": name}
            do("AdminCreateUser", **own, UserAttributes=pairs, MessageAction="SUPPRESS")
            do("AdminSetUserPassword", **own, Password="Correct-horse-1", Permanent=True)
        do("AdminDisableUser", UserPoolId=pool_id, Username="person-1")
        emulator.set_hook(pool_id, "CustomMessage", note)
        return {
            "REGION": "eu-west-1",
            "USER_POOL_ID": pool_id,
            "CLIENT_ID": client["UserPoolClient"]["ClientId"],
            "ENDPOINT_URL": server.url,
        }

    questions: dict[str, Callable[..., Any]] = {
        "new_pool": new_pool,
        "seen": lambda: list(seen),
        "kill": lambda pid, number: victims.append((pid, number)),
    }
    with serve(emulator) as server:
        while True:
            question, arguments = pipe.recv()
            pipe.send(questions[question](*arguments))


@contextmanager
def database(name: str) -> Iterator[None]:
    """Have a database of our own."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["DATABASE"] = name
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    django.setup()
    logging.disable()
    from django.conf import settings
    from django.db import connection

    own = f"test_bulk_{os.getpid()}"
    connection.settings_dict["TEST"]["NAME"] = own
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    connection.close()
    try:
        yield
    finally:
        connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)


def use_pool(pool: dict[str, str]) -> None:
    from django.conf import settings

    settings.COGNITO_RESET = {"POOLS": {"default": pool}, "TOTAL_TIMEOUT_SECONDS": 16.0}


def start(source: str, people: int, rate: float, name: Callable[[int], str] | None = None) -> int:
    from cognito_reset.staff import bulk

    names = map(name or named, range(people))
    run = bulk.start(pool="default", source=source, rate=rate, interface="python", usernames=names)
    return run.pk


def named(number: int) -> str:
    """Return an entry of a list: an email address, a username, and the email address of the same person."""
    person = f"person-{number - number % 3 // 2}"
    return person if number % 3 == 1 else f"{person}@example.com"


def in_child(work: Callable[[], None]) -> Any:
    """Call ``work`` in another process, which has no connections and threads of ours."""
    child = FORK.Process(target=work)
    child.start()
    return child


def send(run_id: int, point: str = "", occurrence: int = 0, ready: Any = None) -> None:
    """Work on a run, and be killed at the point when it comes for that time."""
    from django.db import connection

    from cognito_reset.staff import bulk

    if ready:
        ready.wait()
    moment, _, name = point.partition(" ")
    if name not in STATEMENTS:
        bulk.work(run_id)
        return
    number = count(1)
    is_statement = STATEMENTS[name][0]

    def watch(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        is_it = is_statement(sql, parameters) and next(number) == occurrence
        if is_it and moment == "before":
            die()
        result = execute(sql, parameters, many, context)
        if is_it and moment == "after":
            die()
        if is_it and moment == "committed":
            context["connection"].run_on_commit.insert(0, (set(), die, False))
        return result

    with connection.execute_wrapper(watch):
        bulk.work(run_id)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def states(run_id: int) -> dict[str, str]:
    from django.db import connection

    from cognito_reset.models import BulkItem

    found = dict(BulkItem.objects.filter(run_id=run_id).values_list("username", "state"))
    connection.close()
    return found


def kill(cognito: Cognito, point: str, seed: int) -> dict[str, Any]:
    """Kill a worker at a point, and let another one finish."""
    from django.db import connection
    from django.db.models import F

    from cognito_reset.models import BulkItem, BulkRun

    moment, _, name = point.partition(" ")
    _, most, source = STATEMENTS.get(name, (None, 8, "all"))
    occurrence = random.Random(f"{point} {seed}").randint(1, most)
    people = PAGE + 5 if name == "page" else 12
    use_pool(cognito.ask("new_pool", people))
    run_id = start(source, people, rate=2000)
    connection.close()
    ready = FORK.Event()
    worker = in_child(partial(send, run_id, point, occurrence, ready))
    if moment == "during":
        cognito.ask("kill", worker.pid, occurrence)
    ready.set()
    worker.join()
    result: dict[str, Any] = {"point": point, "seed": seed, "exit": worker.exitcode}
    result["people"] = people
    time.sleep(0.02)  # a call that was sent may still be under way
    result["then"] = told(cognito, run_id)
    # As if a minute and more had passed.
    sending = BulkItem.objects.filter(run_id=run_id, state="sending")
    sending.update(claimed_at=F("claimed_at") - timedelta(minutes=10))
    connection.close()
    in_child(partial(send, run_id)).join()
    result["finally"] = told(cognito, run_id)
    result["run"] = BulkRun.objects.get(pk=run_id).state
    connection.close()
    return result


def told(cognito: Cognito, run_id: int) -> dict[str, Any]:
    """Return how many people are in which state, by how often Cognito got a call for them."""
    seen = Counter(name for name, _ in cognito.ask("seen"))
    pairs = Counter(f"{state} {seen.pop(name, 0)}" for name, state in states(run_id).items())
    return {**pairs, "others": sum(seen.values())}


def share(
    cognito: Cognito, workers: int, people: int, rate: float, source: str = "all"
) -> dict[str, Any]:
    """Let several workers send to many people, and measure the rate and the memory."""
    few = send_all(cognito, workers, min(people // 2, 1000), 4 * rate, source=source)
    many = send_all(cognito, workers, people, rate, source=source)
    return {**many, "memory_of_few": few["memory"]}


def send_all(
    cognito: Cognito,
    workers: int,
    people: int,
    rate: float,
    *,
    disturb: Callable[[], int] = int,
    source: str = "all",
) -> dict[str, Any]:
    from django.db import connection

    use_pool(cognito.ask("new_pool", people))
    run_id = start(source, people, rate, "person-{}".format)
    connection.close()
    memory = FORK.SimpleQueue()

    def work() -> None:
        send(run_id)
        memory.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    children = [in_child(work) for _ in range(workers)]
    cuts = 0
    while any(child.is_alive() for child in children):
        cuts += disturb()
        time.sleep(0.2)
    for child in children:
        child.join()
    calls, claims = sorted(at for _, at in cognito.ask("seen")), claim_times(run_id)
    result = {
        "told": told(cognito, run_id),
        "claimed": most_in_a_second(claims),
        "excess": excess(claims, rate),
        # From the run's start: on a busy machine calls may be late, and so be closer together than their claims.
        "excess_of_calls": max(n - rate * (at - claims[0]) for n, at in enumerate(calls, 1)),
        "rate": (len(claims) - 1) / (claims[-1] - claims[0]),
        "memory": max((memory.get() for _ in children if not memory.empty()), default=0),
        "exits": [child.exitcode for child in children],
        "cuts": cuts,
    }
    bulk_stop(run_id)
    return result


def claim_times(run_id: int) -> list[float]:
    from cognito_reset.models import BulkItem

    claims = BulkItem.objects.filter(run_id=run_id, claimed_at__isnull=False)
    return sorted(at.timestamp() for at in claims.values_list("claimed_at", flat=True))


def most_in_a_second(times: list[float]) -> int:
    """The second is a little shorter, because a worker reads the clock once for the pace and once for the row."""
    return max(bisect_left(times, at + 0.98) - number for number, at in enumerate(times))


def excess(times: list[float], rate: float) -> float:
    """Return by how many the times of any period are more than the rate allows for it, at most."""
    least, most = math.inf, 0.0
    for number, at in enumerate(times):
        least = min(least, number - rate * at)
        most = max(most, number + 1 - rate * at - least)
    return most


def bulk_stop(run_id: int) -> None:
    """End a run that isn't over, so that the next one can begin."""
    from django.db import connection

    from cognito_reset.staff import bulk

    try:
        bulk.stop(run_id)
    except bulk.BulkRefused:
        pass
    connection.close()


def cut(cognito: Cognito, workers: int, people: int, rate: float) -> dict[str, Any]:
    """Let the database's server close all of the workers' connections again and again."""
    from cognito_reset.staff import journal

    journal.lease = lambda: timedelta(seconds=3)  # a claim may be lost with its connection
    return send_all(cognito, workers, people, rate, disturb=close_connections)


def close_connections() -> int:
    """Have the server close all connections to our database but this one, and return their number."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
            number = len(cursor.fetchall())
        else:
            others = "db = DATABASE() AND id <> CONNECTION_ID()"
            cursor.execute(f"SELECT id FROM information_schema.processlist WHERE {others}")
            ids = [row[0] for row in cursor.fetchall()]
            for number in ids:
                cursor.execute(f"KILL {number}")
            number = len(ids)
    connection.close()
    return number


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("what", choices=["kill", "share", "share-list", "cut"])
    parser.add_argument("numbers", type=int, nargs="+")
    options = parser.parse_args()
    cognito = Cognito()
    with database(options.database):
        # Import what a worker needs before the forks.
        import boto3  # noqa: F401

        from cognito_reset.staff import bulk  # noqa: F401

        if options.what == "kill":
            [seeds] = options.numbers
            for point in POINTS:
                for seed in range(seeds):
                    print(json.dumps(kill(cognito, point, seed)), flush=True)  # noqa: T201
        else:
            workers, people, rate = options.numbers
            ways: dict[str, Callable[..., dict[str, Any]]] = {
                "share": share,
                "share-list": partial(share, source="list"),
                "cut": cut,
            }
            do = ways[options.what]
            print(json.dumps(do(cognito, workers, people, rate)), flush=True)  # noqa: T201
    cognito.close()
