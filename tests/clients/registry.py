"""All clients behind one method, with what each of them does by itself if a connection breaks."""

from __future__ import annotations

import enum
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients import bare_host, replays

ROOT: Final = Path(__file__).parents[2]
HERE: Final = ROOT / "tests/clients"
#: ``make clients`` installs them there.
INSTALLED: Final = ROOT / ".cache/clients"
#: The endpoint's path as people write it. paws and amazonka add a slash to each, so that "/cognito//" and
#: "/cognito///" come as well.
FORMS: Final = ("/cognito", "/cognito/", "/cognito//")
TIMEOUT_SECONDS: Final = 90
CLIENT_ID: Final = "demo"
DEBIAN: Final = " where Debian's package of it is"


class Resends(enum.Enum):
    NOT = "not at all"
    PLAINLY = "as if it were new"
    WITH_ID = "with an id that all attempts of a call share"


@dataclass(frozen=True)
class Client:
    name: str
    resends: Resends
    command: tuple[str | Path, ...] = ()
    needs: tuple[Path, ...] = ()
    #: What ``make clients`` needs to install it, which not every machine has.
    where: str = ""
    #: It treats an answer that ends early as a broken connection. Other clients take the part for the
    #: whole answer, or give up.
    notices_half: bool = True
    #: It doesn't read the body of an answer that the service model describes as empty.
    discards_empty: bool = False
    #: It doesn't send a request again after a connection was reset, because the request may have been
    #: carried out.
    fears_reset: bool = False
    #: A pattern for its report that no whole answer came, as "name: message". Empty if it never gives up.
    broken: str = ""
    #: It raises a class of its own for each error in the service model.
    has_classes: bool = False
    #: It needs no other setting than AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER.
    knows_variable: bool = False
    #: It ignores the endpoint's path, so it gets the endpoint on a host of its own.
    drops_path: bool = False

    def skip_if_absent(self) -> None:
        """Skip the test if something is missing that ``make clients`` installs."""
        for path in self.needs:
            if not path.exists():
                pytest.skip(f"make clients installs {path.name}{self.where}, and it isn't here")
        if self.needs and shutil.which(str(self.command[0])) is None:
            pytest.skip(f"there is no {self.command[0]} here")

    def call(
        self,
        endpoint: str | None,
        operation: str,
        username: str,
        *,
        code: str = "",
        password: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """
        Make one call. Return ``{"ok": True, "answer": …}`` or ``{"error": name, "message": …}``, with the
        exception's class as "type" if the client has classes.
        """
        if endpoint and self.drops_path:
            endpoint = bare_host.url_of(endpoint)
        asked = {
            "endpoint": endpoint,
            "client_id": CLIENT_ID,
            "operation": operation,
            "username": username,
            "code": code,
            "password": password,
            "members": _members(operation, username, code, password),
        }
        if not self.command:
            return replays.play(replays.CLIENTS[self.name], asked)
        done = subprocess.run(
            self.command,
            input=json.dumps(asked),
            env=_environment(environment or {}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def _members(operation: str, username: str, code: str, password: str) -> dict[str, Any]:
    """Return the members of the operation's input, by AWS's own names."""
    parameters = {"USERNAME": username, "PASSWORD": password}
    by_operation: dict[str, dict[str, Any]] = {
        "ForgotPassword": {"Username": username},
        "ConfirmForgotPassword": {
            "Username": username,
            "ConfirmationCode": code,
            "Password": password,
        },
        "InitiateAuth": {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters},
    }
    return {"ClientId": CLIENT_ID, **by_operation[operation]}


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """
    Return the client's environment variables. They contain nothing of this machine's own AWS
    configuration, and no credentials, because no client needs any. PYTHONWARNINGS is left out, because the
    oldest boto3 imports modules that Python 3.12 deprecates.
    """
    return {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(INSTALLED / "node_modules"),
        "NODE_NO_WARNINGS": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }


def _python(name: str, command: tuple[str | Path, ...], *needs: Path, **more: Any) -> Client:
    return Client(name, Resends.WITH_ID, command, needs, **more)


def _node(name: str, resends: Resends, script: str, package: str, **more: Any) -> Client:
    needs = (INSTALLED / "node_modules" / package,)
    return Client(name, resends, ("node", HERE / "js" / script), needs, **more)


def _aws_cli(name: str, resends: Resends, aws: Path, **more: Any) -> Client:
    return Client(name, resends, (sys.executable, HERE / "aws_cli.py", aws), (aws,), **more)


def _go(name: str, resends: Resends, **more: Any) -> Client:
    built = INSTALLED / name
    return Client(name, resends, (built,), (built,), where=DEBIAN, has_classes=True, **more)


def _replay(name: str, resends: Resends, **more: Any) -> Client:
    broken = "ConnectionResetError: .*|Broken: not a status line: b''|Half: .*"
    return Client(name, resends, broken=broken, **more)


_BOTO3_OLDEST: Final = INSTALLED / "boto3-oldest"
_BOTO3: Final = HERE / "boto3_client.py"

CLIENTS: Final = (
    _python(
        "boto3-newest",
        (sys.executable, _BOTO3),
        notices_half=False,
        has_classes=True,
        knows_variable=True,
    ),
    _python(
        "boto3-oldest",
        (_BOTO3_OLDEST / "bin/python", _BOTO3),
        _BOTO3_OLDEST,
        where=" where there is a Python below 3.13 (python3.12, python3.11, python3.10)",
        notices_half=False,
        has_classes=True,
    ),
    _aws_cli("aws-cli", Resends.WITH_ID, INSTALLED / "awscli/bin/aws", knows_variable=True),
    _aws_cli(
        "aws-cli-2",
        Resends.PLAINLY,
        INSTALLED / "aws-cli-2",
        where=DEBIAN,
        notices_half=False,
    ),
    _go(
        "go-v1",
        Resends.PLAINLY,
        discards_empty=True,
        fears_reset=True,
        broken="RequestError: send request failed",
    ),
    _go("go-v2", Resends.WITH_ID, notices_half=False, broken="error: .*unexpected EOF"),
    _node(
        "js-v3",
        Resends.WITH_ID,
        "sdk_v3.js",
        "@aws-sdk/client-cognito-identity-provider",
        has_classes=True,
        knows_variable=True,
    ),
    _node(
        "js-v2",
        Resends.PLAINLY,
        "sdk_v2.js",
        "aws-sdk",
        notices_half=False,
        broken="Unsettled: .*",
    ),
    _node(
        "identity-js",
        Resends.NOT,
        "identity_js.js",
        "amazon-cognito-identity-js",
        notices_half=False,
        broken="Error: Network error",
    ),
    _node(
        "amplify",
        Resends.WITH_ID,
        "amplify.js",
        "aws-amplify",
        notices_half=False,
        broken="TypeError: terminated",
    ),
    _replay("deno", Resends.NOT, discards_empty=True),
    _replay("paws", Resends.NOT),
    _replay("amazonka", Resends.PLAINLY, notices_half=False, discards_empty=True, drops_path=True),
    _replay("amazonka-signed", Resends.PLAINLY, notices_half=False, discards_empty=True),
    _replay("ruby", Resends.WITH_ID),
    _replay("go-v1-replayed", Resends.PLAINLY, fears_reset=True),
    _replay("go-v2-replayed", Resends.WITH_ID, notices_half=False),
)
