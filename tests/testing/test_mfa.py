from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cognito_reset.testing.totp import totp
from tests.testing.world import (
    NEW_PASSWORD,
    NOON,
    PASSWORD,
    SMS,
    World,
    needs_current_model,
)

APP = {"SoftwareTokenMfaConfiguration": {"Enabled": True}}
MAIL = {"EmailMfaConfiguration": {"Message": "Sign in with {####}", "Subject": "Code"}}
OWN_SENDER = {"EmailConfiguration": {"EmailSendingAccount": "DEVELOPER"}}
PHONE = {"phone_number": "+15550001234"}
NEEDS_SMS = (
    "InvalidParameterException",
    "SMS configuration and Auto verification for phone_number are required when MFA is "
    "required/optional",
)
WRONG_CODE = ("CodeMismatchException", "Invalid code or auth state for the user.")
WRONG_TOTP = ("CodeMismatchException", "Invalid code received for user")


def configure(world, mode, **factors):
    body = {"UserPoolId": world.pool_id, "MfaConfiguration": mode, **factors}
    return world.ok("SetUserPoolMfaConfig", **body)


def refused(world, mode, **factors):
    body = {"UserPoolId": world.pool_id, "MfaConfiguration": mode, **factors}
    return world.error("SetUserPoolMfaConfig", **body)


def choose(world, preferred="", /, *factors):
    members = {name: {"Enabled": True, "PreferredMfa": name == preferred} for name in factors}
    world.admin("AdminSetUserMFAPreference", "alice", **members)


def answer(world, challenge, /, username="alice", **responses):
    return {
        "ClientId": world.client_id,
        "ChallengeName": challenge["ChallengeName"],
        "Session": challenge["Session"],
        "ChallengeResponses": {"USERNAME": username, **responses},
    }


def respond(world, challenge, /, **responses):
    return world.ok("RespondToAuthChallenge", **answer(world, challenge, **responses))


def respond_error(world, challenge, /, **responses):
    return world.error("RespondToAuthChallenge", **answer(world, challenge, **responses))


def with_app(world, name="alice"):
    """Give a signed-in user an authenticator app, and return its secret."""
    token = world.tokens(name)["AccessToken"]
    secret = world.ok("AssociateSoftwareToken", AccessToken=token)["SecretCode"]
    code = totp(secret, NOON)
    assert world.ok("VerifySoftwareToken", AccessToken=token, UserCode=code) == {
        "Status": "SUCCESS"
    }
    return secret


# The pool.


@pytest.mark.parametrize("mode", ["ON", "OPTIONAL"])
def test_pool_with_mfa_needs_sms(mode):
    """CreateUserPool and UpdateUserPool can set up SMS only, and refuse MFA without it."""
    world = World()
    body = {"MfaConfiguration": mode}
    assert world.error("CreateUserPool", PoolName="x", **body) == NEEDS_SMS
    assert world.error("UpdateUserPool", UserPoolId=world.pool_id, **body) == NEEDS_SMS
    body = {**body, **SMS, "SmsAuthenticationMessage": "Code {####}"}
    pool = world.ok("CreateUserPool", PoolName="x", **body)["UserPool"]
    assert world.ok("GetUserPoolMfaConfig", UserPoolId=pool["Id"]) == {
        "MfaConfiguration": mode,
        "SmsMfaConfiguration": {**SMS, "SmsAuthenticationMessage": "Code {####}"},
    }


def test_configuration():
    """SetUserPoolMfaConfig replaces all factors, and later updates of the pool keep them."""
    world = World(pool=SMS)
    assert world.ok("GetUserPoolMfaConfig", UserPoolId=world.pool_id) == {"MfaConfiguration": "OFF"}
    configured = configure(world, "OPTIONAL", SmsMfaConfiguration={})
    assert configured == {"MfaConfiguration": "OPTIONAL", "SmsMfaConfiguration": SMS}
    assert configure(world, "ON", **APP) == {"MfaConfiguration": "ON", **APP}
    pool = world.ok("DescribeUserPool", UserPoolId=world.pool_id)["UserPool"]
    assert pool["MfaConfiguration"] == "ON"
    world.ok("UpdateUserPool", UserPoolId=world.pool_id, MfaConfiguration="OPTIONAL")
    found = world.ok("GetUserPoolMfaConfig", UserPoolId=world.pool_id)
    assert found == {"MfaConfiguration": "OPTIONAL", **APP}
    world.ok("UpdateUserPool", UserPoolId=world.pool_id)
    found = world.ok("GetUserPoolMfaConfig", UserPoolId=world.pool_id)
    assert found == {"MfaConfiguration": "OFF"}


