"""
boto3: make a client, send one request, prove its success, and translate what botocore raises.

Nothing here imports boto3 or botocore before the first call, so that a site starts without them.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from cognito_reset import __version__
from cognito_reset.cognito import errors, refusals, table
from cognito_reset.cognito.calls import THREAD_NAME
from cognito_reset.conf import PoolSettings, conf

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

COGNITO: Final = "cognito-idp"
# The member without which an answer isn't the operation's own (botocore's model).
_PROOFS: Final = {
    "ForgotPassword": "CodeDeliveryDetails",
    "ListUsers": "Users",
    "ListUsersInGroup": "Users",
    "AdminCreateUser": "User",
    "DescribeUserPool": "UserPool",
    "DescribeUserPoolClient": "UserPoolClient",
    "GetUserPoolMfaConfig": "MfaConfiguration",
    "GetAccount": "ProductionAccessEnabled",
    "GetSMSSandboxAccountStatus": "IsInSandbox",
}


class _Progress(threading.local):
    """
    How far the thread's request has come: 0 before the handlers of ``before-send`` run, 1 while they run, 2
    after them, when it may have been sent. A handler may belong to a tracer, or return an answer itself, so
    that nothing is sent.
    """

    stage = 0


_progress = _Progress()


def make_client(
    pool: PoolSettings, *, signed: bool, service: str = COGNITO, region: str = ""
) -> Any:
    """
    Make a client for a pool, or for another service that it sends messages by. Raise whatever botocore raises if it
    can't use the Region, the profile or the endpoint. A client may be shared by threads, but not by processes (boto3's
    guide to clients).
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        # ForgotPassword and ConfirmForgotPassword are unsigned operations. Without UNSIGNED, botocore
        # would look for credentials, and ask the instance's metadata address for them.
        signature_version=None if signed else UNSIGNED,
        # botocore's retries would send the person another code each time.
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=conf.connect_timeout_seconds,
        read_timeout=conf.total_timeout_seconds,
        # One for each permit of ``Calls``. Work in the background, which has as many permits as requests, makes
        # signed calls only.
        max_pool_connections=conf.max_concurrent_calls * (2 if signed else 1),
        tcp_keepalive=True,
        proxies=pool.proxies,
        # The settings alone say where passwords are sent: not AWS_ENDPOINT_URL.
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # the stubs lack it
        user_agent_extra=f"django-cognito-reset/{__version__}",
    )
    make: Any = boto3.session.Session().client  # the stubs only know the name of Cognito
    return make(
        service,
        region_name=region or pool.region,
        endpoint_url=pool.endpoint_url if service == COGNITO else None,
        verify=pool.ca_bundle,
        config=config,
    )


def prepare(client: CognitoIdentityProviderClient) -> CognitoIdentityProviderClient:
    """
    Register the handlers that ``send()`` needs, and silence botocore's DEBUG records of our calls. Call this
    before threads share the client. The handlers keep their state per thread, so the client stays
    thread-safe.
    """
    events, service = client.meta.events, "cognito-identity-provider"
    before_send = f"before-send.{service}"
    events.register_first(before_send, _advance, unique_id="cognito_reset.first")
    events.register_last(before_send, _advance, unique_id="cognito_reset.last")
    events.register(f"after-call.{service}", _note_body, unique_id="cognito_reset.call")
    events.register(f"before-parse.{service}", _drop_strange_error, unique_id="cognito_reset.parse")
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("boto3", "botocore", "urllib3"):
            logging.getLogger(name).addFilter(_is_safe_to_log)
    return client


def send(client: CognitoIdentityProviderClient, operation: str, parameters: dict[str, Any]) -> Any:
    """
    Send one request, and return its answer if that proves that Cognito carried the request out, else a
    ``ResetError``. Never raise: the exception would bring along frames that hold the password.
    """
    from botocore import xform_name
    from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

    request = getattr(client, xform_name(operation))
    try:
        try:
            _progress.stage = 0
            answer = request(**parameters)
        except (ConnectTimeoutError, EndpointConnectionError):
            _progress.stage = 0
            answer = request(**parameters)  # nothing was sent, so it is safe to try once more
    except Exception as error:  # boto3's exceptions have no common root
        if isinstance(error, ClientError) and _progress.stage:
            _note_refusal(operation, parameters, error.response)
        return translate(operation, error, stage=_progress.stage)
    if _is_proof(operation, answer):
        refusals.note_success(operation, _target(parameters))
        return answer
    return table.unproven(operation, aws_code="UnprovenAnswer", request_id=request_id_of(answer))


def ask_once(make: Callable[[], Any], operation: str) -> Any:
    """
    Send one request without parameters to another service, and return its answer, or an error whose ``aws_code`` tells
    why there is none. ``make`` makes the client. Never raise, as ``send()``.
    """
    from botocore import xform_name
    from botocore.exceptions import ClientError

    try:
        with closing(make()) as client:
            answer = getattr(client, xform_name(operation))()
    except ClientError as error:
        code, _text = _code_and_text(error.response)
    except Exception as error:  # boto3's exceptions have no common root
        code = type(error).__name__
    else:
        if answer.get(_PROOFS[operation]) is not None:
            return answer
        code = "UnprovenAnswer"
    return errors.Unavailable(aws_code=_safe(code))


