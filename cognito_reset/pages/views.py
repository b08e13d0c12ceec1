"""
The pages, as plain Django views in the shape of django.contrib.auth's:

- RequestView: ask for a code. GET shows the form; POST sends the code and redirects to the next page.
- ConfirmView: enter the code with a new password. POST sets it and redirects to the last page.
- DoneView: show the result once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, ClassVar, Final

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.utils.decorators import decorator_from_middleware, method_decorator
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic.base import ContextMixin, TemplateResponseMixin, View
from rest_framework.exceptions import APIException, ValidationError

from cognito_reset.cognito.errors import (
    MaybeSent,
    OutcomeUnknown,
    ResetError,
    Throttled,
    Unavailable,
    misconfigured,
)
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.pages.forms import PageField, form_values, page_errors, page_fields
from cognito_reset.pages.session import ResetState
from cognito_reset.parsers import address_of
from cognito_reset.resets.bodies import BODY_LIMIT, body_length, is_utf8
from cognito_reset.resets.flow import (
    Attempt,
    CodeRequested,
    Confirmed,
    confirm_reset,
    make_serializer,
    request_code,
    validate,
)
from cognito_reset.resets.pools import resolve_pool
from cognito_reset.resets.problems import Problem, problems
from cognito_reset.resets.serializers import ConfirmResetSerializer, RequestCodeSerializer
from cognito_reset.resets.stores import outside_transactions

__all__ = ["ConfirmView", "DoneView", "RequestView", "redirect_to_reset"]

SERIALIZERS: Final[Mapping[str, type[RequestCodeSerializer]]] = {
    "request": RequestCodeSerializer,
    "confirm": ConfirmResetSerializer,
}


def guarded(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """
    Refuse bodies that are too large, of unknown length or not in UTF-8, before anything reads them. Set
    Referrer-Policy.
    """

    @wraps(view)
    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        def refuse(text: Any, status: int) -> HttpResponseBase:
            # Let nobody read the body: neither the CSRF check nor the site's own code.
            vars(request).update(
                _body=b"",
                _post=QueryDict(),
                _files=MultiValueDict(),
                csrf_processing_done=True,
                cognito_reset_refusal=(text, status),  # read in dispatch()
            )
            with suppress(SuspiciousOperation):
                response = view(request, *args, **kwargs)
                if response.status_code == status:
                    return response
            return _plain(text, status)  # the page can't be shown

        length = body_length(request)
        if length is None:
            response = refuse(_("The request doesn't say how long it is."), 411)
        elif length > BODY_LIMIT:
            response = refuse(_("The request is too large."), 413)
        elif not is_utf8(request):
            response = refuse(_("The request cannot be read."), 400)
        else:
            # Django refuses a form whose charset is spelled "utf8". If some middleware has parsed the form,
            # it can't be parsed once more.
            if "_post" not in vars(request):
                request.encoding = "utf-8"
            try:
                response = view(request, *args, **kwargs)
            except (MultiPartParserError, SuspiciousOperation):  # too many fields, or broken ones
                response = refuse(_("The request cannot be read."), 400)
        # Not "no-referrer": browsers then send "Origin: null", which Django's CSRF check refuses.
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return guard


class _Csrf(CsrfViewMiddleware):
    """
    Django's CSRF check, except that ``dispatch()`` answers a failure: it shows the form again instead of
    Django's error page, because cookies get lost.
    """

    def _reject(self, request: HttpRequest, reason: str) -> None:
        super()._reject(request, reason)  # type: ignore[misc]  # the stubs lack it; it also logs
        request.cognito_reset_expired = True  # type: ignore[attr-defined]  # read in dispatch()


class PageView(TemplateResponseMixin, ContextMixin, View):
    """What the three pages share. Subclasses may set ``template_name`` and ``extra_context``."""

    http_method_names = ["get", "head", "post", "options"]
    stop_template_name = "cognito_reset/stop.html"

    @method_decorator(
        [
            login_not_required,
            sensitive_post_parameters(),
            never_cache,
            xframe_options_deny,
            csrf_exempt,  # the site's middleware would read the body before ``guarded``
            guarded,
            decorator_from_middleware(_Csrf),
            outside_transactions,
        ]
    )
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            self.pool = resolve_pool(request, kwargs.get("pool"))
            self.state = ResetState(request, self.pool)
            if refusal := getattr(request, "cognito_reset_refusal", None):
                return self.refused(*refusal)
            if getattr(request, "cognito_reset_expired", False):
                return self.expired()
            return super().dispatch(request, *args, **kwargs)
        except CognitoResetMisconfigured as error:
            failure: ResetError = misconfigured(error)
        except ResetError as error:  # one of the site's callables failed, and the page needs it
            failure = error
        except APIException as error:  # raised by POOL_RESOLVER
            text = " ".join(problem.detail for problem in problems(error))
            return _plain(text, error.status_code)
        # Don't read settings here, because one of them may be invalid.
        response = _plain(failure.message, failure.status)
        response.headers["Retry-After"] = str(failure.retry_after)
        return response

    def refused(self, text: str, status: int) -> HttpResponseBase:
        """Answer a request whose body isn't read."""
        self.template_name = self.stop_template_name
        context = self.get_context_data(reason="unreadable", text=text)
        return self.render_to_response(context, status=status)

    def expired(self) -> HttpResponseBase:
        """Answer a request that failed the CSRF check."""
        return self.http_method_not_allowed(self.request)

    def url(self, name: str) -> str:
        """Return the address of another page, in the namespace of the current one."""
        match = self.request.resolver_match
        if match is None:
            return reverse(f"cognito_reset:{name}")
        # Keep what was captured from the path, such as a tenant, but not what was passed to include().
        added: dict[str, Any] = match.extra_kwargs  # type: ignore[attr-defined]  # the stubs lack it
        captured = {name: value for name, value in match.kwargs.items() if name not in added}
        # A view outside of our URLconf, for example named "password_reset", has no namespace.
        return reverse(f"{match.namespace or 'cognito_reset'}:{name}", kwargs=captured)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        common = {
            "sign_in_url": address_of(conf.sign_in_url),
            "contact_url": address_of(conf.contact_url),
            "request_url": self.url("request"),
            "confirm_url": self.url("confirm"),
        }
        return super().get_context_data(**{**common, **kwargs})


