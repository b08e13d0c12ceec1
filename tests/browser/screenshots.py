"""Take the pictures of every page and state that the docs show: ``make screenshots``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.test_pages import (  # noqa: F401  # site is a fixture
    STATES,
    refused_by_the_site,
    site,
)

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "arabic": {"color_scheme": "light", "locale": "ar"},
}


@pytest.mark.parametrize(
    "state",
    [state for state in STATES if state is not refused_by_the_site],  # a made-up site's own
    ids=lambda state: state.__name__,
)
@pytest.mark.parametrize("look", LOOKS)
def test_a_picture_is_taken(site, open_page, state, look):  # noqa: F811
    """As on a phone, for that is where most people reset a password."""
    page = open_page(viewport={"width": 390, "height": 600}, **LOOKS[look])
    page.clock.install()
    state(page, site)
    name = state.__name__.replace("_", "-")
    page.screenshot(path=FOLDER / f"{name}-{look}.png", full_page=True, animations="disabled")
