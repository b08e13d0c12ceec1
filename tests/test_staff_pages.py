"""Staff look a person up, see what is wrong with the account, and put it right, in the admin."""

from __future__ import annotations

import html
import json
import logging
import re
import time
from typing import Any
from urllib.parse import unquote

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import constants as levels
from django.core import mail
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext

from cognito_reset.models import ResetEvent
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.staff import admin as room
from cognito_reset.staff import person_pages
from cognito_reset.staff.actions import ACTIONS
from cognito_reset.staff.history import error_words
from cognito_reset.testing import ConnectRefused, Timeout
from tests.admin_site import UserAdmin
from tests.interfaces import with_settings
from tests.people import PASSWORD, People
from tests.test_staff_admin import (
    LIST,
    LOOK_UPS,
    RESET,
    UNREACHABLE,
    Staff,
    make_staff,
    make_user,
    resets,
    told,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.admin_site")]

ACCOUNTS = "/admin/cognito_reset/account/"
EVERYTHING = (
    *("view_user", "look_up_account", "trigger_reset", "resend_invitation", "enable_account"),
    *("confirm_sign_up", "sign_out", "clear_limits"),
)


@pytest.fixture
def support(people: People) -> Staff:
    """A support person, who may do everything for a person but not change a user."""
    return make_staff("support", *EVERYTHING)


def sub_of(people: People, name: str) -> str:
    answer = people.call("AdminGetUser", Username=name)
    people.emulator.calls.clear()
    return str(next(item["Value"] for item in answer["UserAttributes"] if item["Name"] == "sub"))


def text_of(response: Any) -> str:
    """Return the text of a page's content, without markup."""
    page = response.content.decode().partition('<div id="content"')[2]
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


def change_page(staff: Staff, user: User) -> Any:
    return staff.client.get(f"{LIST}{user.pk}/change/")


def operations(people: People) -> set[str]:
    return {operation for operation, _body in people.emulator.calls}


def offered(response: Any) -> list[str]:
    """Return the actions that the panel links to."""
    return re.findall(r'cognito-reset-button" href="[^"]*/([a-z-]+)/', response.content.decode())


# The panel on the change page.


def test_the_change_page_shows_what_cognito_says(people: People, support: Staff) -> None:
    """A support person, who may only view users, sees state, masked contacts, and what helps."""
    response = change_page(support, make_user("alice"))
    text = text_of(response)
    assert "in use ( CONFIRMED )" in text
    assert "a***@e*** · verified" in text
    assert "Looked up at" in text
    assert "Nothing is in the way" in text
    assert offered(response) == ["reset", "sign-out", "clear-limits"]
    for needless in ("Enable the account", "Confirm the sign-up", "Send the invitation again"):
        assert needless not in text
    assert operations(people) == LOOK_UPS
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("name", "state", "diagnosis", "helps"),
    [
        ("carol", "invited ( FORCE_CHANGE_PASSWORD )", "has not used the invitation", "invite"),
        ("dave", "sign-up not confirmed ( UNCONFIRMED )", "not confirmed the account", "confirm"),
        ("erin", "in use ( CONFIRMED ) · disabled", "is disabled in Cognito", "enable"),
    ],
)
def test_the_panel_says_what_is_wrong_and_what_helps(
    people: People, support: Staff, name: str, state: str, diagnosis: str, helps: str
) -> None:
    """The action that fits is a link, and a reset isn't."""
    response = change_page(support, make_user(name))
    assert state in text_of(response)
    assert diagnosis in text_of(response)
    assert helps in offered(response)
    assert "reset" not in offered(response)


def test_the_panel_says_when_a_reset_was_asked_for_and_how_it_ended(
    people: People, support: Staff
) -> None:
    """It is the same for the site's own pages and for staff. Errors are words."""
    alice = make_user("alice")
    assert "Last request for a code none on record" in text_of(change_page(support, alice))
    people.emulator.fail_next(RESET, "LimitExceededException")
    support.client.post(f"{LIST}{alice.pk}/cognito/reset/")
    text = text_of(change_page(support, alice))
    assert "Send a password reset: refused. This user has reached Cognito's limit" in text
    support.client.post(f"{LIST}{alice.pk}/cognito/reset/")
    text = text_of(change_page(support, alice))
    assert "Last request for a code none on record" not in text
    assert "What happened last Sent a password reset · " in text


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("name", ["alice", "carol"])
def test_there_is_one_way_to_a_reset(
    people: People, support: Staff, monkeypatch: Any, name: str, is_new: bool
) -> None:
    """The panel has the button, or the reason. Without a panel, Django's action or the tool leads there."""
    monkeypatch.setattr(room, "ON_CHANGE_FORM", is_new and room.ON_CHANGE_FORM)
    user = make_user(name)
    others = ('value="send_cognito_reset"', "/cognito-reset/?", 'name="index"')
    shown = change_page(support, user).content.decode()
    assert [text for text in others if text in shown] == []
    people.emulator.fail_next("ListUsers", ConnectRefused(), times=2)
    failing = change_page(support, user).content.decode()
    assert [text for text in others if text in failing]


