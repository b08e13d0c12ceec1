"""The rules for new passwords, which are checked before Cognito is called."""

from __future__ import annotations

import itertools
import random
import re
import socket
import string
import threading
import time

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from rest_framework.exceptions import ValidationError as DRFValidationError

from cognito_reset.checks.deployment import check_deployment
from cognito_reset.checks.settings import check_settings
from cognito_reset.resets import passwords as room
from cognito_reset.resets.passwords import PasswordPolicy, check_site_validators, get_policy
from cognito_reset.secret import Secret
from cognito_reset.testing import Error, Timeout
from tests.interfaces import INTERFACES, REST, Pages, with_settings
from tests.people import NEW_PASSWORD

VALIDATORS = "django.contrib.auth.password_validation"
FLAGS = ("RequireLowercase", "RequireUppercase", "RequireNumbers", "RequireSymbols")
POLICIES = [
    {"MinimumLength": length, **dict(zip(FLAGS, flags, strict=True))}
    for length, flags in itertools.product(
        (6, 8, 15, 99), itertools.product((False, True), repeat=4)
    )
]
SYMBOLS = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+-"


def with_policy(settings, value, **more):
    pools = settings.COGNITO_RESET["POOLS"]
    default = {**pools["default"], "PASSWORD_POLICY": value}
    with_settings(settings, POOLS={**pools, "default": default}, **more)


def codes(policy, password, username="alice", code="123456"):
    found = policy.problems(Secret(password), username=username, code=code)
    return [problem.code for problem in found]


def refusals(password, username="alice"):
    """Return the codes and texts of the errors that the site's validators raise."""
    try:
        check_site_validators(Secret(password), username)
    except DRFValidationError as error:
        return [(detail.code, str(detail)) for detail in dict(error.detail)["password"]]
    return []


def codes_of_validators(password, username="alice"):
    return [code for code, _text in refusals(password, username)]


