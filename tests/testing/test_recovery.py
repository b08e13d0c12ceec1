from __future__ import annotations

import re
from typing import Any

import pytest

from cognito_reset.testing import Options
from tests.testing.world import NEW_PASSWORD, NOON, PASSWORD, World, needs_current_model

NO_CONTACT = (
    "InvalidParameterException",
    "Cannot reset password for the user as there is no registered/verified email or phone_number",
)
WRONG_STATE = ("NotAuthorizedException", "User password cannot be reset in the current state.")
DISABLED = ("NotAuthorizedException", "User is disabled")
NOT_FOUND = ("UserNotFoundException", "Username/client id combination not found.")
MISMATCH = (
    "CodeMismatchException",
    "Invalid verification code provided, please try again.",
)
EXPIRED = ("ExpiredCodeException", "Invalid code provided, please request a code again.")
LIMIT = ("LimitExceededException", "Attempt limit exceeded, please try after some time.")
ENABLED = {"PreventUserExistenceErrors": "ENABLED"}
EMAIL = {"DeliveryMedium": "EMAIL", "AttributeName": "email"}
SMS = {"DeliveryMedium": "SMS", "AttributeName": "phone_number"}


def only(*names: str) -> dict[str, Any]:
    """Return an AccountRecoverySetting with these mechanisms, best first."""
    mechanisms = [{"Name": name, "Priority": n} for n, name in enumerate(names, 1)]
    return {"AccountRecoverySetting": {"RecoveryMechanisms": mechanisms}}


def test_code_goes_to_the_verified_email():
    """The answer masks the destination, and the outbox doesn't."""
    world = World()
    world.add()
    answer = world.public("ForgotPassword", "alice")
    assert answer == {"CodeDeliveryDetails": {"Destination": "a***@e***", **EMAIL}}
    [message] = world.emulator.outbox
    assert message.username == "alice"
    assert message.kind == "forgot_password"
    assert message.medium == "EMAIL"
    assert message.destination == "alice@example.com"
    assert message.sent_at == NOON
    assert message.subject == "Your verification code"
    assert message.body == f"Your password reset code is {message.code}"
    assert len(message.code) == 6
    assert message.code.isdigit()


def test_code_and_new_password_change_the_password():
    """After the confirmation, the new password works for signing in, and the old one doesn't."""
    world = World()
    world.add()
    assert world.confirm(world.send_code()) == {}
    assert world.tokens(password=NEW_PASSWORD)["TokenType"] == "Bearer"
    assert world.sign_in_error() == ("NotAuthorizedException", "Incorrect username or password.")


def test_code_works_once():
    """A used code is refused."""
    world = World()
    world.add()
    code = world.send_code()
    world.confirm(code)
    assert world.confirm_error(code) == EXPIRED


def test_code_never_requested():
    """Without a request any code is refused as expired."""
    world = World()
    world.add()
    assert world.confirm_error("123456") == EXPIRED


def test_wrong_code():
    """A wrong code changes nothing, and the right one still works afterwards."""
    world = World()
    world.add()
    code = world.send_code()
    assert world.confirm_error(f"{code}0") == MISMATCH
    assert world.sign_in()
    world.confirm(code)


@pytest.mark.parametrize(("seconds", "works"), [(3599, True), (3600, False)])
def test_code_lives_for_an_hour(seconds, works):
    """A code works for sixty minutes and not a second longer."""
    world = World()
    world.add()
    code = world.send_code()
    world.emulator.advance(seconds)
    if works:
        world.confirm(code)
    else:
        assert world.confirm_error(code) == EXPIRED


def test_new_code_ends_the_old_one():
    """By default only the newest code works, and older ones are wrong."""
    world = World()
    world.add()
    old, new = world.send_code(), world.send_code()
    assert world.confirm_error(old) == MISMATCH
    world.confirm(new)


def test_old_code_may_live_on():
    """With the option, each code works for an hour."""
    world = World(options=Options(new_code_ends_old=False))
    world.add()
    old = world.send_code()
    world.emulator.advance(1800)
    world.send_code()
    world.emulator.advance(1800)
    assert world.confirm_error(old) == EXPIRED
    world.emulator.advance(-1)
    world.confirm(old)


