"""New users, and users' attributes, by the rules of their pool."""

from __future__ import annotations

from typing import Final

from cognito_reset.testing.errors import CognitoError
from cognito_reset.testing.pools import Pool, is_email
from cognito_reset.testing.state import State
from cognito_reset.testing.users import User

#: In lower case unless the pool's usernames are case-sensitive (botocore's model, UsernameConfiguration).
_FOLDED: Final = ("email", "preferred_username")


def new_user(
    state: State,
    pool: Pool,
    username: str,
    status: str,
    attributes: list[dict[str, str]],
    *,
    exists: str,
    force: bool = False,
) -> User:
    pool.check_username(username)
    if pool.find(username) is not None:
        raise CognitoError("UsernameExistsException", exists)
    user = state.add_user(pool, username, status)
    if pool.username_attributes:
        contact = "email" if is_email(username) else "phone_number"
        attributes = [*attributes, {"Name": contact, "Value": username}]
    set_attributes(state, pool, user, attributes, force=force)
    return user


def set_attributes(
    state: State,
    pool: Pool,
    user: User,
    attributes: list[dict[str, str]],
    *,
    force: bool = False,
) -> None:
    """
    Set attributes, if nobody else has the aliases among them. With ``force``, the user takes over such
    contacts, and they become unverified for the other users.

    Where case doesn't count, output is in lower case:
    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-case-sensitivity.html
    """
    state.remember(user)
    user.set_attributes(
        [
            {**item, "Value": pool.fold(item.get("Value", ""))} if item["Name"] in _FOLDED else item
            for item in attributes
        ]
    )
    pool.note_names(user)
    for rival, attribute in pool.rivals(user, force=force):
        state.remember(rival)
        rival.attributes[f"{attribute}_verified"] = "false"
