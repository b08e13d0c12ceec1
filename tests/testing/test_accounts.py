from __future__ import annotations

import pytest

from cognito_reset.testing import Options
from tests.testing.world import NEW_PASSWORD, PASSWORD, World, needs_current_model

ENABLED = {"PreventUserExistenceErrors": "ENABLED"}
ALIASES = {"AliasAttributes": ["email", "phone_number", "preferred_username"]}
BY_CONTACT = {"UsernameAttributes": ["email", "phone_number"]}
MISMATCH = ("CodeMismatchException", "Invalid verification code provided, please try again.")
EXPIRED = ("ExpiredCodeException", "Invalid code provided, please request a code again.")


def pairs(**attributes):
    return [{"Name": name, "Value": value} for name, value in attributes.items()]


# Sign-up.


def test_sign_up():
    """The pool sends a code to the contact that it verifies, and the code confirms the user."""
    world = World()
    answer = world.public(
        "SignUp", "dave", Password=PASSWORD, UserAttributes=pairs(email="dave@example.com")
    )
    assert answer["UserConfirmed"] is False
    assert answer["CodeDeliveryDetails"]["Destination"] == "d***@e***"
    assert answer["UserSub"] == world.user("dave")["Attributes"]["sub"]
    assert world.user("dave")["UserStatus"] == "UNCONFIRMED"
    [message] = world.emulator.outbox
    assert (message.kind, message.destination) == ("sign_up", "dave@example.com")
    error = world.sign_in_error("dave")
    assert error == ("UserNotConfirmedException", "User is not confirmed.")
    world.public("ConfirmSignUp", "dave", ConfirmationCode=message.code)
    assert world.user("dave")["Attributes"]["email_verified"] == "true"
    assert world.sign_in("dave")


def test_sign_up_prefers_the_phone():
    """With both contacts, the phone number is verified."""
    world = World(pool={"AutoVerifiedAttributes": ["email", "phone_number"]})
    attributes = pairs(email="dave@example.com", phone_number="+15550001234")
    world.public("SignUp", "dave", Password=PASSWORD, UserAttributes=attributes)
    assert world.emulator.outbox[-1].medium == "SMS"


def test_sign_up_without_a_contact():
    """Without a contact nothing is sent, and only staff can confirm the user."""
    world = World()
    answer = world.public("SignUp", "dave", Password=PASSWORD)
    assert "CodeDeliveryDetails" not in answer
    assert world.emulator.outbox == []
    assert world.public_error("ConfirmSignUp", "dave", ConfirmationCode="123456") == EXPIRED
    world.admin("AdminConfirmSignUp", "dave")
    assert world.sign_in("dave")


def test_sign_up_twice():
    """A username can be taken only once. The pool decides whether its case counts."""
    world = World(pool={"UsernameConfiguration": {"CaseSensitive": False}})
    world.add("dave")
    error = world.public_error("SignUp", "DAVE", Password=PASSWORD)
    assert error == ("UsernameExistsException", "User already exists")


@needs_current_model
def test_sign_up_with_a_weak_password():
    """The policy applies, with this operation's message, and a missing password is too short."""
    world = World()
    assert world.public_error("SignUp", "dave") == (
        "InvalidPasswordException",
        "Password did not conform with policy: Password not long enough",
    )


