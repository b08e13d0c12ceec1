"""
Which names somebody has in the audit, as hashes, and which user of the site they belong to.

The modules of the form are imported when a text is looked up: DRF's fields take long to load, and the admin is loaded
whenever the site or a command starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.views.decorators.debug import sensitive_variables

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.resets.identifiers import identifier_keys
from cognito_reset.staff.accounts import may_see, settings_as_errors, username_of


@sensitive_variables()
def name_keys(identifiers: Iterable[str]) -> set[str]:
    """Return the hashes that identifiers have in any of the pools."""
    pools = conf.pool_aliases()
    return {key for name in identifiers for pool in pools for key in identifier_keys(pool, name)}


@sensitive_variables()
def history_of(actor: Any, typed: str) -> tuple[set[str], Any]:
    """
    Return the hashes of what a person may have typed, and the user of the site whose they are, or None if that isn't
    known or ``actor`` may not view the user. In each pool the text means what the public form takes it for.
    """
    names = {pool: _understood(pool, typed) for pool in conf.pool_aliases()}
    hashes = {key for pool, name in names.items() for key in identifier_keys(pool, name)}
    user = _user_called([typed]) or _user_called(set(names.values()))
    theirs = keys_of_viewable(actor, user, hashes)
    return (theirs, user) if theirs else (hashes, None)


@sensitive_variables()
def _understood(pool: str, typed: str) -> str:
    """Return the name that the public form makes of a text, or the text itself if the form refuses it."""
    from cognito_reset.resets.flow import make_serializer
    from cognito_reset.resets.serializers import RequestCodeSerializer

    with suppress(errors.ResetError), settings_as_errors():
        serializer = make_serializer(RequestCodeSerializer, pool, data={"username": typed})
        if serializer.is_valid():
            return str(serializer.validated_data["username"])
    return typed


@sensitive_variables()
def user_keys(user: Any) -> set[str]:
    """
    Return the hashes of all names that the site knows of a user. If COGNITO_USERNAME fails, return none: a page that
    names the user must not leave out a name.
    """
    try:
        name = username_of(user)
    except errors.ResetError:
        return set()
    names = {user.get_username(), getattr(user, user.get_email_field_name(), ""), name}
    return name_keys(filter(None, names))


@sensitive_variables()
def _user_called(names: Iterable[str]) -> Any:
    """Return the site's only user with one of these as the username or the email address, or None."""
    model = get_user_model()
    fields = {model.USERNAME_FIELD, model.get_email_field_name()}
    fields &= {field.name for field in model._meta.get_fields()}
    possible = [name for name in names if "\x00" not in name]  # PostgreSQL accepts none with NUL
    wanted = (Q(**{f"{field}__iexact": name}) for name in possible for field in fields)
    found = model._default_manager.filter(reduce(or_, wanted, Q(pk__in=[])))[:2]
    return found[0] if len(found) == 1 else None


def keys_of_viewable(actor: Any, user: Any, hashes: Iterable[str]) -> set[str]:
    """Return which of these hashes a user has, or none if there is no user or ``actor`` may not view the user."""
    return user_keys(user).intersection(hashes) if user and may_see(actor, user) else set()
