"""
Whom staff act for: a person found in the pool, and the site's users who are proven to be that person.

What staff may do to a person is decided by the person found in the pool. The user or the name that the look-up
began from doesn't decide it, because staff may be able to edit those.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final, TypeVar

from django.contrib.auth import get_permission_codename, get_user_model
from django.db.models import Q
from django.utils.translation import gettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import get_service
from cognito_reset.cognito.users import PoolRules, PoolUser, attribute_like
from cognito_reset.conf import DEFAULT_POOL, CognitoResetMisconfigured, PoolSettings, conf
from cognito_reset.resets.accounts import local_user, namesakes
from cognito_reset.resets.identifiers import folded, identifier_keys, is_sub
from cognito_reset.resets.neutral import typed_delivery
from cognito_reset.resets.site_code import site_result

__all__ = ["PoolAccount", "look_up", "look_up_user"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

Staff = Callable[[], frozenset[str]]

# Characters of an identifier: an email address is an attribute of a user, and Cognito's attributes have at most so many.
LONGEST_NAME: Final = 2048

# The permissions besides those of the actions: to see what Cognito says of a person, and for resets of many people.
LOOK_UP: Final = "cognito_reset.look_up_account"
RUN_PERMISSION: Final = "cognito_reset.run_bulk_reset"
VIEW_PERMISSION: Final = "cognito_reset.view_bulkrun"


class StaffTarget(errors.AccountRefused):
    code = "staff_target"
    message = gettext_lazy("Only a superuser can do this to a staff member.")


class NotPermitted(errors.AccountRefused):
    """For the audit and the signals. The staff member is answered with 403 or 404, as by any other page of the site."""

    code = "permission_denied"
    message = gettext_lazy("The permission for this was missing.")


class SamePerson(errors.AccountRefused):
    code = "same_person"
    message = gettext_lazy(
        "In Cognito this is the same person as another one of those selected. One reset is enough."
    )


@dataclass(frozen=True)
class PoolAccount:
    """
    A person found in the pool.

    - ``user``: the site's user that the look-up began from, or else the one who is proven to be this person.
    - ``proven``: the site's user who is proven to be this person, or None. It differs from ``user`` if
      somebody changed what ``user`` is looked up by.
    - ``namesakes``: if nobody is proven, the site's users with one of this person's names. They may be this
      person, for example if they have a password on this site as well.
    - ``typed``: what was looked up; "" for a sub or a user of the site.
    - ``rules``: the pool's rules, or None if they aren't known.
    """

    pool: str
    person: PoolUser
    user: Any | None = None
    proven: Any | None = None
    typed: str = field(default="", repr=False)
    namesakes: tuple[Any, ...] = ()
    rules: PoolRules | None = None

    @property
    def users(self) -> tuple[Any, ...]:
        """Return the site's users that this account is about."""
        both = {user.pk: user for user in (self.user, self.proven) if user}
        return tuple(both.values())

    @property
    def all_users(self) -> tuple[Any, ...]:
        """Return the site's users whom this account may be about: staff must be allowed to see all of them."""
        return tuple({user.pk: user for user in (*self.users, *self.namesakes)}.values())

    @property
    def name(self) -> str:
        """Return what to call the person in a text for staff."""
        if self.user or self.typed:
            return str(self.user or self.typed)
        name, contact = self.person.username, self.person.email or self.person.phone_number
        # Where people sign in with a contact, Cognito makes up a username that tells nobody anything.
        masked = typed_delivery(contact) if is_sub(name) else None
        return f"{name} ({masked.destination})" if masked else name

    @property
    def identifiers(self) -> tuple[str, ...]:
        """
        Return what the person may have typed in this site's forms. A contact that isn't verified is left out where
        it may be somebody else's.
        """
        person, unique = self.person, self.rules.unique_names if self.rules else ()
        names = [person.username, person.sub, self.typed]
        names += [person.email] if person.email_verified or "email" in unique else []
        names += [person.phone_number] if person.phone_verified or "phone_number" in unique else []
        names += [person.preferred_username] if "preferred_username" in unique else []
        names += [getattr(user, user.get_email_field_name(), "") for user in self.users]
        return tuple(dict.fromkeys(filter(None, names)))

    @property
    def keys(self) -> list[str]:
        """Return the keyed hashes of the identifiers, as in the limits and in the audit."""
        return [key for name in self.identifiers for key in identifier_keys(self.pool, name)]


