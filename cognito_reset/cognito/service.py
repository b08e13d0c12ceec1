"""
The only way to Amazon Cognito: ``CognitoService``, with one method per operation, and ``get_service()``.

``CognitoService`` knows no settings; ``get_service()`` reads them, and keeps one service per process and
pool. Each method sends one request, in a thread of ``calls.Calls``. Passwords, codes and client secrets
are ``Secret`` objects, which are read only there, where the request's parameters are built.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack

from cognito_reset.cognito import errors, table
from cognito_reset.cognito.calls import Calls, CircuitBreaker
from cognito_reset.cognito.client import make_client, prepare, request_id_of, send
from cognito_reset.cognito.users import PoolUser, attribute_like, has_upper_case, is_same
from cognito_reset.conf import (
    DEFAULT_POOL,
    CognitoResetMisconfigured,
    PoolSettings,
    conf,
    parse_secret,
    parsed,
)
from cognito_reset.secret import Secret

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

logger = logging.getLogger(__name__)


class Context(TypedDict, total=False):
    """What the public operations pass on to Cognito and to the pool's Lambda functions, if there is any."""

    client_metadata: dict[str, str] | None
    analytics_endpoint_id: str | None
    encoded_data: str | None
    ip_address: str | None


@dataclass(frozen=True)
class Delivery:
    """
    Where Cognito says that it sent a code (CodeDeliveryDetails). ``destination`` is masked by Cognito, and
    made up for unknown users if the app client prevents user existence errors (developer guide).
    ``medium`` is "EMAIL" or "SMS", ``attribute`` "email" or "phone_number"; each may be "".
    """

    destination: str
    medium: str
    attribute: str
    request_id: str


