"""
The tables and examples of the docs match the code. The commands for curl run in test_example_project.py, and all
blocks of Python that a site pastes run together in test_docs_project.py.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import sys
import time
from importlib import metadata
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.urls import resolve, reverse
from django.utils import translation
from rest_framework.exceptions import ValidationError

import cognito_reset
from cognito_reset import signals
from cognito_reset.aws_lambda import custom_message
from cognito_reset.checks.settings import check_settings
from cognito_reset.checks.urls import check_urls
from cognito_reset.cognito import errors as exceptions
from cognito_reset.conf import POOL_SETTINGS, SETTINGS, conf
from cognito_reset.doctor.findings import Finding
from cognito_reset.parsers import Rate
from cognito_reset.resets.passwords import PasswordPolicy, check_site_validators
from cognito_reset.rest.names import SNAKE_CASE_NAMES
from cognito_reset.secret import Secret
from cognito_reset.staff.actions import ACTIONS
from cognito_reset.testing.validation import service_model
from tests.documentation import DOCS, ROOT, blocks, python, rows, section, text
from tests.errors import public_errors
from tests.guides import cells
from tests.interfaces import REST, Pages
from tests.people import NEW_PASSWORD
from tests.testing.world import World

# The installed package, which isn't in this folder when the tests run against the wheel.
PACKAGE = Path(cognito_reset.__file__).parent


def test_each_listed_setting_exists():
    """The quickstart lists some of the settings, and all of these exist."""
    pools, others = text("quickstart.md").split("The most important keys besides `POOLS`")
    assert rows(pools).keys() < POOL_SETTINGS.keys()
    assert rows(others).keys() < SETTINGS.keys()
    follow_ups = re.findall(r"\| `(\w+)` \| (on|off) \|", text("after-a-reset.md"))
    assert len(follow_ups) == 4
    for key, value in follow_ups:
        assert getattr(conf, key.lower()) is (value == "on")


def test_every_error_is_listed_with_its_status_and_field():
    """docs/rest.md lists exactly the codes that the REST endpoints can return."""
    listed = {code: row[:2] for code, row in rows(section("rest.md", "Errors")).items()}
    assert listed.pop("required") == listed.pop("invalid") == ["400", "the field"]
    rules = "`, `".join(rule.code for rule in PasswordPolicy().rules)
    validators = "password_too_similar`, `password_too_common`, …"
    assert listed.pop(rules) == listed.pop(validators) == ["400", "`password`"]
    public = public_errors()
    assert listed == {
        kind.code: [str(kind.status), f"`{kind.field}`" if kind.field else ""] for kind in public
    }


def test_the_error_to_start_from_is_the_endpoints():
    """docs/rest.md shows the answer to a confirmation without a code and with a short password."""
    [shown] = [
        json.loads(block.code) for block in blocks(DOCS / "rest.md") if block.language == "json"
    ]
    body = {"username": "alice", "confirmation_code": "", "password": "Short-1"}
    answer = REST().send("confirm/", body)
    assert (answer.status_code, answer.json()) == (400, shown)


def test_every_name_that_an_sdk_meets_is_listed():
    """docs/aws.md lists the names of the app's errors, and of those that only this interface has."""
    lines = re.findall(r"^\| `(\w+Exception)` \| (\d+) \|", section("aws.md", "Errors"), re.M)
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
    described = re.findall(
        r"^\| `(\w+Exception)` \| \d+ \| (.*) \|$", section("aws.md", "Errors"), re.M
    )
    for kind in public_errors():
        assert any(name == kind.name and f"`{kind.code}`" in text for name, text in described), kind


def test_the_limits_are_the_defaults(settings):
    """The table in docs/limits.md has the default limit of each step and level."""
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
        for step, cells in rows(text("limits.md").partition("##")[0]).items()
    }
    assert conf.limits is not None
    assert listed == {step: list(levels.values()) for step, levels in conf.limits.items()}


