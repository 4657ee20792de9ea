"""How soon lcnkit answers, and how soon it works."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import Check, Contender, Scale, WrongProduct, alternate, call
from benchmarks.tables import Goal, Table, spread_of


def measure(scale: Scale) -> list[Table]:
    """One table."""
    # The demo is made, and the index of its archive.
    call("benchmarks.lcnkit_run:plan", {"overrides": ["backend=serial"], "output": str(scale.home / "told")})
    contenders = [
        Contender("python -m lcnkit --help", "benchmarks.lcnkit_run:command", {"arguments": ["--help"]}, check=_says(0, "strategy")),
        Contender("python -m lcnkit plugins", "benchmarks.lcnkit_run:command", {"arguments": ["plugins"]}, check=_says(0, "")),
        Contender("a misspelt option", "benchmarks.lcnkit_run:command", {"arguments": ["n_period=3"]}, check=_says(1, "n_periods")),
        Contender("first chip of the demo, serial", "benchmarks.lcnkit_run:first_chip", {"arguments": ["backend=serial"]}),
        Contender("first chip of the demo, local", "benchmarks.lcnkit_run:first_chip", {"arguments": ["backend=local"]}),
    ]
    measured = alternate(contenders, scale)
    wanted = [0.7, 0.7, None, None, 4.0]
    values = ["first_chip" if "first" in series.contender.name else "seconds" for series in measured]
    rows = [[series.contender.name, spread_of(series, value=value)] for series, value in zip(measured, values, strict=True)]
    goals = [
        Goal(f"seconds until: {series.contender.name}", goal, series.median(value), False)
        for series, value, goal in zip(measured, values, wanted, strict=True)
        if goal is not None
    ]
    notes = ["From the start of the process; the first chip counts when it is written and recorded, its index is warm."]
    return [Table("Start-up", ["", "s (median, range)"], rows, [] if scale.quick else goals, notes, measured)]


def _says(status: int, text: str) -> Check:
    def check(answer: Mapping[str, Any], _: Path) -> None:
        if answer["status"] != status or text not in answer["said"]:
            raise WrongProduct(f"status {status} and {text!r} were expected; it ended with {answer['status']} and: {answer['said']}")

    return check
