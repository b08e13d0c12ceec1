"""REQUIREMENTS 1.E: what follows a reset, and that none of it can undo one."""

from __future__ import annotations

import re
import threading

import django
import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from cognito_reset.models import ResetEvent
from cognito_reset.resets.accounts import local_user
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.signals import (
    SIGNED_OUT,
    password_reset_confirmed,
    password_reset_failed,
    password_reset_follow_up_failed,
)
from cognito_reset.testing import Timeout
from tests.interfaces import INTERFACES, REST
from tests.people import NEW_PASSWORD, PASSWORD, People
from tests.test_pages import with_settings

User = get_user_model()


def reset(people, name="alice", interface=None):
    interface = interface or REST()
    return interface.confirm(name, people.code(name), NEW_PASSWORD)


@pytest.fixture
def failures():
    """Return the names of the follow-ups that failed."""
    found = []

    def receiver(**kwargs):
        found.append(kwargs)

    password_reset_follow_up_failed.connect(receiver)
    yield found
    password_reset_follow_up_failed.disconnect(receiver)


def send(signal=password_reset_confirmed, **changes):
    """Send a signal as the flow does, and return what the app's receivers returned, without ``None``."""
    event = {
        "request": RequestFactory().post("/"),
        "pool": "default",
        "interface": "rest",
        "username": "alice",
        "outcome": "confirmed",
        "error_code": "",
        "aws_request_id": "11111111-2222",
        **changes,
    }
    return [result for _, result in signal.send_robust(None, **event) if result is not None]


def send_unknown(step="confirm", **changes):
    return send(password_reset_failed, outcome="unknown", step=step, is_first=True, **changes)


def is_signed_in_here(device):
    return device.get("/password-reset/").wsgi_request.user.is_authenticated


@pytest.fixture
def device(people):
    """A browser in which alice is signed in, through Cognito."""
    browser = Client()
    browser.force_login(User.objects.create_user("alice", email="record@example.com"))
    return browser


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


@pytest.mark.requirement("E1")
def test_e1_cognitos_sessions_live_on_unless_the_site_ends_them(people, settings):
    """
    Without SIGN_OUT_EVERYWHERE the sessions go on. With it they end, and only after the reset.
    """
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


@pytest.mark.requirement("E1")
@pytest.mark.parametrize("fault", ["NotAuthorizedException", "AccessDeniedException", Timeout()])
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_e1_a_failed_sign_out_leaves_the_reset_done(
    people, settings, caplog, failures, make_interface, fault
):
    """The failure is logged and signalled. The person is told that the reset succeeded."""
    with_settings(settings, SIGN_OUT_EVERYWHERE=True)
    people.emulator.fail_next("AdminUserGlobalSignOut", fault)
    response = reset(people, interface=make_interface())
    assert response.status_code in (200, 302)
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert [failure["task"] for failure in failures] == ["sign_out"]
    assert "cognito_reset.sign_out_failed" in caplog.text
    assert "alice" not in caplog.text


@pytest.mark.requirement("E2")
def test_e2_every_session_of_a_cognito_user_ends(people):
    """They end on all devices if the user has no usable password on this site."""
    user = User.objects.create_user("alice")
    devices = [Client(), Client()]
    for device in devices:
        device.force_login(user)
    reset(people)
    for device in devices:
        assert not device.get("/password-reset/").wsgi_request.user.is_authenticated
    user.refresh_from_db()
    assert not user.has_usable_password()


@pytest.mark.requirement("E2")
def test_e2_a_user_with_a_local_password_is_left_alone(people):
    """The user's password on this site isn't Cognito's, so it hasn't changed."""
    user = User.objects.create_user("alice", password="local-password")
    device = Client()
    device.force_login(user)
    reset(people)
    assert device.get("/password-reset/").wsgi_request.user == user
    user.refresh_from_db()
    assert user.check_password("local-password")


