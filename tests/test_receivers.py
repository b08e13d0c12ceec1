"""REQUIREMENTS 1.E: what follows a reset, and that none of it can undo one."""

from __future__ import annotations

import django
import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import DatabaseError
from django.test import Client
from django.utils import translation

from cognito_reset.models import ResetEvent
from cognito_reset.receivers import local_user
from cognito_reset.resets.ratelimits import identifier_key
from cognito_reset.signals import password_reset_follow_up_failed
from cognito_reset.testing import Timeout
from tests.interfaces import INTERFACES, REST
from tests.people import NEW_PASSWORD, PASSWORD
from tests.test_pages import with_settings

User = get_user_model()


def reset(people, name="alice", interface=None):
    interface = interface or REST()
    return interface.confirm(name, people.code(name), NEW_PASSWORD)


@pytest.fixture
def failures():
    """The follow-ups that failed, by name."""
    found = []

    def receiver(**kwargs):
        found.append(kwargs)

    password_reset_follow_up_failed.connect(receiver)
    yield found
    password_reset_follow_up_failed.disconnect(receiver)


def tokens(people, name, password):
    _status, answer = people.emulator.handle(
        "AdminInitiateAuth",
        {
            "UserPoolId": people.pool["USER_POOL_ID"],
            "ClientId": people.pool["CLIENT_ID"],
            "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": {
                "USERNAME": name,
                "PASSWORD": password,
                "SECRET_HASH": people.secret_hash(name),
            },
        },
    )
    return answer["AuthenticationResult"]


def is_signed_in(people, token):
    status, _answer = people.emulator.handle("GetUser", {"AccessToken": token["AccessToken"]})
    return status == 200


def test_e1_cognitos_sessions_live_on_unless_the_site_ends_them(people, settings):
    """E1: a reset alone ends nothing; SIGN_OUT_EVERYWHERE does, after the reset and not before."""
    token = tokens(people, "alice", PASSWORD)
    reset(people)
    assert is_signed_in(people, token)
    with_settings(settings, SIGN_OUT_EVERYWHERE=True)
    token = tokens(people, "alice", NEW_PASSWORD)
    people.emulator.calls.clear()
    interface = REST()
    interface.confirm("alice", people.code("alice"), "Another-password-3")
    assert not is_signed_in(people, token)
    operations = [operation for operation, _body in people.emulator.calls]
    assert operations[-3:-1] == ["ConfirmForgotPassword", "AdminUserGlobalSignOut"]


@pytest.mark.parametrize("fault", ["NotAuthorizedException", "AccessDeniedException", Timeout()])
@pytest.mark.parametrize("make_face", INTERFACES)
def test_e1_a_failed_sign_out_leaves_the_reset_done(
    people, settings, caplog, failures, make_face, fault
):
    """E1: it is logged and signalled, and nobody is told that the reset failed."""
    with_settings(settings, SIGN_OUT_EVERYWHERE=True)
    people.emulator.fail_next("AdminUserGlobalSignOut", fault)
    response = reset(people, interface=make_face())
    assert response.status_code in (200, 302)
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert [failure["task"] for failure in failures] == ["sign_out"]
    assert "cognito_reset.sign_out_failed" in caplog.text
    assert "alice" not in caplog.text


def test_e2_every_session_of_a_cognito_user_ends(people):
    """E2: on all devices, for a user without a usable password of this site's."""
    user = User.objects.create_user("alice")
    devices = [Client(), Client()]
    for device in devices:
        device.force_login(user)
    reset(people)
    for device in devices:
        assert not device.get("/password-reset/").wsgi_request.user.is_authenticated
    user.refresh_from_db()
    assert not user.has_usable_password()


def test_e2_a_user_with_a_local_password_is_left_alone(people):
    """E2: their password here isn't Cognito's, so nothing about it has changed."""
    user = User.objects.create_user("alice", password="local-password")
    device = Client()
    device.force_login(user)
    reset(people)
    assert device.get("/password-reset/").wsgi_request.user == user
    user.refresh_from_db()
    assert user.check_password("local-password")


def test_e2_a_failed_reset_ends_nothing(people):
    """E2: a wrong code is no way to log somebody out."""
    user = User.objects.create_user("alice")
    device = Client()
    device.force_login(user)
    REST().confirm("alice")
    people.emulator.fail_next("ConfirmForgotPassword", Timeout())
    REST().confirm("alice")
    assert device.get("/password-reset/").wsgi_request.user == user


def test_e4_the_owner_is_told_at_the_address_on_record(people, settings):
    """E4: never at what was typed; no code, no password, no link made from the request's host."""
    with_settings(settings, NOTIFY_AFTER_RESET=True, CONTACT_URL="https://help.example/")
    User.objects.create_user("alice", email="record@example.com")
    reset(people)
    (message,) = mail.outbox
    assert message.to == ["record@example.com"]
    assert message.subject == "Your password was changed"
    assert "https://help.example/" in message.body
    assert NEW_PASSWORD not in message.body
    assert people.emulator.outbox[0].code not in message.body
    assert "testserver" not in message.body


