"""
The challenges of a sign-in, and the answers to them.

botocore's model has the names of the members (RespondToAuthChallenge, ChallengeResponses).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cognito_reset.testing import mfa
from cognito_reset.testing.delivery import send_code
from cognito_reset.testing.errors import CognitoError, invalid_parameter, not_authorized
from cognito_reset.testing.pools import Client, Pool
from cognito_reset.testing.registration import set_attributes
from cognito_reset.testing.state import Session, State
from cognito_reset.testing.tokens import tokens
from cognito_reset.testing.users import MFA_ATTRIBUTES, User

Request = dict[str, Any]


def new_password_challenge(state: State, pool: Pool, client: Client, user: User) -> dict[str, Any]:
    return _challenge(
        state,
        pool,
        client,
        user,
        "NEW_PASSWORD_REQUIRED",
        {"requiredAttributes": "[]", "userAttributes": json.dumps(user.attributes)},
    )


def second_step(
    state: State, pool: Pool, client: Client, user: User, request: Request
) -> dict[str, Any]:
    """
    Return the challenge of the second factor, or tokens if there is none for this user.

    "If multiple options are activated and no preference is set, a challenge to choose an MFA option will
    be returned during sign-in", and MFA_SETUP is "for users who are required to setup an MFA factor
    before they can sign in" (botocore's model, SetUserMFAPreference and InitiateAuth).
    """
    mode = mfa.mode(pool)
    factors = mfa.factors(pool, user) if mode != "OFF" else []
    if user.preferred_mfa in factors:
        factors = [user.preferred_mfa]
    if len(factors) > 1:
        return _challenge(
            state, pool, client, user, "SELECT_MFA_TYPE", {"MFAS_CAN_CHOOSE": json.dumps(factors)}
        )
    if factors:
        return _second_factor(state, pool, client, user, factors[0], request)
    if mode == "ON":
        offered = json.dumps(mfa.offered(pool))
        return _challenge(state, pool, client, user, "MFA_SETUP", {"MFAS_CAN_SETUP": offered})
    return tokens(state, pool, client, user)


def _second_factor(
    state: State, pool: Pool, client: Client, user: User, factor: str, request: Request
) -> dict[str, Any]:
    """Ask for a code. It can be sent to a contact that isn't verified."""
    if factor == "SOFTWARE_TOKEN_MFA":
        return _challenge(state, pool, client, user, factor, {})
    code, details = send_code(
        state,
        pool,
        user,
        "authentication",
        MFA_ATTRIBUTES[factor],
        request,
        client_id=client.id,
    )
    parameters = {
        "CODE_DELIVERY_DELIVERY_MEDIUM": details["DeliveryMedium"],
        "CODE_DELIVERY_DESTINATION": details["Destination"],
    }
    return _challenge(state, pool, client, user, factor, parameters, code=code.value)


def _challenge(
    state: State,
    pool: Pool,
    client: Client,
    user: User,
    name: str,
    parameters: dict[str, str],
    *,
    code: str = "",
) -> dict[str, Any]:
    """Return a challenge. It must be answered within AuthSessionValidity, by default three minutes."""
    seconds = 60 * (client.settings.get("AuthSessionValidity") or 3)
    session = state.open_session(name, pool, client.id, user, seconds=seconds, code=code)
    return {
        "ChallengeName": name,
        "Session": session,
        "ChallengeParameters": {"USER_ID_FOR_SRP": user.username, **parameters},
    }


