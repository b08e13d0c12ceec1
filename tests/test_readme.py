"""
The README's tables and examples match the code. Its commands for curl run in test_example_project.py, and
all of its blocks of Python together in test_readme_project.py.
"""

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
from django.urls import resolve, reverse
from django.utils import translation
from rest_framework.exceptions import ValidationError

from cognito_reset import signals
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
    """The README lists some of the settings, and all of these exist."""
    pools, others = section("Settings").split("The most important keys besides `POOLS`")
    assert rows(pools).keys() < POOL_SETTINGS.keys()
    assert rows(others).keys() < SETTINGS.keys()
    follow_ups = re.findall(r"\| `(\w+)` \| (on|off) \|", section("After a reset"))
    assert len(follow_ups) == 4
    for key, value in follow_ups:
        assert getattr(conf, key.lower()) is (value == "on")


def test_each_link_leads_to_a_file():
    """Links in the README and in the docs lead to files, and links within the README to its headings."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"
    headings = re.findall(r"^#+ (.*)$", README, re.M)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= anchors


def test_every_error_is_listed_with_its_status_and_field():
    """The README lists exactly the codes that the REST endpoints can return."""
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
    """The README lists the names of the app's errors, and of those that only this interface has."""
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
    """The README lists exactly the signals that a site can import."""
    assert set(rows(section("Signals"))) == {
        name for name in vars(signals) if name.startswith("password_reset_")
    }


def test_the_limits_are_the_defaults(settings):
    """The README's table has the default limit of each step and level."""
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
    """The first block for settings.py, with the values of the .env file, passes the system checks."""
    environ = pytest.importorskip("environ", reason="django-environ isn't installed")
    dotenv = re.search(r"```ini\n# .env, beside manage.py\n(.*?)```", README, re.DOTALL)
    assert dotenv is not None
    environment = dict(line.split("=", 1) for line in dotenv[1].splitlines())
    monkeypatch.setattr(environ.Env, "ENVIRON", environment)
    values: dict[str, Any] = {"BASE_DIR": Path("/nowhere"), "INSTALLED_APPS": []}
    exec(python("settings.py"), values)
    settings.COGNITO_RESET = values["COGNITO_RESET"]
    assert check_settings() == []
    assert values["INSTALLED_APPS"] == ["rest_framework", "cognito_reset"]


def test_the_addresses_to_start_from_lead_to_the_app():
    """The addresses of the first block, and those of another pool with its alias."""
    values: dict[str, Any] = {"urlpatterns": []}
    exec(python("urls.py"), values)
    exec(python("urls.py, for another pool"), values)
    names = {
        "/password-reset/": ("cognito_reset:request", {}),
        "/api/password-reset/confirm/": ("cognito_reset_rest:confirm", {}),
        "/cognito": ("cognito_reset_aws:endpoint", {}),
        "/cognito/": ("cognito_reset_aws:endpoint", {}),
        "/cognito//": ("cognito_reset_aws:endpoint", {}),
        "/cognito///": ("cognito_reset_aws:endpoint", {}),
        "/brand/password-reset/confirm/": ("brand:confirm", {"pool": "brand"}),
        "/brand/api/password-reset/": ("brand_api:request", {"pool": "brand"}),
    }
    for address, expected in names.items():
        match = resolve(address, tuple(values["urlpatterns"]))
        assert (match.view_name, match.kwargs) == expected


def settings_for_another_origin() -> dict[str, Any]:
    values: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": []}
    exec(python("settings.py, for another origin"), values)
    return values


def test_the_settings_for_another_origin_satisfy_the_checks(settings):
    """They suit REST and the endpoint for AWS SDKs. If one of them is missing, there is a warning."""
    pytest.importorskip("corsheaders", reason="django-cors-headers isn't installed")
    values = settings_for_another_origin()
    for name in values:
        if name.startswith("CORS_"):
            setattr(settings, name, values[name])
    settings.MIDDLEWARE = [*values["MIDDLEWARE"], *settings.MIDDLEWARE]
    urls: dict[str, Any] = {"urlpatterns": []}
    exec(python("urls.py"), urls)
    settings.ROOT_URLCONF = tuple(urls["urlpatterns"])
    assert check_urls() == []
    del settings.CORS_EXPOSE_HEADERS
    assert [message.id for message in check_urls()] == ["cognito_reset.W012"]


