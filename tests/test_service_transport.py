"""The service over real sockets: which requests are sent, how often, and what proves success."""

from __future__ import annotations

import gzip
import inspect
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import botocore.endpoint
import pytest
from django.test import override_settings

from cognito_reset.cognito import errors as exceptions
from cognito_reset.cognito.calls import Calls
from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.errors import ResetError
from cognito_reset.cognito.service import (
    CognitoService,
    Delivery,
    clients_made_by,
    get_service,
    wait_until_idle,
)
from cognito_reset.cognito.table import TABLE, unproven
from cognito_reset.conf import PoolSettings, conf
from tests.fault_server import (
    DELIVERED,
    GOOD,
    PASSWORD,
    POOL,
    REQUEST_ID,
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
    noted_client,
    real_clients,
    reply,
    reset,
    spoiled,
    status,
    trickle,
    well,
    write_certificate,
)

CALLS: dict[str, Callable[[CognitoService], Any]] = {
    "ForgotPassword": lambda made: made.request_code(username="alice"),
    "ConfirmForgotPassword": lambda made: made.confirm(
        username="alice", confirmation_code="123456", password=PASSWORD
    ),
    "AdminResetUserPassword": lambda made: made.admin_reset(username="alice"),
    "AdminUserGlobalSignOut": lambda made: made.sign_out_everywhere(username="alice"),
    "AdminCreateUser": lambda made: made.resend_invitation(username="alice", medium="EMAIL"),
    "AdminEnableUser": lambda made: made.enable_user(username="alice"),
    "AdminConfirmSignUp": lambda made: made.confirm_sign_up(username="alice"),
    "ListUsers": lambda made: made.find_user(username="alice"),
    "ListUsersInGroup": lambda made: made.list_users(group="team"),
    "DescribeUserPool": lambda made: made.password_policy(wait=5),
    "DescribeUserPoolClient": lambda made: made.client_facts(),
    "GetUserPoolMfaConfig": lambda made: made.second_factors(),
}
HAS_BEFORE_PARSE = "before-parse" in inspect.getsource(botocore.endpoint)
# Operations that must not be sent twice.
ACTIONS = [
    "ForgotPassword",
    "ConfirmForgotPassword",
    "AdminResetUserPassword",
    "AdminUserGlobalSignOut",
    "AdminCreateUser",
    "AdminEnableUser",
    "AdminConfirmSignUp",
]


FAULTS = {
    "read timeout": hang,
    "reset": reset,
    "drop": drop,
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
    "InternalErrorException": error("InternalErrorException", 500),
    "LimitExceededException": error("LimitExceededException"),
    "TooManyRequestsException": error("TooManyRequestsException"),
    "TooManyRequestsException 429": error("TooManyRequestsException", 429),
    "ThrottlingException": error("ThrottlingException"),
    "trickle": partial(trickle, pause=0.02, count=4),
    "cut short": cut_short,
    "empty": reply(b"", **GOOD),
    "html": reply(b"<html></html>", Content_Type="text/html"),
    "gzip bomb": gzip_bomb,
    "malformed": reply(b'{"Co', **GOOD),
    "no request id": spoiled(lambda headers: headers.pop("x_amzn_RequestId")),
    "challenge": reply(b"", 202, x_amzn_waf_action="challenge"),
    "firewall": status(403),
    "redirect": reply(b"", 307, Location="http://127.0.0.1:1/"),
}


@pytest.fixture(scope="module")
def server():
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def wire(server, settings):
    """The server, as the endpoint of COGNITO_RESET's default pool."""
    server.start_anew()
    configure(settings, server)
    with real_clients():
        yield server


@pytest.fixture
def connects(monkeypatch):
    """The addresses to which sockets connect; ``connects.refuse`` may raise instead."""
    return Connects(monkeypatch)


class Connects(list[Any]):
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.refuse: Callable[[Any], None] = lambda address: None
        real = socket.socket.connect

        def connect(sock: socket.socket, address: Any) -> None:
            self.append(address)
            self.refuse(address)
            real(sock, address)

        monkeypatch.setattr(socket.socket, "connect", connect)


# One wire request per action

MODES = [None, "standard", "legacy", "adaptive"]


