"""What a browser meets at the address of the first page: ``--url``."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from django.conf import settings
from django.urls import NoReverseMatch, get_script_prefix, reverse

from cognito_reset import __version__
from cognito_reset.conf import conf
from cognito_reset.doctor.csp import Page, blocked
from cognito_reset.doctor.findings import Finding, Result

TIMEOUT_SECONDS: Final = 10.0
MOST_BYTES: Final = 1_000_000
#: Headers that proxies and content delivery networks add to a response.
OF_PROXIES: Final = ("Via", "X-Cache", "X-Served-By", "X-Varnish", "X-Amz-Cf-Id", "CF-Ray")
ANY_ORIGIN: Final = "https://example.com"
#: The endpoints for other origins, with a header that browsers ask for. The first that they can use is tried.
ENDPOINTS: Final = {
    "cognito_reset_rest:request": "content-type",
    "cognito_reset_aws:endpoint": "x-amz-target",
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: str


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        """Let the redirect be the answer."""


def examine_site(url: str, *, http_port: int = 80) -> Iterator[Result]:
    """
    Yield what a GET of the first page shows, and what a preflight request to the REST endpoint does. ``http_port`` is the
    port where the site listens for plain http.
    """
    answer = _answer("GET", url)
    if isinstance(answer, Result):
        yield answer
        return
    page = Page(url)
    with suppress(AssertionError):  # HTMLParser raises it for some malformed declarations
        page.feed(answer.body)
    if answer.status != 200 or not page.has_csrf_token:
        yield Result(Finding.SITE_ANSWERS_OTHERWISE, _told(url, answer))
        return
    yield Result(Finding.SITE_REACHED, f"{url}.")
    yield from _https(url, answer, http_port)
    yield _policy(page, answer)
    yield from _visitors(answer)
    yield from _cors(url)


def _told(url: str, answer: Answer) -> str:
    location = answer.headers.get("Location", "")
    more = f", to {location}" if location else "" if answer.status != 200 else ", without the form"
    return f"{url}: status {answer.status}{more}."


def _https(url: str, answer: Answer, http_port: int) -> Iterator[Result]:
    parts = urlsplit(url)
    name = parts.hostname or ""
    if parts.scheme != "https":
        is_own = _is_loopback(name)
        yield Result(Finding.SITE_ON_LOOPBACK if is_own else Finding.SITE_WITHOUT_HTTPS, f"{url}.")
        return
    host = f"[{name}]" if ":" in name else name
    plain = _answer("GET", parts._replace(scheme="http", netloc=f"{host}:{http_port}").geturl())
    is_open = isinstance(plain, Answer) and not (
        300 <= plain.status < 400 and plain.headers.get("Location", "").startswith("https:")
    )
    yield Result(Finding.HTTPS_NOT_ENFORCED if is_open else Finding.HTTPS_ENFORCED)
    has_hsts = "Strict-Transport-Security" in answer.headers
    yield Result(Finding.HSTS_THERE if has_hsts else Finding.HSTS_MISSING)
    cookies = [cookie.split(";") for cookie in answer.headers.get_all("Set-Cookie", [])]
    open_ones = [
        name.partition("=")[0]
        for name, *flags in cookies
        if "secure" not in {flag.strip().lower() for flag in flags}
    ]
    if open_ones:
        yield Result(Finding.COOKIES_NOT_SECURE, f"{', '.join(open_ones)}.")
    else:
        yield Result(Finding.COOKIES_SECURE)


def _is_loopback(host: str) -> bool:
    """Check whether a host is this machine, which browsers trust without https (W3C, Secure Contexts, 3.1)."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _policy(page: Page, answer: Answer) -> Result:
    headers = answer.headers.get_all("Content-Security-Policy", [])
    if not headers:
        return Result(Finding.CSP_MISSING)
    kept = blocked(page, headers)
    return Result(Finding.CSP_BLOCKS, f"{', '.join(kept)}.") if kept else Result(Finding.CSP_FITS)


def _visitors(answer: Answer) -> Iterator[Result]:
    seen = [name for name in OF_PROXIES if name in answer.headers]
    if seen and conf.trusted_proxies is None:
        yield Result(Finding.PROXY_SEEN, f"Headers: {', '.join(seen)}.")
    yield Result(Finding.VISITORS_UNKNOWN)


def _cors(url: str) -> Iterator[Result]:
    """Send a preflight request, if the site uses django-cors-headers for one of its endpoints."""
    is_used = any(path.endswith("CorsMiddleware") for path in settings.MIDDLEWARE)
    found = next(filter(None, map(_address_of, ENDPOINTS)), None)
    if not is_used or found is None:
        return
    path, header = found
    origins = [*getattr(settings, "CORS_ALLOWED_ORIGINS", ())]
    if getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False):
        origins = [ANY_ORIGIN]
    if not origins:
        if getattr(settings, "CORS_ALLOWED_ORIGIN_REGEXES", ()):
            yield Result(Finding.CORS_UNTRIED)
        return
    endpoint = urljoin(url, path)
    asked = {
        "Origin": origins[0],
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": header,
    }
    answer = _answer("OPTIONS", endpoint, asked)
    if isinstance(answer, Result):
        yield Result(Finding.CORS_REFUSED, answer.detail)
        return
    allowed = answer.headers.get("Access-Control-Allow-Origin")
    headers = answer.headers.get("Access-Control-Allow-Headers", "").lower()
    works = answer.status in (200, 204) and allowed in ("*", origins[0]) and header in headers
    detail = f"{endpoint}, origin {origins[0]}: status {answer.status}."
    yield Result(Finding.CORS_WORKS if works else Finding.CORS_REFUSED, detail)


def _address_of(name: str) -> tuple[str, str] | None:
    """
    Return an endpoint's path and the header of ENDPOINTS, or None if the site doesn't have it, or keeps it from other
    origins by CORS_URLS_REGEX.
    """
    try:
        path = reverse(name)
    except NoReverseMatch:
        return None
    path_info = "/" + path.removeprefix(get_script_prefix())  # as CorsMiddleware sees it
    is_covered = re.match(getattr(settings, "CORS_URLS_REGEX", ""), path_info)
    return (path, ENDPOINTS[name]) if is_covered else None


def _answer(method: str, url: str, headers: dict[str, str] | None = None) -> Answer | Result:
    """Send a request, and return its answer without following a redirect, or why there is none."""
    agent = {"User-Agent": f"django-cognito-reset-doctor/{__version__}", "Accept": "text/html"}
    request = Request(url, headers={**agent, **(headers or {})}, method=method)  # noqa: S310  # http or https
    try:
        with build_opener(_NoRedirects).open(request, timeout=TIMEOUT_SECONDS) as response:
            return _read(response.status, response)
    except HTTPError as error:  # any status that isn't 2xx
        with error:
            return _read(error.code, error)
    except URLError as error:
        reason = error.reason
    # The first two while the answer is read, the last for a name that can't exist.
    except (OSError, HTTPException, UnicodeError) as error:
        reason = error
    is_tls = isinstance(reason, ssl.SSLError)
    finding = Finding.SITE_TLS_FAILED if is_tls else Finding.SITE_UNREACHABLE
    return Result(finding, f"{url}: {type(reason).__name__}.")


def _read(status: int, response: HTTPResponse | HTTPError) -> Answer:
    body = response.read(MOST_BYTES).decode("utf-8", "replace")
    return Answer(status, response.headers, body)
