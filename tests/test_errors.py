"""The translation table: it covers botocore's model, and has a default for every other error."""

from __future__ import annotations

import ast
import logging
import pickle
import re
import socket
import traceback
from pathlib import Path

import botocore.exceptions
import botocore.session
import pytest
import urllib3

from cognito_reset.cognito import errors as exceptions
from cognito_reset.cognito import table
from cognito_reset.cognito.client import request_id_of, translate
from cognito_reset.cognito.errors import ResetError, misconfigured
from cognito_reset.cognito.service import get_service
from cognito_reset.cognito.table import OTHER, TABLE, unproven
from cognito_reset.conf import CognitoResetMisconfigured

ROOT = Path(__file__).parent.parent
OPERATIONS = sorted({operation for operation, _code, _start in TABLE})
MODEL = botocore.session.get_session().get_service_model("cognito-idp")
MODELLED = [
    (operation, shape.name)
    for operation in OPERATIONS
    for shape in MODEL.operation_model(operation).error_shapes
]


def client_error(operation, code, message="vendor text", status=400, request_id="a-request-id"):
    metadata = {"HTTPStatusCode": status, "RequestId": request_id}
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return botocore.exceptions.ClientError(response, operation)


@pytest.mark.requirement("A2")
@pytest.mark.parametrize(("operation", "code"), MODELLED)
def test_a2_every_modelled_error_has_a_row(operation, code):
    """A new error in botocore's model fails here until the table has a row for it."""
    assert (operation, code, "") in TABLE


@pytest.mark.parametrize(("operation", "code"), MODELLED)
def test_an_error_keeps_nothing_of_the_vendors_message(operation, code):
    """Only Cognito's error code and the request id are kept."""
    error = translate(operation, client_error(operation, code, "vendor text with s3cret"))
    shown = [str(error), repr(error), str(vars(error)), str(error.message), str(error.args)]
    assert "s3cret" not in "".join(shown)
    assert (error.aws_code, error.request_id) == (code, "a-request-id")


@pytest.mark.parametrize(
    ("operation", "code", "text", "expected"),
    [
        ("ForgotPassword", "NotAuthorizedException", "Unable to verify secret hash for client 1", "Misconfigured"),
        ("ForgotPassword", "NotAuthorizedException", "Client 1 is configured with secret but SECRET_HASH was not received", "Misconfigured"),
        ("ConfirmForgotPassword", "NotAuthorizedException", "Unable to verify secret hash for client 1", "Misconfigured"),
        ("ForgotPassword", "NotAuthorizedException", "User is disabled", "UserDisabled"),
        ("ForgotPassword", "NotAuthorizedException", "User password cannot be reset in the current state.", "WrongState"),
        ("ForgotPassword", "NotAuthorizedException", "Contact administrator to reset password.", "RecoveryByAdminOnly"),
        ("ForgotPassword", "NotAuthorizedException", "anything else", "AccountRefused"),
        ("ForgotPassword", "InvalidParameterException", "Cannot reset password for the user as there is no registered/verified email or phone_number", "NoVerifiedContact"),
        ("ConfirmForgotPassword", "NotAuthorizedException", "User is disabled", "CodeInvalid"),
        ("ConfirmForgotPassword", "InvalidParameterException", "1 validation error detected: Value at 'password' failed", "PasswordInvalid"),
        ("ConfirmForgotPassword", "InvalidParameterException", "Cannot reset password for the user", "CodeInvalid"),
        ("ConfirmForgotPassword", "InvalidPasswordException", "Provided password cannot be used for security reasons.", "PasswordCompromised"),
        ("ConfirmForgotPassword", "InvalidPasswordException", "Password not long enough", "PasswordInvalid"),
        ("ConfirmForgotPassword", "PasswordHistoryPolicyViolationException", "", "PasswordReused"),
        ("ConfirmForgotPassword", "UserLambdaValidationException", "PostConfirmation failed with error x.", "OutcomeUnknown"),
        ("AdminCreateUser", "UnsupportedUserStateException", "Resend not possible. alice status is not FORCE_CHANGE_PASSWORD", "WrongState"),
        ("AdminCreateUser", "UserNotFoundException", "User does not exist.", "UserNotFound"),
        ("AdminCreateUser", "InvalidParameterException", "anything else", "AccountRefused"),
        ("AdminConfirmSignUp", "NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED", "WrongState"),
        ("AdminConfirmSignUp", "NotAuthorizedException", "User cannot confirm because user status is not UNCONFIRMED.", "WrongState"),
        ("AdminConfirmSignUp", "UserLambdaValidationException", "PostConfirmation failed with error x.", "TriggerFailed"),
        ("AdminEnableUser", "UserNotFoundException", "User does not exist.", "UserNotFound"),
        ("ListUsers", "InvalidParameterException", "Error while parsing filter.", "SelectionInvalid"),
        ("ListUsers", "InvalidParameterException", "Invalid search attribute: custom:team", "SelectionInvalid"),
        ("ListUsers", "InvalidParameterException", "anything else", "AccountRefused"),
        ("ListUsersInGroup", "ResourceNotFoundException", "Group not found.", "SelectionInvalid"),
        ("ListUsersInGroup", "ResourceNotFoundException", "User pool 1 does not exist.", "Misconfigured"),
    ],
)  # fmt: skip
def test_the_start_of_the_message_selects_the_row(operation, code, text, expected):
    """Cognito uses one code for several things."""
    assert type(translate(operation, client_error(operation, code, text))).__name__ == expected


