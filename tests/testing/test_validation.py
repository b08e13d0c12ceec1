from __future__ import annotations

import pytest

from cognito_reset.testing import validation
from tests.testing.world import World

CLIENT = {"ClientId": "1example"}
CONFIRM = {
    "ClientId": "1example",
    "Username": "alice",
    "ConfirmationCode": "123456",
    "Password": "Secret-password-1",
}


def problem(operation, body):
    status, answer = World().emulator.handle(operation, body)
    assert status == 400
    return answer["__type"], answer["message"]


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        (
            "ForgotPassword",
            {**CLIENT, "Username": "u" * 129},
            "Value at 'username' failed to satisfy constraint: "
            "Member must have length less than or equal to 128",
        ),
        (
            "ForgotPassword",
            {**CLIENT, "Username": ""},
            "Value at 'username' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1; "
            "Value at 'username' failed to satisfy constraint: Member must satisfy regular "
            r"expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+",
        ),
        (
            "ForgotPassword",
            CLIENT,
            "Value at 'username' failed to satisfy constraint: Member must not be null",
        ),
        (
            "ForgotPassword",
            {**CLIENT, "Username": None},
            "Value at 'username' failed to satisfy constraint: Member must not be null",
        ),
        (
            "ConfirmForgotPassword",
            {**CONFIRM, "ConfirmationCode": "12 34"},
            "Value '12 34' at 'confirmationCode' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\S]+",
        ),
        (
            "ConfirmForgotPassword",
            {**CONFIRM, "ConfirmationCode": None},
            "Value null at 'confirmationCode' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "ConfirmForgotPassword",
            {**CONFIRM, "Password": "x" * 257},
            "Value at 'password' failed to satisfy constraint: "
            "Member must have length less than or equal to 256",
        ),
        (
            "AdminResetUserPassword",
            {"UserPoolId": "no pool", "Username": "alice"},
            "Value 'no pool' at 'userPoolId' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\w-]+_[0-9a-zA-Z]+",
        ),
        (
            "ListUsers",
            {"UserPoolId": "eu_1", "Limit": 61},
            "Value '61' at 'limit' failed to satisfy constraint: "
            "Member must have value less than or equal to 60",
        ),
        (
            "AdminCreateUser",
            {"UserPoolId": "eu_1", "Username": "alice", "MessageAction": "SHOUT"},
            "Value 'SHOUT' at 'messageAction' failed to satisfy constraint: "
            "Member must satisfy enum value set: [RESEND, SUPPRESS]",
        ),
        (
            "AdminCreateUser",
            {"UserPoolId": "eu_1", "Username": "a", "UserAttributes": [{"Name": "n" * 33}]},
            f"Value '{'n' * 33}' at 'userAttributes.1.member.name' failed to satisfy constraint: "
            "Member must have length less than or equal to 32",
        ),
        (
            "AdminCreateUser",
            {"UserPoolId": "eu_1", "Username": "a", "UserAttributes": [{"Value": "v"}]},
            "Value null at 'userAttributes.1.member.name' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "ForgotPassword",
            {**CLIENT, "Username": "a", "ClientMetadata": {"k": "v" * 131073}},
            f"Value '{'v' * 131073}' at 'clientMetadata.k.member' failed to satisfy constraint: "
            "Member must have length less than or equal to 131072",
        ),
        (
            "ForgotPassword",
            {**CLIENT, "Username": "a", "UserContextData": {"IpAddress": "v" * 131073}},
            "Value at 'userContextData.ipAddress' failed to satisfy constraint: "
            "Member must have length less than or equal to 131072",
        ),
    ],
)
def test_constraints(operation, body, text):
    """Each limit of the model has Amazon's message, without sensitive values."""
    code, message = problem(operation, body)
    assert code == "InvalidParameterException"
    count = text.count("failed to satisfy")
    errors = "validation error" if count == 1 else "validation errors"
    assert message == f"{count} {errors} detected: {text}"


def test_all_problems_are_named():
    """The message counts and lists all problems."""
    _, message = problem("ConfirmForgotPassword", CLIENT)
    assert message.startswith("3 validation errors detected: Value at 'username' failed")
    assert message.count("Member must not be null") == 3


