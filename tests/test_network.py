"""The client's address and networks, and that no client can choose them."""

from __future__ import annotations

import time
from importlib.util import find_spec, module_from_spec
from ipaddress import IPv6Address, ip_address, ip_network
from types import ModuleType
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from cognito_reset.conf import CognitoResetMisconfigured
from cognito_reset.resets.network import audit_network, client_address, client_networks

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


@pytest.mark.requirement("B7", "B8")
@pytest.mark.parametrize(
    ("remote", "address", "networks"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7:51234", "192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.7\t", "192.0.2.7", "192.0.2.7/32"),
        (
            "2a00:1450:4001:2a3b:4:5:6:7",
            "2a00:1450:4001:2a3b:4:5:6:7",
            "2a00:1450:4001:2a3b::/64 2a00:1450:4001:2a00::/56 2a00:1450:4001::/48",
        ),
        ("2001:DB8:1:2::6", "2001:db8:1:2::6", "2001:db8:1:2::/64 2001:db8:1::/56 2001:db8:1::/48"),
        ("[2001:db8::1]", "2001:db8::1", "2001:db8::/64 2001:db8::/56 2001:db8::/48"),
        ("[2001:db8::1]:443", "2001:db8::1", "2001:db8::/64 2001:db8::/56 2001:db8::/48"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64 fe80::/56 fe80::/48"),
        ("[fe80::1%eth0]:443", "fe80::1", "fe80::/64 fe80::/56 fe80::/48"),
        ("::1", "::1", "::/64 ::/56 ::/48"),
        ("::", "::", "::/64 ::/56 ::/48"),
        ('"192.0.2.7"', "192.0.2.7", "192.0.2.7/32"),
        ('"[2001:db8::1]:443"', "2001:db8::1", "2001:db8::/64 2001:db8::/56 2001:db8::/48"),
        ("192.0.2.7:_http", "192.0.2.7", "192.0.2.7/32"),  # a hidden port (RFC 7239, 6.3)
        # IPv6 with a port but without brackets, where it can't be an address.
        ("2001:db8::1:46532", "2001:db8::1", "2001:db8::/64 2001:db8::/56 2001:db8::/48"),
        (
            "2001:db8:1:2:3:4:5:6:443",
            "2001:db8:1:2:3:4:5:6",
            "2001:db8:1:2::/64 2001:db8:1::/56 2001:db8:1::/48",
        ),
        ("::ffff:192.0.2.7:443", "192.0.2.7", "192.0.2.7/32"),
    ],
)
def test_b7_b8_an_address_is_read_in_every_form_that_servers_write(
    remote: str, address: str, networks: str
) -> None:
    """Ports, brackets and zones are ignored. IPv6 is counted by its /64, /56 and /48."""
    request = request_from(remote)
    assert client_address(request) == address
    assert client_networks(request) == tuple(networks.split())


@pytest.mark.requirement("B7", "B8")
@pytest.mark.parametrize(
    "remote",
    [
        # IPv4-mapped
        *("::ffff:192.0.2.7", "::FFFF:c000:207", "::ffff:192.0.2.7%eth0", "[::ffff:192.0.2.7]:80"),
        *("::ffff:0:192.0.2.7", "::ffff:0:c000:207", "[::ffff:0:192.0.2.7]:80"),  # SIIT
        *("64:ff9b::192.0.2.7", "64:ff9b::c000:207", "64:ff9b::192.0.2.7%eth0"),  # NAT64
        *("64:ff9b:1::192.0.2.7", "64:ff9b:1:beef::192.0.2.7"),  # NAT64, local use (RFC 8215)
        *("::192.0.2.7", "::c000:207"),  # IPv4-compatible
        *("2002:c000:207::", "2002:c000:207::1", "2002:c000:207:ffff:1:2:3:4"),  # 6to4
        # Teredo: two servers, and two ports of the client
        *("2001:0:4136:e378:8000:63bf:3fff:fdf8", "2001:0:1:2:0:1:3fff:fdf8"),
    ],
)
def test_b7_b8_ipv4_written_as_ipv6_is_the_ipv4_address(remote: str) -> None:
    """An IPv4 host has one address and one network, however a server writes it."""
    request = request_from(remote)
    assert client_address(request) == "192.0.2.7"
    assert client_networks(request) == ("192.0.2.7/32",)
    assert audit_network(request) == "192.0.2.0/24"


@pytest.mark.requirement("B7", "B8")
@pytest.mark.parametrize(
    "remote",
    [
        *("::1:192.0.2.7", "::ffff:1:192.0.2.7", "::fffe:192.0.2.7", "64:ff9b::1:192.0.2.7"),
        *("64:ff9b:2::192.0.2.7",),
        *("64:ff9b:0:1::192.0.2.7", "2003:c000:207::1", "2001:1:4136:e378:8000:63bf:3fff:fdf8"),
    ],
)
def test_b7_b8_neighbours_of_the_ranges_that_hold_ipv4_stay_ipv6(remote: str) -> None:
    """Outside the ranges that the RFCs set apart, an address is plain IPv6."""
    request = request_from(remote)
    assert client_address(request) == str(ip_address(remote))
    assert len(client_networks(request)) == 3


@pytest.mark.requirement("B8")
@pytest.mark.parametrize(
    "remote",
    [
        "64:ff9b:1:c000:2:700::",  # 192.0.2.7 with a prefix of 48 bits (RFC 6052, 2.2)
        "64:ff9b:1:12c0:0:207::",  # 56
        "64:ff9b:1:1234:c0:2:700:0",  # 64
        "64:ff9b:1:0:0:1:c000:207",  # no prefix of RFC 6052
    ],
)
def test_b8_a_translated_address_is_one_host_whatever_the_prefix(remote: str) -> None:
    """
    Which bits are the IPv4 address can't be told. Such addresses come from the site's own translator, and
    each is one IPv4 host. Counted by the /64, all IPv4 hosts would share a few networks.
    """
    request = request_from(remote)
    assert client_address(request) == str(ip_address(remote))
    assert client_networks(request) == (f"{ip_address(remote)}/128",)


@pytest.mark.requirement("F5")
@pytest.mark.parametrize(
    ("remote", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("junk", "unknown"),
    ],
)
def test_f5_the_audit_stores_a_network_and_no_address(remote: str, network: str) -> None:
    """The audit keeps the /24 of an IPv4 address and the /64 of an IPv6 address."""
    assert audit_network(request_from(remote)) == network


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    "remote",
    [
        *(None, "", " ", "unknown", "localhost", "unix:", "_hidden", "-", "1", "3232235777"),
        *("192.0.2", "192.0.2.256", "192.0.2.07", "0xC0.0.2.7", "192.0.2.7/32", "192.0.2.7%1"),
        *("192.0.2.7:", "192.0.2.7:123456", "192.0.2.7:http", "192.0.2.7 192.0.2.8"),
        *("[192.0.2.7", "192.0.2.7]", "[]", "[]:80", "[::1]80", "[[::1]]", ":::", "fe80::1%"),
        *("192.0.2.7\r\nX: y", "192.0.2.7\0", "for=192.0.2.7", "'192.0.2.7'", "'; DROP TABLE"),
        *("\N{FULLWIDTH DIGIT ONE}92.0.2.7", "\N{ARABIC-INDIC DIGIT ONE}.0.2.7", "9" * 10_000),
    ],
)
def test_b7_a_malformed_address_is_unknown(remote: str | None) -> None:
    """A malformed or empty REMOTE_ADDR is an unknown address, and never an error."""
    request = request_from(remote)
    assert client_address(request) is None
    assert client_networks(request) == ("unknown",)


