"""
How staff start a reset of many people in the admin: a form, a page that says what would be done to whom, and
then the start. Only the last step writes to the database. ``BulkRunAdmin`` shows these pages for people whom Cognito
lists, and ``CognitoResetMixin`` for users that were selected in its list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.cognito.pool_calls import answer_within
from cognito_reset.conf import conf
from cognito_reset.models import BulkRun, ResetEvent
from cognito_reset.resets.identifiers import folded
from cognito_reset.staff import bulk, sources, summary
from cognito_reset.staff.accounts import (
    RUN_PERMISSION,
    VIEW_PERMISSION,
    StaffTarget,
    is_staff_member,
    settings_as_errors,
    site_value,
    spares_staff,
    staff_identifiers,
)
from cognito_reset.staff.actions import ACTIONS, reason_of
from cognito_reset.staff.model_admin import ON_CHANGE_FORM, denied
from cognito_reset.staff.run_log import log_run, refusal_text, run_url

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.db.models import QuerySet

MAX_SELECTED: Final = 500
# People of a pool, and of a selection, whom the preview looks up.
PREVIEWED: Final = 300
LOOKED_UP: Final = 20
TITLE: Final = gettext_lazy("Reset the passwords of many people")
SOURCES: Final = {
    "all": gettext_lazy("Everybody in the user pool"),
    "status": gettext_lazy("Everybody with a status"),
    "group": gettext_lazy("The members of a group"),
    "filter": gettext_lazy("Everybody whom a filter finds"),
    "list": gettext_lazy("A list"),
    "queryset": gettext_lazy("Users of this site"),
}
# The fields of the form that the refusals are about.
FIELDS: Final = {"too_fast": "rate"}


class PaceForm(forms.Form):
    """The form for people who were selected."""

    rate = forms.FloatField(
        label=gettext_lazy("Resets per second"),
        initial=bulk.DEFAULT_RATE,
        help_text=gettext_lazy(
            "AWS allows 30 per second for the whole account in a Region, including the resets that "
            "people ask for themselves."
        ),
    )
    force = forms.BooleanField(
        label=gettext_lazy("Start it all the same"), required=False, widget=forms.HiddenInput
    )


class StartForm(PaceForm):
    """The form for people whom Cognito lists."""

    field_order = ("pool", "source", "status", "group", "filter", "limit", "rate")

    pool = forms.ChoiceField(label=pgettext_lazy("reset event", "user pool"))
    source = forms.ChoiceField(
        label=gettext_lazy("People"),
        choices=[(name, SOURCES[name]) for name in sources.LISTED],
        widget=forms.RadioSelect,
    )
    status = forms.ChoiceField(
        label=gettext_lazy("Status"),
        choices=[("", "---------"), *((status, status) for status in bulk.STATUSES)],
        required=False,
    )
    group = forms.CharField(label=gettext_lazy("Group"), max_length=128, required=False)
    filter = forms.CharField(
        label=gettext_lazy("Filter"),
        max_length=512,
        required=False,
        help_text=gettext_lazy('As ListUsers takes it, for example: email ^= "anna"'),
    )
    limit = forms.IntegerField(
        label=gettext_lazy("Maximum number of people"),
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        help_text=gettext_lazy("Leave it empty for all of them."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        aliases = list(conf.pool_aliases())
        pool: Any = self.fields["pool"]
        pool.choices = [(alias, alias) for alias in aliases]
        pool.initial = aliases[0]
        if len(aliases) == 1:
            pool.widget, pool.required = forms.HiddenInput(), False

    def clean_pool(self) -> str:
        return str(self.cleaned_data["pool"] or self.fields["pool"].initial)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        source = data.get("source", "")
        if source in ("status", "group", "filter") and not self.errors.get(source):
            data["value"] = data.get(source, "")
            if not data["value"]:
                self.add_error(source, self.fields[source].error_messages["required"])
        return data


@dataclass
class People:
    """Whom a start page is about. ``refused`` are selected users who are left out, and why."""

    pool: str
    source: str
    value: str = ""
    limit: int | None = None
    usernames: list[str] | None = None
    refused: list[tuple[Any, str]] = field(default_factory=list)

    @classmethod
    def listed(cls, form: forms.Form) -> People:
        data = form.cleaned_data
        return cls(data["pool"], data["source"], data.get("value", ""), data["limit"])

    @classmethod
    def selected(cls, users: Iterable[Any], model_admin: Any, request: HttpRequest) -> People:
        """
        Return the people that users of the site are in the pool. Raise ``ResetError`` if the site's own code
        fails, and ``MixedPools``.
        """
        pools: set[str] = set()
        names: dict[str, None] = {}  # a set that keeps the order
        refused = []
        own_name = partial(model_admin.get_cognito_username, request)
        with settings_as_errors():
            spares = spares_staff(request.user)
            staff = staff_identifiers(own_name) if spares else frozenset()
            for user in users:
                pools.add(model_admin.get_cognito_pool(request, user))
                name = site_value("COGNITO_USERNAME", partial(own_name, user))
                if spares and (is_staff_member(user) or folded(name or "") in staff):
                    refused.append((user, str(StaffTarget.message)))
                elif not name:
                    refused.append((user, str(errors.UserNotFound.message)))
                else:
                    names[name] = None
        if len(pools) > 1:
            raise MixedPools
        return cls(pools.pop(), "queryset", usernames=list(names), refused=refused)

    def arguments(self) -> dict[str, Any]:
        names = ("pool", "source", "value", "limit", "usernames")
        return {name: getattr(self, name) for name in names}


class MixedPools(Exception):
    """The selected people are in more than one pool. A run is of one."""


def has_run_permission(request: HttpRequest) -> bool:
    """Check whether the staff member may start and control resets of many people."""
    return request.user.has_perms([RUN_PERMISSION, VIEW_PERMISSION])


def offers_selected(model_admin: ModelAdmin[Any], request: HttpRequest) -> bool:
    """Check whether the action of a list leads to a reset of many people."""
    return model_admin.admin_site.is_registered(BulkRun) and has_run_permission(request)


def offer_selected(
    model_admin: Any, request: HttpRequest, queryset: QuerySet[Any], *, url: str, way_back: str
) -> HttpResponse:
    """Answer the action of a list with the form for the selected people. Nobody is looked up yet."""
    pks = list(queryset.order_by().values_list("pk", flat=True).distinct()[: MAX_SELECTED + 1])
    if len(pks) > MAX_SELECTED:
        return _too_many(model_admin, request, queryset.count(), way_back)
    steps = Steps(model_admin, request, PaceForm(), url=url, way_back=way_back, pks=pks)
    return steps.form_page()


def selected_response(
    model_admin: Any, request: HttpRequest, *, url: str, way_back: str
) -> HttpResponse:
    """Answer the form for selected people: show what would be done to them, or start it."""
    if not (offers_selected(model_admin, request) and request.method == "POST"):
        raise denied(model_admin, request)
    pks = list(dict.fromkeys(request.POST.getlist(ACTION_CHECKBOX_NAME)))
    if len(pks) > MAX_SELECTED:
        return _too_many(model_admin, request, len(pks), way_back)
    users = _users(model_admin, request, pks)
    # Answer in the same way for a user that doesn't exist and for one who may not be viewed.
    permitted = all(model_admin.has_cognito_reset_permission(request, user) for user in users)
    if not users or len(users) != len(pks) or not permitted:
        raise denied(model_admin, request)
    try:
        people = People.selected(users, model_admin, request)
    except MixedPools:
        text = _("The selected people are in different user pools. Select those of one pool.")
    except errors.ResetError as error:
        text = reason_of(error)
    else:
        form = PaceForm(request.POST)
        steps = Steps(model_admin, request, form, url=url, way_back=way_back, pks=pks)
        return steps.response(lambda: people)
    model_admin.message_user(request, text, messages.ERROR)
    return redirect(way_back)


class Steps:
    """The pages of a start: the form, and the confirmation."""

    def __init__(
        self,
        model_admin: Any,
        request: HttpRequest,
        form: forms.Form,
        *,
        url: str,
        way_back: str,
        pks: Collection[Any] = (),
    ) -> None:
        self._admin, self._request, self._form = model_admin, request, form
        self._context: dict[str, Any] = {
            **model_admin.admin_site.each_context(request),
            "title": TITLE,
            "opts": model_admin.opts,
            "form": form,
            "url": url,
            "way_back": way_back,
            "pks": pks,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }

    def response(self, people_of: Any) -> HttpResponse:
        """Answer a POST. ``people_of`` returns the people, if the form is valid."""
        data = self._request.POST
        if "edit" not in data and self._form.is_valid():
            try:
                with settings_as_errors():
                    people = people_of()
                    sources.check(
                        people.pool, people.source, people.value, self._form.cleaned_data["rate"]
                    )
                    if "start" in data:
                        return self._start(people)
                    return self._confirmation(people)
            except bulk.BulkRefused as refusal:
                self._form.add_error(FIELDS.get(refusal.code), refusal.message)
            except errors.ResetError as error:
                self._form.add_error(*self._explained(error))
        return self.form_page()

    def form_page(self) -> HttpResponse:
        template = "admin/cognito_reset/bulkrun/start.html"
        return TemplateResponse(self._request, template, self._context)

    def _confirmation(self, people: People) -> HttpResponse:
        """Show what a run would do. It reads only the first people, so that it doesn't take long."""
        names = people.usernames
        most = LOOKED_UP if names is not None else min(people.limit or PREVIEWED, PREVIEWED)
        arguments = {**people.arguments(), "limit": most}
        with answer_within(sources.PREVIEW_SECONDS):
            preview = bulk.dry_run(**arguments, actor=self._request.user)
            count = preview.count if names is None else len(names)
            wanted = count - preview.refused.total()
            service = sources.service_for(people.pool)
            mails = wanted - preview.without_mail
            is_too_many = mails > sources.OWN_SENDER_MAILS and sources.has_own_sender(service)
        own_sender = bulk.BulkRefused("own_sender").message
        if is_too_many:
            self._form.fields["force"].widget = forms.CheckboxInput()
        is_cut_off = names is None and preview.count == PREVIEWED != people.limit
        rate = self._form.cleaned_data["rate"]
        self._context |= {
            "preview": preview,
            "count": wanted,
            "is_partial": preview.looked_up < count,
            "is_cut_off": is_cut_off,
            "refused": [(bulk.words(code), n) for code, n in preview.refused.most_common()],
            "left_out": people.refused,
            "warnings": list(
                dict.fromkeys([*[own_sender] * is_too_many, *map(str, preview.warnings)])
            ),
            "needs_force": is_too_many,
            "duration": None if is_cut_off else duration(wanted / rate),
            "consequences": ACTIONS[ResetEvent.Action.RESET].consequences,
        }
        template = "admin/cognito_reset/bulkrun/confirm.html"
        return TemplateResponse(self._request, template, self._context)

    def _start(self, people: People) -> HttpResponse:
        request = self._request
        data = self._form.cleaned_data
        run = bulk.start(
            **people.arguments(),
            rate=data["rate"],
            force=data["force"],
            actor=request.user,
            interface=ResetEvent.Interface.ADMIN,
        )
        log_run(self._admin, request, run, "start")
        try:
            summary.hand_over(run)
        except (bulk.BulkRefused, errors.ResetError) as error:
            self._admin.message_user(request, refusal_text(error), messages.ERROR)
        return redirect(run_url(self._admin, run))

    def _explained(self, error: errors.ResetError) -> tuple[str | None, str]:
        """Return the field that an error of the preview is about, and the text."""
        source = self._form.cleaned_data.get("source")
        is_about_value = isinstance(error, (errors.SelectionInvalid, errors.UserNotFound))
        if is_about_value and source in ("group", "filter"):
            return source, _("Cognito did not accept this.")
        return None, reason_of(error)


def _users(model_admin: Any, request: HttpRequest, pks: list[str]) -> list[Any]:
    """Return the users with these primary keys, or none if a text is no primary key."""
    try:
        return list(model_admin.get_queryset(request).filter(pk__in=pks))
    except (ValueError, ValidationError, OverflowError, DataError):
        return []


def _too_many(model_admin: Any, request: HttpRequest, count: int, way_back: str) -> HttpResponse:
    text = _(
        "At most %(most)d people can be selected for a reset, and %(count)d were. Nothing was sent. For "
        "more people, use the command “%(command)s”."
    )
    values = {"most": MAX_SELECTED, "count": count, "command": "cognito_reset bulk start"}
    model_admin.message_user(request, text % values, messages.ERROR)
    return redirect(way_back)


def duration(seconds: float) -> str:
    """Return a time in words, in the reader's language; "" if it is shorter than a minute."""
    if seconds < 60:
        return ""
    now = timezone.now()
    return timeuntil(now + timedelta(seconds=min(seconds, 10**9)), now)