INVALID = "failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{L}]*"
# The code, Cognito's text, our error. The texts are from public reports, which the table names.
POOL_WIDE = [
    ("InvalidParameterException", f"1 validation error detected: Value at 'emailBody' {INVALID}", "MessageRejected"),
    ("InvalidParameterException", f"1 validation error detected: Value '<!DOCTYPE html>\n<p>{{####}}\u200b</p>' at 'emailBody' {INVALID}", "MessageRejected"),
    ("InvalidParameterException", f"2 validation errors detected: Value 'a' at 'emailSubject' {INVALID}; Value 'b' at 'emailBody' {INVALID}", "MessageRejected"),
    ("InvalidParameterException", f"1 validation error detected: Value 'x' at 'emailMessage' {INVALID}", "MessageRejected"),
    ("InvalidParameterException", f"1 validation error detected: Value 'x' at 'emailSubject' {INVALID}", "MessageRejected"),
    ("InvalidParameterException", "1 validation error detected: Value 'x' at 'smsMessage' failed to satisfy constraint: Member must have length less than or equal to 140", "MessageRejected"),
    ("InvalidParameterException", "The message is empty.", "MessageRejected"),
    ("InvalidParameterException", "Cognito received the following error from Amazon SES when attempting to send email: Email address is not verified. The following identities failed the check in region US-EAST-1: x", "DeliveryFailed"),
    ("InvalidParameterException", "Email address is not verified. The following identities failed the check", "DeliveryFailed"),
    ("InvalidParameterException", "Access to the KMS key was denied.", "DeliveryFailed"),
    ("LimitExceededException", "Exceeded daily email limit for the operation or the account. If a higher limit is required, please configure your user pool to use your own Amazon SES configuration for sending email.", "DeliveryFailed"),
    ("CodeDeliveryFailureException", "Unable to send the email", "DeliveryFailed"),
    ("InvalidSmsRoleAccessPolicyException", "User is not authorized to perform: SNS:Publish", "DeliveryFailed"),
    ("InvalidSmsRoleTrustRelationshipException", "Role does not have a trust relationship", "DeliveryFailed"),
    ("InvalidEmailRoleAccessPolicyException", "Not authorized to send email", "DeliveryFailed"),
    ("UnexpectedLambdaException", "CustomMessage invocation failed due to error AccessDeniedException.", "TriggerFailed"),
    ("InvalidLambdaResponseException", "Unrecognizable lambda output", "TriggerFailed"),
]  # fmt: skip


