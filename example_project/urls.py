from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView

from cognito_reset.pages.views import RequestView
from example_project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("cognito", include("cognito_reset.aws.urls")),
    path("spa/", views.spa, name="spa"),
    path("sdk/", views.sdk, name="sdk"),
    path("inbox/", views.inbox, name="inbox"),
    path("inbox.json", views.inbox_json, name="inbox-json"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("api/sign-in/", views.SignInAPIView.as_view(), name="api-sign-in"),
    path("admin/password_reset/", RequestView.as_view(), name="admin_password_reset"),
    path("admin/", admin.site.urls),
    path(".well-known/change-password", RedirectView.as_view(pattern_name="cognito_reset:request")),
    # Serve static files with any server, as long as DEBUG is on.
    *staticfiles_urlpatterns(),
]
