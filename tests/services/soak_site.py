"""
A site with every public interface and REST for staff, for test_soak.py: ``application`` for gunicorn. Run as a
module, it is the site's manage.py. Sessions, the audit and resets of many people are in PostgreSQL; the rate limits are
there or in a Redis.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from typing import Any

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES


class JSONLines(logging.Formatter):
    """A line for each record, also if it has a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        fields = {"logger": record.name, "text": record.getMessage(), "trace": trace}
        return json.dumps({**fields, "level": record.levelname})


# The times are short, so that the permits for calls suffice for the visitors, and a Cognito that hangs doesn't
# refuse them for most of the time. The windows of the limits are short, so that most attempts get through, and
# the number of slots is soon what it stays.
RESET: dict[str, Any] = {
    "POOLS": {"default": json.loads(os.environ["SOAK_POOL"])},
    "UNIFORM_RESPONSE_SECONDS": 0.2,
    "TOTAL_TIMEOUT_SECONDS": 1.5,
    "LIMITS_CACHE": os.environ.get("SOAK_LIMITS_CACHE"),
    "LIMITS": {
        "request": {"identifier": "1/5s,5/m", "network": "60/m", "site": "1200/m"},
        "confirm": {"identifier": "5/10s,20/m", "network": "120/m", "site": "3000/m"},
    },
    "TRUSTED_PROXIES": {"COUNT": 1},
    "SIGN_OUT_EVERYWHERE": True,
    "NOTIFY_AFTER_RESET": True,
    "RESEND_INVITATIONS": True,
    "AUDIT_RETENTION_DAYS": 1,
}
REDIS_OPTIONS = {
    "socket_timeout": 0.25,
    "socket_connect_timeout": 0.25,
    "retry": Retry(NoBackoff(), 0),  # redis-py would try for seconds
}
settings.configure(
    SECRET_KEY="not-a-secret-only-for-tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=INSTALLED_APPS,
    MIDDLEWARE=MIDDLEWARE,
    TEMPLATES=TEMPLATES,
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES={
        "default": {
            **json.loads(os.environ["SOAK_DATABASE"]),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    },
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "limits": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["SOAK_REDIS"],
            "OPTIONS": REDIS_OPTIONS,
        },
    },
    MAILERS={"default": {"BACKEND": "django.core.mail.backends.dummy.EmailBackend"}},
    LOGGING={
        "version": 1,
        "formatters": {"lines": {"()": JSONLines}},
        "handlers": {
            "file": {
                "class": "logging.FileHandler",
                "filename": os.environ["SOAK_LOG"],
                "formatter": "lines",
            }
        },
        "root": {"handlers": ["file"], "level": "WARNING"},
        "loggers": {
            "cognito_reset": {"level": "DEBUG"},
            # Django's own handlers would write to the error stream too.
            "django": {"handlers": [], "level": "WARNING"},
        },
    },
    COGNITO_RESET=RESET,
)
# Also those of sockets and connections that nobody closed.
logging.captureWarnings(True)
warnings.simplefilter("default")
django.setup()

urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
    path("cognito", include("cognito_reset.aws.urls")),
    path("staff/", include("cognito_reset.staff.urls")),
]

application = get_wsgi_application()


if __name__ == "__main__":
    execute_from_command_line(sys.argv)
