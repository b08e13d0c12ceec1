"""REQUIREMENTS 1.B as an attacker meets it: on the interfaces, with the site's own defaults."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from rest_framework import serializers

from cognito_reset.models import LedgerSlot
from cognito_reset.resets.ratelimits import clear, identifier_key
from tests.interfaces import AWS, INTERFACES, REST, Pages
from tests.people import EVERYBODY
from tests.test_pages import with_settings

DEFAULTS: dict[str, dict[str, str]] = {}


@pytest.fixture
def limited(people, settings):
    """The defaults' limits, on."""
    with_settings(settings, LIMITS=DEFAULTS)
    return people


def statuses(interface, step, name, times):
    return [getattr(interface(), step)(name).status_code for _ in range(times)]


@pytest.mark.parametrize("make_face", INTERFACES)
@pytest.mark.parametrize("step", ["request", "confirm"])
def test_a5_limits_do_not_depend_on_the_account(limited, make_face, step):
    """A5: the sequence of answers is the same for who exists, who doesn't, and whom Cognito limits."""
    interface = make_face()

    def shown(name):
        answers = [getattr(interface, step)(name) for _ in range(8)]
        return tuple((answer.status_code, interface.is_throttled(answer)) for answer in answers)

    found = {name: shown(name) for name in EVERYBODY[:8]}
    assert len(set(found.values())) == 1
    if step == "confirm":
        throttled = [is_throttled for _, is_throttled in found["alice"]]
        assert throttled == [False] * 5 + [True] * 3


def test_b3_new_sessions_give_no_new_guesses(limited):
    """B3: twenty fresh browsers have as many guesses at one account as one has."""
    codes = [Pages().confirm("alice", f"{number:06}").status_code for number in range(20)]
    assert codes.count(400) == 5
    assert codes.count(429) == 15
    assert len(limited.emulator.calls) == 5


@pytest.mark.parametrize(("first", "second"), [(REST, Pages), (Pages, AWS), (AWS, REST)])
def test_b5_the_faces_share_their_limits(limited, first, second):
    """B5: what is spent on one interface is spent on the other, whatever way the name is written."""
    assert statuses(first, "confirm", "alice@example.com", 5) == [400] * 5
    assert second().is_throttled(second().confirm(" Alice@EXAMPLE.com"))
    first().request("bob")
    before = len(limited.emulator.calls)
    second().request("BOB")
    assert len(limited.emulator.calls) == before


def test_b5_pools_do_not_share_their_limits(limited, settings):
    """A name is another person in another pool."""
    with_settings(settings, POOLS={"default": limited.pool, "brand": limited.pool})
    assert statuses(REST, "confirm", "alice", 6)[-1] == 429
    data = {"username": "alice", "confirmation_code": "000000", "password": "Battery-staple-2"}
    assert Pages().client.post("/brand/password-reset/confirm/", data).status_code == 400


def test_b2_a_success_gives_the_network_nothing_back(limited, settings):
    """B2: one account of the attacker's own doesn't buy guesses at others'."""
    with_settings(settings, LIMITS={"confirm": {"network": "3/h"}})
    assert REST().confirm("bob").status_code == 400
    assert REST().confirm("alice", limited.code("alice"), "Battery-staple-2").status_code == 200
    assert REST().confirm("heidi").status_code == 400
    assert REST().confirm("heidi").status_code == 429


def test_b11_a_spent_request_limit_does_not_block_a_code(limited):
    """B11: who sends codes to somebody can't keep them from using one."""
    statuses(REST, "request", "alice", 5)
    code = limited.emulator.outbox[0].code
    assert REST().confirm("alice", code, "Battery-staple-2").status_code == 200


def test_b11_staff_can_let_a_person_try_again(limited):
    """B11: the confirm limit blocks one name for its window, unless somebody helps."""
    statuses(REST, "confirm", "alice", 6)
    code = limited.code("alice")
    assert REST().confirm("alice", code, "Battery-staple-2").status_code == 429
    clear(identifier_key("default", "alice"))
    assert REST().confirm("alice", code, "Battery-staple-2").status_code == 200


