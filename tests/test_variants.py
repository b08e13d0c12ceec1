"""The flow on sites of other kinds, each in a process of its own: settings are read but once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VARIANTS = [
    "login_required",
    "atomic_requests",
    "signed_cookies",
    "custom_user",
    "bare",
    "asgi",
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_flow_works_on_a_site_of_another_kind(variant):
    """LoginRequiredMiddleware, ATOMIC_REQUESTS, signed cookies, own users, no contrib, ASGI."""
    result = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "tests/variants/flow.py",
                "-q",
                "-p",
                "no:cacheprovider",
            ),
            f"--ds=tests.variants.{variant}",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    assert "7 passed" in result.stdout
