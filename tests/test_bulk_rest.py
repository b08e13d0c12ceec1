"""REST for resets of many people."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.test import AsyncClient, override_settings
from django.urls import include, path
from rest_framework.test import APIClient

from cognito_reset.cognito.service import CognitoService
from cognito_reset.models import BulkItem, BulkRun, ResetEvent
from cognito_reset.staff import bulk, bulk_rest, sources
from cognito_reset.staff.run_log import history_words
from cognito_reset.testing import Error, Status, Timeout
from tests.bulk_world import add_people, fast, finished, resets, start, start_list, states
from tests.test_pages import with_settings

__all__ = ["fast"]  # a fixture

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("fast"),
    pytest.mark.urls(__name__),
]
urlpatterns = [
    path("staff/", include("cognito_reset.staff.urls")),
    path("other/staff/", include("cognito_reset.staff.urls", "other"), {"pool": "other"}),
    path("own/staff/", include("cognito_reset.staff.urls", "own"), {"pool": "default"}),
]

BOTH = ("run_bulk_reset", "view_bulkrun")


def client_of(*permissions: str, **fields: Any) -> APIClient:
    user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = APIClient()
    client.force_login(user)
    client.user = user
    return client


@pytest.fixture
def client(people):
    return client_of(*BOTH)


@pytest.fixture
def tasks(settings):
    calls: list[tuple[int, int]] = []
    with_settings(settings, BULK_ENQUEUE=lambda *call: calls.append(call))
    return calls


def post(client: APIClient, url: str, status: int, **body: Any) -> dict[str, Any]:
    response = client.post(f"/staff/runs/{url}", body, format="json")
    assert response.status_code == status, response.content
    answer: dict[str, Any] = response.json()
    return answer


def get(client: APIClient, url: str = "", status: int = 200) -> dict[str, Any]:
    response = client.get(f"/staff/runs/{url}")
    assert response.status_code == status, response.content
    answer: dict[str, Any] = response.json()
    return answer


def error(body: dict[str, Any]) -> tuple[str | None, str]:
    return body["errors"][0]["attr"], body["errors"][0]["code"]


def test_a_list_is_sent_by_the_task_queue(client, tasks, people):
    names = ["alice", "erin", " bob ", "alice"]
    answer = post(client, "", 201, source="list", usernames=names, rate=100)
    run = BulkRun.objects.get()
    assert tasks == [(run.pk, run.slice_number)]
    assert (answer["id"], answer["state"], answer["command"]) == (run.pk, "ready", None)
    assert answer["counts"]["pending"] == 3
    assert (run.actor, run.interface) == (client.user, "rest")
    finished(run)
    answer = get(client, f"{run.pk}/")
    assert answer["state"] == "done"
    assert (answer["counts"]["sent"], answer["counts"]["refused"]) == (2, 1)
    assert answer["reasons"] == [
        {
            "state": "refused",
            "code": "user_disabled",
            "count": 1,
            "detail": "This user is disabled in Cognito. Enable the user first.",
        }
    ]
    assert ResetEvent.objects.filter(actor=client.user, interface="rest").count() == 3


def test_without_a_queue_the_answer_names_the_command(client, people):
    answer = post(client, "", 201, source="all")
    assert answer["state"] == "filling"
    assert answer["command"] == f"manage.py cognito_reset bulk resume {answer['id']}"
    assert resets(people) == {}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"source": "all", "limit": 2}, 2),
        ({"source": "status", "value": "RESET_REQUIRED"}, 1),
        ({"source": "filter", "value": 'username ^= "al"'}, 1),
        ({"source": "group", "value": "team"}, 1),
    ],
)
def test_cognito_lists_the_people(body, sent, client, people):
    people.call("CreateGroup", GroupName="team")
    people.call("AdminAddUserToGroup", GroupName="team", Username="bob")
    answer = post(client, "", 201, **body)
    run = finished(BulkRun.objects.get(pk=answer["id"]))
    assert sum(bulk.counts(run.pk).values()) == sent


def test_a_dry_run_changes_nothing(client, people):
    answer = post(client, "", 200, source="all", dry_run=True)
    assert (answer["count"], answer["looked_up"], answer["is_cut_off"]) == (10, 10, False)
    assert {each["code"]: each["count"] for each in answer["reasons"]} == {
        "no_verified_contact": 1,
        "user_disabled": 1,
        "not_activated": 1,
        "federated_user": 1,
        "not_confirmed": 1,
    }
    assert "alice" in answer["sample"]
    answer = post(client, "", 200, source="all", dry_run=True, limit=3)
    assert (answer["count"], answer["is_cut_off"]) == (3, True)
    start()
    answer = post(client, "", 200, source="list", usernames=["alice"], dry_run=True)
    assert len(answer["warnings"]) == 1
    assert BulkRun.objects.count() == 1
    assert resets(people) == {}


def test_a_dry_run_leaves_a_trace_without_the_filter(client, people, caplog):
    """Somebody could read contacts of people by the filters that find them."""
    caplog.set_level("INFO", "cognito_reset")
    post(client, "", 200, source="filter", value='phone_number ^= "+1555"', dry_run=True)
    line = f"cognito_reset.bulk_previewed pool=default source=filter actor={client.user.pk}"
    assert line in caplog.messages
    assert "1555" not in caplog.text


@pytest.mark.requirement("F1")
def test_f1_a_dry_run_shows_usernames_only_to_those_who_may_see_runs(people):
    """F1: as in the admin, where both permissions are needed."""
    client = client_of("run_bulk_reset")
    answer = client.post("/staff/runs/", {"source": "all", "dry_run": True}, format="json")
    assert (answer.status_code, error(answer.json())[1]) == (403, "permission_denied")
    assert b"alice" not in answer.content
    assert "alice" not in str(post(client, "", 201, source="all"))


def test_a_dry_run_of_a_large_pool_ends_before_the_web_servers_timeout(client, people):
    add_people(people, 600)
    answer = post(client, "", 200, source="all", dry_run=True)
    assert (answer["count"], answer["is_cut_off"]) == (500, True)
    assert len(people.emulator.calls) < 15


@pytest.mark.parametrize("source", ["all", "list"])
def test_a_dry_run_waits_for_cognito_no_longer_than_a_web_server(
    source, client, people, monkeypatch
):
    monkeypatch.setattr(sources, "PREVIEW_SECONDS", 0.3)
    people.emulator.fail_next("ListUsers", Timeout(seconds=60))
    more = {"usernames": ["alice"]} if source == "list" else {}
    begin = time.monotonic()
    answer = post(client, "", 503, source=source, dry_run=True, **more)
    assert error(answer) == (None, "unavailable")
    assert time.monotonic() - begin < 10


def test_a_dry_run_of_a_list_looks_up_as_many_as_it_can(client, people, monkeypatch):
    names = add_people(people, 20)
    find_user = CognitoService.find_user

    def slow(service: CognitoService, *, username: str) -> Any:
        time.sleep(0.4)
        return find_user(service, username=username)

    monkeypatch.setattr(CognitoService, "find_user", slow)
    monkeypatch.setattr(bulk_rest, "LOOK_UP_SECONDS", 2.0)
    answer = post(client, "", 200, source="list", usernames=names, dry_run=True)
    assert answer["count"] == 20
    assert 1 <= answer["looked_up"] <= 6
    assert len(answer["sample"]) == answer["looked_up"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ("source", "required")),
        ({"source": "queryset"}, ("source", "invalid_choice")),
        ({"source": "list"}, ("usernames", "required")),
        ({"source": "list", "usernames": []}, ("usernames", "empty")),
        ({"source": "list", "usernames": ["x"] * 501}, ("usernames", "max_length")),
        ({"source": "list", "usernames": "alice"}, ("usernames", "not_a_list")),
        ({"source": "list", "usernames": [""]}, ("usernames.0", "required")),
        ({"source": "list", "usernames": [5]}, ("usernames.0", "invalid")),
        ({"source": "all", "usernames": ["alice"]}, ("usernames", "invalid")),
        ({"source": "status", "value": "NONE"}, ("value", "unknown_source")),
        ({"source": "group"}, ("value", "unknown_source")),
        ({"source": "filter", "value": 5}, ("value", "invalid")),
        ({"source": "filter", "value": "nonsense"}, ("value", "selection_invalid")),
        (
            {"source": "filter", "value": "nonsense", "dry_run": True},
            ("value", "selection_invalid"),
        ),
        ({"source": "group", "value": "nowhere"}, ("value", "selection_invalid")),
        ({"source": "all", "rate": 0}, ("rate", "too_fast")),
        ({"source": "all", "rate": "fast"}, ("rate", "invalid")),
        ({"source": "all", "limit": 0}, ("limit", "min_value")),
        ({"source": "all", "limit": 2**31}, ("limit", "max_value")),
        ({"source": "all", "force": "yes"}, ("force", "invalid")),
        ({"source": "all", "dry_run": 1}, ("dry_run", "invalid")),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(body, expected, client):
    assert error(post(client, "", 400, **body)) == expected
    assert not BulkRun.objects.exists()


def test_a_rate_above_the_quota_is_refused(client, settings):
    pool = {**settings.COGNITO_RESET["POOLS"]["default"], "ENDPOINT_URL": None}
    with_settings(settings, POOLS={"default": pool})
    assert error(post(client, "", 400, source="all", rate=31)) == ("rate", "too_fast")


def test_the_lowest_rate_is_an_answer_all_the_same(client, people):
    answer = post(client, "", 201, source="list", usernames=["alice"], rate=1e-320)
    assert answer["seconds_left"] == 10**9


def test_a_list_of_the_longest_names_is_accepted(client, people):
    """JSON may write each character as a sequence of six, and four of these bodies' bytes are one letter."""
    names = [f"{number:03}" + "é" * 125 for number in range(500)]
    answer = post(client, "", 201, source="list", usernames=names, force=True)
    assert answer["counts"]["pending"] == 500


