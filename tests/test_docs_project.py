"""
A new project in which somebody has pasted every block of the guides, in whatever order.

The project's own tests run in a process of their own, with the fixture of the test kit.
"""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.documentation import DOCS, ROOT, Block, blocks, pages, text

#: Their blocks are the quickstart's first ones, or shorter ones in place of them.
STARTS = {"README.md", "index.md"}
FILE = re.compile(r"# ([\w-]+\.py)\b")
SHELL = re.compile(r"# manage\.py shell\b")
#: Where lines for the middle of a dict go: before these words of the first block for settings.py.
PLACES = {
    "in COGNITO_RESET": '    "SIGN_IN_URL":',
    "in POOLS": '        "default": {',
    "in the pool's settings": '            "REGION":',
}
#: A site has only one of these blocks, by the first lines.
ALTERNATIVES = [
    [
        "# tasks.py, with Celery",
        "# tasks.py, with django-rq",
        "# tasks.py, with Django's own tasks",
    ],
    ["# settings.py, with Django's own middleware", "# settings.py, with django-csp"],
    ["# admin.py", "# admin.py, instead of the UserAdmin above"],
]
#: Their packages are in other groups of dependencies than "test", or not on Django 5.2.
MAY_BE_LEFT_OUT = {
    *ALTERNATIVES[0],
    "# views.py, with allauth's sign-in page",
    "# lambda_function.py",
    "# settings.py",  # with django-redis
    "# settings.py, with Django's own middleware",
    "# settings.py, after the block with Django's own middleware, for nonces",
}
#: The pages that have blocks without a place: examples to read.
TO_READ = {"emulator.md", "performance.md", "settings.md", "staff.md", "upgrading.md"}
PYTHON = [
    block
    for page in pages()
    if page.name not in STARTS
    for block in blocks(page)
    if block.language == "python"
]
FOLDERS = dict.fromkeys(("settings.py", "urls.py", "wsgi.py"), "config") | dict.fromkeys(
    ("pool.py", "lambda_function.py"), "."
)
#: Blocks for settings.py need these packages. Blocks for other files are left out without theirs.
NEEDS = ("corsheaders", "csp", "environ", "phonenumbers", "pwned_passwords_django")

ORDERS = ("as they stand", "backwards", "shuffled")

