"""
System checks of what stands around the endpoints: CORS, and redirects, which no AWS SDK follows.
They are about the site's own settings, so all of them warn and none of them refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.urls import NoReverseMatch, URLResolver, get_resolver, get_script_prefix
from django.urls.resolvers import RegexPattern

from cognito_reset.aws.cors import ALLOW_HEADERS, EXPOSE_HEADERS

# A interface's name, and those of the addresses that are looked at.
AWS: Final = ("cognito_reset_aws", ("endpoint",))
REST: Final = ("cognito_reset_rest", ("request", "confirm"))


def check_urls(**_: Any) -> list[CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    aws = [path for (path,) in _mounted(*AWS, get_resolver())]
    rest = [*_mounted(*REST, get_resolver())]
    found: list[CheckMessage] = []
    for check in (_redirects(aws), _cors(aws, rest)):
        try:
            found += check
        except (TypeError, re.error):  # Django and django-cors-headers say so themselves
            pass
    return found


def _warning(id: str, message: str, hint: str) -> CheckMessage:
    return Warning(message, hint=hint, id=f"cognito_reset.{id}")


def _mounted(
    app_name: str, names: tuple[str, ...], within: URLResolver, outer: str = ""
) -> Iterator[list[str]]:
    """
    Give the paths of each include of a interface, but for those that a request fills in. Not by reverse():
    of two includes with one namespace it knows one only.
    """
    for pattern in within.url_patterns:
        if not isinstance(pattern, URLResolver):
            continue
        prefix = outer + str(pattern.pattern.regex.pattern).removeprefix("^")
        if pattern.app_name != app_name:
            yield from _mounted(app_name, names, pattern, prefix)
            continue
        interface = URLResolver(RegexPattern(prefix), pattern.url_patterns)
        root = URLResolver(RegexPattern(""), [interface])
        try:
            yield ["/" + root.reverse(name) for name in names]
        except (NoReverseMatch, ValueError):  # or a regex that Django itself can't reverse
            pass


def _forms(path: str) -> list[str]:
    """What SDKs make of an endpoint: JavaScript and Go add a slash, R adds another."""
    stem = path.rstrip("/")
    return [stem or "/", f"{stem}/", f"{stem}//"]


def _redirects(aws: list[str]) -> Iterator[CheckMessage]:
    for path in aws:
        if path != "/" and path.endswith("/"):
            yield _warning(
                "W016",
                f"The endpoint for AWS SDKs, {path}, is mounted with a slash at its end.",
                "Most SDKs post without one, and follow no redirect. Mount it as in "
                'path("cognito", include("cognito_reset.aws.urls")).',
            )
    if not (settings.SECURE_SSL_REDIRECT and _place("SecurityMiddleware") is not None):
        return
    exempt = settings.SECURE_REDIRECT_EXEMPT
    for path in aws:
        full = get_script_prefix() + path.lstrip("/")
        asked = [form.lstrip("/") for form in _forms(full)]  # as SecurityMiddleware does
        if not all(any(re.search(pattern, form) for pattern in exempt) for form in asked):
            yield _warning(
                "W015",
                f"SECURE_SSL_REDIRECT redirects the endpoint for AWS SDKs, {path}.",
                "No SDK follows it, and Amplify follows it as a GET. Add "
                f'r"^{re.escape(full.strip("/"))}/*$" to SECURE_REDIRECT_EXEMPT.',
            )


def _place(name: str) -> int | None:
    """Where in MIDDLEWARE this class stands, or another whose name ends so."""
    places = (place for place, path in enumerate(settings.MIDDLEWARE) if path.endswith(name))
    return next(places, None)


def _cors(aws: list[str], rest: list[list[str]]) -> Iterator[CheckMessage]:
    """What django-cors-headers, where it is there, does to the endpoints that it is asked about."""
    cors = _place("CorsMiddleware")
    if cors is None:
        return
    covers = re.compile(getattr(settings, "CORS_URLS_REGEX", "")).match
    for path in aws:
        if not all(map(covers, _forms(path)[:2])):  # no browser makes the third
            yield _warning(
                "W013",
                f"CORS_URLS_REGEX leaves out the endpoint for AWS SDKs, {path}, or a form of it.",
                f"SDKs post to {path.rstrip('/')}/ as well as without the slash: let it match "
                f'r"^{re.escape(path.rstrip("/"))}/*$", too, or silence this where no other origin '
                "needs it.",
            )
    for paths in rest:
        left_out = [path for path in paths if not covers(path)]
        if 0 < len(left_out) < len(paths):
            yield _warning(
                "W017",
                f"CORS_URLS_REGEX leaves out {', '.join(left_out)}, one of the two steps over REST.",
                "A page on another origin can then take the other one alone: let it match both.",
            )
    for_aws = any(covers(form) for path in aws for form in _forms(path))
    for_rest = any(covers(path) for paths in rest for path in paths)
    yield from _headers(for_aws, for_rest)
    for name in ("SecurityMiddleware", "CommonMiddleware"):
        place = _place(name)
        answers = name == "CommonMiddleware" or settings.SECURE_SSL_REDIRECT
        if (for_aws or for_rest) and answers and place is not None and place < cors:
            yield _warning(
                "W014",
                f"MIDDLEWARE has {name} above CorsMiddleware.",
                "What it answers by itself then has no Access-Control-Allow-Origin, and a browser "
                "calls that a network error. Put CorsMiddleware first.",
            )


def _headers(aws: bool, rest: bool) -> Iterator[CheckMessage]:
    # Of what SDKs send, django-cors-headers' default has this alone.
    allowed = {*map(str.lower, getattr(settings, "CORS_ALLOW_HEADERS", ["content-type"]))}
    missing = [header for header in ALLOW_HEADERS if not allowed & {header, "*"}]
    if aws and missing:
        yield _warning(
            "W011",
            f"CORS_ALLOW_HEADERS lacks {', '.join(missing)}.",
            "Browsers then send nothing that an AWS SDK asks them to. Set it to "
            "(*corsheaders.defaults.default_headers, *cognito_reset.aws.cors.ALLOW_HEADERS).",
        )
    exposed = {*map(str.lower, getattr(settings, "CORS_EXPOSE_HEADERS", []))}
    wanted = [
        header
        for header in EXPOSE_HEADERS
        if (aws if header.startswith("x-amzn-") else rest) and not exposed & {header.lower(), "*"}
    ]
    if wanted:
        yield _warning(
            "W012",
            f"CORS_EXPOSE_HEADERS lacks {', '.join(wanted)}.",
            "Clients on another origin then can't read why they were refused, or how long to wait. "
            "Set it to cognito_reset.aws.cors.EXPOSE_HEADERS.",
        )