def test_the_settings_to_start_from_pass_the_checks(monkeypatch, settings):
    """The first block for settings.py, with the values of the .env file, passes the system checks."""
    environ = pytest.importorskip("environ", reason="django-environ isn't installed")
    [dotenv] = [block for block in blocks(DOCS / "quickstart.md") if block.language == "ini"]
    environment = dict(line.split("=", 1) for line in dotenv.code.splitlines()[1:])
    monkeypatch.setattr(environ.Env, "ENVIRON", environment)
    values: dict[str, Any] = {"BASE_DIR": Path("/nowhere"), "INSTALLED_APPS": []}
    exec(python("quickstart.md", "settings.py"), values)
    settings.COGNITO_RESET = values["COGNITO_RESET"]
    assert check_settings() == []
    assert values["INSTALLED_APPS"] == ["rest_framework", "cognito_reset"]


def test_the_addresses_to_start_from_lead_to_the_app():
    """The addresses of the first block, and those of another pool with its alias."""
    values: dict[str, Any] = {"urlpatterns": []}
    exec(python("quickstart.md", "urls.py"), values)
    exec(python("pools.md", "urls.py, for another pool"), values)
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
    exec(python("spa.md", "settings.py, for another origin"), values)
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
    exec(python("quickstart.md", "urls.py"), urls)
    settings.ROOT_URLCONF = tuple(urls["urlpatterns"])
    assert check_urls() == []
    del settings.CORS_EXPOSE_HEADERS
    assert [message.id for message in check_urls()] == ["cognito_reset.W012"]


@pytest.mark.requirement("U27")
def test_u27_the_text_message_is_bound_to_the_domain():
    """The pool's own template is valid, and its message has the format that phones understand."""
    found = re.search(r"```text\n(.*)\n```", text("message-link.md"))
    assert found is not None
    shape = service_model().shape_for("SmsVerificationMessageType")
    assert re.fullmatch(shape.metadata["pattern"], found[1])
    assert shape.metadata["min"] <= len(found[1]) <= shape.metadata["max"]
    world = World(pool={"SmsVerificationMessage": found[1]})
    world.add(phone_number="+15550001234", phone_number_verified="true")
    code = world.send_code()
    last_line = world.emulator.outbox[-1].body.splitlines()[-1]
    assert re.match(r"@[a-z0-9.-]+ #(\S+)(?: |$)", last_line)[1] == code


def test_the_function_gets_its_language_as_shown(rf):
    """The function gets the visitor's language, and no language if staff send the reset."""
    values: dict[str, Any] = {}
    exec(python("message-link.md", "messages.py"), values)
    request = rf.get("/")
    request.resolver_match = resolve("/password-reset/")
    with translation.override("de"):
        assert values["client_metadata"](request) == {"language": "de"}
    for path, urls in [("/admin/", None), ("/staff/users/1/reset/", "tests.staff_urls")]:
        request.resolver_match = resolve(path, urls)
        assert values["client_metadata"](request) == {}
    assert "CLIENT_METADATA" in text("message-link.md")


def test_the_functions_environment_is_listed():
    """docs/message-link.md lists exactly the variables that the function reads."""
    read = re.findall(r'os\.environ\.get\("(\w+)"', Path(custom_message.__file__).read_text())
    assert set(rows(text("message-link.md"))) == set(read)


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
    """docs/cognito.md says that a reset doesn't change MFA, and when the way of MFA can recover an account."""
    page = " ".join(text("cognito.md").split())
    assert "A reset doesn't turn MFA off" in page
    assert "the code never goes the way of a person's MFA" in page


@pytest.mark.requirement("B15")
@pytest.mark.parametrize("success", [True, False])
def test_b15_the_hook_to_start_from_asks_and_refuses(people, settings, success):
    """The hook reads the token from the form or from the header, and refuses if the challenge failed."""
    values: dict[str, Any] = {}
    exec(python("captcha.md", "hooks.py"), values)
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
    """The demo's admin has the code that docs/staff.md advises for users without a password, with types added."""
    codes = [block.code for block in blocks(DOCS / "staff.md")]
    [advised] = [code for code in codes if "def user_change_password" in code]
    assert bare(advised) == bare((ROOT / "example_project" / "admin.py").read_text())


