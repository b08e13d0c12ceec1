"""Each check of links, pools, CORS and redirects tells only of what really fails."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import Client
from django.urls import (
    clear_script_prefix,
    include,
    path,
    re_path,
    reverse_lazy,
    set_script_prefix,
)
from django.utils.translation import gettext_lazy

from cognito_reset.aws import cors
from cognito_reset.aws import urls as aws_json_urls
from cognito_reset.checks.urls import check_urls

defaults = pytest.importorskip("corsheaders.defaults", reason="django-cors-headers isn't installed")
CorsHeaders: Any = pytest.importorskip("corsheaders.middleware").CorsMiddleware

CORS = "corsheaders.middleware.CorsMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
ORIGIN = "https://app.example.com"
FORMS = ("/cognito", "/cognito/", "/cognito//", "/cognito///")
GOOD = {
    "MIDDLEWARE": [CORS, SECURITY, COMMON],
    "CORS_ALLOWED_ORIGINS": [ORIGIN],
    "CORS_ALLOW_HEADERS": (*defaults.default_headers, *cors.ALLOW_HEADERS),
    "CORS_EXPOSE_HEADERS": cors.EXPOSE_HEADERS,
    "CORS_URLS_REGEX": r"^(/api/|/cognito/*$)",
}


def aws(prefix="cognito", **kwargs):
    return path(prefix, include("cognito_reset.aws.urls", **kwargs))


def rest(prefix="api/password-reset/"):
    return path(prefix, include("cognito_reset.rest.urls"))


@pytest.fixture
def found(settings):
    """Return a function that returns the messages for a site, by the last parts of their ids."""

    def found(*urls, without=(), **changes) -> dict[str, Any]:
        settings.ROOT_URLCONF = urls or (aws(), rest())
        for name, value in {**GOOD, **changes}.items():
            if name not in without:
                setattr(settings, name, value)
        return {message.id.rpartition(".")[2]: message for message in check_urls()}

    return found


def preflight(path="/cognito"):
    """Return the headers that another origin may send, or None if it may send nothing."""
    answer = Client().options(
        path, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    )
    allowed = answer.headers.get("Access-Control-Allow-Headers", "")
    return {*allowed.split(", ")} if "Access-Control-Allow-Origin" in answer.headers else None


def post(path="/cognito", **extra):
    return Client().post(path, headers={"Origin": ORIGIN}, **extra)


def test_the_lists_can_be_imported_by_settings():
    """A settings file imports them before Django is set up."""
    source = "import sys, cognito_reset.aws.cors; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout == "False\n"
    assert [header.lower() for header in cors.ALLOW_HEADERS] == [*cors.ALLOW_HEADERS]


def test_a_correct_site_gets_no_message(found):
    """Its preflight allows all headers that SDKs send, at each form of the path."""
    assert found() == {}
    for form in FORMS:
        assert preflight(form) >= {*cors.ALLOW_HEADERS}
        answer = post(form)
        assert "x-amzn-ErrorType" in answer.headers
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Expose-Headers"].split(", ") == [*cors.EXPOSE_HEADERS]


def test_the_checks_are_bound(found):
    """``manage.py check`` runs them."""
    found(aws(), CORS_EXPOSE_HEADERS=())
    assert "cognito_reset.W012" in {message.id for message in run_checks()}


@pytest.mark.parametrize(
    "site",
    [
        {"urls": [path("other/", lambda request: HttpResponse())]},
        {"urls": [path("cognito", include((aws_json_urls.urlpatterns, "somebody_else")))]},
        {"urls": [aws(), rest()], "MIDDLEWARE": [SECURITY, COMMON]},
        {"urls": [aws("<slug:tenant>/cognito/")], "SECURE_SSL_REDIRECT": True},
        {"urls": [re_path("(?i)^cognito/", include("cognito_reset.aws.urls"))]},
    ],
    ids=["no interface", "another app", "no CORS", "arguments", "not reversible"],
)
def test_sites_that_need_no_check(found, site):
    """A site without an interface, without django-cors-headers, or with arguments in the path."""
    urls = site.pop("urls")
    assert found(*urls, **site, without=GOOD.keys() - {"MIDDLEWARE"}) == {}


def test_a_site_without_urls_is_not_checked(found, settings):
    """Django's own checks skip it too."""
    found()
    settings.ROOT_URLCONF = ""
    assert check_urls() == []


def test_values_of_a_wrong_type_are_left_to_other_checks(found):
    """django-cors-headers has checks for them."""
    assert found(CORS_ALLOW_HEADERS=None) == {}
    assert found(CORS_URLS_REGEX="(") == {}
    assert {*found(aws("cognito/"), CORS_ALLOW_HEADERS=None)} == {"W016"}


