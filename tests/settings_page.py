"""Write docs/settings.md from the declarations in cognito_reset.conf: ``python -m tests.settings_page``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cognito_reset.conf import DEFAULT_LIMITS, POOL_SETTINGS, SETTINGS, Setting

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

TEXT = """\
<!-- Written by `python -m tests.settings_page` from cognito_reset/conf.py. Don't edit it by hand. -->

# Settings

`COGNITO_RESET` is a dict. Only `POOLS` is required:

```python
COGNITO_RESET = {{
    "POOLS": {{
        "default": {{
            "REGION": "eu-west-1",
            "USER_POOL_ID": "eu-west-1_AbCdEfGhI",
            "CLIENT_ID": "1example23456789",
        }},
    }},
}}
```

`manage.py check` reports each mistake, with the id in the last column and a hint. `manage.py check --deploy`
also reports what is only good enough for development. To silence a check, put its id into Django's
`SILENCED_SYSTEM_CHECKS`, such as `"cognito_reset.I002"`.

A callable can be set as such or as its dotted path, except for `CLIENT_SECRET`.

## The keys of COGNITO_RESET

{settings}

## The keys of each pool

An empty string counts as `None`.

{pool_settings}

## Rate limits

The defaults of `LIMITS` are:

| step | `identifier` | `network` | `site` |
|---|---|---|---|
{limits}

A rate such as `5/15m` means 5 attempts in any 15 minutes. The units are `s`, `m`, `h` and `d`. A level can have
several rates, with commas between them. Name only what you change:

```python
"LIMITS": {{"request": {{"network": "100/h"}}, "confirm": {{"site": None}}}}
```

[Limits](../README.md#limits) in the README says what is counted, and when an attempt is refunded.
"""


def table(settings: dict[str, Setting[Any]]) -> str:
    rows = ["| key | default | set it to | what it does | check |", "|---|---|---|---|---|"]
    for key, setting in settings.items():
        default = "required" if setting.required else f"`{setting.default!r}`"
        cells = (f"`{key}`", default, setting.accepts, setting.doc, setting.id)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def page() -> str:
    limits = [
        f"| `{step}` | {' | '.join(f'`{rates}`' for rates in levels.values())} |"
        for step, levels in DEFAULT_LIMITS.items()
    ]
    return TEXT.format(
        settings=table(SETTINGS), pool_settings=table(POOL_SETTINGS), limits="\n".join(limits)
    )


if __name__ == "__main__":
    PAGE.write_text(page())
