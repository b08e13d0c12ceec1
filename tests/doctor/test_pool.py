"""The doctor and the settings of the pool and the app client, each spoilt in the emulator."""

from __future__ import annotations

import pytest

from cognito_reset.doctor.findings import Finding
from cognito_reset.testing import Status
from cognito_reset.testing.validation import service_model
from tests.doctor.world import (
    BY_EITHER,
    BY_EMAIL,
    BY_PHONE,
    SES,
    SMS,
    change_client,
    change_pool,
    new_pool,
    of_pool,
    set_pool,
    without_credentials,
    wrong,
)
from tests.test_pages import with_settings

NIST = {"Policies": {"PasswordPolicy": {"MinimumLength": 15}}}
MFA = {"SoftwareTokenMfaConfiguration": {"Enabled": True}, "MfaConfiguration": "OPTIONAL"}
SMS_MFA = {"SmsMfaConfiguration": {"SmsConfiguration": SMS}}
LAMBDA = "arn:aws:lambda:eu-west-1:123456789012:function:messages"


def answer_of(people, operation, **changes):
    """Let an operation answer once as usual, but with other members of its result."""
    (member, result), *_ = people.call(
        operation, **({"ClientId": people.pool["CLIENT_ID"]} if "Client" in operation else {})
    ).items()
    body = {member: {**result, **changes}}
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    people.emulator.fail_next(operation, Status(200, body, headers, request_id=True))


@pytest.fixture
def well(people, settings):
    """A site, a pool and an app client with nothing wrong."""
    new_pool(
        people,
        UsernameAttributes=["email"],
        UsernameConfiguration={"CaseSensitive": False},
        AutoVerifiedAttributes=["email"],
        AccountRecoverySetting=BY_EMAIL,
        EmailConfiguration=SES,
        **NIST,
    )
    change_client(people, PreventUserExistenceErrors="ENABLED")
    set_pool(
        people,
        SIGN_IN_WITH=["email"],
        PASSWORD_POLICY={"MinimumLength": 15},
    )
    settings.AUTH_PASSWORD_VALIDATORS = []
    return people


def test_nothing_is_wrong_with_a_good_pool(well):
    """What can't be seen and what is only a fact is there too."""
    found = of_pool()
    assert wrong(found) == set()
    assert found.keys() == {
        Finding.COGNITO_REACHED,
        Finding.CLOCK_RIGHT,
        Finding.CLIENT_ACCEPTED,
        Finding.USERS_HIDDEN,
        Finding.POOL_READ,
        Finding.RECOVERY_OPEN,
        Finding.EMAIL_SENDER_RIGHT,
        Finding.EMAIL_SENDER_UNKNOWN,
        Finding.TEMPLATES_RIGHT,
        Finding.POLICY_FITS_NIST,
        Finding.POLICY_AGREES,
        Finding.CASE_INSENSITIVE,
        Finding.SIGN_IN_AGREES,
        Finding.CONTEXT_RIGHT,
        Finding.MAIL_WITHOUT_LINK,
        Finding.CLIENT_READABLE,
        Finding.TOKENS_REVOCABLE,
        Finding.PERMISSIONS_UNTRIED,
    }


ADMIN = {"RecoveryMechanisms": [{"Name": "admin_only", "Priority": 1}]}


@pytest.mark.parametrize(
    ("finding", "members"),
    [
        (Finding.RECOVERY_BY_ADMIN_ONLY, {"AccountRecoverySetting": ADMIN}),
        (Finding.RECOVERY_NOT_SET, {"AccountRecoverySetting": None}),
        (Finding.CONTACTS_NOT_VERIFIED, {"AutoVerifiedAttributes": None}),
        (Finding.OWN_SENDER, {"EmailConfiguration": None}),
        (Finding.SMS_MISSING, {"AccountRecoverySetting": BY_EITHER}),
        (Finding.POLICY_TOO_SHORT, {"Policies": {"PasswordPolicy": {"MinimumLength": 14}}}),
        (
            Finding.CONTEXT_MISSING,
            {"UserPoolTier": "PLUS", "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT"}},
        ),
    ],
)
def test_each_thing_that_is_wrong_with_a_pool(well, finding, members):
    """Only this one is found."""
    change_pool(well, **{**NIST, **members})
    assert wrong(of_pool()) == {finding}


