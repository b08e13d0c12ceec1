"""
The keys of ``settings.COGNITO_RESET``, each declared once.

``conf`` reads them live, so ``override_settings`` works, and raises ``CognitoResetMisconfigured`` for
a value that can't be used. The system checks and docs/settings.md come from the same declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise

from cognito_reset import parsers

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

__all__ = ["DEFAULT_POOL", "CognitoResetMisconfigured"]

T = TypeVar("T")
N = TypeVar("N", int, float)
T_co = TypeVar("T_co", covariant=True)

DEFAULT_POOL: Final = "default"


class CognitoResetMisconfigured(ImproperlyConfigured):
    """
    A setting can't be used. This is no ``ResetError``, so that nothing takes it for an answer from
    Cognito: the interfaces log it. Pages, REST and AWS answer 503 without any detail; the admin shows that the set-up
    has to be checked.
    """


@dataclass(eq=False)
class Setting(Generic[T_co]):
    """
    A key, declared as the class attribute of the same name in lower case.

    ``parse`` returns the value of the attribute, or raises one of ``parsers.REASONS``. ``accepts`` describes the
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
    except parsers.REASONS as reason:
        return CognitoResetMisconfigured(f"{name} can't be used: {str(reason).rstrip('.')}.")


def _client_metadata(value: Any) -> Callable[[HttpRequest | None], dict[str, str]]:
    if isinstance(value, Mapping):
        texts = parsers.texts(value)
        return lambda request: texts.copy()
    function = parsers.function(value)

    def client_metadata(request: HttpRequest | None) -> dict[str, str]:
        texts = parsed(
            parsers.texts, function(request), 'The result of COGNITO_RESET["CLIENT_METADATA"]'
        )
        if isinstance(texts, CognitoResetMisconfigured):
            raise texts
        return texts

    return client_metadata


def _flag(default: bool, doc: str) -> Setting[bool]:
    return Setting(parsers.instance_of(bool), "E013", "`True` or `False`", doc, default)


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
        text: str = parsers.instance_of(str, Promise)(value)
        if is_lazy or re.fullmatch(parsers.URL_NAME, text):
            return text
        if not parsers.is_address(text) or (re.match(parsers.NO_PAGE, text) and not more):
            raise ValueError("it is not an address")
        return text

    return Setting(parse, "E014", accepts, doc)


def _hook(takes: str, doc: str) -> Setting[Callable[..., Any] | None]:
    accepts = f"a callable that takes {takes}, or its dotted path"
    return Setting(parsers.optional(parsers.function), "E015", accepts, doc)


# Each declaration has, in this order: the parser, the check's id, what the key accepts, what it does.


@dataclass
class PoolSettings:
    """One entry of POOLS. Two are equal if all their settings are: then a client can be kept."""

    alias: str
    raw: Mapping[str, Any] = field(repr=False)  # has the secret, and passwords of proxies

    # fmt: off
    region = Setting(
        parsers.matching(parsers.REGION), "E005", 'the name of the Region, such as `"eu-west-1"`',
        "The AWS Region of the pool.", required=True)
    user_pool_id = Setting(
        parsers.matching(parsers.USER_POOL_ID), "E006",
        'the pool\'s id, such as `"eu-west-1_AbCdEfGhI"`, not its name or ARN',
        "The user pool.", required=True)
    client_id = Setting(
        parsers.matching(parsers.CLIENT_ID), "E007", "the app client's id: letters and digits",
        "The app client that this site uses.", required=True)
    client_secret = Setting(
        parsers.secret, "E008", "the app client's secret, or a callable that returns it",
        "The app client's secret, if it has one. A string is the secret itself, never a path.")
    endpoint_url = Setting(
        parsers.optional(parsers.matching(parsers.URL)), "E009",
        'a URL such as `"https://cognito.example.com"` without user, query or fragment',
        "The address to use instead of AWS's own: a VPC endpoint or an emulator.")
    ca_bundle = Setting(
        parsers.optional(parsers.file), "E011", "the path of a file of certificates",
        "The certificates to trust. Verification can't be turned off.")
    proxies = Setting(
        parsers.optional(parsers.proxies), "E012", 'a dict such as `{"https": "http://proxy.example.com:3128"}`',
        "The proxies through which to reach Cognito.")
    password_policy = Setting(
        parsers.optional(parsers.password_policy), "E023",
        '`"pool"`, or a dict such as `{"MinimumLength": 8, "RequireNumbers": True}`',
        'The rules for passwords. `"pool"` reads them from Cognito, which needs credentials; '
        "`None` means Cognito's default policy.")
    sign_in_with = Setting(
        parsers.sign_in_with, "E024", 'a list of some of `"username"`, `"email"` and `"phone_number"`',
        "What people sign in with. `None` means all three.")
    phone_region = Setting(
        parsers.optional(parsers.phone_region), "E025",
        'a country\'s code, such as `"DE"`, and install `django-cognito-reset[phone]`',
        "The country of phone numbers that are typed without a country code.")
    published_client_id = Setting(
        parsers.matching(parsers.CLIENT_ID), "E026", "a name of letters and digits",
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
        parsers.pools, "E004",
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
        parsers.limits, "E020",
        'a dict such as `{"request": {"identifier": "1/m,3/h"}}`, or `False`. The steps are '
        f"{', '.join(parsers.DEFAULT_LIMITS)}; the levels are {', '.join(parsers.DEFAULT_LIMITS['request'])}",
        "Changes to the rate limits below. `None` switches one level off, `False` all limits.",
        default={})
    limits_cache = Setting(
        parsers.optional(parsers.limits_cache), "E021",
        "an alias of `CACHES` that is Redis, Valkey or Memcached, because other caches can't count exactly",
        "The cache that counts the attempts. `None` means the database.")
    limits_fail_open = _flag(False, "Let everybody through while that cache or database is down.")
    trusted_proxies = Setting(
        parsers.optional(parsers.trusted_proxies), "E022",
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
        parsers.names, "E018", "a list of strings",
        "The keys of `client_metadata` that callers may send. The site's own values win.",
        default=())
    forward_analytics_metadata = _flag(False, "Forward the caller's `analytics_metadata`.")
    forward_encoded_data = _flag(False, "Forward the caller's `user_context_data.encoded_data`.")
    forward_ip_address = _flag(
        False, "Tell Cognito the visitor's address. The app client must allow that.")
    auth_password_validators = _flag(True, "Apply Django's `AUTH_PASSWORD_VALIDATORS` too.")
    cognito_username = Setting(
        parsers.cognito_username, "E017",
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
    resend_invitations = _flag(
        False,
        "Send the invitation again if a person who hasn't used it asks for a code. This needs credentials, and "
        "ends the old temporary password, even if a stranger asks.")
    bulk_enqueue = _hook(
        "a run's id and a slice's number, and has a task call `run_bulk_slice()` with them",
        "Hands resets of many people to the site's task queue. `None` means that only the command sends them.")
    staff_may_reset_staff = _flag(False, "Let staff who aren't superusers reset other staff.")
    service_class = Setting(
        parsers.function, "E015", "a subclass of `CognitoService`, or its dotted path",
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
