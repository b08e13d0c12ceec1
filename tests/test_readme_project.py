"""
A new project in which somebody has pasted every block of the README, in whatever order.

The project's own tests run in a process of their own, with the fixture that the README names.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import README

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.DOTALL)
#: Where lines for the middle of a dict go: before these words of the first block for settings.py.
PLACES = {
    "in COGNITO_RESET": '    "SIGN_IN_URL":',
    "in POOLS": '        "default": {',
    "in the pool's settings": '            "REGION":',
}
FOLDERS = {"settings.py": "config", "urls.py": "config", "conftest.py": ".", "test_reset.py": "."}
NEEDS = ("corsheaders", "environ", "phonenumbers", "pwned_passwords_django", "sentry_sdk", "zxcvbn")

FIXTURES = '''
import io

import pytest


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
    code = cognito_emulator.outbox[0].code
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
    code = cognito_emulator.outbox[0].code
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
    code = cognito_emulator.outbox[0].code
    answer = call("ConfirmForgotPassword", ConfirmationCode=code, Password=PASSWORD)
    assert (answer.status_code, answer.content) == (200, b"{}")


def test_every_other_address_leads_to_the_app(client, db):
    assert 'href="/admin/password_reset/"' in client.get("/admin/login/").content.decode()
    for address in (
        "/admin/password_reset/",
        "/accounts/password_reset/",
        "/accounts/password_reset/done/",
        "/brand/password-reset/",
        "/.well-known/change-password",
    ):
        page = client.get(address, follow=True)
        assert page.status_code == 200, address
        assert "cognito_reset" in page.content.decode(), address


def test_staff_have_the_action(admin_client):
    page = admin_client.get("/admin/auth/user/")
    assert "send_cognito_reset" in page.content.decode()
'''


def place_of(block: str) -> str:
    """Return the file, or the dict, that the block's first line names."""
    found = re.match(r"# ([^\n,]+)", block)
    assert found is not None, f"A block doesn't begin with the name of its file:\n{block}"
    return found[1]


def paste(blocks: list[str], folder: Path) -> None:
    """Add each block at the end of its file."""
    for block in blocks:
        if (place := place_of(block)) not in PLACES:
            path = folder / FOLDERS.get(place, "example") / place
            with path.open("a") as file:
                file.write(f"\n{block}")
    path = folder / "config" / "settings.py"
    settings = path.read_text()
    for block in blocks:
        if words := PLACES.get(place_of(block)):
            assert settings.count(words) == 1
            settings = settings.replace(words, f"{block}{words}")
    path.write_text(settings)


@pytest.mark.parametrize("order", ["as they stand", "backwards", "shuffled"])
def test_the_blocks_can_be_pasted_in_any_order(tmp_path, order):
    """All of them together are a working site, whose log shows what the README shows."""
    for name in NEEDS:
        pytest.importorskip(name)
    blocks = list(BLOCKS)
    if order == "backwards":
        blocks.reverse()
    elif order == "shuffled":
        random.Random(25).shuffle(blocks)
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
    found = re.search(r"```ini\n# .env, beside manage.py\n(.*?)```", README, re.DOTALL)
    assert found is not None
    (tmp_path / ".env").write_text(found[1])
    paste(blocks, tmp_path)
    with (tmp_path / "config" / "settings.py").open("a") as settings:
        settings.write('COGNITO_RESET["UNIFORM_RESPONSE_SECONDS"] = 0\n')
    (tmp_path / "test_site.py").write_text(TESTS)
    with (tmp_path / "conftest.py").open("a") as conftest:
        conftest.write(FIXTURES)
    done = run(
        *("-m", "pytest", "-q", "-s", "-p", "no:randomly", "-p", "no:cacheprovider"),
        *("-p", "no:xdist", "-c", os.devnull, f"--rootdir={tmp_path}", "--ds=config.settings"),
        *("test_site.py", "test_reset.py"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = re.search(r"```text\n(INFO cognito_reset\.requested .*)\n```", README)
    assert shown is not None
    line = re.escape(shown[1]).replace(r"5f2c8f3e\-…", r"[\w-]+")
    assert re.search(rf"^{line}$", done.stderr, re.M), done.stderr