def test_sign_up_by_staff_only():
    """A pool can leave the creation of users to its staff."""
    world = World(pool={"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True}})
    error = world.public_error("SignUp", "dave", Password=PASSWORD)
    assert error == ("NotAuthorizedException", "SignUp is not permitted for this user pool")


def test_sign_up_cant_verify_itself():
    """No user can set an address verified at sign-up."""
    world = World()
    attributes = pairs(email="dave@example.com", email_verified="true")
    error = world.public_error("SignUp", "dave", Password=PASSWORD, UserAttributes=attributes)
    assert error[0] == "NotAuthorizedException"


def test_resend_confirmation_code():
    """A new code replaces the old one."""
    world = World()
    world.add("dave", status="UNCONFIRMED")
    old = world.emulator.outbox[-1].code
    answer = world.public("ResendConfirmationCode", "dave")
    assert answer["CodeDeliveryDetails"]["DeliveryMedium"] == "EMAIL"
    new = world.emulator.outbox[-1]
    assert new.kind == "resend_code"
    assert world.public_error("ConfirmSignUp", "dave", ConfirmationCode=old) == MISMATCH
    world.public("ConfirmSignUp", "dave", ConfirmationCode=new.code)
    error = world.public_error("ResendConfirmationCode", "dave")
    assert error == ("InvalidParameterException", "User is already confirmed.")


def test_sign_up_code_lives_for_an_hour():
    """A sign-up code expires after an hour."""
    world = World()
    world.add("dave", status="UNCONFIRMED")
    world.emulator.advance(3600)
    code = world.emulator.outbox[-1].code
    assert world.public_error("ConfirmSignUp", "dave", ConfirmationCode=code) == EXPIRED


def test_sign_up_whose_contact_is_gone():
    """Without the contact, the code still confirms the user, but verifies nothing."""
    world = World()
    world.add("dave", status="UNCONFIRMED")
    world.admin("AdminUpdateUserAttributes", "dave", UserAttributes=pairs(email=""))
    code = world.emulator.outbox[-1].code
    world.public("ConfirmSignUp", "dave", ConfirmationCode=code)
    assert world.user("dave")["UserStatus"] == "CONFIRMED"
    assert "email_verified" not in world.user("dave")["Attributes"]


def test_confirm_sign_up_of_a_missing_user():
    """LEGACY reveals that the user is missing, ENABLED doesn't."""
    world = World()
    error = world.public_error("ConfirmSignUp", "nobody", ConfirmationCode="123456")
    assert error[0] == "UserNotFoundException"
    assert world.public_error("ResendConfirmationCode", "nobody")[0] == "UserNotFoundException"
    world = World(client=ENABLED)
    error = world.public_error("ConfirmSignUp", "nobody", ConfirmationCode="123456")
    assert error == MISMATCH
    assert "CodeDeliveryDetails" in world.public("ResendConfirmationCode", "nobody")
    assert world.emulator.outbox == []


def test_confirm_sign_up_twice():
    """A confirmed user can't be confirmed again, by code or by staff."""
    world = World()
    world.add()
    refusal = (
        "NotAuthorizedException",
        "User cannot be confirmed. Current status is CONFIRMED",
    )
    assert world.public_error("ConfirmSignUp", "alice", ConfirmationCode="1") == refusal
    assert world.admin_error("AdminConfirmSignUp", "alice") == refusal


def test_sign_up_with_a_taken_address():
    """A sign-up with another user's verified address can be confirmed only by force."""
    world = World(pool=ALIASES)
    world.add("alice", email="shared@example.com")
    world.add("dave", status="UNCONFIRMED", email="shared@example.com")
    code = world.emulator.outbox[-1].code
    error = world.public_error("ConfirmSignUp", "dave", ConfirmationCode=code)
    assert error == ("AliasExistsException", "An account with the email already exists.")
    assert world.user("dave")["UserStatus"] == "UNCONFIRMED"
    world.public("ConfirmSignUp", "dave", ConfirmationCode=code, ForceAliasCreation=True)
    assert world.user("alice")["Attributes"]["email_verified"] == "false"
    assert world.public("ForgotPassword", "shared@example.com")
    assert world.emulator.outbox[-1].username == "dave"


# AdminCreateUser.


def test_invitation():
    """The invited user gets a temporary password by the requested medium."""
    world = World()
    answer = world.admin(
        "AdminCreateUser",
        "carol",
        UserAttributes=pairs(email="carol@example.com"),
        DesiredDeliveryMediums=["EMAIL"],
    )
    assert answer["User"]["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert answer["User"]["Enabled"] is True
    [message] = world.emulator.outbox
    assert message.kind == "invitation"
    assert message.body == (f"Your username is carol and temporary password is {message.code}.")
    assert len(message.code) == 8
    assert world.sign_in("carol", message.code)["ChallengeName"] == "NEW_PASSWORD_REQUIRED"


def test_temporary_password_lives_for_a_week():
    """By default a temporary password is valid for a week."""
    world = World(pool={"Policies": {"PasswordPolicy": {"RequireNumbers": True}}})
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD)
    world.emulator.advance(7 * 86400 - 1)
    assert world.sign_in("carol")
    world.emulator.advance(1)
    assert world.sign_in_error("carol")[0] == "NotAuthorizedException"


def test_invitation_goes_by_sms_unless_told():
    """Without DesiredDeliveryMediums, an SMS is sent, but only to users with a phone number."""
    world = World()
    world.admin("AdminCreateUser", "carol", UserAttributes=pairs(email="carol@example.com"))
    assert world.emulator.outbox == []
    attributes = pairs(email="dan@example.com", phone_number="+15550001234")
    world.admin("AdminCreateUser", "dan", UserAttributes=attributes)
    [message] = world.emulator.outbox
    assert (message.medium, message.destination) == ("SMS", "+15550001234")


def test_temporary_password_of_the_requests():
    """The request's temporary password is used, and must satisfy the policy."""
    world = World()
    body = {"MessageAction": "SUPPRESS"}
    error = world.admin_error("AdminCreateUser", "carol", TemporaryPassword="weak", **body)
    assert error == (
        "InvalidPasswordException",
        "Password did not conform with policy: Password not long enough",
    )
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD, **body)
    assert world.sign_in("carol")["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    assert world.emulator.outbox == []


def test_made_up_temporary_password_meets_any_policy():
    """A generated temporary password satisfies even a policy with the greatest length."""
    world = World(pool={"Policies": {"PasswordPolicy": {"MinimumLength": 99}}})
    body = {
        "UserAttributes": pairs(email="carol@example.com"),
        "DesiredDeliveryMediums": ["EMAIL"],
    }
    world.admin("AdminCreateUser", "carol", **body)
    assert len(world.emulator.outbox[-1].code) == 99


def test_resend():
    """RESEND sends another temporary password, and the old one becomes invalid."""
    world = World()
    body = {
        "UserAttributes": pairs(email="carol@example.com"),
        "DesiredDeliveryMediums": ["EMAIL"],
    }
    world.admin("AdminCreateUser", "carol", **body)
    world.admin("AdminCreateUser", "carol", MessageAction="RESEND", **body)
    old, new = world.emulator.outbox
    assert world.sign_in_error("carol", old.code)[1] == "Incorrect username or password."
    assert world.sign_in("carol", new.code)


def test_resend_renews_the_time():
    """RESEND starts the validity of the temporary password again."""
    policy = {"MinimumLength": 8, "TemporaryPasswordValidityDays": 2}
    world = World(pool={"Policies": {"PasswordPolicy": policy}})
    world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD)
    world.emulator.advance(2 * 86400)
    assert world.sign_in_error("carol") == (
        "NotAuthorizedException",
        "Temporary password has expired and must be reset by an administrator.",
    )
    resend = {"MessageAction": "RESEND", "TemporaryPassword": NEW_PASSWORD}
    world.admin("AdminCreateUser", "carol", **resend)
    assert world.sign_in("carol", NEW_PASSWORD)


def test_resend_to_users_who_were_not_invited():
    """Only a user who was invited can be invited again."""
    world = World()
    world.add()
    error = world.admin_error("AdminCreateUser", "alice", MessageAction="RESEND")
    assert error == (
        "UnsupportedUserStateException",
        "Resend not possible. alice status is not FORCE_CHANGE_PASSWORD",
    )
    error = world.admin_error("AdminCreateUser", "nobody", MessageAction="RESEND")
    assert error == ("UserNotFoundException", "User does not exist.")


PASSWORDLESS = {
    "Policies": {"SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]}}
}


@needs_current_model
def test_passwordless_user():
    """With one-time passwords, users can be created without a password, as CONFIRMED."""
    world = World(pool=PASSWORDLESS)
    user = world.admin("AdminCreateUser", "carol")["User"]
    assert user["UserStatus"] == "CONFIRMED"
    assert world.sign_in_error("carol")[1] == "Incorrect username or password."


@needs_current_model
@pytest.mark.parametrize("needed", [True, False])
def test_resend_in_a_passwordless_pool(needed):
    """The option makes RESEND require a TemporaryPassword, but only in such a pool."""
    for pool in (PASSWORDLESS, {}):
        world = World(pool=pool, options=Options(resend_needs_temporary_password=needed))
        world.admin("AdminCreateUser", "carol", TemporaryPassword=PASSWORD)
        resend = {"MessageAction": "RESEND"}
        if needed and pool:
            error = world.admin_error("AdminCreateUser", "carol", **resend)
            assert error[0] == "InvalidParameterException"
        else:
            world.admin("AdminCreateUser", "carol", **resend)
        world.admin("AdminCreateUser", "carol", TemporaryPassword=NEW_PASSWORD, **resend)


def test_create_user_twice():
    """A taken username or alias is refused, and no user is created."""
    world = World(pool=ALIASES)
    world.add()
    error = world.admin_error("AdminCreateUser", "alice")
    assert error == ("UsernameExistsException", "User account already exists")
    taken = pairs(email="alice@example.com", email_verified="true")
    error = world.admin_error("AdminCreateUser", "bob", UserAttributes=taken)
    assert error == ("AliasExistsException", "An account with the email already exists.")
    assert world.admin_error("AdminGetUser", "bob")[0] == "UserNotFoundException"
    world.admin("AdminCreateUser", "bob", UserAttributes=taken, ForceAliasCreation=True)
    assert world.user("alice")["Attributes"]["email_verified"] == "false"


def test_two_users_may_have_one_unverified_address():
    """The first user who verifies the address can be found by it."""
    world = World(pool=ALIASES)
    world.add("alice", email="shared@example.com")
    world.add("bob", email="shared@example.com", verified=False)
    assert world.user("shared@example.com")["Username"] == "alice"


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"email": "nonsense"}, "Invalid email address format."),
        ({"phone_number": "555-0100"}, "Invalid phone number format."),
        ({"shoe_size": "44"}, "Attributes did not conform to the schema: shoe_size: "),
    ],
)
def test_malformed_attributes(attributes, text):
    """Malformed attributes are refused, and the user isn't created."""
    world = World()
    error = world.admin_error("AdminCreateUser", "bob", UserAttributes=pairs(**attributes))
    assert error[0] == "InvalidParameterException"
    assert error[1].startswith(text)
    assert world.ok("ListUsers", UserPoolId=world.pool_id)["Users"] == []


