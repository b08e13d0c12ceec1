"""``manage.py cognito_reset send``: a password reset for a few people, named one by one."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

from django.core.management.base import BaseCommand, CommandError

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.management.exits import Exit, Interrupted, failed, unknown_pool
from cognito_reset.management.people import STANDARD_INPUT, people_in
from cognito_reset.management.progress import Interruption
from cognito_reset.models import ResetEvent
from cognito_reset.staff.accounts import look_up
from cognito_reset.staff.actions import ACTIONS, Name, delivery, reason_of, refusal_of
from cognito_reset.staff.perform import Done, perform_for

MOST: Final = 100  # AWS limits the rate for the whole account; "bulk" spreads more people over time
RESET: Final = ACTIONS[Name.RESET]


@dataclass(frozen=True)
class Sent:
    """What happened for one person, with the keys of ``--json``. ``outcome`` is "would_send" in a dry run."""

    username: str
    outcome: str
    error: str
    detail: str
    medium: str
    destination: str
    request_id: str

    @classmethod
    def of(cls, name: str, done: Done) -> Sent:
        is_sent = done.outcome == ResetEvent.Outcome.TRIGGERED
        return cls(
            name,
            "sent" if is_sent else done.outcome,
            done.error.code if done.error else "",
            reason_of(done.error, RESET) if done.error else done.text,
            done.medium,
            done.destination,
            done.request_id,
        )


def run_send(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Send the resets, and show one line for each person. Raise ``CommandError`` unless all were sent."""
    names, pool = _names(options["usernames"]), options["pool"]
    if pool not in conf.pool_aliases():
        raise unknown_pool(pool)
    act = _preview if options["dry_run"] else _send
    outcomes: list[Sent] = []
    failure: CommandError | None = None

    name = names[0]

    def when_interrupted() -> None:
        text = (
            f"Waiting for Cognito's answer about {_shown(name)}. Each call takes at most "
            f"{conf.total_timeout_seconds:g} seconds. Interrupt again to end at once."
        )
        with suppress(OSError):  # the terminal may have been closed
            command.stderr.write(text)

    with Interruption(when_interrupted, signal.default_int_handler) as interruption:
        for name in names:
            try:
                done, error = act(name, pool)
            except KeyboardInterrupt:  # the second signal
                if options["dry_run"]:
                    raise
                done, error = _send(name, pool, find=_not_waited_for)  # which is for the audit
                failure = Interrupted("Interrupted.", returncode=Exit.ABORTED)
            outcomes.append(done)
            if not options["json"]:
                command.stdout.write(f"{done.outcome}: {_shown(name)}: {done.detail}")
            if isinstance(error, errors.Misconfigured):  # it would be the same for everybody else
                failure = failed(error)
            elif interruption.came:
                failure = failure or CommandError("Interrupted.", returncode=Exit.ABORTED)
            if failure:
                break
    if options["json"]:
        command.stdout.write(json.dumps([vars(outcome) for outcome in outcomes], indent=2))
    _finish(outcomes, len(names), failure)


def _finish(outcomes: list[Sent], wanted: int, failure: CommandError | None) -> None:
    if failure and len(outcomes) < wanted:
        text = f"{failure} {wanted - len(outcomes)} of {wanted} people were left out."
        failure = type(failure)(text, returncode=failure.returncode)
    if failure:
        raise failure
    missed = sum(outcome.outcome not in ("sent", "would_send") for outcome in outcomes)
    if missed:
        text = f"{missed} of {wanted} people were not sent a reset, or it is unknown."
        raise CommandError(text, returncode=Exit.PARTIAL)


def _names(given: Iterable[str]) -> list[str]:
    """Return the names in the arguments, and the lines of standard input for "-", each name once."""
    names: dict[str, None] = {}
    for argument in given:
        if argument == STANDARD_INPUT:
            with people_in(STANDARD_INPUT) as lines:
                names |= dict.fromkeys(filter(None, map(str.strip, lines)))
        elif not argument.strip():
            raise CommandError("A USERNAME is empty.", returncode=Exit.USAGE)
        else:
            names[argument] = None
    if not names or len(names) > MOST:
        text = f"Name from 1 to {MOST} people. For more, use cognito_reset bulk start."
        raise CommandError(text, returncode=Exit.USAGE)
    return list(names)


def _send(
    name: str, pool: str, find: Callable[..., Any] = look_up
) -> tuple[Sent, errors.ResetError | None]:
    found = partial(find, name, pool=pool)
    done = perform_for(
        found, RESET, pool=pool, name=name, username=name, actor=None, interface="command"
    )
    return Sent.of(name, done), done.error


def _not_waited_for(*arguments: Any, **more: Any) -> NoReturn:
    raise errors.OutcomeUnknown


def _preview(name: str, pool: str) -> tuple[Sent, errors.ResetError | None]:
    """Look a person up, and return what sending would come to, as far as that is known beforehand."""
    try:
        account = look_up(name, pool=pool)
        if refusal := refusal_of(RESET, account, actor=None):
            raise refusal
    except errors.ResetError as error:
        done = Done(RESET, None, name, error, request_id=error.request_id)
        return Sent.of(name, done), error
    medium, destination = delivery(RESET.name, account.person, account.rules)
    media = {"EMAIL": "email", "SMS": "SMS"}
    where = f"by {media[medium]}, to {destination}" if medium else "by email or SMS"
    detail = f"A code would be sent {where}."
    return Sent(name, "would_send", "", detail, medium, destination, ""), None


def _shown(name: str) -> str:
    """Return a name without characters that a terminal would obey."""
    return name if name.isprintable() else ascii(name)
