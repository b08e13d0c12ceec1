"""
A network between a client and the site, which loses a request or an answer when told to, and knows
how long one attempt lasts.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import socketserver
import struct
import threading
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 60


class Loss(enum.Enum):
    REQUEST = "the request"
    ANSWER = "the whole answer"
    HALF = "half of the answer"
    SILENCE = "the whole answer, and nobody hangs up"


class Proxy(socketserver.ThreadingTCPServer):
    """
    Passes requests on one by one. ``losses`` are what happens to the next ones, ``outages`` what
    lasts while the site answers them.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, site: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(site)
        self.site = (parts.hostname or "", parts.port or 80)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.losses: deque[Loss] = deque()
        self.outages: deque[contextlib.AbstractContextManager[None]] = deque()
        #: How many requests came, and how many of them reached the site.
        self.came = self.passed = 0
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors, because connections are cut here on purpose."""


class _Handler(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        while request := _message(self.rfile):
            self.server.came += 1
            loss = self.server.losses.popleft() if self.server.losses else None
            if loss is Loss.REQUEST:
                self._reset()
                return
            answer = self._answer(request)
            if loss is Loss.ANSWER:
                return
            if loss is Loss.SILENCE:
                self.rfile.read()  # until the client has waited long enough
                return
            if loss is Loss.HALF:
                head, _, body = answer.partition(b"\r\n\r\n")
                answer = head + b"\r\n\r\n" + body[: len(body) // 2]
            self.wfile.write(answer)
            if loss is Loss.HALF:
                return

    def _answer(self, request: bytes) -> bytes:
        self.server.passed += 1
        outages = self.server.outages
        with (
            outages.popleft() if outages else contextlib.nullcontext(),
            socket.create_connection(self.server.site, TIMEOUT_SECONDS) as connection,
            connection.makefile("rb") as file,
        ):
            connection.sendall(request)
            return _message(file)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with contextlib.suppress(OSError):
            self.connection.close()


def _message(file: Any) -> bytes:
    """Read a request or an answer, or nothing if the connection has ended."""
    head, length = b"", 0
    # An empty line ends the head, and nothing at all ends the connection.
    while (line := file.readline()) not in (b"\r\n", b""):
        head += line
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + b"\r\n" + file.read(length) if head else b""
