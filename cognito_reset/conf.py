"""
``conf``: one typed property per key of ``settings.COGNITO_RESET``.

Read live and never cached, so ``override_settings`` just works. What can't be used raises
``CognitoResetMisconfigured``; checks.py says the same things earlier and with hints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeVar

from django.conf import settings
from django.utils.module_loading import import_string

from cognito_reset.cognito.errors import CognitoResetMisconfigured
from cognito_reset.resets.identifiers import REGIONS

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

T = TypeVar("T")

DEFAULT_POOL: Final = "default"

POOL_REQUIRED: Final = ("REGION", "USER_POOL_ID", "CLIENT_ID")
POOL_OPTIONAL: Final = (
    "CLIENT_SECRET",
    "ENDPOINT_URL",
    "CA_BUNDLE",
    "PROXIES",
    "PASSWORD_POLICY",
    "SIGN_IN_WITH",
    "PHONE_REGION",
    "PUBLISHED_CLIENT_ID",
)
SIGN_IN_NAMES: Final = ("username", "email", "phone_number")

DEFAULTS: Final[dict[str, Any]] = {
    "POOL_RESOLVER": None,
    "SERVICE_CLASS": "cognito_reset.cognito.service.CognitoService",
    "PRE_SEND_HOOK": None,
    "CLIENT_METADATA": {},
    "FORWARD_CLIENT_METADATA": (),
    "FORWARD_ANALYTICS_METADATA": False,
    "FORWARD_ENCODED_DATA": False,
    "FORWARD_IP_ADDRESS": False,
    "CONNECT_TIMEOUT_SECONDS": 2.0,
    "TOTAL_TIMEOUT_SECONDS": 16.0,
    "UNIFORM_RESPONSE_SECONDS": 1.0,
    "MAX_CONCURRENT_CALLS": 8,
    "SHOW_DESTINATION": False,
    "SIGN_IN_URL": None,
    "CONTACT_URL": None,
    "AUTH_PASSWORD_VALIDATORS": True,
    "COGNITO_USERNAME": None,
    "USER_RESOLVER": None,
    "SIGN_OUT_EVERYWHERE": False,
    "NOTIFY_AFTER_RESET": False,
    "AUDIT_RETENTION_DAYS": 90,
    "STAFF_MAY_RESET_STAFF": False,
    "LIMITS": {},
    "LIMITS_CACHE": None,
    "LIMITS_FAIL_OPEN": False,
    "TRUSTED_PROXIES": None,
}
DEFAULT_LIMITS: Final = {
    "request": {"identifier": "1/m,3/h", "network": "20/h", "site": "1000/h"},
    "confirm": {"identifier": "5/15m,7/h", "network": "60/h", "site": "3000/h"},
}


@dataclass(frozen=True)
class PoolSettings:
    """One entry of POOLS. Equal when every setting is, which tells that a client is still good."""

    alias: str
    region: str
    user_pool_id: str
    client_id: str
    client_secret: str | Callable[[], str] | None = field(repr=False)
    endpoint_url: str | None
    ca_bundle: str | None
    proxies: Mapping[str, str] | None = field(repr=False)  # an address may hold a password
    password_policy: Mapping[str, Any] | Literal["pool"] | None
    sign_in_with: tuple[str, ...]  # in the order of SIGN_IN_NAMES
    phone_region: str | None
    published_client_id: str  # what callers of Cognito's own protocol send for the app client's id


def _get(key: str, *kinds: type) -> Any:
    values = getattr(settings, "COGNITO_RESET", None)
    if not isinstance(values, Mapping):
        raise CognitoResetMisconfigured("COGNITO_RESET is not set to a dict.")
    value = values.get(key, DEFAULTS.get(key))
    if kinds and not isinstance(value, kinds):
        raise _unusable(key)
    return value


def _callable(key: str) -> Any:
    """Give a callable that is set as such or by its dotted path, or the default, where that is."""
    value = _get(key)
    try:
        value = import_string(value) if isinstance(value, str) else value
    except ImportError:
        pass
    if not callable(value) and value is not DEFAULTS[key]:
        raise _unusable(key)
    return value


def _number(key: str, least: float = 0) -> float:
    value = _get(key)
    if not is_number(value) or value < least:
        raise _unusable(key)
    return float(value)


def _count(key: str) -> int:
    return int(_number(key, least=1))


def _flag(key: str) -> bool:
    return bool(_get(key))


def _names(key: str) -> frozenset[str]:
    return frozenset(_get(key, list, tuple, set, frozenset))


class Key(Generic[T]):
    """A key of the attribute's own name. ``read`` gives its value, or raises."""

    def __init__(self, read: Callable[[str], T]) -> None:
        self.read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.upper()

    def __get__(self, instance: object, owner: type) -> T:
        if instance is None:
            return self  # type: ignore[return-value]  # to who looks at the class
        return self.read(self.name)

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise AttributeError(f'It is set in COGNITO_RESET["{self.name}"].')


