"""Settings are declared once, read live, and refused by name if they can't be used."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, assert_type

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from django.utils.translation import gettext_lazy

from cognito_reset.cognito.errors import ResetError
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import POOL_SETTINGS, SETTINGS, CognitoResetMisconfigured, conf
from cognito_reset.parsers import DEFAULT_LIMITS, Rate, parse_rates
from cognito_reset.secret import Secret
from tests import settings_page

POOL = {"REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_Example01", "CLIENT_ID": "1example"}
REQUEST = RequestFactory().get("/")
CANARY = "hunter2hunter2hunter2hunter2"
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    5,
    "",
    "text",
    "no.such.thing",
    "a..b",
    ".a",
    b"a",
    [],
    [5],
    {},
    {"a": 5},
)


def with_options(**options: Any) -> override_settings:
    return override_settings(COGNITO_RESET={"POOLS": {"default": POOL}, **options})


def pool_with(**options: Any) -> override_settings:
    return override_settings(COGNITO_RESET={"POOLS": {"default": {**POOL, **options}}})


def brand(request):
    return "brand"


def metadata(request):
    return {"language": "de" if request else "en"}


def numbers(request):
    return {"token": CANARY, "language": 5}


def cognito_id(user):
    return f"cognito-{user.get_username()}"


def find_user(identifier):
    return identifier


def name(value: object) -> str:
    """Return an id for a test without the address that a function's repr has."""
    return getattr(value, "__name__", repr(value))


@pytest.mark.parametrize("key", SETTINGS)
def test_every_key_has_a_usable_default(key):
    """A site that sets nothing but its pool can read everything."""
    with with_options():
        getattr(conf, key.lower())


@pytest.mark.requirement("I1")
@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_i1_an_unusable_value_is_refused_by_name(key, junk):
    """No value causes any other exception, and the message names the key."""
    with with_options(**{key: junk}):
        try:
            getattr(conf, key.lower())
        except CognitoResetMisconfigured as error:
            assert str(error).startswith("COGNITO_RESET")  # noqa: PT017
            assert f'"{key}"' in str(error)  # noqa: PT017


@pytest.mark.requirement("I1")
@pytest.mark.parametrize("key", POOL_SETTINGS)
@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_i1_an_unusable_value_of_a_pool_is_refused_by_name(key, junk):
    """The message names the pool and the key."""
    with pool_with(**{key: junk}):
        try:
            conf.pool("default")
        except CognitoResetMisconfigured as error:
            assert str(error).startswith('COGNITO_RESET["POOLS"]["default"]')  # noqa: PT017
            assert f'"{key}"' in str(error)  # noqa: PT017


@pytest.mark.requirement("I1")
@pytest.mark.parametrize("values", [None, "text", 5, ["POOLS"]], ids=repr)
def test_i1_the_setting_must_be_a_dict(values):
    """Whatever is read first raises the reason."""
    with override_settings(COGNITO_RESET=values), pytest.raises(CognitoResetMisconfigured):
        conf.pool("default")


@pytest.mark.requirement("I1")
def test_i1_the_setting_must_exist(settings):
    """Installing the app is not enough."""
    del settings.COGNITO_RESET
    with pytest.raises(CognitoResetMisconfigured, match="COGNITO_RESET is not set to a dict"):
        conf.pool("default")


def test_a_misconfigured_site_is_not_an_answer_from_cognito():
    """Code that handles ResetError doesn't handle this."""
    assert issubclass(CognitoResetMisconfigured, ImproperlyConfigured)
    assert not issubclass(CognitoResetMisconfigured, ResetError)


@pytest.mark.requirement("H5")
@pytest.mark.parametrize(
    "values",
    [
        {"POOLS": {"default": {**POOL, "CLIENT_SECRET": CANARY.encode()}}},
        {"POOLS": {"default": {**POOL, "CLIENT_SECRET": CANARY, "REGION": 5}}},
        {"POOLS": {"default": {**POOL, "PROXIES": f"http://u:{CANARY}@proxy"}}},
        {"POOLS": {"default": {**POOL, "CLIENT_SECRET": CANARY}, 5: {}}},
        {"POOLS": {"other": {**POOL, "CLIENT_SECRET": CANARY}}},
        {"POOLS": {"default": {**POOL, "CLIENT_SECRET": CANARY, "CLIENT_ID": ""}}},
    ],
)
def test_h5_no_frame_of_an_error_shows_a_secret(values):
    """Error trackers send the variables of every frame that an exception passes through."""
    with (
        override_settings(COGNITO_RESET=values),
        pytest.raises(CognitoResetMisconfigured) as caught,
    ):
        conf.pool("default")
    assert caught.value.__context__ is None
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)][1:]  # the first is this test's
    assert frames
    assert CANARY not in f"{caught.value}{[frame.f_locals for frame in frames]!r}"


