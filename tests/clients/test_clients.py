"""
The clients that people have, and the site in the place of Cognito: with no more than another address
each of them resets a password, and raises for each refusal what it would raise for Cognito's.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.registry import FORMS, Client, Resends
from tests.clients.stage import Site
from tests.demo import NEW_PASSWORD, PASSWORD

WEAK_PASSWORD = "password"
VARIABLE = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"


@pytest.fixture(params=FORMS)
def endpoint(request: pytest.FixtureRequest, site: Site) -> str:
    return f"{site.url}{request.param}"


@pytest.fixture(params=[*FORMS, "a host of its own"])
def any_endpoint(request: pytest.FixtureRequest, site: Site) -> str:
    return f"{site.url}{request.param}" if request.param in FORMS else site.bare_url


def delivery(said: dict[str, Any]) -> tuple[str, str, str]:
    """Where the code went, as far as the client was told. Amplify has names of its own for it."""
    assert said.get("ok"), said
    details = said["answer"].get("CodeDeliveryDetails")
    if details is None:
        details = said["answer"]["nextStep"]["codeDeliveryDetails"]
        details = {name[0].upper() + name[1:]: value for name, value in details.items()}
    return details["Destination"], details["DeliveryMedium"], details["AttributeName"]


def assert_refused(client: Client, said: dict[str, Any], name: str) -> None:
    assert said.get("error") == name, said
    assert said["message"]
    if client.has_classes:
        assert said["type"] == name


def assert_password(site: Site, username: str, password: str) -> None:
    """Which of the two signs in."""
    other = PASSWORD if password == NEW_PASSWORD else NEW_PASSWORD
    assert site.visitor.sign_in(username, password) == (200, "")
    assert site.visitor.sign_in(username, other) == (401, "NotAuthorizedException")


def test_a_reset(client, site, any_endpoint):
    """A code comes; a wrong one, and a weak password, change nothing; with it the new one signs in."""
    username = site.new_user()
    said = client.call(any_endpoint, "ForgotPassword", username)
    assert delivery(said) == ("***", "EMAIL", "email")
    (code,) = site.codes(username)
    wrong = "000000" if code != "000000" else "111111"
    confirm = ("ConfirmForgotPassword", username)
    said = client.call(any_endpoint, *confirm, code=wrong, password=NEW_PASSWORD)
    assert_refused(client, said, "CodeMismatchException")
    said = client.call(any_endpoint, *confirm, code=code, password=WEAK_PASSWORD)
    assert_refused(client, said, "InvalidPasswordException")
    assert_password(site, username, PASSWORD)
    said = client.call(any_endpoint, *confirm, code=code, password=NEW_PASSWORD)
    assert said.get("ok"), said
    assert_password(site, username, NEW_PASSWORD)


def test_who_has_no_account_and_a_limit(client, site, endpoint):
    """Nobody hears who has an account; the second request within the minute is one too many."""
    email = f"{site.new_name()}@nowhere.example"
    said = client.call(endpoint, "ForgotPassword", email)
    assert delivery(said) == ("p***@n***", "EMAIL", "email")
    said = client.call(endpoint, "ForgotPassword", email)
    assert_refused(client, said, "LimitExceededException")
    said = client.call(
        endpoint, "ConfirmForgotPassword", email, code="123456", password=NEW_PASSWORD
    )
    assert_refused(client, said, "CodeMismatchException")


def test_a_limit_of_tries(client, site):
    """Five codes in a quarter of an hour, on whatever interface of the site."""
    username = site.new_name()
    for number in range(5):
        page = site.visitor.post_json(
            "/api/password-reset/confirm/",
            username=username,
            confirmation_code=f"00000{number}",
            password=NEW_PASSWORD,
        )
        assert page.status == 400, page.text
    said = client.call(
        f"{site.url}/cognito",
        "ConfirmForgotPassword",
        username,
        code="123456",
        password=NEW_PASSWORD,
    )
    assert_refused(client, said, "LimitExceededException")


def test_a_site_without_cognito(client, site, proxy):
    """Nothing was sent, so the answer is 500: who resends by itself then gets a code."""
    username = site.new_user()
    proxy.outages.append(site.without_cognito())
    said = client.call(f"{proxy.url}/cognito", "ForgotPassword", username)
    if client.resends is Resends.NOT:
        assert_refused(client, said, "InternalErrorException")
        assert site.codes(username) == []
    else:
        assert said.get("ok"), said
        assert proxy.passed == 2
        assert len(site.codes(username)) == 1


def test_an_operation_that_is_not_served(client, site, endpoint):
    """Not NotAuthorizedException, for which Amplify forgets who is signed in."""
    said = client.call(endpoint, "InitiateAuth", "alice", password=PASSWORD)
    assert said.get("error") == "UnknownOperationException", said


def test_a_password_arrives_whole(client, site):
    """Blanks inside, quotes, backslashes, letters of other scripts, and what UTF-16 takes two for."""
    password = "A\"b\\c'1 дなé😀</x>%20&"
    username = site.new_user()
    endpoint = f"{site.url}/cognito"
    assert client.call(endpoint, "ForgotPassword", username).get("ok")
    (code,) = site.codes(username)
    said = client.call(endpoint, "ConfirmForgotPassword", username, code=code, password=password)
    assert said.get("ok"), said
    assert site.visitor.sign_in(username, password) == (200, "")


@pytest.mark.parametrize("form", FORMS)
def test_a_variable_is_enough(client_by_variable, site, form):
    """AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER: not a line of code changes."""
    environment = {VARIABLE: f"{site.url}{form}"}
    username = site.new_user()
    said = client_by_variable.call(None, "ForgotPassword", username, environment=environment)
    assert said.get("ok"), said
    (code,) = site.codes(username)
    said = client_by_variable.call(
        None,
        "ConfirmForgotPassword",
        username,
        code=code,
        password=NEW_PASSWORD,
        environment=environment,
    )
    assert said.get("ok"), said
    assert_password(site, username, NEW_PASSWORD)
