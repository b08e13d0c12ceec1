"""
The client's network address: ``REMOTE_ADDR``, unless the site names the proxies in front of it.

Nothing that a client can write itself is trusted: no header without ``TRUSTED_PROXIES``, and hops are
counted from the right, where the site's own proxies write. All clients whose address is unknown share one
limit, and the first of them is logged. With ``COUNT`` and ``HEADER`` the site promises that every request
passes through its proxies.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from cognito_reset.conf import conf

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address

UNKNOWN: Final = "unknown"

_PROXY_HEADERS: Final = ("X-Forwarded-For", "Forwarded", "X-Real-IP")

# "[2001:db8::1]", "[2001:db8::1]:443" and "192.0.2.1:443", as some proxies write them. In RFC 7239, a name
# that stands for a port begins with "_".
_WITH_PORT: Final = re.compile(
    r"\[([^\]]+)\](?::(?:[0-9]{1,5}|_[\w.-]+))?|([0-9.]+):(?:[0-9]{1,5}|_[\w.-]+)", re.ASCII
)
# Always contains a port, also after IPv6 without brackets: "2001:db8::1:443" means port 443 there.
_ALWAYS_WITH_PORT: Final = "cloudfront-viewer-address"

# The last element of a Forwarded header (RFC 7239), because a client can write all the others. Quoted texts
# may contain commas. Pairs may be empty, and so may the elements after the last one (RFC 9110, 5.6.1).
# "*+" never tries again with less, so a long header takes no longer than its length.
_PAIR: Final = r"""[\w!#$%&'*+.^`|~-]+=(?:"(?:[^"\\]|\\.)*"|[^",;\s]*)"""
_LAST_ELEMENT: Final = re.compile(
    rf"(?:^|,)[\s;]*+({_PAIR}(?:\s*+;[\s;]*+{_PAIR})*+)[\s;]*+(?:,\s*+)*+$", re.ASCII
)
_FORWARDED_PAIR: Final = re.compile(_PAIR, re.ASCII)

# Networks whose last 32 bits are an IPv4 address: IPv4-compatible (deprecated, RFC 4291), SIIT
# (RFC 2765), and NAT64 (RFC 6052). Python knows the IPv4-mapped ones.
_IPV4_AT_THE_END: Final = tuple(map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
# NAT64 for local use (RFC 8215): each network chooses prefixes in it, of any length from 48 to 96.
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")


def client_address(request: HttpRequest) -> str | None:
    """Return the client's IP address, or ``None`` if it is unknown."""
    address = _client_address(request)
    return None if address is None else str(address)


def client_networks(request: HttpRequest) -> tuple[str, ...]:
    """
    Return the networks that the client is counted by, the narrowest first: one address for IPv4,
    the /64, /56 and /48 for IPv6, and ``("unknown",)`` if the address is unknown.
    """
    prefixes: tuple[int, ...]
    address = _client_address(request)
    if address is None:
        return (UNKNOWN,)
    prefixes = (32,) if address.version == 4 else (64, 56, 48)  # customers get one of these sizes
    if address in _LOCAL_NAT64:
        # Count the whole address as one IPv4 host, because its prefix has an unknown length.
        prefixes = (128,)
    return tuple(_network(address, prefix) for prefix in prefixes)


def audit_network(request: HttpRequest) -> str:
    """Return the network to store in the audit: the /24 or /64 of the client, or "unknown"."""
    address = _client_address(request)
    return UNKNOWN if address is None else _network(address, 24 if address.version == 4 else 64)


def _network(address: Address, prefix: int) -> str:
    return str(ip_network((address, prefix), strict=False))


def _client_address(request: HttpRequest) -> Address | None:
    proxies = conf.trusted_proxies
    source, address = _address_seen_by_proxies(request, proxies)
    if isinstance(address, IPv6Address):
        address = _embedded_ipv4(address) or address
    if (
        proxies is None
        and any(name in request.headers for name in _PROXY_HEADERS)
        and (address is None or not address.is_global)
        and not settings.DEBUG  # a proxy in front of a developer's own server does no harm
    ):
        _log_unnamed_proxy()
    elif address is None:
        _log_unknown_address(source)
    return address


@cache  # once per process
def _log_unnamed_proxy() -> None:
    logger.error(
        'cognito_reset.trusted_proxies_unset: COGNITO_RESET["TRUSTED_PROXIES"] is None, but this site '
        "seems to be behind a proxy: a request with a header such as X-Forwarded-For came from a private "
        "address or a Unix socket. All visitors behind that proxy share one rate limit, so that one visitor can lock out all "
        'others. Set COGNITO_RESET["TRUSTED_PROXIES"] to the proxies in front of this site.'
    )


@cache  # once per process and header
def _log_unknown_address(source: str) -> None:
    logger.error(
        "cognito_reset.client_address_unknown: %s is missing, or contains no address where it is "
        "looked for. All such visitors share one rate limit, so that one visitor can lock out all "
        'others. Check COGNITO_RESET["TRUSTED_PROXIES"].',
        source,
    )


def _address_seen_by_proxies(
    request: HttpRequest, proxies: Mapping[str, Any] | None
) -> tuple[str, Address | None]:
    """Return the name of the header (or REMOTE_ADDR) that was read, and the client's address."""
    remote = request.META.get("REMOTE_ADDR", "")
    if proxies is None:
        return "REMOTE_ADDR", _parsed(remote)
    source: str = proxies.get("HEADER", "X-Forwarded-For")
    value = request.headers.get(source, "")
    if "HEADER" in proxies:
        return source, _parsed(_named_by_proxy(source.lower(), value))
    hops = value.split(",")
    if "COUNT" in proxies:
        is_long = len(hops) >= proxies["COUNT"]
        return source, _parsed(hops[-proxies["COUNT"]]) if is_long else None
    # A server that listens on a Unix socket sets no REMOTE_ADDR. Only a program on this machine can
    # connect to it, so the last hop is one of the site's own proxies.
    for hop in reversed([*hops, remote] if remote else hops):
        address = _parsed(hop)
        # Entries to the left of a malformed one can't be trusted.
        if address is None or not any(address in network for network in proxies["CIDRS"]):
            return source, address
    return source, None


def _named_by_proxy(header: str, value: str) -> str:
    """
    Return the part of a header that its proxy wrote. ``Forwarded`` and ``X-Forwarded-For`` are lists to
    which proxies append, so it is the last element, as with ``COUNT`` 1. In any other header, a second
    address would mean that the proxy doesn't replace what clients send. Then the client is unknown.
    """
    if header == "forwarded":
        match = _LAST_ELEMENT.search(value)
        pairs = [pair.partition("=") for pair in _FORWARDED_PAIR.findall(match[1] if match else "")]
        found = [address for name, _equals, address in pairs if name.lower() == "for"]
        return found[0] if len(found) == 1 else ""
    if header == "x-forwarded-for":
        return value.rpartition(",")[2]
    return value.rpartition(":")[0] if header == _ALWAYS_WITH_PORT else value


def _parsed(text: str) -> Address | None:
    """
    Return the address in ``text`` without quotes, port, brackets and zone, or ``None``.

    An IPv4-mapped address becomes IPv4 here, because servers on a dual-stack socket write their
    IPv4 peers that way, and ``CIDRS`` names those as IPv4. Other forms never make a hop trusted.
    """
    text = text.strip().strip('"')
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    before, _colon, port = text.rpartition(":")
    # "2001:db8::1:46532" is an address with a port and without brackets.
    is_ipv6_with_port = ":" in before and re.fullmatch("[0-9]{1,5}", port)
    for candidate in (text, before) if is_ipv6_with_port else (text,):
        try:
            address = ip_address(candidate)
        except ValueError:
            continue
        if isinstance(address, IPv6Address):
            return address.ipv4_mapped or IPv6Address(int(address))  # this drops the zone
        return address
    return None


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
    # With prefixes of 96 bits, which are the usual ones, the 32 bits before the IPv4 address are zero.
    is_local = address in _LOCAL_NAT64 and not int(address) >> 32 & 0xFFFFFFFF
    if is_local or any(address in network for network in _IPV4_AT_THE_END):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
