"""Write docs/performance.md from figures.json and from the budgets of the tests: ``python -m benchmarks.page``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.figures import Figures, load
from benchmarks.requests import INTERFACES
from benchmarks.worker import WARM_UP
from tests.budgets import BUDGETS, SLOTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"

STORES = {
    "none": "none: `LIMITS` and `AUDIT` are `False`",
    "redis": "limits in Redis, audit in PostgreSQL",
    "postgresql": "PostgreSQL",
    "mariadb": "MariaDB",
    "sqlite-file": "SQLite, a file",
}

TEXT = """\
<!-- Written by `make benchmark`, from benchmarks/figures.json and tests/budgets.py. Don't edit it by hand. -->

# Performance

A request for a code over REST takes {rest:.1f} times as much of the processor as a view that does nothing but call
Cognito, if the limits are in Redis. Cognito's own answer isn't in this figure. In all, the request took {more:.0f}
milliseconds more than the view. Cognito's answer takes tens to hundreds of milliseconds, and by default the request step
takes a second whatever the app does (`UNIFORM_RESPONSE_SECONDS`), so that its time doesn't tell whether a user exists.

The machine may be faster or slower than yours, so look at the comparisons: both sides of each were measured in turns in
one run. It had:

{machine}

The databases, Redis, the clients and a small server in Cognito's place ran on the same machine.
`UNIFORM_RESPONSE_SECONDS` was 0.

To measure it yourself, start PostgreSQL and Redis, and MariaDB if you use it, and run this in a checkout. Set
`POSTGRES_HOST`, `POSTGRES_PORT`, `POSTGRES_USER`, `POSTGRES_PASSWORD`, and the same for `REDIS` and `MARIADB`, where
yours differ from the defaults.

```console
$ make benchmark                                # writes this page
$ make benchmark ARGS=--compare                 # fails if a figure is missing, or is worse by more than a fifth and by more than chance explains
$ make benchmark ARGS='--profile "rest redis"'  # shows where the time goes
```

## A request

One request for a code, compared with a plain Django REST framework view that calls Cognito with a client that is made
once. The first number of each cell is the processor's time, and the second one the whole time. The whole time
includes the waits for the store, which depend on the machine and its disk.

{requests}

For comparison:

| | processor | whole |
|---|---|---|
| the plain view | 1 | 1 ({plain:.1f} ms) |
| a view that makes a boto3 client for each request | {hand_written} |
| the page with the form, which needs no store | {form} |

A form that is sent also makes a session, which is stored in the database.

## What an attempt costs in the store

Tests count this exactly (`tests/test_budgets.py`). A command is one round trip to the cache. A client with an IPv6
address takes two commands more where it takes slots, because it is in three networks.

{budgets}

BEGIN and COMMIT aren't counted. In the database, slots that have expired cost one DELETE more, and one attempt in
sixteen deletes old rows.

## A server

Requests per second that one process answers, if Cognito takes {delay} milliseconds for each. There are as many clients
as threads, and each sends its next request when it has its answer. The limits are in Redis, the audit is in PostgreSQL,
and `MAX_CONCURRENT_CALLS` is {permits}.

{throughput}

## The start of a process

`django.setup()` loads four modules of the app, and neither boto3 nor Django REST framework. With the admin it loads the
app's admin pages, and only the exceptions of Django REST framework. The first request loads the rest. The figures are
milliseconds of the processor, and each is the least of {rounds} processes. Differences of less than a tenth are chance.
A test measures what the app without the admin adds to `django.setup()` in one process, and allows 10 milliseconds,
or more on a slower machine.

{start}

Django loads the URLs, and the app makes its boto3 client, with the first request. If the first visitor shouldn't wait for
that, add these lines to `wsgi.py` or `asgi.py`, below `application = …`. With gunicorn's `--preload`, put them into
`post_worker_init` instead, because processes can't share a client. `get_service()` raises an exception if the settings
can't be used.

```python
{warm_up}```

## Memory

Megabytes of a process without the app, and with it. The requests are those of the plain view, or of the app over REST.
Both load boto3, and use PostgreSQL and Redis.

{memory}

## The pages

A first visit loads three files: the page, a stylesheet and a script. Compressed with gzip, the page that asks for a code
takes {weight_request:.1f} kB with both, and the page that the link in the mail opens takes {weight_confirm:.1f} kB, in
English. A test keeps both at 6.5 kB or less.

## Resets of many people

{workers} workers that share a run of {people} people at {asked} resets per second reached {rate:.1f} per second. A
worker's memory was {bulk_memory:.2f} times that for half as many people. For Cognito itself, the highest rate that a run
may have is 30 per second; a pool with an `ENDPOINT_URL`, as here, has no highest rate.

## Where the time goes

With limits in Redis and the audit in PostgreSQL, most of it goes to other programs:

- Redis: one command that reads, and one for each slot that the attempt takes. Django's cache makes a client object for
  each command, which takes nearly as long as the command.
