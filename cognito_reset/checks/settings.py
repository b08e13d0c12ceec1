"""
Every mistake in ``settings.COGNITO_RESET`` that can be told before a person meets it. Ids are stable:
a site silences one with SILENCED_SYSTEM_CHECKS. No message shows a value: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, TypeGuard

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Info, Warning
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from cognito_reset.cognito.errors import CognitoResetMisconfigured
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import (
    DEFAULT_LIMITS,
    DEFAULT_POOL,
    DEFAULTS,
    POOL_REQUIRED,
    are_sign_in_names,
    is_number,
    is_password_policy,
    is_texts,
)
from cognito_reset.resets.identifiers import REGIONS
from cognito_reset.resets.ratelimits import parse_rates

# botocore's model: UserPoolIdType and ClientIdType.
_USER_POOL_ID: Final = re.compile(r"(?!.{56})[\w-]+_[0-9a-zA-Z]+", re.ASCII)
_CLIENT_ID: Final = re.compile(r"[\w+]{1,128}", re.ASCII)
_REGION: Final = re.compile(r"[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}")
# What botocore takes for an endpoint, without user, query and fragment.
_URL: Final = re.compile(
    r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?(/[^\s?#@\\]*)?", re.IGNORECASE
)
_PLAIN_HTTP: Final = re.compile(
    r"http://(?!(localhost|127\.0\.0\.1|\[::1\])([:/]|$))", re.IGNORECASE
)
# Their add() isn't atomic, isn't shared by processes, or forgets what it should count.
_UNSAFE_CACHES: Final = (LocMemCache, DummyCache, FileBasedCache, DatabaseCache)


@dataclass(frozen=True)
class Rule:
    """What a key's value must be, in code and in words."""

    id: str
    accepts: Callable[[Any], bool]
    hint: str


def check_settings(**_: Any) -> list[CheckMessage]:
    values = getattr(settings, "COGNITO_RESET", None)
    if not isinstance(values, Mapping):
        hint = 'Set it to {"POOLS": {"default": {"REGION": …, "USER_POOL_ID": …, "CLIENT_ID": …}}}.'
        return [_error("E001", "COGNITO_RESET is not set to a dict.", hint)]
    return [*_mistakes("COGNITO_RESET", values, RULES, ["POOLS"]), *_pools(values), *_risks(values)]


def check_deployment(**_: Any) -> list[CheckMessage]:
    values = getattr(settings, "COGNITO_RESET", None)
    return [*_deployment_risks(values)] if isinstance(values, Mapping) else []


def _error(id: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"cognito_reset.{id}")


def _warning(id: str, message: str, hint: str) -> CheckMessage:
    return Warning(message, hint=hint, id=f"cognito_reset.{id}")


def _mistakes(
    name: str, values: Mapping[str, Any], rules: Mapping[str, Rule], required: Collection[str]
) -> Iterator[CheckMessage]:
    for key in values:
        if key not in rules:
            hint = f"Its keys are {', '.join(rules)}."
            yield _error("E002", f'{name} has an unknown key "{key}".', hint)
    for key, rule in rules.items():
        if key in values and not rule.accepts(values[key]):
            yield _error(rule.id, f'{name}["{key}"] can\'t be used.', rule.hint)
        if key in required and key not in values:
            yield _error("E003", f'{name} has no "{key}".', rule.hint)


def _pools(values: Mapping[str, Any]) -> Iterator[CheckMessage]:
    pools = values.get("POOLS")
    if not _is_pools(pools):
        return
    if DEFAULT_POOL not in pools and not values.get("POOL_RESOLVER"):
        yield _warning(
            "W001",
            f'COGNITO_RESET["POOLS"] has no pool "{DEFAULT_POOL}".',
            'Every include() must then name its pool, as in include(…, {"pool": "brand"}).',
        )
    ids = [pool.get("USER_POOL_ID") for pool in pools.values()]
    if len({*map(str, ids)}) < len(ids):
        yield _warning(
            "W010",
            'Two of COGNITO_RESET["POOLS"] have the same "USER_POOL_ID".',
            "Limits are counted for each alias, so such a pool's users can be tried twice as often.",
        )
    for alias, pool in pools.items():
        name = f'COGNITO_RESET["POOLS"]["{alias}"]'
        yield from _mistakes(name, pool, POOL_RULES, POOL_REQUIRED)
        if _PLAIN_HTTP.match(str(pool.get("ENDPOINT_URL"))):
            message = f'{name}["ENDPOINT_URL"] is plain http.'
            hint = "Passwords and codes would cross the network in clear: use https."
            debug = settings.DEBUG
            yield _warning("W002", message, hint) if debug else _error("E010", message, hint)


