"""RESEND_INVITATIONS: whoever hasn't used the invitation gets it again, and nobody else learns of it."""

from __future__ import annotations

import logging
import threading

import pytest

from cognito_reset.cognito.service import CognitoService, wait_until_idle
from cognito_reset.models import ResetEvent
from cognito_reset.testing import Status, Timeout
from tests.interfaces import AWS, INTERFACES, REST, with_settings
from tests.people import EVERYBODY, PASSWORD

every_interface = pytest.mark.parametrize(
    "make_interface", INTERFACES, ids=lambda interface: interface.name
)
both_modes = pytest.mark.parametrize("mode", ["LEGACY", "ENABLED"])
SIGNED = ("ListUsers", "AdminCreateUser")


is_answered = threading.Event()


class LateService(CognitoService):
    """
    Looks people up when a test has its answer. The tests' database is in memory, where SQLite refuses a
    statement while another thread writes, instead of letting it wait.
    """

    def find_user(self, *, username):
        is_answered.wait(10)
        return super().find_user(username=username)


@pytest.fixture
def invitations(people, settings):
    """The people, on a site that sends invitations again."""
    is_answered.clear()
    with_settings(settings, RESEND_INVITATIONS=True, LIMITS=False, SERVICE_CLASS=LateService)
    yield people
    is_answered.set()
    assert wait_until_idle(10)


def events():
    """Return the audit's outcomes and errors, in order."""
    is_answered.set()
    assert wait_until_idle(10)
    return list(ResetEvent.objects.order_by("pk").values_list("outcome", "error_code"))


def signed(people):
    """Return the operations that need credentials."""
    is_answered.set()
    assert wait_until_idle(10)
    return [name for name, _ in people.emulator.calls if name in SIGNED]


REFUSED = ("refused", "wrong_state")


@pytest.mark.django_db(transaction=True)
@every_interface
@both_modes
def test_the_invitation_is_sent_again(invitations, make_interface, mode):
    """This holds in both modes of PreventUserExistenceErrors."""
    invitations.prevent_existence_errors(mode)
    interface = make_interface()
    assert interface.request("carol").status_code == make_interface.SENT
    assert events() == [REFUSED, ("invited", "")]
    assert signed(invitations) == ["ListUsers", "AdminCreateUser"]
    message = invitations.emulator.outbox[-1]
    assert (message.kind, message.medium) == ("invitation", "EMAIL")
    assert message.destination == "carol@example.com"
    refused, invited = ResetEvent.objects.order_by("pk")
    assert (refused.action, invited.action) == ("", "invite")
    assert invited.aws_request_id


def test_it_is_off_by_default(people):
    """It needs credentials, and a stranger can end a temporary password with it."""
    REST().request("carol")
    assert signed(people) == []


@pytest.mark.django_db(transaction=True)
def test_an_alias_finds_the_person(invitations):
    """People type the address that they were invited with. The temporary password is a new one."""
    REST().request("carol@example.com")
    assert events() == [REFUSED, ("invited", "")]
    [body] = [body for name, body in invitations.emulator.calls if name == "AdminCreateUser"]
    assert body["Username"] == "carol"
    assert invitations.can_sign_in("carol", invitations.emulator.outbox[-1].code)


@pytest.mark.django_db(transaction=True)
def test_without_an_email_address_it_is_an_sms(invitations):
    """AWS sends an SMS by default, and the app an email to whoever has an address."""
    invitations.add(
        "sam", permanent=False, phone_number="+15555550150", phone_number_verified="true"
    )
    REST().request("sam")
    assert events() == [REFUSED, ("invited", "")]
    assert invitations.emulator.outbox[-1].medium == "SMS"


@pytest.mark.django_db(transaction=True)
def test_the_custom_message_function_gets_the_sites_metadata(invitations, settings):
    """It may choose the language of the invitation."""
    with_settings(settings, CLIENT_METADATA=lambda request: {"language": "de"})
    REST().request("carol")
    assert events() == [REFUSED, ("invited", "")]
    assert invitations.emulator.calls[-1][1]["ClientMetadata"] == {"language": "de"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", sorted({*EVERYBODY} - {"carol", "frank"}))
def test_nobody_else_is_looked_up(invitations, name):
    """Only a refusal because of the state leads to a look-up."""
    REST().request(name)
    assert signed(invitations) == []


@pytest.mark.django_db(transaction=True)
def test_a_person_of_another_identity_provider_stays_refused(invitations):
    """Cognito gives the same reason. The look-up shows that there is no invitation."""
    REST().request("frank")
    assert events() == [REFUSED]
    assert signed(invitations) == ["ListUsers"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        ("AdminUpdateUserAttributes", {"UserAttributes": [{"Name": "email", "Value": ""}]}),
        ("AdminSetUserPassword", {"Password": PASSWORD, "Permanent": True}),
        ("AdminDisableUser", {}),
    ],
    ids=lambda change: change[0],
)
def test_nothing_is_sent_if_the_look_up_shows_no_invitation(invitations, change):
    """The list is a little older or newer than the refusal. A disabled user stays disabled."""
    operation, body = change
    invitations.call(operation, Username="carol", **body)
    invitations.emulator.calls.clear()
    invitations.emulator.fail_next(
        "ForgotPassword",
        "NotAuthorizedException",
        message="User password cannot be reset in the current state.",
    )
    REST().request("carol")
    assert events() == [REFUSED]
    assert signed(invitations) == ["ListUsers"]


