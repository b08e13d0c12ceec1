"""The test kit's users, assertions and their messages. test_kit_site.py has it in a whole site."""

from __future__ import annotations

import os
import threading

import pytest
from django.core.cache.backends.dummy import DummyCache
from django.test import SimpleTestCase, override_settings

from cognito_reset.cognito.errors import ResetError, Throttled, Unavailable
from cognito_reset.cognito.service import get_service
from cognito_reset.conf import CognitoResetMisconfigured
from cognito_reset.models import LedgerSlot
from cognito_reset.resets.flow import Attempt, request_code
from cognito_reset.resets.passwords import get_policy
from cognito_reset.resets.stores import CacheStore, stores_opened_by
from cognito_reset.testing import Call, CognitoMixin, Error, Junk, Timeout, Unusable, WafBlock, kit
from cognito_reset.testing.settings_of_test import SettingsOfTest

PASSWORD = "Battery-staple-2"
SITE = {
    "REGION": "eu-west-1",
    "USER_POOL_ID": "eu-west-1_Site",
    "CLIENT_ID": "site",
    "CLIENT_SECRET": "s" * 30,
}


def reset(cognito, name="alice", password=PASSWORD):
    get_service().request_code(username=name)
    code = cognito.outbox[-1].code
    get_service().confirm(username=name, confirmation_code=code, password=password)


def test_a_reset(cognito):
    """The user changes with it, and the outbox is in the order of Django's."""
    alice = cognito.add_user("alice", email="alice@example.com", status="RESET_REQUIRED")
    before = alice.password
    get_service().request_code(username="alice")
    reset(cognito)
    assert (alice.status, alice.password) == ("CONFIRMED", PASSWORD)
    cognito.assert_password("alice", PASSWORD)
    with pytest.raises(AssertionError, match="Incorrect username or password") as caught:
        cognito.assert_password("alice", before)
    assert before not in str(caught.value)
    assert cognito.outbox[-1] is cognito.assert_code_sent("alice@example.com")
    assert [message.username for message in cognito.outbox] == ["alice", "alice"]
    assert [call.operation for call in cognito.calls] == [
        *["ForgotPassword", "ForgotPassword", "ConfirmForgotPassword"]
    ]


def test_a_code_that_was_not_sent(cognito):
    """The message tells what happened instead."""
    cognito.add_user("bob", phone_number="+15555550123")
    get_service().request_code(username="bob")
    with pytest.raises(ResetError):
        get_service().request_code(username="alcie")
    with pytest.raises(AssertionError) as caught:
        cognito.assert_code_sent("alice@example.com")
    text = str(caught.value)
    assert text.startswith("No code was sent to alice@example.com. ")
    assert "ForgotPassword for bob: succeeded" in text
    assert "ForgotPassword for alcie: UserNotFoundException" in text
    assert "forgot_password to +15555550123 (bob)" in text
    assert cognito.outbox[0].code not in text
    with pytest.raises(AssertionError, match=r"^A message was sent\. .*\(bob\)"):
        cognito.assert_nothing_sent()


def test_a_call_that_should_not_be(cognito):
    """All calls count, or those of one operation, also if they never arrive."""
    cognito.assert_not_called()
    cognito.assert_nothing_sent()
    cognito.fail_next("ForgotPassword", Timeout())
    with pytest.raises(ResetError):
        get_service().request_code(username="alice")
    cognito.assert_not_called("ConfirmForgotPassword")
    with pytest.raises(AssertionError, match=r"^Cognito was called\. .*ReadTimeoutError"):
        cognito.assert_not_called()
    with pytest.raises(AssertionError, match=r"^ForgotPassword was called\."):
        cognito.assert_not_called("ForgotPassword")
    [call] = cognito.calls
    assert (call.operation, call.outcome) == ("ForgotPassword", "ReadTimeoutError")
    assert "alice" not in repr(call)


def test_outcomes(cognito):
    """A status that isn't Cognito's is an outcome as well, and staff's operations may have no username."""
    cognito.fail_next("ListUsers", Junk())
    cognito.fail_next("ListUsers", WafBlock())
    for _ in range(2):
        with pytest.raises(ResetError):
            get_service().list_users()
    assert [call.outcome for call in cognito.calls] == ["", "HTTP status 403"]
    assert str(Call("ListUsers", {}, "")) == "ListUsers: succeeded"


