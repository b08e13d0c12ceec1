"""The pages: what they keep, what they refuse, and where they lead."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.contrib.auth import get_user_model
from django.contrib.messages import get_messages
from django.core.exceptions import SuspiciousOperation
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path
from django.utils.html import escape
from pytest_django.asserts import assertInHTML, assertTemplateUsed

from cognito_reset import urls
from cognito_reset.models import LedgerSlot
from cognito_reset.pages.views import ConfirmView, RequestView, StepView
from cognito_reset.testing import Timeout
from tests.interfaces import Pages
from tests.people import NEW_PASSWORD, PASSWORD

PAGES = ("/password-reset/", "/password-reset/confirm/")
FIELDS = {"": "username", "confirm/": "password"}


def with_settings(settings, **changes):
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, **changes}


def test_a_person_resets_a_password(people):
    """The whole way: ask, read the code, enter it with a new password, and sign in with that."""
    interface = Pages()
    response = interface.request("alice")
    assert (response.status_code, response.url) == (302, "/password-reset/confirm/")
    code = people.emulator.outbox[-1].code
    response = interface.confirm("alice", f" {code[:3]}-{code[3:]} ", NEW_PASSWORD)
    assert (response.status_code, response.url) == (302, "/password-reset/done/")
    assert interface.client.get(response.url).context["outcome"] == "confirmed"
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert not people.can_sign_in("alice", PASSWORD)


@pytest.mark.requirement("D14", "U28")
def test_d14_u28_the_confirm_page_opens_without_a_session(people):
    """Another device, or a code that staff sent: the page asks for the username."""
    interface = Pages()
    page = interface.client.get("/password-reset/confirm/")
    assert page.status_code == 200
    assert 'name="username"' in page.content.decode()
    assert page.context["sent"] is False
    response = interface.confirm("alice", people.code("alice"), NEW_PASSWORD)
    assert response.url == "/password-reset/done/"


@pytest.mark.requirement("D14")
def test_d14_the_done_page_is_shown_once(people):
    """The done page belongs to one reset: later, and for others, it leads to the start."""
    interface = Pages()
    assert interface.client.get("/password-reset/done/").url == "/password-reset/"
    interface.confirm("alice", people.code("alice"), NEW_PASSWORD)
    assert interface.client.get("/password-reset/done/").status_code == 200
    assert interface.client.get("/password-reset/done/").url == "/password-reset/"


@pytest.mark.requirement("D12")
def test_d12_the_session_id_changes_when_the_flow_starts(people):
    """A session id that an attacker planted becomes useless, and the rest of the session stays."""
    interface = Pages()
    session = interface.client.session
    session["basket"] = ["socks"]
    session.save()
    planted = interface.client.cookies["sessionid"].value
    interface.request("alice")
    assert interface.client.cookies["sessionid"].value != planted
    assert interface.client.session["basket"] == ["socks"]
    stolen = Client()
    stolen.cookies["sessionid"] = planted
    assert "cognito_reset:default" not in stolen.session


@pytest.mark.requirement("D13")
def test_d13_the_session_keeps_a_name_and_times_only(people):
    """No step stores a code or a password. After the reset the name is removed, too."""
    interface = Pages()
    interface.request("alice")
    assert set(interface.client.session["cognito_reset:default"]) == {
        "username",
        "resend_at",
        "short",
        "until",
    }
    interface.confirm("alice", "000000", NEW_PASSWORD)
    assert set(interface.client.session["cognito_reset:default"]) == {
        "username",
        "resend_at",
        "short",
        "until",
    }
    interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    assert set(interface.client.session["cognito_reset:default"]) == {"outcome", "short", "until"}
    interface.client.get("/password-reset/done/")
    assert dict(interface.client.session) == {}


@pytest.mark.requirement("D13")
def test_d13_the_flow_ends_with_the_code(people, monkeypatch):
    """After an hour, when the code has expired, the session's name isn't used any more."""
    interface = Pages()
    interface.request("alice")
    session = interface.client.session
    session["cognito_reset:default"] = {**session["cognito_reset:default"], "until": 1}
    session.save()
    page = interface.client.get("/password-reset/confirm/")
    assert (page.context["username"], page.context["sent"]) == ("", False)


@pytest.mark.requirement("U22")
def test_u22_what_was_typed_is_kept_secrets_aside(people):
    """After an error the form contains the name again, but not the code and the password."""
    body = Pages().confirm("alice@example.com", "314159", "Weak-but-secret").content.decode()
    assert 'value="alice@example.com"' in body
    assert "314159" not in body
    assert "Weak-but-secret" not in body


@pytest.mark.requirement("D1")
@pytest.mark.parametrize("page", PAGES)
def test_d1_a_post_needs_a_csrf_token(people, page, settings):
    """This holds even if the site has no CSRF middleware."""
    client = Client(enforce_csrf_checks=True)
    assert client.post(page, {"username": "alice"}).status_code == 403
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "Csrf" not in name]
    assert client.post(page, {"username": "alice"}).status_code == 403
    token = client.get(page).cookies["csrftoken"].value
    client.post(page, {"username": "alice", "csrfmiddlewaretoken": token})
    assert client.post("/password-reset/", {"username": "alice"}).status_code == 403
    assert len(people.emulator.calls) <= 1


@pytest.mark.requirement("D4")
@pytest.mark.parametrize("page", [*PAGES, "/password-reset/done/"])
@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
def test_d4_only_post_changes_anything(people, page, method):
    """GET, HEAD and OPTIONS send nothing, and other methods get 405."""
    response = getattr(Client(), method)(page)
    assert people.emulator.calls == []
    allowed = method in ("get", "head", "options")
    assert (response.status_code in (200, 302)) is allowed
    assert (response.status_code == 405) is not allowed


@pytest.mark.requirement("D4")
def test_d4_a_scanner_that_opens_the_link_changes_nothing(people, settings):
    """A scanner opens the link without its fragment, several times, and the code stays valid."""
    with_settings(settings, LIMITS={"confirm": {"network": "1/h"}})
    code = people.code("alice")
    people.emulator.calls.clear()
    scanner = Client()
    for method in (scanner.get, scanner.head):
        for _ in range(20):
            assert method("/password-reset/confirm/").status_code == 200
    assert people.emulator.calls == []
    assert not LedgerSlot.objects.exists()
    assert "sessionid" not in scanner.cookies
    assert Pages().confirm("alice", code, NEW_PASSWORD).url == "/password-reset/done/"


@pytest.mark.requirement("D5")
def test_d5_the_pages_work_where_a_login_is_required(people, settings):
    """A person who forgot the password can't log in first."""
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    settings.LOGIN_URL = "/sign-in/"
    interface = Pages()
    for page in PAGES:
        assert interface.client.get(page).status_code == 200
    assert interface.request("alice").url == "/password-reset/confirm/"
    assert interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD).url.endswith(
        "done/"
    )
    assert interface.client.get("/password-reset/done/").status_code == 200


