"""REQUIREMENTS 4: what a new password must be, before Cognito is asked."""

from __future__ import annotations

import itertools
import random
import re
import socket
import string
import time

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from cognito_reset.checks.settings import check_deployment, check_settings
from cognito_reset.resets import passwords as room
from cognito_reset.resets.passwords import PasswordPolicy, get_policy
from cognito_reset.testing import Error, Timeout
from cognito_reset.testing.errors import CognitoError
from tests.interfaces import INTERFACES, Pages
from tests.people import NEW_PASSWORD
from tests.test_pages import with_settings

VALIDATORS = "django.contrib.auth.password_validation"
FLAGS = ("RequireLowercase", "RequireUppercase", "RequireNumbers", "RequireSymbols")
POLICIES = [
    {"MinimumLength": length, **dict(zip(FLAGS, flags, strict=True))}
    for length, flags in itertools.product(
        (6, 8, 15, 99), itertools.product((False, True), repeat=4)
    )
]
SYMBOLS = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+-"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(room, "_known", {})


def with_policy(settings, value, **more):
    pools = settings.COGNITO_RESET["POOLS"]
    default = {**pools["default"], "PASSWORD_POLICY": value}
    with_settings(settings, POOLS={**pools, "default": default}, **more)


def codes(policy, password, username="alice", code="123456"):
    return [code for code, _ in policy.problems(password, username=username, code=code)]


def generated(rng):
    """200 passwords of all kinds, of which some keep each policy."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, SYMBOLS, "é漢🔑", " ")
    for _ in range(200):
        letters = "".join(kind for kind in kinds if rng.random() < 0.7) or "a"
        length = rng.choice((5, 6, 7, 8, 14, 15, 98, 99, 120))
        yield "".join(rng.choice(letters) for _ in range(length)).strip() or "x"


@pytest.mark.parametrize(
    "values", POLICIES, ids=lambda v: f"{v['MinimumLength']}-{[*v.values()][1:]}"
)
def test_p1_the_verdict_is_the_pools(people, values):
    """P1: for each policy and 200 passwords the app says what the pool would say."""
    pool = people.emulator._state.pool(people.pool["USER_POOL_ID"])
    pool.settings["Policies"] = {"PasswordPolicy": values}
    policy = PasswordPolicy.from_aws(values)
    verdicts = set()
    for password in generated(random.Random(1)):
        try:
            pool.check_password(password)
            expected = True
        except CognitoError:
            expected = False
        assert (not codes(policy, password)) is expected, password
        verdicts.add(expected)
    assert False in verdicts


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_p1_each_of_cognitos_symbols_is_one(symbol):
    """P1: the developer guide's list, and no letter of another script."""
    policy = PasswordPolicy(1, frozenset({"RequireSymbols"}))
    assert codes(policy, f"a{symbol}") == []
    assert codes(policy, "aé漢") == ["password_no_symbol"]


def test_p2_an_inner_space_is_a_symbol_and_one_at_an_end_an_error(people, client):
    """P2: "a b" is Cognito's to decide, " a" and "a " would set another password than meant."""
    assert codes(PasswordPolicy(), "Correct horse 1") == []
    for password in (" Correct-horse-2", "Correct-horse-2 "):
        response = client.post(
            "/password-reset/confirm/",
            {"username": "alice", "confirmation_code": "123456", "password": password},
        )
        assert "Remove the space at the start or the end" in response.content.decode()
    assert people.emulator.calls == []


def test_p3_a_length_is_counted_in_characters():
    """P3: an emoji is one of them."""
    policy = PasswordPolicy(8, frozenset())
    assert codes(policy, "🔑" * 7) == ["password_too_short"]
    assert codes(policy, "🔑" * 8) == []


def test_the_default_is_cognitos(people):
    """A pool that was made without a policy has 8 characters of all four kinds."""
    described = people.call("DescribeUserPool")["UserPool"]["Policies"]["PasswordPolicy"]
    assert PasswordPolicy.from_aws(described) == PasswordPolicy() == get_policy("default")


@pytest.mark.parametrize("make_face", INTERFACES)
@pytest.mark.parametrize("name", ["alice", "nobody", "erin"])
def test_a4_a_weak_password_is_the_same_for_everybody_and_costs_no_code(
    people, make_face, name, settings
):
    """A4, P1: it is refused before the call, whoever it is for, and the code still works."""
    code = people.code("alice")
    people.emulator.calls.clear()
    interface = make_face()
    response = interface.confirm(name, code, "short")
    assert response.status_code == 400
    body = response.content.decode()
    assert "Use at least 8 characters." in body
    assert "Use a number (0 to 9)." in body
    assert people.emulator.calls == []
    assert make_face().confirm("alice", code, NEW_PASSWORD).status_code in (200, 302)


