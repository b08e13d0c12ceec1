"""Validation: the model's limits and patterns, strict types, exact passwords, two codes."""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
from functools import cache, partial
from itertools import product
from typing import Any

import botocore.session
import pytest
from django.core.validators import RegexValidator
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from cognito_reset.resets import identifiers, serializers
from cognito_reset.resets.passwords import PasswordPolicy
from cognito_reset.resets.serializers import (
    ClientMetadataField,
    ConfirmResetSerializer,
    RequestCodeSerializer,
    StrictCharField,
)
from cognito_reset.secret import Secret
from tests.interfaces import INTERFACES
from tests.people import NEW_PASSWORD

# No rules: test_passwords.py tests those.
NONE = {"policy": PasswordPolicy(minimum_length=0, required=frozenset())}
GOOD = {"username": "alice", "confirmation_code": "654321", "password": "Correct-horse-1"}
MODEL: Any = botocore.session.get_session().get_service_model("cognito-idp")
# Every field that has a member of its own in AWS's input, by the serializer's name for it.
MEMBERS = {
    "username": "Username",
    "confirmation_code": "ConfirmationCode",
    "password": "Password",
    "client_metadata": "ClientMetadata",
    "analytics_metadata.analytics_endpoint_id": "AnalyticsMetadata.AnalyticsEndpointId",
    "user_context_data.encoded_data": "UserContextData.EncodedData",
}
BIDI = ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"]
ZERO_WIDTH = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad"]
CONTROLS = ["\x01", "\x07", "\x1b", "\x7f", "\x80", "\x9f"]
NO_TEXT = ["\x00", "\ud800", "\udc80", "\udfff"]


def validated(data, serializer=ConfirmResetSerializer):
    made = serializer(data=data, context=NONE)
    assert made.is_valid(), made.errors
    return revealed(made.validated_data)


def revealed(values):
    """Return the values, with the secrets in clear. Assert that these were masked."""
    for name in set(values) & {"confirmation_code", "password"}:
        assert isinstance(values[name], Secret)
    return {k: v.reveal() if isinstance(v, Secret) else v for k, v in values.items()}


def leaves(detail, path=""):
    """The codes of an error by the dotted name of the field."""
    if isinstance(detail, dict):
        return {
            name: code
            for key, inner in detail.items()
            for name, code in leaves(inner, f"{path}.{key}".strip(".")).items()
        }
    return {path: [item.code for item in detail]}


def codes(data, serializer=ConfirmResetSerializer):
    made = serializer(data=data, context=NONE)
    made.is_valid()
    return leaves(made.errors)


def code_of(name, value):
    """Return the only error code for ``value`` in the field ``name`` of otherwise valid data."""
    found = codes({**GOOD, **nested(name, value)})
    assert set(found) <= {name}, found
    return found[name][0] if found else None


def nested(name, value):
    first, _, rest = name.partition(".")
    return {first: nested(rest, value) if rest else value}


@cache
def shape(name):
    found = MODEL.operation_model("ConfirmForgotPassword").input_shape
    for member in MEMBERS[name].split("."):
        found = found.members[member]
    return found


def seconds(call):
    """This thread's own time on the processor, whatever else the machine does."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


def is_quick(serializer):
    """Whether 50 ms are enough, at one of some times: a busy machine slows even a thread's own time."""
    made = (type(serializer)(data=serializer.initial_data, context=NONE) for _ in range(20))
    return any(seconds(each.is_valid) < 0.05 for each in made)


def test_the_fields_are_awss_members_in_snake_case():
    """What a caller may send is AWS's input, without what is the site's or the server's to say."""
    members = set(MODEL.operation_model("ConfirmForgotPassword").input_shape.members)
    ours = {member.partition(".")[0] for member in MEMBERS.values()}
    assert members - ours == {"ClientId", "SecretHash"}
    assert set(MODEL.shape_for("UserContextDataType").members) - {"EncodedData"} == {"IpAddress"}
    assert {name.partition(".")[0] for name in MEMBERS} == set(ConfirmResetSerializer().fields)
    assert set(RequestCodeSerializer().fields) == set(ConfirmResetSerializer().fields) - {
        "confirmation_code",
        "password",
    }


