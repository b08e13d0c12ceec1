"""The demo in a fresh clone of the repository."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from django.urls import ResolverMatch
from django.utils import translation

from cognito_reset.testing import Emulator, serve
from example_project import pool
from tests.demo import NEW_PASSWORD, PASSWORD, ROOT, Demo, Visitor
from tests.documentation import DOCS, blocks, python

environ = pytest.importorskip("environ", reason="django-environ isn't installed")

STATES = {
    "alice": "CONFIRMED verified: email",
    "bob": "CONFIRMED verified: phone",
    "carol": "FORCE_CHANGE_PASSWORD verified: email",
    "dave": "UNCONFIRMED nothing verified",
    "erin": "CONFIRMED , disabled verified: email",
    "frank": "EXTERNAL_PROVIDER verified: email",
    "grace": "CONFIRMED nothing verified",
    "heidi": "RESET_REQUIRED verified: email",
    "ivan": "CONFIRMED verified: email",
}
SIGN_INS = {
    "alice": (200, ""),
    "bob": (200, ""),
    "carol": (401, "NEW_PASSWORD_REQUIRED"),
    "dave": (401, "UserNotConfirmedException"),
    "erin": (401, "NotAuthorizedException"),
    "frank": (401, "NotAuthorizedException"),
    "grace": (200, ""),
    "heidi": (401, "PasswordResetRequiredException"),
    "ivan": (200, ""),
    "nobody": (401, "UserNotFoundException"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder):
    """Run the demo for all tests of this module. Tests that change users use different users."""
    with Demo(folder, "0") as demo:
        yield demo


@pytest.fixture(scope="module")
def at_first(demo):
    """Return the first page and everybody's sign-in, before any test changes them."""
    visitor = Visitor(demo.url)
    page = visitor.get("/")
    sign_ins = {name: visitor.sign_in(name, PASSWORD) for name in SIGN_INS}
    return page, sign_ins, visitor.inbox()


@pytest.fixture
def visitor(demo, at_first):
    return Visitor(demo.url)


def texts(html: str) -> str:
    """Return the text of a piece of HTML, without tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def user_id(visitor: Visitor, username: str) -> str:
    users = visitor.get(f"/admin/auth/user/?q={username}")
    found = re.search(r"/admin/auth/user/(\d+)/change/", users.text)
    assert found is not None, users.text
    return found[1]


def test_home_lists_the_users_with_their_states(at_first):
    """The first page shows each user's state in the pool."""
    rows = re.findall(r"<tr role=\"row\">.*?</tr>", at_first[0].text, re.DOTALL)[1:]
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    found = {texts(row[0]): texts(row[1]) for row in cells}
    assert found == {f"{name} {name}@example.com": state for name, state in STATES.items()}


def test_users_sign_in_as_their_states_allow(at_first):
    """Each user's sign-in returns Cognito's own answer."""
    assert at_first[1] == SIGN_INS


def test_a_verified_email_address_signs_in(visitor):
    """Users sign in with a verified address, and nobody with the unverified one of grace."""
    assert visitor.sign_in("erin@example.com", PASSWORD) == (401, "NotAuthorizedException")
    assert visitor.sign_in("grace@example.com", PASSWORD) == (401, "UserNotFoundException")


def test_inbox_starts_with_what_staff_had_sent(at_first):
    """Staff have reset heidi, so the inbox starts with that message."""
    (message,) = at_first[2]
    members = ["username", "kind", "medium", "destination", "code", "sent_at", "subject", "body"]
    assert list(message) == members
    assert message["kind"] == "admin_reset_password"
    assert message["destination"] == "heidi@example.com"


def test_the_mail_has_a_link_to_the_demo_itself(at_first, demo):
    """The Lambda function writes the mail, and the inbox shows it in a sandboxed frame."""
    (message,) = at_first[2]
    link = f"{demo.url}/password-reset/confirm/#username=heidi&amp;code={message['code']}"
    assert f'<a href="{link}">' in message["body"]
    (frame,) = re.findall(r"<iframe[^>]*>", Visitor(demo.url).get("/inbox/").text)[-1:]
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame
    assert 'srcdoc="&lt;base target=_blank&gt;&lt;!doctype html&gt;' in frame


@pytest.mark.parametrize(
    ("app", "metadata"),
    [
        ("cognito_reset", {"language": "de"}),
        ("cognito_reset_rest", {"language": "de"}),
        ("admin", {}),
    ],
)
def test_a_message_is_in_the_visitors_language(rf, app, metadata):
    """A message is in the visitor's language. If staff send it, it isn't in their language."""
    request = rf.get("/")
    request.resolver_match = ResolverMatch(lambda: None, (), {}, app_names=[app])
    with translation.override("de"):
        assert pool.client_metadata(request) == metadata


