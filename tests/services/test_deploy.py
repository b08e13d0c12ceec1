"""
A rolling deploy: two versions of a site on one store and one database at a time, and workers that are killed.

By default, workers are killed on all interfaces with the limits in Redis, and (slow) on REST with the limits in
PostgreSQL. With COGNITO_RESET_EVERY_KILL=1 they are killed on all interfaces in every store.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cognito_reset.testing import Emulator, serve
from tests.services import cluster
from tests.services.sites import Site, redis_server
from tests.services.stores import DATABASES, leave_out, need, slow_but
from tests.services.visitors import NEW, OLD, Answer, Cognito, Visitor, over_http

pytestmark = pytest.mark.services

# In the order in which an attempt reaches them: while it takes its slots, before the call, during the call, after the
# answer, after the answer was stored, after everything that follows, and before the response is sent.
POINTS = ("taking", "reserved", "calling", "answered", "settled", "followed up", "answering")
BEFORE_THE_CALL = POINTS[:2]
STORED = POINTS[4:]
INTERFACES = ("rest", "pages", "aws")
EVERY = "COGNITO_RESET_EVERY_KILL" in os.environ
STORES = ("redis", "postgresql", "mariadb") if EVERY else ("redis", "postgresql")
OWN_NETWORK, ANOTHER_NETWORK = "192.0.2.1", "198.51.100.1"


@contextmanager
def site_on(store: str, folder: Path, **reset: Any) -> Iterator[tuple[Site, Cognito]]:
    """A site with the limits in that store, its database, and the emulator in Cognito's place."""
    need(store)
    if store == "redis" and not cluster.is_installed():
        leave_out("redis-server and redis-cli aren't installed")
    database = store if store in DATABASES else "sqlite-file"
    name = f"test_deploy_{uuid4().hex}"
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder)) if store == "redis" else ""
        cognito = Cognito(stack.enter_context(serve(Emulator(region="eu-west-1"))))
        # Cognito's own allowance must not hide what the site's limits let through.
        cognito.emulator.options.hourly_allowance = 1000
        if database == "sqlite-file":
            name = str(folder / "site.sqlite3")
        site = Site(folder, cognito.settings, database, name, redis)
        # So that a request for a code has reached Cognito before its answer, also on a busy machine.
        site = site.having(
            TRUSTED_PROXIES={"HEADER": "X-Real-IP"}, UNIFORM_RESPONSE_SECONDS=0.5, **reset
        )
        yield stack.enter_context(site.with_database()), cognito


class Person:
    """Somebody who uses one interface, from one network."""

    def __init__(
        self, cognito: Cognito, name: str, interface: str, network: str = OWN_NETWORK
    ) -> None:
        self.cognito, self.name, self.interface, self.network = cognito, name, interface, network
        cognito.add(name)
        self.visitor = Visitor(lambda *_: Answer(0, {}, ""), "")

    def go_to(self, port: int) -> None:
        """Use another server. Cookies stay."""
        self.visitor.send, self.visitor.origin = over_http(port), f"http://127.0.0.1:{port}"

    def ask(self) -> str:
        """Ask for a code, and return what the answer says."""
        if self.interface == "rest":
            return self._says(self._post_json("", {}))
        if self.interface == "pages":
            return self._says(self._post_form("", {"username": self.name}))
        # An SDK repeats its request with the same id.
        return self._says(self._call("ForgotPassword", {}, **{"Amz-Sdk-Invocation-Id": self.name}))

    def confirm(self, code: str, password: str = NEW) -> str:
        if self.interface == "rest":
            form = {"confirmation_code": code, "password": password}
            return self._says(self._post_json("confirm/", form))
        if self.interface == "pages":
            form = {"username": self.name, "confirmation_code": code, "password": password}
            return self._says(self._post_form("confirm/", form))
        return self._says(
            self._call("ConfirmForgotPassword", {"ConfirmationCode": code, "Password": password})
        )

    def _post_json(self, path: str, data: dict[str, str]) -> Answer:
        data = {"username": self.name, **data}
        return self.visitor.post_json(
            f"/api/password-reset/{path}", data, **{"X-Real-IP": self.network}
        )

    def _post_form(self, path: str, data: dict[str, str]) -> Answer:
        answer = self.visitor.post_form(f"/password-reset/{path}", data)
        if answer.headers.get("location") == "/password-reset/done/":
            return self.visitor.get("/password-reset/done/")
        return answer

    def _call(self, operation: str, members: dict[str, str], **more: str) -> Answer:
        members = {"ClientId": self.cognito.client["ClientId"], "Username": self.name, **members}
        return self.visitor.call(operation, members, **{"X-Real-IP": self.network, **more})

    def _says(self, answer: Answer) -> str:
        for text, meaning in MEANINGS[self.interface].items():
            if text in f"{answer.status} {answer.headers.get('location')} {answer.body}":
                return meaning
        return f"{answer.status} {answer.headers} {answer.body}".replace("\n", " ")