def test_custom_attributes():
    """The emulator accepts custom attributes without a declaration."""
    world = World()
    world.admin("AdminCreateUser", "bob", UserAttributes=[{"Name": "custom:team", "Value": "a"}])
    assert world.user("bob")["Attributes"]["custom:team"] == "a"


# Names.


def test_aliases():
    """Users are found by verified contact, preferred username and sub, and by nothing else."""
    world = World(pool=ALIASES)
    world.add(phone_number="+15550001234", phone_number_verified="true", preferred_username="ally")
    sub = world.user()["Attributes"]["sub"]
    for name in ("alice@example.com", "+15550001234", "ally", sub):
        assert world.user(name)["Username"] == "alice"
        assert world.sign_in(name)
    world.add("bob", verified=False, name="Bobby")
    for name in ("bob@example.com", "Bobby"):
        assert world.public_error("ForgotPassword", name)[0] == "UserNotFoundException"


def test_contact_is_no_alias_unless_the_pool_says_so():
    """In a pool without aliases, users are found only by username and sub."""
    world = World()
    world.add()
    error = world.public_error("ForgotPassword", "alice@example.com")
    assert error[0] == "UserNotFoundException"


def test_username_in_the_form_of_an_alias():
    """If email is an alias, no username may look like an email address."""
    world = World(pool=ALIASES)
    assert world.admin_error("AdminCreateUser", "bob@example.com") == (
        "InvalidParameterException",
        "Username cannot be of email format, since user pool is configured for email alias.",
    )


