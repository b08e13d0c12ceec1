"""System checks: each kind of mistake has an id and a hint, and no message shows a secret."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from django.apps import apps
from django.core.cache.backends.base import get_key_func
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.checks import CheckMessage, registry, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from django.utils.translation import gettext_lazy

from cognito_reset.checks.deployment import check_app_clients, check_deployment
from cognito_reset.checks.settings import check_settings
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import POOL_SETTINGS, SETTINGS, CognitoResetMisconfigured, PoolSettings

REQUIRED = {"REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_Example01", "CLIENT_ID": "1example"}
POOL = {**REQUIRED, "SIGN_IN_WITH": ["email"]}
SAFE = {"SIGN_IN_URL": "/", "SIGN_OUT_EVERYWHERE": True}
MODEL: Any = botocore.session.get_session().get_service_model("cognito-idp")
SECRET = "hunter2hunter2hunter2hunter2"
# What files and secrets managers add.
UNCLEAN_SECRETS = [
    "{}\n",
    "{}\r\n",
    "\n{}",
    " {}",
    "{}\t",
    '"{}"',
    "'{}'",
    '{{"client_secret": "{}"}}',
    "{}-",
    "\ufeff{}",
]
BACKENDS = "django.core.cache.backends"


def found(check=check_settings, **values):
    """Return the messages about COGNITO_RESET by the last parts of their ids."""
    values = {"POOLS": {"default": POOL}, **values}
    with override_settings(COGNITO_RESET=values):
        return {(message.id or "").rpartition(".")[2]: message for message in check()}


def found_in_pool(check=check_settings, **values):
    return found(check, POOLS={"default": {**POOL, **values}})


class OurService(CognitoService):
    """A subclass in a site."""


class OurCache(LocMemCache):
    """A subclass of an unsafe cache."""


class ACache:
    """What every cache has, as Redis clients outside of Django do it. It is one that hides nothing."""

    _ignore_exceptions = False

    def __init__(self, location, params):
        self.key_prefix = params.get("KEY_PREFIX", "")
        self.version = 1
        self.key_func = get_key_func(params.get("KEY_FUNCTION"))

    def close(self, **kwargs):
        pass

    def add(self, *args):
        raise NotImplementedError


class AMemcachedCache(BaseMemcachedCache):
    """As Django's, without a client's library."""

    def __init__(self, server, params):
        library = SimpleNamespace(Client=None)
        super().__init__(server, params, library, value_not_found_exception=KeyError)

    def close(self, **kwargs):
        pass


class CacheThatHides(ACache):
    _ignore_exceptions = True


class AsyncCache(ACache):
    async def add(self, *args):
        raise NotImplementedError


class ClusterCache(ACache):
    pass


class HerdClient:
    """django-redis has one of this name."""


class OurHerdClient(HerdClient):
    pass


def hashed(key, prefix, version):
    """A KEY_FUNCTION that leaves no braces."""
    return f"{prefix}:{hash(key)}"


def tagged(key, prefix, version):
    """A KEY_FUNCTION with a tag of its own."""
    return f"{{all}}:{hash(key)}"


def callback(*args):
    """A callable that a setting can name."""


def shown(value):
    return "callback" if value is callback else f"{value!r:.40}"


@pytest.fixture(autouse=True)
def _site(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)  # it counts as not installed
    settings.CACHES = {
        "default": {"BACKEND": f"{BACKENDS}.locmem.LocMemCache"},
        "db": {"BACKEND": f"{BACKENDS}.db.DatabaseCache"},
        "files": {"BACKEND": f"{BACKENDS}.filebased.FileBasedCache", "LOCATION": "/nowhere"},
        "none": {"BACKEND": f"{BACKENDS}.dummy.DummyCache"},
        "ours": {"BACKEND": f"{__name__}.OurCache"},
        "not_installed": {"BACKEND": "no_such_package.Cache"},
        "redis": {
            "BACKEND": f"{BACKENDS}.redis.RedisCache",
            "LOCATION": f"redis://:{SECRET}@cache",
        },
    }


@pytest.mark.parametrize("pool", [POOL, REQUIRED])
def test_a_correct_site_gets_no_message(pool):
    """The required keys are enough for development."""
    assert found(POOLS={"default": pool}) == {}
    assert found(check_deployment, **SAFE) == {}


def test_the_checks_are_registered(settings):
    """``manage.py check`` runs the first function, ``check --deploy`` also the second."""
    settings.CACHES = {"default": settings.CACHES["default"]}  # Django checks all caches, too
    settings.COGNITO_RESET = {"POOLS": {"default": POOL}, "LIMITS": False}
    assert "cognito_reset.W004" not in {message.id for message in run_checks()}
    deployment = run_checks(include_deployment_checks=True)
    assert "cognito_reset.W004" in {message.id for message in deployment}
    assert "cognito_reset.I004" not in {message.id for message in run_checks()}
    settings.COGNITO_RESET = {"POOLS": {"default": POOL}, "TYPO": 1}
    with pytest.raises(SystemCheckError, match=r"cognito_reset\.E002"):
        call_command("check")


@pytest.mark.parametrize("key", sorted(SETTINGS.keys() - {"POOLS"}))
def test_every_default_is_correct(key):
    """A site may write down a default."""
    assert found(**{key: SETTINGS[key].default}) == {}


@pytest.mark.parametrize("values", [None, "text", [], 5], ids=repr)
def test_e001_the_setting_must_be_a_dict(settings, values):
    """E001: no check fails because of it."""
    settings.COGNITO_RESET = values
    assert [message.id for message in check_settings()] == ["cognito_reset.E001"]
    assert check_deployment() == []


def test_e001_the_setting_must_exist(settings):
    """E001: the app in INSTALLED_APPS isn't enough."""
    del settings.COGNITO_RESET
    assert [message.id for message in check_settings()] == ["cognito_reset.E001"]