def test_pages_reset_a_password(visitor):
    """A whole reset without JavaScript, for bob, by text message."""
    page = visitor.submit(visitor.get("/password-reset/"), username="bob")
    assert page.path == "/password-reset/confirm/"
    message = visitor.inbox()[0]
    assert (message["username"], message["medium"]) == ("bob", "SMS")
    page = visitor.submit(
        page, username="bob", confirmation_code=message["code"], password=NEW_PASSWORD
    )
    assert page.path == "/password-reset/done/"
    assert 'href="/sign-in/"' in page.text
    assert visitor.sign_in("bob", NEW_PASSWORD) == (200, "")
    assert visitor.sign_in("bob", PASSWORD) == (401, "NotAuthorizedException")


def test_rest_resets_a_password_as_the_docs_say(demo, visitor, tmp_path):
    """The commands of docs/rest.md work in a shell."""
    curl = shutil.which("curl")
    if curl is None or shutil.which("python3") is None:
        pytest.skip("there is no curl or no python3 here")
    [script] = [block.code for block in blocks(DOCS / "rest.md") if "curl" in block.code]
    assert "http://127.0.0.1:8000" in script
    (tmp_path / ".curlrc").write_text('write-out = "%{stderr}%{http_code}\\n"\nnoproxy = "*"\n')
    done = subprocess.run(
        ["sh", "-eu", "-c", script.replace("http://127.0.0.1:8000", demo.url)],
        env={"PATH": os.environ["PATH"], "CURL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.split() == ["202", "200", "200", "200", "401"]
    bodies = [json.loads(body) for body in re.findall(r"\{.*?\}", done.stdout)]
    assert bodies == [{"resend_after": 60}, {}, {}, {"code": "NotAuthorizedException"}]


def test_staff_reset_a_password(visitor):
    """A reset from the admin's list of users leads to the person's new password."""
    page = visitor.submit(visitor.get("/admin/login/"), username="demo", password="demo")
    heidi = user_id(visitor, "heidi")
    page = visitor.submit(
        visitor.get("/admin/auth/user/"), action="send_cognito_reset", _selected_action=heidi
    )
    assert "RESET_REQUIRED" in page.text
    before = visitor.code("heidi")
    page = visitor.submit(page, _selected_action=heidi)
    assert "A code was sent to heidi by email, to h***@e***." in page.text
    assert visitor.inbox()[0]["kind"] == "admin_reset_password"
    assert visitor.code("heidi") != before or len(visitor.inbox()) > 1
    heidis = Visitor(visitor.site)
    page = heidis.submit(heidis.get("/sign-in/"), username="heidi", password=PASSWORD)
    assert page.path == "/password-reset/confirm/"
    assert "You need to choose a new password" in page.text
    page = heidis.submit(
        page,
        username="heidi",
        confirmation_code=visitor.code("heidi"),
        password=NEW_PASSWORD,
    )
    assert page.path == "/password-reset/done/"
    assert visitor.sign_in("heidi", NEW_PASSWORD) == (200, "")
    assert visitor.sign_in("heidi", PASSWORD) == (401, "NotAuthorizedException")


def test_many_people_are_reset_without_a_command(visitor):
    """The demo's own process does the work, because a command elsewhere has no credentials for its emulator."""
    visitor.submit(visitor.get("/admin/login/"), username="demo", password="demo")
    start = "/admin/cognito_reset/bulkrun/start/"
    who = {"source": "filter", "filter": 'username = "ivan"', "rate": "5"}
    asked = visitor.submit(visitor.get(start), **who)
    page = visitor.submit(asked, start="1", **who)
    assert "manage.py" not in page.text
    end = time.monotonic() + 30
    while "1 of 1 person done" not in page.text and time.monotonic() < end:
        time.sleep(0.2)
        page = visitor.get(page.path)
    assert "1 of 1 person done" in page.text
    assert visitor.sign_in("ivan", PASSWORD) == (401, "PasswordResetRequiredException")


@pytest.mark.requirement("U26")
def test_u26_other_ways_lead_to_the_first_page(visitor):
    """Password managers' address and the admin's sign-in page lead to the reset."""
    assert visitor.get("/.well-known/change-password").path == "/password-reset/"
    assert 'href="/admin/password_reset/"' in visitor.get("/admin/login/").text
    assert "Reset your password" in visitor.get("/admin/password_reset/").text


def test_staff_without_the_permission_reset_nobody(visitor):
    """The user "staff" may change users, but the admin offers no reset."""
    visitor.submit(visitor.get("/admin/login/"), username="staff", password="demo")
    grace = user_id(visitor, "grace")
    assert "Send a password reset" not in visitor.get(f"/admin/auth/user/{grace}/change/").text
    page = visitor.get(f"/admin/auth/user/cognito-reset/?_selected_action={grace}")
    assert page.status == 403


def test_nobody_sets_a_password_for_a_user_of_cognito(visitor):
    """With any version of Django, not even a superuser is offered to. Staff of this site have a password."""
    visitor.submit(visitor.get("/admin/login/"), username="demo", password="demo")
    statuses = {}
    for name in ("alice", "staff"):
        page = visitor.get(f"/admin/auth/user/{user_id(visitor, name)}/change/")
        form = visitor.get(f"/admin/auth/user/{user_id(visitor, name)}/password/")
        statuses[name] = (page.status, "field-password" in page.text, form.status)
    assert statuses == {"alice": (200, False, 403), "staff": (200, True, 200)}


def test_a_person_whom_django_does_not_know(visitor):
    """Everybody else in the pool is a user of the site as well."""
    visitor.submit(visitor.get("/admin/login/"), username="demo", password="demo")
    users = visitor.get("/admin/auth/user/?all=").text
    known = {name for name in STATES if f">{name}</a>" in users}
    assert STATES.keys() - known == {"ivan"}


def test_the_documented_lines_for_boto3_reset_a_password(visitor, monkeypatch):
    """The lines of docs/aws.md for boto3 work with another port and a code from the inbox."""
    source = python("aws.md", "reset.py").replace("http://127.0.0.1:8000", visitor.site)
    # The email address is another identifier, with its own limits.
    source = source.replace("alice", "alice@example.com")
    monkeypatch.setattr("builtins.input", lambda prompt: visitor.code("alice"))
    exec(source, {})
    assert visitor.sign_in("alice", NEW_PASSWORD)[0] == 200


def test_users_who_cannot_reset_get_the_same_answer(visitor):
    """Users who can't be reset get the same answer as everybody, and no message."""
    names = ["carol", "dave", "erin", "frank", "grace", "nobody"]
    with ThreadPoolExecutor(3) as executor:  # fewer than the permits for calls
        answers = executor.map(
            lambda name: Visitor(visitor.site).post_json("/api/password-reset/", username=name),
            names,
        )
        assert [(page.status, page.text) for page in answers] == [
            (202, '{"resend_after":60}')
        ] * len(names)
    assert not {message["username"] for message in visitor.inbox()} & set(names)


@pytest.mark.requirement("D9")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/password-reset/",
        "/password-reset/confirm/",
        "/api/password-reset/",
        "/spa/",
        "/sdk/",
        "/inbox/",
        "/inbox.json",
        "/sign-in/",
        "/api/sign-in/",
        "/admin/login/",
        "/static/example_project/spa.js",
        "/cognito",
        "/static/example_project/aws-sdk.js",
        "/no-such-page/",
    ],
)
def test_d9_every_page_has_the_strict_policy(visitor, path):
    """Every page has the policy that allows nothing inline and nothing from other sites."""
    assert visitor.get(path).headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def test_a_sign_in_page_that_refuses_shows_no_password(visitor):
    """The page of a refused sign-in doesn't contain the password."""
    page = visitor.submit(visitor.get("/sign-in/"), username="erin", password="Wrong-horse-1")
    assert page.status == 401
    assert "NotAuthorizedException" in page.text
    assert 'value="erin"' in page.text
    assert "Wrong-horse-1" not in page.text


