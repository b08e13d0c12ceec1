from __future__ import annotations

from celery import shared_task

from cognito_reset.staff.tasks import run_bulk_slice


@shared_task(ignore_result=True)
def bulk_slice(run_id: int, number: int) -> None:
    run_bulk_slice(run_id, number)


def enqueue_bulk_slice(run_id: int, number: int) -> None:
    bulk_slice.delay(run_id, number)
