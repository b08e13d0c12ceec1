"""The Lambda function for the pool's custom message trigger, and its texts."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cognito_reset.aws_lambda import custom_message
from cognito_reset.aws_lambda.custom_message import ENGLISH, TEXTS, handler
from cognito_reset.testing.validation import service_model
from tests import lambda_texts
from tests.testing.world import World

URL = "https://www.example.com/password-reset/confirm/"
PHONE = {"phone_number": "+15550001234", "phone_number_verified": "true"}
TEXTS_OF_TWO = {
    "en": ENGLISH,
    **{
        language: {
            key: text if key == "dir" else f"{language} {text}" for key, text in ENGLISH.items()
        }
        for language in ("de", "zh-hans", "pt-br")
    },
    "ar": {**ENGLISH, "dir": "rtl", "note": "<ar> & \"note'"},
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("RESET_URL", URL)
    monkeypatch.delenv("SIGN_IN_ATTRIBUTE", raising=False)


@pytest.fixture
def world():
    """Return an emulator whose custom message trigger is the function."""
    world = World(pool={"AliasAttributes": ["email"]})
    world.emulator.set_hook(world.pool_id, "CustomMessage", lambda event: handler(event, None))
    return world


class Mail(HTMLParser):
    """A parsed mail."""

    def __init__(self, message):
        super().__init__()
        self.elements, self.texts, self.subject = [], [], message.subject
        self.feed(message.body)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def link(self):
        (address,) = [attrs["href"] for tag, attrs in self.elements if tag == "a"]
        return address


def sent(world, username="alice", **metadata):
    world.send_code(username, **({"ClientMetadata": metadata} if metadata else {}))
    return world.emulator.outbox[-1]


def fragment(address):
    return {name: value for name, [value] in parse_qs(urlsplit(address).fragment).items()}


def event(username="alice", source="CustomMessage_ForgotPassword", **attributes):
    """Return an event as AWS documents it."""
    return {
        "version": "1",
        "region": "eu-west-1",
        "userPoolId": "eu-west-1_Example01",
        "userName": username,
        "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "1example"},
        "triggerSource": source,
        "request": {
            "userAttributes": {"sub": "3f0c…", **attributes},
            "codeParameter": "{####}",
            "linkParameter": "{##Click Here##}",
            "usernameParameter": None,
        },
        "response": {"smsMessage": None, "emailMessage": None, "emailSubject": None},
    }


# The link


@pytest.mark.requirement("D11")
def test_d11_the_mail_has_the_code_and_a_link_of_the_functions_own(world):
    """The address comes from the environment; name and code are in the link's fragment."""
    world.add()
    message = sent(world)
    mail = Mail(message)
    assert mail.link.split("#")[0] == URL
    assert fragment(mail.link) == {"username": "alice", "code": message.code}
    assert mail.subject == "Reset your password"
    # The code comes first, because it works everywhere.
    assert mail.texts.index(message.code) < mail.texts.index("Choose a new password")
    assert {tag for tag, _ in mail.elements} <= {
        *("html", "head", "meta", "title", "body", "div", "p", "strong", "bdi", "a")
    }


@pytest.mark.requirement("D11")
def test_d11_no_caller_chooses_the_link(world):
    """No data of the request gets into the message."""
    world.add()
    evil = "https://evil.example/"
    names = ("RESET_URL", "reset_url", "url", "host", "redirectUri", "locale", "SIGN_IN_ATTRIBUTE")
    message = sent(world, language=f'"><a href="{evil}">', **dict.fromkeys(names, evil))
    assert "evil" not in message.body + message.subject
    assert Mail(message).link.startswith(f"{URL}#")


@pytest.mark.requirement("D11")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "www.example.com/reset/",
        "http://www.example.com/reset/",
        "http://localhost.example.com/reset/",
        "javascript:alert(1)//https://",
        "https:///reset/",
        "https://[::1/reset/",
        f"{URL}#here",
    ],
)
def test_d11_without_a_safe_address_there_is_only_the_code(world, monkeypatch, caplog, url):
    """Without an https address, the mail has no link, and the log has the reason."""
    monkeypatch.setenv("RESET_URL", url)
    world.add(**PHONE)
    text = sent(world)
    assert text.body == f"Your password reset code is {text.code}. Do not share it."
    changed = handler(event(), None)["response"]["emailMessage"]
    assert "<a" not in changed
    assert "{####}" in changed
    assert len(caplog.records) == (2 if url else 0)


