"""Import the admin classes from ``staff/``, because Django looks for them here."""

from __future__ import annotations

from cognito_reset.staff.admin import CognitoResetMixin
from cognito_reset.staff.audit import ResetEventAdmin

__all__ = ["CognitoResetMixin", "ResetEventAdmin"]
