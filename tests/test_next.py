"""D10: where a reset leads on to: an allowed "next", the site's success_url, or the done page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import include, path

from cognito_reset.pages.views import ConfirmView
from tests.documentation import python
from tests.interfaces import Pages
from tests.people import NEW_PASSWORD, PASSWORD

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


# The documented views of a site whose last step leads to the sign-in page.
documented: dict[str, Any] = {}
exec(python("sign-in.md", "views.py, to go on to the sign-in page"), documented)

pages = [path("confirm/", ConfirmView.as_view(success_url="/welcome/"), name="confirm")]
urlpatterns = [
    path("password-reset/confirm/", documented["ResetThenSignIn"].as_view()),
    path("sign-in/", documented["SignIn"].as_view(template_name="admin/login.html")),
    path("", include("tests.urls")),
    path("own/", include((pages + include("cognito_reset.urls")[0].urlpatterns, "own"))),
]


@pytest.mark.requirement("D10")
def test_d10_an_allowed_next_is_carried_through_both_steps(people):
    """From the first page over the second to where the visitor wanted to go."""
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
        "confirmation_code": people.emulator.outbox[-1].code,
        "password": NEW_PASSWORD,
    }
    assert client.post(page.context["confirm_url"], data).url == "/account/?a=1"
    assert dict(client.session) == {}


@pytest.mark.requirement("D10")
@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: repr(url[:40]))
def test_d10_a_next_to_elsewhere_is_dropped(people, url):
    """No redirect, no link and no hidden field leads to a host that isn't the site's."""
    client = Client()
    page = client.get("/password-reset/", {"next": url})
    assert page.context["confirm_url"] == "/password-reset/confirm/"
    assert "evil" not in page.content.decode()
    response = client.post("/password-reset/", {"username": "alice", "next": url})
    assert response.url == "/password-reset/confirm/"
    code = people.emulator.outbox[-1].code
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD, "next": url}
    assert client.post("/password-reset/confirm/", data).url == "/password-reset/done/"


@pytest.mark.requirement("D11")
def test_d11_no_host_of_a_request_gets_into_an_answer(people, settings):
    """Neither a body nor a header repeats what the request calls the host."""
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
    """
    A site can set its own page. An unknown outcome still gets the app's page, which explains it.
    """
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


def data_of(people, name):
    return {"username": name, "confirmation_code": people.code(name), "password": NEW_PASSWORD}


@pytest.mark.requirement("D15")
def test_d15_a_reset_signs_nobody_in(people):
    """This holds even if there is a local user with the same name and a known sub."""
    get_user_model().objects.create_user("alice", "alice@example.com")
    client = Client()
    assert client.post("/password-reset/confirm/", data_of(people, "alice")).status_code == 302
    assert "_auth_user_id" not in client.session


@pytest.mark.requirement("D15")
@pytest.mark.urls("tests.test_next")
def test_d15_the_documented_views_lead_to_the_sign_in_page(people):
    """The page shows the name once, no URL contains it, and it signs in only with the right password."""
    users = get_user_model().objects
    users.create_user("alice", password=PASSWORD)
    client = Client()
    response = client.post("/password-reset/confirm/", data_of(people, "alice"))
    assert response.url == "/sign-in/"
    page = client.get("/sign-in/")
    assert page.context["form"]["username"].value() == "alice"
    assert "_auth_user_id" not in client.session
    assert client.get("/sign-in/").context["form"]["username"].value() == ""
    client.post("/sign-in/", {"username": "alice", "password": "wrong"})
    assert "_auth_user_id" not in client.session
    client.post("/sign-in/", {"username": "alice", "password": PASSWORD})
    assert client.session["_auth_user_id"] == str(users.get().pk)


@pytest.mark.requirement("D15")
@pytest.mark.urls("tests.test_next")
def test_d15_the_documented_views_sign_no_attacker_in(people):
    """
    Somebody who signs up as "admin" in the pool doesn't become the local superuser of that name; and
    neither does somebody who sends the same request again from another browser.
    """
    get_user_model().objects.create_superuser("admin")
    people.add("admin", email="mallory@example.com", email_verified="true")
    data = data_of(people, "admin")
    for client in (Client(), Client()):
        assert client.post("/password-reset/confirm/", data).url == "/sign-in/"
        assert client.get("/sign-in/").status_code == 200
        assert "_auth_user_id" not in client.session
