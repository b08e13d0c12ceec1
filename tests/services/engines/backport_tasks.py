from __future__ import annotations

from django_tasks import task  # on Django 6.0 and later: from django.tasks import task

from cognito_reset.staff.tasks import run_bulk_slice


@task()
def bulk_slice(run_id: int, number: int) -> None:
    run_bulk_slice(run_id, number)


def enqueue_bulk_slice(run_id: int, number: int) -> None:
    bulk_slice.enqueue(run_id, number)
