"""What a browser loads for a page, compressed as servers do it: for test_templates.py and for docs/performance.md."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders

# The pages on which a visit begins, by name. The link in the mail leads to the second.
FIRST_PAGES = {"request": "", "confirm": "confirm/"}
# A token of Django's, as one was drawn.
TOKEN = "vJRgdNP0mZtqgj6k6yRIX9TMKEmWNKv4SEZJdRlVexTFpXCF1sRqJYgR9ZyupSQw"


def compressed(data: bytes) -> int:
    return len(gzip.compress(data, 6))


def assets(html: str) -> dict[str, bytes]:
    """Return the files that the page's elements name, by address."""
    addresses = re.findall(r'<(?!a\b|form\b)[^>]+?\b(?:src|href|srcset|data)="([^"]*)"', html)
    found = {}
    for address in addresses:
        path = finders.find(address.removeprefix(settings.STATIC_URL))
        assert isinstance(path, str), f"{address} isn't a file of the site"
        found[address] = Path(path).read_bytes()
    return found


def weight_and_requests(html: str) -> tuple[int, int]:
    """Return the bytes, compressed, of a page with all that it loads, and the number of requests."""
    files = assets(html)
    # A random token compresses differently each time.
    html = re.sub('(?<=name="csrfmiddlewaretoken" value=")[^"]*', TOKEN, html)
    return compressed(html.encode()) + sum(map(compressed, files.values())), 1 + len(files)
