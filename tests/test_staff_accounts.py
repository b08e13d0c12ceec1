"""Staff look a person up, and see what is wrong and what helps."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.models import ResetEvent
from cognito_reset.resets import ratelimits
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.staff import limits
from cognito_reset.staff.accounts import (
    PoolAccount,
    StaffTarget,
    look_up,
    look_up_sub,
    look_up_user,
    may_see,
)
from cognito_reset.staff.actions import ACTIONS, Action
from cognito_reset.staff.panel import Panel, panel
from cognito_reset.testing import ConnectRefused
from tests.interfaces import with_settings
from tests.people import People
from tests.test_service import users
from tests.test_staff_admin import UNREACHABLE, make_staff, make_user

pytestmark = pytest.mark.django_db

BOTH = {
    "email": "both@example.com",
    "email_verified": "true",
    "phone_number": "+15555550188",
    "phone_number_verified": "true",
}


def sub_of(people: People, name: str) -> str:
    answer = people.call("AdminGetUser", Username=name)
    people.emulator.calls.clear()
    return str(next(item["Value"] for item in answer["UserAttributes"] if item["Name"] == "sub"))


def operations(people: People) -> list[str]:
    return [operation for operation, _body in people.emulator.calls]


def shown(account: PoolAccount, actor: Any = None, *permitted: str) -> Panel:
    def may(action: Action) -> bool:
        return not permitted or action.name in permitted

    return panel(account, actor=actor, may=may)


def recover_by(people: People, *names: str) -> None:
    """Let the pool recover accounts by these contacts."""
    ways = [{"Name": name, "Priority": n} for n, name in enumerate(names, 1)]
    people.call("UpdateUserPool", AccountRecoverySetting={"RecoveryMechanisms": ways})
    people.emulator.calls.clear()


def use_pool(people: People, settings: Any, **more: Any) -> None:
    """Use a new pool without users."""
    _status, answer = people.emulator.handle("CreateUserPool", {"PoolName": "new", **more})
    pools = settings.COGNITO_RESET["POOLS"]
    people.pool = {**pools["default"], "USER_POOL_ID": answer["UserPool"]["Id"]}
    with_settings(settings, POOLS={**pools, "default": people.pool})


# Looking up.


@pytest.mark.parametrize("typed", ["both", "both@example.com", "+15555550188"])
def test_a_person_is_found_by_every_name(people: People, typed: str) -> None:
    """The look-up is ListUsers, which doesn't make the person a billed user."""
    people.add("both", **BOTH)
    people.emulator.calls.clear()
    account = look_up(typed)
    assert account.person.username == "both"
    assert (account.pool, account.typed, account.name) == ("default", typed, typed)
    assert set(operations(people)) == {"ListUsers", "DescribeUserPool"}


def test_a_sub_is_never_a_username(people: People) -> None:
    """A person may choose a username like the sub of somebody whose account was deleted."""
    alice, erin = sub_of(people, "alice"), sub_of(people, "erin")
    people.call("AdminDeleteUser", Username="erin")
    people.add(erin, email="mallory@example.com")
    assert look_up(erin).person.email == "mallory@example.com"
    with pytest.raises(errors.UserNotFound):
        look_up_sub(erin)
    account = look_up_sub(alice)
    assert account.person.username == "alice"
    assert (account.typed, account.name) == ("", "alice")


def test_the_list_may_begin_with_an_empty_page(people: People) -> None:
    """A page without users may have a token."""
    sub = sub_of(people, "alice")
    people.emulator.options.list_starts_with_empty_page = True
    assert look_up_sub(sub).person.username == "alice"


@pytest.mark.parametrize("sub", ["alice", "", '" or username = "alice', "0" * 36])
def test_what_is_no_sub_is_not_looked_up(people: People, sub: str) -> None:
    """Nothing of it reaches the filter of ListUsers."""
    with pytest.raises(errors.UserNotFound):
        look_up_sub(sub)
    assert people.emulator.calls == []


def test_a_sub_that_nobody_has(people: People) -> None:
    with pytest.raises(errors.UserNotFound):
        look_up_sub("00000000-0000-0000-0000-000000000000")