@pytest.mark.parametrize("size", [600_000, 10_000_000])
def test_a_larger_body_is_refused(size, client):
    answer = post(client, "", 413, source="list", usernames=["x" * size])
    assert error(answer) == (None, "too_large")


def test_an_unknown_pool_is_not_found(client):
    assert error(post(client, "", 404, source="all", pool="none")) == (None, "not_found")


@pytest.mark.requirement("F10")
def test_f10_a_second_run_is_refused(client):
    """F10: the answer names the run that isn't over."""
    run = start()
    answer = post(client, "", 409, source="all")
    assert error(answer) == (None, "region_busy")
    assert f"number {run.pk}" in answer["errors"][0]["detail"]


def test_cognitos_own_sender_needs_force(client, people):
    names = add_people(people, 51)
    assert error(post(client, "", 409, source="list", usernames=names)) == (None, "own_sender")
    assert not BulkRun.objects.exists()
    post(client, "", 201, source="list", usernames=names, force=True)


def test_wrong_credentials_are_an_error_of_the_server(client, people):
    people.emulator.fail_next("ListUsers", Error("AccessDeniedException"))
    answer = post(client, "", 503, source="all", dry_run=True)
    assert error(answer) == (None, "unavailable")
    people.emulator.fail_next("ListUsers", Status(500))
    assert error(post(client, "", 503, source="all", dry_run=True)) == (None, "unavailable")


