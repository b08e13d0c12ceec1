"""The ways to the pages that a site has already: its sign-in, the admin's link, other names."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib import admin
from django.template import engines
from django.test import Client, RequestFactory
from django.urls import include, path

from cognito_reset import urls
from cognito_reset.pages.views import RequestView, redirect_to_reset
from tests.documentation import python
from tests.interfaces import Pages, handed_over
from tests.people import NEW_PASSWORD, PASSWORD

START, CONFIRM = "/password-reset/", "/password-reset/confirm/"
REQUIRED = "You need to choose a new password before you can sign in."


def shown() -> list[Any]:
    """The URLs from the blocks of docs/sign-in.md and docs/migrating.md, which run unchanged."""
    values: dict[str, Any] = {"urlpatterns": [path("admin/", admin.site.urls)]}
    for page, comment in (
        ("sign-in.md", "urls.py, for the admin's own link"),
        ("migrating.md", "urls.py, with the names of django.contrib.auth"),
        ("sign-in.md", "urls.py, for browsers and password managers"),
    ):
        exec(python(page, comment), values)
    return list(values["urlpatterns"])


urlpatterns = [
    *shown(),
    path("<slug:tenant>/reset/", include(urls, namespace="tenants")),
    path("", include("tests.urls")),
]


# From the site's own sign-in


def test_a_person_without_a_code_asks_for_one(people):
    """
    An imported user, or one with a compromised password, gets the first page with the name filled
    in.
    """
    interface = Pages()
    response = handed_over(interface.client)
    assert (response.status_code, response.url) == (302, START)
    page = interface.client.get(START)
    assert REQUIRED in page.content.decode()
    assert 'value="alice"' in page.content.decode()
    assert people.emulator.calls == []
    assert interface.request("alice").url == CONFIRM
    page = interface.client.get(CONFIRM)
    assert "we have sent a reset code" in page.content.decode()
    assert REQUIRED not in page.content.decode()
    interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    assert people.can_sign_in("alice", NEW_PASSWORD)


def test_a_person_with_a_code_enters_it(people):
    """
    After a reset by staff, the person gets the second page. It doesn't claim that a code was sent,
    and requires no wait.
    """
    interface = Pages()
    response = handed_over(interface.client, "heidi", code_sent=True)
    assert (response.status_code, response.url) == (302, CONFIRM)
    page = interface.client.get(CONFIRM)
    assert (page.context["username"], page.context["sent"]) == ("heidi", False)
    assert page.context["resend_after"] == 0
    assert REQUIRED in page.content.decode()
    interface.confirm("heidi", people.emulator.outbox[0].code, NEW_PASSWORD)
    assert interface.client.session["cognito_reset:default"]["outcome"] == "confirmed"
    assert people.can_sign_in("heidi", NEW_PASSWORD)


@pytest.mark.requirement("U12")
def test_the_first_code_after_the_hand_over_is_no_other_one(people):
    """The page says that it is another code only if the app has sent one before."""
    interface = Pages()
    handed_over(interface.client, "heidi", code_sent=True)
    notes = []
    for _ in range(2):
        interface.request("heidi")
        notes.append(interface.client.get(CONFIRM).context["note"])
    assert notes == ["", "again"]


@pytest.mark.requirement("C7", "U12")
def test_a_double_click_is_no_other_code(people, settings):
    """After a double click, the page has the same text as before."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    interface = Pages()
    for _ in range(2):
        interface.request("alice")
        assert interface.client.get(CONFIRM).context["note"] == ""
    assert len(people.emulator.calls) == 1


@pytest.mark.requirement("U12")
def test_within_the_cool_down_the_page_says_what_it_said(people, settings):
    """
    If somebody else has requested the code, the page doesn't tell this visitor that one was sent.
    """
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    Pages().request("alice")
    interface = Pages()
    handed_over(interface.client)
    assert interface.request("alice").url == CONFIRM
    page = interface.client.get(CONFIRM)
    assert (page.context["note"], page.context["sent"]) == ("required", False)
    assert page.context["resend_after"] > 0


@pytest.mark.requirement("D7", "D13")
def test_d7_d13_the_hand_over_keeps_a_name_and_nothing_else(people):
    """The name is in the session and in no URL. The password is not handed over."""
    interface = Pages()
    response = handed_over(interface.client)
    assert "alice" not in response.url
    state = interface.client.session["cognito_reset:default"]
    assert set(state) == {"username", "resend_at", "short", "until", "note"}
    assert state["resend_at"] <= time.time()
    assert "secret" not in str(dict(interface.client.session))


