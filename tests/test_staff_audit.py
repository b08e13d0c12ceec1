"""Staff read what happened, look one identifier's history up, and let a person try again."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import constants as levels
from django.test import Client
from django.utils import timezone

from cognito_reset.models import ResetEvent
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.signals import account_action
from cognito_reset.staff.accounts import LONGEST_NAME
from cognito_reset.staff.audit import CHART_DAYS
from tests.interfaces import Pages, with_settings
from tests.people import People
from tests.test_staff_admin import (
    UNREACHABLE,
    Staff,
    make_staff,
    make_user,
    may_try,
    told,
)

pytestmark = pytest.mark.django_db

LIST = "/admin/cognito_reset/resetevent/"
LOOK_UP = f"{LIST}look-up/"
CLEAR = f"{LIST}clear-limits/"
HASHES = "identifier_hash__in"
ALICE = identifier_key("default", "alice")


def make_event(
    identifier: str = "alice", *, pool: str = "default", days_ago: float = 0, **more: Any
) -> ResetEvent:
    values = {"interface": "pages", "outcome": "requested", "network": "192.0.2.0/24", **more}
    event = ResetEvent.objects.create(
        pool=pool, identifier_hash=identifier_key(pool, identifier), **values
    )
    if days_ago:
        created_at = timezone.now() - timedelta(days=days_ago)
        ResetEvent.objects.filter(pk=event.pk).update(created_at=created_at)
    return event


def cleared() -> list[tuple[str, ...]]:
    """Return pool, outcome and code of each event of staff who cleared limits, or tried to."""
    rows = ResetEvent.objects.filter(action="clear-limits").order_by("pool")
    return list(rows.values_list("pool", "outcome", "error_code"))


def listed(response: Any) -> list[ResetEvent]:
    return list(response.context["cl"].result_list)


@pytest.fixture
def root() -> Staff:
    return make_staff("root", is_superuser=True)


@pytest.fixture
def viewer() -> Staff:
    return make_staff("viewer", "view_resetevent")


@pytest.fixture
def reader() -> Staff:
    return make_staff("reader", "view_resetevent", "clear_limits", "view_user")


@pytest.fixture
def clearer() -> Staff:
    return make_staff("clearer", "view_resetevent", "clear_limits", "view_user")


@pytest.fixture
def with_limits(people: People, settings: Any) -> None:
    limits = {
        "request": {"identifier": "1/m", "site": "60/h"},
        "confirm": {"identifier": "1/h"},
    }
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": limits}


@pytest.fixture
def store_is_down(with_limits: None, settings: Any) -> None:
    settings.CACHES = {**settings.CACHES, "down": UNREACHABLE}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS_CACHE": "down"}


# Who may.


@pytest.mark.parametrize(
    ("codenames", "statuses"),
    [
        (["add_user"], [403, 403, 403, 403]),
        (["trigger_reset"], [403, 403, 403, 403]),
        (["clear_limits"], [403, 403, 403, 403]),
        (["view_resetevent"], [200, 200, 302, 403]),
        (["view_resetevent", "clear_limits"], [200, 200, 302, 403]),
        (["view_resetevent", "clear_limits", "view_user"], [200, 200, 302, 302]),
        (["view_resetevent", "clear_limits", "change_user"], [200, 200, 302, 302]),
    ],
)
def test_who_may_look_and_who_may_clear(codenames: list[str], statuses: list[int]) -> None:
    """Both have a permission, and clearing needs both permissions."""
    event = make_event()
    client = make_staff("staff", *codenames).client
    answers = [
        client.get(LIST),
        client.get(f"{LIST}{event.pk}/change/"),
        client.post(LOOK_UP, {"identifier": "alice"}),
        client.post(f"{CLEAR}?{HASHES}={ALICE}"),
    ]
    assert [answer.status_code for answer in answers] == statuses


@pytest.mark.requirement("F5")
def test_f5_clearing_without_the_permission_is_recorded(viewer: Staff) -> None:
    """F5: with the hash in the URL. A look is only logged."""
    viewer.client.get(f"{CLEAR}?{HASHES}={ALICE}")
    viewer.client.post(f"{CLEAR}?{HASHES}=alice")
    assert cleared() == []
    viewer.client.post(f"{CLEAR}?{HASHES}={ALICE}")
    row = ResetEvent.objects.get(action="clear-limits")
    assert (row.actor, row.target, row.identifier_hash) == (viewer.user, None, ALICE)
    assert (row.outcome, row.error_code) == ("refused", "permission_denied")


@pytest.mark.parametrize("url", [LIST, LOOK_UP, CLEAR])
def test_a_visitor_is_sent_to_sign_in(url: str) -> None:
    """The admin's own login guards the pages."""
    response = Client().post(url, {"identifier": "alice"})
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.requirement("A12", "F5")
@pytest.mark.parametrize("method", ["get", "post"])
def test_a12_clearing_is_refused_before_any_look_up(
    viewer: Staff, caplog: Any, django_assert_num_queries: Any, method: str
) -> None:
    """
    The answer is the same whether or not there are events, no event is read, and the attempt is
    logged. A POST adds a row.
    """
    make_event()
    answers = []
    count = 4  # the session, the user and the permissions
    if method == "post":
        count += 5  # the row, and two savepoints, because a test runs in a transaction
    for identifier_hash in (ALICE, identifier_key("default", "nobody")):
        with django_assert_num_queries(count):
            url = f"{CLEAR}?{HASHES}={identifier_hash}"
            answers.append(getattr(viewer.client, method)(url))
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].content == answers[1].content
    denied = f"cognito_reset.admin_denied actor={viewer.user.pk} model=cognito_reset.ResetEvent"
    assert denied in caplog.messages
    assert ALICE not in denied


