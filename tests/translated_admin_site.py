"""An admin with all of the app's pages: ``@pytest.mark.urls("tests.translated_admin_site")``."""

from __future__ import annotations

from django.urls import include, path

from cognito_reset.admin import AccountAdmin, BulkRunAdmin, ResetEventAdmin
from cognito_reset.models import BulkRun
from tests.admin_site import UserAdmin, site

admin_site = site("admin", UserAdmin, ResetEventAdmin, AccountAdmin)
admin_site.register(BulkRun, BulkRunAdmin)

urlpatterns = [
    path("admin/", admin_site.urls),
    path("password-reset/", include("cognito_reset.urls")),
]
