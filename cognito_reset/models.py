"""The app's tables. They hold no secrets, and identifiers only as keyed hashes."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import pgettext_lazy


class ResetEvent(models.Model):
    """One step of one person's password reset and its outcome. Rows are added and purged, never changed."""

    class Interface(models.TextChoices):
        PAGES = "pages", pgettext_lazy("reset event", "pages")
        REST = "rest", pgettext_lazy("reset event", "REST")
        AWS = "aws", pgettext_lazy("reset event", "AWS SDK")
        ADMIN = "admin", pgettext_lazy("reset event", "admin")
        COMMAND = "command", pgettext_lazy("reset event", "command line")
        PYTHON = "python", "Python"

    class Outcome(models.TextChoices):
        REQUESTED = "requested", pgettext_lazy("reset event", "code requested")
        PENDING = "pending", pgettext_lazy("reset event", "no answer yet")
        THROTTLED = "throttled", pgettext_lazy("reset event", "too many attempts")
        CONFIRMED = "confirmed", pgettext_lazy("reset event", "password changed")
        REFUSED = "refused", pgettext_lazy("reset event", "refused")
        FAILED = "failed", pgettext_lazy("reset event", "failed")
        UNKNOWN = "unknown", pgettext_lazy("reset event", "outcome unknown")
        TRIGGERED = "triggered", pgettext_lazy("reset event", "sent by staff")

    created_at = models.DateTimeField(
        pgettext_lazy("reset event", "time"), auto_now_add=True, db_index=True
    )
    interface = models.CharField(
        pgettext_lazy("reset event", "way"), max_length=8, choices=Interface
    )
    pool = models.CharField(pgettext_lazy("reset event", "user pool"), max_length=64)
    outcome = models.CharField(
        pgettext_lazy("reset event", "outcome"), max_length=10, choices=Outcome
    )
    error_code = models.CharField(pgettext_lazy("reset event", "error"), max_length=32, blank=True)
    aws_request_id = models.CharField(
        pgettext_lazy("reset event", "AWS request id"), max_length=64, blank=True
    )
    # Somebody who knows an identifier and SECRET_KEY can find its rows; nobody can read the
    # identifiers out of the table.
    identifier_hash = models.CharField(
        pgettext_lazy("reset event", "hashed identifier"), max_length=64, db_index=True
    )
    network = models.CharField(pgettext_lazy("reset event", "network"), max_length=50, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=pgettext_lazy("reset event", "staff member"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    target = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=pgettext_lazy("reset event", "user"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = pgettext_lazy("reset event", "reset event")
        verbose_name_plural = pgettext_lazy("reset event", "reset events")
        default_permissions = ("view",)
        permissions = [
            ("trigger_reset", "Can send password resets to users"),
            ("clear_limits", "Can let people try again who reached a limit"),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} ({self.get_interface_display()})"


class LedgerSlot(models.Model):
    """
    One of the N slots of a rate limit, or the one slot of a request. ``resets/stores.py`` reserves and
    releases them.
    """

    key = models.CharField(max_length=128)
    number = models.PositiveIntegerField()
    # Milliseconds since 1970, because databases differ in the precision of their timestamps.
    expires = models.BigIntegerField(db_index=True)
    # The kind of answer that the request had, as a number of resets/ratelimits.py; 0 while it runs.
    answer = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "number"], name="cognito_reset_slot"),
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key}:{self.number}"
