"""The user migration trigger of ForgotPassword."""

from __future__ import annotations

from typing import Any

from cognito_reset.testing.errors import CognitoError
from cognito_reset.testing.pools import Client, Pool, is_email
from cognito_reset.testing.registration import set_attributes
from cognito_reset.testing.state import State
from cognito_reset.testing.users import User


def migrated(state: State, pool: Pool, client: Client, request: dict[str, Any]) -> User | None:
    """
    Call the pool's migration trigger. If it returns a user, create and return that user, or else return ``None``.

    The user's name is the ``username`` among the attributes of the trigger's answer
    (https://github.com/jagregory/cognito-local/issues/277), or else what the person typed. An email
    address that is typed can't become a username where it can be an alias
    (https://stackoverflow.com/questions/71560661), and if somebody else has the alias, "the user will
    not be migrated, and an error is returned to the client app"
    (https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-migrate-user.html).
    """
    typed = request["Username"]
    event = state.event(
        pool,
        None,
        typed,
        "UserMigration_ForgotPassword",
        client_id=client.id,
        metadata=request.get("ClientMetadata"),
        request={"validationData": None, "password": None},
        response={"userAttributes": None, "finalUserStatus": None, "messageAction": None},
    )
    try:
        response = state.call_hook(pool, "UserMigration", event)
    except CognitoError:
        return None
    if response is None or not response.get("userAttributes"):
        return None
    attributes = dict(response["userAttributes"])
    name = attributes.pop("username", "")
    if not name or pool.alias_attributes:
        pool.check_username(name or typed)
    if pool.username_attributes and not name:
        attributes.setdefault("email" if is_email(typed) else "phone_number", typed)
    try:
        # Somebody else may have created the user while the trigger ran.
        if pool.find(name or typed) is not None:
            raise CognitoError("UsernameExistsException", "User already exists")
        user = state.add_user(pool, name or typed, response.get("finalUserStatus") or "CONFIRMED")
        pairs = [{"Name": name, "Value": attributes[name]} for name in attributes]
        set_attributes(state, pool, user, pairs, force=bool(response.get("forceAliasCreation")))
    except CognitoError:
        # Sign-in has this error. ForgotPassword has none for a failed migration (botocore's model).
        raise CognitoError(
            "UserNotFoundException", f"Exception migrating user in app client {client.id}"
        ) from None
    return user
