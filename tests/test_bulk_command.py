"""``manage.py cognito_reset bulk`` in the tests' own process. tests/test_bulk_processes.py has real ones."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import stat
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from cognito_reset.management.commands.cognito_reset import Command
from cognito_reset.management.progress import SIGNALS, Interruption, duration
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.signals import password_reset_failed
from cognito_reset.staff import bulk
from cognito_reset.staff.tasks import run_bulk_slice
from cognito_reset.testing import Error, Status
from tests.bulk_world import RESETTABLE, add_people, fast, resets, start, start_list, states
from tests.test_pages import with_settings

__all__ = ["fast"]  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fast")]

RATE = ("--rate", "10000")


class Terminal(io.TextIOWrapper):
    """A standard input that is a terminal, or isn't."""

    def __init__(self, text: str | bytes, *, is_terminal: bool = True) -> None:
        raw = text if isinstance(text, bytes) else text.encode()
        super().__init__(io.BytesIO(raw), encoding="utf-8")
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


class Screen(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def call(*arguments: str, code: int = 0, out: io.StringIO | None = None) -> str:
    """Call the command, and return its output, with the text of its error. It must have this exit code."""
    out = out or io.StringIO()
    found, text = 0, ""
    try:
        call_command("cognito_reset", "bulk", *arguments, stdout=out)
    except CommandError as error:
        found, text = error.returncode, f"{error}\n"
    assert found == code, out.getvalue() + text
    return out.getvalue() + text


def the_run() -> BulkRun:
    return BulkRun.objects.get()


@pytest.fixture
def typed(monkeypatch):
    """Let somebody type a text."""
    return lambda text, **more: monkeypatch.setattr(sys, "stdin", Terminal(text, **more))


@pytest.fixture
def file(tmp_path):
    """Write a file, and return its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "people.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.mark.requirement("F11")
def test_f11_everybody_is_reset_and_the_exit_code_tells_that_some_were_refused(people):
    """F11: 1 means that not all were sent a reset, and the output has each reason once."""
    output = call("start", "--all", "--yes", *RATE, code=1)
    assert sorted(resets(people)) == sorted([*RESETTABLE, "ivan"])
    assert "100 % of 10: 4 sent, 6 refused" in output
    assert "  1 refused: This user is disabled in Cognito." in output
    assert "2 refused: This user has no verified email address" in output
    assert "their outcome is unknown: 4 sent, 6 refused. See" in output
    assert "They can't sign in until they have set a new one" in output
    run = the_run()
    assert (run.state, run.interface, run.actor) == ("done", "command", None)


@pytest.mark.requirement("F11")
def test_f11_exit_code_0_means_that_all_were_sent(people, file):
    """F11: a file has one person in a line, by any name; blank lines and blanks around names don't count."""
    path = file(b"\xef\xbb\xbfalice\r\n\r\n  bob@example.com  \nheidi")
    people.call(
        "AdminUpdateUserAttributes",
        Username="bob",
        UserAttributes=[
            {"Name": "email", "Value": "bob@example.com"},
            {"Name": "email_verified", "Value": "true"},
        ],
    )
    output = call("start", "--file", path, "--yes", *RATE)
    assert states(the_run()) == {"alice": "sent", "bob": "sent", "heidi": "sent"}
    assert "looked up one by one" in output


@pytest.mark.requirement("F11")
@pytest.mark.parametrize("verbosity", [0, 1, 2, 3])
def test_f11_usernames_are_shown_only_if_the_operator_wants_them(verbosity, people, typed):
    """F11: from -v 2 on, wherever the option stands."""
    typed("no\n")
    options = ("-v", str(verbosity))
    shown = call("start", "--all", *options, code=4)
    shown += call("start", "--all", "--dry-run", *options)
    assert ("alice" in shown) == (verbosity >= 2)


@pytest.mark.requirement("F11")
@pytest.mark.parametrize("source", ["all", "list"])
def test_f11_a_dry_run_changes_nothing(source, people, file):
    """F11: it counts, and says who would be refused and why."""
    path = file("alice\nerin\nnobody\n")
    arguments = ["--all"] if source == "all" else ["--file", path]
    output = call("start", *arguments, "--dry-run", "-v2")
    assert ("people: 10." if source == "all" else "people: 3.") in output
    assert "  1 would be refused: This user is disabled in Cognito." in output
    assert "Some of them: alice" in output
    assert "nothing was changed" in output
    assert resets(people) == {}
    assert not BulkRun.objects.exists()


@pytest.mark.parametrize("source", ["all", "list"])
def test_a_dry_run_waits_as_a_run_does(source, people, file, monkeypatch):
    """AWS shares the rate of its reading calls among all callers, so some are refused in a large pool."""
    monkeypatch.setattr("cognito_reset.staff.pace.THROTTLED_SECONDS", 0)
    monkeypatch.setattr("cognito_reset.staff.pace.FAILURE_SECONDS", 0)
    add_people(people, 60)
    arguments = ["--all"] if source == "all" else ["--file", file("alice\nerin\nnobody\n")]
    people.emulator.fail_next("ListUsers", "TooManyRequestsException", times=6)
    people.emulator.fail_next("ListUsers", Status(500), times=2)
    output = call("start", *arguments, "--dry-run")
    assert f"people: {70 if source == 'all' else 3}." in output
    people.emulator.fail_next("ListUsers", Error("AccessDeniedException"))
    call("start", *arguments, "--dry-run", code=3)
    people.emulator.fail_next("ListUsers", Status(500), times=5)
    call("start", *arguments, "--dry-run", code=4)


@pytest.mark.requirement("F6")
def test_f6_a_dry_run_of_a_list_counts_nobody_twice(people, file):
    """F6: and what can't be a name of Cognito's is not looked up."""
    path = file("alice\nALICE\nbob\nalice\n alice \nalice@example.com\na name\n")
    output = call("start", "--file", path, "--dry-run")
    assert "people: 5." in output
    assert "  1 would be refused: In Cognito this is the same person as another" in output
    assert "  2 would be refused: There is no such user" in output
    assert "  2 would be sent a reset." in output
    assert not any("a name" in str(body) for _, body in people.emulator.calls)


def test_a_dry_run_counts_repeated_lines_once(people, file):
    """As the run does, so the limit counts people, and Cognito's own sender has enough mails for them."""
    names = add_people(people, 26)
    path = file("\n".join([*names, *names]))
    for options, count in (((), 26), (("--limit", "26"), 26), (("--limit", "3"), 3)):
        output = call("start", "--file", path, "--dry-run", *options)
        assert f"Number of people: {count}.\n  {count} would be sent a reset.\n" in output
        assert "Warning" not in output


def test_a_dry_run_of_a_long_list_does_not_fill_the_memory(people, file, monkeypatch):
    """It remembers so many names, and counts later ones each time."""
    monkeypatch.setattr("cognito_reset.staff.sources.REMEMBERED", 1)
    output = call("start", "--file", file("alice\nbob\nalice\nbob\n"), "--dry-run")
    assert "Number of people: 3." in output


def test_a_dry_run_looks_only_the_first_people_of_a_list_up(people, file):
    path = file("".join(f"person-{number}\n" for number in range(150)))
    output = call("start", "--file", path, "--dry-run")
    assert "Number of people: 150.\nThe first 100 of them were looked up.\n" in output
    assert "100 would be refused: There is no such user" in output


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--status", "RESET_REQUIRED"), ["heidi"]),
        (("--filter", 'username ^= "al"'), ["alice"]),
        (("--group", "team"), ["bob"]),
    ],
)
def test_cognito_lists_the_people(arguments, names, people):
    people.call("CreateGroup", GroupName="team")
    people.call("AdminAddUserToGroup", GroupName="team", Username="bob")
    call("start", *arguments, "--yes", *RATE)
    assert states(the_run()) == dict.fromkeys(names, "sent")


