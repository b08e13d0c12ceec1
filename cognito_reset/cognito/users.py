"""The users of a pool as ListUsers shows them, and how their names are compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from django.utils import timezone

from cognito_reset.cognito import errors

__all__ = ["PoolRules", "PoolUser"]

# Where Cognito sends a code in a pool without AccountRecoverySetting (botocore's model).
PHONE_THEN_EMAIL: Final = ("phone_number", "email")


@dataclass(frozen=True)
class PoolRules:
    """
    What DescribeUserPool says of a pool: whether "Alice" and "alice" are two users, which contacts codes may
    go to (the preferred one first; none if only administrators recover accounts), whether Cognito's own
    sender sends its codes by mail, 50 a day for the whole AWS account (developer guide, "Quotas"), and whether codes
    don't go to a contact that is the user's MFA, as where AccountRecoverySetting is set (botocore's model). A Lambda
    function for CustomEmailSender sends the mails instead of Cognito's own sender.

    ``unique_names`` are the attributes that people sign in with and whose value nobody else in the pool can have,
    whether or not it is verified: UsernameAttributes, and preferred_username if it is an alias. An email address or
    a phone number that is an alias is unique only once it is verified (developer guide, "Customizing sign-in
    attributes").

    ``contact_names`` are the contacts, "email" or "phone_number", that people sign in with, as an alias or instead of a
    username. Cognito accepts no username that has the form of one of them (same page).
    """

    is_case_sensitive: bool
    channels: tuple[str, ...]
    has_own_sender: bool
    excludes_mfa: bool
    unique_names: tuple[str, ...] = ()
    contact_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, pool: Mapping[str, Any]) -> PoolRules:
        """
        Return the rules of DescribeUserPool's answer. A pool without a rule for case is case-sensitive
        (developer guide, "User pool case sensitivity").
        """
        ways = pool.get("AccountRecoverySetting", {}).get("RecoveryMechanisms", [])
        names = [way["Name"] for way in sorted(ways, key=itemgetter("Priority"))]
        listed = (name.removeprefix("verified_") for name in names if name != "admin_only")
        channels = tuple(listed) if ways else PHONE_THEN_EMAIL
        aliases = tuple(pool.get("AliasAttributes") or ())
        instead = tuple(pool.get("UsernameAttributes") or ())
        preferred = [name for name in aliases if name == "preferred_username"]
        sender = pool.get("EmailConfiguration", {}).get("EmailSendingAccount", "COGNITO_DEFAULT")
        is_custom = bool(pool.get("LambdaConfig", {}).get("CustomEmailSender"))
        return cls(
            is_case_sensitive=pool.get("UsernameConfiguration", {}).get("CaseSensitive", True),
            channels=channels,
            has_own_sender=sender == "COGNITO_DEFAULT" and not is_custom and "email" in channels,
            excludes_mfa=bool(ways) and pool.get("MfaConfiguration", "OFF") != "OFF",
            unique_names=(*instead, *preferred),
            contact_names=tuple(name for name in PHONE_THEN_EMAIL if name in instead + aliases),
        )


@dataclass(frozen=True)
class PoolUser:
    """
    A user as ListUsers shows one. The list is eventually consistent (botocore's model), so
    ``looked_up_at`` belongs to the answer. An attribute that the user doesn't have is "".
    """

    username: str = field(repr=False)
    sub: str = field(repr=False)
    email: str = field(repr=False)
    phone_number: str = field(repr=False)
    status: str
    enabled: bool
    email_verified: bool
    phone_verified: bool
    created_at: datetime
    changed_at: datetime
    looked_up_at: datetime
    preferred_username: str = field(default="", repr=False)

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
            created_at=user["UserCreateDate"],
            changed_at=user["UserLastModifiedDate"],
            looked_up_at=timezone.now(),
            preferred_username=attributes.get("preferred_username", ""),
        )

    def refusal(self, rules: PoolRules | None) -> type[errors.ResetError] | None:
        """
        Return why AdminResetUserPassword must not be sent, or None if it may be: it could end the user's
        password although no code can reach the user. ``rules`` is None if the app may not read them.
        """
        if not self.enabled:
            return errors.UserDisabled
        if self.status == "EXTERNAL_PROVIDER":
            return errors.FederatedUser
        if self.status == "FORCE_CHANGE_PASSWORD":
            return errors.NotActivated
        if self.status == "UNCONFIRMED":
            return errors.NotConfirmed
        if rules and rules.channels == ():
            return errors.RecoveryByAdminOnly
        return None if self.channels(rules) else errors.NoVerifiedContact

    @property
    def invitation_medium(self) -> str:
        """
        Return how the invitation can be sent again, "EMAIL" or "SMS", or "" if the user has none. AWS
        documents both that the contact must be verified and that it need not be.
        """
        if not self.enabled or self.status != "FORCE_CHANGE_PASSWORD":
            return ""
        return "EMAIL" if self.email else "SMS" if self.phone_number else ""

    def channels(self, rules: PoolRules | None) -> tuple[str, ...]:
        """
        Return the verified contacts that a code may go to, "email" or "phone_number", the one that Cognito
        prefers first. If the rules aren't known, either may be preferred. With ``PoolRules.excludes_mfa``, any
        of them may be the user's MFA, which ListUsers doesn't show.
        """
        allowed = PHONE_THEN_EMAIL if rules is None else rules.channels
        verified = {"email": self.email_verified, "phone_number": self.phone_verified}
        return tuple(name for name in allowed if verified[name])

    def may_get_mail(self, rules: PoolRules) -> bool:
        """Check whether a code may go to the user by mail."""
        channels = self.channels(rules)
        return "email" in (channels if rules.excludes_mfa else channels[:1])


def is_contact_name(identifier: str, rules: PoolRules | None) -> bool:
    """
    Check whether ``identifier`` looks like a contact that people sign in with. If a user has this contact, no user has
    it as a username. Only the usernames of federated users may have any form, but all of them contain "_", after the
    name of the identity provider.
    """
    contacts = rules.contact_names if rules else ()
    return attribute_like(identifier) in contacts and "_" not in identifier


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
