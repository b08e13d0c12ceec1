"""A Redis in cluster mode: three servers on this machine, and Django's cache for them."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.cache.backends.redis import RedisCache, RedisCacheClient

NODES = 3


def is_installed() -> bool:
    return all(map(shutil.which, ("redis-server", "redis-cli")))


@contextmanager
def redis_cluster(folder: Path) -> Iterator[list[str]]:
    """Run a cluster whose files are in ``folder``, and yield the addresses of its nodes."""
    ports = free_ports(NODES)
    more = {"cluster-enabled": "yes"}
    servers = [
        start(port, folder, **more, **{"cluster-config-file": f"nodes-{port}.conf"})
        for port in ports
    ]
    addresses = [f"127.0.0.1:{port}" for port in ports]
    try:
        wait_until(ports, ["ping"], "PONG")
        subprocess.run(
            ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"],
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        wait_until(ports, ["cluster", "info"], "cluster_state:ok")
        yield addresses
    finally:
        for server in servers:
            server.kill()
            server.wait()


def free_ports(count: int) -> list[int]:
    """
    Return ports for servers. The one that is 10,000 higher is for a node's talk with the others. The system gives none of
    them to clients, and pytest's other processes choose others, whatever they seed their random numbers with.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randint(10_000, 22_000)
        try:
            for each in (port, port + 10_000):
                socket.create_server(("127.0.0.1", each)).close()
        except OSError:
            continue
        ports.append(port)
    return ports


def start(port: int, folder: Path, **more: str) -> subprocess.Popen[bytes]:
    """Start a server. ``more`` are options of its own."""
    options = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "save": "", **more}
    arguments = [
        part for name, value in options.items() for part in (f"--{name}", *value.split(" "))
    ]
    return subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)


def wait_until(ports: list[int], command: list[str], wanted: str) -> None:
    deadline = time.monotonic() + 30
    for port in ports:
        while wanted not in ask(port, *command):
            assert time.monotonic() < deadline, f"Redis doesn't answer {wanted} to {command}."
            time.sleep(0.05)


def ask(port: int, *command: str) -> str:
    done = subprocess.run(
        ["redis-cli", "-p", str(port), *command], capture_output=True, text=True, check=False
    )
    return done.stdout


class ClusterClient(RedisCacheClient):
    """Django's own client, on redis-py's client for a cluster."""

    _cluster: Any = None

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        if self._cluster is None:
            address = urlsplit(self._servers[0])
            self._cluster = self._lib.RedisCluster(host=address.hostname, port=address.port)
        return self._cluster


class ClusterCache(RedisCache):
    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = ClusterClient
