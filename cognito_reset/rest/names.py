"""
Names that the REST endpoints use in snake case whatever the rest of a site uses. List them in the settings of
libraries that rename fields in schemas, such as djangorestframework-camel-case. Settings may import this module.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SNAKE_CASE_NAMES"]

SNAKE_CASE_NAMES: Final = (
    "analytics_endpoint_id",
    "analytics_metadata",
    "attribute_name",
    "client_metadata",
    "code_delivery_details",
    "confirmation_code",
    "delivery_medium",
    "encoded_data",
    "resend_after",
    "user_context_data",
)