FIXTURES = '''
import io

import pytest

pytest_plugins = ["cognito_reset.testing.fixtures"]


@pytest.fixture(autouse=True)
def without_other_companies(monkeypatch, settings):
    """Replace what the recipes ask of haveibeenpwned.com and Cloudflare."""
    settings.TURNSTILE_SECRET = "secret"
    answer = b'{"success": true}'
    monkeypatch.setattr("example.hooks.urlopen", lambda *args, **kwargs: io.BytesIO(answer))
    settings.AUTH_PASSWORD_VALIDATORS = [
        validator
        for validator in settings.AUTH_PASSWORD_VALIDATORS
        if "pwned" not in validator["NAME"]
    ]
'''
TESTS = '''
import importlib
import json
from pathlib import Path

import pytest
from django.core.management import call_command

PASSWORD = "Glass-otter-anvil-27"
NEXT_PASSWORD = "Paper-heron-flute-31"


@pytest.fixture
def alice(cognito_emulator, db, settings):
    """Make a user at Cognito, and return the address that signs in."""
    email = "alice@example.com"
    pairs = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    pool = settings.COGNITO_RESET["POOLS"]["default"]["USER_POOL_ID"]
    user = {"UserPoolId": pool, "Username": "alice"}
    for operation, members in {
        "AdminCreateUser": {"UserAttributes": pairs, "MessageAction": "SUPPRESS"},
        "AdminSetUserPassword": {"Password": "Correct-horse-1", "Permanent": True},
    }.items():
        status, body = cognito_emulator.handle(operation, {**user, **members})
        assert status == 200, body
    return email


def test_the_checks_find_nothing():
    """Not even Django's own check of names that aren't unique."""
    call_command("check", fail_level="WARNING")


def test_the_examples_can_be_imported():
    for path in Path("example").glob("*.py"):
        if path.name != "reset.py":  # a program that asks for a code
            importlib.import_module(f"example.{path.stem}")


def test_the_pages_lead_to_the_sign_in_page(alice, client, cognito_emulator, capfd):
    page = client.get("/password-reset/")
    assert page.context["brand"] == "Example"
    answer = client.post("/password-reset/", {"username": alice})
    assert answer.url == "/password-reset/confirm/"
    code = cognito_emulator.outbox[-1].code
    data = {"username": alice, "confirmation_code": code, "password": PASSWORD}
    assert client.post(answer.url, data).url == "/sign-in/"
    assert alice in client.get("/sign-in/").content.decode()


def test_a_page_of_another_origin_resets_a_password(alice, client, cognito_emulator):
    def post(address, **data):
        return client.post(
            f"/api/password-reset/{address}",
            data,
            content_type="application/json",
            headers={"Origin": "https://app.example.com"},
        )

    answer = post("", username=alice)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    code = cognito_emulator.outbox[-1].code
    answer = post("confirm/", username=alice, confirmation_code=code, password=PASSWORD)
    assert (answer.status_code, answer.content) == (200, b"{}")


def test_an_aws_sdk_resets_a_password(alice, client, cognito_emulator, settings):
    def call(operation, **members):
        client_id = settings.COGNITO_RESET["POOLS"]["default"]["CLIENT_ID"]
        return client.post(
            "/cognito",
            json.dumps({"ClientId": client_id, "Username": alice, **members}),
            content_type="application/x-amz-json-1.1",
            headers={"X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}"},
        )

    assert call("ForgotPassword").status_code == 200
    code = cognito_emulator.outbox[-1].code
    answer = call("ConfirmForgotPassword", ConfirmationCode=code, Password=PASSWORD)
    assert (answer.status_code, answer.content) == (200, b"{}")


def test_every_other_address_leads_to_the_app(client, db):
    assert 'href="/admin/password_reset/"' in client.get("/admin/login/").content.decode()
    for address in (
        "/admin/password_reset/",
        "/brand/password-reset/",
        "/shop/password-reset/",
        "/.well-known/change-password",
    ):
        page = client.get(address, follow=True)
        assert page.status_code == 200, address
        assert "cognito_reset" in page.content.decode(), address


def test_staff_have_the_action(admin_client):
    page = admin_client.get("/admin/auth/user/")
    assert "send_cognito_reset" in page.content.decode()
'''


def place_of(block: Block) -> str | None:
    """Return the file or the dict that the block's first line names."""
    if found := FILE.match(block.first_line):
        return None if SHELL.match(block.first_line) else found[1]
    return next((place for place in PLACES if block.first_line.startswith(f"# {place}")), None)


PASTED = [block for block in PYTHON if place_of(block)]


def keys_of(block: Block) -> set[str]:
    """Return the keys that lines for the middle of a dict set."""
    [statement] = ast.parse("{\n" + block.code + "}").body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Dict)
    return {ast.literal_eval(key) for key in statement.value.keys if key is not None}


