"""Bodies whose length isn't stated: sent in chunks, or by an adapter that leaves the header out."""

from __future__ import annotations

import json
from html import unescape
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.handlers.asgi import ASGIHandler
from django.http import QueryDict
from django.test import AsyncClient, Client, RequestFactory
from django.test.client import MULTIPART_CONTENT

from cognito_reset.aws.views import MEDIA_TYPE
from cognito_reset.pages.views import RequestView
from cognito_reset.resets.bodies import BODY_LIMIT, body_length
from tests.interfaces import AWS, INTERFACES, REST, Interface, Pages
from tests.people import NEW_PASSWORD

every_interface = pytest.mark.parametrize(
    "make_interface", INTERFACES, ids=[interface.name for interface in INTERFACES]
)
TEXT = "The request doesn't say how long it is."


class Body(BytesIO):
    """Unlike Django's own payload of tests, it may be asked for more than there is."""

    def __len__(self) -> int:
        return len(self.getvalue())


class OverWSGI(Client):
    """
    A client behind a server that decodes chunks and marks where the body ends, as gunicorn does
    (``wsgi.input_terminated``), or that doesn't say so.
    """

    terminated = True
    stated = ""  # the Content-Length

    def request(self, **environ: Any) -> Any:
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read() if "wsgi.input" in environ else b""
            environ["wsgi.input"] = self.stream(body)
            environ["CONTENT_LENGTH"] = self.stated
            environ["wsgi.input_terminated"] = self.terminated
        return super().request(**environ)

    def stream(self, body: bytes) -> Any:
        return Body(body)


class OverPlainWSGI(OverWSGI):
    """A server such as Django's own, which would wait for ever for the end of the body."""

    terminated = False


class OverASGI(AsyncClient):
    """Over ASGI, Django has received the body when it makes the request."""

    stated = ""

    async def request(self, **scope: Any) -> Any:
        length = [(b"content-length", self.stated.encode())] if self.stated else []
        others = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        scope["headers"] = others + length
        body = scope["_body_file"].read() if "_body_file" in scope else b""
        return await super().request(**{**scope, "_body_file": Body(body)})


class Browser:
    """What a test's interface needs of a client, over ASGI."""

    def __init__(self) -> None:
        self.over_asgi = OverASGI()

    def post(self, *args: Any, **more: Any) -> Any:
        return async_to_sync(self.over_asgi.post)(*args, **more)


READING = [OverWSGI, Browser]
reading = pytest.mark.parametrize("make_client", READING, ids=["wsgi", "asgi"])


def over(make_client: Any, make_interface: type[Interface], **options: Any) -> Any:
    interface: Any = make_interface()
    interface.client = make_client()
    for name, value in options.items():
        setattr(getattr(interface.client, "over_asgi", interface.client), name, value)
    return interface


def is_length_required(response: Any) -> Any:
    """Check for the answer that the length is missing, in the interface's own form."""
    if response.headers["Content-Type"] == MEDIA_TYPE:
        answer = {"__type": "InvalidParameterException", "message": TEXT}
        return (response.status_code, json.loads(response.content)) == (400, answer)
    if response.headers["Content-Type"] == "application/json":
        error = {"code": "length_required", "detail": TEXT, "attr": None}
        assert response.json() == {"type": "client_error", "errors": [error]}
    return response.status_code == 411 and TEXT in unescape(response.content.decode())


def is_too_large(response: Any) -> Any:
    status = 400 if response.headers["Content-Type"] == MEDIA_TYPE else 413
    return response.status_code == status and b"The request is too large." in response.content


@every_interface
@reading
@pytest.mark.parametrize("stated", ["", "x", "-5", "+5", "5,5"])
def test_a_body_of_unknown_length_is_read(people, make_client, make_interface, stated):
    """Both steps of a reset succeed. A length that isn't a number counts as unknown, too."""
    interface = over(make_client, make_interface, stated=stated)
    assert interface.request("alice").status_code == interface.SENT
    code = people.emulator.outbox[-1].code
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == interface.DONE
    assert people.can_sign_in("alice", NEW_PASSWORD)


def reading_body(get_response):
    """Return middleware that reads the body first, as profilers and loggers of requests do."""

    def middleware(request):
        _ = request.body
        return get_response(request)

    return middleware


def reading_form(get_response):
    """Return middleware that reads the form first."""

    def middleware(request):
        _ = request.POST, request.FILES
        return get_response(request)

    return middleware


def reading_both(get_response):
    return reading_body(reading_form(get_response))


