"""The one table: total over botocore's model, and an answer for what no model lists."""

from __future__ import annotations

import logging
import pickle
import traceback

import botocore.exceptions
import botocore.session
import pytest

from cognito_reset.cognito import errors as exceptions
from cognito_reset.cognito.errors import TABLE, ResetError, translate, unproven

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


@pytest.mark.parametrize(("operation", "code"), MODELLED)
def test_a2_every_modelled_error_has_a_row(operation, code):
    """A2: a new error in botocore's model fails here until somebody decides what it means."""
    assert (operation, code, "") in TABLE


@pytest.mark.parametrize(("operation", "code"), MODELLED)
def test_no_row_gives_away_what_the_vendor_said(operation, code):
    """Nothing of the vendor's but the code and the request id is kept, in any form."""
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
def test_one_code_is_told_apart_by_its_text(operation, code, text, expected):
    """Cognito uses one code for several things: the text's start decides, and only that."""
    assert type(translate(operation, client_error(operation, code, text))).__name__ == expected


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", ["TooManyRequestsException", "ThrottlingException"])
def test_a_throttling_of_aws_is_no_fault_of_the_site(operation, code):
    """AWS's own rates come in several names and with 400 or 429."""
    expected = "Busy" if operation == "ConfirmForgotPassword" else "UpstreamThrottled"
    for status in (400, 429):
        error = translate(operation, client_error(operation, code, status=status))
        assert type(error).__name__ == expected


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("code", "status"),
    [("403", 403), ("404", 404), ("499", 499), ("307", 307), ("ForbiddenException", 403)],
)
def test_a2_an_answer_that_is_not_cognitos_is_unavailable(operation, code, status):
    """A2: a WAF's block has any status and any body; botocore gives the status as the code."""
    error = translate(operation, client_error(operation, code, "<html>blocked</html>", status))
    assert type(error) is exceptions.Unavailable


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "OperationNotEnabledException", "ResourceNotFoundException"]
)
def test_the_sites_own_mistake_is_critical(operation, code):
    """Access denied, a replica Region and a wrong id are 503 for people and CRITICAL for the log."""
    error = translate(operation, client_error(operation, code))
    assert type(error) is exceptions.Misconfigured
    assert (error.status, error.level, error.code) == (503, logging.CRITICAL, "unavailable")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("ForgotPassword", "AccountRefused"),
        ("ConfirmForgotPassword", "CodeInvalid"),
        ("AdminResetUserPassword", "AccountRefused"),
        ("ListUsers", "Unavailable"),
    ],
)
def test_a2_an_unknown_error_is_flattened(operation, expected):
    """A2: what AWS invents tomorrow is answered as what depends on the account is."""
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
    """From 500 on nothing says that the operation wasn't done."""
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
def test_the_transport_tells_whether_anything_was_sent(operation, kind):
    """Only what failed before the request left is 'nothing was done'."""
    for error in TRANSPORT[kind]:
        found = translate(operation, error)
        expected = {
            "not sent": exceptions.Unavailable,
            "config": exceptions.Misconfigured,
            "sent": type(unproven(operation)),
        }[kind]
        assert type(found) is expected
        assert found.aws_code == type(error).__name__


def test_a_refused_parameter_is_answered_as_cognitos_own_refusal():
    """botocore refuses some parameters before Cognito can, and echoes the value: we don't."""
    error = botocore.exceptions.ParamValidationError(report="Invalid length for Password: hunter2")
    found = translate("ConfirmForgotPassword", error)
    assert type(found) is exceptions.CodeInvalid
    assert "hunter2" not in str(vars(found))


def test_hostile_codes_and_request_ids_are_not_kept():
    """H3: what an answer calls itself is kept only where it could be a name of AWS's."""
    found = translate(
        "ForgotPassword",
        client_error("ForgotPassword", "evil\r\n\x1b[31m", request_id="id\r\ninjected"),
    )
    assert (found.aws_code, found.request_id) == ("unknown", "")
    assert exceptions.request_id_of({"RequestId": ["x"]}) == ""


def test_errors_survive_pickling_and_carry_no_context():
    """H5: an error can be pickled and traced with locals, and nothing of AWS's comes along."""
    secret = client_error("ConfirmForgotPassword", "CodeMismatchException", "hunter2")
    found = pickle.loads(pickle.dumps(translate("ConfirmForgotPassword", secret)))
    assert vars(found) == vars(translate("ConfirmForgotPassword", secret))
    with pytest.raises(ResetError) as caught:
        raise found
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_codes_are_documented_in_one_place_and_fit_the_audit():
    """Every code fits ResetEvent.error_code, and every class has words for a person."""
    classes = set(TABLE.values()) | {exceptions.Throttled, exceptions.Busy}
    for error in classes:
        assert 0 < len(error.code) <= 32
        assert str(error.message).endswith(".")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_answer_that_lacks_everything_is_an_unknown_error(operation):
    """A2: botocore fills these members in, and a proxy's answer may still lack them."""
    found = translate(operation, botocore.exceptions.ClientError({}, operation))
    assert type(found) is TABLE[operation, exceptions.OTHER, ""]
    assert (found.aws_code, found.request_id) == ("unknown", "")


@pytest.mark.parametrize(("status", "is_server_error"), [(499, False), (500, True), (501, True)])
def test_a_server_error_begins_at_500(status, is_server_error):
    """From 500 on, and not before, an unknown error may have been a reset."""
    error = translate("ConfirmForgotPassword", client_error("x", "BrandNew", status=status))
    assert (type(error) is exceptions.OutcomeUnknown) is is_server_error


def test_what_is_unproven_keeps_what_is_known_of_it():
    """The code and the request id, where there are any, are for the log."""
    bare = unproven("ForgotPassword")
    assert (bare.aws_code, bare.request_id) == ("", "")
    full = unproven("ForgotPassword", aws_code="UnprovenAnswer", request_id="an-id")
    assert (full.aws_code, full.request_id) == ("UnprovenAnswer", "an-id")
    assert repr(full) == "<MaybeSent unavailable UnprovenAnswer>"


def test_the_longest_text_that_fits_decides():
    """Where a text fits two rows, the more exact one is meant."""
    error = translate(
        "ConfirmForgotPassword",
        client_error(
            "x", "InvalidParameterException", "1 validation error detected: Value at 'password' x"
        ),
    )
    assert type(error) is exceptions.PasswordInvalid


def test_a_refused_parameter_says_what_refused_it():
    """The log names botocore's own refusal."""
    error = botocore.exceptions.ParamValidationError(report="x")
    assert translate("ForgotPassword", error).aws_code == "ParamValidationError"
    assert exceptions.request_id_of({"RequestId": "ABC-def-09"}) == "ABC-def-09"
