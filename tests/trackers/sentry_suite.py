"""
The real sentry-sdk with its defaults and tracing on. tests/test_error_trackers.py runs this file in a
process of its own, because the SDK patches Django and never takes that back.
"""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
import sentry_sdk
from django.contrib.auth.password_validation import MinimumLengthValidator
from django.core.exceptions import ImproperlyConfigured
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber
from sentry_sdk.transport import Transport

from cognito_reset import signals
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import CognitoResetMisconfigured
from cognito_reset.resets.flow import Attempt, confirm_reset
from cognito_reset.secret import Secret
from cognito_reset.testing import ConnectRefused, Error, Status, Timeout
from tests.documentation import python
from tests.interfaces import AWS, INTERFACES, REST, Pages

PASSWORD = "Canary-passw0rd-kWq"
CODE = "739184"
STEPS = ("request", "confirm")


class Kept(Transport):
    """Keeps what would have been sent."""

    payloads: list[str] = []

    def capture_envelope(self, envelope):
        self.payloads += [
            json.dumps(item.payload.json, default=repr) for item in envelope.items if item.payload
        ]


@pytest.fixture(autouse=True)
def _sentry(settings, monkeypatch, request):
    settings.DEBUG = False
    Kept.payloads.clear()
    scrubber = request.node.get_closest_marker("scrubbed")
    options = {"event_scrubber": documented_scrubber()} if scrubber else {}
    sentry_sdk.init(
        dsn="https://key@localhost/1", transport=Kept, traces_sample_rate=1.0, **options
    )
    yield
    sentry_sdk.get_client().close()


def documented_scrubber():
    """The scrubber of docs/error-trackers.md."""
    names: dict[str, object] = {}
    exec(python("error-trackers.md", "error_trackers.py"), names)
    scrubber = names["scrubber"]
    assert isinstance(scrubber, EventScrubber)
    assert {name.lower() for name in DEFAULT_DENYLIST} < set(scrubber.denylist)
    return scrubber


@pytest.fixture
def secrets(people):
    people.emulator.options.hourly_allowance = 1000
    return [PASSWORD, CODE, people.pool["CLIENT_SECRET"], people.secret_hash("alice")]


def use(settings, **options):
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, **options}


def run(make):
    """
    Run both steps, whatever they answer. Errors of the site's own code aren't raised in the test.
    """
    interface = make()
    interface.client.raise_request_exception = False
    interface.request("alice")
    interface.confirm("alice", CODE, PASSWORD)
    interface.confirm("alice", CODE, PASSWORD + "\n")


def sent(*, at_least=1):
    """Return everything that was sent, except the request's body, which the SDK itself reads."""
    sentry_sdk.flush()
    events = [json.loads(payload) for payload in Kept.payloads]
    assert len([event for event in events if event.get("type") != "transaction"]) >= at_least
    for event in events:
        event.get("request", {}).pop("data", None)
    return json.dumps(events)


def assert_absent(secrets, text):
    for secret in secrets:
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text


class Raises(Exception):
    """What the site's own code raises."""


def fail(*args, **kwargs):
    raise Raises


class FailingService(CognitoService):
    def request_code(self, **kwargs):
        raise Raises

    def confirm(self, **kwargs):
        raise Raises


class FailingValidator(MinimumLengthValidator):
    def validate(self, password, user=None):
        raise Raises(len(password))


@pytest.mark.requirement("H5")
@pytest.mark.parametrize("make", INTERFACES)
def test_a_reset_in_an_outage(people, settings, secrets, make):
    """No secret is sent, whether or not Cognito answers."""
    for fault in (
        ConnectRefused(),
        Status(500, "<html>"),
        Timeout(),
        Error("CodeMismatchException"),
    ):
        people.emulator.fail_next("ForgotPassword", fault, times=2)
        people.emulator.fail_next("ConfirmForgotPassword", fault, times=2)
        run(make)
    assert_absent(secrets, sent())


@pytest.mark.requirement("H5", "E3")
@pytest.mark.parametrize("make", INTERFACES)
def test_receivers_that_raise(people, settings, secrets, make):
    """Receivers raise at each outcome."""
    every = [value for name, value in vars(signals).items() if name.startswith("password_reset_")]
    for signal in every:
        signal.connect(fail)
    try:
        run(make)
        interface = make()
        interface.confirm("alice", people.code("alice"), PASSWORD)
        people.emulator.fail_next("ConfirmForgotPassword", Timeout())
        interface.confirm("alice", CODE, PASSWORD + "1")
    finally:
        for signal in every:
            signal.disconnect(fail)
    assert_absent(secrets, sent(at_least=3))


