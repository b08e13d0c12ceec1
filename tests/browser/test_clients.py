"""Single-page apps on another origin: the guide's own code, in a browser, against the demo."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.conftest import windows
from tests.clients.bundle import MODULES, SOURCES, STATIC, bundle
from tests.demo import NEW_PASSWORD, PASSWORD, Demo, Visitor

pytest.importorskip("environ", reason="django-environ isn't installed")
pytestmark = pytest.mark.browser

ENDPOINTS = {"rest": "/api/password-reset/", "sdk": "/cognito", "amplify": "/cognito"}
AWS = ["sdk", "amplify"]
ENTRY = """
import { Amplify } from "aws-amplify";
import { createRoot } from "react-dom/client";
import * as amplify from "./amplify.js";
import { SignIn } from "./authenticator.jsx";
import { passwordRules } from "./policy.js";
import * as rest from "./rest.js";
import * as sdk from "./sdk.js";

window.call = async (kind, endpoint, method, ...given) => {
  const client = { amplify, rest, sdk }[kind].resetClient(endpoint, "demo");
  try {
    return { answer: await client[method](...given) };
  } catch ({ name, message, errors, retryAfter }) {
    return { name, message, codes: errors?.map((error) => error.code), retryAfter };
  }
};
window.rules = async (endpoint, password) => {
  const input = document.createElement("input");
  const { texts, left } = await passwordRules(endpoint, input);
  input.value = password;
  const attribute = input.getAttribute("passwordrules");
  return { texts, left: left().map((rule) => rule.code), attribute };
};
window.authenticator = (endpoint) => {
  const Cognito = { userPoolId: "us-east-1_Example01", userPoolClientId: "demo" };
  Amplify.configure({ Auth: { Cognito } });
  createRoot(document.body).render(<SignIn endpoint={endpoint}>in</SignIn>);
};
"""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>An app</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="page.css">
<script type="module" src="page.js"></script><body></body></html>"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Serve the apps from an origin of their own."""
    if not MODULES.is_dir():
        pytest.skip("AWS's clients aren't installed: make clients does that, with npm")
    folder = tmp_path_factory.mktemp("app")
    for source in [*SOURCES.iterdir(), STATIC / "rest.js"]:
        shutil.copy(source, folder)
    (folder / "page.html").write_text(PAGE)
    (folder / "entry.jsx").write_text(ENTRY)
    bundle(folder / "entry.jsx", folder / "page.js", "--jsx=automatic")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def start(app, tmp_path_factory):
    """Start sites that let the apps' origin in."""
    running = []

    def start(**environment):
        folder = tmp_path_factory.mktemp("demo")
        demo = Demo(folder, "0", CORS_ALLOWED_ORIGINS=app, **environment).__enter__()
        running.append(demo)
        demo.wait_for("Ctrl-C stops it")
        return demo

    yield start
    for demo in running:
        demo.__exit__()


@pytest.fixture(scope="module")
def site(start):
    """The demo without limits, for tests that reset the same people."""
    return start(COGNITO_RESET_LIMITS="off")


@pytest.fixture(scope="module")
def limited(start):
    """The demo with its limits, none of which is used yet."""
    return start()


@pytest.fixture
def window(chromium, app):
    """A window with the apps, which may request only the two sites of the test."""
    with windows(chromium, app, lambda message: False) as (opened, complaints):
        window = opened()
        asked = []
        window.on("request", lambda request: asked.append(request.url))
        window.goto("/page.html")
        window.wait_for_function("!!window.call")
        yield window
        assert {url.split("/")[2].split(":")[0] for url in asked if "://" in url} == {"127.0.0.1"}
    assert complaints == []


def call(window, demo, kind, method, *given):
    arguments = [kind, demo.url + ENDPOINTS[kind], method, *given]
    return window.evaluate("(arguments_) => window.call(...arguments_)", arguments)


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_a_reset_from_another_origin(window, site, kind):
    """Request, wrong code, weak password and confirmation get their own answers."""
    visitor = Visitor(site.url)
    refused = {"rest": "code_invalid"}.get(kind, "CodeMismatchException")
    weak = {"rest": "password_too_short"}.get(kind, "InvalidPasswordException")
    assert "answer" in call(window, site, kind, "requestCode", "alice")
    wrong = call(window, site, kind, "confirmReset", "alice", "000000", NEW_PASSWORD)
    assert refused in (wrong["name"], *(wrong["codes"] or ()))
    assert "The code is not correct" in wrong["message"]
    code = visitor.code("alice")
    short = call(window, site, kind, "confirmReset", "alice", code, "short")
    assert weak in (short["name"], *(short["codes"] or ()))
    assert "Use at least 8 characters." in short["message"]
    password = f"{NEW_PASSWORD}-{kind}"
    assert "answer" in call(window, site, kind, "confirmReset", "alice", code, password)
    assert visitor.sign_in("alice", password) == (200, "")
    assert visitor.sign_in("alice", PASSWORD) == (401, "NotAuthorizedException")
    path = {"sdk": "/cognito/"}.get(kind, ENDPOINTS[kind])
    assert f'"OPTIONS {path} HTTP/1.1" 200' in site.errors


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_nobody_gets_the_same_answer_as_anybody(window, site, kind):
    """Every client takes the answer for a success."""
    known = call(window, site, kind, "requestCode", "bob")
    unknown = call(window, site, kind, "requestCode", "bobby")
    for seen in (known, unknown):
        # Another for each request, of anybody's.
        seen["answer"].pop("$metadata", None)
    assert known == unknown


