"""Both mounts, asked by boto3 itself: what a client gets mustn't depend on which it is."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)

from cognito_reset.testing import (
    ConnectRefused,
    ConnectTimeout,
    Error,
    GzipGarbage,
    Junk,
    Redirect,
    Reset,
    Server,
    Status,
    Timeout,
    TLSFailure,
    Trickle,
    Truncated,
    WafBlock,
    WafChallenge,
    serve,
)
from cognito_reset.testing.__main__ import main
from tests.testing.world import NEW_PASSWORD, World

UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
# For what never comes. What comes may be slow in coming, on a machine with much to do.
SHORT = {"read_timeout": 1.0}


def make_client(url: str | None = None, *, signed: bool = False, **config: Any) -> Any:
    config = {
        "retries": {"total_max_attempts": 1},
        "read_timeout": 30,
        "signature_version": None if signed else UNSIGNED,
        **config,
    }
    return boto3.client(
        "cognito-idp",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(**config),
    )


@pytest.fixture
def world():
    world = World()
    world.add()
    world.emulator.calls.clear()
    return world


@pytest.fixture
def server(world):
    with serve(world.emulator) as server:
        yield server


@pytest.fixture(params=["mounted", "http"])
def connect(request, world):
    """A maker of clients, by either mount."""
    if request.param == "http":
        server = request.getfixturevalue("server")
        return lambda **config: make_client(server.url, **config)

    def mounted(**config):
        client = make_client(**config)
        world.emulator.mount(client)
        return client

    return mounted


def forgot(world, client):
    return client.forgot_password(ClientId=world.client_id, Username="alice")


def test_whole_reset(world, connect):
    """Request, code, confirmation and sign-in by boto3."""
    client = connect()
    answer = forgot(world, client)
    assert answer["CodeDeliveryDetails"]["Destination"] == "a***@e***"
    client.confirm_forgot_password(
        ClientId=world.client_id,
        Username="alice",
        ConfirmationCode=world.emulator.outbox[0].code,
        Password=NEW_PASSWORD,
    )
    client.initiate_auth(
        ClientId=world.client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "alice", "PASSWORD": NEW_PASSWORD},
    )
    operations = [operation for operation, _ in world.emulator.calls]
    assert operations == ["ForgotPassword", "ConfirmForgotPassword", "InitiateAuth"]


def test_success_on_the_wire(world, connect):
    """Every answer has a request id of its own, and lets browsers of all origins read it."""
    client = connect()
    answers = [forgot(world, client)["ResponseMetadata"] for _ in range(2)]
    assert len({answer["RequestId"] for answer in answers}) == 2
    assert re.fullmatch(UUID, answers[0]["RequestId"])
    headers = answers[0]["HTTPHeaders"]
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert headers["x-amzn-requestid"] == answers[0]["RequestId"]
    assert headers["access-control-allow-origin"] == "*"
    exposed = "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date"
    assert headers["access-control-expose-headers"] == exposed


def test_error_on_the_wire(world, connect):
    """An error is 400 with its name and text in body and headers, the name with a colon."""
    with pytest.raises(ClientError) as caught:
        connect().forgot_password(ClientId=world.client_id, Username="nobody")
    response = caught.value.response
    assert response["Error"] == {
        "Code": "UserNotFoundException",
        "Message": "Username/client id combination not found.",
    }
    metadata = response["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == 400
    assert re.fullmatch(UUID, metadata["RequestId"])
    headers = metadata["HTTPHeaders"]
    assert headers["x-amzn-errortype"] == "UserNotFoundException:"
    assert headers["x-amzn-errormessage"] == "Username/client id combination not found."


def test_error_text_fits_into_a_header(world, connect):
    """Line breaks and letters beyond ASCII stay out of the header, and in the body."""
    text = "Größe:\n<b>x</b>"
    world.emulator.fail_next("ForgotPassword", "UserLambdaValidationException", message=text)
    with pytest.raises(ClientError) as caught:
        forgot(world, connect())
    assert caught.value.response["Error"]["Message"] == text
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errormessage"] == "Gr??e: <b>x</b>"


def test_staffs_operations_are_signed(world, connect):
    """Without a signature they are refused, with any they are done."""
    body = {"UserPoolId": world.pool_id, "Username": "alice"}
    with pytest.raises(ClientError) as caught:
        connect().admin_reset_user_password(**body)
    assert caught.value.response["Error"] == {
        "Code": "MissingAuthenticationTokenException",
        "Message": "Missing Authentication Token",
    }
    assert world.user()["UserStatus"] == "CONFIRMED"
    connect(signed=True).admin_reset_user_password(**body)
    assert world.user()["UserStatus"] == "RESET_REQUIRED"


def test_dates_are_dates(world, connect):
    """botocore reads the timestamps."""
    user = connect(signed=True).list_users(UserPoolId=world.pool_id)["Users"][0]
    assert user["UserCreateDate"].timestamp() == world.user()["UserCreateDate"]


# Faults, as a client sees them.

HTML = "<html>Hello</html>"


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (Error("CodeDeliveryFailureException"), ClientError, "CodeDeliveryFailureException"),
        (Status(503, HTML), ClientError, "503"),
        (Status(500, {"__type": "InternalFailure"}), ClientError, "InternalFailure"),
        (WafBlock(), ClientError, "403"),
        (Redirect(), ClientError, "301"),
        (Timeout(), ReadTimeoutError, None),
        (Trickle(10, interval=5), ReadTimeoutError, None),
        (Reset(), ConnectionClosedError, None),
        (GzipGarbage(), UnicodeDecodeError, None),
        (Junk(b"{\xff"), UnicodeDecodeError, None),
    ],
    ids=str,
)
def test_faults_that_raise(world, connect, fault, error, code):
    """Either mount makes boto3 raise the same, and the call after it works."""
    client = connect(**(SHORT if error is ReadTimeoutError else {}))
    world.emulator.fail_next("ForgotPassword", fault)
    with pytest.raises(error) as caught:
        forgot(world, client)
    if code is not None:
        assert caught.value.response["Error"]["Code"] == code
    assert len(world.emulator.outbox) == int(fault.processed)
    assert len(world.emulator.calls) == 1
    assert forgot(world, client)["CodeDeliveryDetails"]


@pytest.mark.parametrize(
    ("fault", "status", "has_request_id"),
    [
        (Junk(), 200, True),
        (Junk("{"), 200, True),
        (Junk(HTML, "text/html", request_id=False), 200, False),
        (Junk("{}", processed=True), 200, True),
        (WafChallenge(), 202, False),
    ],
    ids=str,
)
def test_faults_that_look_like_success(world, connect, fault, status, has_request_id):
    """botocore takes these for a success without a result."""
    client = connect()
    world.emulator.fail_next("ForgotPassword", fault)
    answer = forgot(world, client)
    assert "CodeDeliveryDetails" not in answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert ("RequestId" in answer["ResponseMetadata"]) is has_request_id
    assert len(world.emulator.outbox) == int(fault.processed)
    assert forgot(world, client)["CodeDeliveryDetails"]


def test_truncated_answer(world, connect):
    """A success without a result; older versions of botocore notice it, over HTTP."""
    client = connect()
    world.emulator.fail_next("ForgotPassword", Truncated())
    try:
        answer = forgot(world, client)
    except ConnectionClosedError:
        answer = {}
    assert "CodeDeliveryDetails" not in answer
    assert len(world.emulator.outbox) == 1
    assert forgot(world, client)["CodeDeliveryDetails"]


@pytest.mark.parametrize("fault", [Timeout(processed=True), Reset(processed=True)])
def test_answer_that_is_lost(world, connect, fault):
    """The work was done, and the client can't know."""
    world.emulator.fail_next("ForgotPassword", fault)
    with pytest.raises((ReadTimeoutError, ConnectionClosedError)):
        forgot(world, connect(**SHORT))
    assert len(world.emulator.outbox) == 1


