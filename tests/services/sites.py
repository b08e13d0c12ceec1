"""Servers of deploy_site.py: any number of gunicorns on one database and one store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.services import cluster
from tests.services.servers import ROOT, serving


@dataclass(frozen=True)
class Site:
    """
    What the settings of a server have of their own. ``redis`` is the URL of the store of the limits, or "" for the
    database. ``settings`` are Django's settings, ``reset`` those of the app.
    """

    folder: Path
    pool: dict[str, Any]
    database: str
    database_name: str
    redis: str = ""
    settings: dict[str, Any] = field(default_factory=lambda: {"SECRET_KEY": "only-for-tests"})
    reset: dict[str, Any] = field(default_factory=dict)

    def having(self, **reset: Any) -> Site:
        """Return a site with other settings of the app."""
        return replace(self, reset={**self.reset, **reset})

    def environment(self) -> dict[str, str]:
        own = {**vars(self), "folder": str(self.folder)}
        inherited = {**os.environ, "SITE": json.dumps(own), "PYTHONPATH": str(ROOT)}
        inherited.pop("DJANGO_SETTINGS_MODULE", None)
        return inherited

    def manage(self, *arguments: str) -> None:
        """Create or destroy the database, or run a command of Django's on it."""
        code = "from tests.services.deploy_site import main; main()"
        subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env=self.environment(),
            timeout=120,
            check=True,
        )

    @contextmanager
    def with_database(self) -> Iterator[Site]:
        """Have the database while the block runs."""
        self.manage("create")
        try:
            yield self
        finally:
            self.manage("destroy")

    @contextmanager
    def running(self, *, workers: int = 2, threads: int = 8) -> Iterator[int]:
        """Run gunicorn, and yield its port."""
        command = ["gunicorn", "--bind", "fd://{fd}", "--preload"]
        command += ["--workers", str(workers), "--threads", str(threads)]
        command += ["tests.services.deploy_site:application"]
        with (
            (self.folder / "log").open("a") as log,
            serving(command, self.environment(), log) as port,
        ):
            yield port


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis of our own, and yield its URL."""
    [port] = cluster.free_ports(1)
    server = cluster.start(port, folder)
    try:
        cluster.wait_until([port], ["ping"], "PONG")
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
