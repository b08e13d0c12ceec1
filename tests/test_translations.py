"""U18: every text in every shipped language, with nothing lost on the way."""

from __future__ import annotations

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from django.utils import translation
from django.utils.translation import trans_real

import cognito_reset
from tests.test_templates import STATES, show  # noqa: F401  # the fixture

PACKAGE = Path(cognito_reset.__file__).parent
LOCALE = PACKAGE / "locale"
LANGUAGES = ["ar", "de", "es", "fr", "he", "hi", "it", "ja", "nl", "pl", "pt-br", "zh-hans"]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|\{\w+\}|</?[a-z]+[^>]*>")
# Letters of these languages' own scripts, some of which each text must contain.
LETTERS = {
    "ar": "[\u0621-\u064a]",
    "he": "[\u05d0-\u05ea]",
    "hi": "[\u0905-\u0939]",
    "ja": "[\u3041-\u30ff\u4e00-\u9fff]",
    "zh-hans": "[\u4e00-\u9fff]",
}
# The plural forms for a single number, which may use a word for it, like the first one in English.
ALONE = {"ar": [1, 2], "he": [0, 1], "fr": [], "pt-br": [], "hi": [0], "ja": [], "zh-hans": []}
COUNTS = ("%(count)d", "%(count)s", "%(days)s", "%(minutes)d", "%(minutes)s")
STOP = re.compile("[.?。।？؟:：]$")


def path(language, kind="po"):
    return LOCALE / translation.to_locale(language) / "LC_MESSAGES" / f"django.{kind}"


def catalogue(language):
    return polib.pofile(str(path(language)))


def placeholders(text):
    return sorted(PLACEHOLDER.findall(text))


def plural(language):
    return gettext.c2py(re.search(r"plural=(.*);", catalogue(language).metadata["Plural-Forms"])[1])


def test_the_languages_are_those_that_are_shipped():
    """A new folder gets tested, and none of the twelve is lost."""
    folders = {translation.to_language(path.name) for path in LOCALE.iterdir() if path.is_dir()}
    assert sorted(folders) == LANGUAGES


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", LANGUAGES)
def test_u18_nothing_is_untranslated_or_in_doubt(language):
    """No empty text, no fuzzy one, none that is left over."""
    entries = catalogue(language)
    assert [entry.msgid for entry in entries.untranslated_entries()] == []
    assert [entry.msgid for entry in entries if entry.fuzzy] == []
    assert list(entries.obsolete_entries()) == []
    assert len(entries) > 150


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", LANGUAGES)
def test_u18_placeholders_and_tags_are_kept(language):
    """Each once, as in the English; forms for one number alone may say it by a word."""
    for entry in catalogue(language):
        texts = entry.msgstr_plural or {0: entry.msgstr}
        for form, text in texts.items():
            expected = placeholders(entry.msgid_plural or entry.msgid)
            if entry.msgid_plural and form in ALONE.get(language, [0]):
                expected = [
                    name for name in expected if name in placeholders(text) or name not in COUNTS
                ]
            assert placeholders(text) == expected, (entry.msgid, text)
            assert STOP.search(text) or not entry.msgid.endswith("."), (entry.msgid, text)


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", LANGUAGES)
def test_u18_plurals_have_every_form(language):
    """As many as the language has, and as Django counts them."""
    entries = catalogue(language)
    (count,) = re.findall(r"nplurals=(\d+)", entries.metadata["Plural-Forms"])
    for entry in entries:
        if entry.msgid_plural:
            assert sorted(entry.msgstr_plural) == list(range(int(count)))
            assert all(entry.msgstr_plural.values())


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", LANGUAGES)
def test_u18_a_number_is_said_with_its_own_form(language):
    """What Django picks for a number is the form that the catalogue has for it."""
    index = plural(language)
    (entry,) = [entry for entry in catalogue(language) if entry.msgid == "%(count)d minute"]
    with translation.override(language):
        for number in [*range(30), 100, 101, 111]:
            said = translation.ngettext(entry.msgid, entry.msgid_plural, number)
            assert said == entry.msgstr_plural[index(number)], number


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", ["ar", "he"])
def test_u18_an_example_of_code_keeps_its_direction(language):
    """Its last quotation mark would be displayed before it."""
    (text,) = [entry.msgstr for entry in catalogue(language) if "email ^=" in entry.msgid]
    isolate, end = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
    assert f'{isolate}email ^= "anna"{end}' in text


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", sorted(LETTERS))
def test_u18_no_english_is_left(language):
    """Each text has letters of the language's own script."""
    for entry in catalogue(language):
        for text in entry.msgstr_plural.values() or [entry.msgstr]:
            if entry.msgid not in ("REST", "AWS SDK"):
                assert re.search(LETTERS[language], text), entry.msgid


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", LANGUAGES)
def test_u18_what_is_compiled_is_what_is_written(language):
    """The .mo file, which the wheel has and Django reads, is the .po file's."""
    compiled = polib.mofile(str(path(language, "mo")))
    written = catalogue(language)
    assert {
        (entry.msgctxt, entry.msgid): entry.msgstr_plural or entry.msgstr for entry in compiled
    } == {(entry.msgctxt, entry.msgid): entry.msgstr_plural or entry.msgstr for entry in written}


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", LANGUAGES)
def test_u18_django_says_our_texts(language):
    """Where Django has the same words, in whatever catalogue, ours aren't lost or half lost."""
    trans_real._translations = {}
    with translation.override(language):
        for entry in catalogue(language):
            if not entry.msgid_plural and not entry.msgctxt and entry.msgid not in ("time", "user"):
                assert (
                    translation.gettext(entry.msgid) != entry.msgid or entry.msgid == entry.msgstr
                )


@pytest.mark.requirement("U18")
@pytest.mark.skipif(not shutil.which("xgettext"), reason="gettext isn't installed")
def test_u18_every_text_of_the_app_is_in_the_catalogues(tmp_path):
    """`make messages` finds nothing new and nothing that went."""
    copy = tmp_path / "cognito_reset"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("locale", "testing"))
    (copy / "locale").mkdir()
    command = [sys.executable, "-m", "django", "makemessages", "--locale=nl"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DJANGO")}
    subprocess.run(command, cwd=copy, check=True, capture_output=True, env=environment)
    found = polib.pofile(str(copy / "locale" / "nl" / "LC_MESSAGES" / "django.po"))
    expected = {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in found}
    for language in LANGUAGES:
        assert {
            (entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in catalogue(language)
        } == expected


def texts(element):
    for part in element.parts:
        if isinstance(part, str):
            yield " ".join(part.split())
        else:
            yield from texts(part)


@pytest.mark.requirement("U18")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_u18_no_page_has_a_word_of_english(show, state, language):  # noqa: F811
    """Whatever happens, and Cognito's own English never."""
    english = {text for text in texts(show(state).root) if len(text) > 12}
    assert english
    with translation.override(language):
        shown = set(texts(show(state).root))
    assert english & shown == set()


@pytest.mark.requirement("U10")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("word", ["Show", "Hide"])
def test_u10_the_buttons_name_has_the_words_that_it_shows(language, word):
    """So that who speaks to a computer can press it by what one sees (WCAG 2.5.3)."""
    with translation.override(language):
        shown = translation.pgettext("password", word)
        assert shown.lower() in translation.gettext(f"{word} password").lower()
