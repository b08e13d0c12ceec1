"""
pytest fixtures: ``pytest_plugins = ["cognito_reset.testing.fixtures"]`` in a site's conftest.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.service import clients_made_by, wait_until_idle
from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.mount import EVENT, Mount

if TYPE_CHECKING:
    from cognito_reset.conf import PoolSettings

# Making a client takes longer than most tests. One seed gives the same ids in each test, so that one
# service, with its clients, serves them all.
_SEED: Final = 9229
_POOL: Final = {
    "PoolName": "tests",
    "AliasAttributes": ["email", "phone_number", "preferred_username"],
    "AutoVerifiedAttributes": ["email"],
    # As AWS recommends, both contacts recover an account, except the one that is the second factor.
    "AccountRecoverySetting": {
        "RecoveryMechanisms": [
            {"Name": "verified_phone_number", "Priority": 1},
            {"Name": "verified_email", "Priority": 2},
        ]
    },
}
_CLIENT: Final = {
    "ClientName": "tests",
    "GenerateSecret": True,
    "ExplicitAuthFlows": [
        "ALLOW_ADMIN_USER_PASSWORD_AUTH",
        "ALLOW_REFRESH_TOKEN_AUTH",
        "ALLOW_USER_PASSWORD_AUTH",
    ],
}

#: The emulator of the test that is running.
_current: list[Emulator] = []


@pytest.fixture
def cognito_emulator(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """
    An Emulator behind every client of the app, with a pool and a client with a secret for the
    pool "default" of COGNITO_RESET. Users are up to the test.
    """
    configured = getattr(settings, "COGNITO_RESET", {})
    pools = configured.get("POOLS", {})
    region = pools.get("default", {}).get("REGION", "us-east-1")
    emulator = Emulator(region=region, seed=_SEED)
    pool_id = _result(emulator, "CreateUserPool", _POOL)["UserPool"]["Id"]
    client = _result(emulator, "CreateUserPoolClient", {"UserPoolId": pool_id, **_CLIENT})
    emulator.calls.clear()
    default = {
        "REGION": region,
        "USER_POOL_ID": pool_id,
        "CLIENT_ID": client["UserPoolClient"]["ClientId"],
        "CLIENT_SECRET": client["UserPoolClient"]["ClientSecret"],
    }
    settings.COGNITO_RESET = {**configured, "POOLS": {**pools, "default": default}}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    _current.append(emulator)
    with clients_made_by(_make_mounted):
        yield emulator
        # An answer of the request step doesn't wait for its call, which must still end in this test.
        wait_until_idle(timeout=5)
    _current.clear()
    emulator.close()


def _result(emulator: Emulator, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = emulator.handle(operation, body)
    assert status == 200, answer  # noqa: S101  # a fixture's, in a test
    return answer


def _make_mounted(pool: PoolSettings, *, signed: bool) -> Any:
    """
    Make a client that calls the running test's emulator instead of the network. It outlives the test, and
    in a test without the fixture it uses the network as usual.
    """
    client = make_client(pool, signed=signed)

    def answer(request: Any, **kwargs: Any) -> Any:
        return Mount(_current[0], client)(request) if _current else None

    client.meta.events.register(EVENT, answer, unique_id="cognito_reset.testing")
    return client