@pytest.mark.requirement("F11")
def test_f11_a_limit_limits_the_people(people, file):
    """F11: --limit counts people, not lines."""
    path = file("alice\nalice\nbob\nheidi\n")
    call("start", "--file", path, "--limit", "2", "--yes", *RATE)
    assert states(the_run()) == {"alice": "sent", "bob": "sent"}


@pytest.mark.requirement("F11")
@pytest.mark.parametrize(
    ("answer", "is_yes"),
    [("10", False), ("6\n", True), (" 6 \n", True), ("yes\n", False), ("", False)],
)
def test_f11_nothing_is_sent_before_the_operator_types_the_number(answer, is_yes, people, typed):
    """F11: any other answer, and the end of the input, stop the run."""
    typed(answer)
    wanted = [*RESETTABLE, "grace"]
    pairs = [{"Name": "email_verified", "Value": "true"}]
    people.call("AdminUpdateUserAttributes", Username="grace", UserAttributes=pairs)
    call("start", "--all", *RATE, code=1 if is_yes else 4)
    assert the_run().state == ("done" if is_yes else "stopped")
    assert sorted(resets(people)) == (sorted([*wanted, "ivan"]) if is_yes else [])


def test_ctrl_c_instead_of_an_answer_stops_the_run(people, monkeypatch):
    class Interrupted(Terminal):
        def readline(self, *size: Any) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted(""))
    assert "Stopped. Nobody was sent a reset." in call("start", "--all", code=4)
    assert the_run().state == "stopped"


def test_an_answer_that_comes_too_late_does_not_say_that_nobody_was_sent_a_reset(
    people, typed, monkeypatch
):
    """Somebody else has confirmed the run meanwhile."""
    typed("")

    def late(prompt):
        bulk.resume(the_run().pk, confirmed=True)
        bulk.work(the_run().pk, wanted=lambda: not resets(people))
        return "no"

    monkeypatch.setattr("builtins.input", late)
    assert "Nobody" not in call("start", "--all", "--rate", "1", code=4)
    assert the_run().state == "stopped"


def test_an_answer_that_comes_when_it_is_done_already_is_no_error(people, typed, monkeypatch):
    typed("")

    def late(prompt):
        bulk.resume(the_run().pk, confirmed=True)
        bulk.work(the_run().pk)
        return "2"

    monkeypatch.setattr("builtins.input", late)
    people.call("CreateGroup", GroupName="team")
    for name in ("alice", "bob"):
        people.call("AdminAddUserToGroup", GroupName="team", Username=name)
    call("start", "--group", "team", *RATE)
    assert resets(people) == {"alice": 1, "bob": 1}


class Killed(BaseException):
    """What ends a process at once, for example SIGKILL."""