@every_interface
@reading
@pytest.mark.parametrize("middleware", ["reading_body", "reading_form", "reading_both"])
def test_a_body_of_unknown_length_is_read_after_middleware_has_read_it(
    people, settings, make_client, make_interface, middleware
):
    """Over WSGI, Django shows such middleware an empty body."""
    settings.MIDDLEWARE = [f"{__name__}.{middleware}", *settings.MIDDLEWARE]
    interface = over(make_client, make_interface)
    assert interface.request("alice").status_code == interface.SENT
    code = people.emulator.outbox[-1].code
    assert interface.confirm("alice", code, NEW_PASSWORD).status_code == interface.DONE
    assert people.can_sign_in("alice", NEW_PASSWORD)


@every_interface
@pytest.mark.parametrize("middleware", [None, "reading_body", "reading_both"])
@pytest.mark.parametrize("stated", ["5", "8000", "9999999999"])
def test_a_wrong_length_over_asgi_is_corrected(
    people, settings, make_interface, middleware, stated
):
    """An HTTP server checks the length, but an adapter may pass on whatever header it gets."""
    if middleware:
        settings.MIDDLEWARE = [f"{__name__}.{middleware}", *settings.MIDDLEWARE]
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None  # Django compares it with the header
    interface = over(Browser, make_interface, stated=stated)
    assert interface.request("alice").status_code == interface.SENT


@reading
@pytest.mark.parametrize("middleware", ["reading_body", "reading_form", "reading_both"])
def test_a_multipart_form_of_unknown_length_is_read_after_middleware(
    people, settings, make_client, middleware
):
    settings.MIDDLEWARE = [f"{__name__}.{middleware}", *settings.MIDDLEWARE]
    interface = over(make_client, Pages)
    form = {"username": "alice"}
    response = interface.client.post("/password-reset/", form, content_type=MULTIPART_CONTENT)
    assert response.status_code == interface.SENT
    assert [operation for operation, _body in people.emulator.calls] == ["ForgotPassword"]


def test_a_multipart_form_that_middleware_has_parsed_is_not_parsed_again(people, settings):
    """The parser has consumed the stream. Over ASGI, it can't be measured any more."""
    settings.MIDDLEWARE = [f"{__name__}.reading_form", *settings.MIDDLEWARE]
    for post in (Client().post, async_to_sync(AsyncClient().post)):
        assert post("/password-reset/", {"username": "alice"}).status_code == Pages.SENT


def test_what_middleware_puts_into_a_form_stays(people, settings):
    """Only what Django made of a body of unknown length is replaced."""
    settings.MIDDLEWARE = [f"{__name__}.changing_form", *settings.MIDDLEWARE]
    for post in (Client().post, async_to_sync(AsyncClient().post)):
        post("/password-reset/", urlencode({"username": "nobody"}), content_type=FORM)
    names = [body["Username"] for _operation, body in people.emulator.calls]
    assert names == ["alice", "alice"]


def changing_form(get_response):
    def middleware(request):
        request.POST = QueryDict("username=alice")
        return get_response(request)

    return middleware


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("body", "length"), [(b"", None), (b"a=b", 3)])
def test_the_length_of_a_body_can_be_asked_for_again(body, length):
    """A view that calls another one gets the same answer."""
    request = RequestFactory().post("/")
    request.META.update(
        {"CONTENT_LENGTH": "", "wsgi.input_terminated": True, "wsgi.input": BytesIO(body)}
    )
    assert [body_length(request) for _ in range(3)] == [length] * 3


@reading
def test_a_multipart_form_of_unknown_length_is_read(people, make_client):
    """Django itself would treat a form without a length as empty."""
    interface = over(make_client, Pages)
    response = interface.client.post(
        "/password-reset/", {"username": "alice"}, content_type=MULTIPART_CONTENT
    )
    assert response.status_code == interface.SENT
    assert [operation for operation, _body in people.emulator.calls] == ["ForgotPassword"]


@pytest.mark.requirement("G4")
@every_interface
@reading
def test_g4_a_large_body_of_unknown_length_is_refused(people, make_client, make_interface):
    """The app stops reading as soon as the body is known to be too large."""
    rest = BODY_LIMIT * 2
    assert is_too_large(over(make_client, make_interface).request("a" * rest))
    assert people.emulator.calls == []


@every_interface
@reading
def test_a_body_that_got_lost_is_of_unknown_length(people, make_client, make_interface):
    """The error names no field, because the client may have sent it."""
    kind = MEDIA_TYPE if make_interface is AWS else "application/json"
    url = {"aws": "/cognito", "rest": "/api/password-reset/", "pages": "/password-reset/"}
    headers = {"X-Amz-Target": "AWSCognitoIdentityProviderService.ForgotPassword"}
    interface = over(make_client, make_interface)
    response = interface.client.post(url[interface.name], b"", content_type=kind, headers=headers)
    assert is_length_required(response)


