"""The limits of messages, and the places in them that are filled in."""

from __future__ import annotations

import botocore.session
import pytest

from tests.testing.world import World

EMAIL_PATTERN = r"[\p{L}\p{M}\p{S}\p{N}\p{P}\s*]*\{####\}[\p{L}\p{M}\p{S}\p{N}\p{P}\s*]*"
SMS_PATTERN = r".*\{####\}.*"
PHONE = {"phone_number": "+15550001234", "phone_number_verified": "true"}


def service_model():
    return botocore.session.Session().get_service_model("cognito-idp")


def answering(**response):
    """Return an emulator whose custom message trigger answers this."""
    world = World()
    world.emulator.set_hook(
        world.pool_id, "CustomMessage", lambda event: {**event, "response": response}
    )
    return world


def problem(member, text, constraint):
    return (
        "InvalidParameterException",
        f"1 validation error detected: Value '{text}' at '{member}' failed to satisfy constraint: "
        f"Member must {constraint}",
    )


@pytest.mark.parametrize(
    "text",
    [
        "No code.",
        "Zero width\u200b {####}",
        "No break\u00a0 {####}",
        "\ufeff{####} with a byte-order mark",
        "\U0001f468\u200d\U0001f4bb {####} with a joiner",
        "\x07 {####}",
    ],
    ids=["no code", "U+200B", "U+00A0", "U+FEFF", "U+200D", "control"],
)
def test_mail_outside_the_pattern(text):
    """Without a code, or with a character that Cognito's pattern lacks, nothing is sent at all."""
    world = answering(emailMessage=text)
    world.add()
    expected = problem("emailBody", text, f"satisfy regular expression pattern: {EMAIL_PATTERN}")
    assert world.public_error("ForgotPassword", "alice") == expected
    assert world.admin_error("AdminResetUserPassword", "alice") == expected
    assert world.user()["UserStatus"] == "CONFIRMED"
    assert world.emulator.outbox == []


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("{####}" + "x" * 19_994, True),
        ("{####}" + "x" * 19_995, False),
        ("{####}", True),
        ("<p>\n\t{####}</p> \U0001f511 Straße", True),
        ("https://example.com/#code={####}&again={####}", True),
    ],
)
def test_length_of_a_mail(text, fits):
    """A mail has at most 20,000 characters, of many languages, and the code may come twice."""
    world = answering(emailMessage=text)
    world.add()
    if fits:
        code = world.send_code()
        assert world.emulator.outbox[-1].body == text.replace("{####}", code)
    else:
        constraint = "have length less than or equal to 20000"
        assert world.public_error("ForgotPassword", "alice") == problem(
            "emailBody", text, constraint
        )


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("{####}" + "x" * 134, ""),
        ("{####}" + "x" * 135, "have length less than or equal to 140"),
        ("No code.", f"satisfy regular expression pattern: {SMS_PATTERN}"),
    ],
    ids=["longest", "too long", "no code"],
)
def test_limits_of_an_sms(text, constraint):
    """An SMS has at most 140 characters, and a code."""
    world = answering(smsMessage=text)
    world.add(**PHONE)
    if constraint:
        found = world.public_error("ForgotPassword", "alice")
        assert found == problem("smsMessage", text, constraint)
    else:
        assert world.send_code() in world.emulator.outbox[-1].body


@pytest.mark.parametrize(("length", "fits"), [(140, True), (141, False)])
def test_length_of_a_subject(length, fits):
    """A subject has at most 140 characters, also with the pool's own message."""
    world = answering(emailSubject="x" * length)
    world.add()
    if fits:
        code = world.send_code()
        [message] = world.emulator.outbox
        assert message.subject == "x" * length
        assert message.body == f"Your password reset code is {code}"
    else:
        constraint = "have length less than or equal to 140"
        assert world.public_error("ForgotPassword", "alice") == problem(
            "emailSubject", "x" * length, constraint
        )


@pytest.mark.parametrize("name", ["emailMessage", "emailSubject"])
def test_empty_message(name):
    """An empty text is refused, and a missing one is the pool's own."""
    world = answering(**{name: ""})
    world.add()
    assert world.public_error("ForgotPassword", "alice") == (
        "InvalidParameterException",
        "The message is empty.",
    )
    world = answering()
    world.add()
    code = world.send_code()
    assert world.emulator.outbox[-1].body == f"Your password reset code is {code}"


def test_message_that_is_no_text():
    """An answer of another type is no answer of a trigger."""
    world = answering(emailMessage=["{####}"])
    world.add()
    error = world.public_error("ForgotPassword", "alice")
    assert error == ("InvalidLambdaResponseException", "Unrecognizable lambda output")


def test_username_is_filled_in_in_invitations_only():
    """Other messages have {username} as it is, those of the trigger and those of the pool."""
    world = answering(emailMessage="{username}: {####}")
    world.add()
    code = world.send_code()
    assert world.emulator.outbox[-1].body == f"{{username}}: {code}"
    world = World(pool={"EmailVerificationMessage": "{username}: {####}"})
    world.add()
    code = world.send_code()
    assert world.emulator.outbox[-1].body == f"{{username}}: {code}"


INVITED = {
    "UserAttributes": [{"Name": "email", "Value": "carol@example.com"}],
    "DesiredDeliveryMediums": ["EMAIL"],
}


@pytest.mark.parametrize("text", ["{####}", "{username}"])
def test_invitation_lacks_something(text):
    """A trigger's invitation needs username and password, or else there is no user either."""
    world = answering(emailMessage=text)
    error = world.admin_error("AdminCreateUser", "carol", **INVITED)
    assert error[0] == "InvalidParameterException"
    assert world.admin_error("AdminGetUser", "carol")[0] == "UserNotFoundException"


def test_invitation_by_a_template_without_the_password():
    """Such an invitation isn't delivered, though the user is created."""
    shape = service_model().shape_for("MessageTemplateType").members["EmailMessage"]
    if "####" in shape.metadata["pattern"]:
        pytest.skip("The model of this botocore requires {####} in invitations.")
    template = {"EmailMessage": "Welcome, {username}!"}
    world = World(pool={"AdminCreateUserConfig": {"InviteMessageTemplate": template}})
    world.admin("AdminCreateUser", "carol", **INVITED)
    assert world.user("carol")["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert world.emulator.outbox == []


@pytest.mark.parametrize(
    "setting",
    [
        {"EmailVerificationMessage": "No code."},
        {"EmailVerificationSubject": "x" * 141},
        {"SmsVerificationMessage": "{####}" + "x" * 135},
        {"VerificationMessageTemplate": {"EmailMessage": "Zero width\u200b {####}"}},
        {"VerificationMessageTemplate": {"SmsMessage": "No code."}},
    ],
    ids=str,
)
def test_limits_of_the_pools_own_messages(setting):
    """The same limits hold for the settings of a pool."""
    world = World()
    body = {"PoolName": "x", **setting}
    assert world.error("CreateUserPool", **body)[0] == "InvalidParameterException"
