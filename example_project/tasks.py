"""The demo's task queue: threads of its own process. A real site has workers, see docs/bulk.md."""

from __future__ import annotations

from threading import Thread

from django.db import connections

from cognito_reset.staff.tasks import run_bulk_slice


def enqueue_bulk_slice(run_id: int, number: int) -> None:
    Thread(target=_work, args=(run_id, number), daemon=True).start()


def _work(run_id: int, number: int) -> None:
    try:
        run_bulk_slice(run_id, number)
    finally:
        connections.close_all()
