"""What a release promises: the same files from the same source, no asset of another server, the oldest versions."""

from __future__ import annotations

import ast
import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import cognito_reset

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(cognito_reset.__file__).resolve().parent

SEMGREP = Path(f"{sys.prefix}-audit") / "bin" / "semgrep"  # where make audit installs it

in_a_checkout = pytest.mark.skipif(
    not (ROOT / "cognito_reset").is_dir(), reason="there is no checkout here to build a wheel from"
)


def build(source: Path) -> Path:
    """Copy the checkout to ``source``, and build the wheel there by way of the sdist, as ``make dist`` does."""
    shutil.copytree(
        ROOT / "cognito_reset",
        source / "cognito_reset",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for number, path in enumerate(sorted(source.rglob("*"))):
        os.utime(path, (2_000_000_000 + number + len(str(source)),) * 2)
        path.chmod(0o775 if path.is_dir() or number % 2 else 0o664)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        capture_output=True,
    )
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


@pytest.mark.requirement("I3")
@in_a_checkout
def test_i3_the_wheel_is_the_same_whenever_and_wherever_it_is_built(tmp_path):
    """From two copies whose files have other times and folders. Whoever has the tag can build what was published."""
    wheels = []
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        wheels.append(build(tmp_path / name))
    first, second = (hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels)
    assert first == second


# What a browser loads by itself, as opposed to links that a person follows.
LOADED = re.compile(
    r"""(?:\bsrc|<link[^>]*\bhref|\bsrcset|\baction|@import|url\(|\bfetch\(|\bimport\()\s*[=(]?\s*["']?\s*((?:https?:)?//[^\s"')>]+)""",
    re.IGNORECASE,
)


@pytest.mark.requirement("I3")
def test_i3_pages_load_nothing_from_other_servers():
    """Neither a template nor a style sheet nor a script names another server."""
    files = [
        path
        for folder in ("templates", "static")
        for path in (PACKAGE / folder).rglob("*")
        if path.suffix in {".html", ".css", ".js", ".svg"}
    ]
    assert {path.suffix for path in files} >= {".html", ".css", ".js"}
    assert [(path.name, LOADED.findall(path.read_text())) for path in files if LOADED.search(path.read_text())] == []  # fmt: skip
    assert LOADED.search('<script src="https://cdn.example/a.js">')
    assert LOADED.search("@import url('//fonts.example/a.css')")
    assert LOADED.search("<link rel=stylesheet href=https://cdn.example/a.css>")


DOWNLOADERS = {
    *("urllib.request", "http.client", "requests", "httpx", "aiohttp", "urllib3", "ftplib"),
    *("subprocess", "pip", "ensurepip", "importlib.resources.external"),
}


