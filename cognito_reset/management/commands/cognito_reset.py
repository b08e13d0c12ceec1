"""``manage.py cognito_reset``: the commands for operators."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, SystemCheckError
from django.db import Error as DatabaseError
from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.management.arguments import add_all_arguments
from cognito_reset.management.bulk import BulkCommand
from cognito_reset.management.doctor import run_doctor
from cognito_reset.management.exits import Exit, Interrupted, database_failed, failed
from cognito_reset.management.output import Output, output_error
from cognito_reset.management.send import run_send
from cognito_reset.models import ResetEvent
from cognito_reset.resets.stores import purge_expired
from cognito_reset.staff import bulk


class Command(BaseCommand):
    help = "Operate password resets for users in Amazon Cognito: find out what is wrong, send resets, and clean up."
    _ends_at_once = False

    def __init__(self, stdout: Any = None, stderr: Any = None, **options: Any) -> None:
        streams: list[Any] = [Output(stdout or sys.stdout), Output(stderr or sys.stderr)]
        super().__init__(*streams, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        add_all_arguments(commands)

    def check(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().check(*args, **kwargs)
        except SystemCheckError as error:
            error.returncode = Exit.CONFIGURATION
            raise

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except SystemExit:
            if not self._ends_at_once:
                raise
        else:
            return
        # Python would wait for the threads of calls that may have no answer for TOTAL_TIMEOUT_SECONDS.
        self.stdout.flush()
        self.stderr.flush()
        logging.shutdown()
        os._exit(Exit.ABORTED)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            match options["command"]:
                case "purge":
                    self.purge(as_json=options["json"])
                case "send":
                    run_send(self, options)
                case "doctor":
                    run_doctor(self, options)
                case _:
                    BulkCommand(self, options).handle()
            return
        except (bulk.BulkRefused, errors.ResetError, CognitoResetMisconfigured) as error:
            failure = failed(error)
        except DatabaseError as error:
            failure = database_failed(error)
        except KeyboardInterrupt:
            failure = Interrupted("Interrupted.", returncode=Exit.ABORTED)
        except Interrupted as interrupted:
            failure = interrupted
        finally:
            # What is left would be written when Python exits, where a reader that is gone would count as an error.
            self.stdout.flush()
            if missed := output_error(self.stdout):
                self.stderr.write(f"The output can't be written: {missed.strerror}.")
        self._ends_at_once = isinstance(failure, Interrupted)
        # Outside of the except block: the exception's text is all that an operator needs.
        raise failure

    def purge(self, *, as_json: bool) -> None:
        before = timezone.now() - timedelta(days=conf.audit_retention_days)
        events, _by_model = ResetEvent.objects.filter(created_at__lt=before).delete()
        slots = 0
        while purged := purge_expired():
            slots += purged
        runs = bulk.purge(before)
        if as_json:
            numbers = {"reset_events": events, "slots": slots, "bulk_runs": runs}
            self.stdout.write(json.dumps(numbers))
            return
        self.stdout.write(
            f"Deleted {events} reset events, {slots} expired slots of limits and {runs} resets of many "
            "people."
        )
