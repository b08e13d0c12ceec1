"""The operations on pools, app clients and client secrets."""

from __future__ import annotations

import string
from typing import Any, Final

from cognito_reset.testing.errors import CognitoError, invalid_parameter, not_found
from cognito_reset.testing.mfa import configured
from cognito_reset.testing.paging import page
from cognito_reset.testing.pools import ACCOUNT, DEFAULT_FLOWS, Client, Pool, Secret
from cognito_reset.testing.state import State

Request = dict[str, Any]

#: The settings that never change: UpdateUserPool has no such members.
_IMMUTABLE: Final[tuple[str, ...]] = (
    "AliasAttributes",
    "Schema",
    "UsernameAttributes",
    "UsernameConfiguration",
)


def create_user_pool(state: State, request: Request) -> dict[str, Any]:
    if request.get("AliasAttributes") and request.get("UsernameAttributes"):
        raise invalid_parameter(
            "Only one of the aliasAttributes or usernameAttributes can be set in a user pool."
        )
    _check_settings(request)
    mfa = configured(request, before={})
    now = state.now()
    pool = Pool(f"{state.asked_region}_{state.random(9)}", request, now, now, mfa)
    state.pools[pool.id] = pool
    return {"UserPool": _pool_view(pool)}


def describe_user_pool(state: State, request: Request) -> dict[str, Any]:
    return {"UserPool": _pool_view(state.pool(request["UserPoolId"]))}


def update_user_pool(state: State, request: Request) -> dict[str, Any]:
    """Update a pool. As on AWS, settings that the request leaves out get their defaults."""
    pool = state.pool(request.pop("UserPoolId"))
    _check_settings(request, before=pool.settings)
    pool.mfa = configured(request, before=pool.mfa)
    kept: Request = {name: pool.settings[name] for name in _IMMUTABLE if name in pool.settings}
    pool.settings = {"PoolName": pool.settings["PoolName"], **request, **kept}
    pool.modified = state.now()
    return {}