@pytest.mark.skipif(not room.ON_CHANGE_FORM, reason="Django 6.1 has actions on the change page")
def test_the_change_page_keeps_other_actions(
    people: People, support: Staff, monkeypatch: Any
) -> None:
    """Only the one that the panel has is left out."""

    def choices(
        self: Any, request: Any, default_choices: Any = None, action_location: Any = None
    ) -> list[tuple[str, str]]:
        return [("", "-"), ("greet", "Greet"), ("send_cognito_reset", "Reset")]

    monkeypatch.setattr(UserAdmin, "get_action_choices", choices)
    shown = change_page(support, make_user("alice")).content.decode()
    assert 'value="greet"' in shown
    assert 'value="send_cognito_reset"' not in shown


def test_the_panel_needs_no_actions(people: People, support: Staff, monkeypatch: Any) -> None:
    """A site may have switched Django's actions off."""

    def actions(self: Any, request: Any, action_location: Any = None) -> dict[str, Any]:
        return {}

    monkeypatch.setattr(UserAdmin, "get_actions", actions)
    response = change_page(support, make_user("alice"))
    assert "reset" in offered(response)
    assert 'name="index"' not in response.content.decode()


@pytest.mark.parametrize("codenames", [("view_user",), ("change_user", "trigger_reset")])
def test_without_the_permission_there_is_no_panel(people: People, codenames: Any) -> None:
    """Nobody is looked up then."""
    response = change_page(make_staff("other", *codenames), make_user("alice"))
    assert "cognito-reset-panel" not in response.content.decode()
    assert people.emulator.calls == []


def test_each_action_has_its_own_permission(people: People) -> None:
    """The panel has only what the staff member is permitted."""
    staff = make_staff("other", "view_user", "look_up_account", "sign_out")
    response = change_page(staff, make_user("alice"))
    assert offered(response) == ["sign-out"]
    alone = make_staff("alone", "view_user", "look_up_account")
    response = change_page(alone, make_user("bob"))
    assert "cognito-reset-panel" in response.content.decode()
    assert "cognito-reset-offers" not in response.content.decode()


@pytest.mark.parametrize("name", ["alice", "carol"])
def test_a_message_of_just_now_is_told_before_another_one(
    people: People, support: Staff, settings: Any, name: str
) -> None:
    """The panel, the action's page and the page of the list have no button, but the reason."""
    with_settings(settings, LIMITS={"request": {"identifier": "1/m"}})
    user, action = make_user(name), {"alice": "reset", "carol": "invite"}[name]
    url = f"{LIST}{user.pk}/cognito/{action}/"
    assert action in offered(change_page(support, user))
    support.client.post(url)
    panel, page = change_page(support, user), support.client.get(url)
    assert action not in offered(panel)
    for response in (panel, page):
        assert "Wait for 1 minute." in text_of(response)
    assert '<input type="submit"' not in page.content.decode()
    if action == "reset":
        several = support.look(user)
        assert "Wait for 1 minute." in text_of(several)
        assert several.context["accepted"] == []


def test_limits_that_cannot_be_read_keep_staff_from_nothing(
    people: People, support: Staff, settings: Any
) -> None:
    """They can send then, so the panel has the button."""
    settings.CACHES = {**settings.CACHES, "limits": UNREACHABLE}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits")
    assert "reset" in offered(change_page(support, make_user("alice")))


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("alice", ["Send a password reset", "Sign out everywhere", "Let this person try again"]),
        ("erin", ["Send a password reset", "Enable the account"]),
    ],
)
def test_what_a_staff_member_does_not_need_is_left_out(
    people: People, support: Staff, name: str, needed: list[str]
) -> None:
    """As for everybody else, although the reason why nothing is offered is another one."""
    make_user(name, is_staff=True)
    response = support.client.post(ACCOUNTS, {"username": name}, follow=True)
    titles = [offer.action.title for offer, _url in response.context["panel"]["offers"]]
    assert set(needed) <= set(titles)
    assert offered(response) == []
    needless = {"Send the invitation again", "Confirm the sign-up"}
    assert needless.isdisjoint(titles)
    assert ("Enable the account" in titles) is (name == "erin")


def test_an_action_shows_what_cognito_says_by_its_permission(people: People) -> None:
    """Without it, the page tells only what the action does."""
    alice = make_user("alice")
    url = f"{LIST}{alice.pk}/cognito/clear-limits/"
    permissions = ("view_user", "clear_limits")
    text = text_of(make_staff("alone", *permissions).client.get(url))
    assert "This is what happens to the person" in text
    assert "a***@e***" not in text
    looker = make_staff("looker", *permissions, "look_up_account")
    assert "a***@e***" in text_of(looker.client.get(url))


