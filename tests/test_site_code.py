"""The callables that a site names in its settings: when one fails, every interface says so in its own form."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.password_validation import MinimumLengthValidator
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.test import Client
from rest_framework import exceptions
from rest_framework.fields import get_error_detail

import cognito_reset
from cognito_reset.cognito.errors import SiteCodeFailed, failing_line
from cognito_reset.cognito.service import CognitoService
from cognito_reset.resets.site_code import run_site_code
from cognito_reset.staff.actions import reason_of
from tests.interfaces import INTERFACES, REST, Pages, with_settings
from tests.people import NEW_PASSWORD
from tests.test_staff_admin import CONFIRMATION, SELECTED, told


def fail(*args, **kwargs):
    raise RuntimeError(f"{args}{kwargs}")  # its text is what it got


LINE = f"{__file__}:{fail.__code__.co_firstlineno + 1}"


class Service(CognitoService):
    __init__ = fail


class Validator:
    def validate(self, password, user=None):
        pass

    def get_help_text(self):
        return ""


class Refusing(Validator):
    validate = fail


class Unmakable(Validator):
    __init__ = fail


class Unexplained(Validator):
    get_help_text = fail


class Unmeasured(MinimumLengthValidator):
    min_length = property(fail)

    def __init__(self):
        pass


def request(interface):
    return interface.request()


def confirm(interface):
    return interface.confirm(code="123456", password=NEW_PASSWORD)


def page(interface):
    return Pages().client.get("/password-reset/")


def confirm_page(interface):
    return Pages().client.get("/password-reset/confirm/")


def policy(interface):
    return REST().client.get("/api/password-reset/policy/")


STEPS = (request, confirm)
RULES = (confirm, confirm_page, policy)
VALIDATORS = "AUTH_PASSWORD_VALIDATORS"
SITE_CODE = [
    ("POOL_RESOLVER", fail, (*STEPS, page, policy)),
    ("PRE_SEND_HOOK", fail, (request,)),
    ("CLIENT_METADATA", fail, STEPS),
    ("CLIENT_SECRET", fail, STEPS),
    ("SERVICE_CLASS", Service, STEPS),
    (VALIDATORS, Refusing, (confirm,)),
    (VALIDATORS, Unmakable, RULES),
    (VALIDATORS, Unmeasured, RULES),
    (VALIDATORS, Unexplained, (confirm_page, policy)),
]
GETS = {page: Pages, confirm_page: Pages, policy: REST}
CASES = [
    (setting, value, step, make)
    for setting, value, steps in SITE_CODE
    for step in steps
    for make in ([GETS[step]] if step in GETS else INTERFACES)
]


def configure(settings, setting, value):
    if setting == VALIDATORS:
        settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{__name__}.{value.__name__}"}]
    elif setting == "CLIENT_SECRET":
        pool = settings.COGNITO_RESET["POOLS"]["default"]
        with_settings(settings, POOLS={"default": {**pool, setting: value}})
    else:
        with_settings(settings, **{setting: value})


def critical(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.CRITICAL]


@pytest.mark.parametrize(
    ("setting", "value", "step", "make_interface"),
    CASES,
    ids=[f"{case[0]} {' '.join(part.__name__ for part in case[1:])}" for case in CASES],
)
def test_site_code_that_fails_makes_the_service_unavailable(
    people, settings, caplog, setting, value, step, make_interface
):
    """Clients get 503 in their own form. The log names once what failed and where, but shows no value."""
    configure(settings, setting, value)
    interface = make_interface()
    response = step(interface)
    assert interface.is_unavailable(response)
    if make_interface is REST:
        assert response.json()["errors"][0]["code"] == "unavailable"
    assert b"Sorry, there is a problem with the service" in response.content
    assert b"Traceback" not in response.content
    (line,) = critical(caplog)
    assert line == f"cognito_reset.site_code_failed setting={setting} error=RuntimeError at={LINE}"
    assert not {"alice", "123456", NEW_PASSWORD} & set(caplog.text.replace("'", " ").split())
    assert people.emulator.calls == []


@pytest.mark.parametrize("setting", ["USER_RESOLVER", "COGNITO_USERNAME"])
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_site_code_that_fails_after_a_reset_changes_no_answer(
    people, settings, caplog, django_user_model, make_interface, setting
):
    """The password was changed, so the answer is a success."""
    django_user_model.objects.create_user("alice")
    with_settings(settings, **{setting: fail})
    interface = make_interface()
    code = people.code("alice")
    response = interface.confirm(code=code)
    assert response.status_code == interface.DONE
    (line,) = critical(caplog)
    assert line == f"cognito_reset.site_code_failed setting={setting} error=RuntimeError at={LINE}"
    assert "alice" not in caplog.text


@pytest.mark.urls("tests.admin_site")
@pytest.mark.parametrize("setting", ["COGNITO_USERNAME", "CLIENT_METADATA"])
def test_site_code_that_fails_is_told_to_staff(
    people, settings, caplog, django_user_model, setting
):
    """Staff read that the site's own code failed, and what to look at. Nothing is sent."""
    with_settings(settings, **{setting: fail})
    make_user = django_user_model.objects.create_user
    alice, root = make_user("alice"), make_user("root", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(root)
    response = client.post(CONFIRMATION, {SELECTED: alice.pk})
    ((_level, text),) = told(response)
    assert reason_of(SiteCodeFailed()) in text
    assert setting in text
    (line,) = critical(caplog)
    assert line == f"cognito_reset.site_code_failed setting={setting} error=RuntimeError at={LINE}"
    assert [name for name, _body in people.emulator.calls if name.startswith("Admin")] == []


@pytest.mark.parametrize("setting", ["POOL_RESOLVER", "PRE_SEND_HOOK", "SERVICE_CLASS"])
@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_setting_whose_module_cannot_be_imported_is_invalid(
    people, settings, caplog, tmp_path, monkeypatch, make_interface, setting
):
    """The module may raise any exception."""
    (tmp_path / "broken_module.py").write_text("5 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with_settings(settings, **{setting: "broken_module.name"})
    interface = make_interface()
    assert interface.is_unavailable(interface.request())
    (line,) = critical(caplog)
    assert line == (
        f'cognito_reset.misconfigured: COGNITO_RESET["{setting}"] can\'t be used: '
        "its module raises ZeroDivisionError."
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Http404, 404),
        (PermissionDenied, 403),
        (exceptions.NotFound, 404),
        (exceptions.PermissionDenied, 403),
        (exceptions.Throttled, 429),
    ],
    ids=str,
)
@pytest.mark.parametrize("send", [request, page])
def test_a_resolver_may_refuse_on_the_pages(people, settings, caplog, error, status, send):
    """The exceptions of Django and DRF have their usual meaning, as over REST and for AWS SDKs."""

    def resolve(request):
        raise error

    with_settings(settings, POOL_RESOLVER=resolve)
    response = send(Pages())
    assert response.status_code == status
    assert critical(caplog) == []


