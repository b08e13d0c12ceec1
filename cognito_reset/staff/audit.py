"""
``ResetEventAdmin``: the audit in the admin. It shows the events, the history of one identifier and a
chart, and lets staff clear the limits of a person who has reached one.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.db import router, transaction
from django.db.models import Case, Count, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from cognito_reset.cognito.errors import Unavailable
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets import ratelimits
from cognito_reset.resets.identifiers import identifier_keys
from cognito_reset.resets.stores import outside_transactions

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.utils.safestring import SafeString

    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

logger = logging.getLogger(__name__)

EVENT_FIELDS: Final = (
    "created_at",
    "outcome",
    "interface",
    "pool",
    "error_code",
    "actor",
    "target",
)
CHART_DAYS: Final = 28
CHART_HEIGHT: Final = 24
HASHES: Final = "identifier_hash__in"  # the query parameter of the admin's list filter

# Since Django 6.1 a change page can have actions.
ON_CHANGE_FORM: Final = hasattr(admin, "ActionLocation")
Outcome = ResetEvent.Outcome


def denied(model_admin: ModelAdmin, request: HttpRequest) -> PermissionDenied:
    """Log that somebody tried what they may not do, and return the error to raise."""
    logger.warning(
        "cognito_reset.admin_denied actor=%s model=%s", request.user.pk, model_admin.opts.label
    )
    return PermissionDenied()


def log_change(
    model_admin: ModelAdmin, request: HttpRequest, obj: Any, change: dict[str, Any]
) -> None:
    """Add an entry to the admin's log. If that fails, only log it: what the entry is about is done."""
    try:
        with transaction.atomic(using=router.db_for_write(LogEntry)):
            model_admin.log_change(request, obj, [change])
    except DatabaseError as error:
        logger.error("cognito_reset.log_entry_failed error=%s", type(error).__name__)


class PoolFilter(admin.SimpleListFilter):
    """Offer the pools of the settings. To collect those of the table would read all of its rows."""

    title = gettext_lazy("user pool")
    parameter_name = "pool"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        aliases = conf.pool_aliases()
        return [(alias, alias) for alias in aliases] if len(aliases) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pool=self.value()) if self.value() else queryset


@admin.register(ResetEvent)
class ResetEventAdmin(ModelAdmin):
    """Read-only admin for the audit, with a look-up by identifier and a way to clear its limits."""

    list_display = [*EVENT_FIELDS, "network", "identifier"]
    list_filter = ["outcome", "interface", PoolFilter, "created_at"]
    list_select_related = ["actor", "target"]
    ordering = ["-created_at"]
    sortable_by = ["created_at"]  # the only column with an index
    show_full_result_count = False
    readonly_fields = ["created_at", "identifier"]
    fields = [*EVENT_FIELDS, "network", "aws_request_id", "identifier"]

    class Media:
        css = {"all": ["cognito_reset/admin.css"]}

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission

    def has_clear_limits_permission(self, request: HttpRequest) -> bool:
        permitted = request.user.has_perm("cognito_reset.clear_limits")
        return permitted and self.has_view_permission(request)

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
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            hashes = self._hashes(request)
            permitted = hashes and self.has_clear_limits_permission(request)
            if hashes:
                response.context_data["title"] = _("History of one identifier")
            response.context_data |= {
                "is_history": bool(hashes),
                "clear_limits_url": self._url("clear_limits", hashes) if permitted else None,
                "look_up_url": self._url("look_up"),
                "chart": chart(response.context_data["cl"].queryset),
                "chart_days": CHART_DAYS,
            }
        return response

    @method_decorator(sensitive_post_parameters("identifier"))
    @sensitive_variables("identifier")
    def look_up_view(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the history of an identifier, by its hashes: the URL must not contain it."""
        if not self.has_view_permission(request):
            raise denied(self, request)
        identifier = request.POST.get("identifier", "")
        hashes = {key for pool in conf.pool_aliases() for key in identifier_keys(pool, identifier)}
        return self._history(request, self._known(request, hashes))

    def clear_limits_view(self, request: HttpRequest) -> HttpResponse:
        """Show what clearing the limits of an identifier does (GET), or clear them (POST)."""
        if not self.has_clear_limits_permission(request):
            raise denied(self, request)
        hashes = self._known(request, self._hashes(request))
        if request.method == "POST" and hashes:
            self._clear_limits(request, hashes)
        if request.method == "POST" or not hashes:
            return self._history(request, hashes)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Let this person try again"),
            "opts": self.opts,
            "way_back": self._url("changelist", hashes),
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        return TemplateResponse(request, "admin/cognito_reset/clear_limits.html", context)

    def _clear_limits(self, request: HttpRequest, hashes: Sequence[str]) -> None:
        if not clear_limits(hashes):
            text = _("No limit was cleared: where they are kept cannot be reached or used.")
            return self.message_user(request, text, messages.ERROR)
        event = self.get_queryset(request).filter(identifier_hash__in=hashes).latest("created_at")
        names = ", ".join(hashes)
        change = {"deleted": {"name": gettext_noop("limits of the identifier"), "object": names}}
        log_change(self, request, event, change)
        text = _(
            "This site's limits no longer hold this identifier back. Amazon Cognito's own limit, "
            "5 to 20 attempts an hour, cannot be cleared, and those for a network and for the "
            "whole site stay."
        )
        self.message_user(request, text, messages.SUCCESS)

    def _hashes(self, request: HttpRequest) -> list[str]:
        return re.findall(r"\b[0-9a-f]{64}\b", request.GET.get(HASHES, ""))

    def _known(self, request: HttpRequest, hashes: Iterable[str]) -> list[str]:
        events = self.get_queryset(request).filter(identifier_hash__in=hashes).order_by()
        return sorted(events.values_list("identifier_hash", flat=True).distinct())

    def _history(self, request: HttpRequest, hashes: Sequence[str]) -> HttpResponse:
        if not hashes and request.method == "POST":
            text = _("There are no events for this identifier.")
            self.message_user(request, text, messages.WARNING)
        return redirect(self._url("changelist", hashes))

    def _url(self, name: str, hashes: Sequence[str] = ()) -> str:
        name = f"admin:cognito_reset_resetevent_{name}"
        query = "?" + urlencode({HASHES: ",".join(hashes)}) if hashes else ""
        return reverse(name, current_app=self.admin_site.name) + query


def clear_limits(hashes: Iterable[str]) -> bool:
    """Clear the limits of identifiers, and return whether that succeeded."""
    try:
        ratelimits.clear(hashes)
    except (CognitoResetMisconfigured, Unavailable) as error:
        logger.error("cognito_reset.limits_not_cleared: %s", error)
        return False
    return True


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
