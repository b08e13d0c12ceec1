"""What the session stores of a reset, for how long, and for whom."""

from __future__ import annotations

import time
from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client, RequestFactory

from cognito_reset.pages.session import STATE_SECONDS
from cognito_reset.pages.views import ConfirmView, redirect_to_reset
from tests.interfaces import Pages
from tests.people import NEW_PASSWORD
from tests.resiliency import SESSIONS

START = "/password-reset/"
KEY = "cognito_reset:default"
NEVER = "max-age=0, no-cache, no-store, must-revalidate, private"
pytestmark = pytest.mark.django_db


@pytest.fixture
def limited(settings):
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}


def confirm(client, people, name="alice"):
    data = {"username": name, "confirmation_code": people.code(name), "password": NEW_PASSWORD}
    return client.post("/password-reset/confirm/", data)


@pytest.mark.requirement("D13")
def test_double_clicks_leave_few_sessions(people, limited):
    """Visitors without cookies who post inside the cool-down leave ten rows at most, and are told to wait."""
    statuses = [Client().post(START, {"username": "alice"}).status_code for _ in range(40)]
    assert statuses == [302] * 11 + [429] * 29
    assert Session.objects.count() == 11


@pytest.mark.requirement("D13")
def test_a_session_that_was_started_for_a_reset_expires_with_it(people):
    """It doesn't live for the two weeks of Django's default."""
    client = Client()
    client.post(START, {"username": "alice"})
    assert 0 < client.session.get_expiry_age() <= STATE_SECONDS
    lifetime = Session.objects.get().expire_date.timestamp() - time.time()
    assert lifetime <= STATE_SECONDS + 5


def test_a_session_of_the_sites_own_keeps_its_lifetime(people):
    """A visitor who is signed in, or has a basket, keeps the session."""
    client = Client()
    session = client.session
    session["basket"] = 1
    session.save()
    before = session.get_expiry_age()
    client.post(START, {"username": "alice"})
    assert client.session.get_expiry_age() == before


def test_a_finished_reset_leaves_no_session(people):
    """Once the done page was shown, nothing is left."""
    client = Client()
    client.post(START, {"username": "alice"})
    client.get(confirm(client, people).url)
    assert Session.objects.count() == 0


def test_a_finished_reset_leaves_the_sites_own_session(people):
    """What the site stored meanwhile stays, with the site's lifetime."""
    client = Client()
    client.post(START, {"username": "alice"})
    session = client.session
    session["basket"] = 1
    session.save()
    client.get(confirm(client, people).url)
    assert client.session["basket"] == 1
    assert KEY not in client.session
    assert client.session.get_expiry_age() > STATE_SECONDS


def test_two_pools_share_a_session(people, settings):
    """The end of one reset doesn't end the other, or change how long it is stored."""
    pools = {"default": people.pool, "brand": people.pool}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    client = Client()
    client.post("/brand/password-reset/", {"username": "alice"})
    client.get(confirm(client, people).url)
    assert client.session["cognito_reset:brand"]["username"] == "alice"
    session = client.session
    session["basket"] = 1
    session.save()
    client.get(confirm(client, people).url)
    assert client.session.get_expiry_age() <= STATE_SECONDS


@pytest.mark.requirement("D13")
def test_a_name_is_dropped_after_its_hour(people):
    """The first look after it removes the name from a session that lives on."""
    client = Client()
    client.post(START, {"username": "alice"})
    session = client.session
    session[KEY] = {**session[KEY], "until": time.time() - 1}
    session["basket"] = 1
    session.save()
    assert client.get(START).context["username"] == ""
    assert KEY not in client.session


@pytest.mark.requirement("D12")
def test_d12_every_start_gets_a_new_session_key(people):
    """A session that an attacker started and planted isn't the victim's afterwards."""
    attacker = Client()
    attacker.post(START, {"username": "mallory"})
    planted = attacker.cookies["sessionid"].value
    victim = Client()
    victim.cookies["sessionid"] = planted
    victim.post(START, {"username": "alice"})
    assert victim.cookies["sessionid"].value != planted
    assert KEY not in attacker.session


def test_signing_in_ends_what_is_stored(people):
    """The name goes, and the session gets the site's own lifetime."""
    user = get_user_model().objects.create_user("local", password=NEW_PASSWORD)
    client = Client()
    client.post(START, {"username": "alice"})
    client.force_login(user)
    assert KEY not in client.session
    assert client.session.get_expiry_age() > STATE_SECONDS


def test_signing_in_without_a_reset_changes_nothing(people):
    """A lifetime that the site has set is left alone, also outside of a request."""
    user = get_user_model().objects.create_user("local", password=NEW_PASSWORD)
    client = Client()
    session = client.session
    session.set_expiry(77)
    session.save()
    client.force_login(user)
    assert client.session.get_expiry_age() == 77


def test_the_cool_down_keeps_what_is_known(people, limited):
    """A double click with a session comes to the same page as the first click."""
    pages = Pages()
    first = pages.client.get(pages.request("alice").url)
    again = pages.client.get(pages.request("alice").url)
    assert again.context["username"] == first.context["username"] == "alice"
    assert 55 <= again.context["resend_after"] <= 60
    other = pages.client.get(pages.request(" alice ").url)
    assert other.context["username"] == "alice"


