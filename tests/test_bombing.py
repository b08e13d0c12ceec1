"""The limits as an attacker meets them: over the interfaces, with the site's own defaults."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from rest_framework import serializers

from cognito_reset.models import LedgerSlot
from cognito_reset.resets.identifiers import identifier_key
from cognito_reset.staff.limits import clear
from cognito_reset.testing import ConnectRefused
from tests.interfaces import AWS, INTERFACES, REST, Pages
from tests.people import EVERYBODY, NEW_PASSWORD


@pytest.fixture
def configure(settings):
    """Sets keys of COGNITO_RESET."""

    def configure(**keys):
        settings.COGNITO_RESET = {**settings.COGNITO_RESET, **keys}

    return configure


@pytest.fixture
def limited(people, configure):
    """The defaults' limits, on."""
    configure(LIMITS={})
    return people


def statuses(interface, step, name, times):
    return [getattr(interface(), step)(name).status_code for _ in range(times)]


def levels():
    """The levels of the slots that are held."""
    return sorted(key.split(":")[2] for key in LedgerSlot.objects.values_list("key", flat=True))


@pytest.mark.requirement("A5")
@pytest.mark.parametrize("make_interface", INTERFACES)
@pytest.mark.parametrize("step", ["request", "confirm"])
def test_limits_do_not_depend_on_the_account(limited, make_interface, step):
    """The sequence of answers is the same whether the user exists, doesn't, or is limited by Cognito."""
    interface = make_interface()

    def shown(name):
        answers = [getattr(interface, step)(name) for _ in range(8)]
        return tuple((answer.status_code, interface.is_throttled(answer)) for answer in answers)

    found = {name: shown(name) for name in EVERYBODY[:8]}
    assert len(set(found.values())) == 1
    if step == "confirm":
        throttled = [is_throttled for _, is_throttled in found["alice"]]
        assert throttled == [False] * 5 + [True] * 3


@pytest.mark.requirement("B3")
def test_new_sessions_give_no_new_guesses(limited):
    """Twenty new browsers together have as many attempts for an account as one."""
    codes = [Pages().confirm("alice", f"{number:06}").status_code for number in range(20)]
    assert codes.count(400) == 5
    assert codes.count(429) == 15
    assert len(limited.emulator.calls) == 5


@pytest.mark.requirement("B5")
@pytest.mark.parametrize(("first", "second"), [(REST, Pages), (Pages, AWS), (AWS, REST)])
def test_the_interfaces_share_their_limits(limited, first, second):
    """An attempt over one counts for all, whatever way the name is written."""
    assert statuses(first, "confirm", "alice@example.com", 5) == [400] * 5
    assert second().is_throttled(second().confirm(" Alice@EXAMPLE.com"))
    first().request("bob")
    before = len(limited.emulator.calls)
    second().request("BOB")
    assert len(limited.emulator.calls) == before


@pytest.mark.requirement("B5")
def test_pools_do_not_share_their_limits(limited, configure):
    """The same name is a different person in another pool."""
    configure(POOLS={"default": limited.pool, "brand": limited.pool})
    assert statuses(REST, "confirm", "alice", 6)[-1] == 429
    data = {"username": "alice", "confirmation_code": "000000", "password": NEW_PASSWORD}
    assert Pages().client.post("/brand/password-reset/confirm/", data).status_code == 400


@pytest.mark.requirement("B2")
def test_a_success_refunds_the_network_nothing(limited, configure):
    """An attacker can't get attempts back by resetting an account of their own."""
    configure(LIMITS={"confirm": {"network": "3/h"}})
    assert REST().confirm("bob").status_code == 400
    assert REST().confirm("alice", limited.code("alice"), NEW_PASSWORD).status_code == 200
    assert REST().confirm("heidi").status_code == 400
    assert REST().confirm("heidi").status_code == 429


@pytest.mark.requirement("B11")
def test_a_used_up_request_limit_does_not_block_a_code(limited):
    """Somebody who has codes sent to a person can't keep that person from using one."""
    statuses(REST, "request", "alice", 5)
    code = limited.emulator.outbox[-1].code
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200


@pytest.mark.requirement("B11")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_strangers_guesses_lock_no_owner_out(limited, make_interface):
    """
    One address guesses eight people's codes all the time. Each of them can still use their own
    code.
    """
    names = ["alice", "bob", "heidi", *(f"person-{number}" for number in range(5))]
    for name in names[3:]:
        limited.add(name, email=f"{name}@example.com", email_verified="true")

    def attack():
        stranger = REST()
        stranger.client.defaults["REMOTE_ADDR"] = "198.51.100.1"
        return [stranger.confirm(name).status_code for name in names for _ in range(7)]

    assert attack().count(400) == 8 * 5
    codes, owners = {}, {}
    for number, name in enumerate(names):
        owner = owners[name] = make_interface()
        owner.client.defaults["REMOTE_ADDR"] = f"192.0.2.{number}"
        assert owner.request(name).status_code == owner.SENT
        codes[name] = limited.emulator.outbox[-1].code
    assert attack().count(400) == 0
    for name, owner in owners.items():
        assert owner.confirm(name).status_code == 400  # a slip of the finger
        assert owner.confirm(name, codes[name], NEW_PASSWORD).status_code == owner.DONE
        assert owner.is_throttled(owner.confirm(name))


