"""A site's back office looks people up and acts for them over REST."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import include
from django.urls import path as url
from rest_framework.authentication import SessionAuthentication, TokenAuthentication

from cognito_reset.models import ResetEvent
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.signals import account_action
from cognito_reset.staff.accounts import LOOK_UP
from cognito_reset.staff.actions import ACTIONS
from cognito_reset.staff.rest import LookUpAPIView, StaffAPIView
from cognito_reset.testing import ConnectRefused, Error, Timeout
from tests.documentation import python, text
from tests.interfaces import with_settings
from tests.people import PASSWORD, People
from tests.test_staff_accounts import sub_of
from tests.test_staff_actions import CALLS, FITTING, changes, rows
from tests.test_staff_admin import UNREACHABLE, make_staff, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.staff_urls")]

PERMISSIONS = {name: action.permission.partition(".")[2] for name, action in ACTIONS.items()}
EVERYTHING = ("view_user", "look_up_account", *PERMISSIONS.values())
SUB = "00000000-0000-0000-0000-000000000000"  # nobody's


class Office:
    """A staff member's back office."""

    def __init__(self, *codenames: str, root: str = "staff", **more: Any) -> None:
        staff = make_staff("office", *(codenames or EVERYTHING), **more)
        self.user, self.client, self.root = staff.user, staff.client, root

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(f"/{self.root}/{path}", query)

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(f"/{self.root}/{path}", body, content_type="application/json")


@pytest.fixture
def office(people: People) -> Office:
    return Office()


def codes(response: Any) -> list[str]:
    return [error["code"] for error in response.json()["errors"]]


# The doors, by which each action and the panel can be reached.


def doors(people: People, name: str, action: str) -> dict[str, str]:
    """Return the two paths of an action, or of the panel if the action is "". The user is made here."""
    user = User.objects.filter(username=name).first() or make_user(name)
    paths = {"accounts": f"accounts/default/{sub_of(people, name)}/", "users": f"users/{user.pk}/"}
    return {door: f"{path}{action}/" if action else path for door, path in paths.items()}


def answer(office: Office, path: str, action: str) -> Any:
    return office.post(path) if action else office.get(path)


DOORS = pytest.mark.parametrize("door", ["accounts", "users"])
EACH = pytest.mark.parametrize("action", ["", *ACTIONS])


# The panel.


@pytest.mark.parametrize("typed", ["alice", " alice@example.com ", "Alice <alice@example.com>"])
def test_a_person_is_looked_up(people: People, office: Office, typed: str) -> None:
    """By what staff were told, as people write it."""
    response = office.post("look-up/", username=typed)
    assert response.status_code == 200
    assert response.json()["sub"] == sub_of(people, "alice")


@pytest.mark.parametrize("data", [{}, {"username": ""}, {"username": " "}])
def test_a_look_up_without_a_name(people: People, office: Office, data: dict[str, str]) -> None:
    """The text doesn't take the name for the staff member's own."""
    response = office.post("look-up/", **data)
    assert response.status_code == 400
    [error] = response.json()["errors"]
    assert (error["code"], error["attr"]) == ("required", "username")
    assert "your" not in error["detail"]


@pytest.mark.parametrize("typed", ["+1 555 555 0123", "bob"])
def test_a_look_up_takes_names_of_every_kind(
    people: People, office: Office, settings: Any, typed: str
) -> None:
    """Whatever people sign in with."""
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "SIGN_IN_WITH": ["email"]}
    with_settings(settings, POOLS={"default": pool})
    assert office.post("look-up/", username=typed).json()["username"] == "bob"


def test_the_panel_has_all_that_staff_need(people: People, office: Office) -> None:
    """Facts, what is wrong, and what can be done. Contacts are masked."""
    user = make_user("erin")
    body = office.get(f"users/{user.pk}/").json()
    assert body.pop("actions")[0] == {
        "name": "reset",
        "title": "Send a password reset",
        "consequences": [str(text) for text in ACTIONS["reset"].consequences],
        "refusal": {
            "code": "user_disabled",
            "detail": "This user is disabled in Cognito. Enable the user first.",
        },
    }
    times = [body.pop(name) for name in ("created_at", "changed_at", "looked_up_at")]
    assert all(times)
    assert body == {
        "pool": "default",
        "sub": sub_of(people, "erin"),
        "user": str(user.pk),
        "username": "erin",
        "status": "CONFIRMED",
        "state": "in use",
        "enabled": False,
        "contacts": [{"attribute": "email", "masked": "e***@e***", "verified": True}],
        "last_request": None,
        "last_event": None,
        "diagnosis": ["This user is disabled in Cognito. Enable the user first."],
    }


