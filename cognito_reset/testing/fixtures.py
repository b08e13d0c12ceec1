"""
pytest fixtures: ``pytest_plugins = ["cognito_reset.testing.fixtures"]`` in a site's conftest.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest

from cognito_reset.cognito import service
from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.mount import EVENT, Mount

# Making a client takes longer than most tests. With one seed the ids are the same in each test, and
# so the process's service, with its clients, serves them all.
_SEED: Final = 9229
_POOL: Final = {
    "PoolName": "tests",
    "AliasAttributes": ["email", "phone_number", "preferred_username"],
    "AutoVerifiedAttributes": ["email"],
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
    monkeypatch.setattr(service, "_make_client", partial(_make_mounted, service._make_client))
    for _, made in service._services.values():
        _mount(made.client)
    _current.append(emulator)
    yield emulator
    _wait_for_calls()
    _current.clear()
    emulator.close()


def _wait_for_calls() -> None:
    """Let the calls that a test left under way end in it: a neutral answer doesn't wait for them."""
    calls, deadline = service._calls, time.monotonic() + 5
    if calls is not None:
        places = range(calls.limit)
        taken = [calls._free.acquire(timeout=max(0, deadline - time.monotonic())) for _ in places]
        for _ in filter(None, taken):
            calls._free.release()


def _result(emulator: Emulator, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = emulator.handle(operation, body)
    assert status == 200, answer  # noqa: S101  # a fixture's, in a test
    return answer


def _make_mounted(make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    client = make(*args, **kwargs)
    _mount(client)
    return client


def _mount(client: Any) -> None:
    """Outlives a test, as the client does: in a test without the fixture it stands aside."""

    def answer(request: Any, **kwargs: Any) -> Any:
        return Mount(_current[0], client)(request) if _current else None

    client.meta.events.register(EVENT, answer, unique_id="cognito_reset.testing")
