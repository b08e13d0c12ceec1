"""Django finds the admin classes through this module; they are in ``staff/``."""

from __future__ import annotations

from cognito_reset.staff.admin import CognitoResetMixin
from cognito_reset.staff.audit import ResetEventAdmin

__all__ = ["CognitoResetMixin", "ResetEventAdmin"]
