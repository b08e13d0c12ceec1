"""
What a password must be: the pool's policy, from the settings or from the pool itself, and the
validators of the site. In words for people, in patterns for the script that ticks them off, as
``passwordrules`` for password managers. Cognito stays the authority.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from django.views.decorators.debug import sensitive_variables

from cognito_reset.cognito.errors import CognitoResetMisconfigured, ResetError
from cognito_reset.cognito.service import get_service
from cognito_reset.conf import conf

FRESH_SECONDS: Final = 3600
RETRY_SECONDS: Final = 60  # after a failure
WAIT_SECONDS: Final = 2.0


@dataclass(frozen=True)
class PasswordRule:
    """``pattern`` is found in a password that keeps the rule; Python and JavaScript read it alike."""

    code: str
    text: str
    pattern: str


# By Cognito's member: our code, the words, the pattern, and the name in HTML's passwordrules. A
# space counts as a symbol (developer guide); at the ends none gets as far as here.
_KINDS: Final = {
    "RequireLowercase": (
        "password_no_lowercase",
        gettext_noop("Use a lowercase letter (a to z)."),
        "[a-z]",
        "lower",
    ),
    "RequireUppercase": (
        "password_no_uppercase",
        gettext_noop("Use an uppercase letter (A to Z)."),
        "[A-Z]",
        "upper",
    ),
    "RequireNumbers": (
        "password_no_number",
        gettext_noop("Use a number (0 to 9)."),
        "[0-9]",
        "digit",
    ),
    "RequireSymbols": (
        "password_no_symbol",
        gettext_noop("Use a symbol, such as ! or ?"),
        r"""[\^$*.\[\]{}()?"!@#%&\/\\,><':;|_~`=+\- ]""",
        "[-!#$%&()*+,.:;=?@_]",
    ),
}
# Beyond the rules: ours and Django's own validators'. Others have codes of their own.
VALIDATOR_CODES: Final = (
    "password_too_similar",
    "password_too_common",
    "password_entirely_numeric",
)


@dataclass(frozen=True)
class PasswordPolicy:
    """Cognito's PasswordPolicyType, as far as it can be told beforehand. The default is Cognito's."""

    minimum_length: int = 8
    required: frozenset[str] = frozenset(_KINDS)

    @classmethod
    def from_aws(cls, values: Mapping[str, Any]) -> PasswordPolicy:
        """Take AWS's names. What is absent isn't asked for, as Cognito itself has it."""
        required = frozenset(name for name in _KINDS if values.get(name))
        return cls(values.get("MinimumLength", cls.minimum_length), required)

    @property
    def rules(self) -> list[PasswordRule]:
        least = self.minimum_length
        text = ngettext(
            "Use at least %(count)d character.", "Use at least %(count)d characters.", least
        )
        return [
            PasswordRule("password_too_short", text % {"count": least}, f".{{{least}}}"),
            *(PasswordRule(code, _(text), pattern) for code, text, pattern, _n in self._kinds()),
        ]

    @property
    def passwordrules(self) -> str:
        """Give the value of HTML's ``passwordrules``, by which managers make a password."""
        required = "".join(f" required: {name};" for *_rest, name in self._kinds())
        return f"minlength: {self.minimum_length};{required}"

    @property
    def hints(self) -> list[str]:
        """Give in words what the site's validators ask for beyond the rules."""
        texts = [
            validator.get_help_text()
            for validator in _validators()
            if not isinstance(validator, MinimumLengthValidator)
            and not (self.required and isinstance(validator, NumericPasswordValidator))
        ]
        return [text for text in texts if text]

    @sensitive_variables()
    def problems(self, password: str, *, username: str, code: str) -> Iterator[tuple[str, str]]:
        """Give what is wrong with a password, as codes and words; nothing is looked up."""
        for rule in self.rules:
            if not re.search(rule.pattern, password, re.DOTALL):
                yield rule.code, rule.text
        if password.casefold() in (username.casefold(), code.casefold()):
            yield "password_too_similar", _("Choose a password that is not your username or code.")
        for error in _refusals(password, username):
            if error.code != "password_too_short":  # the rules have the longer of the two lengths
                # Of a field's own codes a validator has none.
                has_code = error.code and error.code not in ("required", "invalid")
                yield str(error.code) if has_code else "password_invalid", " ".join(error.messages)

    def _kinds(self) -> Iterator[tuple[str, str, str, str]]:
        return (kind for name, kind in _KINDS.items() if name in self.required)


def get_policy(pool: str) -> PasswordPolicy:
    """Give what a pool's passwords must be, with the length that the site's own validators ask for."""
    source = conf.pool(pool).password_policy
    if source == "pool":
        policy = _policy_of_pool(pool)
    else:
        policy = PasswordPolicy() if source is None else PasswordPolicy.from_aws(source)
    lengths = [
        validator.min_length
        for validator in _validators()
        if isinstance(validator, MinimumLengthValidator)
    ]
    return replace(policy, minimum_length=max([policy.minimum_length, *lengths]))


# By pool id: until when it is good, and the policy. Two threads that both find it too old make one
# call too many at worst.
_known: dict[str, tuple[float, PasswordPolicy]] = {}


def _policy_of_pool(pool: str) -> PasswordPolicy:
    """Ask the pool once an hour. While that fails the last known policy holds, or the default."""
    pool_id, now = conf.pool(pool).user_pool_id, time.monotonic()
    until, policy = _known.get(pool_id, (now, PasswordPolicy()))
    if now < until:
        return policy
    _known[pool_id] = now + RETRY_SECONDS, policy  # nobody else waits meanwhile
    try:
        values = get_service(pool).password_policy(wait=WAIT_SECONDS)
    except ResetError:  # which is logged
        values = None
    if values is not None:
        policy = PasswordPolicy.from_aws(values)
        _known[pool_id] = now + FRESH_SECONDS, policy
    return policy


def _validators() -> list[Any]:
    try:
        return get_default_password_validators() if conf.auth_password_validators else []
    except ImproperlyConfigured as error:  # of Django's, which names no value
        raise CognitoResetMisconfigured(str(error)) from None


def has_codes_of_its_own() -> bool:
    """Whether the site has validators beside Django's, with codes that only they know."""
    return any(
        type(validator).__module__ != "django.contrib.auth.password_validation"
        for validator in _validators()
    )


@sensitive_variables()
def _refusals(password: str, username: str) -> list[ValidationError]:
    """Ask the site's validators. The user that they get is made up: a look-up would be an oracle."""
    model = get_user_model()
    try:
        user = model()
        setattr(user, model.USERNAME_FIELD, username)
        validate_password(password, user, _validators())
    except ValidationError as refused:
        return refused.error_list
    except Exception as error:  # a validator's own fault
        fault = type(error).__name__
    else:
        return []
    raise CognitoResetMisconfigured(f"One of AUTH_PASSWORD_VALIDATORS failed: {fault}.")
