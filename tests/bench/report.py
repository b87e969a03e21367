"""Medians, ratios and the table of the benchmark. Imported by the bench only."""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from statistics import median

from tests.bench.measure import Run
from tests.bench.peers import FLOORS

BUDGETS = {
    "hits": {"dnsdist": (1.3, 1.75), "best": (1.1, 1.4), "floor": (1.5, 1.25)},
    "misses": {"dnsdist": (0.8, 1.0), "unbound": (2.5, 3.0)},
}


DISTRIBUTION = "/usr"
"""Where distributions put their Python."""


def python() -> list[str]:
    """Which Python is measured, and a warning when it is one that nobody installs who cares for speed.

    Debian's says nothing of how it was optimised (it is, with a profile; its configuration is that of another build of the same package),
    so a distribution's is taken for optimised, and any other by what it was configured with.
    """
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    is_optimised = "--enable-optimizations" in flags
    is_distribution = sys.base_prefix == DISTRIBUTION
    words = "the distribution's build" if is_distribution else f"configured {'with' if is_optimised else 'without'} --enable-optimizations"
    lines = [f"Python {platform.python_version()} of {sys.base_prefix} ({platform.python_compiler()}, {words})."]
    if not is_optimised and not is_distribution:
        lines.append("WARNING: this Python was built without profile-guided optimisation; a distribution's has it: measure with that one.")
    return lines


def summary(runs: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, float]]:
    """Median figures of each server over its rounds."""
    return {
        name: {
            "rate": median(run.rate for run in rounds),
            "micros": median(run.micros for run in rounds),
            "lost": sum(run.lost for run in rounds),
            "busy": max(run.generator_busy for run in rounds),
        }
        for name, rounds in runs.items()
        if rounds
    }


def table(title: str, figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A Markdown table: answers per second, processor time per answer, and our ratio against each."""
    lines = [f"### {title}", "", "| server | answers/s | CPU µs per answer | ours is | lost |", "|---|---|---|---|---|"]
    mine = figures.get("lachan", {}).get("micros", 0.0)
    for name, row in sorted(figures.items(), key=lambda item: item[1]["micros"]):
        ratio = f"{row['micros'] / mine:.2f} ×" if mine and name != "lachan" else "–"
        lines.append(f"| {name} | {row['rate']:,.0f} | {row['micros']:.2f} | {ratio} | {row['lost']:.0f} |")
    busiest = max(row["busy"] for row in figures.values())
    lines += ["", f"Generator busy at most {busiest:.0%} of its core; the ratios are of processor time."]
    return lines


def verdicts(kind: str, figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One line for each budget: held or missed."""
    mine = figures.get("lachan", {}).get("micros")
    if not mine:
        return []
    peers = {name: row["micros"] for name, row in figures.items() if name not in (*FLOORS, "lachan")}
    lines = []
    for against, (budget, target) in BUDGETS.get(kind, {}).items():
        if against == "floor":
            if "floor" in figures:
                ratio = mine / figures["floor"]["micros"]
                outcome = "held" if ratio <= budget else "MISSED"
                lines.append(f"- {kind}: CPU against the C floor {ratio:.2f} × (budget ≤ {budget}, target ≤ {target}): {outcome}")
            continue
        other = min(peers.values(), default=None) if against == "best" else peers.get(against)
        if other is not None:
            ratio = other / mine
            outcome = "held" if ratio >= budget else "MISSED"
            lines.append(f"- {kind}: against {against} {ratio:.2f} × (budget ≥ {budget}, target ≥ {target}): {outcome}")
    if "floor" in figures and "python" in figures:
        system, python = figures["floor"]["micros"], figures["python"]["micros"]
        parts = f"{system:.2f} µs the system's, {python - system:.2f} of two look-ups in Python, {mine - python:.2f} all the rest"
        lines.append(f"- {kind}: {parts}; {mine / python:.2f} × the Python floor")
    return lines
