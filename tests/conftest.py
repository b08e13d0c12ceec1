from __future__ import annotations

import functools
import os

import pytest
from botocore.loaders import JSONFileLoader

from cognito_reset.testing import Emulator
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

pytest_plugins = ["cognito_reset.testing.fixtures"]

# botocore reads its model for each session anew, which is most of what making a client takes.
read_once = functools.cache(JSONFileLoader().load_file)
JSONFileLoader.load_file = lambda loader, path: read_once(path)  # type: ignore[assignment,method-assign]


@pytest.fixture
def people(db: None, cognito_emulator: Emulator) -> People:
    """The emulator's pool with a user in every state."""
    return People(cognito_emulator)
