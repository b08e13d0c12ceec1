"""Sign-in with a password, sign-outs, and the change of a password."""

from __future__ import annotations

from typing import Any, Final

from cognito_reset.testing.challenges import new_password_challenge, parameter, second_step
from cognito_reset.testing.errors import (
    DISABLED,
    NO_USER,
    WRONG_PASSWORD,
    CognitoError,
    invalid_parameter,
    not_authorized,
)
from cognito_reset.testing.pools import Client, Pool
from cognito_reset.testing.state import State
from cognito_reset.testing.tokens import tokens, user_of
from cognito_reset.testing.users import User

Request = dict[str, Any]


def initiate_auth(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    return _initiate(state, pool, client, request, password_flows=("USER_PASSWORD_AUTH",))


def admin_initiate_auth(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    flows = ("ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH")
    return _initiate(state, state.pool(client.pool_id), client, request, password_flows=flows)


def get_user(state: State, request: Request) -> dict[str, Any]:
    user = user_of(state, request["AccessToken"], "access", "Access Token")
    view: dict[str, Any] = {"Username": user.username, "UserAttributes": user.attribute_list()}
    if user.mfa:
        view["UserMFASettingList"] = user.mfa
    if user.preferred_mfa:
        view["PreferredMfaSetting"] = user.preferred_mfa
    return view


def change_password(state: State, request: Request) -> dict[str, Any]:
    """
    Change the password of the user whose access token this is. A user without a password needs no
    previous one (botocore's model, ChangePassword).
    """
    user = user_of(state, request["AccessToken"], "access", "Access Token")
    pool = state.pool(state.sessions[request["AccessToken"]].pool_id)
    if user.password is not None and request.get("PreviousPassword") != user.password:
        raise not_authorized(WRONG_PASSWORD)
    pool.check_password(request["ProposedPassword"])
    pool.check_history(user, request["ProposedPassword"])
    user.set_password(request["ProposedPassword"], state.now())
    return {}


def global_sign_out(state: State, request: Request) -> dict[str, Any]:
    state.end_sessions(user_of(state, request["AccessToken"], "access", "Access Token"))
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
        token = parameter(parameters, "REFRESH_TOKEN")
        user = user_of(state, token, "refresh", "Refresh Token", client=client)
        client.check_secret_hash(parameters.get("SECRET_HASH"), user.username, user.sub)
        return tokens(state, pool, client, user, refresh=False)
    if flow not in password_flows:
        raise invalid_parameter(f"The emulator has no {flow}: it signs in by password only.")
    username = parameter(parameters, "USERNAME")
    password = parameter(parameters, "PASSWORD")
    client.check_secret_hash(parameters.get("SECRET_HASH"), username)
    user = _authenticated(state, pool, client, username, password)
    if user.status != "FORCE_CHANGE_PASSWORD":
        return second_step(state, pool, client, user, request)
    if pool.temporary_password_expired(user, state.now()):
        raise not_authorized(
            "Temporary password has expired and must be reset by an administrator."
        )
    return new_password_challenge(state, pool, client, user)


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


OPERATIONS: Final = {
    "InitiateAuth": initiate_auth,
    "AdminInitiateAuth": admin_initiate_auth,
    "GetUser": get_user,
    "ChangePassword": change_password,
    "GlobalSignOut": global_sign_out,
    "AdminUserGlobalSignOut": admin_user_global_sign_out,
}
