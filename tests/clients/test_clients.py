"""
Real AWS clients with the site as their endpoint. Only the address is changed: each client can reset a
password, and raises the same errors as for Cognito's own answers.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients import replays
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
    """Return the code's destination as the client shows it. Amplify has its own names for it."""
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
    """Assert that the user signs in with one password and not with the other."""
    other = PASSWORD if password == NEW_PASSWORD else NEW_PASSWORD
    assert site.visitor.sign_in(username, password) == (200, "")
    assert site.visitor.sign_in(username, other) == (401, "NotAuthorizedException")


def test_a_reset(client, site, any_endpoint):
    """
    A code arrives. A wrong code or a weak password changes nothing. With the code, the new password
    signs in.
    """
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
    """The answer doesn't reveal who has an account. A second request within a minute is refused."""
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
    """Five codes may be tried in a quarter of an hour, over all interfaces together."""
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
    """
    Nothing was sent, so the answer is 500, and clients that retry by themselves get a code then.
    """
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
    """The error isn't NotAuthorizedException, which makes Amplify sign the user out."""
    said = client.call(endpoint, "InitiateAuth", "alice", password=PASSWORD)
    assert said.get("error") == "UnknownOperationException", said


def test_a_password_arrives_whole(client, site):
    """
    The password has inner spaces, quotes, backslashes, other scripts, and characters that are two
    units in UTF-16.
    """
    password = "A\"b\\c'1 дなé😀</x>%20&"
    username = site.new_user()
    endpoint = f"{site.url}/cognito"
    assert client.call(endpoint, "ForgotPassword", username).get("ok")
    (code,) = site.codes(username)
    said = client.call(endpoint, "ConfirmForgotPassword", username, code=code, password=password)
    assert said.get("ok"), said
    assert site.visitor.sign_in(username, password) == (200, "")


def test_a_path_is_lost_on_amazonka_without_credentials(site):
    """It posts to "/", where a page of the site answers. It needs a host of its own, as docs/aws-sdks.md says."""
    username = site.new_user()
    asked = {
        "operation": "ForgotPassword",
        "endpoint": f"{site.url}/cognito",
        "members": {"ClientId": "demo", "Username": username},
    }
    with pytest.raises(json.JSONDecodeError):
        replays.play(replays.CLIENTS["amazonka"], asked)
    assert site.codes(username) == []


@pytest.mark.parametrize("form", FORMS[:2])
def test_a_variable_is_enough(client_by_variable, site, form):
    """With AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER, no code needs to be changed."""
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