class TestUnconfirmed:
    """A run that was started without --yes, and whose command ended before anybody typed the number."""

    @pytest.fixture(params=["all", "list"])
    def run(self, request, people, typed, file, monkeypatch):
        """Let the command be killed while it waits for the answer."""
        typed("")

        def kill(prompt):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr("builtins.input", kill)
            arguments = ["--all"] if request.param == "all" else ["--file", file("alice\nbob\n")]
            with pytest.raises(Killed):
                call("start", *arguments, *RATE)
        return the_run()

    @pytest.mark.requirement("F11")
    def test_f11_nothing_is_sent_by_whoever_works_on_it(self, run, people, settings):
        """F11: and the command doesn't say that it is under way."""
        bulk.work(run.pk)
        run_bulk_slice(run.pk, run.slice_number)
        bulk.retry(run.pk)
        shown = call("status", str(run.pk))
        assert resets(people) == {}
        assert "It is paused: Nobody has confirmed" in shown
        assert f"bulk resume {run.pk}" in shown

    @pytest.mark.requirement("F11")
    @pytest.mark.parametrize("is_yes", [True, False])
    def test_f11_resume_asks_as_start_does(self, is_yes, run, people, typed):
        """F11: only the right number lets it send."""
        count = bulk.counts(run.pk)["pending"]
        typed(f"{count if is_yes else count + 1}\n")
        shown = call("resume", str(run.pk), code=int(run.size > count) if is_yes else 4)
        assert f"Number of people: {run.size}." in shown
        assert "They can't sign in until" in shown
        assert sum(resets(people).values()) == (count if is_yes else 0)
        run.refresh_from_db()
        assert run.state == ("done" if is_yes else "stopped")

    def test_resume_needs_a_terminal_or_yes(self, run, people, typed):
        typed("", is_terminal=False)
        assert "Add --yes." in call("resume", str(run.pk), code=2)
        call("resume", str(run.pk), "--yes", code=int(run.size > 2))
        assert resets(people)["alice"] == 1

    def test_without_a_terminal_a_run_that_is_over_comes_first(self, run, typed):
        bulk.stop(run.pk)
        typed("", is_terminal=False)
        assert "“stopped”" in call("resume", str(run.pk), code=4)

    def test_no_state_lets_it_send(self, run, people):
        """Whatever else changes the row."""
        for state in ("ready", "running"):
            BulkRun.objects.update(state=state)
            bulk.work(run.pk)
            assert resets(people) == {}


@pytest.mark.requirement("F11")
@pytest.mark.parametrize(("more", "is_complete"), [(0, True), (60, False)])
def test_f11_ctrl_c_while_the_first_page_is_read_pauses_the_run(more, is_complete, people, typed):
    """F11: resume reads the rest, and asks."""
    add_people(people, more)
    typed("")

    def interrupt(username: str, **event: Any) -> None:
        if username == "erin":
            os.kill(os.getpid(), signal.SIGINT)

    password_reset_failed.connect(interrupt)
    try:
        output = call("start", "--all", *RATE, code=4)
    finally:
        password_reset_failed.disconnect(interrupt)
    run = the_run()
    assert (run.state, run.is_complete) == ("paused", is_complete)
    assert f"bulk resume {run.pk}" in output
    typed("no\n")
    assert "Stopped. Nobody was sent a reset." in call("resume", str(run.pk), "--force", code=4)
    run.refresh_from_db()
    assert run.is_complete
    assert resets(people) == {}


def test_own_sender_is_refused_before_resume_asks(people, typed):
    """With --force, it asks."""
    add_people(people, 51)
    typed("51\n")
    output = call("start", "--filter", 'username ^= "person"', *RATE, code=4)
    run = the_run()
    assert f"bulk resume {run.pk} --force" in output
    assert "50 mails a day" in call("resume", str(run.pk), code=4)
    call("resume", str(run.pk), "--force")
    assert sum(resets(people).values()) == 51


def test_ctrl_c_while_a_list_is_read_stops_the_run(people, monkeypatch):
    class Interrupted(io.BytesIO):
        def readline(self, *size: Any) -> bytes:
            raise KeyboardInterrupt

    class Input(Terminal):
        buffer = Interrupted()

    monkeypatch.setattr(sys, "stdin", Input(""))
    assert call("start", "--file", "-", "--yes", code=4) == "Interrupted.\n"
    assert the_run().state == "stopped"


@pytest.mark.requirement("F11")
@pytest.mark.parametrize(("path", "is_terminal"), [(None, False), ("-", False), ("-", True)])
def test_f11_without_somebody_to_ask_yes_is_needed(path, is_terminal, people, typed):
    """F11: a job of cron, and a list in standard input, need --yes. It is wrong usage otherwise."""
    typed("alice\n", is_terminal=is_terminal)
    assert "--yes" in call("start", *(["--file", path] if path else ["--all"]), code=2)
    assert not BulkRun.objects.exists()


def test_without_a_standard_input_yes_is_needed(people, monkeypatch):
    """Some supervisors close it."""
    monkeypatch.setattr(sys, "stdin", None)
    assert "--yes" in call("start", "--all", code=2)
    call("start", "--status", "RESET_REQUIRED", "--yes", *RATE)


def test_a_list_comes_from_standard_input(people, typed):
    typed("alice\nbob\n", is_terminal=False)
    call("start", "--file", "-", "--yes", *RATE)
    assert states(the_run()) == {"alice": "sent", "bob": "sent"}


@pytest.mark.requirement("F11")
def test_f11_a_file_that_is_not_utf_8_is_refused_with_the_line(people, file):
    """F11: the line's number is shown and not the line. Nobody is sent a reset."""
    output = call("start", "--file", file(b"alice\nm\xfcller\n"), "--yes", code=2)
    assert output == "Line 2 is not UTF-8. Nobody was sent a reset.\n"
    assert resets(people) == {}
    assert the_run().state == "stopped"
    assert "Line 1 is" in call(
        "start", "--file", file("alice".encode("utf-16")), "--dry-run", code=2
    )


@pytest.mark.requirement("F11")
def test_f11_a_line_that_is_too_long_is_refused_with_its_number(people, file):
    """F11: it is not read into memory. A long line that a file may have is accepted."""
    path = file(b"alice\n" + b" " * 9_990 + b"bob\n" + b"x" * 10_001)
    for options in (["--yes"], ["--dry-run"]):
        output = call("start", "--file", path, *options, code=2)
        assert output == "Line 3 is too long. Nobody was sent a reset.\n"
    assert the_run().state == "stopped"
    assert resets(people) == {}


