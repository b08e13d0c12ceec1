"""What each rule of rules.yaml finds, and what it leaves alone: ``make audit`` checks this first."""

from __future__ import annotations

import logging

# ruleid: other-way-to-the-network-or-the-shell
import subprocess
import urllib.parse

# ruleid: other-way-to-the-network-or-the-shell
import urllib.request

from django.db import connection
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import mark_safe

logger = logging.getLogger(__name__)


def secrets(password, confirmation_code, error):
    # ruleid: reveal-outside-of-the-known-places
    text = password.reveal()
    # ok: reveal-outside-of-the-known-places
    text = str(password)
    # ruleid: secret-in-a-log-line-or-an-exception
    logger.info("cognito_reset.example code=%s", confirmation_code)
    # ruleid: secret-in-a-log-line-or-an-exception
    logger.info(f"cognito_reset.example {password}")
    # ruleid: secret-in-a-log-line-or-an-exception, reveal-outside-of-the-known-places
    logger.info("cognito_reset.example %s", text + password.reveal())
    # ok: secret-in-a-log-line-or-an-exception
    logger.info("cognito_reset.example code=%s", error.code)
    # ruleid: secret-in-a-log-line-or-an-exception, reveal-outside-of-the-known-places
    raise ValueError(password.reveal())


def identifiers(username, person):
    # ruleid: identifier-in-a-log-line
    logger.info("cognito_reset.example username=%s", username)
    # ruleid: identifier-in-a-log-line
    logger.info("cognito_reset.example %s", person.email)
    # ok: identifier-in-a-log-line
    logger.info("cognito_reset.example sub=%s", person.sub)


def exceptions(work):
    try:
        work()
    except ValueError as error:
        # ok: exceptions-text-in-a-log-line
        logger.error("cognito_reset.example %s", error)
    # ruleid: exceptions-text-in-a-log-line
    try:
        work()
    except Exception as error:
        logger.error("cognito_reset.example %s", error)
    try:
        work()
    except Exception as error:
        # ok: exceptions-text-in-a-log-line
        logger.error("cognito_reset.example %s", type(error).__name__)
    # ruleid: exceptions-text-in-a-log-line
    logger.exception("cognito_reset.example")
    # ruleid: exceptions-text-in-a-log-line
    logger.error("cognito_reset.example", exc_info=True)


def html(name, text):
    # ruleid: html-that-is-not-escaped
    mark_safe(name)
    # ruleid: html-that-is-not-escaped
    format_html(text, name)
    # ok: html-that-is-not-escaped
    format_html("<b>{}</b>", name)


def redirects(request, view):
    # ruleid: redirect-to-what-a-client-sent
    redirect(request.GET["next"])
    # ok: redirect-to-what-a-client-sent
    redirect(view.get_success_url())


def sql(name):
    with connection.cursor() as cursor:
        # ruleid: sql-that-is-put-together
        cursor.execute(f"SELECT {name}")
        # ok: sql-that-is-put-together
        cursor.execute("SELECT %s", [name])


def network(name):
    # ok: other-way-to-the-network-or-the-shell
    urllib.parse.quote(name)
    # ruleid: other-way-to-the-network-or-the-shell
    eval(name)
    subprocess.run(name, check=True)
    urllib.request.urlopen(name)
