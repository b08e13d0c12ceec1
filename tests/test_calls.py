"""The bulkhead's permits and the circuit breaker. No test here knows anything of AWS."""

from __future__ import annotations

import contextvars
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.db.backends.signals import connection_created

from cognito_reset.cognito import calls as calls_module
from cognito_reset.cognito.calls import Calls, CircuitBreaker
from cognito_reset.cognito.errors import (
    Busy,
    CircuitOpen,
    CodeInvalid,
    Misconfigured,
    OutcomeUnknown,
    ResetError,
)

SILENCE = OutcomeUnknown(answered=False, sent=True)
REFUSAL = CodeInvalid(answered=True, sent=True)
NO_CALL = Misconfigured()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that calls wait for in order to hang. It is set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def hanging(gate: threading.Event, result: Any = "late") -> Callable[[], Any]:
    def call() -> Any:
        assert gate.wait(20)
        return result

    return call


def returning(result: Any) -> Any:
    return result


def run(calls: Calls, call: Callable[[], Any], **options: Any) -> Any:
    return calls.run(call, **{"breaker": CircuitBreaker("test"), "timeout": 10, **options})


def free_permits(calls: Calls) -> int:
    with ExitStack() as held:
        for number in range(calls.limit + 1):
            try:
                held.enter_context(calls.permit())
            except Busy:
                return number
    raise AssertionError("There are more permits than the limit.")


# Permits


def test_there_are_as_many_permits_as_the_limit():
    """``permit()`` doesn't wait."""
    calls = Calls(3)
    assert free_permits(calls) == 3
    with calls.permit(), calls.permit():
        assert free_permits(calls) == 1
    assert free_permits(calls) == 3


def test_exactly_one_of_many_rivals_gets_the_only_permit():
    """Exactly one thread gets it."""
    calls, rivals = Calls(1), 16
    start, end = threading.Barrier(rivals), threading.Barrier(rivals)

    def try_it(_: int) -> bool:
        start.wait(20)
        try:
            with calls.permit():
                end.wait(20)
                return True
        except Busy:
            end.wait(20)
            return False

    with ThreadPoolExecutor(rivals) as executor:
        for _ in range(50):
            assert sum(executor.map(try_it, range(rivals))) == 1


def test_a_refusal_is_logged(caplog):
    """The log has the number of permits, which is a setting."""
    calls = Calls(1)
    with calls.permit(), pytest.raises(Busy) as caught, calls.permit():
        pass
    assert caught.value.retry_after == 5
    assert not caught.value.sent
    assert "cognito_reset.busy: all 1 permits for calls are taken" in caplog.text


def test_the_calls_of_a_request_use_its_permit():
    """One after another, and each in a thread with the app's name."""
    calls = Calls(1)
    with calls.permit():
        names = [run(calls, lambda: threading.current_thread().name) for _ in range(3)]
        assert free_permits(calls) == 0
    assert names == [calls_module.THREAD_NAME] * 3
    assert free_permits(calls) == 1


def test_a_permit_stays_taken_until_the_call_has_ended(gate):
    """The caller and its request have ended, but the thread hasn't."""
    calls = Calls(1)
    with calls.permit():
        assert run(calls, hanging(gate), wait=0.01) is None
    assert free_permits(calls) == 0
    assert not calls.wait_until_idle(0.01)
    gate.set()
    assert calls.wait_until_idle(10)
    assert free_permits(calls) == 1


def test_a_permit_stays_taken_until_the_request_has_ended():
    """The call has ended, but the request may still sleep, for example."""
    calls = Calls(1)
    with calls.permit():
        assert run(calls, lambda: 1) == 1
        assert free_permits(calls) == 0
    assert free_permits(calls) == 1


