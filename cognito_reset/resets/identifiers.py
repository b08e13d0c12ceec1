"""Phone numbers as people type them, where the extra "phone" is installed."""

from __future__ import annotations

try:
    import phonenumbers

    REGIONS: tuple[str, ...] = tuple(phonenumbers.SUPPORTED_REGIONS)
except ImportError:
    REGIONS = ()


def e164(text: str, region: str) -> str:
    """Give the number in E.164, or "" for what can be none. ``region`` is one of REGIONS."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return ""
    # By its length only: which numbers are in use changes faster than a library is upgraded.
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