@pytest.fixture(scope="module")
def by_mode(server):
    """
    For each of the environment's retry modes, a function that makes a service. Its clients stop reading
    soon, and its circuit breakers are new.
    """
    make_service, clients = {}, []
    default = {**POOL, "ENDPOINT_URL": server.url}
    values = {"POOLS": {"default": default}, "TOTAL_TIMEOUT_SECONDS": 0.1}
    with pytest.MonkeyPatch.context() as patch, override_settings(COGNITO_RESET=values):
        for mode in MODES:
            if mode:
                patch.setenv("AWS_RETRY_MODE", mode)
                patch.setenv("AWS_MAX_ATTEMPTS", "5")
            unsigned, signed = (
                make_client(conf.pool("default"), signed=signed) for signed in (False, True)
            )
            clients += [unsigned, signed]
            make_service[mode] = partial(
                CognitoService,
                unsigned,
                client_id=POOL["CLIENT_ID"],
                client_secret=None,
                user_pool_id=POOL["USER_POOL_ID"],
                make_admin_client=partial(lambda client: client, signed),
                calls=Calls(4),
                total_timeout=16,
            )
    yield make_service
    for client in clients:
        client.close()


@pytest.mark.requirement("C1")
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_c1_one_wire_request_whatever_goes_wrong(wire, by_mode, mode, operation):
    """Each request of ForgotPassword sends another code, so no request is repeated."""
    for name, fault in FAULTS.items():
        wire.start_anew()
        wire.answer = fault
        made = by_mode[mode]()
        with pytest.raises(ResetError):
            CALLS[operation](made)
        assert wire.arrived.wait(10)
        assert made.calls.wait_until_idle(10)
        assert wire.requests == [operation], name


@pytest.mark.requirement("C1")
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_c1_one_connection_if_it_is_reset(wire, by_mode, mode, operation):
    """The server resets it before it reads the request, which the client can't know."""
    made = by_mode[mode]()
    made.client.close()
    made.admin_client.close()
    wire.resets_connections = True
    with pytest.raises(ResetError):
        CALLS[operation](made)
    assert made.calls.wait_until_idle(10)
    assert (wire.connections, wire.requests) == (1, [])


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("ForgotPassword", exceptions.MaybeSent),
        ("ConfirmForgotPassword", exceptions.OutcomeUnknown),
        ("AdminResetUserPassword", exceptions.OutcomeUnknown),
        ("AdminUserGlobalSignOut", exceptions.OutcomeUnknown),
        ("AdminCreateUser", exceptions.OutcomeUnknown),
        ("AdminEnableUser", exceptions.OutcomeUnknown),
        ("AdminConfirmSignUp", exceptions.OutcomeUnknown),
        ("ListUsers", exceptions.Unavailable),
        ("ListUsersInGroup", exceptions.Unavailable),
    ],
)
@pytest.mark.parametrize("fault", ["read timeout", "reset", "drop"])
def test_what_was_sent_and_never_answered_is_unknown(wire, by_mode, fault, operation, expected):
    """An action that Cognito may have carried out is never reported as a failure."""
    wire.answer = FAULTS[fault]
    with pytest.raises(ResetError) as caught:
        CALLS[operation](by_mode[None]())
    assert type(caught.value) is expected


# One more try if nothing was sent


def close_connections():
    """Close what is open from earlier tests, so that the next call has to connect."""
    get_service().client.close()
    get_service().admin_client.close()


def refused(address):
    raise ConnectionRefusedError(111, "Connection refused")


@pytest.mark.requirement("C2")
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_c2_a_refused_connection_is_tried_once_more(wire, connects, by_mode, mode, operation):
    """Two connects and no request, whatever the environment says; the error is the same for everybody."""
    made = by_mode[mode]()
    made.client.close()  # what is open from earlier tests, so that the next call has to connect
    made.admin_client.close()
    connects.refuse = refused
    with pytest.raises(ResetError) as caught:
        CALLS[operation](made)
    assert type(caught.value) is exceptions.Unavailable
    assert caught.value.aws_code == "EndpointConnectionError"
    assert connects == [("127.0.0.1", wire.port)] * 2
    assert wire.requests == []


@pytest.mark.requirement("C2")
def test_c2_a_closed_port_refuses_connections(settings, wire, connects):
    """With a real port."""
    port = closed_port()
    configure(settings, wire, url=f"http://127.0.0.1:{port}")
    with pytest.raises(exceptions.Unavailable):
        get_service().request_code(username="alice")
    assert connects == [("127.0.0.1", port)] * 2


@pytest.mark.requirement("C2")
@pytest.mark.parametrize("operation", ACTIONS)
def test_c2_the_second_try_may_succeed(wire, connects, operation):
    """It sends the only request."""

    def once(address):
        connects.refuse = lambda address: None
        refused(address)

    close_connections()
    connects.refuse = once
    assert CALLS[operation](get_service())
    assert wire.requests == [operation]