@pytest.mark.requirement("I3")
def test_i3_nothing_is_downloaded_at_run_time():
    """Only botocore, and the doctor's look at the site's own address, talk to a server."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if "testing" in path.relative_to(PACKAGE).parts or path.match("doctor/website.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {(path.name, alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((path.name, str(node.module)))
                found |= {(path.name, f"{node.module}.{alias.name}") for alias in node.names}
    assert ("pool_calls.py", "hmac") in found
    assert {(name, module) for name, module in found if module in DOWNLOADERS} == set()


@pytest.fixture
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def minimum(lines: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)>=([\d.]+)$", lines, re.MULTILINE))


@pytest.mark.requirement("I2")
def test_i2_the_oldest_versions_that_are_allowed_are_those_that_are_tested(setup):
    """In the environment with "oldest" in its name, on the oldest Python."""
    declared = {
        **minimum(setup["options"]["install_requires"]),
        **minimum(setup["options.extras_require"]["openapi"]),
        **minimum(setup["options.extras_require"]["phone"]),
    }
    assert len(declared) == 5
    tested = dict(re.findall(r"^oldest: ([\w-]+)==([\d.]+)$", setup["testenv"]["deps"], re.M))
    for name, version in declared.items():
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", tested[name]), name
    environments = setup["tox:tox"]["env_list"]
    python = setup["options"]["python_requires"].removeprefix(">=").replace(".", "")
    assert f"py{python}-django52-oldest" in environments


@pytest.mark.requirement("I2")
def test_i2_the_versions_in_the_metadata_are_those_that_are_tested(setup):
    """Each Python and each Django of the classifiers has an environment, and the matrix of CI has each Python."""
    classifiers = setup["metadata"]["classifiers"]
    pythons = re.findall(r"Python :: (3\.\d+)$", classifiers, re.M)
    djangos = re.findall(r"Django :: ([\d.]+)$", classifiers, re.M)
    environments = setup["tox:tox"]["env_list"]
    expanded = {
        f"py3{python}-django{django}"
        for line in environments.split()
        if (found := re.fullmatch(r"py3\{([\d,]+)\}-django\{?([\d,]+)\}?", line))
        for python in found[1].split(",")
        for django in found[2].split(",")
    }
    assert {name.split("-")[0] for name in expanded} == {f"py{v.replace('.', '')}" for v in pythons}
    assert {name.split("-")[1] for name in expanded} == {
        f"django{v.replace('.', '')}" for v in djangos
    }
    for name in ("test", "release"):
        [matrix] = [
            job["strategy"]["matrix"]["python"]
            for job in workflow(name)["jobs"].values()
            if "strategy" in job
        ]
        assert matrix == pythons


def workflow(name: str) -> dict[str, object]:
    path = ROOT / ".github" / "workflows" / f"{name}.yml"
    if not path.exists():
        pytest.skip("the workflows aren't here")
    loaded: dict[str, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


@pytest.mark.requirement("I3")
def test_i3_only_what_was_built_and_tested_is_published():
    """The job that publishes waits for all others, runs no code of this repository, and alone may publish."""
    jobs = workflow("release")["jobs"]
    publish = jobs["publish"]
    assert set(publish["needs"]) == jobs.keys() - {"publish"}
    assert not any("checkout" in step.get("uses", "") for step in publish["steps"])
    for name, job in jobs.items():
        rights = job.get("permissions", {})
        assert ("id-token" in rights) == (name == "publish")
        assert "contents" not in rights or rights["contents"] == "read"
    build = " ".join(step.get("run", "") for step in jobs["build"]["steps"])
    assert "__version__ ==" in build
    assert "twine check --strict dist/*" in build


@pytest.mark.requirement("I3")
@pytest.mark.parametrize("name", ["sbom", "test", "publish"])
def test_i3_each_job_with_the_distribution_compares_its_digests_first(name):
    """Nothing runs between the download and the comparison but another download."""
    steps = workflow("release")["jobs"][name]["steps"]
    [got] = [n for n, step in enumerate(steps) if step.get("with", {}).get("name") == "dist"]
    following = [
        step for step in steps[got + 1 :] if "download-artifact" not in step.get("uses", "")
    ]
    assert "$DIGESTS" in following[0]["run"]
    assert following[0]["env"] == {"DIGESTS": "${{ needs.build.outputs.digests }}"}


def test_the_changelog_has_a_dated_section_for_the_version():
    """Below a section for what comes next. The workflow refuses a tag without one."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(cognito_reset.__version__)} - 20\d\d-\d\d-\d\d", headings[1])


@pytest.mark.requirement("I3")
@pytest.mark.parametrize("name", ["test", "release"])
def test_i3_each_action_of_others_is_pinned_to_a_commit(name):
    for job in workflow(name)["jobs"].values():
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


