"""The Emulator: Amazon Cognito user pools as a Python object."""

from __future__ import annotations

import copy
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from cognito_reset.testing import (
    accounts,
    administration,
    challenges,
    directory,
    groups,
    mfa,
    recovery,
    seeding,
    sign_in,
    tags,
    wire,
)
from cognito_reset.testing.errors import CognitoError
from cognito_reset.testing.faults import Error, Fault
from cognito_reset.testing.messages import Message
from cognito_reset.testing.mount import EVENT, Mount
from cognito_reset.testing.options import Options
from cognito_reset.testing.pools import Hook
from cognito_reset.testing.state import State
from cognito_reset.testing.users import User
from cognito_reset.testing.validation import check_error, check_operation, checked, is_signed

OPERATIONS: Final[dict[str, Callable[[State, dict[str, Any]], dict[str, Any]]]] = {
    **accounts.OPERATIONS,
    **administration.OPERATIONS,
    **challenges.OPERATIONS,
    **directory.OPERATIONS,
    **groups.OPERATIONS,
    **mfa.OPERATIONS,
    **recovery.OPERATIONS,
    **sign_in.OPERATIONS,
    **tags.OPERATIONS,
}
HOOKS: Final = ("CustomMessage", "PostConfirmation", "UserMigration")


class Emulator:
    """
    Amazon Cognito user pools, with the operations that matter for password resets.

    Pools, clients and users are created by the same operations as on AWS: with ``handle()``, with a
    boto3 client on which the emulator is mounted, or over HTTP (``serve()``). An emulator can be
    used from many threads. It stores nothing outside of this process.

    ``region`` is the Region of new pools, unless the signature of the request names another Region.

    With a ``seed``, ids, secrets and codes are the same each time. ``now`` replaces the clock, and
    ``new_code`` creates the codes.
    """

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        options: Options | None = None,
        seed: int | None = None,
        now: Callable[[], datetime] | None = None,
        new_code: Callable[[], str] | None = None,
    ) -> None:
        self._state = State(
            region=region, options=options or Options(), seed=seed, now=now, new_code=new_code
        )
        self._calls: list[tuple[str, Any]] = []
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._closed = threading.Event()
        self._mount_id = f"cognito_reset.testing.{id(self)}"

    # For tests and sites.

    def handle(self, operation: str, body: Any) -> tuple[int, dict[str, Any]]:
        """
        Do an operation. Return the HTTP status, and the result or ``{"__type", "message"}``.

        A queued fault that only a transport can play raises ``RuntimeError``.
        """
        status, answer, fault = self._perform(operation, body, authorized=True)
        if fault is not None:
            raise RuntimeError(f"{fault} needs a mounted client or the HTTP server.")
        return status, answer

    def mount(self, client: Any) -> None:
        """Answer all requests of this boto3 client from now on, instead of the network."""
        client.meta.events.register(EVENT, Mount(self, client), unique_id=self._mount_id)

    def unmount(self, client: Any) -> None:
        """Let the client use the network again."""
        client.meta.events.unregister(EVENT, unique_id=self._mount_id)

    @property
    def options(self) -> Options:
        """The behaviours that Amazon doesn't document. Assign to the attributes at any time."""
        return self._state.options

    @property
    def outbox(self) -> list[Message]:
        """The messages that were sent, newest last, as in ``django.core.mail.outbox``."""
        with self._state.lock:
            return self._state.outbox.copy()

    @property
    def calls(self) -> list[tuple[str, Any]]:
        """The calls that reached the service, in order: the operation and its body."""
        return self._calls

    def set_hook(self, pool_id: str, trigger: str, hook: Hook | None) -> None:
        """
        Set a pool's Lambda trigger: CustomMessage, PostConfirmation or UserMigration.

        The hook takes the event and returns it with its ``response`` filled in. If the hook raises
        ``TimeoutError``, the operation fails with UnexpectedLambdaException; after any other error,
        with UserLambdaValidationException; and if the hook returns no response, with
        InvalidLambdaResponseException. ``None`` removes the hook.
        """
        if trigger not in HOOKS:
            raise ValueError(f"trigger must be one of {HOOKS}")
        with self._state.lock:
            hooks = self._state.pool(pool_id).hooks
            hooks.pop(trigger, None)
            if hook is not None:
                hooks[trigger] = hook

    def fail_next(
        self, operation: str, fault: Fault | str, *, message: str = "", times: int = 1
    ) -> None:
        """
        Let the next calls of an operation fail with an error of this name, or with a fault. Raise ``ValueError`` for
        names that Cognito doesn't have. An ``Error`` may have any name.
        """
        check_operation(operation)
        if isinstance(fault, str):
            check_error(fault)
            fault = Error(fault, message)
        with self._state.lock:
            self._faults[operation].extend([fault] * times)

    def queued_faults(self, operation: str) -> list[Fault]:
        """Return the faults that are still waiting for a call. Raise as ``fail_next()``."""
        check_operation(operation)
        with self._state.lock:
            return list(self._faults[operation])

    @property
    def pools(self) -> dict[str, dict[str, list[str]]]:
        """The ids of all pools, and the ids of their app clients ("clients") and the usernames ("users")."""
        with self._state.lock:
            return {
                pool.id: {"clients": list(pool.clients), "users": list(pool.users)}
                for pool in self._state.pools.values()
            }

    def add_pool(self, pool_id: str, **members: Any) -> None:
        """
        Add a pool with this id, which no operation can choose. ``members`` are those of CreateUserPool.
        Raise ``Unusable`` for a value that the service would refuse, and for an id that exists.
        """
        with self._state.lock:
            seeding.add_pool(self._state, pool_id, members)

    def add_client(
        self, pool_id: str, client_id: str, *, secret: str | None = None, **members: Any
    ) -> None:
        """
        Add an app client with this id and secret. It allows sign-ins by password, unless ``members``, which
        are those of CreateUserPoolClient, have other ExplicitAuthFlows. Raise as ``add_pool()``.
        """
        with self._state.lock:
            seeding.add_client(self._state, pool_id, client_id, secret, members)

    def add_user(
        self,
        pool_id: str,
        username: str,
        *,
        email: str = "",
        phone_number: str = "",
        attributes: Mapping[str, str] | None = None,
        password: str | None = None,
        status: str = "CONFIRMED",
        groups: Iterable[str] = (),
        enabled: bool = True,
    ) -> User:
        """
        Add a user in any state, without a message or a trigger. Raise as ``add_pool()``. If ``username`` is an
        email address or a phone number, the user signs in with it, and the pool decides on the true username.

        ``email`` and ``phone_number`` are verified. Contacts that aren't verified belong into ``attributes``. Without a
        ``password``, one is made up that satisfies the pool's policy. ``status`` is one of Cognito's:
        CONFIRMED, FORCE_CHANGE_PASSWORD (invited), RESET_REQUIRED, UNCONFIRMED or EXTERNAL_PROVIDER. Groups
        that don't exist are created.
        """
        with self._state.lock, self._state.operation():
            return seeding.add_user(
                self._state,
                pool_id,
                username,
                email=email,
                phone_number=phone_number,
                attributes=attributes or {},
                password=password,
                status=status,
                groups=groups,
                enabled=enabled,
            )

    def add_federated_user(self, pool_id: str, username: str, *, email: str = "") -> None:
        """Add a user of an identity provider (EXTERNAL_PROVIDER). No operation can do that."""
        with self._state.lock, self._state.operation():
            pool = self._state.pool(pool_id)
            user = self._state.add_user(pool, username, "EXTERNAL_PROVIDER")
            if email:
                user.attributes |= {"email": email, "email_verified": "true"}
                pool.note_names(user)

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Raise ``ValueError`` or ``OverflowError`` if that is too far for Python's dates."""
        with self._state.lock:
            self._state.advance(timedelta(seconds=seconds))

    def close(self) -> None:
        """End all faults that are being played."""
        self._closed.set()

    # For the mounts.

    def exchange(self, headers: Mapping[str, str], raw: bytes) -> tuple[wire.Answer, Fault | None]:
        """Handle a request, with lower-case names of headers. Return the answer and its fault."""
        fault = None
        try:
            operation = wire.operation_of(headers)
            status, body, fault = self._perform(
                operation,
                wire.parsed(raw),
                authorized="authorization" in headers,
                region=wire.region_of(headers),
            )
        except CognitoError as error:
            status, body = error.status, error.body
        answer = wire.answer(status, body, self._state.now())
        return (answer, None) if fault is None else (fault.spoiled(answer), fault)

    def wait(self, seconds: float) -> bool:
        """Wait for a fault's seconds, or until ``close()``. Return True after ``close()``."""
        return self._closed.wait(seconds)

    def _perform(
        self, operation: str, body: Any, *, authorized: bool, region: str = ""
    ) -> tuple[int, dict[str, Any], Fault | None]:
        with self._state.lock:
            queue = self._faults[operation]
            fault = queue.popleft() if queue else None
            if fault is None or fault.arrives:
                self._calls.append((operation, copy.deepcopy(body)))
        status = 200
        answer: dict[str, Any] = {}
        if fault is None or fault.processed:
            status, answer = self._result(operation, body, authorized=authorized, region=region)
        if isinstance(fault, Error):
            return self._status(fault), fault.body, None
        return status, answer, fault

    def _result(
        self, operation: str, body: Any, *, authorized: bool, region: str
    ) -> tuple[int, dict[str, Any]]:
        try:
            if operation not in OPERATIONS:
                raise CognitoError("UnknownOperationException", "")
            if not authorized and is_signed(operation):
                raise CognitoError(
                    "MissingAuthenticationTokenException", "Missing Authentication Token"
                )
            request = checked(operation, body)
            with self._state.lock, self._state.operation():
                self._state.asked_region = region or self._state.region
                result = OPERATIONS[operation](self._state, request)
                # Copy the result, because other threads may change the state meanwhile.
                return 200, json.loads(json.dumps(result))
        except CognitoError as error:
            return error.status, error.body

    def _status(self, fault: Error) -> int:
        if fault.status is not None:
            return fault.status
        if fault.code == "TooManyRequestsException":
            return self.options.too_many_requests_status
        return 500 if fault.code in ("InternalErrorException", "InternalServerException") else 400
