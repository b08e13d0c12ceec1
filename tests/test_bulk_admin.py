"""Staff start, watch and control resets of many people in the admin."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone, translation

from cognito_reset.admin import BulkRunAdmin
from cognito_reset.models import BulkItem, BulkRun, ResetEvent
from cognito_reset.staff import bulk
from cognito_reset.staff.reasons import BulkRefused
from cognito_reset.staff.run_starts import LOOKED_UP, MAX_SELECTED, PREVIEWED
from cognito_reset.staff.runs import SHOWN
from cognito_reset.staff.tasks import run_bulk_slice
from cognito_reset.testing import ConnectRefused
from tests.bulk_world import add_people, finished, resets, start, start_list, states
from tests.people import People
from tests.test_staff_admin import Staff, make_staff, make_user, told

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.bulk_admin_site"),
]

RUNS = "/admin/cognito_reset/bulkrun/"
START = f"{RUNS}start/"
USERS = "/admin/auth/user/"
SELECTED = f"{USERS}cognito-reset-many/"
PERMISSIONS = ("view_user", "trigger_reset", "view_bulkrun", "run_bulk_reset")
CHECK_SET_UP = (
    "Cognito did not accept this site's set-up. Have its AWS credentials, their permissions and the COGNITO_RESET "
    "setting checked."
)
FORM = {"pool": "default", "source": "all", "rate": "5"}


@pytest.fixture
def operator(people: People) -> Staff:
    return make_staff("operator", *PERMISSIONS)


@pytest.fixture
def viewer(people: People) -> Staff:
    return make_staff("viewer", "view_bulkrun")


@pytest.fixture
def root(people: People) -> Staff:
    return make_staff("root", is_superuser=True)


@pytest.fixture
def handed(settings: Any) -> list[tuple[int, int]]:
    """Set up a task queue, and return what it is handed."""
    found: list[tuple[int, int]] = []

    def enqueue(run_id: int, number: int) -> None:
        found.append((run_id, number))

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "BULK_ENQUEUE": enqueue}
    return found


def page(run: BulkRun) -> str:
    return f"{RUNS}{run.pk}/change/"


def control(run: BulkRun, name: str) -> str:
    return f"{RUNS}{run.pk}/control/{name}/"


def text_of(response: Any) -> str:
    """Return a page's text without its tags."""
    assert response.status_code == 200, response
    content = response.content.decode().partition('id="content"')[2]
    return " ".join(re.sub(r"<[^>]*>", " ", content).split())


def select(staff: Staff, users: Any, url: str = USERS, **more: Any) -> Any:
    """Choose the action of the list."""
    pks = [user.pk for user in users]
    return staff.client.post(
        url, {"action": "send_cognito_reset", "index": 0, "_selected_action": pks, **more}
    )


def post_selected(staff: Staff, pks: Any, url: str = SELECTED, **more: Any) -> Any:
    data = {"_selected_action": [getattr(pk, "pk", pk) for pk in pks], "rate": "5", **more}
    return staff.client.post(url, data)


def make_users(count: int) -> list[User]:
    users = [User(username=f"person-{number}") for number in range(count)]
    return User.objects.bulk_create(users)


def changes() -> list[str]:
    return [
        re.findall(r'"change": "([^"]+)"', entry.change_message)[0]
        for entry in LogEntry.objects.order_by("pk")
    ]


def age(run: BulkRun, **columns: Any) -> None:
    BulkRun.objects.filter(pk=run.pk).update(**columns)


# Who may.


@pytest.mark.parametrize(
    ("codenames", "sees", "controls"),
    [
        (["view_user"], 403, 403),
        (["run_bulk_reset"], 403, 403),
        (["view_bulkrun"], 200, 403),
        (["view_bulkrun", "run_bulk_reset"], 200, 302),
    ],
)
def test_who_may_see_and_who_may_control(
    people: People, codenames: list[str], sees: int, controls: int, caplog: Any
) -> None:
    """Seeing needs one permission, and starting and controlling both. An attempt without them is logged."""
    run = start_list("alice", rate=5)
    staff = make_staff("staff", *codenames)
    for url in (RUNS, page(run), f"{RUNS}{run.pk}/items.csv", f"{RUNS}{run.pk}/history/"):
        assert staff.client.get(url).status_code == sees, url
    assert staff.client.post(control(run, "pause")).status_code == controls
    assert staff.client.get(START).status_code == (200 if controls == 302 else 403)
    run.refresh_from_db()
    assert (run.state == "paused") is (controls == 302)
    if controls == 403:
        assert f"cognito_reset.admin_denied actor={staff.user.pk}" in caplog.text


def test_the_list_offers_a_start_to_those_who_may(operator: Staff, viewer: Staff) -> None:
    assert START in operator.client.get(RUNS).content.decode()
    assert START not in viewer.client.get(RUNS).content.decode()


@pytest.mark.parametrize("url", ["add/", "1/delete/"])
def test_djangos_own_forms_add_and_delete_nothing(root: Staff, url: str) -> None:
    run = start_list("alice", rate=5)
    url = url.replace("1", str(run.pk))
    assert root.client.post(RUNS + url, {"post": "yes"}).status_code == 403
    assert root.client.post(page(run), {"state": "done"}).status_code == 200
    run.refresh_from_db()
    assert (BulkRun.objects.count(), run.state) == (1, "ready")