@pytest.mark.parametrize(
    ("check", "key", "nearest"),
    [
        (found, "LIMITS_CASH", "LIMITS_CACHE"),
        (found, "sign_in_url", "SIGN_IN_URL"),
        (found_in_pool, "CLIENT_SECRETS", "CLIENT_SECRET"),
        (found, "XXXXXX", None),
    ],
)
def test_e002_a_key_must_be_known(check, key, nearest):
    """E002: a mistyped key would change nothing. The message suggests the nearest known key."""
    message = check(**{key: SECRET})["E002"]
    assert f'"{key}"' in message.msg
    assert re.findall(r'did you mean "(\w+)"', message.msg) == ([nearest] if nearest else [])
    assert "LIMITS_CACHE" in message.hint or "CLIENT_SECRET" in message.hint


@pytest.mark.parametrize("key", REQUIRED)
@pytest.mark.parametrize("value", [None, "", ...], ids=repr)
def test_e003_a_pool_must_have_the_required_keys(key, value):
    """E003: None and an empty string count as missing."""
    pool = {name: value if name == key else POOL[name] for name in POOL}
    messages = found(POOLS={"default": {k: v for k, v in pool.items() if v is not ...}})
    assert set(messages) == {"E003"}
    assert f'COGNITO_RESET["POOLS"]["default"]["{key}"]' in messages["E003"].hint


def test_e003_there_must_be_pools(settings):
    """E003: POOLS is required."""
    settings.COGNITO_RESET = {}
    assert [message.id for message in check_settings()] == ["cognito_reset.E003"]


