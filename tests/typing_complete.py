"""
Check that each function and method of the public names is annotated, as pyright sees it: ``make types``. It reports
no type that it only fails to know because Django has none.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.stability_page import PAGE, public_names

# What pyright says of a parameter or a return value that isn't annotated.
MISSING = re.compile(r"(Return type annotation|Type annotation for parameter \".*\") is missing")


def main() -> int:
    checker = Path(sys.executable).with_name("basedpyright")
    arguments = [
        "--pythonpath",
        sys.executable,
        "--verifytypes",
        "cognito_reset",
        "--ignoreexternal",
    ]
    # It exits with 1, because the private names count, too. It finds the package only on the interpreter's path.
    answer = subprocess.run(
        [checker, *arguments, "--outputjson"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PAGE.parent.parent)},
    ).stdout
    symbols: list[dict[str, Any]] = json.loads(answer)["typeCompleteness"]["symbols"]
    public = {
        f"{module}.{name}"
        for module, names in public_names().items()
        for name in names
        if name != "__version__"
    }
    known = {symbol["name"] for symbol in symbols}
    found = [f"{name}: pyright doesn't see this name" for name in sorted(public - known)]
    for symbol in symbols:
        name = symbol["name"]
        if any(name == one or name.startswith(f"{one}.") for one in public):
            texts = [problem["message"] for problem in symbol["diagnostics"]]
            found += [f"{name}: {text}" for text in texts if MISSING.match(text)]
    print(*found, f"{len(public)} public names, {len(found)} without a type", sep="\n")  # noqa: T201
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