def test_an_invitation_is_not_a_code(cognito):
    """Its code is a temporary password."""
    cognito.add_user("carol", email="carol@example.com", status="FORCE_CHANGE_PASSWORD")
    get_service().resend_invitation(username="carol", medium="EMAIL")
    with pytest.raises(AssertionError, match=r"invitation to carol@example\.com"):
        cognito.assert_code_sent("carol")


def test_a_temporary_password_does_not_sign_in(cognito):
    """An invited person must choose another one first."""
    carol = cognito.add_user("carol", email="carol@example.com", status="FORCE_CHANGE_PASSWORD")
    with pytest.raises(AssertionError, match="temporary password"):
        cognito.assert_password("carol", carol.password)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"username": ""}, "username: "),
        ({"email": "alice"}, "email: Invalid email address format."),
        ({"phone_number": "0171"}, "phone_number: "),
        ({"attributes": {"shoe": "42"}}, "attributes: "),
        ({"password": "short"}, "password: "),
        ({"status": "CONFUSED"}, "status: "),
        ({"status": "EXTERNAL_PROVIDER", "password": PASSWORD}, "password: "),
        ({"username": "bob"}, "username: The user exists already."),
        ({"email": "bob@example.com"}, "email: "),
    ],
)
def test_a_user_that_cognito_would_refuse(cognito, values, reason):
    """Nothing is left of the user."""
    cognito.add_user("bob", email="bob@example.com")
    with pytest.raises(Unusable) as caught:
        cognito.add_user(**{"username": "alice", **values})
    assert str(caught.value).startswith(reason)
    assert [pool["users"] for pool in cognito.emulator.pools.values()] == [["bob"], []]


MISSPELT = {
    "an operation and an error": lambda cognito: cognito.fail_next(
        "ForgotPasword", "LimitExceededException"
    ),
    "an operation and a fault": lambda cognito: cognito.fail_next("ForgotPasword", Timeout()),
    "an error": lambda cognito: cognito.fail_next("ForgotPassword", "LimitExceded"),
    "a call": lambda cognito: cognito.assert_not_called("ForgotPasword"),
    "queued faults": lambda cognito: cognito.emulator.queued_faults("ForgotPasword"),
    "a member": lambda cognito: cognito.create_pool(UsernameAttribute=["email"]),
}
MEANT = {"an error": "LimitExceededException", "a member": "UsernameAttributes"}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_name_that_cognito_does_not_have(cognito, name):
    """A test with a misspelt name would succeed whatever the site does. The text has the right name."""
    with pytest.raises(ValueError, match=MEANT.get(name, "ForgotPassword")):
        MISSPELT[name](cognito)


@pytest.mark.parametrize("code", ["ForbiddenException", "ThrottlingException"])
def test_an_error_of_any_operation(cognito, code):
    """Errors that botocore lists for another operation only, or for no service, are known as well."""
    cognito.fail_next("ForgotPassword", code)
    with pytest.raises(ResetError) as caught:
        get_service().request_code(username="alice")
    assert caught.value.aws_code == code


def test_users_in_every_state(cognito, settings):
    """Contacts are verified, and groups are made."""
    frank = cognito.add_user("frank", email="f@example.com", status="EXTERNAL_PROVIDER")
    erin = cognito.add_user("+15555550199", groups=["editors"], enabled=False)
    attributes = {"email": "grace@example.com", "custom:team": "a"}
    grace = cognito.add_user("grace", attributes=attributes, password=PASSWORD, groups=["editors"])
    assert (frank.password, frank.attributes["email_verified"]) == (None, "true")
    assert (erin.enabled, erin.has_verified("phone_number")) == (False, True)
    assert (grace.has_verified("email"), grace.password) == (False, PASSWORD)
    pool = settings.COGNITO_RESET["POOLS"]["default"]["USER_POOL_ID"]
    body = {"UserPoolId": pool, "GroupName": "editors"}
    _, answer = cognito.emulator.handle("ListUsersInGroup", body)
    assert [user["Username"] for user in answer["Users"]] == [erin.username, "grace"]