@pytest.mark.parametrize("missing", cors.ALLOW_HEADERS)
def test_every_header_that_sdks_send_must_be_allowed(found, missing):
    """W011 names the missing header, which the preflight refuses."""
    others = [header for header in cors.ALLOW_HEADERS if header != missing]
    message = found(CORS_ALLOW_HEADERS=[*map(str.title, others)])["W011"]
    assert message.msg == f"CORS_ALLOW_HEADERS lacks {missing}."
    assert missing not in {header.lower() for header in preflight()}
    assert "cognito_reset.aws.cors.ALLOW_HEADERS" in message.hint


def test_the_default_headers_are_not_enough(found):
    """W011: the defaults have only one header of SDKs. REST needs no other."""
    message = found(without={"CORS_ALLOW_HEADERS"})["W011"]
    assert (
        message.msg
        == f"CORS_ALLOW_HEADERS lacks {', '.join([*cors.ALLOW_HEADERS[:3], *cors.ALLOW_HEADERS[4:]])}."
    )
    assert "content-type" in preflight()
    assert found(rest(), without={"CORS_ALLOW_HEADERS"}) == {}


@pytest.mark.parametrize(
    ("urls", "exposed", "missing"),
    [
        ([aws()], [], "x-amzn-RequestId, x-amzn-ErrorType"),
        ([aws()], ["X-AMZN-REQUESTID"], "x-amzn-ErrorType"),
        ([rest()], ["x-amzn-requestid"], "Retry-After"),
        ([aws(), rest()], [], "x-amzn-RequestId, x-amzn-ErrorType, Retry-After"),
        ([aws()], ["x-amzn-requestid", "X-Amzn-ErrorType"], None),
        ([rest()], ["retry-after"], None),
    ],
)
def test_headers_that_clients_read_must_be_exposed(found, urls, exposed, missing):
    """W012 names only the headers of the interfaces that are there, in any case."""
    messages = found(*urls, CORS_EXPOSE_HEADERS=exposed)
    assert {*messages} == ({"W012"} if missing else set())
    if missing:
        assert messages["W012"].msg == f"CORS_EXPOSE_HEADERS lacks {missing}."


@pytest.mark.parametrize(
    ("regex", "left_out"),
    [
        (r"^/cognito$", FORMS[1:2]),
        (r"^/cognito/$", FORMS[:1]),
        (r"^/cognito/?$", ()),
        (r"^/api/", FORMS[:2]),
        (r"^/cognito/*$", ()),
        (r"^.*$", ()),
    ],
)
def test_each_form_of_the_path_is_covered(found, regex, left_out):
    """
    W013: the preflight of a form that isn't matched has no CORS header. The form with two slashes is
    R's, which runs in no browser.
    """
    messages = found(aws(), CORS_URLS_REGEX=regex)
    assert {*messages} == ({"W013"} if left_out else set())
    assert tuple(form for form in FORMS[:2] if preflight(form) is None) == left_out
    if left_out:
        assert 'r"^/cognito/*$"' in messages["W013"].hint


@pytest.mark.parametrize("step", ["", "confirm/"])
def test_both_steps_over_rest_are_covered(found, step):
    """W017: a page on another origin needs both or neither."""
    step = f"/api/password-reset/{step}"
    message = found(rest(), CORS_URLS_REGEX=rf"^{step}$")["W017"]
    (other,) = {"/api/password-reset/", "/api/password-reset/confirm/"} - {step}
    assert f"doesn't match {other}, " in message.msg
    assert preflight(step) is not None
    assert preflight(other) is None


def test_a_hint_is_a_regex_that_matches(found):
    """W013, W015: special characters in the path are escaped."""
    changes = {"SECURE_SSL_REDIRECT": True, "CORS_URLS_REGEX": "^/api/"}
    messages = found(aws("v1.0/c(x)/cognito"), **changes)
    exempt, covered = (re.findall(r'r"(.*?)"', messages[id].hint)[0] for id in ("W015", "W013"))
    changes = {**changes, "CORS_URLS_REGEX": covered, "SECURE_REDIRECT_EXEMPT": [exempt]}
    assert found(aws("v1.0/c(x)/cognito"), **changes) == {}


def test_a_star_is_all_headers(found):
    """W011, W012: browsers accept it when no credentials are sent."""
    assert found(CORS_ALLOW_HEADERS=["*"], CORS_EXPOSE_HEADERS=["*"]) == {}
    assert preflight() == {"*"}


class CorsMiddleware(CorsHeaders):  # type: ignore[misc]  # of a class that need not be there
    """A subclass in a site."""


