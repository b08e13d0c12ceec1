"""Write docs/stability.md from the package's __all__ lists: ``python -m tests.stability_page``."""

from __future__ import annotations

import ast
from pathlib import Path

import cognito_reset

PACKAGE = Path(cognito_reset.__file__).parent
PAGE = Path(__file__).resolve().parent.parent / "docs" / "stability.md"

TEXT = """\
<!-- Written by `python -m tests.stability_page` from the package's __all__ lists. Don't edit it by hand. -->

# What stays the same

The project uses [semantic versioning](https://semver.org/spec/v2.0.0.html). What this page lists is public: only a new
major version removes or changes it in a way that breaks your site. Before that, a minor version warns with a
`DeprecationWarning` where that is possible, and the changelog says what to use instead. All else may change in any version,
also a module, function or method whose name has no underscore.

Public are:

- the names in Python [below](#names-in-python), with their documented arguments, and the attributes and methods that their
  docstrings or these pages describe
- the [settings](settings.md) with their defaults, and the ids of the checks
- the URLs' names, the modules of URLs that these pages include or import, with their `urlpatterns`, the paths in them, and
  the REST endpoints with their fields and error codes
- the codes of errors, the arguments of the [signals](signals.md), and the events of the [log](log.md) with their fields
- the names and the blocks of the templates, the CSS variables, and the context that [Theming](theming.md) describes
- the commands with their options, their exit codes and the keys of their JSON, and the ids of the [doctor](doctor.md)'s
  findings
- the keys of the [emulator's file](emulator.md#with-pools-and-users-from-a-file)
- the permissions, and the columns of `ResetEvent`, `BulkRun` and `BulkItem` that these pages name

A minor version may add a setting, an argument with a default, a field in an answer, an error code, a log event, a
template block or a migration. So receivers of signals and callables of the settings should accept `**kwargs` where the
documentation shows it, and clients should ignore fields that they don't know. A security fix may change anything.
The texts that people read, and their translations, may change in any version.

A minor version may drop a version of Python or Django that its own project no longer supports.

## Types

The package has type annotations for all of this (`py.typed`). mypy in strict mode and pyright check a site that uses them
([tests/typing_api.py](../tests/typing_api.py)). `Any` stands for your user model, and for what a method passes on.

## Names in Python

{modules}
"""


def public_names() -> dict[str, list[str]]:
    """Return the names in each module's ``__all__``, by the module's own name. Nothing is imported."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                module = ".".join(parts).removesuffix(".__init__")
                found[module] = ast.literal_eval(node.value)
    return found


def page() -> str:
    lines = ["| module | names |", "|---|---|"]
    for module, names in public_names().items():
        lines.append(f"| `{module}` | {', '.join(f'`{name}`' for name in names)} |")
    return TEXT.format(modules="\n".join(lines))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