def test_a_forged_post_without_a_token_changes_nothing(operator: Staff) -> None:
    """Each button's form has a CSRF token."""
    run = start_list("alice", rate=5)
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator.user)
    for url in (control(run, "pause"), control(run, "stop"), START, SELECTED):
        assert client.post(url, {**FORM, "start": "1"}).status_code == 403
    run.refresh_from_db()
    assert (BulkRun.objects.count(), run.state) == (1, "ready")


@pytest.mark.parametrize("object_id", ["99", "x", "1_2F"])
def test_a_run_that_does_not_exist(operator: Staff, object_id: str) -> None:
    assert operator.client.get(f"{RUNS}{object_id}/change/").status_code == 404
    assert operator.client.get(f"{RUNS}{object_id}/history/").status_code == 302


# Starting.


@pytest.mark.requirement("F6")
def test_f6_a_start_asks_first(operator: Staff, people: People) -> None:
    """The second page has the exact number, a sample, and who is refused and why. Only its button starts."""
    form = operator.client.get(START)
    assert "Everybody in the user pool" in text_of(form)
    shown = text_of(operator.client.post(START, FORM))
    assert "reset the passwords of 5 people?" in shown
    assert "cannot sign in until they have entered the code" in shown
    assert "including the resets that people ask for themselves" in shown
    assert "1 person: This user is disabled in Cognito." in shown
    assert "1 person: This user has no verified" in shown
    assert "alice" in shown
    assert not BulkRun.objects.exists()
    response = operator.client.post(START, {**FORM, "start": "1"})
    run = BulkRun.objects.get()
    assert response["Location"] == page(run)
    assert (run.actor, run.interface, run.source, run.rate) == (operator.user, "admin", "all", 5)
    assert changes() == ["start"]
    assert resets(people) == {}


@pytest.mark.requirement("F6")
def test_f6_nothing_is_done_by_get(operator: Staff, people: People) -> None:
    """GET starts nothing and controls nothing, whatever its query is."""
    operator.client.get(START, {**FORM, "start": "1"})
    assert not BulkRun.objects.exists()
    assert operator.client.get(SELECTED, {"_selected_action": 1, "start": 1}).status_code == 403
    run = start_list("alice", rate=5)
    people.emulator.calls.clear()
    for name in ("pause", "stop", "retry-failed", "resume"):
        operator.client.get(control(run, name))
    run.refresh_from_db()
    assert run.state == "ready"
    assert people.emulator.calls == []


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"source": "status", "status": "RESET_REQUIRED"}, ("status", "RESET_REQUIRED", None)),
        ({"source": "group", "group": "testers"}, ("group", "testers", None)),
        ({"source": "filter", "filter": 'email ^= "ali"'}, ("filter", 'email ^= "ali"', None)),
        ({"source": "all", "limit": "2", "status": "CONFIRMED"}, ("all", "", 2)),
    ],
)
def test_the_people_can_be_narrowed(
    operator: Staff, people: People, more: dict[str, str], wanted: tuple[str, str, int | None]
) -> None:
    people.call("CreateGroup", GroupName="testers")
    people.call("AdminAddUserToGroup", GroupName="testers", Username="alice")
    shown = operator.client.post(START, {**FORM, **more})
    assert "Are you sure" in text_of(shown)
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.content.decode())
    data = {name: value.replace("&quot;", '"') for name, value in hidden}
    operator.client.post(START, {**data, "start": "1"})
    run = BulkRun.objects.get()
    assert (run.source, run.source_value, run.size_limit) == wanted


@pytest.mark.parametrize(
    ("more", "field", "text"),
    [
        ({"rate": "31"}, "rate", "at most 30"),
        ({"rate": "0"}, "rate", "at most 30"),
        ({"rate": "fast"}, "rate", "Enter a number"),
        ({"source": "group"}, "group", "required"),
        ({"source": "status"}, "status", "required"),
        ({"source": "status", "status": "X"}, "status", "Select a valid choice"),
        ({"source": "filter", "filter": "nonsense"}, "filter", "Cognito did not accept this."),
        (
            {"source": "filter", "filter": "nonsense", "start": "1"},
            "filter",
            "Cognito did not accept this.",
        ),
        ({"source": "people"}, "source", "Select a valid choice"),
        ({"limit": "0"}, "limit", "greater than or equal to 1"),
        ({"pool": "other"}, "pool", "Select a valid choice"),
    ],
)
def test_an_error_names_its_field_and_the_input_is_kept(
    operator: Staff, more: dict[str, str], field: str, text: str
) -> None:
    data = {**FORM, "limit": "7", **more}
    response = operator.client.post(START, data)
    assert text in str(response.context["form"].errors[field])
    content = response.content.decode()
    assert "<title>Error:" in content
    assert f'value="{data["limit"]}"' in content
    assert not BulkRun.objects.exists()


def test_the_form_can_be_changed_after_the_preview(operator: Staff) -> None:
    """The button of the second page leads back to the form, with what was typed."""
    response = operator.client.post(START, {**FORM, "rate": "2.5", "edit": "1"})
    assert 'value="2.5"' in response.content.decode()
    assert "errornote" not in response.content.decode()


def test_a_site_with_one_pool_does_not_ask_for_it(operator: Staff, settings: Any) -> None:
    pools = {"default": settings.COGNITO_RESET["POOLS"]["default"]}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    assert "user pool:" not in text_of(operator.client.get(START))
    operator.client.post(START, {"source": "all", "rate": "5", "start": "1"})
    assert BulkRun.objects.get().pool == "default"


