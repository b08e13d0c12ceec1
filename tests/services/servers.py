"""Sites on gunicorn and uvicorn, as the tests and the benchmarks start them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: IO[Any] | None = None,
    *,
    is_killed: bool = False,
) -> Iterator[int]:
    """
    Run a server, such as ``["uvicorn", "--fd", "{fd}", …]``, on a socket that it inherits, and yield its port. "{fd}"
    stands for the number of that socket. The output goes to ``log``, or else to that of this process. With
    ``is_killed``, the server and its workers are killed at the end, because their calls may still hang.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        words = [word.format(fd=listener.fileno()) for word in command]
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=environment,
            pass_fds=[listener.fileno()],
            stdout=log,
            stderr=log,
            start_new_session=is_killed,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            if is_killed:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.terminate()
            process.wait(60)