def test_work_in_the_background_holds_no_permit_of_a_request(gate):
    """Its calls share a permit of its own, of which there are as many again."""
    calls = Calls(1)
    answers: list[str] = []

    def work() -> None:
        answers.extend(run(calls, lambda: "an answer") for _ in range(2))
        gate.wait(10)

    with calls.permit():
        calls.run_in_background(work, 10)
    assert free_permits(calls) == 1
    with pytest.raises(Busy):
        calls.run_in_background(work, 10)
    assert not calls.wait_until_idle(0.01)
    gate.set()
    assert calls.wait_until_idle(10)
    assert answers == ["an answer"] * 2
    calls.run_in_background(lambda: answers.append("again"), 10)
    assert calls.wait_until_idle(10)
    assert answers[2:] == ["again"]


def test_an_abandoned_call_does_not_queue_the_next_one(gate):
    """A request may go on after it gave up a call, and then needs another thread."""
    calls = Calls(1)
    with calls.permit():
        for _ in range(5):
            assert run(calls, hanging(gate), wait=0.01) is None
        assert run(calls, lambda: "at once") == "at once"
    gate.set()
    assert calls.wait_until_idle(10)


def test_a_call_without_a_request_takes_a_permit_of_its_own(gate):
    """It waits for the permit as long as it would for the answer, but not for ever."""
    calls = Calls(1)
    with ThreadPoolExecutor(1) as executor:
        with calls.permit():
            future = executor.submit(run, calls, lambda: "done")
            with pytest.raises(TimeoutError):
                future.result(0.1)
        assert future.result(10) == "done"
    assert calls.wait_until_idle(10)


def test_a_call_without_a_permit_is_busy_in_the_end(monkeypatch):
    """It is busy when its own wait or the longest wait is over. A probe isn't lost then."""
    monkeypatch.setattr(calls_module, "PROBE_AFTER_SECONDS", 0)
    calls, breaker, called = Calls(1), opened(), []
    with ThreadPoolExecutor(1) as executor, calls.permit():

        def attempt(**options: float) -> None:
            call = lambda: called.append(1)  # noqa: E731
            executor.submit(run, calls, call, breaker=breaker, **options).result(20)

        start = time.monotonic()
        with pytest.raises(Busy):
            attempt(wait=0.01)
        monkeypatch.setattr(calls_module, "PATIENCE_SECONDS", 0.01)
        with pytest.raises(Busy):
            attempt()
        assert time.monotonic() - start < 4
        assert called == []
        assert run(calls, lambda: "called", breaker=breaker) == "called"
    assert free_permits(calls) == 1


def test_a_context_that_outlives_its_request_takes_a_permit_of_its_own():
    """A task or a thread may keep the context of a request that has ended."""
    calls = Calls(1)
    with calls.permit():
        context = contextvars.copy_context()
    with calls.permit(), pytest.raises(Busy):
        context.run(run, calls, lambda: 1, wait=0.01)
    assert context.run(run, calls, lambda: 1) == 1
    assert free_permits(calls) == 1


def test_another_processs_permit_is_not_used():
    """A forked child has its parent's context, but permits of its own."""
    parents, childs = Calls(1), Calls(1)
    with parents.permit():
        assert run(childs, lambda: free_permits(childs)) == 0
        assert free_permits(childs) == 1
        assert free_permits(parents) == 0
    assert free_permits(parents) == 1


def test_a_thread_that_cannot_be_started_is_busy(monkeypatch):
    """For example when the process is about to end. Nothing is called, and neither permit nor probe is lost."""
    monkeypatch.setattr(calls_module, "PROBE_AFTER_SECONDS", 0)
    calls, breaker, called = Calls(1), opened(), []

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    for _ in range(3):
        with pytest.raises(Busy) as caught:
            run(calls, lambda: called.append(1), breaker=breaker)
        assert caught.value.__suppress_context__
    monkeypatch.undo()
    assert free_permits(calls) == 1
    assert called == []


# The call itself