def test_trickle(world, connect):
    """Byte by byte the answer comes in the end: no read takes long, all of them do."""
    world.emulator.fail_next("ForgotPassword", Trickle(1.2, interval=0.05))
    start = time.monotonic()
    assert forgot(world, connect(**SHORT))["CodeDeliveryDetails"]
    assert time.monotonic() - start >= 1.2


def test_retries_are_real(world, connect):
    """botocore's own retries run against either mount."""
    world.emulator.fail_next("ForgotPassword", Status(500))
    client = connect(retries={"total_max_attempts": 2, "mode": "standard"})
    assert forgot(world, client)["ResponseMetadata"]["RetryAttempts"] == 1
    assert len(world.emulator.calls) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (ConnectRefused(), EndpointConnectionError),
        (ConnectTimeout(), ConnectTimeoutError),
        (TLSFailure(), SSLError),
    ],
)
def test_connection_that_isnt_made(world, server, fault, error):
    """Only a mounted client can play these; over HTTP the connection is reset."""
    mounted, remote = make_client(), make_client(server.url)
    world.emulator.mount(mounted)
    world.emulator.fail_next("ForgotPassword", fault, times=2)
    with pytest.raises(error):
        forgot(world, mounted)
    with pytest.raises(ConnectionClosedError):
        forgot(world, remote)
    assert world.emulator.calls == []
    assert world.emulator.outbox == []


