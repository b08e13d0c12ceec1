"""
What the admin's pages about one person share: the panel, and the page that asks whether to do something for the
person. ``AccountAdmin`` shows them for people whom Django may not know, and ``CognitoResetMixin`` for the site's users.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from cognito_reset.cognito import errors
from cognito_reset.cognito.pool_calls import answer_within
from cognito_reset.conf import conf
from cognito_reset.models import ResetEvent
from cognito_reset.staff.accounts import (
    LOOK_UP,
    PoolAccount,
    Staff,
    has_permission,
    is_permitted,
    is_visible,
    staff_reader,
)
from cognito_reset.staff.actions import Action, reason_of
from cognito_reset.staff.audit import HASHES, PersonFilter
from cognito_reset.staff.entries import done_entry
from cognito_reset.staff.history import add_log_entry, error_words, step_words
from cognito_reset.staff.model_admin import ON_CHANGE_FORM, ModelAdmin, as_message, denied
from cognito_reset.staff.notice import can_notify
from cognito_reset.staff.panel import Panel, log_not_shown, panel
from cognito_reset.staff.perform import Done

# A page that shows a panel besides other things doesn't wait longer for Cognito.
PATIENCE_SECONDS: Final = 2.0
Outcome = ResetEvent.Outcome
LEVELS: Final[dict[str, int]] = {
    Outcome.TRIGGERED: messages.SUCCESS,
    Outcome.UNKNOWN: messages.WARNING,
}

Url = Callable[[str], str]


class PersonPages(ModelAdmin):
    """What ``AccountAdmin`` and ``CognitoResetMixin`` share."""

    def may_view_user(self, request: HttpRequest, user: Any) -> bool:
        """Check whether the staff member may view a user of the site."""
        raise NotImplementedError

    def get_cognito_username(self, request: HttpRequest, obj: Any) -> str:
        """Return the username, or another identifier, by which Cognito knows ``obj``."""
        return conf.cognito_username(obj)

    def staff_reader(self, request: HttpRequest) -> Staff:
        """Return what reads the staff once, and only if it is called."""
        return staff_reader(partial(self.get_cognito_username, request))

    def check_account(
        self, request: HttpRequest, account: PoolAccount, *permissions: str
    ) -> PoolAccount:
        """
        Return the account. Raise UserNotFound if the person is or may be a user of the site, and the staff member
        may not view that user or lacks one of these permissions for that user.
        """

        def may(user: Any) -> bool:
            return all(has_permission(request.user, name, user) for name in permissions)

        if not is_visible(account, partial(self.may_view_user, request), may):
            denied(self, request)
            raise errors.UserNotFound
        return account

    def panel_context(
        self,
        request: HttpRequest,
        find: Callable[[], PoolAccount],
        *,
        url: Url,
        staff: Staff | None = None,
    ) -> dict[str, Any]:
        """Return the context of ``panel.html``. ``url`` returns the URL of an action's page."""
        try:
            with answer_within(PATIENCE_SECONDS):
                account = self.check_account(request, find(), LOOK_UP)
                shown = panel(
                    account,
                    actor=request.user,
                    may=lambda action: _may(request, account, action.permission),
                    staff=staff,
                )
        except errors.ResetError as error:
            log_not_shown(request.user, error)
            return {"error": reason_of(error)}
        offers = [offer for offer in shown.actions if offer.is_needed]
        return {
            "shown": shown,
            "offers": [(offer, url(offer.action.name.value)) for offer in offers],
            "history_url": self._history_url(request, account),
            "last": last_words(shown),
        }

    def action_response(
        self,
        request: HttpRequest,
        action: Action,
        *,
        find: Callable[[], PoolAccount],
        act: Callable[..., Done],
        way_back: str,
        original: Any,
        staff: Staff | None = None,
    ) -> HttpResponse:
        """Show what an action would do to the person (GET), or do it (POST), and tell what became of it."""
        if request.method == "POST":
            done = act(notify=bool(request.POST.get("notify")))
            self.log_done(request, original, done)
            self.tell(request, done)
            return redirect(way_back)
        context = {
            **self.admin_site.each_context(request),
            "title": action.title,
            "action": action,
            "opts": self.opts,
            "way_back": way_back,
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        try:
            account = self.check_account(request, find(), action.permission)
            shown = panel(account, actor=request.user, may=lambda each: each is action, staff=staff)
        except errors.ResetError as error:
            log_not_shown(request.user, error)
            context |= {"refusal": reason_of(error, action), "original": original}
        else:
            is_reset = action.name == ResetEvent.Action.RESET
            context |= {
                "original": account.name,
                "subtitle": account.name,
                "shown": shown if _may(request, account, LOOK_UP) else None,
                "last": last_words(shown),
                "refusal": shown.actions[0].refusal,
                "can_notify": is_reset and can_notify(account, request),
            }
        return TemplateResponse(request, "admin/cognito_reset/action.html", context)

    def log_done(self, request: HttpRequest, obj: Any, done: Done) -> None:
        add_log_entry(self, request, obj, done_entry(done))

    def tell(self, request: HttpRequest, done: Done) -> None:
        level = LEVELS.get(done.outcome, messages.ERROR)
        is_complete = not done.limits_stand and done.notified is not False
        self.message_user(
            request, as_message(done.text), level if is_complete else messages.WARNING
        )

    def _history_url(self, request: HttpRequest, account: PoolAccount) -> str:
        """Return the URL of the person's events in the audit, or "" if the staff member may not read it."""
        site = self.admin_site
        if not site.is_registered(ResetEvent):
            return ""
        if not site.get_model_admin(ResetEvent).has_view_permission(request):
            return ""
        url = reverse("admin:cognito_reset_resetevent_changelist", current_app=site.name)
        query = {HASHES: ",".join(account.keys)}
        if account.user:
            query[PersonFilter.parameter_name] = account.user.pk
        return f"{url}?{urlencode(query)}"


def last_words(shown: Panel) -> str:
    """Return what happened to the person last, or "" if nothing did."""
    event = shown.last_event
    if event is None:
        return ""
    reason = error_words(event.error_code, event.outcome, event.action)
    return f"{step_words(event)}. {reason}" if reason else step_words(event)


def may_view(model_admin: ModelAdmin, request: HttpRequest, user: Any) -> bool:
    """Check whether the staff member may view a user there, of those whom the ``ModelAdmin`` lists."""
    found = model_admin.get_object(request, str(user.pk))
    return found is not None and model_admin.has_view_permission(request, found)


def _may(request: HttpRequest, account: PoolAccount, permission: str) -> bool:
    return is_permitted(account, partial(has_permission, request.user, permission))