class CognitoService:
    """
    The operations of a reset on one user pool.

    - ``client`` is an unsigned client. ``make_admin_client`` makes a signed one, when it is first needed.
    - ``client_secret`` may be a callable, which is called for each request.
    - ``calls`` has the bulkhead's permits, which all services of a process share.
    - ``total_timeout`` is the number of seconds after which a caller stops waiting for an answer.

    All methods raise ``ResetError`` and its subclasses, and nothing of boto3's. They may raise ``Busy`` and
    ``CircuitOpen``, if nothing was sent.
    """

    def __init__(
        self,
        client: CognitoIdentityProviderClient,
        *,
        client_id: str,
        client_secret: Secret | Callable[[], Secret | str | None] | None,
        user_pool_id: str,
        make_admin_client: Callable[[], CognitoIdentityProviderClient],
        calls: Calls,
        total_timeout: float,
    ) -> None:
        self.client = prepare(client)
        self.calls = calls
        self._client_id = client_id
        self._client_secret = client_secret
        self._user_pool_id = user_pool_id
        self._make_admin_client = make_admin_client
        self._admin_client: CognitoIdentityProviderClient | None = None
        self._lock = threading.Lock()
        self._total_timeout = total_timeout
        self.forget_answers()

    @property
    def admin_client(self) -> CognitoIdentityProviderClient:
        """Return the signed client, made when it is first needed: only staff's features need credentials."""
        with self._lock:
            if self._admin_client is None:
                self._admin_client = prepare(self._make_admin_client())
            return self._admin_client

    def forget_answers(self) -> None:
        """
        Close the circuit breakers, and forget whether the pool is case-sensitive. Calls that are running don't
        count any more.
        """
        # Two breakers, because a source of credentials that hangs must not stop what needs none.
        names = {False: self._user_pool_id, True: f"{self._user_pool_id} (signed)"}
        self._breakers = {signed: CircuitBreaker(name) for signed, name in names.items()}
        # Set by ``_is_case_sensitive()``.
        self._case_sensitive: bool | None = None
        self._may_describe = True

    @contextmanager
    def permit(self) -> Iterator[None]:
        """
        Hold one of the bulkhead's permits for a whole request. Raise ``Busy`` at once if none is free, and
        ``CircuitOpen`` while Cognito doesn't answer. Calls that are made meanwhile share that permit; other
        calls wait a few seconds for their own.
        """
        self._breakers[False].check()
        with self.calls.permit():
            yield

    def request_code(
        self, *, username: str, wait: float | None = None, **context: Unpack[Context]
    ) -> Delivery | None:
        """
        Have Cognito send a code (ForgotPassword). Return None if there is no answer after ``wait``
        seconds; the call goes on then, and if it fails that is logged.
        """
        parameters = self._public_parameters(username, **context)
        answer = self._call("ForgotPassword", parameters, signed=False, wait=wait)
        if answer is None:
            return None
        details = answer["CodeDeliveryDetails"]
        return Delivery(
            destination=details.get("Destination", ""),
            medium=details.get("DeliveryMedium", ""),
            attribute=details.get("AttributeName", ""),
            request_id=request_id_of(answer),
        )

    def confirm(
        self,
        *,
        username: str,
        confirmation_code: Secret | str,
        password: Secret | str,
        when_late: Callable[[str], None] | None = None,
        **context: Unpack[Context],
    ) -> str:
        """
        Set a new password with a code (ConfirmForgotPassword), and return the request id.

        If the answer comes after the total timeout, ``OutcomeUnknown`` has been raised already. If it
        proves success, ``when_late`` is then called with the request id, in the thread of the call.
        """
        parameters = self._public_parameters(username, **context)
        parameters["ConfirmationCode"] = Secret(_plain(confirmation_code))
        parameters["Password"] = Secret(_plain(password))
        del confirmation_code, password  # so that no frame of a traceback holds a plain string
        answer = self._call("ConfirmForgotPassword", parameters, signed=False, when_late=when_late)
        return request_id_of(answer)

    def admin_reset(self, *, username: str, client_metadata: dict[str, str] | None = None) -> str:
        """
        End a user's password and have Cognito send a code (AdminResetUserPassword). Return the request id.
        The user's status is RESET_REQUIRED afterwards. Call ``find_user()`` first, and see ``refusal``.
        """
        parameters = {"Username": username, **_not_empty(ClientMetadata=client_metadata)}
        return request_id_of(self._call("AdminResetUserPassword", parameters))

    def sign_out_everywhere(self, *, username: str, wait: float | None = None) -> str | None:
        """
        End a user's sessions at Cognito (AdminUserGlobalSignOut). Return the request id, or None if there
        is no answer after ``wait`` seconds; the call goes on then.

        Refresh tokens end, and so do access tokens wherever Cognito is asked about them. A service that
        verifies tokens offline accepts them until they expire, and managed login keeps its cookie
        (developer guide).
        """
        answer = self._call("AdminUserGlobalSignOut", {"Username": username}, wait=wait)
        return None if answer is None else request_id_of(answer)

    def password_policy(self, *, wait: float) -> dict[str, Any] | None:
        """
        Return the pool's PasswordPolicyType (DescribeUserPool), or None if there is no answer after
        ``wait`` seconds.
        """
        answer = self._call("DescribeUserPool", {}, wait=wait)
        if answer is None:
            return None
        policy: dict[str, Any] = answer["UserPool"].get("Policies", {}).get("PasswordPolicy", {})
        return policy

    def find_user(self, *, username: str) -> PoolUser:
        """
        Return the user with that username, or else with that email, phone number or sub, if ``username``
        has the form of one. Raise ``UserNotFound`` or ``AmbiguousUser``. The operation is ListUsers,
        because AdminGetUser makes a user a billed monthly active user (Cognito's price list).
        """
        # Only a pool that isn't case-sensitive takes "Alice" for "alice", and ListUsers' filter is
        # case-sensitive even there (botocore's model). Such a pool shows usernames in lower case, however
        # they were typed (developer guide, "User pool case sensitivity").
        similar = self._search("username", username)
        found = [user for user in similar if user.username == username]
        is_case_sensitive: bool | None = True
        if not found and has_upper_case(username):
            is_case_sensitive = self._is_case_sensitive()
            if is_case_sensitive is False:
                found = similar or self._search("username", username.lower())
        if not found and (attribute := attribute_like(username)):
            found = self._search(attribute, username)
        if len(found) > 1:
            raise errors.AmbiguousUser
        if found:
            return found[0]
        raise errors.UserNotFoundAsTyped if is_case_sensitive is None else errors.UserNotFound

    def _is_case_sensitive(self) -> bool | None:
        """
        Return whether "Alice" and "alice" are two users in this pool, or None if that isn't known. The answer
        is stored, because a pool's rule can't be changed (botocore's model), and so is a missing permission.
        A pool without a rule is case-sensitive (developer guide, as above).
        """
        if self._case_sensitive is None and self._may_describe:
            try:
                pool = self._call("DescribeUserPool", {})["UserPool"]
                rule = pool.get("UsernameConfiguration", {})
                self._case_sensitive = bool(rule.get("CaseSensitive", True))
            except errors.ResetError as error:
                self._may_describe = not isinstance(error, errors.Misconfigured)
        return self._case_sensitive

    def _search(self, attribute: str, value: str) -> list[PoolUser]:
        """Return the users that match exactly; stop at the second, which is one too many."""
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        parameters = {"Filter": f'{attribute} = "{quoted}"'}
        found: list[PoolUser] = []
        while True:  # a page may be empty and still have a token (botocore's model)
            answer = self._call("ListUsers", parameters)
            users = [PoolUser.of(user) for user in answer["Users"]]
            found += [user for user in users if is_same(value, getattr(user, attribute))]
            if len(found) > 1 or not answer.get("PaginationToken"):
                return found
            parameters["PaginationToken"] = answer["PaginationToken"]

    def _public_parameters(
        self,
        username: str,
        *,
        client_metadata: dict[str, str] | None = None,
        analytics_endpoint_id: str | None = None,
        encoded_data: str | None = None,
        ip_address: str | None = None,
    ) -> dict[str, Any]:
        return {
            "ClientId": self._client_id,
            "Username": username,
            **_not_empty(
                ClientMetadata=client_metadata,
                AnalyticsMetadata=_not_empty(AnalyticsEndpointId=analytics_endpoint_id),
                UserContextData=_not_empty(EncodedData=encoded_data, IpAddress=ip_address),
            ),
        }

    def _secret_hash(self, username: str) -> str | None:
        """
        Return base64(HMAC-SHA256(client secret, username + client id)) (developer guide), or None for a
        client without a secret. The username is exactly the one that is sent, alias or not (an AWS
        engineer, in a public thread).
        """
        secret = self._client_secret
        if callable(secret):
            returned = parsed(
                parse_secret, secret(), f"The result of CLIENT_SECRET for {self._user_pool_id}"
            )
            if isinstance(returned, CognitoResetMisconfigured):
                raise returned
            secret = returned
        key = _plain(secret)
        if not key:
            return None
        message = (username + self._client_id).encode()
        return base64.b64encode(hmac.digest(key.encode(), message, hashlib.sha256)).decode()

    def _call(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        signed: bool = True,
        wait: float | None = None,
        when_late: Callable[[str], None] | None = None,
    ) -> Any:
        """
        Send a request in another thread, and return Cognito's answer, or None if there is none after
        ``wait`` seconds.
        """
        result = self.calls.run(
            partial(self._send, operation, parameters, signed=signed),
            breaker=self._breakers[signed],
            timeout=self._total_timeout,
            wait=wait,
            when_late=when_late and (lambda answer: when_late(request_id_of(answer))),
        )
        if result is None and wait is None:
            result = table.unproven(operation, aws_code="DeadlineExceeded")
            _log(operation, result)
        if isinstance(result, errors.ResetError):
            raise result
        return result

    def _send(self, operation: str, parameters: dict[str, Any], *, signed: bool) -> Any:
        """Return Cognito's answer or a ``ResetError``; never raise. It runs in the call's thread."""
        try:
            if signed:
                client, more = self.admin_client, {"UserPoolId": self._user_pool_id}
            else:
                secret_hash = self._secret_hash(parameters["Username"])
                client, more = self.client, _not_empty(SecretHash=secret_hash)
        except CognitoResetMisconfigured as error:  # the callable returned an invalid secret
            return errors.misconfigured(error, hint="CLIENT_SECRET")
        except Exception as error:  # of the site's callable for the secret, or of boto3
            if not signed:
                return errors.site_code_failed("CLIENT_SECRET", error)
            result: Any = _failure(error)
        else:
            plain = {name: _plain(value) for name, value in parameters.items()}
            result = send(client, operation, {**plain, **more})
        if isinstance(result, errors.ResetError):
            _log(operation, result)
        return result


