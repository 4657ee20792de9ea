"""Tables: on the terminal, as JSON, and in docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import Series


@dataclass(frozen=True)
class Goal:
    """What was wanted, and what was found."""

    text: str
    wanted: float
    found: float
    least: bool
    """Whether ``found`` should be at least ``wanted``; else at most."""

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.found >= self.wanted if self.least else self.found <= self.wanted

    def __str__(self) -> str:
        return f"{self.text}: {self.found:.3g}, wanted {'at least' if self.least else 'at most'} {self.wanted:g}: {'met' if self.met else 'missed'}"


@dataclass
class Table:
    """The answer to a question, or a part of it."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]]
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        goals = [{"text": goal.text, "wanted": goal.wanted, "found": goal.found, "met": goal.met} for goal in self.goals]
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "goals": goals, "notes": self.notes, "series": [series.as_dict() for series in self.series]}


def spread_of(series: Series, factor: float = 1.0, value: str = "seconds") -> str:
    """Median and range of a series, each times ``factor``."""
    low, high = series.spread(value)
    return f"{_short(series.median(value) * factor)} ({_short(low * factor)} to {_short(high * factor)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def show(tables: Sequence[Table], machine: Mapping[str, str]) -> None:
    """Print tables, with the machine they came from."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as RichTable

    console = Console()
    if not console.is_terminal:  # a file has no width, and is read in wide windows
        console.width = max(console.width, 130)
    for table in tables:
        drawn = RichTable(title=table.title, title_justify="left")
        for number, column in enumerate(table.columns):
            drawn.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)
        for line in [*table.notes, *map(str, table.goals)]:
            console.print(Padding(line, (0, 0, 0, 2)), highlight=False)
        console.print()
    for name, value in machine.items():
        console.print(f"{name}: {value}", highlight=False)


def write_json(folder: Path, question: str, tables: Sequence[Table], about: Mapping[str, Any]) -> Path:
    """``FOLDER/QUESTION.json`` with every single measurement."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{question}.json"
    path.write_text(json.dumps({**about, "tables": [table.as_dict() for table in tables]}, indent=1) + "\n", encoding="utf-8")
    return path


def write_page(page: Path, question: str, tables: Sequence[Table], machine: Mapping[str, str]) -> None:
    """Put tables into a Markdown page, between ``<!-- benchmarks: QUESTION -->`` and ``<!-- end -->``.

    Raises:
        ValueError: The page has no such place.
    """
    start, end = f"<!-- benchmarks: {question} -->\n", "<!-- end -->"
    text = page.read_text(encoding="utf-8")
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no place for the tables of {question!r}: it needs a line {start.strip()} and, below it, {end}.")
    body = "\n".join([*map(_markdown, tables), *(f"- {name}: {value}" for name, value in machine.items())])
    page.write_text(f"{head}{start}\n{body}\n\n{end}{tail}", encoding="utf-8")


def _markdown(table: Table) -> str:
    lines = [f"**{table.title}**", "", "| " + " | ".join(table.columns) + " |", "|---" + "|---:" * (len(table.columns) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join([*lines, "", *(f"- {line}" for line in [*table.notes, *map(str, table.goals)]), ""])
