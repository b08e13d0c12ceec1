from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import pytest
from botocore.loaders import JSONFileLoader
from django.apps import apps

from cognito_reset.resets.stores import open_store, stores_opened_by
from cognito_reset.testing import Cognito, Emulator
from tests.people import People

# Nothing of the machine's own AWS set-up may reach a test: no profile, no endpoint, no account.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# pytest finds the plugin by itself where the package is installed, but not in a checkout that PYTHONPATH names.
pytest_plugins = ["cognito_reset.testing.fixtures"]

# botocore reads its model for each session anew, which is most of what making a client takes.
read_once = functools.cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda loader, path: read_once(path)  # type: ignore[assignment,method-assign]


@pytest.fixture
def cognito(cognito: Cognito) -> Iterator[Cognito]:
    """Count the limits where the test's settings say: unlike a site's tests, these try the stores."""
    with stores_opened_by(open_store):
        yield cognito


@pytest.fixture
def people(db: None, cognito_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> People:
    """The emulator's pool with a user in every state."""
    if apps.is_installed("django.contrib.admin"):
        # On a busy machine, making the clients may take as long as the admin's pages wait for Cognito.
        monkeypatch.setattr("cognito_reset.staff.person_pages.PATIENCE_SECONDS", 20.0)
    return People(cognito_emulator)
