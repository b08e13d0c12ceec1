from __future__ import annotations

import base64
import json

import pytest

from cognito_reset.testing import Options
from tests.testing.world import NEW_PASSWORD, PASSWORD, World

ENABLED = {"PreventUserExistenceErrors": "ENABLED"}
WRONG = ("NotAuthorizedException", "Incorrect username or password.")


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_tokens():
    """A sign-in returns tokens that identify the user, and the service accepts them."""
    world = World()
    world.add()
    answer = world.sign_in()
    assert answer["ChallengeParameters"] == {}
    result = answer["AuthenticationResult"]
    assert (result["ExpiresIn"], result["TokenType"]) == (3600, "Bearer")
    sub = world.user()["Attributes"]["sub"]
    access, identity = claims(result["AccessToken"]), claims(result["IdToken"])
    assert (access["sub"], access["token_use"], access["username"]) == (sub, "access", "alice")
    assert (identity["aud"], identity["email"]) == (world.client_id, "alice@example.com")
    assert access["exp"] - access["iat"] == 3600
    user = world.ok("GetUser", AccessToken=result["AccessToken"])
    assert user["Username"] == "alice"
    assert {"Name": "sub", "Value": sub} in user["UserAttributes"]


@pytest.mark.parametrize("settings", [{}, ENABLED])
def test_wrong_password(settings):
    """The error for a wrong password has no details."""
    world = World(client=settings)
    world.add()
    assert world.sign_in_error(password="Wrong-horse-1") == WRONG


def test_missing_user():
    """LEGACY reveals that the user doesn't exist, ENABLED doesn't."""
    error = World().sign_in_error("nobody")
    assert error == ("UserNotFoundException", "User does not exist.")
    assert World(client=ENABLED).sign_in_error("nobody") == WRONG


def test_disabled_user_enabled():
    """ENABLED hides that a user is disabled."""
    world = World(client=ENABLED)
    world.add()
    world.admin("AdminDisableUser", "alice")
    assert world.sign_in_error() == WRONG


@pytest.mark.parametrize(
    ("settings", "choice", "code"),
    [
        ({}, "PasswordResetRequiredException", "PasswordResetRequiredException"),
        ({}, "NotAuthorizedException", "PasswordResetRequiredException"),
        (ENABLED, "PasswordResetRequiredException", "PasswordResetRequiredException"),
        (ENABLED, "NotAuthorizedException", "NotAuthorizedException"),
    ],
)
def test_reset_required(settings, choice, code):
    """LEGACY reveals that a reset is due. With ENABLED, an option decides that."""
    world = World(client=settings, options=Options(reset_required_sign_in=choice))
    world.add(status="RESET_REQUIRED")
    assert world.sign_in_error()[0] == code


def test_sign_in_needs_a_secret_hash():
    """A client with a secret requires the hash here as well, even of an impossible username."""
    world = World(client={"GenerateSecret": True})
    world.add()
    assert world.sign_in()
    parameters = {"USERNAME": "\ud800", "PASSWORD": "\ud800", "SECRET_HASH": "\ud800"}
    error = world.error(
        "InitiateAuth",
        ClientId=world.client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters=parameters,
    )
    assert error[1] == f"Unable to verify secret hash for client {world.client_id}"


@pytest.mark.parametrize("missing", ["USERNAME", "PASSWORD"])
def test_missing_parameter(missing):
    """The error names the missing parameter."""
    world = World()
    parameters = {"USERNAME": "alice", "PASSWORD": PASSWORD}
    del parameters[missing]
    error = world.error(
        "InitiateAuth",
        ClientId=world.client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters=parameters,
    )
    assert error == ("InvalidParameterException", f"Missing required parameter {missing}")


def test_flow_must_be_allowed():
    """By default a client doesn't allow sign-in with a password."""
    world = World(client={"ExplicitAuthFlows": []})
    world.add()
    assert world.sign_in_error() == (
        "InvalidParameterException",
        "USER_PASSWORD_AUTH flow not enabled for this client",
    )


def test_flow_that_isnt_emulated():
    """If the client allows SRP, the error says that the emulator doesn't have it."""
    world = World(client={"ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"]})
    error = world.error("InitiateAuth", ClientId=world.client_id, AuthFlow="USER_SRP_AUTH")
    assert error == (
        "InvalidParameterException",
        "The emulator has no USER_SRP_AUTH: it signs in by password only.",
    )


def test_admin_sign_in():
    """Only the staff's operation has the server-side flow."""
    world = World()
    world.add()
    body = {
        "ClientId": world.client_id,
        "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
        "AuthParameters": {"USERNAME": "alice", "PASSWORD": PASSWORD},
    }
    answer = world.ok("AdminInitiateAuth", UserPoolId=world.pool_id, **body)
    assert answer["AuthenticationResult"]["AccessToken"]
    assert world.error("InitiateAuth", **body)[0] == "InvalidParameterException"


