"""A connection that ends at the wrong time costs the user nothing, whatever client it is."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.clients.proxy import Loss, Proxy
from tests.clients.registry import CLIENTS, Client, Resends
from tests.clients.stage import Site
from tests.demo import NEW_PASSWORD

AFTER = [Loss.ANSWER, Loss.HALF]


def is_network_error(client: Client, said: dict[str, Any]) -> bool:
    """Return whether the client reports, in its own words, that the outcome is unknown."""
    words = f"{said.get('error')}: {said.get('message')}"
    return re.fullmatch(client.broken, words) is not None


def calls(site: Site, operation: str, username: str) -> int:
    """Return how many calls the site made for this user."""
    return sum(
        (name, body.get("Username")) == (operation, username) for name, body in site.emulator.calls
    )


def request_code(client: Client, proxy: Proxy, username: str) -> dict[str, Any]:
    return client.call(f"{proxy.url}/cognito", "ForgotPassword", username)


def confirm(client: Client, url: str, username: str, code: str) -> dict[str, Any]:
    return client.call(
        f"{url}/cognito", "ConfirmForgotPassword", username, code=code, password=NEW_PASSWORD
    )


def signs_in(site: Site, username: str) -> bool:
    return site.visitor.sign_in(username, NEW_PASSWORD) == (200, "")


def test_a_lost_request_for_a_code(client, site, proxy):
    """Nothing reached the site. Clients that retry get one code, and others report an error."""
    proxy.losses.append(Loss.REQUEST)
    username = site.new_user()
    said = request_code(client, proxy, username)
    if client.resends is Resends.NOT or client.fears_reset:
        assert is_network_error(client, said), said
        assert site.codes(username) == []
    else:
        assert said.get("ok"), said
        assert len(site.codes(username)) == 1


@pytest.mark.parametrize("loss", AFTER)
def test_a_lost_answer_to_a_request_for_a_code(client, site, proxy, loss):
    """One code is sent. Clients that mark the retry as the same call get a success."""
    proxy.losses.append(loss)
    username = site.new_user()
    said = request_code(client, proxy, username)
    assert len(site.codes(username)) == 1
    assert calls(site, "ForgotPassword", username) == 1
    if loss is Loss.HALF and not client.notices_half:
        assert said.get("ok") or is_network_error(client, said), said
    elif client.resends is Resends.WITH_ID:
        assert said.get("ok"), said
        assert proxy.passed == 2
    elif client.resends is Resends.PLAINLY:
        assert said.get("error") == "LimitExceededException", said
    else:
        assert is_network_error(client, said), said


def test_an_answer_that_a_network_swallows(site, proxy):
    """
    boto3 waits a minute for an answer before it retries, and the site must still recognise the
    request then.
    """
    (boto3,) = [client for client in CLIENTS if client.name == "boto3-newest"]
    username, code = site.new_user_with_code()
    proxy.losses.append(Loss.SILENCE)
    begun = time.monotonic()
    said = confirm(boto3, proxy.url, username, code)
    assert time.monotonic() - begun >= 60
    assert said.get("ok"), said
    assert proxy.passed == 2
    assert calls(site, "ConfirmForgotPassword", username) == 1
    assert signs_in(site, username)


def test_a_lost_confirm(client, site, proxy):
    """
    Nothing reached the site. Clients that retry succeed, and with others the person can try again.
    """
    username, code = site.new_user_with_code()
    proxy.losses.append(Loss.REQUEST)
    said = confirm(client, proxy.url, username, code)
    if client.resends is Resends.NOT or client.fears_reset:
        assert is_network_error(client, said), said
        assert not signs_in(site, username)
        said = confirm(client, proxy.url, username, code)
    assert said.get("ok"), said
    assert signs_in(site, username)


@pytest.mark.parametrize("loss", AFTER)
def test_a_lost_answer_to_a_confirm(client, site, proxy, loss):
    """The password was changed, and no client reports that it wasn't."""
    username, code = site.new_user_with_code()
    proxy.losses.append(loss)
    said = confirm(client, proxy.url, username, code)
    notices = loss is Loss.ANSWER or (client.notices_half and not client.discards_empty)
    if client.resends is Resends.NOT or not notices:
        assert said.get("ok") or is_network_error(client, said), said
        # The person's own second try, which nothing marks as such.
        said = confirm(client, proxy.url, username, code)
    assert said.get("ok"), said
    assert proxy.passed == 2
    assert signs_in(site, username)
    assert calls(site, "ConfirmForgotPassword", username) == 1
