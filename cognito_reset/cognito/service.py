"""
The one door to Amazon Cognito, and the only room that imports boto3.

``CognitoService`` knows no settings; ``get_service()`` reads them and keeps one service per process
and pool. Every call goes through ``_call()``: one request on the wire, in a bounded pool of threads,
with a total deadline, and with a success that is proved. A worker never raises: it returns a value
or a ``ResetError``, for an exception that crosses threads brings the worker's frames along, and with
them the password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from cognito_reset import __version__
from cognito_reset.cognito.errors import (
    AmbiguousUser,
    Busy,
    CognitoResetMisconfigured,
    FederatedUser,
    Misconfigured,
    NotActivated,
    NotConfirmed,
    NoVerifiedContact,
    ResetError,
    UserDisabled,
    UserNotFound,
    request_id_of,
    translate,
    unproven,
)
from cognito_reset.conf import DEFAULT_POOL, PoolSettings, conf

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Secret = str | Callable[[], str] | None
THREAD_NAME: Final = "cognito_reset"


def holding_nothing(method: Callable[P, T]) -> Callable[P, T]:
    """
    Mask ``method``'s frames in Django's reports, and begin our errors' tracebacks anew where no frame
    of ours holds an argument: trackers that keep locals know of no mask.
    """
    masked = sensitive_variables()(method)

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return masked(*args, **kwargs)
        except ResetError as error:
            failure = error.with_traceback(None)
        finally:
            del args, kwargs
        raise failure

    return call


@dataclass(frozen=True)
class Delivery:
    """Where Cognito says that it sent a code. ``destination`` is masked, and may be made up."""

    destination: str
    medium: str
    attribute: str
    request_id: str


@dataclass(frozen=True)
class PoolUser:
    """A user as ListUsers shows one: eventually consistent, so ``looked_up_at`` belongs to it."""

    username: str
    status: str
    enabled: bool
    email_verified: bool
    phone_verified: bool
    looked_up_at: datetime

    @property
    def refusal(self) -> type[ResetError] | None:
        """
        Why AdminResetUserPassword must not be sent: it could end the user's password without any
        code reaching the user.
        """
        if not self.enabled:
            return UserDisabled
        if self.status == "EXTERNAL_PROVIDER":
            return FederatedUser
        if self.status == "FORCE_CHANGE_PASSWORD":
            return NotActivated
        if self.status == "UNCONFIRMED":
            return NotConfirmed
        if not (self.email_verified or self.phone_verified):
            return NoVerifiedContact
        return None


class Calls:
    """
    The threads that call Cognito: as many calls at once as there are threads, and no queue. A
    thread can't be cancelled, so whoever waits may stop waiting, and the thread stays taken until
    its call ends.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = threading.BoundedSemaphore(limit)
        self._executor = ThreadPoolExecutor(max_workers=limit, thread_name_prefix=THREAD_NAME)

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        if not self._free.acquire(blocking=False):
            logger.warning("cognito_reset.busy: all %d threads are calling Cognito", self.limit)
            raise Busy
        try:
            future = self._executor.submit(call)
        except RuntimeError:  # no thread can be started, or the process is about to end
            future = None
        if future is None:
            self._free.release()
            raise Busy
        future.add_done_callback(lambda _: self._free.release())
        return future


