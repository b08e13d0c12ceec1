"""What people sign in with: the field that asks for it, and phone numbers as they are typed."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat as Format
from phonenumbers import PhoneNumberType as Kind

from cognito_reset.parsers import SIGN_IN_NAMES
from cognito_reset.resets.identifiers import (
    copied_address,
    identifier_key,
    identifier_keys,
    is_e164,
    phone_number,
)
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
    "tel:0171-234-5678",
    "0171\u2212234\u22125678",
    "0171 \u00b7 234 5678",
    "0171 234 5678 ext. 12",
    "+49 (0171) 234 5678",
    E164,
]
# What can only mean E164, with its country code.
INTERNATIONAL = [
    E164,
    "+49 171 2345678",
    "+49 (171) 234-5678",
    "(+49) 171 2345678",
    "[+49] 171 2345678",
    " + 49 171 2345678.",
    "+49.171.2345678",
    "+49/171/2345678",
    # The zero that is dialled within the country only.
    "+49 (0)171 234 5678",
    "+49 (0) 171 234 5678",
    "+49(0)1712345678",
    "+49 [0] 171 234 5678",
    "(+49)(0)171 234 5678",
    "+49 (0171) 234 5678",
    "+49 0171 234 5678",
    "+4901712345678",
    # Links (RFC 3966), and what phones copy.
    "tel:+491712345678",
    "TEL:+49-171-234-5678",
    "tel://+491712345678",
    "\u202a+49 171 2345678\u202c",
    # The hyphens, dots, slashes and blanks of other keyboards and programs.
    "+49\u2212171\u22122345678",
    "+49\u2010171\u20112345678",
    "+49\u2013171\u20142345678",
    "\uff0b49\uff0d171\uff0d2345678",
    "+49\u00b7171\u20222345678",
    "+49\u30fb171\u30fc2345678",
    "+49 171 \u2215 2345678",
    "+49\u00a0171\u20092345678",
    "+49~171~2345678",
    "\ufe6249 171 2345678",
    "+٤٩ ١٧١ ٢٣٤٥٦٧٨",
    "+४९ १७१ २३४५६७८",
    # Extensions.
    "+49 171 2345678 ext. 12",
    "+49 171 2345678 ext 12",
    "+49 171 2345678 Extension 12",
    "+49 171 2345678, extn. 12",
    "+49 171 2345678x12",
    "+49 171 2345678 X 12",
    "+49 171 2345678 #12",
    "+49 171 2345678#12#",
    "+49 171 2345678;ext=12",
    "tel:+49-171-234-5678;ext=12",
    # What stands around a number where it was copied.
    "+49 171 234 5678,",
    "+49 171 234 5678; ",
    '"+49 171 2345678"',
    "'+491712345678'",
    "\u201e+49 171 2345678\u201c",
    "\u00ab+49 171 2345678\u00bb,",
    "<tel:+491712345678>",
    "<tel:+49-171-234-5678;ext=12>,",
    '"+49 171 2345678 ext. 12"',
]
# None of these is sent as a number.
NO_NUMBERS = [
    *("+", "+()", "+ -", "()", "++491712345678", "+49+1712345678", "49 171 2345678+"),
    *("+1", "+49 171", "+123456", "+1234567890123456", "+49 171 2345678 / +49 172 2345678"),
    *("+0171 2345678", "+00491712345678", "+49 00171 2345678", "+49 171 23456781712345678"),
    *("+49 171 2345678 and 12", "+49 171 2345678;isub=12", "+49 171 2345678, 2345679", "#31#"),
    *("+49 171 2345678 p12", "+49 171 2345678 ext.", "x12", "tel:", "ext. 12"),
    *("+1 011 234 5678", "+1 1 212 555 1234", "+1 0212 555 1234", "+36 030 123 4567"),
    *("+49 171, 2345678", '+49 171 "2345678"', '","', "<>", "tel:tel:+491712345678"),
]
SUB = "0d1a2b3c-4e5f-6789-abcd-ef0123456789"


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
@pytest.mark.parametrize("typed", ["Alice", "a1", "0171a2345678", "1712345678@example.com"])
def test_g7_letters_make_no_phone_number(typed):
    """An email address is no phone number either."""
    assert taken(typed) == typed


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("names", [("username",), ("username", "email")])
def test_g7_nothing_is_converted_where_no_number_signs_in(names):
    """A text that begins with a plus is an ordinary username."""
    assert taken("+49-0171234567", names) == "+49-0171234567"


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("region", [None, "DE", "US"])
@pytest.mark.parametrize("names", [SIGN_IN_NAMES, PHONE_ONLY, EMAIL_OR_PHONE])
@pytest.mark.parametrize("typed", INTERNATIONAL, ids=ascii)
def test_g7_an_international_number_needs_no_region(typed, names, region):
    """What the country code, the zero, the punctuation and an extension mean is the same everywhere."""
    assert taken(typed, names, region) == E164


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("region", [None, "DE"])
@pytest.mark.parametrize("names", [PHONE_ONLY, EMAIL_OR_PHONE])
@pytest.mark.parametrize("typed", NO_NUMBERS, ids=ascii)
def test_g7_what_can_be_no_number_is_not_sent(typed, names, region):
    """The person gets an error, because no message could arrive."""
    assert serializer(typed, names, region).is_valid() is False


@pytest.mark.parametrize("region", [None, "IT"])
@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("+39 06 69812345", "+390669812345"),
        ("+39 (06) 69812345", "+390669812345"),
        ("+39 312 345 6789", "+393123456789"),
        ("+39 (0)6 69812345", None),
        ("(+39)(0)312 345 6789", None),
        ("+225 01 23 45 67 89", "+2250123456789"),
        ("+225 (0)1 23 45 67 89", None),
    ],
)
def test_a_zero_of_the_number_itself_stays(typed, sent, region):
    """
    In a few countries, numbers begin with a zero of their own. There, a zero in parentheses may be a part of
    the number or not.
    """
    if sent:
        assert taken(typed, PHONE_ONLY, region) == sent
    else:
        assert refusal(typed, PHONE_ONLY, region)[0] == "invalid"


@pytest.mark.parametrize("region", [None, "DE", "HU", "RU", "BY"])
@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("+44 0 171 234 5678", "+441712345678"),
        ("+4401712345678", "+441712345678"),
        ("+81 (0)90 1234 5678", "+819012345678"),
        ("+81 090 1234 5678", "+819012345678"),
        ("+48 (0)22 123 45 67", "+48221234567"),
        ("+250 (0)788 123 456", "+250788123456"),
        ("+36 06 30 123 4567", "+36301234567"),
        ("+36 (06 1) 234 5678", "+3612345678"),
        ("+36 (0)30 123 4567", "+36301234567"),
        ("+36 66 123 456", "+3666123456"),
        ("+7 8 495 123-45-67", "+74951234567"),
        ("+7 (8495) 123-45-67", "+74951234567"),
        ("+7 800 123-45-67", "+78001234567"),
        ("+370 8 612 34567", "+37061234567"),
        ("+993 8 65 123456", "+99365123456"),
        ("+375 8 029 123-45-67", "+375291234567"),
        ("+375 (8029) 123-45-67", "+375291234567"),
    ],
)
def test_what_is_dialled_within_the_country_only_is_dropped(typed, sent, region):
    """With it, no message could arrive."""
    assert taken(typed, PHONE_ONLY, region) == sent


def test_the_librarys_examples_stay_as_they_are():
    """A number of any kind, of any country, in each form with the country code, with the region or without."""
    seen = 0
    for code, region, kind in product(
        PLANS, phonenumbers.SUPPORTED_REGIONS | {"001"}, Kind.values()
    ):
        if region not in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
            continue
        number = phonenumbers.example_number_for_type(region, kind)
        if region == "001":
            number = phonenumbers.example_number_for_non_geo_entity(code)
        if not number:
            continue
        e164 = phonenumbers.format_number(number, Format.E164)
        # Some are too short for Cognito, or have no area code.
        reason = phonenumbers.is_possible_number_with_reason(number)
        if is_e164(e164) and reason == phonenumbers.ValidationResult.IS_POSSIBLE:
            for form in (Format.E164, Format.INTERNATIONAL, Format.RFC3966):
                typed = phonenumbers.format_number(number, form)
                for known in {None, "DE", region} - {"001"}:
                    assert phone_number(typed, known) == e164, (typed, known)
            seen += 1
    assert seen > 1000


def plan(code, region):
    """Return the metadata of the library. "001" stands for a code of no country."""
    if region == "001":
        return phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code, None)
    return phonenumbers.PhoneMetadata.metadata_for_region(region, None)


PLANS = {
    code: {region: plan(code, region) for region in regions}
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
}


def written_like(parsed, chance):
    """Return digits that a parsed regular expression of the library matches."""
    text = ""
    for operator, argument in parsed:
        match str(operator):
            case "LITERAL":
                text += chr(argument)
            case "IN":
                kind, value = chance.choice(argument)
                low, high = {"RANGE": value, "CATEGORY": (48, 57)}.get(str(kind), (value, value))
                text += chr(chance.randint(low, high))
            case "BRANCH":
                text += written_like(chance.choice(argument[1]), chance)
            case "SUBPATTERN":
                text += written_like(argument[3], chance)
            case "MAX_REPEAT":
                low, high, inner = argument
                times = chance.randint(low, high)
                text += "".join(written_like(inner, chance) for _ in range(times))
            case _:
                raise NotImplementedError(operator)
    return text


@cache
def made_up_numbers(code):
    """Return national numbers that fit the pattern of a region, by region."""
    chance = random.Random(code)
    parsed = {
        region: re._parser.parse(plan.general_desc.national_number_pattern)
        for region, plan in PLANS[code].items()
    }
    return {
        region: {written_like(pattern, chance) for _ in range(200)}
        for region, pattern in parsed.items()
    }


def test_numbers_that_fit_a_national_pattern_stay_as_they_are():
    """Cognito decides which numbers exist, also among those that begin with a zero of their own."""
    with_zero = set()
    for code in PLANS:
        for region, numbers in made_up_numbers(code).items():
            for e164 in (f"+{code}{number}" for number in numbers):
                if is_e164(e164):
                    assert phone_number(e164, None) == e164
                    if e164.startswith(f"+{code}0"):
                        with_zero.add(code)
                        known = "DE" if region == "001" else region
                        assert phone_number(e164, known) == e164
    assert {39, 225, 226, 227, 250, 268, 501, 881, 992} <= with_zero
    assert len(with_zero) > 25


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        *(
            (f"+{code}02345678", f"+{code}2345678")
            for code in (33, 41, 44, 49, 61, 81, 91, 234, 971)
        ),
        *(
            (f"+{code} (0) 234 5678", f"+{code}2345678")
            for code in (33, 44, 48, 49, 61, 81, 91, 234)
        ),
        # No 0 is dialled there within the country, or numbers begin with it.
        *((f"+{code}02345678", f"+{code}02345678") for code in (34, 39, 45, 226, 250, 881, 992)),
        # It isn't clear whether the zero is a part of the number.
        *((f"+{code} (0) 234 5678", "") for code in (39, 225, 241, 378)),
        # These can't be numbers, and don't tell which one they should be.
        *((f"+{code}02345678", "") for code in (1, 36)),
        ("+44002345678", ""),
    ],
)
def test_a_zero_is_dropped_where_no_number_begins_with_it(typed, sent):
    """People write the zero that they dial within their country after the country code, too."""
    assert phone_number(typed, None) == sent


ANY_NUMBER = st.text(st.sampled_from("+0123456789 ()-./x#;=,\u2212\uff0b\u0661tel:@"), max_size=25)


@pytest.mark.requirement("G7")
@given(typed=ANY_NUMBER | st.text(max_size=40), region=st.sampled_from([None, "DE", "US", "IT"]))
@example(typed="+4912345678901234567", region="DE")
@example(typed="+491234", region="DE")  # the library accepts six digits
@settings_of_hypothesis(database=None, deadline=None, max_examples=300)
def test_g7_whatever_is_sent_can_be_what_people_sign_in_with(typed, region):
    """E.164, an address or a sub, or nothing."""
    for names, forms in {
        PHONE_ONLY: r"\+[1-9]\d{6,14}",
        EMAIL_OR_PHONE: r"\+[1-9]\d{6,14}|\S+@\S+",
        ("email",): r"\S+@\S+",
    }.items():
        made = serializer(typed, names, region)
        if made.is_valid():
            sent = made.validated_data["username"]
            assert re.fullmatch(rf"(?a:{forms})", sent) or sent == SUB


@pytest.mark.requirement("G7")
def test_g7_a_national_number_needs_a_region():
    """Without a region the number is ambiguous, and the error says so."""
    message = "Enter a complete phone number, with its area code or country code."
    assert refusal("0171 2345678", PHONE_ONLY, region=None) == ("invalid", message)
    # "00" isn't dialled in front of a country code everywhere, and begins other numbers elsewhere.
    assert refusal("0049 171 2345678", PHONE_ONLY, region=None) == ("invalid", message)
    assert taken("01712345678", region=None) == "01712345678"


@pytest.mark.parametrize("typed", ["171", "02", "+49 1", "#31#", "0171 2345678 / 0172 345678"])
def test_what_can_be_no_number_is_said(typed):
    """The error depends only on what was typed, and saves the person from waiting for a code."""
    message = "Enter a complete phone number, with its area code or country code."
    assert refusal(typed, EMAIL_OR_PHONE) == ("invalid", message)


# Email addresses, and subs


@pytest.mark.parametrize("end", ["\n", "\nx"])
def test_a_long_text_is_read_once(end):
    """Staff may type more than the forms take. Twenty seconds are what a pattern takes that begins at each semicolon."""
    start = time.monotonic()
    copied_address(f"mailto:alice@example.com?{';' * 100_000}{end}")
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("names", [("email",), EMAIL_OR_PHONE])
@pytest.mark.parametrize(
    "typed",
    [
        *(
            "alice",
            "alice@",
            "@x",
            "@",
            "alice.example.com",
            "alice@example.com.",
            "alice@.example.com",
        ),
        *("alice@example..com", "alice@example,com", "alice@@example.com"),
        *(
            "alice@bob@example.com",
            "alice@example.com>",
            "<alice@example.com",
            "<alice>",
            "mailto:",
        ),
        *(
            "mailto:alice",
            "alice:x@example.com",
            "alice@example.com:25",
            "https://alice@example.com/",
        ),
        *(
            "alice@exam/ple.com",
            "(alice)@example.com",
            "alice;bob@example.com",
            "alice\uff20example.com",
        ),
        *(
            "alice@example.com'",
            '"alice@example.com',
            "alice@example.com\u3002",
            ",alice@example.com",
        ),
        *(
            "alice@[]",
            "alice@[192.0.2.1",
            "mailto:alice%40example.com",
            '"alice"',
            "Alice <alice@>",
        ),
        *(f"{SUB}0", SUB.replace("-", ""), "DOMAIN\\alice", "<a@example.com>,<b@example.com>"),
    ],
    ids=ascii,
)
def test_an_invalid_email_address_is_refused(typed, names):
    """The error depends only on what was typed. Without it, the person would wait for a code in vain."""
    problem = "Enter a valid email address."
    if re.search(r"\s", typed):
        problem = "Remove the spaces and invisible characters from what you entered."
    assert refusal(typed, names) == ("invalid", problem)


@pytest.mark.parametrize("names", [("email",), EMAIL_OR_PHONE, SIGN_IN_NAMES])
@pytest.mark.parametrize(
    "typed",
    [
        *("alice@example.com", "Alice@EXAMPLE.com", "alice+tag@example.com", "o'neil@example.com"),
        *(
            "a.@docomo.example",
            "a..b@docomo.example",
            ".a@example.com",
            "!#$%&*/=?^_`{|}~-@example.com",
        ),
        *(
            "alice@localhost",
            "alice@example",
            "a@b.c",
            "alice@xn--mnchen-3ya.example",
            "a_b@a_b.example",
        ),
        *(
            "jürgen@münchen.example",
            "用户@例子.广告",
            "उपयोगकर्ता@उदाहरण.कॉम",
            "ju\u0308rgen@mu\u0308nchen.example",
        ),
        *(
            '"alice@home"@example.com',
            "alice@[192.0.2.1]",
            "alice@[IPv6:2001:db8::1]",
            "+1@example.com",
        ),
        *("491712345678@example.com", "+491712345678@example.com", SUB, SUB.upper()),
    ],
    ids=ascii,
)
def test_what_may_be_an_email_address_is_sent_as_typed(typed, names):
    """
    Cognito's check is its own, so this refuses only what can't be an address. Names in NFD stay so, because
    Cognito documents no normalization. A sub is accepted wherever a username is.
    """
    assert taken(typed, names) == typed


@pytest.mark.parametrize("names", [("email",), EMAIL_OR_PHONE])
@pytest.mark.parametrize(
    "typed",
    [
        *(
            "Alice <alice@example.com>",
            "<alice@example.com>",
            " <alice@example.com>; ",
            '"<alice@example.com>',
        ),
        *('"Doe, Alice" <alice@example.com>', "alice@example.com <alice@example.com>,"),
        *("alice@example.com <mailto:alice@example.com>", "mailto:alice@example.com"),
        *("MAILTO:alice@example.com?subject=My%20code", "\u2018Alice\u2019 <alice@example.com>"),
        *(
            "alice@example.com,",
            "alice@example.com; ",
            "'alice@example.com'",
            '"alice@example.com";',
        ),
        *("\u201calice@example.com\u201d", "\u00abalice@example.com\u00bb"),
    ],
    ids=ascii,
)
def test_the_address_in_what_a_mail_program_copies_is_sent(typed, names):
    """The text has one meaning, because no address contains a bracket or a colon."""
    assert taken(typed, names) == "alice@example.com"


@pytest.mark.parametrize("names", [("username", "email"), SIGN_IN_NAMES])
@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Alice <alice@example.com>", "alice@example.com"),  # no username has a space
        ("<alice@example.com>", "<alice@example.com>"),
        ("mailto:alice@example.com", "alice@example.com"),  # a link is nobody's username
        ("<mailto:alice@example.com>", "alice@example.com"),
        ("alice@example.com,", "alice@example.com,"),
        ("alice@example.com.", "alice@example.com."),
        ("alice", "alice"),
    ],
)
def test_what_may_be_a_username_is_sent_as_typed(typed, sent, names):
    """Cognito accepts almost anything as a username."""
    assert taken(typed, names) == sent


@pytest.mark.parametrize("typed", ["alice", "alice@example.com", "Alice <alice@example.com>"])
def test_only_numbers_and_subs_are_accepted_where_numbers_sign_in(typed):
    """The error asks for a phone number."""
    message = "Enter a complete phone number, with its area code or country code."
    assert refusal(typed, PHONE_ONLY) == ("invalid", message)
    assert taken(SUB, PHONE_ONLY) == SUB


@pytest.mark.parametrize("interface", INTERFACES)
def test_an_invalid_email_address_costs_no_attempt(people, settings, interface):
    """It reaches neither Cognito nor the limits, and the page keeps what was typed."""
    signing_in_with(settings, "email")
    interface, sent = interface(), len(people.emulator.calls)
    for _ in range(20):
        response = interface.request("alice.example.com")
        assert response.status_code in (200, 400)
        assert "Enter a valid email address." in response.content.decode()
    assert len(people.emulator.calls) == sent
    if isinstance(interface, Pages):
        assert 'value="alice.example.com"' in response.content.decode()
    assert interface.request("<alice@example.com>").status_code == interface.SENT
    assert people.emulator.calls[-1][1]["Username"] == "alice@example.com"


def test_a_space_is_said_where_the_rest_may_be_a_username():
    """The message fits usernames and phone numbers."""
    message = "Remove the spaces and invisible characters from what you entered."
    for typed, names in (
        ("ali ce", SIGN_IN_NAMES),
        ("1 1", ("username", "email")),
        ("ali 1 2", ("username", "phone_number")),
    ):
        for region in (None, "DE"):
            assert refusal(typed, names, region) == ("invalid", message)
    assert refusal("ali ce", ("email",)) == ("invalid", message)


@pytest.mark.parametrize("names", [SIGN_IN_NAMES, ("username", "phone_number")])
@pytest.mark.parametrize("typed", ["0171 234 5678", "(0171) 234 5678", "+49 171", "+1 23456"])
def test_an_incomplete_number_with_spaces_is_not_made_a_username(typed, names):
    """Without its spaces it would be sent as a username that nobody has."""
    message = "Enter a complete phone number, with its area code or country code."
    assert refusal(typed, names, None) == ("invalid", message)


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
    code = people.emulator.outbox[-1].code
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
