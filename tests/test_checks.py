"""System checks: one id for each kind of mistake, a hint with each, no secret in any."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from django.utils.translation import gettext_lazy

from cognito_reset.checks import settings as checks
from cognito_reset.checks.settings import POOL_RULES, RULES, check_deployment, check_settings
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import DEFAULTS, POOL_OPTIONAL, POOL_REQUIRED

POOL = {"REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_Example01", "CLIENT_ID": "1example"}
SAFE = {"SIGN_IN_URL": "/", "SIGN_OUT_EVERYWHERE": True}
MODEL: Any = botocore.session.get_session().get_service_model("cognito-idp")
SECRET = "hunter2"
REDIS = "django.core.cache.backends.redis.RedisCache"


def found(check=check_settings, **values):
    """What the check says about COGNITO_RESET, by the ids' last parts."""
    values = {"POOLS": {"default": POOL}, **values}
    with override_settings(COGNITO_RESET=values):
        return {message.id.rpartition(".")[2]: message for message in check()}


def found_in_pool(**values):
    return found(POOLS={"default": {**POOL, **values}})


class OurService(CognitoService):
    """A site's own."""


class OurCache(LocMemCache):
    """Of a name of its own, and no better for it."""


def callback(*args):
    """A callable that a setting can name."""


def shown(value):
    return "callback" if value is callback else f"{value!r:.40}"


def test_a_good_site_has_nothing_to_hear():
    """The least that a site sets is enough, and so is the safest."""
    assert found() == {}
    assert found(check_deployment, **SAFE) == {}


def test_the_checks_are_bound(settings):
    """``manage.py check`` runs the first, ``check --deploy`` the second, too."""
    settings.COGNITO_RESET = {"POOLS": {"default": POOL}, "TYPO": 1, "LIMITS": False}
    with pytest.raises(SystemCheckError, match=r"cognito_reset\.E002") as error:
        call_command("check")
    assert "cognito_reset.W004" not in str(error.value)
    assert "cognito_reset.W004" in {
        message.id for message in run_checks(include_deployment_checks=True)
    }


def test_checks_have_rules_for_every_key_and_no_other():
    """A key that conf reads and no check knows would be called unknown."""
    assert set(RULES) == {"POOLS", *DEFAULTS}
    assert set(POOL_RULES) == {*POOL_REQUIRED, *POOL_OPTIONAL}


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_every_default_is_good(key):
    """Writing a default down changes nothing."""
    assert set(found(**{key: DEFAULTS[key]})) == set()


@pytest.mark.parametrize("values", [None, "text", [], 5], ids=repr)
def test_e001_the_setting_is_a_dict(settings, values):
    """E001, and no check fails on it."""
    settings.COGNITO_RESET = values
    assert [message.id for message in check_settings()] == ["cognito_reset.E001"]
    assert check_deployment() == []


def test_e001_the_setting_is_there(settings):
    """E001: the app alone in INSTALLED_APPS isn't enough."""
    del settings.COGNITO_RESET
    assert [message.id for message in check_settings()] == ["cognito_reset.E001"]


@pytest.mark.parametrize("place", [found, found_in_pool])
def test_e002_a_key_is_known(place):
    """E002: a key with a typing error would otherwise change nothing."""
    message = place(CLIENT_SECRETS=SECRET)["E002"]
    assert "CLIENT_SECRETS" in message.msg
    assert ("CLIENT_SECRET," in message.hint) is (place is found_in_pool)


@pytest.mark.parametrize("key", POOL_REQUIRED)
def test_e003_a_pool_has_what_it_needs(key):
    """E003, with the hint of the key."""
    pool = {name: value for name, value in POOL.items() if name != key}
    messages = found(POOLS={"default": pool})
    assert set(messages) == {"E003"}
    assert messages["E003"].hint == POOL_RULES[key].hint


def test_e003_there_are_pools(settings):
    """E003: and so has the setting."""
    settings.COGNITO_RESET = {}
    assert [message.id for message in check_settings()] == ["cognito_reset.E003"]


