"""
Write docs/requirements.md: the promises of requirements.toml, each with the tests that prove it.

A test names its promises in a decorator, ``@pytest.mark.requirement("A1", "A2")``. The decorators
are read from the source, so that a test counts where it would be skipped or isn't collected.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "requirements.md"
HEAD = """# Requirements

This page lists what the project promises. Each promise has tests that fail if it is broken. `make requirements`
writes this page from `tests/requirements.toml` and from the marker `requirement` on the tests.
"""


def sections() -> dict[str, dict[str, str]]:
    """Return each section's title, and its promises by their ids."""
    return tomllib.loads((TESTS / "requirements.toml").read_text(encoding="utf-8"))


def promises() -> dict[str, str]:
    """Return all promises by their ids."""
    return {
        row: promise
        for section in sections().values()
        for row, promise in section.items()
        if row != "title"
    }


def markers(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield each ``mark.requirement(…)``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr="requirement")):
                yield node


def proofs() -> dict[str, set[str]]:
    """Return the tests that prove each promise, by its id."""
    found: dict[str, set[str]] = {}
    for path in TESTS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        unread = set(markers(tree))
        for test in ast.walk(tree):
            if not isinstance(test, ast.FunctionDef) or not test.name.startswith("test_"):
                continue
            for marker in set(test.decorator_list) & unread:
                unread.remove(marker)
                for row in marker.args:
                    name = f"{path.relative_to(TESTS).as_posix()}::{test.name}"
                    found.setdefault(ast.literal_eval(row), set()).add(name)
        if unread:
            raise ValueError(f"{path} has a requirement marker that doesn't decorate a test.")
    return found


def page() -> str:
    """Return the text of docs/requirements.md."""
    tests = proofs()
    parts = [HEAD]
    for letter, section in sections().items():
        parts.append(f"\n## {letter}. {section['title']}\n")
        parts.append("\n| id | promise | proved by |\n| --- | --- | --- |\n")
        for row, promise in section.items():
            if row != "title":
                proved_by = "<br>".join(f"`{test}`" for test in sorted(tests.get(row, [])))
                parts.append(f"| {row} | {promise} | {proved_by} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