@pytest.mark.requirement("C2")
def test_c2_a_connect_timeout_is_tried_once_more(settings, wire, connects):
    """A listener with a full queue accepts no connection, and the connect timeout ends the try."""
    with full_listener() as port:
        url = f"http://127.0.0.1:{port}"
        configure(settings, wire, url=url, CONNECT_TIMEOUT_SECONDS=0.1)
        with pytest.raises(exceptions.Unavailable) as caught:
            get_service().request_code(username="alice")
    assert caught.value.aws_code == "ConnectTimeoutError"
    assert connects == [("127.0.0.1", port)] * 2


@pytest.mark.requirement("C2")
def test_c2_a_name_that_is_not_found_is_looked_up_once_more(settings, wire, connects, monkeypatch):
    """DNS is asked twice, and no socket connects."""
    names = []

    def getaddrinfo(host, *args, **kwargs):
        names.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    configure(settings, wire, url="http://cognito.invalid")
    made = get_service()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(exceptions.Unavailable) as caught:
        made.request_code(username="alice")
    assert caught.value.aws_code == "EndpointConnectionError"
    assert names == ["cognito.invalid"] * 2
    assert connects == []


# The total deadline


@pytest.mark.requirement("C3")
def test_c3_a_trickle_ends_within_the_total_time(settings, wire):
    """A byte every 0.05 s keeps each read alive, but the caller leaves at the deadline."""
    configure(settings, wire, TOTAL_TIMEOUT_SECONDS=1, MAX_CONCURRENT_CALLS=1)
    wire.answer = trickle
    made = get_service()
    start = time.monotonic()
    with pytest.raises(exceptions.OutcomeUnknown) as caught:
        CALLS["ConfirmForgotPassword"](made)
    assert 1 <= time.monotonic() - start < 10  # the answer would take 50
    assert caught.value.aws_code == "DeadlineExceeded"
    with pytest.raises(exceptions.Busy):
        CALLS["ConfirmForgotPassword"](made)
    wire.release()
    assert made.calls.wait_until_idle(10)
    wire.answer = well
    assert CALLS["ConfirmForgotPassword"](made)


@pytest.mark.requirement("C3")
def test_c3_a_slow_look_up_of_the_name_ends_at_the_deadline(settings, wire, monkeypatch):
    """None of botocore's timeouts covers DNS."""
    found = threading.Event()

    def getaddrinfo(*args, **kwargs):
        found.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    configure(
        settings,
        wire,
        url="http://cognito.invalid",
        TOTAL_TIMEOUT_SECONDS=0.2,
        MAX_CONCURRENT_CALLS=1,
    )
    made = get_service()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(exceptions.MaybeSent) as caught:
        made.request_code(username="alice")
    assert caught.value.aws_code == "DeadlineExceeded"
    with pytest.raises(exceptions.Busy):
        made.request_code(username="alice")
    found.set()
    assert made.calls.wait_until_idle(10)


# Success is proved

UNPROVEN = {
    "empty": reply(b"", **GOOD),
    "broken": reply(b'{"Co', **GOOD),
    "no utf-8": reply(b'{"a": "\xff"}', **GOOD),
    "html": reply(b"<html>Sign in to the hotel's network</html>", Content_Type="text/html"),
    "html with an id": reply(b"<html></html>", **GOOD),
    "gzip garbage": reply(b"\x1f\x8b garbage", **GOOD, Content_Encoding="gzip"),
    "gzip of html": reply(gzip.compress(b"<html></html>"), **GOOD, Content_Encoding="gzip"),
    "array": reply(b"[]", **GOOD),
    "null": reply(b"null", **GOOD),
    "text": reply(b'"ok"', **GOOD),
    "number": reply(b"1", **GOOD),
    "deep": reply(b"[" * 100_000, **GOOD),
    "deep object": reply(b'{"a":' * 100_000, **GOOD),
    "wrong content type": spoiled(lambda headers: headers.update(Content_Type="text/html")),
    "no content type": spoiled(lambda headers: headers.pop("Content_Type")),
    "no request id": spoiled(lambda headers: headers.pop("x_amzn_RequestId")),
    "empty request id": spoiled(lambda headers: headers.update(x_amzn_RequestId="")),
    "no real request id": spoiled(lambda headers: headers.update(x_amzn_RequestId="<script>")),
    "202 challenge": reply(b"", 202, x_amzn_waf_action="challenge"),
    "202": reply(b"{}", 202, **GOOD),
    "204": reply(b"", 204, **GOOD),
    "cut short": cut_short,
}


