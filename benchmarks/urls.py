"""The app's own endpoints, and the views that a site would write without the app."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.settings import HAS_APP, POOL


def make_client() -> Any:
    return boto3.client(
        "cognito-idp",
        region_name=POOL["REGION"],
        endpoint_url=POOL["ENDPOINT_URL"],
        config=Config(signature_version=UNSIGNED),
    )


class UsernameSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=128)


class PlainView(APIView):
    """Call Cognito with a client that is made once."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    get_client: Callable[[], Any] = staticmethod(cache(make_client))

    def post(self, request: Request) -> Response:
        serializer = UsernameSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        username = serializer.validated_data["username"]
        message = (username + POOL["CLIENT_ID"]).encode()
        digest = hmac.digest(POOL["CLIENT_SECRET"].encode(), message, hashlib.sha256)
        self.get_client().forgot_password(
            ClientId=POOL["CLIENT_ID"],
            Username=username,
            SecretHash=base64.b64encode(digest).decode(),
        )
        return Response({}, status=202)


class HandWrittenView(PlainView):
    """Make a client for each request, as examples on the Web do."""

    get_client: Callable[[], Any] = staticmethod(make_client)


urlpatterns: list[URLPattern | URLResolver] = [
    path("plain/", PlainView.as_view()),
    path("hand-written/", HandWrittenView.as_view()),
]
if "django.contrib.admin" in settings.INSTALLED_APPS:
    urlpatterns += [path("admin/", admin.site.urls)]
if HAS_APP:
    urlpatterns += [
        path("rest/", include("cognito_reset.rest.urls")),
        path("pages/", include("cognito_reset.urls")),
        path("aws", include("cognito_reset.aws.urls")),
    ]
