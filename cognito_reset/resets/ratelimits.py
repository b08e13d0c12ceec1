"""
Rate limits and repeats: one ledger for both.

A limit of N in W seconds is a bucket of **N slots**. An attempt takes one slot of every limit that it
comes under, each for W seconds, or none at all. So a limit is an exact sliding window whatever runs at
the same time, and the time to wait is the time until the first slot expires.

Repeats of a request are found by the same mechanism. Each request has a bucket with one slot, which is held
for five minutes. It is named after a keyed hash of the request, and stores what kind of answer the attempt
had. Whoever sends the same request again finds that slot held, and gets the same answer without a call and
without using up a limit. Clients, browsers and people send a request again when its answer got lost. Without
this they would be refused, because the code was used.

Attempts are counted before the call, by identifier, network and site and never by session, in the same way
whether or not the user exists. The two steps are counted apart: nobody can use up the guesses at a code by asking for
more codes. With an emptied cache or a clock set ahead all limits start again; Cognito's own allowance stays.

This file decides whether an attempt may go on. reservations.py has what becomes of its slots, and digests.py
has the keyed hashes that name the buckets. What staff ask of the limits and clear is in staff/limits.py.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from cognito_reset.cognito.errors import Throttled, Unavailable
from cognito_reset.conf import conf
from cognito_reset.parsers import Rate
from cognito_reset.resets.digests import attempt_digests, read_held
from cognito_reset.resets.reservations import (
    ANSWERS,
    CONFIRM,
    FOLLOWING_UP,
    REQUEST,
    RUNNING,
    SIGNED_OUT,
    STAFF,
    UNKNOWN,
    Reservation,
    now_ms,
)
from cognito_reset.resets.stores import (
    Bucket,
    Held,
    Holding,
    Slot,
    Store,
    StoreUnavailable,
    use_store,
)
from cognito_reset.secret import Secret

logger = logging.getLogger(__name__)

# Some SDKs wait for an answer for a minute before they send a request again, up to four times.
REPEAT_SECONDS: Final = 300
POLL_SECONDS: Final = 0.1
# How long after the total deadline an attempt without an answer is given up.
GRACE_SECONDS: Final = 2
# How long a repeat of a success waits to learn whether other devices were signed out. A repeat holds one
# of the process's permits, which nobody should be able to occupy for long with copies of one request.
FOLLOW_UP_SECONDS: Final = 2
# How many times the network's limit a /64, a /56 and a /48 get. A /48 is one customer, or many phones.
NETWORK_FACTORS: Final = (1, 4, 16)
# One in so many slots of the site is reserved for networks without a recent attempt.
NEW_NETWORKS_DIVISOR: Final = 5
# A network that asked for a code for an identifier has guesses of its own at it for as long as the code
# lives, so that strangers' wrong guesses don't lock the person out.
ASKED: Final = Rate(3, 3600)
OWN_GUESSES: Final = Rate(2, 3600)
ALL_OWN_GUESSES: Final = Rate(6, 3600)  # of all networks together, at one identifier
# Repeats cost no limit, but each holds one of the server's threads: so many from one network, unless
# the site doesn't limit networks.
REPEATS: Final = Rate(20, 300)
# Attempts that are refused by a limit may still be compared with earlier requests, but only so often:
# somebody who knows a used code could otherwise try passwords until one is a repeat.
REFUSALS: Final = Rate(10, 300)
COOL_DOWN_SECONDS: Final = 60
# Of larger buckets of networks and of the site, a sample is read first.
READ_WHOLE: Final = 64
SAMPLE: Final = 16
# The limit counts as half used if so many slots of a sample are held. A lower number would raise the alarm too
# early: each attempt reads another random sample, and 8 or 10 slots of some samples are held by chance when
# only a third of the limit is used.
CROWDED: Final = 12
ROUNDS: Final = 50  # after so many failed tries to take the slots, the store is treated as broken


def reserve(
    step: str,
    *,
    pool: str,
    username: str,
    networks: Sequence[str] = (),
    request_parts: Sequence[str | Secret] = (),
) -> Reservation:
    """
    Reserve the slots of one attempt at ``step``, or return why it must not be carried out. If the same
    request is under way, wait for its answer. ``networks`` are those of the client, the narrowest first.
    ``request_parts`` tell the request from others; without any it is never a repeat.

    Raise Unavailable if the store fails, unless LIMITS_FAIL_OPEN lets everybody through.
    """
    attempt = _Attempt(step, pool, username, networks, request_parts)
    try:
        return use_store(attempt.reserve)
    except StoreUnavailable as error:
        failure = error
    if conf.limits is None or (conf.limits_fail_open and not failure.is_mistake):
        return Reservation(step)
    raise Unavailable


class _Attempt:
    """One attempt: the buckets that it comes under, and how it reserves a slot in each."""

    def __init__(
        self,
        step: str,
        pool: str,
        username: str,
        networks: Sequence[str],
        request_parts: Sequence[str | Secret],
    ) -> None:
        self.step, self.pool = step, pool
        limits = conf.limits or {}
        rates = limits.get(REQUEST if step == STAFF else step, {})
        digests, self._older = attempt_digests(pool, username, networks, request_parts)
        person, nearest, here, whole_site, request, *hashed_networks = digests
        self.request: Bucket | None = None
        if request_parts:
            self.request = bucket_of(step, "repeat", Rate(1, REPEAT_SECONDS), request)
        self.person = [
            bucket_of(step, "identifier", rate, person) for rate in rates.get("identifier", ())
        ]
        self.networks = [
            bucket_of(step, "network", rate, network, factor)
            for network, factor in zip(hashed_networks, NETWORK_FACTORS, strict=False)
            for rate in rates.get("network", ())
        ]
        site = () if step == STAFF else rates.get("site", ())
        whole = [bucket_of(step, "site", rate, whole_site) for rate in site]
        # Narrowest first, so that a refused client uses up no shared slots.
        self.limits = [*self.person, *self.networks, *whole]
        self.asked: Bucket | None = None
        self.guesses: list[Bucket] = []
        if self.person and networks:
            self.asked = bucket_of(REQUEST, "asked", ASKED, here)
        if self.asked and step == CONFIRM:
            self.guesses = [
                bucket_of(step, "own_guesses", OWN_GUESSES, here),
                bucket_of(step, "all_own_guesses", ALL_OWN_GUESSES, person),
            ]
        self.repeats = bucket_of(step, "repeats", REPEATS, nearest)
        self.person_refusals = bucket_of(step, "refusals", REFUSALS, person)
        self.network_refusals = bucket_of(step, "refusals", REFUSALS, nearest)

    def reserve(self, store: Store) -> Reservation:
        for count in range(ROUNDS):
            now, held = now_ms(), self._read(store)
            slots, full = self._choose(store, held, now)
            same = held[self.request].get(0) if self.request else None
            if full:
                self._note_asking(store, held, full, now)
                number = self._count_refusal(store, held, now, is_repeat=same is not None)
                may_compare = number is not None
                if same is None or not may_compare:
                    refusal = Throttled(
                        retry_after=self._retry_after(held, full, now),
                        cool_down=may_compare and self._is_cool_down(held, full, now),
                    )
                    return Reservation(self.step, refusal, is_first_refusal=number == 0)
            elif self.networks and same and self._take_one(store, held, self.repeats, now) is None:
                wait = self._retry_after(held, [self.repeats], now)
                return Reservation(self.step, Throttled(retry_after=wait))
            if same is not None:
                if repeat := self._wait_for_answer(store, same):
                    return repeat
            elif not slots or store.take(slots):
                resend_after = self._resend_after(held, now)
                return Reservation(self.step, resend_after=resend_after, slots=slots)
            elif count > 2:
                # A crowd, or a replica that is read from and is behind for a moment. All rounds take a second.
                time.sleep(random.uniform(0.001, 0.002 * count))  # noqa: S311  # only spreads rivals
        # Slots looked free, and none could be taken: probably the cache's client hides its errors.
        raise LookupError

    def _read(self, store: Store) -> Held:
        """Read, in one command, the slots of all buckets: of a large bucket a sample."""
        buckets = [self.request, *self.limits]
        if self.limits:
            buckets += [self.asked, *self.guesses, self.person_refusals, self.network_refusals]
        if self.networks and self.request:
            buckets.append(self.repeats)
        self.numbers = {bucket: _numbers(bucket) for bucket in buckets if bucket}
        return self._held(store, self.numbers) if self.numbers else {}

    def _held(self, store: Store, wanted: Mapping[Bucket, Collection[int]]) -> Held:
        return read_held(store, wanted, self._older)

    def _choose(self, store: Store, held: Held, now: int) -> tuple[list[Slot], list[Bucket]]:
        """Return one free slot of each bucket, and the limits that are full."""
        free = {bucket: self._free(store, held, bucket, now) for bucket in self.limits}
        full = [bucket for bucket in self.limits if not free[bucket]]
        if full and self.guesses and self.asked and held[self.asked]:
            own = {bucket: self._free(store, held, bucket, now) for bucket in self.guesses}
            if all(own.values()) and _are_of_person(full):
                free, full = {**free, **own}, []
        if self.request:
            free = {self.request: [0], **free}
        if self.asked and self.step == REQUEST:
            free[self.asked] = self._free(store, held, self.asked, now)
        chosen = [(bucket, random.choice(numbers)) for bucket, numbers in free.items() if numbers]  # noqa: S311
        return [Slot.taken(bucket, number, now) for bucket, number in chosen], full

    def _free(self, store: Store, held: Held, bucket: Bucket, now: int) -> list[int]:
        """Return the numbers of slots that this attempt may take."""
        numbers, usable = self.numbers[bucket], bucket.size
        is_site, is_sample = bucket.level == "site", len(numbers) < bucket.size
        if is_site and any(held[network] for network in self.networks):
            usable -= bucket.size // NEW_NETWORKS_DIVISOR
        full_until = _site_full_until.get((bucket.key, usable), 0)
        if is_sample and _is_ahead(full_until, bucket, now):
            held[bucket] = {0: Holding(full_until, RUNNING)}
            return []
        free = [number for number in numbers if number < usable and number not in held[bucket]]
        is_half_used = len(held[bucket]) >= (CROWDED if is_sample else bucket.size / 2 - 1)
        if is_sample and not free:
            held[bucket] = self._held(store, {bucket: range(bucket.size)})[bucket]
            free = [number for number in range(usable) if number not in held[bucket]]
        if is_site:
            self._watch_site(bucket, is_half_used=is_half_used, is_full=not free, now=now)
        if not free:
            # The slots that are reserved for new networks don't shorten the wait.
            held[bucket] = {n: holding for n, holding in held[bucket].items() if n < usable}
            if is_site and is_sample:
                _site_full_until[bucket.key, usable] = min(_expiries(held[bucket]))
        return free

    def _watch_site(self, bucket: Bucket, *, is_half_used: bool, is_full: bool, now: int) -> None:
        """Log, once per window and process, that the site's limit is half used or reached."""
        event = "reached" if is_full else "half_used"
        if (is_full or is_half_used) and _is_due(event, bucket, now):
            _site_logged_until[event, bucket.key] = now + bucket.seconds * 1000
            logger.error(
                "cognito_reset.site_limit_%s step=%s pool=%s limit=%s seconds=%s",
                *(event, bucket.step, self.pool, bucket.size, bucket.seconds),
            )

    def _count_refusal(self, store: Store, held: Held, now: int, *, is_repeat: bool) -> int | None:
        """
        Take one of the slots for refused attempts, and return its number: 0 for the first refusal in some
        minutes, None if there were too many. An identifier without an attempt is counted by its network, so
        that made-up names store nothing. Repeats take slots from the end, because they aren't refused.
        """
        is_known = any(held[bucket] for bucket in self.person)
        bucket = self.person_refusals if is_known else self.network_refusals
        return self._take_one(store, held, bucket, now, from_end=is_repeat)

    def _take_one(
        self, store: Store, held: Held, bucket: Bucket, now: int, *, from_end: bool = False
    ) -> int | None:
        """Take the first free slot, and return its number, or None if all are held."""
        numbers = reversed(range(bucket.size)) if from_end else range(bucket.size)
        free = [number for number in numbers if number not in held[bucket]]
        return next((n for n in free if store.take([Slot.taken(bucket, n, now)])), None)

    def _note_asking(self, store: Store, held: Held, full: Sequence[Bucket], now: int) -> None:
        """
        Note that this network asked for a code although strangers have used up the identifier's requests:
        they had codes sent to the owner, who may need guesses of their own.
        """
        if self.step == REQUEST and self.asked and not held[self.asked] and _are_of_person(full):
            store.take([Slot.taken(self.asked, 0, now)])

    def _retry_after(self, held: Held, full: Sequence[Bucket], now: int) -> int:
        """Return the seconds until each of the full limits has a free slot."""
        waits = {bucket: seconds_until_free(held[bucket], now) for bucket in full}
        return max(min(max(wait, 1), bucket.seconds) for bucket, wait in waits.items())

    def _is_cool_down(self, held: Held, full: Sequence[Bucket], now: int) -> bool:
        """Check whether a code was requested less than a minute ago, as with a double click."""
        if self.step != REQUEST or not _are_of_person(full):
            return False
        asked_at = [
            expires - bucket.seconds * 1000
            for bucket in self.person
            for expires in _expiries(held[bucket])
        ]
        return now - max(asked_at) < COOL_DOWN_SECONDS * 1000

    def _wait_for_answer(self, store: Store, same: Holding) -> Reservation | None:
        """Return the answer that the same request had. Return None if its slot was released."""
        assert self.request  # noqa: S101  # for mypy: same was read from it
        # The other attempt may have begun before the clock was set back.
        began = min(same.expires / 1000 - self.request.seconds, time.time())
        deadline = began + conf.total_timeout_seconds + GRACE_SECONDS
        is_following_up = False
        while same.answer in (RUNNING, FOLLOWING_UP) and time.time() <= deadline:
            if same.answer == FOLLOWING_UP and not is_following_up:
                is_following_up = True
                deadline = time.time() + FOLLOW_UP_SECONDS
            time.sleep(POLL_SECONDS)
            found = self._held(store, {self.request: [0]})[self.request]
            if not found:
                return None
            same = found[0]
        answer = ANSWERS.get(same.answer, UNKNOWN[self.step])
        signed_out = same.answer == SIGNED_OUT
        return Reservation(self.step, is_repeat=True, answer=answer, signed_out=signed_out)

    def _resend_after(self, held: Held, now: int) -> int:
        """Return the seconds until the identifier may ask for another code after this one."""
        if self.step != REQUEST:
            return 0
        waits = [0]
        for bucket in (*self.person, *self.networks):
            expiries = [*_expiries(held[bucket]), now + bucket.seconds * 1000]
            if len(expiries) >= bucket.size:
                waits.append(_seconds(min(expiries) - now))
        return max(waits)


