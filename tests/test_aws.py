"""The endpoint that speaks Cognito's own protocol: its requests, its answers, its names."""

from __future__ import annotations

import json
import re
from io import BytesIO

import botocore.session
import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.test import Client
from django.urls import include, path
from django.utils import translation
from rest_framework import exceptions, serializers
from rest_framework.throttling import AnonRateThrottle

from cognito_reset.aws.views import MEDIA_TYPE, SERVICE, AWSJSONView
from cognito_reset.cognito.errors import AccountRefused, Busy, ResetError, Throttled
from cognito_reset.cognito.service import CognitoService
from cognito_reset.cognito.table import TABLE
from cognito_reset.conf import conf
from cognito_reset.resets.bodies import BODY_LIMIT
from tests.interfaces import AWS, REST, is_answer, with_settings
from tests.people import NEW_PASSWORD, PASSWORD

MODEL = botocore.session.get_session().get_service_model("cognito-idp")
FORGOT, CONFIRM = f"{SERVICE}.ForgotPassword", f"{SERVICE}.ConfirmForgotPassword"


class OwnThrottle(AnonRateThrottle):
    rate = "2/min"


class Plain(exceptions.APIException):
    """An error of the site's own code, with a detail that DRF didn't make."""

    status_code = 403

    def __init__(self, detail):
        self.detail = detail


class ThrottledView(AWSJSONView):
    throttle_classes = (OwnThrottle,)


urlpatterns = [
    path("", include("cognito_reset.aws.urls")),  # a host of its own
    path("throttled", ThrottledView.as_view()),
    path("<slug:tenant>/cognito", include("cognito_reset.aws.urls", namespace="tenant")),
]


def send(body, target=FORGOT, url="/cognito", content_type=MEDIA_TYPE, client=None, **headers):
    """Send a body as it is, or as JSON with the client id in it."""
    if isinstance(body, dict):
        body = json.dumps({"ClientId": conf.pool("default").published_client_id, **body})
    headers = {"X-Amz-Target": target, **headers} if target is not None else headers
    client = client or Client()
    return client.generic("POST", url, body, content_type, headers=headers)


def confirm(username="alice", code="123456", password=NEW_PASSWORD, **more):
    body = {"Username": username, "ConfirmationCode": code, "Password": password, **more}
    return send(body, CONFIRM)


def said(response):
    """
    Return the status, Cognito's name and the text of an error, whose name is in a header and in the
    body.
    """
    body = json.loads(response.content)
    assert list(body) == ["__type", "message"]
    assert response.headers["x-amzn-ErrorType"] == body["__type"]
    assert body["message"]
    return response.status_code, body["__type"], body["message"]


# Requests


@pytest.mark.parametrize("url", ["/cognito", "/cognito/", "/cognito//"])
def test_a_password_is_reset_at_every_form_of_the_address(people, url):
    """SDKs append one or two slashes, and follow no redirect."""
    response = send({"Username": "alice"}, url=url)
    assert response.status_code == 200
    assert is_answer(response)
    code = people.emulator.outbox[-1].code
    body = {"Username": "alice", "ConfirmationCode": code, "Password": NEW_PASSWORD}
    response = send(body, CONFIRM, url=url)
    assert (response.status_code, response.content) == (200, b"{}")
    assert is_answer(response)
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert not people.can_sign_in("alice", PASSWORD)


@pytest.mark.urls("tests.test_aws")
@pytest.mark.parametrize("url", ["/", "//", "/a-tenant/cognito", "/a-tenant/cognito/"])
def test_it_can_stand_at_the_root_of_a_host_of_its_own(people, url):
    """Some SDKs accept only a host without a path. A path may contain a tenant."""
    assert send({"Username": "alice"}, url=url).status_code == 200