def test_the_panel_leads_to_the_persons_history(people: People) -> None:
    """Its title and its button name the user. Of a person whom Django doesn't know they have the hash."""
    reader = make_staff("reader", *EVERYTHING, "view_resetevent")
    ResetEvent.objects.create(pool="default", identifier_hash=identifier_key("default", "alice"))

    def title(page: Any) -> str:
        found = re.search(r'href="([^"]*identifier_hash[^"]*)"', page.content.decode())
        assert found
        assert "alice" not in found[1]
        history = reader.client.get(html.unescape(found[1]))
        assert f"Let {history.context_data['name']} try again" in text_of(history)
        return str(history.context_data["title"])

    url = f"{ACCOUNTS}default/{sub_of(people, 'alice')}/"
    assert title(reader.client.get(url)).startswith("History of identifier ")
    assert title(change_page(reader, make_user("alice"))) == "History of alice"


@pytest.mark.parametrize("fault", [ConnectRefused(), Timeout()])
def test_the_change_page_works_without_cognito(people: People, support: Staff, fault: Any) -> None:
    """The panel says that Cognito can't be reached, and the rest of the page is there."""
    people.emulator.fail_next("ListUsers", fault, times=2)
    text = text_of(change_page(support, make_user("alice")))
    assert "Cognito could not be reached. Try again in a few minutes." in text
    assert "Look up again" in text
    assert "Username:" in text


