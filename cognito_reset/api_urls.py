"""The REST endpoints: ``include("cognito_reset.api_urls")``, pools as in ``cognito_reset.urls``."""

from __future__ import annotations

from django.urls import path

from cognito_reset.api import ConfirmAPIView, PolicyAPIView, RequestAPIView

app_name = "cognito_reset_api"
urlpatterns = [
    path("", RequestAPIView.as_view(), name="request"),
    path("confirm/", ConfirmAPIView.as_view(), name="confirm"),
    path("policy/", PolicyAPIView.as_view(), name="policy"),
]
