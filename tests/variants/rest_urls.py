"""A site with the REST endpoints and no others."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("api/password-reset/", include("cognito_reset.rest.urls"))]
