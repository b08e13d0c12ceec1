"""The emulator inside a boto3 client: everything is real but the socket."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import botocore.awsrequest
import botocore.exceptions

from cognito_reset.testing.faults import (
    ConnectRefused,
    ConnectTimeout,
    Fault,
    Reset,
    Timeout,
    TLSFailure,
    Trickle,
)

if TYPE_CHECKING:
    from cognito_reset.testing.emulator import Emulator

EVENT: Final = "before-send.cognito-identity-provider"


class _Raw(io.BytesIO):
    """As much of urllib3's response as botocore reads."""

    def stream(self, size: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        while chunk := self.read(size):
            yield chunk


class Mount:
    """
    A handler of botocore's ``before-send`` event: it answers in place of the network, and raises
    what botocore's own transport would raise.
    """

    def __init__(self, emulator: Emulator, client: Any) -> None:
        self.emulator = emulator
        self.read_timeout: float = client.meta.config.read_timeout

    def __call__(self, request: Any, **kwargs: Any) -> botocore.awsrequest.AWSResponse:
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        answer, fault = self.emulator.exchange(headers, _bytes(request.body))
        if fault is not None:
            self._play(fault, request)
        return botocore.awsrequest.AWSResponse(
            request.url, answer.status, cast("Any", answer.headers), _Raw(answer.body)
        )

    def _play(self, fault: Fault, request: Any) -> None:
        where = {"endpoint_url": request.url, "error": fault}
        if isinstance(fault, ConnectRefused):
            raise botocore.exceptions.EndpointConnectionError(**where)
        if isinstance(fault, ConnectTimeout):
            raise botocore.exceptions.ConnectTimeoutError(**where)
        if isinstance(fault, TLSFailure):
            error = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
            raise botocore.exceptions.SSLError(**{**where, "error": error})
        if isinstance(fault, Reset):
            raise botocore.exceptions.ConnectionClosedError(request=request, **where)
        if isinstance(fault, Timeout):
            self.emulator.wait(fault.seconds or 0)
            raise botocore.exceptions.ReadTimeoutError(**where)
        if isinstance(fault, Trickle):
            if fault.interval >= self.read_timeout:
                raise botocore.exceptions.ReadTimeoutError(**where)
            self.emulator.wait(fault.seconds)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
