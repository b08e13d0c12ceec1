from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from example_project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.api_urls")),
    path("spa/", views.spa, name="spa"),
    path("inbox/", views.inbox, name="inbox"),
    path("inbox.json", views.inbox_json, name="inbox-json"),
    path("sign-in/", views.sign_in, name="sign-in"),
    path("api/sign-in/", views.SignInAPIView.as_view(), name="api-sign-in"),
    path("admin/", admin.site.urls),
    # With any server, as long as DEBUG is on.
    *staticfiles_urlpatterns(),
]
