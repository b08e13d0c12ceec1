"""
The pace of a reset of many people: how many resets are due, and how many look-ups of the entries of a list. It is
stored in the run's row, so that all workers share it.

Look-ups have a pace of their own, because a look-up may take longer than the next one: if a reset were due
when its look-up began, resets could come in bursts.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from typing import Final

from cognito_reset.models import BulkRun

# A worker that comes late makes up for this much time at most. More would mean bursts, of which a part can
# meet the next second's calls at Cognito.
MADE_UP_SECONDS: Final = 0.1
# There are never more claims of one kind than the rate in this time. The calls come some milliseconds after the
# claims, so it is a little longer than the second in which AWS counts.
WINDOW_SECONDS: Final = 1.005
# How long all workers wait at least after AWS limited the rate, and how long the rate then takes from a half of what
# is allowed to the whole.
THROTTLED_SECONDS: Final = 5.0
RECOVERY_SECONDS: Final = 60.0
LEAST_RATE: Final = 0.2
# How long all workers wait after a failure, times the number of failures in a row.
FAILURE_SECONDS: Final = 1.0
# The next call is never further away than this. If it seems so, the clock was set back.
LONGEST_WAIT: Final = 60.0


@dataclass(frozen=True)
class Pace:
    """One kind of calls. The two attributes are the names of the columns of a run in which its pace is stored."""

    #: When the next call is due, in seconds since 1970.
    at: str
    #: The claims of the last second.
    recent: str

    def due(self, run: BulkRun, now: float) -> int:
        """Return how many calls may begin at the time ``now``."""
        at = self._stored(run, now)
        # A run that begins, or goes on, has nothing to make up for.
        begin = max(at, now - MADE_UP_SECONDS) if at else now
        setattr(run, self.at, begin)
        by_pace = math.floor((now - begin) * run.current_rate) + 1
        return max(0, min(by_pace, _most(run) - _count(self._recent(run, now))))

    def spend(self, run: BulkRun, count: int, now: float) -> None:
        """Note that ``count`` calls that were due begin."""
        setattr(run, self.at, getattr(run, self.at) + count / run.current_rate)
        setattr(run, self.recent, json.dumps([*self._recent(run, now), (now, count)]))

    def wait(self, run: BulkRun, now: float) -> float:
        """Return the seconds until a call is due."""
        recent = self._recent(run, now)
        by_window = recent[0][0] + WINDOW_SECONDS if _count(recent) >= _most(run) else now
        return max(self._stored(run, now), by_window, now) - now

    def hold(self, run: BulkRun, until: float, now: float) -> None:
        """Let all workers wait."""
        setattr(run, self.at, max(self._stored(run, now), until))

    def begin_anew(self, run: BulkRun) -> None:
        """Let nobody wait in a run that begins, or goes on after a pause."""
        setattr(run, self.at, 0.0)

    def forget(self, run: BulkRun) -> None:
        """Forget the claims of the last second. Call this when a run is over."""
        setattr(run, self.recent, "")

    def _stored(self, run: BulkRun, now: float) -> float:
        """Return when the next call is due, or ``now`` if the clock was set back after that was stored."""
        at: float = getattr(run, self.at)
        return now if at > now + LONGEST_WAIT + 1 / run.current_rate else at

    def _recent(self, run: BulkRun, now: float) -> list[tuple[float, int]]:
        claims: list[tuple[float, int]] = json.loads(getattr(run, self.recent) or "[]")
        # A claim that lies ahead was made before the clock was set back.
        return [(at, count) for at, count in claims if abs(now - at) < WINDOW_SECONDS]


RESETS: Final = Pace("next_at", "recent_claims")
LOOK_UPS: Final = Pace("look_up_at", "recent_look_ups")
PACES: Final = (RESETS, LOOK_UPS)


def hold(run: BulkRun, seconds: float, now: float) -> None:
    """Let all workers wait."""
    for pace in PACES:
        pace.hold(run, now + seconds, now)


def slow_down(run: BulkRun, now: float) -> None:
    """
    Halve the rate, and let all workers wait, because AWS has limited the rate. Calls that were under way
    meanwhile may be refused as well, and don't halve it again.
    """
    if run.next_at <= now + 1 / run.current_rate:
        run.current_rate = max(run.current_rate / 2, min(run.rate, LEAST_RATE))
    # Other sites of the account share AWS's limit, and mustn't all come back at the same moment.
    hold(run, THROTTLED_SECONDS * random.uniform(1, 1.2), now)  # noqa: S311  # only spreads rivals


def speed_up(run: BulkRun) -> None:
    """Raise the rate a little, up to the rate that was chosen. Call this for each success."""
    step = run.rate / (2 * RECOVERY_SECONDS * run.current_rate)
    run.current_rate = min(run.rate, run.current_rate + step)


def _most(run: BulkRun) -> int:
    return math.ceil(run.rate)


def _count(claims: list[tuple[float, int]]) -> int:
    return sum(count for _, count in claims)
