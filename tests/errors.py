"""The errors that a caller can meet."""

from __future__ import annotations

from cognito_reset.cognito import errors as exceptions


def public_errors() -> list[type[exceptions.ResetError]]:
    """All that have a code of their own, but those that depend on the account."""
    return [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type)
        and issubclass(kind, exceptions.ResetError)
        and not issubclass(kind, exceptions.AccountRefused)
        and hasattr(kind, "code")
    ]
