"""A Redis with a replica and a Sentinel, which makes the replica the leader when the leader dies."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from tests.services.cluster import ask, free_ports, start, wait_until

SERVICE = "limits"


@dataclass
class Watched:
    """The ports of the servers, and the process of the one that leads at first."""

    leader: int
    replica: int
    sentinel: int
    process: subprocess.Popen[bytes]


@contextmanager
def watched_redis(folder: Path, seconds: int = 60) -> Iterator[Watched]:
    """Run the three. The leader counts as dead when it hasn't answered for so many seconds."""
    leader, replica, sentinel = free_ports(3)
    config = folder / "sentinel.conf"  # Sentinel writes to it
    config.write_text(
        f"bind 127.0.0.1\nport {sentinel}\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {leader} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} {seconds * 1000}\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    at_once = {"repl-diskless-sync-delay": "0"}
    servers = [
        start(leader, folder, **at_once),
        start(replica, folder, replicaof=f"127.0.0.1 {leader}"),
    ]
    try:
        wait_until([replica], ["info", "replication"], "master_link_status:up")
        watch = ["redis-server", str(config), "--sentinel"]
        servers.append(subprocess.Popen(watch, stdout=subprocess.DEVNULL))
        wait_until([sentinel], ["sentinel", "replicas", SERVICE], f":{replica}")
        yield Watched(leader, replica, sentinel, servers[0])
    finally:
        for server in servers:
            server.kill()
            server.wait()


def leader_of(sentinel: int) -> str:
    return ask(sentinel, "sentinel", "get-master-addr-by-name", SERVICE).split()[-1]


class SentinelPool(SentinelConnectionPool):
    """What Django's own cache needs for a Sentinel, as its option ``pool_class``."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> SentinelPool:
        host, port = url.removeprefix("redis://").split(":")
        # By itself redis-py tries for seconds.
        at_once: dict[str, Any] = {"retry": Retry(NoBackoff(), 0)}
        sentinel = Sentinel([(host, int(port))], sentinel_kwargs=at_once)
        return cls(SERVICE, sentinel, **at_once, **options)
