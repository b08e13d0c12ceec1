"""
The running demo answers as its schema says, whatever is sent: a status, a type, a header or a body
that isn't described is a failure, and so is any 5xx.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.demo import Demo, Visitor

pytest.importorskip("schemathesis", reason="schemathesis isn't installed")
pytest.importorskip("environ", reason="django-environ isn't installed")

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
# `make thorough` tries more, and others each time.
EXAMPLES = os.environ.get("COGNITO_RESET_SCHEMA_EXAMPLES", "")


def try_out(demo, folder, *options):
    """Run every check on what the demo's own schema describes."""
    amount = ["--max-examples", EXAMPLES] if EXAMPLES else ["--max-examples", "10", "--seed", "1"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    what = ["run", f"{demo.url}/api/schema/", "--checks", "all", "--workers", "3", "--no-color"]
    result = subprocess.run(
        [*command, *what, *amount, *options],
        cwd=folder,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr
    assert "Operations:       3 selected" in result.stdout
    return result.stdout


@pytest.mark.requirement("I5")
@pytest.mark.slow
def test_i5_every_answer_of_the_demo_is_described(tmp_path):
    """Without limits, so that what is sent gets as far as Cognito."""
    with Demo(tmp_path, "0", COGNITO_RESET_LIMITS="off") as demo:
        try_out(demo, tmp_path)
        assert "Traceback" not in demo.errors


@pytest.mark.requirement("I5")
@pytest.mark.slow
def test_i5_refusals_by_the_limits_are_described(tmp_path):
    """With them, and with a network that has spent what it may."""
    with Demo(tmp_path, "0") as demo:
        visitor = Visitor(demo.url)

        def ask(number):
            return visitor.post_json("/api/password-reset/", username=f"nobody{number}").status

        with ThreadPoolExecutor(3) as pool:  # fewer than the permits for calls
            statuses = list(pool.map(ask, range(20)))
        assert set(statuses) == {202}
        assert ask(20) == 429
        try_out(demo, tmp_path, "--phases", "examples")
