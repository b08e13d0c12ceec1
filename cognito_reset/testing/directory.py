"""The operations ListUsers and AdminGetUser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from cognito_reset.testing.errors import invalid_parameter
from cognito_reset.testing.paging import page
from cognito_reset.testing.pools import Pool
from cognito_reset.testing.state import State
from cognito_reset.testing.users import User

Request = dict[str, Any]

_FILTER: Final = re.compile(r'\s*([\w:]+)\s*(\^?=)\s*"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)
_CASE_SENSITIVE: Final = ("username", "status")
_SEARCHABLE: Final[dict[str, Callable[[User], str]]] = {
    "username": lambda user: user.username,
    "sub": lambda user: user.sub,
    "cognito:user_status": lambda user: user.status,
    "status": lambda user: "Enabled" if user.enabled else "Disabled",
    **{
        name: lambda user, name=name: user.attributes.get(name, "")  # type: ignore[misc]
        for name in (
            "email",
            "phone_number",
            "name",
            "given_name",
            "family_name",
            "preferred_username",
        )
    },
}


def list_users(state: State, request: Request) -> dict[str, Any]:
    """List users in the order of creation."""
    pool = state.pool(request["UserPoolId"])
    users = _matching(pool, request.get("Filter", ""))
    if state.options.list_starts_with_empty_page and "PaginationToken" not in request:
        return {"Users": [], "PaginationToken": "after-0"}
    listed, more = page(users, request, limit="Limit", token="PaginationToken")
    return {"Users": [_shown(user, request.get("AttributesToGet")) for user in listed], **more}


def admin_get_user(state: State, request: Request) -> dict[str, Any]:
    user = state.pool(request["UserPoolId"]).user(request["Username"])
    view = user.summary()
    view["UserAttributes"] = view.pop("Attributes")
    if user.mfa:
        view["UserMFASettingList"] = user.mfa
    if user.preferred_mfa:
        view["PreferredMfaSetting"] = user.preferred_mfa
    return view


def _matching(pool: Pool, text: str) -> list[User]:
    if not text:
        return list(pool.users.values())
    found = _FILTER.fullmatch(text)
    if found is None:
        raise invalid_parameter("Error while parsing filter.")
    attribute, kind, value = found[1], found[2], re.sub(r"\\(.)", r"\1", found[3], flags=re.DOTALL)
    if attribute not in _SEARCHABLE:
        raise invalid_parameter(f"Invalid search attribute: {attribute}")
    of = _SEARCHABLE[attribute]
    fold: Callable[[str], str] = str if attribute in _CASE_SENSITIVE else str.lower
    value = fold(value)
    if kind == "=":
        names = ("username", "sub", *pool.username_attributes, *pool.alias_attributes)
        is_indexed = value and attribute in names
        users = pool.named(value) if is_indexed else pool.users.values()
        return [user for user in users if fold(of(user)) == value]
    return [user for user in pool.users.values() if of(user) and fold(of(user)).startswith(value)]


def _shown(user: User, wanted: list[str] | None) -> dict[str, Any]:
    view = user.summary()
    if wanted is not None:
        attributes = {item["Name"]: item for item in view["Attributes"]}
        if not all(name in attributes for name in wanted):
            raise invalid_parameter("One or more requested attributes do not exist.")
        view["Attributes"] = [attributes[name] for name in wanted]
    return view


OPERATIONS: Final = {"ListUsers": list_users, "AdminGetUser": admin_get_user}
