"""Strategy: every acquisition of the interval, for models that take whole time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lcnkit.hookspecs import hookimpl
from lcnkit.strategy.ranking import Candidates, Groups, check_max_cloud, ordinal, percent, why_not_eligible, with_choice, worded

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class All:
    """Keep every candidate of the interval that is clear enough; how many frames a chip has depends on the chip."""

    max_cloud: float = 100.0
    """Percent, 0 to 100: cloudier candidates are left out. Unknown cloud cover is only kept at 100 (no limit)."""

    per_period: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_max_cloud(self.max_cloud)

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Choose in all chips at once; ``rank`` counts in order of time, then of item id."""
        found = Candidates.of(candidates)
        groups = Groups.sort(found.eligible(self.max_cloud), by=(found.chip,), order=(found.time, found.item))
        rank = np.zeros(len(candidates), np.int64)
        rank[groups.rows] = groups.place
        reason = why_not_eligible(found, self.max_cloud)
        reason[groups.rows] = worded(_why, groups.place, groups.size[groups.group], found.cloud[groups.rows])
        return with_choice(candidates, rank, rank > 0, reason)


def _why(place: int, size: int, cloud: float) -> str:
    return f"{ordinal(place)} of {size} in time, all are kept ({percent(cloud)})"


@hookimpl
def lcnkit_strategy() -> dict[str, type[All]]:
    """Offer ``all``."""
    return {"all": All}
