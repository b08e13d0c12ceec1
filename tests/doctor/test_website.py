"""The doctor as a browser: a real site over real sockets, with and without TLS."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from django.conf import settings as site
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test.utils import override_script_prefix

from cognito_reset.aws.cors import ALLOW_HEADERS
from cognito_reset.doctor.csp import Page, blocked
from cognito_reset.doctor.findings import Finding
from cognito_reset.doctor.website import examine_site
from tests.browser.middleware import POLICY
from tests.doctor.world import of_site
from tests.fault_server import closed_port, write_certificate
from tests.test_csp import apply
from tests.test_pages import with_settings

PAGE = "/password-reset/"
SECURE = {
    "SECURE_HSTS_SECONDS": 3600,
    "CSRF_COOKIE_SECURE": True,
    "SESSION_COOKIE_SECURE": True,
}
SECURITY = "django.middleware.security.SecurityMiddleware"


class Handler(WSGIRequestHandler):
    def get_environ(self):
        if self.command == self.server.drops:
            raise ConnectionError  # the connection is closed without an answer
        scheme = {"HTTPS": "on"} if isinstance(self.connection, ssl.SSLSocket) else {}
        return {**super().get_environ(), **scheme}

    def log_message(self, *args):
        """Log nothing: pytest would show it."""


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    drops = ""

    def server_bind(self):
        """Bind without looking the host's name up, which takes long where there is no DNS."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()

    def handle_error(self, *args):
        """Ignore clients that don't trust the certificate."""


@contextmanager
def served(certificate=None):
    """Serve the test's site, and yield the address of its first page."""
    server = Server(("127.0.0.1", 0), Handler)
    server.set_app(get_wsgi_application())
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    scheme = "https" if certificate else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}{PAGE}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate that this process trusts."""
    path = tmp_path / "own.pem"
    write_certificate(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def examined(url, **more):
    return {result.finding: result.detail for result in examine_site(url, **more)}


def over_tls(certificate, **more):
    with served(certificate) as url:
        return examined(url, **{"http_port": closed_port(), **more})


class Changed:
    """A middleware that changes the first page's response as a proxy or another middleware may."""

    headers: dict[str, str] = {}  # the tests replace it
    preflight: HttpResponse | None = None

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.method == "OPTIONS" and self.preflight is not None:
            return self.preflight
        response = self.get_response(request)
        for name, value in self.headers.items():
            response[name] = value
        return response


@pytest.fixture
def changed(settings, monkeypatch):
    def change(**attributes):
        settings.MIDDLEWARE = [f"{__name__}.Changed", *site.MIDDLEWARE]
        for name, value in attributes.items():
            monkeypatch.setattr(Changed, name, value)

    return change


def test_a_site_with_everything_in_its_place(people, settings, certificate):
    """Which address it takes for a visitor's stays unknown."""
    apply(settings, "with django-csp")
    settings.MIDDLEWARE = [SECURITY, *settings.MIDDLEWARE]
    for name, value in SECURE.items():
        setattr(settings, name, value)
    assert over_tls(certificate).keys() == {
        Finding.SITE_REACHED,
        Finding.HTTPS_ENFORCED,
        Finding.HSTS_THERE,
        Finding.COOKIES_SECURE,
        Finding.CSP_FITS,
        Finding.VISITORS_UNKNOWN,
    }


def test_a_site_with_nothing_in_its_place(people, certificate):
    """As a new Django project is."""
    with served() as plain:
        port = int(plain.rpartition(":")[2].partition("/")[0])
        found = over_tls(certificate, http_port=port)
    assert found.keys() == {
        Finding.SITE_REACHED,
        Finding.HTTPS_NOT_ENFORCED,
        Finding.HSTS_MISSING,
        Finding.COOKIES_NOT_SECURE,
        Finding.CSP_MISSING,
        Finding.VISITORS_UNKNOWN,
    }
    assert found[Finding.COOKIES_NOT_SECURE] == "csrftoken."


def test_plain_http_that_redirects(people, settings, certificate):
    """SECURE_SSL_REDIRECT does that."""
    settings.MIDDLEWARE = [SECURITY, *settings.MIDDLEWARE]
    settings.SECURE_SSL_REDIRECT = True
    with served() as plain:
        port = int(plain.rpartition(":")[2].partition("/")[0])
        assert Finding.HTTPS_ENFORCED in over_tls(certificate, http_port=port)


ABOUT_HTTPS = {
    Finding.SITE_ON_LOOPBACK,
    Finding.SITE_WITHOUT_HTTPS,
    Finding.HTTPS_NOT_ENFORCED,
    Finding.HSTS_MISSING,
    Finding.COOKIES_NOT_SECURE,
}


