"""
Exactly the limit gets through in every store, however many attempts come at the same time.

Three rounds of each race; RACE_ROUNDS=20 for twenty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.services.race import STEPS
from tests.services.stores import STORES

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("RACE_ROUNDS", "3"))
ACCEPTED = {"request": "202", "confirm": "200"}


def races() -> list[Any]:
    """
    Return each store with each step, in one process and in eight. In every store the processes ask for codes, and in
    PostgreSQL they also confirm. The other races are slow.
    """
    found = []
    for store, processes, step in product(STORES, (1, 8), ACCEPTED):
        is_fast = processes > 1 and (step == "request" or store == "postgresql")
        marks = [] if is_fast else [pytest.mark.slow]
        found.append(pytest.param(store, processes, 40 // processes, step, marks=marks))
    return found


@pytest.mark.requirement("B1", "B2", "B4")
@pytest.mark.parametrize(("store", "processes", "threads", "step"), races(), indirect=["store"])
def test_b1_b2_b4_exactly_the_limit_gets_through(
    store: str, processes: int, threads: int, step: str, tmp_path: Path
) -> None:
    """
    Forty threads, or eight processes of five, ask for codes or try one at once. As many calls as the
    limits of identifier, network and site allow reach the service, on new rows and on used ones. All other
    attempts get 429, and none meets an error. A request that comes again and again reaches it once, and
    all get that answer.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from tests.services.race import main; main()"),
            *(store, step, str(processes), str(threads), str(ROUNDS)),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300 + 30 * ROUNDS,
        check=True,
    )
    races = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(races) == len(STEPS[step][0]) * ROUNDS
    for race in races:
        limit = race["limit"]
        attempts = processes * threads * (2 if race["race"] in ("large", "repeat") else 1)
        statuses = {ACCEPTED[step]: limit, "429": attempts - limit}
        if race["race"] == "repeat":
            statuses = {ACCEPTED[step]: attempts}
        assert race["calls"] == limit, json.dumps(race)
        assert race["statuses"] == statuses, json.dumps(race)