@pytest.mark.parametrize(
    "username", ["alice", "Ünïcødé", "日本語", "a+b@example.com", "€$^`", "٣", "e\u0301", "🔑"]
)
def test_good_usernames(username):
    """Letters, marks, numbers, punctuation and symbols of all scripts are fine."""
    world = World()
    assert world.public_error("ForgotPassword", username)[0] == "UserNotFoundException"


@pytest.mark.parametrize(
    "username",
    ["a b", " alice", "alice\n", "a\tb", "a\u00a0b", "a\u200bb", "a\x00b", "\ud800", "\ue000"],
)
def test_bad_usernames(username):
    """Spaces, controls, formats, surrogates and private characters are refused."""
    world = World()
    error = world.public_error("ForgotPassword", username)
    assert error[0] == "InvalidParameterException"
    assert username not in error[1]


@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("Battery staple-2", True),
        ("Bättery-štaple-2", True),
        ("Battery\u00a0staple-2", True),
        ("Battery-staple-2\n", False),
        ("\u0009Battery-staple-2", False),
        ("Battery\nstaple-2", False),
        ("B", False),
    ],
)
def test_passwords(password, good):
    """Inner spaces are fine, outer ones and line breaks aren't. No message has the password."""
    world = World()
    world.add()
    code = world.send_code()
    if good:
        world.confirm(code, Password=password)
        assert world.sign_in(password=password)
    else:
        error = world.confirm_error(code, Password=password)
        assert error[0] == "InvalidParameterException"
        assert error[1].startswith("1 validation error detected: Value at 'password' failed")


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        (
            "ForgotPassword",
            {**CLIENT, "Username": 42},
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            "ForgotPassword",
            {**CLIENT, "Username": ["a"]},
            "VALUE can not be converted to a String",
        ),
        (
            "ForgotPassword",
            {**CLIENT, "Username": "a", "ClientMetadata": "x"},
            "STRING_VALUE can not be converted to a map",
        ),
        (
            "ForgotPassword",
            {**CLIENT, "Username": "a", "UserContextData": True},
            "BOOLEAN_VALUE can not be converted to a structure",
        ),
        (
            "ListUsers",
            {"UserPoolId": "eu_1", "Limit": "1"},
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            "ListUsers",
            {"UserPoolId": "eu_1", "Limit": True},
            "BOOLEAN_VALUE can not be converted to an Integer",
        ),
        (
            "ListUsers",
            {"UserPoolId": "eu_1", "AttributesToGet": "email"},
            "STRING_VALUE can not be converted to a list",
        ),
        (
            "AdminSetUserPassword",
            {"UserPoolId": "eu_1", "Username": "a", "Password": "aa", "Permanent": "yes"},
            "STRING_VALUE can not be converted to a Boolean",
        ),
        ("ForgotPassword", [], "Start of structure was expected."),
    ],
)
def test_types(operation, body, text):
    """A value of a wrong JSON type is refused."""
    assert problem(operation, body) == ("SerializationException", text)


def test_nulls_and_unknown_members():
    """Nulls and unknown members are ignored at every level."""
    world = World()
    world.add()
    world.public(
        "ForgotPassword",
        "alice",
        SecretHash=None,
        UserContextData={"IpAddress": None},
        ClientMetadata={"language": None},
        Unheard={"of": 1},
    )
    attributes = [None, {"Name": "name", "Value": "Al", "Unheard": "of"}]
    world.admin("AdminUpdateUserAttributes", "alice", UserAttributes=attributes)
    assert world.user()["Attributes"]["name"] == "Al"


def test_unknown_operation():
    """An operation that isn't emulated is an unknown one."""
    assert problem("AdminLinkProviderForUser", {}) == ("UnknownOperationException", "")


def test_botocore_that_is_too_old(monkeypatch):
    """An operation that the installed botocore doesn't know is unchecked, and needs a signature."""
    world = World()
    error = world.error("ListUserPools", MaxResults=61)
    assert error[1].endswith("Member must have value less than or equal to 60")
    model = validation.service_model()
    unknown = ("ListUserPools", "ForgotPassword")
    names = [name for name in model.operation_names if name not in unknown]
    monkeypatch.setitem(model.__dict__, "operation_names", names)
    assert validation.is_signed("ForgotPassword")
    assert len(world.ok("ListUserPools", MaxResults=61, NextToken=None)["UserPools"]) == 1
