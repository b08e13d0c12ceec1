"""
How Sphinx makes the documentation site from the Markdown files in this folder: ``make docs``.

The pages must also be readable in the repository, so they link to each other, and to files outside of this folder,
by relative paths.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "https://github.com/django-cognito-reset/django-cognito-reset"

project = "django-cognito-reset"
author = "django-cognito-reset contributors"
project_copyright = author
release = re.findall(r'__version__ = "(.*)"', (ROOT / "cognito_reset" / "__init__.py").read_text())[
    0
]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["screenshots"]
myst_heading_anchors = 4  # the anchors of headings are those of GitHub
suppress_warnings = [
    "misc.highlighting_failure",  # an example in JSON may leave values out by "…"
]

html_theme = "furo"
html_title = project
html_theme_options = {
    "source_repository": SOURCE,
    "source_branch": "main",
    "source_directory": "docs/",
}
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]


def link_to_repository(app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to files outside of this folder lead to the repository: Sphinx has no page for them."""
    source[0] = re.sub(r"\]\(\.\./", f"]({SOURCE}/blob/main/", source[0])


def highlight_templates(app: Sphinx, name: str, source: list[str]) -> None:
    """Highlight HTML as templates of Django: as plain HTML, their tags would be marked as errors."""
    source[0] = source[0].replace("```html\n", "```html+django\n")


def copy_pictures(app: Sphinx, error: Exception | None) -> None:
    """Copy the pictures beside the pages, which show them by HTML: Sphinx copies those of Markdown only."""
    if error is None and app.builder.name == "html":
        shutil.copytree(
            ROOT / "docs/screenshots", Path(app.outdir, "screenshots"), dirs_exist_ok=True
        )


def setup(app: Sphinx) -> None:
    app.connect("source-read", link_to_repository)
    app.connect("source-read", highlight_templates)
    app.connect("build-finished", copy_pictures)
