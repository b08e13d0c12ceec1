"""
A file of pools, app clients and users for the emulator: docs/emulator.md documents the format.

Whoever writes the file need not know Python or Cognito, so each error names the file, the place in it, and what
to do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.seeding import SIGN_IN_NAMES, STATUSES, Unusable, pool_settings

_KINDS: Final = {str: "a text", list: "a list", dict: "an object", bool: "true or false"}
_FILE: Final = {"pools": list}
_POOL: Final = {
    "id": str,
    "sign_in_with": list,
    "password_policy": dict,
    "settings": dict,
    "clients": list,
    "users": list,
}
_CLIENT: Final = {"id": str, "secret": str, "settings": dict}
#: As the arguments of ``Emulator.add_user()``.
_USER: Final = {
    "username": str,
    "email": str,
    "phone_number": str,
    "attributes": dict,
    "password": str,
    "status": str,
    "groups": list,
    "enabled": bool,
}
#: What to do about a value that can't be used, by its key.
_REMEDIES: Final = {
    "attributes": "Use Cognito's names of attributes, and texts as values.",
    "email": 'Write an address that nobody else in the pool has, like "alice@example.com".',
    "id": "Write a pool's id like \"eu-west-1_Example01\", and a client's with letters and digits. No id can be there twice.",
    "password": "Write one that satisfies the pool's password_policy, or leave it out.",
    "password_policy": 'Write it like {"MinimumLength": 12, "RequireNumbers": true}.',
    "phone_number": 'Write a number that nobody else in the pool has, like "+15555550123".',
    "secret": "Write letters and digits, or leave it out for a client without a secret.",
    "settings": "Use the members that AWS documents for CreateUserPool or CreateUserPoolClient.",
    "sign_in_with": f"Write some of {', '.join(SIGN_IN_NAMES)}.",
    "status": f"Write one of {', '.join(STATUSES)}.",
    "username": "Write a name that fits sign_in_with and that nobody else in the pool has.",
}


class FixtureError(ValueError):
    """The file can't be used. The text names the file, the place in it, and what to do."""


class _Bad(Exception):
    """What is wrong, at a place inside of the file."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)


def load(emulator: Emulator, path: str | os.PathLike[str]) -> None:
    """Create the pools, app clients and users of a JSON file. Raise ``FixtureError``."""
    try:
        with open(path, encoding="utf-8") as file:
            _load(emulator, json.load(file))
        return
    except OSError as error:
        reason = f"{error.strerror}. Name a file that this user can read."
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}, column {error.colno}: {error.msg}. Correct the JSON there."
    except (ValueError, RecursionError):
        reason = "It is not JSON in UTF-8. Save it as that."
    except _Bad as error:
        reason = str(error)
    raise FixtureError(f"{os.fspath(path)}: {reason}")


def _load(emulator: Emulator, content: Any) -> None:
    if not isinstance(content, dict):
        raise _Bad("", 'It is not an object. Write {"pools": […]}, with an object for each pool.')
    values = _checked(content, "", _FILE, required="pools")
    for number, pool in enumerate(values["pools"]):
        _add_pool(emulator, pool, f"pools[{number}]")


def _add_pool(emulator: Emulator, content: Any, path: str) -> None:
    values = _checked(content, path, _POOL, required="id")
    pool_id = values["id"]
    sign_in_with = values.get("sign_in_with", SIGN_IN_NAMES)
    if not sign_in_with or any(name not in SIGN_IN_NAMES for name in sign_in_with):
        raise _bad(path, "sign_in_with", "It has another name, or none.")
    members = pool_settings(sign_in_with, values.get("password_policy"))
    try:
        emulator.add_pool(pool_id, **{**members, **values.get("settings", {})})
    except Unusable as error:
        is_policy = "settings" not in values or "passwordPolicy" in error.reason
        policy_or_settings = "password_policy" if is_policy else "settings"
        key = policy_or_settings if error.field == "members" else error.field
        raise _bad(path, key, error.reason) from None
    for number, client in enumerate(values.get("clients", [])):
        _add_client(emulator, pool_id, client, f"{path}.clients[{number}]")
    for number, user in enumerate(values.get("users", [])):
        _add_user(emulator, pool_id, user, f"{path}.users[{number}]")


def _add_client(emulator: Emulator, pool_id: str, content: Any, path: str) -> None:
    values = _checked(content, path, _CLIENT, required="id")
    members = values.get("settings", {})
    try:
        emulator.add_client(pool_id, values["id"], secret=values.get("secret"), **members)
    except Unusable as error:
        key = "settings" if error.field == "members" else error.field
        raise _bad(path, key, error.reason) from None


def _add_user(emulator: Emulator, pool_id: str, content: Any, path: str) -> None:
    values = _checked(content, path, _USER, required="username")
    for name, value in values.get("attributes", {}).items():
        if not isinstance(value, str):
            raise _Bad(f"{path}.attributes.{name}", "It is not a text. Put it into quotes.")
    for number, name in enumerate(values.get("groups", [])):
        if not isinstance(name, str):
            raise _Bad(f"{path}.groups[{number}]", "It is not a text. Put it into quotes.")
    try:
        emulator.add_user(pool_id, **values)
    except Unusable as error:
        raise _bad(path, error.field, error.reason) from None


def _checked(
    content: Any, path: str, kinds: Mapping[str, type], *, required: str
) -> dict[str, Any]:
    """Return an object of the file, after a check of its keys and of its values' types."""
    if not isinstance(content, dict):
        raise _Bad(path, f"It is not an object. Write {{…}} with the keys {', '.join(kinds)}.")
    for key, value in content.items():
        place = f"{path}.{key}".lstrip(".")
        if key not in kinds:
            similar = get_close_matches(key, kinds, n=1)
            instead = f'"{similar[0]}"' if similar else f"one of {', '.join(kinds)}"
            raise _Bad(place, f"This key is unknown. Write {instead} instead.")
        if not isinstance(value, kinds[key]):
            raise _Bad(place, f"It is not {_KINDS[kinds[key]]}. {_REMEDIES.get(key, '')}".strip())
    if required not in content:
        raise _Bad(path, f'The key "{required}" is missing. Add it.')
    return content


def _bad(path: str, key: str, reason: str) -> _Bad:
    reason = reason.strip()
    full_stop = "" if reason.endswith(".") else "."
    return _Bad(f"{path}.{key}", f"{reason}{full_stop} {_REMEDIES[key]}")