@pytest.mark.parametrize("operation", ["ForgotPassword", "AdminResetUserPassword"])
@pytest.mark.parametrize(("code", "text", "expected"), POOL_WIDE)
def test_a_fault_of_the_pool_is_logged_as_an_outage(operation, code, text, expected):
    """The log and the audit show a failure. Visitors get the neutral answer, as after a refusal."""
    error = translate(operation, client_error(operation, code, text))
    assert type(error).__name__ == expected
    assert (error.level, error.outcome) == (logging.ERROR, "failed")
    assert isinstance(error, exceptions.AccountRefused)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("InvalidParameterException", "Cannot reset password for the user as there is no registered/verified email"),
        ("InvalidParameterException", f"1 validation error detected: Value at 'username' {INVALID}"),
        ("InvalidParameterException", "1 validation error detected: Value at 'emailBody'"),
        ("InvalidParameterException", "The assessment was not passed"),
        ("LimitExceededException", "Attempt limit exceeded, please try after some time."),
    ],
)  # fmt: skip
def test_a_refusal_of_one_person_is_not_logged_as_an_outage(code, text):
    """These depend on the account or on what was typed."""
    error = translate("ForgotPassword", client_error("ForgotPassword", code, text))
    assert (error.level, error.outcome) == (logging.INFO, "refused")


@pytest.mark.parametrize(
    "username",
    [
        "x-SES-1",
        "KMS",
        "x' at 'emailBody' failed to satisfy constraint",
        "a\nSNS",
        "Value '' at 'SES",
    ],
)
def test_a_username_that_cognito_repeats_is_no_outage(people, caplog, username):
    """Otherwise visitors could raise the alarm for a fault of the whole pool."""
    caplog.set_level(logging.INFO)
    for count in ("1 validation error", "2 validation errors"):
        text = (
            f"{count} detected: Value '{username}' at 'username' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+"
        )
        people.emulator.fail_next("ForgotPassword", "InvalidParameterException", message=text)
        with pytest.raises(exceptions.AccountRefused) as caught:
            get_service().request_code(username="alice")
        assert type(caught.value) is exceptions.AccountRefused
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_a_message_that_cognito_repeats_is_an_outage():
    """Cognito may show the text of the pool's own message."""
    text = f"1 validation error detected: Value 'Dear SES' at 'emailBody' {INVALID}"
    error = translate("ForgotPassword", client_error("x", "InvalidParameterException", text))
    assert type(error) is exceptions.MessageRejected


# The operation, the code, Cognito's text, what to look at.
HINTS = [
    ("ForgotPassword", "NotAuthorizedException", "Unable to verify secret hash for client 1", "CLIENT_SECRET"),
    ("ForgotPassword", "NotAuthorizedException", "Client 1 is configured with secret but SECRET_HASH was not received", "CLIENT_SECRET"),
    ("ConfirmForgotPassword", "NotAuthorizedException", "Client 1 is not configured for secret but secret hash was received", "CLIENT_SECRET"),
    ("ForgotPassword", "NotAuthorizedException", "Client is disabled", "CLIENT_ID"),
    ("ForgotPassword", "ResourceNotFoundException", "User pool client 1example does not exist.", "CLIENT_ID,REGION"),
    ("ListUsers", "ResourceNotFoundException", "User pool eu-west-1_Example01 does not exist.", "USER_POOL_ID,REGION"),
    ("ForgotPassword", "ResourceNotFoundException", "Something else", "CLIENT_ID,USER_POOL_ID,REGION"),
    ("ForgotPassword", "OperationNotEnabledException", "", "REGION"),
    ("ListUsers", "UnknownOperationException", "", "ENDPOINT_URL"),
    ("ListUsers", "AccessDeniedException", "User: arn is not authorized to perform: cognito-idp:ListUsers", "AWS_PERMISSIONS"),
    ("ListUsers", "UnrecognizedClientException", "The security token included in the request is invalid.", "AWS_CREDENTIALS"),
    ("ListUsers", "ExpiredTokenException", "The security token included in the request is expired", "AWS_CREDENTIALS"),
    ("ListUsers", "InvalidSignatureException", "The request signature we calculated does not match", "AWS_CREDENTIALS"),
    ("ListUsers", "InvalidSignatureException", "Signature expired: 20261128T000000Z is now earlier than 20261128T000500Z", "CLOCK"),
    ("ListUsers", "InvalidSignatureException", "Signature not yet current: 20261128T001000Z is still later", "CLOCK"),
    ("ListUsers", "InvalidSignatureException", "Credential should be scoped to a valid Region, not 'eu-west-2'.", "REGION"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "code", "text", "hint"), HINTS)
