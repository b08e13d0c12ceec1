"""The README, as PyPI and the repository show it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.documentation import ROOT, blocks, python
from tests.test_links import file_of

README = ROOT / "README.md"


class Addresses(HTMLParser):
    """Collects the addresses of links and pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(value) for name, value in attrs if name in ("href", "src", "srcset")]


def as_on_pypi() -> str:
    markdown = pytest.importorskip(
        "readme_renderer.markdown", reason="readme_renderer isn't installed"
    )
    rendered = markdown.render(README.read_text(encoding="utf-8"))
    assert rendered is not None
    return str(rendered)


def test_links_and_pictures_work_on_pypi():
    """PyPI has no files beside the page, so each address is absolute. Each file that one names exists."""
    page = as_on_pypi()
    addresses = Addresses()
    addresses.feed(page)
    assert page.count("<img") == 3
    assert len(addresses.found) > 40
    for address in addresses.found:
        if address.startswith("#user-content-"):  # the renderer's own anchors of headings
            continue
        assert address.startswith("https://"), address
        found = file_of(README, address)
        if found:
            assert Path(found[0]).is_file(), address


def test_the_tables_and_blocks_are_shown_on_pypi():
    """PyPI's renderer removes what it doesn't allow."""
    page = as_on_pypi()
    assert page.count("<table>") == 1
    assert page.count("<pre") == len(blocks(README))
    assert "INSTALLED_APPS" in page


def test_the_first_commands_are_those_of_make():
    """A checkout is tried with `make demo`, and tested with `make test`."""
    first = blocks(README)[0]
    assert re.findall(r"^make \w+", first.code, re.M) == ["make demo", "make test"]


def test_the_blocks_are_those_of_the_quickstart():
    """test_quickstart.py runs them."""
    for name in ("settings.py", "urls.py"):
        assert python("README.md", name) == python("quickstart.md", name)
    quickstart = {block.code for block in blocks(ROOT / "docs" / "quickstart.md")}
    for block in blocks(README):
        if block.language in ("ini", "html", "python"):
            assert block.code in quickstart


def test_the_readme_is_short():
    """Everything else is in docs/."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150
