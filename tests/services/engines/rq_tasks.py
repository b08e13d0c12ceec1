from __future__ import annotations

import django_rq

from cognito_reset.staff.tasks import run_bulk_slice


def enqueue_bulk_slice(run_id: int, number: int) -> None:
    django_rq.get_queue("resets").enqueue(run_bulk_slice, run_id, number)
