"""
The two steps of a reset, the same for every interface: ask for a code, and set a new password with it.

``request_code()`` and ``confirm_reset()`` show everything that happens, in order. They raise DRF's
``ValidationError`` for input that can't be used, ``ResetError`` for what went wrong, and
``CognitoResetMisconfigured`` for a setting that can't be used; an interface renders the result or the
error. A site's own views and tasks may call them too.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, RLock
from typing import Any, Final

from django.dispatch import Signal
from django.http import HttpRequest

from cognito_reset.cognito.errors import AccountRefused, Misconfigured, ResetError
from cognito_reset.cognito.service import Delivery, get_service
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.models import ResetEvent
from cognito_reset.resets import ratelimits
from cognito_reset.resets.invitations import Invitation, invite_again
from cognito_reset.resets.network import client_address, client_networks
from cognito_reset.resets.neutral import (
    WAITED_SHARE,
    refusal_time,
    simulated_delivery,
    sleep_until,
)
from cognito_reset.resets.passwords import check_site_validators, get_policy
from cognito_reset.resets.pools import resolve_pool
from cognito_reset.resets.reservations import CONFIRM, REQUEST
from cognito_reset.resets.serializers import (
    ConfirmResetSerializer,
    RequestCodeSerializer,
    masked_values,
)
from cognito_reset.resets.site_code import run_site_code
from cognito_reset.signals import (
    SIGNED_OUT,
    measure,
    password_reset_confirmed,
    password_reset_failed,
    password_reset_requested,
)

__all__ = ["Attempt", "CodeRequested", "Confirmed", "confirm_reset", "request_code"]

logger = logging.getLogger(__name__)

Outcome = ResetEvent.Outcome
# Far more than it takes: the request may have ended without announcing anything.
ANNOUNCED_WITHIN_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Attempt:
    """
    What is known of a request. ``interface`` is "pages", "rest", "aws" or "python"; ``request`` is
    ``None`` outside of an HTTP request, where the limits of networks don't apply; ``invocation_id`` is the same for all
    tries of a client that retries by itself; ``username`` is "" until it is validated.
    """

    pool: str
    interface: str = "python"
    request: HttpRequest | None = None
    invocation_id: str = ""
    username: str = ""

    @classmethod
    def of(
        cls, request: HttpRequest, pool: str | None, interface: str, invocation_id: str = ""
    ) -> Attempt:
        """Return the attempt that ``request`` makes. ``pool`` is as in ``resolve_pool()``."""
        return cls(resolve_pool(request, pool), interface, request, invocation_id)

    def networks(self) -> tuple[str, ...]:
        return client_networks(self.request) if self.request else ()


@dataclass(frozen=True)
class CodeRequested:
    """
    The result of an accepted request for a code. It doesn't tell whether the account exists. ``resend_after`` is
    in seconds. ``delivery`` is where the code was sent, if the site shows it.
    """

    username: str
    resend_after: int
    delivery: Delivery | None
    is_repeat: bool = False


@dataclass(frozen=True)
class Confirmed:
    """
    The result of a successful reset. ``signed_out`` tells whether it is known that the person's sessions on
    other devices were ended.
    """

    username: str
    is_repeat: bool = False
    signed_out: bool = False


def request_code(attempt: Attempt, data: object) -> CodeRequested:
    """
    Ask Cognito for a code (ForgotPassword). Every outcome that depends on the account has the same result
    after the same time. What goes wrong for everybody is raised, if it is known in that time.
    """
    data = masked_values(data)
    start, uniform = time.monotonic(), conf.uniform_response_seconds
    values = validate(RequestCodeSerializer, attempt, data)
    attempt = replace(attempt, username=values["username"])
    parts = (attempt.invocation_id, json.dumps(values, sort_keys=True))
    with (
        _measured_refusals(attempt, "request"),
        get_service(attempt.pool).permit() as service,
        ratelimits.reserve(
            REQUEST,
            pool=attempt.pool,
            username=attempt.username,
            networks=attempt.networks(),
            # Without an id, a repeat looks like the request for another code.
            request_parts=parts if attempt.invocation_id else (),
        ) as reservation,
    ):
        if reservation.refusal:
            _announce_error(attempt, "request", reservation.refusal, reservation.is_first_refusal)
            raise reservation.refusal
        if reservation.is_repeat:
            logger.info("cognito_reset.repeated step=request")
            sleep_until(start + uniform)
            reservation.raise_answer()
            return CodeRequested(attempt.username, 0, _shown(attempt, None), is_repeat=True)
        if conf.pre_send_hook:
            hook = partial(conf.pre_send_hook, username=attempt.username, pool=attempt.pool)
            run_site_code("PRE_SEND_HOOK", partial(hook, attempt.request))
        parameters = _parameters(attempt, values)
        delivery, failure = None, None
        is_announced = Event()
        if conf.resend_invitations:
            metadata = parameters["client_metadata"]
            finish = partial(_announce_invitation, attempt, is_announced)
            parameters["when_wrong_state"] = partial(
                invite_again, service, attempt.username, metadata, finish
            )
        start = time.monotonic()
        reservation.commit()
        try:
            delivery = service.request_code(**parameters, wait=uniform * WAITED_SHARE or None)
        except ResetError as error:
            failure = error
        # What depends on the account is not shown, and a repeat of the request must not show it either.
        shown_failure = None if isinstance(failure, AccountRefused) else failure
        reservation.settle(shown_failure)
        if shown_failure and not shown_failure.sent:
            # It doesn't depend on the account, so it needs no uniform time.
            _announce_error(attempt, "request", shown_failure)
            raise shown_failure
        # Sleep in every case: work after a long sleep takes longer, and so would tell how long it was.
        sleep_until(start + uniform * WAITED_SHARE)
        if failure:
            _announce_error(attempt, "request", failure)
        elif delivery:
            _announce(password_reset_requested, attempt, Outcome.REQUESTED, delivery.request_id)
        else:
            _announce(password_reset_requested, attempt, Outcome.PENDING)
        is_announced.set()
        sleep_until(start + uniform)
        if shown_failure:
            raise shown_failure
        return CodeRequested(attempt.username, reservation.resend_after, _shown(attempt, delivery))


def confirm_reset(attempt: Attempt, data: object) -> Confirmed:
    """
    Set the new password with the code (ConfirmForgotPassword). Success is returned at once. Refusals take
    the same time for everybody, and one error stands for all that depend on the account.
    """
    data = masked_values(data)
    start, uniform = time.monotonic(), conf.uniform_response_seconds
    signs_out = conf.sign_out_everywhere
    values = validate(ConfirmResetSerializer, attempt, data)
    username, code, password = values["username"], values["confirmation_code"], values["password"]
    attempt = replace(attempt, username=username)
    with (
        _measured_refusals(attempt, "confirm"),
        get_service(attempt.pool).permit() as service,
        ratelimits.reserve(
            CONFIRM,
            pool=attempt.pool,
            username=username,
            networks=attempt.networks(),
            request_parts=(username, code, password),
        ) as reservation,
    ):
        if reservation.refusal:
            _announce_error(attempt, "confirm", reservation.refusal, reservation.is_first_refusal)
            raise reservation.refusal
        if reservation.is_repeat:
            logger.info("cognito_reset.repeated step=confirm")
            if reservation.answer and reservation.answer.field:
                sleep_until(refusal_time.end(start, uniform))
            reservation.raise_answer()
            return Confirmed(attempt.username, is_repeat=True, signed_out=reservation.signed_out)
        check = partial(check_site_validators, password, username)
        run_site_code("AUTH_PASSWORD_VALIDATORS", check)
        parameters = _parameters(attempt, values)
        is_settling = RLock()  # a late success must be stored after the answer of the deadline

        def follow_up(request_id: str) -> bool:
            """Do what follows a reset, and return whether the person's other sessions were ended."""
            signed_out = _announce_confirmed(attempt, request_id)
            reservation.conclude(signed_out=signed_out)
            return signed_out

        def finish_late(request_id: str) -> None:
            """Do what follows a reset whose success was proved after the deadline."""
            with is_settling:
                reservation.settle(None, following_up=signs_out)
            follow_up(request_id)

        request_id, failure = "", None
        start = time.monotonic()
        reservation.commit()
        with is_settling:
            try:
                request_id = service.confirm(
                    **parameters, confirmation_code=code, password=password, when_late=finish_late
                )
            except ResetError as error:
                failure = error
            reservation.settle(failure, following_up=signs_out)
        if failure is None:
            return Confirmed(attempt.username, signed_out=follow_up(request_id))
        if failure.field:  # a refusal: its time must not tell how long Cognito took
            end = refusal_time.end(start, uniform)
            sleep_until(end - (1 - WAITED_SHARE) * uniform)
        else:
            # What was not sent is answered at once. After an unknown outcome, receivers take longer if
            # there is a local account.
            end = time.monotonic() + (uniform if failure.sent else 0)
        _announce_error(attempt, "confirm", failure)
        sleep_until(end)
        raise failure


