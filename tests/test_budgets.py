"""What one attempt costs: the SQL statements and the cache's round trips of the app, counted exactly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cognito_reset.models import LedgerSlot
from cognito_reset.resets import stores
from cognito_reset.resets.ratelimits import REFUSALS
from tests import budgets
from tests.interfaces import REST
from tests.people import NEW_PASSWORD, People


@pytest.fixture(params=["no local user", "local user"])
def has_local_user(request: pytest.FixtureRequest, people: People) -> bool:
    if request.param == "local user":
        model = get_user_model()
        user = model(username="alice", email="alice@example.com")
        user.set_unusable_password()
        user.save()
    return bool(request.param == "local user")


class CountingCache(LocMemCache):
    """A cache that notes its commands. Django's Redis cache makes one round trip for each of them."""

    commands: ClassVar[list[str]] = []

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        self.commands.append("get_many")
        values = {key: LocMemCache.get(self, key, version=version) for key in keys}
        return {key: value for key, value in values.items() if value is not None}

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self.commands.append("get")
        return super().get(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> bool:
        self.commands.append("add")
        return super().add(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        self.commands.append("set")
        super().set(*args, **kwargs)

    def delete_many(self, *args: Any, **kwargs: Any) -> None:
        self.commands.append("delete_many")
        super().delete_many(*args, **kwargs)


@pytest.fixture
def in_database(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    monkeypatch.setattr(stores, "PURGE_SHARE", 0)  # the work of one attempt in sixteen


@pytest.fixture
def in_cache(settings: Any) -> None:
    cache = {"BACKEND": f"{__name__}.{CountingCache.__name__}", "LOCATION": "budgets"}
    settings.CACHES = {**settings.CACHES, "limits": cache}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}, "LIMITS_CACHE": "limits"}
    CountingCache("budgets", {}).clear()


def statements(work: Callable[[], Any]) -> Mapping[str, int]:
    """Return the statements by verb and table, without those that begin and end transactions."""
    with CaptureQueriesContext(connection) as captured:
        work()
    found = Counter[str]()
    for query in captured.captured_queries:
        verb = query["sql"].split()[0]
        if verb not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"):
            table = re.search(
                r'(?:INTO|FROM|UPDATE) "(?:cognito_reset_|auth_)?(\w+)"', query["sql"]
            )
            found[f"{verb} {table[1] if table else query['sql']}"] += 1
    return found


def commands(work: Callable[[], Any]) -> Mapping[str, int]:
    CountingCache.commands.clear()
    work()
    return Counter(CountingCache.commands)


def request(status: int = 202, address: str = "192.0.2.1") -> None:
    rest = REST()
    rest.client.defaults["REMOTE_ADDR"] = address
    assert rest.request("alice").status_code == status


def confirm(code: str = "", status: int = 200, address: str = "192.0.2.1") -> None:
    rest = REST()
    rest.client.defaults["REMOTE_ADDR"] = address
    assert rest.confirm("alice", code, NEW_PASSWORD).status_code == status


# Limits in the database


@pytest.mark.usefixtures("people", "in_database")
def test_a_code_costs_three_statements() -> None:
    assert statements(request) == budgets.REQUEST.statements


@pytest.mark.usefixtures("in_database")
def test_a_reset_costs_five_statements_and_another_one_for_a_local_user(
    people: People, has_local_user: bool
) -> None:
    code = people.code("alice")
    budget = budgets.CONFIRM_LOCAL if has_local_user else budgets.CONFIRM
    assert statements(lambda: confirm(code)) == budget.statements


@pytest.mark.usefixtures("in_database")
def test_the_end_of_all_sessions_costs_one_statement_more(people: People, settings: Any) -> None:
    """It stores for repeats that other devices were signed out."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "SIGN_OUT_EVERYWHERE": True}
    code = people.code("alice")
    assert statements(lambda: confirm(code)) == budgets.SIGN_OUT.statements


@pytest.mark.usefixtures("people", "in_database")
def test_a_wrong_code_costs_four_statements() -> None:
    assert statements(lambda: confirm(status=400)) == budgets.WRONG_CODE.statements


@pytest.mark.usefixtures("people", "in_database")
def test_expired_slots_cost_one_statement_more() -> None:
    request()
    LedgerSlot.objects.update(expires=1)
    assert statements(request) == {**budgets.REQUEST.statements, "DELETE ledgerslot": 1}


@pytest.mark.usefixtures("people", "in_database")
def test_a_refused_attempt_costs_two_statements_and_the_first_an_audit_row() -> None:
    """After ten refusals, as in a flood, each costs one statement."""
    request()
    assert statements(lambda: request(429)) == budgets.FIRST_REFUSAL.statements
    for _ in range(1, REFUSALS.limit):
        assert statements(lambda: request(429)) == budgets.REFUSAL.statements
    assert statements(lambda: request(429)) == budgets.LATE_REFUSAL.statements


@pytest.mark.usefixtures("in_database")
def test_a_repeat_costs_two_statements(people: People) -> None:
    code = people.code("alice")
    confirm(code)
    assert statements(lambda: confirm(code)) == budgets.REPEAT.statements


# Limits in a cache


@pytest.mark.usefixtures("people", "in_cache")
@pytest.mark.parametrize(("address", "more"), [("192.0.2.1", 0), ("2001:db8::1", 2)])
def test_a_code_costs_six_round_trips_and_an_audit_row(address: str, more: int) -> None:
    """One to read, and one for each slot: IPv6 has two networks more."""
    found = []
    costs = commands(lambda: found.append(statements(lambda: request(address=address))))
    assert costs == {**budgets.REQUEST.commands, "add": budgets.SLOTS + more}
    assert found == [budgets.REQUEST.others]


@pytest.mark.usefixtures("people", "in_cache")
def test_older_secret_keys_cost_no_round_trip(settings: Any) -> None:
    """What is stored under them is read by the same command."""
    settings.SECRET_KEY_FALLBACKS = ["older", "oldest"]
    assert commands(request) == budgets.REQUEST.commands


@pytest.mark.usefixtures("in_cache")
@pytest.mark.parametrize(("address", "more"), [("192.0.2.1", 0), ("2001:db8::1", 2)])
def test_a_reset_costs_seven_round_trips_an_audit_row_and_a_look_for_the_local_user(
    people: People, has_local_user: bool, address: str, more: int
) -> None:
    """One to read, one for each slot, and one to keep the answer."""
    code, found = people.code("alice"), []
    costs = commands(lambda: found.append(statements(lambda: confirm(code, address=address))))
    budget = budgets.CONFIRM_LOCAL if has_local_user else budgets.CONFIRM
    assert costs == {**budget.commands, "add": budgets.SLOTS + more}
    assert found == [budget.others]


@pytest.mark.usefixtures("in_cache")
def test_the_end_of_all_sessions_costs_one_round_trip_more(people: People, settings: Any) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "SIGN_OUT_EVERYWHERE": True}
    code = people.code("alice")
    assert commands(lambda: confirm(code)) == budgets.SIGN_OUT.commands


@pytest.mark.usefixtures("people", "in_cache")
def test_a_wrong_code_costs_seven_round_trips_and_an_audit_row() -> None:
    found = []
    costs = commands(lambda: found.append(statements(lambda: confirm(status=400))))
    assert costs == budgets.WRONG_CODE.commands
    assert found == [budgets.WRONG_CODE.others]


@pytest.mark.usefixtures("people", "in_cache")
def test_a_refused_attempt_costs_two_round_trips_and_the_first_an_audit_row() -> None:
    """After ten refusals, as in a flood, each costs one round trip."""
    request()
    CountingCache.commands.clear()
    assert statements(lambda: request(429)) == budgets.FIRST_REFUSAL.others
    assert Counter(CountingCache.commands) == budgets.FIRST_REFUSAL.commands
    for _ in range(1, REFUSALS.limit):
        assert commands(lambda: request(429)) == budgets.REFUSAL.commands
    assert commands(lambda: request(429)) == budgets.LATE_REFUSAL.commands


@pytest.mark.usefixtures("in_cache")
def test_a_repeat_costs_two_round_trips(people: People) -> None:
    code = people.code("alice")
    confirm(code)
    assert commands(lambda: confirm(code)) == budgets.REPEAT.commands
