"""``manage.py cognito_reset doctor``: its lines, its JSON and its exit codes."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cognito_reset.doctor.findings import Finding, Level
from tests import doctor_page
from tests.doctor.test_pool import well
from tests.doctor.world import change_pool
from tests.documentation import anchors
from tests.test_pages import with_settings

__all__ = ["well"]  # a fixture


def call(*arguments, code=0, out=None, **options):
    """Call the command, and return its output, with the text of its error. It must have this exit code."""
    out = out or StringIO()
    found, text = 0, ""
    try:
        call_command("cognito_reset", "doctor", *arguments, stdout=out, **options)
    except CommandError as error:
        found, text = error.returncode, f"{error}\n"
    assert found == code, out.getvalue() + text
    return out.getvalue() + text


@pytest.fixture
def sound(well, settings):
    """A site with nothing wrong, with one pool."""
    pool = settings.COGNITO_RESET["POOLS"]["default"]
    with_settings(settings, POOLS={"default": pool}, LIMITS={})
    return well


def test_the_exit_code_is_0_without_errors_and_warnings(sound):
    """What can't be seen doesn't change it."""
    lines = call().splitlines()
    assert re.fullmatch(r"\d unknown, \d info, \d+ ok", lines[-1])
    assert any(line.startswith("unknown ") for line in lines)


def test_the_exit_code_is_1_with_warnings(sound):
    """One line has the warning, its detail and its fix."""
    change_pool(sound, Policies={"PasswordPolicy": {"MinimumLength": 14}})
    lines = call(code=1).splitlines()
    (warning,) = (line for line in lines if line.startswith("warning"))
    assert warning.startswith("warning policy_too_short [default]: ")
    assert "MinimumLength is 14" in warning
    assert "Fix: " in warning
    assert lines[-2].startswith("1 warning, ")
    assert lines[-1] == "Something could be better: 1 warning."


def test_the_exit_code_is_3_with_errors(sound):
    """Errors count more than warnings."""
    change_pool(sound, Policies={"PasswordPolicy": {"MinimumLength": 14}})
    call(code=1)  # the test kit creates the client of new settings at the first call
    sound.call("DeleteUserPoolClient", ClientId=sound.pool["CLIENT_ID"])
    lines = call(code=3).splitlines()
    assert any(line.startswith("error   client_id_refused [default]: ") for line in lines)
    assert lines[-2].startswith("1 error, 1 warning, ")
    assert lines[-1] == "Something is wrong: 1 error."


def test_the_exit_code_is_2_for_an_unknown_pool(db):
    """The pools that exist are told."""
    assert "default, brand" in call("--pool", "nowhere", code=2)


def test_the_summary_counts_in_words(sound):
    """Errors and warnings have a plural."""
    change_pool(sound, Policies={"PasswordPolicy": {"MinimumLength": 14}}, EmailConfiguration=None)
    lines = call(code=1).splitlines()
    assert lines[-2].startswith("2 warnings, ")
    assert lines[-1] == "Something could be better: 2 warnings."


@pytest.mark.parametrize("key", ["FORWARD_IP_ADDRESS", "FORWARD_CLIENT_METADATA"])
def test_an_unusable_setting_is_one_finding_among_others(sound, settings, key):
    """The doctor goes on with the tables and the limits, and the JSON has everything."""
    with_settings(settings, **{key: "yes"})
    out = StringIO()
    call("--json", code=3, out=out)
    found = {result["id"]: result for result in json.loads(out.getvalue())}
    assert key in found["settings_unusable"]["detail"]
    assert found["settings_unusable"]["pool"] == "default"
    assert {"pool_read", "tables_there", "limits_work"} <= set(found)


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "example.com", "https:///path", "http://[::1", "http://[::1/"),
        *("https://example.com:https/", "https://example.com:99999/", "https://example.com:0/"),
    ],
)
def test_an_address_that_is_none_is_wrong_usage(db, url):
    """argparse ends a real process with 2, and call_command() with an exception."""
    with pytest.raises(CommandError, match="http or https"):
        call_command("cognito_reset", "doctor", "--url", url)


def test_an_address_with_a_password_is_refused(db):
    """The doctor shows the address, and not the password."""
    with pytest.raises(CommandError, match="no user and no password") as caught:
        call_command("cognito_reset", "doctor", "--url", "https://alice:hunter2@example.com/")
    assert "hunter2" not in str(caught.value)


def test_an_address_may_have_letters_of_any_language(sound):
    """It is sent as browsers send it."""
    text = call("--url", "http://127.0.0.1:9/zurücksetzen/?läuft=1", code=3)
    assert "http://127.0.0.1:9/zur%C3%BCcksetzen/?l%C3%A4uft=1: ConnectionRefusedError." in text


def test_all_pools_or_one(people, settings):
    """The default is all."""
    settings.COGNITO_RESET["POOLS"]["brand"] = {**people.pool, "CLIENT_ID": "brandclient"}
    people.call("DeleteUserPoolClient", ClientId=people.pool["CLIENT_ID"])
    with_settings(settings, LIMITS={})
    text = call(code=3)
    assert "[brand]" in text
    assert "client_id_refused [default]" in text
    assert "[brand]" not in call("--pool", "default", code=3)
    assert "[default]" not in call("--pool", "brand", code=1)


def test_json_has_the_documented_keys(sound, capsys):
    """Nothing else is written to standard output, also if something is wrong."""
    change_pool(sound, Policies={"PasswordPolicy": {"MinimumLength": 14}})
    out = StringIO()
    call("--json", code=1, out=out)
    results = json.loads(out.getvalue())
    assert {tuple(result) for result in results} == {
        ("id", "level", "pool", "title", "detail", "fix")
    }
    found = {result["id"]: result for result in results}
    assert found["policy_too_short"]["level"] == "warning"
    assert found["policy_too_short"]["pool"] == "default"
    assert found["tables_there"]["pool"] == ""


def test_json_is_all_that_is_written(sound):
    """Also if nothing is wrong: the summary is left out."""
    results = json.loads(call("--json"))
    assert {result["level"] for result in results} == {"ok", "info", "unknown"}


def test_lines_have_no_colours_unless_it_is_a_terminal(sound):
    """Each line is one item."""

    class Terminal(StringIO):
        def isatty(self):
            return True

    assert "\x1b" not in call()
    assert "\x1b[" in call(out=Terminal(), force_color=True)


def test_permissions_and_url_reach_the_examination(sound):
    """Without them they are unknown, or not there."""
    assert "permissions_untried" in call()
    text = call("--permissions", "--url", "http://127.0.0.1:9/", code=3)
    assert "permission_there" in text
    assert "site_unreachable" in text


def test_no_secret_and_no_username_is_shown(people):
    """Neither in the lines nor in the JSON."""
    for arguments in ((), ("--json",), ("--permissions",)):
        text = call(*arguments, "--pool", "default", code=1)
        assert people.pool["CLIENT_SECRET"] not in text
        assert not any(name in text for name in ("bob", "carol", "heidi"))


def test_every_finding_is_provoked_by_a_test():
    """A finding that no test can provoke isn't worth a promise."""
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r"Finding\.([A-Z_]+)\b", sources)) == set(Finding.__members__)


@pytest.mark.parametrize("finding", Finding)
def test_every_finding_is_a_sentence_and_has_a_fix(finding):
    """Ids are short. What is right needs no fix."""
    assert re.fullmatch(r"[a-z_]{5,32}", finding.id)
    assert finding.title.endswith(".")
    assert bool(finding.fix) is (finding.level is not Level.OK) or finding in (
        Finding.CLOCK_UNKNOWN,
        Finding.CLIENT_UNTESTED,
    )
    assert not finding.fix or finding.fix.endswith(".")


def test_every_finding_has_an_anchor_in_the_docs():
    """Its id, so that a message or another page can link to it."""
    assert {finding.id for finding in Finding} <= anchors(doctor_page.PAGE)


def test_the_page_of_the_doctor_is_up_to_date():
    """If this fails, run ``python -m tests.doctor_page``."""
    assert doctor_page.PAGE.read_text() == doctor_page.page()
