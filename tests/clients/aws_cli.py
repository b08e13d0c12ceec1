"""The AWS CLI that is named: one call, from standard input to standard output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from typing import Any

from botocore import xform_name


def main(aws: str) -> dict[str, Any]:
    asked = json.load(sys.stdin)
    command = [aws, "cognito-idp", xform_name(asked["operation"], "-"), "--region=us-east-1"]
    if asked["endpoint"]:
        command.append(f"--endpoint-url={asked['endpoint']}")
    # In a file of this user's own: everybody on the machine can read a command line, and the CLI
    # reads its input twice, which a pipe doesn't allow.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asked["members"], file)
        file.flush()
        command += ["--output=json", "--cli-input-json", f"file://{file.name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return {"ok": True, "answer": json.loads(done.stdout or "{}")}
    found = re.search(r"An error occurred \((\w+)\).*?: (.*)", done.stderr, re.DOTALL)
    if found is None:
        return {"error": "aws", "message": done.stderr.strip()}
    return {"error": found[1], "message": found[2].strip()}


if __name__ == "__main__":
    json.dump(main(sys.argv[1]), sys.stdout)
