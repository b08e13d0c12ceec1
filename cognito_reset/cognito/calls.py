"""
Calls of a service that may hang: a bounded number at once (a bulkhead), each in a thread of its own with
a deadline, and none while the service doesn't answer (a circuit breaker). This module knows nothing of AWS.

A thread can't be cancelled. A caller may stop waiting, but its call holds a permit until the call has
ended, so that a service that hangs never holds more threads of a site than there are permits.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar, cast

from django.db import connections

from cognito_reset.cognito.errors import Busy, CircuitOpen, ResetError

logger = logging.getLogger(__name__)

T = TypeVar("T")

THREAD_NAME: Final = "cognito_reset"
# How long a call waits for a permit if it isn't made for a request that holds one.
PATIENCE_SECONDS: Final = 5.0
FAILURES_TO_OPEN: Final = 3
PROBE_AFTER_SECONDS: Final = 5.0
# How long the caller of a probe waits for the answer. This is longer than two tries to connect take by default.
PROBE_SECONDS: Final = 5.0


class CircuitBreaker:
    """
    Refuse calls while the service doesn't answer.

    The breaker opens after three calls in a row without an answer. ``Calls`` counts a call when it ends, or
    at its deadline if the caller is still waiting then. While the breaker is open, one call is let through
    as a probe five seconds after the last one that had no answer. A probe has a shorter deadline, so that
    a service that hangs holds its caller for a short time only, and the next probe follows soon. Any answer
    closes the breaker. ``name`` is for the log.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._failures = 0  # in a row
        self._probe_at = 0.0

    def check(self) -> None:
        """Raise ``CircuitOpen`` if no call may begin now."""
        if self._failures >= FAILURES_TO_OPEN and time.monotonic() < self._probe_at:
            raise CircuitOpen

    def begin(self, timeout: float) -> float:
        """
        Let a call begin, and return its deadline in seconds: ``timeout``, or less for a probe. Raise
        ``CircuitOpen`` if it may not begin.
        """
        with self._lock:
            self.check()
            if self._failures >= FAILURES_TO_OPEN:
                timeout = min(timeout, PROBE_SECONDS)
                # If this probe never ends, the next one may begin some time after its deadline.
                self._probe_at = time.monotonic() + timeout + PROBE_AFTER_SECONDS
        return timeout

    def end(self, *, answered: bool | None) -> None:
        """Note whether a call had an answer. None means that the service was not called after all."""
        now = time.monotonic()
        with self._lock:
            failures = self._failures
            if answered:
                self._failures = 0
            elif answered is None:
                self._probe_at = now  # for another probe, in case this was one
            else:
                self._failures += 1
                probe_at = now + PROBE_AFTER_SECONDS
                # A call that began before the last probe must not put off the next one.
                is_open = failures >= FAILURES_TO_OPEN
                self._probe_at = min(self._probe_at, probe_at) if is_open else probe_at
        if answered is False and failures == FAILURES_TO_OPEN - 1:
            logger.warning(
                "cognito_reset.circuit_opened name=%s: %d calls in a row had no answer. "
                "Calls are refused until a probe, one every %d seconds, has one.",
                *(self.name, FAILURES_TO_OPEN, PROBE_AFTER_SECONDS),
            )
        elif answered and failures >= FAILURES_TO_OPEN:
            logger.info("cognito_reset.circuit_closed name=%s: calls are made again.", self.name)


