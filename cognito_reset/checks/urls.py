"""
Checks that need the site's URL patterns: links and pools that don't exist, CORS, and redirects, which no AWS
SDK follows. The last two only warn, because these settings belong to the site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage
from django.urls import NoReverseMatch, URLResolver, get_resolver, get_script_prefix
from django.urls.resolvers import RegexPattern

from cognito_reset.aws.cors import ALLOW_HEADERS, EXPOSE_HEADERS
from cognito_reset.checks import message
from cognito_reset.conf import SETTINGS, CognitoResetMisconfigured, conf
from cognito_reset.parsers import address_of, suggestion

# The app_name of an interface, and the names of the URLs to look at.
AWS: Final = ("cognito_reset_aws", ("endpoint",))
REST: Final = ("cognito_reset_rest", ("request", "confirm"))
INTERFACES: Final = {"cognito_reset", AWS[0], REST[0]}


def check_urls(**_: Any) -> list[CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    aws = [path for (path,) in _mounted(*AWS, get_resolver())]
    rest = [*_mounted(*REST, get_resolver())]
    found: list[CheckMessage] = []
    for check in (_links(), _pools(get_resolver()), _redirects(aws), _cors(aws, rest)):
        try:
            found += check
        # Django, django-cors-headers and checks/settings.py have checks for these.
        except (TypeError, re.error, CognitoResetMisconfigured):
            pass
    return found


def _links() -> Iterator[CheckMessage]:
    for key, link in (("SIGN_IN_URL", conf.sign_in_url), ("CONTACT_URL", conf.contact_url)):
        if link is not None and address_of(link) is None:
            setting = SETTINGS[key]
            text = f"{setting.name(conf)} can't be used: it is not an address, and no URL pattern "
            yield message("E014", f"{text}without arguments has this name.", setting.hint(conf))


def _pools(within: URLResolver, outer: object = None) -> Iterator[CheckMessage]:
    """Check the pools that the site's calls of include() pass to an interface."""
    for pattern in within.url_patterns:
        if not isinstance(pattern, URLResolver):
            continue
        pool = pattern.default_kwargs.get("pool", outer)
        if pattern.app_name not in INTERFACES:
            yield from _pools(pattern, pool)
        elif pool is not None and pool not in conf.pool_aliases():
            nearest = suggestion(pool, conf.pool_aliases())
            text = f'An include() passes the pool "{pool}", which COGNITO_RESET["POOLS"] lacks{nearest}.'
            hint = f"POOLS has {', '.join(conf.pool_aliases())}. All pages of this include() answer 404."
            yield message("E027", text, hint)


