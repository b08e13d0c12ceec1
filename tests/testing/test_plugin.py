"""What the pytest plugin costs in projects that don't use it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import cognito_reset.testing

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "cognito_reset.testing.fixtures"
PROBE = """
import sys

def pytest_collection_finish():
    import cognito_reset.testing.fixtures  # found, so that the test can't pass without the plugin
    print("LOADED", *sorted(sys.modules))

def test_nothing():
    pass
"""


def loaded(folder: Path, *options: str) -> set[str]:
    """Return the modules that pytest has loaded at the start, in a folder without Django."""
    environment = {
        name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
    }
    done = subprocess.run(
        # pytest-django is blocked, as if it weren't installed; so are the other plugins.
        [sys.executable, "-W", "error", "-m", "pytest", "-s", "-c", os.devnull, *options, folder],
        cwd=folder,
        env={
            **environment,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if "LOADED" in line]
    return set(line.split("LOADED ")[1].split())


def test_a_project_without_django_notices_nothing(tmp_path):
    """The plugin loads three modules: itself and its packages."""
    (tmp_path / "test_project.py").write_text("def test_nothing(): pass")
    probe = PROBE.replace("    import cognito_reset.testing.fixtures", "    #")
    (tmp_path / "conftest.py").write_text(probe)
    without = loaded(tmp_path)
    with_plugin = loaded(tmp_path, "-p", PLUGIN)
    assert with_plugin - without == {"cognito_reset", "cognito_reset.testing", PLUGIN}


def test_pytest_finds_the_plugin():
    """A site names it nowhere. Its name is the module's, so that naming it doesn't load it twice."""
    text = (ROOT / "setup.cfg").read_text()
    assert f"pytest11 =\n    {PLUGIN} = {PLUGIN}\n" in text
    points = metadata.entry_points(group="pytest11", name=PLUGIN)
    if not points:
        pytest.skip("This installation is older than the entry point: install it again.")
    assert {point.value for point in points} == {PLUGIN}


def test_every_public_name_can_be_imported():
    """A name is imported when it is first used."""
    for name in cognito_reset.testing.__all__:
        assert getattr(cognito_reset.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Emulators'"):
        cognito_reset.testing.Emulators  # noqa: B018