@pytest.mark.parametrize("make_face", INTERFACES)
def test_a4_refusals_of_a_weak_password_look_alike(people, make_face):
    """A4: the same bytes for users that there are and for names that there aren't."""
    seen = []
    for name in ("alice", "nobody"):
        interface = make_face()
        seen.append(interface.seen(interface.confirm(name, "123456", "short"), name))
    assert seen[0] == seen[1]


def test_all_that_is_wrong_is_said_at_once(people, client):
    """A missing code doesn't hide a weak password: nobody wants to be told one by one."""
    response = client.post(
        "/api/password-reset/confirm/",
        {"username": "alice", "confirmation_code": "", "password": "alllower"},
        content_type="application/json",
    )
    assert [error["code"] for error in response.json()["errors"]] == [
        "required",
        "password_no_uppercase",
        "password_no_number",
        "password_no_symbol",
    ]


@pytest.mark.parametrize(
    ("username", "code", "password"),
    [
        ("Long-Enough-1", "123456", "long-enough-1"),
        ("alice", "Strange-code-9", "Strange-code-9"),
    ],
)
def test_p11_a_password_is_neither_the_username_nor_the_code(username, code, password):
    """P11: whatever the case."""
    policy = PasswordPolicy(8, frozenset())
    assert codes(policy, password, username, code) == ["password_too_similar"]
    assert codes(policy, f"{password}-and-more", username, code) == []