def test_what_the_page_for_support_staff_says_is_what_they_read():
    """Each sentence of the table is in the app, and each button is an action."""
    page = section("staff.md", "When somebody calls")
    sources = [
        (PACKAGE / name).read_text(encoding="utf-8")
        for name in ("cognito/errors.py", "staff/panel.py")
    ]
    shown = re.sub(r'"\s*\n\s*"', "", " ".join(sources))  # joins the parts of a text
    sentences = [row[0] for row in cells(page)[1:]]
    assert len(sentences) == 18
    assert [sentence for sentence in sentences if sentence not in shown] == []
    buttons = set(re.findall(r"(?<!\*)\*([A-Z][a-z]+ [a-z -]+)\*(?!\*)", " ".join(page.split())))
    known = {str(action.title) for action in ACTIONS.values()}
    assert buttons - known == {"Last request for a code"}
    assert known <= buttons


def bare(code: str) -> list[str]:
    """Return the code's statements without imports, docstrings, comments and types."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.ClassDef) and ast.get_docstring(node):
            del node.body[0]
    return [ast.unparse(node) for node in tree.body if not isinstance(node, ast.ImportFrom)]


@pytest.mark.requirement("P6")
def test_p6_cognitos_own_check_of_stolen_passwords_is_documented():
    """docs/passwords.md says that Cognito makes this check, and when."""
    page = " ".join(text("passwords.md").split())
    assert "set to block compromised credentials on a password change" in page


@pytest.mark.requirement("P7")
def test_p7_the_validator_to_start_from_is_quick_and_refuses(settings, monkeypatch):
    """The validator refuses a password that is easily guessed, and is quick even for a long one."""
    pytest.importorskip("zxcvbn", reason="zxcvbn isn't installed")
    module = ModuleType("validators_of_the_docs")
    exec(python("passwords.md", "validators.py"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{module.__name__}.StrengthValidator"}]
    with pytest.raises(ValidationError) as refused:
        check_site_validators(Secret("Password1!"), "alice")
    assert refused.value.get_codes() == {"password": ["too_weak"]}
    start = time.process_time()  # other programs don't count
    with pytest.raises(ValidationError):
        check_site_validators(Secret("Aa1-" * 64), "alice")
    assert time.process_time() - start < 0.5  # 50 ms on an idle machine


def test_names_in_snake_case_can_be_excluded():
    """The documented setting excludes all names that the endpoints use."""
    values: dict[str, Any] = {}
    exec(python("rest.md", "settings.py, for a schema in camel case"), values)
    options = values["JSON_CAMEL_CASE"]["JSON_UNDERSCOREIZE"]
    assert options == {"ignore_keys": SNAKE_CASE_NAMES}


def test_views_of_a_sites_own_replace_the_apps():
    """The site's views are found first. The include still has the names, and the page that isn't replaced."""
    values: dict[str, Any] = {"urlpatterns": []}
    exec(python("quickstart.md", "urls.py"), values)
    exec(python("views.md", "urls.py, with views of your own"), values)
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
    exec(python("python.md", "forgot.py"), values)
    send_code, set_password = values["send_code"], values["set_password"]
    interfaces = []

    def receiver(interface, **_):
        interfaces.append(interface)

    signals.password_reset_confirmed.connect(receiver)
    try:
        assert send_code(rf.post("/"), "alice") == 60
        with pytest.raises(exceptions.Throttled):
            send_code(rf.post("/"), "alice")
        code = people.code("alice")
        assert "Use at least 8 characters." in set_password(rf.post("/"), "alice", code, "short")
        other = "000000" if code != "000000" else "111111"
        wrong = set_password(rf.post("/"), "alice", other, NEW_PASSWORD)
        assert wrong == [str(exceptions.CodeInvalid.message)]
        assert set_password(rf.post("/"), "alice", code, NEW_PASSWORD) == []
    finally:
        signals.password_reset_confirmed.disconnect(receiver)
    assert people.can_sign_in("alice", NEW_PASSWORD)
    assert interfaces == ["python"]


def test_the_front_page_has_all_that_a_new_site_needs(settings):
    """Its blocks for settings.py and urls.py satisfy the checks, and the pages are at the address that it names."""
    values: dict[str, Any] = {"INSTALLED_APPS": [], "urlpatterns": []}
    exec(python("index.md", "settings.py"), values)
    exec(python("index.md", "urls.py"), values)
    settings.COGNITO_RESET = values["COGNITO_RESET"]
    assert check_settings() == []
    assert values["INSTALLED_APPS"] == ["rest_framework", "cognito_reset"]
    match = resolve("/password-reset/", tuple(values["urlpatterns"]))
    assert match.view_name == "cognito_reset:request"
    assert "`/password-reset/`" in text("index.md")


def advised() -> dict[str, tuple[str, str]]:
    """Return the oldest version that works and the one that is advised, by the package of docs/versions.md."""
    lines = re.findall(
        r"^\| (\S+(?: [\d.]+)?) \| ([\d.]+) \| ([\d.]+) \|$", text("versions.md"), re.M
    )
    return {package: (oldest, least) for package, oldest, least in lines}


def version(digits: str) -> tuple[int, ...]:
    return tuple(map(int, digits.split(".")))


@pytest.mark.requirement("I2")
def test_i2_the_oldest_versions_are_those_of_the_metadata():
    """The page has each package that pip installs, and each series of Django that the metadata names."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    required = dict(
        re.findall(r"^([\w-]+)>=([\d.]+)$", config["options"]["install_requires"], re.M)
    )
    series = re.findall(
        r"Framework :: Django :: ([\d.]+)$", config["metadata"]["classifiers"], re.M
    )
    assert required.pop("Django") == series[0]
    expected = {**required, **{f"Django {one}": one for one in series}}
    assert {package: oldest for package, (oldest, _) in advised().items()} == expected


