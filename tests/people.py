"""Users in every state that a person can be in, made through the same operations as on AWS."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from django.conf import settings

from cognito_reset.testing import Emulator

PASSWORD = "Correct-horse-1"
NEW_PASSWORD = "Battery-staple-2"

#: Who can't get a code, and who can, as the request step may never tell.
REFUSED = ("nobody", "carol", "dave", "erin", "frank", "grace", "ivan", "limited")
SENT = ("alice", "bob", "heidi", "alice@example.com")
EVERYBODY = (*SENT, *REFUSED)


class People:
    """The users of the emulator's pool, with what a test wants to do to them."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.pool = settings.COGNITO_RESET["POOLS"]["default"]
        for name in ("alice", "erin", "heidi", "limited"):
            self.add(name, email=f"{name}@example.com", email_verified="true")
        self.add("bob", phone_number="+15555550123", phone_number_verified="true")
        self.add("carol", permanent=False, email="carol@example.com", email_verified="true")
        self.add("grace", email="grace@example.com", email_verified="false")
        # A user whose only channel is the second factor, which can't be used for recovery.
        self.add("ivan", phone_number="+15555550199", phone_number_verified="true")
        sms = {"Enabled": True, "PreferredMfa": True}
        self.call("AdminSetUserMFAPreference", Username="ivan", SMSMfaSettings=sms)
        self.call("AdminDisableUser", Username="erin")
        self.call("AdminResetUserPassword", Username="heidi")
        emulator.add_federated_user(self.pool["USER_POOL_ID"], "frank", email="frank@example.com")
        self.sign_up("dave")
        for _ in range(emulator.options.hourly_allowance):
            self.forgot("limited")
        emulator.calls.clear()

    def add(self, name: str, *, permanent: bool = True, **attributes: str) -> None:
        pairs = [{"Name": key, "Value": value} for key, value in attributes.items()]
        self.call("AdminCreateUser", Username=name, UserAttributes=pairs, MessageAction="SUPPRESS")
        if permanent:
            self.call("AdminSetUserPassword", Username=name, Password=PASSWORD, Permanent=True)

    def call(self, operation: str, **body: Any) -> dict[str, Any]:
        body = {"UserPoolId": self.pool["USER_POOL_ID"], **body}
        status, answer = self.emulator.handle(operation, body)
        assert status == 200, answer
        return answer

    def secret_hash(self, name: str) -> str | None:
        """Return the SecretHash of a username by Amazon's definition, or None without a secret."""
        if not self.pool.get("CLIENT_SECRET"):
            return None
        message = f"{name}{self.pool['CLIENT_ID']}".encode()
        digest = hmac.digest(self.pool["CLIENT_SECRET"].encode(), message, hashlib.sha256)
        return base64.b64encode(digest).decode()

    def client_call(self, operation: str, name: str, **body: Any) -> tuple[int, dict[str, Any]]:
        parameters = {"ClientId": self.pool["CLIENT_ID"], "Username": name, **body}
        parameters["SecretHash"] = self.secret_hash(name)
        return self.emulator.handle(operation, parameters)

    def sign_up(self, name: str) -> None:
        status, answer = self.client_call("SignUp", name, Password=PASSWORD)
        assert status == 200, answer

    def forgot(self, name: str) -> None:
        status, answer = self.client_call("ForgotPassword", name)
        assert status == 200, answer

    def code(self, name: str) -> str:
        """Ask for a code as another device would, and read it in the inbox."""
        self.forgot(name)
        return self.emulator.outbox[-1].code

    def prevent_existence_errors(self, mode: str) -> None:
        client = self.pool["CLIENT_ID"]
        self.call("UpdateUserPoolClient", ClientId=client, PreventUserExistenceErrors=mode)
        self.emulator.calls.clear()

    def can_sign_in(self, name: str, password: str) -> bool:
        parameters = {
            "USERNAME": name,
            "PASSWORD": password,
            "SECRET_HASH": self.secret_hash(name),
        }
        status, _answer = self.emulator.handle(
            "InitiateAuth",
            {
                "ClientId": self.pool["CLIENT_ID"],
                "AuthFlow": "USER_PASSWORD_AUTH",
                "AuthParameters": parameters,
            },
        )
        return status == 200
