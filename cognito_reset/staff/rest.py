"""
REST for a site's own back office: look a person up, show the panel, and act.

The site's authentication and throttles apply, and so do its permissions for single objects. A person or a user that the staff
member may not see is answered like one that doesn't exist.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import exceptions, serializers, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.models import Account, ResetEvent
from cognito_reset.resets.pools import resolve_pool
from cognito_reset.resets.serializers import StrictCharField
from cognito_reset.rest.views import JSONAPIView
from cognito_reset.staff import accounts, look_up
from cognito_reset.staff.accounts import LOOK_UP, PoolAccount, Staff, StaffTarget
from cognito_reset.staff.actions import Action, action_or_404, reason_of
from cognito_reset.staff.entries import add_entry, done_entry
from cognito_reset.staff.panel import Panel, log_not_shown, panel
from cognito_reset.staff.perform import (
    Done,
    perform_for,
    perform_for_user,
    record_denied,
    text_of_url,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet

__all__ = [
    "AccountAPIView",
    "AccountActionAPIView",
    "LookUpAPIView",
    "StaffAPIView",
    "UserAPIView",
    "UserActionAPIView",
]

logger = logging.getLogger(__name__)

INTERFACE: Final = ResetEvent.Interface.REST.value
Outcome = ResetEvent.Outcome
STATUSES: Final[dict[str, int]] = {
    Outcome.REFUSED: status.HTTP_409_CONFLICT,
    Outcome.FAILED: status.HTTP_503_SERVICE_UNAVAILABLE,
    Outcome.UNKNOWN: status.HTTP_502_BAD_GATEWAY,
    Outcome.THROTTLED: status.HTTP_429_TOO_MANY_REQUESTS,
}


class StrictBooleanField(serializers.BooleanField):
    """A field that accepts only true and false. DRF's own accepts many texts and numbers."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class LookUpSerializer(look_up.LookUpSerializer):
    """A username, an email address, a phone number or a sub, in a pool."""

    pool = StrictCharField(limit=64, required=False)


class ActionSerializer(serializers.Serializer[Any]):
    """``notify`` also mails the site's user where to enter the code of a reset."""

    notify = StrictBooleanField(default=False)