def test_requests_and_confirms_share_one_allowance():
    """Requests and confirmations count together, for an hour each. Refused ones don't count."""
    world = World(options=Options(hourly_allowance=3))
    world.add()
    code = world.send_code()
    assert world.confirm_error("000000x") == MISMATCH
    world.emulator.advance(1800)
    assert world.confirm_error("000000x") == MISMATCH
    assert world.confirm_error(code) == LIMIT
    assert world.public_error("ForgotPassword", "alice") == LIMIT
    world.emulator.advance(1799)
    assert world.confirm_error(code) == LIMIT
    world.emulator.advance(1)
    world.send_code()
    assert world.confirm_error("000000x") == MISMATCH
    assert world.confirm_error("000000x") == LIMIT


def test_allowance_is_each_users_own():
    """Each user has a separate allowance."""
    world = World(options=Options(hourly_allowance=1))
    world.add()
    world.add("bob")
    world.send_code("alice")
    world.send_code("bob")
    assert world.public_error("ForgotPassword", "alice") == LIMIT


def test_allowance_counts_for_all_names_of_a_user():
    """All names of a user share one allowance."""
    world = World(pool={"AliasAttributes": ["email"]}, options=Options(hourly_allowance=2))
    world.add()
    world.send_code("alice@example.com")
    world.send_code(world.user()["Attributes"]["sub"])
    assert world.public_error("ForgotPassword", "alice") == LIMIT


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("Aa1-567", "Password not long enough"),
        ("ABCDEF-1", "Password must have lowercase characters"),
        ("abcdef-1", "Password must have uppercase characters"),
        ("abcdeF-x", "Password must have numeric characters"),
        ("abcdeF12", "Password must have symbol characters"),
    ],
)
def test_password_policy(password, reason):
    """The error names the violated rule, and the code isn't used up."""
    world = World()
    world.add()
    code = world.send_code()
    assert world.confirm_error(code, Password=password) == (
        "InvalidPasswordException",
        f"Password does not conform to policy: {reason}",
    )
    world.confirm(code)


def test_space_inside_a_password_is_a_symbol():
    """A space between other characters counts as a symbol, and the password keeps it."""
    world = World()
    world.add()
    world.confirm(world.send_code(), Password="Battery staple 2")
    assert world.sign_in(password="Battery staple 2")


def test_space_around_a_password_is_refused():
    """A leading space violates the service's pattern, with any policy."""
    world = World()
    world.add()
    code, text = world.confirm_error(world.send_code(), Password=" Battery-2")
    assert code == "InvalidParameterException"
    assert text == (
        "1 validation error detected: Value at 'password' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: ^[\S]+.*[\S]+$"
    )


def test_policy_without_flags_asks_for_length_alone():
    """A pool with an explicit policy has only the rules in it."""
    world = World(pool={"Policies": {"PasswordPolicy": {"MinimumLength": 6}}})
    world.add()
    world.confirm(world.send_code(), Password="ñañaña")
    assert world.sign_in(password="ñañaña")


def test_policy_without_length():
    """A policy without a length requires eight characters."""
    world = World(pool={"Policies": {"PasswordPolicy": {"RequireNumbers": True}}})
    world.add(password="12345678")
    code = world.send_code()
    assert world.confirm_error(code, Password="1234567")[0] == "InvalidPasswordException"
    world.confirm(code, Password="87654321")


def test_password_is_checked_before_the_code():
    """By default a weak password is reported first, even for unknown users."""
    world = World(client=ENABLED)
    weak = "InvalidPasswordException"
    assert world.confirm_error("123456", "nobody", Password="weak")[0] == weak


def test_code_may_be_checked_before_the_password():
    """With the option, the policy is checked only after a right code."""
    world = World(options=Options(password_checked_first=False))
    world.add()
    code = world.send_code()
    assert world.confirm_error("1", Password="weak") == MISMATCH
    assert world.confirm_error(code, Password="weak")[0] == "InvalidPasswordException"


def test_password_history():
    """The last passwords can't be used again, as many as the policy says. Older ones can."""
    policy = {"MinimumLength": 8, "PasswordHistorySize": 2}
    world = World(pool={"Policies": {"PasswordPolicy": policy}})
    world.add()
    world.confirm(world.send_code(), Password=NEW_PASSWORD)
    for used in (PASSWORD, NEW_PASSWORD):
        error = world.confirm_error(world.send_code(), Password=used)
        assert error[0] == "PasswordHistoryPolicyViolationException"
    world.confirm(world.send_code(), Password="Third-password-3")
    world.confirm(world.send_code(), Password=PASSWORD)


