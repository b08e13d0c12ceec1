"""Staff send resets from the site's own UserAdmin."""

from __future__ import annotations

import json
import logging
import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import constants as levels
from django.contrib.messages import get_messages
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.utils import translation
from django.utils.text import capfirst

from cognito_reset.cognito.service import get_service
from cognito_reset.models import LedgerSlot, ResetEvent
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.signals import password_reset_failed, password_reset_triggered
from cognito_reset.staff import admin as room
from cognito_reset.testing import ConnectRefused, Error, Timeout
from tests.admin_site import UserAdmin
from tests.interfaces import REST, WRONG_CODES, with_settings
from tests.people import NEW_PASSWORD, PASSWORD, People
from tests.test_variants import run

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.admin_site")]

LIST = "/admin/auth/user/"
CONFIRMATION = f"{LIST}cognito-reset/"
SELECTED = "_selected_action"
NETWORKS = count(1)
# Nothing listens on this port.
UNREACHABLE = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": "redis://127.0.0.1:1",
}
RESET = "AdminResetUserPassword"
LOOK_UPS = {"ListUsers", "DescribeUserPool"}
SENT_TO_BOTH = "A password reset was sent to 2 people: alice (a***@e***) and bob (+*******0123)."

REFUSED = [
    pytest.param("nobody", "user_not_found", "There is no such user", id="missing"),
    pytest.param("carol", "not_activated", "has not used the invitation", id="invited"),
    pytest.param("dave", "not_confirmed", "not confirmed the account", id="unconfirmed"),
    pytest.param("erin", "user_disabled", "is disabled in Cognito", id="disabled"),
    pytest.param("frank", "federated_user", "signs in through another", id="federated"),
    pytest.param("grace", "no_verified_contact", "no verified email", id="unverified"),
    pytest.param("twin@example.com", "ambiguous_user", "More than one user", id="ambiguous"),
]


class Staff:
    """One staff member's browser."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client()
        self.client.force_login(user)

    def look(self, *users: Any, **query: str) -> Any:
        return self.client.get(CONFIRMATION, {SELECTED: _pks(users), **query})

    def send(self, *users: Any, **more: Any) -> Any:
        return self.client.post(CONFIRMATION, {SELECTED: _pks(users), **more})

    def run_action(self, *users: Any, **more: Any) -> Any:
        data = {"action": "send_cognito_reset", "index": 0, SELECTED: _pks(users), **more}
        return self.client.post(LIST, data)


def _pks(users: Any) -> list[Any]:
    return [user.pk if isinstance(user, User) else user for user in users]


def told(response: Any) -> list[tuple[int, str]]:
    """Return the messages that the next page shows."""
    return [(message.level, str(message)) for message in get_messages(response.wsgi_request)]


def offered(response: Any) -> list[int]:
    """Return the people to whom the page's button would send a reset."""
    page = response.content.decode()
    return [int(pk) for pk in re.findall(rf'name="{SELECTED}" value="(\d+)"', page)]


def resets(people: People) -> list[str]:
    calls = people.emulator.calls
    return [body["Username"] for operation, body in calls if operation == RESET]


def make_user(name: str, **more: Any) -> User:
    return User.objects.create_user(name, f"{name.partition('@')[0]}@example.com", **more)


def make_staff(name: str = "staff", *codenames: str, **more: Any) -> Staff:
    user = make_user(name, is_staff=True, **more)
    codenames = codenames or ("view_user", "trigger_reset")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return Staff(user)


@pytest.fixture
def staff(people: People) -> Staff:
    return make_staff()


@pytest.fixture
def superuser(people: People) -> Staff:
    return make_staff("root", is_superuser=True)


@pytest.fixture
def alice(people: People) -> User:
    return make_user("alice")


@pytest.fixture
def bob(people: People) -> User:
    return make_user("bob")


@pytest.fixture
def with_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the change page as before Django 6.1, with any version of Django."""
    monkeypatch.setattr(room, "ON_CHANGE_FORM", False)


# Who may.


@pytest.mark.requirement("F1", "A12")
@pytest.mark.parametrize("method", ["look", "send", "head"])
@pytest.mark.parametrize("codename", ["change_user", "trigger_reset", "view_user"])
def test_f1_both_permissions_are_needed(
    people: People, alice: User, method: str, codename: str
) -> None:
    """One of the two isn't enough. Existing and missing users get the same answer."""
    staff = make_staff("half", codename)
    if method == "head":
        there, missing = (staff.client.head(CONFIRMATION, {SELECTED: pk}) for pk in (alice.pk, 99))
    else:
        there, missing = getattr(staff, method)(alice), getattr(staff, method)(99)
    assert there.status_code == missing.status_code == 403
    assert there.content == missing.content
    assert people.emulator.calls == []


@pytest.mark.requirement("F1")
def test_f1_a_visitor_is_sent_to_sign_in(people: People, alice: User) -> None:
    """The admin's own login guards the page."""
    response = Client().post(CONFIRMATION, {SELECTED: alice.pk})
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")
    assert people.emulator.calls == []


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("count", [0, 21])
def test_f1_the_permission_is_asked_first(people: People, count: int) -> None:
    """The permission is checked before the number of users, and before any look-up."""
    response = make_staff("half", "change_user").look(*range(count))
    assert response.status_code == 403


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("method", ["look", "send"])
@pytest.mark.parametrize("name", ["untouchable", "unseen"])
def test_f1_the_permission_is_asked_for_every_object(
    people: People, staff: Staff, alice: User, method: str, name: str
) -> None:
    """If one of the users may not be changed or viewed, nobody is looked up."""
    people.add(name, email=f"{name}@example.com", email_verified="true")
    people.emulator.calls.clear()
    response = getattr(staff, method)(alice, make_user(name))
    assert response.status_code == 403
    assert people.emulator.calls == []
    assert resets(people) == []


@pytest.mark.requirement("F5")
@pytest.mark.parametrize("codename", ["trigger_reset", "view_user"])
def test_f5_a_reset_without_permission_is_recorded(
    people: People, alice: User, bob: User, codename: str
) -> None:
    """F5: once for each user, but not for a look."""
    half = make_staff("half", codename)
    half.look(alice)
    assert not ResetEvent.objects.exists()
    half.send(alice, alice, bob)
    events = ResetEvent.objects.order_by("pk")
    is_viewer = codename == "view_user"
    assert [event.target for event in events] == ([alice, bob] if is_viewer else [None, None])
    for event in events:
        assert (event.actor, event.action, event.step) == (half.user, "reset", "staff")
        assert (event.outcome, event.error_code) == ("refused", "permission_denied")
        assert (event.interface, event.network != "") == ("admin", True)
    name = "alice" if is_viewer else f"user {alice.pk}"
    assert events[0].identifier_hash == identifier_key("default", name)
    assert not LogEntry.objects.exists()