# Invited users.


def respond(world, session, **more):
    responses = {"USERNAME": "carol", "NEW_PASSWORD": NEW_PASSWORD, **more}
    return {
        "ClientId": world.client_id,
        "ChallengeName": "NEW_PASSWORD_REQUIRED",
        "Session": session,
        "ChallengeResponses": responses,
    }


def invited():
    world = World()
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD)
    return world, world.sign_in("carol")["Session"]


def test_new_password_required():
    """The invited user chooses a password and attributes, and is signed in."""
    world, session = invited()
    body = respond(world, session, **{"userAttributes.name": "Carol"})
    answer = world.ok("RespondToAuthChallenge", **body)
    assert answer["AuthenticationResult"]["AccessToken"]
    assert world.user("carol")["UserStatus"] == "CONFIRMED"
    assert world.user("carol")["Attributes"]["name"] == "Carol"
    assert world.tokens("carol", NEW_PASSWORD)
    assert world.error("RespondToAuthChallenge", **body) == (
        "NotAuthorizedException",
        "Invalid session for the user, session can only be used once.",
    )


def test_new_password_takes_no_alias_of_others():
    """The attributes of the answer follow the pool's rules, or nothing changes."""
    world = World(pool={"AliasAttributes": ["preferred_username"]})
    world.add(preferred_username="al")
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD)
    session = world.sign_in("carol")["Session"]
    taken = {"userAttributes.name": "Carol", "userAttributes.preferred_username": "al"}
    error = world.error("RespondToAuthChallenge", **respond(world, session, **taken))
    assert error[0] == "AliasExistsException"
    assert "name" not in world.user("carol")["Attributes"]
    world.ok("RespondToAuthChallenge", **respond(world, session))


def test_new_password_must_meet_the_policy():
    """A weak password is refused, and the challenge can be answered again."""
    world, session = invited()
    body = respond(world, session, NEW_PASSWORD="weak")
    assert world.error("RespondToAuthChallenge", **body)[0] == "InvalidPasswordException"
    world.ok("RespondToAuthChallenge", **respond(world, session))


def test_challenge_ends_in_three_minutes():
    """The session of a challenge expires after three minutes."""
    world, session = invited()
    world.emulator.advance(180)
    assert world.error("RespondToAuthChallenge", **respond(world, session)) == (
        "NotAuthorizedException",
        "Invalid session for the user, session is expired.",
    )


@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_challenge_of_another_user(username):
    """A session is valid for one user only."""
    world, session = invited()
    world.add()
    body = respond(world, session, USERNAME=username)
    assert world.error("RespondToAuthChallenge", **body)[1] == "Invalid session for the user."


def test_token_is_no_session():
    """A token isn't accepted as the session of a challenge."""
    world, _ = invited()
    world.add()
    body = respond(world, world.tokens()["RefreshToken"], USERNAME="alice")
    assert world.error("RespondToAuthChallenge", **body)[1] == "Invalid session for the user."


def test_challenge_needs_a_secret_hash():
    """A client with a secret requires the hash with the challenge's answer, too."""
    world = World(client={"GenerateSecret": True})
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD)
    session = world.sign_in("carol")["Session"]
    error = world.error("RespondToAuthChallenge", **respond(world, session))
    assert error[1].endswith("SECRET_HASH was not received")
    body = respond(world, session, SECRET_HASH=world.hash_of("carol"))
    world.ok("RespondToAuthChallenge", **body)


def test_other_challenges():
    """The emulator has no SRP, devices, passkeys and custom challenges."""
    world, session = invited()
    body = {**respond(world, session), "ChallengeName": "CUSTOM_CHALLENGE"}
    assert world.error("RespondToAuthChallenge", **body)[0] == "InvalidParameterException"


# Tokens, and how they become invalid.


def refresh(world, token, **more):
    return {
        "ClientId": world.client_id,
        "AuthFlow": "REFRESH_TOKEN_AUTH",
        "AuthParameters": {"REFRESH_TOKEN": token, **more},
    }


def test_refresh():
    """A refresh token yields new tokens, but no other refresh token."""
    world = World()
    world.add()
    tokens = world.tokens()
    answer = world.ok("InitiateAuth", **refresh(world, tokens["RefreshToken"]))
    assert "RefreshToken" not in answer["AuthenticationResult"]
    token = answer["AuthenticationResult"]["AccessToken"]
    assert token != tokens["AccessToken"]
    assert world.ok("GetUser", AccessToken=token)


