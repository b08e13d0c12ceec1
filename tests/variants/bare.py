"""Nothing of contrib but what the app asks for: no admin, no sites, no messages, no staticfiles."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  # a variant of it

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "cognito_reset",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "tests.variants.bare_urls"
