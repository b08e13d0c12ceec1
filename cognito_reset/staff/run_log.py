"""What the pages of a run and of its start share: the run's URL, and the entries in the admin's log."""

from __future__ import annotations

import json
from typing import Any, Final

from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.models import BulkRun
from cognito_reset.staff import bulk
from cognito_reset.staff.actions import reason_of
from cognito_reset.staff.entries import OWN, run_entry
from cognito_reset.staff.history import add_log_entry

# How the admin's history tells what staff did.
DONE: Final[dict[str, Any]] = {
    "start": gettext_lazy("Started the reset of many people"),
    "pause": gettext_lazy("Paused the reset of many people"),
    "resume": gettext_lazy("Resumed the reset of many people"),
    "stop": gettext_lazy("Stopped the reset of many people"),
    "retry-failed": gettext_lazy("Sent again to those for whom it failed"),
}


STILL_PAUSED: Final = gettext_lazy(
    "The reset of many people is paused. When it is resumed, it sends again to those for whom it failed."
)


def run_url(model_admin: Any, run: BulkRun) -> str:
    """Return the URL of a run's page in the site of a ``ModelAdmin``."""
    name = "admin:cognito_reset_bulkrun_change"
    return reverse(name, args=[run.pk], current_app=model_admin.admin_site.name)


def refusal_text(error: bulk.BulkRefused | errors.ResetError) -> str:
    """Return in words why something can't be done with a run."""
    return error.message if isinstance(error, bulk.BulkRefused) else reason_of(error)


def log_run(model_admin: Any, request: HttpRequest, run: BulkRun, change: str) -> None:
    """Add an entry about a run to the admin's log."""
    add_log_entry(model_admin, request, run, run_entry(change))


def history_words(entry: LogEntry) -> str:
    """Return what an entry about a run says, or "" for any other entry."""
    try:
        (message,) = json.loads(entry.change_message)
        return str(DONE[message[OWN]["change"]])
    except (ValueError, KeyError, TypeError):
        return ""
