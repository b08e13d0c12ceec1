"""The emulator as a standalone server: ``python -m cognito_reset.testing --port 9229``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.instructions import instructions
from cognito_reset.testing.server import serve


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m cognito_reset.testing",
        description="An emulator of Amazon Cognito user pools for tests and demonstrations.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen: localhost is IPv4 and IPv6"
    )
    parser.add_argument("--port", type=int, default=9229)
    parser.add_argument(
        "--region",
        default="us-east-1",
        help="the Region of pools whose request doesn't name one in its signature",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin use the server, http://localhost:5173 for example",
    )
    chosen = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    emulator = Emulator(region=chosen.region)
    with serve(emulator, chosen.host, chosen.port, allowed_origins=chosen.allow_origin) as server:
        sys.stdout.write(instructions(server.url, chosen.region))
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