def line_of(call):
    try:
        call()
    except Exception as error:
        return failing_line(error)


def test_the_logged_line_is_the_sites_own():
    """The line of a library that the site's code calls wouldn't help to find the mistake."""

    def parse(text):
        return json.loads(text)

    assert line_of(fail) == LINE
    assert line_of(partial(parse, "{")) == f"{__file__}:{parse.__code__.co_firstlineno + 1}"


def test_a_module_whose_name_begins_like_the_apps_is_the_sites():
    """It may be installed in the same folder as the app."""
    hooks = f"{Path(cognito_reset.__file__).parent}_hooks.py"
    names: dict[str, Any] = {"json": json}
    exec(compile("def parse():\n    json.loads('{')\n", hooks, "exec"), names)
    assert line_of(names["parse"]) == f"{hooks}:2"


def test_without_a_line_of_the_site_the_librarys_line_is_logged():
    """This happens if a setting names a function of a library."""
    with pytest.raises(ZeroDivisionError) as raised:
        exec(compile("1 / 0", "<a frozen module>", "exec"))
    error = raised.value
    error.__traceback__ = error.__traceback__.tb_next  # without this test's own line
    assert failing_line(error) == "<a frozen module>:1"


@pytest.mark.parametrize(
    "error",
    [
        ValidationError("No.", "own"),
        ValidationError("Use %(count)d.", params={"count": 3}),
        ValidationError(["No.", ValidationError("Never.", "own")]),
        ValidationError({"__all__": ["No."], "x": [ValidationError("%(no)s", "own", {"no": "x"})]}),
        ValidationError([]),
    ],
)
def test_refusals_by_djangos_error_are_those_that_drf_makes_of_it(error):
    """With the text and the code of each."""

    def refuse():
        raise error

    with pytest.raises(exceptions.ValidationError) as caught:
        run_site_code("PRE_SEND_HOOK", refuse)
    expected = exceptions.ValidationError(get_error_detail(error))
    assert caught.value.get_full_details() == expected.get_full_details()


@pytest.mark.parametrize("make_interface", INTERFACES)
def test_a_refusal_whose_text_lacks_a_value_is_a_bug_of_the_site(
    people, settings, caplog, make_interface
):
    """Nobody gets 500."""

    def refuse(request, **more):
        raise ValidationError("Wait for %(minutes)d minutes.", params={"seconds": 60})

    with_settings(settings, PRE_SEND_HOOK=refuse)
    interface = make_interface()
    assert interface.is_unavailable(interface.request())
    assert "setting=PRE_SEND_HOOK error=KeyError" in critical(caplog)[0]
