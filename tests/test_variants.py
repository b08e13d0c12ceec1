"""The flow on sites of other kinds, each in a process of its own, because settings are read once."""

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
    "two_databases",
    "signed_cookies",
    "custom_user",
    "bare",
    "asgi",
]


def run(module, variant):
    command = [sys.executable, "-m", "pytest", f"tests/variants/{module}.py", "-q"]
    result = subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--ds=tests.variants.{variant}"],
        cwd=ROOT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    return result.stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_flow_works_on_a_site_of_another_kind(variant):
    """LoginRequiredMiddleware, ATOMIC_REQUESTS, signed cookies, own users, no contrib, ASGI …"""
    assert " skipped" not in run("flow", variant)


@pytest.mark.requirement("B6", "D3")
def test_b6_d3_the_api_on_a_site_whose_defaults_are_closed():
    """IsAuthenticated, SessionAuthentication and a throttle, from the start."""
    run("closed", "closed_api")
