"""Sending a message: call the pool's custom message trigger, then fill the outbox."""

from __future__ import annotations

from typing import Any, Final

from cognito_reset.testing.errors import CognitoError, invalid_parameter
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
from cognito_reset.testing.validation import check_text

# AWS documents no trigger source for AdminResetUserPassword. Only by ClientMetadata can a trigger
# distinguish it from ForgotPassword.
_SOURCES: Final = {
    "forgot_password": "CustomMessage_ForgotPassword",
    "admin_reset_password": "CustomMessage_ForgotPassword",
    "sign_up": "CustomMessage_SignUp",
    "resend_code": "CustomMessage_ResendCode",
    "authentication": "CustomMessage_Authentication",
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

    Only invitations have the username: in other messages ``{username}`` stays as it is, says
    https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pool-settings-message-templates.html
    and https://github.com/aws-amplify/amplify-js/issues/1480. An invitation whose template has no place
    for the password isn't delivered (botocore's model, AdminCreateUser).
    """
    medium = MEDIUMS[attribute]
    invitation = kind == "invitation"
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
    response = state.call_hook(pool, "CustomMessage", event) or {}
    subject, body = template(kind, medium, pool.settings, pool.mfa)
    if medium == "EMAIL":
        body = _custom(response, "emailMessage", "emailBody", body, invitation=invitation)
        subject = _custom(response, "emailSubject", "emailSubject", subject)
    else:
        body = _custom(response, "smsMessage", "smsMessage", body, invitation=invitation)
    if PLACEHOLDER in body:
        body = body.replace(PLACEHOLDER, code)
        body = body.replace(USERNAME_PLACEHOLDER, user.username) if invitation else body
        message = Message(
            username=user.username,
            kind=kind,
            medium=medium,
            destination=user.attributes[attribute],
            code=code,
            sent_at=state.now(),
            subject=subject if medium == "EMAIL" else "",
            body=body,
        )
        state.deliver(message)
    return delivery_details(attribute, user.attributes[attribute])


#: The shapes of botocore's model that have the limits of a trigger's answers.
_SHAPES: Final = {
    "emailMessage": "EmailVerificationMessageType",
    "emailSubject": "EmailVerificationSubjectType",
    "smsMessage": "SmsVerificationMessageType",
}


def _custom(
    response: dict[str, Any], name: str, member: str, default: str, *, invitation: bool = False
) -> str:
    """
    Return the text of the trigger's answer, or the pool's own if the answer has none.

    AWS refuses the whole operation if the text isn't within the limits of the pool's own texts, a code
    included. Reports with the answers: https://github.com/aws/aws-lambda-go/issues/330 and
    https://github.com/aws-amplify/amplify-js/issues/6917 ("emailBody"),
    https://github.com/amazon-archives/amazon-cognito-identity-js/issues/521 ("The message is empty.").
    No report shows the names that AWS uses there for the subject and the SMS.
    """
    text = response.get(name)
    if text is None:
        return default
    if not isinstance(text, str):
        raise CognitoError("InvalidLambdaResponseException", "Unrecognizable lambda output")
    if not text:
        raise invalid_parameter("The message is empty.")
    check_text(_SHAPES[name], member, text)
    # The guide says that an invitation needs both ("Custom message Lambda trigger"), but not the error's text.
    if invitation and USERNAME_PLACEHOLDER not in text:
        raise invalid_parameter(
            f"The message must contain {USERNAME_PLACEHOLDER} and {PLACEHOLDER}."
        )
    return text
