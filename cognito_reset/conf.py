"""
The keys of ``settings.COGNITO_RESET``, each declared once.

``conf`` reads them live, so ``override_settings`` works, and raises ``CognitoResetMisconfigured`` for
a value that can't be used. The system checks and docs/settings.md come from the same declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from ipaddress import IPv4Network, IPv6Network, ip_network
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from cognito_reset.secret import Secret

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

T = TypeVar("T")
N = TypeVar("N", int, float)
T_co = TypeVar("T_co", covariant=True)

DEFAULT_POOL: Final = "default"
SIGN_IN_NAMES: Final = ("username", "email", "phone_number")
DEFAULT_LIMITS: Final = {
    "request": {"identifier": "1/m,3/h", "network": "20/h", "site": "1000/h"},
    "confirm": {"identifier": "5/15m,7/h", "network": "60/h", "site": "3000/h"},
}
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class CognitoResetMisconfigured(ImproperlyConfigured):
    """
    A setting can't be used. This is no ``ResetError``, so that nothing takes it for an answer from
    Cognito: the interfaces log it and answer 503 without any detail.
    """


@dataclass(eq=False)
class Setting(Generic[T_co]):
    """
    A key, declared as the class attribute of the same name in lower case.

    ``parse`` returns the value of the attribute, or raises one of ``REASONS``. ``accepts`` describes the
    values that the key can have, for the hint of the system check ``id``. ``doc`` describes the key.
    """

    parse: Callable[[Any], T_co]
    id: str
    accepts: str
    doc: str
    default: Any = None
    required: bool = False
    key: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = name.upper()

    def __get__(self, section: Section, owner: type) -> T_co:
        value = self.read(section)
        if isinstance(value, CognitoResetMisconfigured):
            raise value
        return value

    def __set__(self, section: object, value: object) -> NoReturn:
        raise AttributeError(f'Set COGNITO_RESET["{self.key}"] instead.')

    def read(self, section: Section) -> T_co | CognitoResetMisconfigured:
        """Return the parsed value or the error."""
        if self.is_missing(section):
            return CognitoResetMisconfigured(f'{section.name} has no "{self.key}".')
        return parsed(self.parse, section.raw.get(self.key, self.default), self.name(section))

    def is_missing(self, section: Section) -> bool:
        return self.required and section.raw.get(self.key) in (None, "")

    def name(self, section: Section) -> str:
        return f'{section.name}["{self.key}"]'

    def hint(self, section: Section) -> str:
        return f"Set {self.name(section)} to {self.accepts.replace('`', '')}."


def parsed(parse: Callable[[Any], T], value: Any, name: str) -> T | CognitoResetMisconfigured:
    """
    Return the parsed value or the error. The error isn't raised here, because error trackers show the
    variables of the function that raises, and the value may be a secret.
    """
    try:
        return parse(value)
    except REASONS as reason:
        return CognitoResetMisconfigured(f"{name} can't be used: {str(reason).rstrip('.')}.")


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return ' (did you mean "…"?)' with the nearest known word, or an empty string."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(str(word).lower(), by_lower, n=1)
    return f' (did you mean "{by_lower[found[0]]}"?)' if found else ""


# Parsers: each returns the value to use, or raises one of these errors. Their texts end the sentence
# "… can't be used: …", and never show a value that may be a secret.
REASONS: Final = (ValueError, ImportError, InvalidCacheBackendError)


def _optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Treat an empty string as None, because a missing environment variable is often read as one."""
    return lambda value: None if value in (None, "") else parse(value)


def _instance_of(*types: type) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not isinstance(value, types):
            raise ValueError(f"it is of the type {type(value).__name__}")
        return value

    return parse


def _matching(pattern: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not (isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII)):
            raise ValueError("it does not have the right form")
        return value

    return parse


def _function(value: Any) -> Callable[..., Any]:
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


def _names(value: Any) -> frozenset[str]:
    return frozenset(_strings(_instance_of(list, tuple, set, frozenset)(value)))