@pytest.mark.requirement("C15")
def test_the_callers_context_goes_along():
    """A call sees trace and log ids. Its own changes don't get back to the caller."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")
    variable.set("request-1")

    def call() -> str:
        value = variable.get()
        variable.set("changed")
        return value

    assert run(Calls(1), call) == "request-1"
    assert variable.get() == "request-1"


def test_an_error_is_returned():
    """A raised error would have frames of its thread in its traceback."""
    assert run(Calls(1), lambda: REFUSAL) is REFUSAL


@pytest.mark.requirement("C15")
@pytest.mark.parametrize("error", [ValueError("s3cret"), SystemExit("s3cret")], ids=repr)
def test_what_a_call_raises_does_not_leave_its_thread(caplog, error):
    """A call must not raise. If it does, its outcome is unknown."""

    def call() -> None:
        raise error

    calls, breaker = Calls(1), CircuitBreaker("test")
    for _ in range(4):
        assert run(calls, call, breaker=breaker) is None
    assert f"cognito_reset.call_failed error={type(error).__name__}" in caplog.text
    assert "s3cret" not in caplog.text
    assert free_permits(calls) == 1


@pytest.fixture
def database(django_db_blocker, monkeypatch, tmp_path) -> Iterator[str]:
    """Another database, in a file: SQLite doesn't close one that is in memory."""
    options = {**connections.settings["default"], "ENGINE": "django.db.backends.sqlite3"}
    monkeypatch.setitem(connections.settings, "extra", {**options, "NAME": tmp_path / "db"})
    with django_db_blocker.unblock():
        yield "extra"


def test_database_connections_of_the_call_are_closed(database):
    """
    A CLIENT_SECRET callable may query a database, and its thread ends without a request's signals.
    """
    opened_in: list[tuple[Any, str]] = []

    def note(sender: Any, connection: Any, **_: Any) -> None:
        opened_in.append((connection, threading.current_thread().name))

    connection_created.connect(note)
    calls = Calls(1)
    assert run(calls, lambda: connections[database].cursor().execute("SELECT 1").fetchone()) == (1,)
    assert calls.wait_until_idle(10)
    connection_created.disconnect(note)
    [(connection, thread)] = opened_in
    assert thread == calls_module.THREAD_NAME
    assert connection.connection is None


def test_a_connection_that_cannot_be_closed_is_no_failure(database, caplog):
    """The answer counts for the breaker, and the permit is free again."""

    def close() -> None:
        raise OSError("s3cret")

    def call() -> str:
        connections[database].close = close  # type: ignore[method-assign]
        return "done"

    calls = Calls(1)
    assert run(calls, call) == "done"
    assert calls.wait_until_idle(10)
    assert "cognito_reset.call_failed error=OSError" in caplog.text
    assert "s3cret" not in caplog.text


def test_if_a_connection_cannot_be_closed_the_others_are(database, monkeypatch):
    """The site's code may use several databases, and one of them may fail."""
    monkeypatch.setitem(connections.settings, "aaa", connections.settings[database])
    kept = []

    def close() -> None:
        raise OSError

    def call() -> None:
        for alias in ("aaa", database):
            connections[alias].cursor().execute("SELECT 1")
            kept.append(connections[alias])
        first = next(iter(connections.all(initialized_only=True)))
        first.close = close  # type: ignore[method-assign]

    run(Calls(1), call)
    assert sum(connection.connection is None for connection in kept) == 1


@pytest.mark.parametrize("error", [ValueError(), SystemExit()], ids=repr)
def test_connections_of_a_call_that_raises_are_closed(database, error):
    """The call may have failed because its database is down."""
    kept = []

    def call() -> None:
        connections[database].cursor().execute("SELECT 1")
        kept.append(connections[database])
        raise error

    run(Calls(1), call)
    assert kept[0].connection is None


# Late answers


def late(calls: Calls, gate: threading.Event, result: Any, when_late: Any) -> None:
    assert run(calls, hanging(gate, result), timeout=0.01, when_late=when_late) is None
    gate.set()
    assert calls.wait_until_idle(10)


