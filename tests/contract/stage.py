"""Run one case on one server: make a pool, a client and a user for it, and do its steps one by one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import uuid
from typing import Any, Final

import pytest

from tests.contract.cases import CLIENTS, NO_SECRET, POOLS, USERS, Case, Step
from tests.contract.servers import SEAMS, LivePool, Refused, Server

HASHED: Final = ("ConfirmForgotPassword", "ForgotPassword", "SignUp")
SENDERS: Final = ("AdminCreateUser", "AdminResetUserPassword", "ForgotPassword")


def play(server: Server, case: Case) -> str:
    """Return the outcome of the case's last step, or of the first step that failed."""
    return Stage(server, case).play()


def fits(outcome: str, expected: str) -> bool:
    """Return whether an outcome is the expected one. In the expected one, "…" matches any text."""
    return bool(re.fullmatch(re.escape(expected).replace("…", ".*"), outcome, re.DOTALL))


class NoCode(Exception):
    """A step needs a code, and none was sent."""


class Stage:
    def __init__(self, server: Server, case: Case) -> None:
        self.server = server
        self.case = case
        self.secrets: list[str] = []
        self.values: dict[str, str] = {}
        self.sent_before = 0

    def play(self) -> str:
        self.set_up()
        steps = [step for step in self.steps for _ in range(step.times)]
        try:
            for step in steps[:-1]:
                try:
                    self.do(step)
                except Refused as error:
                    if not step.lenient:
                        return f"{step.operation}: {self.neutral(str(error))}"
            return self.last(steps[-1])
        except NoCode:
            return "no code came"

    def last(self, step: Step) -> str:
        """Do the last step. Return its outcome, and whether a message was sent."""
        sends = step.operation in SENDERS
        before = len(self.server.codes) if sends else 0
        try:
            outcome = self.do(step)
        except Refused as error:
            return self.neutral(str(error))
        sent = sends and len(self.server.codes) > before
        if step.operation == "ForgotPassword":
            return outcome if sent else f"{outcome} (simulated)"
        return f"{outcome}; sent" if sent else outcome

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.case.everything

    def prepare(self) -> None:
        """Make the pool, the client and the user."""
        self.set_up()
        for step in USERS[self.case.user]:
            self.do(step)

    def set_up(self) -> None:
        self.values["pool"] = self.empty_pool()
        members = {
            "UserPoolId": self.values["pool"],
            "ClientName": "contract",
            "PreventUserExistenceErrors": self.case.mode,
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            **CLIENTS[self.case.client],
        }
        client = self.server.call("CreateUserPoolClient", members)["UserPoolClient"]
        self.values["client"] = client["ClientId"]
        if "ClientSecret" in client:
            self.secrets.append(client["ClientSecret"])
        self.sent_before = len(self.server.codes)

    def empty_pool(self) -> str:
        """Make a pool, or use the pool of an earlier case, because moto needs long to make one."""
        pool_id = self.server.pools.get(self.case.pool)
        if pool_id is None:
            settings = {"PoolName": "contract", **POOLS[self.case.pool]}
            pool_id = self.server.call("CreateUserPool", settings)["UserPool"]["Id"]
            self.server.pools[self.case.pool] = pool_id
        for user in self.users_of(pool_id):
            members = {"UserPoolId": pool_id, "Username": user["Username"]}
            self.server.call("AdminDeleteUser", members)
        if "trigger" in self.case.needs:
            del self.server.pools[self.case.pool]
        return str(pool_id)

    def users_of(self, pool_id: str, **members: Any) -> list[dict[str, Any]]:
        members = {"UserPoolId": pool_id, **members}
        page = self.server.call("ListUsers", members)
        users = list(page["Users"])
        while token := page.get("PaginationToken"):
            page = self.server.call("ListUsers", {**members, "PaginationToken": token})
            users += page["Users"]
        return users

    def do(self, step: Step) -> str:
        members = self.resolved(step.members)
        if step.operation == "post":
            return self.post(**members)
        if step.operation in SEAMS:
            if step.operation in ("federate", "trigger"):
                members["pool_id"] = self.values["pool"]
            self.server.seam(step.operation, **members)
            return "done"
        if step.secret != NO_SECRET and self.secrets:
            self.add_hash(step, members)
        if step.operation == "ListUsers" and "Limit" not in members:
            result = {"Users": self.users_of(members.pop("UserPoolId"), **members)}
        else:
            result = self.server.call(step.operation, members)
        self.learn(step.operation, result)
        return self.neutral(told(step.operation, result))

    def add_hash(self, step: Step, members: dict[str, Any]) -> None:
        if step.operation in HASHED:
            name = members["Username"]
        elif step.operation == "InitiateAuth":
            name = members["AuthParameters"].get("USERNAME", "")
        else:
            return
        name = self.resolved(step.hashed) or name
        key, text = self.secrets[step.secret], f"{name}{self.values['client']}"
        digest = hmac.digest(key.encode(), text.encode(), hashlib.sha256)
        given = base64.b64encode(digest).decode()
        if step.operation == "InitiateAuth":
            members["AuthParameters"]["SECRET_HASH"] = given
        else:
            members.setdefault("SecretHash", given)

    def post(self, target: str, body: str) -> str:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        answer = self.server.request(body.encode(), headers)
        operation = target.partition(".")[2]
        try:
            found = json.loads(answer.body)
        except ValueError:
            return f"{answer.status}, not JSON"
        if answer.status == 200 and "__type" not in found:
            return self.neutral(told(operation, found))
        error = Refused(found.get("__type", "no __type"), found.get("message", ""), answer.status)
        return self.neutral(str(error))

    def learn(self, operation: str, result: dict[str, Any]) -> None:
        """Keep the values of an answer that later steps can refer to."""
        if operation == "SignUp":
            self.values["sub"] = result["UserSub"]
        elif operation == "AdminCreateUser":
            attributes = {item["Name"]: item["Value"] for item in result["User"]["Attributes"]}
            self.values["sub"] = attributes["sub"]
        elif operation == "InitiateAuth" and "AuthenticationResult" in result:
            tokens = result["AuthenticationResult"]
            self.values["access"] = tokens["AccessToken"]
            self.values["refresh"] = tokens.get("RefreshToken", self.values.get("refresh", ""))
        elif operation == "AddUserPoolClientSecret":
            members = {"UserPoolId": self.values["pool"], "ClientId": self.values["client"]}
            listed = self.server.call("ListUserPoolClientSecrets", members)["ClientSecrets"]
            self.values["first secret"] = listed[0]["ClientSecretId"]
            self.secrets.append(result["ClientSecretDescriptor"]["ClientSecretValue"])

    def resolved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.resolved(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.resolved(item) for item in value]
        if not isinstance(value, str):
            return value
        for name in ("code", "older", "wrong"):
            if f"{{{name}}}" in value:
                value = value.replace(f"{{{name}}}", self.code(name))
        for name, known in self.values.items():
            value = value.replace(f"{{{name}}}", known)
        return value

    def code(self, which: str) -> str:
        sent = self.server.codes[self.sent_before :]
        if len(sent) < (2 if which == "older" else 1):
            raise NoCode
        if which != "wrong":
            return sent[-1 if which == "code" else -2]
        return next(code for code in ("000000", "000001", "000002") if code not in sent)

    def neutral(self, text: str) -> str:
        for name in ("client", "pool", "sub"):
            text = text.replace(self.values.get(name, name.upper()), name.upper())
        return text


