from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from cognito_reset.admin import CognitoResetMixin

admin.site.unregister(User)


@admin.register(User)
class UserAdmin(CognitoResetMixin, BaseUserAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Cognito's users have no password on this site, and nobody sets one for them."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or obj.has_usable_password():
            return fieldsets
        return [
            (
                name,
                {
                    **options,
                    "fields": [field for field in options["fields"] if field != "password"],
                },
            )
            for name, options in fieldsets
        ]

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        user = self.get_object(request, unquote(id))
        if user is not None and not user.has_usable_password():
            raise PermissionDenied
        return super().user_change_password(request, id, form_url)
