"""
Checks of requests, as the service makes them, by the model that botocore ships.

No message contains a sensitive value, as at Amazon.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from itertools import count
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate

from cognito_reset.testing.errors import COMMON_ERRORS, CognitoError, invalid_parameter

# The model has [\S]+, but the service's own messages have this pattern, and it accepts inner spaces.
_PATTERNS = {"PasswordType": r"^[\S]+.*[\S]+$"}


@cache
def service_model() -> botocore.model.ServiceModel:
    loader = botocore.loaders.Loader()
    return botocore.model.ServiceModel(
        loader.load_service_model("cognito-idp", "service-2"), "cognito-idp"
    )


def is_signed(operation: str) -> bool:
    """Check whether the operation requires AWS credentials."""
    model = service_model()
    if operation not in model.operation_names:
        return True
    return bool(model.operation_model(operation).auth_type != "none")


def checked(operation: str, body: Any) -> dict[str, Any]:
    """
    Return the request without unknown members and nulls, or raise the error of the service.

    If the installed botocore is too old to know the operation, its request isn't checked.
    """
    if not isinstance(body, dict):
        raise CognitoError("SerializationException", "Start of structure was expected.")
    model = service_model()
    if operation not in model.operation_names:
        return {name: value for name, value in body.items() if value is not None}
    problems: list[str] = []
    request = _structure(
        model.operation_model(operation).input_shape, body, "", hidden=False, problems=problems
    )
    if problems:
        raise _refusal(problems)
    return request


def unknown_members(operation: str, members: dict[str, Any]) -> str:
    """
    Return what boto3 says about members that the operation doesn't have, or "". The service, and ``checked()``, ignore
    such members, so that a misspelt one would go unnoticed.
    """
    shape: Any = service_model().operation_model(operation).input_shape
    report: str = botocore.validate.ParamValidator().validate(members, shape).generate_report()
    return report


def check_operation(name: str) -> None:
    """Raise ``ValueError`` if botocore's model doesn't have this operation."""
    _check_known(name, service_model().operation_names, "operation", "")


def check_error(name: str) -> None:
    """Raise ``ValueError`` if this is neither an error of botocore's model nor one that any service of AWS has."""
    known = {shape.name for shape in service_model().error_shapes} | COMMON_ERRORS
    _check_known(
        name, known, "error", f' For an error that botocore doesn\'t know, pass Error("{name}").'
    )


def _check_known(name: str, known: Iterable[str], kind: str, hint: str) -> None:
    if name not in known:
        nearest = ", ".join(get_close_matches(name, known, n=3, cutoff=0))
        raise ValueError(f"Cognito has no {kind} {name!r}. The most similar are {nearest}.{hint}")


def check_text(shape: str, member: str, text: str) -> None:
    """Refuse a text that isn't within the model's limits of this shape."""
    problems = list(_problems(service_model().shape_for(shape), text, member, shown=f" '{text}'"))
    if problems:
        raise _refusal(problems)


def _refusal(problems: list[str]) -> CognitoError:
    errors = "validation error" if len(problems) == 1 else "validation errors"
    return invalid_parameter(f"{len(problems)} {errors} detected: {'; '.join(problems)}")


def _value(shape: Any, value: Any, path: str, *, hidden: bool, problems: list[str]) -> Any:
    hidden = hidden or bool(shape.metadata.get("sensitive"))
    if shape.type_name == "structure":
        return _structure(shape, value, path, hidden=hidden, problems=problems)
    if shape.type_name == "list":
        _expect(isinstance(value, list), value, "a list")
        items = [
            _value(shape.member, item, f"{path}.{n}.member", hidden=hidden, problems=problems)
            for n, item in enumerate(value, 1)
            if item is not None
        ]
        problems += _problems(shape, items, path, shown="")
        return items
    if shape.type_name == "map":
        _expect(isinstance(value, dict), value, "a map")
        entries = {
            name: _value(
                shape.value, item, f"{path}.{name}.member", hidden=hidden, problems=problems
            )
            for name, item in value.items()
            if item is not None
        }
        problems += _problems(shape, entries, path, shown="")
        return entries
    if shape.type_name == "string":
        _expect(isinstance(value, str), value, "a String")
    elif shape.type_name == "boolean":
        _expect(isinstance(value, bool), value, "a Boolean")
    else:
        _expect(isinstance(value, int) and not isinstance(value, bool), value, "an Integer")
    problems += _problems(shape, value, path, shown="" if hidden else f" '{value}'")
    return value


def _structure(
    shape: Any, value: Any, path: str, *, hidden: bool, problems: list[str]
) -> dict[str, Any]:
    _expect(isinstance(value, dict), value, "a structure")
    found = {}
    for name, member in shape.members.items():
        place = f"{path}.{name[0].lower()}{name[1:]}".lstrip(".")
        if value.get(name) is not None:
            found[name] = _value(member, value[name], place, hidden=hidden, problems=problems)
        elif name in shape.required_members:
            shown = "" if hidden or member.metadata.get("sensitive") else " null"
            problems.append(_problem(place, shown, "Member must not be null"))
    return found


def _problems(shape: Any, value: Any, path: str, *, shown: str) -> Iterator[str]:
    limits = shape.metadata
    number = isinstance(value, int)
    size = value if number else len(value)
    what = "value" if number else "length"
    if size < limits.get("min", size):
        text = f"Member must have {what} greater than or equal to {limits['min']}"
        yield _problem(path, shown, text)
    if size > limits.get("max", size):
        yield _problem(
            path, shown, f"Member must have {what} less than or equal to {limits['max']}"
        )
    pattern = _PATTERNS.get(shape.name, limits.get("pattern"))
    if isinstance(value, str) and pattern and not _matches(pattern, value):
        text = f"Member must satisfy regular expression pattern: {pattern}"
        yield _problem(path, shown, text)
    if "enum" in limits and value not in limits["enum"]:
        text = f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
        yield _problem(path, shown, text)


def _problem(path: str, shown: str, text: str) -> str:
    return f"Value{shown} at '{path}' failed to satisfy constraint: {text}"


def _expect(fits: bool, value: Any, kind: str) -> None:
    if not fits:
        found = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE"}.get(type(value))
        raise CognitoError(
            "SerializationException", f"{found or 'VALUE'} can not be converted to {kind}"
        )


def _matches(pattern: str, value: str) -> bool:
    r"""
    Check whether a Java pattern matches the whole value.

    Python's ``re`` has no ``\p{L}``: each is written out as those characters of the value that
    belong to the category, or as one that the value doesn't have.
    """
    absent = next(character for character in map(chr, count(0xE000)) if character not in value)

    def members(category: re.Match[str]) -> str:
        found = {c for c in value if unicodedata.category(c).startswith(category[1])}
        return re.escape("".join(sorted(found)) or absent)

    return bool(re.fullmatch(re.sub(r"\\p\{(\w+)\}", members, pattern), value, re.ASCII))
