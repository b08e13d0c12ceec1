"""Settings: read live, typed, and refused by name where they can't be used."""

from __future__ import annotations

import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings

from cognito_reset.cognito.errors import CognitoResetMisconfigured, ResetError
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import DEFAULT_LIMITS, DEFAULTS, Conf, Key, conf

POOL = {"REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_Example01", "CLIENT_ID": "1example"}
REQUEST = RequestFactory().get("/")
PROPERTIES = sorted(
    name for name, value in vars(Conf).items() if isinstance(value, (Key, property))
)
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
    b"a",
    [],
    [5],
    {},
    {"a": 5},
)


def with_options(**options):
    return override_settings(COGNITO_RESET={"POOLS": {"default": POOL}, **options})


def brand(request):
    return "brand"


def metadata(request):
    return {"language": "de" if request else "en"}


def numbers(request):
    return {"language": 5}


def cognito_id(user):
    return f"cognito-{user.get_username()}"


def find_user(identifier):
    return identifier


def read(name):
    """Read one property, or call the method that stands for a key."""
    if name == "client_metadata":
        return conf.client_metadata(REQUEST)
    if name == "resolve_pool":
        return conf.resolve_pool(REQUEST)
    if name == "cognito_username":
        return conf.cognito_username(User(username="alice"))
    return getattr(conf, name)


READABLE = [*PROPERTIES, "client_metadata", "resolve_pool", "cognito_username"]
# Where the two differ, what is set is named after the one who sets it.
KEY_OF = {"resolve_pool": "POOL_RESOLVER", "username_attribute": "COGNITO_USERNAME"}


@pytest.mark.parametrize("name", READABLE)
def test_every_key_has_one_property_and_a_default(name):
    """A site that sets nothing but its pool can read everything."""
    assert KEY_OF.get(name, name.upper()) in DEFAULTS
    with with_options():
        read(name)


def test_no_key_is_without_a_property():
    """What can be set is read."""
    assert {KEY_OF.get(name, name.upper()) for name in READABLE} == set(DEFAULTS)


@pytest.mark.parametrize("name", READABLE)
@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_i1_what_cannot_be_used_is_refused_by_name(name, junk):
    """I1: no value ends in a TypeError of somebody's; what is refused shows the key, not the value."""
    key = KEY_OF.get(name, name.upper())
    with with_options(**{key: junk}):
        try:
            read(name)
        except CognitoResetMisconfigured as error:
            assert str(error) == f'COGNITO_RESET["{key}"] can\'t be used.'  # noqa: PT017


@pytest.mark.parametrize("values", [None, "text", 5, ["POOLS"]], ids=repr)
def test_i1_the_setting_is_a_dict(values):
    """I1: whatever is read first says what is missing."""
    with override_settings(COGNITO_RESET=values), pytest.raises(CognitoResetMisconfigured):
        conf.pool("default")


def test_i1_the_setting_is_there(settings):
    """I1: a site that has only installed the app is told so."""
    del settings.COGNITO_RESET
    with pytest.raises(CognitoResetMisconfigured, match="COGNITO_RESET is not set to a dict"):
        conf.pool("default")


def test_a_misconfigured_site_is_no_answer_of_cognitos():
    """Nothing that takes a ResetError for an answer can take this for one."""
    assert issubclass(CognitoResetMisconfigured, ImproperlyConfigured)
    assert not issubclass(CognitoResetMisconfigured, ResetError)


def test_settings_are_read_live():
    """override_settings just works, and nothing has to be reloaded."""
    seen = []
    with with_options(SHOW_DESTINATION=True):
        seen.append(conf.show_destination)
        with with_options():
            seen.append(conf.show_destination)
        seen.append(conf.show_destination)
    assert seen == [True, False, True]


def test_only_the_setting_sets_a_key():
    """What stood on the object would outlive override_settings. Looking at the class reads nothing."""
    with pytest.raises(AttributeError, match=r'COGNITO_RESET\["SHOW_DESTINATION"\]'):
        conf.show_destination = True
    with override_settings(COGNITO_RESET=None):
        assert {name for name in PROPERTIES if isinstance(getattr(Conf, name), Key)} > {
            "sign_in_url"
        }


