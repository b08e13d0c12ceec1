"""
Every block of code in the README and in docs/ is checked, whoever adds it.

The rule: the language that a block names decides how it is checked here, and a block without a language, or with one that
this file doesn't know, fails.

- ``python`` is compiled, and everything that it imports from this package is imported. Lines for the middle of a dict
  (their first line is a comment such as "in COGNITO_RESET") are compiled as a dict.
- ``sh`` and ``console`` are read by ``sh -n``; each ``manage.py`` command and each target of make must exist.
- ``html`` is compiled as a Django template. ``json``, ``ini``, ``yaml`` and ``toml`` are parsed.
- ``js`` is read by ``node --check``. ``jsx`` must be a file of tests/clients/spa, which a browser runs, and ``ts`` the
  block that tests/clients/test_typescript.py compiles.
- Those in NOT_CODE are output, or for programs that aren't here.

Most blocks are also run: those that a site pastes by test_docs_project.py, the quickstart by test_quickstart.py, and
others by the tests of their pages (test_csp.py, test_theming.py, test_spa_guide.py, test_iam.py, test_docs.py, …).
"""

from __future__ import annotations

import ast
import configparser
import importlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable

import pytest
import yaml
from django.core.management import get_commands
from django.template import TemplateSyntaxError, engines

from tests.documentation import ROOT, Block, blocks, pages

NOT_CODE = {
    "css",  # test_theming.py collects these files
    "diff",
    "hcl",
    "http",
    "kotlin",
    "nginx",
    "promql",
    "sql",
    "swift",
    "text",
    "{include}",
    "{toctree}",
}
MISTAKES = (
    AssertionError,
    ImportError,
    SyntaxError,
    TemplateSyntaxError,
    ValueError,  # of JSON and TOML
    configparser.Error,
    subprocess.CalledProcessError,
    yaml.YAMLError,
)
SPA = [*(ROOT / "tests/clients/spa").iterdir()]
BLOCKS = [block for page in pages() for block in blocks(page)]


def check_python(code: str) -> None:
    if re.match(r"# in (COGNITO_RESET|POOLS|the pool's settings)\b", code):
        code = "{\n" + code + "\n}"
    for node in ast.walk(compile(code, "block", "exec", ast.PyCF_ONLY_AST)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("cognito_reset"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("cognito_reset"):
                    importlib.import_module(alias.name)


def check_sh(code: str) -> None:
    subprocess.run(["sh", "-n"], input=code, text=True, check=True)
    for command in re.findall(r"manage\.py (\w+)", code):
        assert command in {*get_commands(), "demo"}, command
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for target in re.findall(r"\bmake ([a-z-]+)\b", code):
        assert target in targets, target


def check_console(code: str) -> None:
    check_sh("".join(line.removeprefix("$ ") for line in code.splitlines(True) if line[0] == "$"))


def check_html(code: str) -> None:
    engines["django"].from_string(code)


def check_ini(code: str) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(code if re.search(r"^\[", code, re.M) else f"[block]\n{code}")
    assert parser.sections()


def check_js(code: str) -> None:
    if code in [file.read_text(encoding="utf-8") for file in SPA]:
        return
    if shutil.which("node") is None:
        pytest.skip("there is no node here")
    subprocess.run(["node", "--input-type=module", "--check"], input=code, text=True, check=True)


def check_jsx(code: str) -> None:
    assert code in [file.read_text(encoding="utf-8") for file in SPA]


def check_ts(code: str) -> None:
    assert code in [block.code for block in blocks(ROOT / "docs/rest.md")]


CHECKS: dict[str, Callable[[str], object]] = {
    "console": check_console,
    "html": check_html,
    "ini": check_ini,
    "js": check_js,
    "json": json.loads,
    "jsx": check_jsx,
    "python": check_python,
    "sh": check_sh,
    "toml": tomllib.loads,
    "ts": check_ts,
    "yaml": lambda code: list(yaml.safe_load_all(code)),
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_each_block_is_checked(block: Block):
    """By the check of its language."""
    if block.language.split(" ")[0] not in NOT_CODE:
        assert block.language in CHECKS, f"{block} has no check: see the docstring of this file."
        CHECKS[block.language](block.code)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "def f(:\n"),
        ("python", "from cognito_reset.signals import no_such_signal\n"),
        ("python", "import cognito_reset.no_such_module\n"),
        ("python", '# in COGNITO_RESET\n"LIMITS": {,\n'),
        ("sh", "if true; then\n"),
        ("sh", "python manage.py no_such_command\n"),
        ("sh", "make no-such-target\n"),
        ("console", "$ make no-such-target\n"),
        ("html", "{% url 'cognito_reset:request' \n{% no_such_tag %}"),
        ("ini", "# nothing\nwithout an equals sign\n"),
        ("js", "const = 5;\n"),
        ("json", "{'a': 1}"),
        ("jsx", "export const Nobody = () => <p>runs it</p>;\n"),
        ("toml", "a = \n"),
        ("ts", "export const untested: number = 5;\n"),
        ("yaml", "a: [\n"),
    ],
)
def test_each_check_finds_a_mistake(language, code):
    """So that none of them accepts everything."""
    with pytest.raises(MISTAKES):
        CHECKS[language](code)
