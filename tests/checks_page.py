"""
Write docs/checks.md: every system check, with what ``manage.py check`` prints. Each message is provoked by a site that
has the mistake: ``python -m tests.checks_page``.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from django.core.checks import CheckMessage
from django.test import override_settings

import cognito_reset
from cognito_reset.conf import POOL_SETTINGS, SETTINGS

PACKAGE = Path(cognito_reset.__file__).parent
PAGE = Path(__file__).resolve().parent.parent / "docs" / "checks.md"
POOL = {"REGION": "eu-west-1", "USER_POOL_ID": "eu-west-1_AbCdEfGhI", "CLIENT_ID": "1example"}
CORS = ["corsheaders.middleware.CorsMiddleware"]
SECURITY = ["django.middleware.security.SecurityMiddleware"]

TEXT = """\
<!-- Written by `python -m tests.checks_page`, from what the checks print. Don't edit it by hand. -->

# System checks

`manage.py check` finds mistakes in the settings before a visitor does, and so do `runserver` and `migrate`. This page shows
an example of each message, with its hint. Django exits with an error for messages whose ids begin with `E`. Those with
`W` are warnings, and `I` is only information.

`manage.py check --deploy` also finds what is only good enough for development. Run it with the settings of production. The
checks connect with nothing; to try the settings with Cognito itself, run [doctor](doctor.md).

If a warning doesn't apply to your site, put its id into Django's `SILENCED_SYSTEM_CHECKS`:

```python
# settings.py, to silence a check
SILENCED_SYSTEM_CHECKS = ["cognito_reset.I002"]
```

## Keys and values of COGNITO_RESET

A value that can't be used is an error. [Settings](settings.md) lists what each key can be set to.

{keys}
## Settings that don't suit each other, or are risky

`E010` and `W002` are for the same mistake: with `DEBUG` it is a warning, otherwise an error.

{settings}
## URLs, CORS and redirects

These need the site's URL patterns. Those about CORS apply if django-cors-headers is in `MIDDLEWARE`, and those about the
REST endpoints and AWS SDKs if these are included at a path without variables.

{urls}
## Only with --deploy

{deployment}"""


@dataclass(frozen=True)
class Site:
    """A site with a mistake: keys of COGNITO_RESET, keys of its pool, and Django's own settings."""

    id: str
    reset: dict[str, Any] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=dict)
    django: dict[str, Any] = field(default_factory=dict)

    def messages(self, module: str) -> list[CheckMessage]:
        """Return the messages of this id that the checks of a module find on this site."""
        values: dict[str, Any] = {"POOLS": {"default": {**POOL, **self.pool}}, **self.reset}
        sentry = ModuleType("sentry_sdk")
        sentry.__spec__ = ModuleSpec("sentry_sdk", None)
        with ExitStack() as stack:
            stack.enter_context(mock.patch.dict(sys.modules, {"sentry_sdk": sentry}))
            stack.enter_context(override_settings(**{"COGNITO_RESET": values, **self.django}))
            found: list[CheckMessage] = []
            for name, check in vars(importlib.import_module(module)).items():
                if name.startswith("check_") and check.__module__ == module:
                    found += check()
        return [message for message in found if message.id == f"cognito_reset.{self.id}"]


