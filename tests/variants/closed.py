"""What REST does on a site whose defaults are closed: run by test_variants.py with closed_api.py."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client

from cognito_reset.aws.views import MEDIA_TYPE, SERVICE

URL, POLICY = "/api/password-reset/", "/api/password-reset/policy/"


@pytest.fixture(autouse=True)
def fresh():
    cache.clear()


@pytest.mark.requirement("D3")
@pytest.mark.parametrize("logged_in", [True, False])
def test_d3_the_sites_own_defaults_do_not_close_it(people, logged_in):
    """For everybody, logged in or not, without a CSRF token."""
    client = Client(enforce_csrf_checks=True)
    if logged_in:
        client.force_login(get_user_model().objects.create_user("somebody"))
    data = {"username": "alice"}
    assert client.post(URL, data, content_type="application/json").status_code == 202
    assert client.get(POLICY).status_code == 200


@pytest.mark.requirement("B6", "D3")
def test_b6_d3_the_endpoint_for_sdks_is_open_and_throttled(people):
    """For everybody, with the site's throttle in Cognito's words."""
    headers = {"X-Amz-Target": f"{SERVICE}.ForgotPassword"}
    body = json.dumps({"ClientId": people.pool["CLIENT_ID"], "Username": "alice"})
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.create_user("somebody"))
    answers = [client.post("/cognito", body, MEDIA_TYPE, headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400]
    assert answers[3].headers["x-amzn-ErrorType"] == "LimitExceededException"


@pytest.mark.requirement("B6")
@pytest.mark.parametrize("url", [URL, f"{URL}confirm/", POLICY])
def test_b6_the_sites_own_throttles_still_apply(people, url):
    """The app adds limits and takes none away."""
    method = Client().get if url == POLICY else Client().post
    answers = [method(url, content_type="application/json") for _ in range(4)]
    assert 429 not in [answer.status_code for answer in answers[:3]]
    assert answers[3].status_code == 429
    assert answers[3].json()["errors"][0]["code"] == "throttled"
    assert int(answers[3].headers["Retry-After"]) > 0