# What an answer says, by what it contains.
MEANINGS = {
    "rest": {
        "202 ": "sent",
        "200 ": "done",
        "throttled": "wait",
        "maybe_sent": "unknown",
        "outcome_unknown": "unknown",
        "code_invalid": "wrong code",
    },
    "pages": {
        "302 /password-reset/confirm/": "sent",
        "429 ": "wait",
        "Your password has been changed": "done",
        "could not confirm": "unknown",
        "is not correct": "wrong code",
    },
    "aws": {
        "200 None {}": "done",
        "CodeDeliveryDetails": "sent",
        "LimitExceeded": "wait",
        '400 None {"__type": "InternalError': "unknown",
        "CodeMismatch": "wrong code",
    },
}


# Workers that are killed

Case = tuple[str, str, str]  # the step, the point and the interface


class Story:
    """
    Workers are killed, each at one point of one attempt. Then all visitors send their requests again, as browsers,
    SDKs and people do who got no answer.
    """

    def __init__(self, site: Site, cognito: Cognito, interfaces: tuple[str, ...]) -> None:
        self.site, self.cognito = site, cognito
        self.people: dict[Case, Person] = {}
        self.said: dict[Case, str] = {}
        self.codes: dict[Case, str] = {}
        self.first_calls: dict[Case, int] = {}
        self._armed = site.folder / "armed"
        for trigger in ("CustomMessage", "PostConfirmation"):
            cognito.emulator.set_hook(cognito.pool_id, trigger, self._kill_caller)
        with site.running(workers=2, threads=16) as port:
            for step in ("request", "confirm"):
                new = [(step, point, interface) for point in POINTS for interface in interfaces]
                for case in new:
                    self._meet(port, case)
                with ThreadPoolExecutor(len(new)) as pool:
                    if step == "confirm":
                        self.codes.update(zip(new, pool.map(self._ask, new), strict=True))
                    for case in new:
                        self._kill(case)
                    self.said.update(zip(new, pool.map(self._send, new), strict=True))
            self.calls = {case: self._count(case) for case in self.people}
            with ThreadPoolExecutor(len(interfaces) * len(POINTS)) as pool:
                list(pool.map(self._guess, self.people))
            self.all_calls = {case: self._count(case) for case in self.people}

    def _meet(self, port: int, case: Case) -> None:
        _, _, interface = case
        # The names are made of one word, so that each person has a network, too.
        person = Person(self.cognito, "-".join(case).replace(" ", "-"), interface)
        person.network = f"192.0.2.{len(self.people) + 1}"
        person.go_to(port)
        self.people[case] = person

    def _ask(self, case: Case) -> str:
        """Have a code sent, and return it."""
        person = self.people[case]
        assert person.ask() == "sent"
        return self.cognito.code(person.name)

    def _kill(self, case: Case) -> None:
        _, point, _ = case
        self._armed.write_text(point)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            self._send(case)
        assert not self._armed.exists(), case  # a worker came to that point and died
        self.first_calls[case] = self._count(case)

    def _send(self, case: Case) -> str:
        person = self.people[case]
        return person.confirm(self.codes[case]) if case in self.codes else person.ask()

    def _guess(self, case: Case) -> None:
        """Try more wrong codes than the limits allow."""
        stranger = self.people[case]
        if stranger.interface == "rest" and case in self.codes:
            stranger.network = ANOTHER_NETWORK
            for number in range(8):
                stranger.confirm(f"00000{number}")

    def _count(self, case: Case) -> int:
        operation = "ConfirmForgotPassword" if case in self.codes else "ForgotPassword"
        return self.cognito.calls_of(self.people[case].name, operation)

    def _kill_caller(self, event: Any) -> Any:
        """Stand for the pool's Lambda function: kill the worker that waits for the answer."""
        if self._armed.exists() and self._armed.read_text() == "calling":
            self._armed.unlink()
            os.kill(int(event["request"]["clientMetadata"]["pid"]), signal.SIGKILL)
        return event


@pytest.fixture(scope="module", params=slow_but(["redis"], STORES))
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    interfaces = INTERFACES if EVERY or request.param == "redis" else ("rest",)
    with site_on(
        request.param,
        tmp_path_factory.mktemp(request.param),
        TOTAL_TIMEOUT_SECONDS=3,
        MAX_CONCURRENT_CALLS=60,
        # An hour instead of a minute, because the test may take longer than that.
        LIMITS={"request": {"identifier": "1/h"}},
    ) as (site, cognito):
        yield Story(site, cognito, interfaces)