@pytest.mark.parametrize("make_face", INTERFACES)
def test_b14_a_failing_store_closes_the_door_for_everybody(limited, settings, make_face):
    """B14: 503 on every interface, no trace, no call; open only where the site says so."""
    settings.CACHES = {
        **settings.CACHES,
        "down": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
        },
    }
    with_settings(settings, LIMITS_CACHE="down")
    for step in ("request", "confirm"):
        interface = make_face()
        assert interface.is_unavailable(getattr(interface, step)("alice"))
    assert limited.emulator.calls == []
    with_settings(settings, LIMITS_CACHE="down", LIMITS_FAIL_OPEN=True)
    assert make_face().confirm("alice").status_code == 400


def refuse(request, *, username, pool):
    raise ValidationError("Show that you are a person.", "challenge")


def refuse_as_drf(request, *, username, pool):
    raise serializers.ValidationError("Show that you are a person.", "challenge")


@pytest.mark.parametrize("hook", [refuse, refuse_as_drf, "tests.test_bombing.refuse"])
def test_b15_a_hook_refuses_before_anything_is_counted(limited, settings, hook):
    """B15: in its own words, on the form and over REST; nothing is sent, and nothing is spent."""
    with_settings(settings, PRE_SEND_HOOK=hook)
    page = Pages().request("alice")
    assert page.status_code == 400
    assert "Show that you are a person." in page.content.decode()
    assert 'value="alice"' in page.content.decode()
    answer = REST().request("alice")
    assert answer.status_code == 400
    error = {"code": "challenge", "detail": "Show that you are a person.", "attr": None}
    assert answer.json() == {"type": "validation_error", "errors": [error]}
    assert limited.emulator.calls == []
    assert not LedgerSlot.objects.exists()
    with_settings(settings, PRE_SEND_HOOK=None)
    assert REST().request("alice").status_code == 202


def refuse_without_a_word(request, *, username, pool):
    raise ValidationError([])


def test_b15_a_hook_that_refuses_without_a_word_refuses(limited, settings):
    """B15: the form comes back with an error, and over REST there is one, as the schema says."""
    with_settings(settings, PRE_SEND_HOOK=refuse_without_a_word)
    page = Pages().request("alice")
    assert page.status_code == 400
    assert "Invalid input." in page.content.decode()
    error = {"code": "invalid", "detail": "Invalid input.", "attr": None}
    assert REST().request("alice").json() == {"type": "validation_error", "errors": [error]}
    assert limited.emulator.calls == []


@pytest.mark.parametrize("make_face", INTERFACES)
def test_b15_a_hook_sees_what_is_asked_for(limited, settings, make_face):
    """B15: the request, the name as it will be sent and the pool; only valid ones, and no guesses."""
    seen = []

    def hook(request, **values):
        seen.append((request.headers["X-Challenge"], values))

    with_settings(settings, PRE_SEND_HOOK=hook)
    interface = make_face()
    interface.client.defaults["HTTP_X_CHALLENGE"] = "solved"
    assert interface.request("").status_code == 400
    assert interface.confirm("alice").status_code == 400
    assert interface.request(" alice ").status_code == interface.SENT
    assert seen == [("solved", {"username": "alice", "pool": "default"})]
    assert len(limited.emulator.calls) == 2


def fail(request, *, username, pool):
    raise ConnectionError(f"no verdict on {username}")


@pytest.mark.parametrize("make_face", INTERFACES)
def test_b15_a_hook_that_fails_is_no_way_around_it(limited, settings, caplog, make_face):
    """B15: 503 without a trace, nothing sent or spent, and nobody's name in the log."""
    with_settings(settings, PRE_SEND_HOOK=fail)
    interface = make_face()
    assert interface.is_unavailable(interface.request("alice"))
    assert "cognito_reset.pre_send_hook_failed error=ConnectionError" in caplog.messages
    assert "alice" not in caplog.text
    assert limited.emulator.calls == []
    assert not LedgerSlot.objects.exists()
