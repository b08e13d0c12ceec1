"""The demo's settings, with what the clients' many calls from one address need."""

from __future__ import annotations

from typing import Any

from example_project.settings import *  # noqa: F403
from example_project.settings import COGNITO_RESET
from example_project.settings import MIDDLEWARE as DEMOS_MIDDLEWARE

MIDDLEWARE = ["tests.clients.bare_host.middleware", *DEMOS_MIDDLEWARE]

# Limits for each identifier stay.
MORE: dict[str, Any] = {
    "LIMITS": {
        "request": {"network": None, "site": None},
        "confirm": {"network": None, "site": None},
    },
    "UNIFORM_RESPONSE_SECONDS": 0,
}
COGNITO_RESET.update(MORE)
