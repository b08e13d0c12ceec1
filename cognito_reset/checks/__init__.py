"""
System checks. Their ids are stable, so that a site can silence one in SILENCED_SYSTEM_CHECKS. No
message shows a value that may be a secret.
"""

from __future__ import annotations

from django.core.checks import CheckMessage, Error, Info, Warning

KINDS = {"E": Error, "W": Warning, "I": Info}


def message(id: str, text: str, hint: str) -> CheckMessage:
    """Return an error, a warning or an info, by the first letter of ``id``."""
    return KINDS[id[0]](text, hint=hint, id=f"cognito_reset.{id}")