@pytest.mark.requirement("D12")
def test_d12_the_hand_over_changes_the_session_id(people):
    """Each start of a reset changes the id. The site's own data stay in the session."""
    client = Client()
    session = client.session
    session["basket"] = ["socks"]
    session.save()
    planted = session.session_key
    handed_over(client)
    assert client.cookies["sessionid"].value != planted
    assert client.session["basket"] == ["socks"]


def test_another_name_is_another_matter(people):
    """A person who continues with another name isn't told to choose a new password."""
    interface = Pages()
    handed_over(interface.client)
    interface.request("bob")
    page = interface.client.get(CONFIRM)
    assert (page.context["username"], page.context["note"]) == ("bob", "")


def test_a_pool_and_its_pages_are_named(people, settings):
    """The state is that pool's, and the pages are those of its namespace."""
    pools = {"default": people.pool, "brand": people.pool}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    client = Client()
    response = handed_over(client, pool="brand", namespace="brand")
    assert response.url == "/brand/password-reset/"
    assert client.get(response.url).context["username"] == "alice"
    assert client.get(START).context["username"] == ""


@pytest.mark.urls("tests.test_ways_in")
def test_a_tenant_in_the_path_is_named(people, settings):
    """The resolver determines the pool, as on the pages."""
    settings.COGNITO_RESET = {
        **settings.COGNITO_RESET,
        "POOLS": {"default": people.pool, "acme": people.pool},
        "POOL_RESOLVER": lambda request: "acme",
    }
    client = Client()
    response = handed_over(client, namespace="tenants", tenant="acme")
    assert response.url == "/acme/reset/"
    assert client.get(response.url).context["username"] == "alice"


def test_markup_in_a_handed_over_name_is_text(people):
    """A name may contain anything that Cognito accepts."""
    client = Client()
    page = client.get(handed_over(client, '"><script>').url)
    assert "<script>" not in page.content.decode()


# Other names of the same pages


@pytest.mark.urls("tests.test_ways_in")
@pytest.mark.parametrize("login_required", [False, True])
def test_the_admins_own_link_leads_to_the_first_page(people, settings, login_required):
    """The documented line is enough, even if every other view requires a login."""
    if login_required:
        settings.MIDDLEWARE = [
            *settings.MIDDLEWARE,
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
        settings.LOGIN_URL = "/admin/login/"
    client = Client()
    login = client.get("/admin/login/").content.decode()
    assert 'href="/admin/password_reset/"' in login
    page = client.get("/admin/password_reset/")
    assert page.status_code == 200
    assert f'action="{START}"' in page.content.decode()
    assert client.post("/admin/password_reset/", {"username": "alice"}).url == CONFIRM


def test_without_that_line_the_admin_has_no_link(people):
    """Without the line there is no link, so the test above is able to fail."""
    assert "password_reset" not in Client().get("/admin/login/").content.decode()


@pytest.mark.urls("tests.test_ways_in")
def test_templates_with_djangos_own_names_work(people):
    """Each name leads to the page that does the same."""
    names = ["password_reset", "password_reset_done", "password_reset_complete"]
    source = " ".join(f'{{% url "{name}" %}}' for name in names)
    addresses = engines["django"].from_string(source).render().split()
    client = Client()
    titles = [client.get(address, follow=True).context["request"].path for address in addresses]
    assert titles == [*addresses[:2], START]
    client.post(addresses[0], {"username": "alice"})
    code = people.emulator.outbox[-1].code
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    client.post(addresses[1], data)
    assert client.get(addresses[2]).context["outcome"] == "confirmed"
    assert not people.can_sign_in("alice", PASSWORD)


@pytest.mark.requirement("U26")
@pytest.mark.urls("tests.test_ways_in")
def test_u26_password_managers_find_the_first_page():
    """The well-known URL redirects temporarily, as the W3C specifies."""
    response = Client().get("/.well-known/change-password")
    assert (response.status_code, response.url) == (302, START)


def test_the_hand_over_needs_no_page_of_ours_to_be_open(people):
    """The site's view calls a function. It needs no middleware, and no state but the session."""
    request = RequestFactory().post("/sign-in/")
    request.session = Client().session
    assert redirect_to_reset(request, "alice").url == START
    request = RequestFactory().get(START)
    request.session = Client().session
    assert RequestView.as_view()(request).status_code == 200