def test_every_member_is_taken_and_forwarded_as_the_site_says(people, settings):
    """Both operations accept all members. By default, no optional member reaches Cognito."""
    optional = {
        "SecretHash": "c2VjcmV0",
        "ClientMetadata": {"campaign": "x", "UserContextData": "y", "other": "z"},
        "AnalyticsMetadata": {"AnalyticsEndpointId": "endpoint"},
        "UserContextData": {"EncodedData": "data", "IpAddress": "203.0.113.9"},
    }

    def sent(code):
        send({"Username": "alice", **optional})
        confirm(code=code, **optional)
        found = [dict(body) for _, body in people.emulator.calls]
        people.emulator.calls.clear()
        return found

    for body in sent("111111"):
        assert set(body) <= {"ClientId", "SecretHash", "Username", "ConfirmationCode", "Password"}
    cache.clear()
    with_settings(
        settings,
        FORWARD_CLIENT_METADATA=["campaign", "UserContextData"],
        FORWARD_ANALYTICS_METADATA=True,
        FORWARD_ENCODED_DATA=True,
    )
    bodies = sent("222222")
    assert len(bodies) == 2
    for body in bodies:
        # A caller's own keys stay as they are, also where they look like members.
        assert body["ClientMetadata"] == {"campaign": "x", "UserContextData": "y"}
        assert body["AnalyticsMetadata"] == {"AnalyticsEndpointId": "endpoint"}
        assert body["UserContextData"] == {"EncodedData": "data"}  # the address is the site's word


@pytest.mark.parametrize("absent", [{}, None])
def test_null_is_absent(people, absent):
    """Deno and amazon-cognito-identity-js send null for unset members, also within structures."""
    optional = ("SecretHash", "ClientMetadata", "AnalyticsMetadata", "UserContextData")
    body = {"Username": "alice", **({} if absent is not None else dict.fromkeys(optional))}
    assert send(body).status_code == 200
    body = {
        "Username": "bob",
        "UserContextData": {"EncodedData": None, "IpAddress": None},
        "AnalyticsMetadata": {"AnalyticsEndpointId": None},
    }
    assert send(body).status_code == 200
    assert said(send({"Username": None}))[1] == "InvalidParameterException"


def test_the_secret_hash_is_made_here(people):
    """A SecretHash or a signature that a client sends is ignored."""
    signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/x/cognito-idp/aws4_request"
    response = send(
        {"Username": "alice", "SecretHash": "bm90IG91cnM="},
        **{"Authorization": signed, "X-Amz-Date": "20261121T000000Z"},
    )
    assert response.status_code == 200
    ((_, body),) = people.emulator.calls
    assert body["SecretHash"] == people.secret_hash("alice")


@pytest.mark.requirement("H8")
def test_h8_neither_a_hash_nor_a_signature_is_logged(people, caplog):
    """The client has made both from secrets."""
    caplog.set_level("DEBUG")
    for hash in ("canary-hash", "Y2FuYXJ5"):
        send({"Username": "alice", "SecretHash": hash}, Authorization="canary-signature")
        send({"Username": "alice", "SecretHash": hash}, "x", Authorization="canary-signature")
    for canary in ("canary", "Y2FuYXJ5"):
        assert canary not in caplog.text


@pytest.mark.parametrize(
    ("published", "sent", "name"),
    [
        (None, "real", None),
        (None, "demo", "ResourceNotFoundException"),
        ("demo", "demo", None),
        ("demo", "real", "ResourceNotFoundException"),
        ("demo", "DEMO", "ResourceNotFoundException"),
        ("demo", "", "InvalidParameterException"),
        ("demo", None, "InvalidParameterException"),
        ("demo", 5, "InvalidParameterException"),
        ("demo", "x" * 129, "InvalidParameterException"),
    ],
)
def test_the_client_id_is_the_one_that_the_site_publishes(people, settings, published, sent, name):
    """
    The site may publish a made-up id, or the app client's id, so that clients change only their
    endpoint.
    """
    pool = {**people.pool, "PUBLISHED_CLIENT_ID": published}
    with_settings(settings, POOLS={"default": pool})
    client_id = people.pool["CLIENT_ID"] if sent == "real" else sent
    response = send({"ClientId": client_id, "Username": "alice"})
    if name is None:
        assert response.status_code == 200
        assert people.emulator.calls[0][1]["ClientId"] == people.pool["CLIENT_ID"]
    else:
        assert said(response)[:2] == (400, name)
        assert people.emulator.calls == []