def _risks(values: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if values.get("SHOW_DESTINATION"):
        yield _warning(
            "W006",
            'COGNITO_RESET["SHOW_DESTINATION"] is on.',
            "Masked addresses can tell who has an account, and part of the contact with it.",
        )
    if not any(name.endswith("SessionMiddleware") for name in settings.MIDDLEWARE):
        yield _warning(
            "W007",
            "There is no session middleware.",
            "The pages need it; the REST endpoints don't.",
        )


def _deployment_risks(values: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if values.get("UNIFORM_RESPONSE_SECONDS") == 0:
        yield _warning(
            "W003",
            'COGNITO_RESET["UNIFORM_RESPONSE_SECONDS"] is 0.',
            "How long an answer takes then tells who has an account. Leave it at 1.0.",
        )
    if values.get("LIMITS") is False:
        yield _warning(
            "W004",
            'COGNITO_RESET["LIMITS"] is False.',
            "Anybody can then send codes and guess them as fast as Cognito allows.",
        )
    if not values.get("SIGN_IN_URL"):
        yield _warning(
            "W005",
            'COGNITO_RESET["SIGN_IN_URL"] is not set.',
            "The pages then have no link to sign in with the new password.",
        )
    yield from _policy_risks(values)
    if not values.get("SIGN_OUT_EVERYWHERE"):
        yield _warning(
            "W008",
            'COGNITO_RESET["SIGN_OUT_EVERYWHERE"] is not on.',
            "Cognito ends no session when a password is reset: whoever knew the old one stays "
            "signed in. It needs credentials for AdminUserGlobalSignOut.",
        )


def _policy_risks(values: Mapping[str, Any]) -> Iterator[CheckMessage]:
    pools = values.get("POOLS")
    for alias, pool in pools.items() if _is_pools(pools) else ():
        policy = pool.get("PASSWORD_POLICY")
        if not (isinstance(policy, Mapping) and is_password_policy(policy)):
            continue
        name, least = f'COGNITO_RESET["POOLS"]["{alias}"]', policy.get("MinimumLength", 8)
        if least < 8:
            yield _warning(
                "W009",
                f"{name} lets passwords be shorter than 8 characters.",
                "NIST SP 800-63B asks for 8 at the least: change the pool's policy, and then this.",
            )
        elif least < 15 or any(policy.get(flag) for flag in policy if flag.startswith("Require")):
            yield Info(
                f"{name} asks for kinds of characters, or for fewer than 15 of them.",
                hint="NIST SP 800-63B advises 15 characters where there is no second factor, and no "
                "rules on kinds. It is the pool's policy that says so.",
                id="cognito_reset.I001",
            )


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _or_none(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


def _between(least: float, most: float, *, whole: bool = False) -> Rule:
    return Rule(
        "E019",
        lambda value: (
            is_number(value) and least <= value <= most and (not whole or value == int(value))
        ),
        f"Set it to a {'whole ' if whole else ''}number from {least} to {most}.",
    )


def _hook(which: str) -> Rule:
    hint = f"Set it to a callable {which}, or to its path."
    return Rule("E015", _or_none(_is_callable), hint)


def _is_pools(value: Any) -> TypeGuard[Mapping[str, Mapping[str, Any]]]:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(
            isinstance(alias, str) and isinstance(pool, Mapping) for alias, pool in value.items()
        )
    )


def _is_secret(value: Any) -> bool:
    return callable(value) or (isinstance(value, str) and value != "")


def _is_file(value: Any) -> bool:
    return isinstance(value, (str, Path)) and Path(value).is_file()


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and all(
        isinstance(name, str) for name in value
    )


def _is_service(value: Any) -> bool:
    if isinstance(value, str) and _is_callable(value):
        value = import_string(value)
    return isinstance(value, type) and issubclass(value, CognitoService)


def _is_callable(value: Any) -> bool:
    """Whether ``value`` is a callable, or the dotted path of one."""
    if isinstance(value, str):
        try:
            value = import_string(value)
        except ImportError:
            return False
    return callable(value)


def _is_username_source(value: Any) -> bool:
    if isinstance(value, str) and "." not in value:
        return hasattr(get_user_model(), value)
    return _is_callable(value)


def _is_limits(value: Any) -> bool:
    if value is False:
        return True
    try:
        for step, levels in value.items():
            if not set(levels) <= set(DEFAULT_LIMITS[step]):
                return False
            for rates in levels.values():
                parse_rates(rates)
    except (AttributeError, KeyError, TypeError, CognitoResetMisconfigured):
        return False
    return True


def _is_limits_cache(value: Any) -> bool:
    known = isinstance(value, str) and value in settings.CACHES
    return known and not isinstance(caches[value], _UNSAFE_CACHES)


def _is_trusted_proxies(value: Any) -> bool:
    match value:
        case {"COUNT": int(count), **rest}:
            return count > 0 and count is not True and not rest
        case {"HEADER": str(header), **rest}:
            return bool(header) and not rest
        case {"CIDRS": [_, *_] as cidrs, **rest}:
            return all(_is_network(cidr) for cidr in cidrs) and not rest
    return False


def _is_network(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ip_network(value))
    except ValueError:
        return False


POOL_RULES: Final = {
    "REGION": Rule(
        "E005",
        _matches(_REGION),
        "Set it to the Region's name, such as \"eu-west-1\". The pool's id doesn't tell it.",
    ),
    "USER_POOL_ID": Rule(
        "E006",
        _matches(_USER_POOL_ID),
        'Set it to the user pool\'s id, such as "eu-west-1_AbCdEfGhI", not to its name or ARN.',
    ),
    "CLIENT_ID": Rule(
        "E007", _matches(_CLIENT_ID), "Set it to the app client's id: letters and digits."
    ),
    "CLIENT_SECRET": Rule(
        "E008",
        _or_none(_is_secret),
        "Set it to the app client's secret, or to a callable that gives it; leave it out where the "
        "client has none.",
    ),
    "ENDPOINT_URL": Rule(
        "E009",
        _or_none(_matches(_URL)),
        'Set it to an address such as "https://cognito.example.com", without user, query or '
        "fragment; leave it out for AWS's own.",
    ),
    "CA_BUNDLE": Rule(
        "E011",
        _or_none(_is_file),
        "Set it to the path of a file of certificates. Verification can't be turned off.",
    ),
    "PROXIES": Rule(
        "E012",
        _or_none(is_texts),
        'Set it to a dict such as {"https": "http://proxy.example.com:3128"}.',
    ),
    "PASSWORD_POLICY": Rule(
        "E023",
        _or_none(is_password_policy),
        'Set it to "pool", or to the policy as in {"MinimumLength": 8, "RequireNumbers": True}.',
    ),
    "SIGN_IN_WITH": Rule(
        "E024",
        _or_none(are_sign_in_names),
        'Set it to ("username", "email", "phone_number"), or to those that the pool takes.',
    ),
    "PHONE_REGION": Rule(
        "E025",
        lambda value: value in (None, *REGIONS),
        'Set it to a country, such as "DE", and install django-cognito-reset[phone].',
    ),
    "PUBLISHED_CLIENT_ID": Rule(
        "E026",
        _or_none(_matches(_CLIENT_ID)),
        "Set it to a name of letters and digits; leave it out for the app client's id.",
    ),
}
_TRUE_OR_FALSE: Final = Rule(
    "E013", lambda value: isinstance(value, bool), "Set it to True or False."
)
_LINK: Final = Rule(
    "E014",
    lambda value: value is None or isinstance(value, (str, Promise)),
    "Set it to a path, an address or the name of a URL.",
)
RULES: Final = {
    **{key: _TRUE_OR_FALSE for key, value in DEFAULTS.items() if isinstance(value, bool)},
    "POOLS": Rule(
        "E004",
        _is_pools,
        'Set it to {"default": {"REGION": …, "USER_POOL_ID": …, "CLIENT_ID": …}}.',
    ),
    "POOL_RESOLVER": _hook("that takes the request and gives a pool's alias"),
    "SERVICE_CLASS": Rule(
        "E015", _is_service, "Set it to a subclass of CognitoService, or to its path."
    ),
    "USER_RESOLVER": _hook("that takes what was typed and gives the site's user or None"),
    "PRE_SEND_HOOK": _hook("that takes (request, *, username, pool)"),
    "CLIENT_METADATA": Rule(
        "E016",
        lambda value: is_texts(value) or _is_callable(value),
        "Set it to a dict of strings, or to a callable that takes the request and gives one.",
    ),
    "COGNITO_USERNAME": Rule(
        "E017",
        _or_none(_is_username_source),
        "Set it to an attribute of the user model, or to a callable that takes the user.",
    ),
    "FORWARD_CLIENT_METADATA": Rule(
        "E018", _is_names, "Set it to a list of the keys that callers may send."
    ),
    "CONNECT_TIMEOUT_SECONDS": _between(0.1, 10),
    "TOTAL_TIMEOUT_SECONDS": _between(1, 60),
    "UNIFORM_RESPONSE_SECONDS": _between(0, 10),
    "MAX_CONCURRENT_CALLS": _between(1, 1000, whole=True),
    "SIGN_IN_URL": _LINK,
    "CONTACT_URL": _LINK,
    "AUDIT_RETENTION_DAYS": _between(1, 36500, whole=True),
    "LIMITS": Rule(
        "E020",
        _is_limits,
        'Set it to a dict such as {"request": {"identifier": "1/m,3/h"}}: steps '
        f"{', '.join(DEFAULT_LIMITS)}; levels {', '.join(DEFAULT_LIMITS['request'])}.",
    ),
    "LIMITS_CACHE": Rule(
        "E021",
        _or_none(_is_limits_cache),
        "Set it to an alias of CACHES that is Redis or Memcached, for the others can't count "
        "exactly; None uses the database.",
    ),
    "TRUSTED_PROXIES": Rule(
        "E022",
        _or_none(_is_trusted_proxies),
        'Set it to one of {"COUNT": 1}, {"CIDRS": ["10.0.0.0/8"]} and {"HEADER": "X-Real-IP"}.',
    ),
}
