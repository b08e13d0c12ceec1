"""
"State of the connection" in the admin: what the doctor finds about the pools and the tables. Cognito is only called when
a staff member presses the button, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cognito_reset.cognito.pool_calls import answer_within
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.doctor.findings import Finding, Level, Result
from cognito_reset.resets.stores import outside_transactions
from cognito_reset.staff.model_admin import ON_CHANGE_FORM, ModelAdmin, denied

# Web servers usually give a request 30 seconds.
SECONDS: Final = 15.0
HEADINGS: Final = {
    Level.ERROR: gettext_lazy("Errors"),
    Level.WARNING: gettext_lazy("Warnings"),
    Level.UNKNOWN: gettext_lazy("What cannot be seen"),
    Level.INFO: gettext_lazy("Good to know"),
    Level.OK: gettext_lazy("As it should be"),
}


class ConnectionMixin(ModelAdmin):
    """Adds the page to a ModelAdmin. Staff need ``cognito_reset.check_connection`` and the right to view the model."""

    def has_check_connection_permission(self, request: HttpRequest) -> bool:
        permitted = request.user.has_perm("cognito_reset.check_connection")
        return permitted and self.has_view_permission(request)

    def connection_url(self, request: HttpRequest) -> str | None:
        """Return the page's address, or None for staff who may not see it."""
        if not self.has_check_connection_permission(request):
            return None
        return reverse(f"admin:{self._connection_name}", current_app=self.admin_site.name)

    @property
    def _connection_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_connection"

    def get_urls(self) -> list[URLPattern]:
        # Inside of a transaction, a database that fails would spoil the rest of the page.
        view = outside_transactions(self.admin_site.admin_view(self.connection_view))
        return [path("connection/", view, name=self._connection_name), *super().get_urls()]

    def connection_view(self, request: HttpRequest) -> HttpResponse:
        """Show a button (GET), or what is found now (POST)."""
        if not self.has_check_connection_permission(request):
            raise denied(self, request)
        results = [*_examine()] if request.method == "POST" else []
        groups = {
            heading: [result for result in results if result.finding.level is level]
            for level, heading in HEADINGS.items()
        }
        context = {
            **self.admin_site.each_context(request),
            "title": _("State of the connection"),
            "groups": [(heading, found) for heading, found in groups.items() if found],
            "opts": self.opts,
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        return TemplateResponse(request, "admin/cognito_reset/connection.html", context)


def _examine() -> Iterator[Result]:
    # Imported here, because the site loads this module when it starts.
    from cognito_reset.doctor.examination import examine_one  # noqa: PLC0415
    from cognito_reset.doctor.state import examine_tables  # noqa: PLC0415

    try:
        aliases = conf.pool_aliases()
    except CognitoResetMisconfigured as error:
        yield Result(Finding.SETTINGS_UNUSABLE, str(error))
        aliases = ()
    with answer_within(SECONDS):
        for pool in aliases:
            for result in examine_one(pool):
                # Only the command can try the permissions.
                if result.finding is not Finding.PERMISSIONS_UNTRIED:
                    yield result
    yield from examine_tables()
