"""REQUIREMENTS 1.H: canaries through the whole flow, with faults everywhere, found nowhere."""

from __future__ import annotations

import logging
import os
import pickle
import re
import sys
import traceback
from argparse import _SubParsersAction
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import caches
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter

from cognito_reset.cognito.errors import ResetError
from cognito_reset.cognito.service import CognitoService, get_service, wait_until_idle
from cognito_reset.conf import conf
from cognito_reset.management.commands.cognito_reset import Command
from cognito_reset.models import LedgerSlot, ResetEvent
from cognito_reset.testing import (
    ConnectRefused,
    Error,
    GzipGarbage,
    Junk,
    Reset,
    Status,
    Timeout,
    Truncated,
    WafBlock,
)
from tests.interfaces import INTERFACES, REST
from tests.test_pages import with_settings
from tests.test_staff_admin import make_staff, make_user

PASSWORD = "Canary-passw0rd-kWq"
CODE = "739184"
NAME = "canary-name@example.com"
CONTACT = "canary-contact"

FAULTS = [
    None,
    Error("CodeMismatchException", f"{PASSWORD} {CODE} {NAME}"),
    Error("InvalidPasswordException", f"{PASSWORD} is weak"),
    Error("UserLambdaValidationException", f"PostConfirmation failed with error {PASSWORD}."),
    Error("BrandNewException", f"{PASSWORD}"),
    Status(500, f"<html>{PASSWORD}</html>"),
    Status(418, f"{PASSWORD}"),
    WafBlock(),
    Timeout(),
    Reset(),
    ConnectRefused(),
    GzipGarbage(),
    Truncated(),
    Junk(f"<html>{PASSWORD}</html>"),
]

IDS = [f"{n}-{type(fault).__name__}" for n, fault in enumerate(FAULTS)]


class Canaries:
    """The secrets of one test, and checks that a text doesn't contain them."""

    def __init__(self, people):
        self.client_secret = people.pool["CLIENT_SECRET"]
        self.secret_hash = people.secret_hash(NAME)
        self.secrets = [PASSWORD, CODE, self.client_secret, self.secret_hash]

    def assert_absent(self, text, *, names=False):
        # Addresses of objects, ids and signatures are random, and contain the code by chance.
        text = re.sub(r"\b0x[0-9a-f]+|\b[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{64}\b", "", text)
        for canary in [*self.secrets, *([NAME, CONTACT] if names else [])]:
            assert canary not in text


@pytest.fixture
def canaries(people):
    people.add("canary", email=f"{CONTACT}@example.com", email_verified="true")
    people.emulator.options.hourly_allowance = 1000
    people.emulator._state.new_code = lambda: CODE
    return Canaries(people)


@pytest.fixture
def log():
    """Everything that any logger says, from DEBUG on, formatted and with its arguments."""
    stream = StringIO()

    class Handler(logging.StreamHandler[StringIO]):
        def emit(self, record):
            super().emit(record)
            stream.write(f"{record.args!r} {record.exc_info!r}\n")

    handler = Handler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def flow(interface, fault, emulator):
    if fault is not None:
        emulator.fail_next("ForgotPassword", fault, times=2)
        emulator.fail_next("ConfirmForgotPassword", fault, times=2)
    yield interface.request(NAME)
    yield interface.confirm(NAME, CODE, PASSWORD)
    yield interface.confirm(NAME, CODE, PASSWORD + "\n")
    yield interface.confirm("a b", CODE, PASSWORD)
    yield interface.request(NAME)  # too soon


@pytest.fixture(params=["database", "cache"])
def kept(request, settings):
    """Return a function that returns all that the store of the limits holds."""
    in_cache = request.param == "cache"
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {"default": {"BACKEND": backend}, "limits": {"BACKEND": backend}}
    settings.CACHES["limits"]["LOCATION"] = request.node.name
    with_settings(settings, LIMITS={}, LIMITS_CACHE="limits" if in_cache else None)

    def contents():
        return repr(caches["limits"]._cache if in_cache else list(LedgerSlot.objects.values()))

    return contents