# What each key can't be and what it can, by its id.
WRONG: list[tuple[str, str, list[Any], list[Any]]] = [
    (
        "E004",
        "POOLS",
        [None, {}, [], "text", {"default": None}, {"default": "x"}, {5: POOL}],
        [{"default": POOL, "brand": {**POOL, "USER_POOL_ID": "eu-west-1_Example02"}}],
    ),
    (
        "E005",
        "REGION",
        [None, "", "eu", "EU-WEST-1", "eu-west-1a", "eu-west-1\n", "Ireland", 5, "https://eu-west-1"],
        ["us-east-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"],
    ),
    (
        "E006",
        "USER_POOL_ID",
        [None, "", "my-pool", "arn:aws:cognito-idp:eu-west-1:1:userpool/eu-west-1_A", "eu-west-1_A b",
         "eu-west-1_" + "a" * 46, "eu-west-1_A\n", "eu-wést-1_A", 5],
        ["eu-west-1_AbCdEfGhI", "local_1", "eu-west-1_" + "a" * 45],
    ),
    (
        "E007",
        "CLIENT_ID",
        [None, "", "a b", "a-b", "a" * 129, "é", "a\n", 5],
        ["1example23456789", "a" * 128],
    ),
    ("E008", "CLIENT_SECRET", ["", b"secret", 5, [SECRET]], [None, SECRET, callback]),
    (
        "E009",
        "ENDPOINT_URL",
        ["", "cognito.example.com", "ftp://example.com", "https://", "https://u:p@example.com",
         "https://example.com?a", "https://example.com/#a", "https://example.com:0", "https://a b",
         "https://example.com:port", "https://example.com/ ", "https://x\\y", "javascript:x", 5],
        [None, "https://example.com", "https://example.com:8443/idp", "http://localhost:9229",
         "http://127.0.0.1", "http://[::1]:9229/", "HTTPS://EXAMPLE.COM"],
    ),
    ("E011", "CA_BUNDLE", ["", False, True, "/no/such/file", "/", 5], [None, __file__]),
    (
        "E012",
        "PROXIES",
        ["http://proxy", ["http://proxy"], {"https": None}, {5: "http://proxy"}],
        [None, {}, {"https": f"http://u:{SECRET}@proxy"}],
    ),
    ("E013", "FORWARD_ENCODED_DATA", [None, 0, 1, "yes"], [True, False]),
    ("E024", "SIGN_IN_WITH", [5, "email", [], {}, ["mail"], [5], [["email"]], {"email": 1}],
     [None, ["email"], ("username", "email", "phone_number"), {"phone_number"}]),
    ("E025", "PHONE_REGION", [5, "", "de", "DEU", "XX", ["DE"], {5: 5}], [None, "DE", "US"]),
    ("E014", "SIGN_IN_URL", [5, b"/", ["/"]], [None, "/sign-in/", gettext_lazy("/entrance/")]),
    ("E015", "POOL_RESOLVER", [5, "text", "no.such.thing", "tests.test_checks.SECRET"],
     [None, callback, "tests.test_checks.callback"]),
    ("E015", "USER_RESOLVER", [5, "no.such.thing"], [None, callback]),
    ("E015", "PRE_SEND_HOOK", [5, "text", "no.such.thing"], [None, callback]),
    ("E015", "SERVICE_CLASS", [None, 5, "no.such.Class", callback, dict, "builtins.dict"],
     [OurService, "cognito_reset.cognito.service.CognitoService", "tests.test_checks.OurService"]),
    ("E016", "CLIENT_METADATA", [None, 5, {"a": 5}, {5: "a"}, "no.such.thing"], [{"a": "b"}, callback]),
    ("E017", "COGNITO_USERNAME", [5, "", "no_such_attribute", "no.such.thing"],
     [None, "email", callback, "tests.test_checks.callback"]),
    ("E018", "FORWARD_CLIENT_METADATA", [None, "campaign", 5, [5], {"campaign": 1}],
     [[], ("campaign",), {"campaign"}, frozenset()]),
    ("E019", "CONNECT_TIMEOUT_SECONDS", [None, 0, 11, "2", True], [0.1, 10]),
    ("E019", "TOTAL_TIMEOUT_SECONDS", [0.9, 61, float("nan")], [1, 60]),
    ("E019", "UNIFORM_RESPONSE_SECONDS", [-0.1, 10.1, float("inf")], [0, 10]),
    ("E019", "MAX_CONCURRENT_CALLS", [0, 1001, 2.5, "8", True], [1, 1000]),
    ("E019", "AUDIT_RETENTION_DAYS", [0, 36501, 0.5], [1, 36500]),
    (
        "E020",
        "LIMITS",
        [None, True, "1/m", {"send": {}}, {"request": None}, {"request": ["identifier"]},
         {"request": {"user": "1/m"}}, {"request": {"identifier": "often"}},
         {"request": {"identifier": None}}, {"confirm": {"site": "0/h"}}],
        [False, {}, {"request": {}}, {"request": {"identifier": "1/m,3/h"}, "confirm": {"site": "9/d"}}],
    ),
    (
        "E021",
        "LIMITS_CACHE",
        ["default", "db", "files", "none", "ours", "missing", 5, ["redis"]],
        [None, "redis"],
    ),
    (
        "E022",
        "TRUSTED_PROXIES",
        [{}, 1, "10.0.0.0/8", {"COUNT": 0}, {"COUNT": True}, {"COUNT": "1"}, {"COUNT": 1, "HEADER": "X"},
         {"HEADER": ""}, {"HEADER": 5}, {"HEADER": "X", "CIDRS": ["10.0.0.0/8"]}, {"CIDRS": []},
         {"CIDRS": ["10.0.0.1/8"]}, {"CIDRS": [5]}, {"CIDRS": "10.0.0.0/8"}, {"PROXIES": 1},
         {"CIDRS": ["10.0.0.0/8"], "X": 1}],
        [None, {"COUNT": 2}, {"HEADER": "X-Real-IP"}, {"CIDRS": ["10.0.0.0/8", "2001:db8::/32"]}],
    ),
]  # fmt: skip
BAD = [(id, key, value) for id, key, wrong, _ in WRONG for value in wrong]
GOOD = [(key, value) for _, key, _, right in WRONG for value in right]


