"""REQUIREMENTS 3: the pages in a real browser, with and without JavaScript."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import translation

from cognito_reset.models import LedgerSlot
from cognito_reset.testing import Error, Timeout
from tests.interfaces import handed_over
from tests.people import NEW_PASSWORD, PASSWORD

pytestmark = pytest.mark.browser

START, CONFIRM, DONE = "/password-reset/", "/password-reset/confirm/", "/password-reset/done/"
SEND = f"form[action='{START}'] [type=submit]"
CHANGE = f"form[action='{CONFIRM}'] [type=submit]"
FOCUSED = "document.activeElement"


@pytest.fixture(autouse=True)
def site(people, settings):
    settings.COGNITO_RESET = {
        **settings.COGNITO_RESET,
        "SIGN_IN_URL": "/sign-in/",
        "CONTACT_URL": "/contact/",
        "LIMITS": {},
    }
    settings.LANGUAGES = [("en", "English"), ("ar", "Arabic")]
    return SimpleNamespace(people=people, settings=settings)


def link(name, code="123456"):
    return f"{CONFIRM}#username={quote(name, safe='')}&code={code}"


def limits(site, **steps):
    site.settings.COGNITO_RESET = {**site.settings.COGNITO_RESET, "LIMITS": steps}


def send(page, button):
    with page.expect_navigation():
        page.click(button)


def ask(page, name="alice"):
    page.goto(START)
    page.fill("#id_username", name)
    send(page, SEND)


def answer(page, code="000000", password=NEW_PASSWORD):
    page.fill("#id_confirmation_code", code)
    page.fill("#id_password", password)
    send(page, CHANGE)


def address(page):
    return re.sub(r"^\w+://[^/]+", "", page.url)


def path_of(url):
    return re.sub(r"^\w+://[^/]+", "", url)


# The ways into each state


def first_visit(page, site):
    page.goto(START)


def nothing_typed(page, site):
    page.goto(START)
    send(page, SEND)


def sent(page, site):
    ask(page)


def sent_again(page, site):
    wait_over(page, site)
    LedgerSlot.objects.all().delete()  # only the browser's clock was moved
    send(page, SEND)


def from_sign_in(page, *, code_sent):
    """Open the pages as a site's own sign-in does."""
    client = Client()
    following = handed_over(client, code_sent=code_sent).url
    cookie = client.cookies["sessionid"].value
    page.goto(START)
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": page.url}])
    page.goto(following)


def required(page, site):
    from_sign_in(page, code_sent=False)


def required_with_code(page, site):
    from_sign_in(page, code_sent=True)


def wait_over(page, site):
    page.clock.install()
    ask(page)
    page.clock.fast_forward(61_000)


def not_known(page, site):
    page.goto(CONFIRM)


def linked(page, site):
    page.goto(link("alice"))


def refused(page, site):
    ask(page)
    answer(page)


def weak_password(page, site):
    ask(page)
    # Without JavaScript, which wouldn't send it.
    page.evaluate(
        "document.querySelectorAll('[data-cr-pattern]').forEach(rule => rule.dataset.crPattern = '')"
    )
    answer(page, password="weak")


def expired(page, site):
    ask(page)
    page.context.clear_cookies()
    answer(page)


def signed_out(page, site):
    values = site.settings.COGNITO_RESET
    site.settings.COGNITO_RESET = {**values, "SIGN_OUT_EVERYWHERE": True}
    changed(page, site)


def all_empty(page, site):
    page.goto(CONFIRM)
    send(page, CHANGE)


def changed(page, site):
    ask(page)
    answer(page, site.people.emulator.outbox[-1].code)


def unknown(page, site):
    ask(page)
    site.people.emulator.fail_next("ConfirmForgotPassword", Timeout())
    answer(page)


def too_many_codes(page, site):
    limits(site, request={"network": "1/15m"})
    ask(page)
    ask(page, "bob")


def too_many_tries(page, site):
    limits(site, confirm={"identifier": "1/15m"})
    ask(page)
    for number in range(4):  # one, and two more because this network asked for the code
        answer(page, f"00000{number}")


def down(page, site):
    site.people.emulator.fail_next("ForgotPassword", Error("ForbiddenException"))
    ask(page)


def maybe_sent(page, site):
    site.people.emulator.fail_next("ForgotPassword", Timeout())
    ask(page)