@pytest.mark.parametrize(
    ("host", "finding"),
    [
        ("127.0.0.1", Finding.SITE_ON_LOOPBACK),
        ("127.8.0.1", Finding.SITE_ON_LOOPBACK),
        ("[::1]", Finding.SITE_ON_LOOPBACK),
        ("localhost", Finding.SITE_ON_LOOPBACK),
        ("brand.LOCALHOST", Finding.SITE_ON_LOOPBACK),
        ("192.168.0.10", Finding.SITE_WITHOUT_HTTPS),
        ("www.example.com", Finding.SITE_WITHOUT_HTTPS),
        ("localhost.example.com", Finding.SITE_WITHOUT_HTTPS),
        ("notlocalhost", Finding.SITE_WITHOUT_HTTPS),
    ],
)
def test_a_page_over_plain_http(people, settings, monkeypatch, host, finding):
    """Browsers trust this machine's own names and addresses. Nothing else about https is worth a word then."""
    settings.ALLOWED_HOSTS = ["*"]
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *args, **more: resolve("127.0.0.1", *args, **more)
    )
    with served() as url:
        found = of_site(url=url.replace("127.0.0.1", host))
    assert Finding.SITE_REACHED in found
    assert ABOUT_HTTPS & found.keys() == {finding}


def test_a_certificate_that_is_not_trusted(people, certificate, monkeypatch):
    """A browser would warn."""
    monkeypatch.delenv("SSL_CERT_FILE")
    found = over_tls(certificate)
    assert list(found) == [Finding.SITE_TLS_FAILED]


def test_a_site_that_does_not_answer(db):
    """A closed port, and names that don't exist."""
    impossible = (
        f"https://{'a' * 64}.example.com/"  # DNS has at most 63 characters between two dots
    )
    for url in (f"http://127.0.0.1:{closed_port()}/", "https://site.invalid/", impossible):
        ((finding, detail),) = examined(url).items()
        assert finding is Finding.SITE_UNREACHABLE
        assert url in detail


@pytest.mark.parametrize(
    ("path", "told"),
    [("nothing/", "status 404"), ("confirm", "status 301, to ")],
)
def test_another_page(people, path, told):
    """The detail has the status, and where a redirect leads."""
    with served() as url:
        found = examined(url + path)
    assert list(found) == [Finding.SITE_ANSWERS_OTHERWISE]
    assert told in found[Finding.SITE_ANSWERS_OTHERWISE]


def test_a_page_without_the_form(people, changed):
    """For example a page that says that the site is closed."""

    class Closed(Changed):
        def __call__(self, request):
            return HttpResponse("Closed")

    changed(__call__=Closed.__call__)
    with served() as url:
        found = examined(url)
    assert "without the form" in found[Finding.SITE_ANSWERS_OTHERWISE]


def test_a_page_that_is_not_html(people, changed):
    """Python's parser gives up on it."""

    class Strange(Changed):
        def __call__(self, request):
            return HttpResponse("<![strange>")

    changed(__call__=Strange.__call__)
    with served() as url:
        assert list(examined(url)) == [Finding.SITE_ANSWERS_OTHERWISE]


def test_a_proxy_that_the_settings_do_not_name(people, settings, changed):
    """All visitors might share one limit."""
    changed(headers={"Via": "1.1 edge"})
    with served() as url:
        assert examined(url)[Finding.PROXY_SEEN] == "Headers: Via."
        with_settings(settings, TRUSTED_PROXIES={"COUNT": 1})
        assert Finding.PROXY_SEEN not in examined(url)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("default-src 'none'", ["script", "style"]),
        (POLICY.replace("script-src 'self'", "script-src 'strict-dynamic' 'self'"), ["script"]),
        (f"{POLICY}, style-src 'none'", ["style"]),
        ("form-action https://elsewhere.example.com", ["form"]),
        (POLICY, []),
    ],
)
def test_a_policy_that_blocks_the_page(people, changed, policy, kept):
    """The detail has what is blocked."""
    changed(headers={"Content-Security-Policy": policy})
    with served() as url:
        found = examined(url)
    assert (Finding.CSP_FITS in found) is not bool(kept)
    detail = found.get(Finding.CSP_BLOCKS, "")
    assert [kind for kind in ("script", "style", "form") if f"{kind} http" in detail] == kept


def test_a_policy_with_nonces(people, settings):
    """The page's own nonces are those of the header."""
    apply(settings, "with django-csp", "after the block with django-csp, for nonces")
    with served() as url:
        assert Finding.CSP_FITS in examined(url)


@pytest.mark.parametrize(
    ("sources", "allowed"),
    [
        ("*", True),
        ("https:", True),
        ("http:", False),
        ("'none'", False),
        ("'self'", False),
        ("'sha256-abc='", False),
        ("cdn.example.com", True),
        ("CDN.example.com", True),
        ("*.example.com", True),
        ("*.other.example.com", False),
        ("example.com", False),
        ("http://cdn.example.com", True),
        ("wss://cdn.example.com", True),
        ("https://cdn.example.com:443", True),
        ("https://cdn.example.com:8443", False),
        ("https://cdn.example.com:*", True),
        ("https://cdn.example.com/static/", True),
        ("https://cdn.example.com/static/a.js", True),
        ("https://cdn.example.com/other/", False),
        ("https://cdn.example.com/", True),
        ("'nonce-n1'", True),
        ("'nonce-n2'", False),
        ("%%%", False),
    ],
)
def test_the_sources_of_a_policy(sources, allowed):
    """A script on a CDN, as the specification matches it."""
    page = Page("https://www.example.org/password-reset/")
    page.feed('<script src="https://cdn.example.com/static/a.js" nonce="n1"></script>')
    assert (blocked(page, [f"script-src {sources}"]) == []) is allowed
    assert (blocked(page, [f"default-src {sources}; script-src-elem *"])) == []