def test_the_pool_is_the_addresss(people, settings):
    """Each pool has its own client id, and the include's pool answers."""
    brand = {**people.pool, "PUBLISHED_CLIENT_ID": "brand"}
    with_settings(settings, POOLS={"default": people.pool, "brand": brand})
    body = json.dumps({"ClientId": "brand", "Username": "alice"})
    assert said(send(body))[1] == "ResourceNotFoundException"
    assert send(body, url="/brand/cognito").status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "ForgotPassword",
        f"{SERVICE}.",
        f"{SERVICE}.InitiateAuth",
        f"{SERVICE}.forgotPassword",
        f"{SERVICE}.ForgotPassword.",
        "AWSCognitoIdentityService.ForgotPassword",
        f"{SERVICE}.AdminResetUserPassword",
    ],
)
def test_any_other_operation_is_unknown(people, target):
    """The error is never NotAuthorizedException, because that makes Amplify delete its tokens."""
    response = send({"Username": "alice"}, target)
    assert said(response)[:2] == (400, "UnknownOperationException")
    assert is_answer(response)
    assert people.emulator.calls == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"])
def test_any_other_method_is_unknown(people, method):
    """Amplify follows a redirect with a GET, so the text mentions redirects."""
    response = Client().generic(method, "/cognito", headers={"X-Amz-Target": FORGOT})
    assert response.status_code == 400
    assert response.headers["x-amzn-ErrorType"] == "UnknownOperationException"
    if method != "HEAD":
        assert "redirect" in said(response)[2]
        assert is_answer(response)


# Answers


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The request doesn't say how long it is."),
        (b"{}", "ClientId: Enter a value."),
        (b"{", "Send a JSON object."),
        (b"[]", "Send a JSON object."),
        (b"null", "Send a JSON object."),
        (b'"text"', "Send a JSON object."),
        (b'{"ClientId": "a", "ClientId": "b"}', "Send a JSON object."),
        (b'{"ClientId": NaN}', "Send a JSON object."),
        (b"\xff\xfe{}", "Send a JSON object."),
        (b"[" * 8000, "Send a JSON object."),
        (b" " * (BODY_LIMIT + 1), "The request is too large."),
        (b" " * 3_000_000, "The request is too large."),
    ],
    ids=lambda value: f"{value[:20]!r}{len(value)}",
)
def test_what_is_no_request_is_an_invalid_parameter(people, body, text):
    """The answer is never HTML, which SDKs in a browser can't read."""
    response = send(body)
    assert said(response) == (400, "InvalidParameterException", text)
    assert is_answer(response)


class Gone(BytesIO):
    """A client that goes away before it has sent its body."""

    def read(self, *args):
        raise OSError


def test_whoever_goes_away_meanwhile_is_no_bug_of_the_sites(people, caplog):
    """No mail is sent to ADMINS."""
    headers = {"HTTP_X_AMZ_TARGET": FORGOT, "wsgi.input": Gone()}
    response = Client().post("/cognito", b"{}", MEDIA_TYPE, **headers)
    assert said(response)[:2] == (400, "InvalidParameterException")
    assert "Internal error" not in caplog.text
    response = Client().post(
        "/api/password-reset/", b"{}", "application/json", **{"wsgi.input": Gone()}
    )
    assert response.status_code == 400


@pytest.mark.requirement("D2")
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "multipart/form-data"])
def test_d2_another_content_type_is_refused(people, kind):
    """
    A form on another site can't send this content type, and the header X-Amz-Target needs a
    preflight.
    """
    response = send({"Username": "alice"}, content_type=kind)
    assert said(response)[:2] == (400, "InvalidParameterException")
    assert people.emulator.calls == []


