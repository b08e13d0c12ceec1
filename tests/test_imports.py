"""
What a site loads when it starts: no boto3, and nothing of Django's that it doesn't use.

``make lint`` checks which package may import which; see ``[importlinter]`` in setup.cfg.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(source: str, *arguments: str) -> str:
    """Return what a new Python process prints when it runs source."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source, *arguments],
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


OWN = {"cognito_reset", "cognito_reset.apps", "cognito_reset.models", "cognito_reset.signals"}


DJANGO = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
ADMIN = ["django.contrib.sessions", "django.contrib.messages", "django.contrib.admin"]


def modules(*apps: str) -> set[str]:
    """Return the modules that ``django.setup()`` has loaded on a site with these apps."""
    source = """
import sys
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    INSTALLED_APPS=sys.argv[1:],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
print(*sys.modules)
"""
    return set(run(source, *apps).split())


def test_setup_loads_the_models_and_little_else():
    """Without the admin, ``django.setup()`` loads nothing of DRF for the app, and four modules of the app."""
    loaded = modules(*DJANGO, "cognito_reset")
    added = loaded - modules(*DJANGO)
    assert {name for name in added if name.startswith("cognito_reset")} == OWN
    assert len(added) <= len(OWN) + 4
    assert not {"boto3", "botocore", "rest_framework.fields"} & loaded


def test_setup_with_the_admin_loads_little_of_others():
    """
    ``django.setup()`` loads all that the admin registers. Of DRF it loads only the exceptions: the rest takes longer
    than everything of the app, and loads requests and the drivers of PostgreSQL.
    """
    loaded = modules(*DJANGO, *ADMIN, "cognito_reset")
    added = loaded - modules(*DJANGO, *ADMIN)
    assert "cognito_reset.staff.runs" in added
    assert "cognito_reset.doctor.examination" not in added
    optional = ("cognito_reset", "phonenumbers")
    others = {name for name in added if not name.startswith(optional)}
    of_drf = {name for name in others if name.startswith("rest_framework")}
    assert "rest_framework.exceptions" in of_drf
    assert not {"boto3", "botocore", "rest_framework.fields", "rest_framework.compat"} & loaded
    assert len(others) <= 20
