"""
Clients in languages that the tests don't have: their requests, byte for byte, over a plain socket.

Seen, when each but amazonka ran against a listener in November 2026: path, content type, target,
Deno's nulls, that paws signs, who sends an invocation id, how often each resends after which error,
and where it reads an error's name. The SDKs for Go run in these tests, too, in older versions: what
they do after a reset and after half an answer is theirs.

From public sources: all of amazonka, which never ran (2.0's Amazonka.Env, Amazonka.HTTP and
Amazonka.Sign.V4.Base, and the retry policy of its Cognito).

Assumed: all other headers with user agents and versions, the order and case of headers, the order of
members, that none waits before it sends again, and that half an answer makes Ruby's resend.
Signatures and digests are made up: nobody checks them.
"""

from __future__ import annotations

import json
import re
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

TARGET: Final = "AWSCognitoIdentityProviderService"
CONTENT_TYPE: Final = "application/x-amz-json-1.1"
TIMEOUT_SECONDS: Final = 60
LIMITS: Final = frozenset(["LimitExceededException"])
#: As they stand in the model, which is the order of those who send null for what isn't given.
OPTIONAL: Final = ("SecretHash", "AnalyticsMetadata", "UserContextData", "ClientMetadata")


class Broken(Exception):
    """No answer came."""


class Half(Broken):
    """The answer ended early."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True)
class Call:
    operation: str
    members: dict[str, Any]
    host: str
    path: str
    invocation_id: str


def _plain(call: Call) -> bytes:
    return json.dumps(call.members, separators=(",", ":"), ensure_ascii=False).encode()


def _with_nulls(call: Call) -> bytes:
    if call.operation == "InitiateAuth":
        return _plain(call)
    members = {**call.members, **dict.fromkeys(OPTIONAL)}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def _as_it_is(path: str) -> str:
    return path


def _with_slash(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def _one_slash_more(path: str) -> str:
    return f"{path}/"


@dataclass(frozen=True)
class Client:
    """``head`` has every header but Content-Length, in the client's own order and case."""

    head: str
    attempts: int
    resends_half: bool = True
    resends_reset: bool = True
    retried: frozenset[str] = frozenset()  # errors, besides those of 500 and up
    body: Callable[[Call], bytes] = _plain
    path: Callable[[str], str] = _as_it_is
    # Deno's aws-api prefers the header, and takes it as it stands.
    name_in_header: bool = False

    def request(self, call: Call, attempt: int) -> bytes:
        body = self.body(call)
        head = self.head.strip().format(
            target=f"{TARGET}.{call.operation}",
            content_type=CONTENT_TYPE,
            host=call.host,
            path=self.path(call.path),
            length=len(body),
            id=call.invocation_id,
            attempt=attempt,
        )
        return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


def _amazonka(signed: str = "", signature: str = "") -> Client:
    """
    Haskell. It resends after a connection failure three times, as if the call were new, and not
    where an answer ended early; after a 500 it would five times.
    """
    head = f"""
POST {{path}} HTTP/1.1
Accept-Encoding: gzip
Content-Length: {{length}}
Host: {{host}}{signed.rstrip()}
X-Amz-Target: {{target}}
Content-Type: {{content_type}}{signature.rstrip()}
"""
    return Client(head, attempts=4, resends_half=False)


