"""What people sign in with: the field that asks for it, and phone numbers as they are typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cognito_reset.conf import SIGN_IN_NAMES
from cognito_reset.resets.identifiers import identifier_key, identifier_keys
from cognito_reset.resets.serializers import RequestCodeSerializer
from tests.interfaces import INTERFACES, REST, Pages
from tests.people import NEW_PASSWORD, People

E164 = "+491712345678"
PHONE_ONLY, EMAIL_OR_PHONE = ("phone_number",), ("email", "phone_number")
AS_TYPED = [
    "0171 234 5678",
    "(0171) 2345678",
    "0171/2345678",
    "0171-234.5678",
    "01712345678",
    "+49 171 2345678",
    "+49 (0)171 2345678",
    "0049 171 2345678",
    "\uff0b49 171\u00a02345678",
    "\u202a+49 171 2345678\u202c",  # as a phone's contacts copy it
    "٠١٧١ ٢٣٤ ٥٦٧٨",
    E164,
]


def signing_in_with(settings, *names, **options):
    pools = settings.COGNITO_RESET["POOLS"]
    pool = {**pools["default"], "SIGN_IN_WITH": names, **options}
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "POOLS": {**pools, "default": pool}}


def serializer(typed, names=SIGN_IN_NAMES, region="DE"):
    pool = SimpleNamespace(sign_in_with=names, phone_region=region)
    return RequestCodeSerializer(data={"username": typed}, context={"pool": pool})


def taken(typed, names=SIGN_IN_NAMES, region="DE"):
    """Return the username that is sent for the typed text."""
    made = serializer(typed, names, region)
    made.is_valid(raise_exception=True)
    return made.validated_data["username"]


def refusal(typed, names=SIGN_IN_NAMES, region="DE"):
    made = serializer(typed, names, region)
    assert not made.is_valid()
    [error] = made.errors["username"]
    return error.code, str(error)


# The field

FIELDS = [
    (["username"], "Username", {"type": "text"}, "Enter your username."),
    (
        ["email"],
        "Email address",
        {"type": "text", "inputmode": "email"},
        "Enter your email address.",
    ),
    (["phone_number"], "Phone number", {"type": "tel"}, "Enter your phone number."),
    (
        ["email", "username"],
        "Username or email address",
        {"type": "text"},
        "Enter your username or email address.",
    ),
    (
        ["username", "phone_number"],
        "Username or phone number",
        {"type": "text"},
        "Enter your username or phone number.",
    ),
    (
        ["email", "phone_number"],
        "Email address or phone number",
        {"type": "text"},
        "Enter your email address or phone number.",
    ),
    (
        ["username", "email", "phone_number"],
        "Username, email address or phone number",
        {"type": "text"},
        "Enter your username, email address or phone number.",
    ),
]


@pytest.mark.requirement("U4")
@pytest.mark.parametrize("path", ["", "confirm/"])
@pytest.mark.parametrize(
    ("names", "label", "attributes", "missing"), FIELDS, ids=lambda value: str(value)[:40]
)
def test_u4_the_field_asks_for_what_the_pool_takes(
    people, settings, path, names, label, attributes, missing
):
    """
    Label, keyboard and error. Never type="email": there browsers turn a domain in Unicode into
    another spelling, and Cognito compares letter by letter.
    """
    signing_in_with(settings, *names)
    [field, *_] = Pages().client.get(f"/password-reset/{path}").context["fields"]
    assert (field.label, field.autocomplete) == (label, "username")
    assert {"type": field.type, "inputmode": field.inputmode} == {"inputmode": "", **attributes}
    for interface in INTERFACES:
        assert missing in interface().send(path, {"username": " "}).content.decode()


@pytest.mark.requirement("U4")
@pytest.mark.parametrize(
    ("names", "region", "hint"),
    [
        (SIGN_IN_NAMES, None, "Start a phone number with + and the country code."),
        (PHONE_ONLY, None, "Start a phone number with + and the country code."),
        (PHONE_ONLY, "DE", ""),
        (("username", "email"), None, ""),
    ],
)
def test_u4_the_hint_says_how_to_write_a_phone_number(people, settings, names, region, hint):
    """The hint asks for E.164 if no other form is understood."""
    signing_in_with(settings, *names, PHONE_REGION=region)
    [field] = Pages().client.get("/password-reset/").context["fields"]
    assert field.help_text == hint


@pytest.mark.requirement("U4")
def test_u4_every_pool_has_its_own_field(people, settings):
    """The URL's pool decides."""
    signing_in_with(settings, "email")
    client = Pages().client
    labels = [
        client.get(f"{brand}/password-reset/").context["fields"][0].label
        for brand in ("", "/brand")
    ]
    assert labels == ["Email address", "Username, email address or phone number"]


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_pool_that_cannot_be_used_is_the_sites_mistake(people, settings, interface):
    """The answer is 503 before anything is sent. The page shows it before anything is typed."""
    signing_in_with(settings, "mail")
    assert interface().is_unavailable(interface().request("alice"))
    assert Pages().client.get("/password-reset/").status_code == 503
    assert people.emulator.calls == []