def test_unmount(world):
    """An unmounted client is back on the network; a client can be mounted twice."""
    client = make_client("http://127.0.0.1:1", connect_timeout=1)
    world.emulator.mount(client)
    world.emulator.mount(client)
    forgot(world, client)
    assert len(world.emulator.calls) == 1
    world.emulator.unmount(client)
    with pytest.raises(EndpointConnectionError):
        forgot(world, client)


def test_mounted_timeout_can_take_its_time(world):
    """With seconds the caller waits for them; close() ends the wait."""
    client = make_client()
    world.emulator.mount(client)
    world.emulator.fail_next("ForgotPassword", Timeout(seconds=0.2))
    start = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        forgot(world, client)
    assert time.monotonic() - start >= 0.2
    world.emulator.fail_next("ForgotPassword", Timeout(seconds=60))
    timer = threading.Timer(0.1, world.emulator.close)
    timer.start()
    with pytest.raises(ReadTimeoutError):
        forgot(world, client)
    assert time.monotonic() - start < 30
    timer.join()


def test_headers_and_body_in_either_form(world):
    """botocore's requests have text or bytes in headers and body, by its version and signer."""
    client = make_client()
    world.emulator.mount(client)
    body = {"ClientId": world.client_id, "Username": "alice"}

    def rewrite(request, **kwargs):
        request.headers["X-Amz-Target"] = request.headers["X-Amz-Target"].decode()
        request.body = json.dumps(body)

    client.meta.events.register_first("before-send.cognito-identity-provider", rewrite)
    assert forgot(world, client)["CodeDeliveryDetails"]


# HTTP without boto3.


def post(url: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.headers, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read())


def target(operation: str) -> dict[str, str]:
    return {
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({}, {}, "UnknownOperationException"),
        ({}, {"X-Amz-Target": "DynamoDB_20120810.GetItem"}, "UnknownOperationException"),
        ({}, target("Unheard"), "UnknownOperationException"),
        (b"{", target("ForgotPassword"), "SerializationException"),
        (b"\xff", target("ForgotPassword"), "SerializationException"),
        (b"[" * 100_000, target("ForgotPassword"), "SerializationException"),
        ([], target("ForgotPassword"), "SerializationException"),
        (b"", target("ForgotPassword"), "InvalidParameterException"),
    ],
    ids=["nothing", "other", "unheard", "broken", "bytes", "deep", "list", "empty"],
)
def test_malformed_requests(server, body, headers, code):
    """What can't be read is answered as JSON all the same."""
    status, found, answer = post(server.url, body, **headers)
    assert (status, answer["__type"]) == (400, code)
    assert found["x-amzn-errortype"] == f"{code}:"
    assert re.fullmatch(UUID, found["x-amzn-requestid"])


