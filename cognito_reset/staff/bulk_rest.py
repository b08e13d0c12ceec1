"""
REST for resets of many people. ``staff/urls.py`` includes it.

A request starts a run, and the task queue of BULK_ENQUEUE does its work. Without a queue, the run waits for
``manage.py cognito_reset bulk resume``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.http import Http404, HttpResponseBase
from django.urls import path
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from cognito_reset.cognito import errors
from cognito_reset.cognito.pool_calls import answer_within
from cognito_reset.conf import conf
from cognito_reset.models import BulkRun, ResetEvent
from cognito_reset.resets.pools import resolve_pool
from cognito_reset.resets.serializers import StrictCharField
from cognito_reset.rest.views import StrictJSONParser
from cognito_reset.staff import bulk, journal, sources, summary
from cognito_reset.staff.accounts import LONGEST_NAME, RUN_PERMISSION, VIEW_PERMISSION
from cognito_reset.staff.entries import add_entry, run_entry
from cognito_reset.staff.rest import StaffAPIView, StrictBooleanField, failed
from cognito_reset.staff.summary import full_data, run_data

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_USERNAMES: Final = 500
PREVIEWED: Final = 500  # people whom a dry run reads: it must end before the web server's timeout
# After this, a dry run looks nobody up any more. It is shorter than the time after which it fails.
LOOK_UP_SECONDS: Final = 10.0
LATEST: Final = 100  # runs of the list
# Usernames have up to 128 characters, each of which JSON may write as \\uXXXX.
RUN_BODY_LIMIT: Final = 512 * 1024
# The fields that these errors are about. All others are about the run's state.
FIELDS: Final = {
    "unknown_source": "value",
    "selection_invalid": "value",
    "nobody": "usernames",
    "too_fast": "rate",
}


class RunSerializer(serializers.Serializer[Any]):
    """Which people to reset, and how. ``value`` is the status, the group or the filter."""

    source = serializers.ChoiceField(  # type: ignore[assignment]  # DRF takes fields out of the class
        choices=[name for name in bulk.SOURCES if name != "queryset"]
    )
    value = StrictCharField(limit=512, required=False, default="")
    usernames = serializers.ListField(
        child=StrictCharField(limit=LONGEST_NAME),
        max_length=MAX_USERNAMES,
        allow_empty=False,
        required=False,
    )
    pool = StrictCharField(limit=64, required=False)
    rate = serializers.FloatField(default=bulk.DEFAULT_RATE)
    limit = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, default=None, allow_null=True
    )
    force = StrictBooleanField(default=False)
    dry_run = StrictBooleanField(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        is_list = attrs["source"] == "list"
        if is_list != ("usernames" in attrs):
            code = "required" if is_list else "invalid"
            text = bulk.BulkRefused("unknown_source").message
            raise serializers.ValidationError({"usernames": [text]}, code=code)
        return attrs


class RunParser(StrictJSONParser):
    limit = RUN_BODY_LIMIT


class RunsAPIView(StaffAPIView):
    """Start a reset of many people, or preview it; list the latest ones."""

    http_method_names = ["get", "head", "post", "options"]
    parser_classes = (RunParser,)
    body_limit = RUN_BODY_LIMIT

    def get(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        self.require(request, VIEW_PERMISSION)
        latest = runs_of(pool).order_by("-pk")[:LATEST]
        return Response({"runs": [run_data(run) for run in latest]})

    def post(self, request: Request, pool: str | None = None, **kwargs: Any) -> Response:
        self.require(request, RUN_PERMISSION)
        serializer = RunSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        people: dict[str, Any] = {
            name: values.get(name) for name in ("source", "value", "usernames", "limit")
        }
        people["pool"] = resolve_pool(request._request, pool or values.get("pool"))
        people["actor"] = request.user
        if values["dry_run"]:
            self.require(request, VIEW_PERMISSION)  # the preview has usernames
            most = people["limit"] = min(values["limit"] or PREVIEWED, PREVIEWED)
            with answer_within(sources.PREVIEW_SECONDS):
                preview = answered(lambda: bulk.dry_run(**people, look_up_seconds=LOOK_UP_SECONDS))
            return Response(preview_data(preview, most))

        def start() -> BulkRun:
            more = {name: values[name] for name in ("rate", "force")}
            return bulk.start(**people, **more, interface=ResetEvent.Interface.REST)

        run = answered(start)
        log(request, "start", run)
        return handed_over(run, status.HTTP_201_CREATED)


class RunAPIView(StaffAPIView):
    """Show how far a reset of many people is."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: Request, run: int, pool: str | None = None, **kwargs: Any) -> Response:
        self.require(request, VIEW_PERMISSION)
        return Response(full_data(run_or_404(run, pool)))