@pytest.mark.requirement("H5")
@pytest.mark.parametrize("make", INTERFACES)
@pytest.mark.parametrize(
    "options",
    [
        {"CLIENT_METADATA": fail},
        {"PRE_SEND_HOOK": fail},
        {"POOL_RESOLVER": fail},
        {"SERVICE_CLASS": FailingService},
        {"TRUSTED_PROXIES": "wrong"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_site_code_that_raises(people, settings, secrets, make, options):
    """The site's own code has a bug, in any of its hooks."""
    use(settings, **options)
    run(make)
    assert_absent(secrets, sent())


@pytest.mark.requirement("H5")
@pytest.mark.parametrize("make", INTERFACES)
def test_a_validator_that_raises(people, settings, secrets, make):
    """The validator has the password as plain text, so its exception doesn't reach the tracker."""
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{__name__}.FailingValidator"}]
    run(make)
    assert_absent(secrets, sent())


@pytest.mark.requirement("H5")
@pytest.mark.parametrize(
    "options",
    [{"SERVICE_CLASS": FailingService}, {"TRUSTED_PROXIES": "wrong"}, {"LIMITS_CACHE": "wrong"}],
    ids=lambda options: next(iter(options)),
)
def test_the_python_api(people, settings, secrets, options, rf):
    """The documented function of a site's own, whose caller has masked what it got."""
    names: dict[str, Any] = {}
    exec(python("python.md", "forgot.py"), names)
    use(settings, **options)

    def view(code, password):
        try:
            names["set_password"](rf.post("/"), "alice", code, password)
        except (Raises, CognitoResetMisconfigured):
            sentry_sdk.capture_exception()

    view(Secret(CODE), Secret(PASSWORD))
    assert_absent(secrets, sent())


@pytest.mark.requirement("H5")
def test_plain_strings_go_no_further_than_the_call(people, settings, rf):
    """The app masks them first of all, so they are in the caller's own frame only."""
    use(settings, SERVICE_CLASS=FailingService)
    data = {"username": "alice", "confirmation_code": CODE, "password": PASSWORD}
    with pytest.raises(Raises) as caught:
        confirm_reset(Attempt("default"), data)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert [frame.name for frame in frames][1] == "confirm_reset"
    assert_absent([PASSWORD, CODE], str([frame.locals for frame in frames[1:]]))


@pytest.mark.requirement("H5")
def test_a_client_secret_that_raises(people, settings, secrets):
    """The callable CLIENT_SECRET raises."""
    pool = {**people.pool, "CLIENT_SECRET": fail}
    use(settings, POOLS={"default": pool})
    for make in INTERFACES:
        run(make)
    assert_absent(secrets, sent())


@pytest.mark.requirement("H5")
def test_a_template_that_is_missing(people, settings, secrets, tmp_path):
    """The template is missing when the form is shown again after an error."""
    folder = tmp_path / "cognito_reset"
    folder.mkdir()
    (folder / "_error_summary.html").write_text("{% if errors %}{% include 'missing' %}{% endif %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    run(Pages)
    text = sent()
    assert "TemplateDoesNotExist" in text
    assert_absent(secrets, text)


@pytest.mark.requirement("H5")
def test_a_static_file_that_is_missing(people, settings, secrets, tmp_path):
    """collectstatic was forgotten."""
    manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": manifest}}
    settings.STATIC_ROOT = tmp_path
    run(Pages)
    text = sent()
    assert "Missing staticfiles manifest entry" in text
    assert_absent(secrets, text)


@pytest.mark.requirement("H5")
@pytest.mark.parametrize("make", INTERFACES)
def test_middleware_that_raises_afterwards(people, settings, secrets, make):
    """For example, the session store fails when the answer is ready."""
    settings.MIDDLEWARE = [f"{__name__}.broken_middleware", *settings.MIDDLEWARE]
    run(make)
    text = sent()
    assert "ImproperlyConfigured" in text
    assert_absent(secrets, text)


def broken_middleware(get_response):
    def middleware(request):
        get_response(request)
        raise ImproperlyConfigured

    return middleware


@pytest.mark.scrubbed
@pytest.mark.requirement("H5")
@pytest.mark.parametrize("make", [Pages, REST, AWS])
def test_the_documented_scrubber_takes_secrets_out_of_the_body(people, settings, secrets, make):
    """With the recipe the whole event has no secret, the request's body included."""
    settings.MIDDLEWARE = [f"{__name__}.broken_middleware", *settings.MIDDLEWARE]
    run(make)
    sentry_sdk.flush()
    text = "".join(Kept.payloads)
    assert '"data"' in text
    assert_absent(secrets, text)