@pytest.mark.parametrize(
    ("finding", "members"),
    [
        (
            Finding.RECOVERY_PREFERS_SMS,
            {"AccountRecoverySetting": BY_EITHER, "SmsConfiguration": SMS},
        ),
        (
            Finding.SMS_SANDBOX_UNKNOWN,
            {"AccountRecoverySetting": BY_EITHER, "SmsConfiguration": SMS},
        ),
        (Finding.POLICY_LAXER, {"Policies": {"PasswordPolicy": {"MinimumLength": 14}}}),
        (Finding.MAIL_LINK_UNKNOWN, {"LambdaConfig": {"CustomMessage": LAMBDA}}),
        (
            Finding.EMAIL_SENDER_RIGHT,
            {
                "EmailConfiguration": None,
                "LambdaConfig": {
                    "CustomEmailSender": {"LambdaVersion": "V1_0", "LambdaArn": LAMBDA},
                    "KMSKeyID": "arn:aws:kms:eu-west-1:123456789012:key/x",
                },
            },
        ),
    ],
)
def test_each_fact_of_a_pool(well, finding, members):
    """These are no warnings."""
    change_pool(well, **{**NIST, **members})
    found = of_pool()
    assert finding in found
    assert Finding.OWN_SENDER not in found


def test_a_pool_that_requires_kinds_of_characters(well):
    """NIST forbids that, and the site's rules lack it."""
    policy = {"MinimumLength": 15, "RequireNumbers": True}
    change_pool(well, Policies={"PasswordPolicy": policy})
    found = of_pool()
    assert found[Finding.POLICY_COMPOSITION] == "RequireNumbers."
    assert "RequireNumbers" in found[Finding.POLICY_STRICTER]
    set_pool(well, PASSWORD_POLICY="pool")
    assert Finding.POLICY_STRICTER not in of_pool()


def test_eight_characters_are_enough_with_a_second_factor_for_everybody(well):
    """NIST SP 800-63B-4, 3.1.1.2."""
    well.call("SetUserPoolMfaConfig", **{**MFA, "MfaConfiguration": "ON"})
    set_pool(well, PASSWORD_POLICY={"MinimumLength": 8})
    answer_of(well, "DescribeUserPool", Policies={"PasswordPolicy": {"MinimumLength": 8}}, MfaConfiguration="ON")  # fmt: skip
    assert Finding.POLICY_FITS_NIST in of_pool()
    answer_of(well, "DescribeUserPool", Policies={"PasswordPolicy": {"MinimumLength": 7}}, MfaConfiguration="ON")  # fmt: skip
    found = of_pool()
    assert "7" in found[Finding.POLICY_TOO_SHORT]
    assert Finding.POLICY_LAXER in found


def test_the_sites_own_validators_count(well, settings):
    """Django's least length is one of the site's rules, and a validator that can't be made is a wrong setting."""
    validation = "django.contrib.auth.password_validation"
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": f"{validation}.MinimumLengthValidator", "OPTIONS": {"min_length": 20}}
    ]
    assert "20 characters instead of 15" in of_pool()[Finding.POLICY_LAXER]
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": "nowhere.Validator"}]
    assert "AUTH_PASSWORD_VALIDATORS" in of_pool()[Finding.SETTINGS_UNUSABLE]