def test_a_big_pool_is_not_read_for_the_preview(operator: Staff, people: People) -> None:
    """Only the first people are, and the page says that there may be more."""
    add_people(people, PREVIEWED)
    shown = text_of(operator.client.post(START, FORM))
    assert re.search(r"reset the passwords of 29\d people or more\?", shown)
    assert "this takes" not in shown
    lists = [name for name, _ in people.emulator.calls if name == "ListUsers"]
    assert len(lists) == PREVIEWED / 60
    data = {**FORM, "limit": PREVIEWED, "rate": "1"}
    exact = text_of(operator.client.post(START, data)).replace("\xa0", " ")
    assert re.search(r"reset the passwords of 29\d people\?", exact)
    assert "At 1.0 per second this takes 4 minutes." in exact


def test_nobody_is_found(operator: Staff) -> None:
    data = {**FORM, "source": "filter", "filter": 'email ^= "nobody"'}
    response = operator.client.post(START, data)
    assert "There is nobody to send a reset to." in text_of(response)
    assert 'name="start"' not in response.content.decode()


def test_cognitos_own_sender_must_be_accepted(operator: Staff, people: People) -> None:
    """For more than 50 people, the page warns, and starts only if the box is checked."""
    add_people(people, 51)
    response = operator.client.post(START, FORM)
    assert "sends 50 mails a day" in text_of(response)
    assert '<input type="checkbox" name="force"' in response.content.decode()
    operator.client.post(START, {**FORM, "start": "1", "force": "on"})
    assert BulkRun.objects.get().is_forced


def test_text_messages_arent_mails_of_cognitos_own_sender(operator: Staff, people: People) -> None:
    for number in range(51):
        phone_number = f"+1555556{number:04}"
        people.add(f"p{number}", phone_number=phone_number, phone_number_verified="true")
    assert "sends 50 mails a day" not in text_of(operator.client.post(START, FORM))


def test_a_second_run_is_refused(operator: Staff) -> None:
    """The preview warns of it already."""
    run = start_list("alice", rate=5)
    warned = text_of(operator.client.post(START, FORM))
    refused = text_of(operator.client.post(START, {**FORM, "start": "1"}))
    for shown in (warned, refused):
        assert f"Another reset of many people is not over yet: number {run.pk}." in shown
    assert BulkRun.objects.count() == 1


def test_cognito_cannot_be_reached(operator: Staff, people: People) -> None:
    people.emulator.fail_next("ListUsers", ConnectRefused(), times=10)
    assert "Cognito could not be reached." in text_of(operator.client.post(START, FORM))


def test_a_start_is_handed_to_the_task_queue(
    operator: Staff, handed: list[tuple[int, int]]
) -> None:
    operator.client.post(START, {**FORM, "start": "1"})
    run = BulkRun.objects.get()
    assert handed == [(run.pk, 0)]
    assert "a command does the work" not in text_of(operator.client.get(page(run)))


def test_a_task_queue_that_fails(operator: Staff, settings: Any) -> None:
    """The run is paused and can be resumed, staff are told, and its page doesn't say that somebody paused it."""

    def enqueue(run_id: int, number: int) -> None:
        raise OSError("no broker")

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "BULK_ENQUEUE": enqueue}
    response = operator.client.post(START, {**FORM, "start": "1"})
    run = BulkRun.objects.get()
    assert run.state == "paused"
    ((_, text),) = told(response)
    assert "BULK_ENQUEUE" in text
    shown = html.unescape(text_of(operator.client.get(page(run))))
    assert f"{bulk.words('site_code_failed')} Have this checked first: BULK_ENQUEUE." in shown


def test_a_task_queue_that_cannot_be_used(operator: Staff, settings: Any, caplog: Any) -> None:
    """The run is paused, so it doesn't seem to be under way, and its page says what is wrong and can stop it."""
    unusable = {"BULK_ENQUEUE": "nosuch.module.enqueue"}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, **unusable}
    response = operator.client.post(START, {**FORM, "start": "1"})
    run = BulkRun.objects.get()
    assert (run.state, run.reason) == ("paused", "misconfigured")
    assert response["Location"] == page(run)
    assert told(response)[0][1].startswith(CHECK_SET_UP)
    response = operator.client.get(page(run))
    assert f"{CHECK_SET_UP} (CognitoResetMisconfigured)" in html.unescape(text_of(response))
    assert control(run, "resume") not in response.content.decode()
    assert 'COGNITO_RESET["BULK_ENQUEUE"] can\'t be used' in caplog.text
    assert told(operator.client.post(control(run, "resume")))[-1][1].startswith(CHECK_SET_UP)
    run.refresh_from_db()
    assert run.state == "paused"
    operator.client.post(control(run, "stop"))
    run.refresh_from_db()
    assert run.state == "stopped"


def test_a_run_without_knowing_who_may_reset_staff(
    operator: Staff, root: Staff, handed: list[tuple[int, int]], settings: Any
) -> None:
    """Its page works, and only a superuser can have it go on."""
    run = start_list("alice", rate=5, actor=root.user)
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "STAFF_MAY_RESET_STAFF": "True"}
    operator.client.post(control(run, "pause"))
    response = operator.client.get(page(run))
    assert CHECK_SET_UP in html.unescape(text_of(response))
    assert control(run, "resume") not in response.content.decode()
    operator.client.post(control(run, "resume"))
    assert handed == []
    assert control(run, "resume") in root.client.get(page(run)).content.decode()
    root.client.post(control(run, "resume"))
    assert len(handed) == 1


