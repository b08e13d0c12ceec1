"""What the README says is what the code does. Its curl lines run in test_example_project.py."""

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

from cognito_reset import signals
from cognito_reset.aws import cors
from cognito_reset.aws_lambda import custom_message
from cognito_reset.checks.settings import check_settings
from cognito_reset.checks.urls import check_urls
from cognito_reset.cognito import errors as exceptions
from cognito_reset.conf import DEFAULT_LIMITS, DEFAULTS, POOL_OPTIONAL, POOL_REQUIRED
from cognito_reset.resets.passwords import PasswordPolicy, get_policy
from cognito_reset.testing.validation import service_model
from tests.errors import public_errors
from tests.interfaces import REST, Pages
from tests.testing.world import World

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return re.split(r"^## .*$", README, flags=re.M)[
        1 + re.findall(r"^## (.*)$", README, re.M).index(title)
    ]


def rows(text: str) -> dict[str, list[str]]:
    """The rows of a text's tables, by their first cell."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def python(comment: str) -> str:
    """The block of Python that starts with this comment."""
    found = re.search(rf"```python\n# {re.escape(comment)}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_setting_is_listed_with_its_default():
    """The two tables are POOLS' keys and all others, in whatever order."""
    listed = rows(section("Settings"))
    pool = {key: listed.pop(key)[0] for key in (*POOL_REQUIRED, *POOL_OPTIONAL)}
    assert pool == {
        **dict.fromkeys(POOL_REQUIRED, "required"),
        **dict.fromkeys(POOL_OPTIONAL, "`None`"),
    }
    defaults = {key: ast.literal_eval(row[0].strip("`")) for key, row in listed.items()}
    assert defaults == DEFAULTS


def test_every_error_is_listed_with_its_status_and_field():
    """What a caller of the REST endpoints can meet: no more, no less."""
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
    """Our errors by Cognito's names, and those that only this interface has."""
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
    """With the name that a site imports."""
    assert set(rows(section("Signals"))) == {
        name for name in vars(signals) if name.startswith("password_reset_")
    }


def test_the_limits_are_the_defaults():
    """Step by step, level by level."""
    listed = rows(section("Limits"))
    assert listed == {
        step: [f"`{rates}`" for rates in levels.values()] for step, levels in DEFAULT_LIMITS.items()
    }


def test_the_settings_to_start_from_pass_the_checks(monkeypatch, settings):
    """Copied as they stand, with the .env beside them, they have no fault."""
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
    """And so do those of a second pool, with its alias."""
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
    """The few lines for REST leave nothing that the checks would warn of."""
    found = re.search(r"```python\n(from cognito_reset import cors\n.*?)```", README, re.DOTALL)
    assert found is not None
    values: dict[str, Any] = {}
    exec(found[1], values)
    for name in ("CORS_ALLOWED_ORIGINS", "CORS_URLS_REGEX", "CORS_EXPOSE_HEADERS"):
        setattr(settings, name, values[name])
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    settings.ROOT_URLCONF = "tests.variants.rest_urls"
    assert check_urls() == []
    del settings.CORS_EXPOSE_HEADERS
    assert [message.id for message in check_urls()] == ["cognito_reset.W012"]


def test_the_include_for_sdks_has_no_slash_at_its_end():
    """It goes below the others as it stands."""
    values: dict[str, Any] = {}
    exec(python("urls.py"), values)
    exec(python("urls.py, for AWS SDKs and Amplify"), values)
    match = resolve("/cognito//", tuple(values["urlpatterns"][-1:]))
    assert match.view_name == "cognito_reset_aws:endpoint"


def test_u27_the_text_message_is_bound_to_the_domain():
    """U27: the pool's own template, as its model takes it, gives the form that phones know."""
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
    """The visitor's, and nobody's where staff send."""
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
    """Each variable that it reads."""
    read = re.findall(r'os\.environ\.get\("(\w+)"', Path(custom_message.__file__).read_text())
    assert set(rows(section("A link in the message"))) == set(read)


def test_d18_other_origins_are_listed_one_by_one():
    """D18: neither all of them nor credentials, of which the endpoints take none."""
    text = section("For a single-page app")
    block = re.search(r"```python\n(from cognito_reset import cors\n.*?)```", text, re.DOTALL)
    assert block is not None
    values: dict[str, Any] = {}
    exec(block[1], values)
    assert {name: value for name, value in values.items() if name.startswith("CORS_")} == {
        "CORS_ALLOWED_ORIGINS": ["https://app.example.com"],
        "CORS_URLS_REGEX": r"^/api/password-reset/",
        "CORS_EXPOSE_HEADERS": cors.EXPOSE_HEADERS,
    }


def test_e5_mfa_is_spoken_of():
    """E5: a reset leaves it as it is, and its channel recovers nothing."""
    text = " ".join(section("What Cognito does, and doesn't").split())
    assert "A reset doesn't turn MFA off" in text
    assert "SMS can't be the way to recover" in text


@pytest.mark.parametrize("success", [True, False])
def test_b15_the_hook_to_start_from_asks_and_refuses(people, settings, success):
    """B15: with the token of the form or of the header."""
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
    """The demo runs what the README says."""
    example = ROOT / "example_project" / "admin.py"
    shown = ast.dump(ast.parse(f"from __future__ import annotations\n{python('admin.py')}"))
    assert shown == ast.dump(ast.parse(example.read_text()))


def test_the_pictures_are_there():
    """Each that the README and the docs show, and no other."""
    folder = ROOT / "docs" / "screenshots"
    shown = set(
        re.findall(r"screenshots/([\w-]+\.png)", README + (ROOT / "docs/pages.md").read_text())
    )
    assert shown == {path.name for path in folder.iterdir()}


def test_p6_cognitos_own_check_of_stolen_passwords_is_named():
    """P6: it is Cognito's to make, and the app's to show."""
    assert "block compromised\ncredentials on a password change" in section(
        "What a password must be"
    )


def test_p7_the_validator_to_start_from_is_quick_and_refuses(people, settings, monkeypatch):
    """P7: what is easily guessed is refused with its own code, and 256 characters take no time."""
    pytest.importorskip("zxcvbn", reason="zxcvbn isn't installed")
    module = ModuleType("validators_of_the_readme")
    exec(python("validators.py"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{module.__name__}.StrengthValidator"}]
    policy = get_policy("default")
    found = policy.problems("Password1!", username="alice", code="123456")
    assert [code for code, _ in found] == ["too_weak"]
    start = time.perf_counter()
    list(policy.problems("Aa1-" * 64, username="alice", code="123456"))
    assert time.perf_counter() - start < 0.5  # 50 ms on a machine with nothing else to do