def test_the_panel_tells_how_the_last_reset_ended(people: People, office: Office) -> None:
    paths = doors(people, "alice", "")
    office.post(paths["accounts"] + "reset/")
    body = office.get(paths["accounts"]).json()
    assert body["last_request"] == body["last_event"]
    assert body["last_event"]["outcome"] == "triggered"
    assert body["last_event"]["interface"] == "rest"
    assert body["status"] == "RESET_REQUIRED"


def test_a_person_whom_django_does_not_know(people: People, office: Office) -> None:
    body = office.post("look-up/", username="alice").json()
    assert body["user"] is None
    assert office.get(f"accounts/{body['pool']}/{body['sub']}/").json()["username"] == "alice"


@pytest.mark.requirement("F1")
@DOORS
@pytest.mark.parametrize("only", list(PERMISSIONS))
def test_f1_the_panel_offers_what_the_staff_member_may_do(
    people: People, door: str, only: str
) -> None:
    office = Office("view_user", "look_up_account", PERMISSIONS[only])
    body = office.get(doors(people, "alice", "")[door]).json()
    assert [action["name"] for action in body["actions"]] == [only]


@pytest.mark.parametrize("method", ["get", "head"])
@DOORS
def test_looking_sends_and_records_nothing(
    people: People, office: Office, door: str, method: str
) -> None:
    path = doors(people, "alice", "")[door]
    getattr(office.client, method)(f"/staff/{path}")
    assert {name for name, _ in people.emulator.calls} == {"ListUsers", "DescribeUserPool"}
    assert not ResetEvent.objects.exists()


# Acting.


@DOORS
@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_works_by_each_door(
    people: People, office: Office, door: str, action: str
) -> None:
    """And is recorded with the staff member."""
    response = office.post(doors(people, FITTING[action], action)[door])
    assert response.status_code == 200
    assert response.json()["action"] == action
    assert response.json()["outcome"] == "triggered"
    assert FITTING[action] in response.json()["text"]
    row = ResetEvent.objects.get()
    assert (row.action, row.outcome, row.interface) == (action, "triggered", "rest")
    assert (row.actor, row.target) == (office.user, User.objects.get(username=FITTING[action]))
    assert row.aws_request_id == response.json()["aws_request_id"]
    assert row.network


def test_an_answer_names_the_medium_and_the_masked_address(people: People, office: Office) -> None:
    body = office.post(doors(people, "alice", "reset")["users"]).json()
    assert body.pop("aws_request_id")
    assert body == {
        "action": "reset",
        "outcome": "triggered",
        "text": "A code was sent to alice by email, to a***@e***.",
        "medium": "EMAIL",
        "destination": "a***@e***",
        "notified": None,
    }


@pytest.mark.parametrize("door", ["accounts", "users"])
def test_a_mail_of_the_sites_own_can_be_asked_for(
    people: People, office: Office, door: str
) -> None:
    path = doors(people, "alice", "reset")[door]
    assert office.post(path, notify=True).json()["notified"] is True
    assert mail.outbox[0].to == ["alice@example.com"]


@pytest.mark.parametrize("value", [1, "no: spaces", None, {}, [True]])
def test_fields_are_validated(people: People, office: Office, value: Any) -> None:
    """Nothing is sent, and nothing looked up."""
    for path in doors(people, "alice", "reset").values():
        response = office.post(path, notify=value)
        assert response.status_code == 400
        assert response.json()["type"] == "validation_error"
        assert response.json()["errors"][0]["attr"] == "notify"
    for body in ({}, {"username": value}, {"username": ""}, {"username": "a b"}):
        response = office.post("look-up/", **body)
        assert response.status_code == 400
        assert response.json()["errors"][0]["attr"] == "username"
    assert office.post("look-up/", username="alice", pool=5).status_code == 400
    assert people.emulator.calls == []


