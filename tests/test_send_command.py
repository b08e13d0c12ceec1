"""``manage.py cognito_reset send``, and the JSON of the other subcommands."""

from __future__ import annotations

import io
import json
import signal
import sys

import pytest
from django.core.management import CommandError, call_command

from cognito_reset.cognito.service import get_service
from cognito_reset.models import BulkRun, ResetEvent
from cognito_reset.signals import password_reset_triggered
from cognito_reset.testing import Error
from tests.test_pages import with_settings

pytestmark = pytest.mark.django_db


def call(*arguments, code=0, command="send"):
    """Call the command, and return its lines, with the text of its error. It must have this exit code."""
    out = io.StringIO()
    found, text = 0, ""
    try:
        call_command("cognito_reset", command, *arguments, stdout=out)
    except CommandError as error:
        found, text = error.returncode, str(error)
    assert found == code, out.getvalue() + text
    return [*out.getvalue().splitlines(), *([text] if text else [])]


def resets(people):
    return [body["Username"] for name, body in people.emulator.calls if name == "AdminResetUserPassword"]  # fmt: skip


@pytest.mark.requirement("F5")
def test_a_reset_is_sent_and_audited_like_staffs(people):
    """The audit names the command line, and the destination is masked."""
    lines = call("alice", "bob")
    assert lines == [
        "sent: alice: A code was sent to alice by email, to a***@e***.",
        "sent: bob: A code was sent to bob by SMS, to +*******0123.",
    ]
    assert resets(people) == ["alice", "bob"]
    kinds = [message.kind for message in people.emulator.outbox]
    assert kinds.count("admin_reset_password") == 3  # one is heidi's, from before
    events = ResetEvent.objects.values_list("interface", "outcome", "actor")
    assert [*map(str, events)] == ["('command', 'triggered', None)"] * 2


def test_somebody_is_found_by_their_address(people):
    """The name that was typed is shown, and the person's username is sent."""
    assert call("alice@example.com")[0].startswith("sent: alice@example.com: ")
    assert resets(people) == ["alice"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nobody", "user_not_found"),
        ("carol", "not_activated"),
        ("erin", "user_disabled"),
        ("grace", "no_verified_contact"),
    ],
)
def test_people_who_can_not_be_reset(people, name, code):
    """Others are sent theirs, and the exit code is 1."""
    lines = call(name, "alice", code=1)
    assert lines[0].startswith(f"refused: {name}: ")
    assert lines[1].startswith("sent: alice: ")
    assert lines[2].startswith("1 of 2 people were not sent a reset")
    assert resets(people) == ["alice"]
    assert ResetEvent.objects.get(outcome="refused").error_code == code


def test_the_limits_of_staff_count(people, settings):
    """A second reset within a minute is refused."""
    with_settings(settings, LIMITS={})
    call("alice")
    assert call("alice", code=1)[0].startswith("throttled: alice: ")
    assert resets(people) == ["alice"]


def test_json_tells_what_happened_to_each(people):
    """The destination is masked, and the error has its stable code."""
    lines = call("alice", "nobody", "--json", code=1)
    sent, refused = json.loads("\n".join(lines[:-1]))
    assert {name: sent[name] for name in ("username", "outcome", "error", "medium", "destination")} == {
        "username": "alice",
        "outcome": "sent",
        "error": "",
        "medium": "EMAIL",
        "destination": "a***@e***",
    }  # fmt: skip
    assert sent["request_id"]
    assert (refused["outcome"], refused["error"]) == ("refused", "user_not_found")


def test_a_dry_run_changes_nothing(people, settings):
    """It tells who can't be reset, too."""
    before = people.emulator.outbox
    lines = call("alice", "erin", "--dry-run", code=1)
    assert lines[0] == "would_send: alice: A code would be sent by email, to a***@e***."
    assert lines[1].startswith("refused: erin: ")
    assert resets(people) == []
    assert people.emulator.outbox == before
    assert not ResetEvent.objects.exists()
    people.emulator.fail_next("DescribeUserPool", "AccessDeniedException")
    people.call("AdminUpdateUserAttributes", Username="bob", UserAttributes=[{"Name": "email", "Value": "b@example.com"}, {"Name": "email_verified", "Value": "true"}])  # fmt: skip
    get_service().forget_answers()
    assert call("bob", "--dry-run") == ["would_send: bob: A code would be sent by email or SMS."]


