"""The exit codes of all subcommands, and what the command ends with after an error."""

from __future__ import annotations

from enum import IntEnum

from django.core.management.base import CommandError

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.doctor.findings import Finding
from cognito_reset.doctor.state import examine_tables
from cognito_reset.staff import bulk
from cognito_reset.staff.actions import reason_of


class Exit(IntEnum):
    PARTIAL = 1
    USAGE = 2
    CONFIGURATION = 3
    ABORTED = 4


class Interrupted(CommandError):
    """Nobody waits for the calls that are under way, so the process doesn't, either."""


def unknown_pool(alias: str) -> CommandError:
    """Return what the command ends with if ``--pool`` isn't in POOLS."""
    text = f"POOLS has no pool {alias!r}. The pools are {', '.join(conf.pool_aliases())}."
    return CommandError(text, returncode=Exit.USAGE)


def database_failed(error: Exception) -> CommandError:
    """Return what the command ends with if the database failed, with the reason if tables are missing."""
    texts = [f"The database failed: {str(error).strip()}"]
    for result in examine_tables():
        if result.finding is Finding.TABLES_MISSING:
            texts.append(f"{result.finding.title} {result.detail} {result.finding.fix}")
    return CommandError("\n".join(texts), returncode=Exit.ABORTED)


def failed(error: Exception) -> CommandError:
    """Return what the command ends with after an error."""
    if isinstance(error, bulk.BulkRefused):
        usage = dict.fromkeys(("unknown_source", "too_fast", "nobody"), Exit.USAGE)
        codes = {**usage, "immediate": Exit.CONFIGURATION}
        text = f"{error.message} (--force)" if error.code == "own_sender" else error.message
        return CommandError(text, returncode=codes.get(error.code, Exit.ABORTED))
    if not isinstance(error, errors.ResetError):
        return CommandError(str(error), returncode=Exit.CONFIGURATION)
    code = Exit.ABORTED
    if isinstance(error, errors.Misconfigured):
        code = Exit.CONFIGURATION
    elif isinstance(error, errors.SelectionInvalid):
        code = Exit.USAGE
    return CommandError(reason_of(error), returncode=code)
