"""``manage.py cognito_reset bulk`` in processes of its own, against an emulator that listens."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cognito_reset.testing import Emulator, Error, Timeout, serve

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60
COUNT = 12
SETTINGS = """
from __future__ import annotations

from tests.settings import *

DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}}}}
COGNITO_RESET = {{
    "POOLS": {{**COGNITO_RESET["POOLS"], "default": {pool!r}}},
    "LIMITS_CACHE": None,
    **{more!r},
}}
"""


class Site:
    """A site with a database of its own, whose pool has a few people who can be reset."""

    def __init__(self, folder: Path, emulator: Emulator, url: str) -> None:
        self.folder = folder
        self.emulator = emulator
        self.processes: list[subprocess.Popen[str]] = []
        pool = self._call("CreateUserPool", PoolName="site")["UserPool"]
        client = self._call(
            "CreateUserPoolClient", UserPoolId=pool["Id"], ClientName="site", GenerateSecret=True
        )["UserPoolClient"]
        self.secret = client["ClientSecret"]
        self.pool = {
            "REGION": "eu-west-1",
            "USER_POOL_ID": pool["Id"],
            "CLIENT_ID": client["ClientId"],
            "CLIENT_SECRET": self.secret,
            "ENDPOINT_URL": url,
        }
        for number in range(COUNT):
            self.add(f"person-{number}")
        self.write_settings()

    def add(self, name: str) -> None:
        own: dict[str, Any] = {"UserPoolId": self.pool["USER_POOL_ID"], "Username": name}
        email = {"Name": "email", "Value": f"{name}@example.com"}
        pairs = [email, {"Name": "email_verified", "Value": "true"}]
        self._call("AdminCreateUser", **own, UserAttributes=pairs)
        self._call("AdminSetUserPassword", **own, Password="Correct-horse-1", Permanent=True)

    def _call(self, operation: str, **body: Any) -> dict[str, Any]:
        status, answer = self.emulator.handle(operation, body)
        assert status == 200, answer
        return answer

    def write_settings(self, **more: Any) -> None:
        database = str(self.folder / "site.sqlite3")
        text = SETTINGS.format(database=database, pool=self.pool, more=more)
        (self.folder / "bulk_site.py").write_text(text)

    def begin(
        self, *arguments: str, through: Sequence[str] = (), **options: Any
    ) -> subprocess.Popen[str]:
        """Begin a call of manage.py."""
        path = os.pathsep.join([str(self.folder), str(ROOT)])
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "bulk_site", "PYTHONPATH": path}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [*through, sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**environment, "COLUMNS": "100"},
            text=True,
            start_new_session=True,
            **{**pipes, **options},
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """End what a test that failed has left running, and close the pipes."""
        for process in self.processes:
            process.kill()
            with process:
                pass

    def call(self, *arguments: str, code: int = 0) -> str:
        return finish(self.begin("cognito_reset", "bulk", *arguments), code)

    def resets(self) -> Counter[str]:
        calls = list(self.emulator.calls)
        return Counter(body["Username"] for name, body in calls if name == "AdminResetUserPassword")

    def wait_for_resets(self, count: int) -> None:
        end = time.monotonic() + SECONDS
        while self.resets().total() < count:
            assert time.monotonic() < end
            time.sleep(0.02)


def finish(process: subprocess.Popen[str], code: int) -> str:
    """Wait for the end of a process that must have this exit code, and return its output."""
    try:
        out, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == code, (out, errors)
    return out + errors


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("database")
    emulator = Emulator(region="eu-west-1")
    with serve(emulator) as server:
        site = Site(folder, emulator, server.url)
        finish(site.begin("migrate"), 0)
    return folder / "site.sqlite3"


@pytest.fixture
def site(database: Path, tmp_path: Path) -> Iterator[Site]:
    emulator = Emulator(region="eu-west-1")
    shutil.copy(database, tmp_path / "site.sqlite3")
    with serve(emulator) as server:
        site = Site(tmp_path, emulator, server.url)
        yield site
        site.end()


@pytest.mark.requirement("F11", "F8")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_f11_a_signal_pauses_after_the_calls_under_way(number, site):
    """F11: the exit code is 4. Afterwards the run goes on, and nobody is sent two resets."""
    process = site.begin("cognito_reset", "bulk", "start", "--all", "--yes", "--rate", "5")
    site.wait_for_resets(3)
    os.kill(process.pid, number)
    output = finish(process, 4)
    assert "Waiting for the calls that are under way." in output
    run = re.search(r'"manage.py cognito_reset bulk resume (\d+)"', output)
    assert run
    sent = site.resets().total()
    assert 3 <= sent < COUNT
    assert f"{sent} sent" in site.call("status", run[1])
    assert f"{COUNT} sent" in site.call("resume", run[1])
    assert site.resets() == {f"person-{number}": 1 for number in range(COUNT)}


def test_after_a_signal_the_json_shows_the_paused_run(site):
    """Standard output has nothing else."""
    start = ("cognito_reset", "bulk", "start", "--all", "--yes", "--rate", "5", "--json")
    process = site.begin(*start)
    site.wait_for_resets(2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 4, errors
    assert json.loads(out)["state"] == "paused"
    assert json.loads(out)["counts"]["sent"] == site.resets().total()
    assert "Waiting for the calls that are under way." in errors


@pytest.mark.requirement("F11")
def test_f11_a_second_signal_ends_the_command_at_once(site):
    """F11: a call that has no answer isn't waited for."""
    site.emulator.fail_next("AdminResetUserPassword", Timeout())
    process = site.begin("cognito_reset", "bulk", "start", "--all", "--yes", "--rate", "5")
    site.wait_for_resets(1)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    while "Waiting for the calls" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    finish(process, -signal.SIGINT)
    assert "running, all of the pool default" in site.call("status", "1")


