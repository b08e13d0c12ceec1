"""The services of AWS that a pool sends messages by: Amazon SES and SNS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from cognito_reset.cognito import errors
from cognito_reset.cognito.facts import EmailAccount, PoolFacts
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import PoolSettings
from cognito_reset.doctor.findings import Finding, Result

NEAR: Final = 0.9  # of the quota

T = TypeVar("T")


def examine_senders(
    service: CognitoService, facts: PoolFacts, pool: PoolSettings
) -> Iterator[Result]:
    """Yield whether the services that send codes are in their sandboxes, and whether the quota for mails is near."""
    if facts.sends_by_ses:
        region = facts.email_region or pool.region
        account = _ask(service.email_account, region, pool)
        if isinstance(account, str):
            yield Result(Finding.EMAIL_SENDER_UNKNOWN, account, pool.alias)
        else:
            yield from _email(account, f"Region {region}.", pool.alias)
    if facts.sends_by_sns and facts.has_sms and "SMS" not in facts.failures:
        region = facts.sms_region or pool.region
        answer = _ask(service.is_in_sms_sandbox, region, pool)
        if isinstance(answer, str):
            yield Result(Finding.SMS_SANDBOX_UNKNOWN, answer, pool.alias)
        else:
            found = Finding.SMS_IN_SANDBOX if answer else Finding.SMS_OUT_OF_SANDBOX
            yield Result(found, f"Region {region}.", pool.alias)


def _email(account: EmailAccount, where: str, alias: str) -> Iterator[Result]:
    is_near = 0 <= account.quota * NEAR <= account.sent
    if not account.is_sending:
        yield Result(Finding.EMAIL_SENDING_OFF, where, alias)
    if account.is_in_sandbox:
        yield Result(Finding.EMAIL_IN_SANDBOX, where, alias)
    if is_near:
        numbers = f"{account.sent:,.0f} of {account.quota:,.0f} mails in the last 24 hours."
        yield Result(Finding.EMAIL_QUOTA_NEAR, f"{where} {numbers}", alias)
    if account.is_sending and not account.is_in_sandbox and not is_near:
        yield Result(Finding.EMAIL_ACCOUNT_RIGHT, where, alias)


def _ask(ask: Callable[[str], T], region: str, pool: PoolSettings) -> T | str:
    """Return what another service tells, or why it tells nothing."""
    if pool.endpoint_url:  # it is usually an emulator's, of whose pools AWS knows nothing
        return f"Region {region}: not asked, because ENDPOINT_URL is set."
    try:
        return ask(region)
    except errors.ResetError as error:
        return f"Region {region}: {error.aws_code or error.code}."