# Phone numbers


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("names", [PHONE_ONLY, EMAIL_OR_PHONE])
@pytest.mark.parametrize("typed", AS_TYPED, ids=ascii)
def test_g7_a_phone_number_becomes_e164(typed, names):
    """Cognito accepts no other form."""
    assert taken(typed, names) == E164


@pytest.mark.requirement("G7")
@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("+49 171 2345678", E164),
        ("+49-171-2345678", E164),
        ("0171 234 5678", E164),  # no username has a space
        ("01712345678", "01712345678"),
        ("0049171234567", "0049171234567"),
        ("0171-2345678", "0171-2345678"),
        ("٠١٧١٢٣٤٥٦٧٨", "٠١٧١٢٣٤٥٦٧٨"),
        ("+1555", "+1555"),
    ],
    ids=ascii,
)
def test_g7_a_username_of_digits_stays_one(typed, sent):
    """
    If the pool accepts usernames too, only text that can't be a username is read as a phone number.
    """
    assert taken(typed) == sent


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("names", [SIGN_IN_NAMES, PHONE_ONLY, EMAIL_OR_PHONE])
@pytest.mark.parametrize("typed", ["Alice", "a1", "0171a2345678", "1712345678@example.com"])
def test_g7_letters_make_no_phone_number(typed, names):
    """An email address makes none, either."""
    assert taken(typed, names) == typed


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("names", [("username",), ("email",), ("username", "email")])
def test_g7_nothing_is_converted_where_no_number_signs_in(names):
    """A text that begins with a plus is an ordinary username."""
    assert taken("+49-0171234567", names) == "+49-0171234567"


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("names", [SIGN_IN_NAMES, PHONE_ONLY, EMAIL_OR_PHONE])
@pytest.mark.parametrize(
    "typed", ["+49 171 2345678", "+49 (171) 234-5678", "\uff0b49.171/2345678", "+٤٩ ١٧١ ٢٣٤٥٦٧٨"]
)
def test_g7_an_international_number_needs_no_region(typed, names):
    """Only spaces and punctuation are removed. No library is needed."""
    assert taken(typed, names, region=None) == E164


@pytest.mark.requirement("G7")
def test_g7_a_national_number_needs_a_region():
    """Without a region the number is ambiguous, and the error says so."""
    message = "Enter a complete phone number, with its area code or country code."
    assert refusal("0171 2345678", PHONE_ONLY, region=None) == ("invalid", message)
    assert taken("01712345678", region=None) == "01712345678"


@pytest.mark.parametrize("typed", ["171", "02", "+49 1", "#31#", "0171 2345678 / 0172 345678"])
def test_what_can_be_no_number_is_said(typed):
    """The error depends only on what was typed, and saves the person from waiting for a code."""
    message = "Enter a complete phone number, with its area code or country code."
    assert refusal(typed, EMAIL_OR_PHONE) == ("invalid", message)


def test_a_space_is_said_where_the_rest_may_be_a_username():
    """The message fits usernames and phone numbers."""
    message = "Remove the spaces and invisible characters from what you entered."
    for typed in ("ali ce", "1 1"):
        assert refusal(typed) == ("invalid", message)
    assert refusal("ali ce", ("email",)) == ("invalid", message)


def test_a_missing_number_is_missing():
    """Blank input is reported as missing, not as an incomplete number."""
    assert refusal(" \u200b", PHONE_ONLY) == ("required", "Enter your phone number.")


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_person_resets_with_a_number_as_typed(people, settings, interface):
    """Both steps convert the number, and SecretHash is computed from the converted one."""
    people.add("dora", phone_number=E164, phone_number_verified="true")
    people.emulator.calls.clear()
    signing_in_with(settings, *PHONE_ONLY, PHONE_REGION="DE")
    interface = interface()
    assert interface.request("0171 234 5678").status_code == interface.SENT
    code = people.emulator.outbox[0].code
    assert interface.confirm("(0171) 2345678", code, NEW_PASSWORD).status_code == interface.DONE
    assert [body["Username"] for _, body in people.emulator.calls] == [E164, E164]
    assert people.can_sign_in("dora", NEW_PASSWORD)