def test_username_attributes():
    """With UsernameAttributes, users sign in with a contact, and the username is generated."""
    world = World(pool=BY_CONTACT)
    world.add("alice@example.com", email=None)
    user = world.user("alice@example.com")
    assert user["Username"] == user["Attributes"]["sub"]
    assert user["Attributes"]["email"] == "alice@example.com"
    assert world.sign_in("alice@example.com")
    world.add("+15550001234", email=None)
    assert world.user("+15550001234")["Attributes"]["phone_number"] == "+15550001234"


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        (["email"], "Username should be an email."),
        (["phone_number"], "Username should be a phone number."),
        (["email", "phone_number"], "Username should be either an email or a phone number."),
    ],
)
def test_username_that_is_no_contact(attributes, text):
    """With UsernameAttributes, usernames that aren't contacts are refused."""
    world = World(pool={"UsernameAttributes": attributes})
    for name in ("alice", "15550001234", "+1555-0001"):
        error = world.admin_error("AdminCreateUser", name)
        assert error == ("InvalidParameterException", text)


def test_contact_that_is_a_name_stays_unique():
    """Two users can't sign in with one contact, not even after an update or by force."""
    world = World(pool=BY_CONTACT)
    world.add("alice@example.com", email=None)
    world.add("bob@example.com", email=None)
    taken = pairs(email="alice@example.com")
    error = world.admin_error("AdminUpdateUserAttributes", "bob@example.com", UserAttributes=taken)
    assert error == ("AliasExistsException", "An account with the email already exists.")
    assert world.user("bob@example.com")["Attributes"]["email"] == "bob@example.com"
    error = world.admin_error(
        "AdminCreateUser", "+15550001234", UserAttributes=taken, ForceAliasCreation=True
    )
    assert error[0] == "AliasExistsException"


