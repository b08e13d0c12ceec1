"""
The contract: what Amazon Cognito answers in the reset flow, case by case, and who says so.

Sources: [doc] the developer guide, [model] botocore's service model with its documentation, [staff]
AWS engineers in public threads, [seen] reports and recordings of real answers, [?] nobody at AWS
says. A case with [?] has the emulator's answer, and where an option of the emulator chooses another
one, that too; a live run prints what the real pool does.

An outcome is a line. Errors are ``Code: message``; ``…`` stands for any text, CLIENT, POOL and SUB for
the ids; "sent" says that a message went out, "(simulated)" that none did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Mode = Literal["LEGACY", "ENABLED"]

NEW: Final = "New-password-1"
NEWER: Final = "Newer-password-1"
OLD: Final = "Old-password-1"
TEMPORARY: Final = "Temporary-1"

EMAIL: Final = "ann@example.com"
PHONE: Final = "+15555550101"

#: No secret is used: the request has no SecretHash.
NO_SECRET: Final = -1


@dataclass(frozen=True)
class Step:
    """
    An operation and its members, or a seam (in lower case) and its arguments.

    In their texts {code} is the newest code that was sent, {older} the one before it, {wrong} is
    neither, {sub}, {access} and {refresh} are the user's. An operation that takes a SecretHash
    gets the right one.
    """

    operation: str
    members: Mapping[str, Any] = field(default_factory=dict)
    #: The SecretHash is made over this name; over the request's Username, if empty.
    hashed: str = ""
    #: Which of the client's secrets makes it.
    secret: int = 0
    times: int = 1
    #: The case goes on, whatever the outcome.
    lenient: bool = False


@dataclass(frozen=True)
class Case:
    """Some steps, of which the last one's outcome counts."""

    id: str
    steps: tuple[Step, ...]
    expected: str
    source: str
    user: str = "confirmed"
    mode: Mode = "LEGACY"
    pool: str = "plain"
    client: str = "secret"
    #: Where an option of the emulator has this value, the outcome is another one.
    choices: Mapping[tuple[str, Any], str] = field(default_factory=dict)
    #: Fit for a real pool: needs no code, changes no user.
    live: bool = False

    @property
    def undocumented(self) -> bool:
        return self.source.startswith("[?]")

    @property
    def everything(self) -> tuple[Step, ...]:
        return (*USERS[self.user], *self.steps)

    @property
    def needs(self) -> set[str]:
        return {step.operation for step in self.everything}


# Steps.


def admin(operation: str, *, lenient: bool = False, **members: Any) -> Step:
    members = {"UserPoolId": "{pool}", "Username": "ann", **members}
    return Step(operation, members, lenient=lenient)


def request(
    username: str = "ann", *, times: int = 1, lenient: bool = False, **members: Any
) -> Step:
    return Step(
        "ForgotPassword",
        {"ClientId": "{client}", "Username": username, **members},
        times=times,
        lenient=lenient,
    )


def confirm(
    code: str = "{code}",
    password: str = NEW,
    username: str = "ann",
    *,
    times: int = 1,
    lenient: bool = False,
    **members: Any,
) -> Step:
    return Step(
        "ConfirmForgotPassword",
        {
            "ClientId": "{client}",
            "Username": username,
            "ConfirmationCode": code,
            "Password": password,
            **members,
        },
        times=times,
        lenient=lenient,
    )


def sign_in(password: str, username: str = "ann") -> Step:
    parameters = {"USERNAME": username, "PASSWORD": password}
    return Step(
        "InitiateAuth",
        {
            "ClientId": "{client}",
            "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": parameters,
        },
    )


def look_up(text: str = "", **members: Any) -> Step:
    return Step(
        "ListUsers", {"UserPoolId": "{pool}", **({"Filter": text} if text else {}), **members}
    )


def attributes(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def created(username: str = "ann", /, **values: str) -> Step:
    return admin(
        "AdminCreateUser",
        Username=username,
        TemporaryPassword=TEMPORARY,
        MessageAction="SUPPRESS",
        UserAttributes=attributes(**values),
    )


def signed_up(**values: str) -> Step:
    return Step(
        "SignUp",
        {
            "ClientId": "{client}",
            "Username": "ann",
            "Password": OLD,
            "UserAttributes": attributes(**values),
        },
    )


def advance(seconds: float) -> Step:
    return Step("advance", {"seconds": seconds})


PASSWORD: Final = admin("AdminSetUserPassword", Password=OLD, Permanent=True)
RESET: Final = admin("AdminResetUserPassword")
SIGN_OUT: Final = admin("AdminUserGlobalSignOut")
MFA_BY_SMS: Final = admin(
    "AdminSetUserMFAPreference", SMSMfaSettings={"Enabled": True, "PreferredMfa": True}
)
USE_ACCESS: Final = Step("GetUser", {"AccessToken": "{access}"})
USE_REFRESH: Final = Step(
    "InitiateAuth",
    {
        "ClientId": "{client}",
        "AuthFlow": "REFRESH_TOKEN_AUTH",
        "AuthParameters": {"REFRESH_TOKEN": "{refresh}"},
    },
    hashed="ann",
)

#: How each user comes to be: the states of COGNITO, and what can be known of a contact.
_MAIL = {"email": EMAIL, "email_verified": "true"}
_CALL = {"phone_number": PHONE, "phone_number_verified": "true"}
USERS: Final[dict[str, tuple[Step, ...]]] = {
    "missing": (),
    "confirmed": (created(**_MAIL), PASSWORD),
    "confirmed by phone": (created(**_CALL), PASSWORD),
    "confirmed by both": (created(**_MAIL, **_CALL), PASSWORD),
    "unverified": (created(email=EMAIL, email_verified="false"), PASSWORD),
    "no contact": (created(), PASSWORD),
    "mfa by phone": (created(**_CALL), PASSWORD, MFA_BY_SMS),
    "mfa by phone, has email": (created(**_MAIL, **_CALL), PASSWORD, MFA_BY_SMS),
    "unconfirmed": (signed_up(email=EMAIL),),
    "unconfirmed, verified": (
        signed_up(email=EMAIL),
        admin("AdminUpdateUserAttributes", UserAttributes=attributes(**_MAIL)),
    ),
    "invited": (created(**_MAIL),),
    "reset required": (created(**_MAIL), PASSWORD, RESET),
    "disabled": (created(**_MAIL), PASSWORD, admin("AdminDisableUser")),
    "federated": (Step("federate", {"username": "ann", "email": EMAIL}),),
    "by email": (
        created(EMAIL, email_verified="true"),
        admin("AdminSetUserPassword", Username=EMAIL, Password=OLD, Permanent=True),
    ),
    "by unverified email": (
        created(EMAIL, email_verified="false"),
        admin("AdminSetUserPassword", Username=EMAIL, Password=OLD, Permanent=True),
    ),
    "preferred": (created(**_MAIL, preferred_username="annie"), PASSWORD),
    "two": (created(**_MAIL), PASSWORD, created("bea", email="bea@example.com")),
    "quoted": (created(**_MAIL, name='Ann "A" B'), PASSWORD),
}


def _recovery(*names: str) -> dict[str, Any]:
    mechanisms = [{"Priority": n, "Name": name} for n, name in enumerate(names, 1)]
    return {"AccountRecoverySetting": {"RecoveryMechanisms": mechanisms}}


_POLICY: Final = {
    "MinimumLength": 8,
    "RequireUppercase": True,
    "RequireLowercase": True,
    "RequireNumbers": True,
    "RequireSymbols": True,
}
_PLAIN: Final = {
    "Policies": {"PasswordPolicy": _POLICY},
    **_recovery("verified_email", "verified_phone_number"),
}
POOLS: Final[dict[str, dict[str, Any]]] = {
    "plain": _PLAIN,
    "aliases": {**_PLAIN, "AliasAttributes": ["email", "phone_number", "preferred_username"]},
    "insensitive": {
        **_PLAIN,
        "AliasAttributes": ["email", "preferred_username"],
        "UsernameConfiguration": {"CaseSensitive": False},
    },
    "sensitive": {
        **_PLAIN,
        "AliasAttributes": ["email", "preferred_username"],
        "UsernameConfiguration": {"CaseSensitive": True},
    },
    "by email": {**_PLAIN, "UsernameAttributes": ["email"]},
    "unset": {},
    "admin only": _recovery("admin_only"),
    "phone first": _recovery("verified_phone_number", "verified_email"),
    "phone only": _recovery("verified_phone_number"),
    "mfa": {
        **_PLAIN,
        "AutoVerifiedAttributes": ["phone_number"],
        "MfaConfiguration": "ON",
        "SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms"},
    },
    "history": {**_PLAIN, "Policies": {"PasswordPolicy": {**_POLICY, "PasswordHistorySize": 2}}},
    "one-time passwords": {
        **_PLAIN,
        "Policies": {
            "PasswordPolicy": _POLICY,
            "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]},
        },
    },
}
CLIENTS: Final[dict[str, dict[str, Any]]] = {
    "secret": {"GenerateSecret": True},
    "public": {},
    "context": {"GenerateSecret": True, "EnablePropagateAdditionalUserContextData": True},
}

