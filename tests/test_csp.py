"""The pages under the policies of docs/csp.md, with Django's own middleware and with django-csp."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings as site
from django.test import Client

from tests.browser.middleware import POLICY

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "csp.md").read_text()
OWN, THIRD = "Django's own middleware", "django-csp"


def apply(settings: Any, *comments: str) -> None:
    """Run the guide's blocks after the test's settings, and take over what they set."""
    names = ("MIDDLEWARE", "TEMPLATES")
    values: dict[str, Any] = {name: copy.deepcopy(getattr(site, name)) for name in names}
    for comment in comments:
        found = re.search(rf"```python\n# settings.py, {re.escape(comment)}\n(.*?)```", GUIDE, re.S)
        assert found is not None
        exec(found[1], values)
    for name in (*names, "SECURE_CSP", "CONTENT_SECURITY_POLICY"):
        if name in values:
            setattr(settings, name, values[name])


@pytest.fixture(params=[OWN, THIRD])
def middleware(request: pytest.FixtureRequest) -> str:
    if request.param == OWN and django.VERSION < (6,):
        pytest.skip("Django has a middleware of its own since 6.0")
    if request.param == THIRD:
        pytest.importorskip("csp", reason="django-csp isn't installed")
    return str(request.param)


def directives(policy: str) -> dict[str, str]:
    return dict(directive.strip().split(" ", 1) for directive in policy.split(";"))


@pytest.mark.requirement("D9")
def test_d9_the_documented_policy_is_the_one_that_the_browser_was_given():
    """tests/browser goes through a whole reset under it."""
    assert f"```text\n{POLICY}\n```" in GUIDE


@pytest.mark.requirement("D9")
@pytest.mark.parametrize("page", ["", "confirm/"])
def test_d9_the_strict_policy_needs_no_nonce(people, settings, middleware, page):
    """Each script and stylesheet is a file of the site, and the header is the documented policy."""
    apply(settings, f"with {middleware}")
    response = Client().get(f"/password-reset/{page}")
    assert directives(response.headers["Content-Security-Policy"]) == directives(POLICY)
    source = response.content.decode()
    assert re.findall(r"<script([^>]*)>", source) != []
    assert all(' src="/static/' in found for found in re.findall(r"<script([^>]*)>", source))
    assert all(
        '"/static/' in found for found in re.findall(r"<link([^>]*stylesheet[^>]*)>", source)
    )
    assert not re.search(r"<style| style=| on\w+=", source)


@pytest.mark.requirement("D9")
@pytest.mark.parametrize("page", ["", "confirm/"])
def test_d9_a_policy_of_nonces_gets_the_requests_nonce(people, settings, middleware, page):
    """The script and the stylesheet have the nonce of the header, which is new in each response."""
    apply(settings, f"with {middleware}", f"after the block with {middleware}, for nonces")
    seen = set()
    for _ in range(2):
        response = Client().get(f"/password-reset/{page}")
        policy = directives(response.headers["Content-Security-Policy"])
        assert "'strict-dynamic'" in policy["script-src"]
        (nonce,) = re.findall(r"'nonce-([^']+)'", policy["script-src"])
        assert policy["style-src"] == f"'nonce-{nonce}'"
        tags = re.findall(r"<(?:script|link)[^>]*>", response.content.decode())
        assert len(tags) == 2
        assert all(f' nonce="{nonce}"' in tag for tag in tags)
        seen.add(nonce)
    assert len(seen) == 2
