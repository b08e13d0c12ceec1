"""What the app writes down, without a secret or an identifier in clear."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class ResetEvent(models.Model):
    """One thing that happened to one user's password reset. Only ever added, never changed."""

    class Face(models.TextChoices):
        PAGES = "pages", _("pages")
        REST = "rest", _("REST")
        AWS = "aws", _("AWS SDK")
        ADMIN = "admin", _("admin")
        COMMAND = "command", _("command line")

    class Outcome(models.TextChoices):
        REQUESTED = "requested", _("code requested")
        PENDING = "pending", _("no answer yet")
        THROTTLED = "throttled", _("too many attempts")
        CONFIRMED = "confirmed", _("password changed")
        REFUSED = "refused", _("refused")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("outcome unknown")
        TRIGGERED = "triggered", _("sent by staff")

    created_at = models.DateTimeField(_("time"), auto_now_add=True, db_index=True)
    face = models.CharField(_("way"), max_length=8, choices=Face)
    pool = models.CharField(_("user pool"), max_length=64)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome)
    error_code = models.CharField(_("error"), max_length=32, blank=True)
    aws_request_id = models.CharField(_("AWS request id"), max_length=64, blank=True)
    # A keyed hash: whoever reads the table can look one identifier up, and can't list them.
    identifier_hash = models.CharField(_("hashed identifier"), max_length=64, db_index=True)
    network = models.CharField(_("network"), max_length=50, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("staff member"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    target = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = _("reset event")
        verbose_name_plural = _("reset events")
        default_permissions = ("view",)
        permissions = [
            ("trigger_reset", "Can send password resets to users"),
            ("clear_limits", "Can let people try again who reached a limit"),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} ({self.get_face_display()})"


class ThrottleSlot(models.Model):
    """One of the N slots of a limit. throttling.py says how one is taken."""

    key = models.CharField(max_length=128)
    number = models.PositiveIntegerField()
    # Milliseconds since 1970: exact on every database, whatever its precision and time zone.
    expires = models.BigIntegerField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "number"], name="cognito_reset_slot"),
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key}:{self.number}"
