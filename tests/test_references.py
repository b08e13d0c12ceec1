"""The pages that are written from the code are up to date, and say what the code does."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import get_user_model
from django.dispatch import Signal
from django.urls import include, path

from cognito_reset import signals
from cognito_reset.cognito import errors
from cognito_reset.staff.actions import ACTIONS
from cognito_reset.staff.perform import perform_for_user, send_reset
from tests import checks_page, errors_page, signals_page
from tests.documentation import section, text
from tests.interfaces import REST
from tests.people import NEW_PASSWORD


@pytest.mark.parametrize("reference", [checks_page, errors_page, signals_page])
def test_the_page_is_up_to_date(reference):
    """If this fails, run ``make references``."""
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


def test_every_check_is_on_its_page():
    """Each id of the code has one site that has the mistake, and a heading to which others can link."""
    shown = [site.id for found in checks_page.sites().values() for site in found]
    assert sorted(shown) == sorted(checks_page.ids())
    assert sorted(re.findall(r"^### (\w+)$", text("checks.md"), re.M)) == sorted(shown)


def test_a_site_without_the_mistake_has_no_message():
    """So each message on the page comes from the mistake of its own site."""
    for part, found in checks_page.sites().items():
        for site in found:
            correct = checks_page.Site(
                site.id,
                {"SIGN_IN_URL": "/", "SIGN_OUT_EVERYWHERE": True},
                {"SIGN_IN_WITH": ["email"]},
                {"ROOT_URLCONF": (path("password-reset/", include("cognito_reset.urls")),)},
            )
            # sentry_sdk counts as installed on all of these sites, and every deployment gets I004.
            if site.id not in ("I002", "I004"):
                assert correct.messages(checks_page.CHECKS[part]) == [], site.id


def test_every_error_is_on_its_page():
    """Each code, text and name that Cognito has for an error."""
    page = text("errors.md")
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ResetError) and hasattr(kind, "code")
    ]
    assert len(kinds) > 20
    for kind in kinds:
        assert f"| `{kind.code}` |" in page
        assert str(kind.message) in page
    for _operation, name, pattern in errors_page.TABLE:
        assert errors_page.MEANINGS.get(name, f"`{name}`") in page
        assert pattern.replace("|", "\\|") in page


def documented(name: str) -> set[str]:
    """Return the arguments of a signal that its page names, besides those of all signals."""
    return set(re.findall(r"`([a-z_]+)`", section("signals.md", name)))


def test_the_arguments_of_the_signals_are_those_of_the_page(people, settings):
    """Each signal is sent, with the arguments of all signals and with those of its own, and no others."""
    settings.COGNITO_RESET = {
        **settings.COGNITO_RESET,
        "LIMITS": False,
        "SIGN_OUT_EVERYWHERE": True,
        "COGNITO_USERNAME": None,
    }
    names = {name: value for name, value in vars(signals).items() if isinstance(value, Signal)}
    received: dict[str, list[set[str]]] = {name: [] for name in names}

    def receiver_of(name: str):
        def receiver(sender, signal, **arguments):
            received[name].append(set(arguments))

        return receiver

    receivers = {name: receiver_of(name) for name in names}
    for name, signal in names.items():
        signal.connect(receivers[name])
    try:
        interface = REST()
        interface.request("alice")
        code = people.code("alice")
        wrong = "000000" if code != "000000" else "111111"
        interface.confirm("alice", wrong, NEW_PASSWORD)
        # Sign-out fails without credentials that allow it.
        people.emulator.fail_next("AdminUserGlobalSignOut", "AccessDeniedException")
        interface.confirm("alice", code, NEW_PASSWORD)
        user = get_user_model().objects.create(username="alice")
        send_reset(user)
        send_reset(get_user_model().objects.create(username="nobody"))
        perform_for_user(ACTIONS["sign-out"], user, actor=None, interface="python")
    finally:
        for name, signal in names.items():
            signal.disconnect(receivers[name])
    introduction = text("signals.md").partition("\n## ")[0]
    listed = re.search(r"All signals but `(\w+)` have these arguments", introduction)
    assert listed is not None
    common = set(re.findall(r"^- `([a-z_]+)`: ", introduction, re.M))
    assert {"request", "pool", "interface", "username", "outcome", "error_code"} < common
    for name, all_arguments in received.items():
        assert all_arguments, f"{name} was not sent"
        own = documented(name) | (set() if name == listed[1] else common)
        for arguments in all_arguments:
            assert name == listed[1] or arguments >= common
            assert arguments <= own