def test_a_user_is_looked_up_by_the_username_at_cognito(people: People, settings: Any) -> None:
    """COGNITO_USERNAME tells it, unless the caller does."""
    with_settings(settings, COGNITO_USERNAME="first_name")
    anna = make_user("anna", first_name="alice")
    account = look_up_user(anna)
    assert account.person.username == "alice"
    assert (account.user, account.typed, account.name) == (anna, "", "anna")
    assert look_up_user(anna, username="bob").person.username == "bob"
    people.emulator.calls.clear()
    with pytest.raises(errors.UserNotFound):
        look_up_user(make_user("nameless"))
    assert people.emulator.calls == []


@pytest.mark.parametrize(
    "setting", [{"POOLS": {}}, {"COGNITO_USERNAME": "no_such_attribute"}], ids=str
)
def test_a_setting_that_cannot_be_used(
    people: People, settings: Any, caplog: pytest.LogCaptureFixture, setting: dict[str, Any]
) -> None:
    """It is logged, and staff get an error of ours."""
    user = make_user("alice")
    with_settings(settings, **setting)
    with pytest.raises(errors.Misconfigured):
        look_up_user(user)
    assert "cognito_reset.misconfigured" in caplog.text


# Whose account it is.


def test_the_sub_proves_whose_account_it_is(people: People, settings: Any) -> None:
    """The site stores the sub, and the names are all different."""
    user = make_user("anna", first_name=sub_of(people, "alice"))
    with_settings(settings, COGNITO_USERNAME="first_name")
    account = look_up("alice@example.com")
    assert account.user == account.proven == user
    assert account.users == (user,)


def test_a_username_that_looks_like_a_sub_proves_nothing(people: People, settings: Any) -> None:
    """Else Mallory would be taken for Erin, whose account was deleted."""
    sub = sub_of(people, "erin")
    people.call("AdminDeleteUser", Username="erin")
    people.add(sub, email="mallory@example.com")
    make_user("erin", first_name=sub)
    with_settings(settings, COGNITO_USERNAME="first_name")
    assert look_up("mallory@example.com").users == ()


@pytest.mark.parametrize("verified", ["true", "false"])
def test_only_a_verified_contact_proves_whose_account_it_is(
    people: People, settings: Any, verified: str
) -> None:
    """Anybody can enter another's address as their own."""
    people.add("kim", email="anna@example.com", email_verified=verified)
    people.add("lee", phone_number="+15555550177", phone_number_verified=verified)
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "SIGN_IN_WITH": ["email"]}
    with_settings(settings, POOLS={"default": pool}, COGNITO_USERNAME="last_name")
    anna = make_user("anna")
    lena = make_user("lena", last_name="+15555550177")
    assert look_up("kim").user == (anna if verified == "true" else None)
    assert look_up("lee").user == (lena if verified == "true" else None)


def test_the_account_may_be_another_users_than_the_selected_one(people: People) -> None:
    """Staff must be allowed to see both."""
    alice, anna = make_user("alice"), make_user("anna")
    account = look_up_user(anna, username="alice")
    assert (account.user, account.proven) == (anna, alice)
    assert set(account.users) == {alice, anna}


def test_what_the_person_may_have_typed(people: People) -> None:
    """No unverified contact, because it may be somebody else's."""
    account = look_up_user(make_user("anna"), username="grace")
    sub = account.person.sub
    assert account.identifiers == ("grace", sub, "anna@example.com")
    people.add("both", **BOTH)
    assert set(look_up("both").identifiers) > {"both@example.com", "+15555550188"}


@pytest.mark.parametrize(
    ("pool", "counted"), [({"UsernameAttributes": ["email", "phone_number"]}, True), ({}, False)]
)
def test_an_unverified_contact_counts_where_it_is_the_username(
    people: People, settings: Any, pool: dict[str, Any], counted: bool
) -> None:
    """Nobody else can have it then. Otherwise anybody could have the limits of somebody else's address cleared."""
    use_pool(people, settings, **pool)
    names = {"email": "eva@example.com", "phone_number": "+15555550166"}
    people.add("eva@example.com" if pool else "eva", **names)
    account = look_up("eva@example.com" if pool else "eva")
    found = look_up_sub(account.person.sub).identifiers
    assert set(names.values()).issubset(found) is counted


