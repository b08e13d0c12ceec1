from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import User

from cognito_reset.admin import CognitoResetMixin

admin.site.unregister(User)


@admin.register(User)
class UserAdmin(CognitoResetMixin, BaseUserAdmin):  # type: ignore[type-arg]  # not generic at run time
    pass
