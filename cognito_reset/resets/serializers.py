"""
Validation, and nothing but validation: the same serializers on every interface.

The fields are AWS's in snake_case, their limits and patterns those of botocore's model (tests
compare them). Two codes only: ``required`` and ``invalid``. ``style`` says how a page shows a field.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final, NoReturn

from django.core.validators import ProhibitNullCharactersValidator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.debug import sensitive_variables
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from cognito_reset.resets.identifiers import e164
from cognito_reset.resets.passwords import PasswordPolicy

# Unicode's major categories in botocore's pattern for Username: no spaces, no controls, nothing
# invisible.
_USERNAME_CATEGORIES: Final = frozenset("LMNPS")
# A lone surrogate can't be encoded; NUL ends a string in too many places.
_NO_TEXT: Final = re.compile("[\x00\ud800-\udfff]")
_FOR_NO_TEXT: Final = (ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator)
# What no phone number has; and what no username has, or none in a pool where a phone number is an
# alias: Cognito takes no name there that looks like one.
_NO_PHONE_NUMBER: Final = re.compile(r"[^\W\d]|@")
_INTERNATIONAL: Final = re.compile(r"\+[\d\s()./\u2010-\u2015-]+")
_NO_USERNAME: Final = re.compile(r"^[+\uff0b]|\s")

# By the initials of what a pool signs in with: what the field is called, and what to say of nothing.
_TEXTS: Final = {
    "u": (pgettext_lazy("label", "Username"), _("Enter your username.")),
    "e": (pgettext_lazy("label", "Email address"), _("Enter your email address.")),
    "p": (pgettext_lazy("label", "Phone number"), _("Enter your phone number.")),
    "ue": (_("Username or email address"), _("Enter your username or email address.")),
    "up": (_("Username or phone number"), _("Enter your username or phone number.")),
    "ep": (_("Email address or phone number"), _("Enter your email address or phone number.")),
    "uep": (
        _("Username, email address or phone number"),
        _("Enter your username, email address or phone number."),
    ),
}
# Not type="email": browsers rewrite what is typed there, an address with a domain in Unicode.
_KEYBOARDS: Final = {"e": {"inputmode": "email"}, "p": {"input_type": "tel"}}


class _TwoCodes(serializers.Field):  # type: ignore[type-arg]
    """Every reason but a missing value is ``invalid``: callers need not know DRF's own names."""

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        code = "required" if key in ("required", "blank") else "invalid"
        message = self.error_messages["required" if code == "required" else key]
        raise serializers.ValidationError(message.format(**kwargs), code=code)


class StrictCharField(_TwoCodes, serializers.CharField):
    """
    A string that is a string: DRF's own takes numbers and booleans for one, and trims. The length
    is checked before anything else looks at the value.
    """

    default_error_messages = {
        "required": _("Enter a value."),
        "null": _("Enter a text."),
        "not_text": _("Enter a text."),
        "too_long": _("Use {limit} characters or fewer."),
        "characters": _("Remove the characters that are not allowed here."),
    }

    def __init__(self, *, limit: int, **kwargs: Any) -> None:
        self.limit = limit
        super().__init__(trim_whitespace=False, **kwargs)
        # DRF's own look for what _NO_TEXT refuses, and slowly.
        self.validators = [v for v in self.validators if not isinstance(v, _FOR_NO_TEXT)]

    @sensitive_variables()
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        if len(data) > self.limit:
            self.fail("too_long", limit=self.limit)
        if _NO_TEXT.search(data):
            self.fail("characters")
        text = self.clean(data)
        if not text and not self.allow_blank:
            self.fail("blank")
        return text

    def clean(self, data: str) -> str:
        return data


class UsernameField(StrictCharField):
    """
    A username or an alias of one, without what pasting brings along at its ends, and otherwise as
    it was typed: the pool says whether case counts. The exception are phone numbers, which Cognito
    knows in E.164 only. ``pool`` in the serializer's context says what users sign in with.
    """

    default_error_messages = {
        "characters": _("Remove the spaces and invisible characters from what you entered."),
        "phone_number": _("Enter a complete phone number, with its area code or country code."),
    }

    def bind(self, field_name: str, parent: Any) -> None:
        super().bind(field_name, parent)
        pool = self.context.get("pool")
        names = "".join(name[0] for name in pool.sign_in_with) if pool else "uep"
        self.region = pool.phone_region if pool else None
        self.takes_phones, self.takes_usernames = "p" in names, "u" in names
        self.label, self.error_messages["required"] = _TEXTS[names]
        self.style = {"autocomplete": "username", **_KEYBOARDS.get(names, {})}
        if "p" in names and not self.region:
            self.help_text = _("Start a phone number with + and the country code.")

    def clean(self, data: str) -> str:
        seen = [index for index, character in enumerate(data) if not _is_blank(character)]
        data = data[seen[0] : seen[-1] + 1] if seen else ""
        if self.takes_phones and data:
            data = self._phone_number(data)
        if not _USERNAME_CATEGORIES.issuperset(unicodedata.category(c)[0] for c in data):
            self.fail("characters")
        return data

    def _phone_number(self, data: str) -> str:
        """Give E.164 for what can be nothing else that the pool takes."""
        may_be_username = self.takes_usernames and not _NO_USERNAME.search(data)
        if may_be_username or _NO_PHONE_NUMBER.search(data):  # an address, or a sub
            return data
        plain = unicodedata.normalize("NFKC", data)
        number = ""
        if self.region:
            number = e164(data, self.region)
        elif _INTERNATIONAL.fullmatch(plain):
            number = "+" + "".join(str(int(c)) for c in plain if c.isdecimal())
        if not (number or self.takes_usernames):
            self.fail("phone_number")
        return number or data


