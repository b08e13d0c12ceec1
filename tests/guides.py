"""The guides in docs/, as their tests read them: see tests/test_guides.py."""

from __future__ import annotations

from typing import Any

from tests.documentation import DOCS, blocks, python, text

NAMES = ("migrating.md", "privacy.md", "security.md", "troubleshooting.md", "upgrading.md")
PAGES = {name: text(name) for name in NAMES}


def codes(page: str, language: str) -> list[str]:
    """Return a page's blocks of code in this language."""
    return [block.code for block in blocks(DOCS / page) if block.language == language]


def executed(page: str, comment: str, **values: Any) -> dict[str, Any]:
    """Run the block of Python that begins with this comment, and return its names."""
    exec(compile(python(page, comment), f"docs/{page}", "exec"), values)
    return values


def cells(markdown: str) -> list[list[str]]:
    """Return the cells of the rows of a text's tables, without the lines below the headings."""
    lines = [line.strip() for line in markdown.splitlines() if line.lstrip().startswith("|")]
    found = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return [row for row in found if not set("".join(row)) <= {"-"}]
