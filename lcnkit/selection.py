"""Selection: from candidates to the frames of every chip."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.candidates import with_columns
from lcnkit.contracts import Strategy
from lcnkit.errors import LcnkitError, PlanError, PluginError, listing
from lcnkit.model import Chip, Frame
from lcnkit.periods import middle, middles_of, nanoseconds
from lcnkit.settings import WhenEmpty

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shape:
    """How many frames a chip is to have, and whether each period is to have one."""

    by_period: bool
    n_frames: int | None
    """``None``: as many as are selected."""


def choose(strategy: Strategy, candidates: pd.DataFrame, name: str) -> pd.DataFrame:
    """Let the strategy choose, and check its answer.

    Raises:
        PluginError: The answer breaks the contract.
    """
    inside = (candidates["period"] > 0).to_numpy()
    columns = {column: candidates[column].to_numpy(copy=True) for column in ("selected", "rank", "period")}
    reason = np.where(inside, "", "outside the interval").astype(object)
    if inside.any():
        answer = _answer(strategy, candidates if inside.all() else candidates[inside], name)
        for column, values in columns.items():
            if column in answer.columns:
                values[inside] = _whole_numbers(answer[column], name)
        if "reason" in answer.columns:
            said = answer["reason"].astype(object)
            reason[inside] = said.where(said.notna(), "").astype(str)
    outside = columns["selected"] & ((columns["period"] < 1) | (columns["period"] > candidates["n_periods"].to_numpy()))
    if outside.any():
        raise PluginError(f"The strategy {name!r} selected {listing(candidates.loc[outside, 'item_id'], 3)}, which are in no period of the interval.")
    silent = reason == ""
    reason[silent] = np.where(columns["selected"][silent], f"chosen by {name}", f"not chosen by {name}")
    return with_columns(candidates, **columns, reason=reason)


def _answer(strategy: Strategy, candidates: pd.DataFrame, name: str) -> pd.DataFrame:
    """What the strategy returns, its rows in the order that they were given.

    The strategy gets a table that nobody else has: it may write into it.
    """
    import pandas as pd

    index = candidates.index
    try:
        answer = strategy.select(candidates.copy())
    except LcnkitError:
        raise
    except Exception as error:  # somebody else's code: what went wrong is said in one line, and in full in the log
        log.debug("the strategy %s", name, exc_info=True)
        raise PluginError(f"The strategy {name!r} failed: {type(error).__name__}: {error}. Its authors can find the trace in lcnkit.log.") from error
    if not isinstance(answer, pd.DataFrame):
        raise PluginError(f"The strategy {name!r} must return the candidate table; it returned {type(answer).__name__}.")
    if "selected" not in answer.columns:
        raise PluginError(f"The strategy {name!r} must fill the column `selected`; it returned the columns {listing(map(str, answer.columns))}.")
    if len(answer) != len(index) or not answer.index.is_unique or not answer.index.isin(index).all():
        raise PluginError(f"The strategy {name!r} was given {len(index)} rows and returned {len(answer)}: it must keep every row and the index.")
    answer = answer if answer.index.equals(index) else answer.reindex(index)
    if "item_id" in answer.columns:
        moved = answer["item_id"].to_numpy(dtype=object) != candidates["item_id"].to_numpy(dtype=object)
        # What else a strategy writes into that column is its own affair.
        if moved.any() and answer["item_id"][moved].isin(candidates["item_id"]).all():
            raise PluginError(
                f"The strategy {name!r} gave rows another index than they had, as their item_id shows: leave out reset_index, and ignore_index "
                "where rows are sorted."
            )
    return answer


def _whole_numbers(column: pd.Series, name: str) -> NDArray[np.int64]:
    """A column of the answer as integers, 0 where it says nothing; ``selected`` holds 0 and 1."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").to_numpy("float64", na_value=np.nan)
    silent = column.isna().to_numpy()
    most = 1 if column.name == "selected" else 2**53
    wrong = ~silent & ~((numbers >= 0) & (numbers <= most) & (numbers == np.trunc(numbers)))
    if wrong.any():
        found = listing((repr(value) for value in column[wrong].unique().tolist()), 3)
        wanted = "True or False" if column.name == "selected" else "whole numbers, 0 or more"
        raise PluginError(f"The strategy {name!r} wrote {found} into the column `{column.name}`; it must hold {wanted}.")
    return np.where(silent, 0, numbers).astype("int64")


def fill_nearest(table: pd.DataFrame) -> pd.DataFrame:
    """Give each empty period the closest acquisition in time of another period, as a row of its own.

    Distance is to the middle of the empty period; equally close ones go by cloud cover, then date, then item id. Only
    acquisitions that the strategy did not rule out (rank above 0, or chosen) are taken, and only chips for which it
    chose anything are filled. The added row says in ``reason`` where it comes from, and whether its period has candidates.
    """
    import pandas as pd

    seen = pd.MultiIndex.from_frame(table[["chip_id", "period"]])
    usable = table[(table["period"] > 0) & ((table["rank"] > 0) | table["selected"])]
    gaps = _gaps(usable)
    parts = [_nearest(usable[usable["chip_id"].isin(part["chip_id"])], part, seen) for part in _in_parts(gaps)]
    return pd.concat([table, *parts], ignore_index=True) if parts else table


