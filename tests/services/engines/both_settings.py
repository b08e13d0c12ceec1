"""The settings of a site with two task queues, Celery's and RQ's, on one Redis and one PostgreSQL."""

from __future__ import annotations

import os

from tests.services.engines.site_settings import *  # noqa: F403
from tests.services.engines.site_settings import COGNITO_RESET as ONE
from tests.services.engines.site_settings import INSTALLED_APPS as APPS
from tests.settings import DATABASE_SETTINGS

INSTALLED_APPS = [*APPS, "django_rq"]
NAME = os.environ["ENGINE_DATABASE"]
DATABASES = {
    "default": {**DATABASE_SETTINGS["postgresql"], "NAME": NAME, "TEST": {"NAME": NAME}},
}
RQ_QUEUES = {"resets": {"URL": os.environ["ENGINE_BROKER"], "DEFAULT_TIMEOUT": 60}}
COGNITO_RESET = {
    **ONE,
    "BULK_ENQUEUE": "tests.services.engines.both_tasks.enqueue_bulk_slice",
    "CLIENT_METADATA": "tests.services.engines.both_tasks.note_worker",
}
