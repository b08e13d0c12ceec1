"""
How the values of ``settings.COGNITO_RESET`` are read.

Each parser returns the value to use, or raises one of ``REASONS``. ``conf.py`` says which key has which parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from ipaddress import IPv4Network, IPv6Network, ip_network
from operator import attrgetter, methodcaller
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from django.contrib.auth import get_user_model
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.backends.redis import RedisCache
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.module_loading import import_string

from cognito_reset.secret import Secret

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

T = TypeVar("T")

SIGN_IN_NAMES: Final = ("username", "email", "phone_number")
DEFAULT_LIMITS: Final = {
    "request": {"identifier": "1/m,3/h", "network": "20/h", "site": "1000/h"},
    "confirm": {"identifier": "5/15m,7/h", "network": "60/h", "site": "3000/h"},
}
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# What a parser may raise. The texts end the sentence "… can't be used: …", and never show a value that may be a
# secret.
REASONS: Final = (ValueError, ImportError, InvalidCacheBackendError)

# How the address of a link begins: with one of these schemes, or with one slash. Other links depend on the
# page's own address, and browsers take "//" and "/\\" for the beginning of another host.
_HOST: Final = r"(\[[0-9a-f:.]+\]|[\w-]+(\.[\w-]+)*\.?)(:[0-9]{1,5})?"
_ADDRESS: Final = rf"(?i)https?://([^\s/?#\\@]*@)?{_HOST}([/?#]|$)|mailto:.|tel:[+0-9]|/(?![/\\])"
NO_PAGE: Final = r"(?i)(mailto|tel):"  # addresses that don't lead to a page
# The name of a URL pattern, with namespaces. A text that begins like a URL isn't one.
URL_NAME: Final = r"(?i)(?!(https?|javascript|mailto|tel|vbscript):)[\w.-]+(:[\w.-]+)*"
REGION: Final = r"[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}"
# UserPoolIdType and ClientIdType in botocore's model.
USER_POOL_ID: Final = r"(?!.{56})[\w-]+_[0-9a-zA-Z]+"
CLIENT_ID: Final = r"[\w+]{1,128}"
# What botocore accepts as an endpoint, without user, query and fragment.
URL: Final = r"(?i)https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?(/[^\s?#@\\]*)?"


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return ' (did you mean "…"?)' with the nearest known word, or an empty string."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(str(word).lower(), by_lower, n=1)
    return f' (did you mean "{by_lower[found[0]]}"?)' if found else ""


def optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Treat an empty string as None, because a missing environment variable is often read as one."""
    return lambda value: None if value in (None, "") else parse(value)


def instance_of(*types: type) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not isinstance(value, types):
            raise ValueError(f"it is of the type {type(value).__name__}")
        return value

    return parse


def matching(pattern: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not (isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII)):
            raise ValueError("it does not have the right form")
        return value

    return parse


def function(value: Any) -> Callable[..., Any]:
    if isinstance(value, str):
        if not re.fullmatch(r"\w+(\.\w+)+", value):
            raise ValueError("it is not a dotted path")
        try:
            value = import_string(value)
        except ImportError:
            raise
        except Exception as error:  # the module's own error, whose text may contain a secret
            raise ValueError(f"its module raises {type(error).__name__}") from None
    if not callable(value):
        raise ValueError("it is not callable")
    return value  # type: ignore[no-any-return]


def names(value: Any) -> frozenset[str]:
    return frozenset(_strings(instance_of(list, tuple, set, frozenset)(value)))


def texts(value: Any) -> dict[str, str]:
    found: dict[str, str] = dict(instance_of(Mapping)(value))
    _strings([*found, *found.values()])
    return found


def proxies(value: Any) -> dict[str, str]:
    found = texts(value)
    if not found.keys() <= {"http", "https"}:
        # Don't name the key: it may be the URL of a proxy, with a password.
        raise ValueError('it has a key other than "http" and "https"')
    return found


def _strings(values: Any) -> Any:
    if not all(isinstance(text, str) for text in values):
        raise ValueError("it contains something other than strings")
    return values


def cognito_username(value: Any) -> Callable[[AbstractBaseUser], str]:
    source: Callable[[AbstractBaseUser], Any]
    if value is None:
        source = methodcaller("get_username")
    elif isinstance(value, str) and "." not in value:
        if not hasattr(get_user_model(), value):
            raise ValueError("the user model has no such attribute")
        source = attrgetter(value)
    else:
        source = function(value)
    return lambda user: "" if (name := source(user)) is None else str(name)


