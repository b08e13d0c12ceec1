"""The people who were selected in the list of users, and the report of what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

from cognito_reset.cognito import errors
from cognito_reset.cognito.users import PoolUser
from cognito_reset.models import ResetEvent
from cognito_reset.staff.accounts import PoolAccount
from cognito_reset.staff.actions import isolated, reason_of
from cognito_reset.staff.perform import NOT_CLEARED, Done
from cognito_reset.staff.person_pages import LEVELS

Outcome = ResetEvent.Outcome
SENT: Final = ngettext_lazy(
    "A password reset was sent to %(count)d person: %(names)s.",
    "A password reset was sent to %(count)d people: %(names)s.",
    "count",
)
MAYBE_SENT: Final = ngettext_lazy(
    "A password reset may have been sent to %(count)d person: %(names)s. %(reason)s",
    "A password reset may have been sent to %(count)d people: %(names)s. %(reason)s",
    "count",
)
NOT_SENT: Final = ngettext_lazy(
    "No password reset was sent to %(count)d person: %(names)s. %(reason)s",
    "No password reset was sent to %(count)d people: %(names)s. %(reason)s",
    "count",
)
TEXTS: Final[dict[str, Any]] = {Outcome.TRIGGERED: SENT, Outcome.UNKNOWN: MAYBE_SENT}


@dataclass
class Target:
    """One selected user: who it is at Cognito, and the outcome so far."""

    user: Any
    pool: str = ""
    username: str = ""
    account: PoolAccount | None = None
    error: errors.ResetError | None = None
    done: Done | None = None

    @property
    def outcome(self) -> str:
        return self.error.outcome if self.error else Outcome.TRIGGERED if self.account else ""

    @property
    def reason(self) -> str:
        """Why no reset is sent to this person, or "" if one can be sent."""
        if self.error is None:
            late = _("Cognito failed or was slow before it was their turn. Select them again.")
            return "" if self.account else late
        return reason_of(self.error)

    @property
    def found(self) -> PoolUser | None:
        """The person at Cognito, for the page."""
        return self.account.person if self.account else None

    @property
    def name(self) -> str:
        """What the report calls the person, with where the code was sent to."""
        destination = self.done.destination if self.done else ""
        name = isolated(str(self.user))
        return f"{name} ({isolated(destination)})" if destination else name


def report(targets: Sequence[Target]) -> Iterator[tuple[str, int]]:
    """Yield what became of the selected people, as texts with the levels of their messages."""
    groups: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        groups.setdefault((target.outcome, target.reason), []).append(target.name)
    for (outcome, reason), names in groups.items():
        values = {"count": len(names), "names": get_text_list(names, _("and")), "reason": reason}
        yield TEXTS.get(outcome, NOT_SENT) % values, LEVELS.get(outcome, messages.ERROR)
    if held := [
        isolated(str(each.user)) for each in targets if each.done and each.done.limits_stand
    ]:
        yield NOT_CLEARED % {"names": get_text_list(held, _("and"))}, messages.WARNING
