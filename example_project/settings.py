"""
The settings of the demo, from the environment and from a file .env beside manage.py.

Without any COGNITO_ variable, the user pool is on an emulator that ``manage.py demo`` starts. With
them, it is the pool that they name.
"""

from __future__ import annotations

from pathlib import Path

import django
import environ  # type: ignore[import-untyped]  # it ships no types
from corsheaders.defaults import default_headers
from django.conf.global_settings import LANGUAGES as DJANGO_LANGUAGES

from cognito_reset import __version__
from cognito_reset.aws import cors
from cognito_reset.aws_lambda import custom_message

BASE_DIR = Path(__file__).resolve().parent

env = environ.Env()
env.read_env(BASE_DIR.parent / ".env")

DEBUG = env.bool("DEBUG", default=True)
# This key is public: use it only for this demo.
SECRET_KEY = env("SECRET_KEY", default="django-insecure-for-the-demo-of-django-cognito-reset-only")
# The demo's passwords are public, too, so only this machine may use it.
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "example_project",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "cognito_reset",
]
MIDDLEWARE = [
    "example_project.middleware.content_security_policy",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# The site's own mails are printed. Cognito's messages are in the inbox of the demo.
MAIL_PRINTER = "django.core.mail.backends.console.EmailBackend"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": MAIL_PRINTER}}
else:
    EMAIL_BACKEND = MAIL_PRINTER
ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
ASGI_APPLICATION = "example_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "example_project.context_processors.demo",
            ],
        },
    },
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": env("DATABASE_FILE", default=str(BASE_DIR / "db.sqlite3")),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
LANGUAGE_CODE = "en"
# The languages of the app. The demo's own pages are in English.
LANGUAGES = [pair for pair in DJANGO_LANGUAGES if pair[0] in custom_message.TEXTS]
TIME_ZONE = "UTC"

# CORS_ALLOWED_ORIGINS=http://localhost:5173 lets an app of that origin use the endpoints.
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(api/|cognito/*$)"
CORS_ALLOW_HEADERS = (*default_headers, *cors.ALLOW_HEADERS)
CORS_EXPOSE_HEADERS = cors.EXPOSE_HEADERS

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {
    "TITLE": "The demo of django-cognito-reset",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
}

POOL_KEYS = ("REGION", "USER_POOL_ID", "CLIENT_ID", "CLIENT_SECRET", "ENDPOINT_URL")
_POOL = {key: env(f"COGNITO_{key}", default="") for key in POOL_KEYS}
# Without a pool in the settings, system checks of commands other than "demo" would fail.
_NO_POOL = {
    "REGION": "us-east-1",
    "USER_POOL_ID": "us-east-1_Emulator",
    "CLIENT_ID": "emulator",
    "ENDPOINT_URL": "http://127.0.0.1:9229",
}
EMULATED = not any(_POOL.values())
# Where an emulator lists its messages. A real pool has no such address.
OUTBOX_URL = env("COGNITO_OUTBOX_URL", default="")

COGNITO_RESET = {
    "POOLS": {
        "default": {
            **(_NO_POOL if EMULATED else {key: _POOL[key] for key in _POOL if _POOL[key]}),
            "PUBLISHED_CLIENT_ID": "demo",
        },
    },
    "SIGN_IN_URL": "/sign-in/",
    "CLIENT_METADATA": "example_project.pool.client_metadata",
    "BULK_ENQUEUE": "example_project.tasks.enqueue_bulk_slice",
    "LIMITS": {} if env.bool("COGNITO_RESET_LIMITS", default=True) else False,
}