def test_a_file_that_is_not_there_is_wrong_usage(people, tmp_path):
    path = str(tmp_path / "none")
    assert call("start", "--file", path, "--yes", code=2) == (
        f"{path} can't be read: No such file or directory.\n"
    )
    assert not BulkRun.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("start",),
        ("start", "--all", "--group", "x"),
        ("start", "--status", "NONE"),
        ("start", "--all", "--rate", "0"),
        ("start", "--all", "--rate", "nan"),
        ("start", "--all", "--rate", "inf"),
        ("start", "--all", "--rate", "fast"),
        ("start", "--all", "--limit", "0"),
        ("resume",),
        ("pause", "x"),
    ],
)
def test_wrong_usage_changes_nothing(arguments, people):
    """argparse ends with the exit code 2 in a real process."""
    call(*arguments, code=1)
    assert not BulkRun.objects.exists()


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--rate", "argument --rate: invalid rate value: 'fast'"),
        ("--limit", "argument --limit: invalid number value: 'fast'"),
    ],
)
def test_wrong_usage_is_told_in_words(option, text, people):
    """argparse shows the name of the function that reads a value."""
    assert text in call("start", "--all", option, "fast", code=1)


def test_a_limit_that_no_column_can_hold_is_told_in_words(people):
    most = 2**31 - 1
    assert f"it must be at most {most}" in call("start", "--all", "--limit", str(most + 1), code=1)
    call("start", "--all", "--limit", str(most), "--dry-run")


@pytest.mark.requirement("F11")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("start", "--group", "x" * 129, "--yes"), "This does not say which people"),
        (("start", "--filter", "nonsense", "--yes"), "it does not accept this filter"),
        (("start", "--group", "nowhere", "--yes"), "The user pool has no such group"),
        (("status", "77"), "There is no reset of many people number 77."),
        (("export", "77"), "There is no reset of many people number 77."),
        (("resume", "77"), "There is no reset of many people number 77."),
    ],
)
def test_f11_what_cognito_or_the_journal_does_not_know_is_wrong_usage(arguments, text, people):
    """F11: 2. A run that can't begin is over, so that another one can."""
    assert text in call(*arguments, code=2)
    assert not BulkRun.objects.filter(holds__isnull=False).exists()


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
def test_a_pool_that_the_settings_do_not_have_is_wrong_usage(option, people):
    output = call("start", "--all", option, "--pool", "other", code=2)
    assert output == "POOLS has no pool 'other'. The pools are default.\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--all", "--rate", "31"), "at most 30 a second"),
        (("--file", "nowhere.txt"), "nowhere.txt can't be read"),
        (("--filter", "nonsense"), "it does not accept this filter"),
        (("--group", "nowhere"), "The user pool has no such group"),
        (("--all",), "There is no terminal to ask at."),
    ],
)
def test_without_a_terminal_a_mistake_comes_first(arguments, text, people, settings, typed):
    """Otherwise it would be found after --yes was added."""
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "ENDPOINT_URL": None}
    with_settings(settings, POOLS={"default": pool})
    typed("", is_terminal=False)
    assert text in call("start", *arguments, code=2)
    assert not BulkRun.objects.exists()


def test_a_rate_above_the_quota_is_wrong_usage(people, settings):
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "ENDPOINT_URL": None}
    with_settings(settings, POOLS={"default": pool})
    assert "at most 30 a second" in call("start", "--all", "--rate", "31", "--yes", code=2)


@pytest.mark.requirement("F11")
def test_f11_wrong_settings_and_credentials_have_an_exit_code_of_their_own(people, settings):
    """F11: 3, and nobody is sent a reset."""
    people.emulator.fail_next("ListUsers", Error("AccessDeniedException"), times=50)
    assert "set-up" in call("start", "--all", "--yes", code=3)
    assert the_run().state == "stopped"
    with_settings(settings, LIMITS="many")
    with pytest.raises(CommandError) as caught:
        call_command("cognito_reset", "bulk", "status", skip_checks=False)
    assert caught.value.returncode == 3
    assert "cognito_reset.E020" in str(caught.value)


@pytest.mark.requirement("F11")
def test_f11_a_database_that_fails_has_the_exit_code_of_what_did_not_end(people, monkeypatch):
    """F11: not 1, which means that the run is done."""

    def fails(run):
        raise OperationalError("The server is gone.")

    monkeypatch.setattr("cognito_reset.staff.summary.reasons", fails)
    output = call("start", "--all", "--yes", *RATE, code=4)
    assert "The server is gone." in output
    assert "migrate" not in output


def test_tables_that_are_missing_are_named(people, monkeypatch):
    """On PostgreSQL it is a ProgrammingError."""

    def fails(run):
        raise ProgrammingError('relation "cognito_reset_bulkrun" does not exist')

    monkeypatch.setattr("cognito_reset.staff.summary.reasons", fails)
    MigrationRecorder(connection).record_unapplied("cognito_reset", "0003_check_connection")
    output = call("start", "--all", "--yes", *RATE, code=4)
    assert "Not applied: cognito_reset.0003_check_connection." in output
    assert 'Run "manage.py migrate cognito_reset"' in output


@pytest.mark.parametrize(
    ("more", "what"),
    [({}, '"manage.py cognito_reset bulk resume '), ({"BULK_ENQUEUE": print}, "the task queue.")],
)
def test_a_run_that_is_ready_says_what_it_waits_for(more, what, people, settings):
    run = start_list("alice")
    with_settings(settings, **more)
    assert f"It is ready, and waits for {what}" in call("status", str(run.pk))


