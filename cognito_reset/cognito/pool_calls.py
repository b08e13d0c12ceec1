"""
How ``CognitoService`` sends a request to its user pool, and waits for the answer.

Each call runs in a thread of ``calls.Calls``. Passwords, codes and client secrets are ``Secret`` objects, which
are read only there, where the request's parameters are built.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from cognito_reset.cognito import errors, table
from cognito_reset.cognito.calls import Calls, CircuitBreaker
from cognito_reset.cognito.client import ask_once, prepare, request_id_of, send
from cognito_reset.conf import CognitoResetMisconfigured, parsed
from cognito_reset.parsers import parse_secret
from cognito_reset.secret import Secret
from cognito_reset.signals import measure

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

logger = logging.getLogger(__name__)

# When the look-ups of ``answer_within()`` have to be done, by time.monotonic().
_deadline: ContextVar[float] = ContextVar("cognito_reset_deadline", default=math.inf)


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """
    Let the look-ups inside of this context wait for Cognito's answers for ``seconds`` in total, and then raise
    ``Unavailable``. Don't use it for a call that changes something: its outcome would be unknown too early.
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


class PoolCalls:
    """
    The calls to one user pool.

    - ``client`` is an unsigned client. ``make_admin_client`` makes a signed one, when it is first needed,
      and with ``service`` and ``region`` one of another service.
    - ``client_secret`` may be a callable, which is called for each request.
    - ``calls`` has the bulkhead's permits, which all services of a process share.
    - ``total_timeout`` is the number of seconds after which a caller stops waiting for an answer.

    ``get_service()`` sets ``alias``, the pool's name in the settings.
    """

    alias = ""

    def __init__(
        self,
        client: CognitoIdentityProviderClient,
        *,
        client_id: str,
        client_secret: Secret | Callable[[], Secret | str | None] | None,
        user_pool_id: str,
        make_admin_client: Callable[..., Any],
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
        """Close the circuit breakers. Calls that are running don't count for the new breakers."""
        # Two breakers, because a source of credentials that hangs must not stop what needs none.
        names = {False: self._user_pool_id, True: f"{self._user_pool_id} (signed)"}
        self._breakers = {signed: CircuitBreaker(name) for signed, name in names.items()}

    @contextmanager
    def permit(self) -> Iterator[Self]:
        """
        Hold one of the bulkhead's permits for a whole request, and return this service. Raise ``Busy`` at once if
        none is free, and ``CircuitOpen`` while Cognito doesn't answer. Calls that are made meanwhile share that
        permit; other calls wait a few seconds for their own.
        """
        self._breakers[False].check()
        with self.calls.permit():
            yield self

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
        key = plain_of(secret)
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
        follow_up: Callable[[Any], None] | None = None,
        is_logged: bool = True,
    ) -> Any:
        """
        Send a request in another thread, and return Cognito's answer, or None if there is none after
        ``wait`` seconds. ``follow_up`` is called in that thread, with the answer or the error. With ``is_logged``,
        an error of Cognito or boto3 is logged.
        """
        left = _deadline.get() - time.monotonic()
        patience = math.inf if wait is None else wait

        def call() -> Any:
            start = time.monotonic()
            result = self._send(operation, parameters, signed=signed, is_logged=is_logged)
            self._measure(operation, result, time.monotonic() - start)
            if follow_up:
                follow_up(result)
            return result

        result = self.calls.run(
            call,
            breaker=self._breakers[signed],
            timeout=self._total_timeout,
            wait=max(min(patience, left), 0.0),
            when_late=when_late and (lambda answer: when_late(request_id_of(answer))),
        )
        if result is None and wait is None:
            result = table.unproven(operation, aws_code="DeadlineExceeded")
            if is_logged:
                log_error(operation, result)
        if isinstance(result, errors.ResetError):
            raise result
        return result

    def _ask(self, service: str, region: str, operation: str) -> Any:
        """Return another service's answer to a request without parameters. It is asked once, in another thread."""
        make = partial(self._make_admin_client, service=service, region=region)
        result = self.calls.run(
            partial(ask_once, make, operation),
            breaker=CircuitBreaker(service),
            timeout=self._total_timeout,
            wait=max(_deadline.get() - time.monotonic(), 0.0),
        )
        if result is None:
            raise errors.Unavailable(aws_code="DeadlineExceeded")
        if isinstance(result, errors.ResetError):
            raise result
        return result

    def _measure(self, operation: str, result: Any, seconds: float) -> None:
        """Send the signal for metrics, if the call was made."""
        error = result if isinstance(result, errors.ResetError) else None
        if error is None or error.answered is not None:
            code = error.code if error else ""
            values = {"operation": operation, "error_code": code, "seconds": seconds}
            measure(type(self), "call", pool=self.alias, **values)

    def _run_in_background(self, work: Callable[[], None]) -> None:
        """Start ``work`` in the background, unless too much is going on there."""
        with contextlib.suppress(errors.Busy):
            self.calls.run_in_background(work, self._total_timeout)

    def _send(
        self, operation: str, parameters: dict[str, Any], *, signed: bool, is_logged: bool
    ) -> Any:
        """Return Cognito's answer or a ``ResetError``; never raise. It runs in the call's thread."""
        try:
            if signed:
                client, more = self.admin_client, {"UserPoolId": self._user_pool_id}
            else:
                secret_hash = self._secret_hash(parameters["Username"])
                client, more = self.client, not_empty(SecretHash=secret_hash)
        except CognitoResetMisconfigured as error:  # the callable returned an invalid secret
            return errors.misconfigured(error, hint="CLIENT_SECRET")
        except Exception as error:  # of the site's callable for the secret, or of boto3
            if not signed:
                return errors.site_code_failed("CLIENT_SECRET", error)
            result: Any = failure_of(error)
        else:
            plain = {name: plain_of(value) for name, value in parameters.items()}
            result = send(client, operation, {**plain, **more})
        if is_logged and isinstance(result, errors.ResetError):
            log_error(operation, result)
        return result


def plain_of(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def not_empty(**values: Any) -> dict[str, Any]:
    """Return the values that aren't empty: Cognito refuses some empty members."""
    return {name: value for name, value in values.items() if value}


def log_error(operation: str, error: errors.ResetError) -> None:
    more = {"hint": error.hint, "at": error.at}
    logger.log(
        error.level,
        "cognito_reset.upstream_error operation=%s code=%s aws_code=%s aws_request_id=%s%s",
        *(operation, error.code, error.aws_code, error.request_id),
        "".join(f" {name}={value}" for name, value in more.items() if value),
    )


def failure_of(error: Exception) -> errors.Misconfigured:
    """Return the error for a client that can't be made. The exception's text may contain a secret."""
    name, at = type(error).__name__, errors.failing_line(error)
    return errors.Misconfigured(aws_code=name, hint=table.hint_for(name), at=at)
