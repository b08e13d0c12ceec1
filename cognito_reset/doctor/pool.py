"""What the settings of a pool and of its app client mean for the people who reset their passwords."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cognito_reset.cognito import errors
from cognito_reset.cognito.facts import PLACEHOLDER, ClientFacts, PoolFacts
from cognito_reset.conf import CognitoResetMisconfigured, PoolSettings, conf
from cognito_reset.doctor.findings import Finding, Result
from cognito_reset.resets.passwords import PasswordPolicy, get_policy

# NIST SP 800-63B-4, 3.1.1.2: the least length of a password that is the only factor, and of one of two factors.
ALONE: Final = 15
WITH_MFA: Final = 8
#: Triggers that get ClientMetadata during a reset (developer guide, "Connecting API actions to Lambda triggers").
READERS: Final = frozenset(
    {"CustomMessage", "UserMigration", "PostConfirmation", "CustomEmailSender", "CustomSMSSender"}
)


def examine_pool(facts: PoolFacts, pool: PoolSettings) -> Iterator[Result]:
    """Yield what DescribeUserPool shows, but for the second factors and for the services that send messages."""
    alias = pool.alias
    yield Result(Finding.POOL_READ, pool=alias)
    yield from _recovery(facts, alias)
    yield from _contacts(facts, alias)
    yield from _email(facts, alias)
    yield from _sms(facts, alias)
    yield from _templates(facts, alias)
    yield from _nist(facts, alias)
    yield from _compare_policies(facts, alias)
    yield Result(
        Finding.CASE_SENSITIVE if facts.rules.is_case_sensitive else Finding.CASE_INSENSITIVE,
        pool=alias,
    )
    yield _sign_in(facts, pool)
    yield _context(facts, alias)
    yield from _triggers(facts, alias)


def examine_mfa(facts: PoolFacts, factors: frozenset[str], alias: str) -> Iterator[Result]:
    """
    Yield whether codes can't go to some people, because their contact is their second factor. The pool must have
    ``rules.excludes_mfa``.
    """
    channels = set(facts.rules.channels)
    if not channels or not channels <= factors:
        return
    detail = f"Second factors: {_listed(factors)}. Recovery: {_listed(channels)}."
    # A person with two contacts has the other one left, and one with an app isn't concerned.
    is_everybody = facts.mfa == "ON" and len(channels) == 1 and channels == factors
    if is_everybody:
        yield Result(Finding.RECOVERY_BLOCKED_BY_MFA, detail, alias)
    else:
        yield Result(Finding.RECOVERY_CONFLICTS_WITH_MFA, detail, alias)


def examine_client(client: ClientFacts, alias: str) -> Iterator[Result]:
    """Yield what DescribeUserPoolClient shows, but for what a person can see without it."""
    yield Result(Finding.CLIENT_READABLE, pool=alias)
    yield Result(
        Finding.TOKENS_REVOCABLE if client.revokes_tokens else Finding.TOKENS_NOT_REVOCABLE,
        pool=alias,
    )
    if conf.forward_ip_address and not client.takes_ip_address:
        yield Result(Finding.CONTEXT_REFUSED, pool=alias)


def _recovery(facts: PoolFacts, alias: str) -> Iterator[Result]:
    channels = facts.rules.channels
    if not channels:
        yield Result(Finding.RECOVERY_BY_ADMIN_ONLY, pool=alias)
        return
    yield Result(Finding.RECOVERY_OPEN, f"Codes go to: {_listed(channels, sort=False)}.", alias)
    if not facts.recovery_is_set:
        yield Result(Finding.RECOVERY_NOT_SET, pool=alias)
    elif channels[0] == "phone_number":
        yield Result(Finding.RECOVERY_PREFERS_SMS, pool=alias)


def _contacts(facts: PoolFacts, alias: str) -> Iterator[Result]:
    channels = facts.rules.channels
    if channels and not set(channels) & set(facts.auto_verified):
        verified = _listed(facts.auto_verified) or "none"
        yield Result(Finding.CONTACTS_NOT_VERIFIED, f"AutoVerifiedAttributes: {verified}.", alias)


def _email(facts: PoolFacts, alias: str) -> Iterator[Result]:
    if "email" not in facts.rules.channels:
        return
    if text := facts.failures.get("EMAIL"):
        yield Result(Finding.EMAIL_FAILS, f"EmailConfigurationFailure: {text}.", alias)
    if "CustomEmailSender" in facts.triggers:
        yield Result(Finding.EMAIL_SENDER_RIGHT, "CustomEmailSender.", alias)
    elif facts.rules.has_own_sender:
        yield Result(Finding.OWN_SENDER, pool=alias)
    else:
        yield Result(Finding.EMAIL_SENDER_RIGHT, pool=alias)


def _sms(facts: PoolFacts, alias: str) -> Iterator[Result]:
    if not facts.sends_by_sns:
        return
    if text := facts.failures.get("SMS"):
        yield Result(Finding.SMS_FAILS, f"SmsConfigurationFailure: {text}.", alias)
        return
    # Without AccountRecoverySetting, Cognito allows SMS also in a pool where people have no verified phone.
    has_phones = "phone_number" in {*facts.auto_verified, *facts.sign_in_with}
    if not facts.has_sms and (facts.recovery_is_set or has_phones):
        yield Result(Finding.SMS_MISSING, pool=alias)


def _templates(facts: PoolFacts, alias: str) -> Iterator[Result]:
    lacking = [medium for medium, text in facts.messages.items() if PLACEHOLDER not in text]
    if lacking:
        yield Result(Finding.TEMPLATE_WITHOUT_CODE, f"{', '.join(sorted(lacking))}.", alias)
    else:
        yield Result(Finding.TEMPLATES_RIGHT, pool=alias)


def _nist(facts: PoolFacts, alias: str) -> Iterator[Result]:
    policy = PasswordPolicy.from_aws(facts.policy)
    least = WITH_MFA if facts.mfa == "ON" else ALONE
    if policy.minimum_length < least:
        detail = f"MinimumLength is {policy.minimum_length}, and {least} is required"
        detail += "." if facts.mfa == "ON" else ", because not everybody must have a second factor."
        yield Result(Finding.POLICY_TOO_SHORT, detail, alias)
    if policy.required:
        yield Result(Finding.POLICY_COMPOSITION, f"{', '.join(sorted(policy.required))}.", alias)
    if policy.minimum_length >= least and not policy.required:
        yield Result(Finding.POLICY_FITS_NIST, pool=alias)


def _compare_policies(facts: PoolFacts, alias: str) -> Iterator[Result]:
    """Compare the pool's policy with the rules that the pages show: PASSWORD_POLICY and Django's least length."""
    try:
        here = get_policy(alias)
    except (errors.ResetError, CognitoResetMisconfigured) as error:  # AUTH_PASSWORD_VALIDATORS
        yield Result(Finding.SETTINGS_UNUSABLE, f"AUTH_PASSWORD_VALIDATORS: {error}", alias)
        return
    there = PasswordPolicy.from_aws(facts.policy)
    stricter = [*_more(there, than=here)]
    laxer = [*_more(here, than=there)]
    if stricter:
        yield Result(Finding.POLICY_STRICTER, f"The pool's: {', '.join(stricter)}.", alias)
    if laxer:
        yield Result(Finding.POLICY_LAXER, f"This site's: {', '.join(laxer)}.", alias)
    if not stricter and not laxer:
        yield Result(Finding.POLICY_AGREES, pool=alias)


def _more(policy: PasswordPolicy, *, than: PasswordPolicy) -> Iterator[str]:
    """Yield the rules of a policy that another one lacks."""
    if policy.minimum_length > than.minimum_length:
        yield f"at least {policy.minimum_length} characters instead of {than.minimum_length}"
    yield from sorted(policy.required - than.required)


def _sign_in(facts: PoolFacts, pool: PoolSettings) -> Result:
    wanted, alias = facts.sign_in_with, pool.alias
    detail = f"The pool: {_listed(wanted, sort=False)}."
    if not pool.sign_in_declared:
        return Result(Finding.SIGN_IN_UNSET, detail, alias)
    if set(pool.sign_in_with) == set(wanted):
        return Result(Finding.SIGN_IN_AGREES, pool=alias)
    detail += f" SIGN_IN_WITH: {_listed(pool.sign_in_with, sort=False)}."
    return Result(Finding.SIGN_IN_DIFFERS, detail, alias)


def _context(facts: PoolFacts, alias: str) -> Result:
    is_sent = conf.forward_encoded_data or conf.forward_ip_address
    is_used = facts.plan in ("PLUS", "") and facts.threat_protection != "OFF"
    detail = f"Plan {facts.plan or 'unknown'}, threat protection {facts.threat_protection}."
    if is_sent and not is_used:
        return Result(Finding.CONTEXT_UNUSED, detail, alias)
    if is_used and not conf.forward_ip_address:
        return Result(Finding.CONTEXT_MISSING, detail, alias)
    return Result(Finding.CONTEXT_RIGHT, detail, alias)


def _triggers(facts: PoolFacts, alias: str) -> Iterator[Result]:
    writes = facts.triggers & {"CustomMessage", "CustomEmailSender"}
    yield Result(Finding.MAIL_LINK_UNKNOWN if writes else Finding.MAIL_WITHOUT_LINK, pool=alias)
    has_metadata = bool(conf.raw.get("CLIENT_METADATA") or conf.forward_client_metadata)
    if has_metadata and not facts.triggers & READERS:
        yield Result(Finding.METADATA_UNREAD, pool=alias)


def _listed(names: Iterable[str], *, sort: bool = True) -> str:
    return ", ".join(sorted(names) if sort else names)
