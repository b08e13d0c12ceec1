"""
The test kit for sites: the emulator behind the site's own settings, with assertions.

pytest has the fixture ``cognito`` (``fixtures.py``), and Django's test cases have ``CognitoMixin``.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import botocore.exceptions
from django.conf import settings
from django.core.cache.backends.locmem import LocMemCache
from django.test import SimpleTestCase, TransactionTestCase, override_settings
from django.test.signals import setting_changed

from cognito_reset.cognito import refusals
from cognito_reset.cognito.client import make_client
from cognito_reset.cognito.service import clients_made_by, wait_until_idle
from cognito_reset.conf import CognitoResetMisconfigured, PoolSettings, conf
from cognito_reset.resets import passwords, ratelimits
from cognito_reset.resets.stores import (
    CacheStore,
    DatabaseStore,
    Store,
    open_store,
    stores_opened_by,
)
from cognito_reset.secret import Secret
from cognito_reset.testing.emulator import Emulator
from cognito_reset.testing.faults import Fault
from cognito_reset.testing.messages import Message
from cognito_reset.testing.mount import Mount
from cognito_reset.testing.seeding import SIGN_IN_NAMES, pool_settings
from cognito_reset.testing.settings_of_test import REGION, SettingsOfTest
from cognito_reset.testing.users import User
from cognito_reset.testing.validation import check_operation

# With one seed, a test gets the same codes and passwords each time.
_SEED: Final = 9229
#: How long to wait for calls that an answer of the site didn't wait for.
_IDLE_SECONDS: Final = 5.0
#: Nothing of the machine's own AWS account may reach a test. None stands for a variable that isn't set.
_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": None,
    "AWS_PROFILE": None,
    "AWS_DEFAULT_PROFILE": None,
}


@dataclass(frozen=True)
class Call:
    """
    A request of the app to Cognito. ``parameters`` are the members of the operation; they contain secrets.
    ``outcome`` is "" after a success, and else the name of Cognito's error or of botocore's exception.
    """

    operation: str
    parameters: dict[str, Any] = field(repr=False)
    outcome: str

    def __str__(self) -> str:
        name = self.parameters.get("Username")
        by_name = f" for {name}" if name else ""
        return f"{self.operation}{by_name}: {self.outcome or 'succeeded'}"


class Cognito:
    """
    Amazon Cognito for one test: each pool of ``settings.COGNITO_RESET`` exists, with its own ids, and is empty.

    ``emulator`` is the ``Emulator`` itself, for everything else: its clock, options and triggers, all
    operations of AWS, and ``mount()`` for a boto3 client of the site's own.
    """

    def __init__(self) -> None:
        aliases = conf.pool_aliases()
        default: Mapping[str, Any] = conf.pools.get("default", {})
        # The Region in which operations of AWS create further pools.
        self.emulator = Emulator(region=default.get("REGION") or REGION, seed=_SEED)
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._adopted: set[str] = set()
        for alias in aliases:
            try:
                self._adopt(conf.pool(alias))
            except CognitoResetMisconfigured:
                pass  # The test may be about this. add_user() raises it.

    def add_user(
        self,
        username: str,
        *,
        email: str = "",
        phone_number: str = "",
        attributes: Mapping[str, str] | None = None,
        password: str | None = None,
        status: str = "CONFIRMED",
        groups: Iterable[str] = (),
        enabled: bool = True,
        pool: str = "default",
    ) -> User:
        """
        Add a user to the pool with this alias, as ``Emulator.add_user()`` does, and return the user.

        ``user.password`` is the present password, ``user.status`` the present status, and so on. The ``username``
        may be a contact, for a site whose users have no other name.
        """
        return self.emulator.add_user(
            self._pool_id(pool),
            username,
            email=email,
            phone_number=phone_number,
            attributes=attributes,
            password=password,
            status=status,
            groups=groups,
            enabled=enabled,
        )

    def create_pool(self, pool: str = "default", **members: Any) -> None:
        """
        Create the pool with this alias anew, with these members of CreateUserPool, and without users.

        Without it, the pool has the policy of the setting PASSWORD_POLICY, and email addresses, phone numbers and
        preferred usernames are aliases.
        """
        values = conf.pool(pool)
        if values.user_pool_id in self.emulator.pools:
            self.emulator.handle("DeleteUserPool", {"UserPoolId": values.user_pool_id})
        self.emulator.add_pool(values.user_pool_id, **members)
        self._adopted.discard(values.client_id)
        self._adopt(values)

    @property
    def outbox(self) -> list[Message]:
        """The messages that Cognito sent in this test, newest last, as in ``django.core.mail.outbox``."""
        wait_until_idle(_IDLE_SECONDS)
        return self.emulator.outbox

    @property
    def calls(self) -> list[Call]:
        """The requests that the app made to Cognito in this test, in order."""
        wait_until_idle(_IDLE_SECONDS)
        return self._calls.copy()

    def fail_next(
        self, operation: str, fault: Fault | str, *, message: str = "", times: int = 1
    ) -> None:
        """
        Let the app's next calls of an operation fail: with a fault such as ``Timeout()``, or with the error of
        Cognito that has this name. Raise ``ValueError`` for names that Cognito doesn't have; an ``Error("…")`` may have
        any.
        """
        self.emulator.fail_next(operation, fault, message=message, times=times)

    def assert_code_sent(self, to: str) -> Message:
        """
        Assert that a message with a code was sent to a username, an email address or a phone number. Return
        the newest.
        """
        for message in reversed(self.outbox):
            is_code = message.kind != "invitation"  # which has a temporary password
            if is_code and to in (message.username, message.destination):
                return message
        raise AssertionError(f"No code was sent to {to}. {self._story()}")

    def assert_nothing_sent(self) -> None:
        """Assert that Cognito sent no message at all."""
        if self.outbox:
            raise AssertionError(f"A message was sent. {self._story()}")

    def assert_password(self, username: str, password: str, *, pool: str = "default") -> None:
        """
        Assert that the user can sign in with this password. A second factor that Cognito would ask for next
        doesn't matter.
        """
        wait_until_idle(_IDLE_SECONDS)
        values = conf.pool(pool)
        self._adopt(values)
        parameters = {"USERNAME": username, "PASSWORD": password}
        if secret := _secret_of(values):
            digest = hmac.digest(secret.encode(), (username + values.client_id).encode(), "sha256")
            parameters["SECRET_HASH"] = base64.b64encode(digest).decode()
        status, answer = self.emulator.handle(
            "AdminInitiateAuth",
            {
                "UserPoolId": values.user_pool_id,
                "ClientId": values.client_id,
                "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
                "AuthParameters": parameters,
            },
        )
        if status != 200:
            reason = f"{answer['__type']}: {answer['message'].rstrip('.')}"
        elif answer.get("ChallengeName") == "NEW_PASSWORD_REQUIRED":
            reason = "it is a temporary password"
        else:
            return
        raise AssertionError(
            f"{username} can't sign in with this password: {reason}. {self._story()}"
        )

    def assert_not_called(self, operation: str = "") -> None:
        """
        Assert that the app made no request to Cognito, or none of this operation. Raise ``ValueError`` if Cognito has no
        such operation.
        """
        if operation:
            check_operation(operation)
        if any(operation in ("", call.operation) for call in self.calls):
            name = operation or "Cognito"
            raise AssertionError(f"{name} was called. {self._story()}")

    def _story(self) -> str:
        """Return what happened in this test, without secrets, for the message of an assertion."""
        calls = "; ".join(map(str, self._calls)) or "none"
        sent = "; ".join(
            f"{message.kind} to {message.destination} ({message.username})"
            for message in self.emulator.outbox
        )
        return f"Calls of Cognito: {calls}. Messages: {sent or 'none'}."

    def _pool_id(self, alias: str) -> str:
        pool = conf.pool(alias)
        self._adopt(pool)
        return pool.user_pool_id

    def _adopt(self, pool: PoolSettings) -> None:
        """
        Create the pool and the app client of these settings. Do that once, because the test may delete them. This
        happens before each call, because the test may change the settings.
        """
        pool_id, client_id = pool.user_pool_id, pool.client_id
        with self._lock:
            if pool_id not in self._adopted:
                self._adopted.add(pool_id)
                if pool_id not in self.emulator.pools:
                    policy = None if pool.password_policy == "pool" else pool.password_policy
                    # Whatever the site calls a sign-in, so that a test can have users of every kind.
                    self.emulator.add_pool(pool_id, **pool_settings(SIGN_IN_NAMES, policy))
            if client_id not in self._adopted:
                self._adopted.add(client_id)
                pools = self.emulator.pools
                exists = any(client_id in pool["clients"] for pool in pools.values())
                if pool_id in pools and not exists:
                    self.emulator.add_client(pool_id, client_id, secret=_secret_of(pool))

    def _answer(self, pool: PoolSettings, operation: str, mount: Mount, request: Any) -> Any:
        """Answer a request of the app's client, and record the call."""
        self._adopt(pool)
        parameters = json.loads(request.body)
        outcome = "no answer yet"
        try:
            response = mount(request)
            outcome = response.headers.get("x-amzn-errortype", "").rstrip(":")
            if not outcome and response.status_code != 200:
                outcome = f"HTTP status {response.status_code}"
            return response
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            self._calls.append(Call(operation, parameters, outcome))


