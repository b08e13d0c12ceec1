"""pip installs the app and its data, and nothing else of this repository."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import cognito_reset

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(cognito_reset.__file__).resolve().parent
DATA_SUFFIXES = {".css", ".html", ".js", ".mo", ".po", ".py", ".svg", ".txt", ".typed"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of this checkout, because setuptools leaves files where it builds."""
    pytest.importorskip("build", reason="build isn't installed")
    if not (ROOT / "cognito_reset").is_dir():
        pytest.skip("there is no checkout here to build a wheel from")
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(
        ROOT / "cognito_reset",
        source / "cognito_reset",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ["tests", "example_project"]:
        (source / name).mkdir()
        (source / name / "__init__.py").touch()
    (source / ".env").write_text("COGNITO_CLIENT_SECRET=example\n")
    (source / "cognito_reset" / ".env").write_text("COGNITO_CLIENT_SECRET=example\n")
    for name in ["setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"]:
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (path,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def package_files() -> set[str]:
    return {
        f"cognito_reset/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.suffix in DATA_SUFFIXES or path.name == "py.typed"
    }


@pytest.mark.requirement("H7")
def test_wheel_holds_the_whole_package_and_nothing_else(wheel):
    """It has every source, template, static file and translation, and no .env, tests or example."""
    names = set(wheel.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == package_files()


def test_wheel_metadata(wheel):
    """The metadata names the licence, the Python, three requirements and two extras."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = message_from_bytes(wheel.read(name))
    assert metadata["Name"] == "django-cognito-reset"
    assert metadata["Version"] == cognito_reset.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert sorted(metadata.get_all("Requires-Dist", [])) == [
        "Django>=5.2",
        "boto3>=1.35",
        "djangorestframework>=3.16",
        'drf-spectacular>=0.29; extra == "openapi"',
        'phonenumbers>=8.13; extra == "phone"',
    ]


@pytest.mark.requirement("H7")
def test_h7_no_file_holds_a_key_of_aws_or_a_private_one():
    """Nothing in this repository looks like a real secret."""
    secret = re.compile(
        rb"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|aws_secret_access_key *= *\w{40}"
    )
    folders = [PACKAGE, ROOT / "tests", ROOT / "example_project", ROOT / "docs"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [path for path in files if secret.search(path.read_bytes())] == []


def test_package_is_imported_from_where_it_should_be():
    """It is the checkout, unless `make wheel-test` names the environment with the wheel."""
    expected = os.environ.get("COGNITO_RESET_INSTALLED_IN", ROOT)
    assert PACKAGE.is_relative_to(Path(expected).resolve())


def lines_of_code(path):
    """Count the lines of code, without blank lines, comments, docstrings and the lists of public names."""
    tree = ast.parse(path.read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt)]
    lines = {line for node in nodes for line in (node.lineno, node.end_lineno)}
    texts = [
        node.value
        for node in nodes
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    ]
    return len(lines) - len({line for text in texts for line in (text.lineno, text.end_lineno)})


def test_app_stays_small():
    """What every site runs can be read in a day."""
    optional = {"testing", "staff", "management", "doctor", "aws_lambda"}
    sources = [
        path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in optional
    ]
    # Some 400 lines of cognito/ are there for the doctor alone.
    assert sum(map(lines_of_code, sources)) < 5700


SETTINGS = """
INSTALLED_APPS += ["cognito_reset"]
ROOT_URLCONF = "urls_of_the_test"
ALLOWED_HOSTS = ["testserver"]
COGNITO_RESET = {
    "POOLS": {
        "default": {
            "REGION": "eu-west-1",
            "USER_POOL_ID": "eu-west-1_Example01",
            "CLIENT_ID": "1example23456789",
            "ENDPOINT_URL": "http://127.0.0.1:1",
        }
    }
}
"""
URLS = """
from django.urls import include, path
urlpatterns = [
    path("password-reset/", include("cognito_reset.urls")),
    path("api/password-reset/", include("cognito_reset.rest.urls")),
]
"""
VISIT = """
import django; django.setup()
from django.core.management import call_command
from django.test import Client
import cognito_reset
print(cognito_reset.__file__)
call_command("migrate", verbosity=0)
client = Client()
print(client.get("/password-reset/").status_code, client.get("/password-reset/confirm/").status_code)
answer = client.post("/api/password-reset/", {"username": "a"}, content_type="application/json")
print(answer.status_code, answer.json()["errors"][0]["code"])
"""


def test_a_new_project_needs_one_app_one_include_and_one_setting(wheel, tmp_path):
    """Pages and endpoints work in a project of startproject's, and the checks name what is left to do."""
    installed, project = tmp_path / "installed", tmp_path / "project"
    wheel.extractall(installed)
    project.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(installed),
        "DJANGO_SETTINGS_MODULE": "site_of_the_test.settings",
    }

    def run(*arguments, check=True):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=check,
        )

    run("-m", "django", "startproject", "site_of_the_test", ".", "--settings=")
    with (project / "site_of_the_test" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (project / "urls_of_the_test.py").write_text(URLS)
    where, pages, endpoint = run("-c", VISIT).stdout.split("\n")[:3]
    assert Path(where).is_relative_to(installed)
    assert (pages, endpoint) == ("200 200", "503 unavailable")
    # The project's own settings may be errors in deployment. On Django 6.1 those for mail are.
    deployed = run("manage.py", "check", "--deploy", check=False)
    assert "cognito_reset.W005" in deployed.stderr
    assert "cognito_reset.W008" in deployed.stderr
    assert "cognito_reset.E" not in deployed.stderr


HOSTILE_PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "hostile"
version = "1"
[project.entry-points.pytest11]
hostile = "hostile"
[tool.setuptools]
py-modules = ["hostile"]
"""
HOSTILE_PLUGIN = """
from pathlib import Path
for folder in (Path("..", "dist"), Path({dist!r})):
    for built in folder.glob("*"):
        built.write_bytes(b"not what was built")
"""


@pytest.mark.slow
def test_a_package_of_the_tests_cannot_change_what_is_published(tmp_path):
    """`make wheel-test` fails if a plugin of pytest overwrites the built files."""
    if not (ROOT / ".git").exists():
        pytest.skip("there is no checkout here to build a wheel from")
    hostile, dist, venv = tmp_path / "hostile", tmp_path / "dist", Path(sys.prefix)
    hostile.mkdir()
    (hostile / "pyproject.toml").write_text(HOSTILE_PROJECT)
    (hostile / "hostile.py").write_text(HOSTILE_PLUGIN.format(dist=str(dist)))
    command = ["make", "wheel-test", f"--assume-old={venv}/.stamp-test", f"VENV={venv}"]
    done = subprocess.run(
        [
            *command,
            f"DIST={dist}",
            f"WHEEL_WITH={hostile}",
            f"ARGS=tests/{Path(__file__).name} -n 0 --co -q",
        ],
        cwd=ROOT,
        # The inner run must not inherit the options of this run's make, pytest and coverage.
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COVERAGE", "MAKE", "MFLAGS", "PYTEST"))
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Something changed the built files" in done.stdout, done.stdout + done.stderr
