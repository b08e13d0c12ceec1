"""The demo's user pool on an emulator, created by the same operations as on AWS."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import TYPE_CHECKING, Final

import boto3

from cognito_reset.aws_lambda import custom_message
from cognito_reset.testing import Emulator, Server, serve
from example_project.pool import secret_hash

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

REGION: Final = "us-east-1"
PASSWORD: Final = "Correct-horse-1"
#: The pool's users, and what the demo shows with each of them.
PEOPLE: Final = {
    "alice": "Gets the code by email.",
    "bob": "Gets the code by text message.",
    "carol": "Was invited and has not signed in yet: gets no code.",
    "dave": "Signed up and never confirmed it: gets no code.",
    "erin": "Is disabled: gets no code.",
    "frank": "Signs in through another service: gets no code.",
    "grace": "Has no verified contact: gets no code.",
    "heidi": "Has been reset by staff: the code is in the inbox, and signing in leads to it.",
    "ivan": "Isn't a user in Django: staff find the account in the admin by the email address.",
}
WITHOUT_USER: Final = {"ivan"}
#: The AWS SDK finds this instead of this machine's own accounts, profiles and proxies.
AWS_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


def isolate() -> None:
    """Replace this machine's own AWS configuration in the environment of this process."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_ENVIRONMENT)


def start() -> tuple[Server, dict[str, str]]:
    """Start an emulator on a free port. Return the server, and its pool's settings."""
    server = serve(Emulator(region=REGION))
    return server, _make_pool(server)


def _make_pool(server: Server) -> dict[str, str]:
    url = server.url
    client = boto3.session.Session().client("cognito-idp", region_name=REGION, endpoint_url=url)
    # Cognito's own password policy: 8 characters, upper and lower case, a digit and a symbol.
    pool_id = client.create_user_pool(PoolName="demo", AliasAttributes=["email", "phone_number"])[
        "UserPool"
    ]["Id"]
    # On AWS, Lambda would run this function. The environment has the address for its links.
    server.emulator.set_hook(
        pool_id, "CustomMessage", lambda event: custom_message.handler(event, None)
    )
    app = client.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName="demo",
        GenerateSecret=True,
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        # Cognito then tells the app which users exist. The app tells nobody.
        PreventUserExistenceErrors="LEGACY",
    )["UserPoolClient"]
    pool = {
        "REGION": REGION,
        "USER_POOL_ID": pool_id,
        "CLIENT_ID": app["ClientId"],
        "CLIENT_SECRET": app["ClientSecret"],
        "ENDPOINT_URL": url,
    }
    _add_people(client, pool)
    client.close()
    return pool


def _add_people(client: CognitoIdentityProviderClient, pool: dict[str, str]) -> None:
    pool_id = pool["USER_POOL_ID"]

    def add(name: str, *, permanent: bool = True, **attributes: str) -> None:
        attributes = {"email": f"{name}@example.com", **attributes}
        client.admin_create_user(
            UserPoolId=pool_id,
            Username=name,
            UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()],
            TemporaryPassword=PASSWORD,
            MessageAction="SUPPRESS",
        )
        if permanent:
            client.admin_set_user_password(
                UserPoolId=pool_id, Username=name, Password=PASSWORD, Permanent=True
            )

    add("alice", email_verified="true")
    add("bob", phone_number="+15555550123", phone_number_verified="true")
    add("carol", permanent=False, email_verified="true")
    client.sign_up(
        ClientId=pool["CLIENT_ID"],
        SecretHash=secret_hash(pool, "dave"),
        Username="dave",
        Password=PASSWORD,
        UserAttributes=[{"Name": "email", "Value": "dave@example.com"}],
    )
    add("erin", email_verified="true")
    client.admin_disable_user(UserPoolId=pool_id, Username="erin")
    # No operation can create a federated user: that takes a sign-in at another service.
    _seam(
        pool["ENDPOINT_URL"],
        "federated-user",
        {"pool_id": pool_id, "username": "frank", "email": "frank@example.com"},
    )
    add("grace")
    add("ivan", email_verified="true")
    add("heidi", email_verified="true")
    client.admin_reset_user_password(UserPoolId=pool_id, Username="heidi")


def _seam(url: str, action: str, body: dict[str, str]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(f"{url}/emulator/{action}", json.dumps(body).encode(), timeout=5).close()