def setting_of(user: str) -> str:
    """Return the part after COGNITO_LIVE_ of the variable that has such a user's name."""
    return re.sub(r"\W+", "_", user).upper()


class LiveStage(Stage):
    """Run a case whose pool, client and user exist already."""

    def __init__(self, server: LivePool, case: Case) -> None:
        super().__init__(server, case)
        self.settings = server.settings
        signed = any("UserPoolId" in step.members for step in case.steps)
        if signed and not server.signs:
            pytest.skip("no credentials are named: COGNITO_LIVE_ACCESS_KEY_ID …")
        self.user = f"nobody-{uuid.uuid4()}"
        if case.user != "missing":
            name = setting_of(case.user)
            if name not in self.settings:
                pytest.skip(f"no such user is named: COGNITO_LIVE_{name}")
            self.user = self.settings[name]

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.case.steps

    def set_up(self) -> None:
        self.values = {"pool": self.settings["USER_POOL_ID"], "client": self.settings["CLIENT_ID"]}
        if "CLIENT_SECRET" in self.settings:
            self.secrets.append(self.settings["CLIENT_SECRET"])

    def resolved(self, value: Any) -> Any:
        return self.user if value == "ann" else super().resolved(value)


def told(operation: str, result: dict[str, Any]) -> str:
    """Return a result as one line."""
    if operation == "ForgotPassword":
        details = result["CodeDeliveryDetails"]
        return f"code by {details['DeliveryMedium']} to {details['Destination']}"
    if operation == "InitiateAuth":
        name = result.get("ChallengeName")
        return f"challenge {name}" if name else "tokens"
    if operation == "GetUser":
        return f"user {result['Username']}"
    if operation == "AdminCreateUser":
        return _user(result["User"])
    if operation == "ListUsers":
        users = ", ".join(sorted(_user(user) for user in result["Users"])) or "nobody"
        return f"{users} and more" if result.get("PaginationToken") else users
    return "done"


def _user(user: dict[str, Any]) -> str:
    state = f"{user['Username']} {user['UserStatus']}"
    return state if user["Enabled"] else f"{state} disabled"
