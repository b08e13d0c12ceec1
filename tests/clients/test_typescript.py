"""A client whose types are made from the demo's schema: it compiles, and it resets a password."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from cognito_reset.resets.passwords import PasswordPolicy
from tests.clients.registry import HERE, INSTALLED
from tests.clients.stage import Site
from tests.demo import NEW_PASSWORD, PASSWORD
from tests.documentation import DOCS, blocks

PACKAGES: Final = INSTALLED / "node_modules"
CLI: Final = {
    "openapi-typescript": PACKAGES / "openapi-typescript/bin/cli.js",
    "tsc": PACKAGES / "typescript/bin/tsc",
}
STRICT: Final = [
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
    *("--noUnusedLocals", "--noImplicitReturns", "--noEmitOnError"),
    *("--target", "es2022", "--lib", "es2022,dom", "--module", "nodenext", "--types", "node"),
]


def node(folder: Path, *arguments: str | Path, given: str = "") -> str:
    done = subprocess.run(
        ["node", *arguments],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the client is built: types from the schema, and the code of docs/rest.md on this demo."""
    if shutil.which("node") is None:
        pytest.skip("there is no node here")
    for name, path in CLI.items():
        if not path.exists():
            pytest.skip(f"make clients installs {name}, and it isn't here")
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "schema.yaml").write_text(site.visitor.get("/api/schema/").text)
    [shown] = [block.code for block in blocks(DOCS / "rest.md") if block.language == "ts"]
    code = shown.replace("http://127.0.0.1:8000", site.url)
    assert site.url in code
    (folder / "docs.ts").write_text(code)
    shutil.copy(HERE / "typescript/reset.ts", folder)
    node(folder, CLI["openapi-typescript"], "schema.yaml", "--output", "schema.d.ts")
    node(folder, CLI["tsc"], *STRICT, "reset.ts")
    return folder


@pytest.fixture(scope="module")
def said(folder: Path, site: Site) -> dict[str, Any]:
    """What a reset of a new user came to, by the user's name."""
    username = site.new_user()
    asked = json.dumps({"site": site.url, "username": username, "password": NEW_PASSWORD})
    return {"username": username, **json.loads(node(folder, "reset.js", given=asked))}


def test_a_typed_client_resets_a_password(said: dict[str, Any], site: Site) -> None:
    """Ask, read the code, set the new password: it signs in, and the old one doesn't."""
    assert said["asked"] == [202, 60]
    assert said["changed"] == ["200"]
    assert site.visitor.sign_in(said["username"], NEW_PASSWORD)[0] == 200
    assert site.visitor.sign_in(said["username"], PASSWORD)[0] == 401


def test_a_typed_client_knows_errors_by_their_codes(said: dict[str, Any]) -> None:
    """With their fields; and the rules before there is an error."""
    rules = [rule.code for rule in PasswordPolicy().rules]
    assert said["wrong"] == ["400 confirmation_code code_invalid"]
    assert said["rules"] == rules
    kept = "password_no_lowercase"  # by "weak"
    assert said["weak"] == [f"400 password {code}" for code in rules if code != kept]


def test_the_documented_client_says_how_long_to_wait(said: dict[str, Any]) -> None:
    """A second code within the minute is refused, and Retry-After is read."""
    found = re.fullmatch(r"Wait (\d+) seconds\.", said["askedAgain"])
    assert found is not None, said["askedAgain"]
    assert 0 < int(found[1]) <= 60