@pytest.mark.parametrize("url", ["http://[/a.js", "https://cdn.example.com:port/a.js"])
def test_an_invalid_address_in_the_page(url):
    """Browsers don't load it, so no policy blocks it."""
    page = Page("https://www.example.org/password-reset/")
    page.feed(f'<script src="{url}"></script>')
    assert blocked(page, ["script-src 'none'"]) == []


CORS = {Finding.CORS_WORKS, Finding.CORS_REFUSED, Finding.CORS_UNTRIED}


def with_cors(settings, **more):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "corsheaders"]
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    for name, value in more.items():
        setattr(settings, name, value)


@pytest.mark.parametrize(
    ("options", "finding"),
    [
        ({"CORS_ALLOWED_ORIGINS": ["https://app.example.com"]}, Finding.CORS_WORKS),
        ({"CORS_ALLOW_ALL_ORIGINS": True}, Finding.CORS_WORKS),
        (
            {"CORS_ALLOWED_ORIGIN_REGEXES": [r"^https://[a-z]+\.example\.com$"]},
            Finding.CORS_UNTRIED,
        ),
        ({}, None),
    ],
)
def test_a_preflight_request(people, settings, options, finding):
    """Only if the settings allow an origin."""
    pytest.importorskip("corsheaders")
    with_cors(settings, **options)
    with served() as url:
        found = examined(url)
    assert CORS & found.keys() == ({finding} - {None})


def test_a_preflight_request_that_a_proxy_refuses(people, settings, monkeypatch):
    """It answers OPTIONS itself, or closes the connection."""
    pytest.importorskip("corsheaders")
    with_cors(settings, CORS_ALLOWED_ORIGINS=["https://app.example.com"])
    settings.MIDDLEWARE = [f"{__name__}.Changed", *settings.MIDDLEWARE]
    monkeypatch.setattr(Changed, "preflight", HttpResponse(status=405))
    with served() as url:
        assert "status 405" in examined(url)[Finding.CORS_REFUSED]
        monkeypatch.setattr(Server, "drops", "OPTIONS")
        assert examined(url)[Finding.CORS_REFUSED].endswith(": RemoteDisconnected.")


@pytest.mark.parametrize(
    ("pattern", "tried"),
    [
        ("^/other/", None),
        (re.compile("^/API/", re.IGNORECASE), "/api/password-reset/"),
        ("^/cognito/*$", "/cognito"),
        ("^/(api/password-reset/|cognito/*$)", "/api/password-reset/"),
    ],
)
def test_only_an_endpoint_that_other_origins_can_use_is_tried(people, settings, pattern, tried):
    """A site may keep CORS_URLS_REGEX for other endpoints than the app's."""
    pytest.importorskip("corsheaders")
    more = {"CORS_URLS_REGEX": pattern, "CORS_ALLOW_HEADERS": (*ALLOW_HEADERS, "content-type")}
    with_cors(settings, CORS_ALLOWED_ORIGINS=["https://app.example.com"], **more)
    with served() as url:
        found = examined(url)
    assert CORS & found.keys() == ({Finding.CORS_WORKS} if tried else set())
    assert not tried or f"{tried}, origin" in found[Finding.CORS_WORKS]


def test_a_site_under_a_prefix(people, settings, monkeypatch):
    """CORS_URLS_REGEX is compared with the path without it."""
    pytest.importorskip("corsheaders")
    with_cors(settings, CORS_ALLOW_ALL_ORIGINS=True, CORS_URLS_REGEX="^/api/")
    get_environ = Handler.get_environ

    def get_split_environ(handler):
        environ = get_environ(handler)
        path = environ["PATH_INFO"].removeprefix("/prefix")
        return {**environ, "SCRIPT_NAME": "/prefix", "PATH_INFO": path}

    monkeypatch.setattr(Handler, "get_environ", get_split_environ)
    with served() as url, override_script_prefix("/prefix/"):
        assert "/prefix/api/" in examined(url)[Finding.CORS_WORKS]


@pytest.mark.urls("tests.doctor.pages_only")
def test_a_site_without_the_rest_endpoints(people, settings):
    """There is nothing to ask then."""
    pytest.importorskip("corsheaders")
    with_cors(settings, CORS_ALLOW_ALL_ORIGINS=True)
    with served() as url:
        assert not examined(url).keys() & CORS


@pytest.mark.urls("tests.doctor.pages_and_aws")
def test_a_site_for_aws_sdks(people, settings):
    """They send a header that django-cors-headers doesn't allow by default."""
    pytest.importorskip("corsheaders")
    with_cors(settings, CORS_ALLOW_ALL_ORIGINS=True)
    with served() as url:
        assert Finding.CORS_REFUSED in examined(url)
        settings.CORS_ALLOW_HEADERS = ALLOW_HEADERS
        assert Finding.CORS_WORKS in examined(url)
