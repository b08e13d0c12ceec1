"""Tags of user pools (botocore's model, TagResource)."""

from __future__ import annotations

from typing import Any, Final

from cognito_reset.testing.errors import not_found
from cognito_reset.testing.pools import Pool
from cognito_reset.testing.state import State

Request = dict[str, Any]


def tag_resource(state: State, request: Request) -> dict[str, Any]:
    pool = _pool(state, request)
    pool.settings["UserPoolTags"] = {**_tags(pool), **request["Tags"]}
    return {}


def untag_resource(state: State, request: Request) -> dict[str, Any]:
    pool = _pool(state, request)
    left = {name: value for name, value in _tags(pool).items() if name not in request["TagKeys"]}
    pool.settings["UserPoolTags"] = left
    return {}


def list_tags_for_resource(state: State, request: Request) -> dict[str, Any]:
    return {"Tags": _tags(_pool(state, request))}


def _pool(state: State, request: Request) -> Pool:
    for pool in state.pools.values():
        if pool.arn == request["ResourceArn"]:
            return pool
    raise not_found(f"User pool {request['ResourceArn'].rpartition('/')[2]}")


def _tags(pool: Pool) -> dict[str, str]:
    tags: dict[str, str] = pool.settings.get("UserPoolTags", {})
    return tags


OPERATIONS: Final = {
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags_for_resource,
}
