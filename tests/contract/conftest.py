from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.contract import servers
from tests.contract.cases import Case
from tests.contract.servers import LivePool, MountedEmulator, Server, Settings

#: What a real pool does where nobody says what it should.
UNDOCUMENTED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def mounted_emulator() -> Iterator[Server]:
    server = MountedEmulator(servers.make_client(servers.NO_ADDRESS))
    server.emulator.mount(server.client)
    yield server
    server.emulator.close()


@pytest.fixture(scope="session")
def emulator_over_http() -> Iterator[Server]:
    with servers.emulator_over_http() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def cognito_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("node") is None or not servers.COGNITO_LOCAL.exists():
        pytest.skip("cognito-local isn't here: make contract installs it, and needs npm")
    with servers.cognito_local(tmp_path_factory.mktemp("cognito-local")) as server:
        yield server


@pytest.fixture(scope="session")
def live_pool() -> LivePool:
    settings = Settings(
        (name.removeprefix("COGNITO_LIVE_"), value)
        for name, value in os.environ.items()
        if name.startswith("COGNITO_LIVE_")
    )
    if not {"REGION", "USER_POOL_ID", "CLIENT_ID"} <= set(settings):
        pytest.skip("no real pool is named: COGNITO_LIVE_REGION, …_USER_POOL_ID, …_CLIENT_ID")
    return LivePool(settings)


@pytest.fixture
def record_undocumented(pytestconfig: pytest.Config) -> Callable[[Case, str], None]:
    def record(case: Case, outcome: str) -> None:
        if case.undocumented:
            lines = pytestconfig.stash.setdefault(UNDOCUMENTED, [])
            lines.append(f"{case.id}: {outcome} (emulator: {case.expected}) {case.source}")

    return record


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in sorted(config.stash.get(UNDOCUMENTED, [])):
        terminalreporter.write_line(line)
