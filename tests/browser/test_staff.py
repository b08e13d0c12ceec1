"""A day in the admin, of a support person who is no superuser, in the demo and in a real browser."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.browser.conftest import windows
from tests.browser.test_pages import RULES
from tests.demo import Demo

pytest.importorskip("environ", reason="django-environ isn't installed")
pytestmark = pytest.mark.browser

in_both_directions = pytest.mark.parametrize("language", ["en", "ar"])
LOOK_UP = "/admin/cognito_reset/account/"
RUNS = "/admin/cognito_reset/bulkrun/"
SUBMIT = "#content input[type=submit]"
SENT = "li.success"
SHOTS = os.environ.get("COGNITO_RESET_SHOTS")  # a folder, for somebody who wants to look
# What is off the screen, but not inside something that can be scrolled to show it.
OFF_SCREEN = """
[...document.querySelectorAll("#content *, .messagelist *")].filter(node => {
  if (node.closest(".cognito-reset-wide, .visually-hidden, svg")) return false;
  const box = node.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1);
}).map(node => node.outerHTML.slice(0, 120))
"""
# Groups of buttons of which a line begins at another edge than the first one.
RAGGED = """
[...document.querySelectorAll("#content form > div, #content .object-tools")].filter(group => {
  const isRightToLeft = getComputedStyle(group).direction === "rtl";
  const edge = box => isRightToLeft ? box.right : box.left;
  const boxes = [...group.children].map(node => node.getBoundingClientRect()).filter(box => box.width);
  return boxes.some((box, n) =>
    n && box.top >= boxes[n - 1].bottom && Math.abs(edge(box) - edge(boxes[0])) > 1);
}).map(node => node.outerHTML.slice(0, 120))
"""
# Gives a person another name on the page, and returns how often it was there.
LONGER = """
([name, other]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let count = 0;
  while (texts.nextNode()) {
    if (!texts.currentNode.data.toLowerCase().includes(name)) continue;
    texts.currentNode.data = texts.currentNode.data.replace(new RegExp(name, "i"), other);
    count += 1;
  }
  return count;
}
"""
# The admin's links change their colours slowly, and axe would see them half-way.
STILL = "Promise.all(document.getAnimations().map(animation => animation.finished))"
GRANT = """
INSERT INTO auth_user_user_permissions (user_id, permission_id)
SELECT auth_user.id, auth_permission.id FROM auth_user, auth_permission
WHERE username = 'staff' AND codename IN ('run_bulk_reset', 'view_bulkrun')
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The demo, in which the user ``staff`` may also reset many people."""
    folder = tmp_path_factory.mktemp("demo")
    with Demo(folder, "0", COGNITO_RESET_LIMITS="off") as demo:
        url = demo.url
        with closing(sqlite3.connect(folder / "db.sqlite3")) as database, database:
            assert database.execute(GRANT).rowcount == 2
        yield url


@pytest.fixture
def open_window(chromium, site):
    """Open windows, in which nothing may go wrong unseen."""
    with windows(chromium, site, lambda message: message.type == "error") as (opened, complaints):
        yield opened
    # An answer of 403 is an error to Chromium, not to the test.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def work(open_window):
    """Sign a staff member in to the admin, in a language."""

    def sign_in(language, name="support"):
        window = open_window(locale=language, viewport={"width": 1100, "height": 800})
        window.goto("/admin/")
        window.fill("#id_username", name)
        window.fill("#id_password", "demo")
        press(window, "[type=submit]")
        expected = "rtl" if language == "ar" else "ltr"
        assert window.get_attribute("html", "dir") == expected
        return window

    return sign_in


def press(window, selector):
    """Click on what leads to another page, and wait for it."""
    with window.expect_navigation():
        window.click(selector)


def look_up(window, typed):
    window.goto(LOOK_UP)
    window.fill("#id_username", typed)
    press(window, SUBMIT)


def offer(action):
    return f".cognito-reset-offers a[href*='/{action}/']"


def inbox(window, name):
    window.goto("/inbox/")
    return window.locator(".demo-inbox > li", has_text=f"for {name}")


def diagnosis(window):
    return " ".join(window.locator(".cognito-reset-diagnosis").all_inner_texts())


def look_at(window, axe, name):
    """Check that the page fits a phone and a small desktop, and that axe finds nothing of ours."""
    window.evaluate(axe)
    language = window.get_attribute("html", "lang")
    for scheme in ("light", "dark"):
        window.emulate_media(color_scheme=scheme)
        for width in (320, 1100):
            window.set_viewport_size({"width": width, "height": 800})
            if SHOTS:
                shot = Path(SHOTS) / f"{name}-{language}-{scheme}-{width}.png"
                window.screenshot(path=shot, full_page=True, caret="initial")
            assert window.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert window.evaluate(OFF_SCREEN) == [], (name, width)
            assert window.evaluate(RAGGED) == [], (name, width)
        window.evaluate(STILL)
        # Django's own header, breadcrumbs and side bar are Django's.
        # To load style sheets anew, axe would break the policy.
        options = {"runOnly": {"type": "tag", "values": RULES}, "preload": False}
        result = window.evaluate(
            "options => axe.run(document.querySelector('#content'), options)", options
        )
        assert len(result["passes"]) > 3
        found = [
            (rule["id"], node["html"]) for rule in result["violations"] for node in rule["nodes"]
        ]
        assert found == [], (name, scheme)
    window.emulate_media(color_scheme="light")


@pytest.mark.requirement("F3", "F4")
@in_both_directions
def test_a_person_is_found_helped_and_finishes(open_window, work, axe, language):
    """Support looks a person up, sends a reset, says where it went; the person sets a password."""
    name, password = {"en": ("alice", "Support-horse-1"), "ar": ("bob", "Support-horse-2")}[
        language
    ]
    window, person = work(language), open_window(locale=language)
    before = inbox(person, name).count()
    window.goto(LOOK_UP)
    look_at(window, axe, "look-up")
    look_up(window, f"{name}@example.com" if name == "alice" else name)
    assert name not in window.url
    assert name in window.inner_text("#content h1")
    assert diagnosis(window)
    look_at(window, axe, "panel")
    press(window, offer("reset"))
    assert window.locator("#content li").count() > 1  # what it does to the person
    look_at(window, axe, "reset")
    assert inbox(person, name).count() == before  # looking at the pages sent nothing
    press(window, SUBMIT)
    told = window.inner_text(SENT)
    assert name in told
    assert re.search(r"\*", told)  # the masked address
    assert f"{name}@example.com" not in told
    look_at(window, axe, "sent")
    assert inbox(person, name).count() == before + 1
    code = inbox(person, name).first.locator(".demo-code").inner_text()
    assert code not in window.content()
    person.goto("/password-reset/confirm/")
    person.fill("#id_username", name)
    person.fill("#id_confirmation_code", code)
    person.fill("#id_password", password)
    person.click("main form [type=submit]")
    person.wait_for_url("**/done/**")
    person.goto("/sign-in/")
    person.fill("#id_username", name)
    person.fill("#id_password", password)
    person.click("main [type=submit]")
    assert name in person.inner_text("main")
    assert "NotAuthorizedException" not in person.inner_text("main")


@in_both_directions
def test_a_person_whom_django_does_not_know(open_window, work, axe, language):
    """Support finds them by the email address, looks, sends a reset, and can say where it went."""
    window, person = work(language), open_window()
    window.goto("/admin/auth/user/?q=ivan")
    assert window.locator("#result_list tbody tr").count() == 0
    look_up(window, "Ivan@example.com")
    assert "ivan" in window.inner_text("#content h1")
    assert "ivan" not in window.url
    assert diagnosis(window)
    assert window.locator("#content a[href*='/auth/user/']").count() == 0
    look_at(window, axe, "stranger")
    before = inbox(person, "ivan").count()
    press(window, offer("reset"))
    assert window.locator("[name=notify]").count() == 0  # the site has no address of theirs
    look_at(window, axe, "stranger-reset")
    press(window, SUBMIT)
    told = window.inner_text(SENT)
    assert "ivan" in told
    assert "i***@e***" in told
    look_at(window, axe, "stranger-sent")
    assert inbox(person, "ivan").count() == before + 1


@in_both_directions
def test_an_invited_person_is_invited_again(work, axe, open_window, language):
    """Somebody who never signed in is offered no reset but the invitation, which then is sent."""
    window, person = work(language), open_window()
    look_up(window, "carol")
    assert diagnosis(window)
    assert window.locator(offer("reset")).count() == 0
    look_at(window, axe, "invited")
    before = inbox(person, "carol").count()
    press(window, offer("invite"))
    look_at(window, axe, "invite")
    assert inbox(person, "carol").count() == before
    press(window, SUBMIT)
    assert "carol" in window.inner_text(SENT)
    assert inbox(person, "carol").count() == before + 1


@in_both_directions
def test_people_who_can_t_be_reset_are_explained(work, axe, language):
    """A sign-up, a federated person, one without a contact, and nobody at all: the reason is said."""
    window = work(language)
    for name in ("dave", "frank", "grace"):
        look_up(window, name)
        assert diagnosis(window)
        assert window.locator(offer("reset")).count() == 0
    look_at(window, axe, "no-contact")
    look_up(window, "zed@example.com")
    assert window.input_value("#id_username") == "zed@example.com"
    assert window.inner_text("#id_username_error")
    look_at(window, axe, "nobody")


def test_a_disabled_person_is_enabled_and_reset(work):
    """Erin is disabled: support enables the account, and then a reset is offered and sent."""
    window = work("en")
    look_up(window, "erin@example.com")
    assert "disabled" in window.inner_text(".cognito-reset-panel")
    assert window.locator(offer("reset")).count() == 0
    press(window, offer("enable"))
    press(window, SUBMIT)
    assert "erin" in window.inner_text(SENT)
    press(window, offer("reset"))
    press(window, SUBMIT)
    assert "by email" in window.inner_text(SENT)


@in_both_directions
def test_the_same_on_the_user_s_own_page(work, language):
    """The change page of Django's user shows the panel, and no way to change anything else."""
    window = work(language)
    window.goto("/admin/auth/user/?q=heidi")
    press(window, "#result_list tbody th a")
    assert window.locator(".cognito-reset-panel dl").is_visible()
    assert window.locator("#content [name=_save], #content [name=_continue]").count() == 0
    assert window.locator(offer("reset")).count() == 1
    window.set_viewport_size({"width": 1100, "height": 800})
    assert window.evaluate("document.documentElement.scrollWidth") <= 1100