class TestValidators:
    """P4: the site's AUTH_PASSWORD_VALIDATORS."""

    @pytest.fixture(autouse=True)
    def validators(self, settings):
        settings.AUTH_PASSWORD_VALIDATORS = [
            {"NAME": f"{VALIDATORS}.UserAttributeSimilarityValidator"},
            {"NAME": f"{VALIDATORS}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
            {"NAME": f"{VALIDATORS}.CommonPasswordValidator"},
            {"NAME": f"{VALIDATORS}.NumericPasswordValidator"},
        ]
        with_policy(settings, {"MinimumLength": 8})

    def test_p4_they_are_asked_too_and_lengths_are_merged(self):
        """P4: the longer of the two lengths holds, and is said once."""
        policy = get_policy("default")
        assert policy.minimum_length == 12
        assert codes(policy, "12345678") == [
            "password_too_short",
            "password_too_common",
            "password_entirely_numeric",
        ]

    @pytest.mark.django_db
    def test_p4_the_user_is_made_up_and_nothing_is_looked_up(
        self, django_assert_num_queries, django_user_model
    ):
        """P4: a password like what was typed is refused for users and strangers alike."""
        django_user_model.objects.create_user("alice.wonder", first_name="Persephone")
        policy = get_policy("default")
        with django_assert_num_queries(0):
            for name in ("alice.wonder", "nobody.wonder"):
                assert codes(policy, f"{name}-1!", username=name) == ["password_too_similar"]
            assert codes(policy, "Persephone-12", username="alice.wonder") == []

    def test_p4_they_can_be_left_out(self, settings):
        """P4: by a setting."""
        with_settings(settings, AUTH_PASSWORD_VALIDATORS=False)
        policy = get_policy("default")
        assert policy.minimum_length == 8
        assert policy.hints == []
        assert codes(policy, "12345678") == []

    def test_p8_what_they_ask_for_is_shown_before_typing(self, settings):
        """P8: without what the rules say already."""
        shown = " ".join(get_policy("default").hints)
        assert "commonly used" in shown
        assert "entirely numeric" in shown
        assert "characters" not in shown
        with_policy(settings, {"MinimumLength": 8, "RequireLowercase": True})
        assert "entirely numeric" not in " ".join(get_policy("default").hints)

    @pytest.mark.parametrize("make_face", INTERFACES)
    @pytest.mark.parametrize("name", ["tests.test_passwords.Broken", "tests.no_such.Validator"])
    def test_a_validator_that_breaks_is_the_sites_own_fault(
        self, people, settings, make_face, name, caplog
    ):
        """503 and a line for the operator, in which no password stands; the code isn't spent."""
        settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": name}]
        interface = make_face()
        assert interface.is_unavailable(interface.confirm("alice", "123456", NEW_PASSWORD))
        assert people.emulator.calls == []
        levels = {record.levelname for record in caplog.records if "misconfigured" in record.msg}
        assert levels == {"CRITICAL"}
        assert NEW_PASSWORD not in caplog.text

    def test_a_validator_without_a_code_gets_ours(self, settings):
        """Its words are shown, and the code is one that the README names."""
        settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": "tests.test_passwords.Plain"}]
        policy = get_policy("default")
        assert [*policy.problems("12345678", username="a", code="b")] == [
            ("password_invalid", "Not on a Monday.")
        ]
        assert policy.hints == []


class Plain:
    def validate(self, password, user=None):
        raise ValidationError("Not on a Monday.")

    def get_help_text(self):
        return ""


class Broken(Plain):
    def validate(self, password, user=None):
        raise KeyError(password)


def test_p5_a_breach_list_that_is_down_stops_nobody(people, settings, monkeypatch, client):
    """P5: pwned-passwords-django falls back to Django's common passwords, and the flow goes on."""
    pytest.importorskip("pwned_passwords_django", reason="pwned-passwords-django isn't installed")
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": "pwned_passwords_django.validators.PwnedPasswordsValidator"}
    ]
    asked = []

    def down(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror

    code = people.code("alice")
    monkeypatch.setattr(socket, "getaddrinfo", down)
    policy = PasswordPolicy(6, frozenset())
    assert codes(policy, "password123") == ["password_too_common"]
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    assert client.post("/password-reset/confirm/", data).status_code == 302
    assert set(asked) == {"api.pwnedpasswords.com"}


class TestPool:
    """``PASSWORD_POLICY = "pool"``."""

    @pytest.fixture(autouse=True)
    def pool(self, people, settings):
        with_policy(settings, "pool")
        values = {"MinimumLength": 10, "RequireSymbols": True}
        people.call("UpdateUserPool", Policies={"PasswordPolicy": values})
        people.emulator.calls.clear()

    def described(self, people):
        return [operation for operation, _ in people.emulator.calls].count("DescribeUserPool")

    def test_p1_the_pool_is_asked_once_an_hour(self, people, monkeypatch):
        """P1: and what it says holds."""
        expected = PasswordPolicy(10, frozenset({"RequireSymbols"}))
        assert get_policy("default") == get_policy("default") == expected
        assert self.described(people) == 1
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 3590)
        get_policy("default")
        assert self.described(people) == 1
        monkeypatch.setattr(time, "monotonic", lambda: now + 3610)
        get_policy("default")
        assert self.described(people) == 2

    @pytest.mark.parametrize(
        "fault", [Timeout(), Error("AccessDeniedException")], ids=["silence", "denied"]
    )
    def test_p1_where_it_fails_the_default_holds_and_then_the_last_known(
        self, people, monkeypatch, fault
    ):
        """P1: a pool that can't be read blocks nobody, and isn't asked again for a minute."""
        people.emulator.fail_next("DescribeUserPool", fault)
        assert get_policy("default") == get_policy("default") == PasswordPolicy()
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        assert get_policy("default").minimum_length == 10
        people.emulator.fail_next("DescribeUserPool", fault)
        monkeypatch.setattr(time, "monotonic", lambda: now + 3700)
        assert get_policy("default").minimum_length == 10

    def test_p1_a_pool_that_is_slow_is_waited_for_two_seconds(self, people, monkeypatch):
        """P1: a page shows the default rather than make a person wait."""
        monkeypatch.setattr(room, "WAIT_SECONDS", 0.1)
        events = room.get_service("default").admin_client.meta.events
        wait = lambda **_: time.sleep(1.5)  # noqa: E731
        events.register_first("before-send.cognito-identity-provider", wait, unique_id="slow")
        start = time.monotonic()
        try:
            assert get_policy("default") == PasswordPolicy()
            assert time.monotonic() - start < 1.4
            while not self.described(people):  # the call that goes on is of this test
                time.sleep(0.01)
        finally:
            events.unregister("before-send.cognito-identity-provider", wait, unique_id="slow")

    def test_p1_the_page_shows_it(self, client):
        """P1, U11: in words, as patterns for the script, and for password managers."""
        body = client.get("/password-reset/confirm/").content.decode()
        assert "Use at least 10 characters." in body
        assert "Use a symbol" in body
        assert "Use a number" not in body


def test_u6_password_managers_get_the_policy(client, settings):
    """U6: as passwordrules; what is made by them keeps the policy."""
    for values in POLICIES:
        with_policy(settings, values)
        rules = get_policy("default").passwordrules
        body = client.get("/password-reset/confirm/").content.decode()
        assert f'passwordrules="{rules.replace("&", "&amp;")}"' in body
        assert codes(PasswordPolicy.from_aws(values), made_by(rules)) == []


