"""
Faults that can be queued in front of an operation with ``Emulator.fail_next()``.

Each takes ``processed=True``: the service did the work, and only its answer was damaged or lost.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from cognito_reset.testing import wire
from cognito_reset.testing.errors import NOT_IN_CLIENT, OLD_CODE, TOO_OFTEN, WRONG_CODE
from cognito_reset.testing.wire import Answer

_TEXTS: Final = {
    "CodeMismatchException": WRONG_CODE,
    "ExpiredCodeException": OLD_CODE,
    "LimitExceededException": TOO_OFTEN,
    "ThrottlingException": "Rate exceeded",
    "TooManyRequestsException": "Too many requests",
    "UserNotFoundException": NOT_IN_CLIENT,
}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one request."""

    #: False if no part of the request ever reaches the service.
    arrives: ClassVar[bool] = True

    processed: bool = field(default=False, kw_only=True)

    def spoiled(self, answer: Answer) -> Answer:
        """Return the answer that the client gets instead."""
        return answer


@dataclass(frozen=True)
class Error(Fault):
    """One of Cognito's errors by name, with Amazon's message unless another one is passed."""

    code: str
    message: str = ""
    #: By default 500 for internal errors, 400 otherwise. TooManyRequestsException has an option.
    status: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        text = self.message or _TEXTS.get(self.code, f"{self.code} was queued in the emulator.")
        return {"__type": self.code, "message": text}


@dataclass(frozen=True)
class Status(Fault):
    """Any HTTP status, body and headers, as a proxy, load balancer or firewall may send them."""

    status: int
    body: str | bytes | dict[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: bool = False

    def spoiled(self, answer: Answer) -> Answer:
        body = json.dumps(self.body) if isinstance(self.body, dict) else self.body
        headers = {"Content-Type": "text/html", **self.headers}
        if self.request_id:
            headers["x-amzn-requestid"] = str(uuid.uuid4())
        return Answer(self.status, headers, body.encode() if isinstance(body, str) else body)


@dataclass(frozen=True)
class WafBlock(Status):
    """AWS WAF refused the request with its standard page."""

    status: int = 403
    body: str | bytes | dict[str, Any] = "<html><h1>403 Forbidden</h1></html>"


@dataclass(frozen=True)
class WafChallenge(Status):
    """AWS WAF asks the browser to solve a challenge: 202 and no body."""

    status: int = 202
    headers: Mapping[str, str] = field(default_factory=lambda: {"x-amzn-waf-action": "challenge"})


@dataclass(frozen=True)
class Redirect(Status):
    """Something on the network path redirects the client."""

    status: int = 301
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Location": "https://example.com/elsewhere"}
    )


@dataclass(frozen=True)
class Junk(Fault):
    """A 200 whose body isn't the result but empty, HTML or broken JSON."""

    body: str | bytes = ""
    content_type: str = wire.CONTENT_TYPE
    request_id: bool = True

    def spoiled(self, answer: Answer) -> Answer:
        headers = {"Content-Type": self.content_type}
        return Status(200, self.body, headers, self.request_id).spoiled(answer)


@dataclass(frozen=True)
class GzipGarbage(Fault):
    """A 200 that claims to be compressed, but isn't."""

    def spoiled(self, answer: Answer) -> Answer:
        return Answer(200, {**answer.headers, "Content-Encoding": "gzip"}, b"\x1f\x8b garbage")


@dataclass(frozen=True)
class Truncated(Fault):
    """
    The first bytes of the true answer, and then the connection ends. A client can notice this by
    Content-Length. Recent versions of botocore don't, and a mounted client never does.
    """

    keep: int = 5
    processed: bool = field(default=True, kw_only=True)

    def spoiled(self, answer: Answer) -> Answer:
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        return Answer(answer.status, headers, answer.body[: self.keep])


@dataclass(frozen=True)
class Timeout(Fault):
    """
    No answer. A mounted client gets its read timeout after ``seconds``, by default at once. Over
    HTTP the connection hangs until the client leaves, or for ``seconds`` (60 by default).
    """

    seconds: float | None = None


@dataclass(frozen=True)
class Trickle(Fault):
    """
    The true answer, but slowly: one byte per ``interval`` for some ``seconds``, and then the rest.
    Each read is short, so no read timeout ends it. A mounted client waits for the whole time.
    """

    seconds: float
    interval: float = 0.1
    processed: bool = field(default=True, kw_only=True)


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset after the request was read."""


@dataclass(frozen=True)
class ConnectTimeout(Fault):
    """The connection times out. The HTTP server, which is already connected, resets it instead."""

    arrives = False


@dataclass(frozen=True)
class ConnectRefused(Fault):
    """The connection is refused. The HTTP server, already connected, resets it instead."""

    arrives = False


@dataclass(frozen=True)
class TLSFailure(Fault):
    """The certificate isn't trusted. The HTTP server has no TLS and resets the connection."""

    arrives = False


KINDS: Final[dict[str, type[Fault]]] = {
    kind.__name__: kind
    for kind in (
        Error,
        Status,
        WafBlock,
        WafChallenge,
        Redirect,
        Junk,
        GzipGarbage,
        Truncated,
        Timeout,
        Trickle,
        Reset,
        ConnectTimeout,
        ConnectRefused,
        TLSFailure,
    )
}
