"""
What staff type to look a person up, in the admin and over REST. ``pages.py`` imports this module when the page is opened, because
DRF's fields take long to load, and the admin is loaded whenever the site or a command starts.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from cognito_reset.resets.serializers import StrictCharField, UsernameField
from cognito_reset.staff.accounts import LONGEST_NAME


class PersonField(UsernameField):
    """The username, or an alias, of somebody else. A visitor's field has a text about the visitor's own."""

    def bind(self, field_name: str, parent: Any) -> None:
        super().bind(field_name, parent)
        self.error_messages["required"] = StrictCharField.default_error_messages["required"]


class LookUpSerializer(serializers.Serializer[Any]):
    username = PersonField(limit=LONGEST_NAME)
