"""What staff do for one person, by whichever interface."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import transaction
from django.http import Http404, HttpRequest
from django.test import RequestFactory
from django.utils import translation
from rest_framework.exceptions import ValidationError

from cognito_reset.cognito.errors import NoVerifiedContact, UpstreamThrottled
from cognito_reset.models import ResetEvent
from cognito_reset.resets import ratelimits
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.signals import (
    account_action,
    password_reset_failed,
    password_reset_triggered,
)
from cognito_reset.staff import limits
from cognito_reset.staff.accounts import PoolAccount, look_up, look_up_user
from cognito_reset.staff.actions import ACTIONS
from cognito_reset.staff.notice import can_notify
from cognito_reset.staff.perform import Done, perform, perform_for_user, send_reset
from cognito_reset.testing import ConnectRefused, Error, Timeout
from tests.interfaces import with_settings
from tests.people import NEW_PASSWORD, PASSWORD, People
from tests.test_staff_accounts import BOTH, FITS, operations, recover_by, sub_of
from tests.test_staff_admin import UNREACHABLE, make_staff, make_user

pytestmark = pytest.mark.django_db

CALLS = {
    "reset": "AdminResetUserPassword",
    "invite": "AdminCreateUser",
    "enable": "AdminEnableUser",
    "confirm": "AdminConfirmSignUp",
    "sign-out": "AdminUserGlobalSignOut",
}
# A person for whom each action can be done.
FITTING = {
    "reset": "alice",
    "invite": "carol",
    "enable": "erin",
    "confirm": "dave",
    "sign-out": "alice",
    "clear-limits": "alice",
}


def do(name: str, account: PoolAccount | str, **more: Any) -> Done:
    found = look_up(account) if isinstance(account, str) else account
    return perform(ACTIONS[name], found, **{"actor": None, "interface": "python", **more})


def status(people: People, name: str) -> str:
    return str(people.call("AdminGetUser", Username=name)["UserStatus"])


def changes(people: People) -> list[str]:
    """Return the operations that changed something or sent something."""
    return [name for name in operations(people) if name in CALLS.values()]


def rows() -> list[tuple[str, str, str]]:
    events = ResetEvent.objects.order_by("pk")
    return list(events.values_list("action", "outcome", "error_code"))


@pytest.fixture
def sent() -> Iterator[list[dict[str, Any]]]:
    """The signals, with the name of each."""
    signals = {
        "triggered": password_reset_triggered,
        "failed": password_reset_failed,
        "action": account_action,
    }
    seen: list[dict[str, Any]] = []
    receivers = {}
    for name, signal in signals.items():

        def receive(name: str = name, **event: Any) -> None:
            seen.append({"name": name, **event})

        signal.connect(receive)
        receivers[signal] = receive
    yield seen
    for signal, receiver in receivers.items():
        signal.disconnect(receiver)


# What is done, and the words for it.


def test_a_reset_names_the_medium_and_the_masked_address(people: People) -> None:
    """Cognito doesn't answer them, so they are worked out from its list and the pool's rules."""
    done = do("reset", look_up_user(make_user("alice")))
    assert done.text == "A code was sent to alice by email, to a***@e***."
    assert (done.medium, done.destination) == ("EMAIL", "a***@e***")
    assert done.outcome == "triggered"
    assert done.request_id
    assert status(people, "alice") == "RESET_REQUIRED"
    message = people.emulator.outbox[-1]
    assert message.kind == "admin_reset_password"
    assert (message.medium, message.destination) == ("EMAIL", "alice@example.com")


@pytest.mark.parametrize("ways", [("verified_phone_number", "verified_email"), ("verified_email",)])
def test_the_medium_is_the_one_that_the_pool_prefers(people: People, ways: tuple[str, ...]) -> None:
    """It is the one that the code is really sent by."""
    recover_by(people, *ways)
    people.add("both", **BOTH)
    done = do("reset", "both")
    assert done.medium == people.emulator.outbox[-1].medium
    text = "by SMS, to +*******0188." if len(ways) == 2 else "by email, to b***@e***."
    assert done.text == f"A code was sent to both {text}"


def test_where_there_is_mfa_either_medium_is_possible(people: People) -> None:
    """Cognito sends no code to the contact that is the person's MFA, and its list doesn't show MFA."""
    recover_by(people, "verified_phone_number", "verified_email")
    sms = {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": "x"}
    people.call(
        "SetUserPoolMfaConfig",
        SmsMfaConfiguration={"SmsConfiguration": sms},
        MfaConfiguration="OPTIONAL",
    )
    people.add("both", **BOTH)
    preferred = {"Enabled": True, "PreferredMfa": True}
    people.call("AdminSetUserMFAPreference", Username="both", SMSMfaSettings=preferred)
    done = do("reset", "both")
    assert people.emulator.outbox[-1].medium == "EMAIL"
    assert done.text == "A code was sent to both by email or SMS."
    assert do("reset", "bob").text == "A code was sent to bob by SMS, to +*******0123."


def test_without_the_rules_either_medium_is_possible(people: People) -> None:
    """The app may not read them. If only one contact is verified, it must be that one."""
    people.emulator.fail_next("DescribeUserPool", "AccessDeniedException")
    people.add("both", **BOTH)
    done = do("reset", "both")
    assert done.text == "A code was sent to both by email or SMS."
    assert (done.medium, done.destination) == ("", "")
    assert do("reset", "bob").text == "A code was sent to bob by SMS, to +*******0123."


@pytest.mark.parametrize(
    ("attributes", "medium", "text"),
    [
        ({"email": "kim@example.com"}, "EMAIL", "by email, to k***@e***."),
        ({"phone_number": "+15555550177"}, "SMS", "by SMS, to +*******0177."),
        (BOTH, "EMAIL", "by email, to b***@e***."),
    ],
)
def test_an_invitation_is_sent_again(
    people: People, attributes: dict[str, str], medium: str, text: str
) -> None:
    """By mail if the person has an address. The old temporary password no longer works."""
    people.add("kim", permanent=False, **attributes)
    people.emulator.calls.clear()
    done = do("invite", "kim")
    assert done.text == f"The invitation was sent to kim again {text}"
    assert (done.medium, people.emulator.outbox[-1].medium) == (medium, medium)
    assert people.emulator.outbox[-1].kind == "invitation"
    ((_operation, body),) = [c for c in people.emulator.calls if c[0] == "AdminCreateUser"]
    assert body["MessageAction"] == "RESEND"


def test_an_account_is_enabled(people: People) -> None:
    assert do("enable", "erin").text == "The account of erin is enabled."
    assert people.can_sign_in("erin", PASSWORD)


def test_a_sign_up_is_confirmed(people: People) -> None:
    """That verifies no contact, as the page says before."""
    assert do("confirm", "dave").text == "The sign-up of dave is confirmed."
    assert status(people, "dave") == "CONFIRMED"
    assert "verifies neither" in ACTIONS["confirm"].consequences[0]


def test_a_person_is_signed_out_everywhere(people: People) -> None:
    assert do("sign-out", "alice").text == "alice was signed out everywhere."
    assert changes(people) == ["AdminUserGlobalSignOut"]
    assert people.can_sign_in("alice", PASSWORD)


def test_a_person_can_try_again(people: People, settings: Any) -> None:
    """By each of their names. Cognito isn't asked for that."""
    with_settings(settings, LIMITS={"request": {"identifier": "1/h"}})
    account = look_up("alice@example.com")
    for name in account.identifiers:
        ratelimits.reserve("request", pool="default", username=name)
    people.emulator.calls.clear()
    assert limits.seconds_to_wait(account.pool, account.identifiers) > 0
    assert do("clear-limits", account).text == "alice@example.com can try again."
    assert people.emulator.calls == []
    assert limits.seconds_to_wait(account.pool, account.identifiers) == 0


