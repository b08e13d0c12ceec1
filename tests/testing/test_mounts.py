"""Both mounts of the emulator, used by boto3 itself. A client must get the same from both."""

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
# For answers that never come. Other answers may come late on a busy machine.
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
    """Return a function that creates clients, for each of the two mounts."""
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
    """Request, code, confirmation and sign-in work with boto3."""
    client = connect()
    answer = forgot(world, client)
    assert answer["CodeDeliveryDetails"]["Destination"] == "a***@e***"
    client.confirm_forgot_password(
        ClientId=world.client_id,
        Username="alice",
        ConfirmationCode=world.emulator.outbox[-1].code,
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
    """Every answer has its own request id, and browsers of all origins may read it."""
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
    """An error has status 400, and its name and message are in body and headers."""
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
    """Line breaks and non-ASCII letters of a message are only in the body, not in the header."""
    text = "Größe:\n<b>x</b>"
    world.emulator.fail_next("ForgotPassword", "UserLambdaValidationException", message=text)
    with pytest.raises(ClientError) as caught:
        forgot(world, connect())
    assert caught.value.response["Error"]["Message"] == text
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errormessage"] == "Gr??e: <b>x</b>"


def test_staffs_operations_are_signed(world, connect):
    """Operations of staff need a signature, but the emulator doesn't verify it."""
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
    """botocore can parse the timestamps."""
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
    """With both mounts boto3 raises the same error, and the next call works."""
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
    """botocore treats these answers as a success without a result."""
    client = connect()
    world.emulator.fail_next("ForgotPassword", fault)
    answer = forgot(world, client)
    assert "CodeDeliveryDetails" not in answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert ("RequestId" in answer["ResponseMetadata"]) is has_request_id
    assert len(world.emulator.outbox) == int(fault.processed)
    assert forgot(world, client)["CodeDeliveryDetails"]


def test_truncated_answer(world, connect):
    """A truncated answer is a success without a result, or an error in older botocore."""
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
    """The service did the work, and the client can't know that."""
    world.emulator.fail_next("ForgotPassword", fault)
    with pytest.raises((ReadTimeoutError, ConnectionClosedError)):
        forgot(world, connect(**SHORT))
    assert len(world.emulator.outbox) == 1


def test_trickle(world, connect):
    """The answer comes byte by byte. Each read is short, but the whole answer takes long."""
    world.emulator.fail_next("ForgotPassword", Trickle(4.2, interval=0.05))
    start = time.monotonic()
    assert forgot(world, connect(read_timeout=4))["CodeDeliveryDetails"]
    assert time.monotonic() - start >= 4.2


def test_retries_are_real(world, connect):
    """botocore's own retries work with both mounts."""
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
    """Failures to connect reach a mounted client. Over HTTP the connection is reset instead."""
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
    """An unmounted client uses the network again. Mounting a client twice has no effect."""
    client = make_client("http://127.0.0.1:1", connect_timeout=1)
    world.emulator.mount(client)
    world.emulator.mount(client)
    forgot(world, client)
    assert len(world.emulator.calls) == 1
    world.emulator.unmount(client)
    with pytest.raises(EndpointConnectionError):
        forgot(world, client)


def test_mounted_timeout_can_take_its_time(world):
    """With seconds, the caller waits for them, unless close() ends the wait."""
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
    """botocore's version and signer decide whether headers and body are text or bytes."""
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
        ({}, {**target("ForgotPassword"), "Content-Type": ""}, "UnknownOperationException"),
        (
            {},
            {**target("ForgotPassword"), "Content-Type": "text/plain"},
            "UnknownOperationException",
        ),
        (b"{", target("ForgotPassword"), "SerializationException"),
        (b"\xff", target("ForgotPassword"), "SerializationException"),
        (b"[" * 100_000, target("ForgotPassword"), "SerializationException"),
        ([], target("ForgotPassword"), "SerializationException"),
        (b"", target("ForgotPassword"), "InvalidParameterException"),
    ],
    ids=[
        "nothing",
        "other",
        "unheard",
        "untyped",
        "text",
        "broken",
        "bytes",
        "deep",
        "list",
        "empty",
    ],
)
def test_malformed_requests(server, body, headers, code):
    """Malformed requests are answered with JSON, too."""
    status, found, answer = post(server.url, body, **headers)
    assert (status, answer["__type"]) == (400, code)
    assert found["x-amzn-errortype"] == f"{code}:"
    assert re.fullmatch(UUID, found["x-amzn-requestid"])


def test_media_type_with_parameters(world, server):
    """Parameters of the media type are ignored."""
    headers = {
        **target("ForgotPassword"),
        "Content-Type": "Application/X-Amz-JSON-1.1; charset=utf-8",
    }
    body = {"ClientId": world.client_id, "Username": "alice"}
    assert post(server.url, body, **headers)[0] == 200