@pytest.mark.requirement("F11")
def test_f11_a_run_that_pauses_says_why_and_how_to_go_on(people, settings, file):
    """F11: 4. The run can go on with another call."""
    with_settings(
        settings, MAX_CONCURRENT_CALLS=1
    )  # or another call may succeed between the failures
    people.emulator.fail_next("AdminResetUserPassword", Error("AccessDeniedException"), times=5)
    names = add_people(people, 6)
    output = call("start", "--file", file("\n".join(names)), "--yes", *RATE, code=4)
    run = the_run()
    assert f'Resume it with "manage.py cognito_reset bulk resume {run.pk}".' in output
    assert "It is paused: " in output
    assert "100 % of 6: 6 sent" in call("resume", str(run.pk))


def test_those_for_whom_it_failed_are_sent_another_one(people):
    """Those of whom nobody knows are only sent one if the operator says so."""
    run = start_list("alice", "bob", "heidi")
    BulkItem.objects.filter(username="alice").update(state="failed", error_code="delivery_failed")
    BulkItem.objects.filter(username="bob").update(state="unknown", error_code="outcome_unknown")
    assert "1 unknown: " in call("resume", str(run.pk), code=1)
    assert "is unknown: 2 sent, 1 unknown. See" in call("retry-failed", str(run.pk), code=1)
    assert sorted(resets(people)) == ["alice", "heidi"]
    call("retry-failed", str(run.pk), "--unknown")
    assert "It is done." in call("retry-failed", str(run.pk))
    assert resets(people) == {"alice": 1, "bob": 1, "heidi": 1}


def test_a_list_that_cannot_be_read_for_a_while_is_read_later(people):
    people.emulator.fail_next("ListUsers", Status(500))
    call("start", "--status", "RESET_REQUIRED", "--yes", *RATE)
    assert states(the_run()) == {"heidi": "sent"}


@pytest.mark.parametrize("source", ["all", "list"])
def test_cognitos_own_sender_needs_force(source, people, file):
    """A list is refused at once. A list of Cognito's is read first, and the run then waits."""
    names = add_people(people, 51)
    arguments = ["--file", file("\n".join(names))]
    if source == "all":
        arguments = ["--filter", 'username ^= "person"']
        output = call("start", *arguments, "--yes", *RATE, code=4)
        run = the_run()
        assert f"bulk resume {run.pk} --force" in output
        assert "50 mails a day" in output
        assert "50 mails a day" in call("resume", str(run.pk), code=4)
        call("resume", str(run.pk), "--force")
    else:
        assert "--force" in call("start", *arguments, "--yes", *RATE, code=4)
        call("start", *arguments, "--yes", "--force", *RATE)
    assert len(resets(people)) == 51
    assert "Warning: The user pool uses Cognito's own" in call("start", *arguments, "--dry-run")


@pytest.mark.requirement("F10")
def test_f10_a_second_run_is_refused(people):
    """F10: AWS's limit is one for the account's Region, so there is one run at a time."""
    run = start()
    assert f"number {run.pk}" in call("start", "--all", "--yes", code=4)
    assert "Warning: Another reset" in call("start", "--all", "--dry-run")


def test_the_latest_runs_are_listed(people):
    stopped = start_list("alice")
    bulk.stop(stopped.pk)
    people.call("CreateGroup", GroupName="team")
    second = start("group", "team")
    lines = call("status").splitlines()
    assert lines[0].startswith(
        f"{second.pk}: filling, group team of the pool default, 10000/s, created"
    )
    assert lines[1].startswith(f"{stopped.pk}: stopped, list of the pool default")


def test_a_run_is_paused_resumed_and_stopped(people):
    run = start_list("alice", "bob")
    number = str(run.pk)
    assert f'waits for "manage.py cognito_reset bulk resume {number}".' in call("status", number)
    assert "0 % of 2" in call("status", number)
    assert f'It is paused. Resume it with "manage.py cognito_reset bulk resume {number}".' in (
        call("pause", number)
    )
    call("resume", number)
    assert states(run) == {"alice": "sent", "bob": "sent"}
    assert "It is done." in call("status", number)
    assert "“done”" in call("stop", number, code=4)
    other = start_list("alice")
    assert "It was stopped." in call("stop", str(other.pk))
    assert "“stopped”" in call("resume", str(other.pk), code=4)


def test_a_list_that_is_being_read_is_shown(people):
    run = start()
    BulkRun.objects.update(touched_at=timezone.now() - timedelta(seconds=5))
    shown = call("status", str(run.pk))
    assert re.search(r"Reading the list: 0 people so far.\nIt was last worked on \d+ s ago.", shown)


def test_cognito_cannot_be_reached_for_a_dry_run(people, monkeypatch):
    monkeypatch.setattr("cognito_reset.staff.pace.FAILURE_SECONDS", 0)
    people.emulator.fail_next("ListUsers", Status(500), times=5)
    assert "could not be reached" in call("start", "--all", "--dry-run", code=4)


def test_a_run_that_stands_still_is_shown(people):
    run = start_list("alice")
    BulkRun.objects.update(touched_at=timezone.now() - timedelta(hours=1))
    assert "It stands still. Resume it with" in call("status", str(run.pk))


@pytest.mark.requirement("F11")
def test_f11_a_signal_lets_the_run_wait(people, file, monkeypatch):
    """F11: the calls under way end, and the signals then have their usual effect again."""
    names = add_people(people, 40)
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    output = call("start", "--file", file("\n".join(names)), "--yes", "--rate", "20", code=4)
    assert output.count("Waiting for the calls that are under way.") == 1
    assert "It is paused. Resume it with" in output
    found = bulk.counts(the_run().pk)
    assert (found["sending"], found["sent"]) == (0, len(resets(people)))
    assert found["sent"] + found["pending"] == 40
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_while_the_list_is_read_lets_the_run_wait(people):
    """It goes on with the list, and with sending."""
    add_people(people, 60)
    people.add("last", email="last@example.com")  # on the second page, and refused

    def interrupt(username: str, **event: Any) -> None:
        if username == "last":
            os.kill(os.getpid(), signal.SIGINT)

    password_reset_failed.connect(interrupt)
    try:
        output = call("start", "--all", "--yes", "--force", *RATE, code=4)
    finally:
        password_reset_failed.disconnect(interrupt)
    assert output.count("Waiting for the calls that are under way.") == 1
    assert "It is paused. Resume it with" in output
    assert resets(people) == {}
    call("resume", str(the_run().pk), code=1)
    assert len(resets(people)) == 65