def test_limits_that_cannot_be_cleared(people: People, settings: Any) -> None:
    settings.CACHES = {**settings.CACHES, "limits": UNREACHABLE}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits")
    done = do("clear-limits", "alice")
    assert done.outcome == "failed"
    assert "where they are kept cannot be reached or used" in done.text


# What isn't done.


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize("name", FITS)
def test_what_does_not_fit_is_refused_before_the_call(
    people: People, action: str, name: str
) -> None:
    """A reset could even lock a person out without a message. What fits is done with one call."""
    done = do(action, name)
    fits = action in FITS[name]
    assert done.outcome == ("triggered" if fits else "refused")
    assert changes(people) == ([CALLS[action]] if fits else [])
    assert rows() == [(action, done.outcome, done.error.code if done.error else "")]
    if not fits:
        assert done.text.startswith(f"This did not work for {name}. ")


def test_an_invitation_needs_an_enabled_account_with_a_contact(people: People) -> None:
    people.call("AdminDisableUser", Username="carol")
    people.add("noaddress", permanent=False)
    people.emulator.calls.clear()
    assert "Enable the user first" in do("invite", "carol").text
    assert "neither an email address nor a phone number" in do("invite", "noaddress").text
    assert changes(people) == []


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("actor", "target", "setting", "allowed"),
    [
        ({}, {}, False, True),
        ({}, {"is_staff": True}, False, False),
        ({}, {"is_superuser": True}, False, False),
        ({}, {"is_staff": True}, True, True),
        ({"is_superuser": True}, {"is_staff": True}, False, True),
        (None, {"is_superuser": True}, False, True),
    ],
)
def test_f2_who_may_do_what_to_whom(
    people: People,
    settings: Any,
    action: str,
    actor: dict[str, bool] | None,
    target: dict[str, bool],
    setting: bool,
    allowed: bool,
) -> None:
    """Only superusers act for staff, unless the site allows it. Code without an actor may do everything."""
    with_settings(settings, STAFF_MAY_RESET_STAFF=setting)
    user = make_user(FITTING[action], **target)
    who = None if actor is None else make_staff("actor", **actor).user
    done = do(action, look_up_user(user), actor=who)
    assert (done.outcome == "triggered") is allowed
    assert bool(changes(people)) is (allowed and action in CALLS)
    if not allowed:
        assert "Only a superuser can do this to a staff member." in done.text