@pytest.mark.requirement("H1", "H2", "H8", "P10")
@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
@pytest.mark.parametrize("make_interface", INTERFACES)
@pytest.mark.parametrize("debug", [False, True])
def test_h1_h2_h8_nothing_secret_is_logged_answered_or_kept(
    people, canaries, settings, log, kept, make_interface, fault, debug
):
    """
    No secret is in DEBUG logs, answers, sessions, limits, caches or the audit, with DEBUG on or
    off.
    """
    settings.DEBUG = debug
    interface = make_interface()
    interface.client.raise_request_exception = False
    for response in flow(interface, fault, people.emulator):
        assert response.status_code in (*range(500), 502) or interface.is_unavailable(response)
        canaries.assert_absent(response.content.decode())
        canaries.assert_absent(str(response.headers))
        canaries.assert_absent(str(response.cookies))
    text = log.getvalue()
    canaries.assert_absent(text, names=True)
    assert "cognito_reset" in text or fault is None
    dump = StringIO()
    call_command("dumpdata", stdout=dump)
    canaries.assert_absent(dump.getvalue())
    for session in Session.objects.all():
        canaries.assert_absent(str(session.get_decoded()))
    assert "cognito_reset}:request:identifier:60" in kept()
    assert ResetEvent.objects.count() > 1
    stored = [kept(), repr(caches["default"]._cache), repr(list(ResetEvent.objects.values()))]
    canaries.assert_absent(str(stored), names=True)


@pytest.mark.requirement("H2")
@pytest.mark.urls("tests.admin_site")
@pytest.mark.parametrize("fault", [None, Error("BrandNewException", f"{CODE} {CONTACT}"), Reset()])
def test_h2_the_admins_own_log_has_no_secret(people, canaries, log, fault):
    """The record has the action and the user's name, but no code and no contact."""
    staff, user = make_staff(), make_user("canary")
    if fault is not None:
        people.emulator.fail_next("AdminResetUserPassword", fault, times=2)
    assert staff.send(user).status_code in (200, 302)
    entry = LogEntry.objects.get()
    canaries.assert_absent(str(vars(entry)), names=True)
    canaries.assert_absent(repr(list(ResetEvent.objects.values())) + log.getvalue(), names=True)


@pytest.mark.requirement("H1", "H2")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
def test_h1_h2_the_operations_of_staff_log_no_parameters(people, canaries, settings, log, fault):
    """Names, addresses, filters and metadata are in no log, and neither is a temporary password."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "RESEND_INVITATIONS": True, "LIMITS": False}
    people.add("canary-contact-1", permanent=False, email=f"{CONTACT}@example.org")
    service, metadata = get_service(), {"language": PASSWORD}
    service.forget_answers()
    calls: list[tuple[str, Callable[[], object]]] = [
        ("AdminCreateUser", partial(service.resend_invitation, username="canary-contact-1", medium="EMAIL", client_metadata=metadata)),
        ("AdminEnableUser", partial(service.enable_user, username="canary-contact-1")),
        ("AdminConfirmSignUp", partial(service.confirm_sign_up, username="canary-contact-1", client_metadata=metadata)),
        ("ListUsers", partial(service.list_users, filter=f'username ^= "{CONTACT}"')),
        ("ListUsersInGroup", partial(service.list_users, group=CONTACT)),
        ("DescribeUserPool", service.pool_rules),
    ]  # fmt: skip
    for operation, call in calls:
        if fault is not None:
            people.emulator.fail_next(operation, fault, times=2)
        with suppress(ResetError):
            call()
        service.forget_answers()
    REST().request("canary-contact-1")
    assert wait_until_idle(10)
    invitations = [sent.code for sent in people.emulator.outbox if sent.kind == "invitation"]
    assert fault is not None or len(invitations) == 2
    canaries.secrets += invitations
    canaries.assert_absent(log.getvalue(), names=True)
    canaries.assert_absent(repr(list(ResetEvent.objects.values())), names=True)


started: list[object] = []
watching: list[bool] = []


@sys.addaudithook
def _watch(event, arguments):
    if watching and event.startswith(("subprocess.", "os.exec", "os.spawn", "os.posix_spawn")):
        started.append((event, arguments))


@pytest.mark.requirement("H2")
def test_h2_no_process_is_started_for_a_reset(people, canaries):
    """A command line can be read by everybody on the machine."""
    watching.append(True)
    try:
        for interface in INTERFACES:
            assert len(list(flow(interface(), None, people.emulator))) == 5
        assert started == []
        os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}), 0)
        assert started  # the hook hears
    finally:
        watching.clear()
        started.clear()


def options(parser):
    """Yield the names of all arguments of a command and its subcommands."""
    for action in parser._actions:
        yield from (action.dest, *action.option_strings)
        if isinstance(action, _SubParsersAction):
            for inner in action.choices.values():
                yield from options(inner)


@pytest.mark.requirement("H2")
def test_h2_no_command_takes_a_secret():
    """A command line is read by everybody on the machine, and kept by the shell."""
    names = list(options(Command().create_parser("manage.py", "cognito_reset")))
    assert "command" in names
    secret = re.compile("password|code|secret|token|hash|credential", re.IGNORECASE)
    assert [name for name in names if secret.search(name)] == []


@pytest.mark.requirement("H2")
def test_h2_the_canaries_would_be_heard(people, canaries, log, monkeypatch):
    """
    Without the app's filter botocore's loggers print secrets, so the other tests are able to fail.
    """
    monkeypatch.setattr("cognito_reset.cognito.client.THREAD_NAME", "nobody's")
    REST().confirm(NAME, CODE, PASSWORD)
    assert PASSWORD in log.getvalue()


def report(error):
    """Return the text of an error's mail to ADMINS, and the locals that a tracker would keep."""
    request = RequestFactory().post("/")
    reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
    return reporter.get_traceback_html() + reporter.get_traceback_text()


