"""The task queues: how each one's worker is started, and how a queue is emptied."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import django

ROOT = Path(__file__).parents[3]


class Engine:
    """A task queue. Every method is called in a process that has the site's settings."""

    commands: tuple[tuple[str, ...], ...] = ()

    def connect(self) -> None:
        """Do what a site does when it starts."""

    def empty(self) -> None:
        """Lose all tasks that wait."""
        raise NotImplementedError

    def remove(self) -> None:
        """Leave nothing behind."""
        self.empty()

    def at_once(self) -> AbstractContextManager[None]:
        """Let the queue run tasks at once, as sites do in their tests."""
        raise NotImplementedError


class CeleryEngine(Engine):
    commands = (
        (
            *("celery", "-A", "tests.services.engines.celery_app", "worker", "--concurrency", "2"),
            *("--without-heartbeat", "--without-mingle", "--without-gossip", "-l", "WARNING"),
        ),
    )

    def connect(self) -> None:
        from tests.services.engines.celery_app import app

        self._app: Any = app
        app.loader.import_default_modules()

    def empty(self) -> None:
        with self._app.connection_for_write() as connection:
            channel = connection.default_channel
            channel.queue_purge(self._app.conf.task_default_queue)

    def remove(self) -> None:
        queue = self._app.conf.task_default_queue
        with self._app.connection_for_write() as connection:
            channel = connection.default_channel
            channel.queue_delete(queue)
            with suppress(Exception):  # Redis has no exchanges to delete
                channel.exchange_delete(queue)
        if os.environ["ENGINE"] == "celery-redis":
            from redis import Redis

            client = Redis.from_url(os.environ["ENGINE_BROKER"])
            for key in client.scan_iter(f"{queue}:*"):
                client.delete(key)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        self._app.conf.task_always_eager = True
        yield
        self._app.conf.task_always_eager = False


class RQEngine(Engine):
    # Two, because one does a single task at a time.
    commands = (("django", "rqworker", "resets", "-v0", "--skip-checks"),) * 2

    def connect(self) -> None:
        self.empty()

    def empty(self) -> None:
        import django_rq

        django_rq.get_queue("resets").empty()

    def remove(self) -> None:
        import django_rq

        django_rq.get_queue("resets").delete(delete_jobs=True)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        from tests.services.engines import site_settings

        with mock.patch.dict(site_settings.RQ_QUEUES["resets"], ASYNC=False):
            yield


class DjangoTasksEngine(Engine):
    commands = (
        ("django", "db_worker", "--interval", "0.1", "--no-startup-delay", "--skip-checks"),
    ) * 2

    def empty(self) -> None:
        from django_tasks_db.models import DBTaskResult

        DBTaskResult.objects.all().delete()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        from django.test import override_settings

        package = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
        immediate = {"BACKEND": f"{package}.backends.immediate.ImmediateBackend"}
        with override_settings(TASKS={"default": immediate}):
            yield


ENGINES: dict[str, type[Engine]] = {
    "celery-redis": CeleryEngine,
    "celery-rabbitmq": CeleryEngine,
    "rq": RQEngine,
    "django-tasks": DjangoTasksEngine,
}


class Workers:
    """The worker processes of a task queue."""

    def __init__(self, engine: Engine, log: Path) -> None:
        with log.open("ab") as output:
            self._processes = [
                subprocess.Popen(
                    [sys.executable, "-m", *command],
                    stdout=output,
                    stderr=output,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
                )
                for command in engine.commands
            ]

    def kill(self) -> None:
        """Kill them and their children, without a chance to clean up."""
        pids = [process.pid for process in self._processes]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # so that it starts no further children
        for pid in pids:
            pids += children(pid)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        while any(is_alive(pid) for pid in pids):
            time.sleep(0.01)


def children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True
    )
    return [int(word) for word in found.stdout.split()]


def is_alive(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True)
    return found.stdout.strip()[:1] not in ("", "Z")
