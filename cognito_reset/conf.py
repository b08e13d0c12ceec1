"""
``conf``: one typed property per key of ``settings.COGNITO_RESET``.

Read live and never cached, so ``override_settings`` just works. What can't be used raises
``CognitoResetMisconfigured``; checks.py says the same things earlier and with hints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from django.conf import settings
from django.utils.module_loading import import_string

from cognito_reset.exceptions import CognitoResetMisconfigured
from cognito_reset.phones import REGIONS

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

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
    "SERVICE_CLASS": "cognito_reset.service.CognitoService",
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
    "THROTTLE_CACHE": None,
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


class Conf:
    def _get(self, key: str, *kinds: type) -> Any:
        values = getattr(settings, "COGNITO_RESET", None)
        if not isinstance(values, Mapping):
            raise CognitoResetMisconfigured("COGNITO_RESET is not set to a dict.")
        value = values.get(key, DEFAULTS.get(key))
        if kinds and not isinstance(value, kinds):
            raise _unusable(key)
        return value

    def _number(self, key: str, least: float = 0) -> float:
        value = self._get(key)
        if not is_number(value) or value < least:
            raise _unusable(key)
        return float(value)

    def _callable(self, key: str) -> Any:
        """Give a callable that is set as such or by its dotted path, or the default, where that is."""
        value = self._get(key)
        try:
            value = import_string(value) if isinstance(value, str) else value
        except ImportError:
            pass
        if not callable(value) and value is not DEFAULTS[key]:
            raise _unusable(key)
        return value

    def pool_aliases(self) -> tuple[str, ...]:
        return tuple(self._get("POOLS", Mapping))

    def pool(self, alias: str) -> PoolSettings:
        pools = self._get("POOLS", Mapping)
        if alias not in pools:
            raise CognitoResetMisconfigured(f'COGNITO_RESET["POOLS"] has no pool "{alias}".')
        return _pool_settings(alias, pools[alias])

    def resolve_pool(self, request: HttpRequest) -> str:
        """Give the alias of the pool that ``request`` is for, where its URL doesn't name one."""
        resolver = self._callable("POOL_RESOLVER")
        return resolver(request) if resolver else DEFAULT_POOL

    @property
    def service_class(self) -> Any:
        return self._callable("SERVICE_CLASS")

    @property
    def pre_send_hook(self) -> Any:
        return self._callable("PRE_SEND_HOOK")

    def client_metadata(self, request: HttpRequest | None) -> dict[str, str]:
        """Give what the site itself sends as ClientMetadata, from a dict or from its callable."""
        value = self._get("CLIENT_METADATA")
        if not isinstance(value, Mapping):
            value = self._callable("CLIENT_METADATA")(request)
        if not is_texts(value):
            raise _unusable("CLIENT_METADATA")
        return dict(value)

    @property
    def forward_client_metadata(self) -> frozenset[str]:
        return frozenset(self._get("FORWARD_CLIENT_METADATA", list, tuple, set, frozenset))

    @property
    def forward_analytics_metadata(self) -> bool:
        return bool(self._get("FORWARD_ANALYTICS_METADATA"))

    @property
    def forward_encoded_data(self) -> bool:
        return bool(self._get("FORWARD_ENCODED_DATA"))

    @property
    def forward_ip_address(self) -> bool:
        return bool(self._get("FORWARD_IP_ADDRESS"))

    @property
    def connect_timeout_seconds(self) -> float:
        return self._number("CONNECT_TIMEOUT_SECONDS")

    @property
    def total_timeout_seconds(self) -> float:
        return self._number("TOTAL_TIMEOUT_SECONDS")

    @property
    def uniform_response_seconds(self) -> float:
        return self._number("UNIFORM_RESPONSE_SECONDS")

    @property
    def max_concurrent_calls(self) -> int:
        return int(self._number("MAX_CONCURRENT_CALLS", least=1))

    @property
    def show_destination(self) -> bool:
        return bool(self._get("SHOW_DESTINATION"))

    @property
    def sign_in_url(self) -> str | None:
        return cast("str | None", self._get("SIGN_IN_URL"))

    @property
    def contact_url(self) -> str | None:
        return cast("str | None", self._get("CONTACT_URL"))

    @property
    def auth_password_validators(self) -> bool:
        return bool(self._get("AUTH_PASSWORD_VALIDATORS"))

    def cognito_username(self, user: AbstractBaseUser) -> str:
        """Give the name, or another identifier, under which Cognito knows the site's ``user``."""
        value = self._get("COGNITO_USERNAME")
        if value is None:
            return user.get_username()
        if not isinstance(value, str) or "." in value:
            name = self._callable("COGNITO_USERNAME")(user)
        elif hasattr(user, value):
            name = getattr(user, value)
        else:
            raise _unusable("COGNITO_USERNAME")
        return "" if name is None else str(name)

    @property
    def user_resolver(self) -> Callable[[str], AbstractBaseUser | None] | None:
        """Give the site's way from what was typed to its own user, where it has one."""
        return cast("Callable[[str], AbstractBaseUser | None]", self._callable("USER_RESOLVER"))

    @property
    def username_attribute(self) -> str | None:
        """Give the attribute in which the site's users have their Cognito username, if it is one."""
        value = self._get("COGNITO_USERNAME")
        return value if isinstance(value, str) and "." not in value else None

    @property
    def sign_out_everywhere(self) -> bool:
        return bool(self._get("SIGN_OUT_EVERYWHERE"))

    @property
    def notify_after_reset(self) -> bool:
        return bool(self._get("NOTIFY_AFTER_RESET"))

    @property
    def audit_retention_days(self) -> int:
        return int(self._number("AUDIT_RETENTION_DAYS", least=1))

    @property
    def staff_may_reset_staff(self) -> bool:
        return bool(self._get("STAFF_MAY_RESET_STAFF"))

    @property
    def limits(self) -> Mapping[str, Mapping[str, str]] | None:
        """Give the rates by step and level, the site's over the defaults, or None: no limits."""
        value = self._get("LIMITS")
        if value is False:
            return None
        try:
            return {
                step: {**rates, **value.get(step, {})} for step, rates in DEFAULT_LIMITS.items()
            }
        except (AttributeError, TypeError):
            raise _unusable("LIMITS") from None

    @property
    def throttle_cache(self) -> str | None:
        return cast("str | None", self._get("THROTTLE_CACHE"))

    @property
    def limits_fail_open(self) -> bool:
        return bool(self._get("LIMITS_FAIL_OPEN"))

    @property
    def trusted_proxies(self) -> Mapping[str, Any] | None:
        return cast("Mapping[str, Any] | None", self._get("TRUSTED_PROXIES"))


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
