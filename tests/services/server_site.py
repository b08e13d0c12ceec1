"""
A site with all public interfaces and the default limits, for test_servers.py: ``application`` for WSGI servers,
``over_asgi`` for ASGI servers, and ``main()``, which plays AWS Lambda: it reads an event on each line, and writes
the answer of Mangum's handler.
"""

from __future__ import annotations

import json
import os
import sys

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

from tests.services.stores import CACHES
from tests.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

MEMORY = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
in_cluster = "REDIS_CLUSTER" in os.environ
settings.configure(
    SECRET_KEY="not-a-secret-only-for-tests",
    ALLOWED_HOSTS=["127.0.0.1", ".amazonaws.com", ".on.aws"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=INSTALLED_APPS,
    MIDDLEWARE=MIDDLEWARE,
    TEMPLATES=TEMPLATES,
    STATIC_URL="/static/",
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_FILE"]}
    },
    CACHES={"default": MEMORY, "limits": CACHES["redis-cluster"] if in_cluster else MEMORY},
    LOGGING_CONFIG=None,
    COGNITO_RESET={
        "POOLS": {"default": json.loads(os.environ["COGNITO_POOL"])},
        "LIMITS_CACHE": "limits" if in_cluster else None,
        # The header that a gateway sets. Over a plain connection there is none.
        "TRUSTED_PROXIES": {"COUNT": 1},
    },
)
django.setup()

urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
    path("cognito", include("cognito_reset.aws.urls")),
]

call_command("migrate", verbosity=0)
application = get_wsgi_application()
over_asgi = get_asgi_application()


def main() -> None:
    from mangum import Mangum

    handler = Mangum(over_asgi, lifespan="off")
    for line in sys.stdin:
        answer = handler(json.loads(line), None)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