def _texts(value: Any) -> dict[str, str]:
    texts: dict[str, str] = dict(_instance_of(Mapping)(value))
    _strings([*texts, *texts.values()])
    return texts


def _proxies(value: Any) -> dict[str, str]:
    return _texts(_only(("http", "https"), "scheme", value))


def _strings(values: Any) -> Any:
    if not all(isinstance(text, str) for text in values):
        raise ValueError("it contains something other than strings")
    return values


def _client_metadata(value: Any) -> Callable[[HttpRequest | None], dict[str, str]]:
    if isinstance(value, Mapping):
        texts = _texts(value)
        return lambda request: texts.copy()
    function = _function(value)

    def client_metadata(request: HttpRequest | None) -> dict[str, str]:
        texts = parsed(_texts, function(request), 'The result of COGNITO_RESET["CLIENT_METADATA"]')
        if isinstance(texts, CognitoResetMisconfigured):
            raise texts
        return texts

    return client_metadata


def _cognito_username(value: Any) -> Callable[[AbstractBaseUser], str]:
    source: Callable[[AbstractBaseUser], Any]
    if value is None:
        source = methodcaller("get_username")
    elif isinstance(value, str) and "." not in value:
        if not hasattr(get_user_model(), value):
            raise ValueError("the user model has no such attribute")
        source = attrgetter(value)
    else:
        source = _function(value)
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
    for name in _instance_of(Mapping)(value):
        if name not in known:
            raise ValueError(f'it has an unknown {kind} "{name}"{suggestion(name, known)}')
    return dict(value)


def _limits(value: Any) -> Mapping[str, Mapping[str, tuple[Rate, ...]]] | None:
    if value is False:
        return None
    limits, changes = {}, _only(DEFAULT_LIMITS, "step", value)
    for step, default in DEFAULT_LIMITS.items():
        levels = {**default, **_only(default, "level", changes.get(step, {}))}
        limits[step] = {
            level: () if rates is None else parse_rates(rates) for level, rates in levels.items()
        }
    return limits


def _limits_cache(value: Any) -> str:
    alias: str = _instance_of(str)(value)
    if isinstance(caches[alias], RedisCache):
        import_module("redis")  # Django itself imports it only at the first command
    return alias


def _trusted_proxies(value: Any) -> Mapping[str, Any]:
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


def _pools(value: Any) -> Mapping[str, Mapping[str, Any]]:
    if not (isinstance(value, Mapping) and value):
        raise ValueError("it is not a dict with at least one pool")
    if not all(isinstance(alias, str) and isinstance(value[alias], Mapping) for alias in value):
        raise ValueError("it contains something other than names and dicts")
    return value


def _secret(value: Any) -> Secret | Callable[[], str] | None:
    return value if callable(value) else parse_secret(value)


def parse_secret(value: Any) -> Secret | None:
    """Return the app client's secret. The errors name what files and secrets managers often add to it."""
    text = value.reveal() if isinstance(value, Secret) else value
    if text in (None, ""):
        return None
    if _instance_of(str)(text).lstrip().startswith(("{", "[")):
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


def _file(value: Any) -> str:
    if not Path(_instance_of(str, Path)(value)).is_file():
        raise ValueError("there is no such file")
    return str(value)


def _password_policy(value: Any) -> Mapping[str, Any] | Literal["pool"]:
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


def _sign_in_with(value: Any) -> tuple[str, ...]:
    given = _names(SIGN_IN_NAMES if value in (None, "") else value)
    names = _only(SIGN_IN_NAMES, "name", dict.fromkeys(given))
    if not names:
        raise ValueError("it is empty")
    return tuple(name for name in SIGN_IN_NAMES if name in names)


def _phone_region(value: Any) -> str:
    if not (isinstance(value, str) and value in import_module("phonenumbers").SUPPORTED_REGIONS):
        raise ValueError("it is not the code of a country")
    return value


def _flag(default: bool, doc: str) -> Setting[bool]:
    return Setting(_instance_of(bool), "E013", "`True` or `False`", doc, default)