def test_contradictory_configuration():
    """MFA has a factor if it is on, and has none if it is off."""
    world = World()
    code, message = refused(world, "OFF", **APP)
    assert code == "InvalidParameterException"
    assert message.endswith("can't turn off MFA and configure an MFA together.")
    for factors in ({}, {"SoftwareTokenMfaConfiguration": {"Enabled": False}}):
        code, message = refused(world, "ON", **factors)
        assert code == "InvalidParameterException"
        assert "can't disable all MFAs" in message
    assert refused(world, "ON", SmsMfaConfiguration={}) == NEEDS_SMS
    assert configure(world, "OFF") == {"MfaConfiguration": "OFF"}


@needs_current_model
def test_email_needs_a_plan_and_a_sender():
    """Email as a factor isn't for the plan Lite, nor for the sender that AWS provides."""
    lite = World(pool={"UserPoolTier": "LITE", **OWN_SENDER})
    assert refused(lite, "ON", **MAIL)[0] == "FeatureUnavailableInTierException"
    assert refused(World(), "ON", **MAIL)[0] == "InvalidParameterException"
    assert configure(World(pool=OWN_SENDER), "ON", **MAIL) == {"MfaConfiguration": "ON", **MAIL}


# What users choose.


@needs_current_model
def test_preference():
    """At most one factor is preferred, and a disabled one is neither set nor preferred."""
    world = World()
    world.add(**PHONE)
    both = {"Enabled": True, "PreferredMfa": True}
    error = world.admin_error(
        "AdminSetUserMFAPreference", "alice", SMSMfaSettings=both, EmailMfaSettings=both
    )
    assert error == ("InvalidParameterException", "Only one MFA setting can be preferred.")
    choose(world, "SMSMfaSettings", "SMSMfaSettings", "EmailMfaSettings")
    user = world.user()
    assert sorted(user["UserMFASettingList"]) == ["EMAIL_OTP", "SMS_MFA"]
    assert user["PreferredMfaSetting"] == "SMS_MFA"
    token = world.tokens()["AccessToken"]
    assert world.ok("GetUser", AccessToken=token)["PreferredMfaSetting"] == "SMS_MFA"
    world.ok("SetUserMFAPreference", AccessToken=token, SMSMfaSettings={"Enabled": False})
    user = world.ok("GetUser", AccessToken=token)
    assert user["UserMFASettingList"] == ["EMAIL_OTP"]
    assert "PreferredMfaSetting" not in user


@needs_current_model
@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("SMSMfaSettings", "User does not have a phone_number set to turn on SMS MFA"),
        ("EmailMfaSettings", "User does not have an email set to turn on EMAIL MFA"),
        (
            "SoftwareTokenMfaSettings",
            "User does not have delivery config set to turn on SOFTWARE_TOKEN_MFA",
        ),
    ],
)
def test_factor_that_the_user_lacks(member, message):
    """A factor needs its contact or app. It can be switched off without."""
    world = World()
    world.add(email=None)
    error = world.admin_error("AdminSetUserMFAPreference", "alice", **{member: {"Enabled": True}})
    assert error == ("InvalidParameterException", message)
    world.admin("AdminSetUserMFAPreference", "alice", **{member: {"Enabled": False}})


# Sign-in.


@pytest.mark.parametrize("mode", ["ON", "OPTIONAL"])
def test_sign_in_by_sms(mode):
    """The code that came by SMS is right, once, and verifies the number."""
    world = World(pool={"MfaConfiguration": mode, **SMS, "SmsAuthenticationMessage": "It's {####}"})
    world.add(**PHONE)
    choose(world, "", "SMSMfaSettings")
    challenge = world.sign_in()
    assert challenge["ChallengeName"] == "SMS_MFA"
    assert challenge["ChallengeParameters"] == {
        "USER_ID_FOR_SRP": "alice",
        "CODE_DELIVERY_DELIVERY_MEDIUM": "SMS",
        "CODE_DELIVERY_DESTINATION": "+*******1234",
    }
    [message] = world.emulator.outbox
    assert (message.kind, message.body) == ("authentication", f"It's {message.code}")
    assert respond_error(world, challenge, SMS_MFA_CODE="wrong") == WRONG_CODE
    assert respond_error(world, challenge)[1] == "Missing required parameter SMS_MFA_CODE"
    assert world.user()["Attributes"].get("phone_number_verified") != "true"
    result = respond(world, challenge, SMS_MFA_CODE=message.code)
    assert result["AuthenticationResult"]["RefreshToken"]
    assert world.user()["Attributes"]["phone_number_verified"] == "true"
    again = respond_error(world, challenge, SMS_MFA_CODE=message.code)
    assert again[1] == "Invalid session for the user, session can only be used once."