# For each id and key: unusable values, and usable ones.
CASES: list[tuple[str, str, list[Any], list[Any]]] = [
    (
        "E004",
        "POOLS",
        [{}, [], "text", {"default": None}, {"default": "x"}, {5: POOL}],
        [{"default": POOL, "brand": {**POOL, "USER_POOL_ID": "eu-west-1_Example02"}}],
    ),
    (
        "E005",
        "REGION",
        ["eu", "EU-WEST-1", "eu-west-1a", "eu-west-1\n", "Ireland", 5, "https://eu-west-1"],
        ["us-east-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"],
    ),
    (
        "E006",
        "USER_POOL_ID",
        ["my-pool", "arn:aws:cognito-idp:eu-west-1:1:userpool/eu-west-1_A", "eu-west-1_A b",
         "eu-west-1_" + "a" * 46, "eu-west-1_A\n", "eu-wést-1_A", 5],
        ["eu-west-1_AbCdEfGhI", "local_1", "eu-west-1_" + "a" * 45],
    ),
    ("E007", "CLIENT_ID", ["a b", "a-b", "a" * 129, "é", "a\n", 5], ["1example23456789", "a" * 128]),
    (
        "E008",
        "CLIENT_SECRET",
        [b"secret", 5, [SECRET], *(text.format(SECRET) for text in UNCLEAN_SECRETS), "a" * 23, "a" * 65],
        [None, "", SECRET, callback, "a" * 24, "A_+9" * 16],
    ),
    (
        "E009",
        "ENDPOINT_URL",
        ["cognito.example.com", "ftp://example.com", "https://", "https://u:p@example.com",
         "https://example.com?a", "https://example.com/#a", "https://example.com:0", "https://a b",
         "https://example.com:port", "https://example.com/ ", "https://x\\y", "javascript:x", 5],
        [None, "https://example.com", "https://example.com:8443/idp", "http://localhost:9229",
         "http://127.0.0.1", "http://[::1]:9229/", "HTTPS://EXAMPLE.COM"],
    ),
    ("E011", "CA_BUNDLE", [False, True, "/no/such/file", "/", 5, "the certificates " * 300], [None, "", __file__]),
    (
        "E012",
        "PROXIES",
        ["http://proxy", ["http://proxy"], {"https": None}, {5: "http://proxy"}, {"htps": "x"},
         {"https": "http://proxy", "http://proxy": "https"}],
        [None, {}, {"https": f"http://u:{SECRET}@proxy"}],
    ),
    ("E013", "AUDIT", [None, 0, 1, "yes"], [True, False]),
    (
        "E014",
        "SIGN_IN_URL",
        [5, b"/", ["/"], "javascript:alert(1)", "JavaScript:go", "vbscript:x", "java\nscript:x()",
         " javascript:x", "\x01javascript:x", "data:text/html,x", "https:", "http:///x", "https://",
         "https:sign-in", "ftp://example.com", "file:///etc", "mailto:help@example.com", "tel:112",
         "/sign-in/\n", " /sign-in/", "x:/y", "sign-in/", "./in", "../in", "?in", "#in", "example.com/in",
         "help@example.com", "//", "//example.com/in", "/\\example.com", "https://exa mple", "https://.",
         "https://a..b/", "https://[::1/", "https://example.com\\in", "https://example.com:port/"],
        [None, "", "/", "/sign-in/", "/a:b", "/?in", "/a//b", "https://example.com/in?next=/",
         "https://example.com", "https://localhost:8000#in", "https://exämple.com./", "https://a@b.example", "HTTP://example.com", "https://[::1]/", "/einloggen/ä",
         "sign-in", "accounts:sign_in", "data:sign-in", "a.b:c:d", gettext_lazy("/entrance/")],
    ),
    (
        "E014",
        "CONTACT_URL",
        [5, "javascript:alert(1)", "data:text/html,x", "mailto:", "tel:", "sms:+112", "help me:now"],
        [None, "mailto:help@example.com", "mailto:help@example.com?subject=My password", "help:contact",
         "tel:+4930123456", "tel:112", "Mailto:a@b", "https://example.com", "help.html"],
    ),
    ("E015", "POOL_RESOLVER", [5, "text", "a..b", "no.such.thing", "tests.test_checks.SECRET"],
     [None, callback, "tests.test_checks.callback"]),
    ("E015", "USER_RESOLVER", [5, "no.such.thing"], [None, callback]),
    ("E015", "PRE_SEND_HOOK", [5, "text", "no.such.thing"], [None, callback]),
    ("E015", "SERVICE_CLASS", [None, 5, "no.such.Class", callback, dict, "builtins.dict"],
     [OurService, "cognito_reset.cognito.service.CognitoService", "tests.test_checks.OurService"]),
    ("E016", "CLIENT_METADATA", [None, 5, {"a": 5}, {5: "a"}, "no.such.thing"],
     [{"a": "b"}, callback]),
    ("E017", "COGNITO_USERNAME", [5, "", "no_such_attribute", "no.such.thing"],
     [None, "email", callback, "tests.test_checks.callback"]),
    ("E018", "FORWARD_CLIENT_METADATA", [None, "campaign", 5, [5], {"campaign": 1}],
     [[], ("campaign",), {"campaign"}, frozenset()]),
    ("E019", "CONNECT_TIMEOUT_SECONDS", [None, 0, 11, "2", True], [0.1, 10]),
    ("E019", "TOTAL_TIMEOUT_SECONDS", [0, 61, float("nan")], [1, 60]),
    ("E019", "UNIFORM_RESPONSE_SECONDS", [-0.1, 10.1, float("inf")], [0, 10]),
    ("E019", "MAX_CONCURRENT_CALLS", [0, 1001, 2.5, "8", True], [1, 64]),
    ("E019", "AUDIT_RETENTION_DAYS", [0, 36501, 0.5], [1, 36500]),
    (
        "E020",
        "LIMITS",
        [None, True, "1/m", {"send": {}}, {"request": None}, {"request": ["identifier"]},
         {"request": {"user": "1/m"}}, {"request": {"identifier": "often"}},
         {"confirm": {"site": "0/h"}}],
        [False, {}, {"request": {}}, {"request": {"identifier": None, "network": None}},
         {"request": {"identifier": "1/m,3/h"}, "confirm": {"site": "9/d"}}],
    ),
    (
        "E021",
        "LIMITS_CACHE",
        ["default", "db", "files", "none", "ours", "missing", "not_installed", 5,
         ["redis"]],
        [None, "", "redis"],
    ),
    (
        "E022",
        "TRUSTED_PROXIES",
        [{}, 1, "10.0.0.0/8", {"COUNT": 0}, {"COUNT": True}, {"COUNT": "1"},
         {"COUNT": 1, "HEADER": "X"}, {"HEADER": ""}, {"HEADER": 5}, {"HEADER": "HTTP_X_REAL_IP"}, {"CIDRS": []},
         {"HEADER": "X", "CIDRS": ["10.0.0.0/8"]}, {"CIDRS": ["10.0.0.1/8"]}, {"CIDRS": [5]},
         {"CIDRS": "10.0.0.0/8"}, {"PROXIES": 1}, {"CIDRS": ["10.0.0.0/8"], "X": 1},
         {"CIDRS": ["10.0.0.0/8", "0.0.0.0/0"]}, {"CIDRS": ["::/0"]}, {"CIDRS": ["0.0.0.0/1"]}],
        [None, {"COUNT": 2}, {"HEADER": "X-Real-IP"},
         {"CIDRS": ["10.0.0.0/8", "2001:db8::/32", "fc00::/7"]}],
    ),
    ("E023", "PASSWORD_POLICY", ["none", [], {"MinimumLength": 5}, {"RequireNumbers": 1}],
     [None, "pool", {"MinimumLength": 8, "PasswordHistorySize": 3, "RequireNumbers": True}]),
    ("E024", "SIGN_IN_WITH", [5, "email", [], {}, ["mail"], [5], [["email"]], {"email": 1}],
     [None, ["email"], ("username", "email", "phone_number"), {"phone_number"}]),
    ("E025", "PHONE_REGION", [5, "de", "DEU", "XX", ["DE"], {5: 5}], [None, "DE", "US"]),
    ("E026", "PUBLISHED_CLIENT_ID", ["a b", 5], [None, "", "demo"]),
]  # fmt: skip
UNUSABLE = [(id, key, value) for id, key, values, _ in CASES for value in values]
USABLE = [(key, value) for _, key, _, values in CASES for value in values]