@pytest.mark.requirement("E2")
def test_e2_a_failed_reset_ends_nothing(people, device):
    """A wrong code doesn't log somebody out, nor does Cognito's refusal."""
    REST().confirm("alice")
    people.emulator.fail_next("ConfirmForgotPassword", "TooManyRequestsException")
    REST().confirm("alice")
    assert is_signed_in_here(device)
    assert mail.outbox == []


@pytest.mark.requirement("E2")
def test_e2_a_site_may_keep_its_sessions(people, settings, device):
    """With END_SESSIONS off, nothing on this site changes."""
    with_settings(settings, END_SESSIONS=False)
    reset(people)
    assert is_signed_in_here(device)


# An unknown outcome: the password may have been changed.


@pytest.mark.requirement("E1", "E2", "E4")
def test_e1_an_unknown_outcome_protects_the_owner_as_a_success_does(people, settings, device):
    """Otherwise a thief of a code could stay unnoticed if the answer gets lost."""
    with_settings(settings, SIGN_OUT_EVERYWHERE=True, NOTIFY_AFTER_RESET=True)
    token = tokens(people, "alice", PASSWORD)
    people.emulator.fail_next("ConfirmForgotPassword", Timeout(processed=True))
    assert reset(people).status_code == 502
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert not is_signed_in(people, token)
    assert not is_signed_in_here(device)
    (message,) = mail.outbox
    assert message.to == ["record@example.com"]
    assert message.subject == "[localhost] Your password may have been changed"
    assert "Somebody tried to change the password of your account" in message.body
    assert "was changed" not in message.body


@pytest.mark.requirement("E2")
@pytest.mark.parametrize("step", ["request", "staff"])
def test_e2_an_unknown_outcome_of_another_step_ends_nothing(settings, device, step):
    """Asking for a code changes no password, and what staff send ends no session."""
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    send_unknown(step)
    assert is_signed_in_here(device)
    assert mail.outbox == []


@pytest.mark.requirement("E1", "E2", "E4", "F5")
@pytest.mark.django_db(transaction=True)
def test_e1_a_success_that_is_known_late_protects_the_owner(settings, cognito_emulator):
    """The signal then comes from another thread, with the request still set."""
    with_settings(settings, SIGN_OUT_EVERYWHERE=True, NOTIFY_AFTER_RESET=True)
    people = People(cognito_emulator)
    token = tokens(people, "alice", PASSWORD)
    device = Client()
    device.force_login(User.objects.create_user("alice", email="record@example.com"))
    results = []

    def work():
        try:
            results.extend(send())
        finally:
            # connection.close() leaves a database in memory open, and with it a warning.
            BaseDatabaseWrapper.close(connection)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [SIGNED_OUT]
    assert not is_signed_in(people, token)
    assert not is_signed_in_here(device)
    assert [message.subject for message in mail.outbox] == ["[localhost] Your password was changed"]
    assert ResetEvent.objects.get().network == "127.0.0.0/24"


# What the caller learns of it.


@pytest.mark.requirement("E1")
def test_e1_only_cognitos_sign_out_counts_for_the_done_page(people, settings, device):
    """The end of this site's sessions isn't the end of those of the pool's other apps."""
    assert send() == []
    with_settings(settings, SIGN_OUT_EVERYWHERE=True)
    assert send() == [SIGNED_OUT]
    people.emulator.fail_next("AdminUserGlobalSignOut", "AccessDeniedException")
    assert send() == []


def test_a_confirmed_reset_costs_three_statements(settings, device):
    """Look the user up once, end the sessions, write the audit; transactions aside."""
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        send()
    statements = [query["sql"].split()[0] for query in queries]
    assert sorted(set(statements) - {"SAVEPOINT", "RELEASE"}) == ["INSERT", "SELECT", "UPDATE"]
    assert len([name for name in statements if name not in ("SAVEPOINT", "RELEASE")]) == 3


