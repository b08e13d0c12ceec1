"""
Multi-factor authentication: what the pool offers, what a user chose, and authenticator apps.

The sources are botocore's model (SetUserPoolMfaConfig, AdminSetUserMFAPreference, VerifySoftwareToken) and
https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from cognito_reset.testing.errors import CognitoError, invalid_parameter, not_authorized
from cognito_reset.testing.pools import Pool
from cognito_reset.testing.state import State
from cognito_reset.testing.tokens import user_of
from cognito_reset.testing.totp import STEP_SECONDS, new_secret, totp
from cognito_reset.testing.users import MFA_ATTRIBUTES, User

Request = dict[str, Any]

#: The second factors, and the member of SetUserPoolMfaConfig that offers each.
FACTORS: Final = {
    "SMS_MFA": "SmsMfaConfiguration",
    "SOFTWARE_TOKEN_MFA": "SoftwareTokenMfaConfiguration",
    "EMAIL_OTP": "EmailMfaConfiguration",
}
_PREFERENCES: Final = {
    "SMS_MFA": "SMSMfaSettings",
    "EMAIL_OTP": "EmailMfaSettings",
    "SOFTWARE_TOKEN_MFA": "SoftwareTokenMfaSettings",
}
#: The session of a sign-in whose user has set up an authenticator app.
SET_UP: Final = "MFA_SETUP done"

# https://github.com/aws/aws-cdk/issues/12075
NEEDS_SMS: Final = "SMS configuration and Auto verification for phone_number are required when MFA is required/optional"


def mode(pool: Pool) -> str:
    """Return OFF, OPTIONAL or ON."""
    return str(pool.settings.get("MfaConfiguration", "OFF"))


def offered(pool: Pool) -> list[str]:
    return [factor for factor, member in FACTORS.items() if _is_on(pool.mfa.get(member))]


def _is_on(configuration: dict[str, Any] | None) -> bool:
    return configuration is not None and configuration.get("Enabled", True)


def configured(request: Request, *, before: dict[str, Any]) -> dict[str, Any]:
    """
    Return the factors of a pool that is created or updated. CreateUserPool can set up SMS only, and
    refuses MFA without it (botocore's model, CreateUserPool, MfaConfiguration).
    """
    if request.get("MfaConfiguration", "OFF") == "OFF":
        return {}
    if "SmsConfiguration" in request:
        sms = {"SmsConfiguration": request["SmsConfiguration"]}
        if "SmsAuthenticationMessage" in request:
            sms["SmsAuthenticationMessage"] = request["SmsAuthenticationMessage"]
        return {"SmsMfaConfiguration": sms, **before}
    if not before:
        raise invalid_parameter(NEEDS_SMS)
    return before


def factors(pool: Pool, user: User) -> list[str]:
    """
    Return the factors with which the user can complete a sign-in.

    Where MFA is required, a contact is enough ("SMS and email message MFA require no additional
    configuration after your user adds an email address or phone number to their profile":
    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa-sms-email-message.html).
    Where it is optional, the user must have chosen the factor. An authenticator app works even if the
    pool doesn't offer it any more
    (https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa-totp.html).
    """
    chosen = user.mfa
    if mode(pool) == "ON" and not chosen:
        chosen = list(FACTORS)
    has_contact = [
        factor for factor in offered(pool) if user.attributes.get(MFA_ATTRIBUTES.get(factor, ""))
    ]
    usable = [*has_contact, *(["SOFTWARE_TOKEN_MFA"] if user.has_totp else [])]
    return [factor for factor in chosen if factor in usable]


def set_user_pool_mfa_config(state: State, request: Request) -> dict[str, Any]:
    """
    Replace the pool's configuration. MFA can't be off while the request has a factor, nor on without one:
    https://github.com/go-to-k/cdkd/issues/1923 and https://github.com/anomalyco/sst/issues/5177
    """
    pool = state.pool(request["UserPoolId"])
    wanted = request.get("MfaConfiguration", mode(pool))
    mfa = {member: request[member] for member in FACTORS.values() if _is_on(request.get(member))}
    if wanted == "OFF" and mfa:
        raise invalid_parameter(
            "Invalid MFA configuration given, can't turn off MFA and configure an MFA together."
        )
    if wanted != "OFF" and not mfa:
        raise invalid_parameter(
            "Invalid MFA configuration given, can't disable all MFAs with a required or optional "
            "configuration."
        )
    if "SmsMfaConfiguration" in mfa:
        known = pool.settings.get("SmsConfiguration")
        sms = {**({"SmsConfiguration": known} if known else {}), **mfa["SmsMfaConfiguration"]}
        if "SmsConfiguration" not in sms:
            raise invalid_parameter(NEEDS_SMS)
        mfa["SmsMfaConfiguration"] = sms
    if "EmailMfaConfiguration" in mfa:
        _check_email(pool)
    pool.mfa = mfa
    pool.settings["MfaConfiguration"] = wanted
    pool.modified = state.now()
    return get_user_pool_mfa_config(state, request)


def _check_email(pool: Pool) -> None:
    """
    Email as a factor needs the Essentials plan (botocore's model, EmailMfaConfigType) and a sender of
    the pool's own:
    https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-mfa-sms-email-message.html
    AWS doesn't document the text of the error.
    """
    if pool.settings.get("UserPoolTier") == "LITE":
        raise CognitoError(
            "FeatureUnavailableInTierException", "Email MFA isn't available in the tier LITE."
        )
    if pool.settings.get("EmailConfiguration", {}).get("EmailSendingAccount") != "DEVELOPER":
        raise invalid_parameter(
            "Email MFA needs an EmailConfiguration with DEVELOPER as its account."
        )


def get_user_pool_mfa_config(state: State, request: Request) -> dict[str, Any]:
    pool = state.pool(request["UserPoolId"])
    return {**pool.mfa, "MfaConfiguration": mode(pool)}


def admin_set_user_mfa_preference(state: State, request: Request) -> dict[str, Any]:
    _prefer(state.pool(request["UserPoolId"]).user(request["Username"]), request)
    return {}


def set_user_mfa_preference(state: State, request: Request) -> dict[str, Any]:
    _prefer(user_of(state, request["AccessToken"], "access", "Access Token"), request)
    return {}


def _prefer(user: User, request: Request) -> None:
    chosen = {name: request[member] for name, member in _PREFERENCES.items() if member in request}
    preferred = [name for name, setting in chosen.items() if setting.get("PreferredMfa")]
    if len(preferred) > 1:
        raise invalid_parameter("Only one MFA setting can be preferred.")
    for name, setting in chosen.items():
        if setting.get("Enabled"):
            _check_factor(user, name)
    for name, setting in chosen.items():
        user.mfa = [kept for kept in user.mfa if kept != name]
        if setting.get("Enabled"):
            user.mfa.append(name)
        if user.preferred_mfa == name:
            user.preferred_mfa = ""
    if preferred:
        user.preferred_mfa = preferred[0]


def _check_factor(user: User, factor: str) -> None:
    """
    Refuse a factor that the user can't have: https://github.com/aws-amplify/amplify-js/issues/618 and
    https://github.com/aws/aws-sdk-js-v3/issues/4645. Email's words are like those for the phone number.
    """
    if factor == "SMS_MFA" and not user.attributes.get("phone_number"):
        raise invalid_parameter("User does not have a phone_number set to turn on SMS MFA")
    if factor == "EMAIL_OTP" and not user.attributes.get("email"):
        raise invalid_parameter("User does not have an email set to turn on EMAIL MFA")
    if factor == "SOFTWARE_TOKEN_MFA" and not user.has_totp:
        raise invalid_parameter(
            "User does not have delivery config set to turn on SOFTWARE_TOKEN_MFA"
        )


def associate_software_token(state: State, request: Request) -> dict[str, Any]:
    """Return a new secret for an authenticator app. It replaces the user's old secret at once."""
    pool, user, session = _holder(state, request)
    if "SOFTWARE_TOKEN_MFA" not in offered(pool):
        raise CognitoError(
            "SoftwareTokenMFANotFoundException",
            "Software Token MFA has not been enabled by the userPool",
        )
    user.totp_secret, user.has_totp = new_secret(state.rng), False
    return {"SecretCode": user.totp_secret, **_next(state, session, "MFA_SETUP")}


def verify_software_token(state: State, request: Request) -> dict[str, Any]:
    _, user, session = _holder(state, request)
    if not user.totp_secret:
        raise CognitoError(
            "SoftwareTokenMFANotFoundException", "Software Token MFA does not exist for the user."
        )
    if not is_totp(state, user, request["UserCode"]):
        # https://github.com/aws-samples/aws-amplify-auth-starters/issues/15
        raise CognitoError(
            "EnableSoftwareTokenMFAException", "Code mismatch and fail enable Software Token MFA"
        )
    user.has_totp = True
    return {"Status": "SUCCESS", **_next(state, session, SET_UP)}


def is_totp(state: State, user: User, code: str) -> bool:
    """Check an authenticator app's code. AWS accepts one that is a step early or late."""
    steps = (timedelta(seconds=STEP_SECONDS * number) for number in (-1, 0, 1))
    return any(code == totp(user.totp_secret, state.now() + step) for step in steps)


def _holder(state: State, request: Request) -> tuple[Pool, User, str]:
    """Return the pool, the user and, if it isn't an access token, the session of a sign-in."""
    token, session = request.get("AccessToken", ""), request.get("Session", "")
    if bool(token) == bool(session):
        raise invalid_parameter("Either AccessToken or Session is required.")
    if token:
        user = user_of(state, token, "access", "Access Token")
        return state.pool(state.sessions[token].pool_id), user, ""
    found = state.sessions.get(session)
    if found is None or found.kind != "MFA_SETUP" or found.ends <= state.now():
        raise not_authorized("Invalid session for the user.")
    return state.pool(found.pool_id), state.owner(found), session


def _next(state: State, session: str, kind: str) -> dict[str, str]:
    """Return the session that follows a session, or nothing if there was none."""
    if not session:
        return {}
    before = state.sessions[session]
    state.use_session(session)
    seconds = int((before.ends - state.now()).total_seconds())
    pool = state.pool(before.pool_id)
    owner = state.owner(before)
    return {"Session": state.open_session(kind, pool, before.client_id, owner, seconds=seconds)}


OPERATIONS: Final = {
    "SetUserPoolMfaConfig": set_user_pool_mfa_config,
    "GetUserPoolMfaConfig": get_user_pool_mfa_config,
    "AdminSetUserMFAPreference": admin_set_user_mfa_preference,
    "SetUserMFAPreference": set_user_mfa_preference,
    "AssociateSoftwareToken": associate_software_token,
    "VerifySoftwareToken": verify_software_token,
}
