"""
``make sdk``: bundle the AWS SDK for the demo's page, which must work without npm. Beside the bundle
are the licences of what is in it.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = ROOT / ".cache" / "clients" / "node_modules"
SOURCES = Path(__file__).parent / "spa"
STATIC = ROOT / "example_project" / "static" / "example_project"
SDK, LICENCES = "aws-sdk.js", "aws-sdk.LICENSES.txt"
BANNER = f"/*! The AWS SDK for JavaScript, as bundled by `make sdk`. Licences: {LICENCES} */"


def bundle(source: Path, target: Path, *options: str) -> None:
    """Bundle a module and what it imports for a browser."""
    subprocess.run(
        [
            str(MODULES / ".bin" / "esbuild"),
            str(source),
            f"--outfile={target}",
            "--bundle",
            "--minify",
            "--format=esm",
            "--target=es2022",
            "--legal-comments=inline",
            "--log-level=warning",
            *options,
        ],
        check=True,
        env={**os.environ, "NODE_PATH": str(MODULES)},
    )


def licences(inputs: list[str]) -> str:
    """Return each licence once, below the names of the packages that have it."""
    packages: dict[str, list[str]] = {}
    names = {_package(path) for path in inputs if "node_modules/" in path}
    for name in sorted(names):
        folder = MODULES / name
        version = json.loads((folder / "package.json").read_text())["version"]
        text = (folder / "LICENSE").read_text().strip()
        packages.setdefault(text, []).append(f"{name} {version}")
    return "\n\n\n".join(f"{', '.join(names)}\n\n{text}" for text, names in packages.items()) + "\n"


def _package(path: str) -> str:
    """Return the package to which a file belongs, as "@scope/name" or "name"."""
    parts = path.rpartition("node_modules/")[2].split("/")
    return "/".join(parts[: 2 if parts[0].startswith("@") else 1])


def build(folder: Path) -> None:
    """Write the bundle and its licences."""
    listed = folder / "inputs.json"
    bundle(SOURCES / "sdk.js", folder / SDK, f"--banner:js={BANNER}", f"--metafile={listed}")
    inputs = json.loads(listed.read_text())["inputs"]
    listed.unlink()
    (folder / LICENCES).write_text(licences([*inputs]))


if __name__ == "__main__":
    build(STATIC)
