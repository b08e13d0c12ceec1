"""URLs of a site with the pages and the endpoint for AWS SDKs."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path("cognito/", include("cognito_reset.aws.urls")),
]
