"""The demo as a separate process, and a visitor without a browser."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "Correct-horse-1"
NEW_PASSWORD = "Battery-staple-2"
START_SECONDS = 60
COMMAND = (sys.executable, "manage.py", "demo")


class Demo:
    """A process of ``manage.py demo``, or of another command, with its own database."""

    def __init__(
        self, folder: Path, *arguments: str, command: Sequence[str] = COMMAND, **environment: str
    ) -> None:
        self.output = ""
        self._errors = folder / "errors.txt"
        with self._errors.open("a") as errors:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=ROOT,
                env=demo_environment(folder, **environment),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read the output until it contains the pattern, and return the match."""
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        try:
            assert self.process.stdout is not None
            while not (found := re.search(pattern, self.output)):
                line = self.process.stdout.readline()
                assert line, f"the process ended:\n{self.output}\n{self.errors}"
                self.output += line
            return found
        finally:
            watchdog.cancel()

    @property
    def url(self) -> str:
        return self.wait_for(r"The demo is at (\S+)/\n")[1]

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)


def demo_environment(folder: Path, **more: str) -> dict[str, str]:
    names = ("REGION", "USER_POOL_ID", "CLIENT_ID", "CLIENT_SECRET", "ENDPOINT_URL", "OUTBOX_URL")
    # The variables are empty, not absent, because a developer's .env file may name a real pool.
    pool = {f"COGNITO_{name}": "" for name in names}
    database = str(folder / "db.sqlite3")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COGNITO_")}
    del kept["DJANGO_SETTINGS_MODULE"]
    return {**kept, **pool, "DATABASE_FILE": database, **more}


@dataclass(frozen=True)
class Page:
    url: str
    status: int
    headers: Any
    text: str

    @property
    def path(self) -> str:
        return urllib.parse.urlsplit(self.url).path

    def json(self) -> Any:
        return json.loads(self.text)


class Visitor:
    """A client that follows redirects, keeps cookies and fills in forms."""

    def __init__(self, site: str) -> None:
        self.site = site
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )

    def get(self, path: str) -> Page:
        return self._open(urllib.request.Request(urllib.parse.urljoin(self.site, path)))

    def submit(self, page: Page, path: str = "", **data: Any) -> Page:
        """Post a form of ``page``, to the page's own address unless ``path`` is passed."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token is not None, page.text
        body = urllib.parse.urlencode({**data, "csrfmiddlewaretoken": token[1]}, doseq=True)
        url = urllib.parse.urljoin(page.url, path)
        return self._open(urllib.request.Request(url, body.encode()))

    def post_json(self, path: str, **data: str) -> Page:
        headers = {"Content-Type": "application/json"}
        url = urllib.parse.urljoin(self.site, path)
        return self._open(urllib.request.Request(url, json.dumps(data).encode(), headers))

    def sign_in(self, username: str, password: str) -> tuple[int, str]:
        """Return the status and Cognito's error code of a sign-in."""
        page = self.post_json("/api/sign-in/", username=username, password=password)
        return page.status, page.json().get("code", "")

    def inbox(self) -> Any:
        return self.get("/inbox.json").json()

    def code(self, username: str) -> str:
        newest: str = next(m["code"] for m in self.inbox() if m["username"] == username)
        return newest

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=30) as response:
                return _page(response)
        except urllib.error.HTTPError as error:
            with error:
                return _page(error)


def _page(response: Any) -> Page:
    return Page(response.url, response.status, response.headers, response.read().decode())