@pytest.mark.requirement("A12", "F5")
@pytest.mark.parametrize("codename", ["trigger_reset", "view_resetevent"])
def test_a12_the_row_does_not_tell_whether_a_user_exists(
    people: People, alice: User, codename: str
) -> None:
    """Whoever may not view users may see the audit."""
    half = make_staff("half", codename)
    for pk in (alice.pk, 99):
        half.send(pk)
        event = ResetEvent.objects.latest("pk")
        assert event.identifier_hash == identifier_key("default", f"user {pk}")
        assert (event.target, event.pool, event.error_code) == (
            *(None, "default"),
            "permission_denied",
        )
    assert ResetEvent.objects.count() == 2


@pytest.mark.requirement("F5")
def test_f5_only_those_for_whom_the_permission_is_missing_are_recorded(
    people: People, staff: Staff, alice: User
) -> None:
    """F5: nothing is sent to the others either, but they were not what was refused."""
    others = [make_user("untouchable").pk, make_user("unseen").pk, 99]
    staff.send(alice, *others)
    events = ResetEvent.objects.order_by("pk")
    assert [(event.target, event.error_code) for event in events] == [
        (None, "permission_denied")
    ] * 3
    keys = [identifier_key("default", f"user {pk}") for pk in others]
    assert [event.identifier_hash for event in events] == keys


@pytest.mark.requirement("A12")
@pytest.mark.parametrize("pk", ["99", "", "alice", "1 OR 1=1", "9" * 40, "\x00"])
def test_a12_a_missing_user_looks_like_a_forbidden_one(
    people: People, staff: Staff, pk: str
) -> None:
    """This holds for any text instead of a primary key."""
    forbidden = staff.look(make_user("untouchable"))
    missing = staff.look(pk)
    assert missing.status_code == forbidden.status_code == 403
    assert missing.content == forbidden.content


