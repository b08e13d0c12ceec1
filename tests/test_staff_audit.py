"""Staff read what happened, look one identifier's history up, and let a person try again."""

from __future__ import annotations

import json
import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import constants as levels
from django.test import Client
from django.utils import timezone

from cognito_reset.models import ResetEvent
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.staff.audit import CHART_DAYS
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


def listed(response: Any) -> list[ResetEvent]:
    return list(response.context["cl"].result_list)


@pytest.fixture
def root() -> Staff:
    return make_staff("root", is_superuser=True)


@pytest.fixture
def viewer() -> Staff:
    return make_staff("viewer", "view_resetevent")


@pytest.fixture
def clearer() -> Staff:
    return make_staff("clearer", "view_resetevent", "clear_limits")


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
        (["view_resetevent", "clear_limits"], [200, 200, 302, 302]),
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
    logged.
    """
    make_event()
    answers = []
    for identifier_hash in (ALICE, identifier_key("default", "nobody")):
        with django_assert_num_queries(4):  # the session, the user and the permissions
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


def test_an_event_says_what_happened(viewer: Staff) -> None:
    """Time, outcome, way, pool, error, who, whom, from where; in the list and on its own page."""
    event = make_event(
        outcome="refused",
        interface="admin",
        error_code="user_disabled",
        aws_request_id="11111111-2222",
        actor=make_user("carla"),
        target=make_user("dora"),
    )
    pages = [viewer.client.get(url).content.decode() for url in (LIST, f"{LIST}{event.pk}/change/")]
    for page in pages:
        for text in ("refused", "default", "user_disabled", "carla", "dora", "192.0.2.0/24"):
            assert text in page
        assert f'<a href="{LIST}?{HASHES}={ALICE}">{ALICE[:8]}…</a>' in page
        assert "Save" not in page
    assert "11111111-2222" in pages[1]


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
    for title in ("outcome", "way", "user pool", "time"):
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
    assert "<h1>History of one identifier</h1>" in page
    assert "Only what happened to one identifier is shown." in page
    places = f"{page}{url}{caplog.text}{dict(viewer.client.session)}{viewer.client.cookies}"
    assert "lice@example.com" not in places.lower()


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


@pytest.mark.parametrize("typed", ["mallory@example.com", "", " ", "\x00", "a" * 5000])
def test_an_identifier_without_events_is_said(viewer: Staff, typed: str) -> None:
    """The message is plain, and doesn't repeat the identifier, because messages may be stored."""
    make_event()
    response = viewer.client.post(LOOK_UP, {"identifier": typed})
    assert response["Location"] == LIST
    assert told(response) == [(levels.WARNING, "There are no events for this identifier.")]
    assert "mallory" not in f"{viewer.client.cookies}{dict(viewer.client.session)}"


def test_a_history_of_which_nothing_is_left_says_so(viewer: Staff) -> None:
    """The events may have been purged or filtered out."""
    make_event()
    page = viewer.client.get(LIST, {HASHES: ALICE, "outcome__exact": "failed"}).content.decode()
    assert "There are no events for this identifier, or none that pass the filters." in page


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
    assert f'<a class="button" href="{CLEAR}?{HASHES}={ALICE}">' in history
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


@pytest.mark.requirement("F5")
def test_f5_clearing_is_logged(clearer: Staff, with_limits: None) -> None:
    """The log has the actor, the time and the hash, but not the identifier."""
    make_event()
    latest = make_event()
    clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (clearer.user, str(latest.pk))
    deleted = {"name": "limits of the identifier", "object": ALICE}
    assert json.loads(entry.change_message) == [{"deleted": deleted}]
    assert entry.get_change_message() == f"Deleted limits of the identifier “{ALICE}”."
    assert "alice" not in f"{entry.change_message}{entry.object_repr}"


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
    """A hash that was made up leads back to the list."""
    make_event()
    response = clearer.client.get(CLEAR, {HASHES: hashes})
    assert response["Location"] == LIST
    response = clearer.client.post(f"{CLEAR}?{HASHES}={hashes}")
    assert response["Location"] == LIST
    assert told(response) == [(levels.WARNING, "There are no events for this identifier.")]
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
    """Nothing was cleared, so nothing is logged as done."""
    make_event()
    response = clearer.client.post(f"{CLEAR}?{HASHES}={ALICE}")
    assert response.status_code == 302
    assert told(response) == [(levels.ERROR, NOT_CLEARED)]
    assert not LogEntry.objects.exists()


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


def test_the_chart_counts_by_outcome_and_day(viewer: Staff) -> None:
    """Of the last four weeks; what is older, or from a clock that is ahead, isn't in it."""
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
    settings.USE_TZ = False
    for days_ago in (0, CHART_DAYS - 1, CHART_DAYS):
        make_event(days_ago=days_ago)
    assert chart_of(viewer.client.get(LIST)) == {"code requested": (2, [1, 1])}


def test_the_chart_is_drawn_to_each_outcomes_busiest_day(viewer: Staff) -> None:
    """A bar is 3 wide and up to 24 high, and one event of many can still be seen."""
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
