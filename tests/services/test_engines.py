"""
Resets of many people on real task queues, with real workers, some of which are killed.

story.py is what happens on a site that has the queue: it happens once for each queue, and the tests look at it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest

from tests.documentation import python
from tests.services.engines.queues import ROOT
from tests.services.stores import REDIS, leave_out, need_package, slow_but

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("engines")]

RABBITMQ = (
    os.environ.get("RABBITMQ_HOST", "127.0.0.1"),
    int(os.environ.get("RABBITMQ_PORT", "5672")),
)
RABBITMQ_USER = os.environ.get("RABBITMQ_USER", "guest:guest")
# The packages of a queue, its server, and the broker's URL.
QUEUES: dict[str, tuple[tuple[str, ...], tuple[str, int] | None, str]] = {
    "celery-redis": (("celery", "redis"), REDIS, f"redis://{REDIS[0]}:{REDIS[1]}/9"),
    "celery-rabbitmq": (
        ("celery", "amqp"),
        RABBITMQ,
        f"amqp://{RABBITMQ_USER}@{RABBITMQ[0]}:{RABBITMQ[1]}//",
    ),
    "rq": (("django_rq",), REDIS, ""),
    "django-tasks": (("django_tasks", "django_tasks_db"), None, ""),
}
THREADS = 4  # MAX_CONCURRENT_CALLS


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Wait for other test runs on this machine: the name of RQ's queue is in the docs, so they would share it."""
    with (Path(gettempdir()) / f"cognito-reset-{name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


@pytest.fixture(scope="module", params=slow_but(["celery-redis"], QUEUES))
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """How many people were in which state in each chapter, by how often Cognito got a call for them."""
    name: str = request.param
    packages, place, broker = QUEUES[name]
    for package in packages:
        need_package(package)
    if shutil.which("ps") is None:
        leave_out("ps isn't installed")
    if place:
        try:
            socket.create_connection(place, timeout=2).close()
        except OSError:
            leave_out(f"nothing listens on {place[0]}:{place[1]}")
    folder = tmp_path_factory.mktemp(name)
    with alone(name):
        done = subprocess.run(
            [sys.executable, "-c", "from tests.services.engines.story import main; main()"],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "ENGINE": name,
                "ENGINE_BROKER": broker,
            },
            capture_output=True,
            text=True,
            timeout=600,
        )
    log = folder / "workers.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    return json.loads(done.stdout)


@pytest.mark.requirement("F7", "F8")
def test_f7_f8_a_task_queue_carries_a_run(story: Any) -> None:
    """Everybody is reset once, by one task after the other."""
    assert story["whole"]["people"] == {"sent 1": 120}
    assert story["whole"]["slices"] > 2


@pytest.mark.requirement("F8")
def test_f8_a_task_that_comes_twice_or_late_does_nothing(story: Any) -> None:
    assert story["doubled"]["people"] == {"sent 1": 60}


@pytest.mark.requirement("F8")
def test_f8_workers_that_are_killed_repeat_nobody(story: Any) -> None:
    """
    The workers get SIGKILL in the middle. The run stands still, and when it is resumed, others finish it.
    Those whose calls were under way are "unknown".
    """
    killed, still, resumed = (story[name]["people"] for name in ("killed", "still", "resumed"))
    true = {"sent 1", "pending 0", "sending 0", "sending 1"}
    assert set(killed) <= true
    assert killed["pending 0"] > 0
    assert still == killed
    assert set(resumed) <= {"sent 1", "unknown 0", "unknown 1"}
    assert resumed.get("unknown 0", 0) + resumed.get("unknown 1", 0) <= THREADS
    assert sum(resumed.values()) == 120


@pytest.mark.requirement("F8")
def test_f8_a_queue_that_lost_its_tasks_is_healed_by_resume(story: Any) -> None:
    assert story["emptied"] == {"people": {"pending 0": 40}, "stands_still": True}
    assert story["refilled"]["people"] == {"sent 1": 40}


def test_a_queue_that_runs_tasks_at_once_is_refused(story: Any) -> None:
    assert story["at_once"] == {"people": {"pending 0": 5}, "refused": "immediate"}


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("celery_tasks", "Celery"),
        ("rq_tasks", "django-rq"),
        ("backport_tasks", "Django's own tasks"),
    ],
)
def test_the_docs_have_the_code_that_runs_here(name: str, package: str) -> None:
    code = (ROOT / "tests" / "services" / "engines" / f"{name}.py").read_text()
    documented = python("bulk.md", f"tasks.py, with {package}")
    assert code.removeprefix("from __future__ import annotations\n\n") == documented
