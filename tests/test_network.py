"""Where a request comes from, and that no client can say so itself."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from cognito_reset.cognito.errors import CognitoResetMisconfigured
from cognito_reset.resets.network import client_address, client_network

ONE = {"COUNT": 1}
TWO = {"COUNT": 2}
INSIDE = {"CIDRS": ["10.0.0.0/8", "2001:db8:ffff::/48"]}
REAL_IP = {"HEADER": "X-Real-IP"}


def request_from(remote: str | None, **headers: str) -> HttpRequest:
    request = RequestFactory().get(
        "/", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    del request.META["REMOTE_ADDR"]
    if remote is not None:
        request.META["REMOTE_ADDR"] = remote
    return request


def trusting(proxies: Any) -> Any:
    return override_settings(COGNITO_RESET={"POOLS": {}, "TRUSTED_PROXIES": proxies})


@pytest.mark.parametrize(
    ("remote", "address", "network"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::6", "2001:db8:1:2::6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7/32"),
        ("::FFFF:c000:207", "192.0.2.7", "192.0.2.7/32"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("::ffff:192.0.2.7%eth0", "192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7:51234", "192.0.2.7", "192.0.2.7/32"),
        ("[2001:db8::1]", "2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::1]:443", "2001:db8::1", "2001:db8::/64"),
        ("[fe80::1%eth0]:443", "fe80::1", "fe80::/64"),
        (" 192.0.2.7\t", "192.0.2.7", "192.0.2.7/32"),
    ],
)
def test_b7_b8_an_address_is_read_in_every_form_that_servers_write(
    remote: str, address: str, network: str
) -> None:
    """B7, B8: ports, brackets, zones and IPv4-mapped forms are one address, IPv6 by its /64."""
    request = request_from(remote)
    assert client_address(request) == address
    assert client_network(request) == network


@pytest.mark.parametrize(
    "remote",
    [
        *(None, "", " ", "unknown", "localhost", "unix:", "_hidden", "-", "1", "3232235777"),
        *("192.0.2", "192.0.2.256", "192.0.2.07", "0xC0.0.2.7", "192.0.2.7/32", "192.0.2.7%1"),
        *("192.0.2.7:", "192.0.2.7:123456", "192.0.2.7:http", "192.0.2.7 192.0.2.8"),
        *("[192.0.2.7", "192.0.2.7]", "[]", "[]:80", "[::1]80", "[[::1]]", ":::", "fe80::1%"),
        *("192.0.2.7\r\nX: y", "192.0.2.7\0", "for=192.0.2.7", '"192.0.2.7"', "'; DROP TABLE"),
        *("\N{FULLWIDTH DIGIT ONE}92.0.2.7", "\N{ARABIC-INDIC DIGIT ONE}.0.2.7", "9" * 10_000),
    ],
)
def test_b7_what_is_no_address_is_unknown(remote: str | None) -> None:
    """B7: a malformed or empty REMOTE_ADDR is nobody's address, and never an error."""
    request = request_from(remote)
    assert client_address(request) is None
    assert client_network(request) == "unknown"


def test_b8_neighbours_share_a_network() -> None:
    """B8: fifty addresses of one /64 are one network, and the next /64 is another."""
    inside = {client_network(request_from(f"2001:db8:0:1::{n:x}")) for n in range(50)}
    assert inside == {"2001:db8:0:1::/64"}
    assert client_network(request_from("2001:db8:0:2::1")) not in inside


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP"])
def test_b7_no_header_counts_unless_the_site_says_so(header: str) -> None:
    """B7: without TRUSTED_PROXIES, a hundred forged headers leave one network."""
    networks = {
        client_network(RequestFactory().get("/", headers={header: f"198.51.100.{n}"}))
        for n in range(100)
    }
    assert networks == {"127.0.0.1/32"}


