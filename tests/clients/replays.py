"""
Replays of clients whose languages the tests don't have. Each sends the client's requests, byte for byte,
over a plain socket.

All of these clients were run once, in November 2026, against the endpoint or a listener: aws-sdk-ruby
(core 3.211), Deno's aws_api 0.9, paws.common 0.8.10 and amazonka 2.0.0, the last of them with and without
credentials. These runs showed:

- the path, the content type, the target and the members of each request: none of them sends null for a
  member that isn't given;
- which client signs its requests, and which one sends an invocation id;
- how often each client sends a request again, and after which error;
- what half an answer does: Ruby sends the request again, and Deno and amazonka don't read the body of the
  answer to ConfirmForgotPassword, so it is a success for them;
- where each client reads an error's name.

The paths can also be seen in public sources: requestUnsigned in Amazonka.Types takes the operation's path
alone, and new_request() of paws.common puts the endpoint and the operation's path "/" together.

The SDKs for Go are also run by these tests, in older versions. What their replays do after a reset
connection and after half an answer is what those versions do.

These parts of the replays are assumed: all other headers with their versions, the order and case of
headers, the order of members, and that no client waits before it sends a request again. Deno's fetch() and
libcurl (paws) also resend a lost request on a connection that was used before; a replay opens a new
connection for each request. Signatures and digests are made up, because the endpoint doesn't check them.
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


class Broken(Exception):
    """No answer came."""


class Half(Broken):
    """The answer ended early, after a status line with this status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


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


def _unchanged(path: str) -> str:
    return path


def _with_slash(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def _one_slash_more(path: str) -> str:
    return path if path == "/" else f"{path}/"


def _dropped(path: str) -> str:
    return "/"


@dataclass(frozen=True)
class Client:
    """``head`` is the head of a request, with the headers in the client's own order and case."""

    head: str
    attempts: int
    resends_half: bool = True
    resends_reset: bool = True
    #: It doesn't read the body of an answer that the service model describes as empty.
    discards_empty: bool = False
    #: The errors after which it sends a request again, besides those with a status of 500 or more.
    retried: frozenset[str] = frozenset()
    #: Returns the path of the request for the path of the endpoint.
    path: Callable[[str], str] = _unchanged
    #: It reads an error's name from the header, as Deno's aws_api does, and not from the body.
    name_in_header: bool = False

    def request(self, call: Call, attempt: int) -> bytes:
        body = json.dumps(call.members, separators=(",", ":"), ensure_ascii=False).encode()
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


def _amazonka(path: Callable[[str], str], signed: str = "", signature: str = "") -> Client:
    """
    Return the client for Haskell. It sends a request again up to three times after a connection failure,
    without marking it, but not if an answer ended early.
    """
    head = f"""
POST {{path}} HTTP/1.1
Accept-Encoding: gzip
Content-Length: {{length}}
Host: {{host}}{signed.rstrip()}
X-Amz-Target: {{target}}
Content-Type: {{content_type}}{signature.rstrip()}
"""
    return Client(head, attempts=4, resends_half=False, discards_empty=True, path=path)


CLIENTS: Final[dict[str, Client]] = {
    # Deno's fetch() writes the names of headers in lower case.
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
        discards_empty=True,
        name_in_header=True,
    ),
    # paws, for R, signs every call with the credentials that it finds, and adds a slash to every path.
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
    # Without credentials, amazonka ignores the endpoint's path.
    "amazonka": _amazonka(_dropped),
    # With credentials, it signs every call, and adds a slash to the endpoint's path.
    "amazonka-signed": _amazonka(
        _one_slash_more,
        """
X-Amz-Date: 20261121T120000Z
X-Amz-Content-SHA256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
""",
        """
Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/cognito-idp/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7
""",
    ),
    # Ruby's SDK sends its requests by Net::HTTP.
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
    """Make one call as ``client`` does, and return what the client would report."""
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
            if isinstance(error, Half):
                empty = call.operation == "ConfirmForgotPassword"
                if client.discards_empty and empty and error.status == 200:
                    return {"ok": True, "answer": {}}
                if not client.resends_half:
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
        raise Half("the answer ended early", int(status[1]))
    return Answer(int(status[1]), headers, body)


def _headers(lines: Any) -> Sequence[tuple[str, str]]:
    found = []
    for line in lines:
        if not line:
            raise Broken("the headers ended early")
        name, _, value = line.decode("latin-1").partition(":")
        found.append((name.lower(), value.strip()))
    return found
