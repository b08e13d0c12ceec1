"""
The pages, as plain Django views (an APIView would be exempt from CSRF):

- RequestView: ask for a code. GET shows the form; POST sends and goes on to confirm.
- ConfirmView: enter the code with a new password. POST sets it and goes on to done.
- DoneView: says once what came of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect, render, resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.decorators import decorator_from_middleware, method_decorator
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.serializers import Serializer

from cognito_reset.cognito.errors import (
    CognitoResetMisconfigured,
    MaybeSent,
    OutcomeUnknown,
    ResetError,
    Throttled,
)
from cognito_reset.conf import conf
from cognito_reset.pages.session import Flow
from cognito_reset.resets.flow import (
    BODY_LIMIT,
    RESEND_AFTER_SECONDS,
    CodeRequested,
    ConfirmReset,
    Problem,
    RequestCode,
    Step,
    misconfigured,
    problems,
    resolve_pool,
)
from cognito_reset.resets.passwords import PasswordPolicy


@dataclass(frozen=True)
class PageField:
    """A serializer's field as a template shows it. ``value`` is empty for what must not come back."""

    name: str
    label: str
    help_text: str
    value: str
    type: str
    autocomplete: str
    inputmode: str
    errors: Sequence[str]
    policy: PasswordPolicy | None

    @property
    def id(self) -> str:
        return f"id_{self.name}"


@dataclass(frozen=True)
class PageError:
    """One line of the error summary. ``id`` is that of the field that it leads to, or ""."""

    id: str
    message: str