def test_a_task_queue_that_runs_tasks_at_once(
    operator: Staff, settings: Any, people: People
) -> None:
    """Staff are told why that can't be, the run is paused, and nothing is sent."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "BULK_ENQUEUE": run_bulk_slice}
    response = operator.client.post(START, {**FORM, "start": "1"})
    assert told(response)[0][1] == str(BulkRefused("immediate").message)
    run = BulkRun.objects.get()
    assert (run.state, run.reason) == ("paused", "immediate")
    assert resets(people) == {}


# Users of the site who were selected in the list.


@pytest.mark.requirement("F6")
def test_f6_selected_people_become_a_run(operator: Staff, people: People) -> None:
    """The exact number is on the page, each person is in the journal once, and Cognito is called once for each."""
    names = add_people(people, 30)
    users = make_users(30)
    form = select(operator, users)
    assert "30 users are selected." in text_of(form)
    assert form["Content-Type"].startswith("text/html")
    assert people.emulator.calls == []
    shown = post_selected(operator, [*users, users[0]])
    assert "reset the passwords of 30 people?" in text_of(shown)
    assert f"The first {LOOKED_UP} people were looked up" in text_of(shown)
    assert resets(people) == {}
    response = post_selected(operator, [*users, users[0]], start="1")
    run = BulkRun.objects.get()
    assert response["Location"] == page(run)
    assert (run.source, run.size, run.state) == ("queryset", 30, "ready")
    finished(run)
    assert resets(people) == dict.fromkeys(names, 1)
    shown = text_of(operator.client.get(page(run), {"state": "sent"}))
    assert "30 of 30 people done (100 %)" in shown
    for name in names:
        assert f"{name} Sent" in shown
    events = ResetEvent.objects.filter(interface="admin", actor=operator.user, outcome="triggered")
    assert events.count() == 30


@pytest.mark.requirement("F6")
@pytest.mark.parametrize("step", ["list", "page"])
def test_f6_more_than_the_cap_are_refused(operator: Staff, people: People, step: str) -> None:
    """The message has the number, the cap, and the command for more people."""
    users = make_users(MAX_SELECTED + 1)
    if step == "list":
        response = select(operator, users[:1], select_across="1", action="send_cognito_reset")
        count = User.objects.exclude(username="unseen").count()
    else:
        response = post_selected(operator, users, start="1")
        count = len(users)
    assert response["Location"] == USERS
    ((_, text),) = told(response)
    assert f"At most {MAX_SELECTED} people can be selected for a reset, and {count} were." in text
    assert "cognito_reset bulk start" in text
    assert not BulkRun.objects.exists()
    assert people.emulator.calls == []


@pytest.mark.requirement("F6")
def test_f6_no_url_has_the_selection(operator: Staff) -> None:
    """The pages post it."""
    form = select(operator, make_users(MAX_SELECTED))
    content = form.content.decode()
    assert f'action="{SELECTED}"' in content
    assert content.count('name="_selected_action"') == MAX_SELECTED


@pytest.mark.requirement("F6", "F1")
@pytest.mark.parametrize("name", ["untouchable", "unseen", "missing"])
@pytest.mark.parametrize("more", [{}, {"start": "1"}])
def test_f1_the_permission_is_asked_for_every_selected_user(
    operator: Staff, people: People, name: str, more: dict[str, str]
) -> None:
    """If one of them may not be viewed, nobody is looked up, and the answer doesn't tell who it is."""
    users = make_users(25)
    one = 9999 if name == "missing" else make_user(name)
    response = post_selected(operator, [*users, one], **more)
    assert response.status_code == 403
    assert people.emulator.calls == []
    assert not BulkRun.objects.exists()


@pytest.mark.parametrize("pk", ["", "x", "\x00", "9" * 40])
def test_a_forged_primary_key(operator: Staff, pk: str) -> None:
    assert post_selected(operator, [pk], start="1").status_code == 403
    assert post_selected(operator, [], start="1").status_code == 403


@pytest.mark.requirement("F1")
@pytest.mark.parametrize("missing", PERMISSIONS)
def test_f1_selected_people_need_all_permissions(people: People, missing: str) -> None:
    staff = make_staff("half", *[name for name in PERMISSIONS if name != missing])
    users = make_users(25)
    assert post_selected(staff, users, start="1").status_code == 403
    response = select(staff, users)
    assert "_selected_action" not in response.content.decode()
    assert not BulkRun.objects.exists()
    if missing in ("view_bulkrun", "run_bulk_reset"):
        assert "1 to 20 people" in told(response)[0][1]


@pytest.mark.requirement("F2")
def test_f2_staff_are_left_out(operator: Staff, root: Staff, people: People) -> None:
    """Selected staff, and other people whom Cognito knows by a name of theirs, are refused with a reason."""
    for name in ("root", "boss"):
        people.add(name, email=f"{name}@example.com", email_verified="true")
    add_people(people, 1)
    make_user("boss", is_staff=True)
    disguised = User.objects.create(username="BOSS")
    users = [*make_users(1), root.user, disguised]
    shown = text_of(post_selected(operator, users))
    assert "root: Only a superuser can do this to a staff member." in shown
    assert "BOSS: Only a superuser can do this to a staff member." in shown
    assert "reset the password of 1 person?" in shown
    post_selected(operator, users, start="1")
    assert states(BulkRun.objects.get()) == {"person-0": "pending"}


