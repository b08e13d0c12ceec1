"""
The rules for a new password: the pool's policy, from the settings or from the pool itself, and the site's
validators. The policy is available as text for people, as patterns for the script that ticks off what
is satisfied, and as ``passwordrules`` for password managers. Cognito makes the final decision.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import (
    MinimumLengthValidator,
    NumericPasswordValidator,
    get_default_password_validators,
    validate_password,
)
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext
from rest_framework.exceptions import ErrorDetail
from rest_framework.exceptions import ValidationError as DRFValidationError

from cognito_reset.cognito.errors import ResetError
from cognito_reset.cognito.service import get_service
from cognito_reset.conf import CognitoResetMisconfigured, conf
from cognito_reset.resets.site_code import run_site_code
from cognito_reset.secret import Secret

FRESH_SECONDS: Final = 3600
RETRY_SECONDS: Final = 60  # after a failure
WAIT_SECONDS: Final = 2.0


@dataclass(frozen=True)
class PasswordRule:
    """``pattern`` matches in every password that satisfies the rule, in Python and in JavaScript."""

    code: str
    text: str
    pattern: str


# By Cognito's name: our code, the text, the pattern, and the name in HTML's passwordrules. A space
# counts as a symbol (developer guide); the field refuses spaces at the ends.
# fmt: off
_KINDS: Final = {
    "RequireLowercase": (
        "password_no_lowercase", gettext_noop("Use a lowercase letter (a to z)."), "[a-z]", "lower"),
    "RequireUppercase": (
        "password_no_uppercase", gettext_noop("Use an uppercase letter (A to Z)."), "[A-Z]", "upper"),
    "RequireNumbers": (
        "password_no_number", gettext_noop("Use a number (0 to 9)."), "[0-9]", "digit"),
    "RequireSymbols": (
        "password_no_symbol", gettext_noop("Use a symbol, such as ! or ?"),
        r"""[\^$*.\[\]{}()?"!@#%&\/\\,><':;|_~`=+\- ]""", "[-!#$%&()*+,.:;=?@_]"),
}
# fmt: on
# Codes beyond the rules, from us and from Django's own validators. A site's validators may add others.
VALIDATOR_CODES: Final = (
    "password_too_similar",
    "password_too_common",
    "password_entirely_numeric",
)


@dataclass(frozen=True)
class PasswordPolicy:
    """Cognito's PasswordPolicyType, as far as it can be checked beforehand. The default is Cognito's."""

    minimum_length: int = 8
    required: frozenset[str] = frozenset(_KINDS)

    @classmethod
    def from_aws(cls, values: Mapping[str, Any]) -> PasswordPolicy:
        """Return the policy by AWS's names. Rules that are absent don't apply, as in Cognito."""
        required = frozenset(name for name in _KINDS if values.get(name))
        return cls(values.get("MinimumLength", cls.minimum_length), required)

    @property
    def rules(self) -> list[PasswordRule]:
        least = self.minimum_length
        text = ngettext(
            "Use at least %(count)d character.", "Use at least %(count)d characters.", least
        )
        length = PasswordRule("password_too_short", text % {"count": least}, f".{{{least}}}")
        return [length, *(PasswordRule(code, _(text), p) for code, text, p, _n in self._kinds())]

    @property
    def passwordrules(self) -> str:
        """Return HTML's ``passwordrules`` attribute, from which managers generate a password."""
        required = "".join(f" required: {name};" for *_rest, name in self._kinds())
        return f"minlength: {self.minimum_length};{required}"

    @property
    def hints(self) -> list[str]:
        """Return the help texts of the site's validators, except of those that repeat a rule."""
        return _run_validators(self._hints)

    def _hints(self) -> list[str]:
        known: tuple[type, ...] = (MinimumLengthValidator,)
        if self.required:
            known = (MinimumLengthValidator, NumericPasswordValidator)
        texts = [each.get_help_text() for each in _validators() if not isinstance(each, known)]
        return [text for text in texts if text]

    def problems(self, password: Secret, *, username: str, code: str) -> Iterator[ErrorDetail]:
        """Yield an error for each rule that the password breaks."""
        text = password.reveal()
        for rule in self.rules:
            if not re.search(rule.pattern, text, re.DOTALL):
                yield ErrorDetail(rule.text, rule.code)
        if text.casefold() in (username.casefold(), code.casefold()):
            words = _("Choose a password that is not your username or code.")
            yield ErrorDetail(words, "password_too_similar")

    def _kinds(self) -> Iterator[tuple[str, str, str, str]]:
        return (kind for name, kind in _KINDS.items() if name in self.required)


def get_policy(pool: str) -> PasswordPolicy:
    """Return a pool's policy, with the minimum length of the site's own validators if that is longer."""
    policy, source = PasswordPolicy(), conf.pool(pool).password_policy
    if source is not None:
        policy = _policy_of_pool(pool) if source == "pool" else PasswordPolicy.from_aws(source)
    length = policy.minimum_length
    return replace(policy, minimum_length=_run_validators(partial(_minimum_length, length)))


def _minimum_length(least: int) -> int:
    lengths = [v.min_length for v in _validators() if isinstance(v, MinimumLengthValidator)]
    return max([least, *lengths])


_run_validators: Final = partial(run_site_code, "AUTH_PASSWORD_VALIDATORS")

# Maps a pool's id to when its policy must be read again, and the policy. At worst two threads that read
# it at once make one call too many.
_known: dict[str, tuple[float, PasswordPolicy]] = {}


def forget() -> None:
    """Forget the pools' policies, so that they are read again."""
    _known.clear()


def _policy_of_pool(pool: str) -> PasswordPolicy:
    """
    Return the policy that Cognito has for the pool. It is read once an hour. While that fails, return the
    last known policy, or the default.
    """
    pool_id, now = conf.pool(pool).user_pool_id, time.monotonic()
    expires, policy = _known.get(pool_id, (now, PasswordPolicy()))
    if now < expires:
        return policy
    _known[pool_id] = now + RETRY_SECONDS, policy  # so that no other thread waits as well
    try:
        values = get_service(pool).password_policy(wait=WAIT_SECONDS)
    except ResetError:  # the service has logged it
        values = None
    if values is not None:
        policy = PasswordPolicy.from_aws(values)
        _known[pool_id] = now + FRESH_SECONDS, policy
    return policy


def _validators() -> list[Any]:
    if not conf.auth_password_validators:
        return []
    try:
        return _run_validators(get_default_password_validators, ImproperlyConfigured)
    except ImproperlyConfigured as error:  # Django's own text, which contains no value
        raise CognitoResetMisconfigured(str(error)) from None


def has_codes_of_its_own() -> bool:
    """Check whether the site has validators other than Django's, whose codes only they know."""
    djangos = MinimumLengthValidator.__module__
    return any(type(validator).__module__ != djangos for validator in _validators())


def check_site_validators(password: Secret, username: str) -> None:
    """
    Raise DRF's ValidationError if the site's validators refuse the password. The user that they get is
    made up and has nothing but the name that was typed: a look-up would tell who has an account.
    """
    model = get_user_model()
    user = model(**{model.USERNAME_FIELD: username})
    details = []
    try:
        validate_password(password.reveal(), user, _validators())
    except ValidationError as refused:
        details = [_detail(error) for error in refused.error_list]
    if details:
        raise DRFValidationError({"password": details})


def _detail(error: ValidationError) -> ErrorDetail:
    # "required" and "invalid" are the field's own codes.
    code = "password_invalid" if error.code in (None, "", "required", "invalid") else error.code
    return ErrorDetail(" ".join(error.messages), code)
