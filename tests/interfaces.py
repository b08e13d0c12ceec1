"""One client for all public interfaces, so that one test can speak to each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.test import Client, RequestFactory

from cognito_reset.aws.views import MEDIA_TYPE, NAMES, SERVICE
from cognito_reset.pages.views import redirect_to_reset


def with_settings(settings: Any, **changes: Any) -> None:
    """Change keys of COGNITO_RESET for one test."""
    settings.COGNITO_RESET = {**settings.COGNITO_RESET, **changes}


TOKEN = re.compile(r'(name="csrfmiddlewaretoken" value=")[^"]*')


@dataclass(frozen=True)
class Seen:
    """All that a caller can see of an answer, without what is random or depends on the clock."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    session_keys: tuple[str, ...]


# Wrong codes, each different from the others: the same request again would be a repeat.
WRONG_CODES = (f"9{number:05}" for number in count())


class Interface:
    name: ClassVar[str]
    SENT: ClassVar[int]  # the status of an accepted request for a code
    DONE: ClassVar[int]  # the status of a confirmed reset

    def __init__(self) -> None:
        self.client = Client()

    def send(self, path: str, data: dict[str, Any]) -> Any:
        raise NotImplementedError

    def is_throttled(self, response: Any) -> bool:
        return bool(response.status_code == 429)

    def is_unavailable(self, response: Any) -> bool:
        return response.status_code == 503 and int(response.headers["Retry-After"]) > 0

    def request(self, username: str = "alice", **more: Any) -> Any:
        return self.send("", {"username": username, **more})

    def confirm(
        self,
        username: str = "alice",
        code: str = "",
        password: str = "Battery-staple-2",
        **more: Any,
    ) -> Any:
        code = code or next(WRONG_CODES)
        data = {"username": username, "confirmation_code": code, "password": password, **more}
        return self.send("confirm/", data)

    def body(self, response: Any, typed: str) -> str:
        return TOKEN.sub(r"\1", response.content.decode())

    def seen(self, response: Any, typed: str = "") -> Seen:
        body = self.body(response, typed)
        if typed:
            body = re.sub(rf"(?<![\w@.+]){re.escape(typed)}(?![\w@.])", "TYPED", body)
        # The length depends on what was typed, and on nothing else.
        assert int(response.headers["Content-Length"]) == len(response.content)
        headers = {**response.headers, "Content-Length": str(len(body.encode()))}
        del headers["Expires"]
        headers.pop("x-amzn-RequestId", None)
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


class Pages(Interface):
    name, SENT, DONE = "pages", 302, 302

    def send(self, path: str, data: dict[str, Any]) -> Any:
        return self.client.post(f"/password-reset/{path}", data)


class REST(Interface):
    name, SENT, DONE = "rest", 202, 200

    def send(self, path: str, data: dict[str, Any]) -> Any:
        url = f"/api/password-reset/{path}"
        return self.client.post(url, data, content_type="application/json")


class AWS(Interface):
    name, SENT, DONE = "aws", 200, 200

    def __init__(self, invocation_id: str = "") -> None:
        super().__init__()
        self.invocation_id = invocation_id

    def send(self, path: str, data: dict[str, Any], **headers: str) -> Any:
        operation = "ConfirmForgotPassword" if path else "ForgotPassword"
        client_id = settings.COGNITO_RESET["POOLS"]["default"]["CLIENT_ID"]
        body = json.dumps({"ClientId": client_id, **_members(data)})
        headers = {"X-Amz-Target": f"{SERVICE}.{operation}", **headers}
        if self.invocation_id:
            headers["amz-sdk-invocation-id"] = self.invocation_id
        return self.client.post("/cognito", body, content_type=MEDIA_TYPE, headers=headers)

    def body(self, response: Any, typed: str) -> str:
        """Return the body without what was made from ``typed``."""
        name, _, domain = typed.partition("@")
        masked = f"{name[0]}***@{domain[0]}***" if domain else "***"
        text: str = response.content.decode()
        return text.replace(f'"Destination": "{masked}"', '"Destination": "MASKED"')

    def is_throttled(self, response: Any) -> bool:
        return bool(response.headers.get("x-amzn-ErrorType") == "LimitExceededException")

    def is_unavailable(self, response: Any) -> bool:
        return bool(response.headers.get("x-amzn-ErrorType") == "InternalErrorException")


def is_answer(response: Any) -> bool:
    """Check whether AWS SDKs can read the answer."""
    json.loads(response.content)
    assert response.headers["Content-Type"] == MEDIA_TYPE
    assert int(response.headers["Content-Length"]) == len(response.content)
    assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["x-amzn-RequestId"])
    assert "no-store" in response.headers["Cache-Control"]
    # Some SDKs pause before a retry, while the person waits.
    assert "Retry-After" not in response.headers
    return True


def _members(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members by AWS's names. A caller's own keys stay."""
    return {
        NAMES.get(name, name): _members(value)
        if isinstance(value, dict) and name != "client_metadata"
        else value
        for name, value in data.items()
    }


INTERFACES = (Pages, REST, AWS)


def handed_over(client: Client, username: str = "alice", **options: Any) -> HttpResponse:
    """Return what a site's own sign-in view answers to ``client``."""
    request = RequestFactory().post("/sign-in/", {"username": username, "password": "secret"})
    request.session = client.session
    response = redirect_to_reset(request, username, **options)
    request.session.save()
    client.cookies["sessionid"] = str(request.session.session_key)
    return response
