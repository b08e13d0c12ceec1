"""An nginx of the test's own in front of servers on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.cluster import free_ports

# Debian has it where only root finds it.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
# As docs/proxies.md has it. The servers take turns.
CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid nginx.pid;
error_log nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream site {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://site;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, *upstreams: int) -> Iterator[int]:
    """Run nginx, whose defaults buffer requests, in front of these ports, and yield its port."""
    assert NGINX
    [port] = free_ports(1)
    configuration = folder / "nginx.conf"
    servers = " ".join(f"server 127.0.0.1:{upstream};" for upstream in upstreams)
    # Its worker gives up root's rights, and couldn't read this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(CONFIGURATION.format(user=user, port=port, servers=servers))
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(configuration)])
    try:
        while True:
            assert process.poll() is None, (folder / "nginx.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
                break
            except OSError:
                continue
        yield port
    finally:
        process.terminate()
        process.wait(10)
