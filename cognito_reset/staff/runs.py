"""
``BulkRunAdmin``: resets of many people in the admin. Its pages start, watch and control a run, and ``bulk.py``
does what they ask for. They run outside of transactions, because a rollback would undo the journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.db.models import Case, Count, When
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy, pgettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.models import BulkItem, BulkRun, ResetEvent
from cognito_reset.resets.stores import outside_transactions
from cognito_reset.staff import bulk, journal, summary
from cognito_reset.staff.accounts import settings_as_errors
from cognito_reset.staff.actions import ACTIONS, CHECK_FIRST, reason_of
from cognito_reset.staff.audit import PoolFilter
from cognito_reset.staff.history import HistoryMixin
from cognito_reset.staff.model_admin import ON_CHANGE_FORM, denied
from cognito_reset.staff.run_log import (
    DONE,
    STILL_PAUSED,
    history_words,
    log_run,
    refusal_text,
    run_url,
)
from cognito_reset.staff.run_starts import (
    SOURCES,
    TITLE,
    People,
    StartForm,
    Steps,
    duration,
    has_run_permission,
)

# People on a run's page: of one state, and the latest.
SHOWN: Final = 100
LATEST: Final = 20
REFRESH_SECONDS: Final = 10
PLOT_MINUTES: Final = 30
PLOT_HEIGHT: Final = 60

State = BulkRun.State
ItemState = BulkItem.State
CALLS: Final[dict[str, Callable[..., BulkRun]]] = {
    "pause": bulk.pause,
    "resume": bulk.resume,
    "stop": bulk.stop,
    "retry-failed": bulk.retry,
}
# These have a page that asks first; "resume" only for a run that nobody has confirmed.
QUESTIONS: Final = {
    "resume": TITLE,
    "stop": gettext_lazy("Stop the reset of many people"),
    "retry-failed": gettext_lazy("Send again to those for whom it failed"),
}


@admin.register(BulkRun)
class BulkRunAdmin(HistoryMixin):
    """Lists the runs, starts them, and shows and controls each. Django's own forms change nothing."""

    list_display = ["number", "state", "people", "pool", "actor", "interface", "created_at"]
    list_filter = ["state", PoolFilter]
    list_select_related = ["actor"]
    ordering = ["-pk"]
    sortable_by = ()
    show_full_result_count = False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission

    @admin.display(description=pgettext_lazy("bulk run", "number"))
    def number(self, run: BulkRun) -> str:
        return str(run.pk)

    @admin.display(description=gettext_lazy("People"))
    def people(self, run: BulkRun) -> str:
        source = f"{SOURCES[run.source]}: {run.source_value}".removesuffix(": ")
        return f"{source} ({run.size})"

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "start": ("start/", self.start_view),
            "control": ("<int:run_id>/control/<str:name>/", self.control_view),
            "items": ("<int:run_id>/items.csv", self.items_view),
        }
        return [
            path(
                route,
                outside_transactions(self.admin_site.admin_view(view)),
                name=f"cognito_reset_bulkrun_{name}",
            )
            for name, (route, view) in views.items()
        ] + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        url = self._url("start") if has_run_permission(request) else None
        own = {"title": capfirst(self.opts.verbose_name_plural), "start_url": url}
        return super().changelist_view(request, {**own, **(extra_context or {})})

    def history_words(self, entry: LogEntry) -> str:
        return history_words(entry)

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form (GET), what the run would do, or start it (POST)."""
        if not has_run_permission(request):
            raise denied(self, request)
        is_post = request.method == "POST"
        form = StartForm(request.POST) if is_post else StartForm()
        where = {"url": self._url("start"), "way_back": self._url("changelist")}
        steps = Steps(self, request, form, **where)
        return steps.response(lambda: People.listed(form)) if is_post else steps.form_page()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show how far a run is."""
        run = self._run(request, unquote(object_id))
        progress = bulk.progress(run)
        is_active = run.state in journal.ACTIVE
        refreshes = is_active and request.GET.get("refresh") != "off"
        needs_command, hindrance = False, ""
        try:
            with settings_as_errors():
                has_queue = conf.bulk_enqueue is not None
                needs_command = is_active and not has_queue and not bulk.is_interrupted(run)
                if not bulk.may_go_on(run, request.user):
                    hindrance = bulk.words("includes_staff")
        except errors.ResetError as error:
            # The run can't go on, but it can be stopped.
            hindrance = reason_of(error)
        offers, hindrance = self._offers(request, run, progress, hindrance)
        done = run.size - progress.counts[ItemState.PENDING] - progress.counts[ItemState.SENDING]
        state = request.GET.get("state", "")
        context = {
            **self._context(request, run),
            "run": run,
            "source": SOURCES[run.source],
            "progress": progress,
            "done": done,
            "percent": 100 * done // run.size if run.size else 0,
            "duration": duration(progress.seconds_left or 0),
            "counts": [(each, each.label, progress.counts[each]) for each in ItemState],
            "reasons": [
                (ItemState(each.state).label, each.text, each.count)
                for each in summary.reasons(run)
            ],
            "why": self._why(run),
            "plot": plot(run),
            "plot_minutes": PLOT_MINUTES,
            "people": self._people(run, state),
            "state": state,
            "state_label": dict(ItemState.choices).get(state),
            "is_active": is_active,
            "refreshes": refreshes,
            "needs_command": needs_command,
            "asks": needs_confirmation(run),
            "command": f"manage.py cognito_reset bulk resume {run.pk}",
            "offers": offers,
            "hindrance": hindrance,
            "items_url": self._url("items", run.pk),
            "history_url": self._url("history", run.pk),
        }
        response = TemplateResponse(request, "admin/cognito_reset/bulkrun/run.html", context)
        if refreshes:
            # It works without JavaScript, and the page has a link that turns it off.
            response["Refresh"] = str(REFRESH_SECONDS)
        return response

    def control_view(self, request: HttpRequest, run_id: int, name: str) -> HttpResponse:
        """Pause, resume or stop a run, or have it send again (POST), or ask first (GET)."""
        if not has_run_permission(request):
            raise denied(self, request)
        run = self._run(request, str(run_id))
        if name not in CALLS:
            raise Http404
        if request.method == "POST":
            self._control(request, run, name)
        elif name in QUESTIONS and (name != "resume" or needs_confirmation(run)):
            context = {
                **self._context(request, run),
                "title": QUESTIONS[name],
                "name": name,
                "run": run,
                "why": self._why(run),
                "counts": bulk.counts(run.pk),
                "consequences": ACTIONS[ResetEvent.Action.RESET].consequences,
            }
            return TemplateResponse(request, "admin/cognito_reset/bulkrun/ask.html", context)
        return redirect(self._page(request, run))

    def items_view(self, request: HttpRequest, run_id: int) -> HttpResponseBase:
        """Return a CSV file with the run's people, read while it is sent."""
        return summary.csv_response(request, self._run(request, str(run_id)))

    def _control(self, request: HttpRequest, run: BulkRun, name: str) -> None:
        flags = {"resume": ("force", "confirmed"), "retry-failed": ("unknown",)}
        options: dict[str, Any] = {}
        if name in flags:
            options = {flag: flag in request.POST for flag in flags[name]}
            options["actor"] = request.user
        try:
            with settings_as_errors():
                changed = CALLS[name](run.pk, **options)
                log_run(self, request, changed, name)
                if name in flags and changed.state in journal.ACTIVE:
                    summary.hand_over(changed)
            is_paused = name == "retry-failed" and changed.state == State.PAUSED
            text = STILL_PAUSED if is_paused else DONE[name]
            return self.message_user(request, text, messages.SUCCESS)
        except (bulk.BulkRefused, errors.ResetError) as error:
            text = refusal_text(error)
        return self.message_user(request, text, messages.ERROR)

    def _run(self, request: HttpRequest, object_id: str) -> BulkRun:
        if not self.has_view_permission(request):
            raise denied(self, request)
        run: BulkRun | None = self.get_object(request, object_id)
        if run is None:
            raise Http404
        return run

    def _context(self, request: HttpRequest, run: BulkRun) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": f"{capfirst(self.opts.verbose_name)} {run.pk}",
            "opts": self.opts,
            "way_back": self._page(request, run),
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
            # Until the list has been read, nobody is sent anything, and how many people it has isn't known.
            "is_listing": not (run.is_complete or run.state in journal.OVER),
            "kept": "?refresh=off" if request.GET.get("refresh") == "off" else "",
        }

    def _offers(
        self, request: HttpRequest, run: BulkRun, progress: bulk.Progress, hindrance: str
    ) -> tuple[dict[str, str], str]:
        """
        Return the URLs of what the staff member can do with a run, and why it can't be made to go on, or "".
        ``hindrance`` is why this staff member can't, or "".
        """
        if not has_run_permission(request):
            return {}, ""
        counts = progress.counts
        is_over = run.state in journal.OVER
        is_paused = run.state == State.PAUSED
        possible = {
            "pause": not (is_over or is_paused),
            "resume": is_paused or progress.stands_still,
            "stop": not is_over,
            "retry-failed": counts[ItemState.FAILED] + counts[ItemState.UNKNOWN] > 0,
        }
        refused = {"resume", "retry-failed"} if hindrance else set[str]()
        if bulk.is_interrupted(run):
            hindrance, refused = bulk.words("list_interrupted"), {"resume"}
        names = {name for name, is_possible in possible.items() if is_possible}
        urls = {
            name.replace("-", "_"): self._url("control", run.pk, name) for name in names - refused
        }
        return urls, hindrance if names & refused else ""

    def _people(self, run: BulkRun, state: str) -> list[tuple[str, str, str, Any]]:
        """Return the people of one state, or those whose outcome came last: a bounded number."""
        items = journal.items(run.pk)
        if state in ItemState.values:
            found = items.filter(state=state).order_by("pk")[:SHOWN]
        else:
            found = items.filter(done_at__isnull=False).order_by("-done_at")[:LATEST]
        return [
            (item.username, item.get_state_display(), bulk.words(item.error_code), item.done_at)
            for item in found
        ]

    def _why(self, run: BulkRun) -> str:
        """Return why a run has paused by itself, or ""."""
        text = bulk.words(run.reason) if run.reason else ""
        return f"{text} {CHECK_FIRST % {'hint': run.hint}}" if run.hint else text

    def _page(self, request: HttpRequest, run: BulkRun) -> str:
        is_off = request.GET.get("refresh") == "off"
        return run_url(self, run) + ("?refresh=off" if is_off else "")

    def _url(self, name: str, *args: Any) -> str:
        name = f"admin:cognito_reset_bulkrun_{name}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def needs_confirmation(run: BulkRun) -> bool:
    """Check whether a run has its people and waits for somebody to confirm it."""
    return run.is_complete and not run.is_confirmed


