"""Sending a message: call the pool's custom message trigger, then fill the outbox."""

from __future__ import annotations

from typing import Any

from cognito_reset.testing.messages import (
    MEDIUMS,
    PLACEHOLDER,
    USERNAME_PLACEHOLDER,
    Message,
    delivery_details,
    template,
)
from cognito_reset.testing.pools import Pool
from cognito_reset.testing.state import State
from cognito_reset.testing.users import Code, User

# AWS documents no trigger source for AdminResetUserPassword. Only by ClientMetadata can a trigger
# distinguish it from ForgotPassword.
_SOURCES = {
    "forgot_password": "CustomMessage_ForgotPassword",
    "admin_reset_password": "CustomMessage_ForgotPassword",
    "sign_up": "CustomMessage_SignUp",
    "resend_code": "CustomMessage_ResendCode",
    "invitation": "CustomMessage_AdminCreateUser",
}


def send_code(
    state: State,
    pool: Pool,
    user: User,
    kind: str,
    attribute: str,
    request: dict[str, Any],
    *,
    client_id: str | None = None,
) -> tuple[Code, dict[str, str]]:
    """Send a new code. Return it, for the caller to store, and its CodeDeliveryDetails."""
    code = Code(state.new_code(), state.now())
    metadata = request.get("ClientMetadata")
    details = send(
        state, pool, user, kind, attribute, code.value, client_id=client_id, metadata=metadata
    )
    return code, details


def send(
    state: State,
    pool: Pool,
    user: User,
    kind: str,
    attribute: str,
    code: str,
    *,
    client_id: str | None = None,
    metadata: dict[str, str] | None = None,
) -> dict[str, str]:
    """
    Put a message into the outbox and return its CodeDeliveryDetails.

    If a custom message lacks its placeholders, the pool's own message is sent instead.
    """
    medium = MEDIUMS[attribute]
    invitation = kind == "invitation"
    subject, body = template(kind, medium, pool.settings)
    event = state.event(
        pool,
        user,
        user.username,
        _SOURCES[kind],
        client_id=client_id,
        metadata=metadata,
        request={
            "codeParameter": PLACEHOLDER,
            "linkParameter": "{##Click Here##}",
            "usernameParameter": USERNAME_PLACEHOLDER if invitation else None,
        },
        response={"smsMessage": None, "emailMessage": None, "emailSubject": None},
    )
    response = state.call_hook(pool, "CustomMessage", event)
    if response is not None:
        custom = response.get("emailMessage" if medium == "EMAIL" else "smsMessage") or ""
        if PLACEHOLDER in custom and (not invitation or USERNAME_PLACEHOLDER in custom):
            body = custom
            subject = response.get("emailSubject") or subject
    state.outbox.append(
        Message(
            username=user.username,
            kind=kind,
            medium=medium,
            destination=user.attributes[attribute],
            code=code,
            sent_at=state.now(),
            subject=subject if medium == "EMAIL" else "",
            body=body.replace(PLACEHOLDER, code).replace(USERNAME_PLACEHOLDER, user.username),
        )
    )
    return delivery_details(attribute, user.attributes[attribute])