def every_answer(people):
    interface = Pages()
    yield from (interface.client.get(page) for page in PAGES)
    yield interface.client.get("/password-reset/done/")
    yield interface.client.put("/password-reset/")
    yield interface.request("")
    yield interface.request("alice")
    yield interface.confirm("alice")
    yield Client(enforce_csrf_checks=True).post("/password-reset/", {"username": "alice"})
    yield interface.request("x" * 9000)
    people.emulator.fail_next("ForgotPassword", Timeout())
    yield interface.request("alice")
    yield interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    yield interface.client.get("/password-reset/done/")


@pytest.mark.requirement("D6", "D7", "D8")
def test_d6_d7_d8_every_answer_has_its_headers(people, settings):
    """
    On every status, the answer isn't cached, isn't framed, and sends no Referer to other sites.
    """
    settings.MIDDLEWARE = [
        name for name in settings.MIDDLEWARE if "XFrame" not in name and "CsrfView" not in name
    ]
    statuses = set()
    for response in every_answer(people):
        statuses.add(response.status_code)
        assert response.headers["Cache-Control"] == (
            "max-age=0, no-cache, no-store, must-revalidate, private"
        )
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert "Content-Security-Policy" not in response.headers
    assert statuses == {200, 302, 400, 403, 405, 413, 503}