@pytest.mark.requirement("G4")
@pytest.mark.parametrize("name", ["username", "confirmation_code", "password"])
@pytest.mark.parametrize("character", ["x", "é", "🔑", "丂"])
def test_g4_limits_are_the_models_in_characters(name, character):
    """As many characters as botocore's model allows, whatever they take in bytes; not one more."""
    most = shape(name).metadata["max"]
    end = " 654321" if name == "confirmation_code" else ""
    text = character * (most - len(end)) + end
    assert code_of(name, text) is None
    assert code_of(name, character + text) == "invalid"


@pytest.mark.requirement("G4")
@pytest.mark.parametrize(
    "name", ["analytics_metadata.analytics_endpoint_id", "user_context_data.encoded_data"]
)
def test_g4_limits_of_the_optional_members_are_the_models(name):
    """The other members have limits of their own, or none and then StringType's."""
    most = shape(name).metadata.get("max", MODEL.shape_for("StringType").metadata["max"])
    assert code_of(name, "x" * most) is None
    assert code_of(name, "x" * (most + 1)) == "invalid"


@pytest.mark.requirement("G4")
def test_g4_limits_of_client_metadata_are_the_models():
    """A value of the map is a StringType, which may be empty."""
    value = shape("client_metadata").value.metadata
    for length in (value["min"], value["max"]):
        assert code_of("client_metadata", {"key": "x" * length}) is None
    assert code_of("client_metadata", {"key": "x" * (value["max"] + 1)}) == "invalid"


def test_the_usernames_categories_are_those_of_the_models_pattern():
    r"""The model writes them as \p{…}, which Python's re doesn't know."""
    pattern = shape("username").metadata["pattern"]
    allowed = set(re.findall(r"\\p\{(.)\}", pattern))
    assert re.sub(r"\\p\{.\}", "", pattern) == "[]+"
    field = RequestCodeSerializer().fields["username"]
    for number in [*range(0, 0x3000, 3), *range(0x3000, sys.maxunicode + 1, 97)]:
        text = f"a{chr(number)}b"
        category = unicodedata.category(chr(number))
        try:
            accepted = field.run_validation(text) == text
        except ValidationError:
            accepted = False
        assert accepted == (category[0] in allowed), (hex(number), category)


@pytest.mark.parametrize(
    "text",
    [
        "123456",
        "ab c",
        "a\tb",
        "a\nb",
        "a\u00a0b",
        "a\u3000b",
        "a\u2028b",
        "a\x0bb",
        "a\x1fb",
        "é🔑",
    ],
)
def test_what_is_accepted_fits_the_models_patterns(text):
    r"""[\S]+, as Java reads it: only ASCII's blanks are blanks. A code's are dropped before."""
    for name in ("confirmation_code", "password"):
        pattern = shape(name).metadata["pattern"]
        assert pattern == r"[\S]+"
        made = ConfirmResetSerializer(data={**GOOD, name: text}, context=NONE)
        if made.is_valid():
            sent = revealed(made.validated_data)[name]
            # Inner spaces of a password are Cognito's to judge: its guide and its model differ.
            sent = sent.replace(" ", "") if name == "password" else sent
            assert re.fullmatch(pattern, sent, re.ASCII)
        else:
            assert re.search(r"[\t\n\x0b]", text) or name == "confirmation_code"


@pytest.mark.requirement("G1")
@pytest.mark.parametrize("name", ["username", "confirmation_code", "password"])
@pytest.mark.parametrize(
    "value",
    [["a@example.com", "b@example.com"], {"a": "b"}, 12345, 1.5, True, False, None, [], {}, b"a"],
    ids=repr,
)
def test_g1_only_a_string_is_a_string(name, value):
    """A list of two addresses, a number or a boolean is refused, never turned into text."""
    assert code_of(name, value) == "invalid"