def test_without_history_a_password_may_stay():
    """A pool without PasswordHistorySize accepts the same password again."""
    world = World()
    world.add()
    world.confirm(world.send_code(), Password=PASSWORD)
    assert world.sign_in()


# Answers by the state of the user.


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("CONFIRMED", None),
        ("RESET_REQUIRED", None),
        ("UNCONFIRMED", NO_CONTACT),
        ("FORCE_CHANGE_PASSWORD", WRONG_STATE),
        ("EXTERNAL_PROVIDER", WRONG_STATE),
    ],
)
def test_request_by_state_legacy(status, answer):
    """LEGACY reveals why no code is sent."""
    world = World()
    world.add(status=status)
    sent = len(world.emulator.outbox)
    if answer is None:
        world.send_code()
        assert len(world.emulator.outbox) == sent + 1
    else:
        assert world.public_error("ForgotPassword", "alice") == answer
        assert len(world.emulator.outbox) == sent


@pytest.mark.parametrize("status", ["FORCE_CHANGE_PASSWORD", "EXTERNAL_PROVIDER"])
def test_confirm_by_state_legacy(status):
    """A user without a password to recover is refused at the confirm step as well."""
    world = World()
    world.add(status=status)
    assert world.confirm_error("123456") == WRONG_STATE


def test_reset_required_ends_with_a_confirmation():
    """With the code, a user in RESET_REQUIRED becomes CONFIRMED."""
    world = World()
    world.add(status="RESET_REQUIRED")
    world.confirm(world.emulator.outbox[-1].code)
    assert world.user()["UserStatus"] == "CONFIRMED"
    assert world.sign_in(password=NEW_PASSWORD)


@pytest.mark.parametrize("verified", [None, False])
def test_no_verified_contact_legacy(verified):
    """A missing contact and an unverified one get the same answer."""
    world = World()
    world.add(email=None if verified is None else "", verified=False)
    assert world.public_error("ForgotPassword", "alice") == NO_CONTACT


def test_missing_user_legacy():
    """LEGACY reveals at both steps that the user doesn't exist."""
    world = World()
    assert world.public_error("ForgotPassword", "nobody") == NOT_FOUND
    assert world.confirm_error("123456", "nobody") == NOT_FOUND


def test_disabled_user_legacy():
    """LEGACY reveals at both steps that the user is disabled."""
    world = World()
    world.add()
    world.admin("AdminDisableUser", "alice")
    assert world.public_error("ForgotPassword", "alice") == DISABLED
    assert world.confirm_error("123456") == DISABLED


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("someone@example.com", {"Destination": "s***@e***", **EMAIL}),
        ("+15550001234", {"Destination": "+*******1234", **SMS}),
    ],
)
def test_missing_user_enabled(username, expected):
    """ENABLED returns a made-up delivery that fits the form of the username, and sends nothing."""
    world = World(client=ENABLED)
    assert world.public("ForgotPassword", username) == {"CodeDeliveryDetails": expected}
    assert world.emulator.outbox == []
    assert world.confirm_error("123456", username) == MISMATCH


@pytest.mark.parametrize(
    ("auto_verified", "medium", "form"),
    [
        (["email"], "EMAIL", r"[a-z]\*{3}@[a-z]\*{3}"),
        (["phone_number"], "SMS", r"\+\*{7}\d{4}"),
    ],
)
def test_missing_username_enabled(auto_verified, medium, form):
    """For a plain username, the made-up delivery follows the pool's settings and never changes."""
    world = World(pool={"AutoVerifiedAttributes": auto_verified}, client=ENABLED)
    details = world.public("ForgotPassword", "nobody")["CodeDeliveryDetails"]
    assert details["DeliveryMedium"] == medium
    assert re.fullmatch(form, details["Destination"])
    assert world.public("ForgotPassword", "nobody")["CodeDeliveryDetails"] == details


def test_missing_user_enabled_may_be_refused():
    """With the option, an unknown user gets InvalidParameterException."""
    world = World(client=ENABLED, options=Options(unknown_user="invalid_parameter"))
    assert world.public_error("ForgotPassword", "nobody") == NO_CONTACT


def test_missing_user_enabled_may_alternate():
    """With the option, both answers alternate."""
    world = World(client=ENABLED, options=Options(unknown_user="alternating"))
    world.public("ForgotPassword", "nobody")
    assert world.public_error("ForgotPassword", "nobody") == NO_CONTACT
    world.public("ForgotPassword", "nobody")


