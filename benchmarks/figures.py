"""The figures of the last run, in figures.json, and what has become worse since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("figures.json")
# A figure that is higher by more than this share is worse.
TOLERANCE = 0.2
# If a fifth is less than what chance makes of a figure, that is allowed instead: it is the share of a process, or of the
# rate, by which two runs on one machine differ.
CHANCE: Mapping[str, Mapping[str, float]] = {
    "start": {
        "setup": 0.04,
        "setup, with the admin": 0.04,
        "first request": 0.05,
        "first request, with the admin": 0.05,
        "first request, warmed up": 0.02,
        "memory of setup": 0.005,
        "memory of setup, with the admin": 0.005,
        "memory": 0.01,
        "memory, with the admin": 0.01,
    },
    "bulk": {"rate": 0.05, "memory": 0.05},
}


@dataclass(frozen=True)
class Figures:
    """
    - ``machine``: the processor, and the versions of what ran
    - ``ratios``: by group and name, each of two measurements in one run; the less, the better
    - ``amounts``: what is shown beside the ratios, such as milliseconds; other machines have others
    """

    machine: dict[str, str]
    ratios: dict[str, dict[str, float]]
    amounts: dict[str, dict[str, Any]]

    def save(self) -> None:
        FILE.write_text(json.dumps(rounded(asdict(self)), indent=2) + "\n", encoding="utf-8")


def load() -> Figures:
    return Figures(**json.loads(FILE.read_text(encoding="utf-8")))


def rounded(value: Any) -> Any:
    """Return all numbers with three digits, because further ones differ from run to run."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


Ratios = Mapping[str, Mapping[str, float]]


def best(one: Ratios, other: Ratios) -> Ratios:
    """Return the lower ratio of each name. One that was measured in only one of both is as it was measured."""
    return {
        group: {
            name: min(each[group][name] for each in (one, other) if name in each.get(group, {}))
            for name in {**one.get(group, {}), **other.get(group, {})}
        }
        for group in {**one, **other}
    }


def worse(before: Ratios, now: Ratios) -> list[str]:
    """Return a line for each ratio that has become worse, or that isn't there any more."""
    found = []
    for group, ratios in before.items():
        for name, ratio in ratios.items():
            allowed = max(TOLERANCE * ratio, CHANCE.get(group, {}).get(name, 0))
            new = now.get(group, {}).get(name)
            if new is None:
                found.append(f"{group}, {name}: {ratio:.3g} before, not measured now")
            elif new > ratio + allowed:
                found.append(f"{group}, {name}: {ratio:.3g} before, {new:.3g} now")
    return found