class RunControlAPIView(StaffAPIView):
    """Pause, resume or stop a reset of many people, or send again to the people for whom it failed."""

    http_method_names = ["post", "options"]

    def post(
        self, request: Request, run: int, change: str, pool: str | None = None, **kwargs: Any
    ) -> Response:
        self.require(request, RUN_PERMISSION)
        serializer = CHANGES[change](data=request.data)
        serializer.is_valid(raise_exception=True)
        functions: dict[str, Callable[..., BulkRun]] = {
            "pause": bulk.pause,
            "stop": bulk.stop,
            "resume": partial(bulk.resume, actor=request.user),
            "retry-failed": partial(bulk.retry, actor=request.user),
        }
        found = run_or_404(run, pool)
        changed = answered(lambda: functions[change](found.pk, **serializer.validated_data))
        log(request, change, changed)
        if change in ("pause", "stop") or changed.state not in journal.ACTIVE:
            return Response(full_data(changed))
        return handed_over(changed, status.HTTP_200_OK)


class RunItemsAPIView(StaffAPIView):
    """The people of a run, and what came of each, as CSV."""

    http_method_names = ["get", "head", "options"]

    def get(
        self, request: Request, run: int, pool: str | None = None, **kwargs: Any
    ) -> HttpResponseBase:
        self.require(request, VIEW_PERMISSION)
        return summary.csv_response(request._request, run_or_404(run, pool))


class NoOptions(serializers.Serializer[Any]):
    """The body of a change that has no options."""


class ResumeSerializer(serializers.Serializer[Any]):
    """
    ``force`` lets a run go on that is larger than what Cognito's own sender can mail in a day, and ``confirmed`` one
    that was started by the command and that nobody has confirmed.
    """

    force = StrictBooleanField(default=False)
    confirmed = StrictBooleanField(default=False)


class RetrySerializer(serializers.Serializer[Any]):
    """``unknown`` also sends to the people whose outcome is unknown."""

    unknown = StrictBooleanField(default=False)


CHANGES: Final[Mapping[str, type[serializers.Serializer[Any]]]] = {
    "pause": NoOptions,
    "stop": NoOptions,
    "resume": ResumeSerializer,
    "retry-failed": RetrySerializer,
}


def runs_of(pool: str | None) -> QuerySet[BulkRun]:
    """Return the runs that exist for an include: those of its pool, or of all pools if it names none."""
    return journal.runs() if pool is None else journal.runs().filter(pool=pool)


def run_or_404(pk: int, pool: str | None) -> BulkRun:
    run = runs_of(pool).filter(pk=pk).first()
    if run is None:
        raise Http404
    return run


def answered(call: Callable[[], T]) -> T:
    """Return the result of ``call``. Raise DRF's exception for an error."""
    failure: exceptions.APIException
    try:
        return call()
    except errors.ResetError as error:
        failure = failed(error)
    except bulk.BulkRefused as error:
        failure = exceptions.APIException(error.message, error.code)
        is_forbidden = error.code == "includes_staff"
        failure.status_code = (
            status.HTTP_403_FORBIDDEN if is_forbidden else status.HTTP_409_CONFLICT
        )
    if field := FIELDS.get(str(failure.get_codes())):
        failure = exceptions.ValidationError({field: [failure.detail]})
    raise failure


def handed_over(run: BulkRun, status_code: int) -> Response:
    """
    Hand a run to the task queue. Without one, ``command`` in the answer is the command that does the work.
    """
    answered(lambda: summary.hand_over(run))
    has_queue = conf.bulk_enqueue is not None
    command = None if has_queue else f"manage.py cognito_reset bulk resume {run.pk}"
    return Response({**full_data(run), "command": command}, status=status_code)


def log(request: Request, change: str, run: BulkRun) -> None:
    add_entry(request.user, run, run_entry(change))
    text = "cognito_reset.bulk_changed run=%s change=%s actor=%s"
    logger.info(text, run.pk, change, request.user.pk)


def preview_data(preview: bulk.Preview, most: int) -> dict[str, Any]:
    """Return a preview. If ``is_cut_off``, there may be more people than were counted."""
    return {
        "count": preview.count,
        "is_cut_off": preview.count == most,
        "looked_up": preview.looked_up,
        "reasons": [
            {"state": "refused", "code": code, "detail": bulk.words(code), "count": count}
            for code, count in preview.refused.most_common()
        ],
        "sample": preview.sample,
        "warnings": list(map(str, preview.warnings)),
    }


urlpatterns = [
    path("runs/", RunsAPIView.as_view(), name="runs"),
    path("runs/<int:run>/", RunAPIView.as_view(), name="run"),
    path("runs/<int:run>/items.csv", RunItemsAPIView.as_view(), name="run_items"),
    *[
        path(
            f"runs/<int:run>/{change}/", RunControlAPIView.as_view(), {"change": change}, name=name
        )
        for change, name in {each: f"run_{each.replace('-', '_')}" for each in CHANGES}.items()
    ],
]
