"""The layouts of docs/theming.md, with static files whose names have a hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.test import Client

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "theming.md").read_text()
LAYOUTS = re.findall(r"```html\n\{# templates/cognito_reset/base.html #\}\n(.*?)```", GUIDE, re.S)
SHEETS = dict(re.findall(r"```css\n/\* static/([\w-]+\.css) \*/\n(.*?)```", GUIDE, re.S))
SITE = (
    "<title>{% block title %}{% endblock %}{% block page_title %}{% endblock %}</title>"
    "{% block extra_head %}{% endblock %}{% block head %}{% endblock %}"
    "<main>{% block content %}{% endblock %}{% block main %}{% endblock %}</main>"
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["plain", "other-blocks", "bootstrap", "tailwind"])
def test_the_layouts_work_with_hashed_names(people, settings, tmp_path, layout):
    """Each stylesheet and script of the page is a file that collectstatic made, by its hashed name."""
    templates, static = tmp_path / "templates", tmp_path / "static"
    (templates / "cognito_reset").mkdir(parents=True)
    static.mkdir()
    (templates / "cognito_reset" / "base.html").write_text(layout)
    # A site with other names for its blocks doesn't have the app's names, too.
    names = "title|extra_head|content" if "page_title" in layout else "-"
    site = re.sub(rf"{{% block ({names}) %}}{{% endblock %}}", "", SITE)
    (templates / "base.html").write_text(site)
    for name, text in SHEETS.items():
        (static / name).write_text(text)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [templates]}]
    settings.STATICFILES_DIRS = [static]
    settings.STATIC_ROOT = tmp_path / "collected"
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["admin"])
    source = Client().get("/password-reset/").content.decode()
    files = re.findall(r'(?:href|src)="/static/([^"]+)"', source)
    used = [name for name in SHEETS if name in layout]
    assert len(files) == 2 + len(used)
    for file in files:
        assert re.search(r"\.[0-9a-f]{12}\.(css|js)$", file), file
        assert staticfiles_storage.exists(file)
