from __future__ import annotations

import fcntl
from contextlib import ExitStack, contextmanager

from django.conf import settings

from cognito_reset.cognito.errors import Busy
from cognito_reset.cognito.service import CognitoService


class SharedPermits(CognitoService):
    """Let only as many requests of all processes run at once as settings.PERMITS has files."""

    @contextmanager
    def permit(self):
        with ExitStack() as stack:
            for path in settings.PERMITS:
                file = stack.enter_context(open(path, "a"))
                try:
                    # The system unlocks it when it is closed, also if the process is killed.
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                break
            else:
                raise Busy
            yield stack.enter_context(super().permit())
