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

from django.core.validators import EmailValidator, ProhibitNullCharactersValidator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from cognito_reset.resets.identifiers import (
    copied_address,
    is_e164,
    is_sub,
    may_be_email_address,
    phone_number,
)
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
_NO_PHONE_NUMBER: Final = re.compile(r"[^\W\d]|@")
# Matches what can't be a username in a pool with phone numbers: Cognito refuses usernames there that look
# like a phone number, and usernames with a space everywhere. Links are nobody's username.
_NO_USERNAME: Final = re.compile(r"^\W*(?:\+|tel:|mailto:)|\s", re.IGNORECASE)
# A code in a text: "123456", or else "123 456" or "123-456". An ASCII letter may not touch it, because that
# is a mistyped digit. Other letters may, because some scripts use no spaces. Two groups of three digits are a
# code only if no third group is beside them.
_CODE: Final = re.compile(r"(?<![A-Za-z0-9])[0-9]{6}(?![A-Za-z0-9])")
_CODE_IN_GROUPS: Final = re.compile(
    r"(?<![A-Za-z0-9])(?<![0-9][ .-])[0-9]{3}[ .-][0-9]{3}(?![ .-][0-9])(?![A-Za-z0-9])"
)
# Codes for resets have 6 digits. Cognito's codes for signing in have 8, so a text of 8 digits alone is sent, too:
# the app still works if Cognito makes the codes for resets as long.
_CODE_LENGTHS: Final = (6, 8)

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
    A username or an alias of one. Spaces at its ends are removed; the rest stays as it was typed, because
    the pool decides whether case matters, and Cognito documents no normalization of Unicode. There are two
    exceptions: Cognito knows phone numbers in E.164 only, and mail programs copy more than an address. A text
    that can't be anything that people sign in with is refused. A sub is accepted everywhere.
    ``pool`` in the serializer's context tells what users sign in with.
    """

    default_error_messages = {
        "characters": _("Remove the spaces and invisible characters from what you entered."),
        "phone_number": _("Enter a complete phone number, with its area code or country code."),
        "email": EmailValidator.message,
    }

    def bind(self, field_name: str, parent: Any) -> None:
        super().bind(field_name, parent)
        pool = self.context.get("pool")
        names = "".join(name[0] for name in pool.sign_in_with) if pool else "uep"
        self.region = pool.phone_region if pool else None
        self.names = names
        self.label, self.error_messages["required"] = _TEXTS[names]
        self.style = {"autocomplete": "username", **_KEYBOARDS.get(names, {})}
        if "p" in names and not self.region:
            self.help_text = _("Start a phone number with + and the country code.")

    def clean(self, data: str) -> str:
        seen = [index for index, character in enumerate(data) if not _is_blank(character)]
        data = data[seen[0] : seen[-1] + 1] if seen else ""
        data = self._understood(data)
        problem = self._problem(data)
        if problem != "phone_number" and not _USERNAME_CATEGORIES.issuperset(
            unicodedata.category(c)[0] for c in data
        ):
            problem = "characters"
        if data and problem:
            self.fail(problem)
        return data

    def _understood(self, data: str) -> str:
        """Return the phone number or the address that ``data`` must mean, or else ``data`` itself."""
        if "u" in self.names and not _NO_USERNAME.search(unicodedata.normalize("NFKC", data)):
            return data
        number = phone_number(data, self.region) if "p" in self.names else ""
        return number or (copied_address(data) if "e" in self.names else data)

    def _problem(self, data: str) -> str:
        """Return the key of the error if people can't sign in with ``data``, or else ""."""
        if is_sub(data):
            return ""
        if "u" in self.names:  # a number in groups is no username
            in_groups = (
                "p" in self.names and re.search(r"\d\s", data) and not _NO_PHONE_NUMBER.search(data)
            )
            return "phone_number" if in_groups else ""
        if "e" in self.names and ("p" not in self.names or _NO_PHONE_NUMBER.search(data)):
            return "" if may_be_email_address(data) else "email"
        return "" if is_e164(data) else "phone_number"


class SecretField(StrictCharField):
    """A field whose value stays masked."""

    def to_internal_value(self, data: Any) -> Secret:
        return Secret(super().to_internal_value(data))


class CodeField(SecretField):
    """
    A code as people type or paste it: "123 456", "Code: 123456.", the whole message, or in the digits of their
    own script. A text without exactly one code is refused, so that it costs no attempt.
    """

    def clean(self, data: str) -> str:
        text = "".join(_plain(character) for character in data)
        if not text.strip(" -"):
            return ""
        codes = _CODE.findall(text) or _CODE_IN_GROUPS.findall(text)
        found = {re.sub("[^0-9]", "", code) for code in codes}
        # If there are only digits and punctuation, they are the code: "48.04.01", "(480)/401".
        if not found and not re.search(r"[^\W\d_]|[\x00-\x1f\x7f-\x9f]", text):
            digits = re.sub("[^0-9]", "", text)
            found = {digits} if len(digits) in _CODE_LENGTHS else found
        if len(found) != 1:
            self.fail("characters")
        return found.pop()


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

    # The other fields' values if they are valid, for validate_password: the password is the last field.
    _username = ""
    _code = Secret("")

    def validate_username(self, value: str) -> str:
        self._username = value
        return value

    def validate_confirmation_code(self, value: Secret) -> Secret:
        self._code = value
        return value

    def validate_password(self, value: Secret) -> Secret:
        """Refuse what the pool would refuse, so that it costs neither the code nor an attempt."""
        policy: PasswordPolicy = self.context["policy"]
        details = list(policy.problems(value, username=self._username, code=self._code.reveal()))
        if details:
            raise serializers.ValidationError(details)
        return value


def masked_values(data: object) -> object:
    """Return a request's data with its secrets masked; anything but a mapping as it is."""
    if not isinstance(data, Mapping):
        return data
    return {name: masked(name, value) for name, value in data.items()}


def masked(name: str, value: Any) -> Any:
    """Return ``value`` as a Secret if a field of this name is one."""
    return Secret(value) if name in SECRET_NAMES and isinstance(value, str) else value


def _plain(character: str) -> str:
    """Return the ASCII form of any digit, space or dash, "" for an invisible mark, or else ``character``."""
    category = unicodedata.category(character)
    if category == "Cf" or "\ufe00" <= character <= "\ufe0f":  # invisible marks
        return ""
    if character.isspace():
        return " "
    return "-" if category == "Pd" else str(unicodedata.decimal(character, character))


def _is_blank(character: str) -> bool:
    """Check whether ``character`` is some kind of space, or an invisible format character."""
    return character.isspace() or unicodedata.category(character) == "Cf"