def test_a_command_in_another_thread_leaves_the_signals_alone():
    """Python allows handlers in the main thread only. A site may call the command in a thread."""
    before = [signal.getsignal(number) for number in SIGNALS]
    inside = []

    def enter() -> None:
        with Interruption() as interruption:
            inside.append(interruption.came)
            inside.append([signal.getsignal(number) for number in SIGNALS] == before)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert inside == [False, True]


@pytest.mark.parametrize("source", ["list", "group"])
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_list_of_nobody_is_wrong_usage(source, is_asked, people, file, typed):
    """An operator whose file or group is empty must not read that all were sent a reset."""
    typed("0\n")
    people.call("CreateGroup", GroupName="empty")
    arguments = ["--file", file("\n\n")] if source == "list" else ["--group", "empty"]
    output = call("start", *arguments, *[] if is_asked else ["--yes"], code=2)
    assert "There is nobody to send a reset to." in output
    assert list(BulkRun.objects.values_list("state", flat=True)) == (
        [] if source == "list" else ["stopped"]
    )


def test_a_hint_says_what_to_check(people, settings):
    run = start_list("alice")
    bulk.pause(run.pk)
    BulkRun.objects.update(reason="unavailable", hint="AWS_REGION")
    assert "Have this checked first: AWS_REGION." in call("status", str(run.pk))


def call_json(*arguments: str, code: int = 0) -> tuple[Any, str]:
    """Call the command with --json, and return what its output has, and what standard error has."""
    out, errors = io.StringIO(), io.StringIO()
    found, text = 0, ""
    try:
        call_command("cognito_reset", "bulk", *arguments, "--json", stdout=out, stderr=errors)
    except CommandError as error:
        found, text = error.returncode, f"{error}\n"
    assert found == code, out.getvalue() + errors.getvalue() + text
    return json.loads(out.getvalue() or "null"), errors.getvalue() + text


class TestJson:
    """``--json``: standard output has nothing but one object, as ``bulk status ID --json`` shows it."""

    def test_start_shows_what_came_of_it(self, people):
        """Also if some were refused. The progress is on standard error."""
        shown, errors = call_json("start", "--all", "--yes", *RATE, code=1)
        assert shown == call_json("status", str(the_run().pk))[0]
        assert (shown["id"], shown["state"]) == (the_run().pk, "done")
        assert (shown["counts"]["sent"], shown["counts"]["refused"]) == (4, 6)
        assert {"state": "refused", "code": "user_disabled", "count": 1}.items() <= next(
            each for each in shown["reasons"] if each["code"] == "user_disabled"
        ).items()
        assert f"This is reset of many people number {the_run().pk}.\n" in errors
        assert "100 % of 10: 4 sent, 6 refused\n" in errors
        assert "their outcome is unknown" in errors

    def test_progress_is_not_in_the_style_of_errors(self, people):
        """It is on a terminal that has colours."""
        out, errors = io.StringIO(), Screen()
        arguments = ("start", "--status", "RESET_REQUIRED", "--yes", "--json")
        command = Command(stdout=out, stderr=errors, force_color=True)
        call_command(command, "bulk", *arguments)
        assert "1 sent" in errors.getvalue()
        assert "\x1b[31" in command.style.ERROR("")
        assert "\x1b[31" not in errors.getvalue()
        assert json.loads(out.getvalue())["counts"]["sent"] == 1

    def test_the_other_commands_show_the_run(self, people, settings):
        """Each as it is when the command ends, and nothing on standard error."""
        run = start_list("alice", "bob")
        number = str(run.pk)
        for name, state in (("pause", "paused"), ("resume", "done"), ("retry-failed", "done")):
            shown, errors = call_json(name, number)
            assert (shown["id"], shown["state"]) == (run.pk, state)
            assert ("2 sent" in errors) == (name == "resume")
        BulkItem.objects.filter(username="bob").update(state="failed", error_code="delivery_failed")
        shown, _ = call_json("retry-failed", number)
        assert shown["counts"]["sent"] == 2
        assert resets(people) == {"alice": 1, "bob": 2}
        other = start_list("alice")
        assert call_json("stop", str(other.pk))[0]["state"] == "stopped"
        assert call_json("status", str(other.pk))[1] == ""

    def test_a_change_that_is_refused_shows_the_run_as_it_is(self, people):
        """The exit code and standard error tell that it was refused."""
        run = start_list("alice")
        bulk.stop(run.pk)
        shown, errors = call_json("resume", str(run.pk), code=4)
        assert shown["state"] == "stopped"
        assert "“stopped”" in errors

    def test_a_run_that_pauses_is_shown(self, people, file):
        """With the reason."""
        people.emulator.fail_next("ListUsers", Error("AccessDeniedException"), times=50)
        shown, _ = call_json("start", "--file", file("alice\nbob\n"), "--yes", *RATE, code=4)
        assert (shown["state"], shown["reason"]) == ("paused", "misconfigured")

    def test_nothing_is_asked(self, people, typed):
        """The question would be in the output, where a script expects JSON."""
        typed("6\n")
        text = "Nothing is asked with --json. Add --yes, or --dry-run.\n"
        assert call_json("start", "--all", *RATE, code=2) == (None, text)
        assert not BulkRun.objects.exists()
        run = start_list("alice", confirmed=False)
        text = "Nothing is asked with --json. Add --yes.\n"
        assert call_json("resume", str(run.pk), code=2) == (None, text)
        assert call_json("resume", str(run.pk), "--yes")[0]["is_confirmed"] is True
        assert resets(people) == {"alice": 1}

    def test_without_a_run_there_is_nothing(self, people):
        """Standard error tells why."""
        assert call_json("status", "77", code=2)[0] is None
        run = start()
        shown, errors = call_json("start", "--all", "--yes", code=4)
        assert shown is None
        assert f"number {run.pk}" in errors

    def test_a_queue_has_it(self, people, settings):
        """What was handed over is shown as it is now."""
        with_settings(settings, BULK_ENQUEUE=lambda *call: None)
        shown, errors = call_json("start", "--all", "--yes", "--background")
        assert shown["state"] == "filling"
        assert "The task queue has it." in errors

    @pytest.mark.parametrize("options", [(), ("-v2",)])
    def test_a_dry_run_has_an_object_of_its_own(self, options, people, file):
        """As REST returns it. Usernames are in it only if the operator wants them."""
        names = add_people(people, 101)
        path = file("\n".join(["erin", *names]))
        shown, errors = call_json("start", "--file", path, "--dry-run", *options)
        (reason,) = shown.pop("reasons")
        assert reason.pop("detail").startswith("This user is disabled")
        assert reason == {"state": "refused", "code": "user_disabled", "count": 1}
        (warning,) = shown.pop("warnings")
        assert "50 mails a day" in warning
        sample = {"sample": names[:10]} if options else {}
        assert shown == {"count": 102, "looked_up": 100, **sample}
        assert errors == ""
        assert not BulkRun.objects.exists()

    def test_a_database_that_fails_leaves_nothing_to_show(self, people, monkeypatch):
        """Standard error tells why, as without the option."""

        def fails(run):
            raise OperationalError("The server is gone.")

        monkeypatch.setattr("cognito_reset.staff.summary.reasons", fails)
        shown, errors = call_json("start", "--all", "--yes", *RATE, code=4)
        assert shown is None
        assert "The database failed: The server is gone." in errors