@pytest.mark.requirement("D6")
def test_d6_a_cache_for_the_whole_site_gives_nobody_anothers_page(people, settings):
    """No visitor gets a page with another visitor's name and token."""
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    first, second = Pages(), Pages()
    first.client.cookies["sessionid"] = second.client.cookies["sessionid"] = "dummy"
    first.request("alice")
    assert "alice" in first.client.get("/password-reset/confirm/").content.decode()
    page = second.client.get("/password-reset/confirm/")
    assert "alice" not in page.content.decode()
    assert "Cookie" in page.headers["Vary"]


@pytest.mark.requirement("D15", "D16")
def test_d15_d16_nobody_is_logged_in_or_becomes_another(people):
    """A reset logs nobody in, and doesn't change who is logged in."""
    interface = Pages()
    interface.request("alice")
    interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    assert "_auth_user_id" not in interface.client.session
    user = get_user_model().objects.create_user("somebody")
    other = Pages()
    other.client.force_login(user)
    other.request("bob")
    other.confirm("bob", people.emulator.outbox[-1].code, NEW_PASSWORD)
    assert other.client.session["_auth_user_id"] == str(user.pk)


@pytest.mark.requirement("D17")
def test_d17_the_pages_set_no_cookie_of_their_own(people):
    """The only cookies are Django's session cookie and CSRF cookie."""
    interface = Pages()
    interface.client.get("/password-reset/")
    interface.request("alice")
    assert set(interface.client.cookies) == {"csrftoken", "sessionid"}


@pytest.mark.requirement("C7")
def test_c7_a_double_click_sends_one_code(people, settings):
    """The second of two equal requests makes no call, and leads to the same page."""
    with_settings(settings, LIMITS={})
    interface = Pages()
    first, second = interface.request("alice"), interface.request("alice")
    assert (first.url, second.url) == ("/password-reset/confirm/", "/password-reset/confirm/")
    assert len(people.emulator.calls) == 1
    page = interface.client.get("/password-reset/confirm/")
    assert 55 <= page.context["resend_after"] <= 60


@pytest.mark.requirement("C7")
def test_c7_another_browser_is_told_when_to_ask_again(people, settings):
    """Within the cool-down of a name, every browser gets the page that asks for the code."""
    with_settings(settings, LIMITS={}, SHOW_DESTINATION=True)
    Pages().request("alice")
    interface = Pages()
    assert interface.request("alice").url == "/password-reset/confirm/"
    page = interface.client.get("/password-reset/confirm/")
    assert page.context["username"] == "alice"
    assert page.context["destination"] is None
    interface.request("bob")
    assert interface.request("bob").status_code == 302
    page = interface.client.get("/password-reset/confirm/")
    assert page.context["destination"] == "+*******0123"


@pytest.mark.requirement("B10", "U16")
def test_b10_too_many_is_a_page_with_the_time_to_wait(people, settings):
    """The page has status 429, Retry-After, and the same time in words. Cognito isn't called."""
    with_settings(settings, LIMITS={"confirm": {"identifier": "1/15m"}})
    interface = Pages()
    interface.confirm("alice")
    response = interface.confirm("alice")
    assert response.status_code == 429
    assert 890 <= int(response.headers["Retry-After"]) <= 900
    assert response.context["wait"] == "15 minutes"
    assert "15 minutes" in response.content.decode()
    assert len(people.emulator.calls) == 1


@pytest.mark.requirement("G1")
def test_a_repeated_field_is_refused(people):
    """A repeated field is refused, so that the value that is sent is the one that was checked."""
    interface = Pages()
    response = interface.client.post(
        "/password-reset/", "username=alice&username=bob", "application/x-www-form-urlencoded"
    )
    assert response.status_code == 400
    assert people.emulator.calls == []
    assert [error.id for error in response.context["errors"]] == ["id_username"]


