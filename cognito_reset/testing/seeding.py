"""
Pools, app clients and users with chosen ids and states, as no operation of Cognito can create them.

Values are checked by the rules of the service. What can't be used raises ``Unusable``, which names the field.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cognito_reset.testing.errors import CognitoError
from cognito_reset.testing.pools import Client, Group, Pool, Secret, is_contact, is_email
from cognito_reset.testing.registration import new_user, set_attributes
from cognito_reset.testing.state import State
from cognito_reset.testing.users import User
from cognito_reset.testing.validation import check_text, checked, unknown_members

STATUSES: Final = (
    "CONFIRMED",
    "FORCE_CHANGE_PASSWORD",
    "RESET_REQUIRED",
    "UNCONFIRMED",
    "EXTERNAL_PROVIDER",
)
SIGN_IN_NAMES: Final = ("username", "email", "phone_number")
#: The flows of a sign-in by password, for the tests of a site.
FLOWS: Final = [
    "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "ALLOW_REFRESH_TOKEN_AUTH",
    "ALLOW_USER_PASSWORD_AUTH",
]


class Unusable(ValueError):
    """A value that can't be used. ``field`` is the argument's name, and ``reason`` a sentence."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def pool_settings(sign_in_with: Iterable[str], policy: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return members of CreateUserPool for a pool in which people sign in with some of ``SIGN_IN_NAMES``.

    Without "username", contacts are the usernames (UsernameAttributes). With it, they are aliases.
    """
    names = [name for name in SIGN_IN_NAMES if name in sign_in_with]
    contacts = [name for name in names if name != "username"]
    members: dict[str, Any] = {
        "AutoVerifiedAttributes": ["email"],
        # As AWS recommends, both contacts recover an account, except the one that is the second factor.
        "AccountRecoverySetting": {
            "RecoveryMechanisms": [
                {"Name": "verified_phone_number", "Priority": 1},
                {"Name": "verified_email", "Priority": 2},
            ]
        },
    }
    if "username" in names:
        members["AliasAttributes"] = [*contacts, "preferred_username"]
    else:
        members["UsernameAttributes"] = contacts
    if policy is not None:
        members["Policies"] = {"PasswordPolicy": dict(policy)}
    return members


def add_pool(state: State, pool_id: str, members: dict[str, Any]) -> None:
    """Add a pool. ``members`` are those of CreateUserPool."""
    with _blame("id"):
        check_text("UserPoolIdType", "userPoolId", pool_id)
    if pool_id in state.pools:
        raise Unusable("id", f"The pool {pool_id} exists already.")
    settings = _settings("CreateUserPool", {"PoolName": pool_id, **members})
    now = state.now()
    state.pools[pool_id] = Pool(pool_id, settings, now, now)


def add_client(
    state: State, pool_id: str, client_id: str, secret: str | None, members: dict[str, Any]
) -> None:
    """Add an app client. ``members`` are those of CreateUserPoolClient."""
    with _blame("id"):
        check_text("ClientIdType", "clientId", client_id)
    if any(client_id in pool.clients for pool in state.pools.values()):
        raise Unusable("id", f"The app client {client_id} exists already.")
    pool = state.pool(pool_id)
    wanted = {"ClientName": client_id, "ExplicitAuthFlows": FLOWS, **members}
    settings = _settings("CreateUserPoolClient", {"UserPoolId": pool_id, **wanted})
    del settings["UserPoolId"]
    now = state.now()
    client = Client(client_id, pool_id, settings, now, now)
    if secret is not None:
        if not 24 <= len(secret) <= 64:  # the value must not be in an error's text
            raise Unusable("secret", "A client's secret has 24 to 64 characters.")
        client.secrets.append(Secret(f"{client_id}--{state.random(12)}", secret, now))
    pool.clients[client_id] = client


def add_user(
    state: State,
    pool_id: str,
    username: str,
    *,
    email: str,
    phone_number: str,
    attributes: Mapping[str, str],
    password: str | None,
    status: str,
    groups: Iterable[str],
    enabled: bool,
) -> User:
    """Add a user. No message is sent, and no trigger is called."""
    if status not in STATUSES:
        raise Unusable("status", f'"{status}" is not one of {", ".join(STATUSES)}.')
    pool = state.pool(pool_id)
    contact = None
    if is_contact(username) and status != "EXTERNAL_PROVIDER":
        contact = "email" if is_email(username) else "phone_number"
    # Where contacts are aliases, no username can look like one. Such a user gets a name that nobody types.
    name = state.random(12) if contact in pool.alias_attributes else username
    with _blame("username"):
        check_text("UsernameType", "username", name)
        if status == "EXTERNAL_PROVIDER":
            user = state.add_user(pool, username, status)
        else:
            user = new_user(state, pool, name, status, [], exists="The user exists already.")
    contacts = {"email": email, "phone_number": phone_number}
    if contact:
        contacts[contact] = username
    for name, value in contacts.items():
        if value:
            with _blame(name):
                pairs = [_pair(name, value), _pair(f"{name}_verified", "true")]
                set_attributes(state, pool, user, pairs)
    with _blame("attributes"):
        set_attributes(state, pool, user, [_pair(*item) for item in attributes.items()])
    if status != "EXTERNAL_PROVIDER":
        with _blame("password"):
            if password is not None:
                pool.check_password(password)
            user.set_password(password or pool.new_password(state.rng), state.now())
    elif password is not None:
        raise Unusable("password", "A user of an identity provider has no password.")
    for name in groups:
        group = pool.groups.setdefault(name, Group({"GroupName": name}, state.now(), state.now()))
        group.members.append(user.username)
    user.enabled = enabled
    return user


def _settings(operation: str, members: dict[str, Any]) -> dict[str, Any]:
    """Return the members of an operation, after a check of their values and of their names."""
    with _blame("members"):
        settings = checked(operation, members)
    if unknown := unknown_members(operation, members):
        raise Unusable("members", unknown)
    return settings


def _pair(name: str, value: str) -> dict[str, str]:
    return {"Name": name, "Value": value}


@contextlib.contextmanager
def _blame(field: str) -> Iterator[None]:
    """Raise Unusable for this field instead of an error of the service."""
    try:
        yield
    except CognitoError as error:
        raise Unusable(field, error.message) from None
