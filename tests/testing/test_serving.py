"""Where the server listens, and which bodies it reads."""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap

import boto3
import pytest

from cognito_reset.testing import Emulator, serve
from cognito_reset.testing import server as server_module
from cognito_reset.testing.instructions import instructions
from cognito_reset.testing.server import MAX_BODY_BYTES
from tests.testing.world import World

HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AWSCognitoIdentityProviderService.ForgotPassword",
}


def has_ipv6():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(
    not socket.has_ipv6 or not has_ipv6(), reason="this machine has no IPv6"
)


def status_at(address, port):
    """Return the status of the outbox at an address, by the name localhost."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    connection.request("GET", "/outbox", headers={"Host": f"localhost:{port}"})
    status = connection.getresponse().status
    connection.close()
    return status


@needs_ipv6
def test_ipv6():
    """The server listens on an IPv6 address, and its URL has the address in brackets."""
    with serve(Emulator(), "::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert status_at("::1", server.port) == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=10)
        client = boto3.client(
            "cognito-idp",
            region_name="eu-west-1",
            endpoint_url=server.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        assert client.create_user_pool(PoolName="x")["UserPool"]["Id"].startswith("eu-west-1_")


@needs_ipv6
def test_localhost_is_both():
    """The name localhost may be either loopback address for a client, so both answer."""
    with serve(Emulator(), "localhost") as server:
        assert server.url == f"http://localhost:{server.port}"
        assert [status_at(address, server.port) for address in ("127.0.0.1", "::1")] == [200, 200]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", server.port), timeout=10)


def test_localhost_without_ipv6(monkeypatch):
    """On a machine without IPv6, localhost is the IPv4 address."""
    listener = server_module._listener

    def without(host, port):
        if host == "::1":
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        return listener(host, port)

    monkeypatch.setattr(server_module, "_listener", without)
    with serve(Emulator(), "localhost") as server:
        assert status_at("127.0.0.1", server.port) == 200


@needs_ipv6
def test_half_of_localhost_is_taken():
    """If another server has the port on IPv6, this one doesn't start on IPv4 alone."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            serve(Emulator(), "localhost", port)
    with socket.create_server(("127.0.0.1", port)):
        pass  # it's free again


def run_server(*arguments):
    """Run the program with arguments that end it at once."""
    return subprocess.run(
        [sys.executable, "-m", "cognito_reset.testing", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "too-large"])
def test_a_port_that_cannot_be_had(is_taken):
    """The program ends with one line instead of a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1] if is_taken else 65536
        ended = run_server("--port", str(port))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"Can't listen on 127.0.0.1, port {port}: ")
    assert line.endswith(". Try another --port.")


@pytest.mark.parametrize("host", ["nosuchhost.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine(host):
    """The port isn't blamed."""
    ended = run_server("--host", host, "--port", "0")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"Can't listen on {host}, ")
    assert "--host" in line
    assert "--port" not in line


@pytest.mark.parametrize(
    "origin",
    [
        "foo",
        "http://localhost:5173/",
        "http://localhost:5173/x",
        "HTTP://localhost",
        "http://",
        "*",
        "null",
        "",
    ],
)
def test_an_origin_that_no_browser_sends(origin):
    """It would never match. The text has an example of the right form."""
    with pytest.raises(ValueError, match="http://localhost:5173"):
        serve(Emulator(), allowed_origins=[origin])


def test_an_origin_on_the_command_line():
    """The program ends with the same text."""
    ended = run_server("--port", "0", "--allow-origin", "http://localhost:5173/")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("'http://localhost:5173/' is not an origin.")


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:5173",
        "https://app.example.com",
        "http://[::1]:8080",
        "capacitor://localhost",
    ],
)
def test_origins(origin):
    """All of these are in the form that browsers and the frameworks of apps send."""
    with serve(Emulator(), allowed_origins=[origin]) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/outbox", headers={"Origin": origin})
        assert connection.getresponse().status == 200
        connection.close()


def test_the_help():
    """It shows the defaults, and the address of the documentation in one piece."""
    text = run_server("--help").stdout
    words = " ".join(text.split())
    for default in ("127.0.0.1", "9229", "us-east-1"):
        assert f"(default: {default})" in words
    assert "https://django-cognito-reset.readthedocs.io/en/latest/emulator.html" in text


# Bodies.


@pytest.fixture
def world():
    world = World()
    world.add()
    return world


@pytest.fixture
def server(world):
    with serve(world.emulator) as server:
        yield server


def forgot(world, username="alice"):
    return json.dumps({"ClientId": world.client_id, "Username": username}).encode()


