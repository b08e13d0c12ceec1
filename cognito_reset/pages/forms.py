"""Convert a serializer's fields for templates, and submitted forms for a serializer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.serializers import Serializer

from cognito_reset.cognito.errors import PasswordInvalid
from cognito_reset.resets.passwords import PasswordPolicy
from cognito_reset.resets.problems import Problem
from cognito_reset.resets.serializers import masked


@dataclass(frozen=True)
class PageField:
    """
    A serializer's field as a template shows it. ``value`` is empty except for the username. ``missed`` has the
    texts of the policy's rules that the password broke. ``errors`` doesn't repeat them, because the page marks
    them in its list of the rules.
    """

    name: str
    label: str
    help_text: str
    value: str
    type: str
    autocomplete: str
    inputmode: str
    errors: Sequence[str]
    policy: PasswordPolicy | None
    missed: Collection[str]
    hints: Sequence[str]  # read here and not in the template, because the site's code may fail

    @property
    def id(self) -> str:
        return f"id_{self.name}"

    @property
    def is_invalid(self) -> bool:
        return bool(self.errors or self.missed)


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
        if name not in names:
            continue
        policy = serializer.context["policy"] if name == "password" else None
        # Compare texts, because a site's validator may use one of the policy's codes for another reason.
        rules = {rule.text for rule in policy.rules} if policy else set()
        texts = [problem.detail for problem in found if problem.attr == name]
        yield PageField(
            name=name,
            label=str(field.label),
            help_text=str(field.help_text or ""),
            value=username if name == "username" else "",
            type=field.style.get("input_type", "text"),
            autocomplete=field.style["autocomplete"],
            inputmode=field.style.get("inputmode", ""),
            errors=[text for text in texts if text not in rules],
            policy=policy,
            missed=rules.intersection(texts),
            hints=policy.hints if policy else (),
        )


def page_errors(fields: Sequence[PageField], found: Sequence[Problem]) -> list[PageError]:
    """
    Return the lines of the error summary. A password has one line, even if it has several errors: they are
    shown beside the field.
    """
    by_name = {field.name: field for field in fields}
    lines = []
    for problem in found:
        field, message = by_name.get(problem.attr or ""), problem.detail
        if field and field.policy and (field.missed or len(field.errors) > 1):
            message = str(PasswordInvalid.message)
        lines.append(PageError(field.id if field else "", message))
    return list(dict.fromkeys(lines))


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
