"""What docs/performance.md documents: its figures are those of the benchmarks, and its advice works."""

from __future__ import annotations

import pytest
from django.test import Client

from benchmarks import figures, page
from benchmarks.worker import WARM_UP
from tests.test_imports import run
from tests.weights import FIRST_PAGES, weight_and_requests


def test_the_page_agrees_with_the_figures():
    """If this fails, run ``python -m benchmarks.page``."""
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_after_the_lines_for_warming_up_the_first_request_loads_no_library():
    """The views, boto3 and its client are there before the first request."""
    assert f"```python\n{WARM_UP}```" in page.PAGE.read_text(encoding="utf-8")
    source = f"""
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
from django.conf import settings
settings.COGNITO_RESET["POOLS"]["default"]["ENDPOINT_URL"] = "http://127.0.0.1:1"  # nothing listens
settings.COGNITO_RESET["AUDIT"] = False
django.setup()
from django.test import Client
{WARM_UP}
before = set(sys.modules)
response = Client().post("/api/password-reset/", {{"username": "alice"}}, "application/json")
print(response.status_code, *sorted(set(sys.modules) - before))
"""
    status, *loaded = run(source).split()
    assert status == "503"
    libraries = ("boto3", "botocore", "urllib3", "rest_framework", "cognito_reset.rest")
    assert not [name for name in loaded if name.startswith(libraries)]


def test_a_ratio_is_worse_if_it_has_grown_by_more_than_a_fifth():
    """One that is missing is worse too, because nobody would notice that it isn't measured any more."""
    before = {"requests": {"rest": 2.0, "page": 2.0, "mariadb": 2.0}, "gone": {"rest": 1.0}}
    now = {"requests": {"rest": 2.39, "page": 2.41, "new": 9.0}}
    lost = [
        "requests, mariadb: 2 before, not measured now",
        "gone, rest: 1 before, not measured now",
    ]
    assert figures.worse(before, now) == ["requests, page: 2 before, 2.41 now", *lost]
    again = {"requests": {"rest": 3.0, "page": 2.3, "mariadb": 2.0}, "gone": {"rest": 1.0}}
    best = figures.best(now, again)
    assert best["requests"] == {"rest": 2.39, "page": 2.3, "mariadb": 2.0, "new": 9.0}
    assert figures.worse(before, best) == []


@pytest.mark.parametrize(
    ("group", "name", "more"),
    [
        ("start", "setup", 0.05),
        ("start", "memory of setup", 0.01),
        ("start", "memory", 0.012),
        ("start", "first request", 0.06),
        ("bulk", "memory", 0.06),
        ("bulk", "rate", 0.06),
    ],
)
def test_what_the_app_adds_is_compared(group, name, more):
    """The figures are the app's own part: of a start that takes 220 milliseconds, some ten more are noticed."""
    before = figures.load().ratios
    assert figures.worse(before, before) == []
    now = {**before, group: {**before[group], name: before[group][name] + more}}
    assert [line.split(":")[0] for line in figures.worse(before, now)] == [f"{group}, {name}"]


@pytest.mark.parametrize("name", FIRST_PAGES)
def test_the_pages_weigh_what_the_page_says(name):
    """If this fails, run ``make benchmark``. The page shows tenths of a kilobyte."""
    weight, requests = weight_and_requests(
        Client().get(f"/password-reset/{FIRST_PAGES[name]}").content.decode()
    )
    before = figures.load().amounts["weight"]
    assert weight == pytest.approx(before[name], abs=200)
    assert requests == before["requests"]


# What the app may add to the start of a process, in milliseconds, so that nobody notices it when a site starts; and what
# ``django.setup()`` took without it on the machine of docs/performance.md. On a slower machine both take longer.
MOST, WHOLE = 10, 220


@pytest.mark.slow
def test_the_app_adds_ten_milliseconds_to_the_start(monkeypatch):
    """
    Measured is the processor's time, in a process that has set up Django without the app, and then adds it. The least
    of several processes counts, because other programs only add to it.
    """
    # They slow the app more than Django.
    coverage = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    for name in ("PYTHONDEVMODE", "PYTHONDONTWRITEBYTECODE", *coverage):
        monkeypatch.delenv(name, raising=False)
    source = """
import os, sys, time
os.environ["BENCHMARK_WITHOUT_APP"] = "1"
import django
from benchmarks import settings as benchmark
from django.apps import apps
from django.conf import settings
# The driver of PostgreSQL isn't among the packages of this suite, and neither part connects to a database.
site = {name: value for name, value in vars(benchmark).items() if name.isupper()}
settings.configure(**site | {"DATABASES": {"default": benchmark.DATABASES["sqlite"]}, "DATABASE_ROUTERS": []})
times = [time.process_time()]
django.setup()
times.append(time.process_time())
apps.set_installed_apps([*settings.INSTALLED_APPS, "cognito_reset"])
times.append(time.process_time())
assert "cognito_reset.models" in sys.modules
print(1000 * (times[1] - times[0]), 1000 * (times[2] - times[1]), "boto3" in sys.modules)
"""
    found = [run(source).split() for _ in range(9)]
    whole, added = (min(float(each[at]) for each in found) for at in (0, 1))
    assert added <= max(MOST, MOST / WHOLE * whole)
    assert {each[2] for each in found} == {"False"}
