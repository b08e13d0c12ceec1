"""
``ResetEventAdmin``: the audit in the admin. It shows the events, the history of one identifier and a
chart, and lets staff clear the limits of a person who has reached one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Case, Count, Max, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from cognito_reset.cognito import errors
from cognito_reset.conf import DEFAULT_POOL, conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets.stores import outside_transactions
from cognito_reset.staff.accounts import (
    LONGEST_NAME,
    NotPermitted,
    StaffTarget,
    may_see,
    may_see_everybody,
    settings_as_errors,
    spares_staff,
    staff_identifiers,
)
from cognito_reset.staff.actions import ACTIONS, reason_of
from cognito_reset.staff.audit_names import history_of, keys_of_viewable, name_keys, user_keys
from cognito_reset.staff.connection import ConnectionMixin
from cognito_reset.staff.entries import action_entry
from cognito_reset.staff.history import HistoryMixin, add_log_entry, error_words, step_words
from cognito_reset.staff.model_admin import ON_CHANGE_FORM, ModelAdmin, denied
from cognito_reset.staff.perform import clear_history

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.utils.safestring import SafeString

CHART_DAYS: Final = 28
CHART_HEIGHT: Final = 24
HASHES: Final = "identifier_hash__in"  # the query parameter of the admin's list filter

Outcome = ResetEvent.Outcome
Action = ResetEvent.Action


class PoolFilter(admin.SimpleListFilter):
    """Offer the pools of the settings. To collect those of the table would read all of its rows."""

    title = gettext_lazy("user pool")
    parameter_name = "pool"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        aliases = conf.pool_aliases()
        return [(alias, alias) for alias in aliases] if len(aliases) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pool=self.value()) if self.value() else queryset


class PersonFilter(admin.SimpleListFilter):
    """
    Keep the primary key of the user whose history is shown in the list's URLs, for its title. It filters nothing,
    and offers no choices.
    """

    title = gettext_lazy("user")
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return []


@admin.register(ResetEvent)
class ResetEventAdmin(ConnectionMixin, HistoryMixin, ModelAdmin):
    """Read-only admin for the audit, with a look-up by identifier and a way to clear its limits."""

    list_filter = ["outcome", "interface", PoolFilter, "created_at", PersonFilter]
    list_select_related = ["actor", "target"]
    ordering = ["-created_at"]
    sortable_by = ["created_at"]  # the only column with an index
    show_full_result_count = False
    readonly_fields = ["created_at", "what_happened", "identifier"]
    fields = [
        *("created_at", "what_happened", "interface", "pool", "error_code"),
        *("actor", "target", "network", "aws_request_id", "identifier"),
    ]

    class Media:
        css = {"all": ["cognito_reset/admin.css"]}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission

    def has_clear_limits_permission(self, request: HttpRequest) -> bool:
        """
        Check the permission for it, and the right to view users: all of them, because the hash of an identifier
        doesn't tell whose it is.
        """
        permitted = request.user.has_perm("cognito_reset.clear_limits")
        return permitted and self.has_view_permission(request) and may_see_everybody(request.user)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns. Only the column of the user depends on what the staff member may view."""

        @admin.display(description=pgettext_lazy("reset event", "user"))
        def person(event: ResetEvent) -> SafeString:
            link, user = self.identifier(event), event.target
            is_shown = user and may_see(request.user, user)
            return format_html("{}<br>{}", user, link) if is_shown else link

        return ["created_at", "what_happened", "interface", person, "actor", "network"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Leave the user out, or that there is none, if the staff member may not view users."""
        user = obj and obj.target
        is_shown = may_see(request.user, user) if user else may_see_everybody(request.user)
        return [name for name in self.fields if is_shown or name != "target"]

    @admin.display(description=pgettext_lazy("reset event", "outcome"))
    def what_happened(self, event: ResetEvent) -> SafeString:
        reason = error_words(event.error_code, event.outcome, event.action)
        return format_html('{}<div class="help">{}</div>', step_words(event), reason)

    @admin.display(description=gettext_lazy("identifier"))
    def identifier(self, event: ResetEvent) -> SafeString:
        url = self._url("changelist", [event.identifier_hash])
        return format_html('<a href="{}">{}…</a>', url, event.identifier_hash[:8])

    def get_urls(self) -> list[URLPattern]:
        views = {"look-up": self.look_up_view, "clear-limits": self.clear_limits_view}
        return [
            path(
                f"{name}/",
                outside_transactions(self.admin_site.admin_view(view)),
                name=f"cognito_reset_resetevent_{name.replace('-', '_')}",
            )
            for name, view in views.items()
        ] + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise denied(self, request)
        hashes, user = self._hashes(request), self._person(request)
        known = self._known(request, hashes, user) if hashes else []
        if not set(known) <= set(hashes):
            # Since the look-up, something has happened to another one of the user's names.
            query = request.GET.copy()
            query[HASHES] = ",".join(known)
            return redirect(f"{request.path}?{query.urlencode()}")
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            permitted = known and self.has_clear_limits_permission(request)
            refusal = self._refusal(request, known) if permitted else None
            name = _name(hashes, user) if hashes else ""
            if hashes:
                response.context_data["title"] = _("History of %(name)s") % {"name": name}
            response.context_data |= {
                "is_history": bool(hashes),
                "name": name,
                "clear_limits_url": self._url("clear_limits", known, user) if permitted else None,
                "refusal": reason_of(refusal) if refusal else "",
                "look_up_url": self._url("look_up"),
                "connection_url": self.connection_url(request),
                "chart": chart(response.context_data["cl"].queryset),
                "chart_days": CHART_DAYS,
            }
        return response

    @method_decorator(sensitive_post_parameters("identifier"))
    @sensitive_variables("identifier")
    def look_up_view(self, request: HttpRequest) -> HttpResponse:
        """
        Redirect to the history of an identifier, or of the user who has it, by hashes: the URL must not contain it.
        """
        if not self.has_view_permission(request):
            raise denied(self, request)
        identifier = request.POST.get("identifier", "").strip()[:LONGEST_NAME]
        if not identifier:
            return redirect(self._url("changelist"))
        hashes, user = history_of(request.user, identifier)
        # Hashes without events lead to an empty list, which says so.
        known = self._known(request, hashes, user) or sorted(hashes)
        return redirect(self._url("changelist", known, user))

    def clear_limits_view(self, request: HttpRequest) -> HttpResponse:
        """
        Show what clearing the limits of an identifier, or of all names of a user, does (GET), or clear them (POST).
        """
        if not self.has_clear_limits_permission(request):
            if request.method == "POST":
                self._record_denied(request)
            raise denied(self, request)
        user = self._person(request)
        by_pool = self._by_pool(request, self._hashes(request), user)
        hashes = _flat(by_pool)
        if not hashes:
            text = _("There are no events for this identifier.")
            self.message_user(request, text, messages.WARNING)
            return redirect(self._url("changelist"))
        refusal = self._refusal(request, hashes)
        if isinstance(refusal, StaffTarget):
            denied(self, request)
        if request.method == "POST":
            self._clear_limits(request, by_pool, user, refusal)
        elif refusal:
            self.message_user(request, reason_of(refusal), messages.ERROR)
        way_back = self._url("changelist", hashes, user)
        if request.method == "POST" or refusal:
            return redirect(way_back)
        name = _name(hashes, user)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Let %(name)s try again") % {"name": name},
            "name": name,
            "consequences": ACTIONS[Action.CLEAR_LIMITS].consequences if user else (),
            "opts": self.opts,
            "way_back": way_back,
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        return TemplateResponse(request, "admin/cognito_reset/clear_limits.html", context)

    def _record_denied(self, request: HttpRequest) -> None:
        """
        Record that somebody tried to clear limits without the permission. No event is read, so neither the pool nor
        whether there are events is known.
        """
        if hashes := self._hashes(request):
            clear_history(
                {DEFAULT_POOL: hashes[:1]},
                refusal=NotPermitted(),
                user=None,
                actor=request.user,
                request=request,
            )

    def _clear_limits(
        self,
        request: HttpRequest,
        by_pool: dict[str, list[str]],
        user: Any,
        refusal: errors.ResetError | None,
    ) -> None:
        hashes = _flat(by_pool)
        event = self.get_queryset(request).filter(identifier_hash__in=hashes).latest("created_at")
        error = clear_history(
            by_pool,
            refusal=refusal,
            user=user,
            actor=request.user,
            request=request,
        )
        what = {
            "action": Action.CLEAR_LIMITS,
            "outcome": error.outcome if error else Outcome.TRIGGERED,
            "error_code": error.code if error else "",
        }
        add_log_entry(self, request, event, action_entry(**what, hashes=", ".join(hashes)))
        if error:
            text = reason_of(refusal) if refusal else reason_of(error, ACTIONS[Action.CLEAR_LIMITS])
            return self.message_user(request, text, messages.ERROR)
        if user:
            text = str(ACTIONS[Action.CLEAR_LIMITS].consequences[0])
        else:
            text = _(
                "This site's limits no longer hold this identifier back. Amazon Cognito's own limit, "
                "5 to 20 attempts an hour, cannot be cleared, and those for a network and for the "
                "whole site stay."
            )
        self.message_user(request, text, messages.SUCCESS)

    def _refusal(self, request: HttpRequest, hashes: Sequence[str]) -> errors.ResetError | None:
        """
        Return why the limits of these hashes aren't cleared, if one is a staff member's or the staff can't be known.
        """
        try:
            with settings_as_errors():
                if not spares_staff(request.user):
                    return None
                staff = name_keys(staff_identifiers(conf.cognito_username))
        except errors.ResetError as error:
            return error
        return None if staff.isdisjoint(hashes) else StaffTarget()

    def _hashes(self, request: HttpRequest) -> list[str]:
        return re.findall(r"\b[0-9a-f]{64}\b", request.GET.get(HASHES, ""))

    def _known(self, request: HttpRequest, hashes: Iterable[str], user: Any) -> list[str]:
        """Return which of these hashes, and of those of the user's names, have events."""
        return _flat(self._by_pool(request, hashes, user))

    def _by_pool(
        self, request: HttpRequest, hashes: Iterable[str], user: Any
    ) -> dict[str, list[str]]:
        """Return what ``_known()`` returns, by pool, each pool's latest first."""
        wanted = {*hashes, *(user_keys(user) if user else ())}
        events = self.get_queryset(request).filter(identifier_hash__in=wanted).order_by()
        found = events.values_list("pool", "identifier_hash").annotate(Max("created_at"))
        by_pool: dict[str, list[str]] = {}
        for pool, key, _latest in found.order_by("-created_at__max"):
            by_pool.setdefault(pool, []).append(key)
        return by_pool

    def _person(self, request: HttpRequest) -> Any:
        """Return the user that the URL names, if the history is theirs and the staff member may view them."""
        pk = request.GET.get(PersonFilter.parameter_name, "")
        try:
            user = get_user_model()._default_manager.filter(pk=pk).first() if pk else None
        except (ValueError, ValidationError):  # no primary key looks like this
            return None
        return user if keys_of_viewable(request.user, user, self._hashes(request)) else None

    def _url(self, name: str, hashes: Sequence[str] = (), person: Any = None) -> str:
        name = f"admin:cognito_reset_resetevent_{name}"
        query = {HASHES: ",".join(hashes)} if hashes else {}
        if person:
            query[PersonFilter.parameter_name] = person.pk
        end = "?" + urlencode(query) if query else ""
        return reverse(name, current_app=self.admin_site.name) + end


def _name(hashes: Sequence[str], user: Any) -> str:
    """Return whose history it is: a user of the site, or else the beginning of the identifier's hash."""
    return str(user) if user else _("identifier %(hash)s…") % {"hash": hashes[0][:8]}


def _flat(by_pool: dict[str, list[str]]) -> list[str]:
    return sorted(key for keys in by_pool.values() for key in keys)


def chart(events: QuerySet[Any]) -> list[dict[str, Any]]:
    """
    Count the events by outcome and day with one query, and draw each outcome as the bars of an SVG path.

    The query compares with the ends of the days instead of truncating times to days, because MySQL knows
    no time zones unless they were loaded into it.
    """
    now = timezone.now()
    local = timezone.localtime(now) if timezone.is_aware(now) else now
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=ago) for ago in reversed(range(CHART_DAYS))]
    ends = [day + timedelta(days=1) for day in days]
    number = Case(*(When(created_at__lt=end, then=n) for n, end in enumerate(ends)))
    recent = events.order_by().filter(created_at__gte=days[0], created_at__lt=ends[-1])
    rows = recent.annotate(day=number).values_list("outcome", "day").annotate(Count("pk"))
    found: dict[str, list[int]] = {}
    for outcome, day, count in rows:
        found.setdefault(outcome, [0] * CHART_DAYS)[day] = count
    lines = []
    for outcome, label in Outcome.choices:
        if counts := found.get(outcome):
            heights = [math.ceil(count * CHART_HEIGHT / max(counts)) for count in counts]
            bars = [f"M{4 * x} {CHART_HEIGHT}v-{y}h3v{y}z" for x, y in enumerate(heights) if y]
            by_day = [pair for pair in zip(days, counts, strict=True) if pair[1]]
            lines.append(
                {"label": label, "total": sum(counts), "by_day": by_day, "path": "".join(bars)}
            )
    return lines
