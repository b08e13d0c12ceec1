"""
What the tables of docs/resiliency.md have in common with the tests of what goes wrong: the words for answers, and
how a table looks in the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.interfaces import AWS, REST, Interface, Pages, is_answer


@dataclass(frozen=True)
class Public:
    """
    An answer of the public interfaces: the statuses, REST's error code, what the page shows, and Cognito's name for
    it. ``page`` is an address, a field with an error, or the reason that the stop page has.
    """

    rest: int
    pages: int
    page: str
    aws: int = 400
    code: str = ""
    name: str = ""
    retry_after: str = ""

    def check(self, interface: Interface, response: Any) -> None:
        if isinstance(interface, AWS):
            assert is_answer(response)
            found = (response.status_code, response.headers.get("x-amzn-ErrorType", ""))
            assert found == (self.aws, self.name)
        elif isinstance(interface, REST):
            codes = [error["code"] for error in response.json().get("errors", [])]
            assert (response.status_code, codes) == (self.rest, [self.code] if self.code else [])
        elif isinstance(interface, Pages):
            assert response.status_code == self.pages
            assert self._shown(interface, response) == self.page
        if not isinstance(interface, AWS):
            assert response.headers.get("Retry-After", "") == self.retry_after
        for text in (b"Traceback", b"Battery-staple-2", b"vendor text"):
            assert text not in response.content

    def _shown(self, interface: Pages, response: Any) -> str:
        if response.status_code == 302:
            outcome = ""
            if response.url.endswith("/done/"):
                outcome = interface.client.get(response.url).context["outcome"]
            return " ".join(filter(None, (response.url, outcome)))
        if "reason" in response.context:
            assert b'value="alice"' in response.content  # what was typed is still there
            return str(response.context["reason"])
        return " ".join(error.id for error in response.context["errors"])


UNAVAILABLE: Final = Public(
    503, 503, "unavailable", 500, "unavailable", "InternalErrorException", retry_after="60"
)
ANSWERS: Final = {
    "neutral": Public(202, 302, "/password-reset/confirm/", 200),
    "done": Public(200, 302, "/password-reset/done/ confirmed", 200),
    "unavailable": UNAVAILABLE,
    # An SDK sends a request again after 500, so what Cognito has received is a 400.
    "unavailable, received": Public(
        503, 503, "unavailable", 400, "unavailable", "InternalErrorException", retry_after="60"
    ),
    "not called": Public(
        503, 503, "unavailable", 500, "unavailable", "InternalErrorException", retry_after="5"
    ),
    "busy": Public(
        503, 503, "unavailable", 400, "unavailable", "TooManyRequestsException", retry_after="5"
    ),
    "maybe sent": Public(
        503, 503, "maybe_sent", 400, "maybe_sent", "InternalErrorException", retry_after="60"
    ),
    "unknown": Public(
        502, 302, "/password-reset/done/ unknown", 400, "outcome_unknown", "InternalErrorException"
    ),
    "wrong code": Public(
        400, 400, "id_confirmation_code", 400, "code_invalid", "CodeMismatchException"
    ),
    "password refused": Public(
        400, 400, "id_password", 400, "password_invalid", "InvalidPasswordException"
    ),
    "password known": Public(
        400, 400, "id_password", 400, "password_compromised", "InvalidPasswordException"
    ),
    "password used before": Public(
        400, 400, "id_password", 400, "password_reused", "PasswordHistoryPolicyViolationException"
    ),
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass(frozen=True)
class Own:
    """
    A fault of the site's own servers. ``answer`` is a key of ANSWERS, or the words for another answer, or "" if
    visitors notice nothing. ``log`` has the names of the events, or is "" if there is no line.
    """

    text: str
    answer: str = ""
    log: str = "limits_unavailable"

    def cells(self) -> list[str]:
        answer = f"`{self.answer}`" if self.answer in ANSWERS else self.answer
        return [
            self.text,
            answer or "the usual answer",
            ", ".join(f"`cognito_reset.{event}`" for event in self.log.split()) or "–",
        ]


def check_without_session(response: Any, step: str) -> None:
    """Check the answer of a page that could not save the session."""
    if step == "request":
        assert (response.status_code, response.url) == (302, "/password-reset/confirm/")
    else:
        assert (response.status_code, response.context["outcome"]) == (200, "confirmed")


OWN_HEAD = ("what goes wrong", "what visitors get", "what is logged")
#: With the limits in Redis, before an attempt is counted.
REDIS: Final = {
    "down": Own("Redis is down", "unavailable"),
    "paused": Own("Redis doesn't answer within its `socket_timeout`", "unavailable"),
    "full": Own("Redis is full, and `maxmemory-policy` is `noeviction`", "unavailable"),
    "read-only": Own("Redis is a replica, which takes no writes", "unavailable"),
    "no connections": Own("Redis accepts no more connections (`maxclients`)", "unavailable"),
    "can't save": Own("Redis can't save to its disk, and so takes no writes", "unavailable"),
}
#: The same, while Cognito is called.
REDIS_MEANWHILE: Final = {
    name: Own(f"{own.text}, but only after the attempt was counted") for name, own in REDIS.items()
}
REDIS_EMPTY: Final = Own("Redis loses all keys: the limits start again", log="")
DATABASE: Final = {
    "down": Own("the database is down", "unavailable"),
    "read-only": Own("the database is read-only", "unavailable"),
    "no connections": Own("the database accepts no more connections", "unavailable"),
    "disk full": Own("the disk of a SQLite database is full", "unavailable"),
}
DATABASE_HANGS: Final = Own(
    "the database doesn't answer: all permits for calls are held by attempts that wait for it",
    "not called",
    "busy",
)
#: The same, while Cognito is called. After a request for a code, only ``audit_failed`` is logged.
DATABASE_MEANWHILE: Final = {
    name: Own(
        f"{own.text}, but only after the attempt was counted",
        log="limits_unavailable audit_failed sessions_failed",
    )
    for name, own in DATABASE.items()
}
DATABASE_HANGS_MEANWHILE: Final = Own(
    "the database doesn't answer for a while, but only after the attempt was counted",
    "the usual answer, when the database answers again",
    "",
)
#: After a request for a code, only ``audit_failed`` is logged.
AUDIT: Final = {
    name: Own(f"{own.text}, with the limits in a cache", log="audit_failed sessions_failed")
    for name, own in DATABASE.items()
}
AUDIT_REFUSED: Final = Own("the row of the audit is refused", log="audit_failed")
_NOT_SAVED: Final = (
    "the usual answer; the second page asks for the username again, "
    "and the outcome of a reset is shown without a redirect"
)
SESSIONS: Final = {
    "unreadable": Own(
        "the sessions are in a database that is down or accepts no more connections, and the visitor has a session",
        "`unavailable` on the pages; the usual answer of REST and of the endpoint for AWS SDKs",
        "session_store_failed",
    ),
    "none": Own(
        "the store of the sessions fails, and the visitor has no session, or has it in a cache",
        _NOT_SAVED,
        "session_store_failed",
    ),
    "unwritable": Own(
        "the store of the sessions fails while Cognito is called, or takes no writes",
        _NOT_SAVED,
        "session_store_failed",
    ),
    "deleted": Own(
        "the session is deleted while Cognito is called, as by a sign-out in another tab (Django's `SessionInterrupted`)",
        "the usual answer; the outcome of a reset is shown without a redirect",
        "session_store_failed",
    ),
}
CLOCK: Final = Own("the server's clock jumps by an hour", log="")


def own_rows() -> list[list[str]]:
    rows = [
        *REDIS.values(),
        *REDIS_MEANWHILE.values(),
        REDIS_EMPTY,
        *DATABASE.values(),
        DATABASE_HANGS,
        *DATABASE_MEANWHILE.values(),
        DATABASE_HANGS_MEANWHILE,
        *AUDIT.values(),
        AUDIT_REFUSED,
        *SESSIONS.values(),
        CLOCK,
    ]
    return [row.cells() for row in rows]
