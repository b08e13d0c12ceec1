"""
Resets from end to end on real servers, where bodies come without a length: behind a proxy that sends them in
chunks, and from the adapter of a serverless gateway.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cognito_reset.testing import Emulator, serve
from tests.services.cluster import ask
from tests.services.servers import ROOT, serving
from tests.services.stores import need_package
from tests.services.visitors import (
    FORM,
    Answer,
    Cognito,
    Send,
    Visitor,
    over_http,
    reset_on_all_interfaces,
)

pytestmark = pytest.mark.services


@pytest.fixture
def cognito() -> Iterator[Cognito]:
    with serve(Emulator(region="eu-west-1")) as server:
        yield Cognito(server)


def refuse_too_large(send: Send, origin: str) -> None:
    """Check that a body over the limit is refused in each interface's own form."""
    visitor, large = Visitor(send, origin), "x" * 100_000
    assert visitor.post("/password-reset/", FORM, f"username={large}").status == 413
    answer = visitor.post_json("/api/password-reset/", {"username": large})
    assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (413, "too_large")
    answer = visitor.call("ForgotPassword", {"Username": large})
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "InvalidParameterException")


# Servers


class Chunking(ThreadingHTTPServer):
    """A proxy that passes bodies on in chunks and without Content-Length, as some tunnels do."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Chunker)
        self.upstream = upstream


class _Chunker(BaseHTTPRequestHandler):
    server: Chunking

    def do_GET(self) -> None:
        self._forward(self.headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        del self.headers["Content-Length"]
        self.headers["Transfer-Encoding"] = "chunked"
        # Small chunks, so that the server has to join them.
        self._forward(self.headers, (body[at : at + 50] for at in range(0, len(body), 50)))

    def _forward(self, headers: HTTPMessage, chunks: Iterator[bytes] | None = None) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            connection.request(
                self.command, self.path, chunks, dict(headers.items()), encode_chunked=True
            )
            response = connection.getresponse()
            body = response.read()
        except OSError:  # the server has answered and closed before it read all
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def chunking_proxy(upstream: int) -> Iterator[int]:
    with Chunking(upstream) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield proxy.server_port
        proxy.shutdown()


def environment(cognito: Cognito, folder: Path, **more: str) -> dict[str, str]:
    # Another test may have started the cluster. Its limits are for sites that name it themselves.
    inherited = {name: value for name, value in os.environ.items() if name != "REDIS_CLUSTER"}
    named = {**inherited, "COGNITO_POOL": json.dumps(cognito.settings), **more}
    named["DATABASE_FILE"] = str(folder / "site.sqlite3")
    named.pop("DJANGO_SETTINGS_MODULE", None)
    return named


@contextmanager
def running(command: list[str], cognito: Cognito, folder: Path, **more: str) -> Iterator[int]:
    """Run a server on the socket that it inherits, and yield its port. ``more`` is for its environment."""
    with serving(command, environment(cognito, folder, **more)) as port:
        yield port


UVICORN = [
    "uvicorn",
    "--fd",
    "{fd}",
    "--log-level",
    "error",
    "tests.services.server_site:over_asgi",
]
GUNICORN = [
    "gunicorn",
    "--bind",
    "fd://{fd}",
    "--log-level",
    "error",
    "--workers",
    "2",
    "--preload",
]
SITE = "tests.services.server_site:application"


def test_a_site_on_uvicorn_behind_a_chunking_proxy(cognito, tmp_path):
    """Django has received the whole body, but no header states its length."""
    with running(UVICORN, cognito, tmp_path) as port, chunking_proxy(port) as proxy:
        origin = f"http://127.0.0.1:{proxy}"
        reset_on_all_interfaces(over_http(proxy), origin, cognito)
        refuse_too_large(over_http(proxy), origin)


@pytest.mark.parametrize("kind", ["sync", "gthread"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["", "chunked"])
def test_a_site_on_gunicorn_with_limits_in_a_redis_cluster(
    cognito, tmp_path, redis_cluster, kind, is_chunked
):
    """The limits hold across its processes."""
    for address in redis_cluster:
        ask(int(address.rpartition(":")[2]), "flushall")
    command = [*GUNICORN, "--worker-class", kind, SITE]
    in_cluster = {"REDIS_CLUSTER": redis_cluster[0]}
    with running(command, cognito, tmp_path, **in_cluster) as port, chunking_proxy(port) as proxy:
        port = proxy if is_chunked else port
        send, origin = over_http(port), f"http://127.0.0.1:{port}"
        reset_on_all_interfaces(send, origin, cognito)
        refuse_too_large(send, origin)
        cognito.add("again")
        answers = [
            Visitor(send, origin).post_json("/api/password-reset/", {"username": "again"})
            for _ in range(4)
        ]
        assert [answer.status for answer in answers] == [202, 429, 429, 429]
    ports = [int(address.rpartition(":")[2]) for address in redis_cluster]
    assert any("cognito_reset" in ask(port, "--scan") for port in ports)


# Serverless gateways

# API Gateway's REST API: "Input format of a Lambda function for proxy integration" in its developer guide. The
# event has no Content-Length (dougmoscrop/serverless-http, pull request 1).
REST_API_HOST = "abcdef1234.execute-api.eu-west-1.amazonaws.com"


def rest_api_event(
    method: str, path: str, headers: dict[str, str], body: bytes, is_encoded: bool
) -> dict[str, Any]:
    headers = {
        "Accept": "*/*",
        "CloudFront-Forwarded-Proto": "https",
        "CloudFront-Is-Desktop-Viewer": "true",
        "CloudFront-Viewer-Country": "DE",
        "Host": REST_API_HOST,
        "User-Agent": "Mozilla/5.0",
        "Via": "2.0 abcdef.cloudfront.net (CloudFront)",
        "X-Amz-Cf-Id": "abcdefghijklmnopqrstuvwxyz==",
        "X-Amzn-Trace-Id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
        "X-Forwarded-For": "203.0.113.7, 198.51.100.178",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        **headers,
    }
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.strip("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdef1234",
            "domainName": REST_API_HOST,
            "domainPrefix": "abcdef1234",
            "extendedRequestId": "request-id",
            "httpMethod": method,
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "Mozilla/5.0"},
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTime": "09/Apr/2026:12:34:56 +0000",
            "requestTimeEpoch": 1775738096000,
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        **body_of(body, is_encoded),
    }


# "Payload format version" 2.0 in API Gateway's developer guide, which function URLs share ("Request payload
# format" in Lambda's). Bodies that aren't text are encoded, and forms are none (brefphp/bref, issue 631).
def http_event(
    host: str, method: str, path: str, headers: dict[str, str], body: bytes, is_encoded: bool
) -> dict[str, Any]:
    lower = {name.lower(): value for name, value in headers.items()}
    cookies = lower.pop("cookie", "")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        **({"cookies": cookies.split("; ")} if cookies else {}),
        "headers": {
            "accept": "*/*",
            "host": host,
            "user-agent": "Mozilla/5.0",
            "x-amzn-trace-id": "Root=1-5e66d96f-7491f09xmpl79d18acf3d050",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **lower,
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": host.partition(".")[0],
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "Mozilla/5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "09/Apr/2026:12:34:56 +0000",
            "timeEpoch": 1775738096000,
        },
        **(body_of(body, is_encoded) if body else {"isBase64Encoded": False}),
    }


def body_of(body: bytes, is_encoded: bool) -> dict[str, Any]:
    text = base64.b64encode(body).decode() if is_encoded else body.decode()
    return {"body": text or None, "isBase64Encoded": is_encoded and bool(body)}


HTTP_API_HOST = "ghijkl5678.execute-api.eu-west-1.amazonaws.com"
URL_HOST = "abcdefghijklmnop.lambda-url.eu-west-1.on.aws"
GATEWAYS = {
    "REST API": (REST_API_HOST, rest_api_event),
    "HTTP API": (HTTP_API_HOST, lambda *request: http_event(HTTP_API_HOST, *request)),
    "function URL": (URL_HOST, lambda *request: http_event(URL_HOST, *request)),
}


def answer_of(result: dict[str, Any]) -> Answer:
    body = result["body"]
    if result["isBase64Encoded"]:
        body = base64.b64decode(body).decode()
    headers = {name.lower(): value for name, value in result["headers"].items()}
    several = result.get("multiValueHeaders") or {}
    cookies = result.get("cookies") or several.get("set-cookie") or []
    cookies += [headers["set-cookie"]] if "set-cookie" in headers else []
    return Answer(result["statusCode"], headers, body, cookies)


@pytest.fixture
def function(cognito: Cognito, tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Answer]]:
    """The site as a Lambda function, in a process of its own."""
    need_package("mangum")
    process = subprocess.Popen(
        [sys.executable, "-c", "from tests.services.server_site import main; main()"],
        cwd=ROOT,
        env=environment(cognito, tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout

    def invoke(event: dict[str, Any]) -> Any:
        process.stdin.write(json.dumps(event) + "\n")
        process.stdin.flush()
        return answer_of(json.loads(process.stdout.readline()))

    with process:
        yield invoke
        process.stdin.close()


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("is_encoded", "says_length"),
    [(False, False), (True, False), (True, True)],
    ids=["text", "base64", "base64 with length"],
)
def test_a_site_in_a_lambda_function(cognito, function, gateway, is_encoded, says_length):
    """Gateways pass whole bodies on, mostly without a header that states the length."""
    host, event = GATEWAYS[gateway]

    def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        length = {"Content-Length": str(len(body))} if says_length and body else {}
        answer: Answer = function(event(method, path, {**headers, **length}, body, is_encoded))
        return answer

    reset_on_all_interfaces(send, f"https://{host}", cognito)
    refuse_too_large(send, f"https://{host}")
