"""Strategy: the least cloudy acquisitions of the whole interval, whatever their period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lcnkit.hookspecs import hookimpl
from lcnkit.strategy.ranking import (
    Candidates,
    Groups,
    check_max_cloud,
    check_whole,
    ordinal,
    percent,
    why_not_eligible,
    with_choice,
    worded,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class MinCC:
    """Keep, per chip, the ``k`` least cloudy candidates of the whole interval; equals by date, then by item id."""

    k: int = 5
    """How many acquisitions a chip gets, at least 1; a chip with fewer candidates gets them all."""
    max_cloud: float = 100.0
    """Percent, 0 to 100: cloudier candidates are not chosen. Unknown cloud cover is only chosen at 100 (no limit), last."""

    per_period: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_whole("k", self.k, least=1)
        check_max_cloud(self.max_cloud)

    @property
    def n_frames(self) -> int:
        """How many frames a chip should have."""
        return self.k

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Choose in all chips at once; ``rank`` counts from the clearest of the chip."""
        found = Candidates.of(candidates)
        groups = Groups.sort(found.eligible(self.max_cloud), by=(found.chip,), order=(found.cloud, found.time, found.item))
        rank = np.zeros(len(candidates), np.int64)
        rank[groups.rows] = groups.place
        reason = why_not_eligible(found, self.max_cloud)
        reason[groups.rows] = worded(self._why, groups.place, groups.size[groups.group], found.cloud[groups.rows])
        return with_choice(candidates, rank, (rank > 0) & (rank <= self.k), reason)

    def _why(self, place: int, size: int, cloud: float) -> str:
        return f"{ordinal(place)} clearest of {size} ({percent(cloud)})" + (f", only {self.k} are kept" if place > self.k else "")


@hookimpl
def lcnkit_strategy() -> dict[str, type[MinCC]]:
    """Offer ``min_cc``."""
    return {"min_cc": MinCC}
