"""The README describes what the code does. Its curl lines run in test_example_project.py."""

from __future__ import annotations

import ast
import json
import re
import sys
import time
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.urls import resolve
from django.utils import translation
from rest_framework.exceptions import ValidationError

from cognito_reset import signals
from cognito_reset.aws import cors
from cognito_reset.aws_lambda import custom_message
from cognito_reset.checks.settings import check_settings
from cognito_reset.checks.urls import check_urls
from cognito_reset.cognito import errors as exceptions
from cognito_reset.conf import POOL_SETTINGS, SETTINGS, Rate, conf
from cognito_reset.resets.passwords import PasswordPolicy, check_site_validators
from cognito_reset.rest.names import SNAKE_CASE_NAMES
from cognito_reset.secret import Secret
from cognito_reset.testing.validation import service_model
from tests.errors import public_errors
from tests.interfaces import REST, Pages
from tests.people import NEW_PASSWORD
from tests.testing.world import World

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return re.split(r"^## .*$", README, flags=re.M)[
        1 + re.findall(r"^## (.*)$", README, re.M).index(title)
    ]


def rows(text: str) -> dict[str, list[str]]:
    """Return the rows of a text's tables, by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def python(comment: str) -> str:
    """Return the block of Python that starts with this comment."""
    found = re.search(rf"```python\n# {re.escape(comment)}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_each_listed_setting_exists():
    """The README lists the most important settings only, and none that the app doesn't read."""
    pools, others = section("Settings").split("The most important keys besides `POOLS`")
    assert rows(pools).keys() < POOL_SETTINGS.keys()
    assert rows(others).keys() < SETTINGS.keys()
    follow_ups = re.findall(r"\| `(\w+)` \| (on|off) \|", section("After a reset"))
    assert len(follow_ups) == 4
    for key, value in follow_ups:
        assert getattr(conf, key.lower()) is (value == "on")


def test_each_link_leads_to_a_file():
    """In the README and in the docs; and links within the README to one of its headings."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"
    headings = re.findall(r"^#+ (.*)$", README, re.M)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= anchors


def test_every_error_is_listed_with_its_status_and_field():
    """All codes that the REST endpoints can return, and no others."""
    listed = {code: row[:2] for code, row in rows(section("For a single-page app")).items()}
    assert listed.pop("required") == listed.pop("invalid") == ["400", "the field"]
    rules = "`, `".join(rule.code for rule in PasswordPolicy().rules)
    validators = "password_too_similar`, `password_too_common`, …"
    assert listed.pop(rules) == listed.pop(validators) == ["400", "`password`"]
    public = public_errors()
    assert listed == {
        kind.code: [str(kind.status), f"`{kind.field}`" if kind.field else ""] for kind in public
    }


def test_every_name_that_an_sdk_meets_is_listed():
    """The app's errors by Cognito's names, and the errors that only this interface has."""
    lines = re.findall(
        r"^\| `(\w+Exception)` \| (\d+) \|", section("For AWS SDKs and Amplify"), re.M
    )
    own = {
        "InvalidParameterException",
        "ForbiddenException",
        "ResourceNotFoundException",
        "UnknownOperationException",
    }
    names = {
        kind.name
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.ResetError)
    }
    assert {name for name, _ in lines} == names | own
    assert {name for name, status in lines if status == "500"} == {"InternalErrorException"}
    assert {name for name, status in lines if status == "403"} == {"ForbiddenException"}


def test_every_signal_is_listed():
    """By the name that a site imports."""
    assert set(rows(section("Signals"))) == {
        name for name in vars(signals) if name.startswith("password_reset_")
    }


def test_the_limits_are_the_defaults(settings):
    """Step by step, level by level."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    units = {"m": 60, "h": 3600}
    listed = {
        step: [
            tuple(
                Rate(int(limit), int(count or 1) * units[unit])
                for limit, count, unit in re.findall(r"(\d+)/(\d*)([mh])", cell)
            )
            for cell in cells
        ]
        for step, cells in rows(section("Limits")).items()
    }
    assert conf.limits is not None
    assert listed == {step: list(levels.values()) for step, levels in conf.limits.items()}


def test_the_settings_to_start_from_pass_the_checks(monkeypatch, settings):
    """Copied unchanged, together with the .env file."""
    environ = pytest.importorskip("environ", reason="django-environ isn't installed")
    dotenv = re.search(r"```ini\n# .env\n(.*?)```", README, re.DOTALL)
    assert dotenv is not None
    environment = dict(line.split("=", 1) for line in dotenv[1].splitlines())
    monkeypatch.setattr(environ.Env, "ENVIRON", environment)
    values: dict[str, Any] = {"BASE_DIR": Path("/nowhere")}
    exec(python("settings.py"), values)
    settings.COGNITO_RESET = values["COGNITO_RESET"]
    assert check_settings() == []
    assert {"rest_framework", "cognito_reset"} < set(values["INSTALLED_APPS"])


