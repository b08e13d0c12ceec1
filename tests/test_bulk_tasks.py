"""Resets of many people on the site's task queue. tests/services/test_engines.py has real queues."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from cognito_reset.cognito import errors
from cognito_reset.staff import bulk, claims, tasks, worker
from tests.bulk_world import FAST, RESETTABLE, die, fast, resets, start, start_list
from tests.people import People

__all__ = ["fast"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fast")]


class Queue:
    """A task queue that loses nothing. ``work()`` is its worker."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int]] = []

    def __call__(self, run_id: int, number: int) -> None:
        self.waiting.append((run_id, number))

    def work(self, times: int = 1) -> None:
        """Run each task that many times, until none is left."""
        while self.waiting:
            task = self.waiting.pop(0)
            for _ in range(times):
                tasks.run_bulk_slice(*task)


def use(settings: Any, call: Callable[[int, int], Any] | None) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "BULK_ENQUEUE": call}


@pytest.fixture
def queue(settings: Any) -> Queue:
    queue = Queue()
    use(settings, queue)
    return queue


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice end before it could send to more than a few people."""
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.05)


def assert_everybody_once(people: People, run: Any) -> None:
    """Cognito was called once for everybody whom we didn't refuse, and nobody is left."""
    found = resets(people)
    assert set(found) >= set(RESETTABLE)
    assert set(found.values()) == {1}
    assert not run.items.filter(state__in=["pending", "sending", "unknown"]).exists()


def states_of(run: Any) -> dict[str, int]:
    return {state: count for state, count in bulk.counts(run.pk).items() if count}


def test_each_slice_enqueues_the_next_one_until_the_run_is_over(
    people: People, queue: Queue
) -> None:
    run = start("status", "CONFIRMED", rate=20.0)
    tasks.enqueue(run)
    assert queue.waiting == [(run.pk, run.slice_number)]
    queue.work()
    run.refresh_from_db()
    assert run.state == "done"
    assert run.slice_number > 2
    assert set(resets(people).values()) == {1}


@pytest.mark.requirement("F8")
@pytest.mark.parametrize("rate", [20.0, FAST])
def test_f8_a_task_that_comes_twice_does_nothing_the_second_time(
    people: People, queue: Queue, rate: float
) -> None:
    run = start("all", rate=rate)
    tasks.enqueue(run)
    tasks.enqueue(run)
    queue.work(times=2)
    assert_everybody_once(people, run)


@pytest.mark.requirement("F8")
def test_f8_resume_heals_a_run_whose_task_was_lost_and_makes_the_lost_one_void(
    people: People, queue: Queue
) -> None:
    run = start("all")
    tasks.enqueue(run)
    lost = queue.waiting.pop()
    run = bulk.resume(run.pk)
    tasks.run_bulk_slice(*lost)
    assert not queue.waiting
    assert not resets(people)
    tasks.enqueue(run)
    queue.work()
    assert_everybody_once(people, run)


@pytest.mark.requirement("F8")
def test_f8_a_task_that_is_delivered_again_after_its_workers_death_changes_nothing(
    people: People, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Celery does with acks_late. The run doesn't go on by itself: ``resume`` heals it."""
    run = start_list(*RESETTABLE)
    tasks.enqueue(run)
    task = queue.waiting.pop()

    def killed(run_id: int, **_: Any) -> None:
        assert len(claims.claim(run_id, 1).items) == 1  # its call is under way
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(worker, "work", killed)
        with pytest.raises(SystemExit):
            tasks.run_bulk_slice(*task)
    for _ in range(2):
        tasks.run_bulk_slice(*task)
    assert (queue.waiting, resets(people)) == ([], {})
    assert states_of(run) == {"pending": len(RESETTABLE) - 1, "sending": 1}
    die(run)
    tasks.enqueue(bulk.resume(run.pk))
    tasks.run_bulk_slice(*task)
    assert not resets(people)
    queue.work()
    assert states_of(run) == {"sent": len(RESETTABLE) - 1, "unknown": 1}
    assert set(resets(people).values()) == {1}


def test_a_paused_run_enqueues_nothing(people: People, queue: Queue) -> None:
    run = start("all")
    tasks.enqueue(run)
    bulk.pause(run.pk)
    queue.work()
    assert not resets(people)


def test_without_a_queue_nothing_happens(people: People, settings: Any) -> None:
    use(settings, None)
    run = start("all")
    tasks.enqueue(run)
    assert states_of(run) == {}
    assert not resets(people)


def test_a_queue_that_runs_tasks_at_once_is_refused(people: People, settings: Any) -> None:
    """Nothing is sent, and the run can still be carried by the command."""
    use(settings, tasks.run_bulk_slice)
    run = start("all")
    with pytest.raises(bulk.BulkRefused) as caught:
        tasks.enqueue(run)
    assert caught.value.code == "immediate"
    assert "at once" in caught.value.message
    assert not resets(people)
    bulk.work(run.pk)
    assert_everybody_once(people, run)


@pytest.mark.parametrize(
    ("call", "reason"),
    [(None, "unavailable"), (tasks.run_bulk_slice, "immediate"), ("broken", "unavailable")],
)
def test_a_run_whose_next_slice_cannot_be_enqueued_stands_still(
    people: People,
    queue: Queue,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    call: Any,
    reason: str,
) -> None:
    """The worker's settings differ, or the broker can't be reached. The task doesn't fail: a retry would be void."""

    def broken(run_id: int, number: int) -> None:
        raise ConnectionError("redis://:a-secret@broker")

    run = start("status", "CONFIRMED", rate=1.0)
    tasks.enqueue(run)
    task = queue.waiting.pop()
    use(settings, broken if call == "broken" else call)
    with caplog.at_level(logging.ERROR):
        tasks.run_bulk_slice(*task)
    assert f"cognito_reset.bulk_stands_still run={run.pk} reason={reason}" in caplog.text
    assert "a-secret" not in caplog.text
    run.refresh_from_db()
    assert run.state in ("filling", "ready", "running")
    use(settings, queue)
    tasks.enqueue(bulk.resume(run.pk))
    assert len(queue.waiting) == 1


def test_a_broker_that_cannot_be_reached_is_an_error_of_whoever_starts_the_run(
    people: People, settings: Any
) -> None:
    def broken(run_id: int, number: int) -> None:
        raise ConnectionError

    use(settings, broken)
    with pytest.raises(errors.Misconfigured):
        tasks.enqueue(start("all"))
    assert not resets(people)
