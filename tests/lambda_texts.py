"""
``make lambda``: write the translations of the Lambda function's texts into it, from the compiled
catalogues. A language with an untranslated text is left out, so that no message mixes languages.
"""

from __future__ import annotations

import gettext
import json
import unicodedata
from pathlib import Path

from django.conf.locale import LANG_INFO
from django.utils.translation import to_language

from cognito_reset.aws_lambda import custom_message

FILE = Path(custom_message.__file__)
LOCALE = FILE.parent.parent / "locale"
START = "TRANSLATIONS: dict[str, dict[str, str]] = "
END = "\n# End of what `make lambda` writes.\n"


class NotTranslated(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return ""


def translations(locale: Path) -> dict[str, dict[str, str]]:
    """Return the texts of each completely translated language, by Django's name for it."""
    found = {}
    for path in sorted(locale.glob("*/LC_MESSAGES/django.mo")):
        language = to_language(path.parent.parent.name)
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)
        catalogue.add_fallback(NotTranslated())
        texts = {
            key: fit_for_cognito(catalogue.gettext(text))
            for key, text in custom_message.ENGLISH.items()
            if key != "dir"
        }
        if language != "en" and all(texts.values()):
            direction = "rtl" if LANG_INFO[language]["bidi"] else "ltr"
            found[language] = {"dir": direction, **texts}
    return found


def fit_for_cognito(text: str) -> str:
    """Replace special spaces and remove invisible characters, which Cognito refuses in mails."""
    spaced = "".join(" " if unicodedata.category(c)[0] == "Z" else c for c in text)
    return "".join(c for c in spaced if unicodedata.category(c)[0] != "C")


def written(source: str, table: dict[str, dict[str, str]]) -> str:
    """Return the source with this table, as ruff formats it."""
    head, rest = source.split(START)
    tail = rest.split(END)[1]
    lines = ["{}"]
    if table:
        lines = ["{"]
        for language, texts in table.items():
            pairs = [f"        {quoted(key)}: {quoted(text)}," for key, text in texts.items()]
            lines += [f"    {quoted(language)}: {{", *pairs, "    },"]
        lines += ["}"]
    return f"{head}{START}{chr(10).join(lines)}{END}{tail}"


def quoted(text: str) -> str:
    """Return a Python literal with the quotes that ruff prefers: those that need no escape."""
    if '"' in text and "'" not in text:
        return "'" + text.replace("\\", "\\\\") + "'"
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text(), translations(LOCALE)))
