"""The guides in docs/ name only what exists, and all of their code is tried: here, and in the tests of each page."""

from __future__ import annotations

import re
from configparser import ConfigParser
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import django.conf.global_settings
import pytest
import rest_framework.settings
from botocore.session import get_session
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.utils.module_loading import import_string

import cognito_reset
from cognito_reset.aws_lambda import custom_message
from cognito_reset.cognito.table import _HINTS, TABLE
from cognito_reset.conf import POOL_SETTINGS, SETTINGS
from cognito_reset.parsers import DEFAULT_LIMITS, parse_rates
from cognito_reset.resets import ratelimits
from cognito_reset.resets.identifiers import identifier_keys
from tests.documentation import ROOT, section
from tests.guides import NAMES, PAGES, codes, executed
from tests.test_log import PACKAGE, logged
from tests.test_timing import BOUND, MANY

MODEL = get_session().get_service_model("cognito-idp")
#: The blocks of Python, by the comment with which they begin, that the tests run.
TRIED = {
    "migrating.md": {
        "manage.py shell, for users whose password is in the pool",
        "receivers.py",
        "reset_views.py",
        "urls.py, for old versions of the app",
        "urls.py, with the addresses of allauth",
        "urls.py, with the names of django.contrib.auth",
        "views.py, with allauth's sign-in page",
    },
    "privacy.md": {"manage.py shell, to answer a request for access", "manage.py shell, to erase", "privacy.py"},
    "security.md": set(),
    "troubleshooting.md": {"in COGNITO_RESET", "service.py"},
    "upgrading.md": {"first step", "second step", "third step, an hour later or more"},
}  # fmt: skip
#: The numbers of blocks in other languages, all of which tests/test_troubleshooting.py and others try.
OTHERS = {
    "migrating.md": {"html": 1, "sh": 1},
    "privacy.md": {"sh": 2},
    "security.md": {},
    "troubleshooting.md": {"json": 1, "sh": 9, "text": 3},
    "upgrading.md": {"sh": 3},
}
#: Words in capital letters that are names of other programs.
FOREIGN = {
    "COGNITO_RESET",
    "SECRET_HASH",  # Cognito's word in a message
    "HTTP_HOST",  # Django's word in a message
    "REST_AUTH", "PASSWORD_RESET_SERIALIZER", "PASSWORD_RESET_CONFIRM_SERIALIZER",
    "PASSWORD_RESET_USE_SITES_DOMAIN",  # dj-rest-auth, see test_migrating.py
}  # fmt: skip


@pytest.mark.parametrize("page", NAMES)
def test_every_block_of_code_is_tried(page):
    """A new block needs a test, and its name here."""
    assert {text.partition("\n")[0][2:] for text in codes(page, "python")} == TRIED[page]
    languages = set(re.findall(r"^ *```(\w+)$", PAGES[page], re.M)) - {"python"}
    assert {name: len(codes(page, name)) for name in languages} == OTHERS[page]


@pytest.mark.parametrize("page", NAMES)
def test_each_error_of_cognito_exists(page):
    named = set(re.findall(r"\b[A-Z]\w+Exception\b", PAGES[page]))
    assert named <= {*MODEL.shape_names, *(code for _, code, _ in TABLE)}


@pytest.mark.django_db
@pytest.mark.parametrize("page", NAMES)
def test_each_name_in_the_app_exists(page):
    """Events of the log, ids of checks, permissions, modules and URL names."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    checks = set(re.findall(r'"([EWI]\d{3})"', sources))
    permissions = set(
        Permission.objects.filter(content_type__app_label="cognito_reset").values_list(
            "codename", flat=True
        )
    )
    known = logged().keys() | checks | permissions
    tables = {"cognito_reset_resetevent", "cognito_reset_ledgerslot"}
    for dotted in set(re.findall(r"\bcognito_reset\.[\w.]*\w", PAGES[page])):
        first = dotted.split(".")[1]
        if first not in known and dotted not in tables:
            assert is_importable(dotted), dotted


def is_importable(dotted: str) -> bool:
    try:
        return bool(find_spec(dotted))
    except ModuleNotFoundError:
        return bool(import_string(dotted))


@pytest.mark.parametrize("page", NAMES)
def test_each_setting_exists(page):
    """Words in capital letters in the text are settings, or values of Cognito's."""
    enums = {
        value
        for name in MODEL.shape_names
        for value in MODEL.shape_for(name).metadata.get("enum", ())
    }
    known = {
        *SETTINGS, *POOL_SETTINGS, *enums, *FOREIGN, *_HINTS.values(),
        *dir(django.conf.global_settings), *rest_framework.settings.DEFAULTS,
        *re.findall(r'os\.environ\.get\("(\w+)"', Path(custom_message.__file__).read_text()),
    }  # fmt: skip
    prose = re.sub(r"^ *```.*?^ *```", "", PAGES[page], flags=re.M | re.DOTALL)
    for name in set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", prose)) - known:
        # Settings of django-allauth, django-cors-headers and django-rest-passwordreset.
        assert name.startswith(("ACCOUNT_", "CORS_", "DJANGO_REST_")), name


