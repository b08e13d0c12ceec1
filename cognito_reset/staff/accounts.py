"""Which of the site's users staff may send a reset to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.utils.translation import gettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.cognito.users import PoolUser
from cognito_reset.conf import conf


class StaffTarget(errors.AccountRefused):
    code = "staff_target"
    message = gettext_lazy("Only a superuser can send a reset to a staff member.")


class SamePerson(errors.AccountRefused):
    code = "same_person"
    message = gettext_lazy(
        "In Cognito this is the same person as another one of those selected. One reset is enough."
    )


def may_reset_staff(actor: Any) -> bool:
    """Check whether ``actor`` may reset staff members and superusers as well."""
    return getattr(actor, "is_superuser", False) or conf.staff_may_reset_staff


def is_staff_member(user: Any) -> bool:
    return getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)


def staff_identifiers(cognito_username: Callable[[Any], str]) -> frozenset[str]:
    """
    Return all identifiers, folded, by which a person in the pool can be a staff member of the site.

    Somebody who may edit an ordinary user could give it a superuser's email address, phone number or sub,
    and have the superuser reset. So the person found in the pool counts, not the user that was selected.
    ``cognito_username`` returns a user's username at Cognito; it may be the site's own code.
    """
    model = get_user_model()
    flags = {"is_staff", "is_superuser"}
    # The flags of a custom user model may be properties, which no query can filter by.
    can_filter = flags <= {field.name for field in model._meta.get_fields()}
    privileged = Q(is_staff=True) | Q(is_superuser=True) if can_filter else Q()
    identifiers = set()
    for user in filter(is_staff_member, model._base_manager.filter(privileged)):
        email = getattr(user, model.get_email_field_name(), "")
        identifiers |= {user.get_username(), email, _username_or_none(cognito_username, user)}
    return _folded(identifiers)


def is_staff_person(person: PoolUser, identifiers: frozenset[str]) -> bool:
    """Check whether the person in the pool has one of the identifiers of ``staff_identifiers()``."""
    own = _folded((person.username, person.sub, person.email, person.phone_number))
    return not own.isdisjoint(identifiers)


def _username_or_none(cognito_username: Callable[[Any], str], user: Any) -> str | None:
    try:
        return cognito_username(user)
    except Exception:  # of the site's callable, for staff who have no account in the pool
        return None


def _folded(values: Iterable[str | None]) -> frozenset[str]:
    return frozenset(value.casefold() for value in values if value)