@pytest.mark.requirement("I1")
@pytest.mark.parametrize(("id", "key", "value"), UNUSABLE, ids=shown)
def test_i1_an_unusable_value_is_an_error_with_a_hint(id, key, value):
    """Each kind of mistake has its id. Message and hint name the key."""
    messages = (found_in_pool if key in POOL_SETTINGS else found)(**{key: value})
    assert set(messages) == {id}
    [message] = messages.values()
    assert message.is_serious()
    assert f'["{key}"]' in message.msg
    assert re.match(rf'Set COGNITO_RESET\S*\["{key}"\] to ["\w]', message.hint)


@pytest.mark.parametrize(("key", "value"), USABLE, ids=shown)
def test_a_usable_value_is_no_error(key, value):
    """Values that are risky have tests of their own."""
    more = {"USER_POOL_ID": f"{value}_Example01"} if key == "REGION" else {}
    assert (found_in_pool if key in POOL_SETTINGS else found)(**{key: value, **more}) == {}


def test_every_key_and_every_error_has_a_case():
    """A new key needs a case, or shares the id of a key that has one."""
    declared = {setting.id for setting in (*SETTINGS.values(), *POOL_SETTINGS.values())}
    assert {id for id, *_ in CASES} == declared


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"SERVICE_CLASS": "no.such.Class"}, "No module named 'no'"),
        ({"PRE_SEND_HOOK": f"{__name__}.nothing"}, 'does not define a "nothing" attribute'),
        ({"LIMITS_CACHE": "not_installed"}, "No module named 'no_such_package'"),
        ({"LIMITS_CACHE": "missing"}, "CACHES has no such alias"),
        ({"LIMITS": {"requests": {}}}, 'unknown step "requests" (did you mean "request"?)'),
        ({"LIMITS": {"confirm": {"networks": "1/h"}}}, '(did you mean "network"?)'),
        ({"LIMITS": {"confirm": {"site": "often"}}}, '"often"'),
        ({"TRUSTED_PROXIES": {"CIDRS": ["10.0.0.1/8"]}}, "10.0.0.1/8 has host bits set"),
        ({"TRUSTED_PROXIES": {"CIDR": ["10.0.0.0/8"]}}, '"CIDR" (did you mean "CIDRS"?)'),
        ({"POOLS": {"default": {**POOL, "SIGN_IN_WITH": ["mail"]}}}, '(did you mean "email"?)'),
    ],
)
def test_a_message_gives_the_reason(values, reason):
    """The text of an ImportError, the nearest known word, or the part that is wrong."""
    [message] = found(**values).values()
    assert reason in message.msg


@pytest.mark.parametrize(
    ("alias", "backend", "library"),
    [("redis", "redis.RedisCache", "redis"), ("m", "memcached.PyMemcacheCache", "pymemcache")],
)
def test_e021_the_caches_library_must_be_installed(settings, monkeypatch, alias, backend, library):
    """E021: Django itself imports redis only when the cache is used."""
    settings.CACHES = {alias: {"BACKEND": f"{BACKENDS}.{backend}", "LOCATION": "cache:1"}}
    monkeypatch.setitem(sys.modules, library, None)
    assert library in found(LIMITS_CACHE=alias)["E021"].msg