def cases(story: Story, step: str) -> Iterator[tuple[Case, str, str]]:
    """Yield each case of a step, its point, and what the visitor heard in the end."""
    for case, said in story.said.items():
        if case[0] == step:
            yield case, case[1], said


def test_nobody_gets_two_codes_because_a_worker_was_killed(story: Story) -> None:
    """The attempt counts although its worker is gone, wherever it was."""
    for case, point, said in cases(story, "request"):
        name, calls = story.people[case].name, story.calls[case]
        codes = [message for message in story.cognito.emulator.outbox if message.username == name]
        assert len(codes) == calls <= 1, case
        assert said in ("sent", "wait", "unknown"), case
        assert story.first_calls[case] == (point not in BEFORE_THE_CALL), case
        if case[2] == "aws" and point in STORED:
            assert said == "sent", case


def test_nobody_hears_failed_of_a_reset_that_was_done(story: Story) -> None:
    """Whoever sends the request again hears that the password was changed, or that nobody knows."""
    for case, point, said in cases(story, "confirm"):
        name, calls = story.people[case].name, story.calls[case]
        assert said in ("done", "unknown"), case
        assert story.first_calls[case] == (point not in BEFORE_THE_CALL), case
        assert calls <= 1, case
        if point in STORED:
            assert said == "done", case
        # What the visitor is told to do then: try the new password.
        assert story.cognito.can_sign_in(name, NEW) == bool(calls), case
        assert story.cognito.can_sign_in(name, OLD) == (not calls), case
        assert said == "unknown" or calls == 1, case


def test_workers_that_are_killed_exceed_no_limit(story: Story) -> None:
    """An attempt counts as soon as all of its slots are taken, also if the worker never called Cognito."""
    for case, point, _ in cases(story, "confirm"):
        if case[2] == "rest":
            # The limit is five in fifteen minutes, and the repeat is none of them.
            assert story.all_calls[case] == 5 - (point == "reserved"), case


# Two keys

OLD_KEY, NEW_KEY = "the-old-key-only-for-tests", "the-new-key-only-for-tests"
# The settings of the versions of a site while SECRET_KEY is being changed.
BEFORE: dict[str, Any] = {"SECRET_KEY": OLD_KEY}
PREPARED: dict[str, Any] = {"SECRET_KEY": OLD_KEY, "SECRET_KEY_FALLBACKS": [NEW_KEY]}
CHANGED: dict[str, Any] = {"SECRET_KEY": NEW_KEY, "SECRET_KEY_FALLBACKS": [OLD_KEY]}
# The names of two versions, of the first of which the second knows the key; and whether the first knows the second's.
ROLLOUTS = {
    "in one step": (BEFORE, CHANGED),
    "in three steps": (PREPARED, CHANGED),
    "in three steps, the other way round": (CHANGED, PREPARED),
}


class Versions:
    """Two versions of a site, each on a server of its own, at the ports ``first`` and ``second``."""

    def __init__(self, cognito: Cognito, first: int, second: int) -> None:
        self.cognito, self.first, self.second = cognito, first, second
        self._number = 0

    def person(self, interface: str) -> Person:
        """Return somebody new, on the first version's server."""
        self._number += 1
        network = f"192.0.2.{self._number}"
        person = Person(self.cognito, f"person-{self._number}", interface, network)
        person.go_to(self.first)
        return person


ON_REDIS = [("redis", rollout) for rollout in ROLLOUTS]


@pytest.fixture(
    scope="module",
    params=slow_but(ON_REDIS, [("postgresql", "in one step"), *ON_REDIS]),
    ids="-".join,
)
def versions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Versions]:
    store, rollout = request.param
    first, second = ROLLOUTS[rollout]
    limits = {"request": {"identifier": "1/h"}}
    with (
        site_on(store, tmp_path_factory.mktemp(store), LIMITS=limits) as (site, cognito),
        replace(site, settings=first).running(workers=1) as port,
        replace(site, settings=second).running(workers=1) as another_port,
    ):
        yield Versions(cognito, port, another_port)


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_wait_between_two_codes_goes_on_when_the_key_changes(
    versions: Versions, interface: str
) -> None:
    person = versions.person(interface)
    assert person.ask() == "sent"
    person.go_to(versions.second)
    # The pages lead to the form for the code, and an SDK's repeat gets the first answer.
    assert person.ask() == ("wait" if interface == "rest" else "sent")
    assert versions.cognito.calls_of(person.name, "ForgotPassword") == 1


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_reset_that_was_done_under_the_other_key_is_not_said_to_have_failed(
    versions: Versions, interface: str
) -> None:
    """The answer got lost, for example because the old version was ended."""
    person = versions.person(interface)
    person.ask()
    code = versions.cognito.code(person.name)
    assert person.confirm(code) == "done"
    person.go_to(versions.second)
    assert person.confirm(code) == "done"
    assert versions.cognito.calls_of(person.name, "ConfirmForgotPassword") == 1