def test_a_mistake_of_the_site_names_what_to_look_at(operation, code, text, hint):
    """Only Cognito's answer shows the mistake. The hint is for the log, and visitors don't see it."""
    error = translate(operation, client_error(operation, code, text))
    assert type(error) is exceptions.Misconfigured
    assert error.hint == hint


def test_a_password_that_only_cognito_refuses_points_to_the_policy():
    """The site's rules are laxer than the pool's. A compromised password breaks no rule, so it has no hint."""
    lax = translate("ConfirmForgotPassword", client_error("x", "InvalidPasswordException", "Password not long enough"))  # fmt: skip
    assert (type(lax), lax.hint) == (exceptions.PasswordInvalid, "PASSWORD_POLICY")
    assert lax.level == logging.WARNING
    text = "Provided password cannot be used for security reasons."
    known = translate("ConfirmForgotPassword", client_error("x", "InvalidPasswordException", text))
    assert (known.hint, known.level) == ("", logging.INFO)


def endpoint_error(cause, url="https://x"):
    error = botocore.exceptions.EndpointConnectionError(endpoint_url=url)
    error.__context__ = urllib3.exceptions.HTTPError()
    error.__context__.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (endpoint_error(socket.gaierror(socket.EAI_NONAME, "not known")), "REGION,ENDPOINT_URL"),
        (endpoint_error(ConnectionRefusedError(), url="https://cognito-idp.eu-west-1.amazonaws.com/"), ""),
        (endpoint_error(ConnectionRefusedError(), url="https://cognito-idp-fips.us-east-1.amazonaws.com/"), ""),
        (endpoint_error(ConnectionRefusedError()), "ENDPOINT_URL"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="http://localhost:9229/"), "ENDPOINT_URL"),
        (botocore.exceptions.NoCredentialsError(), "AWS_CREDENTIALS"),
        (botocore.exceptions.ProfileNotFound(profile="x"), "AWS_CREDENTIALS"),
        (botocore.exceptions.NoRegionError(), "REGION"),
        (botocore.exceptions.ProxyConnectionError(proxy_url="https://x"), "PROXIES"),
        (botocore.exceptions.SSLError(endpoint_url="https://x", error="CERTIFICATE_VERIFY_FAILED"), "CA_BUNDLE"),
        (botocore.exceptions.DataNotFoundError(data_path="x"), ""),
    ],
)  # fmt: skip
def test_botocores_own_errors_name_what_to_look_at(error, hint):
    """A Region with a typo has a host whose name doesn't resolve, for example."""
    assert translate("ListUsers", error).hint == hint


def hints_in(path):
    """Return the hints that are written in a module: the keywords and variables of that name."""
    for node in ast.walk(ast.parse(path.read_text())):
        is_keyword = isinstance(node, ast.keyword) and node.arg == "hint"
        is_variable = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "hint"
        if is_keyword or is_variable:
            constants = (inner for inner in ast.walk(node.value) if isinstance(inner, ast.Constant))
            yield from (c.value for c in constants if re.fullmatch("[A-Z_,]+", str(c.value)))


