"""
A server on loopback in Cognito's place, which answers well or goes wrong as a test wants, and notes every
request that reaches it. ``FAULTS`` has what can go wrong with an answer.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
import select
import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.service import clients_made_by, wait_until_idle
from cognito_reset.conf import PoolSettings

POOL = {"REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_Example01", "CLIENT_ID": "1example"}
PASSWORD = "Correct-horse-1"
JSON = "application/x-amz-json-1.1"
DELIVERED = {
    "CodeDeliveryDetails": {
        "Destination": "a***@e***",
        "DeliveryMedium": "EMAIL",
        "AttributeName": "email",
    }
}
NAMES = [f"person-{number}" for number in range(8)]


def user(name: str) -> dict[str, Any]:
    """Return a user as ListUsers does."""
    attributes = {"sub": f"sub-of-{name}", "email": f"{name}@example.com", "email_verified": "true"}
    return {
        "Username": name,
        "Attributes": [{"Name": key, "Value": value} for key, value in attributes.items()],
        "UserStatus": "CONFIRMED",
        "Enabled": True,
        "UserCreateDate": 1_700_000_000,
        "UserLastModifiedDate": 1_700_000_000,
    }


RESULTS: dict[str, Any] = {
    "ForgotPassword": DELIVERED,
    "ConfirmForgotPassword": {},
    "AdminResetUserPassword": {},
    "AdminUserGlobalSignOut": {},
    "AdminCreateUser": {"User": user("alice")},
    "AdminEnableUser": {},
    "AdminConfirmSignUp": {},
    "ListUsers": {"Users": list(map(user, NAMES))},
    "ListUsersInGroup": {"Users": [user("alice")]},
    "DescribeUserPool": {"UserPool": {"Policies": {"PasswordPolicy": {"MinimumLength": 9}}}},
    "DescribeUserPoolClient": {"UserPoolClient": {"PreventUserExistenceErrors": "ENABLED"}},
    "GetUserPoolMfaConfig": {
        "MfaConfiguration": "OPTIONAL",
        "SoftwareTokenMfaConfiguration": {"Enabled": True},
    },
}


class Handler(BaseHTTPRequestHandler):
    """Notes each request, and answers it as the test says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        self.operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.wire.requests.append(self.operation)
        self.server.wire.usernames.append(self.body.get("Username", ""))
        self.server.wire.arrived.set()
        self.server.wire.answer(self)

    def do_GET(self) -> None:
        """Notice a client that follows a redirect as a browser does."""
        self.server.wire.requests.append("GET")
        self.server.wire.usernames.append("")
        self.reply(200, b"")

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Log nothing: pytest would show it."""


Answer = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    wire: Wire

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Count a connection. Reset it when a request arrives and before it is read, if the test says so."""
        self.wire.connections += 1
        if self.wire.resets_connections:
            select.select([request], [], [], 5)  # a reset while it connects would be another fault
            reset_at_close(request)
        return not self.wire.resets_connections

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, without the FIN that ``shutdown()`` sends if it is to be reset."""
        if self.wire.resets_connections:
            request.close()
        else:
            super().shutdown_request(request)

    def handle_error(self, *args: Any) -> None:
        """Ignore clients that have left: some tests are about them."""


class Wire:
    """A server on loopback that answers as a test says."""

    def __init__(self, port: int = 0) -> None:
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.wire = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.released = threading.Event()
        self.start_anew()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def start_anew(self) -> None:
        """Answer well, and forget the requests."""
        self.release()
        self.released = threading.Event()
        self.resets_connections = False
        self.connections = 0
        self.requests: list[str] = []
        self.usernames: list[str] = []  # of the requests, "" where there is none
        self.arrived = threading.Event()
        self.answer: Answer = well

    def release(self) -> None:
        """End the answers that hang or trickle."""
        self.released.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def use_tls(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.port}"


def well(handler: Handler) -> None:
    """Answer as Cognito does."""
    handler.reply(200, result(handler), Content_Type=JSON, x_amzn_RequestId=str(uuid.uuid4()))


def result(handler: Handler) -> bytes:
    """Return the body of Cognito's answer. A search of ListUsers finds whoever is searched for."""
    answer = RESULTS[handler.operation]
    if handler.operation == "ListUsers" and "Filter" in handler.body:
        answer = {"Users": [user(handler.body["Filter"].split('"')[1])]}
    return json.dumps(answer).encode()