@pytest.mark.parametrize(
    "url",
    [
        "https://www.example.com/reset/?next=%2Fbasket%2F&a=b",
        'https://www.example.com/reset/?a="b"&amp;c',
        "http://localhost:8000/reset/",
        "http://127.0.0.1:8000/reset/",
        "http://[::1]:8000/reset/",
    ],
)
def test_addresses_that_may_be_linked_to(world, monkeypatch, url):
    """Addresses with https, or of this machine, are linked to, with their query."""
    monkeypatch.setenv("RESET_URL", url)
    world.add()
    assert Mail(sent(world)).link.split("#")[0] == url


@pytest.mark.parametrize(
    "name", ["a&code=1#b", "o'neil+1@example.com", 'x"><b>%41', "Žofie/ß?=", "+1"]
)
def test_every_username_survives_the_link(name):
    """Characters with a meaning in URLs or HTML survive in the link."""
    body = handler(event(name), None)["response"]["emailMessage"]
    (found,) = re.findall(r'<a href="([^"]*)">', body)
    assert fragment(html.unescape(found)) == {"username": name, "code": "{####}"}


@pytest.mark.parametrize(
    ("attribute", "attributes", "name"),
    [
        ("email", {"email": "a@example.com", "email_verified": "true"}, "a@example.com"),
        ("email", {"email": "a@example.com", "email_verified": "false"}, "alice"),
        ("email", {"email": "a@example.com"}, "alice"),
        ("phone_number", PHONE, "+15550001234"),
        ("preferred_username", {"preferred_username": "Al"}, "Al"),
        ("preferred_username", {}, "alice"),
        ("", {"": "nobody"}, "alice"),
    ],
)
def test_the_link_calls_people_what_they_sign_in_with(monkeypatch, attribute, attributes, name):
    """The link contains the alias that the site chose, unless that isn't verified."""
    monkeypatch.setenv("SIGN_IN_ATTRIBUTE", attribute)
    given = event(**{key: value for key, value in attributes.items() if key})
    body = handler(given, None)["response"]["emailMessage"]
    (found,) = re.findall(r'<a href="([^"]*)">', body)
    assert fragment(html.unescape(found))["username"] == name


# Trigger sources


def test_staffs_resets_have_the_link_too(world):
    """AdminResetUserPassword has the same trigger source."""
    world.add()
    world.admin("AdminResetUserPassword", "alice")
    (message,) = world.emulator.outbox
    assert fragment(Mail(message).link)["code"] == message.code


@pytest.mark.parametrize(
    "source",
    ["CustomMessage_SignUp", "CustomMessage_AdminCreateUser", "CustomMessage_Authentication"],
)
def test_other_messages_are_left_alone(source):
    """The function doesn't change messages for sign-up and sign-in."""
    assert handler(event(source=source), None) == event(source=source)


