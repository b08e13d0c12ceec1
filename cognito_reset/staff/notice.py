"""The mail that this site sends after a reset by staff. It tells the person where to enter Cognito's code."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.urls import NoReverseMatch, get_script_prefix, resolve, reverse
from rest_framework.exceptions import APIException

from cognito_reset.cognito.errors import ResetError
from cognito_reset.receivers import mail_user
from cognito_reset.resets.pools import resolve_pool

if TYPE_CHECKING:
    from django.http import HttpRequest

    from cognito_reset.staff.accounts import PoolAccount

logger = logging.getLogger(__name__)

# What ``resolve_pool()`` may raise.
RESOLVERS_ERRORS: Final = (Http404, PermissionDenied, APIException, ResetError)


def can_notify(account: PoolAccount, request: HttpRequest | None) -> bool:
    """Check whether the person is a user of the site with an address, and the pages of the pool are on this site."""
    return bool(_address(account) and request and _page(request, account.pool, "confirm"))


def send_reset_notice(account: PoolAccount, request: HttpRequest | None) -> bool:
    """Mail the person where to enter the code. Return whether that succeeded."""
    user = account.user
    if user is None or request is None or not can_notify(account, request):
        return False
    pages = {f"{name}_url": _page(request, account.pool, name) for name in ("confirm", "request")}
    try:
        mail_user(user, "cognito_reset/reset_sent", **pages)
    except Exception as error:  # of the mail server, or of the site's template
        logger.error("cognito_reset.reset_notice_failed error=%s", type(error).__name__)
        return False
    return True


def _address(account: PoolAccount) -> Any:
    """Return the user's address, but none if the person is proven to be another user."""
    user = account.user
    is_same = account.proven in (None, user)
    return user and is_same and getattr(user, user.get_email_field_name(), "")


def _page(request: HttpRequest, pool: str, name: str) -> str:
    """
    Return the absolute URL of one of the pool's pages, or "". A site includes the pages of several pools with
    the argument "pool", and often under the pool's alias.
    """
    for namespace in ("cognito_reset", pool):
        for arguments in ({"pool": pool}, {}):
            with suppress(NoReverseMatch, *RESOLVERS_ERRORS):
                url = reverse(f"{namespace}:{name}", kwargs=arguments)
                match = resolve(url[len(get_script_prefix()) - 1 :])
                if resolve_pool(request, match.kwargs.get("pool")) == pool:
                    return request.build_absolute_uri(url)
    return ""
