"""Write docs/signals.md from the docstrings of cognito_reset.signals: ``python -m tests.signals_page``."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import cognito_reset
from tests.documentation import heading

SOURCE = Path(cognito_reset.__file__).parent / "signals.py"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "signals.md"

TEXT = """\
<!-- Written by `python -m tests.signals_page` from cognito_reset/signals.py. Don't edit it by hand. -->

# Signals

The app sends a signal for each outcome, so that your site can count resets, tell another system, or write an audit of its
own. They are in `cognito_reset.signals`:

```python
# receivers.py, which the ready() of your AppConfig imports
import logging

from django.dispatch import receiver

from cognito_reset.signals import password_reset_confirmed


@receiver(password_reset_confirmed)
def log_reset(*, pool, interface, **kwargs):
    logging.getLogger("example").info("A password was changed: %s, %s", pool, interface)
```

Take the arguments that you need by name, and the others as `**kwargs`: a new version may send more of them.

{introduction}

{signals}
## If your site ends sessions elsewhere

Return `signals.SIGNED_OUT` from a receiver of `password_reset_confirmed`: the last page then tells the person that other
devices will ask to sign in again. A repeat of the request, as after a double click, shows the same page. With
`SIGN_OUT_EVERYWHERE`, a repeat waits until the sessions have ended. [After a reset](after-a-reset.md) documents what the
app itself does then.
"""


def docstrings() -> dict[str, str]:
    """Return the text of each signal by its name, and that of the module as ""."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    found = {"": ast.get_docstring(tree) or ""}
    for node, after in pairwise(tree.body):
        match node, after:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="Signal"))),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = text.strip()
    return found


def page() -> str:
    """Return the text of docs/signals.md."""
    texts = {
        name: re.sub(
            r"docs/([\w-]+\.md)",
            lambda page: f"[{heading(page[1])}]({page[1]})",
            text.replace("``", "`"),
        )
        for name, text in docstrings().items()
    }
    introduction = texts.pop("").partition("\n\n")[
        2
    ]  # without the line that says what the module is
    signals = [f"## {name}\n\n{text}\n" for name, text in texts.items()]
    return TEXT.format(introduction=introduction, signals="\n".join(signals))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