def test_a_subclass_of_the_middleware_is_found(found):
    """W011: the subclass reads the same settings."""
    changes = {"MIDDLEWARE": [f"{__name__}.CorsMiddleware", SECURITY, COMMON]}
    assert found(**changes) == {}
    assert {*found(**changes, CORS_ALLOW_HEADERS=())} == {"W011"}


def test_what_cors_does_not_cover_needs_no_headers(found):
    """Only W013: no other origin gets as far as the headers. REST alone gets no message."""
    bare = {"CORS_ALLOW_HEADERS": [], "CORS_EXPOSE_HEADERS": [], "CORS_URLS_REGEX": r"^/products/"}
    above = {"MIDDLEWARE": [COMMON, CORS]}
    assert {*found(**bare, **above)} == {"W013"}
    assert found(rest(), **bare, **above) == {}
    assert {*found(**bare | {"CORS_URLS_REGEX": r"^/cognito/$"})} == {"W011", "W012", "W013"}


@pytest.mark.parametrize("interface", [aws, rest])
def test_cors_must_stand_above_middleware_that_responds(found, interface):
    """W014: a browser can't read CommonMiddleware's refusal of a bad Host."""
    url = "/cognito" if interface is aws else "/api/password-reset/"
    host = {"HTTP_HOST": "elsewhere.example.com"}
    assert found(interface()) == {}
    assert "Access-Control-Allow-Origin" in post(url, **host).headers
    message = found(interface(), MIDDLEWARE=[SECURITY, COMMON, CORS])["W014"]
    assert message.msg == "MIDDLEWARE has CommonMiddleware above CorsMiddleware."
    refused = post(url, **host)
    assert refused.status_code == 400
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_cors_must_stand_above_the_redirect_to_https(found):
    """W014: SecurityMiddleware responds itself only if it redirects."""
    changes = {"MIDDLEWARE": [SECURITY, CORS, COMMON], "SECURE_REDIRECT_EXEMPT": [r"^cognito/*$"]}
    assert found(**changes) == {}
    message = found(**changes, SECURE_SSL_REDIRECT=True)["W014"]
    assert message.msg == "MIDDLEWARE has SecurityMiddleware above CorsMiddleware."
    assert "Access-Control-Allow-Origin" not in post("/api/password-reset/").headers


@pytest.mark.parametrize(
    ("exempt", "redirected"),
    [
        ([], FORMS),
        ([r"^cognito$"], FORMS[1:]),
        ([r"^cognito/$", r"^cognito$"], FORMS[2:]),
        ([r"^cognito/{0,2}$"], FORMS[3:]),
        ([r"^cognito/*$"], ()),
        ([r"^health$", r"^cognito"], ()),
        ([r"ognito/*$"], ()),
    ],
)
def test_no_sdk_may_be_redirected_to_https(found, exempt, redirected):
    """W015: unless every form of the path is exempt, some SDKs are redirected."""
    changes = {"SECURE_SSL_REDIRECT": True, "SECURE_REDIRECT_EXEMPT": exempt}
    messages = found(aws(), **changes)
    assert {*messages} == ({"W015"} if redirected else set())
    assert tuple(form for form in FORMS if post(form).status_code == 301) == redirected
    if redirected:
        assert 'r"^cognito/*$"' in messages["W015"].hint
    assert found(rest(), **changes) == {}
    assert found(aws(), **changes, MIDDLEWARE=[CORS, COMMON]) == {}


def test_no_sdk_may_be_redirected_to_another_path(found):
    """W016: if the include ends with a slash, the form without one is redirected."""
    message = found(aws("cognito/"))["W016"]
    assert 'path("cognito", include(' in message.hint
    assert [post(form).status_code for form in FORMS] == [301, 400, 400, 400]


def test_the_endpoint_may_be_the_root_of_a_host(found):
    """Old clients take only a host name. Its root path has no other form to be redirected to."""
    changes = {"SECURE_SSL_REDIRECT": True, "CORS_URLS_REGEX": r"^/*$"}
    assert {*found(aws(""), **changes)} == {"W015"}
    assert found(aws(""), **changes, SECURE_REDIRECT_EXEMPT=[r"^/*$"]) == {}
    assert "x-amzn-ErrorType" in post("/").headers
    assert "x-amzn-ErrorType" in post("//").headers


def test_every_include_is_checked(found):
    """W016: in other namespaces, twice in one namespace, and in nested includes."""
    inner = [aws("a/"), aws("d/"), aws("b/", namespace="brand")]
    found(
        path("x/", include((inner, "brands"))),
        path("y/", include([aws("c/", namespace="third")])),
        CORS_URLS_REGEX="",
    )
    assert [(message.id, message.msg.split(", ")[1]) for message in check_urls()] == [
        ("cognito_reset.W016", path) for path in ("/x/a/", "/x/d/", "/x/b/", "/y/c/")
    ]