def validate(
    serializer_class: type[RequestCodeSerializer], attempt: Attempt, data: object
) -> Mapping[str, Any]:
    """
    Return the validated values. Only the fields' own rules and the pool's are checked, which costs little
    and counts for no limit.
    """
    serializer = make_serializer(serializer_class, attempt.pool, data=data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def make_serializer(
    serializer_class: type[RequestCodeSerializer], pool: str, **kwargs: Any
) -> RequestCodeSerializer:
    """Return the serializer with the labels and rules that the pool's settings require."""
    context: dict[str, Any] = {"pool": conf.pool(pool)}
    if issubclass(serializer_class, ConfirmResetSerializer):
        context["policy"] = get_policy(pool)
    return serializer_class(context=context, **kwargs)


def _parameters(attempt: Attempt, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what both operations take besides their own fields. The site's values win over a caller's."""
    sent, forwarded = values.get("client_metadata") or {}, conf.forward_client_metadata
    own = run_site_code("CLIENT_METADATA", partial(conf.client_metadata, attempt.request))
    analytics = values.get("analytics_metadata") or {}
    context = values.get("user_context_data") or {}
    request = attempt.request if conf.forward_ip_address else None
    return {
        "username": attempt.username,
        "client_metadata": {**{key: sent[key] for key in sent if key in forwarded}, **own},
        "analytics_endpoint_id": (
            analytics.get("analytics_endpoint_id") if conf.forward_analytics_metadata else None
        ),
        "encoded_data": context.get("encoded_data") if conf.forward_encoded_data else None,
        "ip_address": client_address(request) if request else None,
    }


def _shown(attempt: Attempt, delivery: Delivery | None) -> Delivery | None:
    if not conf.show_destination:
        return None
    if delivery and "*" in delivery.destination:
        return delivery
    # There is none, or one that isn't masked: some emulators answer in clear.
    return simulated_delivery(attempt.pool, attempt.username)


def _announce_invitation(attempt: Attempt, is_announced: Event, invitation: Invitation) -> None:
    """Announce what came of an invitation, after the refusal of the code. This isn't the request's thread."""
    is_announced.wait(ANNOUNCED_WITHIN_SECONDS)
    more: dict[str, Any] = {"action": ResetEvent.Action.INVITE.value}
    if error := invitation.error:
        _announce_error(attempt, "request", error, **more)
    else:
        request_id = invitation.request_id
        _announce(password_reset_requested, attempt, Outcome.INVITED, request_id, **more)


@contextmanager
def _measured_refusals(attempt: Attempt, step: str) -> Iterator[None]:
    """Send the signal for metrics if an error is raised for which no other signal is sent."""
    try:
        yield
    except (ResetError, CognitoResetMisconfigured) as error:
        if not (isinstance(error, ResetError) and error.is_announced):
            known = error if isinstance(error, ResetError) else Misconfigured()
            values = {"outcome": known.outcome, "error_code": known.code, "step": step}
            measure(Attempt, "attempt", pool=attempt.pool, interface=attempt.interface, **values)
        raise


def _announce_error(
    attempt: Attempt, step: str, error: ResetError, is_first: bool = True, **more: Any
) -> None:
    error.is_announced = True
    more |= {"error_code": error.code, "step": step, "is_first": is_first}
    _announce(password_reset_failed, attempt, error.outcome, error.request_id, **more)


def _announce_confirmed(attempt: Attempt, request_id: str) -> bool:
    """Send the signal, and return whether a receiver ended the person's other sessions."""
    responses = _announce(password_reset_confirmed, attempt, Outcome.CONFIRMED, request_id)
    return any(response == SIGNED_OUT for _receiver, response in responses)


def _announce(
    signal: Signal,
    attempt: Attempt,
    outcome: str,
    request_id: str = "",
    **more: Any,
) -> list[tuple[Any, Any]]:
    return signal.send_robust(
        Attempt,
        request=attempt.request,
        pool=attempt.pool,
        interface=attempt.interface,
        username=attempt.username,
        outcome=str(outcome),
        aws_request_id=request_id,
        **{"error_code": "", **more},
    )