@pytest.mark.requirement("G1")
@pytest.mark.parametrize("name", sorted(set(MEMBERS) - set(GOOD)))
@pytest.mark.parametrize("value", [["a"], 5, True, {"key": 5}], ids=repr)
def test_g1_the_optional_members_are_as_strict(name, value):
    """Optional members are checked, too."""
    assert code_of(name, value) == "invalid"


@pytest.mark.requirement("G1")
@pytest.mark.parametrize("name", ["analytics_metadata", "user_context_data"])
@pytest.mark.parametrize("value", ["text", ["a"], 5], ids=repr)
def test_g1_a_structure_is_a_structure(name, value):
    """A text or a list is no structure."""
    assert codes({**GOOD, name: value}) == {f"{name}.non_field_errors": ["invalid"]}


@pytest.mark.requirement("G1")
@pytest.mark.parametrize("data", [[], "text", 5, True], ids=repr)
def test_g1_a_body_is_an_object(data):
    """JSON that isn't an object is refused as one error."""
    assert codes(data) == {"non_field_errors": ["invalid"]}


@pytest.mark.parametrize("data", [{}, None, {"other": 1}], ids=repr)
def test_what_is_missing_is_required(data):
    """An empty body, null included, names each field that is missing."""
    assert codes(data) == {name: ["required"] for name in GOOD}
    assert codes(data, RequestCodeSerializer) == {"username": ["required"]}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_an_empty_text_is_missing(name):
    """An empty input of a page is a missing value, not a wrong one."""
    assert code_of(name, "") == "required"


@pytest.mark.parametrize("name", sorted(set(MEMBERS) - set(GOOD)))
def test_an_absent_member_is_as_good_as_null(name):
    """AWS's SDKs send null for what their caller left out."""
    assert codes(GOOD) == {}
    assert code_of(name, None) is None
    assert code_of(name.partition(".")[0], None) is None


@pytest.mark.parametrize(
    "name", ["analytics_metadata.analytics_endpoint_id", "user_context_data.encoded_data"]
)
def test_an_optional_text_may_be_empty(name):
    """The model gives these no least length."""
    assert code_of(name, "") is None


@pytest.mark.requirement("G2")
@pytest.mark.parametrize(
    "password",
    [
        "x pässword 🔑 y",
        "\uff21bc",
        "e\u0301",
        "é",
        "MiXeD",
        "a\u00a0b",
        "a\u200bb",
        "\u00a0a",
        "a" * 256,
    ],
)
def test_g2_a_password_is_taken_exactly(password):
    """No trimming, no normalisation, no case change, no truncation."""
    assert validated({**GOOD, "password": password})["password"] == password


@pytest.mark.requirement("G2")
@pytest.mark.parametrize("password", [" pässword 🔑 ", " a", "a ", " ", "   "])
def test_g2_a_space_at_an_end_is_refused_in_words(password):
    """Cognito takes none there, and cutting it off would set another password."""
    made = ConfirmResetSerializer(data={**GOOD, "password": password}, context=NONE)
    assert not made.is_valid()
    [error] = made.errors["password"]
    assert (error.code, str(error)) == (
        "invalid",
        "Remove the space at the start or the end of the password.",
    )


@pytest.mark.requirement("G2")
@pytest.mark.parametrize("blank", ["\t", "\n", "\r", "\x0b", "\x0c"])
def test_g2_no_other_blank_stands_in_a_password(blank):
    """Line breaks and tabs come from pasting, and Cognito's pattern has no place for them."""
    for password in (f"a{blank}b", f"{blank}a", f"a{blank}"):
        assert code_of("password", password) == "invalid"


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("invisible", [*CONTROLS, *BIDI, *ZERO_WIDTH])
def test_g5_a_username_has_nothing_invisible_inside(invisible):
    """Controls, direction marks and zero-width characters are refused."""
    assert code_of("username", f"ali{invisible}ce") == "invalid"