# What isn't done, with stable codes.


@pytest.mark.parametrize(
    ("name", "action", "status", "code"),
    [
        ("grace", "reset", 409, "no_verified_contact"),
        ("frank", "reset", 409, "federated_user"),
        ("carol", "reset", 409, "not_activated"),
        ("alice", "invite", 409, "not_invited"),
        ("alice", "enable", 409, "already_enabled"),
        ("alice", "confirm", 409, "nothing_to_confirm"),
    ],
)
@DOORS
def test_what_does_not_fit_is_refused(
    people: People, office: Office, door: str, name: str, action: str, status: int, code: str
) -> None:
    """With the reason in words and a code, before the call. It is recorded."""
    response = office.post(doors(people, name, action)[door])
    assert (response.status_code, codes(response)) == (status, [code])
    assert response.json()["type"] == "client_error"
    assert changes(people) == []
    assert rows() == [(action, "refused", code)]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (ConnectRefused(), 503, "unavailable"),
        (Timeout(), 502, "outcome_unknown"),
        (Error("AccessDeniedException"), 503, "unavailable"),
        (Error("CodeDeliveryFailureException"), 503, "delivery_failed"),
        (Error("TooManyRequestsException"), 503, "upstream_throttled"),
    ],
)
@DOORS
def test_what_goes_wrong_has_a_code(
    people: People, office: Office, door: str, fault: Any, status: int, code: str
) -> None:
    path = doors(people, "alice", "reset")[door]
    people.emulator.fail_next("AdminResetUserPassword", fault, times=2)
    response = office.post(path)
    assert (response.status_code, codes(response)) == (status, [code])
    assert response.json()["type"] == "server_error"
    assert [row[2] for row in rows()] == [code]


def test_a_second_reset_has_to_wait(people: People, office: Office, settings: Any) -> None:
    """The panel says so before."""
    with_settings(settings, LIMITS={"request": {"identifier": "1/m"}})
    path = doors(people, "alice", "reset")["users"]
    assert office.post(path).status_code == 200
    body = office.get(path.removesuffix("reset/")).json()
    refusal = next(each["refusal"] for each in body["actions"] if each["name"] == "reset")
    assert refusal["code"] == "throttled"
    again = office.post(path)
    assert (again.status_code, codes(again)) == (429, ["throttled"])
    assert again.json()["errors"][0]["detail"] == refusal["detail"]
    assert 0 < int(again["Retry-After"]) <= 60
    assert "Wait for 1 minute." in again.json()["errors"][0]["detail"]


@DOORS
def test_cognito_that_is_down_while_somebody_looks(
    people: People, office: Office, door: str
) -> None:
    path = doors(people, "alice", "")[door]
    people.emulator.fail_next("ListUsers", ConnectRefused(), times=2)
    response = office.get(path)
    assert (response.status_code, codes(response)) == (503, ["unavailable"])
    assert int(response["Retry-After"]) > 0


def test_a_user_without_an_account(people: People, office: Office) -> None:
    """The look-up of a panel isn't an action, so it leaves no row; the action does."""
    user = make_user("nobody")
    for response in (office.get(f"users/{user.pk}/"), office.post(f"users/{user.pk}/enable/")):
        assert (response.status_code, codes(response)) == (404, ["user_not_found"])
    assert rows() == [("enable", "refused", "user_not_found")]


def test_a_site_whose_own_code_fails(people: People, caplog: pytest.LogCaptureFixture) -> None:
    """The action is recorded, and the log has the setting."""
    office, user = Office(root="tenant"), make_user("broken")
    for response in (office.get(f"users/{user.pk}/"), office.post(f"users/{user.pk}/enable/")):
        assert (response.status_code, codes(response)) == (503, ["unavailable"])
    assert rows() == [("enable", "failed", "unavailable")]
    assert (
        "cognito_reset.site_code_failed setting=COGNITO_USERNAME error=LookupError" in caplog.text
    )


