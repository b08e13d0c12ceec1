"""REST for staff, as a site includes it and as it may override it: ``@pytest.mark.urls("tests.staff_urls")``."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle

from cognito_reset.staff import rest


class Tenant:
    """What a site may override: somebody is unseen, somebody untouchable, and usernames are its own."""

    def get_users(self, request: Request) -> QuerySet[Any]:
        return super().get_users(request).exclude(username="unseen")  # type: ignore[misc,no-any-return]

    def may_see(self, request: Request, user: Any) -> bool:
        return user.username != "hidden" and super().may_see(request, user)  # type: ignore[misc,no-any-return]

    def may(self, request: Request, permission: str, user: Any = None) -> bool:
        untouchable = user is not None and user.username == "untouchable"
        return not untouchable and super().may(request, permission, user)  # type: ignore[misc]

    def get_cognito_username(self, request: Request, user: Any) -> str:
        if user.username == "broken":
            raise LookupError("a site's own mistake")
        return str(user.first_name or user.username)


class OnceAMinute(UserRateThrottle):
    rate = "1/min"


class ThrottledUserAPIView(rest.UserAPIView):
    throttle_classes = (OnceAMinute,)


class UserAPIView(Tenant, rest.UserAPIView):
    pass


class UserActionAPIView(Tenant, rest.UserActionAPIView):
    pass


class AccountAPIView(Tenant, rest.AccountAPIView):
    pass


class AccountActionAPIView(Tenant, rest.AccountActionAPIView):
    pass


class LookUpAPIView(Tenant, rest.LookUpAPIView):
    pass


urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path("staff/", include("cognito_reset.staff.urls")),
    path("brand/staff/", include("cognito_reset.staff.urls"), {"pool": "brand"}),
    path("throttled/users/<str:pk>/", ThrottledUserAPIView.as_view()),
    path("tenant/look-up/", LookUpAPIView.as_view()),
    path("tenant/accounts/<str:pool>/<str:sub>/", AccountAPIView.as_view()),
    path("tenant/accounts/<str:pool>/<str:sub>/<slug:action>/", AccountActionAPIView.as_view()),
    path("tenant/users/<str:pk>/", UserAPIView.as_view()),
    path("tenant/users/<str:pk>/<slug:action>/", UserActionAPIView.as_view()),
]
