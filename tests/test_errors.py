"""The translation table: it covers botocore's model, and has a default for every other error."""

from __future__ import annotations

import logging
import pickle
import traceback

import botocore.exceptions
import botocore.session
import pytest

from cognito_reset.cognito import errors as exceptions
from cognito_reset.cognito.client import request_id_of, translate
from cognito_reset.cognito.errors import (
    TABLE,
    ResetError,
    misconfigured,
    unproven,
)
from cognito_reset.conf import CognitoResetMisconfigured

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
    ],
)  # fmt: skip
def test_the_start_of_the_message_selects_the_row(operation, code, text, expected):
    """Cognito uses one code for several things."""
    assert type(translate(operation, client_error(operation, code, text))).__name__ == expected


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
        ("ListUsers", "Unavailable"),
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
        ("ListUsers", "Unavailable"),
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
        found = translate(operation, error)
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
    assert type(found) is TABLE[operation, exceptions.OTHER, ""]
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