def test_settings_are_read_live():
    """override_settings works, and nothing needs to be reloaded."""
    seen = []
    with with_options(SHOW_DESTINATION=True):
        seen.append(conf.show_destination)
        with with_options():
            seen.append(conf.show_destination)
        seen.append(conf.show_destination)
    assert seen == [True, False, True]


def test_attributes_cannot_be_set():
    """A value that was set on the object would outlive override_settings."""
    with pytest.raises(AttributeError, match=r'COGNITO_RESET\["SHOW_DESTINATION"\]'):
        conf.show_destination = True


def test_the_defaults():
    """A site that sets nothing gets these."""
    with with_options():
        assert conf.service_class is CognitoService
        assert conf.client_metadata(None) == {}
        assert conf.forward_client_metadata == frozenset()
        assert not conf.forward_analytics_metadata
        assert not conf.forward_encoded_data
        assert not conf.forward_ip_address
        assert (conf.connect_timeout_seconds, conf.total_timeout_seconds) == (2.0, 16.0)
        assert conf.uniform_response_seconds == 1.0
        assert conf.max_concurrent_calls == 4
        assert not conf.show_destination
        assert (conf.sign_in_url, conf.contact_url, conf.limits_cache) == (None, None, None)
        assert (conf.trusted_proxies, conf.user_resolver) == (None, None)
        assert conf.auth_password_validators
        assert conf.audit
        assert conf.end_sessions
        assert not conf.sign_out_everywhere
        assert not conf.notify_after_reset
        assert conf.audit_retention_days == 90
        assert not conf.staff_may_reset_staff
        assert not conf.limits_fail_open
        assert conf.resolve_pool(REQUEST) == "default"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("FORWARD_CLIENT_METADATA", ["campaign"], {"campaign"}),
        ("CONNECT_TIMEOUT_SECONDS", 1, 1.0),
        ("UNIFORM_RESPONSE_SECONDS", 0, 0.0),
        ("MAX_CONCURRENT_CALLS", 32, 32),
        ("AUDIT_RETENTION_DAYS", 30, 30),
        ("AUDIT", False, False),
        ("END_SESSIONS", False, False),
        ("SIGN_IN_URL", "/sign-in/", "/sign-in/"),
        ("CONTACT_URL", gettext_lazy("help"), "help"),
        ("TRUSTED_PROXIES", {"COUNT": 1}, {"COUNT": 1}),
        ("TRUSTED_PROXIES", {"CIDRS": ["10.0.0.0/8"]}, {"CIDRS": [ip_network("10.0.0.0/8")]}),
        ("PRE_SEND_HOOK", f"{__name__}.brand", brand),
        ("USER_RESOLVER", find_user, find_user),
        ("USER_RESOLVER", "", None),
        ("SERVICE_CLASS", CognitoService, CognitoService),
    ],
    ids=name,
)
def test_a_site_reads_what_it_set(key, value, expected):
    """Numbers become floats or ints, names a set, and dotted paths what they lead to."""
    with with_options(**{key: value}):
        value = getattr(conf, key.lower())
    assert value == expected
    assert type(value) in (type(expected), frozenset, type(gettext_lazy("")))


