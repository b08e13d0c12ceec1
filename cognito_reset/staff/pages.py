"""``AccountAdmin``: the admin's pages about people in the pool, whom Django may not know."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.text import capfirst
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from rest_framework.exceptions import ValidationError

from cognito_reset.cognito import errors
from cognito_reset.conf import conf
from cognito_reset.models import Account, ResetEvent
from cognito_reset.resets.pools import resolve_pool
from cognito_reset.resets.stores import outside_transactions
from cognito_reset.staff.accounts import (
    LOOK_UP,
    PoolAccount,
    look_up,
    look_up_sub,
    may_see,
    settings_as_errors,
    with_names_of_every_kind,
)
from cognito_reset.staff.actions import action_or_404, reason_of
from cognito_reset.staff.model_admin import ON_CHANGE_FORM, denied
from cognito_reset.staff.panel import log_not_shown
from cognito_reset.staff.perform import Done, perform_for, record_denied
from cognito_reset.staff.person_pages import PersonPages, may_view

if TYPE_CHECKING:
    from cognito_reset.staff.look_up import LookUpSerializer


@admin.register(Account)
class AccountAdmin(PersonPages):
    """Look a person up in the pool, see what is wrong with the account, and put it right."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(LOOK_UP)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def may_view_user(self, request: HttpRequest, user: Any) -> bool:
        if not self.admin_site.is_registered(type(user)):
            return may_see(request.user, user)
        return may_view(self.admin_site.get_model_admin(type(user)), request, user)

    def get_cognito_username(self, request: HttpRequest, obj: Any) -> str:
        """Return what the site's own UserAdmin returns, if it has the mixin."""
        site, model = self.admin_site, type(obj)
        own = site.get_model_admin(model) if site.is_registered(model) else None
        if isinstance(own, PersonPages):
            return own.get_cognito_username(request, obj)
        return super().get_cognito_username(request, obj)

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
            "changelist": ("", self.changelist_view),
            # For the links of the admin's log.
            "change": ("<str:object_id>/change/", self.change_view),
            "panel": ("<str:pool>/<str:sub>/", self.panel_view),
            "action": ("<str:pool>/<str:sub>/<str:name>/", self.action_view),
        }
        return [
            path(
                route,
                outside_transactions(self.admin_site.admin_view(view)),
                name=f"cognito_reset_account_{name}",
            )
            for name, (route, view) in views.items()
        ]

    @method_decorator(sensitive_post_parameters("username"))
    @sensitive_variables("typed", "account")
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Ask whom to look up. The POST redirects to the person, so that no URL has what was typed."""
        if not self.has_view_permission(request):
            raise denied(self, request)
        pools = conf.pool_aliases()
        typed, pool, error = "", request.POST.get("pool", pools[0]), ""
        if request.method == "POST" and pool in pools:
            typed = request.POST.get("username", "")
            try:
                account = self._look_up(request, typed, pool)
                return redirect(self._url("panel", pool, account.person.sub))
            except ValidationError as failure:
                error = str(failure.detail["username"][0])  # type: ignore[call-overload, index]
            except errors.ResetError as failure:
                log_not_shown(request.user, failure)
                error = reason_of(failure)
        context = {
            **self.admin_site.each_context(request),
            "title": capfirst(self.opts.verbose_name_plural),
            "opts": self.opts,
            "is_first": True,
            "label": _serializer().fields["username"].label,
            "typed": typed,
            "pools": pools,
            "pool": pool,
            "error": error,
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        return TemplateResponse(request, "admin/cognito_reset/look_up.html", context)

    @sensitive_variables("typed", "serializer", "username")
    def _look_up(self, request: HttpRequest, typed: str, pool: str) -> PoolAccount:
        """Return the person whom the staff member means. Raise ``ValidationError`` or ``ResetError``."""
        with settings_as_errors():
            names = {"pool": with_names_of_every_kind(pool)}
            serializer = _serializer(data={"username": typed}, context=names)
            serializer.is_valid(raise_exception=True)
        username = serializer.validated_data["username"]
        return self.check_account(request, look_up(username, pool=pool), LOOK_UP)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        pool, _slash, sub = unquote(object_id).partition("/")
        self._require(request, pool, LOOK_UP)
        if not sub or "/" in sub:
            raise Http404
        return redirect(self._url("panel", pool, sub))

    def panel_view(self, request: HttpRequest, pool: str, sub: str) -> HttpResponse:
        self._require(request, pool, LOOK_UP)
        shown = self.panel_context(
            request,
            partial(look_up_sub, sub, pool=pool),
            url=lambda name: self._url("action", pool, sub, name),
            staff=self.staff_reader(request),
        )
        account = shown["shown"].account if "shown" in shown else None
        context = {
            **self.admin_site.each_context(request),
            "title": account.name if account else capfirst(self.opts.verbose_name),
            "opts": self.opts,
            "panel": shown,
            "user_url": self._user_url(account.user) if account and account.user else "",
            "breadcrumbs_are_a_list": ON_CHANGE_FORM,
        }
        return TemplateResponse(request, "admin/cognito_reset/account.html", context)

    def action_view(self, request: HttpRequest, pool: str, sub: str, name: str) -> HttpResponse:
        action = action_or_404(name)
        try:
            self._require(request, pool, LOOK_UP, action.permission)
        except PermissionDenied:
            if request.method == "POST":
                record_denied(
                    action,
                    pool=partial(resolve_pool, request, pool),
                    username=lambda: sub,
                    actor=request.user,
                    interface=ResetEvent.Interface.ADMIN,
                    request=request,
                )
            raise

        def find() -> PoolAccount:
            account = look_up_sub(sub, pool=pool)
            return self.check_account(request, account, LOOK_UP, action.permission)

        staff = self.staff_reader(request)
        act = partial(
            perform_for,
            find,
            action,
            pool=pool,
            name=sub,
            username=sub,
            actor=request.user,
            interface=ResetEvent.Interface.ADMIN,
            request=request,
            staff=staff,
        )
        return self.action_response(
            request,
            action,
            find=find,
            act=act,
            way_back=self._url("panel", pool, sub),
            original=Account(pk=f"{pool}/{sub}"),
            staff=staff,
        )

    def log_done(self, request: HttpRequest, obj: Any, done: Done) -> None:
        """Write into the history of the site's user, if there is one."""
        user = done.account.user if done.account else None
        super().log_done(request, user or obj, done)

    def _require(self, request: HttpRequest, pool: str, *permissions: str) -> None:
        if not all(request.user.has_perm(name) for name in permissions):
            raise denied(self, request)
        if pool not in conf.pool_aliases():
            raise Http404

    def _url(self, name: str, *args: str) -> str:
        name = f"admin:cognito_reset_account_{name}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def _user_url(self, user: Any) -> str:
        if not self.admin_site.is_registered(type(user)):
            return ""
        name = f"admin:{user._meta.app_label}_{user._meta.model_name}_change"
        return reverse(name, args=[user.pk], current_app=self.admin_site.name)


def _serializer(**kwargs: Any) -> LookUpSerializer:
    from cognito_reset.staff.look_up import LookUpSerializer

    return LookUpSerializer(**kwargs)
