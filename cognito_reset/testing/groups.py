"""Groups of users: https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-user-groups.html"""

from __future__ import annotations

from typing import Any, Final

from cognito_reset.testing.errors import CognitoError
from cognito_reset.testing.paging import page
from cognito_reset.testing.pools import Group, Pool
from cognito_reset.testing.state import State

Request = dict[str, Any]


def create_group(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request.pop("UserPoolId"))
    name = request["GroupName"]
    if name in pool.groups:
        raise CognitoError("GroupExistsException", "A group with the name already exists.")
    pool.groups[name] = Group(request, state.now(), state.now())
    return {"Group": _view(pool, pool.groups[name])}


def get_group(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    return {"Group": _view(pool, _group(pool, request))}


def list_groups(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    groups, more = page(list(pool.groups.values()), request, limit="Limit")
    return {"Groups": [_view(pool, group) for group in groups], **more}


def update_group(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request.pop("UserPoolId"))
    group = _group(pool, request)
    group.settings = {**group.settings, **request}
    group.modified = state.now()
    return {"Group": _view(pool, group)}


def delete_group(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    _group(pool, request)
    del pool.groups[request["GroupName"]]
    return {}


def admin_add_user_to_group(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user, group = pool.user(request["Username"]), _group(pool, request)
    if user.username not in group.members:
        group.members.append(user.username)
    return {}


def admin_remove_user_from_group(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user, group = pool.user(request["Username"]), _group(pool, request)
    group.members = [name for name in group.members if name != user.username]
    return {}


def admin_list_groups_for_user(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    user = pool.user(request["Username"])
    joined = [group for group in pool.groups.values() if user.username in group.members]
    groups, more = page(joined, request, limit="Limit")
    return {"Groups": [_view(pool, group) for group in groups], **more}


def list_users_in_group(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    names, more = page(_group(pool, request).members, request, limit="Limit")
    return {"Users": [pool.users[name].summary() for name in names], **more}


def _group(pool: Pool, request: Request) -> Group:
    try:
        return pool.groups[request["GroupName"]]
    except KeyError:
        # https://github.com/aws-amplify/amplify-cli/issues/2214
        raise CognitoError("ResourceNotFoundException", "Group not found.") from None


def _view(pool: Pool, group: Group) -> dict[str, Any]:
    return {
        **group.settings,
        "UserPoolId": pool.id,
        "CreationDate": group.created.timestamp(),
        "LastModifiedDate": group.modified.timestamp(),
    }


OPERATIONS: Final = {
    "CreateGroup": create_group,
    "GetGroup": get_group,
    "ListGroups": list_groups,
    "UpdateGroup": update_group,
    "DeleteGroup": delete_group,
    "AdminAddUserToGroup": admin_add_user_to_group,
    "AdminRemoveUserFromGroup": admin_remove_user_from_group,
    "AdminListGroupsForUser": admin_list_groups_for_user,
    "ListUsersInGroup": list_users_in_group,
}
