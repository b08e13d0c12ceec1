from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from example_project import emulator
from tests.clients.proxy import Proxy
from tests.clients.registry import CLIENTS, Client
from tests.clients.stage import Site
from tests.demo import Demo

SWITCH = "COGNITO_RESET_CLIENTS"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, clients in {
        "client": CLIENTS,
        "client_by_variable": [client for client in CLIENTS if client.knows_variable],
    }.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, clients, ids=lambda client: client.name, indirect=True)


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    found.skip_if_absent()
    return found


@pytest.fixture
def client_by_variable(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    found.skip_if_absent()
    return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo, as a process of its own."""
    if SWITCH not in os.environ:
        pytest.skip(f"make clients runs the clients, and sets {SWITCH}: they take minutes")
    pytest.importorskip("environ", reason="django-environ isn't installed")
    with ExitStack() as stack:
        server, pool = emulator.start()
        stack.callback(server.close)
        environment = {f"COGNITO_{key}": value for key, value in pool.items()}
        demo = Demo(
            tmp_path_factory.mktemp("demo"),
            "0",
            DJANGO_SETTINGS_MODULE="tests.clients.settings",
            COGNITO_OUTBOX_URL=f"{server.url}/outbox",
            **environment,
        )
        stack.enter_context(demo)
        site = Site(demo.url, server, pool["USER_POOL_ID"])
        # By then it may be another.
        stack.callback(lambda: site.server.close())
        yield site


@pytest.fixture
def proxy(site: Site) -> Iterator[Proxy]:
    with Proxy(site.url) as proxy:
        yield proxy
