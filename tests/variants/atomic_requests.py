"""Every request is a transaction; a file, where a second connection would wait for the first."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  # a variant of it
from tests.settings import DATABASES

DATABASES["default"]["ATOMIC_REQUESTS"] = True
