"""Selection: from candidates to the frames of every chip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.contracts import Strategy
from lcnkit.errors import PlanError, PluginError, listing
from lcnkit.model import Chip, Frame
from lcnkit.periods import middle
from lcnkit.settings import WhenEmpty

if TYPE_CHECKING:
    import pandas as pd


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
    import pandas as pd

    inside = candidates[candidates["period"] > 0]
    answer = strategy.select(inside.copy())
    if not isinstance(answer, pd.DataFrame) or "selected" not in answer.columns:
        raise PluginError(f"The strategy {name!r} must return the candidate table with a column `selected`; it returned {type(answer).__name__}.")
    if len(answer) != len(inside) or not answer.index.sort_values().equals(inside.index.sort_values()):
        raise PluginError(f"The strategy {name!r} was given {len(inside)} rows and returned {len(answer)}: it must keep every row and the index.")
    filled = {column: answer[column] for column in ("selected", "rank", "reason", "period") if column in answer.columns}
    table = pd.concat([inside.assign(**filled), candidates[candidates["period"] < 1].assign(reason="outside the interval")]).reindex(candidates.index)
    table["selected"] = table["selected"].fillna(False).astype(bool)
    table["rank"] = pd.to_numeric(table["rank"]).fillna(0).astype("int64")
    outside = table["selected"] & (table["period"] < 1)
    if outside.any():
        raise PluginError(f"The strategy {name!r} selected {listing(table.loc[outside, 'item_id'], 3)}, outside the interval (period 0).")
    silent = table["reason"].fillna("") == ""
    table["reason"] = table["reason"].where(~silent, np.where(table["selected"], f"chosen by {name}", f"not chosen by {name}"))
    return table


def fill_nearest(table: pd.DataFrame) -> pd.DataFrame:
    """Give each empty period the closest acquisition in time of a neighbouring period, as a row of its own.

    Only acquisitions that the strategy did not rule out (rank above 0, or chosen) are taken. The added row says
    in ``reason`` where it comes from.
    """
    import pandas as pd

    usable = table[(table["period"] > 0) & ((table["rank"] > 0) | table["selected"])]
    added = []
    for chip_id, rows in usable.groupby("chip_id", sort=False):
        n_periods = int(rows["n_periods"].iloc[0])
        filled = set(rows.loc[rows["selected"], "period"])
        empty = [period for period in range(1, n_periods + 1) if period not in filled]
        if not empty or not filled:
            continue
        start, end = (rows[name].iloc[0].tz_localize(None).to_datetime64() for name in ("interval_start", "interval_end"))
        times = rows["datetime"].dt.tz_localize(None).to_numpy()
        for period, centre in zip(empty, middle(start, end, n_periods, np.array(empty)), strict=True):
            distance = np.abs((times - centre).astype("int64"))
            order = np.lexsort((rows["item_id"].to_numpy(dtype=str), rows["datetime"], rows["cloud_cover"].fillna(101), distance))
            nearest = rows.iloc[[order[0]]]
            came_from = int(nearest["period"].iloc[0])
            reason = f"nearest in time: period {period} has no candidate, this is of period {came_from}"
            added.append(nearest.assign(period=period, selected=True, rank=1, reason=reason))
    return pd.concat([table, *added], ignore_index=True) if added else table


def frames_by_chip(table: pd.DataFrame, chips: Sequence[Chip], n_periods: int, shape: Shape) -> Iterator[tuple[Chip, tuple[Frame, ...]]]:
    """The frames of each chip that has candidates, in order of period and time; missing ones included."""
    selected = table[table["selected"]].sort_values(["period", "datetime", "item_id"])
    rows_of: dict[str, list[Frame]] = {}
    columns = (selected[name] for name in ("chip_id", "period", "item_id", "item_href", "cloud_cover"))
    times = selected["datetime"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    for chip_id, period, item_id, href, cloud, time in zip(*columns, times, strict=True):
        rows_of.setdefault(chip_id, []).append(Frame(int(period), time, item_id, href, float(cloud)))
    for chip in chips:
        frames = rows_of.get(chip.id, [])
        yield chip, tuple(_padded(frames, chip, n_periods, shape))


def _padded(frames: list[Frame], chip: Chip, n_periods: int, shape: Shape) -> list[Frame]:
    centres = middle(chip.interval.start, chip.interval.end, n_periods, np.arange(1, n_periods + 1))
    if shape.by_period:
        filled = {frame.period for frame in frames}
        gaps = [Frame(period, centres[period - 1]) for period in range(1, n_periods + 1) if period not in filled]
        return sorted([*frames, *gaps], key=lambda frame: (frame.period, frame.time))
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
        named = listing((f"{chip} (period {period})" for chip, period in gaps), 5)
        raise PlanError(f"{len(gaps)} periods have no acquisition: {named}. Choose when_empty=pad, drop or nearest, or fewer periods.")
