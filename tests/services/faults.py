"""Faults of a site's own servers: a proxy that is cut off, and a Redis of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import cluster


class Proxy:
    """Stands before a server, to be cut off and held up."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._connections: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self.port = self.open(0)

    def open(self, port: int) -> int:
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return int(self._listener.getsockname()[1])

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                inner = listener.accept()[0]
            except OSError:
                return
            outer = socket.create_connection(self._target)
            self._connections += [inner, outer]
            for source, sink in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        except OSError:
            pass

    def cut(self) -> None:
        for each in (self._listener, *self._connections):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other end was faster
                pass
            each.close()
        self._connections.clear()

    def hold(self) -> None:
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()


class Redis:
    """A redis-server of the test's own, in a folder of its own, and what can happen to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        [self.port] = cluster.free_ports(1)
        self.start()

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._process = cluster.start(self.port, self._folder)
        cluster.wait_until([self.port], ["ping"], "PONG")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, *command: str) -> str:
        return cluster.ask(self.port, *command)

    @contextmanager
    def down(self) -> Iterator[None]:
        self.close()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    @contextmanager
    def full(self) -> Iterator[None]:
        self.ask("config", "set", "maxmemory-policy", "noeviction")
        self.ask("config", "set", "maxmemory", "1")
        try:
            yield
        finally:
            self.ask("config", "set", "maxmemory", "0")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        self.ask("replicaof", "127.0.0.1", "1")
        try:
            yield
        finally:
            self.ask("replicaof", "no", "one")

    @contextmanager
    def no_connections(self) -> Iterator[None]:
        """Hold the only connection that is allowed."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as only,
            only.makefile("rb") as answers,
        ):
            for command in (b"client kill type normal skipme yes", b"config set maxclients 1"):
                only.sendall(command + b"\r\n")
                answers.readline()
            try:
                yield
            finally:
                only.sendall(b"config set maxclients 1000\r\n")
                answers.readline()

    @contextmanager
    def no_disk(self) -> Iterator[None]:
        """Let Redis try to save to a folder that isn't there any more. It then refuses writes."""
        shutil.rmtree(self._folder)
        self.ask("config", "set", "save", "1 1")
        self.ask("set", "something", "to save")
        cluster.wait_until([self.port], ["info", "persistence"], "rdb_last_bgsave_status:err")
        try:
            yield
        finally:
            self._folder.mkdir()
            self.close()
            self.start()