@pytest.mark.requirement("I1")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_CONCURRENT_CALLS", 0),
        ("MAX_CONCURRENT_CALLS", "8"),
        ("MAX_CONCURRENT_CALLS", 2.0),
        ("AUDIT_RETENTION_DAYS", 0),
        ("CONNECT_TIMEOUT_SECONDS", -1),
        ("TOTAL_TIMEOUT_SECONDS", True),
        ("SHOW_DESTINATION", "no"),
        ("SIGN_IN_URL", 5),
        ("CONTACT_URL", ["x"]),
        ("SERVICE_CLASS", None),
        ("SERVICE_CLASS", SimpleNamespace()),
        ("POOL_RESOLVER", "no.such.thing"),
        ("USER_RESOLVER", 5),
        ("PRE_SEND_HOOK", "no.such.thing"),
        ("CLIENT_METADATA", "no.such.thing"),
        ("CLIENT_METADATA", {"language": 5}),
        ("CLIENT_METADATA", {5: "a"}),
        ("COGNITO_USERNAME", "no_such_attribute"),
        ("COGNITO_USERNAME", 5),
        ("LIMITS", "1/m"),
        ("LIMITS", {"request": 5}),
        ("LIMITS", {"request": {"identifier": "often"}}),
        ("LIMITS_CACHE", "no such cache"),
        ("TRUSTED_PROXIES", {"CIDRS": ["0.0.0.0/0"]}),
        # Each letter of a lone string would be allowed.
        ("FORWARD_CLIENT_METADATA", "campaign"),
    ],
)
def test_i1_these_are_refused(key, value):
    """None of them passes for something else."""
    with (
        with_options(**{key: value}),
        pytest.raises(CognitoResetMisconfigured, match=rf'\["{key}"\] can\'t be used: .*[^.]\.$'),
    ):
        getattr(conf, key.lower())


# Pools.


def test_a_pool_has_all_its_keys():
    """A key that is left out is None."""
    with with_options():
        pool = conf.pool("default")
    assert (pool.alias, pool.region) == ("default", "eu-west-1")
    assert (pool.user_pool_id, pool.client_id) == ("eu-west-1_Example01", "1example")
    assert (pool.client_secret, pool.endpoint_url, pool.ca_bundle, pool.proxies) == (None,) * 4
    assert (pool.password_policy, pool.published_client_id) == (None, "1example")
    assert (pool.sign_in_with, pool.phone_region) == (("username", "email", "phone_number"), None)
    assert not pool.sign_in_declared


def test_a_pool_keeps_what_was_set():
    """Names to sign in with come in one order, however they are written."""
    options = {
        "SIGN_IN_WITH": {"phone_number", "username"},
        "PHONE_REGION": "DE",
        "CA_BUNDLE": Path(__file__),
        "PROXIES": {"https": "http://proxy"},
        "PASSWORD_POLICY": {"MinimumLength": 10},
        "PUBLISHED_CLIENT_ID": "demo",
        "ENDPOINT_URL": "https://example.com",
    }
    with pool_with(**options):
        pool = conf.pool("default")
    assert (pool.sign_in_with, pool.phone_region) == (("username", "phone_number"), "DE")
    assert pool.sign_in_declared
    assert (pool.ca_bundle, pool.endpoint_url) == (__file__, "https://example.com")
    assert (pool.proxies, pool.published_client_id) == ({"https": "http://proxy"}, "demo")
    assert pool.password_policy == {"MinimumLength": 10}


@pytest.mark.requirement("H5")
def test_h5_a_client_secret_is_masked():
    """The secret is a masked object, or the site's callable."""
    with pool_with(CLIENT_SECRET=CANARY):
        secret = conf.pool("default").client_secret
    assert isinstance(secret, Secret)
    assert secret.reveal() == CANARY
    with pool_with(CLIENT_SECRET=find_user):
        secret = conf.pool("default").client_secret
    assert callable(secret)
    assert secret.__name__ == "find_user"


def test_aliases_come_in_the_order_of_the_setting():
    """Whether or not the pools can be used."""
    with override_settings(COGNITO_RESET={"POOLS": {"default": POOL, "broken": {}}}):
        assert conf.pool_aliases() == ("default", "broken")
    with override_settings(COGNITO_RESET={"POOLS": None}), pytest.raises(CognitoResetMisconfigured):
        conf.pool_aliases()


def test_a_pools_mistake_does_not_affect_another_pool():
    """Each pool is checked when it is read."""
    with override_settings(COGNITO_RESET={"POOLS": {"default": POOL, "broken": {}}}):
        assert conf.pool("default").client_id == "1example"
        with pytest.raises(CognitoResetMisconfigured, match=r'\["broken"\] has no "REGION"'):
            conf.pool("broken")


