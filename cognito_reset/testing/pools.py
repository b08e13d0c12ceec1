"""User pools, their app clients, and their rules for passwords, usernames and recovery."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cognito_reset.testing.errors import (
    NO_USER,
    CognitoError,
    invalid_parameter,
    not_authorized,
)
from cognito_reset.testing.messages import MEDIUMS
from cognito_reset.testing.users import User

#: A trigger: it takes the event of a Lambda function and returns it with its response filled in.
Hook = Callable[[dict[str, Any]], dict[str, Any] | None]

SYMBOLS: Final = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+-"
DEFAULT_POLICY: Final = {
    "MinimumLength": 8,
    "RequireUppercase": True,
    "RequireLowercase": True,
    "RequireNumbers": True,
    "RequireSymbols": True,
}
#: The account of all pools. AWS uses this number in its own examples.
ACCOUNT: Final = "123456789012"
DEFAULT_FLOWS: Final = ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"]


def is_email(name: str) -> bool:
    return "@" in name


def is_phone_number(name: str) -> bool:
    return name.startswith("+") and name[1:].isdigit()


def is_contact(name: str) -> bool:
    return is_email(name) or is_phone_number(name)


@dataclass
class Secret:
    """One of a client's secrets. A client may have two of them, to replace one by the other."""

    id: str
    value: str = field(repr=False)
    created: datetime


@dataclass
class Client:
    """An app client. ``settings`` are the members of CreateUserPoolClient's request."""

    id: str
    pool_id: str
    settings: dict[str, Any]
    created: datetime
    modified: datetime
    secrets: list[Secret] = field(default_factory=list)

    @property
    def hides_users(self) -> bool:
        return bool(self.settings.get("PreventUserExistenceErrors") == "ENABLED")

    def allows(self, flow: str) -> bool:
        flows = self.settings.get("ExplicitAuthFlows") or DEFAULT_FLOWS
        return flow in flows or f"ALLOW_{flow}" in flows

    def check_secret_hash(self, given: str | None, *usernames: str) -> None:
        """Check the hash, which must be made of the username exactly as the request has it."""
        if given is None:
            if self.secrets:
                raise not_authorized(
                    f"Client {self.id} is configured with secret but SECRET_HASH was not received"
                )
            return
        for secret in self.secrets:
            for username in usernames:
                digest = hmac.digest(
                    secret.value.encode(),
                    f"{username}{self.id}".encode("utf-8", "surrogatepass"),
                    hashlib.sha256,
                )
                if hmac.compare_digest(
                    base64.b64encode(digest), given.encode("utf-8", "surrogatepass")
                ):
                    return
        raise not_authorized(f"Unable to verify secret hash for client {self.id}")

    def check_context(self, request: dict[str, Any]) -> None:
        """Check the address in UserContextData, if the client has a secret and propagates it."""
        address = request.get("UserContextData", {}).get("IpAddress")
        wanted = self.settings.get("EnablePropagateAdditionalUserContextData") and self.secrets
        if address is None or not wanted:
            return
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise invalid_parameter("Invalid IP address format.") from None


@dataclass
class Group:
    """A group of users. ``settings`` are the members of CreateGroup's request."""

    settings: dict[str, Any]
    created: datetime
    modified: datetime
    #: Usernames, in the order in which they were added.
    members: list[str] = field(default_factory=list)