def test_limits_go_on_when_the_key_changes(versions: Versions) -> None:
    """Five guesses in a quarter of an hour, wherever they were made."""
    victim = versions.person("rest")
    guesses = iter(range(100_000, 1_000_000))
    for _ in range(3):
        assert victim.confirm(f"{next(guesses)}") == "wrong code"
    victim.go_to(versions.second)
    said = [victim.confirm(f"{next(guesses)}") for _ in range(4)]
    assert said == ["wrong code", "wrong code", "wait", "wait"]


def test_the_limits_of_the_site_and_of_networks_go_on_when_the_key_changes(
    versions: Versions,
) -> None:
    people = [versions.person("rest") for _ in range(21)]
    for person in people:
        person.network = ANOTHER_NETWORK
    assert {person.ask() for person in people[:10]} == {"sent"}
    for person in people:
        person.go_to(versions.second)
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(Person.ask, people[10:]))
    assert Counter(said) == {"sent": 10, "wait": 1}


def test_a_visit_to_the_pages_goes_on_when_the_key_changes(versions: Versions) -> None:
    """The session has the name, and so the second page doesn't ask for it."""
    person = versions.person("pages")
    assert person.ask() == "sent"
    person.go_to(versions.second)
    page = person.visitor.get("/password-reset/confirm/")
    assert person.name in page.body
    assert person.confirm(versions.cognito.code(person.name)) == "done"


def test_with_one_step_processes_with_only_the_old_key_count_apart(tmp_path: Path) -> None:
    """What docs/upgrading.md says of a change in one step: each limit may be used once more."""
    with (
        site_on("redis", tmp_path) as (site, cognito),
        replace(site, settings=BEFORE).running(workers=1) as old,
        replace(site, settings=CHANGED).running(workers=1) as new,
    ):
        versions = Versions(cognito, new, old)
        victim = versions.person("rest")
        for _ in range(8):
            victim.confirm(f"{cognito.calls_of(victim.name, 'ConfirmForgotPassword'):06}")
        assert cognito.calls_of(victim.name, "ConfirmForgotPassword") == 5
        for port in (old, new, old, new):
            victim.go_to(port)
            for number in range(8):
                victim.confirm(f"1{port % 10}{number:04}")
        assert cognito.calls_of(victim.name, "ConfirmForgotPassword") == 10


# Migrations


@pytest.mark.parametrize("store", slow_but(["postgresql"], DATABASES))
def test_the_code_of_each_earlier_version_can_use_todays_tables(store: str, tmp_path: Path) -> None:
    """A site migrates its database first, while processes of the version before still write to it."""
    with site_on(store, tmp_path) as (site, _):
        site.manage("use_older_models")


@pytest.mark.parametrize("store", slow_but(["mariadb"], ["postgresql", "mariadb"]))
def test_a_site_is_migrated_while_it_serves(store: str, tmp_path: Path) -> None:
    """
    Nobody notices, neither before the migration nor after it. Before it, this version can't write its audit
    rows, so a site migrates first.
    """
    is_over = threading.Event()

    def visit(number: int) -> list[str]:
        """Reset the passwords of one person after another."""
        said: list[str] = []
        while not is_over.is_set() or not said:
            person = Person(cognito, f"person-{number}-{len(said)}", "rest", f"192.0.2.{number}")
            person.go_to(port)
            said += [person.ask(), person.confirm(cognito.code(person.name))]
        return said

    limits = {step: {"network": None} for step in ("request", "confirm")}
    with site_on(store, tmp_path, LIMITS=limits) as (site, cognito):
        site.manage("migrate", "cognito_reset", "0001")
        with site.running(workers=1) as port, ThreadPoolExecutor(2) as pool:
            visits = [pool.submit(visit, number) for number in range(2)]
            try:
                wait_for_calls(cognito, 4)
                site.manage("migrate")
                wait_for_calls(cognito, len(cognito.emulator.calls) + 4)
            finally:
                is_over.set()
            said = [text for visit in visits for text in visit.result()]
        assert set(said) == {"sent", "done"}
        site.manage("expect_events", "confirmed")


def wait_for_calls(cognito: Cognito, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(cognito.emulator.calls) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