@pytest.mark.requirement("F5")
@pytest.mark.parametrize("method", ["look", "send"])
def test_f5_an_attempt_without_permission_is_logged(
    people: People, alice: User, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """The log names only the staff member. This holds for missing users, too."""
    half, whole = make_staff("half", "change_user"), make_staff("whole")
    getattr(half, method)(alice)
    getattr(whole, method)(make_user("untouchable"))
    getattr(whole, method)(alice, 99)
    denials = [
        record for record in caplog.records if record.name == "cognito_reset.staff.model_admin"
    ]
    assert {record.levelname for record in denials} == {"WARNING"}
    assert [record.getMessage() for record in denials] == [
        f"cognito_reset.admin_denied actor={staff.user.pk} model=auth.User"
        for staff in (half, whole, whole)
    ]


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("path", ["", "change/"])
def test_f1_the_way_in_is_hidden_without_the_permission(
    people: People, alice: User, path: str
) -> None:
    """The reset is offered neither in the list's dropdown nor on the change page."""
    address = f"{LIST}{alice.pk}/{path}" if path else LIST
    without = make_staff("without", "change_user").client.get(address).content.decode()
    having = make_staff("having").client.get(address).content.decode()
    assert "Send a password reset" not in without
    assert "Send a password reset" in having


@pytest.mark.requirement("F1")
def test_f1_a_forged_action_does_nothing(people: People, alice: User) -> None:
    """An action that isn't in the dropdown can't be posted either."""
    response = make_staff("half", "change_user", "delete_user").run_action(alice)
    assert response.status_code == 302
    assert response["Location"] == LIST
    assert people.emulator.calls == []


@pytest.mark.requirement("F2")
@pytest.mark.parametrize(
    ("actor", "target", "setting", "sent"),
    [
        ("staff", {}, False, True),
        ("staff", {"is_staff": True}, False, False),
        ("staff", {"is_superuser": True}, False, False),
        ("staff", {"is_staff": True, "is_superuser": True}, False, False),
        ("staff", {"is_staff": True}, True, True),
        ("staff", {"is_superuser": True}, True, True),
        ("superuser", {}, False, True),
        ("superuser", {"is_staff": True}, False, True),
        ("superuser", {"is_staff": True, "is_superuser": True}, False, True),
    ],
)
def test_f2_who_may_reset_whom(
    people: People,
    settings: Any,
    request: pytest.FixtureRequest,
    actor: str,
    target: dict[str, bool],
    setting: bool,
    sent: bool,
) -> None:
    """Only a superuser may reset staff and superusers, unless the site decides otherwise."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "STAFF_MAY_RESET_STAFF": setting}
    browser = request.getfixturevalue(actor)
    alice = make_user("alice", **target)
    shown = browser.look(alice)
    browser.send(alice)
    assert offered(shown) == ([alice.pk] if sent else [])
    assert ("Only a superuser can do this" in shown.content.decode()) is not sent
    assert resets(people) == (["alice"] if sent else [])
    event = ResetEvent.objects.get()
    assert (event.outcome, event.error_code) == (
        ("triggered", "") if sent else ("refused", "staff_target")
    )


# The name of the superuser's at Cognito by which an ordinary user is looked up.
NAMES_OF_ROOT = ["cognito-root", "root@example.com", "+15555550111", "sub"]


@pytest.fixture
def root_at_cognito(people: People, settings: Any) -> dict[str, str]:
    """
    Return the site's superuser, who has another username at Cognito, and all their names there.
    """
    attributes = {"email": "root@example.com", "phone_number": "+15555550111"}
    verified = {"email_verified": "true", "phone_number_verified": "true"}
    people.add("cognito-root", **attributes, **verified)
    answer = people.call("AdminGetUser", Username="cognito-root")
    people.emulator.calls.clear()
    sub = next(item["Value"] for item in answer["UserAttributes"] if item["Name"] == "sub")
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "first_name"}
    return {**dict(zip(NAMES_OF_ROOT, NAMES_OF_ROOT, strict=True)), "sub": sub}


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("root_is_known_by", ["email", "username", "first_name"])
@pytest.mark.parametrize("given", NAMES_OF_ROOT)
def test_f2_the_person_in_the_pool_counts_not_the_user_that_was_selected(
    root_at_cognito: dict[str, str],
    people: People,
    staff: Staff,
    given: str,
    root_is_known_by: str,
) -> None:
    """
    An ordinary user whose name is one of the superuser's names at Cognito can't be used to reset
    the superuser.
    """
    root = User.objects.create_superuser("local-root", "other@example.com")
    if root_is_known_by == "email":
        User.objects.filter(pk=root.pk).update(email="Root@Example.com")
    elif root_is_known_by == "username":
        User.objects.filter(pk=root.pk).update(username=root_at_cognito["sub"])
    else:
        User.objects.filter(pk=root.pk).update(first_name="+15555550111")
    alice = make_user("alice", first_name=root_at_cognito[given])
    shown = staff.look(alice)
    assert offered(shown) == []
    assert "Only a superuser can do this" in shown.content.decode()
    assert "CONFIRMED" not in shown.content.decode()
    assert f"→ <bdi>{given}" not in shown.content.decode()
    staff.send(alice)
    assert resets(people) == []
    event = ResetEvent.objects.get()
    assert (event.outcome, event.error_code) == ("refused", "staff_target")


@pytest.mark.requirement("F2")
def test_f2_a_name_that_the_sites_code_makes_counts_too(
    root_at_cognito: dict[str, str], people: People, settings: Any, staff: Staff
) -> None:
    """COGNITO_USERNAME may be a callable that returns nothing for some of the staff."""

    def name(user: User) -> str:
        if user.username == "staff":
            raise LookupError("an account of this site only")
        return user.username.removeprefix("x-")

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": name}
    User.objects.create_superuser("x-cognito-root", "other@example.com")
    staff.send(make_user("cognito-root"))
    assert resets(people) == []
    staff.send(make_user("x-bob"))
    assert resets(people) == ["bob"]


@pytest.mark.requirement("F2")
def test_f2_an_attribute_that_is_not_there_is_a_wrong_setting(
    people: People, staff: Staff, alice: User, settings: Any
) -> None:
    """Nobody can be reset while the staff's usernames at Cognito are unknown."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "no_such_name"}
    assert "(CognitoResetMisconfigured)" in told(staff.send(alice))[0][1]
    assert resets(people) == []


@pytest.mark.requirement("F2")
@pytest.mark.parametrize(
    ("known", "given"),
    [
        pytest.param("ROOT@Example.com", "root@example.com", id="case"),
        pytest.param("jos\u00e9@example.com", "jose\u0301@example.com", id="composed"),
        pytest.param("root@example.com ", "root@example.com", id="blank"),
    ],
)
def test_f2_every_spelling_of_an_address_is_the_superusers(
    people: People, staff: Staff, alice: User, known: str, given: str
) -> None:
    """Another program may have composed the letters in another way."""
    root = User.objects.create_superuser("local-root", password=PASSWORD)
    User.objects.filter(pk=root.pk).update(email=known)
    attributes = [{"Name": "email", "Value": given}]
    people.call("AdminUpdateUserAttributes", Username="alice", UserAttributes=attributes)
    staff.send(alice)
    assert resets(people) == []
    assert ResetEvent.objects.get().error_code == "staff_target"


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("setting", [False, True])
def test_f2_who_may_reset_staff_may_do_so_by_any_name(
    root_at_cognito: dict[str, str], people: People, settings: Any, setting: bool
) -> None:
    """Superusers may do so, and everybody if the site allows it."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "STAFF_MAY_RESET_STAFF": setting}
    User.objects.create_superuser("local-root", "root@example.com")
    actor = make_staff("actor", is_superuser=not setting)
    actor.send(make_user("alice", first_name="+15555550111"))
    assert resets(people) == ["cognito-root"]


@pytest.mark.requirement("F2")
def test_f2_the_staff_are_read_once(
    people: People, staff: Staff, django_assert_max_num_queries: Any
) -> None:
    """
    Any number of look-ups reads the staff once. Each look-up costs one query, to find the user.
    """
    users = [make_user(f"user{number}") for number in range(20)]
    make_staff("other")
    with django_assert_max_num_queries(5 + len(users)):
        staff.look(*users)


@pytest.mark.requirement("F2")
@pytest.mark.slow
def test_f2_staff_are_known_on_a_site_whose_flags_are_properties() -> None:
    """is_staff is a property in the custom user model of Django's documentation."""
    assert "1 passed" in run("staff", "property_flags")


@pytest.mark.requirement("F2")
def test_f2_the_page_of_the_list_shows_nothing_of_staff(people: People, staff: Staff) -> None:
    """To see what Cognito says of them needs another permission than the reset."""
    page = staff.look(make_user("alice", is_staff=True)).content.decode()
    assert "Only a superuser can do this to a staff member." in page
    assert "CONFIRMED" not in page


# What the page says.


@pytest.mark.requirement("F3")
def test_f3_looking_sends_nothing(people: People, staff: Staff, alice: User) -> None:
    """A GET, for example a browser's prefetch, only looks users up and writes nothing."""
    response = staff.look(alice)
    assert response.status_code == 200
    assert {operation for operation, _body in people.emulator.calls} == LOOK_UPS
    assert people.emulator.outbox[-1].username != "alice"
    assert not ResetEvent.objects.exists()
    assert not LogEntry.objects.exists()
    assert told(response) == []


@pytest.mark.requirement("F3")
def test_f3_sending_wants_the_pages_token(people: People, staff: Staff, alice: User) -> None:
    """No other site can make a staff member's browser send a reset."""
    staff.client.handler.enforce_csrf_checks = True
    assert staff.send(alice).status_code == 403
    assert resets(people) == []
    page = staff.look(alice).content.decode()
    form = r'<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="([^"]+)">'
    token = re.search(form, page)
    assert token is not None
    assert staff.send(alice, csrfmiddlewaretoken=token[1]).status_code == 302
    assert resets(people) == ["alice"]


@pytest.mark.requirement("F9")
def test_f9_the_page_says_what_it_does_to_the_person(staff: Staff, alice: User) -> None:
    """The page says it in plain words before anything is sent."""
    page = staff.look(alice).content.decode()
    assert "The current password stops working at once." in page
    assert "cannot sign in until they have entered the code" in page
    assert "RESET_REQUIRED" in page
    assert "sending a reset ends no session" in page
    assert "has to allow people to recover their accounts" in page


def test_the_page_says_how_cognito_knows_the_person(
    people: People, settings: Any, staff: Staff, alice: User
) -> None:
    """It shows the identifier, the username, the state, the contact and the time of the look-up."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "email"}
    settings.TIME_ZONE = "UTC"
    response = staff.look(alice)
    page = response.content.decode()
    found = response.context["accepted"][0].found
    assert "In Cognito: <bdi>alice@example.com</bdi> → <bdi>alice</bdi>" in page
    assert "· CONFIRMED · email address verified · looked up at" in " ".join(page.split())
    assert f"looked up at {found.looked_up_at:%H:%M:%S} UTC" in page


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("alice", "by email, to a***@e***"),
        ("bob", "by SMS, to +*******0123"),
        ("heidi", "by email, to h***@e***"),
    ],
)
def test_who_can_be_reset(people: People, staff: Staff, name: str, where: str) -> None:
    """
    Users with a verified address or phone number can be reset, and users who wait for a code
    already. The message says where the code went to.
    """
    user = make_user(name)
    assert offered(staff.look(user)) == [user.pk]
    assert told(staff.send(user)) == [(levels.SUCCESS, f"A code was sent to {name} {where}.")]
    assert resets(people) == [name]
    assert people.emulator.outbox[-1].username == name


@pytest.mark.parametrize(("name", "code", "reason"), REFUSED)
def test_who_cannot_be_reset_is_said_and_left_out(
    people: People, staff: Staff, name: str, code: str, reason: str
) -> None:
    """The page gives the reason and no button, and a forged POST is refused for the same reason."""
    for twin in ("twin1", "twin2"):
        people.add(twin, email="twin@example.com", email_verified="false")
    user = make_user(name)
    page = staff.look(user)
    assert reason in page.content.decode()
    assert offered(page) == []
    assert 'type="submit" value="Yes' not in page.content.decode()
    ((level, text),) = told(staff.send(user))
    assert level == levels.ERROR
    assert text.startswith(f"This did not work for {name}. ")
    assert reason in text
    assert resets(people) == []
    event = ResetEvent.objects.get()
    assert (event.outcome, event.error_code) == ("refused", code)


def test_without_a_username_there_is_no_one_to_ask_for(
    people: People, settings: Any, staff: Staff, alice: User
) -> None:
    """A user whose Cognito username is empty isn't looked up as anybody else."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "first_name"}
    page = staff.look(alice).content.decode()
    assert "There is no such user in the user pool." in page
    assert people.emulator.calls == []


def test_what_a_user_is_called_is_text(people: People, staff: Staff) -> None:
    """Markup in a name is shown as text."""
    page = staff.look(make_user("<b>alice</b>")).content.decode()
    assert "<b>alice" not in page
    assert "&lt;b&gt;alice" in page


@pytest.mark.requirement("F4")
def test_f4_nobody_chooses_a_password(people: People, staff: Staff, alice: User) -> None:
    """The page has no field for one, and apart from look-ups only one operation is ever called."""
    page = staff.look(alice).content.decode()
    staff.send(alice)
    fields = re.findall(r'<input type="(\w+)" name="(\w+)"', page)
    assert set(fields) == {("hidden", "csrfmiddlewaretoken"), ("hidden", SELECTED)}
    assert {operation for operation, _body in people.emulator.calls} == {*LOOK_UPS, RESET}


# What sending does.


def test_staff_reset_a_user(people: People, staff: Staff, alice: User) -> None:
    """
    In a whole reset, the old password becomes invalid, the code arrives, and it sets a new
    password.
    """
    response = staff.send(alice)
    assert response.status_code == 302
    assert response["Location"] == f"{LIST}{alice.pk}/change/"
    assert not people.can_sign_in("alice", PASSWORD)
    code = people.emulator.outbox[-1].code
    get_service().confirm(username="alice", confirmation_code=code, password=NEW_PASSWORD)
    assert people.can_sign_in("alice", NEW_PASSWORD)


def test_a_few_at_once_each_with_their_outcome(people: People, staff: Staff) -> None:
    """The messages have counts and reasons by outcome. The browser returns to the list."""
    names = ["alice", "erin", "bob", "nobody", "ghost"]
    response = staff.send(*(make_user(name) for name in names))
    assert response["Location"] == LIST
    assert resets(people) == ["alice", "bob"]
    assert told(response) == [
        (levels.SUCCESS, SENT_TO_BOTH),
        (
            levels.ERROR,
            "No password reset was sent to 1 person: erin. "
            "This user is disabled in Cognito. Enable the user first.",
        ),
        (
            levels.ERROR,
            "No password reset was sent to 2 people: nobody and ghost. "
            "There is no such user in the user pool.",
        ),
    ]


def test_sending_trusts_nothing_but_the_primary_keys(
    people: People, staff: Staff, alice: User
) -> None:
    """Each person is looked up once, by the site's own data. Other data in the form are ignored."""
    staff.send(alice, alice, f"0{alice.pk}", username="bob", pool="brand", found="bob")
    assert resets(people) == ["alice"]


def test_two_users_who_are_one_person_are_sent_one_reset(
    people: People, settings: Any, staff: Staff, alice: User
) -> None:
    """The page and the message say so. Users who can't be reset don't count as the same person."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "email"}
    again = make_user("alice-at-work")
    User.objects.filter(pk=again.pk).update(email="alice@example.com")
    page = staff.look(alice, again)
    assert offered(page) == [alice.pk]
    assert "the same person as another one of those selected" in page.content.decode()
    sent, refused = told(staff.send(alice, again))
    assert resets(people) == ["alice"]
    assert sent == (levels.SUCCESS, "A password reset was sent to 1 person: alice (a***@e***).")
    assert refused[0] == levels.ERROR
    assert "alice-at-work. In Cognito this is the same person" in refused[1]
    assert ResetEvent.objects.latest("pk").error_code == "same_person"


def test_each_person_is_looked_up_again_before_the_call(
    people: People, staff: Staff, alice: User
) -> None:
    """Changes between the page and the click count."""
    assert offered(staff.look(alice)) == [alice.pk]
    people.call("AdminDisableUser", Username="alice")
    ((level, text),) = told(staff.send(alice))
    assert level == levels.ERROR
    assert "is disabled in Cognito" in text
    assert resets(people) == []


@pytest.mark.requirement("G6")
def test_g6_the_username_on_record_is_reset(
    people: People, settings: Any, staff: Staff, alice: User
) -> None:
    """The user is found by address and reset by Cognito's username."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "email"}
    staff.send(alice)
    assert resets(people) == ["alice"]


def test_client_metadata_goes_along(
    people: People, settings: Any, staff: Staff, alice: User
) -> None:
    """The site's Lambda functions get the ClientMetadata that the site sets for the request."""

    def metadata(request: HttpRequest) -> dict[str, str]:
        return {"by": request.user.get_username()}

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "CLIENT_METADATA": metadata}
    staff.send(alice)
    _operation, body = people.emulator.calls[-1]
    assert body["ClientMetadata"] == {"by": "staff"}