@pytest.mark.parametrize("name", ["Ally", "ally"])
@pytest.mark.parametrize(
    "sensitive", [pytest.param(True, id="sensitive"), pytest.param(False, id="insensitive")]
)
def test_a_person_is_found_by_the_preferred_username(
    people: People, settings: Any, sensitive: bool, name: str
) -> None:
    """People may sign in with it, and the limits may be counted under it."""
    use_pool(
        people,
        settings,
        AliasAttributes=["preferred_username"],
        UsernameConfiguration={"CaseSensitive": sensitive},
    )
    people.add("alice2", preferred_username=name)
    assert look_up(name).person.username == "alice2"
    person = look_up("alice2").person
    assert person.preferred_username in look_up_sub(person.sub).identifiers
    other = name.swapcase()
    if sensitive:
        with pytest.raises(errors.UserNotFound):
            look_up(other)
    else:
        assert look_up(other).person.username == "alice2"


def test_a_preferred_username_that_nobody_signs_in_with_names_nobody(
    people: People, settings: Any
) -> None:
    """Anybody can enter somebody else's name there."""
    use_pool(people, settings)
    people.add("mallory", preferred_username="boss")
    with pytest.raises(errors.UserNotFound):
        look_up("boss")
    assert "boss" not in look_up("mallory").identifiers


@pytest.mark.requirement("F2")
def test_f2_a_staff_members_preferred_username_protects(people: People) -> None:
    """However the site knows the staff member."""
    people.add("x1", preferred_username="boss")
    make_user("boss", is_staff=True)
    offers = shown(look_up("x1"), make_staff().user).actions
    assert {offer.code for offer in offers} == {StaffTarget.code}


@pytest.mark.parametrize("contact", ["email", "phone_number"])
def test_a_username_that_cognito_made_up_is_told_with_the_contact(
    people: People, settings: Any, contact: str
) -> None:
    """The contact is masked, as everywhere."""
    use_pool(people, settings, UsernameAttributes=[contact])
    value, masked = {
        "email": ("eva@example.com", "e***@e***"),
        "phone_number": ("+15555550166", "+*******0166"),
    }[contact]
    people.add(value, **{contact: value})
    person = look_up(value).person
    account = look_up_sub(person.sub)
    assert account.name == f"{person.username} ({masked})"
    assert PoolAccount("default", replace(person, email="", phone_number="")).name == person.sub


# Who may see whom.


@pytest.mark.requirement("F1")
@pytest.mark.parametrize(
    ("codename", "seen"), [("view_user", True), ("change_user", True), ("trigger_reset", False)]
)
def test_f1_a_user_is_seen_by_whoever_may_view_users(codename: str, seen: bool) -> None:
    """As in Django's admin, the right to change includes the right to view."""
    staff = User.objects.get(pk=make_staff("staff", codename).user.pk)
    assert may_see(staff, make_user("alice")) is seen
    assert not may_see(AnonymousUser(), make_user("bob"))


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("name", ["hybrid", "HYBRID", "hybrid@example.com", "+15555550155"])
def test_f1_a_user_with_a_password_here_may_be_the_person(
    people: People, settings: Any, name: str
) -> None:
    """It proves nothing, but staff must be allowed to see everybody who may be meant."""
    with_settings(settings, COGNITO_USERNAME="last_name")
    contacts = {"email": "hybrid@example.com", "phone_number": "+15555550155"}
    people.add("hybrid", **contacts)
    hybrid = User.objects.create_user("x", password="x")
    field = {"+": "last_name"}.get(name[0], "email" if "@" in name else "username")
    setattr(hybrid, field, name)
    hybrid.save()
    account = look_up("hybrid")
    assert (account.users, account.all_users) == ((), (hybrid,))
    assert account.name == "hybrid"


@pytest.mark.requirement("F1")
def test_f1_nobody_else_is_meant_where_somebody_is_proven(people: People) -> None:
    """Two users of the site may have the same address, for example in two tenants."""
    anna = User.objects.create_user("anna", "alice@example.com", password="x")
    assert look_up("alice").all_users == (anna,)
    alice = make_user("alice")
    assert look_up("alice").all_users == (alice,)


class OnlyAlice:
    """A backend that knows permissions for one object, as django-guardian does."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        return None

    def has_perm(self, user: Any, permission: str, obj: Any = None) -> bool:
        return obj is not None and obj.username == "alice"


@pytest.mark.requirement("F1")
def test_f1_a_permission_may_be_for_one_user_only(settings: Any) -> None:
    """Backends decide for one object."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.OnlyAlice"]
    staff = make_user("staff")
    assert may_see(staff, make_user("alice"))
    assert not may_see(staff, make_user("bob"))


