"""Amazon SES and SNS on a port of this machine, as far as the doctor asks them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.service import clients_made_by
from cognito_reset.conf import PoolSettings
from tests.people import People

SNS = "http://sns.amazonaws.com/doc/2010-03-31/"


@dataclass
class Senders:
    """
    What the services answer: ``account`` is GetAccount's answer, and ``answer`` replaces both answers by a status, a body
    and headers. ``asked`` notes the host, the Region and the action of each request that arrives.
    """

    account: dict[str, Any] = field(
        default_factory=lambda: {
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "SendQuota": {
                "Max24HourSend": 50000.0,
                "MaxSendRate": 14.0,
                "SentLast24Hours": 44999.0,
            },
        }
    )
    is_in_sms_sandbox: bool = False
    answer: tuple[int, str, dict[str, str]] | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    hangs_until: threading.Event | None = None


class Handler(BaseHTTPRequestHandler):
    senders: Senders

    def do_GET(self) -> None:
        assert self.path == "/v2/email/account"
        self._note("ses:GetAccount")
        self._reply(200, json.dumps(self.senders.account), Content_Type="application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        found = re.fullmatch(r"Action=(\w+)&Version=2010-03-31", body)
        assert found
        self._note(f"sns:{found[1]}")
        value = str(self.senders.is_in_sms_sandbox).lower()
        result = f"<{found[1]}Result><IsInSandbox>{value}</IsInSandbox></{found[1]}Result>"
        text = f'<{found[1]}Response xmlns="{SNS}">{result}</{found[1]}Response>'
        self._reply(200, text, Content_Type="text/xml")

    def _note(self, action: str) -> None:
        scope = re.search(r"Credential=testing/\d+/([\w-]+)/", self.headers["Authorization"])
        assert scope
        self.senders.asked.append((self.headers["X-Asked"], scope[1], action))

    def _reply(self, status: int, text: str, **headers: str) -> None:
        if self.senders.hangs_until:
            self.senders.hangs_until.wait(30)
            self.close_connection = True
            return
        status, text, headers = self.senders.answer or (status, text, headers)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: Any) -> None:
        """Log nothing: pytest would show it."""


@contextmanager
def serve_senders(people: People) -> Iterator[Senders]:
    """
    Let the clients of SES and SNS send their requests, which are signed and parsed as always, to a server on this
    machine. Cognito is the emulator.
    """
    senders = Senders()
    handler = type("Handler", (Handler,), {"senders": senders})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def send_here(request: Any, **kwargs: Any) -> None:
        _scheme, _, host, path = request.url.split("/", 3)
        request.headers["X-Asked"] = host
        request.url = f"http://127.0.0.1:{server.server_port}/{path}"

    def factory(pool: PoolSettings, *, signed: bool, **other: str) -> Any:
        client = make_client(pool, signed=signed, **other)
        if other:
            client.meta.events.register("before-send", send_here)
        else:
            people.emulator.mount(client)
        return client

    try:
        with clients_made_by(factory):
            yield senders
    finally:
        server.shutdown()
        server.server_close()
