"""docs/spa.md says what the code does, and its own code is what the tests of browsers run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import include, path

from cognito_reset.checks import urls as url_checks
from cognito_reset.checks.urls import check_urls
from tests.documentation import python

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "spa.md").read_text()
FILES = [
    *(ROOT / "tests" / "clients" / "spa").iterdir(),
    ROOT / "example_project" / "static" / "example_project" / "rest.js",
]
TARGET = {"X-Amz-Target": "AWSCognitoIdentityProviderService.ForgotPassword"}


def test_its_code_is_what_runs():
    """Each file of the apps that tests/browser/test_clients.py runs, whole and no other."""
    blocks = re.findall(r"```jsx?\n(.*?)```", GUIDE, re.DOTALL)
    assert sorted(blocks) == sorted(file.read_text() for file in FILES)
    assert all(f"// {file.name}: " in GUIDE for file in FILES)


@pytest.mark.requirement("D18")
def test_d18_the_settings_for_another_origin_are_good(settings):
    """Origins one by one, no credentials, and not a word from the checks."""
    pytest.importorskip("corsheaders", reason="django-cors-headers isn't installed")
    values: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": []}
    exec(python("spa.md", "settings.py, for another origin"), values)
    cors = {name: value for name, value in values.items() if name.startswith("CORS_")}
    assert {name for name in cors if "ORIGIN" in name or "CREDENTIALS" in name} == {
        "CORS_ALLOWED_ORIGINS"
    }
    for name, value in cors.items():
        setattr(settings, name, value)
    settings.MIDDLEWARE = [*values["MIDDLEWARE"], *settings.MIDDLEWARE]
    settings.ROOT_URLCONF = (
        path("api/password-reset/", include("cognito_reset.rest.urls")),
        path("cognito", include("cognito_reset.aws.urls")),
    )
    assert check_urls() == []
    (origin,) = cors["CORS_ALLOWED_ORIGINS"]
    for url in ("/api/password-reset/confirm/", "/cognito/"):
        answer = Client().post(url, headers={"Origin": origin}, content_type="application/json")
        assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_every_warning_is_explained():
    """Each id that the checks of URLs have."""
    known = re.findall(r'"(W\d+)"', Path(url_checks.__file__).read_text())
    assert re.findall(r"`cognito_reset\.(W\d+)`", GUIDE) == sorted(known)


@pytest.mark.parametrize(
    ("changes", "status", "is_json"),
    [
        ({}, 400, True),
        ({"ALLOWED_HOSTS": ["www.example.com"]}, 400, False),
        ({"PREPEND_WWW": True}, 301, False),
        ({"SECURE_SSL_REDIRECT": True}, 301, False),
        ({"SECURE_SSL_REDIRECT": True, "SECURE_REDIRECT_EXEMPT": [r"^cognito/*$"]}, 403, True),
    ],
    ids=["nothing", "a bad host", "PREPEND_WWW", "https", "https, exempt"],
)
def test_what_stands_around_the_endpoint(settings, changes, status, is_json):
    """What the guide warns of gives an answer that no SDK can read; what it advises gives JSON."""
    settings.MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    for name, value in changes.items():
        setattr(settings, name, value)
    client = Client(enforce_csrf_checks=True)
    answer = client.post(
        "/cognito", b"{}", content_type="application/x-amz-json-1.1", headers=TARGET
    )
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/x-amz-json-1.1") is is_json
