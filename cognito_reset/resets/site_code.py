"""Run the callables that a site names in its settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework.exceptions import ValidationError

from cognito_reset.cognito.errors import Misconfigured, site_code_failed
from cognito_reset.conf import CognitoResetMisconfigured

T = TypeVar("T")


def run_site_code(setting: str, call: Callable[[], T], *answers: type[Exception]) -> T:
    """
    Call one of the site's callables, and return its result. Raise its ValidationErrors, which are shown to
    the person, and its exceptions of the types ``answers``. Log any other exception, and raise Misconfigured.
    """
    return site_result(setting, partial(_validated, call), ValidationError, *answers)


def site_result(setting: str, call: Callable[[], T], *answers: type[Exception]) -> T:
    """
    Call one of the site's callables, and return its result. Raise its exceptions of the types ``answers``. Log any
    other exception, also a ValidationError, and raise Misconfigured.
    """
    try:
        return call()
    except (CognitoResetMisconfigured, Misconfigured):
        raise
    except answers:
        raise
    except Exception as error:  # a bug, or an outage of what the callable uses
        failure = site_code_failed(setting, error)
    # Outside of the except block, or the site's exception would be chained to ours.
    raise failure


def _validated(call: Callable[[], T]) -> T:
    """Return the result of ``call``. If it raises Django's ValidationError, raise DRF's."""
    try:
        return call()
    except DjangoValidationError as error:
        # Imported here, because DRF's fields take long to load, and the admin needs this module at the start.
        from rest_framework.fields import get_error_detail

        failure = ValidationError(get_error_detail(error))
    raise failure