def test_a_superuser_may_reset_staff(root: Staff, people: People) -> None:
    people.add("boss", email="boss@example.com", email_verified="true")
    boss = make_user("boss", is_staff=True)
    post_selected(root, [boss], start="1")
    run = finished(BulkRun.objects.get())
    assert states(run) == {"boss": "sent"}


@pytest.mark.requirement("F2")
def test_f2_staff_are_spared_in_a_whole_pool(operator: Staff, people: People) -> None:
    """The person found in the pool counts."""
    make_user("alice", is_staff=True)
    shown = text_of(operator.client.post(START, FORM))
    assert "1 person: Only a superuser can do this to a staff member." in shown
    operator.client.post(START, {**FORM, "start": "1"})
    run = finished(BulkRun.objects.get())
    assert states(run)["alice"] == "refused staff_target"
    assert "alice" not in resets(people)


def test_users_without_a_username_at_cognito_are_left_out(
    operator: Staff, settings: Any, people: People
) -> None:
    def own(user: Any) -> str:
        return "" if user.username == "person-1" else user.username

    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": own}
    users = make_users(2)
    shown = text_of(post_selected(operator, users))
    assert "person-1: There is no such user in the user pool." in shown
    assert "1 person: There is no such user" in shown  # person-0 was looked up


def test_many_who_are_left_out_are_not_all_listed(operator: Staff, settings: Any) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": lambda user: ""}
    response = post_selected(operator, make_users(30))
    shown = text_of(response)
    assert shown.count("There is no such user") == 20
    assert "… (30)" in shown
    assert "There is nobody to send a reset to." in shown


def test_the_sites_own_code_fails(operator: Staff, settings: Any) -> None:
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "COGNITO_USERNAME": lambda user: 1 / 0}
    response = post_selected(operator, make_users(2), start="1")
    assert response["Location"] == USERS
    assert "COGNITO_USERNAME" in told(response)[0][1]


def test_people_in_different_pools(root: Staff) -> None:
    url = "/mixed-admin/auth/user/"
    users = make_users(22)
    form = select(root, users, url)
    assert f'action="{url}cognito-reset-many/"' in form.content.decode()
    response = post_selected(root, users, f"{url}cognito-reset-many/", start="1")
    assert "different user pools" in told(response)[0][1]
    assert response["Location"] == url
    one = post_selected(root, users[:1], f"{url}cognito-reset-many/", start="1")
    run = BulkRun.objects.get()
    assert run.pool == "brand"
    assert one["Location"] == f"/mixed-admin/cognito_reset/bulkrun/{run.pk}/change/"


def test_a_site_without_the_runs(root: Staff) -> None:
    """The action says how many people it takes."""
    response = select(root, make_users(22), "/bare-admin/auth/user/")
    assert "1 to 20 people" in told(response)[0][1]
    url = "/bare-admin/auth/user/cognito-reset-many/"
    assert post_selected(root, [root.user], url).status_code == 403


def test_the_lists_filters_are_kept(operator: Staff) -> None:
    make_users(25)
    filters = "?_changelist_filters=q%3Dperson"
    response = select(operator, User.objects.filter(username__startswith="p"), f"{USERS}?q=person")
    content = response.content.decode()
    assert f"{SELECTED}{filters}" in content
    assert f'href="{USERS}?q=person"' in content


def test_own_sender_and_a_selection(operator: Staff, people: People) -> None:
    """The start is refused without the box, and the form says why."""
    add_people(people, 51)
    users = make_users(51)
    assert "sends 50 mails a day" in text_of(post_selected(operator, users))
    assert "sends 50 mails a day" in text_of(post_selected(operator, users, start="1"))
    assert not BulkRun.objects.exists()
    post_selected(operator, users, start="1", force="on")
    assert BulkRun.objects.get().size == 51


# Watching.


def test_a_run_in_words(viewer: Staff, people: People) -> None:
    """The page counts people by outcome, and groups the reasons."""
    run = start_list("alice", "erin", "grace", "nobody", "no one", rate=5)
    shown = text_of(viewer.client.get(page(run)))
    assert "1 of 5 people done (20 %)" in shown
    assert "Waiting 4" in shown
    assert "Time left: less than a minute" in shown
    assert f"manage.py cognito_reset bulk resume {run.pk}" in shown
    finished(run)
    shown = text_of(viewer.client.get(page(run)))
    assert "Done" in shown
    assert "Sent 1 Refused 4" in shown
    assert "This user is disabled in Cognito. Enable the user first. 1" in shown
    assert "There is no such user in the user pool. 2" in shown
    assert "bulk resume" not in shown
    assert "Pause" not in shown


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_list_that_is_being_read_in_words(
    operator: Staff, people: People, is_paused: bool
) -> None:
    """Nobody knows yet how many people it has. The page that asks whether to stop the run counts nobody, either."""
    run = start("all", rate=5)
    if is_paused:
        bulk.pause(run.pk)
    for found in (0, 350):
        age(run, size=found)
        response = operator.client.get(page(run))
        shown = text_of(response)
        assert f"The list is not complete yet: {found} people were found so far." in shown
        assert "people done" not in shown
        assert '<progress id="cognito-reset-progress"></progress>' in response.content.decode()
        asked = text_of(operator.client.get(control(run, "stop")))
        assert "ends for good, and no further reset is sent." in asked
        assert "waiting" not in asked
    bulk.stop(run.pk)
    assert "people done" in text_of(operator.client.get(page(run)))


