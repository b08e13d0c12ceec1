"""
The servers that the cases are run against.

All servers are set up in the same way: AWS operations make the pools, the clients and the users. Each
server has its own methods for what no operation can do (a federated user, the clock, a failing trigger …)
and for what no operation returns (the codes that were sent). These methods are called seams.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from cognito_reset.testing import Emulator, serve

ROOT: Final = Path(__file__).parents[2]
#: ``make contract`` installs it there.
COGNITO_LOCAL: Final = ROOT / ".cache/node_modules/cognito-local/lib/bin/start.js"
NO_ADDRESS: Final = "http://127.0.0.1:9"

#: The names of the seams. They are in lower case, and the names of operations aren't.
SEAMS: Final = frozenset(["advance", "compromise", "fail", "federate", "post", "trigger"])


@dataclass(frozen=True)
class Answer:
    """An HTTP response, with the headers' names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Refused(Exception):
    """An operation's error, as ``Code: message``. A status other than 400 comes before it."""

    def __init__(self, code: str, message: str, status: int) -> None:
        self.status = status
        super().__init__(f"{code}: {message}" if status == 400 else f"{status} {code}: {message}")


class Server:
    """A server, with a client of boto3 for it."""

    name: str
    #: The operations and seams that it doesn't have: cases that need one of them are left out.
    lacks: frozenset[str] = SEAMS
    url: str = NO_ADDRESS

    def __init__(self, client: Any) -> None:
        self.client = client
        #: The pools that cases made, by their names in the table.
        self.pools: dict[str, str] = {}

    def call(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        try:
            result: dict[str, Any] = getattr(self.client, xform_name(operation))(**members)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            details = error.response["Error"]
            raise Refused(details["Code"], details["Message"], status) from None
        return result

    @property
    def codes(self) -> Sequence[str]:
        """Return the codes and temporary passwords that were sent so far, in this order."""
        raise NotImplementedError

    def seam(self, name: str, **arguments: Any) -> None:
        """Do something for which there is no AWS operation."""
        raise NotImplementedError

    def request(
        self, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> Answer:
        """Send a request by plain HTTP, without an SDK."""
        request = urllib.request.Request(self.url, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error)


class EmulatorCore(Server):
    """The emulator without a transport: calls go to ``Emulator.handle()``."""

    name = "core"
    lacks = frozenset(["post"])

    def __init__(self) -> None:
        super().__init__(client=None)
        self.emulator = Emulator()

    def call(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        status, body = self.emulator.handle(operation, dict(members))
        if "__type" in body:
            raise Refused(body["__type"], body["message"], status)
        return body

    @property
    def codes(self) -> Sequence[str]:
        return [message.code for message in self.emulator.outbox]

    def seam(self, name: str, **arguments: Any) -> None:
        match name:
            case "advance":
                self.emulator.advance(**arguments)
            case "federate":
                self.emulator.add_federated_user(**arguments)
            case "fail" | "compromise":
                self.emulator.fail_next(**arguments)
            case "trigger":
                self.emulator.set_hook(arguments["pool_id"], "PostConfirmation", _failing)


class MountedEmulator(EmulatorCore):
    """The emulator inside boto3's client."""

    name = "mount"

    def __init__(self, client: Any) -> None:
        super().__init__()
        self.client = client

    call = Server.call


class EmulatorOverHTTP(Server):
    """The emulator as ``python -m cognito_reset.testing`` serves it."""

    name = "http"
    lacks = frozenset(["trigger"])

    def __init__(self, url: str) -> None:
        super().__init__(make_client(url))
        self.url = url

    @property
    def codes(self) -> Sequence[str]:
        with urllib.request.urlopen(f"{self.url}/outbox", timeout=10) as response:
            return [message["code"] for message in reversed(json.load(response))]

    def seam(self, name: str, **arguments: Any) -> None:
        path = {"federate": "federated-user", "compromise": "fail"}.get(name, name)
        request = urllib.request.Request(
            f"{self.url}/emulator/{path}", json.dumps(arguments).encode()
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


class Moto(Server):
    """moto's server. It returns the reset code in a header of ForgotPassword's answer."""

    name = "moto"
    lacks = SEAMS - {"post"} | {"AddUserPoolClientSecret", "DeleteUserPoolClientSecret"}

    def __init__(self, url: str) -> None:
        super().__init__(make_client(url))
        self.url = url
        self.sent: list[str] = []
        self.client.meta.events.register(
            "after-call.cognito-identity-provider.ForgotPassword", self._note
        )

    @property
    def codes(self) -> Sequence[str]:
        return self.sent

    def _note(self, http_response: Any, **kwargs: Any) -> None:
        code = http_response.headers.get("x-moto-forgot-password-confirmation-code", "")
        if code.startswith("moto-"):  # else it is "None"
            self.sent.append(code)


class CognitoLocal(Server):
    """cognito-local, from npm. It prints a reset code, and stores it in the files of its database."""

    name = "cognito_local"
    lacks = SEAMS - {"post"} | {
        "AddUserPoolClientSecret",
        "AdminResetUserPassword",
        "AdminSetUserMFAPreference",
        "AdminUserGlobalSignOut",
        "DeleteUserPoolClientSecret",
    }

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(make_client(url))
        self.url = url
        self.folder = folder
        self.sent: list[str] = []
        self.client.meta.events.register(
            "after-call.cognito-identity-provider.ForgotPassword", self._note
        )

    @property
    def codes(self) -> Sequence[str]:
        return self.sent

    def _note(self, http_response: Any, **kwargs: Any) -> None:
        if http_response.status_code != 200:
            return
        newest = max(
            self.folder.glob(".cognito/db/local_*.json"), key=lambda p: p.stat().st_mtime_ns
        )
        users = json.loads(newest.read_text())["Users"].values()
        changed = max(users, key=lambda user: str(user["UserLastModifiedDate"]))
        self.sent.append(changed["ConfirmationCode"])


class Settings(dict[str, str]):
    """The variables COGNITO_LIVE_…. Tracebacks show only their names."""

    def __repr__(self) -> str:
        return f"Settings({', '.join(self)})"


class LivePool(Server):
    """A real pool. The tests don't make or delete it, and don't change its users."""

    name = "live"
    #: Its users are there already, the federated one too.
    lacks = frozenset()

    def __init__(self, settings: Settings) -> None:
        super().__init__(make_client(settings.get("ENDPOINT_URL"), settings))
        self.settings = settings
        self.mode = settings.get("PREVENT_USER_EXISTENCE_ERRORS", "LEGACY")
        self.signs = "ACCESS_KEY_ID" in settings

    @property
    def codes(self) -> Sequence[str]:
        return ()


def make_client(url: str | None, settings: Mapping[str, str] | None = None) -> Any:
    """Return a client that sends its parameters unchecked, so that the server refuses wrong ones."""
    settings = settings or {}
    return boto3.client(
        "cognito-idp",
        region_name=settings.get("REGION", "us-east-1"),
        endpoint_url=url,
        aws_access_key_id=settings.get("ACCESS_KEY_ID", "testing"),
        aws_secret_access_key=settings.get("SECRET_ACCESS_KEY", "testing"),
        aws_session_token=settings.get("SESSION_TOKEN"),
        config=Config(
            parameter_validation=False, retries={"total_max_attempts": 1, "mode": "standard"}
        ),
    )


@contextlib.contextmanager
def emulator_over_http() -> Iterator[Server]:
    with serve(Emulator(), allowed_origins=["https://example.com"]) as server:
        yield EmulatorOverHTTP(server.url)


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    with _started([sys.executable, "-m", "moto.server", "-p", "0"], ROOT) as url:
        yield Moto(url)


@contextlib.contextmanager
def cognito_local(folder: Path) -> Iterator[Server]:
    node = shutil.which("node")
    assert node is not None
    (folder / ".cognito/db").mkdir(parents=True)
    # By default all its pools are pools of email addresses.
    (folder / ".cognito/config.json").write_text('{"UserPoolDefaults": {"UsernameAttributes": []}}')
    with _started([node, str(COGNITO_LOCAL)], folder, HOST="127.0.0.1", PORT="0") as url:
        yield CognitoLocal(url, folder)


@contextlib.contextmanager
def _started(command: list[str], folder: Path, **environment: str) -> Iterator[str]:
    """Start a server and yield the URL that it prints. The server ends with the context."""
    said: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    break
            else:
                raise RuntimeError(f"{command} ended: {''.join(said)}")
            # Read all output, because a server waits when the pipe is full.
            reader = threading.Thread(target=deque, args=(process.stdout, 0))
            reader.start()
            try:
                yield found[0]
            finally:
                process.terminate()
                reader.join()
        finally:
            process.terminate()


def _answer(response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, response.read())


def _failing(event: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("the trigger's own words")