CLIENTS: Final[dict[str, Client]] = {
    # fetch() of Deno, which writes names in lower case.
    "deno": Client(
        """
POST {path} HTTP/1.1
x-amz-target: {target}
accept: {content_type}
content-type: {content_type}
accept-language: *
user-agent: Deno/2.5.4
accept-encoding: gzip,br
host: {host}
content-length: {length}
""",
        attempts=1,
        body=_with_nulls,
        name_in_header=True,
    ),
    # R. It signs every call, with whatever credentials it finds.
    "paws": Client(
        """
POST {path} HTTP/1.1
Host: {host}
Accept-Encoding: deflate, gzip
Accept: application/json, text/xml, application/xml, */*
User-Agent: paws/0.8.5 (R4.5.1; linux-gnu; x86_64)
X-Amz-Target: {target}
Content-Type: {content_type}
Content-Length: {length}
X-Amz-Date: 20261121T120000Z
Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/cognito-idp/aws4_request, SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7
""",
        attempts=1,
        path=_one_slash_more,
    ),
    "amazonka": _amazonka(),
    # With credentials in its Env it signs what need not be signed.
    "amazonka-signed": _amazonka(
        """
X-Amz-Date: 20261121T120000Z
X-Amz-Content-SHA256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
""",
        """
Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/cognito-idp/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7
""",
    ),
    # Net::HTTP of Ruby.
    "ruby": Client(
        """
POST {path} HTTP/1.1
Content-Type: {content_type}
Accept-Encoding:
User-Agent: aws-sdk-ruby3/3.234.0 ua/2.1 api/cognito_identity_provider#1.130.0 os/linux md/x86_64 lang/ruby#3.4.7 md/3.4.7 m/D
X-Amz-Target: {target}
Host: {host}
Amz-Sdk-Invocation-Id: {id}
Content-Length: {length}
Accept: */*
""",
        attempts=4,
        retried=LIMITS,
    ),
    "go-v1-replayed": Client(
        """
POST {path} HTTP/1.1
Host: {host}
User-Agent: aws-sdk-go/1.55.8 (go1.25.4; linux; amd64)
Content-Length: {length}
Content-Type: {content_type}
X-Amz-Target: {target}
Accept-Encoding: gzip
""",
        attempts=4,
        resends_reset=False,
        path=_with_slash,
    ),
    "go-v2-replayed": Client(
        """
POST {path} HTTP/1.1
Host: {host}
User-Agent: aws-sdk-go-v2/1.39.6 ua/2.1 os/linux lang/go#1.25.4 md/GOOS#linux md/GOARCH#amd64 api/cognitoidentityprovider#1.57.8 m/E
Content-Length: {length}
Amz-Sdk-Invocation-Id: {id}
Amz-Sdk-Request: attempt={attempt}; max=3
Content-Type: {content_type}
X-Amz-Target: {target}
Accept-Encoding: gzip
""",
        attempts=3,
        resends_half=False,
        retried=LIMITS,
        path=_with_slash,
    ),
}


def play(client: Client, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make one call as ``client`` does, and return what it would report."""
    parts = urlsplit(asked["endpoint"])
    call = Call(
        asked["operation"], asked["members"], parts.netloc, parts.path or "/", str(uuid.uuid4())
    )
    for attempt in range(1, client.attempts + 1):
        try:
            answer = _exchange(
                parts.hostname or "", parts.port or 80, client.request(call, attempt)
            )
        except (OSError, Broken) as error:
            said = {"error": type(error).__name__, "message": str(error)}
            if isinstance(error, Half) and not client.resends_half:
                break
            if isinstance(error, ConnectionResetError) and not client.resends_reset:
                break
            continue
        said = _said(client, answer)
        if answer.status < 500 and said.get("error") not in client.retried:
            break
    return said


def _said(client: Client, answer: Answer) -> dict[str, Any]:
    body = json.loads(answer.body)
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert "content-encoding" not in answer.headers
    if answer.status == 200:
        return {"ok": True, "answer": body}
    name = answer.headers["x-amzn-errortype"] if client.name_in_header else body["__type"]
    return {"error": name, "message": body["message"]}


def _exchange(host: str, port: int, request: bytes) -> Answer:
    with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as file:
            line = file.readline()
            status = re.fullmatch(rb"HTTP/1\.1 (\d{3}) .*\r\n", line)
            if status is None:
                raise Broken(f"not a status line: {line!r}")
            headers = dict(_headers(iter(file.readline, b"\r\n")))
            length = int(headers["content-length"])
            body = file.read(length)
    if len(body) < length:
        raise Half("the answer ended early")
    return Answer(int(status[1]), headers, body)


def _headers(lines: Any) -> Sequence[tuple[str, str]]:
    found = []
    for line in lines:
        if not line:
            raise Half("the headers ended early")
        name, _, value = line.decode("latin-1").partition(":")
        found.append((name.lower(), value.strip()))
    return found