def test_make_thorough_runs_every_environment_of_tox(setup):
    """Its last line runs those of env_list."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [recipe] = re.findall(r"^thorough:.*\n((?:\t.*\n)+)", makefile, re.M)
    others = {name.partition(":")[2] for name in setup.sections() if name.startswith("testenv:")}
    assert others
    assert set(re.findall(r"ARGS='-e ([\w-]+)", recipe)) == others


@pytest.mark.requirement("I4")
def test_i4_the_security_checks_leave_nothing_out_and_run_in_ci(setup):
    """In the package, bandit's rules are off only for made-up secrets of the test kit."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    assert "S" in ruff["lint"]["select"]
    for pattern, rules in ruff["lint"]["per-file-ignores"].items():
        off = {rule for rule in rules if re.fullmatch(r"S\d*", rule)}
        if pattern.startswith("cognito_reset/testing/"):
            assert off == {"S105", "S106", "S107"}
        elif pattern.startswith(("{cognito_reset", "cognito_reset")):
            assert not off
    mutated = setup["mutmut"]["only_mutate"].split()
    assert {Path(name).stem for name in mutated} == {
        *("ratelimits", "reservations", "digests", "stores"),
        *("network", "table"),
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "exit !NR || 100 * killed < 85 * NR" in makefile
    if (ROOT / ".ci" / "run").exists():
        assert "make lint types audit" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.requirement("I4")
@pytest.mark.skipif(not SEMGREP.exists(), reason="semgrep isn't here: make audit installs it")
def test_i4_semgrep_finds_what_the_rules_are_about(tmp_path):
    """A line that logs a password ends `make audit` with an error, also without a network."""
    bad = tmp_path / "bad.py"
    bad.write_text('def bad(logger, password):\n    logger.info("x %s", password)\n')
    command = [
        str(SEMGREP),
        "scan",
        "--metrics",
        "off",
        "--disable-version-check",
        "--quiet",
        "--error",
    ]
    environment = {**os.environ, "PATH": f"{SEMGREP.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "--config", str(ROOT / ".semgrep" / "rules.yaml"), str(bad)],
        env={**environment, "HTTPS_PROXY": "http://127.0.0.1:1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "secret-in-a-log-line" in done.stdout


SITE = """
INSTALLED_APPS += ["cognito_reset"]
COGNITO_RESET = {
    "POOLS": {
        "default": {
            "REGION": "eu-west-1",
            "USER_POOL_ID": "eu-west-1_Example01",
            "CLIENT_ID": "1example23456789",
        }
    }
}
"""


@pytest.mark.slow
@in_a_checkout
def test_pypi_accepts_the_metadata(tmp_path):
    """As the workflow asks before the release."""
    pytest.importorskip("twine", reason="twine isn't installed")
    wheel = build(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *wheel.parent.iterdir()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@in_a_checkout
def test_a_machine_with_nothing_but_python_can_install_it(tmp_path):
    """pip needs no compiler, and a new project with the app can be checked and migrated."""
    (tmp_path / "source").mkdir()
    wheel = build(tmp_path / "source")
    venv, site = tmp_path / "venv", tmp_path / "site"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    # The proxies and indexes of the machine, and no other program than those of the environment.
    names = re.compile(r"(?i)(pip_.*|.*_proxy|ssl_cert_.*|home|lang)")
    environment = {name: value for name, value in os.environ.items() if names.fullmatch(name)}
    environment["PATH"] = str(venv / "bin")

    def run(*arguments: str | Path, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = (venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--only-binary", ":all:", wheel)
    run(*pip, "check")
    site.mkdir()
    run(venv / "bin" / "django-admin", "startproject", "config", site)
    with (site / "config" / "settings.py").open("a") as settings:
        settings.write(SITE)
    urls = site / "config" / "urls.py"
    include = 'urlpatterns += [path("password-reset/", __import__("django.urls").urls.include("cognito_reset.urls"))]'
    urls.write_text(f"{urls.read_text()}\n{include}\n")
    manage = (venv / "bin" / "python", "manage.py")
    run(*manage, "check", cwd=site)
    run(*manage, "migrate", cwd=site)
    assert "[X] 0001_initial" in run(*manage, "showmigrations", "cognito_reset", cwd=site)
    code = "import cognito_reset; print(cognito_reset.__file__)"
    assert str(venv) in run(*manage, "shell", "-c", code, cwd=site)


@pytest.mark.requirement("I2")
def test_i2_no_package_of_the_tests_forbids_the_newest_django(setup):
    """Otherwise pip would choose an older Django, and make test wouldn't try the newest."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "dependency-groups"
    ]
    wanted = [each for name in ("demo", "test") for each in groups[name] if isinstance(each, str)]
    newest = max(re.findall(r"Framework :: Django :: ([\d.]+)", setup["metadata"]["classifiers"]))
    found = set()
    for name in (re.match(r"[\w-]+", each)[0] for each in wanted):
        for text in requires(name) or []:
            needed = Requirement(text)
            is_needed = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if needed.name.lower() == "django" and is_needed:
                found.add(name)
                assert needed.specifier.contains(f"{newest}.0"), name
    assert found
