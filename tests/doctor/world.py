"""Pools and app clients with something wrong, and what the doctor finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection

from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.service import clients_made_by
from cognito_reset.conf import PoolSettings
from cognito_reset.doctor.examination import examine, examine_one
from cognito_reset.doctor.findings import Finding, Level, Result
from tests.people import People

BY_EMAIL = {"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]}
BY_PHONE = {"RecoveryMechanisms": [{"Name": "verified_phone_number", "Priority": 1}]}
BY_EITHER = {
    "RecoveryMechanisms": [
        {"Name": "verified_phone_number", "Priority": 1},
        {"Name": "verified_email", "Priority": 2},
    ]
}
SMS = {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": "id"}
CUSTOM_SENDER = {
    "LambdaConfig": {
        "CustomEmailSender": {
            "LambdaVersion": "V1_0",
            "LambdaArn": "arn:aws:lambda:eu-west-1:123456789012:function:sender",
        },
        "KMSKeyID": "arn:aws:kms:eu-west-1:123456789012:key/x",
    }
}
SES = {
    "EmailSendingAccount": "DEVELOPER",
    "SourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
}


@contextmanager
def without_credentials(people: People, monkeypatch: Any) -> Iterator[None]:
    """Let the clients be made anew while there are no AWS credentials: boto3's client keeps those that it found."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")

    def factory(pool: PoolSettings, *, signed: bool, **other: str) -> Any:
        client = make_client(pool, signed=signed, **other)
        people.emulator.mount(client)
        return client

    with clients_made_by(factory):
        yield


@contextmanager
def without_tables(error: Exception) -> Iterator[None]:
    """Let each statement about one of the app's tables fail with this error, as if the table weren't there."""

    def execute(execute: Any, sql: str, *arguments: Any) -> Any:
        if "cognito_reset_" in sql:
            raise error
        return execute(sql, *arguments)

    with connection.execute_wrapper(execute):
        yield


def of_pool(**options: Any) -> dict[Finding, str]:
    """Return the findings about the pool "default", with their details."""
    return {result.finding: result.detail for result in examine_one("default", **options)}


def of_site(**options: Any) -> dict[Finding, str]:
    """Return the findings about no pool."""
    return {result.finding: result.detail for result in examine((), **options)}


def wrong(found: dict[Finding, str]) -> set[Finding]:
    return {finding for finding in found if finding.level in (Level.ERROR, Level.WARNING)}


def results() -> list[Result]:
    return [*examine_one("default")]


def change_pool(people: People, **members: Any) -> None:
    """Set these members of the pool; all others get their defaults, but recovery by email stays."""
    members = {
        "AccountRecoverySetting": BY_EMAIL,
        "AutoVerifiedAttributes": ["email"],
        "EmailConfiguration": SES,
        **members,
    }
    people.call("UpdateUserPool", **{key: value for key, value in members.items() if value})


def change_client(people: People, **members: Any) -> None:
    people.call("UpdateUserPoolClient", ClientId=people.pool["CLIENT_ID"], **members)


def new_pool(people: People, **members: Any) -> None:
    """Let the site use a new pool with these members, which can't be changed later."""
    pool = people.call("CreateUserPool", PoolName="new", **members)["UserPool"]["Id"]
    client = people.call("CreateUserPoolClient", UserPoolId=pool, ClientName="new")[
        "UserPoolClient"
    ]
    people.pool = {
        "REGION": people.pool["REGION"],
        "USER_POOL_ID": pool,
        "CLIENT_ID": client["ClientId"],
    }
    set_pool(people)


def set_pool(people: People, **more: Any) -> None:
    """Change the settings of the pool "default"."""
    people.pool = {**people.pool, **more}
    configured: dict[str, Any] = settings.COGNITO_RESET
    settings.COGNITO_RESET = {
        **configured,
        "POOLS": {**configured["POOLS"], "default": people.pool},
    }
