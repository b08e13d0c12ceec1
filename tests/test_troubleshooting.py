"""docs/troubleshooting.md says what the app shows and logs, and its commands work."""

from __future__ import annotations

import json
import logging
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.middleware import csrf
from django.test import Client

import cognito_reset
from cognito_reset.cognito.errors import AccountRefused
from cognito_reset.cognito.table import error_class
from cognito_reset.models import LedgerSlot
from cognito_reset.testing import errors as cognito
from tests.documentation import python, section
from tests.guides import PAGES, cells, codes
from tests.interfaces import REST, with_settings
from tests.people import NEW_PASSWORD, People
from tests.test_docs import settings_for_another_origin

# The installed package, which isn't in this folder when the tests run against the wheel.
PACKAGE = Path(cognito_reset.__file__).parent
PAGE = PAGES["troubleshooting.md"]
SESSION = get_session()
MODEL = SESSION.get_service_model("cognito-idp")
PUBLIC = ("ForgotPassword", "ConfirmForgotPassword")
#: Options that every command of the AWS CLI has.
GLOBAL = {"region", "query"}


def sections() -> dict[str, str]:
    titles = re.findall(r"^### (.*)$", PAGE, re.M)
    return {title: section("troubleshooting.md", title) for title in titles}


def test_each_text_of_cognito_has_the_code_that_the_page_names():
    """A section whose heading is Cognito's text, or its name for the error, has the code in the log."""
    checked = 0
    for title, text in sections().items():
        named = re.search(r"\bcode=(\w+)`", text)
        answer = re.search(r"Cognito answers (\w+Exception)", text)
        names = re.findall(r"\w+Exception", title) or (answer and [answer[1]])
        if named is None or not names:
            continue
        for name in names:
            for words in title.split(", or … "):
                kind = error_class("ForgotPassword", name, words.removeprefix("… "), 400)
                if words.startswith("failed"):  # in the middle of Cognito's text
                    shown = "Value at 'emailBody' failed to satisfy constraint"
                    assert shown in " ".join(text.split())
                    kind = error_class("ForgotPassword", name, f"1 error: {shown}", 400)
                assert kind.code == named[1], title
                checked += 1
    assert checked >= 14


def test_the_texts_of_cognito_are_those_of_the_emulator():
    for name in (
        "WRONG_STATE",
        "NO_CONTACT",
        "NOT_IN_CLIENT",
        "DISABLED",
        "TOO_OFTEN",
        "ADMIN_ONLY",
    ):
        assert f"### {getattr(cognito, name)}\n" in PAGE
    assert cognito.WRONG_CODE in PAGE
    assert cognito.OLD_CODE in PAGE


@pytest.mark.django_db
def test_the_text_about_a_weak_password_is_that_of_the_emulator(people: People):
    body = {"ConfirmationCode": people.code("alice"), "Password": "weak"}
    _, answer = people.client_call("ConfirmForgotPassword", "alice", **body)
    title = "Password does not conform to policy"
    assert answer["message"].startswith(title)
    assert section("troubleshooting.md", title)


def test_every_error_of_cognito_is_listed_with_what_becomes_of_it():
    """The last table has each error that AWS's model lists for the two public operations."""
    shapes = {name: {s.name for s in MODEL.operation_model(name).error_shapes} for name in PUBLIC}
    listed = {
        row[0]: row[1:]
        for row in cells(section("troubleshooting.md", "Every error of Cognito"))[1:]
    }
    assert set().union(*shapes.values()) <= set(listed)
    for error, found in listed.items():
        for operation, cell in zip(PUBLIC, found, strict=True):
            if cell == "–":
                assert error not in shapes[operation]
                continue
            kind = error_class(operation, error, "", 400)
            hidden = issubclass(kind, AccountRefused)
            assert cell == (f"neutral (`{kind.code}`)" if hidden else f"`{kind.code}`"), error


def test_the_texts_of_the_app_are_the_apps():
    """What the page says that people and staff read is in the code or in a template."""
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html")]
    source = " ".join(
        path.read_text(encoding="utf-8") for path in files if "testing" not in path.parts
    )
    source = re.sub(r'"\s*\n\s*"', "", source)  # parts of one text
    source = " ".join(source.split())
    page = " ".join(PAGE.split())
    for text in (
        "The code is not correct or has expired, or there were too many tries.",
        "We could not confirm that your password was changed",
        "There is no user with exactly this name in the user pool",
        "Check upper and lower case.",
        "Enter a complete phone number, with its area code or country code.",
        "Enter the code from the message, digits only.",
        "This one does not meet the rules",
        "Sorry, there is a problem with the service",
        "You cannot get a new code at the moment",
        "You cannot enter a code at the moment",
        "Use POST. If you did, look for a redirect: some clients follow one with GET.",
        "The request doesn't say how long it is.",
        "This page was open for too long, or your browser keeps no cookies. Check what you entered, and try again.",
        "This user has not used the invitation yet, so there is no password to reset",
        "This user signs in through another service and has no password here.",
        "Cognito could not send the code.",
        "Send the invitation again", "Send a password reset", "Enable the account",
        "Let this person try again",
    ):  # fmt: skip
        assert text in page, text
        assert text in source, text


