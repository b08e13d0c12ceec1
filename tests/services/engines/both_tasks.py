from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from django.http import HttpRequest

# Celery's own docs import the app in the project's package, so that all processes of the site know it.
from tests.services.engines import celery_app, celery_tasks, rq_tasks  # noqa: F401


def enqueue_bulk_slice(run_id: int, number: int) -> None:
    """Put each slice into both queues, into each of them first in turn."""
    queues = (celery_tasks, rq_tasks) if number % 2 else (rq_tasks, celery_tasks)
    for queue in queues:
        queue.enqueue_bulk_slice(run_id, number)
        time.sleep(2)


def note_worker(request: HttpRequest | None) -> dict[str, str]:
    """Stand for the site's CLIENT_METADATA, which is called for each person: note whose worker this is."""
    workers = {"worker": "celery", "rqworker": "rq"}
    name = next((workers[word] for word in sys.argv if word in workers), "another")
    with Path(os.environ["ENGINE_LOG"]).open("a") as log:
        log.write(f"{name}\n")
    return {}
