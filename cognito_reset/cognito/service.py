"""
The only way to Amazon Cognito: ``CognitoService``, with one method per operation, and ``get_service()``.

``CognitoService`` knows no settings; ``get_service()`` reads them, and keeps one service per process and
pool. ``pool_calls.py`` sends the requests.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypedDict, Unpack

from cognito_reset.cognito import errors
from cognito_reset.cognito.calls import Calls
from cognito_reset.cognito.client import make_client, request_id_of
from cognito_reset.cognito.pool_calls import failure_of, log_error, not_empty, plain_of
from cognito_reset.cognito.pool_reads import PoolReads
from cognito_reset.cognito.users import (
    PoolRules,
    PoolUser,
    attribute_like,
    has_upper_case,
    is_contact_name,
    is_same,
)
from cognito_reset.conf import DEFAULT_POOL, PoolSettings, conf
from cognito_reset.secret import Secret

__all__ = ["CognitoService", "Context", "Delivery", "get_service"]

RULES_SECONDS: Final = 300.0  # how long the pool's rules are stored
RULES_WAIT_SECONDS: Final = 3.0  # how long a look-up waits for them
RULES_RETRY_SECONDS: Final = 30.0  # after which they are read again if there was no answer


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


class CognitoService(PoolReads):
    """
    The operations of a reset on one user pool.

    All methods raise ``ResetError`` and its subclasses, and nothing of boto3's. They may raise ``Busy`` and
    ``CircuitOpen``, if nothing was sent.
    """

    def forget_answers(self) -> None:
        """
        Close the circuit breakers, and forget the pool's rules. Calls that are running don't count for the new breakers.
        """
        super().forget_answers()
        # Set by ``pool_rules()``.
        self._rules: PoolRules | None = None
        self._ask_rules_at = 0.0

    def request_code(
        self,
        *,
        username: str,
        wait: float | None = None,
        when_wrong_state: Callable[[], None] | None = None,
        **context: Unpack[Context],
    ) -> Delivery | None:
        """
        Have Cognito send a code (ForgotPassword). Return None if there is no answer after ``wait``
        seconds; the call goes on then, and if it fails that is logged.

        If Cognito refuses because of the user's state, ``when_wrong_state`` runs in a separate thread. Nobody waits
        for it, and it holds none of the permits that requests need.
        """

        def follow_up(result: Any) -> None:
            if when_wrong_state and isinstance(result, errors.WrongState):
                self._run_in_background(when_wrong_state)

        parameters = self._public_parameters(username, **context)
        answer = self._call(
            "ForgotPassword", parameters, signed=False, wait=wait, follow_up=follow_up
        )
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
        parameters["ConfirmationCode"] = Secret(plain_of(confirmation_code))
        parameters["Password"] = Secret(plain_of(password))
        del confirmation_code, password  # so that no frame of a traceback holds a plain string
        answer = self._call("ConfirmForgotPassword", parameters, signed=False, when_late=when_late)
        return request_id_of(answer)

    def admin_reset(self, *, username: str, client_metadata: dict[str, str] | None = None) -> str:
        """
        End a user's password and have Cognito send a code (AdminResetUserPassword). Return the request id.
        The user's status is RESET_REQUIRED afterwards. Call ``find_user()`` first, and see ``refusal``.
        """
        parameters = {"Username": username, **not_empty(ClientMetadata=client_metadata)}
        return request_id_of(self._call("AdminResetUserPassword", parameters))

    def resend_invitation(
        self, *, username: str, medium: str, client_metadata: dict[str, str] | None = None
    ) -> str:
        """
        Send an invitation again, with a new temporary password; the old one ends (AdminCreateUser with RESEND).
        ``medium`` is "EMAIL" or "SMS". Return the request id. Only a user in FORCE_CHANGE_PASSWORD has an
        invitation.
        """
        parameters = {
            "Username": username,
            "MessageAction": "RESEND",
            "DesiredDeliveryMediums": [medium],  # SMS if it is left out (botocore's model)
            **not_empty(ClientMetadata=client_metadata),
        }
        return request_id_of(self._call("AdminCreateUser", parameters))

    def enable_user(self, *, username: str) -> str:
        """Enable a disabled user (AdminEnableUser). Return the request id."""
        return request_id_of(self._call("AdminEnableUser", {"Username": username}))

    def confirm_sign_up(
        self, *, username: str, client_metadata: dict[str, str] | None = None
    ) -> str:
        """
        Confirm the sign-up of a user in UNCONFIRMED (AdminConfirmSignUp). Return the request id. It verifies
        neither the email address nor the phone number (botocore's model).
        """
        parameters = {"Username": username, **not_empty(ClientMetadata=client_metadata)}
        return request_id_of(self._call("AdminConfirmSignUp", parameters))

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
        has the form of one, or else with that preferred_username, if people sign in with it. Where a contact can't be
        somebody's username as well, the contact is searched for first. Raise ``UserNotFound`` or ``AmbiguousUser``.
        The operation is ListUsers, because AdminGetUser makes a user a billed monthly active user (Cognito's price
        list).
        """
        by_username = partial(self._named, "username", username)
        if attribute := attribute_like(username):
            by_attribute = partial(self._search, attribute, username)
            # AWS allows 30 calls of ListUsers a second, and a list of people can be long.
            if is_contact_name(username, self.pool_rules()):
                found = by_attribute() or by_username()
            else:
                found = by_username() or by_attribute()
        elif not (found := by_username()):
            # Where preferred_username isn't an alias, users may enter any name there, also somebody else's.
            rules = self.pool_rules()
            if rules and "preferred_username" in rules.unique_names:
                found = self._named("preferred_username", username)
        if len(found) > 1:
            raise errors.AmbiguousUser
        if found:
            return found[0]
        must_be_exact = has_upper_case(username) and self._is_case_sensitive()
        raise errors.UserNotFoundAsTyped if must_be_exact else errors.UserNotFound

    def find_by_sub(self, *, sub: str) -> PoolUser:
        """
        Return the user with that sub, and never a user whose username looks like it. Raise ``UserNotFound``.
        """
        for user in self._search("sub", sub):
            return user
        raise errors.UserNotFound

    def pool_rules(self, *, required: bool = False) -> PoolRules | None:
        """
        Return the pool's rules (DescribeUserPool), or None if they can't be read. They are read again after
        RULES_SECONDS, but never again if the permission is missing, because a site need not grant it. While
        Cognito doesn't answer, this returns the last known rules, and tries again every RULES_RETRY_SECONDS.

        With ``required``, None means that the permission is missing. If there are no rules for another reason, ask again
        at once, and raise ``ResetError`` if that fails.
        """
        is_unknown = required and self._rules is None and self._ask_rules_at < math.inf
        # No lock: of two callers at the same time both ask, and get the same answer.
        if is_unknown or time.monotonic() >= self._ask_rules_at:
            failure: errors.ResetError = errors.Unavailable()
            delay = RULES_RETRY_SECONDS
            try:
                answer = self._call("DescribeUserPool", {}, wait=RULES_WAIT_SECONDS)
                if answer:
                    self._rules, delay = PoolRules.of(answer["UserPool"]), RULES_SECONDS
            except errors.ResetError as error:
                failure = error
                if error.hint == "AWS_PERMISSIONS":
                    delay = math.inf
            self._ask_rules_at = time.monotonic() + delay
            if is_unknown and self._rules is None and delay < math.inf:
                raise failure
        return self._rules

    def list_users(
        self, *, filter: str = "", group: str = "", page_token: str = ""
    ) -> tuple[list[PoolUser], str]:
        """
        Return a page of up to 60 users, and the token of the next page, or "" after the last one
        (ListUsers; ListUsersInGroup for a group). A page may be empty and still have a token. ``filter`` is
        ListUsers' own: one attribute, ``=`` or ``^=``, and a value in double quotes (botocore's model).
        """
        if group:
            parameters = {"GroupName": group, **not_empty(NextToken=page_token)}
            answer = self._call("ListUsersInGroup", parameters)
            token = answer.get("NextToken")
        else:
            answer = self._call("ListUsers", not_empty(Filter=filter, PaginationToken=page_token))
            token = answer.get("PaginationToken")
        return [PoolUser.of(user) for user in answer["Users"]], token or ""

    def _named(self, attribute: str, name: str) -> list[PoolUser]:
        """Return the users with this name, as the pool compares names: with or without regard to case."""
        # Only a pool that isn't case-sensitive takes "Alice" for "alice", and ListUsers' filter is
        # case-sensitive even there (botocore's model). Such a pool shows usernames in lower case, however
        # they were typed (developer guide, "User pool case sensitivity").
        similar = self._search(attribute, name)
        exact = [user for user in similar if getattr(user, attribute) == name]
        if exact or not (similar or has_upper_case(name)) or self._is_case_sensitive():
            return exact
        return similar or self._search(attribute, name.lower())

    def _is_case_sensitive(self) -> bool:
        """Check whether "Alice" and "alice" are two users, or may be, because the rules can't be read."""
        rules = self.pool_rules()
        return rules is None or rules.is_case_sensitive

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
            **not_empty(
                ClientMetadata=client_metadata,
                AnalyticsMetadata=not_empty(AnalyticsEndpointId=analytics_endpoint_id),
                UserContextData=not_empty(EncodedData=encoded_data, IpAddress=ip_address),
            ),
        }


class ClientFactory(Protocol):
    """Makes boto3's client for a pool, as ``client.make_client()`` does."""

    def __call__(
        self, pool: PoolSettings, *, signed: bool, service: str = ..., region: str = ...
    ) -> Any: ...


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
            failure = failure_of(error)
            log_error("CreateClient", failure)
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
                service.alias = pool
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