def plot(run: BulkRun) -> dict[str, Any] | None:
    """
    Count with one query how many calls ended in each of the last minutes, and draw them as the bars of an SVG path.
    A run that is over shows its last minutes.
    """
    end = run.ended_at or timezone.now()
    ends = [end - timedelta(minutes=ago) for ago in reversed(range(PLOT_MINUTES))]
    begin = end - timedelta(minutes=PLOT_MINUTES)
    minute = Case(*(When(done_at__lte=each, then=n) for n, each in enumerate(ends)))
    called = journal.items(run.pk).filter(
        claimed_at__isnull=False, done_at__gt=begin, done_at__lte=end
    )
    found = dict(called.annotate(minute=minute).values_list("minute").annotate(Count("pk")))
    if not found:
        return None
    rates = [found.get(n, 0) / 60 for n in range(PLOT_MINUTES)]
    most = max(run.rate, *rates)
    heights = [math.ceil(rate * PLOT_HEIGHT / most) for rate in rates]
    bars = [f"M{8 * x} {PLOT_HEIGHT}v-{y}h6v{y}z" for x, y in enumerate(heights) if y]
    return {
        "path": "".join(bars),
        "limit": round(PLOT_HEIGHT * (1 - run.rate / most), 1),
        "by_minute": [(at, rate) for at, rate in zip(ends, rates, strict=True) if rate],
    }
