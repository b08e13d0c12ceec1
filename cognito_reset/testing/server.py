"""
The emulator behind HTTP, with extra paths for what no operation of Cognito can do.

A server on a developer's machine can be reached by every website in the developer's browser. So it
refuses requests that a browser sends for another origin, and names in ``Host`` that aren't its own:
a website could let a name of its own point at this machine (DNS rebinding).
"""

from __future__ import annotations

import contextlib
import errno
import json
import re
import select
import socket
import string
import struct
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any, Final

from cognito_reset.testing import wire
from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.errors import CognitoError
from cognito_reset.testing.faults import KINDS, Fault, Reset, Timeout, Trickle, Truncated
from cognito_reset.testing.wire import Answer

HANG_SECONDS: Final = 60.0
#: What a body raises that has other types, numbers that are too large, or too many brackets.
_MISUSE: Final = (AttributeError, OverflowError, RecursionError, TypeError, ValueError)
#: Requests to Cognito are far smaller: the longest member has 131,072 characters (botocore's model).
MAX_BODY_BYTES: Final = 1_000_000

#: As browsers send it in the header Origin (RFC 6454, 6.2).
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[^\]]*:[^\]]*)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")


class Server:
    """An emulator that listens. It is also a context manager."""

    def __init__(
        self, emulator: Emulator, host: str, port: int, allowed_origins: Iterable[str]
    ) -> None:
        self.emulator = emulator
        self._listeners = _listeners(host, port)
        for listener in self._listeners:
            listener.emulator = emulator
            listener.names = frozenset({"localhost", host.lower()})
            listener.allowed_origins = frozenset(allowed_origins)
        self.port: int = self._listeners[0].server_address[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"
        # A listener checks at this interval whether it must stop, so close() may take that long.
        self._threads = [
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
            for listener in self._listeners
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, and end every fault that is being played."""
        self.emulator.close()
        for listener, thread in zip(self._listeners, self._threads, strict=True):
            listener.shutdown()
            listener.server_close()
            thread.join()
            listener.end_connections()


def serve(
    emulator: Emulator,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    allowed_origins: Iterable[str] = (),
) -> Server:
    """
    Start a server in threads, on a free port if ``port`` is 0.

    ``host`` is an address of this machine, IPv4 or IPv6, or a name. ``localhost`` listens on both.

    It refuses requests that browsers send for pages of other origins, unless ``allowed_origins``
    has that origin (``http://localhost:5173``). It answers to IP addresses, localhost and ``host``. Raise ``ValueError``
    for a text that is no origin.
    """
    for origin in (allowed_origins := list(allowed_origins)):
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is not an origin. Write it like http://localhost:5173, in lower case and without a path."
            )
    return Server(emulator, host, port, allowed_origins)


def _listeners(host: str, port: int) -> list[_Server]:
    """
    Listen on the host's addresses. Clients take ``localhost`` for either loopback address, whatever
    the hosts file says, so it means both, as far as this machine has IPv6.
    """
    if host.lower() != "localhost":
        return [_listener(host, port)]
    first = _listener("127.0.0.1", port)
    try:
        return [first, _listener("::1", first.server_address[1])]
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return [first]
        first.server_close()
        raise


def _listener(host: str, port: int) -> _Server:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    kind = _IPv6Server if family == socket.AF_INET6 else _Server
    return kind((host, port), _Handler)


class _Refused(Exception):
    """A request whose body can't be read. The connection can't be used any further."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    emulator: Emulator
    names: frozenset[str]
    allowed_origins: frozenset[str]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._handlers: dict[socket.socket, threading.Thread] = {}

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._handlers[request] = threading.current_thread()
        try:
            super().finish_request(request, client_address)
        finally:
            del self._handlers[request]

    def end_connections(self) -> None:
        """Read no further request, and wait until the current ones are answered."""
        for connection, thread in list(self._handlers.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
            thread.join(HANG_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that leave: that is no error of the server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Headers and body leave in one write each: without this the second waits for an ACK.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: ``Emulator.calls`` has all that is worth knowing."""

    def do_OPTIONS(self) -> None:
        if self._is_refused():
            return
        asked = self.headers.get("Access-Control-Request-Headers", "")
        headers = {
            **wire.CORS,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Max-Age": "172800",
        }
        self._send(Answer(200, headers, b""))

    def do_GET(self) -> None:
        if self._is_refused():
            return
        emulator = self.server.emulator
        if self.path == "/outbox":
            self._send_json(200, [message.as_json() for message in reversed(emulator.outbox)])
        elif self.path == "/":
            outbox = f"http://{self.headers['Host']}/outbox"
            self._send_json(200, {"outbox": outbox, "pools": emulator.pools})
        else:
            self._send_json(404, {"error": "Only GET / and GET /outbox are available."})

    def do_POST(self) -> None:
        try:
            raw = self._body()
        except _Refused as error:
            self.close_connection = True
            self._send_json(error.status, {"error": str(error)})
            return
        if self._is_refused():
            return
        if self.path.startswith("/emulator/"):
            self._seam(self.path.removeprefix("/emulator/"), raw)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer, fault = self.server.emulator.exchange(headers, raw)
        if fault is None:
            self._send(answer)
        else:
            self._play(fault, answer)

    def _body(self) -> bytes:
        """Return the body, which proxies may send in chunks, without a length (RFC 9112, 7.1)."""
        coding = self.headers.get("Transfer-Encoding")
        if coding is None:
            return self.rfile.read(_size(self.headers.get("Content-Length", "0"), 10))
        if coding.strip().lower() != "chunked":
            raise _Refused(501, "The body may be sent in chunks, but not compressed.")
        if "Content-Length" in self.headers:
            raise _Refused(400, "A body in chunks can't have a Content-Length.")  # RFC 9112, 6.1
        body, self._framing = bytearray(), 0
        while size := _size(self._line().partition(";")[0], 16, before=len(body)):
            body += self.rfile.read(size)
            if self.rfile.read(2) != b"\r\n":
                raise _Refused(400, "The chunks of the body are malformed.")
        while self._line():
            pass  # the fields after the last chunk
        return bytes(body)

    def _line(self) -> str:
        """Return a line between chunks. Together, they have a limit of their own."""
        raw = self.rfile.readline(1000)
        self._framing += len(raw)
        if not raw.endswith(b"\n"):
            raise _Refused(400, "The chunks of the body are malformed.")
        if self._framing > MAX_BODY_BYTES:
            raise _Refused(
                413, f"The lines between chunks have more than {MAX_BODY_BYTES:,} bytes."
            )
        return raw.decode("latin-1").strip()

    def _is_refused(self) -> bool:
        """Check whether a foreign website may have sent the request, and then answer 403."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        is_cross_site = self.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        if not _is_own_host(host, self.server.names):
            reason = (
                "The Host header must be an IP address, localhost, or the --host of the server."
            )
        elif origin in self.server.allowed_origins or origin == f"http://{host}":
            return False
        elif origin is not None or is_cross_site:
            reason = "Pages of another origin need the option allowed_origins, or --allow-origin."
        else:
            return False
        self._send_json(403, {"error": reason})
        return True

    def _seam(self, action: str, raw: bytes) -> None:
        emulator = self.server.emulator
        result: dict[str, Any] = {}
        try:
            body = json.loads(raw or b"{}")
            if action == "advance":
                emulator.advance(**body)
            elif action == "federated-user":
                emulator.add_federated_user(**body)
            elif action == "fail":
                emulator.fail_next(**_fault_of(body))
            elif action == "options":
                emulator.options.update(body)
                result = asdict(emulator.options)
            else:
                self._send_json(
                    404, {"error": "Only advance, federated-user, fail and options exist."}
                )
                return
        except CognitoError as error:
            self._send_json(400, {"error": error.message})
        except _MISUSE as error:
            self._send_json(400, {"error": str(error)})
        else:
            self._send_json(200, result)

    def _play(self, fault: Fault, answer: Answer) -> None:
        if isinstance(fault, Timeout):
            self._hang(HANG_SECONDS if fault.seconds is None else fault.seconds)
        elif isinstance(fault, Reset) or not fault.arrives:
            self._reset()
        elif isinstance(fault, Trickle):
            self._trickle(fault, answer)
        else:
            self._send(answer)
            self.close_connection = self.close_connection or isinstance(fault, Truncated)

    def _hang(self, seconds: float) -> None:
        """Wait until the client leaves, which makes the connection readable."""
        self.close_connection = True
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.server.emulator.wait(0):
            if select.select([self.connection], [], [], 0.05)[0]:
                return

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _trickle(self, fault: Trickle, answer: Answer) -> None:
        self._send_head(answer)
        end = time.monotonic() + fault.seconds
        body = answer.body
        while body and time.monotonic() < end and not self.server.emulator.wait(0):
            self.wfile.write(body[:1])
            body = body[1:]
            self.server.emulator.wait(fault.interval)
        self.wfile.write(body)

    def _send_head(self, answer: Answer) -> None:
        if (
            "Date" in answer.headers
        ):  # by the emulator's clock; send_response() would add this machine's
            self.send_response_only(answer.status)
        else:
            self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, answer: Answer) -> None:
        self._send_head(answer)
        self.wfile.write(answer.body)

    def _send_json(self, status: int, body: Any) -> None:
        headers = {"Content-Type": "application/json"}
        self._send(Answer(status, headers, json.dumps(body).encode()))


def _size(text: str, base: int, before: int = 0) -> int:
    """Return a size. ``int`` alone would take signs, blanks and underscores."""
    text = text.strip()
    digits = string.digits if base == 10 else string.hexdigits
    if not text or set(text) - set(digits):
        raise _Refused(400, "The length of the body must be a number.")
    text = text.lstrip("0") or "0"
    # int() raises for thousands of decimal digits.
    if len(text) > len(str(MAX_BODY_BYTES)) or int(text, base) + before > MAX_BODY_BYTES:
        raise _Refused(413, f"The body has more than {MAX_BODY_BYTES:,} bytes.")
    return int(text, base)


def _fault_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``fail_next``: a fault by its class's name, else an error code."""
    arguments = body.pop("arguments", {})
    kind = KINDS.get(body.get("fault", ""))
    if kind is not None:
        body["fault"] = kind(**arguments)
    return body


def _is_own_host(host: str, names: frozenset[str]) -> bool:
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return False
    name = match["ipv6"] or match["name"]
    if name in names:
        return True
    # Nobody can let an IP address point at another machine, so all of them are safe. The server
    # can't know all of its own: it may be behind a forwarded port, for example.
    try:
        ip_address(name)
    except ValueError:
        return False
    return "%" not in name  # the zone after it may be any text
