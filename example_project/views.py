"""The demo's own pages, besides those of the app."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cognito_reset.conf import DEFAULT_POOL, conf
from cognito_reset.pages.views import redirect_to_reset
from example_project import emulator, pool


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    # Only staff may see the users of a real pool.
    shown = pool.has_inbox() or (request.user.is_active and request.user.is_staff)
    users = pool.list_users() if shown else None
    context = {
        "password": emulator.PASSWORD,
        "listed": users is not None,
        "users": [(user, emulator.PEOPLE.get(user.username, "")) for user in users or []],
        "shown": shown,
        "limits": conf.limits is not None,
        "client_id": client_id(),
    }
    return render(request, "example_project/home.html", context)


@require_safe
def spa(request: HttpRequest) -> HttpResponse:
    return render(request, "example_project/spa.html")


@require_safe
def sdk(request: HttpRequest) -> HttpResponse:
    return render(request, "example_project/sdk.html", {"client_id": client_id()})


def client_id() -> str:
    return conf.pool(DEFAULT_POOL).published_client_id


@require_safe
@never_cache
def inbox(request: HttpRequest) -> HttpResponse:
    if not pool.has_inbox():
        return render(request, "example_project/no_inbox.html", status=404)
    return render(request, "example_project/inbox.html", {"sent": pool.sent_messages()})


@require_safe
@never_cache
def inbox_json(request: HttpRequest) -> HttpResponse:
    if not pool.has_inbox():
        raise Http404("A real user pool sends its messages to its users.")
    return JsonResponse(pool.sent_messages(), safe=False)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("password")
@sensitive_variables()
def sign_in(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return render(request, "example_project/sign_in.html")
    username = request.POST.get("username", "")
    answer = pool.sign_in(username=username, password=request.POST.get("password", ""))
    if answer.status == 200:
        messages.success(request, f"Cognito accepted the password of {username}.")
        return redirect("sign-in")
    if answer.code == "PasswordResetRequiredException":
        # In the demo only a reset by staff leads to this error, and that reset sends a code.
        return redirect_to_reset(request, username, code_sent=True)
    context = {"username": username, "code": answer.code}
    return render(request, "example_project/sign_in.html", context, status=answer.status)


class SignInSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    password = serializers.CharField(trim_whitespace=False)


class SignInAPIView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)
    schema = None  # this endpoint isn't one of the app's

    @sensitive_variables()
    def post(self, request: Request) -> Response:
        serializer = SignInSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        answer = pool.sign_in(**serializer.validated_data)
        return Response({"code": answer.code} if answer.code else {}, status=answer.status)