# Outcomes.

DONE: Final = "done"
SENT: Final = "done; sent"
TOKENS: Final = "tokens"
CODE: Final = "code by EMAIL to a***@e***"
SMS: Final = "code by SMS to +*******0101"
SIMULATED: Final = "code by … (simulated)"
WRONG_CODE: Final = "CodeMismatchException: Invalid verification code provided, please try again."
OLD_CODE: Final = "ExpiredCodeException: Invalid code provided, please request a code again."
TOO_OFTEN: Final = "LimitExceededException: Attempt limit exceeded, please try after some time."
MISSING: Final = "UserNotFoundException: Username/client id combination not found."
NO_USER: Final = "UserNotFoundException: User does not exist."
DISABLED: Final = "NotAuthorizedException: User is disabled"
WRONG_STATE: Final = "NotAuthorizedException: User password cannot be reset in the current state."
NO_CONTACT: Final = (
    "InvalidParameterException: Cannot reset password for the user as there is no "
    "registered/verified email or phone_number"
)
ADMIN_ONLY: Final = "NotAuthorizedException: Contact administrator to reset password."
WRONG_PASSWORD: Final = "NotAuthorizedException: Incorrect username or password."
RESET_REQUIRED: Final = "PasswordResetRequiredException: …"
INVALID: Final = "InvalidParameterException: …"
WEAK: Final = "InvalidPasswordException: Password …"
REUSED: Final = "PasswordHistoryPolicyViolationException: …"
COMPROMISED: Final = (
    "InvalidPasswordException: Provided password cannot be used for security reasons."
)
NO_HASH: Final = "NotAuthorizedException: Client CLIENT is configured with secret but SECRET_HASH was not received"
WRONG_HASH: Final = "NotAuthorizedException: Unable to verify secret hash for client CLIENT"
NO_CLIENT: Final = "ResourceNotFoundException: User pool client 1unknown23456789 does not exist."
ANN: Final = "ann CONFIRMED"

# Sources.

ERRORS: Final = "[doc] guide, managing user existence error responses"
RECOVERY: Final = "[doc] guide, passwords and account recovery"
POLICY: Final = "[doc] guide, password policy"
QUOTAS: Final = "[doc] guide, quotas: 5 to 20 an hour, requests and confirms together"
ALIASES: Final = "[doc] guide, sign-in attributes: an alias must be verified"
CASE: Final = "[model] UsernameConfiguration"
FORGOT: Final = "[model] ForgotPassword"
CONFIRM: Final = "[model] ConfirmForgotPassword"
FILTERS: Final = "[model] ListUsers, Filter"
MEMBERS: Final = "[model] limits and pattern of the member"
SECRETS: Final = "[doc] guide, app client secrets: the hash of user name and client id"
SECRETS_STAFF: Final = "[staff] the hash is over exactly the request's Username"
CONTACT: Final = "[model] ForgotPassword: no verified contact"
FORCED: Final = "[staff] threads: a temporary password can't be recovered"


def rows() -> Iterator[Case]:
    yield from _requests_by_state()
    yield from _confirms_by_state()
    yield from _resets_by_state()
    yield from _codes()
    yield from _passwords()
    yield from _members()
    yield from _secret_hashes()
    yield from _names()
    yield from _allowance()
    yield from _settings()
    yield from _afterwards()
    yield from _invitations()
    yield from _lists()
    yield from _wire()


def _both(id: str, *steps: Step, expected: str, source: str, **more: Any) -> Iterator[Case]:
    """The same in both modes."""
    for mode in ("LEGACY", "ENABLED"):
        yield Case(f"{id}-{mode.lower()}", steps, expected, source, mode=mode, **more)


