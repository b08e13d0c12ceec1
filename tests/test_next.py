"""D10: where a reset leads on to: an allowed "next", the site's success_url, or the done page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import include, path

from cognito_reset.pages.views import ConfirmView
from tests.interfaces import Pages
from tests.people import NEW_PASSWORD
from tests.test_readme import python

HOSTILE = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:///evil.example",
    "javascript:alert(1)",
    "\x00/inside/",
    "\t//evil.example",
    "http://testserver@evil.example/",
    "http://testserver.evil.example/",
    "http:\uff0f\uff0fevil.example",
    f"//evil.example/{'a' * 7000}",
]


# The documented hook for a site that signs in after a reset.
documented: dict[str, Any] = {}
exec(python("views.py"), documented)

pages = [path("confirm/", ConfirmView.as_view(success_url="/welcome/"), name="confirm")]
signing_in = [path("confirm/", documented["SigningIn"].as_view(), name="confirm")]
urlpatterns = [
    path("", include("tests.urls")),
    path("own/", include((pages + include("cognito_reset.urls")[0].urlpatterns, "own"))),
    path("hook/", include((signing_in + include("cognito_reset.urls")[0].urlpatterns, "hook"))),
]


def test_d10_an_allowed_next_is_carried_through_both_steps(people):
    """D10: from the first page over the second to where the visitor wanted to go."""
    client = Client()
    page = client.get("/password-reset/?next=/account/%3Fa%3D1")
    carried = "next=%2Faccount%2F%3Fa%3D1"
    assert page.context["request_url"] == f"/password-reset/?{carried}"
    response = client.post(page.context["request_url"], {"username": "alice"})
    assert response.url == f"/password-reset/confirm/?{carried}"
    page = client.get(response.url)
    assert page.content.decode().count(carried) >= 3  # both forms, and the link to start again
    data = {
        "username": "alice",
        "confirmation_code": people.emulator.outbox[0].code,
        "password": NEW_PASSWORD,
    }
    assert client.post(page.context["confirm_url"], data).url == "/account/?a=1"
    assert dict(client.session) == {}


@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: repr(url[:40]))
def test_d10_a_next_to_elsewhere_is_dropped(people, url):
    """D10: no redirect, no link and no hidden field leads to a host that isn't the site's."""
    client = Client()
    page = client.get("/password-reset/", {"next": url})
    assert page.context["confirm_url"] == "/password-reset/confirm/"
    assert "evil" not in page.content.decode()
    response = client.post("/password-reset/", {"username": "alice", "next": url})
    assert response.url == "/password-reset/confirm/"
    code = people.emulator.outbox[0].code
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD, "next": url}
    assert client.post("/password-reset/confirm/", data).url == "/password-reset/done/"


def test_d11_no_host_of_a_request_gets_into_an_answer(people, settings):
    """D11: neither a body nor a header repeats what the request calls the host."""
    settings.ALLOWED_HOSTS = ["*"]
    for interface in (Pages(),):
        headers = {"HTTP_HOST": "evil.example", "HTTP_X_FORWARDED_HOST": "evil.example"}
        for response in (
            interface.client.get("/password-reset/", **headers),
            interface.client.post("/password-reset/", {"username": "alice"}, **headers),
            interface.client.post("/api/password-reset/", {"username": "alice"}, **headers),
        ):
            assert "evil" not in response.content.decode()
            assert "evil" not in str(response.headers)


@pytest.mark.urls("tests.test_next")
def test_a_success_url_stands_in_for_the_done_page(people):
    """A site names its own page; an unknown outcome still gets ours, for it must be said."""
    client = Client()
    data = {
        "username": "alice",
        "confirmation_code": people.code("alice"),
        "password": NEW_PASSWORD,
    }
    assert client.post("/own/confirm/", data).url == "/welcome/"
    people.emulator.fail_next("ConfirmForgotPassword", "InternalErrorException")
    data["confirmation_code"] = people.code("alice")
    assert client.post("/own/confirm/", data).url == "/own/done/"


@pytest.mark.urls("tests.test_next")
def test_d15_a_site_may_sign_in_by_the_documented_hook(people):
    """D15: never by itself; a site that wants it overrides one method."""
    get_user_model().objects.create_user("alice")
    client = Client()
    data = {
        "username": "alice",
        "confirmation_code": people.code("alice"),
        "password": NEW_PASSWORD,
    }
    client.post("/password-reset/confirm/", data)
    assert "_auth_user_id" not in client.session
    client.post("/hook/confirm/", {**data, "confirmation_code": people.code("alice")})
    assert "_auth_user_id" in client.session
