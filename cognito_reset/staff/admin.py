"""
``CognitoResetMixin``: resets that staff send from the site's own ``UserAdmin``.

The action of the list and the tool of the change page send nothing. Both lead to a page that looks each
person up and shows what a reset would do. The POST of that page calls Cognito for one person after
another, and records each outcome before it goes on. It runs outside of transactions, because a rollback
would take back the record of a reset that was sent.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import get_service
from cognito_reset.cognito.users import PoolUser
from cognito_reset.conf import DEFAULT_POOL, CognitoResetMisconfigured, conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets import ratelimits
from cognito_reset.resets.identifiers import identifier_keys
from cognito_reset.resets.site_code import run_site_code
from cognito_reset.resets.stores import outside_transactions
from cognito_reset.signals import password_reset_failed, password_reset_triggered
from cognito_reset.staff.accounts import (
    SamePerson,
    StaffTarget,
    is_staff_member,
    is_staff_person,
    may_reset_staff,
    staff_identifiers,
)
from cognito_reset.staff.audit import ON_CHANGE_FORM, clear_limits, denied, log_change

if TYPE_CHECKING:
    from django.db.models import QuerySet

    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

logger = logging.getLogger(__name__)

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
# The messages of these errors are for the public, and don't tell staff what to do.
REASONS: Final[dict[type[errors.ResetError], Any]] = {
    errors.OutcomeUnknown: gettext_lazy(
        "Cognito's answer is missing. Ask whether a code has arrived before you send another reset."
    ),
    errors.Misconfigured: gettext_lazy(
        "Cognito did not accept this site's set-up. Have its AWS credentials, their permissions "
        "and the COGNITO_RESET setting checked."
    ),
    errors.Unavailable: gettext_lazy("Cognito could not be reached. Try again in a few minutes."),
}
CHECK_FIRST: Final = gettext_lazy("Have this checked first: %(hint)s.")
SENT: Final = ngettext_lazy(
    "A password reset was sent to %(count)d person: %(names)s.",
    "A password reset was sent to %(count)d people: %(names)s.",
    "count",
)
MAYBE_SENT: Final = ngettext_lazy(
    "A password reset may have been sent to %(count)d person: %(names)s. %(reason)s",
    "A password reset may have been sent to %(count)d people: %(names)s. %(reason)s",
    "count",
)
NOT_SENT: Final = ngettext_lazy(
    "No password reset was sent to %(count)d person: %(names)s. %(reason)s",
    "No password reset was sent to %(count)d people: %(names)s. %(reason)s",
    "count",
)
TOO_OFTEN: Final = ngettext_lazy(
    "A reset was sent to this person, or tried, a short time ago. Wait for %(minutes)d minute.",
    "A reset was sent to this person, or tried, a short time ago. Wait for %(minutes)d minutes.",
    "minutes",
)
NOT_CLEARED: Final = gettext_lazy(
    "This site's limits could not be cleared for %(names)s, who may have to wait before they can "
    "enter the code."
)


@dataclass
class Target:
    """One selected user: who it is at Cognito, and the outcome so far."""

    user: Any
    pool: str = ""
    username: str = ""
    found: PoolUser | None = None
    error: errors.ResetError | None = None
    request_id: str = ""
    limits_stand: bool = False

    @property
    def outcome(self) -> str:
        return self.error.outcome if self.error else Outcome.TRIGGERED if self.found else ""

    @property
    def reason(self) -> str:
        """Why no reset is sent to this person, or "" if one can be sent."""
        if self.error is None:
            late = _("Cognito failed or was slow before it was their turn. Select them again.")
            return "" if self.found else late
        if isinstance(self.error, errors.Throttled):
            return TOO_OFTEN % {"minutes": math.ceil((self.error.retry_after or 0) / 60)}
        own = (text for kind, text in REASONS.items() if isinstance(self.error, kind))
        text = str(next(own, self.error.message))
        if self.error.hint:
            text = f"{text} {CHECK_FIRST % {'hint': self.error.hint.replace(',', ', ')}}"
        return f"{text} ({self.error.aws_code})" if self.error.aws_code else text


class CognitoResetMixin(ModelAdmin):
    """
    Let staff send password resets: ``class UserAdmin(CognitoResetMixin, BaseUserAdmin)``.

    Staff need the permission ``cognito_reset.trigger_reset``, and must be allowed to change the user.
    """

    cognito_pool: ClassVar[str] = DEFAULT_POOL

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.actions is not None:  # None switches all actions off
            self.actions = [*self.actions, "send_cognito_reset"]

    def get_cognito_pool(self, request: HttpRequest, obj: Any) -> str:
        """Return the alias of the pool that ``obj`` is in."""
        return self.cognito_pool

    def get_cognito_username(self, request: HttpRequest, obj: Any) -> str:
        """Return the username, or another identifier, by which Cognito knows ``obj``."""
        return conf.cognito_username(obj)

    def has_cognito_reset_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        permitted = request.user.has_perm("cognito_reset.trigger_reset")
        return permitted and self.has_change_permission(request, obj)

    @admin.action(None, permissions=["cognito_reset"], **ACTION)
    def send_cognito_reset(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        pks = list(queryset.values_list("pk", flat=True)[: MAX_TARGETS + 1])
        if len(pks) > MAX_TARGETS:
            return self._wrong_number(request, queryset.count())
        return redirect(self._confirmation_url(request, pks))

    def get_urls(self) -> list[URLPattern]:
        view = outside_transactions(self.admin_site.admin_view(self.cognito_reset_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_cognito_reset"
        return [path("cognito-reset/", view, name=name), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        response = super().render_change_form(request, context, *args, **kwargs)
        obj = context["original"]
        permitted = obj is not None and self.has_cognito_reset_permission(request, obj)
        if permitted and not ON_CHANGE_FORM and isinstance(response, TemplateResponse):
            # Our template extends whichever template the site has for this page.
            response.context_data = {
                **(response.context_data or {}),
                "cognito_reset_parent": response.resolve_template(response.template_name),
                "cognito_reset_url": self._confirmation_url(request, [obj.pk]),
            }
            response.template_name = "admin/cognito_reset/user_change_form.html"
        return response

    def cognito_reset_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a reset would do to the selected people (GET), or send it to them (POST)."""
        if not self.has_cognito_reset_permission(request):
            raise denied(self, request)
        is_post = request.method == "POST"
        pks = (request.POST if is_post else request.GET).getlist(ACTION_CHECKBOX_NAME)
        if not 1 <= len(pks) <= MAX_TARGETS:
            return self._wrong_number(request, len(pks))
        users = [user for pk in pks if (user := self.get_object(request, pk))]
        # Answer in the same way for a user that doesn't exist and for one who may not be changed.
        permitted = all(self.has_cognito_reset_permission(request, user) for user in users)
        if len(users) != len(pks) or not permitted:
            raise denied(self, request)
        targets = [Target(user) for user in {user.pk: user for user in users}.values()]
        self._run(request, targets, send=is_post)
        if is_post:
            self._report(request, targets)
            return redirect(self._way_back(request, targets))
        only = targets[0].user if len(targets) == 1 else None
        context = {
            **self.admin_site.each_context(request),
            "title": TITLE,
            "subtitle": str(only) if only else None,
            "opts": self.opts,
            "original": only,
            "accepted": [target for target in targets if not target.reason],
            "refused": [target for target in targets if target.reason],
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "way_back": self._way_back(request, targets),
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        return TemplateResponse(request, "admin/cognito_reset/confirmation.html", context)

    def _run(self, request: HttpRequest, targets: Iterable[Target], *, send: bool) -> None:
        deadline = time.monotonic() + MAX_SECONDS
        people: set[tuple[str, str]] = set()
        # Read the staff once, and only if somebody is looked up.
        staff = cache(partial(staff_identifiers, partial(self.get_cognito_username, request)))
        for target in targets:
            self._attempt(request, target, people, staff, send=send)
            if send:
                self._record(request, target)
            if send and target.found and not target.error:
                self._clear_limits(target, target.found)
            # A fault that isn't about this person would affect the next one as well.
            if target.outcome in (Outcome.FAILED, Outcome.UNKNOWN) or time.monotonic() > deadline:
                break

    def _attempt(
        self,
        request: HttpRequest,
        target: Target,
        people: set[tuple[str, str]],
        staff: Callable[[], frozenset[str]],
        *,
        send: bool,
    ) -> None:
        user = target.user
        reservation = None
        try:
            target.pool = self.get_cognito_pool(request, user)
            target.username = run_site_code(
                "COGNITO_USERNAME", partial(self.get_cognito_username, request, user)
            )
            is_limited = not may_reset_staff(request.user)
            if is_limited and is_staff_member(user):
                raise StaffTarget
            if not target.username:
                raise errors.UserNotFound
            service = get_service(target.pool)
            found = service.find_user(username=target.username)
            if is_limited and is_staff_person(found, staff()):
                raise StaffTarget
            target.found = found
            if target.found.refusal:
                raise target.found.refusal
            person = (target.pool, target.found.username)
            if person in people:
                raise SamePerson
            people.add(person)
            if send:
                own = partial(conf.client_metadata, request)
                metadata = run_site_code("CLIENT_METADATA", own)
                username = target.found.username
                reservation = self._reserve(target.pool, username)
                target.request_id = service.admin_reset(username=username, client_metadata=metadata)
        except errors.ResetError as error:
            target.error, target.request_id = error, error.request_id
            if reservation:
                reservation.settle(error)
        except CognitoResetMisconfigured as error:
            logger.critical("cognito_reset.misconfigured: %s", error)
            target.error = errors.Misconfigured(aws_code=type(error).__name__)

    def _record(self, request: HttpRequest, target: Target) -> None:
        error_code = target.error.code if target.error else ""
        event: dict[str, Any] = {
            "request": request,
            "interface": ResetEvent.Interface.ADMIN,
            "pool": target.pool,
            "username": target.found.username if target.found else target.username,
            "outcome": target.outcome,
            "error_code": error_code,
            "aws_request_id": target.request_id,
            "user": target.user,
            "actor": request.user,
        }
        if target.error:
            password_reset_failed.send_robust(type(self), step="staff", is_first=True, **event)
        else:
            password_reset_triggered.send_robust(type(self), **event)
        # The admin translates a message of this form.
        added = {
            "name": gettext_noop("password reset"),
            "object": f"{target.outcome} {error_code}".rstrip(),
            "aws_request_id": target.request_id,
        }
        log_change(self, request, target.user, {"added": added})

    def _reserve(self, pool: str, username: str) -> ratelimits.Reservation | None:
        """Raise Throttled for a double click. If the limits can't be reached, staff can still help."""
        try:
            return ratelimits.reserve_for_staff(pool=pool, username=username)
        except errors.Unavailable:
            return None

    def _clear_limits(self, target: Target, found: PoolUser) -> None:
        """Let the person try again, by each name that the site knows them by."""
        email = getattr(target.user, target.user.get_email_field_name(), "")
        names = {found.username, target.username, email or ""} - {""}
        keys = [key for name in names for key in identifier_keys(target.pool, name)]
        target.limits_stand = not clear_limits(keys)

    def _report(self, request: HttpRequest, targets: Sequence[Target]) -> None:
        groups: dict[tuple[str, str], list[str]] = {}
        for target in targets:
            groups.setdefault((target.outcome, target.reason), []).append(str(target.user))
        kinds: dict[str, tuple[int, Any]] = {
            Outcome.TRIGGERED: (messages.SUCCESS, SENT),
            Outcome.UNKNOWN: (messages.WARNING, MAYBE_SENT),
        }
        for (outcome, reason), names in groups.items():
            level, text = kinds.get(outcome, (messages.ERROR, NOT_SENT))
            values = {"names": get_text_list(names, _("and")), "reason": reason}
            self.message_user(request, text % {"count": len(names), **values}, level)
        if held := [str(target.user) for target in targets if target.limits_stand]:
            text = NOT_CLEARED % {"names": get_text_list(held, _("and"))}
            self.message_user(request, text, messages.WARNING)

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

    def _confirmation_url(self, request: HttpRequest, pks: Sequence[Any]) -> str:
        query = urlencode({ACTION_CHECKBOX_NAME: pks}, doseq=True)
        filters = self.get_preserved_filters(request)
        return f"{self._url('cognito_reset')}?{query}{'&' if filters else ''}{filters}"

    def _way_back(self, request: HttpRequest, targets: Sequence[Target]) -> str:
        one = len(targets) == 1
        url = self._url("change", quote(targets[0].user.pk)) if one else self._url("changelist")
        filters = self.get_preserved_filters(request)
        return add_preserved_filters({"preserved_filters": filters, "opts": self.opts}, url)