def _requests_by_state() -> Iterator[Case]:
    hidden = {("wrong_state_is_hidden", True): SIMULATED}
    refused = {("unknown_user", "invalid_parameter"): NO_CONTACT}
    state = FORCED, "[?] ENABLED isn't said to hide the user's state"
    table: list[tuple[str, str, str, tuple[str, str], Mapping[tuple[str, Any], str]]] = [
        # user, LEGACY, ENABLED, who says so of each, options that change ENABLED
        ("missing", MISSING, SIMULATED, (ERRORS, ERRORS), refused),
        ("disabled", DISABLED, SIMULATED, ("[staff] enable first", ERRORS), {}),
        ("unconfirmed", NO_CONTACT, SIMULATED, (CONTACT, ERRORS), {}),
        ("unverified", NO_CONTACT, SIMULATED, (CONTACT, ERRORS), {}),
        ("no contact", NO_CONTACT, SIMULATED, (CONTACT, ERRORS), {}),
        ("mfa by phone", NO_CONTACT, SIMULATED, (RECOVERY, ERRORS), {}),
        ("invited", WRONG_STATE, WRONG_STATE, state, hidden),
        ("federated", WRONG_STATE, WRONG_STATE, state, hidden),
        ("confirmed", CODE, CODE, (FORGOT, FORGOT), {}),
        ("confirmed by phone", SMS, SMS, (FORGOT, FORGOT), {}),
        ("confirmed by both", CODE, CODE, (RECOVERY, RECOVERY), {}),
        ("reset required", CODE, CODE, (RECOVERY, RECOVERY), {}),
    ]
    for user, legacy, enabled, (said, said_too), choices in table:
        name = f"request-{_slug(user)}"
        live = user != "confirmed by both"
        yield Case(f"{name}-legacy", (request(),), legacy, said, user, live=live)
        yield Case(
            f"{name}-enabled",
            (request(),),
            enabled,
            said_too,
            user,
            "ENABLED",
            choices=choices,
            live=live,
        )
    yield from _both(
        "request-unconfirmed-verified",
        request(),
        expected=CODE,
        source="[?] a contact that staff verified before the sign-up was confirmed",
        user="unconfirmed, verified",
    )
    for form, name, expected in (
        ("email", "nobody@example.com", "code by EMAIL to n***@e*** (simulated)"),
        ("phone", "+15555550199", "code by SMS to +*******0199 (simulated)"),
    ):
        yield Case(
            f"request-missing-{form}-enabled",
            (request(name),),
            expected,
            "[doc] guide, managing error responses: simulated by the form of what was typed",
            "missing",
            "ENABLED",
            choices={("unknown_user", "invalid_parameter"): NO_CONTACT},
        )
    yield Case(
        "request-missing-twice-enabled",
        (request(lenient=True), request()),
        SIMULATED,
        "[doc] guide, managing error responses: simulated, or InvalidParameter in turn",
        "missing",
        "ENABLED",
        choices={
            ("unknown_user", "invalid_parameter"): NO_CONTACT,
            ("unknown_user", "alternating"): NO_CONTACT,
        },
    )
    yield Case(
        "request-enabled-again",
        (admin("AdminEnableUser"), request()),
        CODE,
        "[staff] enable first",
        "disabled",
    )
    yield Case(
        "request-throttled",
        (
            Step("fail", {"operation": "ForgotPassword", "fault": "TooManyRequestsException"}),
            request(),
        ),
        "TooManyRequestsException: …",
        "[?] the status: 400, or 429",
        choices={("too_many_requests_status", 429): "429 TooManyRequestsException: …"},
    )


def _confirms_by_state() -> Iterator[Case]:
    said = "[?] only ENABLED is documented"
    hidden = {("wrong_state_is_hidden", True): WRONG_CODE}
    table: list[tuple[str, str, str, tuple[str, str], Mapping[tuple[str, Any], str]]] = [
        ("missing", "UserNotFoundException: …", WRONG_CODE, (CONFIRM, ERRORS), {}),
        ("disabled", DISABLED, WRONG_CODE, (said, ERRORS), {}),
        ("unconfirmed", OLD_CODE, OLD_CODE, (said, ERRORS), {}),
        ("unverified", OLD_CODE, OLD_CODE, (said, ERRORS), {}),
        ("no contact", OLD_CODE, OLD_CODE, (said, ERRORS), {}),
        ("mfa by phone", OLD_CODE, OLD_CODE, (said, ERRORS), {}),
        ("invited", WRONG_STATE, WRONG_STATE, ("[?] the state", "[?] the state"), hidden),
        ("federated", WRONG_STATE, WRONG_STATE, ("[?] the state", "[?] the state"), hidden),
        ("confirmed", OLD_CODE, OLD_CODE, (ERRORS, ERRORS), {}),
    ]
    for user, legacy, enabled, sources, choices in table:
        name = f"confirm-unrequested-{_slug(user)}"
        # A real user may have a code from an earlier request.
        live = user != "confirmed"
        yield Case(f"{name}-legacy", (confirm("123456"),), legacy, sources[0], user, live=live)
        yield Case(
            f"{name}-enabled",
            (confirm("123456"),),
            enabled,
            sources[1],
            user,
            "ENABLED",
            choices=choices,
            live=live,
        )
    yield Case(
        "confirm-reset-required",
        (confirm(),),
        DONE,
        "[doc] guide, RESET_REQUIRED: confirmed by the code that the reset sent",
        "reset required",
    )
    yield Case(
        "confirm-reset-required-after-own-request",
        (request(), confirm()),
        DONE,
        "[doc] guide, RESET_REQUIRED: such a user asks for a code",
        "reset required",
    )
    yield Case(
        "confirm-unconfirmed-verified",
        (request(), confirm()),
        DONE,
        "[?] confirmed by it, or UserNotConfirmed",
        "unconfirmed, verified",
        choices={("unconfirmed_may_confirm", False): "UserNotConfirmedException: …"},
    )
    yield Case(
        "confirm-disabled-meanwhile",
        (request(), admin("AdminDisableUser"), confirm()),
        WRONG_CODE,
        ERRORS,
        mode="ENABLED",
    )