def fail(*call: int) -> None:
    raise OSError


def refuse(*call: int) -> None:
    raise ValidationError("%(field)s is wrong", params={"another": "name"})


@pytest.mark.parametrize(
    ("enqueue", "reason"),
    [
        (fail, "site_code_failed"),
        (refuse, "site_code_failed"),
        ("nosuch.module.enqueue", "misconfigured"),
    ],
)
def test_a_queue_that_is_down_or_cannot_be_used_pauses_the_run(
    client, settings, enqueue, reason, caplog
):
    with_settings(settings, BULK_ENQUEUE=enqueue)
    assert error(post(client, "", 503, source="all")) == (None, "unavailable")
    run = BulkRun.objects.get()
    assert (run.state, run.reason, run.hint) == ("paused", reason, "BULK_ENQUEUE")
    assert (f"at={__file__}" in caplog.text) == callable(enqueue)
    with_settings(settings, BULK_ENQUEUE=None)
    assert post(client, f"{run.pk}/resume/", 200)["state"] == "filling"


def test_a_run_is_paused_resumed_and_stopped(client, tasks, caplog):
    caplog.set_level("INFO", "cognito_reset")
    run = start_list("alice", actor=client.user)
    assert post(client, f"{run.pk}/pause/", 200)["state"] == "paused"
    answer = post(client, f"{run.pk}/resume/", 200)
    assert (answer["state"], answer["command"]) == ("ready", None)
    run.refresh_from_db()
    assert tasks == [(run.pk, run.slice_number)]
    assert post(client, f"{run.pk}/stop/", 200)["state"] == "stopped"
    answer = post(client, f"{run.pk}/resume/", 409)
    assert error(answer) == (None, "wrong_state")
    assert "“stopped”" in answer["errors"][0]["detail"]
    assert len(tasks) == 1
    for change in ("pause", "resume", "stop"):
        line = f"cognito_reset.bulk_changed run={run.pk} change={change} actor={client.user.pk}"
        assert line in caplog.messages