def _number(default: N, least: float, most: float, doc: str) -> Setting[N]:
    kind = type(default)

    def parse(value: Any) -> N:
        if type(value) not in (int, kind) or not least <= value <= most:
            raise ValueError("it is not such a number")
        return kind(value)

    number = {int: "a whole number", float: "a number"}[kind]
    return Setting(parse, "E019", f"{number} from {least} to {most}", doc, default)


def _link(more: str, doc: str) -> Setting[str | None]:
    accepts = (
        f"a path that begins with `/`, an http or https URL{more} or the name of a URL pattern"
    )

    def parse(value: Any) -> str | None:
        # A lazy text can't be read before the URL patterns are loaded: checks/urls.py checks it.
        is_lazy = isinstance(value, Promise)
        if not is_lazy and value in (None, ""):
            return None
        text: str = _instance_of(str, Promise)(value)
        if is_lazy or re.fullmatch(_URL_NAME, text):
            return text
        if not is_address(text) or (re.match(_NO_PAGE, text) and not more):
            raise ValueError("it is not an address")
        return text

    return Setting(parse, "E014", accepts, doc)


def is_region(text: str) -> bool:
    return bool(re.fullmatch(_REGION, text))


def is_address(text: str) -> bool:
    """Check whether a link on a page may have this text as its address."""
    # Browsers ignore line breaks and tabs: "java\nscript:" is a scheme for them.
    is_plain = text.isprintable() and text == text.strip()
    return is_plain and bool(re.match(_ADDRESS, text))


def address_of(link: str | None) -> str | None:
    """Return the address that a setting names, or None if it can't be resolved."""
    try:
        text = str(link or "")
        address = text if re.match(_NO_PAGE, text) else resolve_url(text)
    except NoReverseMatch:
        return None
    return address if is_address(address) else None


def _hook(takes: str, doc: str) -> Setting[Callable[..., Any] | None]:
    accepts = f"a callable that takes {takes}, or its dotted path"
    return Setting(_optional(_function), "E015", accepts, doc)


# How the address of a link begins: with one of these schemes, or with one slash. Other links depend on the
# page's own address, and browsers take "//" and "/\\" for the beginning of another host.
_HOST: Final = r"(\[[0-9a-f:.]+\]|[\w-]+(\.[\w-]+)*\.?)(:[0-9]{1,5})?"
_ADDRESS: Final = rf"(?i)https?://([^\s/?#\\@]*@)?{_HOST}([/?#]|$)|mailto:.|tel:[+0-9]|/(?![/\\])"
_NO_PAGE: Final = r"(?i)(mailto|tel):"  # addresses that don't lead to a page
# The name of a URL pattern, with namespaces. A text that begins like a URL isn't one.
_URL_NAME: Final = r"(?i)(?!(https?|javascript|mailto|tel|vbscript):)[\w.-]+(:[\w.-]+)*"
_REGION: Final = r"[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}"
# UserPoolIdType and ClientIdType in botocore's model.
_USER_POOL_ID: Final = r"(?!.{56})[\w-]+_[0-9a-zA-Z]+"
_CLIENT_ID: Final = r"[\w+]{1,128}"
# What botocore accepts as an endpoint, without user, query and fragment.
_URL: Final = r"(?i)https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?(/[^\s?#@\\]*)?"


# Each declaration has, in this order: the parser, the check's id, what the key accepts, what it does.