# Requests that a browser sends for other websites.

SPA = "http://localhost:5173"


def ask(server: Server, method: str, path: str, **headers: str) -> tuple[int, Any]:
    """Send a request with exactly these headers, and return its status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": f"127.0.0.1:{server.port}", **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    with connection.getresponse() as response:
        answer = response.read()
    connection.close()
    return response.status, json.loads(answer or b"{}")


ADVANCE = ("POST", "/emulator/advance")
OUTBOX = ("GET", "/outbox")
PREFLIGHT = ("OPTIONS", "/")


@pytest.mark.parametrize(("method", "path"), [ADVANCE, OUTBOX, PREFLIGHT, ("POST", "/")])
@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:9229", "localhost.evil.example", "127.0.0.1.nip.io"),
        *("[::1", "127.0.0.1@evil.example", "localhost:9229,evil.example", "0x7f.1", "localhost."),
        *("[::1%evil.example]", "[localhost]", "[127.0.0.1]", "[]", "::1"),
    ],
)
def test_name_of_another_website_is_refused(world, server, method, path, host):
    """A website can let its own name point at this machine, and then no request is cross-site."""
    status, answer = ask(server, method, path, Host=host)
    assert status == 403
    assert "Host" in answer["error"]
    assert world.emulator.calls == []


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:9229", "127.0.0.1", "127.0.0.1:80", "[::1]:9229", "[::1]"),
        *("192.168.1.5:9229", "[2001:db8::1]"),
    ],
)
def test_addresses_and_localhost_are_accepted(server, host):
    """A forwarded port has another number, and the machine may have any address."""
    assert ask(server, *OUTBOX, Host=host) == (200, [])


def test_name_that_the_server_listens_on_is_accepted(world):
    """In a network of containers, a server listens on its own name and answers to it."""
    with serve(world.emulator, "127.1") as server:  # every resolver knows this name of 127.0.0.1
        assert ask(server, *OUTBOX, Host=f"127.1:{server.port}") == (200, [])
        assert ask(server, *OUTBOX, Host="127.2")[0] == 403


@pytest.mark.parametrize(("method", "path"), [ADVANCE, OUTBOX, PREFLIGHT, ("POST", "/")])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": SPA, "Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_request_of_another_origin_is_refused(world, server, method, path, headers):
    """Neither operations nor the outbox nor the extra paths are for other origins' pages."""
    headers = {name: value.format(port=server.port) for name, value in headers.items()}
    status, answer = ask(server, method, path, **headers)
    assert status == 403
    assert "--allow-origin" in answer["error"]
    assert world.emulator.calls == []
    assert world.emulator.outbox == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},  # somebody typed the address
    ],
    ids=str,
)
def test_request_of_its_own_origin_is_accepted(server, headers):
    """A person may look into the outbox with a browser."""
    headers = {name: value.format(port=server.port) for name, value in headers.items()}
    assert ask(server, *OUTBOX, **headers) == (200, [])


def test_refused_request_leaves_the_connection_usable(world, server):
    """The body of a refused request isn't taken for the next request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/emulator/advance", b'{"seconds": 1}', {"Origin": SPA})
    with connection.getresponse() as response:
        assert response.status == 403
        response.read()
    connection.request("GET", "/outbox")
    with connection.getresponse() as response:
        assert response.status == 200
        response.read()
    connection.close()


def test_allowed_origin(world):
    """A page of an allowed origin may call operations, after a preflight as Cognito answers it."""
    with serve(world.emulator, allowed_origins=[SPA]) as server:
        browser = {"Origin": SPA, "Sec-Fetch-Site": "same-site"}
        preflight = urllib.request.Request(
            server.url,
            method="OPTIONS",
            headers={**browser, "Access-Control-Request-Headers": "x-amz-target,content-type"},
        )
        with urllib.request.urlopen(preflight, timeout=10) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Access-Control-Allow-Methods"] == "POST"
            assert response.headers["Access-Control-Allow-Headers"] == "x-amz-target,content-type"
        body = {"ClientId": world.client_id, "Username": "alice"}
        status, headers, _ = post(server.url, body, **target("ForgotPassword"), **browser)
        assert status == 200
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert ask(server, *ADVANCE, Origin="http://localhost:5174")[0] == 403
        assert ask(server, *OUTBOX, Host="evil.example", Origin=SPA)[0] == 403


def test_outbox_over_http(world, server):
    """The outbox is JSON, newest first, with destinations in clear."""
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
    """Other paths are 404."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/nothing", timeout=10)
    with caught.value as error:
        assert error.code == 404