def test_chunked_body(world, server):
    """A body in chunks is read to its end, and the connection serves further requests."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = forgot(world)
    for chunks in ([body], [body[:1], body[1:20], body[20:]]):
        connection.request("POST", "/", iter(chunks), HEADERS, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["CodeDeliveryDetails"]
    connection.close()
    assert len(world.emulator.outbox) == 2


def raw(server, head, body=b""):
    """Send a request as it is. Return the status and the reason of the answer."""
    lines = ["POST / HTTP/1.1", "Host: localhost", *head]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, json.loads(response.read())


CHUNKED = ["Transfer-Encoding: chunked"]


def test_chunk_with_extension_and_trailer(world, server):
    """Extensions of chunks, and fields after the last one, are read and ignored."""
    body = forgot(world)
    sent = b"%x;name=value\r\n%s\r\n0\r\nX-Checksum: 1\r\n\r\n" % (len(body), body)
    assert raw(server, CHUNKED, sent)[0] == 200


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ([f"Content-Length: {MAX_BODY_BYTES + 1}"], b"", 413),
        (["Content-Length: -1"], b"", 400),
        (["Content-Length: 1_0"], b"", 400),
        (["Content-Length:"], b"", 400),
        (CHUNKED, b"%x\r\n" % (MAX_BODY_BYTES + 1), 413),
        (CHUNKED, b"2\r\n{}\r\n%x\r\n" % (MAX_BODY_BYTES - 1), 413),
        (["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n", 501),
        (CHUNKED, b"xyz\r\n", 400),
        (CHUNKED, b"\r\n", 400),
        (CHUNKED, b"2\r\n{}\r\n", 400),
        (CHUNKED, b"1" * 2000, 400),
        (["Content-Length: " + "9" * 5000], b"", 413),
        (CHUNKED, b"f" * 900 + b"\r\n", 413),
        (CHUNKED, b"2\r\n{}x\r\n0\r\n\r\n", 400),
        (CHUNKED, b"2\r\n{}\n0\r\n\r\n", 400),
        (CHUNKED, b"2\r\n{}  \r\n0\r\n\r\n", 400),
        (CHUNKED, b"2\r\n{}0\r\n\r\n", 400),
        ([*CHUNKED, "Content-Length: 2"], b"2\r\n{}\r\n0\r\n\r\n", 400),
        (CHUNKED, b"1;%s\r\nx\r\n" % (b"x" * 900) * 1200, 413),
        (CHUNKED, b"0\r\n" + b"X-Trailer: x\r\n" * 100_000, 413),
    ],
)
def test_body_that_isnt_read(world, server, head, body, status):
    """A body that is too large, or whose length makes no sense, is refused with a reason."""
    found, answer = raw(server, head, body)
    assert found == status
    assert answer["error"]
    assert world.emulator.outbox == []


def test_length_with_zeros_in_front(world, server):
    """RFC 9110, 8.6 allows any number of digits."""
    body = forgot(world)
    assert raw(server, [f"Content-Length: {len(body):09}"], body)[0] == 200
    assert raw(server, CHUNKED, b"%09x\r\n%s\r\n000\r\n\r\n" % (len(body), body))[0] == 200


def test_no_body(server):
    """A request without a body is an empty one."""
    assert raw(server, [])[1]["__type"] == "InvalidParameterException"


# The instructions.


def indented(text, heading):
    """Return the indented lines after a line."""
    block = text.partition(heading)[2].lstrip("\n")
    return textwrap.dedent(re.match(r"(?:(?:    .*)?\n)+", block)[0])


@pytest.fixture(params=["eu-west-1", "us-east-1"])
def started(request):
    """Return the text that a server prints at its start, and its region."""
    command = [sys.executable, "-m", "cognito_reset.testing", "--port", "0"]
    with subprocess.Popen(
        [*command, "--region", request.param], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        lines += iter(
            process.stdout.readline, "Ctrl-C stops the server, which forgets everything.\n"
        )
        yield "".join(lines), request.param
        process.send_signal(signal.SIGINT)


def outbox(text):
    url = re.search(r"with their codes: http://([\d.]+):(\d+)(/outbox)", text)
    connection = http.client.HTTPConnection(url[1], int(url[2]), timeout=10)
    connection.request("GET", url[3])
    messages = json.loads(connection.getresponse().read())
    connection.close()
    return messages


def test_instructions_for_boto3(started):
    """The printed program makes a pool, a client and a user, and a code is in the outbox."""
    text, region = started
    found: dict[str, str] = {}
    exec(indented(text, "The same with boto3:\n"), found)
    assert found["pool"].startswith(f"{region}_")
    [message] = outbox(text)
    assert (message["username"], message["destination"]) == ("alice", "alice@example.com")


@pytest.mark.slow
def test_instructions_for_the_aws_cli(started):
    """The printed commands do the same."""
    if shutil.which("aws") is None or shutil.which("bash") is None:
        pytest.skip("there is no AWS CLI here")
    text, region = started
    commands = indented(text, "with the AWS CLI:\n")
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["bash", "-euc", commands + 'echo "$POOL"'],
        env={**environment, "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith(f"{region}_")
    [message] = outbox(text)
    assert (message["username"], message["kind"]) == ("alice", "forgot_password")


def test_instructions_begin_with_the_address():
    """Programs that start the server read its address from the first line."""
    assert instructions("http://[::1]:9229", "eu-west-1").splitlines()[0] == "http://[::1]:9229"
