"""What needs AWS credentials: the pool's settings, the app client's, and the permissions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cognito_reset.cognito import errors
from cognito_reset.cognito.diagnosis import Trouble, diagnose
from cognito_reset.cognito.facts import ClientFacts, PoolFacts
from cognito_reset.cognito.pool_reads import OPERATIONS_OF_STAFF
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import PoolSettings, conf
from cognito_reset.doctor.connection import UNREACHED, UNTESTED
from cognito_reset.doctor.findings import Finding, Result

#: Maps an operation that the doctor tries to the setting that needs it.
NEEDED_BY: Final = {
    "AdminUserGlobalSignOut": "SIGN_OUT_EVERYWHERE",
    "ListUsers": "RESEND_INVITATIONS",
}


def read_pool(service: CognitoService, pool: PoolSettings) -> PoolFacts | Result:
    """Return the pool's settings, or why they can't be read."""
    try:
        return service.pool_facts()
    except errors.ResetError as error:
        failure = error
    trouble, alias = diagnose(failure), pool.alias
    if trouble == Trouble.PERMISSIONS:
        finding = Finding.POOL_PERMISSION_NEEDED if _reads_policy(pool) else Finding.POOL_UNREADABLE
        return Result(finding, "Reason: the permission is missing.", alias)
    if trouble == Trouble.CREDENTIALS:
        return _without_credentials(failure, pool)
    if trouble == Trouble.POOL_ID:
        return Result(Finding.POOL_ID_REFUSED, f"USER_POOL_ID {pool.user_pool_id}.", alias)
    if trouble == Trouble.CLOCK:
        return Result(Finding.CLOCK_WRONG, pool=alias)
    finding = {**UNREACHED, **UNTESTED}.get(trouble, Finding.POOL_UNREADABLE)
    return Result(finding, f"Reason: {failure}.", alias)


def read_client(service: CognitoService, alias: str) -> ClientFacts | Result:
    """Return the app client's options, or why they can't be read."""
    try:
        return service.client_facts()
    except errors.ResetError as error:
        is_missing = error.hint == "AWS_PERMISSIONS"
        reason = (
            "the permission cognito-idp:DescribeUserPoolClient is missing"
            if is_missing
            else str(error)
        )
    return Result(Finding.CLIENT_UNREADABLE, f"Reason: {reason}.", alias)


def read_factors(service: CognitoService, alias: str) -> frozenset[str] | Result:
    """Return the second factors that the pool offers, or why they can't be read."""
    try:
        return service.second_factors()
    except errors.ResetError as error:
        return Result(Finding.MFA_UNREADABLE, f"GetUserPoolMfaConfig: {error}.", alias)


def try_permissions(service: CognitoService, alias: str) -> Iterator[Result]:
    """Yield for each operation of staff's features whether the credentials allow it."""
    for operation in OPERATIONS_OF_STAFF:
        setting = NEEDED_BY.get(operation, "")
        detail = f"cognito-idp:{operation}"
        try:
            is_allowed = service.may_call(operation)
        except errors.ResetError as error:
            yield Result(Finding.PERMISSIONS_UNTRIED, f"{detail}: {error}.", alias)
            return
        if is_allowed:
            yield Result(Finding.PERMISSION_THERE, f"{detail}.", alias)
        elif setting and getattr(conf, setting.lower()):
            yield Result(Finding.PERMISSION_NEEDED, f"{setting} needs {detail}.", alias)
        else:
            yield Result(Finding.PERMISSION_MISSING, f"{detail}.", alias)


def _without_credentials(error: errors.ResetError, pool: PoolSettings) -> Result:
    uses = {
        "SIGN_OUT_EVERYWHERE": conf.sign_out_everywhere,
        "RESEND_INVITATIONS": conf.resend_invitations,
        "PASSWORD_POLICY": _reads_policy(pool),
    }
    needed = [name for name, is_on in uses.items() if is_on]
    if needed:
        detail = f"{', '.join(needed)}: {error.aws_code}."
        return Result(Finding.CREDENTIALS_NEEDED, detail, pool.alias)
    return Result(Finding.CREDENTIALS_MISSING, f"{error.aws_code}.", pool.alias)


def _reads_policy(pool: PoolSettings) -> bool:
    policy = pool.password_policy
    return policy == "pool"