class CodeField(StrictCharField):
    """A code as people type it: "123 456", "123-456", in the digits of their own script."""

    def clean(self, data: str) -> str:
        kept = [
            str(unicodedata.decimal(character, character))
            for character in data
            if not (
                _is_blank(character)
                or unicodedata.category(character) == "Pd"
                or "\ufe00" <= character <= "\ufe0f"  # variation marks
            )
        ]
        if any(unicodedata.category(character) == "Cc" for character in kept):
            self.fail("characters")
        return "".join(kept)


class PasswordField(StrictCharField):
    """Taken exactly as typed. Of blanks only inner spaces may stand: Cognito decides on those."""

    default_error_messages = {
        "ends": _("Remove the space at the start or the end of the password."),
    }

    def clean(self, data: str) -> str:
        if data != data.strip(" "):
            self.fail("ends")
        if re.search(r"[^\S ]", data, re.ASCII):
            self.fail("characters")
        return data


class ClientMetadataField(_TwoCodes, serializers.DictField):
    """A map of strings to strings. An error names no key: keys are a caller's, and may be no text."""

    default_error_messages = {"not_texts": _("Enter texts only.")}

    def run_child_validation(self, data: Any) -> Any:
        try:
            return super().run_child_validation(data)
        except serializers.ValidationError:
            pass
        self.fail("not_texts")


class AnalyticsMetadataSerializer(serializers.Serializer[Any]):
    analytics_endpoint_id = StrictCharField(
        limit=131072, required=False, allow_null=True, allow_blank=True
    )


class UserContextDataSerializer(serializers.Serializer[Any]):
    encoded_data = StrictCharField(limit=131072, required=False, allow_null=True, allow_blank=True)


class LettersField(StrictCharField):
    """A member whose pattern is a set of letters, of which Java knows ASCII's only."""

    def __init__(self, *, letters: str, **kwargs: Any) -> None:
        self.letters = re.compile(f"[{letters}]*", re.ASCII)
        super().__init__(**kwargs)

    def clean(self, data: str) -> str:
        if not self.letters.fullmatch(data):
            self.fail("characters")
        return data


class AWSContextDataSerializer(serializers.Serializer[Any]):
    ip_address = StrictCharField(limit=131072, required=False, allow_blank=True)


class AWSCallerSerializer(serializers.Serializer[Any]):
    """What only Cognito's own protocol has of a caller. It is looked at, and not passed on."""

    client_id = LettersField(limit=128, letters=r"\w+")
    secret_hash = LettersField(limit=128, letters=r"\w+=/", required=False)
    user_context_data = AWSContextDataSerializer(required=False)


class RequestCodeSerializer(serializers.Serializer[Any]):
    """What ForgotPassword takes of a caller."""

    username = UsernameField(limit=128)
    client_metadata = ClientMetadataField(
        child=StrictCharField(limit=131072, allow_blank=True), required=False, allow_null=True
    )
    analytics_metadata = AnalyticsMetadataSerializer(required=False, allow_null=True)
    user_context_data = UserContextDataSerializer(required=False, allow_null=True)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # JSON's null, as one without members.
        return super().run_validation({} if data is None else data)


class ConfirmResetSerializer(RequestCodeSerializer):
    """What ConfirmForgotPassword takes of a caller."""

    # The context has the ``policy``.
    confirmation_code = CodeField(
        limit=2048,
        write_only=True,
        label=_("Reset code"),
        help_text=_("The 6 digits in the email or text message."),
        error_messages={
            "required": _("Enter the code."),
            "too_long": _("Enter the code from the message. This is too long to be one."),
            "characters": _("Enter the code from the message, digits only."),
        },
        style={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )
    password = PasswordField(
        limit=256,
        write_only=True,
        label=_("New password"),
        error_messages={
            "required": _("Enter a new password."),
            "too_long": _("Enter a password of {limit} characters or fewer."),
            "characters": _("Enter a password without line breaks, tabs or control characters."),
        },
        style={"autocomplete": "new-password", "input_type": "password"},
    )

    @sensitive_variables()
    def validate_password(self, value: str) -> str:
        """Refuse here what the pool would refuse, so that it costs neither the code nor an attempt."""
        policy: PasswordPolicy = self.context["policy"]
        username, code = self._typed("username"), self._typed("confirmation_code")
        found = policy.problems(value, username=username, code=code)
        details = [serializers.ErrorDetail(text, code) for code, text in found]
        if details:
            raise serializers.ValidationError(details)
        return value

    @sensitive_variables()
    def _typed(self, name: str) -> str:
        """Give another field's value, or "" where it has an error of its own."""
        field = self.fields[name]
        try:
            return str(field.run_validation(field.get_value(self.initial_data)))
        except serializers.ValidationError:
            return ""


def _is_blank(character: str) -> bool:
    """Whether ``character`` is a space of some kind, or an invisible one for format."""
    return character.isspace() or unicodedata.category(character) == "Cf"