def test_a_pool_that_cannot_be_used(cognito):
    """The test may be about the mistake. What needs the pool names it."""
    broken = {"POOLS": {"default": {**SITE, "CLIENT_ID": "!"}}}
    with (
        override_settings(COGNITO_RESET=broken),
        pytest.raises(CognitoResetMisconfigured, match="CLIENT_ID"),
    ):
        cognito.add_user("alice")
    for value in (None, {"POOLS": None}, {"POOLS": {"default": None}}):
        with override_settings(COGNITO_RESET=value), pytest.raises(CognitoResetMisconfigured):
            cognito.add_user("alice")


@pytest.mark.parametrize("value", ["text", {"POOLS": {}}, {"POOLS": {"default": {}}}])
def test_a_site_without_a_pool(settings, value):
    """The kit makes one up."""
    settings.COGNITO_RESET = value
    values = SettingsOfTest()
    settings.COGNITO_RESET = values.value
    with kit.running_cognito(values, has_database=False) as cognito:
        assert len(cognito.emulator.pools) == 1


@pytest.mark.parametrize("pools", ["pools", {"default": None}])
def test_a_site_whose_pools_cannot_be_used(settings, pools):
    """The error is the app's own, and names the setting."""
    settings.COGNITO_RESET = {"POOLS": pools}
    values = SettingsOfTest()
    running = kit.running_cognito(values, has_database=False)
    with pytest.raises(CognitoResetMisconfigured, match="POOLS"):
        running.__enter__()


def test_a_site_with_one_pool_that_cannot_be_used(settings):
    """The other pools can be used."""
    settings.COGNITO_RESET = {"POOLS": {"default": {}, "broken": {"CLIENT_ID": "!"}}}
    values = SettingsOfTest()
    settings.COGNITO_RESET = values.value
    with kit.running_cognito(values, has_database=False) as cognito:
        assert cognito.add_user("alice").username == "alice"
        with pytest.raises(CognitoResetMisconfigured, match="CLIENT_ID"):
            cognito.add_user("alice", pool="broken")


def test_a_client_of_a_deleted_pool(cognito, settings):
    """There is none, as at AWS."""
    pool = settings.COGNITO_RESET["POOLS"]["default"]["USER_POOL_ID"]
    cognito.emulator.handle("DeleteUserPool", {"UserPoolId": pool})
    with_changes(settings, pool={"CLIENT_ID": "another"})
    with pytest.raises(ResetError) as caught:
        get_service().request_code(username="alice")
    assert caught.value.aws_code == "ResourceNotFoundException"


def test_a_deleted_pool_stays_deleted(cognito, settings):
    """So that a test can find out what the site does then."""
    pool = settings.COGNITO_RESET["POOLS"]["brand"]["USER_POOL_ID"]
    cognito.emulator.handle("DeleteUserPool", {"UserPoolId": pool})
    with pytest.raises(ResetError) as caught:
        get_service("brand").request_code(username="alice")
    assert caught.value.aws_code == "ResourceNotFoundException"
    cognito.create_pool("brand", AutoVerifiedAttributes=["email"])
    cognito.add_user("alice", email="alice@example.com", pool="brand")
    assert get_service("brand").request_code(username="alice")


def test_one_pool_with_two_clients(cognito, settings):
    """Two aliases may name the same pool, and a pool may be made by AWS's operations."""
    body = {"PoolName": "made"}
    made = cognito.emulator.handle("CreateUserPool", body)[1]["UserPool"]["Id"]
    pools = {
        alias: {"REGION": "eu-west-1", "USER_POOL_ID": made, "CLIENT_ID": alias}
        for alias in ("web", "mobile")
    }
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    cognito.add_user("alice", email="alice@example.com", pool="web")
    assert get_service("mobile").request_code(username="alice")
    assert cognito.emulator.pools[made]["clients"] == ["web", "mobile"]


def test_the_environment_is_as_before(monkeypatch, settings):
    """Variables of AWS are set or missing, as they were."""
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    before = dict(os.environ)
    with kit.running_cognito(SettingsOfTest(), has_database=False):
        assert os.environ["AWS_ACCESS_KEY_ID"] == "testing"
        assert "AWS_PROFILE" not in os.environ
    assert dict(os.environ) == before


