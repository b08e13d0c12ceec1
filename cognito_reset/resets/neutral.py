"""
Answers that don't depend on the account: when they are sent, and which deliveries they show.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from django.utils.crypto import salted_hmac

from cognito_reset.cognito.service import Delivery

# Wait for a call during this share of the uniform time. The rest is for the work afterwards, so that
# outcomes that are known early and those that aren't known yet are answered at the same moment.
WAITED_SHARE: Final = 0.9


class RefusalTime:
    """
    How long refusals take at the confirm step: the uniform time, or a multiple of it if refusals took
    longer lately. Otherwise only refusals of existing accounts would take that long.
    """

    SECONDS_KEPT: Final = 300
    MOST: Final = (
        5  # times the uniform time: a request that waits holds one of the server's threads
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times, self._until = 1, 0.0

    def end(self, start: float, uniform: float) -> float:
        """Return when to answer a refusal that is known now, of a call that began at ``start``."""
        now = time.monotonic()
        times = math.ceil((now - start) / (uniform * WAITED_SHARE)) if uniform else 0
        times = min(max(times, 1), self.MOST)
        with self._lock:
            if times >= self._times or now > self._until:
                self._times, self._until = times, now + self.SECONDS_KEPT
            return start + max(times, self._times) * uniform


refusal_time = RefusalTime()


def sleep_until(end: float) -> None:
    """Sleep until ``end`` by the monotonic clock, in seconds."""
    remaining = end - time.monotonic()
    if remaining > 0:  # sleep(0) would give the processor to others, for long on a busy machine
        time.sleep(remaining)


def typed_delivery(username: str) -> Delivery | None:
    """
    Return what was typed, masked as Cognito masks destinations, or ``None`` if it has the form neither
    of an email address nor of a phone number.
    """
    name, at, domain = username.partition("@")
    if at and name and domain:
        return Delivery(f"{name[0]}***@{domain[0]}***", "EMAIL", "email", "")
    if username.startswith("+") and username[1:].isdigit():
        return Delivery(f"+*******{username[1:][-4:]}", "SMS", "phone_number", "")
    return None


def simulated_delivery(pool: str, username: str) -> Delivery:
    """
    Return a made-up delivery, which depends on nothing but what was typed and is always the same. It
    has the form of the masked destinations that Cognito returns for existing users.
    """
    if delivery := typed_delivery(username):
        return delivery
    message = f"{pool}:{username}"
    digest = salted_hmac("cognito_reset.delivery", message, algorithm="sha256").digest()
    first, second = (chr(ord("a") + byte % 26) for byte in digest[:2])
    return Delivery(f"{first}***@{second}***", "EMAIL", "email", "")
