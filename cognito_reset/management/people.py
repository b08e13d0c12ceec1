"""The lists of people that the command reads."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, Final

from django.core.management.base import CommandError

from cognito_reset.management.exits import Exit

STANDARD_INPUT: Final = "-"
# Bytes of a line. No name is so long, and a longer line would be read into memory.
LONGEST_LINE: Final = 10_000


@contextmanager
def people_in(path: str) -> Iterator[Iterator[str]]:
    """Open a file, or standard input, and yield an iterator over its people."""
    if path == STANDARD_INPUT:
        yield lines(sys.stdin.buffer)
        return
    try:
        file = open(path, "rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise CommandError(
            f"{path} can't be read: {error.strerror}.", returncode=Exit.USAGE
        ) from None
    with file:
        yield lines(file)


def lines(file: BinaryIO) -> Iterator[str]:
    """Return the lines of a text in UTF-8, with or without a byte order mark, one after the other."""
    read = partial(file.readline, LONGEST_LINE + 1)
    for number, line in enumerate(iter(read, b""), 1):
        if len(line) > LONGEST_LINE:
            reason = f"Line {number} is too long. Nobody was sent a reset."
            raise CommandError(reason, returncode=Exit.USAGE)
        raw = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            reason = f"Line {number} is not UTF-8. Nobody was sent a reset."
            raise CommandError(reason, returncode=Exit.USAGE) from None
        yield text
