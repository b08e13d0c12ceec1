"""docs/stability.md lists the public names, and they are what the documentation imports."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests import stability_page

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = stability_page.public_names()


def test_the_page_is_up_to_date():
    """If this fails, run ``python -m tests.stability_page``."""
    assert stability_page.PAGE.read_text(encoding="utf-8") == stability_page.page()


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_name_exists(module):
    found = import_module(module)
    for name in PUBLIC[module]:
        assert hasattr(found, name), name


def imports(text: str) -> set[tuple[str, str]]:
    """Return the module and the name of each import from the package in a text of Python."""
    found = re.findall(r"^ *from (cognito_reset[\w.]*) import (\([^)]*\)|[\w, ]+)", text, re.M)
    return {(module, name) for module, names in found for name in re.findall(r"\w+", names)}


def is_public(module: str, name: str) -> bool:
    """Return whether a name, or a module of that name, is public. Modules of URLs are, as the page says."""
    return (
        name in PUBLIC.get(module, ())
        or f"{module}.{name}" in PUBLIC
        or name == "urls"
        or name.endswith("custom_message")
    )


def test_the_documentation_imports_public_names_only():
    found = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            found |= imports(block)
    assert len(found) > 10
    assert {f"{module}.{name}" for module, name in found if not is_public(module, name)} == set()


def test_typing_api_uses_public_names_only():
    """And most of them: make types checks what it uses."""
    found = imports((ROOT / "tests" / "typing_api.py").read_text(encoding="utf-8"))
    assert {name for name in found if not is_public(*name)} == set()
    modules = {module for module, _ in found} | {f"{module}.{name}" for module, name in found}
    unused = {module for module in PUBLIC if module not in modules}
    assert unused == {"cognito_reset.aws.views", "cognito_reset.testing.fixtures"}