def test_stopping_when_nobody_waits_in_words(operator: Staff, people: People) -> None:
    run = start_list("alice", rate=5)
    BulkItem.objects.filter(run=run).update(state="sending", claimed_at=timezone.now())
    asked = text_of(operator.client.get(control(run, "stop")))
    assert "ends for good, and no further reset is sent." in asked


def test_time_left_in_words(viewer: Staff, people: People) -> None:
    run = start_list(*[f"p{n}" for n in range(1000)], rate=1, force=True)
    shown = text_of(viewer.client.get(page(run))).replace("\xa0", " ")
    assert "Time left: 16 minutes" in shown


@pytest.mark.requirement("F6")
def test_f6_the_page_shows_a_bounded_number_of_people(viewer: Staff, people: People) -> None:
    """It shows people of one state, or the latest. The CSV file has all of them."""
    run = start_list(*[f"p{n}" for n in range(SHOWN + 50)], "no one", rate=5, force=True)
    latest = viewer.client.get(page(run))
    assert [person[0] for person in latest.context["people"]] == ["no one"]
    waiting = viewer.client.get(page(run), {"state": "pending"})
    assert len(waiting.context["people"]) == SHOWN
    assert f"{SHOWN} people are shown. The CSV file has everybody." in text_of(waiting)
    unknown = viewer.client.get(page(run), {"state": "<script>"})
    assert len(unknown.context["people"]) == 1
    assert "<script>alert" not in unknown.content.decode()


def test_the_page_refreshes_itself_until_somebody_turns_it_off(
    viewer: Staff, operator: Staff
) -> None:
    run = start_list("alice", rate=5)
    assert viewer.client.get(page(run))["Refresh"] == "10"
    off = operator.client.get(page(run), {"refresh": "off"})
    assert "Refresh" not in off
    kept = f"{control(run, 'pause')}?refresh=off"
    assert kept in off.content.decode()
    assert operator.client.post(kept)["Location"] == f"{page(run)}?refresh=off"
    assert "Refresh" not in viewer.client.get(page(run))  # it is paused


def test_a_run_that_stands_still(
    operator: Staff, handed: list[tuple[int, int]], people: People
) -> None:
    """The page says so, and Resume hands it to the task queue again."""
    run = start_list("alice", rate=5, actor=operator.user)
    age(run, touched_at=timezone.now() - timedelta(minutes=5))
    shown = text_of(operator.client.get(page(run))).replace("\xa0", " ")
    assert "It stands still: nobody has worked on it for 5 minutes." in shown
    assert "Press Resume" in shown
    operator.client.post(control(run, "resume"))
    assert handed == [(run.pk, 1)]
    assert "stands still" not in text_of(operator.client.get(page(run)))


def test_why_a_run_has_paused(operator: Staff, people: People) -> None:
    run = start_list("alice", rate=5)
    operator.client.post(control(run, "pause"))
    assert "Paused : somebody paused it." in text_of(operator.client.get(page(run)))
    age(run, reason="unavailable", hint="SERVICE_CLASS")
    shown = text_of(operator.client.get(page(run)))
    assert "Cognito could not be reached." in shown
    assert "Have this checked first: SERVICE_CLASS." in shown


def test_the_plot(viewer: Staff, people: People) -> None:
    """It has a bar for each minute in which calls ended, made by one query, and the times in words."""
    run = start_list("a", "b", "c", "d", "no one", rate=0.02)
    assert viewer.client.get(page(run)).context["plot"] is None
    now = timezone.now()
    for item, minutes in zip(BulkItem.objects.order_by("pk"), (1.5, 1.6, 29.5, 31), strict=False):
        done_at = now - timedelta(minutes=minutes)
        BulkItem.objects.filter(pk=item.pk).update(
            state="sent", done_at=done_at, claimed_at=done_at
        )
    plot = viewer.client.get(page(run)).context["plot"]
    assert [round(60 * rate) for _, rate in plot["by_minute"]] == [1, 2]
    assert plot["path"] == "M0 60v-30h6v30zM224 60v-60h6v60z"
    assert plot["limit"] == 24.0
    age(run, state="stopped", ended_at=now - timedelta(minutes=10))
    plot = viewer.client.get(page(run)).context["plot"]
    assert [round(60 * rate) for _, rate in plot["by_minute"]] == [1, 1]


@pytest.mark.requirement("F12")
def test_f12_the_csv_file(viewer: Staff, people: People) -> None:
    """A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    run = start_list("alice", "=cmd()", rate=5)
    response: Any = viewer.client.get(f"{RUNS}{run.pk}/items.csv")
    assert response.streaming
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(response.streaming_content).decode()
    assert '\r\n"alice","pending",' in text
    assert '\r\n"\'=cmd()","pending",' in text


# Controlling.


def test_a_run_is_paused_resumed_and_stopped(operator: Staff, people: People) -> None:
    """Each is in the admin's history, in words. A stop asks first."""
    run = start_list("alice", rate=5, actor=operator.user)
    people.emulator.calls.clear()
    for name, state in (("pause", "paused"), ("resume", "ready"), ("stop", "stopped")):
        assert control(run, name) in operator.client.get(page(run)).content.decode()
        if name == "stop":
            asked = text_of(operator.client.get(control(run, name)))
            assert "1 person who is waiting is sent nothing" in asked
        response = operator.client.post(control(run, name))
        assert response["Location"] == page(run)
        run.refresh_from_db()
        assert run.state == state
    assert changes() == ["pause", "resume", "stop"]
    history = text_of(operator.client.get(f"{RUNS}{run.pk}/history/"))
    assert "Paused the reset of many people" in history
    assert "Stopped the reset of many people" in history
    with translation.override("en"):
        assert LogEntry.objects.latest("pk").get_change_message() == "Changed state."
    assert people.emulator.calls == []