def test_disabled_user_enabled():
    """ENABLED hides that a user is disabled: no code is sent, and none is accepted."""
    world = World(client=ENABLED)
    world.add()
    world.admin("AdminDisableUser", "alice")
    assert "CodeDeliveryDetails" in world.public("ForgotPassword", "alice")
    assert world.emulator.outbox == []
    assert world.confirm_error("123456") == MISMATCH


@pytest.mark.parametrize("status", ["CONFIRMED", "UNCONFIRMED"])
def test_no_verified_contact_enabled(status):
    """ENABLED hides a missing contact. At the confirm step, the answer is an expired code."""
    world = World(client=ENABLED, pool={"AutoVerifiedAttributes": []})
    world.add(status=status, verified=False)
    assert "CodeDeliveryDetails" in world.public("ForgotPassword", "alice")
    assert world.emulator.outbox == []
    assert world.confirm_error("123456") == EXPIRED


@pytest.mark.parametrize("status", ["FORCE_CHANGE_PASSWORD", "EXTERNAL_PROVIDER"])
def test_wrong_state_enabled(status):
    """By default ENABLED doesn't hide the states that can't be reset."""
    world = World(client=ENABLED)
    world.add(status=status)
    assert world.public_error("ForgotPassword", "alice") == WRONG_STATE


@pytest.mark.parametrize("status", ["FORCE_CHANGE_PASSWORD", "EXTERNAL_PROVIDER"])
def test_wrong_state_may_be_hidden(status):
    """With the option, ENABLED treats such users as missing."""
    world = World(client=ENABLED, options=Options(wrong_state_is_hidden=True))
    world.add(status=status)
    assert "CodeDeliveryDetails" in world.public("ForgotPassword", "alice")
    assert world.confirm_error("123456") == MISMATCH


def test_hidden_states_are_revealed_by_legacy():
    """The option has no effect with LEGACY."""
    world = World(options=Options(wrong_state_is_hidden=True))
    world.add(status="FORCE_CHANGE_PASSWORD")
    assert world.public_error("ForgotPassword", "alice") == WRONG_STATE


def verify(world: World) -> None:
    """Verify the address of a user who never confirmed the sign-up, as staff do."""
    world.admin(
        "AdminUpdateUserAttributes",
        "alice",
        UserAttributes=[{"Name": "email_verified", "Value": "true"}],
    )


def test_unconfirmed_user_with_a_verified_contact():
    """A user who never confirmed the sign-up gets a code, and becomes CONFIRMED by it."""
    world = World()
    world.add(status="UNCONFIRMED")
    verify(world)
    world.confirm(world.send_code())
    assert world.user()["UserStatus"] == "CONFIRMED"


def test_unconfirmed_user_may_be_refused():
    """With the option, such a user gets a code, but it is refused."""
    world = World(options=Options(unconfirmed_may_confirm=False))
    world.add(status="UNCONFIRMED")
    verify(world)
    error = world.confirm_error(world.send_code())
    assert error == ("UserNotConfirmedException", "User is not confirmed.")
    assert world.user()["UserStatus"] == "UNCONFIRMED"


# The destination of the code.

BOTH: dict[str, Any] = {"phone_number": "+15550001234", "phone_number_verified": "true"}


def test_phone_comes_before_email():
    """Without a setting, the verified phone number comes first."""
    world = World()
    world.add(**BOTH)
    details = world.public("ForgotPassword", "alice")["CodeDeliveryDetails"]
    assert details == {"Destination": "+*******1234", **SMS}
    [message] = world.emulator.outbox
    assert (message.medium, message.destination, message.subject) == ("SMS", "+15550001234", "")


@pytest.mark.parametrize(
    ("mechanisms", "medium"),
    [
        (("verified_email", "verified_phone_number"), "EMAIL"),
        (("verified_phone_number", "verified_email"), "SMS"),
        (("verified_email",), "EMAIL"),
    ],
)
def test_account_recovery_setting(mechanisms, medium):
    """The pool's priorities choose one of the verified contacts."""
    world = World(pool=only(*mechanisms))
    world.add(**BOTH)
    world.send_code()
    assert world.emulator.outbox[-1].medium == medium


def test_priorities_count_and_not_their_order():
    """Mechanisms are tried in the order of their priorities."""
    setting = only("verified_phone_number", "verified_email")
    setting["AccountRecoverySetting"]["RecoveryMechanisms"].reverse()
    world = World(pool=setting)
    world.add(**BOTH)
    world.send_code()
    assert world.emulator.outbox[-1].medium == "SMS"


