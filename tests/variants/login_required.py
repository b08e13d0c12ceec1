"""Every view wants a login, unless it says otherwise."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  # a variant of it
from tests.settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
LOGIN_URL = "/sign-in/"
