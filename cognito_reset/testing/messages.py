"""The messages that the emulated service sends, their texts, and masked destinations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

PLACEHOLDER: Final = "{####}"
USERNAME_PLACEHOLDER: Final = "{username}"
MEDIUMS: Final = {"email": "EMAIL", "phone_number": "SMS"}

_TEXTS: Final = {
    "forgot_password": ("Your verification code", f"Your password reset code is {PLACEHOLDER}"),
    "admin_reset_password": (
        "Your verification code",
        f"Your password has been reset. Your password reset code is {PLACEHOLDER}",
    ),
    "sign_up": ("Your verification code", f"Your confirmation code is {PLACEHOLDER}"),
    "resend_code": ("Your verification code", f"Your confirmation code is {PLACEHOLDER}"),
    "authentication": (
        "Your authentication code",
        f"Your authentication code is {PLACEHOLDER}",
    ),
    "invitation": (
        "Your temporary password",
        f"Your username is {USERNAME_PLACEHOLDER} and temporary password is {PLACEHOLDER}.",
    ),
}


@dataclass(frozen=True)
class Message:
    """
    A mail or an SMS as the person receives it.

    ``kind`` is forgot_password, admin_reset_password, sign_up, resend_code, authentication (the second
    factor of a sign-in) or invitation. In an invitation, ``code`` is the temporary password.
    ``destination`` isn't masked.
    """

    username: str
    kind: str
    medium: str
    destination: str
    code: str = field(repr=False)
    sent_at: datetime
    subject: str
    body: str = field(repr=False)

    def as_json(self) -> dict[str, str]:
        return {
            "username": self.username,
            "kind": self.kind,
            "medium": self.medium,
            "destination": self.destination,
            "code": self.code,
            "sent_at": self.sent_at.isoformat(),
            "subject": self.subject,
            "body": self.body,
        }


def template(
    kind: str, medium: str, settings: dict[str, Any], mfa: dict[str, Any]
) -> tuple[str, str]:
    """Return subject and body with placeholders: those of the pool, or else the default ones."""
    subject, body = _TEXTS[kind]
    if kind == "authentication" and medium == "EMAIL":
        message = mfa.get("EmailMfaConfiguration", {})
        return message.get("Subject", subject), message.get("Message", body)
    if kind == "authentication":
        message = mfa.get("SmsMfaConfiguration", {})
        return subject, message.get("SmsAuthenticationMessage", body)
    if kind == "invitation":
        invite = settings.get("AdminCreateUserConfig", {}).get("InviteMessageTemplate", {})
        subject = invite.get("EmailSubject", subject)
        body = invite.get("EmailMessage" if medium == "EMAIL" else "SMSMessage", body)
    elif medium == "EMAIL":
        message = settings.get("VerificationMessageTemplate", {})
        subject = message.get("EmailSubject", settings.get("EmailVerificationSubject", subject))
        body = message.get("EmailMessage", settings.get("EmailVerificationMessage", body))
    else:
        message = settings.get("VerificationMessageTemplate", {})
        body = message.get("SmsMessage", settings.get("SmsVerificationMessage", body))
    return subject, body


def masked(attribute: str, destination: str) -> str:
    """Return the destination as answers show it: ``a***@e***``, ``+*******1234``."""
    if attribute == "phone_number":
        return f"+*******{destination[-4:]}"
    local, _, domain = destination.rpartition("@")
    return f"{local[:1]}***@{domain[:1]}***"


def delivery_details(attribute: str, destination: str) -> dict[str, str]:
    return {
        "Destination": masked(attribute, destination),
        "DeliveryMedium": MEDIUMS[attribute],
        "AttributeName": attribute,
    }


def simulated_details(username: str, auto_verified: list[str]) -> dict[str, str]:
    """
    Return made-up CodeDeliveryDetails for a code that isn't sent. The medium follows from the form
    of the username or, if that is neither an email address nor a phone number, from the settings
    of the pool.
    """
    if "@" in username:
        return delivery_details("email", username)
    if username.startswith("+") and username[1:].isdigit():
        return delivery_details("phone_number", username)
    made_up = hashlib.sha256(username.encode()).digest()
    if auto_verified == ["phone_number"]:
        return delivery_details("phone_number", f"{int.from_bytes(made_up[:4]) % 10_000:04d}")
    letters = [chr(ord("a") + byte % 26) for byte in made_up[:2]]
    return delivery_details("email", "@".join(letters))
