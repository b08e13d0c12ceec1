"""Traces and logs of a call belong to the request's: with the real OpenTelemetry, and nothing secret in them."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient

from cognito_reset.cognito.errors import Misconfigured, PasswordInvalid
from cognito_reset.cognito.service import get_service
from cognito_reset.resets.flow import Attempt, confirm_reset, request_code
from tests.people import NEW_PASSWORD

pytest.importorskip("opentelemetry.instrumentation.botocore")
from opentelemetry import trace
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)


class Tracing:
    """The instrumented botocore, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer(__name__)

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing()
    instrumentor = BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=tracing.provider)
    yield tracing
    instrumentor.uninstrument()
    tracing.provider.shutdown()


@pytest.mark.requirement("C15", "H1")
def test_the_spans_of_both_calls_are_children_of_the_requests(people, tracing):
    """A span has neither the code nor the password nor the client's secret in it."""
    with tracing.tracer.start_as_current_span("POST request"):
        request_code(Attempt("default"), {"username": "alice"})
    code = people.emulator.outbox[-1].code
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    with tracing.tracer.start_as_current_span("POST confirm"):
        confirm_reset(Attempt("default"), data)
    spans = tracing.spans()
    for request, operation in (("POST request", "ForgotPassword"), ("POST confirm", "ConfirmForgotPassword")):  # fmt: skip
        [call] = [span for name, span in spans.items() if name.endswith(f".{operation}")]
        assert call.parent is not None
        assert call.parent.span_id == spans[request].context.span_id
        assert call.context.trace_id == spans[request].context.trace_id
    text = "".join(span.to_json() for span in spans.values())
    hashed = str(people.secret_hash("alice"))
    for secret in (code, NEW_PASSWORD, people.pool["CLIENT_SECRET"], hashed, "alice"):
        assert secret not in text


@pytest.mark.requirement("H1")
def test_a_refusals_span_has_no_secret(people, tracing):
    """A tracer may record the exception."""
    code = people.code("alice")
    data = {"username": "alice", "confirmation_code": code, "password": "short"}
    with pytest.raises(PasswordInvalid):
        get_service().confirm(**data)
    text = "".join(span.to_json() for span in tracing.spans().values())
    assert "InvalidPasswordException" in text
    for secret in (code, '"short"', people.pool["CLIENT_SECRET"]):
        assert secret not in text


def test_the_calls_own_code_sees_the_requests_span(people, tracing, settings):
    """A span that the site's callable starts is in the same trace."""
    secret, seen = people.pool["CLIENT_SECRET"], []

    def client_secret() -> str:
        seen.append(trace.get_current_span().get_span_context().span_id)
        return str(secret)

    pool = {**people.pool, "CLIENT_SECRET": client_secret}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": {"default": pool}}
    with tracing.tracer.start_as_current_span("request") as span:
        request_code(Attempt("default"), {"username": "alice"})
    assert seen == [span.get_span_context().span_id]


def test_log_records_of_a_call_have_the_requests_id(people, caplog):
    """A logging filter of the site adds the id from a context variable."""
    request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
    ids: dict[str, str] = {}

    class AddId(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            ids[str(record.threadName)] = request_id.get()
            return True

    caplog.set_level(logging.INFO, "cognito_reset")
    request_id.set("request-1")
    caplog.handler.addFilter(added := AddId())
    request_code(Attempt("default"), {"username": "nobody"})
    caplog.handler.removeFilter(added)
    assert ids["cognito_reset"] == "request-1"


def test_a_tracer_that_fails_before_anything_is_sent(people, monkeypatch, settings, caplog):
    """The answer doesn't claim that a code may be on its way, and the limit isn't used up."""
    limits = {"request": {"identifier": "1/h"}}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": limits}

    def broken(*_: Any, **__: Any) -> None:
        raise LookupError(NEW_PASSWORD)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", broken)
        with pytest.raises(Misconfigured) as caught:
            request_code(Attempt("default"), {"username": "alice"})
    assert (caught.value.code, caught.value.sent) == ("unavailable", False)
    assert people.emulator.calls == []
    assert f" aws_code=LookupError aws_request_id= at={__file__}:" in caplog.text
    assert NEW_PASSWORD not in caplog.text
    request_code(Attempt("default"), {"username": "alice"})
    assert [name for name, _ in people.emulator.calls] == ["ForgotPassword"]