def test_a_user_admin_may_have_a_pool_and_usernames_of_its_own(
    people: People, superuser: Staff, alice: User
) -> None:
    """The methods that a site overrides determine what is looked up and shown."""
    address = "/brand-admin/auth/user/cognito-reset/"
    page = superuser.client.get(address, {SELECTED: alice.pk}).content.decode()
    body = next(body for operation, body in people.emulator.calls if operation == "ListUsers")
    assert body["UserPoolId"] == "eu-west-1_Example02"
    assert body["Filter"] == 'username = "brand-alice"'
    assert "· user pool brand" in page
    assert '<a href="/brand-admin/auth/user/"><bdi>Users</bdi></a>' in page
    assert f'href="/brand-admin/auth/user/{alice.pk}/change/"' in page


def test_a_sites_own_actions_stay(superuser: Staff, alice: User) -> None:
    """The action is added to them. A UserAdmin without actions gets none."""
    brand = superuser.client.get("/brand-admin/auth/user/").content.decode()
    silent = superuser.client.get("/silent-admin/auth/user/").content.decode()
    assert re.findall(r'<option value="(\w+)">', brand) == [
        "delete_selected",
        "greet",
        "send_cognito_reset",
    ]
    assert "send_cognito_reset" not in silent


# Limits.


@pytest.fixture
def with_limits(settings: Any) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}


