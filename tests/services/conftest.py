from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.services import cluster
from tests.services.stores import CACHES, leave_out, need


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A Redis in cluster mode, where CACHES and all processes that a test starts find it."""
    if not cluster.is_installed():
        leave_out("redis-server and redis-cli aren't installed")
    need("redis-cluster")
    with cluster.redis_cluster(tmp_path_factory.mktemp("redis-cluster")) as addresses:
        os.environ["REDIS_CLUSTER"] = addresses[0]
        CACHES["redis-cluster"]["LOCATION"] = f"redis://{addresses[0]}"
        yield addresses
        del os.environ["REDIS_CLUSTER"]


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """The name of a store that is there. The test is left out if it isn't."""
    name: str = request.param
    if name == "redis-cluster":
        request.getfixturevalue("redis_cluster")
    need(name)
    return name