def test_an_expiry_of_the_sites_own_is_kept(people):
    """Somebody who signed in without "remember me" stays so, whether the reset ends or they sign in again."""
    client = Client()
    session = client.session
    session["basket"] = 1
    session.set_expiry(77)
    session.save()
    client.post(START, {"username": "alice"})
    assert client.session.get_expiry_age() == 77
    client.get(confirm(client, people).url)
    assert client.session.get_expiry_age() == 77
    client.post(START, {"username": "heidi"})
    client.force_login(get_user_model().objects.create_user("local"))
    assert client.session.get_expiry_age() == 77


def test_a_site_that_uses_the_session_meanwhile_gets_its_own_lifetime(people):
    """At the next step, and when the hour of a reset that nobody finished is over."""
    for finish in (True, False):
        client = Client()
        client.post(START, {"username": "alice" if finish else "heidi"})
        session = client.session
        session["basket"] = 1
        session[KEY] = {**session[KEY], "until": session[KEY]["until"] * finish}
        session.save()
        if finish:
            confirm(client, people)
        else:
            client.get(START)
        assert client.session["basket"] == 1
        assert client.session.get_expiry_age() > STATE_SECONDS


def test_an_outcome_outlives_a_sign_in(people):
    """A site that signs in after a reset still shows the done page, and keeps the session afterwards."""
    client = Client()
    client.post(START, {"username": "alice"})
    url = confirm(client, people).url
    client.force_login(get_user_model().objects.create_user("local"))
    assert "has been changed" in client.get(url).content.decode()
    assert client.session["_auth_user_id"]
    assert client.session.get_expiry_age() > STATE_SECONDS


class Table:
    """The table of the sessions, which can be taken away."""

    def fail(self):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE django_session RENAME TO taken_away")

    def recover(self):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE taken_away RENAME TO django_session")


@pytest.fixture
def store(transactional_db):
    table = Table()
    yield table
    if "taken_away" in connection.introspection.table_names():
        table.recover()


def failures(caplog, row):
    """Return the lines that docs/resiliency.md has for the row."""
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if line.startswith(f"cognito_reset.{row.log} error=")]


def test_nothing_is_sent_for_a_session_that_cannot_be_read(people, store, caplog):
    """The forms are shown, the stop page keeps what was typed, and the done page asks to try again."""
    client = Client()
    client.post(START, {"username": "alice"})
    code = people.code("alice")
    sent = len(people.emulator.calls)
    store.fail()
    for path, data in (("", {}), ("confirm/", {"confirmation_code": code})):
        assert client.get(START + path).status_code == 200
        data = {"username": "alice", "password": NEW_PASSWORD, **data}
        response = client.post(START + path, data)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
        assert response.context["reason"] == "unavailable"
        assert 'value="alice"' in response.content.decode()
    response = client.get("/password-reset/done/")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
    assert len(people.emulator.calls) == sent
    assert failures(caplog, SESSIONS["unreadable"])
    store.recover()
    assert confirm(client, people).url == "/password-reset/done/"


def test_a_visitor_without_a_session_gets_through_without_a_store(people, store, caplog):
    """The second page asks for the name, and the outcome is shown without a redirect."""
    client = Client()
    store.fail()
    response = client.post(START, {"username": "alice"})
    assert (response.status_code, response.url) == (302, "/password-reset/confirm/")
    assert "sessionid" not in response.cookies
    page = client.get(response.url)
    assert page.context["username"] == ""
    response = confirm(client, people)
    assert (response.status_code, response.context["outcome"]) == (200, "confirmed")
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert len(failures(caplog, SESSIONS["none"])) == 2


def test_a_refresh_of_an_outcome_that_was_shown_at_once_sends_nothing(people, store, limited):
    """The browser sends the form again. The answer is the same, and has neither the code nor the password."""
    client = Client()
    assert client.post(START, {"username": "alice"}).status_code == 302
    code = people.code("alice")
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    store.fail()
    client = Client()
    for _ in range(2):
        response = client.post("/password-reset/confirm/", data)
        assert (response.status_code, response.context["outcome"]) == (200, "confirmed")
        assert response.headers["Cache-Control"] == NEVER
        for secret in (code, NEW_PASSWORD, "alice"):
            assert secret not in response.content.decode()
    operations = [operation for operation, _ in people.emulator.calls]
    assert operations.count("ConfirmForgotPassword") == 1


def test_a_view_of_the_sites_own_shows_the_outcome_at_once(people, store, rf):
    """With the template and the context that the site gives it."""
    view = ConfirmView.as_view(
        done_template_name="cognito_reset/stop.html", extra_context={"brand": "Example"}
    )
    data = {
        "username": "alice",
        "confirmation_code": people.code("alice"),
        "password": NEW_PASSWORD,
    }
    request = rf.post("/password-reset/confirm/", data)
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    request.csrf_processing_done = True
    store.fail()
    response = view(request)
    assert response.template_name == ["cognito_reset/stop.html"]
    assert response.context_data["brand"] == "Example"
    assert response.context_data["outcome"] == "confirmed"


