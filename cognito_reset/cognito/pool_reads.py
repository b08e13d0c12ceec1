"""
The operations of ``CognitoService`` that only the doctor calls. They change nothing, and no user notices them.

An error of theirs isn't logged: the doctor shows it, and a permission that the site doesn't grant on purpose must raise
no alarm.
"""

from __future__ import annotations

import secrets
from typing import Final

from cognito_reset.cognito import errors
from cognito_reset.cognito.facts import ClientFacts, EmailAccount, PoolFacts, factors_of
from cognito_reset.cognito.pool_calls import PoolCalls
from cognito_reset.secret import Secret

# Somebody who reads CloudTrail's events can see from it who calls.
MADE_UP: Final = "cognito-reset-doctor-"
# The longest minimum length that a pool can have (botocore's model, PasswordPolicyMinLengthType).
LONGEST_MINIMUM: Final = 99


class PoolReads(PoolCalls):
    """What the doctor asks Cognito. All methods but ``probe_client()`` raise ``ResetError``."""

    @property
    def endpoint_url(self) -> str:
        """Return the address that the requests are sent to."""
        return str(self.client.meta.endpoint_url)

    def probe_client(self) -> errors.ResetError | None:
        """
        Have Cognito check the client id and the secret, and return its refusal (ConfirmForgotPassword, unsigned).
        See ``diagnosis.diagnose()`` and ``diagnosis.shows_users()``.

        The username is made up of random characters, so that no user is concerned, and this operation sends nothing
        and calls no Lambda function before the code is right. Cognito checks the client before it looks for the user
        (developer guide, "Managing user existence error responses"). None would mean that it accepted the made-up
        code, as some emulators do.
        """
        password = f"Aa1-{secrets.token_hex(LONGEST_MINIMUM)}"[:LONGEST_MINIMUM]
        parameters = {
            "ClientId": self._client_id,
            "Username": MADE_UP + secrets.token_hex(16),
            "ConfirmationCode": "000000",
            "Password": Secret(password),
        }
        try:
            self._call("ConfirmForgotPassword", parameters, signed=False, is_logged=False)
        except errors.ResetError as error:
            return error
        return None

    def pool_facts(self) -> PoolFacts:
        """Return what DescribeUserPool tells."""
        return PoolFacts.of(self._call("DescribeUserPool", {}, is_logged=False)["UserPool"])

    def second_factors(self) -> frozenset[str]:
        """Return the second factors that the pool offers, as in FACTORS (GetUserPoolMfaConfig)."""
        return factors_of(self._call("GetUserPoolMfaConfig", {}, is_logged=False))

    def client_facts(self) -> ClientFacts:
        """Return what DescribeUserPoolClient tells, without the client's secret, which is in its answer."""
        parameters = {"ClientId": self._client_id}
        answer = self._call("DescribeUserPoolClient", parameters, is_logged=False)
        return ClientFacts.of(answer["UserPoolClient"])

    def email_account(self, region: str) -> EmailAccount:
        """Return what Amazon SES tells of the account in a Region (GetAccount)."""
        return EmailAccount.of(self._ask("sesv2", region, "GetAccount"))

    def is_in_sms_sandbox(self, region: str) -> bool:
        """Check whether Amazon SNS sends text messages to verified numbers only (GetSMSSandboxAccountStatus)."""
        return bool(self._ask("sns", region, "GetSMSSandboxAccountStatus")["IsInSandbox"])

    def may_call(self, operation: str) -> bool:
        """
        Check whether the credentials allow one of OPERATIONS_OF_STAFF, by calling it for a made-up user. IAM decides
        before Cognito looks for the user, who doesn't exist, so nothing is changed.
        """
        made_up = MADE_UP + secrets.token_hex(16)
        is_list = operation == "ListUsers"
        parameters = {"Filter": f'username = "{made_up}"'} if is_list else {"Username": made_up}
        try:
            self._call(operation, parameters, is_logged=False)
        except errors.UserNotFound:
            return True
        except errors.ResetError as error:
            if error.hint != "AWS_PERMISSIONS":
                raise
            return False
        return True


# AdminCreateUser isn't among them: if Cognito ever accepted it, it would create a user.
OPERATIONS_OF_STAFF: Final = (
    "ListUsers",
    "AdminResetUserPassword",
    "AdminUserGlobalSignOut",
    "AdminEnableUser",
    "AdminConfirmSignUp",
)
