"""The doctor against moto's server, which didn't grow up with this package's emulator."""

from __future__ import annotations

import pytest

from cognito_reset.cognito.service import clients_made_by
from cognito_reset.doctor.findings import Finding
from tests.contract.servers import moto
from tests.doctor.world import BY_EMAIL, of_pool
from tests.fault_server import noted_client, real_clients
from tests.test_pages import with_settings

pytestmark = [pytest.mark.contract, pytest.mark.slow]
REGION = "us-east-1"
MFA = {"MfaConfiguration": "OPTIONAL", "SoftwareTokenMfaConfiguration": {"Enabled": True}}


@pytest.fixture(scope="module")
def server():
    with moto() as found:
        yield found


@pytest.fixture
def examined(server, settings, db):
    """Make a pool and an app client at moto, let the site use them, and return what the doctor finds."""

    def examine(*, client=None, mfa=None, **members):
        pool = server.call("CreateUserPool", {"PoolName": "doctor", **members})["UserPool"]["Id"]
        if mfa:
            server.call("SetUserPoolMfaConfig", {"UserPoolId": pool, **mfa})
        wanted = {"UserPoolId": pool, "ClientName": "doctor", **(client or {})}
        made = server.call("CreateUserPoolClient", wanted)["UserPoolClient"]["ClientId"]
        default = {
            "REGION": REGION,
            "USER_POOL_ID": pool,
            "CLIENT_ID": made,
            "ENDPOINT_URL": server.url,
        }
        with_settings(settings, POOLS={"default": default})
        with real_clients(), clients_made_by(noted_client):
            return of_pool()

    return examine


@pytest.mark.requirement("A11")
@pytest.mark.parametrize(
    ("options", "finding"),
    [
        ({}, Finding.USERS_SHOWN),
        ({"PreventUserExistenceErrors": "ENABLED"}, Finding.USERS_HIDDEN),
    ],
)
def test_a11_a_client_that_reveals_users(examined, options, finding):
    """
    LEGACY is the default. moto refuses the unsigned request for a user who doesn't exist as if the client didn't,
    so this shows that DescribeUserPoolClient is read.
    """
    found = examined(client=options)
    assert Finding.COGNITO_REACHED in found
    assert finding in found


def test_a_client_that_does_not_exist(examined, settings, server):
    """moto knows no client of this id."""
    examined()
    pool = settings.COGNITO_RESET["POOLS"]["default"]
    with_settings(settings, POOLS={"default": {**pool, "CLIENT_ID": "nosuchclient"}})
    with real_clients():
        assert Finding.CLIENT_ID_REFUSED in of_pool()


def test_a_pool_as_moto_makes_it(examined):
    """The defaults of a pool that is made through the API."""
    found = examined()
    assert {Finding.POOL_READ, Finding.OWN_SENDER, Finding.CASE_SENSITIVE} <= found.keys()
    assert {Finding.TEMPLATES_RIGHT, Finding.MAIL_WITHOUT_LINK} <= found.keys()


def test_a_pool_with_other_settings(examined):
    """moto stores what it is given, and answers it."""
    found = examined(
        UsernameAttributes=["email"],
        UsernameConfiguration={"CaseSensitive": False},
        AutoVerifiedAttributes=["email"],
        AccountRecoverySetting=BY_EMAIL,
        Policies={"PasswordPolicy": {"MinimumLength": 20}},
        mfa=MFA,
    )
    assert {
        Finding.CASE_INSENSITIVE,
        Finding.RECOVERY_OPEN,
        Finding.POLICY_FITS_NIST,
    } <= found.keys()
    assert found[Finding.SIGN_IN_UNSET] == "The pool: email."
    assert not found.keys() & {Finding.MFA_UNREADABLE, Finding.RECOVERY_CONFLICTS_WITH_MFA}


def test_recovery_by_staff_only(examined):
    """Nobody can reset a password by themselves."""
    admin = {"RecoveryMechanisms": [{"Name": "admin_only", "Priority": 1}]}
    assert Finding.RECOVERY_BY_ADMIN_ONLY in examined(AccountRecoverySetting=admin)
