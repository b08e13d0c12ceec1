"""docs/requirements.md and the suite say the same."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "requirements.md"
ROW = re.compile(r"\| ([A-Z][0-9]+) \| (.+) \| (.+) \|")
# A check's id, "W006", may stand beside those of requirements.
IDS = re.compile(r"[A-Z][0-9]{1,3}(?:, [A-Z][0-9]{1,3})*")


def rows():
    return [match.groups() for line in PAGE.read_text().splitlines() if (match := ROW.match(line))]


def named_in(function):
    """Give the ids that a test names: ``test_a1_a2_…``, or ``A1, A2: …`` in its docstring."""
    ids = {
        part.upper()
        for part in function.name.split("_")[1:]
        if re.fullmatch(r"[a-z][0-9]{1,2}", part)
    }
    head, colon, _rest = (ast.get_docstring(function) or "").partition(":")
    if colon and IDS.fullmatch(head):
        ids |= {name for name in head.split(", ") if len(name) < 4}
    return ids


@cache
def ids_by_test():
    """Give the ids that each test names, by the test's path and name."""
    return {
        f"{path.relative_to(TESTS)}::{node.name}": named_in(node)
        for path in sorted(TESTS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_requirement_has_the_tests_that_it_names(row):
    """A promise is kept by the tests that name it, and by all of them."""
    identifier, promise, proofs = row
    assert promise.endswith(".")
    found = ids_by_test()
    proved_by = re.findall(r"`([^`]+)`", proofs)
    assert proved_by
    assert set(proved_by) == {test for test, ids in found.items() if identifier in ids}


def test_every_requirement_that_a_test_names_is_published():
    """A test that names a promise nobody can read proves nothing to anybody."""
    published = [identifier for identifier, *_ in rows()]
    assert len(published) == len(set(published)) > 70
    named = set().union(*ids_by_test().values())
    assert sorted(named - set(published)) == []
