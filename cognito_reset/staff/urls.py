"""
REST for staff: ``include("cognito_reset.staff.urls")``. People are addressed by a pool and their sub, and the
site's users by their primary keys. An identifier is never in a URL.
"""

from __future__ import annotations

from django.urls import path

from cognito_reset.staff import bulk_rest
from cognito_reset.staff.rest import (
    AccountActionAPIView,
    AccountAPIView,
    LookUpAPIView,
    UserActionAPIView,
    UserAPIView,
)

app_name = "cognito_reset_staff"
urlpatterns = [
    path("look-up/", LookUpAPIView.as_view(), name="look_up"),
    path("accounts/<str:pool>/<str:sub>/", AccountAPIView.as_view(), name="account"),
    path(
        "accounts/<str:pool>/<str:sub>/<slug:action>/",
        AccountActionAPIView.as_view(),
        name="account_action",
    ),
    path("users/<str:pk>/", UserAPIView.as_view(), name="user"),
    path("users/<str:pk>/<slug:action>/", UserActionAPIView.as_view(), name="user_action"),
    *bulk_rest.urlpatterns,
]
