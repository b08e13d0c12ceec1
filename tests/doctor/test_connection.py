"""The doctor and the way to Cognito: real sockets, and each answer that Cognito may have."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from functools import partial

import pytest

from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.diagnosis import time_of
from cognito_reset.cognito.errors import Unavailable
from cognito_reset.cognito.service import clients_made_by
from cognito_reset.doctor.findings import Finding
from cognito_reset.testing import Error, Status
from tests.doctor.world import of_pool, results, set_pool, without_credentials, wrong
from tests.fault_server import (
    GOOD,
    Wire,
    closed_port,
    configure,
    drop,
    error,
    full_listener,
    hang,
    noted_client,
    real_clients,
    reply,
    reset,
    status,
    write_certificate,
)
from tests.test_pages import with_settings

NO_NETWORK = "https://cognito.invalid"  # RFC 6761 reserves the name, which never resolves


@pytest.fixture(scope="module")
def server():
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def wire(server, settings):
    server.start_anew()
    configure(settings, server, TOTAL_TIMEOUT_SECONDS=1.0, CONNECT_TIMEOUT_SECONDS=0.2)
    with real_clients():
        yield server
        server.release()


def found_at(settings, wire, url, **options):
    configure(settings, wire, url=url, TOTAL_TIMEOUT_SECONDS=1.0, CONNECT_TIMEOUT_SECONDS=0.2, **options)  # fmt: skip
    return of_pool()


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (hang, Finding.NO_ANSWER),
        (drop, Finding.NO_ANSWER),
        (reset, Finding.NO_ANSWER),
        (reply(b"<html></html>", Content_Type="text/html"), Finding.FOREIGN_ANSWER),
        (reply(b"", **GOOD), Finding.FOREIGN_ANSWER),
        (status(403), Finding.FOREIGN_ANSWER),
        (status(502), Finding.FOREIGN_ANSWER),
        (error("UnknownOperationException"), Finding.FOREIGN_ANSWER),
    ],
    ids=["hang", "drop", "reset", "portal", "empty", "403", "502", "unknown operation"],
)
def test_an_answer_that_is_not_cognitos(wire, answer, finding):
    """The rest isn't asked, because it would only repeat the reason."""
    wire.answer = answer
    assert list(of_pool()) == [finding]
    assert set(wire.requests) == {"ConfirmForgotPassword"}


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (error("ForbiddenException"), Finding.FIREWALL_BLOCKS),
        (error("InternalErrorException", 500), Finding.COGNITO_FAILS),
        (error("TooManyRequestsException"), Finding.RATE_LIMITED),
        (error("OperationNotEnabledException"), Finding.REPLICA_REGION),
    ],
)
def test_an_answer_that_does_not_tell_about_the_client(wire, answer, finding):
    """Cognito was reached, and whether it accepts the client is unknown."""
    wire.answer = answer
    found = list(of_pool())
    assert found[:4] == [
        Finding.COGNITO_REACHED,
        Finding.CLOCK_RIGHT,
        finding,
        Finding.CLIENT_UNTESTED,
    ]


@pytest.mark.parametrize(
    ("code", "is_proof"),
    [
        ("LimitExceededException", True),
        ("AccessDeniedException", False),
        ("InvalidParameterException", False),
        ("NewException", False),
    ],
)
def test_only_answers_about_the_user_prove_that_the_client_is_accepted(people, code, is_proof):
    """The detail has the code."""
    people.emulator.fail_next("ConfirmForgotPassword", Error(code))
    found = of_pool()
    assert (Finding.CLIENT_ACCEPTED in found) is is_proof
    assert found.get(Finding.CLIENT_UNTESTED, "").startswith(f"{code}, request " * (not is_proof))


def test_a_port_that_refuses(wire, settings):
    """No firewall lets a connection wait here."""
    found = found_at(settings, wire, f"http://127.0.0.1:{closed_port()}")
    assert list(found) == [Finding.ENDPOINT_REFUSED]
    assert "127.0.0.1" in found[Finding.ENDPOINT_REFUSED]


def test_a_firewall_that_drops(wire, settings):
    """The address is in the detail, for whoever changes the firewall."""
    with full_listener() as port:
        found = found_at(settings, wire, f"http://127.0.0.1:{port}")
    assert list(found) == [Finding.ENDPOINT_TIMEOUT]
    assert "(127.0.0.1): no connection within 0.2 seconds" in found[Finding.ENDPOINT_TIMEOUT]


