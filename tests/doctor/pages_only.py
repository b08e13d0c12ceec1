from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("password-reset/", include("cognito_reset.urls"))]