def test_a_content_types_parameters_are_none_of_ours(people):
    response = send({"Username": "alice"}, content_type=f"{MEDIA_TYPE}; charset=utf-8")
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({}, "Username"),
        ({"Username": ""}, "Username"),
        ({"Username": 5}, "Username"),
        ({"Username": ["alice", "bob"]}, "Username"),
        ({"Username": "a b"}, "Username"),
        ({"Username": "x" * 129}, "Username"),
        ({"Username": "alice", "SecretHash": 5}, "SecretHash"),
        ({"Username": "alice", "SecretHash": "!"}, "SecretHash"),
        ({"Username": "alice", "SecretHash": "x" * 129}, "SecretHash"),
        ({"Username": "alice", "ClientMetadata": "x"}, "ClientMetadata"),
        ({"Username": "alice", "ClientMetadata": {"a": 5}}, "ClientMetadata"),
        ({"Username": "alice", "ClientMetadata": {"a": None}}, "ClientMetadata"),
        ({"Username": "alice", "AnalyticsMetadata": []}, "AnalyticsMetadata"),
        (
            {"Username": "alice", "AnalyticsMetadata": {"AnalyticsEndpointId": 5}},
            "AnalyticsMetadata.AnalyticsEndpointId",
        ),
        ({"Username": "alice", "UserContextData": "x"}, "UserContextData"),
        (
            {"Username": "alice", "UserContextData": {"EncodedData": {}}},
            "UserContextData.EncodedData",
        ),
        ({"Username": "alice", "UserContextData": {"IpAddress": 5}}, "UserContextData.IpAddress"),
    ],
)
def test_an_error_names_the_member(people, body, member):
    """The error has the member's path by AWS's names, and says what to do."""
    status, name, text = said(send(body))
    assert (status, name) == (400, "InvalidParameterException")
    assert re.fullmatch(rf"{re.escape(member)}: [^:]+\.", text)
    assert people.emulator.calls == []


def test_all_that_is_wrong_is_said_at_once(people):
    _, name, text = said(send({}, CONFIRM))
    assert name == "InvalidParameterException"
    expected = ("Username:", "ConfirmationCode: Enter the code.", "Password: Enter a new password.")
    for part in expected:
        assert part in text


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("short1A", "InvalidPasswordException"),
        ("alllowercaseletters", "InvalidPasswordException"),
        ("123456", "InvalidPasswordException"),
        ("", "InvalidParameterException"),
        (" Battery-staple-2", "InvalidParameterException"),
        ("Battery\tstaple-2", "InvalidParameterException"),
        ("x" * 257, "InvalidParameterException"),
    ],
)
def test_a_password_that_breaks_a_rule_is_cognitos_own_error(people, password, name):
    """
    A broken rule is InvalidPasswordException. A value that can't be a password at all is
    InvalidParameterException.
    """
    status, found, text = said(confirm(password=password))
    assert (status, found) == (400, name)
    assert ("Password:" in text) is (name == "InvalidParameterException")
    assert people.emulator.calls == []


@pytest.mark.parametrize("operation", ["ForgotPassword", "ConfirmForgotPassword"])
def test_only_names_that_cognito_has_for_the_operation(operation):
    """
    SDKs have types only for the names that the model lists for an operation. This covers errors of
    Cognito and errors of the app.
    """
    modelled = {shape.name for shape in MODEL.operation_model(operation).error_shapes}
    errors: set[type[ResetError]] = {error for key, error in TABLE.items() if key[0] == operation}
    shown = {error for error in errors if not issubclass(error, AccountRefused)}
    assert {error.name for error in shown | {Throttled, Busy}} <= modelled
    own = {"InvalidParameterException", "ResourceNotFoundException", "ForbiddenException"}
    assert own <= modelled


def test_a_limit_is_a_400_with_cognitos_name(people, settings):
    """The status isn't 429, because older SDKs then repeat the request four times."""
    with_settings(settings, LIMITS={})
    assert send({"Username": "alice"}).status_code == 200
    response = send({"Username": "alice"})
    assert said(response)[:2] == (400, "LimitExceededException")
    assert is_answer(response)


@pytest.mark.requirement("B6")
@pytest.mark.urls("tests.test_aws")
def test_b6_a_sites_own_throttle_is_a_limit_too(people):
    """The site's DRF throttles still apply, and their refusals have Cognito's error name."""
    cache.clear()
    answers = [send({"Username": name}, url="/throttled") for name in ("alice", "bob", "heidi")]
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert said(answers[2])[:2] == (400, "LimitExceededException")
    assert is_answer(answers[2])


def refuse(request, *, username, pool):
    raise ValidationError("Show that you are a person.")


def refuse_a_field(request, *, username, pool):
    raise serializers.ValidationError({"challenge": ["Show that you are a person."]}, "challenge")


def refuse_as_a_form(request, *, username, pool):
    raise ValidationError({"__all__": ["Show that you are a person."]})


