"""Users have an email address, and no username."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  # a variant of it
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.variants.people_app"]
AUTH_USER_MODEL = "people_app.Person"
