"""
Limits on both steps of a reset: per identifier, per client network and for the whole site.

A limit of N in W seconds is **N slots**. An attempt takes one slot of every limit that it comes
under, each for W seconds; where one has none left it gives back what it took, and is refused. So a
limit is an exact sliding window whatever runs at the same time, a refused attempt leaves no trace,
and the time to wait is that until the first slot's end. Who gets a slot the store decides.

Counted before the call, by identifier, never by session, alike for users that don't exist, and apart
for the two steps: nobody can use up the tries for a code by asking for more codes. Identifiers and
networks are stored as keyed hashes only. Another SECRET_KEY, an emptied cache or a clock set ahead
start all limits anew; behind them is Cognito's own allowance.

Call it outside of transactions: in one, others wait for its end, and a rollback refunds the attempt.
"""

from __future__ import annotations

import logging
import random
import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from django.views.decorators.debug import sensitive_variables

from cognito_reset.cognito.errors import CognitoResetMisconfigured, Throttled, Unavailable
from cognito_reset.conf import conf
from cognito_reset.resets.stores import Bucket, Held, Rate, Store, digest, with_store

logger = logging.getLogger(__name__)

STAFF: Final = "staff"
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
READ_WHOLE: Final = 64  # of a limit with more slots, a sample is looked at first
SAMPLE: Final = 16
CROWDED: Final = 10  # of the sample: time to count the site's slots, for the alarm at half
ROUNDS: Final = 10  # of looking and taking

Taken = list[tuple[Bucket, int, int]]  # slots by number, and when they were taken, in milliseconds


