from __future__ import annotations

from django.http import HttpRequest

from example_project import pool


def demo(request: HttpRequest) -> dict[str, bool]:
    """Tell templates whether there is an emulator, and so an inbox."""
    return {"emulated": pool.has_inbox()}