def _resets_by_state() -> Iterator[Case]:
    locked_out = {("admin_reset_without_contact", "locked_out"): DONE}
    said = "[model] AdminResetUserPassword"
    nowhere = "[?] refused, or locked out without a mail"
    table: list[tuple[str, str, str, Mapping[tuple[str, Any], str]]] = [
        ("missing", NO_USER, said, {}),
        ("disabled", DISABLED, "[staff] enable first", {}),
        ("unconfirmed", WRONG_STATE, "[?] the state or the contact", {}),
        ("unconfirmed, verified", WRONG_STATE, "[?] the state", {}),
        ("unverified", NO_CONTACT, nowhere, locked_out),
        ("no contact", NO_CONTACT, nowhere, locked_out),
        ("mfa by phone", NO_CONTACT, nowhere, locked_out),
        ("invited", WRONG_STATE, "[seen] reports of FORCE_CHANGE_PASSWORD", {}),
        ("federated", WRONG_STATE, "[seen] reports of EXTERNAL_PROVIDER", {}),
        ("confirmed", SENT, said, {}),
        ("confirmed by phone", SENT, said, {}),
        ("reset required", SENT, said, {}),
    ]
    for user, expected, source, choices in table:
        live = user in ("missing", "disabled", "invited", "federated")
        yield Case(
            f"reset-{_slug(user)}", (RESET,), expected, source, user, choices=choices, live=live
        )
    yield Case(
        "reset-after-20-requests",
        (request(times=20, lenient=True), RESET),
        SENT,
        "[?] whether staff have an allowance, too",
    )
    yield Case("reset-then-status", (RESET, look_up()), "ann RESET_REQUIRED", said)
    yield Case(
        "reset-refused-then-status",
        (admin("AdminResetUserPassword", lenient=True), look_up()),
        ANN,
        nowhere,
        "no contact",
        choices={("admin_reset_without_contact", "locked_out"): "ann RESET_REQUIRED"},
    )
    yield Case(
        "reset-unknown-pool",
        (Step("AdminResetUserPassword", {"UserPoolId": "us-east-1_Nothing00", "Username": "ann"}),),
        "ResourceNotFoundException: …",
        said,
    )
    yield Case(
        "reset-malformed-pool",
        (Step("AdminResetUserPassword", {"UserPoolId": "nothing", "Username": "ann"}),),
        INVALID,
        MEMBERS,
    )
    yield Case(
        "reset-with-metadata",
        (admin("AdminResetUserPassword", ClientMetadata={"brand": "one"}),),
        SENT,
        said,
    )
    yield Case("reset-by-sub", (admin("AdminResetUserPassword", Username="{sub}"),), SENT, said)


def _codes() -> Iterator[Case]:
    lifetime = "[doc] guide, quotas: a reset code lives for an hour"
    yield from _both("confirm", request(), confirm(), expected=DONE, source=CONFIRM)
    yield from _both(
        "confirm-wrong", request(), confirm("{wrong}"), expected=WRONG_CODE, source=CONFIRM
    )
    yield from _both(
        "confirm-used",
        request(),
        confirm(),
        confirm(password=NEWER),
        expected=OLD_CODE,
        source="[seen] reports: used, old and unknown codes look alike",
    )
    yield Case(
        "confirm-wrong-then-right",
        (request(), confirm("{wrong}", lenient=True, times=2), confirm()),
        DONE,
        QUOTAS,
    )
    yield Case(
        "confirm-weak-then-strong",
        (request(), confirm(password="weak", lenient=True), confirm()),
        DONE,
        "[?] a refused password leaves the code alone: taken for granted, written nowhere",
    )
    yield Case("confirm-much-later", (request(), advance(3599), confirm()), DONE, lifetime)
    yield from _both(
        "confirm-too-late", request(), advance(3601), confirm(), expected=OLD_CODE, source=lifetime
    )
    yield Case("confirm-newest", (request(), request(), confirm()), DONE, RECOVERY)
    yield Case(
        "confirm-older",
        (request(), request(), confirm("{older}")),
        WRONG_CODE,
        "[?] contradictory reports",
        choices={("new_code_ends_old", False): DONE},
    )
    yield Case(
        "confirm-code-of-another",
        (
            admin("AdminSetUserPassword", Username="bea", Password=OLD, Permanent=True),
            admin(
                "AdminUpdateUserAttributes",
                Username="bea",
                UserAttributes=attributes(email="bea@example.com", email_verified="true"),
            ),
            request("bea"),
            request(),
            confirm("{older}"),
        ),
        WRONG_CODE,
        CONFIRM,
        "two",
    )
    yield Case(
        "confirm-own-request-before-reset",
        (request(), RESET, confirm()),
        DONE,
        "[model] AdminResetUserPassword sends a code",
    )


def _passwords() -> Iterator[Case]:
    for flaw, password in {
        "short": "Short-1",
        "no-lowercase": "NO-LOWERCASE-1",
        "no-uppercase": "no-uppercase-1",
        "no-number": "No-number-here",
        "no-symbol": "NoSymbolHere1",
        "no-latin-letter": "пароль-длинный-1",
    }.items():
        yield Case(
            f"confirm-password-{flaw}", (request(), confirm(password=password)), WEAK, POLICY
        )
    for merit, password in {
        "inner-space": "New password 1",
        "longest": "Aa1-" * 64,
        "umlauts": "Neues-Paßwört-1",
        "emoji": "New-password-1🔑",
    }.items():
        yield Case(
            f"confirm-password-{merit}", (request(), confirm(password=password)), DONE, POLICY
        )
    for flaw, password in {
        "too-long": "Aa1-" * 64 + "b",
        "leading-space": " New-password-1",
        "trailing-space": "New-password-1 ",
    }.items():
        source = MEMBERS if flaw == "too-long" else "[seen] the pattern ^[\\S]+.*[\\S]+$"
        yield Case(
            f"confirm-password-{flaw}", (request(), confirm(password=password)), INVALID, source
        )
    yield Case(
        "confirm-password-weak-and-code-wrong",
        (request(), confirm("{wrong}", password="weak-password")),
        WEAK,
        "[?] which is looked at first",
        choices={("password_checked_first", False): WRONG_CODE},
    )
    yield Case(
        "confirm-password-same-as-before",
        (request(), confirm(password=OLD)),
        DONE,
        "[doc] guide, password policy: no history unless the pool keeps one",
    )
    history = "[doc] guide, password policy: reuse"
    yield Case(
        "confirm-password-reused",
        (request(), confirm(password=OLD)),
        REUSED,
        history,
        pool="history",
    )
    yield Case(
        "confirm-password-reused-after-one",
        (request(), confirm(), request(), confirm(password=OLD)),
        REUSED,
        history,
        pool="history",
    )
    yield Case(
        "confirm-password-forgotten-by-history",
        (
            request(),
            confirm(),
            admin("AdminSetUserPassword", Password=NEWER, Permanent=True),
            request(),
            confirm(password=OLD),
        ),
        DONE,
        "[?] what counts as one of the last two: the first may be one too many",
        pool="history",
    )
    yield Case(
        "confirm-password-compromised",
        (
            request(),
            # No server here knows leaked passwords: the emulator's answer is queued.
            Step(
                "compromise",
                {
                    "operation": "ConfirmForgotPassword",
                    "fault": "InvalidPasswordException",
                    "message": COMPROMISED.partition(": ")[2],
                },
            ),
            confirm(),
        ),
        COMPROMISED,
        "[seen] pools on the Plus plan",
    )