def test_a_long_name_fits_a_phone(work):
    """A username of 58 characters has no place for a break: in titles, breadcrumbs, messages and facts."""
    window = work("en")
    window.set_viewport_size({"width": 320, "height": 800})
    look_up(window, "bob")

    def check():
        assert window.evaluate(LONGER, ["bob", "b" * 58]) > 2
        assert window.evaluate("document.documentElement.scrollWidth") <= 320
        assert window.evaluate(OFF_SCREEN) == []

    press(window, offer("clear-limits"))
    check()
    window.reload()
    press(window, SUBMIT)
    check()


@pytest.mark.requirement("F1", "F2")
def test_support_can_t_do_what_is_not_theirs(work):
    """No password, no reset of many people, and no reset of the superuser."""
    window = work("en")
    window.goto("/admin/auth/user/?q=demo")
    press(window, "#result_list tbody th a")
    page = window.url.split("change/")[0]
    for path in (f"{page}password/", f"{RUNS}start/"):
        assert window.goto(path).status == 403
    window.goto(f"{page}cognito/reset/")
    assert window.locator("#content input[type=submit]").count() == 0


@in_both_directions
def test_many_people_are_reset(work, axe, language):
    """Whoever may reset many people is asked first, and can stop it."""
    window = work(language, "staff")
    window.goto(RUNS)
    press(window, f"a[href$='{RUNS}start/']")
    look_at(window, axe, "start")
    window.check("[name=source][value=status]")
    window.select_option("#id_status", "RESET_REQUIRED" if language == "en" else "CONFIRMED")
    press(window, SUBMIT)
    look_at(window, axe, "confirm")
    window.goto(RUNS)
    rows = window.locator("#result_list tbody tr").count()
    window.goto(f"{RUNS}start/")
    window.check("[name=source][value=all]")
    window.fill(
        "#id_rate", "0.01"
    )  # the demo has a task queue, which must not be done before it is stopped
    press(window, SUBMIT)
    press(window, "[name=start]")
    look_at(window, axe, "run")
    press(window, "a[href*='/control/stop/']")
    look_at(window, axe, "stop")
    press(window, SUBMIT)
    assert window.locator("a[href*='/control/stop/']").count() == 0
    window.goto(RUNS)
    assert window.locator("#result_list tbody tr").count() == rows + 1


@in_both_directions
def test_the_state_of_the_connection(work, axe, language):
    """Nothing is examined before somebody presses the button. The findings are English in every language."""
    window = work(language)
    window.goto("/admin/cognito_reset/resetevent/")
    press(window, ".object-tools a[href$='/connection/']")
    assert window.locator(".cognito-reset-findings").count() == 0
    look_at(window, axe, "connection")
    press(window, SUBMIT)
    assert window.locator(".cognito-reset-findings").count() >= 3
    finding = window.locator(".cognito-reset-findings li", has_text="cognito_reached")
    assert finding.get_attribute("lang") == "en"
    assert "Cognito answers." in finding.inner_text()
    look_at(window, axe, "findings")
