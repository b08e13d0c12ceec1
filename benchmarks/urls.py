"""The app's own endpoints, and the view that a site would write without the app."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from django.urls import include, path
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.settings import POOL


@cache
def get_client() -> Any:
    return boto3.client(
        "cognito-idp",
        region_name=POOL["REGION"],
        endpoint_url=POOL["ENDPOINT_URL"],
        config=Config(signature_version=UNSIGNED),
    )


class UsernameSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=128)


class PlainView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        serializer = UsernameSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        username = serializer.validated_data["username"]
        message = (username + POOL["CLIENT_ID"]).encode()
        digest = hmac.digest(POOL["CLIENT_SECRET"].encode(), message, hashlib.sha256)
        get_client().forgot_password(
            ClientId=POOL["CLIENT_ID"],
            Username=username,
            SecretHash=base64.b64encode(digest).decode(),
        )
        return Response({}, status=202)


urlpatterns = [
    path("plain/", PlainView.as_view()),
    path("app/", include("cognito_reset.rest.urls")),
]
