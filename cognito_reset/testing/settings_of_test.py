"""The site's setting COGNITO_RESET, made fit for a test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

REGION: Final = "us-east-1"
#: How the site reaches AWS. A test doesn't, and the machine of a test may lack the files.
_TRANSPORT: Final = {"ENDPOINT_URL": None, "CA_BUNDLE": None, "PROXIES": None}


class SettingsOfTest:
    """
    COGNITO_RESET for a test: the site's own, which need not be complete on the machine of a test.

    Missing ids are made up, and so is a secret that a callable would fetch. Answers take no longer than they must.
    """

    def __init__(self) -> None:
        raw = getattr(settings, "COGNITO_RESET", None)
        self._site = dict(raw) if isinstance(raw, Mapping) else {}
        if not self._site.get("POOLS"):
            self._site["POOLS"] = {"default": {}}
        self.value = self.complete(self._site)

    def complete(self, value: Any) -> Any:
        """
        Return a value of COGNITO_RESET with the replacements of what is the site's own in it. A test that changes
        the settings often takes the site's, in a decorator for example, and changes one key.
        """
        if not (isinstance(value, Mapping) and isinstance(value.get("POOLS"), Mapping)):
            return value
        seconds = "UNIFORM_RESPONSE_SECONDS"
        value = {
            **value,
            "POOLS": {alias: self._pool(alias, pool) for alias, pool in value["POOLS"].items()},
        }
        return {**value, seconds: 0} if value.get(seconds) == self._site.get(seconds) else value

    def _pool(self, alias: str, pool: Any) -> Any:
        sites = self._site["POOLS"].get(alias)
        if not (isinstance(pool, Mapping) and isinstance(sites, Mapping)):
            return pool
        replacements = {**_made_up(alias, sites), **_TRANSPORT}
        return {
            **pool,
            **{key: new for key, new in replacements.items() if pool.get(key) == sites.get(key)},
        }


def _made_up(alias: str, pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for what a pool's settings lack, the same each time."""
    digest = hashlib.sha256(alias.encode()).hexdigest()
    region_of_id = str(pool.get("USER_POOL_ID") or "").rpartition("_")[0]
    region = pool.get("REGION") or region_of_id or REGION
    ids = {"REGION": region, "USER_POOL_ID": f"{region}_{digest[:9]}", "CLIENT_ID": digest[:26]}
    missing = {key: value for key, value in ids.items() if not pool.get(key)}
    return missing | ({"CLIENT_SECRET": digest} if callable(pool.get("CLIENT_SECRET")) else {})
