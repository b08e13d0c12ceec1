"""Lists that are returned page by page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from cognito_reset.testing.errors import invalid_parameter

Item = TypeVar("Item")


def page(
    items: Sequence[Item], request: dict[str, Any], *, limit: str, token: str = "NextToken"
) -> tuple[Sequence[Item], dict[str, str]]:
    """
    Return a page and the member with the token of the next one, if there is one. The token is the number
    of items on earlier pages.
    """
    given = request.get(token, "after-0")
    if not re.fullmatch(r"after-\d{1,9}", given, re.ASCII):
        raise invalid_parameter("Invalid pagination token.")
    start = int(given.removeprefix("after-"))
    end = start + (request.get(limit) or 60)
    return items[start:end], {token: f"after-{end}"} if end < len(items) else {}