def down_at_confirm(page, site):
    ask(page)
    site.people.emulator.fail_next("ConfirmForgotPassword", Error("ForbiddenException"))
    answer(page)


QUESTION = """
<div class="cr-field">
<label class="cr-label" for="id_question">What colour is a ripe lemon?</label>
<input class="cr-input" id="id_question" name="question" autocomplete="off">
</div>
"""


def ask_a_question(request, **_):
    if request.POST.get("question") != "yellow":
        raise ValidationError("Answer the question.")


def refused_by_the_site(page, site):
    loaders = [
        ("django.template.loaders.locmem.Loader", {"cognito_reset/_challenge.html": QUESTION}),
        "django.template.loaders.app_directories.Loader",
    ]
    options = {"loaders": loaders}
    site.settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": options}
    ]
    values = site.settings.COGNITO_RESET
    site.settings.COGNITO_RESET = {**values, "PRE_SEND_HOOK": ask_a_question}
    ask(page)
    assert page.locator("#id_question").is_visible()


STATES = [
    first_visit,
    nothing_typed,
    refused_by_the_site,
    required,
    sent,
    sent_again,
    wait_over,
    required_with_code,
    not_known,
    linked,
    refused,
    weak_password,
    expired,
    all_empty,
    changed,
    signed_out,
    unknown,
    too_many_codes,
    too_many_tries,
    down,
    maybe_sent,
    down_at_confirm,
]

# Only JavaScript can tell that the wait is over, and read the link's fragment.
NEED_SCRIPT = (wait_over, sent_again, linked)

in_every_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
in_both_directions = pytest.mark.parametrize("language", ["en", "ar"])
with_and_without_script = pytest.mark.parametrize(
    "script", [True, False], ids=["script", "no script"]
)
LOOKS = {
    "light": {"color_scheme": "light", "forced_colors": "none"},
    "dark": {"color_scheme": "dark", "forced_colors": "none"},
    "forced": {"color_scheme": "dark", "forced_colors": "active"},
}


# The whole way


@pytest.mark.requirement("D9", "U5", "U9")
@with_and_without_script
@in_both_directions
def test_u9_a_person_gets_through(site, open_page, script, language):
    """A whole reset works, and a strict Content-Security-Policy blocks nothing."""
    page = open_page(java_script_enabled=script, locale=language)
    ask(page)
    assert address(page) == CONFIRM
    code = site.people.emulator.outbox[-1].code
    answer(page, f" {code[:3]} {code[3:]} ")
    assert address(page) == DONE
    assert site.people.can_sign_in("alice", NEW_PASSWORD)
    assert not site.people.can_sign_in("alice", PASSWORD)


@pytest.mark.requirement("U28")
def test_u28_a_person_gets_through_without_a_session(site, open_page):
    """
    If the cookies are lost in between, the page asks for the username, and the code still works.
    """
    page = open_page()
    ask(page)
    page.context.clear_cookies()
    page.goto(CONFIRM)
    page.fill("#id_username", "alice")
    answer(page, site.people.emulator.outbox[-1].code)
    assert address(page) == DONE


@pytest.mark.requirement("U9", "U12")
def test_u9_a_person_without_script_learns_to_wait(site, open_page):
    """The server shows the wait and enforces it."""
    limits(site, request={"identifier": "1/m"})
    page = open_page(java_script_enabled=False)
    ask(page)
    send(page, SEND)
    assert address(page) == CONFIRM
    assert re.search(r"You can ask for a new code in \d+ seconds?\.", page.inner_text("#cr-wait"))
    assert [operation for operation, _ in site.people.emulator.calls] == ["ForgotPassword"]


@pytest.mark.requirement("U9")
def test_u9_without_script_nothing_shows_that_would_need_it(open_page):
    """Buttons that need JavaScript are hidden."""
    page = open_page(java_script_enabled=False)
    ask(page)
    assert page.locator("[aria-controls=id_password]").is_hidden()
    assert page.locator("[aria-disabled=true]").count() == 0


# What the script adds


@pytest.mark.requirement("U2")
def test_u2_the_summary_has_the_focus_and_leads_to_the_field(open_page):
    """The page opens at its errors, and their links move the cursor into the field."""
    page = open_page()
    page.goto(CONFIRM)
    send(page, CHANGE)
    assert page.evaluate(f"{FOCUSED}.matches('.cr-summary')")
    page.click(".cr-summary a >> nth=1")
    assert page.evaluate(f"{FOCUSED}.id") == "id_confirmation_code"