def test_a_late_success_is_reported(gate):
    """It runs once, in the thread of the call, which still holds its permit."""
    calls, heard = Calls(1), []

    def when_late(result: str) -> None:
        heard.append((result, threading.current_thread().name, free_permits(calls)))

    late(calls, gate, "request id", when_late)
    assert heard == [("request id", calls_module.THREAD_NAME, 0)]


def test_a_late_report_may_call_again(gate):
    """For example to sign the user out. It shares the late call's permit, and so need not wait for one."""
    calls, heard = Calls(1), []
    late(calls, gate, "", lambda _: heard.append(run(calls, lambda: "signed out", wait=1)))
    assert heard == ["signed out"]
    assert free_permits(calls) == 1


def test_connections_of_a_late_report_are_closed(gate, database):
    """It writes to the audit."""
    kept: list[Any] = []

    def when_late(_: str) -> None:
        connections[database].cursor().execute("SELECT 1")
        kept.append(connections[database])

    late(Calls(1), gate, "", when_late)
    assert kept[0].connection is None


@pytest.mark.parametrize("result", [REFUSAL, SILENCE, None], ids=repr)
def test_a_late_failure_is_not_reported(gate, result):
    """The caller was told that the outcome is unknown. A failure is logged where it is found."""
    heard: list[Any] = []
    late(Calls(1), gate, result, heard.append)
    assert heard == []


def test_nobody_need_listen(gate):
    """A late success without a callback is dropped."""
    calls = Calls(1)
    late(calls, gate, "late", None)
    assert free_permits(calls) == 1


def test_an_answer_in_time_is_not_late():
    """The result is returned, so the callback doesn't run."""
    heard: list[Any] = []
    calls = Calls(1)
    assert run(calls, lambda: "in time", when_late=heard.append) == "in time"
    assert calls.wait_until_idle(10)
    assert heard == []


@pytest.mark.parametrize("error", [ValueError("alice"), SystemExit("alice")], ids=repr)
def test_a_failing_report_is_logged_by_its_type(gate, caplog, error):
    """Its text may have the user's name in it."""

    def when_late(_: str) -> None:
        raise error

    calls = Calls(1)
    late(calls, gate, "late", when_late)
    assert f"cognito_reset.call_failed error={type(error).__name__}" in caplog.text
    assert "alice" not in caplog.text
    assert free_permits(calls) == 1


def test_a_success_at_the_deadline_is_returned_or_reported():
    """Never both and never neither, however close the two come."""
    calls = Calls(400)  # on a slow machine, calls that go on keep their permits
    reported: list[int] = []

    def attempt(number: int) -> Any:
        def call() -> int:
            time.sleep(0.002)
            return number

        return run(calls, call, timeout=0.002, when_late=reported.append)

    with ThreadPoolExecutor(4) as executor:
        returned = [n for n in executor.map(attempt, range(400)) if n is not None]
    assert calls.wait_until_idle(10)
    assert sorted([*returned, *reported]) == list(range(400))


def test_a_logging_handler_that_raises_costs_no_permit():
    """The breaker logs while calls fail, so just then every permit and thread is needed."""
    calls, breaker = Calls(1), CircuitBreaker("test")

    class Broken(CircuitBreaker):
        def end(self, *, answered):
            raise RuntimeError("a handler of the site's")

    assert run(calls, lambda: "answer", breaker=Broken("test")) == "answer"
    assert calls.wait_until_idle(5)
    assert run(calls, lambda: "again", breaker=breaker) == "again"


def test_a_caller_that_is_interrupted_has_left(gate):
    """gunicorn ends a worker by an exception in its main thread: the answer is late then."""
    calls = Calls(1)
    heard: list[str] = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(KeyboardInterrupt):
        run(calls, hanging(gate, "request id"), when_late=heard.append)
    signal.signal(signal.SIGALRM, before)
    gate.set()
    assert calls.wait_until_idle(10)
    assert heard == ["request id"]


# The circuit breaker


