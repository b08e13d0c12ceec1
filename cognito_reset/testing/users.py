"""A user of a pool, with attributes, passwords and codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cognito_reset.testing.errors import invalid_parameter

STANDARD_ATTRIBUTES: Final = frozenset(
    [
        "address",
        "birthdate",
        "email",
        "email_verified",
        "family_name",
        "gender",
        "given_name",
        "locale",
        "middle_name",
        "name",
        "nickname",
        "phone_number",
        "phone_number_verified",
        "picture",
        "preferred_username",
        "profile",
        "updated_at",
        "website",
        "zoneinfo",
    ]
)
MFA_ATTRIBUTES: Final = {"SMS_MFA": "phone_number", "EMAIL_OTP": "email"}


@dataclass(frozen=True)
class Code:
    """A code that was sent. It is valid for an hour."""

    value: str = field(repr=False)
    sent_at: datetime


@dataclass
class User:
    """One user. The passwords aren't hashed, because an emulator has only made-up ones."""

    username: str
    sub: str
    status: str
    created: datetime
    modified: datetime
    attributes: dict[str, str] = field(default_factory=dict, repr=False)
    enabled: bool = True
    passwords: list[str] = field(default_factory=list, repr=False)
    password_set_at: datetime | None = None
    reset_codes: list[Code] = field(default_factory=list)
    sign_up_codes: list[Code] = field(default_factory=list)
    attempts: list[datetime] = field(default_factory=list)
    mfa: list[str] = field(default_factory=list)
    preferred_mfa: str = ""
    #: The secret that the user's authenticator app shares, and whether a code has proved that.
    totp_secret: str = field(default="", repr=False)
    has_totp: bool = False

    @property
    def password(self) -> str | None:
        return self.passwords[-1] if self.passwords else None

    def set_password(self, password: str, now: datetime) -> None:
        self.passwords.append(password)
        self.password_set_at = self.modified = now

    def has_verified(self, attribute: str) -> bool:
        """Check whether the user has this contact and it is verified."""
        verified = self.attributes.get(f"{attribute}_verified", "").lower() == "true"
        return verified and bool(self.attributes.get(attribute))

    @property
    def mfa_attributes(self) -> set[str]:
        """Return the contacts that can receive the code of the second factor."""
        return {MFA_ATTRIBUTES[factor] for factor in self.mfa if factor in MFA_ATTRIBUTES}

    def set_attributes(self, attributes: list[dict[str, str]]) -> None:
        """
        Set attributes. A changed contact is unverified, unless the same request sets it verified.
        An empty value removes the attribute.
        """
        given = {item["Name"]: item.get("Value", "") for item in attributes}
        for name, value in given.items():
            if name not in STANDARD_ATTRIBUTES and not name.startswith(("custom:", "dev:")):
                raise invalid_parameter(
                    f"Attributes did not conform to the schema: {name}: "
                    "Attribute does not exist in the schema.\n"
                )
            if name == "email" and value and "@" not in value:
                raise invalid_parameter("Invalid email address format.")
            if name == "phone_number" and value and not (value[0] == "+" and value[1:].isdigit()):
                raise invalid_parameter("Invalid phone number format.")
        for name in ("email", "phone_number"):
            if given.get(name, self.attributes.get(name)) != self.attributes.get(name):
                self.attributes[f"{name}_verified"] = "false" if given[name] else ""
        self.attributes.update(given)
        for name in [name for name, value in self.attributes.items() if not value]:
            del self.attributes[name]

    def attribute_list(self) -> list[dict[str, str]]:
        everything = {"sub": self.sub, **self.attributes}
        return [{"Name": name, "Value": value} for name, value in everything.items()]

    def summary(self) -> dict[str, Any]:
        """Return the user as AdminCreateUser and ListUsers show it."""
        return {
            "Username": self.username,
            "Attributes": self.attribute_list(),
            "UserCreateDate": self.created.timestamp(),
            "UserLastModifiedDate": self.modified.timestamp(),
            "Enabled": self.enabled,
            "UserStatus": self.status,
        }