@pytest.mark.requirement("U2")
@in_both_directions
@pytest.mark.parametrize("state", [all_empty, weak_password], ids=lambda state: state.__name__)
def test_u2_a_link_of_the_summary_shows_the_field_with_its_label_and_rules(
    site, open_page, state, language
):
    """On a small phone, the label, the rules and the errors are all on the screen after the click."""
    page = open_page(viewport={"width": 320, "height": 568}, locale=language)
    state(page, site)
    for link in page.locator(".cr-summary a").all():
        link.click()
        field = page.locator(link.get_attribute("href"))
        label = page.locator(f"label[for={field.get_attribute('id')}]")
        assert label.bounding_box()["y"] >= 0
        assert field.bounding_box()["y"] + field.bounding_box()["height"] <= 568


def test_the_focus_stays_where_it_is_without_an_error(open_page):
    """A page without an error doesn't move the focus."""
    page = open_page()
    page.goto(START)
    assert page.evaluate(f"{FOCUSED} === document.body")


@pytest.mark.requirement("U10")
def test_u10_the_password_can_be_shown_and_hidden(open_page):
    """
    It works by mouse and keyboard, is announced, and the password is hidden again before it is
    sent.
    """
    page = open_page()
    ask(page)
    button = page.locator("[aria-controls=id_password]")
    status = button.locator("xpath=following-sibling::*[@role='status']")
    page.fill("#id_password", NEW_PASSWORD)

    button.click()
    assert page.get_attribute("#id_password", "type") == "text"
    assert (button.inner_text(), button.get_attribute("aria-label")) == ("Hide", "Hide password")
    assert status.inner_text() == "Your password is visible"

    button.press("Space")
    assert page.get_attribute("#id_password", "type") == "password"
    assert (button.inner_text(), button.get_attribute("aria-label")) == ("Show", "Show password")
    assert status.inner_text() == "Your password is hidden"
    assert page.input_value("#id_password") == NEW_PASSWORD
    assert page.evaluate(f"{FOCUSED}.getAttribute('aria-controls')") == "id_password"

    button.click()
    page.evaluate("document.querySelector('[action$=\"confirm/\"]').onsubmit = () => false")
    page.click(CHANGE)
    assert page.get_attribute("#id_password", "type") == "password"


@pytest.mark.requirement("U12")
@pytest.mark.parametrize(
    ("left", "text"),
    [
        (45, "You can ask for a new code in 45 seconds."),
        (2, "You can ask for a new code in 2 seconds."),
        (1, "You can ask for a new code in 1 second."),
    ],
)
def test_u12_the_wait_counts_down(open_page, left, text):
    """
    The wait is a whole sentence with the right plural, and screen readers don't announce every
    second.
    """
    page = open_page()
    page.clock.install(time=0)
    page.clock.pause_at(1)
    ask(page)
    total = int(page.get_attribute("[data-cr-wait]", "data-cr-wait"))
    page.clock.run_for(1000 * (total - left))
    assert page.inner_text("#cr-wait") == text
    assert (
        page.locator("#cr-wait").evaluate("node => node.closest('[role=status], [aria-live]')")
        is None
    )


@pytest.mark.requirement("U12")
def test_u12_during_the_wait_the_button_is_there_and_sends_nothing(site, open_page):
    """The button can be focused, says that it is disabled and why, and sends no request."""
    page = open_page()
    ask(page)
    button = page.locator(SEND)
    assert button.get_attribute("aria-disabled") == "true"
    assert page.inner_text(f"#{button.get_attribute('aria-describedby')}").startswith("You can ask")
    page.evaluate(
        "prevented = []; addEventListener('submit', e => prevented.push(e.defaultPrevented))"
    )
    button.focus()
    assert button.evaluate(f"node => node === {FOCUSED}")
    button.press("Enter")
    button.click(force=True)  # Playwright, too, believes aria-disabled
    assert page.evaluate("prevented") == [True, True]


