"""
What happens when Cognito fails: ``ROWS`` has each fault with the answers that it must have, at each step and on
each interface. The same table is in docs/resiliency.md. The faults happen on real sockets.
"""

from __future__ import annotations

import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import constants as levels
from django.urls import include, path

from cognito_reset.cognito.service import get_service, wait_until_idle
from cognito_reset.models import BulkItem, ResetEvent
from cognito_reset.staff import bulk, pace
from tests import admin_site, resiliency
from tests.bulk_world import start_list
from tests.fault_server import (
    GOOD,
    NAMES,
    Answer,
    Handler,
    Wire,
    closed_port,
    configure,
    cut_short,
    drop,
    error,
    full_listener,
    gzip_bomb,
    hang,
    real_clients,
    reply,
    reset,
    spoiled,
    status,
    trickle,
    well,
    write_certificate,
)
from tests.interfaces import INTERFACES, REST, Interface
from tests.resiliency import ANSWERS, OWN_HEAD, own_rows, table
from tests.test_staff_admin import make_staff, make_user, told
from tests.test_staff_rest import Office, codes

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [
    *admin_site.urlpatterns,
    path("cognito", include("cognito_reset.aws.urls")),
    path("staff/", include("cognito_reset.staff.urls")),
]

PAGE = Path(__file__).parents[1] / "docs" / "resiliency.md"
CODE, NEW_PASSWORD = "482913", "Battery-staple-2"
OPERATIONS = {"request": "ForgotPassword", "confirm": "ConfirmForgotPassword"}
RESET = "AdminResetUserPassword"
PEOPLE = NAMES[:6]
LONG = 16.0  # seconds, in which every answer of a server that is well comes


class World:
    """The site, and the server in Cognito's place."""

    def __init__(
        self, settings: Any, wire: Wire, monkeypatch: pytest.MonkeyPatch, certificate: Path
    ) -> None:
        self.settings, self.wire, self.monkeypatch = settings, wire, monkeypatch
        self.certificate = certificate
        self.stack = ExitStack()

    def configure(self, *, url: str = "", total: float = LONG, **options: Any) -> None:
        options = {"LIMITS": {}, "UNIFORM_RESPONSE_SECONDS": 0, **options}
        options["TOTAL_TIMEOUT_SECONDS"] = total
        configure(self.settings, self.wire, url=url or None, **options)

    def break_down(self, row: Row, *, total: float, **options: Any) -> None:
        """Let the fault happen to the calls of a reset. Whoever only reads gets answers, if anybody does."""
        self.options = {"total": total if row.is_slow else LONG, **options}
        self.configure(**self.options)
        if callable(row.fault):
            fault = row.fault(self)
            if fault:
                self.stack.enter_context(fault)
        else:
            self.answer(row.fault[0])

    def answer(self, answer: Answer, times: int = 1_000_000) -> None:
        left = [times]

        def answer_or_not(handler: Handler) -> None:
            is_reset = handler.operation in (*OPERATIONS.values(), RESET) and left[0] > 0
            left[0] -= is_reset
            (answer if is_reset else well)(handler)

        self.wire.answer = answer_or_not

    def move(self, url: str, **options: Any) -> None:
        """Let Cognito be at another address."""
        self.configure(**{"url": url, **options, **self.options})

    def heal(self) -> None:
        """Let Cognito be well again."""
        self.end()
        self.wire.answer, self.wire.resets_connections = well, False
        self.configure()

    def end(self) -> None:
        self.wire.release()
        self.stack.close()
        assert wait_until_idle(LONG)


# The faults of connections.


