"""The users of a pool as ListUsers shows them, and how their names are compared."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from cognito_reset.cognito import errors


@dataclass(frozen=True)
class PoolUser:
    """
    A user as ListUsers shows one. The list is eventually consistent (botocore's model), so
    ``looked_up_at`` belongs to the answer. ``email`` and ``phone_number`` are "" if the user has none.
    """

    username: str = field(repr=False)
    sub: str = field(repr=False)
    email: str = field(repr=False)
    phone_number: str = field(repr=False)
    status: str
    enabled: bool
    email_verified: bool
    phone_verified: bool
    looked_up_at: datetime

    @classmethod
    def of(cls, user: dict[str, Any]) -> PoolUser:
        """Return the user of an item of ListUsers' answer."""
        attributes = {item["Name"]: item.get("Value", "") for item in user.get("Attributes", ())}
        return cls(
            username=user["Username"],
            sub=attributes.get("sub", ""),
            email=attributes.get("email", ""),
            phone_number=attributes.get("phone_number", ""),
            status=user["UserStatus"],
            enabled=user["Enabled"],
            email_verified=attributes.get("email_verified") == "true",
            phone_verified=attributes.get("phone_number_verified") == "true",
            looked_up_at=timezone.now(),
        )

    @property
    def refusal(self) -> type[errors.ResetError] | None:
        """
        Return why AdminResetUserPassword must not be sent, or None if it may be: it could end the user's
        password although no code can reach the user.
        """
        if not self.enabled:
            return errors.UserDisabled
        if self.status == "EXTERNAL_PROVIDER":
            return errors.FederatedUser
        if self.status == "FORCE_CHANGE_PASSWORD":
            return errors.NotActivated
        if self.status == "UNCONFIRMED":
            return errors.NotConfirmed
        if not (self.email_verified or self.phone_verified):
            return errors.NoVerifiedContact
        return None


def attribute_like(identifier: str) -> str:
    """Return the name of the attribute whose form ``identifier`` has, or ""."""
    if "@" in identifier:
        return "email"
    if identifier.startswith("+"):
        return "phone_number"
    is_sub = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identifier)
    return "sub" if is_sub else ""


def has_upper_case(username: str) -> bool:
    """Check for capital letters. Only ASCII counts, as in ``is_same()``."""
    return username.isascii() and username != username.lower()


def is_same(wanted: str, found: str) -> bool:
    """
    Check whether two identifiers are the same but for the case of ASCII letters. Unicode's case folding
    would also accept lookalikes.
    """
    are_ascii = wanted.isascii() and found.isascii()
    return wanted == found or (are_ascii and wanted.lower() == found.lower())
