from __future__ import annotations

import threading
from typing import Any

import pytest

from cognito_reset.testing import Options
from tests.testing.world import NEW_PASSWORD, World

METADATA: dict[str, Any] = {"ClientMetadata": {"language": "de"}}


def recording(events):
    """Return a trigger that records its events and changes nothing."""

    def hook(event):
        events.append(event)
        return event

    return hook


def test_custom_message():
    """The trigger gets the event, and its message is sent with the code filled in."""
    world = World()
    world.add()
    events: list[dict[str, Any]] = []

    def hook(event):
        events.append(event)
        code = event["request"]["codeParameter"]
        link = f"https://example.com/#code={code}"
        return {**event, "response": {"emailMessage": f"<{link}>", "emailSubject": "Neu"}}

    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    world.public("ForgotPassword", "alice", **METADATA)
    [message] = world.emulator.outbox
    assert message.subject == "Neu"
    assert message.body == f"<https://example.com/#code={message.code}>"
    [event] = events
    assert event["triggerSource"] == "CustomMessage_ForgotPassword"
    assert event["userPoolId"] == world.pool_id
    assert event["userName"] == "alice"
    assert event["callerContext"]["clientId"] == world.client_id
    assert event["request"]["clientMetadata"] == {"language": "de"}
    assert event["request"]["codeParameter"] == "{####}"
    assert event["request"]["usernameParameter"] is None
    assert event["request"]["userAttributes"]["email"] == "alice@example.com"
    assert event["request"]["userAttributes"]["cognito:user_status"] == "CONFIRMED"
    assert event["response"] == {"smsMessage": None, "emailMessage": None, "emailSubject": None}


def test_custom_sms():
    """The trigger's text message is used for an SMS."""
    world = World()
    world.add(phone_number="+15550001234", phone_number_verified="true")
    world.emulator.set_hook(
        world.pool_id,
        "CustomMessage",
        lambda event: {"response": {"smsMessage": "SMS {####}", "emailMessage": "Mail {####}"}},
    )
    world.public("ForgotPassword", "alice")
    [message] = world.emulator.outbox
    assert message.body == f"SMS {message.code}"


def test_custom_invitation():
    """A custom invitation contains username and password."""
    world = World()
    events: list[dict[str, Any]] = []

    def hook(event):
        events.append(event)
        return {**event, "response": {"emailMessage": "{username} {####}"}}

    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    attributes = [{"Name": "email", "Value": "carol@example.com"}]
    body = {"UserAttributes": attributes, "DesiredDeliveryMediums": ["EMAIL"]}
    world.admin("AdminCreateUser", "carol", **body)
    [message] = world.emulator.outbox
    assert message.body == f"carol {message.code}"
    [event] = events
    assert event["triggerSource"] == "CustomMessage_AdminCreateUser"
    assert event["request"]["usernameParameter"] == "{username}"
    assert event["callerContext"]["clientId"] == "CLIENT_ID_NOT_APPLICABLE"


def test_staff_reset_has_the_source_of_forgot_password():
    """A reset by staff has the trigger source of ForgotPassword, so only metadata differ."""
    world = World()
    world.add()
    events: list[dict[str, Any]] = []
    world.emulator.set_hook(world.pool_id, "CustomMessage", recording(events))
    world.admin("AdminResetUserPassword", "alice", **METADATA)
    [event] = events
    assert event["triggerSource"] == "CustomMessage_ForgotPassword"
    assert event["request"]["clientMetadata"] == {"language": "de"}


def raising(error):
    def hook(event):
        raise error

    return hook


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (
            raising(ValueError("no such brand")),
            (
                "UserLambdaValidationException",
                "CustomMessage failed with error no such brand.",
            ),
        ),
        (
            raising(TimeoutError()),
            (
                "UnexpectedLambdaException",
                "CustomMessage invocation failed due to error Lambda timed out.",
            ),
        ),
        (lambda event: None, ("InvalidLambdaResponseException", "Unrecognizable lambda output")),
        (
            lambda event: {"response": "x"},
            ("InvalidLambdaResponseException", "Unrecognizable lambda output"),
        ),
    ],
    ids=["error", "timeout", "nothing", "nonsense"],
)
def test_failing_trigger(hook, expected):
    """A failing trigger is answered as on AWS, with its own message, and nothing is sent."""
    world = World()
    world.add()
    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    assert world.public_error("ForgotPassword", "alice") == expected
    assert world.admin_error("AdminResetUserPassword", "alice") == expected
    assert world.emulator.outbox == []
    assert world.user()["UserStatus"] == "CONFIRMED"


