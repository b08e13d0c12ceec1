"""
``CognitoResetMixin``: what staff do for people, from the site's own ``UserAdmin``.

The change page shows the panel of the person. Each of its actions leads to a page that tells what it does to the
person; the POST of that page does it. The action of the list and the tool of the change page lead to a page that
looks each selected person up and shows what a reset would do. The POST of that page calls Cognito for one person
after another, and records each outcome before it goes on. These pages run outside of
transactions, because a rollback would take back the record of what was sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.conf import DEFAULT_POOL
from cognito_reset.models import ResetEvent
from cognito_reset.resets.stores import outside_transactions
from cognito_reset.staff.accounts import (
    LOOK_UP,
    PoolAccount,
    SamePerson,
    Staff,
    StaffTarget,
    has_permission,
    is_protected,
    look_up_user,
    site_value,
)
from cognito_reset.staff.actions import ACTIONS, Action, action_or_404, hindrance
from cognito_reset.staff.history import HistoryMixin
from cognito_reset.staff.model_admin import ON_CHANGE_FORM, as_message, denied
from cognito_reset.staff.perform import Done, perform_for_user, record_denied, text_of_url
from cognito_reset.staff.person_pages import PersonPages, may_view
from cognito_reset.staff.run_starts import offer_selected, offers_selected, selected_response
from cognito_reset.staff.targets import Target, report

if TYPE_CHECKING:
    from django.db.models import QuerySet

MAX_TARGETS: Final = 20
# Start no further reset after this many seconds, so that the answer comes before the web server's
# timeout even if Cognito is slow.
MAX_SECONDS: Final = 10.0

TITLE: Final = gettext_lazy("Send a password reset")
MANY: Final = gettext_lazy("Send a password reset to selected %(verbose_name_plural)s")
ACTION: Final[dict[str, Any]] = (
    {"description": TITLE, "description_plural": MANY, "location": [*admin.ActionLocation]}
    if ON_CHANGE_FORM
    else {"description": MANY}
)

Outcome = ResetEvent.Outcome
RESET: Final = ACTIONS[ResetEvent.Action.RESET]


class CognitoResetMixin(HistoryMixin, PersonPages):
    """
    Let staff help people with their passwords: ``class UserAdmin(CognitoResetMixin, BaseUserAdmin)``.

    Staff need the permission of each action, such as ``cognito_reset.trigger_reset``, and must be allowed to view
    the user. They need no permission to change the user: with Django's own UserAdmin, anybody who may change users
    can make themselves a superuser, so support staff shouldn't have it.
    """

    cognito_pool: ClassVar[str] = DEFAULT_POOL

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.actions is not None:  # None switches all actions off
            self.actions = [*self.actions, "send_cognito_reset"]

    def get_cognito_pool(self, request: HttpRequest, obj: Any) -> str:
        """Return the alias of the pool that ``obj`` is in."""
        return self.cognito_pool

    def has_cognito_reset_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Check whether the staff member may send resets, or may send one to ``obj``."""
        return self._permitted(request, RESET.permission, obj)

    def may_view_user(self, request: HttpRequest, user: Any) -> bool:
        return may_view(self, request, user)

    @admin.action(None, permissions=["cognito_reset"], **ACTION)
    def send_cognito_reset(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        pks = list(queryset.values_list("pk", flat=True)[: MAX_TARGETS + 1])
        if len(pks) > MAX_TARGETS:
            return self.start_bulk(request, queryset)
        return redirect(self._confirmation_url(request, pks))

    def start_bulk(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Answer the list's action for more people than fit on its page."""
        if not offers_selected(self, request):
            return self._wrong_number(request, queryset.count())
        return offer_selected(self, request, queryset, **self._bulk_urls(request))

    def cognito_bulk_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a reset of many selected people would do, or start it."""
        return selected_response(self, request, **self._bulk_urls(request))

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_cognito"
        views: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
            f"{name}_reset": ("cognito-reset/", self.cognito_reset_view),
            f"{name}_bulk": ("cognito-reset-many/", self.cognito_bulk_view),
            f"{name}_action": ("<path:object_id>/cognito/<str:name>/", self.cognito_action_view),
        }
        return [
            path(route, outside_transactions(self.admin_site.admin_view(view)), name=name)
            for name, (route, view) in views.items()
        ] + super().get_urls()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the panel and, before Django 6.1, the tool."""
        response = super().render_change_form(request, context, *args, **kwargs)
        obj = context["original"]
        if obj is None or not isinstance(response, TemplateResponse):
            return response
        added: dict[str, Any] = {}
        # A form with errors is shown again within a transaction, where Cognito must not be called.
        if request.method == "GET" and self._permitted(request, LOOK_UP, obj):
            added["panel"] = self._panel(request, obj)
        if _has_reset(added.get("panel", {})):
            # The panel has the button, or says why a reset doesn't fit. A second way would be offered to everybody.
            added["action_form"] = _without_reset(context.get("action_form"))
        elif not ON_CHANGE_FORM and self.has_cognito_reset_permission(request, obj):
            added["cognito_reset_url"] = self._confirmation_url(request, [obj.pk])
        if added:
            # Our template extends whichever template the site has for this page.
            parent = response.resolve_template(response.template_name)
            data = response.context_data or {}
            response.context_data = {**data, **added, "cognito_reset_parent": parent}
            response.template_name = "admin/cognito_reset/user_change_form.html"
        return response

    def cognito_action_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Show what an action would do to a user (GET), or do it (POST)."""
        action = action_or_404(name)
        obj = self.get_object(request, unquote(object_id))
        permitted = all(self._permitted(request, action.permission, each) for each in (None, obj))
        # Answer in the same way for a user that doesn't exist and for one who may not be viewed.
        if obj is None or not permitted:
            raise self._denied(request, action, [unquote(object_id)])
        staff = self.staff_reader(request)
        return self.action_response(
            request,
            action,
            find=partial(self._find, request, obj),
            act=partial(self._act, request, obj, action, staff=staff),
            way_back=self._way_back(request, [obj]),
            original=obj,
            staff=staff,
        )

    def cognito_reset_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a reset would do to the selected people (GET), or send it to them (POST)."""
        is_post = request.method == "POST"
        pks = (request.POST if is_post else request.GET).getlist(ACTION_CHECKBOX_NAME)
        if not self.has_cognito_reset_permission(request):
            raise self._denied(request, RESET, pks[:MAX_TARGETS])
        if not 1 <= len(pks) <= MAX_TARGETS:
            return self._wrong_number(request, len(pks))
        found = {pk: self.get_object(request, pk) for pk in pks}
        users = {
            user.pk: user
            for user in found.values()
            if user and self.has_cognito_reset_permission(request, user)
        }
        # Answer in the same way for a user that doesn't exist and for one who may not be viewed.
        refused = [pk for pk, user in found.items() if user is None or user.pk not in users]
        if refused:
            raise self._denied(request, RESET, refused)
        targets = [Target(user) for user in users.values()]
        self._run(request, targets, send=is_post)
        way_back = self._way_back(request, [target.user for target in targets])
        if is_post:
            self._report(request, targets)
            return redirect(way_back)
        only = targets[0].user if len(targets) == 1 else None
        context = {
            **self.admin_site.each_context(request),
            "title": TITLE,
            "subtitle": str(only) if only else None,
            "opts": self.opts,
            "original": only,
            "accepted": [target for target in targets if not target.reason],
            "refused": [target for target in targets if target.reason],
            "consequences": RESET.consequences,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "way_back": way_back,
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        return TemplateResponse(request, "admin/cognito_reset/confirmation.html", context)

    def _permitted(self, request: HttpRequest, permission: str, obj: Any = None) -> bool:
        permitted = has_permission(request.user, permission, obj)
        return permitted and self.has_view_permission(request, obj)

    def _denied(self, request: HttpRequest, action: Action, pks: Iterable[str]) -> PermissionDenied:
        """
        Record that somebody tried an action for these users without the permission, and return the exception to raise.
        The rows are the same for a missing user and for one who may not be viewed. A look is only logged.
        """
        for pk in dict.fromkeys(pks if request.method == "POST" else ()):
            found = self.get_object(request, pk)
            user = found if found and self.has_view_permission(request, found) else None
            record_denied(
                action,
                pool=partial(self.get_cognito_pool, request, user)
                if user
                else lambda: DEFAULT_POOL,
                username=partial(self._username, request, user)
                if user
                else partial(text_of_url, pk),
                user=user,
                actor=request.user,
                interface=ResetEvent.Interface.ADMIN,
                request=request,
            )
        return denied(self, request)

    def _panel(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        filters = self.get_preserved_filters(request)

        def url(name: str) -> str:
            return self._url("cognito_action", quote(obj.pk), name) + (filters and f"?{filters}")

        find, staff = partial(self._find, request, obj), self.staff_reader(request)
        return self.panel_context(request, find, url=url, staff=staff)

    def _find(self, request: HttpRequest, obj: Any) -> PoolAccount:
        """Return the person in the pool that a user is. Raise ``ResetError``."""
        username = self._username(request, obj)
        return look_up_user(obj, pool=self.get_cognito_pool(request, obj), username=username)

    def _username(self, request: HttpRequest, obj: Any) -> str:
        return site_value("COGNITO_USERNAME", partial(self.get_cognito_username, request, obj))

    def _act(
        self,
        request: HttpRequest,
        obj: Any,
        action: Action,
        *,
        check: Callable[[PoolAccount], object] = lambda account: None,
        **more: Any,
    ) -> Done:
        """Do something for a user. A look-up that fails is recorded, too. ``check`` may raise ``ResetError``."""

        def check_both(account: PoolAccount) -> None:
            check(account)
            self.check_account(request, account, action.permission)

        return perform_for_user(
            action,
            obj,
            pool=self.get_cognito_pool(request, obj),
            username=partial(self._username, request, obj),
            check=check_both,
            actor=request.user,
            interface=ResetEvent.Interface.ADMIN,
            request=request,
            **more,
        )

    def _run(self, request: HttpRequest, targets: Iterable[Target], *, send: bool) -> None:
        deadline = time.monotonic() + MAX_SECONDS
        people: set[tuple[str, str]] = set()
        staff = self.staff_reader(request)

        def check(account: PoolAccount) -> None:
            if (account.pool, account.person.username) in people:
                raise SamePerson

        for target in targets:
            if send:
                done = self._act(request, target.user, RESET, check=check, staff=staff)
                target.done, target.account, target.error = done, done.account, done.error
                self.log_done(request, target.user, done)
            else:
                self._look(request, target, check, staff)
            # Only those who can be reset count as the same person.
            if target.account and not target.error:
                people.add((target.account.pool, target.account.person.username))
            # A fault that isn't about this person would affect the next one as well.
            if target.outcome in (Outcome.FAILED, Outcome.UNKNOWN) or time.monotonic() > deadline:
                break

    def _look(
        self,
        request: HttpRequest,
        target: Target,
        check: Callable[[PoolAccount], object],
        staff: Staff,
    ) -> None:
        """Look a selected user up for the page, which sends nothing."""
        actor = request.user
        try:
            target.pool = self.get_cognito_pool(request, target.user)
            target.username = self._username(request, target.user)
            account = look_up_user(target.user, pool=target.pool, username=target.username)
            if is_protected(account, actor=actor, staff=staff):
                raise StaffTarget
            target.account = self.check_account(request, account, RESET.permission)
            if error := hindrance(RESET, account, actor=actor, staff=staff):
                raise error
            check(account)
        except errors.ResetError as error:
            target.error = error

    def _report(self, request: HttpRequest, targets: Sequence[Target]) -> None:
        if len(targets) == 1 and targets[0].done:
            return self.tell(request, targets[0].done)
        for text, level in report(targets):
            self.message_user(request, as_message(text), level)
        return None

    def _wrong_number(self, request: HttpRequest, count: int) -> HttpResponse:
        text = _(
            "A password reset can be sent to 1 to %(most)d people at once, and %(count)d were "
            "selected. Nothing was sent."
        )
        self.message_user(request, text % {"most": MAX_TARGETS, "count": count}, messages.ERROR)
        return redirect(self._way_back(request, []))

    def _url(self, name: str, *args: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def _bulk_urls(self, request: HttpRequest) -> dict[str, str]:
        filters = self.get_preserved_filters(request)
        url = self._url("cognito_bulk") + (filters and f"?{filters}")
        return {"url": url, "way_back": self._way_back(request, [])}

    def _confirmation_url(self, request: HttpRequest, pks: Sequence[Any]) -> str:
        query = urlencode({ACTION_CHECKBOX_NAME: pks}, doseq=True)
        filters = self.get_preserved_filters(request)
        return f"{self._url('cognito_reset')}?{query}{'&' if filters else ''}{filters}"

    def _way_back(self, request: HttpRequest, users: Sequence[Any]) -> str:
        one = len(users) == 1
        url = self._url("change", quote(users[0].pk)) if one else self._url("changelist")
        filters = self.get_preserved_filters(request)
        return add_preserved_filters({"preserved_filters": filters, "opts": self.opts}, url)


def _has_reset(panel: dict[str, Any]) -> bool:
    """Check whether a panel has the button of a reset, or the reason why there is none."""
    shown = panel.get("shown")
    return shown is not None and any(offer.action is RESET for offer in shown.actions)


def _without_reset(action_form: Any) -> Any:
    """Return the form of Django's actions on the change page without ours, or None if no other action is left."""
    if action_form is None:
        return None
    field = action_form.fields["action"]
    field.choices = [choice for choice in field.choices if choice[0] != "send_cognito_reset"]
    return action_form if any(value for value, _label in field.choices) else None