def test_seam(world, server):
    """Extra paths change the clock and the options, and add federated users."""
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
    """A fault is the name of a class of faults, or of an error."""
    url = f"{server.url}/emulator/fail"
    body = {"operation": "ForgotPassword"}
    status = {"fault": "Status", "arguments": {"status": 503, "body": {"a": "b"}}, "times": 2}
    assert post(url, {**body, **status})[0] == 200
    assert post(url, {**body, "fault": "CodeMismatchException", "message": "x"})[0] == 200
    assert post(url, {**body, "fault": "Timeot"})[0] == 400
    assert post(url, {"operation": "ForgotPasword", **status})[0] == 400
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
        ("advance", b"[" * 100_000, 400),
        *(("advance", {"seconds": seconds}, 400) for seconds in (3e11, 1e300, -1e300)),
        ("advance", {"seconds": 250e9}, 400),  # in the year 9948: tokens would end too late
        ("federated-user", {"pool_id": "eu_1", "username": "x"}, 400),
        ("fail", {"operation": "ForgotPassword", "fault": "Status"}, 400),
        ("fail", {}, 400),
        ("fail", None, 400),
        ("options", {"hourly_allowance": "5"}, 400),
        ("unheard", {}, 404),
    ],
    ids=lambda value: str(value)[:40],
)
def test_misused_seam(world, server, action, body, status):
    """A wrong request is refused with a reason, and changes nothing."""
    found, _, answer = post(f"{server.url}/emulator/{action}", body)
    assert found == status
    assert answer["error"]
    assert world.confirm(world.send_code()) == {}


def raw_post(server: Server, world: World) -> socket.socket:
    """Send a request, and return the connection without waiting for the answer."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    body = json.dumps({"ClientId": world.client_id, "Username": "alice"}).encode()
    head = "POST / HTTP/1.1\r\nHost: localhost\r\n"
    lines = {**target("ForgotPassword"), "Content-Length": str(len(body))}
    head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection.sendall(head.encode() + b"\r\n" + body)
    return connection


def test_reset_is_a_reset(world, server):
    """The peer's connection is reset, not closed."""
    world.emulator.fail_next("ForgotPassword", Reset())
    with raw_post(server, world) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_truncated_answer_announces_its_length(world, server):
    """Content-Length is that of the true answer, and the connection ends early."""
    world.emulator.fail_next("ForgotPassword", Truncated(keep=5))
    with raw_post(server, world) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
        assert caught.value.partial == b'{"Cod'


def test_hanging_ends_by_itself(world, server):
    """After the fault's seconds, the connection is closed without an answer."""
    world.emulator.fail_next("ForgotPassword", Timeout(seconds=0.2))
    with raw_post(server, world) as connection:
        assert connection.recv(1) == b""


@pytest.fixture
def working(world):
    """Return an event that is set while the service does the work of a faulty answer."""
    event = threading.Event()

    def hook(lambda_event):
        event.set()
        return lambda_event

    world.emulator.set_hook(world.pool_id, "CustomMessage", hook)
    return event


@pytest.mark.parametrize("fault", [Timeout(processed=True), Trickle(60)])
def test_close_ends_what_is_being_played(world, working, fault):
    """close() ends hanging requests at once, and sends the rest of trickling answers."""
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
    """Clients that leave a hanging or trickling answer cause no output."""
    world.emulator.fail_next("ForgotPassword", fault)
    others = set(threading.enumerate())  # threads of other tests may still hang
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


def test_errors_of_the_emulator_are_printed(world, server, monkeypatch, capfd):
    """An error in the emulator itself prints a traceback."""

    def broken(headers, raw):
        raise ZeroDivisionError

    monkeypatch.setattr(world.emulator, "exchange", broken)
    with raw_post(server, world) as connection:
        assert connection.recv(1) == b""
    assert "ZeroDivisionError" in capfd.readouterr().err


# As a standalone server.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_module_is_a_server(number):
    """It prints its address and instructions, serves, and stops silently on either signal."""
    with subprocess.Popen(
        [sys.executable, "-m", "cognito_reset.testing", "--port", "0", "--allow-origin", SPA],
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
        assert pool["Id"].startswith("eu-west-1_")  # the client's Region
        preflight = urllib.request.Request(url, method="OPTIONS", headers={"Origin": SPA})
        with urllib.request.urlopen(preflight, timeout=10) as response:
            assert response.status == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    # The first read took the instructions too. Nothing follows them.
    assert (process.returncode, output, errors) == (0, "", "")


def test_module_helps(capsys):
    """--help describes the server and its options."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    output = capsys.readouterr().out
    assert "python -m cognito_reset.testing" in output
    assert "--port" in output