@pytest.mark.parametrize("contact", [None, "/help/", "http://plain.example/"])
def test_e4_a_mail_names_no_address_that_is_not_one(people, settings, contact):
    """E4: a path leads nowhere from a mail."""
    with_settings(settings, NOTIFY_AFTER_RESET=True, CONTACT_URL=contact)
    User.objects.create_user("alice", email="record@example.com")
    reset(people)
    assert "help" not in mail.outbox[0].body


def test_e4_the_notice_is_in_the_owners_language(people, settings):
    """E4: in the site's, or the user's own where the model has one; never in the request's."""
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    User.objects.create_user("alice", email="record@example.com")
    with translation.override("de"):
        reset(people)
    assert mail.outbox[0].subject == "Your password was changed"
    assert translation.get_language() == settings.LANGUAGE_CODE


def test_e4_nobody_on_record_is_nobody_to_tell(people, settings, failures):
    """E4: no user here, no address, or not asked for: no mail, and no fault."""
    reset(people)
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    reset(people)
    User.objects.create_user("bob")
    reset(people, "bob")
    assert mail.outbox == []
    assert failures == []


def test_e4_a_mail_server_that_fails_changes_nothing(people, settings, failures):
    """E4: the reset is done."""
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": "tests.no_such_backend"}}
    else:
        settings.EMAIL_BACKEND = "tests.no_such_backend"
    User.objects.create_user("alice", email="record@example.com")
    assert reset(people).status_code == 200
    assert [failure["task"] for failure in failures] == ["notice"]


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")],
)
def test_f5_every_step_is_written_down_without_a_name(people, address, network):
    """F5, H2, H6: interface, pool, outcome, code, request id, hashed identifier, truncated network, time."""
    interface = REST()
    interface.client.defaults["REMOTE_ADDR"] = address
    interface.request("alice")
    interface.confirm("alice", "000000")
    interface.confirm("alice", people.emulator.outbox[0].code, NEW_PASSWORD)
    events = list(ResetEvent.objects.order_by("pk"))
    assert [(event.outcome, event.error_code) for event in events] == [
        ("requested", ""),
        ("refused", "code_invalid"),
        ("confirmed", ""),
    ]
    for event in events:
        assert (event.interface, event.pool, event.network) == ("rest", "default", network)
        assert event.identifier_hash == identifier_key("default", "ALICE ")
        assert event.aws_request_id
        assert "alice" not in str(vars(event))
    assert str(events[0]) == "code requested (REST)"


def test_the_audit_is_best_effort(people, monkeypatch, failures):
    """A database that refuses the row changes no answer, and is told of."""

    def refuse(**kwargs):
        raise DatabaseError("full disk, and alice in the message")

    monkeypatch.setattr(ResetEvent.objects, "create", refuse)
    assert REST().request("alice").status_code == 202
    assert [failure["task"] for failure in failures] == ["audit"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("alice", "alice"),
        ("alice@example.com", "alice"),
        ("ALICE", "alice"),
        ("Alice@Example.COM", "alice"),
        ("ONE", "one"),
        ("TWIN", None),
        ("Twin", "Twin"),
        ("nobody", None),
        ("", None),
        ("twice@example.com", None),
        ("al\u0131ce", None),
    ],
)
def test_g6_a_user_of_the_site_is_found_exactly_or_not_at_all(db, typed, found):
    """G6: no lookalike, no guess between two."""
    User.objects.create_user("alice", email="alice@example.com")
    User.objects.create_user("twin")
    User.objects.create_user("Twin")
    User.objects.create_user("one", email="twice@example.com")
    User.objects.create_user("two", email="twice@example.com")
    user = local_user(typed)
    assert (user and user.get_username()) == found


def test_a_site_may_find_its_users_in_its_own_way(db, settings):
    """COGNITO_USERNAME's attribute is asked; a USER_RESOLVER is asked alone."""
    user = User.objects.create_user("local-name", first_name="cognito-name")
    with_settings(settings, COGNITO_USERNAME="first_name")
    assert local_user("cognito-name") == user
    assert local_user("local-name") is None
    with_settings(settings, USER_RESOLVER=lambda typed: user if typed == "x" else None)
    assert local_user("x") == user
    assert local_user("cognito-name") is None


def test_a_flood_of_refused_attempts_is_one_row_by_limit_and_window(people, settings):
    """Who floods one name, or many names from one network, doesn't fill the table."""
    with_settings(
        settings, LIMITS={"request": {"identifier": "1/m"}, "confirm": {"network": "2/m"}}
    )
    for _ in range(4):
        REST().request("alice")
    for number in range(6):
        REST().confirm(f"name-{number}")
    throttled = ResetEvent.objects.filter(outcome="throttled")
    assert throttled.filter(identifier_hash=identifier_key("default", "alice")).count() == 1
    assert throttled.count() == 2
