"""
An AWS Lambda function, for the pool's custom message trigger: the mail with the code has a link to
the page where it is entered, in the person's language. Copy this one file; it needs nothing else.

Its environment:

- ``RESET_URL``: the page's address, ``https://www.example.com/password-reset/confirm/``. It is taken
  from nowhere else, so that nobody can have a link to a place of their own sent. Without it the
  message has the code alone.
- ``SIGN_IN_ATTRIBUTE``: what people sign in with where that isn't the pool's own username, ``email``
  for example. It is what the link calls them.

The language is ClientMetadata's ``language``, else the user's ``locale``, else English.
"""

from __future__ import annotations

import html
import logging
import os
from typing import Any
from urllib.parse import quote, urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Cognito takes no longer text message.
SMS_LIMIT = 140


def gettext_noop(text: str) -> str:
    """Mark a text for makemessages; there is no Django here to translate it."""
    return text


ENGLISH = {
    "dir": "ltr",
    "subject": gettext_noop("Reset your password"),
    "lead": gettext_noop("This is your password reset code. It works for an hour."),
    "link": gettext_noop("Choose a new password"),
    "note": gettext_noop("Do not share the code. If you do not need it, ignore this message."),
    # Translators: a text message, of 90 characters at the most.
    "sms": gettext_noop("Your password reset code is {code}. Do not share it."),
}
# Written by `make lambda`, from the catalogues of translations.
TRANSLATIONS: dict[str, dict[str, str]] = {}
# End of what `make lambda` writes.
TEXTS = {"en": ENGLISH, **TRANSLATIONS}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer the trigger. Staff's resets have the same source; all others are left as they are."""
    if event["triggerSource"] == "CustomMessage_ForgotPassword":
        request = event["request"]
        attributes = request.get("userAttributes") or {}
        metadata = request.get("clientMetadata") or {}
        language = language_of(metadata.get("language"), attributes.get("locale"))
        code = request["codeParameter"]
        url = reset_url()
        event["response"] |= {
            "emailSubject": TEXTS[language]["subject"],
            "emailMessage": mail(language, code, link(url, username(event), code)),
            "smsMessage": sms(language, code, urlsplit(url).hostname),
        }
    return event


def language_of(*tags: str | None) -> str:
    """Give the first language that there are texts in; as Django does, any Chinese for zh-cn."""
    for tag in tags:
        wanted = (tag or "").lower().replace("_", "-")
        generic = wanted.split("-")[0]
        variants = (known for known in TEXTS if known.startswith(f"{generic}-"))
        for known in (wanted, generic, *variants):
            if known in TEXTS:
                return known
    return "en"


def username(event: dict[str, Any]) -> str:
    """Give what the person is called at the sign-in: an alias counts once it is verified."""
    attributes = event["request"].get("userAttributes") or {}
    alias = os.environ.get("SIGN_IN_ATTRIBUTE", "")
    if alias in ("email", "phone_number") and attributes.get(f"{alias}_verified") != "true":
        alias = ""
    name: str = attributes.get(alias) or event["userName"]
    return name


def reset_url() -> str:
    """Give the page's address, or "" where there is none that may be linked to."""
    url = os.environ.get("RESET_URL", "")
    try:
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        if safe and parts.hostname and "#" not in url:
            return url
    except ValueError:
        pass
    if url:
        logging.getLogger(__name__).error("RESET_URL is no https address: there is no link.")
    return ""


def link(url: str, name: str, code: str) -> str:
    """Give the address with all in its fragment, which browsers keep to themselves."""
    return url and f"{url}#username={quote(name, safe='')}&code={code}"


def mail(language: str, code: str, address: str) -> str:
    """Give the mail. The code is there to be read, too, and first: the link needs JavaScript."""
    texts = {key: html.escape(text) for key, text in TEXTS[language].items()}
    marked = f'lang="{language}" dir="{texts["dir"]}"'  # on both, for mail programs drop the first
    anchor = f'<p><a href="{html.escape(address)}">{texts["link"]}</a></p>' if address else ""
    return (
        f'<!doctype html><html {marked}><head><meta charset="utf-8">'
        f"<title>{texts['subject']}</title></head><body><div {marked}>"
        f'<p>{texts["lead"]}</p><p><strong><bdi dir="ltr">{html.escape(code)}</bdi></strong></p>'
        f"{anchor}<p>{texts['note']}</p></div></body></html>"
    )


def sms(language: str, code: str, host: str | None) -> str:
    """Give the text message, bound to the site's domain, so that phones offer it nowhere else."""
    text = TEXTS[language]["sms"].replace("{code}", code)
    # In one line: whether Cognito takes a line break isn't documented.
    bound = f"@{host} #{code} {text}"
    return bound if host and len(bound) <= SMS_LIMIT else text