class StepView(RedirectURLMixin, PageView):
    """
    A page with the form of one step. After the reset, it redirects to the ``next`` parameter if its host is
    allowed. Any other value is ignored.
    """

    step: ClassVar[str]
    fields: ClassVar[Sequence[str]]
    success_url: str | None = None

    def url(self, name: str) -> str:
        url, following = super().url(name), self.get_redirect_url()
        return f"{url}?{urlencode({'next': following})}" if following and name != "done" else url

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.form_response(self.state.username)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        username = request.POST.get("username", "")
        # Outside of the try block: if the rules for passwords fail, the stop page can't be made either.
        serializer = make_serializer(SERIALIZERS[self.step], self.pool)
        try:
            if not self.state.is_readable:
                raise Unavailable  # before anything is sent
            values = form_values(request.POST, serializer)
            result = self.perform(Attempt(self.pool, "pages", request), values)
        except ValidationError as error:
            found = problems(error)
        except ResetError as error:
            return self.failed(error, username)
        else:
            return self.form_valid(result)
        return self.form_response(username, found)

    def perform(self, attempt: Attempt, values: dict[str, Any]) -> Any:
        raise NotImplementedError

    def form_valid(self, result: Any) -> HttpResponse:
        """Redirect to what follows the step."""
        raise NotImplementedError

    def failed(self, error: ResetError, username: str) -> HttpResponse:
        if error.field:
            return self.form_response(username, problems(error))
        return self.stop_response(error, username)

    def expired(self) -> HttpResponse:
        text = _(
            "This page was open for too long, or your browser keeps no cookies. Check what you "
            "entered, and try again."
        )
        username = self.request.POST.get("username", "")
        return self.form_response(username, [Problem("expired", str(text), None)], status=403)

    def form_response(
        self, username: str, found: Sequence[Problem] = (), *, status: int = 400
    ) -> HttpResponse:
        known = self.known_username(username)
        fields = self.page_fields(username, found)
        context = self.get_context_data(
            fields=fields,
            errors=page_errors(fields, found),
            username=known,
            sent=bool(known) and not found and self.state.note != "required",
            note=self.state.note if known else "",
            resend_after=self.state.resend_after if known else 0,
            destination=self.state.destination if known and conf.show_destination else None,
        )
        return self.render_to_response(context, status=status if found else 200)

    def stop_response(self, error: ResetError, username: str) -> HttpResponse:
        reason = "throttled" if isinstance(error, Throttled) else "unavailable"
        retry_after = error.retry_after or 0
        self.template_name = self.stop_template_name
        context = self.get_context_data(
            reason="maybe_sent" if isinstance(error, MaybeSent) else reason,
            step=self.step,
            retry_after=retry_after,
            wait=_wait(retry_after),
            fields=self.page_fields(username),
            username=self.known_username(username),
        )
        response = self.render_to_response(context, status=error.status)
        response.headers["Retry-After"] = str(retry_after)
        return response

    def known_username(self, username: str) -> str:
        """Return the session's username, or "" if another one was typed."""
        return self.state.username if username in ("", self.state.username) else ""

    def page_fields(self, username: str, found: Sequence[Problem] = ()) -> list[PageField]:
        serializer = make_serializer(SERIALIZERS[self.step], self.pool)
        return list(page_fields(serializer, self.fields, username, found))