@pytest.mark.requirement("U12")
def test_u12_after_the_wait_a_new_code_can_be_asked_for(site, open_page):
    """The end of the wait is announced once, as a status. The next page is for the newest code."""
    page = open_page()
    wait_over(page, site)
    button = page.locator(SEND)
    assert button.get_attribute("aria-disabled") == "false"
    assert page.inner_text("form [role=status][data-cr-over]") == "You can ask for a new code now."
    assert page.locator("#cr-wait").is_hidden()
    LedgerSlot.objects.all().delete()  # only the browser's clock was moved
    send(page, SEND)
    assert address(page) == CONFIRM
    assert "we have sent another code. Use the newest one." in page.inner_text("main")
    assert [operation for operation, _ in site.people.emulator.calls] == 2 * ["ForgotPassword"]
    answer(page, site.people.emulator.outbox[-1].code)
    assert address(page) == DONE


@pytest.mark.requirement("C7")
def test_c7_a_double_click_sends_once(open_page):
    """The second click does nothing, because the form is being sent."""
    page = open_page()
    page.goto(START)
    page.fill("#id_username", "alice")
    page.evaluate(
        "prevented = []; addEventListener('submit', e => prevented.push(e.defaultPrevented))"
    )
    twice = "button => (button.click(), button.click(), prevented)"
    assert page.eval_on_selector(SEND, twice) == [False, True]
    page.wait_for_url(f"**{CONFIRM}")


@pytest.mark.requirement("C7")
def test_c7_back_at_the_form_it_can_be_sent_again(open_page):
    """After the back button, the form can be sent again."""
    page = open_page()
    ask(page)
    page.go_back()
    assert page.get_attribute(SEND, "aria-disabled") == "false"
    # As from the browser's cache of whole pages, which keeps what the script did.
    page.eval_on_selector(SEND, "node => node.setAttribute('aria-disabled', true)")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    assert page.get_attribute(SEND, "aria-disabled") == "false"


@pytest.mark.requirement("C7")
def test_c7_a_stopped_page_can_be_sent_again(open_page):
    """If the person stops loading, the form can be sent again."""
    page = open_page()
    page.clock.install()
    page.goto(START)
    page.eval_on_selector(
        "form", "form => form.addEventListener('submit', e => e.preventDefault())"
    )
    page.click(SEND)
    assert page.get_attribute(SEND, "aria-disabled") == "true"
    page.clock.fast_forward(21_000)
    assert page.get_attribute(SEND, "aria-disabled") == "false"


# The link in the message


@pytest.mark.requirement("D7", "U7", "U17")
@pytest.mark.parametrize("session", ["", "alice", "bob"])
@in_both_directions
def test_d7_a_link_fills_the_form_and_tells_nobody(site, open_page, language, session):
    """Name and code stay in the browser until the person sends them."""
    limits(site)
    page = open_page(locale=language)
    if session:
        ask(page, session)
    code = site.people.code("alice")
    site.people.emulator.calls.clear()
    slots = LedgerSlot.objects.count()
    seen = []
    page.on("request", lambda request: seen.append((request.url, request.all_headers())))
    page.goto("about:blank")  # a mail program is no page of ours
    page.goto(link("alice", code))
    page.wait_for_load_state("networkidle")

    assert address(page) == CONFIRM
    assert page.evaluate("history.state") is None
    assert page.input_value("#id_username") == "alice"
    assert page.input_value("#id_confirmation_code") == code
    # The page opens at the only text that says whose password will be changed.
    assert page.evaluate(f"{FOCUSED}.tagName") == "H1"
    with translation.override(language):
        heading = translation.gettext("Choose a new password")
    assert page.inner_text("h1") == page.title() == heading
    (lead,) = page.locator("form .cr-lead:visible").all_inner_texts()
    assert "alice" in lead
    assert page.locator("[data-cr-no-code]:visible").count() == 0
    names = page.locator("[name=username]").evaluate_all("nodes => nodes.map(node => node.value)")
    assert set(names) == {"alice"}
    assert code not in str(seen)
    assert "alice" not in str(seen)
    assert site.people.emulator.calls == []
    assert LedgerSlot.objects.count() == slots

    page.fill("#id_password", NEW_PASSWORD)
    send(page, CHANGE)
    assert address(page) == DONE
    assert site.people.can_sign_in("alice", NEW_PASSWORD)


