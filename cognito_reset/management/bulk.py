"""``manage.py cognito_reset bulk``: resets of many people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.management.exits import Exit, unknown_pool
from cognito_reset.management.output import output_error
from cognito_reset.management.people import STANDARD_INPUT, people_in
from cognito_reset.management.progress import (
    Interruption,
    Report,
    counts_text,
    duration,
    progress_line,
)
from cognito_reset.models import BulkItem, BulkRun
from cognito_reset.staff import bulk, journal, summary
from cognito_reset.staff.sources import check, check_selection, is_temporary

State = BulkRun.State
LATEST: Final = 20  # runs that ``status`` shows
SAMPLE: Final = 10  # usernames that ``start`` shows
CONSEQUENCES: Final = (
    "A reset ends a person's password. They can't sign in until they have set a new one with the code "
    "that Cognito sends them."
)
LOOKED_UP_LATER: Final = (
    "A list's people are looked up one by one, just before each is sent a reset."
)


class BulkCommand:
    """One call of the command."""

    def __init__(self, command: BaseCommand, options: Mapping[str, Any]) -> None:
        self._out = command.stdout
        self._options = options
        self._is_json = options.get("json", False)  # "export" has no such option
        self._shows_usernames = options["verbosity"] >= 2
        self._words = command.stderr if self._is_json else self._out
        #: The number of the run to show at the end with --json, or None while no run is known.
        self._shown: int | None = None

    def handle(self) -> None:
        commands: dict[str, Callable[[], None]] = {
            "start": self.start,
            "status": self.status,
            "pause": partial(self.control, bulk.pause),
            "stop": partial(self.control, bulk.stop),
            "resume": self.resume,
            "retry-failed": self.retry,
            "export": self.export,
        }
        try:
            commands[self._options["bulk_command"]]()
        finally:  # also if some were not sent a reset
            if self._is_json and self._shown is not None:
                # Not journal.get(), which waits for a database that has failed.
                run = journal.runs().get(pk=self._shown)
                self._print_json(self._public(summary.full_data(run)))

    def start(self) -> None:
        path, pool = self._options["file"], self._options["pool"]
        if pool not in conf.pool_aliases():
            raise unknown_pool(pool)
        if self._options["dry_run"]:
            with people_in(path) if path else nullcontext() as people:
                return self._preview(people)
        self._check_queue()
        can_ask = self._can_ask() and path != STANDARD_INPUT
        with people_in(path) if path else nullcontext() as people:
            chosen = self._people(people)
            if not self._options["yes"] and not can_ask:
                # A mistake in the arguments comes first: otherwise it would be found after --yes was added.
                pool, source, value = (chosen[name] for name in ("pool", "source", "value"))
                check(pool, source, value, self._options["rate"])
                check_selection(pool, source, value)
                raise self._cannot_ask("Add --yes, or --dry-run.")
            run = bulk.start(
                **chosen,
                rate=self._options["rate"],
                force=self._options["force"],
                confirmed=self._options["yes"],
                interface="command",
            )
        self._shown = run.pk
        self._write(f"This is reset of many people number {run.pk}.")
        if self._options["background"] and self._options["yes"]:
            return self._hand_over(run)
        run = self._read(run)
        self._go_on(self._asked(run))

    def status(self) -> None:
        options = self._options
        if options["run"] is not None:
            return self._show(self._run())
        chosen = (
            journal.runs()
            if options["pool"] is None
            else journal.runs().filter(pool=options["pool"])
        )
        runs = chosen.order_by("-pk")[:LATEST]
        if self._is_json:
            return self._print_json([self._public(summary.run_data(run)) for run in runs])
        for run in runs:
            self._write(f"{run.pk}: {self._headline(run)}")

    def control(self, change: Callable[[int], BulkRun]) -> None:
        self._show(change(self._run().pk))

    def resume(self) -> None:
        self._check_queue()
        run = self._run()
        needs_answer = not (run.is_confirmed or self._options["yes"])
        if needs_answer and run.state not in journal.OVER and not self._can_ask():
            raise self._cannot_ask("Add --yes.")
        try:
            run = bulk.resume(run.pk, force=self._options["force"], confirmed=self._options["yes"])
        except bulk.BulkRefused as refusal:
            if refusal.code != "unconfirmed":
                raise
        else:
            run = self._read(run) if needs_answer else run
        self._go_on(self._asked(run) if needs_answer else run)

    def retry(self) -> None:
        self._check_queue()
        run = bulk.retry(self._run().pk, unknown=self._options["unknown"])
        if run.state in journal.ACTIVE:
            self._go_on(run)
        else:
            self._show(run)

    def export(self) -> None:
        rows = bulk.rows(self._run().pk)
        path = self._options["output"]
        if not path:
            summary.write_csv(self._out, rows, ending="\n")
            self._out.flush()
            if output_error(self._out):
                raise CommandError("The table is incomplete.", returncode=Exit.USAGE)
            return
        # Other users of this machine must not read the usernames. They may be able to read a file that exists.
        private = partial(os.open, mode=0o600)
        try:
            with open(path, "x", encoding="utf-8", newline="", opener=private) as file:
                summary.write_csv(file, rows)
        except OSError as error:
            text = f"{path} can't be written: {error.strerror}."
            raise CommandError(text, returncode=Exit.USAGE) from None

    def _people(self, people: Iterable[str] | None) -> dict[str, Any]:
        """Return the arguments that say which people are to be reset."""
        options = self._options
        source, value = "list" if people is not None else "all", ""
        for name in ("group", "status", "filter"):
            if options[name] is not None:
                source, value = name, options[name]
        arguments = {"pool": options["pool"], "limit": options["limit"]}
        return {**arguments, "source": source, "value": value, "usernames": people}

    def _preview(self, people: Iterable[str] | None) -> None:
        preview = bulk.dry_run(**self._people(people), is_patient=True)
        if self._is_json:
            return self._print_json(self._preview_data(preview))
        self._write(f"Number of people: {preview.count:,}.")
        if preview.looked_up < preview.count:
            self._write(f"The first {preview.looked_up:,} of them were looked up.")
        for code, count in preview.refused.most_common():
            self._write(f"  {count:,} would be refused: {bulk.words(code)}")
        self._write(f"  {preview.looked_up - preview.refused.total():,} would be sent a reset.")
        self._sample(preview.sample)
        for warning in preview.warnings:
            self._write(f"Warning: {warning}")
        self._write(CONSEQUENCES)
        self._write("This was a dry run: nothing was changed.")

    def _preview_data(self, preview: bulk.Preview) -> dict[str, Any]:
        """Return a preview with the keys that REST has."""
        reasons = [
            {"state": "refused", "code": code, "detail": bulk.words(code), "count": count}
            for code, count in preview.refused.most_common()
        ]
        data: dict[str, Any] = {
            "count": preview.count,
            "looked_up": preview.looked_up,
            "reasons": reasons,
        }
        sample = {"sample": preview.sample} if self._shows_usernames else {}
        return {**data, **sample, "warnings": preview.warnings}

    def _read(self, run: BulkRun) -> BulkRun:
        """Read the run's people into the journal, and send nothing."""
        if run.state == State.FILLING:
            run = self._work(
                run,
                lambda: journal.get(run.pk).state == State.FILLING,
                begin=partial(self._read_first_page, run),
            )
        if run.state not in journal.ACTIVE and run.reason != "unconfirmed":
            self._end(run)
        if not run.size:
            bulk.stop(run.pk)
            raise bulk.BulkRefused("nobody")
        return run

    def _read_first_page(self, run: BulkRun) -> None:
        """Read a page. Stop the run, and raise ``ResetError``, if waiting doesn't help."""
        try:
            bulk.fill_some(run.pk)
        except errors.ResetError as error:
            if not is_temporary(error):
                bulk.stop(run.pk)
                raise

    def _go_on(self, run: BulkRun) -> None:
        if self._options["background"]:
            self._hand_over(run)
        else:
            self._end(self._work(run))

    def _work(
        self,
        run: BulkRun,
        goes_on: Callable[[], bool] = lambda: True,
        begin: Callable[[], None] = lambda: None,
    ) -> BulkRun:
        report = Report(self._words, run)
        with Interruption() as interruption:
            begin()

            def wanted() -> bool:
                if interruption.came:
                    report.say("Waiting for the calls that are under way.")
                return not interruption.came and goes_on()

            bulk.work(run.pk, wanted=wanted, when_changed=report.changed)
        run = journal.get(run.pk)
        if interruption.came and run.state in journal.ACTIVE:
            run = bulk.pause(run.pk)
        if run.state not in journal.ACTIVE:
            report.show()
        report.close()
        if interruption.came and run.state == State.PAUSED:
            self._end(run)  # instead of asking
        return run

    def _end(self, run: BulkRun) -> None:
        """Show how the run ended, and raise CommandError unless all were sent a reset."""
        self._reasons(run)
        if run.state != State.DONE:
            raise CommandError(_state_text(run), returncode=Exit.ABORTED)
        counts = bulk.counts(run.pk)
        if counts[BulkItem.State.SENT] < run.size:
            text = (
                f"Some were not sent a reset, or their outcome is unknown: {counts_text(counts)}."
            )
            raise CommandError(f"{text} See {_call('export', run)}", returncode=Exit.PARTIAL)

    def _hand_over(self, run: BulkRun) -> None:
        summary.hand_over(run)
        self._write(f"The task queue has it. Watch it with {_call('status', run)}")

    def _check_queue(self) -> None:
        if self._options["background"] and conf.bulk_enqueue is None:
            text = 'COGNITO_RESET["BULK_ENQUEUE"] is not set, so there is no task queue.'
            raise CommandError(text, returncode=Exit.CONFIGURATION)

    def _describe(self, run: BulkRun) -> None:
        """Show what the run would do."""
        pending = journal.items(run.pk).filter(state=BulkItem.State.PENDING).order_by("pk")
        self._write(f"Number of people: {run.size:,}.")
        self._reasons(run)
        self._sample(pending.values_list("username", flat=True)[:SAMPLE])
        if run.source == "list":
            self._write(LOOKED_UP_LATER)
        self._write(CONSEQUENCES)

    def _asked(self, run: BulkRun) -> BulkRun:
        """Show what the run would do, and return it when somebody has confirmed it. Otherwise stop it."""
        self._describe(run)
        if run.is_confirmed:
            return run
        count = bulk.counts(run.pk)[BulkItem.State.PENDING]
        try:
            answer = input(f"To go on, type the number of people, {count}: ").strip()
        except (EOFError, KeyboardInterrupt):
            answer = ""
        if answer == str(count):
            run = journal.get(run.pk)
            if run.is_confirmed:  # by somebody else meanwhile
                return run
            return bulk.resume(run.pk, force=self._options["force"], confirmed=True)
        bulk.stop(run.pk)
        # Somebody else may have confirmed it meanwhile.
        is_begun = journal.items(run.pk).filter(claimed_at__isnull=False).exists()
        text = "Stopped." if is_begun else "Stopped. Nobody was sent a reset."
        raise CommandError(text, returncode=Exit.ABORTED)

    def _show(self, run: BulkRun) -> None:
        if self._is_json:
            return  # handle() shows it
        self._write(f"Reset of many people number {run.pk}: {self._headline(run)}")
        self._write(progress_line(run))
        self._reasons(run)
        self._write(_state_text(run))

    def _headline(self, run: BulkRun) -> str:
        value = run.source_value if self._shows_value(run.source) else ""
        source = f"{run.source} {value}".strip()
        created = run.created_at.isoformat(" ", "minutes")
        return f"{run.state}, {source} of the pool {run.pool}, {run.rate:g}/s, created at {created}"

    def _shows_value(self, source: str) -> bool:
        # A filter may have somebody's name, address or number in it.
        return source != "filter" or self._shows_usernames

    def _public(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a run as --json shows them."""
        return data if self._shows_value(data["source"]) else {**data, "source_value": None}

    def _reasons(self, run: BulkRun) -> None:
        for reason in summary.reasons(run):
            self._write(f"  {reason.count:,} {reason.state}: {reason.text}")

    def _sample(self, usernames: Iterable[str]) -> None:
        if self._shows_usernames:
            self._write(f"Some of them: {', '.join(usernames)}")

    def _run(self) -> BulkRun:
        run = journal.runs().filter(pk=self._options["run"]).first()
        if run is None:
            text = f"There is no reset of many people number {self._options['run']}."
            raise CommandError(text, returncode=Exit.USAGE)
        self._shown = run.pk
        return run

    def _print_json(self, data: Any) -> None:
        # Django's encoder writes times as REST does.
        self._out.write(json.dumps(data, cls=DjangoJSONEncoder, indent=2))

    def _write(self, text: str) -> None:
        self._words.write(text, str)  # not in the style of errors

    def _can_ask(self) -> bool:
        # input() would write the question to standard output, which has nothing but JSON.
        if self._is_json or sys.stdin is None or sys.stdout is None:
            return False
        return sys.stdin.isatty()

    def _cannot_ask(self, hint: str) -> CommandError:
        self._shown = None  # after wrong usage, standard output is empty
        text = (
            "Nothing is asked with --json." if self._is_json else "There is no terminal to ask at."
        )
        return CommandError(f"{text} {hint}", returncode=Exit.USAGE)


def _call(name: str, run: BulkRun, option: str = "") -> str:
    return f'"manage.py cognito_reset bulk {name} {run.pk}{option}".'


def _state_text(run: BulkRun) -> str:
    """Return the run's state in words, and what to do about it."""
    if run.state == State.DONE:
        return "It is done."
    if run.state == State.STOPPED:
        return "It was stopped."
    is_paused = run.state == State.PAUSED
    stands_still = bulk.progress(run).stands_still
    if bulk.is_interrupted(run) and (is_paused or stands_still):
        return f"{bulk.words('list_interrupted')} Stop it with {_call('stop', run)}"
    if is_paused:
        option = " --force" if run.reason == "own_sender" else ""
        reason = f": {bulk.words(run.reason)}" if run.reason else "."
        hint = f" Have this checked first: {run.hint}." if run.hint else ""
        call = _call("resume", run, option)
        return f"It is paused{reason}{hint} Resume it with {call}"
    if stands_still:
        return f"It stands still. Resume it with {_call('resume', run)}"
    if run.state == State.READY:
        if conf.bulk_enqueue:
            return "It is ready, and waits for the task queue."
        return f"It is ready, and waits for {_call('resume', run)}"
    ago = (timezone.now() - run.touched_at).total_seconds()
    return f"It was last worked on {duration(ago)} ago."
