"""U18: no page for staff has a word of English in another language, the admin's history included."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import django
import polib
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from django.utils.text import capfirst

from cognito_reset.models import BulkRun, ResetEvent
from cognito_reset.staff import bulk
from tests.bulk_world import finished, start_list
from tests.people import People
from tests.test_translations import LANGUAGES, catalogue

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.translated_admin_site"),
]

APP = "/admin/cognito_reset/"
USERS = "/admin/auth/user/"
READ = {"title", "aria-label", "placeholder", "alt", "label"}
# Names, addresses, codes, dates and words that are the same in many languages.
DATA = re.compile(
    r"""[^A-Za-z]*$|› |[a-z_-]+[0-9]*$|.*@|\+\*|[A-Z_]+$|[\w-]+_Example\w*|[0-9a-f-]{8,}|AWS SDK|Amazon Cognito$"""
    r"""|https?:|[a-z]+ =|.{1,3}$|(Python|True|False|Password:)$"""
)
# The texts of Django itself, which aren't translated in each language, and permissions, which Django names in English.
DJANGO = re.compile(
    "|".join(
        re.sub(r"%\\\((\w+)\\\)[sd]", ".+", re.escape(text)) + "$"
        for name in ("admin", "auth")
        for entry in polib.pofile(
            str(Path(django.__file__).parent / f"contrib/{name}/locale/en/LC_MESSAGES/django.po")
        )
        for text in (entry.msgid, entry.msgid_plural)
        if text
    )
    + r"|[\w ]+ \| [\w ]+ \| Can "
)


def same(language: str) -> set[str]:
    """Return the texts whose translation is the same words, also as the label of a field."""
    found = {entry.msgid for entry in catalogue(language) if entry.msgid == entry.msgstr}
    found |= set(map(capfirst, found))
    return found | {f"{text}:" for text in found}


class Texts(HTMLParser):
    """What a person reads or hears of a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: set[str] = set()
        self.links: list[str] = []
        self._hidden = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("script", "style", "code", "pre"):
            self._hidden += 1
        self.texts |= {value for name, value in attrs if name in READ and value}
        if tag == "input" and found.get("type") in ("submit", "button"):
            self.texts.add(found.get("value") or "")
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "code", "pre"):
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden and (text := " ".join(data.split())):
            self.texts.add(text)


def english(texts: set[str]) -> set[str]:
    return {text for text in texts if not DATA.match(text)}


@pytest.fixture
def root(people: People) -> Client:
    """A superuser, and users, events, an audit and runs in every state."""
    user = User.objects.create_superuser("root", "root@example.com")
    client = Client()
    client.force_login(user)
    for name in ("alice", "carol", "dave", "erin", "frank", "grace", "nobody"):
        target = User.objects.create_user(name, f"{name}@example.com")
        client.post(f"{USERS}cognito-reset/", {"_selected_action": [target.pk]})
        account(client, name)
    for outcome in ResetEvent.Outcome.values:
        for interface in ResetEvent.Interface.values:
            ResetEvent.objects.create(
                outcome=outcome, interface=interface, pool="default", identifier_hash="a" * 64
            )
    for action in ResetEvent.Action.values:
        for outcome in ("triggered", "refused", "failed", "unknown"):
            ResetEvent.objects.create(
                outcome=outcome,
                interface="admin",
                pool="default",
                action=action,
                identifier_hash="b" * 64,
                actor=user,
                error_code="attempt_limit" if outcome == "refused" else "",
            )
    finished(start_list("alice", "carol", "nobody", rate=20, force=True))
    paused = start_list("bob", rate=5, actor=user)
    run = f"{APP}bulkrun/{paused.pk}/control/"
    for change in ("pause", "resume", "pause", "stop"):
        client.post(f"{run}{change}/")
    bulk.pause(start_list("heidi", rate=5).pk)
    return client


def account(client: Client, name: str) -> None:
    """Do everything for a person that can be done, and some of which is refused."""
    found = client.post(f"{APP}account/", {"pool": "default", "username": name})
    if found.status_code == 302:
        for action in ResetEvent.Action.values:
            client.post(f"{found['Location']}{action}/")


def seeds(client: Client) -> list[str]:
    """Return the first addresses: the app's own page, each history, and each person's account."""
    found = [APP, *(f"{USERS}{user.pk}/history/" for user in User.objects.all())]
    found += [
        f"{APP}bulkrun/{run.pk}/{page}/"
        for run in BulkRun.objects.all()
        for page in ("history", "change")
    ]
    for user in User.objects.all():
        answer = client.post(f"{APP}account/", {"pool": "default", "username": user.username})
        found += [answer["Location"]] if answer.status_code == 302 else []
    return found


def crawl(client: Client) -> dict[str, set[str]]:
    """Return the texts of each of the app's pages by address, of pages of the same kind of one."""
    found: dict[str, set[str]] = {}
    kinds: set[str] = set()
    waiting = seeds(client)
    while waiting:
        url = waiting.pop(0)
        if (kind := kind_of(url)) in kinds:
            continue
        kinds.add(kind)
        response = client.get(url)
        if response.status_code == 200 and response.headers["Content-Type"].startswith("text/html"):
            page = Texts(response.content.decode())
            found[url] = english(page.texts)
            waiting += [urljoin(url, link).partition("#")[0] for link in page.links]
        waiting = [url for url in waiting if OURS.match(urlsplit(url).path)]
    return found


OURS = re.compile(rf"{APP}|{USERS}(\d+/(history|change)/|cognito[\w-]*/)?$")


def kind_of(url: str) -> str:
    """Return the path of a page, without ids. But each person's history and account are visited."""
    path = urlsplit(url).path
    if path.endswith("/history/") or re.fullmatch(rf"{APP}(account|bulkrun)/[^/]+/[^/]+/", path):
        return path
    return re.sub(r"\d+|[0-9a-f]{8}-[0-9a-f-]+", "N", path)


PAGES = 30


@pytest.mark.requirement("U18")
@pytest.mark.parametrize(
    "language",
    [
        language if language in ("ar", "de") else pytest.param(language, marks=pytest.mark.slow)
        for language in LANGUAGES
    ],
)
def test_u18_no_page_for_staff_has_a_word_of_english(root: Client, language: str) -> None:
    """All pages that links lead to, with what was done for people in every state, and what was refused."""
    expected = crawl(root)
    assert len(expected) > PAGES
    histories = [texts for url, texts in expected.items() if "/history/" in url]
    assert any("Sent a password reset" in texts for texts in histories)
    assert any("Stopped the reset of many people" in texts for texts in histories)
    with translation.override(language):
        shown = crawl(root)
    assert shown.keys() == expected.keys()
    left = {
        (text, url)
        for url, texts in shown.items()
        for text in (texts & expected[url]) - same(language)
        if not DJANGO.match(text)
    }
    assert left == set()