class Calls:
    """
    The bulkhead's permits to call the service, ``limit`` of them, and the threads that make the calls.

    A request holds a permit for as long as it runs (``permit()``), and all of its calls share that permit.
    A permit is free again when its request and all of its calls have ended.

    Work in the background has as many separate permits. If it took the permits of requests, a visitor could see
    from a refusal that there is such work.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = {False: limit, True: limit}  # by whether they are for the background
        self._changed = threading.Condition()

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Hold a permit. Raise ``Busy`` at once if none is free."""
        permit = self._take(patience=0)
        token = _current.set(permit)
        try:
            yield
        finally:
            _current.reset(token)
            self._release(permit)

    def run(
        self,
        call: Callable[[], T | ResetError],
        *,
        breaker: CircuitBreaker,
        timeout: float,
        wait: float | None = None,
        when_late: Callable[[T], None] | None = None,
    ) -> T | ResetError | None:
        """
        Return what ``call`` returns, or None if that takes longer than ``timeout`` seconds, or ``wait``
        seconds if these are fewer, or ``PROBE_SECONDS`` if the call is a probe. The call goes on then; if it
        succeeds later, ``when_late`` is called with its result, in its thread. Each success is either returned
        or passed to ``when_late``.

        ``call`` runs in another thread, in a copy of the caller's context. It must not raise: a traceback
        would bring along frames that hold what is sent.

        Raise ``CircuitOpen``, or ``Busy`` if no permit is free or there is no thread; then nothing was called.
        Outside of ``permit()``, wait a few seconds for a permit.
        """
        deadline = breaker.begin(timeout)
        patience = deadline if wait is None else min(wait, deadline)
        waits_until_deadline = patience == deadline
        give_up_at = time.monotonic() + patience
        future: concurrent.futures.Future[T | ResetError | None] = concurrent.futures.Future()

        def work(permit: _Permit) -> None:
            """Make the call, in its thread. Never raise."""
            result, is_late = None, True
            try:
                _current.set(permit)
                result = _result_of(call)
                _close_connections()
                # Either the caller cancels the future, or this thread claims it, so that both agree.
                is_late = not future.set_running_or_notify_cancel()
                answered = _is_answer(result)
                # A caller that waited until the deadline has counted the missing answer already.
                if answered is not False or not (is_late and waits_until_deadline):
                    breaker.end(answered=answered)
                is_success = result is not None and not isinstance(result, ResetError)
                if is_late and when_late and is_success:
                    _result_of(partial(when_late, cast("T", result)))
                    _close_connections()
            except BaseException:  # noqa: S110  # from a logging handler, so it can't be logged
                pass
            finally:
                # Before the caller goes on: its next call may need the permit.
                self._release(permit)
                if not is_late:
                    future.set_result(result)

        permit = None
        try:
            permit = self._join() or self._take(min(patience, PATIENCE_SECONDS))
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(work, permit), name=THREAD_NAME).start()
        except BaseException as error:
            if permit:
                self._release(permit)
            breaker.end(answered=None)
            if isinstance(error, RuntimeError):  # the system has no thread to spare
                raise Busy from None
            raise
        try:
            concurrent.futures.wait([future], give_up_at - time.monotonic())
        finally:  # also if the server interrupts the caller
            has_left = future.cancel()
        if not has_left:
            return future.result()
        if waits_until_deadline:
            breaker.end(answered=False)
        return None

    def run_in_background(self, work: Callable[[], None], timeout: float) -> None:
        """
        Start ``work`` in another thread, and don't wait for it. All of its calls share one of the background's
        permits. Raise ``Busy`` if none is free, or if there is no thread.
        """
        permit = self._take(patience=0, in_background=True)
        token = _current.set(permit)
        try:
            # The circuit breakers count its calls, but not the work itself.
            self.run(work, breaker=CircuitBreaker(""), timeout=timeout, wait=0)
        finally:
            _current.reset(token)
            self._release(permit)

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until every permit is free, at most ``timeout`` seconds. Return whether that is so."""
        with self._changed:
            return self._changed.wait_for(
                lambda: all(free == self.limit for free in self._free.values()), timeout
            )

    def _take(self, patience: float, *, in_background: bool = False) -> _Permit:
        """Take a permit; wait up to ``patience`` seconds for it."""
        with self._changed:
            if self._changed.wait_for(lambda: self._free[in_background] > 0, patience):
                self._free[in_background] -= 1
                return _Permit(self, in_background)
        logger.warning("cognito_reset.busy: all %d permits for calls are taken", self.limit)
        raise Busy

    def _join(self) -> _Permit | None:
        """Return the permit of the request that this code runs for, held once more, if there is one."""
        permit = _current.get()
        with self._changed:
            # Code that outlives its request keeps the context, which has a permit that is free again.
            if permit is None or permit.calls is not self or not permit.holders:
                return None
            permit.holders += 1
            return permit

    def _release(self, permit: _Permit) -> None:
        with self._changed:
            permit.holders -= 1
            if not permit.holders:
                self._free[permit.in_background] += 1
                self._changed.notify_all()


class _Permit:
    """One permit. ``holders``: its request and those of its calls that haven't ended."""

    def __init__(self, calls: Calls, in_background: bool) -> None:
        self.calls = calls
        self.in_background = in_background
        self.holders = 1


_current: contextvars.ContextVar[_Permit | None] = contextvars.ContextVar(
    "cognito_reset_permit", default=None
)


def _result_of(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except BaseException as error:  # SystemExit in the site's code, for example
        logger.critical("cognito_reset.call_failed error=%s", type(error).__name__)
        return None


def _close_connections() -> None:
    """Close the database connections of this thread, because Django doesn't notice when it ends."""
    for connection in connections.all(initialized_only=True):
        _result_of(connection.close)


def _is_answer(result: object) -> bool | None:
    if isinstance(result, ResetError):
        return result.answered
    return None if result is None else True
