"""The service of deploy_site.py, whose worker can be killed just before and just after a call of Cognito."""

from __future__ import annotations

from typing import Any

from cognito_reset.cognito.service import CognitoService
from tests.services.deploy_site import die_at


class Service(CognitoService):
    def request_code(self, **values: Any) -> Any:
        die_at("reserved")
        result = super().request_code(**values)
        die_at("answered")
        return result

    def confirm(self, **values: Any) -> Any:
        die_at("reserved")
        result = super().confirm(**values)
        die_at("answered")
        return result
