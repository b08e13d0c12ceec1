"""REQUIREMENTS 3: what the pages say and how they are marked up, state by state."""

from __future__ import annotations

import re
from gettext import NullTranslations
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import ValidationError
from django.shortcuts import render
from django.test import Client, RequestFactory
from django.utils import translation
from django.utils.translation.trans_real import CONTEXT_SEPARATOR

import cognito_reset
from cognito_reset.testing import Error, Timeout
from tests.documentation import rows, section
from tests.interfaces import WRONG_CODES, handed_over
from tests.people import NEW_PASSWORD
from tests.weights import FIRST_PAGES, weight_and_requests

START, CONFIRM, DONE = "/password-reset/", "/password-reset/confirm/", "/password-reset/done/"
SIGN_IN, CONTACT = "/sign-in/", "/contact/"
TEMPLATES = Path(cognito_reset.__file__).parent / "templates" / "cognito_reset"
VOID = {"input", "link", "meta", "path", "rect", "circle"}


class Element:
    def __init__(self, tag, attrs, parent):
        self.tag, self.attrs, self.parent, self.parts = tag, attrs, parent, []

    def __getitem__(self, name):
        return self.attrs[name]

    @property
    def text(self):
        parts = (part if isinstance(part, str) else part.text for part in self.parts)
        return " ".join("".join(parts).split())

    def all(self, tag="", **attrs):
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attrs.items()}
        for part in self.parts:
            if isinstance(part, str):
                continue
            if tag in ("", part.tag) and wanted.items() <= part.attrs.items():
                yield part
            yield from part.all(tag, **attrs)

    def one(self, tag="", **attrs):
        (element,) = self.all(tag, **attrs)
        return element

    def inside(self, tag):
        element = self.parent
        while element and element.tag != tag:
            element = element.parent
        return element


class Page(HTMLParser):
    """A page as a tree. The parser is stricter than browsers."""

    def __init__(self, response):
        super().__init__()
        self.status = response.status_code
        self.source = response.content.decode()
        self.root = self.open = Element("", {}, None)
        self.feed(self.source)
        self.close()
        assert self.open is self.root
        self.all, self.one = self.root.all, self.root.one

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.open)
        self.open.parts.append(element)
        if tag not in VOID:
            self.open = element

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.tag == tag
            self.open = self.open.parent

    def handle_data(self, data):
        self.open.parts.append(data)

    @property
    def title(self):
        return self.one("title").text

    @property
    def heading(self):
        return self.one("h1").text

    def by_id(self, ident):
        return self.one(id=ident)

    def described_by(self, element):
        return " ".join(self.by_id(ident).text for ident in element["aria-describedby"].split())


def post(client, url, **data):
    return client.post(url, data)


def confirm(client, people, **data):
    return post(
        client,
        CONFIRM,
        username="alice",
        confirmation_code=next(WRONG_CODES),
        password=NEW_PASSWORD,
        **data,
    )


def limited(people, step, **limits):
    people.settings.COGNITO_RESET = {
        **people.settings.COGNITO_RESET,
        "LIMITS": {step: limits},
    }


def first_visit(client, people):
    return client.get(START)


def nothing_typed(client, people):
    return post(client, START)


def sent(client, people):
    post(client, START, username="alice")
    return client.get(CONFIRM)


def sent_again(client, people):
    post(client, START, username="alice")
    return sent(client, people)


def required(client, people):
    return client.get(handed_over(client).url)


def required_with_code(client, people):
    return client.get(handed_over(client, code_sent=True).url)


def not_known(client, people):
    return client.get(CONFIRM)


def wrong_code(client, people):
    post(client, START, username="alice")
    return confirm(client, people)


def wrong_code_not_known(client, people):
    return confirm(client, people)


def all_empty(client, people):
    return post(client, CONFIRM)


def weak_password(client, people):
    """It has a letter in lower case, one in upper case, and a symbol."""
    return post(
        client, CONFIRM, username="alice", confirmation_code=next(WRONG_CODES), password="Weak!"
    )


def changed(client, people):
    confirmed = post(
        client,
        CONFIRM,
        username="alice",
        confirmation_code=people.code("alice"),
        password=NEW_PASSWORD,
    )
    return client.get(confirmed.url)


def signed_out(client, people):
    people.settings.COGNITO_RESET = {
        **people.settings.COGNITO_RESET,
        "SIGN_OUT_EVERYWHERE": True,
    }
    return changed(client, people)


def not_signed_out(client, people):
    people.emulator.fail_next("AdminUserGlobalSignOut", Error("InternalErrorException"))
    return signed_out(client, people)


def unknown(client, people):
    people.emulator.fail_next("ConfirmForgotPassword", Timeout())
    return client.get(confirm(client, people).url)


def too_many_codes(client, people):
    limited(people, "request", network="1/15m")
    post(client, START, username="alice")
    return post(client, START, username="bob")


def too_many_tries(client, people):
    limited(people, "confirm", identifier="1/15m")
    confirm(client, people)
    return confirm(client, people)


def down(client, people):
    people.emulator.fail_next("ForgotPassword", Error("ForbiddenException"))
    return post(client, START, username="alice")