@pytest.mark.requirement("G7")
@pytest.mark.parametrize("invisible", [" ", "\t", "\n", "\u00a0", "\u3000", *BIDI, *ZERO_WIDTH])
def test_g7_pasting_brings_blanks_along_at_the_ends(invisible):
    """A username is trimmed, of what it can't contain anyway."""
    assert validated({**GOOD, "username": f"{invisible}alice {invisible}"})["username"] == "alice"


@pytest.mark.requirement("G7")
def test_g7_a_username_is_nothing_but_trimmed():
    """What Cognito compares is sent as it was typed, emoji and their variation marks included."""
    for username in (
        "Alice",
        "\uff56ictim",
        "e\u0301",
        "me❤\ufe0f",
        "\ufe0fme",
        "a@b.example",
        "+1555",
    ):
        assert validated({**GOOD, "username": username})["username"] == username


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("username", [" ", "\u200b", " \t\u00a0\ufeff"])
def test_g5_a_username_of_blanks_is_missing(username):
    """Invisible characters count as no input."""
    assert code_of("username", username) == "required"


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("inner", ["ali ce", "ali\u00a0ce", "a\u3000b", "a\nb"])
def test_g5_a_username_has_no_inner_blank(inner):
    """Cognito's pattern has none."""
    assert code_of("username", inner) == "invalid"


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("character", NO_TEXT)
@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_g5_what_is_no_text_is_refused(name, character):
    """NUL and lone surrogates go nowhere near .encode()."""
    text = f"a{character}b"
    value = {"key": text} if name == "client_metadata" else text
    assert code_of(name, value) == "invalid"


@pytest.mark.requirement("G5")
def test_g5_an_error_names_no_key_of_a_callers():
    """A key that can't be encoded would break the answer that names it."""
    made = ConfirmResetSerializer(data={**GOOD, "client_metadata": {"\ud800": 5}}, context=NONE)
    assert not made.is_valid()
    json.dumps(made.errors, ensure_ascii=False).encode()
    assert codes({**GOOD, "client_metadata": {"a": 1}}) == {"client_metadata": ["invalid"]}


@pytest.mark.requirement("G5")
@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("123 456", "123456"),
        ("123-456", "123456"),
        ("123\u2013456", "123456"),
        (" 12\u00a034\u200b56\n", "123456"),
        ("\u2066123456\u2069", "123456"),
        ("123456\ufe0f", "123456"),
        ("\uff11\uff12\uff13\uff14\uff15\uff16", "123456"),
        ("١٢٣٤٥٦", "123456"),
        ("१२३४५६", "123456"),
        (
            "4\ufe0f\u20e38\ufe0f\u20e30\ufe0f\u20e34\ufe0f\u20e30\ufe0f\u20e31\ufe0f\u20e3",
            "480401",
        ),
        # As people paste it.
        ("480401.", "480401"),
        ("Code: 480401", "480401"),
        ("#480401", "480401"),
        ("480.401", "480401"),
        ("480\u2009401", "480401"),
        ("480 \u2013 401", "480401"),
        ("4 8 0 4 0 1", "480401"),
        ("48.04.01", "480401"),
        ("(480)/401", "480401"),
        *(
            (f"{a}480401{b}", "480401")
            for a, b in ("\u201c\u201d", "\u201e\u201c", "\u00ab\u00bb", "''", '""')
        ),
        *(
            (f"{a}480401{b}", "480401")
            for a, b in ("\u300c\u300d", "\u2039\u203a", "<>", "**", "__", "``")
        ),
        ("480401, 480401", "480401"),
        ("G-480401", "480401"),
        ("https://example.com/?code=480401&lang=de", "480401"),
        # The whole message.
        ("Your password reset code is 480401. It expires in 1 hour.", "480401"),
        ("Your password reset code is 480 401. It expires in 1 hour.", "480401"),
        ("Your code is 480-401, and it works for 60 minutes.", "480401"),
        ("Hello Alice42,\r\n\r\n480401\r\n\r\nValid until 29.11.26, 10:30.", "480401"),
        ("480401 10 minutes", "480401"),
        ("Your code is 480401. Questions? Call 123 456.", "480401"),
        ("Your code 480401 or call 123 456", "480401"),
        ("Ihr Code lautet \u201e480401\u201c.", "480401"),
        ("您的验证码是480401，请在1小时内使用。", "480401"),
        ("コードは４８０４０１です", "480401"),
        ("رمزك هو ٤٨٠٤٠١", "480401"),
        # As long as the codes that Cognito mails for signing in.
        ("12345678", "12345678"),
        ("1234-5678", "12345678"),
    ],
    ids=ascii,
)
def test_g5_a_code_is_read_as_people_type_it(typed, sent):
    """The one code in what was typed or pasted is sent, and every script has its digits."""
    assert validated({**GOOD, "confirmation_code": typed})["confirmation_code"] == sent


