"""
What another origin must be allowed to send and to read, in the words of django-cors-headers'
settings. The app itself adds no header of CORS. Settings files import this: it needs no Django.
"""

from __future__ import annotations

from typing import Final

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