def maybe_sent(client, people):
    people.emulator.fail_next("ForgotPassword", Timeout())
    return post(client, START, username="alice")


def down_at_confirm(client, people):
    post(client, START, username="alice")
    people.emulator.fail_next("ConfirmForgotPassword", Error("ForbiddenException"))
    return confirm(client, people)


ERRORS = [nothing_typed, wrong_code, wrong_code_not_known, all_empty, weak_password]
STOPS = [too_many_codes, too_many_tries, down, maybe_sent, down_at_confirm]
STATES = [
    first_visit,
    required,
    sent,
    sent_again,
    required_with_code,
    not_known,
    changed,
    signed_out,
    unknown,
    *ERRORS,
    *STOPS,
]

in_every = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
with_errors = pytest.mark.parametrize("state", ERRORS, ids=lambda state: state.__name__)
that_stop = pytest.mark.parametrize("state", STOPS, ids=lambda state: state.__name__)


@pytest.fixture
def show(people, settings):
    """Bring a page into a state, through the views and the emulator, and read it."""
    settings.COGNITO_RESET = {
        **settings.COGNITO_RESET,
        "SIGN_IN_URL": SIGN_IN,
        "CONTACT_URL": CONTACT,
    }
    people.settings = settings
    return lambda state: Page(state(Client(), people))


# What every page has


@pytest.mark.requirement("U1")
@in_every
def test_u1_a_page_has_one_heading_which_its_title_repeats(show, state):
    """The page has one h1. The title repeats it, after "Error:" if there is an error."""
    page = show(state)
    prefix = "Error: " if state in ERRORS else ""
    assert page.title == f"{prefix}{page.heading}"


@pytest.mark.requirement("U1")
def test_u1_titles_are_unique(show):
    """Pages with different purposes have different titles."""
    purposes = [
        first_visit,
        sent,
        not_known,
        changed,
        unknown,
        down,
        too_many_codes,
        too_many_tries,
    ]
    assert len({show(state).title for state in purposes}) == len(purposes)


@pytest.mark.requirement("U25")
@in_every
def test_u25_a_page_names_its_language_and_its_main_part(show, state):
    """<html> has lang and dir, and everything except assets is in <main>."""
    page = show(state)
    assert (page.one("html")["lang"], page.one("html")["dir"]) == ("en-us", "ltr")
    assert page.one("h1").inside("main") is page.one("main")
    assert page.one("meta", name="viewport")["content"] == "width=device-width, initial-scale=1"


@pytest.mark.requirement("U17")
@in_every
def test_u17_a_page_turns_around_for_right_to_left(show, state):
    """Arabic runs from right to left, but codes and passwords don't."""
    with translation.override("ar"):
        page = show(state)
    assert (page.one("html")["lang"], page.one("html")["dir"]) == ("ar", "rtl")
    for field in page.all("input", class_="cr-input"):
        assert field["dir"] == ("auto" if field["name"] == "username" else "ltr")
    for typed in page.all("strong", dir="auto"):
        assert typed.text == "alice"


FOREIGN = (
    "<html{}><title>{{% block title %}}{{% endblock %}}</title>"
    "<main>{{% block content %}}{{% endblock %}}</main></html>"
)


@pytest.mark.requirement("U17", "U25")
@in_every
@pytest.mark.parametrize("attributes", [' lang="en"', "", ' lang="he" dir="rtl"'])
@pytest.mark.parametrize(("language", "direction"), [("ar", "rtl"), ("de", "ltr")])
def test_u17_u25_a_page_names_its_language_in_any_layout(
    show, settings, state, attributes, language, direction
):
    """A site's layout may have one language for all visitors. Our outermost element names ours."""
    settings.TEMPLATES = templates(
        loaders=[
            (
                "django.template.loaders.locmem.Loader",
                {"cognito_reset/base.html": FOREIGN.format(attributes)},
            ),
            "django.template.loaders.app_directories.Loader",
        ]
    )
    with translation.override(language):
        page = show(state)
    (ours,) = (part for part in page.one("main").parts if not isinstance(part, str))
    assert (ours["lang"], ours["dir"]) == (language, direction)
    assert not "".join(part for part in page.one("main").parts if isinstance(part, str)).strip()


def test_the_stylesheet_follows_the_pages_direction_not_the_layouts():
    """No rule needs an attribute of the layout's elements."""
    css = re.sub(r"/\*.*?\*/", "", asset("css").decode(), flags=re.S)
    selectors = re.findall(r"[^{};]*(?:dir|lang)\b[^{};]*(?={)", css)
    assert [selector.strip() for selector in selectors] == ['.cr-page[dir="rtl"] .cr-input']


@pytest.mark.requirement("D9")
@in_every
def test_d9_a_page_has_nothing_inline_and_nothing_from_elsewhere(show, state):
    """The policy 'self' is enough, because the page contains no style, event handler or script."""
    page = show(state)
    assert not list(page.all("style"))
    assert all(script["src"] and not script.parts for script in page.all("script"))
    for element in page.all():
        assert not [name for name in element.attrs if name == "style" or name.startswith("on")]
        for name in {"src", "href", "action"} & set(element.attrs):
            assert re.match(r"(/(?!/)|#)", element[name])


