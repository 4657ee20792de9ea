"""Strategy: the acquisition nearest to the middle of each period, for series that are evenly spaced in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.hookspecs import hookimpl
from lcnkit.periods import DAY, middles_of
from lcnkit.strategy.ranking import Candidates, Groups, check_max_cloud, percent, why_not_eligible, with_choice, worded

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Midpoint:
    """Keep, per chip and period, the clear candidate nearest in time to the middle of the period.

    Among equally near ones the less cloudy, then the earlier, then the first item id.
    """

    max_cloud: float = 20.0
    """Percent, 0 to 100: cloudier candidates are not chosen. Unknown cloud cover is only chosen at 100 (no limit)."""

    def __post_init__(self) -> None:
        check_max_cloud(self.max_cloud)

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Choose in all chips and periods at once; ``rank`` counts from the middle of the period outwards."""
        found = Candidates.of(candidates)
        # Nanoseconds; outside the interval there is no middle, and the value is never looked at.
        away = np.abs(found.time - middles_of(candidates).astype(np.int64))
        groups = Groups.sort(
            found.eligible(self.max_cloud),
            by=(found.chip, found.period),
            order=(away, found.cloud, found.time, found.item),
        )
        rank = np.zeros(len(candidates), np.int64)
        rank[groups.rows] = groups.place
        reason = why_not_eligible(found, self.max_cloud)
        rows = groups.rows
        reason[rows] = worded(_why, groups.place, groups.size[groups.group], found.period[rows], away[rows] / DAY, found.cloud[rows])
        return with_choice(candidates, rank, rank == 1, reason)


def _why(place: int, size: int, period: int, days: float, cloud: float) -> str:
    first = "nearest" if place == 1 else f"only number {place}"
    return f"{first} of {size} to the middle of period {period} ({days:.1f} days away, {percent(cloud)})"


@hookimpl
def lcnkit_strategy() -> dict[str, type[Midpoint]]:
    """Offer ``midpoint``."""
    return {"midpoint": Midpoint}