class ClientFactory(Protocol):
    """Makes boto3's client for a pool, as ``client.make_client()`` does."""

    def __call__(self, pool: PoolSettings, *, signed: bool) -> CognitoIdentityProviderClient: ...


_lock = threading.Lock()
_services: dict[str, tuple[Any, CognitoService]] = {}
_calls: Calls | None = None
_client_factory: ClientFactory = make_client


def get_service(pool: str = DEFAULT_POOL) -> CognitoService:
    """
    Return the process's service for a pool's alias. It is made when it is first asked for, never at start
    and never before a fork, and anew when a setting has changed. All pools share the permits.
    Raise ``CognitoResetMisconfigured`` or ``Misconfigured``.

    Its clients are made by ``client.make_client()``; see ``clients_made_by()`` for another way.
    """
    global _calls
    settings, limit = conf.pool(pool), conf.max_concurrent_calls
    timeouts = conf.total_timeout_seconds, conf.connect_timeout_seconds
    with _lock:
        if _calls is None or _calls.limit != limit:
            _calls = Calls(limit)
        factory = _client_factory
        state = (settings, conf.service_class, _calls, timeouts, factory)
        if pool in _services and _services[pool][0] == state:
            return _services[pool][1]
        try:
            client = factory(settings, signed=False)
        except Exception as error:  # botocore's, about Regions, profiles and addresses
            failure = _failure(error)
            _log("CreateClient", failure)
        else:
            try:
                service: CognitoService = conf.service_class(
                    client,
                    client_id=settings.client_id,
                    client_secret=settings.client_secret,
                    user_pool_id=settings.user_pool_id,
                    make_admin_client=partial(factory, settings, signed=True),
                    calls=_calls,
                    total_timeout=conf.total_timeout_seconds,
                )
            except Exception as error:  # SERVICE_CLASS may be the site's own
                failure = errors.site_code_failed("SERVICE_CLASS", error)
            else:
                _services[pool] = (state, service)
                return service
    raise failure