def _members() -> Iterator[Case]:
    long = "a" * 129
    for name, step, expected in (
        ("username-longest", request("a" * 128), MISSING),
        ("username-too-long", request(long), INVALID),
        ("username-empty", request(""), INVALID),
        ("username-space", request("ann smith"), INVALID),
        ("username-control", request("ann\n"), INVALID),
        ("username-unicode", request("ана+é☂"), MISSING),
        ("client-malformed", request(ClientId="not a client"), INVALID),
        ("client-too-long", request(ClientId=long), INVALID),
        ("hash-too-long", request(SecretHash=long), INVALID),
        ("hash-malformed", request(SecretHash="not a hash"), INVALID),
    ):
        yield Case(f"request-{name}", (step,), expected, MEMBERS, "missing", live=True)
    for name, step, expected in (
        ("username-too-long", confirm("123456", username=long), INVALID),
        ("username-space", confirm("123456", username="ann smith"), INVALID),
        ("code-empty", confirm(""), INVALID),
        ("code-space", confirm("123 456"), INVALID),
        ("code-too-long", confirm("1" * 2049), INVALID),
    ):
        yield Case(f"confirm-{name}", (step,), expected, MEMBERS, "missing", live=True)
    unknown = {"ClientId": "1unknown23456789"}
    for name, step in {
        "request": request(**unknown),
        "confirm": confirm("123456", **unknown),
    }.items():
        yield Case(
            f"{name}-client-unknown", (step,), NO_CLIENT, "[seen] reports", "missing", live=True
        )
    yield Case(
        "confirm-password-empty",
        (confirm("123456", password=""),),
        "…Exception: …",
        "[?] no minimum in the model: a bad parameter, or a bad password",
        live=True,
    )
    yield Case("confirm-code-longest", (request(), confirm("1" * 2048)), WRONG_CODE, MEMBERS)
    metadata = {
        "ClientMetadata": {"brand": "one"},
        "AnalyticsMetadata": {"AnalyticsEndpointId": "a"},
    }
    yield Case("request-metadata", (request(**metadata),), CODE, FORGOT)
    yield Case("confirm-metadata", (request(), confirm(**metadata)), DONE, CONFIRM)
    for name, context, client, expected in (
        ("address", {"IpAddress": "192.0.2.1", "EncodedData": "x"}, "context", CODE),
        ("address-v6", {"IpAddress": "2001:db8::1"}, "context", CODE),
        ("address-invalid", {"IpAddress": "nowhere"}, "context", INVALID),
    ):
        yield Case(
            f"request-{name}",
            (request(UserContextData=context),),
            expected,
            "[doc] guide, threat protection: IpAddress",
            client=client,
        )
    yield Case(
        "request-address-not-propagated",
        (request(UserContextData={"IpAddress": "nowhere"}),),
        CODE,
        "[?] an address that the client doesn't pass on: ignored, or looked at",
    )


def _secret_hashes() -> Iterator[Case]:
    wrong = "d3Jvbmcgd3JvbmcgIHdyb25nIHdyb25nICB3cm9uZyA="
    for name, step in {"request": request(), "confirm": confirm("123456")}.items():
        for user in ("missing", "confirmed"):
            at = f"{name}-{user}"
            yield Case(
                f"{at}-hash-absent",
                (replace(step, secret=NO_SECRET),),
                NO_HASH,
                FORGOT,
                user,
                live=True,
            )
            bad = replace(step, members={**step.members, "SecretHash": wrong})
            yield Case(f"{at}-hash-wrong", (bad,), WRONG_HASH, SECRETS, user, live=True)
    yield Case(
        "request-hash-over-alias",
        (request(EMAIL),),
        CODE,
        SECRETS_STAFF,
        pool="aliases",
    )
    yield Case(
        "request-hash-over-username-for-alias",
        (replace(request(EMAIL), hashed="ann"),),
        WRONG_HASH,
        SECRETS_STAFF,
        pool="aliases",
    )
    yield Case(
        "request-hash-over-other-case",
        (replace(request("ANN"), hashed="ann"),),
        WRONG_HASH,
        SECRETS_STAFF,
        pool="insensitive",
    )
    yield Case(
        "request-hash-over-own-case", (request("ANN"),), CODE, SECRETS_STAFF, pool="insensitive"
    )
    yield Case(
        "request-hash-over-sub-for-username",
        (replace(request(), hashed="{sub}"),),
        WRONG_HASH,
        SECRETS_STAFF,
    )
    yield Case("request-public-client", (request(),), CODE, FORGOT, client="public")
    yield Case(
        "request-public-client-hash-given",
        (request(SecretHash=wrong),),
        WRONG_HASH,
        "[?] a hash that the client has no secret for: refused, or ignored",
        client="public",
    )
    both = "[doc] guide, app client secrets: two while they rotate"
    add = Step("AddUserPoolClientSecret", {"UserPoolId": "{pool}", "ClientId": "{client}"})
    drop = Step(
        "DeleteUserPoolClientSecret",
        {"UserPoolId": "{pool}", "ClientId": "{client}", "ClientSecretId": "{first secret}"},
    )
    yield Case("request-first-of-two-secrets", (add, request()), CODE, both)
    yield Case("request-second-of-two-secrets", (add, replace(request(), secret=1)), CODE, both)
    yield Case("request-deleted-secret", (add, drop, request()), WRONG_HASH, both)
    yield Case("request-kept-secret", (add, drop, replace(request(), secret=1)), CODE, both)


def _names() -> Iterator[Case]:
    for name, typed in {"email": EMAIL, "phone": PHONE}.items():
        yield Case(
            f"request-alias-{name}",
            (request(typed),),
            CODE,
            ALIASES,
            "confirmed by both",
            pool="aliases",
        )
        yield Case(
            f"request-{name}-of-no-alias",
            (request(typed),),
            MISSING,
            ALIASES,
            "confirmed by both",
        )
    yield Case(
        "request-alias-preferred", (request("annie"),), CODE, ALIASES, "preferred", pool="aliases"
    )
    yield Case("request-by-sub", (request("{sub}"),), CODE, "[doc] guide, sign-in attributes: sub")
    yield Case(
        "confirm-by-sub",
        (request(), confirm(username="{sub}")),
        DONE,
        "[doc] guide, sign-in attributes: sub",
    )
    yield Case(
        "confirm-by-alias", (request(), confirm(username=EMAIL)), DONE, ALIASES, pool="aliases"
    )
    yield Case(
        "request-alias-unverified-legacy",
        (request(EMAIL),),
        MISSING,
        ALIASES,
        "unverified",
        pool="aliases",
    )
    yield Case(
        "request-alias-unverified-enabled",
        (request(EMAIL),),
        SIMULATED,
        ALIASES,
        "unverified",
        "ENABLED",
        "aliases",
        choices={("unknown_user", "invalid_parameter"): NO_CONTACT},
    )
    yield Case(
        "confirm-alias-unverified-enabled",
        (confirm("123456", username=EMAIL),),
        WRONG_CODE,
        ALIASES,
        "unverified",
        "ENABLED",
        "aliases",
    )
    yield Case(
        "request-email-as-username", (request(EMAIL),), CODE, ALIASES, "by email", pool="by email"
    )
    yield Case(
        "confirm-email-as-username",
        (request(EMAIL), confirm(username=EMAIL)),
        DONE,
        ALIASES,
        "by email",
        pool="by email",
    )
    yield Case(
        "request-unverified-email-as-username",
        (request(EMAIL),),
        NO_CONTACT,
        CONTACT,
        "by unverified email",
        pool="by email",
    )
    for pool, expected in {"insensitive": CODE, "sensitive": MISSING, "plain": MISSING}.items():
        yield Case(f"request-other-case-{pool}", (request("Ann"),), expected, CASE, pool=pool)
    for pool, expected in {"insensitive": CODE, "sensitive": MISSING}.items():
        yield Case(
            f"request-alias-other-case-{pool}",
            (request("Ann@Example.com"),),
            expected,
            CASE,
            pool=pool,
        )
        yield Case(
            f"request-preferred-other-case-{pool}",
            (request("Annie"),),
            expected,
            CASE,
            "preferred",
            pool=pool,
        )