# The panel.


def test_the_panel_shows_what_cognito_says(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    """Contacts are masked. The log names the staff member by key and the person by sub, and nobody else."""
    caplog.set_level(logging.INFO)
    people.add("both", **{**BOTH, "phone_number_verified": "false"})
    account, actor = look_up("both"), make_user("actor")
    seen = shown(account, actor)
    assert seen.state == "in use"
    assert [vars(contact) for contact in seen.contacts] == [
        {"attribute": "email", "masked": "b***@e***", "verified": True},
        {"attribute": "phone_number", "masked": "+*******0188", "verified": False},
    ]
    assert seen.looked_up_at == account.person.looked_up_at
    (line,) = [r.getMessage() for r in caplog.records if "account_shown" in r.getMessage()]
    sub = account.person.sub
    assert line == f"cognito_reset.account_shown actor={actor.pk} pool=default sub={sub}"
    assert "both" not in caplog.text
    assert "0188" not in caplog.text


def test_a_contact_of_no_known_form_is_not_shown(people: People) -> None:
    people.add("odd", phone_number="+1", phone_number_verified="true")
    account = look_up("odd")
    odd = type(account.person)(**{**vars(account.person), "email": "odd"})
    (email, phone) = shown(PoolAccount("default", odd)).contacts
    assert (email.masked, phone.masked) == ("***", "+*******1")


FINE = "Nothing is in the way"


@pytest.mark.parametrize(
    ("name", "state", "texts"),
    [
        ("alice", "in use", [FINE]),
        ("heidi", "has to choose a new password", ["The password was reset. This person has to"]),
        ("carol", "invited", ["has not used the invitation yet"]),
        (
            "dave",
            "sign-up not confirmed",
            ["not confirmed the account yet. Confirm the user first"],
        ),
        ("erin", "in use", ["is disabled in Cognito. Enable the user first"]),
        (
            "frank",
            "signs in through another service",
            ["has no password here. Only that service can reset the password."],
        ),
        ("grace", "in use", ["that a code could be sent to. Somebody who administers"]),
    ],
)
def test_the_panel_says_why_a_reset_cannot_work_and_what_helps(
    people: People, name: str, state: str, texts: list[str]
) -> None:
    seen = shown(look_up(name))
    assert seen.state == state
    assert len(seen.diagnosis) == len(texts)
    for sentence, text in zip(seen.diagnosis, texts, strict=True):
        assert text in sentence


def test_the_panel_tells_all_that_is_in_the_way(people: People) -> None:
    """So that nobody enables a person who then can't get a code."""
    people.call("AdminDisableUser", Username="grace")
    disabled, unverified = shown(look_up("grace")).diagnosis
    assert "is disabled" in disabled
    assert "no verified email address" in unverified


def test_a_state_that_is_new_is_shown_as_cognito_calls_it(people: People) -> None:
    person = look_up("alice").person
    new = type(person)(**{**vars(person), "status": "ARCHIVED"})
    assert shown(PoolAccount("default", new)).state == "ARCHIVED"


def test_a_contact_that_the_pool_does_not_use(people: People) -> None:
    """Bob's phone number is verified, and the pool only mails."""
    recover_by(people, "verified_email")
    (text,) = shown(look_up("bob")).diagnosis
    assert "does not send codes to contacts of this kind" in text


def test_a_pool_where_only_administrators_reset(people: People) -> None:
    recover_by(people, "admin_only")
    (text,) = shown(look_up("alice")).diagnosis
    assert "does not let users reset" in text
    assert "can change its account recovery" in text


def test_a_limit_that_is_reached(people: People, settings: Any) -> None:
    """The wait is in minutes. A request of just now isn't a problem worth a sentence."""
    with_settings(settings, LIMITS={"request": {"identifier": "1/m,2/h"}})
    for count, text in enumerate([FINE, FINE, "this site’s limit of attempts"]):
        (sentence,) = shown(look_up("alice")).diagnosis
        assert text in sentence
        limits.clear([identifier_key("default", "nobody")])
        if count == 0:
            ratelimits.reserve("request", pool="default", username="alice@example.com")
        with_settings(settings, LIMITS={"request": {"identifier": "2/h"}})
        if count == 1:
            ratelimits.reserve("request", pool="default", username="alice@example.com")
    assert "can try again in 60 minutes, or as soon as you let them" in sentence


def test_limits_that_cannot_be_read_hide_nothing_else(people: People, settings: Any) -> None:
    """Nobody knows then whether something is in the way."""
    settings.CACHES = {**settings.CACHES, "limits": UNREACHABLE}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits")
    (text,) = shown(look_up("alice")).diagnosis
    assert "limits of attempts cannot be read now" in text
    assert shown(look_up("heidi")).diagnosis[1].startswith("The password was reset.")
    assert limits.seconds_to_wait("default", []) == 0


def test_cognito_that_fails_while_the_rules_are_read(people: People) -> None:
    """The panel shows the rest."""
    people.emulator.fail_next("DescribeUserPool", ConnectRefused(), times=2)
    account = look_up("alice")
    assert account.rules is None
    assert FINE in shown(account).diagnosis[0]


def event(name: str, outcome: str, minutes: float, **more: Any) -> ResetEvent:
    key = identifier_key("default", name)
    made = ResetEvent.objects.create(
        **{
            "pool": "default",
            "interface": "pages",
            "step": "staff" if "action" in more else "request",
            "outcome": outcome,
            "identifier_hash": key,
            **more,
        }
    )
    ResetEvent.objects.filter(pk=made.pk).update(
        created_at=timezone.now() - timedelta(minutes=minutes)
    )
    return made


def test_the_panel_tells_when_a_reset_was_last_asked_for(people: People) -> None:
    """By any name of the person's, and how it ended. Other actions and other pools don't count."""
    account = look_up("alice")
    assert (shown(account).last_request, shown(account).last_event) == (None, None)
    event("alice", "requested", 9)
    asked = event("ALICE@example.com", "requested", 8)
    ended = event(account.person.sub, "confirmed", 7, step="confirm")
    event("alice", "triggered", 5, action="enable")
    event("alice", "requested", 4, pool="brand")
    event("bob", "requested", 3)
    seen = shown(account)
    assert (seen.last_request, seen.last_event) == (asked, ended)
    again = event("alice", "triggered", 2, action="reset")
    assert shown(account).last_request == again


def test_the_panel_tells_of_an_invitation(people: People) -> None:
    """The public step sent it when a code was asked for. When staff sent it, nobody had asked for a code."""
    account = look_up("carol")
    asked = event("carol", "invited", 9, action="invite", step="request")
    assert (shown(account).last_request, shown(account).last_event) == (asked, asked)
    by_staff = event("carol", "triggered", 8, action="invite")
    assert (shown(account).last_request, shown(account).last_event) == (asked, by_staff)


@pytest.mark.parametrize("outcome", ["requested", "pending"])
def test_a_request_before_the_step_was_recorded_is_found(people: People, outcome: str) -> None:
    """Rows of the version before have no step."""
    asked = event("alice", outcome, 9, step="")
    event("alice", "refused", 8, step="")
    assert shown(look_up("alice")).last_request == asked


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("refused", "attempt_limit"),
        ("failed", "delivery_failed"),
        ("unknown", "maybe_sent"),
        ("throttled", "throttled"),
        ("pending", ""),
    ],
)
def test_a_request_in_vain_is_a_request(people: People, outcome: str, code: str) -> None:
    """What happened when a code was entered, or staff's own failures, is none."""
    asked = event("alice", outcome, 9, error_code=code)
    for at_confirm in ("refused", "unknown", "throttled"):
        event("alice", at_confirm, 8, step="confirm")
    event("alice", "failed", 6, error_code="delivery_failed", action="reset")
    assert shown(look_up("alice")).last_request == asked


