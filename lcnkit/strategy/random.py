"""Strategy: one acquisition of each period drawn by lot, as a baseline or to vary the data of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.errors import ConfigError
from lcnkit.hookspecs import hookimpl
from lcnkit.strategy.ranking import Candidates, Groups, check_max_cloud, ordinal, percent, why_not_eligible, with_choice, worded

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Random:
    """Keep, per chip and period, one candidate drawn by lot.

    The lot is a hash of the seed, the chip and the item: it does not depend on the order of the table, nor on
    the other chips in it, and is the same on every machine.
    """

    seed: int = 0
    """Another seed draws other acquisitions."""
    max_cloud: float = 100.0
    """Percent, 0 to 100: cloudier candidates are not drawn. Unknown cloud cover is only drawn at 100 (no limit)."""

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)):
            raise ConfigError(f"strategy.seed is {self.seed!r}; it must be a whole number.")
        check_max_cloud(self.max_cloud)

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Draw in all chips and periods at once; ``rank`` is the order in which the lots were drawn."""
        found = Candidates.of(candidates)
        groups = Groups.sort(
            found.eligible(self.max_cloud),
            by=(found.chip, found.period),
            order=(_lots(self.seed, candidates), found.time, found.item),
        )
        rank = np.zeros(len(candidates), np.int64)
        rank[groups.rows] = groups.place
        reason = why_not_eligible(found, self.max_cloud)
        rows = groups.rows
        reason[rows] = worded(self._why, groups.place, groups.size[groups.group], found.period[rows], found.cloud[rows])
        return with_choice(candidates, rank, rank == 1, reason)

    def _why(self, place: int, size: int, period: int, cloud: float) -> str:
        why = f"drawn {ordinal(place)} of {size} in period {period} with seed {self.seed} ({percent(cloud)})"
        return why + (", only the first is kept" if place > 1 else "")


def _lots(seed: int, candidates: pd.DataFrame) -> NDArray[np.uint64]:
    """A number for each row that only depends on the seed, the chip id and the item id."""
    from pandas.util import hash_array

    pairs = zip(candidates["chip_id"], candidates["item_id"], strict=True)
    return hash_array(np.array([f"{seed}\n{chip}\n{item}" for chip, item in pairs], object), categorize=False)


@hookimpl
def lcnkit_strategy() -> dict[str, type[Random]]:
    """Offer ``random``."""
    return {"random": Random}
