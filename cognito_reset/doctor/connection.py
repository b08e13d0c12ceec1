"""The way to Cognito, the app client that the site uses, and the clocks. This needs no credentials."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.cognito.diagnosis import Trouble, accepts_client, diagnose, shows_users, time_of
from cognito_reset.cognito.service import CognitoService, get_service
from cognito_reset.conf import CognitoResetMisconfigured, PoolSettings, conf
from cognito_reset.doctor.findings import Finding, Result

# AWS refuses signed requests whose time differs by more (IAM user guide, "Signature Version 4").
REFUSED_SECONDS: Final = 300
DRIFT_SECONDS: Final = 60

#: No answer of Cognito's: the connection, the permits or the settings are the reason.
UNREACHED: Final = {
    Trouble.TIMEOUT: Finding.ENDPOINT_TIMEOUT,
    Trouble.REFUSED: Finding.ENDPOINT_REFUSED,
    Trouble.NAME: Finding.ENDPOINT_NAME_UNKNOWN,
    Trouble.PROXY: Finding.PROXY_FAILED,
    Trouble.TLS: Finding.TLS_FAILED,
    Trouble.NO_ANSWER: Finding.NO_ANSWER,
    Trouble.FOREIGN: Finding.FOREIGN_ANSWER,
    Trouble.NOT_CALLED: Finding.CALLS_REFUSED,
    Trouble.SETTINGS: Finding.SETTINGS_UNUSABLE,
    Trouble.SECRET_CODE: Finding.CLIENT_SECRET_UNUSABLE,
}
#: Cognito's own answers, without a word on the client.
UNTESTED: Final = {
    Trouble.FIREWALL: Finding.FIREWALL_BLOCKS,
    Trouble.SERVER_ERROR: Finding.COGNITO_FAILS,
    Trouble.RATE: Finding.RATE_LIMITED,
    Trouble.REPLICA: Finding.REPLICA_REGION,
}
REFUSED: Final = {
    Trouble.CLIENT_ID: Finding.CLIENT_ID_REFUSED,
    Trouble.SECRET: Finding.CLIENT_SECRET_REFUSED,
}


def connect(pool: str) -> CognitoService | Result:
    """Return the service of a pool, or what is wrong with the settings. This sends nothing."""
    try:
        return get_service(pool)
    except CognitoResetMisconfigured as error:
        return Result(Finding.SETTINGS_UNUSABLE, str(error), pool)
    except errors.ResetError as error:
        return Result(Finding.SETTINGS_UNUSABLE, _about(error), pool)


def examine_connection(service: CognitoService, pool: PoolSettings) -> Iterator[Result]:
    """Yield what one unsigned request shows. The first result tells whether Cognito was reached."""
    alias = pool.alias
    error = service.probe_client()
    trouble = diagnose(error)
    if error and trouble in UNREACHED:
        yield _unreached(trouble, error, service, pool)
        return
    yield Result(Finding.COGNITO_REACHED, f"{_host(service)} answered.", alias)
    yield _clock(error, alias)
    if error and trouble in UNTESTED:
        yield Result(UNTESTED[trouble], f"{_about(error)}.", alias)
        yield Result(Finding.CLIENT_UNTESTED, pool=alias)
        return
    if error and trouble in REFUSED:
        yield Result(REFUSED[trouble], _why_refused(trouble, pool, error), alias)
        return
    if error and not accepts_client(error):
        yield Result(Finding.CLIENT_UNTESTED, f"{_about(error)}.", alias)
        return
    yield Result(Finding.CLIENT_ACCEPTED, pool=alias)
    if (is_shown := shows_users(error)) is not None:
        yield Result(Finding.USERS_SHOWN if is_shown else Finding.USERS_HIDDEN, pool=alias)


def _unreached(
    trouble: Trouble, error: errors.ResetError, service: CognitoService, pool: PoolSettings
) -> Result:
    finding, host = UNREACHED[trouble], _host(service)
    detail = f"{host}: {_about(error)}."
    if trouble == Trouble.TIMEOUT:
        addresses = _addresses(host)
        where = f"{host} ({', '.join(addresses)})" if addresses else host
        detail = f"{where}: no connection within {conf.connect_timeout_seconds:g} seconds."
        is_aws = not pool.endpoint_url
        if is_aws and addresses and all(map(_is_private, addresses)):
            finding = Finding.PRIVATE_ENDPOINT_TIMEOUT
    return Result(finding, detail, pool.alias)


def _why_refused(trouble: Trouble, pool: PoolSettings, error: errors.ResetError) -> str:
    if trouble == Trouble.CLIENT_ID:
        return f"CLIENT_ID {pool.client_id}, REGION {pool.region}: {_about(error)}."
    has_secret = pool.client_secret is not None
    return f"CLIENT_SECRET is {'set' if has_secret else 'not set'}."


def _clock(error: errors.ResetError | None, alias: str) -> Result:
    there = time_of(error)
    if there is None:
        return Result(Finding.CLOCK_UNKNOWN, pool=alias)
    # The header has whole seconds.
    ahead = round((timezone.now().astimezone(there.tzinfo) - there).total_seconds())
    detail = f"This machine's clock is {abs(ahead)} seconds {'ahead' if ahead > 0 else 'behind'}."
    if abs(ahead) >= REFUSED_SECONDS:
        return Result(Finding.CLOCK_WRONG, detail, alias)
    if abs(ahead) >= DRIFT_SECONDS:
        return Result(Finding.CLOCK_DRIFTS, detail, alias)
    return Result(Finding.CLOCK_RIGHT, pool=alias)


def _about(error: errors.ResetError) -> str:
    """Return what is known of an error, for a person: it has no text of Cognito's."""
    hint = f", check {error.hint}" if error.hint else ""
    request = f", request {error.request_id}" if error.request_id else ""
    return f"{error.aws_code or error.code}{request}{hint}"


def _host(service: CognitoService) -> str:
    return urlsplit(service.endpoint_url).hostname or ""


def _addresses(host: str) -> list[str]:
    """Return the addresses of a name that has just been resolved for a connection."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(address[0]) for *_rest, address in found})


def _is_private(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_private
