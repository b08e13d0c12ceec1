"""System checks of CORS and redirects: each warns of what then really fails, and of nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import Client
from django.urls import clear_script_prefix, include, path, re_path, set_script_prefix

from cognito_reset.aws import cors
from cognito_reset.aws import urls as aws_json_urls
from cognito_reset.checks.urls import check_urls

defaults = pytest.importorskip("corsheaders.defaults", reason="django-cors-headers isn't installed")
CorsHeaders: Any = pytest.importorskip("corsheaders.middleware").CorsMiddleware

CORS = "corsheaders.middleware.CorsMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
ORIGIN = "https://app.example.com"
FORMS = ("/cognito", "/cognito/", "/cognito//")
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
    """What is said about a site, by the ids' last parts."""

    def found(*urls, without=(), **changes) -> dict[str, Any]:
        settings.ROOT_URLCONF = urls or (aws(), rest())
        for name, value in {**GOOD, **changes}.items():
            if name not in without:
                setattr(settings, name, value)
        return {message.id.rpartition(".")[2]: message for message in check_urls()}

    return found


def preflight(path="/cognito"):
    """What a browser on another origin may send there, and whether it may at all."""
    answer = Client().options(
        path, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    )
    allowed = answer.headers.get("Access-Control-Allow-Headers", "")
    return {*allowed.split(", ")} if "Access-Control-Allow-Origin" in answer.headers else None


def post(path="/cognito", **extra):
    return Client().post(path, headers={"Origin": ORIGIN}, **extra)


def test_the_lists_can_be_imported_by_settings():
    """Where no Django is there yet."""
    source = "import sys, cognito_reset.cors; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.stdout == "False\n"
    assert [header.lower() for header in cors.ALLOW_HEADERS] == [*cors.ALLOW_HEADERS]


def test_a_good_site_has_nothing_to_hear(found):
    """And its preflight lets all through that SDKs send, at each form of the path."""
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
    ids=["no interface", "another app's", "no CORS", "a path that can't be known", "nor reversed"],
)
def test_where_there_is_nothing_to_tell(found, site):
    """No interface, no django-cors-headers, or an include whose path a request fills in."""
    urls = site.pop("urls")
    assert found(*urls, **site, without=GOOD.keys() - {"MIDDLEWARE"}) == {}


def test_a_site_without_urls_is_let_be(found, settings):
    """As by Django's own checks."""
    found()
    settings.ROOT_URLCONF = ""
    assert check_urls() == []


def test_mistakes_of_type_are_for_others_to_tell(found):
    """django-cors-headers has its own checks."""
    assert found(CORS_ALLOW_HEADERS=None) == {}
    assert found(CORS_URLS_REGEX="(") == {}
    assert {*found(aws("cognito/"), CORS_ALLOW_HEADERS=None)} == {"W016"}


@pytest.mark.parametrize("missing", cors.ALLOW_HEADERS)
def test_every_header_that_sdks_send_is_asked_for(found, missing):
    """W011: each is named, and the preflight would refuse it."""
    others = [header for header in cors.ALLOW_HEADERS if header != missing]
    message = found(CORS_ALLOW_HEADERS=[*map(str.title, others)])["W011"]
    assert message.msg == f"CORS_ALLOW_HEADERS lacks {missing}."
    assert missing not in {header.lower() for header in preflight()}
    assert "cognito_reset.aws.cors.ALLOW_HEADERS" in message.hint


def test_the_default_headers_are_not_enough(found):
    """W011: but for one of them, and REST needs no more than that."""
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
def test_what_clients_read_is_exposed(found, urls, exposed, missing):
    """W012: of each interface what it has, whatever the case."""
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
    W013: where a form is left out, its preflight is answered without a word of CORS. The form with two
    slashes is R's, which is in no browser.
    """
    messages = found(aws(), CORS_URLS_REGEX=regex)
    assert {*messages} == ({"W013"} if left_out else set())
    assert tuple(form for form in FORMS[:2] if preflight(form) is None) == left_out
    if left_out:
        assert 'r"^/cognito/*$"' in messages["W013"].hint


@pytest.mark.parametrize("step", ["", "confirm/"])
def test_both_steps_over_rest_are_covered(found, step):
    """W017: or neither; what is begun there can then be ended there."""
    step = f"/api/password-reset/{step}"
    message = found(rest(), CORS_URLS_REGEX=rf"^{step}$")["W017"]
    (other,) = {"/api/password-reset/", "/api/password-reset/confirm/"} - {step}
    assert f"leaves out {other}, " in message.msg
    assert preflight(step) is not None
    assert preflight(other) is None


def test_a_hint_is_a_regex_that_matches(found):
    """W013, W015: whatever is in the path."""
    changes = {"SECURE_SSL_REDIRECT": True, "CORS_URLS_REGEX": "^/api/"}
    messages = found(aws("v1.0/c(x)/cognito"), **changes)
    exempt, covered = (re.findall(r'r"(.*?)"', messages[id].hint)[0] for id in ("W015", "W013"))
    changes = {**changes, "CORS_URLS_REGEX": covered, "SECURE_REDIRECT_EXEMPT": [exempt]}
    assert found(aws("v1.0/c(x)/cognito"), **changes) == {}


def test_a_star_is_all_headers(found):
    """W011, W012: to browsers, where no credentials are sent."""
    assert found(CORS_ALLOW_HEADERS=["*"], CORS_EXPOSE_HEADERS=["*"]) == {}
    assert preflight() == {"*"}


class CorsMiddleware(CorsHeaders):  # type: ignore[misc]  # of a class that need not be there
    """A site's own."""