@pytest.mark.requirement("F2")
@pytest.mark.parametrize(
    ("action", "name"),
    [(action, name) for action in ACTIONS for name in ("username", "sub")]
    # The person who has just signed up has no address.
    + [(action, "email") for action in ACTIONS if action != "confirm"],
)
def test_f2_the_person_in_the_pool_counts(people: People, action: str, name: str) -> None:
    """A superuser with a password of this site isn't proven to be anybody, but may be this person."""
    person = FITTING[action]
    values = {"username": person, "email": f"{person}@example.com", "sub": sub_of(people, person)}
    field = "email" if name == "email" else "username"
    root = make_user("root", is_superuser=True, password=PASSWORD)
    User.objects.filter(pk=root.pk).update(**{field: values[name].upper()})
    done = do(action, look_up(person), actor=make_staff().user)
    assert done.error
    assert done.error.code == "staff_target"
    assert changes(people) == []


@pytest.mark.requirement("F2")
def test_f2_the_selected_user_counts_too(people: People) -> None:
    """Whoever the person in the pool is."""
    boss = make_user("boss", is_staff=True)
    done = do("reset", look_up_user(boss, username="alice"), actor=make_staff().user)
    assert done.error
    assert done.error.code == "staff_target"


@pytest.mark.requirement("F2")
def test_f2_the_staff_may_be_read_once_for_many_people(people: People) -> None:
    """The list action reads them once."""
    done = do("reset", "alice", actor=make_staff().user, staff=lambda: frozenset({"alice"}))
    assert done.error
    assert done.error.code == "staff_target"


def test_messages_are_limited_for_each_person(people: People, settings: Any) -> None:
    """A double click sends one. The invitation has the same limit. Staff's rates are counted apart."""
    with_settings(settings, LIMITS={"request": {"identifier": "1/m"}})
    assert do("reset", "alice").outcome == "triggered"
    again = do("reset", "alice")
    assert again.outcome == "throttled"
    assert "Wait for 1 minute." in again.text
    assert do("invite", "carol").outcome == "triggered"
    assert do("invite", "carol").outcome == "throttled"
    assert do("sign-out", "alice").outcome == do("sign-out", "alice").outcome == "triggered"
    assert changes(people).count("AdminResetUserPassword") == 1
    assert changes(people).count("AdminCreateUser") == 1


def test_what_reached_nobody_uses_up_no_limit(people: People, settings: Any) -> None:
    with_settings(settings, LIMITS={"request": {"identifier": "1/m"}})
    people.emulator.fail_next("AdminResetUserPassword", ConnectRefused(), times=2)
    assert do("reset", "alice").outcome == "failed"
    assert do("reset", "alice").outcome == "triggered"