def test_the_page_about_the_log_lists_all_hints():
    """A row may have several hints."""
    page = (ROOT / "docs" / "log.md").read_text()
    rows = re.search(r"\| `hint` .*\n\|---.*\n((?:\|.*\n)+)", page)[1].splitlines()
    listed = [hint for row in rows for hint in re.findall("`([A-Z_,]+)`", row.split("|")[1])]
    logged = {*table._HINTS.values()} - {""}
    for path in Path(table.__file__).parent.glob("*.py"):
        logged |= {*hints_in(path)}
    assert {"REGION,ENDPOINT_URL", "CLIENT_SECRET"} <= logged
    assert sorted(listed) == sorted(logged)


def raised(error):
    """Return the exception with a traceback, as one that was caught."""
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize("stage", [0, 1])
def test_an_exception_of_other_code_before_the_request_is_sent(stage):
    """A tracer may listen to botocore's events. Nothing was sent, and it is no outage of Cognito."""
    error = translate("ConfirmForgotPassword", raised(KeyError("s3cret")), stage=stage)
    assert type(error) is exceptions.Misconfigured
    assert (error.sent, error.answered, error.aws_code) == (False, None, "KeyError")
    assert error.at.startswith(f"{__file__}:")
    assert "s3cret" not in repr(error)


def test_an_exception_of_other_code_after_the_request_is_sent():
    """The outcome is unknown."""
    error = translate("ConfirmForgotPassword", raised(KeyError("s3cret")), stage=2)
    assert type(error) is exceptions.OutcomeUnknown
    assert (error.sent, error.answered) == (True, False)
    assert error.at.startswith(f"{__file__}:")


@pytest.mark.parametrize(
    ("error", "expected", "aws_code", "answered"),
    [
        (client_error("AssumeRole", "AccessDenied"), exceptions.Misconfigured, "AccessDenied", None),
        (client_error("AssumeRole", "Throttling"), exceptions.Misconfigured, "Throttling", None),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="https://sts"), exceptions.Unavailable, "ReadTimeoutError", False),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://sts"), exceptions.Unavailable, "EndpointConnectionError", False),
        (botocore.exceptions.NoCredentialsError(), exceptions.Misconfigured, "NoCredentialsError", None),
    ],
)  # fmt: skip
def test_if_a_source_of_credentials_fails_nothing_was_sent(error, expected, aws_code, answered):
    """botocore asks it before it sends the request, so the outcome is known."""
    found = translate("AdminResetUserPassword", error, stage=0)
    assert type(found) is expected
    assert (found.aws_code, found.hint) == (aws_code, "AWS_CREDENTIALS")
    assert (found.sent, found.answered) == (False, answered)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", ["TooManyRequestsException", "ThrottlingException"])
def test_throttling_by_aws_is_recognised_by_all_of_its_names(operation, code):
    """The status is 400 or 429."""
    expected = "Busy" if operation == "ConfirmForgotPassword" else "UpstreamThrottled"
    for status in (400, 429):
        error = translate(operation, client_error(operation, code, status=status))
        assert type(error).__name__ == expected


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("code", "status"),
    [("403", 403), ("404", 404), ("499", 499), ("307", 307), ("ForbiddenException", 403)],
)
def test_a2_an_answer_that_is_not_cognitos_is_unavailable(operation, code, status):
    """A WAF answers with any status and any body; botocore uses the status as the code."""
    error = translate(operation, client_error(operation, code, "<html>blocked</html>", status))
    assert type(error) is exceptions.Unavailable


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "OperationNotEnabledException", "ResourceNotFoundException"]
)
def test_a_mistake_of_the_site_is_critical(operation, code):
    """Access denied, a replica Region and a wrong id are 503 for people, and CRITICAL in the log."""
    error = translate(operation, client_error(operation, code))
    assert type(error) is exceptions.Misconfigured
    assert (error.status, error.level, error.code) == (503, logging.CRITICAL, "unavailable")


