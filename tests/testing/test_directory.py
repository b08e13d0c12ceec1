from __future__ import annotations

import pytest

from cognito_reset.testing import Options
from tests.testing.world import World


def names(world, text="", **body):
    answer = world.ok("ListUsers", UserPoolId=world.pool_id, Filter=text, **body)
    return [user["Username"] for user in answer["Users"]]


def town(**options):
    world = World(options=Options(**options))
    world.add("Alice", name='Alice "Al" O\\Neil', phone_number="+15550001234")
    world.add("bob", status="FORCE_CHANGE_PASSWORD", given_name="Bob", family_name="Alb")
    world.add("carol", preferred_username="caz")
    world.admin("AdminDisableUser", "carol")
    return world


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('username = "Alice"', ["Alice"]),
        ('username = "alice"', []),
        ('username ^= "b"', ["bob"]),
        ('email = "alice@example.com"', ["Alice"]),
        ('email = "ALICE@Example.com"', ["Alice"]),
        ('email^="carol@"', ["carol"]),
        ('phone_number ^= "+1555"', ["Alice"]),
        ('phone_number ^= ""', ["Alice"]),
        ('preferred_username = "caz"', ["carol"]),
        ('given_name = "bob"', ["bob"]),
        ('family_name = "Alb"', ["bob"]),
        (r'name = "Alice \"Al\" O\\Neil"', ["Alice"]),
        (r'name ^= "Alice \""', ["Alice"]),
        ('name = "nobody"', []),
        ('cognito:user_status = "confirmed"', ["Alice", "carol"]),
        ('cognito:user_status = "FORCE_CHANGE_PASSWORD"', ["bob"]),
        ('status = "Enabled"', ["Alice", "bob"]),
        ('status = "Disabled"', ["carol"]),
        ('status = "disabled"', []),
        ("", ["Alice", "bob", "carol"]),
    ],
)
def test_filters(text, expected):
    """A filter compares one attribute or its prefix. Case counts for username and status only."""
    assert names(town(), text) == expected


def test_filter_by_sub():
    """A user is found by the sub."""
    world = town()
    sub = world.user("bob")["Attributes"]["sub"]
    assert names(world, f'sub = "{sub}"') == ["bob"]


@pytest.mark.parametrize(
    "text",
    [
        "username",
        "username = bob",
        'username = "bob',
        'username = "b"ob"',
        'username != "bob"',
        'username = "bob" and name = "x"',
        r'username = "bob\"',
    ],
)
def test_malformed_filter(text):
    """Malformed filters are refused, also those with unescaped quotes."""
    error = town().error("ListUsers", UserPoolId=town().pool_id, Filter=text)
    assert error == ("InvalidParameterException", "Error while parsing filter.")


def test_filter_by_other_attributes():
    """Only some attributes can be searched."""
    world = town()
    error = world.error("ListUsers", UserPoolId=world.pool_id, Filter='custom:team = "a"')
    assert error == ("InvalidParameterException", "Invalid search attribute: custom:team")


def test_what_a_listed_user_shows():
    """A listed user has a status, an enabled flag, attributes with the sub, and two dates."""
    world = town()
    [user] = world.ok("ListUsers", UserPoolId=world.pool_id, Filter='username = "bob"')["Users"]
    attributes = {item["Name"]: item["Value"] for item in user["Attributes"]}
    assert attributes["email"] == "bob@example.com"
    assert attributes["sub"]
    assert user["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert user["Enabled"] is True
    assert user["UserCreateDate"] == world.user("bob")["UserCreateDate"]
    assert "UserLastModifiedDate" in user


def test_pages():
    """A page has at most as many users as requested, and a token if there are more."""
    world = town()
    body = {"UserPoolId": world.pool_id, "Limit": 2}
    first = world.ok("ListUsers", **body)
    assert [user["Username"] for user in first["Users"]] == ["Alice", "bob"]
    last = world.ok("ListUsers", **body, PaginationToken=first["PaginationToken"])
    assert [user["Username"] for user in last["Users"]] == ["carol"]
    assert "PaginationToken" not in last


def test_sixty_a_page():
    """Without a limit, or with 0, a page has sixty users, which is also the maximum."""
    world = World()
    for n in range(61):
        world.admin("AdminCreateUser", f"user{n}")
    assert len(names(world)) == 60
    assert len(names(world, Limit=0)) == 60
    error = world.error("ListUsers", UserPoolId=world.pool_id, Limit=61)
    assert error[1].endswith("Member must have value less than or equal to 60")


def test_foreign_token():
    """A token that the service didn't issue is refused."""
    world = town()
    error = world.error("ListUsers", UserPoolId=world.pool_id, PaginationToken="x")
    assert error == ("InvalidParameterException", "Invalid pagination token.")


def test_first_page_may_be_empty():
    """With the option, the first page is empty and the second has the users."""
    world = town(list_starts_with_empty_page=True)
    body = {"UserPoolId": world.pool_id, "Filter": 'username = "bob"'}
    first = world.ok("ListUsers", **body)
    assert first["Users"] == []
    second = world.ok("ListUsers", **body, PaginationToken=first["PaginationToken"])
    assert [user["Username"] for user in second["Users"]] == ["bob"]
    assert "PaginationToken" not in second


def test_attributes_to_get():
    """Only the requested attributes are returned. It's an error if a user lacks one of them."""
    world = town()
    body = {"UserPoolId": world.pool_id, "AttributesToGet": ["given_name"]}
    answer = world.ok("ListUsers", **body, Filter='username = "bob"')
    assert answer["Users"][0]["Attributes"] == [{"Name": "given_name", "Value": "Bob"}]
    assert world.error("ListUsers", **body)[0] == "InvalidParameterException"