def test_the_file_runs_alone(tmp_path):
    """The file works alone in an empty folder, in a Python without any package."""
    shutil.copy(custom_message.__file__, tmp_path)
    source = (
        "import json, sys; sys.path.insert(0, '.'); from custom_message import handler; "
        "print(json.dumps(handler(json.load(sys.stdin), None)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source],
        cwd=tmp_path,
        env={"RESET_URL": URL},
        input=json.dumps(event()),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == handler(event(), None)


# Languages


@pytest.mark.requirement("U18")
@pytest.mark.parametrize(
    ("language", "locale", "chosen"),
    [
        ("de", None, "de"),
        ("de-AT", None, "de"),
        ("zh-cn", None, "zh-hans"),
        ("zh_Hans_CN", None, "zh-hans"),
        ("pt", None, "pt-br"),
        ("pt-PT", None, "pt-br"),
        (None, "de_DE", "de"),
        ("tlh", "ar-EG", "ar"),
        ("", "", "en"),
        ("tlh", None, "en"),
        ("en-GB", "de", "en"),
        ("-", "d", "en"),
    ],
)
def test_u18_the_language_is_the_visitors_then_the_users(
    world, monkeypatch, language, locale, chosen
):
    """First ClientMetadata's language, then the user's locale, then English."""
    monkeypatch.setattr(custom_message, "TEXTS", TEXTS_OF_TWO)
    world.add(**({"locale": locale} if locale else {}))
    message = sent(world, **({} if language is None else {"language": language}))
    html_element = Mail(message).elements[0][1]
    assert html_element["lang"] == chosen
    assert message.subject == TEXTS_OF_TWO[chosen]["subject"]


@pytest.mark.requirement("U17")
def test_u17_a_mail_runs_from_right_to_left_and_its_code_does_not(world, monkeypatch):
    """An inner element has the direction too, because mail programs drop the outermost."""
    monkeypatch.setattr(custom_message, "TEXTS", TEXTS_OF_TWO)
    world.add()
    message = sent(world, language="ar")
    mail = Mail(message)
    marked = [tag for tag, attrs in mail.elements if (attrs.get("dir")) == "rtl"]
    assert marked == ["html", "div"]
    assert f'<bdi dir="ltr">{message.code}</bdi>' in message.body
    assert "<ar> & \"note'" in mail.texts


@pytest.mark.requirement("U27")
def test_u27_a_text_message_is_bound_to_the_domain(world, monkeypatch):
    """The form without a line break is used, unless it is too long for Cognito."""
    world.add(**PHONE)
    message = sent(world)
    code = message.code
    text = f"Your password reset code is {code}. Do not share it."
    assert message.body == f"@www.example.com #{code} {text}"
    monkeypatch.setenv("RESET_URL", f"https://{'a' * 63}.{'b' * 20}.example.com/")
    assert sent(world).body == text.replace(code, world.emulator.outbox[-1].code)


@pytest.mark.parametrize("language", TEXTS)
def test_cognito_takes_every_text(language):
    """All texts are within the limits and patterns of AWS's model."""
    given = event("alice@example.com")
    given["request"]["clientMetadata"] = {"language": language}
    response = handler(given, None)["response"]
    shapes = {
        "emailMessage": "EmailVerificationMessageType",
        "emailSubject": "EmailVerificationSubjectType",
        "smsMessage": "SmsVerificationMessageType",
    }
    for name, shape in shapes.items():
        limits = service_model().shape_for(shape).metadata
        assert (
            limits["min"]
            <= len(response[name])
            <= limits["max"]
            == {"emailMessage": 20000}.get(name, 140)
        )
        assert all(unicodedata.category(c)[0] in "LMSNP" or c == " " for c in response[name])
    assert "\n" not in response["smsMessage"]
    assert "{####}" in response["emailMessage"]
    assert "{####}" in response["smsMessage"].split(" ", 2)[2]


# The origin of the texts


@pytest.mark.requirement("U18")
def test_u18_the_texts_are_those_of_the_catalogues():
    """`make lambda` was run after the last change of a translation."""
    source = lambda_texts.FILE.read_text()
    assert lambda_texts.written(source, lambda_texts.translations(lambda_texts.LOCALE)) == source


def compiled(folder, **texts):
    """Write a compiled catalogue, in the format that the gettext manual documents."""
    pairs = sorted({"": "Content-Type: text/plain; charset=UTF-8\n", **texts}.items())
    originals, translated, tables = (
        [key.encode() for key, _ in pairs],
        [t.encode() for _, t in pairs],
        b"",
    )
    place = 28 + 16 * len(pairs)
    data = b""
    for text in [*originals, *translated]:
        tables += struct.pack("<II", len(text), place + len(data))
        data += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(head + tables + data)


@pytest.mark.requirement("U18")
def test_u18_a_catalogue_becomes_a_language_of_the_function(tmp_path):
    """Only complete catalogues count, and their texts contain what Cognito accepts."""
    texts = {
        text: f'"{key}"\u00a0\u200c{{code}}’s' for key, text in ENGLISH.items() if key != "dir"
    }
    compiled(tmp_path / "zh_Hans" / "LC_MESSAGES", **texts)
    compiled(tmp_path / "ar" / "LC_MESSAGES", **texts)
    compiled(tmp_path / "de" / "LC_MESSAGES", **dict(list(texts.items())[1:]))
    compiled(tmp_path / "en" / "LC_MESSAGES", **texts)
    table = lambda_texts.translations(tmp_path)
    assert {language: texts["dir"] for language, texts in table.items()} == {
        "ar": "rtl",
        "zh-hans": "ltr",
    }
    assert table["ar"]["sms"] == '"sms" {code}’s'
    source = lambda_texts.FILE.read_text()
    written = lambda_texts.written(source, table)
    values: dict[str, Any] = {"__name__": "custom_message"}
    exec(written, values)
    assert values["TRANSLATIONS"] == table
    assert lambda_texts.written(written, {}) == lambda_texts.written(source, {})


def test_the_texts_are_found_by_makemessages():
    """Each text is a literal in a call that xgettext knows, and there are few of them."""
    source = lambda_texts.FILE.read_text()
    found = re.findall(r'gettext_noop\("(.*)"\)', source)
    assert found == [text for key, text in ENGLISH.items() if key != "dir"]
    assert len(found) <= 8