def look_up(identifier: str, *, pool: str = DEFAULT_POOL, user: Any = None) -> PoolAccount:
    """
    Return the person with this username, email address, phone number or sub. ``user`` is the site's user
    that the look-up began from, if there is one. Raise ``ResetError``.
    """
    with settings_as_errors():
        person = get_service(pool).find_user(username=identifier)
        return _account(pool, person, user=user, typed="" if user else identifier)


def look_up_sub(sub: str, *, pool: str = DEFAULT_POOL) -> PoolAccount:
    """
    Return the person with this sub, and never somebody whose username looks like it. Raise ``ResetError``.
    """
    if attribute_like(sub) != "sub":
        raise errors.UserNotFound
    with settings_as_errors():
        return _account(pool, get_service(pool).find_by_sub(sub=sub))


def look_up_user(
    user: Any, *, pool: str = DEFAULT_POOL, username: str | None = None
) -> PoolAccount:
    """
    Return the person in the pool who is looked up by ``username``, or else by what COGNITO_USERNAME returns for
    a user of the site. Raise ``ResetError``.
    """
    if username is None:
        username = username_of(user)
    if not username:
        raise errors.UserNotFound
    return look_up(username, pool=pool, user=user)


def username_of(user: Any) -> str:
    """Return the username at Cognito of a user of the site. Raise ``Misconfigured``."""
    return site_value("COGNITO_USERNAME", lambda: conf.cognito_username(user))


def with_names_of_every_kind(pool: str) -> PoolSettings:
    """Return the settings of a pool in which staff may type a name of any kind, whatever people sign in with."""
    return PoolSettings(pool, {**conf.pool(pool).raw, "SIGN_IN_WITH": None})


def may_see(actor: Any, user: Any) -> bool:
    """Check whether ``actor`` may view ``user``, by the permissions of Django's admin."""
    return any(has_permission(actor, name, user) for name in _permissions_to_see(user))


def may_see_everybody(actor: Any) -> bool:
    """Check whether ``actor`` may view all users, by the permissions of Django's admin."""
    return any(map(actor.has_perm, _permissions_to_see(get_user_model())))


def _permissions_to_see(user: Any) -> list[str]:
    names = (get_permission_codename(verb, user._meta) for verb in ("view", "change"))
    return [f"{user._meta.app_label}.{name}" for name in names]


def has_permission(actor: Any, permission: str, user: Any = None) -> bool:
    """Check a permission, also with backends that know permissions for one object only."""
    return actor.has_perm(permission) or bool(user and actor.has_perm(permission, user))


def is_visible(
    account: PoolAccount, may_view: Callable[[Any], bool], may: Callable[[Any], bool]
) -> bool:
    """
    Check whether a person exists for a staff member. One who is or may be a user of the site exists only for staff who
    may view that user and have the permission for that user, as the two callables tell.
    """
    return all(may_view(user) and may(user) for user in account.all_users)


def is_permitted(account: PoolAccount, may: Callable[[Any], bool]) -> bool:
    """
    Check whether a staff member may do something for a person. The account may belong to several users of the site:
    ``may`` is called with each of them, or with None if there are none.
    """
    return all(map(may, account.all_users or (None,)))


def site_value(setting: str, call: Callable[[], T]) -> T:
    """
    Return the result of a callable of the site. If it raises anything, raise ``Misconfigured``: a ValidationError is
    for visitors, not for staff.
    """
    with settings_as_errors():
        return site_result(setting, call)


@contextmanager
def settings_as_errors() -> Iterator[None]:
    """Log a setting that can't be used, and raise the error that staff may see."""
    try:
        yield
        return
    except CognitoResetMisconfigured as error:
        failure = errors.misconfigured(error)
        failure.aws_code = type(error).__name__
    raise failure


def may_reset_staff(actor: Any) -> bool:
    """Check whether ``actor`` may act for staff members and superusers as well."""
    return getattr(actor, "is_superuser", False) or conf.staff_may_reset_staff


def spares_staff(actor: Any) -> bool:
    """Check whether ``actor`` may not act for staff. None is the site's own code, which may act for everybody."""
    return actor is not None and not may_reset_staff(actor)


def is_staff_member(user: Any) -> bool:
    return getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)