@pytest.mark.requirement("I2")
def test_i2_the_advised_versions_are_tested():
    """
    No environment with the newest packages has an older one than the page advises. The environment with the oldest
    packages has exactly the other end.
    """
    for package, (oldest, least) in advised().items():
        name, _, series = package.partition(" ")
        installed = re.match(r"[\d.]+\d", metadata.version(name))
        assert installed is not None
        if series and version(installed[0])[:2] != version(series):
            continue  # another environment has this series
        is_oldest = version(installed[0]) in (version(oldest), (*version(oldest), 0))
        assert is_oldest or version(installed[0]) >= version(least), package
        assert version(least) > version(oldest)


@pytest.mark.requirement("G11")
@pytest.mark.parametrize(
    ("vulnerability", "corrected"),
    [("CVE-2026-77050", "5.2.18, 6.0.9 and 6.1.2"), ("CVE-2026-15337", "5.2.17, 6.0.8 and 6.1")],
)
def test_g11_the_advised_django_has_no_known_weakness_in_languages(vulnerability, corrected):
    """The page names the vulnerabilities of Accept-Language, and advises no release that has them."""
    item = text("versions.md").partition(f"[{vulnerability}]")[2].partition("\n- ")[0]
    assert f"corrected in Django {corrected}" in " ".join(item.split())
    for release in re.findall(r"[\d.]+\d", corrected):
        series = ".".join(release.split(".")[:2])
        assert version(advised()[f"Django {series}"][1]) >= version(release)


def test_the_doctor_names_the_servers_that_need_no_trusted_proxies():
    """With TRUSTED_PROXIES, every visitor of a site on one of them would be unknown."""
    parts = text("proxies.md").replace("\n|", "\n\n|").split("\n\n")  # paragraphs and rows
    unset = [part for part in parts if "leave `TRUSTED_PROXIES` unset" in part]
    servers = ("Mangum", "waitress")
    assert [server for part in unset for server in servers if server in part] == [*servers]
    assert all(server in Finding.PROXY_SEEN.fix for server in servers)
