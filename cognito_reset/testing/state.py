"""All data of the emulated service, its clock, its triggers, and the undoing of refused operations."""

from __future__ import annotations

import contextlib
import copy
import random
import string
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cognito_reset.testing.errors import TOO_OFTEN, CognitoError, not_found
from cognito_reset.testing.messages import Message
from cognito_reset.testing.options import Options
from cognito_reset.testing.pools import Client, Pool, is_contact
from cognito_reset.testing.users import Code, User

HOUR = timedelta(hours=1)
LAST_YEAR = 9900


@dataclass(frozen=True)
class Session:
    """
    The data of a token, or of the session of an unfinished sign-in. ``kind`` is access, id or refresh,
    or else the name of the challenge, of which ``code`` is the right answer if a code was sent.
    """

    kind: str
    pool_id: str
    client_id: str
    sub: str
    ends: datetime
    code: str = field(default="", repr=False)


class _Undo(threading.local):
    """What to do if the operation that runs in this thread is refused."""

    def __init__(self) -> None:
        self.actions: list[Callable[[], object]] = []


class State:
    """
    The pools and the messages that were sent. Operations run one at a time, under ``lock``. Triggers
    run outside of it, so that a slow trigger delays no other operation, and may call the service.
    """

    def __init__(
        self,
        *,
        region: str,
        options: Options,
        seed: int | None,
        now: Callable[[], datetime] | None,
        new_code: Callable[[], str] | None,
    ) -> None:
        self.region = region
        #: The Region that the running operation is meant for.
        self.asked_region = region
        self.options = options
        self.lock = threading.Lock()
        self.pools: dict[str, Pool] = {}
        self.sessions: dict[str, Session] = {}
        self.revoked: set[str] = set()
        self.outbox: list[Message] = []
        self.offset = timedelta()
        self.turns = 0
        # With a seed, tests get the same ids and codes each time. They protect nothing.
        self.rng = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311
        self.new_code = new_code or (lambda: f"{self.rng.randrange(10**6):06d}")
        self._now = now or (lambda: datetime.now(UTC))
        self._undo = _Undo()

    @contextlib.contextmanager
    def operation(self) -> Iterator[None]:
        """
        Run an operation, and undo its changes if it is refused.

        Operations write last if they can. For each earlier change they register an action that undoes it. A copy
        of all data wouldn't do: a trigger may call other operations, whose changes stay.
        """
        outer, self._undo.actions = self._undo.actions, []
        try:
            yield
        except BaseException:
            for undo in reversed(self._undo.actions):
                undo()
            raise
        finally:
            self._undo.actions = outer

    def if_refused(self, undo: Callable[[], object]) -> None:
        """Call this if the operation is refused in the end."""
        self._undo.actions.append(undo)

    def remember(self, user: User) -> None:
        """Restore the user's present data if the operation is refused, except the counted attempts."""
        before = copy.deepcopy(
            {name: item for name, item in vars(user).items() if name != "attempts"}
        )
        self.if_refused(lambda: vars(user).update(before))

    def keep_changes(self) -> None:
        """Keep all changes up to now, even if the operation is refused."""
        self._undo.actions.clear()

    def now(self) -> datetime:
        return self._now() + self.offset

    def advance(self, by: timedelta) -> None:
        offset = self.offset + by
        # What begins then may last for years, and must end before the year 10000.
        if (self._now() + offset).year > LAST_YEAR:
            raise ValueError(f"The clock can't go beyond the year {LAST_YEAR}.")
        self.offset = offset

    def pool(self, pool_id: str) -> Pool:
        if pool_id not in self.pools:
            raise not_found(f"User pool {pool_id}")
        return self.pools[pool_id]

    def client(self, client_id: str) -> tuple[Pool, Client]:
        for pool in self.pools.values():
            if client_id in pool.clients:
                return pool, pool.clients[client_id]
        raise not_found(f"User pool client {client_id}")

    def pool_client(self, pool_id: str, client_id: str) -> Client:
        pool = self.pool(pool_id)
        if client_id not in pool.clients:
            raise not_found(f"User pool client {client_id}")
        return pool.clients[client_id]

    def add_user(self, pool: Pool, username: str, status: str) -> User:
        """
        Add a user without a password or attributes. In a pool whose users sign in with a contact, a
        contact isn't the username: the sub is.

        Where case doesn't count, names are in lower case. AWS documents that for all output, also for users
        of identity providers: https://github.com/aws-amplify/amplify-js/issues/13844 and
        https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-case-sensitivity.html
        """
        now = self.now()
        sub = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        if pool.username_attributes and is_contact(username) and status != "EXTERNAL_PROVIDER":
            username = sub
        user = User(pool.fold(username), sub, status, now, now)
        pool.users[user.username] = user
        pool.note_names(user)
        self.if_refused(lambda: pool.users.pop(user.username, None))
        return user

    def deliver(self, message: Message) -> None:
        self.outbox.append(message)
        self.if_refused(lambda: self.outbox.remove(message))

    def random(self, length: int, letters: str = string.ascii_letters + string.digits) -> str:
        return "".join(self.rng.choices(letters, k=length))

    def spend_attempt(self, user: User) -> None:
        """Count a request or a confirmation for the user. Both share one limit per hour."""
        now = self.now()
        user.attempts = [attempt for attempt in user.attempts if attempt + HOUR > now]
        if len(user.attempts) >= self.options.hourly_allowance:
            raise CognitoError("LimitExceededException", TOO_OFTEN)
        user.attempts.append(now)

    def live(self, codes: Iterable[Code]) -> list[str]:
        now = self.now()
        return [code.value for code in codes if code.sent_at + HOUR > now]

    def call_hook(self, pool: Pool, trigger: str, event: dict[str, Any]) -> dict[str, Any] | None:
        """
        Return the response of the pool's trigger, or ``None`` if there is no trigger.

        An error in the trigger is answered as for a Lambda function, with the text of that error.
        """
        hook = pool.hooks.get(trigger)
        if hook is None:
            return None
        self.lock.release()
        try:
            answer = hook(event)
        except TimeoutError:
            raise CognitoError(
                "UnexpectedLambdaException",
                f"{trigger} invocation failed due to error Lambda timed out.",
            ) from None
        except Exception as error:
            raise CognitoError(
                "UserLambdaValidationException", f"{trigger} failed with error {error}."
            ) from None
        finally:
            self.lock.acquire()
        response = answer.get("response") if isinstance(answer, dict) else None
        if not isinstance(response, dict):
            raise CognitoError("InvalidLambdaResponseException", "Unrecognizable lambda output")
        return response

    def event(
        self,
        pool: Pool,
        user: User | None,
        username: str,
        source: str,
        *,
        client_id: str | None,
        metadata: dict[str, str] | None,
        request: dict[str, Any] | None = None,
        response: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the event that a Lambda function receives."""
        attributes = {}
        if user is not None:
            attributes = {"sub": user.sub, "cognito:user_status": user.status, **user.attributes}
        told: dict[str, Any] = {"userAttributes": attributes, **(request or {})}
        if metadata:
            told["clientMetadata"] = dict(metadata)
        return {
            "version": "1",
            "region": pool.region,
            "userPoolId": pool.id,
            "userName": username,
            "callerContext": {
                "awsSdkVersion": "aws-sdk-unknown-unknown",
                "clientId": client_id or "CLIENT_ID_NOT_APPLICABLE",
            },
            "triggerSource": source,
            "request": told,
            "response": response or {},
        }

    def open_session(
        self,
        kind: str,
        pool: Pool,
        client_id: str,
        user: User,
        *,
        seconds: int,
        prefix: str = "",
        code: str = "",
    ) -> str:
        """Return a new token, or the session of an unfinished sign-in, valid for some seconds."""
        token = prefix + self.random(64)
        ends = self.now() + timedelta(seconds=seconds)
        self.sessions[token] = Session(kind, pool.id, client_id, user.sub, ends, code)
        return token

    def owner(self, session: Session) -> User:
        users = self.pools[session.pool_id].users.values()
        return next(user for user in users if user.sub == session.sub)

    def use_session(self, token: str) -> None:
        """End the session of an unfinished sign-in, because it can be used only once."""
        del self.sessions[token]
        self.revoked.add(token)

    def end_sessions(self, user: User) -> None:
        """Sign the user out everywhere: all tokens issued so far become invalid."""
        ended = {token for token, session in self.sessions.items() if session.sub == user.sub}
        self.revoked |= ended
        for token in ended:
            del self.sessions[token]
