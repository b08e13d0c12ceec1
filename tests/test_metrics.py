"""docs/metrics.md: the signal for metrics, and the files that a site copies, with the real libraries."""

from __future__ import annotations

import functools
import importlib.util
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.test import RequestFactory
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cognito_reset.cognito.errors import ResetError
from cognito_reset.cognito.service import get_service, wait_until_idle
from cognito_reset.resets.flow import Attempt, confirm_reset, request_code
from cognito_reset.signals import measured
from cognito_reset.staff.actions import ACTIONS
from cognito_reset.staff.perform import perform_for_user, send_reset
from cognito_reset.testing import Timeout
from tests.documentation import rows, section, text
from tests.interfaces import REST, with_settings
from tests.people import NEW_PASSWORD
from tests.test_log import documented

ROOT = Path(__file__).resolve().parent.parent
LOGGER = logging.getLogger("cognito_reset")
METRICS = ROOT / "docs" / "metrics"
ARGUMENTS = {
    *("event", "pool", "interface", "step", "outcome", "error_code", "operation", "seconds"),
}


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """Return what the signal was sent with."""
    found: list[dict[str, Any]] = []

    def receiver(signal: Any, sender: Any, **values: Any) -> None:
        found.append(values)

    measured.connect(receiver)
    yield found
    measured.disconnect(receiver)


def attempts(heard: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return the step, outcome and code of each attempt."""
    return [
        (values["step"], values["outcome"], values["error_code"])
        for values in heard
        if values["event"] == "attempt"
    ]


def calls(heard: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the operation and the error code of each call."""
    found = [values for values in heard if values["event"] == "call"]
    assert all(isinstance(values["seconds"], float) for values in found)
    return [(values["operation"], values["error_code"]) for values in found]


UNAVAILABLE = ("request", "failed", "unavailable")


def test_a_whole_reset_is_measured(people, heard):
    REST().request("alice")
    REST().confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    assert attempts(heard) == [("request", "requested", ""), ("confirm", "confirmed", "")]
    assert calls(heard) == [("ForgotPassword", ""), ("ConfirmForgotPassword", "")]
    assert {values["pool"] for values in heard} == {"default"}
    assert {values["interface"] for values in heard if values["event"] == "attempt"} == {"rest"}


def test_each_event_has_the_same_arguments_and_none_names_a_person(people, heard):
    REST().request("alice")
    REST().request("nobody")
    REST().confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD)
    assert len(heard) == 6
    for values in heard:
        assert values.keys() == ARGUMENTS
        for secret in ("alice", "nobody", NEW_PASSWORD, people.emulator.outbox[-1].code):
            assert secret not in str(values)


def test_a_refusal_is_measured_with_its_code(people, heard):
    """The visitor's answer doesn't tell it."""
    people.prevent_existence_errors("LEGACY")
    REST().request("nobody")
    REST().confirm("alice", "000000")
    assert attempts(heard) == [
        ("request", "refused", "user_not_found"),
        ("confirm", "refused", "code_invalid"),
    ]
    assert [code for _operation, code in calls(heard)] == ["user_not_found", "code_invalid"]


def test_each_refusal_by_a_limit_is_measured(people, heard, settings):
    """The log has only the first of them."""
    with_settings(settings, LIMITS={"request": {"identifier": "1/h"}})
    for _ in range(4):
        REST().request("alice")
    assert attempts(heard)[1:] == [("request", "throttled", "throttled")] * 3
    assert len(calls(heard)) == 1


def test_a_repeat_is_not_measured_again(people, heard, settings):
    with_settings(settings, LIMITS={})
    attempt = Attempt("default")
    data = {"username": "alice", "confirmation_code": "000000", "password": NEW_PASSWORD}
    for _ in range(2):
        with pytest.raises(ResetError):
            confirm_reset(attempt, data)
    assert attempts(heard) == [("confirm", "refused", "code_invalid")]


