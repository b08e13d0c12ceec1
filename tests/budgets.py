"""
What one attempt costs in SQL statements and cache commands, by kind of attempt. test_budgets.py counts them, and
docs/performance.md shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

READ, TAKE, KEEP = "SELECT ledgerslot", "INSERT ledgerslot", "UPDATE ledgerslot"
AUDIT = "INSERT resetevent"
FIND_USER, END_SESSIONS = "SELECT user", "UPDATE user"
SLOTS = 5  # that an attempt takes; a client with an IPv6 address is in two networks more


@dataclass(frozen=True)
class Budget:
    """
    - ``commands``: of the cache, if the limits are in a cache
    - ``ledger``: the statements of the limits, if they are in the database
    - ``others``: the statements of the audit and of the local account
    """

    attempt: str
    commands: Mapping[str, int]
    ledger: Mapping[str, int]
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def statements(self) -> dict[str, int]:
        """Return the statements if the limits are in the database."""
        return {**self.ledger, **self.others}


_SLOTS = {"get_many": 1, "add": SLOTS}
REQUEST = Budget("a code requested", _SLOTS, {READ: 1, TAKE: 1}, {AUDIT: 1})
_KEPT = {READ: 1, TAKE: 1, KEEP: 1}
CONFIRM = Budget("a reset confirmed", {**_SLOTS, "set": 1}, _KEPT, {AUDIT: 1, FIND_USER: 1})
CONFIRM_LOCAL = Budget(
    "… by a local user, whose sessions end",
    *(CONFIRM.commands, CONFIRM.ledger),
    {**CONFIRM.others, END_SESSIONS: 1},
)
SIGN_OUT = Budget(
    "… with `SIGN_OUT_EVERYWHERE`", {**_SLOTS, "set": 2}, {**_KEPT, KEEP: 2}, CONFIRM.others
)
WRONG_CODE = Budget("a wrong code", {**_SLOTS, "set": 1}, _KEPT, {AUDIT: 1})
_LOOK = {"get_many": 1, "add": 1}
FIRST_REFUSAL = Budget(
    "the first refused attempt in five minutes", _LOOK, {READ: 1, TAKE: 1}, {AUDIT: 1}
)
REFUSAL = Budget("another refused attempt", _LOOK, {READ: 1, TAKE: 1})
LATE_REFUSAL = Budget("a refused attempt after ten others", {"get_many": 1}, {READ: 1})
REPEAT = Budget("a repeat of a request", _LOOK, {READ: 1, TAKE: 1})

BUDGETS = (
    *(REQUEST, CONFIRM, CONFIRM_LOCAL, SIGN_OUT, WRONG_CODE),
    *(FIRST_REFUSAL, REFUSAL, LATE_REFUSAL, REPEAT),
)
