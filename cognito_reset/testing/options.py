"""How the emulator behaves where Amazon doesn't say how Cognito does."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints


@dataclass(slots=True)
class Options:
    """
    The behaviours that no documentation settles, each with the choice that this emulator makes
    unless told otherwise. An application should work with every one of them: vary one at a time.

    Assigning a name that isn't there, or a value that isn't one of the choices, is an error.
    """

    #: ForgotPassword and ConfirmForgotPassword together, per user and hour. Amazon says 5 to 20.
    hourly_allowance: int = 10
    #: ForgotPassword of an unknown user, PreventUserExistenceErrors ENABLED: a made-up delivery,
    #: InvalidParameterException, or the two in turn.
    unknown_user: Literal["simulated", "invalid_parameter", "alternating"] = "simulated"
    #: ENABLED also hides that a user is in FORCE_CHANGE_PASSWORD or EXTERNAL_PROVIDER.
    wrong_state_is_hidden: bool = False
    #: A new reset code ends the one before it.
    new_code_ends_old: bool = True
    #: ConfirmForgotPassword looks at the password's form before it looks at the code.
    password_checked_first: bool = True
    #: A user who never confirmed the sign-up, but has a verified contact, may confirm a reset (and
    #: is CONFIRMED then); else the answer is UserNotConfirmedException.
    unconfirmed_may_confirm: bool = True
    #: The password is changed although the post-confirmation trigger failed.
    password_changed_when_trigger_fails: bool = True
    #: AdminResetUserPassword of a user without a verified contact: refused, or the user is in
    #: RESET_REQUIRED from then on and no code is sent.
    admin_reset_without_contact: Literal["refused", "locked_out"] = "refused"
    #: Sign-in in RESET_REQUIRED, PreventUserExistenceErrors ENABLED.
    reset_required_sign_in: Literal["PasswordResetRequiredException", "NotAuthorizedException"] = (
        "PasswordResetRequiredException"
    )
    #: AdminCreateUser RESEND needs a TemporaryPassword in a pool with one-time-password sign-in.
    resend_needs_temporary_password: bool = False
    #: ListUsers starts with an empty page and a token ("pages may be empty").
    list_starts_with_empty_page: bool = False
    #: The HTTP status of TooManyRequestsException.
    too_many_requests_status: Literal[400, 429] = 400

    def __setattr__(self, name: str, value: Any) -> None:
        kind = get_type_hints(type(self)).get(name)
        choices = get_args(kind)
        if choices and value not in choices:
            raise ValueError(f"{name} is one of {choices}")
        if not choices and kind is not None and type(value) is not kind:
            raise ValueError(f"{name} is of type {kind.__name__}")
        object.__setattr__(self, name, value)

    def update(self, changes: dict[str, Any]) -> None:
        """Change several options; none is changed where one of them is wrong."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = type(self)(**{**values, **changes})
        for name in changes:
            setattr(self, name, getattr(changed, name))