@pytest.mark.parametrize(
    "fragment",
    [
        "#",
        "#id_password",
        "#username=bob",
        "#code=123456",
        "#username=&code=123456",
        "#username=bob&code=",
        "#username=bob&code={####}",
        "#username=bob&code=12345a",
        "#username=bob&code=12345678901",
        "#username=bob%20b&code=123456",
        "#username=bob%00&code=123456",
        "#username=bob%E2%80%AE&code=123456",
        f"#username={'b' * 129}&code=123456",
        "#USERNAME=bob&CODE=123456",
        "#%",
    ],
)
def test_an_odd_fragment_does_nothing(open_page, fragment):
    """Any other fragment leaves the page, the URL and the focus unchanged."""
    page = open_page()
    ask(page)
    page.goto("about:blank")
    page.goto(f"{CONFIRM}{fragment}")
    assert address(page) == f"{CONFIRM}{fragment}"
    assert page.input_value("#id_username") == "alice"
    assert page.input_value("#id_confirmation_code") == ""
    assert page.inner_text("h1") == "Check your email or phone"
    assert page.locator("[data-cr-linked]").is_hidden()


@pytest.mark.requirement("U7")
def test_u7_markup_in_a_link_is_text(open_page):
    """Markup in a name is shown as text."""
    page = open_page()
    name = "<img/src=x/onerror=alert(1)>$&"
    page.goto(link(name))
    assert page.inner_text("[data-cr-linked] bdi") == page.input_value("#id_username") == name
    assert page.locator("main img").count() == 0


def test_a_link_works_on_the_open_page(open_page):
    """
    In the same window only the fragment changes, and no page is loaded. The query string stays.
    """
    page = open_page()
    page.goto(f"{CONFIRM}?next=/basket/")
    page.evaluate("location.hash = 'username=bob&code=654321'")
    page.wait_for_function("document.getElementById('id_username').value === 'bob'")
    assert address(page) == f"{CONFIRM}?next=/basket/"
    page.evaluate("location.hash = 'username=alice&code=123456'")
    page.wait_for_function("document.getElementById('id_username').value === 'alice'")
    assert page.input_value("#id_confirmation_code") == "123456"


def test_a_refused_link_leaves_its_name_to_be_mended(site, open_page):
    """The session has alice, the link bob. After a wrong code the form is still for bob."""
    page = open_page()
    ask(page)
    page.goto("about:blank")
    page.goto(link("bob", "000000"))
    page.fill("#id_password", NEW_PASSWORD)
    send(page, CHANGE)
    assert page.inner_text("h1") == "Enter your reset code"
    assert page.input_value("#id_username") == "bob"
    assert page.is_editable("#id_username")


@pytest.mark.requirement("U9")
def test_u9_without_script_a_link_leads_to_the_form(site, open_page):
    """The message also contains the code, so that it can be typed."""
    page = open_page(java_script_enabled=False)
    code = site.people.code("alice")
    page.goto(link("alice", code))
    assert page.inner_text("h1") == "Enter your reset code"
    assert page.locator("[data-cr-linked]").is_hidden()
    page.fill("#id_username", "alice")
    answer(page, code)
    assert address(page) == DONE


# The keyboard


@pytest.mark.requirement("U21")
def test_u21_the_keys_go_in_the_order_of_the_page(open_page):
    """The order is the fields, the main button, the button for a new code, and help."""
    page = open_page()
    ask(page)
    stops, places = [], []
    while True:
        page.keyboard.press("Tab")
        stop = page.evaluate(f"{FOCUSED}.name || {FOCUSED}.textContent.trim()")
        if not stop or stop in stops or page.evaluate(f"{FOCUSED} === document.body"):
            break
        stops.append(stop)
        box = page.evaluate(f"{FOCUSED}.getBoundingClientRect().toJSON()")
        places.append((round(box["top"] + page.evaluate("scrollY")), box["left"]))
        outline = page.evaluate(f"getComputedStyle({FOCUSED}).outline")
        assert "solid 3px" in outline
    assert stops == [
        "confirmation_code",
        "password",
        "Show",
        "Change password",
        "start again",
        "Send a new code",
        "Back to sign in",
        "Get help",
    ]
    assert places == sorted(places)


@pytest.mark.requirement("U21")
@pytest.mark.parametrize("field", ["#id_confirmation_code", "#id_password"])
def test_u21_enter_sends_the_main_form(open_page, field):
    """In any field, Enter changes the password and never asks for a code."""
    page = open_page()
    ask(page)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.press(field, "Enter")
    assert path_of(sent.value.url) == CONFIRM