def test_a_name_that_stops_resolving(wire, settings, monkeypatch):
    """The connection was tried with an address that DNS has forgotten since."""
    resolve = socket.getaddrinfo

    def forget(host, port, *args, **kwargs):
        if port is None:
            raise socket.gaierror
        return resolve(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", forget)
    with full_listener() as port:
        found = found_at(settings, wire, f"http://127.0.0.1:{port}")
    assert list(found) == [Finding.ENDPOINT_TIMEOUT]


def test_code_of_the_site_that_breaks_each_request(wire):
    """For example a tracer that listens to botocore's events."""

    def broken(**kwargs):
        raise ValueError("hunter2")

    def factory(pool, *, signed):
        client = noted_client(pool, signed=signed)
        client.meta.events.register("before-send.cognito-identity-provider", broken)
        return client

    with clients_made_by(factory):
        ((finding, detail),) = of_pool().items()
    assert finding is Finding.SETTINGS_UNUSABLE
    assert "ValueError" in detail
    assert "hunter2" not in detail


@pytest.mark.parametrize("date", ["yesterday", ""])
def test_an_answer_with_a_time_that_can_not_be_read(people, date):
    """The client is accepted all the same."""
    body = {"__type": "CodeMismatchException", "message": "x"}
    headers = {"Content-Type": "application/x-amz-json-1.1", "Date": date}
    answer = Status(400, body, headers, request_id=True)
    people.emulator.fail_next("ConfirmForgotPassword", answer)
    found = of_pool()
    assert {Finding.CLOCK_UNKNOWN, Finding.CLIENT_ACCEPTED, Finding.USERS_HIDDEN} <= found.keys()


def test_a_vpc_endpoint_that_drops(wire, settings):
    """AWS's own name, without ENDPOINT_URL, leads to a private address."""
    settings.COGNITO_RESET = {
        "POOLS": {"default": {key: value for key, value in settings.COGNITO_RESET["POOLS"]["default"].items() if key != "ENDPOINT_URL"}},
        "CONNECT_TIMEOUT_SECONDS": 0.2,
    }  # fmt: skip
    with full_listener() as port:

        def factory(pool, *, signed):
            pool = type(pool)(pool.alias, {**pool.raw, "ENDPOINT_URL": f"http://127.0.0.1:{port}"})
            return make_client(pool, signed=signed)

        with clients_made_by(factory):
            assert list(of_pool()) == [Finding.PRIVATE_ENDPOINT_TIMEOUT]


def test_a_name_that_does_not_resolve(wire, settings):
    """Also a misspelt Region, or a VPC without DNS."""
    assert list(found_at(settings, wire, NO_NETWORK)) == [Finding.ENDPOINT_NAME_UNKNOWN]


def test_a_proxy_that_is_not_there(wire, settings):
    """The proxy's password isn't shown."""
    proxy = f"http://user:hunter2@127.0.0.1:{closed_port()}"
    found = found_at(settings, wire, NO_NETWORK, pool={"PROXIES": {"https": proxy}})
    assert list(found) == [Finding.PROXY_FAILED]
    assert "hunter2" not in str(found)


def test_a_certificate_that_is_not_trusted(settings, tmp_path):
    """CA_BUNDLE is the fix, and then there is no finding."""
    certificate = tmp_path / "own.pem"
    write_certificate(certificate)
    wire = Wire()
    wire.use_tls(certificate)
    try:
        with real_clients():
            assert list(found_at(settings, wire, wire.url)) == [Finding.TLS_FAILED]
            found = found_at(settings, wire, wire.url, pool={"CA_BUNDLE": str(certificate)})
            assert Finding.COGNITO_REACHED in found
    finally:
        wire.close()


def test_a_site_that_makes_no_calls_at_the_moment(wire):
    """The circuit breaker opens after three calls without an answer."""
    wire.answer = drop
    for _ in range(3):
        assert list(of_pool()) == [Finding.NO_ANSWER]
    assert list(of_pool()) == [Finding.CALLS_REFUSED]


@pytest.mark.requirement("A11")
@pytest.mark.parametrize(
    ("mode", "finding"),
    [("LEGACY", Finding.USERS_SHOWN), ("ENABLED", Finding.USERS_HIDDEN)],
)
def test_a11_the_client_is_tested_without_a_user_and_without_credentials(people, monkeypatch, mode, finding):  # fmt: skip
    """One unsigned request shows whether the client is accepted, and whether it reveals users."""
    people.prevent_existence_errors(mode)
    before = people.emulator.outbox
    with without_credentials(people, monkeypatch):
        found = results()
    assert [result.finding for result in found][:4] == [
        Finding.COGNITO_REACHED,
        Finding.CLOCK_RIGHT,
        Finding.CLIENT_ACCEPTED,
        finding,
    ]
    operation, body = people.emulator.calls[0]
    assert operation == "ConfirmForgotPassword"
    assert not any(body["Username"] in user for user in ("alice", "bob"))
    assert people.emulator.outbox == before


def test_each_run_makes_up_another_user(people):
    """So Cognito's limit for one user is never reached."""
    of_pool(), of_pool()
    names = [body["Username"] for name, body in people.emulator.calls if name == "ConfirmForgotPassword"]  # fmt: skip
    assert len(set(names)) == 2


@pytest.mark.requirement("A11")
def test_a11_an_answer_that_does_not_tell_is_unknown(people):
    """Then the option is read, if that is allowed, and otherwise it is unknown."""
    unclear = partial(
        people.emulator.fail_next, "ConfirmForgotPassword", "InvalidPasswordException"
    )
    unclear()
    assert Finding.USERS_SHOWN in of_pool()
    people.prevent_existence_errors("ENABLED")
    unclear()
    assert Finding.USERS_HIDDEN in of_pool()
    unclear()
    people.emulator.fail_next("DescribeUserPoolClient", "AccessDeniedException")
    found = of_pool()
    assert Finding.USERS_HIDDEN_UNKNOWN in found
    assert "DescribeUserPoolClient" in found[Finding.CLIENT_UNREADABLE]
    assert not found.keys() & {Finding.USERS_HIDDEN, Finding.USERS_SHOWN}


def test_a_made_up_code_that_is_accepted_proves_the_client(people):
    """Some emulators accept any code."""
    accepted = Status(200, {}, {"Content-Type": "application/x-amz-json-1.1"}, request_id=True)
    people.emulator.fail_next("ConfirmForgotPassword", accepted)
    found = of_pool()
    assert Finding.CLIENT_ACCEPTED in found
    assert Finding.CLOCK_UNKNOWN in found


@pytest.mark.parametrize("secret", ["anothersecret1234567890ab", None])
def test_a_client_secret_that_is_wrong_or_missing(people, secret):
    """The detail tells the two apart, and shows neither secret."""
    set_pool(people, CLIENT_SECRET=secret)
    found = of_pool()
    assert Finding.CLIENT_SECRET_REFUSED in wrong(found)
    assert ("not set" in found[Finding.CLIENT_SECRET_REFUSED]) is (secret is None)
    assert Finding.USERS_HIDDEN_UNKNOWN not in found
    assert str(secret) not in str(found)


def no_secret():
    return 5


def test_a_callable_for_the_secret_that_fails(people, caplog):
    """The log has the reason."""
    set_pool(people, CLIENT_SECRET=no_secret)
    assert list(of_pool()) == [Finding.CLIENT_SECRET_UNUSABLE]
    assert "cognito_reset.misconfigured" in caplog.text


def test_a_client_id_that_is_wrong(people):
    """The id isn't a secret, so the detail has it."""
    people.call("DeleteUserPoolClient", ClientId=people.pool["CLIENT_ID"])
    found = of_pool()
    assert people.pool["CLIENT_ID"] in found[Finding.CLIENT_ID_REFUSED]


@pytest.mark.parametrize(
    ("seconds", "finding"),
    [
        (-30, Finding.CLOCK_RIGHT),
        (90, Finding.CLOCK_DRIFTS),
        (-90, Finding.CLOCK_DRIFTS),
        (400, Finding.CLOCK_WRONG),
    ],
)
def test_the_clock_is_compared_with_cognitos(people, seconds, finding):
    """The Date header of its answer has the time."""
    people.emulator.advance(seconds)
    found = of_pool()
    assert finding in found
    assert ("behind" if seconds > 60 else "ahead" if seconds < -60 else "") in found[finding]


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("Sun, 29 Nov 2026 19:40:00 GMT", datetime(2026, 11, 29, 19, 40, tzinfo=UTC)),
        ("Sun, 29 Nov 2026 19:40:00 -0000", datetime(2026, 11, 29, 19, 40, tzinfo=UTC)),
        ("Sun, 29 Nov 2026 19:40:00", datetime(2026, 11, 29, 19, 40, tzinfo=UTC)),
        ("Sun, 29 Nov 2026 20:40:00 +0100", datetime(2026, 11, 29, 19, 40, tzinfo=UTC)),
        ("Sun, 29 Nov 20261111111111 19:40:00 GMT", None),
        ("Sun, 99 Nov 2026 19:40:00 GMT", None),
        ("now", None),
        ("", None),
    ],
)
def test_any_date_header_is_read(date, time):
    """What answers may be a proxy or another server. The time can be compared with this machine's."""
    assert time_of(Unavailable(date=date)) == time


def test_settings_that_can_not_be_used(settings):
    """A value that only boto3 can judge, and one that conf refuses."""
    pool = settings.COGNITO_RESET["POOLS"]["default"]
    with_settings(settings, POOLS={"default": {**pool, "CLIENT_ID": "not an id"}})
    ((finding, detail),) = of_pool().items()
    assert finding is Finding.SETTINGS_UNUSABLE
    assert "CLIENT_ID" in detail
    with_settings(settings, POOLS={"default": {**pool, "CLIENT_SECRET": None}})

    def factory(pool, *, signed):
        raise ValueError("hunter2")

    with clients_made_by(factory):
        ((finding, detail),) = of_pool().items()
    assert finding is Finding.SETTINGS_UNUSABLE
    assert "hunter2" not in detail


def test_nothing_is_logged_as_an_error_of_cognito(people, caplog):
    """A permission that the site doesn't grant on purpose must raise no alarm."""
    people.emulator.fail_next("DescribeUserPool", Error("AccessDeniedException"))
    assert Finding.POOL_UNREADABLE in of_pool()
    assert "upstream_error" not in caplog.text
