"""What test_soak.py measures: what a site's workers need, and what the stores hold."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.services.soak_world import World


def sample_worker(world: World, process: int) -> dict[str, float]:
    folder = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    files = open_files(process)
    sockets = {file for file in files if file.startswith("socket:")}
    ports = connections(process, sockets)
    return {
        # In MB, without the pages of files, which come and go with the machine's other work.
        "memory": int(status["RssAnon"].split()[0]) / 1024,
        "threads": int(status["Threads"]),
        "files": len(files) - len(sockets),
        "sockets": len(sockets),
        "connections to Cognito": ports[world.cognito.wire.port],
        "connections to Redis": ports[world.redis.port],
        "connections to PostgreSQL": ports[int(world.database.settings["PORT"])],
    }


def open_files(process: int) -> list[str]:
    """Return what each open file of a process is. Linux only."""
    found = []
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            found.append(os.readlink(descriptor))
        except OSError:  # it was closed meanwhile
            continue
    return found


def connections(process: int, sockets: set[str]) -> Counter[int]:
    """Return how many of the sockets are TCP connections to each port."""
    lines = Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    # Linux repeats the last lines, up to dozens of times, if other connections are opened while the file is read.
    ports = {f"socket:[{field[9]}]": int(field[2].split(":")[1], 16) for field in fields}
    return Counter(port for socket, port in ports.items() if socket in sockets)


def sample_stores(world: World) -> dict[str, float]:
    values: dict[str, float] = {}
    keys = world.redis.ask("dbsize").split()
    if keys and keys[-1].isdigit():  # it is down otherwise
        values["keys in Redis"] = int(keys[-1])
    tables = ("cognito_reset_ledgerslot", "cognito_reset_resetevent", "django_session")
    counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    if rows := world.query_or_none(f"SELECT {counts}"):
        values |= dict(zip(tables, rows[0], strict=True))
    return values


class Measured:
    """Samples of several things, by their names: the shares of the time that had passed, and the values."""

    def __init__(self, seconds: float, sources: dict[str, Callable[[], dict[str, float]]]) -> None:
        self._seconds, self._sources = seconds, sources
        self._start = time.monotonic()
        self.samples: dict[str, list[tuple[float, float]]] = {}

    def go_on(self, is_over: threading.Event) -> None:
        while not is_over.wait(max(1, self._seconds / 200)):
            for source, sample in self._sources.items():
                at = self.share(time.monotonic())
                for name, value in sample().items():
                    self.samples.setdefault(f"{source}: {name}", []).append((at, value))

    def share(self, at: float) -> float:
        """Return which share of the time has passed at a moment."""
        return (at - self._start) / self._seconds

    def most(self, name: str) -> float:
        """Return the largest sample."""
        return max(value for _, value in self.samples[name])

    def tenths(self, name: str) -> list[float]:
        """Return the average of each tenth of the time."""
        found: dict[int, list[float]] = {}
        for at, value in self.samples[name]:
            found.setdefault(int(10 * min(at, 0.99)), []).append(value)
        return [statistics.fmean(values) for _, values in sorted(found.items())]

    def quarters(self, name: str) -> tuple[float, float]:
        """Return the averages of the second and of the last quarter. The first is for warming up."""
        second, last = quarters(self.samples[name])
        return statistics.fmean(second), statistics.fmean(last)


def quarters(values: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return the values of the second and of the last quarter."""
    second, last = (
        [value for at, value in values if begin <= at < begin + 0.25] for begin in (0.25, 0.75)
    )
    return second, last
