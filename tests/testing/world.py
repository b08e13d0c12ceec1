from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest

from cognito_reset.testing import Emulator, Options
from cognito_reset.testing.validation import service_model

#: The oldest supported botocore doesn't know MFA by email, one-time passwords, and sign-up without
#: a password. It removes such members before they reach the emulator.
needs_current_model = pytest.mark.skipif(
    "EmailMfaSettings"
    not in service_model().operation_model("AdminSetUserMFAPreference").input_shape.members
    or "SignInPolicy" not in service_model().shape_for("UserPoolPolicyType").members
    or "Password" in service_model().operation_model("SignUp").input_shape.required_members,
    reason="botocore's model is older than what this is about",
)

PASSWORD = "Correct-horse-1"
NEW_PASSWORD = "Battery-staple-2"
#: What CreateUserPool needs for MFA.
SMS = {"SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms"}}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class World:
    """An emulator with a pool and a client, and methods for the tests' usual actions."""

    def __init__(
        self,
        *,
        pool: dict[str, Any] | None = None,
        client: dict[str, Any] | None = None,
        options: Options | None = None,
    ) -> None:
        self.emulator = Emulator(region="eu-west-1", options=options, seed=1, now=lambda: NOON)
        self.options = self.emulator.options
        pool = {"PoolName": "people", "AutoVerifiedAttributes": ["email"], **(pool or {})}
        self.pool_id = self.ok("CreateUserPool", **pool)["UserPool"]["Id"]
        self.client_id = ""
        self.secret: str | None = None
        made = self.make_client(**(client or {}))
        self.client_id, self.secret = made["ClientId"], made.get("ClientSecret")

    def ok(self, operation: str, **body: Any) -> dict[str, Any]:
        status, answer = self.emulator.handle(operation, body)
        assert status == 200, answer
        return answer

    def error(self, operation: str, **body: Any) -> tuple[str, str]:
        status, answer = self.emulator.handle(operation, body)
        assert status == 400, answer
        return answer["__type"], answer["message"]

    def make_client(self, **settings: Any) -> dict[str, Any]:
        body = {
            "UserPoolId": self.pool_id,
            "ClientName": "site",
            "ExplicitAuthFlows": [
                "ALLOW_USER_PASSWORD_AUTH",
                "ALLOW_ADMIN_USER_PASSWORD_AUTH",
                "ALLOW_REFRESH_TOKEN_AUTH",
            ],
            **settings,
        }
        client: dict[str, Any] = self.ok("CreateUserPoolClient", **body)["UserPoolClient"]
        return client

    def add(
        self,
        username: str = "alice",
        *,
        status: str = "CONFIRMED",
        email: str | None = "",
        verified: bool = True,
        password: str = PASSWORD,
        **attributes: str,
    ) -> str:
        """Add a user, and bring it into a state. ``email=None`` means no contact."""
        if email is not None:
            attributes["email"] = email or f"{username}@example.com"
            attributes["email_verified"] = str(verified).lower()
        pairs = [{"Name": name, "Value": value} for name, value in attributes.items()]
        if status == "EXTERNAL_PROVIDER":
            self.emulator.add_federated_user(self.pool_id, username, email=email or "")
        elif status == "UNCONFIRMED":
            unverified = [pair for pair in pairs if not pair["Name"].endswith("_verified")]
            self.public("SignUp", username, Password=password, UserAttributes=unverified)
        else:
            self.admin("AdminCreateUser", username, UserAttributes=pairs, MessageAction="SUPPRESS")
            if status != "FORCE_CHANGE_PASSWORD":
                self.admin("AdminSetUserPassword", username, Password=password, Permanent=True)
            if status == "RESET_REQUIRED":
                self.admin("AdminResetUserPassword", username)
        return username

    def admin(self, operation: str, username: str, **body: Any) -> dict[str, Any]:
        return self.ok(operation, UserPoolId=self.pool_id, Username=username, **body)

    def admin_error(self, operation: str, username: str, **body: Any) -> tuple[str, str]:
        return self.error(operation, UserPoolId=self.pool_id, Username=username, **body)

    def _public(self, username: str, body: dict[str, Any]) -> dict[str, Any]:
        body = {"ClientId": self.client_id, "Username": username, **body}
        if self.secret is not None:
            body.setdefault("SecretHash", self.hash_of(username))
        return body

    def public(self, operation: str, username: str, **body: Any) -> dict[str, Any]:
        return self.ok(operation, **self._public(username, body))

    def public_error(self, operation: str, username: str, **body: Any) -> tuple[str, str]:
        return self.error(operation, **self._public(username, body))

    def hash_of(self, username: str, secret: str | None = None) -> str:
        key = (secret or self.secret or "").encode()
        digest = hmac.digest(key, f"{username}{self.client_id}".encode(), hashlib.sha256)
        return base64.b64encode(digest).decode()

    def send_code(self, username: str = "alice", **body: Any) -> str:
        self.public("ForgotPassword", username, **body)
        return self.emulator.outbox[-1].code

    def confirm(self, code: str, username: str = "alice", **body: Any) -> dict[str, Any]:
        return self.public("ConfirmForgotPassword", username, **_confirmation(code, body))

    def confirm_error(self, code: str, username: str = "alice", **body: Any) -> tuple[str, str]:
        return self.public_error("ConfirmForgotPassword", username, **_confirmation(code, body))

    def _sign_in(self, username: str, password: str) -> dict[str, Any]:
        parameters = {"USERNAME": username, "PASSWORD": password}
        if self.secret is not None:
            parameters["SECRET_HASH"] = self.hash_of(username)
        return {
            "ClientId": self.client_id,
            "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": parameters,
        }

    def sign_in(self, username: str = "alice", password: str = PASSWORD) -> dict[str, Any]:
        return self.ok("InitiateAuth", **self._sign_in(username, password))

    def tokens(self, username: str = "alice", password: str = PASSWORD) -> dict[str, Any]:
        result: dict[str, Any] = self.sign_in(username, password)["AuthenticationResult"]
        return result

    def sign_in_error(self, username: str = "alice", password: str = PASSWORD) -> tuple[str, str]:
        return self.error("InitiateAuth", **self._sign_in(username, password))

    def user(self, username: str = "alice") -> dict[str, Any]:
        """Return the user as staff see it, with attributes by name."""
        view = self.admin("AdminGetUser", username)
        view["Attributes"] = {item["Name"]: item["Value"] for item in view["UserAttributes"]}
        return view


def _confirmation(code: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"ConfirmationCode": code, "Password": NEW_PASSWORD, **body}