@pytest.mark.requirement("A2")
@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("ForgotPassword", "AccountRefused"),
        ("ConfirmForgotPassword", "CodeInvalid"),
        ("AdminResetUserPassword", "AccountRefused"),
        ("AdminCreateUser", "AccountRefused"),
        ("AdminEnableUser", "AccountRefused"),
        ("AdminConfirmSignUp", "AccountRefused"),
        ("ListUsers", "Unavailable"),
        ("ListUsersInGroup", "Unavailable"),
    ],
)
def test_a2_an_unknown_error_is_treated_as_one_of_the_account(operation, expected):
    """AWS may add errors that depend on the account; those must not show."""
    error = translate(operation, client_error(operation, "BrandNewException"))
    assert type(error).__name__ == expected
    assert error.aws_code == "BrandNewException"


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("ForgotPassword", "Unavailable"),
        ("ConfirmForgotPassword", "OutcomeUnknown"),
        ("AdminResetUserPassword", "OutcomeUnknown"),
        ("AdminCreateUser", "OutcomeUnknown"),
        ("AdminEnableUser", "OutcomeUnknown"),
        ("AdminConfirmSignUp", "OutcomeUnknown"),
        ("ListUsers", "Unavailable"),
        ("ListUsersInGroup", "Unavailable"),
    ],
)
@pytest.mark.parametrize("code", ["InternalErrorException", "BrandNewException", "503"])
def test_a_server_error_after_sending_may_have_changed_a_password(operation, expected, code):
    """A status of 500 or more doesn't tell whether the operation was carried out."""
    error = translate(operation, client_error(operation, code, status=503))
    assert type(error).__name__ == expected