def test_a_sites_own_subclass_is_looked_at(found):
    """W011: it reads the same settings."""
    changes = {"MIDDLEWARE": [f"{__name__}.CorsMiddleware", SECURITY, COMMON]}
    assert found(**changes) == {}
    assert {*found(**changes, CORS_ALLOW_HEADERS=())} == {"W011"}


def test_what_cors_does_not_cover_needs_no_headers(found):
    """W013: alone, as nobody on another origin gets that far; and REST on its own is let be."""
    bare = {"CORS_ALLOW_HEADERS": [], "CORS_EXPOSE_HEADERS": [], "CORS_URLS_REGEX": r"^/products/"}
    above = {"MIDDLEWARE": [COMMON, CORS]}
    assert {*found(**bare, **above)} == {"W013"}
    assert found(rest(), **bare, **above) == {}
    assert {*found(**bare | {"CORS_URLS_REGEX": r"^/cognito/$"})} == {"W011", "W012", "W013"}


@pytest.mark.parametrize("interface", [aws, rest])
def test_cors_stands_above_what_answers_by_itself(found, interface):
    """W014: CommonMiddleware refuses a bad Host, and a browser can't read that it did."""
    url = "/cognito" if interface is aws else "/api/password-reset/"
    host = {"HTTP_HOST": "elsewhere.example.com"}
    assert found(interface()) == {}
    assert "Access-Control-Allow-Origin" in post(url, **host).headers
    message = found(interface(), MIDDLEWARE=[SECURITY, COMMON, CORS])["W014"]
    assert message.msg == "MIDDLEWARE has CommonMiddleware above CorsMiddleware."
    refused = post(url, **host)
    assert refused.status_code == 400
    assert "Access-Control-Allow-Origin" not in refused.headers


def test_cors_stands_above_the_redirect_to_https(found):
    """W014: SecurityMiddleware answers by itself only where it redirects."""
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
        ([r"^cognito/*$"], ()),
        ([r"^health$", r"^cognito"], ()),
        ([r"ognito/*$"], ()),
    ],
)
def test_no_sdk_is_sent_to_https(found, exempt, redirected):
    """W015: every form of the path is exempt, or a client with an http address is redirected."""
    changes = {"SECURE_SSL_REDIRECT": True, "SECURE_REDIRECT_EXEMPT": exempt}
    messages = found(aws(), **changes)
    assert {*messages} == ({"W015"} if redirected else set())
    assert tuple(form for form in FORMS if post(form).status_code == 301) == redirected
    if redirected:
        assert 'r"^cognito/*$"' in messages["W015"].hint
    assert found(rest(), **changes) == {}
    assert found(aws(), **changes, MIDDLEWARE=[CORS, COMMON]) == {}


def test_no_sdk_is_sent_to_another_path(found):
    """W016: with a slash in the include, the form without one is redirected."""
    message = found(aws("cognito/"))["W016"]
    assert 'path("cognito", include(' in message.hint
    assert [post(form).status_code for form in FORMS] == [301, 400, 400]


def test_the_root_of_a_host_is_as_good(found):
    """Old clients take a bare host: its one path has no form that could be redirected."""
    changes = {"SECURE_SSL_REDIRECT": True, "CORS_URLS_REGEX": r"^/*$"}
    assert {*found(aws(""), **changes)} == {"W015"}
    assert found(aws(""), **changes, SECURE_REDIRECT_EXEMPT=[r"^/*$"]) == {}
    assert "x-amzn-ErrorType" in post("/").headers
    assert "x-amzn-ErrorType" in post("//").headers


def test_every_include_is_looked_at(found):
    """W016: under other namespaces, two under one, within includes with and without one."""
    inner = [aws("a/"), aws("d/"), aws("b/", namespace="brand")]
    found(
        path("x/", include((inner, "brands"))),
        path("y/", include([aws("c/", namespace="third")])),
        CORS_URLS_REGEX="",
    )
    assert [(message.id, message.msg.split(", ")[1]) for message in check_urls()] == [
        ("cognito_reset.W016", path) for path in ("/x/a/", "/x/d/", "/x/b/", "/y/c/")
    ]


def test_a_scripts_own_prefix_is_no_part_of_the_path(found):
    """W015: but for the exemption, for which Django takes it to be one; CORS is asked without."""
    set_script_prefix("/site/")
    try:
        assert found() == {}
        message = found(SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=[r"^cognito/*$"])["W015"]
        assert 'r"^site/cognito/*$"' in message.hint
        assert found(SECURE_REDIRECT_EXEMPT=[r"^site/cognito/*$"]) == {}
    finally:
        clear_script_prefix()
    assert "x-amzn-ErrorType" in post("/cognito", SCRIPT_NAME="/site").headers