@pytest.mark.requirement("G5")
@pytest.mark.parametrize(
    "typed",
    [
        *("abc", ".", "\u201c\u201d", "code", "½"),  # no digits
        *("48O4O1", "48O401", "480401a", "O480401", "l23456", "4804O1.", "O480 401"),  # letters
        *("1", "12345", "1234567", "123456789", "123 4567", "480401480401"),  # other lengths
        *("480401 480402", "480401, or 480402", "480 401 and 480 402"),
        "480 401 valid until 29.11.26, or 123 456",
        *("Call +1 480 401 2345.", "Call 480 401 2345.", "Call 0 480 401"),
        "Your code expires in 1 hour, at 10:30:00 on 2026.",
        "My code is 48 04 01",  # may be a date
        *(f"480{control}401" for control in CONTROLS),
    ],
    ids=ascii,
)
def test_g5_a_text_without_a_code_is_refused(typed):
    """It costs neither a call nor an attempt, and the error says what to enter."""
    made = ConfirmResetSerializer(data={**GOOD, "confirmation_code": typed}, context=NONE)
    assert not made.is_valid()
    [error] = made.errors["confirmation_code"]
    assert (error.code, str(error)) == ("invalid", "Enter the code from the message, digits only.")


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("interface", INTERFACES)
def test_g5_a_mistyped_code_costs_nothing_and_a_pasted_message_works(people, interface):
    """A text that can't be a code costs no attempt, in the app's limits and at Cognito."""
    interface = interface()
    code = people.code("alice")
    sent = len(people.emulator.calls)
    for typed in ("48O4O1", "12345", "1234567", "my code", "480401 or 480402") * 4:
        response = interface.confirm("alice", typed, NEW_PASSWORD)
        assert response.status_code in (200, 400)
        assert "Enter the code from the message, digits only." in response.content.decode()
    assert len(people.emulator.calls) == sent
    message = f"Your password reset code is {code}. It expires in 1 hour."
    assert interface.confirm("alice", message, NEW_PASSWORD).status_code == interface.DONE
    assert people.can_sign_in("alice", NEW_PASSWORD)


@pytest.mark.requirement("G5")
def test_g5_a_password_is_compared_with_the_code_itself():
    """In whatever form the code was pasted, its digits are refused as a password."""
    data = {**GOOD, "confirmation_code": "Code: 480401.", "password": "480401"}
    assert codes(data) == {"password": ["password_too_similar"]}


@pytest.mark.requirement("G5")
@given(before=st.text(max_size=20), code=st.integers(0, 999999), after=st.text(max_size=20))
@example(before="", code=0, after="")
@examples(database=None, deadline=None, max_examples=200)
def test_g5_whatever_is_sent_has_the_length_of_a_code(before, code, after):
    """Nothing but 6 or 8 ASCII digits leaves the field, and a code between two lines of text is found."""
    made = ConfirmResetSerializer(
        data={**GOOD, "confirmation_code": f"{before} {code:06} {after}"}, context=NONE
    )
    if made.is_valid():
        assert re.fullmatch("[0-9]{6}|[0-9]{8}", revealed(made.validated_data)["confirmation_code"])
    if not any(character.isdecimal() or character == "\0" for character in before + after):
        assert revealed(made.validated_data)["confirmation_code"] == f"{code:06}"


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("code", [" ", "-", "\u200b \u2013"])
def test_g5_a_code_of_blanks_is_missing(code):
    """A missing code is then reported."""
    assert code_of("confirmation_code", code) == "required"