@pytest.mark.requirement("D7")
@in_every
def test_d7_what_was_typed_is_in_no_address(show, state):
    """No link and no form action contains it."""
    for element in show(state).all():
        for name in {"src", "href", "action"} & set(element.attrs):
            assert "alice" not in element[name]


@in_every
def test_no_secret_comes_back(show, state):
    """No page contains a code or a password that was typed."""
    page = show(state)
    assert NEW_PASSWORD not in page.source
    assert "000000" not in page.source
    for name in ("confirmation_code", "password"):
        assert not [field for field in page.all("input", name=name) if "value" in field.attrs]


@pytest.mark.requirement("D1")
@in_every
def test_a_form_posts_with_a_token_to_a_page_of_ours(show, state):
    """Each form has its CSRF token and an action."""
    for form in show(state).all("form"):
        assert (form["method"], form["action"]) in {("post", START), ("post", CONFIRM)}
        assert form.one("input", name="csrfmiddlewaretoken")["value"]


@in_every
def test_ids_are_unique_and_references_lead_somewhere(show, state):
    """Labels, descriptions and links within a page have exactly one target each."""
    page = show(state)
    idents = [element["id"] for element in page.all() if "id" in element.attrs]
    assert len(set(idents)) == len(idents)
    for element in page.all():
        for name in {"for", "aria-describedby", "aria-controls", "aria-labelledby"} & set(
            element.attrs
        ):
            assert set(element[name].split()) <= set(idents)
        if element.attrs.get("href", "").startswith("#"):
            assert element["href"][1:] in idents


@pytest.mark.requirement("U16")
@in_every
def test_u16_help_is_the_last_link_of_every_page(show, state):
    """U16, WCAG 3.2.6: the way to a person is at the same place on each page."""
    *_, last = show(state).all("a")
    assert (last["href"], last.text) == (CONTACT, "Get help")


@pytest.mark.parametrize("state", [first_visit, changed, unknown, down])
def test_links_that_the_site_does_not_have_are_left_out(people, state):
    """Without SIGN_IN_URL and CONTACT_URL, no link leaves the pages."""
    page = Page(state(Client(), people))
    assert {link["href"] for link in page.all("a")} <= {START, CONFIRM}
    assert not list(page.all("ul", class_="cr-help"))


# Fields and errors


@pytest.mark.requirement("U2")
@with_errors
def test_u2_the_summary_is_first_and_links_each_error_to_its_field(show, state):
    """
    The summary has role=alert, for people without JavaScript, one line for each field, and the same texts
    as the fields. The rules that a password broke are only beside it.
    """
    page = show(state)
    summary = page.one(role="alert")
    assert summary.one("h2").text == "There is a problem"
    assert summary["tabindex"] == "-1"
    elements = list(page.one("main").all())
    assert elements.index(summary) < elements.index(page.one("h1"))
    links = list(summary.all("a"))
    assert links
    for link in links:
        field = page.by_id(link["href"][1:])
        text = "Use a number (0 to 9)." if state is weak_password else link.text
        assert f"Error: {text}" in page.described_by(field)
    assert len({link["href"] for link in links}) == len(links)
    invalid = {field["id"] for field in page.all("input", aria_invalid="true")}
    assert invalid == {link["href"][1:] for link in links}


GENERIC = "Choose a longer or more varied password. This one does not meet the rules."
TOO_SIMILAR = "Choose a password that is not your username or code."


def rules_of(page):
    """Return each rule of the list with its class and the words that are shown or read out."""
    return [
        (
            item.attrs.get("class", ""),
            *(span.text for span in item.all("span") if "hidden" not in span.attrs),
        )
        for item in page.by_id("id_password-rules").all("li")
        if "data-cr-pattern" in item.attrs
    ]


@pytest.mark.requirement("U2", "U11")
def test_u11_broken_rules_are_shown_once_with_the_state_of_each(show):
    """Each rule has words and a class for its mark. One line of the summary links to the field."""
    page = show(weak_password)
    assert rules_of(page) == [
        ("cr-missed", "Error:", "Use at least 8 characters."),
        ("cr-kept", "Use a lowercase letter (a to z).", "Done"),
        ("cr-kept", "Use an uppercase letter (A to Z).", "Done"),
        ("cr-missed", "Error:", "Use a number (0 to 9)."),
        ("cr-kept", "Use a symbol, such as ! or ?", "Done"),
    ]
    (link,) = page.one(role="alert").all("a")
    assert (link["href"], link.text) == ("#id_password", GENERIC)
    assert not list(page.all("p", class_="cr-error"))
    for text in ("Use at least 8 characters.", "Use a number (0 to 9)."):
        assert page.source.count(text) == 1
    assert page.by_id("id_password")["aria-invalid"] == "true"
    assert page.by_id("id_password")["aria-describedby"].split() == ["id_password-rules"]


