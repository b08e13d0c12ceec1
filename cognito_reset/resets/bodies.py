"""The length and charset of a request's body, which every interface checks before anything reads it."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

BODY_LIMIT: Final = 8192  # bytes of a request body; real ones are smaller


def body_length(request: HttpRequest, limit: int = BODY_LIMIT) -> int | None:
    """
    Return the length of a POST's body, 0 for other methods, or None if it can't be known. It is more than ``limit``
    for any body that is too large.

    Over ASGI, Django has received the body already, so it is measured: an adapter may state a wrong length.
    Over WSGI, a body of unknown length (sent in chunks, or by an adapter that leaves the header out) is read
    if the server promises that it ends, as gunicorn does. The length is then written into the header, because
    Django and DRF rely on it.
    """
    if request.method != "POST":
        return 0
    stated = request.META.get("CONTENT_LENGTH") or ""
    is_cached = hasattr(request, "_body")  # some middleware has read request.body
    is_consumed = request._read_started and not is_cached  # type: ignore[attr-defined]
    if isinstance(request, ASGIRequest) and not is_consumed:
        stream = BytesIO(request._body) if is_cached else request._stream
    elif stated.isdecimal():
        return int(stated) if len(stated) < 10 else limit + 1
    elif request.META.get("wsgi.input_terminated"):
        stream = request.META["wsgi.input"]
    else:
        return None
    try:
        body = stream.read(limit + 1)
    except Exception:  # the server's own exception, for broken chunks or a client that went away
        return None
    request._stream = BytesIO(body)  # as HttpRequest.body does
    if body and stated != str(len(body)):
        request.META["CONTENT_LENGTH"] = str(len(body))
        # Replace what Django took for the body, and forget the form that it found there.
        if is_cached:
            request._body = body
        vars(request).pop("_post", None)
        vars(request).pop("_files", None)
    # Nothing, and no length: a proxy may have dropped the body.
    return len(body) if body or stated.isdecimal() else None


def is_utf8(request: HttpRequest) -> bool:
    """
    Check whether the body claims to be in UTF-8. Django would decode a form with any Python codec;
    some raise, and some aren't text encodings.
    """
    charset = (request.content_params or {}).get("charset", "utf-8")
    return charset.lower() in ("utf-8", "utf8")