def test_a_form_may_bring_what_a_browser_script_adds(people, settings):
    """Nested members are named "a.b". The serializer ignores other fields."""
    with_settings(
        settings,
        FORWARD_CLIENT_METADATA=["campaign"],
        FORWARD_ENCODED_DATA=True,
        FORWARD_ANALYTICS_METADATA=True,
    )
    Pages().request(
        "alice",
        **{
            "client_metadata.campaign": "spring",
            "user_context_data.encoded_data": "abc",
            "analytics_metadata.analytics_endpoint_id": "e1",
            "other": "x",
        },
    )
    _operation, body = people.emulator.calls[0]
    assert body["ClientMetadata"] == {"campaign": "spring"}
    assert body["UserContextData"] == {"EncodedData": "abc"}
    assert body["AnalyticsMetadata"] == {"AnalyticsEndpointId": "e1"}


@pytest.mark.parametrize("data", [{"client_metadata": "x"}, {"username.a": "x"}])
def test_a_form_with_the_wrong_nesting_is_bad_input(people, data):
    """The summary shows an error even if the page has no field for it."""
    response = Pages().send("", {"username": "alice", "client_metadata.a": "1", **data})
    assert response.status_code == 400
    assert len(response.context["errors"]) == 1


@pytest.mark.requirement("G4")
def test_g4_a_huge_body_is_refused_unread(people):
    """413, and nothing of it is parsed."""
    client = Client(enforce_csrf_checks=True)  # whose token stands in the body
    response = client.post("/password-reset/", {"username": "a" * 10_000})
    assert response.status_code == 413


def states(client):
    """The keys under which the session stores resets."""
    return {key for key in client.session.keys() if key.startswith("cognito_reset:")}  # noqa: SIM118


def test_every_pool_has_a_flow_of_its_own(people, settings):
    """A reset ends in the pool and under the address where it began."""
    pool = people.pool
    with_settings(settings, POOLS={"default": pool, "brand": pool})
    interface = Pages()
    response = interface.client.post("/brand/password-reset/", {"username": "alice"})
    assert response.url == "/brand/password-reset/confirm/"
    page = interface.client.get(response.url)
    assert page.context["username"] == "alice"
    assert 'action="/brand/password-reset/confirm/"' in page.content.decode()
    assert interface.client.get("/password-reset/confirm/").context["username"] == ""
    assert states(interface.client) == {"cognito_reset:brand"}


def test_a_pool_can_be_resolved_from_the_request(people, settings):
    """A resolver gets the request. A pool that the URL names comes first."""
    with_settings(
        settings,
        POOLS={"default": people.pool, "brand": people.pool, "tenant": people.pool},
        POOL_RESOLVER=lambda request: request.headers["X-Tenant"],
    )
    client = Client(headers={"X-Tenant": "tenant"})
    client.post("/password-reset/", {"username": "alice"})
    client.post("/brand/password-reset/", {"username": "alice"})
    assert states(client) == {"cognito_reset:tenant", "cognito_reset:brand"}


urlpatterns = [
    path("outer/", include(([path("reset/", include(urls))], "outer"))),
    path("<slug:tenant>/reset/", include(urls)),
]


@pytest.mark.urls("tests.test_pages")
def test_the_pages_work_below_a_captured_path(people):
    """A tenant in the path stays in it, for the resolver to read."""
    interface = Pages()
    assert interface.client.get("/acme/reset/").status_code == 200
    response = interface.client.post("/acme/reset/", {"username": "alice"})
    assert response.url == "/acme/reset/confirm/"


@pytest.mark.urls("tests.test_pages")
def test_the_pages_work_inside_another_namespace(people):
    """The addresses are those of the namespace that the visitor is in, however deep."""
    response = Client().post("/outer/reset/", {"username": "alice"})
    assert response.url == "/outer/reset/confirm/"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/sign-in/", "/sign-in/"), ("https://x.example/", "https://x.example/"), ("no-such", None)],
)
def test_the_sign_in_link_is_a_setting_and_never_a_fault(people, settings, value, expected):
    """A wrong SIGN_IN_URL only leaves out the link. No URL name is required."""
    with_settings(settings, SIGN_IN_URL=value, CONTACT_URL=value)
    page = Client().get("/password-reset/")
    assert (page.context["sign_in_url"], page.context["contact_url"]) == (expected, expected)