@pytest.mark.requirement("U11")
@pytest.mark.parametrize("state", [sent, not_known, wrong_code, all_empty, down_at_confirm])
def test_u11_rules_have_no_state_before_a_password_broke_one(show, state):
    """The field is empty, so nothing is ticked off and nothing is missed."""
    states = {(classes, len(texts)) for classes, *texts in rules_of(show(state))}
    assert states == {("", 1)}


VALIDATORS = "django.contrib.auth.password_validation"


class OwnValidator:
    """It has the code of one of our rules, and another text."""

    def validate(self, password, user=None):
        raise ValidationError("Use 12 runes.", code="password_too_short")

    def get_help_text(self):
        return "Runes only."


@pytest.mark.requirement("U2", "U11")
@pytest.mark.parametrize(
    ("password", "validators", "summary", "errors", "missed"),
    [
        # Rules, and an error that the list doesn't have.
        ("alice", [], GENERIC, [TOO_SIMILAR], 4),
        # One error of the site's validators is the summary's line as well; of several each is shown once.
        (
            "Battery-1",
            [{"NAME": f"{__name__}.OwnValidator"}],
            "Use 12 runes.",
            ["Use 12 runes."],
            0,
        ),
        (
            "Alice-Alice-1",
            [
                {"NAME": f"{__name__}.OwnValidator"},
                {
                    "NAME": f"{VALIDATORS}.UserAttributeSimilarityValidator",
                    "OPTIONS": {"max_similarity": 0.3},
                },
            ],
            GENERIC,
            ["Use 12 runes.", "The password is too similar to the username."],
            0,
        ),
        # Errors of the field itself.
        (
            f"{NEW_PASSWORD} ",
            [],
            "Remove the space at the start or the end of the password.",
            None,
            0,
        ),
    ],
)
def test_u2_an_error_outside_the_list_of_rules_is_shown_once_at_the_field(
    show, settings, password, validators, summary, errors, missed
):
    """The errors are beside the field. The summary has one line, even if there are several errors."""
    settings.AUTH_PASSWORD_VALIDATORS = validators

    def refused(client, people):
        code = next(WRONG_CODES)
        return post(client, CONFIRM, username="alice", confirmation_code=code, password=password)

    page = show(refused)
    (link,) = page.one(role="alert").all("a")
    assert (link["href"], link.text) == ("#id_password", summary)
    shown = [error.text for error in page.all("p", class_="cr-error")]
    assert shown == [f"Error: {error}" for error in errors or [summary]]
    assert [classes for classes, *_ in rules_of(page)].count("cr-missed") == missed
    field = page.by_id("id_password")
    assert field["aria-invalid"] == "true"
    assert field["aria-describedby"].split() == ["id_password-rules", "id_password-error"]


@pytest.mark.requirement("U2")
@pytest.mark.parametrize("state", [first_visit, sent, not_known, changed, *STOPS])
def test_u2_there_is_no_summary_without_an_error(show, state):
    """Without an error, the page shows no problem."""
    page = show(state)
    assert not list(page.all(role="alert"))
    assert not list(page.all(aria_invalid="true"))


@pytest.mark.requirement("U3")
@in_every
def test_u3_every_visible_field_has_a_label_and_its_hint(show, state):
    """The label has `for`, and the field refers to its hint by aria-describedby."""
    page = show(state)
    for field in page.all("input", class_="cr-input"):
        assert page.one("label", for_=field["id"]).text
    for hint in page.all("p", class_="cr-hint"):
        if "id" in hint.attrs:
            field = page.by_id(hint["id"].removesuffix("-hint"))
            assert hint["id"] in field["aria-describedby"].split()


@pytest.mark.requirement("U4")
@pytest.mark.parametrize("state", [first_visit, not_known, all_empty])
def test_u4_the_username_field(show, state):
    """It has hints for password managers and phones, and its label names what is accepted."""
    page = show(state)
    field = page.by_id("id_username")
    assert field.attrs.items() >= {
        ("type", "text"),
        ("autocomplete", "username"),
        ("autocapitalize", "none"),
        ("spellcheck", "false"),
    }
    assert page.one("label", for_="id_username").text == "Username, email address or phone number"


@pytest.mark.requirement("U5", "U6", "U14")
@pytest.mark.parametrize("state", [sent, not_known, wrong_code, down_at_confirm])
def test_u5_u6_u14_the_code_and_the_one_password_field(show, state):
    """Each is one field that neither cuts nor refuses what is pasted."""
    page = show(state)
    code, password = page.by_id("id_confirmation_code"), page.by_id("id_password")
    assert code.attrs.items() >= {
        ("type", "text"),
        ("inputmode", "numeric"),
        ("autocomplete", "one-time-code"),
        ("spellcheck", "false"),
        ("dir", "ltr"),
    }
    assert password.attrs.items() >= {
        ("type", "password"),
        ("autocomplete", "new-password"),
        ("autocapitalize", "none"),
        ("spellcheck", "false"),
        ("dir", "ltr"),
    }
    for field in (code, password):
        assert not {"maxlength", "minlength", "pattern", "required"} & set(field.attrs)
    assert len(list(page.all("input", type="password"))) == 1