def is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def can_be_imported(block: Block) -> bool:
    """Return whether the packages that the block imports, or names as a cache's backend, are installed."""
    if place_of(block) in PLACES:
        return True
    imported = set(re.findall(r'"BACKEND": "([\w.]+)\.\w+"', block.code))
    for node in ast.walk(ast.parse(block.code)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
    return all(is_here(name) for name in imported if name.partition(".")[0] != "example")


def choose(number: int) -> list[Block]:
    """Return the blocks of a site. With another number, it has other ones of those that exclude each other."""
    left_out = {
        line for lines in ALTERNATIVES for line in lines if line != lines[number % len(lines)]
    }
    by_key: dict[tuple[str | None, str], list[Block]] = {}
    for block in PASTED:
        if (place := place_of(block)) in PLACES:
            for key in keys_of(block):
                by_key.setdefault((place, key), []).append(block)
    others = {
        block for found in by_key.values() for block in found if block != found[number % len(found)]
    }
    chosen = [
        block
        for block in PASTED
        if block.first_line not in left_out and block not in others and can_be_imported(block)
    ]
    lines = [block.first_line for block in chosen]
    return [
        block
        for block in chosen
        if not (earlier := follows(block)) or any(line.endswith(earlier) for line in lines)
    ]


def follows(block: Block) -> str:
    """Return the end of the first line of the block that this one must follow, or ""."""
    found = re.search(r", after the block (with [^,]+)", block.first_line)
    return f", {found[1]}" if found else ""


def paste(blocks: list[Block], folder: Path) -> None:
    """Add each block at the end of its file."""
    for block in sorted(blocks, key=lambda block: bool(follows(block))):
        place = place_of(block)
        if place is not None and place not in PLACES:
            path = folder / FOLDERS.get(place, "example") / place
            with path.open("a") as file:
                file.write(f"\n{block.code}")
    path = folder / "config" / "settings.py"
    settings = path.read_text()
    for block in blocks:
        if words := PLACES.get(place_of(block) or ""):
            assert settings.count(words) == 1
            settings = settings.replace(words, f"{block.code}{words}")
    path.write_text(settings)


def test_each_block_of_python_has_its_place():
    """A new block without one is an example to read, or lacks the name of its file."""
    placed = [block for block in PYTHON if place_of(block) or SHELL.match(block.first_line)]
    assert len(placed) > 50
    assert {block.path.name for block in PYTHON if block not in placed} <= TO_READ


def test_each_block_is_pasted_somewhere():
    """Except for those whose packages aren't installed."""
    pasted = {block for number in range(3) for block in choose(number)}
    left_out = [block for block in PASTED if block not in pasted and can_be_imported(block)]
    assert [block for block in left_out if not follows(block)] == []  # others need an earlier block
    assert {block.first_line for block in PASTED if block not in pasted} <= MAY_BE_LEFT_OUT


@pytest.mark.parametrize("order", ORDERS)
def test_the_blocks_can_be_pasted_in_any_order(tmp_path, order):
    """All of them together are a working site, whose log shows what docs/log.md shows."""
    for name in NEEDS:
        pytest.importorskip(name)
    pasted = choose(ORDERS.index(order))
    if order == "backwards":
        pasted.reverse()
    elif order == "shuffled":
        random.Random(25).shuffle(pasted)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("-m", "django", "startproject", "config", ".").returncode == 0
    assert run("manage.py", "startapp", "example").returncode == 0
    (tmp_path / "example" / "tests.py").unlink()
    templates = tmp_path / "example" / "templates" / "registration"
    templates.mkdir(parents=True)
    (templates / "login.html").write_text("{{ form }}")
    with (tmp_path / "config" / "settings.py").open("a") as settings:
        settings.write('\nINSTALLED_APPS += ["example"]\n')
    [dotenv] = [block.code for block in blocks(DOCS / "quickstart.md") if block.language == "ini"]
    (tmp_path / ".env").write_text(dotenv)
    shutil.copy(DOCS / "metrics" / "prometheus_metrics.py", tmp_path / "example")
    paste(pasted, tmp_path)
    tasks = tmp_path / "example" / "tasks.py"
    if not tasks.exists():  # no task queue is installed, but BULK_ENQUEUE is set
        tasks.write_text("def enqueue_bulk_slice(run_id, slice_number): ...\n")
    with (tmp_path / "config" / "settings.py").open("a") as settings:
        settings.write('COGNITO_RESET["UNIFORM_RESPONSE_SECONDS"] = 0\n')
        settings.write(f"PERMITS = {[str(tmp_path / 'permit')]}\n")
    (tmp_path / "test_site.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(FIXTURES)
    done = run(
        *("-m", "pytest", "-q", "-s", "-p", "no:randomly", "-p", "no:cacheprovider"),
        *("-p", "no:xdist", "-c", os.devnull, f"--rootdir={tmp_path}", "--ds=config.settings"),
        *("test_site.py", "example/test_reset.py", "example/tests.py"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.search(r"```text\n(INFO cognito_reset\.requested .*)\n```", text("log.md"))
    assert shown is not None
    line = re.escape(shown[1]).replace(r"5f2c8f3e\-…", r"[\w-]+")
    assert re.search(rf"^{line}$", done.stderr, re.M), done.stderr