def test_the_change_page_does_not_wait_for_cognito(
    people: People, support: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Cognito that hangs delays the page by a short time only."""
    monkeypatch.setattr(person_pages, "PATIENCE_SECONDS", 0.2)
    people.emulator.fail_next("ListUsers", Timeout(seconds=60))
    alice = make_user("alice")
    begin = time.monotonic()
    text = text_of(change_page(support, alice))
    assert time.monotonic() - begin < 10
    assert "Cognito could not be reached." in text


def test_a_form_with_errors_calls_nobody(people: People) -> None:
    """It is shown again inside of a transaction."""
    root = make_staff("root", is_superuser=True)
    alice = make_user("alice")
    response = root.client.post(f"{LIST}{alice.pk}/change/", {"username": ""})
    assert response.status_code == 200
    assert "Please correct the" in response.content.decode()
    assert people.emulator.calls == []


@pytest.mark.requirement("F2")
def test_f2_the_panel_offers_nothing_to_do_to_staff(people: People, support: Staff) -> None:
    """Support sees the account on each page, with the reason why nothing can be done."""
    other = make_user("alice", is_staff=True)
    account = f"{ACCOUNTS}default/{sub_of(people, 'alice')}/"
    for page in (change_page(support, other), support.client.get(account)):
        assert "a***@e*** · verified" in text_of(page)
        assert "Send a password reset Only a superuser can do this" in text_of(page)
        assert offered(page) == []
    for url in (f"{LIST}{other.pk}/cognito/", account):
        for name in ACTIONS:
            assert "Only a superuser can do this" in text_of(support.client.get(f"{url}{name}/"))
            level, text = told(support.client.post(f"{url}{name}/"))[-1]
            assert level == levels.ERROR
            assert "Only a superuser can do this to a staff member." in text
    assert operations(people) == LOOK_UPS


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("has_own", [True, False])
def test_f2_staff_are_known_by_the_user_admins_own_usernames(
    people: People, support: Staff, settings: Any, monkeypatch: pytest.MonkeyPatch, has_own: bool
) -> None:
    """A superuser whose username at Cognito only the site's UserAdmin knows, or only COGNITO_USERNAME."""
    User.objects.create_superuser("root", password=PASSWORD, first_name="alice")
    own = {True: "first_name", False: "username"}[has_own]
    monkeypatch.setattr(
        UserAdmin, "get_cognito_username", lambda self, request, user: getattr(user, own)
    )
    with_settings(settings, COGNITO_USERNAME="username" if has_own else "first_name")
    url = f"{ACCOUNTS}default/{sub_of(people, 'alice')}/"
    assert offered(support.client.get(url)) == []
    page = support.client.get(f"{url}reset/")
    assert "Only a superuser can do this to a staff member." in text_of(page)
    ((level, text),) = told(support.client.post(f"{url}reset/"))
    assert (level, resets(people)) == (levels.ERROR, [])
    assert "Only a superuser can do this to a staff member." in text


@pytest.mark.requirement("F2")
def test_f2_nothing_is_done_while_staff_are_unknown(
    people: People, support: Staff, settings: Any
) -> None:
    """COGNITO_USERNAME has a typo. The panel and the page say that the setting is wrong."""
    with_settings(settings, COGNITO_USERNAME="no_such_name")
    url = f"{ACCOUNTS}default/{sub_of(people, 'alice')}/"
    for page in (url, f"{url}reset/"):
        assert "(CognitoResetMisconfigured)" in text_of(support.client.get(page))
    assert told(support.client.post(f"{url}reset/"))[0][0] == levels.ERROR
    assert resets(people) == []


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("is_staff", [False, True])
def test_f2_nothing_is_done_while_nobody_knows_whether_staff_are_protected(
    people: People, support: Staff, settings: Any, is_staff: bool
) -> None:
    """The setting is a text instead of True. The user's page works as usual, and each page says what is wrong."""
    user = make_user("alice", is_staff=is_staff)
    with_settings(settings, STAFF_MAY_RESET_STAFF="True")
    url = f"{LIST}{user.pk}/cognito/reset/"
    page = change_page(support, user)
    assert "Username:" in text_of(page)
    for shown in (page, support.client.get(url), support.look(user)):
        assert "(CognitoResetMisconfigured)" in text_of(shown)
    for response in (support.client.post(url), support.send(user)):
        level, text = told(response)[-1]
        assert (level, "(CognitoResetMisconfigured)" in text) == (levels.ERROR, True)
    assert resets(people) == []


@pytest.mark.requirement("F2")
def test_f2_a_person_who_is_another_user_needs_view_on_both(
    people: People, settings: Any, support: Staff
) -> None:
    """Who may not view the user whom the pool proves the person to be sees nothing of them."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": "email"}
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "SIGN_IN_WITH": ["email"]}
    settings.COGNITO_RESET |= {"POOLS": {"default": pool}}
    people.add("hidden", email="unseen@example.com", email_verified="true")
    people.emulator.calls.clear()
    make_user("unseen")
    User.objects.filter(username="unseen").update(password="!unusable")
    mallory = make_user("mallory")
    User.objects.filter(pk=mallory.pk).update(email="unseen@example.com", password="x")
    response = change_page(support, mallory)
    assert "There is no such user in the user pool." in text_of(response)
    assert "u***@e***" not in text_of(response)
    ((_level, text),) = told(support.client.post(f"{LIST}{mallory.pk}/cognito/reset/"))
    assert "There is no such user" in text
    assert resets(people) == []


# The page of an action.


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", ACTIONS)
def test_f1_an_action_needs_its_permission_and_view(people: People, name: str, method: str) -> None:
    """Missing users get the same answer as users who may not be viewed."""
    alice, untouchable = make_user("alice"), make_user("untouchable")
    permission = ACTIONS[name].permission.partition(".")[2]
    others = make_staff("others", *(each for each in EVERYTHING if each != permission))
    unseeing = make_staff("unseeing", permission)
    both = make_staff("both", permission, "view_user")
    tries = [(others, alice.pk), (unseeing, alice.pk), (both, untouchable.pk), (both, 99)]
    for staff, pk in tries:
        response = getattr(staff.client, method)(f"{LIST}{pk}/cognito/{name}/")
        assert response.status_code == 403
    assert people.emulator.calls == []


@pytest.mark.requirement("F5")
@pytest.mark.parametrize("name", ACTIONS)
def test_f5_an_action_without_the_permission_is_recorded(people: People, name: str) -> None:
    """F5: with the user, or by the sub in the URL. A look, and an unknown pool, leave no row."""
    alice, untouchable = make_user("alice"), make_user("untouchable")
    sub = sub_of(people, "alice")
    permission = ACTIONS[name].permission.partition(".")[2]
    looker = make_staff("looker", "view_user", "look_up_account")
    both = make_staff("both", permission, "view_user")
    tries = {
        f"{LIST}{alice.pk}/cognito/{name}/": (looker, alice, "alice"),
        f"{LIST}{untouchable.pk}/cognito/{name}/": (both, None, f"user {untouchable.pk}"),
        f"{LIST}99/cognito/{name}/": (both, None, "user 99"),
        f"{ACCOUNTS}default/{sub}/{name}/": (both, None, sub),
    }
    for url, (staff, _user, _name) in tries.items():
        assert staff.client.get(url).status_code == 403
    assert looker.client.post(f"{ACCOUNTS}nope/{sub}/{name}/").status_code == 403
    assert not ResetEvent.objects.exists()
    for url, (staff, user, identifier) in tries.items():
        assert staff.client.post(url).status_code == 403
        event = ResetEvent.objects.latest("pk")
        assert (event.actor, event.target, event.action) == (staff.user, user, name)
        assert (event.outcome, event.error_code) == ("refused", "permission_denied")
        assert event.identifier_hash == identifier_key("default", identifier)
        words = error_words(event.error_code, event.outcome, event.action)
        assert words == "The permission for this was missing."
    assert people.emulator.calls == []
    assert not LogEntry.objects.exists()


@pytest.mark.requirement("F5")
def test_f5_a_name_that_is_not_known_changes_no_answer(people: People, settings: Any) -> None:
    """F5: the setting is wrong, so nobody knows whose history the row would belong to."""
    looker = make_staff("looker", "view_user")
    alice = make_user("alice")
    with_settings(settings, COGNITO_USERNAME="no_such_name")
    assert looker.client.post(f"{LIST}{alice.pk}/cognito/reset/").status_code == 403
    assert not ResetEvent.objects.exists()


def test_an_attempt_without_permission_hides_nothing(people: People, support: Staff) -> None:
    """The panel tells what happened to the person, and such an attempt did nothing to them."""
    alice = make_user("alice")
    url = f"{LIST}{alice.pk}/cognito/reset/"
    support.client.post(url)
    assert make_staff("other", "view_user").client.post(url).status_code == 403
    text = text_of(change_page(support, alice))
    assert "What happened last Sent a password reset · " in text


def test_an_unknown_action_is_not_found(support: Staff, people: People) -> None:
    """So is an unknown pool."""
    alice = make_user("alice")
    sub = sub_of(people, "alice")
    assert support.client.get(f"{LIST}{alice.pk}/cognito/delete/").status_code == 404
    for path in (
        f"default/{sub}/delete/",
        f"nope/{sub}/",
        f"nope/{sub}/reset/",
        "x/change/",
        "default_2Fa_2Fb/change/",
        "_2Fa/change/",
    ):
        assert support.client.get(f"{ACCOUNTS}{path}").status_code == 404


@pytest.mark.requirement("F3")
@pytest.mark.parametrize("name", ACTIONS)
def test_f3_the_page_of_an_action_does_nothing(people: People, support: Staff, name: str) -> None:
    """It says what the action does to the person, and its button says so again. A token is needed."""
    people_by_action = {"invite": "carol", "enable": "erin", "confirm": "dave"}
    user = make_user(people_by_action.get(name, "alice"))
    address = f"{LIST}{user.pk}/cognito/{name}/"
    support.client.handler.enforce_csrf_checks = True
    page = support.client.get(address)
    action = ACTIONS[name]
    for consequence in action.consequences:
        assert str(consequence) in text_of(page)
    assert f'<input type="submit" value="{action.title}">' in page.content.decode()
    assert operations(people) == LOOK_UPS
    assert support.client.post(address).status_code == 403
    assert operations(people) == LOOK_UPS
    token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
    assert token
    response = support.client.post(address, {"csrfmiddlewaretoken": token[1]})
    assert response["Location"] == f"{LIST}{user.pk}/change/"


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("name", ACTIONS)
def test_f4_no_page_has_a_field_for_a_password(people: People, support: Staff, name: str) -> None:
    """Nor for a code."""
    page = support.client.get(f"{LIST}{make_user('alice').pk}/cognito/{name}/").content.decode()
    form = page.partition('<form method="post"><input')[2].partition("</form>")[0]
    assert set(re.findall(r'name="(\w+)"', form)) <= {"csrfmiddlewaretoken", "notify"}


@pytest.mark.parametrize(
    ("name", "action", "text", "history"),
    [
        (
            "alice",
            "reset",
            "A code was sent to alice by email, to a***@e***.",
            "Sent a password reset",
        ),
        (
            "carol",
            "invite",
            "The invitation was sent to carol again by email, to c***@e***.",
            "Sent the invitation again",
        ),
        ("erin", "enable", "The account of erin is enabled.", "Enabled the account"),
        ("dave", "confirm", "The sign-up of dave is confirmed.", "Confirmed the sign-up"),
        (
            "alice",
            "sign-out",
            "alice was signed out everywhere.",
            "Signed the person out everywhere",
        ),
        ("alice", "clear-limits", "alice can try again.", "Let the person try again"),
    ],
)
def test_an_action_is_done_told_and_recorded(
    people: People, support: Staff, name: str, action: str, text: str, history: str
) -> None:
    """The message and the history are in words. The audit has the staff member."""
    user = make_user(name)
    response = support.client.post(f"{LIST}{user.pk}/cognito/{action}/")
    ((level, message),) = told(response)
    assert (level, message.strip("\N{WORD JOINER}")) == (levels.SUCCESS, text)
    event = ResetEvent.objects.get()
    assert (event.action, event.outcome) == (action, "triggered")
    assert (event.actor, event.target, event.interface) == (support.user, user, "admin")
    page = support.client.get(f"{LIST}{user.pk}/history/").content.decode()
    assert f"<td>{history}</td>" in page


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_message_shows_a_name_as_it_is(
    people: People, support: Staff, settings: Any, language: str
) -> None:
    """Django's admin begins messages with a capital letter, and most Japanese messages begin with the name."""
    settings.LANGUAGE_CODE = language
    user = make_user("erin")
    with translation.override(language):
        for action in ("enable", "clear-limits"):
            response = support.client.post(f"{LIST}{user.pk}/cognito/{action}/", follow=True)
            assert "Erin" not in response.content.decode()
            assert (
                "erin"
                in response.content.decode().partition("messagelist")[2].partition("</ul>")[0]
            )


@pytest.mark.requirement("F5")
def test_f5_the_history_tells_in_words_what_was_not_done(people: People, support: Staff) -> None:
    """Other entries are shown as Django does, also if they are broken."""
    user = make_user("erin")
    support.client.post(f"{LIST}{user.pk}/cognito/reset/")
    people.emulator.fail_next("AdminEnableUser", Timeout())
    support.client.post(f"{LIST}{user.pk}/cognito/enable/")
    own = LogEntry.objects.latest("pk")
    odd = [{"changed": {"fields": ["Odd"]}, "cognito_reset": {"action": "x"}}]
    new = {"action": "reset", "outcome": "failed", "error_code": "brand_new"}
    for message in (
        '[{"changed": {"fields": ["Email"]}}]',
        "A site's own.",
        "[]",
        json.dumps(odd),
        json.dumps([{"cognito_reset": new}]),
    ):
        LogEntry.objects.create(
            user=own.user,
            content_type=own.content_type,
            object_id=own.object_id,
            action_flag=own.action_flag,
            change_message=message,
        )
    text = text_of(support.client.get(f"{LIST}{user.pk}/history/"))
    for words in (
        "Send a password reset: refused. This user is disabled in Cognito. Enable the user first.",
        "Enable the account: outcome unknown.",
        "Changed Email.",
        "A site's own.",
        "No fields changed.",
        "Changed Odd.",
        "Send a password reset: failed. brand_new",
    ):
        assert words in text
    assert "user_disabled" not in text
    missing = support.client.get(f"{LIST}99/history/")
    assert missing.status_code == 302


def test_the_history_is_in_the_readers_language(
    people: People, support: Staff, settings: Any
) -> None:
    """It is translated when it is read."""
    user = make_user("alice")
    support.client.post(f"{LIST}{user.pk}/cognito/reset/")
    settings.LANGUAGE_CODE = "de"
    page = support.client.get(f"{LIST}{user.pk}/history/").content.decode()
    with translation.override("de"):
        assert f"<td>{gettext('Sent a password reset')}</td>" in page
    assert "geändert" not in page


@pytest.mark.parametrize(
    ("fault", "level", "words"),
    [
        (Timeout(), levels.WARNING, "It is not known whether this was done for alice."),
        ("LimitExceededException", levels.ERROR, "This did not work for alice."),
    ],
)
def test_what_went_wrong_is_told(
    people: People, support: Staff, fault: Any, level: int, words: str
) -> None:
    """An unknown outcome is a warning, and a refusal an error."""
    people.emulator.fail_next(RESET, fault)
    response = support.client.post(f"{LIST}{make_user('alice').pk}/cognito/reset/")
    ((found, text),) = told(response)
    assert (found, text.startswith(words)) == (level, True)


def test_limits_that_stand_are_a_warning(people: People, support: Staff, settings: Any) -> None:
    """The reset was sent, and the message says that the person may have to wait."""
    settings.CACHES = {**settings.CACHES, "down": UNREACHABLE}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}, "LIMITS_CACHE": "down"}
    ((level, text),) = told(support.client.post(f"{LIST}{make_user('alice').pk}/cognito/reset/"))
    assert level == levels.WARNING
    assert text.startswith("A code was sent to alice")
    assert "could not be cleared" in text


