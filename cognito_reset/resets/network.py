"""
The client's network address: ``REMOTE_ADDR``, unless the site names the proxies in front of it.

What a client can write itself is never believed: no header without ``TRUSTED_PROXIES``, and never
the left-most hop. An address that can't be known is ``None``, and all such clients share one limit.
``COUNT`` and ``HEADER`` take the site's word that nothing reaches it but through its proxies.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Final

from cognito_reset.cognito.errors import CognitoResetMisconfigured
from cognito_reset.conf import conf

if TYPE_CHECKING:
    from django.http import HttpRequest

UNKNOWN: Final = "unknown"

# "[2001:db8::1]", "[2001:db8::1]:443" and "192.0.2.1:443", as some proxies write them.
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


def client_address(request: HttpRequest) -> str | None:
    """Give the address that ``request`` comes from, or ``None`` where it can't be known."""
    address = _client_address(request)
    return None if address is None else str(address)


def client_network(request: HttpRequest, *, ipv4_prefix: int = 32) -> str:
    """
    Give the network that ``request`` comes from: one IPv4 address, or ``ipv4_prefix`` bits of it,
    or the /64 of an IPv6 address, which is the least that one customer has.
    """
    address = _client_address(request)
    if address is None:
        return UNKNOWN
    prefix = ipv4_prefix if address.version == 4 else 64
    return str(ip_network((address, prefix), strict=False))


def _client_address(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    remote = request.META.get("REMOTE_ADDR", "")
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    match conf.trusted_proxies:
        case None:
            return _parsed(remote)
        case {"COUNT": int(count)} if count > 0:
            return _parsed(hops[-count]) if len(hops) >= count else None
        case {"HEADER": str(header)}:
            return _parsed(request.headers.get(header, ""))
        case {"CIDRS": [*cidrs]}:
            # A server that listens on a Unix socket gives no REMOTE_ADDR: what connects to that is
            # on this machine, so it is the site's proxy.
            return _first_outside(
                _networks(tuple(map(str, cidrs))), [*hops, remote] if remote else hops
            )
        case _:
            raise CognitoResetMisconfigured('COGNITO_RESET["TRUSTED_PROXIES"] can\'t be used.')


def _first_outside(
    networks: tuple[IPv4Network | IPv6Network, ...], hops: list[str]
) -> IPv4Address | IPv6Address | None:
    for hop in reversed(hops):
        address = _parsed(hop)
        if address is None:  # who wrote this may have written all that is left of it
            return None
        if not any(address in network for network in networks):
            return address
    return None


@lru_cache
def _networks(cidrs: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(cidr) for cidr in cidrs)
    except ValueError:
        raise CognitoResetMisconfigured(
            'COGNITO_RESET["TRUSTED_PROXIES"]["CIDRS"] holds what is no network.'
        ) from None


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Give the address that ``text`` holds, without port, brackets, zone and mapping to IPv6."""
    text = text.strip()
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))  # the number has no zone
    return address
