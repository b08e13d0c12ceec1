"""The codes of authenticator apps: https://www.rfc-editor.org/rfc/rfc6238 with its usual values."""

from __future__ import annotations

import base64
import hmac
import random
from datetime import datetime
from typing import Final

__all__ = ["totp"]

STEP_SECONDS: Final = 30


def new_secret(rng: random.Random) -> str:
    return base64.b32encode(rng.randbytes(32)).decode().rstrip("=")


def totp(secret: str, moment: datetime) -> str:
    """Return the code that an authenticator app with this secret shows at this moment."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    counter = int(moment.timestamp()) // STEP_SECONDS
    digest = hmac.digest(key, counter.to_bytes(8), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF
    return f"{number % 10**6:06d}"