def test_other_entries_of_the_history_are_left_alone(root: Staff) -> None:
    run = start_list("alice", rate=5)
    for message in (
        "by hand",
        '[{"changed": {"fields": ["x"]}}]',
        '[{"added": {}}, {"added": {}}]',
    ):
        LogEntry.objects.create(
            user=root.user,
            content_type_id=_content_type(),
            object_id=str(run.pk),
            object_repr="run",
            action_flag=2,
            change_message=message,
        )
    history = text_of(root.client.get(f"{RUNS}{run.pk}/history/"))
    assert "by hand" in history
    assert "Changed x." in history


def _content_type() -> int:
    return ContentType.objects.get_for_model(BulkRun).pk


def test_sending_again_asks_first(
    operator: Staff, people: People, handed: list[tuple[int, int]]
) -> None:
    """Those whose outcome is unknown are sent a reset again only if that is checked."""
    run = start_list("alice", "bob", "heidi", rate=5, actor=operator.user)
    items = BulkItem.objects.order_by("pk")
    for item, state in zip(items, ("failed", "unknown", "sent"), strict=True):
        BulkItem.objects.filter(pk=item.pk).update(state=state, done_at=timezone.now())
    age(run, state="done", holds=None, ended_at=timezone.now())
    assert "Send again" in text_of(operator.client.get(page(run)))
    asked = text_of(operator.client.get(control(run, "retry-failed")))
    assert "A reset is sent once more to 1 person for whom it failed." in asked
    assert "Also send to 1 person for whom it is not known" in asked
    operator.client.post(control(run, "retry-failed"))
    assert list(states(run).values()) == ["pending", "unknown", "sent"]
    operator.client.post(control(run, "retry-failed"), {"unknown": "on"})
    assert list(states(run).values()) == ["pending", "pending", "sent"]
    assert handed[0][0] == run.pk


@pytest.mark.requirement("F2")
def test_f2_a_run_that_does_not_spare_staff_is_let_go_on_only_by_a_superuser(
    operator: Staff, root: Staff, handed: list[tuple[int, int]], people: People
) -> None:
    """F2: other staff may pause and stop it, and the page says why they may do no more."""
    User.objects.create_user("alice", is_staff=True)
    run = start_list("alice", "bob", rate=5, actor=root.user)
    BulkItem.objects.filter(username="alice").update(state="failed", done_at=timezone.now())
    operator.client.post(control(run, "pause"))
    shown = operator.client.get(page(run)).content.decode()
    assert bulk.words("includes_staff") in shown
    assert control(run, "stop") in shown
    for name in ("resume", "retry-failed"):
        assert control(run, name) not in shown
        response = operator.client.post(control(run, name), {"unknown": "on"})
        assert told(response)[-1][1] == bulk.words("includes_staff")
    run.refresh_from_db()
    assert (run.state, states(run)) == ("paused", {"alice": "failed", "bob": "pending"})
    assert (handed, changes()) == ([], ["pause"])
    shown = root.client.get(page(run)).content.decode()
    assert bulk.words("includes_staff") not in shown
    assert control(run, "resume") in shown
    root.client.post(control(run, "retry-failed"))
    root.client.post(control(run, "resume"))
    assert len(handed) == 1
    assert states(run) == {"alice": "pending", "bob": "pending"}
    operator.client.post(control(run, "stop"))
    assert changes() == ["pause", "retry-failed", "resume", "stop"]


def test_sending_again_while_it_is_paused(operator: Staff, people: People) -> None:
    """Nobody is told that something was sent."""
    run = start_list("alice", "bob", rate=5, actor=operator.user)
    BulkItem.objects.filter(username="alice").update(state="failed", done_at=timezone.now())
    bulk.pause(run.pk)
    response = operator.client.post(control(run, "retry-failed"))
    assert "is paused. When it is resumed, it sends again" in told(response)[-1][1]
    run.refresh_from_db()
    assert (run.state, states(run)) == ("paused", {"alice": "pending", "bob": "pending"})


@pytest.mark.parametrize("state", ["filling", "paused"])
def test_a_list_whose_reading_was_interrupted(operator: Staff, people: People, state: str) -> None:
    """It can only be stopped, and the page says why."""
    run = start_list("alice", rate=5, actor=operator.user)
    age(
        run,
        state=state,
        is_complete=False,
        touched_at=timezone.now() - timedelta(minutes=5),
    )
    response = operator.client.get(page(run))
    shown = text_of(response)
    assert bulk.words("list_interrupted") in shown
    assert "bulk resume" not in shown
    assert "Press Resume" not in shown
    assert control(run, "resume") not in response.content.decode()
    assert control(run, "stop") in response.content.decode()