@pytest.mark.requirement("B8")
def test_b8_neighbours_share_a_network() -> None:
    """Hosts of one /64 share all networks, and the /64s of one customer share the wider ones."""
    inside = {client_networks(request_from(f"2001:db8:0:1::{n:x}")) for n in range(50)}
    assert inside == {("2001:db8:0:1::/64", "2001:db8::/56", "2001:db8::/48")}
    customer = {client_networks(request_from(f"2001:db8:0:{n:x}::1")) for n in range(256)}
    assert [len(set(networks)) for networks in zip(*customer, strict=True)] == [256, 1, 1]
    site = {client_networks(request_from(f"2001:db8:0:{n:x}00::1")) for n in range(256)}
    assert [len(set(networks)) for networks in zip(*site, strict=True)] == [256, 256, 1]


@pytest.mark.requirement("B7")
@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP"])
def test_b7_no_header_counts_unless_the_site_says_so(header: str) -> None:
    """Without TRUSTED_PROXIES, a hundred forged headers leave one network."""
    networks = {
        client_networks(RequestFactory().get("/", headers={header: f"198.51.100.{n}"}))
        for n in range(100)
    }
    assert networks == {("127.0.0.1/32",)}


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    ("proxies", "remote", "hops", "address"),
    [
        # One proxy: it appended the right-most hop. The client itself wrote all the others.
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
        # Networks: the right-most hop outside of them. REMOTE_ADDR is the last hop.
        (INSIDE, "10.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        (INSIDE, "10.0.0.1", "198.51.100.1, 192.0.2.7, 10.9.9.9, 2001:db8:ffff::1", "192.0.2.7"),
        (INSIDE, "::ffff:10.0.0.1", "192.0.2.7, ::ffff:10.9.9.9", "192.0.2.7"),
        (INSIDE, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (INSIDE, "10.0.0.1", "198.51.100.1, junk, 10.9.9.9", None),
        (INSIDE, "10.0.0.1", "10.1.1.1, 10.9.9.9", None),
        (INSIDE, "10.0.0.1", None, None),
        (INSIDE, "junk", "198.51.100.1", None),
        # IPv4 in other forms of IPv6 is folded, but isn't taken for one of the proxies.
        (INSIDE, "10.0.0.1", "64:ff9b::192.0.2.7", "192.0.2.7"),
        (INSIDE, "10.0.0.1", "192.0.2.7, 2002:a00:1::1", "10.0.0.1"),
        # On a Unix socket there is no REMOTE_ADDR.
        (INSIDE, "", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        (INSIDE, None, "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        (INSIDE, "", None, None),
    ],
)
def test_b7_the_client_is_the_peer_of_the_sites_own_proxies(
    proxies: Any, remote: str | None, hops: str | None, address: str | None
) -> None:
    """By count or by network, no hop that the client wrote is returned."""
    headers = {} if hops is None else {"X_Forwarded_For": hops}
    with trusting(proxies):
        assert client_address(request_from(remote, **headers)) == address


# What the large vendors' proxies send when 192.0.2.7 or 2001:db8::7 is the client, 198.51.100.1 is what
# the client claimed, and 203.0.113.9 is a machine of the vendor's. The forms are those of the sources, the
# addresses are examples.
AWS = "https://docs.aws.amazon.com"
AZURE = "https://learn.microsoft.com/en-us/azure"
GOOGLE = "https://cloud.google.com"
FASTLY = "https://www.fastly.com/documentation/reference/http/http-headers"
CLOUDFLARE = "https://developers.cloudflare.com/fundamentals/reference/http-headers/"
CLOUDFRONT = f"{AWS}/AmazonCloudFront/latest/DeveloperGuide"
ALB = f"{AWS}/elasticloadbalancing/latest/application/x-forwarded-headers.html"
FRONT_DOOR = f"{AZURE}/frontdoor/front-door-http-headers-protocol"
GATEWAY = f"{AZURE}/application-gateway/how-application-gateway-works"
HTTP_API = (
    "https://medium.com/@lancers/amazon-api-gateway-explaining-http-proxy-in-http-api-3ea0afe6b03c"
)
FLY = "https://fly.io/docs/networking/request-headers/"
RFC_7239 = "https://www.rfc-editor.org/rfc/rfc7239#section-4"
NGINX = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html"
NGINX_FORWARDED = (
    "https://github.com/nginxinc/nginx-wiki/blob/aa66fb44aae2a013ed8e57f698f5017e6284458c"
    "/source/start/topics/examples/forwarded.rst"
)
HAPROXY = "https://www.haproxy.org/download/3.0/doc/configuration.txt"
HAPROXY_FORWARDED = "https://github.com/haproxy/haproxy/blob/07be66d21b229b9524c7b508ae3ccb9218ac1ea9/src/http_ext.c"
TRAEFIK = "https://doc.traefik.io/traefik/getting-started/faq/"
ENVOY = "https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers"
V4, V6 = "192.0.2.7", "2001:db8::7"

VENDORS = [
    # vendor, header, value, TRUSTED_PROXIES, the client, source
    ("Cloudflare", "CF-Connecting-IP", V4, "HEADER", V4, CLOUDFLARE),
    ("Cloudflare", "CF-Connecting-IP", V6, "HEADER", V6, CLOUDFLARE),
    ("Cloudflare", "CF-Connecting-IPv6", V6, "HEADER", V6, CLOUDFLARE),
    ("Cloudflare", "True-Client-IP", V6, "HEADER", V6, CLOUDFLARE),
    ("Cloudflare", "X-Forwarded-For", f"198.51.100.1,{V4}", ONE, V4, CLOUDFLARE),
    (
        *("Akamai", "True-Client-IP", V4, "HEADER", V4),
        "https://techdocs.akamai.com/property-mgr/docs/origin-server#true-client-ip-header",
    ),
    ("Fastly", "Fastly-Client-IP", V6, "HEADER", V6, f"{FASTLY}/Fastly-Client-IP"),
    ("Fastly", "X-Forwarded-For", f"198.51.100.1, {V4}", ONE, V4, f"{FASTLY}/X-Forwarded-For"),
    (
        *("Fastly, shielded", "X-Forwarded-For", f"{V4}, 203.0.113.9", TWO, V4),
        f"{FASTLY}/X-Forwarded-For",
    ),
    (
        *("CloudFront", "CloudFront-Viewer-Address", f"{V4}:46532", "HEADER", V4),
        f"{CLOUDFRONT}/adding-cloudfront-headers.html",
    ),
    # IPv6 without brackets, so that only the header's name tells that the last group is a port. AWS shows
    # IPv4 only. This form is that of two libraries, the one below and http-extract.
    *(
        (
            *("CloudFront", "CloudFront-Viewer-Address", f"{V6}:{port}", "HEADER", V6),
            "https://github.com/imbolc/axum-client-ip/blob/1bc97b0ea62c510dba328953ef9717a03ae3ab66"
            "/src/rudimental.rs",
        )
        for port in (80, 1024, 46532)
    ),
    (
        *("CloudFront", "X-Forwarded-For", f"198.51.100.1,{V4}", ONE, V4),
        f"{CLOUDFRONT}/RequestAndResponseBehaviorCustomOrigin.html",
    ),
    (
        *("CloudFront and ALB", "X-Forwarded-For", f"{V4},203.0.113.9", TWO, V4),
        f"{CLOUDFRONT}/RequestAndResponseBehaviorCustomOrigin.html",
    ),
    ("ALB", "X-Forwarded-For", f"198.51.100.1, {V4}", ONE, V4, ALB),
    ("ALB, with client ports", "X-Forwarded-For", f"{V4}:8080", ONE, V4, ALB),
    (
        *("API Gateway, HTTP API", "Forwarded"),
        f"by=203.0.113.9;for={V4};host=abc.execute-api.eu-west-1.amazonaws.com;proto=https",
        *("HEADER", V4, HTTP_API),
    ),
    ("Azure Front Door", "X-Azure-SocketIP", V4, "HEADER", V4, FRONT_DOOR),
    ("Azure Front Door", "X-Azure-ClientIP", V6, "HEADER", V6, FRONT_DOOR),
    ("Azure Front Door", "X-Forwarded-For", f"198.51.100.1, {V4}", ONE, V4, FRONT_DOOR),
    ("Azure Application Gateway", "X-Forwarded-For", f"{V4}:57856", ONE, V4, GATEWAY),
    (
        *("Azure Application Gateway", "X-Forwarded-For", f"198.51.100.1, {V4}:57856"),
        *(ONE, V4, GATEWAY),
    ),
    (
        *("Azure App Service", "X-Forwarded-For", f"{V4}:61598", ONE, V4),
        "https://github.com/pbojinov/request-ip/issues/29",
    ),
    (
        *("Azure App Service", "X-Forwarded-For", f"unknown, {V4}:61598", ONE, V4),
        "https://github.com/Azure/iisnode/issues/26",
    ),
    (
        *("Azure Static Web Apps", "X-Forwarded-For", f"{V4}:52987, [fd00::d63d]:64909", TWO, V4),
        "https://github.com/geoffrich/svelte-adapter-azure-swa/pull/71",
    ),
    (
        *("IIS ARR", "X-Forwarded-For", f"[{V6}]:38792", ONE, V6),
        "https://github.com/gin-gonic/gin/pull/4727",
    ),
    (
        *("Google Cloud", "X-Forwarded-For", f"198.51.100.1,{V4},203.0.113.9", TWO, V4),
        f"{GOOGLE}/load-balancing/docs/https#x-forwarded-for_header",
    ),
    (
        *("App Engine", "X-Appengine-User-IP", V4, "HEADER", V4),
        f"{GOOGLE}/appengine/docs/standard/reference/request-headers",
    ),
    ("Fly.io", "Fly-Client-IP", V6, "HEADER", V6, FLY),
    ("Fly.io", "X-Forwarded-For", f"{V4}, 203.0.113.9", TWO, V4, FLY),
    # An answer of Heroku's support. Its legacy router appended to the first of several such headers, so
    # that clients could write the last entry (github.com/heroku/roadmap/issues/238). Router 2.0 does not.
    (
        *("Heroku", "X-Forwarded-For", f"198.51.100.1,198.51.100.2, {V4}", ONE, V4),
        "https://github.com/citizenos/citizenos-api/issues/217",
    ),
    *(
        ("Vercel", name, V4, "HEADER", V4, "https://vercel.com/docs/headers/request-headers")
        for name in ("X-Real-IP", "X-Vercel-Forwarded-For", "X-Forwarded-For")
    ),
    # Not confirmed for these two: that they replace what a client sends.
    (
        *("Netlify", "X-Nf-Client-Connection-Ip", V4, "HEADER", V4),
        "https://answers.netlify.com/t/upcoming-change-stripping-exposed-netlify-headers-from-"
        "function-and-proxy-requests/52665/2",
    ),
    (
        *("DigitalOcean", "DO-Connecting-IP", V4, "HEADER", V4),
        "https://github.com/AikidoSec/firewall-node/issues/696",
    ),
    ("nginx", "X-Real-IP", V6, "HEADER", V6, NGINX),
    ("nginx", "X-Forwarded-For", f"198.51.100.1, {V6}", ONE, V6, NGINX),
    (
        *("nginx", "Forwarded", f'for=198.51.100.1, for="[{V6}]";proto=https', "HEADER", V6),
        NGINX_FORWARDED,
    ),
    (
        *("nginx, $remote_port", "X-Forwarded-For", f"::ffff:{V4}:12345", ONE, V4),
        "https://github.com/aspnet/BasicMiddleware/issues/302",
    ),
    (
        *("Sozu", "Forwarded", f'proto=https;for="{V6}:46532"', "HEADER", V6),
        "https://github.com/sozu-proxy/sozu/pull/1261",
    ),
    # HAProxy adds a header of its own after the client's. Servers join them with a comma.
    ("HAProxy", "X-Forwarded-For", f"198.51.100.1,{V4}", ONE, V4, HAPROXY),
    ("HAProxy", "Forwarded", f"proto=http;for={V4}", "HEADER", V4, HAPROXY_FORWARDED),
    ("HAProxy", "Forwarded", f'proto=https;for="[{V6}]"', "HEADER", V6, HAPROXY_FORWARDED),
    (
        *("HAProxy, for_port", "Forwarded", f'proto=https;for="[{V6}]:46532"', "HEADER", V6),
        HAPROXY_FORWARDED,
    ),
    ("Traefik", "X-Real-Ip", V4, "HEADER", V4, TRAEFIK),
    ("Traefik", "X-Forwarded-For", V4, ONE, V4, TRAEFIK),
    # With use_remote_address. Without it, which is the default, Envoy passes on what clients send.
    ("Envoy", "X-Envoy-External-Address", V6, "HEADER", V6, ENVOY),
    ("Envoy", "X-Forwarded-For", f"198.51.100.1,{V6}", ONE, V6, ENVOY),
    (
        *("Caddy", "X-Forwarded-For", V4, ONE, V4),
        "https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#defaults",
    ),
    ("RFC 7239", "Forwarded", 'For="[2001:db8::7]:4711"', "HEADER", V6, RFC_7239),
    ("RFC 7239", "Forwarded", f"for={V4};proto=http;by=203.0.113.43", "HEADER", V4, RFC_7239),
    ("RFC 7239", "Forwarded", f"for=198.51.100.1, for={V4}", "HEADER", V4, RFC_7239),
    ("RFC 7239", "Forwarded", 'for="_gazonk"', "HEADER", None, RFC_7239),
    ("RFC 7239", "Forwarded", "for=_hidden, for=_SEVKISEK", "HEADER", None, RFC_7239),
    ("RFC 7239", "Forwarded", "for=unknown", "HEADER", None, RFC_7239),
    ("RFC 7239", "Forwarded", f'for="{V4}:_port"', "HEADER", V4, RFC_7239),
    ("RFC 7239", "Forwarded", f'for="[{V6}]:_a.b-c"', "HEADER", V6, RFC_7239),
]


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    ("vendor", "header", "value", "proxies", "address", "source"),
    VENDORS,
    ids=[" ".join(row[:3]) for row in VENDORS],
)
def test_b7_the_headers_of_the_large_vendors_are_read(
    vendor: str, header: str, value: str, proxies: Any, address: str | None, source: str
) -> None:
    """Each vendor's own form leads to the client. docs/proxies.md recommends these settings."""
    assert source.startswith("https://")
    with trusting({"HEADER": header} if proxies == "HEADER" else proxies):
        request = request_from("203.0.113.254", **{header: value})
        assert client_address(request) == address, vendor


@pytest.mark.requirement("B7")
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
def test_b7_the_header_of_a_proxy_contains_one_address(
    value: str | None, address: str | None
) -> None:
    """Only the named header is read, and with two addresses in it the client is unknown."""
    headers = {} if value is None else {"X_Real_IP": value}
    with trusting(REAL_IP):
        request = request_from("10.0.0.1", X_Forwarded_For="203.0.113.5", **headers)
        assert client_address(request) == address


@pytest.mark.requirement("B7")
def test_b7_a_list_in_the_named_header_is_read_from_the_right() -> None:
    """X-Forwarded-For is a list. The client's own entries are to the left of the proxy's."""
    with trusting({"HEADER": "X-Forwarded-For"}):
        for value in ("192.0.2.7", "198.51.100.1, 192.0.2.7", "junk,, 192.0.2.7:443"):
            assert client_address(request_from("10.0.0.1", X_Forwarded_For=value)) == "192.0.2.7"
        assert client_address(request_from("10.0.0.1", X_Forwarded_For="192.0.2.7, x")) is None


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    "forged",
    [
        *("for=198.51.100.1", 'for="198.51.100.1', 'for="198.51.100.1\\', '"', ",", ";", "=", "\\"),
        *('for=198.51.100.1;x="', 'x=", for=198.51.100.1;y="', 'for="a"b"', "for=198.51.100.1;"),
        *('host="a,b";for=198.51.100.1', "for=198.51.100.1, ,", 'a="\\";for=198.51.100.1;b="'),
    ],
)
@pytest.mark.parametrize(
    "written",
    [
        *("for=192.0.2.7", 'for="192.0.2.7:443"', "by=203.0.113.9;for=192.0.2.7;proto=https"),
        *('host="a.example,for=198.51.100.2";for=192.0.2.7', 'for=192.0.2.7;host="a,b;for=c"'),
    ],
)
def test_b7_the_last_element_of_forwarded_is_read(forged: str, written: str) -> None:
    """Nothing that a client writes in front of it, open quotes included, makes a difference."""
    with trusting({"HEADER": "Forwarded"}):
        for value in (written, f"{forged}, {written}", f"{forged},{written}"):
            assert client_address(request_from("10.0.0.1", Forwarded=value)) == "192.0.2.7", value


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    "value",
    [
        *("for=192.0.2.7;", ";for=192.0.2.7", " ; ;for=192.0.2.7 ; ;by=a; ", "for=192.0.2.7,"),
        *("for=192.0.2.7 , ,", "for=192.0.2.8,,for=192.0.2.7", 'for="192.0.2.7"; ,\t,'),
    ],
)
def test_b7_empty_parts_of_forwarded_are_ignored(value: str) -> None:
    """RFC 7239 (4) allows empty pairs, and RFC 9110 (5.6.1.2) empty elements of a list."""
    with trusting({"HEADER": "Forwarded"}):
        assert client_address(request_from("10.0.0.1", Forwarded=value)) == "192.0.2.7"


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    "part",
    [";", " ", "; ", " ;\t", ",", ", ", ",;", "a=b;", ",a=b", 'a="', 'a=",', ',a=",b=";', 'a="\\"', "a=", "a",
     ",a=1 ;", "a=1 ; ;"],
)  # fmt: skip
def test_b7_a_long_forwarded_takes_no_long_time(part: str) -> None:
    """Servers limit headers to some kilobytes. These have far more, so that only linear time is short."""
    with trusting({"HEADER": "Forwarded"}):
        for value in (part * 20_000, f"for=192.0.2.7{part * 20_000}x y", f"a={part * 20_000} y"):
            start = time.process_time()
            client_address(request_from("10.0.0.1", Forwarded=value))
            assert time.process_time() - start < 1


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    "value",
    [
        *("", "192.0.2.7", "by=192.0.2.7", "for=", "for", "for=192.0.2.7 x", "for=192.0.2.7, ;"),
        *(";", ",", "for=192.0.2.7,x", "for=192.0.2.7;x", "for=192.0.2.7 for=192.0.2.7"),
        *('for="192.0.2.7', "for=192.0.2.7;for=192.0.2.8", "for=192.0.2.7, proto=https"),
    ],
)
def test_b7_a_malformed_forwarded_names_no_client(value: str) -> None:
    """An element with two "for" contains text of the client, for example in an unquoted host."""
    with trusting({"HEADER": "Forwarded"}):
        assert client_address(request_from("10.0.0.1", Forwarded=value)) is None


