"""Where codes go, as callers are told: made of nothing but what was typed, in Cognito's own form."""

from __future__ import annotations

from django.utils.crypto import salted_hmac

from cognito_reset.cognito.service import Delivery


def typed_delivery(username: str) -> Delivery | None:
    """Mask what was typed as Cognito masks destinations, where it has the form of one."""
    name, at, domain = username.partition("@")
    if at and name and domain:
        return Delivery(f"{name[0]}***@{domain[0]}***", "EMAIL", "email", "")
    if username.startswith("+") and username[1:].isdigit():
        return Delivery(f"+*******{username[1:][-4:]}", "SMS", "phone_number", "")
    return None


def simulated_delivery(pool: str, username: str) -> Delivery:
    """
    Make a delivery up, from nothing but what was typed, and always the same one: in the form that
    Cognito gives to the destinations of users that there are.
    """
    if delivery := typed_delivery(username):
        return delivery
    message = f"{pool}:{username}"
    digest = salted_hmac("cognito_reset.delivery", message, algorithm="sha256").digest()
    first, second = (chr(ord("a") + byte % 26) for byte in digest[:2])
    return Delivery(f"{first}***@{second}***", "EMAIL", "email", "")
