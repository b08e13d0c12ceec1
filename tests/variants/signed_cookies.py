"""The session lives in the visitor's cookie, readable there."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  # a variant of it

SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
