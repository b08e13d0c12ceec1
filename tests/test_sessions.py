"""What the session stores of a reset, for how long, and for whom."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client

from cognito_reset.pages.session import STATE_SECONDS
from tests.interfaces import Pages
from tests.people import NEW_PASSWORD

START = "/password-reset/"
KEY = "cognito_reset:default"
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