def _allowance() -> Iterator[Case]:
    spent = confirm("123456", lenient=True, times=20)
    yield Case("request-fifth", (request(times=4), request()), CODE, QUOTAS)
    yield Case(
        "request-sixth",
        (request(times=5), request()),
        CODE,
        "[?] 5 to 20, by risk",
        choices={("hourly_allowance", 5): TOO_OFTEN},
    )
    yield Case(
        "request-eleventh",
        (request(times=10, lenient=True), request()),
        TOO_OFTEN,
        "[?] 5 to 20, by risk",
        choices={("hourly_allowance", 20): CODE},
    )
    yield from _both(
        "request-after-20-requests",
        request(times=20, lenient=True),
        request(),
        expected=TOO_OFTEN,
        source=QUOTAS,
    )
    yield Case("request-after-20-confirms", (spent, request()), TOO_OFTEN, QUOTAS)
    yield from _both(
        "confirm-after-20-confirms", spent, confirm("123456"), expected=TOO_OFTEN, source=QUOTAS
    )
    yield Case(
        "confirm-after-20-requests",
        (request(times=20, lenient=True), confirm("123456")),
        TOO_OFTEN,
        QUOTAS,
    )
    yield Case(
        "confirm-after-10-of-both",
        (
            request(times=10, lenient=True),
            confirm("123456", times=10, lenient=True),
            confirm("123456"),
        ),
        TOO_OFTEN,
        QUOTAS,
    )
    yield Case(
        "confirm-right-code-after-20-confirms", (request(), spent, confirm()), TOO_OFTEN, QUOTAS
    )
    yield Case(
        "request-by-name-after-20-by-alias",
        (request(EMAIL, times=20, lenient=True), request()),
        TOO_OFTEN,
        QUOTAS,
        pool="aliases",
    )
    yield Case(
        "request-of-another-after-20",
        (request("bea", times=20, lenient=True), request()),
        CODE,
        QUOTAS,
        "two",
    )
    yield Case(
        "request-an-hour-after-20",
        (request(times=20, lenient=True), advance(3601), request()),
        CODE,
        "[?] the window isn't published",
    )
    yield Case(
        "request-missing-after-20-enabled",
        (request(times=20, lenient=True), request()),
        SIMULATED,
        "[?] whether the simulation has a limit of its own",
        "missing",
        "ENABLED",
        choices={
            ("unknown_user", "invalid_parameter"): NO_CONTACT,
        },
    )


def _settings() -> Iterator[Case]:
    yield from _both(
        "request-admin-only",
        request(),
        expected=ADMIN_ONLY,
        source="[seen] other emulators: the text is unconfirmed",
        pool="admin only",
    )
    yield Case(
        "request-admin-only-missing-enabled",
        (request(),),
        ADMIN_ONLY,
        "[?] the setting or the user first",
        "missing",
        "ENABLED",
        "admin only",
    )
    yield Case(
        "reset-admin-only",
        (RESET,),
        ADMIN_ONLY,
        "[?] self-service recovery must be configured; the error isn't said",
        pool="admin only",
    )
    for pool in ("phone first", "unset"):
        for user, expected in {
            "confirmed": CODE,
            "confirmed by both": SMS,
        }.items():
            yield Case(
                f"request-{_slug(pool)}-{_slug(user)}",
                (request(),),
                expected,
                RECOVERY,
                user,
                pool=pool,
            )
    legacy = "[model] CreateUserPool, AccountRecoverySetting: SMS isn't excluded where it is absent"
    for pool, expected, source in (("phone first", CODE, RECOVERY), ("unset", SMS, legacy)):
        yield Case(
            f"request-{_slug(pool)}-mfa-by-phone-has-email",
            (request(),),
            expected,
            source,
            "mfa by phone, has email",
            pool=pool,
        )
    yield Case("request-phone-only", (request(),), NO_CONTACT, RECOVERY, pool="phone only")
    yield Case(
        "request-passwordless",
        (
            admin("AdminCreateUser", MessageAction="SUPPRESS", UserAttributes=attributes(**_MAIL)),
            request(),
        ),
        CODE,
        "[?] a user who never had a password",
        "missing",
        pool="one-time passwords",
    )


