"""
One reset of many people that the workers of two task queues and another process carry out together. test_scale.py runs
it as a process of its own. It prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django

from tests.services.bulk_kill import Cognito, claim_times, most_in_a_second, told
from tests.services.engines.queues import CeleryEngine, RQEngine, Workers

PATIENCE = 90.0


def main() -> None:
    people, rate = map(int, sys.argv[1:])
    cognito = Cognito()  # it forks
    os.environ["ENGINE_POOL"] = json.dumps(cognito.ask("new_pool", people))
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "DJANGO_SETTINGS_MODULE": "tests.services.engines.both_settings",
        "ENGINE": "celery-redis",
        "ENGINE_DATABASE": f"test_scale_{os.getpid()}",
        "ENGINE_LOG": str(Path("people.log").resolve()),
        "ENGINE_QUEUE": "resets",
        # RQ makes a process and a client of Cognito's for each slice, which takes a while on a busy machine.
        "ENGINE_SLICE_SECONDS": "3",
    }
    django.setup()
    from django.db import connection

    with ExitStack() as stack:
        stack.callback(cognito.close)
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        name = os.environ["ENGINE_DATABASE"]
        stack.callback(connection.creation.destroy_test_db, name, verbosity=0)
        engines = CeleryEngine(), RQEngine()
        for engine in engines:
            engine.connect()
        log = Path("workers.log")
        for engine in engines:
            stack.callback(Workers(engine, log).kill)
        json.dump(send(cognito, people, rate), sys.stdout)


def send(cognito: Cognito, people: int, rate: int) -> dict[str, Any]:
    from cognito_reset.staff import bulk, tasks

    run = bulk.start(pool="default", source="all", value="", rate=rate, interface="python")
    tasks.enqueue(run)
    log, give_up_at = Path(os.environ["ENGINE_LOG"]), time.monotonic() + PATIENCE
    while run.state != "done":
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"The run is {run.state} {run.reason}: {told(cognito, run.pk)}")
        time.sleep(0.05)
        run.refresh_from_db()
        done = log.read_text().split() if log.exists() else []
        if "another" not in done and len(done) > people // 4:
            # Work on it here, too, until somebody was reset from here.
            bulk.work(run.pk, wanted=lambda: "another" not in log.read_text().split())
    times = sorted(at for _, at in cognito.ask("seen"))
    return {
        "people": told(cognito, run.pk),
        "workers": Counter(log.read_text().split()),
        "claimed": most_in_a_second(claim_times(run.pk)),
        "rate": (len(times) - 1) / (times[-1] - times[0]),
        "slices": run.slice_number,
    }