@needs_current_model
def test_sign_in_by_email():
    """The code comes in the pool's message, and with the trigger's source for sign-ins."""
    world = World(pool=OWN_SENDER)
    configure(world, "ON", **MAIL)
    world.add(verified=False)
    sources = []

    def hook(event):
        sources.append(event["triggerSource"])
        return event

    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    challenge = world.sign_in()
    assert challenge["ChallengeName"] == "EMAIL_OTP"
    [message] = world.emulator.outbox
    assert (message.subject, message.body) == ("Code", f"Sign in with {message.code}")
    assert sources == ["CustomMessage_Authentication"]
    assert respond(world, challenge, EMAIL_OTP_CODE=message.code)["AuthenticationResult"]
    assert world.user()["Attributes"]["email_verified"] == "true"


def test_optional_mfa_is_for_those_who_chose_it():
    """Without a choice, or a contact, a sign-in of a pool with optional MFA has one step."""
    world = World(pool={"MfaConfiguration": "OPTIONAL", **SMS})
    world.add(**PHONE)
    assert world.tokens()
    choose(world, "", "SMSMfaSettings")
    world.admin("AdminDeleteUserAttributes", "alice", UserAttributeNames=["phone_number"])
    assert world.tokens()


def test_mfa_that_is_off():
    """A user's choice has no effect while the pool has MFA off."""
    world = World()
    world.add(**PHONE)
    choose(world, "SMSMfaSettings", "SMSMfaSettings")
    assert world.tokens()


@pytest.mark.parametrize("late", [-30, 0, 30])
def test_sign_in_with_an_app(late):
    """A code of the authenticator app is right, a step early or late too."""
    world = World()
    world.add()
    configure(world, "OPTIONAL", **APP)
    secret = with_app(world)
    choose(world, "SoftwareTokenMfaSettings", "SoftwareTokenMfaSettings")
    challenge = world.sign_in()
    assert challenge["ChallengeName"] == "SOFTWARE_TOKEN_MFA"
    assert world.emulator.outbox == []
    for seconds in (-60, 60):
        code = totp(secret, NOON + timedelta(seconds=seconds))
        assert respond_error(world, challenge, SOFTWARE_TOKEN_MFA_CODE=code) == WRONG_TOTP
    code = totp(secret, NOON + timedelta(seconds=late))
    assert respond(world, challenge, SOFTWARE_TOKEN_MFA_CODE=code)["AuthenticationResult"]


