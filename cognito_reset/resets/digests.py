"""
The keyed hashes that name the buckets, and the reading of slots that were taken under older keys.

While SECRET_KEY is being changed, processes with the old key and with the new one share a store. An attempt takes
slots under the current key, but no slot that is held under one of SECRET_KEY_FALLBACKS. So a process counts the attempts
of all processes whose key it knows, and finds their repeats.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from django.conf import settings

from cognito_reset.resets.identifiers import identifier_key, identifier_keys, keyed_hash
from cognito_reset.resets.stores import Bucket, Held, Store
from cognito_reset.secret import Secret

# Maps a digest by SECRET_KEY to those of the same subject by each of SECRET_KEY_FALLBACKS.
Older = Mapping[str, Iterable[str]]


def attempt_digests(
    pool: str,
    username: str,
    networks: Sequence[str],
    request_parts: Sequence[str | Secret],
) -> tuple[list[str], Older]:
    """
    Return the digests of what an attempt is counted by, and the older ones: of the identifier, of the nearest network,
    of both together, of the site, of the request and of each network.
    """
    digests = partial(_digests, pool, username, networks, request_parts)
    current = digests(None)
    older = [digests(key) for key in settings.SECRET_KEY_FALLBACKS]
    return current, dict(zip(current, zip(*older, strict=True), strict=True)) if older else {}


def _digests(
    pool: str,
    username: str,
    networks: Sequence[str],
    request_parts: Sequence[str | Secret],
    secret_key: str | bytes | None,
) -> list[str]:
    hashed = partial(keyed_hash, secret_key=secret_key)
    person = identifier_key(pool, username, secret_key=secret_key)
    nearest = hashed("network", pool, *networks[:1])
    # Secrets are revealed to the hash alone. It can't fail here, because the hashes above didn't.
    texts = (part.reveal() if isinstance(part, Secret) else part for part in request_parts)
    return [
        *(person, nearest, hashed("here", person, nearest), hashed("site", pool)),
        hashed("repeat", pool, *texts),
        *(hashed("network", pool, network) for network in networks),
    ]


def older_identifier_keys(pool: str, identifiers: Iterable[str]) -> Older:
    """Return the older digests by the ``identifier_key()`` of each identifier."""
    return {key: rest for key, *rest in (identifier_keys(pool, name) for name in identifiers)}


def read_held(store: Store, wanted: Mapping[Bucket, Collection[int]], older_digests: Older) -> Held:
    """Return the wanted slots that are held, under SECRET_KEY or an older key, in one command."""
    older = {
        replace(bucket, digest=digest): bucket
        for bucket in wanted
        for digest in older_digests.get(bucket.digest, ())
    }
    read = store.read({**wanted, **{old: wanted[bucket] for old, bucket in older.items()}})
    held = {bucket: read[bucket] for bucket in wanted}
    for old, bucket in older.items():
        held[bucket] = read[old] | held[bucket]
    return held
