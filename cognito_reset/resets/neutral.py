"""
When answers leave: those that depend on the account all in the same time, whatever Cognito took.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Final

# Of the uniform time: a call is waited for as long. The rest is for what follows an outcome, so that
# those known early and those not known yet leave together.
WAITED_SHARE: Final = 0.9


class RefusalTime:
    """
    How long refusals take at the confirm step: the uniform time, or where some took longer of late
    as many times as much as the longest, for else only accounts that there are would take that.
    """

    SECONDS_KEPT: Final = 300
    MOST: Final = 5  # times the uniform time: waiting holds a worker

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times, self._until = 1, 0.0

    def end(self, start: float, uniform: float) -> float:
        """Give when a refusal that is known now, of a call begun at ``start``, may leave."""
        now = time.monotonic()
        took = now - start
        times = math.ceil(took / (uniform * WAITED_SHARE)) if uniform else 0
        times = min(max(times, 1), self.MOST)
        with self._lock:
            if times >= self._times or now > self._until:
                self._times, self._until = times, now + self.SECONDS_KEPT
            return start + max(times, self._times) * uniform


refusal_time = RefusalTime()


def sleep_until(end: float) -> None:
    time.sleep(max(0.0, end - time.monotonic()))
