"""
An emulator of Amazon Cognito user pools, for tests and demonstrations.

    emulator = Emulator()
    emulator.mount(boto3_client)            # or: with serve(emulator) as server: server.url
    emulator.fail_next("ForgotPassword", Timeout())
    emulator.outbox[0].code

``cognito_reset.testing.fixtures`` has pytest fixtures. ``python -m cognito_reset.testing`` starts a
server.
"""

from __future__ import annotations

from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.faults import (
    ConnectRefused,
    ConnectTimeout,
    Error,
    Fault,
    GzipGarbage,
    Junk,
    Redirect,
    Reset,
    Status,
    Timeout,
    TLSFailure,
    Trickle,
    Truncated,
    WafBlock,
    WafChallenge,
)
from cognito_reset.testing.messages import Message
from cognito_reset.testing.options import Options
from cognito_reset.testing.server import Server, serve

__all__ = [
    "ConnectRefused",
    "ConnectTimeout",
    "Emulator",
    "Error",
    "Fault",
    "GzipGarbage",
    "Junk",
    "Message",
    "Options",
    "Redirect",
    "Reset",
    "Server",
    "Status",
    "TLSFailure",
    "Timeout",
    "Trickle",
    "Truncated",
    "WafBlock",
    "WafChallenge",
    "serve",
]
