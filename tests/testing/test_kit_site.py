"""
The test kit in a site of its own, with settings that a site's tester stumbles on, and with the examples of
docs/testing.md. The site's tests run in processes of their own, and each must pass there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "testing.md").read_text(), re.M | re.DOTALL
)
SETTINGS = """
import os

SECRET_KEY = "not-a-secret-only-for-tests"
ROOT_URLCONF = "urls"
USE_TZ = True
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "cognito_reset",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "developer.sqlite3",
        "ATOMIC_REQUESTS": True,
    }
}
# Nothing listens there: a test that touches the developer's Redis fails.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1",
    }
}


def fetch_secret():
    raise AssertionError("A test fetched the secret from the secrets manager.")


COGNITO_RESET = {
    "POOLS": {
        # The machine of the tests may have no .env.
        "default": {
            "REGION": os.environ.get("REGION", ""),
            "USER_POOL_ID": os.environ.get("USER_POOL_ID", ""),
            "CLIENT_ID": os.environ.get("CLIENT_ID", ""),
            "CLIENT_SECRET": fetch_secret,
            "ENDPOINT_URL": "http://127.0.0.1:1",
            "CA_BUNDLE": os.environ.get("CA_BUNDLE", "/no/such/file"),
            "SIGN_IN_WITH": ["email"],
            "PASSWORD_POLICY": {"MinimumLength": 14},
        },
        "brand": {
            "REGION": "eu-west-1",
            "USER_POOL_ID": "eu-west-1_Example02",
            "CLIENT_ID": "2example23456789",
            "PASSWORD_POLICY": "pool",
        },
    },
    "LIMITS_CACHE": os.environ["LIMITS_CACHE"] or None,
    "MAX_CONCURRENT_CALLS": 2,
    "FORWARD_CLIENT_METADATA": ["language"],
    "FORWARD_ANALYTICS_METADATA": True,
    "FORWARD_ENCODED_DATA": True,
    "FORWARD_IP_ADDRESS": True,
}
"""
URLS = """
from django.urls import include, path

urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
    path(
        "brand/",
        include(("cognito_reset.rest.urls", "cognito_reset_rest"), namespace="brand"),
        {"pool": "brand"},
    ),
]
"""
MANAGE = """
import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
PYTEST_TESTS = '''
import json
import urllib.request

import boto3
import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from cognito_reset.cognito.service import get_service, wait_until_idle
from cognito_reset.models import LedgerSlot, ResetEvent
from cognito_reset.testing import ConnectRefused, Trickle, Unusable

AT_IMPORT = django_settings.COGNITO_RESET
PASSWORD = "Battery-staple-2"
OTHER = {
    "REGION": "us-west-2",
    "USER_POOL_ID": "us-west-2_Other",
    "CLIENT_ID": "other",
    "CLIENT_SECRET": lambda: "o" * 30,
}


def post(client, address="/api/password-reset/", **data):
    return client.post(address, data, content_type="application/json")


def ask(client, name="alice"):
    return post(client, username=f"{name}@example.com").status_code


def add(cognito, name="alice", **options):
    return cognito.add_user(name, email=f"{name}@example.com", **options)


@pytest.mark.parametrize("turn", [1, 2])
def test_limits_start_empty(client, db, cognito, turn):
    """Nor does it matter where the site counts."""
    add(cognito)
    assert [ask(client), ask(client)] == [202, 429]
    in_database = django_settings.COGNITO_RESET["LIMITS_CACHE"] is None
    assert LedgerSlot.objects.exists() == in_database
    assert ResetEvent.objects.get(outcome="requested")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", [1, 2])
def test_limits_start_empty_where_tests_commit(cognito, client, turn):
    assert [ask(client), ask(client)] == [202, 429]


def test_without_the_database(client, cognito, caplog):
    add(cognito)
    assert [ask(client), ask(client)] == [202, 429]
    cognito.assert_code_sent("alice@example.com")


def test_settings_before(settings, cognito, client, db):
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": False}
    add(cognito)
    assert [ask(client), ask(client)] == [202, 202]


def test_settings_after(cognito, settings, client, db):
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": False}
    add(cognito)
    assert [ask(client), ask(client)] == [202, 202]


@override_settings(COGNITO_RESET={**AT_IMPORT, "LIMITS": False, "UNIFORM_RESPONSE_SECONDS": 0})
def test_a_decorator_with_the_sites_settings(cognito, client, db):
    add(cognito)
    assert [ask(client), ask(client)] == [202, 202]


@pytest.mark.parametrize("turn", [1, 2])
def test_other_pools_within_a_test(cognito, client, db, turn):
    """With a callable of the test's own, which is called."""
    with override_settings(COGNITO_RESET={"POOLS": {"default": OTHER}}):
        add(cognito)
        assert ask(client) == 202
        assert cognito.assert_code_sent("alice").kind == "forgot_password"
        assert "SecretHash" in cognito.calls[0].parameters
    assert list(cognito.emulator.pools) == [
        *(pool["USER_POOL_ID"] for pool in django_settings.COGNITO_RESET["POOLS"].values()),
        "us-west-2_Other",
    ]


def test_each_pool_has_users_of_its_own(cognito, client, db):
    add(cognito, pool="brand")
    ask(client)
    cognito.assert_nothing_sent()
    post(client, "/brand/", username="alice")
    code = cognito.assert_code_sent("alice").code
    data = {"username": "alice", "confirmation_code": code, "password": PASSWORD}
    assert post(client, "/brand/confirm/", **data).status_code == 200
    cognito.assert_password("alice", PASSWORD, pool="brand")
    with pytest.raises(AssertionError, match="UserNotFoundException"):
        cognito.assert_password("alice", PASSWORD)


def test_the_policy_is_the_settings(cognito, client, db):
    with pytest.raises(Unusable, match="password: .*not long enough"):
        add(cognito, password="Short-1")
    assert len(add(cognito).password) == 14


def test_a_live_server(live_server, cognito):
    add(cognito)
    body = json.dumps({"username": "alice@example.com"}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{live_server}/api/password-reset/", body, headers)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 202
    assert cognito.outbox[-1].destination == "alice@example.com"


def test_a_call_that_goes_on_after_the_answer(cognito, db):
    add(cognito)
    cognito.fail_next("ForgotPassword", Trickle(60))
    service = get_service()
    assert service.request_code(username="alice", wait=0.01) is None
    assert not wait_until_idle(0)


def test_that_call_has_ended(cognito):
    assert wait_until_idle(0)
    cognito.assert_not_called()


def test_a_circuit_breaker_of_an_earlier_test(cognito, client, db):
    add(cognito)
    add(cognito, "bob")
    cognito.fail_next("ForgotPassword", ConnectRefused(), times=9)
    assert {ask(client, str(number)) for number in range(4)} == {503}


def test_it_is_closed(cognito, client, db):
    add(cognito)
    assert ask(client) == 202


def test_a_client_of_the_sites_own(cognito, db):
    """Without credentials of the machine, and without a network."""
    client = boto3.client("cognito-idp", region_name="eu-west-1")
    cognito.emulator.mount(client)
    assert client.list_user_pools(MaxResults=9)["UserPools"]


def test_another_pool_than_the_settings_have(cognito, client, db):
    cognito.create_pool(UsernameAttributes=["email"])
    alice = cognito.add_user("alice@example.com")
    assert alice.username == alice.sub
    assert ask(client) == 202
    cognito.assert_code_sent(alice.username)


def test_nothing_is_left(settings):
    """This is the last test."""
    assert settings.COGNITO_RESET is AT_IMPORT
'''
UNITTEST_TESTS = """
import asyncio
import json
import urllib.request

from django.conf import settings
from django.test import (
    LiveServerTestCase,
    SimpleTestCase,
    TransactionTestCase,
    TestCase,
    override_settings,
)

from cognito_reset.models import LedgerSlot
from cognito_reset.testing import CognitoMixin

AT_IMPORT = settings.COGNITO_RESET


class Asking(CognitoMixin):
    def ask(self):
        data = {"username": "alice@example.com"}
        return self.client.post("/api/password-reset/", data, "application/json").status_code

    def check(self):
        self.cognito.add_user("alice@example.com")
        self.assertEqual([self.ask(), self.ask()], [202, 429])
        self.cognito.assert_code_sent("alice@example.com")


class Simple(Asking, SimpleTestCase):
    def test_once(self):
        self.check()

    def test_again(self):
        self.check()


class Rolled(Asking, TestCase):
    def setUp(self):
        super().setUp()
        self.alice = self.cognito.add_user("alice@example.com")

    def test_once(self):
        self.assertEqual([self.ask(), self.ask()], [202, 429])
        self.assertEqual(LedgerSlot.objects.exists(), AT_IMPORT["LIMITS_CACHE"] is None)

    def test_again(self):
        self.assertEqual([self.ask(), self.ask()], [202, 429])

    @override_settings(COGNITO_RESET={**AT_IMPORT, "LIMITS": False, "UNIFORM_RESPONSE_SECONDS": 0})
    def test_decorated(self):
        self.assertEqual([self.ask(), self.ask()], [202, 202])

    def test_in_a_block(self):
        with self.settings(COGNITO_RESET={**settings.COGNITO_RESET, "LIMITS": False}):
            self.assertEqual([self.ask(), self.ask()], [202, 202])
        for name in ("alice@example.com", self.alice.username):
            with self.subTest(name):
                self.cognito.assert_code_sent(name)

    async def test_async(self):
        data = {"username": "alice@example.com"}
        page = await self.async_client.post("/password-reset/", data)
        self.assertEqual(page.status_code, 302)
        self.assertEqual(len(self.cognito.outbox), 1)


class Reversed(TestCase, Asking):
    def test_the_order_of_the_classes_does_not_matter(self):
        self.check()


class Committed(Asking, TransactionTestCase):
    def test_once(self):
        self.check()

    def test_again(self):
        self.check()


class Live(Asking, LiveServerTestCase):
    def test_a_server(self):
        self.cognito.add_user("alice@example.com")
        body = json.dumps({"username": "alice@example.com"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.live_server_url}/api/password-reset/", body, headers)
        with urllib.request.urlopen(request) as answer:
            self.assertEqual(answer.status, 202)
        self.cognito.assert_code_sent("alice@example.com")


class Zlast(SimpleTestCase):
    def test_nothing_is_left(self):
        self.assertIs(settings.COGNITO_RESET, AT_IMPORT)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    files = {
        "settings.py": SETTINGS,
        "urls.py": URLS,
        "manage.py": MANAGE,
        "test_site.py": PYTEST_TESTS,
        "tests_site.py": UNITTEST_TESTS,
        "conftest.py": 'pytest_plugins = ["cognito_reset.testing.fixtures"]\n',
    }
    for block in BLOCKS:
        found = re.match(r"# (\w+\.py)\n", block)
        assert found is not None, f"A block doesn't begin with the name of its file:\n{block}"
        files[found[1]] = block
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def run(site, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=site,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
            "AWS_PROFILE": "no-such-profile",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert not (site / "developer.sqlite3").exists()
    return output


@pytest.mark.parametrize(
    ("store", "options"), [("default", ["-p", "no:xdist"]), ("", ["-n", "2", "--dist", "loadfile"])]
)
def test_pytest(site, store, options):
    """With the limits in Redis in one process, and in the database in two. Warnings are errors."""
    output = run(
        site,
        *("-m", "pytest", "-q", "-W", "error", "-p", "no:randomly", "-p", "no:cacheprovider"),
        *("-c", os.devnull, f"--rootdir={site}", "--ds=settings", *options),
        *("test_site.py", "test_reset.py", "tests.py", "tests_site.py"),
        LIMITS_CACHE=store,
    )
    assert re.search(r"^34 passed", output, re.M), output


@pytest.mark.parametrize(
    ("store", "options"), [("default", ["--parallel", "2"]), ("", ["--reverse"])]
)
def test_manage_py_test(site, store, options):
    """Django checks the settings first, so that they must be complete."""
    output = run(
        site,
        *("-W", "error", "manage.py", "test", *options, "tests", "tests_site"),
        LIMITS_CACHE=store,
        REGION="eu-west-1",
        USER_POOL_ID="eu-west-1_Example01",
        CLIENT_ID="1example23456789",
        CA_BUNDLE="",
    )
    assert "Ran 13 tests" in output