@contextmanager
def clients_made_by(factory: ClientFactory) -> Iterator[None]:
    """
    Let ``factory`` make the clients of this process's services, in all threads, as the test kit does.
    Services with other clients are not used meanwhile. At the start, all services forget Cognito's answers.
    """
    global _client_factory
    with _lock:
        before, _client_factory = _client_factory, factory
        for _, service in _services.values():
            service.forget_answers()
    try:
        yield
    finally:
        with _lock:
            _client_factory = before


def wait_until_idle(timeout: float) -> bool:
    """Wait until no call of this process is running, at most ``timeout`` seconds. Return whether so."""
    return _calls is None or _calls.wait_until_idle(timeout)


def _forget() -> None:
    """Start a forked child afresh: its parent's connections, threads and held locks aren't its own."""
    global _lock, _calls
    _lock = threading.Lock()
    _services.clear()
    _calls = None


os.register_at_fork(after_in_child=_forget)


def _plain(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def _not_empty(**values: Any) -> dict[str, Any]:
    """Return the values that aren't empty: Cognito refuses some empty members."""
    return {name: value for name, value in values.items() if value}


def _log(operation: str, error: errors.ResetError) -> None:
    more = {"hint": error.hint, "at": error.at}
    logger.log(
        error.level,
        "cognito_reset.upstream_error operation=%s code=%s aws_code=%s aws_request_id=%s%s",
        *(operation, error.code, error.aws_code, error.request_id),
        "".join(f" {name}={value}" for name, value in more.items() if value),
    )


def _failure(error: Exception) -> errors.Misconfigured:
    """Return the error for a client that can't be made. The exception's text may contain a secret."""
    name, at = type(error).__name__, errors.failing_line(error)
    return errors.Misconfigured(aws_code=name, hint=table.hint_for(name), at=at)
