"""What a Content-Security-Policy does to a page (W3C, Content Security Policy Level 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

# The directives that decide on a kind of resource: the first one that is there does.
DECIDES: Final = {
    "script": ("script-src-elem", "script-src", "default-src"),
    "style": ("style-src-elem", "style-src", "default-src"),
    "form": ("form-action",),
}
PORTS: Final = {"http": 80, "https": 443}
HOST: Final = re.compile(r"(?:([A-Za-z][\w+.-]*)://)?((?:\*\.)?[\w.-]+)(?::(\d+|\*))?(/.*)?")

Policy = Mapping[str, tuple[str, ...]]


@dataclass
class Page(HTMLParser):
    """What a page of HTML needs: scripts and stylesheets with their nonces, and the targets of its forms."""

    url: str
    needs: list[tuple[str, str, str]] = field(default_factory=list)  # kind, URL, nonce
    has_csrf_token: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        nonce = values.get("nonce", "")
        if tag == "script" and values.get("src"):
            self._need("script", values["src"], nonce)
        elif tag == "link" and values.get("rel") == "stylesheet":
            self._need("style", values.get("href", ""), nonce)
        elif tag == "form":
            self._need("form", values.get("action", ""), "")
        self.has_csrf_token |= values.get("name") == "csrfmiddlewaretoken"

    def _need(self, kind: str, url: str, nonce: str) -> None:
        with suppress(ValueError):  # browsers don't load an invalid URL either
            wanted = urljoin(self.url, url)
            _port(urlsplit(wanted))
            self.needs.append((kind, wanted, nonce))


def blocked(page: Page, headers: Iterable[str]) -> list[str]:
    """Return what the policies in these headers keep from the page, as "script https://…"."""
    policies = [policy for header in headers for policy in _parsed(header)]
    return [
        f"{kind} {url}"
        for kind, url, nonce in page.needs
        if not all(_allows(policy, kind, url, nonce, page.url) for policy in policies)
    ]


def _parsed(header: str) -> Iterator[Policy]:
    """Yield the policies of a header, which a comma separates. A directive counts once."""
    for text in header.split(","):
        policy: dict[str, tuple[str, ...]] = {}
        for directive in filter(None, map(str.split, text.split(";"))):
            policy.setdefault(directive[0].lower(), tuple(directive[1:]))
        yield policy


def _allows(policy: Policy, kind: str, url: str, nonce: str, page: str) -> bool:
    sources = next((policy[name] for name in DECIDES[kind] if name in policy), None)
    if sources is None:
        return True
    if nonce and f"'nonce-{nonce}'" in sources:
        return True
    if kind == "script" and "'strict-dynamic'" in sources:
        return False  # browsers ignore all other sources then
    wanted, own = urlsplit(url), urlsplit(page)
    return any(_matches(source, wanted, own) for source in sources)


def _matches(source: str, url: SplitResult, page: SplitResult) -> bool:
    """Check whether a source expression matches a URL. Keywords and hashes, in quotes, match none but 'self'."""
    if source == "'self'":
        return _origin(url) == _origin(page)
    if source == "*":
        return url.scheme in PORTS
    if source.endswith(":"):
        return url.scheme == source[:-1].lower()
    found = HOST.fullmatch(source)
    if found is None:
        return False
    scheme, host, port, path = found.groups()
    scheme, name = (scheme or page.scheme).lower(), url.hostname or ""
    is_host = name.endswith(host[1:].lower()) if host.startswith("*.") else name == host.lower()
    # A source with http also allows https (6.7.2.8, "scheme-part matches").
    is_scheme = url.scheme in (scheme, "https")
    is_port = port == "*" or _port(url) == int(port or PORTS.get(url.scheme, 0))
    is_path = (
        not path
        or path == "/"
        or url.path == path
        or (path[-1] == "/" and url.path.startswith(path))
    )
    return is_host and is_scheme and is_port and is_path


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, _port(url)


def _port(url: SplitResult) -> int | None:
    return url.port or PORTS.get(url.scheme)
