"""
The visitors of test_soak.py. Each of them takes both steps of a reset on one interface, as browsers, single-page
apps and AWS's SDKs do, or is a staff member who sends a reset. Every answer is compared with those that
the matrix of docs/resiliency.md names.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from cognito_reset.staff.rest import STATUSES
from tests.resiliency import ANSWERS, Public
from tests.test_matrix import ROWS

PEOPLE, NETWORKS = 100, 60
STAFF, STAFF_PASSWORD = "soak-staff", "soak-staff-password"
NAME = "soak-person-"
PASSWORD = "Battery-staple-"
CODE = "777"
VISITS_A_SECOND = 7.0  # some 20 requests
LATE_SECONDS = 60

THROTTLED = Public(429, 429, "throttled", 400, "throttled", "LimitExceededException")
#: The answers of both steps that don't depend on what Cognito answers: a limit, the circuit breaker, the permits,
#: and a store that is down.
ALWAYS = [THROTTLED, *(ANSWERS[key] for key in ("not called", "busy", "unavailable"))]
# A page answers a repeat within the cool-down as if a code had been sent.
GOOD = {"request": "neutral", "confirm": "done"}


def address(number: int) -> str:
    """Return what a person types."""
    return f"{NAME}{number}@example.com"


def sub(number: int) -> str:
    """Return Cognito's id of the person."""
    return f"00000000-0000-4000-8000-{number:012}"


#: A status, and what tells more: the address of a redirect, REST's code of the error, or Cognito's name of it.
Seen = tuple[int, str]


def seen_as(interface: str, answer: Public) -> Seen:
    if interface == "pages":
        return answer.pages, answer.page.split()[0] if answer.page.startswith("/") else ""
    return (answer.rest, answer.code) if interface == "rest" else (answer.aws, answer.name)


def named(interface: str, step: str) -> set[Seen]:
    """Return the answers that the matrix names for a step on an interface."""
    keys = {getattr(row, step) for row in ROWS.values()} - {""} | {GOOD[step]}
    return {seen_as(interface, answer) for answer in [*ALWAYS, *(ANSWERS[key] for key in keys)]}


def named_for_staff() -> set[Seen]:
    """Return the same for a reset by staff, and for a look-up, which has no answer that a reset hasn't."""
    found = {(200, ""), (503, "unavailable"), (429, "throttled")}
    for row in ROWS.values():
        outcome, _, code = row.staff.partition(" ")
        if code:
            status = 404 if code == "user_not_found" else STATUSES[outcome]
            found.add((status, code))
    return found


NAMED = {
    (interface, step): named(interface, step)
    for interface in ("pages", "rest", "aws")
    for step in GOOD
} | {
    ("pages", "read"): {(200, "")},
    ("staff", "look up"): named_for_staff(),
    ("staff", "reset"): named_for_staff(),
}


@dataclass(frozen=True)
class Answer:
    """An answer that a visitor got, when the visitor asked for it, and how long it took."""

    site: str
    interface: str
    step: str
    seen: Seen
    at: float
    seconds: float

    @property
    def end(self) -> float:
        return self.at + self.seconds

    @property
    def is_attempt(self) -> bool:
        return self.step in GOOD

    @property
    def is_good(self) -> bool:
        """Whether Cognito's good answer came through: a page, a code that may be on its way, or a new password."""
        return 0 < self.seen[0] < 400

    @property
    def is_named(self) -> bool:
        return self.seen in NAMED[self.interface, self.step]


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def code(self) -> str:
        """Return REST's code of the error, or "" if there is none."""
        is_json = (
            self.headers.get_content_type() == "application/json"
        )  # Django's own 500 is a page
        errors = json.loads(self.body).get("errors", []) if is_json else []
        return " ".join(error["code"] for error in errors)


class Visitors:
    """Visitors of several sites, by the names of their ports, who come at a steady rate."""

    def __init__(self, ports: dict[str, int], seed: int) -> None:
        self._ports = ports
        self._random = random.Random(seed)
        self.answers: list[Answer] = []

    def come(self, seconds: float) -> None:
        """Come for so long, and wait for all answers. A visit doesn't wait for the one before it."""
        start, futures = time.monotonic(), list[Future[None]]()
        with ThreadPoolExecutor(64) as executor:
            for number in range(int(seconds * VISITS_A_SECOND)):
                time.sleep(max(0, start + number / VISITS_A_SECOND - time.monotonic()))
                site = [*self._ports][number % len(self._ports)]
                visit = Visit(self, site, self._ports[site], random.Random(self._random.random()))
                futures.append(executor.submit(visit.make))
        for future in futures:
            future.result()