def no_name(world: World) -> AbstractContextManager[Any]:
    def look_up(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    return names_are_looked_up_by(world, look_up)


def slow_name(world: World) -> AbstractContextManager[Any]:
    released = world.wire.released

    def look_up(*args: Any, **kwargs: Any) -> Any:
        released.wait(LONG)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    return names_are_looked_up_by(world, look_up)


def names_are_looked_up_by(
    world: World, look_up: Callable[..., Any]
) -> AbstractContextManager[Any]:
    world.move("http://cognito.invalid")
    stack = ExitStack()
    stack.enter_context(world.monkeypatch.context()).setattr(socket, "getaddrinfo", look_up)
    return stack


def refused(world: World) -> None:
    world.move(f"http://127.0.0.1:{closed_port()}")


def no_route(world: World) -> AbstractContextManager[Any]:
    stack = ExitStack()
    port = stack.enter_context(full_listener())
    world.options["total"] = LONG  # the connect timeout ends it
    world.move(f"http://127.0.0.1:{port}", CONNECT_TIMEOUT_SECONDS=0.1)
    return stack


def wrong_certificate(world: World) -> AbstractContextManager[Any]:
    stack, elsewhere = ExitStack(), Wire()
    stack.callback(elsewhere.close)
    elsewhere.use_tls(world.certificate)
    world.move(elsewhere.url)
    return stack


def reset_unread(world: World) -> None:
    world.configure(CONNECT_TIMEOUT_SECONDS=1, **world.options)  # no connection is open yet
    world.wire.resets_connections = True


# The table.


@dataclass(frozen=True)
class Row:
    """
    A fault and what comes of it; "" where it can't happen.

    - ``text``: the fault in the words of docs/resiliency.md.
    - ``fault``: how it happens: a function, or a server's answer, in a tuple.
    - ``request`` and ``confirm``: keys of ANSWERS.
    - ``staff``: the outcome and the error's code of a reset by staff.
    - ``many``: the same of a reset of six people: the outcome of those to whom it happens (with ``pending`` they
      are waited for), and why the run pauses, if it does.
    - ``level`` and ``aws_code`` of the line ``cognito_reset.upstream_error``.
    - ``sent``: how many requests reach the server.
    - ``opens``: it opens the circuit breaker, because there is no answer.
    - ``is_slow``: whether it takes a while until it is known.
    """

    text: str
    fault: Callable[[World], AbstractContextManager[Any] | None] | tuple[Answer]
    request: str
    confirm: str
    staff: str
    many: str
    level: str
    aws_code: str
    sent: int = 1
    opens: bool = False
    is_slow: bool = False

    def cells(self) -> list[str]:
        """Return the row of docs/resiliency.md."""
        later = ", or `neutral`" if self.is_slow else ""
        return [
            self.text,
            shown(self.request.partition(",")[0]) + later,
            shown(self.confirm.partition(",")[0]),
            shown(self.staff),
            shown(self.many),
            f"{self.level} {' or '.join(map(shown, self.aws_code.split('|')))}",
            "yes" if self.opens else "no",
        ]


HEAD = (
    "what goes wrong",
    "a code is asked for",
    "the code is entered",
    "staff reset a person",
    "many people are reset",
    "level and `aws_code`",
    "opens the circuit breaker",
)


def shown(words: str) -> str:
    return f"`{words}`" if words else "–"


def not_sent(text: str, fault: Any, aws_code: str, **more: Any) -> Row:
    """A row of a fault that proves that Cognito got nothing."""
    cells = ("unavailable", "unavailable", "failed unavailable", "pending unavailable")
    return Row(text, fault, *cells, "ERROR", aws_code, sent=0, opens=True, **more)


def lost(text: str, fault: Any, aws_code: str, **more: Any) -> Row:
    """A row of an answer that got lost, or that Cognito didn't send."""
    cells = ("maybe sent", "unknown", "unknown outcome_unknown", "unknown outcome_unknown")
    return Row(text, fault, *cells, "ERROR", aws_code, opens=True, **more)


def broken(text: str, fault: Answer, aws_code: str) -> Row:
    """A row of an answer with status 500 or more."""
    cells = (
        "unavailable, received",
        "unknown",
        "unknown outcome_unknown",
        "unknown outcome_unknown",
    )
    return Row(text, (fault,), *cells, "ERROR", aws_code, opens=True)


def blocked(text: str, fault: Answer, aws_code: str) -> Row:
    """A row of an answer that isn't Cognito's, with a status below 500."""
    cells = ("unavailable, received",) * 2
    return Row(
        text, (fault,), *cells, "failed unavailable", "pending unavailable", "ERROR", aws_code
    )


def throttled(code: str, number: int = 400) -> Row:
    text = f"AWS limits the rate of the whole pool: `{code}`" + (
        f" with status {number}" if number != 400 else ""
    )
    cells = ("neutral", "busy", "failed upstream_throttled", "sent")
    return Row(text, (error(code, number),), *cells, "WARNING", code)


def about_person(text: str, code: str, said: str, ours: str) -> Row:
    cells = ("neutral", "wrong code", f"refused {ours}", f"refused {ours}")
    return Row(f"{text}: `{code}`", (error(code, text=said),), *cells, "INFO", code)


def about_delivery(
    text: str, code: str, said: str = "vendor text", ours: str = "delivery_failed"
) -> Row:
    cells = ("neutral", "", f"failed {ours}", f"failed {ours}")
    return Row(f"{text}: `{code}`", (error(code, text=said),), *cells, "ERROR", code)


def of_lambda(code: str) -> Row:
    cells = ("neutral", "unknown", "failed trigger_failed", "failed trigger_failed")
    text = f"one of the pool's Lambda functions fails: `{code}`"
    return Row(text, (error(code),), *cells, "ERROR", code)


def about_code(text: str, code: str) -> Row:
    return Row(f"{text}: `{code}`", (error(code),), "", "wrong code", "", "", "INFO", code)


def about_password(text: str, code: str, answer: str, level: str, said: str = "too short") -> Row:
    return Row(f"{text}: `{code}`", (error(code, text=said),), "", answer, "", "", level, code)


def misconfigured(text: str, code: str, said: str = "vendor text", *, public: bool = True) -> Row:
    cells = ("unavailable, received",) * 2 if public else ("", "")
    many = "pending misconfigured"
    staff = "" if "secret" in text else "failed unavailable"
    return Row(
        f"{text}: `{code}`",
        (error(code, text=said),),
        *(*cells, staff, many if staff else ""),
        *("CRITICAL", code),
    )


NO_CONTACT = (
    "Cannot reset password for the user as there is no registered/verified email or phone_number"
)
DEADLINE = "DeadlineExceeded|ReadTimeoutError"
ROWS = {
    "no name": not_sent("Cognito's name can't be looked up", no_name, "EndpointConnectionError"),
    "refused": not_sent("the connection is refused", refused, "EndpointConnectionError"),
    "connect timeout": not_sent(
        "nothing answers at the address", no_route, "ConnectTimeoutError", is_slow=True
    ),
    "wrong certificate": not_sent(
        "the certificate can't be verified", wrong_certificate, "SSLError"
    ),
    "slow name": Row(
        "Cognito's name is looked up for too long",
        slow_name,
        *("maybe sent", "unknown", "failed unavailable", "pending unavailable"),
        *("ERROR", "DeadlineExceeded"),
        sent=0,
        opens=True,
        is_slow=True,
    ),
    "read timeout": lost("no answer comes", (hang,), DEADLINE, is_slow=True),
    "trickle": lost("the answer comes byte by byte", (trickle,), "DeadlineExceeded", is_slow=True),
    "reset before it is read": Row(
        "the connection is reset while the request is sent",
        reset_unread,
        *("maybe sent", "unknown", "failed unavailable", "pending unavailable"),
        *("ERROR", "ConnectionClosedError"),
        sent=0,
        opens=True,
    ),
    "reset": lost("the connection is reset after the request", (reset,), "ConnectionClosedError"),
    "closed": lost("the connection is closed without an answer", (drop,), "ConnectionClosedError"),
    "cut short": lost(
        "the answer ends in the middle", (cut_short,), "UnprovenAnswer|ConnectionClosedError"
    ),
    "500": broken("an answer with status 500, in HTML", status(500), "500"),
    "502": broken("an answer with status 502, in HTML", status(502), "502"),
    "503": broken("an answer with status 503, in HTML", status(503), "503"),
    "504": broken("an answer with status 504, in HTML", status(504), "504"),
    "InternalErrorException": broken(
        "Cognito fails: `InternalErrorException`",
        error("InternalErrorException", 500),
        "InternalErrorException",
    ),
    "empty": lost("an empty answer with status 200", (reply(b"", **GOOD),), "UnprovenAnswer"),
    "html": lost(
        "a page in HTML with status 200, such as a captive portal's",
        (reply(b"<html>", Content_Type="text/html"),),
        "UnprovenAnswer",
    ),
    "malformed": lost("broken JSON with status 200", (reply(b'{"Co', **GOOD),), "UnprovenAnswer"),
    "gzip bomb": lost(
        "a compressed answer, such as a gzip bomb, which isn't unpacked",
        (gzip_bomb,),
        "UnicodeDecodeError",
    ),
    "no request id": lost(
        "an answer with status 200 without AWS's request id",
        (spoiled(lambda headers: headers.pop("x_amzn_RequestId")),),
        "UnprovenAnswer",
    ),
    "challenge": lost(
        "a firewall's challenge (status 202)",
        (reply(b"", 202, x_amzn_waf_action="challenge"),),
        "UnprovenAnswer",
    ),
    "redirect": blocked(
        "a redirect, which isn't followed", reply(b"", 307, Location="http://127.0.0.1:1/"), "307"
    ),
    "firewall": blocked("a firewall refuses the request", status(403), "403"),
    "TooManyRequestsException": throttled("TooManyRequestsException"),
    "TooManyRequestsException 429": throttled("TooManyRequestsException", 429),
    "ThrottlingException": throttled("ThrottlingException"),
    "LimitExceededException": about_person(
        "the person has reached Cognito's limit",
        "LimitExceededException",
        "Attempt limit exceeded, please try after some time.",
        "attempt_limit",
    ),
    "no user": about_person(
        "there is no such user", "UserNotFoundException", "User does not exist.", "user_not_found"
    ),
    "disabled": about_person(
        "the user is disabled", "NotAuthorizedException", "User is disabled.", "user_disabled"
    ),
    "wrong state": about_person(
        "the user is federated, or hasn't used the invitation",
        "NotAuthorizedException",
        "User password cannot be reset in the current state.",
        "wrong_state",
    ),
    "no contact": about_person(
        "the user has no verified contact",
        "InvalidParameterException",
        NO_CONTACT,
        "no_verified_contact",
    ),
    "unconfirmed": about_code("the user isn't confirmed", "UserNotConfirmedException"),
    "wrong code": about_code("the code is wrong", "CodeMismatchException"),
    "expired code": about_code("the code has expired", "ExpiredCodeException"),
    "too many failures": about_code("too many wrong codes", "TooManyFailedAttemptsException"),
    "password refused": about_password(
        *("the password breaks a rule of the pool", "InvalidPasswordException"),
        *("password refused", "WARNING"),
    ),
    "password known": about_password(
        *("attackers know the password", "InvalidPasswordException", "password known", "INFO"),
        said="Provided password cannot be used for security reasons.",
    ),
    "password used before": about_password(
        *("the password was used before", "PasswordHistoryPolicyViolationException"),
        *("password used before", "INFO"),
    ),
    "delivery": about_delivery("the message can't be sent", "CodeDeliveryFailureException"),
    "sms role": about_delivery("the role for SMS is wrong", "InvalidSmsRoleAccessPolicyException"),
    "sms trust": about_delivery(
        "Cognito may not use the role for SMS", "InvalidSmsRoleTrustRelationshipException"
    ),
    "daily limit": about_delivery(
        "Cognito's own sender has sent its 50 mails of the day",
        "LimitExceededException",
        "Exceeded daily email limit for the operation or the account.",
    ),
    "ses": about_delivery(
        "Amazon SES doesn't know the sender",
        "InvalidParameterException",
        "Email address is not verified. The following identities failed the check",
    ),
    "message": about_delivery(
        "the pool's message is refused",
        "InvalidParameterException",
        "1 validation error detected: Value at 'emailBody' failed to satisfy constraint",
        "message_rejected",
    ),
    "UserLambdaValidationException": of_lambda("UserLambdaValidationException"),
    "UnexpectedLambdaException": of_lambda("UnexpectedLambdaException"),
    "InvalidLambdaResponseException": of_lambda("InvalidLambdaResponseException"),
    "no pool": misconfigured(
        "the pool or the app client doesn't exist", "ResourceNotFoundException"
    ),
    "secret": misconfigured(
        "the app client's secret is wrong",
        "NotAuthorizedException",
        "Unable to verify secret hash for client 1example",
    ),
    "replica": misconfigured(
        "the Region is a replica, which resets no passwords", "OperationNotEnabledException"
    ),
    "permission": misconfigured(
        "an IAM policy forbids it", "AccessDeniedException", "User: arn is not", public=False
    ),
    "credentials": misconfigured(
        "the AWS credentials have expired", "ExpiredTokenException", public=False
    ),
    "clock": misconfigured(
        "the server's clock is wrong",
        "InvalidSignatureException",
        "Signature expired: 20261128T000000Z is now earlier than 20261128T000500Z",
        public=False,
    ),
}


# The tests.


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    write_certificate(path)
    return path


@pytest.fixture
def world(
    server: Wire,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[World]:
    server.start_anew()
    caplog.set_level(logging.INFO, "cognito_reset")
    with real_clients():
        made = World(settings, server, monkeypatch, certificate)
        yield made
        made.end()


def cases(*columns: str) -> pytest.MarkDecorator:
    """Parametrise by the rows that have something in one of the columns."""
    found = [
        pytest.param(row, column, id=f"{name}-{column}")
        for name, row in ROWS.items()
        for column in columns
        if getattr(row, column)
    ]
    return pytest.mark.parametrize(("row", "column"), found)


every_interface = pytest.mark.parametrize("make_interface", INTERFACES, ids=lambda i: i.name)


def act(interface: Interface, step: str) -> Any:
    return interface.confirm(code=CODE) if step == "confirm" else interface.request()


def check_log(row: Row, caplog: pytest.LogCaptureFixture) -> None:
    """Check the line about Cognito, and that nothing is logged that mustn't be."""
    lines = [r for r in caplog.records if "cognito_reset.upstream_error" in r.getMessage()]
    found = {
        (line.levelname, re.findall("aws_code=([^ ]*)", line.getMessage())[0]) for line in lines
    }
    assert found & {(row.level, code) for code in row.aws_code.split("|")}, found
    for secret in (CODE, NEW_PASSWORD, "alice", "person-", "vendor text"):
        assert secret not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.requirement("A2", "C1", "C2", "C3", "C4", "C5", "C6")
@cases("request", "confirm")
@every_interface
def test_every_fault_has_its_answer(
    world: World,
    caplog: pytest.LogCaptureFixture,
    row: Row,
    column: str,
    make_interface: type[Interface],
) -> None:
    """
    One request is sent at most, and the log names the fault. When Cognito is well again, the same person can go
    on, unless it may have been done: then the same request has the same answer, and isn't sent again.
    """
    interface = make_interface()
    world.break_down(row, total=0.3)
    key = getattr(row, column)
    ANSWERS[key].check(interface, act(interface, column))
    assert not row.sent or world.wire.arrived.wait(LONG)  # on a busy machine after the deadline
    assert world.wire.requests == [OPERATIONS[column]] * row.sent
    check_log(row, caplog)
    world.heal()
    before = len(world.wire.requests)
    again = act(interface, column)
    if key == "unavailable":  # nothing was sent, so nothing counts
        ANSWERS["neutral" if column == "request" else "done"].check(interface, again)
    elif column == "request":  # the cool-down is kept; on the pages it looks like a success
        assert again.status_code == {"pages": 302, "rest": 429, "aws": 400}[interface.name]
        assert len(world.wire.requests) == before
    elif key in ("unavailable, received", "busy"):
        ANSWERS["done"].check(interface, again)
    else:
        ANSWERS[key].check(interface, again)
        assert len(world.wire.requests) == before


SLOW = {name: row for name, row in ROWS.items() if row.is_slow}


@pytest.mark.requirement("A7", "C6")
@pytest.mark.parametrize("row", SLOW.values(), ids=SLOW)
@every_interface
def test_what_is_known_late_has_the_neutral_answer(
    world: World, caplog: pytest.LogCaptureFixture, row: Row, make_interface: type[Interface]
) -> None:
    """The visitor waits for the uniform time and no longer. The log has the fault when it is known."""
    interface = make_interface()
    world.break_down(row, total=4, UNIFORM_RESPONSE_SECONDS=0.2, CONNECT_TIMEOUT_SECONDS=1)
    ANSWERS["neutral"].check(interface, interface.request())
    world.wire.release()
    assert wait_until_idle(LONG)
    assert "cognito_reset.pending" in caplog.text
    assert "cognito_reset.upstream_error" in caplog.text
    assert world.wire.requests == ["ForgotPassword"] * row.sent


@pytest.mark.requirement("C10")
@cases("request", "confirm")
def test_three_calls_without_an_answer_open_the_circuit_breaker(
    world: World, row: Row, column: str
) -> None:
    """The next visitor gets 503 at once, and Cognito isn't called. No answer below 500 does that."""
    answer = ANSWERS[getattr(row, column)]

    def visit(number: int) -> Any:
        name = f"user-{number}"
        return REST().confirm(name) if column == "confirm" else REST().request(name)

    world.break_down(row, total=0.3)
    for number in range(3):
        assert visit(number).status_code == answer.rest
    if row.opens:
        ANSWERS["not called"].check(REST(), visit(3))
        world.end()
        assert world.wire.requests == [OPERATIONS[column]] * 3 * row.sent
    else:
        answer.check(REST(), visit(3))
        assert world.wire.requests == [OPERATIONS[column]] * 4


STAFF_STATUSES = {"failed": 503, "unknown": 502, "refused": 409}


@cases("staff")
@pytest.mark.parametrize("door", ["admin", "rest"])
def test_staff_read_what_went_wrong(
    world: World, caplog: pytest.LogCaptureFixture, row: Row, column: str, door: str
) -> None:
    """The message says it, the audit and the admin's history have it, and one request is sent at most."""
    outcome, code = row.staff.split()
    alice = make_user("alice")
    world.configure(total=2)
    # Making a client can take as long on a busy machine. It stays, unless the fault is about the connection.
    assert get_service().admin_client is not None
    world.break_down(row, total=2)
    if door == "admin":
        [(level, text)] = told(make_staff().send(alice))
        assert level == (levels.WARNING if outcome == "unknown" else levels.ERROR)
        assert "alice" in text
        assert code in LogEntry.objects.get().change_message
    else:
        response = Office().post(f"users/{alice.pk}/reset/")
        status = 404 if code == "user_not_found" else STAFF_STATUSES[outcome]
        assert (response.status_code, codes(response)) == (status, [code])
    event = ResetEvent.objects.get()
    assert (event.outcome, event.error_code, event.interface) == (outcome, code, door)
    assert world.wire.requests.count(RESET) == row.sent
    check_log(row, caplog)


@pytest.mark.requirement("F7", "F8", "F10")
@cases("many")
def test_a_reset_of_many_people_survives(
    world: World,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    row: Row,
    column: str,
) -> None:
    """
    What happens to six people, one after the other. When Cognito is well again, the run goes on with those who
    haven't been sent a reset for sure, and nobody is sent two.
    """
    monkeypatch.setattr(pace, "FAILURE_SECONDS", 0.0)
    monkeypatch.setattr(pace, "THROTTLED_SECONDS", 0.05)
    world.configure(MAX_CONCURRENT_CALLS=1)
    run = start_list(*PEOPLE)
    world.break_down(row, total=1, MAX_CONCURRENT_CALLS=1)
    outcome, _, code = row.many.partition(" ")
    if outcome == "sent":
        [fault] = row.fault  # type: ignore[misc]
        world.answer(fault, times=3)
    bulk.work(run.pk)
    run.refresh_from_db()
    affected = {"pending": 6, "unknown": 5, "failed": 5}.get(outcome, 6)
    is_over = outcome in ("sent", "refused")
    reasons = {code}
    if row.is_slow:  # a call that goes on holds the only permit, so that some of the others wait
        affected = item_states()[outcome]
        reasons.add("unavailable")
    waiting = {"pending": 6 - affected} if affected < 6 else {}
    assert affected
    assert item_states() == {outcome: affected, **waiting}
    assert run.state == ("done" if is_over else "paused")
    assert run.reason in ({""} if is_over else reasons)
    if "cognito_reset.busy" not in caplog.text:
        check_log(row, caplog)
    if is_over:
        assert world.wire.requests.count(RESET) == 6 + 3 * (outcome == "sent")
        return
    # Nothing was done for those who wait, so that they may be sent a reset.
    before = 0 if outcome == "unknown" else len(world.wire.usernames)
    world.heal()
    bulk.resume(run.pk)
    bulk.work(run.pk)
    kept = {} if outcome == "pending" else {outcome: affected}
    assert item_states() == {**kept, "sent": 6 - sum(kept.values())}
    sent = Counter(name for name in world.wire.usernames[before:] if name)
    assert set(sent.values()) == {1}


def item_states() -> dict[str, int]:
    return dict(Counter(BulkItem.objects.values_list("state", flat=True)))


def test_the_page_has_the_tables() -> None:
    """If this fails, put the table that the message shows into docs/resiliency.md."""
    page = PAGE.read_text(encoding="utf-8")
    assert table(HEAD, (row.cells() for row in ROWS.values())) in page
    assert table(OWN_HEAD, own_rows()) in page


HOLDERS = ("test_sessions.py", "services/test_matrix_stores.py", "services/matrix_database.py")


def test_every_row_about_the_sites_own_servers_has_a_test() -> None:
    """A test refers to it: ``SESSIONS["none"]``, or ``REDIS[name]`` and a fault of that name, or ``CLOCK.log``."""
    texts = [(PAGE.parents[1] / "tests" / name).read_text(encoding="utf-8") for name in HOLDERS]
    found: dict[str, bool] = {}
    for name, value in vars(resiliency).items():
        if isinstance(value, resiliency.Own):
            found[name] = any(f"{name}.log" in t or f"check_log({name}, " in t for t in texts)
        elif isinstance(value, dict) and isinstance(next(iter(value.values())), resiliency.Own):
            for key in value:
                found[f"{name} {key}"] = any(
                    f'{name}["{key}"]' in text or (f"{name}[name]" in text and f'"{key}": ' in text)
                    for text in texts
                )
    assert [name for name, has_test in found.items() if not has_test] == []
    assert len(found) == len(own_rows())


def test_the_page_explains_every_answer() -> None:
    """With the statuses of the pages, of REST and of the AWS interface."""
    page = PAGE.read_text(encoding="utf-8")
    for name, answer in ANSWERS.items():
        if "," not in name:
            [row] = re.findall(rf"^\| `{name}` \|(.*)\|$", page, re.MULTILINE)
            _, pages, rest, aws = row.split(" | ")
            statuses = [re.findall(r"\d\d\d", cell)[0] for cell in (pages, rest, aws)]
            assert statuses == [str(answer.pages), str(answer.rest), str(answer.aws)]
            assert answer.code in rest
            assert answer.name in aws