def translate(operation: str, error: Exception, *, stage: int = 2) -> errors.ResetError:
    """
    Return the ``ResetError`` for what boto3 raised from ``operation`` in that stage (``_Progress``). It is
    returned and not raised, because raising would chain ``error`` to it, and with that the request's
    parameters.
    """
    from botocore import exceptions

    name = type(error).__name__
    if isinstance(error, exceptions.ParamValidationError):
        # botocore refuses what Cognito would refuse.
        return table.TABLE[operation, "InvalidParameterException", ""](aws_code=name)
    if not isinstance(error, exceptions.BotoCoreError | exceptions.ClientError):
        # Other code that listens to botocore's events raised it, for example a tracer.
        at = errors.failing_line(error)
        if stage < 2:
            return errors.Misconfigured(aws_code=name, at=at)
        return table.unproven(operation, aws_code=name, at=at)
    if isinstance(error, exceptions.ClientError):
        if stage:
            return _translate_answer(operation, error.response)
        # It is an error of the AWS service that was asked for credentials first.
        code, _text = _code_and_text(error.response)
        return errors.Misconfigured(aws_code=_safe(code), hint="AWS_CREDENTIALS")
    if stage == 0 and isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        # Unavailable counts for the circuit breaker: a slow source of credentials must not hold all permits.
        return errors.Unavailable(aws_code=name, answered=False, hint="AWS_CREDENTIALS")
    is_sent = isinstance(error, exceptions.HTTPClientError | exceptions.IncompleteReadError)
    if isinstance(error, exceptions.SSLError):
        # Of all TLS errors, only a refused certificate proves that nothing was sent.
        is_sent = "CERTIFICATE_VERIFY_FAILED" not in str(error)
    if is_sent:
        return table.unproven(operation, aws_code=name)
    hint = "REGION,ENDPOINT_URL" if _is_name_unknown(error) else table.hint_for(name)
    if isinstance(error, exceptions.ConnectionError):
        is_aws = str(error.kwargs.get("endpoint_url")).startswith("https://cognito-idp")
        hint = hint or ("" if is_aws else "ENDPOINT_URL")
        return errors.Unavailable(aws_code=name, answered=False, hint=hint)
    return errors.Misconfigured(aws_code=name, hint=hint)


def request_id_of(answer: dict[str, Any]) -> str:
    """Return the request id of Cognito's answer, or "" if there is none that AWS could have made."""
    request_id = answer.get("ResponseMetadata", {}).get("RequestId")
    if isinstance(request_id, str) and re.fullmatch(r"[A-Za-z0-9-]{1,64}", request_id):
        return request_id
    return ""


def _code_and_text(response: Any) -> tuple[str, str]:
    error = response.get("Error", {})
    return str(error.get("Code", "")), str(error.get("Message", ""))


def _translate_answer(operation: str, response: Any) -> errors.ResetError:
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, text = _code_and_text(response)
    return table.error_class(operation, code, text, status)(
        aws_code=_safe(code),
        request_id=request_id_of(response),
        sent=True,
        answered=status < 500,
        date=response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""),
        hint=table.hint_for(code, text),
    )


def _note_refusal(operation: str, parameters: dict[str, Any], response: Any) -> None:
    code, text = _code_and_text(response)
    username = parameters.get("Username")
    if username and table.is_reason_unknown(operation, code, text):
        refusals.note_refusal(
            operation, _target(parameters), code=_safe(code), text=text, username=username
        )


def _target(parameters: dict[str, Any]) -> str:
    return str(parameters.get("ClientId") or parameters.get("UserPoolId"))


def _safe(code: str) -> str:
    """Return ``code`` if it has the form of AWS's error codes, or else "unknown"."""
    return code if re.fullmatch(r"[A-Za-z0-9]{1,64}", code) else "unknown"


def _is_name_unknown(error: BaseException | None) -> bool:
    """Check whether a host name didn't resolve, for example because the Region doesn't exist."""
    while error and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def _advance(**_: Any) -> None:
    """Begin the next stage of ``_Progress``. This is the first and the last handler of ``before-send``."""
    _progress.stage += 1


def _is_proof(operation: str, answer: dict[str, Any]) -> bool:
    """Check whether Cognito itself answered: a captive portal or a firewall can answer 200 as well."""
    metadata, member = answer["ResponseMetadata"], _PROOFS.get(operation)
    return (
        metadata["HTTPStatusCode"] == 200
        and "json" in metadata["HTTPHeaders"].get("content-type", "")
        and metadata["IsJSONObject"]
        and request_id_of(answer) != ""
        and (member is None or answer.get(member) is not None)
    )


def _note_body(*, http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Note whether the body is a JSON object: botocore returns ``{}`` for any body of a 200."""
    is_object = _json_object(http_response.content) is not None
    parsed.setdefault("ResponseMetadata", {})["IsJSONObject"] = is_object


def _drop_strange_error(*, response_dict: dict[str, Any], **_: Any) -> None:
    """
    Empty the body of an error that isn't Cognito's, such as a firewall's, because botocore fails to parse
    some of them. It names an error without a body by its status. (Older versions of botocore lack this
    event; there such an answer may prove nothing.)
    """
    if response_dict["status_code"] >= 300:
        body = _json_object(response_dict["body"])
        if body is None or not isinstance(body.get("__type"), str):
            response_dict["body"] = b""


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_safe_to_log(record: logging.LogRecord) -> bool:
    """Refuse DEBUG records of our calls: botocore prints the parameters, with code and password."""
    is_our_call = threading.current_thread().name.startswith(THREAD_NAME)
    return record.levelno > logging.DEBUG or not is_our_call