def test_a_run_that_waits_for_force_goes_on_with_it(client, people):
    add_people(people, 51)
    run = finished(start("filter", 'username ^= "person"', actor=client.user))
    answer = get(client, f"{run.pk}/")
    assert (answer["state"], answer["reason"]) == ("paused", "own_sender")
    assert "50 mails a day" in answer["detail"]
    assert error(post(client, f"{run.pk}/resume/", 409)) == (None, "own_sender")
    assert error(post(client, f"{run.pk}/resume/", 400, force="yes")) == ("force", "invalid")
    post(client, f"{run.pk}/resume/", 200, force=True)
    assert finished(run).state == "done"


def test_those_for_whom_it_failed_are_sent_another_one(client, people, tasks):
    run = start_list("alice", "bob", actor=client.user)
    finished(run)
    BulkItem.objects.filter(username="alice").update(state="failed")
    BulkItem.objects.filter(username="bob").update(state="unknown")
    post(client, f"{run.pk}/retry-failed/", 200)
    finished(run)
    assert len(tasks) == 1
    assert states(run) == {"alice": "sent", "bob": "unknown"}
    post(client, f"{run.pk}/retry-failed/", 200, unknown=True)
    assert states(finished(run))["bob"] == "sent"
    assert post(client, f"{run.pk}/retry-failed/", 200)["state"] == "done"
    assert len(tasks) == 2


def test_the_latest_runs_are_listed(client, people):
    first = start_list("alice")
    bulk.stop(first.pk)
    people.call("CreateGroup", GroupName="team")
    second = start("group", "team", actor=client.user)
    runs = get(client)["runs"]
    assert [run["id"] for run in runs] == [second.pk, first.pk]
    assert [run["actor"] for run in runs] == [str(client.user.pk), None]
    assert runs[0]["source_value"] == "team"
    assert "counts" not in runs[0]


def test_an_include_for_one_pool_has_its_own_runs_only(client):
    """Its permission is for one brand's back office, for example."""
    run = start_list("alice")
    for url in (f"{run.pk}/", f"{run.pk}/items.csv"):
        assert client.get(f"/other/staff/runs/{url}").status_code == 404
        assert client.get(f"/own/staff/runs/{url}").status_code == 200
    for change in ("pause", "resume", "retry-failed", "stop"):
        url = f"/other/staff/runs/{run.pk}/{change}/"
        assert client.post(url, {}, format="json").status_code == 404
    run.refresh_from_db()
    assert run.state == "ready"
    lists = {name: client.get(f"/{name}/staff/runs/").json()["runs"] for name in ("own", "other")}
    assert {name: len(found) for name, found in lists.items()} == {"own": 1, "other": 0}
    stopped = client.post(f"/own/staff/runs/{run.pk}/stop/", {}, format="json")
    assert stopped.json()["state"] == "stopped"