class StaffAPIView(JSONAPIView):
    """
    A view for staff.

    A subclass can override whom staff can see and what they may do to whom: ``get_users()``, ``may_see()`` and
    ``may()``; and which account of the pool a user has: ``get_cognito_pool()`` and ``get_cognito_username()``.
    """

    permission_classes = (IsAuthenticated,)

    def get_users(self, request: Request) -> QuerySet[Any]:
        """Return the users that exist for this staff member."""
        return get_user_model()._default_manager.all()

    def may_see(self, request: Request, user: Any) -> bool:
        """Check whether the staff member may view a user of the site."""
        return accounts.may_see(request.user, user)

    def may(self, request: Request, permission: str, user: Any = None) -> bool:
        """Check a permission, for a user of the site if there is one."""
        return accounts.has_permission(request.user, permission, user)

    def get_cognito_pool(self, request: Request, user: Any) -> str:
        """Return the alias of the pool that ``user`` is in."""
        return resolve_pool(request._request, self.kwargs.get("pool"))

    def get_cognito_username(self, request: Request, user: Any) -> str:
        """Return the username, or another identifier, by which Cognito knows ``user``."""
        return conf.cognito_username(user)

    def denied(self, request: Request, permission: str) -> None:
        """Log that somebody tried something without the permission. The line names nobody else."""
        logger.warning(
            "cognito_reset.staff_denied actor=%s permission=%s", request.user.pk, permission
        )

    def require(self, request: Request, permission: str, user: Any = None) -> None:
        """Raise PermissionDenied if the staff member doesn't have the permission."""
        if not self.may(request, permission, user):
            self.denied(request, permission)
            raise exceptions.PermissionDenied

    def user_or_404(
        self, request: Request, pk: str, permission: str, action: Action | None = None
    ) -> Any:
        """
        Return the user with this primary key, for whom the staff member has the permission. Otherwise raise the
        same exception whether or not the user exists, and record ``action``, if somebody tried one.
        """
        try:
            user = self.get_users(request).filter(pk=pk).first()
        except (ValueError, DjangoValidationError):  # no primary key looks like this
            user = None
        if user and self.may_see(request, user) and self.may(request, permission, user):
            return user
        self.denied(request, permission)
        if action:
            seen = user if user and self.may_see(request, user) else None
            self._record_denied(request, action, pk, seen)
        if self.may(request, permission):
            raise exceptions.NotFound
        raise exceptions.PermissionDenied

    def check_account(self, request: Request, account: PoolAccount, *permissions: str) -> None:
        """
        Raise UserNotFound if the person is or may be one of the site's users that the staff member may not see, or
        for whom they lack one of these permissions.
        """

        def may_view(user: Any) -> bool:
            exists = self.get_users(request).filter(pk=user.pk).exists()
            return exists and self.may_see(request, user)

        for permission in permissions:
            if not accounts.is_visible(account, may_view, partial(self.may, request, permission)):
                self.denied(request, permission)
                raise errors.UserNotFound

    def staff_reader(self, request: Request) -> Staff:
        """Return what reads the staff once, and only if it is called."""
        return accounts.staff_reader(partial(self.get_cognito_username, request))

    def account_of(self, request: Request, user: Any) -> PoolAccount:
        username = self._username(request, user)
        pool = self.get_cognito_pool(request, user)
        return accounts.look_up_user(user, pool=pool, username=username)

    def panel_response(self, request: Request, find: Callable[[], PoolAccount]) -> Response:
        """Return the panel of the person that ``find`` returns."""
        try:
            account = find()
            self.check_account(request, account, LOOK_UP)
            may = partial(self._may_act, request, account)
            shown = panel(account, actor=request.user, may=may, staff=self.staff_reader(request))
        except errors.ResetError as error:
            log_not_shown(request.user, error)
            failure = failed(error)
        else:
            return Response(panel_data(shown))
        raise failure

    def action_response(self, done: Done) -> Response:
        if done.error:
            raise failed(done.error, done.action)
        return Response(done_data(done))

    def notify(self, request: Request) -> bool:
        serializer = ActionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return bool(serializer.validated_data["notify"])

    def _may_act(self, request: Request, account: PoolAccount, action: Action) -> bool:
        return accounts.is_permitted(account, partial(self.may, request, action.permission))

    def _record_denied(self, request: Request, action: Action, pk: str, user: Any) -> None:
        """Record what somebody tried. The row is the same for a missing user and for one who may not be seen."""
        pool = partial(resolve_pool, request._request, self.kwargs.get("pool"))
        record_denied(
            action,
            pool=partial(self.get_cognito_pool, request, user) if user else pool,
            username=partial(self._username, request, user) if user else partial(text_of_url, pk),
            user=user,
            actor=request.user,
            interface=INTERFACE,
            request=request._request,
        )

    def _username(self, request: Request, user: Any) -> str:
        own = partial(self.get_cognito_username, request, user)
        return accounts.site_value("COGNITO_USERNAME", own)