def test_the_reasons_of_the_csrf_check_are_djangos():
    reasons = [
        row[0]
        for row in cells(
            section("troubleshooting.md", "CSRF verification failed. Request aborted.")
        )
    ]
    bad_origin = csrf.REASON_BAD_ORIGIN
    assert reasons[1:] == [
        csrf.REASON_NO_CSRF_COOKIE,
        "CSRF token from POST incorrect.",
        csrf.REASON_CSRF_TOKEN_MISSING,
        bad_origin % "https://…",
        bad_origin % "null",
        csrf.REASON_NO_REFERER,
    ]


@pytest.mark.django_db
def test_a_form_without_a_token_is_shown_again_and_djangos_log_has_the_reason(people, caplog):
    client = Client(enforce_csrf_checks=True)
    response = client.post("/password-reset/", {"username": "alice"})
    assert response.status_code == 403
    assert "This page was open for too long" in response.content.decode()
    (line,) = [r.getMessage() for r in caplog.records if r.name == "django.security.csrf"]
    assert line == "Forbidden (CSRF cookie not set.): /password-reset/"
    assert line in " ".join(PAGE.split())


@pytest.mark.parametrize("path", ["/password-reset/", "/api/password-reset/"])
def test_a_host_that_is_not_allowed_is_refused_and_logged(path, settings, caplog):
    """The line of Django's log and the answer are those on the page."""
    settings.ALLOWED_HOSTS = ["www.example.com"]
    answer = Client().post(
        path, {}, content_type="application/json", headers={"Host": "shop.example.com"}
    )
    assert answer.status_code == 400
    assert b"Bad Request (400)" in answer.content
    (line,) = [r.getMessage() for r in caplog.records if r.name == "django.security.DisallowedHost"]
    assert line in " ".join(PAGE.split())


# The log


def expect(block_number: int, caplog) -> None:
    """Expect a line of the log that is the page's block, whatever its request id is."""
    shown = codes("troubleshooting.md", "text")[block_number].strip()
    pattern = re.escape(shown).replace(re.escape("5f2c8f3e-…"), r"[\w-]+")
    messages = [record.getMessage() for record in caplog.records]
    assert any(re.fullmatch(pattern, message) for message in messages), messages


@pytest.mark.django_db
def test_the_line_about_a_refused_request_is_as_shown(people: People, caplog):
    caplog.set_level(logging.INFO, "cognito_reset")
    people.prevent_existence_errors("LEGACY")
    Client().post("/password-reset/", {"username": "frank"})
    expect(0, caplog)


@pytest.mark.django_db
def test_the_line_about_an_old_code_is_as_shown(people: People, caplog):
    caplog.set_level(logging.INFO, "cognito_reset")
    people.prevent_existence_errors("LEGACY")
    REST().confirm("alice", "123456")
    expect(1, caplog)


@pytest.mark.django_db(transaction=True)
def test_the_line_about_a_missing_table_is_as_shown(people: People, settings, caplog, monkeypatch):
    if connection.vendor != "sqlite":
        pytest.skip("other databases have other names for the exception")
    with_settings(settings, LIMITS={})
    monkeypatch.setattr("cognito_reset.resets.stores._logged_at", -float("inf"))
    with connection.schema_editor() as editor:
        editor.delete_model(LedgerSlot)
    try:
        response = REST().request("alice")
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(LedgerSlot)
    assert response.status_code == 503
    expect(2, caplog)


# Names in lower case