def test_an_action_that_does_not_fit_is_refused_before_the_call(
    people: People, support: Staff
) -> None:
    """The page has the reason and no button, and so has a forged POST's message."""
    user = make_user("grace")
    address = f"{LIST}{user.pk}/cognito/reset/"
    page = support.client.get(address)
    assert "no verified email address or phone number" in text_of(page)
    assert 'type="submit" value="Send' not in page.content.decode()
    ((level, text),) = told(support.client.post(address))
    assert level == levels.ERROR
    assert "no verified email" in text
    assert resets(people) == []


def test_the_person_may_be_mailed_where_to_enter_the_code(people: People, support: Staff) -> None:
    """Only if that is checked, to the address that the site knows. The mail has the page, and no name."""
    alice = make_user("alice")
    address = f"{LIST}{alice.pk}/cognito/reset/"
    assert 'name="notify"' in support.client.get(address).content.decode()
    support.client.post(address)
    assert mail.outbox == []
    support.client.post(address, {"notify": "on"})
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert "http://testserver/password-reset/confirm/" in message.body
    assert people.emulator.outbox[-1].code not in message.body
    sign_out = support.client.get(f"{LIST}{alice.pk}/cognito/sign-out/").content.decode()
    assert 'name="notify"' not in sign_out
    alice.email = ""
    alice.save()
    assert 'name="notify"' not in support.client.get(address).content.decode()