class Visit:
    """What one visitor does."""

    def __init__(self, visitors: Visitors, site: str, port: int, choices: random.Random) -> None:
        self._visitors, self._site, self._port, self._random = visitors, site, port, choices
        person = choices.randrange(PEOPLE)
        self._person = person
        self._headers = {"X-Forwarded-For": f"198.51.100.{person % NETWORKS}"}
        self._values = {
            "username": address(person),
            "confirmation_code": f"{CODE}{choices.randrange(1000):03}",
            "password": f"{PASSWORD}{choices.randrange(10_000)}",
        }

    def make(self) -> None:
        visits = [self.pages, self.rest, self.aws, self.staff]
        [visit] = self._random.choices(visits, weights=[25, 35, 35, 5])
        visit()

    def pages(self) -> None:
        """Go through the pages until one of them says no."""
        browser = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}

        def get(path: str) -> bool:
            return self._call("pages", "read", "GET", path, "", browser)[0] == 200

        def post(step: str, path: str) -> bool:
            return (
                self._call("pages", step, "POST", path, urlencode(self._values), browser)[0] == 302
            )

        first, second = "/password-reset/", "/password-reset/confirm/"
        if get(first) and post("request", first) and get(second) and post("confirm", second):
            get("/password-reset/done/")

    def rest(self) -> None:
        headers = {**self._headers, "Content-Type": "application/json"}
        body = json.dumps(self._values)
        for step, path in (("request", ""), ("confirm", "confirm/")):
            for _ in range(self._times()):
                self._call("rest", step, "POST", f"/api/password-reset/{path}", body, headers)

    def aws(self) -> None:
        values = {name: self._values[key] for name, key in AWS_NAMES.items()}
        body = json.dumps({"ClientId": "1example", **values})
        for step, operation in (
            ("request", "ForgotPassword"),
            ("confirm", "ConfirmForgotPassword"),
        ):
            headers = {
                **self._headers,
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
                "amz-sdk-invocation-id": str(uuid.UUID(int=self._random.getrandbits(128))),
            }
            for _ in range(self._times()):
                self._call("aws", step, "POST", "/cognito", body, headers)

    def staff(self) -> None:
        credentials = base64.b64encode(f"{STAFF}:{STAFF_PASSWORD}".encode()).decode()
        headers = {**self._headers, "Authorization": f"Basic {credentials}"}
        headers["Content-Type"] = "application/json"
        body = json.dumps({"username": self._values["username"]})
        self._call("staff", "look up", "POST", "/staff/look-up/", body, headers)
        path = f"/staff/accounts/default/{sub(self._person)}/reset/"
        self._call("staff", "reset", "POST", path, "{}", headers)

    def _times(self) -> int:
        """Return how often the same request is sent. Some clients send one again."""
        return 2 if self._random.random() < 0.1 else 1

    def _call(
        self, interface: str, step: str, method: str, path: str, body: str, headers: dict[str, str]
    ) -> Seen:
        """Send a request, and note its answer. Keep the cookies in ``headers``."""
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LATE_SECONDS)
        try:
            connection.request(method, path, body or None, headers)
            got = connection.getresponse()
            response = Response(got.status, got.headers, got.read())
        except (OSError, http.client.HTTPException) as error:
            seen = 0, type(error).__name__  # no answer
        else:
            if interface == "pages":
                keep_cookies(headers, response)
            seen = what_is_seen(interface, response)
        finally:
            connection.close()
        took = time.monotonic() - start
        self._visitors.answers.append(Answer(self._site, interface, step, seen, start, took))
        return seen


AWS_NAMES = {
    "Username": "username",
    "ConfirmationCode": "confirmation_code",
    "Password": "password",
}


def what_is_seen(interface: str, response: Response) -> Seen:
    if interface == "pages":
        return response.status, response.headers.get("Location", "")
    if interface == "aws":
        return response.status, response.headers.get("x-amzn-ErrorType", "")
    return response.status, response.code()


def keep_cookies(headers: dict[str, str], response: Response) -> None:
    cookies: Any = SimpleCookie(headers.get("Cookie", ""))
    for line in response.headers.get_all("Set-Cookie", []):
        cookies.load(line)
    headers["Cookie"] = "; ".join(f"{name}={cookies[name].value}" for name in cookies)
    if "csrftoken" in cookies:
        headers["X-CSRFToken"] = cookies["csrftoken"].value