def test_recovery_falls_back_to_the_next_mechanism():
    """A user without the first contact gets the code by the second."""
    world = World(pool=only("verified_phone_number", "verified_email"))
    world.add()
    world.send_code()
    assert world.emulator.outbox[-1].medium == "EMAIL"


def test_contact_that_is_no_mechanism_doesnt_count():
    """A verified contact that the setting leaves out isn't used."""
    world = World(pool=only("verified_phone_number"))
    world.add()
    assert world.public_error("ForgotPassword", "alice") == NO_CONTACT


def test_recovery_by_staff_only():
    """admin_only refuses all requests, and resets by staff as well."""
    refusal = ("NotAuthorizedException", "Contact administrator to reset password.")
    world = World(pool=only("admin_only"))
    world.add()
    assert world.public_error("ForgotPassword", "alice") == refusal
    assert world.public_error("ForgotPassword", "nobody") == refusal
    assert world.admin_error("AdminResetUserPassword", "alice") == refusal
    assert world.user()["UserStatus"] == "CONFIRMED"


def test_mfa_channel_doesnt_recover():
    """With a setting, the contact for the second factor isn't used. The other contact is, if there is one."""
    world = World(pool=only("verified_phone_number", "verified_email"))
    world.add(**BOTH)
    world.admin("AdminSetUserMFAPreference", "alice", SMSMfaSettings={"Enabled": True})
    world.send_code()
    assert world.emulator.outbox[-1].medium == "EMAIL"
    world.admin("AdminSetUserMFAPreference", "alice", SMSMfaSettings={"Enabled": False})
    world.send_code()
    assert world.emulator.outbox[-1].medium == "SMS"


@pytest.mark.parametrize("setting", [{}, {"AccountRecoverySetting": {}}], ids=["absent", "empty"])
def test_mfa_channel_recovers_without_a_setting(setting):
    """Without a setting, SMS comes first, also for people who have SMS as the second factor."""
    world = World(pool=setting)
    world.add(**BOTH)
    world.admin("AdminSetUserMFAPreference", "alice", SMSMfaSettings={"Enabled": True})
    world.send_code()
    assert world.emulator.outbox[-1].medium == "SMS"


@needs_current_model
def test_only_contact_is_the_mfa_channel():
    """Such a user can't recover. LEGACY reveals that, ENABLED hides it."""
    world = World(pool=only("verified_email"))
    hiding = world.make_client(**ENABLED)["ClientId"]
    world.add()
    world.admin("AdminSetUserMFAPreference", "alice", EmailMfaSettings={"Enabled": True})
    assert world.public_error("ForgotPassword", "alice") == NO_CONTACT
    assert "CodeDeliveryDetails" in world.public("ForgotPassword", "alice", ClientId=hiding)
    assert world.emulator.outbox == []


# Staff.


def test_admin_reset():
    """The user gets a code, and can't sign in until it is used."""
    world = World()
    world.add()
    assert world.admin("AdminResetUserPassword", "alice") == {}
    assert world.user()["UserStatus"] == "RESET_REQUIRED"
    [message] = world.emulator.outbox
    assert message.kind == "admin_reset_password"
    assert message.destination == "alice@example.com"
    assert message.code in message.body
    assert world.sign_in_error()[0] == "PasswordResetRequiredException"
    world.confirm(message.code)
    assert world.sign_in(password=NEW_PASSWORD)


def test_admin_reset_again_sends_another_code():
    """A user in RESET_REQUIRED gets a new code."""
    world = World()
    world.add(status="RESET_REQUIRED")
    world.admin("AdminResetUserPassword", "alice")
    assert len(world.emulator.outbox) == 2


@pytest.mark.parametrize("status", ["UNCONFIRMED", "FORCE_CHANGE_PASSWORD", "EXTERNAL_PROVIDER"])
def test_admin_reset_by_state(status):
    """A user who can't be reset is left unchanged."""
    world = World()
    world.add(status=status)
    assert world.admin_error("AdminResetUserPassword", "alice") == WRONG_STATE
    assert world.user()["UserStatus"] == status


def test_admin_reset_of_a_disabled_user():
    """A disabled user can't be reset before being enabled."""
    world = World()
    world.add()
    world.admin("AdminDisableUser", "alice")
    assert world.admin_error("AdminResetUserPassword", "alice") == DISABLED
    world.admin("AdminEnableUser", "alice")
    world.admin("AdminResetUserPassword", "alice")