@pytest.mark.requirement("A12", "F5")
def test_a12_a_look_up_is_refused_before_any(django_assert_num_queries: Any, caplog: Any) -> None:
    """Staff without the permission learn nothing about anybody, and the attempt is logged."""
    make_event()
    staff = make_staff("staff", "trigger_reset")
    with django_assert_num_queries(4):
        assert staff.client.post(LOOK_UP, {"identifier": "alice"}).status_code == 403
    assert f"cognito_reset.admin_denied actor={staff.user.pk}" in caplog.text
    assert "alice" not in caplog.text


@pytest.mark.requirement("F5")
@pytest.mark.parametrize("path", ["add/", "{pk}/change/", "{pk}/delete/"])
def test_f5_events_are_only_read(root: Staff, path: str) -> None:
    """Not even a superuser can add, change or delete an event."""
    event = make_event()
    before = list(ResetEvent.objects.values())
    url = LIST + path.format(pk=event.pk)
    assert root.client.post(url, {"outcome": "failed", "post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": event.pk, "post": "yes"}
    root.client.post(LIST, data)
    assert list(ResetEvent.objects.values()) == before


# The list.


def test_an_event_says_what_happened(reader: Staff) -> None:
    """Time, outcome, way, pool, error, who, whom, from where; in the list and on its own page."""
    event = make_event(
        outcome="refused",
        interface="admin",
        error_code="user_disabled",
        aws_request_id="11111111-2222",
        actor=make_user("carla"),
        target=make_user("dora"),
    )
    pages = [reader.client.get(url).content.decode() for url in (LIST, f"{LIST}{event.pk}/change/")]
    for page in pages:
        for text in (
            "refused",
            "This user is disabled in Cognito",
            "carla",
            "dora",
            "192.0.2.0/24",
        ):
            assert text in page
        assert f'<a href="{LIST}?{HASHES}={ALICE}">{ALICE[:8]}…</a>' in page
        assert "Save" not in page
    for text in ("11111111-2222", "default", "user_disabled"):
        assert text in pages[1]


def test_an_event_names_no_user_without_the_permission_to_view_users(
    viewer: Staff, reader: Staff
) -> None:
    """It doesn't even tell whether there is one."""
    events = [make_event(target=make_user("dora")), make_event("dora")]
    for staff, is_shown in ((viewer, False), (reader, True)):
        page = staff.client.get(LIST).content.decode()
        assert re.search(r'<th scope="col"[^>]*>\s*<div class="text"><span>User</span>', page)
        assert ("dora" in page) is is_shown
        for event in events:
            page = staff.client.get(f"{LIST}{event.pk}/change/").content.decode()
            assert ("field-target" in page) is is_shown
            assert ("dora" in page) is (is_shown and event.target is not None)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"outcome": "triggered", "action": "enable"}, "Enabled the account"),
        ({"outcome": "invited", "action": "invite"}, "Sent the invitation again"),
        ({"outcome": "failed", "action": "invite"}, "Send the invitation again: failed"),
        ({"outcome": "triggered"}, "done by staff"),
        ({"outcome": "confirmed"}, "password changed"),
    ],
)
def test_what_was_done_is_in_the_past_tense(
    viewer: Staff, columns: dict[str, str], words: str
) -> None:
    """Only what wasn't done has the name of the button."""
    event = make_event(**columns)
    page = viewer.client.get(f"{LIST}{event.pk}/change/").content.decode()
    assert f'{words}<div class="help"></div>' in page


@pytest.mark.parametrize(("action", "may_have_ended"), [("", False), ("reset", True)])
def test_only_staff_may_have_ended_a_password(
    viewer: Staff, action: str, may_have_ended: bool
) -> None:
    """A code that couldn't be sent leaves the password as it is if the person asked for it."""
    make_event(outcome="failed", error_code="delivery_failed", action=action)
    page = viewer.client.get(LIST).content.decode()
    assert "Cognito could not send the code." in page
    assert ("password may have stopped working" in page) is may_have_ended


def test_the_newest_comes_first(viewer: Staff) -> None:
    """Whatever was written first; and only by time can the list be sorted, which has an index."""
    newest, oldest, middle = make_event(), make_event(days_ago=2), make_event(days_ago=1)
    response = viewer.client.get(LIST)
    assert listed(response) == [newest, middle, oldest]
    assert re.findall(r'class="sortable column-(\w+)', response.content.decode()) == ["created_at"]