def refuse_as_a_serializer(request, *, username, pool):
    raise serializers.ValidationError({"non_field_errors": ["Show that you are a person."]})


def refuse_without_a_word(request, *, username, pool):
    raise ValidationError([])


@pytest.mark.requirement("B15")
@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        (refuse, (403, "ForbiddenException", "Show that you are a person.")),
        (
            refuse_a_field,
            (400, "InvalidParameterException", "challenge: Show that you are a person."),
        ),
        (refuse_as_a_form, (403, "ForbiddenException", "Show that you are a person.")),
        (refuse_as_a_serializer, (403, "ForbiddenException", "Show that you are a person.")),
        (refuse_without_a_word, (403, "ForbiddenException", "Invalid input.")),
    ],
)
def test_b15_a_hooks_refusal_is_as_a_firewalls(people, settings, hook, answer):
    """
    ForbiddenException is Cognito's name for a refusal by a web ACL. No SDK repeats such a request.
    """
    with_settings(settings, PRE_SEND_HOOK=hook)
    response = send({"Username": "alice"})
    assert said(response) == answer
    assert is_answer(response)
    assert people.emulator.calls == []


@pytest.mark.parametrize(
    "broken",
    [{"POOLS": 5}, {"POOL_RESOLVER": "no.such"}, {"UNIFORM_RESPONSE_SECONDS": "x"}],
    ids=str,
)
def test_a_misconfigured_site_says_so_to_its_operators(people, settings, caplog, broken):
    """The answer is 500, because nothing was sent. Only the log names the setting."""
    body = json.dumps({"ClientId": people.pool["CLIENT_ID"], "Username": "alice"})
    with_settings(settings, **broken)
    response = send(body)
    assert said(response)[:2] == (500, "InternalErrorException")
    assert is_answer(response)
    assert [r.levelname for r in caplog.records if "misconfigured" in r.message] == ["CRITICAL"]


def test_a_misconfigured_site_calls_nobody(people, settings):
    """
    Settings that are used after a call are read before it, so a 500 means that nothing was sent.
    """
    with_settings(settings, UNIFORM_RESPONSE_SECONDS="x")
    assert said(confirm())[:2] == (500, "InternalErrorException")
    assert people.emulator.calls == []


def fail(*args, **kwargs):
    raise RuntimeError("a bug of the site's")


class Broken(CognitoService):
    request_code = confirm = fail


@pytest.mark.parametrize("target", [FORGOT, CONFIRM])
def test_a_sites_bug_is_reported_as_django_reports_one(people, settings, caplog, target):
    """The answer is JSON. The call may have been made, so the SDK's next attempt gets an unknown outcome."""
    with_settings(settings, SERVICE_CLASS=Broken)
    client = Client(raise_request_exception=False)
    body = {"Username": "alice", "ConfirmationCode": "123456", "Password": NEW_PASSWORD}

    def attempt(client, name="alice"):
        header = {"amz-sdk-invocation-id": name}
        return send({**body, "Username": name}, target, client=client, **header)

    response = attempt(client)
    assert said(response)[:2] == (500, "InternalErrorException")
    assert is_answer(response)
    (record,) = [record for record in caplog.records if record.name == "django.request"]
    assert record.exc_info is not None
    assert record.levelname == "ERROR"
    assert record.status_code == 500
    status, name, text = said(attempt(client))
    assert (status, name) == (400, "InternalErrorException")
    assert ("could not confirm" if target == CONFIRM else "may be on its way") in text
    with pytest.raises(RuntimeError):  # by the signal that error trackers listen to
        attempt(Client(), "bob")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (Http404, (400, "ResourceNotFoundException")),
        (PermissionDenied, (403, "ForbiddenException")),
        (exceptions.NotFound, (400, "ResourceNotFoundException")),
        (exceptions.PermissionDenied, (403, "ForbiddenException")),
        (exceptions.NotAuthenticated, (403, "ForbiddenException")),
        (exceptions.Throttled, (400, "LimitExceededException")),
        (exceptions.NotAcceptable, (400, "InvalidParameterException")),
        (Plain("You are not from here."), (403, "ForbiddenException")),
        (Plain({"place": ["You are not from here."]}), (403, "ForbiddenException")),
        (Plain(None), (403, "ForbiddenException")),
    ],
)
def test_a_resolver_may_know_no_pool(people, settings, error, answer):
    """
    The tenant doesn't exist, for example. That is no bug, and no report with a password is sent.
    """

    def resolve(request):
        raise error

    with_settings(settings, POOL_RESOLVER=resolve)
    response = send({"Username": "alice"})
    assert said(response)[:2] == answer
    assert is_answer(response)


