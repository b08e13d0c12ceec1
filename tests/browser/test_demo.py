"""The demo in a real browser, as a visitor uses it."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import windows
from tests.demo import NEW_PASSWORD, PASSWORD, Demo, Visitor

pytest.importorskip("environ", reason="django-environ isn't installed")
pytestmark = pytest.mark.browser

# Any order will do: heidi may have been reset by another test, alice and bob haven't.

COLLECT = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Demo(tmp_path_factory.mktemp("demo"), "0", COGNITO_RESET_LIMITS="off") as demo:
        yield demo.url


@pytest.fixture
def open_window(chromium, site):
    """Open windows, in which nothing may go wrong unseen."""
    with windows(chromium, site, lambda message: message.type == "error") as (opened, complaints):
        yield opened
    # An answer of 400 is an error to Chromium, not to the test.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def sign_in(window, name, password):
    window.goto("/sign-in/")
    window.fill("#id_username", name)
    window.fill("#id_password", password)
    window.click("main [type=submit]")
    return window.inner_text("main")


def newest_code(window, name):
    """Read the inbox as a person does."""
    window.goto("/inbox/")
    newest = window.locator(".demo-inbox > li", has_text=f"for {name}").first
    return newest.locator(".demo-code").inner_text()


@pytest.mark.requirement("U9")
@pytest.mark.parametrize(
    ("script", "name"), [(True, "alice"), (False, "bob")], ids=["JavaScript", "no JavaScript"]
)
def test_u9_a_visitor_resets_a_password(open_window, script, name):
    """Request, read the code in the inbox, confirm, sign in; the old password is refused."""
    window = open_window(java_script_enabled=script)
    assert f"accepted the password of {name}" in sign_in(window, name, PASSWORD)
    window.click("text=Forgot your password?")
    window.fill("#id_username", name)
    window.click("text=Send code")
    assert window.url.endswith("/password-reset/confirm/")
    code = newest_code(window, name)
    window.goto("/password-reset/confirm/")
    window.fill("#id_confirmation_code", f"{code[:3]} {code[3:]}")
    window.fill("#id_password", NEW_PASSWORD)
    window.click("text=Change password")
    assert "Your password has been changed" in window.inner_text("h1")
    window.click("main >> text=Sign in")
    assert f"accepted the password of {name}" in sign_in(window, name, NEW_PASSWORD)
    assert "NotAuthorizedException" in sign_in(window, name, PASSWORD)


def test_a_visitor_follows_the_link_in_the_mail(open_window, site):
    """The link in the mail opens a new window, where only the password is missing."""
    visitor = Visitor(site)
    assert visitor.post_json("/api/password-reset/", username="heidi").status == 202
    window = open_window()
    window.context.add_init_script(COLLECT)  # of the page that the link opens, too
    window.goto("/inbox/")
    mail = window.locator(".demo-inbox > li", has_text="for heidi").first.frame_locator("iframe")
    assert mail.locator("html").get_attribute("lang") == "en"
    code = visitor.code("heidi")
    assert mail.locator("bdi").inner_text() == code
    with window.context.expect_page() as opened:
        mail.locator("text=Choose a new password").click()
    page = opened.value
    page.wait_for_url("**/password-reset/confirm/")
    assert page.input_value("#id_username") == "heidi"
    assert page.input_value("#id_confirmation_code") == code
    page.fill("#id_password", "Linked-horse-4")
    page.click("text=Change password")
    assert "Your password has been changed" in page.inner_text("h1")
    assert window.evaluate("window.violations") == page.evaluate("window.violations") == []
    assert "accepted the password of heidi" in sign_in(window, "heidi", "Linked-horse-4")


@pytest.mark.parametrize("path", ["/spa/", "/sdk/"])
def test_the_single_page_app_resets_a_password(open_window, path):
    """
    With fetch() or an AWS SDK, errors are shown at their fields, and then the password is changed.
    """
    window = open_window()
    window.goto(path)
    window.click("text=Send code")
    window.wait_for_selector("#username[aria-invalid]")
    assert window.inner_text("#username-error").startswith("Enter your username")
    assert window.evaluate("document.activeElement.id") == "username"
    window.fill("#username", "heidi")
    window.click("text=Send code")
    window.wait_for_selector("#confirmation_code:visible")
    inbox = open_window()
    window.fill("#confirmation_code", "000000")
    window.fill("#password", "short")
    window.click("text=Change password")
    window.wait_for_selector("#password[aria-invalid]")
    assert window.inner_text("#password-error").startswith("Use at least 8 characters. Use an")
    window.fill("#password", f"{NEW_PASSWORD}{path}")
    window.click("text=Change password")
    window.wait_for_selector("#confirmation_code[aria-invalid]")
    window.fill("#confirmation_code", newest_code(inbox, "heidi"))
    window.click("text=Change password")
    window.wait_for_selector("text=Your password has been changed")
    assert "accepted the password of heidi" in sign_in(window, "heidi", f"{NEW_PASSWORD}{path}")


@pytest.mark.parametrize("path", ["/spa/", "/sdk/"])
def test_errors_are_spoken_in_their_language(open_window, path):
    """The forms are in English, but the site's answers aren't, so each text has its own lang."""
    window = open_window(locale="ar")
    window.goto(path)
    window.fill("#username", "nobody")
    window.click("text=Send code")
    window.wait_for_selector("#confirmation_code:visible")
    window.click("text=Change password")
    window.wait_for_selector("#confirmation_code[aria-invalid]")
    for name in ("confirmation_code", "password"):
        error = window.locator(f"#{name}-error")
        assert re.fullmatch(r"[\u0600-\u06ff .]+", error.inner_text())
        assert error.get_attribute("lang") == "ar"
        assert window.get_attribute(f"#{name}", "aria-invalid") == "true"
    assert window.locator("form:visible").evaluate("form => form.closest('[lang]').lang") == "en"


@pytest.mark.parametrize("path", ["/spa/", "/sdk/"])
def test_a_lost_answer_is_no_refusal(open_window, path):
    """The single-page apps report that there was no answer."""
    window = open_window()
    window.goto(path)
    window.fill("#username", "nobody")
    window.route(re.compile("/cognito|/api/"), lambda route: route.abort())
    window.click("text=Send code")
    window.wait_for_selector("text=The answer is missing.")


def test_staff_send_a_reset_from_the_admin(open_window):
    """In the admin, under the same policy: heidi in the list, the confirmation, the message."""
    window = open_window()
    window.goto("/admin/auth/user/?q=heidi")
    window.fill("#id_username", "demo")
    window.fill("#id_password", "demo")
    window.click("[type=submit]")
    window.check("#result_list .action-select")
    window.select_option("select[name=action]", "send_cognito_reset")
    window.click("button[name=index]")
    window.click("input[type=submit][value^='Yes']")
    message = "A code was sent to heidi by email, to h***@e***."
    assert message in window.inner_text(".messagelist")
    assert "You need to choose a new password" in sign_in(window, "heidi", PASSWORD)
    assert window.url.endswith("/password-reset/confirm/")


@pytest.mark.requirement("U20")
@pytest.mark.parametrize(
    "path",
    ["/", "/password-reset/", "/password-reset/confirm/", "/spa/", "/sdk/", "/inbox/", "/sign-in/"],
)
@pytest.mark.parametrize("width", [320, 1280])
def test_u20_pages_fit_the_window(open_window, path, width):
    """No page scrolls sideways, on phones or desktops, and none violates the policy."""
    window = open_window(viewport={"width": width, "height": 700})
    window.add_init_script(COLLECT)
    assert window.goto(path).status == 200
    assert window.evaluate("document.documentElement.scrollWidth") == width
    assert window.evaluate("window.violations") == []


@pytest.mark.requirement("U28")
def test_u28_a_code_works_in_another_browser(open_window, site):
    """The confirm page opens without a session, for a code asked for elsewhere."""
    visitor = Visitor(site)
    assert visitor.post_json("/api/password-reset/", username="heidi").status == 202
    window = open_window()
    window.goto("/password-reset/confirm/")
    window.fill("#id_username", "heidi")
    window.fill("#id_confirmation_code", visitor.code("heidi"))
    window.fill("#id_password", "Another-horse-3")
    window.click("text=Change password")
    assert "Your password has been changed" in window.inner_text("h1")