@dataclass
class Pool:
    """
    A user pool. ``settings`` are the members of CreateUserPool's request, and ``mfa`` those of
    SetUserPoolMfaConfig's.
    """

    id: str
    settings: dict[str, Any]
    created: datetime
    modified: datetime
    mfa: dict[str, Any] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    #: Usernames by the names that their users have, or had before: see ``note_names()``.
    names: dict[str, dict[str, None]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def region(self) -> str:
        return self.id.rpartition("_")[0]

    @property
    def arn(self) -> str:
        return f"arn:aws:cognito-idp:{self.region}:{ACCOUNT}:userpool/{self.id}"

    @property
    def username_attributes(self) -> list[str]:
        return list(self.settings.get("UsernameAttributes", []))

    @property
    def alias_attributes(self) -> list[str]:
        return list(self.settings.get("AliasAttributes", []))

    @property
    def auto_verified(self) -> list[str]:
        return list(self.settings.get("AutoVerifiedAttributes", []))

    def fold(self, name: str) -> str:
        """Return the form in which names are compared: in lower case, unless case counts."""
        configuration = self.settings.get("UsernameConfiguration", {"CaseSensitive": True})
        return name if configuration["CaseSensitive"] else name.lower()

    def note_names(self, user: User) -> None:
        """
        Note all names by which the user may be found, so that ``named()`` need not look at every user. Call this
        after each change of an attribute.
        """
        aliases = (*self.username_attributes, *self.alias_attributes)
        attributes = (user.attributes.get(attribute, "") for attribute in aliases)
        for name in (user.username, user.sub, *attributes):
            if name:
                self.names.setdefault(name.lower(), {})[user.username] = None

    def named(self, name: str) -> list[User]:
        """Return the users who may have this name, in any case. They may also have had it before."""
        found = self.names.get(name.lower(), {})
        return [self.users[username] for username in found if username in self.users]

    def find(self, name: str) -> User | None:
        """Return the user with this username, sub or alias, or ``None``."""
        if name in self.users:
            return self.users[name]
        wanted, users = self.fold(name), self.named(name)
        for user in users:
            if wanted == self.fold(user.username) or name == user.sub:
                return user
        for attribute in (*self.username_attributes, *self.alias_attributes):
            for user in users:
                if self.alias(user, attribute) == wanted:
                    return user
        return None

    def alias(self, user: User, attribute: str) -> str:
        """Return an attribute's value if the user can sign in with it, or else ""."""
        value = self.fold(user.attributes.get(attribute, ""))
        free = attribute in ("preferred_username", *self.username_attributes)
        return value if free or user.has_verified(attribute) else ""

    def rivals(self, user: User, *, force: bool) -> list[tuple[User, str]]:
        """
        Check that nobody else has the user's aliases. With ``force``, return the other users and
        the contacts that the user takes from them.
        """
        rivals = []
        for attribute in (*self.username_attributes, *self.alias_attributes):
            wanted = self.alias(user, attribute)
            for other in self.named(wanted):
                if other is user or not wanted or self.alias(other, attribute) != wanted:
                    continue
                contact = attribute in self.alias_attributes and attribute in MEDIUMS
                if not (force and contact):
                    raise CognitoError(
                        "AliasExistsException", f"An account with the {attribute} already exists."
                    )
                rivals.append((other, attribute))
        return rivals

    def user(self, name: str) -> User:
        user = self.find(name)
        if user is None:
            raise CognitoError("UserNotFoundException", NO_USER)
        return user

    @property
    def recovery_mechanisms(self) -> list[str]:
        """
        Return the attributes that may recover an account, best first; [] if only staff may. AWS
        prefers SMS to email if AccountRecoverySetting is absent: botocore's model, CreateUserPool.
        """
        setting = self.settings.get("AccountRecoverySetting", {})
        mechanisms = setting.get("RecoveryMechanisms")
        if not mechanisms:
            return ["phone_number", "email"]
        names = [option["Name"] for option in sorted(mechanisms, key=lambda o: o["Priority"])]
        return [name.removeprefix("verified_") for name in names if name != "admin_only"]

    def recovery_attribute(self, user: User) -> str | None:
        """
        Return the contact that receives the user's code.

        With AccountRecoverySetting, a contact that is the user's second factor can't recover. Without
        it, as in pools older than the setting, it can: botocore's model, CreateUserPool, and
        https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_cognito.AccountRecovery.html
        (PHONE_AND_EMAIL).
        """
        chosen = self.settings.get("AccountRecoverySetting", {}).get("RecoveryMechanisms")
        excluded = user.mfa_attributes if chosen else set()
        for attribute in self.recovery_mechanisms:
            if user.has_verified(attribute) and attribute not in excluded:
                return attribute
        return None

    @property
    def policy(self) -> dict[str, Any]:
        policy = self.settings.get("Policies", {}).get("PasswordPolicy")
        if policy is None:
            return {**DEFAULT_POLICY, "TemporaryPasswordValidityDays": self.temporary_days}
        return {"MinimumLength": 8, **policy, "TemporaryPasswordValidityDays": self.temporary_days}

    @property
    def temporary_days(self) -> int:
        """
        Return how long a temporary password is valid. UnusedAccountValidityDays is the older name, and
        0 means the default (botocore's model, PasswordPolicyType).
        """
        policy = self.settings.get("Policies", {}).get("PasswordPolicy", {})
        older = self.settings.get("AdminCreateUserConfig", {}).get("UnusedAccountValidityDays")
        return policy.get("TemporaryPasswordValidityDays") or older or 7

    def check_password(
        self, password: str, *, refusal: str = "Password does not conform to policy"
    ) -> None:
        """Refuse a password that violates the pool's policy, for the first reason found."""
        policy = self.policy
        if len(password) < policy["MinimumLength"]:
            reason = "Password not long enough"
        else:
            kinds = {
                "RequireLowercase": ("lowercase", string.ascii_lowercase),
                "RequireUppercase": ("uppercase", string.ascii_uppercase),
                "RequireNumbers": ("numeric", string.digits),
                "RequireSymbols": ("symbol", SYMBOLS),
            }
            # A space counts as a symbol unless it is first or last.
            letters = password.replace(" ", "") + ("-" if " " in password.strip(" ") else "")
            missing = [
                name
                for flag, (name, members) in kinds.items()
                if policy.get(flag) and not set(letters) & set(members)
            ]
            if not missing:
                return
            reason = f"Password must have {missing[0]} characters"
        raise CognitoError("InvalidPasswordException", f"{refusal}: {reason}")

    def check_history(self, user: User, password: str) -> None:
        """Refuse one of the user's last passwords, as many of them as the policy remembers."""
        size = self.policy.get("PasswordHistorySize", 0)
        if size and password in user.passwords[-size:]:
            raise CognitoError(
                "PasswordHistoryPolicyViolationException", "Password has previously been used"
            )

    def new_password(self, rng: random.Random) -> str:
        """Return a temporary password that satisfies every policy."""
        kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!@#%&*")
        length = max(8, self.policy["MinimumLength"])
        return "".join(rng.choice(kinds[n % len(kinds)]) for n in range(length))

    def temporary_password_expired(self, user: User, now: datetime) -> bool:
        validity = timedelta(days=self.temporary_days)
        return user.password_set_at is not None and now >= user.password_set_at + validity

    def check_username(self, name: str) -> None:
        """
        Check a new username. It must be a contact if users sign in with a contact, and mustn't look
        like one if contacts are aliases.
        """
        forms = {"email": is_email(name), "phone_number": is_phone_number(name)}
        names = {"email": ("an", "email"), "phone_number": ("a", "phone number")}
        wanted = self.username_attributes
        if wanted and not any(forms[attribute] for attribute in wanted):
            what = " or ".join(" ".join(names[attribute]) for attribute in sorted(wanted))
            raise invalid_parameter(
                f"Username should be {'either ' if len(wanted) == 2 else ''}{what}."
            )
        for attribute in self.alias_attributes:
            if forms.get(attribute):
                what = names[attribute][1]
                raise invalid_parameter(
                    f"Username cannot be of {what} format, "
                    f"since user pool is configured for {what} alias."
                )
