"""How the emulator behaves where Amazon doesn't document Cognito's behaviour."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints


@dataclass(slots=True)
class Options:
    """
    The behaviours that Amazon doesn't document, with a default for each. An application should work
    with every choice. To test that, change one option at a time.

    An unknown name or a value that isn't one of the choices raises an error.
    """

    #: How often ForgotPassword and ConfirmForgotPassword together may be called, per user and hour.
    #: Amazon documents 5 to 20.
    hourly_allowance: int = 10
    #: The answer of ForgotPassword for an unknown user, if PreventUserExistenceErrors is ENABLED: a
    #: made-up delivery, InvalidParameterException, or both alternately.
    unknown_user: Literal["simulated", "invalid_parameter", "alternating"] = "simulated"
    #: With PreventUserExistenceErrors ENABLED, users in the states FORCE_CHANGE_PASSWORD and
    #: EXTERNAL_PROVIDER are treated like unknown ones.
    wrong_state_is_hidden: bool = False
    #: A new reset code makes the previous one invalid.
    new_code_ends_old: bool = True
    #: ConfirmForgotPassword checks the password policy before it checks the code.
    password_checked_first: bool = True
    #: A user who never confirmed the sign-up, but has a verified contact, may confirm a reset (and
    #: becomes CONFIRMED). Otherwise the answer is UserNotConfirmedException.
    unconfirmed_may_confirm: bool = True
    #: The password is changed even if the post-confirmation trigger fails.
    password_changed_when_trigger_fails: bool = True
    #: AdminResetUserPassword for a user without a verified contact is refused, or puts the user into
    #: RESET_REQUIRED without sending a code.
    admin_reset_without_contact: Literal["refused", "locked_out"] = "refused"
    #: The error of a sign-in in RESET_REQUIRED, if PreventUserExistenceErrors is ENABLED.
    reset_required_sign_in: Literal["PasswordResetRequiredException", "NotAuthorizedException"] = (
        "PasswordResetRequiredException"
    )
    #: AdminCreateUser with RESEND needs a TemporaryPassword, in a pool where users can sign in with
    #: one-time passwords.
    resend_needs_temporary_password: bool = False
    #: ListUsers starts with an empty page and a token. Amazon documents that pages may be empty.
    list_starts_with_empty_page: bool = False
    #: The HTTP status of TooManyRequestsException.
    too_many_requests_status: Literal[400, 429] = 400

    def __setattr__(self, name: str, value: Any) -> None:
        kind = get_type_hints(type(self)).get(name)
        choices = get_args(kind)
        if choices and value not in choices:
            raise ValueError(f"{name} must be one of {choices}")
        if not choices and kind is not None and type(value) is not kind:
            raise ValueError(f"{name} must be of type {kind.__name__}")
        object.__setattr__(self, name, value)

    def update(self, changes: dict[str, Any]) -> None:
        """Change several options, or none if one of them is wrong."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = type(self)(**{**values, **changes})
        for name in changes:
            setattr(self, name, getattr(changed, name))
