"""The public faces behind one interface, so that one test speaks to all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from django.http import HttpResponse
from django.test import Client, RequestFactory

from cognito_reset.views import redirect_to_reset

TOKEN = re.compile(r'(name="csrfmiddlewaretoken" value=")[^"]*')


@dataclass(frozen=True)
class Seen:
    """All that a caller can see of an answer, but what is random or a clock in it."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    session_keys: tuple[str, ...]


class Face:
    name: ClassVar[str]

    def __init__(self) -> None:
        self.client = Client()

    def send(self, path: str, data: dict[str, Any]) -> Any:
        raise NotImplementedError

    def request(self, username: str = "alice", **more: Any) -> Any:
        return self.send("", {"username": username, **more})

    def confirm(
        self,
        username: str = "alice",
        code: str = "000000",
        password: str = "Battery-staple-2",
        **more: Any,
    ) -> Any:
        data = {"username": username, "confirmation_code": code, "password": password, **more}
        return self.send("confirm/", data)

    def seen(self, response: Any, typed: str = "") -> Seen:
        body = TOKEN.sub(r"\1", response.content.decode())
        if typed:
            body = re.sub(rf"(?<![\w@.+]){re.escape(typed)}(?![\w@.])", "TYPED", body)
        # The length follows what was typed, and nothing else.
        assert int(response.headers["Content-Length"]) == len(response.content)
        headers = {**response.headers, "Content-Length": str(len(body.encode()))}
        del headers["Expires"]
        cookies = {
            name: tuple(
                sorted((key, str(value)) for key, value in morsel.items() if key != "expires")
            )
            for name, morsel in response.cookies.items()
        }
        session = self.client.session
        return Seen(
            status=response.status_code,
            body=body,
            headers=tuple(sorted(headers.items())),
            cookies=tuple(sorted(cookies.items())),
            session_keys=tuple(
                sorted(
                    f"{key}:{sorted(value) if isinstance(value, dict) else ''}"
                    for key, value in session.items()
                )
            ),
        )


class Pages(Face):
    name = "pages"

    def send(self, path: str, data: dict[str, Any]) -> Any:
        return self.client.post(f"/password-reset/{path}", data)


class REST(Face):
    name = "rest"

    def send(self, path: str, data: dict[str, Any]) -> Any:
        url = f"/api/password-reset/{path}"
        return self.client.post(url, data, content_type="application/json")


FACES = (Pages, REST)


def handed_over(client: Client, username: str = "alice", **options: Any) -> HttpResponse:
    """What a site's own sign-in view answers to ``client``."""
    request = RequestFactory().post("/sign-in/", {"username": username, "password": "secret"})
    request.session = client.session
    response = redirect_to_reset(request, username, **options)
    request.session.save()
    client.cookies["sessionid"] = str(request.session.session_key)
    return response