@pytest.mark.requirement("B16")
def test_one_home_does_not_use_up_the_site(limited, configure):
    """All networks of a home's /56 get four times the limit of one; others still get codes."""
    configure(LIMITS={"request": {"network": "2/h", "site": "12/h"}})
    codes = []
    for number in range(20):
        attacker = REST()
        attacker.client.defaults["REMOTE_ADDR"] = f"2001:db8:0:{number:x}::1"
        codes.append(attacker.request(f"user-{number}").status_code)
    assert codes.count(202) == 8
    assert REST().request("alice").status_code == 202


@pytest.mark.parametrize("step", ["request", "confirm"])
def test_an_attempt_that_never_reached_cognito_leaves_no_trace(limited, step):
    """No row is left of it, so that people may try again."""
    limited.emulator.fail_next("ForgotPassword", ConnectRefused(), times=6)
    limited.emulator.fail_next("ConfirmForgotPassword", ConnectRefused(), times=6)
    assert statuses(REST, step, "alice", 3) == [503] * 3
    assert levels() == []


@pytest.mark.requirement("B11")
def test_staff_can_let_a_person_try_again(limited):
    """The confirm limit blocks a name for its window, unless staff clear it."""
    statuses(REST, "confirm", "alice", 6)
    code = limited.code("alice")
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 429
    clear([identifier_key("default", "alice")])
    assert REST().confirm("alice", code, NEW_PASSWORD).status_code == 200


@pytest.mark.requirement("B14")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_store_that_is_down_closes_every_interface(limited, configure, settings, make_interface):
    """The answer is 503 without a call, unless LIMITS_FAIL_OPEN is set."""
    place = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1",
    }
    settings.CACHES = {**settings.CACHES, "down": place}
    configure(LIMITS_CACHE="down")
    for step in ("request", "confirm"):
        interface = make_interface()
        assert interface.is_unavailable(getattr(interface, step)("alice"))
    assert limited.emulator.calls == []
    configure(LIMITS_FAIL_OPEN=True)
    assert make_interface().confirm("alice").status_code == 400


def refuse(request, *, username, pool):
    raise ValidationError("Show that you are a person.", "challenge")


def refuse_as_drf(request, *, username, pool):
    raise serializers.ValidationError("Show that you are a person.", "challenge")


@pytest.mark.requirement("B15")
@pytest.mark.parametrize("hook", [refuse, refuse_as_drf, "tests.test_bombing.refuse"])
def test_a_hook_that_refuses_costs_the_network_alone(limited, configure, hook):
    """
    The form and REST show the hook's text. Nothing is sent, and the person's own limits aren't
    used.
    """
    configure(PRE_SEND_HOOK=hook)
    page = Pages().request("alice")
    assert page.status_code == 400
    assert "Show that you are a person." in page.content.decode()
    assert 'value="alice"' in page.content.decode()
    answer = REST().request("alice")
    assert answer.status_code == 400
    error = {"code": "challenge", "detail": "Show that you are a person.", "attr": None}
    assert answer.json() == {"type": "validation_error", "errors": [error]}
    assert limited.emulator.calls == []
    assert levels() == ["network", "network"]
    configure(PRE_SEND_HOOK=None)
    assert REST().request("alice").status_code == 202


def refuse_without_a_word(request, *, username, pool):
    raise ValidationError([])


@pytest.mark.requirement("B15")
def test_a_hook_that_refuses_without_a_word_refuses(limited, configure):
    """The form and REST show an error, as the schema describes."""
    configure(PRE_SEND_HOOK=refuse_without_a_word)
    page = Pages().request("alice")
    assert page.status_code == 400
    assert "Invalid input." in page.content.decode()
    error = {"code": "invalid", "detail": "Invalid input.", "attr": None}
    assert REST().request("alice").json() == {"type": "validation_error", "errors": [error]}
    assert limited.emulator.calls == []


@pytest.mark.requirement("B15")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_hook_sees_what_is_asked_for(limited, configure, make_interface):
    """
    The hook gets the request, the username as it is sent, and the pool. It runs for valid requests,
    and not for the confirm step.
    """
    seen = []

    def hook(request, **values):
        seen.append((request.headers["X-Challenge"], values))

    configure(PRE_SEND_HOOK=hook)
    interface = make_interface()
    interface.client.defaults["HTTP_X_CHALLENGE"] = "solved"
    assert interface.request("").status_code == 400
    assert interface.confirm("alice").status_code == 400
    assert interface.request(" alice ").status_code == interface.SENT
    assert seen == [("solved", {"username": "alice", "pool": "default"})]
    assert len(limited.emulator.calls) == 2


def fail(request, *, username, pool):
    raise ConnectionError(f"no verdict on {username}")


@pytest.mark.requirement("B15")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_hook_that_fails_is_no_way_around_it(limited, configure, caplog, make_interface):
    """
    The answer is 503 without a call. Only the network's limit is used, and the log has no name.
    """
    configure(PRE_SEND_HOOK=fail)
    interface = make_interface()
    assert interface.is_unavailable(interface.request("alice"))
    text = "cognito_reset.site_code_failed setting=PRE_SEND_HOOK error=ConnectionError"
    assert text in caplog.text
    assert "alice" not in caplog.text
    assert limited.emulator.calls == []
    assert levels() == ["network"]
