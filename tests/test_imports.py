"""Imports point down, and a site that starts loads no boto3."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cognito_reset

PACKAGE = Path(cognito_reset.__file__).parent
# From the ground up: a room imports rooms of the layers below its own, and nothing else of ours.
LAYERS = [
    {"__init__", "cors", "custom_message", "flow", "phones", "timing"},
    {"exceptions", "signals", "models"},
    {"conf"},
    {"addresses", "service", "slots"},
    {"deliveries", "policy", "replays", "throttling"},
    {"serializers"},
    {"bulk", "checks", "receivers", "steps", "url_checks"},
    {"audit_admin"},
    {"admin", "api", "management", "tasks", "views"},
    {"aws_json"},  # a REST view with other words
    {"api_urls", "aws_json_urls", "openapi", "urls"},
    {"apps"},
]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
# Where being below isn't enough: what these may import.
ALLOWED = {
    "cors": set[str](),
    "custom_message": set[str](),
    "service": {"__init__", "conf", "exceptions"},
    "checks": {"conf", "exceptions", "phones", "service", "throttling"},
    "url_checks": {"cors"},
    "serializers": {"phones", "policy"},
    "deliveries": {"service"},
    "flow": set[str](),
    "timing": set[str](),
    "views": {"conf", "exceptions", "flow", "policy", "serializers", "steps"},
    "api": {"conf", "exceptions", "policy", "serializers", "steps"},
    "aws_json": {"api", "conf", "deliveries", "exceptions", "serializers", "service", "steps"},
    "replays": {"conf", "exceptions", "slots"},
}
AWS = {"boto3", "botocore"}
ROOMS = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in ("migrations", "testing")
)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(node: ast.AST, *, inner: bool = False) -> Iterator[tuple[str, bool]]:
    """The names of the modules that are imported at run time, and whether in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((name.name, inner) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = child.module or ""
            # "from cognito_reset import exceptions" is an import of exceptions.
            yield from ((f"{module}.{name.name}", inner) for name in child.names)
        elif isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        else:
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from imports(child, inner=inner or is_function)


def imported(path: Path) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(path.read_text(encoding="utf-8"))))


def ours(path: Path) -> set[str]:
    rooms = set()
    for name, _ in imported(path):
        package, _, rest = name.partition(".")
        if package == "cognito_reset":
            room = rest.partition(".")[0]
            rooms.add(room if room in LAYER or room == "testing" else "__init__")
    return rooms


def test_every_room_has_a_place():
    """A new file is put into the map before it imports anything."""
    assert {room_of(path) for path in ROOMS} <= set(LAYER)
    assert len(ROOMS) > 15


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    """No room knows what stands on it, nor a neighbour, nor the tests' own tools."""
    room = room_of(path)
    for other in ours(path):
        assert other in LAYER, f"{room} imports {other}"
        assert LAYER[other] < LAYER[room], f"{room} imports {other}"
    assert ours(path) <= ALLOWED.get(room, set(LAYER))


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_two_rooms_know_boto3_and_none_when_it_is_imported(path):
    """service.py and exceptions.py, in functions; ready() imports what needs the registry of apps."""
    room = room_of(path)
    for name, inner in imported(path):
        package = name.partition(".")[0]
        if package in AWS:
            assert room in ("service", "exceptions")
            assert inner, f"{room} imports {name} at once"
        elif inner:
            assert (room, package) == ("apps", "cognito_reset"), f"{room} imports {name} late"


def test_the_parser_sees_imports():
    """The tests above can fail."""
    source = "import a.b\nfrom c import d\ndef f():\n    from e import g\nif TYPE_CHECKING:\n    import h"
    assert list(imports(ast.parse(source))) == [("a.b", False), ("c.d", False), ("e.g", True)]
    found = {name.partition(".")[0] for name, _ in imported(PACKAGE / "service.py")}
    assert found >= AWS


def run(source: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


UNWANTED = {"boto3", "botocore", "cognito_reset.rest.openapi", "cognito_reset.testing"}
LOADED = f"print(sorted({UNWANTED} & set(sys.modules)))"


def test_a_site_starts_without_boto3():
    """Admin and receivers included, and every URL and check: it takes memory and time to load."""
    source = f"""
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.core.management import call_command
from django.urls import get_resolver
from cognito_reset.conf import conf
call_command("check", "--deploy", "--fail-level", "CRITICAL", stdout=sys.stderr)
assert get_resolver().url_patterns
assert conf.service_class.__name__ == "CognitoService"
assert "cognito_reset.admin" in sys.modules
assert "cognito_reset.receivers" in sys.modules
{LOADED}
"""
    assert run(source) == "[]\n"


def test_the_app_needs_nothing_of_contrib_but_auth():
    """contenttypes and auth, which DRF needs, too: no admin, no sessions, no sites, no messages."""
    source = f"""
import sys
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    ROOT_URLCONF="cognito_reset.rest.urls",
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "cognito_reset"
    ],
    SILENCED_SYSTEM_CHECKS=["cognito_reset.W007"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    COGNITO_RESET={{"POOLS": {{"default": {{
        "REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_Example01", "CLIENT_ID": "1example"
    }}}}}},
)
django.setup()
from django.core.management import call_command
import cognito_reset.urls
call_command("check", "--fail-level", "WARNING", stdout=sys.stderr)
call_command("migrate", verbosity=0)
assert not {{"django.contrib.admin", "django.contrib.sessions"}} & set(settings.INSTALLED_APPS)
assert "cognito_reset.admin" not in sys.modules
{LOADED}
"""
    assert run(source) == "[]\n"
