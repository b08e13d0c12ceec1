"""Every promise has its tests, and docs/requirements.md lists them."""

from __future__ import annotations

import re

from tests.requirements_page import PAGE, page, promises, proofs


def test_every_requirement_has_a_test():
    """A promise without a test is only a wish."""
    assert sorted(promises().keys() - proofs().keys()) == []


def test_every_marker_names_a_requirement():
    """A test that names an unknown promise proves nothing to a reader."""
    assert sorted(proofs().keys() - promises().keys()) == []


def test_every_requirement_is_a_sentence_with_an_id():
    """The ids are unique, because the file is TOML."""
    for row, promise in promises().items():
        assert re.fullmatch(r"[A-Z][0-9]{1,2}", row)
        assert promise.endswith(".")


def test_the_page_is_up_to_date():
    """If this fails, run ``make requirements``."""
    assert PAGE.read_text(encoding="utf-8") == page()
