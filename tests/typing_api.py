"""
The public API as a site uses it. mypy and pyright check this file, both in strict mode (``make types``), and
nothing runs it. A comment that ignores an error is an error itself if there is nothing to ignore.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_type

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import AbstractBaseUser, User
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.test import TestCase
from django.urls import include, path
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from cognito_reset import __version__
from cognito_reset.admin import CognitoResetMixin
from cognito_reset.aws.cors import ALLOW_HEADERS, EXPOSE_HEADERS
from cognito_reset.aws_lambda.custom_message import handler
from cognito_reset.cognito.errors import AccountRefused, OutcomeUnknown, ResetError, Throttled
from cognito_reset.cognito.service import CognitoService, Context, Delivery, get_service
from cognito_reset.cognito.users import PoolRules, PoolUser
from cognito_reset.conf import CognitoResetMisconfigured
from cognito_reset.models import BulkRun, ResetEvent
from cognito_reset.pages.views import ConfirmView, DoneView, RequestView, redirect_to_reset
from cognito_reset.resets.flow import (
    Attempt,
    CodeRequested,
    Confirmed,
    confirm_reset,
    request_code,
)
from cognito_reset.resets.identifiers import identifier_keys
from cognito_reset.rest.names import SNAKE_CASE_NAMES
from cognito_reset.rest.views import ConfirmAPIView, PolicyAPIView, RequestAPIView
from cognito_reset.secret import Secret
from cognito_reset.signals import (
    SIGNED_OUT,
    account_action,
    measured,
    password_reset_confirmed,
    password_reset_failed,
)
from cognito_reset.staff import bulk, tasks
from cognito_reset.staff.accounts import PoolAccount, look_up, look_up_user
from cognito_reset.staff.actions import ACTIONS, Action
from cognito_reset.staff.perform import Done, perform, perform_for_user, send_reset
from cognito_reset.staff.rest import LookUpAPIView, UserAPIView
from cognito_reset.testing import (
    Call,
    Cognito,
    CognitoMixin,
    Emulator,
    FixtureError,
    Message,
    Server,
    Timeout,
    Unusable,
    load,
    serve,
)
from cognito_reset.testing.totp import totp

logger = logging.getLogger(__name__)

VERSION: str = __version__

# The pages


class OurRequestView(RequestView):
    template_name = "site/request.html"
    success_url = "/next/"
    extra_context = {"brand": "Example"}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "pool": self.pool}

    def form_valid(self, result: CodeRequested) -> HttpResponse:
        self.request.session["wait"] = assert_type(result.resend_after, int)
        return super().form_valid(result)


class ResetThenSignIn(ConfirmView):
    success_url = "/sign-in/"

    def get_success_url(self) -> str:
        return f"{super().get_success_url()}?reset"

    def form_valid(self, result: Confirmed) -> HttpResponse:
        response = super().form_valid(result)
        self.request.session["reset_username"] = assert_type(result.username, str)
        return response


def sign_in(request: HttpRequest) -> HttpResponse:
    return redirect_to_reset(request, "alice", code_sent=True, pool="brand", namespace="brand")


# REST


class OurRequestAPIView(RequestAPIView):
    def answer(self, result: CodeRequested) -> Response:
        response = super().answer(result)
        if result.delivery:
            response.headers["X-Medium"] = assert_type(result.delivery.medium, str)
        return response


class OurConfirmAPIView(ConfirmAPIView):
    def answer(self, result: Confirmed) -> Response:
        return Response({"signed_out": assert_type(result.signed_out, bool)})


class OurLookUpAPIView(LookUpAPIView):
    def get_users(self, request: Request) -> QuerySet[Any]:
        return super().get_users(request).filter(is_active=True)

    def may(self, request: Request, permission: str, user: Any = None) -> bool:
        return user is not None and super().may(request, permission, user)


urlpatterns = [
    path("password-reset/", OurRequestView.as_view(extra_context={"brand": "Example"})),
    path("password-reset/confirm/", ResetThenSignIn.as_view()),
    path("password-reset/done/", DoneView.as_view()),
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", OurRequestAPIView.as_view()),
    path("api/password-reset/confirm/", OurConfirmAPIView.as_view()),
    path("api/password-reset/policy/", PolicyAPIView.as_view()),
    path("staff/look-up/", OurLookUpAPIView.as_view(), {"pool": "default"}),
    path("staff/users/<pk>/", UserAPIView.as_view()),
]
CORS_ALLOW_HEADERS = (*ALLOW_HEADERS, "x-our-header")
CORS_EXPOSE_HEADERS = list(EXPOSE_HEADERS)
JSON_CAMEL_CASE = {"JSON_UNDERSCOREIZE": {"ignore_fields": SNAKE_CASE_NAMES}}

# The Python API


def send_code(request: HttpRequest, username: str) -> int:
    attempt = Attempt.of(request, None, "python")
    return assert_type(request_code(attempt, {"username": username}), CodeRequested).resend_after


def set_password(username: str, code: Secret, password: Secret) -> list[str]:
    values = {"username": username, "confirmation_code": code, "password": password}
    try:
        result = confirm_reset(Attempt("default"), values)
    except ValidationError as error:
        return [str(error.detail)]
    except Throttled as error:
        return [f"{error.message} {error.retry_after}"]
    except OutcomeUnknown as error:
        return [str(error.message)]
    except ResetError as error:
        logger.warning("No reset: %s", assert_type(error.code, str))
        return [str(error.message)]
    except CognitoResetMisconfigured:
        raise
    assert_type(result, Confirmed)
    return []


def find(username: str) -> PoolUser | None:
    service = get_service("default")
    try:
        return service.find_user(username=username)
    except AccountRefused:
        return None


def rules() -> PoolRules | None:
    return get_service().pool_rules()


class OurService(CognitoService):
    """SERVICE_CLASS: each operation may be changed, and keeps its arguments."""

    def request_code(
        self,
        *,
        username: str,
        wait: float | None = None,
        when_wrong_state: Callable[[], None] | None = None,
        **context: Any,
    ) -> Delivery | None:
        parameters: Context = {"client_metadata": {"from": "site"}}
        return super().request_code(
            username=username, wait=wait, when_wrong_state=when_wrong_state, **parameters
        )

    def admin_reset(self, *, username: str, client_metadata: dict[str, str] | None = None) -> str:
        return super().admin_reset(username=username.lower(), client_metadata=client_metadata)


# The callables of the settings


def pool_resolver(request: HttpRequest) -> str:
    return "brand" if request.get_host().startswith("brand.") else "default"


def pre_send_hook(request: HttpRequest | None, *, username: str, pool: str) -> None:
    if username == pool:
        raise ValidationError({"username": "No."})


def client_metadata(request: HttpRequest | None) -> dict[str, str]:
    return {"language": "en"}


def client_secret() -> Secret:
    return Secret("exampleclientsecret1234567")


def user_resolver(username: str) -> AbstractBaseUser | None:
    return User.objects.filter(username=username).first()


COGNITO_RESET: dict[str, Any] = {
    "POOLS": {
        "default": {
            "REGION": "eu-west-1",
            "USER_POOL_ID": "eu-west-1_AbCdEfGhI",
            "CLIENT_ID": "1example23456789",
            "CLIENT_SECRET": client_secret,
        },
    },
    "POOL_RESOLVER": pool_resolver,
    "PRE_SEND_HOOK": pre_send_hook,
    "CLIENT_METADATA": client_metadata,
    "USER_RESOLVER": user_resolver,
    "SERVICE_CLASS": OurService,
}

# Signals


@receiver(password_reset_confirmed)
def end_other_sessions(sender: Any, username: str, pool: str, **kwargs: Any) -> str:
    logger.info("confirmed in %s", pool)
    return SIGNED_OUT


@receiver([password_reset_failed, account_action])
def notice_failure(sender: Any, outcome: str, error_code: str, **kwargs: Any) -> None:
    logger.info("%s %s", outcome, error_code)


@receiver(measured)
def count(sender: Any, event: str, seconds: float | None, **kwargs: Any) -> None:
    logger.info("%s %s", event, seconds)


# Staff


@admin.register(User)
class OurUserAdmin(CognitoResetMixin, UserAdmin[User]):
    list_display = ("username", "email")

    def get_cognito_username(self, request: HttpRequest, obj: Any) -> str:
        return str(obj.email)


def reset_by_staff(request: HttpRequest, user: User) -> str:
    done = assert_type(send_reset(user, actor=request.user, request=request), Done)
    if done.error:
        logger.warning("No reset: %s", done.error.code)
    return f"{done.text} {done.outcome} {done.medium} {done.destination}"


def invite(user: User) -> tuple[Done, Done]:
    action = assert_type(ACTIONS["invite"], Action)
    account = assert_type(look_up_user(user), PoolAccount)
    assert_type(look_up("alice@example.com", pool="brand"), PoolAccount)
    first = perform(action, account, actor=None, interface="python")
    return first, perform_for_user(action, user, actor=None, interface="python")


def reset_many() -> int:
    run = bulk.start(pool="default", source="group", value="customers", rate=5, interface="python")
    assert_type(run, BulkRun)
    tasks.enqueue(run)
    tasks.run_bulk_slice(run.pk, 1)
    assert_type(bulk.counts(run.pk), dict[str, int])
    return assert_type(bulk.resume(run.pk), BulkRun).pk


def events_of(username: str) -> QuerySet[ResetEvent]:
    hashes = assert_type(identifier_keys("default", username), list[str])
    return ResetEvent.objects.filter(identifier_hash__in=hashes)


# The test kit


def test_reset(cognito_emulator: Emulator) -> None:
    cognito_emulator.fail_next("ForgotPassword", Timeout(1.5), times=2)
    message = assert_type(cognito_emulator.outbox[0], Message)
    assert_type(message.code, str)
    assert_type(totp("JBSWY3DPEHPK3PXP", datetime.now(UTC)), str)
    with serve(Emulator(region="eu-west-1")) as server:
        assert_type(server, Server)
        assert_type(server.url, str)


def test_with_the_fixture(cognito: Cognito) -> None:
    cognito.create_pool(UsernameAttributes=["email"])
    alice = cognito.add_user("alice@example.com", attributes={"name": "Alice"}, groups=["editors"])
    assert_type(alice.status, str)
    cognito.fail_next("ForgotPassword", "LimitExceededException", times=2)
    cognito.fail_next("ConfirmForgotPassword", Timeout())
    assert_type(cognito.assert_code_sent("alice@example.com"), Message)
    assert_type(cognito.outbox, list[Message])
    assert_type([call.outcome for call in assert_type(cognito.calls, list[Call])], list[str])
    assert_type(cognito.emulator, Emulator)
    cognito.assert_password("alice@example.com", "Battery-staple-2", pool="default")
    cognito.assert_not_called("AdminResetUserPassword")
    cognito.assert_nothing_sent()


class ResetTests(CognitoMixin, TestCase):
    def setUp(self) -> None:
        super().setUp()
        assert_type(self.cognito, Cognito).add_user("alice", email="alice@example.com")


def emulator_from(path: Path) -> Emulator:
    emulator = Emulator()
    try:
        load(emulator, path)
    except (FixtureError, Unusable) as error:
        raise SystemExit(str(error)) from None
    return emulator


assert_type(handler({}, None), dict[str, Any])
