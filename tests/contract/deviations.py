"""
What moto's server (5.2) and cognito-local (5.3) answer where it isn't what Amazon answers.

A deviation that is gone fails the test as well as a new one: both are news to whoever relies on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.contract.cases import (
    ANN,
    CODE,
    DONE,
    MISSING,
    NO_USER,
    OLD_CODE,
    SMS,
    TOKENS,
    WRONG_CODE,
    WRONG_PASSWORD,
)


@dataclass(frozen=True)
class Deviation:
    """What a server answers instead, in these cases."""

    why: str
    outcome: str
    ids: tuple[str, ...]


def _deviation(why: str, outcome: str, ids: str) -> Deviation:
    return Deviation(why, outcome, tuple(ids.split()))


#: What a server says in words of its own, and a case in which it does.
WORDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "moto": {"code by SMS to +15555550101": (SMS, "request-unset-confirmed-by-both")},
    "cognito_local": {
        "code by EMAIL to ann@example.com": (CODE, "request-confirmed-legacy"),
        "UserNotFoundException: User not found.": (MISSING, "request-missing-legacy"),
        "CodeMismatchException: Incorrect confirmation code": (WRONG_CODE, "confirm-wrong-legacy"),
    },
}
#: Of both servers: in a pool that isn't case-sensitive, AWS shows names in lower case.
KEEPS_CASE: Final = (
    _deviation(
        "A name has the case that it was created with.",
        "Eve FORCE_CHANGE_PASSWORD",
        """
        list-made-as-Eve-by-Eve-insensitive
        """,
    ),
    _deviation(
        "So nobody has the name in lower case.",
        "nobody",
        """
        list-made-as-Eve-by-eve-insensitive
        """,
    ),
)
#: What the other servers answer instead, after WORDS.
DEVIATIONS: Final[dict[str, tuple[Deviation, ...]]] = {
    "moto": (
        _deviation(
            "It knows users by their username only, and makes up a delivery for everybody else.",
            "code by EMAIL to …@h***.com (simulated)",
            """
            request-missing-legacy request-hash-too-long request-hash-malformed
            request-missing-hash-absent request-missing-hash-wrong
            request-missing-email-enabled request-missing-phone-enabled
            request-username-longest request-username-too-long
            request-username-empty request-username-space request-username-control
            request-username-unicode request-hash-over-alias
            request-hash-over-username-for-alias request-alias-email
            request-email-of-no-alias request-alias-unverified-legacy
            contact-after-phone-confirm request-hash-over-other-case
            request-hash-over-own-case request-alias-phone request-phone-of-no-alias
            request-alias-preferred request-by-sub request-other-case-insensitive
            request-other-case-sensitive request-other-case-plain
            request-alias-other-case-insensitive request-alias-other-case-sensitive
            request-preferred-other-case-insensitive
            request-preferred-other-case-sensitive
            """,
        ),
        _deviation(
            "The state, the contact, the limits, SecretHash and IpAddress are all the same to it.",
            CODE,
            """
            request-disabled-legacy request-disabled-enabled
            request-unconfirmed-legacy request-unconfirmed-enabled
            request-unverified-legacy request-unverified-enabled
            request-invited-legacy request-invited-enabled request-address-invalid
            request-confirmed-hash-absent request-confirmed-hash-wrong
            request-hash-over-sub-for-username request-public-client-hash-given
            request-unverified-email-as-username request-after-20-requests-legacy
            request-after-20-requests-enabled request-after-20-confirms
            request-by-name-after-20-by-alias
            """,
        ),
        _deviation(
            "A user without an email gets one.",
            "code by EMAIL to ann@h***.com",
            """
            request-no-contact-legacy request-no-contact-enabled
            request-mfa-by-phone-legacy request-mfa-by-phone-enabled
            request-confirmed-by-phone-legacy request-confirmed-by-phone-enabled
            """,
        ),
        _deviation(
            "Only the first recovery mechanism counts, whether the user has that contact or not.",
            "code by SMS to +*******9934",
            """
            request-phone-first-confirmed request-unset-confirmed request-phone-only
            """,
        ),
        _deviation(
            "MFA doesn't take a recovery channel away.",
            SMS,
            """
            request-phone-first-mfa-by-phone-has-email
            """,
        ),
        _deviation(
            "It asks for a second factor only if the user chose one.",
            TOKENS,
            """
            sign-in-mfa-confirmed-by-phone sign-in-mfa-no-factor
            """,
        ),
        *KEEPS_CASE,
        _deviation(
            "Who isn't there is an unknown client; nothing else was looked at before.",
            "ResourceNotFoundException: CLIENT",
            """
            confirm-unrequested-missing-legacy confirm-unrequested-missing-enabled
            confirm-username-too-long confirm-username-space confirm-code-empty
            confirm-code-space confirm-code-too-long confirm-missing-hash-absent
            confirm-missing-hash-wrong confirm-by-sub confirm-by-alias
            confirm-alias-unverified-enabled
            """,
        ),
        _deviation(
            "Any code that isn't of its own form will do, and any password.",
            DONE,
            """
            confirm-unrequested-disabled-legacy confirm-unrequested-disabled-enabled
            confirm-unrequested-unconfirmed-legacy
            confirm-unrequested-unconfirmed-enabled
            confirm-unrequested-unverified-legacy
            confirm-unrequested-unverified-enabled
            confirm-unrequested-no-contact-legacy
            confirm-unrequested-no-contact-enabled
            confirm-unrequested-mfa-by-phone-legacy
            confirm-unrequested-mfa-by-phone-enabled
            confirm-unrequested-invited-legacy confirm-unrequested-invited-enabled
            confirm-unrequested-confirmed-legacy
            confirm-unrequested-confirmed-enabled confirm-disabled-meanwhile
            confirm-wrong-legacy confirm-wrong-enabled confirm-password-short
            confirm-password-no-lowercase confirm-password-no-uppercase
            confirm-password-no-number confirm-password-no-symbol
            confirm-password-no-latin-letter confirm-password-too-long
            confirm-password-leading-space confirm-password-trailing-space
            confirm-password-weak-and-code-wrong confirm-password-reused
            confirm-password-reused-after-one confirm-password-empty
            confirm-code-longest confirm-confirmed-hash-absent
            confirm-confirmed-hash-wrong confirm-after-20-confirms-legacy
            confirm-after-20-confirms-enabled confirm-after-20-requests
            confirm-after-10-of-both
            """,
        ),
        _deviation(
            "So a wrong code uses up the right one; a code of its own form that isn't the newest is old.",
            OLD_CODE,
            """
            confirm-wrong-then-right confirm-weak-then-strong confirm-older
            confirm-code-of-another confirm-right-code-after-20-confirms
            """,
        ),
        _deviation(
            "And a wrong code or a weak password has changed the password.",
            WRONG_PASSWORD,
            """
            sign-in-after-wrong-code sign-in-after-weak-password
            """,
        ),
        _deviation(
            "AdminResetUserPassword sends nothing, and looks at no recovery setting.",
            DONE,
            """
            reset-confirmed reset-confirmed-by-phone reset-reset-required
            reset-with-metadata reset-after-20-requests reset-admin-only
            """,
        ),
        _deviation(
            "So there is no code to confirm with; nor is there a new temporary password.",
            "no code came",
            """
            confirm-reset-required sign-in-reset-required-confirmed
            status-after-reset-and-confirm resend-new-password
            """,
        ),
        _deviation(
            "RESEND sends nothing, and takes users in any state to FORCE_CHANGE_PASSWORD.",
            "ann FORCE_CHANGE_PASSWORD",
            """
            resend-invited resend-confirmed resend-reset-required resend-unconfirmed
            resend-with-one-time-passwords
            """,
        ),
        _deviation(
            "RESET_REQUIRED is no hindrance at sign-in.",
            TOKENS,
            """
            sign-in-reset-required-legacy sign-in-reset-required-enabled
            """,
        ),
        _deviation(
            "A sub is no username, and PreventUserExistenceErrors nothing.",
            NO_USER,
            """
            reset-by-sub sign-in-missing-enabled
            """,
        ),
        _deviation(
            "In other words.",
            "NotAuthorizedException: Invalid token",
            """
            access-token-after-sign-out
            """,
        ),
        _deviation(
            "A pool's id has no form.",
            "ResourceNotFoundException: User pool nothing does not exist.",
            """
            reset-malformed-pool
            """,
        ),
        _deviation(
            "A client's id has no form; what isn't a JSON object is an empty one.",
            "ResourceNotFoundException: Username/client id combination not found.",
            """
            request-client-unknown request-client-malformed request-client-too-long wire-not-json
            wire-list
            """,
        ),
        _deviation(
            "In other words.",
            "ResourceNotFoundException: 1unknown23456789",
            """
            confirm-client-unknown
            """,
        ),
        _deviation(
            "The case of a status and of an email counts; an escaped quote stays escaped.",
            "nobody",
            """
            list-status-other-case list-email-other-case list-quotes-escaped
            """,
        ),
        _deviation(
            "No limit on Limit, no error about AttributesToGet, no look at the signature.",
            ANN,
            """
            list-limit-too-high list-attributes-that-are-not wire-unsigned
            """,
        ),
        _deviation(
            "It breaks.",
            "500, not JSON",
            """
            wire-absent-username wire-null-username wire-number
            wire-unknown-operation
            """,
        ),
        _deviation(
            "Another of its services answers.",
            "200, not JSON",
            """
            wire-no-target
            """,
        ),
    ),
    "cognito_local": (
        _deviation(
            "Where MFA is required, it refuses users who didn't choose a factor.",
            "NotAuthorizedException: User not authorized",
            """
            sign-in-mfa-confirmed-by-phone sign-in-mfa-no-factor
            """,
        ),
        *KEEPS_CASE,
        _deviation(
            "It has no PreventUserExistenceErrors, aliases or pools without case, and looks at no form.",
            MISSING,
            """
            request-missing-enabled request-missing-email-enabled
            request-missing-phone-enabled request-missing-twice-enabled
            confirm-unrequested-missing-enabled request-username-too-long
            request-username-empty request-username-space request-username-control
            request-hash-too-long request-hash-malformed confirm-username-too-long
            confirm-username-space confirm-code-empty confirm-code-space
            confirm-code-too-long request-missing-hash-absent
            request-missing-hash-wrong confirm-missing-hash-absent
            confirm-missing-hash-wrong request-hash-over-alias
            request-hash-over-username-for-alias request-hash-over-other-case
            request-hash-over-own-case request-alias-email request-alias-phone
            request-alias-preferred confirm-by-alias
            request-alias-unverified-enabled confirm-alias-unverified-enabled
            request-other-case-insensitive request-alias-other-case-insensitive
            request-preferred-other-case-insensitive
            request-missing-after-20-enabled request-admin-only-missing-enabled
            wire-absent-username wire-null-username wire-number
            """,
        ),
        _deviation(
            "The state, verification, recovery settings, limits, SecretHash and IpAddress are all the same to it.",
            CODE,
            """
            request-disabled-legacy request-disabled-enabled
            request-unconfirmed-legacy request-unconfirmed-enabled
            request-unverified-legacy request-unverified-enabled
            request-invited-legacy request-invited-enabled request-address-invalid
            request-confirmed-hash-absent request-confirmed-hash-wrong
            request-hash-over-sub-for-username request-public-client-hash-given
            request-unverified-email-as-username request-after-20-requests-legacy
            request-after-20-requests-enabled request-after-20-confirms
            request-by-name-after-20-by-alias request-admin-only-legacy
            request-admin-only-enabled request-phone-first-confirmed-by-both
            request-unset-confirmed-by-both request-phone-only
            """,
        ),
        _deviation(
            "It only sends mail.",
            "500 Unsupported: Cognito Local unsupported feature: ForgotPassword without email on user",
            """
            request-no-contact-legacy request-no-contact-enabled
            request-confirmed-by-phone-legacy request-confirmed-by-phone-enabled
            """,
        ),
        _deviation(
            "What isn't the newest code is a wrong code, whoever the user is and however often.",
            WRONG_CODE,
            """
            confirm-unrequested-disabled-legacy
            confirm-unrequested-unconfirmed-legacy
            confirm-unrequested-unconfirmed-enabled
            confirm-unrequested-unverified-legacy
            confirm-unrequested-unverified-enabled
            confirm-unrequested-no-contact-legacy
            confirm-unrequested-no-contact-enabled
            confirm-unrequested-invited-legacy confirm-unrequested-confirmed-legacy
            confirm-unrequested-confirmed-enabled confirm-used-legacy
            confirm-used-enabled confirm-weak-then-strong
            confirm-confirmed-hash-absent confirm-confirmed-hash-wrong
            confirm-after-20-confirms-legacy confirm-after-20-confirms-enabled
            confirm-after-20-requests confirm-after-10-of-both
            """,
        ),
        _deviation(
            "Any password will do; a disabled user and a spent allowance are no hindrance.",
            DONE,
            """
            confirm-disabled-meanwhile confirm-password-short
            confirm-password-no-lowercase confirm-password-no-uppercase
            confirm-password-no-number confirm-password-no-symbol
            confirm-password-no-latin-letter confirm-password-too-long
            confirm-password-leading-space confirm-password-trailing-space
            confirm-password-reused confirm-password-reused-after-one
            confirm-right-code-after-20-confirms
            """,
        ),
        _deviation(
            "A client's id has no form; what isn't a JSON object names no client.",
            "ResourceNotFoundException: App Client … not found",
            """
            request-client-unknown request-client-malformed request-client-too-long
            confirm-client-unknown wire-list
            """,
        ),
        _deviation(
            "A wrong password at sign-in; the second, because the weak one was accepted.",
            "InvalidPasswordException: Invalid password",
            """
            sign-in-old-password sign-in-after-weak-password
            """,
        ),
        _deviation(
            "A disabled user signs in.",
            TOKENS,
            """
            sign-in-disabled-legacy
            """,
        ),
        _deviation(
            "A missing user at sign-in.",
            "NotAuthorizedException: User not authorized",
            """
            sign-in-missing-legacy sign-in-missing-enabled
            """,
        ),
        _deviation(
            "It has no RESEND.",
            "…500 Unsupported: Cognito Local unsupported feature: AdminCreateUser with MessageAction=RESEND",
            """
            resend-invited resend-by-default-medium resend-confirmed
            resend-unconfirmed resend-with-one-time-passwords resend-new-password
            resend-old-password
            """,
        ),
        _deviation(
            "A RESEND to nobody is a new user.",
            "InvalidParameterException: User has no attribute matching desired delivery mediums",
            """
            resend-missing
            """,
        ),
        _deviation(
            "A filter needs blanks around its operator.",
            "InvalidParameterException: Error while parsing filter",
            """
            list-without-blanks
            """,
        ),
        _deviation(
            "Enabled is called true; the case of an email counts; an escaped quote stays escaped.",
            "nobody",
            """
            list-enabled list-email-other-case list-quotes-escaped
            """,
        ),
        _deviation(
            "There are no pages.",
            "ann CONFIRMED, bea FORCE_CHANGE_PASSWORD",
            """
            list-first-page
            """,
        ),
        _deviation(
            "No limit on Limit, no error about AttributesToGet, no look at the signature.",
            ANN,
            """
            list-limit-too-high list-attributes-that-are-not wire-unsigned
            """,
        ),
        _deviation(
            "Its framework answers.",
            "400, not JSON",
            """
            wire-not-json
            """,
        ),
        _deviation(
            "An unknown operation.",
            "500 CognitoLocal#Unsupported: …",
            """
            wire-unknown-operation
            """,
        ),
        _deviation(
            "No operation.",
            "no __type: Missing x-amz-target header",
            """
            wire-no-target
            """,
        ),
    ),
}

_HIDDEN: Final = {"access-control-expose-headers": ""}
#: What differs in the form of their answers. A header that isn't there is "".
FORM_DEVIATIONS: Final[dict[str, dict[str, Mapping[str, str]]]] = {
    "moto": {
        "success": {
            "x-amzn-requestid": "…",
            "access-control-allow-origin": "https://example.com",
            **_HIDDEN,
        },
        "error": {
            "content-type": "application/json",
            "x-amzn-requestid": "…",
            "x-amzn-errortype": "ResourceNotFoundException",
            "x-amzn-errormessage": "",
            "access-control-allow-origin": "https://example.com",
            **_HIDDEN,
        },
        "preflight": {"access-control-allow-origin": "https://example.com"},
    },
    "cognito_local": {
        "success": {
            "content-type": "application/x-amz-json-1.1; charset=utf-8",
            "x-amzn-requestid": "",
            **_HIDDEN,
        },
        "error": {
            "content-type": "application/json; charset=utf-8",
            "x-amzn-requestid": "",
            "x-amzn-errortype": "",
            "x-amzn-errormessage": "",
            **_HIDDEN,
        },
        "preflight": {"status": "204"},
    },
}
