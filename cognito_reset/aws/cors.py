"""
Values for the settings CORS_ALLOW_HEADERS and CORS_EXPOSE_HEADERS of django-cors-headers. The app itself sends
no CORS headers. Settings may import this module.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ALLOW_HEADERS", "EXPOSE_HEADERS"]

# What AWS SDKs and Amplify ask for in a preflight. Lower case, as django-cors-headers' own defaults.
ALLOW_HEADERS: Final = (
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "cache-control",
    "content-type",
    "x-amz-target",
    "x-amz-user-agent",
)
EXPOSE_HEADERS: Final = ("x-amzn-RequestId", "x-amzn-ErrorType", "Retry-After")