@pytest.mark.parametrize(
    "query",
    [
        {"outcome__exact": "throttled"},
        {"interface__exact": "rest"},
        {"pool": "brand"},
        {"created_at__gte": str(timezone.now() - timedelta(days=1))},
    ],
)
def test_filters(viewer: Staff, query: dict[str, str]) -> None:
    """By outcome, way, pool and date."""
    make_event(days_ago=3)
    found = make_event(pool="brand", outcome="throttled", interface="rest")
    page = viewer.client.get(LIST)
    for title in ("outcome", "interface", "user pool", "time"):
        assert f"By {title}" in page.content.decode()
    assert len(listed(page)) == 2
    assert listed(viewer.client.get(LIST, query)) == [found]


def test_one_pool_is_no_filter(viewer: Staff, settings: Any) -> None:
    """Most sites have only one pool."""
    pools = {"default": settings.COGNITO_RESET["POOLS"]["default"]}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    make_event()
    assert "By user pool" not in viewer.client.get(LIST).content.decode()


@pytest.mark.parametrize("count", [1, 40])
def test_the_list_takes_as_many_queries_whatever_is_in_it(
    root: Staff, django_assert_num_queries: Any, count: int
) -> None:
    """The session, the user, the count, the page with everybody in it, and the chart."""
    for number in range(count):
        actor, target = make_user(f"actor{number}"), make_user(f"target{number}")
        make_event(f"user{number}", actor=actor, target=target)
    with django_assert_num_queries(5):
        assert len(listed(root.client.get(LIST))) == count


# One identifier's history.


@pytest.mark.requirement("D7", "H2")
@pytest.mark.parametrize(
    "typed", ["alice@example.com", "  Alice@Example.COM ", "ａlice@example.com"]
)
def test_d7_an_identifier_is_looked_up_by_its_hash(
    viewer: Staff, caplog: pytest.LogCaptureFixture, typed: str
) -> None:
    """Any spelling finds the history. It is in no URL, page, session or log."""
    caplog.set_level(logging.DEBUG)
    event = make_event("alice@example.com")
    make_event("bob")
    response = viewer.client.post(LOOK_UP, {"identifier": typed}, follow=True)
    ((url, status),) = response.redirect_chain
    assert url == f"{LIST}?{HASHES}={event.identifier_hash}"
    assert status == 302
    assert listed(response) == [event]
    page = response.content.decode()
    assert f"<h1>History of identifier {event.identifier_hash[:8]}…</h1>" in page
    assert f"Only what happened to identifier {event.identifier_hash[:8]}… is shown." in page
    places = f"{page}{url}{caplog.text}{dict(viewer.client.session)}{viewer.client.cookies}"
    assert "lice@example.com" not in places.lower()


@pytest.mark.parametrize("typed", ["dora", "Dora@example.com"])
def test_a_history_says_whom_it_is_about(reader: Staff, typed: str) -> None:
    """Title and buttons name the site's user, whom the URL has by the primary key. Filters keep it."""
    make_event(typed)
    dora = make_user("dora")
    response = reader.client.post(LOOK_UP, {"identifier": typed}, follow=True)
    assert response.redirect_chain[0][0].endswith(f"&person={dora.pk}")
    page = response.content.decode()
    assert "<h1>History of dora</h1>" in page
    assert "Only what happened to dora is shown." in page
    assert "Let dora try again</a>" in page
    assert f"person={dora.pk}" in page.partition("By outcome")[2]
    assert "By user</summary>" not in page
    clear = re.search(rf'href="({CLEAR}[^"]+)"', page)
    assert clear is not None
    question = reader.client.get(clear[1].replace("&amp;", "&")).content.decode()
    assert "for dora?" in question
    assert 'value="Let dora try again"' in question


IN_COGNITO = {"COGNITO_USERNAME": lambda user: f"{user.username}-in-cognito"}


