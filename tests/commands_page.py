"""Write docs/commands.md from the parsers of ``manage.py cognito_reset``: ``python -m tests.commands_page``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import django
from django.core.management import load_command_class

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"

TEXT = """\
<!-- Written by `python -m tests.commands_page` from cognito_reset/management/arguments.py. Don't edit it by hand. -->

# The command line

`manage.py cognito_reset` has these subcommands. `--help` after any of them shows what this page says.

{contents}

Each prints one line for each item to standard output, and what went wrong to standard error. There are no colours
unless the output is a terminal. Django's own options, such as `--no-color`, go before the subcommand. Where a
subcommand has `--json`, standard output has nothing but JSON, also if some people were not sent a reset. It is empty
if nothing was begun because of wrong usage, or because `manage.py check` finds an error:

| subcommand | JSON |
|---|---|
| `purge --json` | an object with the numbers of deleted rows: `reset_events`, `slots`, `bulk_runs` |
| `send --json` | a list with an object for each person: `username` as it was typed, `outcome`, `error` (a stable code, or `""`), `detail` (a text), `medium` (`EMAIL`, `SMS` or `""`), `destination` (masked) and `request_id` (AWS's) |
| `doctor --json` | a list of findings, see [The doctor](doctor.md#json) |
| `bulk status --json` | a list of the latest resets of many people; with an ID, an object, as [REST](bulk.md#rest) returns it |
| `bulk start --json` | the object of `bulk status ID --json` when the command ends, or nothing if there is no reset of many people, for example because another one is still under way |
| `bulk pause --json`, and `stop`, `resume`, `retry-failed` | the same object, also if that can't be done now |
| `bulk start --dry-run --json` | an object with `count`, `looked_up`, `reasons` and `warnings`, as REST returns it, and with `-v2` also `sample` |

With `--json`, `bulk start`, `resume` and `retry-failed` show their progress on standard error, and ask nothing, so `start`
needs `--yes` or `--dry-run`. `source_value` is `null` for a filter, which may have a name or an address in it, unless there is
`-v2`.

If the reader of the output goes away, as `head` does, a subcommand goes on to its end without a reader: its exit code
is the same as with a reader, and resets are sent to everybody who was named. The same holds if there is no standard
output, or if it can't be written, for example because the disk is full. Standard error then has the reason, and
`bulk export` ends with the exit code 2, because its table is incomplete. Characters that the encoding of standard output
doesn't have are escaped, as in `\\u65e5`. The files of `bulk export --output` are always UTF-8.

An `outcome` of `send` is `sent`, `refused` (the person can't be reset), `throttled` (a reset was sent a short time ago),
`failed`, `unknown` (the call may have been carried out) or, with `--dry-run`, `would_send`.

Purge daily, for example with cron:

```text
17 3 * * *  /srv/site/venv/bin/python /srv/site/manage.py cognito_reset purge
```

`send` sends the person the same message as a reset in the admin. Names from another program come over standard input:

```sh
cut -d, -f1 leaked.csv | python manage.py cognito_reset send --dry-run -
```

{commands}
"""


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each subcommand with its parser, in the order of the help."""
    command = load_command_class("cognito_reset", "cognito_reset")
    yield from _children(command.create_parser("manage.py", "cognito_reset"), "")


def _children(
    parser: argparse.ArgumentParser, prefix: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield f"{prefix}{name}", child
                yield from _children(child, f"{prefix}{name} ")


def arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield each argument as it is typed, and its help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        value = (
            ""
            if action.nargs == 0
            else action.metavar or r"\|".join(map(str, action.choices or []))
        )
        names = ", ".join(action.option_strings) or str(action.metavar)
        typed = f"{names} {value}" if action.option_strings and value else names
        yield typed, (action.help or "") % {"default": action.default}


def page() -> str:
    # It needs the models, which can't be imported before django.setup().
    from cognito_reset.management.arguments import EXITS

    contents, commands = [], []
    for name, parser in parsers():
        description = " ".join((parser.description or "").split())
        anchor = name.replace(" ", "-")
        contents.append(f"- [`{name}`](#{anchor}): {description.partition('. ')[0].rstrip('.')}.")
        example = (parser.epilog or "").splitlines()[1].strip()
        block = [f"## {name}", description, f"```sh\n{example}\n```"]
        rows = [f"| `{typed}` | {text} |" for typed, text in arguments(parser)]
        if rows:
            block.append("\n".join(["| argument | |", "|---|---|", *rows]))
        if name in EXITS:
            block.append(EXITS[name])
        commands.append("\n\n".join(block))
    return TEXT.format(contents="\n".join(contents), commands="\n\n".join(commands))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    PAGE.write_text(page())
