"""``manage.py demo``: the demo from nothing to a site that answers."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import threading
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.urls import reverse

from cognito_reset.models import LedgerSlot
from example_project import emulator, pool

settings: Any = django_settings  # mypy knows those of the tests only
HOST = "127.0.0.1"


class Command(BaseCommand):
    help = "Run the demo: make its database and its users, start the emulator and the site."
    # Before the emulator has a pool there is nothing to check.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("port", nargs="?", type=int, default=8000, help="8000; 0: a free one")
        parser.add_argument(
            "--emulator-only",
            action="store_true",
            help="leave the site to another server, and print the environment that it needs",
        )

    def handle(self, *args: Any, port: int, emulator_only: bool, **options: Any) -> None:
        # Both, by name: a shell starts what is in the background with SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            with ExitStack() as stack:
                site = None
                if not emulator_only:
                    site = stack.enter_context(self.site(port))
                    # Where the mails' links lead, for the function that writes them.
                    page = f"http://{HOST}:{site.server_port}{reverse('cognito_reset:confirm')}"
                    os.environ.setdefault("RESET_URL", page)
                if settings.EMULATED:
                    self.start_emulator(stack)
                elif emulator_only:
                    raise CommandError("COGNITO_ variables name a pool: there is none to emulate.")
                self.check()
                call_command("migrate", verbosity=0)
                self.add_users()
                if site is None:
                    self.print_environment()
                    threading.Event().wait()
                else:
                    site.set_app(get_wsgi_application())
                    self.print_addresses(site.server_port)
                    site.serve_forever()
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def site(self, port: int) -> ThreadedWSGIServer:
        """Take the port, before anything else is done for nothing."""
        try:
            return ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
        except OSError as error:
            reason = "is taken" if error.errno == errno.EADDRINUSE else f"can't be used: {error}"
        except OverflowError:
            reason = "is no port: the highest is 65535"
        raise CommandError(f"Port {port} {reason}. Choose another: make demo PORT=8123")

    def start_emulator(self, stack: ExitStack) -> None:
        """Put an emulator's pool in the place of the one that the settings have for other commands."""
        emulator.isolate()
        server, made = emulator.start()
        settings.COGNITO_RESET["POOLS"]["default"].update(made)
        stack.callback(server.close)
        settings.OUTBOX_URL = f"{server.url}/outbox"

    def add_users(self) -> None:
        """Make who is missing: staff for the admin, and the site's side of the emulator's users."""
        if not User.objects.filter(username="demo").exists():
            User.objects.create_superuser("demo", password="demo")
        if not User.objects.filter(username="staff").exists():
            staff = User.objects.create_user("staff", password="demo", is_staff=True)
            # All but the permission to send resets.
            staff.user_permissions.set(
                Permission.objects.filter(codename__in=["view_user", "change_user"])
            )
        if settings.EMULATED:
            for name in emulator.PEOPLE:
                if not User.objects.filter(username=name).exists():
                    User.objects.create_user(name, f"{name}@example.com")
            # The pool's users are new, even if the database isn't.
            LedgerSlot.objects.all().delete()

    def print_environment(self) -> None:
        environment = {
            **{f"COGNITO_{key}": pool.of_settings()[key] for key in settings.POOL_KEYS},
            "COGNITO_OUTBOX_URL": settings.OUTBOX_URL,
            **emulator.AWS_ENVIRONMENT,
        }
        for name, value in environment.items():
            self.stdout.write(f"export {name}={shlex.quote(value)}")
        self.stdout.flush()

    def print_addresses(self, port: int) -> None:
        site = f"http://{HOST}:{port}"
        pages = {
            "/password-reset/": "the pages",
            "/spa/": "a single-page app on the REST endpoints",
            "/sdk/": "the same by an AWS SDK",
            "/api/schema/": "the OpenAPI schema of the REST endpoints",
            "/cognito/": "the endpoint for AWS SDKs, with the ClientId demo",
            "/inbox/": "what Cognito has sent",
            "/sign-in/": f"sign in: alice, {emulator.PASSWORD}",
            "/admin/": "send a user a reset: demo, demo",
        }
        if not pool.has_inbox():
            del pages["/inbox/"]
            pages["/sign-in/"] = "sign in"
        lines = [f"  {site}{path:<18}{text}" for path, text in pages.items()]
        self.stdout.write("\n".join([f"\nThe demo is at {site}/\n", *lines, "\nCtrl-C stops it."]))
        self.stdout.flush()