@pytest.mark.parametrize("happened_to", ["dora", "dora@example.com", "Dora-in-Cognito"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_users_history_has_all_names_of_the_user(
    reader: Staff, with_limits: None, settings: Any, happened_to: str, is_first: bool
) -> None:
    """
    Support types one name, and the person another one: also if the person does so only after the look-up. All of
    this person's limits are cleared, nobody else's, and each page says so.
    """
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, **IN_COGNITO}
    dora = make_user("dora")
    make_event("bob")
    event = make_event(happened_to) if is_first else None
    response = reader.client.post(LOOK_UP, {"identifier": "dora@example.com"})
    event = event or make_event(happened_to)
    response = reader.client.get(response["Location"], follow=True)
    assert listed(response) == [event]
    page = response.content.decode()
    assert "Only what happened to dora is shown." in page
    clear = f"{CLEAR}?{HASHES}={event.identifier_hash}&amp;person={dora.pk}"
    assert f'href="{clear}">Let dora try again</a>' in page
    clear = clear.replace("&amp;", "&")
    question = reader.client.get(clear).content.decode()
    assert "no longer hold the person back" in question
    assert "for this identifier alone" not in question
    for name in (happened_to, "bob"):
        assert may_try(name, "request")
        assert not may_try(name, "request")
    ((level, text),) = told(reader.client.post(clear))
    assert level == levels.SUCCESS
    assert text.startswith("This site’s limits no longer hold the person back.")
    assert may_try(happened_to, "request")
    assert not may_try("bob", "request")


def test_filters_are_kept_when_a_history_grows(reader: Staff) -> None:
    """Another one of the user's names has got events since the look-up."""
    events = [make_event("dora"), make_event("dora@example.com")]
    pk = make_user("dora").pk
    query = {HASHES: events[0].identifier_hash, "person": pk, "outcome__exact": "requested"}
    response = reader.client.get(LIST, query)
    hashes = ",".join(sorted(event.identifier_hash for event in events))
    assert response.status_code == 302
    shown = parse_qs(urlsplit(response["Location"]).query)
    assert shown == {HASHES: [hashes], "person": [str(pk)], "outcome__exact": ["requested"]}
    assert set(listed(reader.client.get(response["Location"]))) == set(events)


@pytest.mark.parametrize("typed", ["dora", "dora@example.com"])
def test_a_user_without_events_has_no_button(reader: Staff, typed: str) -> None:
    """There is nothing that it could clear, and the page says that there are no events."""
    make_user("dora")
    response = reader.client.post(LOOK_UP, {"identifier": typed}, follow=True)
    page = response.content.decode()
    assert "There are no events for dora, or none that pass the filters." in page
    assert "try again" not in page
    ((url, _),) = response.redirect_chain
    assert reader.client.get(url.replace(LIST, CLEAR))["Location"] == LIST


def test_filters_do_not_hide_the_button(reader: Staff) -> None:
    """The events exist, even if the list shows none of them."""
    make_event("dora")
    make_user("dora")
    url = reader.client.post(LOOK_UP, {"identifier": "dora"})["Location"]
    page = reader.client.get(f"{url}&outcome__exact=failed").content.decode()
    assert "There are no events for dora, or none that pass the filters." in page
    assert "Let dora try again</a>" in page


def test_a_user_whose_names_are_not_known_is_not_named(
    reader: Staff, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """If COGNITO_USERNAME fails, a history of the user could lack what happened to that name."""

    def fail(user: User) -> str:
        raise LookupError

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": fail}
    event = make_event("dora")
    make_user("dora")
    response = reader.client.post(LOOK_UP, {"identifier": "dora"}, follow=True)
    assert listed(response) == [event]
    assert f"History of identifier {event.identifier_hash[:8]}…" in response.content.decode()
    assert "site_code_failed setting=COGNITO_USERNAME" in caplog.text


@pytest.mark.parametrize("person", ["bob", "99", "x"])
def test_a_history_has_no_name_that_nothing_proves(reader: Staff, person: str) -> None:
    """The name is that of another user, or of nobody."""
    bob = make_user("bob")
    pk = bob.pk if person == "bob" else person
    response = reader.client.get(LIST, {HASHES: ALICE, "person": pk})
    assert f"<h1>History of identifier {ALICE[:8]}…</h1>" in response.content.decode()


def test_a_history_has_no_name_without_the_permission_to_view_users(viewer: Staff) -> None:
    """Nobody learns from it that the identifier is a user's."""
    make_event("dora")
    make_user("dora")
    response = viewer.client.post(LOOK_UP, {"identifier": "dora"}, follow=True)
    assert "person" not in response.redirect_chain[0][0]
    assert "dora" not in response.content.decode().partition("<h1>")[2]


def test_a_look_up_goes_through_every_pool(viewer: Staff) -> None:
    """The same name is another hash in each, and all of them are one history."""
    events = {make_event(pool="brand"), make_event()}
    make_event("bob", pool="brand")
    response = viewer.client.post(LOOK_UP, {"identifier": "alice"}, follow=True)
    assert set(listed(response)) == events


def test_a_look_up_finds_rows_under_older_keys(viewer: Staff, settings: Any) -> None:
    """SECRET_KEY_FALLBACKS: a history doesn't end where the key was changed."""
    old = settings.SECRET_KEY
    events = {make_event()}
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", ["a-key-between", old]
    events |= {make_event()}
    make_event("bob")
    response = viewer.client.post(LOOK_UP, {"identifier": "alice"}, follow=True)
    assert set(listed(response)) == events


def with_pool(settings: Any, **changes: Any) -> None:
    """Change settings of the default pool."""
    pools = settings.COGNITO_RESET["POOLS"]
    with_settings(settings, POOLS={**pools, "default": {**pools["default"], **changes}})


NUMBERS_ONLY = {"SIGN_IN_WITH": ["phone_number"], "PHONE_REGION": "DE"}


@pytest.mark.parametrize(
    ("typed", "pool"),
    [
        ("+49 (0)171 2345678", {}),
        ("0171/2345678", NUMBERS_ONLY),
        ("0171/2345678", {"PHONE_REGION": "DE"}),  # a username
        ("Dora <dora@example.com>", {}),
        ("\u202adora@example.com\u202c", {}),
    ],
)
def test_a_look_up_understands_what_the_form_does(
    viewer: Staff, people: People, settings: Any, typed: str, pool: dict[str, Any]
) -> None:
    """Support types or pastes what the caller typed or pasted."""
    with_pool(settings, **pool)
    assert Pages().request(typed).status_code == Pages.SENT
    event = ResetEvent.objects.get()
    make_event("bob")
    response = viewer.client.post(LOOK_UP, {"identifier": typed}, follow=True)
    assert listed(response) == [event]


@pytest.mark.parametrize(
    ("typed", "pool"),
    [
        ("dora smith", NUMBERS_ONLY),
        ("dora", {"PHONE_REGION": "nowhere"}),
        ("d" * 2048, {}),
    ],
)
def test_what_the_form_does_not_understand_is_looked_up_as_it_is(
    viewer: Staff, settings: Any, typed: str, pool: dict[str, Any]
) -> None:
    """Staff have sent resets to people with other names, and settings may have been correct then."""
    with_pool(settings, **pool)
    event = make_event(typed)
    response = viewer.client.post(LOOK_UP, {"identifier": typed}, follow=True)
    assert listed(response) == [event]


@pytest.mark.parametrize(
    ("username", "typed"),
    [("dora", "Dora <dora@example.com>"), ("+491712345678", "+49 171 2345678")],
)
def test_what_was_understood_names_the_user(reader: Staff, username: str, typed: str) -> None:
    """The page names the user, even if the name was typed in another form than the stored one."""
    user = User.objects.create_user(username, "dora@example.com")
    response = reader.client.post(LOOK_UP, {"identifier": typed}, follow=True)
    assert f"History of {user}" in response.content.decode()


@pytest.mark.parametrize("users", [["2025550123", "+12025550123"], ["+12025550123"]])
def test_a_look_up_does_not_mix_two_people(reader: Staff, settings: Any, users: list[str]) -> None:
    """A username of digits isn't also the phone number that it would be elsewhere."""
    with_pool(settings, PHONE_REGION="US")
    event = make_event("2025550123")
    make_event("+12025550123")
    for name in users:
        make_user(name)
    response = reader.client.post(LOOK_UP, {"identifier": "2025550123"}, follow=True)
    assert listed(response) == [event]
    whose = f"identifier {event.identifier_hash[:8]}…" if len(users) == 1 else "2025550123"
    assert f"<h1>History of {whose}</h1>" in response.content.decode()


@pytest.mark.parametrize("is_known", [True, False])
def test_digits_mean_in_each_pool_what_its_form_takes_them_for(
    reader: Staff, settings: Any, is_known: bool
) -> None:
    """They are another number in another country, which isn't the named user's."""
    with_pool(settings, **NUMBERS_ONLY)
    pools = settings.COGNITO_RESET["POOLS"]
    pools["brand"] = {**pools["brand"], "SIGN_IN_WITH": ["phone_number"], "PHONE_REGION": "GB"}
    german, british = make_event("+491712345678"), make_event("+441712345678", pool="brand")
    make_event("+441712345678")
    if is_known:
        make_user("+491712345678")
    response = reader.client.post(LOOK_UP, {"identifier": "0171 2345678"}, follow=True)
    assert set(listed(response)) == ({german} if is_known else {german, british})
    assert ("History of +491712345678" in response.content.decode()) == is_known


@pytest.mark.parametrize("typed", ["mallory@example.com", "\x00", "a" * 5000])
def test_an_identifier_without_events_has_an_empty_list(viewer: Staff, typed: str) -> None:
    """The page says so above the list, and nothing repeats the identifier."""
    make_event()
    response = viewer.client.post(LOOK_UP, {"identifier": typed}, follow=True)
    page = response.content.decode()
    short = identifier_key("default", typed[:LONGEST_NAME])[:8]
    assert listed(response) == []
    assert "History of identifier " in page
    assert re.search(r"There are no events for identifier [0-9a-f]{8}…, or none that pass", page)
    places = f"{page}{response.redirect_chain}{viewer.client.cookies}{dict(viewer.client.session)}"
    assert "mallory" not in places
    assert short in response.redirect_chain[0][0]


@pytest.mark.parametrize("typed", ["", " "])
def test_nothing_typed_leads_to_the_whole_list(viewer: Staff, typed: str) -> None:
    """There is no identifier to look up."""
    assert viewer.client.post(LOOK_UP, {"identifier": typed})["Location"] == LIST


def test_a_history_of_which_nothing_is_left_says_so(viewer: Staff) -> None:
    """The events may have been purged or filtered out."""
    make_event()
    page = viewer.client.get(LIST, {HASHES: ALICE, "outcome__exact": "failed"}).content.decode()
    assert (
        f"There are no events for identifier {ALICE[:8]}…, or none that pass the filters." in page
    )


def test_looking_up_wants_the_pages_token(viewer: Staff) -> None:
    """With the token, the form works as the page shows it."""
    viewer.client.handler.enforce_csrf_checks = True
    assert viewer.client.post(LOOK_UP, {"identifier": "alice"}).status_code == 403
    page = viewer.client.get(LIST).content.decode()
    form = page.partition(f'method="post" action="{LOOK_UP}"')[2].partition("</form>")[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    assert 'name="identifier"' in form
    data = {"identifier": "alice", "csrfmiddlewaretoken": token[1]}
    assert viewer.client.post(LOOK_UP, data).status_code == 302


@pytest.mark.requirement("D7")
def test_nothing_is_searched_for_in_the_address(viewer: Staff) -> None:
    """The page doesn't have the admin's search box, because its text would be in the URL."""
    page = viewer.client.get(LIST).content.decode()
    assert 'name="q"' not in page
    response = viewer.client.get(LOOK_UP, {"identifier": "alice"})
    assert response["Location"] == LIST


# Letting a person try again.


@pytest.mark.requirement("B11")
def test_b11_staff_let_a_person_try_again(clearer: Staff, with_limits: None) -> None:
    """
    A button in the history leads to a page that says what will happen. The limits of both steps are
    cleared, for this person only.
    """
    for name in ("alice", "bob"):
        make_event(name, outcome="throttled")
        assert [may_try(name, step) for step in ("request", "confirm")] == [True, True]
    history = clearer.client.get(LIST, {HASHES: ALICE}).content.decode()
    assert f'<a class="button cognito-reset-button" href="{CLEAR}?{HASHES}={ALICE}">' in history
    page = clearer.client.get(f"{CLEAR}?{HASHES}={ALICE}").content.decode()
    assert "5 to 20 attempts an hour, cannot be cleared" in page
    assert not may_try("alice", "request")
    response = clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}")
    assert response["Location"] == f"{LIST}?{HASHES}={ALICE}"
    assert [may_try("alice", step) for step in ("request", "confirm")] == [True, True]
    assert [may_try("bob", step) for step in ("request", "confirm")] == [False, False]


def test_what_clearing_does_and_does_not_is_said(clearer: Staff, with_limits: None) -> None:
    """Cognito's own allowance stays, and so do the limits for everybody."""
    make_event()
    ((level, text),) = told(clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}"))
    assert level == levels.SUCCESS
    assert text == (
        "This site's limits no longer hold this identifier back. Amazon Cognito's own limit, "
        "5 to 20 attempts an hour, cannot be cleared, and those for a network and for the whole "
        "site stay."
    )


@pytest.mark.urls("tests.admin_site")
def test_clearing_goes_through_every_pool_of_a_history(
    people: People, clearer: Staff, with_limits: None, settings: Any
) -> None:
    """As the history does."""
    pools = settings.COGNITO_RESET["POOLS"]
    pools = {**pools, "brand": pools["default"]}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    for pool in ("default", "brand"):
        make_event(pool=pool)
        assert may_try("alice", "request", pool)
    url = clearer.client.post(LOOK_UP, {"identifier": "alice"})["Location"]
    clearer.client.post(url.replace(LIST, CLEAR))
    assert may_try("alice", "request")
    assert may_try("alice", "request", "brand")
    assert cleared() == [("brand", "triggered", ""), ("default", "triggered", "")]


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("typed", ["Boss", "boss@example.com", "boss-in-cognito"])
def test_f2_limits_of_staff_are_cleared_by_superusers_only(
    clearer: Staff,
    root: Staff,
    with_limits: None,
    settings: Any,
    caplog: Any,
    typed: str,
    method: str,
) -> None:
    """A limit protects a superuser's code, by whichever name the site knows of them."""
    make_user("boss", is_superuser=True)
    in_cognito = lambda user: f"{user.username}-in-cognito"  # noqa: E731
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": in_cognito}
    query = f"?{HASHES}={make_event(typed).identifier_hash},{ALICE}"
    make_event("alice")
    assert may_try(typed, "request")
    page = clearer.client.get(LIST + query).content.decode()
    assert CLEAR not in page
    assert "Only a superuser can do this to a staff member." in page
    response = getattr(clearer.client, method)(CLEAR + query)
    assert told(response) == [(levels.ERROR, "Only a superuser can do this to a staff member.")]
    assert f"cognito_reset.admin_denied actor={clearer.user.pk}" in caplog.text
    assert not may_try(typed, "request")
    tried = [("refused", "staff_target")] if method == "post" else []
    assert cleared() == [("default", *each) for each in tried]
    assert [entry.user for entry in LogEntry.objects.all()] == [clearer.user] * len(tried)
    assert CLEAR in root.client.get(LIST + query).content.decode()
    root.client.post(CLEAR + query)
    assert may_try(typed, "request")


@pytest.mark.requirement("F2")
def test_f2_a_site_may_let_staff_clear_limits_of_staff(
    clearer: Staff, with_limits: None, settings: Any
) -> None:
    """STAFF_MAY_RESET_STAFF is for every action."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "STAFF_MAY_RESET_STAFF": True}
    make_user("boss", is_staff=True)
    key = make_event("boss").identifier_hash
    assert may_try("boss", "request")
    clearer.client.post(f"{CLEAR}?{HASHES}={key}")
    assert may_try("boss", "request")


@pytest.mark.requirement("F5")
def test_f5_clearing_is_logged(clearer: Staff, with_limits: None) -> None:
    """The log has the actor, the time and the hash, but not the identifier."""
    make_event()
    latest = make_event()
    clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (clearer.user, str(latest.pk))
    what = {"action": "clear-limits", "outcome": "triggered", "error_code": "", "hashes": ALICE}
    assert json.loads(entry.change_message)[0]["cognito_reset"] == what
    history = make_staff("root", is_superuser=True).client.get(f"{LIST}{latest.pk}/history/")
    assert "<td>Let the person try again</td>" in history.content.decode()
    assert "alice" not in f"{entry.change_message}{entry.object_repr}"


@pytest.mark.requirement("F5")
def test_f5_clearing_is_recorded_as_from_the_panel(
    clearer: Staff, with_limits: None, caplog: Any
) -> None:
    """By a row of the history that it cleared, a line in the log, and the signal. None has the identifier."""
    caplog.set_level(logging.INFO)
    alice, sent = make_user("alice"), []

    def receive(**event: Any) -> None:
        sent.append(event)

    make_event()
    account_action.connect(receive)
    try:
        clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}&person={alice.pk}")
    finally:
        account_action.disconnect(receive)
    row = ResetEvent.objects.get(action="clear-limits")
    assert (row.outcome, row.interface, row.identifier_hash) == ("triggered", "admin", ALICE)
    assert (row.actor, row.target) == (clearer.user, alice)
    assert row.network
    assert f"account_action action=clear-limits actor={clearer.user.pk}" in caplog.text
    (event,) = sent
    assert (event["username"], event["identifier_hash"]) == ("", ALICE)
    assert (event["outcome"], event["user"]) == ("triggered", alice)


def test_clearing_wants_the_pages_token(clearer: Staff, with_limits: None) -> None:
    """No other site can have it done by a staff member's browser."""
    make_event()
    assert may_try("alice", "request")
    clearer.client.handler.enforce_csrf_checks = True
    assert clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}").status_code == 403
    assert not may_try("alice", "request")
    page = clearer.client.get(f"{CLEAR}?{HASHES}={ALICE}").content.decode()
    token = re.search(r'<form method="post"><input[^>]* value="([^"]+)">', page)
    assert token is not None
    clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}", {"csrfmiddlewaretoken": token[1]})
    assert may_try("alice", "request")