@pytest.mark.requirement("F11")
def test_f11_an_ignored_signal_stays_ignored(site):
    """F11: nohup goes on to protect the command when the terminal is closed."""
    arguments = ("cognito_reset", "bulk", "start", "--all", "--yes")
    process = site.begin(*arguments, through=["nohup"])
    site.wait_for_resets(2)
    process.send_signal(signal.SIGHUP)
    finish(process, 0)
    assert len(site.resets()) == COUNT


@pytest.mark.requirement("F11")
def test_f11_the_list_of_processes_shows_no_secret(site):
    """F11: the command takes no secret and no username as an argument, unless one is in a filter."""
    process = site.begin("cognito_reset", "bulk", "start", "--all", "--yes", "--rate", "10")
    site.wait_for_resets(1)
    shown = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(process.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    finish(process, 0)
    assert "bulk start --all --yes --rate 10" in shown
    assert site.secret not in shown


@pytest.mark.requirement("F11")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("start",), 2),
        (("start", "--all"), 2),
        (("start", "--all", "--yes", "--rate", "x"), 2),
        (("status", "7"), 2),
        (("start", "--all", "--yes", "--pool", "none"), 2),
        (("status",), 0),
    ],
)
def test_f11_exit_codes_of_a_real_process(arguments, code, site):
    """F11: also those that argparse chooses."""
    site.call(*arguments, code=code)
    assert site.resets() == {}


@pytest.mark.requirement("F11")
def test_f11_exit_codes_of_wrong_settings_and_of_refusals(site):
    """F11: 3, and 1 if somebody was refused."""
    site.emulator.fail_next("AdminResetUserPassword", Error("InvalidParameterException"))
    assert "refused" in site.call("start", "--all", "--yes", "--rate", "100", code=1)
    site.write_settings(LIMITS="many")
    assert "cognito_reset.E020" in site.call("start", "--all", "--yes", code=3)


@pytest.mark.requirement("F11")
def test_f11_help_documents_the_exit_codes(site):
    """F11: of each of the commands."""
    for arguments in ((), ("start",), ("resume",)):
        text = " ".join(site.call(*arguments, "--help").split())
        assert "Exit codes: 0 if all were sent a reset, or if a command that sends" in text


@pytest.mark.requirement("F11")
def test_f11_an_operator_confirms_at_a_terminal_and_sees_a_bar(site):
    """F11: the number of people is typed, and the bar is drawn over and over in one line."""
    ours, theirs = pty.openpty()
    process = site.begin(
        *("cognito_reset", "bulk", "start", "--all", "--rate", "10"),
        **{"stdin": theirs, "stdout": theirs, "stderr": theirs},
    )
    os.close(theirs)
    shown = ""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 4096).decode()
            except OSError:  # Linux's way to say that the other end is closed
                break
        if shown.endswith(f"the number of people, {COUNT}: "):
            os.write(ours, f"{COUNT}\n".encode())
    os.close(ours)
    assert process.wait(SECONDS) == 0, shown
    assert f"\r[{'#' * 20}] 100 % of {COUNT}: {COUNT} sent" in shown
    assert len(site.resets()) == COUNT
