"""
Resets of many people on real databases: workers that are killed, and workers that share a run.

By default each point has one seed, and 160 people share a run. For a thorough test, on a machine that does
nothing else, set COGNITO_RESET_KILL_SEEDS=20 and COGNITO_RESET_BULK_PEOPLE=20000.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.services.bulk_kill import POINTS, run
from tests.services.stores import DATABASES, slow_but

pytestmark = pytest.mark.services

SEEDS = int(os.environ.get("COGNITO_RESET_KILL_SEEDS", "1"))
IS_THOROUGH = "COGNITO_RESET_BULK_PEOPLE" in os.environ
PEOPLE = int(os.environ.get("COGNITO_RESET_BULK_PEOPLE", "160"))
# Other tests may keep the machine busy, unless the test is thorough. A worker that stands still for a moment then
# doesn't make up for it, because more calls than the rate would follow.
RATE, LEAST_SHARE = (200, 0.97) if IS_THOROUGH else (40, 0.25)
# A worker that comes late makes up for a tenth of a second. A little more is for the time between two looks at the clock.
ALLOWED = 1 + RATE * (0.1 + 0.05)


@pytest.mark.requirement("F8")
@pytest.mark.parametrize("store", slow_but(["postgresql"], DATABASES), indirect=True)
def test_f8_a_worker_that_is_killed_anywhere_repeats_nobody_and_forgets_nobody(
    store: str, tmp_path: Path
) -> None:
    """
    A worker gets SIGKILL before, after or right after the commit of a statement of each kind, or while Cognito
    carries out a call. Then and after another worker has finished, each person's state is true.
    """
    results = run(store, tmp_path, "kill", SEEDS, timeout=240 + 40 * SEEDS)
    assert len(results) == len(POINTS) * SEEDS
    for result in results:
        text = json.dumps(result)
        assert result["exit"] == -9, text
        assert result["run"] == "done", text
        # A state, and how often Cognito got a call for the person.
        assert set(result["then"]) <= {
            *("sent 1", "refused 0", "pending 0", "sending 0", "sending 1", "others"),
        }, text
        assert set(result["finally"]) <= {
            *("sent 1", "refused 0", "unknown 0", "unknown 1", "others"),
        }, text
        assert result["finally"]["others"] == 0, text
        # Only those are in doubt whose calls could be under way: there are four threads.
        doubtful = [result["finally"].get(f"unknown {count}", 0) for count in (0, 1)]
        assert sum(doubtful) <= 4, text
        assert sum(result["finally"].values()) == result["people"], text


@pytest.mark.requirement("F7", "F8", "F10")
@pytest.mark.parametrize("way", ["share", "share-list"])
@pytest.mark.parametrize("workers", slow_but([4], [1, 4]))
@pytest.mark.parametrize("store", slow_but(["postgresql"], DATABASES), indirect=True)
def test_f7_f8_f10_workers_share_the_rate(
    store: str, workers: int, way: str, tmp_path: Path
) -> None:
    """
    However many processes send, no second has more claims than the rate, nor has any longer time but for a tenth
    of a second's calls. The rate is held, and everybody is reset once. The number of people doesn't matter for the
    memory. The people of a list are looked up first.
    """
    [result] = run(store, tmp_path, way, workers, PEOPLE, RATE, timeout=240 + 2 * PEOPLE / RATE)
    assert result["exits"] == [0] * workers
    assert result["told"] == {"sent 1": PEOPLE - 1, "refused 0": 1, "others": 0}
    assert result["claimed"] <= RATE
    assert result["excess"] <= ALLOWED
    assert result["excess_of_calls"] <= ALLOWED
    assert result["rate"] >= LEAST_SHARE * RATE
    assert result["memory"] < 1.1 * result["memory_of_few"]


@pytest.mark.requirement("F8")
@pytest.mark.parametrize("store", slow_but(["mariadb"], ["postgresql", "mariadb"]), indirect=True)
def test_f8_connections_that_the_server_closes(store: str, tmp_path: Path) -> None:
    """The workers connect again and go on. Nobody is reset twice, and each person's state is true."""
    [result] = run(store, tmp_path, "cut", 2, 200, 200, timeout=300)
    assert result["cuts"] >= 3
    assert result["exits"] == [0, 0]
    assert set(result["told"]) <= {"sent 1", "refused 0", "unknown 0", "others"}
    assert result["told"]["others"] == 0
    assert sum(result["told"].values()) == 200