@pytest.fixture
def store_is_down(with_limits: None, settings: Any) -> None:
    settings.CACHES = {**settings.CACHES, "down": UNREACHABLE}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS_CACHE": "down"}


def may_try(identifier: str, step: str, pool: str = "default") -> bool:
    """Make an attempt over REST from a new network, and return whether the limits allowed it."""
    api = REST()
    api.client.defaults["REMOTE_ADDR"] = f"10.0.{next(NETWORKS)}.1"
    path = "/api/brand/" if pool == "brand" else "/api/password-reset/"
    path, code = (path, "") if step == "request" else (f"{path}confirm/", next(WRONG_CODES))
    data = {"username": identifier, "confirmation_code": code, "password": NEW_PASSWORD}
    response = api.client.post(path, data, content_type="application/json")
    assert response.status_code in (202, 400, 429)
    return response.status_code != 429


def use_up(identifier: str) -> None:
    """Use up all of a person's attempts at both steps."""
    for step in ("request", "confirm"):
        assert not all(may_try(identifier, step) for _ in range(10))


@pytest.mark.requirement("B5")
def test_b5_a_double_click_sends_once(
    people: People, with_limits: None, staff: Staff, alice: User, bob: User
) -> None:
    """Resets by staff are counted per person, whoever sends them. Other persons aren't limited."""
    staff.send(alice)
    ((level, text),) = told(make_staff("other").send(alice))
    assert level == levels.ERROR
    assert text == (
        "This did not work for alice. "
        "A message was sent to this person, or tried, a short time ago. Wait for 1 minute."
    )
    assert resets(people) == ["alice"]
    event = ResetEvent.objects.latest("pk")
    assert (event.outcome, event.error_code) == ("throttled", "throttled")
    staff.send(bob)
    LedgerSlot.objects.update(expires=0)  # as time does
    staff.send(alice)
    assert resets(people) == ["alice", "bob", "alice"]


@pytest.mark.requirement("B5")
def test_b5_a_reset_that_was_not_sent_is_not_counted(
    people: People, with_limits: None, staff: Staff, alice: User
) -> None:
    """Staff may try again at once when Cognito can be reached again."""
    people.emulator.fail_next("AdminResetUserPassword", ConnectRefused(), times=2)
    staff.send(alice)
    assert resets(people) == []
    staff.send(alice)
    assert resets(people) == ["alice"]


@pytest.mark.requirement("B5")
def test_b5_looking_counts_as_no_reset(people: People, with_limits: None, staff: Staff) -> None:
    """A refusal before the call isn't counted, either."""
    erin = make_user("erin")
    staff.look(erin)
    staff.send(erin)
    people.call("AdminEnableUser", Username="erin")
    staff.send(erin)
    assert resets(people) == ["erin"]


@pytest.mark.requirement("B5")
def test_b5_what_people_ask_for_holds_no_staff_back(
    people: People, with_limits: None, staff: Staff, alice: User
) -> None:
    """An attacker who used up a person's attempts can't stop staff from helping."""
    use_up("alice")
    staff.send(alice)
    assert resets(people) == ["alice"]


@pytest.mark.requirement("B11")
def test_b11_a_reset_by_staff_lets_the_person_try_again(
    people: People, settings: Any, with_limits: None, staff: Staff, alice: User
) -> None:
    """The limits are cleared for both steps, and for username, Cognito username and address."""
    people.add("cognito-alice", email="a@example.com", email_verified="true")
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "first_name"}
    User.objects.filter(pk=alice.pk).update(first_name="a@example.com", email="A@example.net")
    names = ("cognito-alice", "a@example.com", "a@example.net")
    for name in (*names, "bob"):
        use_up(name)
    ((level, _text),) = told(staff.send(alice))
    assert level == levels.SUCCESS
    for name in names:
        assert [may_try(name, step) for step in ("request", "confirm")] == [True, True]
    assert not may_try("bob", "confirm")


@pytest.mark.requirement("B11")
def test_b11_limits_under_older_keys_are_cleared_too(
    people: People, settings: Any, with_limits: None, staff: Staff, alice: User
) -> None:
    """
    While SECRET_KEY is being changed, some processes still use the old key, which is in
    SECRET_KEY_FALLBACKS.
    """
    old = settings.SECRET_KEY
    use_up("alice")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", [old]
    staff.send(alice)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = old, []
    assert may_try("alice", "confirm")


@pytest.mark.requirement("B11")
@pytest.mark.parametrize("fault", ["LimitExceededException", "InternalErrorException", None])
def test_b11_only_a_reset_that_was_sent_clears_limits(
    people: People, with_limits: None, staff: Staff, alice: User, fault: str | None
) -> None:
    """A refused reset, an unknown outcome or the confirmation page doesn't clear them."""
    use_up("alice")
    if fault is None:
        staff.look(alice)
    else:
        people.emulator.fail_next(RESET, fault)
        staff.send(alice)
    assert not may_try("alice", "confirm")


@pytest.mark.requirement("B14")
def test_b14_limits_that_cannot_be_reached_hold_no_reset_back(
    people: People, store_is_down: None, staff: Staff, alice: User, bob: User
) -> None:
    """The resets are sent, and a message says that the limits weren't cleared."""
    texts = told(staff.send(alice, bob))
    assert resets(people) == ["alice", "bob"]
    assert texts == [
        (levels.SUCCESS, SENT_TO_BOTH),
        (
            levels.WARNING,
            "This site's limits could not be cleared for alice and bob, who may have to wait "
            "before they can enter the code.",
        ),
    ]


def test_a_report_shows_names_as_they_are(
    people: People, store_is_down: None, staff: Staff, settings: Any, alice: User, bob: User
) -> None:
    """Django's admin begins messages with a capital letter, and a Japanese one begins with a name."""
    settings.LANGUAGE_CODE = "ja"
    with translation.override("ja"):
        texts = [text for _level, text in told(staff.send(alice, bob))]
    assert len(texts) == 2
    assert all("alice" in capfirst(text) for text in texts)


def test_limits_that_cannot_be_used_are_said(
    people: People, settings: Any, staff: Staff, alice: User
) -> None:
    """A message reports a wrong setting, and nothing is sent."""
    limits = {"request": {"identifier": "often"}}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": limits}
    assert "(CognitoResetMisconfigured)" in told(staff.send(alice))[0][1]
    assert resets(people) == []


