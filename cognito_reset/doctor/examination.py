"""``examine()``: everything that the doctor looks at, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cognito_reset.cognito.facts import ClientFacts, PoolFacts
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.doctor.connection import connect, examine_connection
from cognito_reset.doctor.credentials import (
    read_client,
    read_factors,
    read_pool,
    try_permissions,
)
from cognito_reset.doctor.findings import Finding, Result
from cognito_reset.doctor.pool import examine_client, examine_mfa, examine_pool
from cognito_reset.doctor.senders import examine_senders
from cognito_reset.doctor.state import examine_limits, examine_tables
from cognito_reset.doctor.website import examine_site

WITHOUT_CREDENTIALS: Final = (Finding.CREDENTIALS_MISSING, Finding.CREDENTIALS_NEEDED)


def examine(
    pools: Iterable[str], *, url: str | None = None, permissions: bool = False
) -> Iterator[Result]:
    """
    Yield everything that is found for these pools, for the tables and for the store of the limits. With ``url``, also ask
    for the first page there. With ``permissions``, also try the operations of staff's features, for a made-up user.
    Nothing but one slot of the limits is written, for a moment.
    """
    for pool in pools:
        yield from examine_one(pool, permissions=permissions)
    yield from examine_tables()
    try:
        yield from examine_limits()
        if url:
            yield from examine_site(url)
    except CognitoResetMisconfigured as error:
        yield Result(Finding.SETTINGS_UNUSABLE, str(error))


def examine_one(pool: str, *, permissions: bool = False) -> Iterator[Result]:
    """Yield what is found about one pool, and write nothing."""
    try:
        yield from _examine_one(pool, permissions=permissions)
    # Some settings are only read where they are compared with the pool.
    except CognitoResetMisconfigured as error:
        yield Result(Finding.SETTINGS_UNUSABLE, str(error), pool)


def _examine_one(pool: str, *, permissions: bool) -> Iterator[Result]:
    service = connect(pool)
    if isinstance(service, Result):
        yield service
        return
    settings = conf.pool(pool)
    results = [*examine_connection(service, settings)]
    yield from results
    found = {result.finding for result in results}
    if Finding.COGNITO_REACHED not in found:
        return  # the rest would only repeat the reason
    facts = read_pool(service, settings)
    if isinstance(facts, Result):
        yield facts
    else:
        yield from examine_pool(facts, settings)
        yield from examine_senders(service, facts, settings)
        yield from _mfa(service, facts, pool)
    has_credentials = not (isinstance(facts, Result) and facts.finding in WITHOUT_CREDENTIALS)
    yield from _client(service, pool, found, has_credentials=has_credentials)
    if not has_credentials:
        return
    if permissions:
        yield from try_permissions(service, pool)
    else:
        yield Result(Finding.PERMISSIONS_UNTRIED, pool=pool)


def _mfa(service: CognitoService, facts: PoolFacts, pool: str) -> Iterator[Result]:
    if not facts.rules.excludes_mfa:
        return
    factors = read_factors(service, pool)
    if isinstance(factors, Result):
        yield factors
    else:
        yield from examine_mfa(facts, factors, pool)


def _client(
    service: CognitoService, pool: str, found: set[Finding], *, has_credentials: bool
) -> Iterator[Result]:
    """Yield what the app client's options show. The unsigned request usually showed one of them already."""
    client = read_client(service, pool) if has_credentials else None
    if isinstance(client, Result):
        yield client
    elif client:
        yield from examine_client(client, pool)
    if found & {Finding.USERS_HIDDEN, Finding.USERS_SHOWN}:
        return
    if isinstance(client, ClientFacts):
        shown = Finding.USERS_HIDDEN if client.hides_users else Finding.USERS_SHOWN
        yield Result(shown, pool=pool)
    elif not found & {Finding.CLIENT_ID_REFUSED, Finding.CLIENT_SECRET_REFUSED}:
        yield Result(Finding.USERS_HIDDEN_UNKNOWN, pool=pool)