def test_the_script_prefix_is_part_of_the_exempt_path_only(found):
    """W015: Django matches the exemption with the prefix, django-cors-headers without it."""
    set_script_prefix("/site/")
    try:
        assert found() == {}
        message = found(SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=[r"^cognito/*$"])["W015"]
        assert 'r"^site/cognito/*$"' in message.hint
        assert found(SECURE_REDIRECT_EXEMPT=[r"^site/cognito/*$"]) == {}
    finally:
        clear_script_prefix()
    assert "x-amzn-ErrorType" in post("/cognito", SCRIPT_NAME="/site").headers


# Links and pools


def view(request, **_):
    return HttpResponse()


@pytest.fixture
def found_with(found, settings):
    """Return a function that returns the messages for a site with pages, with a key of COGNITO_RESET."""

    def found_with(**keys):
        changes = {**settings.COGNITO_RESET, **keys}
        return found(*LINKS, MIDDLEWARE=[SESSIONS], COGNITO_RESET=changes)

    return found_with


LINKS = [
    path("in/", view, name="sign_in"),
    path("in/<slug:tenant>/", view, name="tenant"),
    path("x/", include(([path("in/", view, name="sign-in")], "accounts"))),
    path("", include("cognito_reset.urls")),
]


@pytest.mark.parametrize("key", ["SIGN_IN_URL", "CONTACT_URL"])
@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("sign_in", "/in/"),
        ("accounts:sign-in", "/x/in/"),
        (reverse_lazy("sign_in"), "/in/"),
        (gettext_lazy("sign_in"), "/in/"),
        ("/elsewhere/", "/elsewhere/"),
        ("https://example.com/in", "https://example.com/in"),
        (None, None),
        ("", None),
    ],
)
def test_e014_every_form_of_a_link_is_accepted(found_with, key, link, address):
    """A named pattern, with and without a namespace, a path or a URL. A text may be lazy."""
    assert found_with(**{key: link}) == {}
    assert Client().get("/").context[key.lower()] == address


@pytest.mark.parametrize("key", ["SIGN_IN_URL", "CONTACT_URL"])
@pytest.mark.parametrize(
    "link",
    ["login", "accounts:login", "nobody:sign-in", "tenant", "javascript", "data:x",
     "www.example.com", "login.html", ".", "example.com:8000", gettext_lazy("elsewhere/in"),
     gettext_lazy("//example.com"), reverse_lazy("login"), gettext_lazy("javascript:alert(1.5)"),
     gettext_lazy("login")],
)  # fmt: skip
def test_e014_a_link_that_cannot_be_resolved_is_an_error(found_with, key, link):
    """The pages then show no link."""
    message = found_with(**{key: link})["E014"]
    assert message.is_serious()
    assert f'COGNITO_RESET["{key}"]' in message.msg
    assert message.hint.startswith(f'Set COGNITO_RESET["{key}"] to ')
    assert Client().get("/").context[key.lower()] is None


def test_e014_a_telephone_number_is_a_link(found_with):
    """Django alone would look for a URL pattern of this name."""
    assert found_with(CONTACT_URL="tel:+4930123456") == {}
    assert Client().get("/").context["contact_url"] == "tel:+4930123456"


@pytest.mark.parametrize("values", [None, {"POOLS": None}, {"SIGN_IN_URL": 5, "POOLS": 5}], ids=str)
def test_settings_that_cannot_be_read_are_left_to_their_own_checks(found, values):
    assert found(path("", include("cognito_reset.urls"), {"pool": "a"}), COGNITO_RESET=values) == {}


@pytest.mark.parametrize("urls", ["urls", "rest.urls", "aws.urls"])
@pytest.mark.parametrize(
    ("pool", "near"), [("brnad", ' (did you mean "brand"?)'), ("x", ""), (5, "")]
)
def test_e027_an_include_names_a_pool_that_exists(found, urls, pool, near):
    """E027: with an unknown pool, all addresses would answer 404. A pool in the path comes from visitors."""
    ours = include(f"cognito_reset.{urls}")
    for wrong in (
        path("a/", ours, {"pool": pool}),
        path("a/", include([path("b/", ours)]), {"pool": pool}),
    ):
        message = found(wrong)["E027"]
        assert message.is_serious()
        assert message.msg.endswith(f'"{pool}", which COGNITO_RESET["POOLS"] lacks{near}.')
    for right in (
        path("a/", ours, {"pool": "brand"}),
        path("a/", include([path("b/", ours, {"pool": "brand"})]), {"pool": "x"}),
        path("a/", ours, {"pool": None}),
        path("<slug:pool>/", ours),
        path("a/", include([path("b/", view)]), {"pool": pool}),
    ):
        assert "E027" not in found(right)