def test_refresh_with_a_secret():
    """The hash is that of the user's own username, even after a sign-in with an alias."""
    world = World(client={"GenerateSecret": True}, pool={"AliasAttributes": ["email"]})
    world.add()
    token = world.tokens("alice@example.com")["RefreshToken"]
    for name in ("alice", world.user()["Attributes"]["sub"]):
        body = refresh(world, token, SECRET_HASH=world.hash_of(name))
        world.ok("InitiateAuth", **body)
    body = refresh(world, token, SECRET_HASH=world.hash_of("alice@example.com"))
    assert world.error("InitiateAuth", **body)[0] == "NotAuthorizedException"


def test_refresh_by_another_client():
    """A refresh token belongs to its client."""
    world = World()
    world.add()
    token = world.tokens()["RefreshToken"]
    world.client_id = world.make_client()["ClientId"]
    error = world.error("InitiateAuth", **refresh(world, token))
    assert error == ("NotAuthorizedException", "Invalid Refresh Token")


def test_tokens_arent_mistaken():
    """A token of another kind, and no token at all, are invalid."""
    world = World()
    world.add()
    tokens = world.tokens()
    invalid = ("NotAuthorizedException", "Invalid Access Token")
    assert world.error("GetUser", AccessToken=tokens["IdToken"]) == invalid
    assert world.error("GetUser", AccessToken="eyJ.eyJ.x") == invalid


def test_tokens_expire():
    """Each token is valid as long as its client's settings say."""
    settings = {
        "AccessTokenValidity": 5,
        "TokenValidityUnits": {"AccessToken": "minutes"},
        "RefreshTokenValidity": 2,
    }
    world = World(client=settings)
    world.add()
    tokens = world.tokens()
    world.emulator.advance(299)
    world.ok("GetUser", AccessToken=tokens["AccessToken"])
    world.emulator.advance(1)
    error = world.error("GetUser", AccessToken=tokens["AccessToken"])
    assert error == ("NotAuthorizedException", "Access Token has expired")
    world.emulator.advance(2 * 86400)
    error = world.error("InitiateAuth", **refresh(world, tokens["RefreshToken"]))
    assert error == ("NotAuthorizedException", "Refresh Token has expired")


@pytest.mark.parametrize(
    ("unit", "seconds"), [("seconds", 7), ("minutes", 420), ("hours", 25200), ("days", 604800)]
)
def test_units(unit, seconds):
    """A client's validity times have units, and the ID token has its own time."""
    units = {"TokenValidityUnits": {"IdToken": unit}, "IdTokenValidity": 7}
    world = World(client=units)
    world.add()
    tokens = world.tokens()
    identity = claims(tokens["IdToken"])
    assert identity["exp"] - identity["iat"] == seconds
    assert tokens["ExpiresIn"] == 3600


def ended(world, tokens):
    """Check whether both the access and the refresh token are revoked."""
    access = world.error("GetUser", AccessToken=tokens["AccessToken"])
    again = world.error("InitiateAuth", **refresh(world, tokens["RefreshToken"]))
    return (access[1], again[1]) == (
        "Access Token has been revoked",
        "Refresh Token has been revoked",
    )


@pytest.mark.parametrize(
    "operation", ["AdminUserGlobalSignOut", "AdminDisableUser", "AdminDeleteUser"]
)
def test_what_ends_tokens(operation):
    """Staff can end all sessions of one user, and those of other users stay."""
    world = World()
    world.add()
    world.add("bob")
    tokens, others = world.tokens(), world.tokens("bob")
    assert world.admin(operation, "alice") == {}
    assert ended(world, tokens)
    assert world.ok("GetUser", AccessToken=others["AccessToken"])


def test_global_sign_out():
    """Users end their sessions with one of their tokens, and can sign in again."""
    world = World()
    world.add()
    first, second = world.tokens(), world.tokens()
    world.ok("GlobalSignOut", AccessToken=first["AccessToken"])
    assert ended(world, first)
    assert ended(world, second)
    assert world.tokens()


def test_deleted_pool_ends_tokens():
    """Deleting a pool ends the sessions of its users."""
    world = World()
    world.add()
    token = world.tokens()["AccessToken"]
    world.ok("DeleteUserPool", UserPoolId=world.pool_id)
    assert world.error("GetUser", AccessToken=token)[1] == "Access Token has been revoked"


def test_sessions_survive_a_reset():
    """A new password alone ends no session."""
    world = World()
    world.add()
    tokens = world.tokens()
    world.confirm(world.send_code())
    world.ok("GetUser", AccessToken=tokens["AccessToken"])
    world.ok("InitiateAuth", **refresh(world, tokens["RefreshToken"]))