@pytest.mark.requirement("H1", "H5")
@pytest.mark.parametrize("fault", FAULTS[1:], ids=IDS[1:])
def test_h1_h5_no_exception_brings_a_secret_along(people, canaries, fault):
    """No secret is in its context, cause, notes, repr, pickle, or the locals of its frames."""
    people.emulator.fail_next("ConfirmForgotPassword", fault, times=2)
    with pytest.raises(ResetError) as caught:
        get_service().confirm(username=NAME, confirmation_code=CODE, password=PASSWORD)
    error = caught.value
    assert error.__context__ is None
    assert error.__cause__ is None
    canaries.assert_absent(repr(error) + str(vars(error)) + str(pickle.dumps(error)), names=True)
    frames = traceback.extract_tb(error.__traceback__)
    assert not [frame for frame in frames if "botocore" in frame.filename]
    # The first frame is this test's own, whose locals are plain strings.
    kept = traceback.TracebackException.from_exception(error, capture_locals=True).stack[1:]
    assert kept[0].name == "confirm"
    canaries.assert_absent(str([frame.locals for frame in kept]))


class Broken(CognitoService):
    """A service class of the site with a bug in the thread that handles the request."""

    def confirm(self, **kwargs):
        raise RuntimeError("a bug of the site's")


@pytest.mark.requirement("H1")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_h1_the_mail_to_admins_of_a_sites_own_bug_has_no_secret(
    people, canaries, settings, make_interface
):
    """Django's report shows the locals of frames. In the app's frames all of them are masked."""
    settings.ADMINS = [("Admin", "admin@example.com")] if sys.version_info < (3, 12) else ["a@x.co"]
    with_settings(settings, SERVICE_CLASS=Broken)
    logger = logging.getLogger("django.request")
    handler = AdminEmailHandler(include_html=True)
    logger.addHandler(handler)
    try:
        interface = make_interface()
        interface.client.raise_request_exception = False
        response = interface.confirm(NAME, CODE, PASSWORD)
        assert response.status_code == 500 or interface.is_unavailable(response)
    finally:
        logger.removeHandler(handler)
    assert any(message.alternatives for message in mail.outbox)
    for message in mail.outbox:
        canaries.assert_absent(message.body)
        assert "a bug of the site" in message.body
        for content, _kind in message.alternatives:
            canaries.assert_absent(content)