def sites() -> dict[str, list[Site]]:
    """Return a site for each id, by the part of the page that shows it."""
    from django.urls import include, path

    aws = path("cognito", include("cognito_reset.aws.urls"))
    rest = path("api/password-reset/", include("cognito_reset.rest.urls"))
    from cognito_reset.aws.cors import ALLOW_HEADERS, EXPOSE_HEADERS

    headers = {"CORS_ALLOW_HEADERS": ALLOW_HEADERS, "CORS_EXPOSE_HEADERS": EXPOSE_HEADERS}
    return {
        "keys": [
            Site("E001", django={"COGNITO_RESET": "eu-west-1_AbCdEfGhI"}),
            Site("E002", pool={"CLIENT_SECRETS": "…"}),
            Site("E003", pool={"REGION": ""}),
            Site("E004", {"POOLS": {"default": "eu-west-1_AbCdEfGhI"}}),
            Site("E005", pool={"REGION": "Ireland"}),
            Site("E006", pool={"USER_POOL_ID": "my-pool"}),
            Site("E007", pool={"CLIENT_ID": "my client"}),
            Site("E008", pool={"CLIENT_SECRET": "exampleclientsecret1234567\n"}),
            Site("E009", pool={"ENDPOINT_URL": "cognito.example.com"}),
            Site("E011", pool={"CA_BUNDLE": "/no/such/file.pem"}),
            Site("E012", pool={"PROXIES": "http://proxy.example.com:3128"}),
            Site("E013", {"AUDIT": "yes"}),
            Site("E014", {"SIGN_IN_URL": "javascript:alert(1)"}),
            Site("E015", {"PRE_SEND_HOOK": "example.no_such_module.check"}),
            Site("E016", {"CLIENT_METADATA": {"campaign": 5}}),
            Site("E017", {"COGNITO_USERNAME": "no_such_attribute"}),
            Site("E018", {"FORWARD_CLIENT_METADATA": "campaign"}),
            Site("E019", {"MAX_CONCURRENT_CALLS": 0}),
            Site("E020", {"LIMITS": {"request": {"network": "often"}}}),
            Site("E021", {"LIMITS_CACHE": "default"}),
            Site("E022", {"TRUSTED_PROXIES": "10.0.0.0/8"}),
            Site("E023", pool={"PASSWORD_POLICY": {"MinLength": 8}}),
            Site("E024", pool={"SIGN_IN_WITH": ["name"]}),
            Site("E025", pool={"PHONE_REGION": "Germany"}),
            Site("E026", pool={"PUBLISHED_CLIENT_ID": "my app"}),
        ],
        "settings": [
            Site("E010", pool={"ENDPOINT_URL": "http://cognito.example.com"}),
            Site(
                "W002",
                pool={"ENDPOINT_URL": "http://cognito.example.com"},
                django={"DEBUG": True},
            ),
            Site("W001", {"POOLS": {"brand": POOL}}),
            Site("W006", {"SHOW_DESTINATION": True}),
            Site("W007", django={"MIDDLEWARE": []}),
            Site("W010", {"POOLS": {"default": POOL, "brand": POOL}}),
            Site("W018", django={"USE_X_FORWARDED_HOST": True}),
            Site("W019", {"LIMITS": {"request": {"network": "100/s"}}}),
            Site("W020", {"LIMITS": {"confirm": {"identifier": "30/h"}}}),
            Site("W021", {"MAX_CONCURRENT_CALLS": 100}),
            Site("W024", pool={"REGION": "us-east-1"}),
        ],
        "urls": [
            Site(
                "E027",
                django={
                    "ROOT_URLCONF": (
                        path("reset/", include("cognito_reset.urls"), {"pool": "brand"}),
                    )
                },
            ),
            Site("W011", django={"ROOT_URLCONF": (aws,), "MIDDLEWARE": CORS}),
            Site("W012", django={"ROOT_URLCONF": (rest,), "MIDDLEWARE": CORS}),
            Site(
                "W013",
                django={
                    "ROOT_URLCONF": (aws,),
                    "MIDDLEWARE": CORS,
                    "CORS_URLS_REGEX": r"^/cognito$",
                    **headers,
                },
            ),
            Site(
                "W014",
                django={
                    "ROOT_URLCONF": (rest,),
                    "MIDDLEWARE": ["django.middleware.common.CommonMiddleware", *CORS],
                    **headers,
                },
            ),
            Site(
                "W015",
                django={
                    "ROOT_URLCONF": (aws,),
                    "MIDDLEWARE": SECURITY,
                    "SECURE_SSL_REDIRECT": True,
                },
            ),
            Site(
                "W016",
                django={"ROOT_URLCONF": (path("cognito/", include("cognito_reset.aws.urls")),)},
            ),
            Site(
                "W017",
                django={
                    "ROOT_URLCONF": (rest,),
                    "MIDDLEWARE": CORS,
                    "CORS_URLS_REGEX": r"^/api/password-reset/$",
                    **headers,
                },
            ),
        ],
        "deployment": [
            Site("W003", {"UNIFORM_RESPONSE_SECONDS": 0}),
            Site("W004", {"LIMITS": False}),
            Site("W005"),
            Site("W008"),
            Site("W009", pool={"PASSWORD_POLICY": {"MinimumLength": 6}}),
            Site("W022", pool={"ENDPOINT_URL": "http://127.0.0.1:9229"}),
            Site("W023", {"LIMITS_FAIL_OPEN": True}),
            Site("I001", pool={"PASSWORD_POLICY": {"MinimumLength": 8}}),
            Site("I002"),
            Site("I003"),
            Site("I004"),
        ],
    }


#: The module whose checks find the mistakes of a part.
CHECKS = {
    "keys": "cognito_reset.checks.settings",
    "settings": "cognito_reset.checks.settings",
    "urls": "cognito_reset.checks.urls",
    "deployment": "cognito_reset.checks.deployment",
}


def ids() -> set[str]:
    """Return the ids that the code has: those of the checks, and those of the settings' declarations."""
    sources = [PACKAGE / "conf.py", *(PACKAGE / "checks").glob("*.py")]
    return {id for path in sources for id in re.findall(r'"([EWI]\d{3})"', path.read_text("utf-8"))}


def filled(text: str, indent: str) -> str:
    return textwrap.fill(
        text,
        84,
        initial_indent=indent,
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def entry(site: Site, message: CheckMessage) -> Iterator[str]:
    """Yield the lines about one id."""
    yield f"### {site.id}\n"
    keys = [
        f"`{key}`"
        for key, setting in {**SETTINGS, **POOL_SETTINGS}.items()
        if setting.id == site.id
    ]
    if keys:
        yield f"Keys: {', '.join(keys)}.\n"
    yield "```text"
    yield filled(f"(cognito_reset.{site.id}) {message.msg}", "")
    yield filled(f"HINT: {message.hint}", "    ")
    yield "```\n"


def page() -> str:
    """Return the text of docs/checks.md. Raise ValueError if a site doesn't have the message of its id."""
    parts: dict[str, str] = {}
    for part, found in sites().items():
        lines: list[str] = []
        for site in found:
            messages = site.messages(CHECKS[part])
            if not messages:
                raise ValueError(f"The site for {site.id} doesn't have that message.")
            lines += entry(site, messages[0])
        parts[part] = "\n".join(lines).rstrip() + "\n"
    return TEXT.format(**parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    PAGE.write_text(page(), encoding="utf-8")