class CognitoMixin(SimpleTestCase):
    """
    A mixin for Django's test cases, with Cognito for each test as ``self.cognito``.

    ``class ResetTests(CognitoMixin, TestCase)``. In a SimpleTestCase, which has no database, the rate limits are
    counted in memory.
    """

    def setUp(self) -> None:
        super().setUp()
        values = SettingsOfTest()
        self.enterContext(override_settings(COGNITO_RESET=values.value))
        has_database = isinstance(self, TransactionTestCase)
        self._cognito = self.enterContext(running_cognito(values, has_database=has_database))

    @property
    def cognito(self) -> Cognito:
        try:
            return self._cognito
        except AttributeError:
            raise AssertionError(
                "CognitoMixin.setUp() didn't run: call super().setUp() in setUp()."
            ) from None


@contextmanager
def running_cognito(values: SettingsOfTest, *, has_database: bool) -> Iterator[Cognito]:
    """
    Let the app call a new ``Cognito`` in this process, in all threads, and count its limits from zero.

    The limits of a site that counts them in a cache are counted in memory, so that no server is touched. A site
    that counts them in the database has the rows in the test's database, if the test has one.

    COGNITO_RESET must be ``values.value`` already. ``values`` completes what the test makes of it.
    """
    memory = LocMemCache("cognito_reset.testing", {"OPTIONS": {"MAX_ENTRIES": 1_000_000}})
    memory.clear()

    def open_for_test(alias: str | None) -> Store:
        return open_store(None) if alias is None and has_database else CacheStore(memory)

    def complete(*, setting: str, value: Any, enter: bool, **kwargs: Any) -> None:
        if setting == "COGNITO_RESET" and enter:
            settings.COGNITO_RESET = values.complete(value)

    cognito = Cognito()
    with ExitStack() as stack:
        before = {name: os.environ.get(name) for name in _ENVIRONMENT}
        stack.callback(_set_environment, before)
        _set_environment(_ENVIRONMENT)
        setting_changed.connect(complete)
        stack.callback(setting_changed.disconnect, complete)
        stack.enter_context(stores_opened_by(open_for_test))
        if conf.limits_cache is None and has_database:
            DatabaseStore().empty()  # a test run that was killed may have left rows
        for module in (passwords, ratelimits, refusals):
            module.forget()
        stack.enter_context(clients_made_by(_make_client))
        _running.append(cognito)
        try:
            yield cognito
        finally:
            cognito.emulator.close()
            is_idle = wait_until_idle(_IDLE_SECONDS)
            _running.remove(cognito)
    if not is_idle:
        raise AssertionError(
            f"Calls of Cognito were still running {_IDLE_SECONDS:.0f} seconds after the test: "
            "code of the site, or a trigger of the emulator, doesn't end."
        )


#: The tests that run: more than one if the fixture and the mixin are used together.
_running: list[Cognito] = []


def _make_client(pool: PoolSettings, *, signed: bool, **other: str) -> Any:
    """
    Make a client that calls the running test instead of the network. It outlives the test, because making a client
    takes longer than most tests.
    """
    client = make_client(pool, signed=signed, **other)

    def answer(request: Any, event_name: str, **kwargs: Any) -> Any:
        # The emulator is no other service than Cognito, and a test reaches no network.
        if other or not _running:
            raise botocore.exceptions.EndpointConnectionError(
                endpoint_url=request.url,
                error="The test has ended, or the client is one of another service.",
            )
        cognito = _running[-1]
        operation = event_name.rpartition(".")[2]
        return cognito._answer(pool, operation, Mount(cognito.emulator, client), request)

    event = f"before-send.{client.meta.service_model.service_id.hyphenize()}"
    client.meta.events.register(event, answer, unique_id="cognito_reset.testing")
    return client


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _secret_of(pool: PoolSettings) -> str | None:
    """Return the app client's secret in clear."""
    secret = pool.client_secret
    value = secret() if callable(secret) else secret
    return value.reveal() if isinstance(value, Secret) else value or None