def delete_user_pool(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    for user in pool.users.values():
        state.end_sessions(user)
    del state.pools[pool.id]
    return {}


def list_user_pools(state: State, request: Request) -> dict[str, Any]:
    pools, more = page(list(state.pools.values()), request, limit="MaxResults")
    listed = [
        {
            "Id": pool.id,
            "Name": pool.settings["PoolName"],
            "CreationDate": pool.created.timestamp(),
            "LastModifiedDate": pool.modified.timestamp(),
        }
        for pool in pools
    ]
    return {"UserPools": listed, **more}


def create_user_pool_client(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request.pop("UserPoolId"))
    wanted = request.pop("GenerateSecret", False)
    given = request.pop("ClientSecret", None)
    now = state.now()
    client = Client(
        state.random(26, string.ascii_lowercase + string.digits), pool.id, request, now, now
    )
    if given or wanted:
        _add_secret(state, client, given)
    pool.clients[client.id] = client
    return {"UserPoolClient": _client_view(client)}


def list_user_pool_clients(state: State, request: Request) -> dict[str, Any]:
    clients = list(state.pool(request["UserPoolId"]).clients.values())
    listed, more = page(clients, request, limit="MaxResults")
    views = [
        {
            "ClientId": client.id,
            "UserPoolId": client.pool_id,
            "ClientName": client.settings["ClientName"],
        }
        for client in listed
    ]
    return {"UserPoolClients": views, **more}


def describe_user_pool_client(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    return {"UserPoolClient": _client_view(client)}


def update_user_pool_client(state: State, request: Request) -> dict[str, Any]:
    """Update a client. As on AWS, settings that the request leaves out get their defaults."""
    client = state.pool_client(request.pop("UserPoolId"), request.pop("ClientId"))
    client.settings = {"ClientName": client.settings["ClientName"], **request}
    client.modified = state.now()
    return {"UserPoolClient": _client_view(client)}


def delete_user_pool_client(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    del state.pool(client.pool_id).clients[client.id]
    return {}


def add_user_pool_client_secret(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    if len(client.secrets) >= 2:
        raise CognitoError(
            "LimitExceededException", "A client can have two secrets at most at the same time."
        )
    secret = _add_secret(state, client, request.get("ClientSecret"))
    return {"ClientSecretDescriptor": {**_secret_view(secret), "ClientSecretValue": secret.value}}


def delete_user_pool_client_secret(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    left = [secret for secret in client.secrets if secret.id != request["ClientSecretId"]]
    if len(left) == len(client.secrets):
        raise not_found("Client secret")
    if not left:
        raise invalid_parameter("The only secret of a client cannot be deleted.")
    client.secrets = left
    return {}


def list_user_pool_client_secrets(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    return {"ClientSecrets": [_secret_view(secret) for secret in client.secrets]}


def _check_settings(request: Request, *, before: Request | None = None) -> None:
    """
    Refuse settings that contradict each other. UnusedAccountValidityDays can't be set in a pool that has,
    or had, TemporaryPasswordValidityDays (botocore's model, PasswordPolicyType); 0 is as good as unset.
    The words: https://github.com/aws/aws-sdk-js/issues/3817
    """
    mechanisms = request.get("AccountRecoverySetting", {}).get("RecoveryMechanisms", [])
    names = [option["Name"] for option in mechanisms]
    if "admin_only" in names and len(names) > 1:
        raise invalid_parameter("admin_only cannot be combined with other recovery mechanisms.")
    policies = [
        settings.get("Policies", {}).get("PasswordPolicy", {})
        for settings in (request, before or {})
    ]
    if request.get("AdminCreateUserConfig", {}).get("UnusedAccountValidityDays") and any(
        policy.get("TemporaryPasswordValidityDays") for policy in policies
    ):
        raise invalid_parameter(
            "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of "
            "UnusedAccountValidityDays"
        )


def _add_secret(state: State, client: Client, value: str | None) -> Secret:
    secret = Secret(f"{client.id}--{state.random(12)}", value or state.random(51), state.now())
    client.secrets.append(secret)
    return secret


def _secret_view(secret: Secret) -> dict[str, Any]:
    return {"ClientSecretId": secret.id, "ClientSecretCreateDate": secret.created.timestamp()}


def _pool_view(pool: Pool) -> dict[str, Any]:
    settings = dict(pool.settings)
    schema = settings.pop("Schema", [])
    # A hook stands for a Lambda function.
    function = f"arn:aws:lambda:{pool.region}:{ACCOUNT}:function:"
    triggers = {name: f"{function}{name}" for name in pool.hooks}
    return {
        "MfaConfiguration": "OFF",
        "UserPoolTier": "ESSENTIALS",
        **settings,
        "LambdaConfig": {**triggers, **settings.get("LambdaConfig", {})},
        "Policies": {**settings.get("Policies", {}), "PasswordPolicy": pool.policy},
        # AWS shows both names of the validity, though it takes only one of them:
        # https://github.com/pulumi/pulumi-aws-native/issues/1256
        "AdminCreateUserConfig": {
            "AllowAdminCreateUserOnly": False,
            "UnusedAccountValidityDays": pool.temporary_days,
            **settings.get("AdminCreateUserConfig", {}),
        },
        "SchemaAttributes": schema,
        "Id": pool.id,
        "Name": settings.pop("PoolName"),
        "Arn": pool.arn,
        "EstimatedNumberOfUsers": len(pool.users),
        "CreationDate": pool.created.timestamp(),
        "LastModifiedDate": pool.modified.timestamp(),
    }


def _client_view(client: Client) -> dict[str, Any]:
    return {
        "RefreshTokenValidity": 30,
        "ExplicitAuthFlows": DEFAULT_FLOWS,
        "EnableTokenRevocation": True,
        **client.settings,
        **({"ClientSecret": client.secrets[0].value} if client.secrets else {}),
        "UserPoolId": client.pool_id,
        "ClientId": client.id,
        "CreationDate": client.created.timestamp(),
        "LastModifiedDate": client.modified.timestamp(),
    }


OPERATIONS: Final = {
    "CreateUserPool": create_user_pool,
    "DescribeUserPool": describe_user_pool,
    "UpdateUserPool": update_user_pool,
    "DeleteUserPool": delete_user_pool,
    "ListUserPools": list_user_pools,
    "CreateUserPoolClient": create_user_pool_client,
    "ListUserPoolClients": list_user_pool_clients,
    "DescribeUserPoolClient": describe_user_pool_client,
    "UpdateUserPoolClient": update_user_pool_client,
    "DeleteUserPoolClient": delete_user_pool_client,
    "AddUserPoolClientSecret": add_user_pool_client_secret,
    "DeleteUserPoolClientSecret": delete_user_pool_client_secret,
    "ListUserPoolClientSecrets": list_user_pool_client_secrets,
}