@pytest.mark.parametrize(
    ("notify", "end_sessions", "task"), [(False, True, "sessions"), (True, False, "notice")]
)
def test_a_look_up_that_fails_is_told_of(people, settings, failures, notify, end_sessions, task):
    """The reset stands, and the log names the follow-up that failed."""

    def resolve(username):
        raise RuntimeError("the site's directory is down")

    with_settings(
        settings, USER_RESOLVER=resolve, NOTIFY_AFTER_RESET=notify, END_SESSIONS=end_sessions
    )
    assert reset(people).status_code == 200
    assert [failure["task"] for failure in failures] == [task]


def test_without_sessions_and_notice_nobody_is_looked_up(people, settings, failures):
    """If both are switched off, the user isn't looked up."""

    def resolve(username):
        raise AssertionError(username)

    with_settings(settings, USER_RESOLVER=resolve, END_SESSIONS=False)
    send()
    assert failures == []


def test_the_log_names_each_outcome(people, caplog):
    """Each line has OWASP's event name, if there is one, and no identifier."""
    caplog.set_level("INFO", logger="cognito_reset.receivers")
    send()
    send_unknown()
    send(password_reset_failed, outcome="refused", step="request", error_code="user_not_found")
    send(password_reset_failed, outcome="throttled", step="confirm", error_code="throttled")
    send(password_reset_failed, outcome="throttled", step="confirm", is_first=False)
    assert [record.getMessage() for record in caplog.records] == [
        f"cognito_reset.{line}"
        for line in (
            "confirmed interface=rest pool=default code= aws_request_id=11111111-2222 "
            "owasp=authn_password_change",
            "unknown interface=rest pool=default code= aws_request_id=11111111-2222 "
            "owasp=authn_password_change_fail",
            "refused interface=rest pool=default code=user_not_found "
            "aws_request_id=11111111-2222 owasp=-",
            "throttled interface=rest pool=default code=throttled aws_request_id=11111111-2222 "
            "owasp=excess_rate_limit_exceeded",
        )
    ]


@pytest.mark.requirement("E4")
def test_e4_the_owner_is_told_at_the_address_on_record(people, settings):
    """
    The mail isn't sent to the typed address. It has no code, no password, and no link with the
    request's host.
    """
    with_settings(settings, NOTIFY_AFTER_RESET=True, CONTACT_URL="https://help.example/")
    User.objects.create_user("alice", email="record@example.com")
    reset(people)
    (message,) = mail.outbox
    assert message.to == ["record@example.com"]
    assert message.subject == "[localhost] Your password was changed"
    assert "Email address: record@example.com" in message.body.splitlines()
    assert "https://help.example/" in message.body
    assert NEW_PASSWORD not in message.body
    assert people.emulator.outbox[-1].code not in message.body
    assert "testserver" not in message.body


@pytest.mark.requirement("E4")
@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("Example Shop <no-reply@mail.example.com>", "Example Shop"),
        ("no-reply@mail.example.com", "mail.example.com"),
        ("", ""),
    ],
)
@pytest.mark.parametrize(
    ("send", "words"),
    [(send, "Your password was changed"), (send_unknown, "Your password may have been changed")],
)
def test_e4_the_notice_names_the_site_and_the_address_on_record(
    people, settings, send, words, sender, name
):
    """
    The site is who the mail comes from, not the host that the request names. What was typed isn't in the
    mail: it may look like a link.
    """
    owner = User.objects.create_user("owner.example", email="record@example.com")
    with_settings(settings, NOTIFY_AFTER_RESET=True, USER_RESOLVER=lambda _: owner)
    settings.DEFAULT_FROM_EMAIL = sender
    settings.ALLOWED_HOSTS = ["*"]
    request = RequestFactory(headers={"host": "attacker.example"}).post("/")
    send(request=request, username="typed.example")
    (message,) = mail.outbox
    assert message.subject == (f"[{name}] {words}" if name else words)
    lines = message.body.splitlines()
    assert "Email address: record@example.com" in lines
    assert (lines[-1] == name) is bool(name)
    for word in ("attacker.example", "typed.example", "owner.example"):
        assert word not in message.body