def test_a_resolvers_server_error_is_a_bug_of_the_sites(people, settings, caplog):
    """
    DRF's APIException means a server error, not a refusal. Nothing was sent, so SDKs may repeat the
    request.
    """

    def resolve(request):
        raise exceptions.APIException

    with_settings(settings, POOL_RESOLVER=resolve)
    response = send({"Username": "alice"}, client=Client(raise_request_exception=False))
    assert said(response)[:2] == (500, "InternalErrorException")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("detail", ["Not from here.", {"place": ["Not from here."]}])
def test_plain_text_will_do_over_rest(people, settings, detail):
    """REST returns the plain text, as DRF's own handler does."""

    def resolve(request):
        raise Plain(detail)

    with_settings(settings, POOL_RESOLVER=resolve)
    response = REST().request("alice")
    assert response.status_code == 403
    (error,) = response.json()["errors"]
    assert (error["code"], error["detail"]) == ("error", "Not from here.")


class NoCode:
    def validate(self, password, user=None):
        raise ValidationError("Not this one.", "invalid")

    def get_help_text(self):
        return ""


def test_a_validators_refusal_is_a_rules(people, settings):
    """It has any code, even one that the app uses for values that can't be a password."""
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{__name__}.NoCode"}]
    assert said(confirm()) == (400, "InvalidPasswordException", "Not this one.")


def test_it_says_how_long_it_is_without_middleware_that_does(people, settings):
    """A site needn't have CommonMiddleware, which adds Content-Length."""
    settings.MIDDLEWARE = []
    assert is_answer(send({"Username": "alice"}))
    assert is_answer(send({}))


@pytest.mark.parametrize("secure", [True, False])
def test_a_site_that_wants_https_gets_it_here_too(people, settings, secure):
    """
    SDKs can't follow SecurityMiddleware's redirect, so docs/aws.md exempts the endpoint's path, and
    only that.
    """
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^cognito/*$"]
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *settings.MIDDLEWARE]
    headers = {"X-Amz-Target": FORGOT}
    body = json.dumps({"ClientId": people.pool["CLIENT_ID"], "Username": "alice"})
    response = Client().generic(
        "POST", "/cognito", body, MEDIA_TYPE, secure=secure, headers=headers
    )
    if secure:
        assert response.status_code == 200
    else:
        assert said(response) == (403, "ForbiddenException", "Use https.")
        assert people.emulator.calls == []


@pytest.mark.requirement("D1")
def test_d1_it_takes_no_notice_of_cookies(people):
    """
    Browsers send cookies if page and endpoint share an origin. The endpoint needs no CSRF token,
    and ignores session and user.
    """
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.create_user("somebody"))
    response = send({"Username": "alice"}, client=client)
    assert response.status_code == 200
    assert not response.cookies
    assert "Cookie" not in response.headers.get("Vary", "")


def test_two_answers_have_two_ids(people):
    """As on AWS, each answer has a request id, which users can tell the operators."""
    first, second = (send({"Username": "alice"}).headers["x-amzn-RequestId"] for _ in range(2))
    assert first != second


def test_the_text_is_in_the_callers_language(people, settings):
    """Clients show the text unchanged, and decide by the error's name."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    body = {"Username": "alice", "ConfirmationCode": "123456", "Password": NEW_PASSWORD}
    with translation.override(None):  # the middleware's choice ends with the test
        response = send(body, CONFIRM, **{"Accept-Language": "de"})
    _, name, text = said(response)
    assert name == "CodeMismatchException"
    assert "Code" in text
    assert "The code" not in text


@pytest.mark.requirement("H4")
def test_h4_the_way_is_on_record(people):
    """The audit and the signals call this interface "aws"."""
    from cognito_reset.models import ResetEvent

    AWS().request("alice")
    assert ResetEvent.objects.get().interface == "aws"