@pytest.mark.requirement("U7")
@pytest.mark.parametrize("state", [sent, wrong_code, down_at_confirm])
def test_u7_a_known_username_is_text_and_a_field_in_the_form(show, state):
    """People read the text. Password managers read the field in the form with the password."""
    page = show(state)
    field = page.by_id("id_username")
    assert field.attrs.items() >= {
        ("autocomplete", "username"),
        ("value", "alice"),
        ("type", "text"),
        ("readonly", ""),
        ("tabindex", "-1"),
        ("aria-hidden", "true"),
    }
    form = page.by_id("id_password").inside("form")
    assert field.inside("form") is form
    assert form.one("strong", dir="auto").text == "alice"


@pytest.mark.requirement("U7")
def test_u7_an_unknown_username_is_asked_for(show):
    """Without a session the same form has an editable field."""
    page = show(not_known)
    field = page.by_id("id_username")
    assert not {"readonly", "aria-hidden", "value"} & set(field.attrs)
    assert field.inside("form") is page.by_id("id_password").inside("form")


@pytest.mark.requirement("U7")
def test_u7_markup_in_a_username_is_text(show):
    """What was typed is escaped wherever it is shown."""
    typed = "<b>\"&'</b>"

    def marked_up(client, people):
        post(client, START, username=typed)
        return client.get(CONFIRM)

    page = show(marked_up)
    assert page.one("strong", dir="auto").text == typed
    assert page.by_id("id_username")["value"] == typed
    assert not list(page.all("b"))


@pytest.mark.requirement("U10")
def test_u10_the_show_button_waits_for_the_script(show):
    """It is a real button, hidden without JavaScript, with a polite live region for its state."""
    page = show(sent)
    button = page.one("button", aria_controls="id_password")
    assert button.attrs.items() >= {
        ("type", "button"),
        ("hidden", ""),
        ("aria-label", "Show password"),
    }
    assert button.parent.one(role="status").text == ""


@pytest.mark.requirement("U22")
def test_u22_what_was_typed_is_kept_secrets_aside(show):
    """The username comes back, the code and the password don't."""
    page = show(wrong_code_not_known)
    assert page.by_id("id_username")["value"] == "alice"
    assert "value" not in page.by_id("id_confirmation_code").attrs


# What the pages say


def test_the_first_page_leads_on_with_a_code_at_hand(show):
    """A person who has got a code in another way needn't request another one."""
    page = show(first_visit)
    assert page.one("a", href=CONFIRM).text == "I already have a code"


@pytest.mark.requirement("U8")
@pytest.mark.parametrize("state", [sent, not_known, wrong_code, down_at_confirm])
def test_u8_the_life_of_a_code_is_said(show, state):
    """Each page with a field for the code says how long a code is valid."""
    assert "works for an hour" in show(state).one("main").text


@pytest.mark.requirement("U15")
@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_u15_what_follows_a_request_is_neutral(show, name):
    """The page repeats what was typed and says "if"."""

    def asked(client, people):
        post(client, START, username=name)
        return client.get(CONFIRM)

    page = show(asked)
    assert page.heading == "Check your email or phone"
    assert page.one("p", role="status").text == (
        f"If an account matches {name}, we have sent a reset code. It works for an hour. "
        "If you get more than one, use the newest."
    )
    assert "It may be that this account cannot be reset here." in page.one("main").text


@pytest.mark.requirement("U13")
def test_u13_a_shown_destination_is_in_the_same_sentence(show):
    """The sentence about the newest code names its destination."""

    def asked(client, people):
        people.settings.COGNITO_RESET = {
            **people.settings.COGNITO_RESET,
            "SHOW_DESTINATION": True,
        }
        return sent(client, people)

    text = show(asked).one("p", role="status").text
    assert re.fullmatch(
        r"If an account matches alice, we have sent a reset code to \S+\*\*\*\S+\. "
        r"It works for an hour\. If you get more than one, use the newest\.",
        text,
    )


@pytest.mark.requirement("U12", "U21")
def test_u12_a_new_code_is_asked_for_in_a_form_of_its_own(show, settings):
    """
    Its form follows the main one and uses POST. The wait is text, and the button can be focused.
    """
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    page = show(sent)
    main, again = page.all("form")
    assert main["action"] == CONFIRM
    assert again["action"] == START
    assert again.one("input", name="username")["value"] == "alice"
    button = again.one("button", type="submit")
    assert button.text == "Send a new code"
    assert "disabled" not in button.attrs
    assert re.fullmatch(
        r"You can ask for a new code in (60|59) seconds\.", page.described_by(button)
    )


@pytest.mark.requirement("U12", "U13")
def test_u12_another_code_is_announced_as_one(show):
    """The page has a status message, so that the person sees that the button worked."""
    page = show(sent_again)
    assert page.one("p", role="status").text == (
        "If an account matches alice, we have sent another code. Use the newest one. "
        "It works for an hour."
    )
    assert "another code" not in show(sent).source


