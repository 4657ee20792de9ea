"""Strategy: the latest acquisition of each period under a cloud limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import lcnkit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class LatestClear:
    """Keep, per chip and period, the latest candidate that is clear enough; ties go to the last id."""

    max_cloud: float = 20.0
    """Percent, 0 to 100. Unknown cloud cover (NaN) is never clear enough."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_cloud <= 100:
            raise ValueError(f"max_cloud is {self.max_cloud}; it must be a percentage, 0 to 100")

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Choose in all chips and periods at once; ``rank`` counts back from the latest."""
        clear = candidates[candidates["cloud_cover"] <= self.max_cloud]
        latest_first = clear.sort_values(["datetime", "item_id"], ascending=False)
        place = latest_first.groupby(["chip_id", "period"]).cumcount() + 1
        rank = place.reindex(candidates.index, fill_value=0)
        why_not = np.where(candidates["cloud_cover"].isna(), "unknown cloud cover", f"cloudier than {self.max_cloud:g} %")
        chosen = f"latest of its period under {self.max_cloud:g} % cloud cover"
        reason = np.select([rank == 1, rank > 1], [chosen, "clear enough, but not the latest"], default=why_not)
        return candidates.assign(rank=rank, selected=rank == 1, reason=reason)


@lcnkit.hookimpl
def lcnkit_strategy() -> dict[str, type[LatestClear]]:
    """Offer ``latest_clear``."""
    return {"latest_clear": LatestClear}
