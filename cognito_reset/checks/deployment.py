"""Checks that only ``check --deploy`` runs. They warn of values that are fine for development."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage

from cognito_reset.checks import message
from cognito_reset.checks.settings import check_settings, is_loopback
from cognito_reset.conf import PoolSettings, conf

# A call to Cognito usually takes less. A shorter uniform time would not hide the difference.
LEAST_UNIFORM_SECONDS: Final = 0.3


def check_deployment(**_: Any) -> list[CheckMessage]:
    if any(found.is_serious() for found in check_settings()):
        return []  # conf raises an error for a value that can't be used
    pools = [conf.pool(alias) for alias in conf.pool_aliases()]
    return [*_attackers(), *_people(), *(found for pool in pools for found in _pool(pool))]


def check_app_clients(**_: Any) -> list[CheckMessage]:
    """Name what no system check can see, because checks run before a deployment and don't call AWS."""
    text = "Whether the app clients reveal who has an account (PreventUserExistenceErrors) could not be checked."
    hint = 'Run "manage.py cognito_reset doctor", which asks Cognito, and then silence this check.'
    return [message("I004", text, hint)]


def _attackers() -> Iterator[CheckMessage]:
    """Yield messages about settings that make attacks easier."""
    if conf.uniform_response_seconds < LEAST_UNIFORM_SECONDS:
        text = "The time of an answer can reveal who has an account."
        yield message("W003", text, 'Set COGNITO_RESET["UNIFORM_RESPONSE_SECONDS"] to 1.0.')
    if conf.limits is None:
        text = "Anybody can send codes and guess them as fast as Cognito allows."
        yield message("W004", text, 'Remove COGNITO_RESET["LIMITS"], which is False.')
    for step, levels in (conf.limits or {}).items():
        for level in (level for level, rates in levels.items() if not rates):
            name = f'COGNITO_RESET["LIMITS"]["{step}"]["{level}"]'
            yield message("W004", f"{name} is None.", f'Set {name} to a rate, such as "20/h".')
    if conf.limits_fail_open:
        text = "Nothing limits attackers while the cache or the database that counts them is down."
        yield message("W023", text, 'Set COGNITO_RESET["LIMITS_FAIL_OPEN"] to False.')
    if find_spec("sentry_sdk"):
        text = "sentry_sdk is installed. It may send the bodies of requests, which have passwords."
        hint = (
            'Pass max_request_body_size="never" to sentry_sdk.init(), or use the scrubber in the '
        )
        hint += 'docs, under "Error trackers". This check can\'t see them, so silence it then.'
        yield message("I002", text, hint)


def _people() -> Iterator[CheckMessage]:
    """Yield messages about what people need after a reset."""
    if conf.sign_in_url is None:
        text = "The pages have no link to sign in with the new password."
        yield message("W005", text, 'Set COGNITO_RESET["SIGN_IN_URL"].')
    if not conf.sign_out_everywhere:
        text = "Whoever knew the old password stays signed in, because Cognito ends no session."
        hint = 'Set COGNITO_RESET["SIGN_OUT_EVERYWHERE"] to True. This needs credentials.'
        yield message("W008", text, hint)


def _pool(pool: PoolSettings) -> Iterator[CheckMessage]:
    needs_users = {
        "END_SESSIONS": conf.end_sessions,
        "NOTIFY_AFTER_RESET": conf.notify_after_reset,
    }
    finds_users = conf.raw.get("COGNITO_USERNAME") or conf.user_resolver or pool.sign_in_declared
    if any(needs_users.values()) and not finds_users:
        names = " and ".join(name for name, is_on in needs_users.items() if is_on)
        text = f"{names} can't find the local user of a person who types an email address or a phone number."
        hint = 'or COGNITO_RESET["COGNITO_USERNAME"] or COGNITO_RESET["USER_RESOLVER"].'
        yield message("I003", text, f'Set {pool.name}["SIGN_IN_WITH"], {hint}')
    url, name = pool.endpoint_url, f'{pool.name}["ENDPOINT_URL"]'
    if url and is_loopback(url) and not settings.DEBUG:
        text = f"{name} is an address of this machine, but DEBUG is off."
        yield message("W022", text, f"Remove {name}, because an emulator is for development.")
    policy = pool.password_policy
    if not isinstance(policy, Mapping):
        return
    hint = "Change the pool's policy first, and then this setting."
    least = policy.get("MinimumLength", 8)
    if least < 8:
        text = f"{pool.name} allows passwords of fewer than 8 characters, unlike NIST SP 800-63B."
        yield message("W009", text, hint)
    elif least < 15 or any(policy[rule] for rule in policy if rule.startswith("Require")):
        text = f"{pool.name} has a policy that NIST SP 800-63B advises against. Without a second "
        text += "factor, it advises 15 characters or more, and no rules on kinds of characters."
        yield message("I001", text, hint)