@pytest.mark.requirement("U27")
def test_u27_the_text_message_is_bound_to_the_domain():
    """The pool's own template is valid, and its message has the format that phones understand."""
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
    """The function gets the visitor's language, and no language if staff send the reset."""
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
    """The README lists exactly the variables that the function reads."""
    read = re.findall(r'os\.environ\.get\("(\w+)"', Path(custom_message.__file__).read_text())
    assert set(rows(section("A link in the message"))) == set(read)


@pytest.mark.requirement("D18")
def test_d18_other_origins_are_listed_one_by_one():
    """The settings allow neither all origins nor credentials."""
    pytest.importorskip("corsheaders", reason="django-cors-headers isn't installed")
    values = settings_for_another_origin()
    assert values["CORS_ALLOWED_ORIGINS"] == ["https://app.example.com"]
    assert {name for name in values if "ORIGIN" in name or "CREDENTIALS" in name} == {
        "CORS_ALLOWED_ORIGINS"
    }


@pytest.mark.requirement("E5")
def test_e5_mfa_is_documented():
    """The README says that a reset doesn't change MFA, and when the way of MFA can recover an account."""
    text = " ".join(section("What Cognito does, and doesn't").split())
    assert "A reset doesn't turn MFA off" in text
    assert "the code never goes the way of a person's MFA" in text


@pytest.mark.requirement("B15")
@pytest.mark.parametrize("success", [True, False])
def test_b15_the_hook_to_start_from_asks_and_refuses(people, settings, success):
    """The hook reads the token from the form or from the header, and refuses if the challenge failed."""
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
    """The demo's admin has the README's code."""
    example = ROOT / "example_project" / "admin.py"
    shown = ast.dump(ast.parse(f"from __future__ import annotations\n{python('admin.py')}"))
    assert shown == ast.dump(ast.parse(example.read_text()))


def test_the_pictures_are_there():
    """The folder has exactly the pictures that the README and the docs show."""
    folder = ROOT / "docs" / "screenshots"
    shown = set(
        re.findall(r"screenshots/([\w-]+\.png)", README + (ROOT / "docs/pages.md").read_text())
    )
    assert shown == {path.name for path in folder.iterdir()}


@pytest.mark.requirement("P6")
def test_p6_cognitos_own_check_of_stolen_passwords_is_documented():
    """The README says that Cognito makes this check, and when."""
    text = " ".join(section("What a password must be").split())
    assert "set to block compromised credentials on a password change" in text


@pytest.mark.requirement("P7")
def test_p7_the_validator_to_start_from_is_quick_and_refuses(settings, monkeypatch):
    """The validator refuses a password that is easily guessed, and is quick even for a long one."""
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
    """The documented setting excludes all names that the endpoints use."""
    values: dict[str, Any] = {}
    exec(python("settings.py, for a schema in camel case"), values)
    options = values["JSON_CAMEL_CASE"]["JSON_UNDERSCOREIZE"]
    assert options == {"ignore_keys": SNAKE_CASE_NAMES}


def test_views_of_a_sites_own_replace_the_apps():
    """The site's views are found first. The include still has the names, and the page that isn't replaced."""
    values: dict[str, Any] = {"urlpatterns": []}
    for comment in ("urls.py", "urls.py, with views of your own"):
        exec(python(comment), values)
    patterns = tuple(values["urlpatterns"])
    addresses = {"request": "/password-reset/", "confirm": "/password-reset/confirm/"}
    addresses["done"] = "/password-reset/done/"
    own = {"extra_context": {"brand": "Example"}}
    for name, address in addresses.items():
        assert reverse(f"cognito_reset:{name}", patterns) == address
        shown = resolve(address, patterns).func.view_initkwargs
        assert shown == ({} if name == "confirm" else own)


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
        other = "000000" if code != "000000" else "111111"
        wrong = set_password(rf.post("/"), "alice", other, NEW_PASSWORD)
        assert wrong == [str(exceptions.CodeInvalid.message)]
        assert set_password(rf.post("/"), "alice", code, NEW_PASSWORD) == []
    finally:
        signals.password_reset_confirmed.disconnect(receiver)
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert interfaces == ["python"]
