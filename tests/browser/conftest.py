from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from contextlib import contextmanager

import pytest
from django.conf import settings as django_settings
from django.test.utils import override_settings
from pytest_django.live_server_helper import LiveServer

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def live_server(django_db_setup):
    """The site in a thread, with a strict policy and in the visitor's language."""
    middleware = [
        "tests.browser.middleware.content_security_policy",
        *django_settings.MIDDLEWARE,
        "django.middleware.locale.LocaleMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware):  # read once, at the start
        server = LiveServer("localhost")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium of the machine's own: nothing is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright isn't installed")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    # Playwright runs an event loop in this thread, and Django refuses the database there.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def axe(pytestconfig, tmp_path_factory):
    """The source of axe-core, from the npm registry, kept in pytest's cache."""
    temporary = tmp_path_factory.mktemp("axe-core")
    kept = temporary
    if pytestconfig.pluginmanager.hasplugin("cacheprovider"):
        kept = pytestconfig.cache.mkdir("axe-core")
    source = kept / "axe.min.js"
    if not source.exists():
        if not shutil.which("npm"):
            pytest.skip("npm, which fetches axe-core, isn't installed")
        packed = subprocess.run(
            ["npm", "pack", "axe-core@4", "--silent"], cwd=temporary, capture_output=True, text=True
        )
        if packed.returncode:
            pytest.skip(f"npm couldn't fetch axe-core: {packed.stderr.strip()[-200:]}")
        with tarfile.open(temporary / packed.stdout.split()[-1]) as archive:
            archive.extract("package/axe.min.js", temporary, filter="data")
        # Another worker of pytest-xdist may fetch it too, so each copies its own file under a name that nobody
        # else uses. The file in the cache then appears as a whole, and is never read while it is written.
        own = shutil.copy(temporary / "package" / "axe.min.js", kept / f"axe.{os.getpid()}.js")
        os.replace(own, source)
    return source.read_text()


@contextmanager
def windows(chromium, base_url, is_complaint):
    """Open windows, each of a visitor of its own, and hear what their consoles complain of."""
    contexts, complaints = [], []

    def listen(message):
        if is_complaint(message):
            complaints.append(message.text)

    def open_window(**options):
        context = chromium.new_context(base_url=base_url, **options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        window = context.new_page()
        window.on("console", listen)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        return window

    yield open_window, complaints
    for context in contexts:
        context.close()


@pytest.fixture
def open_page(chromium, live_server):
    """Open windows. None of them may see a refusal or an exception."""
    with windows(
        chromium, live_server.url, lambda message: "Content Security Policy" in message.text
    ) as (open_page, complaints):
        yield open_page
    assert complaints == []
