"""
Validation without side effects: the same serializers for every interface.

The fields have AWS's names in snake_case, with the limits and patterns of botocore's model (tests
compare them). Their own errors have two codes, ``required`` and ``invalid``; broken rules for
passwords have codes of their own. ``style`` tells how a page shows
a field.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from django.core.validators import ProhibitNullCharactersValidator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from cognito_reset.resets.identifiers import e164
from cognito_reset.resets.passwords import PasswordPolicy
from cognito_reset.secret import Secret

# Values of these names are masked where a request is parsed, also by the names of Cognito's own protocol.
SECRET_NAMES: Final = frozenset(
    ("confirmation_code", "password", "ConfirmationCode", "Password", "SecretHash")
)
# Unicode's major categories in botocore's pattern for Username: no spaces, no control characters and
# nothing invisible.
_USERNAME_CATEGORIES: Final = frozenset("LMNPS")
# Lone surrogates can't be encoded, and some systems treat NUL as the end of a string.
_NO_TEXT: Final = re.compile("[\x00\ud800-\udfff]")
_FOR_NO_TEXT: Final = (ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator)
# What no phone number contains; and what no username contains, at least where a phone number is an
# alias: Cognito refuses usernames there that look like one.
_NO_PHONE_NUMBER: Final = re.compile(r"[^\W\d]|@")
_INTERNATIONAL: Final = re.compile(r"\+[\d\s()./\u2010-\u2015-]+")
_NO_USERNAME: Final = re.compile(r"^[+\uff0b]|\s")

# By the initials of what a pool signs in with: the field's label, and the error if it is empty.
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
# Not type="email": browsers rewrite domains in Unicode in such fields.
_KEYBOARDS: Final = {"e": {"inputmode": "email"}, "p": {"input_type": "tel"}}


class _TwoCodes(serializers.Field):  # type: ignore[type-arg]
    """A field whose errors have two codes: ``required``, and ``invalid`` for all other reasons."""

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        code = "required" if key in ("required", "blank") else "invalid"
        message = self.error_messages["required" if code == "required" else key]
        raise serializers.ValidationError(message.format(**kwargs), code=code)


class StrictCharField(_TwoCodes, serializers.CharField):
    """
    A field that accepts only strings and doesn't trim them. DRF's own accepts numbers and booleans. The
    length is checked before anything else.
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
        # _NO_TEXT checks the same, and faster.
        self.validators = [v for v in self.validators if not isinstance(v, _FOR_NO_TEXT)]

    def to_internal_value(self, data: Any) -> Any:
        text = data.reveal() if isinstance(data, Secret) else data
        if not isinstance(text, str):
            self.fail("not_text")
        if len(text) > self.limit:
            self.fail("too_long", limit=self.limit)
        if _NO_TEXT.search(text):
            self.fail("characters")
        text = self.clean(text)
        if not text and not self.allow_blank:
            self.fail("blank")
        return text

    def clean(self, data: str) -> str:
        return data


class UsernameField(StrictCharField):
    """
    A username or an alias of one. Blanks at its ends are removed; the rest stays as it was typed, because
    the pool decides whether case matters. Phone numbers are the exception: Cognito knows E.164 only.
    ``pool`` in the serializer's context tells what users sign in with.
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
        """Return E.164 for what can only be a phone number, and anything else as it is."""
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


class SecretField(StrictCharField):
    """A field whose value stays masked."""

    def to_internal_value(self, data: Any) -> Secret:
        return Secret(super().to_internal_value(data))


class CodeField(SecretField):
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


class PasswordField(SecretField):
    """A password exactly as typed. Spaces are refused at its ends; Cognito decides on those inside."""

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
    """A map of strings to strings. Errors don't repeat keys, which come from the caller."""

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
    """A field that allows only the given characters. ``\\w`` means ASCII, as in Java."""

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
    """What only callers of Cognito's own protocol send. It is validated, and not passed on."""

    client_id = LettersField(limit=128, letters=r"\w+")
    secret_hash = LettersField(limit=128, letters=r"\w+=/", required=False)
    user_context_data = AWSContextDataSerializer(required=False)


class RequestCodeSerializer(serializers.Serializer[Any]):
    """The parameters of ForgotPassword that a caller may send."""

    username = UsernameField(limit=128)
    client_metadata = ClientMetadataField(
        child=StrictCharField(limit=131072, allow_blank=True), required=False, allow_null=True
    )
    analytics_metadata = AnalyticsMetadataSerializer(required=False, allow_null=True)
    user_context_data = UserContextDataSerializer(required=False, allow_null=True)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # JSON's null counts as an object without members.
        return super().run_validation({} if data is None else data)


class ConfirmResetSerializer(RequestCodeSerializer):
    """The parameters of ConfirmForgotPassword that a caller may send. The context has the ``policy``."""

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

    def validate_password(self, value: Secret) -> Secret:
        """Refuse what the pool would refuse, so that it costs neither the code nor an attempt."""
        policy: PasswordPolicy = self.context["policy"]
        username, code = self._value_of("username"), self._value_of("confirmation_code")
        code = code.reveal() if isinstance(code, Secret) else ""
        details = list(policy.problems(value, username=username or "", code=code))
        if details:
            raise serializers.ValidationError(details)
        return value

    def _value_of(self, name: str) -> Any:
        """Return another field's value, or ``None`` if that field has an error of its own."""
        field = self.fields[name]
        try:
            return field.run_validation(field.get_value(self.initial_data))
        except serializers.ValidationError:
            return None


def masked_values(data: object) -> object:
    """Return a request's data with its secrets masked; anything but a mapping as it is."""
    if not isinstance(data, Mapping):
        return data
    return {name: masked(name, value) for name, value in data.items()}


def masked(name: str, value: Any) -> Any:
    """Return ``value`` as a Secret if a field of this name is one."""
    return Secret(value) if name in SECRET_NAMES and isinstance(value, str) else value


def _is_blank(character: str) -> bool:
    """Check whether ``character`` is some kind of space, or an invisible format character."""
    return character.isspace() or unicodedata.category(character) == "Cf"