def test_the_time_to_wait_is_said_in_words_that_fit(people, settings):
    """A short wait is given in seconds, a longer one in minutes, each in the right plural."""
    waits = []
    for rate in ("1/s", "1/90s", "1/2m", "1/h"):
        with_settings(settings, LIMITS={"confirm": {"identifier": rate}})
        Pages().confirm(f"user-of-{rate[2:]}")
        waits.append(Pages().confirm(f"user-of-{rate[2:]}").context["wait"])
    assert waits[0] == "1 second"
    assert waits[1] in ("89 seconds", "90 seconds")
    assert waits[2:] == ["2 minutes", "60 minutes"]


def test_a_subclass_can_say_what_follows(people):
    """The views are extended as contrib.auth's are: by class attributes and methods."""

    class Custom(RequestView):
        template_name = "cognito_reset/request.html"

        def form_valid(self, result):
            return HttpResponse(f"sent for {result.username}")

    request = RequestFactory().post("/", {"username": "alice"})
    request.session = Client().session
    request._dont_enforce_csrf_checks = True
    assert Custom.as_view()(request).content == b"sent for alice"
    assert list(get_messages(request)) == []


class OwnPages(StepView):
    """What a site's subclass of each page may set, as with django.contrib.auth's views."""

    extra_context = {"brand": "Example"}

    def get_context_data(self, **kwargs):
        return super().get_context_data(**{"campaign": "spring", **kwargs})


class OwnRequest(OwnPages, RequestView):
    success_url = "/look-in-your-inbox/"


class OwnConfirm(OwnPages, ConfirmView):
    def get_success_url(self):
        return f"/welcome/?pool={self.pool}"


def own_view(people, view, data=None):
    make = RequestFactory().post if data else RequestFactory().get
    request = make("/", data)
    request.session = Client().session
    request._dont_enforce_csrf_checks = True
    return view.as_view()(request)


@pytest.mark.parametrize("view", [OwnRequest, OwnConfirm])
def test_a_subclass_can_add_to_the_context(people, view):
    """By a class attribute, and by the method."""
    context = own_view(people, view).context_data
    assert (context["brand"], context["campaign"]) == ("Example", "spring")
    assert context["confirm_url"] == "/password-reset/confirm/"


def test_a_subclass_can_lead_elsewhere(people):
    """The address of the next page is an attribute, or a method's answer."""
    response = own_view(people, OwnRequest, {"username": "alice"})
    assert (response.status_code, response.url) == (302, "/look-in-your-inbox/")
    data = {"confirmation_code": people.code("alice"), "password": NEW_PASSWORD}
    response = own_view(people, OwnConfirm, {"username": "alice", **data})
    assert (response.status_code, response.url) == (302, "/welcome/?pool=default")


def test_another_name_than_the_sessions_can_be_typed(people):
    """The form shows the name that was typed, not the one in the session."""
    interface = Pages()
    interface.request("alice")
    response = interface.confirm("bob")
    assert (response.context["username"], response.context["sent"]) == ("", False)
    assert 'value="bob"' in response.content.decode()
    assert 'value="alice"' not in response.content.decode()


def test_a_view_outside_of_any_include_leads_to_the_apps_own_addresses(people):
    """A site may call the view itself: its forms then go to where the app is included."""
    request = RequestFactory().get("/")
    request.session = Client().session
    body = RequestView.as_view()(request).render().content.decode()
    assert 'action="/password-reset/"' in body


