from __future__ import annotations

import pytest

from cognito_reset.cognito.errors import ResetError
from cognito_reset.cognito.service import get_service
from cognito_reset.testing import ConnectRefused, Emulator

pytest_plugins = ["pytester"]


def pool_of(settings):
    return settings.COGNITO_RESET["POOLS"]["default"]


def add_alice(emulator, settings):
    user = {"UserPoolId": pool_of(settings)["USER_POOL_ID"], "Username": "alice"}
    attributes = [
        {"Name": "email", "Value": "alice@example.com"},
        {"Name": "email_verified", "Value": "true"},
    ]
    body = {**user, "UserAttributes": attributes, "MessageAction": "SUPPRESS"}
    assert emulator.handle("AdminCreateUser", body)[0] == 200
    body = {**user, "Password": "Correct-horse-1", "Permanent": True}
    assert emulator.handle("AdminSetUserPassword", body)[0] == 200
    emulator.calls.clear()


def test_pool_is_set_up(cognito_emulator, settings):
    """COGNITO_RESET names a pool and a client of the emulator's; other settings stay."""
    assert isinstance(cognito_emulator, Emulator)
    assert cognito_emulator.calls == []
    pool = pool_of(settings)
    body = {"UserPoolId": pool["USER_POOL_ID"], "ClientId": pool["CLIENT_ID"]}
    _, answer = cognito_emulator.handle("DescribeUserPoolClient", body)
    assert answer["UserPoolClient"]["ClientSecret"] == pool["CLIENT_SECRET"]
    assert pool["USER_POOL_ID"].startswith(pool["REGION"])
    assert "brand" in settings.COGNITO_RESET["POOLS"]
    assert settings.COGNITO_RESET["UNIFORM_RESPONSE_SECONDS"] == 0


def test_calls_that_a_test_left_running_end_in_it(pytester):
    """None goes on to call the next test's emulator, or the network."""
    pytester.makepyfile(
        settings="""
        SECRET_KEY = "x"
        INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "cognito_reset"]
        USE_TZ = True
        """,
        conftest='pytest_plugins = ["cognito_reset.testing.fixtures"]',
        test_site="""
        from cognito_reset.cognito.service import get_service, wait_until_idle
        from cognito_reset.testing import Trickle

        def test_leave(cognito_emulator):
            cognito_emulator.fail_next("ForgotPassword", Trickle(0.3, 0.01))
            assert get_service().request_code(username="nobody", wait=0.01) is None
            assert not wait_until_idle(0)

        def test_afterwards():
            assert wait_until_idle(0)
        """,
    )
    result = pytester.runpytest_subprocess(
        "--ds=settings", "-p", "no:cacheprovider", "-p", "no:randomly"
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("turn", [1, 2])
def test_service_is_mounted(cognito_emulator, settings, turn):
    """The service's clients, public and staff's, end in this test's emulator, test after test."""
    add_alice(cognito_emulator, settings)
    service = get_service()
    delivery = service.request_code(username="alice@example.com")
    assert delivery is not None
    assert delivery.destination == "a***@e***"
    code = cognito_emulator.outbox[-1].code
    service.confirm(username="alice", confirmation_code=code, password="Battery-staple-2")
    assert service.find_user(username="alice").status == "CONFIRMED"
    service.admin_reset(username="alice")
    assert [operation for operation, _ in cognito_emulator.calls] == [
        "ForgotPassword",
        "ConfirmForgotPassword",
        "ListUsers",
        "AdminResetUserPassword",
    ]


def test_service_made_anew_is_mounted(cognito_emulator, settings):
    """A change of settings that makes another client doesn't lead to the network."""
    before = get_service().client
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "CONNECT_TIMEOUT_SECONDS": 1.5}
    assert get_service().client is not before
    with pytest.raises(ResetError):
        get_service().request_code(username="nobody")
    assert cognito_emulator.calls[0][0] == "ForgotPassword"


def test_other_pools_are_mounted(cognito):
    """Each pool of the settings exists, with users of its own."""
    cognito.add_user("alice", email="alice@example.com", pool="brand")
    assert get_service("brand").request_code(username="alice")
    with pytest.raises(ResetError) as caught:
        get_service().request_code(username="alice")
    assert caught.value.aws_code == "UserNotFoundException"


def test_faults_reach_the_service(cognito_emulator, settings):
    """A queued fault is played on the service's own client."""
    add_alice(cognito_emulator, settings)
    cognito_emulator.fail_next("ForgotPassword", ConnectRefused(), times=2)
    with pytest.raises(ResetError):
        get_service().request_code(username="alice")
    assert cognito_emulator.outbox == []


def test_site_without_a_pool(pytester):
    """
    COGNITO_RESET may be absent: the fixture brings a Region, a pool and a client. After the test, its clients
    call nothing.
    """
    pytester.makepyfile(
        settings="""
        SECRET_KEY = "x"
        INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "cognito_reset"]
        USE_TZ = True
        """,
        conftest='pytest_plugins = ["cognito_reset.testing.fixtures"]',
        test_site="""
        import pytest
        from botocore.exceptions import EndpointConnectionError

        from cognito_reset.cognito.service import get_service

        kept = []

        def test_reset(cognito_emulator, settings):
            pool = settings.COGNITO_RESET["POOLS"]["default"]
            assert pool["REGION"] == "us-east-1"
            body = {"UserPoolId": pool["USER_POOL_ID"], "Username": "alice"}
            attributes = [
                {"Name": "email", "Value": "alice@example.com"},
                {"Name": "email_verified", "Value": "true"},
            ]
            cognito_emulator.handle("AdminCreateUser", {**body, "UserAttributes": attributes})
            password = {"Password": "Correct-horse-1", "Permanent": True}
            cognito_emulator.handle("AdminSetUserPassword", {**body, **password})
            assert get_service().request_code(username="alice").medium == "EMAIL"
            kept.append(get_service().client)

        def test_afterwards(settings):
            assert not hasattr(settings, "COGNITO_RESET")
            with pytest.raises(EndpointConnectionError):
                kept[0].forgot_password(ClientId="client", Username="alice")
        """,
    )
    result = pytester.runpytest_subprocess(
        "--ds=settings", "-p", "no:cacheprovider", "-p", "no:randomly"
    )
    result.assert_outcomes(passed=2)