def bucket_of(step: str, level: str, rate: Rate, digest: str, factor: int = 1) -> Bucket:
    """Return the bucket of a limit for one subject. ``factor`` is how many times the rate it gets."""
    return Bucket(step, level, rate.limit * factor, rate.seconds, digest)


def _are_of_person(buckets: Iterable[Bucket]) -> bool:
    return all(bucket.level == "identifier" for bucket in buckets)


def _numbers(bucket: Bucket) -> Sequence[int]:
    numbers = range(bucket.size)
    if bucket.size > READ_WHOLE and bucket.level != "identifier":
        return random.sample(numbers, SAMPLE)
    return numbers


def _expiries(held: dict[int, Holding]) -> list[int]:
    return [holding.expires for holding in held.values()]


def seconds_until_free(held: dict[int, Holding], now: int) -> int:
    """Return the seconds until the first of these slots expires. ``now`` is in milliseconds since 1970."""
    return _seconds(min(_expiries(held)) - now)


def _seconds(milliseconds: int) -> int:
    return math.ceil(milliseconds / 1000)


# What this process knows of the site's limits: until when a large one is full, by its key and the
# number of slots that an attempt may use, and until when an event isn't logged again.
_site_full_until: dict[tuple[str, int], int] = {}
_site_logged_until: dict[tuple[str, str], int] = {}


def forget() -> None:
    """Forget which limits of the whole site are used up. Call this after the store was emptied."""
    _site_full_until.clear()
    _site_logged_until.clear()


def _is_due(event: str, bucket: Bucket, now: int) -> bool:
    return not _is_ahead(_site_logged_until.get((event, bucket.key), 0), bucket, now)


def _is_ahead(until: int, bucket: Bucket, now: int) -> bool:
    """Check whether ``until`` is still to come. If it is too far ahead, the clock was set back."""
    return now < until <= now + bucket.seconds * 1000
