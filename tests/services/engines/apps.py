from __future__ import annotations

import os

from django.apps import AppConfig


class EnginesConfig(AppConfig):
    name = "tests.services.engines"
    label = "engines"

    def ready(self) -> None:
        from cognito_reset.staff import worker

        # So that even a short run has several slices.
        worker.SLICE_SECONDS = float(os.environ.get("ENGINE_SLICE_SECONDS", "0.4"))  # type: ignore[misc]
