from __future__ import annotations

import base64
import json

import pytest

from tests.testing.world import World


@pytest.fixture
def world():
    """Return an emulator with three users, of whom alice and carol are editors."""
    world = World()
    for name in ("alice", "bob", "carol"):
        world.add(name)
    group(world, "CreateGroup", "editors", Description="Who may edit", Precedence=1)
    for name in ("alice", "carol"):
        group(world, "AdminAddUserToGroup", "editors", Username=name)
    return world


def group(world, operation, name, **body):
    return world.ok(operation, UserPoolId=world.pool_id, GroupName=name, **body)


def members(world, name="editors", **body):
    answer = group(world, "ListUsersInGroup", name, **body)
    return [user["Username"] for user in answer["Users"]], answer.get("NextToken")


def groups_of(world, name, **body):
    answer = world.admin("AdminListGroupsForUser", name, **body)
    return [found["GroupName"] for found in answer["Groups"]], answer.get("NextToken")


def test_group(world):
    """A group can be created, changed, listed and deleted, and is shown with its pool and dates."""
    found = group(world, "GetGroup", "editors")["Group"]
    assert (found["Description"], found["UserPoolId"]) == ("Who may edit", world.pool_id)
    world.emulator.advance(60)
    changed = group(world, "UpdateGroup", "editors", Description="Editors")["Group"]
    assert (changed["Description"], changed["Precedence"]) == ("Editors", 1)
    assert changed["LastModifiedDate"] == changed["CreationDate"] + 60
    group(world, "CreateGroup", "authors")
    listed = world.ok("ListGroups", UserPoolId=world.pool_id, Limit=1)
    assert [one["GroupName"] for one in listed["Groups"]] == ["editors"]
    rest = world.ok("ListGroups", UserPoolId=world.pool_id, NextToken=listed["NextToken"])
    assert [one["GroupName"] for one in rest["Groups"]] == ["authors"]
    assert "NextToken" not in rest
    group(world, "DeleteGroup", "editors")
    assert groups_of(world, "alice") == ([], None)


def test_members(world):
    """Users are listed page by page, and nobody twice."""
    group(world, "AdminAddUserToGroup", "editors", Username="alice")
    names, token = members(world, Limit=1)
    assert names == ["alice"]
    assert members(world, Limit=1, NextToken=token) == (["carol"], None)
    group(world, "AdminRemoveUserFromGroup", "editors", Username="alice")
    group(world, "AdminRemoveUserFromGroup", "editors", Username="bob")
    assert members(world) == (["carol"], None)


def test_groups_of_a_user(world):
    """A user's groups are listed page by page."""
    group(world, "CreateGroup", "authors")
    group(world, "AdminAddUserToGroup", "authors", Username="alice")
    names, token = groups_of(world, "alice", Limit=1)
    assert names == ["editors"]
    assert groups_of(world, "alice", NextToken=token) == (["authors"], None)


def test_groups_are_in_the_tokens(world):
    """An access token names the user's groups, and has no such claim for others."""

    def claims(name):
        payload = world.tokens(name)["AccessToken"].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=="))

    assert claims("alice")["cognito:groups"] == ["editors"]
    assert "cognito:groups" not in claims("bob")


def test_deleted_user_is_in_no_group(world):
    """A user who is deleted, and created again, is a member of nothing."""
    world.admin("AdminDeleteUser", "alice")
    world.add("alice")
    assert members(world) == (["carol"], None)


def test_group_that_isnt_there(world):
    """Each operation on a missing group is refused."""
    for operation in ("GetGroup", "UpdateGroup", "DeleteGroup", "ListUsersInGroup"):
        error = world.error(operation, UserPoolId=world.pool_id, GroupName="none")
        assert error == ("ResourceNotFoundException", "Group not found.")
    for operation in ("AdminAddUserToGroup", "AdminRemoveUserFromGroup"):
        error = world.admin_error(operation, "alice", GroupName="none")
        assert error == ("ResourceNotFoundException", "Group not found.")
        error = world.admin_error(operation, "nobody", GroupName="editors")
        assert error[0] == "UserNotFoundException"


def test_group_twice(world):
    """A name can be taken once."""
    error = world.error("CreateGroup", UserPoolId=world.pool_id, GroupName="editors")
    assert error == ("GroupExistsException", "A group with the name already exists.")


@pytest.mark.parametrize("token", ["1", "after-x", "after-1234567890"])
def test_token_of_nobody(world, token):
    """A token that the emulator didn't issue is refused."""
    body = {"UserPoolId": world.pool_id, "NextToken": token}
    assert world.error("ListGroups", **body)[0] == "InvalidParameterException"
    assert world.error("ListUserPools", MaxResults=1, NextToken=token)[0] == (
        "InvalidParameterException"
    )


def test_tags(world):
    """A pool has tags, which its description shows. The ARN must be that of a pool."""
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert pool["Arn"].endswith(f":userpool/{world.pool_id}")
    arn = {"ResourceArn": pool["Arn"]}
    assert world.ok("ListTagsForResource", **arn) == {"Tags": {}}
    world.ok("TagResource", **arn, Tags={"stage": "test", "team": "web"})
    world.ok("TagResource", **arn, Tags={"stage": "demo"})
    world.ok("UntagResource", **arn, TagKeys=["team", "unknown"])
    assert world.ok("ListTagsForResource", **arn) == {"Tags": {"stage": "demo"}}
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert pool["UserPoolTags"] == {"stage": "demo"}
    error = world.error("ListTagsForResource", ResourceArn=f"{pool['Arn']}x")
    assert error == (
        "ResourceNotFoundException",
        f"User pool {world.pool_id}x does not exist.",
    )


def test_clients_of_a_pool(world):
    """Clients are listed page by page, without their secrets."""
    world.make_client(ClientName="second", GenerateSecret=True)
    first = world.ok("ListUserPoolClients", UserPoolId=world.pool_id, MaxResults=1)
    [client] = first["UserPoolClients"]
    assert client == {
        "ClientId": world.client_id,
        "UserPoolId": world.pool_id,
        "ClientName": "site",
    }
    body = {"UserPoolId": world.pool_id, "NextToken": first["NextToken"]}
    [client] = world.ok("ListUserPoolClients", **body)["UserPoolClients"]
    assert client["ClientName"] == "second"
    assert "ClientSecret" not in client