@pytest.mark.requirement("F11")
@pytest.mark.parametrize("options", [(), ("-v2",)])
def test_f11_a_filter_is_shown_as_usernames_are(options, people):
    """F11: it may have a person's name or address in it. The name of a group is no secret."""
    value = 'email = "alice@example.com"'
    run = start("filter", value)
    shown = call("status", *options) + call("status", str(run.pk), *options)
    assert shown.count(value) == (2 if options else 0)
    assert shown.count("filling, filter") == 2
    shown = call("pause", str(run.pk), *options)
    assert ("alice" in shown) == bool(options)
    (listed,), _ = call_json("status", *options)
    one, _ = call_json("status", str(run.pk), *options)
    wanted = value if options else None
    assert (listed["source_value"], one["source_value"]) == (wanted, wanted)
    bulk.stop(run.pk)
    people.call("CreateGroup", GroupName="team")
    run = start("group", "team")
    assert call_json("status", str(run.pk))[0]["source_value"] == "team"


class TestTaskQueue:
    """``--background``."""

    @pytest.fixture
    def tasks(self, settings):
        calls: list[tuple[int, int]] = []
        with_settings(settings, BULK_ENQUEUE=lambda *call: calls.append(call))
        return calls

    def test_it_is_handed_to_the_task_queue(self, people, tasks, monkeypatch):
        monkeypatch.setattr("cognito_reset.staff.worker.SLICE_SECONDS", 0.3)
        output = call("start", "--all", "--yes", "--background", "--rate", "10")
        run = the_run()
        assert f'"manage.py cognito_reset bulk status {run.pk}"' in output
        assert tasks == [(run.pk, run.slice_number)]
        assert run.state == "filling"
        assert resets(people) == {}
        for task in tasks:  # each adds the next one
            run_bulk_slice(*task)
        run.refresh_from_db()
        assert (run.state, len(resets(people))) == ("done", 5)
        assert len(tasks) > 1

    def test_the_people_are_read_first_if_somebody_is_to_be_asked(self, people, tasks, typed):
        typed("5\n")
        call("start", "--all", "--background", *RATE)
        assert (the_run().state, len(tasks)) == ("ready", 1)

    def test_other_calls_hand_it_over_as_well(self, people, tasks):
        run = start_list("alice")
        bulk.pause(run.pk)
        call("resume", str(run.pk), "--background")
        bulk.work(run.pk)
        BulkItem.objects.update(state="failed")
        call("retry-failed", str(run.pk), "--background")
        run.refresh_from_db()
        assert [number for _run, number in tasks] == [run.slice_number - 1, run.slice_number]

    @pytest.mark.parametrize("setting", [None, "no_such_module.enqueue"])
    @pytest.mark.parametrize("name", ["start", "resume", "retry-failed"])
    def test_without_a_queue_nothing_begins(self, name, setting, people, settings):
        run = start_list("alice")
        bulk.pause(run.pk)
        with_settings(settings, BULK_ENQUEUE=setting)
        arguments = ["--all", "--yes"] if name == "start" else [str(run.pk)]
        assert "BULK_ENQUEUE" in call(name, *arguments, "--background", code=3)
        assert the_run().state == "paused"

    def test_a_queue_that_is_down_pauses_the_run(self, people, settings):
        def fail(*call: int) -> None:
            raise OSError

        with_settings(settings, BULK_ENQUEUE=fail)
        assert "BULK_ENQUEUE" in call("start", "--all", "--yes", "--background", code=3)
        run = the_run()
        assert (run.state, run.reason, run.hint) == ("paused", "site_code_failed", "BULK_ENQUEUE")


