"""
Identifiers: the usernames, email addresses, phone numbers and subs that people type.

The rate limits and the audit store them as keyed hashes only. If the extra "phone" is installed, phone
numbers are converted to E.164, the only form that Cognito knows.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from django.conf import settings
from django.utils.crypto import salted_hmac

from cognito_reset.cognito.users import attribute_like

__all__ = ["identifier_keys"]

try:
    import phonenumbers
except ImportError:  # conf then accepts no PHONE_REGION, so e164() isn't called
    pass

_E164: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_QUOTES: Final = "\"'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
_TEL: Final = re.compile("tel:", re.IGNORECASE)
# As people and programs write an extension: "ext. 12", "x12", "#12", and ";ext=12" (RFC 3966).
_EXTENSION: Final = re.compile(
    r"(?<!\s)\s*+[,;]?+\s*+(?:ext(?:ension|n)?[.:=]?|x|#)\s*+\d{1,7}#?$", re.IGNORECASE
)
# Punctuation between digits: the dashes, slashes, dots, brackets and tildes of many keyboards.
_PUNCTUATION: Final = (
    r"\s()\[\]./~\u2010-\u2015\u2212\u2043\u30fc\u00b7\u2022\u2219\u22c5\u30fb\u2215\u2053\u223c-"
)
_WRITTEN_NUMBER: Final = re.compile(
    rf"[{_PUNCTUATION}]*+\+?[{_PUNCTUATION}]*+\d[\d{_PUNCTUATION}]*"
)
# "+44 (0)171 234 5678", without blanks. Where numbers may begin with a zero of their own, such as in Italy,
# a zero in parentheses may be a part of the number or not.
_ZERO_IN_PARENTHESES: Final = re.compile(r"(\(?\+\)?(\d{1,3})\)?)\(0\)")
_KEEPS_ZERO: Final = re.compile(
    "39|47|22[5679]|24[127]|26[78]|378|50[17]|67[69]|687|800|853|88[18]|974|992"
)
# Country codes where a 0 is dialled in front of a number within the country, and no number begins with 0.
_TRUNK_ZERO: Final = (
    r"2[07]|3[1-3]|4[013469]|5[134578]|6[0134]|8[46]|9[02-58]|21[1238]|23[1-4]|24[39]|25[12456]"
    r"|26[0-5]|291|35[358]|37[0347]|38[0-35-79]|42[13]|508|59[013-6]|686|85[056]|88[06]|96[1-467]"
    r"|97[01267]|99[4-6]"
)
# The same, but there are toll-free numbers that begin with 00.
_TRUNK_ZERO_AND_00: Final = "62|66|8[12]|91|359|598"
# A country code, and a prefix that is dialled only within the country: 0, or 8 in Russia, Kazakhstan, Lithuania
# and Turkmenistan, 80 in Belarus, and 06 in Hungary. No complete number without the prefix has these lengths.
_TRUNK_PREFIX: Final = re.compile(
    rf"(\+(?:{_TRUNK_ZERO}|{_TRUNK_ZERO_AND_00}))0(?=[1-9])|(?=.{{13}}$)(\+(?:7|370|993))8"
    r"|(\+375)80(?=\d{9}$)|(\+36)06(?=\d{8,9}$)"
)
# No number begins like this. +1 is North America.
_NO_NUMBER: Final = re.compile(rf"\+(?:1[01]|360|(?:{_TRUNK_ZERO})0)")

# "Alice <alice@example.com>", "<mailto:alice@example.com>", "mailto:alice@example.com?subject=Hello",
# and an address in quotes or in front of a comma.
_COPIED_ADDRESS: Final = re.compile(
    r"(?:[^<>]*<(?:mailto:)?([^<>:\s]+@[^<>@\s]+)>|mailto:([^<>:\s?%]+@[^<>@\s?%]+)(?:\?.*+)?"
    rf"|[{_QUOTES}]([^<>:\s]+@[^<>@\s{_QUOTES}]+)[{_QUOTES}]|([^<>:\s]+@[^<>@\s,;]+))[\s,;]*",
    re.IGNORECASE,
)
# Before the @, a quoted text or an atom. After it, a domain, also in Unicode, or an IP address in brackets.
_LABEL: Final = r"[^\x00-,./:-@\[-^`{-\x7f]+"  # of ASCII, only letters, digits, "-" and "_"
_EMAIL_ADDRESS: Final = re.compile(
    rf"""(?:"[^"]*"|[^\s"()<>\[\]:;,\\@]+)@(?:\[[^\s\[\]]+\]|{_LABEL}(?:\.{_LABEL})*)"""
)


def keyed_hash(purpose: str, *parts: str, secret_key: str | bytes | None = None) -> str:
    """Return an HMAC-SHA256 of ``parts`` in hexadecimal, by SECRET_KEY unless another key is given."""
    message = "\0".join(parts).encode(errors="surrogatepass")
    salt = f"cognito_reset.{purpose}"
    return salted_hmac(salt, message, secret=secret_key, algorithm="sha256").hexdigest()


def identifier_key(pool: str, identifier: str, *, secret_key: str | bytes | None = None) -> str:
    """
    Return the keyed hash that stands for ``identifier`` in the limits and in the audit. All spellings
    that Cognito may treat as the same identifier have the same hash; the aliases of one account don't.
    """
    return keyed_hash("identifier", pool, folded(identifier), secret_key=secret_key)


def folded(identifier: str) -> str:
    """Return the same text for all spellings that Cognito, or anybody, may treat as the same identifier."""
    text = unicodedata.normalize("NFKC", identifier).casefold()
    return unicodedata.normalize("NFKC", text).strip()


def identifier_keys(pool: str, identifier: str) -> list[str]:
    """Return the hashes by SECRET_KEY and by each of SECRET_KEY_FALLBACKS, the current one first."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [identifier_key(pool, identifier, secret_key=key) for key in keys]