@pytest.mark.requirement("G5")
@pytest.mark.parametrize("control", CONTROLS)
def test_g5_a_code_has_no_controls(control):
    """What isn't a blank isn't dropped silently."""
    assert code_of("confirmation_code", f"123{control}456") == "invalid"


def test_a_sites_own_validators_are_asked():
    """Only DRF's two that look for what we have looked for are left out."""
    field = StrictCharField(limit=10, validators=[RegexValidator("^a")])
    assert field.run_validation("abc") == "abc"
    for text in ("b", "a\0", "a\udc80"):
        with pytest.raises(ValidationError):
            field.run_validation(text)


LONG = 100_000


@pytest.mark.requirement("G8")
@pytest.mark.parametrize(
    "text",
    [
        "a" * LONG,
        " " * LONG,
        "a" + " " * LONG,
        "\u200b" * LONG,
        "-" * LONG,
        "ﷺ" * LONG,
        " a" * LONG,
    ],
    ids=lambda text: f"{text[:2]!a}…",
)
@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_g8_time_is_linear(name, text):
    """100 kB of the worst input takes less than 50 ms in every field."""
    value: Any = {"key": text} if name == "client_metadata" else text
    data = {**GOOD, **nested(name, value)}
    assert is_quick(ConfirmResetSerializer(data=data, context=NONE))