TRANSPORT = {
    "not sent": [
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"),
        botocore.exceptions.ConnectTimeoutError(endpoint_url="https://x"),
        botocore.exceptions.ProxyConnectionError(proxy_url="https://x"),
        botocore.exceptions.SSLError(
            endpoint_url="https://x", error="[SSL: CERTIFICATE_VERIFY_FAILED] x"
        ),
    ],
    "config": [
        botocore.exceptions.NoCredentialsError(),
        botocore.exceptions.NoRegionError(),
        botocore.exceptions.ProfileNotFound(profile="x"),
    ],
    "sent": [
        botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"),
        botocore.exceptions.SSLError(endpoint_url="https://x", error="[SSL] record layer failure"),
        botocore.exceptions.ConnectionClosedError(endpoint_url="https://x"),
        botocore.exceptions.HTTPClientError(error="decode"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ValueError("anything at all"),
    ],
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", TRANSPORT)
def test_the_transports_exception_shows_whether_the_call_was_sent(operation, kind):
    """Nothing was done only if the failure came before the request was sent."""
    for error in TRANSPORT[kind]:
        found = translate(operation, raised(error))
        expected = {
            "not sent": exceptions.Unavailable,
            "config": exceptions.Misconfigured,
            "sent": type(unproven(operation)),
        }[kind]
        assert type(found) is expected
        assert found.aws_code == type(error).__name__
        assert found.sent is (kind == "sent")
        assert found.answered is (None if kind == "config" else False)


def test_a_parameter_that_botocore_refuses_is_as_if_cognito_refused_it():
    """botocore's message echoes the value; ours does not. Cognito was not called."""
    error = botocore.exceptions.ParamValidationError(report="Invalid length for Password: hunter2")
    found = translate("ConfirmForgotPassword", error)
    assert type(found) is exceptions.CodeInvalid
    assert "hunter2" not in str(vars(found))
    assert (found.sent, found.answered) == (False, None)


@pytest.mark.requirement("H3")
def test_hostile_codes_and_request_ids_are_not_kept():
    """A code or a request id is kept only if AWS could have made it."""
    found = translate(
        "ForgotPassword",
        client_error("ForgotPassword", "evil\r\n\x1b[31m", request_id="id\r\ninjected"),
    )
    assert (found.aws_code, found.request_id) == ("unknown", "")
    assert request_id_of({"ResponseMetadata": {"RequestId": ["x"]}}) == ""


@pytest.mark.requirement("H5")
def test_errors_survive_pickling_and_carry_no_context():
    """A task queue may pickle an error, and a tracker shows its context."""
    secret = client_error("ConfirmForgotPassword", "CodeMismatchException", "hunter2")
    found = pickle.loads(pickle.dumps(translate("ConfirmForgotPassword", secret)))
    assert vars(found) == vars(translate("ConfirmForgotPassword", secret))
    with pytest.raises(ResetError) as caught:
        raise found
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_codes_are_documented_in_one_place_and_fit_the_audit():
    """Every code fits into ResetEvent.error_code, and every class has a sentence for a person."""
    classes = set(TABLE.values()) | {exceptions.Throttled, exceptions.CircuitOpen}
    for error in classes:
        assert 0 < len(error.code) <= 32
        assert str(error.message).endswith(".")


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_answer_that_lacks_everything_is_an_unknown_error(operation):
    """botocore fills these members in, but a proxy's answer may lack them."""
    found = translate(operation, botocore.exceptions.ClientError({}, operation))
    assert type(found) is TABLE[operation, OTHER, ""]
    assert (found.aws_code, found.request_id) == ("unknown", "")


@pytest.mark.parametrize(("status", "is_server_error"), [(499, False), (500, True), (501, True)])
def test_a_server_error_begins_at_500(status, is_server_error):
    """From 500 on, the outcome is unknown, and the error counts as no answer."""
    error = translate("ConfirmForgotPassword", client_error("x", "BrandNew", status=status))
    assert (type(error) is exceptions.OutcomeUnknown) is is_server_error
    assert error.answered is not is_server_error
    assert error.sent


def test_an_unproven_answers_code_and_request_id_are_kept():
    """They are for the log."""
    bare = unproven("ForgotPassword")
    assert (bare.aws_code, bare.request_id) == ("", "")
    assert (bare.sent, bare.answered) == (True, False)
    full = unproven("ForgotPassword", aws_code="UnprovenAnswer", request_id="an-id")
    assert (full.aws_code, full.request_id) == ("UnprovenAnswer", "an-id")
    assert str(full) == "maybe_sent UnprovenAnswer"


def test_the_row_with_the_longest_start_wins():
    """A message may begin as two rows do."""
    error = translate(
        "ConfirmForgotPassword",
        client_error(
            "x", "InvalidParameterException", "1 validation error detected: Value at 'password' x"
        ),
    )
    assert type(error) is exceptions.PasswordInvalid


def test_botocores_own_refusal_is_named_in_the_log():
    """It isn't an answer of Cognito."""
    error = botocore.exceptions.ParamValidationError(report="x")
    assert translate("ForgotPassword", error).aws_code == "ParamValidationError"
    assert request_id_of({"ResponseMetadata": {"RequestId": "ABC-def-09"}}) == "ABC-def-09"


def test_our_own_errors_were_not_sent():
    """A refusal of the app's own reaches the caller before Cognito is called."""
    throttled = exceptions.Throttled(retry_after=60, cool_down=True)
    assert (throttled.retry_after, throttled.cool_down) == (60, True)
    assert exceptions.Throttled(retry_after=1).cool_down is False
    for error in (throttled, exceptions.Busy(), exceptions.CircuitOpen()):
        assert (error.sent, error.answered, error.request_id) == (False, None, "")
        assert error.level <= logging.WARNING  # a crowd is no alarm for each visitor


def test_a_misconfiguration_is_logged_and_hidden(caplog):
    """Operators read which setting it is; callers learn only that the service is unavailable."""
    error = misconfigured(CognitoResetMisconfigured("COGNITO_RESET is not set to a dict."))
    assert type(error) is exceptions.Misconfigured
    assert "COGNITO_RESET" not in f"{error!r} {vars(error)} {error.message}"
    [record] = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.getMessage() == "cognito_reset.misconfigured: COGNITO_RESET is not set to a dict."
