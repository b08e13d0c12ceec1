"""What must hold on a site of any kind. tests/test_variants.py runs this file once for each."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import AsyncClient, Client

from cognito_reset.aws.views import MEDIA_TYPE, SERVICE
from cognito_reset.cognito.service import CognitoService
from cognito_reset.models import LedgerSlot, ResetEvent
from tests.people import NEW_PASSWORD, PASSWORD

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


class Browser:
    """A visitor's browser, over WSGI or ASGI."""

    def __init__(self):
        self.asgi = getattr(settings, "FLOW_OVER_ASGI", False)
        self.client = AsyncClient() if self.asgi else Client()

    def get(self, path):
        return async_to_sync(self.client.get)(path) if self.asgi else self.client.get(path)

    def post(self, path, data, **more):
        send = async_to_sync(self.client.post) if self.asgi else self.client.post
        return send(path, data, **more)

    def post_json(self, path, data):
        return self.post(path, json.dumps(data), content_type="application/json")


def test_an_sdk_resets_a_password(transactional_db, people):
    """The whole way in Cognito's own protocol, at the address and with a slash after it."""
    browser = Browser()

    def send(path, operation, **body):
        return browser.post(
            path,
            json.dumps({"ClientId": people.pool["CLIENT_ID"], "Username": "alice", **body}),
            content_type=MEDIA_TYPE,
            headers={"X-Amz-Target": f"{SERVICE}.{operation}", "amz-sdk-invocation-id": "1"},
        )

    before = len(people.emulator.outbox)
    for path in ("/cognito", "/cognito/"):  # the second is an SDK's repeat
        assert send(path, "ForgotPassword").status_code == 200
    assert len(people.emulator.outbox) == before + 1
    body = {"ConfirmationCode": people.emulator.outbox[-1].code, "Password": NEW_PASSWORD}
    for path in ("/cognito", "/cognito/"):
        response = send(path, "ConfirmForgotPassword", **body)
        assert (response.status_code, response.content) == (200, b"{}")
    assert send("/cognito//", "InitiateAuth").status_code == 400
    assert people.can_sign_in("alice", NEW_PASSWORD)


def test_a_person_resets_a_password_on_the_pages(transactional_db, people):
    """The whole way on the pages, with the session that this site has."""
    browser = Browser()
    assert browser.get("/password-reset/").status_code == 200
    response = browser.post("/password-reset/", {"username": "alice"})
    assert (response.status_code, response.url) == (302, "/password-reset/confirm/")
    page = browser.get(response.url)
    assert "alice" in page.content.decode()
    data = {"username": "alice", "confirmation_code": "000000", "password": NEW_PASSWORD}
    assert browser.post("/password-reset/confirm/", data).status_code == 400
    data["confirmation_code"] = people.emulator.outbox[-1].code
    response = browser.post("/password-reset/confirm/", data)
    assert (response.status_code, response.url) == (302, "/password-reset/done/")
    assert browser.get(response.url).status_code == 200
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert not people.can_sign_in("alice", PASSWORD)


def test_a_single_page_app_resets_a_password(transactional_db, people):
    """The whole way over REST."""
    browser = Browser()
    response = browser.post_json("/api/password-reset/", {"username": "alice"})
    assert response.status_code == 202
    code = people.emulator.outbox[-1].code
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    assert browser.post_json("/api/password-reset/confirm/", data).status_code == 200
    assert people.can_sign_in("alice", NEW_PASSWORD)


WAYS = ("pages", "rest", "aws")


def confirm(browser, people, way, number):
    """Try a wrong code."""
    code, password = f"9{number:05}", NEW_PASSWORD
    data = {"username": "alice", "confirmation_code": code, "password": password}
    if way == "pages":
        return browser.post("/password-reset/confirm/", data)
    if way == "rest":
        return browser.post_json("/api/password-reset/confirm/", data)
    names = {"ClientId": people.pool["CLIENT_ID"], "Username": "alice"}
    body = json.dumps({**names, "ConfirmationCode": code, "Password": password})
    headers = {"X-Amz-Target": f"{SERVICE}.ConfirmForgotPassword"}
    return browser.post("/cognito", body, content_type=MEDIA_TYPE, headers=headers)


@pytest.mark.parametrize("way", WAYS)
def test_limits_and_audit_are_committed_whatever_becomes_of_the_request(
    transactional_db, people, settings, way
):
    """An attempt stays counted: no transaction of the site's takes it back."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    for number in range(12):
        assert 400 <= confirm(Browser(), people, way, number).status_code < 500
    assert len(people.emulator.calls) == 5
    assert LedgerSlot.objects.exists()
    assert set(ResetEvent.objects.values_list("outcome", flat=True)) == {"refused", "throttled"}


class Broken(CognitoService):
    """A site's own service, with a bug."""

    def confirm(self, **kwargs):
        raise RuntimeError("a bug of the site's")


@pytest.mark.parametrize("way", WAYS)
def test_an_attempt_counts_though_the_request_fails(transactional_db, people, settings, way):
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}, "SERVICE_CLASS": Broken}
    browser = Browser()
    browser.client.raise_request_exception = False
    statuses = [confirm(browser, people, way, number).status_code for number in range(6)]
    assert statuses == [500] * 5 + [400 if way == "aws" else 429]


def test_the_sites_own_sessions_end(transactional_db, people, settings):
    """The user of this site's model is found, and signed out."""
    settings.COGNITO_RESET["POOLS"]["default"]["SIGN_IN_WITH"] = ["email"]
    model = get_user_model()
    name = "alice@example.com"
    if model.USERNAME_FIELD == "email":
        user = model.objects.create_user(name)
    else:
        user = model.objects.create_user("alice", email=name)
    before = user.password
    code = people.code("alice")
    data = {"username": name, "confirmation_code": code, "password": NEW_PASSWORD}
    assert Browser().post_json("/api/password-reset/confirm/", data).status_code == 200
    user.refresh_from_db()
    assert user.password != before


def test_the_checks_pass_and_no_migration_is_missing(transactional_db):
    """The app fits this site as it is."""
    call_command("check", fail_level="WARNING")
    call_command("makemigrations", "cognito_reset", check=True, dry_run=True, verbosity=0)
