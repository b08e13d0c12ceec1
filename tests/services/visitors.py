"""Visitors of a site on a real server, and the emulator in Cognito's place."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from cognito_reset.testing import Server

OLD, NEW = "Correct-horse-1", "Battery-staple-2"
FORM = "application/x-www-form-urlencoded"
AWS_JSON = "application/x-amz-json-1.1"


class Cognito:
    """The emulator as a server, with a pool, a client with a secret, and its users."""

    def __init__(self, server: Server) -> None:
        self.emulator = server.emulator
        pool = self.call("CreateUserPool", PoolName="site")["UserPool"]
        self.pool_id = pool["Id"]
        flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
        options = {"ClientName": "site", "GenerateSecret": True, "ExplicitAuthFlows": flows}
        client = self.call("CreateUserPoolClient", UserPoolId=self.pool_id, **options)
        self.client = client["UserPoolClient"]
        self.settings = {
            "REGION": "eu-west-1",
            "USER_POOL_ID": self.pool_id,
            "CLIENT_ID": self.client["ClientId"],
            "CLIENT_SECRET": self.client["ClientSecret"],
            "ENDPOINT_URL": server.url,
        }

    def call(self, operation: str, **body: Any) -> dict[str, Any]:
        status, answer = self.emulator.handle(operation, body)
        assert status == 200, answer
        return answer

    def add(self, name: str) -> None:
        attributes = {"email": f"{name}@example.com", "email_verified": "true"}
        pairs = [{"Name": key, "Value": value} for key, value in attributes.items()]
        person = {"UserPoolId": self.pool_id, "Username": name}
        self.call("AdminCreateUser", **person, UserAttributes=pairs, MessageAction="SUPPRESS")
        self.call("AdminSetUserPassword", **person, Password=OLD, Permanent=True)

    def code(self, name: str) -> str:
        """Return the code that was sent. On a slow machine it is sent after the neutral answer."""
        deadline = time.monotonic() + 30
        while not (sent := [m for m in self.emulator.outbox if m.username == name]):
            assert time.monotonic() < deadline, f"No code was sent to {name}."
            time.sleep(0.05)
        return sent[-1].code

    def calls_of(self, name: str, operation: str) -> int:
        """Return how many calls of an operation have come for a person."""
        calls = list(self.emulator.calls)
        return sum(called == operation and body["Username"] == name for called, body in calls)

    def can_sign_in(self, name: str, password: str) -> bool:
        client_id, secret = self.client["ClientId"], self.client["ClientSecret"]
        digest = hmac.digest(secret.encode(), (name + client_id).encode(), hashlib.sha256)
        parameters = {
            "USERNAME": name,
            "PASSWORD": password,
            "SECRET_HASH": base64.b64encode(digest).decode(),
        }
        body = {
            "ClientId": client_id,
            "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": parameters,
        }
        status, _answer = self.emulator.handle("InitiateAuth", body)
        return status == 200


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str
    cookies: list[str] = field(default_factory=list)  # the values of Set-Cookie


# Send a request with this method, path, headers and body.
Send = Callable[[str, str, dict[str, str], bytes], Answer]


class Visitor:
    """A person's browser or program, on any way to the site."""

    def __init__(self, send: Send, origin: str) -> None:
        self.send, self.origin = send, origin
        self.cookies: SimpleCookie = SimpleCookie()

    def get(self, path: str) -> Answer:
        return self._keep(self.send("GET", path, self._headers(), b""))

    def post(self, path: str, kind: str, body: str, **more: str) -> Answer:
        headers = {**self._headers(), "Content-Type": kind, "Origin": self.origin, **more}
        return self._keep(self.send("POST", path, headers, body.encode()))

    def post_json(self, path: str, data: dict[str, str], **more: str) -> Answer:
        return self.post(path, "application/json", json.dumps(data), **more)

    def post_form(self, path: str, data: dict[str, str]) -> Answer:
        """Fill in the form of a page and submit it, with the page's token."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path).body)
        assert token
        return self.post(path, FORM, urlencode({"csrfmiddlewaretoken": token[1], **data}))

    def call(self, operation: str, members: dict[str, str], **more: str) -> Answer:
        more["X-Amz-Target"] = f"AWSCognitoIdentityProviderService.{operation}"
        return self.post("/cognito", AWS_JSON, json.dumps(members), **more)

    def _headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{morsel.key}={morsel.value}" for morsel in self.cookies.values())
        return {"Cookie": cookies} if cookies else {}

    def _keep(self, answer: Answer) -> Answer:
        for cookie in answer.cookies:
            self.cookies.load(cookie)
        return answer


def over_pages(visitor: Visitor, cognito: Cognito, name: str) -> None:
    answer = visitor.post_form("/password-reset/", {"username": name})
    assert (answer.status, answer.headers["location"]) == (302, "/password-reset/confirm/")
    data = {"confirmation_code": cognito.code(name), "password": NEW}
    answer = visitor.post_form("/password-reset/confirm/", {"username": name, **data})
    assert (answer.status, answer.headers["location"]) == (302, "/password-reset/done/")
    assert visitor.get("/password-reset/done/").status == 200


def over_rest(visitor: Visitor, cognito: Cognito, name: str) -> None:
    answer = visitor.post_json("/api/password-reset/", {"username": name})
    assert (answer.status, list(json.loads(answer.body))) == (202, ["resend_after"])
    data = {"confirmation_code": cognito.code(name), "password": NEW}
    answer = visitor.post_json("/api/password-reset/confirm/", {"username": name, **data})
    assert (answer.status, answer.body) == (200, "{}")


def over_aws(visitor: Visitor, cognito: Cognito, name: str) -> None:
    members = {"ClientId": cognito.client["ClientId"], "Username": name}
    answer = visitor.call("ForgotPassword", members)
    assert (answer.status, "CodeDeliveryDetails" in answer.body) == (200, True)
    data = {"ConfirmationCode": cognito.code(name), "Password": NEW}
    answer = visitor.call("ConfirmForgotPassword", {**members, **data})
    assert (answer.status, answer.body) == (200, "{}")


INTERFACES = (over_pages, over_rest, over_aws)


def reset_on_all_interfaces(send: Send, origin: str, cognito: Cognito) -> None:
    for reset in INTERFACES:
        name = reset.__name__
        cognito.add(name)
        reset(Visitor(send, origin), cognito, name)
        assert cognito.can_sign_in(name, NEW)
        assert not cognito.can_sign_in(name, OLD)


def over_http(port: int, source: str = "127.0.0.1") -> Send:
    """Return what sends requests to a port of this machine, from one of its addresses."""

    def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            seen = {name.lower(): value for name, value in response.getheaders()}
            cookies = response.msg.get_all("Set-Cookie") or []
            return Answer(response.status, seen, response.read().decode(), cookies)
        finally:
            connection.close()

    return send
