"""
An AWS Lambda function, for the pool's custom message trigger: the mail with the code has a link to
the page where it is entered, in the person's language. Copy this one file; it needs nothing else.

Its environment:

- ``RESET_URL``: the page's address, ``https://www.example.com/password-reset/confirm/``. It is taken
  from nowhere else, so that nobody can have a link to a place of their own sent. Without it the
  message has the code alone.
- ``SIGN_IN_ATTRIBUTE``: what people sign in with where that isn't the pool's own username, ``email``
  for example. It is what the link calls them.

The language is ClientMetadata's ``language``, else the user's ``locale``, else English.
"""

from __future__ import annotations

import html
import logging
import os
import string
from typing import Any
from urllib.parse import quote, urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Cognito takes no longer text message.
SMS_LIMIT = 140


def gettext_noop(text: str) -> str:
    """Mark a text for makemessages; there is no Django here to translate it."""
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
# Written by `make lambda`, from the catalogues of translations.
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
    """Answer the trigger. Staff's resets have the same source; all others are left as they are."""
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
    """Give the first language that there are texts in; as Django does, any Chinese for zh-cn."""
    for tag in tags:
        wanted = (tag or "").lower().replace("_", "-")
        generic = wanted.split("-")[0]
        variants = (known for known in TEXTS if known.startswith(f"{generic}-"))
        for known in (wanted, generic, *variants):
            if known in TEXTS:
                return known
    return "en"


def username(event: dict[str, Any]) -> str:
    """Give what the person is called at the sign-in: an alias counts once it is verified."""
    attributes = event["request"].get("userAttributes") or {}
    alias = os.environ.get("SIGN_IN_ATTRIBUTE", "")
    if alias in ("email", "phone_number") and attributes.get(f"{alias}_verified") != "true":
        alias = ""
    name: str = attributes.get(alias) or event["userName"]
    return name


def reset_url() -> str:
    """Give the page's address, or "" where there is none that may be linked to."""
    url = os.environ.get("RESET_URL", "")
    try:
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        if safe and parts.hostname and not set(url) & {*"#@", *string.whitespace}:
            return url
    except ValueError:
        pass
    if url:
        logging.getLogger(__name__).error("RESET_URL is no https address: there is no link.")
    return ""


def link(url: str, name: str, code: str) -> str:
    """Give the address with all in its fragment, which browsers keep to themselves."""
    return url and f"{url}#username={quote(name, safe='')}&code={code}"


def mail(language: str, code: str, address: str) -> str:
    """Give the mail. The code is there to be read, too, and first: the link needs JavaScript."""
    texts = {key: html.escape(text) for key, text in TEXTS[language].items()}
    marked = f'lang="{language}" dir="{texts["dir"]}"'  # on both, for mail programs drop the first
    anchor = f'<p><a href="{html.escape(address)}">{texts["link"]}</a></p>' if address else ""
    return (
        f'<!doctype html><html {marked}><head><meta charset="utf-8">'
        f"<title>{texts['subject']}</title></head><body><div {marked}>"
        f'<p>{texts["lead"]}</p><p><strong><bdi dir="ltr">{html.escape(code)}</bdi></strong></p>'
        f"{anchor}<p>{texts['note']}</p></div></body></html>"
    )


def sms(language: str, code: str, host: str | None) -> str:
    """Give the text message, bound to the site's domain, so that phones offer it nowhere else."""
    text = TEXTS[language]["sms"].replace("{code}", code)
    # In one line: whether Cognito takes a line break isn't documented.
    bound = f"@{host} #{code} {text}"
    return bound if host and len(bound) <= SMS_LIMIT else text