def test_a_second_run_works_and_ctrl_c_ends_it(demo, at_first, folder):
    """A second run on the same database starts with fresh limits, and Ctrl-C ends everything."""
    request = {"path": "/api/password-reset/", "username": "somebody"}
    first = Visitor(demo.url)
    assert [first.post_json(**request).status for _ in range(2)] == [202, 429]
    with Demo(folder, "0") as second:
        visitor = Visitor(second.url)
        assert visitor.post_json(**request).status == 202
        assert visitor.sign_in("alice", PASSWORD) == (200, "")
        assert second.stop(signal.SIGINT) == 0
        with pytest.raises(ProcessLookupError):
            os.killpg(second.process.pid, 0)
        assert is_free(second.url)


def test_a_taken_port_is_reported(demo, at_first, tmp_path):
    """A taken port is reported at once, with the command for another one."""
    port = urlsplit(demo.url).port
    with Demo(tmp_path, str(port)) as second:
        assert second.process.wait(60) == 1
        assert f"Port {port} is taken. Choose another: make demo PORT=" in second.errors
    assert not (tmp_path / "db.sqlite3").exists()


@pytest.mark.parametrize(("value", "limits"), [("off", False), ("on", {}), (None, {})])
def test_limits_can_be_turned_off(monkeypatch, value, limits):
    """With COGNITO_RESET_LIMITS=off, there are no limits. Otherwise the app's own limits hold."""
    environment = {} if value is None else {"COGNITO_RESET_LIMITS": value}
    monkeypatch.setattr(environ.Env, "ENVIRON", environment)
    settings = runpy.run_path(str(ROOT / "example_project" / "settings.py"))
    assert settings["COGNITO_RESET"]["LIMITS"] == limits


