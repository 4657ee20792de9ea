"""Strategy: the least cloudy acquisition of each calendar month, and the clearest of the rest.

This is how LandCoverNet chose the 24 acquisitions that its annotators saw: 12 months, and 12 more.
"""

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
    median_of_clearest,
    ordinal,
    percent,
    why_clearest,
    why_not_eligible,
    with_choice,
    worded,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class MonthlyPlusBest:
    """Keep, per chip, the least cloudy of each calendar month (UTC), then the ``best`` least cloudy of the rest.

    Among equals of a month the median date is kept, then the first item id; among equals of the rest the
    first date, then the first item id. How many frames a chip has depends on the months that have candidates.
    """

    best: int = 12
    """How many of the rest are kept besides those of the months, 0 or more."""
    max_cloud: float = 100.0
    """Percent, 0 to 100: cloudier candidates are not chosen. Unknown cloud cover is only chosen at 100 (no limit), last."""

    per_period: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_whole("best", self.best, least=0)
        check_max_cloud(self.max_cloud)

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Choose in all chips at once; ``rank`` counts the months' acquisitions first, then the rest, clearest first."""
        found = Candidates.of(candidates)
        fit = found.eligible(self.max_cloud)
        month = found.time.view("datetime64[ns]").astype("datetime64[M]")
        order = (found.cloud, found.time, found.item)
        months = Groups.sort(fit, by=(found.chip, month), order=order)
        chosen, n_equal = median_of_clearest(months, found.cloud, found)
        monthly_rows = months.rows[chosen]
        monthly = np.zeros(len(candidates), bool)
        monthly[monthly_rows] = True

        chips = Groups.sort(fit, by=(found.chip,), order=(~monthly, *order))
        rest = Groups.sort(fit & ~monthly, by=(found.chip,), order=order)
        rank, place_in_rest = np.zeros((2, len(candidates)), np.int64)
        rank[chips.rows] = chips.place
        place_in_rest[rest.rows] = rest.place
        selected = monthly | ((place_in_rest > 0) & (place_in_rest <= self.best))

        reason = why_not_eligible(found, self.max_cloud)
        names = np.datetime_as_string(month[monthly_rows]).astype(object)
        reason[monthly_rows] = worded(why_clearest, months.size, names, found.cloud[monthly_rows], n_equal)
        reason[rest.rows] = worded(self._why_of_the_rest, rest.place, found.cloud[rest.rows])
        return with_choice(candidates, rank, selected, reason)

    def _why_of_the_rest(self, place: int, cloud: float) -> str:
        return f"{ordinal(place)} clearest of the rest ({percent(cloud)})" + (f", only {self.best} are kept" if place > self.best else "")


@hookimpl
def lcnkit_strategy() -> dict[str, type[MonthlyPlusBest]]:
    """Offer ``monthly_plus_best``."""
    return {"monthly_plus_best": MonthlyPlusBest}
