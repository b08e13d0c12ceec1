"""How much a browser loads when a visit begins."""

from __future__ import annotations

from django.test import Client

from tests.weights import FIRST_PAGES, weight_and_requests


def amounts() -> dict[str, int]:
    """Return the bytes of each page in English, and the number of requests."""
    found = {}
    for name, path in FIRST_PAGES.items():
        response = Client().get(f"/pages/{path}")
        found[name], found["requests"] = weight_and_requests(response.content.decode())
    return found
