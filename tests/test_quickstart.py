"""The quickstart, followed in an empty folder: from startproject to a new password in the emulator."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.documentation import DOCS, ROOT, blocks, python

pytest.importorskip("environ", reason="django-environ isn't installed")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def running(url: str, *arguments: str, cwd: Path, env: dict[str, str]) -> Iterator[None]:
    """Run a server until the end of the block, which begins when the server answers."""
    with subprocess.Popen([sys.executable, *arguments], cwd=cwd, env=env) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(url, timeout=5)
                    break
                except OSError as error:
                    if isinstance(error, urllib.error.HTTPError):
                        break
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.1)  # there is nothing to wait for but its port
            yield
        finally:
            process.terminate()


def test_the_quickstart_leads_to_a_new_password(tmp_path):
    """Its blocks and its commands work as they stand, but for the ports."""
    emulator, site = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    commands = "".join(
        block.code for block in blocks(DOCS / "quickstart.md") if block.language == "sh"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}

    def run(command: str) -> None:
        """Run a command of the page."""
        assert f"python {command}\n" in commands
        subprocess.run([sys.executable, *command.split()], cwd=tmp_path, env=env, check=True)

    run("-m django startproject mysite .")
    for name in ("settings.py", "urls.py"):
        with (tmp_path / "mysite" / name).open("a") as file:
            file.write(python("quickstart.md", name))
    program = python("quickstart.md", "pool.py, beside manage.py")
    assert "http://127.0.0.1:9229" in program
    (tmp_path / "pool.py").write_text(program.replace("http://127.0.0.1:9229", emulator))
    assert "python -m cognito_reset.testing --port 9229\n" in commands
    port = emulator.rpartition(":")[2]
    with running(
        f"{emulator}/outbox", "-m", "cognito_reset.testing", "--port", port, cwd=tmp_path, env=env
    ):
        run("pool.py")
        run("manage.py migrate")
        run("manage.py check")
        server = ("manage.py", "runserver", "--noreload", site.removeprefix("http://"))
        with running(site, *server, cwd=tmp_path, env=env):
            reset(site, emulator)
    ids = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert ids["COGNITO_ENDPOINT_URL"] == emulator


def test_the_program_keeps_the_other_lines_of_an_existing_env(tmp_path):
    """A file without a line break at its end is kept, too, and a second run replaces only the ids."""
    emulator = f"http://127.0.0.1:{free_port()}"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    program = python("quickstart.md", "pool.py, beside manage.py")
    (tmp_path / "pool.py").write_text(program.replace("http://127.0.0.1:9229", emulator))
    dotenv = tmp_path / ".env"
    dotenv.write_text("# Größe\nCOGNITO_CLIENT_SECRET=old\n\nDATABASE_URL=sqlite:///a", "utf-8")
    port = emulator.rpartition(":")[2]
    ids = []
    with running(
        f"{emulator}/outbox", "-m", "cognito_reset.testing", "--port", port, cwd=tmp_path, env=env
    ):
        for _ in range(2):
            subprocess.run([sys.executable, "pool.py"], cwd=tmp_path, env=env, check=True)
            lines = dotenv.read_text("utf-8").splitlines()
            assert lines[:3] == ["# Größe", "", "DATABASE_URL=sqlite:///a"]
            values = dict(line.split("=", 1) for line in lines[3:])
            assert list(values) == [
                "COGNITO_REGION",
                "COGNITO_USER_POOL_ID",
                "COGNITO_CLIENT_ID",
                "COGNITO_ENDPOINT_URL",
            ]
            ids.append(values["COGNITO_USER_POOL_ID"])
    assert ids[0] != ids[1]


def reset(site: str, emulator: str) -> None:
    """Reset the password of alice as the page says, and sign in with the new one."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def submit(page: str, url: str, **data: str) -> tuple[str, str]:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token is not None
        data["csrfmiddlewaretoken"] = token[1]
        with opener.open(url, urllib.parse.urlencode(data).encode(), timeout=30) as answer:
            return answer.read().decode(), answer.url

    with opener.open(f"{site}/password-reset/", timeout=30) as answer:
        page = answer.read().decode()
    page, url = submit(page, f"{site}/password-reset/", username="alice@example.com")
    with urllib.request.urlopen(f"{emulator}/outbox", timeout=30) as answer:
        code = json.load(answer)[0]["code"]
    page, url = submit(
        page, url, username="alice@example.com", confirmation_code=code, password="Battery-staple-2"
    )
    assert url == f"{site}/password-reset/done/"