class Clock:
    """Stands in for the time module: the seconds pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(calls_module, "time", clock)
    return clock


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.begin(16)
        breaker.end(answered=False)


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker("test")
    fail(breaker, 3)
    return breaker


def is_open(breaker: CircuitBreaker) -> bool:
    """Try a call that is not made after all."""
    try:
        breaker.begin(16)
    except CircuitOpen:
        return True
    breaker.end(answered=None)
    return False


def test_three_calls_without_an_answer_open_the_breaker(clock, caplog):
    """Then calls are refused at once, and that is logged once."""
    breaker = CircuitBreaker("brand")
    fail(breaker, 2)
    assert not is_open(breaker)
    fail(breaker)
    assert is_open(breaker)
    with pytest.raises(CircuitOpen) as caught:
        breaker.begin(16)
    error = caught.value
    assert (error.status, error.retry_after, error.sent) == (503, 5, False)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "cognito_reset.circuit_opened name=brand: 3 calls" in record.getMessage()


@pytest.mark.parametrize("answer", ["success", REFUSAL], ids=repr)
def test_any_answer_starts_the_count_anew(answer):
    """A refusal proves that Cognito is there, so visitors can't open the breaker by wrong codes."""
    calls, breaker = Calls(1), CircuitBreaker("test")
    for result in [SILENCE, SILENCE, answer, SILENCE, SILENCE, answer, SILENCE, SILENCE]:
        assert run(calls, partial(returning, result), breaker=breaker) is result
    with pytest.raises(CircuitOpen):
        [run(calls, lambda: SILENCE, breaker=breaker) for _ in range(2)]
    assert free_permits(calls) == 1


def test_what_came_to_no_call_does_not_count():
    """A CLIENT_SECRET that can't be read counts neither as an answer nor as a missing answer."""
    calls, breaker = Calls(1), CircuitBreaker("test")
    for result in [SILENCE, *[NO_CALL] * 5, SILENCE]:
        assert run(calls, partial(returning, result), breaker=breaker) is result
    assert run(calls, lambda: SILENCE, breaker=breaker) is SILENCE
    with pytest.raises(CircuitOpen):
        run(calls, lambda: SILENCE, breaker=breaker)


def test_one_probe_is_let_through_after_five_seconds(clock, caplog):
    """Other calls are refused until the probe has ended. Its answer closes the breaker."""
    caplog.set_level(logging.INFO)
    breaker = opened()
    clock.now += 4.9
    assert is_open(breaker)
    clock.now += 0.2
    breaker.begin(16)
    assert is_open(breaker)
    clock.now += 6
    assert is_open(breaker)
    breaker.end(answered=True)
    assert not is_open(breaker)
    fail(breaker, 2)
    assert not is_open(breaker)
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]
    assert "cognito_reset.circuit_closed name=test: calls are made again." in caplog.text


def test_a_probe_without_an_answer_keeps_the_breaker_open(clock, caplog):
    """The breaker stays open for five more seconds, without another line in the log."""
    breaker = opened()
    clock.now += 5.1
    fail(breaker)
    clock.now += 4.9
    assert is_open(breaker)
    clock.now += 0.2
    assert not is_open(breaker)
    assert len(caplog.records) == 1


def test_a_probe_that_was_not_called_lets_another_one_through(clock):
    """For example because no permit was free."""
    breaker = opened()
    clock.now += 5.1
    for _ in range(3):
        assert not is_open(breaker)
    breaker.begin(16)
    assert is_open(breaker)
    breaker.end(answered=None)


def leave(calls: Calls, breaker: CircuitBreaker, call: Callable[[], Any], **options: Any) -> None:
    """Stop waiting for a call before it has ended."""
    assert run(calls, call, breaker=breaker, **options) is None


def test_calls_that_never_end_count_at_their_deadline(gate):
    """A service that sends byte by byte causes no read timeout."""
    calls, breaker = Calls(3), CircuitBreaker("test")
    for _ in range(3):
        assert not is_open(breaker)
        leave(calls, breaker, hanging(gate), timeout=0.01)
    assert is_open(breaker)