- PostgreSQL: one INSERT, for the audit. Most of its time is the wait for the disk.
- The call of Cognito runs in another thread, so that a call that hangs can't hold up the site.

## What a busy site can do

- Keep connections to the database open (`CONN_MAX_AGE`, or a pool under ASGI). Connecting takes two milliseconds or more.
- Put the limits in Redis or Memcached, and leave the database to the audit.
- Under ASGI, take django-redis for the cache of the limits: each request runs in a new thread, and Django's own Redis
  cache connects anew in each thread.
- If the log contains `cognito_reset.busy`, give your server more threads, and set `MAX_CONCURRENT_CALLS` to half of them.
"""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def requests_table(figures: Figures) -> str:
    names = {"rest": "REST", "page": "a page's form", "aws": "endpoint for AWS SDKs"}
    rows = []
    for store, text in STORES.items():
        keys = [f"{name} {store}" for name in INTERFACES]
        if keys[0] in figures.ratios["requests"]:
            rows.append([text, *(" / ".join(_cells(figures, key)) for key in keys)])
    return table(["store", *(names[name] for name in INTERFACES)], rows)


def _cells(figures: Figures, way: str) -> tuple[str, str]:
    whole = figures.amounts["requests"]
    return f"{figures.ratios['requests'][way]:.1f}", f"{whole[way] / whole['plain']:.1f}"


def budgets_table() -> str:
    def total(counts: Mapping[str, int]) -> str:
        return _count(sum(counts.values()), "statement")

    rows = []
    for budget in BUDGETS:
        commands = _count(sum(budget.commands.values()), "command")
        if budget.commands.get("add") == SLOTS:
            commands += f" (IPv6: {sum(budget.commands.values()) + 2})"
        others = f", {total(budget.others)}" if budget.others else ""
        rows.append([budget.attempt, commands + others, total(budget.statements)])
    return table(["", "limits in a cache", "limits in the database"], rows)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def throughput_table(figures: Figures) -> str:
    rows = []
    for server, ratio in figures.ratios["throughput"].items():
        name, threads = server.split()
        rates = figures.amounts["throughput"][server]
        cells = (f"{rates['plain']:.0f}", f"{rates['app']:.0f}", f"{1 / ratio:.0%}")
        kind = "threads" if name == "gunicorn" else "clients, ASGI"
        rows.append([f"{name}, {threads} {kind}".replace("1 threads", "1 thread"), *cells])
    return table(["server", "plain view", "app", "app, compared"], rows)


def start_table(figures: Figures) -> str:
    found = figures.amounts["start"]
    rows = [
        [text, *(f"{found[kind][part]:.0f}" for kind in (without, with_app))]
        for text, part, without, with_app in (
            ("`django.setup()`", "setup", "plain", "app"),
            ("… with the admin", "setup", "plain with admin", "app with admin"),
            ("the first request", "first request", "plain", "app"),
            ("… after the lines below", "first request", "plain", "warm app"),
        )
    ]
    rows[-1][1] = ""
    return table(["", "without the app", "with the app"], rows)


def memory_table(figures: Figures) -> str:
    from benchmarks.worker import REQUESTS

    found = figures.amounts["start"]
    parts = {"after `django.setup()`": "memory of setup", f"after {REQUESTS} requests": "memory"}
    rows = [
        [text + more, *(f"{found[f'{kind}{suffix}'][part]:.3g}" for kind in ("plain", "app"))]
        for suffix, more in (("", ""), (" with admin", ", with the admin"))
        for text, part in parts.items()
    ]
    return table(["", "without the app", "with the app"], rows)


def page() -> str:
    from benchmarks.settings import COGNITO_RESET
    from benchmarks.throughput import COGNITO_MILLISECONDS
    from benchmarks.worker import ROUNDS

    figures = load()
    machine = dict(figures.machine)
    machine["processor"] += f", {machine.pop('cores')} cores"
    whole = figures.amounts["requests"]
    bulk, weight = figures.amounts["bulk"], figures.amounts["weight"]
    return TEXT.format(
        rest=figures.ratios["requests"]["rest redis"],
        more=whole["rest redis"] - whole["plain"],
        machine=table(machine, [machine.values()]),
        plain=whole["plain"],
        requests=requests_table(figures),
        hand_written=" | ".join(_cells(figures, "hand-written")),
        form=" | ".join(_cells(figures, "form")),
        budgets=budgets_table(),
        delay=COGNITO_MILLISECONDS,
        permits=COGNITO_RESET["MAX_CONCURRENT_CALLS"],
        throughput=throughput_table(figures),
        start=start_table(figures),
        warm_up=WARM_UP,
        rounds=ROUNDS,
        memory=memory_table(figures),
        weight_request=weight["request"] / 1000,
        weight_confirm=weight["confirm"] / 1000,
        bulk_memory=1 + figures.ratios["bulk"]["memory"],
        **bulk,
    )


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
