"""
What the app costs: ``python -m benchmarks`` measures it, and writes figures.json and docs/performance.md.

It needs a PostgreSQL and a Redis, where the environment says as for the tests, and measures MariaDB if it is there.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django

from benchmarks import cognito, figures

TRIES = 3
PACKAGES = ("djangorestframework", "boto3", "redis", "psycopg", "gunicorn", "uvicorn")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    options = parser.add_mutually_exclusive_group()
    options.add_argument(
        "--compare",
        action="store_true",
        help="fail if a ratio is worse than in figures.json by more than a fifth, and by more than chance makes it, in the best "
        "of three runs, or isn't measured any more",
    )
    options.add_argument(
        "--profile", metavar="WAY", help='print where the time of "rest redis", for example, goes'
    )
    chosen = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    with cognito.running():
        django.setup()
        if chosen.profile:
            profile(chosen.profile)
        elif chosen.compare:
            sys.exit(compare())
        else:
            from benchmarks import page

            measure().save()
            page.write()
            show(f"{figures.FILE.name} and {page.PAGE.name} are written.")


def profile(way: str) -> None:
    from benchmarks import requests, stores

    databases = stores.available()
    if way not in requests.ways(databases):
        sys.exit(f"{way} is none of: {', '.join(requests.ways(databases))}")
    with stores.databases(*databases):
        requests.measure(databases, requests=200, profiled=way)


def compare() -> int:
    """Return the number of ratios that have become worse."""
    before = figures.load().ratios
    now: figures.Ratios = measure().ratios
    for _ in range(TRIES - 1):
        if not figures.worse(before, now):
            break
        now = figures.best(now, measure().ratios)
    found = figures.worse(before, now)
    for line in found:
        show(f"Worse: {line}")
    return len(found)


def measure() -> figures.Figures:
    from benchmarks import bulk, requests, stores, throughput, weight, worker

    ratios: dict[str, dict[str, float]] = {}
    amounts: dict[str, dict[str, Any]] = {}
    databases = stores.available()
    with stores.databases(*databases):
        groups: dict[str, Callable[[], tuple[dict[str, float], dict[str, Any]]]] = {
            "requests": lambda: requests.figures(databases),
            "start": worker.figures,
            "throughput": throughput.figures,
            "bulk": bulk.figures,
        }
        for group, measured in groups.items():
            show(f"Measuring: {group}")
            ratios[group], amounts[group] = measured()
        amounts["weight"] = weight.amounts()
        return figures.Figures(machine(), ratios, amounts)


def machine() -> dict[str, str]:
    from django.db import connections
    from redis import Redis

    from benchmarks import settings, stores

    packages = {name: version(name) for name in PACKAGES}
    servers = {
        "Redis": Redis.from_url(settings.CACHES["redis"]["LOCATION"]).info()["redis_version"]
    }
    for alias in set(stores.available()) - {"sqlite"}:
        number = connections[alias].get_database_version()
        servers[connections[alias].display_name] = ".".join(map(str, number))
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "Django": django.get_version(),
        **packages,
        **servers,
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def show(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