@pytest.mark.parametrize(
    ("code", "reason", "helps"),
    [
        ("attempt_limit", "Cognito's limit of attempts.", "Try again in an hour."),
        ("delivery_failed", "could not send the code", "whether the address or number"),
        ("message_rejected", "did not accept the message", "Pass this on"),
        ("trigger_failed", "Lambda functions failed", "Pass this on"),
        ("no_verified_contact", "no verified email address", "second factor"),
        ("code_invalid", "not correct or has expired", "ask for a new one"),
        # Wrong settings have this code as well.
        ("unavailable", "a problem with the service", "Try again in a few minutes."),
    ],
)
def test_what_cognito_refused_just_now_is_in_the_way(
    people: People, code: str, reason: str, helps: str
) -> None:
    """For an hour, although the look-up doesn't show it. A limit of the site's own meanwhile hides nothing."""
    made = event("alice", "failed", 59, error_code=code)
    event("alice", "throttled", 58, error_code="throttled")
    (text,) = shown(look_up("alice")).diagnosis
    assert text.startswith("The last attempt did not work. ")
    assert reason in text
    assert helps in text
    assert "password may have stopped working" not in text
    made.created_at = timezone.now() - timedelta(minutes=61)
    made.save()
    assert FINE in shown(look_up("alice")).diagnosis[0]