class Contended(Exception):
    """Slots looked free and couldn't be had: a crowd, or a cache that hides its errors."""


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Read rates such as "20/h", "5/15m" or "1/m,3/h"."""
    rates: dict[int, Rate] = {}
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*([1-9][0-9]{0,6})/([1-9][0-9]{0,5})?([smhd])\s*", part)
        seconds = int(match[2] or 1) * UNITS[match[3]] if match else 0
        if match is None or seconds in rates:
            raise CognitoResetMisconfigured(f'COGNITO_RESET["LIMITS"]: "{text}" can\'t be used.')
        rates[seconds] = Rate(int(match[1]), seconds)
    return tuple(rates.values())


def identifier_key(pool: str, identifier: str) -> str:
    """
    Give the keyed hash that stands for ``identifier`` in the limits and in the audit: one for all
    ways to write it that Cognito may take for the same.
    """
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    return digest("identifier", pool, unicodedata.normalize("NFKC", folded).strip())


@sensitive_variables("identifier")
def check_in(step: str, *, pool: str, identifier: str, network: str | None) -> Taken:
    """
    Count one attempt at "request" or "confirm", or raise ``Throttled``. Where the store fails nobody
    gets through (``Unavailable``); with LIMITS_FAIL_OPEN everybody does. ``network=None`` counts by
    the other two levels only. What it gives is for ``give_back()``.
    """
    return _count(_buckets_of_all(step, pool, identifier, network))


@sensitive_variables("identifier")
def check(step: str, *, pool: str, identifier: str, network: str | None) -> None:
    """Raise what ``check_in()`` would now, and count nothing."""
    _count(_buckets_of_all(step, pool, identifier, network), take=False)


def give_back(taken: Taken) -> None:
    """Count an attempt for none, because it came to no call. Where the store fails it stays counted."""
    if taken:
        with_store(lambda store: [store.give_back(*slot) for slot in taken])


@sensitive_variables("identifier")
def check_in_staff(*, pool: str, identifier: str) -> None:
    """
    Count one reset that staff send, or raise as ``check_in()`` does: by the rates for a person's own
    requests, and apart from them. Nobody's flood keeps staff from helping.
    """
    _count(_buckets(STAFF, pool, {"identifier": identifier_key(pool, identifier)}))


def clear(*identifier_keys: str) -> None:
    """
    Let who has these ``identifier_key()``s try again, at both steps. Networks and the site keep their
    counts. Raises ``Unavailable`` where the store fails.
    """
    buckets = [
        bucket
        for step in conf.limits or ()
        for key in identifier_keys
        for bucket in _buckets(step, "", {"identifier": key})
    ]
    if buckets and isinstance(with_store(lambda store: store.clear(buckets)), Exception):
        raise Unavailable


def is_first_refusal(error: Throttled) -> bool:
    """
    Note a refusal, and say whether it is the first by any of its limits in their windows: that one
    is worth a row in the audit. Where the store fails, none is.
    """
    firsts = with_store(
        lambda store: [_is_first(store, bucket, "refused") for bucket in error.refused_by]
    )
    return not isinstance(firsts, Exception) and any(firsts)


@sensitive_variables("identifier")
def _buckets_of_all(step: str, pool: str, identifier: str, network: str | None) -> list[Bucket]:
    digests = {"identifier": identifier_key(pool, identifier), "site": digest("site", pool)}
    if network is not None:
        digests["network"] = digest("network", pool, network)
    return _buckets(step, pool, digests)


def _buckets(step: str, pool: str, digests: Mapping[str, str]) -> list[Bucket]:
    limits = conf.limits
    if limits is None:
        return []
    rates = limits["request" if step == STAFF else step]
    return [
        Bucket(step, pool, level, rate, digests[level])
        # The narrowest first: who loses there has taken nothing from anybody else.
        for level in ("identifier", "network", "site")
        if level in digests
        for rate in parse_rates(rates[level])
    ]


def _count(buckets: list[Bucket], *, take: bool = True) -> Taken:
    if not buckets:
        return []
    found = with_store(lambda store: _take(store, buckets, take=take))
    if isinstance(found, Exception):
        # What only looks like a failing store may be somebody's doing: that opens no door.
        if conf.limits_fail_open and not isinstance(found, Contended):
            return []
        raise Unavailable
    taken, refused = found
    if refused:
        cool_down = all(
            (bucket.step, bucket.level, bucket.rate.limit) == ("request", "identifier", 1)
            for bucket in refused
        )
        wait = max(refused.values())
        raise Throttled(retry_after=wait, cool_down=cool_down, refused_by=tuple(refused))
    return taken


def _take(
    store: Store, buckets: list[Bucket], *, take: bool = True
) -> tuple[Taken, dict[Bucket, int]]:
    """
    Take a slot of each; or take none, and give the seconds to wait by bucket. With ``take=False``
    only look.
    """
    for _ in range(ROUNDS):
        now = int(time.time() * 1000)
        held, free = _look(store, buckets, now)
        for bucket in buckets:
            if bucket.level == "site":
                _watch(store, bucket, len(held[bucket]), now)
        refused = {b: _wait(b, held[b], now) for b in buckets if not free[b]}
        if refused or not take:
            return [], refused
        taken: Taken = []
        for bucket in buckets:
            number = next((n for n in free[bucket] if store.take(bucket, n, now)), None)
            if number is None:
                break
            taken.append((bucket, number, now))
        else:
            return taken, {}
        for slot in taken:
            store.give_back(*slot)
    raise Contended


def _look(store: Store, buckets: list[Bucket], now: int) -> tuple[Held, dict[Bucket, list[int]]]:
    """Give what is held and what is free of each: of a large limit in a sample, if that will do."""
    asked: dict[Bucket, Sequence[int]] = {}
    for bucket in buckets:
        numbers = range(bucket.rate.limit)
        asked[bucket] = random.sample(numbers, SAMPLE) if len(numbers) > READ_WHOLE else numbers
    held = store.read(asked, now)
    for bucket in buckets:
        found, limit, is_site = len(held[bucket]), bucket.rate.limit, bucket.level == "site"
        warn = is_site and found >= CROWDED and now >= _warned_until.get(bucket.key, 0)
        if len(asked[bucket]) == limit or not (found == SAMPLE or warn):
            continue
        full_until = _full_until.get(bucket.key, 0)
        if now < full_until <= bucket.end(now):
            asked[bucket], held[bucket] = (), {0: full_until}
            continue
        asked[bucket] = range(limit)
        held |= store.read({bucket: asked[bucket]}, now)
        if is_site and len(held[bucket]) == limit:
            _full_until[bucket.key] = min(held[bucket].values())
    free = {b: [n for n in numbers if n not in held[b]] for b, numbers in asked.items()}
    for rest in free.values():
        random.shuffle(rest)  # or all would try the same one first
    return held, free


def _wait(bucket: Bucket, held: Mapping[int, int], now: int) -> int:
    seconds = -((now - min(held.values())) // 1000)
    return min(max(seconds, 1), bucket.rate.seconds)  # whatever the clock did since


def _watch(store: Store, site: Bucket, held: int, now: int) -> None:
    """Tell the operators, once per window, that the site's limit is half used up, or wholly."""
    if held == site.rate.limit:
        event = "reached"
    elif 2 * (held + 1) >= site.rate.limit:
        event = "half_used"
        _warned_until[site.key] = site.end(now)
    else:
        return
    if _is_first(store, site, event):
        logger.error(
            "cognito_reset.site_limit_%s step=%s pool=%s limit=%s seconds=%s",
            *(event, site.step, site.pool, site.rate.limit, site.rate.seconds),
        )


def _is_first(store: Store, bucket: Bucket, event: str) -> bool:
    """Whether ``event`` happens for the first time in the bucket's window: a limit of one."""
    rate, level = Rate(1, bucket.rate.seconds), f"{bucket.level}_{event}"
    taken, _ = _take(store, [Bucket(bucket.step, bucket.pool, level, rate, bucket.digest)])
    return bool(taken)


# What this process knows of the site's large limits, by key: counting one takes long in a cache,
# and while it is full anybody can have it counted.
_full_until: dict[str, int] = {}
_warned_until: dict[str, int] = {}