def test_names_come_from_standard_input(people, monkeypatch):
    """One in a line; empty lines and names that were there already are left out."""
    text = io.TextIOWrapper(io.BytesIO(b"alice\n\n  bob \nalice\n"))
    monkeypatch.setattr(sys, "stdin", text)
    assert [line.split(":")[1] for line in call("alice", "-")] == [" alice", " bob"]
    assert resets(people) == ["alice", "bob"]


@pytest.mark.parametrize(
    "text", [b"", b"\n \n", b"a\n" + b"".join(b"x%d\n" % n for n in range(100))]
)
def test_nobody_and_too_many_are_wrong_usage(people, monkeypatch, text):
    """For more people there is another command."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert "bulk start" in call("-", code=2)[0]
    assert people.emulator.calls == []


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_wrong_usage(people, name):
    """It comes from a variable of a script that isn't set. Nobody is sent a reset."""
    assert call("alice", name, code=2) == ["A USERNAME is empty."]
    assert people.emulator.calls == []


def test_an_unknown_pool_is_wrong_usage(people):
    """The pools that exist are told."""
    assert "default, brand" in call("alice", "--pool", "nowhere", code=2)[0]


def test_wrong_credentials_end_the_command(people):
    """They would be wrong for everybody else, too."""
    people.emulator.fail_next("ListUsers", "UnrecognizedClientException")
    lines = call("alice", "bob", code=3)
    assert lines[0].startswith("failed: alice: ")
    assert "1 of 2 people were left out." in lines[1]
    assert resets(people) == []


def test_wrong_settings_of_the_last_one(people):
    """Nobody is left out then."""
    people.emulator.fail_next("ListUsers", "UnrecognizedClientException")
    assert "left out" not in call("alice", code=3)[1]


def test_an_interruption_waits_for_the_call_under_way(people):
    """Nobody's outcome stays unknown, and the others are left out."""

    def interrupt(**kwargs):
        signal.raise_signal(signal.SIGINT)

    password_reset_triggered.connect(interrupt)
    try:
        lines = call("alice", "bob", code=4)
    finally:
        password_reset_triggered.disconnect(interrupt)
    assert lines[0].startswith("sent: alice: ")
    assert "1 of 2 people were left out." in lines[1]


def test_an_unknown_outcome_is_told(people):
    """The call may have been carried out."""
    people.emulator.fail_next("AdminResetUserPassword", Error("InternalErrorException"))
    assert call("alice", code=1)[0].startswith("unknown: alice: ")


def test_a_name_can_not_write_to_the_terminal(people):
    """Control characters are shown as text."""
    assert call("a\x1b[2J", code=1)[0].startswith("refused: 'a\\x1b[2J': ")


def test_purge_has_json(db):
    """The numbers have names."""
    (line,) = call("--json", command="purge")
    assert json.loads(line) == {"reset_events": 0, "slots": 0, "bulk_runs": 0}


def test_the_status_of_bulk_has_json_and_a_pool(db):
    """An object for one reset of many people, and a list for the latest."""
    fields = {"source": "list", "rate": 5, "current_rate": 5, "interface": "rest", "state": "done"}
    first = BulkRun.objects.create(pool="default", **fields)
    second = BulkRun.objects.create(pool="brand", **fields)
    listed = json.loads("\n".join(call("status", "--json", command="bulk")))
    assert [run["id"] for run in listed] == [second.pk, first.pk]
    listed = json.loads("\n".join(call("status", "--json", "--pool", "brand", command="bulk")))
    assert [run["pool"] for run in listed] == ["brand"]
    assert len(call("status", "--pool", "default", command="bulk")) == 1
    shown = json.loads("\n".join(call("status", str(first.pk), "--json", command="bulk")))
    assert shown["id"] == first.pk
    assert shown["counts"]["sent"] == 0


def test_a_terminal_that_is_closed_breaks_off_no_reset(people, settings):
    """SIGHUP comes with it, and nothing can be written there. The reset under way is recorded."""

    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    def hang_up(request):
        signal.raise_signal(signal.SIGHUP)
        return {}

    with_settings(settings, CLIENT_METADATA=hang_up)
    with pytest.raises(CommandError, match="1 of 2 people were left out") as caught:
        call_command("cognito_reset", "send", "alice", "bob", stdout=io.StringIO(), stderr=Closed())
    assert caught.value.returncode == 4
    assert resets(people) == ["alice"]
    assert list(ResetEvent.objects.values_list("outcome", flat=True)) == ["triggered"]