@pytest.mark.parametrize("state", ["filling", "paused"])
def test_a_list_whose_reading_was_interrupted_is_to_be_stopped(state, people):
    """Nothing recommends a resume that is refused then."""
    run = start_list("alice")
    values = {"state": state, "is_complete": False}
    BulkRun.objects.update(**values, touched_at=timezone.now() - timedelta(minutes=2))
    shown = call("status", str(run.pk))
    assert bulk.words("list_interrupted") in shown
    assert f"bulk stop {run.pk}" in shown
    assert "Resume" not in shown
    call("resume", str(run.pk), code=4)
    BulkRun.objects.update(state="filling", touched_at=timezone.now())
    assert "It was last worked on" in call("status", str(run.pk))


@pytest.mark.requirement("F12")
def test_f12_no_cell_of_an_export_is_a_formula(people, tmp_path):
    """F12: an apostrophe comes first. Whoever cuts it off has the username again."""
    wide = ["\uff1d1", "\uff0b1", "\uff0d1", "\uff201"]
    names = ["=cmd()", "+1", "-1", "@x", "'=x", "alice", "\ufffdx", "x;=1+1", *wide]
    run = start_list(*names)
    path = tmp_path / "export.csv"
    call("export", str(run.pk), "--output", str(path))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["username", "state", "error", "aws_request_id", "claimed_at", "done_at"]
    cells = [row[0] for row in rows[1:]]
    own = ["'=cmd()", "'+1", "'-1", "'@x", "''=x", "alice", "'\ufffdx", "x;=1+1"]
    assert cells == [*own, *(f"'{name}" for name in wide)]
    assert [cell.removeprefix("'") for cell in cells] == names
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.requirement("F12")
def test_f12_a_spreadsheet_that_separates_at_semicolons_finds_no_formula(people, tmp_path):
    """F12: many languages write numbers with a comma, so their spreadsheets separate cells by another character."""
    run = start_list("x;=1+1")
    path = tmp_path / "export.csv"
    call("export", str(run.pk), "--output", str(path))
    shown = call("export", str(run.pk))
    for text in (path.read_text(encoding="utf-8"), shown):
        cells = [cell for row in csv.reader(io.StringIO(text), delimiter=";") for cell in row]
        assert not any(cell.startswith("=") for cell in cells)


def test_an_export_replaces_no_file(people, tmp_path):
    """Others may be able to read it."""
    run = start_list("alice")
    path = tmp_path / "export.csv"
    path.write_text("other")
    output = call("export", str(run.pk), "--output", str(path), code=2)
    assert output == f"{path} can't be written: File exists.\n"
    assert path.read_text() == "other"


def test_an_export_goes_to_standard_output(people):
    run = start_list("alice")
    assert call("export", str(run.pk)).splitlines()[1] == '"alice","pending","","","",""'


def test_an_export_that_cannot_be_written_is_wrong_usage(people, tmp_path):
    run = start_list("alice")
    path = str(tmp_path / "none" / "export.csv")
    assert f"{path} can't be written" in call("export", str(run.pk), "--output", path, code=2)


class TestProgress:
    """The bar, and the lines."""

    def test_a_terminal_shows_a_bar(self, people, file, monkeypatch):
        monkeypatch.setattr("cognito_reset.management.progress.TERMINAL_SECONDS", 0)
        monkeypatch.setenv("COLUMNS", "60")
        names = add_people(people, 20)
        screen = Screen()
        call("start", "--file", file("\n".join(names)), "--yes", "--rate", "20", out=screen)
        shown = screen.getvalue().replace("\x1b[K", "").replace("\r", "\n").splitlines()
        assert shown[-1] == "[####################] 100 % of 20: 20 sent"
        bars = [line for line in shown if line.startswith("[")]
        assert len(bars) > 2
        assert all(len(line) < 60 for line in bars)
        assert "-" in bars[0]

    def test_a_log_has_a_line_from_time_to_time(self, people, file, monkeypatch):
        monkeypatch.setattr("cognito_reset.management.progress.LOG_SECONDS", 0)
        names = add_people(people, 20)
        output = call("start", "--file", file("\n".join(names)), "--yes", "--rate", "20")
        lines = [line for line in output.splitlines() if "% of 20" in line]
        assert len(lines) > 2  # a busy machine writes fewer
        assert len(set(lines)) == len(lines)
        assert lines[1].endswith(" s left")
        assert "/s, " in lines[1]
        assert "\r" not in output

    def test_progress_that_can_not_be_written_does_not_end_the_work(self, people, file):
        """For example on a full disk."""

        class Full(io.StringIO):
            has_failed = False

            def flush(self) -> None:
                if "% of" in self.getvalue() and not self.has_failed:
                    self.has_failed = True
                    raise OSError

        out = Full()
        call("start", "--file", file("alice\nbob\n"), "--yes", *RATE, out=out)
        assert out.has_failed
        assert states(the_run()) == {"alice": "sent", "bob": "sent"}

    @pytest.mark.django_db(transaction=True)
    def test_a_database_that_fails_for_a_moment_does_not_end_the_work(
        self, people, file, monkeypatch
    ):
        monkeypatch.setattr("cognito_reset.management.progress.LOG_SECONDS", 0)
        real = bulk.progress
        failures: list[BulkRun] = []

        def progress(run):
            if not failures:
                failures.append(run)
                raise OperationalError
            return real(run)

        monkeypatch.setattr(bulk, "progress", progress)
        call("start", "--file", file("alice\nbob\n"), "--yes", *RATE)
        assert failures
        assert states(the_run()) == {"alice": "sent", "bob": "sent"}

    @pytest.mark.parametrize(
        ("seconds", "text"), [(3, "3 s"), (65, "1 min"), (3599, "1 h 0 min"), (7300, "2 h 2 min")]
    )
    def test_the_time_left_is_rounded(self, seconds, text):
        assert duration(seconds) == text
