"""
Exactly the limit gets through, whoever comes at the same time, in every store.

Three rounds of each race; RACE_ROUNDS=20 for twenty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.stores import STORES, need

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("RACE_ROUNDS", "3"))


@pytest.mark.parametrize(("step", "accepted"), [("request", "202"), ("confirm", "200")])
@pytest.mark.parametrize(("processes", "threads"), [(1, 40), (8, 5)], ids=["threads", "processes"])
@pytest.mark.parametrize("store", STORES)
def test_b1_b2_b4_exactly_the_limit_gets_through(
    store: str, processes: int, threads: int, step: str, accepted: str, tmp_path: Path
) -> None:
    """
    B1, B2, B4: forty threads, or eight processes of five, ask for codes, or try one, at once. What
    reaches the fake is the limit, by identifier, network and site, on new rows and on used ones, and
    all others are told to wait: nobody meets an error. Of one request that comes again and again, one
    reaches it, and all get its answer.
    """
    need(store)
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from tests.services.race import main; main()"),
            *(store, step, str(processes), str(threads), str(ROUNDS)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60 + 30 * ROUNDS,
        check=True,
    )
    races = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(races) == (6 if step == "confirm" else 5) * ROUNDS
    for race in races:
        limit = race["limit"]
        attempts = processes * threads * (2 if race["race"] in ("large", "repeat") else 1)
        statuses = {accepted: limit, "429": attempts - limit}
        if race["race"] == "repeat":
            statuses = {accepted: attempts}
        assert race["calls"] == limit, json.dumps(race)
        assert race["statuses"] == statuses, json.dumps(race)
