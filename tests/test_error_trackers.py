"""No secret in what an error tracker sends: the real sentry-sdk, with a transport that keeps all events."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.requirement("H5")
def test_sentry_gets_no_secret():
    """For all interfaces: in an outage, with site code that raises, with files that are missing."""
    pytest.importorskip("sentry_sdk")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:xdist"),
            *("-o", "markers=scrubbed\nrequirement", "-W", "default"),
            "tests/trackers/sentry_suite.py",
        ],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout[-5000:]