@pytest.mark.requirement("U21")
def test_u21_all_by_keyboard(site, open_page):
    """A whole reset works without a mouse."""
    page = open_page()
    page.goto(START)
    page.keyboard.press("Tab")
    page.keyboard.type("alice")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{CONFIRM}")
    page.keyboard.press("Tab")
    page.keyboard.type(site.people.emulator.outbox[-1].code)
    page.keyboard.press("Tab")
    page.keyboard.type(NEW_PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{DONE}")


# What it looks like

WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.requirement("U20")
@pytest.mark.parametrize(
    ("state", "script"),
    [
        (state, script)
        for state in STATES
        for script in (True, False)
        if script or state not in NEED_SCRIPT
    ],
)
@in_both_directions
def test_u20_nothing_scrolls_sideways(site, open_page, state, language, script):
    """This holds from 320 px, and at 320 px with text of twice the size."""
    page = open_page(locale=language, java_script_enabled=script)
    state(page, site)
    for width in (1280, 768, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert not page.evaluate(WIDE), width
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert not page.evaluate(WIDE), "200 %"


@pytest.mark.requirement("U20")
@in_every_state
def test_u20_targets_and_letters_are_large_enough(site, open_page, state):
    """Targets have 44 px. Fields have 16 px letters, so that iOS doesn't zoom."""
    page = open_page(viewport={"width": 320, "height": 800})
    state(page, site)
    targets = page.locator("button, a.cr-button, .cr-input, .cr-help a, .cr-aside a").all()
    for target in targets:
        if target.is_visible():
            box = target.bounding_box()
            assert box["height"] >= 44
            assert box["width"] >= 44
    for size in page.locator(".cr-input").evaluate_all(
        "nodes => nodes.map(node => parseFloat(getComputedStyle(node).fontSize))"
    ):
        assert size >= 16


@pytest.mark.requirement("U19")
def test_u19_forced_colours_keep_their_borders(open_page):
    """Without backgrounds, a button, a field and the summary still have an edge."""
    page = open_page(forced_colors="active")
    page.goto(CONFIRM)
    send(page, CHANGE)
    for selector in (CHANGE, "#id_password", ".cr-toggle", ".cr-summary"):
        style = page.eval_on_selector(
            selector,
            "node => [getComputedStyle(node).borderTopWidth, getComputedStyle(node).borderTopStyle]",
        )
        assert style in (["1px", "solid"], ["2px", "solid"])


@pytest.mark.requirement("U19")
@in_every_state
def test_u19_nothing_moves(site, open_page, state):
    """There is no transition and no animation, whatever the person's preference is."""
    page = open_page()
    state(page, site)
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.requirement("U24")
def test_u24_a_theme_is_a_few_custom_properties(open_page):
    """A site can set its own colour and its only colour scheme without other changes."""
    page = open_page(color_scheme="dark")
    page.goto(START)
    page.evaluate("document.documentElement.style.setProperty('--cr-accent', 'rgb(1, 2, 3)')")
    page.evaluate("document.documentElement.style.colorScheme = 'light'")
    colour = "node => getComputedStyle(node).backgroundColor"
    assert page.eval_on_selector(SEND, colour) == "rgb(1, 2, 3)"
    assert page.eval_on_selector(".cr-page", colour) == "rgb(255, 255, 255)"


#: Rules for elements, as sites without a framework have them.
OLD_SITE = (
    "h1, h2, label, p { color: #ffe }",
    "header, section, form { background: #fe0; padding: 40px; border: 9px solid; width: 50%; margin: 30px }",
    "label { display: inline-block; width: 20%; max-width: 5em; text-align: end; float: left }",
    "input, button { width: 30%; height: 20px; margin: 10px }",
)
BOXES = """[...document.querySelectorAll(".cr-page, .cr-page :not(path, rect, circle)")].map(node => {
    const { x, y, width, height } = node.getBoundingClientRect();
    const { color, backgroundColor, textAlign } = getComputedStyle(node);
    return [node.outerHTML.split(">")[0], x, y, width, height, color, backgroundColor, textAlign];
})"""


@pytest.mark.requirement("U24")
@pytest.mark.parametrize("state", [first_visit, weak_password], ids=lambda state: state.__name__)
def test_u24_a_sites_rules_for_elements_break_no_page(site, open_page, state):
    """Nothing moves, and no colour changes, if rules for bare elements come before the app's stylesheet."""
    page = open_page(viewport={"width": 320, "height": 568})
    state(page, site)
    before = page.evaluate(BOXES)
    # The Content-Security-Policy allows no <style>.
    page.evaluate(
        "rules => rules.forEach(rule => document.styleSheets[0].insertRule(rule))", OLD_SITE
    )
    after = page.evaluate(BOXES)
    assert len(after) > 10
    assert [box for box in after if box not in before] == []


# What a program can check of WCAG

# Each width takes its time: all of them are `make thorough`.
EVERY_WIDTH = bool(os.environ.get("COGNITO_RESET_EVERY_WIDTH"))
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.mark.requirement("B15", "U19", "U25")
@in_every_state
@in_both_directions
@with_and_without_script
def test_u19_u25_axe_finds_nothing(site, open_page, axe, state, language, script):
    """axe finds no violation of WCAG 2.2 AA in light, dark and forced colours, and on a phone."""
    if not script and state in NEED_SCRIPT:
        return
    page = open_page(locale=language)
    if not script:  # ours, that is: axe is one itself
        page.route("**/cognito_reset.js", lambda route: route.abort())
    state(page, site)
    page.evaluate(axe)
    found = []
    for look, media in LOOKS.items():
        for width in (1280, 768, 320) if EVERY_WIDTH else (320,):
            page.emulate_media(**media)
            page.set_viewport_size({"width": width, "height": 800})
            result = page.evaluate(
                "rules => axe.run({runOnly: {type: 'tag', values: rules}})", RULES
            )
            assert len(result["passes"]) > 10
            found += [
                (look, width, rule["id"], node["html"])
                for rule in result["violations"]
                for node in rule["nodes"]
            ]
    assert found == []


def rules_of(page):
    """Return what a screen reader reads of each rule, with the rule's mark."""
    return page.locator(".cr-rules li").evaluate_all(
        "rules => rules.map(rule => [getComputedStyle(rule, '::before').content[1],"
        " ...[...rule.children].filter(part => !part.hidden).map(part => part.textContent)])"
    )


@pytest.mark.requirement("U11")
def test_u11_the_rules_are_ticked_off_while_one_types(open_page, site):
    """Mark and words change at once, and are announced when typing stops."""
    page = open_page()
    page.clock.install()
    page.goto(CONFIRM)
    kept = page.locator(".cr-kept")
    status = page.locator("[data-cr-rules-status]")
    assert kept.count() == 0
    page.type("#id_password", "battery")
    assert [kept for kept in rules_of(page) if len(kept) > 2] == [
        ["\u2713", "Use a lowercase letter (a to z).", "Done"]
    ]
    assert status.text_content() == ""
    page.clock.fast_forward(1600)
    assert status.text_content() == (
        "Use at least 8 characters. Use an uppercase letter (A to Z). Use a number (0 to 9). "
        "Use a symbol, such as ! or ?"
    )
    page.fill("#id_password", NEW_PASSWORD)
    assert kept.count() == 5
    page.clock.fast_forward(1600)
    assert status.text_content() == "Done"
    page.fill("#id_password", "")
    assert kept.count() == 0
    page.clock.fast_forward(1600)
    assert status.text_content() == ""


@pytest.mark.requirement("U11")
@with_and_without_script
def test_u11_after_a_refusal_each_rule_has_its_state(site, open_page, script):
    """The server shows each rule's state by a mark and words. The script updates it while one types."""
    page = open_page()
    if not script:
        page.route("**/cognito_reset.js", lambda route: route.abort())
    weak_password(page, site)
    missed = [
        ["\u00d7", "Error:", "Use at least 8 characters."],
        ["\u2713", "Use a lowercase letter (a to z).", "Done"],
        ["\u00d7", "Error:", "Use an uppercase letter (A to Z)."],
        ["\u00d7", "Error:", "Use a number (0 to 9)."],
        ["\u00d7", "Error:", "Use a symbol, such as ! or ?"],
    ]
    assert rules_of(page) == missed
    assert page.locator(".cr-error").count() == 0
    if script:
        assert page.get_attribute("#id_password", "aria-invalid") == "true"
        page.type("#id_password", "A1")
        assert [state[0] for state in rules_of(page)] == list("\u2022\u2022\u2713\u2713\u2022")
        assert page.get_attribute("#id_password", "aria-invalid") is None
        page.click(CHANGE)
        assert [state[0] for state in rules_of(page)] == list("\u00d7\u00d7\u2713\u2713\u00d7")
        assert page.get_attribute("#id_password", "aria-invalid") == "true"
        page.fill("#id_password", "")
        assert {(mark, len(words)) for mark, *words in rules_of(page)} == {("\u2022", 1)}
    else:
        page.fill("#id_password", "A1")
        assert rules_of(page) == missed


FRAME = """<!doctype html>
<html lang="{}" dir="{}">{{% load static %}}
<head><meta charset="utf-8"><title>{{% block title %}}{{% endblock %}}</title>
{{% include "cognito_reset/_head.html" %}}</head>
<body><main>{{% block content %}}{{% endblock %}}</main></body>
</html>"""


@pytest.mark.requirement("U17")
@pytest.mark.parametrize(
    ("language", "side", "frame"), [("ar", "right", ("en", "ltr")), ("en", "left", ("ar", "rtl"))]
)
def test_u17_a_page_keeps_its_direction_in_a_layout_with_the_other_one(
    site, open_page, language, side, frame
):
    """Text, values and the summary's edge are on the side of our language, whatever the layout sets."""
    loaders = [
        (
            "django.template.loaders.locmem.Loader",
            {"cognito_reset/base.html": FRAME.format(*frame)},
        ),
        "django.template.loaders.app_directories.Loader",
    ]
    site.settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": loaders},
        }
    ]
    page = open_page(locale=language, viewport={"width": 320, "height": 568})
    weak_password(page, site)
    other = "left" if side == "right" else "right"
    page.evaluate("side => document.body.style.textAlign = side", other)  # as Bootstrap 4 does
    style = "(node, name) => getComputedStyle(node)[name]"
    assert page.eval_on_selector(".cr-title", style, "textAlign") == "start"
    assert page.eval_on_selector(".cr-title", style, "direction") == (
        "rtl" if side == "right" else "ltr"
    )
    name = f"border{side.title()}Width"
    assert page.eval_on_selector(".cr-summary", style, name) == "6px"
    assert page.eval_on_selector("#id_password", style, "textAlign") == (
        "right" if side == "right" else "start"
    )
    assert not page.evaluate(WIDE)


