"""The user migration trigger, and who results from it."""

from __future__ import annotations

import pytest

from tests.testing.world import NEW_PASSWORD, World

ZOE = {"email": "zoe@example.com", "email_verified": "true"}
ALIASES = {"AliasAttributes": ["email"]}
BY_EMAIL = {"UsernameAttributes": ["email"]}


def migrating(pool=None, client=None, **response):
    """Return an emulator whose migration trigger answers this, with Zoe's attributes by default."""
    world = World(pool=pool, client=client)

    def hook(event):
        assert event["triggerSource"] == "UserMigration_ForgotPassword"
        assert event["request"]["password"] is None
        return {**event, "response": {"userAttributes": ZOE, **response}}

    world.emulator.set_hook(world.pool_id, "UserMigration", hook)
    return world


def usernames(world):
    users = world.ok("ListUsers", UserPoolId=world.pool_id)["Users"]
    return [user["Username"] for user in users]


def test_migration():
    """A request for a user of another directory creates the user and sends the code."""
    world = migrating(finalUserStatus="RESET_REQUIRED")
    code = world.send_code("zoe")
    assert world.user("zoe")["UserStatus"] == "RESET_REQUIRED"
    world.confirm(code, "zoe")
    assert world.sign_in("zoe", NEW_PASSWORD)


@pytest.mark.parametrize("unknown", [True, False], ids=["unknown", "failing"])
def test_nobody_to_migrate(unknown):
    """If the trigger fails or doesn't know the user, the user is missing."""
    world = migrating(userAttributes=None)
    if not unknown:

        def hook(event):
            raise ValueError

        world.emulator.set_hook(world.pool_id, "UserMigration", hook)
    assert world.public_error("ForgotPassword", "zoe")[0] == "UserNotFoundException"
    assert usernames(world) == []


@pytest.mark.parametrize("pool", [{}, ALIASES, BY_EMAIL], ids=["names", "aliases", "by email"])
def test_name_of_the_answer(pool):
    """The username among the attributes is the user's, whatever the person typed."""
    world = migrating(pool, userAttributes={**ZOE, "username": "zoe-1"})
    world.public("ForgotPassword", "zoe@example.com")
    assert usernames(world) == ["zoe-1"]
    assert "username" not in world.user("zoe-1")["Attributes"]


def test_email_is_no_name_where_it_is_an_alias():
    """An email address that is typed can't become a username, and nobody is created."""
    world = migrating(ALIASES)
    assert world.public_error("ForgotPassword", "zoe@example.com") == (
        "InvalidParameterException",
        "Username cannot be of email format, since user pool is configured for email alias.",
    )
    assert usernames(world) == []
    world.send_code("zoe")
    assert usernames(world) == ["zoe"]


@pytest.mark.parametrize(
    ("typed", "attributes"),
    [
        ("zoe@example.com", {"email_verified": "true"}),
        ("+15550001234", {"phone_number_verified": "true"}),
    ],
)
def test_contact_as_the_name(typed, attributes):
    """Where users sign in with a contact, the typed one is an attribute, and the name is the sub."""
    world = migrating({"UsernameAttributes": ["email", "phone_number"]}, userAttributes=attributes)
    world.send_code(typed)
    user = world.user(typed)
    assert user["Username"] == user["Attributes"]["sub"]
    assert typed in user["Attributes"].values()


def test_name_that_cant_be_one():
    """A name that isn't a contact is refused where users sign in with a contact."""
    world = migrating(BY_EMAIL)
    error = world.public_error("ForgotPassword", "zoe")
    assert error == ("InvalidParameterException", "Username should be an email.")


def test_alias_of_somebody_else():
    """A taken alias ends the migration, unless the trigger's answer forces it."""
    world = migrating(ALIASES)
    world.add("alice", email="zoe@example.com")
    error = world.public_error("ForgotPassword", "zoe")
    assert error[0] == "UserNotFoundException"
    assert error[1] == f"Exception migrating user in app client {world.client_id}"
    assert usernames(world) == ["alice"]
    assert world.user("alice")["Attributes"]["email_verified"] == "true"
    forced = migrating(ALIASES, forceAliasCreation=True)
    forced.add("alice", email="zoe@example.com")
    forced.send_code("zoe")
    assert forced.user("alice")["Attributes"]["email_verified"] == "false"
    assert forced.user("zoe@example.com")["Username"] == "zoe"


@pytest.mark.parametrize(
    "attributes",
    [
        {**ZOE, "username": "alice"},
        {**ZOE, "sub": "3f0c"},
        {**ZOE, "height": "180"},
        {"email": "zoe"},
    ],
    ids=["taken name", "sub", "unknown attribute", "invalid email"],
)
def test_attributes_that_are_refused(attributes):
    """A user who can't be created leaves nothing behind."""
    world = migrating(userAttributes=attributes)
    world.add("alice")
    assert world.public_error("ForgotPassword", "zoe")[0] == "UserNotFoundException"
    assert usernames(world) == ["alice"]


@pytest.mark.parametrize("attributes", [{"name": "Zoe"}, {"email": "zoe@example.com"}])
def test_migrated_user_without_a_verified_contact(attributes):
    """A request that is refused leaves no user behind. One that is hidden isn't refused."""
    world = migrating(userAttributes=attributes)
    assert world.public_error("ForgotPassword", "zoe")[0] == "InvalidParameterException"
    assert usernames(world) == []
    hiding = {"PreventUserExistenceErrors": "ENABLED"}
    world = migrating(client=hiding, userAttributes=attributes)
    world.public("ForgotPassword", "zoe")
    assert usernames(world) == ["zoe"]


def test_message_that_is_refused():
    """If the code can't be sent, the migrated user is gone again."""
    world = migrating()
    world.emulator.set_hook(
        world.pool_id, "CustomMessage", lambda event: {"response": {"emailMessage": ""}}
    )
    assert world.public_error("ForgotPassword", "zoe")[1] == "The message is empty."
    assert usernames(world) == []