@pytest.mark.parametrize("options", [{"timeout": 0.01}, {"wait": 0.01}], ids=str)
def test_a_call_without_an_answer_counts_once(gate, options):
    """It is counted at its deadline if the caller waits that long, else when it ends."""
    calls, breaker = Calls(2), CircuitBreaker("test")
    for _ in range(2):
        leave(calls, breaker, hanging(gate, SILENCE), **options)
    gate.set()
    assert calls.wait_until_idle(10)
    assert not is_open(breaker)
    fail(breaker)
    assert is_open(breaker)


def test_an_answer_after_the_deadline_closes_the_breaker(gate):
    """Cognito is slow, but it is there."""
    calls, breaker = Calls(3), CircuitBreaker("test")
    for _ in range(3):
        leave(calls, breaker, hanging(gate, REFUSAL), timeout=0.01)
    assert is_open(breaker)
    gate.set()
    assert calls.wait_until_idle(10)
    assert not is_open(breaker)


def test_a_probe_that_never_ends_makes_room_for_another_one(clock):
    """Five seconds after its deadline, which is five seconds too, or less if the service's own is sooner."""
    breaker = opened()
    clock.now += 5.1
    assert breaker.begin(16) == 5
    clock.now += 9.8
    assert is_open(breaker)
    clock.now += 0.3
    assert breaker.begin(1) == 1
    clock.now += 6.1
    assert not is_open(breaker)


@pytest.mark.parametrize(("result", "counted"), [(SILENCE, [False]), ("late", [False, True])])
def test_the_caller_of_a_probe_does_not_wait_long(monkeypatch, gate, result, counted):
    """The missing answer counts when the caller leaves, and not again when the call ends."""
    monkeypatch.setattr(calls_module, "PROBE_AFTER_SECONDS", 0)
    monkeypatch.setattr(calls_module, "PROBE_SECONDS", 0.01)
    calls, breaker = Calls(1), opened()
    ends: list[bool | None] = []
    reported: list[Any] = []
    monkeypatch.setattr(breaker, "end", lambda *, answered: ends.append(answered))
    leave(calls, breaker, hanging(gate, result), timeout=60, when_late=reported.append)
    assert ends == [False]
    gate.set()
    assert calls.wait_until_idle(10)
    assert ends == counted
    assert reported == ["late"][: len(counted) - 1]


def test_a_call_that_ends_late_does_not_put_off_the_next_probe(clock):
    """A probe whose caller left early counts when it ends, and another probe may have begun by then."""
    breaker = opened()
    clock.now += 5.1
    breaker.begin(16)
    clock.now += 10.1
    breaker.begin(16)
    clock.now += 7.9
    breaker.end(answered=False)
    assert is_open(breaker)
    clock.now += 2.2
    assert not is_open(breaker)


def test_exactly_one_of_many_threads_is_the_probe(monkeypatch):
    """The breaker is shared by all threads of a process."""
    monkeypatch.setattr(calls_module, "PROBE_AFTER_SECONDS", 0)
    rivals = 16
    start = threading.Barrier(rivals)

    def try_it(breaker: CircuitBreaker) -> bool:
        start.wait(20)
        try:
            breaker.begin(16)
        except CircuitOpen:
            return False
        return True

    with ThreadPoolExecutor(rivals) as executor:
        for _ in range(50):
            breaker = opened()
            assert sum(executor.map(try_it, [breaker] * rivals)) == 1


def test_an_open_breaker_takes_no_permit():
    """A refused call uses no permit, so others aren't kept out."""
    calls, breaker, called = Calls(1), opened(), []
    with pytest.raises(ResetError) as caught:
        run(calls, lambda: called.append(1), breaker=breaker)
    assert type(caught.value) is CircuitOpen
    assert called == []
    assert free_permits(calls) == 1
