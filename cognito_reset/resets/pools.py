"""Which pool a request is about."""

from __future__ import annotations

from functools import partial

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from rest_framework.exceptions import APIException

from cognito_reset.conf import conf
from cognito_reset.resets.site_code import run_site_code


def resolve_pool(request: HttpRequest, pool: str | None) -> str:
    """
    Return the alias from the URL, or the one that the site's resolver returns. Raise Http404 if it isn't in
    the settings, because clients choose the path and the host. The resolver may also raise Http404,
    PermissionDenied and DRF's exceptions.
    """
    answers = (Http404, PermissionDenied, APIException)
    resolve = partial(conf.resolve_pool, request)
    alias = pool or run_site_code("POOL_RESOLVER", resolve, *answers)
    if (pool or conf.pool_resolver) and alias not in conf.pool_aliases():
        raise Http404(f'COGNITO_RESET["POOLS"] has no pool {alias!r}.')
    return alias