@pytest.mark.requirement("C4")
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("name", UNPROVEN)
def test_c4_only_cognitos_own_answer_is_success(wire, name, operation):
    """A captive portal, a firewall or a broken proxy may answer 200 as well."""
    wire.answer = UNPROVEN[name]
    with pytest.raises(ResetError) as caught:
        CALLS[operation](get_service())
    expected = unproven(operation)
    assert type(caught.value) is type(expected)
    assert caught.value.outcome in ("unknown", "failed")
    assert wire.requests == [operation]


@pytest.mark.requirement("C4")
@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("ForgotPassword", b"{}"),
        ("ForgotPassword", b'{"CodeDeliveryDetails": null}'),
        ("ForgotPassword", b'{"CodeDeliveryDetails": []}'),
        ("ListUsers", b"{}"),
        ("ListUsers", b'{"Users": null}'),
    ],
)
def test_c4_the_operations_own_member_must_be_there(wire, operation, body):
    """CodeDeliveryDetails, or a list of users."""
    wire.answer = reply(body, **GOOD)
    with pytest.raises(ResetError) as caught:
        CALLS[operation](get_service())
    assert type(caught.value) is type(unproven(operation))


@pytest.mark.requirement("C4")
@pytest.mark.parametrize("operation", CALLS)
def test_c4_cognitos_own_answer_is_success(wire, operation):
    """The same server answers well."""
    assert CALLS[operation](get_service())


def test_c4_an_unproven_answers_request_id_is_kept(wire):
    """The site's support can ask AWS about it."""
    wire.answer = reply(b"", **GOOD)
    with pytest.raises(ResetError) as caught:
        CALLS["ConfirmForgotPassword"](get_service())
    assert caught.value.aws_code == "UnprovenAnswer"
    assert caught.value.request_id == REQUEST_ID["x_amzn_RequestId"]


STRANGE = {
    "empty": b"",
    "html": b"<html>Request blocked</html>",
    "array": b"[]",
    "text": b'"no"',
    "null": b"null",
    "no utf-8": b"\xff",
    "deep": b"[" * 100_000,
    "other object": b'{"error": "blocked"}',
    "no type": b'{"__type": 5, "message": "x"}',
}


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("name", STRANGE)
def test_a2_a_refusal_that_is_not_cognitos_is_unavailable(wire, name, operation):
    """A firewall's, say, with any body. (Old versions of botocore fail to parse some.)"""
    wire.answer = reply(STRANGE[name], 403, **GOOD)
    with pytest.raises(ResetError) as caught:
        CALLS[operation](get_service())
    if HAS_BEFORE_PARSE:
        assert type(caught.value) is exceptions.Unavailable
        assert caught.value.aws_code == "403"
    else:
        assert type(caught.value) in (exceptions.Unavailable, type(unproven(operation)))
    assert wire.requests == [operation]


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("operation", CALLS)
def test_a2_a_refusal_of_cognitos_keeps_its_name(wire, operation):
    """Its body names its type."""
    wire.answer = error("NotAuthorizedException")
    with pytest.raises(ResetError) as caught:
        CALLS[operation](get_service())
    assert caught.value.aws_code == "NotAuthorizedException"


# Threads and processes


def echo(handler: Handler) -> None:
    details = {**DELIVERED["CodeDeliveryDetails"], "Destination": handler.body["Username"]}
    body = json.dumps({"CodeDeliveryDetails": details}).encode()
    handler.reply(200, body, **GOOD)


@pytest.mark.requirement("C8")
def test_c8_two_hundred_parallel_calls_do_not_mix(settings, wire):
    """Each caller gets the answer to its own request."""
    configure(settings, wire, MAX_CONCURRENT_CALLS=32)
    wire.answer = echo

    def ask(number):
        delivery = get_service().request_code(username=f"user-{number}")
        return isinstance(delivery, Delivery) and delivery.destination == f"user-{number}"

    with ThreadPoolExecutor(32) as executor:
        assert all(executor.map(ask, range(200)))
    assert len(wire.requests) == 200


