"""The demo's settings, with what the clients' many calls from one address need."""

from __future__ import annotations

from typing import Any

from example_project.settings import *  # noqa: F403
from example_project.settings import COGNITO_RESET as OF_DEMO

COGNITO_RESET: dict[str, Any] = {
    **OF_DEMO,
    # Those for each identifier stay.
    "LIMITS": {
        "request": {"network": "100000/h", "site": "100000/h"},
        "confirm": {"network": "100000/h", "site": "100000/h"},
    },
    "UNIFORM_RESPONSE_SECONDS": 0,
}