def test_hook_can_be_taken_away():
    """None removes a hook, if there is one. Other triggers aren't emulated."""
    world = World()
    world.add()
    hook = raising(ValueError())
    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    world.emulator.set_hook(world.pool_id, "CustomMessage", None)
    world.emulator.set_hook(world.pool_id, "PostConfirmation", None)
    world.send_code()
    with pytest.raises(ValueError, match="trigger must be one of"):
        world.emulator.set_hook(world.pool_id, "PreSignUp", hook)


def test_hook_may_call_the_service():
    """A trigger runs outside of the lock, so it can call the service and delays nobody else."""
    world = World()
    world.add()
    world.add("bob")
    seen = []

    def hook(event):
        seen.append(world.user()["UserStatus"])
        other = threading.Thread(target=world.user, args=("bob",))
        other.start()
        other.join(5)
        seen.append(other.is_alive())
        return event

    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    world.send_code()
    assert seen == ["CONFIRMED", False]


def test_post_confirmation():
    """The trigger is called for a reset and for a sign-up, with the caller's metadata."""
    world = World()
    world.add()
    world.add("dave", status="UNCONFIRMED")
    sign_up = world.emulator.outbox[-1].code
    events: list[dict[str, Any]] = []
    world.emulator.set_hook(world.pool_id, "PostConfirmation", recording(events))
    world.confirm(world.send_code(), **METADATA)
    world.public("ConfirmSignUp", "dave", ConfirmationCode=sign_up)
    assert [event["triggerSource"] for event in events] == [
        "PostConfirmation_ConfirmForgotPassword",
        "PostConfirmation_ConfirmSignUp",
    ]
    assert events[0]["request"]["clientMetadata"] == {"language": "de"}
    assert "clientMetadata" not in events[1]["request"]


@pytest.mark.parametrize("changed", [True, False])
def test_failing_post_confirmation(changed):
    """An option decides whether the password is changed then. The code is used up anyway."""
    world = World(options=Options(password_changed_when_trigger_fails=changed))
    world.add(status="RESET_REQUIRED")
    world.emulator.set_hook(world.pool_id, "PostConfirmation", raising(ValueError("mail is down")))
    code = world.emulator.outbox[-1].code
    assert world.confirm_error(code) == (
        "UserLambdaValidationException",
        "PostConfirmation failed with error mail is down.",
    )
    assert world.user()["UserStatus"] == ("CONFIRMED" if changed else "RESET_REQUIRED")
    if changed:
        assert world.sign_in(password=NEW_PASSWORD)
    else:
        assert world.sign_in_error(password=NEW_PASSWORD)[0] == "PasswordResetRequiredException"
    assert world.confirm_error(code)[0] == "ExpiredCodeException"


# The messages of the pool.


@pytest.mark.parametrize(
    ("settings", "subject", "body"),
    [
        ({}, "Your verification code", "Your password reset code is {}"),
        (
            {"EmailVerificationSubject": "S", "EmailVerificationMessage": "M {####}"},
            "S",
            "M {}",
        ),
        (
            {"VerificationMessageTemplate": {"EmailSubject": "T", "EmailMessage": "N {####}"}},
            "T",
            "N {}",
        ),
    ],
)
def test_words_of_the_pool(settings, subject, body):
    """The pool's verification message is used for reset codes too."""
    world = World(pool=settings)
    world.add()
    code = world.send_code()
    [message] = world.emulator.outbox
    assert (message.subject, message.body) == (subject, body.format(code))


def test_sms_of_the_pool():
    """The pool's verification SMS is used for reset codes too."""
    world = World(pool={"SmsVerificationMessage": "Code {####}"})
    world.add(phone_number="+15550001234", phone_number_verified="true")
    code = world.send_code()
    assert world.emulator.outbox[-1].body == f"Code {code}"


def test_invitation_of_the_pool():
    """The pool's invitations by mail and by SMS are used."""
    words = {
        "EmailSubject": "Hi",
        "EmailMessage": "{username} by mail: {####}",
        "SMSMessage": "{username} by SMS: {####}",
    }
    world = World(pool={"AdminCreateUserConfig": {"InviteMessageTemplate": words}})
    attributes = [
        {"Name": "email", "Value": "carol@example.com"},
        {"Name": "phone_number", "Value": "+15550001234"},
    ]
    body = {"UserAttributes": attributes, "DesiredDeliveryMediums": ["EMAIL", "SMS"]}
    world.admin("AdminCreateUser", "carol", **body)
    mail, sms = world.emulator.outbox
    assert (mail.subject, mail.body) == ("Hi", f"carol by mail: {mail.code}")
    assert (sms.subject, sms.body) == ("", f"carol by SMS: {sms.code}")
