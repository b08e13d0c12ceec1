"""The settings of the site. ENGINE names its task queue, and ENGINE_* have what a test's processes share."""

from __future__ import annotations

import json
import os

import django

from tests.services.stores import REDIS
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS

ENGINE = os.environ["ENGINE"]
QUEUE = os.environ["ENGINE_QUEUE"]
REDIS_DB = 9
INSTALLED_APPS = [*APPS, "tests.services.engines.apps.EnginesConfig"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["ENGINE_DATABASE"],
        "OPTIONS": {"timeout": 20},
    }
}
# Django has tasks of its own since 6.0.
HAS_TASKS = django.VERSION >= (6, 0)
TASKS_OF = {"rq": "rq_tasks", "django-tasks": "builtin_tasks" if HAS_TASKS else "backport_tasks"}
COGNITO_RESET = {
    "POOLS": {"default": json.loads(os.environ["ENGINE_POOL"])},
    "TOTAL_TIMEOUT_SECONDS": 16.0,
    "BULK_ENQUEUE": (
        f"tests.services.engines.{TASKS_OF.get(ENGINE, 'celery_tasks')}.enqueue_bulk_slice"
    ),
}

if ENGINE.startswith("celery"):
    CELERY_BROKER_URL = os.environ["ENGINE_BROKER"]
    CELERY_TASK_DEFAULT_QUEUE = QUEUE
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
    CELERY_BROKER_TRANSPORT_OPTIONS = (
        {"global_keyprefix": f"{QUEUE}:"} if ENGINE == "celery-redis" else {}
    )
elif ENGINE == "rq":
    INSTALLED_APPS += ["django_rq"]
    RQ_QUEUES = {
        "resets": {"HOST": REDIS[0], "PORT": REDIS[1], "DB": REDIS_DB, "DEFAULT_TIMEOUT": 60},
    }
else:
    INSTALLED_APPS += ["django_tasks_db"] if HAS_TASKS else ["django_tasks", "django_tasks_db"]
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
