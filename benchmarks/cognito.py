"""
A server that answers every request as Cognito answers ForgotPassword, after so many milliseconds: ``python -m
benchmarks.cognito 50``. It prints its port.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BODY = json.dumps(
    {
        "CodeDeliveryDetails": {
            "Destination": "a***@e***",
            "DeliveryMedium": "EMAIL",
            "AttributeName": "email",
        }
    }
)
ANSWER = f"""\
HTTP/1.1 200 OK
Content-Type: application/x-amz-json-1.1
Content-Length: {len(BODY)}
x-amzn-RequestId: 0ba5c9e4-5d2c-4d0e-9a43-1f1c3e6b7a58

""".replace("\n", "\r\n").encode()
ANSWER += BODY.encode()


class Connection(asyncio.Protocol):
    def __init__(self, delay: float) -> None:
        self.delay, self.received = delay, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if end and length and len(body) >= int(length[1]):
            self.received = b""
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, ANSWER)


async def serve(delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


@contextmanager
def running(milliseconds: int = 0) -> Iterator[None]:
    """Run the server in another process, where benchmarks.settings finds it, if it is imported meanwhile."""
    before = os.environ.get("BENCHMARK_COGNITO", "")
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.cognito", str(milliseconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout  # for mypy
        os.environ["BENCHMARK_COGNITO"] = f"http://127.0.0.1:{int(server.stdout.readline())}"
        yield
    finally:
        server.kill()
        server.wait()
        os.environ["BENCHMARK_COGNITO"] = before


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) / 1000))