@pytest.fixture(autouse=True)
def _caches(settings):
    backends = "django.core.cache.backends"
    settings.CACHES = {
        "default": {"BACKEND": f"{backends}.locmem.LocMemCache"},
        "db": {"BACKEND": f"{backends}.db.DatabaseCache"},
        "files": {"BACKEND": f"{backends}.filebased.FileBasedCache", "LOCATION": "/nowhere"},
        "none": {"BACKEND": f"{backends}.dummy.DummyCache"},
        "ours": {"BACKEND": f"{__name__}.OurCache"},
        "redis": {"BACKEND": REDIS},
    }


def place(key):
    return found_in_pool if key in POOL_RULES else found


@pytest.mark.parametrize(("id", "key", "value"), BAD, ids=shown)
def test_i1_what_cannot_be_used_is_an_error_with_a_hint(id, key, value):
    """I1: one id for each kind of mistake; the message names the key and never shows the value."""
    messages = place(key)(**{key: value})
    assert set(messages) == {id}
    [message] = messages.values()
    assert message.is_serious()
    assert f'["{key}"] can\'t be used.' in message.msg
    assert message.hint == (POOL_RULES | RULES)[key].hint


@pytest.mark.parametrize(("key", "value"), GOOD, ids=shown)
def test_what_can_be_used_is_no_error(key, value):
    """Warnings aside, which have tests of their own."""
    assert place(key)(**{key: value}) == {}


@pytest.mark.parametrize("url", ["http://10.0.0.1", "http://cognito:9229", "HTTP://localhost.evil/",
                                 "http://127.0.0.1.evil.com", "http://localhost0"])  # fmt: skip
def test_c12_plain_http_is_for_loopback(settings, url):
    """C12, E010: and for a developer's other machine, with a warning (W002)."""
    settings.DEBUG = False
    assert set(found_in_pool(ENDPOINT_URL=url)) == {"E010"}
    settings.DEBUG = True
    messages = found_in_pool(ENDPOINT_URL=url)
    assert set(messages) == {"W002"}
    assert not messages["W002"].is_serious()


def test_c14_verification_has_no_key():
    """C14: nothing that turns TLS verification off is known."""
    for key in ("VERIFY", "VERIFY_SSL", "USE_SSL"):
        assert set(found_in_pool(**{key: False})) == {"E002"}


def test_w001_a_site_without_a_default_pool_names_its_pools():
    """W001, unless a resolver does."""
    pools = {"brand": POOL}
    assert set(found(POOLS=pools)) == {"W001"}
    assert set(found(POOLS=pools, POOL_RESOLVER=callback)) == set()


def test_every_pool_is_looked_at():
    """The message says which."""
    message = found(POOLS={"default": POOL, "brand": {**POOL, "REGION": 5}})["E005"]
    assert 'COGNITO_RESET["POOLS"]["brand"]["REGION"]' in message.msg


def test_w006_a_shown_destination_is_an_oracle():
    """A10, W006: an opt-in with a warning."""
    assert set(found(SHOW_DESTINATION=True)) == {"W006"}


def test_w007_the_pages_need_sessions(settings):
    """W007: a subclass will do."""
    settings.MIDDLEWARE = []
    assert set(found()) == {"W007"}
    settings.MIDDLEWARE = ["site.middleware.OurSessionMiddleware"]
    assert found() == {}