@pytest.mark.requirement("E4")
@pytest.mark.parametrize("contact", [None, "/help/", "http://plain.example/"])
def test_e4_a_mail_names_no_address_that_is_not_one(people, settings, contact):
    """A path alone is not a usable link in a mail."""
    with_settings(settings, NOTIFY_AFTER_RESET=True, CONTACT_URL=contact)
    User.objects.create_user("alice", email="record@example.com")
    reset(people)
    assert "help" not in mail.outbox[0].body


@pytest.mark.requirement("E4")
def test_e4_the_notice_is_in_the_owners_language(people, settings):
    """The language is the user's if the model has one, else the site's, and never the request's."""
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    User.objects.create_user("alice", email="record@example.com")
    with translation.override("de"):
        reset(people)
    assert mail.outbox[0].subject == "[localhost] Your password was changed"
    assert translation.get_language() == settings.LANGUAGE_CODE


@pytest.mark.requirement("E4")
def test_e4_the_notice_has_the_sites_time_zone(people, settings):
    """Middleware of the site may activate the time zone of the visitor, who may be an attacker."""
    settings.TIME_ZONE = "Europe/Paris"
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    User.objects.create_user("alice", email="record@example.com")
    with timezone.override("Pacific/Kiritimati"):
        reset(people)
        assert timezone.get_current_timezone_name() == "Pacific/Kiritimati"
    assert re.search(r"\(CES?T\)", mail.outbox[0].body)


@pytest.mark.requirement("E4")
def test_e4_nobody_on_record_is_nobody_to_tell(people, settings, failures):
    """Without a local user, an address or the setting, no mail is sent and nothing fails."""
    reset(people)
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    reset(people)
    User.objects.create_user("bob")
    reset(people, "bob")
    assert mail.outbox == []
    assert failures == []


@pytest.mark.requirement("E4")
def test_e4_a_mail_server_that_fails_changes_nothing(people, settings, failures):
    """The reset is done."""
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": "tests.no_such_backend"}}
    else:
        settings.EMAIL_BACKEND = "tests.no_such_backend"
    User.objects.create_user("alice", email="record@example.com")
    assert reset(people).status_code == 200
    assert [failure["task"] for failure in failures] == ["notice"]


@pytest.mark.requirement("F5", "H2", "H6")
@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")],
)
def test_f5_every_step_is_written_down_without_a_name(people, address, network):
    """Interface, pool, step, outcome, code, request id, hashed identifier, truncated network, time."""
    interface = REST()
    interface.client.defaults["REMOTE_ADDR"] = address
    interface.request("alice")
    interface.confirm("alice", "000000")
    interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    events = list(ResetEvent.objects.order_by("pk"))
    assert [(event.step, event.outcome, event.error_code) for event in events] == [
        ("request", "requested", ""),
        ("confirm", "refused", "code_invalid"),
        ("confirm", "confirmed", ""),
    ]
    for event in events:
        assert (event.interface, event.pool, event.network) == ("rest", "default", network)
        assert event.identifier_hash == identifier_key("default", "ALICE ")
        assert event.aws_request_id
        assert "alice" not in str(vars(event))
    assert str(events[0]) == "code requested (REST)"


@pytest.mark.requirement("F5")
def test_f5_a_site_may_do_without_the_audit(people, settings):
    """With AUDIT off no row is written."""
    with_settings(settings, AUDIT=False)
    reset(people)
    assert not ResetEvent.objects.exists()


def test_the_audit_is_best_effort(people, monkeypatch, failures):
    """If the database refuses the row, the answer is the same, and the failure is logged."""

    def refuse(**kwargs):
        raise DatabaseError("full disk, and alice in the message")

    monkeypatch.setattr(ResetEvent.objects, "create", refuse)
    assert REST().request("alice").status_code == 202
    assert [failure["task"] for failure in failures] == ["audit"]


