"""The arguments of ``manage.py cognito_reset``, and what its help says."""

from __future__ import annotations

import argparse
import math
from textwrap import fill
from typing import Any, Final
from urllib.parse import urlsplit

from django.utils.encoding import iri_to_uri

from cognito_reset.conf import DEFAULT_POOL
from cognito_reset.staff import bulk

WIDTH: Final = 80
EXITS: Final = {
    "purge": "Exit codes: 0 if it is done; 2 for wrong usage; 3 for wrong settings; 4 if it was interrupted, or the "
    "database failed.",
    "bulk": "Exit codes: 0 if all were sent a reset, or if a command that sends nothing has succeeded; 1 if some were "
    "refused or failed, or their outcome is unknown; 2 for wrong usage, such as an unknown pool, number, group or "
    "filter, a file that can't be read or written, or nobody to send to; 3 for wrong settings or credentials, or if "
    "there is no task queue; 4 if it was paused or stopped, if Cognito or the database failed, or if it can't be started "
    "or changed now, for example because it is over, or because another one is still under way. After the first SIGINT (Ctrl+C), SIGTERM or "
    "SIGHUP, the command waits for the calls that are under way, and pauses. A second signal ends the command at once.",
    "send": "Exit codes: 0 if all were sent a reset, or would be; 1 if some were refused or failed, or their outcome is "
    "unknown; 2 for wrong usage; 3 for wrong settings or credentials; 4 if it was interrupted, or the database failed. "
    "After the first SIGINT (Ctrl+C), SIGTERM or SIGHUP, the command waits for the answer about the person whose turn "
    "it is. A second signal ends it at once, and that person's outcome is unknown.",
    "doctor": "Exit codes: 0 if there is no error and no warning; 1 if there are warnings; 2 for wrong usage; 3 if "
    "there are errors, or if the settings are wrong; 4 if it was interrupted. What can't be seen changes no exit code.",
}
MOST_PEOPLE: Final = 2**31 - 1  # the column's highest number
PURGE: Final = (
    "Delete reset events and resets of many people older than AUDIT_RETENTION_DAYS, and expired slots of limits. "
    "Run it daily."
)
SEND: Final = (
    "Send a password reset to a few people, as staff do in the admin: each person's password ends, and Cognito sends "
    "a code. The rules, the limits and the audit are those of the admin, and the audit names the command line. "
    "For more than 100 people, use bulk."
)
DOCTOR: Final = (
    "Find out what is wrong with the settings, the way to Cognito, the user pool and the app client, the tables and "
    "the limits. Each finding has an id and, if something is wrong, a fix. It changes nothing, and no user notices it. "
    "It needs no credentials for the first part, and says what it can't see without them."
)
BULK: Final = "Reset many people, watch it, and control it."
HELP: Final = {
    "start": "Send a password reset to many people.",
    "status": "Show how far a reset of many people is, or list the latest 20.",
    "pause": "Pause a reset of many people: no further calls begin, in whichever process it is worked on.",
    "stop": "End a reset of many people for good.",
    "resume": "Continue a reset of many people, in this command.",
    "retry-failed": "Send again to the people for whom a reset failed, in this command.",
    "export": "Write a table (CSV) of the people and the outcome for each.",
}
_RUN_AS_JSON: Final = "show the reset of many people as a JSON object"
_WORK_AS_JSON: Final = f"{_RUN_AS_JSON} at the end, and the progress on standard error"
JSON: Final = {
    "start": f"{_WORK_AS_JSON}; needs --yes or --dry-run",
    "status": "show a JSON object, or a JSON list without an ID",
    "pause": _RUN_AS_JSON,
    "stop": _RUN_AS_JSON,
    "resume": f"{_WORK_AS_JSON}; needs --yes if nobody has confirmed it yet",
    "retry-failed": _WORK_AS_JSON,
}
EXAMPLES: Final = {
    "purge": "purge --json",
    "send": "send alice bob@example.com --dry-run",
    "doctor": "doctor --url https://www.example.com/password-reset/",
    "bulk": "bulk start --file people.txt --dry-run",
    "start": "bulk start --file people.txt --rate 5",
    "status": "bulk status 3",
    "pause": "bulk pause 3",
    "stop": "bulk stop 3",
    "resume": "bulk resume 3",
    "retry-failed": "bulk retry-failed 3",
    "export": "bulk export 3 --output people.csv",
}


def add_all_arguments(commands: Any) -> None:
    """Add every subcommand, with a description, an example and its exit codes."""
    purge = _parser(commands, "purge", PURGE, "purge")
    purge.add_argument("--json", action="store_true", help="show the numbers as a JSON object")
    _add_send_arguments(_parser(commands, "send", SEND, "send"))
    _add_doctor_arguments(_parser(commands, "doctor", DOCTOR, "doctor"))
    add_bulk_arguments(commands)


