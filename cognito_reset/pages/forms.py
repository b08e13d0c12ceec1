"""Convert a serializer's fields for templates, and submitted forms for a serializer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.serializers import Serializer

from cognito_reset.resets.passwords import PasswordPolicy
from cognito_reset.resets.problems import Problem
from cognito_reset.resets.serializers import masked


@dataclass(frozen=True)
class PageField:
    """A serializer's field as a template shows it. ``value`` is empty except for the username."""

    name: str
    label: str
    help_text: str
    value: str
    type: str
    autocomplete: str
    inputmode: str
    errors: Sequence[str]
    policy: PasswordPolicy | None

    @property
    def id(self) -> str:
        return f"id_{self.name}"


@dataclass(frozen=True)
class PageError:
    """One line of the error summary. ``id`` is the id of the input that it links to, or ""."""

    id: str
    message: str


def page_fields(
    serializer: Serializer[Any], names: Sequence[str], username: str, found: Sequence[Problem]
) -> Iterator[PageField]:
    """Yield the fields with these names. Only the username keeps its value."""
    for name, field in serializer.fields.items():
        if name in names:
            yield PageField(
                name=name,
                label=str(field.label),
                help_text=str(field.help_text or ""),
                value=username if name == "username" else "",
                type=field.style.get("input_type", "text"),
                autocomplete=field.style["autocomplete"],
                inputmode=field.style.get("inputmode", ""),
                errors=[problem.detail for problem in found if problem.attr == name],
                policy=serializer.context["policy"] if name == "password" else None,
            )


def form_values(data: QueryDict, serializer: Serializer[Any]) -> dict[str, Any]:
    """
    Return a form's data as nested dicts, with secrets masked. Raise ValidationError if a field occurs more
    than once, because DRF would silently use the last value.
    """
    values: dict[str, Any] = {}
    for key in data:
        name, dot, inner = key.partition(".")
        if name not in serializer.fields:
            continue
        target, member = (values.setdefault(name, {}), inner) if dot else (values, name)
        if len(data.getlist(key)) > 1 or not isinstance(target, dict) or member in target:
            detail = ErrorDetail(str(_("Enter one value only.")), "invalid")
            raise ValidationError({name: [detail]})
        target[member] = masked(member, data[key])
    return values
