"""Admin sites with resets of many people: ``@pytest.mark.urls("tests.bulk_admin_site")``."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import path

from cognito_reset.admin import BulkRunAdmin
from cognito_reset.models import BulkRun
from tests.admin_site import UserAdmin, site


class MixedUserAdmin(UserAdmin):
    """Has users in two pools."""

    def get_cognito_pool(self, request: HttpRequest, obj: Any) -> str:
        return "default" if obj.username == "person-1" else "brand"


def with_runs(name: str, user_admin: type[UserAdmin]) -> admin.AdminSite:
    made = site(name, user_admin)
    made.register(BulkRun, BulkRunAdmin)
    return made


urlpatterns = [
    path("admin/", with_runs("admin", UserAdmin).urls),
    path("mixed-admin/", with_runs("mixed_admin", MixedUserAdmin).urls),
    path("bare-admin/", site("bare_admin", UserAdmin).urls),
]