@dataclass
class _Answer:
    """An answer to a challenge, whose session has been checked."""

    state: State
    pool: Pool
    client: Client
    user: User
    session: Session
    request: Request

    def parameter(self, name: str) -> str:
        return parameter(self.request.get("ChallengeResponses", {}), name)

    def next(self) -> dict[str, Any]:
        """End the session, which works only once, and return tokens."""
        self.state.use_session(self.request["Session"])
        return tokens(self.state, self.pool, self.client, self.user)

    # The challenges, by what they ask for.

    def new_password(self) -> dict[str, Any]:
        password = self.parameter("NEW_PASSWORD")
        self.pool.check_password(password)
        prefix = "userAttributes."
        responses = self.request["ChallengeResponses"]
        given = [name for name in responses if name.startswith(prefix)]
        pairs = [{"Name": name.removeprefix(prefix), "Value": responses[name]} for name in given]
        set_attributes(self.state, self.pool, self.user, pairs)
        self.user.set_password(password, self.state.now())
        self.user.status = "CONFIRMED"
        step = second_step(self.state, self.pool, self.client, self.user, self.request)
        self.state.use_session(self.request["Session"])
        return step

    def sent_code(self) -> dict[str, Any]:
        """Compare the code. The first right one verifies the contact that it was sent to."""
        factor = self.session.kind
        if self.parameter(f"{factor}_CODE") != self.session.code:
            raise CognitoError("CodeMismatchException", "Invalid code or auth state for the user.")
        self.user.attributes[f"{MFA_ATTRIBUTES[factor]}_verified"] = "true"
        return self.next()

    def app_code(self) -> dict[str, Any]:
        if not mfa.is_totp(self.state, self.user, self.parameter("SOFTWARE_TOKEN_MFA_CODE")):
            raise CognitoError("CodeMismatchException", "Invalid code received for user")
        return self.next()

    def choice(self) -> dict[str, Any]:
        """Ask for the chosen factor's code. The model calls email EMAIL_MFA here."""
        answer = {"EMAIL_MFA": "EMAIL_OTP"}.get(self.parameter("ANSWER"), self.parameter("ANSWER"))
        if answer not in mfa.factors(self.pool, self.user):
            raise invalid_parameter("The answer must be one of MFAS_CAN_CHOOSE.")
        step = _second_factor(self.state, self.pool, self.client, self.user, answer, self.request)
        self.state.use_session(self.request["Session"])
        return step


_ANSWERS: Final[dict[str, Callable[[_Answer], dict[str, Any]]]] = {
    "NEW_PASSWORD_REQUIRED": _Answer.new_password,
    "SMS_MFA": _Answer.sent_code,
    "EMAIL_OTP": _Answer.sent_code,
    "SOFTWARE_TOKEN_MFA": _Answer.app_code,
    "SELECT_MFA_TYPE": _Answer.choice,
    "MFA_SETUP": _Answer.next,
}


def respond_to_auth_challenge(state: State, request: Request) -> dict[str, Any]:
    pool, client = state.client(request["ClientId"])
    return _respond(state, pool, client, request)


def admin_respond_to_auth_challenge(state: State, request: Request) -> dict[str, Any]:
    client = state.pool_client(request["UserPoolId"], request["ClientId"])
    return _respond(state, state.pool(client.pool_id), client, request)


def _respond(state: State, pool: Pool, client: Client, request: Request) -> dict[str, Any]:
    name = request["ChallengeName"]
    if name not in _ANSWERS:
        raise invalid_parameter(f"The emulator poses the challenges {', '.join(_ANSWERS)} only.")
    responses = request.get("ChallengeResponses", {})
    username = parameter(responses, "USERNAME")
    client.check_secret_hash(responses.get("SECRET_HASH"), username)
    token = request.get("Session", "")
    if token in state.revoked:
        raise not_authorized("Invalid session for the user, session can only be used once.")
    session = state.sessions.get(token)
    kind = mfa.SET_UP if name == "MFA_SETUP" else name
    user = pool.find(username)
    if session is None or session.kind != kind or user is None or session.sub != user.sub:
        raise not_authorized("Invalid session for the user.")
    if session.ends <= state.now():
        raise not_authorized("Invalid session for the user, session is expired.")
    return _ANSWERS[name](_Answer(state, pool, client, user, session, request))


def parameter(parameters: dict[str, str], name: str) -> str:
    try:
        return parameters[name]
    except KeyError:
        raise invalid_parameter(f"Missing required parameter {name}") from None


OPERATIONS: Final = {
    "RespondToAuthChallenge": respond_to_auth_challenge,
    "AdminRespondToAuthChallenge": admin_respond_to_auth_challenge,
}