def test_the_last_page_waits_for_the_store(people, store):
    """If the store fails after the reset was done, the outcome is shown as soon as the store works again."""
    client = Client()
    client.post(START, {"username": "alice"})
    url = confirm(client, people).url
    store.fail()
    assert client.get(url).status_code == 503
    store.recover()
    assert client.get(url).context["outcome"] == "confirmed"


def test_sessions_in_cookies_need_no_store(people, store, settings):
    """Also for a second reset in the same browser. The cookie has neither the code nor the password."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = Client()
    store.fail()
    for name in ("alice", "heidi"):
        client.post(START, {"username": name})
        assert set(client.session[KEY]) == {"username", "resend_at", "short", "until"}
        url = confirm(client, people, name).url
        assert set(client.session[KEY]) == {"outcome", "short", "until"}
        assert client.get(url).context["outcome"] == "confirmed"
        assert client.cookies["sessionid"].value == ""


def test_csrf_tokens_in_the_session_work_until_the_store_fails(people, store, settings):
    """The outcome is shown at once then, because that page has no form and needs no token."""
    settings.CSRF_USE_SESSIONS = True
    client = Client(enforce_csrf_checks=True)
    page = client.get("/password-reset/confirm/")
    data = {
        "csrfmiddlewaretoken": str(page.context["csrf_token"]),
        "username": "alice",
        "confirmation_code": people.code("alice"),
        "password": NEW_PASSWORD,
    }
    meanwhile(settings, store.fail)
    response = client.post("/password-reset/confirm/", data)
    assert (response.status_code, response.context["outcome"]) == (200, "confirmed")
    assert people.can_sign_in("alice", NEW_PASSWORD)


def meanwhile(settings, work):
    """Do ``work`` while an attempt is under way, after the session was read."""

    def metadata(request):
        work()
        return {}

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "CLIENT_METADATA": metadata}


@pytest.mark.parametrize("query", ["", "?next=/welcome/"])
def test_a_reset_is_not_lost_if_the_store_fails_meanwhile(people, store, settings, caplog, query):
    """The outcome is shown at once, or the site's own page follows. The visitor keeps the session."""
    client = Client()
    client.post(START, {"username": "alice"})
    code = people.code("alice")
    meanwhile(settings, store.fail)
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    response = client.post(f"/password-reset/confirm/{query}", data)
    if query:
        assert (response.status_code, response.url) == (302, "/welcome/")
    else:
        assert (response.status_code, response.context["outcome"]) == (200, "confirmed")
    assert "sessionid" not in response.cookies
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert len(failures(caplog, SESSIONS["unwritable"])) == 1
    store.recover()
    assert client.session[KEY]["username"] == "alice"


def test_an_unknown_outcome_is_shown_without_a_store(people, store):
    """It isn't known whether the password was changed, and the visitor reads that."""
    client = Client()
    store.fail()
    people.emulator.fail_next("ConfirmForgotPassword", "InternalErrorException")
    response = confirm(client, people)
    assert (response.status_code, response.context["outcome"]) == (200, "unknown")


def test_a_session_that_was_deleted_meanwhile_loses_no_reset(people, settings, caplog):
    """
    The visitor signs out in another tab. Django would answer 400 (SessionInterrupted) when it saves the session.
    """
    client = Client()
    client.post(START, {"username": "alice"})
    code = people.code("alice")
    meanwhile(settings, Session.objects.all().delete)
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    response = client.post("/password-reset/confirm/", data)
    assert (response.status_code, response.context["outcome"]) == (200, "confirmed")
    assert len(failures(caplog, SESSIONS["deleted"])) == 1
    client.post(START, {"username": "heidi"})
    response = client.post(START, {"username": "bob"})
    assert (response.status_code, response.url) == (302, "/password-reset/confirm/")
    assert client.session[KEY]["username"] == "bob"


def test_sessions_in_a_cache_that_is_down_count_as_none(people, settings, tmp_path, caplog):
    """Django reads them as empty. A file where the cache's folder was makes it fail."""
    folder = tmp_path / "sessions"
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    sessions = {"BACKEND": backend, "LOCATION": str(folder)}
    settings.CACHES = {**settings.CACHES, "sessions": sessions}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.SESSION_CACHE_ALIAS = "sessions"
    client = Client()
    client.post(START, {"username": "alice"})
    folder.rename(tmp_path / "away")
    folder.touch()
    response = client.post(START, {"username": "bob"})
    assert (response.status_code, response.url) == (302, "/password-reset/confirm/")
    response = confirm(client, people)
    assert (response.status_code, response.context["outcome"]) == (200, "confirmed")
    line = "cognito_reset.session_store_failed error=NotADirectoryError"
    assert failures(caplog, SESSIONS["none"]) == [line] * 2


def test_the_sites_sign_in_redirects_without_a_store(people, store):
    """The pages ask for the name again."""
    request = RequestFactory().get("/")
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    store.fail()
    response = redirect_to_reset(request, "alice")
    assert (response.status_code, response.url) == (302, START)
