"""The README and the pages of docs/, as the tests read them: sections, tables, blocks of code, links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MARKDOWN = MarkdownIt("commonmark").enable("table")


def pages() -> list[Path]:
    """Return all files whose links and code are checked."""
    names = ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")
    return [*(ROOT / f"{name}.md" for name in names), *sorted(DOCS.glob("*.md"))]


def text(name: str) -> str:
    """Return a page of docs/ by its name, such as "rest.md"."""
    return (DOCS / name).read_text(encoding="utf-8")


def heading(name: str) -> str:
    """Return the heading of a page of docs/, such as "REST endpoints"."""
    return str(re.findall("^# (.*)", text(name), re.M)[0])


def section(name: str, title: str) -> str:
    """Return what a page has below a heading, up to the next heading of the same or a higher level."""
    lines = text(name).splitlines(keepends=True)
    found: list[str] = []
    level, fenced = 0, False
    for line in lines:
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"(#+) (.*)", line)
        if level and heading and len(heading[1]) <= level:
            return "".join(found)
        if level:
            found.append(line)
        elif heading and heading[2] == title:
            level = len(heading[1])
    assert level, f'{name} has no heading "{title}".'
    return "".join(found)


def rows(markdown: str) -> dict[str, list[str]]:
    """Return the rows of a text's tables whose first cell is code, by that cell."""
    lines = [line for line in markdown.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


@dataclass(frozen=True)
class Block:
    """A block of code: where it is, its language, and its text."""

    path: Path
    line: int
    language: str
    code: str

    @property
    def first_line(self) -> str:
        return self.code.partition("\n")[0]

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} ({self.language})"


def blocks(path: Path) -> list[Block]:
    """Return a page's blocks of code."""
    return [
        Block(path, token.map[0] + 1 if token.map else 0, token.info.strip(), token.content)
        for token in MARKDOWN.parse(path.read_text(encoding="utf-8"))
        if token.type == "fence"
    ]


def python(name: str, comment: str) -> str:
    """Return the one block of a page that begins with this comment, without the comment."""
    path = ROOT / name if name == "README.md" else DOCS / name
    found = [block for block in blocks(path) if block.first_line == f"# {comment}"]
    assert len(found) == 1, f'{name} has {len(found)} blocks that begin with "# {comment}".'
    return found[0].code.partition("\n")[2]


def links(path: Path) -> Iterator[str]:
    """Yield the addresses of a page's links and pictures."""
    for token in _tokens(path):
        if token.type in ("link_open", "image"):
            yield str(token.attrs.get("href", token.attrs.get("src")))
        elif token.type in ("html_inline", "html_block"):
            yield from re.findall(r'(?:href|src|srcset)="([^"]*)"', token.content)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub, and MyST in the same way, make of a page's headings."""
    found: set[str] = set()
    tokens = MARKDOWN.parse(path.read_text(encoding="utf-8"))
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            title = "".join(
                child.content
                for child in inline.children or []
                if child.type in ("text", "code_inline")
            )
            stem = slug = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            number = 0
            while slug in found:
                number += 1
                slug = f"{stem}-{number}"
            found.add(slug)
    return found


def _tokens(path: Path) -> Iterator[Token]:
    for token in MARKDOWN.parse(path.read_text(encoding="utf-8")):
        yield token
        yield from token.children or []