@pytest.mark.django_db
def test_names_are_sent_in_lower_case_where_the_pool_needs_it(
    people: People, settings, monkeypatch
):
    """The recipe's class resets a password for a name with capital letters in a case-sensitive pool."""
    assert REST().request("Alice@Example.COM").status_code == 202
    assert "alice" not in {message.username for message in people.emulator.outbox}
    module = ModuleType("example.service")
    exec(python("troubleshooting.md", "service.py"), vars(module))
    monkeypatch.setitem(sys.modules, "example", ModuleType("example"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    changed = eval("{" + python("troubleshooting.md", "in COGNITO_RESET") + "}")
    with_settings(settings, SIGN_OUT_EVERYWHERE=True, **changed)
    assert REST().request("Alice@Example.COM").status_code == 202
    code = people.emulator.outbox[-1].code
    assert REST().confirm("ALICE@example.com", code, NEW_PASSWORD).status_code == 200
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert ("AdminUserGlobalSignOut", "alice@example.com") in [
        (name, body.get("Username")) for name, body in people.emulator.calls
    ]
    from cognito_reset.cognito.service import get_service

    assert get_service().find_user(username="ALICE").username == "alice"


# Commands


def commands() -> list[list[str]]:
    """Return the words of each command on the pages that runs in a shell."""
    texts = [text for page in PAGES for text in codes(page, "sh")]
    lines = [line for text in texts for line in text.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines]


AWS = [words for words in commands() if words[0] == "aws"]


def options_of(words: list[str]) -> dict[str, str]:
    names = [word.removeprefix("--") for word in words[3::2]]
    assert all(word.startswith("--") for word in words[3::2])
    return dict(zip(names, words[4::2], strict=True))


@pytest.mark.parametrize("words", AWS, ids=lambda words: f"{words[2]}-{words[-1]}")
def test_each_command_of_the_aws_cli_has_options_that_exist(words):
    """AWS's own model has the operation, its members, and what --query asks for."""
    model = SESSION.get_service_model(words[1])
    (operation,) = [n for n in model.operation_names if xform_name(n, "-") == words[2]]
    members = model.operation_model(operation).input_shape.members
    given = options_of(words)
    assert set(given) - GLOBAL <= {xform_name(member, "-") for member in members}
    shape: Any = model.operation_model(operation).output_shape
    for name in filter(None, given.get("query", "").split(".")):
        shape = shape.members[name]


@pytest.mark.django_db
def test_the_commands_for_cognito_do_what_the_page_says(people: People):
    """They run on the emulator, for a person whose address isn't verified."""
    people.add("anna", email="anna@example.com", email_verified="false")
    ids = {"UserPoolId": people.pool["USER_POOL_ID"], "ClientId": people.pool["CLIENT_ID"]}
    answers: dict[str, Any] = {}
    # The user is deleted last.
    for words in sorted(AWS, key=lambda words: words[2] == "admin-delete-user"):
        if words[1] != "cognito-idp":
            continue
        (operation,) = [n for n in MODEL.operation_names if xform_name(n, "-") == words[2]]
        members = MODEL.operation_model(operation).input_shape.members
        names = {xform_name(member, "-"): member for member in members}
        given = options_of(words)
        query = given.pop("query", "")
        body: dict[str, Any] = {names[name]: value for name, value in given.items()}
        body |= {name: ids[name] for name in body.keys() & ids.keys()}
        if pairs := body.get("UserAttributes"):
            body["UserAttributes"] = [dict(pair.split("=") for pair in pairs.split(","))]
        status, answer = people.emulator.handle(operation, body)
        assert status == 200, (words, answer)
        for key in filter(None, query.split(".")):
            answer = answer.get(key) or {}
        answers[query or operation] = answer
        if operation == "AdminUpdateUserAttributes":
            people.forgot("anna")
            assert people.emulator.outbox[-1].destination == "anna@example.com"
    assert answers["ListUsers"]["Users"][0]["Username"] == "anna"
    assert answers["UserPoolClient.ClientSecret"] == people.pool["CLIENT_SECRET"]
    assert not answers["UserPool.UsernameConfiguration.CaseSensitive"]  # not set
    assert "AdminDeleteUser" in answers


@pytest.mark.django_db
def test_the_other_commands_exist(capsys, settings):
    # check --deploy of Django 6.1 refuses the tests' own backend. Older versions don't know the setting.
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"}}
    ran = set()
    for words in commands():
        if words[:2] == ["python", "manage.py"]:
            name, *arguments = words[2:]
            if arguments[:1] == ["django_rest_passwordreset"] and not apps.is_installed(
                arguments[0]
            ):
                continue
            call_command(name, *arguments)
            ran.add(" ".join(words[2:4]))
        else:
            assert words[0] in ("aws", "curl") or words[2:4] == ["pip", "install"]
    assert {"cognito_reset purge", "clearsessions"} <= ran


def test_the_preflight_by_hand_is_answered_with_the_documented_settings(settings):
    pytest.importorskip("corsheaders", reason="django-cors-headers isn't installed")
    (words,) = [words for words in commands() if words[0] == "curl"]
    headers = dict(words[i + 1].split(": ") for i, word in enumerate(words) if word == "-H")
    url = next(word for word in words if word.startswith("https://www.example.com/"))
    path = url.removeprefix("https://www.example.com")
    bare = Client().options(path, headers=headers)
    assert "Access-Control-Allow-Origin" not in bare.headers
    values = settings_for_another_origin()
    for name in values:
        if name.startswith("CORS_"):
            setattr(settings, name, values[name])
    settings.MIDDLEWARE = [*values["MIDDLEWARE"], *settings.MIDDLEWARE]
    answer = Client().options(path, headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == headers["Origin"]


def test_the_trust_policy_is_for_cognito():
    policy = json.loads(codes("troubleshooting.md", "json")[0])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "cognito-idp.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"
