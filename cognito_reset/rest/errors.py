"""Errors over REST: DRF's own exceptions, in the shape of drf-standardized-errors."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from cognito_reset.cognito.errors import ResetError, Throttled, misconfigured
from cognito_reset.conf import CognitoResetMisconfigured
from cognito_reset.resets.problems import problems


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request is too large.")
    default_code = "too_large"


class LengthRequired(exceptions.APIException):
    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_detail = _("The request doesn't say how long it is.")
    default_code = "length_required"


class NotJSON(exceptions.ParseError):
    default_detail = _("Send a JSON object.")


def translated(error: Exception) -> Exception:
    """Return what stands for a setting that can't be used, and for Django's own exceptions."""
    if isinstance(error, CognitoResetMisconfigured):
        return misconfigured(error)
    if isinstance(error, Http404):  # an unknown pool, or the site's resolver
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    return error


def api_exception(error: ResetError) -> exceptions.APIException:
    """Return the DRF exception for ``error``, with its code, and the time to wait if there is one."""
    if error.field:
        detail = exceptions.ErrorDetail(str(error.message), error.code)
        return exceptions.ValidationError({error.field: [detail]})
    if isinstance(error, Throttled):
        answer: exceptions.APIException = exceptions.Throttled(detail=str(error.message))
    else:
        answer = exceptions.APIException(error.message, error.code)
        answer.status_code = error.status
    if error.retry_after:
        answer.wait = error.retry_after  # type: ignore[attr-defined]  # DRF's handler makes it Retry-After
    return answer


def standardized(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return what DRF's own exception handler does, with a body that lists the errors."""
    response = exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        response.data = error_body(error)
    return response


def error_body(error: exceptions.APIException) -> dict[str, Any]:
    kind = "server_error" if error.status_code >= 500 else "client_error"
    if isinstance(error, exceptions.ValidationError):
        kind = "validation_error"
    return {"type": kind, "errors": [vars(problem) for problem in problems(error)]}