class CognitoService:
    """
    The operations of a reset on one user pool.

    ``client`` is an unsigned client, ``make_admin_client`` makes a signed one when staff need it.
    ``client_secret`` may be a callable, called for each request. ``total_timeout`` is in seconds.
    All methods raise ``ResetError`` and nothing else of Cognito's.
    """

    def __init__(
        self,
        client: CognitoIdentityProviderClient,
        *,
        client_id: str,
        client_secret: Secret = None,
        user_pool_id: str = "",
        make_admin_client: Callable[[], CognitoIdentityProviderClient] | None = None,
        calls: Calls | None = None,
        total_timeout: float = 16.0,
    ) -> None:
        self.client = _prepared(client)
        self._client_id = client_id
        self._client_secret = client_secret
        self._user_pool_id = user_pool_id
        self._make_admin_client = make_admin_client
        self._admin_client: CognitoIdentityProviderClient | None = None
        self._lock = threading.Lock()
        self._calls = calls or Calls(8)
        self._total_timeout = total_timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._user_pool_id}>"

    @property
    def admin_client(self) -> CognitoIdentityProviderClient:
        """The signed client, made when it is first needed: only staff's features have credentials."""
        with self._lock:
            if self._admin_client is None:
                if self._make_admin_client is None:
                    raise CognitoResetMisconfigured("This service has no signed client.")
                self._admin_client = _prepared(self._make_admin_client())
            return self._admin_client

    @sensitive_variables()
    def request_code(
        self,
        *,
        username: str,
        client_metadata: dict[str, str] | None = None,
        analytics_endpoint_id: str | None = None,
        encoded_data: str | None = None,
        ip_address: str | None = None,
        wait: float | None = None,
    ) -> Delivery | None:
        """
        Have Cognito send a code (ForgotPassword). ``None``: no answer after ``wait`` seconds, and
        the call goes on; what it finds is logged.
        """
        answer = self._call(
            "ForgotPassword",
            lambda: self._public_parameters(
                username, client_metadata, analytics_endpoint_id, encoded_data, ip_address
            ),
            wait=wait,
        )
        if answer is None:
            return None
        details = answer["CodeDeliveryDetails"]
        return Delivery(
            destination=details.get("Destination", ""),
            medium=details.get("DeliveryMedium", ""),
            attribute=details.get("AttributeName", ""),
            request_id=request_id_of(answer["ResponseMetadata"]),
        )

    @holding_nothing
    def confirm(
        self,
        *,
        username: str,
        confirmation_code: str,
        password: str,
        client_metadata: dict[str, str] | None = None,
        analytics_endpoint_id: str | None = None,
        encoded_data: str | None = None,
        ip_address: str | None = None,
    ) -> str:
        """Set a new password with a code (ConfirmForgotPassword), and give the request id."""
        answer = self._call(
            "ConfirmForgotPassword",
            lambda: {
                **self._public_parameters(
                    username, client_metadata, analytics_endpoint_id, encoded_data, ip_address
                ),
                "ConfirmationCode": confirmation_code,
                "Password": password,
            },
        )
        return request_id_of(answer["ResponseMetadata"])

    @sensitive_variables()
    def admin_reset(self, *, username: str, client_metadata: dict[str, str] | None = None) -> str:
        """
        End a user's password and have Cognito send a code (AdminResetUserPassword), and give the
        request id. The user is in RESET_REQUIRED from then on. ``find_user()`` first.
        """
        parameters: dict[str, Any] = {"UserPoolId": self._user_pool_id, "Username": username}
        if client_metadata:
            parameters["ClientMetadata"] = client_metadata
        answer = self._call("AdminResetUserPassword", lambda: parameters, signed=True)
        return request_id_of(answer["ResponseMetadata"])

    @sensitive_variables()
    def sign_out_everywhere(self, *, username: str) -> str:
        """
        End a user's sessions at Cognito (AdminUserGlobalSignOut), and give the request id. Refresh
        tokens end, and so do access tokens where Cognito itself is asked; who verifies tokens
        offline takes them until they expire, and managed login keeps its cookie (developer guide).
        """
        parameters = {"UserPoolId": self._user_pool_id, "Username": username}
        answer = self._call("AdminUserGlobalSignOut", lambda: parameters, signed=True)
        return request_id_of(answer["ResponseMetadata"])

    def password_policy(self, *, wait: float) -> dict[str, Any] | None:
        """
        Read the pool's PasswordPolicy (DescribeUserPool), or give ``None`` where no answer came
        within ``wait`` seconds.
        """
        parameters = {"UserPoolId": self._user_pool_id}
        answer = self._call("DescribeUserPool", lambda: parameters, signed=True, wait=wait)
        if answer is None:
            return None
        policy: dict[str, Any] = answer["UserPool"].get("Policies", {}).get("PasswordPolicy", {})
        return policy

    @sensitive_variables()
    def find_user(self, *, username: str) -> PoolUser:
        """
        Look a user up by username, or by what else ``username`` has the form of. By ListUsers,
        which unlike AdminGetUser makes nobody a billed monthly active user.
        """
        for attribute in ("username", *_attributes_like(username)):
            found = self._search(attribute, username)
            if len(found) > 1:
                raise AmbiguousUser
            if found:
                return found[0]
        raise UserNotFound

    @sensitive_variables()
    def _search(self, attribute: str, value: str) -> list[PoolUser]:
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        parameters = {"UserPoolId": self._user_pool_id, "Filter": f'{attribute} = "{quoted}"'}
        found: list[PoolUser] = []
        while True:  # pages may be empty and still have a token
            answer = self._call("ListUsers", lambda: parameters, signed=True)
            for user in answer["Users"]:
                attributes = _attributes(user)
                if is_same(value, attributes.get(attribute)):
                    found.append(_pool_user(user, attributes))
            if len(found) > 1 or not answer.get("PaginationToken"):
                return found
            parameters["PaginationToken"] = answer["PaginationToken"]

    @sensitive_variables()
    def _public_parameters(
        self,
        username: str,
        client_metadata: dict[str, str] | None,
        analytics_endpoint_id: str | None,
        encoded_data: str | None,
        ip_address: str | None,
    ) -> dict[str, Any]:
        user_context_data = {"EncodedData": encoded_data, "IpAddress": ip_address}
        parameters: dict[str, Any] = {
            "ClientId": self._client_id,
            "SecretHash": self._secret_hash(username),
            "Username": username,
            "ClientMetadata": client_metadata or None,
            "AnalyticsMetadata": (
                {"AnalyticsEndpointId": analytics_endpoint_id} if analytics_endpoint_id else None
            ),
            "UserContextData": {k: v for k, v in user_context_data.items() if v} or None,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    @sensitive_variables()
    def _secret_hash(self, username: str) -> str | None:
        # Over exactly the username that is sent, alias or not: an AWS engineer's word.
        secret = self._client_secret() if callable(self._client_secret) else self._client_secret
        if not secret:
            return None
        message = (username + self._client_id).encode()
        return base64.b64encode(hmac.digest(secret.encode(), message, hashlib.sha256)).decode()

    @sensitive_variables()
    def _call(
        self,
        operation: str,
        parameters: Callable[[], dict[str, Any]],
        *,
        signed: bool = False,
        wait: float | None = None,
    ) -> Any:
        """Call in a thread of the pool, and give the answer, or ``None`` after ``wait`` seconds."""
        future = self._calls.submit(partial(self._worker, operation, parameters, signed=signed))
        try:
            result = future.result(self._total_timeout if wait is None else wait)
        except TimeoutError:
            result = None
        if result is None and wait is None:
            result = unproven(operation, aws_code="DeadlineExceeded")
            _log(operation, result)
        if isinstance(result, ResetError):
            raise result
        return result

    def _worker(
        self, operation: str, parameters: Callable[[], dict[str, Any]], *, signed: bool
    ) -> Any:
        """Give the proved answer or a ``ResetError``; never raise. Runs in a thread of the pool."""
        try:
            client = self.admin_client if signed else self.client
            arguments = parameters()
        except Exception as error:  # of the site's own callables: for the secret, for the client
            result: Any = Misconfigured(aws_code=type(error).__name__)
        else:
            result = _sent(client, operation, arguments)
        if isinstance(result, ResetError):
            _log(operation, result)
        return result


# The member that proves an answer to be the operation's own, where it has one.
_PROOFS: Final = {
    "ForgotPassword": "CodeDeliveryDetails",
    "ListUsers": "Users",
    "DescribeUserPool": "UserPool",
}

_lock = threading.Lock()
_services: dict[str, tuple[Any, CognitoService]] = {}
_calls: Calls | None = None


def get_service(pool: str = DEFAULT_POOL) -> CognitoService:
    """
    Give the process's service for a pool's alias, made when it is first asked for: never at start
    and never before a fork. Raises ``CognitoResetMisconfigured`` or ``Misconfigured``.
    """
    global _calls
    settings, limit = conf.pool(pool), conf.max_concurrent_calls
    timeout = conf.total_timeout_seconds
    state = (settings, conf.service_class, timeout, conf.connect_timeout_seconds)
    with _lock:
        if _calls is None or _calls.limit != limit:
            _calls = Calls(limit)
            _services.clear()  # all pools share the threads
        if pool in _services and _services[pool][0] == state:
            return _services[pool][1]
        try:
            client = _make_client(settings, signed=False)
        except Exception as error:  # botocore's, of Regions, profiles and addresses
            failure = Misconfigured(aws_code=type(error).__name__)
        else:
            service: CognitoService = conf.service_class(
                client,
                client_id=settings.client_id,
                client_secret=settings.client_secret,
                user_pool_id=settings.user_pool_id,
                make_admin_client=partial(_make_client, settings, signed=True),
                calls=_calls,
                total_timeout=timeout,
            )
            _services[pool] = (state, service)
            return service
    _log("CreateClient", failure)
    raise failure


def _forget() -> None:
    """Start a forked child with nothing of its parent's: no client, no thread, no held lock."""
    global _lock, _calls
    _lock = threading.Lock()
    _services.clear()
    _calls = None


os.register_at_fork(after_in_child=_forget)


def _make_client(settings: PoolSettings, *, signed: bool) -> CognitoIdentityProviderClient:
    import boto3  # here, so that starting a site doesn't load it
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        # ForgotPassword and ConfirmForgotPassword are unsigned operations: without UNSIGNED
        # botocore would look for credentials, as far as the instance's metadata address.
        signature_version=None if signed else UNSIGNED,
        # Each retry of botocore's would send the person another code.
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=conf.connect_timeout_seconds,
        read_timeout=conf.total_timeout_seconds,
        max_pool_connections=conf.max_concurrent_calls,
        tcp_keepalive=True,
        proxies=settings.proxies,
        # The endpoint comes from the site's settings alone, not from AWS_ENDPOINT_URL.
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # the stubs lack it
        user_agent_extra=f"django-cognito-reset/{__version__}",
    )
    return boto3.session.Session().client(
        "cognito-idp",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        verify=settings.ca_bundle,
        config=config,
    )