def test_preferred_username_isnt_taken_by_force():
    """ForceAliasCreation applies to contacts only."""
    world = World(pool=ALIASES)
    world.add(preferred_username="ally")
    error = world.admin_error(
        "AdminCreateUser",
        "bob",
        UserAttributes=pairs(preferred_username="ally"),
        ForceAliasCreation=True,
    )
    assert error[0] == "AliasExistsException"


@pytest.mark.parametrize("sensitive", [True, False])
def test_case(sensitive):
    """The pool decides whether case distinguishes usernames and aliases."""
    world = World(pool={**ALIASES, "UsernameConfiguration": {"CaseSensitive": sensitive}})
    world.add("Alice", preferred_username="Ally")
    for name in ("ALICE", "ALICE@example.com", "ALLY"):
        if sensitive:
            assert world.public_error("ForgotPassword", name)[0] == "UserNotFoundException"
        else:
            world.public("ForgotPassword", name)


def test_case_counts_by_default():
    """A pool made without UsernameConfiguration is case-sensitive."""
    world = World()
    world.add("Alice")
    assert world.public_error("ForgotPassword", "alice")[0] == "UserNotFoundException"


# Changes by staff.


def test_set_password():
    """A permanent password confirms the user. A temporary one must be changed at sign-in."""
    world = World()
    world.add(status="FORCE_CHANGE_PASSWORD")
    world.admin("AdminSetUserPassword", "alice", Password=PASSWORD, Permanent=True)
    assert world.tokens()
    world.admin("AdminSetUserPassword", "alice", Password=NEW_PASSWORD)
    assert world.user()["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert world.sign_in(password=NEW_PASSWORD)["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    error = world.admin_error("AdminSetUserPassword", "alice", Password="weak")
    assert error == (
        "InvalidPasswordException",
        "Password does not conform to policy: Password not long enough",
    )


def test_update_attributes():
    """A changed contact becomes unverified, and an empty value removes an attribute."""
    world = World()
    world.add(name="Alice", phone_number="+15550001234")
    update = pairs(email="new@example.com", name="")
    world.admin("AdminUpdateUserAttributes", "alice", UserAttributes=update)
    attributes = world.user()["Attributes"]
    assert attributes["email"] == "new@example.com"
    assert attributes["email_verified"] == "false"
    assert "name" not in attributes
    update = pairs(email="newer@example.com", email_verified="true")
    world.admin("AdminUpdateUserAttributes", "alice", UserAttributes=update)
    assert world.user()["Attributes"]["email_verified"] == "true"


def test_disable_and_enable():
    """A disabled user can't sign in, and an enabled one can again."""
    world = World()
    world.add()
    world.admin("AdminDisableUser", "alice")
    assert world.user()["Enabled"] is False
    assert world.sign_in_error() == ("NotAuthorizedException", "User is disabled.")
    world.admin("AdminEnableUser", "alice")
    assert world.sign_in()


def test_delete():
    """A deleted user is unknown, and the username is free again."""
    world = World()
    world.add()
    world.admin("AdminDeleteUser", "alice")
    assert world.admin_error("AdminGetUser", "alice")[0] == "UserNotFoundException"
    world.add()


def test_deleted_attributes():
    """A deleted contact is no longer verified either. Unknown names are refused, and change nothing."""
    world = World()
    world.add(name="Alice", nickname="Al")
    error = world.admin_error(
        "AdminDeleteUserAttributes", "alice", UserAttributeNames=["name", "height"]
    )
    assert error[0] == "InvalidParameterException"
    assert world.user()["Attributes"]["name"] == "Alice"
    world.admin("AdminDeleteUserAttributes", "alice", UserAttributeNames=["email", "name"])
    assert set(world.user()["Attributes"]) == {"sub", "nickname"}


def test_name_where_case_doesnt_count():
    """
    Names and addresses are in lower case from the beginning. ListUsers compares usernames by case, and
    other operations don't.
    """
    world = World(
        pool={"AliasAttributes": ["email"], "UsernameConfiguration": {"CaseSensitive": False}}
    )
    world.add("Alice", email="Alice@Example.com")
    world.emulator.add_federated_user(world.pool_id, "Google_1")
    assert world.user("ALICE")["Username"] == "alice"
    assert world.user("google_1")["Username"] == "google_1"
    assert world.user("alice@example.COM")["Attributes"]["email"] == "alice@example.com"

    def found(text):
        users = world.ok("ListUsers", UserPoolId=world.pool_id, Filter=text)["Users"]
        return [user["Username"] for user in users]

    assert found('username = "Alice"') == []
    assert found('username = "alice"') == ["alice"]
    assert found('email = "ALICE@example.com"') == ["alice"]


@pytest.mark.parametrize("pool", [{}, BY_CONTACT])
def test_federated_user(pool):
    """A user of an identity provider has a verified address and a username, but no password."""
    world = World(pool=pool)
    world.emulator.add_federated_user(world.pool_id, "Google_1", email="frank@example.com")
    user = world.user("Google_1")
    assert user["UserStatus"] == "EXTERNAL_PROVIDER"
    assert user["Attributes"]["email_verified"] == "true"
    assert world.sign_in_error("Google_1")[1] == "Incorrect username or password."