def test_the_addresses_to_start_from_lead_to_the_app():
    """So do the addresses of a second pool, with its alias."""
    values: dict[str, list[object]] = {}
    exec(python("urls.py"), values)
    several = re.search(r"urlpatterns \+= (\[.*?\n\])\n```", section("Several pools"), re.DOTALL)
    assert several is not None
    patterns = [*values["urlpatterns"][1:], *eval(several[1], dict(values))]
    names = {
        "/password-reset/": ("cognito_reset:request", {}),
        "/api/password-reset/confirm/": ("cognito_reset_rest:confirm", {}),
        "/cognito": ("cognito_reset_aws:endpoint", {}),
        "/cognito/": ("cognito_reset_aws:endpoint", {}),
        "/brand/password-reset/confirm/": ("brand:confirm", {"pool": "brand"}),
        "/brand/api/password-reset/": ("brand_api:request", {"pool": "brand"}),
    }
    for address, expected in names.items():
        match = resolve(address, tuple(patterns))
        assert (match.view_name, match.kwargs) == expected


def test_an_app_of_another_origin_can_read_how_long_to_wait(settings):
    """With the few lines for REST, the checks warn of nothing."""
    values: dict[str, Any] = {}
    exec(python("settings.py, for another origin"), values)
    for name in ("CORS_ALLOWED_ORIGINS", "CORS_URLS_REGEX", "CORS_EXPOSE_HEADERS"):
        setattr(settings, name, values[name])
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    settings.ROOT_URLCONF = "tests.variants.rest_urls"
    assert check_urls() == []
    del settings.CORS_EXPOSE_HEADERS
    assert [message.id for message in check_urls()] == ["cognito_reset.W012"]


def test_the_include_for_sdks_has_no_slash_at_its_end():
    """It can be added below the others unchanged."""
    values: dict[str, Any] = {}
    exec(python("urls.py"), values)
    exec(python("urls.py, for AWS SDKs and Amplify"), values)
    match = resolve("/cognito//", tuple(values["urlpatterns"][-1:]))
    assert match.view_name == "cognito_reset_aws:endpoint"


@pytest.mark.requirement("U27")
def test_u27_the_text_message_is_bound_to_the_domain():
    """The pool's own template is valid, and its message has the format that phones know."""
    found = re.search(r"```text\n(.*)\n```", section("A link in the message"))
    assert found is not None
    shape = service_model().shape_for("SmsVerificationMessageType")
    assert re.fullmatch(shape.metadata["pattern"], found[1])
    assert shape.metadata["min"] <= len(found[1]) <= shape.metadata["max"]
    world = World(pool={"SmsVerificationMessage": found[1]})
    world.add(phone_number="+15550001234", phone_number_verified="true")
    code = world.send_code()
    last_line = world.emulator.outbox[0].body.splitlines()[-1]
    assert re.match(r"@[a-z0-9.-]+ #(\S+)(?: |$)", last_line)[1] == code


def test_the_function_gets_its_language_as_shown(rf):
    """It is the visitor's language, and none if staff send the reset."""
    values: dict[str, Any] = {}
    exec(python("messages.py"), values)
    request = rf.get("/")
    request.resolver_match = resolve("/password-reset/")
    with translation.override("de"):
        assert values["client_metadata"](request) == {"language": "de"}
    request.resolver_match = resolve("/admin/")
    assert values["client_metadata"](request) == {}
    assert "CLIENT_METADATA" in section("A link in the message")


def test_the_functions_environment_is_listed():
    """All variables that the function reads."""
    read = re.findall(r'os\.environ\.get\("(\w+)"', Path(custom_message.__file__).read_text())
    assert set(rows(section("A link in the message"))) == set(read)


@pytest.mark.requirement("D18")
def test_d18_other_origins_are_listed_one_by_one():
    """The settings allow neither all origins nor credentials."""
    values: dict[str, Any] = {}
    exec(python("settings.py, for another origin"), values)
    assert {name: value for name, value in values.items() if name.startswith("CORS_")} == {
        "CORS_ALLOWED_ORIGINS": ["https://app.example.com"],
        "CORS_URLS_REGEX": r"^/api/password-reset/",
        "CORS_EXPOSE_HEADERS": cors.EXPOSE_HEADERS,
    }


@pytest.mark.requirement("E5")
def test_e5_mfa_is_documented():
    """A reset doesn't change it, and its channel can't recover an account."""
    text = " ".join(section("What Cognito does, and doesn't").split())
    assert "A reset doesn't turn MFA off" in text
    assert "SMS can't be the way to recover" in text


