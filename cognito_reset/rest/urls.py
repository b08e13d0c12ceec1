"""
The REST endpoints: ``include("cognito_reset.rest.urls")``. For pools, see ``cognito_reset.urls``. Two of them
also work without the slash at the end, because a client that follows Django's redirect drops the body.
"""

from __future__ import annotations

from django.urls import path

from cognito_reset.rest.views import ConfirmAPIView, PolicyAPIView, RequestAPIView

app_name = "cognito_reset_rest"
urlpatterns = [
    path("", RequestAPIView.as_view(), name="request"),
    path("confirm/", ConfirmAPIView.as_view(), name="confirm"),
    path("policy/", PolicyAPIView.as_view(), name="policy"),
    path("confirm", ConfirmAPIView.as_view(schema=None)),  # not in the site's OpenAPI schema
    path("policy", PolicyAPIView.as_view(schema=None)),
]
