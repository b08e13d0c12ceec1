from __future__ import annotations

import re

import pytest

from cognito_reset.testing.validation import service_model
from tests.testing.world import PASSWORD, SMS, World


def ids(world):
    return {"UserPoolId": world.pool_id, "ClientId": world.client_id}


def test_pool():
    """The description of a pool has its settings, and defaults for all others."""
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
    """An update resets all settings that it leaves out, except those that can't be changed."""
    world = World(pool={"UsernameAttributes": ["email"], "MfaConfiguration": "OPTIONAL", **SMS})
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
    """A pool can't have both AliasAttributes and UsernameAttributes."""
    body = {"PoolName": "x", "AliasAttributes": ["email"], "UsernameAttributes": ["email"]}
    error = World().error("CreateUserPool", **body)
    assert error[0] == "InvalidParameterException"


def test_recovery_by_staff_stands_alone():
    """admin_only can't be combined with other mechanisms, at creation or in an update."""
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
    """The list of pools has pages."""
    world = World()
    world.ok("CreateUserPool", PoolName="second")
    first = world.ok("ListUserPools", MaxResults=1)
    assert [pool["Name"] for pool in first["UserPools"]] == ["people"]
    last = world.ok("ListUserPools", MaxResults=1, NextToken=first["NextToken"])
    assert [pool["Name"] for pool in last["UserPools"]] == ["second"]
    assert "NextToken" not in last


def test_delete_pool():
    """Deleting a pool deletes its clients."""
    world = World()
    world.ok("DeleteUserPool", UserPoolId=world.pool_id)
    code = "ResourceNotFoundException"
    assert world.error("DescribeUserPool", UserPoolId=world.pool_id)[0] == code
    assert world.public_error("ForgotPassword", "alice")[0] == code


def test_pools_are_apart():
    """Users and clients of one pool are unknown in another."""
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
    """By default a client has no secret, and doesn't hide users."""
    client = World().make_client()
    assert re.fullmatch(r"[a-z0-9]{26}", client["ClientId"])
    assert "ClientSecret" not in client
    assert "PreventUserExistenceErrors" not in client
    assert client["RefreshTokenValidity"] == 30


def test_client_with_a_secret():
    """A secret is generated, and DescribeUserPoolClient shows it again."""
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
    """The request may contain the secret."""
    own = "an_own_secret_of_some_length"
    assert World().make_client(ClientSecret=own)["ClientSecret"] == own


def test_update_client():
    """An update resets all settings that it leaves out, but keeps the secret."""
    world = World(client={"GenerateSecret": True})
    updated = world.ok("UpdateUserPoolClient", **ids(world), PreventUserExistenceErrors="ENABLED")[
        "UserPoolClient"
    ]
    assert updated["PreventUserExistenceErrors"] == "ENABLED"
    assert updated["ClientName"] == "site"
    assert updated["ClientSecret"] == world.secret
    assert "ALLOW_USER_PASSWORD_AUTH" not in updated["ExplicitAuthFlows"]


def test_delete_client():
    """A deleted client is unknown."""
    world = World()
    world.ok("DeleteUserPoolClient", **ids(world))
    assert world.error("DescribeUserPoolClient", **ids(world))[0] == "ResourceNotFoundException"


def test_two_secrets_at_most():
    """A third secret is refused, and the list doesn't contain the secrets themselves."""
    world = World(client={"GenerateSecret": True})
    own = "an_own_secret_of_some_length"
    added = world.ok("AddUserPoolClientSecret", **ids(world), ClientSecret=own)
    assert added["ClientSecretDescriptor"]["ClientSecretValue"] == own
    assert world.error("AddUserPoolClientSecret", **ids(world))[0] == "LimitExceededException"
    listed = world.ok("ListUserPoolClientSecrets", **ids(world))["ClientSecrets"]
    assert len(listed) == 2
    assert all("ClientSecretValue" not in secret for secret in listed)


def test_last_secret_stays():
    """The last secret can't be deleted, nor can an unknown one."""
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
    """Changing an answer doesn't change the pool."""
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


# The validity of temporary passwords.

OLD_NAME = {"AdminCreateUserConfig": {"UnusedAccountValidityDays": 3}}
NEW_NAME = {"Policies": {"PasswordPolicy": {"TemporaryPasswordValidityDays": 2}}}
BOTH_NAMES = (
    "InvalidParameterException",
    "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays",
)


def test_validity_has_one_name():
    """The two names of the validity aren't set together, nor the old one after the new one."""
    world = World()
    assert world.error("CreateUserPool", PoolName="x", **OLD_NAME, **NEW_NAME) == BOTH_NAMES
    pool = {"UserPoolId": world.pool_id}
    assert world.error("UpdateUserPool", **pool, **OLD_NAME, **NEW_NAME) == BOTH_NAMES
    world.ok("UpdateUserPool", **pool, **OLD_NAME)
    world.ok("UpdateUserPool", **pool, **NEW_NAME)
    assert world.error("UpdateUserPool", **pool, **OLD_NAME) == BOTH_NAMES
    unset = {"AdminCreateUserConfig": {"UnusedAccountValidityDays": 0}}
    world.ok("UpdateUserPool", **pool, **NEW_NAME, **unset)


def test_description_isnt_fit_for_an_update():
    """As on AWS, a pool's description has both names, and an update with it is refused."""
    world = World(pool=NEW_NAME)
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert pool["AdminCreateUserConfig"]["UnusedAccountValidityDays"] == 2
    members = {name: pool[name] for name in ("AdminCreateUserConfig", "Policies")}
    assert world.error("UpdateUserPool", UserPoolId=world.pool_id, **members) == BOTH_NAMES


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ({}, 7),
        (OLD_NAME, 3),
        (NEW_NAME, 2),
        ({"Policies": {"PasswordPolicy": {"TemporaryPasswordValidityDays": 0}}}, 7),
    ],
)
def test_validity(settings, days):
    """A temporary password is valid for so many days, and its description has the number."""
    world = World(pool=settings)
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD, MessageAction="SUPPRESS")
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert pool["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"] == days
    world.emulator.advance(days * 86400 - 1)
    assert world.sign_in("carol")["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    world.emulator.advance(1)
    assert world.sign_in_error("carol")[1].startswith("Temporary password has expired")