ACACHE = {"BACKEND": f"{__name__}.ACache"}
CLUSTER = {"BACKEND": f"{__name__}.ClusterCache"}
MEMCACHED = {"BACKEND": f"{__name__}.AMemcachedCache", "LOCATION": "cache:1"}


@pytest.mark.parametrize(
    ("cache", "word", "advice"),
    [
        (
            {"BACKEND": f"{__name__}.CacheThatHides"},
            '"IGNORE_EXCEPTIONS"',
            'IGNORE_EXCEPTIONS"] to F',
        ),
        ({**ACACHE, "OPTIONS": {"IGNORE_EXCEPTIONS": True}}, '"IGNORE_EXCEPTIONS"', " to False"),
        ({**MEMCACHED, "OPTIONS": {"ignore_exc": True}}, '"ignore_exc"', '["ignore_exc"] to False'),
        ({**MEMCACHED, "OPTIONS": {"default_noreply": True}}, '"default_noreply"', " to False"),
        ({**ACACHE, "OPTIONS": {"CLIENT_CLASS": HerdClient}}, "HerdClient", '["CLIENT_CLASS"]'),
        (
            {**ACACHE, "OPTIONS": {"CLIENT_CLASS": f"{__name__}.OurHerdClient"}},
            *("HerdClient", '["CLIENT_CLASS"]'),
        ),
        (
            {**ACACHE, "OPTIONS": {"CLIENT_CLASS": "no.such.Client"}},
            "No module named 'no'",
            "CLIENT",
        ),
        ({"BACKEND": f"{__name__}.AsyncCache"}, "AsyncCache", "Valkey or Memcached"),
        ({**MEMCACHED, "KEY_PREFIX": "a" * 112}, "too long", '["KEY_PREFIX"]'),
        ({**MEMCACHED, "KEY_PREFIX": "a site"}, "characters", '["KEY_PREFIX"]'),
        ({**CLUSTER, "KEY_FUNCTION": f"{__name__}.hashed"}, "{cognito_reset}", '["KEY_FUNCTION"]'),
        ({**CLUSTER, "KEY_PREFIX": "{}"}, "{cognito_reset}", '["KEY_FUNCTION"]'),
    ],
)
def test_e021_a_cache_must_count_exactly_and_tell_what_happened(settings, cache, word, advice):
    """E021: the message names the option. tests/services has the real clients."""
    settings.CACHES = {"limits": cache}
    message = found(LIMITS_CACHE="limits")["E021"]
    assert word in message.msg
    assert advice in message.hint
    assert message.hint.startswith(
        ('Set CACHES["limits"][', 'Shorten CACHES["limits"][', "Let CACHES", "Set COG")
    )


@pytest.mark.parametrize(
    "cache",
    [
        ACACHE,
        {**ACACHE, "OPTIONS": {"IGNORE_EXCEPTIONS": False, "CLIENT_CLASS": None}},
        {**ACACHE, "KEY_FUNCTION": f"{__name__}.hashed"},
        {**MEMCACHED, "KEY_PREFIX": "a" * 111},
        {**MEMCACHED, "OPTIONS": {"ignore_exc": False}},
        CLUSTER,
        {**CLUSTER, "KEY_PREFIX": "a site", "KEY_FUNCTION": f"{__name__}.tagged"},
        {**CLUSTER, "KEY_PREFIX": "{a-site}"},
    ],
)
def test_other_caches_are_fine(settings, cache):
    settings.CACHES = {"limits": cache}
    assert found(LIMITS_CACHE="limits") == {}


def test_e025_the_library_must_be_installed(monkeypatch):
    """E025: the extra "phone" has it."""
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    message = found_in_pool(PHONE_REGION="DE")["E025"]
    assert "phonenumbers" in message.msg
    assert "django-cognito-reset[phone]" in message.hint


@pytest.mark.requirement("C12")
@pytest.mark.parametrize("url", ["http://10.0.0.1", "http://cognito:9229", "HTTP://localhost.evil/",
                                 "http://127.0.0.1.evil.com", "http://localhost0"])  # fmt: skip
def test_c12_plain_http_is_only_for_loopback(settings, url):
    """C12, E010: with DEBUG it is a warning (W002), for a developer's other machine."""
    settings.DEBUG = False
    assert set(found_in_pool(ENDPOINT_URL=url)) == {"E010"}
    settings.DEBUG = True
    messages = found_in_pool(ENDPOINT_URL=url)
    assert set(messages) == {"W002"}
    assert not messages["W002"].is_serious()