def test_a_failed_reset_by_staff_may_have_ended_the_password(people: People) -> None:
    """A request by the person ends none."""
    event("alice", "failed", 1, error_code="delivery_failed", action="reset")
    (text,) = shown(look_up("alice")).diagnosis
    assert "password may have stopped working" in text


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("refused", "user_disabled"), ("refused", "staff_target"), ("unknown", "maybe_sent")],
)
def test_what_the_look_up_shows_itself_is_not_told_from_the_past(
    people: People, outcome: str, code: str
) -> None:
    """The user may have been enabled since."""
    event("alice", outcome, 1, error_code=code)
    (text,) = shown(look_up("alice")).diagnosis
    assert FINE in text


def test_what_is_in_the_way_now_hides_what_was(people: People) -> None:
    event("erin", "refused", 1, error_code="account_refused")
    (text,) = shown(look_up("erin")).diagnosis
    assert "is disabled" in text


FITS = {
    "alice": {"reset", "sign-out", "clear-limits"},
    "heidi": {"reset", "sign-out", "clear-limits"},
    "carol": {"invite", "sign-out", "clear-limits"},
    "dave": {"confirm", "sign-out", "clear-limits"},
    "erin": {"enable", "sign-out", "clear-limits"},
    "frank": {"sign-out", "clear-limits"},
    "grace": {"sign-out", "clear-limits"},
}


@pytest.mark.parametrize("name", FITS)
def test_only_what_fits_the_state_is_offered(people: People, name: str) -> None:
    """The others are shown with the reason, and nothing is sent."""
    offers = {offer.action.name: offer for offer in shown(look_up(name)).actions}
    assert set(offers) == set(ACTIONS)
    assert {name for name, offer in offers.items() if not offer.code} == FITS[name]
    assert all(bool(offer.refusal) is bool(offer.code) for offer in offers.values())
    assert set(operations(people)) <= {"ListUsers", "DescribeUserPool"}


@pytest.mark.requirement("F1")
def test_f1_what_the_actor_may_not_do_is_not_offered(people: People) -> None:
    offers = shown(look_up("alice"), None, "sign-out").actions
    assert [offer.action.name for offer in offers] == ["sign-out"]


@pytest.mark.requirement("F2")
def test_f2_nothing_is_offered_for_staff(people: People) -> None:
    """Not even another try: a limit protects a superuser's code from guesses."""
    make_user("heidi", is_superuser=True)
    actor = make_staff().user
    offers = shown(look_up("heidi"), actor).actions
    assert {offer.code for offer in offers} == {StaffTarget.code}
    actor.is_superuser = True
    assert {offer.code for offer in shown(look_up("heidi"), actor).actions} > {""}


def test_every_permission_exists(db: None) -> None:
    names = {f"cognito_reset.{p.codename}" for p in Permission.objects.all()}
    assert {action.permission for action in ACTIONS.values()} <= names
    assert len({action.permission for action in ACTIONS.values()}) == len(ACTIONS)


def test_the_rules_are_read_once(people: People) -> None:
    for _ in range(2):
        shown(look_up("alice"))
    assert operations(people).count("DescribeUserPool") == 1


def test_an_answer_about_somebody_else_is_not_taken(people: People) -> None:
    """The sub is compared again: an action must never meet another person."""
    sub = "00000000-0000-0000-0000-000000000000"
    people.emulator.fail_next("ListUsers", users(sub_of(people, "alice"), attribute="sub"))
    with pytest.raises(errors.UserNotFound):
        look_up_sub(sub)
