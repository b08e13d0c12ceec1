"""The operations ForgotPassword, ConfirmForgotPassword and AdminResetUserPassword."""

from __future__ import annotations

from typing import Any, Final

from cognito_reset.testing.delivery import send_code
from cognito_reset.testing.errors import (
    ADMIN_ONLY,
    DISABLED,
    NO_CONTACT,
    NOT_IN_CLIENT,
    OLD_CODE,
    WRONG_CODE,
    WRONG_STATE,
    CognitoError,
    invalid_parameter,
    not_authorized,
)
from cognito_reset.testing.messages import simulated_details
from cognito_reset.testing.migration import migrated
from cognito_reset.testing.pools import Client, Pool
from cognito_reset.testing.state import State
from cognito_reset.testing.users import User

Request = dict[str, Any]

#: Users in these states have no password of their own to recover.
UNRECOVERABLE: Final = ("FORCE_CHANGE_PASSWORD", "EXTERNAL_PROVIDER")


class _Hidden(Exception):
    """Answer as for a user who doesn't exist, because the client hides the reason."""


def forgot_password(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    username = request["Username"]
    client.check_secret_hash(request.get("SecretHash"), username)
    client.check_context(request)
    if not pool.recovery_mechanisms:
        raise not_authorized(ADMIN_ONLY)
    user = pool.find(username) or migrated(state, pool, client, request)
    if user is None:
        return {"CodeDeliveryDetails": _unknown_user(state, pool, client, username)}
    try:
        _check_recoverable(state, client, user)
        attribute = pool.recovery_attribute(user)
        if attribute is None:
            if client.hides_users:
                raise _Hidden
            raise invalid_parameter(NO_CONTACT)
    except _Hidden:
        return {"CodeDeliveryDetails": simulated_details(username, pool.auto_verified)}
    state.spend_attempt(user)
    details = _send_code(
        state, pool, user, "forgot_password", attribute, request, client_id=client.id
    )
    return {"CodeDeliveryDetails": details}


def confirm_forgot_password(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    username, password = request["Username"], request["Password"]
    client.check_secret_hash(request.get("SecretHash"), username)
    client.check_context(request)
    if state.options.password_checked_first:
        pool.check_password(password)
    user = pool.find(username)
    try:
        if user is None:
            if client.hides_users:
                raise _Hidden
            raise CognitoError("UserNotFoundException", NOT_IN_CLIENT)
        _check_recoverable(state, client, user)
    except _Hidden:
        raise CognitoError("CodeMismatchException", WRONG_CODE) from None
    state.spend_attempt(user)
    _check_code(state, user, request["ConfirmationCode"])
    pool.check_password(password)
    pool.check_history(user, password)
    if user.status == "UNCONFIRMED" and not state.options.unconfirmed_may_confirm:
        raise CognitoError("UserNotConfirmedException", "User is not confirmed.")
    user.reset_codes.clear()
    if not state.options.password_changed_when_trigger_fails:
        state.remember(user)
    user.set_password(password, state.now())
    user.status = "CONFIRMED"
    event = state.event(
        pool,
        user,
        user.username,
        "PostConfirmation_ConfirmForgotPassword",
        client_id=client.id,
        metadata=request.get("ClientMetadata"),
    )
    state.call_hook(pool, "PostConfirmation", event)
    return {}


def admin_reset_user_password(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user = pool.user(request["Username"])
    if not user.enabled:
        raise not_authorized(DISABLED)
    if user.status not in ("CONFIRMED", "RESET_REQUIRED"):
        raise not_authorized(WRONG_STATE)
    if not pool.recovery_mechanisms:
        raise not_authorized(ADMIN_ONLY)
    attribute = pool.recovery_attribute(user)
    if attribute is not None:
        _send_code(state, pool, user, "admin_reset_password", attribute, request)
    elif state.options.admin_reset_without_contact == "refused":
        raise invalid_parameter(NO_CONTACT)
    user.status = "RESET_REQUIRED"
    user.modified = state.now()
    return {}


def _check_recoverable(state: State, client: Client, user: User) -> None:
    if not user.enabled:
        if client.hides_users:
            raise _Hidden
        raise not_authorized(DISABLED)
    if user.status in UNRECOVERABLE:
        if client.hides_users and state.options.wrong_state_is_hidden:
            raise _Hidden
        raise not_authorized(WRONG_STATE)


def _unknown_user(state: State, pool: Pool, client: Client, username: str) -> dict[str, str]:
    if not client.hides_users:
        raise CognitoError("UserNotFoundException", NOT_IN_CLIENT)
    refused = state.options.unknown_user == "invalid_parameter"
    if state.options.unknown_user == "alternating":
        state.turns += 1
        refused = state.turns % 2 == 0
    if refused:
        raise invalid_parameter(NO_CONTACT)
    return simulated_details(username, pool.auto_verified)


def _send_code(
    state: State,
    pool: Pool,
    user: User,
    kind: str,
    attribute: str,
    request: Request,
    *,
    client_id: str | None = None,
) -> dict[str, str]:
    code, details = send_code(state, pool, user, kind, attribute, request, client_id=client_id)
    if state.options.new_code_ends_old:
        user.reset_codes.clear()
    user.reset_codes.append(code)
    return details


def _check_code(state: State, user: User, given: str) -> None:
    live = state.live(user.reset_codes)
    if given in live:
        return
    if not live or given in [code.value for code in user.reset_codes]:
        raise CognitoError("ExpiredCodeException", OLD_CODE)
    raise CognitoError("CodeMismatchException", WRONG_CODE)


OPERATIONS: Final = {
    "ForgotPassword": forgot_password,
    "ConfirmForgotPassword": confirm_forgot_password,
    "AdminResetUserPassword": admin_reset_user_password,
}
