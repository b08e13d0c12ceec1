"""The endpoint on a host of its own: some mobile clients, and old ones, take no path."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

#: The demo is at 127.0.0.1, and listens to this name as well.
NAME = "localhost"

urlpatterns = [path("", include("cognito_reset.aws.urls"))]


def middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Serve only these URLs on that host."""

    def respond(request: HttpRequest) -> HttpResponse:
        if request.get_host().partition(":")[0] == NAME:
            request.urlconf = __name__
        return get_response(request)

    return respond
