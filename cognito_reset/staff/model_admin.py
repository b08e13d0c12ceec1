"""What the classes and pages for Django's admin share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.text import capfirst

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

logger = logging.getLogger(__name__)

# Since Django 6.1 a change page can have actions.
ON_CHANGE_FORM: Final = hasattr(admin, "ActionLocation")


def denied(model_admin: ModelAdmin, request: HttpRequest) -> PermissionDenied:
    """Log that somebody tried something without the permission, and return the exception to raise."""
    logger.warning(
        "cognito_reset.admin_denied actor=%s model=%s", request.user.pk, model_admin.opts.label
    )
    return PermissionDenied()


def as_message(text: str) -> str:
    """
    Return a text as a message that the admin shows as it is. The admin's template begins each message with a capital
    letter, but in some languages a text begins with a username, which may be somebody else's if its case is changed.
    """
    return text if text == capfirst(text) else f"\N{WORD JOINER}{text}"