@every_interface
@pytest.mark.parametrize("stated", ["", "x", "-5", "+5", "5,5"])
def test_a_server_that_cannot_read_it_says_that_the_length_is_missing(
    people, make_interface, stated
):
    """The error names no field, because the client may have sent all of them."""
    assert is_length_required(over(OverPlainWSGI, make_interface, stated=stated).request("alice"))
    assert people.emulator.calls == []


class OverBrokenWSGI(OverWSGI):
    """A server that finds out while it reads that the chunks are broken. Each has its own exception."""

    def stream(self, body: bytes) -> Any:
        return Broken(body)


class Broken(Body):
    def read(self, size: int | None = -1) -> bytes:
        raise LookupError("the server's own")


@every_interface
def test_broken_chunks_are_not_reported_as_a_bug(people, make_interface):
    assert is_length_required(over(OverBrokenWSGI, make_interface).request("alice"))


@every_interface
def test_an_empty_body_of_stated_length_is_an_empty_form(people, make_interface):
    """Its length is known, so the errors say which fields are missing."""
    interface = over(OverPlainWSGI, make_interface, stated="0")
    response = interface.request("alice")
    if make_interface is Pages:
        assert b"Enter your username" in response.content
    elif make_interface is REST:
        (error,) = response.json()["errors"]
        assert (error["code"], error["attr"]) == ("required", "username")
    else:
        assert b"ClientId: Enter a value." in response.content
    assert response.status_code == 400


@pytest.mark.requirement("G4")
@every_interface
@pytest.mark.parametrize("stated", ["8193", "999999999", "1000000000", "9" * 5000])
def test_g4_a_body_whose_stated_length_is_too_large_is_not_read(people, make_interface, stated):
    """This holds even if the number is longer than those that Python reads."""
    assert is_too_large(over(OverPlainWSGI, make_interface, stated=stated).request("alice"))


@pytest.mark.requirement("G4")
@every_interface
def test_g4_an_adapter_that_states_a_wrong_length_gets_no_more_parsed(people, make_interface):
    """An HTTP server checks the length, but an ASGI adapter passes on whatever header it gets."""
    assert is_too_large(over(Browser, make_interface, stated="5").request("a" * BODY_LIMIT))
    assert people.emulator.calls == []


def test_only_a_post_has_a_body():
    """A GET without a length is answered."""
    request = RequestFactory().get("/")
    request.session = SessionStore()
    assert "CONTENT_LENGTH" not in request.META
    assert RequestView.as_view()(request).status_code == 200


async def send_in_chunks(path: str, content_type: bytes, chunks: list[bytes]) -> Any:
    """Return the status and the body of the answer to a POST in chunks, with Django's own handler."""
    target = b"AWSCognitoIdentityProviderService.ForgotPassword"
    headers = [
        (b"content-type", content_type),
        (b"host", b"testserver"),
        (b"x-amz-target", target),
        (b"transfer-encoding", b"chunked"),
    ]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    over_asgi = ApplicationCommunicator(ASGIHandler(), {**scope, "query_string": b""})
    for chunk in chunks:
        await over_asgi.send_input({"type": "http.request", "body": chunk, "more_body": True})
    await over_asgi.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await over_asgi.receive_output(timeout=30)
    answer = await over_asgi.receive_output(timeout=30)
    await over_asgi.wait()
    return start["status"], answer["body"]


@pytest.mark.requirement("G4")
@pytest.mark.parametrize("size", [BODY_LIMIT, 3_000_000], ids=["in memory", "in a file"])
@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [
        ("/password-reset/confirm/", "application/x-www-form-urlencoded", 413),
        ("/password-reset/", "multipart/form-data; boundary=x", 413),
        ("/api/password-reset/confirm/", "application/json", 413),
        ("/cognito", MEDIA_TYPE, 400),
    ],
)
def test_g4_a_large_body_in_chunks_is_refused_by_djangos_handler(
    people, path, content_type, status, size
):
    """The CSRF check doesn't read it."""
    chunks = [b'{"username": "alice", "x": "', b"x" * size, b'"}']
    send = async_to_sync(send_in_chunks)
    got, body = send(path, content_type.encode(), chunks)
    assert got == status
    assert b"The request is too large." in body
    assert people.emulator.calls == []