# How many.


@pytest.mark.requirement("F3")
def test_the_action_only_leads_to_the_page(people: People, staff: Staff, alice: User) -> None:
    """The list looks nothing up and sends nothing. Its filters are kept to the end."""
    data = {"action": "send_cognito_reset", "index": 0, SELECTED: [alice.pk]}
    response = staff.client.post(f"{LIST}?is_active__exact=1", data)
    assert response.status_code == 302
    assert people.emulator.calls == []
    address = response["Location"]
    assert address.startswith(f"{CONFIRMATION}?{SELECTED}={alice.pk}&")
    assert f'href="{LIST}{alice.pk}/change/?_changelist_filters=' in (
        staff.client.get(address).content.decode()
    )
    bob = make_user("bob")
    response = staff.client.post(address, {SELECTED: [alice.pk, bob.pk]})
    assert response["Location"] == f"{LIST}?is_active__exact=1"


def test_the_action_takes_several_to_the_page(people: People, staff: Staff) -> None:
    """Twenty users are allowed."""
    users = [make_user(f"user{number}") for number in range(20)]
    response = staff.run_action(*users)
    page = staff.client.get(response["Location"])
    assert len(page.context["refused"]) == 20


@pytest.mark.parametrize("way", ["run_action", "look", "send"])
def test_more_than_twenty_are_refused_as_a_whole(people: People, staff: Staff, way: str) -> None:
    """The message has the number, and nothing is sent to anybody."""
    users = [make_user(f"user{number}") for number in range(21)]
    response = getattr(staff, way)(*users)
    assert response.status_code == 302
    assert response["Location"] == LIST
    assert told(response) == [
        (
            levels.ERROR,
            "A password reset can be sent to 1 to 20 people at once, and 21 were selected. "
            "Nothing was sent.",
        )
    ]
    assert people.emulator.calls == []


def test_all_across_the_pages_counts_all(people: People, staff: Staff, settings: Any) -> None:
    """If all pages are selected, users on other pages count, too."""
    users = [make_user(f"user{number:02}") for number in range(30)]
    response = staff.run_action(*users[:5], select_across=1)
    assert "31 were selected" in told(response)[0][1]


def test_nobody_selected_is_said(people: People, staff: Staff) -> None:
    """Without a selection there is a message instead of the page."""
    assert "0 were selected" in told(staff.look())[0][1]


# When it goes wrong.


def test_an_unknown_outcome_is_a_warning(people: People, staff: Staff, alice: User) -> None:
    """
    A call without an answer may have been carried out, so the message advises to ask the person
    first.
    """
    people.emulator.fail_next(RESET, Timeout(processed=True))
    ((level, text),) = told(staff.send(alice))
    assert level == levels.WARNING
    assert text.startswith("It is not known whether this was done for alice.")
    assert "Ask whether a message has arrived before you send another." in text
    assert len(resets(people)) == 1
    event = ResetEvent.objects.get()
    assert (event.outcome, event.error_code) == ("unknown", "outcome_unknown")
    assert "unknown" in LogEntry.objects.get().change_message


@pytest.mark.parametrize(
    ("fault", "outcome", "level", "words"),
    [
        (Timeout(), "unknown", levels.WARNING, "Ask whether a message has arrived"),
        ("InternalErrorException", "unknown", levels.WARNING, "(InternalErrorException)"),
        ("CodeDeliveryFailureException", "failed", levels.ERROR, "may have stopped working"),
        ("UnexpectedLambdaException", "failed", levels.ERROR, "may have stopped working"),
        ("TooManyRequestsException", "failed", levels.ERROR, "limiting the rate"),
        ("AccessDeniedException", "failed", levels.ERROR, "permissions"),
    ],
)
def test_what_may_meet_everybody_ends_the_run(
    people: People,
    staff: Staff,
    alice: User,
    bob: User,
    fault: Any,
    outcome: str,
    level: int,
    words: str,
) -> None:
    """
    A person may have lost the password without getting a code, so the run ends before the next
    person.
    """
    people.emulator.fail_next(RESET, fault)
    first, second = told(staff.send(alice, bob))
    assert first[0] == level
    assert words in first[1]
    assert second == (
        levels.ERROR,
        "No password reset was sent to 1 person: bob. "
        "Cognito failed or was slow before it was their turn. Select them again.",
    )
    assert len(resets(people)) == 1
    event = ResetEvent.objects.get()
    assert (event.outcome, event.aws_request_id != "") == (outcome, isinstance(fault, str))


@pytest.mark.parametrize(
    ("fault", "code"),
    [("LimitExceededException", "attempt_limit"), ("NotAuthorizedException", "account_refused")],
)
def test_what_is_about_one_person_does_not_end_the_run(
    people: People, staff: Staff, alice: User, bob: User, fault: str, code: str
) -> None:
    """Cognito refuses the first user, and the run goes on with the second."""
    people.emulator.fail_next(RESET, fault)
    staff.send(alice, bob)
    assert resets(people) == ["alice", "bob"]
    events = ResetEvent.objects.order_by("pk")
    assert [event.error_code for event in events] == [code, ""]


def test_nobodys_turn_begins_late(
    people: People, monkeypatch: pytest.MonkeyPatch, staff: Staff, alice: User, bob: User
) -> None:
    """Slow look-ups end in a message and not in the web server's timeout, at both steps."""
    monkeypatch.setattr(room, "MAX_SECONDS", -1.0)
    page = staff.look(alice, bob)
    assert offered(page) == [alice.pk]
    assert "Cognito failed or was slow before it was their turn." in page.content.decode()
    people.emulator.calls.clear()
    texts = [text for _level, text in told(staff.send(alice, bob))]
    assert resets(people) == ["alice"]
    assert "sent to 1 person: alice (a***@e***)." in texts[0]
    assert texts[1].startswith("No password reset was sent to 1 person: bob.")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("AccessDeniedException", "credentials, their permissions"),
        ("ResourceNotFoundException", "the COGNITO_RESET setting"),
        ("InternalErrorException", "Try again in a few minutes"),
        ("TooManyRequestsException", "limiting the rate"),
    ],
)
def test_aws_errors_are_words_with_their_name(
    people: People, staff: Staff, alice: User, bob: User, fault: str, words: str
) -> None:
    """
    The message has AWS's error name and what to do. There is no traceback, and no further call.
    """
    people.emulator.fail_next("ListUsers", fault)
    response = staff.look(alice, bob)
    page = response.content.decode()
    assert response.status_code == 200
    assert f"({fault})" in page
    assert words in page
    assert offered(response) == []
    assert len(people.emulator.calls) == 1


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (Error("AccessDeniedException"), "AWS_PERMISSIONS"),
        (Error("ResourceNotFoundException", "User pool x does not exist."), "USER_POOL_ID,REGION"),
        (Error("InvalidSignatureException", "Signature expired: 1 is now earlier than 2"), "CLOCK"),
    ],
    ids=repr,
)
def test_staff_read_what_to_look_at(
    people: People, staff: Staff, alice: User, fault: Error, hint: str
) -> None:
    """Cognito's own text isn't shown."""
    people.emulator.fail_next("ListUsers", fault)
    page = staff.look(alice).content.decode()
    assert f"Have this checked first: {hint.replace(',', ', ')}. ({fault.code})" in page
    assert "does not exist" not in page
    assert "earlier" not in page


