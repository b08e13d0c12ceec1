"""
What the app registers when a site starts. Every function of the app is imported when it is first called: a
process that never resets a password starts as fast as without the app.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import Tags, register
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


class CognitoResetConfig(AppConfig):
    name = "cognito_reset"
    verbose_name = _("Password resets")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        register(later("checks.settings.check_settings"))
        register(later("checks.deployment.check_deployment"), Tags.security, deploy=True)
        register(later("checks.deployment.check_app_clients"), Tags.security, deploy=True)
        register(later("checks.urls.check_urls"), Tags.urls)
        connect_receivers()
        forget = later("pages.session.forget_states")
        user_logged_in.connect(forget, weak=False, dispatch_uid="cognito_reset.forget_states")
        if apps.is_installed("drf_spectacular"):
            # They register their extensions.
            from cognito_reset.rest import openapi  # noqa: F401
            from cognito_reset.staff import openapi as staff_openapi  # noqa: F401


def connect_receivers() -> None:
    """Connect the functions of receivers.py. A site can disconnect each by its ``dispatch_uid``."""
    from cognito_reset import signals

    may_change_a_password = [signals.password_reset_confirmed, signals.password_reset_failed]
    of_resets = [
        *may_change_a_password,
        signals.password_reset_requested,
        signals.password_reset_triggered,
    ]
    for uid, name, senders in (
        ("log", "log_event", of_resets),
        ("log", "log_action", [signals.account_action]),
        ("measure", "measure", [*of_resets, signals.account_action]),
        ("audit", "record", [*of_resets, signals.account_action]),
        ("protect_account", "protect_account", may_change_a_password),
    ):
        for signal in senders:
            receiver = later(f"receivers.{name}")
            signal.connect(receiver, weak=False, dispatch_uid=f"cognito_reset.{uid}")


@cache
def later(name: str) -> Callable[..., Any]:
    """
    Return a function that imports that function of the app when it is called, and calls it.

    It is the same function each time, because ready() runs again when a test changes INSTALLED_APPS, and each
    check is registered once.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return import_string(f"cognito_reset.{name}")(*args, **kwargs)

    return call