# Whose account it is.


def declare(settings, *names):
    """Declare with what people sign in to the pool."""
    pools = settings.COGNITO_RESET["POOLS"]
    pool = {**pools["default"], "SIGN_IN_WITH": names}
    with_settings(settings, POOLS={**pools, "default": pool})


def found(typed):
    user = local_user("default", typed)
    return user and user.get_username()


@pytest.mark.requirement("G6")
@pytest.mark.parametrize(
    ("typed", "name"),
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
        ("al\u0131ce@example.com", None),
    ],
)
def test_g6_a_user_of_the_site_is_found_exactly_or_not_at_all(db, settings, typed, name):
    """A lookalike isn't found, and neither is a user if two match."""
    declare(settings, "username", "email")
    User.objects.create_user("alice", email="alice@example.com")
    User.objects.create_user("twin")
    User.objects.create_user("Twin")
    User.objects.create_user("one", email="twice@example.com")
    User.objects.create_user("two", email="twice@example.com")
    assert found(typed) == name


@pytest.fixture
def plain_people(db, cognito_emulator, settings):
    """The users of a pool in which people sign in with usernames only, of whatever form."""
    _, made = cognito_emulator.handle("CreateUserPool", {"PoolName": "plain"})
    pool_id = made["UserPool"]["Id"]
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    body = {"UserPoolId": pool_id, "ClientName": "plain", "ExplicitAuthFlows": flows}
    _, made = cognito_emulator.handle("CreateUserPoolClient", body)
    pools = settings.COGNITO_RESET["POOLS"]
    pool = {
        "REGION": pools["default"]["REGION"],
        "USER_POOL_ID": pool_id,
        "CLIENT_ID": made["UserPoolClient"]["ClientId"],
    }
    with_settings(settings, POOLS={**pools, "default": pool})
    return People(cognito_emulator)


@pytest.mark.requirement("G6")
@pytest.mark.parametrize("declared", [None, ["username"], ["username", "phone_number"]])
def test_g6_an_address_may_be_anybodys_username_in_a_pool_without_email(
    plain_people, settings, declared
):
    """Somebody who signs up as ceo@corp.example neither signs the CEO out nor mails them."""
    if declared:
        declare(settings, *declared)
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    plain_people.add("ceo@corp.example", email="mallory@example.com", email_verified="true")
    device = Client()
    device.force_login(User.objects.create_user("boss", email="ceo@corp.example"))
    assert reset(plain_people, "ceo@corp.example").status_code == 200
    assert is_signed_in_here(device)
    assert mail.outbox == []


@pytest.mark.requirement("G6")
def test_g6_a_name_without_an_at_sign_is_no_address(db, settings):
    """The email field is compared with addresses only."""
    declare(settings, "username", "email")
    User.objects.create_user("boss", email="localpart")
    assert found("localpart") is None


@pytest.mark.requirement("G6")
def test_g6_an_address_is_not_compared_with_usernames(db, settings):
    """The owner of the address needn't be the user who has it as a username on this site."""
    declare(settings, "email")
    User.objects.create_user("alice@example.com", email="other@example.com")
    assert found("alice@example.com") is None


@pytest.mark.requirement("G6")
def test_g6_a_local_account_with_a_password_is_nobodys_at_cognito(people, settings):
    """Somebody who signs up as admin doesn't touch the site's own admin."""
    with_settings(settings, NOTIFY_AFTER_RESET=True)
    declare(settings, "username", "email")
    admin = User.objects.create_superuser("admin", "admin@example.com", "local-password")
    people.add("admin", email="admin@example.com", email_verified="true")
    assert found("admin") is None
    assert found("admin@example.com") is None
    reset(people, "admin")
    assert mail.outbox == []
    admin.refresh_from_db()
    assert admin.check_password("local-password")


