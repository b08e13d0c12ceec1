"""A small site with the app and nothing that the app doesn't ask for, but the admin."""

from __future__ import annotations

import os
from typing import Any

SECRET_KEY = "not-a-secret-only-for-tests"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.urls"
USE_TZ = True
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Hashing slowly would be most of the suite's time, and no Django password is tested here.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "cognito_reset",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASE = os.environ.get("DATABASE", "sqlite")
DATABASE_SETTINGS: dict[str, dict[str, Any]] = {
    "sqlite": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    # A file, so that threads and processes meet real locks.
    "sqlite-file": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "tests.sqlite3",
        "TEST": {"NAME": "tests.sqlite3"},
    },
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("DATABASE_NAME", "cognito_reset"),
        "HOST": os.environ.get("POSTGRES_HOST", "127.0.0.1"),
        "PORT": os.environ.get("POSTGRES_PORT", "5432"),
        "USER": os.environ.get("POSTGRES_USER", "postgres"),
        "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": os.environ.get("DATABASE_NAME", "cognito_reset"),
        "HOST": os.environ.get("MARIADB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("MARIADB_PORT", "3306"),
        "USER": os.environ.get("MARIADB_USER", "root"),
        "PASSWORD": os.environ.get("MARIADB_PASSWORD", ""),
    },
}
DATABASES = {"default": DATABASE_SETTINGS[DATABASE]}

# Django 6.1's name for EMAIL_BACKEND, which older versions ignore.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

COGNITO_RESET = {
    "POOLS": {
        "default": {
            "REGION": "eu-west-1",
            "USER_POOL_ID": "eu-west-1_Example01",
            "CLIENT_ID": "1example23456789",
            "CLIENT_SECRET": "exampleclientsecret1234567",
        },
        "brand": {
            "REGION": "eu-west-1",
            "USER_POOL_ID": "eu-west-1_Example02",
            "CLIENT_ID": "2example23456789",
        },
    },
    "UNIFORM_RESPONSE_SECONDS": 0,
    # Tests of the limits turn them on.
    "LIMITS": False,
}
