"""
Other pages of a site don't notice that Cognito or Redis is down, or that clients are slow: real servers, fifty
visitors, and the default settings.

An outage lasts 20 seconds, or as many as COGNITO_RESET_OUTAGE_SECONDS tells. Four servers have one fault each in
``make services``. ``make thorough`` has every server with every fault, and is stricter, because it runs one test at a
time. Each test writes a row for docs/servers.md, which ``pytest -s`` shows.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.documentation import python
from tests.fault_server import Handler, Wire, status, well
from tests.services import cluster
from tests.services.nginx import NGINX, nginx
from tests.services.servers import serving
from tests.services.stores import leave_out

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
IS_THOROUGH = "COGNITO_RESET_OUTAGE_SECONDS" in os.environ
SECONDS = float(os.environ.get("COGNITO_RESET_OUTAGE_SECONDS", "20"))
# Unless the test is thorough, other programs run at the same time, and a slow machine must keep up with the visitors.
VISITORS = 50 if IS_THOROUGH else 20
# How long another page and a refusal may take. One that has to wait until a call ends takes ten seconds or more.
PAGE_SECONDS, REFUSAL_SECONDS = (0.1, 0.05) if IS_THOROUGH else (5, 5)
# How long a trickle takes, which is longer than an attempt waits.
TRICKLE_SECONDS = 22.5
# How long a request holds a thread at most, TOTAL_TIMEOUT_SECONDS and UNIFORM_RESPONSE_SECONDS, and some time for
# other programs.
HELD_SECONDS = 16.0 + 1.0 + 5.0

SITE = "tests.services.outage_site"
PAGES, REST = "/password-reset/", "/api/password-reset/"
TOKEN = "x" * 32  # Django accepts any, if the cookie and the form have the same
GUNICORN = ["gunicorn", "--bind", "fd://{fd}", "--log-level", "error", "--preload"]


@dataclass(frozen=True)
class Server:
    """
    ``settings`` are those of the app, if they aren't the default ones. ``return_seconds`` is how long resets may
    still be refused after Cognito's return.
    """

    command: list[str]
    processes: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    return_seconds: float = 15 if IS_THOROUGH else 25


SERVERS = {
    "8 threads": Server([*GUNICORN, "--threads", "8", SITE]),
    # Half of the threads of a process, as README.md advises. A probe that gets a trickle holds the only permit.
    "4x2 threads": Server(
        [*GUNICORN, "--workers", "4", "--threads", "2", SITE],
        *(4, {"MAX_CONCURRENT_CALLS": 1}),
        return_seconds=TRICKLE_SECONDS + 5,
    ),
    "4 sync workers": Server([*GUNICORN, "--workers", "4", SITE], 4),
    "4 sync workers that share permits": Server(
        [*GUNICORN, "--workers", "4", SITE],
        *(4, {"SERVICE_CLASS": "tests.services.shared_permits.SharedPermits"}),
    ),
    "uvicorn": Server(["uvicorn", "--fd", "{fd}", "--log-level", "error", f"{SITE}:over_asgi"]),
}
# What docs/servers.md says of sync workers: while a worker waits for Cognito or Redis, it serves nobody else.
OTHERS_WAIT = {
    ("4 sync workers", fault) for fault in ("hangs", "trickles", "answers 503", "paused")
}
# The rest takes long.
FAST = {
    ("8 threads", "hangs"),
    ("4x2 threads", "trickles"),
    ("4 sync workers that share permits", "paused"),
    ("uvicorn", "answers 503"),
}


def cells(*faults: str) -> pytest.MarkDecorator:
    """Return each server with each fault."""
    return pytest.mark.parametrize(
        ("server", "fault"),
        [
            pytest.param(*pair, marks=[] if pair in FAST else pytest.mark.slow)
            for pair in product(SERVERS, faults)
        ],
    )


def hang(handler: Handler) -> None:
    """Never answer, and leave the connection open until the client closes it."""
    select.select([handler.connection], [], [], 120)
    handler.close_connection = True


def trickle(handler: Handler) -> None:
    """Send an answer byte by byte, for longer than an attempt waits."""
    handler.send_response(200)
    handler.send_header("Content-Length", "150")
    handler.end_headers()
    try:
        for _ in range(150):
            handler.wfile.write(b" ")
            time.sleep(TRICKLE_SECONDS / 150)
    except OSError:
        handler.close_connection = True


def answer_once(handler: Handler) -> None:
    """Answer well, and close the connection, so that the next request needs another one."""
    well(handler)
    handler.close_connection = True


class Cognito:
    """
    A server in Cognito's place, which answers well until it has a fault. Afterwards, ``requests`` is the number of
    requests that came meanwhile.
    """

    FAULTS = {"hangs": hang, "trickles": trickle, "answers 503": status(503)}

    def __init__(self) -> None:
        self._wire = Wire()
        self._wire.answer = answer_once
        self._is_refusing = False
        self.url = self._wire.url

    def begin(self, fault: str) -> None:
        self._wire.requests.clear()
        self._is_refusing = fault == "refuses"
        if self._is_refusing:
            self._wire.close()
        else:
            self._wire.answer = self.FAULTS[fault]

    def end(self) -> None:
        """Answer new requests well, just after one came, so that the next probe isn't soon. Old ones still hang."""
        if self._is_refusing:
            self._wire = Wire(self._wire.port)
        else:
            self._wire.arrived.clear()
            assert self._wire.arrived.wait(60)
        self.requests = len(self._wire.requests)
        self._wire.answer = well

    def close(self) -> None:
        self._wire.close()


