"""What staff ask of the rate limits: whether a person has to wait, to let them try again, and how often staff may send."""

from __future__ import annotations

from collections.abc import Iterable

from cognito_reset.cognito.errors import Unavailable
from cognito_reset.conf import conf
from cognito_reset.resets.digests import Older, older_identifier_keys, read_held
from cognito_reset.resets.ratelimits import bucket_of, reserve, seconds_until_free
from cognito_reset.resets.reservations import REQUEST, STAFF, Reservation, now_ms
from cognito_reset.resets.stores import Bucket, StoreUnavailable, use_store


def reserve_for_staff(*, pool: str, username: str) -> Reservation:
    """
    Count one reset that staff send, and return the reservation to settle afterwards. The rates are those of
    a person's own requests, and they are counted separately, so that a flood of requests doesn't keep staff
    from helping. Raise Throttled, or Unavailable if the store fails.
    """
    reservation = reserve(STAFF, pool=pool, username=username)
    if reservation.refusal:
        raise reservation.refusal
    return reservation


def clear(keys: Iterable[str]) -> None:
    """
    Let the people with these ``identifier_key()``s try again, at both steps. The limits of networks and
    of the site stay. Raise Unavailable if the store fails.
    """
    buckets = _buckets_of_people(keys)
    if not buckets:
        return
    try:
        return use_store(lambda store: store.clear(buckets))
    except StoreUnavailable:
        pass
    raise Unavailable


def seconds_to_wait(pool: str, identifiers: Iterable[str]) -> int:
    """
    Return how long a person with these identifiers has to wait because a limit of theirs is full, or 0 if none
    is. The limits of networks and of the site don't count. Raise Unavailable if the store fails.
    """
    older = older_identifier_keys(pool, identifiers)
    return _seconds_to_wait(_buckets_of_people(older), older)


def seconds_to_wait_for_staff(*, pool: str, username: str) -> int:
    """
    Return how long staff have to wait before ``reserve_for_staff()`` lets them send, or 0. Raise Unavailable if
    the store fails.
    """
    older = older_identifier_keys(pool, [username])
    rates = (conf.limits or {}).get(REQUEST, {}).get("identifier", ())
    buckets = [bucket_of(STAFF, "identifier", rate, key) for key in older for rate in rates]
    return _seconds_to_wait(buckets, older)


def _seconds_to_wait(buckets: Iterable[Bucket], older: Older) -> int:
    """
    Return the seconds until each of these buckets that are full has a free slot, or 0 if none is full. Raise
    Unavailable if the store fails.
    """
    wanted = {bucket: range(bucket.size) for bucket in buckets}
    if not wanted:
        return 0
    try:
        held = use_store(lambda store: read_held(store, wanted, older))
    except StoreUnavailable:
        pass
    else:
        full = [bucket for bucket in wanted if len(held[bucket]) == bucket.size]
        now = now_ms()
        return max((seconds_until_free(held[bucket], now) for bucket in full), default=0)
    raise Unavailable


def _buckets_of_people(keys: Iterable[str]) -> list[Bucket]:
    """Return the buckets of the limits by identifier, of both steps."""
    limits = conf.limits or {}
    return [
        bucket_of(step, "identifier", rate, key)
        for key in keys
        for step, levels in limits.items()
        for rate in levels["identifier"]
    ]