@pytest.mark.parametrize("hashes", ["", "x", "%00", "0" * 64, f"{ALICE}0"])
def test_without_events_there_is_nothing_to_clear(clearer: Staff, hashes: str) -> None:
    """A hash that was made up leads back to the list, with a message. Its history has no button."""
    make_event()
    assert CLEAR not in clearer.client.get(LIST, {HASHES: hashes}, follow=True).content.decode()
    url = f"{CLEAR}?{HASHES}={hashes}"
    for number, method in enumerate(("get", "post"), 1):
        response = getattr(clearer.client, method)(url)
        assert response["Location"] == LIST
        assert (
            told(response)
            == [(levels.WARNING, "There are no events for this identifier.")] * number
        )
    assert not LogEntry.objects.exists()


def test_the_way_to_clear_is_hidden_without_the_permission(viewer: Staff) -> None:
    """The list of all events has no such button."""
    make_event()
    assert CLEAR not in viewer.client.get(LIST, {HASHES: ALICE}).content.decode()
    root = make_staff("root", is_superuser=True)
    assert CLEAR not in root.client.get(LIST).content.decode()


NOT_CLEARED = "No limit was cleared: where they are kept cannot be reached or used."


@pytest.mark.requirement("B14")
def test_b14_a_store_that_is_down_is_said(clearer: Staff, store_is_down: None) -> None:
    """Nothing was cleared, and so the records say."""
    make_event()
    response = clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}")
    assert response.status_code == 302
    assert told(response) == [(levels.ERROR, NOT_CLEARED)]
    assert cleared() == [("default", "failed", "unavailable")]
    assert '"outcome": "failed"' in LogEntry.objects.get().change_message