def test_a_channel_that_is_everybodys_second_factor(well):
    """A code never goes to the contact that is the second factor."""
    both = {"SmsConfiguration": SMS, "AutoVerifiedAttributes": ["phone_number"], **NIST}
    change_pool(well, AccountRecoverySetting=BY_PHONE, **both)
    well.call("SetUserPoolMfaConfig", **SMS_MFA, MfaConfiguration="ON")
    found = of_pool()
    assert Finding.RECOVERY_BLOCKED_BY_MFA in wrong(found)
    assert "phone_number" in found[Finding.RECOVERY_BLOCKED_BY_MFA]
    well.call("SetUserPoolMfaConfig", **SMS_MFA, MfaConfiguration="OPTIONAL")
    assert Finding.RECOVERY_CONFLICTS_WITH_MFA in wrong(of_pool())
    well.call("SetUserPoolMfaConfig", **{**SMS_MFA, **MFA, "MfaConfiguration": "ON"})
    assert Finding.RECOVERY_CONFLICTS_WITH_MFA in wrong(of_pool())
    well.call("SetUserPoolMfaConfig", **MFA)
    assert not wrong(of_pool()) & {
        Finding.RECOVERY_CONFLICTS_WITH_MFA,
        Finding.RECOVERY_BLOCKED_BY_MFA,
    }
    well.emulator.fail_next("GetUserPoolMfaConfig", "AccessDeniedException")
    assert Finding.MFA_UNREADABLE in of_pool()


@pytest.mark.parametrize(
    ("finding", "changes"),
    [
        (
            Finding.SMS_FAILS,
            {"SmsConfigurationFailure": "SNSSandbox", "AccountRecoverySetting": BY_PHONE},
        ),
        (Finding.EMAIL_FAILS, {"EmailConfigurationFailure": "SES identity"}),
        (
            Finding.TEMPLATE_WITHOUT_CODE,
            {"VerificationMessageTemplate": {"EmailMessage": "Your code is on its way."}},
        ),
        (Finding.TEMPLATE_WITHOUT_CODE, {"SmsVerificationMessage": "Your code is on its way."}),
    ],
)
def test_what_cognito_reports_of_messages(well, finding, changes):
    """UpdateUserPool can't make these."""
    answer_of(well, "DescribeUserPool", **changes)
    found = of_pool()
    assert finding in wrong(found)
    assert found[finding]


def test_a_template_with_the_code_is_right(well):
    """Also if it is in a link."""
    template = {"EmailMessage": '<a href="https://example.com/#{####}">', "SmsMessage": "{####}"}
    answer_of(well, "DescribeUserPool", VerificationMessageTemplate=template)
    assert Finding.TEMPLATES_RIGHT in of_pool()


def test_case_counts(people):
    """A pool that was made through the API without a word on it is case-sensitive."""
    assert Finding.CASE_SENSITIVE in wrong(of_pool())


@pytest.mark.parametrize(
    ("members", "right"),
    [
        ({"UsernameAttributes": ["phone_number", "email"]}, ["email", "phone_number"]),
        ({"AliasAttributes": ["email", "preferred_username"]}, ["username", "email"]),
        ({}, ["username"]),
    ],
)
def test_what_the_label_should_say(people, members, right):
    """SIGN_IN_WITH is compared with the pool, in any order."""
    new_pool(people, **members)
    found = of_pool()
    assert ", ".join(right) in found[Finding.SIGN_IN_UNSET]
    set_pool(people, SIGN_IN_WITH=right[::-1])
    assert Finding.SIGN_IN_AGREES in of_pool()
    wrong_names = ["username", "phone_number"] if right != ["username", "phone_number"] else []
    set_pool(people, SIGN_IN_WITH=wrong_names)
    found = of_pool()
    assert ", ".join(right) in found[Finding.SIGN_IN_DIFFERS]


@pytest.mark.parametrize("setting", ["FORWARD_ENCODED_DATA", "FORWARD_IP_ADDRESS"])
def test_visitors_data_that_nobody_uses(well, settings, setting):
    """Only threat protection of the Plus plan uses them."""
    with_settings(settings, **{setting: True})
    assert Finding.CONTEXT_UNUSED in wrong(of_pool())
    protected = {"UserPoolTier": "PLUS", "UserPoolAddOns": {"AdvancedSecurityMode": "ENFORCED"}}
    change_pool(well, **NIST, **protected)
    assert Finding.CONTEXT_UNUSED not in of_pool()


