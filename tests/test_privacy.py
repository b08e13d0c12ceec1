"""docs/privacy.md lists what the app stores, and its code finds and deletes what is about one person."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cognito_reset.models import BulkItem, BulkRun, LedgerSlot, ResetEvent
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.resets.stores import Bucket
from tests.documentation import python, section
from tests.guides import PAGES, cells
from tests.interfaces import Pages, with_settings
from tests.people import NEW_PASSWORD, People
from tests.test_staff_audit import make_event

NAMES = ["anna", "anna@example.com", "+491712345678"]
pytestmark = pytest.mark.django_db


def names_in(columns: list[str]) -> set[str]:
    return {name for cell in columns for name in re.findall(r"`([a-z_]+)`", cell)}


def test_every_column_is_listed():
    """The tables on the page have exactly the columns of the app's tables."""
    text = section("privacy.md", "In the database")
    audit, limits, runs = re.split(r"^`cognito_reset_(?:ledgerslot|bulkrun)`.*$", text, flags=re.M)
    for model, part in ((ResetEvent, audit), (LedgerSlot, limits)):
        listed = names_in([row[0] for row in cells(part)])
        assert listed == {field.column for field in model._meta.concrete_fields} | {"column"} - {
            "column"
        }
    table, listed_by = "", defaultdict[str, set[str]](set)
    for first, second, *_ in cells(runs)[1:]:
        table = first.strip("`") or table
        listed_by[table].update(names_in([second]))
    assert listed_by == {
        model._meta.db_table: {field.column for field in model._meta.concrete_fields}
        for model in (BulkRun, BulkItem)
    }


def test_every_key_of_the_session_is_listed(people: People, settings):
    """Through a whole reset, with the destination shown."""
    with_settings(settings, SHOW_DESTINATION=True, LIMITS={})
    listed = names_in([row[0] for row in cells(section("privacy.md", "In the session"))])
    seen: set[str] = set()
    interface = Pages()
    for answer in (
        lambda: interface.request("alice"),
        lambda: interface.confirm("alice", people.emulator.outbox[-1].code, NEW_PASSWORD),
    ):
        answer()
        entry = interface.client.session["cognito_reset:default"]
        assert NEW_PASSWORD not in repr(entry)
        assert people.emulator.outbox[-1].code not in repr(entry)
        seen |= set(entry)
    assert seen <= listed
    assert listed - seen == {"note"}  # of another code, or of the site's own sign-in page
    interface.client.get("/password-reset/done/")
    assert "cognito_reset:default" not in interface.client.session


def test_an_old_entry_leaves_a_session_of_the_sites_own_at_the_next_visit(people: People, settings):
    client = Client()
    session = client.session
    session["basket"] = 1
    session.save()
    client.post("/password-reset/", {"username": "alice"})
    session = client.session
    session["cognito_reset:default"] = {**session["cognito_reset:default"], "until": 0}
    session.save()
    client.get("/password-reset/")
    assert dict(client.session).keys() == {"basket"}


def test_a_key_of_the_cache_has_the_form_that_is_described():
    key = Bucket("request", "identifier", 3, 3600, identifier_key("default", "anna")).key
    assert re.fullmatch(r"\{cognito_reset\}:request:identifier:3600:[0-9a-f]{64}", key)
    assert "`{cognito_reset}:` with the step, the level, a number of seconds" in PAGES["privacy.md"]


@pytest.fixture
def privacy(monkeypatch) -> ModuleType:
    """The module that the page lets a site write."""
    module = ModuleType("example.privacy")
    exec(python("privacy.md", "privacy.py"), vars(module))
    monkeypatch.setitem(sys.modules, "example", ModuleType("example"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def anna() -> User:
    """Anna, who has rows in every table of the app, beside rows of other people."""
    anna = User.objects.create_user("anna", "anna@example.com")
    bert = User.objects.create_user("bert")
    for name in ("Anna", "ANNA@example.com ", "+491712345678", "bert", "anna-maria"):
        make_event(name)
    make_event("a sub", target=anna)  # found by the user only
    make_event("anna", pool="brand")
    make_event("bert", target=bert, actor=anna)
    for state, holds in (("done", None), ("running", "eu-west-1")):
        run = BulkRun.objects.create(
            pool="default", source="list", rate=5, current_rate=5, interface="python", state=state, holds=holds
        )  # fmt: skip
        for name in ("anna", "Anna@example.com", "bert"):
            BulkItem.objects.create(run=run, username=name, username_hash=name)
    brand = BulkRun.objects.create(
        pool="brand", source="list", rate=5, current_rate=5, interface="python", state="done"
    )
    BulkItem.objects.create(run=brand, username="anna", username_hash="anna")
    return anna


def test_a_request_for_access_finds_what_is_about_the_person(privacy, anna):
    data = privacy.reset_data("default", NAMES, anna)
    assert {title: len(found) for title, found in data.items()} == {
        "resets": 4,
        "resets of many people": 4,
        "as a staff member": 1,
    }
    assert {item["username"] for item in data["resets of many people"]} == {
        "anna",
        "Anna@example.com",
    }


def test_a_person_without_a_user_has_no_rows_of_other_people(privacy, anna):
    """Rows without a user aren't about everybody who has none."""
    data = privacy.reset_data("default", NAMES)
    assert len(data["resets"]) == 3
    assert "as a staff member" not in data
    assert privacy.reset_data("default", []) == {"resets": [], "resets of many people": []}


def test_names_are_found_after_the_key_was_replaced(privacy, anna, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a-new-key-only-for-tests"
    assert len(privacy.reset_data("default", NAMES)["resets"]) == 3
    settings.SECRET_KEY_FALLBACKS = []
    assert privacy.reset_data("default", NAMES)["resets"] == []
    assert len(privacy.reset_data("default", NAMES, anna)["resets"]) == 1  # by the user


def test_erasure_deletes_it_and_nothing_else(privacy, anna):
    """Rows of other people and of runs that aren't over stay, and so do rows of what the person did."""
    others = ResetEvent.objects.exclude(pk__in=privacy.events_about("default", NAMES, anna))
    kept = set(others.values_list("pk", flat=True))
    assert privacy.erase_reset_data("default", NAMES, anna) == {
        "resets": 4,
        "resets of many people": 2,
    }
    assert set(ResetEvent.objects.values_list("pk", flat=True)) == kept
    assert len(kept) == 4
    left = BulkItem.objects.filter(run__pool="default").values_list("run__state", "username")
    assert BulkItem.objects.filter(run__pool="brand").count() == 1
    assert sorted(left) == [("done", "bert")] + [
        ("running", n) for n in ("Anna@example.com", "anna", "bert")
    ]
    anna.delete()
    assert ResetEvent.objects.filter(pk__in=kept, actor=None).count() == len(kept)


def test_the_lines_for_the_shell_run(privacy, anna, capsys):
    for comment, shown in (
        ("manage.py shell, to answer a request for access", "resets of many people"),
        ("manage.py shell, to erase", "{'resets': 4, 'resets of many people': 2}"),
    ):
        values: dict[str, Any] = {}
        exec(python("privacy.md", comment), values)
        assert shown in capsys.readouterr().out
