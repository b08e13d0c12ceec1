"""boto3, whichever version the interpreter has: one call, from standard input to standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError


def main() -> dict[str, Any]:
    asked = json.load(sys.stdin)
    client = boto3.client(
        "cognito-idp",
        region_name="us-east-1",
        # None: the environment says where the service is.
        endpoint_url=asked["endpoint"],
    )
    try:
        answer = getattr(client, xform_name(asked["operation"]))(**asked["members"])
    except ClientError as error:
        details = error.response["Error"]
        return {
            "error": details["Code"],
            "type": type(error).__name__,
            "message": details["Message"],
        }
    except BotoCoreError as error:
        return {"error": type(error).__name__, "message": str(error)}
    del answer["ResponseMetadata"]
    return {"ok": True, "answer": answer}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