def made_by(rules):
    """A password as a manager makes it that knows nothing but the rules."""
    parts = [part.strip() for part in re.split(r";(?![^\[]*\])", rules) if part.strip()]
    named = {"lower": string.ascii_lowercase, "upper": string.ascii_uppercase}
    named["digit"] = string.digits
    (least,) = [int(part.split()[1]) for part in parts if part.startswith("minlength:")]
    kinds = [part.split()[1] for part in parts if part.startswith("required:")]
    letters = [random.choice(named.get(kind) or kind[1:-1]) for kind in kinds]
    while len(letters) < least:
        letters.append(random.choice(string.ascii_lowercase))
    return "".join(letters)


def test_p8_the_rules_stand_before_the_field(client):
    """P8, U11: in words, tied to the field, with a sentence on passphrases and no strength bar."""
    page = client.get("/password-reset/confirm/").content.decode()
    field = re.search(r'<input[^>]* id="id_password"[^>]*>', page)
    assert field is not None
    assert page.index("Use at least 8 characters.") < field.start()
    assert 'aria-describedby=" id_password-rules"' in field[0]
    assert "A few words that only you would put together make a good password." in page
    assert "<meter" not in page
    assert "<progress" not in page


def test_u11_the_words_of_the_list_are_those_of_the_error(people):
    """U11: what wasn't kept is said as it was shown."""
    body = Pages().confirm("alice", "123456", "x").content.decode()
    for rule in PasswordPolicy().rules[2:]:
        assert body.count(rule.text) == 3  # the summary, the field's error, the list


class TestEndpoint:
    """``GET policy/``."""

    def test_the_rules_are_served_in_the_visitors_language(self, settings):
        """P1: what a single-page app shows and checks."""
        response = Client().get("/api/password-reset/policy/")
        assert response.status_code == 200
        body = response.json()
        assert body["passwordrules"].startswith("minlength: 8; required: lower;")
        assert [rule["code"] for rule in body["rules"]] == [
            "password_too_short",
            "password_no_lowercase",
            "password_no_uppercase",
            "password_no_number",
            "password_no_symbol",
        ]
        for rule in body["rules"]:
            assert set(rule) == {"code", "text", "pattern"}
            assert re.search(rule["pattern"], NEW_PASSWORD)
        assert body["hints"] == []

    def test_settings_that_cannot_be_used_are_503(self, settings, caplog):
        """As on the other endpoints, without detail."""
        with_policy(settings, {"MinimumLength": "eight"})
        response = Client().get("/api/password-reset/policy/")
        assert response.status_code == 503
        assert "PASSWORD_POLICY" not in response.content.decode()
        assert "PASSWORD_POLICY" in caplog.text

    def test_only_reading_is_possible(self):
        """405 with the shape of all errors."""
        response = Client().post("/api/password-reset/policy/")
        assert response.status_code == 405
        assert response.json()["type"] == "client_error"


@pytest.mark.parametrize(
    ("values", "id"),
    [
        ({"MinimumLength": 6}, "W009"),
        ({"MinimumLength": 14}, "I001"),
        ({"MinimumLength": 15, "RequireSymbols": True}, "I001"),
        ({"MinimumLength": 15, "RequireSymbols": False}, None),
        ("pool", None),
        (None, None),
    ],
    ids=str,
)
def test_p9_a_check_says_what_nist_says(settings, values, id):
    """P9: under 8 is a warning, under 15 or with rules on kinds a note, of policies that are set."""
    with_policy(settings, values)
    found = {message.id for message in check_deployment()} & {
        "cognito_reset.W009",
        "cognito_reset.I001",
    }
    assert found == ({f"cognito_reset.{id}"} if id else set())


@pytest.mark.parametrize(
    "value",
    [
        "none",
        5,
        {"MinimumLength": 5},
        {"MinimumLength": 100},
        {"MinimumLength": True},
        {"MinimumLength": "8"},
        {"RequireNumbers": 1},
        {"RequireDigits": True},
        [],
    ],
    ids=str,
)
def test_a_policy_that_is_none_is_a_check_error(settings, value):
    """E023, before a person meets it."""
    with_policy(settings, value)
    assert [message.id for message in check_settings()] == ["cognito_reset.E023"]


def test_describe_user_pools_own_answer_can_be_pasted(people, settings):
    """The members that can't be checked here are taken, too."""
    described = people.call("DescribeUserPool")["UserPool"]["Policies"]["PasswordPolicy"]
    with_policy(settings, {**described, "PasswordHistorySize": 3})
    assert check_settings() == []
    assert get_policy("default") == PasswordPolicy()
