"""``manage.py cognito_reset``: the commands for operators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from cognito_reset.conf import conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets.stores import purge_expired


class Command(BaseCommand):
    help = "Password resets for users in Amazon Cognito."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        commands.add_parser(
            "purge",
            help="Delete reset events older than AUDIT_RETENTION_DAYS, and expired slots of limits.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        before = timezone.now() - timedelta(days=conf.audit_retention_days)
        events, _by_model = ResetEvent.objects.filter(created_at__lt=before).delete()
        slots = 0
        while purged := purge_expired():
            slots += purged
        self.stdout.write(f"Deleted {events} reset events and {slots} expired slots of limits.")
