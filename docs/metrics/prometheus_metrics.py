"""Metrics of password resets for Prometheus. Import this module in ready() of one of your apps."""

from __future__ import annotations

import logging
from typing import Any

from django.dispatch import receiver
from prometheus_client import Counter, Histogram

from cognito_reset.signals import measured

ATTEMPT_LABELS = ["pool", "interface", "step", "outcome", "error_code"]
ATTEMPTS = Counter("cognito_reset_attempts", "Attempts to reset a password", ATTEMPT_LABELS)
CALLS = Histogram(
    "cognito_reset_call_seconds",
    "How long Cognito took to answer",
    ["pool", "operation", "error_code"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16),
)
EVENTS = Counter("cognito_reset_log_events", "Lines of the log, by event", ["event", "level"])

# Prometheus doesn't notice the first increase of a counter that it hasn't seen before, so these start at zero.
ALARMS = {
    "WARNING": "busy circuit_opened many_refusals",
    "ERROR": "site_limit_half_used site_limit_reached limits_unavailable upstream_error audit_failed "
    "sessions_failed sign_out_failed notice_failed bulk_paused bulk_stands_still session_store_failed "
    "trusted_proxies_unset client_address_unknown",
    "CRITICAL": "limits_misconfigured misconfigured site_code_failed call_failed bulk_call_failed upstream_error",
}
for level, events in ALARMS.items():
    for event_name in events.split():
        EVENTS.labels(event_name, level)


@receiver(measured)
def count(event: str, seconds: float | None, **values: Any) -> None:
    if event == "attempt":
        ATTEMPTS.labels(**{label: values[label] for label in ATTEMPT_LABELS}).inc()
    elif seconds is not None:
        CALLS.labels(values["pool"], values["operation"], values["error_code"]).observe(seconds)


class CountEvents(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = record.getMessage().split()[0].removeprefix("cognito_reset.").rstrip(":")
        EVENTS.labels(event, record.levelname).inc()


logging.getLogger("cognito_reset").addHandler(CountEvents())
