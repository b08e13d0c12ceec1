"""
``manage.py cognito_reset`` whose output nobody reads to its end, as with ``| head -1``, or whose output can't be
written: real pipes, and real processes.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command

from cognito_reset.management.commands.cognito_reset import Command
from tests.bulk_world import fast, start_list
from tests.test_bulk_processes import COUNT, SECONDS, database, site

__all__ = ["database", "fast", "site"]  # fixtures


@contextmanager
def pipe_without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def call(out, *arguments, err=None):
    """Call the command in this process, and return its exit code and its error."""
    try:
        call_command(Command(stdout=out, stderr=err), *arguments)
    except CommandError as error:
        return error.returncode, str(error)
    return 0, ""


CALLS = [
    ("doctor",),
    ("doctor", "--json"),
    ("doctor", "--pool", "nowhere"),
    ("purge",),
    ("send", "--dry-run", "alice", "nobody"),
    ("bulk", "status"),
    ("bulk", "export", "{run}"),
    ("bulk", "export", "0"),
]


def read_by_somebody(arguments):
    """Return the arguments with the number of a run, and what the call returns if somebody reads its output."""
    run = start_list("alice")
    arguments = [argument.format(run=run.pk) for argument in arguments]
    return arguments, call(io.StringIO(), *arguments)


def unwritable(arguments, read, reason):
    """Return what the call returns if its output can't be written, and what it writes to standard error."""
    has_output = not {"nowhere", "0"}.intersection(arguments)
    is_table = "export" in arguments and has_output
    told = f"The output can't be written: {reason}.\n"
    return ((2, "The table is incomplete.") if is_table else read), (told if has_output else "")


@pytest.mark.django_db
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("is_by_line", [True, False], ids=["each line", "all lines"])
@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_the_exit_code_does_not_depend_on_a_reader(people, arguments, is_by_line):
    """Whether each line is written at once, or all of them when the command ends. What is left goes nowhere."""
    arguments, read = read_by_somebody(arguments)
    buffering = 1 if is_by_line else 1_000_000
    with pipe_without_reader() as writer, open(writer, "w", buffering, closefd=False) as out:
        assert call(out, *arguments) == read


@pytest.mark.django_db
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_the_exit_code_does_not_depend_on_there_being_an_output(people, arguments, monkeypatch):
    """Python has no stream for a descriptor that is closed. A table is incomplete then, too."""
    arguments, read = read_by_somebody(arguments)
    expected, told = unwritable(arguments, read, "Bad file descriptor")
    monkeypatch.setattr(sys, "stdout", None)
    errors = io.StringIO()
    assert call(None, *arguments, err=errors) == expected
    assert errors.getvalue() == told
    monkeypatch.setattr(sys, "stderr", None)
    assert call(None, *arguments) == expected


FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason=f"There is no {FULL}.")


@needs_full
@pytest.mark.django_db
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("is_by_line", [True, False], ids=["each line", "all lines"])
@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_a_full_disk_is_told_on_standard_error(people, arguments, is_by_line):
    """The exit code is the same, except for a table, which would be incomplete. The file stays open for others."""
    arguments, read = read_by_somebody(arguments)
    expected, told = unwritable(arguments, read, "No space left on device")
    errors = io.StringIO()
    with open(FULL, "w", 1 if is_by_line else 1_000_000) as out:
        found = call(out, *arguments, err=errors)
        assert os.fstat(out.fileno()).st_rdev == os.stat(FULL).st_rdev
    assert found == expected
    assert errors.getvalue() == told


@pytest.mark.django_db
def test_a_stream_that_is_no_file_can_not_be_written():
    """A caller may pass any stream."""

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    errors = io.StringIO()
    assert call(Full(), "purge", err=errors) == (0, "")
    assert errors.getvalue() == "The output can't be written: No space left on device.\n"


