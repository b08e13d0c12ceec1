"""Write docs/settings.md from the declarations in cognito_reset.conf: ``python -m tests.settings_page``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cognito_reset.conf import POOL_SETTINGS, SETTINGS, Setting
from cognito_reset.parsers import DEFAULT_LIMITS
from tests.documentation import heading

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
# The page about a key, if there is more to know than its section says.
GUIDES = {
    "POOLS": "pools.md",
    "POOL_RESOLVER": "pools.md#choose-the-pool-by-the-request",
    "SIGN_IN_URL": "sign-in.md#sign-in-after-a-reset",
    "UNIFORM_RESPONSE_SECONDS": "timing.md",
    "TOTAL_TIMEOUT_SECONDS": "servers.md#outages-and-threads",
    "MAX_CONCURRENT_CALLS": "servers.md#outages-and-threads",
    "LIMITS": "limits.md",
    "LIMITS_CACHE": "stores.md",
    "LIMITS_FAIL_OPEN": "stores.md",
    "TRUSTED_PROXIES": "proxies.md",
    "PRE_SEND_HOOK": "captcha.md",
    "CLIENT_METADATA": "message-link.md#the-visitors-language",
    "AUTH_PASSWORD_VALIDATORS": "passwords.md#your-sites-validators",
    "COGNITO_USERNAME": "after-a-reset.md#which-local-user-it-is",
    "USER_RESOLVER": "after-a-reset.md#which-local-user-it-is",
    "END_SESSIONS": "after-a-reset.md",
    "SIGN_OUT_EVERYWHERE": "after-a-reset.md",
    "NOTIFY_AFTER_RESET": "after-a-reset.md#the-mail",
    "AUDIT": "after-a-reset.md#the-audit",
    "AUDIT_RETENTION_DAYS": "after-a-reset.md#the-audit",
    "RESEND_INVITATIONS": "invitations.md",
    "BULK_ENQUEUE": "bulk.md",
    "STAFF_MAY_RESET_STAFF": "staff.md",
    "SERVICE_CLASS": "python.md#single-calls-of-cognito",
    "CLIENT_SECRET": "quickstart.md#5-use-your-own-pool",
    "ENDPOINT_URL": "emulator.md#as-a-server",
    "PASSWORD_POLICY": "passwords.md#the-pools-rules",
    "SIGN_IN_WITH": "sign-in-names.md",
    "PHONE_REGION": "sign-in-names.md#phone-numbers",
    "PUBLISHED_CLIENT_ID": "aws.md",
}

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

The [quickstart](quickstart.md#6-make-it-yours) names the keys that most sites need. `manage.py check` reports each
mistake with a hint, and `manage.py check --deploy` also warns of values that are only good enough for development;
[System checks](checks.md) shows the messages.

A callable can be set as such or as its dotted path, except for `CLIENT_SECRET`, because a string there is the secret
itself.

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
# in COGNITO_RESET
"LIMITS": {{"request": {{"network": "100/h"}}, "confirm": {{"site": None}}}},
```

[Rate limits](limits.md) describes what is counted, and when an attempt is refunded.
"""


def entries(settings: dict[str, Setting[Any]]) -> str:
    """Return a section for each key, so that other pages can link to it."""
    parts = []
    for key, setting in settings.items():
        default = "Required." if setting.required else f"Default: `{setting.default!r}`."
        check = f"[{setting.id}](checks.md#{setting.id.lower()})"
        facts = f"- Set it to {setting.accepts}.\n- {default}\n- Check: {check}."
        if key in GUIDES:
            page_name = GUIDES[key].partition("#")[0]
            facts += f"\n- More: [{heading(page_name)}]({GUIDES[key]})."
        parts += [f"### {key}", setting.doc, facts]
    return "\n\n".join(parts)


def page() -> str:
    limits = [
        f"| `{step}` | {' | '.join(f'`{rates}`' for rates in levels.values())} |"
        for step, levels in DEFAULT_LIMITS.items()
    ]
    return TEXT.format(
        settings=entries(SETTINGS), pool_settings=entries(POOL_SETTINGS), limits="\n".join(limits)
    )


if __name__ == "__main__":
    PAGE.write_text(page())