@pytest.mark.parametrize(
    ("id", "values"),
    [
        ("W003", {"UNIFORM_RESPONSE_SECONDS": 0}),
        ("W004", {"LIMITS": False}),
        ("W005", {"SIGN_IN_URL": None}),
        ("W005", {"SIGN_IN_URL": ""}),
        ("W008", {"SIGN_OUT_EVERYWHERE": False}),
    ],
)
def test_deployment_has_its_own_warnings(id, values):
    """W003, W004, W005, W008: good enough for a developer's machine, and said before the site is up."""
    assert set(found(check_deployment, **{**SAFE, **values})) == {id}
    assert found(**{**SAFE, **values}) == {}


def test_deployment_warns_of_what_is_not_set():
    """A key that is left out is its default."""
    assert set(found(check_deployment)) == {"W005", "W008"}


def everything_wrong(settings: Any) -> list[CheckMessage]:
    """All messages that there are."""
    messages: list[CheckMessage] = []
    settings.MIDDLEWARE = []
    pool = {key: {5: SECRET} for key in POOL_RULES}
    options = {key: {5: SECRET} for key in RULES if key != "POOLS"}
    plain = {**POOL, "ENDPOINT_URL": f"http://{SECRET}.example.com"}
    short, kinds = {"MinimumLength": 6}, {"RequireNumbers": True}
    policies: dict[str, Any] = {
        "d": {**POOL, "PASSWORD_POLICY": short},
        "e": {**POOL, "PASSWORD_POLICY": kinds},
    }
    off = {"LIMITS": False, "UNIFORM_RESPONSE_SECONDS": 0, "TYPO": SECRET}
    for debug in (True, False):
        settings.DEBUG = debug
        for values in (
            SECRET,
            {},
            {"POOLS": SECRET},
            {"POOLS": {"a": {}, "b": pool, "c": plain, **policies}, **options},
            {"POOLS": {"a": pool}, **off},
        ):
            settings.COGNITO_RESET = values
            messages += [*check_settings(), *check_deployment()]
    return messages


def test_every_message_has_an_id_and_a_hint_and_no_secret(settings):
    """A site can silence each by its id, and read what to do; values aren't shown."""
    messages = everything_wrong(settings)
    for message in messages:
        assert re.fullmatch(r"cognito_reset\.[EWI]0\d\d", message.id or "")
        assert (message.id or "").startswith("cognito_reset.E") == message.is_serious()
        assert message.hint
        assert message.hint[0].isupper()
        assert message.hint.endswith(".")
        assert SECRET not in f"{message.msg}{message.hint}"
    numbers = {(message.id or "").rpartition(".")[2] for message in messages}
    kinds = {"E": 26, "W": 10, "I": 1}
    assert numbers == {f"{kind}{n:03}" for kind, last in kinds.items() for n in range(1, last + 1)}


def test_ids_are_unique_per_kind_of_mistake():
    """A rule of its own has an id of its own, but for the ways to name a callable or a number."""
    by_id: dict[str, list[checks.Rule]] = {}
    for rule in {**POOL_RULES, **RULES}.values():
        by_id.setdefault(rule.id, []).append(rule)
    for id, rules in by_id.items():
        assert len(set(rules)) == 1 or id in ("E015", "E019")
        if id == "E015":
            assert all("callable" in rule.hint or "subclass" in rule.hint for rule in rules)
        if id == "E019":
            assert all("number" in rule.hint for rule in rules)


@pytest.mark.parametrize(
    ("key", "shape"), [("USER_POOL_ID", "UserPoolIdType"), ("CLIENT_ID", "ClientIdType")]
)
def test_ids_of_pools_and_clients_are_the_models(key, shape):
    """Pattern and length are botocore's."""
    metadata = MODEL.shape_for(shape).metadata
    pattern = re.compile(metadata["pattern"], re.ASCII)
    for value in (
        *(v for _, k, wrong, right in WRONG if k == key for v in (*wrong, *right)),
        "_",
        "+",
    ):
        if isinstance(value, str):
            allowed = metadata["min"] <= len(value) <= metadata["max"] and pattern.fullmatch(value)
            assert POOL_RULES[key].accepts(value) is bool(allowed), value


def test_w010_two_aliases_of_one_pool_double_the_tries(settings):
    """Limits are counted by alias."""
    with_pools = {"default": POOL, "brand": {**POOL, "CLIENT_ID": "2example23456789"}}
    settings.COGNITO_RESET = {"POOLS": with_pools}
    assert [message.id for message in check_settings()].count("cognito_reset.W010") == 1
    with_pools["brand"]["USER_POOL_ID"] = "eu-west-1_Example02"
    assert "cognito_reset.W010" not in [message.id for message in check_settings()]