def is_protected(account: PoolAccount, *, actor: Any, staff: Staff | None = None) -> bool:
    """
    Check whether the person is a staff member for whom ``actor`` may not act. If ``actor`` is None, as for the site's
    own code, nobody is protected. ``staff`` returns ``staff_identifiers()``, for callers that ask often.
    Raise ``Misconfigured`` if the staff, or whether they are protected, can't be known.
    """
    with settings_as_errors():
        if not spares_staff(actor):
            return False
        find = staff or partial(staff_identifiers, conf.cognito_username)
        # A user of the site may have been given a superuser's address, whose limits must not be cleared for them.
        return _is_staff(account.person, account.users, find, account.identifiers)


def is_staff_person(pool: str, person: PoolUser, identifiers: frozenset[str] | None) -> bool:
    """
    Check whether a person in the pool is a staff member, with the result of ``staff_identifiers()``, or with None
    where staff aren't protected. Raise ``ResetError`` if the site's own code fails.
    """
    if identifiers is None:
        return False
    with settings_as_errors():
        # Without USER_RESOLVER, a user is proven by a value that is among the staff's identifiers if the user is staff.
        # A query for each person of a large run would take hours.
        users = (_proven_user(pool, person),) if conf.user_resolver else ()
        return _is_staff(person, users, lambda: identifiers)


def staff_reader(cognito_username: Callable[[Any], str]) -> Staff:
    """Return what reads the staff once, and only if it is called. The argument is as in ``staff_identifiers()``."""
    return cache(partial(staff_identifiers, cognito_username))


def staff_identifiers(cognito_username: Callable[[Any], str]) -> frozenset[str]:
    """
    Return all identifiers, folded, by which a person in the pool can be a staff member of the site.

    Somebody who may edit an ordinary user could give it a superuser's email address, phone number or sub,
    and have the superuser reset. So the person found in the pool counts, not the user that was selected.
    ``cognito_username`` returns a user's username at Cognito, as an interface of the site overrides it;
    COGNITO_USERNAME counts as well, because it may be right for another pool. Both may be the site's own code.
    """
    model = get_user_model()
    flags = {"is_staff", "is_superuser"}
    # The flags of a custom user model may be properties, which no query can filter by.
    can_filter = flags <= {field.name for field in model._meta.get_fields()}
    privileged = Q(is_staff=True) | Q(is_superuser=True) if can_filter else Q()
    identifiers = set()
    for user in filter(is_staff_member, model._base_manager.filter(privileged)):
        email = getattr(user, model.get_email_field_name(), "")
        identifiers |= {user.get_username(), email}
        both = {conf.cognito_username, cognito_username}
        identifiers |= {_username_or_none(name, user) for name in both}
    return _folded(identifiers)


def _is_staff(
    person: PoolUser, users: Iterable[Any], staff: Staff, others: Iterable[str] = ()
) -> bool:
    """
    Check whether one of the person's users is staff, or one of the person's identifiers, or of ``others``, is in
    ``staff()``.
    """
    if any(map(is_staff_member, users)):
        return True
    return not _folded((*_names(person), *others)).isdisjoint(staff())


def _account(pool: str, person: PoolUser, *, user: Any = None, typed: str = "") -> PoolAccount:
    proven = _proven_user(pool, person)
    others = () if proven else tuple(namesakes(_names(person)))
    rules = get_service(pool).pool_rules()
    return PoolAccount(pool, person, user or proven, proven, typed, others, rules)


def _names(person: PoolUser) -> list[str]:
    """Return every name that the person has in the pool, including names that other people may have too."""
    contacts = (person.email, person.phone_number)
    return [*filter(None, (person.username, person.sub, *contacts, person.preferred_username))]


def _proven_user(pool: str, person: PoolUser) -> Any | None:
    """
    Return the site's user who is proven to be this person, by a value that nobody else can have in the pool, or None.
    """
    names = [person.sub]
    # In a pool where people choose their usernames, one may look like the sub of somebody else.
    names += [] if is_sub(person.username) else [person.username]
    names += [person.email] if person.email_verified else []
    names += [person.phone_number] if person.phone_verified else []
    found = (local_user(pool, name) for name in names if name)
    return next((user for user in found if user), None)


def _username_or_none(cognito_username: Callable[[Any], str], user: Any) -> str | None:
    try:
        return cognito_username(user)
    except Exception:  # of the site's callable, for staff who have no account in the pool
        return None


def _folded(values: Iterable[str | None]) -> frozenset[str]:
    return frozenset(folded(value) for value in values if value) - {""}