def test_a_request_without_a_permit_is_measured(people, heard, settings):
    with_settings(settings, MAX_CONCURRENT_CALLS=1)
    with get_service().permit() as service:
        assert service is get_service()
        assert REST().request("alice").status_code == 503
        assert REST().confirm("alice").status_code == 503
    assert attempts(heard) == [UNAVAILABLE, ("confirm", "failed", "unavailable")]
    assert calls(heard) == []


def test_requests_are_measured_while_the_circuit_breaker_is_open(people, heard):
    for _ in range(3):
        people.emulator.fail_next("ForgotPassword", Timeout())
        REST().request("alice")
    assert wait_until_idle(10)
    heard.clear()
    assert REST().request("alice").status_code == 503
    assert (attempts(heard), calls(heard)) == ([UNAVAILABLE], [])


def test_requests_are_measured_while_the_limits_cannot_be_reached(people, heard, settings):
    with_settings(settings, LIMITS={})

    def unreachable(*_: Any) -> None:
        raise OperationalError("the database doesn't answer")

    with connection.execute_wrapper(unreachable):
        assert REST().request("alice").status_code == 503
    assert attempts(heard) == [UNAVAILABLE]


def broken(*_: Any, **__: Any) -> Any:
    raise LookupError


@pytest.mark.parametrize(
    "changes",
    [
        {"PRE_SEND_HOOK": broken},
        {"SERVICE_CLASS": f"{__name__}.broken"},
        {"CLIENT_METADATA": {"a": 5}},
        {"LIMITS_CACHE": "no such cache", "LIMITS": {}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_mistake_in_the_settings_is_measured(people, heard, settings, changes):
    with_settings(settings, **changes)
    assert REST().request("alice").status_code == 503
    assert attempts(heard) == [UNAVAILABLE]


def test_a_call_that_nobody_waits_for_is_measured_when_it_ends(people, heard, settings):
    with_settings(settings, UNIFORM_RESPONSE_SECONDS=0.2)
    people.emulator.fail_next("ForgotPassword", Timeout(0.6))
    request_code(Attempt("default"), {"username": "alice"})
    assert (attempts(heard), calls(heard)) == ([("request", "pending", "")], [])
    assert wait_until_idle(10)
    assert calls(heard) == [("ForgotPassword", "maybe_sent")]
    assert heard[-1]["seconds"] > 0.5


def test_a_call_that_was_not_made_is_not_measured(people, heard, settings):
    pool = {**people.pool, "CLIENT_SECRET": broken}
    with_settings(settings, POOLS={"default": pool})
    REST().request("alice")
    assert (attempts(heard), calls(heard)) == ([UNAVAILABLE], [])


def test_what_staff_do_is_measured(people, heard):
    user = get_user_model().objects.create_user("alice")
    send_reset(user)
    perform_for_user(ACTIONS["sign-out"], user, actor=None, interface="python")
    send_reset(get_user_model()(username="nobody"))
    assert attempts(heard) == [
        ("staff", "triggered", ""),
        ("staff", "triggered", ""),
        ("staff", "refused", "user_not_found"),
    ]
    assert ("AdminResetUserPassword", "") in calls(heard)


def test_a_receiver_that_raises_changes_nothing(people):
    measured.connect(broken)
    try:
        assert REST().request("alice").status_code == 202
    finally:
        measured.disconnect(broken)
    assert [name for name, _body in people.emulator.calls] == ["ForgotPassword"]


# The files that a site copies


@functools.cache
def load(name: str) -> tuple[ModuleType, logging.Handler]:
    """Import a file once, because a metric can't be made twice. Take back what the import connects."""
    spec = importlib.util.spec_from_file_location(name, METRICS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [handler] = [h for h in LOGGER.handlers if isinstance(h, module.CountEvents)]
    assert measured.disconnect(module.count)
    LOGGER.removeHandler(handler)
    return module, handler


@contextmanager
def imported(name: str) -> Iterator[ModuleType]:
    """Let the file count, as after its import."""
    module, handler = load(name)
    measured.connect(module.count)
    LOGGER.addHandler(handler)
    yield module
    measured.disconnect(module.count)
    LOGGER.removeHandler(handler)


@functools.cache
def opentelemetry_registry() -> CollectorRegistry:
    """Set the process's meter provider, and return what Prometheus reads of it."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    return registry


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def samples(text: str) -> Samples:
    """Return the values by name and labels."""
    return {
        key(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def exported() -> Samples:
    """Return what is in the default registry of prometheus_client."""
    return samples(generate_latest(REGISTRY).decode())


REQUESTED = key(
    "cognito_reset_attempts_total",
    pool="default",
    interface="rest",
    step="request",
    outcome="requested",
    error_code="",
)
CALLED = key(
    "cognito_reset_call_seconds_count", pool="default", operation="ForgotPassword", error_code=""
)
BUSY = key("cognito_reset_log_events_total", event="busy", level="WARNING")


@pytest.fixture(params=["prometheus", "opentelemetry"])
def read(request: pytest.FixtureRequest) -> Iterator[Callable[[], Samples]]:
    """Return a function that reads the metrics of one of the files as Prometheus does."""
    # The meter provider comes first, as docs/metrics.md says.
    registry = opentelemetry_registry()
    with imported(f"{request.param}_metrics"):
        if request.param == "prometheus":
            yield exported
        else:
            yield lambda: samples(generate_latest(registry).decode())


def test_the_recipe_counts(people, settings, read):
    """Both recipes have the same names and labels, so that the dashboard and the alarms fit both."""
    with_settings(settings, MAX_CONCURRENT_CALLS=1)
    before = read()
    assert BUSY in before, "Prometheus doesn't see the first increase of a new counter"
    REST().request("alice")
    with get_service().permit():
        REST().request("alice")
    after = read()
    for counter in (REQUESTED, CALLED, BUSY):
        assert after[counter] - before.get(counter, 0) == 1
    assert "cognito_reset_call_seconds_bucket" in {name for name, _labels in after}
    assert "alice" not in str(after)


def test_the_events_of_the_log_are_counted_by_their_names(read):
    """A name ends at a blank or a colon."""
    names = [
        key("cognito_reset_log_events_total", event=event, level="ERROR")
        for event in ("misconfigured", "unknown")
    ]
    before = read()
    logger = logging.getLogger("cognito_reset.resets.flow")
    logger.error("cognito_reset.misconfigured: %s", "the text")
    logger.error("cognito_reset.%s interface=%s", "unknown", "rest")
    after = read()
    assert [after[name] - before.get(name, 0) for name in names] == [1, 1]


PROCESS = """
import sys
sys.path.insert(0, {folder!r})
from django.conf import settings
settings.configure()
import prometheus_metrics
from cognito_reset.signals import measured
measured.send_robust(None, event="attempt", pool="default", interface="rest", step="request",
    outcome="requested", error_code="", operation="", seconds=None)
measured.send_robust(None, event="call", pool="default", interface="", step="", outcome="",
    error_code="", operation="ForgotPassword", seconds=0.3)
"""
COLLECT = {
    "prometheus_client": """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
""",
    "django_prometheus": """
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"])
from django.test import RequestFactory
from django_prometheus.exports import ExportToDjangoView
print(ExportToDjangoView(RequestFactory().get("/metrics")).content.decode())
""",
}


def test_django_prometheus_exports_the_default_registry():
    """Its view needs no more than the file."""
    exports = pytest.importorskip("django_prometheus.exports")
    load("prometheus_metrics")
    response = exports.ExportToDjangoView(RequestFactory().get("/metrics"))
    assert BUSY in samples(response.content.decode())


@pytest.mark.parametrize("package", COLLECT)
def test_several_processes_are_added_up(tmp_path, package):
    """Also what a process counted that has ended."""
    pytest.importorskip(package)
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def run(code: str) -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, cwd=ROOT
        ).stdout

    for _ in range(2):
        run(PROCESS.format(folder=str(METRICS)))
    found = samples(run(COLLECT[package]))
    assert (found[REQUESTED], found[CALLED], found[BUSY]) == (2, 2, 0)


# The dashboard and the alarms

RULES = [
    rule
    for group in yaml.safe_load((METRICS / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((METRICS / "grafana-dashboard.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [*QUERIES, *(rule["expr"] for rule in RULES)]
DOCUMENTED = set(
    re.findall(r"\bcognito_reset\.(\w+)", (ROOT / "docs" / "log.md").read_text(encoding="utf-8"))
)


def test_the_metrics_and_labels_of_each_query_exist():
    prometheus, _handler = load("prometheus_metrics")
    known: dict[str, set[str]] = {}
    for metric in (prometheus.ATTEMPTS, prometheus.CALLS, prometheus.EVENTS):
        name, labels = metric._name, {*metric._labelnames, "job", "le"}
        known |= {f"{name}{suffix}": labels for suffix in ("_total", "_bucket", "_count")}
    assert len(EXPRESSIONS) > 20
    for query in EXPRESSIONS:
        found = re.findall(r"(cognito_reset_\w+)(?:\{([^}]*)\})?", query)
        assert found
        for name, matchers in found:
            assert set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", matchers)) <= known[name], query


def test_the_page_has_the_metrics_with_their_labels():
    """The recipe for OpenTelemetry has the same ones: see test_the_recipe_counts."""
    prometheus, _handler = load("prometheus_metrics")
    expected = {}
    for metric in (prometheus.ATTEMPTS, prometheus.CALLS, prometheus.EVENTS):
        [family] = metric.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        expected[name] = [family.type, ", ".join(f"`{label}`" for label in metric._labelnames)]
    assert rows(text("metrics.md")) == expected


def test_the_reference_has_the_arguments_of_the_signal():
    assert set(re.findall(r"`(\w+)`", section("signals.md", "measured"))) >= ARGUMENTS


def alarmed(query: str) -> set[str]:
    """Return the events that a query counts."""
    return {
        event for found in re.findall(r'\bevent=~?"([^"]*)"', query) for event in found.split("|")
    }


def test_each_alarm_is_tied_to_documented_events():
    for rule in RULES:
        named = set(re.findall(r"cognito_reset\.(\w+)", rule["annotations"]["events"]))
        assert named
        assert named <= DOCUMENTED
        assert alarmed(rule["expr"]) <= named
        assert rule["annotations"].keys() == {"summary", "events", "action"}
    for query in QUERIES:
        assert alarmed(query) <= DOCUMENTED


@pytest.mark.parametrize("name", ["prometheus_metrics", "opentelemetry_metrics"])
def test_the_counter_of_each_alarm_starts_at_zero(name):
    """And each event of the page docs/scale.md on what to watch has an alarm."""
    text = (METRICS / f"{name}.py").read_text(encoding="utf-8")
    body = re.search(r"^ALARMS = \{(.*?)^\}", text, re.S | re.M)
    assert body is not None
    started = set(re.findall(r"[a-z]\w+", body[1]))
    wanted = {event for rule in RULES for event in alarmed(rule["expr"])}
    assert started == wanted
    watched = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").split("## What to watch")[1]
    table = set(re.findall(r"^\|.*", watched.split("Two numbers")[0], re.M))
    events = {name for row in table for name in re.findall(r"`cognito_reset\.(\w+)`", row.split("|")[1])}  # fmt: skip
    assert len(events) > 10
    assert events <= started


def test_each_critical_event_has_an_alarm():
    """And the page on what to watch names it."""
    critical = {name for name, (level, _fields) in documented().items() if "critical" in level}
    assert len(critical) > 4
    assert critical <= {event for rule in RULES for event in alarmed(rule["expr"])}
    watched = section("scale.md", "What to watch")
    assert critical <= set(re.findall(r"\bcognito_reset\.(\w+)", watched))
    for path in METRICS.glob("*_metrics.py"):
        [started] = re.findall(r'"CRITICAL": "([^"]*)"', path.read_text(encoding="utf-8"))
        assert critical == set(started.split())


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool isn't here (Debian: prometheus)")
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", METRICS / "alerts.yml"), ("test", "rules", ROOT / "tests/alerts_test.yml")],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_prometheus_accepts_the_rules_and_they_raise_alarms(arguments):
    done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