@pytest.mark.requirement("D18")
@pytest.mark.parametrize(
    ("value", "origins"),
    [
        (None, []),
        (
            "http://localhost:5173,http://localhost:3000",
            ["http://localhost:5173", "http://localhost:3000"],
        ),
    ],
)
def test_d18_other_origins_are_let_in_by_name(monkeypatch, value, origins):
    """Other origins may use the endpoints only if a setting names them."""
    environment = {} if value is None else {"CORS_ALLOWED_ORIGINS": value}
    monkeypatch.setattr(environ.Env, "ENVIRON", environment)
    settings = runpy.run_path(str(ROOT / "example_project" / "settings.py"))
    assert settings["CORS_ALLOWED_ORIGINS"] == origins


def test_the_demo_gives_no_cause_for_warnings(demo, at_first):
    """The demo's settings pass all system checks."""
    assert "WARNINGS" not in demo.errors


def test_another_server_runs_on_an_emulator_of_its_own(tmp_path):
    """
    `manage.py demo --emulator-only` prints the environment of a site, and of a command that resets many people;
    SIGTERM ends it.
    """
    serve_wsgi = (
        "from wsgiref.simple_server import make_server\n"
        "from example_project.wsgi import application\n"
        "with make_server('127.0.0.1', 0, application) as server:\n"
        "    print(f'The demo is at http://127.0.0.1:{server.server_port}/', flush=True)\n"
        "    server.serve_forever()\n"
    )
    with Demo(tmp_path, "--emulator-only") as emulator:
        emulator.wait_for("export no_proxy=.*\n")
        exports = dict(re.findall(r"^export (\w+)=(.*)$", emulator.output, re.M))
        with Demo(tmp_path, command=[sys.executable, "-c", serve_wsgi], **exports) as site:
            visitor = Visitor(site.url)
            assert visitor.post_json("/api/password-reset/", username="alice").status == 202
            assert visitor.inbox()[0]["username"] == "alice"
            assert "carol@example.com" in visitor.get("/").text
        start = ["manage.py", "cognito_reset", "bulk", "start", "--all", "--yes"]
        with Demo(tmp_path, command=[sys.executable, *start], **exports) as run:
            run.wait_for("100 % of 9: 4 sent, 5 refused\n")
        assert emulator.stop(signal.SIGTERM) == 0
        assert is_free(exports["COGNITO_ENDPOINT_URL"])


def test_with_cognito_variables_it_runs_on_that_pool(tmp_path):
    """On a real pool there is no emulator and no inbox, and only staff see the users."""
    emulator = Emulator(region="eu-west-1")
    _, made = emulator.handle("CreateUserPool", {"PoolName": "real"})
    pool_id = made["UserPool"]["Id"]
    _, made = emulator.handle("CreateUserPoolClient", {"UserPoolId": pool_id, "ClientName": "web"})
    emulator.handle(
        "AdminCreateUser",
        {
            "UserPoolId": pool_id,
            "Username": "zoe",
            "MessageAction": "SUPPRESS",
            "UserAttributes": [
                {"Name": "email", "Value": "zoe@example.com"},
                {"Name": "email_verified", "Value": "true"},
            ],
        },
    )
    emulator.handle(
        "AdminSetUserPassword",
        {"UserPoolId": pool_id, "Username": "zoe", "Password": PASSWORD, "Permanent": True},
    )
    with (
        serve(emulator) as server,
        Demo(
            tmp_path,
            "0",
            COGNITO_REGION="eu-west-1",
            COGNITO_USER_POOL_ID=pool_id,
            COGNITO_CLIENT_ID=made["UserPoolClient"]["ClientId"],
            COGNITO_ENDPOINT_URL=server.url,
        ) as demo,
    ):
        visitor = Visitor(demo.url)
        assert visitor.post_json("/api/password-reset/", username="zoe").status == 202
        assert emulator.outbox[-1].username == "zoe"
        assert visitor.get("/inbox/").status == 404
        assert visitor.get("/inbox.json").status == 404
        assert "zoe" not in visitor.get("/").text
        visitor.submit(visitor.get("/admin/login/"), username="demo", password="demo")
        assert "zoe@example.com" in visitor.get("/").text
        assert "alice" not in visitor.get("/admin/auth/user/").text


def test_make_demo_takes_the_port_by_name():
    """`make demo PORT=8123` starts on 8123."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "demo", "PORT=8123"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1].endswith("manage.py demo 8123")


def is_free(url: str) -> bool:
    """Check whether nothing listens on the port any more."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) != 0