@pytest.mark.requirement("F11")
def test_f11_a_run_that_nobody_has_confirmed_is_confirmed_with_the_resume(client, people):
    """F11: the command has started it, and was killed before anybody answered."""
    run = start_list("alice", actor=client.user, confirmed=False)
    shown = get(client, f"{run.pk}/")
    assert (shown["state"], shown["reason"]) == ("paused", "unconfirmed")
    assert shown["is_confirmed"] is False
    assert error(post(client, f"{run.pk}/resume/", 409)) == (None, "unconfirmed")
    assert error(post(client, f"{run.pk}/resume/", 400, confirmed=1)) == ("confirmed", "invalid")
    assert post(client, f"{run.pk}/resume/", 200, confirmed=True)["is_confirmed"] is True
    assert finished(run).state == "done"


def test_a_list_of_nobody_is_refused(client):
    """Otherwise it would be a run that is done, as if all were sent a reset."""
    answer = post(client, "", 400, source="list", usernames=["\u3000"])
    assert error(answer) == ("usernames", "nobody")
    assert not BulkRun.objects.exists()


def test_the_admins_history_has_what_was_done_over_rest(client, people):
    """Also who did it."""
    run_id = post(client, "", 201, source="list", usernames=["alice"])["id"]
    for change in ("pause", "resume", "stop"):
        post(client, f"{run_id}/{change}/", 200)
    entries = LogEntry.objects.filter(object_id=run_id).order_by("pk")
    assert [history_words(entry) for entry in entries] == [
        "Started the reset of many people",
        "Paused the reset of many people",
        "Resumed the reset of many people",
        "Stopped the reset of many people",
    ]
    assert {(entry.user, entry.content_type.model_class()) for entry in entries} == {
        (client.user, BulkRun)
    }


def test_a_site_without_the_admin_has_no_history(client, people, settings):
    apps = [name for name in settings.INSTALLED_APPS if name != "django.contrib.admin"]
    with override_settings(INSTALLED_APPS=apps):
        post(client, "", 201, source="list", usernames=["alice"])
    assert not LogEntry.objects.exists()


@pytest.mark.requirement("F12")
def test_f12_no_cell_of_the_export_is_a_formula(client):
    """F12: it is sent row by row, as a file that isn't named after anybody."""
    names = ["=cmd()", "'=x", "+1", "alice"]
    run = start_list(*names)
    response = client.get(f"/staff/runs/{run.pk}/items.csv")
    assert response.streaming
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="reset-{run.pk}.csv"'
    assert "no-store" in response["Cache-Control"]
    text = b"".join(response.streaming_content).decode()
    cells = [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:]
    assert cells == ["'=cmd()", "''=x", "'+1", "alice"]
    assert [cell.removeprefix("'") for cell in cells] == names


def test_the_export_is_streamed_over_asgi_as_well(client):
    """Django would read all of it first, and warn of that."""
    names = [f"person-{number}" for number in range(2500)]
    run = start_list(*names, force=True)
    async_client = AsyncClient()
    async_client.force_login(client.user)

    async def parts() -> list[bytes]:
        response = await async_client.get(f"/staff/runs/{run.pk}/items.csv")
        return [part async for part in response]

    found = async_to_sync(parts)()
    assert len(found) == 3
    rows = csv.reader(io.StringIO(b"".join(found).decode(), newline=""))
    assert [row[0] for row in rows] == ["username", *names]


