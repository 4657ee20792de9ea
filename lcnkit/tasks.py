"""Tasks: what is to be made of each chip, once its frames are chosen."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lcnkit.errors import NoCandidates
from lcnkit.labels import without_links
from lcnkit.make import Task
from lcnkit.model import Chip, Failure, Packed
from lcnkit.output import SELECTION
from lcnkit.plan import Plan
from lcnkit.selection import frames_by_chip, refuse_gaps, selected_of, sorted_out
from lcnkit.settings import Run
from lcnkit.terminal import counted

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass
class TaskList:
    """Chips to make, chips to drop, and chips that have nothing to show."""

    run: Run
    plan: Plan
    collection: str
    tasks: Packed[Task] = field(default_factory=Packed)
    chip_ids: list[str] = field(default_factory=list)
    """Of the tasks, in their order."""
    crs: set[str] = field(default_factory=set)
    """Of the tasks."""
    dropped: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    candidates: int = 0
    """What is filled in does not count: it is one of them again."""
    chosen: int = 0
    """How many of the candidates."""
    _gaps: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._planned = set(self.plan.chip_ids)

    def add(self, chips: Iterable[Chip], tables: Iterable[pd.DataFrame]) -> None:
        """The next chips of the run, with all their candidates; those that the plan lacks are left out."""
        found: Counter[str] = Counter()
        chosen = []
        for table in tables:
            self.candidates += len(table) if self.run.when_empty != "nearest" else int((~table.duplicated(["chip_id", "item_id"])).sum())
            found.update({str(chip_id): count for chip_id, count in table["chip_id"].value_counts().items()})
            chosen.append(selected_of(table))
        self.chosen += sum(map(len, chosen))
        planned = (chip for chip in chips if chip.id in self._planned)
        for chip, frames in frames_by_chip(chosen, planned, self.plan.n_periods, self.plan.shape):
            if all(frame.missing for frame in frames):
                self.failures.append(self._nothing(chip, found[chip.id]))
                continue
            self._gaps += [(chip.id, frame.period) for frame in frames if frame.missing]
            if sorted_out(frames, self.run.when_empty):
                self.dropped.append(chip.id)
            else:
                self.tasks.append(Task(without_links(chip), frames))
                self.chip_ids.append(chip.id)
                self.crs.add(chip.grid.crs)

    def refuse_gaps(self) -> None:
        """Stop where ``when_empty=error``; say where ``nearest`` fills nothing.

        Raises:
            PlanError: A frame is missing.
        """
        if self.run.when_empty == "error":
            refuse_gaps(self._gaps)
        if self.run.when_empty == "nearest" and self.run.plan is not None and self._gaps:
            missing = counted(len(self._gaps), "frame is", "frames are")
            log.warning("plan       %s missing in the saved plan and stay so: when_empty=nearest fills a plan that is made anew", missing)

    def _nothing(self, chip: Chip, found: int) -> Failure:
        if found:
            message = (
                f"Chip {chip.id}: none of its {counted(found, 'candidate')} was chosen; `reason` in {SELECTION} says why for each. "
                "Loosen the strategy's limits."
            )
        else:
            message = (
                f"Chip {chip.id}: no item of {self.collection} covers {self.run.min_coverage:.0%} of it. Look whether the archive holds "
                "its imagery, lower min_coverage, or leave the chip out with chips=[...]."
            )
        return Failure(chip.id, "candidates" if not found else "selection", NoCandidates.__name__, message)