def _mounted(
    app_name: str, names: tuple[str, ...], within: URLResolver, outer: str = ""
) -> Iterator[list[str]]:
    """
    Yield the paths of each include of an interface, except of includes whose path has arguments.
    reverse() can't be used: it finds only one of two includes that share a namespace.
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
        except (NoReverseMatch, ValueError):  # it has arguments, or Django can't reverse its regex
            pass


def _forms(path: str) -> list[str]:
    """
    Return the paths that SDKs post to. JavaScript and Go add a slash if there is none; R and Haskell add one to
    whatever the endpoint is.
    """
    stem = path.rstrip("/")
    return [stem or "/", f"{stem}/", f"{stem}//", f"{stem}///"]


def _redirects(aws: list[str]) -> Iterator[CheckMessage]:
    for path in aws:
        if path != "/" and path.endswith("/"):
            text = f"The endpoint for AWS SDKs, {path}, is included with a slash at its end."
            hint = 'Include it as in path("cognito", include("cognito_reset.aws.urls")). Most SDKs '
            hint += "post without a slash and follow no redirect."
            yield message("W016", text, hint)
    if not (settings.SECURE_SSL_REDIRECT and _place("SecurityMiddleware") is not None):
        return
    exempt = settings.SECURE_REDIRECT_EXEMPT
    for path in aws:
        full = get_script_prefix() + path.lstrip("/")
        matched = [form.lstrip("/") for form in _forms(full)]  # as SecurityMiddleware does
        if not all(any(re.search(pattern, form) for pattern in exempt) for form in matched):
            text = f"SECURE_SSL_REDIRECT redirects the endpoint for AWS SDKs, {path}."
            hint = f'Add r"^{re.escape(full.strip("/"))}/*$" to SECURE_REDIRECT_EXEMPT. No SDK '
            hint += "follows the redirect, except Amplify, which follows it with a GET."
            yield message("W015", text, hint)


def _place(name: str) -> int | None:
    """Return the index in MIDDLEWARE of the first class whose name ends with ``name``."""
    places = (place for place, path in enumerate(settings.MIDDLEWARE) if path.endswith(name))
    return next(places, None)


def _cors(aws: list[str], rest: list[list[str]]) -> Iterator[CheckMessage]:
    """Check how django-cors-headers, if it is installed, treats the endpoints."""
    cors = _place("CorsMiddleware")
    if cors is None:
        return
    covers = re.compile(getattr(settings, "CORS_URLS_REGEX", "")).match
    for path in aws:
        if not all(map(covers, _forms(path)[:2])):  # clients in browsers use only these two
            stem = path.rstrip("/")
            text = f"CORS_URLS_REGEX doesn't match the endpoint for AWS SDKs at both {stem} and {stem}/."
            hint = f'Let it match r"^{re.escape(stem)}/*$" too, because SDKs post to both. Silence '
            hint += "this if no other origin uses the endpoint."
            yield message("W013", text, hint)
    for paths in rest:
        left_out = [path for path in paths if not covers(path)]
        if 0 < len(left_out) < len(paths):
            text = f"CORS_URLS_REGEX doesn't match {left_out[0]}, one of the two REST endpoints."
            hint = "Let it match both. Otherwise a page on another origin can use only one of them."
            yield message("W017", text, hint)
    for_aws = any(covers(form) for path in aws for form in _forms(path))
    for_rest = any(covers(path) for paths in rest for path in paths)
    # django-cors-headers allows content-type by default, but no other header of SDKs.
    missing = _missing("CORS_ALLOW_HEADERS", ["content-type"], ALLOW_HEADERS if for_aws else ())
    if missing:
        hint = "Set it to (*corsheaders.defaults.default_headers, *cognito_reset.aws.cors.ALLOW_HEADERS)."
        hint += " Otherwise browsers don't send the requests of AWS SDKs."
        yield message("W011", f"CORS_ALLOW_HEADERS lacks {missing}.", hint)
    read = [name for name in EXPOSE_HEADERS if (for_aws if name.startswith("x-") else for_rest)]
    missing = _missing("CORS_EXPOSE_HEADERS", [], read)
    if missing:
        hint = "Set it to cognito_reset.aws.cors.EXPOSE_HEADERS. Otherwise clients on another "
        hint += "origin can't read why they were refused, or how long to wait."
        yield message("W012", f"CORS_EXPOSE_HEADERS lacks {missing}.", hint)
    for name in ("SecurityMiddleware", "CommonMiddleware"):
        place = _place(name)
        answers = name == "CommonMiddleware" or settings.SECURE_SSL_REDIRECT
        if (for_aws or for_rest) and answers and place is not None and place < cors:
            hint = f"Put CorsMiddleware first. Otherwise a response that {name} makes itself has "
            hint += "no Access-Control-Allow-Origin, which browsers report as a network error."
            yield message("W014", f"MIDDLEWARE has {name} above CorsMiddleware.", hint)


def _missing(setting: str, default: list[str], names: Iterable[str]) -> str:
    """Return those of ``names`` that a setting of django-cors-headers lacks."""
    listed = {*map(str.lower, getattr(settings, setting, default))}
    return ", ".join(name for name in names if not listed & {name.lower(), "*"})