@pytest.mark.requirement("I1")
@pytest.mark.parametrize(
    "pools", [None, [], "text", {}, {"default": None}, {"default": "x"}, {"b": {}}], ids=repr
)
def test_i1_a_pool_that_does_not_exist_is_refused(pools):
    """The message names POOLS."""
    with (
        override_settings(COGNITO_RESET={"POOLS": pools}),
        pytest.raises(CognitoResetMisconfigured, match="POOLS"),
    ):
        conf.pool("default")


def test_an_alias_cannot_forge_a_line_of_the_log():
    """Aliases come from URLs, and the message is logged."""
    with with_options(), pytest.raises(CognitoResetMisconfigured) as caught:
        conf.pool("x\nCRITICAL forged\u2028")
    assert str(caught.value).isprintable()


@pytest.mark.requirement("I1")
@pytest.mark.parametrize("key", sorted(POOL))
@pytest.mark.parametrize("value", [None, ""], ids=repr)
def test_i1_a_pool_needs_its_three_keys(key, value):
    """The message names the missing key."""
    with (
        pool_with(**{key: value}),
        pytest.raises(CognitoResetMisconfigured, match=rf'\["default"\] has no "{key}"\.'),
    ):
        conf.pool("default")


@pytest.mark.requirement("I1")
@pytest.mark.parametrize(
    "options",
    [
        {"SIGN_IN_WITH": "email"},
        {"SIGN_IN_WITH": ["mail"]},
        {"SIGN_IN_WITH": []},
        {"PHONE_REGION": "XX"},
        {"PHONE_REGION": {"DE": 1}},
        {"CA_BUNDLE": False},
        {"PASSWORD_POLICY": {"MinimumLength": 5}},
    ],
    ids=repr,
)
def test_i1_a_pools_unusable_value_is_refused(options):
    """Before it reaches a page. C14: False doesn't turn the verification of certificates off."""
    [key] = options
    with pool_with(**options), pytest.raises(CognitoResetMisconfigured, match=f'"{key}"'):
        conf.pool("default")


def test_an_empty_string_counts_as_unset():
    """An environment variable that isn't there often reads as an empty string."""
    keys = POOL_SETTINGS.keys() - POOL.keys()
    with pool_with(**dict.fromkeys(keys, "")):
        pool = conf.pool("default")
        for key in keys:
            with with_options():
                assert getattr(pool, key.lower()) == getattr(conf.pool("default"), key.lower())


@pytest.mark.requirement("H5")
def test_h5_a_pool_does_not_show_its_secrets():
    """Neither the client secret nor a proxy's password is in the repr. Pools can be compared."""
    secrets = {"CLIENT_SECRET": CANARY, "PROXIES": {"https": f"http://u:{CANARY}@proxy"}}
    with pool_with(**secrets):
        pool = conf.pool("default")
        assert pool == conf.pool("default")
    assert CANARY not in repr(pool)
    with pool_with(**secrets | {"CLIENT_SECRET": "other" * 5}):
        assert pool != conf.pool("default")


# Callables.


@pytest.mark.parametrize("resolver", [brand, f"{__name__}.brand"], ids=["callable", "path"])
def test_a_resolver_chooses_the_pool_of_a_request(resolver):
    """The resolver is a callable or its dotted path."""
    with with_options(POOL_RESOLVER=resolver):
        assert conf.resolve_pool(REQUEST) == "brand"


@pytest.mark.parametrize("value", [metadata, f"{__name__}.metadata"], ids=["callable", "path"])
def test_client_metadata_may_depend_on_the_request(value):
    """Outside of a request, as for staff, the callable gets None."""
    with with_options(CLIENT_METADATA=value):
        assert conf.client_metadata(REQUEST) == {"language": "de"}
        assert conf.client_metadata(None) == {"language": "en"}


def test_client_metadata_is_a_copy():
    """A caller that changes the dict doesn't change the setting."""
    with with_options(CLIENT_METADATA={"brand": "a"}):
        conf.client_metadata(None)["brand"] = "b"
        assert conf.client_metadata(None) == {"brand": "a"}


