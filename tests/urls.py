from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path(
        "brand/password-reset/",
        include("cognito_reset.urls", namespace="brand"),
        {"pool": "brand"},
    ),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
    path("cognito", include("cognito_reset.aws.urls")),
    path(
        "brand/cognito",
        include("cognito_reset.aws.urls", namespace="brand_aws_json"),
        {"pool": "brand"},
    ),
    path("admin/", admin.site.urls),
]
