"""The demo's own calls of the user pool. Don't copy them: a real site has its own sign-in."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings as django_settings
from django.http import HttpRequest
from django.utils.translation import get_language
from django.views.decorators.debug import sensitive_variables

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

settings: Any = django_settings  # mypy only knows the settings of the tests
SENT_MEMBERS = ("username", "kind", "medium", "destination", "code", "sent_at", "subject", "body")


@dataclass(frozen=True)
class SignIn:
    """The result of a sign-in: an HTTP status and, if it was refused, Cognito's error code."""

    status: int
    code: str = ""


@dataclass(frozen=True)
class PoolUser:
    username: str
    email: str
    status: str
    enabled: bool
    verified: list[str]


def of_settings() -> dict[str, str]:
    pool: dict[str, str] = settings.COGNITO_RESET["POOLS"]["default"]
    return pool


def client_metadata(request: HttpRequest | None) -> dict[str, str]:
    """
    Return the visitor's language, or nothing for staff and commands, who send in the user's ``locale``. Commands have
    no request.
    """
    if request is None:
        return {}
    match = request.resolver_match
    by_staff = match is not None and match.app_name == "admin"
    return {} if by_staff else {"language": get_language() or ""}


def has_inbox() -> bool:
    """Check whether the pool is one of an emulator."""
    return bool(settings.OUTBOX_URL)


def secret_hash(pool: dict[str, str], username: str) -> str:
    message = (username + pool["CLIENT_ID"]).encode()
    digest = hmac.digest(pool["CLIENT_SECRET"].encode(), message, hashlib.sha256)
    return base64.b64encode(digest).decode()


@sensitive_variables()
def sign_in(*, username: str, password: str) -> SignIn:
    pool = of_settings()
    parameters = {"USERNAME": username, "PASSWORD": password}
    if "CLIENT_SECRET" in pool:
        parameters["SECRET_HASH"] = secret_hash(pool, username)
    try:
        answer: Any = _client().initiate_auth(
            ClientId=pool["CLIENT_ID"], AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters
        )
    except ClientError as error:
        return SignIn(401, error.response["Error"]["Code"])
    except BotoCoreError:
        return SignIn(503, "Unavailable")
    # A challenge isn't a sign-in. For example, an invited user must choose a password first.
    challenge = answer.get("ChallengeName")
    return SignIn(401, challenge) if challenge else SignIn(200)


def list_users() -> list[PoolUser] | None:
    """Return the pool's first users, or ``None`` if this machine may not list them."""
    try:
        answer = _client().list_users(UserPoolId=of_settings()["USER_POOL_ID"], Limit=60)
    except (BotoCoreError, ClientError):
        return None
    return list(_users(answer["Users"]))


def sent_messages() -> list[dict[str, str]]:
    """Return the messages that the emulator would have sent, newest first."""
    # Use no proxy from the environment, because the emulator is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(settings.OUTBOX_URL, timeout=5) as response:
        messages: list[dict[str, str]] = json.load(response)
    return [{name: message[name] for name in SENT_MEMBERS} for message in messages]


def _users(users: Any) -> Iterator[PoolUser]:
    for user in sorted(users, key=lambda user: user["Username"]):
        attributes = {item["Name"]: item.get("Value", "") for item in user["Attributes"]}
        names = {"email": "email", "phone_number": "phone"}
        yield PoolUser(
            username=user["Username"],
            email=attributes.get("email", ""),
            status=user["UserStatus"],
            enabled=user["Enabled"],
            verified=[
                text for name, text in names.items() if attributes.get(f"{name}_verified") == "true"
            ],
        )


def _client() -> CognitoIdentityProviderClient:
    pool = of_settings()
    return _made_client(pool["REGION"], pool.get("ENDPOINT_URL"))


@functools.cache
def _made_client(region: str, endpoint_url: str | None) -> CognitoIdentityProviderClient:
    return boto3.session.Session().client(
        "cognito-idp",
        region_name=region,
        endpoint_url=endpoint_url,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
    )
