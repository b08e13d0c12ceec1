"""Checks of COGNITO_RESET: each key by its declaration in conf, and then values that are risky."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from inspect import iscoroutinefunction
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import memcache_key_warnings
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from cognito_reset.checks import message
from cognito_reset.cognito.service import CognitoService
from cognito_reset.conf import (
    DEFAULT_POOL,
    POOL_SETTINGS,
    SETTINGS,
    CognitoResetMisconfigured,
    PoolSettings,
    Section,
    conf,
)
from cognito_reset.parsers import DEFAULT_LIMITS, Rate, is_region, parse_rates, suggestion
from cognito_reset.resets.stores import TAG

# Their add() isn't atomic, isn't shared by processes, or forgets what it should count.
UNSAFE_CACHES: Final = (LocMemCache, DummyCache, FileBasedCache, DatabaseCache)
# Options of django-redis and of pymemcache. With the last one, add() succeeds whatever the server answers.
HIDING: Final = ("IGNORE_EXCEPTIONS", "ignore_exc", "default_noreply")
LONGEST_KEY: Final = 128 + len(":1234567")  # LedgerSlot.key, and the number of a slot
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
    if conf.limits_cache:
        for what, hint in _unsuitable_cache(conf.limits_cache):
            yield message("E021", f'COGNITO_RESET["LIMITS_CACHE"] names {what}.', hint)


def _unsuitable_cache(alias: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a cache, and what to do. This opens no connection."""
    cache, place = caches[alias], f'CACHES["{alias}"]'
    options = caches.settings[alias].get("OPTIONS") or {}
    client = options.get("CLIENT_CLASS") or object
    try:
        client = import_string(client) if isinstance(client, str) else client
    except ImportError as error:
        yield f"a cache that can't be used: {error}", f'Set {place}["OPTIONS"]["CLIENT_CLASS"].'
        return
    kinds = [kind.__name__ for kind in (*type(cache).__mro__, *client.__mro__)]
    if isinstance(cache, UNSAFE_CACHES) or iscoroutinefunction(cache.add):
        yield f"a {type(cache).__name__}", SETTINGS["LIMITS_CACHE"].hint(conf)
    hiding = {name for name in HIDING if options.get(name)}
    if getattr(cache, "_ignore_exceptions", False):  # or DJANGO_REDIS_IGNORE_EXCEPTIONS is set
        hiding.add("IGNORE_EXCEPTIONS")
    for name in sorted(hiding):
        hint = f'Set {place}["OPTIONS"]["{name}"] to False, or name a cache without it.'
        yield f'a cache with "{name}", which hides what the server answers', hint
    if "HerdClient" in kinds:
        hint = f'Set {place}["OPTIONS"]["CLIENT_CLASS"] to another one, or name another cache.'
        yield "a cache with a HerdClient, which keeps keys for longer than it shows them", hint
    longest = [TAG.ljust(LONGEST_KEY, end) for end in "ab"]
    keys = [cache.key_func(key, cache.key_prefix, cache.version) for key in longest]
    if isinstance(cache, BaseMemcachedCache) and any(memcache_key_warnings(keys[0])):
        hint = f'Shorten {place}["KEY_PREFIX"], and use no spaces in it.'
        yield "a cache whose keys are too long or have characters that Memcached refuses", hint
    # A cluster chooses the node by the text in a key's first braces, or else by the whole key.
    tags = [re.findall(r"^[^{]*{([^}]+)}", key) for key in keys]
    if any("Cluster" in kind for kind in kinds) and (tags[0] != tags[1] or not tags[0]):
        hint = f'Let {place}["KEY_FUNCTION"] return the key with its braces, or remove it.'
        yield f"a cluster whose keys lose {TAG}, which holds them on one node", hint


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
        prefix = pool.user_pool_id.partition("_")[0]
        if is_region(prefix) and prefix != pool.region:
            text = f'{pool.name}["REGION"] is "{pool.region}", but its "USER_POOL_ID" begins with "{prefix}".'
            hint = f'Set {pool.name}["REGION"] to "{prefix}". Only a replica of a pool is in '
            hint += "another Region, and nobody can reset a password there."
            yield message("W024", text, hint)
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
        text = "SECURE_PROXY_SSL_HEADER or USE_X_FORWARDED_HOST is set, so the site is behind a proxy. All "
        text += "visitors share its rate limit, so that one visitor can lock out all others."
        yield message("W018", text, SETTINGS["TRUSTED_PROXIES"].hint(conf))
    if conf.max_concurrent_calls > MANY_THREADS:
        text = "When Cognito hangs, all threads wait for it, and the site's other pages stop."
        hint = 'Set COGNITO_RESET["MAX_CONCURRENT_CALLS"] to half of the threads of a process.'
        yield message("W021", text, hint)