@pytest.mark.requirement("C14")
def test_c14_verification_has_no_key():
    """No key turns the verification of certificates off."""
    for key in ("VERIFY", "VERIFY_SSL", "USE_SSL"):
        assert set(found_in_pool(**{key: False})) == {"E002"}


def test_w001_a_site_without_a_default_pool_must_name_its_pools():
    """W001: a resolver may name them."""
    assert set(found(POOLS={"brand": POOL})) == {"W001"}
    assert set(found(POOLS={"brand": POOL}, POOL_RESOLVER=callback)) == set()


def test_every_pool_is_checked():
    """The message names the pool."""
    message = found(POOLS={"default": POOL, "brand": {**POOL, "REGION": 5}})["E005"]
    assert 'COGNITO_RESET["POOLS"]["brand"]["REGION"]' in message.msg


def test_w010_two_aliases_of_one_pool_double_the_attempts():
    """W010: limits are counted by alias."""
    other = {**POOL, "USER_POOL_ID": "eu-west-1_Example02"}
    assert set(found(POOLS={"default": POOL, "brand": {**POOL, "CLIENT_ID": "2"}})) == {"W010"}
    assert set(found(POOLS={"default": POOL, "brand": other})) == set()


@pytest.mark.parametrize(
    ("region", "pool_id", "ids"),
    [
        ("eu-west-1", "eu-west-1_Example01", set()),
        ("eu-west-2", "eu-west-1_Example01", {"W024"}),
        ("us-gov-west-1", "us-west-1_Example01", {"W024"}),
        ("eu-west-1", "local_1Example", set()),  # an emulator's
    ],
)
def test_w024_the_region_is_the_one_of_the_pools_id(region, pool_id, ids):
    """
    W024: a replica has the id of the pool that it copies, so it is only a warning. "Users can't reset
    passwords" there: docs.aws.amazon.com/cognito/latest/developerguide/user-pool-multi-region.html.
    """
    messages = found_in_pool(REGION=region, USER_POOL_ID=pool_id)
    assert set(messages) == ids
    for message in messages.values():
        assert f'"{region}"' in message.msg
        assert 'COGNITO_RESET["POOLS"]["default"]["REGION"]' in message.msg
        assert f'"{pool_id.partition("_")[0]}"' in message.msg
        assert "replica" in message.hint


@pytest.mark.requirement("A10")
def test_w006_a_shown_destination_tells_who_has_an_account():
    """Showing it is off by default, and gives a warning."""
    assert set(found(SHOW_DESTINATION=True)) == {"W006"}


def test_w007_the_pages_need_sessions(settings):
    """W007: a subclass of the middleware is enough."""
    settings.MIDDLEWARE = []
    assert set(found()) == {"W007"}
    settings.MIDDLEWARE = ["site.middleware.OurSessionMiddleware"]
    assert found() == {}


@pytest.mark.parametrize(
    "sign", [{"SECURE_PROXY_SSL_HEADER": ("X", "https")}, {"USE_X_FORWARDED_HOST": True}]
)
def test_w018_a_site_behind_a_proxy_must_name_it(settings, sign):
    """W018: otherwise one visitor can shut out everybody."""
    assert found() == {}
    for name, value in sign.items():
        setattr(settings, name, value)
    assert set(found()) == {"W018"}
    assert found(TRUSTED_PROXIES={"COUNT": 1}) == {}


@pytest.mark.parametrize(
    ("id", "values"),
    [
        ("W019", {"LIMITS": {"request": {"network": "9999999/s"}}}),
        ("W019", {"LIMITS": {"request": {"network": "2001/h"}}}),
        (None, {"LIMITS": {"request": {"network": "2000/h"}}}),
        (None, {"LIMITS": {"request": {"network": "9999999/s,20/h"}}}),
        ("W019", {"LIMITS": {"confirm": {"site": "9999999/d"}}}),
        ("W020", {"LIMITS": {"request": {"identifier": "1000/h"}}}),
        ("W020", {"LIMITS": {"confirm": {"identifier": "6/15m"}}}),
        ("W020", {"LIMITS": {"confirm": {"identifier": "21/d"}}}),
        (None, {"LIMITS": {"confirm": {"identifier": "5/15m"}}}),
        ("W021", {"MAX_CONCURRENT_CALLS": 65}),
        ("W021", {"MAX_CONCURRENT_CALLS": 1000}),
    ],
    ids=repr,
)
def test_risky_values_are_warned_of(id, values):
    """W019, W020, W021: these values can be used, but protect nobody."""
    assert set(found(**values)) == ({id} if id else set())