def test_admin_reset_of_a_missing_user():
    """A missing user is revealed to staff in any mode."""
    world = World(client=ENABLED)
    error = world.admin_error("AdminResetUserPassword", "nobody")
    assert error == ("UserNotFoundException", "User does not exist.")


def test_admin_reset_without_contact_is_refused():
    """By default the reset is refused, so that the user isn't locked out."""
    world = World()
    world.add(email=None)
    assert world.admin_error("AdminResetUserPassword", "alice") == NO_CONTACT
    assert world.sign_in()


def test_admin_reset_without_contact_may_lock_out():
    """With the option, the password becomes invalid and no code is sent."""
    world = World(options=Options(admin_reset_without_contact="locked_out"))
    world.add(email=None)
    world.admin("AdminResetUserPassword", "alice")
    assert world.emulator.outbox == []
    assert world.sign_in_error()[0] == "PasswordResetRequiredException"


def test_admin_reset_in_a_missing_pool():
    """An unknown pool is a missing resource."""
    world = World()
    world.pool_id = "eu-west-1_Missing00"
    assert world.admin_error("AdminResetUserPassword", "alice") == (
        "ResourceNotFoundException",
        "User pool eu-west-1_Missing00 does not exist.",
    )


# Clients.


def test_missing_client():
    """An unknown client is a missing resource, at both steps."""
    world = World()
    expected = ("ResourceNotFoundException", "User pool client 1missing does not exist.")
    assert world.public_error("ForgotPassword", "alice", ClientId="1missing") == expected
    assert world.confirm_error("123456", ClientId="1missing") == expected


def test_secret_hash():
    """A client with a secret requires the hash of the username exactly as in the request."""
    world = World(client={"GenerateSecret": True}, pool={"AliasAttributes": ["email"]})
    world.add()
    world.send_code("alice@example.com")
    world.confirm(world.emulator.outbox[-1].code)
    wrong = world.hash_of("alice")
    assert world.public_error("ForgotPassword", "alice@example.com", SecretHash=wrong) == (
        "NotAuthorizedException",
        f"Unable to verify secret hash for client {world.client_id}",
    )
    assert world.confirm_error("123456", SecretHash=None) == (
        "NotAuthorizedException",
        f"Client {world.client_id} is configured with secret but SECRET_HASH was not received",
    )


def test_secret_hash_without_a_secret():
    """A client without a secret refuses any hash."""
    world = World()
    world.add()
    error = world.public_error("ForgotPassword", "alice", SecretHash=world.hash_of("alice", "s"))
    assert error[1] == f"Unable to verify secret hash for client {world.client_id}"


def test_either_of_two_secrets():
    """While a secret is being replaced, hashes of both are valid. A deleted one's aren't."""
    world = World(client={"GenerateSecret": True})
    world.add()
    ids = {"UserPoolId": world.pool_id, "ClientId": world.client_id}
    added = world.ok("AddUserPoolClientSecret", **ids)["ClientSecretDescriptor"]
    new_hash = world.hash_of("alice", added["ClientSecretValue"])
    old = world.ok("ListUserPoolClientSecrets", **ids)["ClientSecrets"][0]
    world.public("ForgotPassword", "alice")
    world.public("ForgotPassword", "alice", SecretHash=new_hash)
    world.ok("DeleteUserPoolClientSecret", **ids, ClientSecretId=old["ClientSecretId"])
    assert world.public_error("ForgotPassword", "alice")[0] == "NotAuthorizedException"
    world.public("ForgotPassword", "alice", SecretHash=new_hash)


@pytest.mark.parametrize(
    ("settings", "works"),
    [
        ({"EnablePropagateAdditionalUserContextData": True, "GenerateSecret": True}, False),
        ({"GenerateSecret": True}, True),
        ({"EnablePropagateAdditionalUserContextData": True}, True),
    ],
)
def test_ip_address(settings, works):
    """Only a client that has a secret and propagates the address checks its form."""
    world = World(client=settings)
    world.add()
    world.public("ForgotPassword", "alice", UserContextData={"IpAddress": "2001:db8::1"})
    context = {"UserContextData": {"IpAddress": "junk", "EncodedData": "x"}}
    if works:
        world.public("ForgotPassword", "alice", **context)
    else:
        error = world.public_error("ForgotPassword", "alice", **context)
        assert error == ("InvalidParameterException", "Invalid IP address format.")
        assert world.confirm_error("123456", **context) == error