@pytest.mark.requirement("B2")
@pytest.mark.parametrize("step", ["request", "confirm"])
def test_two_spellings_share_one_allowance(people, settings, step):
    """The limits count the number, not how it was written."""
    signing_in_with(settings, *PHONE_ONLY, PHONE_REGION="DE")
    settings.COGNITO_RESET = {
        **settings.COGNITO_RESET,
        "LIMITS": {step: {"identifier": "2/h"}},
    }
    spellings = ["0171 2345678", "+49 171 2345678", "(0171) 234-5678"]
    statuses = [getattr(REST(), step)(typed).status_code for typed in spellings]
    assert (statuses[:2].count(429), statuses[2]) == (0, 429)


@pytest.mark.requirement("A10")
def test_a_made_up_destination_is_a_numbers(people, settings):
    """A number that nobody has gets the same destination however it is written."""
    people.add("dora", phone_number=E164, phone_number_verified="true")
    signing_in_with(settings, *PHONE_ONLY, PHONE_REGION="DE")
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "SHOW_DESTINATION": True}
    shown = [
        REST().request(typed).json()["code_delivery_details"]["destination"]
        for typed in ("0171 2345678", "0171 2345679")
    ]
    assert shown == ["+*******5678", "+*******5679"]


def test_the_app_works_without_the_library():
    """
    Without the optional library, a region in the settings is reported by a check, and requests get
    503.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["cognito_reset.E025", "503", "200"]


WITHOUT = """
import os, sys
sys.modules["phonenumbers"] = None
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.conf import settings
from django.test import Client
from cognito_reset.checks.settings import check_settings
pool = settings.COGNITO_RESET["POOLS"]["default"]
pool["PHONE_REGION"] = "DE"
print(*[message.id for message in check_settings()])
print(Client().get("/password-reset/").status_code)
del pool["PHONE_REGION"]
settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
print(Client().get("/password-reset/").status_code)
"""


# Upper and lower case


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("sensitive", [True, False])
@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("typed", ["ALICE", "Alice@EXAMPLE.com"])
def test_g7_whether_case_counts_is_for_the_pool_to_say(
    cognito_emulator, db, settings, interface, sensitive, typed
):
    """The app sends what was typed. Cognito ignores case if the pool was created that way."""
    create(cognito_emulator, settings, sensitive)
    people = People(cognito_emulator)
    interface = interface()
    sent = len(cognito_emulator.outbox)
    interface.request(f" {typed} ")
    assert len(cognito_emulator.outbox) - sent == (not sensitive)
    assert cognito_emulator.calls[-1][1]["Username"] == typed
    answer = interface.confirm(f" {typed} ", people.code("alice"), NEW_PASSWORD)
    assert cognito_emulator.calls[-1][1]["Username"] == typed
    assert (answer.status_code == 400) is sensitive
    assert people.can_sign_in("alice", NEW_PASSWORD) is not sensitive


def create(emulator, settings, sensitive):
    """Replace the settings' pool by a new one that is case-sensitive, or isn't."""
    pool = settings.COGNITO_RESET["POOLS"]["default"]
    body: dict[str, Any] = {
        "PoolName": "case",
        "AliasAttributes": ["email", "phone_number"],
        "UsernameConfiguration": {"CaseSensitive": sensitive},
    }
    pool["USER_POOL_ID"] = emulator.handle("CreateUserPool", body)[1]["UserPool"]["Id"]
    body = {
        "UserPoolId": pool["USER_POOL_ID"],
        "ClientName": "case",
        "GenerateSecret": True,
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
    }
    client = emulator.handle("CreateUserPoolClient", body)[1]["UserPoolClient"]
    pool["CLIENT_ID"], pool["CLIENT_SECRET"] = client["ClientId"], client["ClientSecret"]


def test_older_keys_find_what_was_stored_under_them(settings):
    """
    This holds after SECRET_KEY was changed, as long as the old key is in SECRET_KEY_FALLBACKS.
    """
    before = identifier_key("default", "Alice")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert identifier_keys("default", "alice") == [identifier_key("default", "alice"), before]