def generated(rng):
    """Yield 200 passwords of all kinds. Some of them satisfy each policy."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, SYMBOLS, "é漢🔑", " ")
    for _ in range(200):
        letters = "".join(kind for kind in kinds if rng.random() < 0.7) or "a"
        length = rng.choice((5, 6, 7, 8, 14, 15, 98, 99, 120))
        yield "".join(rng.choice(letters) for _ in range(length)).strip() or "x"


@pytest.mark.requirement("P1")
@pytest.mark.parametrize(
    "values", POLICIES, ids=lambda v: f"{v['MinimumLength']}-{[*v.values()][1:]}"
)
def test_p1_the_verdict_is_the_pools(people, values):
    """For each policy, the app and the pool accept the same of 200 passwords."""
    people.call("UpdateUserPool", Policies={"PasswordPolicy": values})
    alice = {"UserPoolId": people.pool["USER_POOL_ID"], "Username": "alice"}
    policy = PasswordPolicy.from_aws(values)
    verdicts = set()
    for password in generated(random.Random(1)):
        status, _ = people.emulator.handle("AdminSetUserPassword", {**alice, "Password": password})
        expected = status == 200
        assert (not codes(policy, password)) is expected, password
        verdicts.add(expected)
    assert False in verdicts


@pytest.mark.requirement("P1")
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_p1_each_of_cognitos_symbols_is_one(symbol):
    """The symbols are those of the developer guide. Letters of other scripts are none."""
    policy = PasswordPolicy(1, frozenset({"RequireSymbols"}))
    assert codes(policy, f"a{symbol}") == []
    assert codes(policy, "aé漢") == ["password_no_symbol"]


@pytest.mark.requirement("P2")
def test_p2_an_inner_space_is_a_symbol_and_one_at_an_end_an_error(people, client):
    """A space at an end is probably a mistake. Cognito decides about other spaces."""
    assert codes(PasswordPolicy(), "Correct horse 1") == []
    for password in (" Correct-horse-2", "Correct-horse-2 "):
        response = client.post(
            "/password-reset/confirm/",
            {"username": "alice", "confirmation_code": "123456", "password": password},
        )
        assert "Remove the space at the start or the end" in response.content.decode()
    assert people.emulator.calls == []


@pytest.mark.requirement("P3")
def test_p3_a_length_is_counted_in_characters():
    """An emoji counts as one character."""
    policy = PasswordPolicy(8, frozenset())
    assert codes(policy, "🔑" * 7) == ["password_too_short"]
    assert codes(policy, "🔑" * 8) == []


def test_the_default_is_cognitos(people):
    """A pool that was made without a policy has 8 characters of all four kinds."""
    described = people.call("DescribeUserPool")["UserPool"]["Policies"]["PasswordPolicy"]
    assert PasswordPolicy.from_aws(described) == PasswordPolicy() == get_policy("default")


@pytest.mark.requirement("A4", "P1")
@pytest.mark.parametrize("make_interface", INTERFACES)
@pytest.mark.parametrize("name", ["alice", "nobody", "erin"])
def test_a4_a_weak_password_is_the_same_for_everybody_and_costs_no_code(
    people, make_interface, name, settings
):
    """It is refused before the call, for every username, and the code still works."""
    code = people.code("alice")
    people.emulator.calls.clear()
    interface = make_interface()
    response = interface.confirm(name, code, "short")
    assert response.status_code == 400
    body = response.content.decode()
    assert "Use at least 8 characters." in body
    assert "Use a number (0 to 9)." in body
    assert people.emulator.calls == []
    assert make_interface().confirm("alice", code, NEW_PASSWORD).status_code in (200, 302)


@pytest.mark.requirement("A4")
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a4_refusals_of_a_weak_password_look_alike(people, make_interface):
    """The response has the same bytes whether or not the user exists."""
    seen = []
    for name in ("alice", "nobody"):
        interface = make_interface()
        seen.append(interface.seen(interface.confirm(name, "123456", "short"), name))
    assert seen[0] == seen[1]


def test_all_that_is_wrong_is_said_at_once(people, client):
    """One response lists a missing code and a weak password."""
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


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(
    ("username", "code", "password"),
    [
        ("Long-Enough-1", "123456", "long-enough-1"),
        ("alice", "Strange-code-9", "Strange-code-9"),
    ],
)
def test_p11_a_password_is_neither_the_username_nor_the_code(username, code, password):
    """Upper and lower case make no difference."""
    policy = PasswordPolicy(8, frozenset())
    assert codes(policy, password, username, code) == ["password_too_similar"]
    assert codes(policy, f"{password}-and-more", username, code) == []


class TestValidators:
    """The site's AUTH_PASSWORD_VALIDATORS."""

    @pytest.fixture(autouse=True)
    def validators(self, settings):
        settings.AUTH_PASSWORD_VALIDATORS = [
            {"NAME": f"{VALIDATORS}.UserAttributeSimilarityValidator"},
            {"NAME": f"{VALIDATORS}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
            {"NAME": f"{VALIDATORS}.CommonPasswordValidator"},
            {"NAME": f"{VALIDATORS}.NumericPasswordValidator"},
        ]
        with_policy(settings, {"MinimumLength": 8})

    @pytest.mark.requirement("P4")
    def test_p4_they_are_asked_too_and_lengths_are_merged(self):
        """The longer of the two minimum lengths becomes the rule."""
        policy = get_policy("default")
        assert policy.minimum_length == 12
        assert codes(policy, "12345678") == ["password_too_short"]
        assert codes_of_validators("12345678") == [
            "password_too_short",
            "password_too_common",
            "password_entirely_numeric",
        ]

    @pytest.mark.requirement("P4")
    @pytest.mark.django_db
    def test_p4_the_user_is_made_up_and_nothing_is_looked_up(
        self, django_assert_num_queries, django_user_model
    ):
        """A password that resembles the typed name is refused, whether or not the user exists."""
        django_user_model.objects.create_user("alice.wonder", first_name="Persephone")
        with django_assert_num_queries(0):
            for name in ("alice.wonder", "nobody.wonder"):
                assert codes_of_validators(f"{name}-1!", name) == ["password_too_similar"]
            assert refusals("Persephone-12", "alice.wonder") == []

    @pytest.mark.requirement("P4")
    def test_p4_they_can_be_left_out(self, settings):
        """The setting AUTH_PASSWORD_VALIDATORS switches them off."""
        with_settings(settings, AUTH_PASSWORD_VALIDATORS=False)
        policy = get_policy("default")
        assert policy.minimum_length == 8
        assert policy.hints == []
        assert refusals("12345678") == []

    @pytest.mark.requirement("P8")
    def test_p8_what_they_ask_for_is_shown_before_typing(self, settings):
        """Hints that repeat a rule are left out."""
        shown = " ".join(get_policy("default").hints)
        assert "commonly used" in shown
        assert "entirely numeric" in shown
        assert "characters" not in shown
        with_policy(settings, {"MinimumLength": 8, "RequireLowercase": True})
        assert "entirely numeric" not in " ".join(get_policy("default").hints)

    @pytest.mark.parametrize("make_interface", INTERFACES)
    @pytest.mark.parametrize(
        ("name", "event"),
        [
            ("tests.test_passwords.Broken", "cognito_reset.site_code_failed"),
            ("tests.no_such.Validator", "cognito_reset.misconfigured"),
        ],
    )
    def test_a_validator_that_breaks_is_the_sites_own_fault(
        self, people, settings, make_interface, name, event, caplog
    ):
        """The answer is 503, the log has no password, and the code still works."""
        settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": name}]
        interface = make_interface()
        assert interface.is_unavailable(interface.confirm("alice", "123456", NEW_PASSWORD))
        assert people.emulator.calls == []
        levels = {record.levelname for record in caplog.records if event in record.msg}
        assert levels == {"CRITICAL"}
        assert NEW_PASSWORD not in caplog.text

    def test_a_validator_without_a_code_gets_ours(self, settings):
        """Its text is shown, with a documented code."""
        settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": "tests.test_passwords.Plain"}]
        assert refusals("12345678") == [("password_invalid", "Not on a Monday.")]
        assert get_policy("default").hints == []


class Plain:
    def validate(self, password, user=None):
        raise ValidationError("Not on a Monday.")

    def get_help_text(self):
        return ""


class Broken(Plain):
    def validate(self, password, user=None):
        raise KeyError(password)


@pytest.mark.requirement("P5")
def test_p5_a_breach_list_that_is_down_stops_nobody(people, settings, monkeypatch, client):
    """Pwned-passwords-django falls back to Django's list of common passwords."""
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
    assert codes_of_validators("password123") == ["password_too_common"]
    data = {"username": "alice", "confirmation_code": code, "password": NEW_PASSWORD}
    assert client.post("/password-reset/confirm/", data).status_code == 302
    assert set(asked) == {"api.pwnedpasswords.com"}


class TestPool:
    """``PASSWORD_POLICY = "pool"``."""

    numbers = itertools.count(1)

    @pytest.fixture(autouse=True)
    def pool(self, people, settings):
        """A pool that no other test has, because a process remembers the policies of pools."""
        values = {"MinimumLength": 10, "RequireSymbols": True}
        body = {"PoolName": "policy", "Policies": {"PasswordPolicy": values}}
        for _ in range(next(self.numbers)):  # the emulator makes the same ids in each test
            _, answer = people.emulator.handle("CreateUserPool", body)
        pools = settings.COGNITO_RESET["POOLS"]
        pool = {**pools["default"], "USER_POOL_ID": answer["UserPool"]["Id"]}
        with_settings(settings, POOLS={**pools, "default": pool})
        with_policy(settings, "pool")
        people.emulator.calls.clear()

    def described(self, people):
        return [operation for operation, _ in people.emulator.calls].count("DescribeUserPool")

    @pytest.mark.requirement("P1")
    def test_p1_the_pool_is_asked_once_an_hour(self, people, monkeypatch):
        """The policy that it returns is used."""
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

    @pytest.mark.requirement("P1")
    @pytest.mark.parametrize(
        "fault", [Timeout(), Error("AccessDeniedException")], ids=["silence", "denied"]
    )
    def test_p1_where_it_fails_the_default_holds_and_then_the_last_known(
        self, people, monkeypatch, fault
    ):
        """A failure stops nobody, and the pool isn't asked again for a minute."""
        people.emulator.fail_next("DescribeUserPool", fault)
        assert get_policy("default") == get_policy("default") == PasswordPolicy()
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        assert get_policy("default").minimum_length == 10
        people.emulator.fail_next("DescribeUserPool", fault)
        monkeypatch.setattr(time, "monotonic", lambda: now + 3700)
        assert get_policy("default").minimum_length == 10

    @pytest.mark.requirement("P1")
    def test_p1_a_pool_that_is_slow_is_waited_for_two_seconds(self, people, monkeypatch):
        """After that, the page shows the default policy."""
        monkeypatch.setattr(room, "WAIT_SECONDS", 0.1)
        events = room.get_service("default").admin_client.meta.events
        may_go_on = threading.Event()

        def wait(**_):
            may_go_on.wait(60)  # botocore would take another result than None for an answer

        events.register_first("before-send.cognito-identity-provider", wait, unique_id="slow")
        start = time.monotonic()
        try:
            assert get_policy("default") == PasswordPolicy()
            assert time.monotonic() - start < 10
            may_go_on.set()
            while not self.described(people):  # the call that goes on is of this test
                time.sleep(0.01)
        finally:
            may_go_on.set()
            events.unregister("before-send.cognito-identity-provider", wait, unique_id="slow")

    @pytest.mark.requirement("P1", "U11")
    def test_p1_the_page_shows_it(self, client):
        """The page has the texts of the rules that apply, and no others."""
        body = client.get("/password-reset/confirm/").content.decode()
        assert "Use at least 10 characters." in body
        assert "Use a symbol" in body
        assert "Use a number" not in body


@pytest.mark.requirement("U6")
def test_u6_password_managers_get_the_policy(client, settings):
    """A password that is generated from ``passwordrules`` satisfies the policy."""
    for values in POLICIES:
        with_policy(settings, values)
        rules = get_policy("default").passwordrules
        body = client.get("/password-reset/confirm/").content.decode()
        assert f'passwordrules="{rules.replace("&", "&amp;")}"' in body
        assert codes(PasswordPolicy.from_aws(values), made_by(rules)) == []


def made_by(rules):
    """Return a password that is generated from the rules alone."""
    parts = [part.strip() for part in re.split(r";(?![^\[]*\])", rules) if part.strip()]
    named = {"lower": string.ascii_lowercase, "upper": string.ascii_uppercase}
    named["digit"] = string.digits
    (least,) = [int(part.split()[1]) for part in parts if part.startswith("minlength:")]
    kinds = [part.split()[1] for part in parts if part.startswith("required:")]
    letters = [random.choice(named.get(kind) or kind[1:-1]) for kind in kinds]
    while len(letters) < least:
        letters.append(random.choice(string.ascii_lowercase))
    return "".join(letters)


@pytest.mark.requirement("P8", "U11")
def test_p8_the_rules_stand_before_the_field(client):
    """The field refers to their texts. There is advice on passphrases and no strength bar."""
    page = client.get("/password-reset/confirm/").content.decode()
    field = re.search(r'<input[^>]* id="id_password"[^>]*>', page)
    assert field is not None
    assert page.index("Use at least 8 characters.") < field.start()
    assert 'aria-describedby=" id_password-rules"' in field[0]
    assert "A few words that only you would put together make a good password." in page
    assert "<meter" not in page
    assert "<progress" not in page


@pytest.mark.requirement("U11")
def test_u11_the_words_of_the_list_are_those_of_the_error(people):
    """A REST error has the same text as the rule. The page shows that text once, in the list."""
    body = Pages().confirm("alice", "123456", "x").content.decode()
    errors = [error["detail"] for error in REST().confirm("alice", "123456", "x").json()["errors"]]
    for rule in PasswordPolicy().rules[2:]:
        assert body.count(rule.text) == errors.count(rule.text) == 1


class TestEndpoint:
    """``GET policy/``."""

    @pytest.mark.requirement("P1")
    def test_the_rules_are_served_in_the_visitors_language(self, settings):
        """A single-page app gets the texts and patterns of the rules."""
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
        """The answer has no details, and the log names the setting."""
        with_policy(settings, {"MinimumLength": "eight"})
        response = Client().get("/api/password-reset/policy/")
        assert response.status_code == 503
        assert "PASSWORD_POLICY" not in response.content.decode()
        assert "PASSWORD_POLICY" in caplog.text

    def test_only_reading_is_possible(self):
        """Another method gets 405, in the format of all errors."""
        response = Client().post("/api/password-reset/policy/")
        assert response.status_code == 405
        assert response.json()["type"] == "client_error"


@pytest.mark.requirement("P9")
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
    """A minimum below 8 is a warning. Below 15, or with character classes, it is an info."""
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
    """The check E023 reports it."""
    with_policy(settings, value)
    assert [message.id for message in check_settings()] == ["cognito_reset.E023"]


def test_describe_user_pools_own_answer_can_be_pasted(people, settings):
    """Members that can't be checked beforehand are accepted."""
    described = people.call("DescribeUserPool")["UserPool"]["Policies"]["PasswordPolicy"]
    with_policy(settings, {**described, "PasswordHistorySize": 3})
    assert check_settings() == []
    assert get_policy("default") == PasswordPolicy()