@pytest.mark.requirement("H5")
def test_h5_settings_and_service_do_not_show_their_secrets(people, canaries):
    """Neither repr() nor the settings in Django's report show them."""
    canaries.assert_absent(repr(conf.pool("default")) + repr(get_service()) + repr(vars(conf)))
    error = RuntimeError("x")
    canaries.assert_absent(report(error))


@pytest.mark.requirement("H3")
def test_h3_a_log_line_is_one_line(people, log):
    """No message contains what was typed, and error names from answers are shortened."""
    people.emulator.fail_next("ForgotPassword", Error("Evil\r\n\x1b[31mname", "x"))
    REST().request("alice")
    lines = [line for line in log.getvalue().splitlines() if "cognito_reset.upstream" in line]
    assert len(lines) == 1
    assert "\x1b" not in log.getvalue()


@pytest.mark.requirement("H3")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_h3_what_is_typed_forges_no_line(people, log, make_interface):
    """No message contains input, whether it is refused or accepted."""
    for name in ("x\r\n\x1b[31mforged", "forged%0d%0a%s%(name)s"):
        make_interface().request(name)
        make_interface().confirm(name, code=f"{name} 000000", password=f"Aa1-{name}")
    ours = [line for line in log.getvalue().splitlines() if "cognito_reset." in line]
    assert len(ours) > 2
    assert "forged" not in str(ours)
    assert "\x1b" not in log.getvalue()


@pytest.mark.requirement("H4")
def test_h4_events_have_fixed_names(people, log, settings):
    """Operators can search for the app's names or for OWASP's."""
    people.emulator.fail_next("ForgotPassword", "InternalErrorException")
    REST().request("alice")
    REST().request("alice")
    REST().confirm("alice", "000000")
    REST().confirm("alice", people.code("alice"))
    with_settings(settings, LIMITS={"request": {"network": "1/h"}})
    REST().request("alice")
    REST().request("bob")
    with_settings(settings, POOLS={})
    REST().request("alice")
    found = re.findall(r"(cognito_reset\.[a-z_]+) ?(.*)", log.getvalue())
    lines = {
        name: re.findall(r"([a-z_]+)=", rest) for name, rest in found if not rest.startswith("Res")
    }
    keys = ["interface", "pool", "code", "aws_request_id", "owasp"]
    outcomes = ("requested", "throttled", "confirmed", "refused", "failed")
    expected = {f"cognito_reset.{outcome}": keys for outcome in outcomes}
    expected["cognito_reset.upstream_error"] = ["operation", "code", "aws_code", "aws_request_id"]
    assert expected.items() <= lines.items()
    assert "cognito_reset.misconfigured: " in log.getvalue()
    for word in ("change", "change_fail"):
        assert log.getvalue().count(f"owasp=authn_password_{word}\n") == 1
    assert log.getvalue().count("owasp=excess_rate_limit_exceeded\n") == 1


@pytest.mark.requirement("H4")
def test_h4_failures_have_fixed_names(people, log, settings, monkeypatch):
    """Failures after a reset, and of the store of the limits, have fixed names."""
    monkeypatch.setattr("cognito_reset.resets.stores.LOG_INTERVAL_SECONDS", 0)
    with_settings(settings, SIGN_OUT_EVERYWHERE=True, LIMITS={})
    people.emulator.fail_next("AdminUserGlobalSignOut", "InternalErrorException")
    REST().confirm("alice", people.code("alice"))
    assert "cognito_reset.sign_out_failed error=" in log.getvalue()
    with connection.execute_wrapper(unreachable):
        REST().request("alice")
    assert "cognito_reset.limits_unavailable store=" in log.getvalue()


def unreachable(execute, sql, *args):
    raise OperationalError("the database doesn't answer")


@pytest.mark.requirement("D7")
def test_d7_no_identifier_is_in_any_address(people):
    """Neither a redirect nor a link holds what was typed."""
    client = Client()
    response = client.post("/password-reset/", {"username": NAME})
    assert "canary" not in response.url
    body = client.get(response.url).content.decode()
    links = [part for part in body.split('"') if part.startswith(("/", "http", "?"))]
    assert links
    assert "canary" not in str(links)
