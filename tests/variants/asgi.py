"""Requests come in by ASGI: the flow's client is the asynchronous one."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  # a variant of it

FLOW_OVER_ASGI = True
