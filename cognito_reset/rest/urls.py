"""The REST endpoints: ``include("cognito_reset.rest.urls")``, pools as in ``cognito_reset.urls``."""

from __future__ import annotations

from django.urls import path

from cognito_reset.rest.views import ConfirmAPIView, PolicyAPIView, RequestAPIView

app_name = "cognito_reset_rest"
urlpatterns = [
    path("", RequestAPIView.as_view(), name="request"),
    path("confirm/", ConfirmAPIView.as_view(), name="confirm"),
    path("policy/", PolicyAPIView.as_view(), name="policy"),
]