def _prepared(client: CognitoIdentityProviderClient) -> CognitoIdentityProviderClient:
    # Handlers without state, registered before the client is shared: as safe among threads as the
    # client itself.
    client.meta.events.register(
        "after-call.cognito-identity-provider", _note_body, unique_id="cognito_reset.call"
    )
    client.meta.events.register(
        "before-parse.cognito-identity-provider",
        _drop_strange_error,
        unique_id="cognito_reset.parse",
    )
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("boto3", "botocore", "urllib3"):
            logging.getLogger(name).addFilter(_is_safe_to_log)
    return client


def _drop_strange_error(*, response_dict: dict[str, Any], **_: Any) -> None:
    """
    Empty the body of an error that isn't Cognito's, as of a firewall's: botocore then names the
    error by its status, and would fail on some of these bodies. (Older botocores lack the event:
    there such an answer proves nothing.)
    """
    if response_dict["status_code"] >= 300:
        try:
            kind = json.loads(response_dict["body"]).get("__type")
        except (ValueError, RecursionError, AttributeError):
            kind = None
        if not isinstance(kind, str):
            response_dict["body"] = b""


def _note_body(*, http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Note whether the body was a JSON object: botocore gives ``{}`` for any body of a 200."""
    try:
        body = json.loads(http_response.content)
    except (ValueError, RecursionError):
        body = None
    parsed.setdefault("ResponseMetadata", {})["IsJSONObject"] = isinstance(body, dict)


def _is_safe_to_log(record: logging.LogRecord) -> bool:
    """Refuse botocore's DEBUG records of our calls: they print the parameters, password and all."""
    in_call = threading.current_thread().name.startswith(THREAD_NAME)
    return record.levelno > logging.DEBUG or not in_call


def _sent(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
    """Send one request, and give its proved answer or a ``ResetError``."""
    from botocore import xform_name
    from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

    call = getattr(client, xform_name(operation))
    try:
        try:
            answer = call(**arguments)
        except (ConnectTimeoutError, EndpointConnectionError):
            answer = call(**arguments)  # nothing was sent, so once more
    except Exception as error:  # whatever boto3 raises has an answer
        return translate(operation, error)
    if _is_proof(operation, answer):
        return answer
    request_id = request_id_of(answer["ResponseMetadata"])
    return unproven(operation, aws_code="UnprovenAnswer", request_id=request_id)


def _is_proof(operation: str, answer: dict[str, Any]) -> bool:
    metadata, member = answer["ResponseMetadata"], _PROOFS.get(operation)
    return (
        metadata["HTTPStatusCode"] == 200
        and "json" in metadata["HTTPHeaders"].get("content-type", "")
        and metadata["IsJSONObject"]
        and request_id_of(metadata) != ""
        and (member is None or answer.get(member) is not None)
    )


def _log(operation: str, error: ResetError) -> None:
    logger.log(
        error.level,
        "cognito_reset.upstream_error operation=%s code=%s aws_code=%s aws_request_id=%s",
        operation,
        error.code,
        error.aws_code,
        error.request_id,
    )


def _attributes_like(identifier: str) -> Iterator[str]:
    """Give what else ListUsers may find it by: it takes one attribute at a time."""
    if "@" in identifier:
        yield "email"
    elif identifier.startswith("+"):
        yield "phone_number"
    elif re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identifier):
        yield "sub"


def is_same(wanted: str, found: str | None) -> bool:
    """Whether what was found is what was asked for. ASCII case aside: more would match lookalikes."""
    if found is None or wanted == found:
        return found is not None
    return wanted.isascii() and found.isascii() and wanted.lower() == found.lower()


def _attributes(user: dict[str, Any]) -> dict[str, str | None]:
    attributes = {item["Name"]: item.get("Value") for item in user.get("Attributes", ())}
    return {**attributes, "username": user["Username"]}


def _pool_user(user: dict[str, Any], attributes: dict[str, str | None]) -> PoolUser:
    return PoolUser(
        username=user["Username"],
        status=user["UserStatus"],
        enabled=user["Enabled"],
        email_verified=attributes.get("email_verified") == "true",
        phone_verified=attributes.get("phone_number_verified") == "true",
        looked_up_at=timezone.now(),
    )