@pytest.mark.requirement("U12")
def test_u12_without_a_wait_there_is_no_text_about_it(rf):
    """When the wait is over, only the button is left."""
    page = Page(rendered(rf, "confirm", username="alice", resend_after=0))
    *_, button = page.all("button", type="submit")
    assert button.text == "Send a new code"
    assert "aria-describedby" not in button.attrs
    assert "You can ask" not in page.source


@pytest.mark.requirement("U18")
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "You can ask for a new code in 1 second."),
        (2, "You can ask for a new code in 2 seconds."),
    ],
)
def test_u18_the_wait_has_its_plural(rf, seconds, text):
    """
    Singular and plural are right, and the script gets the sentence in each form that it may need.
    """
    page = Page(rendered(rf, "confirm", username="alice", resend_after=seconds))
    wait = page.by_id("cr-wait")
    assert wait.text == text
    assert wait["data-text-1"] == "You can ask for a new code in 1 second."
    assert [wait[f"data-text-{number}"] for number in (2, 3, 11)] == [
        f"You can ask for a new code in {number} seconds." for number in (2, 3, 11)
    ]
    assert wait["data-cr-wait"] == str(seconds)


@pytest.mark.requirement("U28")
def test_u28_without_a_session_a_new_code_starts_at_the_first_page(show):
    """The person only has to type the username again."""
    page = show(not_known)
    assert page.one("a", href=START).text == "Ask for a new code"
    assert page.heading == "Enter your reset code"