def test_a_setting_that_cannot_be_used_is_said(
    clearer: Staff, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The detail is in the log."""
    limits = {"request": {"identifier": "often"}}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": limits}
    make_event()
    response = clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}")
    assert told(response) == [(levels.ERROR, NOT_CLEARED)]
    assert 'cognito_reset.limits_not_cleared: COGNITO_RESET["LIMITS"]' in caplog.text


SET_UP = "Cognito did not accept this site's set-up."


@pytest.mark.parametrize(
    "setting", [{"STAFF_MAY_RESET_STAFF": "True"}, {"COGNITO_USERNAME": "nosuch"}]
)
def test_without_knowing_the_staff_nothing_is_cleared(
    clearer: Staff, with_limits: None, settings: Any, setting: dict[str, str], caplog: Any
) -> None:
    """Each page works, says why, and the log names the setting. A superuser may act for everybody."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, **setting}
    make_event()
    assert may_try("alice", "request")
    query = f"?{HASHES}={ALICE}"
    page = clearer.client.get(LIST + query).content.decode()
    assert CLEAR not in page
    assert f'<p class="help">{SET_UP}'.replace("'", "&#x27;") in page
    for number, method in enumerate(("get", "post"), 1):
        response = getattr(clearer.client, method)(CLEAR + query)
        assert response["Location"] == LIST + query
        assert [text[: len(SET_UP)] for _, text in told(response)] == [SET_UP] * number
    assert next(iter(setting)) in caplog.text
    assert "admin_denied" not in caplog.text
    assert not may_try("alice", "request")
    assert cleared() == [("default", "failed", "unavailable")]
    root = make_staff("root", is_superuser=True)
    root.client.post(CLEAR + query)
    assert may_try("alice", "request")


# The chart.


def chart_of(response: Any) -> dict[str, tuple[int, list[int]]]:
    """Total and days by outcome, as they can be read (and heard) on the page."""
    page = response.content.decode()
    rows = re.findall(
        r'<th scope="row">(.+?)</th>\s*<td>(.+?)</td>.+?<desc[^>]*>(.+?)</desc>', page, re.S
    )
    return {
        label: (int(total), [int(count) for count in re.findall(r": (\d+)", days)])
        for label, total, days in rows
    }


def test_the_chart_counts_by_outcome_and_day(viewer: Staff, settings: Any) -> None:
    """Of the last four weeks; what is older, or from a clock that is ahead, isn't in it."""
    settings.TIME_ZONE = "UTC"  # in which all days have 24 hours
    for days_ago in (0, 0, 5, CHART_DAYS - 1, CHART_DAYS, -1):
        make_event(days_ago=days_ago)
    make_event(outcome="throttled", days_ago=5)
    response = viewer.client.get(LIST)
    assert chart_of(response) == {"code requested": (4, [1, 1, 2]), "too many attempts": (1, [1])}
    assert "The last 28 days" in response.content.decode()


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Europe/Berlin", "Pacific/Pago_Pago"])
def test_the_charts_days_are_the_sites(viewer: Staff, settings: Any, zone: str) -> None:
    """From midnight to midnight where the site is, and no database has to know the zone."""
    settings.TIME_ZONE = zone
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = midnight - timedelta(days=1)
    for time in (yesterday, midnight - timedelta(seconds=1), midnight):
        ResetEvent.objects.filter(pk=make_event().pk).update(created_at=time)
    page = viewer.client.get(LIST).content.decode()
    assert f"{yesterday:%B} {yesterday.day}: 2; {midnight:%B} {midnight.day}: 1</desc>" in page


def test_the_chart_needs_no_time_zones(viewer: Staff, settings: Any) -> None:
    """A site may do without."""
    settings.USE_TZ, settings.TIME_ZONE = False, "UTC"
    for days_ago in (0, CHART_DAYS - 1, CHART_DAYS):
        make_event(days_ago=days_ago)
    assert chart_of(viewer.client.get(LIST)) == {"code requested": (2, [1, 1])}


def test_the_chart_is_drawn_to_each_outcomes_busiest_day(viewer: Staff, settings: Any) -> None:
    """A bar is 3 wide and up to 24 high, and one event of many can still be seen."""
    settings.TIME_ZONE = "UTC"
    for _ in range(60):
        make_event()
    make_event(days_ago=CHART_DAYS - 1)
    make_event(days_ago=1)
    make_event(days_ago=1)
    page = viewer.client.get(LIST).content.decode()
    assert '<path d="M0 24v-1h3v1zM104 24v-1h3v1zM108 24v-24h3v24z"/>' in page


def test_the_chart_shows_what_the_list_does(viewer: Staff) -> None:
    """Filters and histories apply to both."""
    make_event()
    make_event(outcome="failed")
    make_event("bob", outcome="failed")
    response = viewer.client.get(LIST, {HASHES: ALICE, "outcome__exact": "failed"})
    assert chart_of(response) == {"failed": (1, [1])}


def test_the_chart_needs_neither_script_nor_style(viewer: Staff) -> None:
    """It works under a strict policy, and screen readers find its name and its numbers."""
    make_event()
    page = viewer.client.get(LIST).content.decode()
    chart = page.partition("cognito-reset-chart")[2].partition("</table>")[0]
    assert 'role="img"' in chart
    assert "style" not in chart
    assert "script" not in chart
    ids = re.findall(r'id="([^"]+)"', chart)
    assert re.findall(r'aria-\w+="([^"]+)"', chart) == ids


def test_the_chart_runs_as_the_language_does(viewer: Staff, settings: Any) -> None:
    """In Arabic it runs from right to left. Localised numbers don't get into the drawing."""
    settings.LANGUAGE_CODE = "ar"
    settings.USE_THOUSAND_SEPARATOR = True
    for days_ago in (0, 1, 1, 1, 2, 2):
        make_event(days_ago=days_ago)
    page = viewer.client.get(LIST).content.decode()
    bars = "M100 24v-16h3v16zM104 24v-24h3v24zM108 24v-8h3v8z"
    assert f'<path d="{bars}" transform="matrix(-1 0 0 1 112 0)"/>' in page


def test_without_events_there_is_no_chart(viewer: Staff) -> None:
    """An empty frame would say nothing."""
    assert "cognito-reset-chart" not in viewer.client.get(LIST).content.decode()


def test_a_list_that_cannot_be_shown_is_the_admins_own_matter(viewer: Staff) -> None:
    """An invalid filter is handled by the admin."""
    response = viewer.client.get(LIST, {"nonsense": "1"})
    assert response.status_code == 302
    assert viewer.client.get(response["Location"]).status_code == 200


def test_a_target_that_is_gone_leaves_the_event(viewer: Staff) -> None:
    """If a user is deleted, the history is kept."""
    user = make_user("dora")
    event = make_event(target=user)
    User.objects.get(pk=user.pk).delete()
    assert listed(viewer.client.get(LIST)) == [event]
