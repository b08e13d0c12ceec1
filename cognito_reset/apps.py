from __future__ import annotations

from django.apps import AppConfig, apps
from django.core.checks import Tags, register
from django.utils.translation import gettext_lazy as _


class CognitoResetConfig(AppConfig):
    name = "cognito_reset"
    verbose_name = _("Password resets")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from cognito_reset import receivers
        from cognito_reset.checks.settings import check_deployment, check_settings
        from cognito_reset.checks.urls import check_urls

        register(check_settings)
        register(check_deployment, Tags.security, deploy=True)
        register(check_urls, Tags.urls)
        receivers.connect()
        if apps.is_installed("drf_spectacular"):
            from cognito_reset.rest import openapi

            openapi.name_components()