def test_the_defaults():
    """What a site gets without setting anything."""
    with with_options():
        assert conf.service_class is CognitoService
        assert conf.client_metadata(None) == {}
        assert conf.forward_client_metadata == frozenset()
        assert not conf.forward_analytics_metadata
        assert not conf.forward_encoded_data
        assert not conf.forward_ip_address
        assert (conf.connect_timeout_seconds, conf.total_timeout_seconds) == (2.0, 16.0)
        assert conf.uniform_response_seconds == 1.0
        assert conf.max_concurrent_calls == 8
        assert not conf.show_destination
        assert (conf.sign_in_url, conf.contact_url, conf.limits_cache) == (None, None, None)
        assert (conf.trusted_proxies, conf.user_resolver) == (None, None)
        assert not conf.sign_out_everywhere
        assert not conf.notify_after_reset
        assert conf.audit_retention_days == 90
        assert not conf.staff_may_reset_staff
        assert not conf.limits_fail_open
        assert conf.limits == DEFAULT_LIMITS
        assert conf.resolve_pool(REQUEST) == "default"


def test_what_a_site_sets_is_what_it_gets():
    """Every key with a value of its own."""
    with with_options(
        FORWARD_CLIENT_METADATA=["campaign"],
        FORWARD_ANALYTICS_METADATA=True,
        FORWARD_ENCODED_DATA=True,
        FORWARD_IP_ADDRESS=True,
        CONNECT_TIMEOUT_SECONDS=1,
        TOTAL_TIMEOUT_SECONDS=5,
        UNIFORM_RESPONSE_SECONDS=0,
        MAX_CONCURRENT_CALLS=32,
        SIGN_IN_URL="/sign-in/",
        CONTACT_URL="help",
        LIMITS_CACHE="redis",
        TRUSTED_PROXIES={"COUNT": 1},
        SIGN_OUT_EVERYWHERE=True,
        NOTIFY_AFTER_RESET=True,
        AUDIT_RETENTION_DAYS=30,
        STAFF_MAY_RESET_STAFF=True,
        LIMITS_FAIL_OPEN=True,
    ):
        assert conf.forward_client_metadata == {"campaign"}
        assert conf.forward_analytics_metadata
        assert conf.forward_encoded_data
        assert conf.forward_ip_address
        assert (conf.connect_timeout_seconds, conf.total_timeout_seconds) == (1.0, 5.0)
        assert conf.uniform_response_seconds == 0.0
        assert conf.max_concurrent_calls == 32
        assert (conf.sign_in_url, conf.contact_url) == ("/sign-in/", "help")
        assert (conf.limits_cache, conf.trusted_proxies) == ("redis", {"COUNT": 1})
        assert conf.sign_out_everywhere
        assert conf.notify_after_reset
        assert conf.audit_retention_days == 30
        assert conf.staff_may_reset_staff
        assert conf.limits_fail_open


def test_a_pool_has_all_its_keys():
    """What is left out is None."""
    with with_options():
        pool = conf.pool("default")
    assert (pool.alias, pool.region) == ("default", "eu-west-1")
    assert (pool.user_pool_id, pool.client_id) == ("eu-west-1_Example01", "1example")
    assert (pool.client_secret, pool.endpoint_url, pool.ca_bundle, pool.proxies) == (None,) * 4
    assert (pool.sign_in_with, pool.phone_region) == (("username", "email", "phone_number"), None)


def test_what_people_sign_in_with_has_one_order():
    """However a site writes it."""
    options = {"SIGN_IN_WITH": {"phone_number", "username"}, "PHONE_REGION": "DE"}
    with override_settings(COGNITO_RESET={"POOLS": {"default": {**POOL, **options}}}):
        pool = conf.pool("default")
    assert (pool.sign_in_with, pool.phone_region) == (("username", "phone_number"), "DE")


@pytest.mark.parametrize(
    "options",
    [
        {"SIGN_IN_WITH": "email"},
        {"SIGN_IN_WITH": ["mail"]},
        {"PHONE_REGION": "XX"},
        {"PHONE_REGION": {"DE": 1}},
    ],
    ids=repr,
)
def test_i1_what_nobody_signs_in_with_is_refused(options):
    """I1: before it reaches a page."""
    with (
        override_settings(COGNITO_RESET={"POOLS": {"default": {**POOL, **options}}}),
        pytest.raises(CognitoResetMisconfigured, match=r'"default"\]: wrong SIGN_IN_WITH or PHONE'),
    ):
        conf.pool("default")


