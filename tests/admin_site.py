"""The admin of a site with the mixin, and the API: ``@pytest.mark.urls("tests.admin_site")``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import admin as auth_admin
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import include, path

from cognito_reset.models import Account, ResetEvent
from cognito_reset.staff.admin import CognitoResetMixin
from cognito_reset.staff.audit import ResetEventAdmin
from cognito_reset.staff.pages import AccountAdmin

if TYPE_CHECKING:
    BaseUserAdmin = auth_admin.UserAdmin[User]
else:
    BaseUserAdmin = auth_admin.UserAdmin


class UserAdmin(CognitoResetMixin, BaseUserAdmin):
    """Has a user who is in the list but whom nobody may view, and one who isn't even there."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).exclude(username="unseen")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = obj is None or obj.username != "untouchable"
        return allowed and super().has_view_permission(request, obj)


class BrandUserAdmin(CognitoResetMixin, BaseUserAdmin):
    """Overrides what the mixin lets a site override, and fails to write to the admin's log."""

    actions = ["greet"]
    cognito_pool = "brand"

    def get_cognito_username(self, request: HttpRequest, obj: Any) -> str:
        return f"brand-{obj.username}"

    def greet(self, request: HttpRequest, queryset: QuerySet[User]) -> None: ...

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        raise DatabaseError("disk full")


class SilentUserAdmin(CognitoResetMixin, BaseUserAdmin):
    """Wants no actions at all."""

    actions = None


def site(
    name: str,
    user_admin: type[BaseUserAdmin],
    event_admin: type[ResetEventAdmin] | None = None,
    account_admin: type[AccountAdmin] | None = None,
) -> admin.AdminSite:
    made = admin.AdminSite(name=name)
    made.register(User, user_admin)
    if event_admin:
        made.register(ResetEvent, event_admin)
    if account_admin:
        made.register(Account, account_admin)
    return made


def accounts_only() -> admin.AdminSite:
    """Return an admin that knows neither users nor events."""
    made = admin.AdminSite(name="account_admin")
    made.register(Account, AccountAdmin)
    return made


urlpatterns = [
    path("admin/", site("admin", UserAdmin, ResetEventAdmin, AccountAdmin).urls),
    path("brand-admin/", site("brand_admin", BrandUserAdmin).urls),
    path("silent-admin/", site("silent_admin", SilentUserAdmin).urls),
    path("account-admin/", accounts_only().urls),
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
    path("api/brand/", include("cognito_reset.rest.urls"), {"pool": "brand"}),
]