FAULTS = [
    ("ListUsers", "AccessDeniedException", ("failed", "unavailable")),
    ("AdminCreateUser", "AccessDeniedException", ("failed", "unavailable")),
    ("AdminCreateUser", "CodeDeliveryFailureException", ("failed", "delivery_failed")),
    ("AdminCreateUser", "UnsupportedUserStateException", ("refused", "wrong_state")),
    ("AdminCreateUser", "TooManyRequestsException", ("failed", "upstream_throttled")),
    ("AdminCreateUser", Status(503, ""), ("unknown", "outcome_unknown")),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("operation", "fault", "expected"), FAULTS)
def test_a_failure_is_logged_and_hidden(invitations, caplog, operation, fault, expected):
    """The visitor's answer is as usual. The log has a hint, and neither a name nor an address."""
    caplog.set_level(logging.INFO, "cognito_reset")
    usual = REST()
    seen = usual.seen(usual.request("alice"), typed="alice")
    ResetEvent.objects.all().delete()
    invitations.emulator.fail_next(operation, fault)
    interface = REST()
    assert interface.seen(interface.request("carol"), typed="carol") == seen
    assert events() == [REFUSED, expected]
    assert ResetEvent.objects.latest("pk").action == "invite"
    assert f"operation={operation} code={expected[1]}" in caplog.text
    assert ("hint=AWS_PERMISSIONS" in caplog.text) is (fault == "AccessDeniedException")
    assert "carol" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_late_refusal_leads_to_an_invitation_as_well(invitations, settings):
    """The visitor's time is over before Cognito answers."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.01)
    REST().request("carol")
    found = events()
    assert found[0] in (REFUSED, ("pending", ""))
    assert found[1:] == [("invited", "")]


@pytest.mark.requirement("A7")
@pytest.mark.parametrize("operation", SIGNED)
def test_a7_the_visitor_does_not_wait_for_the_invitation(invitations, settings, operation):
    """AWS may take as long as it wants. Without a uniform time, nobody waits for it either."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0)
    invitations.emulator.fail_next(operation, Timeout(60))
    assert REST().request("carol").status_code == REST.SENT
    assert not wait_until_idle(0)
    invitations.emulator.close()


@pytest.mark.requirement("A7")
def test_a7_the_invitation_holds_no_permit(invitations, settings):
    """Otherwise the refusal of the next request would reveal that there is an invitation."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0, MAX_CONCURRENT_CALLS=1)
    assert REST().request("carol").status_code == REST.SENT
    assert not wait_until_idle(0)
    assert REST().request("alice").status_code == REST.SENT


@pytest.mark.django_db(transaction=True)
def test_an_invitation_too_many_at_once_is_not_sent(invitations, settings):
    """There are as many at once as requests. The visitor's answer is as usual."""
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0, MAX_CONCURRENT_CALLS=1)
    assert [REST().request("carol").status_code for _ in range(2)] == [REST.SENT] * 2
    assert events() == [REFUSED, REFUSED, ("invited", "")]


@pytest.mark.django_db(transaction=True)
def test_the_rate_limits_hold(people, settings):
    """A stranger can end temporary passwords only as often as codes can be asked for."""
    with_settings(settings, RESEND_INVITATIONS=True, LIMITS={"request": {"identifier": "1/h"}})
    answers = [REST().request("carol").status_code for _ in range(3)]
    assert answers == [202, 429, 429]
    assert signed(people).count("AdminCreateUser") == 1


@pytest.mark.django_db(transaction=True)
def test_a_repeat_of_a_request_sends_no_second_invitation(invitations):
    """SDKs repeat requests by themselves."""
    for _ in range(3):
        AWS(invocation_id="one").request("carol")
    assert signed(invitations).count("AdminCreateUser") == 1


@pytest.mark.requirement("A1")
@every_interface
@both_modes
def test_a1_everybody_gets_the_same_answer(invitations, make_interface, mode):
    """Status, body, headers, cookies and length don't reveal who has an invitation."""
    invitations.prevent_existence_errors(mode)
    seen = {}
    for name in EVERYBODY:
        interface = make_interface()
        seen[name] = interface.seen(interface.request(name), typed=name)
    assert {name: answer for name, answer in seen.items() if answer != seen["alice"]} == {}
    assert seen["carol"].status == make_interface.SENT
