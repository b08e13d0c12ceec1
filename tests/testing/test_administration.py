from __future__ import annotations

import re

import pytest

from cognito_reset.testing.validation import service_model
from tests.testing.world import World


def ids(world):
    return {"UserPoolId": world.pool_id, "ClientId": world.client_id}


def test_pool():
    """A pool is described with what it was made with, and with the defaults of the rest."""
    world = World()
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert re.fullmatch(r"eu-west-1_\w{9}", pool["Id"])
    assert pool["Name"] == "people"
    assert pool["AutoVerifiedAttributes"] == ["email"]
    assert pool["MfaConfiguration"] == "OFF"
    assert pool["EstimatedNumberOfUsers"] == 0
    assert pool["Policies"]["PasswordPolicy"] == {
        "MinimumLength": 8,
        "RequireUppercase": True,
        "RequireLowercase": True,
        "RequireNumbers": True,
        "RequireSymbols": True,
        "TemporaryPasswordValidityDays": 7,
    }


def test_update_pool():
    """What an update doesn't name goes back to its default, but for what can't be changed."""
    world = World(pool={"UsernameAttributes": ["email"], "MfaConfiguration": "OPTIONAL"})
    policies = {"PasswordPolicy": {"MinimumLength": 12}}
    world.ok("UpdateUserPool", UserPoolId=world.pool_id, Policies=policies)
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert pool["Name"] == "people"
    assert pool["UsernameAttributes"] == ["email"]
    assert pool["MfaConfiguration"] == "OFF"
    assert "AutoVerifiedAttributes" not in pool
    assert pool["Policies"]["PasswordPolicy"] == {
        "MinimumLength": 12,
        "TemporaryPasswordValidityDays": 7,
    }


def test_pool_has_aliases_or_contact_names():
    """Both together are refused."""
    body = {"PoolName": "x", "AliasAttributes": ["email"], "UsernameAttributes": ["email"]}
    error = World().error("CreateUserPool", **body)
    assert error[0] == "InvalidParameterException"


def test_recovery_by_staff_stands_alone():
    """admin_only isn't combined with other mechanisms, in a new pool or in an old one."""
    world = World()
    mechanisms = [
        {"Name": "admin_only", "Priority": 1},
        {"Name": "verified_email", "Priority": 2},
    ]
    setting = {"AccountRecoverySetting": {"RecoveryMechanisms": mechanisms}}
    error = world.error("CreateUserPool", PoolName="x", **setting)
    assert error[0] == "InvalidParameterException"
    assert world.error("UpdateUserPool", UserPoolId=world.pool_id, **setting) == error


def test_list_pools():
    """Pools come in pages."""
    world = World()
    world.ok("CreateUserPool", PoolName="second")
    first = world.ok("ListUserPools", MaxResults=1)
    assert [pool["Name"] for pool in first["UserPools"]] == ["people"]
    last = world.ok("ListUserPools", MaxResults=1, NextToken=first["NextToken"])
    assert [pool["Name"] for pool in last["UserPools"]] == ["second"]
    assert "NextToken" not in last


def test_delete_pool():
    """A deleted pool is gone with its clients."""
    world = World()
    world.ok("DeleteUserPool", UserPoolId=world.pool_id)
    code = "ResourceNotFoundException"
    assert world.error("DescribeUserPool", UserPoolId=world.pool_id)[0] == code
    assert world.public_error("ForgotPassword", "alice")[0] == code


def test_pools_are_apart():
    """A user of one pool is unknown in another, and so is a client."""
    world = World()
    world.add()
    other = world.ok("CreateUserPool", PoolName="other")["UserPool"]["Id"]
    error = world.error("AdminGetUser", UserPoolId=other, Username="alice")
    assert error[0] == "UserNotFoundException"
    error = world.error("DescribeUserPoolClient", UserPoolId=other, ClientId=world.client_id)
    assert error == (
        "ResourceNotFoundException",
        f"User pool client {world.client_id} does not exist.",
    )


def test_client():
    """A client has no secret unless asked for, and no mode that hides users."""
    client = World().make_client()
    assert re.fullmatch(r"[a-z0-9]{26}", client["ClientId"])
    assert "ClientSecret" not in client
    assert "PreventUserExistenceErrors" not in client
    assert client["RefreshTokenValidity"] == 30


def test_client_with_a_secret():
    """A secret is made, and shown again."""
    world = World()
    made = world.make_client(GenerateSecret=True)
    assert len(made["ClientSecret"]) == 51
    described = world.ok(
        "DescribeUserPoolClient", UserPoolId=world.pool_id, ClientId=made["ClientId"]
    )
    assert described["UserPoolClient"] == made


@pytest.mark.skipif(
    "ClientSecret"
    not in service_model().operation_model("CreateUserPoolClient").input_shape.members,
    reason="older than secrets that are brought along",
)
def test_client_with_a_secret_of_its_own():
    """A secret may be brought along."""
    own = "an_own_secret_of_some_length"
    assert World().make_client(ClientSecret=own)["ClientSecret"] == own


def test_update_client():
    """What an update doesn't name goes back to its default; the secret stays."""
    world = World(client={"GenerateSecret": True})
    updated = world.ok("UpdateUserPoolClient", **ids(world), PreventUserExistenceErrors="ENABLED")[
        "UserPoolClient"
    ]
    assert updated["PreventUserExistenceErrors"] == "ENABLED"
    assert updated["ClientName"] == "site"
    assert updated["ClientSecret"] == world.secret
    assert "ALLOW_USER_PASSWORD_AUTH" not in updated["ExplicitAuthFlows"]


def test_delete_client():
    """A deleted client is gone."""
    world = World()
    world.ok("DeleteUserPoolClient", **ids(world))
    assert world.error("DescribeUserPoolClient", **ids(world))[0] == "ResourceNotFoundException"


def test_two_secrets_at_most():
    """A third secret isn't made, and the list shows none in clear."""
    world = World(client={"GenerateSecret": True})
    own = "an_own_secret_of_some_length"
    added = world.ok("AddUserPoolClientSecret", **ids(world), ClientSecret=own)
    assert added["ClientSecretDescriptor"]["ClientSecretValue"] == own
    assert world.error("AddUserPoolClientSecret", **ids(world))[0] == "LimitExceededException"
    listed = world.ok("ListUserPoolClientSecrets", **ids(world))["ClientSecrets"]
    assert len(listed) == 2
    assert all("ClientSecretValue" not in secret for secret in listed)


def test_last_secret_stays():
    """A client with a secret keeps one; an unknown one can't be deleted."""
    world = World(client={"GenerateSecret": True})
    [secret] = world.ok("ListUserPoolClientSecrets", **ids(world))["ClientSecrets"]
    error = world.error(
        "DeleteUserPoolClientSecret", **ids(world), ClientSecretId=secret["ClientSecretId"]
    )
    assert error[0] == "InvalidParameterException"
    error = world.error("DeleteUserPoolClientSecret", **ids(world), ClientSecretId="unknown")
    assert error[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["CreateUserPool", "CreateUserPoolClient"])
def test_answers_share_nothing(operation):
    """Who changes an answer doesn't change the pool."""
    world = World()
    body = {"PoolName": "x"} if operation == "CreateUserPool" else {"ClientName": "x"}
    if operation == "CreateUserPoolClient":
        body["UserPoolId"] = world.pool_id
    [made] = world.ok(operation, **body).values()
    made.clear()
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    pool["AutoVerifiedAttributes"].clear()
    again = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert again["AutoVerifiedAttributes"] == ["email"]
