"""docs/log.md names exactly the events that the app logs, with their levels and fields."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path

import pytest

import cognito_reset
from cognito_reset.cognito.errors import ResetError, Unavailable
from cognito_reset.cognito.pool_calls import log_error
from cognito_reset.models import ResetEvent
from tests.documentation import text

PACKAGE = Path(cognito_reset.__file__).parent
#: What stands for "%s" in the names of events.
TEMPLATES = {
    "%s": list(ResetEvent.Outcome.values),
    "%s_failed": ["audit_failed", "notice_failed", "sessions_failed", "sign_out_failed"],
    "site_limit_%s": ["site_limit_half_used", "site_limit_reached"],
}
#: A level, and the fields in their order.
Line = tuple[str, list[str]]


def kinds(kind: type[ResetError] = ResetError) -> list[type[ResetError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in kinds(child))]


def logged() -> dict[str, Line]:
    """Return the level and the fields of each event, from the calls of the loggers in the code."""
    found: dict[str, Line] = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr)]
        texts: dict[
            str, ast.expr
        ] = {}  # the latest value of each variable, for calls with a variable
        for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
            match node:
                case ast.Assign(targets=[ast.Name(id=variable)], value=value):
                    texts[variable] = value
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="logger"), attr=level), args=args
                ):
                    text = args[1] if level == "log" else args[0]
                    if isinstance(text, ast.Name):
                        text = texts[text.id]
                    assert isinstance(text, ast.Constant), ast.unparse(node)
                    line = re.match(r"cognito_reset\.([a-z_%]+)((?: \w+=[%\w]+)*)", str(text.value))
                    assert line is not None, ast.unparse(node)
                    fields = re.findall(r"(\w+)=", line[2])
                    for name in TEMPLATES.get(line[1], [line[1]]):
                        assert found.setdefault(name, (level, fields)) == (level, fields), name
    return found


def documented() -> dict[str, Line]:
    """
    Return the same from the tables of the page. If a table has no column for the level, the level and the fields
    are in the sentence above it.
    """
    found: dict[str, Line] = {}
    for part in text("log.md").split("\n## "):
        shared = re.search(r"Each of these lines is (\w+) and has `([\w= ]+)`", part)
        for name, fields, second, more in re.findall(
            r"^\| `cognito_reset\.(\w+)([\w= ]*)` \| (.*?) \|(.*)", part, re.M
        ):
            assert name not in found
            level = second
            if not more:
                assert shared is not None, name
                level, fields = shared.groups()
            found[name] = level.lower(), re.findall(r"(\w+)=", fields)
    return found


def test_the_page_has_each_event_with_its_level_and_fields() -> None:
    in_code, page = logged(), documented()
    levels = {logging.getLevelName(kind.level).lower() for kind in kinds()}
    level, fields = page.pop("upstream_error")
    assert set(re.findall(r"info|warning|error|critical", level)) == levels
    assert in_code.pop("upstream_error") == ("log", [name for name in fields if name not in {"hint", "at"}])  # fmt: skip
    assert page == in_code
    assert len(page) > 40


def test_an_error_of_cognito_has_the_documented_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Also those that only some errors have."""
    log_error("ForgotPassword", Unavailable(aws_code="Slow", hint="REGION", at="site.py:1"))
    [line] = caplog.messages
    assert re.findall(r" (\w+)=", line) == documented()["upstream_error"][1]


def test_the_page_names_no_other_event() -> None:
    assert set(re.findall(r"\bcognito_reset\.(\w+)", text("log.md"))) == documented().keys()


def test_the_events_to_watch_are_in_the_page_on_the_log() -> None:
    watched = set(re.findall(r"\bcognito_reset\.(\w+)", text("scale.md")))
    assert len(watched) > 15
    assert watched <= documented().keys()