@pytest.mark.parametrize(
    ("proxies", "remote", "hops", "address"),
    [
        # One proxy: what it saw is the right-most hop, and all the rest is the client's own words.
        (ONE, "10.0.0.1", "192.0.2.7", "192.0.2.7"),
        (ONE, "10.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        (ONE, "10.0.0.1", "198.51.100.1,,<script>, 192.0.2.7:443", "192.0.2.7"),
        (ONE, "10.0.0.1", "198.51.100.1, [2001:db8::7]:443", "2001:db8::7"),
        (ONE, "10.0.0.1", "198.51.100.1, junk", None),
        (ONE, "10.0.0.1", "198.51.100.1,", None),
        (ONE, "10.0.0.1", "", None),
        (ONE, "10.0.0.1", None, None),
        (ONE, "", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        # Two.
        (TWO, "10.0.0.1", "198.51.100.1, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        (TWO, "10.0.0.1", "192.0.2.7, 10.0.0.2", "192.0.2.7"),
        (TWO, "10.0.0.1", "192.0.2.7, junk", "192.0.2.7"),
        (TWO, "10.0.0.1", "192.0.2.7", None),
        (TWO, "10.0.0.1", "198.51.100.1, junk, 10.0.0.2", None),
        # Networks: the right-most hop outside of them, and REMOTE_ADDR is the first to be looked at.
        (INSIDE, "10.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        (INSIDE, "10.0.0.1", "198.51.100.1, 192.0.2.7, 10.9.9.9, 2001:db8:ffff::1", "192.0.2.7"),
        (INSIDE, "::ffff:10.0.0.1", "192.0.2.7, ::ffff:10.9.9.9", "192.0.2.7"),
        (INSIDE, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (INSIDE, "10.0.0.1", "198.51.100.1, junk, 10.9.9.9", None),
        (INSIDE, "10.0.0.1", "10.1.1.1, 10.9.9.9", None),
        (INSIDE, "10.0.0.1", None, None),
        (INSIDE, "junk", "198.51.100.1", None),
        # On a Unix socket there is no REMOTE_ADDR.
        (INSIDE, "", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        (INSIDE, None, "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        (INSIDE, "", None, None),
    ],
)
def test_b7_the_client_is_what_the_sites_own_proxies_saw(
    proxies: Any, remote: str | None, hops: str | None, address: str | None
) -> None:
    """B7: by count or by network, a hop that a client wrote is never the answer."""
    headers = {} if hops is None else {"X_Forwarded_For": hops}
    with trusting(proxies):
        assert client_address(request_from(remote, **headers)) == address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("198.51.100.1, 192.0.2.7", None),
        ("junk", None),
        ("", None),
        (None, None),
    ],
)
def test_b7_a_header_of_the_proxy_holds_one_address(value: str | None, address: str | None) -> None:
    """B7: the named header alone counts, and two addresses in it are none."""
    headers = {} if value is None else {"X_Real_IP": value}
    with trusting(REAL_IP):
        request = request_from("10.0.0.1", X_Forwarded_For="203.0.113.5", **headers)
        assert client_address(request) == address


@pytest.mark.parametrize(
    "proxies",
    [
        *({}, [], "X-Real-IP", 1, {"COUNT": 0}, {"COUNT": -1}, {"COUNT": "1"}, {"HEADER": 1}),
        *({"CIDRS": "10.0.0.0/8"}, {"CIDRS": ["10.0.0.1/8"]}, {"CIDRS": ["proxy.example.com"]}),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_to_be_so(proxies: Any) -> None:
    """Nothing is guessed from a wrong TRUSTED_PROXIES."""
    with trusting(proxies), pytest.raises(CognitoResetMisconfigured, match="TRUSTED_PROXIES"):
        client_address(request_from("10.0.0.1", X_Forwarded_For="192.0.2.7"))


addresses = st.ip_addresses().map(str)
# What WSGI and ASGI servers let into a header: latin-1 without line ends.
header_text = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=200)
proxies = st.sampled_from([None, ONE, TWO, INSIDE, REAL_IP])


@given(proxies, header_text, header_text | addresses, header_text)
@example(ONE, "", "," * 5000, "")
@example(INSIDE, "10.0.0.1", "10.0.0.2," * 1000, "")
def test_b7_no_header_raises_or_gives_what_is_no_address(
    proxies: Any, remote: str, hops: str, real_ip: str
) -> None:
    """B7: whatever the headers hold, the answer is a canonical address and its network, or none."""
    with trusting(proxies):
        request = request_from(remote, X_Forwarded_For=hops, X_Real_IP=real_ip)
        address, network = client_address(request), client_network(request)
    if address is None:
        assert network == "unknown"
    else:
        parsed = ip_address(address)
        assert str(parsed) == address
        assert parsed in ip_network(network)


@given(st.sampled_from([ONE, INSIDE]), header_text, addresses, header_text)
def test_b7_what_a_client_sends_does_not_change_where_it_comes_from(
    proxies: Any, forged: str, client: str, other: str
) -> None:
    """B7: a proxy appends the client's address, and what stood before it makes no difference."""
    with trusting(proxies):
        honest = client_network(request_from("10.0.0.1", X_Forwarded_For=client))
        request = request_from("10.0.0.1", X_Forwarded_For=f"{forged}, {client}", X_Real_IP=other)
        if proxies is ONE or honest != "unknown":
            assert client_network(request) == honest


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_b8_all_ways_to_write_an_ipv4_address_are_one_network(address: Any, port: int) -> None:
    """B8: plain, with a port, mapped to IPv6 and in brackets."""
    mapped = IPv6Address(f"::ffff:{address}")
    texts = (f"{address}", f"{address}:{port}", f"{mapped}", f"[{mapped}]:{port}")
    assert {client_network(request_from(text)) for text in texts} == {f"{address}/32"}