@pytest.mark.django_db
def test_characters_that_the_output_can_not_write_are_escaped(people):
    """As in the logs of a machine whose locale is C, and which has set PYTHONIOENCODING."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    assert call(out, "send", "alice", "日本", "bob")[0] == 1
    assert b"refused: \\u65e5\\u672c: " in raw.getvalue()
    assert raw.getvalue().count(b"sent: ") == 2


def ended(process):
    """Wait for the end of a process, and return its exit code and what it wrote to standard error."""
    with process:
        try:
            errors = process.stderr.read() if process.stderr else ""
            return process.wait(SECONDS), errors
        finally:
            process.kill()


def test_a_reader_that_leaves_after_the_first_line(site):
    """The doctor goes on to its end. There is no traceback, and the exit code counts all of its findings."""
    process = site.begin("cognito_reset", "doctor", through=["env", "PYTHONUNBUFFERED=1"])
    assert process.stdout.readline().startswith("ok ")
    process.stdout.close()
    code, errors = ended(process)
    assert code == 3
    assert errors.startswith("CommandError: Something is wrong: ")
    assert len(errors.splitlines()) == 1


def test_nobody_reads_the_errors_either(site):
    """As with ``2>&1 | head``. The exit code still tells what went wrong."""
    with pipe_without_reader() as writer:
        pipes = {"stdout": writer, "stderr": subprocess.STDOUT}
        assert ended(site.begin("cognito_reset", "bulk", "status", "7", **pipes)) == (2, "")


def test_resets_are_sent_to_everybody_and_noted_without_a_reader(site):
    """By both commands that send, with the usual buffer."""
    names = [f"person-{number}" for number in range(COUNT)]
    with pipe_without_reader() as writer:
        start = ("cognito_reset", "bulk", "start", "--all", "--yes", "--rate", "100")
        assert ended(site.begin(*start, stdout=writer)) == (0, "")
        assert site.resets() == dict.fromkeys(names, 1)
        through = ["env", "PYTHONUNBUFFERED=1"]
        send = ("cognito_reset", "send", "person-1", "nobody", "person-2")
        sent = site.begin(*send, stdout=writer, through=through)
        code, errors = ended(sent)
    assert code == 1
    assert errors.startswith("CommandError: 1 of 3 people were not sent a reset")
    assert len(errors.splitlines()) == 1
    assert site.resets() == {**dict.fromkeys(names, 1), "person-1": 2, "person-2": 2}
    assert f"100 % of {COUNT}: {COUNT} sent" in site.call("status", "1")


CLOSED = ["sh", "-c", 'exec "$@" >&-', "sh"]
ASCII = ["env", "PYTHONIOENCODING=ascii"]
ON_FULL_DISK = ["sh", "-c", f'exec "$@" >{FULL}', "sh"]


@pytest.mark.parametrize(
    "through",
    [
        pytest.param(CLOSED, id="closed"),
        pytest.param(ON_FULL_DISK, id="full", marks=needs_full),
        pytest.param([*ON_FULL_DISK, "env", "PYTHONUNBUFFERED=1"], id="full now", marks=needs_full),
        pytest.param(ASCII, id="ASCII"),
    ],
)
def test_resets_are_sent_to_everybody_whatever_the_output(through, site):
    """By both commands that send. The exit code is that of an output which can be written."""
    site.add("日本")
    names = [*(f"person-{number}" for number in range(COUNT)), "日本"]
    start = ("cognito_reset", "bulk", "start", "--all", "--yes", "--rate", "100", "-v2")
    code, errors = ended(site.begin(*start, through=through))
    reason = {CLOSED[2]: "Bad file descriptor", ON_FULL_DISK[2]: "No space left on device"}
    why = next((reason[part] for part in through if part in reason), "")
    told = f"The output can't be written: {why}.\n" * bool(why)
    assert (code, errors) == (0, told)
    assert site.resets() == dict.fromkeys(names, 1)
    assert "done, all of the pool default" in site.call("status", "1")
    send = ("cognito_reset", "send", "person-1", "nobody", "日本", "person-2")
    code, errors = ended(site.begin(*send, through=through))
    assert code == 1
    assert errors.startswith(f"{told}CommandError: 1 of 4 people were not sent a reset")
    assert "Traceback" not in errors
    twice = dict.fromkeys(("person-1", "日本", "person-2"), 2)
    assert site.resets() == {**dict.fromkeys(names, 1), **twice}


@pytest.mark.django_db
def test_a_terminal_without_an_output_is_none_to_ask_at(people, monkeypatch):
    """The question could not be shown."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", None)
    code, error = call(None, "bulk", "start", "--all")
    assert code == 2
    assert error.startswith("There is no terminal to ask at.")
