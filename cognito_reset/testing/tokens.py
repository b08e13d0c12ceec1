"""The tokens of a sign-in."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from cognito_reset.testing.errors import not_authorized
from cognito_reset.testing.pools import Client, Pool
from cognito_reset.testing.state import Session, State
from cognito_reset.testing.users import User

_SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


def tokens(
    state: State, pool: Pool, client: Client, user: User, *, refresh: bool = True
) -> dict[str, Any]:
    now = int(state.now().timestamp())
    access_seconds = _validity(client, "AccessToken", 1, "hours")
    id_seconds = _validity(client, "IdToken", 1, "hours")
    claims: dict[str, Any] = {
        "sub": user.sub,
        "iss": f"https://cognito-idp.{pool.region}.amazonaws.com/{pool.id}",
        "auth_time": now,
        "iat": now,
    }
    groups = [name for name, group in pool.groups.items() if user.username in group.members]
    if groups:
        claims["cognito:groups"] = groups
    access = {
        **claims,
        "client_id": client.id,
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "exp": now + access_seconds,
        "username": user.username,
    }
    identity = {
        **claims,
        **user.attributes,
        "aud": client.id,
        "token_use": "id",
        "exp": now + id_seconds,
        "cognito:username": user.username,
    }
    result = {
        "AccessToken": state.open_session(
            "access", pool, client.id, user, seconds=access_seconds, prefix=_jwt(access)
        ),
        "IdToken": state.open_session(
            "id", pool, client.id, user, seconds=id_seconds, prefix=_jwt(identity)
        ),
        "ExpiresIn": access_seconds,
        "TokenType": "Bearer",
    }
    if refresh:
        seconds = _validity(client, "RefreshToken", 30, "days")
        result["RefreshToken"] = state.open_session(
            "refresh", pool, client.id, user, seconds=seconds
        )
    return {"ChallengeParameters": {}, "AuthenticationResult": result}


def _jwt(claims: dict[str, Any]) -> str:
    """Return header and claims of a token. Random text follows them instead of a signature."""
    parts = ({"kid": "emulator", "alg": "RS256"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return "".join(f"{part.decode()}." for part in encoded)


def _validity(client: Client, token: str, default: int, unit: str) -> int:
    units = client.settings.get("TokenValidityUnits", {})
    number = client.settings.get(f"{token}Validity") or default
    return int(number * _SECONDS[units.get(token, unit)])


def user_of(
    state: State, token: str, kind: str, name: str, *, client: Client | None = None
) -> User:
    if token in state.revoked:
        raise not_authorized(f"{name} has been revoked")
    session: Session | None = state.sessions.get(token)
    if session is None or session.kind != kind or (client and client.id != session.client_id):
        raise not_authorized(f"Invalid {name}")
    if session.ends <= state.now():
        raise not_authorized(f"{name} has expired")
    return state.owner(session)