def error(code: str, status: int = 400, text: str = "vendor text") -> Answer:
    def answer(handler: Handler) -> None:
        body = json.dumps({"__type": code, "message": text}).encode()
        handler.reply(status, body, Content_Type=JSON, x_amzn_RequestId=str(uuid.uuid4()))

    return answer


def status(number: int) -> Answer:
    return lambda handler: handler.reply(number, b"<html>", Content_Type="text/html")


def hang(handler: Handler) -> None:
    """Never answer, until the client leaves or the test releases it."""
    released = handler.server.wire.released
    while not (released.is_set() or has_left(handler)):
        pass
    handler.close_connection = True


def has_left(handler: Handler, wait: float = 0.05) -> bool:
    """Check whether the client closes the connection within ``wait`` seconds."""
    return bool(select.select([handler.connection], [], [], wait)[0])


def reset(handler: Handler) -> None:
    reset_at_close(handler.connection)
    handler.connection.close()
    handler.close_connection = True


def reset_at_close(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drop(handler: Handler) -> None:
    handler.close_connection = True


REQUEST_ID = {"x_amzn_RequestId": str(uuid.uuid4())}
GOOD = {"Content_Type": JSON, **REQUEST_ID}


def reply(body: bytes, status: int = 200, **headers: str) -> Answer:
    return lambda handler: handler.reply(status, body, **headers)


def spoiled(change: Callable[[dict[str, str]], Any]) -> Answer:
    """Answer with the right body and changed headers."""

    def answer(handler: Handler) -> None:
        headers = {"Content_Type": JSON, **REQUEST_ID}
        change(headers)
        handler.reply(200, result(handler), **headers)

    return answer


def cut_short(handler: Handler) -> None:
    """Answer without the last byte."""
    body = result(handler)
    handler.reply(200, body[:-1], **GOOD, Content_Length=str(len(body)))
    handler.close_connection = True


def trickle(handler: Handler, pause: float = 0.05, count: int = 1000) -> None:
    """Send a byte now and then, until the client leaves, the test releases it, or ``count`` were sent."""
    released = handler.server.wire.released
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(count):
        if released.is_set() or has_left(handler, pause):
            break
        handler.wfile.write(b" ")
    handler.close_connection = True


def gzip_bomb(handler: Handler) -> None:
    """Send a few kilobytes that are two megabytes of spaces."""
    handler.reply(200, _BOMB, **GOOD, Content_Encoding="gzip")


_BOMB = gzip.compress(b" " * 2_000_000)


@contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue is full, so that a connection to it gets no answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        crowd = [socket.socket() for _ in range(8)]
        for waiting in crowd:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for waiting in crowd:
                waiting.close()


@cache
def closed_port() -> int:
    """Return a port that refuses connections: it is this process's until its end, and nobody listens."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    held.detach()
    return port


_clients: list[Any] = []


def noted_client(pool: PoolSettings, *, signed: bool, **other: str) -> Any:
    """Make a client as the app does, and note it, so that its connections can be closed."""
    _clients.append(make_client(pool, signed=signed, **other))
    return _clients[-1]


@contextmanager
def real_clients() -> Iterator[None]:
    """Close all connections at the end: those of a client that is merely dropped stay open."""
    with clients_made_by(noted_client):
        yield
    assert wait_until_idle(10)
    while _clients:
        _clients.pop().close()


def configure(
    settings: Any,
    wire: Wire,
    *,
    url: str | None = None,
    pool: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    """Let COGNITO_RESET's default pool be at the server, or at ``url``."""
    default = {**POOL, "ENDPOINT_URL": url or wire.url, **(pool or {})}
    settings.COGNITO_RESET = {"POOLS": {"default": default}, **options}


def write_certificate(path: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1 with its key to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