def test_pools_have_names():
    """In the site's order, whatever is in them."""
    with override_settings(COGNITO_RESET={"POOLS": {"default": POOL, "broken": {}}}):
        assert conf.pool_aliases() == ("default", "broken")
    with override_settings(COGNITO_RESET={"POOLS": None}), pytest.raises(CognitoResetMisconfigured):
        conf.pool_aliases()


def test_one_pools_mistake_is_none_of_anothers():
    """Tenants don't share their misfortune."""
    with override_settings(COGNITO_RESET={"POOLS": {"default": POOL, "broken": {}}}):
        assert conf.pool("default").client_id == "1example"
        with pytest.raises(CognitoResetMisconfigured, match="REGION, USER_POOL_ID, CLIENT_ID"):
            conf.pool("broken")


@pytest.mark.parametrize(
    "pools", [None, [], "text", {}, {"default": None}, {"default": "x"}], ids=repr
)
def test_i1_pools_that_are_none_are_refused(pools):
    """I1: a pool that isn't there is a mistake of the site's, by name."""
    with (
        override_settings(COGNITO_RESET={"POOLS": pools}),
        pytest.raises(CognitoResetMisconfigured, match="POOLS"),
    ):
        conf.pool("default")


@pytest.mark.parametrize("key", sorted(POOL))
@pytest.mark.parametrize("value", [None, ""], ids=repr)
def test_i1_a_pool_needs_its_three_keys(key, value):
    """I1: the message names what is missing."""
    with (
        override_settings(COGNITO_RESET={"POOLS": {"default": {**POOL, key: value}}}),
        pytest.raises(CognitoResetMisconfigured, match=rf'\["default"\] needs {key}\.'),
    ):
        conf.pool("default")


@pytest.mark.parametrize("value", ["", False, None], ids=repr)
def test_c14_no_value_turns_verification_off(value):
    """C14: botocore takes False, and in some versions an empty text, for "don't verify"."""
    with override_settings(COGNITO_RESET={"POOLS": {"default": {**POOL, "CA_BUNDLE": value}}}):
        assert conf.pool("default").ca_bundle is None


def test_what_is_empty_is_not_set():
    """An environment variable that isn't there often reads as an empty text."""
    empty = {"CLIENT_SECRET": "", "ENDPOINT_URL": "", "PROXIES": {}}
    with override_settings(COGNITO_RESET={"POOLS": {"default": {**POOL, **empty}}}):
        pool = conf.pool("default")
    assert (pool.client_secret, pool.endpoint_url, pool.proxies) == (None, None, None)


def test_h5_a_pools_secrets_are_not_shown():
    """H5: neither the client secret nor a proxy's password is in the repr; two pools can be compared."""
    secrets = {"CLIENT_SECRET": "hunter2", "PROXIES": {"https": "http://u:hunter3@proxy"}}
    with override_settings(COGNITO_RESET={"POOLS": {"default": {**POOL, **secrets}}}):
        pool = conf.pool("default")
        assert pool == conf.pool("default")
    assert "hunter" not in repr(pool)
    assert pool != dataclasses.replace(pool, client_secret="other")
    assert pickle.loads(pickle.dumps(pool)) == pool


@pytest.mark.parametrize("resolver", [brand, f"{__name__}.brand"], ids=["callable", "path"])
def test_a_resolver_names_the_requests_pool(resolver):
    """Tenants by request: a callable or its dotted path."""
    with with_options(POOL_RESOLVER=resolver):
        assert conf.resolve_pool(REQUEST) == "brand"


@pytest.mark.parametrize("value", [metadata, f"{__name__}.metadata"], ids=["callable", "path"])
def test_client_metadata_may_depend_on_the_request(value):
    """Outside of a request, as for staff, the callable gets None."""
    with with_options(CLIENT_METADATA=value):
        assert conf.client_metadata(REQUEST) == {"language": "de"}
        assert conf.client_metadata(None) == {"language": "en"}


