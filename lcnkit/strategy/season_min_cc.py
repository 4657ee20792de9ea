"""Strategy: the least cloudy acquisition of each period; among equals the median date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from lcnkit.candidates import with_columns
from lcnkit.errors import ConfigError
from lcnkit.hookspecs import hookimpl
from lcnkit.periods import assign_notebook_periods, periods_of
from lcnkit.strategy.ranking import (
    Candidates,
    Groups,
    Ints,
    check_max_cloud,
    median_of_clearest,
    percent,
    why_clearest,
    why_not_eligible,
    with_choice,
    worded,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SeasonMinCC:
    """Keep, per chip and period, the least cloudy candidate; among equals the median date, then the first item id."""

    max_cloud: float = 100.0
    """Percent, 0 to 100: cloudier candidates are not chosen. Unknown cloud cover is only chosen at 100 (no limit), last."""
    compat: Literal["none", "notebook"] = "none"
    """``notebook`` makes the choice of the original tutorial: it leaves out the last day, cuts cloud cover to
    whole percent, and takes a later date than the median where an odd number of candidates are equal."""

    def __post_init__(self) -> None:
        check_max_cloud(self.max_cloud)
        if self.compat not in ("none", "notebook"):
            raise ConfigError(f"strategy.compat is {self.compat!r}; it must be 'none' or 'notebook'.")

    def select(self, candidates: pd.DataFrame) -> pd.DataFrame:
        """Choose in all chips and periods at once; with ``compat=notebook`` the column ``period`` changes too."""
        notebook = self.compat == "notebook"
        found = Candidates.of(candidates)
        if notebook:
            found = replace(found, period=periods_of(candidates, assign_notebook_periods))
        cloud = np.trunc(found.cloud) if notebook else found.cloud
        groups = Groups.sort(found.eligible(self.max_cloud), by=(found.chip, found.period), order=(cloud, found.time, found.item))
        chosen, n_equal = median_of_clearest(groups, cloud, found, _notebook_index if notebook else _median_index)

        rank, selected = np.zeros(len(candidates), np.int64), np.zeros(len(candidates), bool)
        rank[groups.rows] = _chosen_first(groups, chosen)
        selected[groups.rows[chosen]] = True
        reason = why_not_eligible(found, self.max_cloud)
        if notebook:
            left_out = (found.period < 1) & (candidates["period"].to_numpy() > 0)
            reason[left_out] = "on the last day, which compat=notebook leaves out"
        reason[groups.rows] = _why_not_chosen(groups, chosen, cloud, found)
        reason[groups.rows[chosen]] = _why_chosen(groups, chosen, n_equal, found)
        return with_choice(with_columns(candidates, period=found.period), rank, selected, reason)


def _median_index(n: Ints) -> Ints:
    return n // 2


def _notebook_index(n: Ints) -> Ints:
    """The tutorial's index, 1 too high for an odd number: of 3 the last, of 5 the fourth."""
    return np.where((n % 2 == 1) & (n > 1), (n + 1) // 2, n // 2)


def _chosen_first(groups: Groups, chosen: Ints) -> Ints:
    """Ranks within each group: the chosen row moves to the front, those before it move back by one."""
    place = groups.place
    rank = place + (place < place[chosen][groups.group])
    rank[chosen] = 1
    return rank


def _why_chosen(groups: Groups, chosen: Ints, n_equal: Ints, found: Candidates) -> NDArray[np.object_]:
    def why(size: int, period: int, cloud: float, equals: int) -> str:
        return why_clearest(size, f"period {period}", cloud, equals)

    rows = groups.rows[chosen]
    return worded(why, groups.size, found.period[rows], found.cloud[rows], n_equal)


def _why_not_chosen(groups: Groups, chosen: Ints, cloud: NDArray[np.float64], found: Candidates) -> NDArray[np.object_]:
    """Why the chosen row of its group was better, for each of ``groups.rows``."""
    rows, best = groups.rows, groups.rows[chosen][groups.group]
    reason = np.full(len(rows), "as clear as the chosen item, not the median date", object)
    reason[found.time[rows] == found.time[best]] = "as clear and of the same date as the chosen item, not the first id"
    cloudier = np.flatnonzero(cloud[rows] != cloud[best])
    rows, best = rows[cloudier], best[cloudier]
    reason[cloudier] = worded(_why_cloudier, found.period[rows], found.cloud[rows], found.cloud[best])
    return reason


def _why_cloudier(period: int, mine: float, its: float) -> str:
    return f"cloudier than the chosen item of period {period} ({percent(mine, its)}, chosen {percent(its, mine)})"


@hookimpl
def lcnkit_strategy() -> dict[str, type[SeasonMinCC]]:
    """Offer ``season_min_cc``."""
    return {"season_min_cc": SeasonMinCC}