ENDPOINTS = [
    ("get", "", "view_bulkrun"),
    ("post", "", "run_bulk_reset"),
    ("get", "{}/", "view_bulkrun"),
    ("get", "{}/items.csv", "view_bulkrun"),
    *[
        ("post", f"{{}}/{name}/", "run_bulk_reset")
        for name in ("pause", "resume", "stop", "retry-failed")
    ],
]


@pytest.mark.requirement("F1")
@pytest.mark.parametrize(("method", "url", "permission"), ENDPOINTS)
def test_f1_each_endpoint_needs_its_permission(method, url, permission, people):
    """F1: without it the answer is the same whether or not there is such a run."""
    run = start_list("alice", actor=client_of("run_bulk_reset").user)
    others = {*BOTH, "trigger_reset"} - {permission}
    for client in (APIClient(), client_of(*others)):
        for pk in (run.pk, 77):
            call = getattr(client, method)
            response = call(f"/staff/runs/{url.format(pk)}", {"source": "all"}, format="json")
            assert response.status_code == 403
    run.refresh_from_db()
    assert (run.state, BulkRun.objects.count()) == ("ready", 1)
    client = client_of(permission)
    if "{}" in url:
        missing = getattr(client, method)(f"/staff/runs/{url.format(77)}", {}, format="json")
        assert (missing.status_code, error(missing.json())) == (404, (None, "not_found"))
    response = getattr(client, method)(
        f"/staff/runs/{url.format(run.pk)}", {"source": "all"}, format="json"
    )
    assert response.status_code == (409 if (method, url) == ("post", "") else 200)


@pytest.mark.requirement("F2")
def test_f2_staff_are_reset_only_by_a_superuser(people, client):
    """F2: also by a run, whatever the run's people are found by."""
    User.objects.create_user("alice", is_staff=True)
    run = BulkRun.objects.get(pk=post(client, "", 201, source="list", usernames=["alice"])["id"])
    assert states(finished(run)) == {"alice": "refused staff_target"}
    root = client_of(is_superuser=True)
    run = BulkRun.objects.get(pk=post(root, "", 201, source="list", usernames=["alice"])["id"])
    assert states(finished(run)) == {"alice": "sent"}


@pytest.mark.requirement("F2")
@pytest.mark.parametrize("change", ["resume", "retry-failed"])
def test_f2_a_run_that_does_not_spare_staff_is_let_go_on_only_by_a_superuser(
    change, people, client, settings
):
    """F2: a superuser or the command has started it. Other staff may pause and stop it."""
    User.objects.create_user("alice", is_staff=True)
    root = client_of(is_superuser=True)
    for actor in (root.user, None):
        run = start_list("alice", actor=actor)
        BulkItem.objects.filter(run=run).update(state="unknown")
        assert post(client, f"{run.pk}/pause/", 200)["state"] == "paused"
        body = {"unknown": True} if change == "retry-failed" else {}
        assert error(post(client, f"{run.pk}/{change}/", 403, **body)) == (None, "includes_staff")
        run.refresh_from_db()
        assert (run.state, states(run)) == ("paused", {"alice": "unknown"})
        post(root, f"{run.pk}/{change}/", 200, **body)
        assert post(client, f"{run.pk}/stop/", 200)["state"] == "stopped"
        assert resets(people) == {}
    with_settings(settings, STAFF_MAY_RESET_STAFF=True)
    BulkItem.objects.update(state="failed")
    post(client, f"{run.pk}/retry-failed/", 200)
    assert states(run) == {"alice": "pending"}


def test_other_methods_are_not_allowed(client):
    run = start_list("alice")
    for method, url in (("get", f"{run.pk}/stop/"), ("post", f"{run.pk}/"), ("put", "")):
        response = getattr(client, method)(f"/staff/runs/{url}", {}, format="json")
        assert (response.status_code, error(response.json())) == (405, (None, "method_not_allowed"))


def test_a_session_needs_a_csrf_token(client, people):
    user = client.user
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)
    response = client.post("/staff/runs/", {"source": "all"}, format="json")
    assert response.status_code == 403
    assert not BulkRun.objects.exists()