def test_staff_read_that_the_pools_message_is_at_fault(
    people: People, staff: Staff, alice: User, bob: User
) -> None:
    """Nobody else would get a code either, so no further resets are sent."""
    text = "1 validation error detected: Value at 'emailBody' failed to satisfy constraint: x"
    people.emulator.fail_next("AdminResetUserPassword", Error("InvalidParameterException", text))
    [(_, message), *_] = told(staff.send(alice, bob))
    assert message.startswith(
        "No password reset was sent to 1 person: alice. Cognito did not accept"
    )
    assert "message template" in message
    assert resets(people) == ["alice"]


def test_staff_read_that_a_user_may_have_a_name_in_another_case(
    people: People, staff: Staff, alice: User
) -> None:
    """The site has no permission to ask whether the pool is case-sensitive."""
    alice.username = "Alice"
    alice.save()
    people.emulator.fail_next("DescribeUserPool", "AccessDeniedException")
    page = staff.look(alice).content.decode()
    assert "There is no user with exactly this name in the user pool. Check upper and lower" in page


def test_no_connection_is_said(people: People, staff: Staff, alice: User) -> None:
    """Without an answer of AWS, the message has botocore's error name."""
    people.emulator.fail_next("ListUsers", ConnectRefused(), times=2)
    page = staff.look(alice).content.decode()
    assert "Cognito could not be reached. Try again in a few minutes. (EndpointConnec" in page


def test_no_credentials_is_said(
    people: People, monkeypatch: pytest.MonkeyPatch, settings: Any, staff: Staff, alice: User
) -> None:
    """
    The message tells a site that has used only the public features what the staff features need.
    """
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with_settings(settings, TOTAL_TIMEOUT_SECONDS=7)  # other settings, so other clients
    page = staff.look(alice).content.decode()
    assert "Have its AWS credentials" in page
    assert "(NoCredentialsError)" in page


def test_a_setting_that_cannot_be_used_is_said(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The detail is in the log."""
    settings.COGNITO_RESET = {"POOLS": {"brand": settings.COGNITO_RESET["POOLS"]["brand"]}}
    response = make_staff().look(make_user("alice"))
    assert response.status_code == 200
    assert "(CognitoResetMisconfigured)" in response.content.decode()
    assert "has no pool 'default'" in caplog.text


# What is written down.


@pytest.mark.requirement("F5")
def test_f5_what_is_written_down(people: People, staff: Staff, alice: User) -> None:
    """
    The record has the actor, the user, the outcome and AWS's request id, but no address, code or
    destination.
    """
    erin = make_user("erin")
    staff.send(alice, erin)
    sent, refused = ResetEvent.objects.order_by("pk")
    assert (sent.interface, sent.pool, sent.outcome) == ("admin", "default", "triggered")
    assert (sent.actor, sent.target) == (staff.user, alice)
    assert (refused.outcome, refused.error_code) == ("refused", "user_disabled")
    assert (refused.actor, refused.target) == (staff.user, erin)
    second, first = LogEntry.objects.all()
    assert (first.user, first.object_id, first.is_change()) == (staff.user, str(alice.pk), True)
    assert json.loads(first.change_message) == [
        {
            "changed": {"fields": ["account in Cognito"]},
            "cognito_reset": {
                "action": "reset",
                "outcome": "triggered",
                "error_code": "",
                "aws_request_id": sent.aws_request_id,
            },
        }
    ]
    assert json.loads(second.change_message)[0]["cognito_reset"]["error_code"] == "user_disabled"
    assert first.get_change_message() == "Changed account in Cognito."
    message = people.emulator.outbox[-1]
    stored = f"{list(ResetEvent.objects.values())} {first.change_message} {second.change_message}"
    assert sent.aws_request_id
    for secret in (message.code, message.destination, "@", PASSWORD, "alice", "erin"):
        assert secret not in stored


@pytest.mark.requirement("H2")
def test_h2_nothing_of_the_person_is_logged(
    people: People, caplog: pytest.LogCaptureFixture, staff: Staff, alice: User
) -> None:
    """No log has a name, code or address, at any level."""
    caplog.set_level(logging.DEBUG)
    people.emulator.fail_next(RESET, "LimitExceededException")
    bob = make_user("bob")
    staff.send(alice, bob)
    for secret in ("alice", "bob", "+1555", people.emulator.outbox[-1].code):
        assert secret not in caplog.text


def test_the_signal_is_sent_for_each_reset(people: People, staff: Staff, alice: User) -> None:
    """The signal has all that a receiver needs, and a receiver that fails changes nothing."""
    seen: list[dict[str, Any]] = []

    def receive(**kwargs: Any) -> None:
        seen.append(kwargs)
        raise RuntimeError("a site's own mistake")

    password_reset_triggered.connect(receive)
    try:
        response = staff.send(alice)
    finally:
        password_reset_triggered.disconnect(receive)
    assert told(response)[0][0] == levels.SUCCESS
    (arguments,) = seen
    event = ResetEvent.objects.get()
    assert arguments["request"].path == CONFIRMATION
    assert (arguments["interface"], arguments["pool"], arguments["username"]) == (
        "admin",
        "default",
        "alice",
    )
    assert (arguments["outcome"], arguments["error_code"]) == ("triggered", "")
    assert arguments["aws_request_id"] == event.aws_request_id
    assert (arguments["user"], arguments["actor"]) == (alice, staff.user)


@pytest.mark.parametrize(
    ("fault", "outcome", "error_code"),
    [
        ("LimitExceededException", "refused", "attempt_limit"),
        ("AccessDeniedException", "failed", "unavailable"),
        (Timeout(), "unknown", "outcome_unknown"),
    ],
)
def test_a_reset_that_was_not_sent_has_the_signal_of_failures(
    people: People, staff: Staff, alice: User, fault: Any, outcome: str, error_code: str
) -> None:
    """
    password_reset_failed has the same arguments and the step. Only resets that were sent get
    password_reset_triggered.
    """
    triggered: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []

    def receive_triggered(**kwargs: Any) -> None:
        triggered.append(kwargs)

    def receive_failed(**kwargs: Any) -> None:
        failed.append(kwargs)

    password_reset_triggered.connect(receive_triggered)
    password_reset_failed.connect(receive_failed)
    people.emulator.fail_next(RESET, fault)
    staff.send(alice)
    assert triggered == []
    (arguments,) = failed
    assert (arguments["step"], arguments["is_first"]) == ("staff", True)
    assert (arguments["interface"], arguments["username"]) == ("admin", "alice")
    assert (arguments["outcome"], arguments["error_code"]) == (outcome, error_code)
    assert (arguments["user"], arguments["actor"]) == (alice, staff.user)
    event = ResetEvent.objects.get()
    assert (event.outcome, event.target, event.actor) == (outcome, alice, staff.user)


def test_a_log_that_cannot_be_written_does_not_hide_what_was_sent(
    people: People, caplog: pytest.LogCaptureFixture, settings: Any, superuser: Staff, alice: User
) -> None:
    """The reset was sent, so the message says so, and the run goes on with the next user."""
    pools = settings.COGNITO_RESET["POOLS"]
    settings.COGNITO_RESET = {
        **settings.COGNITO_RESET,
        "POOLS": {**pools, "brand": pools["default"]},
    }
    for name in ("brand-alice", "brand-bob"):
        people.add(name, email=f"{name}@example.com", email_verified="true")
    response = superuser.client.post(
        "/brand-admin/auth/user/cognito-reset/", {SELECTED: [alice.pk, make_user("bob").pk]}
    )
    assert told(response) == [
        (
            levels.SUCCESS,
            "A password reset was sent to 2 people: alice (b***@e***) and bob (b***@e***).",
        )
    ]
    assert "cognito_reset.log_entry_failed error=DatabaseError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_cognito_is_called_outside_of_any_transaction(
    monkeypatch: pytest.MonkeyPatch, people: People
) -> None:
    """With ATOMIC_REQUESTS a later failure would take back the record of what was sent."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    atomic: list[bool] = []

    def receive(**kwargs: Any) -> None:
        atomic.append(connection.in_atomic_block)

    password_reset_triggered.connect(receive)
    try:
        make_staff().send(make_user("alice"))
    finally:
        password_reset_triggered.disconnect(receive)
    assert atomic == [False]


@pytest.mark.slow
def test_staff_work_on_a_site_with_its_tables_in_a_second_database() -> None:
    """The second database has ATOMIC_REQUESTS."""
    assert "5 passed" in run("staff_second", "second_database")


# The change page.


@pytest.fixture
def own_template(tmp_path: Path, settings: Any) -> None:
    """A site's own template for the change page, where Django looks for one."""
    folder = tmp_path / "admin" / "auth" / "user"
    folder.mkdir(parents=True)
    (folder / "change_form.html").write_text(
        '{% extends "admin/change_form.html" %}'
        "{% block object-tools-items %}{{ block.super }}<li>The site's own</li>{% endblock %}"
    )
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [str(tmp_path)]}]