def _afterwards() -> Iterator[Case]:
    after = (request(), confirm())
    yield Case("sign-in-new-password", (*after, sign_in(NEW)), TOKENS, CONFIRM)
    yield Case("sign-in-old-password", (*after, sign_in(OLD)), WRONG_PASSWORD, CONFIRM)
    mfa = "[doc] guide, SMS and email message MFA: a phone number in the profile is enough"
    for user in ("confirmed by phone", "mfa by phone"):
        yield Case(
            f"sign-in-mfa-{_slug(user)}",
            (sign_in(OLD),),
            "challenge SMS_MFA",
            mfa,
            user,
            pool="mfa",
        )
    setup = "[model] InitiateAuth, ChallengeName"
    yield Case("sign-in-mfa-no-factor", (sign_in(OLD),), "challenge MFA_SETUP", setup, pool="mfa")
    yield Case("sign-in-after-request", (request(), sign_in(OLD)), TOKENS, FORGOT)
    for flaw, step in {
        "wrong-code": confirm("{wrong}", lenient=True),
        "weak-password": confirm(password="weak", lenient=True),
    }.items():
        yield Case(f"sign-in-after-{flaw}", (request(), step, sign_in(OLD)), TOKENS, CONFIRM)
    forced = "[doc] guide, RESET_REQUIRED at sign-in"
    yield Case(
        "sign-in-reset-required-legacy", (sign_in(OLD),), RESET_REQUIRED, forced, "reset required"
    )
    yield Case(
        "sign-in-reset-required-enabled",
        (sign_in(OLD),),
        RESET_REQUIRED,
        "[?] documents and engineers disagree",
        "reset required",
        "ENABLED",
        choices={("reset_required_sign_in", "NotAuthorizedException"): WRONG_PASSWORD},
    )
    yield Case(
        "sign-in-reset-required-confirmed",
        (confirm(), sign_in(NEW)),
        TOKENS,
        forced,
        "reset required",
    )
    yield Case("status-after-confirm", (*after, look_up()), ANN, CONFIRM)
    yield Case("status-after-reset-and-confirm", (RESET, confirm(), look_up()), ANN, forced)
    yield Case(
        "status-after-unconfirmed-confirm",
        (request(), confirm(lenient=True), look_up()),
        ANN,
        "[?] confirmed by it, or not",
        "unconfirmed, verified",
        choices={("unconfirmed_may_confirm", False): "ann UNCONFIRMED"},
    )
    yield Case(
        "sign-in-after-trigger-failed",
        (request(), Step("trigger"), confirm(lenient=True), sign_in(NEW)),
        TOKENS,
        "[?] whether the password was changed",
        choices={("password_changed_when_trigger_fails", False): WRONG_PASSWORD},
    )
    yield Case(
        "confirm-trigger-failed",
        (request(), Step("trigger"), confirm()),
        "UserLambdaValidationException: PostConfirmation failed with error the trigger's own words.",
        "[doc] guide, Lambda triggers: the function's text reaches the caller",
    )
    live_on = "[seen] users; AWS lists a reset nowhere among what ends sessions"
    yield Case(
        "access-token-after-confirm", (sign_in(OLD), *after, USE_ACCESS), "user ann", live_on
    )
    yield Case("refresh-token-after-confirm", (sign_in(OLD), *after, USE_REFRESH), TOKENS, live_on)
    ends = "[doc] guide, ending user sessions"
    yield Case(
        "access-token-after-sign-out",
        (sign_in(OLD), SIGN_OUT, USE_ACCESS),
        "NotAuthorizedException: Access Token has been revoked",
        ends,
    )
    yield Case(
        "refresh-token-after-sign-out",
        (sign_in(OLD), SIGN_OUT, USE_REFRESH),
        "NotAuthorizedException: Refresh Token has been revoked",
        ends,
    )
    yield Case("sign-in-after-sign-out", (SIGN_OUT, sign_in(OLD)), TOKENS, ends)
    yield Case(
        "sign-out-missing", (SIGN_OUT,), NO_USER, "[model] AdminUserGlobalSignOut", "missing"
    )
    yield Case(
        "sign-in-disabled-legacy",
        (sign_in(OLD),),
        "NotAuthorizedException: User is disabled.",
        "[seen] reports",
        "disabled",
    )
    yield Case("sign-in-missing-legacy", (sign_in(OLD),), NO_USER, "[seen] reports", "missing")
    yield Case(
        "sign-in-missing-enabled", (sign_in(OLD),), WRONG_PASSWORD, ERRORS, "missing", "ENABLED"
    )
    yield Case(
        "sign-in-unconfirmed",
        (sign_in(OLD),),
        "UserNotConfirmedException: …",
        "[model] InitiateAuth",
        "unconfirmed",
    )
    yield Case(
        "contact-after-phone-confirm",
        (
            admin(
                "AdminUpdateUserAttributes",
                UserAttributes=attributes(email=EMAIL, email_verified="false"),
            ),
            request(),
            confirm(),
            look_up(f'email = "{EMAIL}"'),
            request(EMAIL),
        ),
        MISSING,
        "[doc] guide: a reset verifies no contact",
        "confirmed by phone",
        pool="aliases",
    )


def _invitations() -> Iterator[Case]:
    said = "[model] AdminCreateUser, MessageAction RESEND"
    resend = admin("AdminCreateUser", MessageAction="RESEND", DesiredDeliveryMediums=["EMAIL"])
    chosen = "challenge NEW_PASSWORD_REQUIRED"
    yield Case("sign-in-invited", (sign_in(TEMPORARY),), chosen, said, "invited")
    yield Case(
        "sign-in-invited-too-late",
        (advance(7 * 86400 + 1), sign_in(TEMPORARY)),
        "NotAuthorizedException: Temporary password has expired and must be reset by an administrator.",
        "[doc] guide, TemporaryPasswordValidityDays",
        "invited",
    )
    yield Case("resend-invited", (resend,), "ann FORCE_CHANGE_PASSWORD; sent", said, "invited")
    yield Case("resend-new-password", (resend, sign_in("{code}")), chosen, said, "invited")
    yield Case("resend-old-password", (resend, sign_in(TEMPORARY)), WRONG_PASSWORD, said, "invited")
    yield Case(
        "resend-after-expiry",
        (advance(7 * 86400 + 1), resend, sign_in("{code}")),
        chosen,
        said,
        "invited",
    )
    yield Case(
        "resend-by-default-medium",
        (admin("AdminCreateUser", MessageAction="RESEND"),),
        "ann FORCE_CHANGE_PASSWORD",
        "[model] AdminCreateUser, DesiredDeliveryMediums: SMS, and this user has no phone",
        "invited",
    )
    for user in ("confirmed", "reset required", "unconfirmed"):
        yield Case(
            f"resend-{_slug(user)}", (resend,), "UnsupportedUserStateException: …", said, user
        )
    yield Case("resend-missing", (resend,), NO_USER, said, "missing")
    yield Case(
        "resend-with-one-time-passwords",
        (resend,),
        "ann FORCE_CHANGE_PASSWORD; sent",
        "[?] such pools may want a TemporaryPassword",
        "invited",
        pool="one-time passwords",
        choices={("resend_needs_temporary_password", True): INVALID},
    )


