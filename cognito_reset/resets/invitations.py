"""
The setting RESEND_INVITATIONS: a person who hasn't used the invitation yet gets it again instead of a code.

The look-up and the sending run in a separate thread, after Cognito has refused to send a code. The visitor
neither waits for them nor learns their outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cognito_reset.cognito import errors
from cognito_reset.cognito.service import CognitoService


@dataclass(frozen=True)
class Invitation:
    """The outcome of sending an invitation again: AWS's request id, and the error if there is one."""

    request_id: str = ""
    error: errors.ResetError | None = None


def invite_again(
    service: CognitoService,
    username: str,
    metadata: dict[str, str],
    finish: Callable[[Invitation], None],
) -> None:
    """
    Look the person up, and have Cognito send the invitation again. Call ``finish`` with the outcome, in the same
    thread, but not if the person has no invitation.
    """
    try:
        person = service.find_user(username=username)
        medium = person.invitation_medium
        if not medium:
            return
        request_id = service.resend_invitation(
            username=person.username, medium=medium, client_metadata=metadata
        )
    except errors.ResetError as error:
        invitation = Invitation(error.request_id, error)
    else:
        invitation = Invitation(request_id)
    finish(invitation)
