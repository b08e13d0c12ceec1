"""docs/migrating.md: the names of the other packages exist, and the code for the change works."""

from __future__ import annotations

import logging
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import authenticate, get_user
from django.contrib.auth import urls as auth_urls
from django.contrib.auth import views as auth_views
from django.template.loader import get_template
from django.test import Client
from django.urls import NoReverseMatch, include, path, resolve, reverse

from cognito_reset import signals
from cognito_reset.cognito import errors
from cognito_reset.pages import views
from cognito_reset.secret import Secret
from tests.documentation import section
from tests.guides import PAGES, cells, codes, executed
from tests.interfaces import REST
from tests.people import NEW_PASSWORD, People

ROOTS = [path("", include("tests.urls"))]


def named(title: str, column: int) -> str:
    return "\n".join(row[column] for row in cells(section("migrating.md", title)))


def use_urls(settings, values: dict[str, Any]) -> None:
    module = ModuleType("urls_of_the_guide")
    module.urlpatterns = values["urlpatterns"]
    settings.ROOT_URLCONF = module


# django.contrib.auth


def test_the_names_of_django_exist():
    """The URL names, the views and their attributes, and the templates."""
    old = named("From django.contrib.auth", 0)
    urls = {pattern.name for pattern in auth_urls.urlpatterns}
    resets = {name for name in urls if name.startswith("password_reset")}
    assert resets <= set(re.findall(r"`(\w+)`", old))
    for name in re.findall(r"`(PasswordReset\w+View)`", old):
        assert hasattr(auth_views, name)
    attributes = set(dir(auth_views.PasswordResetView)) | set(
        dir(auth_views.PasswordResetConfirmView)
    )
    for name in ("form_class", "token_generator", "from_email", "email_template_name",
                 "subject_template_name", "html_email_template_name", "extra_email_context",
                 "post_reset_login", "template_name", "extra_context", "success_url", "form_valid"):  # fmt: skip
        assert f"`{name}`" in old.replace("form_valid()", "form_valid")
        assert name in attributes
    templates = re.findall(r"`(registration/[\w.]+)`", old)
    assert len(templates) == 6
    for name in templates:
        get_template(name)


def test_the_names_of_the_app_exist():
    new = named("From django.contrib.auth", 1)
    for name in re.findall(r"`cognito_reset\.pages\.views\.(\w+)`", new):
        assert hasattr(views, name)
    for name in re.findall(r"`(cognito_reset/[\w.]+)`", new):
        get_template(name)
    for name in re.findall(r"`(cognito_reset\w*:\w+)`", PAGES["migrating.md"]):
        assert reverse(name)
    for name in ("template_name", "extra_context", "success_url", "form_valid"):
        assert hasattr(views.ConfirmView, name)


@pytest.fixture
def old_names(settings) -> None:
    auth = [*ROOTS, path("accounts/", include("django.contrib.auth.urls"))]
    use_urls(
        settings,
        executed(
            "migrating.md", "urls.py, with the names of django.contrib.auth", urlpatterns=auth
        ),
    )


@pytest.mark.django_db
def test_the_names_of_django_lead_to_the_app(people: People, old_names):
    """A whole reset by the old addresses."""
    client = Client()
    address = reverse("password_reset")
    assert address == "/accounts/password_reset/"
    assert client.get(address).resolver_match.func.view_class is views.RequestView
    answer = client.post(address, {"username": "alice"})
    page = client.get(reverse("password_reset_done"))
    assert page.context["username"] == "alice"
    data = {
        "username": "alice",
        "confirmation_code": people.emulator.outbox[-1].code,
        "password": NEW_PASSWORD,
    }
    done = client.post(answer.url, data)
    assert "has been changed" in client.get(done.url).content.decode()
    assert resolve("/accounts/login/").url_name == "login"


@pytest.mark.django_db
def test_an_old_link_leads_to_the_first_page_and_changes_no_password(
    people: People, old_names, django_user_model
):
    from django.contrib.auth.tokens import default_token_generator
    from django.utils.encoding import force_bytes
    from django.utils.http import urlsafe_base64_encode

    user = django_user_model.objects.create_user("alice", password="old")
    link = reverse(
        "password_reset_confirm",
        args=[
            urlsafe_base64_encode(force_bytes(user.pk)),
            default_token_generator.make_token(user),
        ],
    )
    for method in ("get", "post"):
        answer = getattr(Client(), method)(link, {"new_password1": "x", "new_password2": "x"})
        assert (answer.status_code, answer.url) == (302, "/password-reset/")
    user.refresh_from_db()
    assert user.check_password("old")


