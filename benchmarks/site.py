"""The site for servers: ``application`` for WSGI, ``over_asgi`` for ASGI."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
application = get_wsgi_application()
over_asgi = get_asgi_application()