@dataclass
class PoolSettings:
    """One entry of POOLS. Two are equal if all their settings are: then a client can be kept."""

    alias: str
    raw: Mapping[str, Any] = field(repr=False)  # has the secret, and passwords of proxies

    # fmt: off
    region = Setting(
        _matching(_REGION), "E005", 'the name of the Region, such as `"eu-west-1"`',
        "The AWS Region of the pool.", required=True)
    user_pool_id = Setting(
        _matching(_USER_POOL_ID), "E006",
        'the pool\'s id, such as `"eu-west-1_AbCdEfGhI"`, not its name or ARN',
        "The user pool.", required=True)
    client_id = Setting(
        _matching(_CLIENT_ID), "E007", "the app client's id: letters and digits",
        "The app client that this site uses.", required=True)
    client_secret = Setting(
        _secret, "E008", "the app client's secret, or a callable that returns it",
        "The app client's secret, if it has one. A string is the secret itself, never a path.")
    endpoint_url = Setting(
        _optional(_matching(_URL)), "E009",
        'a URL such as `"https://cognito.example.com"` without user, query or fragment',
        "The address to use instead of AWS's own: a VPC endpoint or an emulator.")
    ca_bundle = Setting(
        _optional(_file), "E011", "the path of a file of certificates",
        "The certificates to trust. Verification can't be turned off.")
    proxies = Setting(
        _optional(_proxies), "E012", 'a dict such as `{"https": "http://proxy.example.com:3128"}`',
        "The proxies through which to reach Cognito.")
    password_policy = Setting(
        _optional(_password_policy), "E023",
        '`"pool"`, or a dict such as `{"MinimumLength": 8, "RequireNumbers": True}`',
        'The rules for passwords. `"pool"` reads them from Cognito, which needs credentials; '
        "`None` means Cognito's default policy.")
    sign_in_with = Setting(
        _sign_in_with, "E024", 'a list of some of `"username"`, `"email"` and `"phone_number"`',
        "What people sign in with. `None` means all three.")
    phone_region = Setting(
        _optional(_phone_region), "E025",
        'a country\'s code, such as `"DE"`, and install `django-cognito-reset[phone]`',
        "The country of phone numbers that are typed without a country code.")
    published_client_id = Setting(
        _matching(_CLIENT_ID), "E026", "a name of letters and digits",
        "The ClientId that AWS SDKs must send to the endpoint for them. "
        "`None` means the app client's own.")
    # fmt: on

    def __post_init__(self) -> None:
        published = self.raw.get("PUBLISHED_CLIENT_ID") or self.raw.get("CLIENT_ID")
        self.raw = {**self.raw, "PUBLISHED_CLIENT_ID": published}

    @property
    def name(self) -> str:
        return f'COGNITO_RESET["POOLS"]["{self.alias}"]'

    @property
    def sign_in_declared(self) -> bool:
        return self.raw.get("SIGN_IN_WITH") not in (None, "")