class RequestView(StepView):
    """Ask for a code. ``success_url`` is the next page's address, by default the confirm page's."""

    template_name = "cognito_reset/request.html"
    step = "request"
    fields = ("username",)

    def perform(self, attempt: Attempt, values: dict[str, Any]) -> CodeRequested:
        return request_code(attempt, values)

    def get_success_url(self) -> str:
        return self.success_url or self.url("confirm")

    def form_valid(self, result: CodeRequested) -> HttpResponse:
        again = self.state.username == result.username and self.state.note != "required"
        self.state.start(
            result.username,
            resend_after=result.resend_after,
            destination=result.delivery.destination if result.delivery else None,
            note="again" if again else "",
        )
        return redirect(self.get_success_url())

    def failed(self, error: ResetError, username: str) -> HttpResponse:
        if not (isinstance(error, Throttled) and error.cool_down):
            return super().failed(error, username)
        # A code was requested a moment ago, so answer as if this request had succeeded.
        attempt = Attempt(self.pool, "pages", self.request)
        name = validate(SERIALIZERS[self.step], attempt, {"username": username})["username"]
        kept = self.state if name == self.state.username else None
        destination, note = (kept.destination, kept.note) if kept else (None, "")
        wait = error.retry_after or 0
        self.state.start(name, resend_after=wait, destination=destination, note=note)
        return redirect(self.get_success_url())


class ConfirmView(StepView):
    """
    Set the new password. Afterwards, redirect to ``next``, to ``success_url`` or to the done page, in this
    order. The person isn't signed in.
    """

    template_name = "cognito_reset/confirm.html"
    done_template_name = "cognito_reset/done.html"
    step = "confirm"
    fields = ("username", "confirmation_code", "password")

    def perform(self, attempt: Attempt, values: dict[str, Any]) -> Confirmed:
        return confirm_reset(attempt, values)

    def get_success_url(self) -> str:
        return self.get_redirect_url() or self.success_url or self.url("done")

    def form_valid(self, result: Confirmed) -> HttpResponse:
        if self.get_success_url() == self.url("done"):
            return self.done("confirmed", note="signed_out" if result.signed_out else "")
        self.state.end()
        return redirect(self.get_success_url())

    def failed(self, error: ResetError, username: str) -> HttpResponse:
        if isinstance(error, OutcomeUnknown):
            return self.done("unknown")
        return super().failed(error, username)

    def done(self, outcome: str, note: str = "") -> HttpResponse:
        """
        Redirect to the done page, so that a refresh doesn't submit the code again. That page finds the outcome
        in the session, so show the outcome here if the session can't be saved.
        """
        if self.state.finish(outcome, note=note):
            return redirect(self.url("done"))
        self.template_name = self.done_template_name
        return self.render_to_response(self.get_context_data(outcome=outcome, note=note))


class DoneView(PageView):
    """Show the outcome once. If there is none, redirect to the first page."""

    template_name = ConfirmView.done_template_name
    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not self.state.is_readable:
            raise Unavailable
        outcome, note = self.state.outcome, self.state.note
        if not outcome:
            return redirect(self.url("request"))
        if request.method == "GET":
            self.state.end()
        return self.render_to_response(self.get_context_data(outcome=outcome, note=note))


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
    Redirect a user to the reset pages after Cognito answered PasswordResetRequiredException to the site's
    own sign-in. Set ``code_sent`` if staff sent a code already. The username is stored in the session and
    isn't in the address. ``kwargs`` are the arguments of the path.
    """
    url = reverse(f"{namespace}:{'confirm' if code_sent else 'request'}", kwargs=kwargs)
    state = ResetState(request, resolve_pool(request, pool))
    state.start(username, resend_after=0, note="required")
    return redirect(url)


def _plain(text: Any, status: int) -> HttpResponseBase:
    return HttpResponse(text, status=status, content_type="text/plain")


def _wait(seconds: int) -> str:
    if seconds <= 90:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    minutes = math.ceil(seconds / 60)
    return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
