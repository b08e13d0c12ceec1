"""
An emulator of Amazon Cognito user pools, for tests and demonstrations, and a test kit for sites.

    emulator = Emulator()
    emulator.mount(boto3_client)            # or: with serve(emulator) as server: server.url
    emulator.fail_next("ForgotPassword", Timeout())
    emulator.outbox[-1].code

A site's tests have the emulator behind the site's own settings: as pytest's fixture ``cognito``, or with
``CognitoMixin`` in Django's test cases. ``python -m cognito_reset.testing`` starts a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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
    from cognito_reset.testing.kit import Call, Cognito, CognitoMixin
    from cognito_reset.testing.messages import Message
    from cognito_reset.testing.options import Options
    from cognito_reset.testing.people import FixtureError, load
    from cognito_reset.testing.seeding import Unusable
    from cognito_reset.testing.server import Server, serve
    from cognito_reset.testing.users import User

__all__ = [
    "Call",
    "Cognito",
    "CognitoMixin",
    "ConnectRefused",
    "ConnectTimeout",
    "Emulator",
    "Error",
    "Fault",
    "FixtureError",
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
    "Unusable",
    "User",
    "WafBlock",
    "WafChallenge",
    "load",
    "serve",
]

# The modules of the names, which are imported when a name is first used: pytest imports this package in every
# project, for the plugin in it, and the kit can only be imported after django.setup().
_MODULES: Final = {
    "Call": "kit",
    "Cognito": "kit",
    "CognitoMixin": "kit",
    "Emulator": "emulator",
    "FixtureError": "people",
    "Message": "messages",
    "Options": "options",
    "Server": "server",
    "Unusable": "seeding",
    "User": "users",
    "load": "people",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES.get(name, 'faults')}")
    return getattr(module, name)