def test_the_names_exist_without_the_include_of_django(settings):
    """A site may drop django.contrib.auth.urls, and its templates still work."""
    values = executed(
        "migrating.md", "urls.py, with the names of django.contrib.auth", urlpatterns=ROOTS
    )
    use_urls(settings, values)
    for name, arguments in (
        ("password_reset", []),
        ("password_reset_done", []),
        ("password_reset_confirm", ["uid", "token"]),
        ("password_reset_complete", []),
    ):
        assert reverse(name, args=arguments).startswith("/accounts/")


# The steps for all of them


@pytest.mark.django_db
def test_old_passwords_sign_nobody_in_and_a_reset_finds_the_user(people: People, django_user_model):
    """Staff keep their local password."""
    make = django_user_model.objects.create_user
    make("alice", "alice@example.com", "Old-local-1")
    make("root", "root@example.com", "Old-local-1", is_staff=True)
    executed("migrating.md", "manage.py shell, for users whose password is in the pool")
    assert authenticate(username="alice", password="Old-local-1") is None
    assert authenticate(username="root", password="Old-local-1") is not None
    client = Client()
    client.force_login(django_user_model.objects.get(username="alice"))
    assert get_user(client).is_authenticated
    assert REST().confirm("alice", people.code("alice")).status_code == 200
    assert not get_user(client).is_authenticated


# django-allauth, in the environment of `make tox ARGS="-e migrating"`


@pytest.fixture
def allauth(settings, tmp_path) -> None:
    """A site with allauth's addresses and its layout, to whose head the site adds something."""
    if not apps.is_installed("allauth.account"):
        pytest.skip("allauth isn't installed, or isn't in INSTALLED_APPS")
    (tmp_path / "account").mkdir()
    (tmp_path / "account" / "base_entrance.html").write_text(
        '{% extends "allauth/layouts/entrance.html" %}'
        "{% block extra_head %}{{ block.super }}<!-- the site's -->{% endblock %}"
    )
    (tmp_path / "cognito_reset").mkdir()
    (layout,) = codes("migrating.md", "html")
    (tmp_path / "cognito_reset" / "base.html").write_text(layout)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    values = executed(
        "migrating.md",
        "urls.py, with the addresses of allauth",
        urlpatterns=[*ROOTS, path("accounts/", include("allauth.urls"))],
    )
    use_urls(settings, values)


@pytest.mark.django_db
def test_the_addresses_of_allauth_lead_to_the_app(people: People, allauth):
    """The link of the sign-in page, links in old mails, and the pages that set a local password."""
    client = Client()
    assert reverse("account_reset_password") == "/accounts/password/reset/"
    answer = client.get("/accounts/password/reset/?next=/basket/")
    assert (answer.status_code, answer.url) == (302, "/password-reset/?next=/basket/")
    for old in ("reset/done/", "reset/key/1-abc/", "change/", "set/"):
        for method in (client.get, client.post):
            assert method(f"/accounts/password/{old}").url == "/password-reset/", old
    assert resolve("/accounts/login/").url_name == "account_login"


@pytest.mark.django_db
def test_the_pages_have_the_layout_of_allauth(people: People, allauth):
    page = Client().get("/password-reset/").content.decode()
    assert 'href="/accounts/login/"' in page
    assert "the site's" in page  # what its own head contains stays
    assert "cognito_reset.css" in page
    assert "Reset your password" in page.partition("</title>")[0]
    assert 'name="username"' in page.partition('href="/accounts/login/"')[2]


@pytest.mark.django_db
def test_the_sign_in_page_of_allauth_has_the_name_once(allauth, settings):
    view = executed("migrating.md", "views.py, with allauth's sign-in page")["SignIn"]
    own = path("accounts/login/", view.as_view())
    use_urls(settings, {"urlpatterns": [own, *settings.ROOT_URLCONF.urlpatterns]})
    client = Client()
    session = client.session
    session["reset_username"] = "alice"
    session.save()
    for name in ("alice", ""):
        assert client.get("/accounts/login/").context["form"]["login"].value() == name


# Packages of the same environment


def sources(package: str) -> str:
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip(f"{package} isn't installed")
    files = Path(next(iter(spec.submodule_search_locations))).rglob("*.py")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_the_names_of_allauth_exist():
    source = sources("allauth")
    package = Path(str(find_spec("allauth").origin)).parent
    old = named("From django-allauth", 0)
    names = re.findall(r"\b(account_\w+)\b", old)
    assert len(names) == 9
    settings = re.findall(r"`ACCOUNT_(\w+)`", old)
    assert len(settings) == 6
    rates = ["reset_password", "reset_password_from_key"]
    fields = ["login"]
    for name in (*names, *settings, *rates, *fields):
        assert re.search(rf"""['"]{name}['"]""", source), name
    templates = re.findall(r"`(account/[\w./]+)`", old)
    assert len(templates) == 7
    for name in (*templates, "account/base_entrance.html"):
        assert (package / "templates" / name).is_file(), name
    (own,) = codes("migrating.md", "html")
    layout = (package / "templates/allauth/layouts/base.html").read_text(encoding="utf-8")
    for block in ("head_title", "extra_head", "content"):
        assert f"{{% block {block} %}}" in layout
        assert f"block {block} %}}" in own or block == "content"
    # All pages that change a local password, and no others, are below this path.
    patterns = set(re.findall(r"""r?"\^?(password/[^"]*)",""", source))
    assert {"password/reset/", "password/change/", "password/set/"} <= patterns
    assert "password_reset = Signal()" in source
    assert "class ImmediateHttpResponse(" in source
    assert "def process_exception(request" in source


