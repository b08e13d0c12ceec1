"""Find the local user whose password was reset at Cognito."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import ValidationError

from cognito_reset.cognito.errors import site_code_failed
from cognito_reset.cognito.users import is_same
from cognito_reset.conf import conf
from cognito_reset.resets.identifiers import folded
from cognito_reset.resets.site_code import run_site_code

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


@sensitive_variables()
def local_user(pool: str, username: str) -> AbstractBaseUser | None:
    """
    Return the local user for ``username``, as it was sent to Cognito, or ``None``.

    USER_RESOLVER decides if it is set. Otherwise exactly one user without a usable password must match, in a
    field whose value nobody else can have in Cognito. The case of ASCII letters is ignored, as in most pools,
    unless several users match.
    """
    if conf.user_resolver:
        try:
            return run_site_code("USER_RESOLVER", partial(conf.user_resolver, username))
        except ValidationError as error:  # there is no visitor who could be shown it
            failure = site_code_failed("USER_RESOLVER", error)
        raise failure
    names = _fields_to_compare(pool, username)
    if not names:
        return None
    matches = reduce(or_, (Q(**{f"{name}__iexact": username}) for name in names))
    found = get_user_model()._default_manager.filter(matches)
    # Compare again, because a database may treat more letters as the same than Cognito does.
    values = {
        user: [str(getattr(user, name)) for name in names]
        for user in found
        if not user.has_usable_password() and _has_name(user, username)
    }
    exact = [user for user in values if username in values[user]]
    users = exact or [user for user in values if any(is_same(username, v) for v in values[user])]
    return users[0] if len(users) == 1 else None


@sensitive_variables()
def namesakes(names: Iterable[str]) -> list[AbstractBaseUser]:
    """
    Return the local users who have one of these names as their username, email address or username at Cognito,
    whether or not that proves that they are the person with these names.
    """
    attribute, model = conf.username_attribute, get_user_model()
    fields = {field.name for field in model._meta.get_fields()}
    fields &= {model.USERNAME_FIELD, model.get_email_field_name(), attribute}
    wanted = {folded(name) for name in names}
    matches = (Q(**{f"{field}__iexact": name}) for field in fields for name in names)
    found = model._default_manager.filter(reduce(or_, matches))
    # Compare again, because a database may treat more letters as the same.
    return [
        user
        for user in found
        if not wanted.isdisjoint(folded(str(getattr(user, field))) for field in fields)
    ]


def _fields_to_compare(pool: str, username: str) -> list[str]:
    """Return the user model's fields that prove whose account it is if they hold ``username``."""
    settings, model = conf.pool(pool), get_user_model()
    attribute, email = conf.username_attribute, model.get_email_field_name()
    names = set()
    if attribute is not None and attribute != email:
        names.add(attribute)
    if "@" in username:
        # A pool without email sign-in accepts anybody's address as a username. A pool with it "doesn't
        # accept a user name that matches a valid email address format" (Amazon Cognito's developer
        # guide, "User pool attributes"), so there only the owner of the address can have used it.
        if settings.sign_in_declared and "email" in settings.sign_in_with:
            names.add(email)
    elif attribute is None and username[:1] != "+" and "username" in settings.sign_in_with:
        names.add(model.USERNAME_FIELD)
    return sorted(names & {field.name for field in model._meta.get_fields()})


def _has_name(user: AbstractBaseUser, username: str) -> bool:
    """Check that COGNITO_USERNAME, if it is a callable, agrees that ``user`` has this username."""
    if "@" in username:
        return True
    name = run_site_code("COGNITO_USERNAME", partial(conf.cognito_username, user))
    return is_same(username, name)