class LookUpAPIView(StaffAPIView):
    """Look a person up by a username, an email address, a phone number or a sub."""

    http_method_names = ["post", "options"]

    def post(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        self.require(request, LOOK_UP)
        data: Any = request.data
        typed = data.get("pool") if isinstance(data.get("pool"), str) else None
        alias = resolve_pool(request._request, pool or typed)
        context = {"pool": accounts.with_names_of_every_kind(alias)}
        serializer = LookUpSerializer(data=data, context=context)
        serializer.is_valid(raise_exception=True)
        username = serializer.validated_data["username"]
        return self.panel_response(request, partial(accounts.look_up, username, pool=alias))


class AccountAPIView(StaffAPIView):
    """Show what Cognito says of a person, why a reset can't work, and what can be done. It sends nothing."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: Request, pool: str, sub: str, **kwargs: Any) -> Response:
        self.require(request, LOOK_UP)
        alias = resolve_pool(request._request, pool)
        return self.panel_response(request, partial(accounts.look_up_sub, sub, pool=alias))


class AccountActionAPIView(StaffAPIView):
    """Do something for a person in a pool."""

    http_method_names = ["post", "options"]

    def post(self, request: Request, pool: str, sub: str, action: str, **kwargs: Any) -> Response:
        act = action_or_404(action)
        try:
            self.require(request, act.permission)
            self.require(request, LOOK_UP)  # the answer may have the person's masked address
        except exceptions.PermissionDenied:
            record_denied(
                act,
                pool=partial(resolve_pool, request._request, pool),
                username=lambda: sub,
                actor=request.user,
                interface=INTERFACE,
                request=request._request,
            )
            raise
        alias, notify = resolve_pool(request._request, pool), self.notify(request)

        def find() -> PoolAccount:
            account = accounts.look_up_sub(sub, pool=alias)
            self.check_account(request, account, act.permission, LOOK_UP)
            return account

        done = perform_for(
            find,
            act,
            pool=alias,
            name=sub,
            username=sub,
            actor=request.user,
            interface=INTERFACE,
            request=request._request,
            staff=self.staff_reader(request),
            notify=notify,
        )
        user = done.account.user if done.account else None
        add_entry(request.user, user or Account(pk=f"{alias}/{sub}"), done_entry(done))
        return self.action_response(done)


class UserAPIView(StaffAPIView):
    """The same as ``AccountAPIView`` for a user of the site."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: Request, pk: str, **kwargs: Any) -> Response:
        user = self.user_or_404(request, pk, LOOK_UP)
        return self.panel_response(request, partial(self.account_of, request, user))


class UserActionAPIView(StaffAPIView):
    """Do something for a user of the site."""

    http_method_names = ["post", "options"]

    def post(self, request: Request, pk: str, action: str, **kwargs: Any) -> Response:
        act = action_or_404(action)
        user = self.user_or_404(request, pk, act.permission, act)
        notify = self.notify(request)
        done = perform_for_user(
            act,
            user,
            pool=self.get_cognito_pool(request, user),
            username=partial(self._username, request, user),
            check=lambda account: self.check_account(request, account, act.permission),
            actor=request.user,
            interface=INTERFACE,
            request=request._request,
            staff=self.staff_reader(request),
            notify=notify,
        )
        add_entry(request.user, user, done_entry(done))
        return self.action_response(done)


def failed(error: errors.ResetError, action: Action | None = None) -> exceptions.APIException:
    """Return DRF's exception for an error, with words for staff."""
    if isinstance(error, errors.UserNotFound):
        # The same words for a person that the staff member may not see.
        answer = exceptions.APIException(errors.UserNotFound.message, error.code)
        answer.status_code = status.HTTP_404_NOT_FOUND
        return answer
    text = reason_of(error, action) if action else reason_of(error)
    answer = exceptions.APIException(text, error.code)
    answer.status_code = STATUSES[error.outcome]
    if isinstance(error, StaffTarget):
        answer.status_code = status.HTTP_403_FORBIDDEN
    if error.retry_after:
        answer.wait = error.retry_after  # type: ignore[attr-defined]  # DRF's handler makes it Retry-After
    return answer


def done_data(done: Done) -> dict[str, Any]:
    """Return the body of an answer to an action that was done."""
    return {
        "action": done.action.name.value,
        "outcome": done.outcome,
        "text": done.text,
        "medium": done.medium,
        "destination": done.destination,
        "notified": done.notified,
        "aws_request_id": done.request_id,
    }


def panel_data(shown: Panel) -> dict[str, Any]:
    """Return a panel as JSON. Contacts are masked."""
    account, person = shown.account, shown.account.person
    return {
        "pool": account.pool,
        "sub": person.sub,
        "user": str(account.user.pk) if account.user else None,
        "username": person.username,
        "status": person.status,
        "state": shown.state,
        "enabled": person.enabled,
        "contacts": [vars(contact) for contact in shown.contacts],
        "created_at": person.created_at,
        "changed_at": person.changed_at,
        "looked_up_at": person.looked_up_at,
        "last_request": _event_data(shown.last_request),
        "last_event": _event_data(shown.last_event),
        "diagnosis": shown.diagnosis,
        "actions": [
            {
                "name": offer.action.name.value,
                "title": offer.action.title,
                "consequences": list(map(str, offer.action.consequences)),
                "refusal": {"code": offer.code, "detail": offer.refusal} if offer.code else None,
            }
            for offer in shown.actions
        ],
    }


def _event_data(event: ResetEvent | None) -> dict[str, Any] | None:
    if event is None:
        return None
    names = ("created_at", "outcome", "interface", "error_code")
    return {name: getattr(event, name) for name in names}