def test_the_rules_can_be_shown_before_one_types(window, site):
    """The rules come as texts, as passwordrules and as patterns."""
    endpoint = site.url + ENDPOINTS["rest"]
    rules = window.evaluate("(endpoint) => window.rules(endpoint, 'Secret 🔑')", endpoint)
    assert rules["left"] == ["password_no_number"]
    assert rules["texts"][0] == "Use at least 8 characters."
    assert rules["attribute"].startswith("minlength: 8; required: lower;")


@pytest.mark.parametrize("kind", AWS)
def test_a_limit_is_cognitos_own(window, limited, kind):
    """LimitExceededException, and not a network error after many tries."""
    assert "answer" in call(window, limited, kind, "requestCode", f"nobody-{kind}")
    second = call(window, limited, kind, "requestCode", f"nobody-{kind}")
    assert second["name"] == "LimitExceededException"


def test_how_long_to_wait_can_be_read(window, limited):
    """A page of another origin can read Retry-After of the REST endpoints."""
    call(window, limited, "rest", "requestCode", "nobody")
    second = call(window, limited, "rest", "requestCode", "nobody")
    assert second["codes"] == ["throttled"]
    assert 50 <= int(second["retryAfter"]) <= 60


def test_what_the_checks_warn_of_comes_true(window, start):
    """W011, W012: without our lists the preflight of an SDK is refused, and no wait can be read."""
    site = start(DJANGO_SETTINGS_MODULE="tests.browser.unlisted")
    assert "cognito_reset.W011" in site.errors
    assert "cognito_reset.W012" in site.errors
    for kind in AWS:
        failed = call(window, site, kind, "requestCode", "alice")
        assert failed["name"] in ("TypeError", "NetworkError")
    assert "OPTIONS /cognito" in site.errors
    assert "POST /cognito" not in site.errors
    assert "answer" in call(window, site, "rest", "requestCode", "nobody")
    second = call(window, site, "rest", "requestCode", "nobody")
    assert (second["codes"], second["retryAfter"]) == (["throttled"], None)


@pytest.fixture
def authenticator(window):
    """Amplify UI's Authenticator at "Forgot your password?", with a name sent."""

    def open_authenticator(demo, name):
        window.evaluate("(url) => window.authenticator(url)", demo.url + ENDPOINTS["rest"])
        window.click("text=Forgot your password?")
        window.fill("[name=username]", name)
        window.click("text=Send code")
        window.wait_for_selector("[name=confirmation_code]")
        return window

    return open_authenticator


def fill_in(window, code, password):
    window.fill("[name=confirmation_code]", code)
    window.fill("[name=password]", password)
    window.fill("[name=confirm_password]", password)
    window.click("text=Submit")


def test_the_authenticator_resets_a_password(authenticator, site):
    """Its own forms show the site's errors. After the reset, the new password signs in."""
    visitor = Visitor(site.url)
    window = authenticator(site, "heidi")
    fill_in(window, "000000", NEW_PASSWORD)
    window.wait_for_selector("text=The code is not correct")
    fill_in(window, visitor.code("heidi"), "long-enough")
    window.wait_for_selector("text=Use an uppercase letter")
    assert not window.is_visible("text=The code is not correct")
    fill_in(window, visitor.code("heidi"), NEW_PASSWORD)
    window.wait_for_selector("button >> text=Sign in")
    assert visitor.sign_in("heidi", NEW_PASSWORD) == (200, "")


def test_the_authenticator_shows_a_limit(authenticator, limited):
    """A click on "Resend Code" that comes too early shows the limit."""
    window = authenticator(limited, "nobody-in-particular")
    window.click("text=Resend Code")
    window.wait_for_selector("text=/too many|wait|try again/i")


@pytest.mark.parametrize("failure", ["no connection", "a proxy's page"])
def test_the_authenticator_has_words_for_a_missing_answer(window, site, failure):
    """It doesn't show the browser's, such as "Failed to fetch" or "Unexpected token '<'"."""

    def without_answer(route):
        if failure == "no connection":
            route.abort()
        else:
            headers = {"Access-Control-Allow-Origin": "*"}
            route.fulfill(
                status=200, body="<p>Wait.</p>", content_type="text/html", headers=headers
            )

    address = site.url + ENDPOINTS["rest"] + "**"
    window.evaluate("(url) => window.authenticator(url)", site.url + ENDPOINTS["rest"])
    window.click("text=Forgot your password?")
    window.fill("[name=username]", "ivan")
    window.route(address, without_answer)
    window.click("text=Send code")
    window.wait_for_selector("text=There was no answer. If you don't get a code, try again.")
    window.unroute(address)
    window.click("text=Send code")
    window.wait_for_selector("[name=confirmation_code]")
    window.route(address, without_answer)
    fill_in(window, "123456", NEW_PASSWORD)
    window.wait_for_selector("text=There was no answer. Try to sign in with the new password.")
