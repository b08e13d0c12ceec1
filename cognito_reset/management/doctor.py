"""``manage.py cognito_reset doctor``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cognito_reset.conf import conf
from cognito_reset.doctor.examination import examine
from cognito_reset.doctor.findings import Level, Result
from cognito_reset.management.exits import Exit, unknown_pool


def run_doctor(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Show everything that is found. Raise ``CommandError`` with the exit code if something is wrong."""
    aliases, chosen = conf.pool_aliases(), options["pool"]
    if chosen is not None and chosen not in aliases:
        raise unknown_pool(chosen)
    pools = aliases if chosen is None else (chosen,)
    results = []
    for result in examine(pools, url=options["url"], permissions=options["permissions"]):
        results.append(result)
        if not options["json"]:  # at once, because some answers take seconds
            command.stdout.write(line(result, command))
    if options["json"]:
        command.stdout.write(json.dumps([result.as_dict() for result in results], indent=2))
    counts = Counter(result.finding.level for result in results)
    if not options["json"]:
        command.stdout.write(", ".join(_count(counts, level) for level in Level if counts[level]))
    if counts[Level.ERROR]:
        text = f"Something is wrong: {_count(counts, Level.ERROR)}."
        raise CommandError(text, returncode=Exit.CONFIGURATION)
    if counts[Level.WARNING]:
        text = f"Something could be better: {_count(counts, Level.WARNING)}."
        raise CommandError(text, returncode=Exit.PARTIAL)


def _count(counts: Counter[Level], level: Level) -> str:
    plural = "s" if level in (Level.ERROR, Level.WARNING) and counts[level] > 1 else ""
    return f"{counts[level]} {level}{plural}"


def line(result: Result, command: BaseCommand) -> str:
    """Return a result as one line: the level, the id, the pool if there is one, and the texts."""
    styles = {
        Level.ERROR: command.style.ERROR,
        Level.WARNING: command.style.WARNING,
        Level.OK: command.style.SUCCESS,
    }
    level = result.finding.level
    shown = styles.get(level, str)(f"{level:7}")
    pool = f" [{result.pool}]" if result.pool else ""
    fix = f"Fix: {result.finding.fix}" if result.finding.fix else ""
    texts = " ".join(filter(None, (result.finding.title, result.detail, fix)))
    return f"{shown} {result.finding.id}{pool}: {texts}"
