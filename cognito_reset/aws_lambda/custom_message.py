"""
An AWS Lambda function for the custom message trigger of a user pool. It writes the mail with the
reset code in the person's language, with a link to the page that takes the code. Copy this file
alone: it needs no other.

The function reads two environment variables:

- ``RESET_URL``: the address of the page, ``https://www.example.com/password-reset/confirm/``. No
  request can change it, so nobody can make the function mail a link to another site. Without
  ``RESET_URL``, the message contains only the code.
- ``SIGN_IN_ATTRIBUTE``: the attribute that people sign in with, ``email`` for example, if they don't
  sign in with the pool's username. The link then contains this attribute.

The language is ``language`` in ClientMetadata, or else the user's ``locale``, or else English.
"""

from __future__ import annotations

import html
import logging
import os
import string
from typing import Any
from urllib.parse import quote, urlsplit

__all__ = ["handler"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Cognito accepts no longer text messages.
SMS_LIMIT = 140


def gettext_noop(text: str) -> str:
    """Mark a text for makemessages. Django isn't there to translate it at run time."""
    return text


ENGLISH = {
    "dir": "ltr",
    "subject": gettext_noop("Reset your password"),
    "lead": gettext_noop("This is your password reset code. It works for an hour."),
    "link": gettext_noop("Choose a new password"),
    "note": gettext_noop("Do not share the code. If you do not need it, ignore this message."),
    # Translators: a text message, of 90 characters at the most.
    "sms": gettext_noop("Your password reset code is {code}. Do not share it."),
}
# `make lambda` writes this table from the catalogues of translations.
TRANSLATIONS: dict[str, dict[str, str]] = {
    "ar": {
        "dir": "rtl",
        "subject": "أعد تعيين كلمة مرورك",
        "lead": "هذا رمز إعادة تعيين كلمة مرورك. يعمل الرمز لمدة ساعة.",
        "link": "اختر كلمة مرور جديدة",
        "note": "لا تشارك الرمز مع أحد. إذا لم تكن بحاجة إليه، فتجاهل هذه الرسالة.",
        "sms": "رمز إعادة تعيين كلمة مرورك هو {code}. لا تشاركه مع أحد.",
    },
    "de": {
        "dir": "ltr",
        "subject": "Passwort zurücksetzen",
        "lead": "Das ist Ihr Bestätigungscode für ein neues Passwort. Er gilt eine Stunde.",
        "link": "Neues Passwort wählen",
        "note": "Geben Sie den Code nicht weiter. Wenn Sie ihn nicht brauchen, ignorieren Sie diese Nachricht.",
        "sms": "Ihr Bestätigungscode für ein neues Passwort ist {code}. Geben Sie ihn nicht weiter.",
    },
    "es": {
        "dir": "ltr",
        "subject": "Restablezca su contraseña",
        "lead": "Este es su código de restablecimiento de contraseña. Es válido durante una hora.",
        "link": "Elija una contraseña nueva",
        "note": "No comparta el código. Si no lo necesita, ignore este mensaje.",
        "sms": "Su código de restablecimiento de contraseña es {code}. No lo comparta.",
    },
    "fr": {
        "dir": "ltr",
        "subject": "Réinitialisez votre mot de passe",
        "lead": "Voici votre code de réinitialisation du mot de passe. Il est valable une heure.",
        "link": "Choisissez un nouveau mot de passe",
        "note": "Ne communiquez ce code à personne. Si vous n’en avez pas besoin, ignorez ce message.",
        "sms": "Votre code de réinitialisation du mot de passe est {code}. Ne le communiquez à personne.",
    },
    "he": {
        "dir": "rtl",
        "subject": "איפוס הסיסמה שלכם",
        "lead": "זה קוד איפוס הסיסמה שלכם. הקוד תקף לשעה.",
        "link": "בחירת סיסמה חדשה",
        "note": "אל תמסרו את הקוד לאף אחד. אם אתם לא צריכים אותו, התעלמו מההודעה הזו.",
        "sms": "קוד איפוס הסיסמה שלכם הוא {code}. אל תמסרו אותו לאף אחד.",
    },
    "hi": {
        "dir": "ltr",
        "subject": "अपना पासवर्ड रीसेट करें",
        "lead": "यह आपका पासवर्ड रीसेट कोड है। यह एक घंटे तक काम करता है।",
        "link": "नया पासवर्ड चुनें",
        "note": "कोड किसी को न बताएँ। अगर आपको इसकी ज़रूरत नहीं है, तो इस संदेश पर ध्यान न दें।",
        "sms": "आपका पासवर्ड रीसेट कोड {code} है। इसे किसी को न बताएँ।",
    },
    "it": {
        "dir": "ltr",
        "subject": "Reimposta la tua password",
        "lead": "Questo è il tuo codice di reimpostazione della password. Vale un’ora.",
        "link": "Scegli una nuova password",
        "note": "Non comunicare il codice a nessuno. Se non ti serve, ignora questo messaggio.",
        "sms": "Il tuo codice di reimpostazione della password è {code}. Non comunicarlo a nessuno.",
    },
    "ja": {
        "dir": "ltr",
        "subject": "パスワードのリセット",
        "lead": "パスワードリセットの確認コードです。1時間有効です。",
        "link": "新しいパスワードを設定",
        "note": "確認コードはほかの人に教えないでください。必要がない場合は、このメールを無視してください。",
        "sms": "パスワードリセットの確認コードは {code} です。ほかの人に教えないでください。",
    },
    "nl": {
        "dir": "ltr",
        "subject": "Wachtwoord herstellen",
        "lead": "Dit is de herstelcode voor uw wachtwoord. De code werkt een uur.",
        "link": "Kies een nieuw wachtwoord",
        "note": "Deel de code met niemand. Hebt u de code niet nodig? Dan kunt u dit bericht negeren.",
        "sms": "De herstelcode voor uw wachtwoord is {code}. Deel de code met niemand.",
    },
    "pl": {
        "dir": "ltr",
        "subject": "Zresetuj hasło",
        "lead": "To Twój kod weryfikacyjny do zresetowania hasła. Kod działa przez godzinę.",
        "link": "Ustaw nowe hasło",
        "note": "Nikomu nie podawaj kodu. Jeśli go nie potrzebujesz, zignoruj tę wiadomość.",
        "sms": "Kod weryfikacyjny do resetu hasła: {code}. Nikomu go nie podawaj.",
    },
    "pt-br": {
        "dir": "ltr",
        "subject": "Redefina sua senha",
        "lead": "Este é o seu código de redefinição de senha. Ele vale por uma hora.",
        "link": "Escolha uma nova senha",
        "note": "Não compartilhe o código. Se não precisar dele, ignore esta mensagem.",
        "sms": "Seu código de redefinição de senha é {code}. Não compartilhe com ninguém.",
    },
    "zh-hans": {
        "dir": "ltr",
        "subject": "重置密码",
        "lead": "这是您的密码重置验证码，1 小时内有效。",
        "link": "设置新密码",
        "note": "请勿将验证码告诉他人。如果您不需要验证码，请忽略此邮件。",
        "sms": "您的密码重置验证码是 {code}。请勿告诉他人。",
    },
}
# End of what `make lambda` writes.
TEXTS = {"en": ENGLISH, **TRANSLATIONS}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer the trigger for resets, also those by staff. Leave all other messages unchanged."""
    if event["triggerSource"] == "CustomMessage_ForgotPassword":
        request = event["request"]
        attributes = request.get("userAttributes") or {}
        metadata = request.get("clientMetadata") or {}
        language = language_of(metadata.get("language"), attributes.get("locale"))
        code = request["codeParameter"]
        url = reset_url()
        event["response"] |= {
            "emailSubject": TEXTS[language]["subject"],
            "emailMessage": mail(language, code, link(url, username(event), code)),
            "smsMessage": sms(language, code, urlsplit(url).hostname),
        }
    return event


def language_of(*tags: str | None) -> str:
    """Return the first language that has texts. As in Django, zh-cn matches any Chinese."""
    for tag in tags:
        wanted = (tag or "").lower().replace("_", "-")
        generic = wanted.split("-")[0]
        variants = (known for known in TEXTS if known.startswith(f"{generic}-"))
        for known in (wanted, generic, *variants):
            if known in TEXTS:
                return known
    return "en"


def username(event: dict[str, Any]) -> str:
    """Return the name that the person signs in with. Only a verified alias is used."""
    attributes = event["request"].get("userAttributes") or {}
    alias = os.environ.get("SIGN_IN_ATTRIBUTE", "")
    if alias in ("email", "phone_number") and attributes.get(f"{alias}_verified") != "true":
        alias = ""
    name: str = attributes.get(alias) or event["userName"]
    return name


def reset_url() -> str:
    """Return the page's address, or "" if none is set or it isn't safe to link to."""
    url = os.environ.get("RESET_URL", "")
    try:
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        if safe and parts.hostname and not set(url) & {*"#@", *string.whitespace}:
            return url
    except ValueError:
        pass
    if url:
        logging.getLogger(__name__).error(
            "RESET_URL isn't an https address, so the mail has no link."
        )
    return ""


def link(url: str, name: str, code: str) -> str:
    """Return the address with name and code in its fragment, which browsers don't send."""
    return url and f"{url}#username={quote(name, safe='')}&code={code}"


def mail(language: str, code: str, address: str) -> str:
    """Return the mail. The code comes first, as text, because the link needs JavaScript."""
    texts = {key: html.escape(text) for key, text in TEXTS[language].items()}
    marked = f'lang="{language}" dir="{texts["dir"]}"'  # on both: mail programs drop <html>
    anchor = f'<p><a href="{html.escape(address)}">{texts["link"]}</a></p>' if address else ""
    return (
        f'<!doctype html><html {marked}><head><meta charset="utf-8">'
        f"<title>{texts['subject']}</title></head><body><div {marked}>"
        f'<p>{texts["lead"]}</p><p><strong><bdi dir="ltr">{html.escape(code)}</bdi></strong></p>'
        f"{anchor}<p>{texts['note']}</p></div></body></html>"
    )


def sms(language: str, code: str, host: str | None) -> str:
    """Return the text message, bound to the site's domain: phones fill in the code only there."""
    text = TEXTS[language]["sms"].replace("{code}", code)
    # All in one line, because AWS doesn't document whether Cognito accepts a line break.
    bound = f"@{host} #{code} {text}"
    return bound if host and len(bound) <= SMS_LIMIT else text
