"""What Cognito tells of a pool and of an app client, as far as the doctor judges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cognito_reset.cognito.users import PoolRules

# What must stand in a message for the code (botocore's model, EmailVerificationMessageType).
PLACEHOLDER: Final = "{####}"
# The second factors, by the member of GetUserPoolMfaConfig's answer. A contact has the name of its attribute.
FACTORS: Final = {
    "SmsMfaConfiguration": "phone_number",
    "EmailMfaConfiguration": "email",
    "SoftwareTokenMfaConfiguration": "app",
}


@dataclass(frozen=True)
class PoolFacts:
    """
    - ``rules``: which users are the same, and where codes go.
    - ``recovery_is_set``: the pool has AccountRecoverySetting.
    - ``mfa``: "OFF", "OPTIONAL" or "ON".
    - ``plan``: "LITE", "ESSENTIALS" or "PLUS"; "" with a botocore from before the plans, which drops it.
    - ``threat_protection``: "OFF", "AUDIT" or "ENFORCED".
    - ``email_region`` and ``sms_region``: the Regions of the SES identity and of SNS, "" for the pool's own Region.
    - ``has_sms``: the pool can send text messages.
    - ``failures``: why Cognito says that it can't send text messages or mails, by "SMS" and "EMAIL".
    - ``messages``: the pool's own templates for codes, by "SMS" and "EMAIL". Default templates are left out.
    - ``policy``: the password policy (PasswordPolicyType).
    - ``sign_in_with``: what users can sign in with, as SIGN_IN_WITH lists it.
    - ``auto_verified``: the contacts that users verify when they sign up.
    - ``triggers``: the names of the pool's Lambda triggers.
    """

    rules: PoolRules
    recovery_is_set: bool
    mfa: str
    plan: str
    threat_protection: str
    email_region: str
    sms_region: str
    has_sms: bool
    failures: Mapping[str, str]
    messages: Mapping[str, str] = field(repr=False)
    policy: Mapping[str, Any]
    sign_in_with: tuple[str, ...]
    auto_verified: tuple[str, ...]
    triggers: frozenset[str]

    @classmethod
    def of(cls, pool: Mapping[str, Any]) -> PoolFacts:
        """Return the facts of DescribeUserPool's "UserPool"."""
        template = pool.get("VerificationMessageTemplate", {})
        messages = {
            # The names outside of the template are older, and AWS may still answer them.
            "EMAIL": template.get("EmailMessage") or pool.get("EmailVerificationMessage"),
            "SMS": template.get("SmsMessage") or pool.get("SmsVerificationMessage"),
        }
        failures = {
            "EMAIL": pool.get("EmailConfigurationFailure"),
            "SMS": pool.get("SmsConfigurationFailure"),
        }
        return cls(
            rules=PoolRules.of(pool),
            recovery_is_set=bool(pool.get("AccountRecoverySetting", {}).get("RecoveryMechanisms")),
            mfa=pool.get("MfaConfiguration", "OFF"),
            plan=pool.get("UserPoolTier", ""),
            threat_protection=pool.get("UserPoolAddOns", {}).get("AdvancedSecurityMode", "OFF"),
            email_region=_region_of(pool.get("EmailConfiguration", {}).get("SourceArn", "")),
            sms_region=pool.get("SmsConfiguration", {}).get("SnsRegion", ""),
            has_sms=bool(pool.get("SmsConfiguration", {}).get("SnsCallerArn")),
            failures={medium: text for medium, text in failures.items() if text},
            messages={medium: text for medium, text in messages.items() if text},
            policy=pool.get("Policies", {}).get("PasswordPolicy", {}),
            sign_in_with=_sign_in_with(pool),
            auto_verified=tuple(pool.get("AutoVerifiedAttributes", ())),
            triggers=frozenset(
                name for name, value in pool.get("LambdaConfig", {}).items() if value
            ),
        )

    @property
    def sends_by_ses(self) -> bool:
        """Check whether codes may go by mail, and Amazon SES sends them."""
        is_other = "CustomEmailSender" in self.triggers or self.rules.has_own_sender
        return "email" in self.rules.channels and not is_other

    @property
    def sends_by_sns(self) -> bool:
        """Check whether codes may go by SMS, and Amazon SNS would send them."""
        return "phone_number" in self.rules.channels and "CustomSMSSender" not in self.triggers


@dataclass(frozen=True)
class ClientFacts:
    """
    - ``hides_users``: PreventUserExistenceErrors is ENABLED.
    - ``revokes_tokens``: EnableTokenRevocation.
    - ``takes_ip_address``: EnablePropagateAdditionalUserContextData.
    """

    hides_users: bool
    revokes_tokens: bool
    takes_ip_address: bool

    @classmethod
    def of(cls, client: Mapping[str, Any]) -> ClientFacts:
        """Return the facts of DescribeUserPoolClient's "UserPoolClient". The default is LEGACY (botocore's model)."""
        return cls(
            hides_users=client.get("PreventUserExistenceErrors", "LEGACY") == "ENABLED",
            revokes_tokens=client.get("EnableTokenRevocation", False),
            takes_ip_address=client.get("EnablePropagateAdditionalUserContextData", False),
        )


@dataclass(frozen=True)
class EmailAccount:
    """
    - ``is_in_sandbox``: Amazon SES only sends to verified addresses.
    - ``is_sending``: AWS hasn't paused the account's mails.
    - ``sent`` and ``quota``: mails in the last 24 hours. A quota of -1 is none (botocore's model).
    """

    is_in_sandbox: bool
    is_sending: bool
    sent: float
    quota: float

    @classmethod
    def of(cls, account: Mapping[str, Any]) -> EmailAccount:
        """Return the facts of GetAccount's answer."""
        quota = account.get("SendQuota", {})
        return cls(
            is_in_sandbox=not account["ProductionAccessEnabled"],
            is_sending=account.get("SendingEnabled", True),
            sent=quota.get("SentLast24Hours", 0.0),
            quota=quota.get("Max24HourSend", -1.0),
        )


def factors_of(mfa: Mapping[str, Any]) -> frozenset[str]:
    """
    Return the second factors of GetUserPoolMfaConfig's answer. Only the member about authenticator apps has the key
    "Enabled" (botocore's model).
    """
    is_on = {name: mfa.get(name, {}).get("Enabled", name in mfa) for name in FACTORS}
    return frozenset(factor for name, factor in FACTORS.items() if is_on[name])


def _region_of(arn: str) -> str:
    """Return the Region of arn:aws:ses:REGION:ACCOUNT:identity/NAME, or ""."""
    return arn.split(":")[3] if arn.count(":") > 2 else ""


def _sign_in_with(pool: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return what users sign in with: with UsernameAttributes, only with these; otherwise with the username and with
    the aliases, of which preferred_username looks like a username (developer guide, "Customizing sign-in attributes").
    """
    if attributes := pool.get("UsernameAttributes"):
        return tuple(sorted(attributes))
    aliases = pool.get("AliasAttributes") or ()
    return ("username", *(name for name in ("email", "phone_number") if name in aliases))