@pytest.mark.requirement("U11", "U22")
def test_u11_what_breaks_the_rules_costs_nothing(open_page, site):
    """
    The form isn't sent, so the code stays in its field. The unmet rules are marked and announced.
    """
    page = open_page()
    ask(page)
    code = site.people.emulator.outbox[-1].code
    site.people.emulator.calls.clear()
    page.fill("#id_confirmation_code", code)
    page.fill("#id_password", "Battery-staple")
    page.click(CHANGE)
    assert [rule for rule in rules_of(page) if rule[-1] != "Done"] == [
        ["\u00d7", "Error:", "Use a number (0 to 9)."]
    ]
    assert page.text_content("[data-cr-rules-status]") == "Use a number (0 to 9)."
    assert page.evaluate(f"{FOCUSED}.id") == "id_password"
    assert page.get_attribute("#id_password", "aria-invalid") == "true"
    assert page.input_value("#id_confirmation_code") == code
    assert site.people.emulator.calls == []
    page.type("#id_password", "-2")
    assert page.locator(".cr-missed").count() == 0
    send(page, CHANGE)
    assert address(page) == DONE


@pytest.mark.requirement("U11")
def test_u11_a_password_that_is_not_done_is_not_said_to_be(open_page, site):
    """A space at an end satisfies all patterns, but is refused."""
    page = open_page()
    page.clock.install()
    page.goto(CONFIRM)
    page.fill("#id_password", f"{NEW_PASSWORD} ")
    page.clock.fast_forward(1600)
    assert page.text_content("[data-cr-rules-status]") == ""


@pytest.mark.requirement("U28")
@with_and_without_script
@pytest.mark.parametrize("path", [START, CONFIRM])
def test_u28_cookies_lost_on_an_open_page_end_nothing(site, open_page, script, path):
    """The form comes back with a reason and what was typed, and works."""
    page = open_page(java_script_enabled=script)
    page.goto(path)
    page.context.clear_cookies()
    page.fill("#id_username", "alice")
    code = site.people.code("alice")
    if path == START:
        send(page, SEND)
    else:
        answer(page, code)
    assert "This page was open for too long" in page.inner_text(".cr-summary")
    assert page.input_value("#id_username") == "alice"
    if path == START:
        send(page, SEND)
        assert address(page) == CONFIRM
    else:
        answer(page, code)
        assert address(page) == DONE