@pytest.mark.requirement("C9")
def test_c9_every_thread_has_a_connection(settings, wire, caplog):
    """32 calls at once, twice: no connection is thrown away, and none is opened again."""
    configure(settings, wire, MAX_CONCURRENT_CALLS=32)
    together = threading.Barrier(32)
    ports = []

    def answer(handler):
        ports.append(handler.client_address[1])
        together.wait(10)
        well(handler)

    wire.answer = answer
    for _ in range(2):
        with ThreadPoolExecutor(32) as executor:
            assert all(executor.map(lambda _: CALLS["ForgotPassword"](get_service()), range(32)))
        assert wait_until_idle(10)
    assert "Connection pool is full" not in caplog.text
    assert (len(ports), len(set(ports))) == (64, 32)


@pytest.mark.requirement("C9")
def test_c9_work_in_the_background_has_connections_of_its_own(settings, wire, caplog):
    """Four requests and four calls in the background at once, twice: no connection is thrown away."""
    configure(settings, wire, MAX_CONCURRENT_CALLS=4)
    service = get_service()
    together = threading.Barrier(8)
    ports = []

    def answer(handler):
        if handler.operation == "ForgotPassword":
            error(
                "NotAuthorizedException", text="User password cannot be reset in the current state."
            )(handler)
        else:
            ports.append(handler.client_address[1])
            together.wait(10)
            well(handler)

    wire.answer = answer
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(ResetError):
                service.request_code(
                    username="alice",
                    when_wrong_state=partial(CALLS["AdminCreateUser"], service),
                )
        with ThreadPoolExecutor(4) as executor:
            assert all(executor.map(lambda _: CALLS["AdminEnableUser"](service), range(4)))
        assert wait_until_idle(10)
    assert "Connection pool is full" not in caplog.text
    assert (len(ports), len(set(ports))) == (16, 8)


