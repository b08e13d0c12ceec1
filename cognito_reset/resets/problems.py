"""Errors of a step as a flat list, which every interface renders in its own form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from rest_framework.exceptions import APIException
from rest_framework.settings import api_settings

from cognito_reset.cognito.errors import ResetError


@dataclass(frozen=True)
class Problem:
    """One error. ``attr`` is the field's name, dotted if the field is nested, or ``None``."""

    code: str
    detail: str
    attr: str | None


def problems(error: APIException | ResetError) -> list[Problem]:
    """Return the error as a list of problems."""
    if isinstance(error, ResetError):
        return [Problem(error.code, str(error.message), error.field)]
    # A site's hook may refuse without a text.
    return list(_flat(error.detail)) or [
        Problem(error.default_code, str(error.default_detail), None)
    ]


def _flat(detail: Any, attr: str | None = None) -> Iterator[Problem]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            # Django and DRF use these names for errors that belong to no field.
            if name in ("", NON_FIELD_ERRORS, api_settings.NON_FIELD_ERRORS_KEY):
                yield from _flat(inner, attr)
            else:
                yield from _flat(inner, f"{attr}.{name}" if attr else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, attr)
    elif detail is not None:  # a site's own exceptions may have plain text
        yield Problem(getattr(detail, "code", "error"), str(detail), attr)