def test_filters_of_the_list_are_kept(people: People, support: Staff) -> None:
    """From the change page through the action and back."""
    alice = make_user("alice")
    filters = "?_changelist_filters=is_active__exact%3D1"
    page = support.client.get(f"{LIST}{alice.pk}/change/{filters}").content.decode()
    address = f"{LIST}{alice.pk}/cognito/reset/{filters}"
    assert f'href="{address}"' in page
    response = support.client.post(address)
    assert response["Location"] == f"{LIST}{alice.pk}/change/{filters}"


# People whom Django may not know.


def look_up(staff: Staff, typed: str, **more: str) -> Any:
    return staff.client.post(ACCOUNTS, {"username": typed, **more})


@pytest.mark.parametrize(
    "by", ["bob", "bob@example.com", "+15555550123", " +1 555-555-0123 ", "sub"]
)
def test_a_person_is_looked_up(people: People, support: Staff, by: str) -> None:
    """By username, address, phone number or sub. The URL has the pool and the sub only."""
    people.call(
        "AdminUpdateUserAttributes",
        Username="bob",
        UserAttributes=[{"Name": "email", "Value": "bob@example.com"}],
    )
    sub = sub_of(people, "bob")
    response = look_up(support, sub if by == "sub" else by)
    assert response["Location"] == f"{ACCOUNTS}default/{sub}/"
    assert "bob" not in f"{dict(support.client.session)}"
    page = support.client.get(response["Location"])
    assert "in use ( CONFIRMED )" in text_of(page)
    assert "+*******0123 · verified" in text_of(page)
    assert "15555550123" not in page.content.decode()
    assert offered(page) == ["reset", "sign-out", "clear-limits"]