@pytest.mark.parametrize(("plan", "is_used"), [("ESSENTIALS", False), ("PLUS", True), (None, True)])
def test_the_plan_counts(well, settings, plan, is_used):
    """Threat protection needs Plus. An old botocore doesn't show the plan, so then its mode alone decides."""
    if plan and "UserPoolTier" not in service_model().shape_for("UserPoolType").members:
        pytest.skip("This botocore knows no plans")
    with_settings(settings, FORWARD_ENCODED_DATA=True)
    protected = {"AdvancedSecurityMode": "ENFORCED"}
    answer_of(well, "DescribeUserPool", UserPoolAddOns=protected, UserPoolTier=plan)
    found = of_pool()
    assert (Finding.CONTEXT_UNUSED in found) is not is_used
    shown = found.get(Finding.CONTEXT_UNUSED) or found[Finding.CONTEXT_MISSING]
    assert shown == f"Plan {plan or 'unknown'}, threat protection ENFORCED."


def test_an_app_client_that_takes_no_address(well, settings):
    """EnablePropagateAdditionalUserContextData is off by default."""
    with_settings(settings, FORWARD_IP_ADDRESS=True)
    protected = {"UserPoolTier": "PLUS", "UserPoolAddOns": {"AdvancedSecurityMode": "ENFORCED"}}
    change_pool(well, **NIST, **protected)
    assert wrong(of_pool()) == {Finding.CONTEXT_REFUSED}
    answer_of(well, "DescribeUserPoolClient", EnablePropagateAdditionalUserContextData=True)
    assert wrong(of_pool()) == set()


def test_tokens_that_can_not_be_revoked(well):
    """EnableTokenRevocation is on by default."""
    change_client(well, PreventUserExistenceErrors="ENABLED", EnableTokenRevocation=False)
    assert wrong(of_pool()) == {Finding.TOKENS_NOT_REVOCABLE}


def test_metadata_that_no_function_reads(well, settings):
    """A CustomMessage trigger would read it, for the link in the mail."""
    for options in ({"CLIENT_METADATA": {"a": "b"}}, {"FORWARD_CLIENT_METADATA": ["a"]}):
        with_settings(settings, **{"CLIENT_METADATA": {}, "FORWARD_CLIENT_METADATA": [], **options})
        assert Finding.METADATA_UNREAD in wrong(of_pool())
    change_pool(well, **NIST, LambdaConfig={"CustomMessage": LAMBDA})
    assert Finding.METADATA_UNREAD not in of_pool()


def test_a_function_of_the_emulator_is_in_the_pools_settings(well):
    """A hook stands for a Lambda function."""
    well.emulator.set_hook(well.pool["USER_POOL_ID"], "CustomMessage", lambda event: event)
    assert Finding.MAIL_LINK_UNKNOWN in of_pool()


def test_text_messages_by_a_function(well):
    """The pool's own SMS doesn't matter then."""
    sender = {"LambdaVersion": "V1_0", "LambdaArn": LAMBDA}
    change_pool(
        well, **NIST, AccountRecoverySetting=BY_EITHER, LambdaConfig={"CustomSMSSender": sender}
    )
    found = of_pool()
    assert not found.keys() & {Finding.SMS_MISSING, Finding.SMS_SANDBOX_UNKNOWN}


@pytest.mark.parametrize(
    ("members", "is_missing"),
    [
        ({"AliasAttributes": ["email"]}, False),
        ({"AutoVerifiedAttributes": ["email", "phone_number"]}, True),
        ({"AliasAttributes": ["email", "phone_number"]}, True),
        ({"UsernameAttributes": ["phone_number"]}, True),
    ],
)
def test_text_messages_of_a_pool_without_a_recovery_setting(people, members, is_missing):
    """Cognito allows them then, but they matter only where people have verified phones."""
    new_pool(people, **members)
    found = of_pool()
    assert Finding.RECOVERY_NOT_SET in found
    assert (Finding.SMS_MISSING in found) is is_missing