@dataclass(frozen=True)
class Rate:
    """At most ``limit`` attempts in any ``seconds``."""

    limit: int
    seconds: int


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Return the rates in a text such as "20/h", "5/15m" or "1/m,3/h"."""
    rates: dict[int, Rate] = {}
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*([1-9][0-9]{0,6})/([1-9][0-9]{0,5})?([smhd])\s*", part)
        seconds = int(match[2] or 1) * UNITS[match[3]] if match else 0
        if match is None or seconds in rates:
            raise ValueError(f'"{text}" is not like "20/h" or "1/m,3/h"')
        rates[seconds] = Rate(int(match[1]), seconds)
    return tuple(rates.values())


def _only(known: Iterable[str], kind: str, value: Any) -> dict[str, Any]:
    for name in instance_of(Mapping)(value):
        if name not in known:
            raise ValueError(f'it has an unknown {kind} "{name}"{suggestion(name, known)}')
    return dict(value)


def limits(value: Any) -> Mapping[str, Mapping[str, tuple[Rate, ...]]] | None:
    if value is False:
        return None
    rates, changes = {}, _only(DEFAULT_LIMITS, "step", value)
    for step, default in DEFAULT_LIMITS.items():
        levels = {**default, **_only(default, "level", changes.get(step, {}))}
        rates[step] = {
            level: () if text is None else parse_rates(text) for level, text in levels.items()
        }
    return rates


def limits_cache(value: Any) -> str:
    alias: str = instance_of(str)(value)
    # Django's own error shows the alias, which may be the URL of a cache by mistake, with a password.
    if alias not in caches.settings:
        raise ValueError("CACHES has no such alias")
    if isinstance(caches[alias], RedisCache):
        import_module("redis")  # Django itself imports it only at the first command
    return alias


def trusted_proxies(value: Any) -> Mapping[str, Any]:
    """Return the value, with the networks of CIDRS parsed."""
    match [*_only(("COUNT", "CIDRS", "HEADER"), "key", value).items()]:
        case [("COUNT", int(count))] if count > 0 and count is not True:
            return {"COUNT": count}
        case [("HEADER", str(header))] if re.fullmatch(r"[A-Za-z0-9-]+", header):
            return {"HEADER": header}
        case [("CIDRS", [_, *_] as cidrs)]:
            return {"CIDRS": [_proxy_network(str(cidr)) for cidr in cidrs]}
    raise ValueError("it does not have the right form")


@lru_cache
def _proxy_network(cidr: str) -> IPv4Network | IPv6Network:
    network = ip_network(cidr)
    if network.prefixlen < 7:  # fc00::/7 and 10.0.0.0/8 are the largest private networks
        raise ValueError(f"{network} contains visitors, whose headers can't be believed")
    return network


def pools(value: Any) -> Mapping[str, Mapping[str, Any]]:
    if not (isinstance(value, Mapping) and value):
        raise ValueError("it is not a dict with at least one pool")
    if not all(isinstance(alias, str) and isinstance(value[alias], Mapping) for alias in value):
        raise ValueError("it contains something other than names and dicts")
    return value


def secret(value: Any) -> Secret | Callable[[], str] | None:
    return value if callable(value) else parse_secret(value)


def parse_secret(value: Any) -> Secret | None:
    """Return the app client's secret. The errors name what files and secrets managers often add to it."""
    text = value.reveal() if isinstance(value, Secret) else value
    if text in (None, ""):
        return None
    if instance_of(str)(text).lstrip().startswith(("{", "[")):
        raise ValueError("it is JSON; the secret is one of the values in it")
    if text != text.strip():
        kind = "a line break" if re.search(r"^[\r\n]|[\r\n]$", text) else "a space or tab"
        raise ValueError(f"it begins or ends with {kind}")
    if text[0] in "\"'":
        raise ValueError("it has quotes around it")
    if not 24 <= len(text) <= 64:  # ClientSecretType in botocore's model, as is the pattern
        raise ValueError(f"its length is {len(text)}, and a secret has 24 to 64 characters")
    if not re.fullmatch(r"[\w+]+", text, re.ASCII):
        raise ValueError("it has other characters than letters, digits, _ and +")
    return Secret(text)


def file(value: Any) -> str:
    # Path.is_file() raises an error if a text is too long for a path, as the certificates themselves are.
    if not isfile(instance_of(str, Path)(value)):
        raise ValueError("there is no such file")
    return str(value)


def password_policy(value: Any) -> Mapping[str, Any] | Literal["pool"]:
    """Accept Cognito's PasswordPolicyType, as DescribeUserPool returns it."""
    if value == "pool":
        return "pool"
    numbers = ("MinimumLength", "PasswordHistorySize", "TemporaryPasswordValidityDays")
    flags = ("RequireLowercase", "RequireUppercase", "RequireNumbers", "RequireSymbols")
    policy = _only((*numbers, *flags), "rule", value)
    for rule, wanted in policy.items():
        if type(wanted) is not (bool if rule in flags else int):
            raise ValueError(f"{rule} is of the type {type(wanted).__name__}")
    if not 6 <= policy.get("MinimumLength", 8) <= 99:
        raise ValueError("MinimumLength is not from 6 to 99")
    return policy


def sign_in_with(value: Any) -> tuple[str, ...]:
    given = names(SIGN_IN_NAMES if value in (None, "") else value)
    found = _only(SIGN_IN_NAMES, "name", dict.fromkeys(given))
    if not found:
        raise ValueError("it is empty")
    return tuple(name for name in SIGN_IN_NAMES if name in found)


def phone_region(value: Any) -> str:
    if not (isinstance(value, str) and value in import_module("phonenumbers").SUPPORTED_REGIONS):
        raise ValueError("it is not the code of a country")
    return value


def is_region(text: str) -> bool:
    return bool(re.fullmatch(REGION, text))


def is_address(text: str) -> bool:
    """Check whether a link on a page may have this text as its address."""
    # Browsers ignore line breaks and tabs: "java\nscript:" is a scheme for them.
    is_plain = text.isprintable() and text == text.strip()
    return is_plain and bool(re.match(_ADDRESS, text))


def address_of(link: str | None) -> str | None:
    """Return the address that a setting names, or None if it can't be resolved."""
    try:
        text = str(link or "")
        address = text if re.match(NO_PAGE, text) else resolve_url(text)
    except NoReverseMatch:
        return None
    return address if is_address(address) else None
