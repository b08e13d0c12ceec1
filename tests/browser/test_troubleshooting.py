"""docs/troubleshooting.md has the words with which Chromium reports a mistake in the CORS settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.documentation import section
from tests.guides import cells

pytestmark = pytest.mark.browser

TITLE = (
    "has been blocked by CORS policy, Cross-Origin Request Blocked, due to access control checks"
)
#: The mistakes of the table's rows.
MISTAKES = ("missing", "header", "redirect", "twice")


class Site(BaseHTTPRequestHandler):
    """A site that makes the mistake that is its path."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_OPTIONS(self) -> None:
        mistake = self.path.strip("/")
        self.send_response(301 if mistake == "redirect" else 200)
        if mistake == "redirect":
            self.send_header("Location", "/elsewhere/")
        for _ in range({"missing": 0, "twice": 2}.get(mistake, 1)):
            self.send_header("Access-Control-Allow-Origin", self.headers["Origin"])
        allowed = "content-type" if mistake == "header" else "content-type, x-amz-target"
        self.send_header("Access-Control-Allow-Headers", allowed)
        self.end_headers()


@contextmanager
def running() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_words_of_chromium(chromium):
    table = cells(section("troubleshooting.md", TITLE))[1:]
    post = """url => fetch(url, {
        method: 'POST', body: '{}', headers: {'Content-Type': 'application/json', 'X-Amz-Target': 'x'},
    }).catch(String)"""
    with running() as origin, running() as site:
        page = chromium.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(origin)
        for mistake, row in zip(MISTAKES, table, strict=True):
            said.clear()
            assert page.evaluate(post, f"{site}/{mistake}") == "TypeError: Failed to fetch"
            text = next(line for line in said if "CORS" in line)
            assert text.startswith("Access to fetch at ")
            assert "has been blocked by CORS policy:" in text
            assert row[0] in text
        page.close()