def test_preflight(server):
    """A browser may ask for any header, from anywhere."""
    request = urllib.request.Request(
        server.url,
        method="OPTIONS",
        headers={"Access-Control-Request-Headers": "x-amz-target,content-type"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Access-Control-Allow-Methods"] == "POST"
        assert response.headers["Access-Control-Allow-Headers"] == "x-amz-target,content-type"


def test_outbox_over_http(world, server):
    """The inbox is JSON, newest first, in clear."""
    codes = [world.send_code(), world.send_code()]
    with urllib.request.urlopen(f"{server.url}/outbox", timeout=10) as response:
        assert response.headers["Content-Type"] == "application/json"
        messages = json.loads(response.read())
    assert [message["code"] for message in messages] == codes[::-1]
    assert messages[0]["destination"] == "alice@example.com"
    assert sorted(messages[0]) == sorted(
        ["username", "kind", "medium", "destination", "code", "sent_at", "subject", "body"]
    )


def test_other_pages(server):
    """Nothing else can be got."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/", timeout=10)
    with caught.value as error:
        assert error.code == 404


def test_seam(world, server):
    """What no operation can do: the clock, a federated user, options."""
    code = world.send_code()
    assert post(f"{server.url}/emulator/advance", {"seconds": 3600})[2] == {}
    assert world.confirm_error(code)[0] == "ExpiredCodeException"
    user = {"pool_id": world.pool_id, "username": "frank", "email": "frank@example.com"}
    assert post(f"{server.url}/emulator/federated-user", user)[0] == 200
    assert world.user("frank")["UserStatus"] == "EXTERNAL_PROVIDER"
    options = post(f"{server.url}/emulator/options", {"hourly_allowance": 5})[2]
    assert options["hourly_allowance"] == 5
    assert options["unknown_user"] == "simulated"
    assert world.options.hourly_allowance == 5


def test_faults_over_http(world, server):
    """A fault is named by its class, or it is the name of an error."""
    url = f"{server.url}/emulator/fail"
    body = {"operation": "ForgotPassword"}
    status = {"fault": "Status", "arguments": {"status": 503, "body": {"a": "b"}}, "times": 2}
    assert post(url, {**body, **status})[0] == 200
    assert post(url, {**body, "fault": "CodeMismatchException", "message": "x"})[0] == 200
    asked = {"ClientId": world.client_id, "Username": "alice"}
    for expected in (503, 503, 400, 200):
        found, _, answer = post(server.url, asked, **target("ForgotPassword"))
        assert found == expected
        if expected == 400:
            assert answer == {"__type": "CodeMismatchException", "message": "x"}


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("advance", {"minutes": 1}, 400),
        ("advance", b"{", 400),
        ("advance", [], 400),
        ("federated-user", {"pool_id": "eu_1", "username": "x"}, 400),
        ("fail", {"operation": "ForgotPassword", "fault": "Status"}, 400),
        ("fail", {}, 400),
        ("options", {"hourly_allowance": "5"}, 400),
        ("unheard", {}, 404),
    ],
    ids=str,
)
def test_misused_seam(server, action, body, status):
    """A mistake is told, and changes nothing."""
    found, _, answer = post(f"{server.url}/emulator/{action}", body)
    assert found == status
    assert answer["error"]


def raw_post(server: Server, world: World) -> socket.socket:
    """A request that doesn't wait for its answer."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    body = json.dumps({"ClientId": world.client_id, "Username": "alice"}).encode()
    head = "POST / HTTP/1.1\r\nHost: h\r\n"
    lines = {**target("ForgotPassword"), "Content-Length": str(len(body))}
    head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection.sendall(head.encode() + b"\r\n" + body)
    return connection


def test_reset_is_a_reset(world, server):
    """The peer gets a RST, not an end."""
    world.emulator.fail_next("ForgotPassword", Reset())
    with raw_post(server, world) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_truncated_answer_announces_its_length(world, server):
    """Content-Length is the true answer's, and the connection ends early."""
    world.emulator.fail_next("ForgotPassword", Truncated(keep=5))
    with raw_post(server, world) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
        assert caught.value.partial == b'{"Cod'


def test_hanging_ends_by_itself(world, server):
    """After its seconds a timeout's connection is closed without an answer."""
    world.emulator.fail_next("ForgotPassword", Timeout(seconds=0.2))
    with raw_post(server, world) as connection:
        assert connection.recv(1) == b""


@pytest.fixture
def working(world):
    """An event: the service is doing something of which the answer comes to harm."""
    event = threading.Event()

    def hook(lambda_event):
        event.set()
        return lambda_event

    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    return event


@pytest.mark.parametrize("fault", [Timeout(processed=True), Trickle(60)])
def test_close_ends_what_is_being_played(world, working, fault):
    """A server stops at once, whoever hangs in it; who is trickled to gets the rest."""
    server = serve(world.emulator)
    world.emulator.fail_next("ForgotPassword", fault)
    start = time.monotonic()
    with raw_post(server, world) as connection:
        assert working.wait(10)
        server.close()
        received = b""
        while not received.endswith(b"}}") and (chunk := connection.recv(1000)):
            received += chunk
    assert time.monotonic() - start < 30
    assert bool(received) is isinstance(fault, Trickle)


@pytest.mark.parametrize("fault", [Timeout(processed=True), Trickle(60, interval=0.01)])
def test_client_that_leaves(world, server, working, capfd, fault):
    """Who leaves a hanging or trickling answer is forgotten without a word."""
    world.emulator.fail_next("ForgotPassword", fault)
    others = set(threading.enumerate())  # another test's may hang as long as they were told to
    connection = raw_post(server, world)
    assert working.wait(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    start = time.monotonic()
    for thread in set(threading.enumerate()) - others:
        if "process_request_thread" in thread.name:
            thread.join(30)
    assert time.monotonic() - start < 20
    assert capfd.readouterr() == ("", "")


def test_mistakes_of_the_emulator_are_told(world, server, monkeypatch, capfd):
    """An error of its own leaves a traceback."""

    def broken(headers, raw):
        raise ZeroDivisionError

    monkeypatch.setattr(world.emulator, "exchange", broken)
    with raw_post(server, world) as connection:
        assert connection.recv(1) == b""
    assert "ZeroDivisionError" in capfd.readouterr().err


# On its own.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_module_is_a_server(number):
    """It prints its address, serves, and stops without a word on either signal."""
    with subprocess.Popen(
        [sys.executable, "-m", "cognito_reset.testing", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": ""},
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        client = make_client(url, signed=True)
        pool = client.create_user_pool(PoolName="x")["UserPool"]
        assert pool["Id"].startswith("us-east-1_")
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


def test_module_helps(capsys):
    """It says what it is and what it takes."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    output = capsys.readouterr().out
    assert "python -m cognito_reset.testing" in output
    assert "--port" in output
