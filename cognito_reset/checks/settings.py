"""Checks of COGNITO_RESET: each key by its declaration in conf, and then values that are risky."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage

from cognito_reset.checks import message
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import (
    DEFAULT_LIMITS,
    DEFAULT_POOL,
    POOL_SETTINGS,
    SETTINGS,
    CognitoResetMisconfigured,
    PoolSettings,
    Rate,
    Section,
    conf,
    parse_rates,
    suggestion,
)

# Their add() isn't atomic, isn't shared by processes, or forgets what it should count.
UNSAFE_CACHES: Final = (LocMemCache, DummyCache, FileBasedCache, DatabaseCache)
COGNITO_ATTEMPTS_PER_HOUR: Final = 20  # Cognito's own limit for one user, at the most
FAR_TOO_MANY: Final = 100  # times the default
MANY_THREADS: Final = 64  # more than a process of a web server usually has


def check_settings(**_: Any) -> list[CheckMessage]:
    try:
        mistakes = [*_mistakes(conf, conf.raw)]
    except CognitoResetMisconfigured as error:
        return [message("E001", str(error), SETTINGS["POOLS"].hint(conf))]
    pools = SETTINGS["POOLS"].read(conf)
    for alias, pool in pools.items() if isinstance(pools, Mapping) else ():
        mistakes += _mistakes(PoolSettings(alias, pool), pool)
    # The other checks read conf, which raises an error for a value that can't be used.
    return mistakes or [*_unsuitable(), *_pools(), *_limits(), *_others()]


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def _mistakes(section: Section, given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    declared = SETTINGS if section is conf else POOL_SETTINGS
    for key in given:
        if key not in declared:
            text = f'{section.name} has an unknown key "{key}"{suggestion(key, declared)}.'
            yield message("E002", text, f"The keys are {', '.join(declared)}.")
    for key, setting in declared.items():
        error = setting.read(section) if key in given or setting.required else None
        if isinstance(error, CognitoResetMisconfigured):
            id = "E003" if setting.is_missing(section) else setting.id
            yield message(id, str(error), setting.hint(section))


def _unsuitable() -> Iterator[CheckMessage]:
    """Check values against classes that conf can't import."""
    service = conf.service_class
    if not (isinstance(service, type) and issubclass(service, CognitoService)):
        text = 'COGNITO_RESET["SERVICE_CLASS"] is not a subclass of CognitoService.'
        yield message("E015", text, SETTINGS["SERVICE_CLASS"].hint(conf))
    cache = conf.limits_cache and caches[conf.limits_cache]
    if isinstance(cache, UNSAFE_CACHES):
        text = f'COGNITO_RESET["LIMITS_CACHE"] is a {type(cache).__name__}.'
        yield message("E021", text, SETTINGS["LIMITS_CACHE"].hint(conf))


def _pools() -> Iterator[CheckMessage]:
    pools = [conf.pool(alias) for alias in conf.pool_aliases()]
    if DEFAULT_POOL not in conf.pools and not conf.pool_resolver:
        text = f'COGNITO_RESET["POOLS"] has no pool "{DEFAULT_POOL}".'
        hint = 'Name the pool in every include(), as in include(…, {"pool": "brand"}).'
        yield message("W001", text, hint)
    if len({pool.user_pool_id for pool in pools}) < len(pools):
        text = 'Two entries of COGNITO_RESET["POOLS"] have the same "USER_POOL_ID".'
        hint = "Use one alias for each pool. Limits are counted for each alias."
        yield message("W010", text, hint)
    for pool in pools:
        url, name = pool.endpoint_url or "", f'{pool.name}["ENDPOINT_URL"]'
        if url.lower().startswith("http:") and not is_loopback(url):
            hint = f"Set {name} to an https URL, so that nobody can read passwords and codes."
            yield message("W002" if settings.DEBUG else "E010", f"{name} is plain http.", hint)


def _limits() -> Iterator[CheckMessage]:
    for step, levels in (conf.limits or {}).items():
        for level, rates in levels.items():
            default = DEFAULT_LIMITS[step][level]
            name = f'COGNITO_RESET["LIMITS"]["{step}"]["{level}"]'
            hint = f"Set {name} to a lower rate. The default is {default}."
            if level == "identifier" and _per_hour(rates) > COGNITO_ATTEMPTS_PER_HOUR:
                text = f"{name} allows more than Cognito, which stops at 20 attempts in an hour."
                yield message("W020", text, hint)
            elif _per_hour(rates) > FAR_TOO_MANY * _per_hour(parse_rates(default)):
                yield message("W019", f"{name} is so high that it limits nothing.", hint)


def _per_hour(rates: tuple[Rate, ...]) -> int:
    """Return how many attempts the rates allow in one hour, or 0 for a level that is switched off."""
    return min((rate.limit * max(3600 // rate.seconds, 1) for rate in rates), default=0)


def _others() -> Iterator[CheckMessage]:
    if conf.show_destination:
        text = 'COGNITO_RESET["SHOW_DESTINATION"] is on. It can reveal who has an account.'
        yield message("W006", text, 'Set COGNITO_RESET["SHOW_DESTINATION"] to False.')
    if not any(name.endswith("SessionMiddleware") for name in settings.MIDDLEWARE):
        hint = "Add SessionMiddleware, which the pages need. The REST endpoints don't need it."
        yield message("W007", "MIDDLEWARE has no session middleware.", hint)
    behind_proxy = settings.SECURE_PROXY_SSL_HEADER or settings.USE_X_FORWARDED_HOST
    if behind_proxy and conf.trusted_proxies is None:
        text = "There is a proxy, by SECURE_PROXY_SSL_HEADER or USE_X_FORWARDED_HOST. All visitors "
        text += "share its rate limit, so that one visitor can lock out all others."
        yield message("W018", text, SETTINGS["TRUSTED_PROXIES"].hint(conf))
    if conf.max_concurrent_calls > MANY_THREADS:
        text = "When Cognito hangs, all threads wait for it, and the site's other pages stop."
        hint = 'Set COGNITO_RESET["MAX_CONCURRENT_CALLS"] to half of the threads of a process.'
        yield message("W021", text, hint)