@pytest.mark.requirement("G6")
def test_g6_usernames_count_only_in_a_pool_that_takes_them(db, settings):
    """Where people sign in by address, a username proves nothing."""
    User.objects.create_user("alice")
    assert found("alice") == "alice"
    declare(settings, "email")
    assert found("alice") is None


@pytest.mark.requirement("G6")
def test_g6_a_phone_number_is_nobodys_unless_the_site_says_where_it_keeps_them(db, settings):
    """A username may look like a phone number, too."""
    User.objects.create_user("+15555550123", last_name="+15555550124")
    assert found("+15555550123") is None
    with_settings(settings, COGNITO_USERNAME="last_name")
    assert found("+15555550124") == "+15555550123"


@pytest.mark.requirement("G6")
def test_g6_the_attribute_that_the_site_names_is_compared_instead_of_the_username(db, settings):
    """In a pool with email, the address is compared as well."""
    User.objects.create_user("local-name", "a@example.com", first_name="Cognito-Name")
    with_settings(settings, COGNITO_USERNAME="first_name")
    declare(settings, "username", "email")
    assert found("cognito-name") == "local-name"
    assert found("local-name") is None
    assert found("a@example.com") == "local-name"


@pytest.mark.requirement("G6")
def test_g6_the_email_field_stays_an_email_field(db, settings):
    """An undeclared pool proves no address, even where COGNITO_USERNAME is "email"."""
    User.objects.create_user("alice", "alice@example.com")
    with_settings(settings, COGNITO_USERNAME="email")
    assert found("alice@example.com") is None
    declare(settings, "email")
    assert found("alice@example.com") == "alice"


@pytest.mark.requirement("G6")
def test_g6_a_callable_has_to_agree(db, settings):
    """
    If a COGNITO_USERNAME callable builds names from usernames, a bare username belongs to somebody
    else.
    """
    User.objects.create_user("root")
    User.objects.create_user("corp-alice")
    with_settings(
        settings, COGNITO_USERNAME=lambda user: user.username.replace("root", "corp-root")
    )
    assert found("root") is None
    assert found("corp-alice") == "corp-alice"


@pytest.mark.requirement("G6")
def test_g6_an_attribute_that_is_no_field_finds_nobody(db, settings):
    """A property can't be looked up."""
    User.objects.create_user("alice")
    with_settings(settings, COGNITO_USERNAME="natural_key")
    assert found("alice") is None


@pytest.mark.requirement("E2")
def test_e2_a_users_password_on_this_site_is_never_touched(people, settings):
    """This holds even if the site's own resolver returns a user who has one."""
    user = User.objects.create_user("alice", password="local-password")
    with_settings(settings, USER_RESOLVER=lambda typed: user)
    reset(people)
    user.refresh_from_db()
    assert user.check_password("local-password")


def test_a_site_may_find_its_users_in_its_own_way(db, settings):
    """A USER_RESOLVER replaces the app's look-up, and may return a user with a password."""
    user = User.objects.create_user("alice", password="local-password")
    with_settings(settings, USER_RESOLVER=lambda typed: user if typed == "x" else None)
    assert local_user("default", "x") == user
    assert local_user("default", "alice") is None


def test_a_flood_of_refused_attempts_is_one_row_by_limit_and_window(people, settings):
    """A flood for one name, or for many names from one network, doesn't fill the table."""
    with_settings(
        settings, LIMITS={"request": {"identifier": "1/m"}, "confirm": {"network": "2/m"}}
    )
    for _ in range(4):
        REST().request("alice")
    for number in range(6):
        REST().confirm(f"name-{number}")
    throttled = ResetEvent.objects.filter(outcome="throttled")
    assert throttled.filter(identifier_hash=identifier_key("default", "alice")).count() == 1
    assert sorted(event.step for event in throttled) == ["confirm", "request"]