@pytest.mark.parametrize("piece", [',a="', 'a="\\', "a=b;", ",", '"', "a=b,", "1:", "\\", " ", "x"])
def test_long_headers_are_read_quickly(piece: str) -> None:
    """64 kB, more than servers accept, of what makes parsers slow."""
    start = time.thread_time()
    for header in ("Forwarded", "X-Forwarded-For", "CloudFront-Viewer-Address"):
        with trusting({"HEADER": header}):
            client_address(request_from("10.0.0.1", **{header: piece * (65536 // len(piece))}))
    assert time.thread_time() - start < 1


@pytest.mark.parametrize(
    "proxies",
    [
        *({}, [], "X-Real-IP", 1, {"COUNT": 0}, {"COUNT": -1}, {"COUNT": "1"}, {"HEADER": 1}),
        *({"CIDRS": "10.0.0.0/8"}, {"CIDRS": ["10.0.0.1/8"]}, {"CIDRS": ["proxy.example.com"]}),
    ],
)
def test_an_unusable_setting_raises(proxies: Any) -> None:
    """A wrong TRUSTED_PROXIES raises an error that names it, and nothing is guessed."""
    with trusting(proxies), pytest.raises(CognitoResetMisconfigured, match="TRUSTED_PROXIES"):
        client_address(request_from("10.0.0.1", X_Forwarded_For="192.0.2.7"))


# From here on: a proxy that the site didn't name.


@pytest.fixture
def network() -> ModuleType:
    """Return a fresh copy of the module, as in a process that has logged nothing yet."""
    spec = find_spec("cognito_reset.resets.network")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    "remote",
    [
        *("127.0.0.1", "::1", "10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1"),
        *("fd00::1", "fe80::1%eth0", "::ffff:10.0.0.1", "", None),
    ],
)
def test_b7_an_unnamed_proxy_is_logged_once(
    remote: str | None, network: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """A process logs one ERROR that names the setting and shows no address."""
    with trusting(None):
        networks = client_networks(request_from(remote))
        caplog.clear()  # the module itself may have logged that this address is unknown
        for n in range(3):
            request = request_from(remote, X_Forwarded_For=f"198.51.100.{n}")
            assert network.client_networks(request) == networks
            network.client_address(request)
            network.audit_network(request)
    [record] = [record for record in caplog.records if record.name == network.__name__]
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("cognito_reset.trusted_proxies_unset: ")
    assert 'COGNITO_RESET["TRUSTED_PROXIES"]' in record.getMessage()
    assert "198.51" not in record.getMessage()
    assert not (remote and remote in record.getMessage())


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    ("debug", "proxies", "remote", "hops"),
    [
        (True, None, "127.0.0.1", "198.51.100.1"),
        (False, ONE, "127.0.0.1", "198.51.100.1"),
        (False, INSIDE, "10.0.0.1", "198.51.100.1"),
        (False, {"HEADER": "X-Forwarded-For"}, "10.0.0.1", "198.51.100.1"),
        (False, None, "10.0.0.1", None),
        (False, None, "9.9.9.9", "198.51.100.1"),  # a client that forges the header
        (False, None, "2a00:1450::1", "198.51.100.1"),
        (False, None, "2002:909:909::1", "198.51.100.1"),  # a public address, by 6to4
    ],
)
def test_b7_no_proxy_is_reported_where_there_is_none(
    debug: bool,
    proxies: Any,
    remote: str,
    hops: str | None,
    network: ModuleType,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is logged in development, with a named proxy, or for a public address."""
    headers = {} if hops is None else {"X_Forwarded_For": hops}
    with trusting(proxies), override_settings(DEBUG=debug):
        network.client_networks(request_from(remote, **headers))
    assert not [record for record in caplog.records if record.name == network.__name__]


@pytest.mark.requirement("B7")
@pytest.mark.parametrize(
    ("proxies", "source"),
    [
        (None, "REMOTE_ADDR"),
        (TWO, "X-Forwarded-For"),
        (INSIDE, "X-Forwarded-For"),
        (REAL_IP, "X-Real-IP"),
        ({"HEADER": "Forwarded"}, "Forwarded"),
    ],
)
def test_b7_an_unknown_address_is_logged_once(
    proxies: Any, source: str, network: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """A process logs one ERROR, which names the header but not its value."""
    with trusting(proxies):
        for _ in range(3):
            request = request_from("10.0.0.1", X_Forwarded_For="junk", X_Real_IP="junk")
            if proxies is None:
                request = request_from("junk")
            assert network.client_networks(request) == ("unknown",)
    [record] = [record for record in caplog.records if record.name == network.__name__]
    assert record.levelname == "ERROR"
    event = "cognito_reset.client_address_unknown: "
    assert record.getMessage().startswith(f"{event}{source} is missing")
    assert 'COGNITO_RESET["TRUSTED_PROXIES"]' in record.getMessage()
    assert "junk" not in record.getMessage()


@pytest.mark.requirement("B7")
@pytest.mark.parametrize("header", ["Forwarded", "X-Real-IP"])
def test_b7_a_proxy_without_x_forwarded_for_is_noticed_too(
    header: str, network: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """Some proxies write only another header."""
    with trusting(None):
        network.client_networks(request_from("10.0.0.1", **{header: "198.51.100.1"}))
    [record] = [record for record in caplog.records if record.name == network.__name__]
    assert 'COGNITO_RESET["TRUSTED_PROXIES"] is None' in record.getMessage()


# From here on: properties.

addresses = st.ip_addresses().map(str)
# The text that WSGI and ASGI servers accept in a header: latin-1 without line ends.
header_text = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=200)
proxies = st.sampled_from(
    [
        None,
        ONE,
        TWO,
        INSIDE,
        REAL_IP,
        {"HEADER": "Forwarded"},
        {"HEADER": "CloudFront-Viewer-Address"},
    ]
)


@pytest.mark.requirement("B7")
@given(proxies, header_text, header_text | addresses, header_text)
@example(ONE, "", "," * 5000, "")
@example(INSIDE, "10.0.0.1", "10.0.0.2," * 1000, "")
@example(ONE, "", "64:ff9b:1::1:0:0", "")
def test_b7_any_header_leads_to_a_canonical_address_or_none(
    proxies: Any, remote: str, hops: str, real_ip: str
) -> None:
    """No header raises, and the networks are those of the address."""
    with trusting(proxies):
        headers = {"X_Forwarded_For": hops, "X_Real_IP": real_ip, "Forwarded": f"for={hops}"}
        request = request_from(remote, CloudFront_Viewer_Address=f"{hops}:80", **headers)
        address, networks = client_address(request), client_networks(request)
        audited = audit_network(request)
    if address is None:
        assert networks == ("unknown",)
        assert audited == "unknown"
    else:
        parsed = ip_address(address)
        assert str(parsed) == address
        assert all(parsed in ip_network(network) for network in [*networks, audited])
        sizes = [ip_network(network).prefixlen for network in networks]
        if parsed in ip_network("64:ff9b:1::/48"):
            assert sizes == [128]
        else:
            assert sizes == ([32] if parsed.version == 4 else [64, 56, 48])


@pytest.mark.requirement("B7")
@given(st.sampled_from([ONE, INSIDE]), header_text, addresses, header_text)
def test_b7_headers_of_the_client_do_not_change_its_networks(
    proxies: Any, forged: str, client: str, other: str
) -> None:
    """A proxy appends the client's address, and nothing in front of it makes a difference."""
    with trusting(proxies):
        honest = client_networks(request_from("10.0.0.1", X_Forwarded_For=client))
        request = request_from("10.0.0.1", X_Forwarded_For=f"{forged}, {client}", X_Real_IP=other)
        if proxies is ONE or honest != ("unknown",):
            assert client_networks(request) == honest


bits_16 = st.integers(0, 0xFFFF)
bits_32 = st.integers(0, 0xFFFFFFFF)


@pytest.mark.requirement("B8")
@given(st.ip_addresses(v=4), st.integers(1, 65535), bits_16, bits_32, bits_32)
def test_b8_all_ways_to_write_an_ipv4_address_are_one_network(
    address: Any, port: int, subnet: int, interface: int, server: int
) -> None:
    """Plain, with a port, in brackets, and in each range of IPv6 that holds IPv4."""
    number = int(address)
    numbers = [
        (0xFFFF << 32) + number,
        (0xFFFF << 48) + number,
        (0x64FF9B << 96) + number,
        (0x64FF9B0001 << 80) + number,
        (0x2002 << 112) + (number << 80) + (subnet << 64) + interface,
        (0x20010000 << 96) + (server << 64) + (interface << 32) + (number ^ 0xFFFFFFFF),
        *([number] if number > 1 else []),  # :: and ::1 are addresses of IPv6
    ]
    forms = [str(IPv6Address(number)) for number in numbers]
    texts = [f"{address}", f"{address}:{port}", *forms, *(f"[{form}]:{port}" for form in forms)]
    assert {client_networks(request_from(text)) for text in texts} == {(f"{address}/32",)}