def guarded(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Refuse a body that no form of ours makes, before anything reads it. Keep the address here."""

    @wraps(view)
    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or ("" if request.method == "POST" else "0")
        if length.isdecimal() and len(length) < 10 and int(length) <= BODY_LIMIT:
            try:
                response = view(request, *args, **kwargs)
            except (MultiPartParserError, SuspiciousOperation):  # too many fields, or broken ones
                text = _("The request cannot be read.")
                response = HttpResponse(text, status=400, content_type="text/plain")
        elif length:
            text = _("The request is too large.")
            response = HttpResponse(text, status=413, content_type="text/plain")
        else:  # sent in chunks, which over ASGI would be read to their end
            text = _("The request doesn't say how long it is.")
            response = HttpResponse(text, status=411, content_type="text/plain")
        # Not "no-referrer": browsers then send "Origin: null", which Django's CSRF check refuses.
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return guard


class _Csrf(CsrfViewMiddleware):
    """
    Find what Django finds, and leave the answer to ``dispatch()``: cookies get lost, and Django's own
    page of refusal leads nowhere.
    """

    def _reject(self, request: HttpRequest, reason: str) -> None:
        super()._reject(request, reason)  # type: ignore[misc]  # the stubs lack it; it also logs
        request.cognito_reset_expired = True  # type: ignore[attr-defined]  # a note of our own


class PageView(View):
    """What the three pages share."""

    http_method_names = ["get", "head", "post", "options"]
    template_name: ClassVar[str]

    @method_decorator(
        [
            login_not_required,
            sensitive_post_parameters(),
            never_cache,
            xframe_options_deny,
            csrf_exempt,  # of the middleware, which would read the body first: see below
            guarded,
            decorator_from_middleware(_Csrf),
            # ATOMIC_REQUESTS could take an attempt back, and would hold a lock during the call.
            transaction.non_atomic_requests,
        ]
    )
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            self.pool = resolve_pool(request, kwargs.get("pool"))
            self.flow = Flow(request, self.pool)
            if getattr(request, "cognito_reset_expired", False):
                return self.expired()
            return super().dispatch(request, *args, **kwargs)
        except CognitoResetMisconfigured as error:
            failure = misconfigured(error)
        # Reads no setting, for one of them is the fault.
        response = HttpResponse(failure.message, status=503, content_type="text/plain")
        response.headers["Retry-After"] = str(failure.retry_after)
        return response

    def expired(self) -> HttpResponseBase:
        """Answer a request without a valid CSRF token, of which nothing may be done."""
        return self.http_method_not_allowed(self.request)

    def url(self, name: str) -> str:
        # The very namespace that the visitor is in, so that a reset ends where it began.
        match = self.request.resolver_match
        if match is None:
            return reverse(f"cognito_reset:{name}")
        # What the path holds, of a tenant say, and not what the include adds.
        added: dict[str, Any] = match.extra_kwargs  # type: ignore[attr-defined]  # the stubs lack it
        captured = {name: value for name, value in match.kwargs.items() if name not in added}
        # A view that is mounted by itself, under a name of Django's own, has no namespace.
        return reverse(f"{match.namespace or 'cognito_reset'}:{name}", kwargs=captured)

    def render(self, *, template: str = "", status: int = 200, **context: Any) -> HttpResponse:
        common = {
            "sign_in_url": _resolved(conf.sign_in_url),
            "contact_url": _resolved(conf.contact_url),
            "request_url": self.url("request"),
            "confirm_url": self.url("confirm"),
        }
        return render(
            self.request, template or self.template_name, {**common, **context}, status=status
        )


class StepView(RedirectURLMixin, PageView):
    """
    A page with the form of one step. Subclasses say what follows when the step is done. A "next"
    that leads to an allowed host is carried along, and all others are dropped.
    """

    step_class: ClassVar[type[Step]]
    fields: ClassVar[Sequence[str]]
    stop_template_name: ClassVar[str] = "cognito_reset/stop.html"

    def step(self) -> Step:
        return self.step_class(self.request, pool=self.pool, interface="pages")

    def url(self, name: str) -> str:
        url, following = super().url(name), self.get_redirect_url()
        return f"{url}?{urlencode({'next': following})}" if following and name != "done" else url

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.render_form({"username": self.flow.username})

    @sensitive_variables()
    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        step = self.step()
        serializer = step.serializer_class()
        data = {name: request.POST.get(name, "") for name in self.fields}
        try:
            return self.done(step, step.run(_single_values(request.POST, serializer)))
        except ValidationError as error:
            return self.render_form(data, problems(error))
        except ResetError as error:
            return self.refused(step, error, data)

    @sensitive_variables()
    def expired(self) -> HttpResponse:
        text = _(
            "This page was open for too long, or your browser keeps no cookies. Check what you "
            "entered, and try again."
        )
        data = {name: self.request.POST.get(name, "") for name in self.fields}
        return self.render_form(data, [Problem("expired", str(text), None)], status=403)

    def done(self, step: Step, result: Any) -> HttpResponse:
        raise NotImplementedError

    @sensitive_variables()
    def refused(self, step: Step, error: ResetError, data: dict[str, str]) -> HttpResponse:
        if error.field:
            return self.render_form(data, problems(error))
        return self.render_stop(error, data)

    @sensitive_variables()
    def render_form(
        self, data: dict[str, str], found: Sequence[Problem] = (), *, status: int = 400
    ) -> HttpResponse:
        username = self.known_username(data)
        return self.render(
            status=status if found else 200,
            fields=self.page_fields(data, found),
            errors=[
                PageError(
                    f"id_{problem.attr}" if problem.attr in self.fields else "", problem.detail
                )
                for problem in found
            ],
            username=username,
            sent=bool(username) and not found and self.flow.note != "required",
            note=self.flow.note if username else "",
            resend_after=self.flow.resend_after,
            destination=self.flow.destination if conf.show_destination else None,
        )

    @sensitive_variables()
    def render_stop(self, error: ResetError, data: dict[str, str]) -> HttpResponse:
        reason = "throttled" if isinstance(error, Throttled) else "unavailable"
        retry_after = error.retry_after or 0
        response = self.render(
            template=self.stop_template_name,
            status=error.status,
            reason="maybe_sent" if isinstance(error, MaybeSent) else reason,
            step=self.step_class.name,
            retry_after=retry_after,
            wait=_wait(retry_after),
            fields=self.page_fields(data),
            username=self.known_username(data),
        )
        response.headers["Retry-After"] = str(retry_after)
        return response

    def known_username(self, data: dict[str, str]) -> str:
        """Give the session's name, unless another was typed."""
        return self.flow.username if data["username"] in ("", self.flow.username) else ""

    @sensitive_variables()
    def page_fields(self, data: dict[str, str], found: Sequence[Problem] = ()) -> list[PageField]:
        serializer = self.step().serializer()
        return [
            PageField(
                name=name,
                label=str(field.label),
                help_text=str(field.help_text or ""),
                value="" if field.write_only else data.get(name, ""),
                type=field.style.get("input_type", "text"),
                autocomplete=field.style["autocomplete"],
                inputmode=field.style.get("inputmode", ""),
                errors=[problem.detail for problem in found if problem.attr == name],
                policy=serializer.context["policy"] if name == "password" else None,
            )
            for name, field in serializer.fields.items()
            if name in self.fields
        ]


class RequestView(StepView):
    template_name = "cognito_reset/request.html"
    step_class = RequestCode
    fields = ("username",)

    def done(self, step: Step, result: CodeRequested) -> HttpResponse:
        destination = result.delivery.destination if result.delivery else None
        again = self.flow.username == step.username and self.flow.note != "required"
        more = {"destination": destination, "note": "again" if again else ""}
        self.flow.start(step.username, resend_after=RESEND_AFTER_SECONDS, **more)
        return redirect(self.url("confirm"))

    def refused(self, step: Step, error: ResetError, data: dict[str, str]) -> HttpResponse:
        if isinstance(error, Throttled) and error.cool_down:  # a double click, or a refresh
            same = self.flow.username == step.username
            more = {"destination": self.flow.destination, "note": self.flow.note} if same else {}
            self.flow.start(step.username, resend_after=error.retry_after or 0, **more)
            return redirect(self.url("confirm"))
        return super().refused(step, error, data)


class ConfirmView(StepView):
    template_name = "cognito_reset/confirm.html"
    step_class = ConfirmReset
    fields = ("username", "confirmation_code", "password")
    success_url: str | None = None  # instead of the done page

    def done(self, step: Step, result: None) -> HttpResponse:
        """
        Lead on, and sign nobody in. A site that wants that overrides this: ``step.username`` is who
        has just proved to read the messages of the account.
        """
        elsewhere = self.get_redirect_url() or self.success_url
        if elsewhere:
            self.flow.end()
            return redirect(elsewhere)
        signed_out = getattr(self.request, "cognito_reset_signed_out", False)
        self.flow.finish("confirmed", note="signed_out" if signed_out else "")
        return redirect(self.url("done"))

    @sensitive_variables()
    def refused(self, step: Step, error: ResetError, data: dict[str, str]) -> HttpResponse:
        if isinstance(error, OutcomeUnknown):
            # A page of its own address, for a refresh must not send the code again.
            self.flow.finish("unknown")
            return redirect(self.url("done"))
        return super().refused(step, error, data)


class DoneView(PageView):
    template_name = "cognito_reset/done.html"
    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        outcome = self.flow.outcome
        if not outcome:
            return redirect(self.url("request"))
        if request.method == "GET":  # once: the page belongs to one reset, not to an address
            self.flow.end()
        return self.render(outcome=outcome, note=self.flow.note)


def redirect_to_reset(
    request: HttpRequest,
    username: str,
    *,
    code_sent: bool = False,
    pool: str | None = None,
    namespace: str = "cognito_reset",
    **kwargs: Any,
) -> HttpResponse:
    """
    Lead from the site's own sign-in, where Cognito said PasswordResetRequiredException, to the first
    page, or with ``code_sent`` (staff sent one) to the second: with the username in the session, not
    in the address. ``kwargs`` are those of the path.
    """
    url = reverse(f"{namespace}:{'confirm' if code_sent else 'request'}", kwargs=kwargs)
    Flow(request, resolve_pool(request, pool)).start(username, resend_after=0, note="required")
    return redirect(url)


@sensitive_variables()
def _single_values(data: QueryDict, serializer: Serializer[Any]) -> dict[str, Any]:
    """
    Give a form as JSON would have it: "a.b" nested, each field once. DRF would take the last of a
    repeated one, and what was checked need not be what was sent.
    """
    values: dict[str, Any] = {}
    for key, sent in data.lists():
        name, dot, inner = key.partition(".")
        if name not in serializer.fields:
            continue
        target, member = (values.setdefault(name, {}), inner) if dot else (values, name)
        if len(sent) > 1 or not isinstance(target, dict) or member in target:
            detail = ErrorDetail(str(_("Enter one value only.")), "invalid")
            raise ValidationError({name: [detail]})
        target[member] = sent[0]
    return values


def _resolved(url: str | None) -> str | None:
    """Give a setting's path, address or URL name as an address, or None: a link is no reason to fail."""
    try:
        return resolve_url(url) if isinstance(url, (str, Promise)) and url else None
    except NoReverseMatch:
        return None


def _wait(seconds: int) -> str:
    if seconds <= 90:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    minutes = math.ceil(seconds / 60)
    return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