def _gaps(usable: pd.DataFrame) -> pd.DataFrame:
    """``chip_id``, ``empty`` and ``centre``: the periods without a chosen row, of chips that have one, and their middles (ns)."""
    import pandas as pd

    chosen = usable[usable["selected"]]
    chips = chosen.drop_duplicates("chip_id")[["chip_id", "interval_start", "interval_end", "n_periods"]]
    periods = [np.arange(1, number + 1) for number in chips["n_periods"]]
    every = chips.loc[chips.index.repeat([len(numbers) for numbers in periods])]
    every = every.assign(period=np.concatenate([*periods, np.empty(0, "int64")]))
    filled = pd.MultiIndex.from_frame(chosen[["chip_id", "period"]])
    empty = every[~pd.MultiIndex.from_frame(every[["chip_id", "period"]]).isin(filled)]
    return pd.DataFrame({"chip_id": empty["chip_id"], "empty": empty["period"], "centre": middles_of(empty).astype("int64")}).reset_index(drop=True)


#: Gaps are filled so many at a time: each is compared with every acquisition of its chip.
_GAPS_AT_ONCE = 20_000


def _in_parts(gaps: pd.DataFrame) -> list[pd.DataFrame]:
    return [gaps.iloc[start : start + _GAPS_AT_ONCE] for start in range(0, len(gaps), _GAPS_AT_ONCE)]


def _nearest(usable: pd.DataFrame, gaps: pd.DataFrame, seen: pd.MultiIndex) -> pd.DataFrame:
    """A row for each gap that can be filled, in the order of the gaps.

    Args:
        seen: Chip and period of every candidate, also of those that were ruled out.
    """
    import pandas as pd

    pairs = gaps.assign(gap=np.arange(len(gaps))).merge(
        usable.assign(row=np.arange(len(usable)))[["chip_id", "period", "datetime", "row"]], on="chip_id"
    )
    pairs = pairs[pairs["period"] != pairs["empty"]]
    distance = np.abs(nanoseconds(pairs["datetime"]) - pairs["centre"])
    pairs = pairs[distance == distance.groupby(pairs["gap"]).transform("min")]
    rows = usable.iloc[pairs["row"]]
    order = np.lexsort((rows["item_id"].to_numpy(dtype=str), rows["datetime"], rows["cloud_cover"].fillna(np.inf), pairs["gap"]))
    best = pairs.iloc[order].drop_duplicates("gap")
    ruled_out = pd.MultiIndex.from_frame(best[["chip_id", "empty"]]).isin(seen)
    reasons = [
        f"nearest in time: {f'no candidate of period {empty} was chosen' if out else f'period {empty} has no candidate'}, this is of period {period}"
        for empty, period, out in zip(best["empty"].tolist(), best["period"].tolist(), ruled_out.tolist(), strict=True)
    ]
    filled: pd.DataFrame = usable.iloc[best["row"]].assign(period=best["empty"].to_numpy(), selected=True, rank=1, reason=reasons)
    return filled


def selected_of(table: pd.DataFrame) -> pd.DataFrame:
    """What `frames_by_chip` wants to know of candidates: of those that are chosen, what a frame is made of."""
    return table.loc[table["selected"], ["chip_id", "period", "datetime", "item_id", "item_href", "cloud_cover"]]


def frames_by_chip(selected: Sequence[pd.DataFrame], chips: Iterable[Chip], n_periods: int, shape: Shape) -> Iterator[tuple[Chip, tuple[Frame, ...]]]:
    """The frames of each chip, in order of period and time; missing ones included.

    Args:
        selected: The tables that `selected_of` gave, at least one.
    """
    import pandas as pd

    every = selected[0] if len(selected) == 1 else pd.concat(selected, ignore_index=True)
    every = every.sort_values(["period", "datetime", "item_id"])
    rows_of: dict[str, list[Frame]] = {}
    columns = (every[name].tolist() for name in ("chip_id", "period", "item_id", "item_href", "cloud_cover"))
    times = every["datetime"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    for chip_id, period, item_id, href, cloud, time in zip(*columns, times, strict=True):
        rows_of.setdefault(chip_id, []).append(Frame(period, time, item_id, href, cloud))
    for chip in chips:
        frames = rows_of.get(chip.id, [])
        yield chip, tuple(_padded(frames, chip, n_periods, shape))


def _padded(frames: list[Frame], chip: Chip, n_periods: int, shape: Shape) -> list[Frame]:
    if shape.by_period:
        filled = {frame.period for frame in frames}
        gaps = [period for period in range(1, n_periods + 1) if period not in filled]
        if not gaps:
            return frames
        centres = middle(chip.interval.start, chip.interval.end, n_periods, np.array(gaps))
        missing = [Frame(period, centre) for period, centre in zip(gaps, centres, strict=True)]
        return sorted([*frames, *missing], key=lambda frame: (frame.period, frame.time))
    short = 0 if shape.n_frames is None else max(0, shape.n_frames - len(frames))
    # Such a rule has no place for a missing frame: it goes to the end, dated by the end of the interval.
    return [*sorted(frames, key=lambda frame: (frame.time, frame.item_id)), *[Frame(0, chip.interval.end - np.timedelta64(1, "ns"))] * short]


def sorted_out(frames: tuple[Frame, ...], when_empty: WhenEmpty) -> bool:
    """Whether a chip is dropped for its missing frames."""
    return when_empty == "drop" and any(frame.missing for frame in frames)


def refuse_gaps(gaps: Sequence[tuple[str, int]]) -> None:
    """Stop where ``when_empty=error``.

    Raises:
        PlanError: There is a gap; the message names the first ones.
    """
    if gaps:
        named = listing((f"{chip} ({f'period {period}' if period else 'too few acquisitions'})" for chip, period in gaps), 5)
        raise PlanError(f"{len(gaps)} frames have no acquisition: {named}. Choose when_empty=pad, drop or nearest, or fewer periods.")