@pytest.mark.requirement("B15")
@pytest.mark.parametrize("success", [True, False])
def test_b15_the_hook_to_start_from_asks_and_refuses(people, settings, success):
    """It reads the token from the form or from the header."""
    values: dict[str, Any] = {}
    exec(python("hooks.py"), values)
    asked = []

    def urlopen(url, sent, *, timeout):
        asked.append(sent)
        return BytesIO(json.dumps({"success": success}).encode())

    values["urlopen"] = urlopen
    settings.TURNSTILE_SECRET = "secret"
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "PRE_SEND_HOOK": values["check_challenge"]}
    form = Pages().send("", {"username": "alice", "cf-turnstile-response": "token"})
    interface = REST()
    interface.client.defaults["HTTP_X_CHALLENGE"] = "token"
    statuses = (form.status_code, interface.request("alice").status_code)
    assert statuses == ((302, 202) if success else (400, 400))
    assert asked == [b"secret=secret&response=token"] * 2
    assert len(people.emulator.calls) == 2 * success


def test_the_admin_is_the_demos():
    """The demo runs the README's code."""
    example = ROOT / "example_project" / "admin.py"
    shown = ast.dump(ast.parse(f"from __future__ import annotations\n{python('admin.py')}"))
    assert shown == ast.dump(ast.parse(example.read_text()))


def test_the_pictures_are_there():
    """The pictures that the README and the docs show, and no others."""
    folder = ROOT / "docs" / "screenshots"
    shown = set(
        re.findall(r"screenshots/([\w-]+\.png)", README + (ROOT / "docs/pages.md").read_text())
    )
    assert shown == {path.name for path in folder.iterdir()}


@pytest.mark.requirement("P6")
def test_p6_cognitos_own_check_of_stolen_passwords_is_documented():
    """Cognito makes this check, and the app shows its result."""
    text = " ".join(section("What a password must be").split())
    assert "set to block compromised credentials on a password change" in text


@pytest.mark.requirement("P7")
def test_p7_the_validator_to_start_from_is_quick_and_refuses(settings, monkeypatch):
    """It refuses a password that is easily guessed, with its own code, and is quick for a long one."""
    pytest.importorskip("zxcvbn", reason="zxcvbn isn't installed")
    module = ModuleType("validators_of_the_readme")
    exec(python("validators.py"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{module.__name__}.StrengthValidator"}]
    with pytest.raises(ValidationError) as refused:
        check_site_validators(Secret("Password1!"), "alice")
    assert refused.value.get_codes() == {"password": ["too_weak"]}
    start = time.perf_counter()
    with pytest.raises(ValidationError):
        check_site_validators(Secret("Aa1-" * 64), "alice")
    assert time.perf_counter() - start < 0.5  # 50 ms on an idle machine


def test_names_in_snake_case_can_be_excluded():
    """The setting has all names of the endpoints."""
    values: dict[str, Any] = {}
    exec(python("settings.py, for a schema in camel case"), values)
    options = values["JSON_CAMEL_CASE"]["JSON_UNDERSCOREIZE"]
    assert options == {"ignore_keys": SNAKE_CASE_NAMES}


def test_views_of_a_sites_own_replace_the_apps():
    """They are found first, with what the site has set, and the last page stays."""
    values: dict[str, Any] = {}
    exec(python("urls.py, with views of your own"), values)
    patterns = tuple(values["urlpatterns"])
    request, confirm, done = (
        resolve(f"/password-reset/{page}", patterns) for page in ("", "confirm/", "done/")
    )
    assert request.func.view_initkwargs == {"extra_context": {"brand": "Example"}}
    assert confirm.func.view_initkwargs == {"success_url": "/welcome/"}
    names = [match.view_name for match in (request, confirm, done)]
    assert names == [f"cognito_reset:{name}" for name in ("request", "confirm", "done")]


def test_the_python_api_resets_a_password(people, rf, settings):
    """Both functions of the example work, with rate limits and signals."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, "LIMITS": {}}
    values: dict[str, Any] = {}
    exec(python("forgot.py"), values)
    send_code, set_password = values["send_code"], values["set_password"]
    interfaces = []

    def receiver(interface, **_):
        interfaces.append(interface)

    signals.password_reset_confirmed.connect(receiver)
    try:
        assert send_code(rf.post("/"), "alice") == 60
        with pytest.raises(exceptions.Throttled):
            send_code(rf.post("/"), "alice")
        code = people.emulator.outbox[0].code
        assert "Use at least 8 characters." in set_password(rf.post("/"), "alice", code, "short")
        wrong = set_password(rf.post("/"), "alice", "wrong", NEW_PASSWORD)
        assert wrong == [str(exceptions.CodeInvalid.message)]
        assert set_password(rf.post("/"), "alice", code, NEW_PASSWORD) == []
    finally:
        signals.password_reset_confirmed.disconnect(receiver)
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert interfaces == ["python"]
