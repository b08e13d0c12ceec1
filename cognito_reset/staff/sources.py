"""Where the people of a reset of many people come from, and a preview of what would be done to them."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import CognitoService, get_service
from cognito_reset.cognito.users import PoolRules, PoolUser
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.staff import claims, journal, pace
from cognito_reset.staff.accounts import (
    SamePerson,
    StaffTarget,
    is_staff_person,
    spares_staff,
    staff_identifiers,
)
from cognito_reset.staff.journal import Entry
from cognito_reset.staff.reasons import BulkRefused

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Sources whose people the app reads from Cognito. Those of the others were passed to it.
LISTED: Final = ("all", "status", "group", "filter")
# Cognito's own sender sends 50 mails a day for the whole AWS account (developer guide).
OWN_SENDER_MAILS: Final = 50
SOURCES: Final = (*LISTED, "list", "queryset")
# Cognito's UserStatusType (botocore's model).
STATUSES: Final = (
    *("UNCONFIRMED", "CONFIRMED", "ARCHIVED", "COMPROMISED", "UNKNOWN", "RESET_REQUIRED"),
    *("FORCE_CHANGE_PASSWORD", "EXTERNAL_PROVIDER"),
)
DEFAULT_RATE: Final = 5.0
# AWS's quota for resets, of the whole account in a Region. The people who reset their passwords by
# themselves share it.
HIGHEST_RATE: Final = 30.0
SAMPLE: Final = 10
LOOK_UPS: Final = 100  # of a dry run of a list
# The names of a list that a dry run doesn't count again. They need about 100 MB.
REMEMBERED: Final = 1_000_000
# How long a request waits for a preview in total: it must end before the web server's timeout.
PREVIEW_SECONDS: Final = 15.0


@dataclass
class Preview:
    """
    What a run would do. ``refused`` maps codes to numbers of people. Of a list, only the first people are
    looked up: ``looked_up`` is their number. ``sample`` are some of those who would be reset. ``without_mail`` is the
    number of those who would be reset and certainly not get a mail.
    """

    count: int = 0
    looked_up: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    sample: list[str] = field(default_factory=list)
    without_mail: int = 0
    warnings: list[str] = field(default_factory=list)

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.looked_up += 1
            if entry.error:
                self.refused[entry.error.code] += 1
                continue
            self.without_mail += not entry.may_get_mail
            if len(self.sample) < SAMPLE:
                self.sample.append(entry.username)


def dry_run(
    *,
    pool: str,
    source: str,
    value: str = "",
    limit: int | None = None,
    actor: Any = None,
    usernames: Iterable[str | None] | None = None,
    is_patient: bool = False,
    look_up_seconds: float = math.inf,
) -> Preview:
    """
    Return what a run would do, and change nothing. Of a list, the first people are looked up, and nobody is after
    ``look_up_seconds``. If ``is_patient``, wait as a run does when AWS limits the rate or Cognito fails for a moment.
    Raise BulkRefused or ResetError.
    """
    check(pool, source, value, DEFAULT_RATE)
    # Not the value: a filter may have a person's address or number.
    actor_id = actor.pk if actor else None
    logger.info("cognito_reset.bulk_previewed pool=%s source=%s actor=%s", pool, source, actor_id)
    preview = Preview()
    service = service_for(pool)
    spares = spares_staff(actor)
    read: Callable[[Callable[[], Any]], Any] = _patiently if is_patient else _at_once
    if source in LISTED:
        token = ""
        while True:
            users, token = read(partial(read_page, service, source, value, token))
            entries = entries_of(pool, users, service, spares_staff=spares)
            if limit is not None:
                entries = entries[: limit - preview.count]
            preview.add(entries)
            preview.count += len(entries)
            if not token or preview.count == limit:
                break
    else:
        staff = staff_identifiers(conf.cognito_username) if spares else None
        known: set[str] = set()
        look_up_until = time.monotonic() + look_up_seconds
        for username in islice(_distinct(cleaned(usernames or ())), limit):
            preview.count += 1
            if preview.count <= LOOK_UPS and time.monotonic() < look_up_until:
                entry = read(partial(_entry, pool, service, username, staff, known))
                preview.add([entry])
    _warn(preview, service, conf.pool(pool).region)
    return preview


def is_temporary(error: errors.ResetError) -> bool:
    """Check whether the same call may succeed a moment later."""
    if isinstance(error, errors.Misconfigured):
        return False
    return isinstance(error, errors.UpstreamThrottled | errors.Unavailable)


def check(pool: str, source: str, value: str, rate: float) -> None:
    is_known = {
        "status": value in STATUSES,
        "group": 0 < len(value) <= 128,
        "filter": 0 < len(value) <= 512,
    }
    if source not in SOURCES or not is_known.get(source, True):
        raise BulkRefused("unknown_source")
    # An emulator has no quota.
    most = sys.maxsize if conf.pool(pool).endpoint_url else HIGHEST_RATE
    if not 0 < rate <= most:
        raise BulkRefused("too_fast", most=HIGHEST_RATE)


def busy(region: str) -> BulkRefused:
    other = journal.runs().filter(holds=region).first()
    return BulkRefused("region_busy", run=other.pk if other else "?")


def service_for(pool: str) -> CognitoService:
    """Return the service of a pool. Raise ``ResetError``."""
    try:
        return get_service(pool)
    except CognitoResetMisconfigured as error:
        failure = errors.misconfigured(error)
    raise failure


def check_selection(pool: str, source: str, value: str) -> None:
    """
    Raise ``SelectionInvalid`` if Cognito refuses the group or the filter. If Cognito can't be asked now, the run
    finds out.
    """
    if source not in ("group", "filter"):
        return
    try:
        read_page(service_for(pool), source, value, "")
    except errors.SelectionInvalid:
        raise
    except errors.ResetError:
        pass


def read_page(
    service: CognitoService, source: str, value: str, page_token: str
) -> tuple[list[PoolUser], str]:
    """
    Return a page of a source's people as ``list_users()`` does. Raise ``SelectionInvalid`` if Cognito refuses the
    group or the filter.
    """
    try:
        return service.list_users(**_listing(source, value, page_token))
    except errors.AccountRefused as error:
        failure = error
    # AWS doesn't document the texts. On the first page there is no token that Cognito could refuse.
    if type(failure) is errors.AccountRefused and not page_token:
        failure = errors.SelectionInvalid(aws_code=failure.aws_code, request_id=failure.request_id)
    raise failure


def _listing(source: str, value: str, page_token: str) -> dict[str, str]:
    """Return the arguments of ``list_users()`` for a page of a source."""
    if source == "group":
        return {"group": value, "page_token": page_token}
    filters = {"status": f'cognito:user_status = "{value}"', "filter": value}
    return {"filter": filters.get(source, ""), "page_token": page_token}


def entries_of(
    pool: str, users: list[PoolUser], service: CognitoService, *, spares_staff: bool
) -> list[Entry]:
    """Return what to write into the journal for a page of users. Raise ``ResetError``."""
    rules = service.pool_rules(required=True)
    staff = staff_identifiers(conf.cognito_username) if spares_staff else None
    return [entry_of(pool, user, rules, staff) for user in users]


def entry_of(
    pool: str, person: PoolUser, rules: PoolRules | None, staff: frozenset[str] | None
) -> Entry:
    """Return what to write into the journal for a person. Raise ``ResetError``."""
    is_spared = is_staff_person(pool, person, staff)
    may_get_mail = rules is None or person.may_get_mail(rules)
    return Entry(person.username, StaffTarget if is_spared else person.refusal(rules), may_get_mail)


def has_own_sender(service: CognitoService) -> bool:
    """
    Check whether Cognito's own sender sends the pool's codes by mail. Return False if the permission to find out is
    missing. Raise ``ResetError`` if Cognito can't be asked now.
    """
    rules = service.pool_rules(required=True)
    return rules is not None and rules.has_own_sender


def cleaned(usernames: Iterable[str | None]) -> Iterator[str]:
    """Return the usernames without blanks around them and without empty ones, one after the other."""
    return filter(None, (str(name).strip() for name in usernames if name is not None))


def _distinct(usernames: Iterable[str]) -> Iterator[str]:
    """Leave out names that are repeated, as the journal does, without keeping the names in memory."""
    known: set[int] = set()
    for username in usernames:
        if (key := hash(username)) in known:
            continue
        if len(known) < REMEMBERED:
            known.add(key)
        yield username


def named(username: str) -> Entry:
    return Entry(username, None if journal.is_username(username) else errors.UserNotFound)


def _at_once(read: Callable[[], T]) -> T:
    return read()


def _patiently(read: Callable[[], T]) -> T:
    """Read from Cognito with the patience that a run has, except for errors that waiting doesn't mend."""
    failures = 0
    while True:
        try:
            return read()
        except errors.ResetError as error:
            failure = error
        if isinstance(failure, errors.UpstreamThrottled):
            time.sleep(pace.THROTTLED_SECONDS)
            continue
        failures += 1
        if failures == claims.FAILURES_TO_PAUSE or not is_temporary(failure):
            raise failure
        time.sleep(failures * pace.FAILURE_SECONDS)


def _entry(
    pool: str,
    service: CognitoService,
    username: str,
    staff: frozenset[str] | None,
    known: set[str],
) -> Entry:
    """Look up an entry of a list, and add the person to those who are known."""
    entry = named(username)
    if entry.error:
        return entry
    try:
        person = service.find_user(username=username)
    except errors.UpstreamThrottled:  # it isn't about the person
        raise
    except errors.AccountRefused as refusal:
        return Entry(username, type(refusal))
    if person.username in known:
        return Entry(person.username, SamePerson)
    known.add(person.username)
    return entry_of(pool, person, service.pool_rules(required=True), staff)


def _warn(preview: Preview, service: CognitoService, region: str) -> None:
    mails = preview.count - preview.refused.total() - preview.without_mail
    if mails > OWN_SENDER_MAILS and has_own_sender(service):
        preview.warnings.append(BulkRefused("own_sender").message)
    if journal.runs().filter(holds=region).exists():
        preview.warnings.append(busy(region).message)