def test_sending_again_where_nobody_failed(operator: Staff, handed: list[Any]) -> None:
    run = start_list("alice", rate=5, actor=operator.user)
    operator.client.post(control(run, "stop"))
    assert "Send again" not in text_of(operator.client.get(page(run)))
    operator.client.post(control(run, "retry-failed"))
    assert handed == []


def test_a_refused_change_is_told(operator: Staff) -> None:
    run = start_list("alice", rate=5)
    operator.client.post(control(run, "stop"))
    response = operator.client.post(control(run, "pause"))
    assert "“stopped”" in told(response)[-1][1]
    assert changes() == ["stop"]


def test_a_pool_that_is_no_longer_in_the_settings(operator: Staff, settings: Any) -> None:
    run = start_list("alice", rate=5)
    pools = {"brand": settings.COGNITO_RESET["POOLS"]["brand"]}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": pools}
    response = operator.client.post(control(run, "retry-failed"))
    assert "Cognito did not accept this site's set-up." in told(response)[-1][1]


def test_own_sender_is_accepted_on_the_page(operator: Staff, people: People) -> None:
    """A pool whose list was too long for Cognito's own sender goes on only if the box is checked."""
    add_people(people, 51)
    run = finished(start(rate=5, actor=operator.user))
    assert (run.state, run.reason) == ("paused", "own_sender")
    response = operator.client.get(page(run))
    assert '<input type="checkbox" name="force" required>' in response.content.decode()
    assert "sends 50 mails a day" in text_of(response)
    operator.client.post(control(run, "resume"))
    run.refresh_from_db()
    assert run.state == "paused"
    operator.client.post(control(run, "resume"), {"force": "on"})
    run.refresh_from_db()
    assert run.state == "ready"


@pytest.mark.requirement("F11")
def test_f11_a_run_that_nobody_has_confirmed_asks_first(operator: Staff, people: People) -> None:
    """F11: its page shows no command, and Resume leads to a question."""
    run = start_list("alice", "bob", rate=5, actor=operator.user, confirmed=False)
    shown = operator.client.get(page(run))
    assert bulk.words("unconfirmed") in text_of(shown)
    assert "bulk resume" not in text_of(shown)
    assert f'href="{control(run, "resume")}"' in shown.content.decode()
    response = operator.client.post(control(run, "resume"))
    assert bulk.words("unconfirmed") in told(response)[-1][1]
    asked = operator.client.get(control(run, "resume"))
    assert "reset the passwords of 2 people?" in text_of(asked)
    assert "force" not in asked.content.decode()
    assert finished(run).state == "paused"
    operator.client.post(control(run, "resume"), {"confirmed": "on"})
    assert finished(run).state == "done"
    assert changes() == ["resume"]


def test_a_long_list_that_nobody_has_confirmed(operator: Staff, people: People) -> None:
    """Cognito's own sender must be accepted as well."""
    add_people(people, 51)
    run = finished(start(rate=5, actor=operator.user, confirmed=False))
    response = operator.client.get(control(run, "resume"))
    assert '<input type="checkbox" name="force" required>' in response.content.decode()
    assert "sends 50 mails a day" in text_of(response)
    operator.client.post(control(run, "resume"), {"confirmed": "on"})
    run.refresh_from_db()
    assert (run.state, run.is_confirmed) == ("paused", False)
    operator.client.post(control(run, "resume"), {"confirmed": "on", "force": "on"})
    run.refresh_from_db()
    assert run.state == "ready"


def test_a_list_that_is_read_to_its_end_before_somebody_confirms(
    operator: Staff, people: People
) -> None:
    run = start(rate=5, actor=operator.user, confirmed=False)
    bulk.pause(run.pk)
    response = operator.client.get(control(run, "resume"))
    assert response["Location"] == page(run)
    operator.client.post(control(run, "resume"))
    run = finished(run)
    assert (run.state, run.reason, run.is_complete) == ("paused", "unconfirmed", True)
    assert not any(name == "AdminResetUserPassword" for name, _ in people.emulator.calls)


def test_an_unknown_control(operator: Staff) -> None:
    run = start_list("alice", rate=5)
    assert operator.client.post(control(run, "delete")).status_code == 404
    assert operator.client.post(f"{RUNS}99/control/stop/").status_code == 404


def test_a_log_that_cannot_be_written_stops_nothing(
    operator: Staff, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(*args: Any) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr(BulkRunAdmin, "log_change", fail)
    run = start_list("alice", rate=5)
    operator.client.post(control(run, "pause"))
    run.refresh_from_db()
    assert run.state == "paused"
    assert "cognito_reset.log_entry_failed error=DatabaseError" in caplog.text


def test_the_list_of_runs(viewer: Staff, people: People) -> None:
    people.call("CreateGroup", GroupName="testers")
    run = start("group", "testers", rate=5)
    age(run, state="done", holds=None, size=7)
    start_list("alice", rate=5)
    shown = text_of(viewer.client.get(RUNS))
    assert "The members of a group: testers (7)" in shown
    assert "A list (1)" in shown


def test_a_site_with_requests_in_transactions(
    operator: Staff, people: People, settings: Any
) -> None:
    """The journal's transactions are never inside another one."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        users = make_users(25)
        assert select(operator, users).status_code == 200
        assert post_selected(operator, users).status_code == 200
        post_selected(operator, users, start="1")
        run = BulkRun.objects.get()
        operator.client.post(control(run, "pause"))
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    run.refresh_from_db()
    assert run.state == "paused"
