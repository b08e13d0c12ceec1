"""
The pages. ``include("cognito_reset.urls")``, or for a pool other than "default"
``include(("cognito_reset.urls", "cognito_reset"), namespace="brand")`` with ``{"pool": "brand"}``.
"""

from __future__ import annotations

from django.urls import path

from cognito_reset.pages.views import ConfirmView, DoneView, RequestView

app_name = "cognito_reset"
urlpatterns = [
    path("", RequestView.as_view(), name="request"),
    path("confirm/", ConfirmView.as_view(), name="confirm"),
    path("done/", DoneView.as_view(), name="done"),
]