def test_client_metadata_from_a_callable_must_be_strings():
    """Cognito would refuse anything else for every user, which would look like refused accounts."""
    with (
        with_options(CLIENT_METADATA=numbers),
        pytest.raises(
            CognitoResetMisconfigured, match=r'\["CLIENT_METADATA"\] can\'t be used: it '
        ) as caught,
    ):
        conf.client_metadata(REQUEST)
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
    assert CANARY not in f"{caught.value}{[frame.f_locals for frame in frames]!r}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (None, "alice"),
        ("email", "alice@example.com"),
        (cognito_id, "cognito-alice"),
        (f"{__name__}.cognito_id", "cognito-alice"),
        ("last_login", ""),
    ],
    ids=name,
)
def test_a_users_cognito_username_comes_from_the_setting(source, expected):
    """It is the username, an attribute, or a callable's result; None becomes an empty string."""
    user = User(username="alice", email="alice@example.com")
    with with_options(COGNITO_USERNAME=source):
        assert conf.cognito_username(user) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [(None, None), ("email", "email"), (cognito_id, None), (f"{__name__}.cognito_id", None)],
    ids=name,
)
def test_an_attribute_can_be_searched_by(source, expected):
    """A callable can't be reversed."""
    with with_options(COGNITO_USERNAME=source):
        assert conf.username_attribute == expected


# Rate limits.


def test_rates_are_parsed():
    """A rate is a number, a slash, and a time in seconds, minutes, hours or days."""
    assert parse_rates("5/15m") == (Rate(5, 900),)
    assert parse_rates("1/m,3/h") == (Rate(1, 60), Rate(3, 3600))
    assert parse_rates(" 20/h , 10/30s,1/7d") == (Rate(20, 3600), Rate(10, 30), Rate(1, 604_800))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ",",
            "5",
            "/m",
            "5/",
            "5/0m",
            "0/m",
            "-1/m",
            "1.5/m",
            "5/w",
            "5/M",
            "5 / m",
            "5/m/ip",
        ),
        *("5/m,", "5/m;3/h", "١/m", "5/m\n6/h", "99999999/m", "1/9999999d", None, 60, ["5/m"]),
        *("5/m,6/60s", "1/h,1/h"),  # two limits for one window
    ],
)
def test_an_unusable_rate_is_refused(text: Any) -> None:
    """No limit is guessed: a typing error must not switch one off."""
    with pytest.raises(ValueError, match="is not like"):
        parse_rates(text)


def test_limits_are_the_defaults_with_the_sites_changes():
    """A site names only what it changes. None switches off one level."""
    default = {
        step: {level: parse_rates(rates) for level, rates in levels.items()}
        for step, levels in DEFAULT_LIMITS.items()
    }
    with with_options():
        assert conf.limits == default
    with with_options(LIMITS={"request": {"identifier": "1/h", "network": None}}):
        limits: Any = conf.limits
    changed = {"identifier": (Rate(1, 3600),), "network": ()}
    assert limits == {**default, "request": {**default["request"], **changed}}


def test_limits_can_be_switched_off():
    """Only False does so, and not a value that is merely empty."""
    with with_options(LIMITS=False):
        assert conf.limits is None
    with with_options(LIMITS={}):
        assert conf.limits is not None


# What is made of the declarations.


def test_docs_settings_is_up_to_date():
    """If this fails, run ``python -m tests.settings_page``."""
    assert settings_page.PAGE.read_text() == settings_page.page()
    assert settings_page.GUIDES.keys() <= {*SETTINGS, *POOL_SETTINGS}


def test_the_attributes_are_typed() -> None:
    """mypy, which checks the tests too, knows the type of each attribute."""
    with with_options():
        assert_type(conf.total_timeout_seconds, float)
        assert_type(conf.max_concurrent_calls, int)
        assert_type(conf.audit, bool)
        assert_type(conf.sign_in_url, str | None)
        assert_type(conf.limits_cache, str | None)
        assert_type(conf.limits, Mapping[str, Mapping[str, tuple[Rate, ...]]] | None)
        assert_type(conf.client_metadata(None), dict[str, str])
        assert_type(conf.pool("default").region, str)
        assert_type(conf.pool("default").client_secret, Secret | Callable[[], str] | None)
        assert_type(conf.pool("default").sign_in_with, tuple[str, ...])
