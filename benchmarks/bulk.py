"""Resets of many people: the rate that four workers hold, and the memory of a worker for few people and for many."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.services.bulk_kill import run

WORKERS, PEOPLE, RATE = 4, 2000, 100


def figures() -> tuple[dict[str, float], dict[str, float]]:
    """Return by what share of the rate less is reached, and by what share the memory grows with the people."""
    with tempfile.TemporaryDirectory() as folder:
        [result] = run(
            "postgresql",
            Path(folder),
            "share",
            WORKERS,
            PEOPLE,
            RATE,
            timeout=300 + 3 * PEOPLE / RATE,
        )
    assert result["told"] == {"sent 1": PEOPLE - 1, "refused 0": 1, "others": 0}, result
    return (
        {
            "rate": 1 - result["rate"] / RATE,
            "memory": result["memory"] / result["memory_of_few"] - 1,
        },
        {"rate": result["rate"], "asked": RATE, "people": PEOPLE, "workers": WORKERS},
    )