class Conf:
    name = "COGNITO_RESET"

    # fmt: off
    pools = Setting(
        _pools, "E004",
        'a dict such as `{"default": {"REGION": …, "USER_POOL_ID": …, "CLIENT_ID": …}}`',
        "The user pools, by alias.", required=True)
    pool_resolver = _hook(
        "the request and returns a pool's alias",
        "Chooses the pool where the URL doesn't. `None` means the pool `default`.")
    sign_in_url = _link("", "Where the link to sign in leads.")
    contact_url = _link(
        ", a mailto or tel address",
        "Where a person gets help. All pages and the mail about a reset link to it.")
    show_destination = _flag(
        False, "Show Cognito's masked address, such as `a***@e***`. It can reveal who has an account.")
    uniform_response_seconds = _number(
        1.0, 0, 10, "How long each answer takes whose time could reveal who has an account.")
    total_timeout_seconds = _number(
        16.0, 0.1, 60, "How long to wait for Cognito. A pool's Lambda functions may take 15 seconds.")
    connect_timeout_seconds = _number(2.0, 0.1, 10, "How long to wait for a connection to Cognito.")
    max_concurrent_calls = _number(
        4, 1, 1000, "How many requests each process handles at once. Others get 503.")
    limits = Setting(
        _limits, "E020",
        'a dict such as `{"request": {"identifier": "1/m,3/h"}}`, or `False`. The steps are '
        f"{', '.join(DEFAULT_LIMITS)}; the levels are {', '.join(DEFAULT_LIMITS['request'])}",
        "Changes to the rate limits below. `None` switches one level off, `False` all limits.",
        default={})
    limits_cache = Setting(
        _optional(_limits_cache), "E021",
        "an alias of `CACHES` that is Redis, Valkey or Memcached, because other caches can't count exactly",
        "The cache that counts the attempts. `None` means the database.")
    limits_fail_open = _flag(False, "Let everybody through while that cache or database is down.")
    trusted_proxies = Setting(
        _optional(_trusted_proxies), "E022",
        'one of `{"COUNT": 1}`, `{"CIDRS": ["10.0.0.0/8"]}` and `{"HEADER": "X-Real-IP"}`',
        "The proxies in front of the site, which tell it the visitor's address: their number, their "
        "networks, or the header that they set. `None` means that there is no proxy.")
    pre_send_hook = _hook(
        "`(request, *, username, pool)`",
        "Called before a code is sent, for example to check a CAPTCHA.")
    client_metadata = Setting(
        _client_metadata, "E016",
        "a dict of strings, or a callable that takes the request and returns one, or its path",
        "What to pass to the pool's Lambda functions.", default={})
    forward_client_metadata = Setting(
        _names, "E018", "a list of strings",
        "The keys of `client_metadata` that callers may send. The site's own values win.",
        default=())
    forward_analytics_metadata = _flag(False, "Forward the caller's `analytics_metadata`.")
    forward_encoded_data = _flag(False, "Forward the caller's `user_context_data.encoded_data`.")
    forward_ip_address = _flag(
        False, "Tell Cognito the visitor's address. The app client must allow that.")
    auth_password_validators = _flag(True, "Apply Django's `AUTH_PASSWORD_VALIDATORS` too.")
    cognito_username = Setting(
        _cognito_username, "E017",
        "an attribute of the user model, or a callable that takes the user, or its path",
        "How to get the Cognito username of a local user. `None` means the Django username.")
    user_resolver: Setting[Callable[[str], AbstractBaseUser | None] | None] = _hook(
        "what was typed and returns the local user or `None`",
        "Finds the local user whose password was reset.")
    end_sessions = _flag(True, "End the local user's Django sessions after a reset.")
    sign_out_everywhere = _flag(
        False, "End the user's sessions at Cognito after a reset. This needs credentials.")
    notify_after_reset = _flag(False, "Mail the local user after a reset.")
    audit = _flag(True, "Write a `ResetEvent` row for each outcome.")
    audit_retention_days = _number(90, 1, 36500, "The age at which `purge` deletes these rows.")
    staff_may_reset_staff = _flag(False, "Let staff who aren't superusers reset other staff.")
    service_class = Setting(
        _function, "E015", "a subclass of `CognitoService`, or its dotted path",
        "The class that calls Cognito.", default="cognito_reset.cognito.service.CognitoService")
    # fmt: on

    @property
    def raw(self) -> Mapping[str, Any]:
        if not isinstance(getattr(settings, "COGNITO_RESET", None), Mapping):
            raise CognitoResetMisconfigured("COGNITO_RESET is not set to a dict.")
        return settings.COGNITO_RESET

    def pool_aliases(self) -> tuple[str, ...]:
        return tuple(self.pools)

    def pool(self, alias: str) -> PoolSettings:
        """Return the settings of one pool. Raise if any of them can't be used."""
        if alias not in self.pools:
            raise CognitoResetMisconfigured(f'COGNITO_RESET["POOLS"] has no pool {alias!r}.')
        pool = PoolSettings(alias, self.pools[alias])
        for key in POOL_SETTINGS:
            getattr(pool, key.lower())
        return pool

    def resolve_pool(self, request: HttpRequest) -> str:
        """Return the alias of the pool for a request whose URL doesn't name one."""
        resolver = self.pool_resolver
        return resolver(request) if resolver else DEFAULT_POOL

    @property
    def username_attribute(self) -> str | None:
        """Return the user model's attribute that COGNITO_USERNAME names, or None for a callable."""
        value = self.raw.get("COGNITO_USERNAME")
        return value if isinstance(value, str) and "." not in value else None


def _declared(section: type) -> dict[str, Setting[Any]]:
    return {each.key: each for each in vars(section).values() if isinstance(each, Setting)}


Section = Conf | PoolSettings
conf: Final = Conf()
SETTINGS: Final = _declared(Conf)
POOL_SETTINGS: Final = _declared(PoolSettings)