def test_client_metadata_is_the_sites_own_to_change():
    """Who gets the dict can't change the setting with it."""
    with with_options(CLIENT_METADATA={"brand": "a"}):
        conf.client_metadata(None)["brand"] = "b"
        assert conf.client_metadata(None) == {"brand": "a"}


def name(value: object) -> str:
    """A function's repr has its address, and workers in parallel compare the tests' ids."""
    return getattr(value, "__name__", repr(value))


@pytest.mark.parametrize("value", [{"language": 5}, numbers, {5: "a"}], ids=name)
def test_client_metadata_that_aws_would_not_take_is_the_sites_mistake(value):
    """Sent, it would be refused for every user, and that would look like a refused account."""
    with with_options(CLIENT_METADATA=value), pytest.raises(CognitoResetMisconfigured):
        conf.client_metadata(REQUEST)


def test_the_names_of_forwarded_keys_are_a_list():
    """A lone text would allow each of its letters."""
    with with_options(FORWARD_CLIENT_METADATA="campaign"), pytest.raises(CognitoResetMisconfigured):
        _ = conf.forward_client_metadata


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
def test_a_users_cognito_name_comes_from_where_the_site_says(source, expected):
    """The username, an attribute, or a callable; a user without one has none, not "None"."""
    user = User(username="alice", email="alice@example.com")
    with with_options(COGNITO_USERNAME=source):
        assert conf.cognito_username(user) == expected


def test_a_callable_may_know_no_cognito_name():
    """None from the site's own callable is no name, too."""
    with with_options(COGNITO_USERNAME=lambda user: None):
        assert conf.cognito_username(User(username="alice")) == ""


@pytest.mark.parametrize(
    ("source", "expected"),
    [(None, None), ("sub", "sub"), (cognito_id, None), (f"{__name__}.cognito_id", None)],
    ids=name,
)
def test_an_attribute_can_be_searched_by(source, expected):
    """A callable can't be turned round."""
    with with_options(COGNITO_USERNAME=source):
        assert conf.username_attribute == expected


@pytest.mark.parametrize("resolver", [find_user, f"{__name__}.find_user"], ids=["callable", "path"])
def test_a_user_resolver_is_a_callable_or_its_path(resolver):
    """The way back: from what was typed to the site's own user."""
    with with_options(USER_RESOLVER=resolver):
        assert conf.user_resolver is not None
        assert conf.user_resolver("alice") == find_user("alice")


def test_limits_of_the_sites_stand_over_the_defaults():
    """A site names what it changes."""
    with with_options(LIMITS={"request": {"identifier": "1/h"}}):
        limits: Any = conf.limits
    assert limits["request"] == {**DEFAULT_LIMITS["request"], "identifier": "1/h"}
    assert limits["confirm"] == DEFAULT_LIMITS["confirm"]


def test_limits_can_be_turned_off():
    """False, and nothing that is merely empty."""
    with with_options(LIMITS=False):
        assert conf.limits is None
    with with_options(LIMITS={}):
        assert conf.limits == DEFAULT_LIMITS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_CONCURRENT_CALLS", 0),
        ("MAX_CONCURRENT_CALLS", "8"),
        ("AUDIT_RETENTION_DAYS", 0),
        ("CONNECT_TIMEOUT_SECONDS", -1),
        ("TOTAL_TIMEOUT_SECONDS", True),
        ("SERVICE_CLASS", None),
        ("SERVICE_CLASS", SimpleNamespace()),
        ("POOL_RESOLVER", "no.such.thing"),
        ("USER_RESOLVER", 5),
        ("PRE_SEND_HOOK", "no.such.thing"),
        ("CLIENT_METADATA", "no.such.thing"),
        ("COGNITO_USERNAME", "no_such_attribute"),
        ("COGNITO_USERNAME", 5),
        ("LIMITS", "1/m"),
        ("LIMITS", {"request": 5}),
    ],
)
def test_i1_these_are_refused(key, value):
    """I1: and not taken for something else."""
    name = next(name for name in READABLE if KEY_OF.get(name, name.upper()) == key)
    name = "cognito_username" if key == "COGNITO_USERNAME" else name
    with (
        with_options(**{key: value}),
        pytest.raises(CognitoResetMisconfigured, match=rf'\["{key}"\]'),
    ):
        read(name)