@pytest.fixture
def cognito() -> Iterator[Cognito]:
    server = Cognito()
    yield server
    server.close()


@contextmanager
def running(server: Server, cognito: Cognito, folder: Path, **more: str) -> Iterator[int]:
    """Run the site on a server, and yield its port."""
    environment = {**os.environ, "COGNITO_URL": cognito.url, **more}
    environment["DATABASE_FILE"] = str(folder / "site.sqlite3")
    environment["RESET_SETTINGS"] = json.dumps(server.settings)
    environment["PERMITS"] = json.dumps([str(folder / f"permit-{number}") for number in (1, 2)])
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    with (
        (folder / "log").open("w") as log,
        serving(server.command, environment, log, is_killed=True) as port,
    ):
        assert get(port, "/other/").status == 200
        yield port


@dataclass(frozen=True)
class Answer:
    """When it was asked for, its status, how long it took, and whether a page gave it and not REST."""

    at: float
    status: int
    seconds: float
    is_page: bool = False


def get(port: int, path: str) -> Answer:
    return call(port, "GET", path)


def call(port: int, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    start = time.monotonic()
    try:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        seconds = time.monotonic() - start
        return Answer(start, response.status, seconds, path.startswith(PAGES))
    finally:
        connection.close()


def send(port: int, number: int, path: str, data: dict[str, str]) -> Answer:
    """Post the form of a page as each third visitor, and JSON to REST as the others."""
    if number % 3:
        return call(port, "POST", REST + path, json.dumps(data), Content_Type="application/json")
    form = urlencode({**data, "csrfmiddlewaretoken": TOKEN})
    kind, cookie = "application/x-www-form-urlencoded", f"csrftoken={TOKEN}"
    return call(port, "POST", PAGES + path, form, Content_Type=kind, Cookie=cookie)


def ask(port: int, number: int) -> Answer:
    """Ask for a code as an even visitor, and confirm a reset as an odd one."""
    data = {"username": f"user-{number}-{time.monotonic()}"}
    if number % 2 == 0:
        return send(port, number, "", data)
    data |= {"confirmation_code": "123456", "password": f"Battery-staple-{number}"}
    return send(port, number, "confirm/", data)


def ask_for_nothing(port: int, number: int) -> Answer:
    """Send a request that the site refuses without asking anybody."""
    return send(port, number, "", {})


def ask_slowly(port: int, number: int, field_name: str = "username") -> Answer:
    """Ask for a code, and take five seconds to send the body."""
    body = json.dumps({field_name: f"user-{number}-{time.monotonic()}"}).encode()
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest("POST", REST)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        for byte in body:
            time.sleep(5 / len(body))
            connection.send(bytes([byte]))
        return Answer(start, connection.getresponse().status, time.monotonic() - start)
    finally:
        connection.close()


@dataclass
class Visitors:
    """
    Fifty visitors, each of whom does something every ``period`` seconds or up to 0.2 seconds later, but waits for the
    answer first. If they were as regular as a clock, two who get the only permits for a second would get them again
    and again, and nobody else would.
    """

    port: int
    visit: Callable[[int, int], Answer]
    period: float = 1
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> Visitors:
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(VISITORS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        pause = self.period * number / VISITORS
        while not self._is_over.wait(pause):
            answer = self.visit(self.port, number)
            self.answers.append(answer)
            pause = max(self.period - answer.seconds, 0) + random.uniform(0, 0.2)


def measure_other_page(port: int, seconds: float) -> list[float]:
    """
    Get the other page ten times a second, and return how long each request took. No request waits for the answer
    of another one, or else a site that stands still would be asked less often, and look fast.
    """
    with ThreadPoolExecutor(int(10 * seconds)) as executor:
        futures = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            futures.append(executor.submit(get, port, "/other/"))
            time.sleep(0.1)
        answers = [future.result() for future in futures]
    assert {answer.status for answer in answers} == {200}
    return [answer.seconds for answer in answers]


def p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def medians(answers: list[Answer]) -> tuple[float, float]:
    """Return the median times of REST and of the pages."""
    rest, pages = (
        statistics.median(answer.seconds for answer in answers if answer.is_page == is_page)
        for is_page in (False, True)
    )
    return rest, pages


@dataclass(frozen=True)
class Outage:
    """
    What was measured, in seconds.

    - ``usual`` and ``during``: how long the other page took, without the outage and during it.
    - ``usual_refusals``: the answers to requests without a username.
    - ``longest``: how long the slowest answer to a visitor took, also if it came after the outage.
    - ``refusals``: the answers that are 503, in the second half of the outage.
    - ``return_seconds``: how long it took until a reset worked again.
    - ``statuses``: how often the visitors got each status during the outage.
    """

    usual: list[float]
    usual_refusals: list[Answer]
    during: list[float]
    longest: float
    refusals: list[Answer]
    return_seconds: float
    statuses: Counter[int]

    def report(self, name: str) -> None:
        """Write a row for docs/servers.md. In two of its cells are the times of REST and of the pages."""
        refused, usual = (
            " and ".join(f"{seconds * 1000:.0f} ms" for seconds in medians(answers))
            for answers in (self.refusals, self.usual_refusals)
        )
        cells = [
            name,
            f"{p95(self.during) / p95(self.usual):.1f}",
            f"{max(self.during):.2f} s",
            refused,
            f"{self.return_seconds:.0f} s",
            f"longest {self.longest:.1f} s",
            f"usual {p95(self.usual) * 1000:.0f} ms, {usual}",
            str(dict(self.statuses)),
        ]
        sys.stdout.write(f"\n| {' | '.join(cells)} |\n")

    def check(self, server: str, fault: str) -> None:
        assert set(self.statuses) <= {200, 202, 302, 502, 503}
        assert self.return_seconds < SERVERS[server].return_seconds
        if (server, fault) not in OTHERS_WAIT:
            assert p95(self.during) < max(2 * p95(self.usual), PAGE_SECONDS)
            assert self.longest < HELD_SECONDS
            for refused, usual in zip(
                medians(self.refusals), medians(self.usual_refusals), strict=True
            ):
                assert refused < max(2 * usual, REFUSAL_SECONDS)
            assert self.statuses[503] > VISITORS * SECONDS / 4  # most are refused at once


def warm_up(port: int) -> None:
    """Let each process load boto3, which it does at its first request."""
    with Visitors(port, ask):
        time.sleep(3)


def suffer(port: int, begin: Callable[[], None], end: Callable[[], None]) -> Outage:
    """Measure the site while visitors come: first with requests that need nobody, then in an outage."""
    warm_up(port)
    with Visitors(port, ask_for_nothing) as quiet:
        usual = measure_other_page(port, SECONDS / 4)
    with Visitors(port, ask) as visitors:
        start = time.monotonic()
        begin()
        during = measure_other_page(port, SECONDS)
        end()
        ended_at = time.monotonic()
        while not any(a.at > ended_at and a.status == 200 for a in list(visitors.answers)):
            assert time.monotonic() - ended_at < 60
            time.sleep(0.1)
        return_seconds = time.monotonic() - ended_at
    answers = [a for a in visitors.answers if a.at + a.seconds < ended_at]
    refusals = [a for a in answers if a.status == 503 and a.at > start + SECONDS / 2]
    return Outage(
        usual=usual,
        usual_refusals=quiet.answers,
        during=during,
        longest=max(answer.seconds for answer in visitors.answers),
        refusals=refusals,
        return_seconds=return_seconds,
        statuses=Counter(answer.status for answer in answers),
    )


@pytest.mark.requirement("C10")
@cells("hangs", "trickles", "refuses", "answers 503")
def test_other_pages_do_not_notice_that_cognito_is_down(cognito, tmp_path, server, fault):
    """Half of the visitors ask for a code, and half confirm a reset. A third use the pages, and the others REST."""
    with running(SERVERS[server], cognito, tmp_path) as port:
        start = time.monotonic()
        outage = suffer(port, partial(cognito.begin, fault), cognito.end)
        seconds = time.monotonic() - start
    outage.report(f"{server} | Cognito {fault}")
    outage.check(server, fault)
    # Each process makes as many calls as it has permits before the breaker opens, and then the probes.
    assert cognito.requests <= SERVERS[server].processes * (4 + seconds / 5)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A Redis of the test's own, and its URL."""
    if not cluster.is_installed():
        leave_out("redis-server and redis-cli aren't installed")
    [port] = cluster.free_ports(1)
    process = cluster.start(port, tmp_path)
    try:
        cluster.wait_until([port], ["ping"], "PONG")
        yield process, f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.requirement("B14")
@cells("paused")
def test_other_pages_do_not_notice_that_redis_is_paused(cognito, redis, tmp_path, server, fault):
    """Its limits are in that Redis."""
    process, url = redis
    pause, go_on = (partial(process.send_signal, s) for s in (signal.SIGSTOP, signal.SIGCONT))
    with running(SERVERS[server], cognito, tmp_path, REDIS_URL=url) as port:
        outage = suffer(port, pause, go_on)
    outage.report(f"{server} | Redis is paused")
    outage.check(server, fault)


@pytest.mark.parametrize(
    ("server", "field_name", "status"),
    [
        ("8 threads", "username", 202),
        pytest.param("uvicorn", "username", 202, marks=pytest.mark.slow),
        # Codes for so many visitors would take all workers, however fast the bodies come.
        pytest.param("4 sync workers", "no_username", 400, marks=pytest.mark.slow),
    ],
)
def test_other_pages_do_not_notice_slow_clients(cognito, tmp_path, server, field_name, status):
    """
    Over ASGI, Django receives the whole body before a view needs a thread. A thread of gunicorn waits for the
    body, so nginx has to receive it first. The slow clients are answered too, some with 503 if many bodies end at
    the same time.
    """
    with ExitStack() as stack:
        port = stack.enter_context(running(SERVERS[server], cognito, tmp_path))
        warm_up(port)
        if server != "uvicorn":
            if not NGINX:
                leave_out("nginx isn't installed")
            port = stack.enter_context(nginx(tmp_path, port))
        with Visitors(port, ask_for_nothing):
            usual = measure_other_page(port, SECONDS / 4)
        with Visitors(port, partial(ask_slowly, field_name=field_name), period=6) as visitors:
            during = measure_other_page(port, max(SECONDS / 2, 12))
    assert p95(during) < max(2 * p95(usual), PAGE_SECONDS)
    assert {answer.status for answer in visitors.answers} | {503} == {status, 503}


@pytest.mark.requirement("C3")
def test_c3_gunicorn_ends_no_worker_because_cognito_is_slow(cognito, tmp_path):
    """
    gunicorn kills a sync worker that is busy for longer than its --timeout. A request never takes so long, as long as
    TOTAL_TIMEOUT_SECONDS and UNIFORM_RESPONSE_SECONDS are less.
    """
    server = Server([*GUNICORN, "--timeout", "20", SITE], settings={"TOTAL_TIMEOUT_SECONDS": 6})
    with running(server, cognito, tmp_path) as port:
        assert ask(port, 1).status == 200  # boto3 is loaded
        cognito.begin("trickles")
        answer = ask(port, 1)
        assert (answer.status, answer.seconds > 5) == (502, True)
        assert get(port, "/other/").status == 200
    assert "WORKER TIMEOUT" not in (tmp_path / "log").read_text()


def test_the_docs_have_the_code_that_runs_here():
    """The class that shares permits between sync workers."""
    code = (ROOT / "tests" / "services" / "shared_permits.py").read_text()
    documented = python("servers.md", "permits.py")
    assert code.removeprefix("from __future__ import annotations\n\n") == documented