def _lists() -> Iterator[Case]:
    for name, text, expected in (
        ("all", "", "ann CONFIRMED, bea FORCE_CHANGE_PASSWORD"),
        ("username", 'username = "ann"', ANN),
        ("username-other-case", 'username = "Ann"', "nobody"),
        ("username-prefix", 'username ^= "a"', ANN),
        ("email", f'email = "{EMAIL}"', ANN),
        ("email-prefix", 'email ^= "bea@"', "bea FORCE_CHANGE_PASSWORD"),
        ("email-part", 'email = "ann@"', "nobody"),
        ("sub", 'sub = "{sub}"', "bea FORCE_CHANGE_PASSWORD"),
        ("status", 'cognito:user_status = "CONFIRMED"', ANN),
        ("status-other-case", 'cognito:user_status = "confirmed"', ANN),
        ("enabled", 'status = "Enabled"', "ann CONFIRMED, bea FORCE_CHANGE_PASSWORD"),
        ("disabled", 'status = "Disabled"', "nobody"),
        ("missing", 'username = "nobody"', "nobody"),
        ("unknown-attribute", 'nickname = "ann"', INVALID),
        ("broken", "username ann", INVALID),
        ("unquoted", "username = ann", INVALID),
    ):
        yield Case(f"list-{name}", (look_up(text),), expected, FILTERS, "two")
    flat = "[doc] guide, user pool case sensitivity: output is flattened to lower case"
    for pool, typed, expected in (
        ("insensitive", "Eve", "nobody"),
        ("insensitive", "eve", "eve FORCE_CHANGE_PASSWORD"),
        ("sensitive", "Eve", "Eve FORCE_CHANGE_PASSWORD"),
        ("sensitive", "eve", "nobody"),
    ):
        yield Case(
            f"list-made-as-Eve-by-{typed}-{pool}",
            (created("Eve"), look_up(f'username = "{typed}"')),
            expected,
            flat if pool == "insensitive" else FILTERS,
            "missing",
            pool=pool,
        )
    yield Case(
        "list-phone", (look_up(f'phone_number = "{PHONE}"'),), ANN, FILTERS, "confirmed by phone"
    )
    yield Case(
        "list-without-blanks", (look_up('username="ann"'),), ANN, "[?] the examples have blanks"
    )
    yield Case(
        "list-email-other-case",
        (look_up(f'email = "{EMAIL.upper()}"'),),
        ANN,
        "[?] case counts for username and status, not for cognito:user_status",
    )
    yield Case("list-quotes-escaped", (look_up('name = "Ann \\"A\\" B"'),), ANN, FILTERS, "quoted")
    yield Case(
        "list-disabled-user", (look_up('username = "ann"'),), f"{ANN} disabled", FILTERS, "disabled"
    )
    yield Case("list-unconfirmed", (look_up(),), "ann UNCONFIRMED", FILTERS, "unconfirmed")
    yield Case("list-federated", (look_up(),), "ann EXTERNAL_PROVIDER", FILTERS, "federated")
    yield Case(
        "list-alias-unverified",
        (look_up(f'email = "{EMAIL}"'),),
        ANN,
        FILTERS,
        "unverified",
        pool="aliases",
    )
    yield Case(
        "list-first-page",
        (look_up(Limit=1),),
        "… and more",
        "[model] ListUsers: pages may be empty and still have a token",
        "two",
        choices={("list_starts_with_empty_page", True): "nobody and more"},
    )
    yield Case("list-limit-too-high", (look_up(Limit=61),), INVALID, MEMBERS)
    yield Case(
        "list-attributes-that-are-there",
        (look_up(AttributesToGet=["email"]),),
        ANN,
        "[model] AttributesToGet",
    )
    yield Case(
        "list-attributes-that-are-not",
        (look_up(AttributesToGet=["phone_number"]),),
        INVALID,
        "[model] AttributesToGet: an error where a user lacks one",
    )
    yield Case(
        "list-unknown-pool",
        (Step("ListUsers", {"UserPoolId": "us-east-1_Nothing00"}),),
        "ResourceNotFoundException: …",
        "[model] ListUsers",
    )


_TARGET: Final = "AWSCognitoIdentityProviderService.ForgotPassword"


def _post(body: str, target: str = _TARGET) -> Step:
    return Step("post", {"target": target, "body": body})


def _wire() -> Iterator[Case]:
    """Requests that no SDK sends, from a client without a secret."""
    said = "[seen] recorded answers"
    for name, step, expected in (
        (
            "null-member",
            _post('{"ClientId": "{client}", "Username": "ann", "SecretHash": null}'),
            CODE,
        ),
        ("unknown-member", _post('{"ClientId": "{client}", "Username": "ann", "Extra": 1}'), CODE),
        ("absent-username", _post('{"ClientId": "{client}"}'), INVALID),
        ("null-username", _post('{"ClientId": "{client}", "Username": null}'), INVALID),
        ("number", _post('{"ClientId": "{client}", "Username": 5}'), "SerializationException: …"),
        ("not-json", _post("username=ann"), "SerializationException: …"),
        ("list", _post("[]"), "SerializationException: …"),
        (
            "unknown-operation",
            _post("{}", "AWSCognitoIdentityProviderService.Forget"),
            "UnknownOperationException: …",
        ),
        ("no-target", _post("{}", ""), "UnknownOperationException: …"),
        (
            "unsigned",
            _post('{"UserPoolId": "{pool}"}', "AWSCognitoIdentityProviderService.ListUsers"),
            "MissingAuthenticationTokenException: …",
        ),
    ):
        yield Case(f"wire-{name}", (step,), expected, said, client="public")


def _slug(text: str) -> str:
    return text.replace(", ", "-").replace(" ", "-")


CASES: Final = tuple(rows())


@dataclass(frozen=True)
class Form:
    """What an answer is like on the wire: its status, some of its headers, its body's members."""

    id: str
    body: str
    expected: Mapping[str, str]
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)


_SPOKEN: Final = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": _TARGET,
    "Origin": "https://example.com",
}
_CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date",
}
#: All [seen]: recorded answers, and the preflight that browsers' SDKs make.
FORMS: Final = (
    Form(
        "success",
        '{"ClientId": "{client}", "Username": "ann"}',
        {
            "status": "200",
            "content-type": "application/x-amz-json-1.1",
            "x-amzn-requestid": "…-…-…-…-…",
            **_CORS,
            "body": "CodeDeliveryDetails",
        },
        headers=_SPOKEN,
    ),
    Form(
        "error",
        '{"ClientId": "1unknown23456789", "Username": "ann"}',
        {
            "status": "400",
            "content-type": "application/x-amz-json-1.1",
            "x-amzn-requestid": "…-…-…-…-…",
            "x-amzn-errortype": "ResourceNotFoundException:",
            "x-amzn-errormessage": "User pool client 1unknown23456789 does not exist.",
            **_CORS,
            "body": "__type, message",
        },
        headers=_SPOKEN,
    ),
    Form(
        "preflight",
        "",
        {
            "status": "200",
            "access-control-allow-origin": "*",
            "access-control-allow-headers": "…x-amz-target…",
        },
        method="OPTIONS",
        headers={
            "Origin": "https://example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-amz-target,x-amz-user-agent",
        },
    ),
)
