"""
Identifiers: the usernames, email addresses, phone numbers and subs that people type.

The rate limits and the audit store them as keyed hashes only. If the extra "phone" is installed, phone
numbers are converted to E.164, the only form that Cognito knows.
"""

from __future__ import annotations

import unicodedata

from django.conf import settings
from django.utils.crypto import salted_hmac

try:
    import phonenumbers
except ImportError:  # conf then accepts no PHONE_REGION, so e164() isn't called
    pass


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
    folded = unicodedata.normalize("NFKC", identifier).casefold()
    text = unicodedata.normalize("NFKC", folded).strip()
    return keyed_hash("identifier", pool, text, secret_key=secret_key)


def identifier_keys(pool: str, identifier: str) -> list[str]:
    """Return the hashes by SECRET_KEY and by each of SECRET_KEY_FALLBACKS, the current one first."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [identifier_key(pool, identifier, secret_key=key) for key in keys]


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
