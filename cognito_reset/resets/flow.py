"""
What happens at the two steps of a reset, for all public interfaces alike: the serializer, the limits,
the call, the signal, and an answer that doesn't depend on the account, in its time neither.

A step raises DRF's ``ValidationError`` or a ``ResetError``. The interfaces say both in their own words.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Final, TypeVar

from django.core.exceptions import ValidationError as DjangoValidationError
from django.dispatch import Signal
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.fields import get_error_detail

from cognito_reset.cognito.errors import (
    AccountRefused,
    Busy,
    CognitoResetMisconfigured,
    MaybeSent,
    Misconfigured,
    OutcomeUnknown,
    ResetError,
    Throttled,
)
from cognito_reset.cognito.service import Delivery, get_service
from cognito_reset.conf import conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets import ratelimits as throttling
from cognito_reset.resets.deliveries import simulated_delivery
from cognito_reset.resets.network import client_address, client_network
from cognito_reset.resets.neutral import WAITED_SHARE, refusal_time, sleep_until
from cognito_reset.resets.passwords import get_policy
from cognito_reset.resets.replays import Replay
from cognito_reset.resets.serializers import ConfirmResetSerializer, RequestCodeSerializer
from cognito_reset.signals import (
    password_reset_confirmed,
    password_reset_failed,
    password_reset_requested,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

RESEND_AFTER_SECONDS: Final = 60
BODY_LIMIT: Final = 8192  # bytes of a request, of which no interface needs as many
Outcome = ResetEvent.Outcome


def resolve_pool(request: HttpRequest, pool: str | None) -> str:
    """Give the pool's alias: the one that the URL names, else the site's resolver's."""
    return pool or conf.resolve_pool(request)


def misconfigured(error: CognitoResetMisconfigured) -> Misconfigured:
    """Tell the operators what can't be used, and give what callers may know of it."""
    logger.critical("cognito_reset.misconfigured: %s", error)
    return Misconfigured()


@dataclass(frozen=True)
class Problem:
    """What a caller has to know about an error: ``attr`` is the field, dotted, or ``None``."""

    code: str
    detail: str
    attr: str | None


def problems(error: APIException | ResetError) -> list[Problem]:
    """Give an error of a step as a flat list, the same for every interface."""
    if isinstance(error, ResetError):
        return [Problem(error.code, str(error.message), error.field)]
    # A site's hook may refuse without a word.
    return list(_flat(error.detail)) or [
        Problem(error.default_code, str(error.default_detail), None)
    ]


def _flat(detail: Any, attr: str | None = None) -> Iterator[Problem]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(inner, f"{attr}.{name}" if attr else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, attr)
    elif detail is not None:  # a site's own exceptions may have plain text
        yield Problem(getattr(detail, "code", "error"), str(detail), attr)


@dataclass(frozen=True)
class CodeRequested:
    """What every accepted request for a code comes to, whatever became of it at Cognito."""

    username: str
    delivery: Delivery | None  # where the site shows it


# Each holds a worker of the site's, and so they are bounded as the calls are: those that call, and
# those that wait for another's answer.
_under_way: set[Step] = set()
_waiting: set[Step] = set()
os.register_at_fork(after_in_child=_under_way.clear)
os.register_at_fork(after_in_child=_waiting.clear)