def test_the_names_of_dj_rest_auth_exist():
    source = sources("dj_rest_auth")
    old = named("From dj-rest-auth", 0)
    names = re.findall(r"\b(rest_password_\w+)\b", old)
    assert len(names) == 3
    words = ["uid", "token", "new_password1", "new_password2", "email", "PASSWORD_RESET_SERIALIZER",
             "PASSWORD_RESET_CONFIRM_SERIALIZER", "PASSWORD_RESET_USE_SITES_DOMAIN",
             "Password reset e-mail has been sent.", "Password has been reset with the new password.",
             "Invalid value", "dj_rest_auth", "password_reset_confirm"]  # fmt: skip
    for word in (*names, *words):
        assert word in old
        assert re.search(rf"""['"\s]{re.escape(word)}['"\s]""", source), word
    assert "password/reset/?$" in source
    assert "password/reset/confirm/?$" in source


def test_the_names_of_django_rest_passwordreset_exist():
    source = sources("django_rest_passwordreset")
    old = named("From django-rest-passwordreset", 0)
    names = [
        *re.findall(r"`password_reset:([\w-]+)`", old),
        *re.findall(r"`(DJANGO_REST_\w+)`", old),
        *re.findall(r"signal `(\w+)`", old),
    ]
    assert len(names) == 3 + 7 + 3
    for name in names:
        assert re.search(rf"""['"\s]{name}(?:['"\s]|\.CLASS)""", source), name
    assert "'status': 'OK'" in source
    assert "validate_token/" in source
    assert find_spec("django_rest_passwordreset.management.commands.clearresetpasswodtokens")
    assert "app_name = 'password_reset'" in source
    assert "RESET_TOKEN_EXPIRY_TIME', 24)" in source  # "one day"


# The code


@pytest.fixture
def reset_views(monkeypatch) -> ModuleType:
    module = ModuleType("example.reset_views")
    vars(module).update(executed("migrating.md", "reset_views.py"))
    monkeypatch.setitem(sys.modules, "example", ModuleType("example"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.django_db
def test_old_versions_of_an_app_get_a_code(people: People, settings, reset_views):
    """With dj-rest-auth's address, field and answer."""
    use_urls(
        settings,
        executed("migrating.md", "urls.py, for old versions of the app", urlpatterns=ROOTS),
    )
    client = Client()
    address = reverse("rest_password_reset")

    def post(**data: str) -> Any:
        return client.post(address, data, content_type="application/json")

    for name in ("alice@example.com", "nobody@example.com"):
        answer = post(email=name)
        assert (answer.status_code, answer.json()) == (
            200,
            {"detail": "Password reset e-mail has been sent."},
        )
    assert people.emulator.outbox[-1].destination == "alice@example.com"
    assert post().status_code == 400


@pytest.mark.django_db
def test_the_receiver_hears_of_a_reset_and_logs_no_name(people: People, caplog):
    caplog.set_level(logging.INFO)
    values = executed("migrating.md", "receivers.py", __name__="receivers_of_the_guide")
    try:
        assert REST().confirm("alice", people.code("alice")).status_code == 200
    finally:
        assert signals.password_reset_confirmed.disconnect(values["after_reset"])
    lines = [r.getMessage() for r in caplog.records if r.name == "receivers_of_the_guide"]
    assert lines == ["A password was reset in the pool default."]


def test_what_the_tables_say_of_the_apps_errors_is_true():
    codes = {kind.code: kind for kind in vars(errors).values() if hasattr(kind, "code")}
    for code in re.findall(r"code `(\w+)`", PAGES["migrating.md"]):
        assert code in codes
    assert errors.TriggerFailed.name == errors.OutcomeUnknown.name == "InternalErrorException"
    assert errors.CodeInvalid.name == "CodeMismatchException"
    assert "code_invalid" in named("From dj-rest-auth", 1)
    assert isinstance(Secret("x"), Secret)
    with pytest.raises(NoReverseMatch):
        reverse("cognito_reset:password_reset_confirm")