@pytest.mark.requirement("U16")
@that_stop
def test_u16_a_stop_page_says_how_long_to_wait(show, people, state):
    """The time in the text is that of Retry-After, and a link leads on."""
    response = state(Client(), people)
    page = Page(response)
    seconds = int(response.headers["Retry-After"])
    times = re.findall(r"(\d+) (second|minute)s?", page.one("main").text)
    ((number, unit),) = times
    assert int(number) == (seconds if unit == "second" else -(-seconds // 60))
    assert [link for link in page.all("a") if link["href"] in (START, CONFIRM)] or list(
        page.all("form")
    )


@pytest.mark.requirement("U16")
@pytest.mark.parametrize(
    ("state", "heading", "text"),
    [
        (
            too_many_codes,
            "You cannot get a new code at the moment",
            "Too many codes have been asked for. Wait 15 minutes, then try again.",
        ),
        (
            too_many_tries,
            "You cannot enter a code at the moment",
            "There were too many tries. Wait 15 minutes, then try again.",
        ),
        (down, "Sorry, there is a problem with the service", "No code was sent."),
        (maybe_sent, "Sorry, there is a problem with the service", "A code may be on its way"),
        (
            down_at_confirm,
            "Sorry, there is a problem with the service",
            "Your password was not changed.",
        ),
    ],
)
def test_u16_a_stop_page_says_what_happened(show, state, heading, text):
    """
    Too many codes, too many attempts and an error have different texts, and none of them blames the
    person.
    """
    page = show(state)
    assert page.heading == heading
    assert text in page.one("main").text


@pytest.mark.requirement("U16")
@pytest.mark.parametrize("state", [down, maybe_sent])
def test_u16_a_fault_gives_the_form_back(show, state):
    """
    The form contains what was typed, and a link leads to the page for a code that has arrived
    already.
    """
    page = show(state)
    assert page.one("form")["action"] == START
    assert page.by_id("id_username")["value"] == "alice"
    assert list(page.all("a", href=CONFIRM))


@pytest.mark.requirement("U23")
def test_u23_done_says_so_and_leads_to_the_sign_in(show):
    """The page says what happened, where to sign in, and whom to tell if it was somebody else."""
    page = show(changed)
    assert page.heading == "Your password has been changed"
    assert page.one("a", href=SIGN_IN).text == "Sign in"
    assert "Was this not you? Tell us at once." in page.one("main").text
    links = [link.text for link in page.all("a", href=CONTACT)]
    assert links == ["Tell us at once", "Get help"]


@pytest.mark.requirement("U23")
@pytest.mark.parametrize(
    ("state", "said"),
    [(changed, False), (signed_out, True), (not_signed_out, False), (unknown, False)],
)
def test_u23_done_says_that_other_devices_are_signed_out_where_they_are(show, state, said):
    """It says so only if Cognito has done it, and not without the setting or after an error."""
    text = "Your other devices will ask you to sign in again."
    assert (text in show(state).one("main").text) is said


@pytest.mark.requirement("U23")
def test_u23_an_unknown_outcome_claims_nothing_whatever_is_set(show):
    """
    If it is unknown whether the password was changed, the page doesn't say that anybody was signed
    out.
    """

    def unknown_with_sign_out(client, people):
        signed_out(client, people)
        return unknown(client, people)

    assert "devices" not in show(unknown_with_sign_out).source


@pytest.mark.requirement("C5")
def test_c5_an_unknown_outcome_is_said_honestly(show):
    """
    The page claims neither success nor failure. It advises to try the new password first, then a
    new code.
    """
    page = show(unknown)
    assert page.heading == "We could not confirm that your password was changed"
    assert "Try to sign in with your new password." in page.one("main").text
    assert [page.one("a", href=url).text for url in (SIGN_IN, START)] == [
        "Sign in",
        "Ask for a new code",
    ]


# Translation


class Marked(NullTranslations):
    """A language in which every text is in brackets, so that untranslated texts show."""

    def gettext(self, message):
        return f"[{message.rpartition(CONTEXT_SEPARATOR)[2]}]"

    def ngettext(self, singular, plural, number):
        return self.gettext(singular if number == 1 else plural)

    def to_language(self):
        return "en"


TEXT_ATTRIBUTES = re.compile(r"aria-label|alt|title|placeholder|data-(text|show|hid|over).*")


def outside_of_brackets(text):
    depth, found = 0, ""
    for character in text:
        depth -= character == "]"
        if depth == 0 and character not in "[]":
            found += character
        depth += character == "["
    assert depth == 0
    return found.strip()


@pytest.mark.requirement("U18")
@in_every
def test_u18_every_text_can_be_translated(show, state, monkeypatch):
    """Every text and every text attribute of a page is in the catalogue."""
    with translation.override("en"):
        monkeypatch.setattr("django.utils.translation.trans_real._active.value", Marked())
        page = show(state)
    assert "[" in page.heading
    texts = [page.title, page.one("main").text]
    for element in page.all():
        texts += [text for name, text in element.attrs.items() if TEXT_ATTRIBUTES.fullmatch(name)]
    assert [text for text in texts if outside_of_brackets(text)] == []


# A site's own


def rendered(rf, name, **context):
    return render(
        rf.get("/"),
        f"cognito_reset/{name}.html",
        {"request_url": START, "confirm_url": CONFIRM, **context},
    )


def templates(**options):
    return [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": options}]


@pytest.mark.requirement("U24")
@in_every
def test_u24_a_site_restyles_by_one_template(show, people, settings, state):
    """Every page is inside the site's own base.html, which has two blocks."""
    own = (
        "<html><title>{% block title %}{% endblock %} | Example</title>"
        "<main>{% block content %}{% endblock %}</main></html>"
    )
    settings.TEMPLATES = templates(
        loaders=[
            ("django.template.loaders.locmem.Loader", {"cognito_reset/base.html": own}),
            "django.template.loaders.app_directories.Loader",
        ]
    )
    page = show(state)
    assert page.title.endswith(f"{page.heading} | Example")
    assert page.one("main").one("h1")
    assert not list(page.all("link"))


SITE = (
    "<html><title>{% block page_title %}{% block title %}{% endblock %}{% endblock %} | Example"
    "</title>{% block head %}{% block extra_head %}{% endblock %}{% endblock %}"
    "<main>{% block main %}{% block content %}{% endblock %}{% endblock %}</main></html>"
)
THEMING = (Path(__file__).parents[1] / "docs" / "theming.md").read_text()
FRAMES = re.findall(r"```html\n\{# templates/cognito_reset/base.html #\}\n(.*?)```", THEMING, re.S)


@pytest.mark.requirement("U24")
@in_every
@pytest.mark.parametrize("frame", FRAMES, ids=["plain", "other-blocks", "bootstrap", "tailwind"])
def test_u24_the_frames_in_the_docs_hold_every_page(show, settings, state, frame):
    """They can be copied unchanged."""
    site = SITE
    if "page_title" not in frame:  # this site's own names are then ours
        site = re.sub(
            r"{% block (page_title|head|main) %}(.*?{% endblock %}){% endblock %}", r"\2", site
        )
    else:
        site = re.sub(r"{% block (title|extra_head|content) %}{% endblock %}", "", site)
    settings.TEMPLATES = templates(
        loaders=[
            (
                "django.template.loaders.locmem.Loader",
                {"base.html": site, "cognito_reset/base.html": frame},
            ),
            "django.template.loaders.app_directories.Loader",
        ]
    )
    page = show(state)
    assert page.title.startswith(page.heading) or page.title.startswith(f"Error: {page.heading}")
    assert page.one("main").one("h1")
    assert finders.find("cognito_reset/cognito_reset.css")
    assert any("cognito_reset.css" in link["href"] for link in page.all("link"))


@pytest.mark.requirement("U24")
def test_u24_the_documented_properties_are_those_that_there_are():
    """Each property is set once, and the docs name no other."""
    source = (Path(finders.find("cognito_reset/cognito_reset.css"))).read_text()
    known = set(re.findall(r"^  (--cr-[a-z-]+):", source, re.M))
    assert set(re.findall(r"--cr-[a-z-]+", THEMING)) == known


@pytest.mark.requirement("U24")
def test_u24_the_documented_values_are_the_properties_own():
    """The table has the value of each colour in light and in dark, and of the corners."""
    source = Path(finders.find("cognito_reset/cognito_reset.css")).read_text()
    colours = {
        name: [light, dark]
        for name, light, dark in re.findall(
            r"^    (--cr-[a-z-]+): light-dark\((#\w+), (#\w+)\);", source, re.M
        )
    }
    (corner,) = re.findall(r"^  --cr-radius: (.*);", source, re.M)
    listed = {
        name: [value.strip("`") for value in values[1:]]
        for name, values in rows(section("theming.md", "The properties")).items()
    }
    assert listed.pop("--cr-radius") == [corner, corner]
    assert listed.pop("--cr-font") == ["the system's", "the system's"]
    assert listed == colours


@pytest.mark.requirement("U24")
def test_u24_every_template_is_documented():
    """Each file is named, and each of the four pages with the context that the comment at its top describes."""
    listed = section("theming.md", "The templates")
    for path in TEMPLATES.iterdir():
        name = re.sub(r"^(notice|reset_sent)_.*", r"\1_*.txt", path.name)
        assert f"`{name}`" in listed, name
    pages = {name: row[1] for name, row in rows(listed).items() if len(row) == 2}
    assert pages.keys() == {"request.html", "confirm.html", "done.html", "stop.html"}
    for name, context in pages.items():
        comment = (TEMPLATES / name).read_text().partition("{% endcomment %}")[0]
        described = re.sub(r" \(.*?\)", "", comment.partition("Context: ")[2], flags=re.S)
        words = re.findall(r"\w+", described.replace('if the reason is "unreadable", only', ""))
        assert re.findall(r"\w+", context) == words, name


@pytest.mark.requirement("B15")
def test_b15_a_challenge_is_in_each_form_that_asks_for_a_code(show, settings):
    """Also in the one that asks for another code, which PRE_SEND_HOOK would otherwise refuse."""
    widget = '<div id="widget"></div>'
    settings.TEMPLATES = templates(
        loaders=[
            ("django.template.loaders.locmem.Loader", {"cognito_reset/_challenge.html": widget}),
            "django.template.loaders.app_directories.Loader",
        ]
    )
    for state in (first_visit, sent):
        assert show(state).by_id("widget").inside("form")["action"] == START


@in_every
def test_pages_need_no_context_processor(show, settings, state):
    """The views pass all variables that the templates use, so that not even `request` is needed."""
    settings.TEMPLATES = [{**templates()[0], "APP_DIRS": True}]
    page = show(state)
    assert page.heading
    for form in page.all("form"):
        assert form.one("input", name="csrfmiddlewaretoken")["value"]


@pytest.mark.requirement("D9")
@pytest.mark.parametrize("where", ["context", "request"])
def test_d9_a_nonce_is_used_where_there_is_one(where):
    """
    It is Django's `csp_nonce`, or that of django-csp on the request, which is lazy and false until
    it is used.
    """

    class Nonce:
        def __bool__(self):
            return False

        def __str__(self):
            return "bm9uY2U"

    request = RequestFactory().get("/")
    context = {"csp_nonce": Nonce()} if where == "context" else {"request": request}
    vars(request)["csp_nonce"] = Nonce()
    page = Page(render(request, "cognito_reset/request.html", context))
    assert [page.one(tag)["nonce"] for tag in ("link", "script")] == ["bm9uY2U", "bm9uY2U"]


@pytest.mark.requirement("D9")
def test_d9_there_is_no_nonce_where_the_site_has_none(show):
    """There isn't even an empty attribute."""
    assert "nonce" not in show(first_visit).source


# Weight and colour


def asset(name):
    path = finders.find(f"cognito_reset/cognito_reset.{name}")
    assert path
    return Path(path).read_bytes()


@pytest.mark.parametrize("path", FIRST_PAGES.values(), ids=FIRST_PAGES)
def test_a_first_visit_is_light(client, path):
    """Compressed, a page with its CSS and JavaScript takes 6.5 kB at most, in three requests."""
    weight, requests = weight_and_requests(client.get(f"/password-reset/{path}").content.decode())
    assert weight <= 6_500
    assert requests == 3


@pytest.mark.requirement("D9")
def test_the_stylesheet_asks_for_nothing_else():
    """It has no url() and no @import, so that nothing is loaded that a policy could refuse."""
    assert not re.search(rb"url\(|@import", asset("css"))


def luminance(colour):
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.requirement("U19")
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("text", "surface", 4.5),
        ("muted", "surface", 4.5),
        ("accent", "surface", 4.5),
        ("danger", "surface", 4.5),
        ("on-accent", "accent", 4.5),
        ("line", "surface", 3),
        ("good", "surface", 3),
        ("accent", "background", 3),
    ],
)
def test_u19_contrast(scheme, front, back, least):
    """4.5 to 1 for text and 3 to 1 for borders, pictures and focus, in both schemes."""
    css = asset("css").decode()
    schemes = {
        name: pair
        for name, *pair in re.findall(r"--cr-([a-z-]+): light-dark\((#\w+), (#\w+)\)", css)
    }
    assert contrast(schemes[front][scheme], schemes[back][scheme]) >= least


@pytest.mark.requirement("U19")
def test_u19_browsers_without_light_dark_get_the_light_scheme():
    """Old browsers get exactly the colours of the light scheme."""
    css = asset("css").decode()
    plain = dict(re.findall(r"--cr-([a-z-]+): (#\w+);", css))
    assert plain == dict(re.findall(r"--cr-([a-z-]+): light-dark\((#\w+), #\w+\)", css))
