"""The emulator as a standalone server: ``python -m cognito_reset.testing --load people.json``."""

from __future__ import annotations

import argparse
import errno
import signal
import socket
import sys
import threading

from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.instructions import instructions, loaded
from cognito_reset.testing.people import FixtureError, load
from cognito_reset.testing.server import serve

DOCS = "https://django-cognito-reset.readthedocs.io/en/latest/emulator.html"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m cognito_reset.testing",
        description="An emulator of Amazon Cognito user pools for tests and demonstrations.",
        epilog=f"Documentation: {DOCS}",
        # Otherwise argparse would break the address.
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="where to listen: localhost is IPv4 and IPv6 (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=9229,
        help="the port to listen on; 0 is any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--region",
        default="us-east-1",
        help="the Region of pools whose request doesn't name one in its signature (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin use the server, http://localhost:5173 for example; it can be repeated",
    )
    parser.add_argument(
        "--load",
        metavar="FILE",
        help="a JSON file of pools, app clients and users",
    )
    chosen = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    emulator = Emulator(region=chosen.region)
    if chosen.load:
        try:
            load(emulator, chosen.load)
        except FixtureError as error:
            parser.exit(2, f"{error}\n")
    try:
        listening = serve(emulator, chosen.host, chosen.port, allowed_origins=chosen.allow_origin)
    except (OSError, OverflowError) as error:  # OverflowError: a port above 65535
        is_host = isinstance(error, socket.gaierror) or (
            isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
        )
        advice = "Try --host 127.0.0.1." if is_host else "Try another --port."
        reason = str(error).rstrip(".")
        parser.exit(2, f"Can't listen on {chosen.host}, port {chosen.port}: {reason}. {advice}\n")
    except ValueError as error:
        parser.exit(2, f"{error}\n")
    with listening as server:
        if chosen.load:
            sys.stdout.write(loaded(server.url, chosen.load, emulator.pools))
        else:
            sys.stdout.write(instructions(server.url, chosen.region))
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