class Step:
    """
    One step for one request. ``run()`` is all that a interface calls. ``invocation_id`` is the same for
    all attempts of a client that repeats by itself.
    """

    serializer_class: ClassVar[type[RequestCodeSerializer]]
    name: ClassVar[str]
    failed_signal: ClassVar[Signal]
    unknown: ClassVar[type[ResetError]]

    def __init__(
        self, request: HttpRequest, *, pool: str | None, interface: str, invocation_id: str = ""
    ) -> None:
        self.request = request
        self.interface = interface
        self._pool = pool
        self._invocation_id = invocation_id
        self.username = ""
        self.called = False

    @cached_property
    def pool(self) -> str:
        return resolve_pool(self.request, self._pool)

    def serializer(self, **kwargs: Any) -> RequestCodeSerializer:
        return self.serializer_class(context=self._context(), **kwargs)

    @sensitive_variables()
    def run(self, data: Any) -> Any:
        try:
            serializer = self.serializer(data=data)
            serializer.is_valid(raise_exception=True)
            values = serializer.validated_data
            self.username = values["username"]
            replay = self._replay(values)
            return self._once(replay, values) if replay else self._attempt(values)
        except CognitoResetMisconfigured as error:
            failure = misconfigured(error)
        finally:
            _under_way.discard(self)
        raise failure

    def perform(self, values: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def follow_up(self, result: Any) -> Any:
        """Do what no repeat need wait for, and give what the step gives. Not done for a repeat."""
        return result

    def done(self) -> Any:
        """Give what ``perform()`` gave when the request came for the first time."""
        raise NotImplementedError

    def _replay(self, values: Mapping[str, Any]) -> Replay | None:
        """Give what knows a repeat of the request, or nothing, where each one counts."""
        raise NotImplementedError

    @sensitive_variables()
    def _call(self, method: str, values: Mapping[str, Any], **more: Any) -> Any:
        service, parameters = get_service(self.pool), self._parameters(values)
        self.called = True
        return getattr(service, method)(**parameters, **more)

    @sensitive_variables()
    def _once(self, replay: Replay, values: Mapping[str, Any]) -> Any:
        """Carry the request out, or give a repeat the answer that the first one had."""
        try:
            answer = self._limited(
                lambda **who: replay.begin(
                    partial(throttling.check, **who), self._take_waiters_place
                )
            )
        finally:
            _waiting.discard(self)
        if answer is not None:
            logger.info("cognito_reset.replayed step=%s", self.name)
            if answer.error is None:
                return self.done()
            raise answer.error(sent=True)
        outcome: type[ResetError] | None = None
        try:
            result = self._attempt(values)
        except ResetError as error:
            outcome = type(error)
            raise
        except BaseException:  # the worker's end, too
            outcome = self.unknown if self.called else Misconfigured
            raise
        finally:
            replay.end(outcome)
        return self.follow_up(result)

    @sensitive_variables()
    def _attempt(self, values: Mapping[str, Any]) -> Any:
        taken = self._check_in()
        try:
            return self.perform(values)
        except ResetError as error:
            if not error.sent or isinstance(error, Busy):  # nothing was done
                throttling.give_back(taken)
            raise

    def _context(self) -> dict[str, Any]:
        return {"request": self.request, "pool": conf.pool(self.pool)}

    def _take_waiters_place(self) -> None:
        """Half as many: to wait spends nothing of anybody's."""
        self._take_place(_waiting, max(1, conf.max_concurrent_calls // 2))

    def _take_place(self, taken: set[Step], places: int) -> None:
        taken.add(self)
        if len(taken) > places:
            logger.warning("cognito_reset.busy: others hold all that may be held")
            raise Busy

    def _check_in(self) -> throttling.Taken:
        """Take a place, which ``run()`` gives back, and then what the limits give."""
        self._take_place(_under_way, conf.max_concurrent_calls)
        return self._limited(throttling.check_in)

    @sensitive_variables()
    def _limited(self, check: Callable[..., T]) -> T:
        """Give what ``check`` gives of the limits' parameters, and tell of a refusal."""
        network = client_network(self.request)
        try:
            return check(step=self.name, pool=self.pool, identifier=self.username, network=network)
        except Throttled as error:
            is_first = throttling.is_first_refusal(error)
            self._send(self.failed_signal, error.outcome, error, is_first=is_first)
            raise

    @sensitive_variables()
    def _parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give what both operations take beside their own: the site's word over the caller's."""
        forwarded = conf.forward_client_metadata
        sent = values.get("client_metadata") or {}
        metadata = {key: value for key, value in sent.items() if key in forwarded}
        analytics = values.get("analytics_metadata") or {}
        context = values.get("user_context_data") or {}
        return {
            "username": self.username,
            "client_metadata": {**metadata, **conf.client_metadata(self.request)},
            "analytics_endpoint_id": (
                analytics.get("analytics_endpoint_id") if conf.forward_analytics_metadata else None
            ),
            "encoded_data": context.get("encoded_data") if conf.forward_encoded_data else None,
            "ip_address": client_address(self.request) if conf.forward_ip_address else None,
        }

    def _send(self, signal: Signal, outcome: str, error: ResetError | None, **more: Any) -> None:
        arguments = {
            "request": self.request,
            "pool": self.pool,
            "interface": self.interface,
            "username": self.username,
            "outcome": outcome,
            "error_code": error.code if error else "",
            "aws_request_id": error.request_id if error else "",
        }
        signal.send_robust(type(self), **{**arguments, **more})


class RequestCode(Step):
    """
    Ask Cognito for a code (ForgotPassword). Every outcome that depends on the account comes to the
    same ``CodeRequested`` after the same time; what goes wrong for everybody is raised, where it is
    known in that time.
    """

    serializer_class = RequestCodeSerializer
    name = "request"
    failed_signal = password_reset_requested
    unknown = MaybeSent

    @sensitive_variables()
    def _replay(self, values: Mapping[str, Any]) -> Replay | None:
        # Without an id nothing tells a repeat from the wish for another code.
        if not self._invocation_id:
            return None
        parts = (self._invocation_id, json.dumps(values, sort_keys=True))
        return Replay(self.name, self.pool, *parts, unknown=self.unknown)

    def _check_in(self) -> throttling.Taken:
        """Ask the site's hook first: whom it refuses spends nothing of anybody's."""
        hook = conf.pre_send_hook
        try:
            if hook:
                hook(self.request, username=self.username, pool=self.pool)
        except ValidationError:
            raise
        except DjangoValidationError as error:
            raise ValidationError(get_error_detail(error)) from None
        except Exception as error:  # a bug of the site's, or what its hook asks is down
            logger.critical("cognito_reset.pre_send_hook_failed error=%s", type(error).__name__)
            raise Misconfigured from None
        return super()._check_in()

    @sensitive_variables()
    def perform(self, values: Mapping[str, Any]) -> CodeRequested:
        start, uniform = time.monotonic(), conf.uniform_response_seconds
        wait = uniform * WAITED_SHARE
        delivery, failure = None, None
        try:
            delivery = self._call("request_code", values, wait=wait or None)
        except Busy:
            raise  # no call was made, so there is nothing to hide
        except ResetError as error:
            failure = error
        sleep_until(start + wait)  # all wake alike: work after a long sleep is slower
        if failure is not None:
            self._send(password_reset_requested, failure.outcome, failure)
        elif delivery is not None:
            request_id = delivery.request_id
            self._send(password_reset_requested, Outcome.REQUESTED, None, aws_request_id=request_id)
        else:
            self._send(password_reset_requested, Outcome.PENDING, None)
        sleep_until(start + uniform)
        if failure is not None and not isinstance(failure, AccountRefused):
            raise failure
        return CodeRequested(username=self.username, delivery=self._shown(delivery))

    def done(self) -> CodeRequested:
        return CodeRequested(username=self.username, delivery=None)  # only SDKs have repeats here

    def _shown(self, delivery: Delivery | None) -> Delivery | None:
        if not conf.show_destination:
            return None
        if delivery and "*" in delivery.destination:
            return delivery
        # None there is, or one that isn't masked: some emulators answer in clear.
        return simulated_delivery(self.pool, self.username)


class ConfirmReset(Step):
    """
    Set the new password with the code (ConfirmForgotPassword). Refusals take the same time, success
    is said at once.
    """

    serializer_class = ConfirmResetSerializer
    name = "confirm"
    failed_signal = password_reset_failed
    unknown = OutcomeUnknown

    def _context(self) -> dict[str, Any]:
        return {**super()._context(), "policy": get_policy(self.pool)}

    @sensitive_variables()
    def perform(self, values: Mapping[str, Any]) -> str:
        start, uniform = time.monotonic(), conf.uniform_response_seconds
        try:
            secrets = {name: values[name] for name in ("confirmation_code", "password")}
            request_id = self._call("confirm", values, **secrets)
        except Busy:
            raise
        except ResetError as error:
            # What is true for everybody says nothing of how long accounts take.
            end = refusal_time.end(start, uniform) if error.field else start + uniform
            sleep_until(end - (1 - WAITED_SHARE) * uniform)  # all wake alike, as above
            self._send(password_reset_failed, error.outcome, error)
            sleep_until(end)
            raise
        return str(request_id)

    def follow_up(self, request_id: str) -> None:
        self._send(password_reset_confirmed, Outcome.CONFIRMED, None, aws_request_id=request_id)

    def done(self) -> None:
        return None

    @sensitive_variables()
    def _replay(self, values: Mapping[str, Any]) -> Replay:
        parts = (values["username"], values["confirmation_code"], values["password"])
        key = throttling.identifier_key(self.pool, self.username)
        return Replay(self.name, self.pool, *parts, unknown=self.unknown, identifier_key=key)
