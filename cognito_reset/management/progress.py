"""The progress of a command that works for hours, and the signals that interrupt it."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

from django.core.management.base import OutputWrapper

from cognito_reset.models import BulkRun
from cognito_reset.staff import bulk, journal

# A terminal that is closed sends SIGHUP, and Windows has none.
SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
OUTCOMES: Final = ("sent", "refused", "failed", "unknown")
TERMINAL_SECONDS: Final = 0.5
LOG_SECONDS: Final = 10.0
BAR: Final = 20  # characters
# The counts are queries, which are slow for a million people. Spend at most a twentieth of the time on them.
SHARE: Final = 20


class Interruption:
    """
    While this is entered, the first signal that ends a command only sets ``came``, and calls ``when_came``. A second
    signal ends the process, or has the effect of ``second``. Signals that are ignored, for example by nohup, stay ignored.
    """

    def __init__(
        self, when_came: Callable[[], None] = lambda: None, second: Any = signal.SIG_DFL
    ) -> None:
        self.came = False
        self._when_came = when_came
        self._second = second
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        # Python allows signal handlers only in the main thread.
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in SIGNALS}
            self._handlers = {
                n: own for n, own in found.items() if own not in (signal.SIG_IGN, None)
            }
            for number in self._handlers:
                signal.signal(number, self._catch)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        for each in self._handlers:
            signal.signal(each, self._second)
        self._when_came()


class Report:
    """Shows how far a run is: a bar on a terminal, otherwise a line every few seconds."""

    def __init__(self, out: OutputWrapper, run: BulkRun) -> None:
        self._out = out
        self._run_id = run.pk
        self._is_terminal = out.isatty()
        self._interval = TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS
        self._next_at = time.monotonic() + self._interval
        self._line = ""

    def changed(self) -> None:
        """Show the progress, if it wasn't shown a short time ago."""
        begin = time.monotonic()
        if begin < self._next_at:
            return
        self.show()
        end = time.monotonic()
        self._next_at = end + max(self._interval, (end - begin) * SHARE)

    def show(self) -> None:
        line = journal.patiently(
            lambda: progress_line(journal.get(self._run_id), has_bar=self._is_terminal)
        )
        if self._is_terminal:
            line = line[: shutil.get_terminal_size().columns - 1]
            self._write(f"\r{line}\x1b[K", "")
        elif line != self._line:
            self._write(line, "\n")
        self._line = line

    def say(self, text: str) -> None:
        """Show a text on a separate line, once."""
        if text == self._line:
            return
        self._line = text
        self._write(f"\r{text}\x1b[K" if self._is_terminal else text, "\n")

    def close(self) -> None:
        """End the line of the bar."""
        if self._is_terminal and self._line:
            self._write("\n", "")

    def _write(self, text: str, ending: str) -> None:
        # A full disk, or a terminal that was closed, must not end the work.
        try:
            # Without a style: with --json, this is standard error, whose style is for errors.
            self._out.write(text, str, ending)
            self._out.flush()
        except OSError:
            pass


def progress_line(run: BulkRun, *, has_bar: bool = False) -> str:
    if not run.is_complete:
        return f"Reading the list: {run.size:,} people so far."
    progress = bulk.progress(run)
    total = sum(progress.counts.values())
    done = sum(progress.counts[name] for name in OUTCOMES)
    share = done / total if total else 1.0
    bar = "#" * int(share * BAR)
    line = f"[{bar:-<{BAR}}] " if has_bar else ""
    line += f"{int(share * 100)} % of {total:,}"
    if outcomes := counts_text(progress.counts):
        line += f": {outcomes}"
    if done < total and progress.seconds_left is not None:
        rate = progress.rate or run.current_rate
        line += f"; {rate:.1f}/s, {duration(progress.seconds_left)} left"
    return line


def counts_text(counts: Mapping[str, int]) -> str:
    """Return how many people had each outcome. Outcomes that nobody had are left out."""
    return ", ".join(f"{counts[name]:,} {name}" for name in OUTCOMES if counts[name])


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
