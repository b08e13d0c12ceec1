"""The operations that create, change and delete user accounts."""

from __future__ import annotations

from typing import Any, Final

from cognito_reset.testing.delivery import send, send_code
from cognito_reset.testing.errors import (
    NOT_IN_CLIENT,
    OLD_CODE,
    WRONG_CODE,
    CognitoError,
    invalid_parameter,
    not_authorized,
)
from cognito_reset.testing.messages import MEDIUMS, simulated_details
from cognito_reset.testing.pools import Pool
from cognito_reset.testing.registration import new_user, set_attributes
from cognito_reset.testing.state import State
from cognito_reset.testing.users import User

Request = dict[str, Any]

# The messages of all other operations begin with "Password does not conform with policy".
_REFUSAL: Final = "Password did not conform with policy"


def sign_up(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    username = request["Username"]
    client.check_secret_hash(request.get("SecretHash"), username)
    if pool.settings.get("AdminCreateUserConfig", {}).get("AllowAdminCreateUserOnly"):
        raise not_authorized("SignUp is not permitted for this user pool")
    attributes = request.get("UserAttributes", [])
    if any(item["Name"].endswith("_verified") for item in attributes):
        raise not_authorized("A client attempted to write unauthorized attribute")
    pool.check_password(request.get("Password", ""), refusal=_REFUSAL)
    user = new_user(state, pool, username, "UNCONFIRMED", attributes, exists="User already exists")
    user.set_password(request["Password"], state.now())
    details = _send_sign_up_code(state, pool, user, "sign_up", request, client_id=client.id)
    return {"UserConfirmed": False, "UserSub": user.sub, **details}


def resend_confirmation_code(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    username = request["Username"]
    client.check_secret_hash(request.get("SecretHash"), username)
    user = pool.find(username)
    if user is None:
        if client.hides_users:
            return {"CodeDeliveryDetails": simulated_details(username, pool.auto_verified)}
        raise CognitoError("UserNotFoundException", NOT_IN_CLIENT)
    if user.status != "UNCONFIRMED":
        raise invalid_parameter("User is already confirmed.")
    return _send_sign_up_code(state, pool, user, "resend_code", request, client_id=client.id)


def confirm_sign_up(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    username = request["Username"]
    client.check_secret_hash(request.get("SecretHash"), username)
    user = pool.find(username)
    if user is None:
        if client.hides_users:
            raise CognitoError("CodeMismatchException", WRONG_CODE)
        raise CognitoError("UserNotFoundException", NOT_IN_CLIENT)
    _check_unconfirmed(user)
    live = state.live(user.sign_up_codes)
    if not live:
        raise CognitoError("ExpiredCodeException", OLD_CODE)
    if request["ConfirmationCode"] not in live:
        raise CognitoError("CodeMismatchException", WRONG_CODE)
    attribute = _sign_up_attribute(pool, user)
    if attribute is not None:
        verified = [{"Name": f"{attribute}_verified", "Value": "true"}]
        set_attributes(state, pool, user, verified, force=request.get("ForceAliasCreation", False))
    user.sign_up_codes.clear()
    return _confirmed(state, pool, user, request, client_id=client.id)


def admin_confirm_sign_up(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user = pool.user(request["Username"])
    _check_unconfirmed(user)
    return _confirmed(state, pool, user, request)


def admin_create_user(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    username = request["Username"]
    action = request.get("MessageAction")
    password = request.get("TemporaryPassword")
    factors = pool.settings.get("Policies", {}).get("SignInPolicy", {})
    passwordless = {"EMAIL_OTP", "SMS_OTP"} & set(factors.get("AllowedFirstAuthFactors", []))
    if password:
        pool.check_password(password, refusal=_REFUSAL)
    if action == "RESEND":
        user = pool.user(username)
        if user.status != "FORCE_CHANGE_PASSWORD":
            raise CognitoError(
                "UnsupportedUserStateException",
                f"Resend not possible. {user.username} status is not FORCE_CHANGE_PASSWORD",
            )
        if passwordless and not password and state.options.resend_needs_temporary_password:
            raise invalid_parameter("A temporary password is required to resend an invitation.")
    else:
        user = new_user(
            state,
            pool,
            username,
            "FORCE_CHANGE_PASSWORD",
            request.get("UserAttributes", []),
            exists="User account already exists",
            force=request.get("ForceAliasCreation", False),
        )
        if passwordless and not password:
            user.status = "CONFIRMED"
            return {"User": user.summary()}
    state.remember(user)
    user.set_password(password or pool.new_password(state.rng), state.now())
    if action != "SUPPRESS":
        _invite(state, pool, user, request)
    return {"User": user.summary()}


def admin_set_user_password(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user = pool.user(request["Username"])
    pool.check_password(request["Password"])
    pool.check_history(user, request["Password"])
    user.set_password(request["Password"], state.now())
    user.status = "CONFIRMED" if request.get("Permanent") else "FORCE_CHANGE_PASSWORD"
    return {}


def admin_update_user_attributes(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user = pool.user(request["Username"])
    set_attributes(state, pool, user, request["UserAttributes"])
    user.modified = state.now()
    return {}


def admin_delete_user_attributes(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user = pool.user(request["Username"])
    gone = [{"Name": name, "Value": ""} for name in request["UserAttributeNames"]]
    set_attributes(state, pool, user, gone)
    user.modified = state.now()
    return {}


def admin_disable_user(state: State, request: Request) -> dict[str, Any]:
    user = state.pool(request["UserPoolId"]).user(request["Username"])
    user.enabled = False
    user.modified = state.now()
    state.end_sessions(user)
    return {}


def admin_enable_user(state: State, request: Request) -> dict[str, Any]:
    user = state.pool(request["UserPoolId"]).user(request["Username"])
    user.enabled = True
    user.modified = state.now()
    return {}


def admin_delete_user(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user = pool.user(request["Username"])
    del pool.users[user.username]
    for group in pool.groups.values():
        group.members = [name for name in group.members if name != user.username]
    state.end_sessions(user)
    return {}


def _sign_up_attribute(pool: Pool, user: User) -> str | None:
    """Return the contact that a sign-up verifies: the phone number rather than the email."""
    for attribute in ("phone_number", "email"):
        if attribute in pool.auto_verified and user.attributes.get(attribute):
            return attribute
    return None


def _send_sign_up_code(
    state: State, pool: Pool, user: User, kind: str, request: Request, *, client_id: str
) -> dict[str, Any]:
    attribute = _sign_up_attribute(pool, user)
    if attribute is None:
        return {}
    code, details = send_code(state, pool, user, kind, attribute, request, client_id=client_id)
    user.sign_up_codes = [code]
    return {"CodeDeliveryDetails": details}


def _check_unconfirmed(user: User) -> None:
    if user.status != "UNCONFIRMED":
        raise not_authorized(f"User cannot be confirmed. Current status is {user.status}")


def _confirmed(
    state: State, pool: Pool, user: User, request: Request, *, client_id: str | None = None
) -> dict[str, Any]:
    user.status = "CONFIRMED"
    user.modified = state.now()
    # This trigger runs afterwards and can't undo the confirmation: reports say that the user is confirmed.
    state.keep_changes()
    event = state.event(
        pool,
        user,
        user.username,
        "PostConfirmation_ConfirmSignUp",
        client_id=client_id,
        metadata=request.get("ClientMetadata"),
    )
    state.call_hook(pool, "PostConfirmation", event)
    return {}


def _invite(state: State, pool: Pool, user: User, request: Request) -> None:
    """Send the invitation by SMS or the requested media, as far as the user has those contacts."""
    wanted = request.get("DesiredDeliveryMediums", ["SMS"])
    for attribute, medium in MEDIUMS.items():
        if medium in wanted and user.attributes.get(attribute):
            send(
                state,
                pool,
                user,
                "invitation",
                attribute,
                user.password or "",
                metadata=request.get("ClientMetadata"),
            )


OPERATIONS: Final = {
    "SignUp": sign_up,
    "ResendConfirmationCode": resend_confirmation_code,
    "ConfirmSignUp": confirm_sign_up,
    "AdminConfirmSignUp": admin_confirm_sign_up,
    "AdminCreateUser": admin_create_user,
    "AdminSetUserPassword": admin_set_user_password,
    "AdminUpdateUserAttributes": admin_update_user_attributes,
    "AdminDeleteUserAttributes": admin_delete_user_attributes,
    "AdminDisableUser": admin_disable_user,
    "AdminEnableUser": admin_enable_user,
    "AdminDeleteUser": admin_delete_user,
}
