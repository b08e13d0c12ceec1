from __future__ import annotations

from django.http import HttpRequest

from example_project import pool


def demo(request: HttpRequest) -> dict[str, bool]:
    """Whether there is an emulator, and with it an inbox to look into."""
    return {"emulated": pool.has_inbox()}