def test_totp():
    """The codes are those of RFC 6238, appendix B, cut to six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    codes = {59: "287082", 1111111109: "081804", 2000000000: "279037"}
    for seconds, code in codes.items():
        assert totp(secret, NOON.fromtimestamp(seconds, NOON.tzinfo)) == code


def test_choice_between_factors():
    """With several factors and no preference, the person chooses one."""
    world = World(pool=SMS)
    world.add(**PHONE)
    configure(world, "OPTIONAL", SmsMfaConfiguration={}, **APP)
    secret = with_app(world)
    choose(world, "", "SMSMfaSettings", "SoftwareTokenMfaSettings")
    challenge = world.sign_in()
    assert challenge["ChallengeName"] == "SELECT_MFA_TYPE"
    offered = json.loads(challenge["ChallengeParameters"]["MFAS_CAN_CHOOSE"])
    assert sorted(offered) == ["SMS_MFA", "SOFTWARE_TOKEN_MFA"]
    assert respond_error(world, challenge, ANSWER="EMAIL_MFA")[0] == "InvalidParameterException"
    second = respond(world, challenge, ANSWER="SOFTWARE_TOKEN_MFA")
    code = totp(secret, NOON)
    assert respond(world, second, SOFTWARE_TOKEN_MFA_CODE=code)["AuthenticationResult"]
    second = respond(world, world.sign_in(), ANSWER="SMS_MFA")
    code = world.emulator.outbox[-1].code
    assert respond(world, second, SMS_MFA_CODE=code)["AuthenticationResult"]


def test_app_is_set_up_at_the_first_sign_in():
    """Where MFA is required, a user without a factor sets up an app before there are tokens."""
    world = World()
    configure(world, "ON", **APP)
    world.admin("AdminCreateUser", "alice", TemporaryPassword=PASSWORD)
    challenge = respond(world, world.sign_in(), NEW_PASSWORD=NEW_PASSWORD)
    assert challenge["ChallengeName"] == "MFA_SETUP"
    offered = challenge["ChallengeParameters"]["MFAS_CAN_SETUP"]
    assert json.loads(offered) == ["SOFTWARE_TOKEN_MFA"]
    assert respond_error(world, challenge)[1] == "Invalid session for the user."
    made = world.ok("AssociateSoftwareToken", Session=challenge["Session"])
    body = {"Session": made["Session"], "UserCode": "000000"}
    assert world.error("VerifySoftwareToken", **body) == (
        "EnableSoftwareTokenMFAException",
        "Code mismatch and fail enable Software Token MFA",
    )
    body["UserCode"] = totp(made["SecretCode"], NOON)
    session = world.ok("VerifySoftwareToken", **body)["Session"]
    assert respond(world, {**challenge, "Session": session})["AuthenticationResult"]
    assert world.sign_in(password=NEW_PASSWORD)["ChallengeName"] == "SOFTWARE_TOKEN_MFA"


def test_new_secret_ends_the_old_one():
    """A new secret takes the old app away at once."""
    world = World()
    world.add()
    configure(world, "ON", **APP)
    challenge = world.sign_in()
    made = world.ok("AssociateSoftwareToken", Session=challenge["Session"])
    code = totp(made["SecretCode"], NOON)
    session = world.ok("VerifySoftwareToken", Session=made["Session"], UserCode=code)["Session"]
    token = respond(world, {**challenge, "Session": session})["AuthenticationResult"]
    world.ok("AssociateSoftwareToken", AccessToken=token["AccessToken"])
    assert world.sign_in()["ChallengeName"] == "MFA_SETUP"


def test_app_that_isnt_offered():
    """An app can't be set up where the pool doesn't offer it, nor confirmed before it is set up."""
    world = World()
    world.add()
    token = {"AccessToken": world.tokens()["AccessToken"]}
    assert world.error("AssociateSoftwareToken", **token) == (
        "SoftwareTokenMFANotFoundException",
        "Software Token MFA has not been enabled by the userPool",
    )
    assert world.error("VerifySoftwareToken", **token, UserCode="000000") == (
        "SoftwareTokenMFANotFoundException",
        "Software Token MFA does not exist for the user.",
    )


def test_set_up_needs_a_token_or_a_session():
    """Either is needed, not both, and a session must be that of a set-up, and be valid."""
    world = World()
    world.add()
    configure(world, "ON", **APP)
    session = world.sign_in()["Session"]
    both = {"AccessToken": "x", "Session": session}
    for body in ({}, both):
        assert world.error("AssociateSoftwareToken", **body)[0] == "InvalidParameterException"
    world.emulator.advance(180)
    for wrong in (session, "x" * 20):
        error = world.error("AssociateSoftwareToken", Session=wrong)
        assert error == ("NotAuthorizedException", "Invalid session for the user.")


def test_time_to_answer():
    """AuthSessionValidity of the client is how long a challenge can be answered."""
    world = World(pool={"MfaConfiguration": "ON", **SMS}, client={"AuthSessionValidity": 5})
    world.add(**PHONE)
    challenge = world.sign_in()
    code = {"SMS_MFA_CODE": world.emulator.outbox[-1].code}
    world.emulator.advance(299)
    assert respond(world, challenge, **code)["AuthenticationResult"]
    challenge = world.sign_in()
    world.emulator.advance(300)
    assert respond_error(world, challenge, **code)[1].endswith("session is expired.")


def test_staff_answer_a_challenge():
    """AdminRespondToAuthChallenge answers a challenge of AdminInitiateAuth."""
    world = World(pool={"MfaConfiguration": "ON", **SMS})
    world.add(**PHONE)
    ids = {"UserPoolId": world.pool_id, "ClientId": world.client_id}
    parameters = {"USERNAME": "alice", "PASSWORD": PASSWORD}
    flow = {"AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": parameters}
    challenge = world.ok("AdminInitiateAuth", **ids, **flow)
    body = answer(world, challenge, SMS_MFA_CODE=world.emulator.outbox[-1].code)
    result = world.ok("AdminRespondToAuthChallenge", **{**body, **ids})
    assert result["AuthenticationResult"]


def test_change_of_password():
    """A signed-in user changes the password, by the pool's rules, and stays signed in."""
    policy = {"MinimumLength": 8, "PasswordHistorySize": 2}
    world = World(pool={"Policies": {"PasswordPolicy": policy}})
    world.add()
    token = {"AccessToken": world.tokens()["AccessToken"]}

    def error(previous, proposed):
        body = {"PreviousPassword": previous, "ProposedPassword": proposed}
        return world.error("ChangePassword", **token, **body)[0]

    assert error("Wrong-password-1", NEW_PASSWORD) == "NotAuthorizedException"
    assert error(PASSWORD, "short") == "InvalidPasswordException"
    assert error(PASSWORD, PASSWORD) == "PasswordHistoryPolicyViolationException"
    world.ok("ChangePassword", **token, PreviousPassword=PASSWORD, ProposedPassword=NEW_PASSWORD)
    assert world.tokens(password=NEW_PASSWORD)
    assert world.ok("GetUser", **token)
    assert world.sign_in_error()[0] == "NotAuthorizedException"
