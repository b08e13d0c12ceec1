"""Import the admin classes from ``staff/``, because Django looks for them here."""

from __future__ import annotations

from cognito_reset.staff.admin import CognitoResetMixin
from cognito_reset.staff.audit import ResetEventAdmin
from cognito_reset.staff.pages import AccountAdmin
from cognito_reset.staff.runs import BulkRunAdmin

__all__ = ["AccountAdmin", "BulkRunAdmin", "CognitoResetMixin", "ResetEventAdmin"]
