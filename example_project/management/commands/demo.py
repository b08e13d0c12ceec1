"""``manage.py demo``: set up and run the demo."""

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

settings: Any = django_settings  # mypy only knows the settings of the tests
HOST = "127.0.0.1"


class Command(BaseCommand):
    help = "Run the demo: create its database and users, and start the emulator and the site."
    # Checks can't run before the emulator has a pool. handle() runs them later.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "port", nargs="?", type=int, default=8000, help="default: 8000; 0 means a free port"
        )
        parser.add_argument(
            "--emulator-only",
            action="store_true",
            help="start only the emulator, and print the environment for another server of the site",
        )

    def handle(self, *args: Any, port: int, emulator_only: bool, **options: Any) -> None:
        # Handle SIGINT explicitly too, because a shell starts background jobs with it ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            with ExitStack() as stack:
                site = None
                if not emulator_only:
                    site = stack.enter_context(self.site(port))
                    # The function that writes the mails links to this page.
                    page = f"http://{HOST}:{site.server_port}{reverse('cognito_reset:confirm')}"
                    os.environ.setdefault("RESET_URL", page)
                if settings.EMULATED:
                    self.start_emulator(stack)
                elif emulator_only:
                    raise CommandError(
                        "COGNITO_ variables name a real pool, so there is no emulator."
                    )
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
        """Take the port first, so that a taken port is reported before any other work."""
        try:
            return ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
        except OSError as error:
            reason = "is taken" if error.errno == errno.EADDRINUSE else f"can't be used: {error}"
        except OverflowError:
            reason = "doesn't exist: the highest is 65535"
        raise CommandError(f"Port {port} {reason}. Choose another: make demo PORT=8123")

    def start_emulator(self, stack: ExitStack) -> None:
        """Start an emulator, and replace the pool of the settings with its pool."""
        emulator.isolate()
        server, made = emulator.start()
        settings.COGNITO_RESET["POOLS"]["default"].update(made)
        stack.callback(server.close)
        settings.OUTBOX_URL = f"{server.url}/outbox"

    def add_users(self) -> None:
        """Create the missing local users: staff for the admin, and most of the emulator's people."""
        if not User.objects.filter(username="demo").exists():
            User.objects.create_superuser("demo", password="demo")
        if not User.objects.filter(username="staff").exists():
            staff = User.objects.create_user("staff", password="demo", is_staff=True)
            # This user may do everything except send resets.
            staff.user_permissions.set(
                Permission.objects.filter(codename__in=["view_user", "change_user"])
            )
        if not User.objects.filter(username="support").exists():
            # This user may see everybody and help them, and change nobody.
            support = User.objects.create_user("support", password="demo", is_staff=True)
            own = Permission.objects.filter(content_type__app_label="cognito_reset")
            support.user_permissions.set(
                own.exclude(codename="run_bulk_reset")
                | Permission.objects.filter(codename="view_user")
            )
        if settings.EMULATED:
            for name in emulator.PEOPLE.keys() - emulator.WITHOUT_USER:
                if not User.objects.filter(username=name).exists():
                    User.objects.create_user(name, f"{name}@example.com")
            # The pool's users are new even if the database isn't, so old limits don't apply.
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
            "/sdk/": "a single-page app with an AWS SDK",
            "/api/schema/": "the OpenAPI schema of the REST endpoints",
            "/cognito/": "the endpoint for AWS SDKs; the ClientId is demo",
            "/inbox/": "the messages that Cognito would have sent",
            "/sign-in/": f"sign in as alice, password {emulator.PASSWORD}",
            "/admin/": "help a user as support, or as the superuser demo, password demo",
        }
        if not pool.has_inbox():
            del pages["/inbox/"]
            pages["/sign-in/"] = "sign in"
        lines = [f"  {site}{path:<18}{text}" for path, text in pages.items()]
        self.stdout.write("\n".join([f"\nThe demo is at {site}/\n", *lines, "\nCtrl-C stops it."]))
        self.stdout.flush()
