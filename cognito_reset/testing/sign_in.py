"""Sign-in with a password, its tokens, and sign-outs."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from cognito_reset.testing.errors import (
    DISABLED,
    NO_USER,
    WRONG_PASSWORD,
    CognitoError,
    invalid_parameter,
    not_authorized,
)
from cognito_reset.testing.pools import Client, Pool
from cognito_reset.testing.state import Session, State
from cognito_reset.testing.users import User

Request = dict[str, Any]

_SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
_CHALLENGE_SECONDS: Final = 180


def initiate_auth(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    return _initiate(state, pool, client, request, password_flows=("USER_PASSWORD_AUTH",))


def admin_initiate_auth(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    flows = ("ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH")
    return _initiate(state, state.pool(client.pool_id), client, request, password_flows=flows)


def respond_to_auth_challenge(state: State, request: Request) -> dict[str, Any]:
    """Answer the challenge NEW_PASSWORD_REQUIRED, in which an invited user chooses a password."""
    pool, client = state.client(request["ClientId"])
    if request["ChallengeName"] != "NEW_PASSWORD_REQUIRED":
        raise invalid_parameter("The emulator only poses the challenge NEW_PASSWORD_REQUIRED.")
    responses = request.get("ChallengeResponses", {})
    username = _parameter(responses, "USERNAME")
    password = _parameter(responses, "NEW_PASSWORD")
    client.check_secret_hash(responses.get("SECRET_HASH"), username)
    session = state.sessions.get(request.get("Session", ""))
    user = pool.find(username)
    if session is None or session.kind != "challenge" or user is None or session.sub != user.sub:
        raise not_authorized("Invalid session for the user.")
    if session.ends <= state.now():
        raise not_authorized("Invalid session for the user, session is expired.")
    pool.check_password(password)
    prefix = "userAttributes."
    user.set_attributes(
        [
            {"Name": name.removeprefix(prefix), "Value": value}
            for name, value in responses.items()
            if name.startswith(prefix)
        ]
    )
    user.set_password(password, state.now())
    user.status = "CONFIRMED"
    del state.sessions[request["Session"]]
    return _tokens(state, pool, client, user)


def get_user(state: State, request: Request) -> dict[str, Any]:
    user = _user_of(state, request["AccessToken"], "access", "Access Token")
    view: dict[str, Any] = {"Username": user.username, "UserAttributes": user.attribute_list()}
    if user.mfa:
        view["UserMFASettingList"] = user.mfa
    return view


def global_sign_out(state: State, request: Request) -> dict[str, Any]:
    state.end_sessions(_user_of(state, request["AccessToken"], "access", "Access Token"))
    return {}


def admin_user_global_sign_out(state: State, request: Request) -> dict[str, Any]:
    state.end_sessions(state.pool(request["UserPoolId"]).user(request["Username"]))
    return {}


def _initiate(
    state: State, pool: Pool, client: Client, request: Request, *, password_flows: tuple[str, ...]
) -> dict[str, Any]:
    flow = request["AuthFlow"]
    parameters = request.get("AuthParameters", {})
    refresh = flow in ("REFRESH_TOKEN_AUTH", "REFRESH_TOKEN")
    if not client.allows("REFRESH_TOKEN_AUTH" if refresh else flow):
        raise invalid_parameter(f"{flow} flow not enabled for this client")
    if refresh:
        token = _parameter(parameters, "REFRESH_TOKEN")
        user = _user_of(state, token, "refresh", "Refresh Token", client=client)
        client.check_secret_hash(parameters.get("SECRET_HASH"), user.username, user.sub)
        return _tokens(state, pool, client, user, refresh=False)
    if flow not in password_flows:
        raise invalid_parameter(f"The emulator has no {flow}: it signs in by password only.")
    username = _parameter(parameters, "USERNAME")
    password = _parameter(parameters, "PASSWORD")
    client.check_secret_hash(parameters.get("SECRET_HASH"), username)
    user = _authenticated(state, pool, client, username, password)
    if user.status != "FORCE_CHANGE_PASSWORD":
        return _tokens(state, pool, client, user)
    if pool.temporary_password_expired(user, state.now()):
        raise not_authorized(
            "Temporary password has expired and must be reset by an administrator."
        )
    session = state.open_session("challenge", pool, client.id, user, seconds=_CHALLENGE_SECONDS)
    return {
        "ChallengeName": "NEW_PASSWORD_REQUIRED",
        "Session": session,
        "ChallengeParameters": {
            "USER_ID_FOR_SRP": user.username,
            "requiredAttributes": "[]",
            "userAttributes": json.dumps(user.attributes),
        },
    }


def _authenticated(state: State, pool: Pool, client: Client, username: str, password: str) -> User:
    """
    Return the user, or raise the reason for a refusal. If the user must reset the password, it isn't
    checked first.
    """
    user = pool.find(username)
    if user is None:
        if client.hides_users:
            raise not_authorized(WRONG_PASSWORD)
        raise CognitoError("UserNotFoundException", NO_USER)
    if not user.enabled:
        raise not_authorized(WRONG_PASSWORD if client.hides_users else f"{DISABLED}.")
    if user.status == "RESET_REQUIRED":
        code = state.options.reset_required_sign_in
        if client.hides_users and code == "NotAuthorizedException":
            raise not_authorized(WRONG_PASSWORD)
        raise CognitoError("PasswordResetRequiredException", "Password reset required for the user")
    if user.password is None or user.password != password:
        raise not_authorized(WRONG_PASSWORD)
    if user.status == "UNCONFIRMED":
        raise CognitoError("UserNotConfirmedException", "User is not confirmed.")
    return user


def _tokens(
    state: State, pool: Pool, client: Client, user: User, *, refresh: bool = True
) -> dict[str, Any]:
    now = int(state.now().timestamp())
    access_seconds = _validity(client, "AccessToken", 1, "hours")
    id_seconds = _validity(client, "IdToken", 1, "hours")
    claims = {
        "sub": user.sub,
        "iss": f"https://cognito-idp.{state.region}.amazonaws.com/{pool.id}",
        "auth_time": now,
        "iat": now,
    }
    access = {
        **claims,
        "client_id": client.id,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "exp": now + access_seconds,
        "username": user.username,
    }
    identity = {
        **claims,
        **user.attributes,
        "aud": client.id,
        "token_use": "id",
        "exp": now + id_seconds,
        "cognito:username": user.username,
    }
    result = {
        "AccessToken": state.open_session(
            "access", pool, client.id, user, seconds=access_seconds, prefix=_jwt(access)
        ),
        "IdToken": state.open_session(
            "id", pool, client.id, user, seconds=id_seconds, prefix=_jwt(identity)
        ),
        "ExpiresIn": access_seconds,
        "TokenType": "Bearer",
    }
    if refresh:
        seconds = _validity(client, "RefreshToken", 30, "days")
        result["RefreshToken"] = state.open_session(
            "refresh", pool, client.id, user, seconds=seconds
        )
    return {"ChallengeParameters": {}, "AuthenticationResult": result}


def _jwt(claims: dict[str, Any]) -> str:
    """Return header and claims of a token. Random text follows them instead of a signature."""
    parts = ({"kid": "emulator", "alg": "RS256"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return "".join(f"{part.decode()}." for part in encoded)


def _validity(client: Client, token: str, default: int, unit: str) -> int:
    units = client.settings.get("TokenValidityUnits", {})
    number = client.settings.get(f"{token}Validity") or default
    return int(number * _SECONDS[units.get(token, unit)])


def _user_of(
    state: State, token: str, kind: str, name: str, *, client: Client | None = None
) -> User:
    if token in state.revoked:
        raise not_authorized(f"{name} has been revoked")
    session: Session | None = state.sessions.get(token)
    if session is None or session.kind != kind or (client and client.id != session.client_id):
        raise not_authorized(f"Invalid {name}")
    if session.ends <= state.now():
        raise not_authorized(f"{name} has expired")
    users = state.pools[session.pool_id].users.values()
    return next(user for user in users if user.sub == session.sub)


def _parameter(parameters: dict[str, str], name: str) -> str:
    try:
        return parameters[name]
    except KeyError:
        raise invalid_parameter(f"Missing required parameter {name}") from None


OPERATIONS: Final = {
    "InitiateAuth": initiate_auth,
    "AdminInitiateAuth": admin_initiate_auth,
    "RespondToAuthChallenge": respond_to_auth_challenge,
    "GetUser": get_user,
    "GlobalSignOut": global_sign_out,
    "AdminUserGlobalSignOut": admin_user_global_sign_out,
}
