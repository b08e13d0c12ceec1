"""The demo on a site that has django-cors-headers, and none of our lists."""

from __future__ import annotations

from example_project.settings import *  # noqa: F403  # a variant of it

del CORS_ALLOW_HEADERS, CORS_EXPOSE_HEADERS  # noqa: F821
