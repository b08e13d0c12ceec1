"""
The pytest plugin, which pytest finds by its entry point.

It is loaded in every project of an environment that has this package, so it imports nothing but pytest until a
test uses a fixture. With PYTEST_DISABLE_PLUGIN_AUTOLOAD, a site's conftest.py names it:
``pytest_plugins = ["cognito_reset.testing.fixtures"]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from cognito_reset.testing.emulator import Emulator
    from cognito_reset.testing.kit import Cognito

__all__ = ["cognito", "cognito_emulator"]

#: The fixtures of pytest-django with which a test has the database.
_DATABASE: Final = {
    "db",
    "transactional_db",
    "django_db_reset_sequences",
    "django_db_serialized_rollback",
    "live_server",
}


@pytest.fixture
def cognito(request: pytest.FixtureRequest, settings: Any) -> Iterator[Cognito]:
    """
    Amazon Cognito for this test, behind the site's own settings: see ``cognito_reset.testing.Cognito``.

    It needs pytest-django. Without ``db`` or its like, the test has no database, and the rate limits are counted
    in memory.
    """
    # Only tests that use it load these modules.
    from cognito_reset.testing.kit import running_cognito  # noqa: PLC0415
    from cognito_reset.testing.settings_of_test import SettingsOfTest  # noqa: PLC0415

    asks = bool(_DATABASE.intersection(request.fixturenames))
    has_database = asks or request.node.get_closest_marker("django_db") is not None
    if has_database:
        request.getfixturevalue("db")  # before the limits are emptied, and after them at the end
    # By the fixture of pytest-django, so that changes of the test are undone in the right order.
    values = SettingsOfTest()
    settings.COGNITO_RESET = values.value
    with running_cognito(values, has_database=has_database) as running:
        yield running


@pytest.fixture
def cognito_emulator(cognito: Cognito) -> Emulator:
    """Return the Emulator of ``cognito``."""
    return cognito.emulator