def test_limits_that_cannot_be_cleared(people: People, office: Office, settings: Any) -> None:
    settings.CACHES = {**settings.CACHES, "limits": UNREACHABLE}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits")
    response = office.post(doors(people, "alice", "clear-limits")["users"])
    assert (response.status_code, codes(response)) == (503, ["unavailable"])


# Who may.


@pytest.mark.requirement("F1")
@DOORS
@EACH
@pytest.mark.parametrize("missing", ["permission", "view_user"])
def test_f1_both_permissions_are_needed(
    people: People, door: str, action: str, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each action has a permission of its own. Existing and missing people get the same answer."""
    needed = PERMISSIONS.get(action, "look_up_account")
    having = [
        name for name in EVERYTHING if name != (needed if missing == "permission" else missing)
    ]
    office = Office(*having)
    there = answer(office, doors(people, FITTING.get(action, "alice"), action)[door], action)
    other = {"accounts": f"accounts/default/{SUB}/", "users": "users/99999/"}[door]
    absent = answer(office, f"{other}{action}/" if action else other, action)
    expected = 403 if missing == "permission" else 404
    assert there.status_code == absent.status_code == expected
    assert there.content == absent.content
    assert changes(people) == []
    if missing == "permission":
        assert people.emulator.calls == []
    line = f"cognito_reset.staff_denied actor={office.user.pk} permission=cognito_reset.{needed}"
    assert line in caplog.text
    assert "alice" not in caplog.text
    assert "@" not in caplog.text


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("action", ACTIONS)
def test_f1_who_may_not_look_up_acts_for_users_only(people: People, action: str) -> None:
    """As in the admin: the answer names a masked address of somebody whom the pool alone may know."""
    office = Office("view_user", PERMISSIONS[action])
    paths = doors(people, FITTING[action], action)
    refused = office.post(paths["accounts"])
    assert (refused.status_code, codes(refused)) == (403, ["permission_denied"])
    assert people.emulator.calls == []
    assert office.post(paths["users"]).status_code == 200


@pytest.mark.requirement("F1")
def test_f1_the_look_up_may_be_denied_for_one_user(
    people: People, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then this person isn't found under ``accounts/``."""

    def may(self: Any, request: Any, permission: str, user: Any = None) -> bool:
        return user is None or permission != LOOK_UP

    monkeypatch.setattr(StaffAPIView, "may", may)
    response = office.post(doors(people, "alice", "reset")["accounts"])
    assert (response.status_code, codes(response)) == (404, ["user_not_found"])
    assert changes(people) == []


@pytest.mark.requirement("F1")
def test_f1_a_look_up_needs_the_permission(people: People) -> None:
    """Before anything is looked up or validated."""
    office = Office(*[name for name in EVERYTHING if name != "look_up_account"])
    for body in ({"username": "alice"}, {}):
        assert office.post("look-up/", **body).status_code == 403
    assert people.emulator.calls == []


@pytest.mark.requirement("F1")
@DOORS
@EACH
@pytest.mark.parametrize("name", ["untouchable", "hidden", "unseen"])
def test_f1_the_permission_is_asked_for_every_object(
    people: People, door: str, action: str, name: str
) -> None:
    """A site decides for each user. Somebody who may not be seen is answered like nobody."""
    people.add(name, email=f"{name}@example.com", email_verified="true")
    office = Office(root="tenant")
    there = answer(office, doors(people, name, action)[door], action)
    other = {"accounts": f"accounts/default/{SUB}/", "users": "users/99999/"}[door]
    absent = answer(office, f"{other}{action}/" if action else other, action)
    assert there.status_code == absent.status_code == 404
    assert there.content == absent.content
    assert changes(people) == []


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("name", ["untouchable", "hidden", "unseen"])
@pytest.mark.parametrize("password", [None, "local"])
def test_f1_a_look_up_finds_nobody_who_may_not_be_seen(
    people: People, name: str, password: str | None
) -> None:
    """Nor if the user has a password on this site, and so isn't proven to be the person."""
    people.add(name, email=f"{name}@example.com", email_verified="true")
    make_user(name, password=password)
    office = Office(root="tenant")
    there = office.post("look-up/", username=f"{name}@example.com")
    absent = office.post("look-up/", username="nobody@example.com")
    assert there.status_code == absent.status_code == 404
    assert there.content == absent.content


@pytest.mark.requirement("F1")
@EACH
@pytest.mark.parametrize("password", [None, "local"])
def test_f1_the_person_in_the_pool_is_asked_for_too(
    people: People, action: str, password: str | None
) -> None:
    """Somebody who may edit a user could have it looked up as another one, whom they may not see."""
    people.add("hidden", email="hidden@example.com", email_verified="true")
    make_user("hidden", password=password)
    user = make_user("anna", first_name="hidden")
    people.emulator.calls.clear()
    path = f"users/{user.pk}/{action}/" if action else f"users/{user.pk}/"
    response = answer(Office(root="tenant"), path, action)
    assert (response.status_code, codes(response)) == (404, ["user_not_found"])
    assert changes(people) == []


class OnlyAlice:
    """A backend with permissions for one user only, as django-guardian's."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        return None

    def get_user(self, pk: Any) -> User | None:
        return User.objects.filter(pk=pk).first()

    def has_perm(self, user: Any, permission: str, obj: Any = None) -> bool:
        return obj is not None and obj.username == "alice"


@pytest.mark.requirement("F1")
def test_f1_a_permission_may_be_for_one_user_only(people: People, settings: Any) -> None:
    """It opens the door of the site's users, and no other."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.OnlyAlice"]
    office = Office()
    alice, bob = doors(people, "alice", ""), doors(people, "bob", "")
    assert office.get(alice["users"]).status_code == 200
    assert office.post(f"{alice['users']}reset/").status_code == 200
    missing = office.get("users/99999/")
    for path in (bob["users"], alice["accounts"], f"{bob['users']}reset/"):
        response = office.post(path) if "reset" in path else office.get(path)
        assert response.status_code == missing.status_code == 403
        assert response.content == missing.content
    assert changes(people) == ["AdminResetUserPassword"]


@pytest.mark.requirement("F1")
@pytest.mark.parametrize(
    "pk", ["99999", "alice", "1 OR 1=1", "9" * 40, "-1", "%00", "%F0%9F%98%80"]
)
def test_f1_a_forged_key_looks_like_a_missing_user(people: People, office: Office, pk: str) -> None:
    assert codes(office.get(f"users/{pk}/")) == ["not_found"]
    assert codes(office.post(f"users/{pk}/reset/")) == ["not_found"]
    assert people.emulator.calls == []


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("sub", [SUB, "alice", "alice@example.com", "%22%20or%20%22", "%00"])
def test_f1_a_forged_sub_looks_like_a_missing_person(
    people: People, office: Office, sub: str
) -> None:
    """An identifier in the URL isn't looked up."""
    for response in (
        office.get(f"accounts/default/{sub}/"),
        office.post(f"accounts/default/{sub}/reset/"),
    ):
        assert (response.status_code, codes(response)) == (404, ["user_not_found"])
    assert changes(people) == []


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("method", ["get", "post"])
def test_f1_a_visitor_gets_nothing(people: People, method: str) -> None:
    for path in ("look-up/", f"accounts/default/{SUB}/", "users/1/", "users/1/reset/"):
        response = getattr(Client(), method)(f"/staff/{path}")
        assert response.status_code in (401, 403)
        assert codes(response) == ["not_authenticated"]
    assert people.emulator.calls == []


@pytest.mark.parametrize(
    ("authentication", "status"), [(TokenAuthentication, 401), (SessionAuthentication, 403)]
)
def test_the_authentication_class_decides_the_status_of_a_visitor(
    people: People, monkeypatch: pytest.MonkeyPatch, authentication: type, status: int
) -> None:
    """docs/staff.md names both."""
    monkeypatch.setattr(LookUpAPIView, "authentication_classes", [authentication])
    response = Client().post("/staff/look-up/", {"username": "alice"}, "application/json")
    assert (response.status_code, codes(response)) == (status, ["not_authenticated"])


def test_a_back_office_of_another_origin_signs_in_with_a_token(
    people: People, settings: Any
) -> None:
    """By the settings of docs/rest.md, with the pattern of docs/staff.md."""
    pytest.importorskip("corsheaders", reason="django-cors-headers isn't installed")
    values: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": []}
    exec(python("spa.md", "settings.py, for another origin"), values)
    (pattern,) = re.findall(r'`CORS_URLS_REGEX = r"(.+?)"`', text("staff.md"))
    names = {name: value for name, value in values.items() if name.startswith("CORS_")}
    for name, value in {**names, "CORS_URLS_REGEX": pattern}.items():
        setattr(settings, name, value)
    settings.MIDDLEWARE = [*values["MIDDLEWARE"], *settings.MIDDLEWARE]
    settings.ROOT_URLCONF = (url("api/staff/", include("cognito_reset.staff.urls")),)
    (origin,) = values["CORS_ALLOWED_ORIGINS"]
    answer = Client().options(
        "/api/staff/look-up/",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert {"authorization", "content-type"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )


@pytest.mark.requirement("F2")
@DOORS
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("is_root", [False, True])
def test_f2_staff_are_for_superusers(people: People, door: str, action: str, is_root: bool) -> None:
    """Whichever action it is."""
    make_user(FITTING[action], is_staff=True)
    office = Office(is_superuser=is_root)
    response = office.post(doors(people, FITTING[action], action)[door])
    assert response.status_code == (200 if is_root else 403)
    if not is_root:
        assert codes(response) == ["staff_target"]
        assert changes(people) == []
        assert rows() == [(action, "refused", "staff_target")]


@pytest.mark.requirement("F2")
@DOORS
def test_f2_staff_are_shown_with_the_reason(people: People, office: Office, door: str) -> None:
    """As in the admin, why nothing can be done for them."""
    make_user("alice", is_staff=True)
    body = office.get(doors(people, "alice", "")[door]).json()
    assert body["contacts"][0]["masked"] == "a***@e***"
    assert {offer["refusal"]["code"] for offer in body["actions"]} == {"staff_target"}


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("action", ["", "reset"])
def test_f2_staff_are_known_by_the_views_own_usernames(people: People, action: str) -> None:
    """A superuser whose username at Cognito only ``get_cognito_username()`` knows."""
    User.objects.create_superuser("root", password=PASSWORD, first_name="alice")
    office = Office(root="tenant")
    path = f"accounts/default/{sub_of(people, 'alice')}/"
    response = answer(office, f"{path}{action}/" if action else path, action)
    if action:
        assert codes(response) == ["staff_target"]
        assert changes(people) == []
    else:
        refusals = [offer["refusal"]["code"] for offer in response.json()["actions"]]
        assert {*refusals} == {"staff_target"}


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("action", ["reset", "clear-limits"])
def test_f2_the_limits_of_a_superusers_address_stay(
    people: People, office: Office, action: str
) -> None:
    """Somebody has given their own user the superuser's address. Both actions clear limits."""
    User.objects.create_superuser("root", "root@example.com", PASSWORD)
    bob = make_user("bob")
    User.objects.filter(pk=bob.pk).update(email="Root@example.com")
    assert codes(office.post(f"users/{bob.pk}/{action}/")) == ["staff_target"]
    assert rows() == [(action, "refused", "staff_target")]
    assert changes(people) == []


# The rest of a request.


@pytest.mark.parametrize("path", ["accounts/unknown/{sub}/", "accounts/unknown/{sub}/reset/"])
def test_a_pool_that_does_not_exist(people: People, office: Office, path: str) -> None:
    response = answer(office, path.format(sub=SUB), "reset" if "reset" in path else "")
    assert (response.status_code, codes(response)) == (404, ["not_found"])


def test_the_pool_of_a_look_up(people: People, office: Office) -> None:
    """It is in the body or in the URL's arguments. The emulator has no pool for the brand."""
    assert office.post("look-up/", username="alice", pool="default").status_code == 200
    assert office.post("look-up/", username="alice", pool="unknown").status_code == 404
    people.emulator.calls.clear()
    office.root = "brand/staff"
    office.post("look-up/", username="alice", pool="default")
    office.get(f"users/{make_user('alice').pk}/")
    pools = {body["UserPoolId"] for _name, body in people.emulator.calls}
    assert pools == {"eu-west-1_Example02"}


@DOORS
def test_an_action_that_does_not_exist(people: People, office: Office, door: str) -> None:
    response = office.post(doors(people, "alice", "set-password")[door])
    assert (response.status_code, codes(response)) == (404, ["not_found"])
    assert people.emulator.calls == []


@pytest.mark.requirement("F3")
@DOORS
@pytest.mark.parametrize("action", ACTIONS)
def test_f3_a_get_does_nothing(people: People, office: Office, door: str, action: str) -> None:
    response = office.get(doors(people, FITTING[action], action)[door])
    assert (response.status_code, codes(response)) == (405, ["method_not_allowed"])
    assert people.emulator.calls == []


@pytest.mark.requirement("F3")
def test_f3_a_session_needs_the_csrf_token(people: People, office: Office) -> None:
    """As DRF checks it."""
    office.client.handler.enforce_csrf_checks = True
    response = office.post(doors(people, "alice", "reset")["users"])
    assert response.status_code == 403
    assert "CSRF" in response.json()["errors"][0]["detail"]
    assert people.emulator.calls == []


def test_a_body_that_is_too_large(people: People, office: Office) -> None:
    response = office.post("look-up/", username="a" * 9000)
    assert (response.status_code, codes(response)) == (413, ["too_large"])


def test_answers_are_not_cached(people: People, office: Office) -> None:
    response = office.get(doors(people, "alice", "")["users"])
    assert "no-store" in response["Cache-Control"]


def test_the_sites_throttles_apply(people: People, office: Office) -> None:
    path = f"/throttled/users/{make_user('alice').pk}/"
    assert [office.client.get(path).status_code for _ in range(2)] == [200, 429]


@pytest.mark.django_db(transaction=True)
@DOORS
def test_a_view_is_outside_of_transactions(people: People, door: str) -> None:
    """ATOMIC_REQUESTS would take back the record of what was sent."""
    path = doors(people, "erin", "enable")[door]
    office, atomic = Office(), []

    def receive(**event: Any) -> None:
        atomic.append(connection.in_atomic_block)

    account_action.connect(receive)
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert office.post(path).status_code == 200
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
        account_action.disconnect(receive)
    assert atomic == [False]


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("name", ["password", "confirmation_code", "temporary_password"])
def test_f4_no_field_takes_a_password_or_a_code(people: People, office: Office, name: str) -> None:
    """Whatever is posted, Cognito makes both, and the answer has neither."""
    response = office.post(doors(people, "alice", "reset")["users"], **{name: PASSWORD})
    assert response.status_code == 200
    assert PASSWORD not in json.dumps(people.emulator.calls)
    assert people.emulator.outbox[-1].code not in response.content.decode()


@pytest.mark.requirement("F5")
@DOORS
@pytest.mark.parametrize(("name", "outcome"), [("alice", "triggered"), ("erin", "refused")])
def test_f5_the_admins_history_has_what_was_done_over_rest(
    name: str, outcome: str, door: str, people: People, office: Office
) -> None:
    """F5: in the history of the site's user, with the staff member."""
    office.post(doors(people, name, "reset")[door])
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (office.user, str(User.objects.get(username=name).pk))
    (message,) = json.loads(entry.change_message)
    what = message["cognito_reset"]
    assert (what["action"], what["outcome"]) == ("reset", outcome)


@pytest.mark.requirement("F5")
def test_f5_the_admins_history_has_a_person_whom_the_site_does_not_know(
    people: People, office: Office
) -> None:
    """F5: as in the admin, also if the look-up fails."""
    sub = sub_of(people, "alice")
    office.post(f"accounts/default/{sub}/sign-out/")
    office.post("accounts/default/nobody/sign-out/")
    entries = LogEntry.objects.order_by("pk")
    assert [entry.object_id for entry in entries] == [f"default/{sub}", "default/nobody"]
    assert {entry.content_type.model for entry in entries if entry.content_type} == {"account"}


@pytest.mark.requirement("F5")
@DOORS
def test_f5_the_log_names_nobody_but_by_key(
    people: People, office: Office, caplog: pytest.LogCaptureFixture, door: str
) -> None:
    """Success, failure and denial are recorded or logged with the staff member."""
    caplog.set_level(logging.INFO)
    alice, grace = doors(people, "alice", ""), doors(people, "grace", "")
    caplog.clear()
    office.get(alice[door])
    office.post(f"{alice[door]}sign-out/")
    office.post(f"{grace[door]}reset/")
    office.post("look-up/", username="zed@example.com")
    office.user.user_permissions.clear()
    office.post(f"{alice[door]}sign-out/")
    ours = [r for r in caplog.records if r.name.startswith("cognito_reset")]
    text = "\n".join(record.getMessage() for record in ours)
    assert f"cognito_reset.account_shown actor={office.user.pk}" in text
    line = f"cognito_reset.account_not_shown actor={office.user.pk} code=user_not_found"
    assert line in text
    assert f"cognito_reset.account_action action=sign-out actor={office.user.pk}" in text
    assert f"cognito_reset.staff_denied actor={office.user.pk}" in text
    assert not any(name in text for name in ("alice", "grace", "@"))
    assert rows() == [
        ("sign-out", "triggered", ""),
        ("reset", "refused", "no_verified_contact"),
        ("sign-out", "refused", "permission_denied"),
    ]
    assert {row.actor for row in ResetEvent.objects.all()} == {office.user}


@pytest.mark.requirement("F5")
@pytest.mark.parametrize("action", ACTIONS)
def test_f5_an_action_without_the_permission_is_recorded(people: People, action: str) -> None:
    """F5: with the user, or by the sub in the URL. A look, and an unknown pool, leave no row."""
    office = Office("view_user", "look_up_account")
    paths = doors(people, "alice", action)
    sub, alice = sub_of(people, "alice"), User.objects.get(username="alice")
    assert office.post(f"accounts/nope/{sub}/{action}/").status_code == 403
    looker = make_staff("looker", "sign_out")
    for path in doors(people, "alice", "").values():
        assert looker.client.get(f"/staff/{path}").status_code == 403
    assert not ResetEvent.objects.exists()
    for door, user, name in (("accounts", None, sub), ("users", alice, "alice")):
        assert office.post(paths[door]).status_code == 403
        row = ResetEvent.objects.latest("pk")
        assert (row.actor, row.target, row.action) == (office.user, user, action)
        assert (row.outcome, row.error_code) == ("refused", "permission_denied")
        assert row.identifier_hash == identifier_key("default", name)
        assert (row.interface, row.network != "") == ("rest", True)
    assert people.emulator.calls == []
    assert not LogEntry.objects.exists()


@pytest.mark.requirement("F5")
@pytest.mark.parametrize(
    ("codename", "is_staff", "recorded"),
    [("view_user", True, 1), ("sign_out", False, 1), ("view_user", False, 0)],
)
def test_f5_only_what_staff_try_is_recorded(
    people: People, codename: str, is_staff: bool, recorded: int
) -> None:
    """F5: anybody who is signed in to the site could otherwise fill the table."""
    office = Office(codename)
    User.objects.filter(pk=office.user.pk).update(is_staff=is_staff)
    assert office.post(f"users/{make_user('alice').pk}/reset/").status_code == 403
    assert ResetEvent.objects.count() == recorded


@pytest.mark.requirement("A12", "F5")
@pytest.mark.parametrize("name", ["hidden", "unseen", "broken", None])
def test_a12_the_row_does_not_tell_whether_a_user_exists(people: People, name: str | None) -> None:
    """Whoever may not view users may see the audit. The name of "broken" can't be known."""
    pk = make_user(name).pk if name else 99
    office = Office(root="tenant")
    if name == "broken":
        office.user.user_permissions.clear()
    status = 403 if name == "broken" else 404
    assert office.post(f"users/{pk}/reset/").status_code == status
    row = ResetEvent.objects.get()
    assert (row.action, row.outcome, row.error_code) == ("reset", "refused", "permission_denied")
    assert (row.target, row.identifier_hash) == (None, identifier_key("default", f"user {pk}"))


def test_each_call_is_known(people: People) -> None:
    """The tests above have a call for each action but one, which needs none."""
    assert set(ACTIONS) - set(CALLS) == {"clear-limits"}
