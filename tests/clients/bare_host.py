"""The endpoint on a host of its own, for clients that ignore the path or accept none."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

#: Another name of 127.0.0.1, where the demo and the proxies are.
NAME = "localhost"

urlpatterns = [path("", include("cognito_reset.aws.urls"))]


def url_of(endpoint: str) -> str:
    """Return the address of the host of its own for the same server as ``endpoint``."""
    return f"http://{NAME}:{urlsplit(endpoint).port}"


def middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Serve only these URLs on that host."""

    def respond(request: HttpRequest) -> HttpResponse:
        if request.get_host().partition(":")[0] == NAME:
            request.urlconf = __name__
        return get_response(request)

    return respond
