"""The demo on an emulator that a test can look into, with as many users as are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from cognito_reset.testing import Server, serve
from tests.clients import bare_host
from tests.demo import PASSWORD, Visitor


class Site:
    def __init__(self, url: str, server: Server, pool_id: str) -> None:
        self.url = url
        self.bare_url = bare_host.url_of(url)
        self.server = server
        self.emulator = server.emulator
        self.visitor = Visitor(url)
        self._pool_id = pool_id
        self._numbers = count(1)

    def new_name(self) -> str:
        return f"person{next(self._numbers)}"

    def new_user(self) -> str:
        """Make a user with a verified address, and return the name."""
        name = self.new_name()
        email = [
            {"Name": "email", "Value": f"{name}@example.com"},
            {"Name": "email_verified", "Value": "true"},
        ]
        user = {"UserPoolId": self._pool_id, "Username": name}
        self._do("AdminCreateUser", {**user, "UserAttributes": email, "MessageAction": "SUPPRESS"})
        self._do("AdminSetUserPassword", {**user, "Password": PASSWORD, "Permanent": True})
        return name

    def new_user_with_code(self) -> tuple[str, str]:
        username = self.new_user()
        page = self.visitor.post_json("/api/password-reset/", username=username)
        assert page.status == 202, page.text
        (code,) = self.codes(username)
        return username, code

    def codes(self, username: str) -> list[str]:
        """Return the codes that were sent to the user, newest first."""
        return [
            message["code"] for message in self.visitor.inbox() if message["username"] == username
        ]

    @contextmanager
    def without_cognito(self) -> Iterator[None]:
        """Let nobody listen at the pool's endpoint meanwhile."""
        self.server.close()
        try:
            yield
        finally:
            self.server = serve(self.emulator, port=self.server.port)

    def _do(self, operation: str, body: dict[str, Any]) -> None:
        status, answer = self.emulator.handle(operation, body)
        assert status == 200, answer