@pytest.mark.parametrize(
    ("id", "values"),
    [
        ("W003", {"UNIFORM_RESPONSE_SECONDS": 0}),
        ("W003", {"UNIFORM_RESPONSE_SECONDS": 0.001}),
        (None, {"UNIFORM_RESPONSE_SECONDS": 0.3}),
        ("W004", {"LIMITS": False}),
        ("W004", {"LIMITS": {"request": {"network": None}}}),
        ("W005", {"SIGN_IN_URL": None}),
        ("W005", {"SIGN_IN_URL": ""}),
        ("W008", {"SIGN_OUT_EVERYWHERE": False}),
        ("W023", {"LIMITS_FAIL_OPEN": True}),
    ],
    ids=repr,
)
def test_deployment_has_its_own_warnings(id, values):
    """W003, W004, W005, W008, W023: these are good enough for development."""
    assert set(found(check_deployment, **{**SAFE, **values})) == ({id} if id else set())
    assert found(**{**SAFE, **values}) == {}


def test_deployment_checks_wait_for_the_errors():
    """Values that can't be used can't be judged."""
    assert found(check_deployment, TYPO=1) == {}


def test_w022_an_emulator_is_for_development(settings):
    """W022: with DEBUG off, no real Cognito has a loopback address."""
    options = {**SAFE, "POOLS": {"default": {**POOL, "ENDPOINT_URL": "http://127.0.0.1:9229"}}}
    settings.DEBUG = False
    assert set(found(check_deployment, **options)) == {"W022"}
    settings.DEBUG = True
    assert found(check_deployment, **options) == {}


@pytest.mark.requirement("P9")
@pytest.mark.parametrize(
    ("id", "policy"),
    [
        ("W009", {"MinimumLength": 6}),
        ("I001", {}),
        ("I001", {"MinimumLength": 15, "RequireNumbers": True}),
        (None, {"MinimumLength": 15, "RequireNumbers": False}),
        (None, "pool"),
    ],
    ids=repr,
)
def test_p9_the_pools_policy_is_compared_with_nist(id, policy):
    """P9, W009, I001: only a policy that is set here can be checked."""
    messages = found(
        check_deployment, **SAFE, POOLS={"default": {**POOL, "PASSWORD_POLICY": policy}}
    )
    assert set(messages) == ({id} if id else set())


def test_i002_sentry_must_not_get_the_body(monkeypatch, tmp_path):
    """I002: the check finds the package without importing it."""
    (tmp_path / "sentry_sdk.py").write_text("raise AssertionError")
    monkeypatch.delitem(sys.modules, "sentry_sdk")
    monkeypatch.syspath_prepend(tmp_path)
    messages = found(check_deployment, **SAFE)
    assert set(messages) == {"I002"}
    assert 'max_request_body_size="never"' in messages["I002"].hint


@pytest.mark.parametrize(
    ("id", "values"),
    [
        ("I003", {}),
        ("I003", {"END_SESSIONS": False, "NOTIFY_AFTER_RESET": True}),
        (None, {"END_SESSIONS": False}),
        (None, {"COGNITO_USERNAME": "email"}),
        (None, {"USER_RESOLVER": callback}),
        (None, {"POOLS": {"default": POOL}}),
    ],
    ids=shown,
)
def test_i003_the_local_user_must_be_known(id, values):
    """I003: without one of three settings, typed email addresses aren't matched with local users."""
    options = {"POOLS": {"default": REQUIRED}, **SAFE, **values}
    assert set(found(check_deployment, **options)) == ({id} if id else set())


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, "END_SESSIONS"),
        ({"END_SESSIONS": False, "NOTIFY_AFTER_RESET": True}, "NOTIFY_AFTER_RESET"),
        ({"NOTIFY_AFTER_RESET": True}, "END_SESSIONS and NOTIFY_AFTER_RESET"),
    ],
    ids=shown,
)
def test_i003_names_what_is_switched_on(values, names):
    """A site that never set NOTIFY_AFTER_RESET isn't told about it."""
    options = {"POOLS": {"default": REQUIRED}, **SAFE, **values}
    (message,) = found(check_deployment, **options).values()
    assert message.msg.startswith(f"{names} can't find the local user")


def test_checks_are_registered_once():
    """ready() runs again when a test changes INSTALLED_APPS."""
    before = {*registry.registry.get_checks(include_deployment_checks=True)}
    apps.get_app_config("cognito_reset").ready()
    assert {*registry.registry.get_checks(include_deployment_checks=True)} == before


@pytest.mark.requirement("A11")
def test_a11_the_deployment_check_says_what_it_could_not_check(settings):
    """I004: it is an info, and names the command that can."""
    settings.CACHES = {"default": settings.CACHES["default"]}  # Django checks all caches, too
    (info,) = (
        m for m in run_checks(include_deployment_checks=True) if m.id == "cognito_reset.I004"
    )
    assert not info.is_serious()
    assert "could not be checked" in info.msg
    assert "cognito_reset doctor" in str(info.hint)


