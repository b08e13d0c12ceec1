"""
Write docs/errors.md from the classes of errors and from the table that leads from Cognito's errors to them:
``python -m tests.errors_page``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from pathlib import Path

from cognito_reset.cognito import errors
from cognito_reset.cognito.table import _HINTS, OTHER, SERVER_ERROR, TABLE, UNPROVEN, hint_for
from tests.errors import public_errors

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"
MEANINGS = {
    SERVER_ERROR: "Cognito answers with a status of 500 or more",
    UNPROVEN: "the request was sent, and no answer came",
    OTHER: "any other error",
}

TEXT = """\
<!-- Written by `python -m tests.errors_page` from the code. Don't edit it by hand. -->

# Errors

Each error has a code that doesn't change. REST, the [signals](signals.md), the audit and the [log](log.md) use it, and
the endpoint for AWS SDKs has Cognito's own names. The texts below are the English ones. People read them in their own
language, so compare codes, never texts.

If you have the text of one of Cognito's errors, and look for what it means, [Troubleshooting](troubleshooting.md) is
sorted by these texts.

## Errors that visitors and programs meet

None of these tells anything about an account. [REST endpoints](rest.md#errors) describes each, with its status and
field, and has the codes of fields and passwords as well. [The endpoint for AWS SDKs and Amplify](aws.md#errors) has the
names there.

{public}

## Errors that only staff meet

These depend on the account, so no visitor sees them: a request for a code gets the usual answer, and a confirmation gets
`code_invalid`. Staff read the text in the admin and over REST, and the audit and the signals have the code.

{account}

## From Cognito's errors to these codes

Each table is for the operations of Cognito in its heading. Cognito uses one name for several errors, so the text of the
error counts, too. The second column is a regular expression for the start of that text, and is empty if any text will do.
If several rows match, the one with the longest expression counts. The `hint` is in the log line
`cognito_reset.upstream_error`, and [names what to look at](log.md#if-cognito-refuses-the-site).

{groups}"""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(list(head)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def public() -> str:
    """Return the table of all errors whose reason isn't the account's, by their codes."""
    # Errors with the same code have the same text.
    texts = {kind.code: str(kind.message) for kind in public_errors()}
    return table(["code", "text"], [(f"`{code}`", text) for code, text in texts.items()])


def account() -> str:
    """Return the table of the errors whose reason is the account's."""
    # These can only be imported after django.setup().
    modules = [
        errors,
        *map(
            importlib.import_module, ("cognito_reset.staff.accounts", "cognito_reset.staff.actions")
        ),
    ]
    kinds = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, errors.AccountRefused)
    }
    rows = sorted((f"`{kind.code}`", kind.outcome, str(kind.message)) for kind in kinds)
    return table(["code", "outcome", "text"], rows)


def hint(code: str, pattern: str) -> str:
    """Return the hint of a row of the table, or of the row for any text of the same error."""
    return _HINTS[code, pattern] if (code, pattern) in _HINTS else hint_for(code)


def groups() -> dict[tuple[str, ...], dict[tuple[str, str, str], list[str]]]:
    """
    Return the table's rows by the operations to which they apply, and then by pattern, code and hint: the names
    that Cognito has for these errors.
    """
    applies: dict[tuple[str, str, str], list[str]] = {}
    for (operation, name, pattern), error in TABLE.items():
        applies.setdefault((name, pattern, error.code), []).append(operation)
    found: dict[tuple[str, ...], dict[tuple[str, str, str], list[str]]] = {}
    for (name, pattern, code), operations in sorted(applies.items()):
        key = (pattern, code, hint(name, pattern))
        found.setdefault(tuple(operations), {}).setdefault(key, []).append(name)
    return dict(sorted(found.items(), key=lambda group: (-len(group[0]), group[0])))


def mapping(rows: dict[tuple[str, str, str], list[str]]) -> str:
    """Return the table of some errors of Cognito."""
    cells = sorted(
        (
            "<br>".join(MEANINGS.get(name, f"`{name}`") for name in names),
            f"`{pattern}`".replace("|", "\\|") if pattern else "",
            f"`{code}`",
            f"`{hint}`" if hint else "",
        )
        for (pattern, code, hint), names in rows.items()
    )
    return table(["Cognito's error", "its text begins with", "code", "hint"], cells)


def page() -> str:
    """Return the text of docs/errors.md."""
    everything = len({operation for operation, _, _ in TABLE})
    parts = [
        f"### {'Every operation' if len(names) == everything else ', '.join(names)}\n\n{mapping(rows)}\n"
        for names, rows in groups().items()
    ]
    return TEXT.format(public=public(), account=account(), groups="\n".join(parts))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    PAGE.write_text(page(), encoding="utf-8")
