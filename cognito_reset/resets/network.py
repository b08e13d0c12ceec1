"""
The client's network address: ``REMOTE_ADDR``, unless the site names the proxies in front of it.

Nothing that a client can write itself is trusted: no header without ``TRUSTED_PROXIES``, and hops are
counted from the right, where the site's own proxies write. All clients whose address is unknown share one limit. With ``COUNT`` and
``HEADER`` the site promises that every request passes through its proxies.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from django.conf import settings

from cognito_reset.conf import conf

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address

UNKNOWN: Final = "unknown"

# "[2001:db8::1]", "[2001:db8::1]:443" and "192.0.2.1:443", as some proxies write them.
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")

# Networks whose last 32 bits are an IPv4 address: IPv4-compatible (deprecated, RFC 4291), SIIT
# (RFC 2765), and NAT64 (RFC 6052, and RFC 8215 for local use). Python knows the IPv4-mapped ones.
_IPV4_AT_THE_END: Final = tuple(
    map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/96"))
)


def client_address(request: HttpRequest) -> str | None:
    """Return the client's IP address, or ``None`` if it is unknown."""
    address = _client_address(request)
    return None if address is None else str(address)


def client_networks(request: HttpRequest) -> tuple[str, ...]:
    """
    Return the networks that the client is counted by, the narrowest first: one address for IPv4,
    the /64, /56 and /48 for IPv6, and ``("unknown",)`` if the address is unknown.
    """
    address = _client_address(request)
    if address is None:
        return (UNKNOWN,)
    prefixes = (32,) if address.version == 4 else (64, 56, 48)  # customers get one of these sizes
    return tuple(_network(address, prefix) for prefix in prefixes)


def audit_network(request: HttpRequest) -> str:
    """Return the network to store in the audit: the /24 or /64 of the client, or "unknown"."""
    address = _client_address(request)
    return UNKNOWN if address is None else _network(address, 24 if address.version == 4 else 64)


def _network(address: Address, prefix: int) -> str:
    return str(ip_network((address, prefix), strict=False))


def _client_address(request: HttpRequest) -> Address | None:
    address = _address_seen_by_proxies(request)
    if isinstance(address, IPv6Address):
        address = _embedded_ipv4(address) or address
    if (
        conf.trusted_proxies is None
        and "X-Forwarded-For" in request.headers
        and (address is None or not address.is_global)
        and not settings.DEBUG  # a proxy in front of a developer's own server does no harm
    ):
        _log_unnamed_proxy()
    return address


@cache  # once per process
def _log_unnamed_proxy() -> None:
    logger.error(
        'COGNITO_RESET["TRUSTED_PROXIES"] is None, but this site seems to be behind a proxy: a '
        "request with an X-Forwarded-For header came from a private address or a Unix socket. All "
        "visitors behind that proxy share one rate limit, so that one visitor can lock out all "
        'others. Set COGNITO_RESET["TRUSTED_PROXIES"] to the proxies in front of this site.'
    )


def _address_seen_by_proxies(request: HttpRequest) -> Address | None:
    remote, proxies = request.META.get("REMOTE_ADDR", ""), conf.trusted_proxies
    if proxies is None:
        return _parsed(remote)
    if "HEADER" in proxies:
        return _parsed(request.headers.get(proxies["HEADER"], ""))
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    if "COUNT" in proxies:
        return _parsed(hops[-proxies["COUNT"]]) if len(hops) >= proxies["COUNT"] else None
    # A server that listens on a Unix socket sets no REMOTE_ADDR. Only a program on this machine can
    # connect to it, so the last hop is one of the site's own proxies.
    for hop in reversed([*hops, remote] if remote else hops):
        address = _parsed(hop)
        # Entries to the left of a malformed one can't be trusted.
        if address is None or not any(address in network for network in proxies["CIDRS"]):
            return address
    return None


def _parsed(text: str) -> Address | None:
    """
    Return the address in ``text`` without port, brackets and zone, or ``None``.

    An IPv4-mapped address becomes IPv4 here, because servers on a dual-stack socket write their
    IPv4 peers that way, and ``CIDRS`` names those as IPv4. Other forms never make a hop trusted.
    """
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


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """
    Return the IPv4 address that an IPv6 address stands for, or ``None``.

    Without this, one IPv4 host would have as many networks as there are ways to write its address
    (65,536 with 6to4), and all IPv4 hosts behind a translator would share one network.
    """
    if address.is_unspecified or address.is_loopback:
        return None
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        # A client can choose any server, but answers only reach it at its own address.
        _server, client = address.teredo
        return client
    if any(address in network for network in _IPV4_AT_THE_END):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