def test_a_phone_number_is_understood_as_on_the_public_pages(
    people: People, support: Staff, settings: Any
) -> None:
    """Staff type what they hear on the phone. People who sign in with phone numbers may have usernames, too."""
    pool = settings.COGNITO_RESET["POOLS"]["default"]
    own = {"PHONE_REGION": "US", "SIGN_IN_WITH": ["phone_number"]}
    with_settings(settings, POOLS={"default": {**pool, **own}})
    people.add("ulla", phone_number="+12025550123", phone_number_verified="true")
    found = {look_up(support, typed)["Location"] for typed in ("(202) 555-0123", "ulla")}
    assert found == {f"{ACCOUNTS}default/{sub_of(people, 'ulla')}/"}


def test_a_look_up_in_vain_is_logged(
    people: People, support: Staff, caplog: pytest.LogCaptureFixture
) -> None:
    """A staff member who tries names leaves a trace, which has no name."""
    caplog.set_level(logging.INFO, "cognito_reset")
    line = f"cognito_reset.account_not_shown actor={support.user.pk} code=user_not_found"
    nobody = make_user("zed")
    for get in (
        lambda: look_up(support, "zed@example.com"),
        lambda: support.client.get(f"{ACCOUNTS}default/00000000-0000-4000-8000-000000000000/"),
        lambda: change_page(support, nobody),
        lambda: support.client.get(f"{LIST}{nobody.pk}/cognito/reset/"),
    ):
        caplog.clear()
        get()
        assert caplog.messages == [line]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("nobody", "There is no such user in the user pool."),
        ("", "Enter a value."),
        ("a\x00b", "Remove the spaces"),
    ],
)
def test_a_look_up_that_fails_says_why(
    people: People, support: Staff, typed: str, words: str
) -> None:
    """The form is shown again with what was typed."""
    response = look_up(support, typed)
    assert response.status_code == 200
    assert words in text_of(response)


def test_a_look_up_asks_for_the_pool_if_there_are_several(
    people: People, support: Staff, settings: Any
) -> None:
    """A pool that doesn't exist is never asked."""
    page = support.client.get(ACCOUNTS).content.decode()
    assert "<option selected>default</option><option>brand</option>" in page
    assert look_up(support, "alice", pool="nope").status_code == 200
    assert people.emulator.calls == []
    look_up(support, "alice", pool="brand")
    assert people.emulator.calls[0][1]["UserPoolId"] == "eu-west-1_Example02"
    pools = {"default": settings.COGNITO_RESET["POOLS"]["default"]}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    assert "<select" not in support.client.get(ACCOUNTS).content.decode()