class Conf:
    service_class = Key[Any](_callable)
    pre_send_hook = Key[Any](_callable)
    forward_client_metadata = Key(_names)
    forward_analytics_metadata = Key(_flag)
    forward_encoded_data = Key(_flag)
    forward_ip_address = Key(_flag)
    connect_timeout_seconds = Key(_number)
    total_timeout_seconds = Key(_number)
    uniform_response_seconds = Key(_number)
    max_concurrent_calls = Key(_count)
    show_destination = Key(_flag)
    sign_in_url = Key[str | None](_get)
    contact_url = Key[str | None](_get)
    auth_password_validators = Key(_flag)
    # The site's way from what was typed to its own user, where it has one.
    user_resolver = Key["Callable[[str], AbstractBaseUser | None] | None"](_callable)
    sign_out_everywhere = Key(_flag)
    notify_after_reset = Key(_flag)
    audit_retention_days = Key(_count)
    staff_may_reset_staff = Key(_flag)
    limits_cache = Key[str | None](_get)
    limits_fail_open = Key(_flag)
    trusted_proxies = Key[Mapping[str, Any] | None](_get)

    def pool_aliases(self) -> tuple[str, ...]:
        return tuple(_get("POOLS", Mapping))

    def pool(self, alias: str) -> PoolSettings:
        pools = _get("POOLS", Mapping)
        if alias not in pools:
            raise CognitoResetMisconfigured(f'COGNITO_RESET["POOLS"] has no pool "{alias}".')
        return _pool_settings(alias, pools[alias])

    def resolve_pool(self, request: HttpRequest) -> str:
        """Give the alias of the pool that ``request`` is for, where its URL doesn't name one."""
        resolver = _callable("POOL_RESOLVER")
        return resolver(request) if resolver else DEFAULT_POOL

    def client_metadata(self, request: HttpRequest | None) -> dict[str, str]:
        """Give what the site itself sends as ClientMetadata, from a dict or from its callable."""
        value = _get("CLIENT_METADATA")
        if not isinstance(value, Mapping):
            value = _callable("CLIENT_METADATA")(request)
        if not is_texts(value):
            raise _unusable("CLIENT_METADATA")
        return dict(value)

    def cognito_username(self, user: AbstractBaseUser) -> str:
        """Give the name, or another identifier, under which Cognito knows the site's ``user``."""
        value = _get("COGNITO_USERNAME")
        if value is None:
            return user.get_username()
        if not isinstance(value, str) or "." in value:
            name = _callable("COGNITO_USERNAME")(user)
        elif hasattr(user, value):
            name = getattr(user, value)
        else:
            raise _unusable("COGNITO_USERNAME")
        return "" if name is None else str(name)

    @property
    def username_attribute(self) -> str | None:
        """Give the attribute in which the site's users have their Cognito username, if it is one."""
        value = _get("COGNITO_USERNAME")
        return value if isinstance(value, str) and "." not in value else None

    @property
    def limits(self) -> Mapping[str, Mapping[str, str]] | None:
        """Give the rates by step and level, the site's over the defaults, or None: no limits."""
        value = _get("LIMITS")
        if value is False:
            return None
        try:
            return {
                step: {**rates, **value.get(step, {})} for step, rates in DEFAULT_LIMITS.items()
            }
        except (AttributeError, TypeError):
            raise _unusable("LIMITS") from None


conf: Final = Conf()


def _unusable(key: str) -> CognitoResetMisconfigured:
    return CognitoResetMisconfigured(f'COGNITO_RESET["{key}"] can\'t be used.')


def _pool_settings(alias: str, values: Any) -> PoolSettings:
    values = values if isinstance(values, Mapping) else {}
    missing = [key for key in POOL_REQUIRED if not values.get(key)]
    if missing:
        names = ", ".join(missing)
        raise CognitoResetMisconfigured(f'COGNITO_RESET["POOLS"]["{alias}"] needs {names}.')
    # What is empty isn't set: an empty CA_BUNDLE turns verification off in some of botocore's
    # versions.
    optional = {key: values.get(key) or None for key in POOL_OPTIONAL}
    policy = values.get("PASSWORD_POLICY")
    if policy is not None and not is_password_policy(policy):
        raise CognitoResetMisconfigured(f'The PASSWORD_POLICY of pool "{alias}" can\'t be used.')
    sign_in_with = optional["SIGN_IN_WITH"] or SIGN_IN_NAMES
    if not (are_sign_in_names(sign_in_with) and optional["PHONE_REGION"] in (None, *REGIONS)):
        names = "SIGN_IN_WITH or PHONE_REGION"
        raise CognitoResetMisconfigured(f'COGNITO_RESET["POOLS"]["{alias}"]: wrong {names}.')
    return PoolSettings(
        alias=alias,
        region=values["REGION"],
        user_pool_id=values["USER_POOL_ID"],
        client_id=values["CLIENT_ID"],
        client_secret=optional["CLIENT_SECRET"],
        endpoint_url=optional["ENDPOINT_URL"],
        ca_bundle=str(optional["CA_BUNDLE"]) if optional["CA_BUNDLE"] else None,
        proxies=optional["PROXIES"],
        password_policy=policy,
        sign_in_with=tuple(name for name in SIGN_IN_NAMES if name in sign_in_with),
        phone_region=optional["PHONE_REGION"],
        published_client_id=optional["PUBLISHED_CLIENT_ID"] or values["CLIENT_ID"],
    )


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def are_sign_in_names(value: Any) -> bool:
    names = value if isinstance(value, (list, tuple, set, frozenset)) else ()
    return bool(names) and all(name in SIGN_IN_NAMES for name in names)


def is_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def is_password_policy(value: Any) -> bool:
    """Whether ``value`` is Cognito's PasswordPolicyType, as DescribeUserPool gives it, or "pool"."""
    if not isinstance(value, Mapping):
        return bool(value == "pool")
    numbers = {"MinimumLength", "PasswordHistorySize", "TemporaryPasswordValidityDays"}
    flags = {"RequireLowercase", "RequireUppercase", "RequireNumbers", "RequireSymbols"}
    return (
        set(value) <= numbers | flags
        and all(isinstance(value[name], bool) for name in flags & set(value))
        and all(type(value[name]) is int for name in numbers & set(value))
        and 6 <= value.get("MinimumLength", 8) <= 99
    )
