"""
A site on more than one machine: four processes of two servers behind a real nginx, with the limits in one Redis and
the rest in one PostgreSQL; and a reset of many people that the workers of two task queues carry out together.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cognito_reset.testing import Emulator, serve
from tests.services import cluster
from tests.services.nginx import NGINX, nginx
from tests.services.sites import ROOT, Site, redis_server
from tests.services.stores import leave_out, need, need_package
from tests.services.visitors import INTERFACES, NEW, Answer, Cognito, Visitor, over_http

pytestmark = pytest.mark.services

PROCESSES = 4


@dataclass
class Balanced:
    """The site behind nginx. ``served`` has the processes that have answered."""

    port: int
    cognito: Cognito
    redis: str
    served: set[str] = field(default_factory=set)

    def visitor(self, source: str = "127.0.0.1") -> Visitor:
        """Return a visitor with an address of this machine."""
        send = over_http(self.port, source)

        def note(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            answer = send(method, path, headers, body)
            self.served.add(answer.headers["x-served-by"])
            return answer

        return Visitor(note, f"http://127.0.0.1:{self.port}")

    def calls(self, operation: str) -> int:
        return sum(called == operation for called, _ in list(self.cognito.emulator.calls))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    need("postgresql")
    if not (NGINX and cluster.is_installed()):
        leave_out("nginx, redis-server or redis-cli isn't installed")
    folder = tmp_path_factory.mktemp("scale")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder))
        cognito = Cognito(stack.enter_context(serve(Emulator(region="eu-west-1"))))
        cognito.emulator.options.hourly_allowance = 1000
        name = f"test_scale_{os.getpid()}"
        site = Site(folder, cognito.settings, "postgresql", name, redis)
        site = site.having(
            TRUSTED_PROXIES={"COUNT": 1},
            # So small that the site's limit is reached, and no permit is ever missing.
            LIMITS={"request": {"site": "60/h"}},
            MAX_CONCURRENT_CALLS=100,
            UNIFORM_RESPONSE_SECONDS=0.3,
        )
        stack.enter_context(site.with_database())
        ports = [stack.enter_context(site.running(threads=16)) for _ in range(2)]
        port = stack.enter_context(nginx(folder, *ports))
        balanced = Balanced(port, cognito, redis)
        # Nginx and all four processes are there.
        deadline = time.monotonic() + 60
        while len(balanced.served) < PROCESSES:
            assert time.monotonic() < deadline, balanced.served
            try:
                with ThreadPoolExecutor(16) as pool:
                    list(pool.map(lambda _: balanced.visitor().get("/password-reset/"), range(16)))
            except ConnectionError:
                time.sleep(0.1)
        yield balanced


@pytest.fixture
def balanced(running: Balanced) -> Balanced:
    """The site, with no attempts counted."""
    cluster.ask(int(running.redis.rpartition(":")[2]), "flushall")
    running.cognito.emulator.calls.clear()
    running.served.clear()
    return running


def at_once(visits: int, visit: Callable[[int], Answer]) -> Counter[int]:
    """Let so many visitors send a request at the same time, and count the statuses of the answers."""
    with ThreadPoolExecutor(visits) as pool:
        return Counter(answer.status for answer in pool.map(visit, range(visits)))


def ask(balanced: Balanced, name: str, source: str, **headers: str) -> Answer:
    visitor = balanced.visitor(source)
    return visitor.post_json("/api/password-reset/", {"username": name}, **headers)


def test_an_identifier_has_its_limits_whichever_process_answers(balanced: Balanced) -> None:
    statuses = at_once(40, lambda number: ask(balanced, "alice", f"127.0.1.{number + 1}"))
    assert statuses == {202: 1, 429: 39}
    assert balanced.calls("ForgotPassword") == 1

    def guess(number: int) -> Answer:
        data = {"username": "bob", "confirmation_code": f"{number:06}", "password": NEW}
        visitor = balanced.visitor(f"127.0.1.{number + 1}")
        return visitor.post_json("/api/password-reset/confirm/", data)

    assert at_once(40, guess) == {400: 5, 429: 35}
    assert balanced.calls("ConfirmForgotPassword") == 5
    assert len(balanced.served) > 1


def test_a_network_is_the_address_that_nginx_saw(balanced: Balanced) -> None:
    """Whatever the client wrote into X-Forwarded-For. Others get through meanwhile."""

    def visit(number: int) -> Answer:
        forged = {"X-Forwarded-For": f"192.0.2.{number}", "X-Real-IP": f"192.0.2.{number}"}
        return ask(balanced, f"person-{number}", "127.0.2.1", **forged)

    assert at_once(40, visit) == {202: 20, 429: 20}
    assert ask(balanced, "somebody-else", "127.0.2.2").status == 202
    assert balanced.calls("ForgotPassword") == 21


def test_the_site_has_its_limit_whichever_process_answers(balanced: Balanced) -> None:
    """Each visitor comes from a network of their own, and has no attempt yet."""
    statuses = at_once(90, lambda n: ask(balanced, f"visitor-{n}", f"127.0.{n + 3}.1"))
    assert statuses == {202: 60, 429: 30}
    assert balanced.calls("ForgotPassword") == 60


@pytest.mark.parametrize("reset", INTERFACES)
def test_a_reset_whichever_process_answers(balanced: Balanced, reset: Callable[..., None]) -> None:
    """Each of a visitor's requests is answered by another server: nothing is kept in a process."""
    name = f"scale-{reset.__name__}"
    balanced.cognito.add(name)
    reset(balanced.visitor(), balanced.cognito, name)
    assert balanced.cognito.can_sign_in(name, NEW)
    assert len(balanced.served) > 1


def test_a_repeat_gets_the_first_answer_whichever_process_answers(balanced: Balanced) -> None:
    """Also while the first request is still running."""
    balanced.cognito.add("repeating")
    assert ask(balanced, "repeating", "127.0.0.1").status == 202
    code = balanced.cognito.code("repeating")
    data = {"username": "repeating", "confirmation_code": code, "password": NEW}
    path = "/api/password-reset/confirm/"
    assert at_once(12, lambda _: balanced.visitor().post_json(path, data)) == {200: 12}
    assert balanced.calls("ConfirmForgotPassword") == 1
    assert len(balanced.served) > 1


@pytest.mark.requirement("F7", "F8")
def test_f7_f8_the_workers_of_two_queues_carry_one_run(tmp_path: Path) -> None:
    """
    Celery's workers, RQ's, and another process that works on the run at the same time. The rate is kept, and
    everybody is reset once.
    """
    need("postgresql")
    for package in ("celery", "django_rq"):
        need_package(package)
    if not (cluster.is_installed() and shutil.which("ps")):
        leave_out("redis-server, redis-cli or ps isn't installed")
    people, rate = 400, 40
    with redis_server(tmp_path) as broker:
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from tests.services.engines.both import main; main()"),
                *(str(people), str(rate)),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "ENGINE_BROKER": f"{broker}/0",
            },
            capture_output=True,
            text=True,
            timeout=180,
        )
    log = tmp_path / "workers.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    result = json.loads(done.stdout)
    assert result["people"] == {"sent 1": people - 1, "refused 0": 1, "others": 0}
    assert result["claimed"] <= rate
    assert set(result["workers"]) == {"celery", "rq", "another"}, result
    assert sum(result["workers"].values()) == people - 1
