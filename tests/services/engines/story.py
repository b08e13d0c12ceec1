"""
What happens on a site whose task queue sends resets of many people. test_engines.py runs it as a process of its
own for each queue. It prints one JSON object.

The emulator is in another process, and is reached over HTTP: it is the witness of what Cognito got.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

from tests.services.bulk_kill import Cognito
from tests.services.engines.queues import ENGINES, Engine, Workers

PEOPLE = 400
PATIENCE = 120.0  # a busy machine starts a worker in several seconds


class Story:
    def __init__(self, cognito: Cognito, engine: Engine) -> None:
        self._cognito = cognito
        self._engine = engine
        self._people = (f"person-{number}" for number in range(2, PEOPLE))  # person-1 is disabled
        self._workers: list[Workers] = []
        self.told: dict[str, Any] = {}

    def tell(self) -> None:
        try:
            self._at_once()
            self._emptied()
            self._whole()
            self._doubled()
            self._killed()
        finally:
            for workers in self._workers:
                workers.kill()
            self._engine.remove()

    def _at_once(self) -> None:
        """The queue runs tasks at once."""
        from cognito_reset.staff import bulk, tasks

        run = self._start(5, 100)
        refused = ""
        with self._engine.at_once():
            try:
                tasks.enqueue(run)
            except bulk.BulkRefused as error:
                refused = error.code
        self._tell("at_once", run, refused=refused)
        bulk.stop(run.pk)

    def _emptied(self) -> None:
        """The queue loses its tasks."""
        from cognito_reset.models import BulkRun
        from cognito_reset.staff import bulk, tasks

        run = self._start(40, 100)
        tasks.enqueue(run)
        self._engine.empty()
        self._start_workers()
        time.sleep(1)
        BulkRun.objects.filter(pk=run.pk).update(touched_at=run.touched_at - timedelta(minutes=2))
        run.refresh_from_db()
        self._tell("emptied", run, stands_still=bulk.progress(run).stands_still)
        tasks.enqueue(bulk.resume(run.pk))
        self._finish(run)
        self._tell("refilled", run)

    def _whole(self) -> None:
        from cognito_reset.staff import tasks

        run = self._start(120, 60)
        tasks.enqueue(run)
        self._finish(run)
        self._tell("whole", run, slices=run.slice_number)

    def _doubled(self) -> None:
        """The queue has each of the first tasks twice, and one again when it is too late."""
        from cognito_reset.staff import tasks

        run = self._start(60, 60)
        tasks.enqueue(run)
        tasks.enqueue(run)
        self._finish(run)
        tasks.enqueue(run)
        self._finish(run)
        time.sleep(0.5)
        self._tell("doubled", run)

    def _killed(self) -> None:
        """The workers are killed, and others start, which may get the same task once more."""
        from django.db.models import F

        from cognito_reset.models import BulkItem
        from cognito_reset.staff import bulk, tasks

        run = self._start(120, 40)
        tasks.enqueue(run)
        self._wait_for("the first calls", lambda: len(self._calls(run)) > 30)
        self._workers.pop().kill()
        time.sleep(0.1)  # a call that was sent may still be under way
        self._tell("killed", run)
        self._start_workers()
        time.sleep(3)
        self._tell("still", run)
        # As if a minute and more had passed.
        sending = BulkItem.objects.filter(run=run, state="sending")
        sending.update(claimed_at=F("claimed_at") - timedelta(minutes=10))
        tasks.enqueue(bulk.resume(run.pk))
        self._finish(run)
        self._tell("resumed", run)

    def _start_workers(self) -> None:
        self._workers.append(Workers(self._engine, Path("workers.log")))

    def _start(self, people: int, rate: float) -> Any:
        from cognito_reset.staff import bulk

        names = [next(self._people) for _ in range(people)]
        return bulk.start(
            pool="default", source="list", rate=rate, interface="python", usernames=names
        )

    def _finish(self, run: Any) -> None:
        def is_over() -> bool:
            run.refresh_from_db()
            return bool(run.state == "done")

        self._wait_for("the end", is_over)

    def _wait_for(self, what: str, happened: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{what} didn't come: {self.told}")
            time.sleep(0.05)

    def _calls(self, run: Any) -> list[str]:
        """Return whom Cognito was asked to reset, of the run's people."""
        names = set(run.items.values_list("username", flat=True))
        return [name for name, _ in self._cognito.ask("seen") if name in names]

    def _tell(self, chapter: str, run: Any, **more: Any) -> None:
        """Note how many people are in which state, by how often Cognito got a call for them."""
        seen = Counter(self._calls(run))
        states = run.items.values_list("username", "state")
        people = Counter(f"{state} {seen[name]}" for name, state in states)
        self.told[chapter] = {"people": people, **more}


def main() -> None:
    name = os.environ["ENGINE"]
    cognito = Cognito()  # it forks
    os.environ["ENGINE_POOL"] = json.dumps(cognito.ask("new_pool", PEOPLE))
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "DJANGO_SETTINGS_MODULE": "tests.services.engines.site_settings",
        "ENGINE_DATABASE": str(Path("site.sqlite3").resolve()),
        "ENGINE_QUEUE": f"cognito-reset-{os.getpid()}",
    }
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    engine = ENGINES[name]()
    engine.connect()
    story = Story(cognito, engine)
    try:
        story.tell()
    finally:
        cognito.close()
    json.dump(story.told, sys.stdout)