@pytest.mark.requirement("F3")
@pytest.mark.skipif(not room.ON_CHANGE_FORM, reason="Django 6.1 has actions on the change page")
def test_the_change_pages_action_only_leads_to_the_page(
    people: People, staff: Staff, alice: User
) -> None:
    """Django runs the action in a transaction, in which Cognito must not be called."""
    address = f"{LIST}{alice.pk}/change/"
    page = staff.client.get(address).content.decode()
    assert '<option value="send_cognito_reset">Send a password reset</option>' in page
    assert f"{CONFIRMATION}?" not in page
    data = {"CHANGE_FORM-action": "send_cognito_reset", "index": 0, SELECTED: alice.pk}
    response = staff.client.post(address, data)
    assert response.status_code == 302
    assert response["Location"] == f"{CONFIRMATION}?{SELECTED}={alice.pk}"
    assert people.emulator.calls == []
    assert not ResetEvent.objects.exists()


@pytest.mark.requirement("F3")
def test_the_change_pages_tool_only_leads_to_the_page(
    with_tool: None, people: People, staff: Staff, alice: User
) -> None:
    """The tool is a link, like History."""
    page = staff.client.get(f"{LIST}{alice.pk}/change/").content.decode()
    link = f'<li><a href="{CONFIRMATION}?{SELECTED}={alice.pk}">Send a password reset</a></li>'
    assert link in page
    assert "History" in page
    assert people.emulator.calls == []


def test_the_tool_stands_in_the_sites_own_template(
    own_template: None, with_tool: None, staff: Staff, alice: User
) -> None:
    """The page keeps its template, whichever that is, with all its contents."""
    page = staff.client.get(f"{LIST}{alice.pk}/change/").content.decode()
    assert "The site's own" in page
    assert "Send a password reset" in page


def test_the_tool_stands_in_a_change_form_template(
    own_template: None,
    with_tool: None,
    monkeypatch: pytest.MonkeyPatch,
    staff: Staff,
    alice: User,
) -> None:
    """The same holds if the UserAdmin sets its template."""
    monkeypatch.setattr(UserAdmin, "change_form_template", "admin/auth/user/change_form.html")
    page = staff.client.get(f"{LIST}{alice.pk}/change/").content.decode()
    assert "The site's own" in page
    assert "Send a password reset" in page


def test_the_tool_is_not_where_it_would_not_work(
    with_tool: None, people: People, superuser: Staff, alice: User
) -> None:
    """It isn't on the add page, nor shown without the permission. To view the user is enough."""
    add = superuser.client.get(f"{LIST}add/").content.decode()
    address = f"{LIST}{alice.pk}/change/"
    without = make_staff("without", "change_user").client.get(address).content.decode()
    for page in (add, without):
        assert "<h1" in page
        assert f"{CONFIRMATION}?" not in page
    viewed = make_staff("viewer").client.get(address).content.decode()
    assert f"{CONFIRMATION}?" in viewed


@pytest.mark.parametrize("count", [1, 2])
def test_the_page_has_the_breadcrumbs_of_this_django(
    staff: Staff, alice: User, bob: User, count: int
) -> None:
    """
    They are like those of Django's own page to confirm a deletion, whatever they look like there.
    """
    page = staff.look(*[alice, bob][:count]).content.decode()
    opening = '<ol class="breadcrumbs">' if room.ON_CHANGE_FORM else '<div class="breadcrumbs">'
    crumbs = page.partition(opening)[2].partition("Send a password reset")[0]
    names = re.findall(r'<a href="[^"]+">(?:<bdi>)?([^<]+)(?:</bdi>)?</a>', crumbs)
    assert names == [
        "Home",
        "Authentication and Authorization",
        "Users",
        *(["alice"] if count == 1 else []),
    ]