def everything_wrong(settings: Any) -> list[CheckMessage]:
    """Return at least one message of each id."""
    messages: list[CheckMessage] = []
    unusable_pool = {key: {5: SECRET} for key in POOL_SETTINGS}
    unusable = {key: {5: SECRET} for key in SETTINGS if key != "POOLS"}
    url = f"redis://:{SECRET}@cache"  # a URL with a password, where something else belongs
    urls_in_pool = {**dict.fromkeys(POOL_SETTINGS, url), "PROXIES": {url: "http://proxy"}}
    urls = dict.fromkeys(unusable, url)
    plain = {**REQUIRED, "ENDPOINT_URL": f"http://{SECRET}.example.com"}
    local = {**REQUIRED, "ENDPOINT_URL": "http://localhost", "CLIENT_SECRET": SECRET}
    elsewhere = {**REQUIRED, "REGION": "eu-west-2"}
    policies = [{"MinimumLength": 6}, {"RequireNumbers": True}]
    short, classes = ({**POOL, "PASSWORD_POLICY": policy} for policy in policies)
    risky = {
        "UNIFORM_RESPONSE_SECONDS": 0,
        "LIMITS": {"request": {"identifier": "21/h", "network": "9/s", "site": None}},
        "LIMITS_FAIL_OPEN": True,
        "MAX_CONCURRENT_CALLS": 1000,
        "SHOW_DESTINATION": True,
    }
    settings.MIDDLEWARE = []
    settings.USE_X_FORWARDED_HOST = True
    for debug in (True, False):
        settings.DEBUG = debug
        for values in (
            SECRET,
            {},
            {"POOLS": SECRET},
            {"POOLS": {"a": unusable_pool, "b": {}}, "TYPO": SECRET, **unusable},
            {"POOLS": {"a": urls_in_pool}, **urls},
            {"POOLS": {"a": plain}},
            {"POOLS": {"a": local, "b": short, "c": classes, "d": elsewhere}, **risky},
        ):
            settings.COGNITO_RESET = values
            messages += [*check_settings(), *check_deployment()]
    return messages


def test_every_message_has_an_id_and_a_hint_and_no_secret(settings, monkeypatch, tmp_path):
    """A site can silence each message by its id, and reads what to do."""
    (tmp_path / "sentry_sdk.py").touch()
    monkeypatch.delitem(sys.modules, "sentry_sdk")
    monkeypatch.syspath_prepend(tmp_path)
    messages = [*everything_wrong(settings), *check_app_clients()]
    for message in messages:
        assert re.fullmatch(r"cognito_reset\.[EWI]0\d\d", message.id or "")
        assert (message.id or "").startswith("cognito_reset.E") == message.is_serious()
        assert message.hint
        assert message.hint[0].isupper()
        assert message.hint.endswith(".")
        assert SECRET not in f"{message.msg}{message.hint}"
    numbers = {(message.id or "").rpartition(".")[2] for message in messages}
    of_urls = {"E027", *(f"W{number:03}" for number in range(11, 18))}
    last = {"E": 27, "W": 24, "I": 4}
    every = {f"{kind}{number:03}" for kind in last for number in range(1, last[kind] + 1)}
    assert numbers == every - of_urls


def test_ids_are_unique_per_kind_of_mistake():
    """Keys share an id only if they accept the same kind of value."""
    by_id: dict[str, set[str]] = {}
    for setting in (*SETTINGS.values(), *POOL_SETTINGS.values()):
        by_id.setdefault(setting.id, set()).add(setting.accepts)
    for id, accepts in by_id.items():
        kind = {"E014": "URL pattern", "E015": "dotted path", "E019": "number"}.get(id, "")
        assert len(accepts) == 1 or (kind and all(kind in text for text in accepts))


@pytest.mark.parametrize(
    ("key", "shape"), [("USER_POOL_ID", "UserPoolIdType"), ("CLIENT_ID", "ClientIdType")]
)
def test_ids_of_pools_and_clients_are_those_of_botocore(key, shape):
    """Pattern and length are those of botocore's model."""
    metadata = MODEL.shape_for(shape).metadata
    pattern = re.compile(metadata["pattern"], re.ASCII)
    values = [v for _, k, wrong, right in CASES if k == key for v in (*wrong, *right)]
    for value in (*values, "_", "+"):
        if isinstance(value, str):
            allowed = metadata["min"] <= len(value) <= metadata["max"] and pattern.fullmatch(value)
            result = POOL_SETTINGS[key].read(PoolSettings("default", {**POOL, key: value}))
            assert isinstance(result, CognitoResetMisconfigured) is not bool(allowed), value
