"""
The app's tables. They hold no secrets. Identifiers are in them only as keyed hashes, except for the usernames of a
bulk run and the filter that selected them, which are purged with the run.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

__all__ = ["BulkItem", "BulkRun", "ResetEvent"]


class ResetEvent(models.Model):
    """
    One step of a person's password reset, or one thing that staff did for a person, and its outcome. Rows are added
    and purged, never changed.
    """

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
        INVITED = "invited", pgettext_lazy("reset event", "invitation sent again")
        THROTTLED = "throttled", pgettext_lazy("reset event", "too many attempts")
        CONFIRMED = "confirmed", pgettext_lazy("reset event", "password changed")
        REFUSED = "refused", pgettext_lazy("reset event", "refused")
        FAILED = "failed", pgettext_lazy("reset event", "failed")
        UNKNOWN = "unknown", pgettext_lazy("reset event", "outcome unknown")
        TRIGGERED = "triggered", pgettext_lazy("reset event", "done by staff")

    class Action(models.TextChoices):
        """What staff did. The values are in URLs, the labels are on buttons."""

        RESET = "reset", _("Send a password reset")
        INVITE = "invite", _("Send the invitation again")
        ENABLE = "enable", _("Enable the account")
        CONFIRM = "confirm", _("Confirm the sign-up")
        SIGN_OUT = "sign-out", _("Sign out everywhere")
        CLEAR_LIMITS = "clear-limits", _("Let this person try again")

    created_at = models.DateTimeField(
        pgettext_lazy("reset event", "time"), auto_now_add=True, db_index=True
    )
    interface = models.CharField(
        pgettext_lazy("reset event", "interface"), max_length=8, choices=Interface
    )
    pool = models.CharField(pgettext_lazy("reset event", "user pool"), max_length=64)
    # "request", "confirm" or "staff". The database has the default of this column and of the column ``action``, because
    # workers of the version before these columns may still write rows while a site is upgraded.
    step = models.CharField(max_length=7, blank=True, default="", db_default="", editable=False)
    outcome = models.CharField(
        pgettext_lazy("reset event", "outcome"), max_length=10, choices=Outcome
    )
    # Empty for a person's own steps, unless the invitation was sent again.
    action = models.CharField(
        pgettext_lazy("reset event", "action"),
        max_length=12,
        choices=Action,
        blank=True,
        default="",
        db_default="",
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
            ("look_up_account", "Can see what Cognito says of a person"),
            ("trigger_reset", "Can send password resets to users"),
            ("resend_invitation", "Can send invitations again"),
            ("enable_account", "Can enable users in Cognito"),
            ("confirm_sign_up", "Can confirm sign-ups in Cognito"),
            ("sign_out", "Can sign people out everywhere"),
            ("clear_limits", "Can let people try again who reached a limit"),
            ("run_bulk_reset", "Can reset the passwords of many people"),
            ("check_connection", "Can see the state of the connection"),
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
    # The kind of answer that the request had, as a number of resets/reservations.py; 0 while it runs.
    answer = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "number"], name="cognito_reset_slot"),
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key}:{self.number}"


class BulkRun(models.Model):
    """
    A reset of many people. Only ``change()`` of ``staff/journal.py`` changes it. That function first locks the run's row
    with an UPDATE. The row also has the pace, so that all workers together keep the rate.
    """

    class State(models.TextChoices):
        FILLING = "filling", pgettext_lazy("bulk run", "reading the list")
        READY = "ready", pgettext_lazy("bulk run", "ready")
        RUNNING = "running", pgettext_lazy("bulk run", "running")
        PAUSED = "paused", pgettext_lazy("bulk run", "paused")
        STOPPED = "stopped", pgettext_lazy("bulk run", "stopped")
        DONE = "done", pgettext_lazy("bulk run", "done")

    pool = models.CharField(pgettext_lazy("reset event", "user pool"), max_length=64)
    # The Region while the run isn't over, and null afterwards: resets share one quota of the account's
    # Region, so there is one run at a time.
    holds = models.CharField(  # noqa: DJ001  # any number of rows may have null in a unique column
        max_length=64, unique=True, null=True, editable=False
    )
    state = models.CharField(
        pgettext_lazy("bulk run", "state"), max_length=8, choices=State, default=State.FILLING
    )
    # Why it paused: the code of a ResetError or a BulkRefused, or "" if somebody paused it; and which setting
    # to look at, if that is known.
    reason = models.CharField(pgettext_lazy("bulk run", "reason"), max_length=64, blank=True)
    hint = models.CharField(max_length=64, blank=True)
    # Where the people come from: "all", "status", "group", "filter", "queryset" or "list".
    source = models.CharField(pgettext_lazy("bulk run", "source"), max_length=8)
    # The status, the group or the filter.
    source_value = models.CharField(max_length=512, blank=True)
    # The token of Cognito's next page while the list is read. Its length has no documented limit.
    page_token = models.TextField(blank=True, editable=False)
    # Whether the whole list has been read.
    is_complete = models.BooleanField(default=False)
    # The number of people in the journal so far, and how many there may be, or null for all.
    size = models.PositiveIntegerField(default=0)
    size_limit = models.PositiveIntegerField(null=True, blank=True)
    # The number of those who may be sent a mail.
    mails = models.PositiveIntegerField(default=0, editable=False)
    # Whether staff members of the site are left out. It is decided at the start, because the actor may be
    # deleted before the run is over.
    spares_staff = models.BooleanField(default=False)
    # Whether the run may be larger than what Cognito's own sender can mail in a day.
    is_forced = models.BooleanField(default=False)
    # Whether somebody has agreed to reset these people. Nobody is sent anything before that.
    is_confirmed = models.BooleanField(default=False)
    # Calls a second. The current rate is lower for a while after Cognito has limited the rate.
    rate = models.FloatField(pgettext_lazy("bulk run", "rate"))
    current_rate = models.FloatField()
    # When the next reset is due, and the next look-up of an entry of a list, in seconds since 1970.
    next_at = models.FloatField(default=0)
    look_up_at = models.FloatField(default=0, editable=False)
    # The claims of the last second, of resets and of look-ups, as JSON: when, in seconds since 1970, and of how many
    # people.
    recent_claims = models.TextField(blank=True, editable=False)
    recent_look_ups = models.TextField(blank=True, editable=False)
    # Failures in a row that aren't about one person.
    failures = models.PositiveSmallIntegerField(default=0)
    # The number of the slice that may run next: a task with another number is void.
    slice_number = models.PositiveIntegerField(default=0)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=pgettext_lazy("reset event", "staff member"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    interface = models.CharField(
        pgettext_lazy("reset event", "interface"), max_length=8, choices=ResetEvent.Interface
    )
    created_at = models.DateTimeField(pgettext_lazy("bulk run", "created"), auto_now_add=True)
    # When somebody last worked on it: a run that is running and hasn't been touched stands still.
    touched_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(pgettext_lazy("bulk run", "ended"), null=True, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("bulk run", "reset of many people")
        verbose_name_plural = pgettext_lazy("bulk run", "resets of many people")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.pk} ({self.get_state_display()})"


class BulkItem(models.Model):
    """One person of a bulk run."""

    class State(models.TextChoices):
        PENDING = "pending", pgettext_lazy("bulk item", "waiting")
        SENDING = "sending", pgettext_lazy("bulk item", "being sent")
        SENT = "sent", pgettext_lazy("bulk item", "sent")
        REFUSED = "refused", pgettext_lazy("bulk item", "refused")
        FAILED = "failed", pgettext_lazy("bulk item", "failed")
        UNKNOWN = "unknown", pgettext_lazy("bulk item", "outcome unknown")

    run = models.ForeignKey(BulkRun, on_delete=models.CASCADE, related_name="items")
    username = models.CharField(max_length=128)
    # SHA-256 in hex: databases compare text by their own rules for case and accents.
    username_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    error_code = models.CharField(max_length=32, blank=True)
    aws_request_id = models.CharField(max_length=64, blank=True)
    claimed_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "username_hash"], name="cognito_reset_item_once"
            ),
        ]
        indexes = [
            models.Index(fields=["run", "state", "id"], name="cognito_reset_item_state"),
            models.Index(fields=["run", "done_at"], name="cognito_reset_item_done"),
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.run_id}:{self.pk} ({self.get_state_display()})"


class Account(ResetEvent):
    """
    A user of a pool, for the admin's list of models. Cognito has its data, so this is a proxy, which has no
    table. An unmanaged model would break ``dumpdata``, which reads the table of every model but proxies.
    """

    class Meta:
        proxy = True
        verbose_name = pgettext_lazy("reset event", "account in Cognito")
        verbose_name_plural = pgettext_lazy("reset event", "accounts in Cognito")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.pk or "")  # for the admin's log: the pool and the sub