def _parser(commands: Any, name: str, text: str, exits: str) -> argparse.ArgumentParser:
    example = f"Example:\n  python manage.py cognito_reset {EXAMPLES[name]}"
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text.partition(". ")[0].rstrip(".") + ".",
        description=fill(text, WIDTH),
        epilog=f"{example}\n\n{fill(EXITS[exits], WIDTH)}",
        # Otherwise argparse would join the example's line with others.
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_send_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "usernames",
        metavar="USERNAME",
        nargs="+",
        help="a username, email address, phone number or sub; - reads them from standard input, one in a line",
    )
    _add_pool(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="look the people up, and send nothing"
    )
    parser.add_argument("--json", action="store_true", help="show the outcomes as a JSON list")


def _add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pool", metavar="ALIAS", help="examine only this pool in POOLS (default: all pools)"
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        type=web_address,
        help="the address of the first page, to examine also what a browser meets there",
    )
    parser.add_argument(
        "--permissions",
        action="store_true",
        help="also try each operation of staff's features for a made-up user, which CloudTrail shows",
    )
    parser.add_argument("--json", action="store_true", help="show the findings as a JSON list")


def _add_pool(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pool",
        metavar="ALIAS",
        default=DEFAULT_POOL,
        help="the pool in POOLS (default: %(default)s)",
    )


def add_bulk_arguments(commands: Any) -> None:
    parser = _parser(commands, "bulk", BULK, "bulk")
    children = parser.add_subparsers(dest="bulk_command", required=True, metavar="COMMAND")
    by_name: dict[str, Any] = {}
    for name, help in HELP.items():
        child: Any = _parser(children, name, help, "bulk")
        by_name[name] = child
        # Otherwise it would be allowed only before the word "bulk".
        child.add_argument(
            *("-v", "--verbosity"),
            **{"type": int, "choices": range(4), "default": argparse.SUPPRESS},
            help="2 also shows usernames and filters",
        )
        if name != "start":
            amount = {"nargs": "?"} if name == "status" else {}
            child.add_argument(
                "run", metavar="ID", type=int, help="the number that start showed", **amount
            )
    add_start_arguments(by_name["start"])
    by_name["status"].add_argument(
        "--pool", metavar="ALIAS", help="list only resets of this pool (default: all pools)"
    )
    for name, child in by_name.items():
        if name != "export":
            child.add_argument("--json", action="store_true", help=JSON[name])
    for name in ("start", "resume", "retry-failed"):
        by_name[name].add_argument(
            "--background",
            action="store_true",
            help="hand the work to the task queue of BULK_ENQUEUE instead",
        )
    for name in ("start", "resume"):
        by_name[name].add_argument(
            "--force",
            action="store_true",
            help="go on even if Cognito's own sender, which sends 50 mails a day, would have to mail more people",
        )
    by_name["resume"].add_argument(
        "--yes",
        action="store_true",
        help="don't ask for the number of people, if nobody has confirmed the reset of many people yet",
    )
    by_name["retry-failed"].add_argument(
        "--unknown",
        action="store_true",
        help="also send to the people whose outcome is unknown, who may get two codes then",
    )
    by_name["export"].add_argument(
        "--output", metavar="FILE", help="write to this new file, which only its owner can read"
    )


def add_start_arguments(parser: argparse.ArgumentParser) -> None:
    people = parser.add_mutually_exclusive_group(required=True)
    people.add_argument("--all", action="store_true", help="everybody in the pool")
    people.add_argument(
        "--file",
        metavar="PATH",
        help="the people in this file, or in standard input if it is -: UTF-8, one username, email address, "
        "phone number or sub in a line",
    )
    people.add_argument("--group", metavar="NAME", help="the group's members")
    people.add_argument("--status", choices=bulk.STATUSES, help="everybody with this status")
    people.add_argument(
        "--filter",
        metavar="EXPRESSION",
        help="""everybody who matches, for example 'email ^= "anna"' (a filter of Cognito's ListUsers)""",
    )
    _add_pool(parser)
    parser.add_argument(
        "--rate",
        metavar="NUMBER",
        type=rate,
        default=bulk.DEFAULT_RATE,
        help=f"resets a second, at most {bulk.HIGHEST_RATE:g} (default: {bulk.DEFAULT_RATE:g}); the people "
        "who reset their passwords by themselves share AWS's limit",
    )
    parser.add_argument("--limit", type=number, metavar="N", help="at most this many people")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done, and change nothing"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="don't ask for the number of people before sending; needed without a terminal, and with --file -",
    )


# argparse shows the names of these functions if they raise ValueError.


def rate(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("it must be more than 0")
    return value


def number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    if value > MOST_PEOPLE:
        raise argparse.ArgumentTypeError(f"it must be at most {MOST_PEOPLE}")
    return value


def web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # for example "[::1", without its other bracket, or a port that is no number
        is_address = False
    if not is_address:
        raise argparse.ArgumentTypeError("it must be an http or https address")
    if "@" in parts.netloc:
        raise argparse.ArgumentTypeError(
            "it must have no user and no password, which would be shown"
        )
    return parts._replace(path=iri_to_uri(parts.path), query=iri_to_uri(parts.query)).geturl()