def phone_number(text: str, region: str | None) -> str:
    """
    Return the only phone number that ``text`` can mean, in E.164, or "". ``region`` is a PHONE_REGION, or
    ``None`` if only numbers with their country code are understood.

    An extension is dropped, because Cognito's phone numbers have none. "00" in front of a country code
    needs a region, because other countries dial "011", "0011" or a carrier's number instead.
    """
    text = unicodedata.normalize("NFKC", text)
    plain = "".join(str(unicodedata.decimal(c, c)) for c in text if unicodedata.category(c) != "Cf")
    plain = plain.strip(f" \t\r\n,;<>{_QUOTES}")
    plain = _EXTENSION.sub("", plain[4:] if _TEL.match(plain) else plain)
    if not _WRITTEN_NUMBER.fullmatch(plain):
        return ""
    plain = re.sub(r"[^\d+()]", "", plain)
    zero = _ZERO_IN_PARENTHESES.match(plain)
    if zero and _KEEPS_ZERO.fullmatch(zero[2]):
        return ""
    number = re.sub(r"[()]", "", _ZERO_IN_PARENTHESES.sub(r"\1", plain))
    number = _TRUNK_PREFIX.sub(r"\1\2\3\4", number)
    found = e164(number, region) if region else number
    if found and number.startswith("+"):
        found = number  # the library drops digits, also of numbers that may exist
    return found if is_e164(found) and not _NO_NUMBER.match(found) else ""


def is_e164(text: str) -> bool:
    return bool(_E164.fullmatch(text))


def copied_address(text: str) -> str:
    """Return the address in a text that was copied from somewhere, or else ``text`` itself."""
    match = _COPIED_ADDRESS.fullmatch(text)
    return next(filter(None, match.groups())) if match else text


def may_be_email_address(text: str) -> bool:
    """
    Check whether ``text`` may be an email address. Cognito's own check isn't documented, and addresses in
    use break the RFCs (dots at an end of the local part), so this refuses only what no mail server accepts.
    """
    is_complete = text.endswith("]") or unicodedata.category(text[-1:] or ".")[0] in "LMN"
    return is_complete and bool(_EMAIL_ADDRESS.fullmatch(text))


def is_sub(text: str) -> bool:
    """Check whether ``text`` has the form of a sub, which Cognito accepts instead of a username."""
    return attribute_like(text.lower()) == "sub"


def e164(text: str, region: str) -> str:
    """Return the phone number in E.164, or "" if it can't be one. ``region`` is a PHONE_REGION."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return ""
    # Check the length only: which numbers are in use changes faster than a library is upgraded.
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