@pytest.mark.requirement("D6", "D7", "D8")
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("a=&" * 1500, "application/x-www-form-urlencoded"),
        ("--x\r\nbroken", "multipart/form-data"),
    ],
)
def test_d6_a_form_that_cannot_be_read_keeps_the_headers(people, settings, body, content_type):
    """The answer is 400, with the page that the person can start again from and the usual headers."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "XFrame" not in name]
    response = Client().generic("POST", "/password-reset/", body, content_type=content_type)
    assert response.status_code == 400
    assert response.context["text"] == "The request cannot be read."
    assertTemplateUsed(response, "cognito_reset/stop.html")
    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert people.emulator.calls == []


UNREADABLE = [
    ({"CONTENT_LENGTH": ""}, 411, "The request doesn't say how long it is."),
    ({"CONTENT_LENGTH": "999999"}, 413, "The request is too large."),
    ({"CONTENT_TYPE": "text/plain; charset=utf-7"}, 400, "The request cannot be read."),
]


class Untouched(BytesIO):
    """A body that nobody may read."""

    def read(self, size=-1):
        raise AssertionError("the body was read")


def reading_everything(request):
    """A pool resolver that looks at the whole request."""
    assert (request.body, dict(request.POST), dict(request.FILES)) == (b"", {}, {})
    return "default"


@pytest.mark.parametrize("path", ["", "confirm/", "done/"])
@pytest.mark.parametrize(("environ", "status", "text"), UNREADABLE)
def test_a_body_that_is_not_read_is_refused_on_a_page(
    people, settings, caplog, path, environ, status, text
):
    """The person can start again. The body stays unread, also by the CSRF check and the site's own code."""
    with_settings(settings, POOL_RESOLVER=reading_everything)
    client = Client(enforce_csrf_checks=True)
    extra = {"wsgi.input": Untouched(), **environ}
    response = client.post(f"/password-reset/{path}?next=/x/", **extra)
    assert response.status_code == status
    assertTemplateUsed(response, "cognito_reset/stop.html")
    page = response.content.decode()
    assertInHTML(f'<p class="cr-lead">{escape(text)}</p>', page)
    start = "/password-reset/" + ("" if path == "done/" else "?next=%2Fx%2F")
    link = f'<a class="cr-button cr-button-quiet" href="{start}">Ask for a new code</a>'
    assertInHTML(link, page)
    assert "<form" not in page
    assert "django.security.csrf" not in {record.name for record in caplog.records}
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in response.headers["Cache-Control"]


def refusing(request):
    raise SuspiciousOperation


@pytest.mark.parametrize("changes", [{"SIGN_IN_URL": 5}, {"POOL_RESOLVER": refusing}], ids=min)
@pytest.mark.parametrize(("environ", "status", "text"), UNREADABLE)
def test_a_body_is_refused_in_plain_text_where_no_page_can_be_shown(
    people, settings, environ, status, text, changes
):
    """The status stays the same if a setting is wrong or the site's own code fails."""
    with_settings(settings, **changes)
    response = Client().post("/password-reset/", **{"wsgi.input": Untouched(), **environ})
    assert (response.status_code, response.content.decode()) == (status, text)
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["Referrer-Policy"] == "same-origin"


def test_looking_at_the_done_page_with_head_does_not_use_it_up(people, client):
    """A proxy or a link checker may send HEAD before the browser sends GET."""
    data = {
        "username": "alice",
        "confirmation_code": people.code("alice"),
        "password": NEW_PASSWORD,
    }
    done = client.post("/password-reset/confirm/", data).url
    assert client.head(done).status_code == 200
    assert client.get(done).status_code == 200
    assert client.get(done).status_code == 302


@pytest.mark.requirement("D1", "U28")
@pytest.mark.parametrize("path", ["", "confirm/"])
def test_u28_a_page_without_its_cookie_says_so_and_keeps_what_was_typed(people, path):
    """
    The answer is 403 with the form, the reason and a valid token. Only secrets must be typed again.
    """
    client = Client(enforce_csrf_checks=True)
    data = {"username": "alice", "confirmation_code": "123456", "password": NEW_PASSWORD}
    response = client.post(f"/password-reset/{path}", data)
    assert response.status_code == 403
    body = response.content.decode()
    assert "This page was open for too long" in body
    assert 'value="alice"' in body
    assert "123456" not in body
    assert NEW_PASSWORD not in body
    assert people.emulator.calls == []
    token = client.cookies["csrftoken"].value
    response = client.post(f"/password-reset/{path}", {**data, "csrfmiddlewaretoken": token})
    assert response.status_code in (302, 400)
    assert len(people.emulator.calls) == 1


@pytest.mark.requirement("D4")
def test_d4_the_done_page_takes_no_form(people):
    """A POST gets 405, with or without a CSRF token."""
    for client in (Client(enforce_csrf_checks=True), Client()):
        assert client.post("/password-reset/done/").status_code == 405
