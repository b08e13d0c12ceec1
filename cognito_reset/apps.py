from __future__ import annotations

from django.apps import AppConfig, apps
from django.core.checks import Tags, register
from django.utils.translation import gettext_lazy as _


class CognitoResetConfig(AppConfig):
    name = "cognito_reset"
    verbose_name = _("Password resets")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from cognito_reset import receivers
        from cognito_reset.checks.deployment import check_deployment
        from cognito_reset.checks.settings import check_settings
        from cognito_reset.checks.urls import check_urls
        from cognito_reset.pages.session import forget_states

        register(check_settings)
        register(check_deployment, Tags.security, deploy=True)
        register(check_urls, Tags.urls)
        receivers.connect()
        user_logged_in.connect(forget_states, dispatch_uid="cognito_reset.forget_states")
        if apps.is_installed("drf_spectacular"):
            from cognito_reset.rest import openapi  # noqa: F401  # registers its extensions