@pytest.mark.requirement("C8")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_c8_a_forked_child_starts_afresh(settings, wire):
    """
    With gunicorn --preload, a child has a client and permits of its own. A lock that another thread held
    at the fork, and permits that were taken, don't matter to it.
    """
    configure(settings, wire, MAX_CONCURRENT_CALLS=1)
    settings.COGNITO_RESET["POOLS"]["brand"] = settings.COGNITO_RESET["POOLS"]["default"]
    parents, parents_pid = get_service(), os.getpid()
    gate, is_held, has_arrived = threading.Event(), threading.Event(), threading.Event()

    def slow_client(pool: PoolSettings, *, signed: bool, **other: str) -> Any:
        if os.getpid() == parents_pid:
            is_held.set()
            assert gate.wait(20)
        return noted_client(pool, signed=signed)

    def slow_answer(handler: Handler) -> None:
        if handler.body["Username"] == "parent":
            has_arrived.set()
            assert gate.wait(20)
        echo(handler)

    wire.answer = slow_answer
    read, write = os.pipe()
    with ThreadPoolExecutor(2) as executor, clients_made_by(slow_client):
        delivered = executor.submit(parents.request_code, username="parent")
        assert has_arrived.wait(10)  # the only permit is taken
        made = executor.submit(get_service, "brand")
        assert is_held.wait(10)  # and so is the lock under which services are made
        pid = os.fork()
        if not pid:
            signal.alarm(20)
            try:
                childs = get_service()
                delivery = childs.request_code(username="child")
                is_own = childs.client is not parents.client and childs.calls is not parents.calls
                os.write(write, f"{is_own} {getattr(delivery, 'destination', '')}".encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            assert pipe.read() == "True child"
        os.waitpid(pid, 0)
        gate.set()
        delivery = delivered.result(10)
        assert isinstance(delivery, Delivery)
        assert delivery.destination == "parent"
        assert isinstance(made.result(10), CognitoService)
    assert get_service() is parents


# Where it connects to


@pytest.fixture
def no_credentials(monkeypatch, tmp_path, settings, wire):
    """An environment and a home directory without anything of AWS's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with clients_made_by(partial(noted_client)):  # no client from before
        yield


@pytest.mark.requirement("C11")
@pytest.mark.parametrize("operation", ["ForgotPassword", "ConfirmForgotPassword"])
def test_c11_the_public_path_needs_no_credentials(no_credentials, wire, connects, operation):
    """In an empty environment it connects to the endpoint and to nothing else."""
    connects.refuse = lambda address: address == ("127.0.0.1", wire.port) or refused(address)
    headers = []

    def answer(handler):
        headers.append(dict(handler.headers))
        well(handler)

    wire.answer = answer
    assert CALLS[operation](get_service())
    assert set(connects) == {("127.0.0.1", wire.port)}
    [sent] = headers
    assert "Authorization" not in sent
    assert "X-Amz-Security-Token" not in sent


@pytest.mark.requirement("C11")
def test_c11_staffs_path_looks_for_credentials(no_credentials, wire, connects):
    """The same guard sees the signed client ask the instance's metadata address."""
    connects.refuse = refused
    with pytest.raises(exceptions.Misconfigured) as caught:
        get_service().admin_reset(username="alice")
    assert caught.value.aws_code == "NoCredentialsError"
    assert {address[0] for address in connects} == {"169.254.169.254"}
    assert wire.requests == []


@pytest.mark.requirement("F13")
def test_f13_only_staffs_operations_are_signed(wire):
    """The public operations are unsigned, the others are signed for the Region."""
    signed = {}

    def answer(handler):
        signed[handler.operation] = handler.headers.get("Authorization", "")
        well(handler)

    wire.answer = answer
    for call in CALLS.values():
        assert call(get_service())
    assert signed.pop("ForgotPassword") == signed.pop("ConfirmForgotPassword") == ""
    assert set(signed) == set(CALLS) - {"ForgotPassword", "ConfirmForgotPassword"}
    assert set(CALLS) == {operation for operation, _, _ in TABLE}  # these are all operations
    for header in signed.values():
        assert header.startswith("AWS4-HMAC-SHA256 ")
        assert "/eu-west-1/cognito-idp/aws4_request" in header


@pytest.mark.requirement("C12")
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"])
@pytest.mark.parametrize("signed", [False, True])
def test_c12_the_environment_names_no_endpoint(settings, wire, monkeypatch, name, signed):
    """The settings alone say where passwords are sent."""
    monkeypatch.setenv(name, wire.url)
    configure(settings, wire, pool={"ENDPOINT_URL": None})
    client = make_client(conf.pool("default"), signed=signed)
    assert client.meta.endpoint_url == "https://cognito-idp.eu-west-1.amazonaws.com"


@pytest.mark.requirement("C12")
@pytest.mark.parametrize("number", [301, 302, 307, 308])
@pytest.mark.parametrize("operation", ACTIONS)
def test_c12_a_redirect_is_not_followed(wire, number, operation):
    """It could send a password to somebody else."""
    elsewhere = Wire()
    wire.answer = reply(b"", number, Location=f"{elsewhere.url}/")
    with pytest.raises(exceptions.Unavailable) as caught:
        CALLS[operation](get_service())
    elsewhere.close()
    assert caught.value.aws_code == str(number)
    assert (wire.requests, elsewhere.requests) == ([operation], [])


def test_proxies_come_from_the_settings(settings, wire):
    """PROXIES: the request is sent to the proxy, with the endpoint as its target."""
    paths = []

    def answer(handler):
        paths.append(handler.path)
        well(handler)

    wire.answer = answer
    url = "http://localhost.invalid"
    configure(settings, wire, url=url, pool={"PROXIES": {"http": wire.url}})
    assert get_service().request_code(username="alice")
    assert paths == [f"{url}/"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    write_certificate(path)
    return path


@pytest.fixture
def tls(settings, certificate):
    wire = Wire()
    wire.use_tls(certificate)
    configure(settings, wire)
    with real_clients():
        yield wire
    wire.close()


@pytest.mark.requirement("C14")
@pytest.mark.parametrize("bundle", [None, ""], ids=repr)
def test_c14_a_certificate_is_verified_whatever_is_set(settings, tls, bundle):
    """No value of CA_BUNDLE turns the verification off."""
    configure(settings, tls, pool={"CA_BUNDLE": bundle})
    with pytest.raises(exceptions.Unavailable) as caught:
        CALLS["ConfirmForgotPassword"](get_service())
    assert caught.value.aws_code == "SSLError"
    assert tls.requests == []


@pytest.mark.requirement("C14")
def test_c14_a_bundle_of_the_sites_own_is_trusted(settings, tls, certificate):
    """CA_BUNDLE is for a private endpoint, and for both clients."""
    configure(settings, tls, pool={"CA_BUNDLE": str(certificate)})
    for call in CALLS.values():
        assert call(get_service())


@pytest.mark.requirement("H2")
def test_h2_the_wire_is_not_logged(wire, caplog):
    """Neither secrets by urllib3 and botocore at DEBUG, nor usernames by us."""
    caplog.set_level(logging.DEBUG)
    configured = get_service()
    for call in CALLS.values():
        assert call(configured)
    assert PASSWORD not in caplog.text
    assert "123456" not in caplog.text
    assert "alice" not in caplog.text
