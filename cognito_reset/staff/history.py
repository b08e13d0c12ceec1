"""What staff did and what happened to people, in words: for the admin's log, its history pages and the audit."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from django.contrib.admin.models import LogEntry
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy

from cognito_reset.cognito.errors import kind_with_code
from cognito_reset.models import ResetEvent
from cognito_reset.staff.actions import ACTIONS, stored_reason
from cognito_reset.staff.entries import OWN, LogChange, write
from cognito_reset.staff.model_admin import ModelAdmin

Outcome = ResetEvent.Outcome
Action = ResetEvent.Action
# How the admin's history tells what staff did.
DONE: Final[dict[str, Any]] = {
    Action.RESET: gettext_lazy("Sent a password reset"),
    Action.INVITE: gettext_lazy("Sent the invitation again"),
    Action.ENABLE: gettext_lazy("Enabled the account"),
    Action.CONFIRM: gettext_lazy("Confirmed the sign-up"),
    Action.SIGN_OUT: gettext_lazy("Signed the person out everywhere"),
    Action.CLEAR_LIMITS: gettext_lazy("Let the person try again"),
}


def add_log_entry(
    model_admin: ModelAdmin, request: HttpRequest, obj: Any, entry: LogChange
) -> None:
    """Add an entry about what was done in the admin. A site may have a ``log_change()`` of its own."""
    write(partial(model_admin.log_change, request, obj), entry)


class HistoryMixin(ModelAdmin):
    """Show the entries of ``entries.py`` in an object's history in words, in the reader's language."""

    def history_words(self, entry: LogEntry) -> str:
        """Return what an entry says, or "" to show what Django makes of it."""
        return _words(entry)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        response = super().history_view(request, object_id, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            for entry in response.context_data["action_list"]:
                if text := self.history_words(entry):
                    vars(entry)["get_change_message"] = text
        return response


def _words(entry: LogEntry) -> str:
    """Return what an entry about a person says, or "" for any other entry."""
    try:
        (message,) = json.loads(entry.change_message)
        what = message[OWN]
        action, outcome = Action(what["action"]), Outcome(what["outcome"])
    except (ValueError, KeyError, TypeError):
        return ""
    if outcome == Outcome.TRIGGERED:
        return str(DONE[action])
    reason = error_words(what.get("error_code", ""), outcome, action)
    return f"{action.label}: {outcome.label}. {reason}".rstrip()


def step_words(event: ResetEvent) -> str:
    """Return what happened, as the admin's history says it if it was done."""
    if event.action and event.outcome in (Outcome.TRIGGERED, Outcome.INVITED):
        return str(DONE[event.action])
    outcome = event.get_outcome_display()
    return f"{event.get_action_display()}: {outcome}" if event.action else outcome


def error_words(code: str, outcome: str, action: str) -> str:
    """
    Return what the code of an error means, in words, or "" where the outcome says it. ``action`` is that of the
    event, which is "" for what the person did.
    """
    if not code or outcome in (Outcome.THROTTLED, Outcome.UNKNOWN):
        return ""
    found = kind_with_code(code)
    return stored_reason(found, ACTIONS.get(action)) if found else code
