"""The command's output, which may not be writable: its reader may go away before the end, as ``head`` does."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Any, TextIO

from django.core.management.base import OutputWrapper


def output_error(out: OutputWrapper) -> OSError | None:
    """Return why something couldn't be written to a command's output, unless its reader went away."""
    # A stream that was passed to call_command() has no such attribute.
    error: OSError | None = getattr(out, "error", None)
    return error


class Output:
    """
    A stream that goes on as if it could be written: the work and its exit code don't depend on the output.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None if the process has no such stream, for example after ">&-"
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        if self._stream is None:
            self.error = OSError(errno.EBADF, os.strerror(errno.EBADF))
            return
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            self._drop(self._stream, error)

    def flush(self) -> None:
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(self._stream, error)

    def _drop(self, stream: TextIO, error: OSError) -> None:
        """Write to nowhere what the stream still holds. Otherwise Python would try again when it exits, and fail."""
        with suppress(OSError):  # a stream without a file has no number
            number = stream.fileno()
            kept = os.dup(number)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)
            stream.flush()
            if not isinstance(error, BrokenPipeError):
                # A disk may have room again later, and the process may go on: a site's own code can call the command.
                os.dup2(kept, number)
            os.close(kept)
        if not isinstance(error, BrokenPipeError):
            self.error = error
