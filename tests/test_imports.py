"""
What a site loads when it starts: no boto3, and nothing of Django's that it doesn't use.

``make lint`` checks which package may import which; see ``[importlinter]`` in setup.cfg.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(source: str) -> str:
    """Return what a new Python process prints when it runs source."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


UNWANTED = {"boto3", "botocore", "cognito_reset.rest.openapi", "cognito_reset.testing"}
LOADED = f"print(sorted({UNWANTED} & set(sys.modules)))"


def test_a_site_starts_without_boto3():
    """boto3 takes time and memory to load, so it is loaded with the first call of Cognito."""
    source = f"""
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.core.management import call_command
from django.urls import get_resolver
from cognito_reset.conf import conf
call_command("check", "--deploy", "--fail-level", "CRITICAL", stdout=sys.stderr)
assert get_resolver().url_patterns
assert conf.service_class.__name__ == "CognitoService"
assert "cognito_reset.admin" in sys.modules
assert "cognito_reset.receivers" in sys.modules
{LOADED}
"""
    assert run(source) == "[]\n"


def test_the_app_needs_nothing_of_contrib_but_auth():
    """REST alone runs without admin, sessions, sites and messages. DRF needs contenttypes and auth."""
    source = f"""
import sys
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    ROOT_URLCONF="cognito_reset.rest.urls",
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "cognito_reset"
    ],
    SILENCED_SYSTEM_CHECKS=["cognito_reset.W007"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    COGNITO_RESET={{"POOLS": {{"default": {{
        "REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_Example01", "CLIENT_ID": "1example"
    }}}}}},
)
django.setup()
from django.core.management import call_command
import cognito_reset.urls
call_command("check", "--fail-level", "WARNING", stdout=sys.stderr)
call_command("migrate", verbosity=0)
assert not {{"django.contrib.admin", "django.contrib.sessions"}} & set(settings.INSTALLED_APPS)
assert "cognito_reset.admin" not in sys.modules
{LOADED}
"""
    assert run(source) == "[]\n"
