"""The entries in the admin's log about what staff did, in the admin or over REST. ``history.py`` shows them in words."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.db import Error as DatabaseError
from django.db import router, transaction
from django.utils.translation import gettext_noop

if TYPE_CHECKING:
    from cognito_reset.staff.perform import Done

logger = logging.getLogger(__name__)

CHANGE: Final = 2  # as in django.contrib.admin.models, which a site without the admin can't import
OWN: Final = "cognito_reset"  # the key of our part of a message in the admin's log
LogChange = tuple[str, dict[str, str]]  # what Django says was changed, and our part


def run_entry(change: str) -> LogChange:
    """Return the entry about a change of a reset of many people."""
    return gettext_noop("state"), {"change": change}


def action_entry(**what: str) -> LogChange:
    """Return the entry about a person: ``what`` has the action, its outcome, the error's code and AWS's request id."""
    return gettext_noop("account in Cognito"), what


def done_entry(done: Done) -> LogChange:
    return action_entry(
        action=done.action.name.value,
        outcome=str(done.outcome),
        error_code=done.error.code if done.error else "",
        aws_request_id=done.request_id,
    )


def add_entry(actor: Any, obj: Any, entry: LogChange) -> None:
    """Add an entry about what was done elsewhere than in the admin, if the site has the admin."""
    if apps.is_installed("django.contrib.admin"):
        write(partial(_log_change, actor, obj), entry)


def write(log_change: Callable[[Any], object], entry: LogChange) -> None:
    """Add an entry with ``log_change``. If that fails, only log it, because the action itself was done."""
    # Django knows only "Added", "Changed" and "Deleted". Without HistoryMixin, it shows the first part.
    changed, what = entry
    change = {"changed": {"fields": [changed]}, OWN: what}
    try:
        with transaction.atomic(using=router.db_for_write(_model())):
            log_change([change])
    except DatabaseError as error:
        logger.error("cognito_reset.log_entry_failed error=%s", type(error).__name__)


def _log_change(actor: Any, obj: Any, message: Any) -> None:
    """Add an entry as ``ModelAdmin.log_change()`` does."""
    _model().objects.log_actions(actor.pk, [obj], CHANGE, message, single_object=True)


def _model() -> Any:
    return apps.get_model("admin", "LogEntry")