@pytest.mark.parametrize("page", NAMES)
def test_each_finding_of_the_doctor_exists(page):
    findings = pytest.importorskip("cognito_reset.doctor.findings", reason="there is no doctor yet")
    known = {finding.id for finding in findings.Finding}
    text = " ".join(PAGES[page].split())
    named = re.findall(
        r"doctor` reports ((?:\[`\w+`\]\(doctor\.md#\w+\)(?:, or |, | or )?)+)", text
    )
    assert {name for names in named for name in re.findall(r"`(\w+)`", names)} <= known
    assert len(named) == len(re.findall("doctor` reports", text))


@pytest.mark.parametrize("page", NAMES)
def test_each_file_that_is_named_exists(page):
    for name in re.findall(r"`(tests/[\w/.]+)`", PAGES[page]):
        assert (ROOT / name).is_file(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`", PAGES[page]):
        assert re.search(rf"^{target}:", makefile, re.M), target


# Security


def test_the_bounds_of_guessing_are_those_of_the_default_limits():
    """docs/security.md: 13 guesses at an identifier in any hour, and one hit in two weeks at the site's limit."""
    text = " ".join(PAGES["security.md"].split())
    (site,) = parse_rates(DEFAULT_LIMITS["confirm"]["site"])
    person = max(
        parse_rates(DEFAULT_LIMITS["confirm"]["identifier"]), key=lambda rate: rate.seconds
    )
    assert site.seconds == person.seconds == 3600
    guesses = person.limit + ratelimits.ALL_OWN_GUESSES.limit
    assert f"at most {guesses} guesses in any hour" in text
    assert f"at most {guesses} in a million an hour" in text
    assert f"limit of {site.limit} confirmations an hour" in text
    on_average = timedelta(hours=1_000_000 / site.limit)
    assert timedelta(days=13) < on_average < timedelta(days=15)
    assert "one in two weeks on average" in text


def test_the_figures_about_the_attacks_are_those_of_the_tests():
    page = PAGES["security.md"]
    assert f"below {BOUND} with {MANY} samples" in page
    assert "from 40 threads or 8 processes" in page
    assert "(1, 8), ACCEPTED" in (ROOT / "tests" / "services" / "test_races.py").read_text()
    assert "at least 85 % of the mutants" in page
    assert (
        "85"
        in re.search(r"^KILLED := (.*?[^\\])$", (ROOT / "Makefile").read_text(), re.M | re.DOTALL)[
            1
        ]
    )


# Upgrading


def test_each_step_of_changing_the_key_reads_what_the_step_before_wrote(settings):
    """A process in one step finds what a process in the next step or the step before has written."""
    written, read = [], []
    for comment in sorted(TRIED["upgrading.md"], key=_order):
        for name, value in executed("upgrading.md", comment).items():
            if name.isupper():
                setattr(settings, name, value)
        keys = identifier_keys("default", "alice")
        written.append(keys[0])
        read.append(keys)
    assert written[0] in read[1]
    assert written[1] in read[0]
    assert written[1] == written[2]
    assert read[2] == written[2:]


def _order(comment: str) -> int:
    return next(n for n, word in enumerate(("first", "second", "third")) if word in comment)


@pytest.mark.django_db
def test_the_commands_for_upgrading_run(capsys, tmp_path, settings):
    # check --deploy of Django 6.1 refuses the tests' own backend. Older versions don't know the setting.
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"}}
    ran = []
    for text in codes("upgrading.md", "sh"):
        for line in text.splitlines():
            program, arguments = line.split(" ", 2)[:2], line.split()[2:]
            if program == ["python", "manage.py"]:
                call_command(*arguments)
                ran.append(arguments[0])
    assert ran == ["check", "migrate", "migrate"]
    assert 'pip install "django-cognito-reset==' in codes("upgrading.md", "sh")[0]


def test_the_versions_are_those_of_the_metadata():
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    needs = metadata["options"]["install_requires"]
    text = section("upgrading.md", "From 0.x to 1.0.0rc1")
    for package, name in (
        ("boto3", "boto3"),
        ("Django", "Django"),
        ("djangorestframework", "Django REST framework"),
    ):
        (version,) = re.findall(rf"^{package}>=(\S+)$", needs, re.M)
        assert f"{name} {version}" in text
    assert f"Python {metadata['options']['python_requires'].removeprefix('>=')}" in text


def test_the_migration_of_the_upgrade_is_as_described():
    """It adds the column to the audit, and two tables."""
    source = (Path(cognito_reset.__file__).parent / "migrations" / "0002_staff.py").read_text()
    assert re.search(r"AddField\(\s*model_name='resetevent',\s*name='action'", source)
    created = re.findall(r"CreateModel\(\s*name='(\w+)'", source)
    assert sorted(created) == ["Account", "BulkItem", "BulkRun"]  # the first is a proxy
