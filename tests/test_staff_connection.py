"""Staff see the state of the connection in the admin, when they ask for it."""

from __future__ import annotations

import logging
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from cognito_reset.doctor.findings import Finding
from cognito_reset.models import LedgerSlot
from tests.test_staff_admin import make_staff

pytestmark = pytest.mark.django_db

LIST = "/admin/cognito_reset/resetevent/"
PAGE = f"{LIST}connection/"


@pytest.fixture
def staff(people):
    return make_staff("staff", "view_resetevent", "check_connection")


def found(response):
    """Return the ids on the page."""
    return set(re.findall(r'<p class="help">(\w+)', response.content.decode()))


def test_the_list_leads_to_the_page(staff):
    """The link is there for whoever may open it."""
    assert reverse("admin:cognito_reset_resetevent_connection") == PAGE
    assert f'href="{PAGE}"' in staff.client.get(LIST).content.decode()
    viewer = make_staff("viewer", "view_resetevent")
    assert PAGE not in viewer.client.get(LIST).content.decode()


@pytest.mark.requirement("A12")
@pytest.mark.parametrize("permissions", [("view_resetevent",), ("check_connection",)])
def test_both_permissions_are_needed(people, caplog, permissions):
    """A refusal is logged, and Cognito isn't asked."""
    other = make_staff("other", *permissions)
    with caplog.at_level(logging.WARNING):
        for method in (other.client.get, other.client.post):
            assert method(PAGE).status_code == 403
    assert "cognito_reset.admin_denied" in caplog.text
    assert people.emulator.calls == []


def test_opening_the_page_asks_nothing(staff, people):
    """Only the button does."""
    response = staff.client.get(PAGE)
    assert response.status_code == 200
    assert found(response) == set()
    assert people.emulator.calls == []


def test_the_button_shows_what_is_found(staff, people, settings):
    """The findings of all pools and of the tables, the worst first, and nothing is written or tried for a user."""
    settings.COGNITO_RESET["POOLS"]["brand"] = {**people.pool, "CLIENT_ID": "brandclient"}
    people.call("DeleteUserPoolClient", ClientId=people.pool["CLIENT_ID"])
    people.emulator.calls.clear()
    response = staff.client.post(PAGE)
    assert {"cognito_reached", "users_shown", "client_id_refused", "tables_there"} <= found(
        response
    )
    assert not found(response) & {
        "limits_work",
        "limits_off",
        "permissions_untried",
        "site_reached",
    }
    headings = [heading for heading, _results in response.context["groups"]]
    assert [*map(str, headings)] == [
        "Errors",
        "Warnings",
        "What cannot be seen",
        "Good to know",
        "As it should be",
    ]
    page = response.content.decode()
    assert "client_id_refused · default" in page
    assert people.pool["CLIENT_SECRET"] not in page
    assert {name for name, _ in people.emulator.calls} == {
        "ConfirmForgotPassword",
        "DescribeUserPool",
        "DescribeUserPoolClient",
    }
    assert not LedgerSlot.objects.exists()


def test_settings_that_cannot_be_used_are_shown(staff, settings):
    """The page shows which one, instead of failing."""
    pools = settings.COGNITO_RESET["POOLS"]
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "FORWARD_IP_ADDRESS": "yes"}
    assert "FORWARD_IP_ADDRESS" in staff.client.post(PAGE).content.decode()
    settings.COGNITO_RESET = {"POOLS": [*pools]}
    response = staff.client.post(PAGE)
    assert found(response) == {"settings_unusable", "tables_there"}
    assert "POOLS" in response.content.decode()


def test_the_button_needs_the_pages_token(staff, people):
    """Another site can't have the pools asked."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff.user)
    assert client.post(PAGE).status_code == 403
    assert people.emulator.calls == []


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", ["ar", "de"])
def test_the_frame_is_translated_and_the_findings_are_marked_as_english(staff, settings, language):
    """A screen reader reads each in its language."""
    settings.LANGUAGE_CODE = language
    page = staff.client.post(PAGE).content.decode()
    with translation.override(language):
        assert translation.gettext("Examine now") in page
        assert translation.gettext("Examine now") != "Examine now"
    findings = re.findall(r"<li lang=\"en\" dir=\"ltr\">(.*?)</li>", page, re.S)
    assert any(Finding.COGNITO_REACHED.title in finding for finding in findings)


def test_a_cognito_that_does_not_answer_is_a_finding(staff, people):
    """The page shows it like the others."""
    people.emulator.fail_next("ConfirmForgotPassword", "ForbiddenException")
    assert "firewall_blocks" in found(staff.client.post(PAGE))