def test_a_call_that_does_not_end(settings, monkeypatch):
    """The test fails, because the call would go on in the next one."""
    monkeypatch.setattr(kit, "_IDLE_SECONDS", 0.01)
    end = threading.Event()
    running = kit.running_cognito(SettingsOfTest(), has_database=False)
    cognito = running.__enter__()
    cognito.add_user("alice", email="alice@example.com")
    pool = settings.COGNITO_RESET["POOLS"]["default"]["USER_POOL_ID"]
    cognito.emulator.set_hook(pool, "CustomMessage", lambda event: event if end.wait(30) else None)
    get_service().request_code(username="alice", wait=0.01)
    with pytest.raises(AssertionError, match="still running"):
        running.__exit__(None, None, None)
    end.set()
    monkeypatch.undo()
    assert kit.wait_until_idle(30)


def test_a_fork_of_the_settings_is_not_the_sites(cognito, settings):
    """A time that the test sets itself counts."""
    changed = {**settings.COGNITO_RESET, "UNIFORM_RESPONSE_SECONDS": 2}
    with override_settings(COGNITO_RESET=changed):
        assert settings.COGNITO_RESET["UNIFORM_RESPONSE_SECONDS"] == 2


def with_changes(settings, pool=None, **changes):
    """Change some keys of COGNITO_RESET, and some of its default pool."""
    values = settings.COGNITO_RESET
    default = {**values["POOLS"]["default"], **(pool or {})}
    pools = {**values["POOLS"], "default": default}
    settings.COGNITO_RESET = {**values, **changes, "POOLS": pools}


@pytest.mark.parametrize("turn", [1, 2])
def test_the_process_forgets_that_the_sites_limit_is_full(cognito, settings, db, turn):
    """A process remembers that of a limit of so many."""
    rates = {"identifier": None, "network": None, "site": "70/h"}
    with_changes(settings, LIMITS={"request": rates}, AUDIT=False)
    cognito.add_user("alice", email="alice@example.com")
    cognito.emulator.options.hourly_allowance = 100
    data = {"username": "alice"}
    assert request_code(Attempt("default"), data).resend_after == 0
    refused = False
    for _ in range(70):
        try:
            request_code(Attempt("default"), data)
        except Throttled:
            refused = True
    assert refused


@pytest.mark.parametrize("length", [10, 12])
def test_the_process_forgets_the_pools_policy(cognito, settings, length):
    """It keeps a policy for an hour."""
    with_changes(settings, pool={"PASSWORD_POLICY": "pool"})
    cognito.create_pool(Policies={"PasswordPolicy": {"MinimumLength": length}})
    assert get_policy("default").minimum_length == length


@pytest.mark.parametrize("turn", [1, 2])
def test_the_process_forgets_whom_cognito_refused(cognito, caplog, turn):
    """The fifth refusal for one unknown reason is logged once."""
    for name in ("one", "two", "three", "four", "five"):
        cognito.fail_next("ForgotPassword", Error("NewException"))
        with pytest.raises(ResetError):
            get_service().request_code(username=name)
    assert "cognito_reset.many_refusals" in caplog.text


def test_rows_of_a_test_run_that_was_killed(db, settings):
    """They are in the database that the next run uses again, with --reuse-db for example."""
    LedgerSlot.objects.create(key="left", number=0, expires=2**50)
    values = SettingsOfTest()
    settings.COGNITO_RESET = values.value
    with kit.running_cognito(values, has_database=True):
        assert not LedgerSlot.objects.exists()


class BrokenCache(DummyCache):
    def get_many(self, keys, version=None):
        raise ConnectionError


@pytest.mark.parametrize("turn", [1, 2])
def test_the_process_forgets_when_it_logged_an_outage(cognito, settings, caplog, turn):
    """It logs an outage of the limits' store once a minute."""
    with_changes(settings, LIMITS={})
    broken = CacheStore(BrokenCache("", {}))
    with pytest.raises(Unavailable), stores_opened_by(lambda alias: broken):
        request_code(Attempt("default"), {"username": "alice"})
    assert "cognito_reset.limits_unavailable" in caplog.text


class Forgetful(CognitoMixin, SimpleTestCase):
    def setUp(self) -> None:
        """Forget to call super().setUp()."""

    def runTest(self) -> None:
        """Ask for what isn't there."""
        with self.assertRaisesMessage(AssertionError, "super().setUp()"):
            self.cognito.assert_not_called()
