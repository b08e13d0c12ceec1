"""
Every link between the README, docs/, CHANGELOG, CONTRIBUTING and SECURITY leads to a file that exists, and to a heading
of it. No network is used: links to other sites aren't followed. `make docs` checks the links of docs/ once more.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documentation import DOCS, ROOT, anchors, links, pages

SITE = "https://django-cognito-reset.readthedocs.io/en/latest/"
REPOSITORY = "https://github.com/django-cognito-reset/django-cognito-reset/blob/main/"
RAW = "https://raw.githubusercontent.com/django-cognito-reset/django-cognito-reset/main/"


def file_of(page: Path, address: str) -> tuple[Path, str] | None:
    """Return the file of this repository, and the anchor, that a link leads to, or None for another site."""
    address, _, anchor = address.partition("#")
    for prefix in (REPOSITORY, RAW):
        if address.startswith(prefix):
            return ROOT / address.removeprefix(prefix), anchor
    if address.startswith(SITE):
        name = address.removeprefix(SITE) or "index.html"
        return DOCS / re.sub(r"\.html$", ".md", name), anchor
    if re.match(r"[a-z]+:", address):
        return None
    return (page.parent / address if address else page), anchor


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_each_link_leads_somewhere(page):
    """Relative links, and those to this project's own site and repository."""
    broken = []
    for address in links(page):
        found = file_of(page, address)
        if found is None:
            continue
        path, anchor = found
        if not path.is_file() or (anchor and anchor not in anchors(path)):
            broken.append(address)
    assert broken == []


def test_every_page_is_in_the_table_of_contents():
    """Each page of docs/ is listed exactly once in docs/index.md, and each listed page exists."""
    source = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", source, re.M | re.S)
    listed = [line for tree in trees for line in tree.splitlines() if line and line[0] != ":"]
    assert sorted(listed) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_the_pictures_are_there():
    """The folder has exactly the pictures that the README and the docs show."""
    shown = {
        Path(address).name
        for page in pages()
        for address in links(page)
        if "screenshots/" in address
    }
    assert shown == {path.name for path in (DOCS / "screenshots").iterdir()}
