"""What the standalone server prints when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Final

_TEXT: Final = Template("""\
$url

A user pool, an app client and a user, with the AWS CLI:

    export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing AWS_DEFAULT_REGION=$region
    cognito() { aws --endpoint-url $url cognito-idp "$$@"; }
    POOL=$$(cognito create-user-pool --pool-name example --alias-attributes email \\
        --query UserPool.Id --output text)
    CLIENT=$$(cognito create-user-pool-client --user-pool-id "$$POOL" --client-name example \\
        --query UserPoolClient.ClientId --output text)
    cognito admin-create-user --user-pool-id "$$POOL" --username alice --message-action SUPPRESS \\
        --user-attributes Name=email,Value=alice@example.com Name=email_verified,Value=true
    cognito admin-set-user-password --user-pool-id "$$POOL" --username alice \\
        --password 'Correct-horse-1' --permanent
    cognito forgot-password --client-id "$$CLIENT" --username alice@example.com

The same with boto3:

    import boto3

    cognito = boto3.client(
        "cognito-idp",
        endpoint_url="$url",
        region_name="$region",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    pool = cognito.create_user_pool(PoolName="example", AliasAttributes=["email"])
    pool = pool["UserPool"]["Id"]
    client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="example")
    client = client["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(
        UserPoolId=pool,
        Username="alice",
        MessageAction="SUPPRESS",
        UserAttributes=[
            {"Name": "email", "Value": "alice@example.com"},
            {"Name": "email_verified", "Value": "true"},
        ],
    )
    cognito.admin_set_user_password(
        UserPoolId=pool, Username="alice", Password="Correct-horse-1", Permanent=True
    )
    cognito.forgot_password(ClientId=client, Username="alice@example.com")

Any credentials do. The pool gets the Region that the request is signed for.
""")
_END: Final = Template("""\
The messages, newest first, with their codes: $url/outbox
Ctrl-C stops the server, which forgets everything.
""")


def instructions(url: str, region: str) -> str:
    """Return the server's address in the first line, and then how to use it."""
    return _TEXT.substitute(url=url, region=region) + _END.substitute(url=url)


def loaded(url: str, file: str, pools: Mapping[str, Mapping[str, list[str]]]) -> str:
    """Return the server's address in the first line, and then what was loaded."""
    lines = [url, "", f"Loaded {file}:", ""]
    for pool_id, pool in pools.items():
        clients = ", ".join(pool["clients"]) or "none"
        lines.append(f"    {pool_id}  clients: {clients}  users: {len(pool['users'])}")
    return "\n".join([*lines, "", _END.substitute(url=url)])
