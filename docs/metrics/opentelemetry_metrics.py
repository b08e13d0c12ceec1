"""
Metrics of password resets for OpenTelemetry. Import this module in ready() of one of your apps, after the meter
provider is set.
"""

from __future__ import annotations

import logging
from typing import Any

from django.dispatch import receiver
from opentelemetry import metrics

from cognito_reset.signals import measured

meter = metrics.get_meter("cognito_reset")
ATTEMPTS = meter.create_counter(
    "cognito_reset.attempts", description="Attempts to reset a password"
)
CALLS = meter.create_histogram(
    "cognito_reset.call",
    unit="s",
    description="How long Cognito took to answer",
    explicit_bucket_boundaries_advisory=[0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16],
)
EVENTS = meter.create_counter("cognito_reset.log_events", description="Lines of the log, by event")

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
        EVENTS.add(0, {"event": event_name, "level": level})


@receiver(measured)
def count(event: str, seconds: float | None, **values: Any) -> None:
    if event == "attempt":
        labels = ["pool", "interface", "step", "outcome", "error_code"]
        ATTEMPTS.add(1, {label: values[label] for label in labels})
    elif seconds is not None:
        labels = ["pool", "operation", "error_code"]
        CALLS.record(seconds, {label: values[label] for label in labels})


class CountEvents(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = record.getMessage().split()[0].removeprefix("cognito_reset.").rstrip(":")
        EVENTS.add(1, {"event": event, "level": record.levelname})


logging.getLogger("cognito_reset").addHandler(CountEvents())