@pytest.mark.parametrize(
    ("code", "text", "finding"),
    [
        ("AccessDeniedException", "", Finding.POOL_UNREADABLE),
        ("ResourceNotFoundException", "User pool x does not exist.", Finding.POOL_ID_REFUSED),
        ("InvalidSignatureException", "Signature expired: 1 is now earlier than 2", Finding.CLOCK_WRONG),
        ("UnrecognizedClientException", "", Finding.CREDENTIALS_MISSING),
        ("TooManyRequestsException", "", Finding.RATE_LIMITED),
        ("InvalidParameterException", "", Finding.POOL_UNREADABLE),
        ("NotAuthorizedException", "", Finding.POOL_UNREADABLE),
    ],
    ids=["permission", "pool", "clock", "credentials", "rate", "other", "refusal"],
)  # fmt: skip
def test_a_pool_that_can_not_be_read(well, code, text, finding):
    """The unsigned part is shown all the same."""
    well.emulator.fail_next("DescribeUserPool", code, message=text)
    found = of_pool()
    assert finding in found
    assert Finding.POOL_READ not in found
    assert Finding.CLIENT_ACCEPTED in found


def test_no_credentials_at_all(well, settings, monkeypatch):
    """The pages need none, but these settings do."""
    with without_credentials(well, monkeypatch):
        found = of_pool(permissions=True)
        assert Finding.CREDENTIALS_MISSING in found
        assert wrong(found) == set()
        with_settings(settings, SIGN_OUT_EVERYWHERE=True)
        set_pool(well, PASSWORD_POLICY="pool")
        found = of_pool(permissions=True)
    assert found[Finding.CREDENTIALS_NEEDED].startswith("SIGN_OUT_EVERYWHERE, PASSWORD_POLICY:")


def test_rules_from_a_pool_that_may_not_be_read(well):
    """PASSWORD_POLICY "pool" needs the permission."""
    set_pool(well, PASSWORD_POLICY="pool")
    well.emulator.fail_next("DescribeUserPool", "AccessDeniedException")
    assert Finding.POOL_PERMISSION_NEEDED in wrong(of_pool())


def test_each_permission_is_tried_with_a_made_up_user(well, settings):
    """Nobody is changed by it."""
    users = well.call("ListUsers")
    found = of_pool(permissions=True)
    assert Finding.PERMISSION_THERE in found
    assert not found.keys() & {Finding.PERMISSION_MISSING, Finding.PERMISSIONS_UNTRIED}
    for operation in ("AdminEnableUser", "AdminUserGlobalSignOut"):
        well.emulator.fail_next(operation, "AccessDeniedException")
    found = of_pool(permissions=True)
    assert "AdminUserGlobalSignOut" in found[Finding.PERMISSION_MISSING] or "AdminEnableUser" in found[Finding.PERMISSION_MISSING]  # fmt: skip
    with_settings(settings, SIGN_OUT_EVERYWHERE=True)
    well.emulator.fail_next("AdminUserGlobalSignOut", "AccessDeniedException")
    found = of_pool(permissions=True)
    assert found[Finding.PERMISSION_NEEDED] == (
        "SIGN_OUT_EVERYWHERE needs cognito-idp:AdminUserGlobalSignOut."
    )
    well.emulator.fail_next("AdminResetUserPassword", "TooManyRequestsException")
    found = of_pool(permissions=True)
    assert "AdminResetUserPassword" in found[Finding.PERMISSIONS_UNTRIED]
    assert well.call("ListUsers") == users


def test_the_client_secret_is_nowhere_in_the_results(people):
    """DescribeUserPoolClient answers it."""
    secret = people.pool["CLIENT_SECRET"]
    found = of_pool(permissions=True)
    assert Finding.CLIENT_READABLE in found
    assert secret not in str(found)