@pytest.mark.requirement("G8")
@pytest.mark.parametrize("name", sorted(GOOD))
def test_g8_the_longest_value_that_is_looked_at_is_looked_at_quickly(name):
    """Within the limit, too."""
    most = shape(name).metadata["max"]
    pieces = (
        " ",
        "a ",
        "\u200b-",
        "1",
        "123 ",
        "1-",
        "+",
        "(0)",
        "x1",
        "a@",
        "<",
        "mailto:",
        "tel:",
        '"',
    )
    for text in (piece * (most // len(piece)) for piece in pieces):
        data = {**GOOD, name: text}
        assert is_quick(ConfirmResetSerializer(data=data, context=NONE))


PATTERNS = {
    f"{module.__name__}.{name}": value
    for module in (identifiers, serializers)
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}


# These look at every place of a text. The others match the whole text, or its beginning.
SEARCHING = {
    *("_EXTENSION", "_ZERO_IN_PARENTHESES", "_TRUNK_PREFIX", "_NO_TEXT", "_NO_PHONE_NUMBER"),
    *("_NO_USERNAME", "_CODE", "_CODE_IN_GROUPS"),
}


@pytest.mark.requirement("G8")
@pytest.mark.parametrize("most", [128, 2048])
@pytest.mark.parametrize("name", PATTERNS)
def test_g8_every_regular_expression_is_quick(name, most):
    """20 ms are enough for the longest username and the longest code."""
    pattern = PATTERNS[name]
    call = pattern.search if name.rpartition(".")[2] in SEARCHING else pattern.fullmatch
    starts = ("", "1", "a@", "+49", "mailto:a@", '"', "<")
    pieces = (
        " ",
        "1",
        "1 ",
        ", ",
        "x1",
        "(0)",
        "-",
        "a",
        "a@",
        "a.",
        "<",
        "<a@",
        "+",
        '"',
        ":",
        "ext",
    )
    for start, piece, end in product(starts, pieces, ("", "!", "x")):
        texts = [start + piece * (most // len(piece)) + end] * 5
        assert any(seconds(partial(call, text)) < 0.02 for text in texts), texts[0][:20]


def test_every_field_is_validated_once(monkeypatch):
    """The policy compares the password with what the other fields have found."""
    seen = []
    original = StrictCharField.to_internal_value

    def counted(field, data):
        seen.append(field.field_name)
        return original(field, data)

    monkeypatch.setattr(StrictCharField, "to_internal_value", counted)
    data = {**GOOD, "username": " alice ", "password": "alice"}
    assert codes(data) == {"password": ["password_too_similar"]}
    assert sorted(seen) == sorted(GOOD)


@pytest.mark.requirement("G10")
@pytest.mark.parametrize(
    "extra",
    [
        {"client_id": "x", "user_pool_id": "y", "secret_hash": "z"},
        {"ClientId": "x", "UserPoolId": "y", "Username": "mallory"},
        {"user_context_data": {"ip_address": "192.0.2.1"}},
        {"analytics_metadata": {"AnalyticsEndpointId": "x"}},
    ],
)
def test_g10_unknown_members_reach_nobody(extra):
    """Nothing but the documented fields comes out, the address of the client included."""
    found = validated({**GOOD, **extra})
    for name, value in found.items():
        assert name in GOOD or value == {}
    assert set(found) - set(GOOD) <= {"user_context_data", "analytics_metadata"}


def test_validation_gives_what_the_members_hold():
    """All six members, as they came."""
    data = {
        **GOOD,
        "client_metadata": {"language": "de"},
        "analytics_metadata": {"analytics_endpoint_id": "endpoint"},
        "user_context_data": {"encoded_data": "device"},
    }
    assert validated(data) == data


def test_secrets_are_never_shown_again():
    """A serializer's representation, which pages render, has neither code nor password."""
    made = ConfirmResetSerializer(GOOD)
    assert set(made.data) & {"confirmation_code", "password"} == set()


def test_masked_values_are_taken_as_well():
    """The interfaces mask a secret where they parse it."""
    data = {**GOOD, "confirmation_code": Secret("123 456."), "password": Secret(" b")}
    assert codes(data) == {"password": ["invalid"]}
    data["password"] = Secret("b")
    assert validated(data) == {**GOOD, "confirmation_code": "123456", "password": "b"}
    assert "123456" not in repr(data)


def test_every_error_is_a_sentence_for_a_person():
    """No code and no name of DRF's is shown."""
    for name, field in ConfirmResetSerializer().fields.items():
        if isinstance(field, ClientMetadataField) or name in GOOD:
            made = ConfirmResetSerializer(data={**GOOD, name: {"a": 1}}, context=NONE)
            made.is_valid()
            [error] = made.errors[name]
            assert re.fullmatch(r"[A-Z][^{}]+\.", str(error))


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.text()
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(GOOD, ANY_TEXT | ANY_JSON),
        **{name.partition(".")[0]: ANY_JSON for name in MEMBERS if name not in GOOD},
        "analytics_metadata": st.fixed_dictionaries({"analytics_endpoint_id": ANY_JSON}),
        "user_context_data": st.fixed_dictionaries({"encoded_data": ANY_JSON}),
    },
)


@pytest.mark.requirement("G5")
@given(data=FIELDS | ANY_JSON)
@example(data=dict.fromkeys(GOOD, "\ud800"))
@examples(database=None, deadline=None, max_examples=150)
def test_g5_nothing_raises_anything_but_a_refusal(data):
    """Whatever comes is taken or refused with one of two codes, and can be encoded."""
    for serializer in (RequestCodeSerializer, ConfirmResetSerializer):
        made = serializer(data=data, context=NONE)
        if made.is_valid():
            for name in set(GOOD) & set(made.validated_data):
                assert revealed(made.validated_data)[name].encode()
        else:
            assert {code for found in leaves(made.errors).values() for code in found} <= {
                "required",
                "invalid",
                "password_too_similar",  # to the username or the code, whatever the policy
            }
            json.dumps(made.errors, ensure_ascii=False).encode()


@pytest.mark.requirement("G2")
@given(text=ANY_TEXT)
@examples(database=None, deadline=None, max_examples=100)
def test_g2_any_password_is_exact_or_refused(text):
    """There is no other outcome."""
    made = ConfirmResetSerializer(data={**GOOD, "password": text}, context=NONE)
    assert not made.is_valid() or revealed(made.validated_data)["password"] == text