@pytest.mark.requirement("F1")
def test_f1_a_look_up_needs_its_permission(people: People) -> None:
    """Without it, the admin doesn't list the accounts, and no page looks anybody up."""
    sub = sub_of(people, "alice")
    staff = make_staff("other", *(set(EVERYTHING) - {"look_up_account"}))
    assert ACCOUNTS not in staff.client.get("/admin/").content.decode()
    for path in ("", f"default/{sub}/", f"default/{sub}/reset/"):
        for method in (staff.client.get, staff.client.post):
            assert method(f"{ACCOUNTS}{path}").status_code == 403
    only = make_staff("only", "look_up_account")
    assert ACCOUNTS in only.client.get("/admin/").content.decode()
    assert only.client.post(f"{ACCOUNTS}default/{sub}/reset/").status_code == 403
    assert Client().get(ACCOUNTS)["Location"].startswith("/admin/login/")
    assert people.emulator.calls == []


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("name", ["untouchable", "unseen"])
@pytest.mark.parametrize("site", ["admin", "account-admin"])
@pytest.mark.parametrize("password", [None, "local"])
def test_f1_a_person_with_a_local_user_needs_view_on_that_user(
    people: People, name: str, site: str, password: str | None
) -> None:
    """By the user's own admin if it is registered, or else by the permission. The answer is as for nobody."""
    people.add(name, email=f"{name}@example.com", email_verified="true")
    sub = sub_of(people, name)
    make_user(name, password=password)
    codenames = [each for each in EVERYTHING if site == "admin" or each != "view_user"]
    staff = make_staff("other", *codenames)
    accounts = ACCOUNTS.replace("/admin/", f"/{site}/")
    response = staff.client.post(accounts, {"username": name})
    assert "There is no such user in the user pool." in text_of(response)
    assert "There is no such user" in text_of(staff.client.get(f"{accounts}default/{sub}/"))
    address = f"{accounts}default/{sub}/reset/"
    assert "There is no such user" in text_of(staff.client.get(address))
    assert "There is no such user" in told(staff.client.post(address))[0][1]
    assert resets(people) == []


def test_somebody_whom_django_does_not_know_is_helped(people: People, support: Staff) -> None:
    """The admin's log has the sub and leads back to the person."""
    sub = sub_of(people, "alice")
    address = f"{ACCOUNTS}default/{sub}/"
    page = support.client.get(f"{address}reset/")
    assert 'name="notify"' not in page.content.decode()
    response = support.client.post(f"{address}reset/")
    assert response["Location"] == address
    assert told(response) == [(levels.SUCCESS, "A code was sent to alice by email, to a***@e***.")]
    assert not people.can_sign_in("alice", PASSWORD)
    event = ResetEvent.objects.get()
    assert (event.actor, event.target) == (support.user, None)
    entry = LogEntry.objects.get()
    assert entry.object_repr == f"default/{sub}"
    assert "alice" not in f"{entry.object_repr}{entry.change_message}"
    url = entry.get_admin_url()
    assert url
    assert support.client.get(url)["Location"] == address
    assert unquote(url) != address


def test_a_local_user_is_linked_and_has_the_history(people: People, support: Staff) -> None:
    """The panel of a person whom the site knows leads to the user."""
    alice = make_user("alice")
    alice.set_unusable_password()
    alice.save()
    address = f"{ACCOUNTS}default/{sub_of(people, 'alice')}/"
    page = support.client.get(address).content.decode()
    assert f'href="{LIST}{alice.pk}/change/"' in page
    support.client.post(f"{address}sign-out/")
    assert LogEntry.objects.get().object_id == str(alice.pk)
    alone = support.client.get(address.replace("/admin/", "/account-admin/")).content.decode()
    assert "Account in Cognito" in alone
    assert "/auth/user/" not in alone


def test_somebody_who_is_gone_is_said(people: People, support: Staff) -> None:
    """The panel and the action's page say that there is no such user."""
    address = f"{ACCOUNTS}default/00000000-0000-4000-8000-000000000000/"
    assert "There is no such user in the user pool." in text_of(support.client.get(address))
    ((level, _text),) = told(support.client.post(f"{address}reset/"))
    assert level == levels.ERROR
    assert resets(people) == []


def test_the_audit_is_linked_for_those_who_may_read_it(people: People, support: Staff) -> None:
    """The link has the hashes of the person's identifiers."""
    alice = make_user("alice")
    support.client.post(f"{LIST}{alice.pk}/cognito/reset/")
    link = re.compile(r'href="(/admin/cognito_reset/resetevent/\?[^"]+)"')
    assert not link.search(change_page(support, alice).content.decode())
    reader = make_staff("reader", *EVERYTHING, "view_resetevent")
    found = link.search(change_page(reader, alice).content.decode())
    assert found
    history = reader.client.get(html.unescape(found[1]))
    assert "Sent a password reset" in text_of(history).partition("History of")[2]


def test_each_step_of_the_breadcrumbs_keeps_its_own_direction(people: People) -> None:
    """From right to left, a name in Latin letters would change places with the word Cognito before it."""
    root = make_staff("root", is_superuser=True)
    found = root.client.post(
        "/admin/cognito_reset/account/", {"pool": "default", "username": "alice"}, follow=True
    )
    trail = found.content.decode().partition('class="breadcrumbs"')[2].partition("</nav>")[0]
    steps = re.findall(r"<bdi>(.*?)</bdi>", trail)
    assert steps[-2:] == ["Accounts in Cognito", "alice"]
