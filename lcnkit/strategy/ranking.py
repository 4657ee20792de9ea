"""What the strategies share. Arrays follow the rows of the candidate table by position, whatever its index."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lcnkit.candidates import with_columns
from lcnkit.errors import ConfigError
from lcnkit.periods import nanoseconds

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]


def check_max_cloud(value: float) -> None:
    """Raise `ConfigError` unless ``value`` is a percentage."""
    if not 0 <= value <= 100:
        raise ConfigError(f"strategy.max_cloud is {value:g}; it must be a percentage from 0 to 100 (100 is no limit).")


def check_whole(name: str, value: int, least: int) -> None:
    """Raise `ConfigError` unless the option ``name`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigError(f"strategy.{name} is {value!r}; it must be a whole number of at least {least}.")


@dataclass(frozen=True)
class Candidates:
    """The columns that rules compare, as arrays; a chip is a number."""

    chip: Ints
    period: Ints
    time: Ints
    """Nanoseconds since 1970, UTC."""
    cloud: NDArray[np.float64]
    """Percent; infinite where unknown, so that it sorts after every known value."""
    item: Ints
    """The place of the item id in alphabetical order among the same chip's items of the same time; sort by time first."""

    @classmethod
    def of(cls, table: pd.DataFrame) -> Candidates:
        """Read the columns of a candidate table."""
        import pandas as pd

        cloud = table["cloud_cover"].to_numpy(np.float64)
        chip = pd.factorize(table["chip_id"])[0].astype(np.int64)
        time = nanoseconds(table["datetime"])
        # Sorting a million long ids takes longer than all the rest, and few chips have two items of one time.
        twins = Groups.sort(np.ones(len(table), bool), by=(chip, time))
        twin_rows = twins.rows[twins.size[twins.group] > 1]
        item = np.zeros(len(table), np.int64)
        item[twin_rows] = pd.factorize(table["item_id"].iloc[twin_rows], sort=True)[0]
        return cls(chip, table["period"].to_numpy(np.int64), time, np.where(np.isnan(cloud), np.inf, cloud), item)

    def eligible(self, max_cloud: float) -> NDArray[np.bool_]:
        """In the interval and under the limit; unknown cloud cover passes only where there is none (100)."""
        return (self.period > 0) & ((self.cloud <= max_cloud) | (max_cloud >= 100))


@dataclass(frozen=True)
class Groups:
    """Eligible rows, sorted by group and best first within each."""

    rows: NDArray[np.intp]
    """Positions in the table."""
    group: Ints
    """0-based number of the group of each of ``rows``, ascending."""
    start: Ints
    """Where in ``rows`` each group begins."""

    @classmethod
    def sort(cls, fit: NDArray[np.bool_], by: Sequence[NDArray[Any]], order: Sequence[NDArray[Any]] = ()) -> Groups:
        """Group the rows that are ``fit`` by the arrays ``by``; within a group the first of ``order`` counts most."""
        rows = np.flatnonzero(fit)
        rows = rows[np.lexsort([key[rows] for key in (*order[::-1], *by[::-1])])]
        begins = np.ones(len(rows), bool)
        begins[1:] = np.any([key[rows[1:]] != key[rows[:-1]] for key in by], axis=0)
        return cls(rows, np.cumsum(begins) - 1, np.flatnonzero(begins))

    @property
    def size(self) -> Ints:
        """How many rows each group has."""
        return np.diff(self.start, append=len(self.rows))

    @property
    def place(self) -> Ints:
        """1-based place of each of ``rows`` in its group."""
        return np.arange(len(self.rows)) - self.start[self.group] + 1


def median_of_clearest(
    groups: Groups, cloud: NDArray[np.float64], found: Candidates, index: Callable[[Ints], Ints] = lambda n: n // 2
) -> tuple[Ints, Ints]:
    """Choose the least cloudy of each group; among equals the median date; among equal dates the first item id.

    ``groups`` sort the candidates ``found`` by ``cloud``, then time, then item. ``index`` says which of the sorted
    dates of ``n`` equals is the median, from 0. Answers, for each group, the chosen place in ``groups.rows`` and ``n``.
    """
    cloud, time = cloud[groups.rows], found.time[groups.rows]
    equal = cloud == cloud[groups.start][groups.group]
    n_equal = np.bincount(groups.group[equal], minlength=len(groups.start))
    median = time[groups.start + index(n_equal)]
    on_the_day = np.flatnonzero(equal & (time == median[groups.group]))
    # Rows are sorted: the first of a group's rows with that date has the first item id.
    return on_the_day[np.unique(groups.group[on_the_day], return_index=True)[1]], n_equal


def why_not_eligible(found: Candidates, max_cloud: float) -> NDArray[np.object_]:
    """A reason for each row that is not eligible; empty for the others, which the rule fills in."""
    reason, over = np.full(len(found.period), "", object), np.flatnonzero(~found.eligible(max_cloud))
    reason[over] = worded(lambda cloud: f"cloud cover {percent(cloud, max_cloud)} is over max_cloud {max_cloud:g} %", found.cloud[over])
    reason[over[np.isinf(found.cloud[over])]] = f"cloud cover is unknown and max_cloud is {max_cloud:g} %"
    reason[found.period < 1] = "outside the interval"
    return reason


def worded(sentence: Callable[..., str], *facts: NDArray[Any]) -> NDArray[np.object_]:
    """A sentence for each row of the facts; many rows have the same, which is written once and kept once."""
    import pandas as pd

    rows = np.arange(len(facts[0]))
    if not len(rows):
        return np.empty(0, object)
    code = np.zeros(len(rows), np.int64)
    for fact in facts:
        own, values = pd.factorize(fact, use_na_sentinel=False)
        # Numbered anew each time: products of a few large numbers would not fit.
        code = pd.factorize(code * len(values) + own)[0]
    first = np.empty(int(code.max()) + 1, np.int64)
    first[code[::-1]] = rows[::-1]
    texts = np.empty(len(first), object)
    texts[:] = [sentence(*values) for values in zip(*(fact[first].tolist() for fact in facts), strict=True)]
    return texts[code]


def percent(cloud: float, beside: float | None = None) -> str:
    """Cloud cover in words, ``12.0 %``, with more digits if it would look the same as the value ``beside`` it."""
    if math.isinf(cloud):
        return "unknown cloud cover"
    text = f"{cloud:.1f}"
    return f"{cloud:.8g} %" if beside is not None and cloud != beside and text == f"{beside:.1f}" else f"{text} %"


def why_clearest(size: int, group: str, cloud: float, n_equal: int) -> str:
    """Why the choice of `median_of_clearest` was made; ``group`` is its name, e.g. ``period 3``."""
    first = f"least cloudy of {size} in {group}" if size > 1 else f"the only candidate in {group}"
    return f"{first} ({percent(cloud)})" + (f", the median date of {n_equal} equals" if n_equal > 1 else "")


def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``4th``, ``11th`` ..."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def with_choice(table: pd.DataFrame, rank: Ints, selected: NDArray[np.bool_], reason: NDArray[np.object_]) -> pd.DataFrame:
    """The table with the choice written into it; it shares the other columns with the one that was given."""
    import pandas as pd

    return with_columns(table, rank=rank, selected=selected, reason=pd.Series(reason, index=table.index, dtype="str"))
