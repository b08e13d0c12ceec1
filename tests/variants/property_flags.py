"""Users whose is_staff is a property of their model, which no query can filter by."""

from __future__ import annotations

from tests.variants.custom_user import *  # noqa: F403  # a variant of it

AUTH_USER_MODEL = "people_app.Member"
