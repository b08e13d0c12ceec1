"""Why something can't be done with a reset of many people, or with a person in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext_lazy as _

from cognito_reset.cognito import errors
from cognito_reset.staff.actions import reason_of

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

TEXTS: Final[Mapping[str, _StrPromise]] = {
    "region_busy": _(
        "Another reset of many people is not over yet: number %(run)s. AWS limits the rate of the whole "
        "account in a Region, so there can be only one at a time."
    ),
    "own_sender": _(
        "The user pool uses Cognito's own sender, which sends 50 mails a day. Let it use Amazon SES "
        "for more people."
    ),
    "unknown_source": _("This does not say which people are to be reset."),
    "nobody": _("There is nobody to send a reset to."),
    "too_fast": _("The rate must be more than 0 and at most %(most)g a second."),
    "wrong_state": _(
        "This is not possible, because the state of this reset of many people is “%(state)s”. Start another one, "
        "or send again to those for whom it failed."
    ),
    "includes_staff": _(
        "This reset of many people may include staff members, so only a superuser can resume it or send again."
    ),
    "unconfirmed": _("Nobody has confirmed this reset of many people yet, so nothing is sent."),
    "list_interrupted": _(
        "Reading the list of people was interrupted, so some are missing. Stop this reset of many people, "
        "and start another one with the list."
    ),
    "immediate": _(
        "The task queue runs its tasks at once instead of in a worker, so it is not fit for resets of many people."
    ),
    "stopped": _("The reset of many people was stopped before it was this person's turn."),
}
# Why a run has paused, where the error's own code is the one of an outage of Cognito.
FAULTS: Final[Mapping[str, type[errors.ResetError]]] = {
    "site_code_failed": errors.SiteCodeFailed,
    "misconfigured": errors.Misconfigured,
}


class BulkRefused(Exception):
    """Something can't be done with a reset of many people. ``message`` is for the staff member."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values = values

    @property
    def message(self) -> str:
        return TEXTS[self.code] % self.values


def run_reason(error: errors.ResetError) -> str:
    """Return the code of the reason with which an error pauses a run. ``words()`` explains it."""
    found = (code for code, kind in FAULTS.items() if isinstance(error, kind))
    return next(found, error.code)


def words(code: str) -> str:
    """Return what a reason of a run or an error of an item means, or "" if there is none."""
    if code in TEXTS:
        return str(TEXTS[code])
    if code in FAULTS:
        return reason_of(FAULTS[code]())
    found = errors.kind_with_code(code)
    return reason_of(found()) if found else code