def test_staff_can_help_while_the_limits_are_down(
    people: People, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """They are told that the person may have to wait."""
    settings.CACHES = {**settings.CACHES, "limits": UNREACHABLE}
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits")
    done = do("reset", "alice")
    assert done.outcome == "triggered"
    assert done.limits_stand
    assert "This site's limits could not be cleared for alice" in done.text
    assert "cognito_reset.limits_not_cleared" in caplog.text


def test_a_reset_lets_the_person_try_again(people: People, settings: Any) -> None:
    with_settings(
        settings, LIMITS={"confirm": {"identifier": "1/h"}, "request": {"identifier": "1/h"}}
    )
    ratelimits.reserve("confirm", pool="default", username="alice@example.com")
    assert not do("reset", "alice").limits_stand
    assert limits.seconds_to_wait("default", ["alice@example.com"]) == 0


@pytest.mark.parametrize(
    ("action", "text"),
    [("reset", "Ask whether a message has arrived"), ("enable", "Look the person up again")],
)
def test_a_lost_answer_is_told_as_unknown(people: People, action: str, text: str) -> None:
    """It isn't sent again."""
    people.emulator.fail_next(CALLS[action], Timeout(processed=True))
    done = do(action, FITTING[action])
    assert done.outcome == "unknown"
    assert done.text.startswith(f"It is not known whether this was done for {FITTING[action]}. ")
    assert text in done.text
    assert changes(people) == [CALLS[action]]


@pytest.mark.parametrize(
    ("action", "fault", "text"),
    [
        ("reset", Error("NotAuthorizedException"), "a password reset for this user"),
        ("enable", Error("NotAuthorizedException"), "did not accept this for this user"),
        ("confirm", Error("NotAuthorizedException", "User cannot be confirmed"), "not accept this"),
        ("enable", Error("AccessDeniedException"), "Have this checked first: AWS_PERMISSIONS."),
        ("invite", Error("CodeDeliveryFailureException"), "email or SMS needs attention"),
        ("sign-out", ConnectRefused(), "could not be reached"),
    ],
)
def test_errors_are_words(people: People, action: str, fault: Any, text: str) -> None:
    """With what to do, and Cognito's own name for whoever searches for it."""
    people.emulator.fail_next(CALLS[action], fault, times=2)
    done = do(action, FITTING[action])
    assert text in done.text
    assert done.text.endswith(f"({fault.code})" if isinstance(fault, Error) else ")")


def refuse(request: HttpRequest | None) -> dict[str, str]:
    raise ValidationError("not from here")


def test_client_metadata_is_passed_on(people: People, settings: Any) -> None:
    """To the pool's Lambda functions, with every action that runs one."""
    with_settings(settings, CLIENT_METADATA={"tenant": "north"})
    for action in ("reset", "invite", "confirm"):
        do(action, FITTING[action])
    bodies = [body for name, body in people.emulator.calls if name in CALLS.values()]
    assert [body["ClientMetadata"] for body in bodies] == [{"tenant": "north"}] * 3


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"CLIENT_METADATA": f"{__name__}.refuse"}, "This site's own code failed."),
        ({"CLIENT_METADATA": 5}, "the COGNITO_RESET setting checked"),
        ({"POOLS": {}}, "the COGNITO_RESET setting checked"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used(
    people: People, settings: Any, setting: dict[str, Any], words: str
) -> None:
    """Nothing is called, the row is written, and the words say what to check."""
    account = look_up("alice")
    with_settings(settings, **setting)
    done = do("reset", account)
    assert done.outcome == "failed"
    assert words in done.text
    assert changes(people) == []
    assert rows() == [("reset", "failed", "unavailable")]


# The record.


@pytest.mark.requirement("F5")
@pytest.mark.parametrize("action", ACTIONS)
def test_f5_every_action_leaves_a_row_and_a_log_line(
    people: People,
    sent: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    action: str,
) -> None:
    """With the actor, the user, what was done and Cognito's request id, and without names."""
    caplog.set_level(logging.INFO)
    user, actor = make_user(FITTING[action]), make_staff("actor").user
    account = look_up_user(user)
    done = do(action, account, actor=actor, interface="rest")
    row = ResetEvent.objects.get()
    assert (row.step, row.action) == ("staff", action)
    assert (row.outcome, row.interface) == ("triggered", "rest")
    assert (row.actor, row.target, row.pool) == (actor, user, "default")
    assert row.aws_request_id == done.request_id
    assert bool(done.request_id) is (action in CALLS)
    assert row.identifier_hash == identifier_key("default", account.person.username)
    (signal,) = sent
    assert signal["name"] == ("triggered" if action == "reset" else "action")
    assert (signal["user"], signal["actor"]) == (user, actor)
    assert FITTING[action] not in caplog.text
    assert "@" not in caplog.text
    if action != "reset":
        assert (
            f"cognito_reset.account_action action={action} actor={actor.pk} outcome=triggered "
            f"interface=rest pool=default code= aws_request_id={done.request_id}" in caplog.text
        )


@pytest.mark.requirement("F5")
def test_f5_what_failed_is_recorded_too(people: People, sent: list[dict[str, Any]]) -> None:
    """Also a look-up that fails."""
    do("reset", "grace")
    do("enable", "grace")
    nobody = make_user("nobody")
    done = perform_for_user(ACTIONS["enable"], nobody, actor=None, interface="python")
    assert done.account is None
    assert done.text == "This did not work for nobody. There is no such user in the user pool."
    assert rows() == [
        ("reset", "refused", "no_verified_contact"),
        ("enable", "refused", "already_enabled"),
        ("enable", "refused", "user_not_found"),
    ]
    assert [event["name"] for event in sent] == ["failed", "action", "action"]
    assert sent[0]["step"] == "staff"
    assert ResetEvent.objects.latest("pk").target == nobody


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("action", ACTIONS)
def test_f4_no_action_chooses_or_shows_a_password(people: People, action: str) -> None:
    """Neither the calls nor the result have one, or a code."""
    done = do(action, FITTING[action])
    bodies = [str(body) for _name, body in people.emulator.calls]
    secrets = {message.code for message in people.emulator.outbox} - {""}
    assert not any("Password'" in body for body in bodies)
    assert not any(secret in f"{done.text} {done!r}" for secret in secrets)


@pytest.mark.django_db(transaction=True)
def test_no_action_runs_in_a_transaction(people: People) -> None:
    """Its rollback would take back the record of what was sent."""
    user, account = make_user("alice"), look_up("alice")
    people.emulator.calls.clear()
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        do("reset", account)
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        send_reset(user)
    assert people.emulator.calls == []
    assert send_reset(user).outcome == "triggered"


# The Python API.


def test_a_sites_own_code_sends_a_reset(people: People) -> None:
    """For example a command or a task. The audit has the actor, if there is one."""
    alice, actor = make_user("alice"), make_staff().user
    done = send_reset(alice, actor=actor)
    assert done.text == "A code was sent to alice by email, to a***@e***."
    row = ResetEvent.objects.get()
    assert (row.interface, row.actor, row.target) == ("python", actor, alice)
    people.client_call(
        "ConfirmForgotPassword",
        "alice",
        ConfirmationCode=people.emulator.outbox[-1].code,
        Password=NEW_PASSWORD,
    )
    assert people.can_sign_in("alice", NEW_PASSWORD)


def test_a_sites_own_code_is_told_what_failed(people: People, settings: Any) -> None:
    """send_reset() returns all errors of a reset, and raises none."""
    staff = make_staff().user
    boss = make_user("heidi", is_staff=True)
    people.emulator.calls.clear()
    refused = send_reset(boss, actor=staff)
    assert refused.error
    assert (refused.error.code, people.emulator.calls) == ("staff_target", [])
    with_settings(settings, COGNITO_USERNAME=f"{__name__}.refuse")
    assert send_reset(make_user("alice")).outcome == "failed"
    with_settings(settings, COGNITO_USERNAME="username", STAFF_MAY_RESET_STAFF="True")
    assert send_reset(boss, actor=staff).outcome == "failed"
    failed = ("reset", "failed", "unavailable")
    assert rows() == [("reset", "refused", "staff_target"), failed, failed]


# The mail of the site's own.


@pytest.fixture
def request_of_staff(settings: Any) -> HttpRequest:
    return RequestFactory().post("/")


def test_a_mail_tells_the_person_where_to_enter_the_code(
    people: People, settings: Any, request_of_staff: HttpRequest
) -> None:
    """It has no code and no name in its links, and is written in the person's language."""
    account = look_up_user(make_user("alice"))
    assert can_notify(account, request_of_staff)
    done = do("reset", account, request=request_of_staff, notify=True)
    assert done.notified
    assert done.text.endswith("A mail of this site says where to enter the code.")
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert message.subject == "[localhost] Choose a new password"
    assert "http://testserver/password-reset/confirm/\n" in message.body
    assert "http://testserver/password-reset/\n" in message.body
    assert people.emulator.outbox[-1].code not in message.body


def test_the_mail_is_sent_only_with_a_reset(people: People, request_of_staff: HttpRequest) -> None:
    """Not without being asked for, and not if the reset failed."""
    more = {"request": request_of_staff, "notify": True}
    assert do("reset", look_up_user(make_user("grace")), **more).notified is None
    assert do("sign-out", look_up_user(make_user("alice")), **more).notified is None
    assert do("reset", "alice", request=request_of_staff).notified is None
    assert mail.outbox == []


def test_a_mail_that_fails_does_not_undo_the_reset(
    people: People, settings: Any, request_of_staff: HttpRequest, caplog: pytest.LogCaptureFixture
) -> None:
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": "tests.no_such_backend"}}
    else:
        settings.EMAIL_BACKEND = "tests.no_such_backend"
    account = look_up_user(make_user("alice"))
    done = do("reset", account, request=request_of_staff, notify=True)
    assert (done.outcome, done.notified) == ("triggered", False)
    assert done.text.endswith("could not be sent.")
    assert "cognito_reset.reset_notice_failed error=" in caplog.text
    assert "alice" not in caplog.text


def elsewhere(request: HttpRequest) -> str:
    raise Http404


def test_where_no_mail_is_possible(
    people: People, settings: Any, request_of_staff: HttpRequest
) -> None:
    """Without a user, an address, a request, or the pool's pages on this site."""
    alice = make_user("alice")
    account = look_up_user(alice)
    assert not can_notify(look_up("bob"), request_of_staff)
    assert not can_notify(account, None)
    assert not can_notify(look_up_user(make_user("anna"), username="alice"), request_of_staff)
    assert do("reset", account, notify=True).notified is False
    brand = PoolAccount("brand", account.person, alice, alice)
    assert can_notify(brand, request_of_staff)
    assert not can_notify(PoolAccount("third", account.person, alice), request_of_staff)
    settings.ROOT_URLCONF = "tests.variants.rest_urls"
    assert not can_notify(account, request_of_staff)
    settings.ROOT_URLCONF = "tests.urls"
    with_settings(settings, POOL_RESOLVER=f"{__name__}.elsewhere")
    assert not can_notify(account, request_of_staff)
    alice.email = ""
    assert not can_notify(account, request_of_staff)


def test_the_mail_leads_to_the_pages_of_the_pool(
    people: People, settings: Any, request_of_staff: HttpRequest
) -> None:
    """Each pool has pages of its own."""
    from cognito_reset.staff.notice import send_reset_notice

    alice = make_user("alice")
    brand = PoolAccount("brand", look_up("alice").person, alice, alice)
    assert send_reset_notice(brand, request_of_staff)
    assert "http://testserver/brand/password-reset/confirm/\n" in mail.outbox[0].body


# From right to left.


@pytest.mark.requirement("U18")
def test_names_and_numbers_keep_their_direction_from_right_to_left(people: People) -> None:
    """Without an isolate, the plus of a number would be displayed at its end. English has no need of it."""
    with translation.override("ar"):
        text = do("reset", "bob").text
    assert "\N{FIRST STRONG ISOLATE}+*******0123\N{POP DIRECTIONAL ISOLATE}" in text
    assert "\N{FIRST STRONG ISOLATE}bob\N{POP DIRECTIONAL ISOLATE}" in text
    with translation.override("en"):
        assert "\N{FIRST STRONG ISOLATE}" not in do("reset", "alice").text


def test_a_reset_waits_for_the_pools_rules(people: People) -> None:
    """Without them, the app doesn't know whether the pool sends this person a code."""
    recover_by(people, "verified_email")
    people.emulator.fail_next("DescribeUserPool", "TooManyRequestsException", times=2)
    reset = ACTIONS["reset"]
    account = look_up("bob")
    assert account.rules is None
    done = perform(reset, account, actor=None, interface="python")
    assert isinstance(done.error, UpstreamThrottled)
    assert "AdminResetUserPassword" not in operations(people)
    done = perform(reset, account, actor=None, interface="python")
    assert isinstance(done.error, NoVerifiedContact)
    assert "AdminResetUserPassword" not in operations(people)
